//! The tree in memory as objects and edges; values are not stored.

mod arena;
mod builder;
mod field;
mod keys;
mod query;
mod read;
mod settle;

use std::sync::Arc;

pub use builder::{ModelBuilder, ModelError};

use super::schema::{EdgeRule, Kind, KindId, Schema};
use crate::kvstore::Revision;
use crate::time::Time;
use arena::{Arena, Span, Table};

/// Index of an object.
pub type ObjectId = u32;

/// An object. One that is only referred to has no keys.
#[derive(Clone, Debug)]
struct Object {
    identity: Span,
    key: Span,
    newest: Revision,
    bytes: u64,
    keys: u32,
    scope: u32,
    kind: KindId,
    /// Index of the rule that makes it a root, plus one; 0 for none.
    root: u8,
    flags: u8,
}

/// The object has its anchor.
const ANCHORED: u8 = 1;
/// A key that could also belong to another object could be its anchor.
const MAYBE_ANCHORED: u8 = 2;
/// The objects it refers to by `flat: members` are kept flat.
const FLAT: u8 = 4;
/// Keys that are not, or may not be, its own lie inside it.
const FOREIGN: u8 = 8;
/// It is only referred to, by an identity that no object of its kind can have.
const IMPOSSIBLE: u8 = 16;

/// An object that keeps another one, and the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The object that keeps.
    pub from: ObjectId,
    /// The object that is kept.
    pub to: ObjectId,
    /// Index of the rule in [`Schema::edges`].
    pub rule: u16,
}

/// An edge that exists only while a test of the other object's age holds.
#[derive(Clone, Debug)]
struct ConditionalEdge {
    edge: Edge,
    /// One of them must hold.
    tests: Box<[AgeTest]>,
}

/// Whether an age is below or above a limit, which may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AgeTest {
    younger: bool,
    nanos: i128,
}

/// A field that a decision depends on.
#[derive(Clone, Debug)]
pub(super) struct FieldFact {
    pub object: ObjectId,
    pub what: FactKind,
    /// `None` if the field is not a valid time.
    pub time: Option<Time>,
    /// Revision of the field's last change.
    pub revision: Revision,
    field: Span,
}

impl FieldFact {
    /// Whether the field should be a time, but is not valid.
    pub fn is_bad_time(&self) -> bool {
        self.time.is_none() && matches!(self.what, FactKind::Expiry(_) | FactKind::Moment(_))
    }
}

/// Kind of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FactKind {
    /// The time of the root rule with this index.
    Expiry(u8),
    /// The `flat` field.
    Flat,
    /// The time with this index that conditions use.
    Moment(u8),
    /// A reference to an owner, without which the object is a root by the rule with this index.
    Owner(u8),
}

/// A field of `holder` that names `target`, which should refer back.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackLink {
    pub holder: ObjectId,
    pub target: ObjectId,
    field: Span,
}

/// A problem with a key or an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeProblem {
    /// The key does not match the schema.
    Unparsed(Vec<u8>),
    /// The key could belong to several objects.
    Ambiguous(Vec<u8>),
    /// The object lacks the field that every object of its kind has.
    Unanchored(ObjectId),
    /// A field, with this name in the key, should refer to an object by this rule, but to none that can exist.
    BadReference(ObjectId, u16, Vec<u8>),
    /// The field is reserved, but no rule reads it.
    Unread(ObjectId, Vec<u8>),
}

/// A metadata tree at one revision.
#[derive(Debug)]
pub struct Model {
    schema: Arc<Schema>,
    prefix: Vec<u8>,
    revision: Revision,
    arena: Arena,
    scopes: Vec<Box<[u8]>>,
    objects: Vec<Object>,
    table: Table,
    /// Sorted.
    edges: Vec<Edge>,
    /// Index of the first edge of each object, and the number of edges.
    starts: Vec<u32>,
    conditional: Vec<ConditionalEdge>,
    /// Sorted by object.
    facts: Vec<FieldFact>,
    /// Sorted by target.
    links: Vec<BackLink>,
    /// Pairs of an outer object and an inner one whose keys lie inside it.
    nested: Vec<(ObjectId, ObjectId)>,
    problems: Vec<TreeProblem>,
    /// For each kind, the number of its fields that should refer to an object, but to none that can exist.
    unresolved: Vec<u64>,
    totals: Totals,
}

/// Totals of the keys read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Keys below the prefix.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Keys that belong to no object by the schema.
    pub opaque: u64,
    /// Keys that do not match the schema, or belong to an object without its anchor.
    pub unparsed: u64,
    /// Keys that could belong to several objects.
    pub ambiguous: u64,
}

impl Model {
    /// The schema.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The prefix of all keys.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The revision at which the tree was read.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Totals of the keys read.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Problems with single keys and objects.
    pub fn problems(&self) -> &[TreeProblem] {
        &self.problems
    }

    /// For each kind, the number of references in its objects that cannot be resolved.
    pub fn unresolved(&self) -> &[u64] {
        &self.unresolved
    }

    /// Whether it is only referred to, by an identity that no object of its kind can have.
    pub(super) fn is_impossible(&self, id: ObjectId) -> bool {
        self.object(id).flags & IMPOSSIBLE != 0
    }

    /// All objects, including those that are only referred to.
    pub fn all_ids(&self) -> impl Iterator<Item = ObjectId> + use<> {
        0..self.count()
    }

    /// All objects that exist.
    pub fn objects(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.all_ids().filter(|id| self.exists(*id))
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.objects.len()).unwrap_or(u32::MAX)
    }

    fn object(&self, id: ObjectId) -> &Object {
        &self.objects[id as usize]
    }

    /// Whether the object has keys, or is only referred to.
    pub fn exists(&self, id: ObjectId) -> bool {
        self.object(id).keys > 0
    }

    /// Index of the object's kind.
    pub fn kind_id(&self, id: ObjectId) -> KindId {
        self.object(id).kind
    }

    /// The object's kind.
    pub fn kind(&self, id: ObjectId) -> &Kind {
        self.schema.kind(self.object(id).kind)
    }

    /// The scope's variables joined by slashes; empty outside every scope.
    pub fn scope(&self, id: ObjectId) -> &[u8] {
        &self.scopes[self.object(id).scope as usize]
    }

    pub(super) fn scope_id(&self, id: ObjectId) -> u32 {
        self.object(id).scope
    }

    /// The object's identity within its kind and scope.
    pub fn identity(&self, id: ObjectId) -> &[u8] {
        self.arena.get(self.object(id).identity)
    }

    /// The object's key with the prefix; its fields follow a slash. `None` if it is only referred to.
    pub fn key(&self, id: ObjectId) -> Option<Vec<u8>> {
        self.exists(id).then(|| [&self.prefix, self.arena.get(self.object(id).key)].concat())
    }

    /// Number of keys of the object.
    pub fn keys(&self, id: ObjectId) -> u64 {
        u64::from(self.object(id).keys)
    }

    /// Bytes of the object's keys and values.
    pub fn bytes(&self, id: ObjectId) -> u64 {
        self.object(id).bytes
    }

    /// Revision of the last change of any of its keys.
    pub fn newest(&self, id: ObjectId) -> Revision {
        self.object(id).newest
    }

    /// Whether keys lie inside it that may not be its own; such an object is never removed.
    pub fn has_foreign_keys(&self, id: ObjectId) -> bool {
        self.object(id).flags & FOREIGN != 0
    }

    pub(super) fn is_flat(&self, id: ObjectId) -> bool {
        self.object(id).flags & FLAT != 0
    }

    /// Index of the rule whose field makes it a root.
    pub(super) fn root_field(&self, id: ObjectId) -> Option<usize> {
        usize::from(self.object(id).root).checked_sub(1)
    }

    /// The object's unconditional edges.
    pub fn edges(&self, id: ObjectId) -> &[Edge] {
        let at = id as usize;
        &self.edges[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// All unconditional edges, by object.
    pub fn all_edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The edge's rule.
    pub fn rule(&self, edge: Edge) -> &EdgeRule {
        &self.schema.edges[usize::from(edge.rule)]
    }

    /// Index of the object's first edge in [`Model::all_edges`].
    pub(super) fn first_edge(&self, id: ObjectId) -> u32 {
        self.starts[id as usize]
    }

    /// All conditional edges, whether or not their condition holds, in order.
    pub(super) fn all_conditional(&self) -> impl Iterator<Item = Edge> + '_ {
        self.conditional.iter().map(|conditional| conditional.edge)
    }

    /// The object's conditional edges, whether or not their condition holds.
    pub(super) fn conditional_from(&self, id: ObjectId) -> impl Iterator<Item = Edge> + '_ {
        let from = self.conditional.partition_point(|conditional| conditional.edge.from < id);
        self.conditional[from..].iter().map(|conditional| conditional.edge).take_while(move |edge| edge.from == id)
    }

    /// Whether a field gives a reference that the `unless` root rule with this index names.
    pub(super) fn is_owned(&self, id: ObjectId, rule: usize) -> bool {
        let wanted = u8::try_from(rule).map(FactKind::Owner);
        self.facts(id).iter().any(|fact| Ok(fact.what) == wanted)
    }

    /// The time of the root rule with this index: missing, not valid, or a time.
    pub(super) fn expiry(&self, id: ObjectId, rule: usize) -> Option<Option<Time>> {
        let wanted = u8::try_from(rule).map(FactKind::Expiry);
        self.facts(id).iter().find(|fact| Ok(fact.what) == wanted).map(|fact| fact.time)
    }

    /// Sort key of objects: kind, scope, identity.
    pub(super) fn order(&self, id: ObjectId) -> (KindId, &[u8], &[u8]) {
        (self.kind_id(id), self.scope(id), self.identity(id))
    }

    /// Approximate memory in bytes.
    pub fn memory(&self) -> usize {
        self.arena.len()
            + self.objects.len() * (size_of::<Object>() + 8)
            + self.edges.len() * size_of::<Edge>()
            + self.facts.len() * size_of::<FieldFact>()
            + self.links.len() * size_of::<BackLink>()
    }
}
