//! What proves that a database file is whole, and that it is one file from the first read to the last.

use std::sync::{MutexGuard, PoisonError};
use std::thread;

use super::super::error::BackupError;
use super::super::monitor::VerifyMonitor;
use super::super::pass::DatabaseError;
use super::super::snapshot_digest::SnapshotDigest;
use super::super::verify::{VerifyError, first_damage};
use super::{Database, DatabaseState};
use crate::output::Progress;

/// How much is read at once to compute the SHA-256.
const CHUNK_BYTES: u32 = 1 << 20;

impl Database {
    /// Proves the file before it is read: by its SHA-256, or, if it has none, as far as that is possible, by all its pages and
    /// records. Returns whether there is a SHA-256.
    ///
    /// # Errors
    /// Damage, a file that has changed, or an interruption.
    pub fn check_whole(&self) -> Result<bool, DatabaseError> {
        let DatabaseState { file, out, cancel, .. } = &*self.shared;
        let mut proved = self.proved();
        let has_digest = file.has_digest();
        if has_digest {
            let total = file.bolt().file_bytes();
            self.check_digest(Some(&out.progress_bytes("checking the SHA-256", Some(total))))?;
        } else {
            let progress = out.progress("checking the pages", None);
            let found = first_damage(file, &VerifyMonitor::with_token(cancel.clone()));
            progress.finish();
            self.check_unchanged()?;
            match found {
                Ok(None) => {}
                Ok(Some(damage)) => {
                    return Err(BackupError::Damaged { path: file.path().to_owned(), damage }.into());
                }
                Err(VerifyError::File(error)) => return Err(error.into()),
                Err(_) => return Err(DatabaseError::Interrupted),
            }
        }
        self.check_unchanged()?;
        *proved = Some(has_digest);
        Ok(has_digest)
    }

    /// Runs a read. What it returns is of the file as it was when it was opened, and the SHA-256 of a snapshot is right: the
    /// first read waits for the check, which runs at the same time.
    ///
    /// # Errors
    /// As the read, a wrong SHA-256, or a file that has changed.
    pub(in crate::backup) fn checked<T>(
        &self,
        read: impl FnOnce() -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let mut proved = self.proved();
        if proved.is_some() {
            drop(proved);
            let result = read();
            self.check_unchanged()?;
            return result;
        }
        let DatabaseState { file, out, .. } = &*self.shared;
        let name = file.path().display();
        if !file.has_digest() {
            out.note(&format!("{name} has no SHA-256: it is not a snapshot, so damage may go unnoticed"));
            *proved = Some(false);
            drop(proved);
            return self.checked(read);
        }
        let (digest, result) = thread::scope(|scope| {
            let checking = thread::Builder::new().spawn_scoped(scope, || self.check_digest(None));
            let result = read();
            let digest = match checking {
                // A panic of the thread continues here.
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => self.check_digest(None),
            };
            (digest, result)
        });
        self.check_unchanged()?;
        digest?;
        out.detail(&format!("{name}: the SHA-256 is right"));
        *proved = Some(true);
        result
    }

    /// Checks that the file is as it was when it was opened.
    ///
    /// # Errors
    /// A file that has changed.
    pub fn check_unchanged(&self) -> Result<(), DatabaseError> {
        Ok(self.shared.file.check_unchanged()?)
    }

    /// Checks the SHA-256 at the end of the file.
    fn check_digest(&self, progress: Option<&Progress>) -> Result<(), DatabaseError> {
        let bolt = self.shared.file.bolt();
        let total = bolt.file_bytes();
        let (mut digest, mut offset) = (SnapshotDigest::new(total), 0);
        while offset < total {
            let length = u32::try_from(total.saturating_sub(offset)).unwrap_or(u32::MAX).min(CHUNK_BYTES);
            let chunk = bolt.read_at(offset, length).map_err(|error| self.shared.file.error(error))?;
            digest.update(&chunk);
            if let Some(progress) = progress {
                progress.inc(length.into());
            }
            offset = offset.saturating_add(length.into());
            if self.shared.cancel.is_cancelled() {
                return Err(DatabaseError::Interrupted);
            }
        }
        digest.finish().map(drop).map_err(DatabaseError::Digest)
    }

    fn proved(&self) -> MutexGuard<'_, Option<bool>> {
        self.shared.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
