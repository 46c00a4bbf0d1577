//! Records of `list --depth`, `--tree` and `--du`.

use std::io;

use super::record::{Field, Record, Value, always, data, table};
use super::sink::Sink;

/// Rows that are drawn together. The lines of a longer tree end as if more rows followed.
const DRAWN_ROWS: usize = 2000;

/// A row of a tree that is not drawn yet.
struct TreeRow {
    key: Vec<u8>,
    branch: bool,
    /// The level, counted from 0.
    level: usize,
    keys: Option<u64>,
    /// The last part of the key.
    name: Vec<u8>,
}

/// Draws a tree with lines, for which it must know the rows that follow.
#[derive(Default)]
pub struct TreeLines {
    rows: Vec<TreeRow>,
}

impl TreeLines {
    /// Adds the row at this level, counted from 0; `name` is the last part of its key. Draws the rows if they are many.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn push(&mut self, sink: &mut Sink, row: &BranchRow<'_>, name: &[u8]) -> io::Result<()> {
        if self.rows.len() >= DRAWN_ROWS {
            self.draw(sink, true)?;
        }
        let level = usize::try_from(row.depth).unwrap_or(usize::MAX).saturating_sub(1);
        let (key, name) = (row.key.to_vec(), name.to_vec());
        self.rows.push(TreeRow { key, branch: row.branch, level, keys: row.keys, name });
        Ok(())
    }

    /// Draws the remaining rows.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn finish(&mut self, sink: &mut Sink) -> io::Result<()> {
        self.draw(sink, false)
    }

    fn draw(&mut self, sink: &mut Sink, more: bool) -> io::Result<()> {
        let levels: Vec<usize> = self.rows.iter().map(|row| row.level).collect();
        for (row, lines) in std::mem::take(&mut self.rows).into_iter().zip(lines(&levels, more)) {
            let drawn = [lines.as_bytes(), &row.name].concat();
            let depth = row.level as u64 + 1;
            sink.push(&BranchRow { key: &row.key, branch: row.branch, depth, keys: row.keys, drawn: Some(&drawn) })?;
        }
        Ok(())
    }
}

/// The lines before the name of each row of a tree. With `more`, another row may follow at each level of the last one.
fn lines(levels: &[usize], more: bool) -> Vec<String> {
    // Seen from below: whether a row follows at this level, before the parent's branch ends.
    let mut follows = vec![more; levels.last().map_or(0, |level| level + 1)];
    let mut lines: Vec<String> = Vec::with_capacity(levels.len());
    for level in levels.iter().rev() {
        follows.resize(level + 1, false);
        let mut line = String::new();
        for (at, follows) in follows.iter().enumerate().skip(1) {
            line += match (at == *level, follows) {
                (true, true) => "├─ ",
                (true, false) => "└─ ",
                (false, true) => "│  ",
                (false, false) => "   ",
            };
        }
        follows[*level] = true;
        lines.push(line);
    }
    lines.reverse();
    lines
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_of_a_branch_ends_its_line() {
        let drawn = |levels: &[usize], more| lines(levels, more).join("|");
        assert_eq!(drawn(&[], false), "");
        assert_eq!(drawn(&[0, 0], false), "|");
        assert_eq!(drawn(&[0, 1, 1, 0, 1], false), "|├─ |└─ ||└─ ");
        assert_eq!(drawn(&[0, 1, 2, 1, 2, 2, 0], false), "|├─ |│  └─ |└─ |   ├─ |   └─ |");
        // A row of a deeper level that ended says nothing about the next branch.
        assert_eq!(drawn(&[0, 1, 2, 2, 0, 1, 2], false), "|└─ |   ├─ |   └─ ||└─ |   └─ ");
        assert_eq!(drawn(&[0, 1, 2], true), "|├─ |│  ├─ ");
    }
}
