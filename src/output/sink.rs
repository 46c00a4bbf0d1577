//! A stream of records.

use std::{fmt, io};

use super::out::Out;
use super::record::Record;
use super::settings::Format;
use super::table::TableLayout;
use super::{json, raw, text, yaml};

/// Writes records one by one.
pub struct Sink {
    out: Out,
    layout: Option<TableLayout>,
}

impl Sink {
    pub(super) fn new(out: &Out) -> Self {
        Self::with_width(out, out.width())
    }

    /// A sink whose tables show every text as a whole, whatever the width of the terminal.
    pub(super) fn uncut(out: &Out) -> Self {
        Self::with_width(out, usize::MAX)
    }

    fn with_width(out: &Out, width: usize) -> Self {
        let layout = (out.shared.format == Format::Table).then(|| TableLayout::new(width, out.shared.bold));
        Self { out: out.clone(), layout }
    }

    /// A sink without a table layout: one line for each record.
    pub(super) fn plain(out: &Out) -> Self {
        Self { out: out.clone(), layout: None }
    }

    /// Writes a record, immediately or together with the table rows around it.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn push(&mut self, record: &dyn Record) -> io::Result<()> {
        match self.out.decoded(record) {
            Some(decoded) => {
                self.out.warn_faults(&decoded.faults);
                self.write(&decoded)
            }
            None => self.write(record),
        }
    }

    pub(super) fn write(&mut self, record: &dyn Record) -> io::Result<()> {
        let mut stdout = self.out.stdout();
        let stdout = &mut *stdout;
        match (self.out.shared.format, &mut self.layout) {
            (Format::Json, _) => json::line(&mut stdout.buffer, record),
            (Format::Yaml, _) => yaml::document(&mut stdout.buffer, record),
            (Format::Raw, _) if raw::value(&mut stdout.buffer, record) => {}
            (Format::Table, Some(layout)) => layout.push(&mut stdout.text, record),
            (format, _) if self.out.shared.terminal => {
                text::line_for_terminal(&mut stdout.text, record, format == Format::Table);
            }
            _ => text::line(&mut stdout.text, record),
        }
        stdout.put_text()
    }

    /// Writes the remaining rows.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn finish(mut self) -> io::Result<()> {
        let layout = self.layout.take();
        let mut stdout = self.out.stdout();
        if let Some(mut layout) = layout {
            layout.finish(&mut stdout.text);
        }
        stdout.put_text()?;
        stdout.drain()
    }
}

impl Drop for Sink {
    /// Writes rows that a table still holds, so that a failure between two records does not lose them.
    fn drop(&mut self) {
        if let Some(layout) = &mut self.layout {
            let mut stdout = self.out.stdout();
            layout.finish(&mut stdout.text);
            // The next flush reports the stream's error.
            let _ = stdout.put_text();
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}
