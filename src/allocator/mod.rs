//! Cluster-wide IDs for keys, byte compatible with Cilium's kvstore allocator, so that both can work on one store.
//!
//! Protocol: `pkg/allocator` of Cilium. The same key gets the same ID whoever asks; nodes that use it leave a reference
//! each, and a master without references is collected later.

mod entries;
mod find;
mod layout;
mod pool;
mod problems;
mod repair;
mod survey;
#[cfg(test)]
mod testing;

pub use entries::{Entry, State, entries};
pub use find::{Found, find, look_up};
pub use layout::{DEFAULT_BASE, Id, Layout, NameError, check_key, check_node};
pub use pool::{IdRange, IdSet, RangeError};
pub use problems::{Problem, Severity, Trouble, problems};
pub use repair::{Repaired, restore_master};
pub use survey::{KeyIndex, Master, Names, Reference, Strange, Survey, survey};
