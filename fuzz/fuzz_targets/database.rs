//! A database file with the fuzzer's changes. Nothing may panic or hang.
//!
//! The bytes are changes of a valid file: two bytes for the offset, one for the new byte. The checksums of the meta pages are
//! made right again, or no change of them would reach the pages.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use kvadm::backup::{EtcdFile, VerifyMonitor, verify};
use libfuzzer_sys::fuzz_target;

const VALID: &[u8] = include_bytes!("../../tests/support/databases/etcd-3.5.db");
static FILE: OnceLock<PathBuf> = OnceLock::new();

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = VALID[..VALID.len() - 32].to_vec();
    for change in data.chunks_exact(3) {
        let offset = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[offset] = change[2];
    }
    for meta in [16, 4096 + 16] {
        let checksum = fnv1a(&bytes[meta..meta + 56]);
        bytes[meta + 56..meta + 64].copy_from_slice(&checksum.to_le_bytes());
    }
    let path = FILE.get_or_init(|| std::env::temp_dir().join(format!("kvadm-fuzz-{}.db", std::process::id())));
    std::fs::write(path, &bytes).expect("write the file");
    let _ = verify(path, 0, &VerifyMonitor::default());
    if let Ok(mut revisions) = EtcdFile::open(path).and_then(|file| file.revisions()) {
        while let Ok(Some(_)) = revisions.next() {}
    }
});
