#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use super::*;
use crate::health::certificates::{CertificateError, CertificateFact, CertificateRole};
use crate::health::scan::ClusterHealth;
use crate::kvstore::{Member, MemberStatus};
use crate::time::Time;
use crate::transport::Endpoint;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Three healthy members of a maintained version on other hosts, with a login.
fn healthy() -> ClusterFacts {
    let members: Vec<MemberFacts> = (1..=3).map(member).collect();
    let listed = (1..=3).map(listed).collect();
    let configured = vec![Endpoint::parse("https://m1:2379", true).unwrap()];
    ClusterFacts {
        now: Time::from_secs(1_790_000_000),
        health: ClusterHealth::Healthy,
        members,
        silent: Vec::new(),
        quota: None,
        comparison: DataComparison::Equal,
        listed,
        configured,
        certificates: vec![Ok(certificate(40))],
        login: LoginNeed::NeededOrUnknown,
    }
}

fn member(id: u64) -> MemberFacts {
    let status = MemberStatus {
        cluster: 9,
        id,
        version: "3.6.16".to_owned(),
        db_size: 100 * MIB,
        db_in_use: 90 * MIB,
        quota: Some(2 * GIB),
        leader: 1,
        raft_term: 4,
        raft_index: 10_000,
        raft_applied: 10_000,
        learner: false,
        revision: 5000,
        errors: Vec::new(),
        storage_version: None,
        downgrade: None,
        latency: Duration::ZERO,
    };
    MemberFacts { endpoint: format!("https://m{id}:2379"), status, alarms: Vec::new() }
}

fn listed(id: u64) -> Member {
    Member {
        id,
        name: format!("m{id}"),
        peer_urls: Vec::new(),
        client_urls: vec![format!("https://m{id}:2379")],
        learner: false,
    }
}

fn certificate(days: i64) -> CertificateFact {
    CertificateFact {
        endpoint: Some("https://m1:2379".to_owned()),
        file: None,
        role: CertificateRole::Server,
        subject: "CN=m1".to_owned(),
        not_after: Time::from_secs(1_790_000_000 + days * 86_400),
    }
}

/// The rule, the urgency and the certainty of each piece of advice after a change of the healthy cluster.
fn after(change: impl FnOnce(&mut ClusterFacts)) -> Vec<(&'static str, Urgency, Certainty)> {
    let mut facts = healthy();
    change(&mut facts);
    advise(&facts).iter().map(|advice| (advice.rule, advice.urgency, advice.certainty)).collect()
}

use Certainty::{Certain, Likely, Possible};
use Urgency::{Critical, Suggestion, Warning};

#[test]
fn a_healthy_cluster_needs_no_advice() {
    assert_eq!(after(|_| ()), []);
}

#[test]
fn every_piece_of_advice_is_complete() {
    let mut facts = healthy();
    facts.members[0].alarms = vec!["NOSPACE".to_owned(), "CORRUPT".to_owned(), "alarm 7".to_owned()];
    facts.members[0].status.version = "3.5.1".to_owned();
    facts.members[1].status.version = "?".to_owned();
    facts.members[2].status.raft_applied = 1;
    facts.members[2].status.db_size = 2 * GIB;
    facts.members[2].status.leader = 0;
    facts.listed.push(Member {
        id: 77,
        name: String::new(),
        peer_urls: Vec::new(),
        client_urls: Vec::new(),
        learner: true,
    });
    facts.silent = vec![("https://m4:2379".to_owned(), "connection refused".to_owned())];
    facts.certificates = vec![Ok(certificate(-1))];
    facts.login = LoginNeed::None;
    let found = advise(&facts);
    assert!(found.len() > 10, "{found:?}");
    for advice in &found {
        for text in [&advice.subject, &advice.finding, &advice.why, &advice.remedy] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{advice:?}");
        }
    }
    assert!(found.is_sorted_by_key(|advice| (advice.urgency, advice.certainty)), "{found:?}");
}

#[test]
fn versions() {
    let with = |version: &'static str| {
        after(|facts| facts.members.iter_mut().for_each(|member| member.status.version = version.to_owned()))
    };
    assert_eq!(with("3.5.5"), [("known-problems", Critical, Certain)]);
    assert_eq!(with("3.5.27"), [("known-problems", Warning, Certain)]);
    assert_eq!(with("3.7.0"), [("known-problems", Warning, Likely)]);
    assert_eq!(with("3.4.44"), [("known-problems", Warning, Certain)]);
    assert_eq!(with("3.9.0"), []);
    assert_eq!(with("kine"), [("version", Suggestion, Possible)]);
    let mixed = |version: &'static str| after(|facts| facts.members[0].status.version = version.to_owned());
    assert_eq!(mixed("3.6.17"), [("mixed-versions", Suggestion, Certain)]);
    assert_eq!(mixed("3.7.3"), [("mixed-versions", Warning, Certain)]);
    let mut facts = healthy();
    facts.members[1].status.version = "3.5.1".to_owned();
    let advice = &advise(&facts)[0];
    assert_eq!((advice.subject.as_str(), advice.problems[0].as_str()), ("https://m2:2379", "#13766"));
    assert!(advice.why.contains("more: "), "{advice:?}");
    // Both pieces of advice name one version.
    let targets = advise(&facts).iter().filter(|advice| advice.remedy.contains("etcd 3.6.16")).count();
    assert_eq!(targets, 2);
    facts.members.iter_mut().for_each(|member| member.status.version = "3.5.1".to_owned());
    assert!(advise(&facts)[0].remedy.contains("etcd 3.5.33"));
    facts.members[0].status.version = "3.5.2".to_owned();
    let targets = advise(&facts).iter().filter(|advice| advice.remedy.contains("etcd 3.5.33")).count();
    assert_eq!(targets, 3, "both have known problems, and they differ");
}

#[test]
fn sizes() {
    let with = |db_size: u64, in_use: u64, quota: Option<u64>| {
        after(|facts| {
            for member in &mut facts.members {
                (member.status.db_size, member.status.db_in_use, member.status.quota) = (db_size, in_use, quota);
            }
        })
    };
    let thrice = |one| [one, one, one].to_vec();
    assert_eq!(with(1600 * MIB, 1500 * MIB, Some(2 * GIB)), []);
    assert_eq!(with(1700 * MIB, 1600 * MIB, Some(2 * GIB)), thrice(("quota", Warning, Certain)));
    assert_eq!(with(2000 * MIB, 1900 * MIB, Some(2 * GIB)), thrice(("quota", Critical, Certain)));
    assert_eq!(with(1700 * MIB, 1600 * MIB, None), thrice(("quota", Warning, Possible)));
    assert_eq!(with(16 * MIB, 16 * MIB, None), [("quota", Suggestion, Possible)]);
    let given = after(|facts| {
        facts.quota = Some(17 * MIB);
        facts.members.iter_mut().for_each(|member| member.status.db_size = 16 * MIB);
        facts.members.iter_mut().for_each(|member| member.status.db_in_use = 16 * MIB);
        facts.members[0].status.quota = None;
    });
    assert_eq!(given, [("quota", Warning, Certain)]);
    assert_eq!(with(3000 * MIB, 2900 * MIB, Some(8 * GIB)), []);
    assert_eq!(with(400 * MIB, 200 * MIB, Some(2 * GIB)), [("fragmentation", Suggestion, Certain)]);
    assert_eq!(with(40 * MIB, 2 * MIB, Some(2 * GIB)), [], "not worth it");
    let unequal = |in_use: u64| {
        after(|facts| (facts.members[0].status.db_size, facts.members[0].status.db_in_use) = (in_use, in_use))
    };
    assert_eq!(unequal(300 * MIB), [("unequal-size", Warning, Possible)]);
    assert_eq!(unequal(120 * MIB), []);
}

#[test]
fn alarms_are_urgent() {
    let with = |alarm: &str| after(|facts| facts.members[2].alarms = vec![alarm.to_owned()]);
    assert_eq!(with("NOSPACE"), [("alarm", Critical, Certain)]);
    assert_eq!(with("CORRUPT"), [("alarm", Critical, Certain)]);
    assert_eq!(with("alarm 9"), [("alarm", Warning, Certain)]);
    // Only a comparison of the keys says which member is wrong.
    let mut facts = healthy();
    facts.members[2].alarms = vec!["CORRUPT".to_owned()];
    assert!(!advise(&facts)[0].remedy.contains("remove"));
}

#[test]
fn members_that_are_down() {
    let down = |facts: &mut ClusterFacts| {
        let member = facts.members.pop().unwrap();
        facts.silent.push((member.endpoint, "connection refused".to_owned()));
    };
    assert_eq!(after(down), [("member-down", Critical, Likely)], "two of three are the least");
    let of_five = after(|facts| {
        facts.listed.extend([listed(4), listed(5)]);
        facts.members.extend([member(4), member(5)]);
        down(facts);
    });
    assert_eq!(of_five, [("member-down", Warning, Likely)]);
    let none = after(|facts| {
        down(facts);
        down(facts);
        facts.members[0].status.leader = 0;
        facts.health = ClusterHealth::NoQuorum;
    });
    assert_eq!(none, [("no-quorum", Critical, Certain)]);
}

#[test]
fn the_number_of_voters() {
    let voters = |count: u64| {
        after(|facts| {
            facts.listed = (1..=count).map(listed).collect();
            facts.members = (1..=count).map(member).collect();
        })
    };
    assert_eq!(voters(1), [("voters", Suggestion, Certain)]);
    assert_eq!(voters(2), [("voters", Warning, Certain)]);
    assert_eq!(voters(4), [("voters", Suggestion, Certain)]);
    assert_eq!((voters(3), voters(5), voters(7)), (vec![], vec![], vec![]));
    assert_eq!(voters(9), [("voters", Suggestion, Certain)]);
    assert_eq!(after(|facts| facts.listed.clear()), [], "an unknown list");
}

#[test]
fn learners_and_members_that_never_started() {
    let learner = |applied: Option<u64>| {
        after(|facts| {
            facts.listed.push(Member { learner: true, ..listed(4) });
            facts.members.extend(applied.map(|applied| {
                let mut own = member(4);
                (own.status.learner, own.status.raft_applied) = (true, applied);
                own
            }));
        })
    };
    assert_eq!(learner(Some(9_999)), [("learner", Suggestion, Possible)]);
    assert_eq!(learner(Some(1)), [("learner", Suggestion, Possible)]);
    assert_eq!(learner(None), [("learner", Suggestion, Likely)]);
    let never = after(|facts| {
        facts.listed.push(Member {
            id: 4,
            name: String::new(),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
            learner: true,
        });
    });
    assert_eq!(never, [("not-started", Warning, Certain), ("learner", Suggestion, Likely)]);
}

#[test]
fn agreement_of_the_members() {
    assert_eq!(after(|facts| facts.members[1].status.raft_term = 5), [("leader-change", Warning, Possible)]);
    assert_eq!(after(|facts| facts.members[1].status.leader = 2), [("leader-change", Warning, Possible)]);
    assert_eq!(after(|facts| facts.members[1].status.leader = 0), [("no-leader", Warning, Certain)]);
    assert_eq!(after(|facts| facts.members[1].status.cluster = 8), [("clusters", Critical, Certain)]);
    assert_eq!(after(|facts| facts.members[1].status.raft_applied = 8_999), [("raft-lag", Warning, Likely)]);
    assert_eq!(after(|facts| facts.members[1].status.raft_applied = 4_999), [("raft-lag", Critical, Likely)]);
    assert_eq!(after(|facts| facts.members[1].status.raft_applied = 9_000), []);
}

#[test]
fn certificates_that_end() {
    let ends = |days| after(|facts| facts.certificates = vec![Ok(certificate(days))]);
    assert_eq!(ends(-1), [("certificate", Critical, Certain)]);
    assert_eq!(ends(6), [("certificate", Critical, Certain)]);
    assert_eq!(ends(7), [("certificate", Warning, Certain)]);
    assert_eq!(ends(29), [("certificate", Warning, Certain)]);
    assert_eq!(ends(30), []);
    let unreadable = |origin: &str| {
        let error = CertificateError { origin: origin.to_owned(), why: "connection refused".to_owned() };
        after(|facts| {
            facts.silent = vec![("https://m9:2379".to_owned(), "connection refused".to_owned())];
            facts.certificates = vec![Err(error)];
        })
    };
    assert_eq!(unreadable("https://m9:2379").len(), 1, "said once");
    assert!(unreadable("https://m1:2379").contains(&("certificate", Suggestion, Possible)));
}

#[test]
fn addresses_and_access() {
    let urls = |urls: &[&str]| {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        after(|facts| facts.listed[0].client_urls = urls)
    };
    assert_eq!(urls(&["https://127.0.0.1:2379"]), [("client-url", Warning, Certain)]);
    assert_eq!(urls(&["http://m1:2379"]), [("client-url", Warning, Certain)]);
    assert_eq!(urls(&["https://127.0.0.1:2379", "https://m1:2379"]), []);
    let local = after(|facts| {
        facts.configured = vec![Endpoint::parse("http://127.0.0.1:2379", false).unwrap()];
        facts.listed.iter_mut().for_each(|member| member.client_urls = vec!["http://127.0.0.1:2379".to_owned()]);
        facts.login = LoginNeed::None;
    });
    assert_eq!(local, [], "a cluster on one machine");
    assert_eq!(after(|facts| facts.login = LoginNeed::None), [("open-access", Warning, Certain)]);
}

#[test]
fn data_that_differs_is_critical_and_data_that_is_not_compared_is_named() {
    let with = |comparison| after(|facts| facts.comparison = comparison);
    assert_eq!(with(DataComparison::Equal), []);
    assert_eq!(with(DataComparison::Different(vec!["https://m2:2379".to_owned()])), [("data", Critical, Certain)]);
    assert_eq!(with(DataComparison::Different(Vec::new())), [("data", Critical, Certain)]);
    assert_eq!(with(DataComparison::Unknown("too large".to_owned())), [("data", Suggestion, Possible)]);
}

#[test]
fn a_command_about_members_is_asked_of_them() {
    let mut facts = healthy();
    facts.silent =
        vec![("https://m4:2379".to_owned(), "down".to_owned()), ("https://m5:2379".to_owned(), "down".to_owned())];
    facts.members[1].status.leader = 0;
    let advice = advise(&facts);
    let command = |rule| advice.iter().find(|advice| advice.rule == rule).and_then(|advice| advice.command.clone());
    let at = |endpoints: &str| Some(NextCommand::KvadmAt(endpoints.to_owned(), vec!["status", "--diagnose"]));
    assert_eq!(command("member-down"), at("https://m4:2379,https://m5:2379"));
    assert_eq!(command("no-leader"), at("https://m2:2379"));
}
