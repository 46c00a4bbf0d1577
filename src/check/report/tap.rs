//! TAP, version 14: one test point per check, with a YAML diagnostic block that has all the facts.

use std::fmt::Write as _;

use super::summary::{StateCounts, cluster_text, message, rule_state};
use crate::check::outcome::{CheckOutcome, CheckReport, CheckState, Measure, MeasureUnit, RuleOutcome, RuleState};
use crate::output::{is_safe, sanitize};

pub(super) fn render(report: &CheckReport) -> String {
    let mut out = String::from("TAP version 14\n");
    // Writing to a string cannot fail.
    let _ = writeln!(out, "1..{}", report.checks.len());
    for (index, check) in report.checks.iter().enumerate() {
        test_point(&mut out, index + 1, check);
    }
    comment(&mut out, &StateCounts::of(report).summary());
    comment(&mut out, &format!("file: {}", report.file));
    comment(&mut out, &format!("time: {:.3}", report.time));
    if let Some(cluster) = report.cluster {
        comment(&mut out, &format!("cluster: {}", cluster_text(cluster)));
    }
    if let Some(revision) = report.revision {
        comment(&mut out, &format!("revision: {revision}"));
    }
    out
}

fn comment(out: &mut String, text: &str) {
    let _ = writeln!(out, "# {}", sanitize(text.as_bytes(), false));
}

fn test_point(out: &mut String, number: usize, check: &CheckOutcome) {
    let state = check.state();
    let (result, directive) = match state {
        CheckState::Pass => ("ok", String::new()),
        CheckState::Skipped => ("ok", format!(" # SKIP {}", description(&message(check), true))),
        CheckState::Fail | CheckState::Error => ("not ok", String::new()),
    };
    let _ = writeln!(
        out,
        "{result} {number} - {}{}",
        description(&check.name, !directive.is_empty()),
        directive.trim_end()
    );
    let _ = writeln!(out, "  ---\n  name: {}\n  state: {}", quoted(&check.name), state.as_str());
    let message = message(check);
    if !message.is_empty() {
        let _ = writeln!(out, "  message: {}", quoted(&message));
    }
    let milliseconds = check.took.as_secs_f64() * 1000.0;
    let _ = writeln!(out, "  line: {}\n  duration_ms: {milliseconds:.3}", check.line);
    if !check.rules.is_empty() {
        out.push_str("  rules:\n");
        check.rules.iter().for_each(|one| rule(out, one));
    }
    out.push_str("  ...\n");
}

fn rule(out: &mut String, rule: &RuleOutcome) {
    let _ = writeln!(out, "    - rule: {}\n      state: {}", quoted(rule.rule), rule_state(rule).as_str());
    match &rule.state {
        RuleState::Pass => {}
        RuleState::Fail { expected, found } => {
            let _ = writeln!(out, "      expected: {}\n      found: {}", quoted(expected), quoted(found));
        }
        RuleState::Error { why, .. } | RuleState::Skipped { why } => {
            let _ = writeln!(out, "      why: {}", quoted(why));
        }
    }
    if let Some(Measure { value, unit, limit }) = rule.measure {
        let unit = match unit {
            MeasureUnit::Count => "count",
            MeasureUnit::Seconds => "seconds",
            MeasureUnit::Bytes => "bytes",
            MeasureUnit::Percent => "percent",
        };
        let _ = writeln!(out, "      value: {}\n      unit: {unit}", number(value));
        if let Some(limit) = limit {
            let _ = writeln!(out, "      limit: {}", number(limit));
        }
    }
}

/// A number of YAML.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => ".nan".to_owned(),
        value if value.is_infinite() => if value > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        value => value.to_string(),
    }
}

/// A description in one line, in which `#` begins no directive. Parsers of TAP 13 know no escapes. They take even `\# skip`
/// for a directive, which makes a failure a success, and see no directive behind `\#`: in these places, `#` becomes the wide
/// number sign. The block has the name as it is.
fn description(text: &str, has_directive: bool) -> String {
    let text = sanitize(text.as_bytes(), false);
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '#' => {
                let next: String = text[at..].trim_start_matches(['#', '\\']).trim_start().chars().take(4).collect();
                let directive = ["skip", "todo"].iter().any(|word| next.eq_ignore_ascii_case(word));
                out.push_str(if directive || has_directive { "\u{ff03}" } else { "\\#" });
            }
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    out.trim().to_owned()
}

/// A double-quoted scalar of YAML in one line.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_safe(c, false) && !matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(c),
            c => {
                let code = u32::from(c);
                let _ = if code > 0xffff { write!(out, "\\U{code:08x}") } else { write!(out, "\\u{code:04x}") };
            }
        }
    }
    out.push('"');
    out
}
