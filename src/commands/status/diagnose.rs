//! `kvadm status --diagnose`: every step to every endpoint, and the remedy where one fails.

use tokio::task::JoinSet;

use super::scan::said;
use crate::context::Context;
use crate::diagnose::{self, Probe, ProbeStep, StepFailure, StepOutcome};
use crate::error::{Exit, Failure, class};
use crate::kvstore::{Alarm, Error, Store};
use crate::output::{Diagnosis, StepRow, StepState};
use crate::transport::Scheme;

/// What is wrong in a step, in words, and what to do.
struct StepFinding {
    error: String,
    remedy: Option<String>,
    /// What the command ends with where nothing else is wrong anywhere.
    exit: Exit,
}

/// Runs the verb.
///
/// # Errors
/// No endpoint serves.
pub async fn run(ctx: &Context) -> Result<Exit, Failure> {
    let store = ctx.store();
    let endpoints = &store.options().endpoints;
    let mut asked = JoinSet::new();
    for (index, endpoint) in endpoints.iter().cloned().enumerate() {
        let store: Store = store.clone();
        asked.spawn(async move { (index, diagnose::probe(&store, &endpoint).await) });
    }
    let mut probes: Vec<(usize, Probe)> = asked.join_all().await;
    if ctx.signals.cancel().is_cancelled() {
        return Err(Failure::new(Exit::Interrupted, "interrupted while the endpoints were looked at"));
    }
    probes.sort_by_key(|(index, _)| *index);
    let (mut wrong, mut serving) = (0, 0);
    let mut ends: Vec<Exit> = Vec::new();
    for (index, probe) in &probes {
        let tls = endpoints.get(*index).is_some_and(|endpoint| endpoint.scheme == Scheme::Tls);
        let findings: Vec<Option<StepFinding>> = probe.steps.iter().map(|step| finding(step, tls)).collect();
        ends.extend(findings.iter().flatten().map(|finding| finding.exit).next());
        wrong += usize::from(probe.failure().is_some());
        serving += usize::from(probe.serves());
        show(ctx, probe, &findings)?;
    }
    match (wrong, serving) {
        (0, _) => Ok(Exit::Done),
        (_, 0) => {
            let alike = ends.first().copied().filter(|first| ends.iter().all(|exit| exit == first));
            let words = if probes.len() == 1 { "the endpoint does not serve" } else { "none of the endpoints serves" };
            let failure = Failure::new(alike.unwrap_or(Exit::Unreachable), words);
            Err(failure.hint("the report says what is wrong at each step, and what to try"))
        }
        _ => {
            let count = probes.len();
            ctx.out.warn(&format!("something is wrong at {wrong} of {count} endpoints; the report says what"));
            Ok(Exit::Partial)
        }
    }
}

fn show(ctx: &Context, probe: &Probe, findings: &[Option<StepFinding>]) -> Result<(), Failure> {
    let steps: Vec<StepRow<'_>> = probe.steps.iter().zip(findings).map(|(step, finding)| row(step, finding)).collect();
    let ok = probe.failure().is_none();
    ctx.out.diagnosis(&Diagnosis { endpoint: &probe.endpoint, ok, serves: probe.serves(), steps: &steps })?;
    Ok(())
}

fn row<'a>(step: &'a ProbeStep, finding: &Option<StepFinding>) -> StepRow<'a> {
    let state = match step.outcome {
        StepOutcome::Done => StepState::Done,
        StepOutcome::Failed(_) => StepState::Failed,
        StepOutcome::Skipped => StepState::Skipped,
    };
    StepRow {
        name: step.name,
        state,
        took: step.took,
        detail: &step.detail,
        facts: &step.facts,
        error: finding.as_ref().map(|finding| finding.error.clone()),
        remedy: finding.as_ref().and_then(|finding| finding.remedy.clone()),
    }
}

fn finding(step: &ProbeStep, tls: bool) -> Option<StepFinding> {
    let unreachable =
        |error: String, remedy: &str| StepFinding { error, remedy: Some(remedy.to_owned()), exit: Exit::Unreachable };
    Some(match step.failure()? {
        StepFailure::Error(error) => of_error(step.name, error, tls),
        StepFailure::NoLeader => unreachable(
            "this member knows no leader".to_owned(),
            "a majority of the voting members must be up and reach each other's peer addresses; look at the others with \
             'kvadm status', and at this member's log",
        ),
        StepFailure::Alarms { alarms, member } => unreachable(raised(alarms, *member), remedy_of(alarms)),
    })
}

fn raised(alarms: &[Alarm], member: Option<u64>) -> String {
    let one = |alarm: &Alarm| match alarm.member {
        id if Some(id) == member => format!("{} is raised by this member", alarm.kind),
        other => format!("{} is raised by member {other:x}", alarm.kind),
    };
    alarms.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn remedy_of(alarms: &[Alarm]) -> &'static str {
    match alarms {
        _ if alarms.iter().any(|alarm| alarm.kind == "CORRUPT") => {
            "that member's data differs from the others': take it out of the cluster and add it again with an empty \
             data directory; the cluster takes no requests as long as the alarm is raised"
        }
        _ if alarms.iter().any(|alarm| alarm.kind == "NOSPACE") => {
            "the cluster takes no writes: 'kvadm compact --reclaim' is the way out; where keys are too many, delete some \
             before it, or give etcd a larger --quota-backend-bytes"
        }
        _ => "see etcd's documentation of this alarm",
    }
}

fn of_error(step: &str, error: &Error, tls: bool) -> StepFinding {
    let named = match error {
        // What the failed connection itself suggests comes before what is suggested for the step.
        Error::Unreachable { failures } => failures.iter().find_map(|failure| failure.hint.clone()),
        _ => None,
    };
    let by_step = match (step, error) {
        ("resolve", Error::Unreachable { .. }) => {
            Some("check the name's spelling, /etc/hosts and the resolver; an IP address in its place needs neither")
        }
        ("tcp", Error::Unreachable { .. }) => Some(
            "is etcd running there, and does its --listen-client-urls have this address and port? A firewall may refuse \
             too",
        ),
        ("socket", Error::Unreachable { .. }) => {
            Some("is etcd running there, and does its --listen-client-urls have this socket?")
        }
        ("http2", Error::Unreachable { .. }) if tls => {
            Some("look at the process on that host: it may be stopped, out of memory, or held up by its disk")
        }
        ("http2", Error::Unreachable { .. }) => Some(
            "look at the process on that host: it may be stopped, out of memory, or held up by its disk; is this etcd's \
             client port, and not the one for peers or metrics?",
        ),
        ("auth", Error::Timeout { .. } | Error::Unavailable { .. }) => {
            Some("a login needs a majority of the voting members: see which are up with 'kvadm status'")
        }
        ("quorum", Error::Timeout { .. } | Error::Unavailable { .. }) => {
            Some("a majority of the voting members must be up and reach each other: 'kvadm status' asks all of them")
        }
        _ => None,
    };
    let (exit, hints) = class(error);
    let remedy = named.or_else(|| by_step.map(str::to_owned)).or_else(|| hints.into_iter().next());
    StepFinding { error: said(error), remedy, exit }
}
