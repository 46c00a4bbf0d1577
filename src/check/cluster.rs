//! Rules about the members of the cluster: what they need to know, and how they are judged.

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::CheckFile;
use super::fields::parse_version;
use super::figures::FigureLimits;
use super::history::{HistoryAge, history_age};
use super::judgement::{Judgement, RuleFault, shown_time};
use super::outcome::MeasureUnit;
use super::rule::{CheckRule, QuorumTest};
use crate::health::{
    CertificateError, CertificateFact, ClusterHealth, ClusterScan, ConsistencyReport, ConsistencyVerdict,
    MemberObservation, QuorumEvidence, QuorumProof, certificates, check_consistency, known_problems, scan_cluster,
};
use crate::kvstore::{Alarm, Error, MemberStatus, Members, Store};
use crate::plural::counted;
use crate::time::Time;

/// Problems that are named in a report.
const NAMED: usize = 5;
const SECONDS_PER_DAY: i64 = 86_400;

/// What the rules have to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterNeeds {
    scan: bool,
    write: bool,
    members: bool,
    alarms: bool,
    history: bool,
    consistency: bool,
    certificates: bool,
}

impl ClusterNeeds {
    /// What the rules of a file have to know. A dry run writes nothing.
    pub fn of(file: &CheckFile, dry_run: bool) -> Self {
        let mut needs = Self::default();
        for (_, rule) in file.rules() {
            match &rule.rule {
                CheckRule::Quorum(test) => {
                    needs.scan = true;
                    needs.write |= *test == QuorumTest::Write && !dry_run;
                }
                CheckRule::Voters(_) | CheckRule::Learners(_) => needs.members = true,
                CheckRule::NoAlarms => needs.alarms = true,
                CheckRule::HistoryBelow(_) => needs.history = true,
                CheckRule::Consistent => needs.consistency = true,
                CheckRule::CertificateDays(_) => needs.certificates = true,
                CheckRule::Healthy(_)
                | CheckRule::Reachable
                | CheckRule::Leader
                | CheckRule::SameVersion
                | CheckRule::VersionAtLeast(_)
                | CheckRule::NoKnownBadVersions
                | CheckRule::QuotaBelow(_)
                | CheckRule::DbSizeBelow(_)
                | CheckRule::RaftLagBelow(_)
                | CheckRule::LatencyBelow(_) => needs.scan = true,
                _ => {}
            }
        }
        needs
    }
}

/// What the members say; `None` where no rule asks.
pub struct ClusterFacts {
    scan: Option<Result<ClusterScan, RuleFault>>,
    members: Option<Result<Members, RuleFault>>,
    alarms: Option<Result<Vec<Alarm>, RuleFault>>,
    history: Option<Result<HistoryAge, RuleFault>>,
    consistency: Option<Result<ConsistencyReport, RuleFault>>,
    certificates: Option<Vec<Result<CertificateFact, CertificateError>>>,
    dry_run: bool,
    now: Time,
}

impl ClusterFacts {
    /// Asks for what the rules need.
    ///
    /// # Errors
    /// An error that ends the command.
    pub async fn gather(store: &Store, needs: ClusterNeeds, dry_run: bool) -> Result<Self, Error> {
        let mut facts = Self {
            scan: None,
            members: None,
            alarms: None,
            history: None,
            consistency: None,
            certificates: None,
            dry_run,
            now: Time::now(),
        };
        if needs.scan {
            let evidence = if needs.write { QuorumEvidence::Write } else { QuorumEvidence::Reads };
            facts.scan = Some(match scan_cluster(store, evidence).await {
                Ok(scan) => Ok(scan),
                Err(error) => Err(RuleFault::of_scan(error)?),
            });
        }
        if needs.members {
            facts.members = Some(judged(store.members().await)?);
        }
        if needs.alarms {
            facts.alarms = Some(judged(store.alarms().await)?);
        }
        if needs.history {
            facts.history = Some(history_age(store).await?);
        }
        if needs.consistency {
            facts.consistency = Some(match check_consistency(store, false).await {
                Ok(report) => Ok(report),
                Err(error) => Err(RuleFault::of_scan(error)?),
            });
        }
        if needs.certificates {
            facts.certificates = Some(certificates(store).await);
        }
        store.uninterrupted("check")?;
        Ok(facts)
    }

    /// The cluster's ID, if a scan has told it.
    pub fn cluster(&self) -> Option<u64> {
        match (&self.scan, &self.members) {
            (Some(Ok(scan)), _) => scan.cluster,
            (_, Some(Ok(members))) => Some(members.cluster),
            _ => None,
        }
    }

    /// Judges a rule about the cluster; `None` for other rules.
    pub fn judge(&self, rule: &CheckRule) -> Option<Judgement> {
        Some(match rule {
            CheckRule::Voters(limits) => self.member_count(limits, false),
            CheckRule::Learners(limits) => self.member_count(limits, true),
            CheckRule::NoAlarms => of_fact(self.alarms.as_ref(), |alarms| no_alarms(alarms)),
            CheckRule::HistoryBelow(limit) => of_fact(self.history.as_ref(), |age| {
                let found = format!("{} since revision {}", counted(age.revisions, "revision"), age.since);
                Judgement::of(age.revisions < *limit, format!("fewer than {}", counted(*limit, "revision")), found)
                    .measure(age.revisions, MeasureUnit::Count, Some(as_f64(*limit)))
            }),
            CheckRule::Consistent => of_fact(self.consistency.as_ref(), consistent),
            CheckRule::CertificateDays(days) => self.certificate_days(*days),
            rule => return self.of_scan(rule),
        })
    }

    fn of_scan(&self, rule: &CheckRule) -> Option<Judgement> {
        let judge: fn(&ClusterScan, &CheckRule, bool) -> Option<Judgement> = judge_scan;
        let is_about_members = matches!(
            rule,
            CheckRule::Healthy(_)
                | CheckRule::Reachable
                | CheckRule::Leader
                | CheckRule::Quorum(_)
                | CheckRule::SameVersion
                | CheckRule::VersionAtLeast(_)
                | CheckRule::NoKnownBadVersions
                | CheckRule::QuotaBelow(_)
                | CheckRule::DbSizeBelow(_)
                | CheckRule::RaftLagBelow(_)
                | CheckRule::LatencyBelow(_)
        );
        if !is_about_members {
            return None;
        }
        match self.scan.as_ref()? {
            Ok(scan) => judge(scan, rule, self.dry_run),
            Err(fault) => Some(Judgement::error(fault.clone())),
        }
    }

    fn member_count(&self, limits: &FigureLimits, learners: bool) -> Judgement {
        of_fact(self.members.as_ref(), |members| {
            let count = members.members.iter().filter(|member| member.learner == learners).count();
            Judgement::count(count as u64, limits)
        })
    }

    fn certificate_days(&self, days: u64) -> Judgement {
        let Some(certificates) = &self.certificates else { return not_asked() };
        if certificates.is_empty() {
            return Judgement::error(RuleFault::refused("the endpoints have no TLS, so there is no certificate"));
        }
        let (mut ending, mut unread, mut least) = (Vec::new(), Vec::new(), i64::MAX);
        let wanted = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(SECONDS_PER_DAY);
        for certificate in certificates {
            let fact = match certificate {
                Ok(fact) => fact,
                Err(error) => {
                    unread.push(error.to_string());
                    continue;
                }
            };
            let left = fact.not_after.secs.saturating_sub(self.now.secs);
            least = least.min(left);
            if left < wanted {
                let of = fact.endpoint.as_ref().or(fact.file.as_ref()).map_or("", String::as_str);
                let (role, until) = (fact.role, Time::from_secs(fact.not_after.secs));
                let end = if left < 0 { "expired" } else { "expires" };
                ending.push(format!("{role} of {of} {end} at {until}"));
            }
        }
        let expected = format!("every certificate is valid for {}", counted(days, "more day"));
        let judged = over_members(&expected, &ending, &unread);
        if least == i64::MAX {
            return judged;
        }
        #[expect(clippy::cast_precision_loss, reason = "for graphs")]
        let (left, limit) = (least as f64, wanted as f64);
        judged.measure_f64(left, MeasureUnit::Seconds, Some(limit))
    }
}

fn not_asked() -> Judgement {
    Judgement::error(RuleFault::refused("kvadm did not ask for it"))
}

fn judged<T>(answer: Result<T, Error>) -> Result<Result<T, RuleFault>, Error> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) => RuleFault::of(error).map(Err),
    }
}

fn of_fact<T>(fact: Option<&Result<T, RuleFault>>, judge: impl FnOnce(&T) -> Judgement) -> Judgement {
    match fact {
        Some(Ok(fact)) => judge(fact),
        Some(Err(fault)) => Judgement::error(fault.clone()),
        None => not_asked(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "for graphs")]
fn as_f64(number: u64) -> f64 {
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
fn over_members(expected: &str, wrong: &[String], unknown: &[String]) -> Judgement {
    if !wrong.is_empty() {
        return Judgement::fail(expected, first(wrong));
    }
    if !unknown.is_empty() {
        return Judgement::error(RuleFault::unreachable(first(unknown)));
    }
    Judgement::pass()
}

fn no_alarms(alarms: &[Alarm]) -> Judgement {
    let raised: Vec<String> =
        alarms.iter().map(|alarm| format!("alarm {} of member {:x}", alarm.kind, alarm.member)).collect();
    over_members("no alarm", &raised, &[]).measure(alarms.len() as u64, MeasureUnit::Count, None)
}

fn consistent(report: &ConsistencyReport) -> Judgement {
    let why = report.why.clone().unwrap_or_else(|| report.verdict.as_str().to_owned());
    match report.verdict {
        ConsistencyVerdict::Consistent => Judgement::pass(),
        ConsistencyVerdict::Unknown => Judgement::error(RuleFault::unreachable(why)),
        ConsistencyVerdict::Different | ConsistencyVerdict::HistoryDiffers => {
            Judgement::fail("all members have the same data", why)
        }
    }
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
        Self { members, silent: silent.chain(scan.general().iter().cloned()).collect() }
    }

    /// Every member that answers passes the test, which returns what is wrong.
    fn each(&self, expected: &str, wrong: impl Fn(&MemberStatus) -> Option<String>) -> Judgement {
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

fn judge_scan(scan: &ClusterScan, rule: &CheckRule, dry_run: bool) -> Option<Judgement> {
    let answering = Answering::of(scan);
    Some(match rule {
        CheckRule::Healthy(wanted) => healthy(scan, *wanted),
        CheckRule::Reachable => {
            let expected = "every endpoint and every member answers";
            Judgement::of(answering.silent.is_empty(), expected, first(&answering.silent))
        }
        CheckRule::Leader => leader(&answering),
        CheckRule::Quorum(QuorumTest::Write) if dry_run => Judgement::skipped("--dry-run writes nothing"),
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

fn healthy(scan: &ClusterScan, wanted: Option<u64>) -> Judgement {
    let complaints = first(&scan.complaints());
    let healthy = scan.members.iter().filter(|member| member.row().health == "healthy").count();
    let judged = match (wanted, scan.verdict()) {
        (_, ClusterHealth::Unknown) => Judgement::error(RuleFault::unreachable(complaints)),
        (Some(wanted), _) => {
            let found = match complaints.as_str() {
                "" => healthy.to_string(),
                complaints => format!("{healthy}: {complaints}"),
            };
            Judgement::of(healthy as u64 >= wanted, format!("{wanted} healthy members"), found)
        }
        (None, verdict) => {
            let found = format!("{}: {complaints}", verdict.as_str());
            Judgement::of(verdict == ClusterHealth::Healthy, "every member is healthy", found)
        }
    };
    judged.measure(healthy as u64, MeasureUnit::Count, wanted.map(as_f64))
}

fn leader(answering: &Answering<'_>) -> Judgement {
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

fn quorum(scan: &ClusterScan, test: QuorumTest) -> Judgement {
    let complaints = || first(&scan.complaints());
    match (scan.verdict(), &scan.proof) {
        (ClusterHealth::Unknown, _) => Judgement::error(RuleFault::unreachable(complaints())),
        (ClusterHealth::NoQuorum, _) => Judgement::fail("a quorum", complaints()),
        (_, Some(QuorumProof::NoSpace)) if test == QuorumTest::Write => {
            Judgement::fail("a write succeeds", "the store is out of space and refuses writes")
        }
        (_, Some(QuorumProof::Done(took))) => {
            Judgement::pass().measure_f64(took.as_secs_f64(), MeasureUnit::Seconds, None)
        }
        _ => Judgement::pass(),
    }
}

fn same_version(answering: &Answering<'_>) -> Judgement {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (member, status) in &answering.members {
        versions.entry(&status.version).or_default().push(label(member));
    }
    let found = versions.iter().map(|(version, members)| format!("{version} on {}", members.join(", ")));
    let wrong: Vec<String> = if versions.len() > 1 { found.collect() } else { Vec::new() };
    over_members("all members run the same version", &wrong, &answering.silent)
}

fn version_at_least(answering: &Answering<'_>, wanted: [u64; 3]) -> Judgement {
    let [major, minor, patch] = wanted;
    let old = |status: &MemberStatus| match parse_version(&status.version) {
        Some(version) if version >= wanted => None,
        Some(_) => Some(status.version.clone()),
        None => Some(format!("'{}' is no version", status.version.escape_debug())),
    };
    answering.each(&format!("version {major}.{minor}.{patch} or later"), old)
}

fn bad_versions(answering: &Answering<'_>) -> Judgement {
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

fn quota_below(answering: &Answering<'_>, limit: f64) -> Judgement {
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
        return Judgement::error(RuleFault::refused(why));
    }
    let judged = over_members(&expected, &wrong, &answering.silent);
    match answering.largest(|status| share(status).unwrap_or(0.0)) {
        Some(largest) => judged.measure_f64(largest, MeasureUnit::Percent, Some(limit)),
        None => judged,
    }
}

fn latency_below(answering: &Answering<'_>, limit: Duration) -> Judgement {
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
