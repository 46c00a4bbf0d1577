//! The check of a new connection's peer before any other request is sent to it.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tonic::transport::Channel;

/// The connection that is checked.
pub(crate) type PeerChannel = Channel;

/// A running check.
pub(crate) type PendingCheck = Pin<Box<dyn Future<Output = Result<(), PeerCheckError>> + Send>>;

/// Decides whether the peer of a new connection may be used.
pub(crate) trait PeerCheck: Send + Sync {
    /// Starts the check over this connection; `None` if the connection needs none. `first` is the first connection of
    /// the channel.
    fn start(&self, channel: PeerChannel, endpoint: &str, first: bool) -> Option<PendingCheck>;
}

/// Why a peer may not be used.
#[derive(Clone, Debug)]
pub(crate) enum PeerCheckError {
    /// The peer did not answer, for this reason.
    NoAnswer(String),
    /// The peer must not be used; the reason is the checker's own error.
    Rejected(Arc<dyn Error + Send + Sync>),
}
