//! What all reports say alike: the counts of states, and the sentences of rules.

use crate::check::outcome::{CheckOutcome, CheckReport, CheckState, RuleOutcome, RuleState};
use crate::plural::counted;

/// The exit code of a Nagios plugin for this report: 2 (critical) if a check failed, 3 (unknown) if none failed but one
/// cannot be judged, otherwise 0.
pub fn nagios_exit_code(report: &CheckReport) -> u8 {
    match StateCounts::of(report) {
        counts if counts.failed > 0 => 2,
        counts if counts.errors > 0 => 3,
        _ => 0,
    }
}

/// The numbers of checks in each state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StateCounts {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) errors: usize,
    pub(super) skipped: usize,
}

impl StateCounts {
    pub(super) fn of(report: &CheckReport) -> Self {
        let mut counts = Self::default();
        for check in &report.checks {
            match check.state() {
                CheckState::Pass => counts.passed += 1,
                CheckState::Fail => counts.failed += 1,
                CheckState::Error => counts.errors += 1,
                CheckState::Skipped => counts.skipped += 1,
            }
        }
        counts
    }

    pub(super) fn all(self) -> usize {
        self.passed + self.failed + self.errors + self.skipped
    }

    /// "2 of 12 checks failed, 1 cannot be judged, 1 skipped", without names.
    pub(super) fn summary(self) -> String {
        let all = counted(self.all() as u64, "check");
        let mut parts = Vec::new();
        if self.failed > 0 {
            parts.push(format!("{} of {all} failed", self.failed));
        }
        if self.errors > 0 {
            parts.push(match parts.is_empty() {
                true => format!("{} of {all} cannot be judged", self.errors),
                false => format!("{} cannot be judged", self.errors),
            });
        }
        if parts.is_empty() {
            parts.push(format!("{} passed", counted(self.passed as u64, "check")));
        }
        if self.skipped > 0 {
            parts.push(format!("{} skipped", self.skipped));
        }
        parts.join(", ")
    }
}

/// The state of a rule.
pub(super) fn rule_state(rule: &RuleOutcome) -> CheckState {
    match rule.state {
        RuleState::Pass => CheckState::Pass,
        RuleState::Fail { .. } => CheckState::Fail,
        RuleState::Error { .. } => CheckState::Error,
        RuleState::Skipped { .. } => CheckState::Skipped,
    }
}

/// What a rule says, in one sentence without its end, unescaped.
pub(super) fn rule_text(rule: &RuleOutcome) -> String {
    let name = rule.rule;
    match &rule.state {
        RuleState::Pass => format!("{name}: pass"),
        RuleState::Fail { expected, found } => format!("{name}: expected {expected}, found {found}"),
        RuleState::Error { why, .. } => format!("{name}: cannot be judged: {why}"),
        RuleState::Skipped { why } => format!("{name}: skipped: {why}"),
    }
}

/// What the rules say that give the check its state, unescaped; empty if the check passed.
pub(super) fn message(check: &CheckOutcome) -> String {
    let state = check.state();
    if state == CheckState::Pass {
        return String::new();
    }
    let decisive = check.rules.iter().filter(|rule| rule_state(rule) == state);
    decisive.map(rule_text).collect::<Vec<_>>().join("; ")
}

/// The cluster ID as kvadm prints it everywhere.
pub(super) fn cluster_text(cluster: u64) -> String {
    format!("{cluster:x}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::Time;

    fn report(states: Vec<RuleState>) -> CheckReport {
        let check = |(at, state): (usize, RuleState)| CheckOutcome {
            name: format!("check {at}"),
            line: 1,
            took: Duration::ZERO,
            rules: vec![RuleOutcome { rule: "healthy", state, measure: None }],
        };
        let checks = states.into_iter().enumerate().map(check).collect();
        let (file, time, took) = ("checks.yaml".to_owned(), Time::default(), Duration::ZERO);
        CheckReport { file, time, took, cluster: None, revision: None, checks }
    }

    #[test]
    fn the_summary_counts_each_state_and_agrees_with_its_noun() {
        let fail = || RuleState::Fail { expected: "3".into(), found: "2".into() };
        let error = || RuleState::Error { why: "no answer".into(), exit_code: 3 };
        let skipped = || RuleState::Skipped { why: "dry run".into() };
        for (states, text, code) in [
            (vec![], "0 checks passed", 0),
            (vec![RuleState::Pass], "1 check passed", 0),
            (vec![RuleState::Pass, skipped()], "1 check passed, 1 skipped", 0),
            (vec![fail()], "1 of 1 check failed", 2),
            (vec![fail(), error(), skipped()], "1 of 3 checks failed, 1 cannot be judged, 1 skipped", 2),
            (vec![error(), RuleState::Pass], "1 of 2 checks cannot be judged", 3),
        ] {
            let report = report(states);
            assert_eq!((StateCounts::of(&report).summary().as_str(), nagios_exit_code(&report)), (text, code));
        }
    }
}
