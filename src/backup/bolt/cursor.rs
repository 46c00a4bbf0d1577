//! Buckets, and cursors over their elements in key order.

use std::sync::Arc;

use super::file::{BoltError, BoltFile};
use super::page::{BUCKET_HEADER_BYTES, BucketHeader, PageFault, PageKind};
use super::reader::{MAX_DEPTH, NodeReader, PageNode};

/// Where the elements of a bucket are.
#[derive(Clone, Debug)]
pub(super) enum Root {
    /// In the tree below this page.
    Page(u64),
    /// In a leaf page inside another bucket's value.
    Inline {
        /// The leaf page.
        page: Arc<[u8]>,
        /// Its offset in the file.
        offset: u64,
    },
}

impl Root {
    /// The root of the bucket with this value; `None` if the value is too short.
    pub(super) fn parse(value: &[u8], value_offset: u64) -> Option<Self> {
        let header = BucketHeader::parse(value)?;
        if header.root != 0 {
            return Some(Self::Page(header.root));
        }
        let page = value.get(BUCKET_HEADER_BYTES..)?;
        Some(Self::Inline { page: page.into(), offset: value_offset.saturating_add(BUCKET_HEADER_BYTES as u64) })
    }
}

impl BoltFile {
    /// A top-level bucket; `None` if there is none of this name.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket>, BoltError> {
        let mut cursor = self.top();
        cursor.seek(name)?;
        match cursor.next()? {
            Some(element) if element.key == name && element.is_bucket => {
                let value = element.value.to_vec();
                let offset = element.value_offset;
                self.bucket_of(&value, offset).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The names of the top-level buckets, in order.
    ///
    /// # Errors
    /// The file is damaged or cannot be read. bbolt stores values in buckets only: a value outside of all buckets is
    /// damage, such as a copy has whose root page was written again meanwhile.
    pub fn buckets(&self) -> Result<Vec<Vec<u8>>, BoltError> {
        let mut cursor = self.top();
        let mut names = Vec::new();
        while let Some(element) = cursor.next()? {
            if !element.is_bucket {
                let what = format!("'{}' is a value outside of all buckets", element.key.escape_ascii());
                return Err(self.damage_at(element.value_offset, what));
            }
            names.push(element.key.to_vec());
        }
        Ok(names)
    }

    /// The bucket that an element with `is_bucket` holds.
    ///
    /// # Errors
    /// The value is too short for a bucket.
    pub fn bucket_of(&self, value: &[u8], value_offset: u64) -> Result<Bucket, BoltError> {
        Root::parse(value, value_offset)
            .map(|root| Bucket::new(self.clone(), root))
            .ok_or_else(|| self.damage_at(value_offset, "the value of a bucket is too short".to_owned()))
    }

    /// A cursor over the top-level buckets.
    fn top(&self) -> Cursor {
        Bucket::new(self.clone(), Root::Page(self.root())).cursor()
    }
}

/// A bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bucket {
    file: BoltFile,
    root: Root,
}

impl Bucket {
    pub(super) fn new(file: BoltFile, root: Root) -> Self {
        Self { file, root }
    }

    /// A cursor before the first element.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            reader: NodeReader::new(self.file.clone()),
            root: self.root.clone(),
            path: Vec::new(),
            spare: Vec::new(),
            started: false,
            pages_left: 0,
            last_key: Vec::new(),
        }
    }

    /// The number of elements, from the headers of the leaf pages.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn entries(&self) -> Result<u64, BoltError> {
        let mut cursor = self.cursor();
        cursor.push_root()?;
        let mut entries: u64 = 0;
        while let Some(frame) = cursor.path.last_mut() {
            if frame.node.is_leaf {
                entries = entries.saturating_add(frame.node.count as u64);
                cursor.pop();
                continue;
            }
            let Some(child) = frame.next_child(&self.file)? else {
                cursor.pop();
                continue;
            };
            let header = cursor.reader.header(child)?;
            if header.kind == PageKind::Leaf {
                if header.count == 0 {
                    return Err(self.file.damage(child, PageFault::EmptyLeaf));
                }
                cursor.spend(child, 1)?;
                entries = entries.saturating_add(header.count.into());
            } else {
                cursor.push(child)?;
            }
        }
        Ok(entries)
    }

    /// The last key; `None` if the bucket is empty.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn last(&self) -> Result<Option<Vec<u8>>, BoltError> {
        let mut cursor = self.cursor();
        cursor.push_root()?;
        loop {
            // In the path, `index` is here the number of elements that are left, from the end.
            let Some(frame) = cursor.path.last_mut() else { return Ok(None) };
            if frame.index == 0 {
                frame.index = frame.node.count.saturating_add(1);
            }
            frame.index = frame.index.saturating_sub(1);
            let Some(last) = frame.index.checked_sub(1) else {
                cursor.pop();
                continue;
            };
            let node = &frame.node;
            if node.is_leaf {
                return Ok(Some(node.key(last).map_err(|fault| self.file.damage(node.id, fault))?.to_vec()));
            }
            let child = node.branch(last).map_err(|fault| self.file.damage(node.id, fault))?.child;
            cursor.push(child)?;
        }
    }
}

/// An element of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value; for a bucket, its header and perhaps an inline page.
    pub value: &'a [u8],
    /// The offset of the value in the file.
    pub value_offset: u64,
    /// Whether the element is a nested bucket.
    pub is_bucket: bool,
}

/// A position in a bucket. Memory is that of the pages on the way to one leaf.
#[derive(Debug)]
pub struct Cursor {
    reader: NodeReader,
    root: Root,
    path: Vec<Frame>,
    /// Nodes whose memory is used again.
    spare: Vec<PageNode>,
    started: bool,
    /// Pages that may still be read in this pass. A tree has no page twice, so a pass over more pages than the file has is
    /// a cycle.
    pages_left: u64,
    /// The last key of the leaf before the current one.
    last_key: Vec<u8>,
}

#[derive(Debug)]
struct Frame {
    node: PageNode,
    /// The next element.
    index: usize,
}

impl Frame {
    fn next_child(&mut self, file: &BoltFile) -> Result<Option<u64>, BoltError> {
        if self.index >= self.node.count {
            return Ok(None);
        }
        let damage = |fault: PageFault| file.damage(self.node.id, fault);
        let element = self.node.branch(self.index).map_err(damage)?;
        let before = self.index.checked_sub(1).map(|before| self.node.branch(before)).transpose().map_err(damage)?;
        if before.is_some_and(|before| before.key >= element.key) {
            return Err(damage(PageFault::Order(self.index)));
        }
        self.index = self.index.saturating_add(1);
        Ok(Some(element.child))
    }
}

impl Cursor {
    /// Moves to the first element whose key is not smaller than `key`.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn seek(&mut self, key: &[u8]) -> Result<(), BoltError> {
        self.push_root()?;
        loop {
            let Some(frame) = self.path.last_mut() else { return Ok(()) };
            let node = &frame.node;
            let damage = |fault: PageFault| self.reader.file().damage(node.id, fault);
            let (mut low, mut high) = (0, node.count);
            // For a leaf the first key that is not smaller; for a branch the first key that is greater.
            while low < high {
                let middle = low.midpoint(high);
                let found = node.key(middle).map_err(damage)?;
                if found < key || (!node.is_leaf && found == key) {
                    low = middle.saturating_add(1);
                } else {
                    high = middle;
                }
            }
            if node.is_leaf {
                frame.index = low;
                return Ok(());
            }
            let child = low.saturating_sub(1);
            frame.index = child.saturating_add(1);
            let child = node.branch(child).map_err(damage)?.child;
            self.push(child)?;
        }
    }

    /// The next element in key order; `None` after the last one.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    // The element borrows the cursor, which no iterator can express.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Element<'_>>, BoltError> {
        if !self.started {
            self.push_root()?;
        }
        while let Some(frame) = self.path.last_mut() {
            if frame.node.is_leaf {
                if frame.index < frame.node.count {
                    frame.index = frame.index.saturating_add(1);
                    break;
                }
                self.leave_leaf()?;
            } else if let Some(child) = frame.next_child(self.reader.file())? {
                self.push(child)?;
            } else {
                self.pop();
            }
        }
        let Some(frame) = self.path.last() else { return Ok(None) };
        let (node, index) = (&frame.node, frame.index.saturating_sub(1));
        let damage = |fault: PageFault| self.reader.file().damage(node.id, fault);
        let element = node.leaf(index).map_err(damage)?;
        let in_order = match index.checked_sub(1) {
            Some(before) => node.leaf(before).map_err(damage)?.key < element.key,
            None => self.last_key.is_empty() || self.last_key.as_slice() < element.key,
        };
        if !in_order {
            return Err(damage(PageFault::Order(index)));
        }
        let value_offset = node.offset.saturating_add(element.value_at as u64);
        Ok(Some(Element { key: element.key, value: element.value, value_offset, is_bucket: element.is_bucket }))
    }

    /// Leaves a leaf after its last element, whose key is kept for the comparison with the next leaf.
    fn leave_leaf(&mut self) -> Result<(), BoltError> {
        if let Some(Frame { node, .. }) = self.path.last()
            && let Some(last) = node.count.checked_sub(1)
        {
            let key = node.key(last).map_err(|fault| self.reader.file().damage(node.id, fault))?;
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        self.pop();
        Ok(())
    }

    /// Begins a pass at the root.
    fn push_root(&mut self) -> Result<(), BoltError> {
        while !self.path.is_empty() {
            self.pop();
        }
        self.started = true;
        self.last_key.clear();
        let file = self.reader.file();
        self.pages_left = file.pages();
        match self.root.clone() {
            Root::Page(id) => self.push(id),
            Root::Inline { page, offset } => {
                let mut node = self.spare.pop().unwrap_or_default();
                let file = self.reader.file();
                let id = offset.checked_div(file.page_bytes().into()).unwrap_or(0);
                let fault = |fault| file.damage_at(offset, format!("inline bucket: {fault}"));
                node.set_inline(&page, id, offset).map_err(fault)?;
                self.path.push(Frame { node, index: 0 });
                Ok(())
            }
        }
    }

    fn push(&mut self, id: u64) -> Result<(), BoltError> {
        if self.path.len() >= MAX_DEPTH {
            let what = format!("the tree has more than {MAX_DEPTH} levels");
            return Err(self.reader.file().damage(id, what));
        }
        let mut node = self.spare.pop().unwrap_or_default();
        let pages = self.reader.read(id, &mut node)?;
        if node.is_leaf && node.count == 0 && !self.path.is_empty() {
            return Err(self.reader.file().damage(id, PageFault::EmptyLeaf));
        }
        self.spend(id, pages)?;
        self.path.push(Frame { node, index: 0 });
        Ok(())
    }

    fn pop(&mut self) {
        if let Some(Frame { node, .. }) = self.path.pop() {
            self.spare.push(node);
        }
    }

    fn spend(&mut self, id: u64, pages: u64) -> Result<(), BoltError> {
        match self.pages_left.checked_sub(pages) {
            Some(left) => {
                self.pages_left = left;
                Ok(())
            }
            None => Err(self.reader.file().damage(id, "the page is part of the tree twice")),
        }
    }
}
