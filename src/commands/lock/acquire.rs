//! Acquires a lock; after a failure, no key and no lease remain.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::commands::lease_scope::exit_of;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{
    Blocker, LeaseKeeper, LeaseLoss, LockGuard, LockHolder, LockLabel, LockMode, LockOwner, QueueEntry,
    run_on_io_thread,
};
use crate::output::bytes;
use crate::time::Time;

/// How long a busy lock is waited for silently.
const ANNOUNCE_AFTER: Duration = Duration::from_secs(2);
/// Interval of the notes about a busy lock.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);
/// On a terminal, the holder and the place in the queue are read this often, which costs the server a read of the queue.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// On a terminal, the line about the wait is redrawn this often.
const REDRAW_EVERY: Duration = Duration::from_millis(200);
/// A later place in a queue is not counted exactly.
const MAX_PLACE: u16 = 100;
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct LockRequest {
    /// The lock's name, without the namespace.
    pub name: Vec<u8>,
    pub mode: LockMode,
    pub wait: WaitLimit,
    pub ttl_seconds: i64,
    /// The owner to name in the lock key.
    pub owner: Option<LockOwner>,
    /// The proposal of a candidate in an election, which takes the place of the owner.
    pub proposal: Option<Vec<u8>>,
}

impl LockRequest {
    fn label(&self) -> LockLabel<'_> {
        self.proposal.as_deref().map_or(LockLabel::Owner(self.owner.as_ref()), LockLabel::Proposal)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitLimit {
    None,
    For(Duration),
    Endless,
}

pub struct AcquiredLock {
    /// The name, escaped for output.
    pub name: String,
    /// The key and its create revision: the fencing token.
    pub guard: LockGuard,
    pub shared: bool,
    /// The proposal that it is held with.
    pub proposal: Option<Vec<u8>>,
    pub kept: LeaseKeeper,
}

impl AcquiredLock {
    /// The token in the format of `--if-locked`.
    pub fn token(&self) -> String {
        format!("{}@{}", bytes::escape(&self.guard.key), self.guard.revision)
    }
}

/// Waits for the lock. After a failure, no key and no lease remain.
///
/// # Errors
/// [`Exit::No`] for a busy lock, [`Exit::Conflict`] if the position in the queue was lost, or an error of etcd or the
/// connection.
pub async fn acquire(ctx: &Context, request: &LockRequest) -> Result<AcquiredLock, Failure> {
    let started = Instant::now();
    ctx.signals.hold();
    let (kept, entry) = ctx.store().contend(&request.name, request.mode, request.label(), request.ttl_seconds).await?;
    if kept.ttl().as_secs() != request.ttl_seconds.unsigned_abs() {
        ctx.out.detail(&format!(
            "requested a TTL of {} s, etcd granted {} s",
            request.ttl_seconds,
            kept.ttl().as_secs()
        ));
    }
    let acquired = match entry {
        Ok(entry) => queue(ctx, request, &kept, entry, started).await,
        Err(error) => Err(error.into()),
    };
    match acquired {
        Ok(guard) => Ok(AcquiredLock {
            name: bytes::escape(&request.name),
            guard,
            shared: request.mode.shared,
            proposal: request.proposal.clone(),
            kept,
        }),
        Err(failure) => {
            abandon(ctx, &kept).await;
            Err(failure)
        }
    }
}

async fn queue(
    ctx: &Context,
    request: &LockRequest,
    kept: &LeaseKeeper,
    entry: QueueEntry,
    started: Instant,
) -> Result<LockGuard, Failure> {
    let store = ctx.store();
    kept.watch_key(store, &entry.guard.key, entry.guard.revision);
    if entry.first {
        return Ok(entry.guard);
    }
    if request.wait == WaitLimit::None {
        return match store.blocker(&entry).await? {
            None => Ok(entry.guard),
            Some(blocker) => Err(busy(ctx, &request.name, Some(&format_blocker(&blocker)))),
        };
    }
    let limit = match request.wait {
        WaitLimit::For(time) => Some(started + time),
        _ => None,
    };
    let result = tokio::select! {
        biased;
        result = wait(ctx, request, &entry, kept, limit) => result,
        never = announce(ctx, request, &entry, started) => match never {},
    };
    result.map(|()| entry.guard)
}

async fn wait(
    ctx: &Context,
    request: &LockRequest,
    entry: &QueueEntry,
    kept: &LeaseKeeper,
    limit: Option<Instant>,
) -> Result<(), Failure> {
    let (name, rw) = (bytes::escape(&request.name), request.mode.rw);
    let last = Arc::new(Mutex::new(None));
    let (out, shown, seen) = (ctx.out.clone(), name.clone(), Arc::clone(&last));
    let delete = ctx.command_line(&["delete"]);
    let on_blocker = move |blocker: &Blocker| {
        let (name, key) = (&shown, bytes::escape(&blocker.key));
        out.detail(&format!("lock {name}: waiting for {key}"));
        if blocker.lease.is_none() {
            out.warn(&format!(
                "lock {name}: {key} has no lease and blocks the lock until it is deleted: '{}'",
                delete.clone().key(&blocker.key)
            ));
        }
        if !rw && blocker.rw {
            out.warn(&format!(
                "lock {name}: {key} belongs to Go's recipes.RWMutex, whose readers ignore this lock; add --rw"
            ));
        }
        seen.lock().unwrap_or_else(PoisonError::into_inner).replace(format_blocker(blocker));
    };
    let (store, entry) = (ctx.store().clone(), entry.clone());
    let turn = run_on_io_thread(async move { store.wait_turn(&entry, on_blocker).await });
    let lost = |loss| {
        let at = if matches!(loss, LeaseLoss::Late(_)) { Exit::Unreachable } else { exit_of(&loss) };
        Failure::new(at, format!("the position in the queue of lock {name} was lost: {loss}"))
    };
    tokio::select! {
        biased;
        () = ctx.signals.cancel().cancelled() => Err(Failure::new(Exit::Interrupted, format!("interrupted while waiting for lock {name}"))),
        loss = kept.lost(Duration::ZERO) => Err(lost(loss)),
        () = until(limit) => Err(busy(ctx, &request.name, last.lock().unwrap_or_else(PoisonError::into_inner).as_deref())),
        () = ctx.deadline_passed() => Err(Failure::new(Exit::Unreachable, format!("the --deadline of the whole command has passed (while waiting for lock {name})"))),
        turn = turn => match turn? {
            true => Ok(()),
            false => Err(lost(LeaseLoss::KeyGone)),
        },
    }
}

fn busy(ctx: &Context, name: &[u8], holder: Option<&str>) -> Failure {
    let (line, name) = (ctx.command_line(&["lock", "--list"]).key(name), bytes::escape(name));
    let by = holder.map_or(String::new(), |holder| format!("; {holder} is ahead in the queue"));
    Failure::new(Exit::No, format!("lock {name} is taken{by}"))
        .hint(format!("'{line}' shows the holder and the waiters"))
}

/// The blocker's key and its owner.
fn format_blocker(blocker: &Blocker) -> String {
    let key = bytes::escape(&blocker.key);
    blocker.owner.as_ref().map_or_else(|| key.clone(), |owner| format!("{key} ({owner})"))
}

/// Says who holds the lock and for how long it has been waited for: on a terminal in one line that is redrawn, otherwise as
/// a note from time to time.
async fn announce(ctx: &Context, request: &LockRequest, entry: &QueueEntry, started: Instant) -> Infallible {
    let progress = ctx.out.waiting();
    let name = bytes::escape(&request.name);
    if !progress.is_shown() {
        let mut pause = ANNOUNCE_AFTER;
        loop {
            sleep(pause).await;
            if let Some(view) = read_queue(ctx, request, entry).await {
                ctx.out.note(&format_waiting(&name, None, Some(&view)));
            }
            pause = ANNOUNCE_EVERY;
        }
    }
    let view = Mutex::new(None);
    let lock = || view.lock().unwrap_or_else(PoisonError::into_inner);
    let reading = async {
        loop {
            let read = read_queue(ctx, request, entry).await;
            *lock() = read;
            sleep(REFRESH_EVERY).await;
        }
    };
    let drawing = async {
        loop {
            progress.set_label(|| format_waiting(&name, Some(started.elapsed()), lock().as_ref()));
            progress.tick();
            sleep(REDRAW_EVERY).await;
        }
    };
    tokio::select! {
        never = reading => never,
        never = drawing => never,
    }
}

/// What a waiter sees of its queue.
struct QueueView {
    holder: LockHolder,
    place: u64,
}

/// Reads the holder and the place in the queue; `None` if nobody holds the lock any more. A failure is the business of the
/// wait itself.
async fn read_queue(ctx: &Context, request: &LockRequest, entry: &QueueEntry) -> Option<QueueView> {
    let store = ctx.store();
    let holder = store.lock_holder(&request.name, request.mode.shared).await.ok()??;
    let place = store.place_in_queue(&request.name, entry.guard.revision, MAX_PLACE).await.ok()?;
    Some(QueueView { holder, place })
}

/// The holder and the place in the queue; with `waited`, also for how long this command has waited.
fn format_waiting(name: &str, waited: Option<Duration>, view: Option<&QueueView>) -> String {
    let waited_text = waited.map_or(String::new(), |waited| format!("{} ", format_seconds(waited.as_secs())));
    let text = format!("waiting {waited_text}for {name}");
    let Some(QueueView { holder, place }) = view else { return text };
    let what = if holder.holds { "held by" } else { "behind" };
    let key = holder.lease.map_or_else(|| bytes::escape(&holder.key), |lease| lease.to_string());
    let who = match &holder.owner {
        // One line of a terminal has room for the owner only.
        Some(owner) if waited.is_some() => owner.to_string(),
        Some(owner) => format!("{key} ({owner})"),
        None => key,
    };
    let since = holder.owner.as_ref().and_then(|owner| owner.waited_seconds(Time::now()));
    let since = since.map_or(String::new(), |seconds| format!(" for {}", format_seconds(seconds)));
    let more = if *place >= u64::from(MAX_PLACE) { " or later" } else { "" };
    match waited {
        // What may be cut at the end is least important.
        Some(_) => format!("{text}, place {place}{more}: {what} {who}{since}"),
        None => format!("{text}: {what} {who}{since}; place {place}{more} in the queue"),
    }
}

/// A duration in whole seconds: `59s`, `12m5s`, `3h0m`.
fn format_seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Sleeps until the deadline, or forever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Revokes the lease, which deletes the key.
async fn abandon(ctx: &Context, kept: &LeaseKeeper) {
    kept.stop();
    let limit = CLEANUP_TIMEOUT.min(kept.state().until.remaining().max(Duration::from_secs(1)));
    if let Err(error) = ctx.store().for_cleanup(limit).revoke_own(kept.id()).await {
        let ttl = kept.ttl().as_secs();
        ctx.out.warn(&format!("cannot revoke lease {}, which expires within {ttl} s: {error}", kept.id()));
    }
}
