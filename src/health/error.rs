//! Why the members cannot be scanned.

use thiserror::Error as ThisError;

use crate::kvstore::Error;

/// Why the members cannot be scanned.
#[derive(Debug, ThisError)]
pub enum ScanError {
    /// The cluster or a member.
    #[error(transparent)]
    Store(#[from] Error),
    /// The login that reads of one member need.
    #[error("{error}")]
    Login {
        /// Why not.
        #[source]
        error: Error,
        /// Whether it is a login with a user and a password.
        with_password: bool,
    },
    /// No member responds; the text names each endpoint and its cause.
    #[error("{complaints}")]
    NoResponse {
        /// One complaint for each endpoint.
        complaints: String,
    },
    /// The write that proves the quorum.
    #[error("cannot prove the quorum by writing {prefix}…")]
    Proof {
        /// The prefix of the keys that it writes.
        prefix: &'static str,
        /// Why not.
        #[source]
        error: Error,
    },
}
