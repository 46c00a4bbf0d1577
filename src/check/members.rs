//! Judges rules about the members by one scan. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fields::parse_version;
use super::judgement::{RuleFault, RuleJudgement, shown_time};
use super::outcome::MeasureUnit;
use super::rule::{CheckRule, QuorumTest};
use crate::health::{ClusterHealth, ClusterScan, MemberObservation, QuorumProof, known_problems};
use crate::kvstore::MemberStatus;
use crate::plural::counted;

/// Problems that are named in a report.
const NAMED: usize = 5;

/// A number for graphs.
#[expect(clippy::cast_precision_loss, reason = "for graphs")]
pub fn as_f64(number: u64) -> f64 {
    number as f64
}

/// The first problems, and how many more there are.
fn first(problems: &[String]) -> String {
    let named = problems.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    match problems.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

/// A rule about all members fails because of one, and cannot be judged if one does not answer.
pub fn over_members(expected: &str, wrong: &[String], unknown: &[String]) -> RuleJudgement {
    if !wrong.is_empty() {
        return RuleJudgement::fail(expected, first(wrong));
    }
    if !unknown.is_empty() {
        return RuleJudgement::error(RuleFault::unreachable(first(unknown)));
    }
    RuleJudgement::pass()
}

/// How a report names a member.
fn label(member: &MemberObservation) -> &str {
    if member.name.is_empty() { &member.endpoint } else { &member.name }
}

/// The members that answer, and the complaints about the others.
struct Answering<'a> {
    members: Vec<(&'a MemberObservation, &'a MemberStatus)>,
    silent: Vec<String>,
}

impl<'a> Answering<'a> {
    fn of(scan: &'a ClusterScan) -> Self {
        let members = scan.members.iter().filter_map(|member| Some((member, member.status.as_ref().ok()?))).collect();
        let silent = scan.members.iter().filter_map(|member| {
            let why = member.status.as_ref().err()?;
            Some(format!("{} does not answer: {why}", label(member)))
        });
        // Alarms are a rule of their own, which the user may not be allowed to read.
        let is_alarm =
            |text: &&String| text.starts_with("cannot read the alarms") || text.contains(" has raised alarm ");
        let general = scan.general().iter().filter(|text| !is_alarm(text)).cloned();
        Self { members, silent: silent.chain(general).collect() }
    }

    /// Every member that answers passes the test, which returns what is wrong.
    fn each(&self, expected: &str, wrong: impl Fn(&MemberStatus) -> Option<String>) -> RuleJudgement {
        let found = self.members.iter().filter_map(|(member, status)| {
            let wrong = wrong(status)?;
            Some(format!("{}: {wrong}", label(member)))
        });
        over_members(expected, &found.collect::<Vec<_>>(), &self.silent)
    }

    fn largest<T: PartialOrd + Copy>(&self, figure: impl Fn(&MemberStatus) -> T) -> Option<T> {
        let figures = self.members.iter().map(|(_, status)| figure(status));
        figures.reduce(|one, other| if other > one { other } else { one })
    }
}

/// Judges a rule about the members; `None` for other rules.
pub fn judge_scan(scan: &ClusterScan, rule: &CheckRule, dry_run: bool) -> Option<RuleJudgement> {
    let answering = Answering::of(scan);
    Some(match rule {
        CheckRule::Healthy(wanted) => healthy(scan, *wanted),
        CheckRule::Reachable => {
            let expected = "every endpoint and every member answers";
            RuleJudgement::of(answering.silent.is_empty(), expected, first(&answering.silent))
        }
        CheckRule::Leader => leader(&answering),
        CheckRule::Quorum(QuorumTest::Write) if dry_run => RuleJudgement::skipped("--dry-run writes nothing"),
        CheckRule::Quorum(test) => quorum(scan, *test),
        CheckRule::SameVersion => same_version(&answering),
        CheckRule::VersionAtLeast(wanted) => version_at_least(&answering, *wanted),
        CheckRule::NoKnownBadVersions => bad_versions(&answering),
        CheckRule::QuotaBelow(limit) => quota_below(&answering, *limit),
        CheckRule::DbSizeBelow(limit) => {
            let expected = format!("every database is smaller than {limit} bytes");
            let judged = answering
                .each(&expected, |status| (status.db_size >= *limit).then(|| format!("{} bytes", status.db_size)));
            let largest = answering.largest(|status| status.db_size).unwrap_or(0);
            judged.measure(largest, MeasureUnit::Bytes, Some(as_f64(*limit)))
        }
        CheckRule::RaftLagBelow(limit) => {
            // The members answer at about the same time.
            let newest = answering.largest(|status| status.raft_index.max(status.raft_applied)).unwrap_or(0);
            let lag = |status: &MemberStatus| newest.saturating_sub(status.raft_applied);
            let expected = format!("every member is less than {limit} log entries behind");
            let judged =
                answering.each(&expected, |status| (lag(status) >= *limit).then(|| format!("{} behind", lag(status))));
            judged.measure(answering.largest(lag).unwrap_or(0), MeasureUnit::Count, Some(as_f64(*limit)))
        }
        CheckRule::LatencyBelow(limit) => latency_below(&answering, *limit),
        _ => return None,
    })
}

fn healthy(scan: &ClusterScan, wanted: Option<u64>) -> RuleJudgement {
    let complaints = first(&scan.complaints());
    let healthy = scan.members.iter().filter(|member| member.row(None).health == "healthy").count();
    let judged = match (wanted, scan.verdict()) {
        (_, ClusterHealth::Unknown) => RuleJudgement::error(RuleFault::unreachable(complaints)),
        (Some(wanted), _) => {
            let found = match complaints.as_str() {
                "" => healthy.to_string(),
                complaints => format!("{healthy}: {complaints}"),
            };
            RuleJudgement::of(healthy as u64 >= wanted, format!("{wanted} healthy members"), found)
        }
        (None, verdict) => {
            let found = format!("{}: {complaints}", verdict.as_str());
            RuleJudgement::of(verdict == ClusterHealth::Healthy, "every member is healthy", found)
        }
    };
    judged.measure(healthy as u64, MeasureUnit::Count, wanted.map(as_f64))
}

fn leader(answering: &Answering<'_>) -> RuleJudgement {
    let leaders: BTreeMap<u64, &str> =
        answering.members.iter().rev().map(|(member, status)| (status.leader, label(member))).collect();
    let one = leaders.len() == 1 && !leaders.contains_key(&0);
    let found = leaders.iter().map(|(leader, member)| match leader {
        0 => format!("{member} has no leader"),
        leader => format!("{member} follows {leader:x}"),
    });
    let wrong: Vec<String> = if one { Vec::new() } else { found.collect() };
    over_members("all members follow one leader", &wrong, &answering.silent)
}

fn quorum(scan: &ClusterScan, test: QuorumTest) -> RuleJudgement {
    let complaints = || first(&scan.complaints());
    match (scan.verdict(), &scan.proof) {
        (ClusterHealth::Unknown, _) => RuleJudgement::error(RuleFault::unreachable(complaints())),
        (ClusterHealth::NoQuorum, _) => RuleJudgement::fail("a quorum", complaints()),
        (_, Some(QuorumProof::NoSpace)) if test == QuorumTest::Write => {
            RuleJudgement::fail("a write succeeds", "the store is out of space and refuses writes")
        }
        (_, Some(QuorumProof::Done(took))) => {
            RuleJudgement::pass().measure_f64(took.as_secs_f64(), MeasureUnit::Seconds, None)
        }
        _ => RuleJudgement::pass(),
    }
}

fn same_version(answering: &Answering<'_>) -> RuleJudgement {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (member, status) in &answering.members {
        versions.entry(&status.version).or_default().push(label(member));
    }
    let found = versions.iter().map(|(version, members)| format!("{version} on {}", members.join(", ")));
    let wrong: Vec<String> = if versions.len() > 1 { found.collect() } else { Vec::new() };
    over_members("all members run the same version", &wrong, &answering.silent)
}

fn version_at_least(answering: &Answering<'_>, wanted: [u64; 3]) -> RuleJudgement {
    let [major, minor, patch] = wanted;
    let old = |status: &MemberStatus| match parse_version(&status.version) {
        Some(version) if version >= wanted => None,
        Some(_) => Some(status.version.clone()),
        None => Some(format!("'{}' is no version", status.version.escape_debug())),
    };
    answering.each(&format!("version {major}.{minor}.{patch} or later"), old)
}

fn bad_versions(answering: &Answering<'_>) -> RuleJudgement {
    let mut silent = answering.silent.clone();
    let mut wrong = Vec::new();
    for (member, status) in &answering.members {
        match known_problems(&status.version) {
            None => silent.push(format!("{}: '{}' is no version", label(member), status.version.escape_debug())),
            Some(problems) => wrong.extend(problems.iter().map(|problem| {
                let consequence = problem.consequence.as_str();
                format!("{} runs {}: {} ({consequence}) {}", label(member), status.version, problem.id, problem.summary)
            })),
        }
    }
    over_members("no version with known problems", &wrong, &silent)
}

fn quota_below(answering: &Answering<'_>, limit: f64) -> RuleJudgement {
    let share = |status: &MemberStatus| status.quota.map(|quota| as_f64(status.db_size) / as_f64(quota) * 100.0);
    let expected = format!("less than {limit}% of the quota");
    let wrong: Vec<String> = answering
        .members
        .iter()
        .filter_map(|(member, status)| {
            let used = share(status).filter(|used| *used >= limit)?;
            Some(format!("{}: {used:.1}%", label(member)))
        })
        .collect();
    let untold = answering.members.iter().filter(|(_, status)| status.quota.is_none());
    let untold: Vec<String> =
        untold.map(|(member, status)| format!("{} (etcd {})", label(member), status.version)).collect();
    if wrong.is_empty() && !untold.is_empty() {
        let why = format!("no quota is reported by {}: use db-size-below with etcd before 3.6", untold.join(", "));
        return RuleJudgement::error(RuleFault::refused(why));
    }
    let judged = over_members(&expected, &wrong, &answering.silent);
    match answering.largest(|status| share(status).unwrap_or(0.0)) {
        Some(largest) => judged.measure_f64(largest, MeasureUnit::Percent, Some(limit)),
        None => judged,
    }
}

fn latency_below(answering: &Answering<'_>, limit: Duration) -> RuleJudgement {
    let expected = format!("every member answers within {}", shown_time(limit));
    let judged = answering.each(&expected, |status| (status.latency >= limit).then(|| shown_time(status.latency)));
    match answering.largest(|status| status.latency) {
        Some(largest) => judged.measure_time(largest, limit),
        None => judged,
    }
}

/// What a rule about the cluster asks for, in words; `None` for other rules.
pub fn expected_of_cluster(rule: &CheckRule) -> Option<String> {
    Some(match rule {
        CheckRule::Healthy(None) => "every member is healthy".to_owned(),
        CheckRule::Healthy(Some(wanted)) => format!("at least {}", counted(*wanted, "healthy member")),
        CheckRule::Reachable => "every endpoint and every member answers".to_owned(),
        CheckRule::Leader => "all members follow one leader".to_owned(),
        CheckRule::Quorum(QuorumTest::Read) => "a linearizable read succeeds".to_owned(),
        CheckRule::Quorum(QuorumTest::Write) => "a write succeeds".to_owned(),
        CheckRule::Voters(limits) => format!("voting members: {limits}"),
        CheckRule::Learners(limits) => format!("learners: {limits}"),
        CheckRule::SameVersion => "all members run the same version".to_owned(),
        CheckRule::VersionAtLeast([major, minor, patch]) => format!("version {major}.{minor}.{patch} or later"),
        CheckRule::NoKnownBadVersions => "no version with known problems".to_owned(),
        CheckRule::NoAlarms => "no alarm".to_owned(),
        CheckRule::QuotaBelow(limit) => format!("less than {limit}% of the quota"),
        CheckRule::DbSizeBelow(limit) => format!("every database is smaller than {}", counted(*limit, "byte")),
        CheckRule::RaftLagBelow(limit) => format!("every member is less than {limit} log entries behind"),
        CheckRule::LatencyBelow(limit) => format!("every member answers within {}", shown_time(*limit)),
        CheckRule::HistoryBelow(limit) => format!("fewer than {}", counted(*limit, "revision")),
        CheckRule::Consistent => "all members have the same data".to_owned(),
        CheckRule::CertificateDays(days) => format!("every certificate is valid for {}", counted(*days, "more day")),
        CheckRule::WriteLatencyBelow(limit) => format!("writes take less than {}", shown_time(*limit)),
        _ => return None,
    })
}
