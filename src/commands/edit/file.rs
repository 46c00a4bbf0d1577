//! The file that the editor works on: in a folder of its own, readable by the user only.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::bounded_file;

/// Far above etcd's request limit (1.5 MiB by default).
const MAX_TEXT_BYTES: u64 = 64 << 20;
/// The name of the file with the value, if it differs from the text.
const VALUE_NAME: &str = "value";

/// The text of a value in a temporary file. It is removed with its folder when this is dropped, with everything that the
/// editor left there.
pub struct TextFile {
    folder: TempDir,
    path: PathBuf,
}

/// A file that stays.
pub struct KeptFile {
    /// The edited text.
    pub text: PathBuf,
    /// The value of the text, byte for byte: another file if the value differs from the text.
    pub value: PathBuf,
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
        Ok(bounded_file::read(&self.path, MAX_TEXT_BYTES)?.bytes)
    }

    /// Lets the file stay, with its value beside it if that is known and differs from the text.
    ///
    /// # Errors
    /// The file of the value cannot be written. The text stays.
    pub fn keep(self, value: Option<&[u8]>) -> (KeptFile, io::Result<()>) {
        let text = self.read().unwrap_or_default();
        // The folder protects the files, whatever mode the editor gave them.
        let folder = self.folder.keep();
        let _ = fs::set_permissions(&self.path, Permissions::from_mode(0o600));
        let mut kept = KeptFile { value: self.path.clone(), text: self.path };
        let Some(value) = value.filter(|value| *value != text) else { return (kept, Ok(())) };
        let path = folder.join(VALUE_NAME);
        let written = create(&path, value);
        kept.value = path;
        (kept, written)
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
    fn a_kept_file_has_its_value_beside_it() -> io::Result<()> {
        let file = TextFile::create("mode.txt", b"blue\n")?;
        fs::set_permissions(file.path(), Permissions::from_mode(0o644))?;
        let (kept, written) = file.keep(Some(b"blue"));
        written?;
        assert_eq!((fs::read(&kept.text)?, fs::read(&kept.value)?), (b"blue\n".to_vec(), b"blue".to_vec()));
        assert_eq!((mode(&kept.text)?, mode(&kept.value)?), (0o600, 0o600));
        fs::remove_dir_all(kept.text.parent().unwrap_or(&kept.text))
    }
}
