//! Reads etcd's database files without etcd: snapshots, and copies of a member's `member/snap/db`.
//!
//! Such a file is a bbolt database ([`bolt`]): trees of pages, in named buckets. The bucket `key` has every revision of every
//! key since the last compaction, in the order of revisions; there is no index by key ([`schema`]). A snapshot, as etcd's
//! Maintenance.Snapshot sends it, is a database and the SHA-256 of all its bytes ([`SnapshotDigest`]).

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

pub mod bolt;
mod contents;
mod database;
mod error;
mod etcd_file;
mod file_kind;
mod hash_kv;
mod history;
mod index;
mod key_table;
mod leases;
mod monitor;
mod pass;
mod revision_check;
pub mod schema;
mod snapshot_digest;
#[cfg(test)]
mod tests;
mod verify;

pub use contents::{Contents, StoredMember};
pub use database::{Database, KeyRevision};
pub use error::BackupError;
pub use etcd_file::{Compaction, EtcdFile, Revisions, StoredRevision};
pub use hash_kv::StoreHash;
pub use history::{KeyHistoryUsage, history_usage};
pub use key_table::SortedKeys;
pub use monitor::VerifyMonitor;
pub use pass::DatabaseError;
pub use snapshot_digest::{DigestMismatch, SnapshotDigest};
pub use verify::{Checksum, Verification, VerifyError, passes_to_verify, verify};
