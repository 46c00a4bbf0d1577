//! `kvadm mirror`: keep a prefix equal to a prefix of another cluster.

mod caught_up;
mod comparing;
mod copying;
mod follow;
mod following;
mod options;
mod repair;
mod report;
mod resume;
mod session;

use crate::commands::proto::warn_of_bypass;
use crate::commands::serializable::ReadStore;
use crate::commands::source::{is_same_store, refuse_itself};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::bytes;
use crate::sync::KeyMapping;

pub use options::Args;
use session::MirrorSession;

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
    let (here, there) = (ReadStore::of_cluster(ctx.store()), ReadStore::of_cluster(&source));
    refuse_itself(&here, &there, &mapping, None, &about).await?;
    refuse_inner_place(&here, &there, &mapping, &place, &about).await?;
    warn_of_bypass(ctx, [mapping.store_range()]);
    let ended = MirrorSession::new(ctx, args, source, about, mapping, place).run().await;
    ended.map_err(|failure| match failure.is_broken_pipe() {
        // A service must not end as if all were done because the reader of its reports is gone.
        true => Failure::new(Exit::Partial, "the reader of the output has gone; the mirror has ended")
            .hint("the same command continues where it stopped"),
        false => failure,
    })
}

/// Refuses a place that the source would mirror: each of its changes would be another change.
async fn refuse_inner_place(
    here: &ReadStore,
    source: &ReadStore,
    mapping: &KeyMapping,
    place: &[u8],
    about: &str,
) -> Result<(), Failure> {
    let (place, from) = (here.store.absolute(place), source.store.absolute(mapping.source_prefix()));
    if !place.starts_with(&from) || !is_same_store(here, source, mapping, about).await? {
        return Ok(());
    }
    Err(Failure::usage(format!("the place key {} is below the prefix of the source", bytes::name(&place)))
        .hint("choose a key outside of the source's prefix with --place KEY"))
}
