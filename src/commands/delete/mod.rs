//! `kvadm delete`: delete keys.

mod keys;
mod range;
mod save;
mod shown;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::args::{bytes_of, parse_revision, safety_options};
use crate::commands::conditions::{Conditions, IfLockedArgs};
use crate::commands::proto::{ProtoArgs, encode_value, warn_of_bypass};
use crate::commands::select::KeySelection;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, Revision};

/// Delete one key, several keys or a range
///
/// One key is deleted at once. For several keys or a range, kvadm shows the first 20
/// and how many there are, and asks; from 10,000 keys on, you type their number.
/// Without a terminal, --yes is required. --dry-run names the first 20.
///
/// A range is deleted in small batches, so that other clients are not blocked. Keys
/// that are written after the range was counted are kept.
///
/// Exit codes:
///   0  deleted
///   1  nothing was deleted, or a named key does not exist
///   5  a condition failed, the lock was lost, or the deletion was not confirmed
///   6  only some of the keys were deleted
///   7  the reply was lost; etcd may have deleted the keys
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm delete /app/mode --if-rev 42
  kvadm delete --prefix /app --dir --dry-run
  kvadm delete --prefix /app/ --save app.jsonl --yes \\
      && kvadm put --from app.jsonl",
    args = safety_options(),
    mut_arg("if_locked", |arg| arg.help_heading("Conditions"))
)]
pub struct Args {
    /// Keys to delete
    #[arg(value_name = "KEY", required_unless_present_any = ["prefix", "from", "to"], conflicts_with_all = ["prefix", "from", "to", "dir", "glob"])]
    keys: Vec<OsString>,
    /// Delete all keys that begin with P
    #[arg(long, value_name = "P", help_heading = "Which keys")]
    prefix: Option<OsString>,
    /// Allow a range that covers the whole store
    #[arg(long, help_heading = "Which keys")]
    all: bool,
    #[command(flatten)]
    selection: KeySelection,

    /// Delete only if the key was last modified in revision N
    #[arg(long, value_name = "N", value_parser = parse_revision, help_heading = "Conditions")]
    if_rev: Option<Revision>,
    /// Delete only if the key has this value
    #[arg(long, value_name = "V", allow_negative_numbers = true, help_heading = "Conditions")]
    if_value: Option<OsString>,
    /// Delete only if this other key exists
    #[arg(long, value_name = "KEY", help_heading = "Conditions")]
    if_exists: Option<OsString>,
    #[command(flatten)]
    if_locked: IfLockedArgs,

    /// Print the deleted records
    #[arg(long)]
    prev: bool,
    #[command(flatten)]
    proto: ProtoArgs,
    /// Save the deleted records to a new file, which 'put --from' can restore
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    save: Option<PathBuf>,
    /// Delete the range in one request; other clients are blocked until it finishes
    #[arg(long, conflicts_with_all = ["prev", "keys", "glob"])]
    atomic: bool,
    /// If the store is full, also delete values that were written after the count
    ///
    /// Some versions of etcd (such as 3.5.1) refuse every conditional delete while the store is out of space. With
    /// --unguarded, kvadm then deletes without the condition that no key was written after the count. A value that was
    /// written after the count is added to the file of --save.
    #[arg(long, requires = "save", conflicts_with_all = ["atomic", "keys", "glob", "if_locked"])]
    unguarded: bool,
}

/// Runs the verb.
///
/// # Errors
/// A failed condition, a lost lock, an unknown outcome, a declined confirmation, or a refusal of etcd.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let text = args.selection.text;
    let guard = args.if_locked.guard(ctx).await?;
    let codec = args.proto.decode_output(ctx)?;
    let expected = match (&args.if_value, args.keys.as_slice()) {
        (Some(value), [key]) => {
            Some(encode_value(&codec, &text.key(key, ctx.store().namespace())?, bytes_of(value), "--if-value")?)
        }
        (value, _) => value.as_deref().map(bytes_of),
    };
    let conditions = Conditions {
        create: false,
        update: false,
        revision: args.if_rev,
        value: expected,
        other: args.if_exists.as_deref().map(|key| text.key(key, ctx.store().namespace())).transpose()?,
    };
    if args.keys.is_empty() {
        if conditions != Conditions::default() {
            return Err(Failure::usage("--if-rev, --if-value and --if-exists apply to one key, not to a range")
                .hint("try 'kvadm delete KEY --if-rev N' for each key"));
        }
        let range = args.selection.range(args.prefix.as_deref())?;
        warn_of_bypass(ctx, [range.clone()]);
        let job = range::RangeDeletion {
            ctx,
            range,
            filter: args.selection.filter()?,
            guard,
            prev: args.prev,
            atomic: args.atomic,
            unguarded: args.unguarded,
        };
        return job.run(args.all, args.save.as_deref()).await;
    }
    let keys = args.keys.iter().map(|key| text.key(key, ctx.store().namespace())).collect::<Result<Vec<_>, _>>()?;
    warn_of_bypass(ctx, keys.iter().map(|key| KeyRange::key(key)));
    if keys.len() > 1 && conditions != Conditions::default() {
        return Err(Failure::usage("--if-rev, --if-value and --if-exists apply to one key, not to several")
            .hint("try 'kvadm delete KEY --if-rev N' for each key"));
    }
    keys::KeyDeletion { ctx, keys, conditions, guard, prev: args.prev }.run(args.save.as_deref()).await
}
