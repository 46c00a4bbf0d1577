//! Records of `list --depth`, `--tree` and `--du`.

use super::record::{Field, Record, Value, always, data, table};

/// A branch, or a single key.
pub struct BranchRow<'a> {
    /// The key, or the prefix of a branch.
    pub key: &'a [u8],
    /// Whether it is a branch.
    pub branch: bool,
    /// The depth, counted from 1.
    pub depth: u64,
    /// Number of keys in the branch, if known.
    pub keys: Option<u64>,
    /// For text and tables: the last part of the key, indented by depth.
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

/// `list --du`: the contents of a branch.
pub struct UsageRow<'a> {
    /// The prefix of the branch.
    pub key: &'a [u8],
    /// Whether it is the total, not a branch.
    pub total: bool,
    /// Number of keys.
    pub keys: u64,
    /// Bytes of the keys.
    pub key_bytes: u64,
    /// Bytes of the values.
    pub value_bytes: u64,
    /// The quota in bytes, if the server reports it.
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
