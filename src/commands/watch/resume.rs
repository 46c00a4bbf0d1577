//! Saves the position of a watch in a file for the next run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::atomic_file;
use crate::error::{Exit, Failure};
use crate::kvstore::Revision;
use crate::output::bytes;

/// How long a written event may be missing from the file.
const SAVE_DELAY: Duration = Duration::from_millis(100);
/// How long a position without events may be missing from the file.
const IDLE_SAVE_DELAY: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumePosition {
    /// The first revision that was not written completely.
    pub next_revision: Revision,
    /// The last written key of that revision, escaped; absent if none was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_key: Option<String>,
}

pub struct ResumeFile {
    path: PathBuf,
    position: Option<ResumePosition>,
    /// When the file must be saved, if it is out of date.
    due: Option<Instant>,
}

impl ResumeFile {
    /// Reads the file, if it exists.
    ///
    /// # Errors
    /// A usage error that names the file.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let invalid = |why: String| Failure::usage(format!("cannot resume from {}: {why}", path.display()));
        let position: Option<ResumePosition> = match fs::read(path) {
            Ok(text) => {
                Some(serde_json::from_slice(&text).map_err(|error| invalid(format!("not a position: {error}")))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(invalid(error.to_string())),
        };
        if position.as_ref().is_some_and(|position| position.next_revision < 1) {
            return Err(invalid("not a position: revisions count from 1".to_owned()));
        }
        Ok(Self { path: path.to_owned(), position, due: None })
    }

    pub fn position(&self) -> Option<&ResumePosition> {
        self.position.as_ref()
    }

    /// Records that everything before this revision, and its keys up to `after`, was written.
    pub fn mark(&mut self, next_revision: Revision, after: Option<&[u8]>) {
        self.position = Some(ResumePosition { next_revision, after_key: after.map(bytes::escape) });
        let due = Instant::now() + SAVE_DELAY;
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// Records that there were no events before this revision.
    pub fn advance(&mut self, next_revision: Revision) {
        if self.position.as_ref().is_none_or(|position| position.next_revision < next_revision) {
            self.position = Some(ResumePosition { next_revision, after_key: None });
            self.due.get_or_insert_with(|| Instant::now() + IDLE_SAVE_DELAY);
        }
    }

    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Replaces the file atomically.
    ///
    /// # Errors
    /// A write error, with the file's name.
    pub fn save(&mut self) -> Result<(), Failure> {
        if self.due.take().is_none() {
            return Ok(());
        }
        let path = self.path.display().to_string();
        self.write().map_err(|error| {
            Failure::new(Exit::Partial, format!("cannot write --resume file {path}: {error}"))
                .hint("the next run would repeat some events")
        })
    }

    fn write(&self) -> io::Result<()> {
        let Some(position) = &self.position else { return Ok(()) };
        let mut text = serde_json::to_vec(position)?;
        text.push(b'\n');
        atomic_file::replace(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_saved_and_read_back() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("place");
        let open = || ResumeFile::open(&path).map_err(|failure| failure.view().error);
        let mut resume_file = open()?;
        assert!(resume_file.position().is_none() && resume_file.due().is_none());
        resume_file.mark(7, Some(b"/a\xff"));
        assert!(resume_file.due().is_some());
        resume_file.save().map_err(|failure| failure.view().error)?;
        assert!(resume_file.due().is_none());
        assert_eq!(
            open()?.position(),
            Some(&ResumePosition { next_revision: 7, after_key: Some("/a\\xff".to_owned()) })
        );
        fs::write(&path, "{}")?;
        assert!(open().is_err_and(|why| why.contains("not a position")));
        fs::write(&path, r#"{"next_revision":0}"#)?;
        assert!(open().is_err());
        Ok(())
    }

    /// The file may lie in a folder that others can write to.
    #[test]
    fn a_planted_symlink_is_not_followed_and_the_file_is_private() -> Result<(), Box<dyn std::error::Error>> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        let (path, other) = (folder.path().join("place"), folder.path().join("other"));
        fs::write(&other, "untouched")?;
        std::os::unix::fs::symlink(&other, folder.path().join("place.new"))?;
        let mut file = ResumeFile::open(&path).map_err(|failure| failure.view().error)?;
        file.mark(7, None);
        file.save().map_err(|failure| failure.view().error)?;
        assert_eq!(fs::read_to_string(&other)?, "untouched");
        assert!(fs::symlink_metadata(&path)?.is_file());
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        Ok(())
    }
}
