//! HashKV: the hash over all stored revisions by which members compare their data.

use crate::kvstore::error::Error;
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
        Ok(HashKvAnswer { hash: answer.hash(), compact_revision: compact_revision.max(0) })
    }
}
