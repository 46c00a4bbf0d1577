//! etcd's KV service: reads, ranges, transactions and compaction.

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

pub(crate) mod compact;
pub(crate) mod get;
pub(crate) mod page_sizer;
pub(crate) mod range_reader;
pub(crate) mod range_stream;
pub(crate) mod response_check;
pub(crate) mod transact;
pub(crate) mod txn;
