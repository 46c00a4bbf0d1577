//! `kvadm status --diagnose`: checks each step to each endpoint, and suggests remedies.

use tokio::task::JoinSet;

use crate::context::Context;
use crate::diagnose::{self, Probe, ProbeStep, StepFailure, StepOutcome};
use crate::error::{Exit, Failure, classify};
use crate::health::format_causes;
use crate::kvstore::{Alarm, Error, Store};
use crate::output::{Diagnosis, StepRow, StepState};
use crate::transport::Scheme;

struct StepFinding {
    error: String,
    remedy: Option<String>,
    /// The exit code if there is no other problem.
    exit: Exit,
}

/// Probes each endpoint, and prints what was found.
///
/// # Errors
/// No endpoint works, a signal, or the output cannot be written.
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
        return Err(Failure::new(Exit::Interrupted, "interrupted while checking the endpoints"));
    }
    probes.sort_by_key(|(index, _)| *index);
    let (mut failing, mut serving) = (0, 0);
    let mut exits: Vec<Exit> = Vec::new();
    for (index, probe) in &probes {
        let tls = endpoints.get(*index).is_some_and(|endpoint| endpoint.scheme == Scheme::Tls);
        let findings: Vec<Option<StepFinding>> = probe.steps.iter().map(|step| finding(step, tls)).collect();
        exits.extend(findings.iter().flatten().map(|finding| finding.exit).next());
        failing += usize::from(probe.failure().is_some());
        serving += usize::from(probe.serves());
        show(ctx, probe, &findings)?;
    }
    match (failing, serving) {
        (0, _) => Ok(Exit::Done),
        (_, 0) => {
            let common = exits.first().copied().filter(|first| exits.iter().all(|exit| exit == first));
            let message = if probes.len() == 1 { "the endpoint does not work" } else { "none of the endpoints works" };
            let failure = Failure::new(common.unwrap_or(Exit::Unreachable), message);
            Err(failure.hint("the report above names each problem and what to try"))
        }
        _ => {
            let count = probes.len();
            ctx.out.warn(&format!("problems at {failing} of {count} endpoints; see the report"));
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
        StepFailure::Error(error) => error_finding(step.name, error, tls),
        StepFailure::NoLeader => unreachable(
            "this member has no leader".to_owned(),
            "a majority of the voting members must be up and reach each other's peer addresses: run 'kvadm status' to \
             see the others, and check this member's log",
        ),
        StepFailure::Alarms { alarms, member } => unreachable(describe_alarms(alarms, *member), remedy_of(alarms)),
    })
}

fn describe_alarms(alarms: &[Alarm], member: Option<u64>) -> String {
    let one = |alarm: &Alarm| match alarm.member {
        id if Some(id) == member => format!("{} is raised by this member", alarm.kind),
        other => format!("{} is raised by member {other:x}", alarm.kind),
    };
    alarms.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn remedy_of(alarms: &[Alarm]) -> &'static str {
    match alarms {
        _ if alarms.iter().any(|alarm| alarm.kind == "CORRUPT") => {
            "that member's data differs from the others': remove it from the cluster and add it again with an empty data \
             directory; the cluster refuses requests while the alarm is raised"
        }
        _ if alarms.iter().any(|alarm| alarm.kind == "NOSPACE") => {
            "the cluster refuses writes: run 'kvadm compact --reclaim'; if that is not enough, delete keys first, or start \
             etcd with a larger --quota-backend-bytes"
        }
        _ => "see etcd's documentation of this alarm",
    }
}

fn error_finding(step: &str, error: &Error, tls: bool) -> StepFinding {
    let named = match error {
        // The hint of the failed connection is more specific than the hint of the step.
        Error::Unreachable { failures } => failures.iter().find_map(|failure| failure.hint.clone()),
        _ => None,
    };
    let by_step = match (step, error) {
        ("resolve", Error::Unreachable { .. }) => {
            Some("check the spelling of the name, /etc/hosts and the resolver, or use an IP address")
        }
        ("tcp", Error::Unreachable { .. }) => Some(
            "check that etcd runs there, that its --listen-client-urls has this address and port, and that no firewall \
             refuses",
        ),
        ("socket", Error::Unreachable { .. }) => {
            Some("check that etcd runs there and that its --listen-client-urls has this socket")
        }
        ("http2", Error::Unreachable { .. }) if tls => {
            Some("check the process on that host: it may be stopped, out of memory, or blocked by its disk")
        }
        ("http2", Error::Unreachable { .. }) => Some(
            "check the process on that host: it may be stopped, out of memory, or blocked by its disk; check also that \
             this is etcd's client port, not the port for peers or metrics",
        ),
        ("auth", Error::Timeout { .. } | Error::Unavailable { .. }) => {
            Some("a login needs a majority of the voting members: run 'kvadm status' to see which members are up")
        }
        ("quorum", Error::Timeout { .. } | Error::Unavailable { .. }) => Some(
            "a majority of the voting members must be up and connected: run 'kvadm status' to see which members are up",
        ),
        _ => None,
    };
    let (exit, hints) = classify(error);
    let remedy = named.or_else(|| by_step.map(str::to_owned)).or_else(|| hints.into_iter().next());
    StepFinding { error: format_causes(error), remedy, exit }
}
