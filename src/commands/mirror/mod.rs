//! `kvadm mirror`: keep a prefix equal to a prefix of another cluster.

mod caught_up;
mod copying;
mod follow;
mod report;
mod resume;
mod session;

use std::ffi::OsString;
use std::time::Duration;

use crate::args::{KeyText, parse_period, safety_options};
use crate::commands::source::{is_same_store, refuse_itself};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::Limits;
use crate::kvstore::Store;
use crate::output::bytes;
use crate::sync::{KeyMapping, SourceWord};

use session::MirrorSession;

/// Keep a prefix equal to a prefix of another cluster
///
/// The first run makes PREFIX of this store equal to the source: it creates, changes
/// and deletes keys, and asks before it touches existing ones. Then it applies the
/// source's changes in the source's order, each once, until a signal ends it.
///
/// The place key holds the source's revision up to which PREFIX is mirrored. It is
/// written in the same transaction as the changes: the same command continues there,
/// and of two mirrors with one place, one ends with 5. Keys have no leases in the
/// copy; they are deleted when the source's lease ends.
///
/// Clients other than the mirror must not write to PREFIX: a changed key ends the
/// mirror with 5 when the source changes the key, or at the next start.
///
/// Exit codes:
///   0  --once: caught up
///   1  --verify: different
///   4  the place belongs to another source, or etcd refused a request
///   5  another client or mirror wrote to PREFIX, or a safety rule refused
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm mirror /app/ --source context:old --dry-run
  kvadm mirror /app/ --source context:old --once --verify
  kvadm mirror /copies/app/ --source context:prod --source-prefix /app/ -o json
  kvadm mirror '' --source context:old --place mirror.place --yes",
    args = safety_options()
)]
pub struct Args {
    /// Prefix of this store that is kept equal; '' for all keys
    #[arg(value_name = "PREFIX")]
    prefix: OsString,
    #[command(flatten)]
    text: KeyText,
    /// Store to mirror: context:NAME
    ///
    /// Only the file of the context applies to the source; options and environment are about this store, the destination.
    #[arg(long, value_name = "SOURCE", help_heading = "Source")]
    source: SourceWord,
    /// Prefix of the keys in the source [default: PREFIX]
    #[arg(long, value_name = "P", help_heading = "Source")]
    source_prefix: Option<OsString>,

    /// Key of this store that holds the place [default: PREFIX without its / and .kvadm-mirror]
    ///
    /// The key is left out on both sides. It is required for a prefix that does not end with a slash. Without the key, the
    /// next run begins with a copy.
    #[arg(long, value_name = "KEY", help_heading = "Place")]
    place: Option<OsString>,

    /// End when the source's present revision is mirrored
    #[arg(long, help_heading = "When to end")]
    once: bool,
    /// Compare both sides at the end, and exit 1 if they differ
    #[arg(long, requires = "once", help_heading = "When to end")]
    verify: bool,

    /// Write over what other clients change in PREFIX, instead of ending with 5
    #[arg(long, help_heading = "Safety")]
    overwrite: bool,
    /// Accept a source without keys, which deletes all keys with the prefix
    #[arg(long, help_heading = "Safety")]
    allow_empty: bool,
    /// Copy nothing if the copy would delete more than N keys
    #[arg(long, value_name = "N", help_heading = "Safety")]
    max_delete: Option<u64>,
    /// Copy nothing if it would delete more than P percent [default: 50, above 20 keys]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Safety")]
    max_percent: Option<u8>,

    /// Report the position every D [default: 10s]
    #[arg(long, value_name = "D", value_parser = parse_period)]
    report: Option<Duration>,
}

impl Args {
    fn limits(&self) -> Limits {
        Limits { count: self.max_delete, percent: self.max_percent }
    }

    /// The name of the source's context.
    fn context(&self) -> Result<&str, Failure> {
        let advice = |failure: Failure| failure.hint("follow the latest revision of a context: --source context:NAME");
        match &self.source {
            SourceWord::Context { name, revision: None } => Ok(name),
            SourceWord::Context { .. } => Err(advice(Failure::usage("a mirror cannot follow a single revision"))),
            _ => Err(advice(Failure::usage("a mirror can only follow another context"))),
        }
    }

    /// The place key.
    fn place_key(&self, prefix: &[u8], namespace: &[u8]) -> Result<Vec<u8>, Failure> {
        if let Some(place) = &self.place {
            return self.text.key(place, namespace);
        }
        match prefix.strip_suffix(b"/") {
            Some(base) => Ok([base, b".kvadm-mirror"].concat()),
            None => Err(Failure::usage(format!("no default place for the prefix {}", bytes::name(prefix)))
                .hint("end the prefix with a slash, or add --place KEY: the key that holds the mirror's position")),
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// A usage error, a safety rule, changes of other clients, or a refusal of either side.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let name = args.context()?;
    let prefix = args.text.bytes(&args.prefix)?;
    let source_prefix = match &args.source_prefix {
        Some(text) => args.text.bytes(text)?,
        None => prefix.clone(),
    };
    let place = args.place_key(&prefix, ctx.store().namespace())?;
    let mapping = KeyMapping::new(&source_prefix, &prefix);
    let about = format!("context '{}'", name.escape_debug());
    let source = ctx.other_store(name)?;
    refuse_itself(ctx, &source, &mapping, None, &about).await?;
    refuse_inner_place(ctx, &source, &mapping, &place).await?;
    MirrorSession::new(ctx, args, source, about, mapping, place).run().await
}

/// Refuses a place that the source would mirror: each of its changes would be another change.
async fn refuse_inner_place(ctx: &Context, source: &Store, mapping: &KeyMapping, place: &[u8]) -> Result<(), Failure> {
    let (place, from) = (ctx.store().absolute(place), source.absolute(mapping.source_prefix()));
    if !place.starts_with(&from) || !is_same_store(ctx.store(), source, mapping).await? {
        return Ok(());
    }
    Err(Failure::usage(format!("the place key {} is below the prefix of the source", bytes::name(&place)))
        .hint("choose a key outside of the source's prefix with --place KEY"))
}
