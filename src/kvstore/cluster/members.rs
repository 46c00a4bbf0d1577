//! The members of the cluster, each asked for itself.

use std::time::Duration;

use etcd_client::{AlarmAction, AlarmType};
use tokio::time::Instant;

use crate::kvstore::error::Error;
use crate::kvstore::request::Request;
use crate::kvstore::store::Store;
use crate::kvstore::types::Revision;

/// One member as the cluster's own list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its ID.
    pub id: u64,
    /// Its name; empty while it has not started.
    pub name: String,
    /// Where it says that clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it is a learner, i.e. has no vote.
    pub learner: bool,
}

/// The cluster's list of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// The cluster's ID.
    pub cluster: u64,
    /// All members, started or not.
    pub members: Vec<Member>,
}

/// What one member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The cluster's ID.
    pub cluster: u64,
    /// The member's ID.
    pub id: u64,
    /// Its version of etcd.
    pub version: String,
    /// The database file's size in bytes.
    pub db_size: u64,
    /// How much of it is in use, in bytes.
    pub db_in_use: u64,
    /// The quota in bytes; `None` where the server does not tell (before 3.6).
    pub quota: Option<u64>,
    /// The leader's ID as this member sees it; 0 for none.
    pub leader: u64,
    /// The raft term.
    pub raft_term: u64,
    /// The raft index.
    pub raft_index: u64,
    /// The raft index it has applied.
    pub raft_applied: u64,
    /// Whether it is a learner.
    pub learner: bool,
    /// The store's revision as this member has it.
    pub revision: Revision,
    /// What it complains of itself.
    pub errors: Vec<String>,
    /// From asking to the answer, without the dial.
    pub latency: Duration,
}

/// One alarm that is raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Whose.
    pub member: u64,
    /// `NOSPACE`, `CORRUPT`, or the number of one that is not known here.
    pub kind: &'static str,
}

impl Store {
    /// The cluster's list of members. Works without a leader.
    ///
    /// # Errors
    /// Whatever kept the answer away.
    pub async fn members(&self) -> Result<Members, Error> {
        let request = Request { needs_leader: false, ..Request::read("member list", &[]) };
        let answer =
            self.call(request, |client| async move { client.cluster_client().member_list().await }).await?.value;
        let cluster = answer.header().map_or(0, etcd_client::ResponseHeader::cluster_id);
        let member = |member: &etcd_client::Member| Member {
            id: member.id(),
            name: member.name().to_owned(),
            client_urls: member.client_urls().to_vec(),
            learner: member.is_learner(),
        };
        Ok(Members { cluster, members: answer.members().iter().map(member).collect() })
    }

    /// Asks the member in use how it is; [`Store::pinned`] chooses one. Works without a leader.
    ///
    /// # Errors
    /// Whatever kept the answer away.
    pub async fn member_status(&self) -> Result<MemberStatus, Error> {
        // The dial is not the member's latency.
        self.ensure_connected("status").await?;
        let request = Request { needs_leader: false, ..Request::read("status", &[]) };
        let sent = Instant::now();
        let answer =
            self.call(request, |client| async move { client.maintenance_client().status().await }).await?.value;
        let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
        let header = answer.header();
        Ok(MemberStatus {
            cluster: header.map_or(0, etcd_client::ResponseHeader::cluster_id),
            id: header.map_or(0, etcd_client::ResponseHeader::member_id),
            version: answer.version().to_owned(),
            db_size: bytes(answer.db_size()),
            db_in_use: bytes(answer.raft_used_db_size()),
            quota: Some(bytes(answer.db_size_quota())).filter(|quota| *quota > 0),
            leader: answer.leader(),
            raft_term: answer.raft_term(),
            raft_index: answer.raft_index(),
            raft_applied: answer.raft_applied_index(),
            learner: answer.is_learner(),
            revision: header.map_or(0, etcd_client::ResponseHeader::revision),
            errors: answer.errors().to_vec(),
            latency: sent.elapsed(),
        })
    }

    /// The alarms that are raised. Works without a leader on etcd 3.4 only where the member answers by itself.
    ///
    /// # Errors
    /// Whatever kept the answer away.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, Error> {
        let request = Request { needs_leader: false, ..Request::read("alarm list", &[]) };
        let answer = self
            .call(request, |client| async move {
                client.maintenance_client().alarm(AlarmAction::Get, AlarmType::None, None).await
            })
            .await?
            .value;
        let kind = |alarm: AlarmType| match alarm {
            AlarmType::None => "NONE",
            AlarmType::Nospace => "NOSPACE",
            AlarmType::Corrupt => "CORRUPT",
        };
        let alarm = |one: &etcd_client::AlarmMember| Alarm { member: one.member_id(), kind: kind(one.alarm()) };
        Ok(answer.alarms().iter().map(alarm).collect())
    }
}
