//! Waits for members: bounded, announced, and ended by a signal at once.

use std::time::Duration;

use tokio::time::Instant;

use super::view::store_of;
use crate::context::Context;
use crate::duration::format_duration;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, Member, MemberStatus};
use crate::plural::counted;

/// A longer wait is announced.
const NOTE_AFTER: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// A learner that is further behind has not caught up. etcd itself requires nine tenths of the leader's log.
const MAX_RAFT_LAG: u64 = 1000;

/// What a look at the cluster has found.
pub enum WaitState<T> {
    Ready(T),
    /// Why not yet: `m2 has not started`.
    Pending(String),
}

/// A wait with its limit.
pub struct MemberWait<'a> {
    ctx: &'a Context,
    end: Instant,
    limit: Duration,
    /// What remains to be done if the wait ends without success.
    remains: Vec<String>,
    noted: Option<String>,
}

impl<'a> MemberWait<'a> {
    pub fn new(ctx: &'a Context, limit: Duration, remains: Vec<String>) -> Self {
        Self { ctx, end: Instant::now() + limit, limit, remains, noted: None }
    }

    /// Looks until it is so.
    ///
    /// # Errors
    /// [`Exit::No`] when the time is over, [`Exit::Interrupted`], or an error that does not pass.
    pub async fn until<T>(&mut self, look: impl AsyncFn() -> Result<WaitState<T>, Failure>) -> Result<T, Failure> {
        let started = Instant::now();
        loop {
            let pending = match look().await {
                Ok(WaitState::Ready(found)) => return Ok(found),
                Ok(WaitState::Pending(why)) => why,
                Err(failure) if failure.store_error().is_some_and(Error::is_transient) => failure.one_line(),
                Err(failure) => return Err(self.ended(failure, "")),
            };
            if Instant::now() >= self.end {
                let within = format_duration(self.limit);
                return Err(self.with_remains(Failure::new(Exit::No, format!("{pending} (waited {within})"))));
            }
            if started.elapsed() >= NOTE_AFTER && self.noted.as_ref() != Some(&pending) {
                let left = format_duration(Duration::from_secs((self.end - Instant::now()).as_secs() + 1));
                self.ctx.out.note(&format!("waiting, at most {left} longer: {pending}"));
                self.noted = Some(pending.clone());
            }
            if let Err(failure) = self.ctx.sleep(POLL_INTERVAL).await {
                return Err(self.ended(failure, &pending));
            }
        }
    }

    fn ended(&self, failure: Failure, pending: &str) -> Failure {
        let is_end = matches!(failure.exit, Exit::Interrupted | Exit::Unreachable);
        let explained = is_end && !pending.is_empty() && !failure.maybe_applied();
        let failure = if explained { failure.context(format!("stopped waiting: {pending}")) } else { failure };
        self.with_remains(failure)
    }

    fn with_remains(&self, failure: Failure) -> Failure {
        self.remains.iter().fold(failure, |failure, hint| failure.hint(hint.clone()))
    }

    /// Waits until the member has started, answers, and has a leader.
    ///
    /// # Errors
    /// As [`MemberWait::until`].
    pub async fn started(&mut self, id: u64, name: &str) -> Result<Member, Failure> {
        let ctx = self.ctx;
        self.until(async || {
            let Some(member) = listed(ctx, id).await? else { return Err(gone(name)) };
            if member.client_urls.is_empty() {
                return Ok(WaitState::Pending(format!("{name} has not started")));
            }
            Ok(match status_of(ctx, &member).await? {
                MemberReply::Status(status) if status.leader != 0 => WaitState::Ready(member),
                MemberReply::Status(_) => WaitState::Pending(format!("{name} has no leader yet")),
                // etcd has its URLs from the member itself.
                MemberReply::NotDialed => WaitState::Ready(member),
                MemberReply::None(why) => WaitState::Pending(format!("{name} does not answer: {why}")),
            })
        })
        .await
    }

    /// Waits until a learner has caught up with the leader.
    ///
    /// # Errors
    /// As [`MemberWait::until`].
    pub async fn caught_up(&mut self, id: u64, name: &str) -> Result<(), Failure> {
        let ctx = self.ctx;
        self.until(async || caught_up(ctx, id, name).await).await
    }
}

fn gone(name: &str) -> Failure {
    Failure::conflict(format!("member {name} was removed meanwhile"))
}

/// What a member says.
enum MemberReply {
    Status(MemberStatus),
    /// None of its URLs is safe to dial, or it has none.
    NotDialed,
    None(String),
}

async fn status_of(ctx: &Context, member: &Member) -> Result<MemberReply, Failure> {
    let Some(store) = store_of(ctx.store(), member) else { return Ok(MemberReply::NotDialed) };
    match store.member_status().await {
        Ok(status) if status.id == member.id => Ok(MemberReply::Status(status)),
        Ok(status) => Ok(MemberReply::None(format!("member {:x} answers at its address", status.id))),
        Err(error) if error.is_transient() => Ok(MemberReply::None(error.one_line())),
        Err(error) => Err(error.into()),
    }
}

async fn listed(ctx: &Context, id: u64) -> Result<Option<Member>, Failure> {
    Ok(ctx.store().current_members().await?.members.into_iter().find(|member| member.id == id))
}

/// Whether a learner has started and applied as much as the cluster has committed, but for a small rest.
///
/// # Errors
/// The member was removed, or any error of the requests.
pub async fn caught_up(ctx: &Context, id: u64, name: &str) -> Result<WaitState<()>, Failure> {
    let Some(member) = listed(ctx, id).await? else { return Err(gone(name)) };
    if member.client_urls.is_empty() {
        return Ok(WaitState::Pending(format!("{name} has not started")));
    }
    let committed = ctx.store().member_status().await?.raft_index;
    Ok(match status_of(ctx, &member).await? {
        MemberReply::Status(status) if status.leader == 0 => WaitState::Pending(format!("{name} has no leader yet")),
        MemberReply::Status(status) => match committed.saturating_sub(status.raft_applied) {
            0..=MAX_RAFT_LAG => WaitState::Ready(()),
            lag => WaitState::Pending(format!("{name} is {} behind", counted(lag, "raft entry"))),
        },
        // etcd itself compares the logs.
        MemberReply::NotDialed => WaitState::Ready(()),
        MemberReply::None(why) => WaitState::Pending(format!("{name} does not answer: {why}")),
    })
}
