//! Keys as a tree: `list --depth` and `--tree`.
//!
//! In key order the keys of a branch stand together, whatever bytes they are of, for a branch is a prefix. So the open
//! branches are those of the last key, and memory does not grow with the tree.

use super::levels::BranchLevels;
use super::listing::Listing;
use crate::error::Failure;
use crate::kvstore::{KeyRange, RangeReader};
use crate::output::{BranchRow, Sink};

/// The deepest branch at the cut: it is told when it ends, for then its keys are counted.
struct OpenBranch {
    branch: Vec<u8>,
    keys: u64,
}

/// Walks the keys of a listing and shows its branches.
pub struct TreeWalk<'a, 'b> {
    listing: &'a mut Listing<'b>,
    cut: BranchLevels,
    tree: bool,
    sink: Sink,
    /// The key before this one, and the ends of its branches.
    last: Vec<u8>,
    ends: Vec<usize>,
    open: Option<OpenBranch>,
    shown: u64,
}

impl<'a, 'b> TreeWalk<'a, 'b> {
    /// Nothing is read yet.
    pub fn new(listing: &'a mut Listing<'b>, cut: BranchLevels, tree: bool) -> Self {
        let sink = listing.ctx.out.stream();
        Self { listing, cut, tree, sink, last: Vec::new(), ends: Vec::new(), open: None, shown: 0 }
    }

    /// Reads and shows all of it; what lies deeper than the cut is left out without being read, where a page of it was
    /// met and nothing has to be looked at.
    ///
    /// # Errors
    /// As the verb.
    pub async fn run(mut self, reader: RangeReader) -> Result<(), Failure> {
        let mut reader = reader.without_prefetch();
        let progress = self.listing.ctx.out.progress("listing", None);
        'pages: while let Some(page) = self.listing.page(&mut reader).await? {
            progress.inc(page.len() as u64);
            for kv in &page {
                if self.full() {
                    break 'pages;
                }
                if self.listing.wanted(kv) {
                    self.take(&kv.key)?;
                }
            }
            let first = page.first().map_or(&[][..], |kv| &kv.key);
            self.leave_out(first, &mut reader).await?;
        }
        progress.finish();
        self.close()?;
        Ok(self.sink.finish()?)
    }

    fn full(&self) -> bool {
        self.listing.args.limit.is_some_and(|limit| self.shown >= limit)
    }

    fn take(&mut self, key: &[u8]) -> Result<(), Failure> {
        let ends: Vec<usize> = self.cut.ends(key).collect();
        let common = self.ends.iter().zip(&ends).take_while(|(a, b)| a == b && self.last[..**a] == key[..**a]).count();
        if common == self.cut.depth
            && let Some(open) = &mut self.open
        {
            open.keys += 1;
            return Ok(());
        }
        self.close()?;
        for (level, end) in ends.iter().enumerate().skip(common) {
            if level + 1 == self.cut.depth {
                self.open = Some(OpenBranch { branch: key[..*end].to_vec(), keys: 1 });
            } else if self.tree {
                self.show(&key[..*end], true, level, None)?;
            }
        }
        if ends.len() < self.cut.depth {
            self.show(key, false, ends.len(), None)?;
        } else if !self.tree {
            self.close()?;
            self.open = Some(OpenBranch { branch: Vec::new(), keys: 0 });
        }
        (self.last, self.ends) = (key.to_vec(), ends);
        Ok(())
    }

    /// Tells the branch at the cut that has come to its end.
    fn close(&mut self) -> Result<(), Failure> {
        let Some(open) = self.open.take().filter(|open| !open.branch.is_empty()) else { return Ok(()) };
        let keys = self.tree.then_some(open.keys);
        self.show(&open.branch, true, self.cut.depth - 1, keys)
    }

    async fn leave_out(&mut self, first: &[u8], reader: &mut RangeReader) -> Result<(), Failure> {
        let Some(end) = self.ends.get(self.cut.depth - 1).filter(|_| self.open.is_some()) else { return Ok(()) };
        let branch = self.last[..*end].to_vec();
        if !first.starts_with(&branch) {
            return Ok(());
        }
        if self.tree {
            // Which keys match is known only of those that were read.
            if self.listing.filter.is_some() {
                return Ok(());
            }
            let (range, guard) = (KeyRange::prefix(&branch), self.listing.guard.as_ref());
            let range = self.listing.range.intersection(&range);
            let counted = self.listing.ctx.store().count(&range, reader.revision(), guard).await?;
            if let Some(open) = &mut self.open {
                open.keys = counted.count;
            }
        }
        reader.skip(&branch);
        Ok(())
    }

    fn show(&mut self, key: &[u8], branch: bool, level: usize, keys: Option<u64>) -> Result<(), Failure> {
        let out = &self.listing.ctx.out;
        let drawn = (self.tree && !out.is_data()).then(|| {
            // What lies in no branch stands with its whole rest.
            let from = self.cut.ends(&key[..key.len() - usize::from(branch)]).nth(level.wrapping_sub(1));
            let from = if level == 0 { self.cut.base } else { from.unwrap_or(self.cut.base) };
            [&b"  ".repeat(level)[..], &key[from..]].concat()
        });
        let depth = level as u64 + 1;
        self.shown += 1;
        Ok(self.sink.push(&BranchRow { key, branch, depth, keys, drawn: drawn.as_deref() })?)
    }
}
