//! Checks that each response comes from the store that the command began with.

use crate::kvstore::error::Error;
use crate::kvstore::request::{Idempotency, Request};
use crate::kvstore::response_header::ResponseHeader;
use crate::kvstore::store::Store;
use crate::kvstore::types::Revision;

impl Store {
    /// The ID of the cluster that this command talks to; `None` before the first response, and if the server does not
    /// tell it.
    pub fn cluster(&self) -> Option<u64> {
        self.inner.identity.cluster()
    }

    /// Checks that a response comes from the cluster that the command began with. `seen` is the latest revision that
    /// was seen before the request was sent.
    ///
    /// # Errors
    /// [`Error::OtherStore`].
    pub(crate) fn check_response<T: ResponseHeader>(
        &self,
        request: Request<'_>,
        response: &T,
        seen: Revision,
    ) -> Result<(), Error> {
        let (identity, endpoint) = (&self.inner.identity, self.inner.channel.current());
        let linearizable = T::LINEARIZABLE && !request.serializable && !request.pinned;
        let checked = identity.check_cluster(response.cluster(), &endpoint).and_then(|()| match linearizable {
            true => identity.check_revision(response.revision(), seen, &endpoint),
            false => Ok(()),
        });
        let executed = (request.idempotency != Idempotency::Read).then_some(request.op);
        checked.map_err(|mismatch| Error::OtherStore { mismatch, executed })
    }

    /// [`StoreIdentity::check_cluster`](crate::kvstore::identity::StoreIdentity::check_cluster) for a response of a stream.
    ///
    /// # Errors
    /// [`Error::OtherStore`].
    pub(crate) fn check_header(
        &self,
        header: Option<&etcd_client::ResponseHeader>,
        endpoint: &str,
    ) -> Result<(), Error> {
        let cluster = header.map_or(0, etcd_client::ResponseHeader::cluster_id);
        let checked = self.inner.identity.check_cluster(cluster, endpoint);
        checked.map_err(|mismatch| Error::OtherStore { mismatch, executed: None })
    }
}
