//! Deleting a range, window by window.
//!
//! What goes is what was there at the revision the range was counted at: every removal is a transaction that compares
//! that nothing in it is newer. So the store ends as if the whole range had been deleted at that revision, and what was
//! written since had been written after it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::save::SaveFile;
use crate::commands::select::KeyFilter;
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{
    Compare, Error, KeyRange, KeySelector, KeyValue, LockGuard, Op, RangeCount, ReadOptions, Refusal, Retry, Revision,
    Store, Txn, TxnResult,
};
use crate::output::{DeleteAnswer, bytes};

/// A removal is steered to take this long in the server: a neighbour's write waits for one, sometimes two.
const GOAL: Duration = Duration::from_millis(40);
/// Keys in the first removal, and at most.
const FIRST: usize = 100;
const MOST: usize = 1000;
/// Keys in a removal of single keys: a compare and an operation each.
const SINGLE: usize = 100;
/// An atomic deletion may take this long, and this much longer for each key.
const ATOMIC: Duration = Duration::from_secs(10);
const ATOMIC_EACH: Duration = Duration::from_micros(40);

/// One `delete` of a range.
pub struct RangeDeletion<'a> {
    /// The command's surroundings.
    pub ctx: &'a Context,
    /// What is to go.
    pub range: KeyRange,
    /// Only keys that match.
    pub filter: Option<KeyFilter>,
    /// Only while this lock is held.
    pub guard: Option<LockGuard>,
    /// Print what went.
    pub prev: bool,
    /// In one request.
    pub atomic: bool,
}

/// What has been done so far.
#[derive(Default)]
struct DeletionProgress {
    deleted: u64,
    /// Keys that were written after the count, and stay.
    kept: u64,
    revision: Revision,
}

impl RangeDeletion<'_> {
    /// Runs it. `all` allows a range that is the whole store.
    ///
    /// # Errors
    /// As the verb.
    pub async fn run(self, all: bool, save: Option<&Path>) -> Result<Exit, Failure> {
        if self.range == KeyRange::prefix(b"") && !all {
            return Err(Failure::usage("an empty prefix means every key there is").hint("add --all if that is meant"));
        }
        let counted = self.count().await?;
        let dry_run = self.ctx.safety.dry_run;
        if counted.count == 0 || (dry_run && !self.prev) {
            let would = dry_run.then_some(counted.count);
            return self.answer(&DeletionProgress { revision: counted.revision, ..DeletionProgress::default() }, would);
        }
        let consent = if dry_run {
            None
        } else {
            let what = self.describe(counted);
            self.ctx.out.note(&what);
            Some(self.ctx.consent(&format!("delete {what}"))?)
        };
        let mut save = match save {
            Some(path) if !dry_run => Some(SaveFile::create(path)?),
            _ => None,
        };
        self.ctx.signals.hold();
        let mut done = DeletionProgress { revision: counted.revision, ..DeletionProgress::default() };
        let result = match &consent {
            Some(consent) if self.atomic => self.at_once(consent, counted, save.as_mut(), &mut done).await,
            consent => self.windows(consent.as_ref(), counted, save.as_mut(), &mut done).await,
        };
        if let Err(failure) = result {
            return Err(so_far(self.if_full(failure), &done));
        }
        let would = dry_run.then_some(counted.count);
        self.answer(&done, would)
    }

    /// Older servers over their quota refuse conditional deletes (see `Store::txn`): says which one they take.
    fn if_full(&self, failure: Failure) -> Failure {
        let full = failure.error.downcast_ref::<Error>().is_some_and(|error| error.is_refusal(Refusal::NoSpace));
        if full && !self.atomic && self.filter.is_none() {
            return failure.hint("this etcd takes no conditional delete while it is full: add --atomic");
        }
        failure
    }

    async fn count(&self) -> Result<RangeCount, Failure> {
        let store = self.ctx.store();
        let Some(filter) = &self.filter else {
            return Ok(store.count(&self.range, 0, self.guard.as_ref()).await?);
        };
        let progress = self.ctx.out.progress("counting", None);
        let mut reader = store.read(&self.range, self.reading(0, true));
        let mut count = 0;
        while let Some(page) = reader.next().await? {
            progress.inc(page.len() as u64);
            count += page.iter().filter(|kv| filter.matches(&kv.key)).count() as u64;
        }
        progress.finish();
        Ok(RangeCount { count, revision: reader.revision() })
    }

    fn reading(&self, revision: Revision, keys_only: bool) -> ReadOptions {
        ReadOptions { revision, keys_only, limit: None, guard: self.guard.clone() }
    }

    fn describe(&self, counted: RangeCount) -> String {
        let from = bytes::escape(&self.range.start);
        if self.range == KeyRange::prefix(&self.range.start) {
            return format!("{} keys with prefix '{from}' (revision {})", counted.count, counted.revision);
        }
        let to = self.range.end.as_ref().map_or_else(|| "the end".to_owned(), |end| bytes::escape(end));
        format!("{} keys from {from} below {to} (revision {})", counted.count, counted.revision)
    }

    /// Deletes window by window; without consent (a dry run) it only prints the records.
    async fn windows(
        &self,
        consent: Option<&Consent>,
        counted: RangeCount,
        mut save: Option<&mut SaveFile>,
        done: &mut DeletionProgress,
    ) -> Result<(), Failure> {
        let store = self.ctx.store();
        let values = save.is_some() || self.prev;
        let mut reader = store.read(&self.range, self.reading(counted.revision, !values)).in_small_pages();
        let mut sink = self.ctx.out.stream();
        let progress = self.ctx.out.progress("deleting", Some(counted.count));
        let mut pace = DeletionPacer::default();
        while let Some(mut page) = reader.next().await? {
            if let Some(filter) = &self.filter {
                page.retain(|kv| filter.matches(&kv.key));
            }
            if let Some(save) = save.as_deref_mut() {
                save.keep(store, &page).await?;
            }
            if let (Some(kv), None, false) = (page.first(), pace.distance, consent.is_none()) {
                let asked = Instant::now();
                store.get(&kv.key, 0, self.guard.as_ref()).await?;
                pace.distance = Some(asked.elapsed());
            }
            let Some(consent) = consent else {
                for kv in &page {
                    sink.push(kv)?;
                }
                continue;
            };
            let mut rest = page.as_slice();
            while !rest.is_empty() {
                let (window, behind) = rest.split_at(pace.keys.min(rest.len()));
                let gone = self.remove(consent, window, counted.revision, &mut pace, done).await?;
                progress.inc(window.len() as u64);
                if self.prev {
                    for kv in window.iter().filter(|kv| gone.went(&kv.key)) {
                        sink.push(kv)?;
                    }
                }
                rest = behind;
            }
        }
        progress.finish();
        Ok(sink.finish()?)
    }

    /// Removes neighbouring keys, all read at `revision`: as one range, or key by key where a filter left gaps or
    /// something newer lies between them.
    async fn remove(
        &self,
        consent: &Consent,
        window: &[KeyValue],
        revision: Revision,
        pace: &mut DeletionPacer,
        done: &mut DeletionProgress,
    ) -> Result<KeptKeys, Failure> {
        let (Some(first), Some(last)) = (window.first(), window.last()) else { return Ok(KeptKeys::default()) };
        let store = self.ctx.store();
        if self.filter.is_none() {
            let range = KeyRange::between(&first.key, Some(&[last.key.as_slice(), &[0]].concat()));
            let txn = Txn {
                compares: vec![Compare::none_newer(&range, revision)],
                then: vec![Op::Delete { over: KeySelector::Range(range), prev: false }],
                otherwise: vec![],
            };
            let started = Instant::now();
            let result = match store.txn("delete", &txn, self.guard.as_ref(), Retry::Idempotent).await {
                Err(error) if error.is_refusal(Refusal::NoSpace) && self.guard.is_none() => {
                    self.without_space(consent, error, txn.then, revision).await?
                }
                other => other?,
            };
            if result.succeeded {
                pace.learn(started.elapsed());
                done.deleted += window.len() as u64;
                done.revision = result.revision;
                return Ok(KeptKeys::default());
            }
        }
        let mut gone = KeptKeys::default();
        for chunk in window.chunks(SINGLE) {
            self.remove_singly(consent, store, chunk, revision, done, &mut gone).await?;
        }
        Ok(gone)
    }

    /// Some versions refuse every transaction in a full store, and take plain deletions. The store takes no writes
    /// then, so that what is not newer when it is looked at is not newer when it is deleted.
    async fn without_space(
        &self,
        _: &Consent,
        refused: Error,
        then: Vec<Op>,
        revision: Revision,
    ) -> Result<TxnResult, Error> {
        let store = self.ctx.store();
        if let [Op::Delete { over: KeySelector::Range(range), .. }] = then.as_slice() {
            let mut reader = store.read(range, self.reading(0, true));
            while let Some(page) = reader.next().await? {
                if page.iter().any(|kv| kv.mod_revision > revision) {
                    return Err(refused);
                }
            }
        }
        let plain = Txn { then, ..Txn::default() };
        store.txn("delete", &plain, None, Retry::Idempotent).await
    }

    async fn remove_singly(
        &self,
        _: &Consent,
        store: &Store,
        chunk: &[KeyValue],
        revision: Revision,
        done: &mut DeletionProgress,
        gone: &mut KeptKeys,
    ) -> Result<(), Failure> {
        let mut keys: Vec<&[u8]> = chunk.iter().map(|kv| kv.key.as_slice()).collect();
        while !keys.is_empty() {
            let one = |key: &&[u8]| KeyRange::key(key);
            let txn = Txn {
                compares: keys.iter().map(|key| Compare::none_newer(&one(key), revision)).collect(),
                then: keys.iter().map(|key| Op::Delete { over: KeySelector::Key(key.to_vec()), prev: false }).collect(),
                otherwise: vec![],
            };
            let result = store.txn("delete", &txn, self.guard.as_ref(), Retry::Idempotent).await?;
            if result.succeeded {
                done.deleted += keys.len() as u64;
                done.revision = result.revision;
                return Ok(());
            }
            let owned: Vec<Vec<u8>> = keys.iter().map(|key| key.to_vec()).collect();
            let now = store.get_many(&owned, 0, self.guard.as_ref()).await?;
            let newer = |kv: &Option<KeyValue>| kv.as_ref().is_some_and(|kv| kv.mod_revision > revision);
            let changed: Vec<bool> = now.kvs.iter().map(newer).collect();
            for (key, _) in keys.iter().zip(&changed).filter(|(_, changed)| **changed) {
                gone.kept.push(key.to_vec());
                done.kept += 1;
            }
            let mut fates = changed.iter();
            keys.retain(|_| fates.next().is_some_and(|changed| !changed));
        }
        Ok(())
    }

    /// One request for everything. What was saved is guarded: nothing may be newer.
    async fn at_once(
        &self,
        _: &Consent,
        counted: RangeCount,
        save: Option<&mut SaveFile>,
        done: &mut DeletionProgress,
    ) -> Result<(), Failure> {
        let store = self.ctx.store();
        let mut compares = Vec::new();
        if let Some(save) = save {
            let mut reader = store.read(&self.range, self.reading(counted.revision, false));
            while let Some(page) = reader.next().await? {
                save.keep(store, &page).await?;
            }
            compares.push(Compare::none_newer(&self.range, counted.revision));
        }
        let guarded = !compares.is_empty();
        let over = KeySelector::Range(self.range.clone());
        let txn = Txn { compares, then: vec![Op::Delete { over, prev: false }], otherwise: vec![] };
        let each = u32::try_from(counted.count).unwrap_or(u32::MAX);
        let limit = ATOMIC + ATOMIC_EACH.saturating_mul(each);
        let progress = self.ctx.out.progress("deleting in one request", None);
        let result = store.txn("delete", &txn, self.guard.as_ref(), Retry::NeverWithin(limit)).await;
        progress.finish();
        match result {
            Ok(answer) if !answer.succeeded && guarded => {
                Err(Failure::conflict("a key was written after it was saved; nothing was deleted")
                    .hint("run it again, or without --atomic"))
            }
            Ok(answer) => {
                done.revision = answer.revision;
                done.deleted = match answer.results.first() {
                    Some(crate::kvstore::OpResult::Delete { deleted, .. }) => *deleted,
                    _ => 0,
                };
                Ok(())
            }
            // The server's own patience ends before a long deletion does; what counts is whether the keys are gone.
            Err(error @ Error::Unknown { .. }) => {
                let left = store.count(&self.range, 0, self.guard.as_ref()).await?;
                if left.count > 0 {
                    return Err(error.into());
                }
                self.ctx.out.note("etcd's answer was lost; the range is empty now");
                done.deleted = counted.count;
                done.revision = left.revision;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn answer(&self, done: &DeletionProgress, would_delete: Option<u64>) -> Result<Exit, Failure> {
        if done.kept > 0 {
            self.ctx.out.note(&format!("{} keys were written meanwhile and stay", done.kept));
        }
        if !self.prev {
            let DeletionProgress { deleted, kept, revision } = *done;
            self.ctx.out.one(&DeleteAnswer { deleted, would_delete, kept, revision })?;
        }
        let nothing = done.deleted == 0 && would_delete.unwrap_or(0) == 0;
        Ok(if nothing { Exit::No } else { Exit::Done })
    }
}

/// Which keys of a window stayed.
#[derive(Default)]
struct KeptKeys {
    kept: Vec<Vec<u8>>,
}

impl KeptKeys {
    fn went(&self, key: &[u8]) -> bool {
        !self.kept.iter().any(|kept| kept == key)
    }
}

/// How many keys go in one removal.
struct DeletionPacer {
    keys: usize,
    /// How long the smallest request takes: what the way to the server and back costs, which no neighbour waits for.
    distance: Option<Duration>,
}

impl Default for DeletionPacer {
    fn default() -> Self {
        Self { keys: FIRST, distance: None }
    }
}

impl DeletionPacer {
    fn learn(&mut self, took: Duration) {
        let distance = self.distance.map_or(took, |distance| distance.min(took));
        self.distance = Some(distance);
        let in_server = took - distance;
        if in_server > GOAL {
            self.keys = (self.keys / 2).max(1);
        } else if in_server < GOAL / 4 {
            self.keys = (self.keys * 2).min(MOST);
        }
    }
}

fn so_far(mut failure: Failure, done: &DeletionProgress) -> Failure {
    if done.deleted == 0 {
        return failure;
    }
    if !matches!(failure.exit, Exit::Interrupted | Exit::Unknown) {
        failure.exit = Exit::Partial;
    }
    failure.context(format!("{} keys were deleted before it ended", done.deleted)).hint("run it again to go on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_far_away_is_not_taken_for_a_slow_one() {
        let ms = Duration::from_millis;
        let mut far = DeletionPacer { distance: Some(ms(100)), ..DeletionPacer::default() };
        far.learn(ms(105));
        assert_eq!(far.keys, 2 * FIRST);
        far.learn(ms(120));
        assert_eq!(far.keys, 2 * FIRST);
        far.learn(ms(150));
        assert_eq!(far.keys, FIRST);
        let mut slow = DeletionPacer { distance: Some(ms(1)), ..DeletionPacer::default() };
        for _ in 0..10 {
            slow.learn(ms(100));
        }
        assert_eq!(slow.keys, 1);
    }
}
