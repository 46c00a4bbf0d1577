//! The records of `put --from`, line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use crate::commands::input::{InputSource, MAX_LINE_BYTES, cannot_read};
use crate::error::Failure;
use crate::output::{InputRecord, Trailer};
use crate::plural::counted;
use crate::proto::Codec;

/// The records of a source, line by line, up to the first failure. A trailer is checked and omitted.
pub struct RecordLines {
    input: BufReader<Box<dyn Read + Send>>,
    name: String,
    line: u64,
    /// The number of records so far.
    records: u64,
    /// Whether the trailer was read.
    ended: bool,
    codec: Arc<Codec>,
    /// Inside a namespace, the empty key is the one that equals the namespace.
    in_namespace: bool,
}

impl Iterator for RecordLines {
    type Item = Result<InputRecord, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = Vec::new();
            let read = Read::take(&mut self.input, MAX_LINE_BYTES as u64).read_until(b'\n', &mut line);
            self.line += 1;
            if self.line == 1 && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            match read {
                Err(error) => return Some(Err(cannot_read(&self.name, &error))),
                Ok(0) => return None,
                Ok(MAX_LINE_BYTES) => return Some(Err(self.bad("the line is too long"))),
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) if self.ended => return Some(Err(self.incomplete("a line follows the trailer"))),
                Ok(_) => match Trailer::parse(&line) {
                    None => return Some(self.record(&line)),
                    Some(Err(why)) => return Some(Err(self.bad(&why.to_string()))),
                    Some(Ok(trailer)) => match self.check(&trailer) {
                        Ok(()) => self.ended = true,
                        Err(failure) => return Some(Err(failure)),
                    },
                },
            }
        }
    }
}

impl RecordLines {
    pub fn of(source: InputSource<'_>, codec: Arc<Codec>, in_namespace: bool) -> Result<Self, Failure> {
        let input = BufReader::with_capacity(1 << 16, source.open()?);
        Ok(Self { input, name: source.name(), line: 0, records: 0, ended: false, codec, in_namespace })
    }

    fn record(&mut self, line: &[u8]) -> Result<InputRecord, Failure> {
        let record = InputRecord::parse(line, &self.codec).map_err(|why| self.bad(&why.to_string()))?;
        if record.key.is_empty() && !self.in_namespace {
            return Err(self.bad("the key is empty"));
        }
        self.records += 1;
        Ok(record)
    }

    /// Compares the trailer's count with the records before it.
    fn check(&self, trailer: &Trailer) -> Result<(), Failure> {
        let counts = format!("its trailer counts {}, {} were read", counted(trailer.count, "record"), self.records);
        match trailer.count.cmp(&self.records) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(self.incomplete(&format!("the file is cut: {counts}"))),
            std::cmp::Ordering::Less => Err(self.incomplete(&format!("the file has additional records: {counts}"))),
        }
    }

    fn bad(&self, what: &str) -> Failure {
        Failure::usage(format!("{}:{}: {what}", self.name, self.line))
            .hint("each line must be a JSON object, as 'kvadm list -o json' prints them")
    }

    /// The file is not one complete listing.
    fn incomplete(&self, what: &str) -> Failure {
        Failure::usage(format!("{}:{}: {what}", self.name, self.line)).hint(
            "write the file again with 'kvadm list PREFIX -o json --trailer', or remove the trailer to load what the \
             file has",
        )
    }
}
