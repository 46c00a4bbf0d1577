//! Cluster-wide IDs for keys, byte compatible with Cilium's kvstore allocator, so that both can work on one store.
//!
//! Protocol: `pkg/allocator` of Cilium. The same key gets the same ID whoever asks; nodes that use it leave a reference
//! each, and a master without references is collected later.

mod allocate;
mod attempt;
mod entries;
mod find;
mod hold;
mod id_index;
mod labels;
mod layout;
mod locks;
mod pool;
mod preview;
mod problems;
mod reference;
mod repair;
mod scan;
#[cfg(test)]
mod testing;

pub use allocate::{AllocationError, AllocationNotice, Allocator, AllocatorOptions, ReferenceLifetime};
pub use attempt::AllocatedId;
pub use entries::{IdEntry, IdState, entries};
pub use find::{KeyLookup, find_ids, keys_of};
pub use hold::{HoldRepair, ReferenceHold};
pub use labels::{LabelError, label_key};
pub use layout::{DEFAULT_BASE, Id, Layout, NameError, check_key, check_node};
pub use locks::BATCH;
pub use pool::{IdRange, IdSet, RangeError};
pub use preview::preview;
pub use problems::{Problem, ProblemKind, Severity, problems};
pub use reference::{NodeReferences, ReleasedReference, RenewedReference};
pub use repair::{RepairOutcome, restore_master};
pub use scan::{AllocatorScan, KeyIndex, MasterKey, ReferenceKey, StringTable, UnknownKeyReason, scan};
