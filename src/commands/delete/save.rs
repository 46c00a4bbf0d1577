//! `delete --save`: saves records before they are deleted.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::commands::lease_cache::LeaseCache;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyValue, Store};
use crate::output::{LeasedRecord, bytes, json};
use crate::sync::MAX_LINE_BYTES;

/// Size of a write: few system calls, little memory.
const WRITE_BYTES: usize = 1 << 20;

/// A new file of records. A record is on disk before its key is deleted.
pub struct SaveFile {
    file: File,
    path: PathBuf,
    leases: LeaseCache,
    /// Lines that are not in the file yet.
    lines: Vec<u8>,
    /// Size of the file in bytes without an incomplete last line.
    complete: u64,
}

impl SaveFile {
    /// Creates the file, readable by the user only, because it holds values.
    ///
    /// # Errors
    /// A usage error if the file exists or cannot be created.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Err(Failure::usage(
                "--save needs the name of a file: records must be on disk before keys are deleted",
            )
            .hint("for a file of this name, write ./-"));
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            let failure = Failure::usage(format!("cannot create {}: {error}", path.display()));
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                failure.hint("--save does not overwrite files; name a file that does not exist")
            } else {
                failure
            }
        })?;
        Ok(Self { file, path: path.to_owned(), leases: LeaseCache::default(), lines: Vec::new(), complete: 0 })
    }

    /// Writes the records and waits until they are on disk.
    ///
    /// # Errors
    /// A write error, a record that is too long to be loaded again, or a failed query of a lease's TTL.
    pub async fn append(&mut self, store: &Store, kvs: &[KeyValue]) -> Result<(), Failure> {
        for kv in kvs {
            let ttl = match kv.lease {
                Some(lease) => self.leases.grant(store, lease).await?.map(|grant| grant.ttl),
                None => None,
            };
            let before = self.lines.len();
            json::line(&mut self.lines, &LeasedRecord { kv, ttl });
            if self.lines.len() - before >= MAX_LINE_BYTES {
                self.lines.truncate(before);
                self.write()?;
                let limit = MAX_LINE_BYTES >> 20;
                let why = format!("the record of {} needs a line of more than {limit} MiB", bytes::name(&kv.key));
                return Err(Failure::new(Exit::Refused, why)
                    .context("the key was not deleted, because 'put --from' could not load its record again")
                    .hint("keep the value with 'kvadm get KEY -o raw', and delete the key without --save"));
            }
            if self.lines.len() >= WRITE_BYTES {
                self.write()?;
            }
        }
        self.write()?;
        self.file.sync_data().map_err(|error| self.cannot_write(&error))
    }

    /// Writes the lines. If the disk is full, the incomplete last line is taken off again: 'put --from' can load the file.
    fn write(&mut self) -> Result<(), Failure> {
        let lines = std::mem::take(&mut self.lines);
        if let Err(error) = self.file.write_all(&lines) {
            let written = self.file.metadata().map_or(0, |file| file.len()).saturating_sub(self.complete);
            let written = lines.get(..usize::try_from(written).unwrap_or(usize::MAX)).unwrap_or(&lines);
            let whole = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let _ = self.file.set_len(self.complete + whole as u64);
            return Err(self.cannot_write(&error));
        }
        self.complete += lines.len() as u64;
        Ok(())
    }

    fn cannot_write(&self, error: &std::io::Error) -> Failure {
        Failure::new(Exit::Usage, format!("cannot write {}: {error}", self.path.display()))
            .hint("keys whose records were not saved have not been deleted")
    }
}
