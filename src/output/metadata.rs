//! What `gc metadata` answers: objects that would go, what there is of each kind, explanations and findings.

use super::answer::Report;
use super::record::{Field, Record, Value, always, data, table};

/// One object that would go, or went.
pub struct MetadataRow<'a> {
    /// `garbage`; once it was tried: `removed`, `changed`, `gone`, `held-back`, `entangled`, `failed`.
    pub state: &'a str,
    /// The object's kind.
    pub kind: &'a str,
    /// Its key, absolute.
    pub key: &'a [u8],
    /// Its scope: the scope's variables joined by slashes.
    pub scope: &'a [u8],
    /// What it is called in its scope.
    pub identity: &'a [u8],
    /// Why it would go.
    pub why: &'a str,
    /// How many keys it has.
    pub keys: Option<i64>,
    /// The bytes of its keys and values.
    pub bytes: Option<u64>,
    /// Its last change.
    pub newest: Option<i64>,
    /// When it stopped being a root.
    pub expired: Option<&'a str>,
    /// Why it could not be removed.
    pub error: Option<&'a str>,
}

impl Record for MetadataRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("state", Value::Str(self.state)));
        visit(always("kind", Value::Str(self.kind)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("why", Value::Str(self.why)));
        visit(data("scope", Value::Bytes(self.scope)));
        visit(data("identity", Value::Bytes(self.identity)));
        visit(table("keys", Value::int(self.keys)));
        visit(table("bytes", Value::size(self.bytes)));
        visit(data("mod_revision", Value::int(self.newest)));
        visit(data("expired", self.expired.map_or(Value::Absent, Value::Str)));
        visit(data("error", self.error.map_or(Value::Absent, Value::Str)));
    }
}

/// What there is of one kind, and what became of it.
#[derive(Clone, Debug, Default)]
pub struct GcPart {
    /// The kind.
    pub name: String,
    /// How many objects.
    pub objects: u64,
    /// Their keys.
    pub keys: u64,
    /// The bytes of their keys and values.
    pub bytes: u64,
    /// Roots among them.
    pub roots: u64,
    /// References from them.
    pub edges: u64,
    /// Objects that are kept.
    pub reachable: u64,
    /// Objects that are garbage.
    pub garbage: u64,
    /// Their bytes.
    pub garbage_bytes: u64,
    /// What became of them; `None` where nothing was to be removed.
    pub swept: Option<PartCounts>,
}

/// What became of one kind's garbage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartCounts {
    /// Objects removed.
    pub removed: u64,
    /// Their keys.
    pub keys: u64,
    /// And bytes.
    pub bytes: u64,
    /// Objects that stay because they, or what they rest on, changed.
    pub skipped: u64,
    /// Objects that somebody else removed.
    pub gone: u64,
    /// Objects that could not be removed.
    pub failed: u64,
}

impl Record for GcPart {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let swept = |count: fn(&PartCounts) -> u64| Value::uint(self.swept.as_ref().map(count));
        visit(data("kind", Value::Str(&self.name)));
        visit(data("objects", Value::Uint(self.objects)));
        visit(data("keys", Value::Uint(self.keys)));
        visit(data("bytes", Value::Uint(self.bytes)));
        visit(data("roots", Value::Uint(self.roots)));
        visit(data("edges", Value::Uint(self.edges)));
        visit(data("reachable", Value::Uint(self.reachable)));
        visit(data("garbage", Value::Uint(self.garbage)));
        visit(data("garbage_bytes", Value::Uint(self.garbage_bytes)));
        visit(data("removed", swept(|swept| swept.removed)));
        visit(data("removed_keys", swept(|swept| swept.keys)));
        visit(data("removed_bytes", swept(|swept| swept.bytes)));
        visit(data("skipped", swept(|swept| swept.skipped)));
        visit(data("gone", swept(|swept| swept.gone)));
        visit(data("failed", swept(|swept| swept.failed)));
    }
}

impl GcPart {
    /// The same in words.
    pub fn words(&self) -> String {
        let (name, objects, keys, bytes) = (&self.name, self.objects, self.keys, self.bytes);
        let (roots, edges, reachable, garbage) = (self.roots, self.edges, self.reachable, self.garbage);
        let mut words = format!(
            "{name}: {objects} objects, {keys} keys, {bytes} bytes, {roots} roots, {edges} references, {reachable} kept"
        );
        if garbage > 0 {
            words += &format!(", {garbage} garbage of {} bytes", self.garbage_bytes);
        }
        if let Some(PartCounts { removed, keys, bytes, skipped, gone, failed }) = self.swept {
            if removed > 0 {
                words += &format!(", {removed} removed of {keys} keys and {bytes} bytes");
            }
            for (count, what) in [(skipped, "skipped"), (gone, "gone already"), (failed, "failed")] {
                if count > 0 {
                    words += &format!(", {count} {what}");
                }
            }
        }
        words
    }
}

/// One part of the work.
#[derive(Clone, Debug, Default)]
pub struct GcPhase {
    /// `read`, `mark` or `sweep`.
    pub name: &'static str,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How many transactions were sent, where there were any.
    pub transactions: Option<u64>,
    /// How many of them were refused.
    pub refused: Option<u64>,
    /// The bytes of memory that its result takes, where that is known.
    pub memory: Option<u64>,
}

impl Record for GcPhase {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(data("phase", Value::Str(self.name)));
        visit(data("took_ms", Value::Uint(self.took_ms)));
        visit(data("transactions", Value::uint(self.transactions)));
        visit(data("refused", Value::uint(self.refused)));
        visit(data("memory", Value::uint(self.memory)));
    }
}

impl GcPhase {
    /// The same in words.
    pub fn words(&self) -> String {
        let mut words = format!("{}: {} ms", self.name, self.took_ms);
        if let (Some(transactions), Some(refused)) = (self.transactions, self.refused) {
            words += &format!(", {transactions} transactions, {refused} of them refused");
        }
        words
    }
}

/// One object on the way from a root, or one that refers to another.
pub struct PathRow {
    /// `root`, `keeps`, `refers`, or `idle` for a reference that does not count.
    pub step: &'static str,
    /// The object's kind.
    pub kind: String,
    /// Its key; of one that is not there, what it would be called.
    pub key: Vec<u8>,
    /// The field by which it refers or is referred to; or why it is a root.
    pub by: String,
    /// Whether it is kept without what it refers to.
    pub flat: bool,
}

impl Record for PathRow {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("step", Value::Str(self.step)));
        visit(always("kind", Value::Str(&self.kind)));
        visit(always("key", Value::Bytes(&self.key)));
        visit(always("by", Value::Str(&self.by)));
        visit(data("flat", if self.flat { Value::Bool(true) } else { Value::Absent }));
    }
}

/// `gc metadata --explain`.
pub struct ExplanationAnswer {
    /// The object's kind.
    pub kind: String,
    /// Its key, absolute.
    pub key: Vec<u8>,
    /// Its scope.
    pub scope: Vec<u8>,
    /// What it is called in it.
    pub identity: Vec<u8>,
    /// `root`, `kept`, `garbage`, `not-collected` or `absent`.
    pub verdict: &'static str,
    /// Why.
    pub why: String,
    /// The way from a root, the root first.
    pub path: Vec<PathRow>,
    /// Who refers to it.
    pub referrers: Vec<PathRow>,
}

/// The first row of an explanation.
struct VerdictRow<'a>(&'a ExplanationAnswer);

impl Record for VerdictRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("step", Value::Str(self.0.verdict)));
        visit(always("kind", Value::Str(&self.0.kind)));
        visit(always("key", Value::Bytes(&self.0.key)));
        visit(always("by", Value::Str(&self.0.why)));
    }
}

struct Row<'a>(&'a PathRow);

impl Record for Row<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        self.0.fields(visit);
    }
}

impl Record for ExplanationAnswer {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let hops = |hops: &'a [PathRow]| Value::Records(hops.iter().map(|hop| hop as &dyn Record).collect());
        visit(always("verdict", Value::Str(self.verdict)));
        visit(always("kind", Value::Str(&self.kind)));
        visit(always("key", Value::Bytes(&self.key)));
        visit(data("scope", Value::Bytes(&self.scope)));
        visit(data("identity", Value::Bytes(&self.identity)));
        visit(always("why", Value::Str(&self.why)));
        visit(data("path", hops(&self.path)));
        visit(data("referrers", hops(&self.referrers)));
    }
}

impl Report for ExplanationAnswer {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        let first: Box<dyn Record> = Box::new(VerdictRow(self));
        let hops = self.path.iter().chain(&self.referrers).map(|hop| Box::new(Row(hop)) as Box<dyn Record>);
        std::iter::once(first).chain(hops).collect()
    }

    fn tabular(&self) -> bool {
        true
    }
}

/// `gc metadata --check`: one finding.
pub struct FindingRow<'a> {
    /// `problem`, or `note` for what is legal and seldom meant.
    pub severity: &'static str,
    /// What is wrong: `dangling`, `unparsed` …
    pub finding: &'static str,
    /// The key it is about.
    pub key: &'a [u8],
    /// What is wrong, in words.
    pub text: &'a str,
}

impl Record for FindingRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("severity", Value::Str(self.severity)));
        visit(always("finding", Value::Str(self.finding)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("text", Value::Str(self.text)));
    }
}
