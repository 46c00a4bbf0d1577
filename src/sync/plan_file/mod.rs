//! The format of plan and undo files: a head, and one entry a line.

#[cfg(test)]
mod tests;
mod wire;

use std::io::{self, BufRead, Read, Write};

use serde::Serialize;
use thiserror::Error as ThisError;

use super::lines::MAX_LINE_BYTES;
use super::plan::{PlanEntry, PlanHead, PlanLine, UndoEntry};
use crate::kvstore::Revision;
use crate::output::ChangeCounts;

use wire::{WireEnd, WireEntry, WireHead, WireStepEnd};

/// Why a file is not a plan.
#[derive(Debug, ThisError)]
pub enum PlanFileError {
    /// The operating system cannot read or write the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line that does not belong into a plan.
    #[error("line {line}: {why}")]
    Line {
        /// The line, counted from 1.
        line: u64,
        /// Why not.
        why: String,
    },
    /// The file ends before the end of the plan.
    #[error("the file is cut: it has no last line with the number of entries")]
    Cut,
}

/// Writes a plan line by line.
pub struct PlanWriter<W: Write> {
    out: W,
    entries: u64,
}

impl<W: Write> PlanWriter<W> {
    /// Begins a plan.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn begin(out: W, head: &PlanHead) -> io::Result<Self> {
        let mut writer = Self { out, entries: 0 };
        writer.line(&WireHead::of(head))?;
        Ok(writer)
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.out.write_all(&text)
    }

    /// Writes a change.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn entry(&mut self, entry: &PlanEntry) -> io::Result<()> {
        self.entries += 1;
        self.line(&WireEntry::of(entry))
    }

    /// Writes a change of an undo file.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn undo(&mut self, undo: &UndoEntry) -> io::Result<()> {
        self.entries += 1;
        self.line(&WireEntry::of_undo(undo))
    }

    /// Writes the outcome of a step of an undo file.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn step_done(&mut self, step: u64, revision: Revision, left: Vec<u64>) -> io::Result<()> {
        self.line(&WireStepEnd { step_done: step, mod_revision: revision, left })
    }

    /// Writes the last line, which counts the changes.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn end(&mut self) -> io::Result<()> {
        self.line(&WireEnd { entries: self.entries })
    }

    /// Ends a plan.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.end()?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// The output.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }
}

/// Reads a plan line by line.
pub struct PlanReader<R: BufRead> {
    input: R,
    head: PlanHead,
    line: u64,
    entries: u64,
    ended: bool,
    last_key: Option<Vec<u8>>,
}

impl<R: BufRead> PlanReader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// The file cannot be read, or does not begin as a plan.
    pub fn open(input: R) -> Result<Self, PlanFileError> {
        let mut reader = Self { input, head: PlanHead::default(), line: 0, entries: 0, ended: false, last_key: None };
        let line = reader.read_line()?.unwrap_or_default();
        reader.head = wire::parse_head(&line).map_err(|why| reader.bad(why))?;
        Ok(reader)
    }

    /// What the plan belongs to.
    pub fn head(&self) -> &PlanHead {
        &self.head
    }

    /// Whether the last line was read. An undo file of a restore that was interrupted has none.
    pub fn is_complete(&self) -> bool {
        self.ended
    }

    fn bad(&self, why: impl Into<String>) -> PlanFileError {
        PlanFileError::Line { line: self.line, why: why.into() }
    }

    fn read_line(&mut self) -> Result<Option<Vec<u8>>, PlanFileError> {
        let mut line = Vec::new();
        // Twice a record's line: an undo entry has two values.
        let limit = 2 * MAX_LINE_BYTES as u64;
        let read = Read::take(&mut self.input, limit).read_until(b'\n', &mut line)?;
        self.line += 1;
        if read as u64 == limit {
            return Err(self.bad("the line is too long"));
        }
        Ok((read > 0).then_some(line))
    }

    /// The next line; `None` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read, is cut, or a line does not belong into a plan. The last line of an undo file may be cut.
    pub fn next_line(&mut self) -> Result<Option<PlanLine>, PlanFileError> {
        let Some(line) = self.read_line()? else {
            return if self.ended || self.head.undo { Ok(None) } else { Err(PlanFileError::Cut) };
        };
        if self.ended {
            return Err(self.bad("a line follows the end of the plan"));
        }
        if !line.ends_with(b"\n") {
            // A line is written and synced before its step is executed.
            return if self.head.undo { Ok(None) } else { Err(PlanFileError::Cut) };
        }
        let line = wire::parse_line(&line, &self.head).map_err(|why| self.bad(why))?;
        match &line {
            PlanLine::Entry(entry) => {
                if self.last_key.as_ref().is_some_and(|last| *last >= entry.key) {
                    return Err(self.bad("the keys are not in order"));
                }
                self.last_key = Some(entry.key.clone());
                self.entries += 1;
            }
            PlanLine::End { entries } if *entries != self.entries => {
                return Err(self.bad(format!("the plan has {} entries, its last line counts {entries}", self.entries)));
            }
            PlanLine::End { .. } => self.ended = true,
            PlanLine::Undo(_) => self.entries += 1,
            PlanLine::StepDone { .. } => {}
        }
        Ok(Some(line))
    }
}

/// The number of changes of a plan, or of an undo file. Reads it to its end.
///
/// # Errors
/// As [`PlanReader::next_line`].
pub fn count_changes<R: BufRead>(
    reader: &mut PlanReader<R>,
    mut seen: impl FnMut(&PlanEntry),
) -> Result<ChangeCounts, PlanFileError> {
    let mut counts = ChangeCounts::default();
    while let Some(line) = reader.next_line()? {
        if let PlanLine::Entry(entry) | PlanLine::Undo(UndoEntry { entry, .. }) = &line {
            counts.add(entry.kind);
            seen(entry);
        }
    }
    Ok(counts)
}
