//! The output of a Nagios plugin, by the guidelines of the Monitoring Plugins: a status line with performance data, then
//! long output.

use std::fmt::Write as _;

use super::summary::{StateCounts, message, nagios_exit_code};
use crate::check::outcome::{CheckOutcome, CheckReport, CheckState, Measure, MeasureUnit};
use crate::output::is_safe;

/// Nagios reads at most 8 KiB of a plugin's output, and cuts the rest off.
const OUTPUT_BYTES: usize = 8000;
/// The status line without performance data, so that it fits into a notification.
const STATUS_BYTES: usize = 480;
/// Performance data at most, so that long output has room.
const PERFORMANCE_BYTES: usize = 4000;
/// One line of long output at most.
const LINE_BYTES: usize = 1000;

pub(super) fn render(report: &CheckReport) -> String {
    let word = match nagios_exit_code(report) {
        0 => "OK",
        2 => "CRITICAL",
        _ => "UNKNOWN",
    };
    let counts = StateCounts::of(report);
    let mut status = format!("KVADM {word} - {}", counts.summary());
    let bad = || report.checks.iter().filter(|check| matters(check));
    if bad().next().is_some() {
        status.push_str(": ");
        let room = STATUS_BYTES - status.len();
        status.push_str(&joined(bad().map(|check| escaped(&check.name)), room));
    }
    let mut out = format!("{status}|{}\n", performance(report, counts));
    for check in report.checks.iter().filter(|check| check.state() != CheckState::Pass) {
        let state = check.state().as_str();
        let line = cut(format!("{state}: {}: {}", escaped(&check.name), escaped(&message(check))), LINE_BYTES);
        // What remains is said in the last line, for which there is always room.
        if out.len() + line.len() > OUTPUT_BYTES - 80 {
            out.push_str("... more checks did not pass: see the other reports of kvadm check\n");
            break;
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// Whether the check keeps the whole from being OK.
fn matters(check: &CheckOutcome) -> bool {
    matches!(check.state(), CheckState::Fail | CheckState::Error)
}

/// Names with commas between them, and the number of those for which there is no room.
fn joined(names: impl Iterator<Item = String>, room: usize) -> String {
    let names: Vec<String> = names.map(|name| cut(name, 80)).collect();
    let mut out = String::new();
    for (index, name) in names.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        if out.len() + separator.len() + name.len() > room.saturating_sub(20) {
            let _ = write!(out, "{separator}and {} more", names.len() - index);
            break;
        }
        out.push_str(separator);
        out.push_str(name);
    }
    out
}

/// `'label'=value[unit];[warn];[crit];[min];[max]`, separated by spaces. Limits are left out: Nagios' ranges say which side
/// of a limit is bad, a measure does not.
fn performance(report: &CheckReport, counts: StateCounts) -> String {
    let (passed, failed, errors, skipped) = (counts.passed, counts.failed, counts.errors, counts.skipped);
    let took = report.took.as_secs_f64();
    let mut out = format!(
        "passed={passed};;;0 failed={failed};;;0 errors={errors};;;0 skipped={skipped};;;0 time={took:.3}s;;;0"
    );
    for check in &report.checks {
        for rule in &check.rules {
            let Some(Measure { value, unit, .. }) = rule.measure else { continue };
            let unit = match unit {
                MeasureUnit::Count => "",
                MeasureUnit::Seconds => "s",
                MeasureUnit::Bytes => "B",
                MeasureUnit::Percent => "%",
            };
            // U: a value that cannot be determined.
            let value = if value.is_finite() { format!("{value}{unit}") } else { "U".to_owned() };
            let item = format!(" '{}'={value}", label(&format!("{} {}", check.name, rule.rule)));
            if out.len() + item.len() <= PERFORMANCE_BYTES {
                out.push_str(&item);
            }
        }
    }
    out
}

/// A label may hold anything but an equals sign; a quote is doubled.
fn label(text: &str) -> String {
    escaped(text).replace('=', "\\x3d").replace('\'', "''")
}

/// Text in one line without `|`, which begins performance data. Backslashes are doubled, so that the escapes can be undone.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '|' => out.push_str("\\x7c"),
            c if is_safe(c, false) => out.push(c),
            c => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    out
}

/// At most this many bytes; what is cut ends with `...`.
fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = (0..=bytes.saturating_sub(3)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push_str("...");
    }
    text
}
