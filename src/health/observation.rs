//! What one member says of itself.

use super::probes::MemberProbes;
use crate::kvstore::{Error, MemberStatus};
use crate::output::MemberRow;
use crate::transport::{Endpoint, Scheme};

/// What one member, or one endpoint without an answer, says.
pub struct MemberObservation {
    /// The endpoint that was asked.
    pub endpoint: String,
    /// Where the member can be asked again; `None` if that is not safe.
    pub address: Option<Endpoint>,
    /// The name in the member list; empty if the member is not identified.
    pub name: String,
    /// The status, or the reason for its absence.
    pub status: Result<MemberStatus, String>,
    /// The result of a read; `Ok` without a read for a learner and for a member without a leader, unless the read is
    /// serializable.
    pub read: Result<(), String>,
    /// Why etcd refuses the login or the token of this command, if it does. That tells nothing about the quorum.
    pub refused: Option<Error>,
    /// The alarms that the member has raised.
    pub alarms: Vec<String>,
    /// What the member says over HTTP, if that was requested.
    pub probes: Option<MemberProbes>,
}

impl MemberObservation {
    /// A member that is not dialed: the login would be sent over a connection less safe than the configured ones.
    pub(super) fn unsafe_to_dial(url: &Endpoint) -> Self {
        let why = match url.scheme {
            Scheme::Unix => "it is a Unix socket, and --endpoints has none",
            Scheme::Plain | Scheme::Tls | Scheme::Srv => "it has no TLS, and is less safe than those of --endpoints",
        };
        Self {
            endpoint: url.to_string(),
            address: None,
            name: String::new(),
            status: Err(format!(
                "not reachable safely: the cluster lists this address, but {why}; add an address of the member to \
                 --endpoints"
            )),
            read: Ok(()),
            refused: None,
            alarms: Vec::new(),
            probes: None,
        }
    }

    pub(super) fn healthy(&self) -> bool {
        self.status.as_ref().is_ok_and(|status| status.leader != 0 && status.errors.is_empty())
            && self.read.is_ok()
            && self.alarms.is_empty()
            && self.failed_probes().is_empty()
    }

    pub(super) fn serves(&self) -> bool {
        self.read.is_ok() && self.status.as_ref().is_ok_and(|status| !status.learner && status.leader != 0)
    }

    /// The row of the status table. `lag` is [`ClusterScan::lag`].
    pub fn row(&self, lag: Option<u64>) -> MemberRow<'_> {
        MemberRow {
            endpoint: &self.endpoint,
            name: &self.name,
            health: match &self.status {
                _ if self.healthy() => "healthy",
                Ok(_) => "unhealthy",
                Err(_) => "unreachable",
            },
            status: self.status.as_ref().ok(),
            lag,
            alarms: &self.alarms,
            probes: self.probes.as_ref().map(MemberProbes::row),
        }
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        let of = |what: &str| format!("{}: {what}", self.endpoint);
        let status = match &self.status {
            Ok(status) => status,
            Err(why) => return vec![of(why)],
        };
        let mut problems: Vec<String> = status.errors.iter().map(|error| of(error)).collect();
        if status.leader == 0 {
            problems.push(of("has no leader"));
        }
        if let Err(why) = &self.read {
            problems.push(of(why));
        }
        // etcd also lists alarms among its errors.
        if status.errors.is_empty() {
            problems.extend(self.alarms.iter().map(|alarm| of(&format!("alarm {alarm}"))));
        }
        problems.extend(self.failed_probes().iter().map(|failed| of(failed)));
        problems
    }

    /// The HTTP health checks that fail. A learner is never ready.
    fn failed_probes(&self) -> Vec<String> {
        let learner = self.status.as_ref().is_ok_and(|status| status.learner);
        self.probes.as_ref().map_or_else(Vec::new, |probes| probes.failures(learner))
    }
}
