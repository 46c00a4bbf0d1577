//! Plans the steps and their preconditions. No I/O.

use crate::error::{Exit, Failure};
use crate::health::{ClusterScan, MemberObservation};
use crate::kvstore::{Alarm, MemberStatus, Revision, parse_hex};
use crate::plural::grouped;
use crate::transport::Endpoint;

/// A member with a larger lag in raft entries is not caught up. etcd refuses requests at a lag of 5000.
const MAX_RAFT_LAG: u64 = 1000;
pub const NOSPACE: &str = "NOSPACE";
pub const CORRUPT: &str = "CORRUPT";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactTarget {
    At(Revision),
    /// This number of revisions before the current one.
    Keep(Revision),
}

impl CompactTarget {
    /// The revision to compact at; `None` if the store has no more revisions than are kept.
    pub fn revision(self, current: Revision) -> Option<Revision> {
        match self {
            Self::At(revision) => Some(revision),
            Self::Keep(keep) => Some(current.saturating_sub(keep)).filter(|target| *target >= 1),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Headroom {
    Yes,
    /// The server does not report its quota (before 3.6).
    Unknown,
    /// No space; the reason and the remedy.
    No(String),
}

/// Whether a member has space. etcd compares the quota with the size of the database file, not with the bytes in use.
pub fn headroom(status: &MemberStatus) -> Headroom {
    let Some(quota) = status.quota else { return Headroom::Unknown };
    let (size, in_use) = (status.db_size, status.db_in_use);
    let (shown_size, shown_in_use, shown_quota) = (grouped(size), grouped(in_use), grouped(quota));
    if size < quota {
        Headroom::Yes
    } else if in_use < quota {
        Headroom::No(format!(
            "the database has {shown_size} of {shown_quota} bytes, of which {shown_in_use} are in use: defragment it first (--defrag)"
        ))
    } else {
        Headroom::No(format!(
            "{shown_in_use} of {shown_quota} bytes are in use: delete keys, then 'kvadm compact --reclaim', or start etcd with a \
             larger quota"
        ))
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClearableAlarms {
    pub clear: Vec<u64>,
    /// Why the others remain, one line each.
    pub remaining: Vec<String>,
}

/// Judges each alarm by its member's space. The alarm of a removed member can be cleared.
pub fn alarms(raised: &[Alarm], scan: &ClusterScan) -> ClearableAlarms {
    let mut found = ClearableAlarms::default();
    for alarm in raised.iter().filter(|alarm| alarm.kind == NOSPACE) {
        let known = scan.members.iter().find_map(|member| {
            let status = member.status.as_ref().ok()?;
            (status.id == alarm.member).then_some((member, status))
        });
        let unreachable = scan.members.iter().find(|member| member.status.is_err());
        match (known, unreachable) {
            (Some((member, status)), _) => match headroom(status) {
                Headroom::Yes | Headroom::Unknown => found.clear.push(alarm.member),
                Headroom::No(why) => found.remaining.push(format!("{}: NOSPACE remains: {why}", member.endpoint)),
            },
            (None, Some(unreachable)) => {
                let why = format!("its space is unknown, because {} does not respond", unreachable.endpoint);
                found.remaining.push(format!("member {:x}: NOSPACE remains: {why}", alarm.member));
            }
            (None, None) => found.clear.push(alarm.member),
        }
    }
    found
}

/// The IDs of the members that the command line names, by a hex ID, a name or a URL; all if it names none.
///
/// # Errors
/// A text that names no member, or several.
pub fn named_members(named: &[String], scan: &ClusterScan) -> Result<Vec<u64>, Failure> {
    if named.is_empty() {
        return Ok(answering(scan).map(|(_, status)| status.id).collect());
    }
    let mut ids = Vec::new();
    for text in named {
        let names = |member: &MemberObservation, id: Option<u64>| {
            let endpoint = Endpoint::parse(text, member.endpoint.starts_with("https://"));
            member.name == *text
                || id.is_some_and(|id| parse_hex(text) == Some(id))
                || endpoint.is_ok_and(|endpoint| endpoint.to_string() == member.endpoint)
        };
        let known = || scan.members.iter().map(|member| (member, member.status.as_ref().ok()));
        let mut found: Vec<Option<u64>> = known()
            .filter(|(member, status)| names(member, status.map(|status| status.id)))
            .map(|(_, status)| status.map(|status| status.id))
            .collect();
        found.sort_unstable();
        found.dedup();
        // An endpoint that does not respond may be another address of a member that does.
        if found.iter().any(Option::is_some) {
            found.retain(Option::is_some);
        }
        let shown = text.escape_debug();
        match found.as_slice() {
            [Some(id)] => ids.extend((!ids.contains(id)).then_some(*id)),
            [None] => {
                let failure =
                    Failure::new(Exit::Unreachable, format!("--member: the member '{shown}' does not respond"));
                return Err(failure.hint("start it again, or run 'kvadm status' to see why it does not respond"));
            }
            [] => {
                let all = answering(scan).map(|(member, status)| match member.name.as_str() {
                    "" => format!("{:x} ({})", status.id, member.endpoint),
                    name => format!("{name} ({:x}, {})", status.id, member.endpoint),
                });
                let all = all.collect::<Vec<_>>().join(", ");
                return Err(Failure::usage(format!(
                    "--member: no member has the ID, name or URL '{shown}'; the members are {all}"
                )));
            }
            _ => {
                let what = format!("--member: several members are called '{shown}': use their IDs or URLs");
                return Err(Failure::usage(what));
            }
        }
    }
    Ok(ids)
}

/// The member to defragment next: followers in their order, the leader last.
pub fn next_member(left: &[u64], leader: u64) -> Option<u64> {
    left.iter().find(|id| **id != leader).or_else(|| left.first()).copied()
}

/// The leader that most members report; 0 for none.
pub fn leader(scan: &ClusterScan) -> u64 {
    let seen: Vec<u64> = answering(scan).map(|(_, status)| status.leader).collect();
    let votes = |leader: &u64| seen.iter().filter(|other| *other == leader).count();
    seen.iter().copied().max_by_key(votes).unwrap_or(0)
}

/// The next leader: the other voting member that has applied the most.
pub fn successor(scan: &ClusterScan, leader: u64) -> Option<u64> {
    let voters = answering(scan).filter(|(member, status)| {
        status.id != leader && !status.learner && status.leader == leader && member.read.is_ok()
    });
    voters.max_by_key(|(_, status)| status.raft_applied).map(|(_, status)| status.id)
}

/// The members that answer, each once, although several endpoints may belong to one.
pub fn answering(scan: &ClusterScan) -> impl Iterator<Item = (&MemberObservation, &MemberStatus)> {
    let mut seen = Vec::new();
    scan.members.iter().filter_map(move |member| {
        let status = member.status.as_ref().ok()?;
        if seen.contains(&status.id) {
            return None;
        }
        seen.push(status.id);
        Some((member, status))
    })
}

/// Whether this silent endpoint is not an advertised address of a member, so that no member is missing without it.
pub fn is_unlisted(member: &MemberObservation, scan: &ClusterScan) -> bool {
    member.status.is_err() && member.name.is_empty() && answering(scan).any(|(member, _)| !member.name.is_empty())
}

/// Whether a member has raised an alarm of this kind.
pub fn raised(scan: &ClusterScan, kind: &str) -> bool {
    scan.members.iter().any(|member| member.alarms.iter().any(|alarm| alarm == kind))
        || scan.general().iter().any(|text| text.ends_with(kind))
}

/// Reasons against taking a member out of service, one line each. A full database is not one of them.
pub fn problems(scan: &ClusterScan) -> Vec<String> {
    let mut problems: Vec<String> = scan.general().iter().filter(|text| !text.ends_with(NOSPACE)).cloned().collect();
    for member in &scan.members {
        match &member.status {
            Ok(status) => problems.extend(member_problems(member, status, scan)),
            Err(_) if is_unlisted(member, scan) => {}
            Err(why) => problems.push(format!("{}: {why}", member.endpoint)),
        }
    }
    problems
}

/// [`problems`] of these members only.
pub fn problems_among(scan: &ClusterScan, ids: &[u64]) -> Vec<String> {
    let found = |id: u64| answering(scan).find(|(_, status)| status.id == id);
    let of = |id: &u64| match found(*id) {
        Some((member, status)) => member_problems(member, status, scan),
        None => vec![format!("member {id:x} does not respond")],
    };
    ids.iter().flat_map(of).collect()
}

fn member_problems(member: &MemberObservation, status: &MemberStatus, scan: &ClusterScan) -> Vec<String> {
    let of = |what: &str| format!("{}: {what}", member.endpoint);
    let mut problems: Vec<String> =
        status.errors.iter().filter(|error| !error.contains(NOSPACE)).map(|error| of(error.trim())).collect();
    if status.leader == 0 {
        problems.push(of("has no leader"));
    } else if status.leader != leader(scan) {
        problems.push(of("reports a different leader than most members"));
    }
    if let Err(why) = &member.read {
        problems.push(of(why));
    }
    // etcd also lists alarms among its errors.
    if status.errors.is_empty() {
        let other = member.alarms.iter().filter(|alarm| *alarm != NOSPACE);
        problems.extend(other.map(|alarm| of(&format!("alarm {alarm}"))));
    }
    let furthest = answering(scan).map(|(_, status)| status.raft_index).max().unwrap_or(0);
    let behind = furthest.saturating_sub(status.raft_applied);
    if behind > MAX_RAFT_LAG {
        problems.push(of(&format!("is {behind} raft entries behind")));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_revisions_count_back_from_the_current_one() {
        assert_eq!(CompactTarget::Keep(0).revision(42), Some(42));
        assert_eq!(CompactTarget::Keep(41).revision(42), Some(1));
        assert_eq!(CompactTarget::Keep(42).revision(42), None);
        assert_eq!(CompactTarget::Keep(Revision::MAX).revision(42), None);
        assert_eq!(CompactTarget::At(99).revision(42), Some(99), "never rounded down");
    }

    #[test]
    fn followers_go_first_and_the_leader_last() {
        let mut left = vec![1, 2, 3];
        let mut order = Vec::new();
        while let Some(id) = next_member(&left, 1) {
            order.push(id);
            left.retain(|other| *other != id);
        }
        assert_eq!(order, [2, 3, 1]);
        assert_eq!(next_member(&[], 1), None);
        assert_eq!(next_member(&[2, 3], 0), Some(2), "nobody leads");
    }

    #[test]
    fn the_quota_limits_the_file_and_not_the_bytes_in_use() {
        let status = |db_size, db_in_use, quota| MemberStatus {
            cluster: 1,
            id: 1,
            version: String::new(),
            db_size,
            db_in_use,
            quota,
            leader: 1,
            raft_term: 1,
            raft_index: 1,
            raft_applied: 1,
            learner: false,
            revision: 1,
            errors: Vec::new(),
            storage_version: None,
            downgrade: None,
            latency: std::time::Duration::ZERO,
        };
        let says = |status, word: &str| matches!(headroom(&status), Headroom::No(why) if why.contains(word));
        assert_eq!(headroom(&status(9, 9, None)), Headroom::Unknown);
        assert_eq!(headroom(&status(9, 9, Some(10))), Headroom::Yes);
        assert!(says(status(10, 9, Some(10)), "defragment"));
        assert!(says(status(10, 10, Some(10)), "delete keys"));
    }
}
