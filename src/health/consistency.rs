//! Compares the data of the members by their HashKV at one revision, and finds the keys in which they differ.
//!
//! The hash covers all stored revisions from the compact revision on. Members that are compacted at different revisions have
//! different hashes for the same data, so that only answers with one compact revision are compared.

use std::time::Duration;

use super::comparable::{ComparableMember, ask_all};
use super::differences::{KeyDifference, compare_listings};
use super::error::ScanError;
use super::scan::{QuorumEvidence, format_causes, scan_cluster};
use crate::kvstore::{Error, Refusal, Revision, Store};
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
    /// The first keys in which members differ, in order.
    pub differences: Vec<KeyDifference>,
    /// How many keys differ.
    pub difference_count: u64,
    /// Why the verdict is what it is, unless the members are consistent.
    pub why: Option<String>,
}

impl ConsistencyReport {
    /// The endpoints that do not have the hash of most members. Empty if all hashes are equal, or if no hash is in the majority.
    pub fn deviating(&self) -> Vec<&MemberHash> {
        let answers: Vec<(u32, Revision)> =
            self.members.iter().filter_map(|member| member.result.clone().ok()).collect();
        let votes = |answer: &(u32, Revision)| answers.iter().filter(|other| *other == answer).count();
        let majority = answers.iter().copied().find(|answer| votes(answer) * 2 > answers.len());
        let deviates =
            |member: &&MemberHash| matches!((&member.result, majority), (Ok(own), Some(most)) if *own != most);
        self.members.iter().filter(deviates).collect()
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
        let revision = statuses.iter().flatten().flatten().map(|status| status.revision).min().unwrap_or(0);
        let answers = ask_all(members, move |store| async move {
            let answer = store.hash_kv(revision).await?;
            Ok((answer.hash, answer.compact_revision))
        });
        let mut found = Self {
            revision,
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
                    found.is_outrun |=
                        error.is_refusal(Refusal::Compacted) || error.is_refusal(Refusal::FutureRevision);
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
            let verdict = if self.has_one_compact_revision() {
                ConsistencyVerdict::Different
            } else {
                ConsistencyVerdict::Unknown
            };
            why.extend(self.incomplete.iter().cloned());
            return Ok(self.report(verdict, why));
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
        } else {
            why.push("all keys and values are equal, so that only older revisions differ".to_owned());
            ConsistencyVerdict::HistoryDiffers
        };
        why.extend(self.incomplete.iter().cloned());
        Ok(ConsistencyReport { differences: found.first, difference_count: found.count, ..self.report(verdict, why) })
    }

    /// What is known if the keys cannot be compared.
    fn unlocated(&self, error: &Error) -> ConsistencyReport {
        let verdict =
            if self.has_one_compact_revision() { ConsistencyVerdict::Different } else { ConsistencyVerdict::Unknown };
        let why = vec![self.disagreement(), format!("the keys cannot be compared: {}", format_causes(error))];
        self.report(verdict, why)
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
mod tests {
    use super::*;

    fn hashes(results: &[Result<(u32, Revision), &str>]) -> MemberHashes {
        let member = |(index, result): (usize, &Result<(u32, Revision), &str>)| MemberHash {
            endpoint: format!("http://m{index}"),
            id: Some(index as u64),
            name: format!("m{index}"),
            result: result.map_err(str::to_owned),
        };
        MemberHashes {
            revision: 9,
            members: results.iter().enumerate().map(member).collect(),
            addresses: results
                .iter()
                .enumerate()
                .map(|(index, _)| Endpoint::parse(&format!("http://m{index}:1"), false).ok())
                .collect(),
            is_outrun: false,
            incomplete: results.iter().filter_map(|result| result.err().map(str::to_owned)).collect(),
        }
    }

    #[test]
    fn hashes_of_one_compact_revision_are_comparable() {
        assert!(!hashes(&[Ok((1, 5)), Ok((2, 5)), Err("down")]).is_moving());
        assert!(hashes(&[Ok((1, 5)), Ok((1, 6))]).is_moving());
        assert!(!hashes(&[]).is_moving());
        let outrun = MemberHashes { is_outrun: true, ..hashes(&[Ok((1, 5)), Err("compacted")]) };
        assert!(outrun.is_moving());
    }

    #[test]
    fn the_minority_is_named() {
        let named = |results: &[Result<(u32, Revision), &str>]| {
            let report = hashes(results).report(ConsistencyVerdict::Different, vec![]);
            report.deviating().iter().map(|member| member.endpoint.clone()).collect::<Vec<_>>()
        };
        assert_eq!(named(&[Ok((1, 5)), Ok((2, 5)), Ok((1, 5))]), ["http://m1"]);
        assert_eq!(named(&[Ok((1, 5)), Ok((1, 4)), Ok((1, 5)), Err("down")]), ["http://m1"]);
        assert!(named(&[Ok((1, 5)), Ok((2, 5))]).is_empty(), "no majority");
        assert!(named(&[Ok((1, 5)), Ok((1, 5))]).is_empty());
    }

    #[test]
    fn one_listing_is_read_for_each_hash() {
        let groups = hashes(&[Ok((1, 5)), Ok((2, 5)), Ok((1, 5)), Err("down"), Ok((2, 6))]).representatives();
        let endpoints: Vec<&str> = groups.iter().map(|(endpoint, _)| endpoint.as_str()).collect();
        assert_eq!(endpoints, ["http://m0", "http://m1", "http://m4"]);
    }

    #[test]
    fn other_compact_revisions_are_named() {
        assert_eq!(hashes(&[Ok((1, 5)), Ok((2, 5))]).disagreement(), "the hashes differ");
        let text = hashes(&[Ok((1, 5)), Ok((2, 6))]).disagreement();
        assert_eq!(text, "the members are compacted at different revisions (http://m0 at 5, http://m1 at 6)");
    }
}
