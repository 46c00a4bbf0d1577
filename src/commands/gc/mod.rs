//! `kvadm gc`.

mod failures;
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

/// Find garbage, plan its removal, and remove what two scans agree on.
///
/// Without --apply, prints what would be removed and why, changes nothing, and exits with 1 if there is garbage. With
/// --apply, removes what this scan and an earlier one agree on. Each object is removed in a transaction that compares
/// the facts that made the object garbage; objects that changed meanwhile are skipped. See kvadm(1).
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm gc ids
  kvadm gc ids --save plan.json; sleep 900; \\
      kvadm gc ids --since plan.json --apply --yes
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
    Metadata(Box<metadata::Args>),
}

/// Runs the verb.
///
/// # Errors
/// A limit is exceeded, a plan does not match, or etcd is unreachable or rejects a request.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.kind {
        GcCommand::Ids(args) => ids::run(ctx, args).await,
        GcCommand::Locks(args) => locks::run(ctx, args).await,
        GcCommand::Metadata(args) => metadata::run(ctx, args).await,
    }
}
