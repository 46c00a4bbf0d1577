//! A database file as a store: reads at any of its revisions.
//!
//! A listing needs the index of the live keys at its revision, which takes one pass over the file. Reads of single keys look for
//! the revisions of those keys only, as long as there are few such reads.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::error::BackupError;
use super::etcd_file::EtcdFile;
use super::index::{KeyIndex, record, record_length};
use super::leases;
use super::pass::{DatabaseError, Pass, file_reason};
use super::snapshot_digest::SnapshotDigest;
use crate::kvstore::{
    DIGEST_BYTES, Error, KeyRange, KeyValue, LeaseId, LocalAnswer, LocalError, LocalQuery, LocalStore, Revision,
};
use crate::output::Out;

/// Indexes that are kept: `diff` reads two revisions.
const MAX_INDEXES: usize = 2;
/// Passes for single keys, after which an index is cheaper.
const MAX_KEY_PASSES: u32 = 2;
/// A database has whole sectors, so that the 32 bytes of a SHA-256 show in its size (etcd's `etcdutl/snapshot`).
const SECTOR_BYTES: u64 = 512;
/// How much is read at once to compute the SHA-256.
const DIGEST_CHUNK_BYTES: u32 = 1 << 20;
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
        Self::of(EtcdFile::open(path)?, out, cancel)
    }

    /// As [`Database::open`], for a file that is open.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn of(file: EtcdFile, out: Out, cancel: CancellationToken) -> Result<Self, BackupError> {
        let latest = file.revision()?;
        // A compaction that is under way has removed some of the revisions below.
        let oldest = file.compaction()?.revision().clamp(1, latest.max(1));
        let known = Mutex::default();
        Ok(Self { shared: Arc::new(DatabaseState { file, out, cancel, latest, oldest, known }) })
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

    /// Checks that the file is not cut, and the SHA-256 at the end of a snapshot. Returns `false` for a file without one: a
    /// copy of a member's database.
    ///
    /// # Errors
    /// The file is cut, the SHA-256 is another one, the file cannot be read, or an interruption.
    pub fn check_whole(&self) -> Result<bool, DatabaseError> {
        let bolt = self.shared.file.bolt();
        let total = bolt.file_bytes();
        let needed = bolt.high_water_mark().saturating_mul(bolt.page_bytes().into());
        if total < needed {
            return Err(DatabaseError::Cut { total, needed });
        }
        if total.checked_rem(SECTOR_BYTES) != Some(DIGEST_BYTES) {
            return Ok(false);
        }
        let progress = self.shared.out.progress_bytes("checking the SHA-256", Some(total));
        let (mut digest, mut offset) = (SnapshotDigest::new(total), 0);
        while offset < total {
            let length = u32::try_from(total.saturating_sub(offset)).unwrap_or(u32::MAX).min(DIGEST_CHUNK_BYTES);
            let chunk = bolt.read_at(offset, length).map_err(|error| self.shared.file.error(error))?;
            digest.update(&chunk);
            progress.inc(length.into());
            offset = offset.saturating_add(length.into());
            if self.shared.cancel.is_cancelled() {
                return Err(DatabaseError::Interrupted);
            }
        }
        digest.finish().map(|_| true).map_err(DatabaseError::Digest)
    }

    /// The store's error for a read that failed.
    pub fn error(&self, error: DatabaseError) -> Error {
        Error::Local { store: self.name(), cause: broken(error) }
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
        let mut known = self.known();
        if !known.keys.contains_key(key) {
            self.find_keys(&mut known, &[key.to_vec()])?;
        }
        let oldest = self.shared.oldest;
        let mut found: Vec<KeyRevision> =
            known.keys.get(key).into_iter().flatten().filter(|one| one.revision <= revision).copied().collect();
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
            let kv = self.record_of(key, last)?;
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

fn broken(error: DatabaseError) -> LocalError {
    LocalError::Broken(error.reason())
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
        self.answer(query, revision).map_err(broken)
    }

    fn prepare(&self, keys: &[Vec<u8>]) -> Result<(), LocalError> {
        let mut known = self.known();
        if known.indexes.is_empty() && known.key_passes < MAX_KEY_PASSES && keys.len() <= MAX_WANTED_KEYS {
            self.find_keys(&mut known, keys).map_err(broken)?;
        }
        Ok(())
    }

    fn lease_ttl(&self, lease: LeaseId) -> Result<Option<i64>, LocalError> {
        leases::lease_ttl(&self.shared.file, lease).map_err(|error| LocalError::Broken(file_reason(&error)))
    }
}

#[cfg(test)]
mod tests;
