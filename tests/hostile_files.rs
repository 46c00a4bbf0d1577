//! Files that are no databases, and databases that were changed to do harm.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use kvadm::backup::{Checksum, VerifyMonitor, verify};

use super::support::databases::{snapshot, sparse, write};
use super::support::{Kvadm, Run};

fn run(path: &Path) -> Run {
    Kvadm::new().args(["snapshot", "verify"]).arg(path).run()
}

/// The error of a file that is no database, behind its path.
fn refusal(path: &Path) -> String {
    let run = run(path);
    let text = run.code(2).out_empty().within(Duration::from_secs(5)).stderr_text();
    let (_, rest) = text.split_once(&format!("error: {} is not an etcd database: ", path.display())).expect(&text);
    rest.to_owned()
}

#[test]
fn what_a_file_is_instead_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let said = |name: &str, bytes: &[u8]| {
        let path = write(folder.path(), name, bytes);
        refusal(&path).replace(path.to_str().unwrap(), "FILE")
    };
    assert_eq!(said("empty", b""), "the file is empty\n");
    assert_eq!(
        said("x.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        "it is compressed with gzip\nhint: decompress it first: gunzip FILE\n"
    );
    assert_eq!(
        said("x.zst", b"\x28\xb5\x2f\xfd\x24\0"),
        "it is compressed with zstd\nhint: decompress it first: unzstd FILE\n"
    );
    assert_eq!(said("x.txt", b"hello\n"), "it is text\n");
    assert!(
        said("x.jsonl", b"{\"key\":\"a\"}\n")
            .starts_with("it is text, perhaps JSON\nhint: 'kvadm diff' and 'kvadm restore' read")
    );
    assert_eq!(said("x.enc", b"Salted__\x01\x02\x03"), "it is encrypted with openssl\nhint: decrypt it first\n");
    let unknown = "it does not begin like a bbolt database; it may be encrypted or of another program\n";
    assert_eq!(said("random", &[0x9c; 5000]), unknown);
    assert_eq!(said("short", &[0x9c; 5]), unknown);
    assert_eq!(said("zeros", &[0; 8192]), "it begins with zeros: perhaps its copy was interrupted\n");
    let tar = [&[b'x'; 257][..], b"ustar\0", &[0; 300]].concat();
    assert_eq!(said("x.tar", &tar), "it is a tar archive\nhint: extract the database first: tar -xf FILE\n");
    // What `hexdump -C` shows of the beginning of a member's first log.
    let wal = b"\x04\0\0\0\0\0\0\x84\x08\x04\x10\0\0\0\0\0\x20\0\0\0\0\0\0\0";
    assert!(
        said("0.wal", wal)
            .starts_with("it is a write-ahead log of etcd\nhint: the database of a member is its file member/snap/db")
    );
    assert!(said("1.snap", &[8, 0x9c, 1]).starts_with("it is a raft snapshot of etcd\nhint: "));
    assert_eq!(said("meta.db", &sparse("containerd")), "it is a bbolt database of another program (its buckets: v1)\n");
}

#[test]
fn a_log_of_a_real_member_is_recognised() {
    let etcd = super::support::Etcd::start();
    let mut folders = vec![etcd.dir().to_owned()];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "wal") {
                found += 1;
                assert!(refusal(&path).starts_with("it is a write-ahead log of etcd\n"));
            }
        }
    }
    assert_eq!(found, 1);
}

#[test]
fn a_directory_names_the_database_in_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refusal(folder.path()), "it is a folder\n");
    let data = folder.path().join("my data");
    fs::create_dir_all(data.join("member/snap")).unwrap();
    fs::copy(snapshot("3.5"), data.join("member/snap/db")).unwrap();
    for (inside, rest) in [("", "member/snap/db"), ("member", "snap/db"), ("member/snap", "db")] {
        let path = data.join(inside);
        let hint = format!("hint: the database in it is '{}' (copy it while", path.join(rest).display());
        assert!(refusal(&path).contains(&hint), "{inside}: {}", refusal(&path));
    }
}

#[test]
fn what_is_no_regular_file_or_cannot_be_read_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(refusal(&fifo), "a named pipe, not a regular file\n");
    assert_eq!(refusal(Path::new("/dev/zero")), "a device, not a regular file\n");
    let missing = folder.path().join("missing\u{1b}[2J");
    let error = run(&missing);
    error.code(2).out_empty().err_lacks("\u{1b}").err_has("error: cannot read ").err_has("No such file or directory");
    let secret = write(folder.path(), "secret", b"x");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&secret).is_err() {
        run(&secret).code(2).out_empty().err_has("cannot read ").err_has("Permission denied");
    }
    Kvadm::new().args(["snapshot", "verify"]).run().code(2).out_empty().err_has("<FILE>");
}

/// A meta page with these fields, whose checksum is right.
fn meta(page_bytes: u32, root: u64, pages: u64, transaction: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [0xED0C_DAED, 2, page_bytes, 0] {
        bytes.extend(u32::to_le_bytes(number));
    }
    for number in [root, 0, u64::MAX, pages, transaction] {
        bytes.extend(number.to_le_bytes());
    }
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    bytes.extend(hash.to_le_bytes());
    bytes
}

/// A database of 3.5 whose two meta pages are these.
fn with_meta(fields: &[u8]) -> Vec<u8> {
    let mut bytes = fs::read(snapshot("3.5")).unwrap();
    bytes.truncate(bytes.len() - 32);
    for page in [0, 4096] {
        bytes[page + 16..page + 16 + fields.len()].copy_from_slice(fields);
    }
    bytes
}

#[test]
fn formats_that_are_not_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let said = |fields: &[u8]| refusal(&write(folder.path(), "db", &with_meta(fields)));
    assert!(said(&[0xed, 0x0c, 0xda, 0xed]).starts_with("it was written by a big-endian machine"));
    assert!(
        said(&[0xed, 0xda, 0x0c, 0xed, 1]).starts_with("it has version 1 of the bbolt format; etcd writes version 2")
    );
    assert!(said(&[0xed, 0xda, 0x0c, 0xed, 2, 0, 0, 0, 1]).contains("neither of its meta pages is valid"));
    for size in [0, 1, 512, 4097, 1 << 30, u32::MAX] {
        assert!(
            said(&meta(size, 3, 5, 1)).starts_with(&format!("its page size of {size} B is not one that bbolt uses"))
        );
    }
}

#[test]
fn a_root_that_leads_nowhere_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    for (root, pages) in [(0, 5), (1, 5), (7, 5), (u64::MAX, u64::MAX), (1 << 40, u64::MAX), (2, 2)] {
        let path = write(folder.path(), "db", &with_meta(&meta(4096, root, pages, 1)));
        let run = run(&path);
        // Pages that the file does not have are a problem of their own.
        let problems = if pages <= 5 { "1 problem" } else { "2 problems" };
        run.code(4)
            .out_has("result\tdamaged\n")
            .within(Duration::from_secs(5))
            .err_has(&format!("db is damaged: {problems} in its pages"));
    }
}

/// Verifies bytes in this process, in limited time.
fn verified(path: &Path, bytes: &[u8]) -> Option<kvadm::backup::Verification> {
    fs::write(path, bytes).unwrap();
    let started = Instant::now();
    let found = verify(path, 0, &VerifyMonitor::default()).ok();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    found
}

#[test]
fn a_snapshot_that_is_cut_at_any_page_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    for version in ["3.4", "3.5", "3.6", "3.7"] {
        let bytes = fs::read(snapshot(version)).unwrap();
        let mut intact = 0;
        for length in (0..bytes.len()).step_by(4096).chain([bytes.len() - 1, bytes.len() - 31, 4096 + 32]) {
            let found = verified(&path, &bytes[..length]);
            // Pages at the end may be free: without them nothing is missing, but nothing is proved either.
            let is_intact = found.is_some_and(|found| {
                assert_ne!(found.checksum, Checksum::Verified(String::new()));
                found.is_intact() && found.checksum != Checksum::Absent
            });
            intact += usize::from(is_intact);
        }
        assert_eq!(intact, 0, "{version}");
        assert!(verified(&path, &bytes).unwrap().is_intact());
    }
}

#[test]
fn every_flipped_byte_is_found_with_a_sha256_and_survived_without() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let good = fs::read(snapshot("3.6")).unwrap();
    let mut bytes = good.clone();
    let database = good.len() - 32;
    let (mut found_without, mut survived) = (0, 0);
    for at in 0..good.len() {
        // Runs of zeros are free space: every 16th byte of them is enough.
        if good[at] == 0 && at % 16 != 0 {
            continue;
        }
        bytes[at] ^= 1 << (at % 8);
        let with = verified(&path, &bytes);
        assert!(!with.is_some_and(|found| found.is_intact()), "byte {at} was flipped, and the file is intact");
        if at < database {
            survived += 1;
            let without = verified(&path, &bytes[..database]);
            found_without += usize::from(!without.is_some_and(|found| found.is_intact()));
        }
        bytes[at] = good[at];
    }
    assert!(survived > 1000 && found_without > 100, "{found_without} of {survived}");
}

#[test]
fn a_sparse_file_of_a_terabyte_needs_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "db", &with_meta(&meta(4096, 3, u64::MAX, 9)));
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let run = Kvadm::new().args(["snapshot", "verify"]).arg(&path).memory(256 << 20).run();
    run.within(Duration::from_secs(10)).err_lacks("panicked");
    assert!(run.stdout_text().contains("result\t"), "{}", run.stderr_text());
}
