//! Compaction of the store's history.
//!
//! etcd has no deadline for a physical compaction (or a defragmentation), and continues it after the client has
//! disconnected. So kvadm waits as long as the connection lives and, if the response is lost, checks whether the
//! compaction happened.

use std::time::Duration;

use etcd_client::CompactionOptions;

use crate::kvstore::error::Error;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::{Idempotency, Request};
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;
use crate::kvstore::types::Revision;

/// Longer than any database takes; the connection's keep-alive detects a dead peer.
pub(crate) const UNBOUNDED: Duration = Duration::from_secs(24 * 3600);
/// Time limit for checking the effect of a request without a response.
pub(crate) const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The outcome of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionOutcome {
    /// Done, and the member in use has removed the old revisions.
    Removed,
    /// Done, and etcd removes the old revisions in the background.
    Removing,
    /// The store had already been compacted at this revision or a later one.
    Already,
}

impl Store {
    /// Compacts the store: versions superseded before `revision` (at least 1) can no longer be read. With `physical`,
    /// waits until the member in use has removed them from its database.
    ///
    /// # Errors
    /// [`Refusal::FutureRevision`], [`Error::Unknown`], or any other error of the request.
    pub async fn compact(&self, revision: Revision, physical: bool) -> Result<CompactionOutcome, Error> {
        let timeout = if physical { Timeout::Fixed(UNBOUNDED) } else { Timeout::Operation };
        let request = Request { idempotency: Idempotency::Conditional, timeout, ..Request::read("compact", &[]) };
        let options = if physical { CompactionOptions::new().with_physical() } else { CompactionOptions::new() };
        let send = |client: etcd_client::Client| {
            let options = options.clone();
            async move { client.kv_client().compact(revision, Some(options)).await }
        };
        match self.call(request, send).await {
            Ok(_) if physical => Ok(CompactionOutcome::Removed),
            Ok(_) => Ok(CompactionOutcome::Removing),
            Err(error) if error.is_refusal(Refusal::Compacted) => Ok(CompactionOutcome::Already),
            // A retry found that an earlier attempt was applied.
            Err(Error::Unknown { cause, .. }) if cause.is_refusal(Refusal::Compacted) => {
                Ok(CompactionOutcome::Removing)
            }
            Err(error @ Error::Unknown { .. }) => {
                match self.for_cleanup(CHECK_TIMEOUT).is_compacted(revision).await {
                    Ok(true) => Ok(CompactionOutcome::Removing),
                    // "Not compacted yet" proves nothing: the request may still be in the raft log.
                    Ok(false) | Err(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the store is compacted at `revision` or later, i.e. whether the revision before cannot be read. Always
    /// false for revision 1, which has no revision before it.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn is_compacted(&self, revision: Revision) -> Result<bool, Error> {
        if revision <= 1 {
            return Ok(false);
        }
        match self.count(&KeyRange::key(b"\0"), revision.saturating_sub(1), None).await {
            Ok(_) => Ok(false),
            Err(error) if error.is_refusal(Refusal::Compacted) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
