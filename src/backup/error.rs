//! Why a database file cannot be used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::bolt::{BoltError, Damage};

/// How to get a file that is whole.
const GOOD_COPY: &str = "'kvadm snapshot save' writes a proved copy of a running store; copy a member's file only while the \
                         member is stopped";

/// Why a database file cannot be used. The path is that of the file.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The system does not give the file.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is not an etcd database: {what}", path.display())]
    OtherKind {
        /// The file.
        path: PathBuf,
        /// What the file is instead.
        what: String,
        /// What to do instead, if that is known.
        hint: Option<String>,
    },
    /// The file is not as it was when it was opened.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file contradicts the format.
    #[error("{} is damaged: {damage}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, and how.
        damage: Damage,
    },
}

impl BackupError {
    /// Adds the file to an error of the bbolt reader.
    pub(super) fn of(path: &std::path::Path, error: BoltError) -> Self {
        let path = path.to_owned();
        match error {
            BoltError::Io(source) => Self::Io { path, source },
            BoltError::Changed => Self::Changed { path },
            BoltError::Damaged(damage) => Self::Damaged { path, damage },
            error @ (BoltError::Irregular(_) | BoltError::Empty | BoltError::NoMeta(_)) => {
                Self::OtherKind { path, what: error.to_string(), hint: None }
            }
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
                let folder = crate::atomic_file::folder_of(path);
                let folder = crate::shell::quote(folder.as_os_str().as_encoded_bytes());
                Some(format!("check the name of the file: ls -l {folder}"))
            }
            Self::Io { .. } => None,
            Self::OtherKind { hint, .. } => hint.clone(),
            Self::Damaged { path, .. } => Some(format!(
                "'kvadm snapshot verify {}' lists the damage; {GOOD_COPY}",
                crate::shell::quote(path.as_os_str().as_encoded_bytes())
            )),
            Self::Changed { .. } => Some(GOOD_COPY.to_owned()),
        }
    }
}
