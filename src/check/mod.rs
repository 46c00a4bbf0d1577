//! Smoke checks: named assertions about a cluster and its keys, and the reports of their outcomes.
//!
//! [`CheckFile`] is the document, [`RULES`] the catalog of rules, from which help and JSON Schema are made. [`Evaluation`] judges
//! all rules about keys at one revision, with one pass for each distinct prefix.

pub(crate) mod catalog;
pub(crate) mod changes;
pub(crate) mod cluster;
pub(crate) mod collector;
pub(crate) mod comparison;
pub(crate) mod document;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod fields;
pub(crate) mod figures;
pub(crate) mod file_schema;
pub(crate) mod history;
pub(crate) mod judgement;
pub(crate) mod members;
pub(crate) mod outcome;
pub(crate) mod passes;
pub(crate) mod probe;
pub mod report;
pub(crate) mod rule;
pub(crate) mod stage;
pub(crate) mod store_rules;
pub(crate) mod systems;

pub use catalog::{RULES, RuleInfo, RuleShape, RuleSubject, rule_list};
pub use changes::Notify;
pub use comparison::OpenedRecords;
pub use document::{CheckFile, CheckItem, CheckSubject, MAX_FILE_BYTES, NamedRule};
pub use evaluate::Evaluation;
pub use explain::{RuleExplanation, explain_rules};
pub use file_schema::file_schema;
pub use judgement::RuleFault;
pub use outcome::{
    CheckOutcome, CheckReport, CheckState, Measure, MeasureLimit, MeasureLimits, MeasureUnit, RuleOutcome, RuleState,
};
pub use rule::{AllocatorTest, CheckRule, JsonTest, SourceTest, TreeTest};
pub use stage::Stage;
pub use store_rules::SourceOpener;
