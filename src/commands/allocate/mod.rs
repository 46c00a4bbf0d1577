//! `kvadm allocate`.

mod check;
mod get;
mod list;
mod lookup;
mod remote;
pub mod scope;
mod watch;

use clap::{Args as ClapArgs, Subcommand};

use crate::context::Context;
use crate::error::{Exit, Failure};

/// Allocate cluster-wide IDs for keys, byte compatible with Cilium's kvstore allocator.
///
/// Below the base, id/<ID> is an ID's master and holds the key; value/<key>/<node> holds the ID and says that the node
/// uses it; locks/<key> is the lock under which a key gets its ID. A master that no node refers to is unused.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate list
  kvadm allocate get 'k8s:app=web;'
  kvadm allocate check --min 256 --max 65535")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    #[command(name = "get")]
    #[allow(missing_docs)]
    Get(get::Args),
    #[command(name = "lookup")]
    #[allow(missing_docs)]
    Lookup(lookup::Args),
    #[command(name = "list")]
    #[allow(missing_docs)]
    List(list::Args),
    #[command(name = "watch")]
    #[allow(missing_docs)]
    Watch(watch::Args),
    #[command(name = "check")]
    #[allow(missing_docs)]
    Check(check::Args),
}

/// Runs the verb.
///
/// # Errors
/// Wrong usage, a condition that did not hold, or whatever kept an answer away.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        Action::Get(args) => get::run(ctx, args).await,
        Action::Lookup(args) => lookup::run(ctx, args).await,
        Action::List(args) => list::run(ctx, args).await,
        Action::Watch(args) => watch::run(ctx, args).await,
        Action::Check(args) => check::run(ctx, args).await,
    }
}
