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

/// What a row of `list --du --history` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageKind {
    /// The keys of a branch.
    Branch,
    /// All keys.
    Total,
    /// One of the most rewritten keys.
    Key,
}

/// `list --du --history`: the stored revisions of a branch or a key.
pub struct HistoryUsageRow<'a> {
    /// What the row is about.
    pub kind: UsageKind,
    /// The prefix of the branch, or the key.
    pub key: &'a [u8],
    /// Number of keys that exist.
    pub keys: u64,
    /// Number of keys with a stored revision, which may be a deletion.
    pub all_keys: u64,
    /// Bytes of the latest revisions of the keys that exist: keys and values.
    pub live_bytes: u64,
    /// Bytes of all other revisions.
    pub superseded_bytes: u64,
    /// Number of stored revisions, with deletions.
    pub revisions: u64,
    /// Number of deletions among them.
    pub tombstones: u64,
}

impl Record for HistoryUsageRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(self.key)));
        let kind = match self.kind {
            UsageKind::Branch => "branch",
            UsageKind::Total => "total",
            UsageKind::Key => "key",
        };
        visit(always("kind", Value::Str(kind)));
        visit(always("keys", Value::Uint(self.keys)));
        visit(always("live_bytes", Value::Size(self.live_bytes)));
        visit(always("superseded_bytes", Value::Size(self.superseded_bytes)));
        visit(always("revisions", Value::Uint(self.revisions)));
        visit(always("tombstones", Value::Uint(self.tombstones)));
        #[allow(clippy::cast_precision_loss)]
        let ratio = self.revisions as f64 / self.all_keys.max(1) as f64;
        visit(table("revisions_per_key", Value::Millis(ratio)));
    }
}
