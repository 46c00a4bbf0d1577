//! `--wait`: evaluates the checks again until all pass, or the time is over.

use std::time::Duration;

use tokio::time::Instant;

use super::files::FileSources;
use crate::check::{CheckFile, CheckOutcome, CheckReport, CheckState, Evaluation, RuleState};
use crate::context::Context;
use crate::error::{Exit, Failure};

/// The shortest pause between two evaluations.
const MIN_PAUSE: Duration = Duration::from_millis(250);
/// Less time than this is not enough for another evaluation.
const MIN_ROUND: Duration = Duration::from_millis(20);
/// After this time, --wait says which checks still fail, and an evaluation what it is doing.
const REPORT_AFTER: Duration = Duration::from_secs(2);
/// An evaluation whose time is over may take this long to remove its probe key.
const CLEANUP: Duration = Duration::from_secs(4);

/// The results, and the signal after which they are not those of a whole run.
pub struct EndedRounds {
    /// The results of the last evaluation.
    pub report: CheckReport,
    /// Why the command ends although it was to go on.
    pub interrupted: Option<Failure>,
}

/// Evaluates once, or until all checks pass.
///
/// # Errors
/// Unusable TLS files, or a signal during the first evaluation.
pub async fn evaluate(
    ctx: &Context,
    evaluation: &Evaluation<'_, FileSources<'_>>,
    file: &CheckFile,
    wait: Option<Duration>,
) -> Result<EndedRounds, Failure> {
    let Some(wait) = wait else {
        let report = evaluate_once(ctx, evaluation, file, None, true).await?;
        return Ok(EndedRounds { report, interrupted: None });
    };
    let started = Instant::now();
    // Far in the future if it is later than the clock can tell.
    let far = || started + Duration::from_secs(86_400 * 365);
    let wait_end = started.checked_add(wait).unwrap_or_else(far);
    let end = ctx.deadline().map_or(wait_end, |deadline| deadline.min(wait_end));
    let mut reported: Vec<String> = Vec::new();
    let progress = ctx.out.progress("waiting for all checks to pass", None);
    let mut earlier: Option<CheckReport> = None;
    let ended = loop {
        let begun = Instant::now();
        // The first evaluation is completed, because there is no other result.
        let limit = earlier.is_some().then_some(end);
        let round = tokio::select! {
            biased;
            round = evaluate_once(ctx, evaluation, file, limit, false) => Some(round),
            () = tokio::time::sleep_until(end + CLEANUP), if limit.is_some() => None,
        };
        let report = match (round, earlier.take()) {
            (Some(Ok(report)), Some(earlier)) if Instant::now() >= end => completed(report, &earlier),
            (Some(Ok(report)), _) => report,
            (Some(Err(failure)), Some(earlier)) if failure.exit == Exit::Interrupted => {
                break EndedRounds { report: earlier, interrupted: Some(failure) };
            }
            (None, Some(earlier)) => break EndedRounds { report: earlier, interrupted: None },
            (Some(Err(failure)), _) => return Err(failure),
            (None, None) => continue,
        };
        let not_passing = not_passing(&report);
        let left = end.saturating_duration_since(Instant::now());
        if not_passing.is_empty() || left < MIN_ROUND {
            break EndedRounds { report, interrupted: None };
        }
        progress.tick();
        if started.elapsed() >= REPORT_AFTER && reported != not_passing {
            let names: Vec<String> = not_passing.iter().map(|name| format!("'{name}'")).collect();
            ctx.out.note(&format!("waiting: {} not passing yet: {}", names.len(), names.join(", ")));
            reported = not_passing;
        }
        // A large store is not read without a pause, but at the end there is time for one more evaluation.
        let pause = begun.elapsed().max(MIN_PAUSE).min(left / 2);
        match ctx.sleep(pause).await {
            Ok(()) => earlier = Some(report),
            Err(failure) if failure.exit == Exit::Interrupted => {
                break EndedRounds { report, interrupted: Some(failure) };
            }
            // The deadline.
            Err(_) => break EndedRounds { report, interrupted: None },
        }
    };
    progress.finish();
    Ok(ended)
}

/// The names of the checks that fail or cannot be judged.
fn not_passing(report: &CheckReport) -> Vec<String> {
    let bad = |check: &&CheckOutcome| matches!(check.state(), CheckState::Fail | CheckState::Error);
    report.checks.iter().filter(bad).map(|check| check.name.clone()).collect()
}

/// The results of an evaluation whose time was over: rules that it could not judge keep the earlier verdict.
fn completed(report: CheckReport, earlier: &CheckReport) -> CheckReport {
    let mut completed = report;
    for (check, before) in completed.checks.iter_mut().zip(&earlier.checks) {
        for (rule, before) in check.rules.iter_mut().zip(&before.rules) {
            if matches!(rule.state, RuleState::Error { .. }) {
                rule.clone_from(before);
            }
        }
    }
    completed.revision = completed.revision.or(earlier.revision);
    completed.cluster = completed.cluster.or(earlier.cluster);
    completed
}

/// Evaluates once. If that takes long, it says what it does, unless --wait says more.
async fn evaluate_once(
    ctx: &Context,
    evaluation: &Evaluation<'_, FileSources<'_>>,
    file: &CheckFile,
    limit: Option<Instant>,
    reports: bool,
) -> Result<CheckReport, Failure> {
    let running = evaluation.run(file, limit);
    tokio::pin!(running);
    tokio::select! {
        biased;
        report = &mut running => return Ok(report?),
        () = tokio::time::sleep(REPORT_AFTER), if reports => {}
    }
    if let Some(stage) = evaluation.stage.text() {
        ctx.out.note(&format!("still {stage}"));
    }
    Ok(running.await?)
}
