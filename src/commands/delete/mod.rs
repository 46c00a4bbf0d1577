//! `kvadm delete`.

mod keys;
mod range;
mod save;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::args::{bytes_of, parse_lock_token, parse_revision, safety_options};
use crate::commands::conditions::Conditions;
use crate::commands::proto::{ProtoArgs, encoded};
use crate::commands::select::KeySelection;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Revision;

/// Delete keys: one, several, or a whole range.
///
/// One key goes at once. For several keys or a range it says how many there are and asks; where there is no terminal it
/// needs --yes. A range goes window by window at the revision it was counted at, so that neighbours hardly wait: a key
/// that is written meanwhile stays. Ends with 1 if nothing was deleted or a named key was missing.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm delete /app/mode --if-rev 42
  kvadm delete --prefix /app --dir --dry-run
  kvadm delete --prefix /app/ --save app.jsonl --yes && kvadm put --from app.jsonl", args = safety_options())]
pub struct Args {
    /// The keys to delete
    #[arg(value_name = "KEY", required_unless_present_any = ["prefix", "from", "to"], conflicts_with_all = ["prefix", "from", "to", "dir", "glob"])]
    keys: Vec<OsString>,
    /// All keys that begin with this
    #[arg(long, value_name = "P", help_heading = "Which keys")]
    prefix: Option<OsString>,
    /// Needed for a range that is the whole store
    #[arg(long, help_heading = "Which keys")]
    all: bool,
    #[command(flatten)]
    selection: KeySelection,

    /// Only if the key's last change was in this revision
    #[arg(long, value_name = "N", value_parser = parse_revision, help_heading = "Conditions")]
    if_rev: Option<Revision>,
    /// Only if the key has this value
    #[arg(long, value_name = "V", allow_hyphen_values = true, help_heading = "Conditions")]
    if_value: Option<OsString>,
    /// Only if this other key is there
    #[arg(long, value_name = "KEY", help_heading = "Conditions")]
    if_exists: Option<OsString>,
    /// Only while this lock is held; without a value, the one in KVADM_LOCK
    #[arg(long, value_name = "LOCKKEY@REV", num_args = 0..=1, require_equals = true, help_heading = "Conditions")]
    #[allow(clippy::option_option)]
    if_locked: Option<Option<OsString>>,

    /// Print the records that went
    #[arg(long)]
    prev: bool,
    #[command(flatten)]
    proto: ProtoArgs,
    /// Keep what is deleted in this new file, as records that 'put --from' restores
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    save: Option<PathBuf>,
    /// A range in one single request; neighbours wait for all of it
    #[arg(long, conflicts_with_all = ["prev", "keys", "glob"])]
    atomic: bool,
}

/// Runs the verb.
///
/// # Errors
/// A condition that did not hold, a lost lock, an unknown outcome, a refused confirmation, or whatever etcd refused.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let text = args.selection.text;
    let guard = parse_lock_token(args.if_locked.as_ref())?;
    let codec = args.proto.show(ctx)?;
    let expected = match (&args.if_value, args.keys.as_slice()) {
        (Some(value), [key]) => Some(encoded(&codec, &text.key(key)?, bytes_of(value), "--if-value")?),
        (value, _) => value.as_deref().map(bytes_of),
    };
    let conditions = Conditions {
        create: false,
        update: false,
        revision: args.if_rev,
        value: expected,
        other: args.if_exists.as_deref().map(|key| text.key(key)).transpose()?,
    };
    if args.keys.is_empty() {
        if conditions != Conditions::default() {
            return Err(Failure::usage("--if-rev, --if-value and --if-exists go with one key, not with a range"));
        }
        let range = args.selection.range(args.prefix.as_deref())?;
        let job = range::RangeDeletion {
            ctx,
            range,
            filter: args.selection.filter()?,
            guard,
            prev: args.prev,
            atomic: args.atomic,
        };
        return job.run(args.all, args.save.as_deref()).await;
    }
    let keys = args.keys.iter().map(|key| text.key(key)).collect::<Result<Vec<_>, _>>()?;
    if keys.len() > 1 && conditions != Conditions::default() {
        return Err(Failure::usage("conditions go with one key, not with several"));
    }
    keys::KeyDeletion { ctx, keys, conditions, guard, prev: args.prev }.run(args.save.as_deref()).await
}
