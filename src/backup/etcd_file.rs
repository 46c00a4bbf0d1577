//! etcd's data in a database file: all revisions, and the facts about the store.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bolt::{BoltError, BoltFile, Bucket, Cursor, Damage};
use super::error::BackupError;
use super::file_kind::FileKind;
use super::revision_check::RevisionCheck;
use super::schema::{FINISHED_COMPACTION, KEY_BUCKET, META_BUCKET, RecordView, RevisionKey, SCHEDULED_COMPACTION};
use crate::kvstore::{DIGEST_BYTES, KeyValue, Revision, types};
use crate::plural::counted;

/// Bytes of a file that tell its kind.
const START_BYTES: u32 = 512;

/// An etcd database, opened for reading. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EtcdFile {
    shared: Arc<EtcdShared>,
}

#[derive(Debug)]
struct EtcdShared {
    path: PathBuf,
    bolt: BoltFile,
    keys: Bucket,
    meta: Bucket,
}

/// The compactions of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compaction {
    /// The revision at which the last compaction began; 0 if there was none.
    pub scheduled: Revision,
    /// The revision of the last complete compaction; 0 if there was none.
    pub finished: Revision,
}

impl Compaction {
    /// The compact revision of the store: etcd completes a compaction that had begun.
    pub fn revision(&self) -> Revision {
        self.scheduled.max(self.finished)
    }
}

impl EtcdFile {
    /// Opens a database file of etcd.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is not a database of etcd.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        Self::open_of_any_size(path)?.checked_size()
    }

    /// As [`EtcdFile::open`], but without [`EtcdFile::size_damage`].
    pub(super) fn open_of_any_size(path: &Path) -> Result<Self, BackupError> {
        let other = |kind: FileKind| BackupError::OtherKind { path: path.to_owned(), what: kind.what, hint: kind.hint };
        let of = |error| BackupError::of(path, error);
        let bolt = match BoltFile::open(path) {
            Ok(bolt) => bolt,
            Err(BoltError::Irregular("a folder")) => return Err(other(FileKind::of_directory(path))),
            Err(BoltError::NoMeta(fault)) => {
                let start = crate::bounded_file::start_of_regular(path, START_BYTES.into());
                return Err(other(FileKind::of(path, &start.unwrap_or_default(), fault)));
            }
            Err(error) => return Err(of(error)),
        };
        Self::of_bolt(path, bolt)
    }

    /// Opens a database without a name, such as a temporary file; `path` names it in messages.
    ///
    /// # Errors
    /// As [`EtcdFile::open`].
    pub fn of(file: File, path: &Path) -> Result<Self, BackupError> {
        Self::of_bolt(path, BoltFile::of(file).map_err(|error| BackupError::of(path, error))?)?.checked_size()
    }

    fn checked_size(self) -> Result<Self, BackupError> {
        match self.size_damage() {
            Some(damage) => Err(BackupError::Damaged { path: self.path().to_owned(), damage }),
            None => Ok(self),
        }
    }

    /// What is wrong with the size of the file. A database has whole pages; only a SHA-256 may follow them.
    pub(super) fn size_damage(&self) -> Option<Damage> {
        let bolt = &self.shared.bolt;
        if let Some(cut) = bolt.cut() {
            return Some(cut);
        }
        let (total, tail, page_bytes) = (bolt.file_bytes(), bolt.tail_bytes(), u64::from(bolt.page_bytes()));
        if tail == 0 || tail == DIGEST_BYTES {
            return None;
        }
        let what = format!("the file has {} after its last page; it was cut or extended", counted(tail, "byte"));
        let page = total.checked_div(page_bytes).unwrap_or(0);
        Some(Damage { page, offset: page.saturating_mul(page_bytes), what })
    }

    /// Whether the file ends with a SHA-256, as snapshots do.
    pub fn has_digest(&self) -> bool {
        self.shared.bolt.tail_bytes() == DIGEST_BYTES
    }

    /// Checks that the file is as it was when it was opened.
    ///
    /// # Errors
    /// [`BackupError::Changed`], or the system's error.
    pub fn check_unchanged(&self) -> Result<(), BackupError> {
        self.shared.bolt.check_unchanged().map_err(|error| self.error(error))
    }

    fn of_bolt(path: &Path, bolt: BoltFile) -> Result<Self, BackupError> {
        let other = |kind: FileKind| BackupError::OtherKind { path: path.to_owned(), what: kind.what, hint: kind.hint };
        let of = |error| BackupError::of(path, error);
        let (keys, meta) = (bolt.bucket(KEY_BUCKET).map_err(of)?, bolt.bucket(META_BUCKET).map_err(of)?);
        let (Some(keys), Some(meta)) = (keys, meta) else {
            return Err(other(FileKind::of_other_program(&bolt.buckets().map_err(of)?)));
        };
        Ok(Self { shared: Arc::new(EtcdShared { path: path.to_owned(), bolt, keys, meta }) })
    }

    /// The path that the file was opened by.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The bbolt database.
    pub fn bolt(&self) -> &BoltFile {
        &self.shared.bolt
    }

    /// The bucket of all revisions.
    pub fn keys(&self) -> &Bucket {
        &self.shared.keys
    }

    /// All stored revisions in order. The pass checks that none is missing after the compact revision.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn revisions(&self) -> Result<Revisions, BackupError> {
        let check = RevisionCheck::new(self.compaction()?.revision());
        Ok(Revisions { file: self.clone(), cursor: self.shared.keys.cursor(), check })
    }

    /// All stored revisions from this one, in order.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn revisions_from(&self, main: Revision) -> Result<Revisions, BackupError> {
        let mut revisions = Revisions { check: RevisionCheck::with_gaps(), ..self.revisions()? };
        revisions.cursor.seek(&RevisionKey::first_of(main)).map_err(|error| self.error(error))?;
        Ok(revisions)
    }

    /// The latest revision of the store, at least 1: that of the last change, or of a compaction that removed the change.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn revision(&self) -> Result<Revision, BackupError> {
        let last = match self.shared.keys.last().map_err(|error| self.error(error))? {
            Some(key) => self.parse_revision(&key)?.main,
            None => 0,
        };
        Ok(last.max(self.compaction()?.revision()).max(1))
    }

    /// The number of stored revisions of keys, by the headers of the pages.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn stored_revisions(&self) -> Result<u64, BackupError> {
        self.shared.keys.entries().map_err(|error| self.error(error))
    }

    /// The revisions of the last compaction.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn compaction(&self) -> Result<Compaction, BackupError> {
        let read = |key| match self.read_meta(key)? {
            Some(value) => Ok(self.parse_revision(&value)?.main),
            None => Ok(0),
        };
        Ok(Compaction { scheduled: read(SCHEDULED_COMPACTION)?, finished: read(FINISHED_COMPACTION)? })
    }

    /// Reads one record that a pass has found, by [`StoredRevision::record_offset`] and its length.
    ///
    /// # Errors
    /// The file is damaged, has changed, or cannot be read.
    pub fn record_at(&self, offset: u64, length: u32) -> Result<KeyValue, BackupError> {
        let bytes = self.shared.bolt.read_at(offset, length).map_err(|error| self.error(error))?;
        let view = RecordView::parse(&bytes);
        view.map(RecordView::to_record).ok_or_else(|| self.damaged(offset, "the record of a revision is not readable"))
    }

    /// The value of a key of the bucket `meta`.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn read_meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackupError> {
        let mut cursor = self.shared.meta.cursor();
        let found = cursor.seek(key).and_then(|()| cursor.next()).map_err(|error| self.error(error))?;
        Ok(found.filter(|element| element.key == key && !element.is_bucket).map(|element| element.value.to_vec()))
    }

    /// An error of the bbolt reader, with the file.
    pub(super) fn error(&self, error: BoltError) -> BackupError {
        BackupError::of(&self.shared.path, error)
    }

    /// Damage of the data at an offset.
    fn damaged(&self, offset: u64, what: impl Into<String>) -> BackupError {
        let page = offset.checked_div(self.shared.bolt.page_bytes().into()).unwrap_or(0);
        BackupError::Damaged { path: self.shared.path.clone(), damage: Damage { page, offset, what: what.into() } }
    }

    fn parse_revision(&self, bytes: &[u8]) -> Result<RevisionKey, BackupError> {
        let revision = RevisionKey::parse(bytes).filter(|revision| revision.main <= types::MAX_REVISION);
        revision.ok_or_else(|| self.damaged(0, format!("'{}' is not a revision", bytes.escape_ascii())))
    }
}

/// A stored revision of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRevision<'a> {
    /// The revision.
    pub main: Revision,
    /// The change within the revision, counted from 0.
    pub sub: i64,
    /// Whether the key was deleted.
    pub is_tombstone: bool,
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The revision of the key's creation; 0 for a tombstone.
    pub create_revision: Revision,
    /// The revision of the change as the record gives it; 0 for a tombstone.
    pub mod_revision: Revision,
    /// The number of changes since the creation, counted from 1; 0 for a tombstone.
    pub version: i64,
    /// The lease; 0 for none.
    pub lease: i64,
    /// The size of the value.
    pub value_bytes: u64,
    /// The encoded record.
    pub record: &'a [u8],
    /// The offset of the encoded record in the file.
    pub record_offset: u64,
}

impl StoredRevision<'_> {
    /// Whether the revision belongs to no key: `etcdutl snapshot restore --bump-revision` writes one without a record, so that
    /// the store continues at a later revision.
    pub fn is_placeholder(&self) -> bool {
        self.record.is_empty()
    }
}

/// A pass over stored revisions.
#[derive(Debug)]
pub struct Revisions {
    file: EtcdFile,
    cursor: Cursor,
    check: RevisionCheck,
}

impl Revisions {
    /// The next revision; `None` after the last one.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    // The revision borrows the pass, which no iterator can express.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<StoredRevision<'_>>, BackupError> {
        let Self { file, cursor, check } = self;
        let Some(element) = cursor.next().map_err(|error| file.error(error))? else { return Ok(None) };
        let offset = element.value_offset;
        let Some(at) = RevisionKey::parse(element.key)
            .filter(|revision| revision.main <= types::MAX_REVISION && !element.is_bucket)
        else {
            return Err(file.damaged(offset, format!("'{}' is not a revision", element.key.escape_ascii())));
        };
        let RevisionKey { main, sub, is_tombstone } = at;
        let Some(view) = RecordView::parse(element.value) else {
            return Err(file.damaged(offset, format!("the record of revision {main}.{sub} is not readable")));
        };
        check.check(at, &view, !element.value.is_empty()).map_err(|what| file.damaged(offset, what))?;
        Ok(Some(StoredRevision {
            main,
            sub,
            is_tombstone,
            key: view.key,
            value: view.value,
            create_revision: view.create_revision,
            mod_revision: view.mod_revision,
            version: view.version,
            lease: view.lease,
            value_bytes: view.value.len() as u64,
            record: element.value,
            record_offset: offset,
        }))
    }
}
