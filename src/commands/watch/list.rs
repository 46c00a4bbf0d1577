//! Starts a watch, and reads the existing keys for it.

use super::cache::KeyCache;
use super::event_writer::{IN_SYNC, StopReason};
use super::follow::{WatchLoop, WatchStart};
use crate::commands::serializable::ReadMember;
use crate::error::{Exit, Failure};
use crate::kvstore::{self, Backoff, KeyRange, KeyValue, ReadOptions, Refusal, Revision};
use crate::output::ChangeKind;

/// What becomes of the keys that are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ListedKeys {
    Report,
    /// They only fill the cache, because an earlier run wrote them.
    CacheOnly,
}

impl WatchLoop<'_> {
    /// Writes the existing keys if requested. Returns the first revision to watch and the store's revision.
    pub(super) async fn begin(&mut self) -> Result<(Revision, Revision), StopReason> {
        let resumed = self
            .resume_file
            .as_ref()
            .and_then(|resume_file| resume_file.position().map(|position| position.next_revision));
        if self.start == WatchStart::Sync {
            return self.begin_sync(resumed).await;
        }
        let known = self.first_revision().await?;
        self.bind_resume_file()?;
        match (resumed, self.start) {
            (Some(next), _) => {
                self.check_position(next, known)?;
                if self.start == WatchStart::List {
                    // An earlier run wrote the existing keys.
                    self.writer.list_done(next - 1)?;
                }
                Ok((next, known))
            }
            (None, WatchStart::At(revision)) => {
                if revision > known + 1 {
                    self.ctx.out.note(&format!("waiting for revision {revision}: the store is at revision {known}"));
                }
                Ok((revision, known))
            }
            (None, WatchStart::List) => {
                let listed = self.read(0, ListedKeys::Report).await?;
                self.mark(listed + 1, None);
                self.writer.list_done(listed)?;
                Ok((listed + 1, listed))
            }
            (None, WatchStart::Now | WatchStart::Sync) => {
                self.mark(known + 1, None);
                Ok((known + 1, known))
            }
        }
    }

    /// The store's revision; of a serializable watch, that of the member which is read first.
    async fn first_revision(&mut self) -> Result<Revision, StopReason> {
        let range = self.first_range();
        if !self.names_member {
            return self.until_timeout(self.store.revision_for(&range)).await;
        }
        let member = self.until_timeout(async { Ok(self.store.one_member().await) }).await?;
        let member = member.map_err(|error| Failure::of_login(error, self.store.options().credentials.is_some()))?;
        let known = self.until_timeout(self.store.revision_for(&range)).await?;
        self.member = Some((ReadMember::of(member), known));
        Ok(known)
    }

    /// Says which member was read at the start, once.
    pub(super) async fn report_member(&mut self) {
        if let Some((member, revision)) = self.member.take() {
            member.report(self.ctx, Some(revision), None).await;
        }
    }

    fn bind_resume_file(&mut self) -> Result<(), Failure> {
        let cluster = self.store.cluster();
        self.resume_file.as_mut().map_or(Ok(()), |file| file.bind(cluster))
    }

    fn check_position(&self, next: Revision, known: Revision) -> Result<(), Failure> {
        if next <= known + 1 {
            return Ok(());
        }
        let message = format!("cannot resume at revision {next}: the store is at revision {known}");
        Err(Failure::new(Exit::Refused, message)
            .hint("the --resume file belongs to another cluster, or the store was restored from a backup: delete the file to start anew"))
    }

    async fn begin_sync(&mut self, resumed: Option<Revision>) -> Result<(Revision, Revision), StopReason> {
        self.writer.status("wait-for-datastore", None)?;
        let known = self.wait_for_store().await?;
        self.bind_resume_file()?;
        self.writer.status("resync-in-progress", None)?;
        let next = match resumed {
            Some(next) => {
                self.check_position(next, known)?;
                self.restore_cache(next).await?
            }
            None => self.resync().await?,
        };
        self.advance(next);
        self.writer.status(IN_SYNC, Some(next - 1))?;
        Ok((next, known.max(next - 1)))
    }

    async fn wait_for_store(&mut self) -> Result<Revision, StopReason> {
        let mut backoff = Backoff::default();
        loop {
            let asked = self.first_revision().await;
            if let Some(revision) = self.retry_transient(asked, &mut backoff).await? {
                return Ok(revision);
            }
        }
    }

    /// Restores the cache of an earlier run that wrote everything before this revision. If that revision is compacted,
    /// writes the differences that can be determined. Returns the first revision to watch.
    async fn restore_cache(&mut self, next: Revision) -> Result<Revision, StopReason> {
        let mut backoff = Backoff::default();
        loop {
            self.cache = Some(KeyCache::default());
            let learned = match next - 1 {
                0 => Ok(0),
                before => self.read(before, ListedKeys::CacheOnly).await,
            };
            match learned {
                Err(StopReason::Failed(failure)) if is_compacted(&failure) => break,
                other => {
                    if self.retry_transient(other, &mut backoff).await?.is_some() {
                        return Ok(next);
                    }
                }
            }
        }
        self.cache = Some(KeyCache::after(next));
        let then = self.resync().await?;
        self.ctx.out.warn(&format!(
            "events from revision {next} on are compacted: deletions up to revision {} are unknown and not printed",
            then - 1
        ));
        Ok(then)
    }

    /// Writes the differences between the reported and the present keys. Returns the first revision to watch.
    pub(super) async fn resync(&mut self) -> Result<Revision, StopReason> {
        let mut backoff = Backoff::default();
        let listed = loop {
            if let Some(cache) = &mut self.cache {
                cache.begin_listing();
            }
            match self.read(0, ListedKeys::Report).await {
                // The listing took longer than the compaction allows. Keys that were written are not repeated.
                Err(StopReason::Failed(failure)) if is_compacted(&failure) => {}
                other => {
                    if let Some(listed) = self.retry_transient(other, &mut backoff).await? {
                        break listed;
                    }
                }
            }
        };
        let removed = self.cache.as_mut().map(KeyCache::remove_unlisted).unwrap_or_default();
        for key in removed {
            // The revision of the deletion is unknown.
            let kv = KeyValue { key, ..KeyValue::default() };
            if self.writer.write_change(ChangeKind::Deleted, &kv, None).await? {
                return Err(StopReason::At(Exit::Done));
            }
        }
        Ok(listed + 1)
    }

    /// Passes a result on; on a transient error, warns once, pauses and returns `None` for another attempt.
    async fn retry_transient<T>(
        &mut self,
        outcome: Result<T, StopReason>,
        backoff: &mut Backoff,
    ) -> Result<Option<T>, StopReason> {
        match outcome {
            Ok(value) => {
                self.note_resumption();
                Ok(Some(value))
            }
            Err(StopReason::Failed(failure)) => {
                let Some(error) = cause(&failure).filter(|error| error.is_transient()) else {
                    return Err(StopReason::Failed(failure));
                };
                self.note_interruption(error);
                self.pause(backoff.next_delay()).await?;
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Reads all keys at one revision (0: the current one) in constant memory. Returns the revision.
    async fn read(&mut self, revision: Revision, to: ListedKeys) -> Result<Revision, StopReason> {
        let keys_only = to == ListedKeys::CacheOnly || (self.writer.keys_only && self.writer.exec.is_none());
        let mut at = revision;
        for range in self.ranges.clone() {
            let options = ReadOptions { revision: at, keys_only, ..ReadOptions::default() };
            let mut reader = self.store.read(&range, options);
            while let Some(page) = self.until_timeout(reader.next()).await? {
                for kv in &page {
                    self.handle_listed(kv, to).await?;
                }
            }
            at = reader.revision();
        }
        Ok(at)
    }

    async fn handle_listed(&mut self, kv: &KeyValue, to: ListedKeys) -> Result<(), StopReason> {
        if self.filter.as_ref().is_some_and(|filter| !filter.matches(&kv.key)) {
            return Ok(());
        }
        let kind = match &mut self.cache {
            Some(cache) => cache.put(kv),
            None => Some(ChangeKind::Created),
        };
        match kind.filter(|_| to == ListedKeys::Report) {
            Some(kind) if self.writer.write_change(kind, kv, None).await? => Err(StopReason::At(Exit::Done)),
            _ => Ok(()),
        }
    }

    fn first_range(&self) -> KeyRange {
        self.ranges.first().cloned().unwrap_or_else(|| KeyRange::prefix(b""))
    }
}

fn cause(failure: &Failure) -> Option<&kvstore::Error> {
    failure.error.downcast_ref()
}

fn is_compacted(failure: &Failure) -> bool {
    cause(failure).is_some_and(|error| error.is_refusal(Refusal::Compacted))
}
