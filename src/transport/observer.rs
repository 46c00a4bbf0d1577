//! How the store tells what it does, without knowing who listens.

use std::time::Duration;

/// One request as `-vv` shows it. Values never appear here.
#[derive(Clone, Debug)]
pub struct Trace<'a> {
    /// The operation: `get`, `put`, `txn`, …
    pub op: &'static str,
    /// The first key it names, absolute; empty where it names none.
    pub key: &'a [u8],
    /// The conditions it rests on, in words; empty where there are none.
    pub guard: &'a str,
    /// The store's revision in the answer; 0 where there was none.
    pub revision: i64,
    /// From the sending to the answer.
    pub took: Duration,
    /// Who answered, or failed to.
    pub endpoint: &'a str,
    /// What went wrong, if anything did.
    pub error: Option<&'a str>,
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Shown with `-v`.
    Detail,
    /// Shown unless `-q`.
    Warning,
}

/// Who is told of requests and notices.
pub trait Observer: Send + Sync {
    /// A request ended, well or not.
    fn request(&self, trace: &Trace<'_>);
    /// Something worth knowing happened, e.g. another endpoint is used now.
    fn notice(&self, weight: Notice, text: &str);
    /// Whether [`Observer::request`] does anything, so that nothing is built for nobody.
    fn traces(&self) -> bool;
}
