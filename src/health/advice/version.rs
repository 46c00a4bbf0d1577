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
    let target = common_target(&versions);
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
            Some(problems) => found.push(known(version, &endpoints, &problems, target.as_deref())),
        }
    }
    if let Some(target) = &target {
        mixed(&versions, target, found);
    }
}

/// The version that a cluster with different versions should reach: the newest one, or the release that repairs it. `None` if all
/// members have one version.
fn common_target(versions: &BTreeMap<&str, Vec<&MemberFacts>>) -> Option<String> {
    let newest = versions.keys().filter_map(|version| Some((EtcdVersion::parse(version)?, *version))).max()?.1;
    let is_bad = known_problems(newest).is_some_and(|problems| !problems.is_empty());
    let fixed = if is_bad { fixed_release(newest) } else { None };
    (versions.len() > 1).then(|| fixed.map_or_else(|| newest.to_owned(), |fixed| fixed.to_string()))
}

fn known(
    version: &str,
    endpoints: &str,
    problems: &[&'static crate::health::versions::KnownProblem],
    target: Option<&str>,
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
        .remedy(match (target, fixed_release(version)) {
            (Some(target), _) if target != version => {
                format!("upgrade to etcd {target}, one minor version and one member at a time, after a snapshot")
            }
            (_, Some(fixed)) => format!("upgrade to etcd {fixed} or later, one member at a time, after a snapshot"),
            (_, None) => "upgrade to a minor version that is maintained, one minor version at a time, after a snapshot"
                .to_owned(),
        })
        .kvadm(["snapshot", "save", "before-upgrade.db"]);
    Recommendation { problems: problems.iter().map(|problem| problem.id.to_owned()).collect(), ..advice }
}

fn mixed(versions: &BTreeMap<&str, Vec<&MemberFacts>>, target: &str, found: &mut Vec<Recommendation>) {
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
            .remedy(format!("upgrade all members to etcd {target}, one minor version and one member at a time"))
            .kvadm(["status"])
    } else {
        advice(Urgency::Suggestion)
            .why("the members have different defects")
            .remedy(format!("upgrade all members to etcd {target}, one at a time"))
            .kvadm(["status"])
    });
}
