//! Fetches a large backlog of single changes with several concurrent watch streams.
//!
//! etcd sends a watch that starts in the past at most 1000 revisions per 100 ms, and rescans the whole backlog for each
//! such batch; but one scan serves all waiting watches (`syncWatchers` in its `mvcc/watchable_store.go`). So the
//! backlog is split into segments smaller than a batch, each with its own stream. etcd keeps each watch in order, so a
//! segment is complete once its stream delivers a later revision.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use crate::duration::from_now;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::store::Store;
use crate::kvstore::types::Revision;
use crate::kvstore::watch::assembly::Assembly;
use crate::kvstore::watch::stream::{ResponseForm, WatchMessage};
use crate::kvstore::watch::wire::RawEvent;

/// Revisions per segment: less than etcd's batch of 1000, so that one response completes a dense segment.
const SEGMENT_REVISIONS: Revision = 900;
/// The number of concurrent streams,
const MAX_STREAMS: usize = 16;
/// limited so that their responses need about this much memory if all are like the first batch, and twice as much at most.
const MAX_BYTES: usize = 8 << 20;
/// A shorter backlog gains nothing from several streams.
const MIN_BACKLOG: Revision = 4 * SEGMENT_REVISIONS;
/// A segment is given up after this multiple of the first batch's time, plus this duration.
const SEGMENT_TIMEOUT: (u32, Duration) = (4, Duration::from_millis(500));

/// The rest of a backlog that is being fetched.
pub(crate) struct Backlog {
    segments: VecDeque<JoinHandle<BacklogSegment>>,
    plan: BacklogPlan,
    /// The start of the next segment to request.
    next: Revision,
}

#[derive(Clone)]
struct BacklogPlan {
    store: Store,
    cover: KeyRange,
    prev: bool,
    streams: usize,
    /// The end of the backlog (exclusive).
    end: Revision,
    segment_timeout: Duration,
}

/// The result of a segment.
pub(crate) struct BacklogSegment {
    /// The events, in order.
    pub(crate) events: Vec<RawEvent>,
    /// The first revision that the events do not contain as a whole.
    pub(crate) next: Revision,
    /// Whether the segment is complete; otherwise an ordinary stream continues at `next`.
    pub(crate) complete: bool,
}

impl Backlog {
    /// Plans the rest of a backlog up to `end`, given the first batch and the time it took; `None` if several streams
    /// would not be faster.
    pub(crate) fn plan(
        store: &Store,
        cover: &KeyRange,
        prev: bool,
        batch: &[RawEvent],
        took: Duration,
        end: Revision,
    ) -> Option<Self> {
        let (streams, next) = (streams(batch, end)?, batch.last()?.revision.saturating_add(1));
        let segment_timeout = took.saturating_mul(SEGMENT_TIMEOUT.0).saturating_add(SEGMENT_TIMEOUT.1);
        let plan = BacklogPlan { store: store.clone(), cover: cover.clone(), prev, streams, end, segment_timeout };
        Some(Self { segments: VecDeque::new(), plan, next })
    }

    /// The end of the backlog (exclusive).
    pub(crate) fn end(&self) -> Revision {
        self.plan.end
    }

    /// The next segment; `None` after the last one. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<BacklogSegment> {
        while self.segments.len() < self.plan.streams && segment_end(self.next) < self.plan.end {
            let (plan, start) = (self.plan.clone(), self.next);
            self.next = segment_end(start);
            self.segments.push_back(tokio::spawn(async move { plan.fetch(start).await }));
        }
        let segment = self.segments.front_mut()?.await.ok();
        self.segments.pop_front();
        segment
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.segments.iter().for_each(JoinHandle::abort);
    }
}

impl BacklogPlan {
    async fn fetch(&self, start: Revision) -> BacklogSegment {
        let end = segment_end(start);
        let mut assembly = Assembly::new(start);
        let (mut events, mut bytes) = (Vec::new(), 0_usize);
        let until = from_now(self.segment_timeout);
        let max_bytes = MAX_BYTES.saturating_mul(2).checked_div(self.streams).unwrap_or(MAX_BYTES);
        let form = ResponseForm { fragment: false, max_bytes };
        // The ordinary stream meets the same error and reports it.
        if let Ok(Ok(mut open)) =
            timeout_at(until, self.store.open_watch_stream(&self.cover, start, form, self.prev)).await
        {
            while let Ok(WatchMessage::Events { events: more, more: cut, .. }) =
                timeout_at(until, open.next_message()).await
            {
                bytes = more.iter().map(RawEvent::bytes).fold(bytes, usize::saturating_add);
                // Larger events than those of the first batch.
                if bytes > max_bytes {
                    break;
                }
                let Ok(whole) = assembly.push(more, cut) else { break };
                events.extend(whole.into_iter().filter(|event| event.revision < end));
                if assembly.next() > end {
                    return BacklogSegment { events, next: end, complete: true };
                }
            }
        }
        BacklogSegment { next: assembly.next(), events, complete: false }
    }
}

/// The end of the segment that starts at this revision (exclusive).
fn segment_end(start: Revision) -> Revision {
    start.saturating_add(SEGMENT_REVISIONS)
}

/// The number of streams, estimated from the first batch; `None` if the rest is short, few of its revisions are of
/// watched keys, or the events are large.
fn streams(batch: &[RawEvent], end: Revision) -> Option<usize> {
    let (first, last) = (batch.first()?.revision, batch.last()?.revision);
    let mut revisions: Vec<Revision> = batch.iter().map(|event| event.revision).collect();
    revisions.dedup();
    let count = Revision::try_from(revisions.len()).unwrap_or(Revision::MAX);
    let dense = count >= SEGMENT_REVISIONS && last.saturating_sub(first) < count.saturating_mul(11).div_euclid(10);
    let bytes = batch.iter().map(RawEvent::bytes).fold(0, usize::saturating_add);
    let streams = MAX_BYTES.checked_div(bytes).unwrap_or(MAX_STREAMS).min(MAX_STREAMS);
    (dense && streams > 1 && end.saturating_sub(last) >= MIN_BACKLOG).then_some(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(revisions: impl Iterator<Item = Revision>, bytes: usize) -> Vec<RawEvent> {
        revisions.map(|at| RawEvent::put(b"", &vec![0; bytes], at)).collect()
    }

    #[test]
    fn only_a_long_dense_backlog_of_small_changes_is_worth_it() {
        let dense = batch(1..=1000, 300);
        assert_eq!(streams(&dense, 100_000), Some(16));
        assert_eq!(streams(&dense, 2000), None, "little is left");
        assert_eq!(streams(&batch((1..=1000).map(|n| n * 2), 300), 100_000), None, "every second revision");
        assert_eq!(streams(&batch(1..=500, 300), 100_000), None, "less than a batch");
        assert_eq!(streams(&batch(1..=1000, 2000), 100_000), Some(4), "larger ones by fewer streams");
        assert_eq!(streams(&batch(1..=1000, 9000), 100_000), None, "large ones by one");
        let transactions = batch((0..10_000).map(|n| 1 + n / 10), 300);
        assert_eq!(streams(&transactions, 100_000), Some(2), "ten changes a revision");
        assert_eq!(streams(&[], 100_000), None);
    }
}
