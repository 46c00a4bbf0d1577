//! The interface through which transport and kvstore report requests and notices.

use std::time::Duration;

/// A request as shown with `-vv`. It never contains values.
#[derive(Clone, Debug)]
pub struct Trace<'a> {
    /// The operation: `get`, `put`, `txn`, …
    pub op: &'static str,
    /// The first key of the request, absolute; empty if it has none.
    pub key: &'a [u8],
    /// The conditions of the request; empty if it has none.
    pub guard: &'a str,
    /// The store's revision in the response; 0 if there is none.
    pub revision: i64,
    /// The time from request to response.
    pub took: Duration,
    /// The endpoint.
    pub endpoint: &'a str,
    /// The error, if the request failed.
    pub error: Option<&'a str>,
}

/// The importance of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Shown with `-v`.
    Detail,
    /// Shown unless `-q`.
    Warning,
}

/// Receives requests and notices.
pub trait Observer: Send + Sync {
    /// A request has ended, successfully or not.
    fn request(&self, trace: &Trace<'_>);
    /// An event the user may want to know, e.g. a failover.
    fn notice(&self, weight: Notice, text: &str);
    /// Whether [`Observer::request`] does anything; if not, no traces are built.
    fn traces(&self) -> bool;
}
