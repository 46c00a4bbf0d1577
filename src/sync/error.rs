//! Why a comparison cannot be made.

use std::io;

use thiserror::Error as ThisError;

use crate::kvstore::Error;

/// Why a comparison cannot be made.
#[derive(Debug, ThisError)]
pub enum SyncError {
    /// The source's store.
    #[error("cannot read the source")]
    Source(#[source] Error),
    /// The store.
    #[error(transparent)]
    Store(Error),
    /// A line of a file of records.
    #[error("{name}:{line}: {why}")]
    Line {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// Why it cannot be used.
        why: String,
    },
    /// A file that is not one complete listing, although it has a trailer.
    #[error("{name}:{line}: {why}")]
    Incomplete {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// What shows it.
        why: String,
    },
    /// The operating system cannot read the file.
    #[error("cannot read {name}: {error}")]
    Unreadable {
        /// The file.
        name: String,
        /// Why not.
        error: io::Error,
    },
    /// The temporary file in which records are sorted.
    #[error("cannot use a temporary file")]
    Temporary(#[source] io::Error),
}
