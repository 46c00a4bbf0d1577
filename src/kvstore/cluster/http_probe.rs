//! What a member serves over HTTP beside gRPC: health checks and metrics.

use crate::kvstore::error::{Error, from_transport};
use crate::kvstore::store::Store;
use crate::transport::dial::http_get::HttpAnswer;

impl Store {
    /// Requests a path from the first endpoint, on a connection of its own; [`Store::member`] selects the member. Returns the status
    /// code and the body. Sends no credentials.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Tls`], [`Error::Timeout`], or the end of the command.
    pub async fn http_get(&self, path: &'static str, limit_bytes: usize) -> Result<(u16, Vec<u8>), Error> {
        self.refuse_if_local(path)?;
        let limit = self.options().op_timeout;
        tokio::select! {
            biased;
            error = self.ended(path) => Err(error),
            answer = tokio::time::timeout(limit, self.inner.channel.http_get(path, limit_bytes)) => match answer {
                Ok(Ok(HttpAnswer { status, body })) => Ok((status, body)),
                Ok(Err(failure)) => Err(from_transport(&failure).0),
                Err(_) => {
                    let endpoint = self.options().endpoints.first().map(ToString::to_string).unwrap_or_default();
                    Err(Error::Timeout { op: path, endpoint, after: limit })
                }
            },
        }
    }
}
