//! `kvadm allocate renew`.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::key_args::KeyArgs;
use super::new;
use super::scope::{BaseArgs, IdRangeArgs, NodeArgs, refuse_reserved};
use crate::allocator::{AllocatorOptions, BATCH, NodeReferences, ReferenceLifetime};
use crate::args::{parse_duration, parse_ttl, safety_options};
use crate::commands::proto::warn_of_bypass;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{DryRunRow, RenewedRow, bytes};
use crate::plural::counted;

/// Reset the leases of this node's references to their full TTL
///
/// Exits with 1 if a reference is missing. --recreate writes a missing reference again, with the ID that the key has.
/// It also restores a missing master, as 'new' does.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate renew web db
  kvadm allocate renew web --recreate --ttl 1h
  kvadm allocate renew --from keys.txt -q", args = safety_options())]
pub struct Args {
    #[command(flatten)]
    key_args: KeyArgs,
    /// Recreate missing references and masters
    #[arg(long)]
    recreate: bool,
    /// TTL of recreated references, unless they are renewed
    #[arg(long, value_name = "D", value_parser = parse_ttl, default_value = "15m", requires = "recreate")]
    ttl: i64,
    /// Maximum time to wait for a key's lock
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "1m", requires = "recreate")]
    wait: Duration,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    ids: IdRangeArgs,
}

/// Runs the verb.
///
/// # Errors
/// A reference cannot be recreated, or etcd is unreachable or rejects a request.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let (layout, node) = (args.base.layout()?, args.node.name()?);
    warn_of_bypass(ctx, [layout.range()]);
    let keys = args.key_args.keys(ctx).await?;
    if ctx.safety.dry_run {
        if !ctx.out.is_data() {
            ctx.out.note(&format!("dry run: the references of {} would be renewed", counted(keys.len(), "key")));
            return Ok(Exit::Done);
        }
        for key in &keys {
            let row = DryRunRow { outcome: "would-renew", key: Some(key), node: Some(&node), ..DryRunRow::default() };
            ctx.out.one(&row)?;
        }
        return Ok(Exit::Done);
    }
    if args.recreate {
        refuse_reserved(&keys)?;
        let (range, lifetime) = (args.ids.range(ctx).await?, ReferenceLifetime::Ttl(args.ttl));
        let options =
            AllocatorOptions { layout, range, node, lifetime, wait: args.wait, existing_only: true, guard: None };
        return new::allocate_all(ctx, options, &keys, args.key_args.is_one()).await;
    }
    let references = NodeReferences::new(ctx.store(), &layout, &node, None);
    let mut sink = ctx.out.stream();
    let mut exit = Exit::Done;
    for some in keys.chunks(BATCH) {
        let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
        for (key, renewed) in some.iter().zip(references.renew(&some).await?) {
            let Some(renewed) = renewed else {
                let (key, node) = (bytes::escape(key), bytes::escape(&node));
                ctx.out.note(&format!("node {node} has no reference to '{key}'"));
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
