//! Requests what members say over HTTP.

use tokio::task::JoinSet;

use super::probes::{HealthCheck, MemberProbes, feature_gates};
use super::scan::{ClusterScan, format_causes};
use crate::kvstore::{Error, Store};

/// Upper bound of the answer of a health check: etcd writes one line for each check.
const HEALTH_BYTES: usize = 64 << 10;
/// Upper bound of the metrics: etcd 3.7 has 180 KB of them.
const METRICS_BYTES: usize = 8 << 20;

/// Asks all members that answered the scan, at the same time. The operation timeout bounds each request.
///
/// # Errors
/// A signal, or the deadline.
pub async fn probe_members(store: &Store, scan: &mut ClusterScan) -> Result<(), Error> {
    let mut asked: JoinSet<(usize, Result<MemberProbes, Error>)> = JoinSet::new();
    for (index, member) in scan.members.iter().enumerate() {
        let (Ok(_), Some(address)) = (&member.status, &member.address) else { continue };
        let member = store.member(address);
        asked.spawn(async move { (index, probe(&member).await) });
    }
    for (index, probes) in asked.join_all().await {
        let probes = probes?;
        if let Some(member) = scan.members.get_mut(index) {
            member.probes = Some(probes);
        }
    }
    Ok(())
}

async fn probe(member: &Store) -> Result<MemberProbes, Error> {
    let (livez, readyz, metrics) = tokio::join!(
        member.http_get("/livez", HEALTH_BYTES),
        member.http_get("/readyz?verbose", HEALTH_BYTES),
        member.http_get("/metrics", METRICS_BYTES),
    );
    let ended = |error: &Error| matches!(error, Error::Interrupted { .. } | Error::Deadline { .. });
    for answer in [&livez, &readyz, &metrics] {
        if let Err(error) = answer
            && ended(error)
        {
            return Err(match error {
                Error::Interrupted { op, unknown } => Error::Interrupted { op, unknown: *unknown },
                _ => Error::Deadline { op: "status", last: None },
            });
        }
    }
    Ok(MemberProbes {
        livez: HealthCheck::of(livez.map_err(|error| cause_of(&error))),
        readyz: HealthCheck::of(readyz.map_err(|error| cause_of(&error))),
        features: match metrics {
            Ok((200, body)) => Ok(feature_gates(&body)),
            Ok((404, _)) => Ok(Vec::new()),
            Ok((status, _)) => Err(format!("the answer has the HTTP status {status}")),
            Err(error) => Err(cause_of(&error)),
        },
    })
}

fn cause_of(error: &Error) -> String {
    match error {
        Error::Unreachable { .. } => format_causes(error),
        other => other.one_line(),
    }
}
