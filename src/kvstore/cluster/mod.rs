//! etcd's Cluster and Maintenance services: members, their state, alarms, defragmentation,
//! snapshots, hashes, downgrades.

pub(crate) mod downgrade;
pub(crate) mod hash_kv;
pub(crate) mod http_probe;
pub(crate) mod maintenance;
pub(crate) mod members;
pub(crate) mod membership;
pub(crate) mod one_member;
pub(crate) mod snapshot;
