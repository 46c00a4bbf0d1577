//! The verbs, one file each: `Args`, whose doc comments are help and man page, and `run`.

pub mod allocate;
pub mod compact;
pub mod complete;
pub mod completions;
pub mod config;
pub mod delete;
pub mod gc;
pub mod get;
pub mod lease;
pub mod list;
pub mod lock;
pub mod put;
pub mod status;
pub mod txn;
pub mod watch;

mod conditions;
mod input;
mod proto;
mod select;
mod tenure;

use crate::cli::Command;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Runs one verb.
///
/// # Errors
/// Whatever kept the verb from doing what was asked, with its class and what to do next.
pub async fn run(ctx: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Get(args) => get::run(ctx, &args).await,
        Command::Put(args) => put::run(ctx, &args).await,
        Command::Delete(args) => delete::run(ctx, &args).await,
        Command::List(args) => list::run(ctx, &args).await,
        Command::Watch(args) => watch::run(ctx, &args).await,
        Command::Lock(args) => lock::run(ctx, &args).await,
        Command::Allocate(args) => allocate::run(ctx, &args).await,
        Command::Compact(args) => compact::run(ctx, &args).await,
        Command::Lease(args) => lease::run(ctx, &args).await,
        Command::Gc(args) => gc::run(ctx, &args).await,
        Command::Txn(args) => txn::run(ctx, &args).await,
        Command::Status(args) => status::run(ctx, &args).await,
        Command::Config(args) => config::run(ctx, &args),
        Command::Completions(args) => completions::run(ctx, &args),
    }
}
