//! Records of `lease`.

use super::{Borrowed, Field, Record, Report, Value, always, data};
use crate::kvstore::{Grant, LeaseWithKeys};

/// One lease.
pub struct LeaseRow {
    /// The lease's ID and TTLs.
    pub grant: Grant,
    /// Number of keys attached to it; `None` if not requested.
    pub keys: Option<u64>,
    /// Number of keys outside the namespace; they are not among `keys`.
    pub outside: u64,
    /// Whether the lease would only be revoked.
    pub dry_run: bool,
}

impl LeaseRow {
    /// A lease whose keys were not requested.
    pub fn of(grant: Grant) -> Self {
        Self { grant, keys: None, outside: 0, dry_run: false }
    }

    /// A lease with the number of its keys.
    pub fn counted(lease: &LeaseWithKeys) -> Self {
        Self { grant: lease.grant, keys: Some(lease.keys.len() as u64), outside: lease.foreign, dry_run: false }
    }
}

impl Record for LeaseRow {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("lease", Value::lease(Some(self.grant.id))));
        visit(always("ttl", Value::Int(self.grant.ttl)));
        visit(always("left", Value::Int(self.grant.left)));
        visit(always("keys", Value::uint(self.keys)));
        visit(data("outside", Value::uint((self.outside > 0).then_some(self.outside))));
        visit(data("dry_run", if self.dry_run { Value::Bool(true) } else { Value::Absent }));
    }
}

/// `lease show`.
pub struct LeaseKeys<'a> {
    /// The lease's ID and TTLs.
    pub grant: Grant,
    /// The keys attached to it.
    pub keys: Vec<KeyNameRow<'a>>,
    /// Number of keys outside the namespace.
    pub outside: u64,
}

/// A key's name.
pub struct KeyNameRow<'a>(pub &'a [u8]);

impl Record for KeyNameRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(self.0)));
    }
}

impl Record for LeaseKeys<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("lease", Value::lease(Some(self.grant.id))));
        visit(always("ttl", Value::Int(self.grant.ttl)));
        visit(always("left", Value::Int(self.grant.left)));
        visit(always("keys", Value::Uint(self.keys.len() as u64)));
        visit(always("attached", Value::records(self.keys.iter())));
        visit(data("outside", Value::uint((self.outside > 0).then_some(self.outside))));
    }
}

impl Report for LeaseKeys<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        Borrowed::all(&self.keys).collect()
    }
}
