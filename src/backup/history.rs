//! What the history of each key takes in a database file.

use super::database::Database;
use super::key_table::{KeyBatch, KeyTable, SortedKeys};
use super::pass::DatabaseError;
use crate::kvstore::KeyRange;

/// What the stored revisions of a key take. Bytes are those of keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyHistoryUsage {
    /// Whether the key exists at the latest revision.
    pub live: bool,
    /// The bytes of the latest revision, if the key exists.
    pub live_bytes: u64,
    /// The bytes of all other revisions.
    pub superseded_bytes: u64,
    /// The revisions that are stored, with deletions.
    pub revisions: u64,
    /// The deletions among them.
    pub tombstones: u64,
}

impl KeyHistoryUsage {
    /// Adds a later revision of the key.
    fn push(&mut self, bytes: u64, is_tombstone: bool) {
        self.revisions = self.revisions.saturating_add(1);
        self.superseded_bytes = self.superseded_bytes.saturating_add(self.live_bytes);
        if is_tombstone {
            self.tombstones = self.tombstones.saturating_add(1);
            self.superseded_bytes = self.superseded_bytes.saturating_add(bytes);
        }
        self.live = !is_tombstone;
        self.live_bytes = if is_tombstone { 0 } else { bytes };
    }
}

/// Adds up all stored revisions of the keys (absolute) of a range, in one pass. Memory grows with the keys that the range has
/// or had.
///
/// # Errors
/// Damage, or an interruption.
pub fn history_usage(database: &Database, range: &KeyRange) -> Result<SortedKeys<KeyHistoryUsage>, DatabaseError> {
    database.checked(|| add_up(database, range))
}

fn add_up(database: &Database, range: &KeyRange) -> Result<SortedKeys<KeyHistoryUsage>, DatabaseError> {
    let (mut table, mut batch) = (KeyTable::<KeyHistoryUsage>::default(), KeyBatch::default());
    let add = |usage: &mut KeyHistoryUsage, (bytes, is_tombstone)| usage.push(bytes, is_tombstone);
    let mut pass = database.pass("adding up the history");
    let mut revisions = database.file().revisions()?;
    while let Some(stored) = revisions.next()? {
        pass.step()?;
        if range.contains(stored.key) && !stored.is_placeholder() {
            let key_bytes = u64::try_from(stored.key.len()).unwrap_or(u64::MAX);
            let bytes = key_bytes.saturating_add(stored.value_bytes);
            if batch.push(stored.key, (bytes, stored.is_tombstone)) {
                table.merge(&mut batch, add)?;
            }
        }
    }
    table.merge(&mut batch, add)?;
    Ok(table.into_sorted(|_| true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_revision_is_live_and_all_others_are_superseded() {
        let mut usage = KeyHistoryUsage::default();
        for (bytes, is_tombstone) in [(10, false), (20, false), (4, true), (30, false), (40, false)] {
            usage.push(bytes, is_tombstone);
        }
        let live = KeyHistoryUsage { live: true, live_bytes: 40, superseded_bytes: 64, revisions: 5, tombstones: 1 };
        assert_eq!(usage, live);
        usage.push(4, true);
        let dead = KeyHistoryUsage { live: false, live_bytes: 0, superseded_bytes: 108, revisions: 6, tombstones: 2 };
        assert_eq!(usage, dead);
    }
}
