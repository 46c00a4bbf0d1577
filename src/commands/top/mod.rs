//! `kvadm top`: what changes in the store, and how much.

mod feed;
mod view;

use std::ffi::OsString;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::activity::{ActivityMetric, ActivityMonitor, BranchLevels};
use crate::args::{KeyText, parse_duration};
use crate::commands::select::prefix_range;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, Refusal};
use crate::signal::Resizes;

use feed::Feed;
use view::{PeriodView, Viewer};

/// The shortest period: the revision of the store is read once in each.
const MIN_PERIOD: Duration = Duration::from_millis(100);

/// Show which parts of the store change, and how fast
///
/// One watch counts every change below PREFIX. Each period prints the rates per
/// branch, the most active branch first, and the total. On a terminal the table is
/// redrawn in place until Ctrl-C. -o json prints one object per period.
///
/// KEYS and LEASES are distinct keys and leases. They are exact up to 64; larger
/// numbers are estimates, which differ by more than 7% (total: 2%; leases of a
/// branch: 13%) in 1 of 20 cases.
///
/// Into a pipe, each line has these columns, separated by tabs: time, kind (branch,
/// key, total, hot-key), key, changes/s, bytes/s, keys, leases, writes/s, deletes/s,
/// percent, error bound, and in the line of the total the state (live, behind,
/// resumed, gap, unconfirmed, interrupted).
///
/// Memory does not grow with the number of keys. If more than 2048 branches change
/// in a period, a count may be too low by up to ERROR BOUND.
///
/// Exit codes:
///   0  --count was reached
///   3  --count was reached, and etcd has not answered since the beginning
///   4  etcd refuses the watch, or the endpoints serve another store
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm top
  kvadm top /registry/ --by bytes --keys
  kvadm top /app/ --depth 2 --every 10s --count 6 -o json"
)]
pub struct Args {
    /// Count only keys that begin with this [default: all keys]
    #[arg(value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// Append a missing / to PREFIX: /a becomes /a/ and does not match /ab
    #[arg(long)]
    dir: bool,
    #[command(flatten)]
    text: KeyText,
    /// Number of levels of a branch [default: 1 with PREFIX, otherwise 2]
    ///
    /// A key with fewer levels is a row of its own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    depth: Option<u64>,
    /// Path separator, one byte
    #[arg(long, value_name = "C", default_value = "/", value_parser = parse_separator)]
    separator: u8,
    /// Length of a period, at least 100ms
    #[arg(long, value_name = "D", default_value = "2s", value_parser = parse_period)]
    every: Duration,
    /// Order of the branches, and what PERCENT and TREND show
    #[arg(long, value_name = "WHAT", default_value = "events")]
    by: Order,
    /// Maximum number of branches [default: 20, or what fits the terminal]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Also show the most active single keys
    #[arg(long)]
    keys: bool,
    /// Exit after N periods
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// The order of the branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// Changes
    Events,
    /// Bytes of keys and values
    Bytes,
    /// Written keys
    Writes,
    /// Deleted keys
    Deletes,
}

impl Order {
    fn metric(self) -> ActivityMetric {
        match self {
            Self::Events => ActivityMetric::Events,
            Self::Bytes => ActivityMetric::Bytes,
            Self::Writes => ActivityMetric::Writes,
            Self::Deletes => ActivityMetric::Deletes,
        }
    }
}

fn parse_separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err("the separator must be one byte, such as /".to_owned()),
    }
}

fn parse_period(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(period) if period >= MIN_PERIOD => Ok(period),
        Ok(_) => Err("the shortest period is 100ms".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs the verb.
///
/// # Errors
/// A refusal of etcd, another store, or the deadline.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let range = prefix_range(args.text, args.prefix.as_deref().unwrap_or_default(), args.dir)?;
    let default_depth = if range.start.is_empty() { 2 } else { 1 };
    let levels = BranchLevels {
        base: range.start.len(),
        separator: args.separator,
        depth: args.depth.map_or(default_depth, |depth| usize::try_from(depth).unwrap_or(usize::MAX)),
    };
    let metric = args.by.metric();
    let monitor = ActivityMonitor::new(levels, metric, args.keys);
    let mut viewer = Viewer {
        ctx,
        prefix: range.start.clone(),
        metric,
        every: args.every,
        limit: args.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        with_keys: args.keys,
        screen: ctx.out.screen(),
    };
    let ended = watch(ctx, args, range, monitor, &mut viewer).await;
    match ended {
        Err(failure) if failure.is_end_by_signal() => Ok(Exit::Interrupted),
        ended => ended,
    }
}

async fn watch(
    ctx: &Context,
    args: &Args,
    range: crate::kvstore::KeyRange,
    monitor: ActivityMonitor,
    viewer: &mut Viewer<'_>,
) -> Result<Exit, Failure> {
    let is_limited = !range.start.is_empty();
    let mut feed = Feed::begin(ctx.store(), range, monitor).await.map_err(|error| explain(error, is_limited))?;
    let mut resizes = Resizes::listen();
    let mut started = Instant::now();
    let mut due = started + args.every;
    let mut shown: Option<PeriodView> = None;
    viewer.waiting()?;
    let mut rounds = 0;
    loop {
        tokio::select! {
            biased;
            error = feed.ended() => return Err(explain(error, is_limited)),
            () = sleep_until(due) => {}
            () = resizes.next() => {
                match &shown {
                    Some(view) => viewer.redraw(view)?,
                    None => viewer.waiting()?,
                }
                continue;
            }
        }
        let now = Instant::now();
        let took = now - started;
        started = now;
        let view = viewer.period(feed.end_period(took), took);
        viewer.show(&view)?;
        shown = Some(view);
        rounds += 1;
        if args.count.is_some_and(|count| rounds >= count) {
            return match shown {
                Some(view) if view.status.knows_nothing() => Err(no_answer(&view)),
                _ => Ok(Exit::Done),
            };
        }
        // A terminal that was stopped for longer than a period gets one round, not one for each.
        due = if due + args.every > now { due + args.every } else { now + args.every };
    }
}

/// The failure of a run in which etcd has not answered at all.
fn no_answer(view: &PeriodView) -> Failure {
    let why = view.status.reason.clone().unwrap_or_default();
    Failure::new(Exit::Unreachable, why)
        .context("nothing is known of the changes")
        .hint("run 'kvadm status' to see which members are up")
}

/// A user who may not read all keys may be able to read a part of them.
fn explain(error: Error, is_limited: bool) -> Failure {
    let is_denied = error.is_refusal(Refusal::Permission);
    let failure = Failure::from(error);
    match (is_denied, is_limited) {
        (true, true) => failure.hint("name a PREFIX below this one, all of which the user may read"),
        (true, false) => failure.hint("name a PREFIX that the user may read: kvadm top PREFIX"),
        (false, _) => failure,
    }
}
