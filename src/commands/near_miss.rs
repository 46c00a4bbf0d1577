//! What the user may have meant by a key or a prefix that selects nothing. Asked only on a terminal, where a person reads it.

use crate::context::Context;
use crate::kvstore::{KeyRange, ReadOptions, Store};
use crate::output::bytes;

/// Prefixes above a prefix without keys that are tried.
const MAX_PARENTS: usize = 3;

/// Says that no key begins with this prefix, and what to run instead.
pub async fn hint_for_prefix(ctx: &Context, store: &Store, prefix: &[u8]) {
    if !asks(ctx) || prefix.is_empty() {
        return;
    }
    ctx.out.note(&format!("no key begins with {}", bytes::name(prefix)));
    let hint = match prefix.strip_suffix(b"/").filter(|key| !key.is_empty()) {
        Some(key) if is_key(store, key).await => {
            Some(format!("{} is a key: '{}'", bytes::name(key), ctx.command_line(&["get"]).key(key)))
        }
        _ => other_prefix(ctx, store, prefix).await,
    };
    if let Some(hint) = hint {
        ctx.out.note(&hint);
    }
}

/// Says whether a key that does not exist is the prefix of others, and what to run instead.
pub async fn hint_for_key(ctx: &Context, store: &Store, key: &[u8]) {
    if !asks(ctx) || key.is_empty() {
        return;
    }
    let folder = if key.ends_with(b"/") { key.to_vec() } else { [key, b"/"].concat() };
    if has_keys(store, &folder).await {
        let line = ctx.command_line(&["list"]).key(&folder);
        ctx.out.note(&format!("{} is a prefix of other keys: '{line}'", bytes::name(&folder)));
        return;
    }
    let other = match key.strip_prefix(b"/") {
        Some(rest) => rest.to_vec(),
        None => [b"/", key].concat(),
    };
    if !other.is_empty() && is_key(store, &other).await {
        let line = ctx.command_line(&["get"]).key(&other);
        ctx.out.note(&format!("there is a key {}: '{line}'", bytes::name(&other)));
    }
}

/// A prefix like this one that has keys: with the slash at its beginning or without it, or the nearest one above.
async fn other_prefix(ctx: &Context, store: &Store, prefix: &[u8]) -> Option<String> {
    let rooted = match prefix.strip_prefix(b"/") {
        Some(rest) => rest.to_vec(),
        None => [b"/", prefix].concat(),
    };
    let slashes =
        prefix.iter().enumerate().rev().filter(|(at, byte)| **byte == b'/' && *at > 0 && at + 1 < prefix.len());
    let parents = slashes.take(MAX_PARENTS).map(|(at, _)| prefix[..=at].to_vec());
    for other in std::iter::once(rooted).chain(parents).filter(|other| !other.is_empty()) {
        if has_keys(store, &other).await {
            let line = ctx.command_line(&["list"]).key(&other);
            return Some(format!("keys begin with {}: '{line} --depth 1'", bytes::name(&other)));
        }
    }
    None
}

fn asks(ctx: &Context) -> bool {
    ctx.out.is_for_people() && ctx.out.notes()
}

/// Whether the key exists; `false` if the store does not say.
async fn is_key(store: &Store, key: &[u8]) -> bool {
    matches!(store.get(key, 0, None).await, Ok((Some(_), _)))
}

/// Whether a key begins with this prefix; `false` if the store does not say.
async fn has_keys(store: &Store, prefix: &[u8]) -> bool {
    let options = ReadOptions { revision: 0, keys_only: true, limit: Some(1), guard: None };
    let mut reader = store.read(&KeyRange::prefix(prefix), options);
    matches!(reader.next().await, Ok(Some(page)) if !page.is_empty())
}
