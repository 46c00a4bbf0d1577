//! Evaluates a check file once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::changes::{Notify, judge_changes};
use super::cluster::{ClusterNeeds, GatheredFacts};
use super::collector::JudgeContext;
use super::document::CheckFile;
use super::judgement::{RuleFault, RuleJudgement};
use super::outcome::{CheckOutcome, CheckReport, RuleOutcome};
use super::probe::judge_write_latency;
use super::rule::CheckRule;
use super::stage::Stage;
use super::store_rules::{RulePlace, SourceOpener, StoreJudgements, StoreRules, subject_range, wanted_by};
use crate::gc::metadata::schema::Schema;
use crate::kvstore::{Error, KeyRange, Refusal, Revision, Store};
use crate::proto::Codec;
use crate::time::Time;

/// How often the rules about keys are judged again because their revision was compacted meanwhile.
const MAX_ATTEMPTS: u32 = 5;

/// What an evaluation works with.
pub struct Evaluation<'a, S> {
    /// The store.
    pub store: &'a Store,
    /// Decodes protobuf values and those of a Kubernetes API server.
    pub codec: Arc<Codec>,
    /// The schemas of `tree` rules, by the names in the file.
    pub schemas: &'a HashMap<String, Arc<Schema>>,
    /// Opens the sources of `equals` rules.
    pub sources: &'a S,
    /// Whether nothing may be written.
    pub dry_run: bool,
    /// Tells the user what is waited for.
    pub notify: Notify,
    /// What is being done.
    pub stage: Stage,
}

impl<S: SourceOpener> Evaluation<'_, S> {
    /// Judges all rules of a file.
    ///
    /// # Errors
    /// An error that ends the command: a signal, or unusable TLS files. All others are outcomes of rules.
    pub async fn run(&self, file: &CheckFile) -> Result<CheckReport, Error> {
        let (begun, time) = (Instant::now(), Time::now());
        let mut found: HashMap<RulePlace, RuleJudgement> = HashMap::new();
        let mut took: HashMap<usize, Duration> = HashMap::new();
        let mut revision = None;
        if let Some(first) = first_range(file) {
            match self.store_rules(file, &first, time).await {
                Ok((at, judgements)) => {
                    revision = Some(at);
                    found.extend(judgements.found);
                    took.extend(judgements.took);
                }
                Err(error) => {
                    let fault = RuleFault::of(error)?;
                    for (place, _) in store_places(file) {
                        found.insert(place, RuleJudgement::error(fault.clone()));
                    }
                }
            }
        }
        let facts_begun = Instant::now();
        let needs = ClusterNeeds::of(file, self.dry_run);
        let facts = GatheredFacts::gather(self.store, needs, self.dry_run, &self.stage).await?;
        let facts_took = facts_begun.elapsed();
        for (place, rule) in places(file) {
            if let Some(judgement) = facts.judge(rule) {
                found.insert(place, judgement);
                let sum = took.entry(place.0).or_default();
                *sum = (*sum).max(facts_took);
            }
        }
        self.probes(file, &mut found, &mut took).await?;
        self.changes(file, revision, &mut found, &mut took).await?;
        let checks = file
            .checks
            .iter()
            .enumerate()
            .map(|(check_index, check)| CheckOutcome {
                name: check.name.clone(),
                line: check.line,
                took: took.get(&check_index).copied().unwrap_or_default(),
                rules: check
                    .rules
                    .iter()
                    .enumerate()
                    .map(|(rule_index, rule)| {
                        let judgement = found.remove(&(check_index, rule_index)).unwrap_or_else(|| {
                            RuleJudgement::error(RuleFault::refused("kvadm did not judge the rule"))
                        });
                        RuleOutcome { rule: rule.info.name, state: judgement.state, measure: judgement.measure }
                    })
                    .collect(),
            })
            .collect();
        Ok(CheckReport {
            file: file.name.clone(),
            time,
            took: begun.elapsed(),
            cluster: facts.cluster().or_else(|| self.store.cluster()).filter(|cluster| *cluster != 0),
            revision,
            checks,
        })
    }

    /// Judges the rules about keys at the latest revision; at a later one if that is compacted meanwhile.
    async fn store_rules(
        &self,
        file: &CheckFile,
        first: &KeyRange,
        now: Time,
    ) -> Result<(Revision, StoreJudgements), Error> {
        let context = JudgeContext { now, codec: Arc::clone(&self.codec) };
        let mut attempt = 1;
        loop {
            self.stage.begin(Some("asking for the revision".to_owned()));
            let revision = self.store.revision_for(first).await?;
            let rules = StoreRules {
                store: self.store,
                context: &context,
                schemas: self.schemas,
                sources: self.sources,
                revision,
                stage: &self.stage,
            };
            match rules.judge(file).await {
                Err(error) if attempt < MAX_ATTEMPTS && error.is_refusal(Refusal::Compacted) => attempt += 1,
                judged => return Ok((revision, judged?)),
            }
        }
    }

    async fn probes(
        &self,
        file: &CheckFile,
        found: &mut HashMap<RulePlace, RuleJudgement>,
        took: &mut HashMap<usize, Duration>,
    ) -> Result<(), Error> {
        for (place, rule) in places(file) {
            let CheckRule::WriteLatencyBelow(limit) = rule else { continue };
            let begun = Instant::now();
            self.stage.begin(Some("measuring writes".to_owned()));
            let judgement = if self.dry_run {
                RuleJudgement::skipped("--dry-run writes nothing")
            } else {
                let key = file.checks.get(place.0).and_then(|check| check.probe_key.as_deref());
                judge_write_latency(self.store, key, *limit).await?
            };
            found.insert(place, judgement);
            *took.entry(place.0).or_default() += begun.elapsed();
        }
        Ok(())
    }

    /// Waits for all changes at the same time.
    async fn changes(
        &self,
        file: &CheckFile,
        revision: Option<Revision>,
        found: &mut HashMap<RulePlace, RuleJudgement>,
        took: &mut HashMap<usize, Duration>,
    ) -> Result<(), Error> {
        let mut waits = Vec::new();
        for (place, rule) in places(file) {
            let range = file.checks.get(place.0).and_then(subject_range);
            if let (CheckRule::ChangesWithin(within), Some(range)) = (rule, range) {
                waits.push((place, range, *within));
            }
        }
        let Some((_, first, _)) = waits.first() else { return Ok(()) };
        let revision = match revision {
            Some(revision) => Ok(revision),
            None => self.store.revision_for(first).await,
        };
        let revision = match revision {
            Ok(revision) => revision,
            Err(error) => {
                let fault = RuleFault::of(error)?;
                found.extend(waits.iter().map(|(place, ..)| (*place, RuleJudgement::error(fault.clone()))));
                return Ok(());
            }
        };
        // Each wait reports itself.
        self.stage.begin(None);
        let begun = Instant::now();
        let mut judging: JoinSet<(RulePlace, Result<RuleJudgement, Error>)> = JoinSet::new();
        for (place, range, within) in waits {
            let (store, notify) = (self.store.clone(), Arc::clone(&self.notify));
            judging.spawn(async move { (place, judge_changes(&store, range, revision, within, notify).await) });
        }
        while let Some(judged) = judging.join_next().await {
            // The runtime is shutting down.
            let Ok((place, judgement)) = judged else { return Err(Error::Interrupted { op: "check", unknown: false }) };
            found.insert(place, judgement?);
            let sum = took.entry(place.0).or_default();
            *sum = (*sum).max(begun.elapsed());
        }
        Ok(())
    }
}

/// All rules with their places.
fn places(file: &CheckFile) -> impl Iterator<Item = (RulePlace, &CheckRule)> {
    file.checks.iter().enumerate().flat_map(|(check_index, check)| {
        let rules = check.rules.iter().enumerate();
        rules.map(move |(rule_index, rule)| ((check_index, rule_index), &rule.rule))
    })
}

/// The rules that are judged at one revision, with what they read.
fn store_places(file: &CheckFile) -> impl Iterator<Item = (RulePlace, KeyRange)> {
    places(file).filter_map(|(place, rule)| {
        let wanted = wanted_by(file.checks.get(place.0)?, rule)?;
        Some((place, wanted.range))
    })
}

/// The range of the first rule that is judged at one revision.
fn first_range(file: &CheckFile) -> Option<KeyRange> {
    store_places(file).next().map(|(_, range)| range)
}
