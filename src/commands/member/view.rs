//! The cluster as the member list and the members themselves describe it.

use std::time::Duration;

use tokio::time::Instant;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{ClusterHealth, ClusterScan, QuorumEvidence, VoterCount, scan_cluster};
use crate::kvstore::{Member, MemberStatus, Members, Store};
use crate::transport::{Endpoint, Scheme};

/// How long a cluster may be without a leader before it counts as one without a quorum: several times etcd's default election
/// timeout of one second.
const ELECTION: Duration = Duration::from_secs(4);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A member, and what it says of itself.
pub struct MemberView {
    pub member: Member,
    /// `None` if it does not answer.
    pub status: Option<MemberStatus>,
    /// Where it has answered.
    pub address: Option<Endpoint>,
    /// `healthy`, `unhealthy` or `unreachable`; `None` if it has not started.
    pub health: Option<&'static str>,
    /// Whether it takes part in the quorum: it has a leader and serves reads.
    pub answers: bool,
}

impl MemberView {
    /// Whether the process has ever joined: etcd then knows its name or its client URLs.
    pub fn started(&self) -> bool {
        !self.member.name.is_empty() || !self.member.client_urls.is_empty()
    }

    /// The name, or the ID of a member without one.
    pub fn name(&self) -> String {
        if self.member.name.is_empty() { format!("{:x}", self.member.id) } else { self.member.name.clone() }
    }

    /// `m2 (8e9e05c52164694d)`.
    pub fn label(&self) -> String {
        if self.member.name.is_empty() {
            format!("{:x}", self.member.id)
        } else {
            format!("{} ({:x})", self.member.name, self.member.id)
        }
    }
}

/// All members.
pub struct ClusterView {
    pub cluster: u64,
    pub members: Vec<MemberView>,
    /// The leader that most members report; 0 for none.
    pub leader: u64,
}

impl ClusterView {
    /// Scans the members and reads the member list, which needs a quorum.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] without a quorum.
    pub async fn load(ctx: &Context) -> Result<Self, Failure> {
        let end = Instant::now() + ELECTION;
        let scan = loop {
            let scan = scan_cluster(ctx.store(), QuorumEvidence::Reads).await?;
            if scan.verdict() != ClusterHealth::NoQuorum || Instant::now() >= end {
                break scan;
            }
            ctx.sleep(POLL_INTERVAL).await?;
        };
        if scan.verdict() == ClusterHealth::NoQuorum {
            return Err(without_quorum(&scan));
        }
        let members = ctx.store().current_members().await?;
        Ok(Self::of(&members, scan))
    }

    /// As [`ClusterView::load`], without a quorum: one member lists what it knows.
    ///
    /// # Errors
    /// No reachable member, or a refused login.
    pub async fn load_serializable(ctx: &Context) -> Result<Self, Failure> {
        let scan = scan_cluster(ctx.store(), QuorumEvidence::None).await?;
        let answering = scan.members.iter().find(|member| member.status.is_ok());
        let members = match (ctx.store().members().await, answering.and_then(|member| member.address.as_ref())) {
            (Ok(members), _) => members,
            (Err(_), Some(address)) => ctx.store().member(address).members().await?,
            (Err(error), None) => return Err(error.into()),
        };
        Ok(Self::of(&members, scan))
    }

    fn of(members: &Members, scan: ClusterScan) -> Self {
        let cluster = members.cluster;
        let mut views: Vec<MemberView> = members
            .members
            .iter()
            .map(|member| MemberView {
                member: member.clone(),
                status: None,
                address: None,
                health: None,
                answers: false,
            })
            .collect();
        for observation in scan.members {
            let health = observation.row(None).health;
            let Ok(status) = observation.status else { continue };
            let Some(view) = views.iter_mut().find(|view| view.member.id == status.id && view.status.is_none()) else {
                continue;
            };
            view.health = Some(health);
            view.answers = status.leader != 0 && observation.read.is_ok();
            view.address = observation.address;
            view.status = Some(status);
        }
        for view in views.iter_mut().filter(|view| view.started() && view.status.is_none()) {
            view.health = Some("unreachable");
        }
        let seen: Vec<u64> = views.iter().filter_map(|view| Some(view.status.as_ref()?.leader)).collect();
        let votes = |leader: &u64| seen.iter().filter(|other| *other == leader).count();
        let leader = seen.iter().copied().max_by_key(votes).unwrap_or(0);
        Self { cluster, members: views, leader }
    }

    /// The voters, and how many of them answer.
    pub fn count(&self) -> VoterCount {
        let voters = || self.members.iter().filter(|view| !view.member.learner);
        VoterCount { voters: voters().count(), answering: voters().filter(|view| view.answers).count() }
    }

    /// Whether every voter that does not answer is one that has not started.
    pub fn only_unstarted_are_missing(&self) -> bool {
        self.members.iter().filter(|view| !view.member.learner && !view.answers).all(|view| !view.started())
    }

    pub fn find(&self, id: u64) -> Option<&MemberView> {
        self.members.iter().find(|view| view.member.id == id)
    }

    /// The voters that do not answer, but for one.
    pub fn voters_down(&self, except: u64) -> Vec<&MemberView> {
        self.members.iter().filter(|view| !view.member.learner && !view.answers && view.member.id != except).collect()
    }

    /// The voter that is best suited to lead, other than this member: the one that has applied the most.
    pub fn best_leader(&self, except: u64) -> Option<&MemberView> {
        let can_lead = |view: &&MemberView| {
            view.member.id != except && view.member.id != self.leader && !view.member.learner && view.answers
        };
        let applied = |view: &&MemberView| view.status.as_ref().map_or(0, |status| status.raft_applied);
        self.members.iter().filter(can_lead).max_by_key(applied)
    }
}

fn without_quorum(scan: &ClusterScan) -> Failure {
    let mut failure = Failure::new(
        Exit::Unreachable,
        "the cluster has no quorum, and without a quorum its members cannot be changed",
    );
    for complaint in scan.complaints() {
        failure = failure.hint(complaint);
    }
    failure
        .hint("start members again until a majority of the voters runs; 'kvadm member list --serializable' lists them")
        .hint(
            "if they are lost for good, restore a snapshot: 'etcdutl snapshot restore', or 'etcd --force-new-cluster'",
        )
}

/// The store of one member, at a URL from the member list that is safe to dial.
pub fn store_of(store: &Store, member: &Member) -> Option<Store> {
    let configured = &store.options().endpoints;
    let tls = configured.first().is_some_and(|endpoint| endpoint.scheme == Scheme::Tls);
    let urls = member.client_urls.iter().filter_map(|url| Endpoint::parse(url, tls).ok());
    urls.into_iter().find(|url| configured.contains(url) || url.is_as_safe_as(configured)).map(|url| store.member(&url))
}
