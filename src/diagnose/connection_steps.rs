//! Converts the trace of a dial to the steps of a probe.

use std::time::Duration;

use tokio::time::Instant;

use crate::diagnose::step::{ProbeStep, StepFailure};
use crate::kvstore::Error;
use crate::output::{Fact, FactValue};
use crate::time::Time;
use crate::transport::dial::trace::{DialLog, DialPhase};
use crate::transport::tls::certificate::Certificate;
use crate::transport::tls::handshake_observer::HandshakeRecord;
use crate::transport::{Endpoint, Scheme, TlsFiles};

/// Certificates that expire within this number of days are mentioned.
const EXPIRY_WARNING_DAYS: i64 = 15;

/// The steps up to HTTP/2, and the name of the one that failed.
pub(crate) fn steps(
    endpoint: &Endpoint,
    files: &TlsFiles,
    log: &DialLog,
    handshake: &HandshakeRecord,
    reached: Result<(), Error>,
) -> (Vec<ProbeStep>, Option<&'static str>) {
    let failed_phase =
        log.failed_phase.or_else(|| log.entered.last().map(|(phase, _)| *phase)).unwrap_or(DialPhase::Waiting);
    let names: &[(DialPhase, &'static str)] = match endpoint.scheme {
        Scheme::Srv => &[
            (DialPhase::Discovering, "srv"),
            (DialPhase::Resolving, "resolve"),
            (DialPhase::Connecting, "tcp"),
            (DialPhase::Handshake, "tls"),
            (DialPhase::Silence, "http2"),
        ],
        Scheme::Unix => &[(DialPhase::Connecting, "socket"), (DialPhase::Silence, "http2")],
        _ => &[
            (DialPhase::Resolving, "resolve"),
            (DialPhase::Connecting, "tcp"),
            (DialPhase::Handshake, "tls"),
            (DialPhase::Silence, "http2"),
        ],
    };
    let mut failure = reached.err().map(StepFailure::Error);
    let mut broken = None;
    let mut steps = Vec::new();
    for &(phase, name) in names {
        let (detail, facts) = describe_phase(phase, endpoint, files, log, handshake);
        steps.push(match (broken, phase) {
            (_, DialPhase::Handshake) if endpoint.scheme == Scheme::Plain => {
                ProbeStep::skipped(name, "the endpoint uses http://")
            }
            (Some(broken), _) => ProbeStep::skipped(name, format!("{broken} failed")),
            (None, phase) => match failure.take_if(|_| phase == failed_phase || failed_phase == DialPhase::Waiting) {
                Some(failure) => {
                    broken = Some(name);
                    ProbeStep::failed(name, took(phase, log), failure, facts)
                }
                None => ProbeStep::done(name, took(phase, log), detail, facts),
            },
        });
    }
    (steps, broken)
}

/// The time from the start of the phase to the start of the next one, or to the end.
fn took(phase: DialPhase, log: &DialLog) -> Option<Duration> {
    let at = log.entered.iter().position(|(entered, _)| *entered == phase)?;
    let end = log.entered.get(at + 1).map(|(_, next)| *next).or(log.ended).unwrap_or_else(Instant::now);
    Some(end - log.entered.get(at)?.1)
}

fn describe_phase(
    phase: DialPhase,
    endpoint: &Endpoint,
    files: &TlsFiles,
    log: &DialLog,
    handshake: &HandshakeRecord,
) -> (String, Vec<Fact>) {
    match phase {
        DialPhase::Resolving => {
            let mut addresses: Vec<String> = log.addresses.iter().map(|address| address.ip().to_string()).collect();
            addresses.dedup();
            let detail = addresses.join(", ");
            (detail, list_fact("addresses", addresses).map(Fact::in_detail).collect())
        }
        DialPhase::Connecting if endpoint.scheme == Scheme::Unix => {
            let path = endpoint.path.display().to_string();
            (path.clone(), vec![Fact::text("path", path).in_detail()])
        }
        DialPhase::Connecting => connected(log),
        DialPhase::Handshake => tls(endpoint, files, log, handshake),
        DialPhase::Silence => ("SETTINGS received".to_owned(), Vec::new()),
        DialPhase::Waiting | DialPhase::Discovering => Default::default(),
    }
}

fn list_fact(name: &'static str, texts: Vec<String>) -> impl Iterator<Item = Fact> {
    (!texts.is_empty()).then(|| Fact::new(name, FactValue::List(texts))).into_iter()
}

fn connected(log: &DialLog) -> (String, Vec<Fact>) {
    let peer = log.peer.map(|peer| peer.to_string()).unwrap_or_default();
    let mut facts = Vec::new();
    if log.peer.is_some() {
        facts.push(Fact::text("address", &peer).in_detail());
    }
    let refused = log.failed.iter().map(|(address, text)| format!("{address}: {text}")).collect();
    // If there is only one address, its failure is the step's error.
    let alone = log.addresses.len() == 1;
    facts.extend(list_fact("failed", refused).map(|fact| Fact { in_detail: alone, ..fact }));
    if log.peer.is_none() {
        let answered = |address: &&_| log.failed.iter().any(|(failed, _)| failed == *address);
        let silent = log.addresses.iter().filter(|address| !answered(address)).map(ToString::to_string).collect();
        facts.extend(list_fact("silent", silent).map(|fact| Fact { in_detail: alone, ..fact }));
    }
    (peer, facts)
}

/// The part of the detail that warns of a certificate's expiry.
fn format_expiry(which: &str, days_left: i64) -> String {
    match days_left {
        days if !(0..EXPIRY_WARNING_DAYS).contains(&days) => String::new(),
        0 => format!("; {which} expires in less than a day"),
        1 => format!("; {which} expires in 1 day"),
        days => format!("; {which} expires in {days} days"),
    }
}

fn tls(endpoint: &Endpoint, files: &TlsFiles, log: &DialLog, handshake: &HandshakeRecord) -> (String, Vec<Fact>) {
    let now = Time::now();
    let mut facts = Vec::new();
    let mut detail = String::new();
    if let Some((version, cipher)) = &log.negotiated {
        detail = format!("{version}, {cipher}");
        facts.push(Fact::text("protocol", version).in_detail());
        facts.push(Fact::text("cipher", cipher).in_detail());
    }
    if let Some(der) = &handshake.server_certificate {
        match Certificate::parse(der) {
            Some(shown) => {
                facts.push(Fact::text("subject", &shown.subject));
                facts.push(Fact::new("alternative_names", FactValue::List(shown.names.clone())));
                facts.push(Fact::text("issuer", &shown.issuer));
                facts.push(Fact::text("not_before", shown.not_before()));
                facts.push(Fact::text("not_after", shown.not_after()));
                facts.push(Fact::new("days_left", FactValue::Number(shown.days_left(now.secs))));
                detail.push_str(&format_expiry("the certificate", shown.days_left(now.secs)));
                if !shown.is_valid_at(now.secs) {
                    facts.push(Fact::text("clock_here", now.format_utc()));
                }
            }
            None => facts.push(Fact::text("subject", "a certificate that cannot be read")),
        }
    }
    facts.push(Fact::text("name_wanted", &endpoint.host));
    facts.push(Fact::text(
        "checked_against",
        match &files.ca {
            _ if files.skip_verify => "nothing: insecure-skip-tls-verify is set".to_owned(),
            Some(file) => file.display().to_string(),
            None => "the system's certificate authorities".to_owned(),
        },
    ));
    if handshake.server_certificate.is_some() {
        let state = match handshake {
            HandshakeRecord { client_certificate_requested: false, .. } => "not asked for",
            HandshakeRecord { client_certificate: None, .. } => "asked for, and none is set",
            _ => "asked for",
        };
        facts.push(Fact::text("client_certificate", state));
    }
    if let Some(der) = &handshake.client_certificate {
        if let Some(file) = &files.cert {
            facts.push(Fact::text("client_file", file.display().to_string()));
        }
        if let Some(client) = Certificate::parse(der) {
            facts.push(Fact::text("client_subject", &client.subject));
            facts.push(Fact::text("client_issuer", &client.issuer));
            facts.push(Fact::text("client_not_before", client.not_before()));
            facts.push(Fact::text("client_not_after", client.not_after()));
            facts.push(Fact::new("client_days_left", FactValue::Number(client.days_left(now.secs))));
            detail.push_str(&format_expiry("the client certificate", client.days_left(now.secs)));
        }
    }
    (detail, facts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_address_that_was_tried_is_told() {
        let addresses: Vec<_> =
            ["[::1]:1", "127.0.0.1:1", "10.0.0.1:1"].iter().map(|address| address.parse().unwrap()).collect();
        let failed = vec![(addresses[0], "connection refused".to_owned())];
        let mut log = DialLog { addresses, failed, ..DialLog::default() };
        let shown = |log: &DialLog| {
            let (detail, facts) = connected(log);
            (detail, facts.into_iter().map(|fact| format!("{} {:?}", fact.name, fact.value)).collect::<Vec<_>>())
        };
        let refused = r#"failed List(["[::1]:1: connection refused"])"#.to_owned();
        let silent = r#"silent List(["127.0.0.1:1", "10.0.0.1:1"])"#.to_owned();
        assert_eq!(shown(&log), (String::new(), vec![refused.clone(), silent]));
        log.peer = Some(log.addresses[1]);
        let address = r#"address Text("127.0.0.1:1")"#.to_owned();
        assert_eq!(shown(&log), ("127.0.0.1:1".to_owned(), vec![address, refused]));
    }

    #[test]
    fn a_certificate_that_expires_soon_is_mentioned() {
        assert_eq!(format_expiry("it", 14), "; it expires in 14 days");
        assert_eq!(format_expiry("it", 1), "; it expires in 1 day");
        assert_eq!(format_expiry("it", 0), "; it expires in less than a day");
        assert_eq!([format_expiry("it", 15), format_expiry("it", -1)], ["", ""]);
    }
}
