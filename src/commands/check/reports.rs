//! `--report`: writes what the checks have found for other programs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::atomic_file::{self, Destination};
use crate::check::report::{ReportFormat, nagios_exit_code, render};
use crate::check::{
    CheckFile, CheckItem, CheckOutcome, CheckReport, CheckState, MeasureUnit, NamedRule, RuleOutcome, RuleState,
};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{CheckAnswer, CheckedItem, CheckedRule, json};
use crate::time::Time;

/// A report as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportTarget {
    /// The format; `None` for JSON.
    pub format: Option<ReportFormat>,
    /// The file; `None` for stdout.
    pub file: Option<PathBuf>,
}

const FORMATS: [(&str, Option<ReportFormat>); 5] = [
    ("junit", Some(ReportFormat::Junit)),
    ("tap", Some(ReportFormat::Tap)),
    ("nagios", Some(ReportFormat::Nagios)),
    ("prometheus", Some(ReportFormat::Prometheus)),
    ("json", None),
];

/// Other names of stdout. They are not opened: a regular file behind them would be written to from its beginning.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
/// After this time, kvadm says that it waits for the reader of a FIFO.
const REPORT_AFTER: Duration = Duration::from_secs(2);

/// Parses `junit` or `junit=FILE`; `-` is stdout.
///
/// # Errors
/// Not a format, or a file without a name.
pub fn parse_report(text: &str) -> Result<ReportTarget, String> {
    let (name, file) = match text.split_once('=') {
        Some((_, "")) => return Err("the file has no name".to_owned()),
        Some((name, file)) if STDOUT.contains(&file) => (name, None),
        Some((name, file)) => (name, Some(PathBuf::from(file))),
        None => (text, None),
    };
    let names: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).collect();
    match FORMATS.iter().find(|(known, _)| *known == name) {
        Some((_, format)) => Ok(ReportTarget { format: *format, file }),
        None => Err(format!("'{}' is not a format; formats are {}", name.escape_debug(), names.join(", "))),
    }
}

/// The report that goes to stdout instead of the table.
///
/// # Errors
/// A usage error for several of them, and for a file that two reports would write.
pub fn stdout_report(targets: &[ReportTarget]) -> Result<Option<&ReportTarget>, Failure> {
    let on_stdout: Vec<&ReportTarget> = targets.iter().filter(|target| target.file.is_none()).collect();
    if on_stdout.len() > 1 {
        return Err(
            Failure::usage("two reports cannot share stdout").hint("write all but one to a file: --report junit=FILE")
        );
    }
    for (index, target) in targets.iter().enumerate() {
        let same = |other: &&ReportTarget| target.file.is_some() && other.file == target.file;
        if let Some(file) = targets.iter().skip(index + 1).find(same).and_then(|other| other.file.as_ref()) {
            return Err(Failure::usage(format!("two reports would write {}", file.display())));
        }
    }
    Ok(on_stdout.first().copied())
}

/// The report in its format.
pub fn render_report(report: &CheckReport, format: Option<ReportFormat>) -> Vec<u8> {
    match format {
        Some(format) => render(report, format),
        None => {
            let mut line = Vec::new();
            json::line(&mut line, &answer_of(report));
            line
        }
    }
}

/// Writes all reports that have a file, and warns of those that cannot be written. Returns the first warning.
pub async fn write_files(ctx: &Context, report: &CheckReport, targets: &[ReportTarget]) -> Option<String> {
    let mut failed = None;
    for target in targets {
        let Some(file) = &target.file else { continue };
        if let Err(why) = write_file(ctx, file, render_report(report, target.format)).await {
            let warning = format!("cannot write the report {}: {why}", file.display());
            ctx.out.warn_always(&warning);
            failed.get_or_insert(warning);
        }
    }
    failed
}

async fn write_file(ctx: &Context, file: &Path, contents: Vec<u8>) -> Result<(), String> {
    let destination = Destination::of(file).map_err(|error| error.to_string())?;
    if let Destination::File(_) = destination {
        return atomic_file::write_shared(&destination, &contents).map_err(|error| error.to_string());
    }
    // A FIFO waits for its reader.
    let writing = ctx.run_blocking(move || atomic_file::write_shared(&destination, &contents));
    tokio::pin!(writing);
    let written = tokio::select! {
        biased;
        written = &mut writing => written,
        () = tokio::time::sleep(REPORT_AFTER) => {
            ctx.out.note(&format!("waiting for a program that reads {}", file.display()));
            writing.await
        }
    };
    written.map_err(|failure| failure.one_line())?.map_err(|error| error.to_string())
}

/// The report of a run that a signal has ended before any check was judged.
pub fn unjudged(file: &CheckFile) -> CheckReport {
    let rule = |rule: &NamedRule| {
        let why = "a signal ended the run before the rule was judged".to_owned();
        let state = RuleState::Error { why, exit_code: Exit::Unreachable.code() };
        RuleOutcome { rule: rule.info.name, state, measure: None }
    };
    let check = |check: &CheckItem| CheckOutcome {
        name: check.name.clone(),
        line: check.line,
        took: Duration::ZERO,
        rules: check.rules.iter().map(rule).collect(),
    };
    CheckReport {
        file: file.name.clone(),
        time: Time::now(),
        took: Duration::ZERO,
        cluster: None,
        revision: None,
        checks: file.checks.iter().map(check).collect(),
    }
}

/// The record of a report.
pub fn answer_of(report: &CheckReport) -> CheckAnswer {
    CheckAnswer {
        file: report.file.clone(),
        time: format!("{:.3}", report.time),
        took_ms: report.took.as_secs_f64() * 1e3,
        cluster: report.cluster,
        revision: report.revision,
        checks: report.checks.iter().map(item_of).collect(),
    }
}

fn item_of(check: &CheckOutcome) -> CheckedItem {
    CheckedItem {
        name: check.name.clone(),
        line: check.line,
        state: check.state().as_str(),
        took_ms: check.took.as_secs_f64() * 1e3,
        rules: check.rules.iter().map(rule_of).collect(),
    }
}

fn rule_of(outcome: &RuleOutcome) -> CheckedRule {
    let (state, expected, found, error) = match &outcome.state {
        RuleState::Pass => (CheckState::Pass, None, None, None),
        RuleState::Fail { expected, found } => (CheckState::Fail, Some(expected.clone()), Some(found.clone()), None),
        RuleState::Error { why, .. } => (CheckState::Error, None, None, Some(why.clone())),
        RuleState::Skipped { why } => (CheckState::Skipped, None, None, Some(why.clone())),
    };
    let measure = outcome.measure.as_ref();
    CheckedRule {
        rule: outcome.rule,
        state: state.as_str(),
        expected,
        found,
        error,
        measured: measure.map(|measure| measure.value),
        lower_limit: measure.and_then(|measure| measure.limits.lower).map(|limit| limit.value),
        upper_limit: measure.and_then(|measure| measure.limits.upper).map(|limit| limit.value),
        unit: measure.map(|measure| match measure.unit {
            MeasureUnit::Count => "count",
            MeasureUnit::Seconds => "seconds",
            MeasureUnit::Bytes => "bytes",
            MeasureUnit::Percent => "percent",
        }),
    }
}

/// The exit code: 1 if a check failed, else the code of a rule that cannot be judged, else 0. A Nagios plugin has its own.
pub fn exit_of(report: &CheckReport, as_nagios: bool) -> Exit {
    if as_nagios {
        return match nagios_exit_code(report) {
            0 => Exit::Done,
            code => Exit::Plugin(code),
        };
    }
    let any = |state| report.checks.iter().any(|check| check.state() == state);
    if any(CheckState::Fail) {
        return Exit::No;
    }
    let rules = report.checks.iter().flat_map(|check| &check.rules);
    let codes = rules.filter_map(|rule| match &rule.state {
        RuleState::Error { exit_code, .. } => Some(*exit_code),
        _ => None,
    });
    match codes.min() {
        None => Exit::Done,
        Some(3) => Exit::Unreachable,
        Some(_) => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    /// As root, replacing /dev/stdout would break the whole machine.
    #[test]
    fn the_names_of_stdout_are_no_files() {
        for name in STDOUT {
            assert_eq!(parse_report(&format!("json={name}")).unwrap(), parse_report("json").unwrap());
        }
        assert!(parse_report("json=/dev/stderr").unwrap().file.is_some());
    }
}
