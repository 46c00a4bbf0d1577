//! The Prometheus text format, for the textfile collector of node_exporter.
//!
//! Every series has the label `file`: the collector rejects equal series of two files. Help texts are constants, because it
//! rejects different ones as well.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::check::outcome::{CheckOutcome, CheckReport, CheckState, Measure, MeasureUnit};
use crate::output::sanitize;

pub(super) fn render(report: &CheckReport) -> String {
    let mut page = MetricsPage { out: String::new(), file: escaped(&report.file) };
    let names = unique_names(report);
    let checks = || report.checks.iter().zip(&names);
    page.per_check(
        "kvadm_check_success",
        "Whether all rules of the check hold (1), or a rule fails or cannot be judged (0). Absent if the check was skipped.",
        checks().filter(|(check, _)| check.state() != CheckState::Skipped),
        |check| flag(check.state() == CheckState::Pass),
    );
    page.per_check("kvadm_check_error", "Whether the check cannot be judged (1).", checks(), |check| {
        flag(check.state() == CheckState::Error)
    });
    page.per_check("kvadm_check_skipped", "Whether the check was not tried (1).", checks(), |check| {
        flag(check.state() == CheckState::Skipped)
    });
    page.per_check("kvadm_check_duration_seconds", "Duration of the requests of the check.", checks(), |check| {
        check.took.as_secs_f64()
    });
    for (unit, suffix, noun) in [
        (MeasureUnit::Count, "count", "Number"),
        (MeasureUnit::Seconds, "seconds", "Seconds"),
        (MeasureUnit::Bytes, "bytes", "Bytes"),
        (MeasureUnit::Percent, "ratio", "Share (0 to 1)"),
    ] {
        let measured: Vec<_> = measures(report, &names, unit).collect();
        let value = measured.iter().map(|(labels, measure)| (labels.clone(), base(measure.value, unit)));
        page.metric(&format!("kvadm_check_measure_{suffix}"), &format!("{noun} that the rule compares."), value);
        let limited =
            measured.iter().filter_map(|(labels, measure)| Some((labels.clone(), base(measure.limit?, unit))));
        page.metric(&format!("kvadm_check_limit_{suffix}"), &format!("{noun} that is the limit of the rule."), limited);
    }
    page.whole("kvadm_check_run_duration_seconds", "Duration of the whole run.", Some(report.took.as_secs_f64()));
    let revision = report.revision.map(|revision| revision as f64);
    page.whole("kvadm_check_revision", "Store revision at which the rules about keys were judged.", revision);
    let time = report.time.secs as f64 + f64::from(report.time.nanos / 1_000_000) / 1000.0;
    page.whole("kvadm_check_last_run_timestamp_seconds", "Unix time at which the checks were judged.", Some(time));
    page.out
}

struct MetricsPage {
    out: String,
    /// The escaped name of the check file.
    file: String,
}

impl MetricsPage {
    fn per_check<'a>(
        &mut self,
        name: &str,
        help: &str,
        checks: impl Iterator<Item = (&'a CheckOutcome, &'a String)>,
        value: impl Fn(&CheckOutcome) -> f64,
    ) {
        let samples = checks.map(|(check, label)| (format!("check=\"{}\",", escaped(label)), value(check)));
        self.metric(name, help, samples);
    }

    fn whole(&mut self, name: &str, help: &str, value: Option<f64>) {
        self.metric(name, help, value.map(|value| (String::new(), value)).into_iter());
    }

    /// Writes a metric, unless it has no samples. A sample's labels end with a comma, unless there are none.
    fn metric(&mut self, name: &str, help: &str, samples: impl Iterator<Item = (String, f64)>) {
        let mut samples = samples.peekable();
        if samples.peek().is_none() {
            return;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let _ = writeln!(self.out, "{name}{{{labels}file=\"{}\"}} {}", self.file, number(value));
        }
    }
}

fn measures<'a>(
    report: &'a CheckReport,
    names: &'a [String],
    unit: MeasureUnit,
) -> impl Iterator<Item = (String, &'a Measure)> {
    let mut seen = BTreeSet::new();
    report
        .checks
        .iter()
        .zip(names)
        .flat_map(|(check, name)| check.rules.iter().map(move |rule| (name, rule)))
        .filter_map(move |(name, rule)| {
            let measure = rule.measure.as_ref().filter(|measure| measure.unit == unit)?;
            let labels = format!("check=\"{}\",rule=\"{}\",", escaped(name), escaped(rule.rule));
            seen.insert(labels.clone()).then_some((labels, measure))
        })
}

/// The value in Prometheus' base units.
fn base(value: f64, unit: MeasureUnit) -> f64 {
    if unit == MeasureUnit::Percent { value / 100.0 } else { value }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        value => value.to_string(),
    }
}

/// The names of the checks as labels. Names that differ only in characters that are not printed get their lines, because
/// two equal series make the whole file unreadable.
fn unique_names(report: &CheckReport) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut unique = |check: &CheckOutcome| {
        let name = printable(&check.name);
        let numbered = (1u64..).map(|copy| match copy {
            1 => name.clone(),
            2 => format!("{name} (line {})", check.line),
            _ => format!("{name} (line {}, {copy})", check.line),
        });
        let mut fresh = numbered.filter(|name| seen.insert(name.clone()));
        fresh.next().unwrap_or_default()
    };
    report.checks.iter().map(&mut unique).collect()
}

/// The text without characters that act upon a terminal. Newlines stay: the format has an escape for them.
fn printable(text: &str) -> String {
    text.split('\n').map(|line| sanitize(line.as_bytes(), false)).collect::<Vec<_>>().join("\n")
}

/// The value of a label: `\`, `"` and newlines are escaped.
fn escaped(text: &str) -> String {
    printable(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
