//! What one run of `gc metadata` collects, and how.

use std::sync::Arc;
use std::time::Duration;

use crate::commands::lock::acquire::WaitLimit;
use crate::error::{Exit, Failure};
use crate::gc::metadata::schema::Schema;
use crate::gc::metadata::sweep::SweepGuard;
use crate::kvstore::Error;
use crate::time::Time;

/// What to collect, and how.
pub(super) struct MetadataJob {
    pub(super) schema: Arc<Schema>,
    pub(super) prefix: Vec<u8>,
    pub(super) guard: SweepGuard,
    pub(super) lock: Option<Vec<u8>>,
    /// How long to wait for the lock.
    pub(super) wait: WaitLimit,
    /// Keys of roots outside etcd.
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) now: Option<Time>,
    pub(super) skew: Duration,
    pub(super) ignore_unparsed: bool,
    pub(super) ignore_unresolved: bool,
    pub(super) ignore_bad_times: bool,
    pub(super) allow_empty: Vec<String>,
}

impl MetadataJob {
    /// Adds a hint if etcd took too long to read the scope.
    pub(super) fn too_slow(&self, error: Error) -> Failure {
        let failure = Failure::from(error);
        if self.guard == SweepGuard::Scope && (failure.exit == Exit::Unreachable || failure.maybe_applied()) {
            return failure.hint("with --guard scope, etcd reads the whole scope in each request: raise --op-timeout");
        }
        failure
    }
}
