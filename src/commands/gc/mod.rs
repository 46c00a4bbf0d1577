//! `kvadm gc`.

mod ids;
mod kind;
mod locks;
mod metadata;
mod options;
mod round;
mod tally;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::hidden_safety_options;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Look for garbage, plan, and remove what two looks agree on.
///
/// Without --apply nothing is changed: what would go is printed with the reason, and the exit code is 1 if there is
/// anything. With --apply what this look and an earlier one agree on is removed, each object in a transaction that
/// compares the very facts that made it garbage: what changed meanwhile is skipped. See kvadm(1).
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm gc ids
  kvadm gc ids --save plan.json; sleep 900; kvadm gc ids --since plan.json --apply --yes
  kvadm gc locks --apply --every 5m --yes -o json
  kvadm gc metadata /containerd/ --schema containerd", args = hidden_safety_options(), disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    kind: GcCommand,
}

#[derive(Debug, Subcommand)]
enum GcCommand {
    Ids(ids::Args),
    Locks(locks::Args),
    Metadata(metadata::Args),
}

/// Runs the verb.
///
/// # Errors
/// A limit that forbids it, a plan of something else, or whatever kept an answer away.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.kind {
        GcCommand::Ids(args) => ids::run(ctx, args).await,
        GcCommand::Locks(args) => locks::run(ctx, args).await,
        GcCommand::Metadata(args) => metadata::run(ctx, args).await,
    }
}
