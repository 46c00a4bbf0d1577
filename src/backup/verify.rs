//! Verifies a database file: its SHA-256, all reachable pages, all records, and its HashKV.

use std::path::Path;
use std::thread;

use thiserror::Error;

use super::bolt::{BoltFile, Damage, MetaFault, PageWalk, WalkEnd};
use super::contents::{Contents, ContentsCheck};
use super::error::BackupError;
use super::etcd_file::{Compaction, EtcdFile};
use super::hash_kv::{HashKv, StoreHash};
use super::monitor::VerifyMonitor;
use super::schema::RevisionKey;
use super::snapshot_digest::SnapshotDigest;
use crate::kvstore::{DIGEST_BYTES, Revision};

/// Bytes that are read at once for the SHA-256.
const READ_BYTES: usize = 1 << 20;
/// bbolt's smallest page: the database before the SHA-256 has whole pages.
const MIN_PAGE_BYTES: u64 = 1024;

/// The SHA-256 at the end of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The file has none: values cannot be proved.
    Absent,
    /// The database has this SHA-256, in hex.
    Verified(String),
    /// The database has another SHA-256 than the file ends with.
    Mismatch {
        /// The SHA-256 of the database, in hex.
        computed: String,
        /// What the file ends with, in hex.
        stored: String,
    },
}

/// Why a file could not be verified.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The file cannot be read, or is not an etcd database.
    #[error(transparent)]
    File(#[from] BackupError),
    /// The revision for the hash was compacted.
    #[error("revision {revision} was compacted; the compact revision of the file is {compacted}")]
    Compacted {
        /// The revision that was asked for.
        revision: Revision,
        /// The compact revision.
        compacted: Revision,
    },
    /// The revision for the hash does not exist yet.
    #[error("revision {revision} is in the future; the latest revision of the file is {latest}")]
    Future {
        /// The revision that was asked for.
        revision: Revision,
        /// The latest revision.
        latest: Revision,
    },
    /// [`VerifyMonitor::cancel`] was called.
    #[error("interrupted")]
    Cancelled,
}

/// What a verification has found.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The SHA-256.
    pub checksum: Checksum,
    /// The first damages, in the order of keys.
    pub described: Vec<Damage>,
    /// The number of damages.
    pub damages: u64,
    /// What is wrong with the first or the second meta page. etcd uses the other one.
    pub meta_faults: [Option<MetaFault>; 2],
    /// What the file holds, as far as it is readable.
    pub contents: Contents,
    /// The latest revision; `None` if damage hides it.
    pub revision: Option<Revision>,
    /// The compactions; `None` if damage hides them.
    pub compaction: Option<Compaction>,
    /// The hash; `None` if the file is damaged.
    pub hash: Option<StoreHash>,
    /// The size of the file in bytes.
    pub file_bytes: u64,
    /// The size of a page in bytes.
    pub page_bytes: u32,
    /// The pages in the file that were used once but are not now, in bytes.
    pub free_bytes: u64,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.damages == 0 && !matches!(self.checksum, Checksum::Mismatch { .. })
    }
}

/// How often a verification reads a file of this size: once for its pages, and once for its SHA-256 if it has one.
pub fn passes_to_verify(file_bytes: u64) -> u64 {
    if file_bytes.checked_rem(MIN_PAGE_BYTES) == Some(DIGEST_BYTES) { 2 } else { 1 }
}

/// Verifies a file. `revision` is that of the hash; 0 for the latest.
///
/// # Errors
/// As [`VerifyError`]. Damage is no error.
pub fn verify(path: &Path, revision: Revision, monitor: &VerifyMonitor) -> Result<Verification, VerifyError> {
    match EtcdFile::open_of_any_size(path) {
        Ok(file) => verify_file(&file, revision, monitor),
        // The bucket of an etcd database cannot be found: the pages are checked all the same.
        Err(BackupError::Damaged { damage, .. }) => {
            let bolt = BoltFile::open(path).map_err(|error| BackupError::of(path, error))?;
            let facts = KnownFacts { first: Some(damage), revision: None, compaction: None };
            Ok(examine(path, &bolt, facts, None, monitor)?.0)
        }
        Err(error) => Err(error.into()),
    }
}

/// What is known before the pages are visited.
struct KnownFacts {
    /// Damage that was found already.
    first: Option<Damage>,
    revision: Option<Revision>,
    compaction: Option<Compaction>,
}

fn verify_file(file: &EtcdFile, asked: Revision, monitor: &VerifyMonitor) -> Result<Verification, VerifyError> {
    let first = file.size_damage();
    let facts = file.revision().and_then(|latest| Ok((latest, file.compaction()?)));
    let (facts, hash) = match facts {
        Ok((latest, compaction)) => {
            let revision = if asked == 0 { latest } else { asked };
            let compacted = compaction.revision();
            if revision > latest {
                return Err(VerifyError::Future { revision, latest });
            } else if revision < compacted {
                return Err(VerifyError::Compacted { revision, compacted });
            }
            let facts = KnownFacts { first, revision: Some(latest), compaction: Some(compaction) };
            (facts, Some(HashKv::new(compaction, revision)))
        }
        Err(BackupError::Damaged { damage, .. }) => {
            (KnownFacts { first: Some(damage), revision: None, compaction: None }, None)
        }
        Err(error) => return Err(error.into()),
    };
    let (mut found, hash) = examine(file.path(), file.bolt(), facts, hash, monitor)?;
    if let Some(hash) = hash.filter(|_| found.damages == 0) {
        found.hash = Some(finish_hash(file, hash, monitor)?);
    }
    Ok(found)
}

/// Checks all pages and records as [`verify`] does, but not the SHA-256. Returns the first damage.
///
/// # Errors
/// The monitor has ended it, or the file cannot be read.
pub(super) fn first_damage(file: &EtcdFile, monitor: &VerifyMonitor) -> Result<Option<Damage>, VerifyError> {
    let mut walk = PageWalk::new(file.bolt().clone());
    let mut check = ContentsCheck::new(Some(file.compaction()?.revision()), None, monitor);
    walk.run(&mut check).map_err(|end| walk_error(file.path(), end))?;
    Ok(walk.described().first().cloned())
}

fn walk_error(path: &Path, end: WalkEnd) -> VerifyError {
    match end {
        WalkEnd::Cancelled => VerifyError::Cancelled,
        WalkEnd::Unreadable(error) => VerifyError::File(BackupError::of(path, error)),
    }
}

/// Visits all pages, and computes the SHA-256 at the same time.
fn examine(
    path: &Path,
    bolt: &BoltFile,
    facts: KnownFacts,
    hash: Option<HashKv>,
    monitor: &VerifyMonitor,
) -> Result<(Verification, Option<HashKv>), VerifyError> {
    let mut walk = PageWalk::new(bolt.clone());
    let cut = bolt.cut();
    if let Some(damage) = &cut {
        walk.record(damage.clone());
    }
    let compact_revision = facts.compaction.map(|compaction| compaction.revision());
    let mut check = ContentsCheck::new(compact_revision, hash, monitor);
    let (walked, checksum) = thread::scope(|scope| {
        let hashing = thread::Builder::new().spawn_scoped(scope, || checksum_of(bolt, monitor));
        let walked = walk.run(&mut check);
        let checksum = match hashing {
            // A panic of the thread continues here.
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => checksum_of(bolt, monitor),
        };
        (walked, checksum)
    });
    bolt.check_unchanged().map_err(|error| BackupError::of(path, error))?;
    let checksum = match (walked, checksum) {
        (Ok(()), Ok(checksum)) => checksum,
        (Err(error), _) | (_, Err(error)) => return Err(walk_error(path, error)),
    };
    if let Some(damage) =
        facts.first.filter(|first| cut.as_ref() != Some(first) && walk.damages() == u64::from(cut.is_some()))
    {
        walk.record(damage);
    }
    let (contents, hash) = check.finish();
    let free_pages = bolt.pages().saturating_sub(walk.used_pages());
    let found = Verification {
        checksum,
        described: walk.described().to_vec(),
        damages: walk.damages(),
        meta_faults: bolt.meta_faults(),
        contents,
        revision: facts.revision,
        compaction: facts.compaction,
        hash: None,
        file_bytes: bolt.file_bytes(),
        page_bytes: bolt.page_bytes(),
        free_bytes: free_pages.saturating_mul(bolt.page_bytes().into()),
    };
    Ok((found, hash))
}

/// Compares the SHA-256 of the database with the one behind it, if there is one.
fn checksum_of(bolt: &BoltFile, monitor: &VerifyMonitor) -> Result<Checksum, WalkEnd> {
    let length = bolt.file_bytes();
    if bolt.tail_bytes() != DIGEST_BYTES {
        return Ok(Checksum::Absent);
    }
    let mut digest = SnapshotDigest::new(length);
    let mut buffer = vec![0; READ_BYTES];
    let mut offset: u64 = 0;
    while offset < length {
        let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let chunk = buffer.get_mut(..left.min(READ_BYTES)).unwrap_or_default();
        bolt.read_exact(offset, chunk).map_err(WalkEnd::Unreadable)?;
        digest.update(chunk);
        offset = offset.saturating_add(chunk.len() as u64);
        if !monitor.add(chunk.len() as u64) {
            return Err(WalkEnd::Cancelled);
        }
    }
    Ok(match digest.finish() {
        Ok(sha256) => Checksum::Verified(sha256),
        Err(mismatch) => Checksum::Mismatch { computed: mismatch.computed, stored: mismatch.stored },
    })
}

/// The second pass of the hash, over the revisions up to the compact revision.
fn finish_hash(file: &EtcdFile, hash: HashKv, monitor: &VerifyMonitor) -> Result<StoreHash, VerifyError> {
    let mut older = hash.second_pass();
    if older.is_needed() {
        let mut cursor = file.keys().cursor();
        while let Some(element) = cursor.next().map_err(|error| file.error(error))? {
            let Some(at) = RevisionKey::parse(element.key) else { continue };
            if !monitor.add(0) {
                return Err(VerifyError::Cancelled);
            }
            if !older.change(at, (element.key, element.value)) {
                break;
            }
        }
    }
    Ok(older.finish())
}
