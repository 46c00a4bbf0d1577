//! Cluster-wide IDs for keys, byte compatible with Cilium's kvstore allocator, so that both can work on one store.
//!
//! Protocol: `pkg/allocator` of Cilium. Every client gets the same ID for the same key. The *master* key of an ID holds
//! the key; each node that uses the key writes a *reference*; masters without references are garbage.

mod allocate;
mod attempt;
mod cluster_config;
mod copies;
mod entries;
mod find;
mod hold;
mod id_index;
mod labels;
mod layout;
mod lock_session;
mod locks;
mod pool;
mod preview;
mod problems;
mod reference;
mod repair;
mod reserved;
mod scan;
mod stray_keys;
#[cfg(test)]
mod testing;

pub use allocate::{AllocationError, AllocationNotice, Allocator, AllocatorOptions, ReferenceLifetime};
pub use attempt::{AllocatedId, IdChoice};
pub use cluster_config::{ClusterConfig, ClusterConfigError, cluster_config_key};
pub use copies::copied_clusters;
pub use entries::{IdEntry, IdState, entries};
pub use find::{KeyLookup, find_ids, keys_of};
pub use hold::{HoldRepair, ReferenceHold};
pub use labels::{LabelError, LabelSelector, label_key};
pub use layout::{DEFAULT_BASE, Id, Layout, NameError, check_key, check_node};
pub use lock_session::{HeldLock, LockSession, LockWait};
pub use locks::BATCH;
pub use pool::{IdRange, IdSet, RangeError};
pub use preview::preview;
pub use problems::{Problem, ProblemKind, Severity, problems};
pub use reference::{NodeReferences, ReleasedReference, RenewedReference};
pub use repair::{RepairOutcome, restore_master};
pub use reserved::{MIN_ALLOCATED, ReservedLabel, label_with_id, reserved_label};
pub use scan::{AllocatorScan, KeyIndex, MasterKey, ReferenceKey, StringTable, UnknownKeyReason, scan};
pub use stray_keys::{StrayKeys, stray_keys};
