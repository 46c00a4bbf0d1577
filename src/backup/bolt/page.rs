//! The formats of meta, branch and leaf pages. Pure functions of bytes.
//!
//! Format: `internal/common/page.go` and `internal/common/meta.go` of go.etcd.io/bbolt. Numbers are in the byte order of the
//! machine that wrote the file; only little-endian files are read.

use thiserror::Error;

/// Size of the header of a page.
pub const HEADER_BYTES: usize = 16;
/// Size of the descriptor of an element, in branch and leaf pages.
pub const ELEMENT_BYTES: usize = 16;
/// Size of a meta page's contents, with the header.
pub const META_BYTES: usize = HEADER_BYTES + 64;
/// Size of the header of a bucket: the ID of its root page and its sequence number.
pub const BUCKET_HEADER_BYTES: usize = 16;
/// The page ID that says that the list of free pages is not stored (bbolt's `NoFreelistSync`, which etcd uses on Linux).
pub const NO_FREELIST: u64 = u64::MAX;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const BUCKET_FLAG: u32 = 1;
/// bbolt looks for the second meta page at these page sizes, and operating systems have no others.
const PAGE_BYTES: std::ops::RangeInclusive<u32> = 1 << 10..=1 << 16;

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Keys and the pages below them.
    Branch,
    /// Keys and values.
    Leaf,
    /// A meta page.
    Meta,
    /// The IDs of free pages.
    Freelist,
}

/// What is wrong with a page.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PageFault {
    /// Fewer bytes than a header has.
    #[error("the page is cut off")]
    Short,
    /// No type, or several.
    #[error("the page has an unknown type (flags {0:#06x})")]
    Flags(u16),
    /// The page has another ID than the one it was reached by.
    #[error("the page says that it is page {0}")]
    Id(u64),
    /// The type does not belong here.
    #[error("the page has the wrong type: {0:?}")]
    Kind(PageKind),
    /// A branch page must lead somewhere.
    #[error("the branch page has no elements")]
    EmptyBranch,
    /// A branch page leads to pages with elements.
    #[error("the leaf page has no elements, although it is below a branch page")]
    EmptyLeaf,
    /// An element's descriptor or its bytes lie outside the page.
    #[error("element {0} reaches beyond the page")]
    Element(usize),
    /// The bytes of the elements lie behind each other.
    #[error("element {0} does not begin where the one before it ends")]
    Layout(usize),
    /// bbolt writes no element with an empty key.
    #[error("element {0} has an empty key")]
    EmptyKey(usize),
    /// Keys must ascend.
    #[error("the key of element {0} is not greater than the key before it")]
    Order(usize),
}

/// The header of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHeader {
    /// The page's own ID, which is its offset in pages.
    pub id: u64,
    /// What the page holds.
    pub kind: PageKind,
    /// Number of elements.
    pub count: u16,
    /// Number of pages after this one that belong to it.
    pub overflow: u32,
}

impl PageHeader {
    /// The header of a page.
    ///
    /// # Errors
    /// Too few bytes, or a type that is not exactly one of the known ones.
    pub fn parse(page: &[u8]) -> Result<Self, PageFault> {
        let flags = u16_at(page, 8).ok_or(PageFault::Short)?;
        let kind = match flags {
            0x01 => PageKind::Branch,
            0x02 => PageKind::Leaf,
            0x04 => PageKind::Meta,
            0x10 => PageKind::Freelist,
            other => return Err(PageFault::Flags(other)),
        };
        Ok(Self {
            id: u64_at(page, 0).ok_or(PageFault::Short)?,
            kind,
            count: u16_at(page, 10).ok_or(PageFault::Short)?,
            overflow: u32_at(page, 12).ok_or(PageFault::Short)?,
        })
    }
}

/// An element of a branch page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchElement<'a> {
    /// No key below the child is smaller.
    pub key: &'a [u8],
    /// The ID of the child page.
    pub child: u64,
}

/// An element of a leaf page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafElement<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value; a bucket's header and inline page if `is_bucket`.
    pub value: &'a [u8],
    /// The offset of the value in the page.
    pub value_at: usize,
    /// Whether the value is a bucket.
    pub is_bucket: bool,
}

/// Element `index` of a branch page, counted from 0.
///
/// # Errors
/// The element lies outside the page, or its key is empty.
pub fn branch_element(page: &[u8], index: usize) -> Result<BranchElement<'_>, PageFault> {
    let outside = PageFault::Element(index);
    let (start, fields) = descriptor(page, index).ok_or(outside.clone())?;
    let (pos, key_bytes) = (u32_at(fields, 0), u32_at(fields, 4));
    let key = pos.zip(key_bytes).and_then(|(pos, length)| slice(page, start, pos, length));
    let (key, child) = key.zip(u64_at(fields, 8)).ok_or(outside)?;
    if key.is_empty() { Err(PageFault::EmptyKey(index)) } else { Ok(BranchElement { key, child }) }
}

/// Element `index` of a leaf page, counted from 0.
///
/// # Errors
/// The element lies outside the page, or its key is empty.
pub fn leaf_element(page: &[u8], index: usize) -> Result<LeafElement<'_>, PageFault> {
    let outside = PageFault::Element(index);
    let (start, fields) = descriptor(page, index).ok_or(outside.clone())?;
    let element = || {
        let (flags, pos) = (u32_at(fields, 0)?, u32_at(fields, 4)?);
        let (key_bytes, value_bytes) = (u32_at(fields, 8)?, u32_at(fields, 12)?);
        let key = slice(page, start, pos, key_bytes)?;
        let after = pos.checked_add(key_bytes)?;
        let value = slice(page, start, after, value_bytes)?;
        let value_at = start.checked_add(usize::try_from(after).ok()?)?;
        Some(LeafElement { key, value, value_at, is_bucket: flags & BUCKET_FLAG != 0 })
    };
    let element = element().ok_or(outside)?;
    if element.key.is_empty() { Err(PageFault::EmptyKey(index)) } else { Ok(element) }
}

/// Checks that the bytes of all elements lie behind each other, after the last descriptor: so bbolt writes them (`node.write`, in
/// 1.4 `WriteInodeToPage`). Otherwise a small page could hold very large elements, and a changed number of elements would hide
/// some of them.
///
/// # Errors
/// The first element that lies elsewhere, or has an empty key.
pub fn check_layout(page: &[u8], is_leaf: bool, count: usize) -> Result<(), PageFault> {
    let descriptors = count.checked_mul(ELEMENT_BYTES).and_then(|bytes| bytes.checked_add(HEADER_BYTES));
    let mut before = descriptors.ok_or(PageFault::Element(count))?;
    for index in 0..count {
        let (start, key_bytes, end) = extent(page, index, is_leaf).ok_or(PageFault::Element(index))?;
        if key_bytes == 0 {
            return Err(PageFault::EmptyKey(index));
        }
        if start != before {
            return Err(PageFault::Layout(index));
        }
        before = end;
    }
    Ok(())
}

/// Where the bytes of an element start, the length of its key, and where its bytes end.
fn extent(page: &[u8], index: usize, is_leaf: bool) -> Option<(usize, usize, usize)> {
    let (descriptor_at, fields) = descriptor(page, index)?;
    let (pos, key_bytes, value_bytes) = if is_leaf {
        (u32_at(fields, 4)?, u32_at(fields, 8)?, u32_at(fields, 12)?)
    } else {
        (u32_at(fields, 0)?, u32_at(fields, 4)?, 0)
    };
    let key_bytes = usize::try_from(key_bytes).ok()?;
    let start = descriptor_at.checked_add(usize::try_from(pos).ok()?)?;
    let end = start.checked_add(key_bytes)?.checked_add(usize::try_from(value_bytes).ok()?)?;
    (end <= page.len()).then_some((start, key_bytes, end))
}

/// Where the descriptor of an element starts, and its bytes.
fn descriptor(page: &[u8], index: usize) -> Option<(usize, &[u8])> {
    let start = index.checked_mul(ELEMENT_BYTES)?.checked_add(HEADER_BYTES)?;
    Some((start, page.get(start..start.checked_add(ELEMENT_BYTES)?)?))
}

/// Bytes of an element: positions count from its descriptor.
fn slice(page: &[u8], start: usize, pos: u32, length: u32) -> Option<&[u8]> {
    let from = start.checked_add(usize::try_from(pos).ok()?)?;
    page.get(from..from.checked_add(usize::try_from(length).ok()?)?)
}

/// The header of a bucket, which is the beginning of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketHeader {
    /// The root page; 0 if a leaf page follows the header (an inline bucket).
    pub root: u64,
    /// The bucket's sequence number.
    pub sequence: u64,
}

impl BucketHeader {
    /// The header of a bucket; `None` if the value is too short.
    pub fn parse(value: &[u8]) -> Option<Self> {
        Some(Self { root: u64_at(value, 0)?, sequence: u64_at(value, 8)? })
    }
}

/// Why a page is not a valid meta page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MetaFault {
    /// The page has no magic number.
    #[error("no magic number of a bbolt database")]
    Magic,
    /// The magic number in the other byte order.
    #[error("written by a big-endian machine")]
    BigEndian,
    /// Another version of the format.
    #[error("version {0} of the format, not {VERSION}")]
    Version(u32),
    /// The checksum does not match.
    #[error("its checksum does not match")]
    Checksum,
    /// No page size that a system has.
    #[error("its page size of {0} B is not one that bbolt uses")]
    PageSize(u32),
}

/// A meta page: the state of the database after one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The size of a page.
    pub page_bytes: u32,
    /// The root page of the bucket that holds the top-level buckets.
    pub root: u64,
    /// The page that lists the free pages, or [`NO_FREELIST`].
    pub freelist: u64,
    /// The number of pages that were ever used: all pages have smaller IDs.
    pub high_water_mark: u64,
    /// The number of the transaction.
    pub transaction: u64,
}

impl Meta {
    /// Parses the beginning of a meta page.
    ///
    /// # Errors
    /// As [`MetaFault`], the first that applies.
    pub fn parse(page: &[u8]) -> Result<Self, MetaFault> {
        Self::fields(page.get(HEADER_BYTES..META_BYTES).unwrap_or_default()).unwrap_or(Err(MetaFault::Magic))
    }

    fn fields(meta: &[u8]) -> Option<Result<Self, MetaFault>> {
        let magic = u32_at(meta, 0)?;
        let version = u32_at(meta, 4)?;
        let page_bytes = u32_at(meta, 8)?;
        if magic == MAGIC.swap_bytes() {
            return Some(Err(MetaFault::BigEndian));
        } else if magic != MAGIC {
            return Some(Err(MetaFault::Magic));
        } else if version != VERSION {
            return Some(Err(MetaFault::Version(version)));
        } else if u64_at(meta, 56)? != fnv1a(meta.get(..56)?) {
            return Some(Err(MetaFault::Checksum));
        } else if !PAGE_BYTES.contains(&page_bytes) || !page_bytes.is_power_of_two() {
            return Some(Err(MetaFault::PageSize(page_bytes)));
        }
        Some(Ok(Self {
            page_bytes,
            root: u64_at(meta, 16)?,
            freelist: u64_at(meta, 32)?,
            high_water_mark: u64_at(meta, 40)?,
            transaction: u64_at(meta, 48)?,
        }))
    }
}

/// FNV-1a, 64 bits, of the fields before a meta page's checksum.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The page sizes at which the second meta page is looked for.
pub(super) fn page_sizes() -> impl Iterator<Item = u32> {
    (PAGE_BYTES.start().trailing_zeros()..=PAGE_BYTES.end().trailing_zeros()).map(|shift| 1u32.wrapping_shl(shift))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// The number of 8 bytes at an offset.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}
