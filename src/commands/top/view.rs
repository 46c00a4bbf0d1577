//! Shows the periods.

use std::time::Duration;

use super::feed::{FeedState, FeedStatus};
use crate::activity::{
    ActivityCounts, ActivityMetric, BranchActivity, CounterName, DistinctEstimate, KeyActivity, PeriodActivity,
    sparkline,
};
use crate::context::Context;
use crate::duration::format_duration;
use crate::error::Failure;
use crate::output::{ActivityPeriod, ActivityRecord, ActivityRow, Screen, bytes};
use crate::time::Time;

/// The rows of a round that does not have to fit a terminal.
const DEFAULT_LIMIT: usize = 20;
/// Lines of a screen besides the rows of both tables: titles, headings, totals, notes.
const OTHER_LINES: usize = 5;

/// A period, ready to be shown again if the terminal changes its size.
pub(super) struct PeriodView {
    time: String,
    took: Duration,
    activity: PeriodActivity,
    pub(super) status: FeedStatus,
}

/// Shows periods.
pub(super) struct Viewer<'a> {
    pub(super) ctx: &'a Context,
    pub(super) prefix: Vec<u8>,
    pub(super) metric: ActivityMetric,
    pub(super) every: Duration,
    pub(super) limit: Option<usize>,
    pub(super) with_keys: bool,
    pub(super) screen: Screen,
}

impl Viewer<'_> {
    /// The view of a period that has just ended.
    pub(super) fn period(&self, (activity, status): (PeriodActivity, FeedStatus), took: Duration) -> PeriodView {
        let now = Time::now();
        // Periods may be shorter than a second.
        let time = format!("{:.3}", Time { nanos: now.nanos - now.nanos % 1_000_000, ..now });
        PeriodView { time, took, activity, status }
    }

    /// Says on a terminal that the first period has begun.
    pub(super) fn waiting(&mut self) -> Result<(), Failure> {
        if self.screen.redraws() {
            let title = format!("{}  counting for {}", self.place(), format_duration(self.every));
            self.screen.round(&title, || Ok::<(), Failure>(()))?;
        }
        Ok(())
    }

    /// Shows a period.
    pub(super) fn show(&mut self, view: &PeriodView) -> Result<(), Failure> {
        let out = &self.ctx.out;
        if out.is_data() {
            return self.record(view);
        }
        if !self.screen.redraws() && out.is_table() {
            out.bytes(format!("{}\n", self.title(view)).as_bytes())?;
        }
        self.redraw(view)
    }

    /// Shows the same period again, on a terminal of another size.
    pub(super) fn redraw(&mut self, view: &PeriodView) -> Result<(), Failure> {
        let (title, rows, keys) = (self.title(view), self.limit(), if self.with_keys { self.limit() } else { 0 });
        let (ctx, metric) = (self.ctx, self.metric);
        let table = ctx.out.is_table();
        let redraws = self.screen.redraws();
        self.screen.round(&title, || draw(ctx, view, metric, Shape { rows, keys, table, redraws }))
    }

    fn place(&self) -> String {
        if self.prefix.is_empty() { "all keys".to_owned() } else { bytes::escape(&self.prefix) }
    }

    fn title(&self, view: &PeriodView) -> String {
        let status = &view.status;
        let time = view.time.get(..19).map_or(view.time.as_str(), |whole| whole);
        // A period that took about as long as it should is told by that.
        let took = if view.took.abs_diff(self.every) < self.every / 10 {
            format_duration(self.every)
        } else {
            format!("{:.1}s", view.took.as_secs_f64())
        };
        format!("{time}Z  {}  {took}  revision {}  {}", self.place(), status.revision, status.state.as_str())
    }

    fn limit(&self) -> usize {
        let wanted = self.limit.unwrap_or(DEFAULT_LIMIT);
        match self.screen.lines() {
            Some(lines) if self.with_keys => (lines.saturating_sub(OTHER_LINES + 2) / 2).clamp(1, wanted),
            Some(lines) => {
                let wanted = self.limit.unwrap_or(usize::MAX);
                lines.saturating_sub(OTHER_LINES).clamp(1, wanted)
            }
            None => wanted,
        }
    }

    fn record(&self, view: &PeriodView) -> Result<(), Failure> {
        let PeriodView { activity, status, .. } = view;
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        let total = activity.total.get(self.metric);
        let branches: Vec<ActivityRecord<'_>> = activity
            .branches
            .iter()
            .take(limit)
            .map(|branch| ActivityRecord {
                key: &branch.name.bytes,
                key_cut: branch.name.is_cut(),
                kind: if branch.is_key { "key" } else { "branch" },
                counts: numbers(&branch.counts),
                distinct: Some(distinct(branch.keys, branch.leases)),
                percent: percent(branch.counts.get(self.metric), total),
                error_bound: branch.error,
            })
            .collect();
        let keys: Vec<ActivityRecord<'_>> = activity
            .hot_keys
            .iter()
            .take(limit)
            .map(|key| ActivityRecord {
                key: &key.name.bytes,
                key_cut: key.name.is_cut(),
                kind: "key",
                counts: numbers(&key.counts),
                distinct: None,
                percent: percent(key.counts.get(self.metric), total),
                error_bound: key.error,
            })
            .collect();
        self.ctx.out.one(&ActivityPeriod {
            time: &view.time,
            took_ms: view.took.as_secs_f64() * 1e3,
            prefix: &self.prefix,
            state: status.state.as_str(),
            reason: status.reason.as_deref(),
            revision: Some(status.revision).filter(|revision| *revision > 0),
            behind: status.behind,
            by: self.metric.as_str(),
            counts: numbers(&activity.total),
            distinct: distinct(activity.keys, activity.leases),
            error_bound: activity.error_bound,
            branches: &branches,
            hot_keys: self.with_keys.then_some(&keys),
        })?;
        Ok(self.ctx.out.flush()?)
    }
}

/// What a round has.
#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    keys: usize,
    table: bool,
    redraws: bool,
}

fn draw(ctx: &Context, view: &PeriodView, metric: ActivityMetric, shape: Shape) -> Result<(), Failure> {
    let activity = &view.activity;
    let rows = Rows { view, metric, table: shape.table };
    let mut sink = if shape.table { ctx.out.stream() } else { ctx.out.lines() };
    let branches = activity.branches.iter();
    // A branch that has just become quiet stays in the table: its row does not jump.
    let idle = activity.idle.iter().filter(|_| shape.table);
    for branch in branches.chain(idle).take(shape.rows) {
        let trend = sparkline(&branch.trend);
        sink.push(&rows.branch(branch, &trend))?;
    }
    let trend = sparkline(&activity.trend);
    sink.push(&rows.total(&trend))?;
    sink.finish()?;
    if shape.keys > 0 {
        if shape.table {
            ctx.out.bytes(b"\n")?;
        }
        let mut sink = if shape.table { ctx.out.stream() } else { ctx.out.lines() };
        for key in activity.hot_keys.iter().take(shape.keys) {
            sink.push(&rows.key(key))?;
        }
        sink.finish()?;
    }
    report(ctx, view, metric, shape);
    Ok(())
}

/// Says what keeps the figures from being complete.
fn report(ctx: &Context, view: &PeriodView, metric: ActivityMetric, shape: Shape) {
    let PeriodView { activity, status, .. } = view;
    if let Some(reason) = &status.reason {
        match status.state {
            FeedState::Resumed => ctx.out.note(reason),
            _ => ctx.out.warn(reason),
        }
    }
    if activity.error_bound > 0 && shape.table {
        ctx.out.note(&format!(
            "more branches changed than kvadm counts at once: each count of {} may be too low by up to {}",
            metric.as_str(),
            activity.error_bound
        ));
    }
    if shape.redraws && activity.branches.iter().take(shape.rows).any(|branch| branch.keys.error > 0) {
        ctx.out.note("KEYS and LEASES above 64 are estimates");
    }
}

struct Rows<'a> {
    view: &'a PeriodView,
    metric: ActivityMetric,
    table: bool,
}

impl<'a> Rows<'a> {
    fn row(&self, kind: &'static str, key: &'a [u8], counts: &ActivityCounts) -> ActivityRow<'a> {
        let seconds = self.view.took.as_secs_f64().max(1e-3);
        ActivityRow {
            time: (!self.table).then_some(self.view.time.as_str()),
            kind: (!self.table).then_some(kind),
            key,
            rates: numbers(counts).map(|count| count as f64 / seconds),
            detailed: true,
            distinct: None,
            percent: percent(counts.get(self.metric), self.view.activity.total.get(self.metric)),
            error_bound: None,
            state: None,
            trend: None,
        }
    }

    /// A table has no column of errors unless there are some.
    fn error(&self, error: u64) -> Option<u64> {
        Some(error).filter(|error| *error > 0 || !self.table)
    }

    fn branch(&self, branch: &'a BranchActivity, trend: &'a str) -> ActivityRow<'a> {
        let kind = if branch.is_key { "key" } else { "branch" };
        ActivityRow {
            distinct: Some([branch.keys.count, branch.leases.count]),
            error_bound: self.error(branch.error),
            trend: Some(trend),
            ..self.row(kind, shown(&branch.name), &branch.counts)
        }
    }

    fn total(&self, trend: &'a str) -> ActivityRow<'a> {
        let activity = &self.view.activity;
        let key: &[u8] = if self.table { b"total" } else { b"" };
        ActivityRow {
            distinct: Some([activity.keys.count, activity.leases.count]),
            error_bound: self.error(activity.error_bound),
            state: Some(self.view.status.state.as_str()),
            trend: Some(trend),
            ..self.row("total", key, &activity.total)
        }
    }

    fn key(&self, key: &'a KeyActivity) -> ActivityRow<'a> {
        let detailed = !self.table;
        ActivityRow {
            detailed,
            error_bound: self.error(key.error),
            ..self.row("hot-key", shown(&key.name), &key.counts)
        }
    }
}

fn shown(name: &CounterName) -> &[u8] {
    &name.bytes
}

fn numbers(counts: &ActivityCounts) -> [u64; 4] {
    [counts.events, counts.writes, counts.deletes, counts.bytes]
}

fn distinct(keys: DistinctEstimate, leases: DistinctEstimate) -> [u64; 4] {
    [keys.count, keys.error, leases.count, leases.error]
}

/// A share in percent; `None` of nothing.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}
