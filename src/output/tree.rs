//! Branches of a listing: `list --depth`, `--tree` and `--du`.

use super::record::{Field, Record, Value, always, data, table};

/// A branch, or a key that lies in none that deep.
pub struct BranchRow<'a> {
    /// The key; of a branch what all its keys begin with.
    pub key: &'a [u8],
    /// Whether it is a branch.
    pub branch: bool,
    /// How deep it lies, counted from 1.
    pub depth: u64,
    /// How many keys the branch holds, where that is known.
    pub keys: Option<u64>,
    /// For people: its last part behind as many blanks as it lies deep.
    pub drawn: Option<&'a [u8]>,
}

impl Record for BranchRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        if let Some(drawn) = self.drawn {
            visit(always("tree", Value::Bytes(drawn)));
            let show = if self.keys.is_some() { always } else { table };
            return visit(show("keys", Value::uint(self.keys)));
        }
        visit(always("key", Value::Bytes(self.key)));
        visit(table("kind", Value::Str(if self.branch { "branch" } else { "key" })));
        visit(data("depth", Value::Uint(self.depth)));
        visit(data("keys", Value::uint(self.keys)));
    }
}

/// What a branch holds.
pub struct UsageRow<'a> {
    /// What all its keys begin with.
    pub key: &'a [u8],
    /// Whether it is all that was asked for, and no branch of it.
    pub total: bool,
    /// The number of its keys.
    pub keys: u64,
    /// The bytes of the keys.
    pub key_bytes: u64,
    /// The bytes of the values.
    pub value_bytes: u64,
    /// The quota in bytes, where the server tells it.
    pub quota: Option<u64>,
}

impl Record for UsageRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let bytes = self.key_bytes + self.value_bytes;
        visit(always("key", Value::Bytes(self.key)));
        visit(data("kind", Value::Str(if self.total { "total" } else { "branch" })));
        visit(always("keys", Value::Uint(self.keys)));
        visit(always("bytes", Value::Size(bytes)));
        visit(table("key_bytes", Value::Size(self.key_bytes)));
        visit(table("value_bytes", Value::Size(self.value_bytes)));
        #[allow(clippy::cast_precision_loss)]
        let share = self.quota.map(|quota| bytes as f64 * 100.0 / quota as f64);
        visit(table("percent", share.map_or(Value::Absent, Value::Millis)));
    }
}
