//! What is held on a lease: until when, under what, and how it is given up. Locks and held keys share it.

use std::ffi::OsString;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::child::{self, ExitedChild, PreparedChild, margin};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, LeaseKeeper, LeaseLoss, LockGuard, Store, run_on_io_thread};

/// The pause between two tries to give it up while etcd is away.
const AGAIN: Duration = Duration::from_millis(200);
/// How long to try where nothing is left to be given up.
const BRIEFLY: Duration = Duration::from_secs(2);

/// How long giving up mostly takes; less than what a guardian leaves of the smallest margin.
const PROMPTLY: Duration = Duration::from_millis(50);

/// Something that is held as long as a lease lives.
pub struct LeaseScope {
    /// What it is, with its name: "the lock a".
    pub what: String,
    /// Its lease.
    pub kept: LeaseKeeper,
    /// The key that proves that it is held, where one does.
    pub guard: Option<LockGuard>,
}

impl LeaseScope {
    /// Holds it until a signal comes, and gives it up.
    ///
    /// # Errors
    /// [`Exit::Conflict`] where it is lost.
    pub async fn until_signal(&self, ctx: &Context) -> Result<Exit, Failure> {
        let loss = tokio::select! {
            biased;
            () = ctx.signals.cancel().cancelled() => None,
            () = ctx.overdue() => None,
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

    /// Runs a command while it is held, and gives it up.
    ///
    /// # Errors
    /// [`Exit::Conflict`] where it was lost, or where the command succeeded and nobody can prove that it was not.
    pub async fn while_running(
        &self,
        ctx: &Context,
        command: &[OsString],
        envs: Vec<(&'static str, OsString)>,
    ) -> Result<Exit, Failure> {
        self.while_staged(ctx, PreparedChild::open(command, ctx.out.is_json()), &envs).await
    }

    /// The same for a command whose stage is there already.
    ///
    /// # Errors
    /// As [`LeaseScope::while_running`].
    pub async fn while_staged(
        &self,
        ctx: &Context,
        stage: PreparedChild,
        envs: &[(&'static str, OsString)],
    ) -> Result<Exit, Failure> {
        let mut parting = child::run(ctx, stage, envs, &self.kept).await;
        // Others wait for this; the helper's farewell comes behind it, unless it takes time.
        let mut release = pin!(self.release(ctx));
        let proved = match timeout(PROMPTLY, &mut release).await {
            Ok(proved) => proved,
            Err(_) => {
                parting.iter_mut().for_each(ExitedChild::dismiss);
                release.await
            }
        };
        let ended = parting?.complete();
        if let Some(loss) = &ended.loss {
            return Err(self.lost(loss).context("the command was ended"));
        }
        match ended.code {
            _ if ended.overdue => Err(overdue()),
            0 if proved => Ok(Exit::Done),
            0 => Err(self.unproved()),
            code => Ok(Exit::Command(code)),
        }
    }

    /// Gives it up: proves that it is still held, then revokes the lease, which takes the key away. While etcd is away
    /// it goes on until the lease is over. `true` where it was held without a gap until now.
    pub async fn release(&self, ctx: &Context) -> bool {
        self.kept.stop();
        let alive = self.kept.state();
        // A lease that is gone needs no patience; one that is late may still be there.
        let gone = matches!(alive.lost, Some(LeaseLoss::LeaseGone | LeaseLoss::KeyGone));
        let limit = if gone { BRIEFLY } else { alive.until.remaining().max(Duration::from_secs(1)) };
        let (store, end) = (ctx.store().for_cleanup(limit), Instant::now() + limit);
        let (what, lease) = (&self.what, self.kept.id());
        let (mut proved, mut said) = (None, false);
        let mut why = String::new();
        loop {
            let error = match self.try_release(&store, &mut proved).await {
                Ok(held) => {
                    if said {
                        ctx.out.note(&format!("{what} is given up"));
                    }
                    return held;
                }
                Err(error) => error,
            };
            if !matches!(error, Error::Deadline { .. }) || why.is_empty() {
                why = error.to_string();
            }
            let left = end.saturating_duration_since(Instant::now());
            if left <= AGAIN {
                ctx.out.warn(&format!("{what} could not be given up: {why}; lease {lease} runs out by itself"));
                return proved == Some(true);
            }
            if !said && left > BRIEFLY {
                said = true;
                let left = left.as_secs();
                ctx.out.warn(&format!("{what} cannot be given up yet: {why}; trying for another {left} s"));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn try_release(&self, store: &Store, proved: &mut Option<bool>) -> Result<bool, Error> {
        let (store, lease) = (store.clone(), self.kept.id());
        let unproved = self.guard.clone().filter(|_| proved.is_none());
        // On the connections' own thread no request waits for another thread to wake up.
        let (now, result) = run_on_io_thread(async move {
            let mut now = None;
            if let Some(guard) = unproved {
                match store.still_held(&guard).await {
                    Ok(held) => now = Some(held),
                    Err(error) => return Ok((None, Err(error))),
                }
            }
            Ok((now, store.revoke(lease).await))
        })
        .await?;
        *proved = proved.or(now);
        Ok(proved.unwrap_or(result?))
    }

    fn lost(&self, loss: &LeaseLoss) -> Failure {
        self.overlap(Failure::conflict(format!("{} was lost: {loss}", self.what)))
    }

    fn unproved(&self) -> Failure {
        self.overlap(Failure::conflict(format!("that {} was held to the end cannot be proved", self.what)))
    }

    fn overlap(&self, failure: Failure) -> Failure {
        if self.guard.is_none() {
            return failure;
        }
        failure.hint("what was done under it may overlap with the next holder's work, unless --if-locked guarded it")
    }
}

fn overdue() -> Failure {
    Failure::new(Exit::Unreachable, "the deadline for the whole command is over")
}

/// A configured time to live in whole seconds, rounded up.
pub fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs() + u64::from(time.subsec_nanos() > 0)).unwrap_or(i64::MAX)
}
