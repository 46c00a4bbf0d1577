//! The verbs, one module each: `Args`, whose doc comments are the help and the man page, and `run`.

use std::fmt::Display;

pub mod allocate;
pub mod compact;
pub mod complete;
pub mod completions;
pub mod config;
pub mod delete;
pub mod gc;
pub mod get;
pub mod lease;
pub mod list;
pub mod lock;
pub mod put;
pub mod status;
pub mod txn;
pub mod watch;

mod conditions;
mod input;
mod lease_cache;
mod lease_scope;
mod proto;
mod select;

/// A count with its noun: "1 key", "2 keys".
fn counted<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
