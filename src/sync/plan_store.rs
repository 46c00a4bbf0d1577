//! Where a plan is kept between its making and its execution: in an unnamed temporary file, or in a file of its own.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::plan::{PlanEntry, PlanHead};
use super::plan_file::{PlanFileError, PlanReader, PlanWriter};
use crate::atomic_file::{folder_of, sync_folder};

/// A plan that is being made.
pub struct NewPlan {
    writer: PlanWriter<BufWriter<PlanTarget>>,
}

enum PlanTarget {
    Unnamed(File),
    Named(NamedTempFile, PathBuf),
}

impl PlanTarget {
    fn file(&mut self) -> &mut File {
        match self {
            Self::Unnamed(file) => file,
            Self::Named(file, _) => file.as_file_mut(),
        }
    }
}

impl io::Write for PlanTarget {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl NewPlan {
    /// Begins a plan, which gets the name when it is complete.
    ///
    /// # Errors
    /// No file can be created there.
    pub fn begin(path: Option<&Path>, head: &PlanHead) -> io::Result<Self> {
        let target = match path {
            None => PlanTarget::Unnamed(tempfile::tempfile()?),
            Some(path) => {
                let file = tempfile::Builder::new().prefix(".kvadm-").tempfile_in(folder_of(path))?;
                PlanTarget::Named(file, path.to_owned())
            }
        };
        Ok(Self { writer: PlanWriter::begin(BufWriter::with_capacity(1 << 20, target), head)? })
    }

    /// Adds a change.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn entry(&mut self, entry: &PlanEntry) -> io::Result<()> {
        self.writer.entry(entry)
    }

    /// Completes the plan.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(self) -> io::Result<StoredPlan> {
        let target = self.writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        match target {
            PlanTarget::Unnamed(file) => Ok(StoredPlan(file)),
            PlanTarget::Named(file, path) => {
                file.as_file().sync_all()?;
                let file = file.persist_noclobber(&path)?;
                // A folder that may be written to but not read cannot be synced. The plan is there all the same.
                match sync_folder(&path) {
                    Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                    _ => {}
                }
                Ok(StoredPlan(file))
            }
        }
    }
}

/// A complete plan.
pub struct StoredPlan(File);

impl StoredPlan {
    /// Opens the plan in a file, which is read more than once.
    ///
    /// # Errors
    /// The file cannot be read, or is not a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        match file.metadata()?.is_file() {
            true => Ok(Self(file)),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }

    /// Reads the plan from its beginning.
    ///
    /// # Errors
    /// As [`PlanReader::open`].
    pub fn read(&self) -> Result<PlanReader<BufReader<File>>, PlanFileError> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        PlanReader::open(BufReader::with_capacity(1 << 16, file))
    }
}
