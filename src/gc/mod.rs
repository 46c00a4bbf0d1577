//! Garbage collection over the store: scan, plan, and remove what two scans agree on. Planning is pure.
//!
//! This is the same for every kind of garbage: a scan produces a [`Plan`] of candidates, each with the facts that make
//! it garbage; candidates that this scan and earlier ones agree on may be removed; each removal compares those facts in
//! the transaction that removes.

mod file;
pub mod ids;
mod limits;
pub mod locks;
pub mod metadata;
mod plan;
mod sweep;
mod timestamp;

pub use file::PlanError;
pub use limits::{Limits, OverLimit, SweepPacer};
pub use plan::{Candidate, CandidateOutcome, Facts, Mismatch, Plan, ScanResult, Scope, Skipped};
pub use sweep::{SweepAnswer, is_per_candidate, run_txns};
pub use timestamp::Timestamp;
