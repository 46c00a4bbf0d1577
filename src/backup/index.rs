//! The live keys of a database file at one revision: where their records lie, not their values.

use super::etcd_file::{EtcdFile, StoredRevision};
use super::key_table::{KeyBatch, KeyTable, SortedKeys};
use super::pass::{DatabaseError, Pass};
use crate::kvstore::{KeyRange, KeyValue, LeaseId, LocalAnswer, LocalQuery, Revision};

/// The bytes of records in one answer after which it is cut, so that memory does not grow with the values.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Where the latest record of a key lies, and what a listing of keys shows of it.
#[derive(Clone, Copy, Debug, Default)]
struct RecordPlace {
    offset: u64,
    mod_revision: Revision,
    create_revision: Revision,
    version: i64,
    lease: i64,
    /// The length of the record; 0 for a deleted key.
    length: u32,
}

/// The live keys at one revision. About 100 bytes and the key for each key that the file names up to the revision.
pub struct KeyIndex {
    revision: Revision,
    keys: SortedKeys<RecordPlace>,
}

impl KeyIndex {
    /// Reads all revisions, and indexes those up to this one.
    ///
    /// # Errors
    /// Damage, an interruption, or too many keys.
    pub fn build(file: &EtcdFile, revision: Revision, pass: &mut Pass) -> Result<Self, DatabaseError> {
        let (mut table, mut batch) = (KeyTable::<RecordPlace>::default(), KeyBatch::default());
        let mut revisions = file.revisions()?;
        while let Some(stored) = revisions.next()? {
            pass.step()?;
            // The pass goes on, so that damage is found wherever it is.
            if stored.main <= revision && !stored.is_placeholder() && batch.push(stored.key, place_of(&stored)?) {
                table.merge(&mut batch, |place, new| *place = new)?;
            }
        }
        table.merge(&mut batch, |place, new| *place = new)?;
        Ok(Self { revision, keys: table.into_sorted(|place| place.length > 0) })
    }

    /// The revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Answers a query about this revision. An answer with a limit may hold fewer records and announce more.
    ///
    /// # Errors
    /// Damage, or a file that has changed.
    pub fn answer(&self, file: &EtcdFile, query: &LocalQuery) -> Result<LocalAnswer, DatabaseError> {
        let KeyRange { start, end } = &query.range;
        let from = self.keys.position(start);
        let to = end.as_ref().map_or(self.keys.len(), |end| self.keys.position(end)).max(from);
        let mut answer = LocalAnswer {
            count: u64::try_from(to.saturating_sub(from)).unwrap_or(u64::MAX),
            revision: self.revision,
            ..LocalAnswer::default()
        };
        if query.count_only {
            return Ok(answer);
        }
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let mut size = 0usize;
        for (key, place) in (from..to).map_while(|position| self.keys.get(position)) {
            if query.limit > 0 && (answer.kvs.len() >= limit || size >= MAX_ANSWER_BYTES) {
                answer.more = true;
                break;
            }
            let kv = if query.keys_only {
                KeyValue {
                    key: key.to_vec(),
                    value: Vec::new(),
                    create_revision: place.create_revision,
                    mod_revision: place.mod_revision,
                    version: place.version,
                    lease: LeaseId::from_wire(place.lease),
                }
            } else {
                record(file, key, place.mod_revision, place.offset, place.length)?
            };
            size = size.saturating_add(kv.size());
            answer.kvs.push(kv);
        }
        Ok(answer)
    }
}

fn place_of(stored: &StoredRevision<'_>) -> Result<RecordPlace, DatabaseError> {
    if stored.is_tombstone {
        return Ok(RecordPlace::default());
    }
    Ok(RecordPlace {
        offset: stored.record_offset,
        mod_revision: stored.main,
        create_revision: stored.create_revision,
        version: stored.version,
        lease: stored.lease,
        length: record_length(stored)?,
    })
}

/// The length of a record, which is never 0 except of a placeholder: a record holds its key.
pub(super) fn record_length(stored: &StoredRevision<'_>) -> Result<u32, DatabaseError> {
    match u32::try_from(stored.record.len()) {
        Ok(length) if length > 0 => Ok(length),
        _ => Err(DatabaseError::NoRecord(stored.main)),
    }
}

/// Reads a record again and checks that it is the one that was seen before.
pub(super) fn record(
    file: &EtcdFile,
    key: &[u8],
    revision: Revision,
    offset: u64,
    length: u32,
) -> Result<KeyValue, DatabaseError> {
    let kv = file.record_at(offset, length)?;
    if kv.key == key && kv.mod_revision == revision { Ok(kv) } else { Err(DatabaseError::Changed) }
}
