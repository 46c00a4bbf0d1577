//! Getting the lock, or leaving nothing behind.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Blocker, LeaseKeeper, LockGuard, QueueEntry, run_on_io_thread};
use crate::output::bytes;

/// How long the clean-up behind a wait that was given up may take.
const CLEANUP: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct LockRequest {
    /// The lock's name, without the namespace.
    pub name: Vec<u8>,
    /// Whether to share it.
    pub shared: bool,
    /// How long to wait.
    pub patience: WaitLimit,
    /// The TTL of its lease, in seconds.
    pub ttl: i64,
}

/// How long to wait for the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitLimit {
    /// Not at all.
    None,
    /// So long.
    For(Duration),
    /// For ever.
    Endless,
}

/// A lock that is held.
pub struct HeldLock {
    /// Its name as it is shown.
    pub name: String,
    /// Its key and create revision: the token.
    pub guard: LockGuard,
    /// Whether it is shared.
    pub shared: bool,
    /// Its lease.
    pub kept: LeaseKeeper,
}

impl HeldLock {
    /// The token as `--if-locked` reads it.
    pub fn token(&self) -> String {
        format!("{}@{}", bytes::escape(&self.guard.key), self.guard.revision)
    }
}

/// Waits for the lock. Whatever the end is but success, no key and no lease stay behind.
///
/// # Errors
/// [`Exit::No`] for a lock that is busy, [`Exit::Conflict`] where the place in the queue was lost, or whatever kept an
/// answer away.
pub async fn acquire(ctx: &Context, ask: &LockRequest) -> Result<HeldLock, Failure> {
    let begun = Instant::now();
    ctx.signals.hold();
    let (kept, entry) = ctx.store().contend(&ask.name, ask.shared, ask.ttl).await?;
    if kept.ttl().as_secs() != ask.ttl.unsigned_abs() {
        ctx.out.detail(&format!("asked for a TTL of {} s, etcd granted {} s", ask.ttl, kept.ttl().as_secs()));
    }
    let placed = match entry {
        Ok(entry) => queue(ctx, ask, &kept, entry, begun).await,
        Err(error) => Err(error.into()),
    };
    match placed {
        Ok(guard) => Ok(HeldLock { name: bytes::escape(&ask.name), guard, shared: ask.shared, kept }),
        Err(failure) => {
            give_back(ctx, &kept).await;
            Err(failure)
        }
    }
}

async fn queue(
    ctx: &Context,
    ask: &LockRequest,
    kept: &LeaseKeeper,
    entry: QueueEntry,
    begun: Instant,
) -> Result<LockGuard, Failure> {
    let store = ctx.store();
    let name = bytes::escape(&ask.name);
    kept.watch_key(store, &entry.guard.key, entry.guard.revision);
    if entry.first {
        return Ok(entry.guard);
    }
    if ask.patience == WaitLimit::None {
        return match store.blocker(&entry).await? {
            None => Ok(entry.guard),
            Some(blocker) => Err(busy(&name, Some(&bytes::escape(&blocker.key)))),
        };
    }
    let limit = match ask.patience {
        WaitLimit::For(time) => Some(begun + time),
        _ => None,
    };
    let progress = ctx.out.progress("waiting for the lock", None);
    let result = wait(ctx, &entry, kept, limit, &name).await;
    progress.finish();
    result.map(|()| entry.guard)
}

async fn wait(
    ctx: &Context,
    entry: &QueueEntry,
    kept: &LeaseKeeper,
    limit: Option<Instant>,
    name: &str,
) -> Result<(), Failure> {
    let last = Arc::new(Mutex::new(None));
    let (out, shown, seen) = (ctx.out.clone(), name.to_owned(), Arc::clone(&last));
    let behind = move |blocker: &Blocker| {
        let (name, key) = (&shown, bytes::escape(&blocker.key));
        out.detail(&format!("{name}: waiting for {key}"));
        if blocker.lease.is_none() {
            out.warn(&format!("{name}: {key} is on no lease; it blocks the lock until somebody deletes it"));
        }
        seen.lock().unwrap_or_else(PoisonError::into_inner).replace(key);
    };
    let (store, entry) = (ctx.store().clone(), entry.clone());
    let turn = run_on_io_thread(async move { store.wait_turn(&entry, behind).await });
    let lost = |loss| {
        let at = if matches!(loss, crate::kvstore::LeaseLoss::Late(_)) { Exit::Unreachable } else { Exit::Conflict };
        Failure::new(at, format!("the place in the queue for {name} was lost: {loss}"))
    };
    tokio::select! {
        biased;
        () = ctx.signals.cancel().cancelled() => Err(Failure::new(Exit::Interrupted, format!("interrupted while waiting for {name}"))),
        loss = kept.lost(Duration::ZERO) => Err(lost(loss)),
        () = until(limit) => Err(busy(name, last.lock().unwrap_or_else(PoisonError::into_inner).as_deref())),
        () = ctx.overdue() => Err(Failure::new(Exit::Unreachable, format!("the deadline for the whole command is over (while waiting for {name})"))),
        turn = turn => match turn? {
            true => Ok(()),
            false => Err(lost(crate::kvstore::LeaseLoss::KeyGone)),
        },
    }
}

fn busy(name: &str, holder: Option<&str>) -> Failure {
    let by = holder.map_or(String::new(), |key| format!(": waiting for {key}"));
    Failure::new(Exit::No, format!("the lock {name} is busy{by}"))
        .hint("'kvadm lock --list' shows who holds it and who waits")
}

/// Sleeps until then; for ever where there is no such time.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Takes the key and the lease away.
async fn give_back(ctx: &Context, kept: &LeaseKeeper) {
    kept.stop();
    let limit = CLEANUP.min(kept.state().until.remaining().max(Duration::from_secs(1)));
    if let Err(error) = ctx.store().for_cleanup(limit).revoke(kept.id()).await {
        let ttl = kept.ttl().as_secs();
        ctx.out.warn(&format!("lease {} could not be revoked and runs out within {ttl} s: {error}", kept.id()));
    }
}
