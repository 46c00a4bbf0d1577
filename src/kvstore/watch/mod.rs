//! A watch without gaps or duplicates: it resumes by itself and returns each event once, in order.
//!
//! Several ranges are watched as one range that covers them; events between the ranges are dropped here. etcd orders
//! the events of a single watch only: two watches on one stream may overtake each other while one of them catches up,
//! and progress responses of old servers do not tell (<https://github.com/etcd-io/etcd/issues/15220>). With one watch
//! the order is etcd's: by revision, and within a revision by the order of the transaction.

pub(crate) mod assembly;
pub(crate) mod backlog;
pub(crate) mod ranges;
pub(crate) mod stream;
pub(crate) mod wire;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::kvstore::backoff::Backoff;
use crate::kvstore::error::Error;
use crate::kvstore::identity::StoreMismatch;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::login::of_given_token;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::store::Store;
use crate::kvstore::types::{KeyValue, Revision};
use crate::transport::Notice;

use crate::kvstore::watch::assembly::{Assembly, OversizedRevision};
use crate::kvstore::watch::backlog::Backlog;
use crate::kvstore::watch::stream::{OpenedWatch, ResponseForm, WatchMessage};
use crate::kvstore::watch::wire::{RawEvent, RecordMessage};

/// A stream that lived this long was stable: the next retry starts with the shortest delay.
const STABLE_AFTER: Duration = Duration::from_secs(1);
/// Time after which an interruption is reported; most reconnects are faster.
const REPORT_AFTER: Duration = Duration::from_secs(1);

/// Events per update, unless one revision has more: a response of a backlog has up to 128 000, which are not all held
/// decoded too.
const UPDATE_EVENTS: usize = 4096;
/// Bytes per update, unless one revision has more.
const UPDATE_BYTES: usize = 1 << 20;

/// A batch of the past with fewer events is the last one: etcd sends up to 1000 revisions at a time.
const FULL_BATCH: usize = 1000;

/// The number of logins after which a refusal is no longer taken for one of the token.
const MAX_LOGINS: u32 = 2;

/// What to watch.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// The ranges; overlapping and adjacent ones are joined.
    pub ranges: Vec<KeyRange>,
    /// The first revision to return, at least 1.
    pub start: Revision,
    /// The latest known revision of the store: a member behind it lags, or belongs to another store.
    pub known: Revision,
    /// Whether to return the record that each event replaced or deleted, unless compacted.
    pub prev: bool,
}

/// A change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// The record after the change; for a deletion only the key and, as `mod_revision`, the revision of the deletion.
    pub kv: KeyValue,
    /// Whether the key was deleted.
    pub deleted: bool,
    /// The record before the change, if requested and not compacted.
    pub prev: Option<KeyValue>,
}

/// An update of a watch.
#[derive(Debug)]
pub enum WatchUpdate {
    /// The next changes, of one or more whole revisions.
    Events(Vec<WatchEvent>),
    /// There are no new events, but the watch's position has advanced.
    Progress,
    /// The stream has been interrupted for a second, for this reason; the watch keeps reconnecting.
    Disconnected(Error),
    /// The stream works again after a [`WatchUpdate::Disconnected`].
    Reconnected,
    /// The events from the watch's position up to this revision are compacted; nothing follows before
    /// [`Watcher::move_to`].
    Compacted(Revision),
}

/// A watch on one or more ranges. See [`Store::watch`].
pub struct Watcher {
    store: Store,
    ranges: Vec<KeyRange>,
    options: WatchOptions,
    assembly: Assembly,
    /// Whether etcd is asked to fragment large responses, because one was too large.
    fragment: bool,
    open: Option<OpenedWatch>,
    /// Events of whole revisions that were not returned yet.
    pending: std::vec::IntoIter<RawEvent>,
    /// The streams that fetch a backlog instead of `open`.
    backlog: Option<Backlog>,
    lost: Option<StreamLost>,
    backoff: Backoff,
    /// The new auth tokens that were requested since the last watch was created.
    logins: u32,
    /// The streams that were opened.
    opened: u64,
    /// The member's revision when it sent a full batch of an earlier time; 0 if the last response was no such batch.
    behind_of: Revision,
}

/// An interruption of the stream.
struct StreamLost {
    since: Instant,
    error: Option<Error>,
    reported: bool,
}

impl Store {
    /// Creates a watch; the first [`Watcher::next`] sends its request.
    pub fn watch(&self, options: WatchOptions) -> Watcher {
        Watcher {
            store: self.clone(),
            ranges: KeyRange::joined(options.ranges.clone()),
            assembly: Assembly::new(options.start),
            options,
            fragment: false,
            open: None,
            pending: Vec::new().into_iter(),
            backlog: None,
            lost: None,
            backoff: Backoff::default(),
            logins: 0,
            opened: 0,
            behind_of: 0,
        }
    }

    /// The store's revision, from a read within the range, so that read permission for the range suffices.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn revision_for(&self, range: &KeyRange) -> Result<Revision, Error> {
        let first = if range.start.is_empty() { b"\0" } else { range.start.as_slice() };
        self.revision_at_key(first).await
    }
}

impl Watcher {
    /// The next update. Cancel-safe.
    ///
    /// # Errors
    /// The end of the session, or a refusal that a retry cannot change. All other errors are retried.
    pub async fn next(&mut self) -> Result<WatchUpdate, Error> {
        let store = self.store.clone();
        tokio::select! {
            biased;
            error = store.ended("watch") => Err(error),
            update = self.step() => update,
        }
    }

    /// The first revision that was not returned yet.
    pub fn next_revision(&self) -> Revision {
        self.pending.as_slice().first().map_or(self.assembly.next(), |event| event.revision)
    }

    /// The number of streams opened so far. A stream that begins at the compacted revision may lack the deletions of that
    /// revision: older versions of etcd drop them (<https://github.com/etcd-io/etcd/issues/18089>).
    pub fn opened_streams(&self) -> u64 {
        self.opened
    }

    /// The number of revisions that are still to be returned although they have happened, as far as the member's responses
    /// tell; 0 for a watch that has caught up.
    pub fn behind(&self) -> u64 {
        let end = self.backlog.as_ref().map_or(self.behind_of, |backlog| self.behind_of.max(backlog.end()));
        u64::try_from(end.saturating_sub(self.next_revision().saturating_sub(1))).unwrap_or(0)
    }

    /// Whether the stream was interrupted and has not come back.
    pub fn is_interrupted(&self) -> bool {
        self.lost.is_some()
    }

    /// Continues at this revision, after the caller has handled a compaction.
    pub fn move_to(&mut self, next: Revision) {
        self.assembly = Assembly::new(next);
        self.options.known = next;
        self.open = None;
        self.pending = Vec::new().into_iter();
        self.backlog = None;
        self.behind_of = 0;
    }

    async fn step(&mut self) -> Result<WatchUpdate, Error> {
        loop {
            if !self.pending.as_slice().is_empty() {
                let update = self.take_pending();
                return Ok(if update.is_empty() { WatchUpdate::Progress } else { WatchUpdate::Events(update) });
            }
            if let Some(backlog) = &mut self.backlog {
                let segment = backlog.next().await;
                if !segment.as_ref().is_some_and(|segment| segment.complete) {
                    self.backlog = None;
                }
                let Some(segment) = segment else { continue };
                self.assembly = Assembly::new(segment.next);
                self.pending = segment.events.into_iter();
                continue;
            }
            let Some(open) = &mut self.open else {
                match self.connect().await? {
                    Some(update) => return Ok(update),
                    None => continue,
                }
            };
            match open.next_message().await {
                WatchMessage::Events { events, more, told } => {
                    let sent = events.last().map_or(told, |event| event.revision);
                    // A watch that has caught up gets each change at once: only a batch of the past ends before the present.
                    self.behind_of = if events.len() >= FULL_BATCH && sent < told { told } else { 0 };
                    // Only the first response shows the size and pace of the backlog.
                    let (took, end) = (open.age(), std::mem::take(&mut open.unread_up_to));
                    if end > 0 && !more {
                        let cover = KeyRange::cover(&self.ranges);
                        let prev = self.options.prev;
                        self.backlog = Backlog::plan(&self.store, &cover, prev, &events, took, end);
                    }
                    let oversized =
                        |refused: OversizedRevision| Error::Protocol { op: "watch", what: refused.message() };
                    let whole = self.assembly.push(events, more).map_err(oversized)?;
                    self.pending = whole.into_iter();
                    if self.backlog.is_some() {
                        self.open = None;
                    }
                    // Progress is reported although no event may be wanted.
                    if self.pending.as_slice().is_empty() && !more {
                        return Ok(WatchUpdate::Progress);
                    }
                }
                WatchMessage::Progress(reached) => {
                    if self.assembly.progress(reached) {
                        return Ok(WatchUpdate::Progress);
                    }
                }
                WatchMessage::Compacted(compacted) => {
                    self.open = None;
                    let next = self.assembly.next();
                    if compacted < next {
                        let what =
                            format!("revision {compacted} is compacted, but the watch had already reached {next}");
                        return Err(Error::Protocol { op: "watch", what });
                    }
                    return Ok(WatchUpdate::Compacted(compacted));
                }
                WatchMessage::Lost(error) => self.handle_loss(error).await?,
            }
        }
    }

    /// The next whole revisions of the pending events: those of the watched ranges, without the namespace.
    fn take_pending(&mut self) -> Vec<WatchEvent> {
        let events = self.pending.as_slice();
        let mut bytes = 0_usize;
        let full = events.iter().take(UPDATE_EVENTS).position(|event| {
            bytes = bytes.saturating_add(event.bytes());
            bytes >= UPDATE_BYTES
        });
        let last = events.get(full.unwrap_or(UPDATE_EVENTS.saturating_sub(1))).map(|event| event.revision);
        let count = last.map_or(events.len(), |last| events.partition_point(|event| event.revision <= last));
        let record = |record: &RecordMessage| {
            let kv = record.to_key_value();
            KeyValue { key: self.store.relative(kv.key), ..kv }
        };
        let event = |event: RawEvent| {
            let event = event.decode()?;
            let kv = record(event.kv.as_ref()?);
            let wanted = self.ranges.iter().any(|range| range.contains(&kv.key));
            // In mvccpb.Event.EventType, PUT is 0 and DELETE is 1.
            let prev = event.prev_kv.as_ref().filter(|_| wanted).map(record);
            wanted.then_some(WatchEvent { kv, deleted: event.kind == 1, prev })
        };
        self.pending.by_ref().take(count).filter_map(event).collect()
    }

    /// Opens a stream, or reports the interruption. `None` if there is nothing to report.
    async fn connect(&mut self) -> Result<Option<WatchUpdate>, Error> {
        if let Some(lost) = &mut self.lost
            && !lost.reported
            && lost.since.elapsed() >= REPORT_AFTER
            && let Some(error) = lost.error.take()
        {
            lost.reported = true;
            return Ok(Some(WatchUpdate::Disconnected(error)));
        }
        let due =
            self.lost.as_ref().filter(|lost| !lost.reported).and_then(|lost| lost.since.checked_add(REPORT_AFTER));
        let opened = match due {
            Some(due) => timeout_at(due, self.attempt()).await,
            None => Ok(self.attempt().await),
        };
        // The time to report came first: the next call reports.
        let Ok(opened) = opened else { return Ok(None) };
        match opened {
            Ok(open) => {
                self.open = Some(open);
                self.opened = self.opened.saturating_add(1);
                self.logins = 0;
                let lost = self.lost.take();
                if lost.is_some() {
                    let text = format!("watch: resumed at revision {}", self.assembly.next());
                    self.store.session.observer.notice(Notice::Detail, &text);
                }
                Ok(lost.is_some_and(|lost| lost.reported).then_some(WatchUpdate::Reconnected))
            }
            Err(error) => self.handle_loss(error).await.map(|()| None),
        }
    }

    async fn attempt(&mut self) -> Result<OpenedWatch, Error> {
        if self.lost.is_some() {
            sleep(self.backoff.next_delay()).await;
        }
        let cover = KeyRange::cover(&self.ranges);
        let next = self.assembly.next();
        let (known, prev) = (self.options.known, self.options.prev);
        let open = self.store.open_watch_stream(&cover, next, ResponseForm::of(self.fragment), prev).await?;
        let before = next.saturating_sub(1);
        let reached = if next > self.options.start { before } else { known.min(before) };
        if open.revision < reached {
            self.check_history(reached).await?;
        }
        Ok(open)
    }

    /// Handles a member that is behind revision `reached`. A single member may lag. If the whole cluster is behind, its
    /// history is another one, and its events would be dropped as old ones.
    async fn check_history(&self, reached: Revision) -> Result<(), Error> {
        let Some(range) = self.ranges.first() else { return Ok(()) };
        let now = self.store.revision_for(range).await?;
        if now >= reached {
            return Ok(());
        }
        let endpoint = self.store.inner.channel.current();
        let mismatch = StoreMismatch::Revision { endpoint, revision: now, seen: reached };
        Err(Error::OtherStore { mismatch, executed: None })
    }

    /// Records an interruption; returns an error that a retry cannot change.
    async fn handle_loss(&mut self, error: Error) -> Result<(), Error> {
        if let Some(open) = self.open.take() {
            open.invalidate(&self.store);
            if open.age() >= STABLE_AFTER {
                self.backoff.reset();
            }
        }
        self.assembly.discard_partial();
        if stream::is_final(&error) {
            return Err(error);
        }
        if error.is_refusal(Refusal::OversizedAnswer) && std::mem::replace(&mut self.fragment, true) {
            return Err(error);
        }
        // Old servers answer "permission denied" to an expired token, so both errors are retried with a new token.
        if self.store.options().token.is_some() && stream::is_auth_error(&error) {
            let is_about_token = error.is_refusal(Refusal::BadToken) || error.is_refusal(Refusal::StaleAuth);
            return Err(if is_about_token { of_given_token(&error) } else { error });
        }
        if stream::is_auth_error(&error) {
            let without_user = error.is_refusal(Refusal::NoUser) && self.store.options().credentials.is_none();
            if without_user || self.logins >= MAX_LOGINS && !error.is_refusal(Refusal::StaleAuth) {
                return Err(error);
            }
            self.logins = self.logins.saturating_add(u32::from(self.store.refresh_token().await?));
        }
        self.store.session.observer.notice(Notice::Detail, &format!("watch: {error}; retrying"));
        let lost = self.lost.get_or_insert_with(|| StreamLost { since: Instant::now(), error: None, reported: false });
        lost.error = Some(error);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
