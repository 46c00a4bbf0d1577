//! kvadm administers etcd and the coordination state that clusters keep in it.

pub mod kvstore;
