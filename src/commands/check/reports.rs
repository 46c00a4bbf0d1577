//! `--report`: writes what the checks have found for other programs.

use std::path::PathBuf;

use crate::atomic_file;
use crate::check::report::{ReportFormat, nagios_exit_code, render};
use crate::check::{CheckOutcome, CheckReport, CheckState, MeasureUnit, RuleOutcome, RuleState};
use crate::error::{Exit, Failure};
use crate::output::{CheckAnswer, CheckedItem, CheckedRule, json};

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

/// Parses `junit` or `junit=FILE`.
///
/// # Errors
/// Not a format, or a file without a name.
pub fn parse_report(text: &str) -> Result<ReportTarget, String> {
    let (name, file) = match text.split_once('=') {
        Some((_, "")) => return Err("the file has no name".to_owned()),
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

/// Replaces the files of all reports that have one.
///
/// # Errors
/// A file that cannot be written; the others are written all the same.
pub fn write_files(report: &CheckReport, targets: &[ReportTarget]) -> Result<(), Failure> {
    let mut failed = None;
    for target in targets {
        let Some(file) = &target.file else { continue };
        if let Err(error) = atomic_file::replace(file, &render_report(report, target.format)) {
            let failure = Failure::new(Exit::Partial, format!("cannot write the report {}: {error}", file.display()));
            failed.get_or_insert(failure);
        }
    }
    failed.map_or(Ok(()), Err)
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
        limit: measure.and_then(|measure| measure.limit),
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
