//! Deletes a range in batches.
//!
//! Every batch is a transaction that deletes its keys only if none is newer than the revision at which the range was
//! total. The result is as if the whole range had been deleted at that revision, before any later write.

use std::path::Path;
use std::time::{Duration, Instant};

use super::save::SaveFile;
use super::shown::{MAX_SHOWN, print_answer, show_would_delete};
use crate::commands::select::KeyFilter;
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{
    Compare, Error, KeyRange, KeySelector, KeyValue, LockGuard, Op, OpResult, RangeCount, ReadOptions, Retry, Revision,
    Store, Txn, TxnResult,
};
use crate::output::{DeleteAnswer, bytes};
use crate::plural::counted;

/// The time that one batch may take in the server: another client's write waits for one batch, sometimes two.
const TARGET_SERVER_TIME: Duration = Duration::from_millis(40);
/// Keys in the first batch, and at most.
const FIRST_BATCH: usize = 100;
const MAX_BATCH: usize = 1000;
/// Keys in a batch of single deletions, below etcd's limit of 128 operations.
const SINGLE_KEY_BATCH: usize = 100;
/// Timeout of an atomic deletion: a base, and an addition for each key.
const ATOMIC_TIMEOUT: Duration = Duration::from_secs(10);
const ATOMIC_TIMEOUT_PER_KEY: Duration = Duration::from_micros(40);

pub struct RangeDeletion<'a> {
    pub ctx: &'a Context,
    pub range: KeyRange,
    pub filter: Option<KeyFilter>,
    pub guard: Option<LockGuard>,
    pub prev: bool,
    pub atomic: bool,
    /// Delete without conditions if etcd refuses conditional deletes because the store is full.
    pub unguarded: bool,
}

#[derive(Default)]
struct DeletionProgress {
    deleted: u64,
    /// Keys that were written after the count and are kept.
    kept: u64,
    /// Keys that were written after the count and are deleted and saved.
    newer: u64,
    revision: Revision,
}

impl DeletionProgress {
    /// Counts a transaction that deleted `keys` keys, except those that another client had deleted before. After a lost
    /// reply it is unknown which client that was, so all of them count.
    fn add(&mut self, result: &TxnResult, keys: usize) {
        let deleted = |result: &OpResult| if let OpResult::Delete { deleted, .. } = result { *deleted } else { 0 };
        self.deleted += match result.maybe_applied {
            true => keys as u64,
            false => result.results.iter().map(deleted).sum(),
        };
        self.revision = result.revision;
    }
}

impl RangeDeletion<'_> {
    /// Runs the deletion. `all` allows a range that covers the whole store.
    pub async fn run(self, all: bool, save: Option<&Path>) -> Result<Exit, Failure> {
        if self.range == KeyRange::prefix(b"") && !all {
            return Err(Failure::usage("an empty prefix selects every key").hint("to delete all keys, add --all"));
        }
        let (total, mut first) = self.count().await?;
        let dry_run = self.ctx.safety.dry_run;
        if total.count == 0 || (dry_run && !self.prev) {
            let would_delete = dry_run.then_some(total.count);
            if dry_run && !self.ctx.out.is_data() {
                self.read_first(total, &mut first).await?;
                show_would_delete(self.ctx, first.iter().map(Vec::as_slice), total.count);
            }
            return self
                .report(&DeletionProgress { revision: total.revision, ..DeletionProgress::default() }, would_delete);
        }
        let mut consent = None;
        if !dry_run {
            let (keys, selection) = (counted(total.count, "key"), self.describe_range());
            if self.ctx.will_ask() {
                self.read_first(total, &mut first).await?;
                self.ctx.show_candidates(first.iter().map(|key| bytes::name(key)), total.count);
            }
            self.ctx.out.note(&format!("Found {keys} {selection} at revision {}", total.revision));
            consent = Some(self.ctx.consent_to_destroy(total.count, &format!("Delete {keys} {selection}"))?);
        }
        let mut save = match save {
            Some(path) if !dry_run => Some(SaveFile::create(path)?),
            _ => None,
        };
        self.ctx.signals.hold();
        let mut totals = DeletionProgress { revision: total.revision, ..DeletionProgress::default() };
        let result = match &consent {
            Some(consent) if self.atomic => self.in_one_request(consent, total, save.as_mut(), &mut totals).await,
            consent => self.in_batches(consent.as_ref(), total, save.as_mut(), &mut totals).await,
        };
        if let Err(failure) = result {
            return Err(with_progress(self.hint_when_full(failure), &totals, save.is_some()));
        }
        let would_delete = dry_run.then_some(total.count);
        self.report(&totals, would_delete)
    }

    /// Old servers refuse conditional deletes when the store is full (see `Store::txn`): the hints name the ways out.
    fn hint_when_full(&self, failure: Failure) -> Failure {
        let full = failure.error.downcast_ref::<Error>().is_some_and(|error| error.is_no_space());
        if !full || self.atomic {
            return failure;
        }
        let hints = vec![
            "this version of etcd refuses conditional deletes while the store is full; free space with 'kvadm compact \
             --reclaim'"
                .to_owned(),
            "if that is not enough, add --unguarded --save FILE: it also deletes values that were written after the \
             count, and saves them"
                .to_owned(),
        ];
        Failure { hints, ..failure }
    }

    /// Counts the keys. With a filter, the first ones are known then.
    async fn count(&self) -> Result<(RangeCount, Vec<Vec<u8>>), Failure> {
        let store = self.ctx.store();
        let mut first = Vec::new();
        let Some(filter) = &self.filter else {
            return Ok((store.count(&self.range, 0, self.guard.as_ref()).await?, first));
        };
        let progress = self.ctx.out.progress("counting", None);
        let mut reader = store.read(&self.range, self.read_options(0, true));
        let mut count = 0;
        while let Some(page) = reader.next().await? {
            progress.inc(page.len() as u64);
            for kv in page.into_iter().filter(|kv| filter.matches(&kv.key)) {
                count += 1;
                if first.len() < MAX_SHOWN {
                    first.push(kv.key);
                }
            }
        }
        progress.finish();
        Ok((RangeCount { count, revision: reader.revision() }, first))
    }

    /// Reads the first keys that were counted, unless a filter has found them.
    async fn read_first(&self, total: RangeCount, first: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        if total.count == 0 || !first.is_empty() {
            return Ok(());
        }
        let options = ReadOptions { limit: Some(MAX_SHOWN as u64), ..self.read_options(total.revision, true) };
        let mut reader = self.ctx.store().read(&self.range, options);
        while let Some(page) = reader.next().await? {
            first.extend(page.into_iter().map(|kv| kv.key));
        }
        Ok(())
    }

    fn read_options(&self, revision: Revision, keys_only: bool) -> ReadOptions {
        ReadOptions { revision, keys_only, limit: None, guard: self.guard.clone() }
    }

    fn describe_range(&self) -> String {
        let from = bytes::escape(&self.range.start);
        if self.range == KeyRange::prefix(&self.range.start) {
            return format!("with prefix '{from}'");
        }
        let to = self.range.end.as_ref().map_or_else(|| "the end".to_owned(), |end| bytes::escape(end));
        format!("from {from} to {to}")
    }

    /// Deletes batch by batch; without consent (a dry run) it only prints the records.
    async fn in_batches(
        &self,
        consent: Option<&Consent>,
        total: RangeCount,
        mut save: Option<&mut SaveFile>,
        totals: &mut DeletionProgress,
    ) -> Result<(), Failure> {
        let store = self.ctx.store();
        let values = save.is_some() || self.prev;
        let mut reader = store.read(&self.range, self.read_options(total.revision, !values)).in_small_pages();
        let mut sink = self.ctx.out.stream();
        let progress = self.ctx.out.progress("deleting", Some(total.count));
        let mut pacer = DeletionPacer::default();
        while let Some(mut page) = reader.next().await? {
            if let Some(filter) = &self.filter {
                page.retain(|kv| filter.matches(&kv.key));
            }
            if let Some(save) = save.as_deref_mut() {
                save.append(store, &page).await?;
            }
            if let (Some(kv), None, false) = (page.first(), pacer.round_trip, consent.is_none()) {
                let asked = Instant::now();
                store.get(&kv.key, 0, self.guard.as_ref()).await?;
                pacer.round_trip = Some(asked.elapsed());
            }
            let Some(consent) = consent else {
                for kv in &page {
                    sink.push(kv)?;
                }
                continue;
            };
            let mut rest = page.as_slice();
            while !rest.is_empty() {
                let (batch, remaining) = rest.split_at(pacer.keys.min(rest.len()));
                let kept = self.remove(consent, batch, total.revision, &mut pacer, save.as_deref_mut(), totals).await?;
                progress.inc(batch.len() as u64);
                if self.prev {
                    for kv in batch.iter().filter(|kv| kept.was_deleted(&kv.key)) {
                        sink.push(kv)?;
                    }
                }
                rest = remaining;
            }
        }
        progress.finish();
        Ok(sink.finish()?)
    }

    /// Deletes adjacent keys that were read at `revision`: as one range, or key by key if a filter left gaps or a newer
    /// key lies between them.
    async fn remove(
        &self,
        consent: &Consent,
        batch: &[KeyValue],
        revision: Revision,
        pacer: &mut DeletionPacer,
        save: Option<&mut SaveFile>,
        totals: &mut DeletionProgress,
    ) -> Result<KeptKeys, Failure> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(KeptKeys::default()) };
        let store = self.ctx.store();
        if self.filter.is_none() {
            let range = KeyRange::between(&first.key, Some(&[last.key.as_slice(), &[0]].concat()));
            let txn = Txn {
                compares: vec![Compare::none_newer(&range, revision)],
                then: vec![Op::Delete { over: KeySelector::Range(range), prev: false }],
                otherwise: vec![],
            };
            let started = Instant::now();
            let result = match (store.txn("delete", &txn, self.guard.as_ref(), Retry::Idempotent).await, save) {
                (Err(error), Some(save)) if error.is_no_space() && self.unguarded => {
                    self.delete_unguarded(consent, txn.then, revision, save, totals).await?
                }
                (Err(error), _) if error.is_no_space() => return Err(self.without_space(error, first, revision).await),
                (result, _) => result?,
            };
            if result.maybe_applied && !result.succeeded {
                return Err(unknown_deletion());
            }
            if result.succeeded {
                pacer.record(started.elapsed());
                totals.add(&result, batch.len());
                return Ok(KeptKeys::default());
            }
        }
        let mut kept = KeptKeys::default();
        for chunk in batch.chunks(SINGLE_KEY_BATCH) {
            self.remove_singly(consent, store, chunk, revision, totals, &mut kept).await?;
        }
        Ok(kept)
    }

    /// Some versions refuse every transaction in a full store but accept plain deletions. Values that were written after
    /// the count are saved before anything else is done. The deletion is never sent twice: a second one could delete
    /// what was written since.
    async fn delete_unguarded(
        &self,
        _: &Consent,
        then: Vec<Op>,
        revision: Revision,
        save: &mut SaveFile,
        totals: &mut DeletionProgress,
    ) -> Result<TxnResult, Failure> {
        let store = self.ctx.store();
        let with_values = |op| match op {
            Op::Delete { over, .. } => Op::Delete { over, prev: true },
            other => other,
        };
        let plain = Txn { then: then.into_iter().map(with_values).collect(), ..Txn::default() };
        let mut result = store.txn("delete", &plain, None, Retry::Never).await?;
        for deletion in &mut result.results {
            let OpResult::Delete { prev, .. } = deletion else { continue };
            prev.retain(|kv| kv.mod_revision > revision);
            if !prev.is_empty() {
                save.append(store, prev).await?;
                totals.newer += prev.len() as u64;
            }
        }
        Ok(result)
    }

    /// The failure for a deletion that etcd refused for lack of space. etcd may apply such a request all the same, but it has
    /// answered: a key that is still as it was proves that nothing was and will be deleted.
    async fn without_space(&self, error: Error, first: &KeyValue, revision: Revision) -> Failure {
        let Error::Unknown { op, cause } = error else { return error.into() };
        match self.ctx.store().get(&first.key, 0, self.guard.as_ref()).await {
            Ok((Some(now), _)) if now.mod_revision <= revision => Failure::from(*cause),
            _ => Failure::from(Error::Unknown { op, cause }),
        }
    }

    async fn remove_singly(
        &self,
        _: &Consent,
        store: &Store,
        chunk: &[KeyValue],
        revision: Revision,
        totals: &mut DeletionProgress,
        kept: &mut KeptKeys,
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
            if result.maybe_applied && !result.succeeded {
                return Err(unknown_deletion());
            }
            if result.succeeded {
                totals.add(&result, keys.len());
                return Ok(());
            }
            let owned_keys: Vec<Vec<u8>> = keys.iter().map(|key| key.to_vec()).collect();
            let now = store.get_many(&owned_keys, 0, self.guard.as_ref()).await?;
            let newer = |kv: &Option<KeyValue>| kv.as_ref().is_some_and(|kv| kv.mod_revision > revision);
            let changed: Vec<bool> = now.kvs.iter().map(newer).collect();
            for (key, _) in keys.iter().zip(&changed).filter(|(_, changed)| **changed) {
                kept.kept.push(key.to_vec());
                totals.kept += 1;
            }
            let mut changed_keys = changed.iter();
            keys.retain(|_| changed_keys.next().is_some_and(|changed| !changed));
        }
        Ok(())
    }

    /// Deletes the range in one request. With `save`, only if no key is newer than the saved records. After a lost reply the
    /// outcome is unknown: an empty range may be another client's work, and a range that is not empty proves nothing.
    async fn in_one_request(
        &self,
        _: &Consent,
        total: RangeCount,
        save: Option<&mut SaveFile>,
        totals: &mut DeletionProgress,
    ) -> Result<(), Failure> {
        let store = self.ctx.store();
        let mut compares = Vec::new();
        if let Some(save) = save {
            let mut reader = store.read(&self.range, self.read_options(total.revision, false));
            while let Some(page) = reader.next().await? {
                save.append(store, &page).await?;
            }
            compares.push(Compare::none_newer(&self.range, total.revision));
        }
        let guarded = !compares.is_empty();
        let over = KeySelector::Range(self.range.clone());
        let txn = Txn { compares, then: vec![Op::Delete { over, prev: false }], otherwise: vec![] };
        let each = u32::try_from(total.count).unwrap_or(u32::MAX);
        let limit = ATOMIC_TIMEOUT + ATOMIC_TIMEOUT_PER_KEY.saturating_mul(each);
        let progress = self.ctx.out.progress("deleting in one request", None);
        let result = store.txn("delete", &txn, self.guard.as_ref(), Retry::NeverWithin(limit)).await;
        progress.finish();
        match result {
            Ok(report) if !report.succeeded && guarded => Err(Failure::conflict(
                "condition failed; nothing was deleted: a key was written after the records were saved",
            )
            .hint("remove the file of --save and run the command again, or leave --atomic out")),
            Ok(report) => {
                totals.revision = report.revision;
                totals.deleted = match report.results.first() {
                    Some(OpResult::Delete { deleted, .. }) => *deleted,
                    _ => 0,
                };
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn report(&self, totals: &DeletionProgress, would_delete: Option<u64>) -> Result<Exit, Failure> {
        if let Some(count) = would_delete.filter(|_| !self.ctx.out.is_data()) {
            let (keys, selection) = (counted(count, "key"), self.describe_range());
            self.ctx.out.note(&format!("dry run: would delete {keys} {selection}"));
        }
        if totals.kept > 0 {
            self.ctx.out.note(&format!("kept {} written after the count", counted(totals.kept, "key")));
        }
        if totals.newer > 0 {
            let newer = counted(totals.newer, "key");
            self.ctx
                .out
                .warn(&format!("deleted {newer} written after the count; the values are in the file of --save"));
        }
        if !self.prev {
            let DeletionProgress { deleted, kept, revision, .. } = *totals;
            print_answer(self.ctx, &DeleteAnswer { deleted, would_delete, kept, revision }, false)?;
        }
        let nothing = totals.deleted == 0 && would_delete.unwrap_or(0) == 0;
        Ok(if nothing { Exit::No } else { Exit::Done })
    }
}

#[derive(Default)]
struct KeptKeys {
    kept: Vec<Vec<u8>>,
}

impl KeptKeys {
    fn was_deleted(&self, key: &[u8]) -> bool {
        !self.kept.iter().any(|kept| kept == key)
    }
}

struct DeletionPacer {
    keys: usize,
    /// The shortest time of a request: the network's share, during which no other client is blocked.
    round_trip: Option<Duration>,
}

impl Default for DeletionPacer {
    fn default() -> Self {
        Self { keys: FIRST_BATCH, round_trip: None }
    }
}

impl DeletionPacer {
    fn record(&mut self, took: Duration) {
        let round_trip = self.round_trip.map_or(took, |round_trip| round_trip.min(took));
        self.round_trip = Some(round_trip);
        let in_server = took - round_trip;
        if in_server > TARGET_SERVER_TIME {
            self.keys = (self.keys / 2).max(1);
        } else if in_server < TARGET_SERVER_TIME / 4 {
            self.keys = (self.keys * 2).min(MAX_BATCH);
        }
    }
}

/// The failure if a key is newer after a lost reply: it may have been deleted and written again.
fn unknown_deletion() -> Failure {
    Failure::new(Exit::Unknown, "the delete was sent twice, and it is unknown whether the first was applied")
        .context("the first reply was lost, and now a key in the range is newer")
}

fn with_progress(mut failure: Failure, totals: &DeletionProgress, saves: bool) -> Failure {
    if totals.deleted == 0 {
        return failure;
    }
    let stopped = format!("deletion stopped after {}", counted(totals.deleted, "key"));
    if failure.is_other_store() {
        // The same command might begin with the other store.
        return failure.context(stopped);
    }
    if !matches!(failure.exit, Exit::Interrupted | Exit::Unknown) {
        failure.exit = Exit::Partial;
    }
    failure.context(stopped).hint(if saves {
        "run the command again with another file for --save to delete the rest"
    } else {
        "run the same command again to delete the rest"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distant_server_does_not_count_as_a_slow_one() {
        let ms = Duration::from_millis;
        let mut far = DeletionPacer { round_trip: Some(ms(100)), ..DeletionPacer::default() };
        far.record(ms(105));
        assert_eq!(far.keys, 2 * FIRST_BATCH);
        far.record(ms(120));
        assert_eq!(far.keys, 2 * FIRST_BATCH);
        far.record(ms(150));
        assert_eq!(far.keys, FIRST_BATCH);
        let mut slow = DeletionPacer { round_trip: Some(ms(1)), ..DeletionPacer::default() };
        for _ in 0..10 {
            slow.record(ms(100));
        }
        assert_eq!(slow.keys, 1);
    }
}
