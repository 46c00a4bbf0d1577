//! Records of `mirror`.

use super::{Field, Record, Value, always, data};
use crate::kvstore::Revision;

/// A report of a mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MirrorRow {
    /// `copied`, `progress`, `caught-up` or `stopped`.
    pub event: &'static str,
    /// The source's revision up to which the prefix is mirrored.
    pub revision: Revision,
    /// The source's revision, if it was asked for.
    pub source_revision: Option<Revision>,
    /// Changes of the source that this command has applied one by one.
    pub changes: u64,
    /// The changes of a second, since the last report.
    pub changes_per_second: Option<u64>,
    /// Keys that comparisons have written or deleted.
    pub copied: u64,
    /// Changes of other clients that were written over.
    pub overwritten: u64,
}

impl MirrorRow {
    /// How many revisions of the source are not mirrored yet.
    pub fn behind(&self) -> Option<u64> {
        self.source_revision.map(|now| u64::try_from(now.saturating_sub(self.revision)).unwrap_or(0))
    }
}

impl Record for MirrorRow {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("event", Value::Str(self.event)));
        visit(always("revision", Value::Int(self.revision)));
        visit(data("source_revision", Value::int(self.source_revision)));
        visit(data("behind", Value::uint(self.behind())));
        visit(data("changes", Value::Uint(self.changes)));
        visit(data("changes_per_second", Value::uint(self.changes_per_second)));
        visit(data("copied", Value::Uint(self.copied)));
        visit(data("overwritten", Value::Uint(self.overwritten)));
    }
}

/// `mirror --verify`, and the plan of `mirror --dry-run`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MirrorComparison {
    /// `verified` or `would-copy`.
    pub event: &'static str,
    /// The source's revision.
    pub revision: Revision,
    /// The destination's revision.
    pub destination_revision: Revision,
    /// Keys that are the same.
    pub unchanged: u64,
    /// Keys that only the source has.
    pub created: u64,
    /// Keys that differ.
    pub modified: u64,
    /// Keys that only the destination has.
    pub deleted: u64,
}

impl Record for MirrorComparison {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("event", Value::Str(self.event)));
        visit(always("revision", Value::Int(self.revision)));
        visit(data("destination_revision", Value::Int(self.destination_revision)));
        visit(data("unchanged", Value::Uint(self.unchanged)));
        visit(data("created", Value::Uint(self.created)));
        visit(data("modified", Value::Uint(self.modified)));
        visit(data("deleted", Value::Uint(self.deleted)));
    }
}
