//! Records of `gc metadata`: garbage objects, totals of each kind, explanations and findings.

use super::answer::Report;
use super::answers::Borrowed;
use super::record::{Field, Record, Tone, Value, always, data, table};
use crate::plural::{counted, grouped};

/// The tone of a candidate's state.
pub(super) fn tone_of_state(state: &str) -> Tone {
    match state {
        "removed" => Tone::Good,
        "failed" | "unknown" | "conflict" => Tone::Bad,
        "young" | "gone" => Tone::Neutral,
        _ => Tone::Warning,
    }
}

/// An object that would be removed, or was.
pub struct MetadataRow<'a> {
    /// `garbage`; after an attempt `removed`, `changed`, `gone`, `held-back`, `failed` or `unknown`.
    pub state: &'a str,
    /// The object's kind.
    pub kind: &'a str,
    /// The object's absolute key.
    pub key: &'a [u8],
    /// The scope's variables, joined by slashes.
    pub scope: &'a [u8],
    /// The object's name in its scope.
    pub identity: &'a [u8],
    /// Why it is garbage.
    pub why: &'a str,
    /// Number of keys.
    pub keys: Option<i64>,
    /// Bytes of its keys and values.
    pub bytes: Option<u64>,
    /// The revision of its last change.
    pub newest: Option<i64>,
    /// When it stopped being a root.
    pub expired: Option<&'a str>,
    /// Why the removal failed, or why one transaction cannot do it.
    pub error: Option<&'a str>,
}

impl Record for MetadataRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("state", Value::Word(self.state, tone_of_state(self.state))));
        visit(always("kind", Value::Str(self.kind)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("why", Value::Str(self.why)));
        visit(data("scope", Value::Bytes(self.scope)));
        visit(data("identity", Value::Bytes(self.identity)));
        visit(table("keys", Value::uint(self.keys.and_then(|keys| u64::try_from(keys).ok()))));
        visit(table("bytes", Value::size(self.bytes)));
        visit(data("mod_revision", Value::int(self.newest)));
        visit(data("expired", Value::str(self.expired)));
        visit(data("error", Value::str(self.error)));
    }
}

/// The totals of one kind, and the outcome of its sweep.
#[derive(Clone, Debug, Default)]
pub struct GcPart {
    /// The kind's name.
    pub name: String,
    /// Number of objects.
    pub objects: u64,
    /// Number of their keys.
    pub keys: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Number of roots.
    pub roots: u64,
    /// Number of references from them.
    pub edges: u64,
    /// Number of objects that are kept.
    pub reachable: u64,
    /// Number of objects that are garbage.
    pub garbage: u64,
    /// Bytes of the garbage.
    pub garbage_bytes: u64,
    /// Number of references from them that cannot be resolved.
    pub unresolved: u64,
    /// The outcome of the sweep; `None` without one.
    pub swept: Option<PartCounts>,
}

/// The outcome of sweeping one kind's garbage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartCounts {
    /// Objects removed.
    pub removed: u64,
    /// Keys removed.
    pub keys: u64,
    /// Bytes removed.
    pub bytes: u64,
    /// Objects kept because they, or facts about them, changed.
    pub skipped: u64,
    /// Objects that another client removed.
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
        visit(data("unresolved", Value::uint(Some(self.unresolved).filter(|unresolved| *unresolved > 0))));
        visit(data("removed", swept(|swept| swept.removed)));
        visit(data("removed_keys", swept(|swept| swept.keys)));
        visit(data("removed_bytes", swept(|swept| swept.bytes)));
        visit(data("skipped", swept(|swept| swept.skipped)));
        visit(data("gone", swept(|swept| swept.gone)));
        visit(data("failed", swept(|swept| swept.failed)));
    }
}

impl GcPart {
    /// The totals as one line of text.
    pub fn describe(&self) -> String {
        let (name, objects, keys, bytes) = (&self.name, self.objects, self.keys, self.bytes);
        let (roots, edges, reachable, garbage) = (self.roots, self.edges, self.reachable, self.garbage);
        let counts = [(objects, "object"), (keys, "key"), (bytes, "byte"), (roots, "root"), (edges, "reference")];
        let counts = counts.map(|(count, noun)| counted(count, noun)).join(", ");
        let mut text = format!("{name}: {counts}, {} kept", grouped(reachable));
        if self.unresolved > 0 {
            text += &format!(", {}", counted(self.unresolved, "unresolved reference"));
        }
        if garbage > 0 {
            text += &format!(", {} garbage ({})", grouped(garbage), counted(self.garbage_bytes, "byte"));
        }
        if let Some(PartCounts { removed, keys, bytes, skipped, gone, failed }) = self.swept {
            if removed > 0 {
                let (keys, bytes) = (counted(keys, "key"), counted(bytes, "byte"));
                text += &format!(", {} removed ({keys}, {bytes})", grouped(removed));
            }
            for (count, what) in [(skipped, "skipped"), (gone, "already gone"), (failed, "failed")] {
                if count > 0 {
                    text += &format!(", {} {what}", grouped(count));
                }
            }
        }
        text
    }
}

/// One phase of a round.
#[derive(Clone, Debug, Default)]
pub struct GcPhase {
    /// `read`, `mark` or `sweep`.
    pub name: &'static str,
    /// Duration in milliseconds.
    pub took_ms: u64,
    /// Number of transactions sent; `None` for a phase without transactions.
    pub transactions: Option<u64>,
    /// Number of refused transactions.
    pub refused: Option<u64>,
    /// Memory of its result in bytes, if known.
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
    /// The phase as text.
    pub fn describe(&self) -> String {
        let mut text = format!("{}: {} ms", self.name, self.took_ms);
        if let (Some(transactions), Some(refused)) = (self.transactions, self.refused) {
            let refused = grouped(refused);
            text += &format!(", {}, {refused} of them refused", counted(transactions, "transaction"));
        }
        text
    }
}

/// An object on the path from a root, or one that refers to another.
pub struct PathRow {
    /// `root`, `keeps`, `refers`, or `idle` for a reference that does not keep the object.
    pub step: &'static str,
    /// The object's kind.
    pub kind: String,
    /// The object's key; of a missing object the key it would have.
    pub key: Vec<u8>,
    /// The referring field, or why the object is a root.
    pub by: String,
    /// Whether it is kept, but not the objects it refers to.
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
    /// The object's absolute key.
    pub key: Vec<u8>,
    /// The object's scope.
    pub scope: Vec<u8>,
    /// The object's name in the scope.
    pub identity: Vec<u8>,
    /// `root`, `kept`, `garbage`, `not-collected` or `absent`.
    pub verdict: &'static str,
    /// The reason for the verdict.
    pub why: String,
    /// The path from a root, the root first.
    pub path: Vec<PathRow>,
    /// The objects that refer to it.
    pub referrers: Vec<PathRow>,
}

/// The tone of the verdict on an object.
fn tone_of_verdict(verdict: &str) -> Tone {
    match verdict {
        "root" | "kept" => Tone::Good,
        "garbage" => Tone::Warning,
        "absent" => Tone::Bad,
        _ => Tone::Neutral,
    }
}

/// The first row of an explanation.
struct VerdictRow<'a>(&'a ExplanationAnswer);

impl Record for VerdictRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("step", Value::Word(self.0.verdict, tone_of_verdict(self.0.verdict))));
        visit(always("kind", Value::Str(&self.0.kind)));
        visit(always("key", Value::Bytes(&self.0.key)));
        visit(always("by", Value::Str(&self.0.why)));
    }
}

impl Record for ExplanationAnswer {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let hops = |hops: &'a [PathRow]| Value::records(hops.iter());
        visit(always("verdict", Value::Word(self.verdict, tone_of_verdict(self.verdict))));
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
        self.sections().into_iter().flat_map(|(_, rows)| rows).collect()
    }

    fn sections(&self) -> Vec<(&'static str, Vec<Box<dyn Record + '_>>)> {
        fn boxed(hops: &[PathRow]) -> Vec<Box<dyn Record + '_>> {
            hops.iter().map(|hop| Box::new(Borrowed(hop)) as Box<dyn Record>).collect()
        }
        let mut sections: Vec<(&str, Vec<Box<dyn Record>>)> = vec![("", vec![Box::new(VerdictRow(self))])];
        sections.push(("Path from a root", boxed(&self.path)));
        sections.push(("References to the object", boxed(&self.referrers)));
        sections.retain(|(_, rows)| !rows.is_empty());
        sections
    }
}

/// `gc metadata --check`: one finding.
pub struct FindingRow<'a> {
    /// `problem`, or `note` for something legal but unusual.
    pub severity: &'static str,
    /// The kind of finding: `dangling`, `unparsed` …
    pub finding: &'static str,
    /// The affected key.
    pub key: &'a [u8],
    /// The description.
    pub text: &'a str,
}

impl Record for FindingRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always(
            "severity",
            Value::Word(self.severity, if self.severity == "problem" { Tone::Bad } else { Tone::Neutral }),
        ));
        visit(always("finding", Value::Str(self.finding)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("text", Value::Str(self.text)));
    }
}
