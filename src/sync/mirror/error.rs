//! Why a mirror ends.

use thiserror::Error;

use crate::kvstore::{self, Revision};
use crate::output::bytes;

/// Why a mirror ends.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// A request to the source failed.
    #[error("the source")]
    Source(#[source] kvstore::Error),
    /// A request to the destination failed.
    #[error("the destination")]
    Destination(#[source] kvstore::Error),
    /// The place was written or deleted by somebody else.
    #[error("the place key '{}' was {} by another client", bytes::escape(key), if *deleted { "deleted" } else { "written" })]
    PlaceChanged {
        /// The place key.
        key: Vec<u8>,
        /// Whether the key is gone.
        deleted: bool,
    },
    /// Another client changed keys of the destination.
    #[error("another client {what} '{}'{}", bytes::escape(key), match revision { 0 => String::new(), at => format!(" in revision {at}") })]
    ForeignChange {
        /// The first such key.
        key: Vec<u8>,
        /// `wrote` or `deleted`.
        what: &'static str,
        /// The key's mod revision; 0 if it does not exist.
        revision: Revision,
        /// The number of such keys that were found.
        count: u64,
    },
    /// etcd refuses a value as too large.
    #[error("the destination refuses '{}' as too large ({bytes} bytes)", bytes::escape(key))]
    TooLarge {
        /// The key.
        key: Vec<u8>,
        /// The bytes of key and value.
        bytes: usize,
    },
}

impl MirrorError {
    /// Whether the same step may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source(error) | Self::Destination(error) => may_pass(error),
            _ => false,
        }
    }
}

/// Whether the same request may succeed later. The outcome of a write may be unknown.
pub(super) fn may_pass(error: &kvstore::Error) -> bool {
    use kvstore::{Error, Refusal};
    match error {
        Error::Unknown { cause, .. } => may_pass(cause),
        Error::Refused { kind, .. } => matches!(kind, Refusal::StaleAuth | Refusal::BadToken),
        error => error.is_transient(),
    }
}
