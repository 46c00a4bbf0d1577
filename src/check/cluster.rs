//! Rules about the members of the cluster: what they need to know, and how they are judged.

use super::document::CheckFile;
use super::figures::FigureLimits;
use super::history::{HistoryAge, history_age};
use super::judgement::{RuleFault, RuleJudgement};
use super::members::{as_f64, expected_of_cluster, first, judge_scan, over_members};
use super::outcome::{MeasureLimits, MeasureUnit};
use super::rule::{CheckRule, QuorumTest};
use super::stage::Stage;
use crate::health::{
    CertificateError, CertificateFact, ClusterHealth, ClusterScan, ConsistencyReport, ConsistencyVerdict,
    MemberObservation, QuorumEvidence, ScanError, certificates, check_consistency, scan_cluster,
};
use crate::kvstore::{Alarm, Error, Members, Store};
use crate::plural::counted;
use crate::time::Time;

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
pub struct GatheredFacts {
    scan: Option<Result<ClusterScan, RuleFault>>,
    /// Whether no member answers the scan.
    is_silent: bool,
    /// Why requests that need the quorum would only time out.
    outage: Option<RuleFault>,
    /// Why the write that proves the quorum is not possible.
    proof: Option<RuleFault>,
    members: Option<Result<Members, RuleFault>>,
    alarms: Option<Result<Vec<Alarm>, RuleFault>>,
    history: Option<Result<HistoryAge, RuleFault>>,
    consistency: Option<Result<ConsistencyReport, RuleFault>>,
    certificates: Option<Vec<Result<CertificateFact, CertificateError>>>,
    dry_run: bool,
    now: Time,
}

impl GatheredFacts {
    /// Asks for what the rules need.
    ///
    /// # Errors
    /// An error that ends the command.
    pub async fn gather(store: &Store, needs: ClusterNeeds, dry_run: bool, stage: &Stage) -> Result<Self, Error> {
        let mut facts = Self {
            scan: None,
            is_silent: false,
            outage: None,
            proof: None,
            members: None,
            alarms: None,
            history: None,
            consistency: None,
            certificates: None,
            dry_run,
            now: Time::now(),
        };
        stage.begin(Some("asking the members".to_owned()));
        if needs.scan {
            let evidence = if needs.write { QuorumEvidence::Write } else { QuorumEvidence::Reads };
            let mut scanned = scan_cluster(store, evidence).await;
            if let Err(error @ ScanError::Proof { .. }) = scanned {
                // The user may not write: the other rules need no write.
                facts.proof = Some(RuleFault::of_scan(error)?);
                scanned = scan_cluster(store, QuorumEvidence::Reads).await;
            }
            facts.keep_scan(store, scanned)?;
        }
        if needs.members {
            facts.members = Some(match &facts.outage {
                Some(fault) if !facts.has_member_list() => Err(fault.clone()),
                _ => judged(store.members().await)?,
            });
            facts.outage = facts.outage.take().or_else(|| outage_of(facts.members.as_ref()));
        }
        if needs.alarms {
            facts.alarms = Some(match &facts.outage {
                Some(fault) => Err(fault.clone()),
                None => judged(store.alarms().await)?,
            });
            facts.outage = facts.outage.take().or_else(|| outage_of(facts.alarms.as_ref()));
        }
        if needs.history {
            facts.history = Some(match &facts.outage {
                Some(fault) => Err(fault.clone()),
                None => history_age(store).await?,
            });
            facts.outage = facts.outage.take().or_else(|| outage_of(facts.history.as_ref()));
        }
        if needs.consistency {
            stage.begin(Some("comparing the data of the members".to_owned()));
            facts.consistency = Some(match &facts.outage {
                Some(fault) => Err(fault.clone()),
                None => match check_consistency(store, false).await {
                    Ok(report) => Ok(report),
                    Err(error) => Err(RuleFault::of_scan(error)?),
                },
            });
        }
        if needs.certificates {
            stage.begin(Some("reading the certificates".to_owned()));
            facts.certificates = Some(certificates(store).await);
        }
        store.uninterrupted("check")?;
        Ok(facts)
    }

    fn keep_scan(&mut self, store: &Store, scanned: Result<ClusterScan, ScanError>) -> Result<(), Error> {
        let scan = match scanned {
            // What did not answer until then may be up.
            Ok(scan) if store.is_past_deadline() && scan.verdict() != ClusterHealth::Healthy => {
                Err(RuleFault::of(Error::Deadline { op: "asking the members", last: None })?)
            }
            Ok(scan) => Ok(scan),
            Err(error) => {
                self.is_silent = match &error {
                    ScanError::NoResponse { .. } => true,
                    ScanError::Store(error) | ScanError::Login { error, .. } => error.is_transient(),
                    ScanError::Proof { .. } => false,
                };
                Err(RuleFault::of_scan(error)?)
            }
        };
        self.outage = match &scan {
            Ok(scan) if lacks_quorum(scan) => {
                Some(RuleFault::unreachable(format!("the cluster has no quorum: {}", first(&scan.complaints()))))
            }
            Ok(_) => None,
            Err(_) => outage_of(Some(&scan)),
        };
        self.scan = Some(scan);
        Ok(())
    }

    /// Whether a member has told the list of the members, which some versions of etcd do without a quorum.
    fn has_member_list(&self) -> bool {
        matches!(&self.scan, Some(Ok(scan)) if scan.members.iter().any(|member| !member.name.is_empty()))
    }

    /// Why requests that need the quorum would only time out.
    pub fn outage(&self) -> Option<&RuleFault> {
        self.outage.as_ref()
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
    pub fn judge(&self, rule: &CheckRule) -> Option<RuleJudgement> {
        Some(match rule {
            CheckRule::Voters(limits) => self.member_count(limits, false),
            CheckRule::Learners(limits) => self.member_count(limits, true),
            CheckRule::NoAlarms => of_fact(self.alarms.as_ref(), |alarms| no_alarms(alarms)),
            CheckRule::HistoryBelow(limit) => of_fact(self.history.as_ref(), |age| {
                let found = format!("{} since revision {}", counted(age.revisions, "revision"), age.since);
                RuleJudgement::of(age.revisions < *limit, format!("fewer than {}", counted(*limit, "revision")), found)
                    .measure(age.revisions, MeasureUnit::Count, MeasureLimits::below(as_f64(*limit)))
            }),
            CheckRule::Consistent => of_fact(self.consistency.as_ref(), consistent),
            CheckRule::CertificateDays(days) => self.certificate_days(*days),
            rule => return self.of_scan(rule),
        })
    }

    fn of_scan(&self, rule: &CheckRule) -> Option<RuleJudgement> {
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
        match (self.scan.as_ref()?, &self.proof) {
            (Ok(_), Some(fault)) if matches!(rule, CheckRule::Quorum(QuorumTest::Write)) => {
                Some(RuleJudgement::error(fault.clone()))
            }
            (Ok(scan), _) => judge_scan(scan, rule, self.dry_run),
            (Err(_), _) if self.dry_run && matches!(rule, CheckRule::Quorum(QuorumTest::Write)) => {
                Some(RuleJudgement::skipped("--dry-run writes nothing"))
            }
            // These rules ask whether members answer.
            (Err(fault), _)
                if self.is_silent
                    && matches!(rule, CheckRule::Healthy(_) | CheckRule::Reachable | CheckRule::Quorum(_)) =>
            {
                let expected = expected_of_cluster(rule).unwrap_or_default();
                Some(RuleJudgement::fail(expected, format!("no member answers: {}", fault.why)))
            }
            (Err(fault), _) => Some(RuleJudgement::error(fault.clone())),
        }
    }

    fn member_count(&self, limits: &FigureLimits, learners: bool) -> RuleJudgement {
        of_fact(self.members.as_ref(), |members| {
            let count = members.members.iter().filter(|member| member.learner == learners).count();
            RuleJudgement::count(count as u64, limits)
        })
    }

    fn certificate_days(&self, days: u64) -> RuleJudgement {
        let Some(certificates) = &self.certificates else { return not_asked() };
        if certificates.is_empty() {
            return RuleJudgement::error(RuleFault::refused("the endpoints have no TLS, so there is no certificate"));
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
        judged.measure_f64(left, MeasureUnit::Seconds, MeasureLimits::at_least(limit))
    }
}

/// The fault of a request that etcd did not answer.
fn outage_of<T>(answer: Option<&Result<T, RuleFault>>) -> Option<RuleFault> {
    answer.and_then(|answer| answer.as_ref().err()).filter(|fault| fault.is_unreachable()).cloned()
}

/// Whether no voting member serves a linearizable read. A write that fails does not tell whether reads do.
fn lacks_quorum(scan: &ClusterScan) -> bool {
    let serves = |member: &MemberObservation| {
        member.read.is_ok() && member.status.as_ref().is_ok_and(|status| !status.learner && status.leader != 0)
    };
    scan.verdict() == ClusterHealth::NoQuorum && !scan.members.iter().any(serves)
}

fn not_asked() -> RuleJudgement {
    RuleJudgement::error(RuleFault::refused("kvadm did not ask for it"))
}

fn judged<T>(answer: Result<T, Error>) -> Result<Result<T, RuleFault>, Error> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) => RuleFault::of(error).map(Err),
    }
}

fn of_fact<T>(fact: Option<&Result<T, RuleFault>>, judge: impl FnOnce(&T) -> RuleJudgement) -> RuleJudgement {
    match fact {
        Some(Ok(fact)) => judge(fact),
        Some(Err(fault)) => RuleJudgement::error(fault.clone()),
        None => not_asked(),
    }
}

fn no_alarms(alarms: &[Alarm]) -> RuleJudgement {
    let raised: Vec<String> =
        alarms.iter().map(|alarm| format!("alarm {} of member {:x}", alarm.kind, alarm.member)).collect();
    over_members("no alarm", &raised, &[]).measure(alarms.len() as u64, MeasureUnit::Count, MeasureLimits::at_most(0.0))
}

fn consistent(report: &ConsistencyReport) -> RuleJudgement {
    let why = report.why.clone().unwrap_or_else(|| report.verdict.as_str().to_owned());
    match report.verdict {
        ConsistencyVerdict::Consistent => RuleJudgement::pass(),
        ConsistencyVerdict::Unknown | ConsistencyVerdict::HistoryUnknown => {
            RuleJudgement::error(RuleFault::unreachable(why))
        }
        ConsistencyVerdict::Different | ConsistencyVerdict::HistoryDiffers => {
            RuleJudgement::fail("all members have the same data", why)
        }
    }
}
