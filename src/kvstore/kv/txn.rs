//! Transactions: conditions, then one branch or the other, in one revision.
//!
//! Wire format: `etcdserverpb.TxnRequest` of etcd's `api/etcdserverpb/rpc.proto`.

use std::time::Duration;

use etcd_client::{DeleteOptions, GetOptions, PutOptions, TxnOp};

use crate::kvstore::key_range::KeyRange;
use crate::kvstore::types::{KeyValue, LeaseId, Revision};

/// The most compares, and the most operations in either branch, that etcd takes by default (`--max-txn-ops`). What a
/// nested transaction holds counts on top of the one around it.
pub const MAX_TXN_OPS: usize = 128;

/// The largest request that etcd takes by default, in bytes (`--max-request-bytes`).
pub const MAX_REQUEST_BYTES: usize = 3 << 19;

/// What one operation or compare is worth in bytes beside its key and value, generously.
const OVERHEAD: usize = 48;

/// One key, or a range of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySelector {
    /// Exactly this key.
    Key(Vec<u8>),
    /// Every key in the range. A compare holds if it holds for each; on an empty range it is asked of a key with
    /// all zero revisions and no value.
    Range(KeyRange),
}

impl KeySelector {
    /// The key, or the range's start.
    pub fn start(&self) -> &[u8] {
        match self {
            Self::Key(key) => key,
            Self::Range(range) => &range.start,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Key(key) => key.len(),
            Self::Range(range) => range.start.len() + range.end.as_ref().map_or(1, Vec::len),
        }
    }

    /// The absolute key and, for a range, its end.
    fn to_wire(&self, namespace: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            Self::Key(key) => ([namespace, key].concat(), None),
            Self::Range(range) => {
                let (start, end) = range.within(namespace).to_wire();
                (start, Some(end))
            }
        }
    }

    /// What deletes it: the absolute key and the options.
    pub(crate) fn deletion(&self, namespace: &[u8], prev: bool) -> (Vec<u8>, DeleteOptions) {
        let (key, end) = self.to_wire(namespace);
        let options = end.map_or_else(DeleteOptions::new, |end| DeleteOptions::new().with_range(end));
        (key, if prev { options.with_prev_key() } else { options })
    }
}

/// How a compare's two sides must relate.
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

/// What of a key is compared, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// The value's bytes. Never true for a key that is not there.
    Value(Vec<u8>),
    /// The number of changes since the creation; 0 for a key that is not there.
    Version(i64),
    /// The revision of the creation; 0 for a key that is not there.
    Create(Revision),
    /// The revision of the last change; 0 for a key that is not there.
    Mod(Revision),
    /// The lease; `None` for no lease.
    Lease(Option<LeaseId>),
}

/// One condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// Of which key or keys.
    pub over: KeySelector,
    /// How.
    pub op: CompareOp,
    /// What, and with what.
    pub target: CompareTarget,
}

impl Compare {
    /// A condition on one key.
    pub fn key(key: &[u8], op: CompareOp, target: CompareTarget) -> Self {
        Self { over: KeySelector::Key(key.to_vec()), op, target }
    }

    /// The key is not there.
    pub fn missing(key: &[u8]) -> Self {
        Self::key(key, CompareOp::Equal, CompareTarget::Version(0))
    }

    /// The key is there.
    pub fn exists(key: &[u8]) -> Self {
        Self::key(key, CompareOp::Greater, CompareTarget::Version(0))
    }

    /// The key's last change was in this revision; 0 for "is not there".
    pub fn unchanged(key: &[u8], revision: Revision) -> Self {
        Self::key(key, CompareOp::Equal, CompareTarget::Mod(revision))
    }

    /// No key of the range was changed after this revision.
    pub fn none_newer(range: &KeyRange, revision: Revision) -> Self {
        Self { over: KeySelector::Range(range.clone()), op: CompareOp::Less, target: CompareTarget::Mod(revision + 1) }
    }

    fn size(&self) -> usize {
        let value = if let CompareTarget::Value(value) = &self.target { value.len() } else { 0 };
        OVERHEAD + self.over.len() + value
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

/// Which lease a write leaves the key with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseMode {
    /// None; a lease the key had is taken off.
    #[default]
    Detach,
    /// This one.
    Attach(LeaseId),
    /// The one it has. etcd refuses this for a key that is not there.
    Keep,
}

/// One key to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// Its lease.
    pub lease: LeaseMode,
    /// Whether to answer with what was there before.
    pub prev: bool,
}

/// One operation of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a key.
    Put(Write),
    /// Reads a key or a range.
    Get {
        /// Which.
        over: KeySelector,
        /// At which revision; 0 for the present.
        revision: Revision,
        /// Without values.
        keys_only: bool,
        /// Only how many.
        count_only: bool,
        /// At most so many; 0 for all.
        limit: i64,
    },
    /// Deletes a key or a range.
    Delete {
        /// Which.
        over: KeySelector,
        /// Whether to answer with what was there before.
        prev: bool,
    },
    /// A transaction in the transaction.
    Txn(Txn),
}

impl Op {
    /// Reads all of it, values included.
    pub fn get_at(over: KeySelector, revision: Revision) -> Self {
        Self::Get { over, revision, keys_only: false, count_only: false, limit: 0 }
    }

    fn size(&self) -> usize {
        match self {
            Self::Put(write) => OVERHEAD + write.key.len() + write.value.len(),
            Self::Get { over, .. } | Self::Delete { over, .. } => OVERHEAD + over.len(),
            Self::Txn(txn) => OVERHEAD + txn.size(),
        }
    }

    fn to_wire(&self, namespace: &[u8]) -> TxnOp {
        match self {
            Self::Put(write) => {
                let options = match write.lease {
                    LeaseMode::Detach => PutOptions::new(),
                    LeaseMode::Attach(lease) => PutOptions::new().with_lease(lease.0),
                    LeaseMode::Keep => PutOptions::new().with_ignore_lease(),
                };
                let options = if write.prev { options.with_prev_key() } else { options };
                TxnOp::put([namespace, &write.key].concat(), write.value.clone(), Some(options))
            }
            Self::Get { over, revision, keys_only, count_only, limit } => {
                let (key, end) = over.to_wire(namespace);
                let mut options = GetOptions::new().with_revision(*revision).with_limit(*limit);
                if let Some(end) = end {
                    options = options.with_range(end);
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
            Self::Txn(txn) => TxnOp::txn(txn.to_wire(namespace)),
        }
    }
}

/// Conditions and two branches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold for `then`.
    pub compares: Vec<Compare>,
    /// What is done if they do.
    pub then: Vec<Op>,
    /// What is done if one does not.
    pub otherwise: Vec<Op>,
}

impl Txn {
    /// About how many bytes the request has.
    pub fn size(&self) -> usize {
        let compares: usize = self.compares.iter().map(Compare::size).sum();
        compares + self.then.iter().chain(&self.otherwise).map(Op::size).sum::<usize>()
    }

    pub(crate) fn to_wire(&self, namespace: &[u8]) -> etcd_client::Txn {
        let ops = |ops: &[Op]| ops.iter().map(|op| op.to_wire(namespace)).collect::<Vec<_>>();
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

/// "Only while this lock is held": the lock key still has the create revision its holder got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockGuard {
    /// The lock's key, absolute: no namespace is put before it.
    pub key: Vec<u8>,
    /// Its create revision.
    pub revision: Revision,
}

/// Whether a transaction whose answer was lost may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: it could be done twice.
    Never,
    /// No, and it may take this long.
    NeverWithin(Duration),
    /// Yes: its conditions cannot hold any more once it was done, or doing it twice is doing it once.
    /// [`TxnResult::maybe_applied`] then says that an earlier sending may have been done.
    Idempotent,
}

/// What one operation gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// A write; what was there before, if asked for and there.
    Put {
        /// The key before.
        prev: Option<KeyValue>,
    },
    /// A read.
    Get {
        /// What was found.
        kvs: Vec<KeyValue>,
        /// How many there are, also beyond a limit.
        count: u64,
        /// Whether the limit cut it.
        more: bool,
    },
    /// A deletion.
    Delete {
        /// How many keys went.
        deleted: u64,
        /// What they were, if asked for.
        prev: Vec<KeyValue>,
    },
    /// A nested transaction.
    Txn {
        /// Whether its conditions held.
        succeeded: bool,
        /// What its branch gave.
        results: Vec<OpResult>,
    },
}

/// What a transaction gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnResult {
    /// Whether the conditions held, i.e. which branch ran.
    pub succeeded: bool,
    /// The store's revision after it; the revision of every change in it.
    pub revision: Revision,
    /// One result an operation of the branch that ran.
    pub results: Vec<OpResult>,
    /// Whether an earlier sending of the same transaction may have been done before this one was answered.
    pub maybe_applied: bool,
}
