//! What `lock` answers.

use super::record::{Field, Record, Value, always, data, table};
use crate::kvstore::{LeaseId, Revision};

/// `lock NAME` without a command, once the lock is held.
pub struct LockAnswer<'a> {
    /// The lock key, absolute.
    pub key: &'a [u8],
    /// Its create revision, which only grows from holder to holder.
    pub revision: Revision,
    /// Both in one, as `--if-locked` takes it.
    pub token: &'a str,
    /// The lease that the key lives on.
    pub lease: LeaseId,
    /// That lease's TTL in seconds, as granted.
    pub ttl: u64,
    /// Whether others that share may hold it too.
    pub shared: bool,
}

impl Record for LockAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(self.key)));
        visit(always("revision", Value::Int(self.revision)));
        visit(data("token", Value::Str(self.token)));
        visit(data("lease", Value::lease(Some(self.lease))));
        visit(data("ttl", Value::Uint(self.ttl)));
        visit(data("shared", Value::Bool(self.shared)));
    }
}

/// `lock --list`: one contender.
pub struct LockRow<'a> {
    /// The lock's name.
    pub name: &'a [u8],
    /// Whether it holds the lock, or waits.
    pub held: bool,
    /// Its place in the queue, counted from 1.
    pub order: u64,
    /// Whether it shares.
    pub shared: bool,
    /// Its lease.
    pub lease: LeaseId,
    /// The seconds that lease has left; `None` where it is gone already.
    pub left: Option<i64>,
    /// The seconds that lease was granted.
    pub ttl: Option<i64>,
    /// The revision in which it queued up.
    pub create_revision: Revision,
    /// Its key.
    pub key: &'a [u8],
}

impl Record for LockRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("name", Value::Bytes(self.name)));
        visit(always("state", Value::Str(if self.held { "held" } else { "waiting" })));
        visit(always("order", Value::Uint(self.order)));
        visit(always("mode", Value::Str(if self.shared { "shared" } else { "exclusive" })));
        visit(data("shared", Value::Bool(self.shared)));
        visit(always("lease", Value::lease(Some(self.lease))));
        visit(always("left", Value::int(self.left)));
        visit(table("ttl", Value::int(self.ttl)));
        visit(table("create_revision", Value::Int(self.create_revision)));
        visit(data("key", Value::Bytes(self.key)));
    }
}
