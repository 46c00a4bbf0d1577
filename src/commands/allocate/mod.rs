//! `kvadm allocate`.

mod check;
mod get;
mod hold;
mod key_args;
mod list;
mod lookup;
mod new;
mod release;
mod remote;
mod renew;
pub mod scope;
mod time_stamps;
mod watch;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::hidden_safety_options;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Allocate cluster-wide IDs for keys, compatible with Cilium's kvstore allocator.
///
/// Every client gets the same ID for the same key, and two keys never share an ID. Each node that uses a key writes a
/// reference. 'kvadm gc ids' deletes IDs without references. Below the base, id/<ID> (the master of an ID) holds the
/// key, value/<key>/<node> (a reference) holds the ID, and locks/<key> is the lock under which a key gets its ID.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate new web
  kvadm allocate hold web -- sh -c 'echo $KVADM_ID'
  kvadm allocate list --unused
  kvadm allocate release web", args = hidden_safety_options(), disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    action: AllocateCommand,
}

#[derive(Debug, Subcommand)]
enum AllocateCommand {
    New(new::Args),
    Get(get::Args),
    Lookup(lookup::Args),
    Renew(renew::Args),
    Release(release::Args),
    Hold(hold::Args),
    List(list::Args),
    Watch(watch::Args),
    Check(check::Args),
}

/// Runs the verb.
///
/// # Errors
/// Wrong usage, keys without an ID, a condition that failed, or etcd is unreachable or rejects a request.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        AllocateCommand::New(args) => new::run(ctx, args).await,
        AllocateCommand::Get(args) => get::run(ctx, args).await,
        AllocateCommand::Lookup(args) => lookup::run(ctx, args).await,
        AllocateCommand::Renew(args) => renew::run(ctx, args).await,
        AllocateCommand::Release(args) => release::run(ctx, args).await,
        AllocateCommand::Hold(args) => hold::run(ctx, args).await,
        AllocateCommand::List(args) => list::run(ctx, args).await,
        AllocateCommand::Watch(args) => watch::run(ctx, args).await,
        AllocateCommand::Check(args) => check::run(ctx, args).await,
    }
}
