//! Garbage collection: looking, planning, and removing what two looks agree on, over the store. Planning is pure.
//!
//! Every kind of garbage has the same grammar: a look gives a [`Plan`] of candidates, each with the facts that make it
//! garbage; what this look and earlier ones agree on may go; and each removal compares those facts in the transaction
//! that removes.

mod file;
pub mod ids;
mod limits;
pub mod locks;
pub mod metadata;
mod moment;
mod plan;
mod sweep;

pub use file::PlanError;
pub use limits::{Limits, OverLimit, SweepPacer};
pub use moment::Timestamp;
pub use plan::{Candidate, CandidateOutcome, Facts, Mismatch, Plan, ScanResult, Scope, Skipped};
pub use sweep::{SweepAnswer, is_per_candidate, run_txns};
