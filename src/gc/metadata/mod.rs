//! Mark and sweep over a tree of metadata that a schema describes.
//!
//! [`schema`] says what the tree is made of; [`model`] is the tree, read at one revision; [`mark`] decides what is
//! kept; [`sweep`] plans the transactions that remove the rest. All of that is pure. [`collect`] reads the tree and does the
//! transactions.

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
pub mod time;
