//! `kvadm list`: list keys and values.

mod branch_sums;
mod branches;
mod filter;
mod history;
mod listing;
mod options;
mod revisions;
mod usage;

use crate::commands::lease_cache::LeaseCache;
use crate::commands::serializable::ReadStore;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, LockGuard, ReadOptions};
use crate::output::Count;
use crate::plural::counted;

use crate::commands::near_miss::hint_for_prefix;
use branches::TreeWalk;
use filter::RecordFilter;
use listing::Listing;
pub use options::Args;
use options::SortOrder;

/// Runs the verb.
///
/// # Errors
/// A compacted or future revision, a lost lock, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    args.check(ctx)?;
    let range = args.selection.range(args.prefix.as_deref())?;
    if args.history {
        return history::run(ctx, args, &range).await;
    }
    let filter = RecordFilter::of(args)?;
    let guard = args.if_locked.guard(ctx).await?;
    args.proto.decode_output(ctx)?;
    let source = args.serializable.open(ctx).await?;
    match list(ctx, args, range, filter, guard, &source).await {
        Ok(listed) => {
            source.report(ctx, listed.revision).await;
            if args.since_rev.is_some() {
                let revision = listed.revision;
                let text = format!("listed at revision {revision}; next time use --since-rev {revision}");
                ctx.out.summary(&listed, &text);
            }
            Ok(Exit::Done)
        }
        Err(failure) => {
            source.report_failure(ctx, &failure).await;
            Err(failure)
        }
    }
}

/// Prints the keys; returns how many match, and the revision of the listing.
async fn list(
    ctx: &Context,
    args: &Args,
    range: KeyRange,
    filter: RecordFilter,
    guard: Option<LockGuard>,
    source: &ReadStore,
) -> Result<Count, Failure> {
    let at =
        args.at.revision(ctx, &source.store, args.selection.text).await.map_err(|failure| source.explain(failure))?;
    at.map_or(Ok(()), |rev| args.check_since(rev))?;
    let rev = at.or(args.rev).unwrap_or(0);
    if args.count && filter.is_empty() {
        let counted = source.store.count(&range, rev, guard.as_ref()).await;
        let counted = counted.map_err(|error| source.explain(error.into()))?;
        let count = Count { count: counted.count, revision: counted.revision };
        ctx.out.one(&count)?;
        return Ok(count);
    }
    let sorted = args.desc || args.sort.is_some_and(|order| order != SortOrder::Key);
    let options = ReadOptions {
        revision: rev,
        keys_only: (args.count || args.names_only()) && !filter.needs_values(),
        limit: if filter.is_empty() && !sorted && !args.as_tree() { args.limit } else { None },
        guard: guard.clone(),
    };
    let reader = source.store.read(&range, options);
    let hint = args.selection.match_hint();
    let mut listing =
        Listing { ctx, args, filter, source, range, guard, matched: 0, revision: rev, leases: LeaseCache::default() };
    if args.du {
        let top = args.top.map(|top| usize::try_from(top).unwrap_or(usize::MAX));
        let levels = args.branch_levels(&listing.range, 1);
        usage::run(&mut listing, levels, top, reader).await?;
    } else if args.as_tree() {
        let levels = args.branch_levels(&listing.range, usize::MAX);
        TreeWalk::new(&mut listing, levels, args.tree).run(reader).await?;
    } else if sorted {
        listing.sorted(reader).await?
    } else {
        listing.stream(reader).await?
    }
    let (count, revision) = (listing.matched, listing.revision);
    if !ctx.out.is_json() {
        ctx.out.detail(&format!("listed {} at revision {revision}", counted(count, "key")));
    } else if ctx.out.details() && !args.count && args.since_rev.is_none() {
        ctx.out.summary(&Count { count, revision }, "");
    }
    if let Some(hint) = hint.filter(|_| count == 0) {
        ctx.out.note(&hint);
    } else if count == 0 && listing.filter.is_empty() && !args.selection.has_bounds() && rev == 0 {
        hint_for_prefix(ctx, &source.store, &listing.range.start).await;
    }
    Ok(Count { count, revision })
}
