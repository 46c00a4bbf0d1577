//! `allocate hold`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::new::refusal;
use super::scope::{BaseArgs, IdRangeArgs, NodeArgs, key};
use crate::allocator::{
    AllocatedId, AllocationError, Allocator, AllocatorOptions, HoldRepair, ReferenceHold, ReferenceLifetime,
};
use crate::args::{KeyText, parse_duration, parse_lock_token, parse_ttl, safety_options};
use crate::commands::lease_scope::{LeaseScope, seconds};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::LeaseId;
use crate::output::{AllocatedRow, bytes};

/// How long giving the locks back may take.
const CLEANUP: Duration = Duration::from_secs(2);

/// Use a key's ID while a command runs, or until a signal
///
/// Allocates the ID as 'new' does, with a reference on a lease that is kept alive. If somebody deletes the reference it
/// is made again. At the end the reference goes, unless another process of the node has taken it over. If the lease is
/// lost, or the ID becomes another key's, CMD is ended and the exit code is 5; else CMD's status is kvadm's.
///
/// CMD finds KVADM_ID, KVADM_ID_KEY and KVADM_ID_NODE in its environment.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate hold web -- sh -c 'echo \"my ID is $KVADM_ID\"'
  kvadm allocate hold web --protect --ttl 1m -- sleep 1
  kvadm allocate hold web --node 10.0.0.7 -- ./agent", args = safety_options())]
pub struct Args {
    /// The key
    #[arg(value_name = "KEY")]
    key: OsString,
    /// The command to run, and its arguments
    #[arg(value_name = "CMD", last = true, value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
    /// Make the master again if somebody deletes it
    #[arg(long)]
    protect: bool,
    /// How long the reference outlives a kvadm that is gone [default: session-ttl]
    #[arg(long, value_name = "D", value_parser = parse_ttl)]
    ttl: Option<i64>,
    /// How long to wait for whoever has the key's lock
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "1m")]
    wait: Duration,
    /// Allocate only while this lock is held; without a value, the one in KVADM_LOCK
    #[arg(long, value_name = "LOCKKEY@REV", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option)]
    if_locked: Option<Option<OsString>>,
    #[command(flatten)]
    text: KeyText,
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
/// As `new`; [`Exit::Conflict`] also where the ID is lost.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let key = key(args.text, &args.key)?;
    let mut terms = AllocatorOptions {
        layout: args.base.layout()?,
        range: args.ids.range()?,
        node: args.node.name()?,
        life: ReferenceLifetime::Permanent,
        wait: args.wait,
        restore: false,
        existing: false,
        guard: parse_lock_token(args.if_locked.as_ref())?,
    };
    if ctx.safety.dry_run {
        return super::new::rehearse(ctx, &terms, &[key]).await;
    }
    ctx.signals.hold();
    let kept = ctx.store().keep(args.ttl.unwrap_or_else(|| seconds(ctx.config.session_ttl))).await?;
    terms.life = ReferenceLifetime::On(kept.id());
    let what = format!("the ID of '{}'", bytes::escape(&key));
    let tenure = LeaseScope { what: what.clone(), kept, guard: None };
    let allocated = match allocate(ctx, terms.clone(), &key).await {
        Ok(allocated) => allocated,
        Err(failure) => {
            // Whatever may have been written goes with the lease.
            tenure.release(ctx).await;
            return Err(failure);
        }
    };
    let hold = ReferenceHold {
        layout: terms.layout,
        key: key.clone(),
        node: terms.node.clone(),
        allocated,
        protect: args.protect,
    };
    let (out, id) = (ctx.out.clone(), allocated.id.to_string());
    let shown = id.clone();
    hold.begin(ctx.store(), &tenure.kept, move |mended| match mended {
        HoldRepair::Reference => out.warn(&format!("the reference to ID {shown} was deleted and is there again")),
        HoldRepair::Master => out.warn(&format!("the master of ID {shown} was deleted and is there again")),
        HoldRepair::Unprotected => out.warn(&format!("the master of ID {shown} was deleted: see --protect")),
    });
    if !args.command.is_empty() {
        let os = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let envs = vec![("KVADM_ID", id.into()), ("KVADM_ID_KEY", os(&key)), ("KVADM_ID_NODE", os(&terms.node))];
        return tenure.while_running(ctx, &args.command, envs).await;
    }
    if let Err(failure) = show(ctx, &key, &terms.node, allocated, tenure.kept.id()) {
        tenure.release(ctx).await;
        return Err(failure);
    }
    tenure.until_signal(ctx).await
}

fn show(ctx: &Context, key: &[u8], node: &[u8], allocated: AllocatedId, lease: LeaseId) -> Result<(), Failure> {
    let id = allocated.id.to_string();
    ctx.out.one(&AllocatedRow { id: &id, key, new: allocated.new, node, lease: Some(lease), alone: true })?;
    Ok(())
}

async fn allocate(ctx: &Context, terms: AllocatorOptions, key: &[u8]) -> Result<AllocatedId, Failure> {
    let mut allocator = Allocator::open(ctx.store(), terms).await?;
    let result = allocator.allocate(&[key], &mut ()).await;
    allocator.close(CLEANUP).await;
    match result?.pop() {
        Some(Ok(allocated)) => Ok(allocated),
        Some(Err(denied)) => Err(refusal(key, &denied)),
        None => Err(refusal(key, &AllocationError::Contended)),
    }
}
