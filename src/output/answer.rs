//! Writing single records, reports of several rows, and streams of records.

use std::io;

use super::out::Out;
use super::record::Record;
use super::settings::Format;
use super::sink::Sink;
use super::{json, sanitize, yaml};

/// A result of several rows: one object in JSON and YAML, rows in text and tables.
pub trait Report: Record {
    /// The rows.
    fn rows(&self) -> Vec<Box<dyn Record + '_>>;
    /// The rows in sections, each with a heading, which may be empty.
    fn sections(&self) -> Vec<(&'static str, Vec<Box<dyn Record + '_>>)> {
        vec![("", self.rows())]
    }
    /// Whether all rows have the same fields, so that a table can hold them.
    fn tabular(&self) -> bool {
        true
    }
    /// Warnings that go with the data.
    fn remarks(&self) -> &[String] {
        &[]
    }
}

impl Out {
    /// Writes one record.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn one(&self, record: &dyn Record) -> io::Result<()> {
        let mut sink = Sink::plain(self);
        sink.push(record)?;
        sink.finish()
    }

    /// Writes one key's value: its bytes and a newline, sanitized on a terminal; in raw only the bytes, in JSON and YAML
    /// the whole record.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn value(&self, record: &crate::kvstore::KeyValue) -> io::Result<()> {
        let value = &record.value;
        if let Some(decoded) = self.decoded(record).filter(|_| !self.is_data()) {
            self.warn_faults(&decoded.faults);
            if let Some(json) = decoded.json() {
                let text = json::text(json) + "\n";
                return self.bytes(sanitize::sanitize(text.as_bytes(), true).as_bytes());
            }
        }
        match self.shared.format {
            Format::Json | Format::Yaml | Format::Raw => self.one(record),
            Format::Text | Format::Table if self.shared.terminal => {
                self.bytes(sanitize::sanitize(value, true).as_bytes())?;
                self.bytes(b"\n")
            }
            Format::Text | Format::Table => {
                self.bytes(value)?;
                self.bytes(b"\n")
            }
        }
    }

    /// Begins a stream of records.
    pub fn stream(&self) -> Sink {
        Sink::new(self)
    }

    /// Begins a stream of lines, each for one record, also where the format is a table.
    pub fn lines(&self) -> Sink {
        Sink::plain(self)
    }

    /// Whether the format is a table.
    pub fn is_table(&self) -> bool {
        self.shared.format == Format::Table
    }

    /// Writes a report; its remarks go to stderr.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn report(&self, report: &dyn Report) -> io::Result<()> {
        if self.is_data() {
            let mut line = Vec::new();
            let decoded = self.decoded(report);
            self.warn_faults(decoded.as_ref().map_or(&[], |decoded| &decoded.faults));
            let record: &dyn Record = decoded.as_ref().map_or(report, |decoded| decoded);
            match self.shared.format {
                Format::Yaml => yaml::document(&mut line, record),
                _ => json::line(&mut line, record),
            }
            self.bytes(&line)?;
            return self.flush();
        }
        for (heading, rows) in report.sections() {
            if !heading.is_empty() {
                self.bytes(format!("\n{heading}:\n").as_bytes())?;
            }
            let mut sink = if report.tabular() { Sink::new(self) } else { Sink::plain(self) };
            for row in rows {
                sink.push(row.as_ref())?;
            }
            sink.finish()?;
        }
        for remark in report.remarks() {
            self.warn(remark);
        }
        Ok(())
    }
}
