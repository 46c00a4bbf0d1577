//! The cluster and the store that a command talks to, by the headers of etcd's responses.
//!
//! Every response has a header with the cluster's ID and the store's revision. The first ID decides. Clusters that were
//! created with equal URLs and an equal token have equal IDs; a revision that decreases tells them apart.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use thiserror::Error as ThisError;

use crate::kvstore::types::Revision;

/// How a store differs from the one that a command began with.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum StoreMismatch {
    /// The cluster has another ID.
    #[error("{endpoint} belongs to cluster {cluster:x}, but this command began with cluster {expected:x} ({first})")]
    Cluster {
        /// The endpoint of the other cluster.
        endpoint: String,
        /// The ID of the other cluster.
        cluster: u64,
        /// The ID of the cluster that the command began with.
        expected: u64,
        /// The endpoint that answered first.
        first: String,
    },
    /// The store's revision has decreased.
    #[error(
        "the store at {endpoint} is at revision {revision}, but this command has already seen revision {seen}: the \
         store was restored from a backup, or it is a different store"
    )]
    Revision {
        /// The endpoint.
        endpoint: String,
        /// The store's revision.
        revision: Revision,
        /// The latest revision seen before.
        seen: Revision,
    },
}

/// The cluster that a command talks to, and the latest revision of its store that was seen.
#[derive(Debug, Default)]
pub(crate) struct StoreIdentity {
    first: OnceLock<(u64, String)>,
    revision: AtomicI64,
}

impl StoreIdentity {
    /// The cluster's ID; `None` if no response has told it yet.
    pub(crate) fn cluster(&self) -> Option<u64> {
        self.first.get().map(|(cluster, _)| *cluster)
    }

    /// Compares the cluster's ID of a response with the first one. 0 stands for "unknown": proxies and other servers of
    /// etcd's API do not know it.
    ///
    /// # Errors
    /// [`StoreMismatch::Cluster`].
    pub(crate) fn check_cluster(&self, cluster: u64, endpoint: &str) -> Result<(), StoreMismatch> {
        if cluster == 0 {
            return Ok(());
        }
        let (expected, first) = self.first.get_or_init(|| (cluster, endpoint.to_owned()));
        if *expected == cluster {
            return Ok(());
        }
        let (endpoint, first) = (endpoint.to_owned(), first.clone());
        Err(StoreMismatch::Cluster { endpoint, cluster, expected: *expected, first })
    }

    /// The latest revision that a response has shown.
    pub(crate) fn revision(&self) -> Revision {
        self.revision.load(Ordering::Relaxed)
    }

    /// Compares the revision of a linearizable response with the latest one that was seen before its request was sent.
    ///
    /// # Errors
    /// [`StoreMismatch::Revision`].
    pub(crate) fn check_revision(
        &self,
        revision: Revision,
        seen: Revision,
        endpoint: &str,
    ) -> Result<(), StoreMismatch> {
        if revision > 0 && revision < seen {
            return Err(StoreMismatch::Revision { endpoint: endpoint.to_owned(), revision, seen });
        }
        self.revision.fetch_max(revision, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_decides_and_zero_is_never_compared() {
        let identity = StoreIdentity::default();
        assert_eq!(identity.check_cluster(0, "http://p"), Ok(()));
        assert_eq!(identity.cluster(), None);
        assert_eq!(identity.check_cluster(0xa, "http://a"), Ok(()));
        assert_eq!(identity.check_cluster(0, "http://p"), Ok(()));
        assert_eq!(identity.check_cluster(0xa, "http://b"), Ok(()));
        let other = identity.check_cluster(0xb, "http://b").map_err(|other| other.to_string());
        let text = "http://b belongs to cluster b, but this command began with cluster a (http://a)";
        assert_eq!(other, Err(text.to_owned()));
    }

    #[test]
    fn only_a_revision_below_one_seen_before_the_request_is_refused() {
        let identity = StoreIdentity::default();
        assert_eq!(identity.check_revision(5, 0, "e"), Ok(()));
        // Two concurrent requests are answered in any order.
        assert_eq!(identity.check_revision(4, 0, "e"), Ok(()));
        assert_eq!(identity.revision(), 5);
        assert_eq!(identity.check_revision(0, 5, "e"), Ok(()), "the server does not tell it");
        assert!(identity.check_revision(4, 5, "e").is_err());
    }
}
