//! Probes one endpoint step by step: name, TCP, TLS, HTTP/2, login, leader, quorum, alarms and quota.
//!
//! It uses the code that connects and sends requests for all other commands, so a step fails here exactly if it fails
//! there.

mod connection_steps;
mod step;

pub use step::{Probe, ProbeStep, StepFailure, StepOutcome};

use std::sync::Arc;

use tokio::time::Instant;

use crate::kvstore::{Error, MemberStatus, Refusal, Store};
use crate::output::{Fact, FactValue};
use crate::transport::dial::trace::DialTrace;
use crate::transport::tls::certificate::Certificate;
use crate::transport::tls::handshake_observer::HandshakeObserver;
use crate::transport::{Endpoint, Scheme, SrvDiscovery};

const REQUEST_STEPS: [&str; 5] = ["auth", "leader", "quorum", "alarms", "quota"];

/// Probes one endpoint, which need not be configured. Failures are part of the result. Takes at most the dial timeout
/// plus one operation timeout per request; a signal ends it at once.
pub async fn probe(store: &Store, endpoint: &Endpoint) -> Probe {
    let pinned = store.probe(endpoint);
    let handshake_observer = Arc::new(HandshakeObserver::default());
    let trace = DialTrace::watched(Arc::clone(&handshake_observer));
    let reached = tokio::select! {
        biased;
        error = pinned.ended("dial") => Err(error),
        reached = pinned.dial_traced(&trace) => reached,
    };
    let (mut steps, failed) =
        connection_steps::steps(endpoint, &pinned.options().tls, &trace.log(), &handshake_observer.record(), reached);
    if let Some(found) = &store.options().discovery
        && endpoint.scheme != Scheme::Srv
    {
        steps.insert(0, discovered(found, endpoint));
    }
    match failed {
        Some(failed) => steps.extend(REQUEST_STEPS.map(|name| ProbeStep::skipped(name, format!("{failed} failed")))),
        None => {
            let client_certificate =
                handshake_observer.record().client_certificate.and_then(|der| Certificate::parse(&der));
            steps.extend(request_steps(&pinned, client_certificate.as_ref()).await);
        }
    }
    Probe { endpoint: endpoint.to_string(), steps }
}

/// How the SRV records of a domain have named the endpoint.
fn discovered(found: &SrvDiscovery, endpoint: &Endpoint) -> ProbeStep {
    let answers = found.outcome.as_ref().map(|outcome| (outcome.answers.clone(), outcome.took));
    let (answers, took) = answers.unzip();
    let facts = vec![
        Fact::text("domain", &found.domain).in_detail(),
        Fact::new("answers", FactValue::List(answers.unwrap_or_default())),
    ];
    let service = if endpoint.scheme == Scheme::Tls { "_etcd-client-ssl" } else { "_etcd-client" };
    ProbeStep::done("srv", took, format!("named by the {service} records of {}", found.domain), facts)
}

/// The steps after the connection.
async fn request_steps(store: &Store, client_certificate: Option<&Certificate>) -> Vec<ProbeStep> {
    let has_user = store.options().credentials.is_some() || store.options().token.is_some();
    // A member reports its status without a leader and, in etcd <= 3.6, without a login; a login needs the quorum.
    let mut started = Instant::now();
    let mut status = store.anonymous().member_status().await;
    let auth = match &status {
        Ok(status) if status.leader == 0 && has_user => {
            ProbeStep::skipped("auth", "a login needs the quorum, but this member has no leader")
        }
        _ => auth(store, client_certificate).await,
    };
    let auth_ok = auth.failure().is_none();
    if matches!(&status, Err(Error::Refused { .. })) && auth_ok && has_user {
        started = Instant::now();
        status = store.member_status().await;
    }
    let took = Some(started.elapsed());
    let mut steps = vec![auth];
    let skipped =
        |names: &[&'static str], why: &str| names.iter().map(|name| ProbeStep::skipped(name, why)).collect::<Vec<_>>();
    match status {
        Ok(status) => {
            steps.push(leader(&status));
            match &status {
                _ if has_user && !auth_ok => steps.extend(skipped(&["quorum", "alarms"], "auth failed")),
                status if status.leader == 0 => steps.extend(skipped(&["quorum", "alarms"], "leader failed")),
                status if status.learner => {
                    steps.extend(skipped(&["quorum", "alarms"], "learners do not serve this request"))
                }
                status => steps.extend(quorum_steps(store, Some(status.id)).await),
            }
            steps.push(quota(&status));
        }
        Err(Error::Refused { .. }) if !auth_ok => steps.extend(skipped(&REQUEST_STEPS[1..], "auth failed")),
        Err(Error::Refused { message, .. }) => {
            let why = format_denied(&message);
            steps.extend(skipped(&["leader"], &why));
            steps.extend(quorum_steps(store, None).await);
            steps.extend(skipped(&["quota"], &why));
        }
        Err(error) => {
            steps.push(ProbeStep::failed("leader", took, StepFailure::Error(error), Vec::new()));
            steps.extend(skipped(&REQUEST_STEPS[2..], "leader failed"));
        }
    }
    steps
}

/// The steps that need the quorum.
async fn quorum_steps(store: &Store, member: Option<u64>) -> [ProbeStep; 2] {
    let quorum = quorum(store).await;
    let alarms = match quorum.failure() {
        None => alarm_step(store, member).await,
        // Another request would only time out.
        Some(_) => ProbeStep::skipped("alarms", "quorum failed"),
    };
    [quorum, alarms]
}

/// Logs in if there is a user, and checks whether the member lets the user read.
async fn auth(store: &Store, client_certificate: Option<&Certificate>) -> ProbeStep {
    let started = Instant::now();
    // A serializable read: the member answers without the quorum.
    let read = store.read_empty_key("auth", false).await;
    let took = Some(started.elapsed());
    let may_read = match read {
        Ok(_) => true,
        // A user who may not read this key has been authenticated.
        Err(error) if error.is_refusal(Refusal::Permission) => false,
        Err(error) => return ProbeStep::failed("auth", took, StepFailure::Error(error), Vec::new()),
    };
    let fact = |kind: &str| Fact::text("authentication", kind).in_detail();
    let user = |name: &str| Fact::text("user", name).in_detail();
    if let Some(credentials) = &store.options().credentials {
        let name = &credentials.user;
        return if store.auth_is_disabled() {
            let detail = format!("authentication is not enabled; user '{name}' is not used");
            ProbeStep::done("auth", took, detail, vec![fact("off"), user(name)])
        } else {
            ProbeStep::done("auth", took, format!("logged in as '{name}'"), vec![fact("password"), user(name)])
        };
    }
    if store.options().token.is_some() {
        let detail = match may_read {
            true => "the token is accepted, or authentication is not enabled",
            false => "the token is accepted",
        };
        return ProbeStep::done("auth", took, detail, vec![fact("token")]);
    }
    match client_certificate.map(|certificate| certificate.common_name.as_deref().unwrap_or_default()) {
        None if may_read => ProbeStep::done("auth", took, "authentication is not enabled", vec![fact("off")]),
        None => ProbeStep::done("auth", took, "access without a user", vec![fact("on")]),
        Some(name) if may_read => {
            let detail = format!("authentication is not enabled, or the user is '{name}' (client certificate)");
            ProbeStep::done("auth", took, detail, vec![fact("off or certificate"), user(name)])
        }
        Some(name) => {
            let detail = format!("authenticated as '{name}' (the client certificate's common name)");
            ProbeStep::done("auth", took, detail, vec![fact("certificate"), user(name)])
        }
    }
}

async fn quorum(store: &Store) -> ProbeStep {
    let started = Instant::now();
    let answer = store.read_empty_key("linearizable read", true).await;
    let took = Some(started.elapsed());
    let detail = "linearizable read succeeded";
    match answer {
        Ok(revision) => {
            ProbeStep::done("quorum", took, detail, vec![Fact::new("revision", FactValue::Number(revision))])
        }
        // A refusal of this read was decided by the quorum too.
        Err(error) if error.is_refusal(Refusal::Permission) || error.is_refusal(Refusal::NoUser) => {
            ProbeStep::done("quorum", took, detail, Vec::new())
        }
        Err(error) => ProbeStep::failed("quorum", took, StepFailure::Error(error), Vec::new()),
    }
}

async fn alarm_step(store: &Store, member: Option<u64>) -> ProbeStep {
    let started = Instant::now();
    let alarms = store.alarms().await;
    let took = Some(started.elapsed());
    match alarms {
        Ok(alarms) if alarms.is_empty() => {
            ProbeStep::done("alarms", took, "none", vec![Fact::new("raised", FactValue::List(Vec::new())).in_detail()])
        }
        Ok(alarms) => {
            let raised = alarms.iter().map(|alarm| format!("{} by {:x}", alarm.kind, alarm.member)).collect();
            let facts = vec![Fact::new("raised", FactValue::List(raised)).in_detail()];
            ProbeStep::failed("alarms", took, StepFailure::Alarms { alarms, member }, facts)
        }
        Err(Error::Refused { message, .. }) => {
            ProbeStep { took, ..ProbeStep::skipped("alarms", format_denied(&message)) }
        }
        Err(error) => ProbeStep::failed("alarms", took, StepFailure::Error(error), Vec::new()),
    }
}

fn format_denied(message: &str) -> String {
    format!("not permitted for this user: {message}")
}

fn leader(status: &MemberStatus) -> ProbeStep {
    let (role, detail) = match status {
        status if status.leader == 0 => ("no leader", String::new()),
        status if status.learner => ("learner", format!("learner; the leader is member {:x}", status.leader)),
        status if status.leader == status.id => ("leader", "this member is the leader".to_owned()),
        status => ("follower", format!("follower; the leader is member {:x}", status.leader)),
    };
    let mut facts = vec![
        Fact::new("member", FactValue::Id(status.id)),
        Fact::text("role", role).in_detail(),
        Fact::new("leader", FactValue::Id(status.leader)).in_detail(),
        Fact::new("term", FactValue::Count(status.raft_term)),
        Fact::new("index", FactValue::Count(status.raft_index)),
        Fact::new("applied", FactValue::Count(status.raft_applied)),
        Fact::new("cluster", FactValue::Id(status.cluster)),
        Fact::text("version", &status.version),
    ];
    if !status.errors.is_empty() {
        facts.push(Fact::new("complaints", FactValue::List(status.errors.clone())));
    }
    match status.leader {
        0 => ProbeStep::failed("leader", Some(status.latency), StepFailure::NoLeader, facts),
        _ => ProbeStep::done("leader", Some(status.latency), detail, facts),
    }
}

fn quota(status: &MemberStatus) -> ProbeStep {
    let mut facts = vec![
        Fact::new("db_size", FactValue::Bytes(status.db_size)),
        Fact::new("in_use", FactValue::Bytes(status.db_in_use)),
    ];
    let detail = match status.quota {
        Some(quota) => {
            #[allow(clippy::cast_precision_loss)]
            let share = status.db_size as f64 * 100.0 / quota as f64;
            facts.push(Fact::new("quota", FactValue::Bytes(quota)));
            facts.push(Fact::new("share", FactValue::Percent(share)).in_detail());
            format!("{share:.1} % of the quota is used")
        }
        None => "this etcd version does not report its quota".to_owned(),
    };
    ProbeStep::done("quota", None, detail, facts)
}
