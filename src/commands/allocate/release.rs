//! `allocate release`.

use std::ffi::OsString;

use clap::Args as ClapArgs;

use super::key_args::KeyArgs;
use super::scope::{BaseArgs, NodeArgs};
use crate::allocator::{BATCH, Id, NodeReferences};
use crate::args::{parse_lock_token, safety_options};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{ReleasedRow, bytes};

/// Take this node's references away: the node uses the keys no more
///
/// Says whether another node still uses the key. The ID stays the key's until 'kvadm gc ids' collects it. Ends with 1
/// if a reference was not there.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate release web
  kvadm allocate release web db --node 10.0.0.7 -o json
  kvadm allocate list --node gone -o json | kvadm allocate release --from - --node gone", args = safety_options())]
pub struct Args {
    #[command(flatten)]
    wanted: KeyArgs,
    /// Only while this lock is held; without a value, the one in KVADM_LOCK
    #[arg(long, value_name = "LOCKKEY@REV", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option)]
    if_locked: Option<Option<OsString>>,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs it.
///
/// # Errors
/// Whatever kept an answer away; what was released before it was printed.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let (layout, node) = (args.base.layout()?, args.node.name()?);
    let guard = parse_lock_token(args.if_locked.as_ref())?;
    let keys = args.wanted.keys(ctx).await?;
    let references = NodeReferences::new(ctx.store(), &layout, &node, guard.as_ref());
    let shown = bytes::escape(&node);
    let mut sink = ctx.out.stream();
    let mut exit = Exit::Done;
    for some in keys.chunks(BATCH) {
        let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
        if ctx.safety.dry_run {
            for (key, found) in some.iter().zip(references.read(&some).await?) {
                let key = bytes::escape(key);
                match found.map(|kv| Id::parse(&kv.value)) {
                    Some(Some(id)) => ctx.out.note(&format!("dry run: '{key}' (ID {id}) would be released by {shown}")),
                    Some(None) => ctx.out.note(&format!("dry run: '{key}' would be released by {shown}")),
                    None => ctx.out.note(&format!("dry run: '{key}' has no reference of {shown}")),
                }
            }
            continue;
        }
        for (key, released) in some.iter().zip(references.release(&some).await?) {
            let Some(released) = released else {
                ctx.out.note(&format!("'{}' has no reference of {shown}", bytes::escape(key)));
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
