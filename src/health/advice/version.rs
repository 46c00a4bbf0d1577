//! Advice about the versions of the members.

use std::collections::BTreeMap;

use super::facts::{Certainty, ClusterFacts, MemberFacts, Recommendation, Urgency};
use crate::health::versions::{Consequence, EtcdVersion, fixed_release, known_problems};
use crate::plural::counted;

/// More problems are only counted in the text.
const SHOWN_PROBLEMS: usize = 3;

pub(super) fn judge(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    let mut versions: BTreeMap<&str, Vec<&MemberFacts>> = BTreeMap::new();
    for member in &facts.members {
        versions.entry(&member.status.version).or_default().push(member);
    }
    for (version, members) in &versions {
        let endpoints = ClusterFacts::endpoints(members.iter().copied());
        match known_problems(version) {
            None => found.push(
                Recommendation::new("version", Urgency::Suggestion, Certainty::Possible, endpoints)
                    .finding(format!("the version '{}' is not one of etcd's", version.escape_debug()))
                    .why("kvadm cannot say whether it has known problems")
                    .remedy("check the release notes of the server"),
            ),
            Some(problems) if problems.is_empty() => {}
            Some(problems) => found.push(known(version, &endpoints, &problems)),
        }
    }
    mixed(&versions, found);
}

fn known(
    version: &str,
    endpoints: &str,
    problems: &[&'static crate::health::versions::KnownProblem],
) -> Recommendation {
    let has = |consequence| problems.iter().any(|problem| problem.consequence == consequence);
    let (urgency, certainty) = match () {
        () if has(Consequence::DataLoss) => (Urgency::Critical, Certainty::Certain),
        // Most of these need a feature that the cluster may not use.
        () if has(Consequence::LeaseLoss) || has(Consequence::StaleReads) => (Urgency::Warning, Certainty::Certain),
        () if has(Consequence::EndOfLife) => (Urgency::Warning, Certainty::Certain),
        () => (Urgency::Warning, Certainty::Likely),
    };
    let mut why: Vec<String> =
        problems.iter().take(SHOWN_PROBLEMS).map(|problem| format!("{} ({})", problem.summary, problem.id)).collect();
    if let Some(more @ 1..) = problems.len().checked_sub(SHOWN_PROBLEMS) {
        let ids: Vec<&str> = problems.iter().skip(SHOWN_PROBLEMS).map(|problem| problem.id).collect();
        why.push(format!("and {more} more: {}", ids.join(", ")));
    }
    if let Some(worst) = problems.first() {
        why.push(format!("see {}", worst.source));
    }
    let advice = Recommendation::new("known-problems", urgency, certainty, endpoints)
        .finding(format!("etcd {version} has {}", counted(problems.len(), "known problem")))
        .why(why.join("; "))
        .remedy(match fixed_release(version) {
            Some(fixed) => format!("upgrade to etcd {fixed} or later, one member at a time, after a snapshot"),
            None => "upgrade to a minor version that is maintained, one minor version at a time, after a snapshot"
                .to_owned(),
        })
        .kvadm(["snapshot", "save", "before-upgrade.db"]);
    Recommendation { problems: problems.iter().map(|problem| problem.id.to_owned()).collect(), ..advice }
}

fn mixed(versions: &BTreeMap<&str, Vec<&MemberFacts>>, found: &mut Vec<Recommendation>) {
    if versions.len() < 2 {
        return;
    }
    let mut minors: Vec<_> =
        versions.keys().filter_map(|version| EtcdVersion::parse(version)).map(EtcdVersion::minor).collect();
    minors.sort_unstable();
    minors.dedup();
    let texts: Vec<&str> = versions.keys().copied().collect();
    let advice = |urgency| {
        Recommendation::new("mixed-versions", urgency, Certainty::Certain, "cluster")
            .finding(format!("the members run different versions: {}", texts.join(", ")))
    };
    found.push(if minors.len() > 1 {
        advice(Urgency::Warning)
            .why("the cluster works as the lowest version until all are upgraded; etcd supports this during an upgrade only")
            .remedy("finish the upgrade")
            .kvadm(["status"])
    } else {
        advice(Urgency::Suggestion)
            .why("the members have different defects")
            .remedy("bring all members to the same patch release")
            .kvadm(["status"])
    });
}
