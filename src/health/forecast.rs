//! When the store fills, from two samples. Pure.
//!
//! With g, the growth of the bytes in use per second, and u, the bytes in use:
//!
//! - time to the quota q: (q - u) / g. The file grows only when its free pages are used up, so that not its size counts.
//! - b = the growth of the bytes in use per revision; h = the revisions that are stored since the last compaction.
//!   The bytes after a compaction are about c = u - b h, at least 0.
//! - compaction period P that keeps the bytes in use below k: `compact --every P` keeps up to 2 P of history, so that
//!   c + 2 P g = k and P = (k - c) / (2 g).
//!
//! It takes the growth for history, of keys that are written again. If new keys come in instead, no period helps.

use std::time::Duration;

use crate::kvstore::Revision;

/// Longer times are beyond any plan, and mean "never" to a reader.
const LONGEST: f64 = 100.0 * 365.0 * 86_400.0;
/// A shorter period than this is no advice: the compactions would take all of the time.
const SHORTEST_PERIOD: f64 = 1.0;
/// The share of the quota to stay below, if nothing else is asked for, in percent.
const TARGET_PERCENT: u64 = 80;

/// The space of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSpace {
    /// The member's ID.
    pub id: u64,
    /// The member's endpoint.
    pub endpoint: String,
    /// The size of the database file in bytes.
    pub db_size: u64,
    /// The bytes in use.
    pub in_use: u64,
    /// The quota; `None` if the member does not tell it.
    pub quota: Option<u64>,
}

/// What the members said at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceSample {
    /// The latest revision.
    pub revision: Revision,
    /// The oldest revision that can be read; `None` if that is not known.
    pub oldest: Option<Revision>,
    /// The members that answered.
    pub members: Vec<MemberSpace>,
}

/// What is to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceTarget {
    /// The quota of members that do not tell theirs.
    pub quota: Option<u64>,
    /// The size to stay below; without it, 80 % of the quota.
    pub keep_below: Option<u64>,
}

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// After this time.
    After(Duration),
    /// It has happened.
    Now,
    /// Never at this rate: the store does not grow.
    Never,
    /// The quota is not known.
    Unknown,
}

/// The compaction period that keeps the bytes in use below the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodAdvice {
    /// Compact every so often.
    Every(Duration),
    /// The store does not grow: any period.
    Any,
    /// What a compaction cannot remove is already above the target.
    TooFull,
    /// Something is not known: the target, or what a compaction would remove.
    Unknown,
}

/// The forecast for one member.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberForecast {
    /// The space at the second sample.
    pub now: MemberSpace,
    /// The growth of the file in bytes per second; negative if it shrinks.
    pub size_growth: f64,
    /// The growth of the bytes in use per second; negative if they shrink.
    pub in_use_growth: f64,
    /// The quota that was used.
    pub quota: Option<u64>,
    /// When the quota is reached.
    pub quota_reached: Outlook,
    /// The target of the period.
    pub target: Option<u64>,
    /// The advised compaction period.
    pub period: PeriodAdvice,
}

/// The forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The time between the samples.
    pub window: Duration,
    /// The latest revision.
    pub revision: Revision,
    /// Revisions per second; 0 if the revision fell, which a restored store does.
    pub revisions_per_second: f64,
    /// The revisions that are stored since the last compaction; `None` if that is not known.
    pub history: Option<u64>,
    /// Whether the store was compacted between the samples; `None` if that is not known.
    pub was_compacted: Option<bool>,
    /// The members that are in both samples.
    pub members: Vec<MemberForecast>,
}

/// Derives the forecast from two samples. A compaction between them makes the growth too low; [`Forecast::was_compacted`].
pub fn forecast(first: &SpaceSample, last: &SpaceSample, window: Duration, target: SpaceTarget) -> Forecast {
    let revisions = u64::try_from(last.revision.saturating_sub(first.revision)).unwrap_or(0);
    let history = last.oldest.map(|oldest| u64::try_from(last.revision.saturating_sub(oldest)).unwrap_or(0));
    let was_compacted = match (first.oldest, last.oldest) {
        (Some(before), Some(now)) => Some(now > before),
        _ => None,
    };
    let members = last.members.iter().filter_map(|now| {
        let before = first.members.iter().find(|member| member.id == now.id)?;
        Some(forecast_of_member(before, now, window, revisions, history, target))
    });
    Forecast {
        window,
        revision: last.revision,
        revisions_per_second: per_second(to_f64(revisions), window),
        history,
        was_compacted,
        members: members.collect(),
    }
}

fn forecast_of_member(
    before: &MemberSpace,
    now: &MemberSpace,
    window: Duration,
    revisions: u64,
    history: Option<u64>,
    target: SpaceTarget,
) -> MemberForecast {
    let difference = |now: u64, before: u64| to_f64(now) - to_f64(before);
    let in_use_difference = difference(now.in_use, before.in_use);
    let in_use_growth = per_second(in_use_difference, window);
    let quota = now.quota.or(target.quota);
    let quota_reached = match quota {
        None => Outlook::Unknown,
        Some(quota) if now.db_size >= quota => Outlook::Now,
        Some(_) if in_use_growth <= 0.0 => Outlook::Never,
        Some(quota) => match (to_f64(quota) - to_f64(now.in_use)).max(0.0) / in_use_growth {
            seconds if seconds < LONGEST => Outlook::After(Duration::from_secs_f64(seconds)),
            _ => Outlook::Never,
        },
    };
    let limit = target.keep_below.or_else(|| quota.map(|quota| quota / 100 * TARGET_PERCENT));
    let period = match (limit, history) {
        (None, _) => PeriodAdvice::Unknown,
        (Some(limit), _) if in_use_growth <= 0.0 => {
            if now.in_use < limit {
                PeriodAdvice::Any
            } else {
                PeriodAdvice::Unknown
            }
        }
        (_, None) => PeriodAdvice::Unknown,
        (_, Some(_)) if revisions == 0 => PeriodAdvice::Unknown,
        (Some(limit), Some(history)) => {
            let per_revision = in_use_difference / to_f64(revisions);
            let after_compaction = (to_f64(now.in_use) - per_revision * to_f64(history)).max(0.0);
            let seconds = (to_f64(limit) - after_compaction) / (2.0 * in_use_growth);
            match seconds {
                seconds if seconds < SHORTEST_PERIOD => PeriodAdvice::TooFull,
                seconds if seconds < LONGEST => PeriodAdvice::Every(Duration::from_secs_f64(seconds)),
                _ => PeriodAdvice::Any,
            }
        }
    };
    MemberForecast {
        now: now.clone(),
        size_growth: per_second(difference(now.db_size, before.db_size), window),
        in_use_growth,
        quota,
        quota_reached,
        target: limit,
        period,
    }
}

fn per_second(amount: f64, window: Duration) -> f64 {
    if window.is_zero() { 0.0 } else { amount / window.as_secs_f64() }
}

#[allow(clippy::cast_precision_loss, reason = "a forecast needs no more digits")]
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn member(db_size: u64, in_use: u64, quota: Option<u64>) -> MemberSpace {
        MemberSpace { id: 1, endpoint: "http://m".to_owned(), db_size, in_use, quota }
    }

    fn sample(revision: Revision, oldest: Option<Revision>, member: MemberSpace) -> SpaceSample {
        SpaceSample { revision, oldest, members: vec![member] }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_growing_store() {
        let first = sample(1000, Some(1), member(100 * MIB, 50 * MIB, Some(1000 * MIB)));
        let last = sample(2000, Some(1), member(100 * MIB, 60 * MIB, Some(1000 * MIB)));
        let found = forecast(&first, &last, seconds(10), SpaceTarget::default());
        assert_eq!((found.revisions_per_second, found.was_compacted, found.history), (100.0, Some(false), Some(1999)));
        let one = &found.members[0];
        assert_eq!((one.in_use_growth, one.size_growth), ((MIB) as f64, 0.0));
        // The free pages of the file are used first.
        assert_eq!(one.quota_reached, Outlook::After(seconds(940)));
        // c = 60 MiB - 10 KiB of each revision * 1999; (800 MiB - c) / 2 MiB/s.
        let PeriodAdvice::Every(period) = one.period else { panic!("{:?}", one.period) };
        assert!((period.as_secs_f64() - (800.0 - (60.0 - 19.99)) / 2.0).abs() < 0.1, "{period:?}");
        let target = SpaceTarget { keep_below: Some(30 * MIB), ..SpaceTarget::default() };
        assert_eq!(forecast(&first, &last, seconds(10), target).members[0].period, PeriodAdvice::TooFull);
    }

    #[test]
    fn what_is_not_known_is_called_unknown() {
        let first = sample(1000, None, member(100, 50, None));
        let last = sample(2000, None, member(100, 60, None));
        let found = forecast(&first, &last, seconds(10), SpaceTarget::default());
        assert_eq!((found.was_compacted, found.history), (None, None));
        assert_eq!(
            (found.members[0].quota_reached, found.members[0].period),
            (Outlook::Unknown, PeriodAdvice::Unknown)
        );
        let target = SpaceTarget { quota: Some(1000), keep_below: None };
        let found = forecast(&first, &last, seconds(10), target);
        assert_eq!(found.members[0].quota_reached, Outlook::After(seconds(940)));
        assert_eq!(found.members[0].period, PeriodAdvice::Unknown, "what a compaction removes is not known");
    }

    #[test]
    fn a_store_that_does_not_grow() {
        let first = sample(1000, Some(5), member(100, 50, Some(1000)));
        let still = sample(1000, Some(5), member(100, 50, Some(1000)));
        let found = forecast(&first, &still, seconds(10), SpaceTarget::default());
        assert_eq!((found.revisions_per_second, found.members[0].quota_reached), (0.0, Outlook::Never));
        assert_eq!(found.members[0].period, PeriodAdvice::Any);
        let shrunk = sample(1100, Some(900), member(80, 20, Some(1000)));
        let found = forecast(&first, &shrunk, seconds(10), SpaceTarget::default());
        assert_eq!(found.was_compacted, Some(true));
        assert_eq!((found.members[0].in_use_growth, found.members[0].size_growth), (-3.0, -2.0));
        let full = sample(1100, Some(5), member(1000, 60, Some(1000)));
        assert_eq!(forecast(&first, &full, seconds(10), SpaceTarget::default()).members[0].quota_reached, Outlook::Now);
    }

    #[test]
    fn other_members_have_no_forecast() {
        let first = sample(1, Some(1), member(1, 1, None));
        let mut last = first.clone();
        last.members[0].id = 2;
        assert!(forecast(&first, &last, seconds(10), SpaceTarget::default()).members.is_empty());
    }

    proptest! {
        #[test]
        fn every_figure_is_finite(
            before in (any::<u64>(), any::<u64>(), any::<i64>()),
            now in (any::<u64>(), any::<u64>(), any::<i64>(), any::<Option<u64>>()),
            oldest in (any::<Option<i64>>(), any::<Option<i64>>()),
            window in any::<u64>(),
            target in (any::<Option<u64>>(), any::<Option<u64>>()),
        ) {
            let first = sample(before.2, oldest.0, member(before.0, before.1, None));
            let last = sample(now.2, oldest.1, member(now.0, now.1, now.3));
            let target = SpaceTarget { quota: target.0, keep_below: target.1 };
            let found = forecast(&first, &last, Duration::from_nanos(window), target);
            prop_assert!(found.revisions_per_second.is_finite() && found.revisions_per_second >= 0.0);
            let one = &found.members[0];
            prop_assert!(one.size_growth.is_finite() && one.in_use_growth.is_finite());
            if let Outlook::After(time) = one.quota_reached {
                prop_assert!(one.in_use_growth > 0.0 && time.as_secs_f64() < LONGEST);
            }
            if let PeriodAdvice::Every(period) = one.period {
                prop_assert!((SHORTEST_PERIOD..LONGEST).contains(&period.as_secs_f64()));
            }
        }

        #[test]
        fn a_larger_target_never_shortens_the_period(in_use in 0u64..1 << 40, growth in 1u64..1 << 30, small in 0u64..1 << 41, more in 0u64..1 << 41) {
            let first = sample(1, Some(1), member(0, in_use, None));
            let last = sample(100, Some(1), member(0, in_use + growth, None));
            let period = |keep_below| {
                let target = SpaceTarget { quota: None, keep_below: Some(keep_below) };
                match forecast(&first, &last, seconds(10), target).members[0].period {
                    PeriodAdvice::Every(period) => period,
                    PeriodAdvice::TooFull => Duration::ZERO,
                    PeriodAdvice::Any | PeriodAdvice::Unknown => Duration::MAX,
                }
            };
            prop_assert!(period(small) <= period(small + more));
        }
    }
}
