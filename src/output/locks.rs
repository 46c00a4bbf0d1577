//! Records of `lock`.

use super::record::{Field, Record, Tone, Value, always, data, table};
use crate::kvstore::{KeyValue, LeaseId, LockOwner, Proposal, Revision};

/// `lock NAME` without a command, once the lock is held.
pub struct LockAnswer<'a> {
    /// The absolute lock key.
    pub key: &'a [u8],
    /// The key's create revision, a fencing token: each later holder has a higher one.
    pub revision: Revision,
    /// Key and revision in the form that `--if-locked` accepts.
    pub token: &'a str,
    /// The lease of the lock key.
    pub lease: LeaseId,
    /// The granted TTL of the lease in seconds.
    pub ttl: u64,
    /// Whether the lock is shared.
    pub shared: bool,
    /// The proposal, with `--value`.
    pub value: Option<&'a [u8]>,
}

impl Record for LockAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(self.key)));
        visit(always("revision", Value::Int(self.revision)));
        visit(data("token", Value::Str(self.token)));
        visit(data("lease", Value::lease(Some(self.lease))));
        visit(data("ttl", Value::Uint(self.ttl)));
        visit(data("shared", Value::Bool(self.shared)));
        if self.value.is_some() {
            visit(data("value", Value::bytes(self.value)));
        }
    }
}

/// `lock --observe`: who leads.
pub enum LeaderRow<'a> {
    /// The leader, the absolute key, whether it has written its key again, and the revision since which this holds.
    Leader {
        /// The leader's record.
        kv: &'a KeyValue,
        /// Its key, absolute.
        key: &'a [u8],
        /// Whether it led before, with another value.
        proclaimed: bool,
        /// The revision since which this holds, or at which it was read.
        revision: Revision,
    },
    /// Nobody leads since this revision, or at it.
    Vacant(Revision),
}

impl Record for LeaderRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        match self {
            Self::Leader { kv, key, proclaimed, revision } => {
                let (word, tone) = if *proclaimed { ("proclaimed", Tone::Warning) } else { ("leader", Tone::Good) };
                visit(always("event", Value::Word(word, tone)));
                visit(always("key", Value::Bytes(key)));
                visit(always("value", Value::Bytes(&kv.value)));
                visit(data("create_revision", Value::Int(kv.create_revision)));
                visit(data("mod_revision", Value::Int(kv.mod_revision)));
                visit(data("lease", Value::lease(kv.lease)));
                visit(data("revision", Value::Int(*revision)));
            }
            Self::Vacant(revision) => {
                visit(always("event", Value::Word("no-leader", Tone::Bad)));
                visit(data("revision", Value::Int(*revision)));
            }
        }
    }
}

/// `lock --list`: a holder or a waiter.
pub struct LockRow<'a> {
    /// The lock's name.
    pub name: &'a [u8],
    /// Whether it holds the lock.
    pub held: bool,
    /// The position in the queue, counted from 1.
    pub order: u64,
    /// Whether the lock is shared.
    pub shared: bool,
    /// The lease of its key.
    pub lease: LeaseId,
    /// The remaining TTL of the lease in seconds; `None` if the lease is gone.
    pub left: Option<i64>,
    /// The granted TTL of the lease in seconds.
    pub ttl: Option<i64>,
    /// The revision at which it joined the queue.
    pub create_revision: Revision,
    /// The lock key, absolute.
    pub key: &'a [u8],
    /// The owner that the key names.
    pub owner: Option<&'a LockOwner>,
    /// When the owner joined the queue, by its own clock.
    pub since: Option<String>,
    /// The owner in one text.
    pub shown_owner: Option<String>,
    /// The proposal of a candidate in an election.
    pub proposal: Option<&'a Proposal>,
}

impl Record for LockRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("name", Value::Bytes(self.name)));
        let state = if self.held { Value::Word("held", Tone::Good) } else { Value::Word("waiting", Tone::Warning) };
        visit(always("state", state));
        visit(always("order", Value::Uint(self.order)));
        visit(always("mode", Value::Str(if self.shared { "shared" } else { "exclusive" })));
        visit(data("shared", Value::Bool(self.shared)));
        visit(always("lease", Value::lease(Some(self.lease))));
        visit(always("left", Value::int(self.left)));
        visit(data("ttl", Value::int(self.ttl)));
        visit(data("create_revision", Value::Int(self.create_revision)));
        visit(data("key", Value::Bytes(self.key)));
        let text = |field: &'a String| Value::str(Some(field.as_str()).filter(|field| !field.is_empty()));
        visit(data("host", self.owner.map_or(Value::Absent, |owner| text(&owner.host))));
        visit(data("pid", Value::uint(self.owner.and_then(|owner| owner.pid).map(u64::from))));
        visit(data("user", self.owner.map_or(Value::Absent, |owner| text(&owner.user))));
        visit(data("cmd", self.owner.map_or(Value::Absent, |owner| text(&owner.cmd))));
        visit(data("since", Value::str(self.since.as_deref())));
        visit(table("owner", Value::str(self.shown_owner.as_deref())));
        visit(table("value", Value::bytes(self.proposal.map(|proposal| proposal.value.as_slice()))));
        if self.proposal.is_some_and(|proposal| proposal.cut) {
            visit(data("value_cut", Value::Bool(true)));
        }
    }
}
