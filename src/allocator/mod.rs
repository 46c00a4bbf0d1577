//! Cluster-wide IDs for keys, byte compatible with Cilium's kvstore allocator, so that both can work on one store.
//!
//! Protocol: `pkg/allocator` of Cilium. The same key gets the same ID whoever asks; nodes that use it leave a reference
//! each, and a master without references is collected later.

mod allocate;
mod entries;
mod find;
mod hold;
mod labels;
mod layout;
mod locks;
mod pool;
mod preview;
mod problems;
mod reference;
mod repair;
mod survey;
#[cfg(test)]
mod testing;
mod trial;
mod view;

pub use allocate::{Allocator, Denied, Life, Terms, Told};
pub use entries::{Entry, State, entries};
pub use find::{Found, find, look_up};
pub use hold::{Hold, Mended};
pub use labels::{LabelError, label_key};
pub use layout::{DEFAULT_BASE, Id, Layout, NameError, check_key, check_node};
pub use locks::BATCH;
pub use pool::{IdRange, IdSet, RangeError};
pub use preview::preview;
pub use problems::{Problem, Severity, Trouble, problems};
pub use reference::{References, Released, Renewed};
pub use repair::{Repaired, restore_master};
pub use survey::{KeyIndex, Master, Names, Reference, Strange, Survey, survey};
pub use trial::Allocated;
