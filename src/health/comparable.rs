//! The members that can be compared with each other, and a question to all of them.

use std::future::Future;

use tokio::task::JoinSet;

use super::scan::{ClusterScan, MemberObservation};
use crate::kvstore::{Error, Store};
use crate::transport::Endpoint;

/// A member that can be compared, or why not.
pub(super) struct ComparableMember {
    pub(super) endpoint: String,
    pub(super) id: Option<u64>,
    pub(super) name: String,
    /// Where it is, and a handle that keeps its connection: a compaction may come between two requests that take long.
    pub(super) handle: Result<(Endpoint, Store), String>,
}

impl ComparableMember {
    /// Each member once, although several endpoints may belong to it. A silent endpoint that is no address of a listed member is
    /// left out if the list is known: no member is missing without it.
    pub(super) fn of_scan(store: &Store, scan: &ClusterScan) -> Vec<Self> {
        let observed = members_of(scan).into_iter().map(|member| Self {
            endpoint: member.endpoint.clone(),
            id: member.status.as_ref().ok().map(|status| status.id),
            name: member.name.clone(),
            handle: match (&member.status, &member.address) {
                (Ok(_), Some(address)) => Ok((address.clone(), store.member(address))),
                (Ok(_), None) => Err("the member has no address that may be dialed".to_owned()),
                (Err(why), _) => Err(why.clone()),
            },
        });
        observed.collect()
    }
}

/// Asks all members that can be asked at once. The answers are in the order of the members.
pub(super) async fn ask_all<T, F>(
    members: &[ComparableMember],
    ask: impl Fn(Store) -> F,
) -> Vec<Option<Result<T, Error>>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut asked: JoinSet<(usize, Result<T, Error>)> = JoinSet::new();
    for (index, member) in members.iter().enumerate() {
        if let Ok((_, store)) = &member.handle {
            let answer = ask(store.clone());
            asked.spawn(async move { (index, answer.await) });
        }
    }
    let mut answers: Vec<Option<Result<T, Error>>> = members.iter().map(|_| None).collect();
    for (index, answer) in asked.join_all().await {
        if let Some(slot) = answers.get_mut(index) {
            *slot = Some(answer);
        }
    }
    answers
}

/// The observations that [`ComparableMember`] is made of.
fn members_of(scan: &ClusterScan) -> Vec<&MemberObservation> {
    let answering = || scan.members.iter().filter(|member| member.status.is_ok());
    let is_listed = answering().any(|member| !member.name.is_empty());
    let mut ids = Vec::new();
    let mut found = Vec::new();
    for member in &scan.members {
        match &member.status {
            Ok(status) if ids.contains(&status.id) => {}
            Ok(status) => {
                ids.push(status.id);
                found.push(member);
            }
            Err(_) if is_listed && member.name.is_empty() => {}
            Err(_) if !member.name.is_empty() && answering().any(|other| other.name == member.name) => {}
            Err(_) => found.push(member),
        }
    }
    found
}
