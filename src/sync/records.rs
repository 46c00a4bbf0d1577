//! The records of any source.

use super::error::SyncError;
use super::file::FileRecords;
use super::record::SyncRecord;
use super::source::StoreRecords;
use crate::kvstore::Revision;

/// The records of a source, in key order, each key once.
#[expect(clippy::large_enum_variant, reason = "one of them exists in a command")]
pub enum Records {
    /// A store at one revision.
    Store(StoreRecords),
    /// A file, read completely before.
    File(FileRecords),
}

impl Records {
    /// The next page; `None` at the end. A page may be empty.
    ///
    /// # Errors
    /// Any error of the read; a key that a file holds twice.
    pub async fn next(&mut self) -> Result<Option<Vec<SyncRecord>>, SyncError> {
        match self {
            Self::Store(records) => records.next().await.map_err(SyncError::Source),
            Self::File(records) => records.next_page(),
        }
    }

    /// The revision of the records, if it is known.
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Self::Store(records) => Some(records.revision()),
            Self::File(records) => records.trailer().map(|trailer| trailer.revision),
        }
    }
}
