//! A pass over all revisions of a database: its progress, its end by a signal, and its errors.

use thiserror::Error as ThisError;
use tokio_util::sync::CancellationToken;

use super::error::BackupError;
use super::key_table::TooManyKeys;
use super::snapshot_digest::DigestMismatch;
use crate::kvstore::Revision;
use crate::output::Progress;

/// How many revisions are read between two looks at the signal.
const STEPS: u64 = 4096;

/// Why a pass, or the reading of a record, failed.
#[derive(Debug, ThisError)]
pub enum DatabaseError {
    /// The file cannot be read, or is damaged.
    #[error(transparent)]
    File(#[from] BackupError),
    /// A record has no bytes.
    #[error("the record of revision {0} is empty")]
    NoRecord(Revision),
    /// A record is not where it was.
    #[error("the file changed while it was read")]
    Changed,
    /// The file is shorter than its database.
    #[error("it is cut: it has {total} bytes, and its database {needed}")]
    Cut {
        /// The size of the file.
        total: u64,
        /// The size of the database.
        needed: u64,
    },
    /// The file has changed since its SHA-256 was computed.
    #[error("it is damaged: {0}")]
    Digest(DigestMismatch),
    /// A signal ended the pass.
    #[error("interrupted")]
    Interrupted,
    /// The file names more keys than kvadm can hold.
    #[error("the file has more than 4294967295 keys")]
    TooManyKeys,
}

impl DatabaseError {
    /// The reason without the name of the file.
    pub fn reason(&self) -> String {
        match self {
            Self::File(error) => file_reason(error),
            error => error.to_string(),
        }
    }
}

/// The reason of an error without the name of the file.
pub(super) fn file_reason(error: &BackupError) -> String {
    match error {
        BackupError::Io { source, .. } => source.to_string(),
        BackupError::Damaged { damage, .. } => format!("it is damaged: {damage}"),
        BackupError::OtherKind { what, .. } => format!("it is not an etcd database: {what}"),
    }
}

impl From<TooManyKeys> for DatabaseError {
    fn from(TooManyKeys: TooManyKeys) -> Self {
        Self::TooManyKeys
    }
}

/// A pass that is under way.
pub struct Pass {
    progress: Progress,
    cancel: CancellationToken,
    steps: u64,
}

impl Pass {
    /// Begins a pass.
    pub fn new(progress: Progress, cancel: CancellationToken) -> Self {
        Self { progress, cancel, steps: 0 }
    }

    /// Counts one revision.
    ///
    /// # Errors
    /// [`DatabaseError::Interrupted`].
    pub fn step(&mut self) -> Result<(), DatabaseError> {
        self.steps = self.steps.saturating_add(1);
        if self.steps >= STEPS {
            self.progress.inc(std::mem::take(&mut self.steps));
            if self.cancel.is_cancelled() {
                return Err(DatabaseError::Interrupted);
            }
        }
        Ok(())
    }
}
