//! Saves the position of a watch in a file for the next run.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::atomic_file;
use crate::bounded_file;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, Revision};
use crate::output::bytes;

/// How long a written event may be missing from the file.
const SAVE_DELAY: Duration = Duration::from_millis(100);
/// How long a position without events may be missing from the file.
const IDLE_SAVE_DELAY: Duration = Duration::from_secs(5);

/// The place of a watch in the events of one store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumePosition {
    /// The first revision that was not written completely.
    pub next_revision: Revision,
    /// The last written key of that revision, escaped; absent if none was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_key: Option<String>,
}

/// What a position belongs to. Files of kvadm 0.1.0 do not have these fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ResumeScope {
    /// The cluster's ID in hex; absent if the server does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    /// The namespace, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// The start and the end of each watched range, escaped; no end for all keys from the start on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ranges: Option<Vec<(String, Option<String>)>>,
}

/// The content of a file.
#[derive(Serialize, Deserialize)]
struct SavedPosition {
    #[serde(flatten)]
    position: ResumePosition,
    #[serde(flatten)]
    scope: ResumeScope,
}

pub struct ResumeFile {
    path: PathBuf,
    position: Option<ResumePosition>,
    scope: ResumeScope,
    /// When the file must be saved, if it is out of date.
    due: Option<Instant>,
}

/// Upper bound on the file. Keys have at most 1.5 MiB, and its ranges are those of the command line.
const MAX_FILE_BYTES: u64 = 16 << 20;

impl ResumeFile {
    /// Reads the file, if it exists, for a watch on these ranges of a namespace.
    ///
    /// # Errors
    /// A usage error that names the file.
    pub fn open(path: &Path, namespace: &[u8], ranges: &[KeyRange]) -> Result<Self, Failure> {
        let invalid = |why: String| Failure::usage(format!("cannot resume from {}: {why}", path.display()));
        // A device such as /dev/stdout cannot be replaced later.
        atomic_file::check_replaceable(path).map_err(|error| invalid(error.to_string()))?;
        let saved: Option<SavedPosition> = match bounded_file::read(path, MAX_FILE_BYTES) {
            Ok(file) => {
                Some(serde_json::from_slice(&file.bytes).map_err(|error| invalid(format!("not a position: {error}")))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(invalid(error.to_string())),
        };
        let range = |range: &KeyRange| (bytes::escape(&range.start), range.end.as_deref().map(bytes::escape));
        let mut file = Self {
            path: path.to_owned(),
            position: None,
            scope: ResumeScope {
                cluster: None,
                namespace: Some(bytes::escape(namespace)),
                ranges: Some(ranges.iter().map(range).collect()),
            },
            due: None,
        };
        let Some(SavedPosition { position, scope }) = saved else { return Ok(file) };
        if position.next_revision < 1 {
            return Err(invalid("not a position: revisions count from 1".to_owned()));
        }
        let differs = |saved: bool, what: &str| match saved {
            true => Err(invalid(format!("the file belongs to a watch {what}"))
                .hint("use one file per watch, or delete the file to start anew")),
            false => Ok(()),
        };
        differs(scope.namespace.is_some() && scope.namespace != file.scope.namespace, "with another --namespace")?;
        differs(scope.ranges.is_some() && scope.ranges != file.scope.ranges, "on other keys")?;
        file.scope.cluster = scope.cluster;
        file.position = Some(position);
        Ok(file)
    }

    /// Binds the file to this cluster; `None` if the server does not tell its ID.
    ///
    /// # Errors
    /// The file belongs to another cluster.
    pub fn bind(&mut self, cluster: Option<u64>) -> Result<(), Failure> {
        let Some(cluster) = cluster.map(|cluster| format!("{cluster:x}")) else { return Ok(()) };
        match &self.scope.cluster {
            Some(saved) if *saved != cluster => Err(Failure::new(
                Exit::Refused,
                format!(
                    "cannot resume from {}: the file belongs to cluster {saved}, but the endpoints belong to cluster \
                     {cluster}",
                    self.path.display()
                ),
            )
            .hint("use one file per cluster, or delete the file to start anew")),
            Some(_) => Ok(()),
            None => {
                self.scope.cluster = Some(cluster);
                self.due.get_or_insert_with(|| Instant::now() + IDLE_SAVE_DELAY);
                Ok(())
            }
        }
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
        let Some(position) = self.position.clone() else { return Ok(()) };
        let mut text = serde_json::to_vec(&SavedPosition { position, scope: self.scope.clone() })?;
        text.push(b'\n');
        atomic_file::replace(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_position_is_saved_and_read_back() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("place");
        let open_as = |namespace: &[u8], prefix: &[u8]| {
            ResumeFile::open(&path, namespace, &[KeyRange::prefix(prefix)]).map_err(|failure| failure.view().error)
        };
        let open = || open_as(b"", b"/a/");
        let mut resume_file = open()?;
        assert!(resume_file.position().is_none() && resume_file.due().is_none());
        resume_file.mark(7, Some(b"/a\xff"));
        assert!(resume_file.due().is_some());
        resume_file.save().map_err(|failure| failure.view().error)?;
        assert!(resume_file.due().is_none());
        assert!(open_as(b"/n", b"/a/").is_err_and(|why| why.contains("another --namespace")));
        assert!(open_as(b"", b"/a").is_err_and(|why| why.contains("other keys")));
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

    #[test]
    fn a_file_without_a_cluster_is_bound_to_the_first_one() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("place");
        let open = || ResumeFile::open(&path, b"", &[KeyRange::prefix(b"/a/")]).map_err(|failure| failure.view().error);
        fs::write(&path, r#"{"next_revision":7}"#)?;
        let mut file = open()?;
        assert!(file.bind(None).is_ok() && file.due().is_none());
        assert!(file.bind(Some(0xa)).is_ok() && file.due().is_some());
        file.save().map_err(|failure| failure.view().error)?;
        assert_eq!(
            fs::read_to_string(&path)?,
            "{\"next_revision\":7,\"cluster\":\"a\",\"namespace\":\"\",\"ranges\":[[\"/a/\",\"/a0\"]]}\n"
        );
        let mut file = open()?;
        assert!(file.bind(Some(0xa)).is_ok() && file.due().is_none());
        let other = file.bind(Some(0xb)).map_err(|failure| (failure.exit, failure.view().error));
        assert!(other.is_err_and(|(exit, why)| exit == Exit::Refused && why.contains("cluster a, but")));
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
        let mut file = ResumeFile::open(&path, b"", &[]).map_err(|failure| failure.view().error)?;
        file.mark(7, None);
        file.save().map_err(|failure| failure.view().error)?;
        assert_eq!(fs::read_to_string(&other)?, "untouched");
        assert!(fs::symlink_metadata(&path)?.is_file());
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        Ok(())
    }
}
