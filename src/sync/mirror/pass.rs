//! Compares the prefix of the source with that of the destination, each at one revision, in constant memory.

use std::collections::BTreeMap;

use super::batch::SourceChange;
use super::error::MirrorError;
use super::known::KnownRevisions;
use crate::kvstore::{ReadOptions, Revision, Store};
use crate::sync::merge::{Merge, MergeStep};
use crate::sync::record::KeyMapping;
use crate::sync::source::StoreRecords;

/// Keys whose wanted state is not that of the source's revision; `None` for a key that is deleted.
pub type Overlay = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A key that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixDifference {
    /// The wanted state, with the revision in which the source has written it; 0 if it has no such key.
    pub change: SourceChange,
    /// The destination's mod revision; `None` if it has no such key.
    pub found: Option<Revision>,
}

impl PrefixDifference {
    /// The destination's mod revision; 0 if it has no such key.
    pub fn found_revision(&self) -> Revision {
        self.found.unwrap_or(0)
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
    /// Begins a comparison that leaves the place key out on both sides.
    pub fn new(
        source: &Store,
        destination: &Store,
        mapping: &KeyMapping,
        place: &[u8],
        at: PassRevisions,
        overlay: Overlay,
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
            let (overlay, counts) = (&self.overlay, &mut self.counts);
            let step = self.merge.step(|source, store| {
                // Reported like a key of one side only; the counts are then those of the difference.
                let same = source.kv.value == store.kv.value
                    && store.kv.lease.is_none()
                    && !overlay.contains_key(&source.kv.key);
                if same {
                    counts.source += 1;
                    counts.destination += 1;
                    known.set(&store.kv.key, store.kv.mod_revision);
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
                    let wanted = match self.overlay.remove(&key) {
                        Some(value) => value,
                        None => source.map(|kv| kv.value),
                    };
                    let same = store.as_ref().map(|kv| &kv.value) == wanted.as_ref()
                        && store.as_ref().is_none_or(|kv| kv.lease.is_none());
                    if !same {
                        let found = store.map(|kv| kv.mod_revision);
                        return Ok(Some(self.difference(key, wanted, revision, found)));
                    }
                }
                MergeStep::End => {
                    // Keys that are wanted and that neither side has.
                    while let Some((key, wanted)) = self.overlay.pop_first() {
                        if wanted.is_some() {
                            return Ok(Some(self.difference(key, wanted, 0, None)));
                        }
                    }
                    return Ok(None);
                }
            }
        }
    }

    fn difference(
        &mut self,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
        revision: Revision,
        found: Option<Revision>,
    ) -> PrefixDifference {
        match (&value, found) {
            (None, _) => self.counts.deleted += 1,
            (Some(_), None) => self.counts.created += 1,
            (Some(_), Some(_)) => self.counts.changed += 1,
        }
        PrefixDifference { change: SourceChange { key, value, revision }, found }
    }
}
