//! Reads nodes: pages with their overflow pages. Pages that lie behind each other in the file are read together.

use super::file::{BoltError, BoltFile, MAX_NODE_BYTES};
use super::page::{
    BranchElement, HEADER_BYTES, LeafElement, PageFault, PageHeader, PageKind, branch_element, check_layout,
    leaf_element,
};
use crate::plural::counted;

/// Bytes read at once in a sequential pass. More saves nothing: a system call costs less than copying a page.
const WINDOW_BYTES: u64 = 128 << 10;
/// Branch pages on the way to a leaf. 16 levels of two children each already hold more leaves than a file has pages of
/// minimal fill; bbolt's trees have two to five.
pub(super) const MAX_DEPTH: usize = 32;

/// A branch or leaf page with its overflow pages.
#[derive(Debug, Default)]
pub(super) struct PageNode {
    /// The contents.
    pub(super) bytes: Vec<u8>,
    /// The page's ID; of the containing page for an inline bucket.
    pub(super) id: u64,
    /// Where the page starts in the file.
    pub(super) offset: u64,
    /// Whether the page is a leaf.
    pub(super) is_leaf: bool,
    /// Number of elements.
    pub(super) count: usize,
}

impl PageNode {
    pub(super) fn branch(&self, index: usize) -> Result<BranchElement<'_>, PageFault> {
        branch_element(&self.bytes, index)
    }

    pub(super) fn leaf(&self, index: usize) -> Result<LeafElement<'_>, PageFault> {
        leaf_element(&self.bytes, index)
    }

    /// The key of an element of a leaf or branch page.
    pub(super) fn key(&self, index: usize) -> Result<&[u8], PageFault> {
        if self.is_leaf { self.leaf(index).map(|element| element.key) } else { self.branch(index).map(|e| e.key) }
    }

    /// The page of an inline bucket, whose bytes lie at this offset in the file.
    pub(super) fn set_inline(&mut self, page: &[u8], id: u64, offset: u64) -> Result<(), PageFault> {
        let header = PageHeader::parse(page)?;
        if header.kind != PageKind::Leaf {
            return Err(PageFault::Kind(header.kind));
        }
        check_layout(page, true, header.count.into())?;
        self.bytes.clear();
        self.bytes.extend_from_slice(page);
        (self.id, self.offset, self.is_leaf, self.count) = (id, offset, true, header.count.into());
        Ok(())
    }
}

/// Reads nodes of one file.
#[derive(Debug)]
pub(super) struct NodeReader {
    file: BoltFile,
    window: Vec<u8>,
    window_at: u64,
    /// Where the last node ended.
    last_end: u64,
}

impl NodeReader {
    pub(super) fn new(file: BoltFile) -> Self {
        Self { file, window: Vec::new(), window_at: 0, last_end: 0 }
    }

    pub(super) fn file(&self) -> &BoltFile {
        &self.file
    }

    /// The header of a page, whose ID, extent and type have been checked. Reads no more than the header.
    pub(super) fn header(&mut self, id: u64) -> Result<PageHeader, BoltError> {
        let offset = self.check_page(id)?;
        let mut bytes = [0; HEADER_BYTES];
        match self.windowed(offset, HEADER_BYTES) {
            Some(page) => bytes.copy_from_slice(page),
            None => self.file.read_exact(offset, &mut bytes)?,
        }
        self.checked_header(id, &bytes)
    }

    /// Reads a branch or leaf page and its overflow pages into `node`, and returns the number of pages.
    pub(super) fn read(&mut self, id: u64, node: &mut PageNode) -> Result<u64, BoltError> {
        let header = self.load(id, &mut node.bytes)?;
        if !matches!(header.kind, PageKind::Branch | PageKind::Leaf) {
            return Err(self.file.damage(id, PageFault::Kind(header.kind)));
        }
        node.id = id;
        node.offset = id.saturating_mul(self.file.page_bytes().into());
        node.is_leaf = header.kind == PageKind::Leaf;
        node.count = header.count.into();
        if node.count == 0 && !node.is_leaf {
            return Err(self.file.damage(id, PageFault::EmptyBranch));
        }
        check_layout(&node.bytes, node.is_leaf, node.count).map_err(|fault| self.file.damage(id, fault))?;
        Ok(u64::from(header.overflow).saturating_add(1))
    }

    /// Reads a page of any type and its overflow pages.
    pub(super) fn load(&mut self, id: u64, bytes: &mut Vec<u8>) -> Result<PageHeader, BoltError> {
        let offset = self.check_page(id)?;
        let page_bytes = self.file.page_bytes();
        self.fill_window(offset, page_bytes)?;
        let page_length = usize::try_from(page_bytes).unwrap_or(usize::MAX);
        let header = match self.windowed(offset, page_length) {
            Some(page) => {
                bytes.clear();
                bytes.extend_from_slice(page);
                self.checked_header(id, bytes)?
            }
            None => return Err(self.file.damage(id, "the page lies beyond the end of the file")),
        };
        let length = u64::from(header.overflow).saturating_add(1).saturating_mul(page_bytes.into());
        self.last_end = offset.saturating_add(length);
        if header.overflow > 0 {
            let whole = usize::try_from(length).unwrap_or(usize::MAX);
            match self.windowed(offset, whole) {
                Some(_) if whole <= page_length => {}
                Some(node) => {
                    bytes.clear();
                    bytes.extend_from_slice(node);
                }
                None => {
                    bytes.resize(whole, 0);
                    let rest = bytes.get_mut(page_length..).unwrap_or_default();
                    self.file.read_exact(offset.saturating_add(page_bytes.into()), rest)?;
                }
            }
        }
        Ok(header)
    }

    /// The offset of a page that may exist.
    fn check_page(&self, id: u64) -> Result<u64, BoltError> {
        let mark = self.file.high_water_mark();
        // The first two pages are the meta pages.
        if id < 2 || id >= mark {
            let what = format!("a reference to page {id}, but the database has pages 2 to {}", mark.saturating_sub(1));
            return Err(self.file.damage(id, what));
        }
        let page_bytes = u64::from(self.file.page_bytes());
        let end = id.checked_add(1).and_then(|next| next.checked_mul(page_bytes));
        match end.and_then(|end| end.checked_sub(page_bytes).filter(|_| end <= self.file.file_bytes())) {
            Some(offset) => Ok(offset),
            None => Err(self.file.damage(id, "the page lies beyond the end of the file")),
        }
    }

    /// Checks a header against the ID that the page was reached by, and its overflow pages against the file.
    fn checked_header(&self, id: u64, page: &[u8]) -> Result<PageHeader, BoltError> {
        let damage = |what: PageFault| self.file.damage(id, what);
        let header = PageHeader::parse(page).map_err(damage)?;
        if header.id != id {
            return Err(damage(PageFault::Id(header.id)));
        }
        let pages = u64::from(header.overflow).saturating_add(1);
        let end = id.saturating_add(pages);
        let page_bytes = u64::from(self.file.page_bytes());
        let length = pages.saturating_mul(page_bytes);
        if end > self.file.high_water_mark() || end.saturating_mul(page_bytes) > self.file.file_bytes() {
            let what = format!("the page and {} end beyond the database", counted(header.overflow, "overflow page"));
            return Err(self.file.damage(id, what));
        }
        if length > MAX_NODE_BYTES {
            let what = format!("{length} bytes in one page and its overflow pages; the limit is {MAX_NODE_BYTES}");
            return Err(self.file.damage(id, what));
        }
        Ok(header)
    }

    /// Makes the window hold the page, and those after it if the pass seems to be sequential.
    fn fill_window(&mut self, offset: u64, page_bytes: u32) -> Result<(), BoltError> {
        let page_length = usize::try_from(page_bytes).unwrap_or(usize::MAX);
        if self.windowed(offset, page_length).is_some() {
            return Ok(());
        }
        let is_near = offset.abs_diff(self.last_end) <= WINDOW_BYTES;
        let wanted = if is_near { WINDOW_BYTES } else { page_bytes.into() };
        let length = wanted.min(self.file.file_bytes().saturating_sub(offset));
        let mut window = std::mem::take(&mut self.window);
        window.resize(usize::try_from(length).unwrap_or(0), 0);
        self.file.read_exact(offset, &mut window)?;
        (self.window, self.window_at) = (window, offset);
        Ok(())
    }

    /// Bytes of the file that the window holds.
    fn windowed(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.window_at)?).ok()?;
        self.window.get(start..start.checked_add(length)?)
    }
}
