//! Lines of records: what `list -o json` prints.

use std::cmp::Ordering;
use std::io::{BufRead, BufReader, Read};

use super::error::SyncError;
use crate::output::{InputRecord, Trailer};
use crate::plural::counted;
use crate::proto::Codec;

/// Upper bound on a line: with etcd's default limit for requests, a record has 9 MiB at most.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// The buffer of a line is used again for the next one if it has at most this many bytes.
const MAX_KEPT_BYTES: usize = 1 << 16;

/// A line of a file of records.
#[derive(Debug)]
pub enum InputLine {
    /// A record.
    Record(InputRecord),
    /// The last line of a complete listing.
    Trailer(Trailer),
}

/// The lines of a file of records.
pub struct RecordLines {
    input: BufReader<Box<dyn Read + Send>>,
    /// The last line.
    text: Vec<u8>,
    name: String,
    line: u64,
    records: u64,
    /// Inside a namespace, the empty key is the one that equals the namespace.
    in_namespace: bool,
    /// Whether the trailer was read.
    ended: bool,
}

impl RecordLines {
    /// Reads an input, which is called `name` in messages.
    pub fn new(input: Box<dyn Read + Send>, name: String, in_namespace: bool) -> Self {
        let input = BufReader::with_capacity(1 << 16, input);
        Self { input, text: Vec::new(), name, line: 0, records: 0, in_namespace, ended: false }
    }

    /// The number of the last line that was read, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    fn bad(&self, why: impl Into<String>) -> SyncError {
        SyncError::Line { name: self.name.clone(), line: self.line, why: why.into() }
    }

    fn incomplete(&self, why: impl Into<String>) -> SyncError {
        SyncError::Incomplete { name: self.name.clone(), line: self.line, why: why.into() }
    }

    /// Compares the trailer's count with the records before it.
    fn check(&self, trailer: &Trailer) -> Result<(), SyncError> {
        let counts = format!("its trailer counts {}, {} were read", counted(trailer.count, "record"), self.records);
        match trailer.count.cmp(&self.records) {
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(self.incomplete(format!("the file is cut: {counts}"))),
            Ordering::Less => Err(self.incomplete(format!("the file has additional records: {counts}"))),
        }
    }

    /// The next line that is not empty; `None` at the end.
    ///
    /// # Errors
    /// A line that is neither a record nor a fitting trailer, or an error of the input.
    pub fn next(&mut self, codec: &Codec) -> Result<Option<InputLine>, SyncError> {
        loop {
            // A long line does not hold its memory to the end.
            let mut line =
                if self.text.capacity() > MAX_KEPT_BYTES { Vec::new() } else { std::mem::take(&mut self.text) };
            line.clear();
            let read = Read::take(&mut self.input, MAX_LINE_BYTES as u64).read_until(b'\n', &mut line);
            self.line += 1;
            if self.line == 1 && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            match read {
                Err(error) => {
                    return Err(SyncError::Unreadable { name: self.name.clone(), error });
                }
                Ok(0) => return Ok(None),
                Ok(MAX_LINE_BYTES) => return Err(self.bad("the line is too long")),
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => {
                    let parsed = self.parse(&line, codec);
                    self.text = line;
                    return parsed.map(Some);
                }
            }
        }
    }

    fn parse(&mut self, line: &[u8], codec: &Codec) -> Result<InputLine, SyncError> {
        if self.ended {
            return Err(self.incomplete("a line follows the trailer"));
        }
        if let Some(trailer) = Trailer::parse(line) {
            let trailer = trailer.map_err(|error| self.bad(error.to_string()))?;
            self.check(&trailer)?;
            self.ended = true;
            return Ok(InputLine::Trailer(trailer));
        }
        let record = InputRecord::parse(line, codec).map_err(|error| self.bad(error.to_string()))?;
        if record.key.is_empty() && !self.in_namespace {
            return Err(self.bad("the key is empty"));
        }
        self.records += 1;
        Ok(InputLine::Record(record))
    }
}
