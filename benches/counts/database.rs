//! The bytes of a database file: one bucket, `key`, whose keys are revisions, as in etcd's files.

use super::super::shapes::Shape;

const PAGE_BYTES: usize = 4096;
const HEADER_BYTES: usize = 16;
/// The size of the descriptor of an element, in branch and leaf pages.
const ELEMENT_BYTES: usize = 16;
/// bbolt fills pages to a half when it splits them.
const FILLED_BYTES: usize = PAGE_BYTES / 2;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const META: u16 = 4;
/// The ID that says that the list of free pages is not stored.
const NO_FREELIST: u64 = u64::MAX;

/// A database with this many elements of 17 + 320 bytes.
pub fn bytes(elements: usize) -> Vec<u8> {
    let mut pages = vec![0; 2 * PAGE_BYTES];
    let mut level = Vec::new();
    let elements: Vec<(Vec<u8>, Vec<u8>)> = (0..elements as u64).map(element).collect();
    let per_page = FILLED_BYTES / (ELEMENT_BYTES + 17 + 320);
    for chunk in elements.chunks(per_page) {
        let described: Vec<_> = chunk.iter().map(|(key, value)| (0, key.as_slice(), value.as_slice())).collect();
        level.push((chunk[0].0.clone(), page(&mut pages, LEAF, &described)));
    }
    while level.len() > 1 {
        let mut above = Vec::new();
        for chunk in level.chunks(FILLED_BYTES / (ELEMENT_BYTES + 17)) {
            let described: Vec<_> = chunk.iter().map(|(key, child)| (*child, key.as_slice(), [].as_slice())).collect();
            above.push((chunk[0].0.clone(), page(&mut pages, BRANCH, &described)));
        }
        level = above;
    }
    let root = level.first().map_or_else(|| page(&mut pages, LEAF, &[]), |(_, root)| *root);
    let bucket = [root, 0].map(u64::to_le_bytes).concat();
    let top = page(&mut pages, LEAF, &[(1, b"key", &bucket)]);
    for (id, transaction) in [(0, 6), (1, 7)] {
        let meta = meta(top, (pages.len() / PAGE_BYTES) as u64, transaction);
        let start = id * PAGE_BYTES;
        pages[start..start + HEADER_BYTES].copy_from_slice(&header(id as u64, META, 0));
        pages[start + HEADER_BYTES..start + HEADER_BYTES + meta.len()].copy_from_slice(&meta);
    }
    pages
}

fn element(n: u64) -> (Vec<u8>, Vec<u8>) {
    let key = [(n + 2).to_be_bytes().as_slice(), b"_", &[0; 8]].concat();
    let mut value = Shape::Decimal.key("/k/", n);
    value.extend(Shape::Decimal.value(n).into_bytes());
    (key, value)
}

/// Appends a page and returns its ID. An element has a number, which is a child's ID in a branch page and the flags in a leaf page.
fn page(pages: &mut Vec<u8>, kind: u16, elements: &[(u64, &[u8], &[u8])]) -> u64 {
    let id = (pages.len() / PAGE_BYTES) as u64;
    let mut bytes = header(id, kind, elements.len());
    let mut data = Vec::new();
    for (at, (number, key, value)) in elements.iter().enumerate() {
        // Positions count from the descriptor.
        let position = ((elements.len() - at) * ELEMENT_BYTES + data.len()) as u32;
        if kind == BRANCH {
            bytes.extend([position, key.len() as u32].map(u32::to_le_bytes).concat());
            bytes.extend(number.to_le_bytes());
        } else {
            let fields = [*number as u32, position, key.len() as u32, value.len() as u32];
            bytes.extend(fields.map(u32::to_le_bytes).concat());
        }
        data.extend_from_slice(key);
        data.extend_from_slice(value);
    }
    bytes.extend(data);
    bytes.resize(PAGE_BYTES, 0);
    pages.extend(bytes);
    id
}

fn header(id: u64, kind: u16, count: usize) -> Vec<u8> {
    [id.to_le_bytes().as_slice(), &kind.to_le_bytes(), &(count as u16).to_le_bytes(), &[0; 4]].concat()
}

/// The fields of a meta page, with their checksum.
fn meta(root: u64, pages: u64, transaction: u64) -> Vec<u8> {
    let mut bytes = [0xED0C_DAED, 2, PAGE_BYTES as u32, 0].map(u32::to_le_bytes).concat();
    bytes.extend([root, 0, NO_FREELIST, pages, transaction].map(u64::to_le_bytes).concat());
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let checksum = bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    bytes.extend(checksum.to_le_bytes());
    bytes
}
