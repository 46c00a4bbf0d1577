//! What the checks of a file have found. Reports are written from this data alone.

use std::time::Duration;

use crate::kvstore::Revision;
use crate::time::Time;

/// The outcomes of all checks of one file.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The name of the check file.
    pub file: String,
    /// When the checks were judged.
    pub time: Time,
    /// The duration of the whole run.
    pub took: Duration,
    /// The cluster's ID, if it is known.
    pub cluster: Option<u64>,
    /// The revision at which the rules about keys were judged; `None` without such rules.
    pub revision: Option<Revision>,
    /// The outcomes, in the file's order.
    pub checks: Vec<CheckOutcome>,
}

/// The outcome of one check, which has one or more rules.
#[derive(Clone, Debug)]
pub struct CheckOutcome {
    /// The name of the check, which is unique in its file.
    pub name: String,
    /// The line of the file at which the check begins, counted from 1.
    pub line: u64,
    /// The duration of the check's own requests.
    pub took: Duration,
    /// The outcomes of its rules, in the file's order.
    pub rules: Vec<RuleOutcome>,
}

/// The outcome of one rule.
#[derive(Clone, Debug)]
pub struct RuleOutcome {
    /// The rule's key in the file, such as `healthy` or `quota-below`.
    pub rule: &'static str,
    /// The result.
    pub state: RuleState,
    /// The figure that was compared, if the rule compares one.
    pub measure: Option<Measure>,
}

/// The result of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleState {
    /// The rule holds.
    Pass,
    /// The rule does not hold.
    Fail {
        /// What the file asks for.
        expected: String,
        /// What is there instead.
        found: String,
    },
    /// The rule cannot be judged.
    Error {
        /// Why not.
        why: String,
        /// The exit code of this failure if nothing else failed: 3 or 4.
        exit_code: u8,
    },
    /// The rule was not tried.
    Skipped {
        /// Why not.
        why: String,
    },
}

/// A figure that a rule compares, for graphs.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: MeasureUnit,
    /// The limits of the rule.
    pub limits: MeasureLimits,
}

/// Between which limits a figure must be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeasureLimits {
    /// The lower limit.
    pub lower: Option<MeasureLimit>,
    /// The upper limit.
    pub upper: Option<MeasureLimit>,
}

/// One limit of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasureLimit {
    /// The limit.
    pub value: f64,
    /// Whether the limit itself is allowed.
    pub inclusive: bool,
}

impl MeasureLimits {
    /// No limit.
    pub const NONE: Self = Self { lower: None, upper: None };

    /// Less than this.
    pub fn below(value: f64) -> Self {
        Self { lower: None, upper: Some(MeasureLimit { value, inclusive: false }) }
    }

    /// At most this.
    pub fn at_most(value: f64) -> Self {
        Self { lower: None, upper: Some(MeasureLimit { value, inclusive: true }) }
    }

    /// At least this.
    pub fn at_least(value: f64) -> Self {
        Self { lower: Some(MeasureLimit { value, inclusive: true }), upper: None }
    }
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasureUnit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A share in percent.
    Percent,
}

/// The state of a check: that of its worst rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// All rules hold.
    Pass,
    /// At least one rule does not hold.
    Fail,
    /// No rule fails, but at least one cannot be judged.
    Error,
    /// No rule fails or is in error, and at least one was not tried.
    Skipped,
}

impl CheckState {
    /// The name in all formats.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

impl CheckOutcome {
    /// The state of the check.
    pub fn state(&self) -> CheckState {
        let any = |wanted: fn(&RuleState) -> bool| self.rules.iter().any(|rule| wanted(&rule.state));
        if any(|state| matches!(state, RuleState::Fail { .. })) {
            CheckState::Fail
        } else if any(|state| matches!(state, RuleState::Error { .. })) {
            CheckState::Error
        } else if any(|state| matches!(state, RuleState::Skipped { .. })) {
            CheckState::Skipped
        } else {
            CheckState::Pass
        }
    }
}
