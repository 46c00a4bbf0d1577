//! `kvadm watch`: print or handle changes of keys.

mod cache;
mod event_writer;
pub(in crate::commands) mod exec;
mod follow;
mod list;
mod resume;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::args::{KeyText, parse_duration, parse_revision};
use crate::commands::proto::ProtoArgs;
use crate::commands::select::{KeyFilter, prefix_range, range_between};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, Revision};
use crate::output::ChangeKind;

use exec::{EventCommand, OnError};
use resume::ResumeFile;

pub(super) use event_writer::EventWriter;
pub(super) use follow::{WatchLoop, WatchStart};

/// Watch keys: print every change once and in order
///
/// All prefixes form one stream, ordered by revision. Several prefixes are watched
/// as one key range, so you receive (and need read permission for) everything
/// between them. An event that matches several prefixes is printed once.
///
/// A broken stream resumes where it stopped: after a restart, a change of leader, a
/// cut connection, or a silent peer (found within 15s). A note is printed when the
/// stream is interrupted for more than 1s, and when it is back.
///
/// On a terminal, lines are aligned and values are cut at its width; -o text prints
/// all of them.
///
/// If the missed events have been compacted, --sync prints the differences. Without
/// --sync the watch fails and names the first revision that can be watched.
///
/// Exit codes:
///   0  --count or --until was reached
///   1  --timeout elapsed
///   3  --timeout elapsed before the watch began, or while the stream was interrupted
///   4  the events are compacted, or --resume belongs to another store
///   6  CMD failed (--on-error stop), or the --resume file cannot be written
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm watch /app/ /db/ -o json
  kvadm watch --exact /deploy/done --list --count 1 --timeout 10m \\
      && ./smoke-test
  kvadm watch /config/ --sync --exec -- ./mirror.sh
  kvadm watch /jobs/ --resume jobs.position --only created --exec -- ./run-job"
)]
pub struct Args {
    /// Watch keys that begin with this; '' for all keys
    #[arg(value_name = "PREFIX", required_unless_present_any = ["exact", "from", "to"])]
    prefix: Vec<OsString>,
    /// Watch this key only
    #[arg(long, value_name = "KEY", help_heading = "Which keys")]
    exact: Vec<OsString>,
    /// Watch the keys from this one on, in addition to any PREFIX
    #[arg(long, value_name = "KEY", help_heading = "Which keys")]
    from: Option<OsString>,
    /// Watch the keys before this one [default: all keys from --from on]
    #[arg(long, value_name = "KEY", help_heading = "Which keys")]
    to: Option<OsString>,
    /// Append a missing / to each prefix: /a becomes /a/ and does not match /ab
    #[arg(long, help_heading = "Which keys")]
    dir: bool,
    /// Select only keys that match GLOB; * and ? also match /
    #[arg(long = "match", value_name = "GLOB", help_heading = "Which keys")]
    glob: Option<String>,
    #[command(flatten)]
    text: KeyText,

    /// Start with the changes of revision N
    #[arg(long, value_name = "N", value_parser = parse_revision, conflicts_with_all = ["list", "sync", "resume"], help_heading = "Where to start")]
    rev: Option<Revision>,
    /// Print existing keys first, as created, then list-done, then changes
    #[arg(long, conflicts_with = "sync", help_heading = "Where to start")]
    list: bool,
    /// Print existing keys first, then changes, and the differences after a compaction
    ///
    /// Status records report wait-for-datastore, resync-in-progress and in-sync. in-sync means that all keys of one revision
    /// are printed; with --serializable, of the member's own revision, which may be behind the others.
    #[arg(long, help_heading = "Where to start")]
    sync: bool,
    /// Save the position to FILE and continue from it in the next run
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = "Where to start")]
    resume: Option<PathBuf>,
    /// Also watch a member without a leader; its events may come late
    ///
    /// A member that is cut off from the others sends no events until it finds a leader again. A note at the start names the
    /// member, and how far it is behind the others. If the member fails, the watch continues at another one.
    #[arg(long, conflicts_with = "resume", help_heading = "Where to start")]
    serializable: bool,

    /// Add the previous value of each key, unless it is compacted
    #[arg(long, help_heading = "What to print")]
    prev: bool,
    /// Print keys without their values
    #[arg(long, help_heading = "What to print")]
    keys_only: bool,
    /// Begin each line with the time when the event was received
    ///
    /// The time is this machine's clock in UTC, as RFC 3339 with milliseconds: 2026-01-31T23:59:59.123Z. In JSON and YAML, it
    /// is the field time. etcd does not record when a key was written, and events of the past have the time of their arrival.
    #[arg(long, conflicts_with = "exec", help_heading = "What to print")]
    timestamps: bool,
    /// Print only these kinds of changes
    #[arg(long, value_name = "KINDS", value_delimiter = ',', help_heading = "What to print")]
    only: Vec<ChangeFilter>,

    /// Exit after N changes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "When to end")]
    count: Option<u64>,
    /// Exit after the first event of this kind
    #[arg(long, value_name = "EVENT", help_heading = "When to end")]
    until: Option<UntilEvent>,
    /// Exit 1 after D; the event being printed is finished first
    #[arg(long, value_name = "D", value_parser = parse_duration, help_heading = "When to end")]
    timeout: Option<Duration>,

    #[command(flatten)]
    proto: ProtoArgs,
    /// Run CMD for each change instead of printing it, one at a time
    ///
    /// CMD gets the value on stdin, and KVADM_EVENT, KVADM_EVENT_KEY (escaped), KVADM_EVENT_KEY_RAW, KVADM_EVENT_REV,
    /// KVADM_EVENT_CREATE_REV, KVADM_EVENT_VERSION and KVADM_EVENT_LEASE in its environment.
    #[arg(long, requires = "command", help_heading = "Running a command")]
    exec: bool,
    /// If CMD fails: stop or continue
    ///
    /// stop: exit 6; --resume will retry this event.
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "stop",
        requires = "exec",
        conflicts_with = "timestamps",
        help_heading = "Running a command"
    )]
    on_error: OnError,
    /// Command to run, and its arguments
    #[arg(last = true, value_name = "CMD", requires = "exec", conflicts_with = "timestamps", value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ChangeFilter {
    /// The key was created
    Created,
    /// The key was modified
    Modified,
    /// The key was deleted
    Deleted,
}

impl ChangeFilter {
    fn kind(self) -> ChangeKind {
        match self {
            Self::Created => ChangeKind::Created,
            Self::Modified => ChangeKind::Modified,
            Self::Deleted => ChangeKind::Deleted,
        }
    }
}

/// The events that can end a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum UntilEvent {
    /// A key was created
    Created,
    /// A key was modified
    Modified,
    /// A key was deleted
    Deleted,
    /// --list has printed all keys
    ListDone,
    /// --sync has printed all keys
    InSync,
}

impl UntilEvent {
    fn as_str(self) -> &'static str {
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
/// A compacted revision, a refusal of etcd, a failed command, a signal, or the deadline.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let limit = args.timeout.map(|time| Instant::now() + time);
    args.proto.decode_output(ctx)?;
    let start = args.start(ctx.config.resync_after_reconnect)?;
    let ranges = KeyRange::joined(args.ranges(ctx.store().namespace())?);
    let open = |path| ResumeFile::open(path, ctx.store().namespace(), &ranges);
    let resume_file = args.resume.as_deref().map(open).transpose()?;
    let exec = args.exec.then(|| EventCommand { command: args.command.clone(), on_error: args.on_error });
    if exec.is_some() {
        // The first signal lets the running command finish.
        ctx.signals.hold();
    }
    let writer = EventWriter {
        ctx,
        only: args.only.iter().map(|what| what.kind()).collect(),
        keys_only: args.keys_only,
        prev: args.prev,
        timestamps: args.timestamps,
        remaining: args.count,
        until: args.until.map(UntilEvent::as_str),
        exec,
        show: None,
        limit,
    };
    let filter = args.glob.as_deref().map(KeyFilter::parse).transpose()?;
    let watch = WatchLoop::new(ctx, ranges, filter, start, writer, resume_file);
    if args.serializable { watch.serializable() } else { watch }.run().await
}

impl Args {
    fn ranges(&self, namespace: &[u8]) -> Result<Vec<KeyRange>, Failure> {
        let prefixes = self.prefix.iter().map(|prefix| prefix_range(self.text, prefix, self.dir));
        let keys = self.exact.iter().map(|key| Ok(KeyRange::key(&self.text.key(key, namespace)?)));
        prefixes.chain(keys).chain(self.between()).collect()
    }

    /// The range of `--from` and `--to`, if one of them is given.
    fn between(&self) -> Option<Result<KeyRange, Failure>> {
        if self.from.is_none() && self.to.is_none() {
            return None;
        }
        Some(range_between(self.text, self.from.as_deref(), self.to.as_deref()))
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
                Err(Failure::usage("--until list-done requires --list")
                    .hint("try 'kvadm watch PREFIX --list --until list-done'"))
            }
            Some(UntilEvent::InSync) if start != WatchStart::Sync => {
                Err(Failure::usage("--until in-sync requires --sync")
                    .hint("try 'kvadm watch PREFIX --sync --until in-sync'"))
            }
            _ => Ok(start),
        }
    }
}
