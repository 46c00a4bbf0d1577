//! `allocate new`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::key_args::KeyArgs;
use super::scope::{BaseArgs, IdRangeArgs, NodeArgs};
use crate::allocator::{
    AllocatedId, AllocationError, AllocationNotice, Allocator, AllocatorOptions, BATCH, ReferenceLifetime, preview,
};
use crate::args::{parse_duration, parse_lock_token, parse_ttl, safety_options};
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
  kvadm allocate new --from keys.txt --base /team/ids --min 1 --max 99999 --permanent", args = safety_options())]
pub struct Args {
    #[command(flatten)]
    wanted: KeyArgs,
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
    let terms = AllocatorOptions {
        layout: args.base.layout()?,
        range: args.ids.range()?,
        node: args.node.name()?,
        life: if args.permanent { ReferenceLifetime::Permanent } else { ReferenceLifetime::For(args.ttl) },
        wait: args.wait,
        restore: false,
        existing: false,
        guard: parse_lock_token(args.if_locked.as_ref())?,
    };
    let keys = args.wanted.keys(ctx).await?;
    if ctx.safety.dry_run {
        return rehearse(ctx, &terms, &keys).await;
    }
    let alone = args.wanted.is_one();
    all(ctx, terms, &keys, alone).await
}

/// Allocates the keys and prints what they got.
///
/// # Errors
/// As [`run`].
pub async fn all(ctx: &Context, terms: AllocatorOptions, keys: &[Vec<u8>], alone: bool) -> Result<Exit, Failure> {
    ctx.signals.hold();
    let node = terms.node.clone();
    let mut allocator = Allocator::open(ctx.store(), terms).await?;
    let mut batch = AllocationBatch {
        out: &ctx.out,
        node: &node,
        alone,
        sink: if alone { None } else { Some(ctx.out.stream()) },
        progress: ctx.out.progress("allocating", Some(keys.len() as u64)),
        granted: 0,
        denied: Vec::new(),
    };
    let result = batch.all(&mut allocator, keys).await;
    batch.progress.finish();
    allocator.close(CLEANUP).await;
    batch.end(result, keys.len())
}

struct AllocationBatch<'a> {
    out: &'a Out,
    node: &'a [u8],
    alone: bool,
    sink: Option<Sink>,
    progress: Progress,
    granted: usize,
    denied: Vec<(Vec<u8>, AllocationError)>,
}

impl AllocationBatch<'_> {
    async fn all(&mut self, allocator: &mut Allocator, keys: &[Vec<u8>]) -> Result<(), Failure> {
        for some in keys.chunks(BATCH) {
            let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
            let mut waiting = WaitingNotice { out: self.out };
            let outcomes = allocator.allocate(&some, &mut waiting).await?;
            for (key, outcome) in some.iter().zip(outcomes) {
                match outcome {
                    Ok(allocated) => self.granted(key, &allocated)?,
                    Err(denied) => self.denied.push((key.to_vec(), denied)),
                }
            }
            self.progress.inc(some.len() as u64);
        }
        Ok(())
    }

    fn granted(&mut self, key: &[u8], allocated: &AllocatedId) -> Result<(), Failure> {
        self.granted += 1;
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

    fn end(self, result: Result<(), Failure>, asked: usize) -> Result<Exit, Failure> {
        if let Some(sink) = self.sink {
            sink.finish()?;
        }
        let (granted, alone) = (self.granted, self.alone);
        if let Err(failure) = result {
            let left = asked - granted - self.denied.len();
            return Err(if alone {
                failure.hint("run it again: a key that has an ID keeps it")
            } else {
                failure
                    .context(format!("{granted} keys have their IDs, {left} were not come to or are unknown"))
                    .hint("run it again: a key that has an ID keeps it")
            });
        }
        let Some((key, denied)) = self.denied.first() else { return Ok(Exit::Done) };
        if alone {
            return Err(refusal(key, denied));
        }
        for (key, denied) in self.denied.iter().take(NAMED) {
            self.out.warn(&format!("{}: {denied}", bytes::escape(key)));
        }
        let failure = refusal(key, denied);
        let same = self.denied.iter().all(|(_, other)| std::mem::discriminant(other) == std::mem::discriminant(denied));
        let exit = if granted == 0 && same { failure.exit } else { Exit::Partial };
        let text = format!("{granted} keys have their IDs, {} do not", self.denied.len());
        Err(failure.hints.into_iter().fold(Failure::new(exit, text), Failure::hint))
    }
}

/// Why one key has no ID.
pub fn refusal(key: &[u8], denied: &AllocationError) -> Failure {
    let key = bytes::escape(key);
    let exit =
        if matches!(denied, AllocationError::Busy | AllocationError::Unknown) { Exit::No } else { Exit::Conflict };
    let failure = Failure::new(exit, format!("no ID for '{key}': {denied}"));
    match denied {
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
    fn waiting(&mut self, key: &[u8], blocker: &[u8]) {
        self.out.detail(&format!("{}: waiting for {}", bytes::escape(key), bytes::escape(blocker)));
    }
}

/// Says what would be done.
///
/// # Errors
/// Whatever kept an answer away.
pub async fn rehearse(ctx: &Context, terms: &AllocatorOptions, keys: &[Vec<u8>]) -> Result<Exit, Failure> {
    for (key, outcome) in keys.iter().zip(preview(ctx.store(), terms, keys).await?) {
        let key = bytes::escape(key);
        match outcome {
            Ok((id, false)) => ctx.out.note(&format!("dry run: '{key}' would get a reference to its ID {id}")),
            Ok((id, true)) => ctx.out.note(&format!("dry run: '{key}' would get the free ID {id}")),
            Err(denied) => ctx.out.note(&format!("dry run: '{key}' would get no ID: {denied}")),
        }
    }
    Ok(Exit::Done)
}
