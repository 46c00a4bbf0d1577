//! `kvadm lock`.

pub mod acquire;
mod hold;
mod list;

use std::ffi::OsString;
use std::time::Duration;

use crate::args::{KeyText, parse_duration, parse_ttl, safety_options};
use crate::child::PreparedChild;
use crate::commands::lease_scope::seconds;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::bytes;

/// Hold a lock while a command runs, or until a signal; or list who holds and who waits.
///
/// The lock is etcd's own mutex: 'etcdctl lock', Go's concurrency.Mutex and Cilium exclude kvadm and are excluded by
/// it, first come, first served.
///
/// CMD runs in a process group of its own with the terminal, if there is one; signals are passed on, and its exit
/// status is kvadm's (128+n for a signal, 126 or 127 where it cannot be started). If the lock is lost, CMD gets SIGTERM
/// and then SIGKILL, before the lease can run out where etcd is away, within a second where somebody deletes the key or
/// revokes the lease; the exit code is 5. It is 5 too where CMD succeeded and that the lock was held to its end cannot
/// be proved. A second process of kvadm does the same if kvadm is stopped or killed. What CMD starts in another
/// process group escapes all this, and so does CMD where it is frozen together with both: guard what it writes with
/// --if-locked (KVADM_LOCK is set for CMD), or check KVADM_LOCK_REV, which only grows, where it writes.
///
/// CMD finds KVADM_LOCK (KEY@REVISION), KVADM_LOCK_KEY, KVADM_LOCK_REV, ETCD_LOCK_KEY and ETCD_LOCK_REV in its
/// environment. Where kvadm hands CMD the terminal, Ctrl-Z stops both: the lock is lost unless they go on in time.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm lock /cron/backup --try -- /usr/local/bin/backup
  kvadm lock /deploy --wait 10m -- sh -c 'kvadm put /app/version 7 --if-locked'
  kvadm lock /fleet --shared -- ./serve-one-request
  kvadm lock --list /cron/", args = safety_options())]
pub struct Args {
    /// The lock's name; with --list, what the names begin with
    #[arg(value_name = "NAME", required_unless_present = "list")]
    name: Option<OsString>,
    /// The command to run, and its arguments
    #[arg(value_name = "CMD", last = true, value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
    /// Share it with others that do; wait only for those that do not
    #[arg(long)]
    shared: bool,
    /// Do not wait; 1 if somebody has it
    #[arg(long = "try", conflicts_with = "wait")]
    once: bool,
    /// Wait at most so long; 1 if somebody still has it
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// How long the lock outlives a kvadm that is gone [default: lock-ttl, 25s]
    #[arg(long, value_name = "D", value_parser = parse_ttl)]
    ttl: Option<i64>,
    /// Show holders and waiters, those of other programs too
    #[arg(long, conflicts_with_all = ["shared", "once", "wait", "ttl", "command"])]
    list: bool,
    #[command(flatten)]
    text: KeyText,
}

/// Runs the verb.
///
/// # Errors
/// A lock that is busy or lost, or whatever kept an answer away.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let name = args.name.as_deref().unwrap_or_default();
    if args.list {
        return list::run(ctx, &args.text.bytes(name)?).await;
    }
    let ask = acquire::LockRequest {
        name: args.text.key(name)?,
        shared: args.shared,
        patience: match args.wait {
            _ if args.once => acquire::WaitLimit::None,
            Some(time) => acquire::WaitLimit::For(time),
            None => acquire::WaitLimit::Endless,
        },
        ttl: args.ttl.unwrap_or_else(|| seconds(ctx.config.lock_ttl)),
    };
    if ctx.safety.dry_run {
        return rehearse(ctx, &ask).await;
    }
    let open = || PreparedChild::open(&args.command, ctx.out.is_json());
    // Who does not wait mostly finds the lock busy, and starts nothing for that.
    let ahead = (!args.command.is_empty() && !args.once).then(open);
    match (acquire::acquire(ctx, &ask).await, ahead) {
        (Ok(held), _) if args.command.is_empty() => hold::until_signal(ctx, held).await,
        (Ok(held), ahead) => hold::under(ctx, held, ahead.unwrap_or_else(open)).await,
        (Err(failure), ahead) => {
            if let Some(stage) = ahead {
                stage.close().await;
            }
            Err(failure)
        }
    }
}

async fn rehearse(ctx: &Context, ask: &acquire::LockRequest) -> Result<Exit, Failure> {
    let name = bytes::escape(&ask.name);
    match ctx.store().lock_holder(&ask.name, ask.shared).await? {
        None => ctx.out.note(&format!("dry run: {name} is free and would be held")),
        Some(key) => {
            ctx.out.note(&format!("dry run: {name} is held by {} and would be waited for", bytes::escape(&key)))
        }
    }
    Ok(Exit::Done)
}
