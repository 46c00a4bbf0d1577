//! `kvadm allocate watch`.

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
/// Watches masters, not the nodes' references. A deletion event includes the key that the ID had, unless that revision
/// is compacted. The watch resumes by itself after an interruption. If missed events have been compacted, --sync prints
/// the differences; without it the watch exits with 4 and names the revision to start from. Changes of keys that are
/// not masters are reported as warnings.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate watch -o json
  kvadm allocate watch --list
  kvadm allocate watch --count 1 --timeout 10m")]
pub struct Args {
    #[command(flatten)]
    base: BaseArgs,
    /// Start at this revision
    #[arg(long, value_name = "N", value_parser = parse_revision, conflicts_with_all = ["list", "sync"], help_heading = "Where to start")]
    rev: Option<Revision>,
    /// Print the existing IDs as created events and list-done, then changes
    #[arg(long, conflicts_with = "sync", help_heading = "Where to start")]
    list: bool,
    /// Print the existing IDs, then changes; after a compaction the differences
    ///
    /// Status records announce wait-for-datastore, resync-in-progress and in-sync.
    #[arg(long, help_heading = "Where to start")]
    sync: bool,
    /// Begin each line with the time when the event was received, in UTC
    #[arg(long, help_heading = "What to print")]
    timestamps: bool,
    /// Exit after N changes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "When to end")]
    count: Option<u64>,
    /// Exit 1 after D
    #[arg(long, value_name = "D", value_parser = parse_duration, help_heading = "When to end")]
    timeout: Option<Duration>,
}

/// Runs the verb.
///
/// # Errors
/// A compacted revision, an interruption, or a request that etcd rejects.
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
    let timestamps = args.timestamps;
    let writer = EventWriter {
        ctx,
        only: Vec::new(),
        keys_only: false,
        prev: true,
        timestamps,
        remaining: args.count,
        until: None,
        exec: None,
        show: Some(Box::new(move |time, kind, kv, prev| print_event(ctx, &layout, time, kind, kv, prev))),
        limit,
    };
    WatchLoop::new(ctx, ranges, None, start, writer, None).run().await
}

/// Prints one change of a master; `false` if the key is not a master.
fn print_event(
    ctx: &Context,
    layout: &Layout,
    time: Option<String>,
    kind: ChangeKind,
    kv: &KeyValue,
    prev: Option<&KeyValue>,
) -> Result<bool, Failure> {
    let Some(id) = layout.parse_master(&kv.key).map(|id| id.to_string()) else {
        let path = bytes::escape(&kv.key);
        ctx.out.warn(&format!("{path} was {}, but is not the master of an ID", kind.word()));
        return Ok(false);
    };
    let before = prev.map(|prev| prev.value.as_slice());
    let (key, prev_key) = match kind {
        ChangeKind::Created => (Some(kv.value.as_slice()), None),
        ChangeKind::Modified => (Some(kv.value.as_slice()), before),
        ChangeKind::Deleted => (before, None),
    };
    if key.is_none() {
        ctx.out.warn(&format!("the key of the deleted ID {id} is unknown: its last revision is compacted"));
    }
    // A listing after a compaction does not know the revision of a deletion.
    let revision = (kv.mod_revision > 0).then_some(kv.mod_revision);
    ctx.out.live(&AllocationEvent { time, event: kind, id: &id, key, prev_key, revision })?;
    Ok(true)
}
