//! Reads etcd's database files without etcd: snapshots, and copies of a member's `member/snap/db`.
//!
//! Such a file is a bbolt database ([`bolt`]): trees of pages, in named buckets. The bucket `key` has every revision of every
//! key since the last compaction, in the order of revisions; there is no index by key ([`schema`]).
//!
//! A snapshot is a database and the SHA-256 of its bytes.

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
mod error;
mod etcd_file;
mod file_kind;
pub mod schema;
mod snapshot_digest;
#[cfg(test)]
mod tests;

pub use error::BackupError;
pub use etcd_file::{Compaction, EtcdFile, Revisions, StoredRevision};
pub use snapshot_digest::{DigestMismatch, SnapshotDigest};
