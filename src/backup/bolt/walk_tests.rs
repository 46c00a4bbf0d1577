//! Each rule of the format that a walk checks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use super::page::fnv1a;
use super::testing::{Content, Elements, Writer, file, values};
use super::{BoltFile, Damage, Element, ElementCheck, PageWalk};

/// Checks nothing: what a walk itself finds.
struct NoCheck;

impl ElementCheck for NoCheck {
    fn element(&mut self, _: &[u8], _: &Element<'_>) -> Result<(), String> {
        Ok(())
    }

    fn page(&mut self, _: u64) -> bool {
        true
    }
}

/// What a walk finds.
fn walked(file: &BoltFile) -> (Vec<Damage>, u64) {
    let mut walk = PageWalk::new(file.clone());
    walk.run(&mut NoCheck).unwrap();
    (walk.described().to_vec(), walk.damages())
}

/// The number of damages that a walk finds.
pub fn damages(file: &BoltFile) -> u64 {
    walked(file).1
}

/// A database of few pages, with a branch page.
pub fn small() -> Vec<u8> {
    let root = Elements::from([
        (b"inline".to_vec(), Content::Inline(values([("a", b"1".to_vec())]))),
        (b"key".to_vec(), Content::Bucket(values((0..60).map(|n| (format!("k{n:04}"), vec![n as u8; 40]))))),
    ]);
    Writer::database(&root, 1024, 900)
}

/// Size of a page of `small`.
const PAGE: usize = 1024;
/// The second of the leaves of the bucket `key`.
const LEAF: usize = 3;

fn page_of_kind(bytes: &[u8], kind: u8, skip: usize) -> usize {
    (2..bytes.len() / PAGE).filter(|page| bytes[page * PAGE + 8] == kind).nth(skip).unwrap()
}

/// The first damage of the file after a change, and where it is said to be.
fn damage(bytes: &[u8]) -> (u64, String) {
    let (_dir, path) = file(bytes);
    let (described, count) = walked(&BoltFile::open(&path).unwrap());
    assert_eq!(count, 1, "{described:#?}");
    (described[0].page, described[0].what.clone())
}

#[test]
fn every_rule_of_a_page_is_checked() {
    let good = small();
    let branch = page_of_kind(&good, 1, 0);
    let root = good.len() / PAGE - 1;
    let element = |page: usize, index: usize| page * PAGE + 16 + index * 16;
    let count = usize::from(good[LEAF * PAGE + 10]);
    // The first byte of the key of an element of the leaf.
    let key = |index: usize| {
        let at = element(LEAF, index);
        at + u32::from_le_bytes(good[at + 4..at + 8].try_into().unwrap()) as usize
    };
    let cases: &[(&str, usize, &[u8], usize, &str)] = &[
        ("ID", LEAF * PAGE, &[9], LEAF, "bucket key: the page says that it is page 9"),
        ("type", LEAF * PAGE + 8, &[6], LEAF, "bucket key: the page has an unknown type (flags 0x0006)"),
        ("kind", LEAF * PAGE + 8, &[16], LEAF, "bucket key: the page has the wrong type: Freelist"),
        ("empty", branch * PAGE + 10, &[0], branch, "bucket key: the branch page has no elements"),
        (
            "empty",
            LEAF * PAGE + 10,
            &[0],
            LEAF,
            "bucket key: the leaf page has no elements, although it is below a branch page",
        ),
        ("count", LEAF * PAGE + 10, &[1], LEAF, "bucket key: element 0 does not begin where the one before it ends"),
        ("overflow", LEAF * PAGE + 12, &[1], LEAF + 1, "bucket key: the page is used twice"),
        ("run", LEAF * PAGE + 12, &[99], LEAF, "bucket key: the page and 99 overflow pages end beyond the database"),
        ("pos", element(LEAF, 0) + 4, &[255, 255], LEAF, "bucket key: element 0 reaches beyond the page"),
        ("value", element(LEAF, 0) + 12, &[255, 255], LEAF, "bucket key: element 0 reaches beyond the page"),
        ("key", element(LEAF, 0) + 8, &[0], LEAF, "bucket key: element 0 has an empty key"),
        ("order", key(1), b"a", LEAF, "bucket key: the key of element 1 is not greater than the key before it"),
        ("lower", key(0), b"a", LEAF, "bucket key: the key of element 0 does not belong below this branch"),
        (
            "upper",
            key(count - 1),
            b"z",
            LEAF,
            &format!("bucket key: the key of element {} does not belong below this branch", count - 1),
        ),
        ("child", element(branch, 1) + 8, &[2], 2, "bucket key: the page is used twice"),
        (
            "child",
            element(branch, 1) + 8,
            &[1],
            1,
            "bucket key: a reference to page 1, but the database has pages 2 to ",
        ),
        ("stray", element(root, 0), &[0], root, "1 element outside of all buckets"),
        ("root", root * PAGE + 8, &[4], root, "the page has the wrong type: Meta"),
    ];
    for (name, at, change, page, wanted) in cases {
        let mut bytes = good.clone();
        bytes[*at..at + change.len()].copy_from_slice(change);
        let (found, what) = damage(&bytes);
        assert!(what.starts_with(wanted) && found == *page as u64, "{name}: page {found}: {what}");
    }
}

/// The database with a page behind the others that lists these pages as free.
fn with_freelist(kind: u8, count: u16, free: &[u64]) -> Vec<u8> {
    let mut bytes = small();
    let id = (bytes.len() / PAGE) as u64;
    let mut list = [&id.to_le_bytes()[..], &[kind, 0], &count.to_le_bytes(), &[0; 4]].concat();
    free.iter().for_each(|page| list.extend(page.to_le_bytes()));
    list.resize(PAGE, 0);
    // A page after the list is free.
    bytes.extend(list);
    bytes.extend([0; PAGE]);
    for page in [0, PAGE] {
        bytes[page + 16 + 32..page + 16 + 40].copy_from_slice(&id.to_le_bytes());
        bytes[page + 16 + 40..page + 16 + 48].copy_from_slice(&(id + 2).to_le_bytes());
        let checksum = fnv1a(&bytes[page + 16..page + 72]).to_le_bytes();
        bytes[page + 72..page + 80].copy_from_slice(&checksum);
    }
    bytes
}

#[test]
fn a_stored_list_of_free_pages_is_checked() {
    let pages = (small().len() / PAGE) as u64;
    let free = pages + 1;
    let (_dir, path) = file(&with_freelist(16, 1, &[free]));
    assert_eq!(damages(&BoltFile::open(&path).unwrap()), 0);
    let (_dir, path) = file(&with_freelist(16, u16::MAX, &[1, free]));
    assert_eq!(damages(&BoltFile::open(&path).unwrap()), 0, "a long list begins with its length");
    let said = |kind, count, free: &[u64]| damage(&with_freelist(kind, count, free)).1;
    let list = "list of free pages: ";
    assert_eq!(said(2, 1, &[free]), format!("{list}the page has the wrong type: Leaf"));
    assert_eq!(said(16, 1, &[3]), format!("{list}page 3 is in use"));
    assert_eq!(said(16, 1, &[1]), format!("{list}there is no page 1"));
    assert_eq!(said(16, 1, &[u64::MAX]), format!("{list}there is no page {}", u64::MAX));
    assert_eq!(said(16, 2, &[free, free]), format!("{list}page {free} is listed twice"));
    let full = vec![free; (PAGE - 16) / 8];
    let (_dir, path) = file(&with_freelist(16, 2000, &full));
    assert_eq!(damages(&BoltFile::open(&path).unwrap()), full.len() as u64);
}
