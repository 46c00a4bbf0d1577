//! Garbage collection: plans and sweeps over [`kvstore`](crate::kvstore).

pub mod metadata;
