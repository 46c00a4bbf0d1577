//! The undo file of a restore: a step is on disk before it is executed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::plan::{PlanHead, UndoEntry};
use super::plan_file::PlanWriter;
use crate::kvstore::Revision;

/// A new undo file.
pub struct UndoFile {
    /// Lines that are not in the file yet.
    writer: PlanWriter<Vec<u8>>,
    file: File,
}

impl UndoFile {
    /// Creates the file, readable by the user only, because it holds values.
    ///
    /// # Errors
    /// The file exists, or cannot be created.
    pub fn create(path: &Path, head: &PlanHead) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut undo = Self { writer: PlanWriter::begin(Vec::new(), head)?, file };
        undo.sync()?;
        Ok(undo)
    }

    /// Writes the changes that take a step back, and waits until they are on disk.
    ///
    /// # Errors
    /// The disk refuses the write; the step must not be executed then.
    pub fn write(&mut self, undo: &[UndoEntry]) -> io::Result<()> {
        undo.iter().try_for_each(|entry| self.writer.undo(entry))?;
        self.sync()
    }

    /// Adds the outcome of a step, which is on disk with the next step.
    ///
    /// # Errors
    /// None in practice: JSON can represent every outcome.
    pub fn step_done(&mut self, step: u64, revision: Revision, left: Vec<u64>) -> io::Result<()> {
        self.writer.step_done(step, revision, left)
    }

    /// Writes all lines, and waits until they are on disk.
    ///
    /// # Errors
    /// The disk refuses the write.
    pub fn sync(&mut self) -> io::Result<()> {
        let lines = std::mem::take(self.writer.get_mut());
        io::Write::write_all(&mut self.file, &lines)?;
        self.file.sync_data()
    }
}
