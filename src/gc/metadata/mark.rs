//! Marking: what the roots keep, at one moment. Pure; breadth first, so that the key_match back to a root is a shortest one.

use super::model::{Edge, FactKind, Model, ObjectId};
use super::schema::RootRule;
use super::time::Time;

/// No edge led there: it is a root, or was not reached.
const NONE: u32 = u32::MAX;

const REACHED: u8 = 1;
const REACHED_FLAT: u8 = 2;
const ROOT: u8 = 4;

/// Why an object is a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootReason {
    /// Every object of its kind is.
    Always,
    /// The rule with this number finds its field.
    Field(usize),
    /// The moment of the rule with this number is not over.
    Unexpired(usize, Time),
    /// It has no moment at which it would be over.
    NoExpiry(usize),
    /// Nobody can read the moment.
    BadTime(usize),
    /// It is named as a root from outside.
    Outside,
    /// Keys lie inside it that are not surely its own.
    ForeignKeys,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectVerdict {
    /// It is a root.
    Root(RootReason),
    /// A root keeps it.
    Held,
    /// Nothing keeps it, and it is an expired root: that moment is over.
    Expired(Time),
    /// Nothing keeps it.
    Unreachable,
    /// Nothing keeps it, but objects of its kind are not collected.
    NotCollected,
    /// It is only referred to.
    Absent,
}

impl ObjectVerdict {
    /// Whether it would go.
    pub fn is_garbage(self) -> bool {
        matches!(self, Self::Expired(_) | Self::Unreachable)
    }
}

/// What marking found.
#[derive(Debug)]
pub struct Marking {
    at: Time,
    state: Vec<u8>,
    via: Vec<u32>,
    via_flat: Vec<u32>,
    conditional: Vec<Edge>,
    outside: Vec<ObjectId>,
    roots: u32,
}

/// One step from a root to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// Where it leads.
    pub object: ObjectId,
    /// By which edge; `None` for the root itself.
    pub edge: Option<Edge>,
    /// Whether the object is kept flat: without what it refers to.
    pub flat: bool,
}

/// Marks what is kept at `now`. `outside` are roots that etcd does not know. A moment counts as over only where it is
/// over at `expired_before` as well, which is `now` less what clocks may differ.
pub fn mark(model: &Model, now: Time, expired_before: Time, outside: &[ObjectId]) -> Marking {
    let size = model.count() as usize;
    let mut outside = outside.to_vec();
    outside.sort_unstable();
    let mut marking = Marking {
        at: expired_before.min(now),
        state: vec![0; size],
        via: vec![NONE; size],
        via_flat: vec![NONE; size],
        conditional: model.conditional(now),
        outside,
        roots: 0,
    };
    let mut queue = Vec::new();
    for id in model.all_ids() {
        if marking.root_reason(model, id).is_some() {
            marking.state[id as usize] |= ROOT | REACHED;
            marking.roots += 1;
            queue.push((id, false));
        }
    }
    let mut at = 0;
    while let Some((id, flat)) = queue.get(at).copied() {
        at += 1;
        marking.follow(model, id, flat, |marking, number, edge, flat| {
            let place = edge.to as usize;
            let (bit, via) = if flat { (REACHED_FLAT, &mut marking.via_flat) } else { (REACHED, &mut marking.via) };
            if marking.state[place] & bit == 0 {
                marking.state[place] |= bit;
                via[place] = number;
                queue.push((edge.to, flat));
            }
        });
    }
    marking
}

impl Marking {
    /// Shows each edge that keeps something because this object is kept, flat or not, and whether it is kept flat.
    fn follow(&mut self, model: &Model, id: ObjectId, flat: bool, mut visit: impl FnMut(&mut Self, u32, Edge, bool)) {
        let members_flat = model.is_flat(id);
        let first = model.first_edge(id);
        for (edge, number) in model.edges(id).iter().zip(first..) {
            let rule = model.rule(*edge);
            if !flat || rule.through {
                visit(self, number, *edge, flat || (rule.members && members_flat));
            }
        }
        if !flat {
            let base = u32::try_from(model.all_edges().len()).unwrap_or(NONE);
            for at in self.conditional_of(id) {
                let edge = self.conditional[at];
                let rule = model.rule(edge);
                let number = u32::try_from(at).map_or(NONE, |at| base.saturating_add(at));
                visit(self, number, edge, rule.members && members_flat);
            }
        }
    }

    fn conditional_of(&self, id: ObjectId) -> std::ops::Range<usize> {
        let from = self.conditional.partition_point(|edge| edge.from < id);
        from..self.conditional.partition_point(|edge| edge.from <= id)
    }

    /// The edges whose condition holds.
    pub fn conditional(&self) -> &[Edge] {
        &self.conditional
    }

    /// The moment expiry was decided at.
    pub fn at(&self) -> Time {
        self.at
    }

    /// How many roots there are.
    pub fn roots(&self) -> u32 {
        self.roots
    }

    /// Why the object is a root, if it is one.
    pub fn root_reason(&self, model: &Model, id: ObjectId) -> Option<RootReason> {
        if self.outside.binary_search(&id).is_ok() {
            return Some(RootReason::Outside);
        }
        if !model.exists(id) {
            return None;
        }
        let kind = model.kind(id);
        if kind.always_root {
            return Some(RootReason::Always);
        }
        if let Some(rule) = model.root_field(id) {
            return Some(RootReason::Field(rule));
        }
        let by_time = kind.roots.iter().enumerate().find_map(|(at, rule)| self.unexpired(model, id, at, rule));
        by_time.or_else(|| model.has_foreign_keys(id).then_some(RootReason::ForeignKeys))
    }

    fn unexpired(&self, model: &Model, id: ObjectId, at: usize, rule: &RootRule) -> Option<RootReason> {
        let RootRule::Unexpired { missing, .. } = rule else { return None };
        match model.expiry(id, at) {
            None => missing.then_some(RootReason::NoExpiry(at)),
            Some(None) => Some(RootReason::BadTime(at)),
            Some(Some(time)) => (self.at <= time).then_some(RootReason::Unexpired(at, time)),
        }
    }

    /// Whether anything keeps it, flat or not.
    pub fn is_reached(&self, id: ObjectId) -> bool {
        self.state[id as usize] & (REACHED | REACHED_FLAT) != 0
    }

    /// Whether it is kept with all it refers to.
    pub fn is_reached_fully(&self, id: ObjectId) -> bool {
        self.state[id as usize] & REACHED != 0
    }

    /// Whether it is a root.
    pub fn is_root(&self, id: ObjectId) -> bool {
        self.state[id as usize] & ROOT != 0
    }

    /// Whether it would go.
    pub fn is_garbage(&self, model: &Model, id: ObjectId) -> bool {
        !self.is_reached(id) && model.exists(id) && model.kind(id).collect
    }

    /// What becomes of it, and why.
    pub fn verdict(&self, model: &Model, id: ObjectId) -> ObjectVerdict {
        if let Some(reason) = self.root_reason(model, id) {
            return ObjectVerdict::Root(reason);
        }
        if !model.exists(id) {
            return ObjectVerdict::Absent;
        }
        if self.is_reached(id) {
            return ObjectVerdict::Held;
        }
        if !model.kind(id).collect {
            return ObjectVerdict::NotCollected;
        }
        self.expired(model, id).map_or(ObjectVerdict::Unreachable, ObjectVerdict::Expired)
    }

    /// The moment at which an object that is no root stopped being one.
    pub fn expired(&self, model: &Model, id: ObjectId) -> Option<Time> {
        let moments = model.facts(id).iter().filter(|fact| matches!(fact.what, FactKind::Expiry(_)));
        moments.filter_map(|fact| fact.time).filter(|time| *time < self.at).max()
    }

    /// A shortest key_match from a root to the object; empty where nothing keeps it. Where it is kept both with what it
    /// refers to and flat, the former is told.
    pub fn path(&self, model: &Model, id: ObjectId) -> Vec<PathStep> {
        if !self.is_reached(id) {
            return Vec::new();
        }
        let (mut object, mut flat) = (id, !self.is_reached_fully(id));
        let mut steps = Vec::new();
        loop {
            let via = if flat { self.via_flat[object as usize] } else { self.via[object as usize] };
            let edge = (via != NONE).then(|| self.edge(model, via));
            steps.push(PathStep { object, edge, flat });
            let Some(edge) = edge else { break };
            // A flat object is kept by a flat one through such an edge; a member, by one that is kept fully.
            flat = flat && model.rule(edge).through;
            object = edge.from;
        }
        steps.reverse();
        steps
    }

    fn edge(&self, model: &Model, number: u32) -> Edge {
        let plain = model.all_edges();
        let at = number as usize;
        if at < plain.len() { plain[at] } else { self.conditional[at - plain.len()] }
    }

    /// Bad moments that must stop a collection: the objects that have them.
    pub fn blocking(&self, model: &Model) -> Vec<ObjectId> {
        let strict = |id: ObjectId, at: u8| {
            matches!(model.kind(id).roots.get(usize::from(at)), Some(RootRule::Unexpired { strict: true, .. }))
        };
        let bad = model.all_facts().iter().filter(|fact| match fact.what {
            FactKind::Expiry(at) => fact.time.is_none() && strict(fact.object, at),
            _ => false,
        });
        bad.map(|fact| fact.object).collect()
    }
}

/// What there is of one kind, and what becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindSummary {
    /// Objects.
    pub objects: u64,
    /// Their keys.
    pub keys: u64,
    /// The bytes of their keys and values.
    pub bytes: u64,
    /// Roots among them.
    pub roots: u64,
    /// Edges from them, conditional ones that hold included.
    pub edges: u64,
    /// Objects that are kept.
    pub reachable: u64,
    /// Objects that would go.
    pub garbage: u64,
    /// Their keys.
    pub garbage_keys: u64,
    /// And bytes.
    pub garbage_bytes: u64,
}

impl Marking {
    /// One summary a kind, in the schema's order.
    pub fn summary(&self, model: &Model) -> Vec<KindSummary> {
        let mut kinds = vec![KindSummary::default(); model.schema().kinds.len()];
        for id in model.all_ids() {
            let kind = &mut kinds[usize::from(model.kind_id(id))];
            kind.edges += (model.edges(id).len() + self.conditional_of(id).len()) as u64;
            if !model.exists(id) {
                continue;
            }
            kind.objects += 1;
            kind.keys += model.keys(id);
            kind.bytes += model.bytes(id);
            kind.roots += u64::from(self.is_root(id));
            kind.reachable += u64::from(self.is_reached(id));
            if self.is_garbage(model, id) {
                kind.garbage += 1;
                kind.garbage_keys += model.keys(id);
                kind.garbage_bytes += model.bytes(id);
            }
        }
        kinds
    }

    /// All that would go: by kind in the schema's order, scope, identity.
    pub fn garbage(&self, model: &Model) -> Vec<ObjectId> {
        let mut found: Vec<ObjectId> = model.all_ids().filter(|id| self.is_garbage(model, *id)).collect();
        found.sort_by(|a, b| model.order(*a).cmp(&model.order(*b)));
        found
    }

    /// The kinds of which nothing would be left although they are not said to become empty.
    pub fn emptied(&self, model: &Model) -> Vec<String> {
        let kinds = model.schema().kinds.iter().zip(self.summary(model));
        let emptied = kinds.filter(|(kind, sum)| !kind.may_empty && sum.garbage > 0 && sum.garbage == sum.objects);
        emptied.map(|(kind, _)| kind.name.clone()).collect()
    }
}
