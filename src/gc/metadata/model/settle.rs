//! Finishes the model: places deferred keys, and sorts everything.

use std::sync::Arc;

use super::super::schema::{Segment, Template};
use super::builder::{ModelBuilder, ModelError};
use super::keys::KeyParts;
use super::{ANCHORED, FOREIGN, MAYBE_ANCHORED, Model, ObjectId, TreeProblem};

/// Maximum number of problems that are kept for the report; the totals count all.
const MAX_REPORTED: usize = 10_000;

impl ModelBuilder {
    /// The model, after all keys were added.
    ///
    /// # Errors
    /// See [`ModelBuilder::push`].
    pub fn finish(mut self) -> Result<Model, ModelError> {
        self.place_pending()?;
        self.find_unanchored();
        self.find_foreign();
        self.joins.clear();
        let mut model = self.model;
        model.nest();
        model.edges.sort_unstable();
        model.edges.dedup();
        model.edges.shrink_to_fit();
        model.starts = starts(&model);
        model.conditional.sort_by_key(|conditional| conditional.edge);
        model.facts.sort_by_key(|fact| (fact.object, fact.what));
        model.links.sort_by_key(|link| (link.target, link.holder));
        Ok(model)
    }

    pub(super) fn report(&mut self, problem: TreeProblem) {
        if self.model.problems.len() < MAX_REPORTED {
            self.model.problems.push(problem);
        }
    }

    /// A key that could belong to several objects belongs to the one whose anchor exists, if there is exactly one.
    fn place_pending(&mut self) -> Result<(), ModelError> {
        let schema = Arc::clone(&self.model.schema);
        let prefix = self.model.prefix.len();
        for kv in std::mem::take(&mut self.pending) {
            let parts = KeyParts::new(&kv.key[prefix..]);
            let mut matches = parts.matches(&schema);
            matches.retain(|key_match| {
                let known = self.model.lookup_match(&parts, *key_match);
                known.is_some_and(|id| self.model.object(id).flags & (ANCHORED | MAYBE_ANCHORED) != 0)
            });
            match matches.as_slice() {
                [key_match] => self.place(&parts, *key_match, &kv)?,
                [] => self.unparsed(TreeProblem::Unparsed(kv.key.clone()))?,
                _ => self.unparsed(TreeProblem::Ambiguous(kv.key.clone()))?,
            }
        }
        Ok(())
    }

    /// Marks objects without their anchor: their keys count as unparsed and are not removed.
    fn find_unanchored(&mut self) {
        for id in 0..self.model.count() {
            let object = self.model.object(id);
            if object.keys > 0 && object.flags & ANCHORED == 0 && self.model.kind(id).anchor.is_some() {
                self.model.totals.unparsed += u64::from(object.keys);
                self.model.objects[id as usize].flags |= FOREIGN;
                self.report(TreeProblem::Unanchored(id));
            }
        }
    }

    /// Marks objects that contain keys which are not, or may not be, their own.
    fn find_foreign(&mut self) {
        let schema = Arc::clone(&self.model.schema);
        let mut unknown = std::mem::take(&mut self.model.problems);
        let prefix = self.model.prefix.len();
        for problem in &unknown {
            let (TreeProblem::Unparsed(key) | TreeProblem::Ambiguous(key)) = problem else { continue };
            let parts = KeyParts::new(&key[prefix..]);
            for key_match in parts.possible_objects(&schema) {
                if let Some(id) = self.model.lookup_match(&parts, key_match) {
                    self.model.objects[id as usize].flags |= FOREIGN;
                }
            }
        }
        unknown.append(&mut self.model.problems);
        self.model.problems = unknown;
    }
}

/// Index of each object's first edge.
fn starts(model: &Model) -> Vec<u32> {
    let mut starts = Vec::with_capacity(model.objects.len() + 1);
    let mut at = 0_u32;
    for id in 0..model.count() {
        starts.push(at);
        while model.edges.get(at as usize).is_some_and(|edge| edge.from == id) {
            at += 1;
        }
    }
    starts.push(at);
    starts
}

impl Model {
    /// Finds the objects that lie inside another one.
    fn nest(&mut self) {
        let may_nest = |id: &ObjectId| self.exists(*id) && self.kind(*id).key.many().is_some();
        let mut ids: Vec<ObjectId> = (0..self.count()).filter(may_nest).collect();
        let key = |id: ObjectId| self.arena.get(self.object(id).key);
        // With a slash appended, a key sorts directly before all keys inside it.
        ids.sort_unstable_by(|a, b| key(*a).iter().chain(b"/").cmp(key(*b).iter().chain(b"/")));
        let mut nested = Vec::new();
        let mut foreign = Vec::new();
        let mut enclosing: Vec<ObjectId> = Vec::new();
        for id in ids {
            let inner = key(id);
            let holds = |outer: &ObjectId| {
                let outer = key(*outer);
                inner.len() > outer.len() && inner[outer.len()] == b'/' && inner.starts_with(outer)
            };
            while enclosing.last().is_some_and(|outer| !holds(outer)) {
                enclosing.pop();
            }
            if let Some(outer) = enclosing.last() {
                nested.push((*outer, id));
            }
            let overlaps = |outer: &&ObjectId| self.field_may_lie_in(**outer, inner);
            foreign.extend(enclosing.iter().filter(overlaps).flat_map(|outer| [*outer, id]));
            enclosing.push(id);
        }
        for id in foreign {
            self.objects[id as usize].flags |= FOREIGN;
        }
        nested.sort_by_key(|(outer, _)| *outer);
        self.nested = nested;
    }

    /// Whether a field of the outer object could lie inside the inner one, which has this key.
    fn field_may_lie_in(&self, outer: ObjectId, inner: &[u8]) -> bool {
        let kind = self.kind(outer);
        let rest = &inner[self.object(outer).key.len() + 1..];
        let words = rest.split(|byte| *byte == b'/').map(|part| Segment::Literal(part.to_vec()));
        let inside = Template(words.chain([Segment::Many(String::new())]).collect());
        kind.fields.iter().any(|field| field.meets(&inside))
    }
}
