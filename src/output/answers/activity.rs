//! Records of `top`.

use super::{Field, Record, Value, Visibility, always, data, spare};

/// A branch, a key or all changes, in a period: the record of JSON and YAML.
pub struct ActivityRecord<'a> {
    /// The branch or the key, or its beginning if it is very long.
    pub key: &'a [u8],
    /// Whether `key` is only the beginning.
    pub key_cut: bool,
    /// `branch` or `key`.
    pub kind: &'static str,
    /// Changes, written keys, deleted keys, and bytes of keys and values.
    pub counts: [u64; 4],
    /// Distinct keys with the error of their number, and distinct leases with theirs.
    pub distinct: Option<[u64; 4]>,
    /// The share of all changes, in the unit of the order.
    pub percent: Option<f64>,
    /// By how much the count that the order is about may be too low.
    pub error_bound: u64,
}

impl Record for ActivityRecord<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(self.key)));
        if self.key_cut {
            visit(data("key_cut", Value::Bool(true)));
        }
        visit(data("kind", Value::Str(self.kind)));
        counts(self.counts, self.distinct, visit);
        visit(data("percent", self.percent.map_or(Value::Absent, Value::Millis)));
        visit(data("error_bound", Value::Uint(self.error_bound)));
    }
}

fn counts<'a>(
    [events, writes, deletes, bytes]: [u64; 4],
    distinct: Option<[u64; 4]>,
    visit: &mut dyn FnMut(Field<'a>),
) {
    visit(data("events", Value::Uint(events)));
    visit(data("writes", Value::Uint(writes)));
    visit(data("deletes", Value::Uint(deletes)));
    visit(data("bytes", Value::Uint(bytes)));
    if let Some([keys, keys_error, leases, leases_error]) = distinct {
        visit(data("keys", Value::Uint(keys)));
        visit(data("keys_error", Value::Uint(keys_error)));
        visit(data("leases", Value::Uint(leases)));
        visit(data("leases_error", Value::Uint(leases_error)));
    }
}

/// A period of `top`: the record of JSON and YAML.
pub struct ActivityPeriod<'a> {
    /// The end of the period.
    pub time: &'a str,
    /// The length of the period, in milliseconds.
    pub took_ms: f64,
    /// The prefix, relative to the namespace.
    pub prefix: &'a [u8],
    /// `live`, `behind`, `resumed`, `gap`, `unconfirmed` or `interrupted`.
    pub state: &'static str,
    /// What is wrong, if the state is not `live`.
    pub reason: Option<&'a str>,
    /// The latest known revision of the store.
    pub revision: Option<i64>,
    /// The revisions that have happened and are not counted yet.
    pub behind: u64,
    /// What the branches are ordered by.
    pub by: &'static str,
    /// Changes, written keys, deleted keys, and bytes of keys and values.
    pub counts: [u64; 4],
    /// Distinct keys with the error of their number, and distinct leases with theirs.
    pub distinct: [u64; 4],
    /// The most that any branch's count may be too low.
    pub error_bound: u64,
    /// The most active branches.
    pub branches: &'a [ActivityRecord<'a>],
    /// The most active keys, if requested.
    pub hot_keys: Option<&'a [ActivityRecord<'a>]>,
}

impl Record for ActivityPeriod<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(data("time", Value::Str(self.time)));
        visit(data("took_ms", Value::Millis(self.took_ms)));
        visit(data("prefix", Value::Bytes(self.prefix)));
        visit(data("state", Value::Str(self.state)));
        visit(data("reason", Value::str(self.reason)));
        visit(data("revision", Value::int(self.revision)));
        visit(data("behind", Value::Uint(self.behind)));
        visit(data("by", Value::Str(self.by)));
        counts(self.counts, Some(self.distinct), visit);
        visit(data("error_bound", Value::Uint(self.error_bound)));
        visit(data("branches", Value::records(self.branches.iter())));
        if let Some(keys) = self.hot_keys {
            visit(data("hot_keys", Value::records(keys.iter())));
        }
    }
}

/// A row of `top` in text and tables: rates.
pub struct ActivityRow<'a> {
    /// The end of the period; only in text.
    pub time: Option<&'a str>,
    /// `branch`, `key`, `total` or `hot-key`; only in text.
    pub kind: Option<&'static str>,
    /// The branch or the key.
    pub key: &'a [u8],
    /// Changes, written keys, deleted keys, and bytes of keys and values, each per second.
    pub rates: [f64; 4],
    /// Whether a table shows the rates of written and deleted keys, which leave less room for `key`.
    pub detailed: bool,
    /// Distinct keys and leases.
    pub distinct: Option<[u64; 2]>,
    /// The share of all changes.
    pub percent: Option<f64>,
    /// By how much the count that the order is about may be too low; a table shows it only if a row has one.
    pub error_bound: Option<u64>,
    /// The state of the period; only in text, of the total.
    pub state: Option<&'static str>,
    /// The last periods.
    pub trend: Option<&'a str>,
}

impl Record for ActivityRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let [events, writes, deletes, bytes] = self.rates;
        if self.time.is_some() {
            visit(always("time", Value::str(self.time)));
            visit(always("kind", Value::str(self.kind)));
        }
        visit(always("key", Value::Bytes(self.key)));
        visit(always("events/s", Value::Millis(events)));
        // A rate of bytes is not negative, and far below 2^64.
        visit(always("bytes/s", Value::Size(bytes.round() as u64)));
        visit(spare("keys", Value::uint(self.distinct.map(|[keys, _]| keys))));
        visit(spare("leases", Value::uint(self.distinct.map(|[_, leases]| leases))));
        let detail = |rate| if self.detailed { Value::Millis(rate) } else { Value::Absent };
        visit(spare("writes/s", detail(writes)));
        visit(spare("deletes/s", detail(deletes)));
        visit(always("percent", self.percent.map_or(Value::Absent, Value::Millis)));
        visit(spare("error_bound", Value::uint(self.error_bound)));
        if self.time.is_some() {
            visit(always("state", Value::str(self.state)));
        }
        visit(Field { name: "trend", value: Value::str(self.trend), show: Visibility::EveryTable });
    }
}
