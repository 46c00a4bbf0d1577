//! `allocate new`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::key_args::KeyArgs;
use super::scope::{BaseArgs, IdRangeArgs, NodeArgs};
use crate::allocator::{
    AllocatedId, AllocationError, AllocationNotice, Allocator, AllocatorOptions, BATCH, ReferenceLifetime, preview,
};
use crate::args::{parse_duration, parse_lock_token, parse_ttl};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{AllocatedRow, Out, Progress, Sink, bytes};

/// How long giving the locks back may take.
const CLEANUP: Duration = Duration::from_secs(2);
/// Keys without an ID that are named one by one.
const NAMED: usize = 10;

/// Give keys their IDs: each the one it has, or the smallest that is free
///
/// Whoever asks for a key gets the same ID, from any number of processes and nodes at once, Cilium agents among them.
/// This node's reference says that the ID is in use; it lives for --ttl unless it is renewed, and one that lives longer
/// already is left and renewed. IDs that only references name are not given away. For a new key all IDs and references
/// are read once per command; what is remembered of them is some bytes a master.
///
/// Where no ID is free it ends with 5 at once; 1 where somebody keeps the key's lock for longer than --wait; 6 where
/// some of many keys got none.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate new web
  kvadm allocate new --label k8s:app=web --label k8s:io.kubernetes.pod.namespace=default
  kvadm allocate new --from keys.txt --base /team/ids --min 1 --max 99999 --permanent")]
pub struct Args {
    #[command(flatten)]
    key_args: KeyArgs,
    /// How long the reference lives without being renewed
    #[arg(long, value_name = "D", value_parser = parse_ttl, default_value = "15m")]
    ttl: i64,
    /// The reference lives until it is released
    #[arg(long, conflicts_with = "ttl")]
    permanent: bool,
    /// How long to wait for whoever has a key's lock
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "1m")]
    wait: Duration,
    /// Only while this lock is held; without a value, the one in KVADM_LOCK
    #[arg(long, value_name = "LOCKKEY@REV", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option)]
    if_locked: Option<Option<OsString>>,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    ids: IdRangeArgs,
}

/// Runs it.
///
/// # Errors
/// Keys without an ID, or whatever kept an answer away.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let options = AllocatorOptions {
        layout: args.base.layout()?,
        range: args.ids.range()?,
        node: args.node.name()?,
        lifetime: if args.permanent { ReferenceLifetime::Permanent } else { ReferenceLifetime::Ttl(args.ttl) },
        wait: args.wait,
        restore: false,
        existing_only: false,
        guard: parse_lock_token(args.if_locked.as_ref())?,
    };
    let keys = args.key_args.keys(ctx).await?;
    if ctx.safety.dry_run {
        return dry_run(ctx, &options, &keys).await;
    }
    let alone = args.key_args.is_one();
    allocate_all(ctx, options, &keys, alone).await
}

/// Allocates the keys and prints what they got.
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
        let row = AllocatedRow {
            id: &id,
            key,
            new: allocated.new,
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
            let left = requested - allocated_count - self.failed.len();
            return Err(if alone {
                failure.hint("run it again: a key that has an ID keeps it")
            } else {
                failure
                    .context(format!("{allocated_count} keys have their IDs, {left} were not come to or are unknown"))
                    .hint("run it again: a key that has an ID keeps it")
            });
        }
        let Some((key, error)) = self.failed.first() else { return Ok(Exit::Done) };
        if alone {
            return Err(allocation_failure(key, error));
        }
        for (key, error) in self.failed.iter().take(NAMED) {
            self.out.warn(&format!("{}: {error}", bytes::escape(key)));
        }
        let failure = allocation_failure(key, error);
        let same = self.failed.iter().all(|(_, other)| std::mem::discriminant(other) == std::mem::discriminant(error));
        let exit = if allocated_count == 0 && same { failure.exit } else { Exit::Partial };
        let text = format!("{allocated_count} keys have their IDs, {} do not", self.failed.len());
        Err(failure.hints.into_iter().fold(Failure::new(exit, text), Failure::hint))
    }
}

/// Why one key has no ID.
pub fn allocation_failure(key: &[u8], error: &AllocationError) -> Failure {
    let key = bytes::escape(key);
    let exit =
        if matches!(error, AllocationError::Busy | AllocationError::Unknown) { Exit::No } else { Exit::Conflict };
    let failure = Failure::new(exit, format!("no ID for '{key}': {error}"));
    match error {
        AllocationError::Full(_) => failure
            .hint("'kvadm gc ids' finds IDs that nobody uses; 'kvadm allocate check' what else takes them; see --max"),
        AllocationError::Orphaned(_) | AllocationError::Unreadable => failure
            .hint("'kvadm allocate check' shows it, and 'kvadm allocate check --repair' mends what can be mended"),
        AllocationError::Busy => {
            failure.hint("'kvadm lock --list' with the base and /locks/ shows who has it; see --wait")
        }
        AllocationError::Contended => failure.hint("run it again"),
        AllocationError::Unknown => failure.hint("'kvadm allocate new' gives it an ID"),
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

/// Says what would be done.
///
/// # Errors
/// Whatever kept an answer away.
pub async fn dry_run(ctx: &Context, options: &AllocatorOptions, keys: &[Vec<u8>]) -> Result<Exit, Failure> {
    for (key, outcome) in keys.iter().zip(preview(ctx.store(), options, keys).await?) {
        let key = bytes::escape(key);
        match outcome {
            Ok((id, false)) => ctx.out.note(&format!("dry run: '{key}' would get a reference to its ID {id}")),
            Ok((id, true)) => ctx.out.note(&format!("dry run: '{key}' would get the free ID {id}")),
            Err(error) => ctx.out.note(&format!("dry run: '{key}' would get no ID: {error}")),
        }
    }
    Ok(Exit::Done)
}
