//! `allocate renew`.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::key_args::KeyArgs;
use super::new;
use super::scope::{BaseArgs, IdRangeArgs, NodeArgs};
use crate::allocator::{AllocatorOptions, BATCH, NodeReferences, ReferenceLifetime};
use crate::args::{parse_duration, parse_ttl, safety_options};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{RenewedRow, bytes};

/// Renew this node's references: their leases live for their whole TTL again
///
/// Ends with 1 if a reference is not there. With --recreate it is made again, with the ID that the key has, and a
/// master that is gone is made again where only this key's references name its ID.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate renew web db
  kvadm allocate renew web --recreate --ttl 1h
  kvadm allocate renew --from keys.txt -q", args = safety_options())]
pub struct Args {
    #[command(flatten)]
    wanted: KeyArgs,
    /// Make a reference or a master again that is gone
    #[arg(long)]
    recreate: bool,
    /// How long a reference that is made again lives without being renewed
    #[arg(long, value_name = "D", value_parser = parse_ttl, default_value = "15m", requires = "recreate")]
    ttl: i64,
    /// How long to wait for whoever has a key's lock
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "1m", requires = "recreate")]
    wait: Duration,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    ids: IdRangeArgs,
}

/// Runs it.
///
/// # Errors
/// Whatever kept an answer away, or a key that could not be made whole.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let (layout, node) = (args.base.layout()?, args.node.name()?);
    let keys = args.wanted.keys(ctx).await?;
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: the references of {} keys would be renewed", keys.len()));
        return Ok(Exit::Done);
    }
    if args.recreate {
        let (range, life) = (args.ids.range()?, ReferenceLifetime::For(args.ttl));
        let terms =
            AllocatorOptions { layout, range, node, life, wait: args.wait, restore: true, existing: true, guard: None };
        return new::all(ctx, terms, &keys, args.wanted.is_one()).await;
    }
    let references = NodeReferences::new(ctx.store(), &layout, &node, None);
    let mut sink = ctx.out.stream();
    let mut exit = Exit::Done;
    for some in keys.chunks(BATCH) {
        let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
        for (key, renewed) in some.iter().zip(references.renew(&some).await?) {
            let Some(renewed) = renewed else {
                let (key, node) = (bytes::escape(key), bytes::escape(&node));
                ctx.out.note(&format!("'{key}' has no reference of {node}"));
                exit = Exit::No;
                continue;
            };
            let id = renewed.id.map(|id| id.to_string());
            let (lease, ttl) = (renewed.lease.map(|grant| grant.id), renewed.lease.map(|grant| grant.ttl));
            sink.push(&RenewedRow { key, id: id.as_deref(), lease, ttl })?;
        }
    }
    sink.finish()?;
    Ok(exit)
}
