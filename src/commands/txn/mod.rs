//! `kvadm txn`: run a transaction from a file, or from the lines that etcdctl takes.

mod check;
mod dialogue;
mod interactive;
mod parse;
mod words;

use std::path::PathBuf;

use crate::args::safety_options;
use crate::commands::conditions::IfLockedArgs;
use crate::commands::input::{InputSource, read_all};
use crate::commands::proto::{ProtoArgs, warn_of_bypass};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, KeySelector, Op, Retry, Txn};
use crate::output::TxnAnswer;

/// Run a transaction from a file or from etcdctl's dialogue: conditions and two branches
///
/// With --interactive, kvadm reads the transaction from standard input in the syntax
/// of 'etcdctl txn -i': conditions, requests if they hold, requests if they do not.
/// A blank line ends each section; input that ends before is refused. Prompts appear
/// on a terminal only, not with -o json; a wrong line can be typed again there.
///
///   mod("KEY") > "0"             create, version, value or lease; =, !=, < or >
///   put KEY "VALUE"              --lease ID, --ignore-value, --ignore-lease, --prev-kv
///   get KEY [END]                --prefix, --from-key, --rev N, --limit N, --keys-only
///   del KEY [END]                --prefix, --from-key, --prev-kv
///
/// Quoted text has the escapes of Go, such as \n, \" and \xff. To delete every key,
/// del needs --all. kvadm refuses get's --order, --sort-by, --print-value-only and
/// filters by revision, and words that etcdctl ignores, such as a third one.
///
/// kvadm checks the transaction against etcd's limits before it is sent. The output
/// names the branch that ran and the result of each operation. If the lock of
/// --if-locked is lost, neither branch runs. If the reply is lost, kvadm does not
/// send the transaction again.
///
/// Exit codes:
///   0  the conditions held: 'then' ran
///   2  the input is not a valid transaction, or writes a key twice; nothing was sent
///   4  the transaction exceeds etcd's limits
///   5  a condition failed: 'else' ran (or the lock was lost: nothing ran)
///   7  the reply was lost; etcd may have applied the transaction
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm txn swap.yaml
  kvadm txn swap.yaml --dry-run
  printf 'mod(\"/a\") = \"0\"\\n\\nput /a 1\\n\\n\\n' | kvadm txn -i
  echo '{\"then\": [{\"get\": {\"prefix\": \"/app/\"}}]}' | kvadm txn - -o json

Example file:
  if:                                    # all must hold
    - {key: /app/mode, value: blue}      # value, version, create, mod or lease; op: =, !=, < or >
    - {prefix: /app/jobs/, op: <, mod: 120}
  then:
    - put: {key: /app/mode, value: green}      # lease: ID; keep_lease, keep_value, prev: true
    - delete: {prefix: /app/old/}              # key, prefix, or from and to; prev: true; all: true
  else:
    - get: {key: /app/mode}                    # rev, keys_only, count, limit
    - txn: {if: [], then: [], else: []}        # nested
  Keys and values that are not UTF-8: key_base64, prefix_base64, from_base64, to_base64, value_base64.",
    args = safety_options()
)]
pub struct Args {
    /// Transaction file, YAML or JSON; - reads stdin
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath, required_unless_present = "interactive")]
    file: Option<PathBuf>,
    /// Read the transaction from stdin in the syntax of 'etcdctl txn -i'
    #[arg(long, short, conflicts_with = "file")]
    interactive: bool,
    #[command(flatten)]
    proto: ProtoArgs,
    #[command(flatten)]
    if_locked: IfLockedArgs,
}

/// Runs the verb.
///
/// # Errors
/// An invalid or too large transaction, a lost lock, an unknown outcome, or a refusal of etcd.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let guard = args.if_locked.guard(ctx).await?;
    let codec = args.proto.decode_output(ctx)?;
    let source = args.file.as_deref().filter(|_| !args.interactive).map_or(InputSource::Stdin, InputSource::of);
    let invalid = |why: String| {
        let kind = if args.interactive { "input" } else { "file" };
        Failure::usage(format!("{}: {why}", source.name()))
            .hint(format!("'kvadm txn --help' shows an example of the {kind}"))
    };
    let mut txn = match args.interactive {
        true => interactive::read(ctx).await?.map_err(invalid)?,
        false => parse::parse(&read_all(ctx, source).await?, &codec).map_err(invalid)?,
    };
    if let (Some(place), true) = (check::empty_key(&txn), ctx.store().namespace().is_empty()) {
        return Err(invalid(format!("{place}: the key must not be empty")));
    }
    check::check_writes(&txn)
        .map_err(|why| Failure::usage(format!("{}: {why}", source.name())).hint("nothing was sent"))?;
    check::check_limits(&txn, ctx.store().max_txn_ops(), guard.is_some())
        .map_err(|why| Failure::new(Exit::Refused, format!("{}: {why}", source.name())).hint("nothing was sent"))?;
    warn_of_bypass(ctx, written_ranges(&txn));
    let dry_run = ctx.safety.dry_run;
    if dry_run {
        remove_writes(&mut txn);
    }
    let retry = if dry_run { Retry::Read } else { Retry::Never };
    let result = ctx.store().txn("txn", &txn, guard.as_ref(), retry).await?;
    ctx.out.report(&TxnAnswer { result: &result, dry_run })?;
    if dry_run && !ctx.out.is_data() {
        let branch = if result.succeeded { "then" } else { "else" };
        ctx.out.note(&format!("dry run: '{branch}' would run; its reads were done, and nothing was written"));
    }
    Ok(if result.succeeded { Exit::Done } else { Exit::Conflict })
}

/// The keys and ranges that the transaction may write.
fn written_ranges(txn: &Txn) -> Vec<KeyRange> {
    let ops = txn.then.iter().chain(&txn.otherwise);
    ops.flat_map(|op| match op {
        Op::Put(write) => vec![KeyRange::key(&write.key)],
        Op::Delete { over: KeySelector::Key(key), .. } => vec![KeyRange::key(key)],
        Op::Delete { over: KeySelector::Range(range), .. } => vec![range.clone()],
        Op::Txn(nested) => written_ranges(nested),
        Op::Get { .. } => Vec::new(),
    })
    .collect()
}

/// Removes the writes for a dry run; conditions and reads stay.
fn remove_writes(txn: &mut Txn) {
    for branch in [&mut txn.then, &mut txn.otherwise] {
        branch.retain(|op| matches!(op, Op::Get { .. } | Op::Txn(_)));
        for op in branch {
            if let Op::Txn(nested) = op {
                remove_writes(nested);
            }
        }
    }
}
