//! `kvadm snapshot`: backups of a whole store.

mod receive;
mod save;
mod verify;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::hidden_safety_options;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// Save a backup of the whole store, or verify one
///
/// A snapshot is a member's database, history included, followed by its SHA-256.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm snapshot save backup.db
  kvadm snapshot save - | gzip > backup.db.gz
  kvadm snapshot verify backup.db", args = hidden_safety_options(), disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    action: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    Save(save::Args),
    Verify(verify::Args),
}

/// Runs the verb.
///
/// # Errors
/// A file that cannot be written, a damaged snapshot, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        SnapshotCommand::Save(args) => save::run(ctx, args).await,
        SnapshotCommand::Verify(args) => verify::run(ctx, args).await,
    }
}
