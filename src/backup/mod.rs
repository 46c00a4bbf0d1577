//! Backups: files that hold an etcd database.
//!
//! A database file is a bbolt file. A snapshot, as etcd's Maintenance.Snapshot sends it, is a database file and the SHA-256
//! of all its bytes.

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

pub mod snapshot_digest;

pub use snapshot_digest::{DigestMismatch, SnapshotDigest};
