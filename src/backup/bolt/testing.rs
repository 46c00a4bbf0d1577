//! Writes small bbolt databases for tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::page::{BUCKET_HEADER_BYTES, ELEMENT_BYTES, NO_FREELIST, fnv1a};

/// A bucket's elements.
pub type Elements = BTreeMap<Vec<u8>, Content>;

/// What a key holds.
#[derive(Clone, Debug)]
pub enum Content {
    Value(Vec<u8>),
    /// A bucket with a page of its own.
    Bucket(Elements),
    /// A bucket inside the value. It can hold values only.
    Inline(Elements),
}

/// Writes a database, page by page.
pub struct Writer {
    page_bytes: usize,
    /// Elements of a page are written up to this size.
    fill_bytes: usize,
    pages: Vec<u8>,
}

impl Writer {
    /// The bytes of a database. Small pages make deep trees: `fill_bytes` limits the contents of a page.
    pub fn database(root: &Elements, page_bytes: usize, fill_bytes: usize) -> Vec<u8> {
        let mut writer = Self { page_bytes, fill_bytes, pages: vec![0; 2 * page_bytes] };
        let root = writer.bucket(root);
        for (page, transaction) in [(0usize, 6u64), (1, 7)] {
            let meta = meta(page_bytes, root, writer.pages.len() / page_bytes, transaction);
            let mut bytes = header(page as u64, 4, 0, 0);
            bytes.extend(meta);
            writer.pages[page * page_bytes..page * page_bytes + bytes.len()].copy_from_slice(&bytes);
        }
        writer.pages
    }

    /// Writes the pages of a bucket and returns the ID of its root.
    fn bucket(&mut self, elements: &Elements) -> u64 {
        let mut leaves: Vec<(u32, Vec<u8>, Vec<u8>)> = Vec::new();
        for (key, content) in elements {
            let (flags, value) = match content {
                Content::Value(value) => (0, value.clone()),
                Content::Bucket(inner) => (1, [self.bucket(inner), 0].map(u64::to_le_bytes).concat()),
                Content::Inline(inner) => {
                    let plain: Vec<_> = inner
                        .iter()
                        .map(|(key, content)| match content {
                            Content::Value(value) => (0, key.clone(), value.clone()),
                            _ => panic!("an inline bucket holds values only"),
                        })
                        .collect();
                    (1, [vec![0; BUCKET_HEADER_BYTES], leaf(0, 0, &plain)].concat())
                }
            };
            leaves.push((flags, key.clone(), value));
        }
        let mut level: Vec<(Vec<u8>, u64)> = Vec::new();
        let size = |(_, key, value): &(u32, Vec<u8>, Vec<u8>)| ELEMENT_BYTES + key.len() + value.len();
        for chunk in chunks(&leaves, self.fill_bytes, size) {
            let first = chunk.first().map(|(_, key, _)| key.clone()).unwrap_or_default();
            level.push((first, self.page(|id, overflow| leaf_page(id, overflow, chunk))));
        }
        while level.len() > 1 {
            let mut above = Vec::new();
            for chunk in chunks(&level, self.fill_bytes.max(200), |(key, _)| ELEMENT_BYTES + key.len()) {
                above.push((chunk[0].0.clone(), self.page(|id, overflow| branch_page(id, overflow, chunk))));
            }
            level = above;
        }
        level[0].1
    }

    fn page(&mut self, make: impl Fn(u64, u32) -> Vec<u8>) -> u64 {
        let id = (self.pages.len() / self.page_bytes) as u64;
        let pages = make(id, 0).len().div_ceil(self.page_bytes).max(1);
        let mut bytes = make(id, pages as u32 - 1);
        bytes.resize(pages * self.page_bytes, 0);
        self.pages.extend(bytes);
        id
    }
}

fn chunks<T>(items: &[T], limit: usize, size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut found, mut start, mut used) = (Vec::new(), 0, 0);
    for (at, item) in items.iter().enumerate() {
        // A branch page has at least two elements, or the tree would never end.
        if used + size(item) > limit && at - start >= 2 {
            found.push(&items[start..at]);
            (start, used) = (at, 0);
        }
        used += size(item);
    }
    found.push(&items[start..]);
    found
}

fn header(id: u64, flags: u16, count: usize, overflow: u32) -> Vec<u8> {
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.extend(flags.to_le_bytes());
    bytes.extend((count as u16).to_le_bytes());
    bytes.extend(overflow.to_le_bytes());
    bytes
}

fn leaf(id: u64, overflow: u32, elements: &[(u32, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = header(id, 2, elements.len(), overflow);
    let mut data = Vec::new();
    for (index, (flags, key, value)) in elements.iter().enumerate() {
        let pos = (elements.len() - index) * ELEMENT_BYTES + data.len();
        for number in [*flags, pos as u32, key.len() as u32, value.len() as u32] {
            bytes.extend(number.to_le_bytes());
        }
        data.extend_from_slice(key);
        data.extend_from_slice(value);
    }
    bytes.extend(data);
    bytes
}

fn leaf_page(id: u64, overflow: u32, elements: &[(u32, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    leaf(id, overflow, elements)
}

fn branch_page(id: u64, overflow: u32, elements: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let mut bytes = header(id, 1, elements.len(), overflow);
    let mut data = Vec::new();
    for (index, (key, child)) in elements.iter().enumerate() {
        let pos = (elements.len() - index) * ELEMENT_BYTES + data.len();
        bytes.extend((pos as u32).to_le_bytes());
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend(child.to_le_bytes());
        data.extend_from_slice(key);
    }
    bytes.extend(data);
    bytes
}

/// The fields of a meta page, with their checksum.
pub fn meta(page_bytes: usize, root: u64, high_water_mark: usize, transaction: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [0xED0C_DAEDu32, 2, page_bytes as u32, 0] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [root, 0, NO_FREELIST, high_water_mark as u64, transaction] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(fnv1a(&bytes).to_le_bytes());
    bytes
}

/// A file of its own for these bytes.
pub fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// Elements from keys and values.
pub fn values<K: Into<Vec<u8>>>(pairs: impl IntoIterator<Item = (K, Vec<u8>)>) -> Elements {
    pairs.into_iter().map(|(key, value)| (key.into(), Content::Value(value))).collect()
}
