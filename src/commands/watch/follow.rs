//! Following the stream: where it starts, what each of its events is, and what a compaction means.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::cache::KeyCache;
use super::event_writer::{EventWriter, StopReason};
use super::resume::{ResumeFile, ResumePosition};
use crate::commands::select::KeyFilter;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{self, KeyRange, Refusal, Revision, WatchEvent, WatchOptions, WatchUpdate, Watcher};
use crate::output::{ChangeKind, bytes};

/// Where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// With the next change.
    Now,
    /// With this revision.
    At(Revision),
    /// With the keys that are there.
    List,
    /// With the keys that are there; and it lists again after a compaction.
    Sync,
}

/// One watch, from its start to its end.
pub struct WatchLoop<'a> {
    pub(super) ctx: &'a Context,
    pub(super) ranges: Vec<KeyRange>,
    pub(super) filter: Option<KeyFilter>,
    pub(super) start: WatchStart,
    pub(super) teller: EventWriter<'a>,
    pub(super) keeper: Option<ResumeFile>,
    pub(super) cache: Option<KeyCache>,
    /// Whether it was said that the stream is away.
    away: bool,
    /// The events of this place's revision up to its key were told by an earlier run.
    told: Option<ResumePosition>,
}

impl<'a> WatchLoop<'a> {
    /// Puts it together; nothing is sent.
    pub fn new(
        ctx: &'a Context,
        ranges: Vec<KeyRange>,
        filter: Option<KeyFilter>,
        start: WatchStart,
        teller: EventWriter<'a>,
        keeper: Option<ResumeFile>,
    ) -> Self {
        let told = keeper.as_ref().and_then(|keeper| keeper.place().cloned());
        let cache = (start == WatchStart::Sync).then(KeyCache::default);
        Self { ctx, ranges, filter, start, teller, keeper, cache, away: false, told }
    }

    /// Follows the stream to its end.
    ///
    /// # Errors
    /// Whatever ends it but what was asked for.
    pub async fn run(mut self) -> Result<Exit, Failure> {
        let Err(stop) = self.flow().await;
        let saved = self.keeper.as_mut().map_or(Ok(()), ResumeFile::save);
        match stop {
            StopReason::At(exit) => saved.map(|()| exit),
            StopReason::Failed(failure) => Err(failure),
        }
    }

    async fn flow(&mut self) -> Result<Infallible, StopReason> {
        let (start, known) = self.begin().await?;
        let ranges = self.ranges.clone();
        let options = WatchOptions { ranges, start, known, prev: self.teller.prev };
        let mut watcher = self.ctx.store().watch(options);
        loop {
            match self.next(&mut watcher).await.map_err(|stop| self.explain(stop))? {
                WatchUpdate::Events(events) => self.events(events).await?,
                WatchUpdate::Progress => {}
                WatchUpdate::Disconnected(why) => self.away(&why),
                WatchUpdate::Reconnected => self.back(),
                WatchUpdate::Compacted(revision) => {
                    let next = self.compacted(watcher.next_revision(), revision).await?;
                    watcher.move_to(next);
                }
            }
            self.advance(watcher.next_revision());
        }
    }

    /// The next thing to tell; saves the place when that is due.
    async fn next(&mut self, watcher: &mut Watcher) -> Result<WatchUpdate, StopReason> {
        loop {
            let Some(due) = self.keeper.as_ref().and_then(ResumeFile::due) else {
                return self.bounded(watcher.next()).await;
            };
            match timeout_at(due, self.bounded(watcher.next())).await {
                Ok(told) => return told,
                Err(_) => self.keeper.as_mut().map_or(Ok(()), ResumeFile::save)?,
            }
        }
    }

    /// Several prefixes may be refused although each of them would be granted.
    fn explain(&self, stop: StopReason) -> StopReason {
        let denied = |failure: &Failure| {
            let error = failure.error.downcast_ref::<kvstore::Error>();
            error.is_some_and(|error| error.is_refusal(Refusal::Permission))
        };
        match stop {
            StopReason::Failed(failure) if self.ranges.len() > 1 && denied(&failure) => StopReason::Failed(
                failure
                    .hint("several prefixes are watched as one range, for the order's sake: the user must have it all"),
            ),
            stop => stop,
        }
    }

    /// Waits, but not beyond `--timeout`.
    pub(super) async fn bounded<T>(
        &self,
        wait: impl Future<Output = Result<T, kvstore::Error>>,
    ) -> Result<T, StopReason> {
        match self.teller.limit {
            Some(limit) => timeout_at(limit, wait).await.map_err(|_| StopReason::At(Exit::No))?.map_err(Into::into),
            None => Ok(wait.await?),
        }
    }

    async fn events(&mut self, events: Vec<WatchEvent>) -> Result<(), StopReason> {
        let mut events = self.without_told(events).into_iter().peekable();
        while let Some((event, silent)) = events.next() {
            let enough = self.event(&event, silent).await?;
            let revision = event.kv.mod_revision;
            match events.peek() {
                Some((next, _)) if next.kv.mod_revision == revision => self.mark(revision, Some(&event.kv.key)),
                _ => self.mark(revision + 1, None),
            }
            let exact = self.teller.exec.is_some();
            if let Some(keeper) = &mut self.keeper
                && (exact || keeper.due().is_some_and(|due| due <= Instant::now()))
            {
                keeper.save()?;
            }
            if enough {
                return Err(StopReason::At(Exit::Done));
            }
        }
        Ok(())
    }

    /// Marks what an earlier run has told: up to the place's key, if that is among its revision's events.
    fn without_told(&mut self, events: Vec<WatchEvent>) -> Vec<(WatchEvent, bool)> {
        let told = self.told.take();
        let is_last = |event: &WatchEvent, place: &ResumePosition| {
            event.kv.mod_revision == place.next_revision && place.after_key == Some(bytes::escape(&event.kv.key))
        };
        let behind = told.and_then(|place| events.iter().position(|event| is_last(event, &place)));
        let silent = behind.map_or(0, |last| last + 1);
        events.into_iter().enumerate().map(|(index, event)| (event, index < silent)).collect()
    }

    /// Tells one event, if it is to be told; whether that was the last.
    async fn event(&mut self, event: &WatchEvent, silent: bool) -> Result<bool, StopReason> {
        let kv = &event.kv;
        if self.filter.as_ref().is_some_and(|filter| !filter.matches(&kv.key)) {
            return Ok(false);
        }
        let kind = match &mut self.cache {
            Some(cache) if event.deleted => cache.delete(&kv.key).then_some(ChangeKind::Deleted),
            Some(cache) => cache.put(kv),
            None if event.deleted => Some(ChangeKind::Deleted),
            None if kv.create_revision == kv.mod_revision => Some(ChangeKind::Created),
            None => Some(ChangeKind::Modified),
        };
        match kind.filter(|_| !silent) {
            Some(kind) => self.teller.tell(kind, kv, event.prev.as_ref()).await,
            None => Ok(false),
        }
    }

    /// What was missed is gone: with `--sync` the differences are told, without it the watch is over.
    async fn compacted(&mut self, place: Revision, compacted: Revision) -> Result<Revision, StopReason> {
        if self.cache.is_some() {
            self.ctx.out.detail(&format!("revision {place} is compacted (at {compacted}): listing again"));
            return self.resync().await;
        }
        let message =
            format!("the events from revision {place} on are gone: the store is compacted up to revision {compacted}");
        let failure = Failure::new(Exit::Refused, message)
            .hint(format!(
                "the first revision that can be watched is {compacted}: 'watch --rev {compacted}' starts there"
            ))
            .hint("to miss nothing, read the present state: --list does, and --sync does whenever it is needed");
        Err(failure.into())
    }

    /// Takes in that everything before this revision was told.
    pub(super) fn advance(&mut self, next: Revision) {
        if let Some(keeper) = &mut self.keeper {
            keeper.advance(next);
        }
    }

    pub(super) fn mark(&mut self, next: Revision, after: Option<&[u8]>) {
        if let Some(keeper) = &mut self.keeper {
            keeper.mark(next, after);
        }
    }

    /// Says once that the stream is away.
    pub(super) fn away(&mut self, why: &kvstore::Error) {
        if !std::mem::replace(&mut self.away, true) {
            self.ctx.out.warn(&format!("the watch is away, and is being resumed: {}", why.one_line()));
        }
    }

    /// Says once that it is back.
    pub(super) fn back(&mut self) {
        if std::mem::take(&mut self.away) {
            self.ctx.out.note("the watch is back");
        }
    }

    /// Sleeps between two tries, but not beyond `--timeout`.
    pub(super) async fn pause(&self, time: Duration) -> Result<(), StopReason> {
        let until = Instant::now() + time;
        if let Some(limit) = self.teller.limit.filter(|limit| *limit < until) {
            self.ctx.sleep(limit.saturating_duration_since(Instant::now())).await?;
            return Err(StopReason::At(Exit::No));
        }
        Ok(self.ctx.sleep(time).await?)
    }
}
