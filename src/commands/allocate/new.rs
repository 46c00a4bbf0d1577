//! `kvadm allocate new`.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::key_args::KeyArgs;
use super::scope::{BaseArgs, IdRangeArgs, NodeArgs, refuse_reserved};
use crate::allocator::{
    AllocatedId, AllocationError, AllocationNotice, Allocator, AllocatorOptions, BATCH, IdChoice, ReferenceLifetime,
    preview,
};
use crate::args::{parse_duration, parse_ttl, safety_options};
use crate::commands::conditions::IfLockedArgs;
use crate::commands::proto::warn_of_bypass;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{AllocatedRow, DryRunRow, Out, Progress, Sink, bytes};
use crate::plural::counted;

/// Maximum time to revoke the lease of the locks.
const CLEANUP: Duration = Duration::from_secs(2);
/// Keys without an ID that are reported individually.
const NAMED: usize = 10;

/// Allocate IDs: each key gets its existing ID, or the smallest free one
///
/// Any number of processes on any nodes, Cilium agents included, get the same ID for the same key. This node's
/// reference marks the ID as used; it expires after --ttl unless it is renewed. An existing reference with a longer TTL
/// is kept and renewed. For new keys, all masters and references are read once per command. Memory: a few bytes per ID.
///
/// IDs that only references name are not given to other keys. If the master of a key's ID is missing, it is written
/// again under the key's lock, provided that all of the key's references name this ID, no other key claims it, and it
/// is in the range; a warning says so. Otherwise the key gets no ID: see 'kvadm allocate check'.
///
/// Keys of reserved labels such as reserved:host are refused, because Cilium gives them fixed IDs below 256.
///
/// Exits with 5 if no ID is free, 1 if another client holds the key's lock for longer than --wait, and 6 if only some
/// of several keys got an ID.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate new web
  kvadm allocate new --label k8s:app=web \\
      --label k8s:io.kubernetes.pod.namespace=default
  kvadm allocate new --from keys.txt --base /team/ids --min 1 --max 99999 \\
      --permanent", args = safety_options())]
pub struct Args {
    #[command(flatten)]
    key_args: KeyArgs,
    /// TTL of the reference, unless it is renewed
    #[arg(long, value_name = "D", value_parser = parse_ttl, default_value = "15m")]
    ttl: i64,
    /// Keep the reference until it is released
    #[arg(long, conflicts_with = "ttl")]
    permanent: bool,
    /// Maximum time to wait for a key's lock
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "1m")]
    wait: Duration,
    #[command(flatten)]
    if_locked: IfLockedArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    ids: IdRangeArgs,
}

/// Runs the verb.
///
/// # Errors
/// Keys without an ID, or etcd is unreachable or rejects a request.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let options = AllocatorOptions {
        layout: args.base.layout()?,
        range: args.ids.range(ctx).await?,
        node: args.node.name()?,
        lifetime: if args.permanent { ReferenceLifetime::Permanent } else { ReferenceLifetime::Ttl(args.ttl) },
        wait: args.wait,
        existing_only: false,
        guard: args.if_locked.guard(ctx).await?,
    };
    warn_of_bypass(ctx, [options.layout.range()]);
    let keys = args.key_args.keys(ctx).await?;
    refuse_reserved(&keys)?;
    if ctx.safety.dry_run {
        return dry_run(ctx, &options, &keys).await;
    }
    let alone = args.key_args.is_one();
    allocate_all(ctx, options, &keys, alone).await
}

/// Allocates the keys and prints their IDs.
///
/// # Errors
/// As [`run`].
pub async fn allocate_all(
    ctx: &Context,
    options: AllocatorOptions,
    keys: &[Vec<u8>],
    alone: bool,
) -> Result<Exit, Failure> {
    ctx.signals.hold();
    let node = options.node.clone();
    let mut allocator = Allocator::open(ctx.store(), options).await?;
    let mut batch = AllocationBatch {
        out: &ctx.out,
        node: &node,
        alone,
        sink: if alone { None } else { Some(ctx.out.stream()) },
        progress: ctx.out.progress("allocating", Some(keys.len() as u64)),
        allocated_count: 0,
        failed: Vec::new(),
    };
    let result = batch.run(&mut allocator, keys).await;
    batch.progress.finish();
    allocator.close(CLEANUP).await;
    batch.finish(result, keys.len())
}

struct AllocationBatch<'a> {
    out: &'a Out,
    node: &'a [u8],
    alone: bool,
    sink: Option<Sink>,
    progress: Progress,
    allocated_count: usize,
    failed: Vec<(Vec<u8>, AllocationError)>,
}

impl AllocationBatch<'_> {
    async fn run(&mut self, allocator: &mut Allocator, keys: &[Vec<u8>]) -> Result<(), Failure> {
        for some in keys.chunks(BATCH) {
            let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
            let mut waiting = WaitingNotice { out: self.out };
            let outcomes = allocator.allocate(&some, &mut waiting).await?;
            for (key, outcome) in some.iter().zip(outcomes) {
                match outcome {
                    Ok(allocated) => self.print(key, &allocated)?,
                    Err(error) => self.failed.push((key.to_vec(), error)),
                }
            }
            self.progress.inc(some.len() as u64);
        }
        Ok(())
    }

    fn print(&mut self, key: &[u8], allocated: &AllocatedId) -> Result<(), Failure> {
        self.allocated_count += 1;
        let id = allocated.id.to_string();
        warn_restored(self.out, allocated);
        let row = AllocatedRow {
            id: &id,
            key,
            new: allocated.new,
            restored: allocated.restored,
            node: self.node,
            lease: allocated.lease,
            alone: self.alone,
        };
        match &mut self.sink {
            Some(sink) => sink.push(&row)?,
            None => self.out.one(&row)?,
        }
        Ok(())
    }

    fn finish(self, result: Result<(), Failure>, requested: usize) -> Result<Exit, Failure> {
        if let Some(sink) = self.sink {
            sink.finish()?;
        }
        let (allocated_count, alone) = (self.allocated_count, self.alone);
        if let Err(failure) = result {
            let unknown = requested - allocated_count - self.failed.len();
            let context = format!("{} done, {unknown} not processed or unknown", counted(allocated_count, "key"));
            let failure = if alone { failure } else { failure.context(context) };
            return Err(failure.hint("run the command again: keys that have an ID keep it"));
        }
        let Some((key, error)) = self.failed.first() else { return Ok(Exit::Done) };
        if alone {
            return Err(allocation_failure(key, error));
        }
        for (key, error) in self.failed.iter().take(NAMED) {
            self.out.warn(&format!("no ID for '{}': {error}", bytes::escape(key)));
        }
        let failure = allocation_failure(key, error);
        let same = self.failed.iter().all(|(_, other)| std::mem::discriminant(other) == std::mem::discriminant(error));
        let exit = if allocated_count == 0 && same { failure.exit } else { Exit::Partial };
        let text = format!("{} got an ID, {} did not", counted(allocated_count, "key"), self.failed.len());
        Err(failure.hints.into_iter().fold(Failure::new(exit, text), Failure::hint))
    }
}

/// Warns if the ID's master was missing.
pub fn warn_restored(out: &Out, allocated: &AllocatedId) {
    if allocated.restored {
        out.warn(&format!("the master of ID {} was missing and has been restored", allocated.id));
    }
}

/// The failure to report for a key that got no ID.
pub fn allocation_failure(key: &[u8], error: &AllocationError) -> Failure {
    let key = bytes::escape(key);
    let exit =
        if matches!(error, AllocationError::Busy | AllocationError::Unknown) { Exit::No } else { Exit::Conflict };
    let failure = Failure::new(exit, format!("no ID for '{key}': {error}"));
    match error {
        AllocationError::Full(_) => failure.hint(
            "delete unused IDs with 'kvadm gc ids', find other problems with 'kvadm allocate check', or raise --max",
        ),
        AllocationError::Orphaned(_) | AllocationError::Unreadable => {
            failure.hint("'kvadm allocate check' shows the problem and what to do")
        }
        AllocationError::Busy => {
            failure.hint("wait longer with --wait, or see who holds the lock: 'kvadm lock --list BASE/locks/'")
        }
        AllocationError::Contended => failure.hint("run the command again"),
        AllocationError::Unknown => failure.hint("allocate an ID with 'kvadm allocate new'"),
    }
}

struct WaitingNotice<'a> {
    out: &'a Out,
}

impl AllocationNotice for WaitingNotice<'_> {
    fn waiting_for_lock(&mut self, key: &[u8], blocker: &[u8]) {
        self.out.detail(&format!("{}: waiting for {}", bytes::escape(key), bytes::escape(blocker)));
    }
}

/// Prints which IDs the keys would get.
///
/// # Errors
/// etcd is unreachable or rejects a request.
pub async fn dry_run(ctx: &Context, options: &AllocatorOptions, keys: &[Vec<u8>]) -> Result<Exit, Failure> {
    for (key, choice) in keys.iter().zip(preview(ctx.store(), options, keys).await?) {
        let shown = bytes::escape(key);
        let (outcome, id, text) = match choice {
            Ok(IdChoice::Existing(id)) => {
                ("existing", Ok(id), format!("'{shown}' would get a reference to its ID {id}"))
            }
            Ok(IdChoice::New(id)) => ("new", Ok(id), format!("'{shown}' would get the free ID {id}")),
            Ok(IdChoice::Restored(id)) => {
                let text =
                    format!("'{shown}' would get a reference to its ID {id}, and its missing master would be restored");
                ("restored", Ok(id), text)
            }
            Err(error) => ("failed", Err(error.to_string()), format!("'{shown}' would get no ID: {error}")),
        };
        let number = id.as_ref().ok().map(ToString::to_string);
        let row = DryRunRow {
            outcome,
            key: Some(key),
            id: number.as_deref(),
            node: Some(&options.node),
            error: id.as_ref().err().map(String::as_str),
            ..DryRunRow::default()
        };
        ctx.out.dry_run(&row, &text)?;
    }
    Ok(Exit::Done)
}
