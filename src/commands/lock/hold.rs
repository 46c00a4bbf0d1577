//! Holding a lock, and giving it up.

use std::time::Duration;

use super::acquire::Held;
use crate::child::margin;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Kept, LockGuard, Loss};
use crate::output::LockAnswer;

/// The pause between two tries to give the lock up while etcd is away.
const AGAIN: Duration = Duration::from_millis(200);

/// Prints the lock and holds it until a signal comes.
///
/// # Errors
/// [`Exit::Conflict`] where it is lost.
pub async fn until_signal(ctx: &Context, held: Held) -> Result<Exit, Failure> {
    let answer = LockAnswer {
        key: &held.guard.key,
        revision: held.guard.revision,
        token: &held.token(),
        lease: held.kept.id(),
        ttl: held.kept.ttl().as_secs(),
        shared: held.shared,
    };
    let printed = ctx.out.one(&answer).and_then(|()| ctx.out.flush());
    if let Err(error) = printed {
        release(ctx, &held.kept, &held.guard, &held.name).await;
        return Err(error.into());
    }
    let loss = tokio::select! {
        biased;
        () = ctx.signals.cancel().cancelled() => None,
        () = ctx.overdue() => None,
        loss = held.kept.lost(margin(held.kept.ttl())) => Some(loss),
    };
    let proved = release(ctx, &held.kept, &held.guard, &held.name).await;
    match (loss, proved) {
        (Some(loss), _) => Err(lost(&held.name, &loss)),
        (None, false) => Err(unproved(&held.name)),
        (None, true) if ctx.signals.cancel().is_cancelled() => Ok(Exit::Interrupted),
        (None, true) => Err(Failure::new(Exit::Unreachable, "the deadline for the whole command is over")),
    }
}

/// The failure for a lock that was lost.
pub fn lost(name: &str, loss: &Loss) -> Failure {
    Failure::conflict(format!("the lock {name} was lost: {loss}"))
        .hint("what was done under it may overlap with the next holder's work, unless it was guarded with --if-locked")
}

/// The failure for a lock of which nobody can say whether it was held to the end.
pub fn unproved(name: &str) -> Failure {
    Failure::conflict(format!("the lock {name}: that it was held to the end cannot be proved"))
        .hint("what was done under it may overlap with the next holder's work, unless it was guarded with --if-locked")
}

/// Gives the lock up: proves that it is still held, then revokes its lease, which takes the key away. While etcd is
/// away it goes on until the lease is over. `true` where the lock was held without a gap until now.
pub async fn release(ctx: &Context, kept: &Kept, guard: &LockGuard, name: &str) -> bool {
    kept.stop();
    let alive = kept.alive();
    // A lease that is gone needs no patience; one that is late may still be there.
    let gone = matches!(alive.lost, Some(Loss::LeaseGone | Loss::KeyGone));
    let limit = if gone { Duration::from_secs(2) } else { alive.until.left().max(Duration::from_secs(1)) };
    let store = ctx.store().for_cleanup(limit);
    let end = tokio::time::Instant::now() + limit;
    let mut proved = None;
    let mut said = false;
    loop {
        let tried = async {
            if proved.is_none() {
                proved = Some(store.still_held(guard).await?);
            }
            store.revoke(kept.id()).await
        };
        let Err(error) = tried.await else {
            if said {
                ctx.out.note(&format!("the lock {name} is given up"));
            }
            return proved == Some(true);
        };
        if tokio::time::Instant::now() + AGAIN >= end {
            let ttl = kept.ttl().as_secs();
            ctx.out.warn(&format!(
                "the lock {name} could not be given up: {error}; its lease {} runs out by itself, {ttl} s after etcd is back at the latest",
                kept.id()
            ));
            return proved == Some(true);
        }
        if !std::mem::replace(&mut said, true) {
            ctx.out.warn(&format!(
                "the lock {name} cannot be given up yet: {error}; trying for another {:.0} s",
                end.saturating_duration_since(tokio::time::Instant::now()).as_secs_f64()
            ));
        }
        tokio::time::sleep(AGAIN).await;
    }
}
