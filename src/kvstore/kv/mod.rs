//! etcd's KV service: reads, ranges, transactions and compaction.

pub(crate) mod compact;
pub(crate) mod get;
pub(crate) mod member_pool;
pub(crate) mod page_request;
pub(crate) mod page_sizer;
pub(crate) mod range_reader;
pub(crate) mod range_stream;
pub(crate) mod response_check;
pub(crate) mod transact;
pub(crate) mod txn;
pub(crate) mod window_queue;
