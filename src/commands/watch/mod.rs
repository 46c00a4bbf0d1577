//! `kvadm watch`.

mod cache;
mod event_writer;
mod exec;
mod follow;
mod list;
mod resume;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::args::{KeyText, parse_duration, parse_revision};
use crate::commands::proto::ProtoArgs;
use crate::commands::select::KeyFilter;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, Revision};
use crate::output::ChangeKind;

use exec::{EventCommand, OnError};
use resume::ResumeFile;

pub(super) use event_writer::EventWriter;
pub(super) use follow::{WatchLoop, WatchStart};

/// Watch keys: every change once, in order, and none missing.
///
/// All prefixes together give one stream, ordered by revision; where prefixes overlap an event is told once. (They are
/// watched as the one range that covers them: prefixes far apart cost the traffic between them, and the right to read
/// it.) A broken stream is resumed where it broke: after a restart, a change of leader, a cut connection, or a peer
/// that is silent, which the keep-alive finds within 15 seconds. stderr says when the stream is away for longer than a
/// second, and when it is back. If what was missed has been compacted meanwhile, --sync tells the difference between
/// what it had told and what is; without it the watch ends with 4 and names the revision to start from.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm watch /app/ /db/ -o json
  kvadm watch --exact /deploy/done --list --count 1 --timeout 10m && ./smoke-test
  kvadm watch /config/ --sync --exec -- ./mirror.sh
  kvadm watch /jobs/ --resume jobs.place --only created --exec -- ./run-job")]
pub struct Args {
    /// Keys that begin with this; '' for all keys
    #[arg(value_name = "PREFIX", required_unless_present = "exact")]
    prefix: Vec<OsString>,
    /// This key alone
    #[arg(long, value_name = "KEY", help_heading = "Which keys")]
    exact: Vec<OsString>,
    /// Append the missing / to each prefix: /a means /a/, and not /ab
    #[arg(long, help_heading = "Which keys")]
    dir: bool,
    /// Only keys that match; * and ? also match /
    #[arg(long = "match", value_name = "GLOB", help_heading = "Which keys")]
    glob: Option<String>,
    #[command(flatten)]
    text: KeyText,

    /// From this revision on
    #[arg(long, value_name = "N", value_parser = parse_revision, conflicts_with_all = ["list", "sync", "resume"], help_heading = "Where to start")]
    rev: Option<Revision>,
    /// First the keys that are there, as created, and list-done; then what changes
    #[arg(long, conflicts_with = "sync", help_heading = "Where to start")]
    list: bool,
    /// Keep in sync: first the keys that are there, then what changes
    ///
    /// After a compaction it prints the true differences. Status records say wait-for-datastore, resync-in-progress and
    /// in-sync.
    #[arg(long, help_heading = "Where to start")]
    sync: bool,
    /// Keep the place in this file: the next run goes on where this one ended
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = "Where to start")]
    resume: Option<PathBuf>,

    /// With the value before each change, as far as compaction allows
    #[arg(long, help_heading = "What to print")]
    prev: bool,
    /// Keys without their values
    #[arg(long, help_heading = "What to print")]
    keys_only: bool,
    /// Only these kinds
    #[arg(long, value_name = "KINDS", value_delimiter = ',', help_heading = "What to print")]
    only: Vec<WantedChange>,

    /// End after so many changes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "When to end")]
    count: Option<u64>,
    /// End after the first event of this kind
    #[arg(long, value_name = "EVENT", help_heading = "When to end")]
    until: Option<UntilEvent>,
    /// End with 1 after this time; what is being told is told to its end
    #[arg(long, value_name = "D", value_parser = parse_duration, help_heading = "When to end")]
    timeout: Option<Duration>,

    #[command(flatten)]
    proto: ProtoArgs,
    /// Run CMD for each change instead of printing it
    ///
    /// One at a time and in order, the value on its stdin, the rest in KVADM_EVENT, KVADM_EVENT_KEY (escaped), _KEY_RAW,
    /// _REV, _CREATE_REV, _VERSION and _LEASE.
    #[arg(long, requires = "command", help_heading = "Running a command")]
    exec: bool,
    /// What a failing CMD means: stop ends with 6 and leaves the place before the event
    #[arg(long, value_name = "WHAT", default_value = "stop", requires = "exec", help_heading = "Running a command")]
    on_error: OnError,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD", requires = "exec", value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum WantedChange {
    /// The key was not there before
    Created,
    /// The key was there already
    Modified,
    /// The key is not there any more
    Deleted,
}

impl WantedChange {
    fn kind(self) -> ChangeKind {
        match self {
            Self::Created => ChangeKind::Created,
            Self::Modified => ChangeKind::Modified,
            Self::Deleted => ChangeKind::Deleted,
        }
    }
}

/// What a watch may end at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum UntilEvent {
    /// A key was created
    Created,
    /// A key was modified
    Modified,
    /// A key was deleted
    Deleted,
    /// --list has told all keys
    ListDone,
    /// --sync has told all keys
    InSync,
}

impl UntilEvent {
    fn word(self) -> &'static str {
        match self {
            Self::Created => ChangeKind::Created.word(),
            Self::Modified => ChangeKind::Modified.word(),
            Self::Deleted => ChangeKind::Deleted.word(),
            Self::ListDone => event_writer::LIST_DONE,
            Self::InSync => event_writer::IN_SYNC,
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// A compacted revision, a refusal, a failed command, or the end of the session.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let limit = args.timeout.map(|time| Instant::now() + time);
    args.proto.show(ctx)?;
    let start = args.start(ctx.config.resync_after_reconnect)?;
    let keeper = args.resume.as_deref().map(ResumeFile::open).transpose()?;
    let exec = args.exec.then(|| EventCommand { command: args.command.clone(), on_error: args.on_error });
    if exec.is_some() {
        // The first signal lets the running command end.
        ctx.signals.hold();
    }
    let teller = EventWriter {
        ctx,
        only: args.only.iter().map(|what| what.kind()).collect(),
        keys_only: args.keys_only,
        prev: args.prev,
        left: args.count,
        until: args.until.map(UntilEvent::word),
        exec,
        show: None,
        limit,
    };
    let ranges = KeyRange::joined(args.ranges()?);
    let filter = args.glob.as_deref().map(KeyFilter::parse).transpose()?;
    WatchLoop::new(ctx, ranges, filter, start, teller, keeper).run().await
}

impl Args {
    fn ranges(&self) -> Result<Vec<KeyRange>, Failure> {
        let mut ranges = Vec::new();
        for prefix in &self.prefix {
            let mut prefix = self.text.bytes(prefix)?;
            if self.dir && !prefix.is_empty() && !prefix.ends_with(b"/") {
                prefix.push(b'/');
            }
            ranges.push(KeyRange::prefix(&prefix));
        }
        for key in &self.exact {
            ranges.push(KeyRange::key(&self.text.key(key)?));
        }
        Ok(ranges)
    }

    fn start(&self, sync_by_default: bool) -> Result<WatchStart, Failure> {
        let start = match self.rev {
            Some(revision) => WatchStart::At(revision),
            None if self.list => WatchStart::List,
            None if self.sync || sync_by_default => WatchStart::Sync,
            None => WatchStart::Now,
        };
        match self.until {
            Some(UntilEvent::ListDone) if start != WatchStart::List => {
                Err(Failure::usage("--until list-done goes with --list"))
            }
            Some(UntilEvent::InSync) if start != WatchStart::Sync => {
                Err(Failure::usage("--until in-sync goes with --sync"))
            }
            _ => Ok(start),
        }
    }
}
