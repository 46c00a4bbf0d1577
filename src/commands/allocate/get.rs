//! `kvadm allocate get`.

use std::ffi::OsString;

use super::remote::{RemoteStore, RemoteStores};
use super::scope::{BaseArgs, format_reserved, key_of_labels, parse_key};
use crate::allocator::{IdState, KeyLookup, find_ids, reserved_label};
use crate::args::KeyText;
use crate::commands::conditions::IfLockedArgs;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{AllocationRow, bytes};

/// Show the ID of each key.
///
/// A key's ID is the smallest one that its references name and whose master holds the key. For a key without such a
/// reference, all masters are read (once per store), and the smallest ID whose master holds the key is shown, one
/// without a lease if there is one. Further stores (--remote) are asked for the keys that the stores before them do not
/// have; it is an error if such a store cannot be reached. Exits with 1 if a key has no ID. For a single key, only the
/// ID is printed.
///
/// With --if-locked, the keys are read at one revision at which the lock was held; further stores are not guarded.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate get 'k8s:app=web;'
  kvadm allocate get 'k8s:app=web;' 'k8s:app=db;' -o json
  kvadm allocate get --label k8s:app=web \\
      --label k8s:io.kubernetes.pod.namespace=default
  kvadm allocate get 'k8s:app=web;' --remote west")]
pub struct Args {
    /// Keys to look up
    #[arg(value_name = "KEY", required_unless_present = "labels")]
    keys: Vec<OsString>,
    /// Cilium's key of these labels, each [SOURCE:]KEY=VALUE; repeatable
    #[arg(long = "label", value_name = "LABEL", conflicts_with = "keys")]
    labels: Vec<String>,
    #[command(flatten)]
    if_locked: IfLockedArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    remotes: RemoteStores,
    #[command(flatten)]
    text: KeyText,
}

/// Runs the verb.
///
/// # Errors
/// A key that path cleaning would alter, or a store that is unreachable or rejects a request.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let layout = args.base.layout()?;
    let keys = if args.labels.is_empty() {
        args.keys.iter().map(|given| parse_key(args.text, given)).collect::<Result<Vec<_>, _>>()?
    } else {
        vec![key_of_labels(&args.labels)?]
    };
    let guard = args.if_locked.guard(ctx).await?;
    let stores = args.remotes.stores(ctx, &layout).await?;
    let mut known: Vec<Option<(KeyLookup, &RemoteStore)>> = keys.iter().map(|_| None).collect();
    let mut failed = None;
    for remote in &stores {
        let unresolved: Vec<usize> = (0..keys.len()).filter(|index| known[*index].is_none()).collect();
        let unresolved_keys: Vec<Vec<u8>> = unresolved.iter().map(|index| keys[*index].clone()).collect();
        if unresolved_keys.is_empty() {
            break;
        }
        let progress = ctx.out.progress("reading masters", None);
        // The lock belongs to the command's own store.
        let guard = guard.as_ref().filter(|_| remote.own);
        let found = find_ids(&remote.store, &remote.layout, &unresolved_keys, guard, |count| progress.inc(count)).await;
        progress.finish();
        match found {
            Ok(found) => {
                for (index, found) in unresolved.into_iter().zip(found) {
                    warn_dangling(ctx, remote, &found);
                    known[index] = found.id.is_some().then_some((found, remote));
                }
            }
            Err(error) => {
                failed = Some(remote.name_store(error));
                break;
            }
        }
    }
    print_rows(ctx, args, &known)?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    let mut exit = Exit::Done;
    for (key, _) in keys.iter().zip(&known).filter(|(_, known)| known.is_none()) {
        let why = reserved_label(key).map_or(String::new(), |label| format!(": {}", format_reserved(label)));
        ctx.out.note(&format!("key {} has no ID{why}", bytes::escape(key)));
        exit = Exit::No;
    }
    Ok(exit)
}

/// Warns of references that do not lead to a master of their key.
fn warn_dangling(ctx: &Context, remote: &RemoteStore, found: &KeyLookup) {
    for id in &found.dangling {
        let (key, check) = (bytes::escape(&found.key), remote.check_command());
        ctx.out.warn(&format!(
            "references of {key} name ID {id}, whose master is missing or holds another key: see '{check}'"
        ));
    }
}

fn print_rows(ctx: &Context, args: &Args, known: &[Option<(KeyLookup, &RemoteStore)>]) -> Result<(), Failure> {
    let alone = known.len() == 1;
    let mut sink = ctx.out.stream();
    for (found, remote) in known.iter().flatten() {
        let Some(id) = found.id.map(|id| id.to_string()) else { continue };
        let state = match found.nodes {
            0 if found.leased => IdState::Leased,
            0 => IdState::Unused,
            _ => IdState::InUse,
        };
        let (key, nodes, state) = (&found.key, found.nodes, state.name());
        let row = AllocationRow { id: &id, key, nodes, state, store: remote.output_name(&args.remotes), alone };
        if alone { ctx.out.one(&row)? } else { sink.push(&row)? }
    }
    Ok(sink.finish()?)
}
