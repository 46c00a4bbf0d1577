//! Mark and sweep over a metadata tree that a schema describes.
//!
//! [`schema`] describes the tree's objects; [`model`] is the tree, read at one revision; [`mark`] decides what is kept;
//! [`sweep`] plans the transactions that remove the rest. All of these are pure. [`collect`] reads the tree and runs
//! the transactions.

pub mod check;
pub mod collect;
pub mod explain;
pub mod graph;
pub mod mark;
pub mod model;
pub mod schema;
pub mod sweep;
#[cfg(test)]
mod tests;
pub mod time_format;
