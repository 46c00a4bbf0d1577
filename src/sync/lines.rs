//! Lines of records: what `list -o json` prints.

use std::io::{BufRead, BufReader, Read};

use super::error::SyncError;
use crate::output::{InputRecord, Trailer};
use crate::proto::Codec;

/// Upper bound on a line: with etcd's default limit for requests, a record has 9 MiB at most.
pub const MAX_LINE_BYTES: usize = 64 << 20;

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
    name: String,
    line: u64,
    records: u64,
    /// Inside a namespace, the empty key is the one that equals the namespace.
    in_namespace: bool,
    ended_at: Option<u64>,
}

impl RecordLines {
    /// Reads an input, which is called `name` in messages.
    pub fn new(input: Box<dyn Read + Send>, name: String, in_namespace: bool) -> Self {
        let input = BufReader::with_capacity(1 << 16, input);
        Self { input, name, line: 0, records: 0, in_namespace, ended_at: None }
    }

    /// The number of the last line that was read, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    fn bad(&self, why: impl Into<String>) -> SyncError {
        SyncError::Line { name: self.name.clone(), line: self.line, why: why.into() }
    }

    /// The next line that is not empty; `None` at the end.
    ///
    /// # Errors
    /// A line that is neither a record nor a fitting trailer, or an error of the input.
    pub fn next(&mut self, codec: &Codec) -> Result<Option<InputLine>, SyncError> {
        loop {
            let mut line = Vec::new();
            let read = Read::take(&mut self.input, MAX_LINE_BYTES as u64).read_until(b'\n', &mut line);
            self.line += 1;
            if self.line == 1 && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            match read {
                Err(error) => {
                    return Err(SyncError::File { name: self.name.clone(), why: format!("cannot be read: {error}") });
                }
                Ok(0) => return Ok(None),
                Ok(MAX_LINE_BYTES) => return Err(self.bad("the line is too long")),
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => return self.parse(&line, codec).map(Some),
            }
        }
    }

    fn parse(&mut self, line: &[u8], codec: &Codec) -> Result<InputLine, SyncError> {
        if let Some(at) = self.ended_at {
            return Err(self.bad(format!("a line follows the trailer in line {at}")));
        }
        if let Some(trailer) = Trailer::parse(line) {
            let trailer = trailer.map_err(|error| self.bad(error.to_string()))?;
            if trailer.count != self.records {
                let (count, read) = (trailer.count, self.records);
                return Err(self.bad(format!("the file is cut: its trailer counts {count} records, {read} were read")));
            }
            self.ended_at = Some(self.line);
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
