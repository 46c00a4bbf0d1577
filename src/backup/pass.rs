//! A pass over all revisions of a database: its progress, its end by a signal, and its errors.

use thiserror::Error as ThisError;
use tokio_util::sync::CancellationToken;

use super::error::BackupError;
use super::key_table::TooManyKeys;
use super::snapshot_digest::DigestMismatch;
use crate::kvstore::{LocalError, Revision};
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
    /// The file is not the one that was saved.
    #[error("its SHA-256 is wrong: {0}")]
    Digest(DigestMismatch),
    /// A signal ended the pass.
    #[error("interrupted")]
    Interrupted,
    /// The file names more keys than kvadm can hold.
    #[error("the file has more than 4294967295 keys")]
    TooManyKeys,
}

impl DatabaseError {
    /// The same as an error of a local store, which adds the name of the file.
    pub fn into_local(self) -> LocalError {
        match self {
            Self::Changed | Self::File(BackupError::Changed { .. }) => LocalError::Changed,
            Self::Digest(DigestMismatch { computed, stored }) => LocalError::WrongDigest { computed, stored },
            Self::File(error) => LocalError::Broken(file_reason(&error)),
            error => LocalError::Broken(error.to_string()),
        }
    }
}

/// The reason of an error without the name of the file.
fn file_reason(error: &BackupError) -> String {
    match error {
        BackupError::Io { source, .. } => source.to_string(),
        BackupError::Changed { .. } => "the file changed while it was read".to_owned(),
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
