//! Advice about alarms and the size of the databases.

use super::facts::{Certainty, ClusterFacts, MemberFacts, Recommendation, Urgency, percent, size};

/// The quota of a member that was started without --quota-backend-bytes.
const DEFAULT_QUOTA: u64 = 2 << 30;
/// A database with a smaller share of its quota, in percent, is not near it.
const NOTABLE_SHARE: u64 = 80;
/// Less free space is not worth a defragmentation.
const NOTABLE_FREE_BYTES: u64 = 100 << 20;
/// Smaller differences come from pages and the order of commits.
const NOTABLE_DIFFERENCE: u64 = 64 << 20;

pub(super) fn judge(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    for member in &facts.members {
        alarms(member, found);
        quota(member, facts.quota, found);
    }
    quota_unknown(facts, found);
    fragmentation(facts, found);
    unequal(facts, found);
}

fn alarms(member: &MemberFacts, found: &mut Vec<Recommendation>) {
    for alarm in &member.alarms {
        let advice = |urgency| {
            Recommendation::new("alarm", urgency, Certainty::Certain, member.endpoint.clone())
                .finding(format!("alarm {alarm}"))
        };
        found.push(match alarm.as_str() {
            "NOSPACE" => advice(Urgency::Critical)
                .why("the database has reached its quota: the cluster refuses all writes but deletions")
                .remedy("compact, defragment and clear the alarm; delete keys first if too many are stored")
                .kvadm(["compact", "--reclaim"]),
            "CORRUPT" => advice(Urgency::Critical)
                .why("the member's data differs from that of the others")
                .remedy("find the keys that differ; the command also says which member to repair, and how")
                .kvadm(["status", "--consistency"]),
            _ => advice(Urgency::Warning)
                .why("the member reports a problem that kvadm does not know")
                .remedy("see etcd's documentation of this alarm")
                .kvadm(["status"]),
        });
    }
}

fn quota(member: &MemberFacts, given: Option<u64>, found: &mut Vec<Recommendation>) {
    let (db_size, in_use) = (member.status.db_size, member.status.db_in_use);
    let (quota, certainty) = match member.status.quota.or(given) {
        Some(quota) => (quota, Certainty::Certain),
        None => (DEFAULT_QUOTA, Certainty::Possible),
    };
    let share = percent(db_size, quota);
    // The alarm names the command that also defragments.
    if member.alarms.iter().any(|alarm| alarm == "NOSPACE") {
        return;
    }
    if share < NOTABLE_SHARE {
        return;
    }
    let urgency = if share >= 95 && certainty == Certainty::Certain { Urgency::Critical } else { Urgency::Warning };
    let of = match certainty {
        Certainty::Certain => format!("{share} % of the quota of {}", size(quota)),
        _ => format!(
            "{share} % of etcd's default quota of {}; the member does not tell its own (before 3.6)",
            size(quota)
        ),
    };
    let advice = Recommendation::new("quota", urgency, certainty, member.endpoint.clone())
        .finding(format!("the database has {}: {of}", size(db_size)))
        .why("at the quota, the cluster refuses all writes but deletions");
    found.push(if percent(in_use, db_size) < 70 {
        advice.remedy(format!("defragment: {} are free inside the file", size(db_size.saturating_sub(in_use)))).kvadm([
            "compact",
            "--defrag",
            "--if",
            "in-use-below=70%",
        ])
    } else {
        advice
            .remedy("compact more often, delete keys, or start etcd with a larger --quota-backend-bytes")
            .kvadm(["status", "--forecast"])
    });
}

/// The members whose quota is not known, and that are not near the default quota.
fn quota_unknown(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    let is_unknown = |member: &&MemberFacts| {
        member.status.quota.is_none()
            && member.alarms.is_empty()
            && percent(member.status.db_size, DEFAULT_QUOTA) < NOTABLE_SHARE
    };
    let members: Vec<&MemberFacts> = facts.members.iter().filter(is_unknown).collect();
    if members.is_empty() || facts.quota.is_some() {
        return;
    }
    let largest = members.iter().map(|member| member.status.db_size).max().unwrap_or(0);
    found.push(
        Recommendation::new(
            "quota",
            Urgency::Suggestion,
            Certainty::Possible,
            ClusterFacts::endpoints(members.into_iter()),
        )
        .finding(format!(
            "the quota is unknown: etcd does not tell it before 3.6; the database has up to {}",
            size(largest)
        ))
        .why("at the quota, the cluster refuses all writes but deletions")
        .remedy("run it again with --quota SIZE, the value of etcd's --quota-backend-bytes (2GiB if that is not set)")
        .kvadm(["status", "--advice", "--quota", "2GiB"]),
    );
}

fn fragmentation(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    let free = |member: &MemberFacts| member.status.db_size.saturating_sub(member.status.db_in_use);
    let is_fragmented = |member: &&MemberFacts| {
        free(member) >= NOTABLE_FREE_BYTES && percent(free(member), member.status.db_size) >= 50
    };
    let Some(worst) = facts.members.iter().filter(is_fragmented).max_by_key(|member| free(member)) else { return };
    let endpoints = ClusterFacts::endpoints(facts.members.iter().filter(is_fragmented));
    found.push(
        Recommendation::new("fragmentation", Urgency::Suggestion, Certainty::Certain, endpoints)
            .finding(format!(
                "up to {} % of the database file is free ({})",
                percent(free(worst), worst.status.db_size),
                size(free(worst))
            ))
            .why("free pages count for the quota, and for the time of a snapshot or a restart")
            .remedy("defragment the members one after the other; each is out of service meanwhile")
            .kvadm(["compact", "--defrag", "--if", "in-use-below=50% and free-above=100MiB", "--pause", "30s"]),
    );
}

fn unequal(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    let in_use = || facts.members.iter().map(|member| member.status.db_in_use);
    let (Some(most), Some(least)) = (in_use().max(), in_use().min()) else { return };
    if most.saturating_sub(least) < NOTABLE_DIFFERENCE || percent(least, most) >= 67 {
        return;
    }
    found.push(
        Recommendation::new("unequal-size", Urgency::Warning, Certainty::Possible, "cluster")
            .finding(format!("the members use {} to {}", size(least), size(most)))
            .why("members with equal data use about equal space, except while a compaction is being applied")
            .remedy("compare the data of the members")
            .kvadm(["status", "--consistency"]),
    );
}
