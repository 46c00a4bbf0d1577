//! A compiled schema: kinds, roots, edges and back links with their patterns.

use std::ops::Range;

use super::super::time_format::TimeFormat;
use super::document::Encoding;
use super::json::JsonRule;
use super::pattern::{Identity, IdentityPart, Pattern};
use super::template::Template;

/// Index of a kind in [`Schema::kinds`].
pub type KindId = u16;

/// A validated schema.
#[derive(Debug)]
pub struct Schema {
    /// The schema's name.
    pub name: String,
    /// A hash of its text, in hex: plans name it.
    pub hash: String,
    /// The scope's variables.
    pub scope: Vec<String>,
    /// Whether there may be roots that etcd does not know.
    pub outside_roots: bool,
    /// Keys that belong to no object.
    pub opaque: Vec<Template>,
    /// Field prefixes that only rules may use; `--check` reports other fields with them.
    pub reserved: Vec<Vec<u8>>,
    /// In the order of the sweep.
    pub kinds: Vec<Kind>,
    /// The edges of all kinds.
    pub edges: Vec<EdgeRule>,
}

/// Layout, roots and sweep options of one kind.
#[derive(Debug)]
pub struct Kind {
    /// The name.
    pub name: String,
    /// The object's key, below the prefix.
    pub key: Template,
    /// How its segments are written.
    pub encoding: Encoding,
    /// For each variable of the key, whether it belongs to the scope.
    pub scoped: Vec<bool>,
    /// The field every object has, decoded.
    pub anchor: Option<Vec<u8>>,
    /// Whether the object's own key holds a value.
    pub own_key: bool,
    /// The fields below it.
    pub fields: Vec<Template>,
    /// Whether objects may be removed.
    pub collect: bool,
    /// Whether all may be removed at once.
    pub may_empty: bool,
    /// Whether every object is a root.
    pub always_root: bool,
    /// The rules that make an object a root, unless `always_root`.
    pub roots: Vec<RootRule>,
    /// The field that makes an object's members flat.
    pub flat: Option<Pattern>,
    /// Time fields that conditional edges to this kind compare.
    pub moments: Vec<Moment>,
    /// Indexes of the kind's edges in [`Schema::edges`].
    pub edges: Range<usize>,
    /// Fields that name objects which refer back.
    pub links: Vec<Link>,
}

/// A rule that makes an object a root.
#[derive(Debug)]
pub enum RootRule {
    /// The field exists.
    Field {
        /// Which.
        pattern: Pattern,
        /// Whether an empty one counts.
        empty: bool,
        /// As it was written.
        text: String,
    },
    /// The field holds a time that has not passed.
    Unexpired {
        /// The field, decoded.
        field: Vec<u8>,
        /// How it is written.
        format: TimeFormat,
        /// Whether an object without it is a root.
        missing: bool,
        /// Whether `--check` reports such an object.
        suspect: bool,
        /// Whether an invalid time refuses the collection; otherwise the object is a root.
        strict: bool,
    },
    /// No field gives a reference by one of these edges.
    Unless {
        /// Indexes in [`Schema::edges`].
        edges: Vec<usize>,
        /// The field, as it was written.
        text: String,
    },
}

/// A field that holds a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The field.
    pub field: Pattern,
    /// How it is written.
    pub format: TimeFormat,
}

/// One rule by which objects refer to others.
#[derive(Debug)]
pub struct EdgeRule {
    /// The kind that declares the edge.
    pub declared_by: KindId,
    /// The other kind.
    pub other: KindId,
    /// Whether the edge is a back reference: `other` keeps this object.
    pub back: bool,
    /// Where it is read from.
    pub source: EdgeSource,
    /// The other's identity.
    pub identity: Identity,
    /// Whether the edge is followed from flat objects too (`flat: through`).
    pub through: bool,
    /// Whether the referenced object is kept flat if the referrer has its `flat` field.
    pub members: bool,
    /// What must hold for it.
    pub when: Option<When>,
    /// As it was written: the field or fields.
    pub text: String,
}

/// What an edge is read from.
#[derive(Debug)]
pub enum EdgeSource {
    /// Every field that the pattern finds.
    Field {
        /// The pattern.
        pattern: Pattern,
        /// What the value must look like.
        value: Option<ValueRule>,
    },
    /// Several fields together, decoded.
    Joined(Vec<Vec<u8>>),
}

/// What the value of a field must look like.
#[derive(Debug)]
pub enum ValueRule {
    /// A text with captures.
    Pattern(Pattern),
    /// A JSON document that contains references.
    Json(JsonRule),
}

/// A condition on the age of the object referred to.
#[derive(Debug)]
pub struct When {
    /// Which piece holds the conditions.
    pub conditions: IdentityPart,
    /// Their name.
    pub name: Vec<u8>,
    /// The number of the moment among the other kind's.
    pub moment: usize,
}

/// A field that names an object which refers back.
#[derive(Debug)]
pub struct Link {
    /// The field.
    pub pattern: Pattern,
    /// The kind it names.
    pub of: KindId,
    /// Its identity.
    pub identity: Identity,
    /// As it was written.
    pub text: String,
}

impl Schema {
    /// The kind.
    pub fn kind(&self, id: KindId) -> &Kind {
        &self.kinds[usize::from(id)]
    }

    /// The kind with this name.
    pub fn kind_named(&self, name: &str) -> Option<KindId> {
        self.kinds.iter().position(|kind| kind.name == name).and_then(|at| KindId::try_from(at).ok())
    }
}
