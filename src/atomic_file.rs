//! Replacing a file's contents as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Replaces the file's contents. A reader finds either the old or the new contents, also after a crash. The temporary
/// file has an unpredictable name in the same folder and is created exclusively, so that nothing planted there is
/// followed. A new file has mode 0600; an existing regular file keeps its mode. A symbolic link is replaced, not followed.
///
/// # Errors
/// The path is that of a device, a FIFO, a socket or a folder, or the folder or the disk refuses the write; the old
/// contents then remain.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    // A missing folder is named by its own error, not by that of the temporary file.
    fs::metadata(folder)?;
    check_replaceable(path)?;
    let mut file = tempfile::Builder::new().prefix(".kvadm-").tempfile_in(folder)?;
    if let Ok(old) = fs::symlink_metadata(path)
        && old.is_file()
    {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_folder(path)
}

/// The folder that holds the file.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until the file's name is on disk.
///
/// # Errors
/// The folder cannot be opened or synced.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Checks that there is no file at the path, or one that may be replaced: a device such as `/dev/null` must not be.
///
/// # Errors
/// The path is that of a device, a FIFO, a socket or a folder, or cannot be examined.
pub fn check_replaceable(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() || found.is_symlink() => Ok(()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_file_is_left_and_it_keeps_its_mode() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        let mode = || fs::metadata(&path).map(|about| about.permissions().mode() & 0o777);
        replace(&path, b"one")?;
        assert_eq!(mode()?, 0o600);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640))?;
        replace(&path, b"two")?;
        assert_eq!((mode()?, fs::read(&path)?), (0o640, b"two".to_vec()));
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn nothing_is_left_behind_by_a_failure() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let taken = folder.path().join("taken");
        fs::create_dir(&taken)?;
        assert!(replace(&taken, b"one").is_err());
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }
}
