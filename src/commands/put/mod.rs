//! `kvadm put`.

mod bulk;
mod hold;
mod load;
mod one;
mod plan;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::args::{KeyText, bytes_of, parse_lease, parse_lock_token, parse_revision, parse_ttl, safety_options};
use crate::commands::conditions::Conditions;
use crate::commands::input::{InputSource, read_all};
use crate::commands::proto::{ProtoArgs, encoded};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{LeaseId, Revision};
use crate::output::bytes;

/// Write a key, under conditions if wanted; or load many records.
///
/// All conditions and the write are one transaction: if one does not hold nothing is written, and the exit code is 5.
/// '--from' loads the JSON records that 'list -o json' prints; what is already so is not written again, so that an
/// interrupted load is finished by running it again.
///
/// With '--hold' the key lives on a lease that is kept alive (session-ttl) while CMD or kvadm runs; the conditions are
/// those of the first write. CMD's exit status is kvadm's; if the lease is lost CMD is ended as under 'kvadm lock', and
/// the exit code is 5.
///
/// With '--proto', or where the config's 'proto' is for the key, the value is JSON and is written as that message.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm put /app/mode blue --if-value green
  kvadm put /app/mode --revert-to 1234 --if-rev 1300
  printf secret | kvadm put /app/key - --ttl 30s
  kvadm put /nodes/a up --create --hold -- ./agent
  kvadm list /app/ -o json | kvadm --endpoints other:2379 put --from -", args = safety_options())]
pub struct Args {
    /// The key to write
    #[arg(value_name = "KEY", required_unless_present_any = ["from", "command"])]
    key: Option<OsString>,
    /// Its value; - reads stdin
    #[arg(value_name = "VALUE", allow_hyphen_values = true, required_unless_present_any = ["file", "from", "command", "revert_to"])]
    value: Option<OsString>,
    /// Take the value from this file, byte for byte
    #[arg(long, value_name = "FILE", conflicts_with = "value", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Take the value that the key had at this revision; its lease of then is not restored: the key has none, unless
    /// --ttl, --lease or --keep-lease say so
    #[arg(long, value_name = "REV", value_parser = parse_revision, conflicts_with_all = ["value", "file", "from"])]
    revert_to: Option<Revision>,
    /// Load JSON records, one a line, from this file; - reads stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "value", "file"], value_hint = clap::ValueHint::FilePath)]
    from: Option<PathBuf>,

    /// Only if the key is not there
    #[arg(long, help_heading = "Conditions", conflicts_with_all = ["update", "if_rev", "if_value", "keep_lease"])]
    create: bool,
    /// Only if the key is there
    #[arg(long, help_heading = "Conditions", conflicts_with = "from")]
    update: bool,
    /// Only if the key's last change was in this revision
    #[arg(long, value_name = "N", value_parser = parse_revision, help_heading = "Conditions", conflicts_with = "from")]
    if_rev: Option<Revision>,
    /// Only if the key has this value
    #[arg(long, value_name = "V", allow_hyphen_values = true, help_heading = "Conditions", conflicts_with = "from")]
    if_value: Option<OsString>,
    /// Only if this other key is there
    #[arg(long, value_name = "KEY", help_heading = "Conditions", conflicts_with = "from")]
    if_exists: Option<OsString>,
    /// Write only if the value (and the --lease) differ; says whether it wrote
    #[arg(long, help_heading = "Conditions")]
    if_different: bool,
    /// Only while this lock is held; without a value, the one in KVADM_LOCK
    #[arg(long, value_name = "LOCKKEY@REV", num_args = 0..=1, require_equals = true, help_heading = "Conditions")]
    #[allow(clippy::option_option)]
    if_locked: Option<Option<OsString>>,

    /// Let the key live so long, on a lease of its own
    #[arg(long, value_name = "D", value_parser = parse_ttl, help_heading = "Lease", conflicts_with_all = ["from", "if_different"])]
    ttl: Option<i64>,
    /// Attach the key to this lease
    #[arg(long, value_name = "ID", value_parser = parse_lease, help_heading = "Lease", conflicts_with_all = ["ttl", "from"])]
    lease: Option<LeaseId>,
    /// Keep the lease that the key has
    #[arg(long, help_heading = "Lease", conflicts_with_all = ["ttl", "lease", "from"])]
    keep_lease: bool,
    /// Keep the key while CMD runs, or until a signal: restored if somebody deletes it, gone at the end
    #[arg(long, help_heading = "Lease", conflicts_with_all = ["ttl", "lease", "keep_lease", "from", "if_different"])]
    hold: bool,
    /// With --hold, the command to run, and its arguments
    #[arg(value_name = "CMD", last = true, conflicts_with = "from", value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
    #[command(flatten)]
    proto: ProtoArgs,
    #[command(flatten)]
    text: KeyText,
}

impl Args {
    /// KEY and VALUE; without --hold they may also stand behind `--`, as in other programs.
    fn named(&self) -> Result<(&OsStr, Option<&OsStr>), Failure> {
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        match (key, value, self.command.as_slice()) {
            (Some(key), value, []) => Ok((key, value)),
            (Some(key), value, _) if self.hold => Ok((key, value)),
            (None, None, [key]) if !self.hold => Ok((key, None)),
            (None, None, [key, value]) if !self.hold => Ok((key, Some(value))),
            (Some(key), None, [value]) if !self.hold => Ok((key, Some(value))),
            (None, ..) if self.hold => Err(Failure::usage("--hold needs a KEY and a VALUE before the command")),
            _ => Err(Failure::usage("a command behind -- goes with --hold")),
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// A condition that did not hold, a lost lock, an unknown outcome, or whatever etcd refused.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let guard = parse_lock_token(args.if_locked.as_ref())?;
    let codec = args.proto.codec(ctx)?;
    if let Some(from) = &args.from {
        return load::run(ctx, InputSource::of(from), args.create, guard, codec).await;
    }
    let (key, value) = args.named()?;
    let key = args.text.key(key)?;
    let given = match (value, &args.file) {
        (None, None) if args.revert_to.is_some() => None,
        (_, Some(file)) => Some(read_all(ctx, InputSource::of(file)).await?),
        (Some(value), None) if value == "-" => Some(read_all(ctx, InputSource::Stdin).await?),
        (Some(value), None) => Some(bytes_of(value)),
        (None, None) => return Err(Failure::usage("put KEY needs a VALUE, - or --file")),
    };
    let value = match (given, args.revert_to) {
        (Some(_), Some(_)) | (None, None) => return Err(Failure::usage("--revert-to takes the place of VALUE")),
        (Some(value), None) => encoded(&codec, &key, value, "the value")?,
        (None, Some(rev)) => earlier(ctx, &key, rev).await?,
    };
    let expected = args.if_value.as_deref().map(|value| encoded(&codec, &key, bytes_of(value), "--if-value"));
    let wish = plan::PutRequest {
        key,
        value,
        conditions: Conditions {
            create: args.create,
            update: args.update,
            revision: args.if_rev,
            value: expected.transpose()?,
            other: args.if_exists.as_deref().map(|key| args.text.key(key)).transpose()?,
        },
        only_if_different: args.if_different,
        lease: match args.lease {
            _ if args.keep_lease => plan::LeaseRequest::Keep,
            Some(lease) => plan::LeaseRequest::Attach(lease),
            None => plan::LeaseRequest::None,
        },
    };
    if ctx.safety.dry_run {
        return one::rehearse(ctx, &wish, guard.as_ref()).await;
    }
    if args.hold {
        return hold::run(ctx, wish, guard, &args.command).await;
    }
    one::run(ctx, wish, args.ttl, guard).await
}

/// The value that the key had at the revision.
async fn earlier(ctx: &Context, key: &[u8], rev: Revision) -> Result<Vec<u8>, Failure> {
    let name = bytes::escape(key);
    match ctx.store().get(key, rev, None).await {
        Ok((Some(kv), _)) => Ok(kv.value),
        Ok((None, _)) => Err(Failure::new(Exit::No, format!("there was no key {name} at revision {rev}"))
            .hint("to have that back, delete the key; 'get KEY --history' shows what there was")),
        Err(error) => Err(Failure::from(error).context(format!("reading {name} as it was at revision {rev}"))),
    }
}
