//! Records of `diff`.

use std::io;

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
        visit(always("event", Value::Str(self.kind.word())));
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

/// `diff --stat`: the differences of one branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DifferencesInBranch {
    /// The branch, or a single key.
    pub key: Vec<u8>,
    /// Keys that only the store has.
    pub created: u64,
    /// Keys that differ.
    pub modified: u64,
    /// Keys that only the source has.
    pub deleted: u64,
}

impl DifferencesInBranch {
    /// Counts a difference.
    pub fn count(&mut self, kind: ChangeKind) {
        match kind {
            ChangeKind::Created => self.created += 1,
            ChangeKind::Modified => self.modified += 1,
            ChangeKind::Deleted => self.deleted += 1,
        }
    }

    /// All differences.
    pub fn total(&self) -> u64 {
        self.created + self.modified + self.deleted
    }
}

impl Record for DifferencesInBranch {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(&self.key)));
        visit(always("created", Value::Uint(self.created)));
        visit(always("modified", Value::Uint(self.modified)));
        visit(always("deleted", Value::Uint(self.deleted)));
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
    pub differences: &'a DifferencesInBranch,
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
