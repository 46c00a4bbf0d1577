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
mod watch;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::hidden_safety_options;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Allocate cluster-wide IDs for keys, byte compatible with Cilium's kvstore allocator.
///
/// The same key has the same ID whoever asks, and two keys never share one. Each node that uses a key leaves a
/// reference; an ID that no reference names is collected by 'kvadm gc ids'. Below the base, id/<ID> is an ID's master and
/// holds the key; value/<key>/<node> is a reference and holds the ID; locks/<key> is the lock under which a key gets its
/// ID.
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
/// Wrong usage, keys without an ID, a condition that did not hold, or whatever kept an answer away.
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
