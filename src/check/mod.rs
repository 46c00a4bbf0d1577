//! Smoke checks: named assertions about a cluster and its keys, and the reports of their outcomes.

pub(crate) mod catalog;
pub(crate) mod document;
pub(crate) mod fault;
pub(crate) mod fields;
pub(crate) mod figures;
pub(crate) mod outcome;
pub(crate) mod rule;

pub use catalog::{RULES, RuleInfo, RuleShape, RuleSubject, rule_list};
pub use document::{CheckFile, CheckItem, CheckSubject, MAX_FILE_BYTES, NamedRule};
pub use fault::CheckFileError;
pub use outcome::{CheckOutcome, CheckReport, CheckState, Measure, MeasureUnit, RuleOutcome, RuleState};
pub use rule::{AllocatorTest, CheckRule, JsonTest, SourceTest, TreeTest};
