//! Counts the changes of a period: in total, per branch, and per key.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::distinct::{DistinctCounter, DistinctEstimate};
use super::levels::BranchLevels;
use super::space_saving::{CounterName, SpaceSaving};
use super::trends::{TREND_PERIODS, Trends};

/// The branches, and the keys, that have a counter. With the estimates of each branch they take at most 5 MB.
const COUNTERS: usize = 2048;
/// Distinct keys and leases of a branch: 1024 and 256 bytes.
type BranchKeys = DistinctCounter<10>;
type BranchLeases = DistinctCounter<8>;
/// Distinct keys and leases of all branches together: 16 KiB each.
type TotalDistinct = DistinctCounter<14>;

/// A change of a key.
#[derive(Clone, Copy, Debug)]
pub struct ObservedChange<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The bytes of the key and the new value.
    pub bytes: u64,
    /// Whether the key was deleted.
    pub deleted: bool,
    /// The ID of the lease that the key has after the change, if any.
    pub lease: Option<i64>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActivityCounts {
    /// Changes.
    pub events: u64,
    /// Changes that wrote a key.
    pub writes: u64,
    /// Changes that deleted a key.
    pub deletes: u64,
    /// Bytes of the keys and the new values.
    pub bytes: u64,
}

/// What makes a branch active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityMetric {
    /// Changes.
    Events,
    /// Bytes of keys and values.
    Bytes,
    /// Written keys.
    Writes,
    /// Deleted keys.
    Deletes,
}

impl ActivityMetric {
    /// The value in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Bytes => "bytes",
            Self::Writes => "writes",
            Self::Deletes => "deletes",
        }
    }
}

impl ActivityCounts {
    fn of(change: ObservedChange<'_>) -> Self {
        let deletes = u64::from(change.deleted);
        Self { events: 1, writes: 1 - deletes, deletes, bytes: change.bytes }
    }

    fn add(&mut self, other: Self) {
        self.events = self.events.saturating_add(other.events);
        self.writes = self.writes.saturating_add(other.writes);
        self.deletes = self.deletes.saturating_add(other.deletes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// The count that this metric is about.
    pub fn get(&self, metric: ActivityMetric) -> u64 {
        match metric {
            ActivityMetric::Events => self.events,
            ActivityMetric::Bytes => self.bytes,
            ActivityMetric::Writes => self.writes,
            ActivityMetric::Deletes => self.deletes,
        }
    }
}

#[derive(Debug, Default)]
struct BranchData {
    counts: ActivityCounts,
    keys: BranchKeys,
    leases: BranchLeases,
    is_key: bool,
}

/// A branch in a period.
#[derive(Clone, Debug)]
pub struct BranchActivity {
    /// The branch.
    pub name: CounterName,
    /// Whether it is a single key with fewer levels than were asked for.
    pub is_key: bool,
    /// What was counted.
    pub counts: ActivityCounts,
    /// The changed keys.
    pub keys: DistinctEstimate,
    /// The leases of the written keys.
    pub leases: DistinctEstimate,
    /// By how much the count of the metric may be too low.
    pub error: u64,
    /// The metric in the last periods, oldest first.
    pub trend: Vec<u64>,
}

/// A key in a period.
#[derive(Clone, Debug)]
pub struct KeyActivity {
    /// The key.
    pub name: CounterName,
    /// What was counted.
    pub counts: ActivityCounts,
    /// By how much the count of the metric may be too low.
    pub error: u64,
}

/// The changes of a period.
#[derive(Clone, Debug)]
pub struct PeriodActivity {
    /// All changes.
    pub total: ActivityCounts,
    /// All changed keys.
    pub keys: DistinctEstimate,
    /// The leases of all written keys.
    pub leases: DistinctEstimate,
    /// All changes of the last periods, oldest first.
    pub trend: Vec<u64>,
    /// The branches that changed, the most active first.
    pub branches: Vec<BranchActivity>,
    /// Branches that changed in earlier periods only, the most active first.
    pub idle: Vec<BranchActivity>,
    /// The most that any count of the metric may be too low; a branch that is missing has at most this.
    pub error_bound: u64,
    /// The most active keys, if they are counted.
    pub hot_keys: Vec<KeyActivity>,
}

/// Counts changes, in memory that does not grow with the number of keys, branches or changes.
#[derive(Debug)]
pub struct ActivityMonitor {
    levels: BranchLevels,
    metric: ActivityMetric,
    hasher: RandomState,
    total: ActivityCounts,
    keys: TotalDistinct,
    leases: TotalDistinct,
    branches: SpaceSaving<BranchData>,
    hot_keys: Option<SpaceSaving<ActivityCounts>>,
    trends: Trends,
    total_trend: VecDeque<u64>,
    /// Whether branches of earlier periods are single keys.
    idle_keys: HashMap<CounterName, bool>,
}

impl ActivityMonitor {
    /// Creates it, with counters for single keys if `with_keys`.
    pub fn new(levels: BranchLevels, metric: ActivityMetric, with_keys: bool) -> Self {
        Self {
            levels,
            metric,
            hasher: RandomState::new(),
            total: ActivityCounts::default(),
            keys: TotalDistinct::default(),
            leases: TotalDistinct::default(),
            branches: SpaceSaving::new(COUNTERS),
            hot_keys: with_keys.then(|| SpaceSaving::new(COUNTERS)),
            trends: Trends::default(),
            total_trend: VecDeque::new(),
            idle_keys: HashMap::new(),
        }
    }

    /// Counts a change.
    pub fn record(&mut self, change: ObservedChange<'_>) {
        let counts = ActivityCounts::of(change);
        let weight = counts.get(self.metric);
        let key_hash = self.hasher.hash_one(change.key);
        let lease_hash = change.lease.map(|lease| self.hasher.hash_one(lease));
        self.total.add(counts);
        self.keys.add(key_hash);
        if let Some(hash) = lease_hash {
            self.leases.add(hash);
        }
        let branch = self.levels.branch(change.key);
        if let Some(data) = self.branches.add(branch, weight) {
            data.counts.add(counts);
            data.keys.add(key_hash);
            data.is_key = branch.len() == change.key.len();
            if let Some(hash) = lease_hash {
                data.leases.add(hash);
            }
        }
        if let Some(counted) = self.hot_keys.as_mut().and_then(|keys| keys.add(change.key, weight)) {
            counted.add(counts);
        }
    }

    /// Returns what was counted since the last call, and begins the next period.
    pub fn end_period(&mut self) -> PeriodActivity {
        let metric = self.metric;
        let counters = self.branches.counters();
        self.trends.add(counters.iter().map(|counter| (&counter.name, counter.data.counts.get(metric))));
        self.total_trend.push_back(self.total.get(metric));
        if self.total_trend.len() > TREND_PERIODS {
            self.total_trend.pop_front();
        }
        let mut branches: Vec<BranchActivity> = counters
            .iter()
            .map(|counter| BranchActivity {
                name: counter.name.clone(),
                is_key: counter.data.is_key,
                counts: counter.data.counts,
                keys: counter.data.keys.estimate(),
                leases: counter.data.leases.estimate(),
                error: counter.error,
                trend: self.trends.of(&counter.name),
            })
            .collect();
        branches.sort_by(|a, b| {
            let rank = |one: &BranchActivity| (Reverse(one.counts.get(metric)), Reverse(one.counts.events));
            rank(a).cmp(&rank(b)).then_with(|| a.name.bytes.cmp(&b.name.bytes))
        });
        let idle = self.idle();
        self.idle_keys = branches
            .iter()
            .map(|branch| (branch.name.clone(), branch.is_key))
            .chain(idle.iter().map(|branch| (branch.name.clone(), branch.is_key)))
            .collect();
        let errors = counters.iter().map(|counter| counter.error).max().unwrap_or(0);
        let period = PeriodActivity {
            total: std::mem::take(&mut self.total),
            keys: self.keys.estimate(),
            leases: self.leases.estimate(),
            trend: self.total_trend.iter().copied().collect(),
            branches,
            idle,
            error_bound: errors.max(self.branches.untracked_bound()),
            hot_keys: self.hottest(),
        };
        self.keys = TotalDistinct::default();
        self.leases = TotalDistinct::default();
        self.branches.clear();
        period
    }

    fn idle(&self) -> Vec<BranchActivity> {
        let counted: std::collections::HashSet<&CounterName> =
            self.branches.counters().iter().map(|counter| &counter.name).collect();
        let mut idle: Vec<BranchActivity> = self
            .trends
            .idle()
            .filter(|name| !counted.contains(name))
            .map(|name| BranchActivity {
                name: name.clone(),
                is_key: self.idle_keys.get(name).copied().unwrap_or(false),
                counts: ActivityCounts::default(),
                keys: DistinctEstimate::default(),
                leases: DistinctEstimate::default(),
                error: 0,
                trend: self.trends.of(name),
            })
            .collect();
        idle.sort_by(|a, b| {
            self.trends.sum(&b.name).cmp(&self.trends.sum(&a.name)).then_with(|| a.name.bytes.cmp(&b.name.bytes))
        });
        idle
    }

    fn hottest(&mut self) -> Vec<KeyActivity> {
        let metric = self.metric;
        let Some(counted) = &mut self.hot_keys else { return Vec::new() };
        let activity = |one: &super::space_saving::WeightCounter<ActivityCounts>| KeyActivity {
            name: one.name.clone(),
            counts: one.data,
            error: one.error,
        };
        let mut keys: Vec<KeyActivity> = counted.counters().iter().map(activity).collect();
        keys.sort_by(|a, b| {
            b.counts.get(metric).cmp(&a.counts.get(metric)).then_with(|| a.name.bytes.cmp(&b.name.bytes))
        });
        counted.clear();
        keys
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn monitor(metric: ActivityMetric) -> ActivityMonitor {
        ActivityMonitor::new(BranchLevels { base: 0, separator: b'/', depth: 1 }, metric, true)
    }

    #[derive(Default)]
    struct Naive {
        counts: ActivityCounts,
        keys: BTreeSet<String>,
        leases: BTreeSet<i64>,
    }

    proptest! {
        #[test]
        fn few_branches_are_counted_exactly(
            changes in proptest::collection::vec(("[a-c](/[a-d]){0,2}", 0u64..1000, any::<bool>(), 0i64..4), 0..80),
            metric in prop_oneof![
                Just(ActivityMetric::Events), Just(ActivityMetric::Bytes),
                Just(ActivityMetric::Writes), Just(ActivityMetric::Deletes),
            ],
        ) {
            let mut monitor = monitor(metric);
            let mut naive: BTreeMap<String, Naive> = BTreeMap::new();
            let mut total = ActivityCounts::default();
            for (key, bytes, deleted, lease) in &changes {
                let lease = Some(*lease).filter(|lease| *lease > 0 && !deleted);
                let change = ObservedChange { key: key.as_bytes(), bytes: *bytes, deleted: *deleted, lease };
                monitor.record(change);
                let branch = key.split_once('/').map_or(key.clone(), |(first, _)| format!("{first}/"));
                let one = naive.entry(branch).or_default();
                one.counts.add(ActivityCounts::of(change));
                one.keys.insert(key.clone());
                one.leases.extend(lease);
                total.add(ActivityCounts::of(change));
            }
            let period = monitor.end_period();
            prop_assert_eq!((period.total, period.error_bound), (total, 0));
            prop_assert_eq!(period.branches.len(), naive.len());
            for branch in &period.branches {
                let name = String::from_utf8(branch.name.bytes.to_vec()).unwrap();
                let one = &naive[&name];
                prop_assert_eq!(branch.counts, one.counts);
                let exact = |count: usize| DistinctEstimate { count: count as u64, error: 0 };
                prop_assert_eq!((branch.keys, branch.leases), (exact(one.keys.len()), exact(one.leases.len())));
                prop_assert_eq!(branch.is_key, !name.ends_with('/'));
                prop_assert_eq!(*branch.trend.last().unwrap(), one.counts.get(metric));
            }
            let ranked: Vec<u64> = period.branches.iter().map(|branch| branch.counts.get(metric)).collect();
            prop_assert!(ranked.is_sorted_by(|a, b| a >= b));
            prop_assert_eq!(period.hot_keys.iter().map(|key| key.counts.events).sum::<u64>(), total.events);
        }
    }

    #[test]
    fn a_period_without_changes_is_empty_and_names_who_was_active() {
        let mut monitor = monitor(ActivityMetric::Events);
        monitor.record(ObservedChange { key: b"/a/1", bytes: 4, deleted: false, lease: None });
        monitor.end_period();
        let period = monitor.end_period();
        assert_eq!((period.total, period.branches.len()), (ActivityCounts::default(), 0));
        let [idle] = period.idle.as_slice() else { panic!("{:?}", period.idle) };
        assert_eq!((&*idle.name.bytes, idle.is_key), (&b"/a/"[..], false));
        assert_eq!(idle.trend.iter().sum::<u64>(), 1);
    }

    #[test]
    fn a_flood_of_branches_has_an_error_that_is_told() {
        let mut monitor = monitor(ActivityMetric::Events);
        for n in 0..20_000_u32 {
            let key = format!("{n}/x");
            monitor.record(ObservedChange { key: key.as_bytes(), bytes: 1, deleted: false, lease: None });
            if n.is_multiple_of(10) {
                monitor.record(ObservedChange { key: b"hot/x", bytes: 1, deleted: false, lease: None });
            }
        }
        let period = monitor.end_period();
        assert_eq!(period.total.events, 22_000);
        let hot = &period.branches[0];
        assert_eq!(&*hot.name.bytes, b"hot/");
        assert!(hot.counts.events <= 2000 && hot.counts.events + hot.error >= 2000, "{hot:?}");
        assert!((1..=11).contains(&period.error_bound), "{}", period.error_bound);
        assert!(period.keys.count.abs_diff(20_001) <= 2 * period.keys.error);
        assert_eq!(period.branches.len(), COUNTERS);
    }
}
