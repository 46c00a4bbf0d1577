//! The file that the editor works on: in a folder of its own, readable by the user only.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{atomic_file, bounded_file};

/// Far above etcd's request limit (1.5 MiB by default).
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// The text of a value in a temporary file. It is removed with its folder when this is dropped, with everything that the
/// editor left there.
pub struct TextFile {
    folder: TempDir,
    path: PathBuf,
}

/// A file that stays.
pub struct KeptFile {
    /// The file.
    pub path: PathBuf,
    /// Whether it is a regular file, which a command can read.
    pub is_file: bool,
}

impl TextFile {
    /// Creates the file with this name in a new folder below `$TMPDIR`.
    ///
    /// # Errors
    /// The system refuses the folder or the file.
    pub fn create(name: &str, text: &[u8]) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix("kvadm-edit-").permissions(Permissions::from_mode(0o700)).tempdir()?;
        let path = folder.path().join(name);
        create(&path, text)?;
        Ok(Self { folder, path })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the text.
    ///
    /// # Errors
    /// The editor has removed the file, or made it too large.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        Ok(bounded_file::read_regular(&self.path, MAX_TEXT_BYTES)?.bytes)
    }

    /// Lets the file stay. If the value of the text is given, the file then holds that value byte for byte, so that there is
    /// only one file to correct and to write.
    ///
    /// # Errors
    /// The file cannot be replaced. The text stays, and nothing is left beside it.
    pub fn keep(self, value: Option<&[u8]>) -> (KeptFile, io::Result<()>) {
        let text = self.read().ok();
        // The folder protects the file, whatever mode the editor gave it.
        let _folder = self.folder.keep();
        let _ = fs::set_permissions(&self.path, Permissions::from_mode(0o600));
        let replaced = match value {
            Some(value) if text.as_deref() != Some(value) => atomic_file::replace_unfollowed(&self.path, value),
            _ => Ok(()),
        };
        let is_file = fs::metadata(&self.path).is_ok_and(|about| about.is_file());
        (KeptFile { path: self.path, is_file }, replaced)
    }
}

fn create(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> io::Result<u32> {
        Ok(fs::metadata(path)?.permissions().mode() & 0o777)
    }

    #[test]
    fn only_the_user_can_read_the_file_and_nothing_is_left() -> io::Result<()> {
        let file = TextFile::create("mode.txt", b"blue")?;
        let folder = file.folder.path().to_owned();
        assert_eq!((mode(&folder)?, mode(file.path())?), (0o700, 0o600));
        assert_eq!(file.read()?, b"blue");
        fs::write(folder.join("mode.txt~"), "backup")?;
        drop(file);
        assert!(!folder.exists());
        Ok(())
    }

    #[test]
    fn a_kept_file_holds_the_value_and_is_the_only_one() -> io::Result<()> {
        for value in [None, Some(&b"blue\n"[..]), Some(b"blue")] {
            let file = TextFile::create("mode.txt", b"blue\n")?;
            fs::set_permissions(file.path(), Permissions::from_mode(0o644))?;
            let (kept, replaced) = file.keep(value);
            replaced?;
            assert_eq!(fs::read(&kept.path)?, value.unwrap_or(b"blue\n"));
            assert_eq!((mode(&kept.path)?, kept.is_file), (0o600, true));
            let folder = kept.path.parent().unwrap_or(&kept.path);
            assert_eq!(fs::read_dir(folder)?.count(), 1);
            fs::remove_dir_all(folder)?;
        }
        Ok(())
    }

    #[test]
    fn what_cannot_be_replaced_stays_and_a_link_is_not_followed() -> io::Result<()> {
        let file = TextFile::create("mode.txt", b"blue\n")?;
        let aim = file.folder.path().join("aim");
        fs::rename(file.path(), &aim)?;
        std::os::unix::fs::symlink(&aim, file.path())?;
        let (kept, replaced) = file.keep(Some(b"blue"));
        replaced?;
        assert_eq!((fs::read(&kept.path)?, fs::read(&aim)?), (b"blue".to_vec(), b"blue\n".to_vec()));
        fs::remove_dir_all(kept.path.parent().unwrap_or(&kept.path))?;
        let file = TextFile::create("mode.txt", b"blue\n")?;
        fs::remove_file(file.path())?;
        fs::create_dir(file.path())?;
        let (kept, replaced) = file.keep(Some(b"blue"));
        assert!(replaced.is_err() && !kept.is_file && kept.path.is_dir());
        fs::remove_dir_all(kept.path.parent().unwrap_or(&kept.path))
    }
}
