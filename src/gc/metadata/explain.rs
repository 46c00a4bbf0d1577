//! Explains why an object is kept or would be removed, and what refers to it.

use super::mark::{Marking, ObjectVerdict, PathStep};
use super::model::{Edge, Model, ObjectId};

/// An object that refers to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The edge: the object and the rule.
    pub edge: Edge,
    /// Whether the object is kept, so that its reference counts.
    pub kept: bool,
    /// Whether the reference does not count, because the object is kept flat or the edge's condition fails.
    pub idle: bool,
}

/// Explanation of an object.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The object.
    pub object: ObjectId,
    /// Its verdict.
    pub verdict: ObjectVerdict,
    /// A shortest path from a root, the root first; empty if the object is not reachable.
    pub path: Vec<PathStep>,
    /// The objects that refer to it, in order.
    pub referrers: Vec<Referrer>,
}

/// Explains an object.
pub fn explain(model: &Model, marking: &Marking, object: ObjectId) -> Explanation {
    let plain = model.all_edges().iter().copied().filter(|edge| edge.to == object);
    let tied = model.all_conditional().filter(|edge| edge.to == object);
    let mut referrers: Vec<Referrer> = plain.chain(tied).map(|edge| referrer(model, marking, edge)).collect();
    referrers.sort_by_key(|referrer| (!referrer.kept, referrer.edge));
    Explanation { object, verdict: marking.verdict(model, object), path: marking.path(model, object), referrers }
}

fn referrer(model: &Model, marking: &Marking, edge: Edge) -> Referrer {
    let rule = model.rule(edge);
    let kept = marking.is_reached(edge.from);
    let condition_fails = rule.when.is_some() && marking.conditional().binary_search(&edge).is_err();
    let flat_only = kept && !marking.is_reached_fully(edge.from) && !rule.through;
    Referrer { edge, kept, idle: condition_fails || flat_only }
}
