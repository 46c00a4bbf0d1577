//! The tree as objects and edges: what is kept of it in memory, and it is little. Values are looked at once and dropped.

mod arena;
mod builder;
mod field;
mod keys;
mod query;
mod read;
mod settle;

use std::sync::Arc;

pub use builder::{ModelBuilder, ModelError};

use super::schema::{Edge as Rule, Kind, KindId, Schema};
use super::time::Time;
use crate::kvstore::Revision;
use arena::{Arena, Span, Table};

/// An object's number.
pub type ObjectId = u32;

/// What is remembered of an object. One that is only referred to has no keys.
#[derive(Clone, Debug)]
struct Object {
    identity: Span,
    key: Span,
    newest: Revision,
    bytes: u64,
    keys: u32,
    scope: u32,
    kind: KindId,
    /// The number of the rule that makes it a root, from 1; 0 for none.
    root: u8,
    flags: u8,
}

/// It has its anchor.
const ANCHORED: u8 = 1;
/// A key that could be another's could be its anchor.
const MAYBE_ANCHORED: u8 = 2;
/// Its members are flat.
const FLAT: u8 = 4;
/// Keys that are not its own, or not surely, lie inside it.
const FOREIGN: u8 = 8;

/// "This object keeps that one", and by which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Who keeps.
    pub from: ObjectId,
    /// Who is kept.
    pub to: ObjectId,
    /// The rule's place in [`Schema::edges`].
    pub rule: u16,
}

/// An edge that is there only while the other object's age is right.
#[derive(Clone, Debug)]
struct ConditionalEdge {
    edge: Edge,
    /// Any of them will do.
    tests: Box<[AgeTest]>,
}

/// Younger, or older, than so many nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AgeTest {
    younger: bool,
    nanos: i128,
}

/// A field that a decision rests on.
#[derive(Clone, Debug)]
pub(super) struct FieldFact {
    pub object: ObjectId,
    pub what: FactKind,
    /// `None` where the moment is none.
    pub time: Option<Time>,
    /// The field's last change.
    pub revision: Revision,
    field: Span,
}

impl FieldFact {
    /// Whether it should be a moment and is none.
    pub fn is_bad_time(&self) -> bool {
        self.time.is_none() && self.what != FactKind::Flat
    }
}

/// What a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FactKind {
    /// The moment of the root rule with this number.
    Expiry(u8),
    /// The flat field.
    Flat,
    /// The moment with this number that conditions look at.
    Moment(u8),
}

/// A field of `holder` that names `target`, which is said to refer back.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackLink {
    pub holder: ObjectId,
    pub target: ObjectId,
    field: Span,
}

/// Something about single keys and objects that a check reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeProblem {
    /// The key belongs to nothing the schema knows.
    Unparsed(Vec<u8>),
    /// The key could belong to several objects.
    Ambiguous(Vec<u8>),
    /// The object lacks the field that every object of its kind has.
    Unanchored(ObjectId),
    /// The rule's field names what no object of the other kind can be called.
    BadReference(ObjectId, u16),
    /// A field that is reserved for rules, and no rule reads it.
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
    /// In order.
    edges: Vec<Edge>,
    /// Where each object's edges begin, and where the last one's end.
    starts: Vec<u32>,
    conditional: Vec<ConditionalEdge>,
    /// By object.
    facts: Vec<FieldFact>,
    /// By target.
    links: Vec<BackLink>,
    /// Objects whose keys lie inside another's: the outer one, then the inner one.
    nested: Vec<(ObjectId, ObjectId)>,
    problems: Vec<TreeProblem>,
    totals: Totals,
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Keys below the prefix.
    pub keys: u64,
    /// Their and their values' bytes.
    pub bytes: u64,
    /// Keys that belong to no object, as the schema says.
    pub opaque: u64,
    /// Keys that belong to nothing the schema knows, or to an object without its anchor.
    pub unparsed: u64,
    /// Keys that could belong to several objects.
    pub ambiguous: u64,
}

impl Model {
    /// The schema it was read by.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The prefix all_ids lies below.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The revision it was read at.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How much was read.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What is odd about single keys and objects.
    pub fn problems(&self) -> &[TreeProblem] {
        &self.problems
    }

    /// Everything there is and all_ids referred to.
    pub fn all_ids(&self) -> impl Iterator<Item = ObjectId> + use<> {
        0..self.count()
    }

    /// Every object that is there.
    pub fn objects(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.all_ids().filter(|id| self.exists(*id))
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.objects.len()).unwrap_or(u32::MAX)
    }

    fn object(&self, id: ObjectId) -> &Object {
        &self.objects[id as usize]
    }

    /// Whether it has keys; else it is only referred to.
    pub fn exists(&self, id: ObjectId) -> bool {
        self.object(id).keys > 0
    }

    /// Its kind's number.
    pub fn kind_id(&self, id: ObjectId) -> KindId {
        self.object(id).kind
    }

    /// Its kind.
    pub fn kind(&self, id: ObjectId) -> &Kind {
        self.schema.kind(self.object(id).kind)
    }

    /// Its scope: the scope's variables joined by slashes; empty outside every scope.
    pub fn scope(&self, id: ObjectId) -> &[u8] {
        &self.scopes[self.object(id).scope as usize]
    }

    pub(super) fn scope_id(&self, id: ObjectId) -> u32 {
        self.object(id).scope
    }

    /// What it is called in its kind and scope.
    pub fn identity(&self, id: ObjectId) -> &[u8] {
        self.arena.get(self.object(id).identity)
    }

    /// Its key with the prefix; its fields lie below, behind a slash. `None` for what is only referred to.
    pub fn key(&self, id: ObjectId) -> Option<Vec<u8>> {
        self.exists(id).then(|| [&self.prefix, self.arena.get(self.object(id).key)].concat())
    }

    /// How many keys it has.
    pub fn keys(&self, id: ObjectId) -> u64 {
        u64::from(self.object(id).keys)
    }

    /// The bytes of its keys and values.
    pub fn bytes(&self, id: ObjectId) -> u64 {
        self.object(id).bytes
    }

    /// The last change of any of its keys.
    pub fn newest(&self, id: ObjectId) -> Revision {
        self.object(id).newest
    }

    /// Whether keys lie inside it that are not surely its own: then it is never removed.
    pub fn has_foreign_keys(&self, id: ObjectId) -> bool {
        self.object(id).flags & FOREIGN != 0
    }

    pub(super) fn is_flat(&self, id: ObjectId) -> bool {
        self.object(id).flags & FLAT != 0
    }

    /// The number of the rule whose field makes it a root.
    pub(super) fn root_field(&self, id: ObjectId) -> Option<usize> {
        usize::from(self.object(id).root).checked_sub(1)
    }

    /// The edges from it that no condition is tied to.
    pub fn edges(&self, id: ObjectId) -> &[Edge] {
        let at = id as usize;
        &self.edges[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// All edges that no condition is tied to, by object.
    pub fn all_edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The edge's rule.
    pub fn rule(&self, edge: Edge) -> &Rule {
        &self.schema.edges[usize::from(edge.rule)]
    }

    /// The number of the object's first edge in [`Model::all_edges`].
    pub(super) fn first_edge(&self, id: ObjectId) -> u32 {
        self.starts[id as usize]
    }

    /// The edges with a condition, whether or not it holds, in order.
    pub(super) fn all_conditional(&self) -> impl Iterator<Item = Edge> + '_ {
        self.conditional.iter().map(|conditional| conditional.edge)
    }

    /// The edges from it that have a condition, whether or not it holds.
    pub(super) fn conditional_from(&self, id: ObjectId) -> impl Iterator<Item = Edge> + '_ {
        let from = self.conditional.partition_point(|conditional| conditional.edge.from < id);
        self.conditional[from..].iter().map(|conditional| conditional.edge).take_while(move |edge| edge.from == id)
    }

    /// The moment of its root rule with this number: absent, none that can be read, or when.
    pub(super) fn expiry(&self, id: ObjectId, rule: usize) -> Option<Option<Time>> {
        let wanted = u8::try_from(rule).map(FactKind::Expiry);
        self.facts(id).iter().find(|fact| Ok(fact.what) == wanted).map(|fact| fact.time)
    }

    /// What objects are ordered by: kind, scope, identity.
    pub(super) fn order(&self, id: ObjectId) -> (KindId, &[u8], &[u8]) {
        (self.kind_id(id), self.scope(id), self.identity(id))
    }

    /// About how much memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.arena.len()
            + self.objects.len() * (size_of::<Object>() + 8)
            + self.edges.len() * size_of::<Edge>()
            + self.facts.len() * size_of::<FieldFact>()
            + self.links.len() * size_of::<BackLink>()
    }
}
