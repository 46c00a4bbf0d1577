//! Records of `allocate new`, `renew`, `release` and `hold`.

use super::record::{Field, Record, Value, Visibility, always, data, table};
use crate::kvstore::LeaseId;

/// A key's ID.
pub struct AllocatedRow<'a> {
    /// The ID, decimal.
    pub id: &'a str,
    /// The key.
    pub key: &'a [u8],
    /// Whether the ID was newly allocated.
    pub new: bool,
    /// Whether the ID's master was missing and has been restored.
    pub restored: bool,
    /// The node that holds the reference.
    pub node: &'a [u8],
    /// The reference's lease; `None` for a permanent reference.
    pub lease: Option<LeaseId>,
    /// Whether it is the only result; the text line is then only the ID.
    pub alone: bool,
}

impl Record for AllocatedRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let show = if self.alone { Visibility::Data } else { Visibility::Always };
        let word = match (self.new, self.restored) {
            (true, _) => "new",
            (false, true) => "restored",
            (false, false) => "existing",
        };
        visit(always("id", Value::Decimal(self.id)));
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

/// A renewed reference.
pub struct RenewedRow<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The referenced ID, decimal; `None` if the value is not an ID.
    pub id: Option<&'a str>,
    /// The reference's lease; `None` for a permanent reference.
    pub lease: Option<LeaseId>,
    /// The lease's full TTL in seconds.
    pub ttl: Option<i64>,
}

impl Record for RenewedRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("id", Value::decimal(self.id)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("ttl", Value::int(self.ttl)));
        visit(table("lease", Value::lease(self.lease)));
    }
}

/// A released reference.
pub struct ReleasedRow<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The referenced ID, decimal; `None` if the value was not an ID.
    pub id: Option<&'a str>,
    /// Whether no other node uses the key.
    pub last_use: bool,
}

impl Record for ReleasedRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let word = if self.last_use { "last use" } else { "still used" };
        visit(always("id", Value::decimal(self.id)));
        visit(always("key", Value::Bytes(self.key)));
        visit(always("outcome", Value::Str(word)));
        visit(data("last_use", Value::Bool(self.last_use)));
    }
}
