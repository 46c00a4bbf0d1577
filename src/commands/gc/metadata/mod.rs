//! `gc metadata`.

mod kind;
mod result_writer;
mod roots;
mod sweeping;
mod tree;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::options::GcOptions;
use super::round;
use crate::args::{KeyText, safety_options};
use crate::commands::input::{InputSource, read_all};
use crate::context::Context;
use crate::duration;
use crate::error::{Exit, Failure};
use crate::gc::metadata::schema::{BUILT_IN, Schema};
use crate::gc::metadata::sweep::SweepGuard;
use crate::gc::metadata::time::{Time, TimeFormat};
use crate::kvstore::Error;

/// Mark and sweep a tree of metadata that a schema describes.
///
/// Everything below PREFIX is read at one revision. What no root keeps, directly or by references, is garbage, if the
/// schema lets its kind be collected. 'containerd' (2.x) and 'containerd-1.7' are built in; kvadm-schema(7) and
/// --print-schema show how to write another.
///
/// Expired roots go first, then kind by kind in the schema's order. Each transaction compares that nothing in the objects
/// it removes is newer than the look, and that the fields which made them garbage (an expiry, say) are as they were;
/// what changed is left, and so is all that it referred to.
///
/// What --guard object (the default) cannot see is a new reference to an old object, written by somebody else after the
/// look: also a field that makes garbage a root protects that object and what goes after it, not what it refers to and
/// what went before. Two looks (--since, --grace) make that unlikely. --lock NAME excludes it where all writers take
/// that lock: it is taken, and everything is looked at again under it, before anything goes; each transaction compares
/// it. --guard scope excludes it too: each transaction compares that nothing in the whole scope is newer. For that etcd
/// reads every key and value of the scope each time (100 000 keys: 0.2 to 1 second), and everybody waits meanwhile.
///
/// The store gets smaller by 'kvadm compact' and its --defrag only.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm gc metadata /containerd/ --schema containerd
  kvadm gc metadata /containerd/ --schema containerd --explain /containerd/v1/k8s/content/blob/sha256:1f
  kvadm gc metadata /containerd/ --schema containerd --check
  kvadm gc metadata /containerd/ --schema containerd --roots-complete --apply --grace 10m --yes
  kvadm gc metadata --print-schema > mine.yaml", args = safety_options())]
pub struct Args {
    /// What the tree's keys begin with, up to a slash [default: every key]
    #[arg(value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// The tree's schema: a file, containerd or containerd-1.7
    #[arg(long, value_name = "FILE|NAME", required_unless_present = "print_schema", value_hint = clap::ValueHint::FilePath)]
    schema: Option<PathBuf>,
    /// Why this object is kept, or would go, and who refers to it
    #[arg(long, value_name = "KEY", group = "telling")]
    explain: Option<OsString>,
    /// Look for what is wrong in the tree; 1 if there is anything
    #[arg(long, group = "telling")]
    check: bool,
    /// Print the tree as a graph in DOT; what would go is red
    #[arg(long, group = "telling")]
    graph: bool,
    /// Print a built-in schema [default: containerd]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "containerd", group = "telling")]
    print_schema: Option<String>,
    /// What each removal compares: the objects, or their whole scope
    #[arg(long, value_name = "WHAT", value_parser = ["object", "scope"], default_value = "object")]
    guard: String,
    /// Wait for this lock, and hold it while looking once more and removing
    #[arg(long, value_name = "NAME")]
    lock: Option<OsString>,
    /// Keys of objects that are roots although etcd does not say so, one a line
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    roots: Option<PathBuf>,
    /// There are no roots outside etcd
    #[arg(long, conflicts_with = "roots")]
    roots_complete: bool,
    /// Judge what has expired as of this moment (RFC 3339); not later than now with --apply
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "every")]
    now: Option<Time>,
    /// How much clocks may differ: expired is what has been so for that long
    #[arg(long, value_name = "D", value_parser = parse_skew, default_value = "30s")]
    skew: Duration,
    /// Go on although there are keys that fit nothing in the schema; they, and what they lie in, stay
    #[arg(long)]
    ignore_unparsed: bool,
    /// All objects of this kind may go
    #[arg(long, value_name = "KIND")]
    allow_empty: Vec<String>,
    #[command(flatten)]
    text: KeyText,
    #[command(flatten)]
    options: GcOptions,
}

fn parse_time(text: &str) -> Result<Time, String> {
    let parsed = Time::parse(text.as_bytes(), TimeFormat::Rfc3339);
    parsed.ok_or_else(|| "no moment as 2026-08-01T12:00:00Z or 2026-08-01T14:00:00.5+02:00".to_owned())
}

fn parse_skew(text: &str) -> Result<Duration, String> {
    duration::parse_duration(text).map_err(|error| error.to_string())
}

/// What is collected, and how.
struct MetadataJob {
    schema: Arc<Schema>,
    prefix: Vec<u8>,
    guard: SweepGuard,
    lock: Option<Vec<u8>>,
    /// Keys of outside roots, in full.
    roots: Vec<Vec<u8>>,
    now: Option<Time>,
    skew: Duration,
    ignore_unparsed: bool,
    allow_empty: Vec<String>,
}

impl MetadataJob {
    /// A scope that etcd cannot read in time is no fault of the network's.
    fn too_slow(&self, error: Error) -> Failure {
        let failure = Failure::from(error);
        if self.guard == SweepGuard::Scope && (failure.exit == Exit::Unreachable || failure.may_have_been_done()) {
            return failure
                .hint("with --guard scope etcd reads the whole scope in each request: --op-timeout gives it longer");
        }
        failure
    }
}

/// Runs it.
///
/// # Errors
/// As the verb; a bad schema, a tree that it does not describe, a safety rule.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    if let Some(name) = &args.print_schema {
        let text = Schema::built_in(name).ok_or_else(|| no_such_schema(name))?;
        ctx.out.bytes(text.as_bytes())?;
        ctx.out.flush()?;
        return Ok(Exit::Done);
    }
    let job = job(ctx, args).await?;
    if let Some(key) = &args.explain {
        return result_writer::explain(ctx, &job, &args.text.key(key)?).await;
    }
    if args.check {
        return result_writer::check(ctx, &job).await;
    }
    if args.graph {
        return result_writer::graph(ctx, &job).await;
    }
    let applies = args.options.apply && !ctx.safety.dry_run;
    if applies && job.schema.outside_roots && args.roots.is_none() && !args.roots_complete {
        return Err(Failure::usage(format!(
            "there may be roots that etcd does not know, by the schema '{}'",
            job.schema.name
        ))
        .hint("give their keys with --roots FILE, or say --roots-complete: without them what they keep is removed"));
    }
    if applies && args.now.is_some_and(|now| now > Time::now()) {
        return Err(Failure::usage("--now lies in the future: what is still needed would be removed with --apply"));
    }
    round::run(ctx, &args.options, kind::MetadataGarbage::new(job, applies)).await
}

async fn job(ctx: &Context, args: &Args) -> Result<MetadataJob, Failure> {
    let alone = [
        (args.options.apply, "--apply"),
        (args.options.save.is_some(), "--save"),
        (args.options.every.is_some(), "--every"),
        (!args.options.since.is_empty(), "--since"),
    ];
    let tells = args.explain.is_some() || args.check || args.graph;
    if let Some((_, option)) = alone.iter().find(|(given, _)| tells && *given) {
        return Err(Failure::usage(format!(
            "--explain, --check and --graph only look: {option} does not go with them"
        )));
    }
    let prefix = args.text.bytes(args.prefix.as_deref().unwrap_or_default())?;
    if !prefix.is_empty() && !prefix.ends_with(b"/") {
        let shown = crate::output::bytes::escape(&prefix);
        return Err(Failure::usage(format!(
            "the prefix {shown} does not end with a slash: its siblings' keys would count too"
        ))
        .hint(format!("say {shown}/")));
    }
    let schema = read_schema(ctx, args).await?;
    if let Some(unknown) = args.allow_empty.iter().find(|name| schema.kind_named(name).is_none()) {
        let known: Vec<&str> = schema.kinds.iter().map(|kind| kind.name.as_str()).collect();
        return Err(Failure::usage(format!("--allow-empty {unknown}: there is no such kind"))
            .hint(format!("the schema has {}", known.join(", "))));
    }
    let roots = match &args.roots {
        Some(file) => roots::read(ctx, InputSource::of(file)).await?,
        None => Vec::new(),
    };
    Ok(MetadataJob {
        schema: Arc::new(schema),
        prefix,
        guard: if args.guard == "scope" { SweepGuard::Scope } else { SweepGuard::Object },
        lock: args.lock.as_deref().map(|name| args.text.key(name)).transpose()?,
        roots,
        now: args.now,
        skew: args.skew,
        ignore_unparsed: args.ignore_unparsed,
        allow_empty: args.allow_empty.clone(),
    })
}

async fn read_schema(ctx: &Context, args: &Args) -> Result<Schema, Failure> {
    let path = args.schema.clone().unwrap_or_default();
    let name = path.to_string_lossy();
    let text = match Schema::built_in(&name) {
        Some(text) => text.to_owned(),
        None => {
            let source = InputSource::of(&path);
            let text = read_all(ctx, source).await.map_err(|failure| {
                let plain = !name.contains(['/', '.']) && name != "-" && failure.exit == Exit::Usage;
                if plain { failure.hint(format!("built in are {}", built_in())) } else { failure }
            })?;
            String::from_utf8(text).map_err(|_| Failure::usage(format!("{}: it is not UTF-8", source.name())))?
        }
    };
    Schema::parse(&text, &name).map_err(|error| Failure::usage(error.to_string()))
}

fn built_in() -> String {
    BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" and ")
}

fn no_such_schema(name: &str) -> Failure {
    Failure::usage(format!("no schema '{}' is built in; {} are", name.escape_debug(), built_in()))
}
