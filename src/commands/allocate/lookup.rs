//! `kvadm allocate lookup`.

use super::remote::{RemoteStore, RemoteStores};
use super::scope::BaseArgs;
use crate::allocator::{Id, MIN_ALLOCATED, keys_of, label_with_id};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::LookupRow;

/// Show the key of each ID.
///
/// Reads the IDs' masters, at one revision. Further stores (--remote) are asked for the IDs that the stores before them
/// do not have; it is an error if such a store cannot be reached. Exits with 1 if an ID has no key. For a single ID,
/// only the key is printed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate lookup 379
  kvadm allocate lookup 379 64554 -o json")]
pub struct Args {
    /// IDs to look up
    #[arg(required = true, value_name = "ID", value_parser = parse_id)]
    ids: Vec<Id>,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    remotes: RemoteStores,
}

fn parse_id(text: &str) -> Result<Id, String> {
    Id::parse(text.as_bytes()).ok_or_else(|| "an ID is a decimal number from 1 to 18446744073709551615".to_owned())
}

fn format_missing(id: Id) -> String {
    match label_with_id(id) {
        Some(label) => format!("ID {id} has no key in etcd: it is Cilium's fixed ID of 'reserved:{}'", label.name),
        None if id.get() < MIN_ALLOCATED => {
            format!("ID {id} has no key: IDs below {MIN_ALLOCATED} are reserved in Cilium")
        }
        None => format!("ID {id} has no key"),
    }
}

/// Runs the verb.
///
/// # Errors
/// A store is unreachable or rejects a request.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let layout = args.base.layout()?;
    let stores = args.remotes.stores(ctx, &layout).await?;
    let mut known: Vec<Option<(Vec<u8>, &RemoteStore)>> = args.ids.iter().map(|_| None).collect();
    let mut failed = None;
    for remote in &stores {
        let unresolved: Vec<usize> = (0..known.len()).filter(|index| known[*index].is_none()).collect();
        let ids: Vec<Id> = unresolved.iter().map(|index| args.ids[*index]).collect();
        match keys_of(&remote.store, &remote.layout, &ids, 0).await {
            Ok(keys) => {
                for (index, key) in unresolved.into_iter().zip(keys) {
                    known[index] = key.map(|key| (key, remote));
                }
            }
            Err(error) => {
                failed = Some(remote.name_store(error));
                break;
            }
        }
    }
    let mut missing = Vec::new();
    let alone = args.ids.len() == 1;
    let mut sink = ctx.out.stream();
    for (id, known) in args.ids.iter().zip(&known) {
        match known {
            Some((key, remote)) if !key.is_empty() => {
                let id = id.to_string();
                let row = LookupRow { id: &id, key, store: remote.output_name(&args.remotes), alone };
                if alone { ctx.out.one(&row)? } else { sink.push(&row)? }
            }
            Some(_) => missing.push(format!("ID {id} is taken, but its master holds no key")),
            None => missing.push(format_missing(*id)),
        }
    }
    sink.finish()?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    missing.iter().for_each(|text| ctx.out.note(text));
    Ok(if missing.is_empty() { Exit::Done } else { Exit::No })
}
