//! `delete --save`: saves records before they are deleted.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::commands::lease_cache::LeaseCache;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyValue, Store};
use crate::output::{LeasedRecord, json};

/// A new file of records. A record is on disk before its key is deleted.
pub struct SaveFile {
    file: BufWriter<File>,
    path: PathBuf,
    leases: LeaseCache,
    line: Vec<u8>,
}

impl SaveFile {
    /// Creates the file, readable by the user only, because it holds values.
    ///
    /// # Errors
    /// A usage error if the file exists or cannot be created.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            let failure = Failure::usage(format!("cannot create {}: {error}", path.display()));
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                failure.hint("--save does not overwrite files; name a file that does not exist")
            } else {
                failure
            }
        })?;
        Ok(Self { file: BufWriter::new(file), path: path.to_owned(), leases: LeaseCache::default(), line: Vec::new() })
    }

    /// Writes the records and waits until they are on disk.
    ///
    /// # Errors
    /// A write error, or a failed query of a lease's TTL.
    pub async fn append(&mut self, store: &Store, kvs: &[KeyValue]) -> Result<(), Failure> {
        for kv in kvs {
            let ttl = match kv.lease {
                Some(lease) => self.leases.grant(store, lease).await?.map(|grant| grant.ttl),
                None => None,
            };
            self.line.clear();
            json::line(&mut self.line, &LeasedRecord { kv, ttl });
            self.file.write_all(&self.line).map_err(|error| self.cannot_write(&error))?;
        }
        self.file.flush().map_err(|error| self.cannot_write(&error))?;
        self.file.get_ref().sync_data().map_err(|error| self.cannot_write(&error))
    }

    fn cannot_write(&self, error: &std::io::Error) -> Failure {
        Failure::new(Exit::Usage, format!("cannot write {}: {error}", self.path.display()))
            .hint("keys whose records were not saved have not been deleted")
    }
}
