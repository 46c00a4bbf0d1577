//! Compares the prefix of the source with that of the destination, each at one revision, in constant memory.

use std::collections::BTreeMap;

use super::batch::SourceChange;
use super::error::MirrorError;
use super::known::KnownRevisions;
use super::leases::MirrorLeases;
use crate::kvstore::{KeyValue, LeaseId, ReadOptions, Revision, Store};
use crate::sync::merge::{Merge, MergeStep};
use crate::sync::record::KeyMapping;
use crate::sync::source::StoreRecords;

/// Keys whose wanted state is that after these changes, and not that of the source's revision.
pub type Overlay = BTreeMap<Vec<u8>, SourceChange>;

/// A key that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixDifference {
    /// The wanted state, with the revision in which the source has written it; 0 if it has no such key.
    pub change: SourceChange,
    /// The destination's mod revision; `None` if it has no such key.
    pub found: Option<Revision>,
    /// The destination's lease.
    pub found_lease: Option<LeaseId>,
    /// Whether both values are the same, so that only the leases differ.
    pub same_value: bool,
}

impl PrefixDifference {
    /// The destination's mod revision; 0 if it has no such key.
    pub fn found_revision(&self) -> Revision {
        self.found.unwrap_or(0)
    }

    /// Whether the mirror itself may have left this difference, with its last write at this revision of the destination: the
    /// key has expired there, or it was written with another lease, or without.
    pub fn is_of_lease(&self, written: Revision) -> bool {
        match self.found {
            None => self.change.value.is_some() && self.change.lease.is_some(),
            Some(found) => self.same_value && found <= written,
        }
    }
}

/// The numbers of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassCounts {
    /// Keys of the source.
    pub source: u64,
    /// Keys of the destination.
    pub destination: u64,
    /// Keys that the destination lacks.
    pub created: u64,
    /// Keys with another value, or with a lease.
    pub changed: u64,
    /// Keys that the source lacks.
    pub deleted: u64,
}

impl PassCounts {
    /// The number of keys that differ.
    pub fn differing(&self) -> u64 {
        self.created + self.changed + self.deleted
    }
}

/// One comparison.
pub struct ComparePass {
    source: StoreRecords,
    destination: StoreRecords,
    merge: Merge,
    overlay: Overlay,
    leases: MirrorLeases,
    counts: PassCounts,
}

/// Which revisions are compared; 0 for the latest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassRevisions {
    /// The source's.
    pub source: Revision,
    /// The destination's.
    pub destination: Revision,
}

impl ComparePass {
    /// Begins a comparison that leaves the place key out on both sides. Leases that are found with their keys are renewed
    /// from then on.
    pub fn new(
        source: &Store,
        destination: &Store,
        mapping: &KeyMapping,
        place: &[u8],
        at: PassRevisions,
        overlay: Overlay,
        leases: &MirrorLeases,
    ) -> Self {
        let options = |revision| ReadOptions { revision, ..ReadOptions::default() };
        let of_source = StoreRecords::of_source(source, mapping, options(at.source));
        let of_source = match mapping.to_source(place) {
            Some(key) => of_source.without(key),
            None => of_source,
        };
        let of_store = StoreRecords::of_store(destination, mapping, options(at.destination)).without(place.to_vec());
        Self {
            source: of_source,
            destination: of_store,
            merge: Merge::default(),
            overlay,
            leases: leases.clone(),
            counts: PassCounts::default(),
        }
    }

    /// The revisions that are compared; 0 before the first difference.
    pub fn revisions(&self) -> PassRevisions {
        PassRevisions { source: self.source.revision(), destination: self.destination.revision() }
    }

    /// The numbers so far.
    pub fn counts(&self) -> PassCounts {
        self.counts
    }

    /// The next key that differs. Records what it reads of the destination in `known`.
    ///
    /// # Errors
    /// A read failed.
    pub async fn next(&mut self, known: &mut KnownRevisions) -> Result<Option<PrefixDifference>, MirrorError> {
        loop {
            let (overlay, leases, counts) = (&self.overlay, &self.leases, &mut self.counts);
            let step = self.merge.step(|source, store| {
                // Reported like a key of one side only; the counts are then those of the difference.
                let same = source.kv.value == store.kv.value
                    && store.kv.lease == leases.mapping().of(source.kv.lease)
                    && !overlay.contains_key(&source.kv.key);
                if same {
                    counts.source += 1;
                    counts.destination += 1;
                    known.set(&store.kv.key, store.kv.mod_revision);
                    leases.adopt(source.kv.lease);
                }
                same
            });
            match step {
                MergeStep::NeedSource => {
                    let page = self.source.next().await.map_err(MirrorError::Source)?;
                    self.merge.source_page(page);
                }
                MergeStep::NeedStore => {
                    let page = self.destination.next().await.map_err(MirrorError::Destination)?;
                    self.merge.store_page(page);
                }
                MergeStep::Pair(pair) => {
                    self.counts.source += u64::from(pair.source.is_some());
                    self.counts.destination += u64::from(pair.store.is_some());
                    let (source, store) = (pair.source.map(|record| record.kv), pair.store.map(|record| record.kv));
                    let Some(key) = source.as_ref().or(store.as_ref()).map(|kv| kv.key.clone()) else { continue };
                    if let Some(kv) = &store {
                        known.set(&key, kv.mod_revision);
                    }
                    let revision = source.as_ref().map_or(0, |kv| kv.mod_revision);
                    let (value, lease) = match self.overlay.remove(&key) {
                        Some(wanted) => (wanted.value, wanted.lease),
                        None => source.map_or((None, None), |kv| (Some(kv.value), kv.lease)),
                    };
                    let same_value = store.as_ref().map(|kv| &kv.value) == value.as_ref();
                    let lease_of_source = lease.filter(|_| value.is_some());
                    let same_lease =
                        store.as_ref().is_none_or(|kv| kv.lease == self.leases.mapping().of(lease_of_source));
                    if !(same_value && same_lease) {
                        let change = SourceChange { key, value, revision, lease };
                        return Ok(Some(self.difference(change, store.as_ref(), same_value)));
                    }
                    self.leases.adopt(lease_of_source);
                }
                MergeStep::End => {
                    // Keys that are wanted and that neither side has.
                    while let Some((_, wanted)) = self.overlay.pop_first() {
                        if wanted.value.is_some() {
                            return Ok(Some(self.difference(SourceChange { revision: 0, ..wanted }, None, false)));
                        }
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Takes a difference back out of the numbers, which does not count.
    pub fn excuse(&mut self, difference: &PrefixDifference) {
        let count = match difference.found {
            None => &mut self.counts.created,
            Some(_) => &mut self.counts.changed,
        };
        *count = count.saturating_sub(1);
    }

    fn difference(&mut self, change: SourceChange, store: Option<&KeyValue>, same_value: bool) -> PrefixDifference {
        match (&change.value, store) {
            (None, _) => self.counts.deleted += 1,
            (Some(_), None) => self.counts.created += 1,
            (Some(_), Some(_)) => self.counts.changed += 1,
        }
        let (found, found_lease) = (store.map(|kv| kv.mod_revision), store.and_then(|kv| kv.lease));
        PrefixDifference { change, found, found_lease, same_value }
    }
}
