//! Sorts records of any number in bounded memory: sorted runs in a temporary file, which are merged.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::record::SyncRecord;
use crate::kvstore::{KeyValue, LeaseId};

/// Bytes of records that are sorted in memory.
const RUN_BYTES: usize = 32 << 20;
/// Bytes in memory of a record beside its key and value.
const RECORD_OVERHEAD: usize = 128;
/// Bytes that are read of a run at once.
const READ_BYTES: usize = 64 << 10;

/// A record and the line it stands in, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedRecord {
    /// The record.
    pub record: SyncRecord,
    /// The line.
    pub line: u64,
}

/// Collects records.
pub struct Sorter {
    records: Vec<NumberedRecord>,
    bytes: usize,
    limit: usize,
    file: Option<File>,
    /// The end of each run in the file.
    ends: Vec<u64>,
}

impl Default for Sorter {
    fn default() -> Self {
        Self { records: Vec::new(), bytes: 0, limit: RUN_BYTES, file: None, ends: Vec::new() }
    }
}

impl Sorter {
    /// Adds a record.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub fn push(&mut self, record: NumberedRecord) -> io::Result<()> {
        self.bytes += record.record.kv.size() + RECORD_OVERHEAD;
        self.records.push(record);
        if self.bytes >= self.limit { self.write_run() } else { Ok(()) }
    }

    fn sort(&mut self) {
        self.records.sort_by(|a, b| a.record.kv.key.cmp(&b.record.kv.key).then(a.line.cmp(&b.line)));
    }

    fn write_run(&mut self) -> io::Result<()> {
        self.sort();
        let file = match &mut self.file {
            Some(file) => file,
            // Without a name, readable by nobody else, and gone with the process.
            none => none.insert(tempfile::tempfile()?),
        };
        let mut writer = BufWriter::with_capacity(1 << 20, &mut *file);
        for record in self.records.drain(..) {
            write_record(&mut writer, &record)?;
        }
        writer.flush()?;
        drop(writer);
        self.ends.push(file.stream_position()?);
        self.bytes = 0;
        Ok(())
    }

    /// The records in order of their keys, and of their lines.
    ///
    /// # Errors
    /// The temporary file cannot be written or read.
    pub fn finish(mut self) -> io::Result<SortedRecords> {
        if self.file.is_none() {
            self.sort();
            return Ok(SortedRecords::Memory(self.records.into_iter()));
        }
        if !self.records.is_empty() {
            self.write_run()?;
        }
        let Some(mut file) = self.file.take() else { return Ok(SortedRecords::Memory(Vec::new().into_iter())) };
        file.seek(SeekFrom::Start(0))?;
        let file = Arc::new(file);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let mut runs: Vec<Run> = starts
            .zip(&self.ends)
            .map(|(at, end)| BufReader::with_capacity(READ_BYTES, FileSlice { file: Arc::clone(&file), at, end: *end }))
            .collect();
        let mut heads = BinaryHeap::new();
        for (index, run) in runs.iter_mut().enumerate() {
            if let Some(head) = read_record(run)? {
                heads.push(Reverse(RunHead { record: head, run: index }));
            }
        }
        Ok(SortedRecords::Merge { runs, heads })
    }
}

type Run = BufReader<FileSlice>;

/// A part of a file with a position of its own.
pub struct FileSlice {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for FileSlice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The first record of a run.
pub struct RunHead {
    record: NumberedRecord,
    run: usize,
}

impl Ord for RunHead {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = self.record.record.kv.key.cmp(&other.record.record.kv.key);
        key.then(self.record.line.cmp(&other.record.line)).then(self.run.cmp(&other.run))
    }
}

impl PartialOrd for RunHead {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RunHead {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for RunHead {}

/// Sorted records.
pub enum SortedRecords {
    /// All of them in memory.
    Memory(std::vec::IntoIter<NumberedRecord>),
    /// Runs in a temporary file.
    Merge {
        /// The runs.
        runs: Vec<BufReader<FileSlice>>,
        /// The first record of each run that has not ended.
        heads: BinaryHeap<Reverse<RunHead>>,
    },
}

impl SortedRecords {
    /// The next record.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub fn next(&mut self) -> io::Result<Option<NumberedRecord>> {
        match self {
            Self::Memory(records) => Ok(records.next()),
            Self::Merge { runs, heads } => {
                let Some(Reverse(RunHead { record, run })) = heads.pop() else { return Ok(None) };
                if let Some(next) = runs.get_mut(run).map(read_record).transpose()?.flatten() {
                    heads.push(Reverse(RunHead { record: next, run }));
                }
                Ok(Some(record))
            }
        }
    }
}

/// Layout: the lengths of key and value, line, lease and TTL (0 for none), 8 bytes each; then key and value.
fn write_record(out: &mut impl Write, NumberedRecord { record, line }: &NumberedRecord) -> io::Result<()> {
    let lease = record.kv.lease.map_or(0, |lease| lease.0.cast_unsigned());
    let ttl = record.ttl.unwrap_or(0).cast_unsigned();
    for number in [record.kv.key.len() as u64, record.kv.value.len() as u64, *line, lease, ttl] {
        out.write_all(&number.to_le_bytes())?;
    }
    out.write_all(&record.kv.key)?;
    out.write_all(&record.kv.value)
}

fn read_record(run: &mut Run) -> io::Result<Option<NumberedRecord>> {
    if io::BufRead::fill_buf(run)?.is_empty() {
        return Ok(None);
    }
    let mut number = || {
        let mut bytes = [0; 8];
        run.read_exact(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    };
    let (key, value, line, lease, ttl) = (number()?, number()?, number()?, number()?, number()?);
    let mut bytes = |length: u64| {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        run.read_exact(&mut bytes).map(|()| bytes)
    };
    let kv = KeyValue {
        key: bytes(key)?,
        value: bytes(value)?,
        lease: LeaseId::from_wire(lease.cast_signed()),
        ..KeyValue::default()
    };
    Ok(Some(NumberedRecord { record: SyncRecord { kv, ttl: Some(ttl.cast_signed()).filter(|ttl| *ttl != 0) }, line }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// With runs of any size, records come out in order of keys and lines, and unchanged.
        #[test]
        fn records_come_out_sorted(
            keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 0..40),
            limit in 1usize..2_000,
        ) {
            let mut sorter = Sorter { limit, ..Sorter::default() };
            let mut records: Vec<NumberedRecord> = keys.iter().zip(1u64..).map(|(key, line)| NumberedRecord {
                record: SyncRecord {
                    kv: KeyValue {
                        key: key.clone(),
                        value: line.to_string().repeat(3).into_bytes(),
                        lease: LeaseId::from_wire(line.cast_signed() % 3 - 1),
                        ..KeyValue::default()
                    },
                    ttl: Some(line.cast_signed() % 4).filter(|ttl| *ttl != 0),
                },
                line,
            }).collect();
            for record in &records {
                sorter.push(record.clone())?;
            }
            let mut sorted = sorter.finish()?;
            records.sort_by(|a, b| (&a.record.kv.key, a.line).cmp(&(&b.record.kv.key, b.line)));
            for record in records {
                prop_assert_eq!(sorted.next()?, Some(record));
            }
            prop_assert_eq!(sorted.next()?, None);
        }
    }
}
