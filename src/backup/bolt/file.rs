//! A database file: its meta pages, its size, and reading at an offset.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::OFlag;
use thiserror::Error;

use super::page::{META_BYTES, Meta, MetaFault, page_sizes};

/// Limit of one node with its overflow pages, and of one value: far more than etcd accepts in one request.
pub(super) const MAX_NODE_BYTES: u64 = 256 << 20;

/// Why a database cannot be read.
#[derive(Debug, Error)]
pub enum BoltError {
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not a regular file; the text says what: `a folder`.
    #[error("{0}, not a regular file")]
    Irregular(&'static str),
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// No meta page is valid. The fault is that of the first one.
    #[error("neither meta page is valid; the first one: {0}")]
    NoMeta(MetaFault),
    /// The file is not as it was when it was opened.
    #[error("the file changed while it was read")]
    Changed,
    /// A page contradicts the format.
    #[error("{0}")]
    Damaged(Damage),
}

/// Where a database is damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The ID of the page.
    pub page: u64,
    /// The offset of the page in the file, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {} (offset {}): {}", self.page, self.offset, self.what)
    }
}

/// A bbolt database, opened for reading. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BoltFile {
    shared: Arc<BoltShared>,
}

#[derive(Debug)]
struct BoltShared {
    file: File,
    /// The state of the file when it was opened.
    state: FileState,
    meta: Meta,
    /// What is wrong with each of the two meta pages, if something is.
    faults: [Option<MetaFault>; 2],
}

/// What is different after a file was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    bytes: u64,
    inode: u64,
    /// The time of the last change of the contents: seconds and nanoseconds.
    modified: (i64, i64),
    /// The time of the last change of the contents or of the inode. No program can set it.
    changed: (i64, i64),
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.size(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl BoltFile {
    /// Opens a regular file, without waiting for the writer of a pipe, and reads both meta pages. Of two valid ones the one
    /// with the later transaction counts.
    ///
    /// # Errors
    /// The file cannot be read, is no regular file, or has no valid meta page.
    pub fn open(path: &Path) -> Result<Self, BoltError> {
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
        Self::of(file)
    }

    /// Reads the meta pages of an open file.
    ///
    /// # Errors
    /// As [`BoltFile::open`].
    pub fn of(file: File) -> Result<Self, BoltError> {
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        if !kind.is_file() {
            return Err(BoltError::Irregular(match kind {
                kind if kind.is_dir() => "a folder",
                kind if kind.is_fifo() => "a named pipe",
                kind if kind.is_socket() => "a socket",
                _ => "a device",
            }));
        }
        let state = FileState::of(&metadata);
        if state.bytes == 0 {
            return Err(BoltError::Empty);
        }
        let meta_at = |offset: u64| Meta::parse(&read_up_to(&file, offset, META_BYTES)?).map_err(MetaError::Fault);
        let first = meta_at(0);
        let second = match &first {
            Ok(meta) => meta_at(meta.page_bytes.into()),
            // The page size is unknown: a page that was written at another one does not give this page size.
            Err(_) => page_sizes()
                .map(|size| meta_at(size.into()).map(|meta| (size, meta)))
                .find_map(|found| match found {
                    Ok((size, meta)) if meta.page_bytes == size => Some(Ok(meta)),
                    Err(error @ MetaError::Io(_)) => Some(Err(error)),
                    _ => None,
                })
                .unwrap_or(Err(MetaError::Fault(MetaFault::Magic))),
        };
        let fault = |result: Result<Meta, MetaError>| match result {
            Ok(meta) => Ok((Some(meta), None)),
            Err(MetaError::Fault(fault)) => Ok((None, Some(fault))),
            Err(MetaError::Io(error)) => Err(error),
        };
        let ((first, first_fault), (second, second_fault)) = (fault(first)?, fault(second)?);
        let newest = first.into_iter().chain(second).max_by_key(|meta| meta.transaction);
        let meta = newest.ok_or(BoltError::NoMeta(first_fault.unwrap_or(MetaFault::Magic)))?;
        Ok(Self { shared: Arc::new(BoltShared { file, state, meta, faults: [first_fault, second_fault] }) })
    }

    /// Reads `length` bytes at an offset, such as a value at `Element::value_offset`.
    ///
    /// # Errors
    /// The bytes are not in the file, are more than 256 MiB, or cannot be read.
    pub fn read_at(&self, offset: u64, length: u32) -> Result<Vec<u8>, BoltError> {
        let end = offset.checked_add(length.into());
        if end.is_none_or(|end| end > self.shared.state.bytes) || u64::from(length) > MAX_NODE_BYTES {
            return Err(self.damage_at(offset, format!("{length} bytes reach beyond the end of the file")));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.read_exact(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The size of a page in bytes.
    pub fn page_bytes(&self) -> u32 {
        self.shared.meta.page_bytes
    }

    /// The size of the file in bytes, when it was opened.
    pub fn file_bytes(&self) -> u64 {
        self.shared.state.bytes
    }

    /// The number of bytes after the last whole page.
    pub fn tail_bytes(&self) -> u64 {
        self.file_bytes().checked_rem(self.page_bytes().into()).unwrap_or(0)
    }

    /// Checks that the file is as it was when it was opened, so that what was read since then belongs together.
    ///
    /// # Errors
    /// [`BoltError::Changed`], or the system's error.
    pub fn check_unchanged(&self) -> Result<(), BoltError> {
        let is_same = FileState::of(&self.shared.file.metadata()?) == self.shared.state;
        if is_same { Ok(()) } else { Err(BoltError::Changed) }
    }

    /// The number of the last transaction.
    pub fn transaction(&self) -> u64 {
        self.shared.meta.transaction
    }

    /// The number of pages that were ever used, which the file must hold (see [`BoltFile::cut`]).
    pub fn high_water_mark(&self) -> u64 {
        self.shared.meta.high_water_mark
    }

    /// The page that lists the free pages; `None` if the list is not stored.
    pub fn freelist(&self) -> Option<u64> {
        (self.shared.meta.freelist != super::page::NO_FREELIST).then_some(self.shared.meta.freelist)
    }

    /// What is wrong with the first and the second meta page. One of them is valid.
    pub fn meta_faults(&self) -> [Option<MetaFault>; 2] {
        self.shared.faults
    }

    /// The root page of the bucket that holds the top-level buckets.
    pub(super) fn root(&self) -> u64 {
        self.shared.meta.root
    }

    /// The number of pages that the database can have: those below the high water mark that are in the file.
    pub fn pages(&self) -> u64 {
        let in_file = self.file_bytes().checked_div(self.page_bytes().into()).unwrap_or(0);
        self.high_water_mark().min(in_file)
    }

    /// The damage of a file that ends before the high-water mark: bbolt makes a file as long as its pages need before it
    /// writes the meta page that counts them, and a snapshot has exactly these pages.
    pub fn cut(&self) -> Option<Damage> {
        let (pages, mark) = (self.pages(), self.high_water_mark());
        let what = format!("the database has {mark} pages, but the file has {pages}: the end of the file is missing");
        let offset = pages.saturating_mul(self.page_bytes().into());
        (pages < mark).then_some(Damage { page: pages, offset, what })
    }

    /// Fills a buffer with the bytes at an offset.
    ///
    /// # Errors
    /// The file has become shorter, or cannot be read.
    pub fn read_exact(&self, offset: u64, into: &mut [u8]) -> Result<(), BoltError> {
        self.shared.file.read_exact_at(into, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BoltError::Changed,
            _ => BoltError::Io(error),
        })
    }

    /// Damage of the page that an offset lies in.
    pub(super) fn damage_at(&self, offset: u64, what: String) -> BoltError {
        let page = offset.checked_div(self.page_bytes().into()).unwrap_or(0);
        BoltError::Damaged(Damage { page, offset, what })
    }

    /// Damage of a page.
    pub(super) fn damage(&self, page: u64, what: impl fmt::Display) -> BoltError {
        let offset = page.saturating_mul(self.page_bytes().into());
        BoltError::Damaged(Damage { page, offset, what: what.to_string() })
    }
}

/// Why there is no meta page at an offset.
enum MetaError {
    Fault(MetaFault),
    Io(io::Error),
}

impl From<io::Error> for MetaError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads up to `length` bytes; fewer at the end of the file.
fn read_up_to(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(n) => filled = filled.saturating_add(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
