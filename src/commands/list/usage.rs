//! `list --du`: the keys and bytes of each branch.

use super::branch_sums::{BranchSum, BranchSums, Ranking};
use super::listing::Listing;
use crate::activity::BranchLevels;
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
    fn of(kv: &KeyValue) -> Self {
        Self { keys: 1, key_bytes: kv.key.len() as u64, value_bytes: kv.value.len() as u64 }
    }
}

impl BranchSum for BranchUsage {
    fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.key_bytes += other.key_bytes;
        self.value_bytes += other.value_bytes;
    }

    fn bytes(&self) -> u64 {
        self.key_bytes + self.value_bytes
    }
}

/// Prints the complete branches, or keeps the largest.
struct UsagePrinter<'a> {
    sink: Sink,
    quota: Option<u64>,
    ranking: Option<Ranking<BranchUsage>>,
    largest: u64,
    progress: &'a Progress,
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
        // A file has no quota.
        Err(_) if listing.source.store.is_local() => None,
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
    let progress = out.progress("adding up", None);
    let ranking = top.map(Ranking::new);
    let mut printer = UsagePrinter { sink: out.stream(), quota, ranking, largest: 0, progress: &progress };
    let mut sums = BranchSums::new(levels);
    while let Some(page) = listing.page(&mut reader).await? {
        progress.set_total(reader.total());
        progress.inc(page.len() as u64);
        for kv in &page {
            if listing.accept(kv) {
                sums.add_key(&kv.key, &BranchUsage::of(kv), |branch, usage| printer.complete(branch, usage))?;
            }
        }
    }
    progress.finish();
    let total = sums.finish(|branch, usage| printer.complete(branch, usage))?;
    printer.finish(&listing.range.start[..levels.base], total)
}

impl UsagePrinter<'_> {
    fn complete(&mut self, branch: &[u8], usage: BranchUsage) -> Result<(), Failure> {
        if usage.bytes() > self.largest {
            self.largest = usage.bytes();
            self.progress.set_label(|| format!("adding up (largest so far {})", shortened(branch)));
        }
        match &mut self.ranking {
            Some(ranking) => ranking.push(usage.bytes(), branch, usage),
            None => self.sink.push(&row(branch, usage, false, self.quota))?,
        }
        Ok(())
    }

    fn finish(mut self, prefix: &[u8], total: BranchUsage) -> Result<(), Failure> {
        for (branch, usage) in self.ranking.take().into_iter().flat_map(Ranking::into_sorted) {
            self.sink.push(&row(&branch, usage, false, self.quota))?;
        }
        self.sink.push(&row(prefix, total, true, self.quota))?;
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
