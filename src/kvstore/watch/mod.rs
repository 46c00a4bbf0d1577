//! The watch that loses nothing: it resumes by itself, tells each event once, and never goes back.
//!
//! Several ranges are watched as the one range that covers them, and what lies between is left out here. etcd orders
//! the events of one watch only: two watches on one stream may overtake each other while one of them catches up, and
//! old servers' answers to progress requests cannot be trusted to tell (<https://github.com/etcd-io/etcd/issues/15220>).
//! So the order is etcd's own: by revision, and within a revision by the order of the transaction.

pub(crate) mod assembly;
pub(crate) mod backlog;
pub(crate) mod ranges;
pub(crate) mod stream;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::kvstore::backoff::Backoff;
use crate::kvstore::error::{Error, Refusal};
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::store::Store;
use crate::kvstore::types::{KeyValue, Revision};
use crate::transport::Notice;

use crate::kvstore::watch::assembly::Assembly;
use crate::kvstore::watch::backlog::Backlog;
use crate::kvstore::watch::stream::{OpenedWatch, WatchMessage};

/// A stream that lived so long was a good one: the next try comes soon.
const STABLE_AFTER: Duration = Duration::from_secs(1);
/// How long the stream may be away before it is update.
const REPORT_AFTER: Duration = Duration::from_secs(1);

/// What is watched.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// The ranges; those that overlap or touch are joined.
    pub ranges: Vec<KeyRange>,
    /// The first revision that is update, at least 1.
    pub start: Revision,
    /// The store's revision as far as it is known: a member that is behind it lags, or is another store's.
    pub known: Revision,
    /// With the record that each event replaced or deleted, as far as compaction allows.
    pub prev: bool,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// What the key is now; of a deleted one the key and, as `mod_revision`, the revision of its deletion.
    pub kv: KeyValue,
    /// Whether the key was deleted.
    pub deleted: bool,
    /// What it was before; only where asked for, and not compacted.
    pub prev: Option<KeyValue>,
}

/// What a watch tells.
#[derive(Debug)]
pub enum WatchUpdate {
    /// The next changes, of one or more whole revisions.
    Events(Vec<WatchEvent>),
    /// There is nothing to tell, and the watch's place has moved on.
    Progress,
    /// The stream has been away for a second, for this reason; it is being sought.
    Disconnected(Error),
    /// The stream is back after an [`WatchUpdate::Disconnected`].
    Reconnected,
    /// The events from the watch's place on up to this revision are gone; nothing comes before
    /// [`Watcher::move_to`].
    Compacted(Revision),
}

/// A watch on one or more ranges. See [`Store::watch`].
pub struct Watcher {
    store: Store,
    ranges: Vec<KeyRange>,
    options: WatchOptions,
    assembly: Assembly,
    /// Large answers are asked for in fragment: one was larger than is taken whole.
    fragment: bool,
    open: Option<OpenedWatch>,
    /// What several streams fetch in the place of the one.
    backlog: Option<Backlog>,
    lost: Option<StreamLost>,
    backoff: Backoff,
    /// A fresh token was asked for since the last watch that was granted.
    token_refreshed: bool,
}

/// The stream is away.
struct StreamLost {
    since: Instant,
    error: Option<Error>,
    reported: bool,
}

impl Store {
    /// A watch; nothing is sent before the first [`Watcher::next`].
    pub fn watch(&self, options: WatchOptions) -> Watcher {
        Watcher {
            store: self.clone(),
            ranges: KeyRange::joined(options.ranges.clone()),
            assembly: Assembly::new(options.start),
            options,
            fragment: false,
            open: None,
            backlog: None,
            lost: None,
            backoff: Backoff::default(),
            token_refreshed: false,
        }
    }

    /// The store's revision, from a read within the range, so that a user who may read no more gets it too.
    ///
    /// # Errors
    /// Whatever kept the answer away.
    pub async fn revision_for(&self, range: &KeyRange) -> Result<Revision, Error> {
        let first = if range.start.is_empty() { b"\0" } else { range.start.as_slice() };
        Ok(self.count(&KeyRange::key(first), 0, None).await?.revision)
    }
}

impl Watcher {
    /// The next thing to tell. It may be dropped half-way and asked for again: nothing is lost.
    ///
    /// # Errors
    /// The end of the session, or a refusal that no second try mends. Everything else is waited out.
    pub async fn next(&mut self) -> Result<WatchUpdate, Error> {
        let store = self.store.clone();
        tokio::select! {
            biased;
            error = store.ended("watch") => Err(error),
            update = self.step() => update,
        }
    }

    /// The first revision that has not been update whole.
    pub fn next_revision(&self) -> Revision {
        self.assembly.next()
    }

    /// Goes on from this revision: after a compaction, when what was missed has been read otherwise.
    pub fn move_to(&mut self, next: Revision) {
        self.assembly = Assembly::new(next);
        self.options.known = next;
        self.open = None;
        self.backlog = None;
    }

    async fn step(&mut self) -> Result<WatchUpdate, Error> {
        loop {
            if let Some(backlog) = &mut self.backlog {
                let segment = backlog.next().await;
                if !segment.as_ref().is_some_and(|segment| segment.complete) {
                    self.backlog = None;
                }
                let Some(segment) = segment else { continue };
                self.assembly = Assembly::new(segment.next);
                let update = self.select(segment.events);
                if !update.is_empty() {
                    return Ok(WatchUpdate::Events(update));
                }
                continue;
            }
            let Some(open) = &mut self.open else {
                match self.connect().await? {
                    Some(update) => return Ok(update),
                    None => continue,
                }
            };
            match open.next_message().await {
                WatchMessage::Events { events, more } => {
                    // Only the first answer tells of the backlog's size and pace.
                    let (took, end) = (open.age(), std::mem::take(&mut open.unread_up_to));
                    if end > 0 && !more {
                        let cover = KeyRange::cover(&self.ranges);
                        let prev = self.options.prev;
                        self.backlog = Backlog::plan(&self.store, &cover, prev, &events, took, end);
                    }
                    let whole = self.assembly.push(events, more);
                    let update = self.select(whole);
                    if self.backlog.is_some() {
                        self.open = None;
                    }
                    if !update.is_empty() {
                        return Ok(WatchUpdate::Events(update));
                    }
                    if !more {
                        return Ok(WatchUpdate::Progress);
                    }
                }
                WatchMessage::Progress(revision) => {
                    if self.assembly.progress(revision) {
                        return Ok(WatchUpdate::Progress);
                    }
                }
                WatchMessage::Compacted(revision) => {
                    self.open = None;
                    return Ok(WatchUpdate::Compacted(revision));
                }
                WatchMessage::Lost(error) => self.handle_loss(error).await?,
            }
        }
    }

    /// The events of the watched ranges, without the namespace.
    fn select(&self, wire: Vec<etcd_client::proto::PbEvent>) -> Vec<WatchEvent> {
        let event = |event: etcd_client::proto::PbEvent| {
            let kv = self.store.from_wire_kv(event.kv?);
            let prev = event.prev_kv.map(|kv| self.store.from_wire_kv(kv));
            let wanted = self.ranges.iter().any(|range| range.contains(&kv.key));
            // DELETE is 1 in etcd's mvccpb.Event.EventType, PUT is 0.
            wanted.then_some(WatchEvent { kv, deleted: event.r#type == 1, prev })
        };
        wire.into_iter().filter_map(event).collect()
    }

    /// Opens a stream, or says that it is away; nothing to tell where it is there and nobody missed it.
    async fn connect(&mut self) -> Result<Option<WatchUpdate>, Error> {
        if let Some(lost) = &mut self.lost
            && !lost.reported
            && lost.since.elapsed() >= REPORT_AFTER
            && let Some(error) = lost.error.take()
        {
            lost.reported = true;
            return Ok(Some(WatchUpdate::Disconnected(error)));
        }
        let due = self.lost.as_ref().filter(|lost| !lost.reported).map(|lost| lost.since + REPORT_AFTER);
        let opened = match due {
            Some(due) => timeout_at(due, self.attempt()).await,
            None => Ok(self.attempt().await),
        };
        // Where the time to tell came first, the next turn tells.
        let Ok(opened) = opened else { return Ok(None) };
        match opened {
            Ok(open) => {
                self.open = Some(open);
                self.token_refreshed = false;
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
        let open = self.store.open_watch_stream(&cover, next, self.fragment, prev).await?;
        let reached = if next > self.options.start { next - 1 } else { known.min(next - 1) };
        if open.revision < reached {
            self.check_history(reached).await?;
        }
        Ok(open)
    }

    /// A member that is behind what was update already may lag. If the whole cluster is, its history is another one, and
    /// what comes would pass for old.
    async fn check_history(&self, reached: Revision) -> Result<(), Error> {
        let Some(range) = self.ranges.first() else { return Ok(()) };
        let now = self.store.revision_for(range).await?;
        if now >= reached {
            return Ok(());
        }
        let message = format!(
            "the store is at revision {now}, and the watch was at {reached} already: it was restored from a backup, or is \
             another one"
        );
        Err(Error::Refused { op: "watch", kind: Refusal::FutureRevision, message })
    }

    /// Takes note of a loss; an error that no second try mends is passed on.
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
        if error.is_refusal(Refusal::OversizedAnswer) {
            self.fragment = true;
        }
        // Old servers call a token that has run out a lack of permission, so a new one is tried in both cases.
        if stream::is_auth_error(&error) {
            if self.token_refreshed {
                return Err(error);
            }
            self.token_refreshed = self.store.refresh_token().await?;
        }
        self.store.session.observer.notice(Notice::Detail, &format!("watch: {error}; trying again"));
        let lost = self.lost.get_or_insert_with(|| StreamLost { since: Instant::now(), error: None, reported: false });
        lost.error = Some(error);
        Ok(())
    }
}
