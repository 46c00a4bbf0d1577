//! Judges all rules about keys at one revision.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::collector::{Finding, JudgeContext, KeyCollector, KeyTest, PrefixTest};
use super::comparison::{OpenedRecords, PrefixComparison};
use super::document::{CheckFile, CheckItem, CheckSubject, NamedRule};
use super::judgement::{RuleFault, RuleJudgement, shown, shown_time};
use super::passes::{Wanted, WantedKind, plan_passes};
use super::rule::{CheckRule, SourceTest};
use super::stage::Stage;
use super::systems::{AllocatorTestRun, LockTest, TreeTestRun};
use crate::gc::metadata::schema::Schema;
use crate::kvstore::{Error, KeyRange, LeaseId, ReadOptions, Refusal, Revision, Store};

/// Keys that are read with one request.
const KEYS_AT_ONCE: usize = 64;

/// A rule by the index of its check and its own index in the check.
pub type RulePlace = (usize, usize);

/// Opens the sources of `equals` rules.
pub trait SourceOpener {
    /// Opens a source for the keys of this store with a prefix. It is called again for each evaluation.
    fn open(&self, test: &SourceTest, prefix: &[u8]) -> impl Future<Output = Result<OpenedRecords, RuleFault>>;
}

/// The judgements of rules about keys, and the time of their requests.
#[derive(Default)]
pub struct StoreJudgements {
    /// The judgements.
    pub found: HashMap<RulePlace, RuleJudgement>,
    /// The time of the requests of each check.
    pub took: HashMap<usize, Duration>,
}

enum RuleReader {
    Keys(Box<dyn KeyCollector>),
    Comparison(Box<PrefixComparison>),
    /// The rule is judged already.
    Judged,
}

struct StoreRule<'a> {
    place: RulePlace,
    rule: &'a NamedRule,
    wanted: Wanted,
    reader: RuleReader,
}

/// The range of the check's key or prefix.
pub fn subject_range(check: &CheckItem) -> Option<KeyRange> {
    match &check.subject {
        CheckSubject::None => None,
        CheckSubject::Key(key) => Some(KeyRange::key(key)),
        CheckSubject::Prefix(prefix) => Some(KeyRange::prefix(prefix)),
        CheckSubject::Lock(name) => Some(KeyRange::prefix(&[name.as_slice(), b"/"].concat())),
    }
}

/// What a rule reads of the store at one revision; `None` if it reads nothing.
pub fn wanted_by(check: &CheckItem, rule: &CheckRule) -> Option<Wanted> {
    let of = |kind| subject_range(check).map(|range| Wanted { range, kind });
    match rule {
        CheckRule::Exists
        | CheckRule::Absent
        | CheckRule::Value(_)
        | CheckRule::ValueMatches(_)
        | CheckRule::Json(_)
        | CheckRule::ChangedWithin(_)
        | CheckRule::Leased(_)
        | CheckRule::LeaseLeftAtLeast(_) => of(WantedKind::Key),
        CheckRule::ValueSizeBelow(_) if matches!(check.subject, CheckSubject::Key(_)) => of(WantedKind::Key),
        CheckRule::Count(_) => of(WantedKind::Count),
        CheckRule::AllLeased
        | CheckRule::SizeBelow(_)
        | CheckRule::ValueSizeBelow(_)
        | CheckRule::EachValueMatches(_)
        | CheckRule::EachJson(_)
        | CheckRule::Equals(_)
        | CheckRule::Held(_)
        | CheckRule::HeldForLessThan(_)
        | CheckRule::Waiters(_) => of(WantedKind::Keys),
        CheckRule::Allocator(test) => Some(Wanted { range: AllocatorTestRun::range(test), kind: WantedKind::Keys }),
        CheckRule::Tree(test) => {
            Some(Wanted { range: KeyRange::prefix(test.prefix.as_bytes()), kind: WantedKind::Keys })
        }
        _ => None,
    }
}

/// Judges the rules about keys at a revision.
pub struct StoreRules<'a, S> {
    /// The store.
    pub store: &'a Store,
    /// What all rules share.
    pub context: &'a JudgeContext,
    /// The schemas of `tree` rules by the names in the file.
    pub schemas: &'a HashMap<String, Arc<Schema>>,
    /// Opens the sources of `equals` rules.
    pub sources: &'a S,
    /// The revision.
    pub revision: Revision,
    /// What is being done.
    pub stage: &'a Stage,
}

impl<'a, S: SourceOpener> StoreRules<'a, S> {
    /// Judges all rules of the file about keys.
    ///
    /// # Errors
    /// An error that ends the command, or that the revision is compacted.
    pub async fn judge(&self, file: &'a CheckFile) -> Result<StoreJudgements, Error> {
        let mut judgements = StoreJudgements::default();
        let mut rules: Vec<StoreRule<'_>> = Vec::new();
        for (check_index, check) in file.checks.iter().enumerate() {
            for (rule_index, rule) in check.rules.iter().enumerate() {
                let Some(wanted) = wanted_by(check, &rule.rule) else { continue };
                let place = (check_index, rule_index);
                match self.reader(check, rule, &wanted.range).await {
                    Ok(reader) => rules.push(StoreRule { place, rule, wanted, reader }),
                    Err(fault) => drop(judgements.found.insert(place, RuleJudgement::error(fault))),
                }
            }
        }
        let wanted: Vec<Wanted> = rules.iter().map(|rule| rule.wanted.clone()).collect();
        let passes = plan_passes(&wanted);
        for (range, users) in &passes.ranges {
            let begun = Instant::now();
            self.stage.begin(Some(format!("reading the keys with the prefix {}", shown(&range.start))));
            if let Err(error) = self.read_range(range, users, &mut rules).await {
                fail_all(self.fault(error)?, users, &mut rules, &mut judgements);
            }
            add_time(begun.elapsed(), users, &rules, &mut judgements);
        }
        for (range, users) in &passes.counts {
            let begun = Instant::now();
            self.stage.begin(Some(format!("counting the keys with the prefix {}", shown(&range.start))));
            match self.store.count(range, self.revision, None).await {
                Ok(counted) => {
                    for index in users {
                        let Some(rule) = rules.get_mut(*index) else { continue };
                        if let CheckRule::Count(limits) = &rule.rule.rule {
                            judgements.found.insert(rule.place, RuleJudgement::count(counted.count, limits));
                            rule.reader = RuleReader::Judged;
                        }
                    }
                }
                Err(error) => fail_all(self.fault(error)?, users, &mut rules, &mut judgements),
            }
            add_time(begun.elapsed(), users, &rules, &mut judgements);
        }
        for chunk in passes.keys.chunks(KEYS_AT_ONCE) {
            let begun = Instant::now();
            self.stage.begin(Some("reading single keys".to_owned()));
            self.read_keys(chunk, &mut rules, &mut judgements).await?;
            let users: Vec<usize> = chunk.iter().flat_map(|(_, users)| users.iter().copied()).collect();
            add_time(begun.elapsed(), &users, &rules, &mut judgements);
        }
        self.finish(rules, &mut judgements).await?;
        Ok(judgements)
    }

    async fn reader(&self, check: &CheckItem, rule: &NamedRule, range: &KeyRange) -> Result<RuleReader, RuleFault> {
        let context = self.context;
        Ok(RuleReader::Keys(match (&rule.rule, &check.subject) {
            (CheckRule::Equals(test), _) => {
                let source = self.sources.open(test, &range.start).await?;
                let comparison = PrefixComparison::new(source, &test.shown, range.clone());
                return Ok(RuleReader::Comparison(Box::new(comparison)));
            }
            (CheckRule::Allocator(test), _) => Box::new(AllocatorTestRun::new(test, self.revision)),
            (CheckRule::Tree(test), _) => {
                let schema = self.schemas.get(&test.schema);
                let schema = schema.ok_or_else(|| RuleFault::refused("the schema is not loaded"))?;
                Box::new(TreeTestRun::new(test, schema, context, self.revision))
            }
            (rule, CheckSubject::Key(_)) => Box::new(KeyTest::new(rule, context)),
            (rule, CheckSubject::Lock(name)) => Box::new(LockTest::new(rule, context, name)),
            (rule, CheckSubject::Prefix(_) | CheckSubject::None) => Box::new(PrefixTest::new(rule, context)),
        }))
    }

    /// The fault for an error of a read.
    fn fault(&self, error: Error) -> Result<RuleFault, Error> {
        if error.is_refusal(Refusal::Compacted) { Err(error) } else { RuleFault::of(error) }
    }

    async fn read_range(&self, range: &KeyRange, users: &[usize], rules: &mut [StoreRule<'a>]) -> Result<(), Error> {
        let options = ReadOptions { revision: self.revision, ..ReadOptions::default() };
        let mut reader = self.store.read(range, options);
        while let Some(page) = reader.next().await? {
            for index in users {
                let Some(rule) = rules.get_mut(*index) else { continue };
                match &mut rule.reader {
                    RuleReader::Keys(collector) => {
                        let own = &rule.wanted.range;
                        page.iter().filter(|kv| own.contains(&kv.key)).for_each(|kv| collector.take(kv));
                    }
                    RuleReader::Comparison(comparison) => comparison.take_page(&page).await?,
                    RuleReader::Judged => {}
                }
            }
        }
        Ok(())
    }

    async fn read_keys(
        &self,
        chunk: &[(Vec<u8>, Vec<usize>)],
        rules: &mut [StoreRule<'a>],
        judgements: &mut StoreJudgements,
    ) -> Result<(), Error> {
        let keys: Vec<Vec<u8>> = chunk.iter().map(|(key, _)| key.clone()).collect();
        let together = self.store.get_many(&keys, self.revision, None).await;
        let mut found = match together {
            Ok(found) => found.kvs.into_iter().map(Ok).collect::<Vec<_>>(),
            // The user may read some of the keys.
            Err(error) if keys.len() > 1 && error.is_refusal(Refusal::Permission) => {
                let mut found = Vec::with_capacity(keys.len());
                for key in &keys {
                    found.push(match self.store.get(key, self.revision, None).await {
                        Ok((kv, _)) => Ok(kv),
                        Err(error) => Err(self.fault(error)?),
                    });
                }
                found
            }
            Err(error) => vec![Err(self.fault(error)?); keys.len()],
        }
        .into_iter();
        for (_, users) in chunk {
            match found.next() {
                Some(Ok(kv)) => {
                    for index in users {
                        let Some(rule) = rules.get_mut(*index) else { continue };
                        if let (RuleReader::Keys(collector), Some(kv)) = (&mut rule.reader, &kv) {
                            collector.take(kv);
                        }
                    }
                }
                Some(Err(fault)) => fail_all(fault, users, rules, judgements),
                None => fail_all(RuleFault::unreachable("the answer has too few keys"), users, rules, judgements),
            }
        }
        Ok(())
    }

    async fn finish(&self, rules: Vec<StoreRule<'a>>, judgements: &mut StoreJudgements) -> Result<(), Error> {
        let mut leases: Vec<(RulePlace, LeaseId, Duration)> = Vec::new();
        for rule in rules {
            let judgement = match rule.reader {
                RuleReader::Judged => continue,
                RuleReader::Comparison(comparison) => match comparison.finish().await {
                    Ok(judgement) => judgement,
                    Err(error) => RuleJudgement::error(self.fault(error)?),
                },
                RuleReader::Keys(collector) => match (collector.finish(), &rule.rule.rule) {
                    (Finding::Judged(judgement), _) => judgement,
                    (Finding::Lease(lease), CheckRule::LeaseLeftAtLeast(least)) => {
                        leases.push((rule.place, lease, *least));
                        continue;
                    }
                    (Finding::Lease(_), _) => continue,
                },
            };
            judgements.found.insert(rule.place, judgement);
        }
        for (place, lease, least) in leases {
            let expected = format!("a lease with at least {} left", shown_time(least));
            let judgement = match self.store.time_to_live(lease).await {
                Ok(Some(grant)) => {
                    let left = Duration::from_secs(u64::try_from(grant.left).unwrap_or(0));
                    let found = format!("lease {lease} has {} left", shown_time(left));
                    RuleJudgement::of(left >= least, expected, found).measure_time(left, least)
                }
                Ok(None) => RuleJudgement::fail(expected, format!("lease {lease} has expired")),
                Err(error) => RuleJudgement::error(RuleFault::of(error)?),
            };
            judgements.found.insert(place, judgement);
        }
        Ok(())
    }
}

/// None of these rules can be judged.
fn fail_all(fault: RuleFault, users: &[usize], rules: &mut [StoreRule<'_>], judgements: &mut StoreJudgements) {
    for index in users {
        if let Some(rule) = rules.get_mut(*index) {
            rule.reader = RuleReader::Judged;
            judgements.found.insert(rule.place, RuleJudgement::error(fault.clone()));
        }
    }
}

/// Adds the time of a request to each check that uses it.
fn add_time(time: Duration, users: &[usize], rules: &[StoreRule<'_>], judgements: &mut StoreJudgements) {
    let mut checks: Vec<usize> = users.iter().filter_map(|index| rules.get(*index)).map(|rule| rule.place.0).collect();
    checks.sort_unstable();
    checks.dedup();
    for check in checks {
        let sum = judgements.took.entry(check).or_default();
        *sum = sum.saturating_add(time);
    }
}
