//! Smoke checks: named assertions about a cluster and its keys, and the reports of their outcomes.

pub(crate) mod outcome;
pub mod report;

pub use outcome::{CheckOutcome, CheckReport, CheckState, Measure, MeasureUnit, RuleOutcome, RuleState};
