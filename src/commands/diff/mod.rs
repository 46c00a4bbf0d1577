//! `kvadm diff`: compare keys with another store, an earlier revision, a database file, or a file of records.

use std::ffi::OsString;
use std::sync::Arc;

use crate::activity::BranchLevels;
use crate::args::{KeyText, parse_limit, parse_revision};
use crate::commands::proto::ProtoArgs;
use crate::commands::select::prefix_range;
use crate::commands::serializable::SerializableArgs;
use crate::commands::source::{Compared, SourceArgs};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{LocalStore, Revision};
use crate::output::{ChangeCounts, DifferenceRow, DifferenceSummary, DifferencesInBranch, Sink, ValueDiff, bytes};
use crate::plural::{counted, grouped};
use crate::proto::Codec;
use crate::sync::Difference;

/// Compare keys with another store, an earlier revision, or a file
///
/// Prints what leads from SOURCE to this store: + for a key that only this store
/// has, - for a key that only SOURCE has, ~ for a key with another value or lease.
/// The differences are those of one revision of each side.
///
/// Memory use does not depend on the number of keys. A file is read completely
/// first; what is not sorted is sorted in a temporary file. Of a database file
/// (db:FILE, --db), the keys are in memory, but not their values.
///
/// --serializable reads this store, and the store of context:NAME, without a quorum,
/// each at the revision of one member. Notes say how far these members are behind.
///
/// Lease IDs are compared only within this store (rev:N); elsewhere only whether a
/// key has a lease.
///
/// Exit codes:
///   0  no difference
///   1  different
///   4  a revision is in the future, or compacted
///   5  neither side has a key (a mistyped prefix would be no difference)
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm diff /app/ --source rev:812
  kvadm diff /app/ --source context:staging --ignore lease
  kvadm diff /app/ --source db:backup.db --stat
  kvadm diff /copy/ --source rev:812 --source-prefix /app/ --stat=2
  kvadm list /app/ -o json > app.jsonl; kvadm diff /app/ --source file:app.jsonl",
    mut_arg("serializable", |arg| arg.help_heading("What to compare"))
)]
pub struct Args {
    /// Compare keys that begin with this [default: all keys]
    #[arg(value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// Append a missing / to the prefix: /a becomes /a/ and does not match /ab
    #[arg(long, help_heading = "Which keys")]
    dir: bool,
    #[command(flatten)]
    text: KeyText,
    #[command(flatten)]
    source: SourceArgs,
    /// Compare this store at revision N [default: the latest]
    #[arg(long, value_name = "N", value_parser = parse_revision, help_heading = "What to compare")]
    rev: Option<Revision>,
    /// Accept that neither side has a key
    #[arg(long, help_heading = "What to compare")]
    allow_empty: bool,
    /// What makes no difference: lease
    #[arg(long, value_name = "WHAT", help_heading = "What to compare")]
    ignore: Option<Ignored>,
    #[command(flatten)]
    serializable: SerializableArgs,
    /// Print the number of differences of each branch, to DEPTH levels [default: 1]
    #[arg(long, value_name = "DEPTH", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["keys_only", "limit"],
          help_heading = "What to show")]
    stat: Option<u32>,
    /// Print keys without their values
    #[arg(long, help_heading = "What to show")]
    keys_only: bool,
    /// Stop after N differences
    #[arg(long, value_name = "N", value_parser = parse_limit, allow_negative_numbers = true, help_heading = "What to show")]
    limit: Option<u64>,
    #[command(flatten)]
    proto: ProtoArgs,
}

/// What makes no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Ignored {
    /// Leases
    Lease,
}

/// Runs the verb.
///
/// # Errors
/// A source that cannot be read, a compacted or future revision, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match compare(ctx, args).await {
        // A line was to be printed: there is a difference.
        Err(failure) if failure.is_broken_pipe() => Ok(Exit::No),
        result => result,
    }
}

async fn compare(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let prefix = prefix_range(args.text, args.prefix.as_deref().unwrap_or_default(), args.dir)?.start;
    let codec = args.proto.decode_output(ctx)?;
    let here = args.serializable.open(ctx).await?;
    let source = args.source.open(ctx, &here, args.serializable, &prefix, args.text, &codec).await?;
    let ignore_leases = args.ignore == Some(Ignored::Lease);
    let compared = match source.compare(&here, args.rev.unwrap_or(0), ignore_leases).await {
        Ok(compared) => compared,
        Err(failure) => {
            here.report_failure(ctx, &failure).await;
            return Err(failure);
        }
    };
    let Compared { mut comparison, source } = compared;
    let (from, to) = (source.describe(comparison.source_revision()), comparison.store_revision());
    ctx.out.plain_note(&format!("--- {from}"));
    let this = ctx.database().map_or_else(|| "this store".to_owned(), LocalStore::name);
    ctx.out.plain_note(&format!("+++ {} at revision {to}", bytes::escape(this.as_bytes())));
    let mut total = ChangeCounts::default();
    let mut shown = Shown { ctx, args, sink: ctx.out.stream(), branch: None, base: prefix.len(), codec };
    comparison.show_progress(ctx.out.progress("comparing", None));
    let mut limited = false;
    loop {
        let found = match comparison.next().await {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(error) => {
                let seen = counted(total.total(), "difference");
                let failure = source.failure(&here, error).await;
                return Err(failure.hint(format!("the comparison is incomplete: it ended after {seen}")));
            }
        };
        if args.limit.is_some_and(|limit| total.total() >= limit) {
            limited = true;
            break;
        }
        total.add(found.from_source());
        shown.show(&found)?;
    }
    comparison.finish_progress();
    shown.finish()?;
    let unchanged = comparison.same();
    if total.total() + unchanged == 0 && !args.allow_empty {
        let prefix = bytes::name(&prefix);
        return Err(Failure::conflict(format!(
            "nothing was compared: neither side has a key with the prefix {prefix}"
        ))
        .hint("check PREFIX, --source-prefix and --namespace, or add --allow-empty"));
    }
    let summary = DifferenceSummary {
        source: &source.word,
        source_revision: comparison.source_revision(),
        revision: to,
        differences: total,
        unchanged,
        limited,
    };
    ctx.out.summary(&summary, &summary_text(total, unchanged, limited));
    if let (Some(other), Some(revision)) = (source.other, comparison.source_revision()) {
        other.report_source(ctx, revision, Some((&source.name, &source.word))).await;
    }
    here.report(ctx, to).await;
    Ok(if total.total() == 0 { Exit::Done } else { Exit::No })
}

fn summary_text(total: ChangeCounts, unchanged: u64, limited: bool) -> String {
    let ChangeCounts { created, modified, deleted } = total;
    if limited {
        return format!("stopped after {}", counted(total.total(), "difference"));
    }
    if total.total() == 0 {
        return format!("no difference in {}", counted(unchanged, "key"));
    }
    let [created, modified, deleted, unchanged] = [created, modified, deleted, unchanged].map(grouped);
    format!("{created} created, {modified} modified, {deleted} deleted, {unchanged} unchanged")
}

/// Prints the differences.
struct Shown<'a> {
    ctx: &'a Context,
    args: &'a Args,
    sink: Sink,
    /// With `--stat`, the branch of the last difference.
    branch: Option<DifferencesInBranch>,
    /// The offset after the prefix.
    base: usize,
    codec: Arc<Codec>,
}

impl Shown<'_> {
    fn show(&mut self, found: &Difference) -> Result<(), Failure> {
        if let Some(depth) = self.args.stat {
            return self.count(found, depth);
        }
        let row = DifferenceRow {
            kind: found.from_source(),
            key: found.key(),
            source: found.source.as_ref().map(|record| &record.kv),
            store: found.store.as_ref(),
            values: !self.args.keys_only,
        };
        if self.ctx.out.is_data() {
            return Ok(self.sink.push(&row)?);
        }
        self.ctx.out.difference_line(row.kind, row.key)?;
        if let (Some(source), Some(store)) = (row.source, row.store)
            && row.values
            && self.ctx.out.is_terminal()
        {
            self.ctx.out.value_diff(&ValueDiff::of(Some(&source.value), Some(&store.value), row.key, &self.codec))?;
        }
        Ok(())
    }

    /// Adds a difference to its branch. Keys come in order, so a branch that another one follows is complete.
    fn count(&mut self, found: &Difference, depth: u32) -> Result<(), Failure> {
        let key = found.key();
        let levels =
            BranchLevels { base: self.base, separator: b'/', depth: usize::try_from(depth).unwrap_or(usize::MAX) };
        let end = levels.ends(key).last().unwrap_or(key.len());
        let branch = key.get(..end).unwrap_or(key);
        if self.branch.as_ref().is_none_or(|open| open.key != branch) {
            let opened = DifferencesInBranch { key: branch.to_vec(), ..DifferencesInBranch::default() };
            if let Some(complete) = self.branch.replace(opened) {
                self.sink.push(&complete)?;
            }
        }
        if let Some(open) = &mut self.branch {
            open.counts.add(found.from_source());
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Failure> {
        if let Some(complete) = self.branch.take() {
            self.sink.push(&complete)?;
        }
        Ok(self.sink.finish()?)
    }
}
