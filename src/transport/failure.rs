//! Failures of the transport: which endpoints could not be reached, and whether a request may have been sent.

use std::fmt;

use thiserror::Error;

use crate::transport::tls::TlsError;

/// One endpoint that could not be reached, and its own cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFailure {
    /// The endpoint as [`Endpoint`](crate::transport::Endpoint) shows itself.
    pub endpoint: String,
    /// What happened there: "connection refused", "certificate expired …".
    pub cause: String,
    /// What the user can do about it, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for EndpointFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.cause)
    }
}

/// Why a request has no answer. It is in the source chain of the status that the client library makes of it.
#[derive(Clone, Debug, Error)]
pub(crate) enum TransportFailure {
    /// No endpoint could be reached. Nothing was sent that could change anything.
    #[error("no etcd endpoint could be reached")]
    Dial(Vec<EndpointFailure>),
    /// The TLS files cannot be used. Nothing was dialled.
    #[error("{0}")]
    Tls(TlsError),
    /// The connection was gone before the request could be written.
    #[error("the connection to {endpoint} was gone: {cause}")]
    NotSent {
        /// Whose connection.
        endpoint: String,
        /// How it ended.
        cause: String,
    },
    /// The connection broke while the request was under way: the peer may have got it.
    #[error("the connection to {endpoint} broke: {cause}")]
    Cut {
        /// Whose connection.
        endpoint: String,
        /// How it ended.
        cause: String,
    },
}
