//! Compares a source with the store, in constant memory.

use std::collections::VecDeque;

use super::error::SyncError;
use super::merge::{Merge, MergeStep, Pair};
use super::record::{KeyMapping, SyncRecord};
use super::records::Records;
use super::source::StoreRecords;
use crate::kvstore::{Error, KeyRange, KeyValue, ReadOptions, Revision, Store};
use crate::output::{ChangeKind, Progress};

/// The least and the most keys whose values are read together, if the revisions of their records differ.
const VALUES_AT_ONCE: (usize, usize) = (8, 128);
/// The memory that these values should need.
const VALUE_BYTES: usize = 8 << 20;
/// A range is read instead of single keys if at most this many keys lie in it for each that is wanted: a key of a page
/// costs a tenth of a request (measured on one core).
const MAX_PASSED_PER_KEY: usize = 8;

/// Which leases make two records different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseRule {
    /// The IDs of the leases: both records are of one cluster.
    Id,
    /// Whether there is a lease.
    Presence,
    /// None.
    Ignore,
}

impl LeaseRule {
    /// Whether the leases of two records are the same by this rule.
    pub fn same(self, source: &KeyValue, store: &KeyValue) -> bool {
        match self {
            Self::Id => source.lease == store.lease,
            Self::Presence => source.lease.is_some() == store.lease.is_some(),
            Self::Ignore => true,
        }
    }
}

/// A key on which the source and the store differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The source's record, if the source has the key.
    pub source: Option<SyncRecord>,
    /// The store's record, if the store has the key.
    pub store: Option<KeyValue>,
}

impl Difference {
    /// The key in the store.
    pub fn key(&self) -> &[u8] {
        let source = self.source.as_ref().map(|record| record.kv.key.as_slice());
        source.or(self.store.as_ref().map(|kv| kv.key.as_slice())).unwrap_or_default()
    }

    /// The change that leads from the source to the store.
    pub fn from_source(&self) -> ChangeKind {
        match (&self.source, &self.store) {
            (None, _) => ChangeKind::Created,
            (_, None) => ChangeKind::Deleted,
            _ => ChangeKind::Modified,
        }
    }

    /// The change that makes the store equal to the source.
    pub fn to_source(&self) -> ChangeKind {
        match (&self.source, &self.store) {
            (None, _) => ChangeKind::Deleted,
            (_, None) => ChangeKind::Created,
            _ => ChangeKind::Modified,
        }
    }

    fn values_differ(&self) -> bool {
        match (&self.source, &self.store) {
            (Some(source), Some(store)) => source.kv.value != store.value,
            _ => true,
        }
    }

    fn leases_differ(&self, rule: LeaseRule) -> bool {
        match (&self.source, &self.store) {
            (Some(source), Some(store)) => !rule.same(&source.kv, store),
            _ => true,
        }
    }
}

/// A comparison of a source with the store.
pub struct Comparison {
    source: Records,
    store: StoreRecords,
    merge: Merge,
    leases: LeaseRule,
    /// The store, if both sides are revisions of it: their records are compared by mod revision, without values.
    history_of: Option<Store>,
    mapping: KeyMapping,
    /// Differences with their values.
    ready: VecDeque<Difference>,
    /// Keys that are the same on both sides.
    same: u64,
    source_records: u64,
    store_records: u64,
    /// Keys whose values are read together, by the size of those before.
    values_at_once: usize,
    progress: Option<Progress>,
}

impl Comparison {
    /// Compares records with their values.
    pub fn of_values(source: Records, store: StoreRecords, mapping: KeyMapping, leases: LeaseRule) -> Self {
        Self {
            source,
            store,
            merge: Merge::default(),
            leases,
            history_of: None,
            mapping,
            ready: VecDeque::new(),
            same: 0,
            source_records: 0,
            store_records: 0,
            values_at_once: VALUES_AT_ONCE.0,
            progress: None,
        }
    }

    /// Compares two revisions of one store, read without values: the values of what was changed are read separately.
    pub fn of_revisions(
        store: &Store,
        source: StoreRecords,
        now: StoreRecords,
        mapping: KeyMapping,
        leases: LeaseRule,
    ) -> Self {
        Self { history_of: Some(store.clone()), ..Self::of_values(Records::Store(source), now, mapping, leases) }
    }

    /// Reads the first pages of both sides, so that their revisions are known.
    ///
    /// # Errors
    /// Any error of a read.
    pub async fn begin(&mut self) -> Result<(), SyncError> {
        let (source, store) = tokio::join!(self.source.next(), self.store.next());
        let store = store.map_err(SyncError::Store)?;
        self.take_source(source?);
        self.take_store(store);
        Ok(())
    }

    /// The next key that differs; `None` at the end.
    ///
    /// # Errors
    /// Any error of a read, or a record of a file that cannot be used.
    pub async fn next(&mut self) -> Result<Option<Difference>, SyncError> {
        let mut pending: Vec<Difference> = Vec::new();
        // Keys passed since the first one that is pending.
        let mut passed = 0;
        loop {
            if let Some(difference) = self.ready.pop_front() {
                return Ok(Some(difference));
            }
            let (leases, by_revision, same) = (self.leases, self.history_of.is_some(), &mut self.same);
            let step = self.merge.step(|source, store| {
                let equal = if by_revision {
                    source.kv.mod_revision == store.kv.mod_revision
                } else {
                    source.kv.value == store.kv.value && leases.same(&source.kv, &store.kv)
                };
                *same = same.saturating_add(u64::from(equal));
                passed += usize::from(equal);
                equal
            });
            match step {
                MergeStep::NeedSource => {
                    let page = self.source.next().await?;
                    self.take_source(page);
                }
                MergeStep::NeedStore => {
                    let page = self.store.next().await.map_err(SyncError::Store)?;
                    self.take_store(page);
                }
                MergeStep::Pair(Pair { source, store }) => {
                    let difference = Difference { source, store: store.map(|record| record.kv) };
                    if !by_revision {
                        return Ok(Some(difference));
                    }
                    if pending.is_empty() {
                        passed = 0;
                    }
                    passed += 1;
                    pending.push(difference);
                    if pending.len() >= self.values_at_once {
                        self.read_values(std::mem::take(&mut pending), passed).await?;
                    }
                }
                MergeStep::End if pending.is_empty() => return Ok(None),
                MergeStep::End => self.read_values(std::mem::take(&mut pending), passed).await?,
            }
        }
    }

    fn take_source(&mut self, page: Option<Vec<SyncRecord>>) {
        self.source_records = self.source_records.saturating_add(page.as_ref().map_or(0, Vec::len) as u64);
        self.merge.source_page(page);
    }

    fn take_store(&mut self, page: Option<Vec<SyncRecord>>) {
        let records = page.as_ref().map_or(0, Vec::len) as u64;
        self.store_records = self.store_records.saturating_add(records);
        if let Some(progress) = &self.progress {
            progress.set_total(self.store.total());
            progress.inc(records);
        }
        self.merge.store_page(page);
    }

    /// Reads the values of records that were read without, and keeps what differs in value or lease.
    async fn read_values(&mut self, mut pending: Vec<Difference>, passed: usize) -> Result<(), SyncError> {
        let Some(store) = &self.history_of else { return Ok(()) };
        let source_key = |kv: &KeyValue| self.mapping.to_source(&kv.key).unwrap_or_default();
        let then: Vec<Vec<u8>> =
            pending.iter().filter_map(|pair| pair.source.as_ref()).map(|record| source_key(&record.kv)).collect();
        let now: Vec<Vec<u8>> =
            pending.iter().filter_map(|pair| pair.store.as_ref()).map(|kv| kv.key.clone()).collect();
        let (then, now) = tokio::join!(
            read_at(store, &then, passed, self.source.revision().unwrap_or(0)),
            read_at(store, &now, passed, self.store.revision())
        );
        let (mut then, mut now) =
            (then.map_err(SyncError::Source)?.into_iter(), now.map_err(SyncError::Store)?.into_iter());
        for pair in &mut pending {
            if let Some(record) = &mut pair.source
                && let Some(full) = then.next().flatten()
            {
                record.kv = KeyValue { key: std::mem::take(&mut record.kv.key), ..full };
            }
            if let Some(kv) = &mut pair.store
                && let Some(full) = now.next().flatten()
            {
                *kv = full;
            }
        }
        let sizes = pending.iter().flat_map(|pair| {
            pair.source
                .as_ref()
                .map(|record| record.kv.size())
                .into_iter()
                .chain(pair.store.as_ref().map(KeyValue::size))
        });
        let bytes_per_key = sizes.sum::<usize>() / pending.len().max(1);
        self.values_at_once = (VALUE_BYTES / bytes_per_key.max(1)).clamp(VALUES_AT_ONCE.0, VALUES_AT_ONCE.1);
        let before = pending.len();
        pending.retain(|pair| pair.values_differ() || pair.leases_differ(self.leases));
        self.same = self.same.saturating_add(before.saturating_sub(pending.len()) as u64);
        self.ready.extend(pending);
        Ok(())
    }

    /// The source's revision, if it has one.
    pub fn source_revision(&self) -> Option<Revision> {
        self.source.revision()
    }

    /// The store's revision.
    pub fn store_revision(&self) -> Revision {
        self.store.revision()
    }

    /// Keys that are the same on both sides, so far.
    pub fn same(&self) -> u64 {
        self.same
    }

    /// Records of the source that were read so far.
    pub fn source_records(&self) -> u64 {
        self.source_records
    }

    /// Records of the store that were read so far.
    pub fn store_records(&self) -> u64 {
        self.store_records
    }

    /// Shows from now on how many records of the store were read.
    pub fn show_progress(&mut self, progress: Progress) {
        progress.set_total(self.store.total());
        progress.inc(self.store_records);
        self.progress = Some(progress);
    }

    /// Removes the progress bar.
    pub fn finish_progress(&mut self) {
        self.progress = None;
    }
}

/// The records of keys in order at a revision. `passed` keys lie between the first and the last one: if they are not many
/// more, all of them are read as a range.
async fn read_at(
    store: &Store,
    keys: &[Vec<u8>],
    passed: usize,
    revision: Revision,
) -> Result<Vec<Option<KeyValue>>, Error> {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(Vec::new()) };
    if passed > MAX_PASSED_PER_KEY.saturating_mul(keys.len()) {
        return store.get_each(keys, revision).await;
    }
    let mut found = vec![None; keys.len()];
    let range = KeyRange::between(first, Some(&[last.as_slice(), &[0]].concat()));
    let mut reader = store.read(&range, ReadOptions { revision, ..ReadOptions::default() });
    while let Some(page) = reader.next().await? {
        for kv in page {
            if let Ok(index) = keys.binary_search(&kv.key)
                && let Some(place) = found.get_mut(index)
            {
                *place = Some(kv);
            }
        }
    }
    Ok(found)
}
