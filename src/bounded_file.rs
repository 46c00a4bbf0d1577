//! Reads files up to a size: a device or a pipe may have no end.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

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
    let file = File::open(path)?;
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
}
