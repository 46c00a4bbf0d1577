//! A thin layer over etcd-client: one method per etcd operation, with kvadm's timeouts, retries and error classes. No
//! other module uses `etcd_client`.
//!
//! [`Store`] prepends the configured namespace to every key it sends and removes it from every key it returns. Only lock
//! guards hold absolute keys, because a lock may lie outside the namespace.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub(crate) mod auth;
pub(crate) mod backoff;
pub(crate) mod cluster;
pub(crate) mod cluster_check;
pub(crate) mod error;
pub(crate) mod health_check;
pub(crate) mod identity;
pub(crate) mod key_range;
pub(crate) mod kv;
pub(crate) mod lease;
pub(crate) mod limiter;
pub(crate) mod local;
pub(crate) mod local_request;
pub(crate) mod lock;
pub(crate) mod login;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod response_check;
pub(crate) mod response_header;
#[cfg(test)]
mod simulation;
pub(crate) mod store;
pub(crate) mod timeout;
pub(crate) mod token;
pub(crate) mod types;
pub(crate) mod watch;

pub use auth::caller::Caller;
pub use auth::password::PasswordCheck;
pub use auth::permission::{Access, Permission, RangeForm};
pub use auth::status::AuthStatus;
pub use backoff::Backoff;
pub use cluster::downgrade::{DowngradeChange, DowngradeState, minor_version, previous_version};
pub use cluster::hash_kv::HashKvAnswer;
pub use cluster::maintenance::AlarmKind;
pub use cluster::members::{Alarm, Member, MemberStatus, Members};
pub use cluster::membership::{AddedMember, ChangeEvidence};
pub use cluster::one_member::{MemberLag, OneMember};
pub use cluster::snapshot::{DIGEST_BYTES, SnapshotStream};
pub use error::Error;
pub use identity::StoreMismatch;
pub use key_range::KeyRange;
pub use kv::compact::CompactionOutcome;
pub use kv::get::{KeysRead, RangeCount};
pub use kv::range_reader::{RangeReader, ReadOptions};
pub use kv::txn::{
    Compare, CompareOp, CompareTarget, KeySelector, LeaseMode, LockGuard, MAX_REQUEST_BYTES, Op, OpResult, Retry, Txn,
    TxnResult, Write,
};
pub use lease::keepalive::{LeaseKeeper, LeaseLoss, LeaseState};
pub use lease::{Grant, LeaseWithKeys};
pub use local::{LocalAnswer, LocalError, LocalQuery, LocalStore};
pub use lock::leader::{LeaderUpdate, LeaderWatch};
pub use lock::lock_key::{lock_key_of, rw_mutex_key_of};
pub use lock::owner::{LockLabel, LockMode, LockOwner, is_reserved_proposal};
pub use lock::queue::{Contender, LockQueue, LockTree, Proposal, orphaned_contender};
pub use lock::{Blocker, LockHolder, QueueEntry};
pub use refusal::Refusal;
pub use request::run_on_io_thread;
pub use store::Store;
pub use types::{KeyValue, LeaseId, NoLeaseId, Revision, parse_hex};
pub use watch::assembly::{Assembly, OversizedRevision};
pub use watch::wire::RawEvent;
pub use watch::{WatchEvent, WatchOptions, WatchUpdate, Watcher};
