//! The databases in `tests/support/databases`. Its README says how they were made.

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/databases")
}

/// The snapshot of an etcd of this version, such as `3.5`.
pub fn snapshot(version: &str) -> PathBuf {
    folder().join(format!("etcd-{version}.db"))
}

/// The bytes of a database that is kept as text, without its zeros.
pub fn sparse(name: &str) -> Vec<u8> {
    let text = fs::read_to_string(folder().join(format!("{name}.hex"))).unwrap();
    let mut lines = text.lines();
    let length: usize = lines.next().unwrap().split(' ').next().unwrap().parse().unwrap();
    let mut bytes = vec![0; length];
    for line in lines {
        let (offset, hex) = line.split_once(": ").unwrap();
        let offset = usize::from_str_radix(offset, 16).unwrap();
        for (at, digits) in hex.as_bytes().chunks(2).enumerate() {
            bytes[offset + at] = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        }
    }
    bytes
}

/// Writes bytes to a file in the folder.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}
