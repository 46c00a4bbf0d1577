//! Receives a snapshot into a file, and checks its SHA-256 on the way.

use std::fs::File;
use std::io::{self, Write};

use crate::backup::{DigestMismatch, SnapshotDigest};
use crate::kvstore::{Error, SnapshotStream};
use crate::output::Progress;

/// A complete snapshot.
pub(super) struct Received {
    /// Its length in bytes, the SHA-256 included.
    pub bytes: u64,
    /// The SHA-256 of its database in hex.
    pub sha256: String,
}

/// Why a snapshot is not complete.
pub(super) enum SaveError {
    /// The stream failed.
    Store(Error),
    /// The file cannot be written.
    Write(io::Error),
    /// The bytes are not those that the member has hashed.
    Digest(DigestMismatch),
}

impl From<Error> for SaveError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// Receives the snapshot. With `sync`, waits until it is on disk. Blocks the thread while it writes.
pub(super) async fn receive(
    mut stream: SnapshotStream,
    mut output: File,
    sync: bool,
    progress: &Progress,
) -> Result<Received, SaveError> {
    let mut digest = SnapshotDigest::new(stream.total_bytes());
    while let Some(bytes) = stream.next().await? {
        digest.update(&bytes);
        output.write_all(&bytes).map_err(SaveError::Write)?;
        progress.inc(bytes.len() as u64);
    }
    let sha256 = digest.finish().map_err(SaveError::Digest)?;
    if sync {
        output.sync_all().map_err(SaveError::Write)?;
    }
    Ok(Received { bytes: stream.total_bytes(), sha256 })
}
