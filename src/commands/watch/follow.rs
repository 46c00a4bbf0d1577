//! Follows the stream of events, and handles interruptions and compactions.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::cache::KeyCache;
use super::event_writer::{EventWriter, StopReason};
use super::resume::{ResumeFile, ResumePosition};
use crate::commands::select::KeyFilter;
use crate::commands::serializable::ReadMember;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{self, KeyRange, Refusal, Revision, Store, WatchEvent, WatchOptions, WatchUpdate, Watcher};
use crate::output::{ChangeKind, bytes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    Now,
    At(Revision),
    List,
    /// With the existing keys, which are listed again after a compaction.
    Sync,
}

pub struct WatchLoop<'a> {
    pub(super) ctx: &'a Context,
    pub(super) store: Store,
    pub(super) ranges: Vec<KeyRange>,
    pub(super) filter: Option<KeyFilter>,
    pub(super) start: WatchStart,
    pub(super) writer: EventWriter<'a>,
    pub(super) resume_file: Option<ResumeFile>,
    pub(super) cache: Option<KeyCache>,
    /// Whether the member that is read at the start is to be named.
    pub(super) names_member: bool,
    /// That member, and the revision that it was at.
    pub(super) member: Option<(ReadMember, Revision)>,
    /// Whether the stream is interrupted, and the interruption was reported or ends the watch.
    interrupted: bool,
    /// Whether the store has answered and the start is known.
    begun: bool,
    /// An earlier run wrote the events of this position's revision up to its key.
    reported_position: Option<ResumePosition>,
}

impl<'a> WatchLoop<'a> {
    pub fn new(
        ctx: &'a Context,
        ranges: Vec<KeyRange>,
        filter: Option<KeyFilter>,
        start: WatchStart,
        writer: EventWriter<'a>,
        resume_file: Option<ResumeFile>,
    ) -> Self {
        let reported_position = resume_file.as_ref().and_then(|resume_file| resume_file.position().cloned());
        let cache = (start == WatchStart::Sync).then(KeyCache::default);
        Self {
            ctx,
            store: ctx.store().clone(),
            ranges,
            filter,
            start,
            writer,
            resume_file,
            cache,
            names_member: false,
            member: None,
            interrupted: false,
            begun: false,
            reported_position,
        }
    }

    /// Reads and watches without requiring a leader, and says how far the member is behind at the start.
    pub fn serializable(self) -> Self {
        Self { store: self.store.serializable(), names_member: true, ..self }
    }

    /// Follows the stream to its end.
    ///
    /// # Errors
    /// Any end other than a requested one.
    pub async fn run(mut self) -> Result<Exit, Failure> {
        let Err(stop) = self.follow().await;
        let saved = self.resume_file.as_mut().map_or(Ok(()), ResumeFile::save);
        match stop {
            StopReason::At(Exit::No) if self.interrupted || !self.begun => {
                let what = if self.begun {
                    "the watch was interrupted when --timeout elapsed; later changes, if any, were not shown"
                } else {
                    "--timeout elapsed before the watch began"
                };
                let failure = Failure::new(Exit::Unreachable, what);
                saved.and(Err(failure.hint("run 'kvadm status' to see which members are up")))
            }
            StopReason::At(exit) => saved.map(|()| exit),
            StopReason::Failed(failure) if failure.is_end_by_signal() => saved.map(|()| Exit::Interrupted),
            StopReason::Failed(failure) => Err(failure),
        }
    }

    async fn follow(&mut self) -> Result<Infallible, StopReason> {
        let begun = self.begin().await;
        self.report_member().await;
        let (start, known) = begun?;
        self.begun = true;
        let ranges = self.ranges.clone();
        let options = WatchOptions { ranges, start, known, prev: self.writer.prev };
        let mut watcher = self.store.watch(options);
        loop {
            let next = self.next(&mut watcher).await;
            if next.is_err() {
                self.interrupted |= watcher.is_interrupted();
            }
            match next.map_err(|stop| self.add_permission_hint(stop))? {
                WatchUpdate::Events(events) => self.write_events(events).await?,
                WatchUpdate::Progress => {}
                WatchUpdate::Disconnected(why) => self.note_interruption(&why),
                WatchUpdate::Reconnected => self.note_resumption(),
                WatchUpdate::Compacted(revision) => {
                    let next = self.handle_compaction(watcher.next_revision(), revision).await?;
                    watcher.move_to(next);
                }
            }
            self.advance(watcher.next_revision());
        }
    }

    /// The next update; saves the position when it is due.
    async fn next(&mut self, watcher: &mut Watcher) -> Result<WatchUpdate, StopReason> {
        loop {
            let Some(due) = self.resume_file.as_ref().and_then(ResumeFile::due) else {
                return self.until_timeout(watcher.next()).await;
            };
            match timeout_at(due, self.until_timeout(watcher.next())).await {
                Ok(reported_position) => return reported_position,
                Err(_) => self.resume_file.as_mut().map_or(Ok(()), ResumeFile::save)?,
            }
        }
    }

    /// Explains that several prefixes need permission for the range that covers them.
    fn add_permission_hint(&self, stop: StopReason) -> StopReason {
        let denied = |failure: &Failure| {
            let error = failure.error.downcast_ref::<kvstore::Error>();
            error.is_some_and(|error| error.is_refusal(Refusal::Permission))
        };
        match stop {
            StopReason::Failed(failure) if self.ranges.len() > 1 && denied(&failure) => StopReason::Failed(
                failure.hint(format!("The user needs read permission on the whole range {}", self.whole_range())),
            ),
            stop => stop,
        }
    }

    fn whole_range(&self) -> String {
        let start =
            self.ranges.iter().map(|range| &range.start).min().map_or_else(String::new, |key| bytes::escape(key));
        let ends = self.ranges.iter().map(|range| range.end.as_ref());
        let end = ends.reduce(|one, other| Some(one?.max(other?))).flatten();
        format!("'{start}'..'{}'", end.map_or_else(String::new, |key| bytes::escape(key)))
    }

    /// Waits, at most until `--timeout`.
    pub(super) async fn until_timeout<T>(
        &self,
        wait: impl Future<Output = Result<T, kvstore::Error>>,
    ) -> Result<T, StopReason> {
        match self.writer.limit {
            Some(limit) => timeout_at(limit, wait).await.map_err(|_| StopReason::At(Exit::No))?.map_err(Into::into),
            None => Ok(wait.await?),
        }
    }

    async fn write_events(&mut self, events: Vec<WatchEvent>) -> Result<(), StopReason> {
        let mut events = self.mark_reported(events).into_iter().peekable();
        while let Some((event, reported)) = events.next() {
            let finished = self.write_event(&event, reported).await?;
            let revision = event.kv.mod_revision;
            match events.peek() {
                Some((next, _)) if next.kv.mod_revision == revision => self.mark(revision, Some(&event.kv.key)),
                _ => self.mark(revision + 1, None),
            }
            let exact = self.writer.exec.is_some();
            if let Some(resume_file) = &mut self.resume_file
                && (exact || resume_file.due().is_some_and(|due| due <= Instant::now()))
            {
                resume_file.save()?;
            }
            if finished {
                return Err(StopReason::At(Exit::Done));
            }
        }
        Ok(())
    }

    /// Flags the events that an earlier run wrote: those up to the saved key of the saved revision.
    fn mark_reported(&mut self, events: Vec<WatchEvent>) -> Vec<(WatchEvent, bool)> {
        let reported_position = self.reported_position.take();
        let is_last = |event: &WatchEvent, position: &ResumePosition| {
            event.kv.mod_revision == position.next_revision && position.after_key == Some(bytes::escape(&event.kv.key))
        };
        let last = reported_position.and_then(|position| events.iter().position(|event| is_last(event, &position)));
        let reported = last.map_or(0, |last| last + 1);
        events.into_iter().enumerate().map(|(index, event)| (event, index < reported)).collect()
    }

    /// Writes one event unless it is filtered; returns whether it was the last requested one.
    async fn write_event(&mut self, event: &WatchEvent, reported: bool) -> Result<bool, StopReason> {
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
        match kind.filter(|_| !reported) {
            Some(kind) => self.writer.write_change(kind, kv, event.prev.as_ref()).await,
            None => Ok(false),
        }
    }

    /// Handles missed events that are compacted: `--sync` writes the differences; otherwise the watch ends.
    async fn handle_compaction(&mut self, position: Revision, compacted: Revision) -> Result<Revision, StopReason> {
        if self.cache.is_some() {
            self.ctx.out.detail(&format!("revision {position} is compacted (up to {compacted}): listing again"));
            return self.resync().await;
        }
        let message = format!(
            "events from revision {position} on are compacted: the store is compacted up to revision {compacted}"
        );
        let failure = Failure::new(Exit::Refused, message)
            .hint(format!("'kvadm watch --rev {compacted}' starts at the first revision that can be watched"))
            .hint("--list starts with the present keys; --sync also lists them again after a compaction");
        Err(failure.into())
    }

    /// Records that every event before this revision was handled.
    pub(super) fn advance(&mut self, next: Revision) {
        if let Some(resume_file) = &mut self.resume_file {
            resume_file.advance(next);
        }
    }

    pub(super) fn mark(&mut self, next: Revision, after: Option<&[u8]>) {
        if let Some(resume_file) = &mut self.resume_file {
            resume_file.mark(next, after);
        }
    }

    /// Warns once that the stream is interrupted.
    pub(super) fn note_interruption(&mut self, why: &kvstore::Error) {
        if !std::mem::replace(&mut self.interrupted, true) {
            self.ctx.out.warn(&format!("the watch is interrupted and will resume: {}", why.one_line()));
        }
    }

    pub(super) fn note_resumption(&mut self) {
        if std::mem::take(&mut self.interrupted) {
            self.ctx.out.note("the watch has resumed");
        }
    }

    /// Sleeps between two attempts, at most until `--timeout`.
    pub(super) async fn pause(&self, time: Duration) -> Result<(), StopReason> {
        let until = Instant::now() + time;
        if let Some(limit) = self.writer.limit.filter(|limit| *limit < until) {
            self.ctx.sleep(limit.saturating_duration_since(Instant::now())).await?;
            return Err(StopReason::At(Exit::No));
        }
        Ok(self.ctx.sleep(time).await?)
    }
}
