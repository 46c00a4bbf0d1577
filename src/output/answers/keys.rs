//! The answers of `list --count`, `put`, `delete`, `config`, `version` and `status --revision`.

use super::{Field, Record, Report, Value, always, data, table};
use crate::kvstore::{LeaseId, Revision};
use crate::output::Visibility;

/// `list --count`.
pub struct Count {
    /// The number of keys.
    pub count: u64,
    /// The revision they were counted at.
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
    /// The store's revision.
    pub revision: Revision,
}

impl Record for RevisionOnly {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("revision", Value::Int(self.revision)));
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

/// `get --history`: a deletion.
pub struct DeletedRow<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The revision in which it was deleted.
    pub revision: Revision,
}

impl Record for DeletedRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(self.key)));
        visit(always("value", Value::Absent));
        visit(table("mod_revision", Value::Int(self.revision)));
        // As etcd's own events have it; behind the columns of a key that is there.
        visit(table("version", Value::Int(0)));
        visit(table("lease", Value::Absent));
        visit(always("deleted", Value::Bool(true)));
    }
}

/// `put KEY`.
pub struct PutAnswer<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The revision of its last change.
    pub mod_revision: Revision,
    /// Its lease.
    pub lease: Option<LeaseId>,
    /// The TTL that etcd granted for `--ttl`, in seconds.
    pub ttl: Option<i64>,
    /// Whether it was written, or so already.
    pub written: bool,
}

impl Record for PutAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let word = if self.written { "written" } else { "unchanged" };
        visit(Field { name: "outcome", value: Value::Str(word), show: Visibility::Always });
        visit(always("key", Value::Bytes(self.key)));
        visit(always("mod_revision", Value::Int(self.mod_revision)));
        visit(table("lease", Value::lease(self.lease)));
        visit(table("ttl", Value::int(self.ttl)));
        visit(data("written", Value::Bool(self.written)));
    }
}

/// `put --from`.
pub struct LoadAnswer {
    /// Records that were written (or would be).
    pub written: u64,
    /// Records that were so already.
    pub unchanged: u64,
    /// Keys that exist with another value, under `--create`.
    pub exists: u64,
    /// Records that may be in or not.
    pub unknown: u64,
    /// Leases that were granted and are in use.
    pub leases: u64,
    /// Whether nothing was written.
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

struct Tally {
    what: &'static str,
    count: u64,
}

impl Record for Tally {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("what", Value::Str(self.what)));
        visit(always("count", Value::Uint(self.count)));
    }
}

/// `delete`.
pub struct DeleteAnswer {
    /// Keys that went.
    pub deleted: u64,
    /// Keys that would go; in a dry run.
    pub would_delete: Option<u64>,
    /// Keys that were written meanwhile and stay.
    pub kept: u64,
    /// The revision of the last removal, or the one that was looked at.
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
    }
}

/// One line of `config`.
pub struct SettingRow<'a> {
    /// The key, as the file has it.
    pub key: &'a str,
    /// The effective value; secrets are redacted.
    pub value: Option<&'a str>,
    /// Where it came from.
    pub source: &'a str,
}

impl Record for SettingRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Str(self.key)));
        visit(always("value", self.value.map_or(Value::Absent, Value::Str)));
        visit(always("source", Value::Str(self.source)));
    }
}
