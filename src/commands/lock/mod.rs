//! `kvadm lock`: hold or list locks, lead an election, or follow its leader.

pub(super) mod acquire;
mod hold;
mod list;
mod observe;
pub(super) mod owner;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::args::{KeyText, bytes_of, parse_duration, parse_ttl, safety_options};
use crate::child::PreparedChild;
use crate::commands::input::{InputSource, read_all};
use crate::commands::lease_scope::seconds;
use crate::commands::proto::warn_of_bypass;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, LockMode, is_reserved_proposal};
use crate::output::{DryRunRow, bytes};

/// Hold a lock, or lead an election, while a command runs; list locks and leaders
///
/// Without CMD, kvadm holds the lock until a signal.
///
/// The lock is etcd's own mutex, first come, first served: it excludes users of
/// 'etcdctl lock', Go's concurrency.Mutex and Cilium, and is excluded by them.
///
/// CMD runs in its own process group, with the terminal if there is one, and
/// receives kvadm's signals. If the lock is lost, CMD gets SIGTERM and then SIGKILL:
/// before the lease can expire if etcd is unreachable, within a second if someone
/// deletes the key or revokes the lease. A second process, lease-guardian, does the
/// same if kvadm is stopped or killed.
///
/// A process that leaves CMD's process group or changes its user can outlive the
/// lock, and so can CMD if kvadm and lease-guardian are both killed or frozen. Guard
/// writes with --if-locked, or let the target check the fencing token
/// KVADM_LOCK_REV, which grows from holder to holder.
///
/// Readers of Go's recipes.RWMutex ignore this lock. Use --rw for a lock that such
/// programs take: kvadm then is a writer, or with --shared a reader.
///
/// Ctrl-Z stops CMD and kvadm; the lock is lost unless they continue in time.
///
/// The lock key names the host, process, user and command, which --list and waiting
/// kvadm processes show.
///
/// With --value, the lock is an election, and whoever holds the lock leads. The lock
/// key then has this value instead of the owner, as 'etcdctl elect' and Go's
/// concurrency.Election write it: their candidates and kvadm's wait in one queue.
/// --observe prints the leader's value now and after each change, without gaps: it
/// resumes after an interruption. Values that begin with 'kvadm/1 ', and the value
/// 'shared', are refused: kvadm would take the candidate for the holder of a lock.
///
/// Environment of CMD:
///   KVADM_LOCK                      KEY@REVISION, as --if-locked takes it
///   KVADM_LOCK_KEY, ETCD_LOCK_KEY   the lock's key
///   KVADM_LOCK_REV, ETCD_LOCK_REV   the fencing token
///
/// Exit codes:
///   1  the lock is taken (--try), or still taken after --wait; --observe: --timeout
///      elapsed
///   3  --observe: --timeout elapsed while etcd was not reached
///   5  the lock was lost. Also 5 if CMD succeeded but kvadm could not confirm that
///      it held the lock until CMD ended
///   With CMD: its exit status, 128+n for a signal, 126 or 127 if it cannot start
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm lock /cron/backup --try -- /usr/local/bin/backup
  kvadm lock /deploy --wait 10m -- sh -c 'kvadm put /app/version 7 --if-locked'
  kvadm lock /index --rw -- ./rebuild
  kvadm lock /leader --value \"$HOSTNAME\" -- ./serve
  kvadm lock /leader --observe -o json
  kvadm lock --list /cron/",
    args = safety_options()
)]
pub struct Args {
    /// Name of the lock; with --list, prefix of the names
    #[arg(value_name = "NAME", required_unless_present = "list")]
    name: Option<OsString>,
    /// Command to run, and its arguments
    #[arg(value_name = "CMD", last = true, value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
    /// Take a shared (read) lock
    #[arg(long)]
    shared: bool,
    /// Exclude users of Go's recipes.RWMutex: a writer, or with --shared a reader
    #[arg(long)]
    rw: bool,
    /// Exit 1 at once if the lock is taken
    #[arg(long = "try", conflicts_with = "wait")]
    try_once: bool,
    /// Wait for at most D, then exit 1
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// How long the lock stays held after kvadm dies [default: lock-ttl, 25s]
    #[arg(long, value_name = "D", value_parser = parse_ttl)]
    ttl: Option<i64>,
    /// Do not write the host, process, user and command into the lock key
    #[arg(long)]
    anonymous: bool,
    /// List holders and waiters, including those of other programs
    #[arg(long, conflicts_with_all = ["shared", "rw", "try_once", "wait", "ttl", "anonymous", "command", "value", "value_file", "observe"])]
    list: bool,
    /// Lead an election with this value in the lock key; - reads stdin
    ///
    /// With -, CMD gets no standard input.
    #[arg(long, value_name = "TEXT", allow_negative_numbers = true, conflicts_with_all = ["shared", "rw", "anonymous"], help_heading = "Elections")]
    value: Option<OsString>,
    /// As --value, with the bytes of FILE
    #[arg(long, value_name = "FILE", conflicts_with_all = ["value", "shared", "rw", "anonymous"], value_hint = clap::ValueHint::FilePath, help_heading = "Elections")]
    value_file: Option<PathBuf>,
    /// Print the leader and its value, and each change, until a signal
    ///
    /// leader: another candidate leads, or leads at the start. proclaimed: the leader has changed its value. no-leader: nobody
    /// leads. If events were compacted while etcd was not reached, a warning says that leaders may be missing.
    #[arg(long, help_heading = "Elections", conflicts_with_all = ["shared", "rw", "try_once", "wait", "ttl", "anonymous", "command", "value", "value_file", "dry-run"])]
    observe: bool,
    /// With --observe: exit after N leaders and values (no-leader does not count)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), requires = "observe", help_heading = "Elections")]
    count: Option<u64>,
    /// With --observe: exit 1 after D
    #[arg(long, value_name = "D", value_parser = parse_duration, requires = "observe", help_heading = "Elections")]
    timeout: Option<Duration>,
    #[command(flatten)]
    text: KeyText,
}

/// Runs the verb.
///
/// # Errors
/// A busy or lost lock, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let name = args.name.as_deref().unwrap_or_default();
    if args.list {
        return list::run(ctx, &args.text.bytes(name)?).await;
    }
    if args.observe {
        let limits = observe::ObserveLimits { count: args.count, timeout: args.timeout };
        return observe::run(ctx, &args.text.key(name, ctx.store().namespace())?, limits).await;
    }
    let proposal = args.proposal(ctx).await?;
    if let Some(limit) = args.wait.or(args.try_once.then_some(Duration::ZERO)) {
        ctx.limit_endless_connect(limit);
    }
    let request = acquire::LockRequest {
        name: args.text.key(name, ctx.store().namespace())?,
        mode: LockMode { shared: args.shared, rw: args.rw },
        wait: match args.wait {
            _ if args.try_once => acquire::WaitLimit::None,
            Some(time) => acquire::WaitLimit::For(time),
            None => acquire::WaitLimit::Endless,
        },
        ttl_seconds: args.ttl.unwrap_or_else(|| seconds(ctx.config.lock_ttl)),
        owner: (!args.anonymous && proposal.is_none())
            .then(|| owner::this_process(args.command.first().map_or_else(Default::default, OsString::as_os_str))),
        proposal,
    };
    warn_of_bypass(ctx, [KeyRange::prefix(&[request.name.as_slice(), b"/"].concat())]);
    if ctx.safety.dry_run {
        return dry_run(ctx, &request).await;
    }
    let open = || PreparedChild::open(&args.command, ctx.out.is_json());
    // With --try the lock is often busy: the child is prepared only once the lock is held.
    let prepared = (!args.command.is_empty() && !args.try_once).then(open);
    match (acquire::acquire(ctx, &request).await, prepared) {
        (Ok(held), _) if args.command.is_empty() => hold::until_signal(ctx, held).await,
        (Ok(held), prepared) => hold::while_command_runs(ctx, held, prepared.unwrap_or_else(open)).await,
        (Err(failure), prepared) => {
            if let Some(child) = prepared {
                child.close().await;
            }
            // Nothing is left to say about a wait that the user ends.
            if failure.is_end_by_signal() { Ok(Exit::Interrupted) } else { Err(failure) }
        }
    }
}

impl Args {
    /// The value of the candidate, if there is an election.
    async fn proposal(&self, ctx: &Context) -> Result<Option<Vec<u8>>, Failure> {
        let value = match (&self.value, &self.value_file) {
            (_, Some(file)) => read_all(ctx, InputSource::of(file)).await?,
            (Some(value), None) if value == "-" => read_all(ctx, InputSource::Stdin).await?,
            (Some(value), None) => bytes_of(value),
            (None, None) => return Ok(None),
        };
        if is_reserved_proposal(&value) {
            let shown = bytes::escape(&value).chars().take(40).collect::<String>();
            let why = format!("'{shown}' is not a value for an election: kvadm would read it as the holder of a lock");
            return Err(Failure::usage(why).hint("a value must not be 'shared', nor begin with 'kvadm/1 '"));
        }
        Ok(Some(value))
    }
}

async fn dry_run(ctx: &Context, request: &acquire::LockRequest) -> Result<Exit, Failure> {
    let name = bytes::escape(&request.name);
    let row = DryRunRow { name: Some(&request.name), ..DryRunRow::default() };
    match ctx.store().lock_holder(&request.name, request.mode.shared).await? {
        None => {
            let row = DryRunRow { outcome: "would-lock", ..row };
            ctx.out.dry_run(&row, &format!("lock {name} is free and would be taken"))?;
        }
        Some(holder) => {
            let row = DryRunRow { outcome: "would-wait", key: Some(&holder.key), ..row };
            let key = bytes::escape(&holder.key);
            ctx.out.dry_run(&row, &format!("lock {name} is held by {key}; kvadm would wait for it"))?;
        }
    }
    Ok(Exit::Done)
}
