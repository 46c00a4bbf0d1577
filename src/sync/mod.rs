//! Comparing ordered records from two places, and making one place equal to the other.
//!
//! A source gives records in key order, each key once, as of one revision. [`Merge`] pairs them with those of the store;
//! a pair that differs becomes an entry of a plan, which is executed with one condition for each key.

pub(crate) mod merge;
pub mod mirror;
pub(crate) mod record;
pub(crate) mod source;

pub use merge::{Merge, Pair, Step};
pub use record::{KeyMapping, SyncRecord};
pub use source::{SourceWord, StoreRecords};
