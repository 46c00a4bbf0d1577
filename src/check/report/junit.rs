//! JUnit XML: the elements and attributes that Jenkins' schema (junit-10) and GitLab have in common.

use std::fmt::Write as _;
use std::time::Duration;

use super::summary::{StateCounts, cluster_text, message, rule_text};
use crate::check::outcome::{CheckOutcome, CheckReport, CheckState};
use crate::output::is_safe;
use crate::time::Time;

/// The name of the test suite, and the class of its test cases.
const SUITE: &str = "kvadm check";

pub(super) fn render(report: &CheckReport) -> String {
    let counts = StateCounts::of(report);
    let totals = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\"",
        counts.all(),
        counts.failed,
        counts.errors,
        counts.skipped,
        seconds(report.took),
    );
    // The schema knows no `skipped` of all suites together.
    let all = totals.replace(&format!(" skipped=\"{}\"", counts.skipped), "");
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(out, "<testsuites name=\"{SUITE}\" {all}>");
    let _ = writeln!(out, "  <testsuite name=\"{SUITE}\" {totals} timestamp=\"{}\">", timestamp(report.time));
    let _ = writeln!(out, "    <properties>");
    property(&mut out, "file", &report.file);
    property(&mut out, "time", &format!("{:.3}", report.time));
    if let Some(cluster) = report.cluster {
        property(&mut out, "cluster", &cluster_text(cluster));
    }
    if let Some(revision) = report.revision {
        property(&mut out, "revision", &revision.to_string());
    }
    let _ = writeln!(out, "    </properties>");
    for check in &report.checks {
        test_case(&mut out, report, check);
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn property(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", escaped(value, false));
}

fn test_case(out: &mut String, report: &CheckReport, check: &CheckOutcome) {
    let (name, time) = (escaped(&check.name, false), seconds(check.took));
    let _ = write!(out, "    <testcase classname=\"{SUITE}\" name=\"{name}\" time=\"{time}\"");
    let state = check.state();
    let element = match state {
        CheckState::Pass => {
            out.push_str("/>\n");
            return;
        }
        CheckState::Fail => "failure",
        CheckState::Error => "error",
        CheckState::Skipped => "skipped",
    };
    let mut text = format!("{}:{}\n", report.file, check.line);
    for rule in &check.rules {
        text.push_str(&rule_text(rule));
        text.push('\n');
    }
    let (message, text) = (escaped(&message(check), false), escaped(&text, true));
    let kind = state.as_str();
    let _ = write!(out, ">\n      <{element} message=\"{message}\" type=\"{kind}\">{text}</{element}>\n");
    out.push_str("    </testcase>\n");
}

/// Seconds with the three decimals that the schema allows.
fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

/// UTC without a zone, which the format does not allow.
fn timestamp(time: Time) -> String {
    let text = Time::from_secs(time.secs).to_string();
    text.strip_suffix('Z').unwrap_or("1970-01-01T00:00:00").to_owned()
}

/// Text for an attribute in double quotes or, with `lines`, for an element. Characters that XML does not allow are replaced.
/// A newline in an attribute would be read as a space, and a carriage return anywhere as a newline, so both are character
/// references, as is every character that acts upon a terminal.
fn escaped(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' if lines => out.push(c),
            c if !is_allowed(c) => out.push('\u{fffd}'),
            c if !is_safe(c, false) => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// XML 1.0, production `Char`.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
