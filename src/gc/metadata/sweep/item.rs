//! An object to remove, and what became of it.

use std::ops::Range;

use super::super::model::ObjectId;

/// Result of the sweep for one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepVerdict {
    /// Not tried yet.
    Waiting,
    /// Removed.
    Removed,
    /// Kept: the object, or a fact that made it garbage, has changed since it was read.
    Changed,
    /// Another client removed it.
    Gone,
    /// Kept: an object that was kept referred to it.
    HeldBack,
    /// Kept: its removal depends on more facts, or surrounds more objects, than one transaction can compare.
    Entangled,
    /// The removal failed.
    Failed,
}

/// An object to remove.
#[derive(Clone, Debug)]
pub(super) struct SweepItem {
    pub(super) id: ObjectId,
    pub(super) verdict: SweepVerdict,
    /// Whether it is an expired root: these are removed first.
    pub(super) expired: bool,
    /// The facts that its removal depends on: a range of [`Sweep::facts`].
    pub(super) facts: Range<u32>,
}
