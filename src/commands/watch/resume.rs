//! The place of a watch between two runs, in a file.

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

/// How far the file may be behind what was told.
const LATE: Duration = Duration::from_millis(100);
/// How far it may be behind where there was nothing to tell.
const IDLE: Duration = Duration::from_secs(5);

/// Where a watch is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumePosition {
    /// The first revision that has not been told whole.
    pub next_revision: Revision,
    /// The last key of that revision that was told, escaped; absent where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_key: Option<String>,
}

/// Keeps a place in a file.
pub struct ResumeFile {
    path: PathBuf,
    place: Option<ResumePosition>,
    /// When the file has to have the place, where it has not.
    due: Option<Instant>,
}

impl ResumeFile {
    /// Reads the file, if it is there.
    ///
    /// # Errors
    /// A usage error that names the file.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let bad = |why: String| Failure::usage(format!("--resume {}: {why}", path.display()));
        let place: Option<ResumePosition> = match fs::read(path) {
            Ok(text) => Some(serde_json::from_slice(&text).map_err(|error| bad(format!("is no place: {error}")))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(bad(error.to_string())),
        };
        if place.as_ref().is_some_and(|place| place.next_revision < 1) {
            return Err(bad("is no place: revisions count from 1".to_owned()));
        }
        Ok(Self { path: path.to_owned(), place, due: None })
    }

    /// The place.
    pub fn place(&self) -> Option<&ResumePosition> {
        self.place.as_ref()
    }

    /// Takes a place in: everything before this revision was told, and of it everything up to this key.
    pub fn mark(&mut self, next_revision: Revision, after: Option<&[u8]>) {
        self.place = Some(ResumePosition { next_revision, after_key: after.map(bytes::escape) });
        let due = Instant::now() + LATE;
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// Takes in that there was nothing to tell before this revision.
    pub fn advance(&mut self, next_revision: Revision) {
        if self.place.as_ref().is_none_or(|place| place.next_revision < next_revision) {
            self.place = Some(ResumePosition { next_revision, after_key: None });
            self.due.get_or_insert_with(|| Instant::now() + IDLE);
        }
    }

    /// When [`ResumeFile::save`] is due, if it is.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the file so that it always holds one place or the other, whatever happens meanwhile.
    ///
    /// # Errors
    /// Names the file.
    pub fn save(&mut self) -> Result<(), Failure> {
        if self.due.take().is_none() {
            return Ok(());
        }
        let shown = self.path.display().to_string();
        self.write().map_err(|error| {
            Failure::new(Exit::Partial, format!("cannot keep the place in {shown}: {error}"))
                .hint("the next run would tell some events again")
        })
    }

    fn write(&self) -> io::Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        let mut text = serde_json::to_vec(place)?;
        text.push(b'\n');
        atomic_file::replace(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_and_read_back() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("place");
        let open = || ResumeFile::open(&path).map_err(|failure| failure.view().error);
        let mut keeper = open()?;
        assert!(keeper.place().is_none() && keeper.due().is_none());
        keeper.mark(7, Some(b"/a\xff"));
        assert!(keeper.due().is_some());
        keeper.save().map_err(|failure| failure.view().error)?;
        assert!(keeper.due().is_none());
        assert_eq!(open()?.place(), Some(&ResumePosition { next_revision: 7, after_key: Some("/a\\xff".to_owned()) }));
        fs::write(&path, "{}")?;
        assert!(open().is_err_and(|why| why.contains("is no place")));
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
