//! The cluster's members and their status.

use std::time::Duration;

use etcd_client::{AlarmAction, AlarmType};
use tokio::time::Instant;

use crate::kvstore::cluster::downgrade::DowngradeState;
use crate::kvstore::error::Error;
use crate::kvstore::request::Request;
use crate::kvstore::store::Store;
use crate::kvstore::types::Revision;

/// etcd writes member IDs in decimal here (`memberID:10276657743932975437 alarm:NOSPACE`), and in hex everywhere else.
fn with_hex_ids(error: &str) -> String {
    const NAME: &str = "memberID:";
    let mut parts = error.split(NAME);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = part.strip_suffix(rest).unwrap_or_default();
        let id = digits.parse::<u64>().map_or_else(|_| digits.to_owned(), |id| format!("{id:x}"));
        text + NAME + &id + rest
    })
}

/// A member as listed by the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The member's ID.
    pub id: u64,
    /// The member's name; empty until it has started.
    pub name: String,
    /// The URLs at which the other members reach it.
    pub peer_urls: Vec<String>,
    /// The URLs it advertises to clients.
    pub client_urls: Vec<String>,
    /// Whether the member is a learner, which has no vote.
    pub learner: bool,
}

/// The cluster's member list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// The cluster's ID.
    pub cluster: u64,
    /// All members, started or not.
    pub members: Vec<Member>,
}

/// The status that a member reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The cluster's ID.
    pub cluster: u64,
    /// The member's ID.
    pub id: u64,
    /// The member's etcd version.
    pub version: String,
    /// The database file's size in bytes.
    pub db_size: u64,
    /// The bytes in use of the database file.
    pub db_in_use: u64,
    /// The quota in bytes; `None` if the server does not report it (etcd < 3.6).
    pub quota: Option<u64>,
    /// The leader's ID as known by this member; 0 for none.
    pub leader: u64,
    /// The raft term.
    pub raft_term: u64,
    /// The last raft index.
    pub raft_index: u64,
    /// The applied raft index.
    pub raft_applied: u64,
    /// Whether the member is a learner.
    pub learner: bool,
    /// The latest revision applied by this member.
    pub revision: Revision,
    /// The errors that the member reports.
    pub errors: Vec<String>,
    /// The version of the database's format; `None` if the server does not report it (etcd < 3.6).
    pub storage_version: Option<String>,
    /// Whether a downgrade is enabled; `None` if the server does not report it (etcd < 3.6).
    pub downgrade: Option<DowngradeState>,
    /// The time from request to response, without the dial and the login.
    pub latency: Duration,
}

/// A raised alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The member's ID.
    pub member: u64,
    /// `NOSPACE`, `CORRUPT`, or `alarm N` for a type that kvadm does not know.
    pub kind: String,
}

impl Store {
    /// The cluster's member list. Works without a leader.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn members(&self) -> Result<Members, Error> {
        let request = Request { needs_leader: false, ..Request::read("member list", &[]) };
        let answer =
            self.call(request, |client| async move { client.cluster_client().member_list().await }).await?.value;
        let cluster = answer.header().map_or(0, etcd_client::ResponseHeader::cluster_id);
        let member = |member: &etcd_client::Member| Member {
            id: member.id(),
            name: member.name().to_owned(),
            peer_urls: member.peer_urls().to_vec(),
            client_urls: member.client_urls().to_vec(),
            learner: member.is_learner(),
        };
        Ok(Members { cluster, members: answer.members().iter().map(member).collect() })
    }

    /// The status of the member in use; [`Store::pinned`] selects the member. Works without a leader.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn member_status(&self) -> Result<MemberStatus, Error> {
        // The latency includes neither the dial nor the login.
        match self.ensure_ready("status").await {
            // The request dials again for as long as --connect-wait says.
            Err(Error::Unreachable { .. }) if self.options().connect_wait.is_some() => {}
            ready => ready?,
        }
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
            errors: answer.errors().iter().map(|error| with_hex_ids(error)).collect(),
            storage_version: Some(answer.storage_version().to_owned()).filter(|version| !version.is_empty()),
            downgrade: answer.0.downgrade_info.as_ref().map(|info| match info.enabled {
                true => DowngradeState::Enabled {
                    target: Some(info.target_version.clone()).filter(|target| !target.is_empty()),
                },
                false => DowngradeState::Disabled,
            }),
            latency: sent.elapsed(),
        })
    }

    /// The raised alarms. etcd answers through raft.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, Error> {
        let request = Request { needs_leader: false, ..Request::read("alarm list", &[]) };
        let answer = self
            .call(request, |client| async move {
                client.maintenance_client().alarm(AlarmAction::Get, AlarmType::None, None).await
            })
            .await?
            .value;
        // The client library's AlarmType must not be read: the library copies the number without a check, and a number that
        // is not a variant is undefined behavior.
        let kind = |number: i32| match number {
            0 => "NONE".to_owned(),
            1 => "NOSPACE".to_owned(),
            2 => "CORRUPT".to_owned(),
            other => format!("alarm {other}"),
        };
        Ok(answer.0.alarms.iter().map(|one| Alarm { member: one.member_id, kind: kind(one.alarm) }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_ids_in_errors_are_hex() {
        let shown = with_hex_ids("memberID:10276657743932975437 alarm:NOSPACE ");
        assert_eq!(shown, "memberID:8e9e05c52164694d alarm:NOSPACE ");
        assert_eq!(with_hex_ids("memberID:1 memberID:255"), "memberID:1 memberID:ff");
        for other in ["etcdserver: no leader", "memberID:", "memberID:x", "memberID:99999999999999999999 y"] {
            assert_eq!(with_hex_ids(other), other);
        }
    }
}
