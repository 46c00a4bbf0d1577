//! Builds the model from a stream of keys: each key once, in any order. Values are read and dropped.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;

use super::super::schema::{Encoding, KindId, Schema};
use super::field::ObjectField;
use super::keys::{self, KeyMatch, KeyParts};
use super::{
    ANCHORED, Arena, BackLink, ConditionalEdge, Edge, FOREIGN, FieldFact, MAYBE_ANCHORED, Model, Object, ObjectId,
    Span, Table, Totals, TreeProblem,
};
use crate::kvstore::{KeyValue, Revision};

/// Number of keys that do not match, or are deferred, from which on the schema must be the wrong one.
const MAX_UNKNOWN: usize = 100_000;

/// Why a tree cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ModelError {
    /// A key is outside the prefix.
    #[error("etcd returned a key outside the prefix")]
    Outside,
    /// Too many keys do not match the schema.
    #[error("more than {MAX_UNKNOWN} keys do not match the schema: check the schema and the prefix")]
    TooManyUnknown,
    /// There are more than four billion objects or bytes of names.
    #[error("the tree is too large to be held in memory")]
    TooLarge,
}

/// Builds a [`Model`].
pub struct ModelBuilder {
    pub(super) model: Model,
    /// Keys that could belong to several objects, until all anchors are known.
    pub(super) pending: Vec<KeyValue>,
    /// Fields joined by an edge, by object and rule, until all of them are known.
    pub(super) joins: HashMap<(ObjectId, u16), JoinedFields>,
    pub(super) scopes: HashMap<Box<[u8]>, u32>,
    scope: Vec<u8>,
    pub(super) identity: Vec<u8>,
}

/// The joined fields known so far.
pub(super) type JoinedFields = Vec<Option<Box<[u8]>>>;

impl ModelBuilder {
    /// A model of the keys below `prefix`, read at `revision`.
    pub fn new(schema: Arc<Schema>, prefix: &[u8], revision: Revision) -> Self {
        let outside: Box<[u8]> = Box::default();
        let unresolved = vec![0; schema.kinds.len()];
        Self {
            model: Model {
                schema,
                prefix: prefix.to_vec(),
                revision,
                arena: Arena::default(),
                scopes: vec![outside.clone()],
                objects: Vec::new(),
                table: Table::default(),
                edges: Vec::new(),
                starts: Vec::new(),
                conditional: Vec::<ConditionalEdge>::new(),
                facts: Vec::<FieldFact>::new(),
                links: Vec::<BackLink>::new(),
                nested: Vec::new(),
                problems: Vec::new(),
                unresolved,
                totals: Totals::default(),
            },
            pending: Vec::new(),
            joins: HashMap::new(),
            scopes: HashMap::from([(outside, 0)]),
            scope: Vec::new(),
            identity: Vec::new(),
        }
    }

    /// Sets the revision at which the keys are read, once it is known.
    pub fn set_revision(&mut self, revision: Revision) {
        self.model.revision = revision;
    }

    /// Totals so far.
    pub fn totals(&self) -> Totals {
        self.model.totals
    }

    /// Adds a key.
    ///
    /// # Errors
    /// The key is outside the prefix, too many keys do not match the schema, or there is no room.
    pub fn push(&mut self, kv: &KeyValue) -> Result<(), ModelError> {
        let schema = Arc::clone(&self.model.schema);
        let below = kv.key.strip_prefix(self.model.prefix.as_slice()).ok_or(ModelError::Outside)?;
        self.model.totals.keys += 1;
        self.model.totals.bytes += kv.size() as u64;
        let parts = KeyParts::new(below);
        match parts.matches(&schema).as_slice() {
            [key_match] => self.place(&parts, *key_match, kv),
            [] if schema.is_opaque(parts.key) => {
                self.model.totals.opaque += 1;
                Ok(())
            }
            [] => self.unparsed(TreeProblem::Unparsed(kv.key.clone())),
            matches => self.defer(&parts, matches, kv),
        }
    }

    pub(super) fn unparsed(&mut self, problem: TreeProblem) -> Result<(), ModelError> {
        match problem {
            TreeProblem::Ambiguous(_) => self.model.totals.ambiguous += 1,
            _ => self.model.totals.unparsed += 1,
        }
        self.model.problems.push(problem);
        self.check_unknown_limit()
    }

    fn check_unknown_limit(&self) -> Result<(), ModelError> {
        let unknown = self.model.totals.unparsed + self.model.totals.ambiguous + self.pending.len() as u64;
        if unknown > MAX_UNKNOWN as u64 { Err(ModelError::TooManyUnknown) } else { Ok(()) }
    }

    /// Defers a key that could belong to several objects.
    fn defer(&mut self, parts: &KeyParts<'_>, matches: &[KeyMatch], kv: &KeyValue) -> Result<(), ModelError> {
        let schema = Arc::clone(&self.model.schema);
        for key_match in matches {
            let kind = schema.kind(key_match.kind);
            if kind.anchor.as_deref() == Some(parts.field(kind, *key_match).as_ref()) {
                let id = self.object_for(parts, *key_match)?;
                self.model.objects[id as usize].flags |= MAYBE_ANCHORED;
            }
        }
        self.pending.push(kv.clone());
        self.check_unknown_limit()
    }

    /// Adds the key to its object and reads the field.
    pub(super) fn place(&mut self, parts: &KeyParts<'_>, key_match: KeyMatch, kv: &KeyValue) -> Result<(), ModelError> {
        let schema = Arc::clone(&self.model.schema);
        let kind = schema.kind(key_match.kind);
        let id = self.object_for(parts, key_match)?;
        let key = parts.first(key_match.parts);
        if !self.model.exists(id) {
            self.keep_key(id, key)?;
        } else if self.model.arena.get(self.model.object(id).key) != key {
            // The same name in another encoding: two sets of keys for one object.
            self.model.objects[id as usize].flags |= FOREIGN;
            return self.unparsed(TreeProblem::Ambiguous(kv.key.clone()));
        }
        let field = parts.field(kind, key_match);
        let object = &mut self.model.objects[id as usize];
        object.keys = object.keys.saturating_add(1);
        object.bytes += kv.size() as u64;
        object.newest = object.newest.max(kv.mod_revision);
        if kind.anchor.as_deref() == Some(field.as_ref()) {
            object.flags |= ANCHORED;
        }
        let variables = parts.variables(kind, key_match);
        self.read_field(&ObjectField {
            id,
            kind,
            variables: &variables,
            name: &field,
            raw: parts.behind(key_match.parts),
            masked: match kind.encoding {
                Encoding::Raw => None,
                Encoding::Percent => keys::without_encoded_slashes(parts.behind(key_match.parts)),
            },
            kv,
            json: OnceCell::new(),
        })
    }

    /// Stores the object's key; its identity is usually the end of the key.
    fn keep_key(&mut self, id: ObjectId, key: &[u8]) -> Result<(), ModelError> {
        let span = self.keep(key)?;
        let identity = self.model.object(id).identity;
        let length = identity.len();
        if key.ends_with(self.model.arena.get(identity)) {
            self.model.objects[id as usize].identity = span.tail(length);
        }
        self.model.objects[id as usize].key = span;
        Ok(())
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) -> Result<Span, ModelError> {
        self.model.arena.keep(bytes).ok_or(ModelError::TooLarge)
    }

    /// The object that the key belongs to by this match; a new one if it is unknown.
    fn object_for(&mut self, parts: &KeyParts<'_>, key_match: KeyMatch) -> Result<ObjectId, ModelError> {
        let schema = Arc::clone(&self.model.schema);
        let kind = schema.kind(key_match.kind);
        let variables = parts.variables(kind, key_match);
        let mut scope = std::mem::take(&mut self.scope);
        keys::joined(&mut scope, kind, &variables, true);
        let scoped = kind.scoped.contains(&true);
        let scope_id = if scoped { self.scope_id(&scope) } else { Ok(0) };
        self.scope = scope;
        keys::joined(&mut self.identity, kind, &variables, false);
        let scope_id = scope_id?;
        self.intern(key_match.kind, scope_id)
    }

    fn scope_id(&mut self, scope: &[u8]) -> Result<u32, ModelError> {
        if let Some(id) = self.scopes.get(scope) {
            return Ok(*id);
        }
        let id = u32::try_from(self.model.scopes.len()).map_err(|_| ModelError::TooLarge)?;
        self.model.scopes.push(scope.into());
        self.scopes.insert(scope.into(), id);
        Ok(id)
    }

    /// The object with the identity in the buffer; a new one if it is unknown.
    pub(super) fn intern(&mut self, kind: KindId, scope: u32) -> Result<ObjectId, ModelError> {
        if let Some(known) = self.model.lookup(kind, scope, &self.identity) {
            return Ok(known);
        }
        let id = u32::try_from(self.model.objects.len()).ok().filter(|id| *id < u32::MAX - 1);
        let id = id.ok_or(ModelError::TooLarge)?;
        let identity = self.model.arena.keep(&self.identity).ok_or(ModelError::TooLarge)?;
        let object =
            Object { identity, key: Span::default(), newest: 0, bytes: 0, keys: 0, scope, kind, root: 0, flags: 0 };
        self.model.objects.push(object);
        let Model { table, objects, arena, .. } = &mut self.model;
        let hash = table.hash((kind, scope, &self.identity));
        table.insert(hash, id, |table, id| {
            let object = &objects[id as usize];
            table.hash((object.kind, object.scope, arena.get(object.identity)))
        });
        Ok(id)
    }

    pub(super) fn add_edge(&mut self, edge: Edge) {
        self.model.edges.push(edge);
    }
}
