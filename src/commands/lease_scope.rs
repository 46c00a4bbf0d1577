//! Holds a lock or a key on a lease, until a signal or while a command runs, and releases it.

use std::ffi::OsString;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::child::{self, ExitedChild, PreparedChild, margin};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, LeaseKeeper, LeaseLoss, LockGuard, Store, run_on_io_thread};

/// The pause between attempts to release while etcd is unreachable.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long to retry the release of a lease that is already gone; also the longest silent retry.
const SHORT_RELEASE: Duration = Duration::from_secs(2);

/// How long a release usually takes at most; less than the guardian needs to act within the smallest margin.
const PROMPT_RELEASE: Duration = Duration::from_millis(50);

/// A lock or key that is held as long as its lease lives.
pub struct LeaseScope {
    /// What is held, for messages: "the lock a".
    pub what: String,
    pub kept: LeaseKeeper,
    /// The key that proves that the lock is held; `None` for a held key.
    pub guard: Option<LockGuard>,
}

impl LeaseScope {
    /// Holds until a signal, then releases.
    ///
    /// # Errors
    /// [`Exit::Conflict`] if the lease is lost.
    pub async fn until_signal(&self, ctx: &Context) -> Result<Exit, Failure> {
        let loss = tokio::select! {
            biased;
            () = ctx.signals.cancel().cancelled() => None,
            () = ctx.deadline_passed() => None,
            loss = self.kept.lost(margin(self.kept.ttl())) => Some(loss),
        };
        let proved = self.release(ctx).await;
        match loss {
            Some(loss) => Err(self.lost(&loss)),
            None if !proved => Err(self.unproved()),
            None if ctx.signals.cancel().is_cancelled() => Ok(Exit::Interrupted),
            None => Err(overdue()),
        }
    }

    /// Runs a command while holding, then releases.
    ///
    /// # Errors
    /// [`Exit::Conflict`] if the lease was lost, or if the command succeeded and the holding cannot be confirmed.
    pub async fn while_running(
        &self,
        ctx: &Context,
        command: &[OsString],
        envs: Vec<(&'static str, OsString)>,
    ) -> Result<Exit, Failure> {
        self.while_child_runs(ctx, PreparedChild::open(command, ctx.out.is_json()), &envs).await
    }

    /// [`LeaseScope::while_running`] for a child process that is already prepared.
    pub async fn while_child_runs(
        &self,
        ctx: &Context,
        child: PreparedChild,
        envs: &[(&'static str, OsString)],
    ) -> Result<Exit, Failure> {
        let mut exited = child::run(ctx, child, envs, &self.kept).await;
        // Waiters depend on the release, so it comes before the guardian's dismissal unless it is slow.
        let mut release = pin!(self.release(ctx));
        let proved = match timeout(PROMPT_RELEASE, &mut release).await {
            Ok(proved) => proved,
            Err(_) => {
                exited.iter_mut().for_each(ExitedChild::dismiss);
                release.await
            }
        };
        let exit = exited?.complete().await;
        if let Some(loss) = &exit.loss {
            return Err(self.lost(loss).context("the command was stopped"));
        }
        match exit.code {
            _ if exit.overdue => Err(overdue()),
            0 if proved => Ok(Exit::Done),
            0 => Err(self.unproved()),
            code => Ok(Exit::Command(code)),
        }
    }

    /// Confirms that the lock is still held, then revokes the lease, which deletes the key. Retries while etcd is
    /// unreachable, until the lease expires. Returns whether the holding was confirmed without a gap.
    pub async fn release(&self, ctx: &Context) -> bool {
        self.kept.stop();
        let state = self.kept.state();
        // A late lease may still exist; a lost one does not, and one in another store cannot be reached.
        let lost = matches!(state.lost, Some(LeaseLoss::LeaseGone | LeaseLoss::KeyGone | LeaseLoss::OtherStore(_)));
        let limit = if lost { SHORT_RELEASE } else { state.until.remaining().max(Duration::from_secs(1)) };
        let (store, end) = (ctx.store().for_cleanup(limit), Instant::now() + limit);
        let (what, lease) = (&self.what, self.kept.id());
        let (mut proved, mut warned) = (None, false);
        let mut why = String::new();
        loop {
            let error = match self.try_release(&store, &mut proved).await {
                Ok(held) => {
                    if warned {
                        ctx.out.note(&format!("{what} is released"));
                    }
                    return held;
                }
                Err(error) => error,
            };
            if !matches!(error, Error::Deadline { .. }) || why.is_empty() {
                why = error.to_string();
            }
            let left = end.saturating_duration_since(Instant::now());
            if left <= RETRY_PAUSE || matches!(error, Error::OtherStore { .. }) {
                ctx.out.warn(&format!("cannot release {what}: {why}; its lease {lease} expires by itself"));
                return proved == Some(true);
            }
            if !warned && left > SHORT_RELEASE {
                warned = true;
                let left = left.as_secs();
                ctx.out.warn(&format!("cannot release {what} yet: {why}; retrying for {left} s"));
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn try_release(&self, store: &Store, proved: &mut Option<bool>) -> Result<bool, Error> {
        let (store, lease) = (store.clone(), self.kept.id());
        let unproved = self.guard.clone().filter(|_| proved.is_none());
        let (now, result) = run_on_io_thread(async move {
            let mut now = None;
            if let Some(guard) = unproved {
                match store.still_held(&guard).await {
                    Ok(held) => now = Some(held),
                    Err(error) => return Ok((None, Err(error))),
                }
            }
            Ok((now, store.revoke_own(lease).await))
        })
        .await?;
        *proved = proved.or(now);
        Ok(proved.unwrap_or(result?))
    }

    fn lost(&self, loss: &LeaseLoss) -> Failure {
        self.with_overlap_hint(Failure::new(exit_of(loss), format!("{} was lost: {loss}", self.what)))
    }

    fn unproved(&self) -> Failure {
        self.with_overlap_hint(Failure::conflict(format!("cannot confirm that {} was held to the end", self.what)))
    }

    fn with_overlap_hint(&self, failure: Failure) -> Failure {
        if self.guard.is_none() {
            return failure;
        }
        failure.hint("its work may have overlapped with the next holder's; guard writes with --if-locked")
    }
}

/// The exit code of a command whose lease is lost.
pub fn exit_of(loss: &LeaseLoss) -> Exit {
    match loss {
        LeaseLoss::OtherStore(_) => Exit::Refused,
        LeaseLoss::LeaseGone | LeaseLoss::KeyGone | LeaseLoss::Late(_) => Exit::Conflict,
    }
}

fn overdue() -> Failure {
    Failure::new(Exit::Unreachable, "the --deadline of the whole command has passed")
}

/// A configured TTL in whole seconds, rounded up.
pub fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs() + u64::from(time.subsec_nanos() > 0)).unwrap_or(i64::MAX)
}
