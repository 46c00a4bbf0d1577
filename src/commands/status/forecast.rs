//! `kvadm status --forecast`: when the store fills, from two samples.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::duration::format_duration;
use crate::error::{Exit, Failure};
use crate::health::forecast::{
    Forecast, MemberForecast, MemberSpace, Outlook, PeriodAdvice, SpaceSample, SpaceTarget, forecast,
};
use crate::health::{ClusterHealth, QuorumEvidence, scan_cluster};
use crate::kvstore::{Error, Refusal, Revision, Store};
use crate::output::{ForecastAnswer, ForecastRow};

/// The time between the samples, if nothing else is asked for.
pub const DEFAULT_WINDOW: Duration = Duration::from_secs(10);
/// etcd updates the figures with each commit, at most 100 ms apart.
const SHORT_WINDOW: Duration = Duration::from_secs(60);
/// The interval between redraws of the progress bar.
const TICK: Duration = Duration::from_millis(100);

pub async fn run(ctx: &Context, window: Duration, target: SpaceTarget) -> Result<Exit, Failure> {
    let store = ctx.store();
    let (first, started, _) = sample(store).await?;
    let oldest = oldest_revision(store, first.revision).await?;
    let first = SpaceSample { oldest, ..first };
    wait(ctx, window).await?;
    let (last, ended, silent) = sample(store).await?;
    // A revision that can be read cannot be the oldest any more only after a compaction.
    let oldest = match oldest {
        Some(oldest) => match is_compacted_past(store, oldest).await? {
            Some(false) => Some(oldest),
            Some(true) => oldest_revision(store, last.revision).await?,
            None => None,
        },
        None => None,
    };
    let last = SpaceSample { oldest, ..last };
    let found = forecast(&first, &last, ended.duration_since(started), target);
    // A member that has answered only the second time has no growth yet.
    let started_late = last.members.iter().filter(|member| found.members.iter().all(|one| one.now.id != member.id));
    let silent: Vec<SilentMember> = silent
        .into_iter()
        .chain(started_late.map(|member| SilentMember {
            endpoint: member.endpoint.clone(),
            why: "the member did not answer at the first sample".to_owned(),
        }))
        .collect();
    show(ctx, &found, &silent)?;
    if silent.is_empty() {
        return Ok(Exit::Done);
    }
    // The samples are read from each member alone: only now does it matter whether there is a quorum.
    let scan = scan_cluster(store, QuorumEvidence::Reads).await?;
    Ok(if scan.verdict() == ClusterHealth::NoQuorum { Exit::Unreachable } else { Exit::Partial })
}

/// A member without a forecast.
struct SilentMember {
    endpoint: String,
    why: String,
}

/// Asks all members for their space, and returns the time of the answers and the members that did not answer.
async fn sample(store: &Store) -> Result<(SpaceSample, Instant, Vec<SilentMember>), Failure> {
    let scan = scan_cluster(store, QuorumEvidence::None).await?;
    store.uninterrupted("status")?;
    let mut members: Vec<MemberSpace> = Vec::new();
    for member in &scan.members {
        let Ok(status) = &member.status else { continue };
        if members.iter().any(|other| other.id == status.id) {
            continue;
        }
        members.push(MemberSpace {
            id: status.id,
            endpoint: member.endpoint.clone(),
            db_size: status.db_size,
            in_use: status.db_in_use,
            quota: status.quota,
        });
    }
    let names: Vec<&str> =
        scan.members.iter().filter(|member| member.status.is_ok()).map(|member| member.name.as_str()).collect();
    let mut silent = Vec::new();
    for member in &scan.members {
        if let Err(why) = &member.status
            && (member.name.is_empty() || !names.contains(&member.name.as_str()))
        {
            silent.push(SilentMember { endpoint: member.endpoint.clone(), why: why.clone() });
        }
    }
    Ok((SpaceSample { revision: scan.revision().unwrap_or(0), oldest: None, members }, Instant::now(), silent))
}

/// Whether the store is compacted at a later revision than `oldest`, so that `oldest` cannot be read any more. `None` if the user
/// may not read.
async fn is_compacted_past(store: &Store, oldest: Revision) -> Result<Option<bool>, Failure> {
    match store.is_compacted(oldest.saturating_add(1)).await {
        Ok(compacted) => Ok(Some(compacted)),
        Err(error @ (Error::Interrupted { .. } | Error::Deadline { .. })) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// The oldest revision that can be read, found by bisection: about 20 small reads. `None` if the user may not read.
async fn oldest_revision(store: &Store, latest: Revision) -> Result<Option<Revision>, Failure> {
    let (mut oldest, mut readable) = (1, latest.max(1));
    while oldest < readable {
        let middle = oldest + (readable - oldest) / 2;
        match store.is_compacted(middle + 1).await {
            Ok(true) => oldest = middle + 1,
            Ok(false) => readable = middle,
            Err(error @ (Error::Interrupted { .. } | Error::Deadline { .. })) => return Err(error.into()),
            Err(error) if error.is_refusal(Refusal::FutureRevision) => readable = middle,
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(oldest))
}

/// Waits for the second sample; Ctrl-C ends at once.
async fn wait(ctx: &Context, window: Duration) -> Result<(), Failure> {
    ctx.out.note(&format!("taking the second sample in {}", format_duration(window)));
    let progress = ctx.out.progress("sampling", None);
    let end = Instant::now() + window;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        progress.tick();
        ctx.sleep(left.min(TICK)).await?;
    }
    progress.finish();
    Ok(())
}

fn show(ctx: &Context, found: &Forecast, silent: &[SilentMember]) -> Result<(), Failure> {
    let texts: Vec<(String, String)> = found.members.iter().map(|member| (quota_in(member), period(member))).collect();
    let known = found.members.iter().zip(&texts).map(|(member, texts)| row(member, texts));
    let rows: Vec<ForecastRow<'_>> = known.chain(silent.iter().map(silent_row)).collect();
    let mut remarks = remarks(found);
    if found.members.iter().any(|member| member.quota_reached == Outlook::Now) {
        let reclaim = ctx.command_line(&["compact"]).words(["--reclaim"]);
        remarks.push(format!("the quota is reached: '{reclaim}' compacts, defragments and clears the alarm"));
    }
    ctx.out.report(&ForecastAnswer {
        window_ms: found.window.as_secs_f64() * 1e3,
        revision: found.revision,
        revisions_per_second: found.revisions_per_second,
        history: found.history,
        compacted_meanwhile: found.was_compacted,
        members: &rows,
        remarks: &remarks,
    })?;
    for remark in &remarks {
        ctx.out.note(remark);
    }
    for member in silent {
        ctx.out.warn(&format!("no forecast for {}: {}", member.endpoint, member.why));
    }
    Ok(())
}

fn row<'a>(member: &'a MemberForecast, (quota_in, compact_every): &'a (String, String)) -> ForecastRow<'a> {
    let (state, quota_seconds) = match member.quota_reached {
        Outlook::After(time) => ("growing", Some(time.as_secs())),
        Outlook::Now => ("reached", Some(0)),
        Outlook::Never => ("not-growing", None),
        Outlook::Unknown => ("unknown", None),
    };
    let compact_every_seconds = match member.period {
        PeriodAdvice::Every(period) => Some(period.as_secs()),
        _ => None,
    };
    ForecastRow {
        endpoint: &member.now.endpoint,
        id: Some(member.now.id),
        db_size: Some(member.now.db_size),
        db_size_per_second: Some(rounded(member.size_growth)),
        in_use: Some(member.now.in_use),
        in_use_per_second: Some(rounded(member.in_use_growth)),
        quota: member.quota,
        quota_in,
        quota_seconds,
        state,
        keep_below: member.target,
        compact_every,
        compact_every_seconds,
        error: None,
    }
}

fn silent_row(member: &SilentMember) -> ForecastRow<'_> {
    ForecastRow {
        endpoint: &member.endpoint,
        id: None,
        db_size: None,
        db_size_per_second: None,
        in_use: None,
        in_use_per_second: None,
        quota: None,
        quota_in: "unreachable",
        quota_seconds: None,
        state: "unreachable",
        keep_below: None,
        compact_every: "unknown",
        compact_every_seconds: None,
        error: Some(&member.why),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn rounded(number: f64) -> i64 {
    number.round() as i64
}

fn quota_in(member: &MemberForecast) -> String {
    match member.quota_reached {
        Outlook::After(time) => roughly(time),
        Outlook::Now => "reached".to_owned(),
        Outlook::Never => "not growing".to_owned(),
        Outlook::Unknown => "unknown".to_owned(),
    }
}

fn period(member: &MemberForecast) -> String {
    match member.period {
        PeriodAdvice::Every(period) => roughly(period),
        PeriodAdvice::Any => "any".to_owned(),
        PeriodAdvice::TooFull => "too full".to_owned(),
        PeriodAdvice::Unknown => "unknown".to_owned(),
    }
}

/// A time with its two largest units, as precise as a forecast is.
fn roughly(time: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let seconds = time.as_secs();
    let mut left = seconds;
    let mut parts = Vec::new();
    for (length, unit) in UNITS {
        let count = left / length;
        left %= length;
        if count > 0 || !parts.is_empty() {
            parts.push(format!("{count}{unit}"));
        }
    }
    let parts: Vec<String> = parts.into_iter().take(2).filter(|part| !part.starts_with('0') || seconds == 0).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join("") }
}

/// How certain the figures are.
fn remarks(found: &Forecast) -> Vec<String> {
    let window = format_duration(Duration::from_millis(u64::try_from(found.window.as_millis()).unwrap_or(u64::MAX)));
    let mut remarks = vec![format!("{:.1} revisions/s, from {window}", found.revisions_per_second)];
    if found.window < SHORT_WINDOW {
        remarks.push("a short sample: 'kvadm status --forecast 10m' is more certain".to_owned());
    }
    if found.was_compacted == Some(true) {
        remarks.push("the store was compacted between the samples: it grows faster than shown".to_owned());
    }
    if found.was_compacted.is_none() {
        remarks.push(
            "unknown whether the store was compacted between the samples, and how much history it has".to_owned(),
        );
    }
    if found.members.iter().any(|member| member.quota.is_none()) {
        remarks.push("a member does not tell its quota (etcd tells it since 3.6): add --quota SIZE".to_owned());
    }
    if found.members.iter().any(|member| member.period == PeriodAdvice::TooFull) {
        remarks.push(
            "too full: what a compaction cannot remove is about the size to keep below; delete keys, or raise the size"
                .to_owned(),
        );
    }
    if found.members.iter().any(|member| matches!(member.period, PeriodAdvice::Every(_))) {
        remarks.push(
            "the compaction period takes the growth for changes of existing keys; it does not help against new keys"
                .to_owned(),
        );
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        let shown = |seconds| roughly(Duration::from_secs(seconds));
        assert_eq!([shown(0), shown(59), shown(60), shown(3_661)], ["0s", "59s", "1m", "1h1m"]);
        assert_eq!([shown(86_400), shown(90_000), shown(86_460)], ["1d", "1d1h", "1d"]);
    }
}
