//! Records of `gc`: garbage, and the summary of a round.

use super::metadata::{GcPart, GcPhase, tone_of_state};
use super::record::{Field, Record, Value, always, data, table};
use crate::plural::{counted, grouped};

/// `gc locks`: one lock key.
pub struct LockGarbageRow<'a> {
    /// `garbage`, or `young` if it has not been seen for long enough; after an attempt `removed`, `changed`, `busy` or
    /// `failed`.
    pub state: &'a str,
    /// The absolute key.
    pub key: &'a [u8],
    /// Why it is garbage.
    pub why: &'a str,
    /// The key's lease in hex; `None` without a lease.
    pub lease: Option<&'a str>,
    /// The remaining TTL of the lease in seconds.
    pub left: Option<i64>,
    /// The granted TTL of the lease in seconds.
    pub ttl: Option<i64>,
    /// Number of waiters for the lock.
    pub waiting: Option<i64>,
    /// Seconds for which it has been seen unchanged.
    pub seen: u64,
    /// The revision at which it joined the queue.
    pub create_revision: Option<i64>,
    /// Why the removal failed.
    pub error: Option<&'a str>,
}

impl Record for LockGarbageRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("state", Value::Word(self.state, tone_of_state(self.state))));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("why", Value::Str(self.why)));
        visit(data("lease", Value::str(self.lease)));
        visit(table("left", Value::int(self.left)));
        visit(data("ttl", Value::int(self.ttl)));
        visit(table("waiting", Value::int(self.waiting)));
        visit(table("seen", Value::Uint(self.seen)));
        visit(data("create_revision", Value::int(self.create_revision)));
        visit(data("error", Value::str(self.error)));
    }
}

/// `gc ids`: one master.
pub struct IdGarbageRow<'a> {
    /// As in [`LockGarbageRow`].
    pub state: &'a str,
    /// The ID in decimal.
    pub id: &'a str,
    /// Why it is garbage.
    pub why: &'a str,
    /// The allocator's key: the master's value.
    pub value: &'a [u8],
    /// The absolute key of the master.
    pub key: &'a [u8],
    /// The revision of its last change.
    pub mod_revision: Option<i64>,
    /// Seconds for which it has been seen unchanged.
    pub seen: u64,
    /// Why the removal failed.
    pub error: Option<&'a str>,
}

impl Record for IdGarbageRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("state", Value::Word(self.state, tone_of_state(self.state))));
        visit(always("id", Value::Decimal(self.id)));
        visit(always("why", Value::Str(self.why)));
        visit(always("value", Value::Bytes(self.value)));
        visit(data("key", Value::Bytes(self.key)));
        visit(data("mod_revision", Value::int(self.mod_revision)));
        visit(data("seen", Value::Uint(self.seen)));
        visit(data("error", Value::str(self.error)));
    }
}

/// The summary of one round of `gc`.
#[derive(Clone, Debug, Default)]
pub struct GcRound {
    /// `ids`, `locks`, `metadata`.
    pub kind: &'static str,
    /// The kind of its objects, such as `master`.
    pub object: &'static str,
    /// The number of the round with `--every`, counted from 1.
    pub round: Option<u64>,
    /// The start time.
    pub time: String,
    /// The revision of the scan; `None` if there was none.
    pub revision: Option<i64>,
    /// Number of objects scanned.
    pub looked_at: u64,
    /// Number of garbage objects.
    pub garbage: u64,
    /// Number of objects that have not been seen for long enough.
    pub young: u64,
    /// Number of unclassifiable objects, which are kept.
    pub skipped: u64,
    /// Number of objects kept because they expire with their lease.
    pub leased: u64,
    /// Number of garbage objects that earlier scans agree on; `None` without an earlier scan.
    pub agreed: Option<u64>,
    /// The outcome of the sweep; `None` without one.
    pub swept: Option<SweepCounts>,
    /// The totals of each kind of object, if there are several.
    pub parts: Vec<GcPart>,
    /// The phases of the round, if they are measured.
    pub phases: Vec<GcPhase>,
    /// Duration in milliseconds.
    pub took_ms: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// The outcome of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCounts {
    /// Objects removed.
    pub removed: u64,
    /// Objects that another client removed since the scan.
    pub gone: u64,
    /// Objects kept because they changed since the scan.
    pub changed: u64,
    /// Objects kept because what they depend on could not be removed or compared.
    pub held_back: u64,
    /// Objects kept because another client holds their lock.
    pub busy: u64,
    /// Objects written again because another client used them at the same time.
    pub restored: u64,
    /// Objects that another client used at the same time for something else.
    pub conflicts: u64,
    /// Objects removed without the proof that no other client used them at the same time.
    pub unverified: u64,
    /// Objects whose removal failed.
    pub failed: u64,
    /// Objects whose removal has an unknown outcome.
    pub unknown: u64,
}

impl Record for GcRound {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let swept = |count: fn(&SweepCounts) -> u64| Value::uint(self.swept.as_ref().map(count));
        let nonzero = |count: Option<u64>| Value::uint(count.filter(|count| *count > 0));
        visit(always("time", Value::Str(&self.time)));
        visit(always("round", Value::uint(self.round)));
        visit(always("kind", Value::Str(self.kind)));
        visit(data("revision", Value::int(self.revision)));
        visit(always("looked_at", Value::Uint(self.looked_at)));
        visit(always("garbage", Value::Uint(self.garbage)));
        visit(data("young", Value::Uint(self.young)));
        visit(data("skipped", Value::Uint(self.skipped)));
        visit(data("leased", nonzero(Some(self.leased))));
        visit(always("agreed", Value::uint(self.agreed)));
        visit(always("removed", swept(|swept| swept.removed)));
        visit(always("changed", swept(|swept| swept.changed)));
        visit(always("busy", swept(|swept| swept.busy)));
        visit(always("failed", swept(|swept| swept.failed)));
        let swept = self.swept.unwrap_or_default();
        for (name, count) in [
            ("gone", swept.gone),
            ("held_back", swept.held_back),
            ("restored", swept.restored),
            ("conflicts", swept.conflicts),
            ("unverified", swept.unverified),
            ("unknown", swept.unknown),
        ] {
            visit(data(name, nonzero(Some(count))));
        }
        let records = |of: Vec<&'a dyn Record>| if of.is_empty() { Value::Absent } else { Value::Records(of) };
        visit(data("parts", records(self.parts.iter().map(|part| part as &dyn Record).collect())));
        visit(data("phases", records(self.phases.iter().map(|phase| phase as &dyn Record).collect())));
        visit(data("took_ms", Value::Uint(self.took_ms)));
        visit(always("error", Value::str(self.error.as_deref())));
    }
}

impl GcRound {
    /// The round in one line of text, then a line for each part.
    pub fn describe(&self) -> String {
        let are = if self.garbage == 1 { "is" } else { "are" };
        let objects = counted(self.looked_at, self.object);
        let mut text = format!("{} of {objects} {are} garbage", grouped(self.garbage));
        let nonzero = |count| Some(count).filter(|count| *count > 0);
        let swept = |count: fn(&SweepCounts) -> u64| self.swept.as_ref().map(count);
        for (count, what) in [
            (nonzero(self.young), "not seen for long enough"),
            (nonzero(self.skipped), "not classifiable and kept"),
            (nonzero(self.leased), "on a lease and kept"),
            (self.agreed, "confirmed by earlier scans"),
            (swept(|swept| swept.removed), "removed"),
            (swept(|swept| swept.gone).and_then(nonzero), "removed by other clients"),
            (swept(|swept| swept.changed).and_then(nonzero), "changed meanwhile and kept"),
            (swept(|swept| swept.held_back).and_then(nonzero), "held back"),
            (swept(|swept| swept.busy).and_then(nonzero), "locked and kept"),
            (swept(|swept| swept.restored).and_then(nonzero), "used meanwhile and restored"),
            (swept(|swept| swept.conflicts).and_then(nonzero), "in conflict"),
            (swept(|swept| swept.unverified).and_then(nonzero), "removed but not verified"),
            (swept(|swept| swept.failed).and_then(nonzero), "failed"),
            (swept(|swept| swept.unknown).and_then(nonzero), "with an unknown outcome"),
        ] {
            if let Some(count) = count {
                text += &format!(", {} {what}", grouped(count));
            }
        }
        if let Some(revision) = self.revision {
            text += &format!(" (revision {revision})");
        }
        for part in &self.parts {
            text += &format!("\n{}", part.describe());
        }
        for (phase, before) in self.phases.iter().zip(std::iter::once("\n").chain(std::iter::repeat("; "))) {
            text += &format!("{before}{}", phase.describe());
        }
        text
    }
}
