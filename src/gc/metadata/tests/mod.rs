#![allow(clippy::unwrap_used, clippy::panic)]
mod marking;
mod random;
mod references;
mod sweeping;
mod tree;
mod values;
