//! `list --depth` and `list --tree`: keys as a tree.
//!
//! A branch is a prefix, so its keys are adjacent in key order. The open branches are always those of the last key, and
//! memory use does not grow with the tree.

use super::listing::Listing;
use crate::activity::BranchLevels;
use crate::error::Failure;
use crate::kvstore::{KeyRange, RangeReader};
use crate::output::{BranchRow, Sink, TreeLines};

/// The open branch at the deepest level; it is printed when it ends, because only then its keys are counted.
struct OpenBranch {
    branch: Vec<u8>,
    keys: u64,
}

pub struct TreeWalk<'a, 'b> {
    listing: &'a mut Listing<'b>,
    levels: BranchLevels,
    tree: bool,
    sink: Sink,
    /// The rows of a tree with lines.
    lines: Option<TreeLines>,
    /// The key before this one, and the ends of its branches.
    last: Vec<u8>,
    ends: Vec<usize>,
    open: Option<OpenBranch>,
    printed: u64,
}

impl<'a, 'b> TreeWalk<'a, 'b> {
    pub fn new(listing: &'a mut Listing<'b>, levels: BranchLevels, tree: bool) -> Self {
        let sink = listing.ctx.out.stream();
        let lines = (tree && listing.ctx.out.is_for_people()).then(TreeLines::default);
        Self { listing, levels, tree, sink, lines, last: Vec::new(), ends: Vec::new(), open: None, printed: 0 }
    }

    /// Reads and prints the listing. After the first page of a collapsed branch, the rest of the branch is skipped
    /// unless its keys must be filtered.
    pub async fn run(mut self, reader: RangeReader) -> Result<(), Failure> {
        let result = self.walk(reader).await;
        if let Some(lines) = &mut self.lines {
            lines.finish(&mut self.sink)?;
        }
        result?;
        Ok(self.sink.finish()?)
    }

    async fn walk(&mut self, reader: RangeReader) -> Result<(), Failure> {
        let mut reader = reader.without_prefetch();
        let progress = self.listing.ctx.out.progress("listing", None);
        'pages: while let Some(page) = self.listing.page(&mut reader).await? {
            progress.inc(page.len() as u64);
            for kv in &page {
                if self.limit_reached() {
                    break 'pages;
                }
                if self.listing.accept(kv) {
                    self.add_key(&kv.key)?;
                }
            }
            let first = page.first().map_or(&[][..], |kv| &kv.key);
            self.skip_rest_of_branch(first, &mut reader).await?;
        }
        progress.finish();
        self.close_branch()
    }

    fn limit_reached(&self) -> bool {
        self.listing.args.limit.is_some_and(|limit| self.printed >= limit)
    }

    fn add_key(&mut self, key: &[u8]) -> Result<(), Failure> {
        let ends: Vec<usize> = self.levels.ends(key).collect();
        let common = self.ends.iter().zip(&ends).take_while(|(a, b)| a == b && self.last[..**a] == key[..**a]).count();
        if common == self.levels.depth
            && let Some(open) = &mut self.open
        {
            open.keys += 1;
            return Ok(());
        }
        self.close_branch()?;
        for (level, end) in ends.iter().enumerate().skip(common) {
            if level + 1 == self.levels.depth {
                self.open = Some(OpenBranch { branch: key[..*end].to_vec(), keys: 1 });
            } else if self.tree {
                self.print(&key[..*end], true, level, None)?;
            }
        }
        if ends.len() < self.levels.depth {
            self.print(key, false, ends.len(), None)?;
        } else if !self.tree {
            self.close_branch()?;
            self.open = Some(OpenBranch { branch: Vec::new(), keys: 0 });
        }
        (self.last, self.ends) = (key.to_vec(), ends);
        Ok(())
    }

    /// Prints the branch at the deepest level, which has ended.
    fn close_branch(&mut self) -> Result<(), Failure> {
        let Some(open) = self.open.take().filter(|open| !open.branch.is_empty()) else { return Ok(()) };
        let keys = self.tree.then_some(open.keys);
        self.print(&open.branch, true, self.levels.depth - 1, keys)
    }

    async fn skip_rest_of_branch(&mut self, first: &[u8], reader: &mut RangeReader) -> Result<(), Failure> {
        let Some(end) = self.ends.get(self.levels.depth - 1).filter(|_| self.open.is_some()) else { return Ok(()) };
        let branch = self.last[..*end].to_vec();
        if !first.starts_with(&branch) {
            return Ok(());
        }
        if self.tree {
            // A filter must see every key.
            if !self.listing.filter.is_empty() {
                return Ok(());
            }
            let (range, guard) = (KeyRange::prefix(&branch), self.listing.guard.as_ref());
            let range = self.listing.range.intersection(&range);
            let counted = self.listing.source.store.count(&range, reader.revision(), guard).await?;
            if let Some(open) = &mut self.open {
                open.keys = counted.count;
            }
        }
        reader.skip(&branch);
        Ok(())
    }

    fn print(&mut self, key: &[u8], branch: bool, level: usize, keys: Option<u64>) -> Result<(), Failure> {
        // A key without a branch is drawn with its whole rest.
        let from = self.levels.ends(&key[..key.len() - usize::from(branch)]).nth(level.wrapping_sub(1));
        let from = if level == 0 { self.levels.base } else { from.unwrap_or(self.levels.base) };
        let row = BranchRow { key, branch, depth: level as u64 + 1, keys, drawn: None };
        self.printed += 1;
        if let Some(lines) = &mut self.lines {
            return Ok(lines.push(&mut self.sink, &row, &key[from..])?);
        }
        let drawn =
            (self.tree && !self.listing.ctx.out.is_data()).then(|| [&b"  ".repeat(level)[..], &key[from..]].concat());
        Ok(self.sink.push(&BranchRow { drawn: drawn.as_deref(), ..row })?)
    }
}
