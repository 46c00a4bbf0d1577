#![allow(clippy::unwrap_used, clippy::panic)]
mod marking;
mod references;
mod sweeping;
mod tree;
