//! Records of `diff`.

use std::io;

use super::answer::Report;
use super::answers::Tally;
use super::bytes;
use super::event::ChangeKind;
use super::out::Out;
use super::record::{Field, Record, Value, always, data};
use super::sanitize::sanitize;
use crate::kvstore::{KeyValue, Revision};

/// A key on which the source and the store differ.
pub struct DifferenceRow<'a> {
    /// The change that leads from the source to the store.
    pub kind: ChangeKind,
    /// The key in the store.
    pub key: &'a [u8],
    /// The source's record.
    pub source: Option<&'a KeyValue>,
    /// The store's record.
    pub store: Option<&'a KeyValue>,
    /// Whether values are shown.
    pub values: bool,
}

impl Record for DifferenceRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        // Records of a file have no revisions.
        let revision =
            |kv: Option<&KeyValue>| Value::int(kv.map(|kv| kv.mod_revision).filter(|revision| *revision > 0));
        visit(always("event", self.kind.value()));
        visit(always("key", Value::Bytes(self.key)));
        if self.values {
            visit(always("value", Value::bytes(self.store.map(|kv| kv.value.as_slice()))));
            visit(always("prev_value", Value::bytes(self.source.map(|kv| kv.value.as_slice()))));
        }
        visit(data("mod_revision", revision(self.store)));
        visit(data("prev_mod_revision", revision(self.source)));
        visit(data("lease", Value::lease(self.store.and_then(|kv| kv.lease))));
        visit(data("prev_lease", Value::lease(self.source.and_then(|kv| kv.lease))));
    }
}

/// Numbers of keys by the kind of their change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    /// Keys created.
    pub created: u64,
    /// Keys modified.
    pub modified: u64,
    /// Keys deleted.
    pub deleted: u64,
}

impl ChangeCounts {
    /// Counts a change.
    pub fn add(&mut self, kind: ChangeKind) {
        match kind {
            ChangeKind::Created => self.created += 1,
            ChangeKind::Modified => self.modified += 1,
            ChangeKind::Deleted => self.deleted += 1,
        }
    }

    /// All changes.
    pub fn total(&self) -> u64 {
        self.created + self.modified + self.deleted
    }
}

/// `diff --stat`: the differences of one branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DifferencesInBranch {
    /// The branch, or a single key.
    pub key: Vec<u8>,
    /// Its differences.
    pub counts: ChangeCounts,
}

impl Record for DifferencesInBranch {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(&self.key)));
        visit(always("created", Value::Uint(self.counts.created)));
        visit(always("modified", Value::Uint(self.counts.modified)));
        visit(always("deleted", Value::Uint(self.counts.deleted)));
    }
}

/// The end of a `diff`.
pub struct DifferenceSummary<'a> {
    /// The source, in words.
    pub source: &'a str,
    /// The source's revision, if it is known.
    pub source_revision: Option<Revision>,
    /// The store's revision.
    pub revision: Revision,
    /// The differences.
    pub differences: ChangeCounts,
    /// Keys that are the same.
    pub unchanged: u64,
    /// Whether the comparison ended before the last key.
    pub limited: bool,
}

impl Record for DifferenceSummary<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(data("source", Value::Str(self.source)));
        visit(data("source_revision", Value::int(self.source_revision)));
        visit(data("revision", Value::Int(self.revision)));
        visit(data("created", Value::Uint(self.differences.created)));
        visit(data("modified", Value::Uint(self.differences.modified)));
        visit(data("deleted", Value::Uint(self.differences.deleted)));
        visit(data("unchanged", Value::Uint(self.unchanged)));
        visit(data("limited", Value::Bool(self.limited)));
    }
}

/// `restore --dry-run`: a change that would be made.
pub struct RestoreRow<'a> {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The key.
    pub key: &'a [u8],
    /// The value that would be written.
    pub value: &'a [u8],
    /// The mod revision of the key that the plan saw; 0 if it does not exist.
    pub expected: Revision,
}

impl Record for RestoreRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let value = (self.kind != ChangeKind::Deleted).then_some(self.value);
        visit(always("event", self.kind.value()));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("value", Value::bytes(value)));
        visit(data("prev_mod_revision", Value::int((self.expected > 0).then_some(self.expected))));
        visit(data("dry_run", Value::Bool(true)));
    }
}

/// `restore`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreAnswer {
    /// The changes made, or to be made by a plan.
    pub done: ChangeCounts,
    /// Keys that are the same in the source and the store.
    pub unchanged: u64,
    /// Keys that another client has changed meanwhile.
    pub conflicts: u64,
    /// Changes that may or may not have been made.
    pub unknown: u64,
    /// The revision of the store on which the plan was based.
    pub revision: Revision,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

impl Record for RestoreAnswer {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let names = match self.dry_run {
            true => ["would_create", "would_modify", "would_delete"],
            false => ["created", "modified", "deleted"],
        };
        for (name, count) in names.into_iter().zip([self.done.created, self.done.modified, self.done.deleted]) {
            visit(data(name, Value::Uint(count)));
        }
        visit(data("unchanged", Value::Uint(self.unchanged)));
        visit(data("conflicts", Value::Uint(self.conflicts)));
        visit(data("unknown", Value::Uint(self.unknown)));
        visit(data("revision", Value::Int(self.revision)));
    }
}

impl Report for RestoreAnswer {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        let names = match self.dry_run {
            true => ["would create", "would modify", "would delete"],
            false => ["created", "modified", "deleted"],
        };
        let [created, modified, deleted] = names;
        let all = [
            (created, self.done.created),
            (modified, self.done.modified),
            (deleted, self.done.deleted),
            ("unchanged", self.unchanged),
            ("conflicts", self.conflicts),
            ("unknown", self.unknown),
        ];
        let shown = all.into_iter().enumerate().filter(|(index, (_, count))| *index < 3 || *count > 0);
        shown.map(|(_, (what, count))| Box::new(Tally { what, count }) as Box<dyn Record>).collect()
    }

    fn tabular(&self) -> bool {
        false
    }
}

impl Out {
    /// Writes a difference as a line of text: a sign and the key.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn difference_line(&self, kind: ChangeKind, key: &[u8]) -> io::Result<()> {
        let (sign, color) = match kind {
            ChangeKind::Created => ('+', "32"),
            ChangeKind::Modified => ('~', "33"),
            ChangeKind::Deleted => ('-', "31"),
        };
        let key = bytes::escape(key);
        let line = match (self.shared.bold, self.shared.terminal) {
            (true, _) => format!("\x1b[{color}m{sign} {}\x1b[0m\n", sanitize(key.as_bytes(), false)),
            (false, true) => format!("{sign} {}\n", sanitize(key.as_bytes(), false)),
            (false, false) => format!("{sign} {key}\n"),
        };
        self.bytes(line.as_bytes())
    }
}
