//! Records of `snapshot`.

use super::{Field, Record, Value, always, data};
use crate::kvstore::Revision;

/// A snapshot that `snapshot save` has saved, or would save.
#[derive(Debug, Default)]
pub struct SavedSnapshot<'a> {
    /// The file; `-` for stdout.
    pub file: &'a str,
    /// The endpoint of the member that the snapshot is of.
    pub endpoint: &'a str,
    /// The member's ID; `None` if it does not tell it.
    pub member: Option<u64>,
    /// The store's revision in the snapshot; `None` if it changed while a snapshot was written to stdout.
    pub revision: Option<Revision>,
    /// The lowest revision that the snapshot may have, if its revision is unknown.
    pub revision_at_least: Option<Revision>,
    /// How many revisions the member is behind the most advanced one of the others; `None` if no other member answered.
    pub behind: Option<u64>,
    /// Number of stored revisions of keys, tombstones included; `None` for a snapshot that was written to stdout.
    pub revisions: Option<u64>,
    /// Length in bytes; in a dry run, that of the member's database.
    pub size: u64,
    /// The SHA-256 of the database in hex; `None` in a dry run.
    pub sha256: Option<&'a str>,
    /// The version of the server.
    pub server_version: Option<&'a str>,
    /// The version of the database's schema; `None` before etcd 3.6.
    pub storage_version: Option<&'a str>,
    /// Duration in milliseconds; `None` in a dry run.
    pub took_ms: Option<f64>,
    /// Whether it was a dry run.
    pub dry_run: bool,
}

impl Record for SavedSnapshot<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("file", Value::Str(self.file)));
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(data("member", self.member.map_or(Value::Absent, Value::Hex)));
        visit(always("revision", Value::int(self.revision)));
        visit(data("revision_at_least", Value::int(self.revision_at_least)));
        visit(always("behind", Value::uint(self.behind)));
        visit(always("revisions", Value::uint(self.revisions)));
        visit(always("size", Value::Size(self.size)));
        visit(always("sha256", Value::str(self.sha256)));
        visit(always("server_version", Value::str(self.server_version)));
        visit(data("storage_version", Value::str(self.storage_version)));
        visit(always("took_ms", self.took_ms.map_or(Value::Absent, Value::Millis)));
        visit(data("dry_run", if self.dry_run { Value::Bool(true) } else { Value::Absent }));
    }
}
