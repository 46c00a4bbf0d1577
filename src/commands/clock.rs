//! `--at TIME --clock KEY`: the revision of a point in time, by a key whose value is the time at which it was written.
//!
//! etcd stores no times. Cilium's operator writes the time to `cilium/.heartbeat` every minute; each write dates its revision.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use crate::args::KeyText;
use crate::context::Context;
use crate::duration::{format_duration, parse_duration};
use crate::error::{Exit, Failure};
use crate::kvstore::{Refusal, Revision, Store};
use crate::output::{ClockRow, bytes};
use crate::time::Time;

/// Bytes of a value that are printed if it is not a time.
const LONGEST: usize = 40;
const NANOS_PER_SEC: u128 = 1_000_000_000;

/// `--at` and `--clock`.
#[derive(Args, Clone, Debug)]
pub struct AtArgs {
    /// Read at the newest revision not after TIME: 2026-11-30T05:00:00Z, or 10m for 10 minutes ago
    ///
    /// The revision is that of a write of the --clock key, so the data may be older than TIME by the time between two writes. A
    /// note says which revision and time were chosen. If the writer's clock has gone backwards, the revision may be too early.
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "rev", help_heading = "What to show")]
    at: Option<Time>,
    /// With --at: key whose value is the time (RFC 3339) at which it was written
    #[arg(
        long,
        value_name = "KEY",
        default_value = "cilium/.heartbeat",
        requires = "at",
        conflicts_with = "rev",
        help_heading = "What to show"
    )]
    clock: OsString,
}

/// A write of the clock key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockTick {
    /// The revision of the write.
    pub revision: Revision,
    /// The value: the time of the write by the writer's clock.
    pub time: Time,
}

impl AtArgs {
    /// The revision to read, if `--at` was given; a note says which one it is.
    ///
    /// # Errors
    /// [`Exit::No`] if the clock key does not exist; [`Exit::Refused`] if its value is not a time, or if the time is before
    /// the oldest known one; or an error of the store.
    pub async fn revision(&self, ctx: &Context, store: &Store, text: KeyText) -> Result<Option<Revision>, Failure> {
        let Some(time) = self.at else { return Ok(None) };
        let key = text.key(&self.clock, store.namespace())?;
        let mut clock = ClockKey { store, key: &key, seen: BTreeMap::new() };
        let found = clock.find(time).await;
        if let Some((earlier, later)) = clock.disorder() {
            ctx.out.warn(&format!(
                "the times of {} are not in order, so --at may have chosen too early a revision: {} at revision {}, {} at \
                 revision {}",
                bytes::name(&key),
                earlier.time,
                earlier.revision,
                later.time,
                later.revision
            ));
        }
        let tick = found?;
        let before = u64::try_from(time.nanos_since(tick.time).unsigned_abs() / NANOS_PER_SEC).unwrap_or(u64::MAX);
        let note = format!(
            "reading at revision {}, of {}, {} before --at",
            tick.revision,
            tick.time,
            format_duration(Duration::from_secs(before))
        );
        ctx.out.summary(&ClockRow { clock: &key, revision: tick.revision, time: &tick.time.to_string() }, &note);
        Ok(Some(tick.revision))
    }
}

struct ClockKey<'a> {
    store: &'a Store,
    key: &'a [u8],
    /// The writes that were read, by their revisions.
    seen: BTreeMap<Revision, Time>,
}

impl ClockKey<'_> {
    /// The newest write of the clock key that is not after `time` and whose revision can be read. Takes about as many requests
    /// as the number of revisions has binary digits. If the times do not ascend, another write may be found.
    async fn find(&mut self, time: Time) -> Result<ClockTick, Failure> {
        let name = bytes::name(self.key);
        let Some(newest) = self.store.get(self.key, 0, None).await?.0 else {
            return Err(Failure::new(Exit::No, format!("--at: the clock key {name} does not exist"))
                .hint("name a key whose value is the time at which it was written with --clock KEY"));
        };
        let (created, newest) = (newest.create_revision, self.tick_of(newest.mod_revision, &newest.value)?);
        let mut search = TickSearch { low: created - 1, high: newest, found: None };
        if newest.time <= time {
            search.found = Some(newest);
        } else {
            while let Some(revision) = search.probe() {
                search.learn(revision, self.tick(revision).await?, |tick| tick.time <= time);
            }
        }
        if let Some(tick) = search.found
            && self.is_readable(tick).await?
        {
            return Ok(tick);
        }
        Err(match self.oldest(created, newest).await? {
            Some(oldest) => Failure::new(
                Exit::Refused,
                format!("--at: {time} is before the oldest known time, {} (revision {})", oldest.time, oldest.revision),
            )
            .hint(format!("earlier revisions are compacted, or {name} was created later; try --at {}", oldest.time)),
            None => Failure::new(
                Exit::Refused,
                format!(
                    "--at: {name} was last written at revision {} ({}), which is compacted",
                    newest.revision, newest.time
                ),
            )
            .hint("name a key that is written more often with --clock KEY, or use --rev"),
        })
    }

    /// Two of the writes that were read, of which the earlier one has the later time.
    fn disorder(&self) -> Option<(ClockTick, ClockTick)> {
        let ticks = self.seen.iter().map(|(revision, time)| ClockTick { revision: *revision, time: *time });
        ticks.clone().zip(ticks.skip(1)).find(|(earlier, later)| earlier.time > later.time)
    }

    /// The oldest write since the key's creation whose revision can be read.
    async fn oldest(&mut self, created: Revision, newest: ClockTick) -> Result<Option<ClockTick>, Failure> {
        if !self.is_readable(newest).await? {
            return Ok(None);
        }
        let mut search = TickSearch { low: created - 1, high: newest, found: None };
        while let Some(revision) = search.probe() {
            let tick = self.tick(revision).await?;
            let readable = match tick {
                Some(tick) => tick.revision == revision || self.is_readable(tick).await?,
                None => false,
            };
            search.learn(revision, tick, |_| !readable);
        }
        Ok(Some(search.high))
    }

    /// Whether the revision of the write has not been compacted. A later revision shows the write even if it has.
    async fn is_readable(&mut self, tick: ClockTick) -> Result<bool, Failure> {
        Ok(self.tick(tick.revision).await?.is_some())
    }

    /// The last write up to a revision; `None` if that revision is compacted.
    async fn tick(&mut self, revision: Revision) -> Result<Option<ClockTick>, Failure> {
        match self.store.get(self.key, revision, None).await {
            Ok((Some(kv), _)) => self.tick_of(kv.mod_revision, &kv.value).map(Some),
            Ok((None, _)) => Ok(None),
            Err(error) if error.is_refusal(Refusal::Compacted) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn tick_of(&mut self, revision: Revision, value: &[u8]) -> Result<ClockTick, Failure> {
        if let Some(time) = Time::parse_rfc3339(value.trim_ascii()) {
            self.seen.insert(revision, time);
            return Ok(ClockTick { revision, time });
        }
        let (name, shown) = (bytes::name(self.key), bytes::escape(value.get(..LONGEST).unwrap_or(value)));
        let failure = format!("--at: the value of {name} at revision {revision} is not a time: '{shown}'");
        Err(Failure::new(Exit::Refused, failure)
            .hint("--clock needs a key with RFC 3339 values, such as 2026-11-30T05:00:00Z"))
    }
}

/// A binary search among the writes of a key, of which the earlier ones are accepted and the later ones are not.
#[derive(Clone, Copy, Debug)]
struct TickSearch {
    /// Everything up to this revision is known to be accepted.
    low: Revision,
    /// The earliest write that is known not to be accepted.
    high: ClockTick,
    /// The latest write that is known to be accepted.
    found: Option<ClockTick>,
}

impl TickSearch {
    /// The revision to read next; `None` at the end.
    fn probe(&self) -> Option<Revision> {
        let distance = self.high.revision - self.low;
        (distance > 1).then(|| self.low + distance / 2)
    }

    /// Takes what the key was at the revision.
    fn learn(&mut self, revision: Revision, tick: Option<ClockTick>, accepted: impl Fn(ClockTick) -> bool) {
        match tick {
            Some(tick) if !accepted(tick) => self.high = tick,
            tick => (self.low, self.found) = (revision, tick.or(self.found)),
        }
    }
}

/// A point in time: RFC 3339, or a duration before now, with or without `ago`.
fn parse_time(text: &str) -> Result<Time, String> {
    let now = Time::now();
    if let Some(time) = Time::parse_rfc3339(text.as_bytes()) {
        return if time > now { Err(format!("it is in the future; the time is {now:.0}")) } else { Ok(time) };
    }
    let duration = text.strip_suffix("ago").map_or(text, str::trim_end);
    match parse_duration(duration) {
        Ok(ago) => Ok(now - ago),
        Err(_) if text.contains(['T', ':']) || text.matches('-').count() > 1 => {
            Err("not a time: write it as 2026-11-30T05:00:00Z or 2026-11-30T07:00:00+02:00".to_owned())
        }
        Err(error) => Err(format!("neither a time such as 2026-11-30T05:00:00Z nor a duration: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tick(revision: Revision) -> ClockTick {
        ClockTick { revision, time: Time::from_secs(revision * 10) }
    }

    proptest! {
        /// Against a scan of all writes.
        #[test]
        fn the_newest_write_not_after_a_time_is_found(
            writes in proptest::collection::btree_set(1i64..500, 1..40),
            compacted in 0i64..600,
            wanted in 0i64..6_000,
        ) {
            let writes: Vec<ClockTick> = writes.into_iter().map(tick).collect();
            let read = |revision: Revision| {
                writes.iter().rev().find(|tick| tick.revision <= revision && revision >= compacted).copied()
            };
            let (first, newest) = (writes[0], writes[writes.len() - 1]);
            let time = Time::from_secs(wanted);
            let mut search = TickSearch { low: first.revision - 1, high: newest, found: None };
            let mut requests = 0;
            if newest.time > time {
                while let Some(revision) = search.probe() {
                    requests += 1;
                    search.learn(revision, read(revision), |tick| tick.time <= time);
                }
                let readable = |tick: &ClockTick| read(tick.revision).is_some();
                let found = search.found.filter(readable);
                let expected = writes.iter().rfind(|tick| tick.time <= time).copied().filter(readable);
                prop_assert_eq!(found, expected);
            }
            prop_assert!(requests <= 10, "{}", requests);
        }

        #[test]
        fn the_oldest_write_that_can_be_read_is_found(
            writes in proptest::collection::btree_set(1i64..500, 1..40),
            compacted in 0i64..500,
        ) {
            let writes: Vec<ClockTick> = writes.into_iter().map(tick).collect();
            let newest = writes[writes.len() - 1];
            prop_assume!(newest.revision >= compacted);
            let mut search = TickSearch { low: writes[0].revision - 1, high: newest, found: None };
            while let Some(revision) = search.probe() {
                let last = writes.iter().rfind(|tick| tick.revision <= revision).copied();
                let last = last.filter(|_| revision >= compacted);
                let readable = last.is_some_and(|tick| tick.revision >= compacted);
                search.learn(revision, last, |_| !readable);
            }
            prop_assert_eq!(Some(search.high), writes.iter().find(|tick| tick.revision >= compacted).copied());
        }
    }

    #[test]
    fn a_time_is_a_date_or_a_duration_ago() {
        assert_eq!(parse_time("2021-01-31T23:59:59Z"), Ok(Time::from_secs(1_612_137_599)));
        assert_eq!(parse_time("2021-01-31T23:59:59+01:00"), Ok(Time::from_secs(1_612_133_999)));
        for (text, secs) in [("10m", 600), ("10m ago", 600), ("1h30m ago", 5_400), ("0", 0), ("90sago", 90)] {
            let ago = parse_time(text).map(|time| Time::now().nanos_since(time) / 1_000_000_000);
            assert!(ago.as_ref().is_ok_and(|ago| (secs..secs + 5).contains(ago)), "{text}: {ago:?}");
        }
        for (text, why) in [
            ("9999-01-01T00:00:00Z", "it is in the future; the time is 20"),
            ("2021-01-31", "not a time: write it as"),
            ("2021-01-31 10:00", "not a time: write it as"),
            ("10:00", "not a time: write it as"),
            ("10", "'10' has no unit; did you mean 10s?"),
            ("-10m", "'-10m' is negative"),
            ("yesterday", "neither a time such as"),
            ("ago", "the duration is empty"),
            ("", "the duration is empty"),
        ] {
            assert!(parse_time(text).is_err_and(|error| error.contains(why)), "{text}: {:?}", parse_time(text));
        }
    }
}
