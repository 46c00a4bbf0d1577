//! The state of a mirror that follows its source, and what it waits for.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until};

use super::report::ReportClock;
use crate::kvstore::{Error, Revision, WatchUpdate, Watcher};
use crate::sync::mirror::{
    ChangeQueue, MirrorBatch, MirrorError, MirrorPosition, PlaceOutcome, PlaceWriter, WithinRevision,
};

/// How many times as long as a comparison the mirror waits before the next one: it reads all keys.
const PAUSE_FACTOR: u32 = 50;

/// The source's revision at the time of a report.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceNow {
    pub(super) revision: Revision,
    /// Whether it is known that no change up to this revision is left to apply.
    pub(super) is_applied: bool,
    /// The time for finding that out.
    pub(super) took: Duration,
}

/// A transaction that was sent.
pub(super) struct InFlight {
    pub(super) batch: MirrorBatch,
    pub(super) task: JoinHandle<Result<PlaceOutcome, MirrorError>>,
    pub(super) since: Instant,
    /// Which side was reported as not answering.
    pub(super) reported: Option<&'static str>,
}

/// What happens next.
pub(super) enum Event {
    Cancelled,
    Outcome(Result<Result<PlaceOutcome, MirrorError>, JoinError>),
    NoAnswer,
    ReportDue,
    LeaseNews,
    SourceRevision(Result<Result<SourceNow, Error>, JoinError>),
    Silence,
    Update(Result<WatchUpdate, Error>),
}

/// The state of the following.
pub(super) struct Following {
    pub(super) writer: PlaceWriter,
    pub(super) position: MirrorPosition,
    pub(super) watcher: Watcher,
    pub(super) queue: ChangeQueue,
    /// Changes of the first revision that an earlier run has applied.
    pub(super) skip: Option<WithinRevision>,
    pub(super) in_flight: Option<InFlight>,
    /// Whether the place is behind the position.
    pub(super) unsaved: bool,
    pub(super) place_written: Instant,
    /// Whether changes that were not seen are compacted.
    pub(super) compacted: bool,
    /// Whether keys have expired in the destination although their leases live in the source.
    pub(super) expired: bool,
    /// The streams of the watcher whose first revision was checked.
    pub(super) checked_streams: u64,
    pub(super) source_lost: bool,
    /// With --once, the revision to be reached.
    pub(super) target: Option<Revision>,
    pub(super) silence: Duration,
    pub(super) last_update: Instant,
    pub(super) clock: ReportClock,
    pub(super) asking: Option<(JoinHandle<Result<SourceNow, Error>>, Instant)>,
    /// When the source may be compared for a report again.
    pub(super) compare_after: Instant,
}

impl Following {
    /// Whether nothing is under way, so that the source may be compared for a report.
    pub(super) fn may_compare(&self) -> bool {
        let idle = self.in_flight.is_none() && self.queue.is_empty() && self.position.within.is_none();
        idle && !self.compacted && !self.expired && !self.source_lost && Instant::now() >= self.compare_after
    }

    /// Records how long a comparison took.
    pub(super) fn compared(&mut self, took: Duration) {
        self.compare_after = Instant::now() + took.saturating_mul(PAUSE_FACTOR);
    }
}

/// The result of a task, or forever nothing.
pub(super) async fn result_of<T>(task: Option<&mut JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Waits until a time, or forever.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn if_wanted<F: Future>(wanted: bool, future: F) -> F::Output {
    if wanted { future.await } else { std::future::pending().await }
}
