//! `kvadm put`: write one key, or load many records.

mod bulk;
mod hold;
mod load;
mod missing_keys;
pub(in crate::commands) mod plan;
pub(in crate::commands) mod single;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::args::{KeyText, bytes_of, parse_lease, parse_revision, parse_ttl, safety_options};
use crate::commands::conditions::{Conditions, IfLockedArgs};
use crate::commands::input::{InputSource, read_all};
use crate::commands::proto::{ProtoArgs, encode_value, warn_of_bypass};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, LeaseId, Revision};
use crate::output::bytes;

/// Write one key, optionally only if conditions hold, or load many records from a file
///
/// The conditions and the write are one transaction: if a condition fails, nothing
/// is written.
///
/// --from loads JSON records, one per line, as 'list -o json' prints them. Records
/// that are already stored are skipped: to finish an interrupted load, run the same
/// command again.
///
/// --hold keeps the key alive on a lease (TTL: session-ttl) while CMD or kvadm runs.
/// The conditions apply to the first write. If the lease is lost, CMD is stopped as
/// under 'kvadm lock'.
///
/// A file that 'list -o json --trailer' wrote ends with a trailer, which counts its
/// records. --from loads nothing from such a file if it was cut.
///
/// If --proto or the config's proto section covers the key, VALUE is JSON and is
/// stored as that protobuf message.
///
/// Exit codes:
///   0  written, or unchanged with --if-different
///   1  --revert-to: the key did not exist at that revision; --ignore-value: the key
///      does not exist
///   5  a condition failed, or the lock or the lease was lost
///   6  --from: some records were loaded before an error
///   7  the reply was lost, or the store is full; etcd may have written the key
///   With --hold and CMD: the exit status of CMD
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm put /app/mode blue --if-value green
  kvadm put /app/mode --revert-to 1234 --if-rev 1300
  kvadm put /app/session --ignore-value --ttl 30s
  printf secret | kvadm put /app/key - --ttl 30s
  kvadm put /nodes/a up --create --hold -- ./agent
  kvadm list /app/ -o json | kvadm --endpoints other:2379 put --from -",
    args = safety_options(),
    mut_arg("if_locked", |arg| arg.help_heading("Conditions"))
)]
pub struct Args {
    /// Key to write
    #[arg(value_name = "KEY", required_unless_present_any = ["from", "command"])]
    key: Option<OsString>,
    /// Value to write; - reads stdin
    #[arg(value_name = "VALUE", allow_negative_numbers = true, required_unless_present_any = ["file", "from", "command", "revert_to", "ignore_value"])]
    value: Option<OsString>,
    /// Read the value from FILE, byte for byte
    #[arg(long, value_name = "FILE", conflicts_with = "value", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Write back the value the key had at this revision (its old lease is not restored)
    ///
    /// To attach a lease, use --ttl, --lease or --keep-lease.
    #[arg(long, value_name = "REV", value_parser = parse_revision, conflicts_with_all = ["value", "file", "from"])]
    revert_to: Option<Revision>,
    /// Keep the key's value; only its lease and revision change
    ///
    /// Requires --lease, --ttl or --keep-lease. The value is not sent. If the key does not exist, kvadm exits 1.
    #[arg(long, conflicts_with_all = ["value", "file", "revert_to", "from", "create", "if_different", "hold"])]
    ignore_value: bool,
    /// Print the value that the key had before (read in the same transaction)
    ///
    /// A note says so if the key did not exist. With -o raw, standard output has exactly the bytes of that value, and nothing if
    /// there was none.
    #[arg(long, conflicts_with_all = ["from", "hold"])]
    prev: bool,
    /// Load JSON records, one per line, from FILE; - reads stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "value", "file"], value_hint = clap::ValueHint::FilePath)]
    from: Option<PathBuf>,

    /// Write only if the key does not exist
    #[arg(long, help_heading = "Conditions", conflicts_with_all = ["update", "if_rev", "if_value", "keep_lease"])]
    create: bool,
    /// Write only if the key exists
    #[arg(long, help_heading = "Conditions", conflicts_with = "from")]
    update: bool,
    /// Write only if the key was last modified in revision N
    #[arg(long, value_name = "N", value_parser = parse_revision, help_heading = "Conditions", conflicts_with = "from")]
    if_rev: Option<Revision>,
    /// Write only if the key has this value
    #[arg(long, value_name = "V", allow_negative_numbers = true, help_heading = "Conditions", conflicts_with = "from")]
    if_value: Option<OsString>,
    /// Write only if this other key exists
    #[arg(long, value_name = "KEY", help_heading = "Conditions", conflicts_with = "from")]
    if_exists: Option<OsString>,
    /// Write only if the value (and the --lease) differ; the output says whether it was written
    #[arg(long, help_heading = "Conditions")]
    if_different: bool,
    #[command(flatten)]
    if_locked: IfLockedArgs,

    /// Expire the key after D (on a new lease)
    #[arg(long, value_name = "D", value_parser = parse_ttl, help_heading = "Lease", conflicts_with_all = ["from", "if_different"])]
    ttl: Option<i64>,
    /// Attach the key to this lease
    #[arg(long, value_name = "ID", value_parser = parse_lease, help_heading = "Lease", conflicts_with_all = ["ttl", "from"])]
    lease: Option<LeaseId>,
    /// Keep the key's current lease
    #[arg(long, help_heading = "Lease", conflicts_with_all = ["ttl", "lease", "from"])]
    keep_lease: bool,
    /// Keep the key while CMD runs or until a signal, then delete it
    ///
    /// The key is restored if someone deletes it meanwhile.
    #[arg(long, help_heading = "Lease", conflicts_with_all = ["ttl", "lease", "keep_lease", "from", "if_different"])]
    hold: bool,
    /// With --hold: command to run, and its arguments
    #[arg(value_name = "CMD", last = true, conflicts_with = "from", value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
    #[command(flatten)]
    proto: ProtoArgs,
    #[command(flatten)]
    text: KeyText,
}

impl Args {
    /// KEY and VALUE. Without --hold they may follow `--`, as in other programs.
    fn key_and_value(&self) -> Result<(&OsStr, Option<&OsStr>), Failure> {
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        match (key, value, self.command.as_slice()) {
            (Some(key), value, []) => Ok((key, value)),
            (Some(key), value, _) if self.hold => Ok((key, value)),
            (None, None, [key]) if !self.hold => Ok((key, None)),
            (None, None, [key, value]) if !self.hold => Ok((key, Some(value))),
            (Some(key), None, [value]) if !self.hold => Ok((key, Some(value))),
            (None, ..) if self.hold => Err(Failure::usage("--hold needs KEY and VALUE before the command")
                .hint("try 'kvadm put KEY VALUE --hold -- CMD'")),
            _ => {
                Err(Failure::usage("a command after -- requires --hold")
                    .hint("try 'kvadm put KEY VALUE --hold -- CMD'"))
            }
        }
    }
}

impl Args {
    /// Checks what clap cannot: a value after `--`, and that something is left to change.
    fn check_ignore_value(&self, has_value: bool) -> Result<(), Failure> {
        if has_value {
            return Err(Failure::usage("--ignore-value and VALUE cannot be combined").hint("omit one of the two"));
        }
        if self.lease.is_none() && self.ttl.is_none() && !self.keep_lease {
            let why =
                "--ignore-value needs --lease, --ttl or --keep-lease: the value stays, and so the lease must be named";
            return Err(Failure::usage(why)
                .hint("try 'kvadm put KEY --ignore-value --keep-lease', which changes only the revision"));
        }
        Ok(())
    }
}

/// Runs the verb.
///
/// # Errors
/// A failed condition, a lost lock, an unknown outcome, or a refusal of etcd.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let guard = args.if_locked.guard(ctx).await?;
    let codec = if args.prev { args.proto.decode_output(ctx)? } else { args.proto.codec(ctx)? };
    if let Some(from) = &args.from {
        return load::run(ctx, InputSource::of(from), args.create, guard, codec).await;
    }
    let (key, value) = args.key_and_value()?;
    let key = args.text.key(key, ctx.store().namespace())?;
    let input = match (value, &args.file) {
        (None, None) if args.revert_to.is_some() || args.ignore_value => None,
        (_, Some(file)) => Some(read_all(ctx, InputSource::of(file)).await?),
        (Some(value), None) if value == "-" => Some(read_all(ctx, InputSource::Stdin).await?),
        (Some(value), None) => Some(bytes_of(value)),
        (None, None) => {
            return Err(Failure::usage("put KEY needs a value")
                .hint("try 'kvadm put KEY VALUE', 'kvadm put KEY -' for stdin, or 'kvadm put KEY --file FILE'"));
        }
    };
    if args.ignore_value {
        args.check_ignore_value(input.is_some())?;
    }
    let value = match (input, args.revert_to) {
        (None, None) if args.ignore_value => Vec::new(),
        (Some(_), Some(_)) | (None, None) => {
            return Err(
                Failure::usage("--revert-to and VALUE cannot be combined").hint("try 'kvadm put KEY --revert-to REV'")
            );
        }
        (Some(value), None) => encode_value(&codec, &key, value, "the value")?,
        (None, Some(rev)) => value_at(ctx, &key, rev).await?,
    };
    warn_of_bypass(ctx, [KeyRange::key(&key)]);
    let expected = args.if_value.as_deref().map(|value| encode_value(&codec, &key, bytes_of(value), "--if-value"));
    let request = plan::PutRequest {
        key,
        value,
        keep_value: args.ignore_value,
        prev: args.prev,
        conditions: Conditions {
            create: args.create,
            update: args.update || args.ignore_value,
            revision: args.if_rev,
            value: expected.transpose()?,
            other: args.if_exists.as_deref().map(|key| args.text.key(key, ctx.store().namespace())).transpose()?,
        },
        only_if_different: args.if_different,
        lease: match args.lease {
            _ if args.keep_lease => plan::LeaseRequest::Keep,
            Some(lease) => plan::LeaseRequest::Attach(lease),
            None => plan::LeaseRequest::None,
        },
    };
    if ctx.safety.dry_run {
        return single::dry_run(ctx, &request, guard.as_ref()).await;
    }
    if args.hold {
        return hold::run(ctx, request, guard, &args.command).await;
    }
    single::run(ctx, request, args.ttl, guard).await
}

/// The value that the key had at the revision.
async fn value_at(ctx: &Context, key: &[u8], rev: Revision) -> Result<Vec<u8>, Failure> {
    let name = bytes::name(key);
    match ctx.store().get(key, rev, None).await {
        Ok((Some(kv), _)) => Ok(kv.value),
        Ok((None, _)) => Err(Failure::new(Exit::No, format!("key not found: {name} (revision {rev})")).hint(format!(
            "'{}' shows the key's revisions; to restore its absence, delete it",
            ctx.command_line(&["get"]).key(key).words(["--history"])
        ))),
        Err(error) => Err(Failure::from(error).context(format!("cannot read {name} at revision {rev}"))),
    }
}
