//! Compares the data of the members by their HashKV at one revision, and finds the keys in which they differ.
//!
//! The hash covers all stored revisions from the compact revision on. Members that are compacted at different revisions have
//! different hashes for the same data, so that only answers with one compact revision are compared.
//!
//! From 3.6 on, a member keeps the hash that it computed at a compaction, and answers a request for that revision with it and with
//! the compact revision of before. A member that was restarted since then computes the hash again, with the new compact revision.
//! Until the next write there is no other revision at which these members can be compared.

use std::time::Duration;

use super::comparable::{ComparableMember, ask_all};
use super::differences::{KeyDifference, compare_listings};
use super::error::ScanError;
use super::scan::{QuorumEvidence, format_causes, scan_cluster};
use crate::kvstore::{Error, MemberStatus, Refusal, Revision, Store};
use crate::plural::counted;
use crate::transport::Endpoint;

/// Members apply a compaction one after the other: the hashes are requested again at most this often.
const ATTEMPTS: u32 = 6;
/// The pause before the second attempt; it grows with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How many differences a report holds.
const KEPT_DIFFERENCES: usize = 20;

/// Whether the members hold the same data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsistencyVerdict {
    /// All members have the same hash.
    Consistent,
    /// Members hold different data. Without locating, the difference may be one of the history only.
    Different,
    /// The hashes differ, but all members hold the same keys and values: older revisions differ.
    HistoryDiffers,
    /// All members hold the same keys and values. Their hashes cannot be compared, because their compact revisions differ.
    HistoryUnknown,
    /// Not all members could be compared, and those that could be have the same hash.
    Unknown,
}

impl ConsistencyVerdict {
    /// The value in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consistent => "consistent",
            Self::Different => "different",
            Self::HistoryDiffers => "history-differs",
            Self::HistoryUnknown => "history-unknown",
            Self::Unknown => "unknown",
        }
    }
}

/// One member's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberHash {
    /// The endpoint that was asked.
    pub endpoint: String,
    /// The member's ID; `None` if it did not answer.
    pub id: Option<u64>,
    /// The name in the member list; may be empty.
    pub name: String,
    /// The hash and the compact revision, or why there is none.
    pub result: Result<(u32, Revision), String>,
}

/// The comparison of all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyReport {
    /// The revision at which the members were compared; 0 if none answered.
    pub revision: Revision,
    /// The result.
    pub verdict: ConsistencyVerdict,
    /// All members.
    pub members: Vec<MemberHash>,
    /// The member that most others follow; `None` if there is no leader.
    pub leader: Option<u64>,
    /// The first keys in which members differ, in order.
    pub differences: Vec<KeyDifference>,
    /// How many keys differ.
    pub difference_count: u64,
    /// Why the verdict is what it is, unless the members are consistent.
    pub why: Option<String>,
}

impl ConsistencyReport {
    /// The answer of more than half of all members, whether the others have answered or not.
    fn majority(&self) -> Option<(u32, Revision)> {
        let answers = || self.members.iter().filter_map(|member| member.result.as_ref().ok());
        let votes = |answer: &(u32, Revision)| answers().filter(|other| *other == answer).count();
        answers().copied().find(|answer| votes(answer) * 2 > self.members.len())
    }

    /// The members whose hash differs from that of the majority of all members, with the same compact revision. Empty if there is
    /// no majority.
    pub fn deviating(&self) -> Vec<&MemberHash> {
        let Some((hash, compact)) = self.majority() else { return Vec::new() };
        let deviates = |member: &&MemberHash| matches!(member.result, Ok((own, at)) if at == compact && own != hash);
        self.members.iter().filter(deviates).collect()
    }

    /// The only member with other keys or values than the majority, and a member of the majority. `None` if it is not proved which
    /// member is wrong: without a majority, with different compact revisions, or if only older revisions differ.
    pub fn outvoted(&self) -> Option<(&MemberHash, &MemberHash)> {
        let most = self.majority()?;
        let is_comparable = |member: &MemberHash| member.result.as_ref().map_or(true, |(_, at)| *at == most.1);
        match self.deviating().as_slice() {
            [one] if self.difference_count > 0 && self.members.iter().all(is_comparable) => {
                let agrees = |member: &&MemberHash| member.result.as_ref().is_ok_and(|answer| *answer == most);
                Some((*one, self.members.iter().find(agrees)?))
            }
            _ => None,
        }
    }
}

/// Compares all members at the lowest of their revisions. With `locate`, finds the keys in which they differ.
///
/// Nothing is written. The whole store is compared, whatever the namespace. With authentication, etcd tells the hash to the role
/// `root` only.
///
/// # Errors
/// No reachable member, or a refused login or hash.
pub async fn check_consistency(store: &Store, locate: bool) -> Result<ConsistencyReport, ScanError> {
    let scan = scan_cluster(store, QuorumEvidence::None).await?;
    let members = ComparableMember::of_scan(store, &scan);
    let mut incomplete = scan.general().to_vec();
    if members.iter().all(|member| member.name.is_empty()) {
        incomplete.push("the cluster does not list its members".to_owned());
    }
    let mut attempt = 1;
    loop {
        let hashes = MemberHashes::request(&members, &incomplete).await?;
        store.uninterrupted("hash")?;
        let is_last = attempt == ATTEMPTS;
        if is_last || !hashes.is_moving() {
            match hashes.judge(store, locate).await {
                // Another compaction came in between.
                Err(error) if !is_last && error.is_refusal(Refusal::Compacted) => {}
                Err(error @ (Error::Interrupted { .. } | Error::Deadline { .. })) => return Err(error.into()),
                Err(error) => return Ok(hashes.unlocated(&error)),
                Ok(report) => return Ok(report),
            }
        }
        tokio::select! {
            biased;
            error = store.ended("hash") => return Err(error.into()),
            () = tokio::time::sleep(FIRST_PAUSE.saturating_mul(attempt)) => {}
        }
        attempt += 1;
    }
}

/// The answers of one attempt.
struct MemberHashes {
    revision: Revision,
    leader: Option<u64>,
    members: Vec<MemberHash>,
    /// The addresses of the members.
    addresses: Vec<Option<Endpoint>>,
    /// Whether a member has answered that it does not have the revision, or not any more.
    is_outrun: bool,
    /// Why not all members of the cluster can be compared.
    incomplete: Vec<String>,
}

impl MemberHashes {
    async fn request(members: &[ComparableMember], incomplete: &[String]) -> Result<Self, ScanError> {
        let statuses = ask_all(members, |store| async move { store.member_status().await }).await;
        let statuses: Vec<MemberStatus> = statuses.into_iter().flatten().flatten().collect();
        let revision = statuses.iter().map(|status| status.revision).min().unwrap_or(0);
        let leader = statuses.iter().map(|status| status.leader).find(|leader| *leader != 0);
        let answers = ask_all(members, move |store| async move {
            let answer = store.hash_kv(revision).await?;
            Ok((answer.hash, answer.compact_revision))
        });
        let mut found = Self {
            revision,
            leader,
            members: Vec::new(),
            addresses: Vec::new(),
            is_outrun: false,
            incomplete: incomplete.to_vec(),
        };
        for (member, answer) in members.iter().zip(answers.await) {
            let result = match (answer, &member.handle) {
                (Some(Ok(answer)), _) => Ok(answer),
                (Some(Err(error @ (Error::Interrupted { .. } | Error::Deadline { .. }))), _) => {
                    return Err(error.into());
                }
                (Some(Err(error)), _) if is_denied(&error) => return Err(error.into()),
                (Some(Err(error)), _) if error.is_learner_refusal() => {
                    Err("the member is a learner, of which etcd tells no hash".to_owned())
                }
                (Some(Err(error)), _) => {
                    // A stored hash of a later revision comes as an invalid answer.
                    found.is_outrun |= error.is_refusal(Refusal::Compacted)
                        || error.is_refusal(Refusal::FutureRevision)
                        || matches!(error, Error::Protocol { .. });
                    Err(format_causes(&error))
                }
                (None, Err(why)) => Err(why.clone()),
                (None, Ok(_)) => Err("the member was not asked".to_owned()),
            };
            if let Err(why) = &result {
                found.incomplete.push(format!("{}: {why}", member.endpoint));
            }
            let (endpoint, name) = (member.endpoint.clone(), member.name.clone());
            found.members.push(MemberHash { endpoint, id: member.id, name, result });
            found.addresses.push(member.handle.as_ref().ok().map(|(address, _)| address.clone()));
        }
        Ok(found)
    }

    fn answers(&self) -> impl Iterator<Item = (u32, Revision)> {
        self.members.iter().filter_map(|member| member.result.clone().ok())
    }

    fn has_one_compact_revision(&self) -> bool {
        let first = self.answers().next().map(|(_, compact)| compact);
        self.answers().all(|(_, compact)| Some(compact) == first)
    }

    /// Whether two members with one compact revision have different hashes: their data differs, or its history.
    fn is_proved_different(&self) -> bool {
        self.answers().any(|(hash, compact)| self.answers().any(|other| other.1 == compact && other.0 != hash))
    }

    /// Whether a compaction is being applied, so that another attempt may be comparable.
    fn is_moving(&self) -> bool {
        self.is_outrun || !self.has_one_compact_revision()
    }

    /// The first member of each group with the same answer.
    fn representatives(&self) -> Vec<(String, Endpoint)> {
        let mut seen = Vec::new();
        let mut found = Vec::new();
        for (member, address) in self.members.iter().zip(&self.addresses) {
            if let (Ok(answer), Some(address)) = (&member.result, address)
                && !seen.contains(answer)
            {
                seen.push(*answer);
                found.push((member.endpoint.clone(), address.clone()));
            }
        }
        found
    }

    fn report(&self, verdict: ConsistencyVerdict, why: Vec<String>) -> ConsistencyReport {
        let why = Some(why.join("; ")).filter(|_| verdict != ConsistencyVerdict::Consistent);
        ConsistencyReport {
            revision: self.revision,
            verdict,
            members: self.members.clone(),
            leader: self.leader,
            differences: Vec::new(),
            difference_count: 0,
            why,
        }
    }

    async fn judge(&self, store: &Store, locate: bool) -> Result<ConsistencyReport, Error> {
        let groups = self.representatives();
        if groups.len() < 2 {
            let verdict = if groups.is_empty() || !self.incomplete.is_empty() {
                ConsistencyVerdict::Unknown
            } else {
                ConsistencyVerdict::Consistent
            };
            return Ok(self.report(verdict, self.incomplete.clone()));
        }
        let mut why = vec![self.disagreement()];
        if !locate {
            why.extend(self.incomplete.iter().cloned());
            return Ok(self.report(self.verdict_of_hashes(), why));
        }
        let listings = groups.into_iter().map(|(endpoint, address)| (endpoint, store.whole_member(&address))).collect();
        let found = tokio::select! {
            biased;
            error = store.ended("hash") => return Err(error),
            found = compare_listings(listings, self.revision, KEPT_DIFFERENCES) => found?,
        };
        let verdict = if found.count > 0 {
            why.push(format!("{} differ", counted(found.count, "key")).replace("1 key differ", "1 key differs"));
            ConsistencyVerdict::Different
        } else if self.is_proved_different() {
            why.push("all keys and values are equal, so that only older revisions differ".to_owned());
            ConsistencyVerdict::HistoryDiffers
        } else {
            why.push("all keys and values are equal; the history cannot be compared before the next write".to_owned());
            match self.incomplete.is_empty() {
                true => ConsistencyVerdict::HistoryUnknown,
                false => ConsistencyVerdict::Unknown,
            }
        };
        why.extend(self.incomplete.iter().cloned());
        Ok(ConsistencyReport { differences: found.first, difference_count: found.count, ..self.report(verdict, why) })
    }

    /// What is known if the keys cannot be compared.
    fn unlocated(&self, error: &Error) -> ConsistencyReport {
        let why = vec![self.disagreement(), format!("the keys cannot be compared: {}", format_causes(error))];
        self.report(self.verdict_of_hashes(), why)
    }

    /// What different answers prove without the keys.
    fn verdict_of_hashes(&self) -> ConsistencyVerdict {
        if self.is_proved_different() { ConsistencyVerdict::Different } else { ConsistencyVerdict::Unknown }
    }

    /// How the answers differ, in words.
    fn disagreement(&self) -> String {
        if self.has_one_compact_revision() {
            return "the hashes differ".to_owned();
        }
        let each = self.members.iter().filter_map(|member| {
            let (_, compact) = member.result.as_ref().ok()?;
            Some(format!("{} at {compact}", member.endpoint))
        });
        format!("the members are compacted at different revisions ({})", each.collect::<Vec<_>>().join(", "))
    }
}

/// Whether etcd refuses the hash to this user.
fn is_denied(error: &Error) -> bool {
    [Refusal::Permission, Refusal::NoUser, Refusal::BadPassword].into_iter().any(|kind| error.is_refusal(kind))
}

#[cfg(test)]
mod tests;
