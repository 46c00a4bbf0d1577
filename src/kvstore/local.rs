//! A file that answers reads instead of a cluster, in etcd's semantics.

use thiserror::Error as ThisError;

use crate::kvstore::key_range::KeyRange;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::types::{KeyValue, LeaseId, Revision};

/// A store that answers reads without a network. Its methods may block.
pub trait LocalStore: Send + Sync + 'static {
    /// The name for messages: the file.
    fn name(&self) -> String;

    /// Reads a range as etcd's Range request does.
    ///
    /// # Errors
    /// A revision that cannot be read, or damage.
    fn range(&self, query: &LocalQuery) -> Result<LocalAnswer, LocalError>;

    /// Announces keys that are read next, one by one.
    ///
    /// # Errors
    /// Damage.
    fn prepare(&self, keys: &[Vec<u8>]) -> Result<(), LocalError>;

    /// The granted TTL of a lease in seconds; `None` if the lease does not exist.
    ///
    /// # Errors
    /// Damage.
    fn lease_ttl(&self, lease: LeaseId) -> Result<Option<i64>, LocalError>;
}

/// A range to read, with absolute keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalQuery {
    /// The keys.
    pub range: KeyRange,
    /// The revision; 0 for the latest.
    pub revision: Revision,
    /// The maximum number of keys; 0 for all.
    pub limit: u64,
    /// Whether to read keys without values.
    pub keys_only: bool,
    /// Whether to return only the count.
    pub count_only: bool,
}

impl LocalQuery {
    /// All keys of a range with their values, at the latest revision.
    pub fn of(range: KeyRange) -> Self {
        Self { range, revision: 0, limit: 0, keys_only: false, count_only: false }
    }
}

/// The answer to a [`LocalQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAnswer {
    /// The records, in key order.
    pub kvs: Vec<KeyValue>,
    /// The number of keys in the range, including those beyond the limit.
    pub count: u64,
    /// Whether keys follow: the limit, or the size of the answer, cut them off.
    pub more: bool,
    /// The revision that was read.
    pub revision: Revision,
}

/// Why a local store cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum LocalError {
    /// The revision has been compacted.
    #[error("revision {revision} has been compacted; the oldest revision that can be read is {oldest}")]
    Compacted {
        /// The revision that was requested.
        revision: Revision,
        /// The oldest revision that can be read.
        oldest: Revision,
    },
    /// The revision is later than the latest one.
    #[error("revision {revision} is in the future; the latest revision in the file is {latest}")]
    FutureRevision {
        /// The revision that was requested.
        revision: Revision,
        /// The latest revision.
        latest: Revision,
    },
    /// The store is damaged, or the operating system cannot read it.
    #[error("{0}")]
    Broken(String),
    /// The file is not as it was when it was opened.
    #[error("the file changed while it was read")]
    Changed,
    /// The file is not the one that was saved.
    #[error("its SHA-256 is wrong: the database has {computed}, but the file ends with {stored}")]
    WrongDigest {
        /// The SHA-256 of the database, in hex.
        computed: String,
        /// What the file ends with, in hex.
        stored: String,
    },
    /// Only a cluster can do this.
    #[error("'{0}' needs a running cluster")]
    NeedsCluster(&'static str),
}

impl LocalError {
    /// The refusal with which etcd answers in the same case.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Compacted { .. } => Some(Refusal::Compacted),
            Self::FutureRevision { .. } => Some(Refusal::FutureRevision),
            Self::Broken(_) | Self::Changed | Self::WrongDigest { .. } | Self::NeedsCluster(_) => None,
        }
    }
}
