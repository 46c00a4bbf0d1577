//! Records of `list --count`, `put`, `delete`, `config`, `version` and `status --revision`.

use super::{Field, Record, Report, Value, Visibility, always, data, table};
use crate::kvstore::{KeyValue, LeaseId, Revision};
use crate::output::event::ChangeKind;

/// `list --count`.
pub struct Count {
    /// Number of keys.
    pub count: u64,
    /// The revision of the count.
    pub revision: Revision,
}

impl Record for Count {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("count", Value::Uint(self.count)));
        visit(data("revision", Value::Int(self.revision)));
    }
}

/// `status --revision`.
pub struct RevisionOnly {
    /// The current revision of the store.
    pub revision: Revision,
}

impl Record for RevisionOnly {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("revision", Value::Int(self.revision)));
    }
}

/// `--serializable`: the member that was read.
pub struct ReadMemberRow<'a> {
    /// The store, if it is not that of the command.
    pub source: Option<&'a str>,
    /// The member's endpoint.
    pub endpoint: &'a str,
    /// The revision that was read.
    pub revision: Revision,
    /// How many revisions the member is behind the others; `None` if no other member answered.
    pub behind: Option<u64>,
}

impl Record for ReadMemberRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        if let Some(source) = self.source {
            visit(data("source", Value::Str(source)));
        }
        visit(data("endpoint", Value::Str(self.endpoint)));
        visit(data("revision", Value::Int(self.revision)));
        visit(data("behind", Value::uint(self.behind)));
    }
}

/// `list --at`: the revision that was chosen.
pub struct ClockRow<'a> {
    /// The key with the time.
    pub clock: &'a [u8],
    /// The revision of the key's write.
    pub revision: Revision,
    /// The time of the write, as RFC 3339.
    pub time: &'a str,
}

impl Record for ClockRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(data("clock", Value::Bytes(self.clock)));
        visit(data("revision", Value::Int(self.revision)));
        visit(data("time", Value::Str(self.time)));
    }
}

/// `version`.
pub struct VersionRow {
    /// kvadm's version.
    pub version: &'static str,
}

impl Record for VersionRow {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("version", Value::Str(self.version)));
    }
}

/// `get --history`: one change of the key.
pub struct HistoryRow<'a> {
    /// The kind of change.
    pub event: ChangeKind,
    /// The key as the change left it; of a deletion only the key and the revision.
    pub kv: &'a KeyValue,
}

impl Record for HistoryRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let (kv, deleted) = (self.kv, self.event == ChangeKind::Deleted);
        visit(always("key", Value::Bytes(&kv.key)));
        visit(always("value", if deleted { Value::Absent } else { Value::Bytes(&kv.value) }));
        // In text, only a deletion has a word for it.
        let show = if deleted { Visibility::Always } else { Visibility::EveryTable };
        visit(Field { name: "event", value: self.event.value(), show });
        let created = Some(kv.create_revision).filter(|revision| !deleted && *revision > 0);
        visit(data("create_revision", Value::int(created)));
        visit(table("mod_revision", Value::Int(kv.mod_revision)));
        visit(table("version", Value::Int(if deleted { 0 } else { kv.version })));
        visit(table("lease", Value::lease(kv.lease)));
    }
}

/// `put KEY`.
pub struct PutAnswer<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The revision of the key's last change; `None` for a write that was not made.
    pub mod_revision: Option<Revision>,
    /// The key's lease.
    pub lease: Option<LeaseId>,
    /// The granted TTL in seconds, with `--ttl`.
    pub ttl: Option<i64>,
    /// Whether the key was written, or would be; `false` if it already had this value.
    pub written: bool,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// The record before the command, if shown; `Some(None)` if there was none.
    pub prev: Option<Option<&'a KeyValue>>,
}

impl Record for PutAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let outcome = match (self.written, self.dry_run) {
            (true, false) => "written",
            (true, true) => "would-write",
            (false, _) => "unchanged",
        };
        visit(always("outcome", Value::Str(outcome)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("mod_revision", Value::int(self.mod_revision)));
        if let Some(prev) = self.prev {
            visit(always("prev_value", Value::bytes(prev.map(|prev| prev.value.as_slice()))));
            visit(data("prev_mod_revision", Value::int(prev.map(|prev| prev.mod_revision))));
            visit(data("prev_lease", Value::lease(prev.and_then(|prev| prev.lease))));
        }
        visit(table("lease", Value::lease(self.lease)));
        visit(table("ttl", Value::int(self.ttl)));
        visit(data("dry_run", if self.dry_run { Value::Bool(true) } else { Value::Absent }));
    }
}

/// `put --from`.
pub struct LoadAnswer {
    /// Records written, or to be written in a dry run.
    pub written: u64,
    /// Records that already had this value.
    pub unchanged: u64,
    /// With `--create`, keys that exist with another value.
    pub exists: u64,
    /// Records that may or may not have been written.
    pub unknown: u64,
    /// Granted leases in use.
    pub leases: u64,
    /// Whether it was a dry run.
    pub dry_run: bool,
}

impl Record for LoadAnswer {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let name = if self.dry_run { "would_write" } else { "written" };
        visit(data(name, Value::Uint(self.written)));
        visit(data("unchanged", Value::Uint(self.unchanged)));
        visit(data("exists", Value::Uint(self.exists)));
        visit(data("unknown", Value::Uint(self.unknown)));
        visit(data("leases", Value::Uint(self.leases)));
        visit(data("dry_run", if self.dry_run { Value::Bool(true) } else { Value::Absent }));
    }
}

impl Report for LoadAnswer {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        let first = if self.dry_run { "would write" } else { "written" };
        let all = [
            (first, self.written),
            ("unchanged", self.unchanged),
            ("exists", self.exists),
            ("unknown", self.unknown),
            ("leases", self.leases),
        ];
        let shown = all.into_iter().enumerate().filter(|(index, (_, count))| *index < 2 || *count > 0);
        shown.map(|(_, (what, count))| Box::new(Tally { what, count }) as Box<dyn Record>).collect()
    }

    fn tabular(&self) -> bool {
        false
    }
}

/// A number and what it counts.
pub struct Tally {
    /// What is counted.
    pub what: &'static str,
    /// The number.
    pub count: u64,
}

impl Record for Tally {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("what", Value::Str(self.what)));
        visit(always("count", Value::Uint(self.count)));
    }
}

/// `delete`.
pub struct DeleteAnswer {
    /// Number of deleted keys.
    pub deleted: u64,
    /// In a dry run, the number of keys to delete.
    pub would_delete: Option<u64>,
    /// Number of keys written meanwhile and kept.
    pub kept: u64,
    /// The revision of the last deletion, otherwise of the read.
    pub revision: Revision,
}

impl Record for DeleteAnswer {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        match self.would_delete {
            Some(count) => visit(always("would_delete", Value::Uint(count))),
            None => visit(always("deleted", Value::Uint(self.deleted))),
        }
        visit(data("kept", Value::Uint(self.kept)));
        visit(data("revision", Value::Int(self.revision)));
        visit(data("dry_run", self.would_delete.map_or(Value::Absent, |_| Value::Bool(true))));
    }
}

/// A setting, as `config` prints it.
pub struct SettingRow<'a> {
    /// The key as in the file.
    pub key: &'a str,
    /// The effective value, with secrets redacted.
    pub value: Option<&'a str>,
    /// The source of the value.
    pub source: &'a str,
    /// The values of weaker sources, the strongest first: `VALUE (SOURCE)`.
    pub overridden: &'a [String],
}

impl Record for SettingRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Str(self.key)));
        visit(always("value", Value::str(self.value)));
        visit(always("source", Value::Str(self.source)));
        // Text has this column only for the keys that need it.
        let show = if self.overridden.is_empty() { Visibility::Table } else { Visibility::Always };
        visit(Field { name: "overridden", value: Value::Strings(self.overridden), show });
    }
}
