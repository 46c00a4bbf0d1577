//! Reads files up to a size: a device or a pipe may have no end.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// A file's contents and what the system says about it.
pub struct BoundedFile {
    /// The whole contents.
    pub bytes: Vec<u8>,
    /// Of the opened file.
    pub metadata: Metadata,
}

/// Reads a whole file, device or pipe of at most `limit` bytes.
///
/// # Errors
/// The system's error, or [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, limit: u64) -> io::Result<BoundedFile> {
    read_file(File::open(path)?, limit)
}

/// Reads a whole regular file of at most `limit` bytes. It does not wait for the writer of a pipe.
///
/// # Errors
/// As [`read`], or [`io::ErrorKind::InvalidInput`] for anything but a regular file.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<BoundedFile> {
    read_file(open_regular(path)?, limit)
}

fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// The first `length` bytes of a regular file, or all of a shorter one.
///
/// # Errors
/// As [`read_regular`].
pub fn start_of_regular(path: &Path, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_file(file: File, limit: u64) -> io::Result<BoundedFile> {
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes")));
    }
    Ok(BoundedFile { bytes, metadata })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_up_to_the_limit_is_read_whole() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        std::fs::write(&path, b"four")?;
        assert_eq!(read(&path, 4)?.bytes, b"four");
        assert_eq!(read(&path, 3).map(|_| ()).map_err(|e| e.kind()), Err(io::ErrorKind::FileTooLarge));
        let endless = read(Path::new("/dev/zero"), 10).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(endless, Err("more than 10 bytes".to_owned()));
        Ok(())
    }

    #[test]
    fn only_a_regular_file_is_read_where_one_is_needed() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let [file, fifo] = ["file", "fifo"].map(|name| dir.path().join(name));
        std::fs::write(&file, b"four")?;
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
        assert_eq!(read_regular(&file, 4)?.bytes, b"four");
        for path in [&fifo, Path::new("/dev/zero"), dir.path()] {
            let refused = read_regular(path, 10).map(|_| ()).map_err(|e| e.to_string());
            assert_eq!(refused, Err("not a regular file".to_owned()), "{}", path.display());
        }
        Ok(())
    }
}
