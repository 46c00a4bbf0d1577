//! Records of `status --consistency` and `--forecast`.

use super::super::record::Tone;
use super::{Borrowed, Field, Record, Report, Value, always, data, spare, table};
use crate::kvstore::{LeaseId, Revision};

/// A member's hash.
pub struct HashRow<'a> {
    /// The member's endpoint.
    pub endpoint: &'a str,
    /// The member's ID.
    pub id: Option<u64>,
    /// The member's name.
    pub name: &'a str,
    /// `agrees`, `deviates` (most members have another hash), `differs` (no hash is in the majority), `single` (there is no other
    /// member) or `unknown`.
    pub state: &'static str,
    /// The hash.
    pub hash: Option<u32>,
    /// The compact revision.
    pub compact_revision: Option<Revision>,
    /// Why there is no hash.
    pub error: Option<&'a str>,
}

impl Record for HashRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let tone = match self.state {
            "agrees" => Tone::Good,
            "single" => Tone::Neutral,
            "unknown" => Tone::Warning,
            _ => Tone::Bad,
        };
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(table("name", Value::Str(self.name)));
        visit(data("id", self.id.map_or(Value::Absent, Value::Hex)));
        visit(always("state", Value::Word(self.state, tone)));
        visit(always("hash", Value::uint(self.hash.map(u64::from))));
        visit(spare("compact_revision", Value::int(self.compact_revision)));
        visit(data("error", Value::str(self.error)));
    }
}

/// What a member holds of a key that differs.
pub struct CopyRow<'a> {
    /// The member's endpoint.
    pub endpoint: &'a str,
    /// The mod revision; `None` if the member does not have the key.
    pub mod_revision: Option<Revision>,
    /// The version.
    pub version: i64,
    /// The lease.
    pub lease: Option<LeaseId>,
    /// The length of the value.
    pub value_bytes: u64,
}

impl Record for CopyRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("endpoint", Value::Str(self.endpoint)));
        if self.mod_revision.is_some() {
            visit(always("mod_revision", Value::int(self.mod_revision)));
            visit(always("version", Value::Int(self.version)));
            visit(always("lease", Value::lease(self.lease)));
            visit(always("value_bytes", Value::Size(self.value_bytes)));
        }
    }
}

/// A key that differs.
pub struct KeyDifferenceRow<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The fields that differ.
    pub differs: &'a [String],
    /// The copies.
    pub copies: &'a [CopyRow<'a>],
    /// The copies in words, for tables: each is a line.
    pub shown: &'a [String],
}

impl Record for KeyDifferenceRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(self.key)));
        visit(always("differs", Value::Strings(self.differs)));
        visit(data("copies", Value::records(self.copies.iter())));
    }
}

/// A copy of a key that differs, as a row of a table.
struct ShownDifference<'a>(&'a KeyDifferenceRow<'a>, &'a str);

impl Record for ShownDifference<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(self.0.key)));
        visit(always("differs", Value::Strings(self.0.differs)));
        visit(always("copy", Value::Str(self.1)));
    }
}

/// `status --consistency`.
pub struct ConsistencyAnswer<'a> {
    /// `consistent`, `different`, `history-differs`, `history-unknown` or `unknown`.
    pub verdict: &'static str,
    /// The revision at which the members were compared; `None` if none answered.
    pub revision: Option<Revision>,
    /// The members.
    pub members: &'a [HashRow<'a>],
    /// The number of keys that differ.
    pub difference_count: u64,
    /// The first of them.
    pub differences: &'a [KeyDifferenceRow<'a>],
    /// Why the verdict is what it is.
    pub why: Option<&'a str>,
}

impl Record for ConsistencyAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("verdict", Value::Str(self.verdict)));
        visit(always("revision", Value::int(self.revision)));
        visit(data("why", Value::str(self.why)));
        visit(data("members", Value::records(self.members.iter())));
        visit(data("difference_count", Value::Uint(self.difference_count)));
        visit(data("differences", Value::records(self.differences.iter())));
    }
}

impl Report for ConsistencyAnswer<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        Borrowed::all(self.members).collect()
    }

    fn sections(&self) -> Vec<(&'static str, Vec<Box<dyn Record + '_>>)> {
        let mut sections = vec![("", self.rows())];
        if !self.differences.is_empty() {
            let shown = self.differences.iter().flat_map(|row| {
                row.shown.iter().map(move |copy| Box::new(ShownDifference(row, copy)) as Box<dyn Record>)
            });
            sections.push(("Keys that differ", shown.collect()));
        }
        sections
    }
}

/// The forecast for one member.
pub struct ForecastRow<'a> {
    /// The member's endpoint.
    pub endpoint: &'a str,
    /// The member's ID; `None` if it did not answer.
    pub id: Option<u64>,
    /// The size of the file.
    pub db_size: Option<u64>,
    /// Its growth in bytes per second.
    pub db_size_per_second: Option<i64>,
    /// The bytes in use.
    pub in_use: Option<u64>,
    /// Their growth in bytes per second.
    pub in_use_per_second: Option<i64>,
    /// The quota.
    pub quota: Option<u64>,
    /// The time until the quota is reached, for people.
    pub quota_in: &'a str,
    /// The same in seconds; `None` if it is not reached at this rate, or unknown.
    pub quota_seconds: Option<u64>,
    /// `growing`, `reached`, `not-growing`, `unknown` or `unreachable`.
    pub state: &'static str,
    /// The size that the period keeps the bytes in use below.
    pub keep_below: Option<u64>,
    /// The compaction period for people.
    pub compact_every: &'a str,
    /// The same in seconds; `None` if there is none.
    pub compact_every_seconds: Option<u64>,
    /// Why there is no forecast.
    pub error: Option<&'a str>,
}

impl Record for ForecastRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(data("id", self.id.map_or(Value::Absent, Value::Hex)));
        visit(spare("db_size", Value::size(self.db_size)));
        visit(data("db_size_per_second", Value::int(self.db_size_per_second)));
        visit(always("in_use", Value::size(self.in_use)));
        visit(always("in_use_per_second", Value::int(self.in_use_per_second)));
        visit(spare("quota", Value::size(self.quota)));
        let tone = match self.state {
            "reached" | "unreachable" => Tone::Bad,
            "unknown" => Tone::Warning,
            _ => Tone::Neutral,
        };
        visit(always("quota_in", Value::Word(self.quota_in, tone)));
        visit(data("quota_seconds", Value::uint(self.quota_seconds)));
        visit(data("state", Value::Str(self.state)));
        visit(data("keep_below", Value::size(self.keep_below)));
        visit(always("compact_every", Value::Str(self.compact_every)));
        visit(data("compact_every_seconds", Value::uint(self.compact_every_seconds)));
        visit(data("error", Value::str(self.error)));
    }
}

/// `status --forecast`.
pub struct ForecastAnswer<'a> {
    /// The time between the samples, in milliseconds.
    pub window_ms: f64,
    /// The latest revision.
    pub revision: Revision,
    /// Revisions per second.
    pub revisions_per_second: f64,
    /// The number of revisions that are stored since the last compaction.
    pub history: Option<u64>,
    /// Whether the store was compacted between the samples.
    pub compacted_meanwhile: Option<bool>,
    /// The members.
    pub members: &'a [ForecastRow<'a>],
    /// How uncertain it is.
    pub remarks: &'a [String],
}

impl Record for ForecastAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(data("window_ms", Value::Millis(self.window_ms)));
        visit(data("revision", Value::Int(self.revision)));
        visit(data("revisions_per_second", Value::Millis(self.revisions_per_second)));
        visit(data("history", Value::uint(self.history)));
        visit(data("compacted_meanwhile", self.compacted_meanwhile.map_or(Value::Absent, Value::Bool)));
        visit(data("members", Value::records(self.members.iter())));
        visit(data("remarks", Value::Strings(self.remarks)));
    }
}

impl Report for ForecastAnswer<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        Borrowed::all(self.members).collect()
    }
}
