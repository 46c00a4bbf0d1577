//! HashKV: the hash over all stored revisions by which members compare their data.

use crate::kvstore::error::Error;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::Request;
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;
use crate::kvstore::types::{MAX_REVISION, Revision};

/// A member's hash of its data. Two members with equal data have equal hashes only if their compact revisions are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKvAnswer {
    /// The hash.
    pub hash: u32,
    /// The compact revision of the member when it began; -1 or 0 if it was never compacted.
    pub compact_revision: Revision,
}

impl Store {
    /// The hash of the member in use over all revisions up to `revision`; [`Store::member`] selects the member. Needs neither a
    /// leader nor a quorum. The member reads its whole database for it.
    ///
    /// With authentication, etcd serves it to the role `root` only.
    ///
    /// # Errors
    /// [`Refusal::Compacted`](crate::kvstore::refusal::Refusal::Compacted) or
    /// [`Refusal::FutureRevision`](crate::kvstore::refusal::Refusal::FutureRevision) if the member does not have this revision, or
    /// any other error of the request.
    pub async fn hash_kv(&self, revision: Revision) -> Result<HashKvAnswer, Error> {
        match self.request_hash_kv(revision).await {
            // Up to 3.5, etcd refuses the compact revision itself, unless it hashes up to its latest revision (0).
            Err(error) if revision > 0 && error.is_refusal(Refusal::Compacted) => match self.request_hash_kv(0).await {
                Ok((answer, latest)) if latest == revision => Ok(answer),
                Ok(_) => Err(error),
                Err(other) => Err(other),
            },
            other => other.map(|(answer, _)| answer),
        }
    }

    /// The hash, and the latest revision of the member when it began.
    async fn request_hash_kv(&self, revision: Revision) -> Result<(HashKvAnswer, Revision), Error> {
        let request = Request { needs_leader: false, timeout: Timeout::WhileResponsive, ..Request::read("hash", &[]) };
        let send = |client: etcd_client::Client| async move { client.maintenance_client().hash_kv(revision).await };
        let answer = self.call(request, send).await?.value;
        let compact_revision = answer.compact_version();
        if !(-1..=MAX_REVISION).contains(&compact_revision) {
            return Err(request.invalid(format!("the store is compacted at revision {compact_revision}")));
        }
        // etcd tells it since 3.6.
        let hashed = answer.hash_revision();
        if revision > 0 && hashed != 0 && hashed != revision {
            return Err(request.invalid(format!("the hash is that of revision {hashed}, not of {revision}")));
        }
        let latest = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok((HashKvAnswer { hash: answer.hash(), compact_revision: compact_revision.max(0) }, latest))
    }
}
