//! The output of `status --advice`: one object, or a report.

use std::io;

use super::super::out::Out;
use super::super::record::Tone;
use super::super::sanitize::sanitize;
use super::diagnosis::push_wrapped;
use super::{Field, Record, Value, always, data};

/// The column of the texts below a finding.
const TEXT_COLUMN: usize = 8;

/// One piece of advice.
pub struct AdviceRow<'a> {
    /// `critical`, `warning` or `suggestion`.
    pub severity: &'static str,
    /// `certain`, `likely` or `possible`.
    pub certainty: &'static str,
    /// The name of the rule.
    pub rule: &'static str,
    /// What it is about.
    pub subject: &'a str,
    /// What is wrong.
    pub finding: &'a str,
    /// Why it matters.
    pub why: &'a str,
    /// What to do.
    pub remedy: &'a str,
    /// The command to run next.
    pub command: Option<&'a str>,
    /// The known problems of a version.
    pub problems: &'a [String],
}

impl Record for AdviceRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let tone = match self.severity {
            "critical" => Tone::Bad,
            "warning" => Tone::Warning,
            _ => Tone::Neutral,
        };
        visit(always("severity", Value::Word(self.severity, tone)));
        visit(always("certainty", Value::Str(self.certainty)));
        visit(always("subject", Value::Str(self.subject)));
        visit(always("finding", Value::Str(self.finding)));
        visit(always("why", Value::Str(self.why)));
        visit(always("remedy", Value::Str(self.remedy)));
        visit(always("command", Value::str(self.command)));
        visit(data("rule", Value::Str(self.rule)));
        if !self.problems.is_empty() {
            visit(data("problems", Value::Strings(self.problems)));
        }
    }
}

impl AdviceRow<'_> {
    /// The colour of the severity, as the codes of a terminal.
    fn color(&self) -> &'static str {
        match self.severity {
            "critical" => "1;31",
            "warning" => "1;33",
            _ => "1",
        }
    }
}

/// `status --advice`.
pub struct AdviceAnswer<'a> {
    /// The health of the cluster.
    pub health: &'static str,
    /// The advice, the most urgent first.
    pub advice: &'a [AdviceRow<'a>],
}

impl Record for AdviceAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("health", Value::Str(self.health)));
        visit(always("advice", Value::records(self.advice.iter())));
    }
}

impl Out {
    /// Writes the advice: an object in JSON and YAML, else a report.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn advice(&self, answer: &AdviceAnswer<'_>) -> io::Result<()> {
        if self.is_data() {
            return self.one(answer);
        }
        let mut report = String::new();
        for row in answer.advice {
            report.push_str(&self.colored(&format!("{}:", row.severity), row.color()));
            push_wrapped(
                &mut report,
                row.severity.len() + 1,
                &format!("{} ({})", row.finding, row.certainty),
                TEXT_COLUMN,
            );
            for (label, text) in [("where", row.subject), ("why", row.why), ("do", row.remedy)] {
                report.push_str("  ");
                report.push_str(label);
                push_wrapped(&mut report, label.len() + 2, text, TEXT_COLUMN);
            }
            if let Some(command) = row.command {
                // A command line is not wrapped: it is pasted.
                let command = sanitize(command.as_bytes(), false);
                report.push_str(&format!("  run   {command}\n"));
            }
        }
        self.bytes(report.as_bytes())?;
        self.flush()
    }
}
