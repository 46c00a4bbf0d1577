//! The verbs, one module each: `Args`, whose doc comments are the help and the man page, and `run`.

pub mod allocate;
pub mod check;
pub mod compact;
pub mod complete;
pub mod completions;
pub mod config;
pub mod delete;
pub mod diff;
pub mod downgrade;
pub mod edit;
pub mod gc;
pub mod get;
pub mod lease;
pub mod list;
pub mod lock;
pub mod mirror;
mod near_miss;
pub mod put;
pub mod restore;
pub mod snapshot;
pub mod status;
pub mod top;
pub mod txn;
pub mod version;
pub mod watch;

mod clock;
mod conditions;
mod input;
mod lease_cache;
mod lease_scope;
mod proto;
mod select;
mod serializable;
mod source;
mod value_filter;
