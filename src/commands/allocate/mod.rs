//! `kvadm allocate`.

mod hold;
mod new;
mod release;
mod renew;
pub mod scope;
mod wanted;

use clap::{Args as ClapArgs, Subcommand};

use crate::context::Context;
use crate::error::{Exit, Failure};

/// Allocate cluster-wide IDs for keys, byte compatible with Cilium's kvstore allocator.
///
/// The same key has the same ID whoever asks, and two keys never share one. Each node that uses a key leaves a
/// reference; an ID that no reference names is collected by 'kvadm gc ids'.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate new web
  kvadm allocate hold web -- sh -c 'echo $KVADM_ID'
  kvadm allocate release web")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    New(new::Args),
    Renew(renew::Args),
    Release(release::Args),
    Hold(hold::Args),
}

/// Runs the verb.
///
/// # Errors
/// Keys without an ID, a reference that is not there, or whatever kept an answer away.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        Action::New(args) => new::run(ctx, args).await,
        Action::Renew(args) => renew::run(ctx, args).await,
        Action::Release(args) => release::run(ctx, args).await,
        Action::Hold(args) => hold::run(ctx, args).await,
    }
}
