//! `kvadm allocate release`.

use clap::Args as ClapArgs;

use super::key_args::KeyArgs;
use super::scope::{BaseArgs, NodeArgs};
use crate::allocator::{BATCH, Id, NodeReferences};
use crate::args::safety_options;
use crate::commands::conditions::IfLockedArgs;
use crate::commands::proto::warn_of_bypass;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{DryRunRow, ReleasedRow, bytes};

/// Delete this node's references: the node no longer uses the keys
///
/// Prints whether the reference was the key's last one. The ID stays assigned to the key until 'kvadm gc ids' deletes
/// it. Exits with 1 if a reference is missing.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate release web
  kvadm allocate release web db --node 10.0.0.7 -o json
  kvadm allocate list --node gone -o json \\
      | kvadm allocate release --from - --node gone", args = safety_options())]
pub struct Args {
    #[command(flatten)]
    key_args: KeyArgs,
    #[command(flatten)]
    if_locked: IfLockedArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the verb.
///
/// # Errors
/// etcd is unreachable or rejects a request; references released before are printed.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let (layout, node) = (args.base.layout()?, args.node.name()?);
    warn_of_bypass(ctx, [layout.range()]);
    let guard = args.if_locked.guard(ctx).await?;
    let keys = args.key_args.keys(ctx).await?;
    let references = NodeReferences::new(ctx.store(), &layout, &node, guard.as_ref());
    let shown = bytes::escape(&node);
    let mut sink = ctx.out.stream();
    let mut exit = Exit::Done;
    for some in keys.chunks(BATCH) {
        let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
        if ctx.safety.dry_run {
            for (key, found) in some.iter().zip(references.read(&some).await?) {
                let id = found.as_ref().and_then(|kv| Id::parse(&kv.value)).map(|id| id.to_string());
                let outcome = if found.is_some() { "would-release" } else { "absent" };
                let row =
                    DryRunRow { outcome, key: Some(key), id: id.as_deref(), node: Some(&node), ..DryRunRow::default() };
                let key = bytes::escape(key);
                let text = match (found, &id) {
                    (Some(_), Some(id)) => format!("node {shown} would release '{key}' (ID {id})"),
                    (Some(_), None) => format!("node {shown} would release '{key}'"),
                    (None, _) => format!("node {shown} has no reference to '{key}'"),
                };
                ctx.out.dry_run(&row, &text)?;
            }
            continue;
        }
        for (key, released) in some.iter().zip(references.release(&some).await?) {
            let Some(released) = released else {
                ctx.out.note(&format!("node {shown} has no reference to '{}'", bytes::escape(key)));
                exit = Exit::No;
                continue;
            };
            let id = released.id.map(|id| id.to_string());
            sink.push(&ReleasedRow { key, id: id.as_deref(), last_use: released.last_use })?;
        }
    }
    sink.finish()?;
    Ok(exit)
}
