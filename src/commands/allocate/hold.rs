//! `kvadm allocate hold`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::new::{allocation_failure, warn_restored};
use super::scope::{BaseArgs, IdRangeArgs, NodeArgs, key_of_labels, parse_key, refuse_reserved};
use crate::allocator::{
    AllocatedId, AllocationError, Allocator, AllocatorOptions, HoldRepair, ReferenceHold, ReferenceLifetime,
};
use crate::args::{KeyText, parse_duration, parse_ttl, safety_options};
use crate::commands::conditions::IfLockedArgs;
use crate::commands::lease_scope::{LeaseScope, seconds};
use crate::commands::proto::warn_of_bypass;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::LeaseId;
use crate::output::{AllocatedRow, bytes};

/// Maximum time to revoke the lease of the locks.
const CLEANUP: Duration = Duration::from_secs(2);

/// Hold a key's ID while a command runs, or until a signal
///
/// Allocates the ID as 'new' does, with a reference on a lease that is kept alive. A reference that another client
/// deletes is written again, and so is the ID's master: without it the ID could be given to another key. At the end the
/// reference is deleted, unless another process of this node has taken it over. If the lease is lost, or the ID is
/// given to another key, CMD is terminated and kvadm exits with 5; otherwise it exits with CMD's status.
///
/// CMD's environment contains KVADM_ID, KVADM_ID_KEY and KVADM_ID_NODE.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate hold web -- sh -c 'echo \"my ID is $KVADM_ID\"'
  kvadm allocate hold --label k8s:app=web --ttl 1m -- sleep 1
  kvadm allocate hold web --node 10.0.0.7 -- ./agent", args = safety_options())]
pub struct Args {
    /// Key whose ID to hold
    #[arg(value_name = "KEY", required_unless_present = "labels")]
    key: Option<OsString>,
    /// Cilium's key of these labels, each [SOURCE:]KEY=VALUE; repeatable
    #[arg(long = "label", value_name = "LABEL", conflicts_with = "key")]
    labels: Vec<String>,
    /// Command to run, with its arguments
    #[arg(value_name = "CMD", last = true, value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
    /// Do not recreate the master if another client deletes it
    #[arg(long)]
    no_protect: bool,
    /// The default; an option of earlier versions
    #[arg(long, hide = true, conflicts_with = "no_protect")]
    protect: bool,
    /// How long the reference stays after kvadm dies [default: session-ttl]
    #[arg(long, value_name = "D", value_parser = parse_ttl)]
    ttl: Option<i64>,
    /// Maximum time to wait for the key's lock
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "1m")]
    wait: Duration,
    #[command(flatten)]
    if_locked: IfLockedArgs,
    #[command(flatten)]
    text: KeyText,
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
/// As `new`; [`Exit::Conflict`] also if the ID is lost.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let key = match &args.key {
        Some(key) => parse_key(args.text, key)?,
        None => key_of_labels(&args.labels)?,
    };
    refuse_reserved(std::slice::from_ref(&key))?;
    let mut options = AllocatorOptions {
        layout: args.base.layout()?,
        range: args.ids.range(ctx).await?,
        node: args.node.name()?,
        lifetime: ReferenceLifetime::Permanent,
        wait: args.wait,
        existing_only: false,
        guard: args.if_locked.guard(ctx).await?,
    };
    warn_of_bypass(ctx, [options.layout.range()]);
    if ctx.safety.dry_run {
        return super::new::dry_run(ctx, &options, &[key]).await;
    }
    ctx.signals.hold();
    let kept = ctx.store().keep(args.ttl.unwrap_or_else(|| seconds(ctx.config.session_ttl))).await?;
    options.lifetime = ReferenceLifetime::Lease(kept.id());
    let what = format!("the ID of key '{}'", bytes::escape(&key));
    let scope = LeaseScope { what: what.clone(), kept, guard: None };
    let allocated = match allocate(ctx, options.clone(), &key).await {
        Ok(allocated) => allocated,
        Err(failure) => {
            // The lease's end deletes whatever was written.
            scope.release(ctx).await;
            return Err(failure);
        }
    };
    let hold = ReferenceHold {
        layout: options.layout,
        key: key.clone(),
        node: options.node.clone(),
        allocated,
        protect: args.protect || !args.no_protect,
    };
    let (out, id) = (ctx.out.clone(), allocated.id.to_string());
    let shown = id.clone();
    hold.start(ctx.store(), &scope.kept, move |repair| match repair {
        HoldRepair::Reference => out.warn(&format!("the reference to ID {shown} was deleted and has been recreated")),
        HoldRepair::Master => out.warn(&format!("the master of ID {shown} was deleted and has been recreated")),
        HoldRepair::Unprotected => {
            out.warn(&format!("the master of ID {shown} was deleted; without --no-protect it is recreated"));
        }
    });
    warn_restored(&ctx.out, &allocated);
    if !args.command.is_empty() {
        let os = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let envs = vec![("KVADM_ID", id.into()), ("KVADM_ID_KEY", os(&key)), ("KVADM_ID_NODE", os(&options.node))];
        return scope.while_running(ctx, &args.command, envs).await;
    }
    if let Err(failure) = print_allocated(ctx, &key, &options.node, allocated, scope.kept.id()) {
        scope.release(ctx).await;
        return Err(failure);
    }
    scope.until_signal(ctx).await
}

fn print_allocated(
    ctx: &Context,
    key: &[u8],
    node: &[u8],
    allocated: AllocatedId,
    lease: LeaseId,
) -> Result<(), Failure> {
    let id = allocated.id.to_string();
    let AllocatedId { new, restored, .. } = allocated;
    ctx.out.one(&AllocatedRow { id: &id, key, new, restored, node, lease: Some(lease), alone: true })?;
    Ok(())
}

async fn allocate(ctx: &Context, options: AllocatorOptions, key: &[u8]) -> Result<AllocatedId, Failure> {
    let mut allocator = Allocator::open(ctx.store(), options).await?;
    let result = allocator.allocate(&[key], &mut ()).await;
    allocator.close(CLEANUP).await;
    match result?.pop() {
        Some(Ok(allocated)) => Ok(allocated),
        Some(Err(error)) => Err(allocation_failure(key, &error)),
        None => Err(allocation_failure(key, &AllocationError::Contended)),
    }
}
