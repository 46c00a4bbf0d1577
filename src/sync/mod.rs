//! Comparing ordered records from two places, and making one place equal to the other.
//!
//! A source gives records in key order, each key once, as of one revision. [`Merge`] pairs them with those of the store;
//! a pair that differs becomes an entry of a plan, which is executed with one condition for each key.

pub(crate) mod apply;
pub(crate) mod batch;
pub(crate) mod compare;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod lines;
pub(crate) mod merge;
pub mod mirror;
pub(crate) mod plan;
pub(crate) mod plan_file;
pub(crate) mod plan_store;
pub(crate) mod record;
pub(crate) mod records;
pub(crate) mod sort;
pub(crate) mod source;
pub(crate) mod undo_file;

pub use apply::{Applier, ApplyError, ApplyTally};
pub use compare::{Comparison, Difference, LeaseRule};
pub use error::SyncError;
pub use file::FileRecords;
pub use lines::{InputLine, MAX_LINE_BYTES, RecordLines};
pub use merge::{Merge, MergeStep, Pair};
pub use plan::{PlanEntry, PlanHead, PlanLine, PlannedLease, UndoEntry};
pub use plan_file::{PlanFileError, PlanReader, PlanWriter, count_changes};
pub use plan_store::{NewPlan, StoredPlan};
pub use record::{KeyMapping, SyncRecord};
pub use records::Records;
pub use source::{NoSource, SourceWord, StoreRecords};
pub use undo_file::UndoFile;
