//! Queries for decisions: conditions, facts, back links, key ranges of objects, and objects by key or identity.

use super::super::schema::KindId;
use super::keys::{self, KeyParts};
use super::{BackLink, ConditionalEdge, Edge, FactKind, FieldFact, Model, ObjectId, Span};
use crate::kvstore::KeyRange;
use crate::time::Time;

impl Model {
    /// The conditional edges whose condition holds at this time, in order.
    pub(in super::super) fn conditional(&self, at: Time) -> Vec<Edge> {
        let holds = |conditional: &&ConditionalEdge| self.holds(conditional, at);
        self.conditional.iter().filter(holds).map(|conditional| conditional.edge).collect()
    }

    fn holds(&self, conditional: &ConditionalEdge, at: Time) -> bool {
        let Some(when) = &self.rule(conditional.edge).when else { return true };
        let wanted = u8::try_from(when.moment).map(FactKind::Moment);
        let mut times = self.facts(conditional.edge.to).iter().filter(|fact| Ok(fact.what) == wanted);
        times.any(|fact| match fact.time {
            // The age is unknown: the edge counts.
            None => true,
            Some(time) => conditional.tests.iter().any(|test| {
                let age = at.nanos_since(time);
                if test.younger { age < test.nanos } else { age > test.nanos }
            }),
        })
    }

    /// The object's fields that decisions depend on.
    pub(in super::super) fn facts(&self, id: ObjectId) -> &[FieldFact] {
        let from = self.facts.partition_point(|fact| fact.object < id);
        let to = self.facts.partition_point(|fact| fact.object <= id);
        &self.facts[from..to]
    }

    pub(in super::super) fn all_facts(&self) -> &[FieldFact] {
        &self.facts
    }

    /// The fact's key, with the prefix.
    pub(in super::super) fn fact_key(&self, fact: &FieldFact) -> Vec<u8> {
        self.field_key(fact.object, fact.field)
    }

    /// Fields of other objects that name this one.
    pub(in super::super) fn links_to(&self, id: ObjectId) -> &[BackLink] {
        let from = self.links.partition_point(|link| link.target < id);
        let to = self.links.partition_point(|link| link.target <= id);
        &self.links[from..to]
    }

    pub(in super::super) fn all_links(&self) -> &[BackLink] {
        &self.links
    }

    /// The link's key, with the prefix.
    pub(in super::super) fn link_key(&self, link: &BackLink) -> Vec<u8> {
        self.field_key(link.holder, link.field)
    }

    fn field_key(&self, id: ObjectId, field: Span) -> Vec<u8> {
        let (key, field) = (self.arena.get(self.object(id).key), self.arena.get(field));
        let slash: &[u8] = if field.is_empty() { b"" } else { b"/" };
        [&self.prefix, key, slash, field].concat()
    }

    /// Ranges that contain exactly the object's keys: its own key, and the keys below it except those of other objects.
    pub(in super::super) fn ranges(&self, id: ObjectId) -> Vec<KeyRange> {
        let Some(key) = self.key(id) else { return Vec::new() };
        let kind = self.kind(id);
        let mut ranges = Vec::new();
        if kind.own_key {
            ranges.push(KeyRange::key(&key));
        }
        if kind.fields.is_empty() {
            return ranges;
        }
        let below = |key: &[u8]| KeyRange::prefix(&[key, b"/"].concat());
        let mut rest = below(&key);
        for inner in self.inside(id) {
            let Some(inner) = self.key(*inner) else { continue };
            // The inner object's own key is excluded too: the gap ends after the keys below it.
            let gap = below(&inner);
            if self.kind(id).own_key {
                ranges.push(KeyRange { start: rest.start.clone(), end: Some(inner.clone()) });
                ranges.push(KeyRange { start: KeyRange::key(&inner).end.unwrap_or_default(), end: Some(gap.start) });
            } else {
                ranges.push(KeyRange { start: rest.start.clone(), end: Some(gap.start) });
            }
            rest.start = gap.end.unwrap_or_default();
        }
        ranges.push(rest);
        ranges.retain(|range| !range.is_empty());
        ranges
    }

    /// The outermost objects inside this one, by key.
    fn inside(&self, id: ObjectId) -> impl Iterator<Item = &ObjectId> {
        let from = self.nested.partition_point(|(outer, _)| *outer < id);
        self.nested[from..].iter().take_while(move |(outer, _)| *outer == id).map(|(_, inner)| inner)
    }

    /// The object that the key belongs to; the key includes the prefix.
    pub fn find(&self, key: &[u8]) -> Option<ObjectId> {
        let below = key.strip_prefix(self.prefix.as_slice())?;
        let parts = KeyParts::new(below);
        let matches = parts.matches(&self.schema);
        let matches = if matches.is_empty() { parts.possible_objects(&self.schema) } else { matches };
        let known = matches.into_iter().filter_map(|key_match| self.lookup_match(&parts, key_match));
        // Objects that exist take precedence over others, longer identities over shorter ones.
        known.max_by_key(|id| (self.exists(*id), self.object(*id).identity.len()))
    }

    /// All known objects that the key may belong to, and whether the schema allows any.
    pub fn find_all(&self, key: &[u8]) -> (Vec<ObjectId>, bool) {
        let Some(below) = key.strip_prefix(self.prefix.as_slice()) else { return (Vec::new(), false) };
        let parts = KeyParts::new(below);
        let mut matches = parts.possible_objects(&self.schema);
        matches.retain(|key_match| parts.first(key_match.parts) == parts.key);
        matches.extend(parts.matches(&self.schema));
        let possible = !matches.is_empty();
        (matches.into_iter().filter_map(|key_match| self.lookup_match(&parts, key_match)).collect(), possible)
    }

    /// The object of this kind, scope and identity.
    pub fn find_named(&self, kind: KindId, scope: &[u8], identity: &[u8]) -> Option<ObjectId> {
        let scope = self.scopes.iter().position(|known| **known == *scope)?;
        self.lookup(kind, u32::try_from(scope).ok()?, identity)
    }

    pub(super) fn lookup(&self, kind: KindId, scope: u32, identity: &[u8]) -> Option<ObjectId> {
        self.table.find(self.table.hash((kind, scope, identity)), |id| {
            let object = self.object(id);
            object.kind == kind && object.scope == scope && self.arena.get(object.identity) == identity
        })
    }

    pub(super) fn lookup_match(&self, parts: &KeyParts<'_>, key_match: keys::KeyMatch) -> Option<ObjectId> {
        let kind = self.schema.kind(key_match.kind);
        let variables = parts.variables(kind, key_match);
        let (mut scope, mut identity) = (Vec::new(), Vec::new());
        keys::joined(&mut scope, kind, &variables, true);
        keys::joined(&mut identity, kind, &variables, false);
        self.find_named(key_match.kind, &scope, &identity)
    }
}
