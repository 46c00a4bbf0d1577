//! What `allocate new`, `renew`, `release` and `hold` answer.

use super::record::{Field, Record, Value, Visibility, always, data, table};
use crate::kvstore::LeaseId;

/// One key's ID.
pub struct AllocatedRow<'a> {
    /// The ID, decimal.
    pub id: &'a str,
    /// The key.
    pub key: &'a [u8],
    /// Whether its master is new.
    pub new: bool,
    /// The node whose reference it is.
    pub node: &'a [u8],
    /// The reference's lease; `None` for a permanent one.
    pub lease: Option<LeaseId>,
    /// Whether it is the only one asked for: its line is the ID alone then.
    pub alone: bool,
}

impl Record for AllocatedRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let show = if self.alone { Visibility::Data } else { Visibility::Always };
        let word = if self.new { "new" } else { "existing" };
        visit(always("id", Value::Str(self.id)));
        visit(Field { name: "key", value: Value::Bytes(self.key), show });
        visit(Field { name: "outcome", value: Value::Str(word), show });
        visit(data("new", Value::Bool(self.new)));
        visit(data("node", Value::Bytes(self.node)));
        visit(Field {
            name: "lease",
            value: Value::lease(self.lease),
            show: if self.alone { Visibility::Data } else { Visibility::Table },
        });
    }
}

/// One reference that is there.
pub struct RenewedRow<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The ID it names, decimal; `None` where its value is none.
    pub id: Option<&'a str>,
    /// Its lease; `None` for a permanent one.
    pub lease: Option<LeaseId>,
    /// The lease's TTL in seconds, of which all is left.
    pub ttl: Option<i64>,
}

impl Record for RenewedRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("id", self.id.map_or(Value::Absent, Value::Str)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("ttl", Value::int(self.ttl)));
        visit(table("lease", Value::lease(self.lease)));
    }
}

/// One reference that was taken away.
pub struct ReleasedRow<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The ID it named, decimal; `None` where its value was none.
    pub id: Option<&'a str>,
    /// Whether no other node uses the key now.
    pub last_use: bool,
}

impl Record for ReleasedRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let word = if self.last_use { "last use" } else { "still used" };
        visit(always("id", self.id.map_or(Value::Absent, Value::Str)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("left", Value::Str(word)));
        visit(data("last_use", Value::Bool(self.last_use)));
    }
}
