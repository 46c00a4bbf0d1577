//! Transactions: conditions and two branches, applied in one revision.
//!
//! Wire format: `etcdserverpb.TxnRequest` of etcd's `api/etcdserverpb/rpc.proto`.

use std::time::Duration;

use etcd_client::{DeleteOptions, GetOptions, PutOptions, TxnOp};

use crate::kvstore::key_range::KeyRange;
use crate::kvstore::types::{KeyValue, LeaseId, Revision};

/// etcd's default limit for the bytes of a request (`--max-request-bytes`).
pub const MAX_REQUEST_BYTES: usize = 3 << 19;

/// Upper estimate of an operation's or compare's size in bytes, without key and value.
const OVERHEAD: usize = 48;

/// A key or a key range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySelector {
    /// One key.
    Key(Vec<u8>),
    /// Every key in the range. A compare must hold for each of them; for an empty range it is applied to a key with all
    /// revisions 0 and no value.
    Range(KeyRange),
}

impl KeySelector {
    /// The key, or the start of the range.
    pub fn start(&self) -> &[u8] {
        match self {
            Self::Key(key) => key,
            Self::Range(range) => &range.start,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Key(key) => key.len(),
            Self::Range(range) => range.start.len().saturating_add(range.end.as_ref().map_or(1, Vec::len)),
        }
    }

    /// The absolute key and, for a range, its end.
    pub(crate) fn to_wire(&self, namespace: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            Self::Key(key) => ([namespace, key].concat(), None),
            Self::Range(range) => {
                let (start, end) = range.within(namespace).to_wire();
                (start, Some(end))
            }
        }
    }

    /// The absolute key and the options of a deletion.
    pub(crate) fn deletion(&self, namespace: &[u8], prev: bool) -> (Vec<u8>, DeleteOptions) {
        let (key, end) = self.to_wire(namespace);
        let options = end.map_or_else(DeleteOptions::new, |end| DeleteOptions::new().with_range(end));
        (key, if prev { options.with_prev_key() } else { options })
    }
}

/// The operator of a compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
}

/// The field and the value of a compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// The value. Never true for a key that does not exist.
    Value(Vec<u8>),
    /// The number of changes since the creation; 0 for a key that does not exist.
    Version(i64),
    /// The revision of the creation; 0 for a key that does not exist.
    Create(Revision),
    /// The revision of the last change; 0 for a key that does not exist.
    Mod(Revision),
    /// The lease; `None` for no lease.
    Lease(Option<LeaseId>),
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key or keys.
    pub over: KeySelector,
    /// The operator.
    pub op: CompareOp,
    /// The field and the value.
    pub target: CompareTarget,
}

impl Compare {
    /// A condition on one key.
    pub fn key(key: &[u8], op: CompareOp, target: CompareTarget) -> Self {
        Self { over: KeySelector::Key(key.to_vec()), op, target }
    }

    /// The key does not exist.
    pub fn missing(key: &[u8]) -> Self {
        Self::key(key, CompareOp::Equal, CompareTarget::Version(0))
    }

    /// The key exists.
    pub fn exists(key: &[u8]) -> Self {
        Self::key(key, CompareOp::Greater, CompareTarget::Version(0))
    }

    /// The key's last change was in this revision; for 0, the key does not exist.
    pub fn unchanged(key: &[u8], revision: Revision) -> Self {
        Self::key(key, CompareOp::Equal, CompareTarget::Mod(revision))
    }

    /// No key of the range was changed after this revision.
    pub fn none_newer(range: &KeyRange, revision: Revision) -> Self {
        let target = CompareTarget::Mod(revision.saturating_add(1));
        Self { over: KeySelector::Range(range.clone()), op: CompareOp::Less, target }
    }

    fn size(&self) -> usize {
        let value = if let CompareTarget::Value(value) = &self.target { value.len() } else { 0 };
        OVERHEAD.saturating_add(self.over.len()).saturating_add(value)
    }

    fn to_wire(&self, namespace: &[u8]) -> etcd_client::Compare {
        use etcd_client::Compare as Wire;
        let (key, end) = self.over.to_wire(namespace);
        let op = match self.op {
            CompareOp::Equal => etcd_client::CompareOp::Equal,
            CompareOp::NotEqual => etcd_client::CompareOp::NotEqual,
            CompareOp::Less => etcd_client::CompareOp::Less,
            CompareOp::Greater => etcd_client::CompareOp::Greater,
        };
        let wire = match &self.target {
            CompareTarget::Value(value) => Wire::value(key, op, value.clone()),
            CompareTarget::Version(version) => Wire::version(key, op, *version),
            CompareTarget::Create(revision) => Wire::create_revision(key, op, *revision),
            CompareTarget::Mod(revision) => Wire::mod_revision(key, op, *revision),
            CompareTarget::Lease(lease) => Wire::lease(key, op, lease.map_or(0, |lease| lease.0)),
        };
        match end {
            Some(end) => wire.with_range(end),
            None => wire,
        }
    }
}

/// The lease of a written key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseMode {
    /// No lease; a lease the key had is detached.
    #[default]
    Detach,
    /// This lease.
    Attach(LeaseId),
    /// The key's present lease. etcd refuses this for a key that does not exist.
    Keep,
}

/// A key to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// Whether the key keeps its present value; `value` is then empty. etcd refuses this for a key that does not exist.
    pub keep_value: bool,
    /// The lease.
    pub lease: LeaseMode,
    /// Whether to return the previous record.
    pub prev: bool,
}

/// An operation of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a key.
    Put(Write),
    /// Reads a key or a range.
    Get {
        /// The key or range.
        over: KeySelector,
        /// The revision; 0 for the latest.
        revision: Revision,
        /// Whether to read keys without values.
        keys_only: bool,
        /// Whether to return only the count.
        count_only: bool,
        /// The maximum number of keys; 0 for all.
        limit: i64,
    },
    /// Deletes a key or a range.
    Delete {
        /// The key or range.
        over: KeySelector,
        /// Whether to return the deleted records.
        prev: bool,
    },
    /// A nested transaction.
    Txn(Txn),
}

impl Op {
    /// Reads records with their values, without a limit.
    pub fn get_at(over: KeySelector, revision: Revision) -> Self {
        Self::Get { over, revision, keys_only: false, count_only: false, limit: 0 }
    }

    fn size(&self) -> usize {
        match self {
            Self::Put(write) => OVERHEAD.saturating_add(write.key.len()).saturating_add(write.value.len()),
            Self::Get { over, .. } | Self::Delete { over, .. } => OVERHEAD.saturating_add(over.len()),
            Self::Txn(txn) => OVERHEAD.saturating_add(txn.size()),
        }
    }

    pub(crate) fn to_wire(&self, namespace: &[u8], serializable: bool) -> TxnOp {
        match self {
            Self::Put(write) => {
                let options = match write.lease {
                    LeaseMode::Detach => PutOptions::new(),
                    LeaseMode::Attach(lease) => PutOptions::new().with_lease(lease.0),
                    LeaseMode::Keep => PutOptions::new().with_ignore_lease(),
                };
                let options = if write.prev { options.with_prev_key() } else { options };
                let options = if write.keep_value { options.with_ignore_value() } else { options };
                TxnOp::put([namespace, &write.key].concat(), write.value.clone(), Some(options))
            }
            Self::Get { over, revision, keys_only, count_only, limit } => {
                let (key, end) = over.to_wire(namespace);
                let mut options = GetOptions::new().with_revision(*revision).with_limit(*limit);
                if let Some(end) = end {
                    options = options.with_range(end);
                }
                if serializable {
                    options = options.with_serializable();
                }
                if *keys_only {
                    options = options.with_keys_only();
                }
                if *count_only {
                    options = options.with_count_only();
                }
                TxnOp::get(key, Some(options))
            }
            Self::Delete { over, prev } => {
                let (key, options) = over.deletion(namespace, *prev);
                TxnOp::delete(key, Some(options))
            }
            Self::Txn(txn) => TxnOp::txn(txn.to_wire(namespace, serializable)),
        }
    }
}

/// A transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// The conditions; all must hold for `then`.
    pub compares: Vec<Compare>,
    /// The operations if the conditions hold.
    pub then: Vec<Op>,
    /// The operations if a condition does not hold.
    pub otherwise: Vec<Op>,
}

impl Txn {
    /// The approximate size of the request in bytes.
    pub fn size(&self) -> usize {
        let ops = self.then.iter().chain(&self.otherwise).map(Op::size);
        self.compares.iter().map(Compare::size).chain(ops).fold(0, usize::saturating_add)
    }

    /// With `serializable`, etcd answers a transaction that only reads from the member's own data.
    pub(crate) fn to_wire(&self, namespace: &[u8], serializable: bool) -> etcd_client::Txn {
        let ops = |ops: &[Op]| ops.iter().map(|op| op.to_wire(namespace, serializable)).collect::<Vec<_>>();
        etcd_client::Txn::new()
            .when(self.compares.iter().map(|compare| compare.to_wire(namespace)).collect::<Vec<_>>())
            .and_then(ops(&self.then))
            .or_else(ops(&self.otherwise))
    }

    pub(crate) fn first_key(&self) -> &[u8] {
        match self.then.iter().chain(&self.otherwise).next() {
            Some(Op::Put(write)) => &write.key,
            Some(Op::Get { over, .. } | Op::Delete { over, .. }) => over.start(),
            Some(Op::Txn(txn)) => txn.first_key(),
            None => self.compares.first().map_or(&[], |compare| compare.over.start()),
        }
    }

    pub(crate) fn format_guard(&self) -> String {
        let format = |compare: &Compare| {
            let op = match compare.op {
                CompareOp::Equal => "=",
                CompareOp::NotEqual => "!=",
                CompareOp::Less => "<",
                CompareOp::Greater => ">",
            };
            match &compare.target {
                CompareTarget::Value(_) => format!("value{op}…"),
                CompareTarget::Version(version) => format!("version{op}{version}"),
                CompareTarget::Create(revision) => format!("create{op}{revision}"),
                CompareTarget::Mod(revision) => format!("mod{op}{revision}"),
                CompareTarget::Lease(lease) => {
                    format!("lease{op}{}", lease.map_or("none".to_owned(), |l| l.to_string()))
                }
            }
        };
        self.compares.iter().take(4).map(format).collect::<Vec<_>>().join(" ")
    }
}

/// The condition that a lock is still held: its key still has the create revision its holder got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockGuard {
    /// The lock's key, absolute (without the namespace prepended).
    pub key: Vec<u8>,
    /// The key's create revision.
    pub revision: Revision,
}

/// Whether a transaction without a response may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: it could be applied twice.
    Never,
    /// No, and its timeout is this duration.
    NeverWithin(Duration),
    /// Yes: its conditions fail after it was applied, or applying it twice has the effect of applying it once.
    /// [`TxnResult::maybe_applied`] then tells whether an earlier attempt may have been applied.
    Idempotent,
    /// Yes: it writes nothing. No failure leaves anything unknown.
    Read,
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// A write.
    Put {
        /// The previous record, if requested and if the key existed.
        prev: Option<KeyValue>,
    },
    /// A read.
    Get {
        /// The records.
        kvs: Vec<KeyValue>,
        /// The number of keys, including those beyond the limit.
        count: u64,
        /// Whether the limit cut off keys.
        more: bool,
    },
    /// A deletion.
    Delete {
        /// The number of deleted keys.
        deleted: u64,
        /// The deleted records, if requested.
        prev: Vec<KeyValue>,
    },
    /// A nested transaction.
    Txn {
        /// Whether its conditions held.
        succeeded: bool,
        /// The results of its branch.
        results: Vec<OpResult>,
    },
}

/// The result of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnResult {
    /// Whether the conditions held, i.e. which branch ran.
    pub succeeded: bool,
    /// The store's revision after the transaction, which is also the revision of its changes.
    pub revision: Revision,
    /// One result per operation of the branch that ran.
    pub results: Vec<OpResult>,
    /// Whether an earlier attempt of the same transaction may have been applied.
    pub maybe_applied: bool,
}
