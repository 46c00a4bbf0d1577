//! An fsck: what is wrong with the tree, whether or not anything is to be collected.

use std::collections::HashMap;

use super::mark::{Marking, RootReason};
use super::model::{Edge, Model, ObjectId, TreeProblem};
use super::schema::RootRule;

/// One finding. Objects are the model's numbers, keys have the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeFinding {
    /// The key belongs to nothing the schema knows.
    Unparsed(Vec<u8>),
    /// The key could belong to several objects.
    Ambiguous(Vec<u8>),
    /// The object lacks its anchor field.
    Unanchored(ObjectId),
    /// The reference leads to an object that is not there. Legal, but seldom meant.
    Dangling(Edge),
    /// The same, where other scopes have such an object: the first of them. References never leave their scope.
    CrossScope(Edge, ObjectId),
    /// The field (a key) of an object names another that is not there, or does not refer back.
    StaleLink {
        /// Whose field.
        holder: ObjectId,
        /// Whom it names.
        target: ObjectId,
        /// The field's key.
        key: Vec<u8>,
    },
    /// The field holds no moment.
    BadTime(ObjectId, Vec<u8>),
    /// A root that will never expire, where the schema finds that suspect.
    NoExpiry(ObjectId),
    /// The reference names what no object can be called. The rule's place in the schema's edges.
    BadReference(ObjectId, u16),
    /// The field is reserved, but no rule reads it on this kind: a typing error?
    Unread(ObjectId, Vec<u8>),
}

impl TreeFinding {
    /// Whether it is a problem; else a note, such as a root without expiry.
    pub fn is_problem(&self) -> bool {
        !matches!(self, Self::NoExpiry(_))
    }

    /// What it is called in reports.
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

/// Looks for all_ids; in a fixed order.
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
        TreeProblem::BadReference(id, rule) => TreeFinding::BadReference(id, rule),
        TreeProblem::Unread(id, field) => TreeFinding::Unread(id, field),
    }
}

fn dangling(model: &Model, found: &mut Vec<TreeFinding>) {
    // A back reference to what is not there dangles as well: its source is the missing end.
    let missing = |edge: &Edge| if model.exists(edge.to) { edge.from } else { edge.to };
    let plain = model.all_edges().iter().copied();
    let mut edges: Vec<Edge> = plain.chain(model.all_conditional()).collect();
    edges.retain(|edge| !model.exists(edge.to) || !model.exists(edge.from));
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
