//! Why an object is kept or would go, and who refers to it.

use super::mark::{Marking, ObjectVerdict, PathStep};
use super::model::{Edge, Model, ObjectId};

/// Somebody who refers to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Who and by which rule.
    pub edge: Edge,
    /// Whether it is kept itself, so that the reference counts.
    pub kept: bool,
    /// Whether it does not count because the referrer is kept flat, or because of its condition.
    pub idle: bool,
}

/// All there is to say about one object.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The object.
    pub object: ObjectId,
    /// What becomes of it.
    pub verdict: ObjectVerdict,
    /// A shortest key_match to it from a root, the root first; empty where nothing keeps it.
    pub path: Vec<PathStep>,
    /// Who refers to it, in order.
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
