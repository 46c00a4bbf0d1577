//! A compiled schema: kinds, roots, edges and back links with their patterns.

use std::ops::Range;

use super::super::time_format::TimeFormat;
use super::document::Encoding;
use super::pattern::{Identity, IdentityPart, Pattern};
use super::template::Template;

/// A kind's number: its place in the schema.
pub type KindId = u16;

/// A schema that was read and found sound.
#[derive(Debug)]
pub struct Schema {
    /// What it calls itself.
    pub name: String,
    /// A hash of its text, in hex: plans name it.
    pub hash: String,
    /// The scope's variables.
    pub scope: Vec<String>,
    /// Whether there may be roots that etcd does not know.
    pub outside_roots: bool,
    /// Keys that belong to no object.
    pub opaque: Vec<Template>,
    /// What fields begin with that must be some rule's.
    pub reserved: Vec<Vec<u8>>,
    /// In the order of the sweep.
    pub kinds: Vec<Kind>,
    /// The edges of all kinds.
    pub edges: Vec<EdgeRule>,
}

/// What objects of one kind look like and what is done with them.
#[derive(Debug)]
pub struct Kind {
    /// The name.
    pub name: String,
    /// The object's key, below the prefix.
    pub key: Template,
    /// How its segments are written.
    pub encoding: Encoding,
    /// Of the key's variables, in order: whether it is the scope's.
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
    /// Else what makes one.
    pub roots: Vec<RootRule>,
    /// The field that makes an object's members flat.
    pub flat: Option<Pattern>,
    /// Moments that conditions of edges to this kind look at.
    pub moments: Vec<Moment>,
    /// Its edges' places in [`Schema::edges`].
    pub edges: Range<usize>,
    /// Fields that name objects which refer back.
    pub links: Vec<Link>,
}

/// A rule that makes an object a root.
#[derive(Debug)]
pub enum RootRule {
    /// A field is there.
    Field {
        /// Which.
        pattern: Pattern,
        /// Whether an empty one counts.
        empty: bool,
        /// As it was written.
        text: String,
    },
    /// A moment is not over.
    Unexpired {
        /// The field, decoded.
        field: Vec<u8>,
        /// How it is written.
        format: TimeFormat,
        /// Whether an object without it is a root.
        missing: bool,
        /// And whether a check says so.
        suspect: bool,
        /// Whether a bad moment stops the collection; else the object is a root.
        strict: bool,
    },
}

/// A field with a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The field, decoded.
    pub field: Vec<u8>,
    /// How it is written.
    pub format: TimeFormat,
}

/// One rule by which objects refer to others.
#[derive(Debug)]
pub struct EdgeRule {
    /// The kind whose fields say so.
    pub declared_by: KindId,
    /// The other kind.
    pub other: KindId,
    /// Whether the other keeps this one.
    pub back: bool,
    /// Where it is read from.
    pub source: EdgeSource,
    /// The other's identity.
    pub identity: Identity,
    /// Whether flat objects have it too.
    pub through: bool,
    /// Whether it leads to flat objects where the kind's flat field is there.
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
        value: Option<Pattern>,
    },
    /// Several fields together, decoded.
    Joined(Vec<Vec<u8>>),
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
