//! etcd's Cluster and Maintenance services: members, their state, alarms, defragmentation.

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

pub(crate) mod maintenance;
pub(crate) mod members;
