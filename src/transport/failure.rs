//! Failures of the transport: which endpoints failed, and whether a request may have been sent.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::transport::tls::TlsError;

/// An endpoint that could not be reached, with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFailure {
    /// The endpoint as formatted by [`Endpoint`](crate::transport::Endpoint).
    pub endpoint: String,
    /// The cause, e.g. "connection refused".
    pub cause: String,
    /// What the user can do, if known.
    pub hint: Option<String>,
}

impl fmt::Display for EndpointFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.cause)
    }
}

/// Why a request has no response. The client library puts it in the source chain of its status.
#[derive(Clone, Debug, Error)]
pub(crate) enum TransportFailure {
    /// No endpoint could be reached. No write was sent.
    #[error("no etcd endpoint could be reached")]
    Dial(Vec<EndpointFailure>),
    /// The TLS files cannot be used. No endpoint was dialed.
    #[error("{0}")]
    Tls(TlsError),
    /// The check of a new connection found that its peer must not be used. Nothing was sent.
    #[error("{0}")]
    Rejected(Arc<dyn std::error::Error + Send + Sync>),
    /// The connection was closed before the request was written, or the peer has said that it did not process it.
    #[error("connection to {endpoint} was closed before the request: {cause}")]
    NotSent {
        /// The endpoint.
        endpoint: String,
        /// How the connection ended.
        cause: String,
    },
    /// The connection was lost during the request, which the peer may have received.
    #[error("connection to {endpoint} lost: {cause}")]
    Cut {
        /// The endpoint.
        endpoint: String,
        /// How the connection ended.
        cause: String,
    },
}
