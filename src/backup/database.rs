//! A database file as a store: reads at any of its revisions.
//!
//! A listing needs the index of the live keys at its revision, which takes one pass over the file. Reads of single keys look for
//! the revisions of those keys only, as long as there are few such reads.

mod proof;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::error::BackupError;
use super::etcd_file::EtcdFile;
use super::index::{KeyIndex, record, record_length};
use super::leases;
use super::pass::{DatabaseError, Pass};
use crate::kvstore::{Error, KeyRange, KeyValue, LeaseId, LocalAnswer, LocalError, LocalQuery, LocalStore, Revision};
use crate::output::Out;

/// Indexes that are kept: `diff` reads two revisions.
const MAX_INDEXES: usize = 2;
/// Passes for single keys, after which an index is cheaper.
const MAX_KEY_PASSES: u32 = 2;
/// Keys that one pass looks for.
const MAX_WANTED_KEYS: usize = 4096;

/// A database file that is open for reading. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    shared: Arc<DatabaseState>,
}

struct DatabaseState {
    file: EtcdFile,
    out: Out,
    cancel: CancellationToken,
    /// The latest revision.
    latest: Revision,
    /// The oldest revision that can be read.
    oldest: Revision,
    known: Mutex<Known>,
    /// Whether the file has a SHA-256, which is then right; `None` before the first read.
    proved: Mutex<Option<bool>>,
}

/// What passes over the file have found.
#[derive(Default)]
struct Known {
    /// The index used last is the last one.
    indexes: Vec<Arc<KeyIndex>>,
    /// All revisions of single keys.
    keys: HashMap<Vec<u8>, Vec<KeyRevision>>,
    key_passes: u32,
}

/// One revision of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRevision {
    /// The revision.
    pub revision: Revision,
    /// Whether the key was deleted.
    pub is_tombstone: bool,
    offset: u64,
    length: u32,
}

impl Database {
    /// Opens a database. `out` shows the progress of passes; the token ends them.
    ///
    /// # Errors
    /// The file cannot be read, or is not a database of etcd.
    pub fn open(path: &Path, out: Out, cancel: CancellationToken) -> Result<Self, BackupError> {
        Self::of(EtcdFile::open(path)?, out, cancel, None)
    }

    /// As [`Database::open`], for a file that is open and whose SHA-256 was checked.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn of_proved(file: EtcdFile, out: Out, cancel: CancellationToken) -> Result<Self, BackupError> {
        Self::of(file, out, cancel, Some(true))
    }

    fn of(file: EtcdFile, out: Out, cancel: CancellationToken, proved: Option<bool>) -> Result<Self, BackupError> {
        let latest = file.revision()?;
        // A compaction that is under way has removed some of the revisions below.
        let oldest = file.compaction()?.revision().clamp(1, latest.max(1));
        let (known, proved) = (Mutex::default(), Mutex::new(proved));
        Ok(Self { shared: Arc::new(DatabaseState { file, out, cancel, latest, oldest, known, proved }) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.shared.file.path()
    }

    /// The latest revision.
    pub fn latest(&self) -> Revision {
        self.shared.latest
    }

    /// The oldest revision that can be read: that of the last compaction, or 1.
    pub fn oldest(&self) -> Revision {
        self.shared.oldest
    }

    /// The file itself.
    pub fn file(&self) -> &EtcdFile {
        &self.shared.file
    }

    /// The store's error for a read that failed.
    pub fn error(&self, error: DatabaseError) -> Error {
        Error::Local { store: self.name(), cause: error.into_local() }
    }

    /// Begins a pass over the file.
    pub fn pass(&self, label: &'static str) -> Pass {
        Pass::new(self.shared.out.progress(label, None), self.shared.cancel.clone())
    }

    /// The revisions of a key (absolute) that can be read, oldest first, up to `revision`. Deletions that the last compaction
    /// has left are not among them.
    ///
    /// # Errors
    /// Damage, or an interruption.
    pub fn revisions_of(&self, key: &[u8], revision: Revision) -> Result<Vec<KeyRevision>, DatabaseError> {
        let found = || {
            let mut known = self.known();
            if !known.keys.contains_key(key) {
                self.find_keys(&mut known, &[key.to_vec()])?;
            }
            Ok(known.keys.get(key).cloned().unwrap_or_default())
        };
        let mut found = self.checked(found)?;
        found.retain(|one| one.revision <= revision);
        let oldest = self.shared.oldest;
        let hidden = found.iter().filter(|one| one.revision <= oldest).count();
        // At the oldest revision, the key is what its latest change until then made of it.
        let visible = hidden.saturating_sub(1);
        let first = found.get(visible).filter(|first| first.is_tombstone && first.revision <= oldest && hidden > 0);
        let skip = if first.is_some() { hidden } else { visible };
        found.drain(..skip.min(found.len()));
        Ok(found)
    }

    /// The record of a revision of a key (absolute); for a deletion, the key with its revision.
    ///
    /// # Errors
    /// Damage, or a file that has changed.
    pub fn record_of(&self, key: &[u8], at: KeyRevision) -> Result<KeyValue, DatabaseError> {
        self.checked(|| self.read_record(key, at))
    }

    fn read_record(&self, key: &[u8], at: KeyRevision) -> Result<KeyValue, DatabaseError> {
        if at.is_tombstone {
            return Ok(KeyValue { key: key.to_vec(), mod_revision: at.revision, ..KeyValue::default() });
        }
        record(&self.shared.file, key, at.revision, at.offset, at.length)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for all revisions of these keys in one pass.
    fn find_keys(&self, known: &mut Known, keys: &[Vec<u8>]) -> Result<(), DatabaseError> {
        let mut wanted: HashMap<Vec<u8>, Vec<KeyRevision>> =
            keys.iter().filter(|key| !known.keys.contains_key(*key)).map(|key| (key.clone(), Vec::new())).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        known.key_passes = known.key_passes.saturating_add(1);
        let mut pass = self.pass("looking for the key");
        let mut revisions = self.shared.file.revisions()?;
        while let Some(stored) = revisions.next()? {
            pass.step()?;
            let Some(found) = wanted.get_mut(stored.key).filter(|_| !stored.is_placeholder()) else { continue };
            let length = record_length(&stored)?;
            let (revision, is_tombstone, offset) = (stored.main, stored.is_tombstone, stored.record_offset);
            found.push(KeyRevision { revision, is_tombstone, offset, length });
        }
        known.keys.extend(wanted);
        Ok(())
    }

    /// The index of a revision that can be read.
    fn index(&self, known: &mut Known, revision: Revision) -> Result<Arc<KeyIndex>, DatabaseError> {
        let index = match known.indexes.iter().position(|index| index.revision() == revision) {
            Some(position) => known.indexes.remove(position),
            None => {
                if known.indexes.len() >= MAX_INDEXES {
                    known.indexes.remove(0);
                }
                let mut pass = self.pass("reading the database");
                Arc::new(KeyIndex::build(&self.shared.file, revision, &mut pass)?)
            }
        };
        known.indexes.push(Arc::clone(&index));
        Ok(index)
    }

    fn readable(&self, revision: Revision) -> Result<Revision, LocalError> {
        let DatabaseState { latest, oldest, .. } = *self.shared;
        match revision {
            0 => Ok(latest),
            revision if revision > latest => Err(LocalError::FutureRevision { revision, latest }),
            revision if revision < oldest => Err(LocalError::Compacted { revision, oldest }),
            revision => Ok(revision),
        }
    }

    fn answer(&self, query: &LocalQuery, revision: Revision) -> Result<LocalAnswer, DatabaseError> {
        let mut known = self.known();
        if let Some(key) = single_key(&query.range)
            && !known.indexes.iter().any(|index| index.revision() == revision)
        {
            if !known.keys.contains_key(key) && known.key_passes < MAX_KEY_PASSES {
                self.find_keys(&mut known, &[key.to_vec()])?;
            }
            if let Some(found) = known.keys.get(key) {
                let last = found.iter().rev().find(|one| one.revision <= revision).copied();
                drop(known);
                return self.answer_for_key(query, key, last, revision);
            }
        }
        let index = self.index(&mut known, revision)?;
        drop(known);
        index.answer(&self.shared.file, query)
    }

    fn answer_for_key(
        &self,
        query: &LocalQuery,
        key: &[u8],
        last: Option<KeyRevision>,
        revision: Revision,
    ) -> Result<LocalAnswer, DatabaseError> {
        let Some(last) = last.filter(|last| !last.is_tombstone) else {
            return Ok(LocalAnswer { revision, ..LocalAnswer::default() });
        };
        let mut kvs = Vec::new();
        if !query.count_only {
            let kv = self.read_record(key, last)?;
            kvs.push(if query.keys_only { KeyValue { value: Vec::new(), ..kv } } else { kv });
        }
        Ok(LocalAnswer { kvs, count: 1, more: false, revision })
    }
}

/// The key, if the range holds one key at most.
fn single_key(range: &KeyRange) -> Option<&[u8]> {
    let end = range.end.as_deref()?;
    (end.strip_prefix(range.start.as_slice()) == Some(&[0])).then_some(&range.start)
}

impl LocalStore for Database {
    fn name(&self) -> String {
        self.path().display().to_string()
    }

    fn range(&self, query: &LocalQuery) -> Result<LocalAnswer, LocalError> {
        let revision = self.readable(query.revision)?;
        if query.range.is_empty() {
            return Ok(LocalAnswer { revision, ..LocalAnswer::default() });
        }
        self.checked(|| self.answer(query, revision)).map_err(DatabaseError::into_local)
    }

    fn prepare(&self, keys: &[Vec<u8>]) -> Result<(), LocalError> {
        let prepare = || {
            let mut known = self.known();
            if known.indexes.is_empty() && known.key_passes < MAX_KEY_PASSES && keys.len() <= MAX_WANTED_KEYS {
                self.find_keys(&mut known, keys)?;
            }
            Ok(())
        };
        self.checked(prepare).map_err(DatabaseError::into_local)
    }

    fn lease_ttl(&self, lease: LeaseId) -> Result<Option<i64>, LocalError> {
        let read = || Ok(leases::lease_ttl(&self.shared.file, lease)?);
        self.checked(read).map_err(DatabaseError::into_local)
    }
}

#[cfg(test)]
mod tests;
