//! `kvadm list`.

mod branches;
mod usage;

use std::collections::HashMap;
use std::ffi::OsString;

use crate::args::{parse_lock_token, parse_revision};
use crate::commands::proto::Proto;
use crate::commands::select::{Filter, Selection};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, KeyValue, LeaseId, LockGuard, RangeReader, ReadOptions, Refusal, Revision};
use crate::output::{Count, KeyOnly, Leased, Sink};

use branches::{Cut, Walk};

/// List keys and values at one revision, in constant memory, whatever the size.
///
/// A prefix is a raw byte prefix: /a matches /ab as well, unless --dir is given. What '-o json' prints,
/// 'put --from' takes. If the revision is compacted under a long listing, it ends with 4 and says so.
///
/// '--depth', '--tree' and '--du' see keys as paths: a branch is all the keys with the same beginning up to a /. They hold
/// the branches of one key in memory (with '--top' N more), never the keys. '--depth' and '--tree --depth' read a page of
/// each branch and leave the rest of it unread; etcd counts it all the same. '--du' counts keys and values as they are
/// now: earlier revisions and etcd's own pages fill the database too.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm list /app/
  kvadm list /app --dir --keys-only --match '*cert*'
  kvadm list /app --dir --depth 1
  kvadm list / --du --depth 2 --top 10
  kvadm list --from /a --to /m -o json --with-leases > backup.jsonl")]
pub struct Args {
    /// Keys that begin with this; all keys without it
    #[arg(value_name = "PREFIX")]
    prefix: Option<OsString>,
    #[command(flatten)]
    selection: Selection,
    /// Keys without their values
    #[arg(long, help_heading = "What to show")]
    keys_only: bool,
    /// Only how many there are
    #[arg(long, conflicts_with_all = ["limit", "sort", "desc", "keys_only", "with_leases"], help_heading = "What to show")]
    count: bool,
    /// At most so many
    #[arg(long, value_name = "N", help_heading = "What to show")]
    limit: Option<u64>,
    /// As it was at this revision
    #[arg(long, value_name = "N", value_parser = parse_revision, help_heading = "What to show")]
    rev: Option<Revision>,
    /// Order by this instead of the key; holds the whole listing in memory, or --limit of it
    #[arg(long, value_name = "BY", help_heading = "What to show")]
    sort: Option<Order>,
    /// Largest first; holds the whole listing in memory, or --limit of it
    #[arg(long, help_heading = "What to show")]
    desc: bool,
    /// With each lease's granted TTL in seconds, so that 'put --from' grants it again
    #[arg(long, conflicts_with = "keys_only", help_heading = "What to show")]
    with_leases: bool,
    /// Branches and keys down to this level: instead of what lies deeper, the branch; names only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "As a tree",
          conflicts_with_all = ["count", "sort", "desc", "keys_only", "with_leases"])]
    depth: Option<u64>,
    /// Branches and keys, indented; with --depth the number of keys in what lies deeper
    #[arg(long, help_heading = "As a tree",
          conflicts_with_all = ["count", "limit", "sort", "desc", "keys_only", "with_leases", "du"])]
    tree: bool,
    /// How many keys and bytes each branch holds, and their percentage of the quota (etcd 3.6 and later tell it); one
    /// level, or --depth
    #[arg(long, help_heading = "As a tree",
          conflicts_with_all = ["count", "limit", "sort", "desc", "keys_only", "with_leases"])]
    du: bool,
    /// With --du, only the N largest branches, the largest first
    #[arg(long, value_name = "N", requires = "du", value_parser = clap::value_parser!(u32).range(1..),
          help_heading = "As a tree")]
    top: Option<u32>,
    /// What separates the levels, one byte
    #[arg(long, value_name = "C", default_value = "/", value_parser = parse_separator, help_heading = "As a tree")]
    separator: u8,
    #[command(flatten)]
    proto: Proto,
    /// Only while this lock is held (checked with every page); without a value, the one in KVADM_LOCK
    #[arg(long, value_name = "LOCKKEY@REV", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option)]
    if_locked: Option<Option<OsString>>,
}

/// What a listing is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// The key's bytes
    Key,
    /// The revision of the creation
    Create,
    /// The revision of the last change
    Mod,
    /// The number of changes
    Version,
    /// The value's bytes
    Value,
    /// The length of key and value together
    Size,
}

fn parse_separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err("a separator is one byte".to_owned()),
    }
}

impl Args {
    fn as_tree(&self) -> bool {
        self.tree || self.du || self.depth.is_some()
    }

    /// Whether no value is looked at.
    fn names_only(&self) -> bool {
        let sized = matches!(self.sort, Some(Order::Value | Order::Size));
        (self.keys_only && !sized) || (self.as_tree() && !self.du)
    }

    fn cut(&self, range: &KeyRange, depth: usize) -> Cut {
        let base = if self.selection.has_ends() { 0 } else { range.start.len() };
        let depth = self.depth.map_or(depth, |depth| usize::try_from(depth).unwrap_or(usize::MAX));
        Cut { base, separator: self.separator, depth }
    }
}

/// Runs the verb.
///
/// # Errors
/// A compacted or future revision, a lost lock, or whatever kept an answer away.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let range = args.selection.range(args.prefix.as_deref())?;
    let filter = args.selection.filter()?;
    let guard = parse_lock_token(args.if_locked.as_ref())?;
    let rev = args.rev.unwrap_or(0);
    args.proto.show(ctx)?;
    if args.count && filter.is_none() {
        let counted = ctx.store().count(&range, rev, guard.as_ref()).await?;
        ctx.out.one(&Count { count: counted.count, revision: counted.revision })?;
        return Ok(Exit::Done);
    }
    let sorted = args.desc || args.sort.is_some_and(|order| order != Order::Key);
    let options = ReadOptions {
        revision: rev,
        keys_only: args.count || args.names_only(),
        limit: if filter.is_some() || sorted || args.as_tree() { None } else { args.limit },
        guard: guard.clone(),
    };
    let reader = ctx.store().read(&range, options);
    let mut listing = Listing { ctx, args, filter, range, guard, seen: 0, ttls: HashMap::new() };
    if args.du {
        let top = args.top.map(|top| usize::try_from(top).unwrap_or(usize::MAX));
        let cut = args.cut(&listing.range, 1);
        usage::run(&mut listing, cut, top, reader).await?;
    } else if args.as_tree() {
        let cut = args.cut(&listing.range, usize::MAX);
        Walk::new(&mut listing, cut, args.tree).run(reader).await?;
    } else if sorted {
        listing.sorted(reader).await?
    } else {
        listing.stream(reader).await?
    }
    Ok(Exit::Done)
}

struct Listing<'a> {
    ctx: &'a Context,
    args: &'a Args,
    filter: Option<Filter>,
    range: KeyRange,
    guard: Option<LockGuard>,
    /// Keys that matched so far.
    seen: u64,
    /// The granted TTL of each lease met; `None` for one that is gone.
    ttls: HashMap<LeaseId, Option<i64>>,
}

impl Listing<'_> {
    async fn stream(&mut self, mut reader: RangeReader) -> Result<(), Failure> {
        let mut sink = self.ctx.out.stream();
        let progress = self.ctx.out.progress("listing", None);
        'pages: while let Some(page) = self.page(&mut reader).await? {
            progress.set_total(reader.total());
            progress.inc(page.len() as u64);
            for kv in &page {
                if self.full() {
                    break 'pages;
                }
                if self.wanted(kv) && !self.args.count {
                    self.show(&mut sink, kv).await?;
                }
            }
        }
        progress.finish();
        sink.finish()?;
        if self.args.count {
            self.ctx.out.one(&Count { count: self.seen, revision: reader.revision() })?;
        }
        Ok(())
    }

    /// Keeps what is to be shown, ordered; with a limit never more than twice that.
    async fn sorted(&mut self, mut reader: RangeReader) -> Result<(), Failure> {
        let limit = self.args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let mut kept: Vec<KeyValue> = Vec::new();
        let progress = self.ctx.out.progress("sorting", None);
        while let Some(page) = self.page(&mut reader).await? {
            progress.set_total(reader.total());
            progress.inc(page.len() as u64);
            kept.extend(page.into_iter().filter(|kv| self.wanted(kv)));
            if kept.len() / 2 > limit {
                self.order(&mut kept);
                kept.truncate(limit);
            }
        }
        progress.finish();
        self.order(&mut kept);
        kept.truncate(limit);
        let mut sink = self.ctx.out.stream();
        for kv in &kept {
            self.show(&mut sink, kv).await?;
        }
        Ok(sink.finish()?)
    }

    fn order(&self, kept: &mut [KeyValue]) {
        kept.sort_by(|a, b| {
            let by = match self.args.sort.unwrap_or(Order::Key) {
                Order::Key => std::cmp::Ordering::Equal,
                Order::Create => a.create_revision.cmp(&b.create_revision),
                Order::Mod => a.mod_revision.cmp(&b.mod_revision),
                Order::Version => a.version.cmp(&b.version),
                Order::Value => a.value.cmp(&b.value),
                Order::Size => a.size().cmp(&b.size()),
            };
            let order = by.then_with(|| a.key.cmp(&b.key));
            if self.args.desc { order.reverse() } else { order }
        });
    }

    async fn page(&self, reader: &mut RangeReader) -> Result<Option<Vec<KeyValue>>, Failure> {
        reader.next().await.map_err(|error| {
            let compacted = error.is_refusal(Refusal::Compacted) && reader.revision() > 0;
            let failure = Failure::from(error);
            let (rev, seen) = (reader.revision(), self.seen);
            if seen == 0 || failure.exit == Exit::Interrupted {
                return failure;
            }
            if !compacted {
                return failure.hint(format!("the listing is incomplete: it ends after {seen} keys of revision {rev}"));
            }
            failure
                .context(format!("revision {rev} was compacted while it was being listed, after {seen} keys"))
                .hint("the listing is incomplete; start over, and let auto-compaction keep more than a listing takes")
        })
    }

    fn wanted(&mut self, kv: &KeyValue) -> bool {
        let wanted = self.filter.as_ref().is_none_or(|filter| filter.matches(&kv.key));
        self.seen += u64::from(wanted);
        wanted
    }

    fn full(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.seen >= limit)
    }

    async fn show(&mut self, sink: &mut Sink, kv: &KeyValue) -> Result<(), Failure> {
        if self.args.keys_only {
            return Ok(sink.push(&KeyOnly(kv))?);
        }
        let Some(lease) = kv.lease.filter(|_| self.args.with_leases) else {
            return Ok(sink.push(kv)?);
        };
        let ttl = match self.ttls.get(&lease) {
            Some(ttl) => *ttl,
            None => {
                let ttl = self.ctx.store().time_to_live(lease).await?.map(|grant| grant.ttl);
                self.ttls.insert(lease, ttl);
                ttl
            }
        };
        Ok(sink.push(&Leased { kv, ttl })?)
    }
}
