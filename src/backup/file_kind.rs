//! Names what a file is that is not a database, from its first bytes.

use std::path::{Path, PathBuf};

use super::bolt::MetaFault;

/// A file that is not a database: what it is, and what to do instead.
pub(super) struct FileKind {
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

impl FileKind {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What a file without a valid meta page is. `fault` is that of its first meta page.
    pub(super) fn of(path: &Path, start: &[u8], fault: MetaFault) -> Self {
        let file = crate::shell::quote(path.as_os_str().as_encoded_bytes());
        let unpack = |program: &str, command: &str| {
            Self::new(format!("it is compressed with {program}")).hint(format!("decompress it first: {command} {file}"))
        };
        match fault {
            MetaFault::Magic => {}
            MetaFault::BigEndian => {
                return Self::new("it was written by a big-endian machine, whose numbers kvadm does not read")
                    .hint(format!("run 'etcdutl snapshot status {file}' on a machine of that kind"));
            }
            MetaFault::Version(version) => {
                return Self::new(format!("it has version {version} of the bbolt format; etcd writes version 2"));
            }
            MetaFault::Checksum => {
                return Self::new("it begins like a database, but neither of its meta pages is valid");
            }
            MetaFault::PageSize(bytes) => {
                return Self::new(format!("its page size of {bytes} B is not one that bbolt uses"));
            }
        }
        let has_extension = |extension: &str| path.extension().is_some_and(|found| found == extension);
        match start {
            [0x1f, 0x8b, ..] => unpack("gzip", "gunzip"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => unpack("zstd", "unzstd"),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => unpack("xz", "unxz"),
            [b'B', b'Z', b'h', ..] => unpack("bzip2", "bunzip2"),
            [b'P', b'K', 3, 4, ..] => unpack("zip", "unzip"),
            start if start.get(257..262) == Some(b"ustar") => {
                Self::new("it is a tar archive").hint(format!("extract the database first: tar -xf {file}"))
            }
            start if is_wal(start) => {
                Self::new("it is a write-ahead log of etcd").hint("the database of a member is its file member/snap/db")
            }
            _ if has_extension("snap") => {
                Self::new("it is a raft snapshot of etcd").hint("the database of a member is the file db beside it")
            }
            _ if start.starts_with(b"Salted__") => Self::new("it is encrypted with openssl").hint("decrypt it first"),
            _ if start.starts_with(b"age-encryption.org/") => {
                Self::new("it is encrypted with age").hint("decrypt it first")
            }
            [b'{' | b'[', ..] => Self::new("it is text, perhaps JSON")
                .hint("'kvadm diff' and 'kvadm restore' read what 'kvadm list -o json' wrote with --source file:PATH"),
            _ if start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
                Self::new("it is text")
            }
            _ if start.iter().all(|byte| *byte == 0) => {
                Self::new("it begins with zeros: perhaps its copy was interrupted")
            }
            _ => Self::new("it does not begin like a bbolt database; it may be encrypted or of another program"),
        }
    }

    /// What a directory is. The database of a member's data directory is named.
    pub(super) fn of_directory(path: &Path) -> Self {
        let candidates = [&["member", "snap", "db"][..], &["snap", "db"], &["db"]];
        let database =
            candidates.into_iter().map(|parts| parts.iter().fold(path.to_owned(), |path, part| path.join(part)));
        let kind = Self::new("it is a folder");
        match database.into_iter().find(|path: &PathBuf| path.is_file()) {
            Some(database) => kind.hint(format!(
                "the database in it is {} (copy it while the member is stopped)",
                crate::shell::quote(database.as_os_str().as_encoded_bytes())
            )),
            None => kind,
        }
    }

    /// A bbolt database without etcd's buckets.
    pub(super) fn of_other_program(buckets: &[Vec<u8>]) -> Self {
        const SHOWN: usize = 5;
        if buckets.is_empty() {
            return Self::new("it is a bbolt database without any buckets");
        }
        let mut names: Vec<String> = buckets.iter().take(SHOWN).map(|name| name.escape_ascii().to_string()).collect();
        if buckets.len() > SHOWN {
            names.push("...".to_owned());
        }
        Self::new(format!("it is a bbolt database of another program (its buckets: {})", names.join(", ")))
    }
}

/// Whether bytes begin with the first record of etcd's write-ahead log: the length of the record with its padding in the
/// high byte, then a record of type 4 (`crcType` in `server/storage/wal/wal.go`) whose checksum is 0.
fn is_wal(start: &[u8]) -> bool {
    start.get(7).is_some_and(|padding| *padding == 0 || padding & 0xf8 == 0x80)
        && start.get(1..7) == Some(&[0; 6])
        && start.get(8..12) == Some(&[8, 4, 16, 0])
}
