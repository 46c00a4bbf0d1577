//! `kvadm allocate`.

pub mod scope;
