//! The reports of checks in the formats of other programs: JUnit, TAP, Nagios and Prometheus. Pure functions over the outcomes.
//!
//! Names of checks, expected and found values come from files and servers: each format escapes them by its own rules, and
//! characters that a terminal would act upon never reach the output unescaped.

mod junit;
mod nagios;
mod prometheus;
mod summary;
mod tap;

pub use summary::nagios_exit_code;

use crate::check::outcome::CheckReport;

/// A format of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// JUnit XML, as Jenkins and GitLab read it.
    Junit,
    /// TAP, version 14.
    Tap,
    /// The output of a Nagios plugin.
    Nagios,
    /// The Prometheus text format, for node_exporter's textfile collector.
    Prometheus,
}

/// How many checks passed, failed, and could not be judged, in one sentence.
pub fn summary_text(report: &CheckReport) -> String {
    summary::StateCounts::of(report).summary()
}

/// Writes the report in this format. The result is UTF-8 and ends with a newline.
pub fn render(report: &CheckReport, format: ReportFormat) -> Vec<u8> {
    let text = match format {
        ReportFormat::Junit => junit::render(report),
        ReportFormat::Tap => tap::render(report),
        ReportFormat::Nagios => nagios::render(report),
        ReportFormat::Prometheus => prometheus::render(report),
    };
    text.into_bytes()
}
