//! `kvadm status --latency`: how fast each member answers.

use std::time::Duration;

use crate::activity::sparkline;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{
    LatencyPlan, LatencyReport, ProbeKind, ProbeSeries, QuorumEvidence, measure_latency, scan_cluster,
};
use crate::kvstore::Error;
use crate::output::{LatencyAnswer, LatencyRow};

/// How long the probes are repeated unless the command line says so.
pub const DEFAULT_DURATION: Duration = Duration::from_secs(5);
/// The scale of the column SPREAD: from 100 µs to 10 s, two characters for each factor of ten.
const SPREAD: (Duration, Duration, usize) = (Duration::from_micros(100), Duration::from_secs(10), 10);

/// Measures, and prints what was measured until the end or a signal.
///
/// # Errors
/// No member responds, the login is refused, or the deadline.
pub async fn run(ctx: &Context, serializable: bool, duration: Duration) -> Result<Exit, Failure> {
    let store = ctx.store();
    let scan = scan_cluster(store, QuorumEvidence::None).await?;
    let plan = LatencyPlan { duration, linearizable: !serializable, writes: !serializable && !ctx.safety.dry_run };
    // The first signal ends the measurement; the key is deleted and the result is printed after it.
    ctx.signals.hold();
    let progress = ctx.out.progress("measuring latencies", None);
    let report = measure_latency(store, &scan, plan, || progress.tick()).await;
    progress.finish();
    show(ctx, &report)?;
    if let Some(left_behind) = &report.left_behind {
        ctx.out.warn(left_behind);
    }
    if let Some(denied) = &report.writes_denied {
        ctx.out.note(&format!("writes were not measured: {denied}"));
    }
    match report.ended {
        Some(Error::Interrupted { .. }) => Ok(Exit::Interrupted),
        Some(error) => Err(error.into()),
        None if has_no_quorum(&report) => Err(super::report::no_quorum()),
        None if report.series.iter().any(|series| series.failures > 0) => Ok(Exit::Partial),
        None => Ok(Exit::Done),
    }
}

/// Whether requests that need a quorum were sent, and none of them was answered.
fn has_no_quorum(report: &LatencyReport) -> bool {
    let mut need_quorum =
        report.series.iter().filter(|series| series.kind != ProbeKind::SerializableRead && !series.denied).peekable();
    need_quorum.peek().is_some() && need_quorum.all(|series| series.latencies.count() == 0)
}

fn show(ctx: &Context, report: &LatencyReport) -> Result<(), Failure> {
    let drawn = ctx.out.is_terminal() && ctx.out.is_table();
    let spread = |series: &ProbeSeries| {
        let (from, to, columns) = SPREAD;
        drawn.then(|| sparkline(&series.latencies.columns(from, to, columns)))
    };
    let spreads: Vec<Option<String>> = report.series.iter().map(spread).collect();
    let row = |(series, spread)| row(series, spread);
    let rows: Vec<LatencyRow<'_>> = report.series.iter().zip(&spreads).map(row).collect();
    let complaints: Vec<String> = report.series.iter().filter_map(complaint).collect();
    ctx.out.report(&LatencyAnswer {
        took_ms: report.took.as_secs_f64() * 1e3,
        interrupted: report.ended.is_some(),
        probes: &rows,
        complaints: &complaints,
    })?;
    Ok(())
}

fn row<'a>(series: &'a ProbeSeries, spread: &'a Option<String>) -> LatencyRow<'a> {
    let latencies = &series.latencies;
    let millis = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1e3;
    let times = || {
        let percentile = |percent| millis(latencies.percentile(percent));
        [percentile(50.0), percentile(90.0), percentile(99.0), millis(latencies.max())]
    };
    LatencyRow {
        endpoint: &series.endpoint,
        name: &series.name,
        probe: series.kind.as_str(),
        count: latencies.count(),
        failures: series.failures,
        times_ms: (latencies.count() > 0).then(times),
        spread: spread.as_deref().filter(|_| latencies.count() > 0),
        denied: series.denied,
        error: series.error.as_deref(),
    }
}

/// Why probes failed, once for each member and kind.
fn complaint(series: &ProbeSeries) -> Option<String> {
    let error = series.error.as_ref().filter(|_| !series.denied)?;
    Some(format!("{}: {} failed: {error}", series.endpoint, series.kind.as_str().replace('-', " ")))
}
