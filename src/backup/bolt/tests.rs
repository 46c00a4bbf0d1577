//! The reader against a model, and against damaged and hostile files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::page::fnv1a;
use super::testing::{Content, Elements, Writer, file, meta, values};
use super::walk_tests::{damages, small};
use super::{BoltError, BoltFile, Bucket, MetaFault};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// All elements of a bucket. Every value is also read at its offset.
fn read_all(file: &BoltFile, bucket: &Bucket) -> Result<Model, BoltError> {
    let mut cursor = bucket.cursor();
    let mut found = Model::new();
    while let Some(element) = cursor.next()? {
        let again = file.read_at(element.value_offset, element.value.len() as u32)?;
        assert_eq!(again, element.value);
        found.insert(element.key.to_vec(), element.value.to_vec());
    }
    Ok(found)
}

/// Everything that the reader can do with a file, within a limited number of steps.
fn exercise(bytes: &[u8]) -> Result<(), BoltError> {
    let (_dir, path) = file(bytes);
    exercise_file(BoltFile::open(&path)?)
}

fn exercise_file(opened: BoltFile) -> Result<(), BoltError> {
    let mut result = Ok(());
    let mut note = |error: BoltError| result = Err(error);
    let names = opened.buckets().unwrap_or_else(|error| {
        note(error);
        vec![b"key".to_vec(), b"inline".to_vec()]
    });
    for name in names {
        match opened.bucket(&name) {
            Ok(Some(bucket)) => {
                read_all(&opened, &bucket).map(drop).unwrap_or_else(&mut note);
                bucket.entries().map(drop).unwrap_or_else(&mut note);
                bucket.last().map(drop).unwrap_or_else(&mut note);
                let mut cursor = bucket.cursor();
                for key in [&b""[..], b"k0050", b"\xff"] {
                    cursor.seek(key).unwrap_or_else(&mut note);
                    cursor.next().map(drop).unwrap_or_else(&mut note);
                }
            }
            Ok(None) => {}
            Err(error) => note(error),
        }
    }
    result
}

fn sample() -> Elements {
    let keys = values((0..100).map(|n| (format!("k{n:04}"), vec![n as u8; n * 7 % 90])));
    let inline = values([("a", b"1".to_vec()), ("b", b"2".to_vec())]);
    let nested = Elements::from([(b"deep".to_vec(), Content::Bucket(keys.clone()))]);
    Elements::from([
        (b"inline".to_vec(), Content::Inline(inline)),
        (b"key".to_vec(), Content::Bucket(keys)),
        (b"large".to_vec(), Content::Bucket(values([("big", vec![7; 5000]), ("huge", vec![8; 300_000])]))),
        (b"nested".to_vec(), Content::Bucket(nested)),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_cursor_returns_what_was_written(
        model in proptest::collection::btree_map(
            proptest::collection::vec(any::<u8>(), 1..20), proptest::collection::vec(any::<u8>(), 0..200), 0..200),
        page_shift in 10u32..15,
        fill in 100usize..3000,
        seeks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 1..20),
    ) {
        let elements = values(model.clone());
        let root = Elements::from([(b"key".to_vec(), Content::Bucket(elements))]);
        let (_dir, path) = file(&Writer::database(&root, 1 << page_shift, fill));
        let opened = BoltFile::open(&path).unwrap();
        let bucket = opened.bucket(b"key").unwrap().unwrap();
        prop_assert_eq!(read_all(&opened, &bucket).unwrap(), model.clone());
        prop_assert_eq!(bucket.entries().unwrap(), model.len() as u64);
        prop_assert_eq!(bucket.last().unwrap(), model.keys().next_back().cloned());
        let mut cursor = bucket.cursor();
        for from in seeks {
            cursor.seek(&from).unwrap();
            let rest: Vec<_> = model.range(from..).map(|(key, _)| key.clone()).collect();
            for wanted in rest.iter().take(3).map(Some).chain((rest.len() < 3).then_some(None)) {
                let found = cursor.next().unwrap().map(|element| element.key.to_vec());
                prop_assert_eq!(found.as_ref(), wanted);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// What a walk finds no fault with is read without an error.
    #[test]
    fn several_changed_bytes_are_survived(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_pages in any::<bool>(),
    ) {
        let mut bytes = small();
        for (at, byte) in changes {
            // Changes of meta pages go nowhere without their checksum.
            let (from, length) = if in_pages { (2048, bytes.len() - 2048) } else { (16, 56) };
            bytes[from + at.index(length)] = byte;
        }
        for page in [0, 1024] {
            let fields = page + 16..page + 72;
            let checksum = fnv1a(&bytes[fields]).to_le_bytes();
            bytes[page + 72..page + 80].copy_from_slice(&checksum);
        }
        let (_dir, path) = file(&bytes);
        if let Ok(opened) = BoltFile::open(&path) {
            let damages = damages(&opened);
            let result = exercise_file(opened);
            prop_assert!(damages > 0 || result.is_ok(), "{result:?}");
        }
    }
}

#[test]
fn buckets_of_every_kind_are_read() {
    let (_dir, path) = file(&Writer::database(&sample(), 4096, 1000));
    let opened = BoltFile::open(&path).unwrap();
    assert_eq!(opened.buckets().unwrap(), [&b"inline"[..], b"key", b"large", b"nested"]);
    assert_eq!((opened.page_bytes(), opened.transaction()), (4096, 7));
    assert_eq!(damages(&opened), 0);
    let bucket = |name: &[u8]| opened.bucket(name).unwrap();
    assert!(bucket(b"absent").is_none() && bucket(b"ke").is_none());
    let inline = bucket(b"inline").unwrap();
    assert_eq!(read_all(&opened, &inline).unwrap().len(), 2);
    assert_eq!((inline.entries().unwrap(), inline.last().unwrap()), (2, Some(b"b".to_vec())));
    let large = read_all(&opened, &bucket(b"large").unwrap()).unwrap();
    assert_eq!(large[&b"huge"[..]], vec![8; 300_000]);
    let nested = bucket(b"nested").unwrap();
    let mut cursor = nested.cursor();
    let element = cursor.next().unwrap().unwrap();
    let deep = opened.bucket_of(element.value, element.value_offset).unwrap();
    assert_eq!(read_all(&opened, &deep).unwrap().len(), 100);
}

#[test]
fn the_later_valid_meta_page_counts() {
    for page_bytes in [1024, 4096, 16384, 65536] {
        let bytes = Writer::database(&sample(), page_bytes, 1000);
        let opened = |bytes: &[u8]| {
            let (_dir, path) = file(bytes);
            BoltFile::open(&path).map(|file| (file.transaction(), file.page_bytes() as usize))
        };
        let damaged = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            bytes
        };
        assert_eq!(opened(&bytes).unwrap(), (7, page_bytes));
        assert_eq!(opened(&damaged(70)).unwrap(), (7, page_bytes), "the second one, whose place must be found");
        assert_eq!(opened(&damaged(page_bytes + 70)).unwrap(), (6, page_bytes), "the first one");
        let mut neither = damaged(70);
        neither[page_bytes + 70] ^= 1;
        assert!(matches!(opened(&neither), Err(BoltError::NoMeta(MetaFault::Checksum))));
    }
}

#[test]
fn what_is_no_little_endian_database_of_this_version_is_named() {
    let mut bytes = Writer::database(&sample(), 4096, 1000);
    let mut fault = |fields: Vec<u8>| {
        for page in [0, 4096] {
            bytes[page + 16..page + 80].copy_from_slice(&fields);
        }
        let (_dir, path) = file(&bytes);
        match BoltFile::open(&path) {
            Err(BoltError::NoMeta(fault)) => fault,
            other => panic!("{other:?}"),
        }
    };
    let good = meta(4096, 2, 10, 1);
    let with = |at: usize, bytes: &[u8]| [&good[..at], bytes, &good[at + bytes.len()..]].concat();
    assert_eq!(fault(with(0, &[0xed, 0x0c, 0xda, 0xed])), MetaFault::BigEndian);
    assert_eq!(fault(with(0, &[0])), MetaFault::Magic);
    assert_eq!(fault(with(4, &[1])), MetaFault::Version(1));
    assert_eq!(fault(with(16, &[9])), MetaFault::Checksum);
    for size in [0, 512, 4095, 12288, 1 << 17] {
        assert_eq!(fault(meta(size, 2, 10, 1)), MetaFault::PageSize(size as u32));
    }
}

#[test]
fn a_file_that_is_cut_off_is_an_error_and_no_panic() {
    let bytes = Writer::database(&sample(), 4096, 1000);
    let mut failures = 0;
    for length in (0..bytes.len()).step_by(4096).chain([1, 79, 80, 5000, bytes.len() - 1]) {
        failures += usize::from(exercise(&bytes[..length]).is_err());
    }
    assert!(exercise(&bytes).is_ok());
    // Every page is in use, so every cut takes something away.
    assert_eq!(failures, bytes.len().div_ceil(4096) + 5);
}

#[test]
fn every_flipped_byte_is_survived() {
    let bytes = small();
    let (_dir, path) = file(&bytes);
    let open = |write| OpenOptions::new().read(true).write(write).open(&path).unwrap();
    let writer = open(true);
    for (at, byte) in bytes.iter().enumerate() {
        for mask in [0x01, 0x80] {
            writer.write_all_at(&[byte ^ mask], at as u64).unwrap();
            let Ok(opened) = BoltFile::of(open(false)) else { continue };
            let damages = damages(&opened);
            let result = exercise_file(opened);
            assert!(damages > 0 || result.is_ok(), "byte {at}: {result:?}");
        }
        writer.write_all_at(&[*byte], at as u64).unwrap();
    }
}

#[test]
fn cycles_and_shared_pages_end() {
    // A branch page whose only child is itself, one whose children are all the same leaf, and a deep chain.
    let page_bytes = 1024;
    let root = Elements::from([(
        b"key".to_vec(),
        Content::Bucket(values((0..80).map(|n| (format!("k{n:04}"), vec![1; 90])))),
    )]);
    let bytes = Writer::database(&root, page_bytes, 900);
    let kind = |page: usize| u16::from_le_bytes([bytes[page * page_bytes + 8], bytes[page * page_bytes + 9]]);
    let branch = (2..bytes.len() / page_bytes).find(|page| kind(*page) == 1).unwrap();
    let child = |index: usize| branch * page_bytes + 16 + index * 16 + 8;
    let set_child = |index: usize, to: u64| {
        let mut bytes = bytes.clone();
        bytes[child(index)..child(index) + 8].copy_from_slice(&to.to_le_bytes());
        bytes
    };
    let error = |bytes: &[u8]| {
        let (_dir, path) = file(bytes);
        assert_ne!(damages(&BoltFile::open(&path).unwrap()), 0);
        exercise(bytes).unwrap_err().to_string()
    };
    assert!(error(&set_child(0, branch as u64)).contains("part of the tree twice"));
    assert!(error(&set_child(1, 2)).contains("not greater"));
    for beyond in [0, 1, 1 << 20, u64::MAX] {
        assert!(error(&set_child(0, beyond)).contains("a reference to page"));
    }
    let mut huge_run = bytes.clone();
    huge_run[branch * page_bytes + 12..branch * page_bytes + 16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(error(&huge_run).contains("overflow pages end beyond the database"));
}
