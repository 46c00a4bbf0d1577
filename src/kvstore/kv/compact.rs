//! Giving space back: compaction, defragmentation, alarms, and whose turn it is to lead.
//!
//! The server has no deadline of its own for a physical compaction and a defragmentation, and neither ends when the one
//! who asked goes away. So they are waited for as long as the connection lives, and where the answer was lost it is
//! looked whether they have happened.

use std::time::Duration;

use etcd_client::CompactionOptions;

use crate::kvstore::error::{Error, Refusal};
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::request::{Idempotency, Request};
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;
use crate::kvstore::types::Revision;

/// Longer than any database takes; a peer that is gone is noticed by the connection's keep-alive.
pub(crate) const UNBOUNDED: Duration = Duration::from_secs(24 * 3600);
/// How long the look may take that tells what became of a request without an answer.
pub(crate) const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// What became of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionOutcome {
    /// It is done, and the member that was asked has removed the old revisions.
    Removed,
    /// It is done, and etcd removes the old revisions by and by.
    Removing,
    /// The store was compacted at this revision or a later one before.
    Already,
}

impl Store {
    /// Compacts the whole store: what was superseded before `revision` (1 or later) cannot be read any more. With
    /// `physical` the answer comes when the member in use has removed it from its database.
    ///
    /// # Errors
    /// [`Refusal::FutureRevision`], [`Error::Unknown`] where it cannot be told whether it was done, or whatever kept the
    /// answer away.
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
            // The second sending found what the first has done.
            Err(Error::Unknown { cause, .. }) if cause.is_refusal(Refusal::Compacted) => {
                Ok(CompactionOutcome::Removing)
            }
            Err(error @ Error::Unknown { .. }) => {
                match self.for_cleanup(CHECK_TIMEOUT).is_compacted(revision).await {
                    Ok(true) => Ok(CompactionOutcome::Removing),
                    // Not yet is no proof: the request may still be on its way through the cluster.
                    Ok(false) | Err(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the store is compacted at `revision` or later: the one before cannot be read. Of revision 1 that is
    /// never known, for there is none before.
    ///
    /// # Errors
    /// Whatever kept the answer away.
    pub async fn is_compacted(&self, revision: Revision) -> Result<bool, Error> {
        if revision <= 1 {
            return Ok(false);
        }
        match self.count(&KeyRange::key(b"\0"), revision - 1, None).await {
            Ok(_) => Ok(false),
            Err(error) if error.is_refusal(Refusal::Compacted) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
