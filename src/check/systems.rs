//! Rules about locks, allocators and metadata trees.

use std::sync::Arc;
use std::time::Duration;

use super::collector::{Finding, JudgeContext, KeyCollector};
use super::judgement::{RuleFault, RuleJudgement, shown, shown_time};
use super::outcome::MeasureUnit;
use super::rule::{AllocatorTest, CheckRule, ShareLimit, TreeTest};
use crate::allocator::{AllocatorScan, Problem, Severity, StrayKeys, problems};
use crate::command_line::CommandLine;
use crate::gc::metadata::check::check as find_problems;
use crate::gc::metadata::mark::mark;
use crate::gc::metadata::model::{ModelBuilder, ModelError};
use crate::gc::metadata::schema::Schema;
use crate::kvstore::{Contender, KeyRange, KeyValue, LockQueue, LockTree, Revision};
use crate::plural::counted;

/// How much clocks may differ before an expired object of a tree is garbage, as in `gc metadata`.
const CLOCK_SKEW: Duration = Duration::from_secs(30);

/// A rule about a lock.
pub struct LockTest {
    rule: CheckRule,
    context: JudgeContext,
    name: Vec<u8>,
    tree: LockTree,
    queue: Option<LockQueue>,
}

impl LockTest {
    /// A rule about the lock with this name, whose contenders are taken.
    pub fn new(rule: &CheckRule, context: &JudgeContext, name: &[u8]) -> Self {
        let (rule, context) = (rule.clone(), context.clone());
        Self { rule, context, name: name.to_vec(), tree: LockTree::default(), queue: None }
    }

    fn keep(&mut self, locks: Vec<LockQueue>) {
        let own = locks.into_iter().find(|lock| lock.name() == self.name);
        self.queue = self.queue.take().or(own);
    }

    fn held_for(&self, holder: Option<&Contender>, limit: Duration) -> RuleJudgement {
        let Some(holder) = holder else { return RuleJudgement::pass() };
        let owner = holder.owner.as_ref();
        let Some(since) = owner.and_then(|owner| owner.since) else {
            let why = format!("the holder {} does not tell since when", describe(holder));
            return RuleJudgement::error(RuleFault::refused(why));
        };
        let nanos = u64::try_from(self.context.now.nanos_since(since)).unwrap_or(0);
        let held = Duration::from_nanos(nanos);
        let found = format!("{} by {}", shown_time(held), describe(holder));
        RuleJudgement::of(held < limit, format!("held for less than {}", shown_time(limit)), found)
            .measure_time(held, limit)
    }
}

/// The owner of a lock, or else its key.
fn describe(contender: &Contender) -> String {
    let owner = contender.owner.as_ref().map(ToString::to_string).filter(|owner| !owner.is_empty());
    owner.unwrap_or_else(|| shown(&contender.key))
}

impl KeyCollector for LockTest {
    fn take(&mut self, kv: &KeyValue) {
        let complete = self.tree.push(kv.clone());
        self.keep(complete);
    }

    fn finish(mut self: Box<Self>) -> Finding {
        let rest = std::mem::take(&mut self.tree).rest();
        self.keep(rest);
        let contenders = self.queue.as_ref().map_or(&[][..], |queue| &queue.contenders);
        let holds = |contender: &&Contender| self.queue.as_ref().is_some_and(|queue| queue.holds(contender));
        let holder = contenders.iter().find(holds);
        Finding::Judged(match &self.rule {
            CheckRule::Held(wanted) => {
                let expected = if *wanted { "held" } else { "not held" };
                let found =
                    holder.map_or_else(|| "not held".to_owned(), |holder| format!("held by {}", describe(holder)));
                RuleJudgement::of(holder.is_some() == *wanted, expected, found)
            }
            CheckRule::HeldForLessThan(limit) => self.held_for(holder, *limit),
            CheckRule::Waiters(limits) => {
                let waiting = contenders.iter().filter(|contender| !holds(contender)).count();
                RuleJudgement::count(waiting as u64, limits)
            }
            _ => RuleJudgement::error(RuleFault::refused("the rule is not about a lock")),
        })
    }
}

/// The rule `allocator`.
pub struct AllocatorTestRun {
    test: AllocatorTest,
    scan: AllocatorScan,
    stray: StrayKeys,
}

/// Stray keys that are named; the others are counted.
const NAMED_STRAY: usize = 100;

impl AllocatorTestRun {
    /// The rule for the keys below the base, read at a revision.
    pub fn new(test: &AllocatorTest, revision: Revision) -> Self {
        let scan = AllocatorScan { revision, ..AllocatorScan::default() };
        Self { test: test.clone(), scan, stray: StrayKeys::default() }
    }

    /// The keys that the rule reads.
    pub fn range(test: &AllocatorTest) -> KeyRange {
        KeyRange::prefix(&[test.layout.base(), b"/"].concat())
    }
}

/// More than `limit` problems of a severity, with the first one.
fn too_many(problems: &[Problem], severity: Severity, limit: Option<u64>) -> Option<String> {
    let found: Vec<&Problem> = problems.iter().filter(|problem| problem.kind.severity() == severity).collect();
    let first = found.first().filter(|_| limit.is_some_and(|limit| found.len() as u64 > limit))?;
    let place = first.paths.first().map_or_else(String::new, |path| format!(" {}", shown(path)));
    Some(format!("{}, the first: {}{place}", counted(found.len(), severity.name()), first.kind.name()))
}

impl KeyCollector for AllocatorTestRun {
    fn take(&mut self, kv: &KeyValue) {
        let layout = &self.test.layout;
        if layout.masters().contains(&kv.key) {
            self.scan.add_master(layout, kv);
        } else if layout.references().contains(&kv.key) {
            self.scan.add_reference(layout, kv);
        } else if layout.around_masters().iter().any(|range| range.contains(&kv.key)) {
            if self.stray.paths.len() < NAMED_STRAY {
                self.stray.paths.push(kv.key.clone());
            } else {
                self.stray.more = self.stray.more.saturating_add(1);
            }
        }
    }

    fn finish(mut self: Box<Self>) -> Finding {
        self.scan.sort();
        let test = &self.test;
        let delete = CommandLine::new(&[], &["delete"]);
        let found = problems(&self.scan, &self.stray, &test.layout, &test.range, &delete);
        let of = |severity| found.iter().filter(|problem| problem.kind.severity() == severity).count() as u64;
        let used = self.scan.masters.iter().filter(|master| test.range.contains(master.id)).count() as u64;
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = used as f64 / test.range.size() as f64 * 100.0;
        let full = test.used_below.filter(|limit| share >= *limit);
        let mut wrong: Vec<String> = [
            too_many(&found, Severity::Error, test.errors),
            too_many(&found, Severity::Warning, test.warnings),
            full.map(|_| format!("{share:.1}% of the IDs are used ({used} of {})", test.range.size())),
        ]
        .into_iter()
        .flatten()
        .collect();
        if self.scan.masters.is_empty() && self.scan.references.is_empty() {
            // A mistyped base has no keys: nothing would be checked.
            wrong.push(format!("no key below {}", shown(test.layout.base())));
        }
        let judged = RuleJudgement::of(wrong.is_empty(), expected_ids(test), wrong.join("; "));
        Finding::Judged(match (test.errors, test.warnings, test.used_below) {
            (Some(limit), ..) => judged.measure(of(Severity::Error), MeasureUnit::Count, Some(as_f64(limit))),
            (None, Some(limit), _) => judged.measure(of(Severity::Warning), MeasureUnit::Count, Some(as_f64(limit))),
            (None, None, limit) => judged.measure_f64(share, MeasureUnit::Percent, limit),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "for graphs")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

/// What the rule `allocator` asks for, in words.
pub fn expected_ids(test: &AllocatorTest) -> String {
    let limits = [(test.errors, "error"), (test.warnings, "warning")];
    let mut parts: Vec<String> = limits
        .iter()
        .filter_map(|(limit, noun)| limit.map(|limit| format!("at most {}", counted(limit, noun))))
        .collect();
    parts.extend(test.used_below.map(|limit| format!("less than {limit}% of the IDs used")));
    parts.join(", ")
}

/// The rule `tree`.
pub struct TreeTestRun {
    test: TreeTest,
    context: JudgeContext,
    builder: Result<ModelBuilder, ModelError>,
}

impl TreeTestRun {
    /// The rule for the keys below the prefix, read at a revision.
    pub fn new(test: &TreeTest, schema: &Arc<Schema>, context: &JudgeContext, revision: Revision) -> Self {
        let builder = ModelBuilder::new(Arc::clone(schema), test.prefix.as_bytes(), revision);
        Self { test: test.clone(), context: context.clone(), builder: Ok(builder) }
    }
}

impl KeyCollector for TreeTestRun {
    fn take(&mut self, kv: &KeyValue) {
        if let Ok(builder) = &mut self.builder
            && let Err(error) = builder.push(kv)
        {
            self.builder = Err(error);
        }
    }

    fn finish(self: Box<Self>) -> Finding {
        let model = match self.builder.and_then(ModelBuilder::finish) {
            Ok(model) => model,
            Err(error) => return Finding::Judged(RuleJudgement::error(RuleFault::refused(error.to_string()))),
        };
        let expected = expected_tree(&self.test);
        if model.totals().keys == 0 {
            return Finding::Judged(RuleJudgement::fail(expected, "no key with this prefix"));
        }
        let now = self.context.now;
        let marking = mark(&model, now, now - CLOCK_SKEW, &[]);
        let findings = find_problems(&model, &marking);
        let mut wrong = Vec::new();
        let problem_count = findings.iter().filter(|finding| finding.is_problem()).count() as u64;
        if let Some(first) = findings.iter().find(|finding| finding.is_problem())
            && self.test.problems.is_some_and(|limit| problem_count > limit)
        {
            wrong.push(format!("{}, the first: {}", counted(problem_count, "problem"), first.name()));
        }
        let kinds = marking.summary(&model);
        let objects: u64 = kinds.iter().map(|kind| kind.objects).sum();
        let garbage: u64 = kinds.iter().map(|kind| kind.garbage).sum();
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = if objects == 0 { 0.0 } else { garbage as f64 / objects as f64 * 100.0 };
        let too_much = match self.test.garbage_below {
            Some(ShareLimit::Percent(limit)) => share >= limit,
            Some(ShareLimit::Count(limit)) => garbage >= limit,
            None => false,
        };
        if too_much {
            wrong.push(format!("{garbage} of {} are garbage ({share:.1}%)", counted(objects, "object")));
        }
        let judged = RuleJudgement::of(wrong.is_empty(), expected, wrong.join("; "));
        Finding::Judged(match (self.test.problems, self.test.garbage_below) {
            (Some(limit), _) => judged.measure(problem_count, MeasureUnit::Count, Some(as_f64(limit))),
            (None, Some(ShareLimit::Percent(limit))) => judged.measure_f64(share, MeasureUnit::Percent, Some(limit)),
            (None, Some(ShareLimit::Count(limit))) => judged.measure(garbage, MeasureUnit::Count, Some(as_f64(limit))),
            (None, None) => judged,
        })
    }
}

/// What the rule `tree` asks for, in words.
pub fn expected_tree(test: &TreeTest) -> String {
    let problems = test.problems.map(|limit| format!("at most {}", counted(limit, "problem")));
    let garbage = test.garbage_below.map(|limit| match limit {
        ShareLimit::Percent(limit) => format!("less than {limit}% garbage"),
        ShareLimit::Count(limit) => format!("fewer than {} of garbage", counted(limit, "object")),
    });
    [problems, garbage].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
