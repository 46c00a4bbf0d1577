//! Comparing ordered records from two places, and making one place equal to the other.
//!
//! A source gives records in key order, each key once, as of one revision. [`Merge`] pairs them with those of the store;
//! a pair that differs becomes an entry of a plan, which is executed with one condition for each key.

pub(crate) mod compare;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod lines;
pub(crate) mod merge;
pub mod mirror;
pub(crate) mod record;
pub(crate) mod records;
pub(crate) mod sort;
pub(crate) mod source;

pub use compare::{Comparison, Difference, LeaseRule};
pub use error::SyncError;
pub use file::FileRecords;
pub use lines::{InputLine, RecordLines};
pub use merge::{Merge, Pair, Step};
pub use record::{KeyMapping, SyncRecord};
pub use records::Records;
pub use source::{NoSource, SourceWord, StoreRecords};
