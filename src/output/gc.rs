//! What `gc` answers: garbage, and how a round went.

use super::metadata::{GcPart, GcPhase};
use super::record::{Field, Record, Value, always, data, table};

/// `gc locks`: one lock key.
pub struct LockGarbageRow<'a> {
    /// `garbage`, or `young` for what was not seen for long enough; once it was tried: `removed`, `changed`, `busy`,
    /// `failed`.
    pub state: &'a str,
    /// The key, absolute.
    pub key: &'a [u8],
    /// Why it is garbage.
    pub why: &'a str,
    /// Its lease in hex; `None` for a key without.
    pub lease: Option<&'a str>,
    /// The seconds that the lease has left.
    pub left: Option<i64>,
    /// The seconds that the lease was granted.
    pub ttl: Option<i64>,
    /// How many others wait for the lock.
    pub waiting: Option<i64>,
    /// For how many seconds it was seen unchanged.
    pub seen: u64,
    /// The revision in which it queued up.
    pub create_revision: Option<i64>,
    /// Why it could not be removed.
    pub error: Option<&'a str>,
}

impl Record for LockGarbageRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("state", Value::Str(self.state)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("why", Value::Str(self.why)));
        visit(data("lease", self.lease.map_or(Value::Absent, Value::Str)));
        visit(table("left", Value::int(self.left)));
        visit(data("ttl", Value::int(self.ttl)));
        visit(table("waiting", Value::int(self.waiting)));
        visit(table("seen", Value::Uint(self.seen)));
        visit(data("create_revision", Value::int(self.create_revision)));
        visit(data("error", self.error.map_or(Value::Absent, Value::Str)));
    }
}

/// `gc ids`: one master.
pub struct IdGarbageRow<'a> {
    /// As of [`LockGarbageRow`].
    pub state: &'a str,
    /// The ID in decimal.
    pub id: &'a str,
    /// Why it is garbage.
    pub why: &'a str,
    /// The allocator's key: the master's value.
    pub value: &'a [u8],
    /// The master's path, absolute.
    pub key: &'a [u8],
    /// The revision of its last change.
    pub mod_revision: Option<i64>,
    /// For how many seconds it was seen unchanged.
    pub seen: u64,
    /// Why it could not be removed.
    pub error: Option<&'a str>,
}

impl Record for IdGarbageRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("state", Value::Str(self.state)));
        visit(always("id", Value::Str(self.id)));
        visit(always("why", Value::Str(self.why)));
        visit(always("value", Value::Bytes(self.value)));
        visit(data("key", Value::Bytes(self.key)));
        visit(data("mod_revision", Value::int(self.mod_revision)));
        visit(data("seen", Value::Uint(self.seen)));
        visit(data("error", self.error.map_or(Value::Absent, Value::Str)));
    }
}

/// How one round of `gc` went.
#[derive(Clone, Debug, Default)]
pub struct GcRound {
    /// `ids`, `locks`, `metadata`.
    pub kind: &'static str,
    /// What is looked at: `masters`.
    pub objects: &'static str,
    /// Its number, counted from 1, with `--every`.
    pub round: Option<u64>,
    /// When it began.
    pub time: String,
    /// The revision that was looked at; `None` where nothing was.
    pub revision: Option<i64>,
    /// How many objects there are.
    pub looked_at: u64,
    /// How many of them are garbage.
    pub garbage: u64,
    /// How many may become garbage, once they were seen for long enough.
    pub young: u64,
    /// How many look wrong and are left alone.
    pub skipped: u64,
    /// How many earlier looks agree on; `None` where there is none.
    pub agreed: Option<u64>,
    /// What became of those; `None` where nothing was to be removed.
    pub swept: Option<SweepCounts>,
    /// What there is, sort by sort, where the kind tells.
    pub parts: Vec<GcPart>,
    /// The parts of the work, where the kind tells.
    pub phases: Vec<GcPhase>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it ended early, or did nothing.
    pub error: Option<String>,
}

/// What became of what was to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCounts {
    /// What is gone.
    pub removed: u64,
    /// What had changed since the look, and stays.
    pub changed: u64,
    /// What somebody has locked, and stays.
    pub busy: u64,
    /// What could not be removed.
    pub failed: u64,
}

impl Record for GcRound {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let swept = |count: fn(&SweepCounts) -> u64| Value::uint(self.swept.as_ref().map(count));
        visit(always("time", Value::Str(&self.time)));
        visit(always("round", Value::uint(self.round)));
        visit(always("kind", Value::Str(self.kind)));
        visit(data("revision", Value::int(self.revision)));
        visit(always("looked_at", Value::Uint(self.looked_at)));
        visit(always("garbage", Value::Uint(self.garbage)));
        visit(data("young", Value::Uint(self.young)));
        visit(data("skipped", Value::Uint(self.skipped)));
        visit(always("agreed", Value::uint(self.agreed)));
        visit(always("removed", swept(|swept| swept.removed)));
        visit(always("changed", swept(|swept| swept.changed)));
        visit(always("busy", swept(|swept| swept.busy)));
        visit(always("failed", swept(|swept| swept.failed)));
        let records = |of: Vec<&'a dyn Record>| if of.is_empty() { Value::Absent } else { Value::Records(of) };
        visit(data("parts", records(self.parts.iter().map(|part| part as &dyn Record).collect())));
        visit(data("phases", records(self.phases.iter().map(|phase| phase as &dyn Record).collect())));
        visit(data("took_ms", Value::Uint(self.took_ms)));
        visit(always("error", self.error.as_deref().map_or(Value::Absent, Value::Str)));
    }
}

impl GcRound {
    /// The same in words: the round in one line, then a line for each part.
    pub fn words(&self) -> String {
        let mut words = format!("{} of {} {} are garbage", self.garbage, self.looked_at, self.objects);
        let mut add = |count: Option<u64>, what: &str| {
            if let Some(count) = count {
                words += &format!(", {count} {what}");
            }
        };
        add(Some(self.young).filter(|young| *young > 0), "not for long enough yet");
        add(Some(self.skipped).filter(|skipped| *skipped > 0), "more look wrong and are left alone");
        add(self.agreed, "agreed on");
        if let Some(swept) = self.swept {
            add(Some(swept.removed), "removed");
            add(Some(swept.changed).filter(|changed| *changed > 0), "changed meanwhile and stay");
            add(Some(swept.busy).filter(|busy| *busy > 0), "locked by somebody and stay");
            add(Some(swept.failed).filter(|failed| *failed > 0), "failed");
        }
        if let Some(revision) = self.revision {
            words += &format!(" (revision {revision})");
        }
        for part in &self.parts {
            words += &format!("\n{}", part.words());
        }
        for (phase, before) in self.phases.iter().zip(std::iter::once("\n").chain(std::iter::repeat("; "))) {
            words += &format!("{before}{}", phase.words());
        }
        words
    }
}
