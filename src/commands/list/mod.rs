//! `kvadm list`: list keys and values.

mod branches;
mod listing;
mod options;
mod usage;

use crate::commands::lease_cache::LeaseCache;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::ReadOptions;
use crate::output::Count;
use crate::plural::counted;

use branches::TreeWalk;
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
    let filter = args.selection.filter()?;
    let guard = args.if_locked.guard(ctx).await?;
    let rev = args.rev.unwrap_or(0);
    args.proto.decode_output(ctx)?;
    if args.count && filter.is_none() {
        let counted = ctx.store().count(&range, rev, guard.as_ref()).await?;
        ctx.out.one(&Count { count: counted.count, revision: counted.revision })?;
        return Ok(Exit::Done);
    }
    let sorted = args.desc || args.sort.is_some_and(|order| order != SortOrder::Key);
    let options = ReadOptions {
        revision: rev,
        keys_only: args.count || args.names_only(),
        limit: if filter.is_some() || sorted || args.as_tree() { None } else { args.limit },
        guard: guard.clone(),
    };
    let reader = ctx.store().read(&range, options);
    let hint = args.selection.match_hint();
    let mut listing =
        Listing { ctx, args, filter, range, guard, matched: 0, revision: rev, leases: LeaseCache::default() };
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
    ctx.out.detail(&format!("listed {} at revision {}", counted(listing.matched, "key"), listing.revision));
    if let Some(hint) = hint.filter(|_| listing.matched == 0) {
        ctx.out.note(&hint);
    }
    Ok(Exit::Done)
}
