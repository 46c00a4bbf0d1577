//! Consistency check of a metadata tree.

use std::collections::HashMap;

use super::mark::{Marking, RootReason};
use super::model::{Edge, Model, ObjectId, TreeProblem};
use super::schema::RootRule;

/// A finding. Objects are IDs of the model; keys include the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeFinding {
    /// The key does not match the schema.
    Unparsed(Vec<u8>),
    /// The key could belong to several objects.
    Ambiguous(Vec<u8>),
    /// The object lacks its anchor field.
    Unanchored(ObjectId),
    /// The referenced object does not exist. This is allowed, but rarely intended.
    Dangling(Edge),
    /// The referenced object does not exist in its scope, but in another one (the first found).
    CrossScope(Edge, ObjectId),
    /// The field names an object that does not exist or does not refer back.
    StaleLink {
        /// The object that has the field.
        holder: ObjectId,
        /// The object that the field names.
        target: ObjectId,
        /// The field's key.
        key: Vec<u8>,
    },
    /// The field's value is not a time in the schema's format.
    BadTime(ObjectId, Vec<u8>),
    /// A root that never expires, and the schema marks this as suspect.
    NoExpiry(ObjectId),
    /// The field, with this name in the key, refers to no possible object; with the index of its rule.
    BadReference(ObjectId, u16, Vec<u8>),
    /// The field is reserved, but no rule of the kind reads it.
    Unread(ObjectId, Vec<u8>),
}

impl TreeFinding {
    /// Whether the finding is a problem, not a note.
    pub fn is_problem(&self) -> bool {
        !matches!(self, Self::NoExpiry(_))
    }

    /// Name in the output.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unparsed(_) => "unparsed",
            Self::Ambiguous(_) => "ambiguous",
            Self::Unanchored(_) => "unanchored",
            Self::Dangling(_) => "dangling",
            Self::CrossScope(..) => "cross-scope",
            Self::StaleLink { .. } => "stale-link",
            Self::BadTime(..) => "bad-time",
            Self::NoExpiry(_) => "no-expiry",
            Self::BadReference(..) => "bad-reference",
            Self::Unread(..) => "unread",
        }
    }
}

/// Finds all problems, in a fixed order.
pub fn check(model: &Model, marking: &Marking) -> Vec<TreeFinding> {
    let mut found: Vec<TreeFinding> = model.problems().iter().map(of_oddity).collect();
    dangling(model, &mut found);
    stale_links(model, &mut found);
    for fact in model.all_facts().iter().filter(|fact| fact.is_bad_time()) {
        found.push(TreeFinding::BadTime(fact.object, model.fact_key(fact)));
    }
    let forever = |id: &ObjectId| match marking.root_reason(model, *id) {
        Some(RootReason::NoExpiry(at)) => {
            matches!(model.kind(*id).roots.get(at), Some(RootRule::Unexpired { suspect: true, .. }))
        }
        _ => false,
    };
    found.extend(model.objects().filter(forever).map(TreeFinding::NoExpiry));
    found
}

fn of_oddity(problem: &TreeProblem) -> TreeFinding {
    match problem.clone() {
        TreeProblem::Unparsed(key) => TreeFinding::Unparsed(key),
        TreeProblem::Ambiguous(key) => TreeFinding::Ambiguous(key),
        TreeProblem::Unanchored(id) => TreeFinding::Unanchored(id),
        TreeProblem::BadReference(id, rule, field) => TreeFinding::BadReference(id, rule, field),
        TreeProblem::Unread(id, field) => TreeFinding::Unread(id, field),
    }
}

/// The object that has the field of the reference, and the other object.
pub fn ends(model: &Model, edge: Edge) -> (ObjectId, ObjectId) {
    if model.rule(edge).back { (edge.to, edge.from) } else { (edge.from, edge.to) }
}

fn dangling(model: &Model, found: &mut Vec<TreeFinding>) {
    let missing = |edge: &Edge| ends(model, *edge).1;
    let plain = model.all_edges().iter().copied();
    let mut edges: Vec<Edge> = plain.chain(model.all_conditional()).collect();
    // A reference that no object can resolve is a finding of its own.
    edges.retain(|edge| !model.exists(missing(edge)) && !model.is_impossible(missing(edge)));
    if edges.is_empty() {
        return;
    }
    let mut named: HashMap<(u16, &[u8]), Option<ObjectId>> =
        edges.iter().map(|edge| ((model.kind_id(missing(edge)), model.identity(missing(edge))), None)).collect();
    for id in model.objects() {
        if let Some(place) = named.get_mut(&(model.kind_id(id), model.identity(id))) {
            place.get_or_insert(id);
        }
    }
    for edge in edges {
        let id = missing(&edge);
        match named.get(&(model.kind_id(id), model.identity(id))).copied().flatten() {
            Some(elsewhere) => found.push(TreeFinding::CrossScope(edge, elsewhere)),
            None => found.push(TreeFinding::Dangling(edge)),
        }
    }
}

fn stale_links(model: &Model, found: &mut Vec<TreeFinding>) {
    for link in model.all_links() {
        let refers_back = model.edges(link.target).iter().any(|edge| edge.to == link.holder);
        if !model.exists(link.target) || !refers_back {
            let key = model.link_key(link);
            found.push(TreeFinding::StaleLink { holder: link.holder, target: link.target, key });
        }
    }
}
