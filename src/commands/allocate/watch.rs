//! `allocate watch`.

use std::time::Duration;

use tokio::time::Instant;

use super::scope::BaseArgs;
use crate::allocator::Layout;
use crate::args::{parse_duration, parse_revision};
use crate::commands::watch::{EventWriter, WatchLoop, WatchStart};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyValue, Revision};
use crate::output::{AllocationEvent, ChangeKind, bytes};

/// Watch IDs being created, modified and deleted.
///
/// Masters alone are watched, not the nodes' references. A deleted ID is told with the key it had, as long as that is
/// not compacted away. The stream resumes by itself; if what was missed has been compacted, --sync tells the
/// difference, and without it the watch ends with 4 and names the revision to start from. What no allocator wrote is
/// warned of and not told.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate watch -o json
  kvadm allocate watch --list
  kvadm allocate watch --count 1 --timeout 10m")]
pub struct Args {
    #[command(flatten)]
    base: BaseArgs,
    /// From this revision on
    #[arg(long, value_name = "N", value_parser = parse_revision, conflicts_with_all = ["list", "sync"], help_heading = "Where to start")]
    rev: Option<Revision>,
    /// First the IDs that are there, as created, and list-done; then what changes
    #[arg(long, conflicts_with = "sync", help_heading = "Where to start")]
    list: bool,
    /// Keep in sync: first the IDs that are there, then what changes, after a compaction the true differences; status
    /// records say wait-for-datastore, resync-in-progress and in-sync
    #[arg(long, help_heading = "Where to start")]
    sync: bool,
    /// End after so many changes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "When to end")]
    count: Option<u64>,
    /// End with 1 after this time
    #[arg(long, value_name = "D", value_parser = parse_duration, help_heading = "When to end")]
    timeout: Option<Duration>,
}

/// Runs the verb.
///
/// # Errors
/// A compacted revision, a refusal, or the end of the session.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let limit = args.timeout.map(|time| Instant::now() + time);
    let layout = args.base.layout()?;
    let start = match args.rev {
        Some(revision) => WatchStart::At(revision),
        None if args.list => WatchStart::List,
        None if args.sync || ctx.config.resync_after_reconnect => WatchStart::Sync,
        None => WatchStart::Now,
    };
    let ranges = vec![layout.masters()];
    let teller = EventWriter {
        ctx,
        only: Vec::new(),
        keys_only: false,
        prev: true,
        remaining: args.count,
        until: None,
        exec: None,
        show: Some(Box::new(move |kind, kv, prev| show(ctx, &layout, kind, kv, prev))),
        limit,
    };
    WatchLoop::new(ctx, ranges, None, start, teller, None).run().await
}

/// Tells one change of a master; whether it was one.
fn show(
    ctx: &Context,
    layout: &Layout,
    kind: ChangeKind,
    kv: &KeyValue,
    prev: Option<&KeyValue>,
) -> Result<bool, Failure> {
    let Some(id) = layout.parse_master(&kv.key).map(|id| id.to_string()) else {
        let path = bytes::escape(&kv.key);
        ctx.out.warn(&format!("{path} was {}, and is no master of an ID", kind.word()));
        return Ok(false);
    };
    let before = prev.map(|prev| prev.value.as_slice());
    let (key, prev_key) = match kind {
        ChangeKind::Created => (Some(kv.value.as_slice()), None),
        ChangeKind::Modified => (Some(kv.value.as_slice()), before),
        ChangeKind::Deleted => (before, None),
    };
    if key.is_none() {
        ctx.out.warn(&format!("the key of the deleted ID {id} is unknown: what was before is compacted away"));
    }
    // A listing after a compaction does not know when a key went.
    let revision = (kv.mod_revision > 0).then_some(kv.mod_revision);
    ctx.out.live(&AllocationEvent { event: kind.word(), id: &id, key, prev_key, revision })?;
    Ok(true)
}
