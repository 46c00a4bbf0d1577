//! `kvadm get`: read named keys.

mod history;

use std::ffi::OsString;

use crate::args::{KeyText, parse_revision};
use crate::commands::conditions::IfLockedArgs;
use crate::commands::near_miss::hint_for_key;
use crate::commands::proto::ProtoArgs;
use crate::commands::serializable::SerializableArgs;
use crate::commands::value_filter::ValueArgs;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyValue, Revision, run_on_io_thread};
use crate::output::{Count, bytes};

/// Read keys, all at one revision
///
/// One key prints the bytes of its value and a newline. Several keys print one
/// record each.
///
/// --history follows a key back from change to change, then reads the events from
/// before the key was created. Values from before the key was deleted and
/// re-created are kept in memory (at most N). For a deleted key, kvadm assumes the
/// history is complete when etcd sends nothing for --op-timeout. With --db, the
/// history comes from one pass over the file.
///
/// Exit codes:
///   0  all keys were found
///   1  a key does not exist, or its value does not match --search or --regex
///   4  the revision is compacted or in the future
///   5  the lock of --if-locked is not held
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm get /app/mode
  kvadm get /app/mode /app/size -o json
  kvadm get /app/mode --history=5
  kvadm get /app/mode --db backup.db --history
  kvadm get /app/cert -o raw > cert.der",
    mut_arg("serializable", |arg| arg.conflicts_with("if_locked"))
)]
pub struct Args {
    /// The keys to read
    #[arg(required = true, value_name = "KEY", allow_hyphen_values = false)]
    keys: Vec<OsString>,
    /// Read at store revision N
    #[arg(long, value_name = "N", value_parser = parse_revision)]
    rev: Option<Revision>,
    /// Also print earlier values and deletions, newest first: N entries or all not compacted
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "9223372036854775807",
          value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["if_locked", "search", "regex", "serializable"])]
    history: Option<u64>,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    serializable: SerializableArgs,
    #[command(flatten)]
    if_locked: IfLockedArgs,
    #[command(flatten)]
    proto: ProtoArgs,
    #[command(flatten)]
    text: KeyText,
}

/// Runs the verb.
///
/// # Errors
/// A compacted or future revision, a lost lock, or an error of etcd or the connection.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let keys =
        args.keys.iter().map(|key| args.text.key(key, ctx.store().namespace())).collect::<Result<Vec<_>, _>>()?;
    let filter = args.values.filter(args.text)?;
    let guard = args.if_locked.guard(ctx).await?;
    let rev = args.rev.unwrap_or(0);
    args.proto.decode_output(ctx)?;
    if let Some(limit) = args.history {
        return match keys.as_slice() {
            [key] => history::run(ctx, key, rev, limit).await,
            _ => Err(Failure::usage("--history takes one key").hint("try 'kvadm get KEY --history' for each key")),
        };
    }
    let source = args.serializable.open(ctx).await?;
    let (store, asked) = (source.store.clone(), keys.clone());
    let found = run_on_io_thread(async move { store.get_many(&asked, rev, guard.as_ref()).await }).await;
    let found = match found.map_err(|error| source.explain(error.into())) {
        Ok(found) => found,
        Err(failure) => {
            source.report_failure(ctx, &failure).await;
            return Err(failure);
        }
    };
    let matches = |kv: &&KeyValue| filter.as_ref().is_none_or(|filter| filter.matches(&kv.value));
    match (keys.as_slice(), found.kvs.as_slice()) {
        ([_], [Some(kv)]) if matches(&kv) => ctx.out.value(kv)?,
        ([_], _) => {}
        _ => {
            let mut sink = ctx.out.stream();
            for kv in found.kvs.iter().flatten().filter(matches) {
                sink.push(kv)?;
            }
            sink.finish()?;
        }
    }
    let missing: Vec<_> = keys.iter().zip(&found.kvs).filter(|(_, kv)| kv.is_none()).map(|(key, _)| key).collect();
    for key in &missing {
        ctx.out.note(&format!("key not found: {} (revision {})", bytes::name(key), found.revision));
    }
    if let ([key], [missing]) = (keys.as_slice(), missing.as_slice())
        && key == *missing
        && rev == 0
    {
        hint_for_key(ctx, &source.store, key).await;
    }
    let mut others = found.kvs.iter().flatten().filter(|kv| !matches(kv)).peekable();
    let all_match = others.peek().is_none();
    for kv in others {
        ctx.out.note(&format!("the value does not match: {} (revision {})", bytes::name(&kv.key), found.revision));
    }
    if ctx.out.is_json() && ctx.out.details() {
        let count = found.kvs.iter().flatten().filter(matches).count() as u64;
        ctx.out.summary(&Count { count, revision: found.revision }, "");
    }
    source.report(ctx, found.revision).await;
    // In etcdctl, 'get KEY END' reads a range.
    if let ([from, to], [Some(_), None]) = (keys.as_slice(), found.kvs.as_slice())
        && from < to
    {
        let line = ctx.command_line(&["list"]).key_option("--from", from).key_option("--to", to);
        ctx.out.note(&format!("'{line}' prints the keys from {} up to {}", bytes::name(from), bytes::name(to)));
    }
    Ok(if missing.is_empty() && all_match { Exit::Done } else { Exit::No })
}
