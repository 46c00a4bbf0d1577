//! The thin module over etcd-client: everything kvadm knows of etcd's wire is here, and `etcd_client` is named
//! nowhere else.
//!
//! Inside, keys are absolute. The [`Store`] prepends the configured namespace to every key on the way in and
//! trims it on the way out; lock guards alone hold absolute keys, because they name somebody's lock and not a key
//! of the namespace.

mod body;
mod bound;
mod call;
mod certificate;
mod channel;
mod compact;
mod course;
mod diagnose;
mod dial;
mod endpoint;
mod error;
mod io;
mod keepalive;
mod lease;
mod limiter;
mod lock;
mod members;
mod observe;
mod options;
mod probe;
mod queues;
mod race;
mod range;
mod range_stream;
mod read;
mod secret;
mod steering;
mod store;
#[cfg(test)]
mod testing;
mod tls;
mod tls_causes;
mod transact;
mod txn;
mod types;
mod watch;
mod windows;

pub use call::beside;
pub use compact::Compacted;
pub use endpoint::{Endpoint, EndpointError, Scheme};
pub use error::{EndpointFailure, Error, Refusal};
pub use keepalive::{Alive, Kept, Loss};
pub use lease::Grant;
pub use lock::{Blocker, Entry, SHARED, lock_key_of};
pub use members::{Alarm, Member, MemberStatus, Members};
pub use observe::{Notice, Observer, Trace};
pub use options::{ConnectOptions, ConnectWait, Credentials, Session, TlsFiles};
pub use probe::{Fact, FactValue, Outcome, Probe, Step, Trouble};
pub use queues::{Contender, LockQueue, LockTree, left_behind};
pub use range::KeyRange;
pub use read::{Counted, Found};
pub use secret::Secret;
pub use store::Store;
pub use tls::TlsError;
pub use txn::{
    Again, Compare, CompareOp, LeaseMode, LockGuard, MAX_REQUEST_BYTES, MAX_TXN_OPS, Op, OpResult, Over, Target, Txn,
    TxnResult, Write,
};
pub use types::{KeyValue, LeaseId, NoLeaseId, Revision, parse_hex};
pub use watch::{WatchEvent, WatchOptions, Watched, Watcher};
pub use windows::{RangeReader, ReadOptions};
