//! The beginning of a watch, and what it reads besides the stream: the keys that are there.

use std::time::Duration;

use super::cache::Cache;
use super::follow::{Follow, Start};
use super::tell::{IN_SYNC, Stop};
use crate::error::{Exit, Failure};
use crate::kvstore::{self, KeyRange, KeyValue, ReadOptions, Refusal, Revision};
use crate::output::Kind;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What becomes of the keys that are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// They are told.
    Tell,
    /// They were told by an earlier run: the cache learns them.
    Learn,
}

impl Follow<'_> {
    /// Tells the keys that are there, where asked for. The first revision to watch, and the store's own.
    pub(super) async fn begin(&mut self) -> Result<(Revision, Revision), Stop> {
        let resumed = self.keeper.as_ref().and_then(|keeper| keeper.place().map(|place| place.next_revision));
        if self.start == Start::Sync {
            return self.begin_sync(resumed).await;
        }
        let known = self.bounded(self.ctx.store().revision_for(&self.first())).await?;
        match (resumed, self.start) {
            (Some(next), _) => {
                self.check_place(next, known)?;
                if self.start == Start::List {
                    // What was there was told by an earlier run.
                    self.teller.list_done(next - 1)?;
                }
                Ok((next, known))
            }
            (None, Start::At(revision)) => {
                if revision > known + 1 {
                    self.ctx.out.note(&format!("the store is at revision {known} yet"));
                }
                Ok((revision, known))
            }
            (None, Start::List) => {
                let listed = self.read(0, Use::Tell).await?;
                self.mark(listed + 1, None);
                self.teller.list_done(listed)?;
                Ok((listed + 1, listed))
            }
            (None, Start::Now | Start::Sync) => {
                self.mark(known + 1, None);
                Ok((known + 1, known))
            }
        }
    }

    fn check_place(&self, next: Revision, known: Revision) -> Result<(), Failure> {
        if next <= known + 1 {
            return Ok(());
        }
        let message = format!("the place to resume from is revision {next}, and the store is at {known} only");
        Err(Failure::new(Exit::Refused, message)
            .hint("the file belongs to another cluster, or the store was restored from a backup: begin without it"))
    }

    async fn begin_sync(&mut self, resumed: Option<Revision>) -> Result<(Revision, Revision), Stop> {
        self.teller.status("wait-for-datastore", None)?;
        let known = self.wait_for_store().await?;
        self.teller.status("resync-in-progress", None)?;
        let next = match resumed {
            Some(next) => {
                self.check_place(next, known)?;
                self.recall(next).await?
            }
            None => self.resync().await?,
        };
        self.advance(next);
        self.teller.status(IN_SYNC, Some(next - 1))?;
        Ok((next, known.max(next - 1)))
    }

    async fn wait_for_store(&mut self) -> Result<Revision, Stop> {
        let mut pause = FIRST_PAUSE;
        loop {
            let first = self.first();
            let asked = self.bounded(self.ctx.store().revision_for(&first)).await;
            if let Some(revision) = self.attempt(asked, &mut pause).await? {
                return Ok(revision);
            }
        }
    }

    /// What an earlier run had told up to this revision: the cache as it was then, or, where that is compacted, the
    /// differences as far as they can be known. The first revision to watch.
    async fn recall(&mut self, next: Revision) -> Result<Revision, Stop> {
        let mut pause = FIRST_PAUSE;
        loop {
            self.cache = Some(Cache::default());
            let learned = match next - 1 {
                0 => Ok(0),
                before => self.read(before, Use::Learn).await,
            };
            match learned {
                Err(Stop::Failed(failure)) if is_compacted(&failure) => break,
                other => {
                    if self.attempt(other, &mut pause).await?.is_some() {
                        return Ok(next);
                    }
                }
            }
        }
        self.cache = Some(Cache::after(next));
        let then = self.resync().await?;
        self.ctx.out.warn(&format!(
            "the events from revision {next} on are compacted: keys that were deleted up to revision {} are not told",
            then - 1
        ));
        Ok(then)
    }

    /// Tells the differences between what was told and what is. The first revision to watch then.
    pub(super) async fn resync(&mut self) -> Result<Revision, Stop> {
        let mut pause = FIRST_PAUSE;
        let listed = loop {
            if let Some(cache) = &mut self.cache {
                cache.begin();
            }
            match self.read(0, Use::Tell).await {
                // It took longer than compaction allows. What it has told it need not tell again.
                Err(Stop::Failed(failure)) if is_compacted(&failure) => {}
                other => {
                    if let Some(listed) = self.attempt(other, &mut pause).await? {
                        break listed;
                    }
                }
            }
        };
        let gone = self.cache.as_mut().map(Cache::sweep).unwrap_or_default();
        for key in gone {
            // Nobody knows any more in which revision it went.
            let kv = KeyValue { key, ..KeyValue::default() };
            if self.teller.tell(Kind::Deleted, &kv, None).await? {
                return Err(Stop::At(Exit::Done));
            }
        }
        Ok(listed + 1)
    }

    /// The outcome of something that a sync waits for; nothing where it is to be tried again, which is said once.
    async fn attempt<T>(&mut self, outcome: Result<T, Stop>, pause: &mut Duration) -> Result<Option<T>, Stop> {
        match outcome {
            Ok(value) => {
                self.back();
                Ok(Some(value))
            }
            Err(Stop::Failed(failure)) => {
                let Some(error) = passing(&failure) else { return Err(Stop::Failed(failure)) };
                self.away(error);
                self.pause(*pause).await?;
                *pause = (*pause * 2).min(LONGEST_PAUSE);
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Reads all keys at one revision, at the present where it is 0, in constant memory; the revision.
    async fn read(&mut self, revision: Revision, to: Use) -> Result<Revision, Stop> {
        let keys_only = to == Use::Learn || (self.teller.keys_only && self.teller.exec.is_none());
        let mut at = revision;
        for range in self.ranges.clone() {
            let options = ReadOptions { revision: at, keys_only, ..ReadOptions::default() };
            let mut reader = self.ctx.store().read(&range, options);
            while let Some(page) = self.bounded(reader.next()).await? {
                for kv in &page {
                    self.listed(kv, to).await?;
                }
            }
            at = reader.revision();
        }
        Ok(at)
    }

    async fn listed(&mut self, kv: &KeyValue, to: Use) -> Result<(), Stop> {
        if self.filter.as_ref().is_some_and(|filter| !filter.matches(&kv.key)) {
            return Ok(());
        }
        let kind = match &mut self.cache {
            Some(cache) => cache.put(kv),
            None => Some(Kind::Created),
        };
        match kind.filter(|_| to == Use::Tell) {
            Some(kind) if self.teller.tell(kind, kv, None).await? => Err(Stop::At(Exit::Done)),
            _ => Ok(()),
        }
    }

    fn first(&self) -> KeyRange {
        self.ranges.first().cloned().unwrap_or_else(|| KeyRange::prefix(b""))
    }
}

fn cause(failure: &Failure) -> Option<&kvstore::Error> {
    failure.error.downcast_ref()
}

fn is_compacted(failure: &Failure) -> bool {
    cause(failure).is_some_and(|error| error.is_refusal(Refusal::Compacted))
}

/// An error that passes by itself.
fn passing(failure: &Failure) -> Option<&kvstore::Error> {
    use kvstore::Error;
    let passes = |error: &&Error| {
        matches!(
            error,
            Error::Unreachable { .. } | Error::Timeout { .. } | Error::Broken { .. } | Error::Unavailable { .. }
        )
    };
    cause(failure).filter(passes)
}
