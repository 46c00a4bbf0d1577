//! `list --du --history`: what the stored revisions of each branch take, and which keys are rewritten most.

use std::io::{self, Write};
use std::path::PathBuf;

use super::branch_sums::{BranchSum, BranchSums, Ranking};
use super::options::Args;
use crate::activity::BranchLevels;
use crate::backup::{Database, DigestMismatch, EtcdFile, KeyHistoryUsage, SnapshotDigest, SortedKeys, history_usage};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, KeyRange, Refusal};
use crate::output::{HistoryUsageRow, UsageKind};

/// The most rewritten keys that are printed without `--top`.
const DEFAULT_TOP: u32 = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct HistorySum {
    /// Keys that exist.
    keys: u64,
    /// Keys with a stored revision.
    all_keys: u64,
    live_bytes: u64,
    superseded_bytes: u64,
    revisions: u64,
    tombstones: u64,
}

impl HistorySum {
    fn of(usage: &KeyHistoryUsage) -> Self {
        Self {
            keys: u64::from(usage.live),
            all_keys: 1,
            live_bytes: usage.live_bytes,
            superseded_bytes: usage.superseded_bytes,
            revisions: usage.revisions,
            tombstones: usage.tombstones,
        }
    }

    fn row<'a>(&self, kind: UsageKind, key: &'a [u8]) -> HistoryUsageRow<'a> {
        let Self { keys, all_keys, live_bytes, superseded_bytes, revisions, tombstones } = *self;
        HistoryUsageRow { kind, key, keys, all_keys, live_bytes, superseded_bytes, revisions, tombstones }
    }
}

impl BranchSum for HistorySum {
    fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.all_keys += other.all_keys;
        self.live_bytes = self.live_bytes.saturating_add(other.live_bytes);
        self.superseded_bytes = self.superseded_bytes.saturating_add(other.superseded_bytes);
        self.revisions += other.revisions;
        self.tombstones += other.tombstones;
    }

    fn bytes(&self) -> u64 {
        self.live_bytes.saturating_add(self.superseded_bytes)
    }
}

/// Prints each branch, or the `--top` largest; the total; and the most rewritten keys.
pub(super) async fn run(ctx: &Context, args: &Args, range: &KeyRange) -> Result<Exit, Failure> {
    let database = database(ctx).await?;
    let absolute = ctx.store().absolute_range(range);
    let scanned = database.clone();
    let usage = ctx.run_blocking(move || history_usage(&scanned, &absolute)).await?;
    let usage = usage.map_err(|error| database.error(error))?;
    let levels = args.branch_levels(range, 1);
    print(ctx, args, levels, range, &usage)?;
    Ok(Exit::Done)
}

fn print(
    ctx: &Context,
    args: &Args,
    levels: BranchLevels,
    range: &KeyRange,
    usage: &SortedKeys<KeyHistoryUsage>,
) -> Result<(), Failure> {
    let namespace = ctx.store().namespace().len();
    let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    if ctx.out.is_text() {
        // Text has no header, and nobody guesses six numbers.
        ctx.out.note("columns: key, kind, keys, live_bytes, superseded_bytes, revisions, tombstones");
    }
    let mut sink = ctx.out.stream();
    let mut sums = BranchSums::<HistorySum>::new(levels);
    let mut branches = args.top.map(|top| Ranking::new(count(top)));
    let mut rewritten = Ranking::new(count(args.top.unwrap_or(DEFAULT_TOP)));
    let mut complete = |branch: &[u8], sum: HistorySum| {
        match &mut branches {
            Some(branches) => branches.push(sum.bytes(), branch, sum),
            None => sink.push(&sum.row(UsageKind::Branch, branch))?,
        }
        Ok(())
    };
    for (key, usage) in usage.iter() {
        let key = key.get(namespace..).unwrap_or_default();
        let sum = HistorySum::of(usage);
        sums.add_key(key, &sum, &mut complete)?;
        if usage.revisions > 1 {
            rewritten.push(usage.revisions, key, sum);
        }
    }
    let total = sums.finish(&mut complete)?;
    for (branch, sum) in branches.into_iter().flat_map(Ranking::into_sorted) {
        sink.push(&sum.row(UsageKind::Branch, &branch))?;
    }
    sink.push(&total.row(UsageKind::Total, range.start.get(..levels.base).unwrap_or_default()))?;
    for (key, sum) in rewritten.into_sorted() {
        sink.push(&sum.row(UsageKind::Key, &key))?;
    }
    Ok(sink.finish()?)
}

/// The file of `--db`, or a snapshot of a member in a temporary file without a name.
async fn database(ctx: &Context) -> Result<Database, Failure> {
    if let Some(database) = ctx.database() {
        return Ok(database.clone());
    }
    let store = ctx.store();
    let mut stream = store.snapshot().await.map_err(cannot_stream)?;
    let endpoint = stream.endpoint().to_owned();
    let file = tempfile::tempfile().map_err(cannot_spool)?;
    let mut writer = file.try_clone().map_err(cannot_spool)?;
    let progress = ctx.out.progress_bytes("receiving a snapshot", Some(stream.total_bytes()));
    let mut digest = SnapshotDigest::new(stream.total_bytes());
    while let Some(bytes) = stream.next().await.map_err(cannot_stream)? {
        digest.update(&bytes);
        writer.write_all(&bytes).map_err(cannot_spool)?;
        progress.inc(bytes.len() as u64);
    }
    progress.finish();
    let damaged = |mismatch: DigestMismatch| Failure::new(Exit::Refused, mismatch.to_string());
    digest.finish().map_err(|mismatch| damaged(mismatch).context("the snapshot is damaged"))?;
    let name = PathBuf::from(format!("the snapshot of {endpoint}"));
    let database = Database::of_proved(EtcdFile::of(file, &name)?, ctx.out.clone(), ctx.signals.cancel().clone())?;
    ctx.out.note(&format!("read from a snapshot of {endpoint} at revision {}", database.latest()));
    Ok(database)
}

fn cannot_stream(error: Error) -> Failure {
    let needs_root = error.is_refusal(Refusal::Permission);
    let failure = Failure::from(error).context("cannot take a snapshot, which --history needs");
    if needs_root {
        failure.hint("a snapshot needs a user with the role root; --db reads one from a file")
    } else {
        failure
    }
}

fn cannot_spool(error: io::Error) -> Failure {
    Failure::new(Exit::Bug, format!("cannot write the snapshot to a temporary file: {error}"))
        .hint("TMPDIR names the folder of temporary files; --db reads a snapshot from a file")
}
