//! Visits every reachable page of every bucket once, checks the structure, and goes on behind damage.

use super::cursor::Element;
use super::file::{BoltError, BoltFile, Damage};
use super::page::{BUCKET_HEADER_BYTES, BucketHeader, PageFault, PageKind, u64_at};
use super::page_set::PageSet;
use super::reader::{MAX_DEPTH, NodeReader, PageNode};
use crate::plural::counted;

/// Levels of pages and nested buckets below the root. etcd has one level of buckets.
const MAX_LEVELS: usize = 3 * MAX_DEPTH;
/// Damage that is described; more is counted.
const MAX_DESCRIBED: usize = 20;

/// What a walk calls.
pub trait ElementCheck {
    /// Called for each element that is not a bucket, in the order of keys, with the name of its top-level bucket. Returns
    /// what is wrong with it.
    fn element(&mut self, bucket: &[u8], element: &Element<'_>) -> Result<(), String>;
    /// Called after each page with its size, overflow pages included. `false` ends the walk.
    fn page(&mut self, bytes: u64) -> bool;
}

/// Why a walk ended before all pages were visited.
#[derive(Debug)]
pub enum WalkEnd {
    /// The check has ended it.
    Cancelled,
    /// The file cannot be read.
    Unreadable(BoltError),
}

/// A walk over all pages of a file.
#[derive(Debug)]
pub struct PageWalk {
    reader: NodeReader,
    used: PageSet,
    /// Nodes whose memory is used again.
    spare: Vec<PageNode>,
    described: Vec<Damage>,
    damages: u64,
}

/// Keys below a page: from the first bound, below the second.
#[derive(Clone, Copy, Default)]
struct Bounds<'a> {
    from: Option<&'a [u8]>,
    below: Option<&'a [u8]>,
}

/// The bucket that is being visited.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The name of the top-level bucket; empty for the bucket that holds them.
    bucket: &'a [u8],
    /// Buckets above.
    level: usize,
    /// Pages and buckets above.
    depth: usize,
}

impl PageWalk {
    /// A walk over this file.
    pub fn new(file: BoltFile) -> Self {
        let reader = NodeReader::new(file);
        Self { reader, used: PageSet::default(), spare: Vec::new(), described: Vec::new(), damages: 0 }
    }

    /// Visits all pages. Damage is recorded, and does not end the walk.
    ///
    /// # Errors
    /// The check has ended the walk, or the file cannot be read.
    pub fn run(&mut self, check: &mut impl ElementCheck) -> Result<(), WalkEnd> {
        let root = self.reader.file().root();
        self.visit(root, Bounds::default(), Place { bucket: b"", level: 0, depth: 0 }, check)?;
        self.freelist()
    }

    /// The first damages that were found.
    pub fn described(&self) -> &[Damage] {
        &self.described
    }

    /// The number of damages that were found.
    pub fn damages(&self) -> u64 {
        self.damages
    }

    /// The number of pages in use: those visited, their overflow pages, the two meta pages and the list of free pages.
    pub fn used_pages(&self) -> u64 {
        self.used.len().saturating_add(2)
    }

    /// Records damage that was found elsewhere.
    pub fn record(&mut self, damage: Damage) {
        self.damages = self.damages.saturating_add(1);
        if self.described.len() < MAX_DESCRIBED {
            self.described.push(damage);
        }
    }

    fn found(&mut self, place: Place<'_>, node: &PageNode, what: impl std::fmt::Display) {
        let bucket = place.bucket.escape_ascii();
        let what = if place.bucket.is_empty() { what.to_string() } else { format!("bucket {bucket}: {what}") };
        self.record(Damage { page: node.id, offset: node.offset, what });
    }

    /// Visits the tree below a page.
    fn visit(
        &mut self,
        id: u64,
        bounds: Bounds<'_>,
        place: Place<'_>,
        check: &mut impl ElementCheck,
    ) -> Result<(), WalkEnd> {
        let mut node = self.spare.pop().unwrap_or_default();
        let result = self.visit_into(id, &mut node, bounds, place, check);
        self.spare.push(node);
        result
    }

    fn visit_into(
        &mut self,
        id: u64,
        node: &mut PageNode,
        bounds: Bounds<'_>,
        place: Place<'_>,
        check: &mut impl ElementCheck,
    ) -> Result<(), WalkEnd> {
        (node.id, node.offset) = (id, id.saturating_mul(self.reader.file().page_bytes().into()));
        if self.used.contains(id) {
            self.found(place, node, "the page is used twice");
            return Ok(());
        }
        if place.depth >= MAX_LEVELS {
            self.found(place, node, format!("more than {MAX_LEVELS} levels of pages and buckets"));
            return Ok(());
        }
        let pages = match self.reader.read(id, node) {
            Ok(pages) => pages,
            Err(BoltError::Damaged(damage)) => {
                self.found(place, node, damage.what);
                return Ok(());
            }
            Err(error) => return Err(WalkEnd::Unreadable(error)),
        };
        let shared = (id..id.saturating_add(pages)).filter(|page| !self.used.insert(*page)).count();
        if shared > 0 {
            self.found(place, node, format!("used twice: {}", counted(shared as u64, "overflow page")));
        }
        if !check.page(pages.saturating_mul(self.reader.file().page_bytes().into())) {
            return Err(WalkEnd::Cancelled);
        }
        // Pages below a branch page have a lower bound.
        if node.is_leaf && node.count == 0 && bounds.from.is_some() {
            self.found(place, node, PageFault::EmptyLeaf);
        }
        if node.is_leaf { self.leaf(node, bounds, place, check) } else { self.branch(node, bounds, place, check) }
    }

    fn branch(
        &mut self,
        node: &PageNode,
        bounds: Bounds<'_>,
        place: Place<'_>,
        check: &mut impl ElementCheck,
    ) -> Result<(), WalkEnd> {
        let mut before = None;
        for index in 0..node.count {
            let element = match node.branch(index) {
                Ok(element) => element,
                Err(fault) => {
                    self.found(place, node, fault);
                    continue;
                }
            };
            self.check_key(node, index, element.key, before, bounds, place);
            before = Some(element.key);
            let next = node.branch(index.saturating_add(1)).ok().filter(|_| index.saturating_add(1) < node.count);
            let below = next.map(|next| next.key).or(bounds.below);
            let inner = Bounds { from: Some(element.key), below };
            self.visit(element.child, inner, Place { depth: place.depth.saturating_add(1), ..place }, check)?;
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        node: &PageNode,
        bounds: Bounds<'_>,
        place: Place<'_>,
        check: &mut impl ElementCheck,
    ) -> Result<(), WalkEnd> {
        // Values outside of all buckets.
        let mut strays: u64 = 0;
        let mut before = None;
        for index in 0..node.count {
            let element = match node.leaf(index) {
                Ok(element) => element,
                Err(fault) => {
                    self.found(place, node, fault);
                    continue;
                }
            };
            self.check_key(node, index, element.key, before, bounds, place);
            before = Some(element.key);
            let value_offset = node.offset.saturating_add(element.value_at as u64);
            if element.is_bucket {
                let bucket = if place.level == 0 { element.key } else { place.bucket };
                let inner =
                    Place { bucket, level: place.level.saturating_add(1), depth: place.depth.saturating_add(1) };
                self.bucket(node, element.value, value_offset, inner, check)?;
                continue;
            }
            if place.level == 0 {
                strays = strays.saturating_add(1);
                continue;
            }
            let element = Element { key: element.key, value: element.value, value_offset, is_bucket: false };
            if let Err(what) = check.element(place.bucket, &element) {
                let bucket = place.bucket.escape_ascii();
                let damage = Damage { page: node.id, offset: value_offset, what: format!("bucket {bucket}: {what}") };
                self.record(damage);
            }
        }
        if strays > 0 {
            self.found(place, node, format!("{} outside of all buckets", counted(strays, "element")));
        }
        Ok(())
    }

    fn bucket(
        &mut self,
        node: &PageNode,
        value: &[u8],
        value_offset: u64,
        place: Place<'_>,
        check: &mut impl ElementCheck,
    ) -> Result<(), WalkEnd> {
        let Some(header) = BucketHeader::parse(value) else {
            self.found(place, node, "the value of the bucket is too short");
            return Ok(());
        };
        if header.root != 0 {
            return self.visit(header.root, Bounds::default(), place, check);
        }
        if place.depth >= MAX_LEVELS {
            self.found(place, node, format!("more than {MAX_LEVELS} levels of pages and buckets"));
            return Ok(());
        }
        let page = value.get(BUCKET_HEADER_BYTES..).unwrap_or_default();
        let mut inner = PageNode::default();
        let offset = value_offset.saturating_add(BUCKET_HEADER_BYTES as u64);
        match inner.set_inline(page, node.id, offset) {
            Ok(()) => self.leaf(&inner, Bounds::default(), place, check),
            Err(fault) => {
                self.found(place, node, format!("inline bucket: {fault}"));
                Ok(())
            }
        }
    }

    /// Checks that a key is greater than the one before it, and within the bounds that the pages above give.
    fn check_key(
        &mut self,
        node: &PageNode,
        index: usize,
        key: &[u8],
        before: Option<&[u8]>,
        bounds: Bounds<'_>,
        place: Place<'_>,
    ) {
        if before.is_some_and(|before| before >= key) {
            self.found(place, node, PageFault::Order(index));
        } else if bounds.from.is_some_and(|from| key < from) || bounds.below.is_some_and(|below| key >= below) {
            self.found(place, node, format!("the key of element {index} does not belong below this branch"));
        }
    }

    /// Checks the list of free pages, if it is stored: its pages must exist, and must not be in use.
    fn freelist(&mut self) -> Result<(), WalkEnd> {
        let Some(id) = self.reader.file().freelist() else { return Ok(()) };
        let place = Place { bucket: b"", level: 0, depth: 0 };
        let mut node =
            PageNode { id, offset: id.saturating_mul(self.reader.file().page_bytes().into()), ..PageNode::default() };
        let header = match self.reader.load(id, &mut node.bytes) {
            Ok(header) => header,
            Err(BoltError::Damaged(damage)) => {
                self.found(place, &node, format!("list of free pages: {}", damage.what));
                return Ok(());
            }
            Err(error) => return Err(WalkEnd::Unreadable(error)),
        };
        if header.kind != PageKind::Freelist {
            self.found(place, &node, format!("list of free pages: {}", PageFault::Kind(header.kind)));
            return Ok(());
        }
        let pages = u64::from(header.overflow).saturating_add(1);
        for page in id..id.saturating_add(pages) {
            if !self.used.insert(page) {
                self.found(place, &node, "list of free pages: its page is used twice");
            }
        }
        // The count of a longer list is its first number.
        let (start, count) = match header.count {
            u16::MAX => (1, u64_at(&node.bytes, 16).unwrap_or(u64::MAX)),
            count => (0, u64::from(count)),
        };
        let offset_of = |index: u64| index.checked_mul(8)?.checked_add(16)?.try_into().ok();
        let mark = self.reader.file().high_water_mark();
        let mut free = PageSet::default();
        for index in 0..count {
            let page = offset_of(index.saturating_add(start)).and_then(|at: usize| u64_at(&node.bytes, at));
            let Some(page) = page else {
                self.found(place, &node, format!("list of free pages: {count} numbers do not fit into the page"));
                return Ok(());
            };
            if page < 2 || page >= mark {
                self.found(place, &node, format!("list of free pages: there is no page {page}"));
            } else if self.used.contains(page) {
                self.found(place, &node, format!("list of free pages: page {page} is in use"));
            } else if !free.insert(page) {
                self.found(place, &node, format!("list of free pages: page {page} is listed twice"));
            }
        }
        Ok(())
    }
}
