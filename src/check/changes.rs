//! Waits for a change of a key or a prefix.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::judgement::{RuleFault, RuleJudgement, shown, shown_time};
use crate::kvstore::{Error, KeyRange, Revision, Store, WatchOptions, WatchUpdate};

/// Tells the user what is waited for.
pub type Notify = Arc<dyn Fn(&str) + Send + Sync>;

/// After this time, the user is told what is waited for.
const REPORT_AFTER: Duration = Duration::from_secs(2);

/// Waits until something in the range changes after `revision`, for at most `within`.
///
/// # Errors
/// An error that ends the command.
pub async fn judge_changes(
    store: &Store,
    range: KeyRange,
    revision: Revision,
    within: Duration,
    notify: Notify,
) -> Result<RuleJudgement, Error> {
    let (name, begun) = (shown(&range.start), Instant::now());
    let options = WatchOptions { ranges: vec![range], start: revision.saturating_add(1), known: revision, prev: false };
    let mut watcher = store.watch(options);
    let (end, mut report) = (begun + within, Some(begun + REPORT_AFTER));
    // The reason for which the stream is interrupted: changes may be missed meanwhile.
    let mut lost: Option<String> = None;
    loop {
        let update = tokio::select! {
            biased;
            update = timeout_at(end, watcher.next()) => update,
            () = sleep_until(report.unwrap_or(end)), if report.is_some_and(|at| at < end) => {
                report = None;
                notify(&format!("waiting up to {} for a change of {name}", shown_time(within)));
                continue;
            }
        };
        match update {
            Ok(Ok(WatchUpdate::Events(events))) if !events.is_empty() => {
                return Ok(RuleJudgement::pass().measure_time(begun.elapsed(), within));
            }
            Ok(Ok(WatchUpdate::Disconnected(error))) => lost = Some(error.one_line()),
            Ok(Ok(WatchUpdate::Compacted(to))) => {
                let why = format!("the store was compacted at revision {to} before the changes could be read");
                return Ok(RuleJudgement::error(RuleFault::refused(why)));
            }
            Ok(Ok(_)) => lost = None,
            Ok(Err(error)) => return RuleFault::of(error).map(RuleJudgement::error),
            Err(_) => break,
        }
    }
    Ok(match lost {
        Some(why) => RuleJudgement::error(RuleFault::unreachable(why)),
        None => RuleJudgement::fail(format!("a change within {}", shown_time(within)), "no change")
            .measure_time(within, within),
    })
}
