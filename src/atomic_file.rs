//! Files that are complete whenever they have their name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

/// Replaces the file's contents. A reader finds either the old or the new contents, also after a crash. The temporary
/// file has an unpredictable name in the same folder and is created exclusively, so that nothing planted there is
/// followed. A new file has mode 0600; an existing regular file keeps its mode. The file that a symbolic link names is
/// replaced at its place; the link stays.
///
/// # Errors
/// The path is that of a device, a FIFO, a socket or a folder, or a link to one, or the folder or the disk refuses the write;
/// the old contents then remain. A folder that cannot be synced is no error, because the file has its new contents: only a
/// crash of the machine could bring the old ones back.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    match Destination::of(path)? {
        Destination::File(path) => replace_file(&path, contents, 0o600),
        Destination::Stream(_) => Err(not_regular()),
    }
}

/// As [`replace`], but a symbolic link is replaced and not followed: for a file that kvadm has created itself.
///
/// # Errors
/// As [`replace`]; a link to a device is replaced.
pub fn replace_unfollowed(path: &Path, contents: &[u8]) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() && !found.is_symlink() => return Err(not_regular()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    replace_file(path, contents, 0o600)
}

/// Where a path leads after all symbolic links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A regular file at this path, or none yet: it can be replaced as a whole.
    File(PathBuf),
    /// A device, a FIFO or an open descriptor, such as `/dev/stderr`: it is written to, never replaced.
    Stream(PathBuf),
}

/// As many symbolic links as Linux follows.
const MAX_LINKS: usize = 40;

impl Destination {
    /// Follows the links. In a folder in which others may create files, such as `/tmp`, only the user's own links and those of
    /// the folder's owner are followed: another one could name any file of the user.
    ///
    /// # Errors
    /// The path is that of a folder or a socket, too many links, a link of somebody else, or the path cannot be examined.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut place = path.to_owned();
        for _ in 0..MAX_LINKS {
            let about = match fs::symlink_metadata(&place) {
                Ok(about) => about,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::File(place)),
                Err(error) => return Err(error),
            };
            if !about.is_symlink() {
                return match about.file_type() {
                    kind if kind.is_file() => Ok(Self::File(place)),
                    kind if kind.is_char_device() || kind.is_fifo() => Ok(Self::Stream(place)),
                    _ => Err(not_regular()),
                };
            }
            let folder = folder_of(&place);
            // A link in /proc names an open descriptor, whose file others may be writing to.
            if fs::canonicalize(folder)?.starts_with("/proc") {
                return Ok(Self::Stream(place));
            }
            check_owner(&about, &fs::metadata(folder)?)?;
            place = folder.join(fs::read_link(&place)?);
        }
        Err(io::Error::other("too many levels of symbolic links"))
    }
}

/// The rule of Linux' `protected_symlinks`.
fn check_owner(link: &fs::Metadata, folder: &fs::Metadata) -> io::Result<()> {
    const STICKY_AND_WRITABLE: u32 = 0o1002;
    let is_shared = folder.mode() & STICKY_AND_WRITABLE == STICKY_AND_WRITABLE;
    // The owner of this folder is the effective user of this process.
    let is_own = || fs::metadata("/proc/self").is_ok_and(|process| process.uid() == link.uid());
    if !is_shared || link.uid() == folder.uid() || is_own() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "a symbolic link of another user in a shared folder"))
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// Writes a file that other users read: a new file has mode 0666 without the bits of the umask. What is no regular file is
/// written to, which waits for the reader of a FIFO.
///
/// # Errors
/// As [`replace`], or the stream refuses the write.
pub fn write_shared(destination: &Destination, contents: &[u8]) -> io::Result<()> {
    match destination {
        Destination::File(path) => replace_file(path, contents, 0o666),
        Destination::Stream(path) => {
            const NO_TERMINAL: i32 = 0o400;
            // Appending: the descriptor may be that of a log.
            let stream = fs::OpenOptions::new().append(true).custom_flags(NO_TERMINAL).open(path);
            stream?.write_all(contents)
        }
    }
}

/// Replaces a file; `mode` is that of a new one, which the umask restricts.
fn replace_file(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let folder = folder_of(path);
    // A missing folder is named by its own error, not by that of the temporary file.
    fs::metadata(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".kvadm-").permissions(fs::Permissions::from_mode(mode));
    let mut file = builder.tempfile_in(folder).map_err(without_path)?;
    if let Some(old) = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file) {
        file.as_file().set_permissions(old.permissions())?;
    } else if mode == 0o600 {
        file.as_file().set_permissions(private())?;
    }
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    let _ = sync_folder(path);
    Ok(())
}

/// A new file that gets its name when it is complete. Until then it is a temporary file in the same folder, readable by the
/// user only, which is removed when this is dropped; a killed program leaves it behind.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    temporary: TempPath,
    path: PathBuf,
}

impl NewFile {
    /// Creates the temporary file `.kvadm-KIND-RANDOM.part`.
    ///
    /// # Errors
    /// A file has the name already, or the folder refuses a new file.
    pub fn create(path: &Path, kind: &str) -> io::Result<Self> {
        let folder = folder_of(path);
        // A missing folder is named by its own error, not by that of the temporary file.
        fs::metadata(folder)?;
        if fs::symlink_metadata(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let prefix = format!(".kvadm-{kind}-");
        let temporary = tempfile::Builder::new().prefix(&prefix).suffix(".part").tempfile_in(folder);
        let (file, temporary) = temporary.map_err(without_path)?.into_parts();
        file.set_permissions(private())?;
        Ok(Self { file, temporary, path: path.to_owned() })
    }

    /// The file, to write to and to read from.
    ///
    /// # Errors
    /// The system refuses a descriptor.
    pub fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Gives the file its name, and waits until contents and name are on disk. Never replaces another file. If the file has
    /// its name but its folder cannot be synced, such as one that may be written to but not read, returns that error: a crash
    /// of the machine could take the name away.
    ///
    /// # Errors
    /// A file of this name was created meanwhile, the temporary file is gone, or the disk refuses the write. The file does
    /// not have its name then.
    pub fn publish(self) -> io::Result<Option<io::Error>> {
        self.file.sync_all()?;
        self.temporary.persist_noclobber(&self.path).map_err(|refused| refused.error)?;
        Ok(sync_folder(&self.path).err())
    }
}

/// The mode of a file that only its owner may read, whatever the umask.
fn private() -> fs::Permissions {
    fs::Permissions::from_mode(0o600)
}

/// The system's error without the path of the temporary file, which no user knows.
fn without_path(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path ") {
        Some((text, _)) => io::Error::new(error.kind(), text),
        None => error,
    }
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

/// Checks that the path leads to no file, or to one that may be replaced: a device such as `/dev/null` must not be.
///
/// # Errors
/// The path leads to a device, a FIFO, a socket or a folder, or cannot be examined.
pub fn check_replaceable(path: &Path) -> io::Result<()> {
    match Destination::of(path)? {
        Destination::File(_) => Ok(()),
        Destination::Stream(_) => Err(not_regular()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

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
    fn a_link_stays_and_the_file_that_it_names_is_replaced() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real"))?;
        std::os::unix::fs::symlink("real/file", at("link"))?;
        std::os::unix::fs::symlink(at("link"), at("second"))?;
        std::os::unix::fs::symlink("/proc/self/fd/2", at("descriptor"))?;
        std::os::unix::fs::symlink("loop", at("loop"))?;
        std::os::unix::fs::symlink("/dev/null", at("null"))?;
        for contents in [b"one", b"two"] {
            replace(&at("second"), contents)?;
            assert_eq!(fs::read(at("real/file"))?, contents);
        }
        assert!(fs::symlink_metadata(at("second"))?.is_symlink() && fs::symlink_metadata(at("link"))?.is_symlink());
        for name in ["descriptor", "null", "loop", "real"] {
            assert!(replace(&at(name), b"x").is_err() && check_replaceable(&at(name)).is_err(), "{name}");
        }
        write_shared(&Destination::of(&at("null"))?, b"x")?;
        assert!(fs::symlink_metadata(at("null"))?.is_symlink());
        assert!(matches!(Destination::of(&at("descriptor"))?, Destination::Stream(_)));
        Ok(())
    }

    #[test]
    fn links_of_others_in_a_shared_folder_are_not_followed() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("file", &link)?;
        let about = fs::symlink_metadata(&link)?;
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o1777))?;
        assert!(check_owner(&about, &fs::metadata(folder.path())?).is_ok());
        // Only root can own a link that is somebody else's.
        if std::os::unix::fs::lchown(&link, Some(12_345), None).is_ok() {
            assert_eq!(replace(&link, b"x").map_err(|error| error.kind()), Err(io::ErrorKind::PermissionDenied));
            fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
            replace(&link, b"x")?;
        }
        Ok(())
    }

    #[test]
    fn a_new_file_has_its_name_only_when_it_is_complete() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        let names = || -> io::Result<Vec<String>> {
            fs::read_dir(folder.path())?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        };
        let file = NewFile::create(&path, "test")?;
        file.handle()?.write_all(b"one")?;
        assert!(matches!(&names()?[..], [name] if name.starts_with(".kvadm-test-") && name.ends_with(".part")));
        drop(file);
        assert_eq!(names()?, [""; 0]);
        let file = NewFile::create(&path, "test")?;
        file.handle()?.write_all(b"two")?;
        assert!(file.publish()?.is_none());
        assert_eq!((names()?, fs::read(&path)?), (vec!["file".to_owned()], b"two".to_vec()));
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        let exists = |error: io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        assert!(NewFile::create(&path, "test").is_err_and(exists));
        let (other, file) = (folder.path().join("other"), NewFile::create(&folder.path().join("other"), "test")?);
        fs::write(&other, b"theirs")?;
        assert!(file.publish().is_err_and(exists));
        assert_eq!((fs::read(&other)?, names()?.len()), (b"theirs".to_vec(), 2));
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

    /// The user has no right to a folder, unless this is root.
    #[test]
    fn a_folder_that_cannot_be_read_gets_its_file_all_the_same() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o300))?;
        let is_unreadable = File::open(folder.path()).is_err();
        let unsynced = NewFile::create(&path, "test")?.publish()?;
        assert_eq!(unsynced.map(|error| error.kind()), is_unreadable.then_some(io::ErrorKind::PermissionDenied));
        replace(&path, b"two")?;
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700))?;
        assert_eq!(fs::read(&path)?, b"two");
        Ok(())
    }

    #[test]
    fn an_error_names_no_temporary_file() -> io::Result<()> {
        let error = NewFile::create(Path::new("/proc/file"), "test").expect_err("a file in /proc");
        assert!(!error.to_string().contains("kvadm"), "{error}");
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        let file = NewFile::create(&path, "test")?;
        let moved = folder.path().with_extension("moved");
        fs::rename(folder.path(), &moved)?;
        let published = file.publish();
        fs::rename(&moved, folder.path())?;
        assert!(matches!(&published, Err(error) if error.kind() == io::ErrorKind::NotFound), "{published:?}");
        assert!(!path.exists());
        Ok(())
    }
}
