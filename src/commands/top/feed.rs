//! Watches the store and counts its changes, on the thread of the connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::activity::{ActivityMonitor, ObservedChange, PeriodActivity};
use crate::duration::format_duration;
use crate::kvstore::{Error, KeyRange, Revision, Store, WatchEvent, WatchOptions, WatchUpdate, Watcher};

/// How often the revision of the store is read. The answer proves that the connection of the watch works.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);
/// An answer that takes longer is missed.
const CONFIRM_WITHIN: Duration = Duration::from_secs(2);

/// Whether the counts of a period are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FeedState {
    /// Every change of the period is counted.
    Live,
    /// Changes have happened that are not counted yet.
    Behind,
    /// The watch was interrupted in an earlier period; changes of that time are counted in this one.
    Resumed,
    /// Changes were compacted before they could be counted.
    Gap,
    /// etcd has not answered for a while: there may be changes that are not known.
    Unconfirmed,
    /// The watch is interrupted.
    Interrupted,
}

impl FeedState {
    /// The value in JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Behind => "behind",
            Self::Resumed => "resumed",
            Self::Gap => "gap",
            Self::Unconfirmed => "unconfirmed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What is known of the watch at the end of a period.
#[derive(Clone, Debug)]
pub(super) struct FeedStatus {
    pub(super) state: FeedState,
    /// What is wrong, if the state is not [`FeedState::Live`].
    pub(super) reason: Option<String>,
    /// The latest known revision of the store.
    pub(super) revision: Revision,
    /// The revisions that have happened and are not counted yet.
    pub(super) behind: u64,
    /// Whether etcd has answered since the watch began.
    pub(super) has_answered: bool,
}

impl FeedStatus {
    /// Whether nothing is known of the time since the watch began.
    pub(super) fn knows_nothing(&self) -> bool {
        !self.has_answered && matches!(self.state, FeedState::Unconfirmed | FeedState::Interrupted)
    }
}

/// A watch whose changes are counted.
pub(super) struct Feed {
    shared: Arc<FeedShared>,
    watching: JoinHandle<Error>,
    /// Confirms the connection; aborted with the feed.
    _confirming: JoinSet<()>,
}

struct FeedShared {
    monitor: Mutex<ActivityMonitor>,
    progress: Mutex<FeedProgress>,
}

struct FeedProgress {
    revision: Revision,
    behind: u64,
    /// Since when, and why, the watch is interrupted.
    interrupted: Option<(Instant, String)>,
    /// How long an interruption took that ended in this period.
    resumed_after: Option<Duration>,
    /// The revisions that were compacted before they could be counted.
    gap: Option<(Revision, Revision)>,
    confirmed: Instant,
    /// Whether etcd has answered since the watch began.
    has_answered: bool,
    /// Why the last confirmation failed.
    unconfirmed: Option<String>,
}

impl FeedShared {
    fn progress(&self) -> MutexGuard<'_, FeedProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn monitor(&self) -> MutexGuard<'_, ActivityMonitor> {
        self.monitor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    /// Connects and begins to watch at the next revision.
    pub(super) async fn begin(store: &Store, range: KeyRange, monitor: ActivityMonitor) -> Result<Self, Error> {
        let revision = store.revision_for(&range).await?;
        let start = revision.saturating_add(1);
        let watcher = store.watch(WatchOptions { ranges: vec![range.clone()], start, known: revision, prev: false });
        let progress = FeedProgress {
            revision,
            behind: 0,
            interrupted: None,
            resumed_after: None,
            gap: None,
            confirmed: Instant::now(),
            has_answered: false,
            unconfirmed: None,
        };
        let shared = Arc::new(FeedShared { monitor: Mutex::new(monitor), progress: Mutex::new(progress) });
        let follower = Follower { shared: Arc::clone(&shared), store: store.clone(), range: range.clone(), watcher };
        let watching = tokio::spawn(follower.run());
        let mut confirming = JoinSet::new();
        confirming.spawn(confirm(Arc::clone(&shared), store.clone(), range));
        Ok(Self { shared, watching, _confirming: confirming })
    }

    /// Waits for the error that ends the watch. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Error {
        match (&mut self.watching).await {
            Ok(error) => error,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Error::Interrupted { op: "watch", unknown: false },
        }
    }

    /// Returns what was counted in this period, and begins the next one.
    pub(super) fn end_period(&self, took: Duration) -> (PeriodActivity, FeedStatus) {
        let activity = self.shared.monitor().end_period();
        let mut progress = self.shared.progress();
        let (state, reason) = progress.judge(took);
        (progress.gap, progress.resumed_after) = (None, None);
        (
            activity,
            FeedStatus {
                state,
                reason,
                revision: progress.revision,
                behind: progress.behind,
                has_answered: progress.has_answered,
            },
        )
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl FeedProgress {
    fn judge(&self, period: Duration) -> (FeedState, Option<String>) {
        let seconds = |time: Duration| format_duration(Duration::from_secs(time.as_secs().max(1)));
        if let Some((since, why)) = &self.interrupted {
            let reason = format!("the watch is interrupted for {}, and will resume: {why}", seconds(since.elapsed()));
            return (FeedState::Interrupted, Some(reason));
        }
        if let Some((from, to)) = self.gap {
            let reason = format!(
                "the changes of revisions {from} to {to} are not counted: they were compacted while the watch was interrupted"
            );
            return (FeedState::Gap, Some(reason));
        }
        let silent = self.confirmed.elapsed();
        if silent > period.max(CONFIRM_EVERY).saturating_add(CONFIRM_WITHIN) {
            let why = self.unconfirmed.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            let reason = format!(
                "etcd has not answered for {}: there may be changes that are not counted yet{why}",
                seconds(silent)
            );
            return (FeedState::Unconfirmed, Some(reason));
        }
        if let Some(time) = self.resumed_after {
            let reason = format!(
                "the watch was interrupted for {}; the changes of that time are counted in this period and the next ones",
                seconds(time)
            );
            return (FeedState::Resumed, Some(reason));
        }
        match self.behind {
            0 => (FeedState::Live, None),
            behind => {
                (FeedState::Behind, Some(format!("the watch is {behind} revisions behind the store and catches up")))
            }
        }
    }
}

/// Reads the revision of the store again and again.
async fn confirm(shared: Arc<FeedShared>, store: Store, range: KeyRange) {
    loop {
        sleep(CONFIRM_EVERY).await;
        let read = store.revision_for(&range).await;
        let mut progress = shared.progress();
        match read {
            Ok(revision) => {
                progress.revision = progress.revision.max(revision);
                progress.confirmed = Instant::now();
                progress.has_answered = true;
                progress.unconfirmed = None;
            }
            Err(error) => progress.unconfirmed = Some(error.one_line()),
        }
    }
}

struct Follower {
    shared: Arc<FeedShared>,
    store: Store,
    range: KeyRange,
    watcher: Watcher,
}

impl Follower {
    /// Counts until an error that a retry cannot change.
    async fn run(mut self) -> Error {
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(error) => return error,
            }
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        match self.watcher.next().await? {
            WatchUpdate::Events(events) => {
                let mut monitor = self.shared.monitor();
                events.iter().for_each(|event| monitor.record(observed(event)));
                drop(monitor);
                self.shared.progress().has_answered = true;
            }
            WatchUpdate::Progress => {}
            WatchUpdate::Disconnected(why) => {
                self.shared.progress().interrupted = Some((Instant::now(), why.one_line()));
            }
            WatchUpdate::Reconnected => self.resumed(),
            WatchUpdate::Compacted(compacted) => {
                let from = self.watcher.next_revision();
                // The present is what matters here: what is left of the past is not counted either.
                let now = self.store.revision_for(&self.range).await?.max(compacted);
                self.watcher.move_to(now.saturating_add(1));
                let mut progress = self.shared.progress();
                let first = progress.gap.map_or(from, |(first, _)| first);
                progress.gap = Some((first, now));
            }
        }
        let reached = self.watcher.next_revision().saturating_sub(1);
        let behind = self.watcher.behind();
        let mut progress = self.shared.progress();
        progress.revision = progress.revision.max(reached);
        progress.behind = behind;
        Ok(())
    }

    fn resumed(&self) {
        let mut progress = self.shared.progress();
        if let Some((since, _)) = progress.interrupted.take() {
            // The watch reports an interruption when it has lasted for a second.
            progress.resumed_after = Some(since.elapsed().saturating_add(Duration::from_secs(1)));
        }
    }
}

fn observed(event: &WatchEvent) -> ObservedChange<'_> {
    let kv = &event.kv;
    ObservedChange {
        key: &kv.key,
        bytes: kv.size() as u64,
        deleted: event.deleted,
        lease: kv.lease.map(|lease| lease.0),
    }
}
