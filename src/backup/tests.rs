//! Databases of all versions of etcd. `tests/support/databases/README.md` says what they hold.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use super::{BackupError, Compaction, EtcdFile};
use crate::backup::bolt::testing::{Content, Elements, Writer, file, values};

fn database(version: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/databases");
    PathBuf::from(folder).join(format!("etcd-{version}.db"))
}

/// The revisions of a file, one line each.
fn lines(file: &EtcdFile) -> Result<Vec<String>, BackupError> {
    let mut revisions = file.revisions()?;
    let mut lines = Vec::new();
    while let Some(found) = revisions.next()? {
        let (key, value) = (found.key.escape_ascii(), found.value.escape_ascii());
        let lease = if found.lease == 0 { "" } else { " leased" };
        lines.push(if found.is_tombstone {
            format!("{}.{} -{key}", found.main, found.sub)
        } else {
            format!("{}.{} {key}={value} c{} v{}{lease}", found.main, found.sub, found.create_revision, found.version)
        });
        let again = file.record_at(found.record_offset, found.record.len() as u32)?;
        assert_eq!((&*again.key, &*again.value), (found.key, found.value));
        assert!(found.is_tombstone || found.mod_revision == found.main);
    }
    Ok(lines)
}

#[test]
fn databases_of_every_version_are_read() {
    for version in ["3.4", "3.5", "3.6", "3.7"] {
        let file = EtcdFile::open(&database(version)).unwrap();
        let wanted = [
            "6.0 /app/size=4 c6 v1",
            "7.0 /run/host-a=up c7 v1 leased",
            "8.0 /app/mode=red c2 v3",
            "8.1 /app/third=x y c8 v1",
            "9.0 /app/mode=blue c2 v4",
            "10.0 -/run/host-a",
            "11.0 /run/host-b=up c11 v1 leased",
            "12.0 /app/last=1 c12 v1",
            "13.0 -/app/third",
        ];
        assert_eq!(lines(&file).unwrap(), wanted, "{version}");
        assert_eq!(file.revision().unwrap(), 13);
        assert_eq!(file.compaction().unwrap(), Compaction { scheduled: 8, finished: 8 });
        assert_eq!(file.bolt().page_bytes(), 4096);
    }
}

#[test]
fn a_pass_can_begin_at_a_revision() {
    let file = EtcdFile::open(&database("3.5")).unwrap();
    for (from, first) in [(0, Some(6)), (6, Some(6)), (9, Some(9)), (13, Some(13)), (14, None)] {
        let mut revisions = file.revisions_from(from).unwrap();
        assert_eq!(revisions.next().unwrap().map(|found| found.main), first, "{from}");
    }
}

#[test]
fn a_database_of_another_program_is_named() {
    let error = |root: Elements| {
        let (_dir, path) = file(&Writer::database(&root, 4096, 1000));
        EtcdFile::open(&path).unwrap_err().to_string().split_once("db is ").unwrap().1.to_owned()
    };
    let named = |names: &[&str]| {
        Elements::from_iter(
            names.iter().map(|name| (name.as_bytes().to_vec(), Content::Bucket(values([("k", vec![1])])))),
        )
    };
    let other = "not an etcd database: it is a bbolt database of another program (its buckets: ";
    assert_eq!(error(named(&["v1"])), format!("{other}v1)"));
    assert_eq!(error(named(&["key", "\u{1b}"])), format!("{other}\\x1b, key)"));
    assert_eq!(error(named(&["a", "b", "c", "d", "e", "f"])), format!("{other}a, b, c, d, e, ...)"));
    assert_eq!(error(Elements::new()), "not an etcd database: it is a bbolt database without any buckets");
    // A page of the bucket `key` where the root was.
    let overwritten = error(values([("\0\x01_", vec![1])]));
    assert!(overwritten.starts_with("damaged: page 2 (offset "), "{overwritten}");
    assert!(overwritten.ends_with("'\\x00\\x01_' is a value outside of all buckets"), "{overwritten}");
}
