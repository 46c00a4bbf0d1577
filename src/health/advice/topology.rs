//! Advice about the members and their agreement.

use std::collections::BTreeSet;

use super::facts::{Certainty, ClusterFacts, DataComparison, Recommendation, Urgency, member_name};
use crate::health::scan::ClusterHealth;
use crate::plural::counted;

/// A member with a larger lag in raft entries is not caught up.
const NOTABLE_RAFT_LAG: u64 = 1000;
/// etcd refuses requests at a larger lag (`maxGapBetweenApplyAndCommitIndex` in its server).
const MAX_RAFT_LAG: u64 = 5000;

pub(super) fn judge(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    quorum(facts, found);
    voters(facts, found);
    learners(facts, found);
    not_started(facts, found);
    agreement(facts, found);
    lag(facts, found);
    data(facts, found);
}

fn voters_of(facts: &ClusterFacts) -> usize {
    facts.listed.iter().filter(|member| !member.learner).count()
}

fn quorum(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    let voters = voters_of(facts);
    let majority = voters / 2 + 1;
    let serving = facts.members.iter().filter(|member| !member.status.learner && member.status.leader != 0).count();
    let silent: Vec<String> = facts.silent.iter().map(|(endpoint, why)| format!("{endpoint}: {why}")).collect();
    if facts.health == ClusterHealth::NoQuorum {
        let advice = Recommendation::new("no-quorum", Urgency::Critical, Certainty::Certain, "cluster")
            .finding("the cluster has no quorum")
            .why("without a majority of the voting members it serves neither writes nor linearizable reads")
            .remedy(match silent.is_empty() {
                true => "check the connections between the members' peer addresses, and their logs".to_owned(),
                false => format!("start these members, or repair their connections: {}", silent.join("; ")),
            });
        found.push(match silent.is_empty() {
            true => advice.kvadm(["status", "--diagnose"]),
            false => advice.kvadm_at(facts.silent_endpoints(), ["status", "--diagnose"]),
        });
        return;
    }
    if facts.silent.is_empty() {
        return;
    }
    let is_last = voters > 0 && serving <= majority;
    let urgency = if is_last { Urgency::Critical } else { Urgency::Warning };
    let endpoints: Vec<&str> = facts.silent.iter().map(|(endpoint, _)| endpoint.as_str()).collect();
    let why = if is_last {
        format!(
            "{serving} of {} serve, which is the least that a quorum needs: one more failure stops the cluster",
            counted(voters, "voting member")
        )
    } else {
        "the cluster tolerates fewer failures until the member is back".to_owned()
    };
    found.push(
        Recommendation::new("member-down", urgency, Certainty::Likely, endpoints.join(", "))
            .finding(format!("no answer: {}", silent.join("; ")))
            .why(why)
            .remedy("start the member, repair its connection, or replace it; it may also be unreachable from here only")
            .kvadm_at(facts.silent_endpoints(), ["status", "--diagnose"]),
    );
}

/// The members' data.
fn data(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    match &facts.comparison {
        DataComparison::Equal => {}
        DataComparison::Different(deviating) => {
            let subject = if deviating.is_empty() { "cluster".to_owned() } else { deviating.join(", ") };
            found.push(
                Recommendation::new("data", Urgency::Critical, Certainty::Certain, subject)
                    .finding(match deviating.is_empty() {
                        true => "the members hold different data",
                        false => "the member holds other data than the majority",
                    })
                    .why("a client reads other values, depending on the member that it asks; an election may keep the wrong ones")
                    .remedy("find the keys that differ; the command also says how to repair the member")
                    .kvadm(["status", "--consistency"]),
            );
        }
        DataComparison::Unknown(why) => found.push(
            Recommendation::new("data", Urgency::Suggestion, Certainty::Possible, "cluster")
                .finding(format!("data not compared: {why}"))
                .why("kvadm cannot say whether the members hold the same data")
                .remedy("compare the data of the members")
                .kvadm(["status", "--consistency"]),
        ),
    }
}

fn voters(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    let voters = voters_of(facts);
    let advice = |urgency| {
        Recommendation::new("voters", urgency, Certainty::Certain, "cluster").finding(counted(voters, "voting member"))
    };
    match voters {
        0 => {}
        1 => found.push(
            advice(Urgency::Suggestion)
                .why("the loss of the member is the loss of the cluster, and of all data since the last backup")
                .remedy("run three members, or save snapshots often")
                .kvadm(["snapshot", "save", "backup.db"]),
        ),
        even if even % 2 == 0 => {
            let tolerated = (even - 1) / 2;
            let urgency = if even == 2 { Urgency::Warning } else { Urgency::Suggestion };
            found.push(
                advice(urgency)
                    .why(format!(
                        "{even} members tolerate {}, as {} do, but each write waits for more of them{}",
                        counted(tolerated, "failure"),
                        even - 1,
                        if even == 2 { "; the loss of either one stops the cluster" } else { "" }
                    ))
                    .remedy(format!("add a member or remove one: {} or {}", even + 1, even - 1))
                    .kvadm(["member", "list"]),
            );
        }
        many if many > 7 => found.push(
            advice(Urgency::Suggestion)
                .why("each write waits for a majority; etcd recommends at most seven members")
                .remedy("remove members")
                .kvadm(["member", "list"]),
        ),
        _ => {}
    }
}

fn learners(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    let furthest = facts.members.iter().map(|member| member.status.raft_index).max().unwrap_or(0);
    for member in facts.listed.iter().filter(|member| member.learner) {
        let own = facts.members.iter().find(|other| other.status.id == member.id);
        let lag = own.map(|own| furthest.saturating_sub(own.status.raft_applied));
        let advice = |certainty| {
            Recommendation::new("learner", Urgency::Suggestion, certainty, member_name(member))
                .why("a learner has no vote: the cluster tolerates no more failures with it than without it")
        };
        found.push(match lag {
            Some(lag) if lag <= NOTABLE_RAFT_LAG => advice(Certainty::Possible)
                .finding("the learner has caught up")
                .remedy("promote the learner, unless it was added a moment ago or is meant to stay one")
                .member("promote", member.id),
            Some(lag) => advice(Certainty::Possible)
                .finding(format!("the learner is {lag} raft entries behind"))
                .remedy("wait until it has caught up, then promote it"),
            None => advice(Certainty::Likely)
                .finding("the learner does not answer")
                .remedy("start the learner, or remove it")
                .member("remove", member.id),
        });
    }
}

fn not_started(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    for member in facts.listed.iter().filter(|member| member.name.is_empty() && member.client_urls.is_empty()) {
        let subject = member_name(member);
        found.push(
            Recommendation::new("not-started", Urgency::Warning, Certainty::Certain, subject)
                .finding("the member was added, but has never started")
                .why("a voting member counts for the majority whether it runs or not")
                .remedy("start it with --initial-cluster-state=existing, or remove it")
                .member("remove", member.id),
        );
    }
}

fn agreement(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    let statuses = || facts.members.iter().map(|member| &member.status);
    let clusters: BTreeSet<u64> = statuses().map(|status| status.cluster).collect();
    if clusters.len() > 1 {
        let ids: Vec<String> = clusters.iter().map(|id| format!("{id:x}")).collect();
        found.push(
            Recommendation::new("clusters", Urgency::Critical, Certainty::Certain, "endpoints")
                .finding(format!("the endpoints belong to different clusters: {}", ids.join(", ")))
                .why("a command may read or write in either of them")
                .remedy("list endpoints of one cluster only")
                .kvadm(["config"]),
        );
    }
    let leaderless = || facts.members.iter().filter(|member| member.status.leader == 0);
    let leaderless_endpoints = ClusterFacts::endpoints(leaderless()).replace(", ", ",");
    if leaderless().next().is_some() && facts.health != ClusterHealth::NoQuorum {
        found.push(
            Recommendation::new(
                "no-leader",
                Urgency::Warning,
                Certainty::Certain,
                ClusterFacts::endpoints(leaderless()),
            )
            .finding("the member has no leader")
            .why("it serves neither writes nor linearizable reads; clients that use it fail")
            .remedy("check its connections to the peer addresses of the other members")
            .kvadm_at(leaderless_endpoints, ["status", "--diagnose"]),
        );
    }
    let leaders: BTreeSet<u64> = statuses().map(|status| status.leader).filter(|leader| *leader != 0).collect();
    let terms: BTreeSet<u64> = statuses().map(|status| status.raft_term).collect();
    if clusters.len() == 1 && (leaders.len() > 1 || terms.len() > 1) {
        found.push(
            Recommendation::new("leader-change", Urgency::Warning, Certainty::Possible, "cluster")
                .finding("the members name different leaders or terms")
                .why("an election takes place just now, or a member is cut off; frequent elections stop writes")
                .remedy(
                    "run the command again; if the terms keep rising, check the disks and the network of the members",
                )
                .kvadm(["status", "-o", "json"]),
        );
    }
}

fn lag(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    let furthest = facts.members.iter().map(|member| member.status.raft_index).max().unwrap_or(0);
    for member in facts.members.iter().filter(|member| !member.status.learner) {
        let behind = furthest.saturating_sub(member.status.raft_applied);
        if behind <= NOTABLE_RAFT_LAG {
            continue;
        }
        let urgency = if behind > MAX_RAFT_LAG { Urgency::Critical } else { Urgency::Warning };
        found.push(
            Recommendation::new("raft-lag", urgency, Certainty::Likely, member.endpoint.clone())
                .finding(format!("{behind} raft entries behind"))
                .why("the member applies entries too slowly, or catches up after a restart; etcd refuses requests from 5000 on")
                .remedy("check its disk and CPU; run the command again to see whether it catches up")
                .kvadm(["status"]),
        );
    }
}
