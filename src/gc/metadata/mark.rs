//! Marks what the roots keep at one time. Pure. The search is breadth first, so that paths from roots are shortest.

use super::model::{Edge, FactKind, Model, ObjectId};
use super::schema::RootRule;
use crate::time::Time;

/// No edge: the object is a root or was not reached.
const NONE: u32 = u32::MAX;

const REACHED: u8 = 1;
const REACHED_FLAT: u8 = 2;
const ROOT: u8 = 4;

/// Why an object is a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootReason {
    /// Every object of its kind is a root.
    Always,
    /// The field of the rule with this index exists.
    Field(usize),
    /// The time of the rule with this index has not passed.
    Unexpired(usize, Time),
    /// The field of the rule with this index is missing.
    NoExpiry(usize),
    /// The time of the rule with this index is not valid.
    BadTime(usize),
    /// No field names an owner, by the rule with this index.
    NoOwner(usize),
    /// It is listed as an outside root.
    Outside,
    /// It contains keys that may not be its own.
    ForeignKeys,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectVerdict {
    /// It is a root.
    Root(RootReason),
    /// It is reachable from a root.
    Held,
    /// It is not reachable, and was a root until this time.
    Expired(Time),
    /// It is not reachable.
    Unreachable,
    /// It is not reachable, but objects of its kind are not collected.
    NotCollected,
    /// It does not exist and is only referred to.
    Absent,
}

impl ObjectVerdict {
    /// Whether the object is garbage.
    pub fn is_garbage(self) -> bool {
        matches!(self, Self::Expired(_) | Self::Unreachable)
    }
}

/// The result of marking.
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

/// A step on the path from a root to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The object that the step leads to.
    pub object: ObjectId,
    /// The edge of the step; `None` for the root.
    pub edge: Option<Edge>,
    /// Whether the object is kept flat, that is, without what it refers to.
    pub flat: bool,
}

/// Marks what is kept at `now`. `outside` are roots that etcd does not know. A time counts as passed only if it has
/// passed at `expired_before` too, which is `now` minus the possible difference of clocks.
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
    /// Visits the edges that count because this object is kept (flat or not), and whether they keep their target flat.
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

    /// The conditional edges whose condition holds.
    pub fn conditional(&self) -> &[Edge] {
        &self.conditional
    }

    /// The time at which expiry was evaluated.
    pub fn at(&self) -> Time {
        self.at
    }

    /// Number of roots.
    pub fn roots(&self) -> u32 {
        self.roots
    }

    /// Why the object is a root; `None` if it is not.
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
        let by_rule = kind.roots.iter().enumerate().find_map(|(at, rule)| self.by_rule(model, id, at, rule));
        by_rule.or_else(|| model.has_foreign_keys(id).then_some(RootReason::ForeignKeys))
    }

    fn by_rule(&self, model: &Model, id: ObjectId, at: usize, rule: &RootRule) -> Option<RootReason> {
        let missing = match rule {
            RootRule::Unexpired { missing, .. } => missing,
            RootRule::Unless { .. } => return (!model.is_owned(id, at)).then_some(RootReason::NoOwner(at)),
            RootRule::Field { .. } => return None,
        };
        match model.expiry(id, at) {
            None => missing.then_some(RootReason::NoExpiry(at)),
            Some(None) => Some(RootReason::BadTime(at)),
            Some(Some(time)) => (self.at <= time).then_some(RootReason::Unexpired(at, time)),
        }
    }

    /// Whether the object is reachable, flat or not.
    pub fn is_reached(&self, id: ObjectId) -> bool {
        self.state[id as usize] & (REACHED | REACHED_FLAT) != 0
    }

    /// Whether the object is kept with all it refers to.
    pub fn is_reached_fully(&self, id: ObjectId) -> bool {
        self.state[id as usize] & REACHED != 0
    }

    /// Whether the object is a root.
    pub fn is_root(&self, id: ObjectId) -> bool {
        self.state[id as usize] & ROOT != 0
    }

    /// Whether the object is garbage.
    pub fn is_garbage(&self, model: &Model, id: ObjectId) -> bool {
        !self.is_reached(id) && model.exists(id) && model.kind(id).collect
    }

    /// The object's verdict.
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

    /// The time at which the object stopped being a root.
    pub fn expired(&self, model: &Model, id: ObjectId) -> Option<Time> {
        let moments = model.facts(id).iter().filter(|fact| matches!(fact.what, FactKind::Expiry(_)));
        moments.filter_map(|fact| fact.time).filter(|time| *time < self.at).max()
    }

    /// A shortest path from a root to the object; empty if it is not reachable. A path that keeps the object with all
    /// it refers to is preferred to a flat one.
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
            // A flat object is kept by another flat one through such an edge, a member by an object that is kept fully.
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

    /// Keys of the fields that hold no valid time and must stop a collection, with the prefix.
    pub fn blocking(&self, model: &Model) -> Vec<Vec<u8>> {
        let strict = |id: ObjectId, at: u8| {
            matches!(model.kind(id).roots.get(usize::from(at)), Some(RootRule::Unexpired { strict: true, .. }))
        };
        let bad = model.all_facts().iter().filter(|fact| match fact.what {
            FactKind::Expiry(at) => fact.time.is_none() && strict(fact.object, at),
            _ => false,
        });
        bad.map(|fact| model.fact_key(fact)).collect()
    }
}

/// Totals of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindSummary {
    /// Objects.
    pub objects: u64,
    /// Keys of the objects.
    pub keys: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Objects that are roots.
    pub roots: u64,
    /// Edges from the objects, including conditional ones that hold.
    pub edges: u64,
    /// Reachable objects.
    pub reachable: u64,
    /// Objects that are garbage.
    pub garbage: u64,
    /// Keys of the garbage.
    pub garbage_keys: u64,
    /// Bytes of the garbage.
    pub garbage_bytes: u64,
}

impl Marking {
    /// Totals per kind, in the schema's order.
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

    /// All garbage, sorted by kind in the schema's order, scope and identity.
    pub fn garbage(&self, model: &Model) -> Vec<ObjectId> {
        let mut found: Vec<ObjectId> = model.all_ids().filter(|id| self.is_garbage(model, *id)).collect();
        found.sort_by(|a, b| model.order(*a).cmp(&model.order(*b)));
        found
    }

    /// Kinds that would become empty although the schema does not allow it.
    pub fn emptied(&self, model: &Model) -> Vec<String> {
        let kinds = model.schema().kinds.iter().zip(self.summary(model));
        let emptied = kinds.filter(|(kind, sum)| !kind.may_empty && sum.garbage > 0 && sum.garbage == sum.objects);
        emptied.map(|(kind, _)| kind.name.clone()).collect()
    }
}
