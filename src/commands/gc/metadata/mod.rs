//! `kvadm gc metadata`.

mod job;
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

use job::MetadataJob;

use super::options::GcOptions;
use super::round;
use crate::args::{KeyText, parse_duration as duration_option, safety_options};
use crate::commands::input::{InputSource, read_all};
use crate::commands::lock::acquire::WaitLimit;
use crate::context::Context;
use crate::duration;
use crate::error::{Exit, Failure};
use crate::gc::metadata::schema::{BUILT_IN, Schema};
use crate::gc::metadata::sweep::SweepGuard;
use crate::output::bytes;
use crate::time::Time;

/// Mark and sweep a metadata tree that a schema describes.
///
/// Reads all keys below PREFIX at one revision. An object is garbage if no root keeps it, directly or by references,
/// and the schema lets its kind be collected. Built-in schemas: 'containerd' (2.x), 'containerd-1.7' and
/// 'containerd-etcd' (its etcd back end). kvadm-schema(7) and --print-schema show how to write one.
///
/// --apply refuses if a key does not match the schema, a reference cannot be resolved (it leads to no object that the
/// schema allows), or a time is not valid where the schema says 'invalid: error'. --check lists these. The options
/// --ignore-unparsed, --ignore-unresolved and --ignore-bad-times lift each refusal.
///
/// Expired roots are removed first, then kind by kind in the schema's order. Each transaction compares that the objects
/// it removes have not changed since the scan, and that the fields that made them garbage (such as an expiry) are
/// unchanged. Objects that changed are kept, with everything they referred to.
///
/// With --guard object (the default), a reference that another client adds to an old object after the scan is not
/// noticed. If another client marks an object as root after the scan, that object and objects removed after it are
/// kept. Objects it refers to, and objects removed before it, are not protected. Two scans (--since, --grace) make this
/// unlikely.
///
/// To exclude it: --lock NAME, if all writers take that lock: kvadm takes the lock, scans again, and removes under it.
/// --wait and --try limit how long kvadm waits for the lock. Or --guard scope: each transaction compares that nothing in
/// the scope has changed. etcd then reads every key and value of the scope each time (100 000 keys: 0.2 to 1 second), and
/// other clients wait meanwhile; --rate waits between transactions and does not make them smaller.
///
/// An object is held back if an object that was kept refers to it, or if its removal depends on more facts than one
/// transaction can compare (such as 128 leases with the label gc.flat).
///
/// 'kvadm compact --defrag' then reclaims disk space.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm gc metadata /containerd/ --schema containerd
  kvadm gc metadata /containerd/ --schema containerd \\
      --explain /containerd/v1/k8s/content/blob/sha256:1f
  kvadm gc metadata /containerd/ --schema containerd --check
  kvadm gc metadata /containerd/ --schema containerd --roots-complete \\
      --apply --grace 10m --yes
  kvadm gc metadata --print-schema > mine.yaml", args = safety_options())]
pub struct Args {
    /// Prefix of the tree's keys, ending with a slash [default: every key]
    #[arg(value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// Schema of the tree: a file, or containerd, containerd-1.7, containerd-etcd
    #[arg(long, value_name = "FILE|NAME", required_unless_present = "print_schema", value_hint = clap::ValueHint::FilePath)]
    schema: Option<PathBuf>,
    /// Explain why this object is kept or removed, and what refers to it
    #[arg(long, value_name = "KEY", group = "report")]
    explain: Option<OsString>,
    /// Report problems in the tree; exit 1 if there are any
    #[arg(long, group = "report")]
    check: bool,
    /// Print the tree, or what is near KEY, as a DOT graph; garbage is red, solid edges count
    #[arg(long, value_name = "KEY", num_args = 0..=1, require_equals = true, group = "report")]
    graph: Option<Option<OsString>>,
    /// With --graph=KEY, how many edges around KEY to show [default: 1]
    #[arg(long, value_name = "N", requires = "graph")]
    depth: Option<u32>,
    /// Print a built-in schema [default: containerd]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "containerd", group = "report")]
    print_schema: Option<String>,
    /// What each removal compares: its objects, or their whole scope
    #[arg(long, value_name = "WHAT", value_parser = ["object", "scope"], default_value = "object")]
    guard: String,
    /// Wait for this lock, then scan again and remove while holding it
    #[arg(long, value_name = "NAME")]
    lock: Option<OsString>,
    /// Wait for the lock for at most D, then exit 1
    #[arg(long, value_name = "D", value_parser = duration_option, requires = "lock", conflicts_with = "try_once")]
    wait: Option<Duration>,
    /// Exit 1 at once if the lock is taken
    #[arg(long = "try", requires = "lock")]
    try_once: bool,
    /// File with keys of objects that are roots for reasons outside etcd, one per line
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    roots: Option<PathBuf>,
    /// Confirm that there are no roots outside etcd
    #[arg(long, conflicts_with = "roots")]
    roots_complete: bool,
    /// Evaluate expiry at this time (RFC 3339); with --apply not in the future
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "every")]
    now: Option<Time>,
    /// Treat objects as expired only D after their expiry, because clocks differ
    #[arg(long, value_name = "D", value_parser = parse_skew, default_value = "30s")]
    skew: Duration,
    /// Continue although keys do not match the schema; keep them and the objects around them
    #[arg(long)]
    ignore_unparsed: bool,
    /// Continue although references cannot be resolved, and remove what they may mean
    #[arg(long)]
    ignore_unresolved: bool,
    /// Continue although times at which the schema stops are not valid; keep those objects
    #[arg(long)]
    ignore_bad_times: bool,
    /// Allow the removal of all objects of this kind
    #[arg(long, value_name = "KIND")]
    allow_empty: Vec<String>,
    #[command(flatten)]
    text: KeyText,
    #[command(flatten)]
    options: GcOptions,
}

fn parse_time(text: &str) -> Result<Time, String> {
    let parsed = Time::parse_rfc3339(text.as_bytes());
    parsed.ok_or_else(|| "not a time such as 2026-08-01T12:00:00Z or 2026-08-01T14:00:00.5+02:00".to_owned())
}

fn parse_skew(text: &str) -> Result<Duration, String> {
    duration::parse_duration(text).map_err(|error| error.to_string())
}

/// Runs the verb.
///
/// # Errors
/// As `kvadm gc`; also a schema that is not valid, a tree that does not match it, or a safety rule.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    args.options.check_store(ctx)?;
    if let Some(name) = &args.print_schema {
        let text = Schema::built_in(name).ok_or_else(|| no_such_schema(name))?;
        ctx.out.bytes(text.as_bytes())?;
        ctx.out.flush()?;
        return Ok(Exit::Done);
    }
    if let Some(limit) = args.wait.or(args.try_once.then_some(Duration::ZERO)) {
        ctx.limit_endless_connect(limit);
    }
    let job = job(ctx, args).await?;
    if let Some(key) = &args.explain {
        return result_writer::explain(ctx, &job, &args.text.key(key, ctx.store().namespace())?).await;
    }
    if args.check {
        return result_writer::check(ctx, &job).await;
    }
    if let Some(key) = &args.graph {
        let key = key.as_deref().map(|key| args.text.key(key, ctx.store().namespace())).transpose()?;
        if key.is_none() && args.depth.is_some() {
            return Err(Failure::usage("--depth requires --graph=KEY"));
        }
        let around = key.as_deref().map(|key| (key, args.depth.unwrap_or(1)));
        return result_writer::graph(ctx, &job, around).await;
    }
    let applies = args.options.apply && !ctx.safety.dry_run;
    if applies && job.schema.outside_roots && args.roots.is_none() && !args.roots_complete {
        return Err(Failure::usage(format!("the schema '{}' says that roots may exist outside etcd", job.schema.name))
            .hint("list their keys with --roots FILE, or pass --roots-complete if there are none"));
    }
    if applies && args.now.is_some_and(|now| now > Time::now()) {
        return Err(Failure::usage("--now is in the future: --apply would remove objects that are still needed"));
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
    let reports = args.explain.is_some() || args.check || args.graph.is_some();
    if let Some((_, option)) = alone.iter().find(|(given, _)| reports && *given) {
        return Err(Failure::usage(format!(
            "--explain, --check and --graph change nothing and cannot be used with {option}"
        )));
    }
    let prefix = args.text.bytes(args.prefix.as_deref().unwrap_or_default())?;
    if !prefix.is_empty() && !prefix.ends_with(b"/") {
        let shown = bytes::escape(&prefix);
        return Err(Failure::usage(format!(
            "the prefix {shown} does not end with a slash, so it would include its siblings"
        ))
        .hint(format!("use {shown}/")));
    }
    let schema = read_schema(ctx, args).await?;
    if let Some(unknown) = args.allow_empty.iter().find(|name| schema.kind_named(name).is_none()) {
        let known: Vec<&str> = schema.kinds.iter().map(|kind| kind.name.as_str()).collect();
        return Err(Failure::usage(format!("--allow-empty {unknown}: the schema has no such kind"))
            .hint(format!("kinds of the schema: {}", known.join(", "))));
    }
    let lock = args.lock.as_deref().map(|name| args.text.key(name, ctx.store().namespace())).transpose()?;
    if let Some(name) = lock.as_ref().filter(|_| !args.ignore_unparsed) {
        lock_is_outside(name, &prefix, &schema)?;
    }
    let roots = match &args.roots {
        Some(file) => roots::read(ctx, InputSource::of(file)).await?,
        None => Vec::new(),
    };
    Ok(MetadataJob {
        schema: Arc::new(schema),
        prefix,
        guard: if args.guard == "scope" { SweepGuard::Scope } else { SweepGuard::Object },
        lock,
        wait: match args.wait {
            _ if args.try_once => WaitLimit::None,
            Some(time) => WaitLimit::For(time),
            None => WaitLimit::Endless,
        },
        roots,
        now: args.now,
        skew: args.skew,
        ignore_unparsed: args.ignore_unparsed,
        ignore_unresolved: args.ignore_unresolved,
        ignore_bad_times: args.ignore_bad_times,
        allow_empty: args.allow_empty.clone(),
    })
}

/// Checks that the keys of the lock do not stop the sweep or count as keys of objects.
fn lock_is_outside(name: &[u8], prefix: &[u8], schema: &Schema) -> Result<(), Failure> {
    let key = [name, b"/0"].concat();
    let Some(below) = key.strip_prefix(prefix).filter(|below| !schema.is_opaque(below)) else { return Ok(()) };
    let shown = bytes::escape(name);
    let failure = Failure::usage(format!(
        "--lock {shown} is inside the tree: kvadm's own lock key would be a key that the schema '{}' does not expect",
        schema.name
    ));
    let inside =
        below.strip_suffix(b"/0").filter(|inside| inside.split(|byte| *byte == b'/').all(|part| !part.is_empty()));
    Err(match inside {
        Some(inside) => {
            let inside = bytes::escape(inside);
            failure
                .hint(format!("use a name outside the tree, or add '{inside}/**' to the schema's list of opaque keys"))
        }
        None => failure.hint("use a name outside the tree"),
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
                if plain { failure.hint(format!("built-in schemas: {}", built_in())) } else { failure }
            })?;
            String::from_utf8(text).map_err(|_| Failure::usage(format!("{} is not UTF-8", source.name())))?
        }
    };
    Schema::parse(&text, &name).map_err(|error| Failure::usage(error.to_string()))
}

fn built_in() -> String {
    BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn no_such_schema(name: &str) -> Failure {
    Failure::usage(format!("no built-in schema '{}'", name.escape_debug()))
        .hint(format!("built-in schemas: {}", built_in()))
}
