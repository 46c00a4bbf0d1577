//! Receives a snapshot into a file, and checks its SHA-256 on the way.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

use crate::backup::{BackupError, DigestMismatch, EtcdFile, SnapshotDigest};
use crate::kvstore::{Error, Revision, SnapshotStream};
use crate::output::Progress;

/// A complete snapshot.
pub(super) struct Received {
    /// Its length in bytes, the SHA-256 included.
    pub bytes: u64,
    /// The SHA-256 of its database in hex.
    pub sha256: String,
    /// What was read from the file; `None` for stdout.
    pub contents: Option<SnapshotContents>,
}

/// What a saved snapshot holds.
#[derive(Clone, Copy)]
pub(super) struct SnapshotContents {
    /// The store's revision.
    pub revision: Revision,
    /// Number of stored revisions of keys.
    pub revisions: u64,
}

/// Why a snapshot is not complete.
pub(super) enum SaveError {
    /// The stream failed.
    Store(Error),
    /// The file cannot be written.
    Write(io::Error),
    /// The bytes are not those that the member has hashed.
    Digest(DigestMismatch),
    /// The bytes are no database of etcd.
    Contents(BackupError),
}

impl From<Error> for SaveError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<BackupError> for SaveError {
    fn from(error: BackupError) -> Self {
        Self::Contents(error)
    }
}

/// Receives the snapshot. If the output is a file with this path, waits until it is on disk, and reads what it holds.
/// Blocks the thread while it writes.
pub(super) async fn receive(
    mut stream: SnapshotStream,
    mut output: File,
    path: Option<PathBuf>,
    progress: &Progress,
) -> Result<Received, SaveError> {
    let mut digest = SnapshotDigest::new(stream.total_bytes());
    while let Some(bytes) = stream.next().await? {
        digest.update(&bytes);
        output.write_all(&bytes).map_err(SaveError::Write)?;
        progress.inc(bytes.len() as u64);
    }
    let sha256 = digest.finish().map_err(SaveError::Digest)?;
    let contents = match path {
        Some(path) => thread::scope(|scope| {
            let sync = scope.spawn(|| output.sync_all());
            // Through the descriptor: the temporary file has another path, and may have been moved with its folder.
            let contents =
                output.try_clone().map_err(SaveError::Write).and_then(|file| Ok(read_contents(file, &path)?));
            let synced = sync.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            synced.map_err(SaveError::Write).and(contents.map(Some))
        })?,
        None => None,
    };
    Ok(Received { bytes: stream.total_bytes(), sha256, contents })
}

/// Reads the facts of a database without reading its records.
fn read_contents(file: File, path: &Path) -> Result<SnapshotContents, BackupError> {
    let file = EtcdFile::of(file, path)?;
    let revision = file.revision()?;
    Ok(SnapshotContents { revision, revisions: file.stored_revisions()? })
}
