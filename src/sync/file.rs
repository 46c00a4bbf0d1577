//! Records of a file: read completely, sorted, and checked for duplicates.

use std::io::Read;

use super::error::SyncError;
use super::lines::{InputLine, RecordLines};
use super::record::{KeyMapping, SyncRecord};
use super::sort::{NumberedRecord, SortedRecords, Sorter};
use crate::kvstore::KeyValue;
use crate::output::{Trailer, bytes};
use crate::proto::Codec;

/// Records given out together.
const PAGE_RECORDS: usize = 500;
/// Bytes of records given out together.
const PAGE_BYTES: usize = 1 << 20;

/// The records of a file in key order.
pub struct FileRecords {
    name: String,
    sorted: SortedRecords,
    trailer: Option<Trailer>,
    outside: u64,
    /// The last record given out.
    last: Option<(Vec<u8>, u64)>,
}

impl FileRecords {
    /// Reads all lines. More records than fit into some memory are sorted in an unnamed temporary file.
    ///
    /// # Errors
    /// A line that is not a record, a trailer that does not fit, or an error of the file or the temporary file.
    pub fn read(
        input: Box<dyn Read + Send>,
        name: &str,
        codec: &Codec,
        mapping: &KeyMapping,
        in_namespace: bool,
    ) -> Result<Self, SyncError> {
        let mut lines = RecordLines::new(input, name.to_owned(), in_namespace);
        let (mut sorter, mut trailer, mut outside) = (Sorter::default(), None, 0);
        while let Some(line) = lines.next(codec)? {
            match line {
                InputLine::Trailer(found) => trailer = Some(found),
                InputLine::Record(record) => match mapping.to_store(record.key) {
                    Some(key) => {
                        let kv = KeyValue { key, value: record.value, lease: record.lease, ..KeyValue::default() };
                        let record = SyncRecord { kv, ttl: record.ttl };
                        sorter.push(NumberedRecord { record, line: lines.line() }).map_err(SyncError::Temporary)?;
                    }
                    None => outside += 1,
                },
            }
        }
        let sorted = sorter.finish().map_err(SyncError::Temporary)?;
        Ok(Self { name: name.to_owned(), sorted, trailer, outside, last: None })
    }

    /// The line that proves that the file is complete, if it has one.
    pub fn trailer(&self) -> Option<&Trailer> {
        self.trailer.as_ref()
    }

    /// Records without the prefix of the source, which are left out.
    pub fn outside(&self) -> u64 {
        self.outside
    }

    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// A key that the file holds twice, or an error of the temporary file.
    pub fn next_page(&mut self) -> Result<Option<Vec<SyncRecord>>, SyncError> {
        let (mut page, mut size) = (Vec::new(), 0);
        while page.len() < PAGE_RECORDS && size < PAGE_BYTES {
            let Some(NumberedRecord { record, line }) = self.sorted.next().map_err(SyncError::Temporary)? else {
                break;
            };
            if let Some((key, before)) = &self.last
                && *key == record.kv.key
            {
                let (first, line) = (line.min(*before), line.max(*before));
                let why = format!("key {} is given twice, here and in line {first}", bytes::name(key));
                return Err(SyncError::Line { name: self.name.clone(), line, why });
            }
            self.last = Some((record.kv.key.clone(), line));
            size += record.kv.size();
            page.push(record);
        }
        Ok((!page.is_empty()).then_some(page))
    }
}
