//! `kvadm txn`.

mod check;
mod parse;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::args::{parse_lock_token, safety_options};
use crate::commands::input::{InputSource, read_all};
use crate::commands::proto::ProtoArgs;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Op, Retry, Txn};
use crate::output::TxnAnswer;

/// Do a transaction from a YAML or JSON file: conditions, then one branch or the other, in one revision.
///
/// The file is checked against etcd's limits before anything is sent. The result says which branch ran and what each
/// operation returned; the exit code is 5 when the else branch ran. A transaction whose answer is lost is not sent
/// again: the exit code is 7.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm txn swap.yaml
  kvadm txn swap.yaml --dry-run
  echo '{\"then\": [{\"get\": {\"prefix\": \"/app/\"}}]}' | kvadm txn - -o json

The file:
  if:                                    # all must hold
    - {key: /app/mode, value: blue}      # value, version, create, mod or lease; op: =, !=, < or >
    - {prefix: /app/jobs/, op: <, mod: 120}
  then:
    - put: {key: /app/mode, value: green}      # lease: ID, keep_lease: true, prev: true
    - delete: {prefix: /app/old/}              # key, prefix, or from and to; prev: true
  else:
    - get: {key: /app/mode}                    # rev, keys_only, count, limit
    - txn: {if: [], then: [], else: []}        # nested
  Keys and values that are not UTF-8: key_base64, prefix_base64, from_base64, to_base64, value_base64.", args = safety_options())]
pub struct Args {
    /// The transaction; - reads stdin
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    #[command(flatten)]
    proto: ProtoArgs,
    /// Only while this lock is held: a lost lock does not run the else branch; without a value, the one in KVADM_LOCK
    #[arg(long, value_name = "LOCKKEY@REV", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option)]
    if_locked: Option<Option<OsString>>,
}

/// Runs the verb.
///
/// # Errors
/// A file that is no transaction or is too large, a lost lock, an unknown outcome, or whatever etcd refused.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let guard = parse_lock_token(args.if_locked.as_ref())?;
    let codec = args.proto.show(ctx)?;
    let source = InputSource::of(&args.file);
    let text = read_all(ctx, source).await?;
    let mut txn = parse::parse(&text, &codec).map_err(|why| {
        Failure::usage(format!("{}: {why}", source.name())).hint("'kvadm txn --help' shows the file's form")
    })?;
    check::check(&txn, guard.is_some())
        .map_err(|why| Failure::new(Exit::Refused, format!("{}: {why}", source.name())).hint("nothing was sent"))?;
    let dry_run = ctx.safety.dry_run;
    if dry_run {
        rehearse(&mut txn);
    }
    let again = if dry_run { Retry::Idempotent } else { Retry::Never };
    let result = ctx.store().txn("txn", &txn, guard.as_ref(), again).await?;
    ctx.out.report(&TxnAnswer { result: &result, dry_run })?;
    Ok(if result.succeeded { Exit::Done } else { Exit::Conflict })
}

/// The same conditions with nothing written: reads stay.
fn rehearse(txn: &mut Txn) {
    for branch in [&mut txn.then, &mut txn.otherwise] {
        branch.retain(|op| matches!(op, Op::Get { .. } | Op::Txn(_)));
        for op in branch {
            if let Op::Txn(nested) = op {
                rehearse(nested);
            }
        }
    }
}
