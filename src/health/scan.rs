//! Scans all members once, and derives the cluster's health.

use tokio::task::JoinSet;

pub use super::cluster_health::ClusterHealth;
use super::error::ScanError;
pub use super::observation::MemberObservation;
use super::quorum::{self, QuorumProof};
use crate::kvstore::{Alarm, Error, Member, MemberStatus, Refusal, Revision, Store};
use crate::transport::{Endpoint, Scheme};

/// What all members say, at about the same time.
pub struct ClusterScan {
    /// The cluster's ID, if any member has told it.
    pub cluster: Option<u64>,
    /// The members, in the order of the endpoints; members that are only listed follow.
    pub members: Vec<MemberObservation>,
    /// What the scan has looked for.
    pub evidence: QuorumEvidence,
    /// The outcome of the write under a lock, if requested.
    pub proof: Option<QuorumProof>,
    general: Vec<String>,
}

/// How a scan proves that there is a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumEvidence {
    /// Not at all: it asks each member for its own data.
    None,
    /// By a linearizable read of each member.
    Reads,
    /// By the reads, and a write under a lock.
    Write,
}

impl ClusterScan {
    /// The health of the cluster.
    pub fn verdict(&self) -> ClusterHealth {
        let serves = self.members.iter().any(MemberObservation::serves);
        match &self.proof {
            Some(QuorumProof::Failed(_)) => ClusterHealth::NoQuorum,
            None if self.evidence == QuorumEvidence::None => self.health_of_members(),
            _ if !serves && self.only_learners_were_asked() => ClusterHealth::Unknown,
            _ if !serves => ClusterHealth::NoQuorum,
            Some(QuorumProof::NoSpace) => ClusterHealth::Degraded,
            _ => self.health_of_members(),
        }
    }

    fn health_of_members(&self) -> ClusterHealth {
        let all = self.general.is_empty() && self.members.iter().all(MemberObservation::healthy);
        if all { ClusterHealth::Healthy } else { ClusterHealth::Degraded }
    }

    /// Whether every member that was asked is a learner with a leader.
    fn only_learners_were_asked(&self) -> bool {
        let follows = |status: &MemberStatus| status.learner && status.leader != 0;
        self.members.iter().all(|member| member.status.as_ref().is_ok_and(follows))
    }

    /// The evidence of the quorum: `proved` by a write, `read` by reads, `unknown`, or `none`.
    pub fn quorum_word(&self) -> &'static str {
        match (&self.proof, self.verdict()) {
            (Some(QuorumProof::Done(_) | QuorumProof::NoSpace), _) => "proved",
            _ if self.evidence == QuorumEvidence::None => "unknown",
            (_, ClusterHealth::NoQuorum) => "none",
            (_, ClusterHealth::Unknown) => "unknown",
            _ => "read",
        }
    }

    /// The duration of the write that proves the quorum, in milliseconds.
    pub fn quorum_ms(&self) -> Option<f64> {
        match &self.proof {
            Some(QuorumProof::Done(took)) => Some(took.as_secs_f64() * 1e3),
            _ => None,
        }
    }

    /// The newest revision of all members.
    pub fn revision(&self) -> Option<Revision> {
        self.members.iter().filter_map(|member| member.status.as_ref().ok()).map(|status| status.revision).max()
    }

    /// How many entries of the raft log the member has applied less than the leader, at about the same time. `None` for the
    /// leader, and if one of them does not answer.
    pub fn lag(&self, member: &MemberObservation) -> Option<u64> {
        let status = member.status.as_ref().ok()?;
        let statuses = self.members.iter().filter_map(|member| member.status.as_ref().ok());
        let leader = statuses.into_iter().find(|one| one.id == status.leader && one.leader == one.id)?;
        (leader.id != status.id).then(|| leader.raft_applied.saturating_sub(status.raft_applied))
    }

    /// The problems that belong to no member.
    pub fn general(&self) -> &[String] {
        &self.general
    }

    /// All problems, one sentence each.
    pub fn complaints(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.members.iter().flat_map(MemberObservation::complaints).collect();
        problems.extend(self.general.iter().cloned());
        if self.verdict() == ClusterHealth::Unknown {
            problems.push(
                "only a learner was asked, which cannot tell whether the cluster has a quorum: add a voting member to \
                 --endpoints"
                    .to_owned(),
            );
        }
        match &self.proof {
            Some(QuorumProof::NoSpace) => problems.push(
                "the store is out of space and refuses writes, but the quorum exists: run 'kvadm compact --reclaim'; if \
                 that is not enough, delete keys first"
                    .to_owned(),
            ),
            Some(QuorumProof::Failed(why)) => problems.push(format!("the write that proves the quorum failed: {why}")),
            _ => {}
        }
        problems
    }
}

/// Scans all members concurrently.
///
/// # Errors
/// No reachable member, or a refused login.
pub async fn scan_cluster(store: &Store, evidence: QuorumEvidence) -> Result<ClusterScan, ScanError> {
    scan_cluster_again(store, evidence, &[]).await
}

/// Scans all members, as [`scan_cluster`] does. The addresses of an earlier scan are asked too: they reach the other members if
/// none of the configured endpoints answers any more.
///
/// # Errors
/// No reachable member, or a refused login.
pub async fn scan_cluster_again(
    store: &Store,
    evidence: QuorumEvidence,
    earlier: &[Endpoint],
) -> Result<ClusterScan, ScanError> {
    if evidence == QuorumEvidence::None && store.options().credentials.is_some() {
        // A login without a quorum fails at once; otherwise each member would wait for it.
        store.one_member().await.map_err(|error| ScanError::Login { error, with_password: true })?;
    }
    store.share_login().await;
    let serializable = evidence == QuorumEvidence::None;
    let mut observing: JoinSet<(usize, MemberObservation)> = JoinSet::new();
    let mut endpoints = store.options().endpoints.clone();
    let more = earlier.iter().filter(|endpoint| !store.options().endpoints.contains(endpoint));
    endpoints.extend(more.cloned());
    for (index, endpoint) in endpoints.iter().enumerate() {
        observing.spawn(observe(index, store.clone(), endpoint.clone(), serializable));
    }
    let mut listed = store.members().await;
    if let Err(
        Error::Interrupted { .. }
        | Error::Deadline { .. }
        | Error::Refused { .. }
        | Error::Tls(_)
        | Error::OtherStore { .. },
    ) = &listed
    {
        return Err(failed(listed.err(), String::new));
    }
    let mut found: Vec<(usize, MemberObservation)> = observing.join_all().await;
    store.uninterrupted("status")?;
    let mut answering = store.clone();
    let addresses =
        found.iter().filter(|(_, member)| member.status.is_ok()).filter_map(|(_, member)| member.address.clone());
    if let (Err(_), Some(address)) = (&listed, addresses.into_iter().next()) {
        answering = store.member(&address);
        listed = answering.members().await;
    }
    let mut general = Vec::new();
    let mut cluster = None;
    if let Ok(members) = &listed {
        cluster = Some(members.cluster);
        let known: Vec<u64> = ids(&found);
        let tls = endpoints.first().is_some_and(|endpoint| endpoint.scheme == Scheme::Tls);
        let configured = endpoints.clone();
        let mut more: JoinSet<(usize, MemberObservation)> = JoinSet::new();
        for member in members.members.iter().filter(|member| !known.contains(&member.id)) {
            let urls: Vec<Endpoint> =
                member.client_urls.iter().filter_map(|url| Endpoint::parse(url, tls).ok()).collect();
            let safe = urls.iter().find(|url| configured.contains(url) || url.is_as_safe_as(&configured));
            match safe.or(urls.first()).cloned() {
                // The endpoint is configured and was already tried.
                Some(url) if configured.contains(&url) => {}
                Some(url) if safe.is_none() => {
                    found.push((endpoints.len(), MemberObservation::unsafe_to_dial(&url)));
                    endpoints.push(url);
                }
                Some(url) if endpoints.contains(&url) => {}
                Some(url) => {
                    more.spawn(observe(endpoints.len(), store.clone(), url.clone(), serializable));
                    endpoints.push(url);
                }
                None => general.push(format!("member {} has not started", member_name(member.id, &member.name))),
            }
        }
        found.extend(more.join_all().await);
        for (index, observation) in &mut found {
            let serves = |url: &String| Endpoint::parse(url, tls).is_ok_and(|url| endpoints.get(*index) == Some(&url));
            let is_it = |member: &&Member| match &observation.status {
                Ok(status) => member.id == status.id,
                Err(_) => member.client_urls.iter().any(serves),
            };
            if let Some(member) = members.members.iter().find(is_it) {
                observation.name.clone_from(&member.name);
            }
        }
    }
    found.sort_by_key(|(index, _)| *index);
    let mut scan = ClusterScan {
        cluster,
        members: found.into_iter().map(|(_, observation)| observation).collect(),
        evidence,
        proof: None,
        general,
    };
    if let Some(error) = refused_by_all(&mut scan) {
        return Err(error.into());
    }
    if scan.members.iter().all(|member| member.status.is_err()) {
        return Err(failed(listed.err(), || scan.complaints().join("; ")));
    }
    check_cluster_ids(&mut scan);
    if scan.verdict() == ClusterHealth::Unknown || serializable {
        return Ok(scan);
    }
    let prove = evidence == QuorumEvidence::Write;
    if scan.verdict() == ClusterHealth::NoQuorum {
        // Reading alarms and writing need the quorum, and would only time out.
        if prove {
            scan.proof = Some(QuorumProof::Failed("no member answers a linearizable read".to_owned()));
        }
        return Ok(scan);
    }
    match answering.alarms().await {
        Ok(alarms) => assign_alarms(&mut scan, &alarms),
        Err(error @ Error::OtherStore { .. }) => return Err(error.into()),
        Err(error) => scan.general.push(format!("cannot read the alarms: {error}")),
    }
    store.uninterrupted("status")?;
    if prove {
        scan.proof = Some(quorum::prove(store).await?);
    }
    Ok(scan)
}

/// The refusal of the login, if it is why no member serves a read. A member that does not respond tells nothing about the login.
fn refused_by_all(scan: &mut ClusterScan) -> Option<Error> {
    let reads = |member: &MemberObservation| member.status.is_ok() && member.read.is_ok();
    if scan.members.iter().any(reads) {
        return None;
    }
    scan.members.iter_mut().find_map(|member| member.refused.take())
}

/// The error of the member list, or that no member responds.
fn failed(listing: Option<Error>, complaints: impl FnOnce() -> String) -> ScanError {
    listing.map_or_else(|| ScanError::NoResponse { complaints: complaints() }, ScanError::Store)
}

fn member_name(id: u64, name: &str) -> String {
    if name.is_empty() { format!("{id:x}") } else { format!("{name} ({id:x})") }
}

fn ids(found: &[(usize, MemberObservation)]) -> Vec<u64> {
    found.iter().filter_map(|(_, observation)| observation.status.as_ref().ok()).map(|status| status.id).collect()
}

/// Reports endpoints of different clusters, a configuration mistake.
fn check_cluster_ids(scan: &mut ClusterScan) {
    let clusters: Vec<u64> =
        scan.members.iter().filter_map(|member| member.status.as_ref().ok()).map(|status| status.cluster).collect();
    if clusters.iter().any(|cluster| Some(cluster) != clusters.first()) {
        scan.general.push("the endpoints belong to different clusters".to_owned());
    }
    scan.cluster = scan.cluster.or_else(|| clusters.first().copied());
}

fn assign_alarms(scan: &mut ClusterScan, alarms: &[Alarm]) {
    for alarm in alarms {
        let holder =
            scan.members.iter_mut().find(|member| member.status.as_ref().is_ok_and(|status| status.id == alarm.member));
        match holder {
            Some(member) => member.alarms.push(alarm.kind.clone()),
            None => {
                let name = alarm.kind.trim_start_matches("alarm ");
                scan.general.push(format!("member {:x} has raised alarm {name}", alarm.member));
            }
        }
    }
}

async fn observe(index: usize, store: Store, endpoint: Endpoint, serializable: bool) -> (usize, MemberObservation) {
    let shown = endpoint.to_string();
    let one = store.pinned(&endpoint);
    let (one, kind) = if serializable { (one.serializable(), "serializable") } else { (one, "linearizable") };
    let status = one.member_status().await;
    let mut refused = None;
    let read = match &status {
        // Without a leader the read would fail.
        Ok(status) if serializable || !status.learner && status.leader != 0 => match one.revision().await {
            Ok(_) => Ok(()),
            // A denied permission also proves that the quorum answered.
            Err(error) if error.is_refusal(Refusal::Permission) || error.is_refusal(Refusal::NoUser) => Ok(()),
            Err(error) => {
                let why = format!("a {kind} read failed: {}", format_causes(&error));
                refused = Some(error).filter(Error::is_auth_refusal);
                Err(why)
            }
        },
        _ => Ok(()),
    };
    let status = status.map_err(|error| {
        let why = format_causes(&error);
        refused = Some(error).filter(Error::is_auth_refusal);
        why
    });
    let address = Some(endpoint);
    (
        index,
        MemberObservation {
            endpoint: shown,
            address,
            name: String::new(),
            status,
            read,
            refused,
            alarms: Vec::new(),
            probes: None,
        },
    )
}

/// The error in one line: the causes of unreachable endpoints without their names.
pub fn format_causes(error: &Error) -> String {
    match error {
        Error::Unreachable { failures } => {
            failures.iter().map(|failure| failure.cause.clone()).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}
