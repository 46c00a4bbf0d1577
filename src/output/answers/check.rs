//! Records of `check`.

use super::{Field, Record, Report, Tone, Value, always, data};
use crate::kvstore::Revision;

/// One rule of a check.
#[derive(Clone, Debug, Default)]
pub struct CheckedRule {
    /// The rule.
    pub rule: &'static str,
    /// `pass`, `fail`, `error` or `skipped`.
    pub state: &'static str,
    /// What the file asks for, if the rule does not hold.
    pub expected: Option<String>,
    /// What is there instead.
    pub found: Option<String>,
    /// Why the rule cannot be judged, or was not tried.
    pub error: Option<String>,
    /// The figure that was compared.
    pub measured: Option<f64>,
    /// Its limit.
    pub limit: Option<f64>,
    /// Its unit.
    pub unit: Option<&'static str>,
}

impl Record for CheckedRule {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("rule", Value::Str(self.rule)));
        visit(always("state", Value::Str(self.state)));
        visit(always("expected", Value::str(self.expected.as_deref())));
        visit(always("found", Value::str(self.found.as_deref())));
        visit(always("error", Value::str(self.error.as_deref())));
        visit(data("measured", self.measured.map_or(Value::Absent, Value::Millis)));
        visit(data("limit", self.limit.map_or(Value::Absent, Value::Millis)));
        visit(data("unit", Value::str(self.unit)));
    }
}

/// One check of a file.
#[derive(Clone, Debug, Default)]
pub struct CheckedItem {
    /// The name of the check.
    pub name: String,
    /// The line of the check in the file.
    pub line: u64,
    /// `pass`, `fail`, `error` or `skipped`.
    pub state: &'static str,
    /// The duration of its requests in milliseconds.
    pub took_ms: f64,
    /// Its rules.
    pub rules: Vec<CheckedRule>,
}

impl Record for CheckedItem {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("name", Value::Str(&self.name)));
        visit(data("line", Value::Uint(self.line)));
        visit(always("state", Value::Str(self.state)));
        visit(data("took_ms", Value::Millis(self.took_ms)));
        visit(always("rules", Value::records(self.rules.iter())));
    }
}

/// A line of the table: a check that passes, or a rule that does not.
struct CheckRow<'a> {
    check: &'a str,
    state: &'static str,
    expected: String,
    found: &'a str,
}

fn tone(state: &str) -> Tone {
    match state {
        "pass" => Tone::Good,
        "fail" => Tone::Bad,
        "error" => Tone::Warning,
        _ => Tone::Neutral,
    }
}

impl Record for CheckRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("check", Value::Str(self.check)));
        visit(always("state", Value::Word(self.state, tone(self.state))));
        visit(always("expected", Value::Str(&self.expected)));
        visit(always("found", Value::Str(self.found)));
    }
}

/// `check`.
#[derive(Clone, Debug, Default)]
pub struct CheckAnswer {
    /// The name of the file.
    pub file: String,
    /// When the checks were judged.
    pub time: String,
    /// The duration of the run in milliseconds.
    pub took_ms: f64,
    /// The cluster's ID.
    pub cluster: Option<u64>,
    /// The revision at which the rules about keys were judged.
    pub revision: Option<Revision>,
    /// All checks.
    pub checks: Vec<CheckedItem>,
}

impl CheckAnswer {
    fn count(&self, state: &str) -> u64 {
        self.checks.iter().filter(|check| check.state == state).count() as u64
    }
}

impl Record for CheckAnswer {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("file", Value::Str(&self.file)));
        visit(always("time", Value::Str(&self.time)));
        visit(always("took_ms", Value::Millis(self.took_ms)));
        visit(always("cluster", self.cluster.map_or(Value::Absent, Value::Hex)));
        visit(always("revision", Value::int(self.revision)));
        visit(always("passed", Value::Uint(self.count("pass"))));
        visit(always("failed", Value::Uint(self.count("fail"))));
        visit(always("errors", Value::Uint(self.count("error"))));
        visit(always("skipped", Value::Uint(self.count("skipped"))));
        visit(always("checks", Value::records(self.checks.iter())));
    }
}

impl Report for CheckAnswer {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        let mut rows: Vec<Box<dyn Record + '_>> = Vec::new();
        for check in &self.checks {
            if check.state == "pass" {
                let rules: Vec<&str> = check.rules.iter().map(|rule| rule.rule).collect();
                rows.push(Box::new(CheckRow {
                    check: &check.name,
                    state: "pass",
                    expected: rules.join(", "),
                    found: "",
                }));
            }
            for rule in check.rules.iter().filter(|rule| rule.state != "pass") {
                let expected = match &rule.expected {
                    Some(expected) => format!("{}: {expected}", rule.rule),
                    None => rule.rule.to_owned(),
                };
                let found = rule.found.as_ref().or(rule.error.as_ref()).map_or("", String::as_str);
                rows.push(Box::new(CheckRow { check: &check.name, state: rule.state, expected, found }));
            }
        }
        rows
    }
}

/// `check --explain`: one rule.
pub struct CheckPlanRow<'a> {
    /// The name of the check.
    pub check: &'a str,
    /// The line of the check in the file.
    pub line: u64,
    /// The rule.
    pub rule: &'static str,
    /// What it reads or writes.
    pub reads: &'a str,
    /// What it asks for.
    pub expected: &'a str,
}

impl Record for CheckPlanRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("check", Value::Str(self.check)));
        visit(data("line", Value::Uint(self.line)));
        visit(always("rule", Value::Str(self.rule)));
        visit(always("reads", Value::Str(self.reads)));
        visit(always("expected", Value::Str(self.expected)));
    }
}
