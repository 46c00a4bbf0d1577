//! `list --du`: the keys and bytes of each branch.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::listing::Listing;
use crate::commands::levels::BranchLevels;
use crate::error::Failure;
use crate::kvstore::{KeyValue, RangeReader};
use crate::output::{Progress, Sink, UsageRow, bytes};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct BranchUsage {
    keys: u64,
    key_bytes: u64,
    value_bytes: u64,
}

impl BranchUsage {
    fn add(&mut self, kv: &KeyValue) {
        self.keys += 1;
        self.key_bytes += kv.key.len() as u64;
        self.value_bytes += kv.value.len() as u64;
    }

    fn bytes(&self) -> u64 {
        self.key_bytes + self.value_bytes
    }
}

/// An open branch: one that contains the last key.
struct OpenUsage {
    end: usize,
    usage: BranchUsage,
}

/// A complete branch in the order of `--top`: by bytes, then by key in reverse.
type RankedBranch = (u64, Reverse<Vec<u8>>, BranchUsage);

struct UsageSums {
    sink: Sink,
    quota: Option<u64>,
    top: Option<usize>,
    last: Vec<u8>,
    open: Vec<OpenUsage>,
    total: BranchUsage,
    largest_branches: BinaryHeap<Reverse<RankedBranch>>,
    largest: u64,
}

/// Adds up the listing and prints each branch as it ends, or the `top` largest, and the total last.
pub async fn run(
    listing: &mut Listing<'_>,
    levels: BranchLevels,
    top: Option<usize>,
    mut reader: RangeReader,
) -> Result<(), Failure> {
    let out = &listing.ctx.out;
    let quota = match listing.source.store.member_status().await {
        Ok(status) => {
            if status.quota.is_none() {
                out.note(&format!("etcd {} does not report its quota; the PERCENT column is omitted", status.version));
            }
            status.quota
        }
        Err(error) => {
            let failure = Failure::from(error);
            if failure.exit == crate::error::Exit::Interrupted {
                return Err(failure);
            }
            out.note(&format!("the PERCENT column is omitted, because the quota is unknown: {}", failure.view().error));
            None
        }
    };
    let mut sums = UsageSums {
        sink: out.stream(),
        quota,
        top,
        last: Vec::new(),
        open: Vec::new(),
        total: BranchUsage::default(),
        largest_branches: BinaryHeap::new(),
        largest: 0,
    };
    let progress = out.progress("adding up", None);
    while let Some(page) = listing.page(&mut reader).await? {
        progress.set_total(reader.total());
        progress.inc(page.len() as u64);
        for kv in &page {
            if listing.accept(kv) {
                sums.add_key(levels, kv, &progress)?;
            }
        }
    }
    progress.finish();
    sums.close_branches(0, &progress)?;
    sums.finish(&listing.range.start[..levels.base])
}

impl UsageSums {
    fn add_key(&mut self, levels: BranchLevels, kv: &KeyValue, progress: &Progress) -> Result<(), Failure> {
        let shared = |open: &&OpenUsage| kv.key.get(..open.end) == Some(&self.last[..open.end]);
        let common = self.open.iter().take_while(shared).count();
        self.close_branches(common, progress)?;
        for end in levels.ends(&kv.key).skip(common) {
            self.open.push(OpenUsage { end, usage: BranchUsage::default() });
        }
        for open in &mut self.open {
            open.usage.add(kv);
        }
        self.total.add(kv);
        self.last.clone_from(&kv.key);
        Ok(())
    }

    /// Ends the branches below this level, innermost first.
    fn close_branches(&mut self, level: usize, progress: &Progress) -> Result<(), Failure> {
        while self.open.len() > level
            && let Some(OpenUsage { end, usage }) = self.open.pop()
        {
            let branch = &self.last[..end];
            if usage.bytes() > self.largest {
                self.largest = usage.bytes();
                progress.set_label(|| format!("adding up (largest so far {})", shortened(branch)));
            }
            let Some(top) = self.top else {
                self.sink.push(&row(branch, usage, false, self.quota))?;
                continue;
            };
            self.largest_branches.push(Reverse((usage.bytes(), Reverse(branch.to_vec()), usage)));
            if self.largest_branches.len() > top {
                self.largest_branches.pop();
            }
        }
        Ok(())
    }

    fn finish(mut self, prefix: &[u8]) -> Result<(), Failure> {
        for Reverse((_, Reverse(branch), usage)) in std::mem::take(&mut self.largest_branches).into_sorted_vec() {
            self.sink.push(&row(&branch, usage, false, self.quota))?;
        }
        self.sink.push(&row(prefix, self.total, true, self.quota))?;
        Ok(self.sink.finish()?)
    }
}

fn row(key: &[u8], usage: BranchUsage, total: bool, quota: Option<u64>) -> UsageRow<'_> {
    let BranchUsage { keys, key_bytes, value_bytes } = usage;
    UsageRow { key, total, keys, key_bytes, value_bytes, quota }
}

/// The last 24 characters of a name, which fit next to a progress bar.
fn shortened(branch: &[u8]) -> String {
    let name = bytes::escape(branch).to_string();
    let skip = name.chars().count().saturating_sub(24);
    if skip == 0 { name } else { format!("…{}", name.chars().skip(skip).collect::<String>()) }
}
