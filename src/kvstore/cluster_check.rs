//! Asks a new connection for its cluster before anything else is sent to it, so that no write reaches another cluster.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Channel, Client, ResponseHeader};
use tokio::time::timeout;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

use crate::kvstore::error::{Delivery, Error, classify};
use crate::kvstore::identity::StoreIdentity;
use crate::kvstore::token::{Login, TokenService};
use crate::transport::failure::TransportFailure;
use crate::transport::peer_check::{PeerChannel, PeerCheck, PeerCheckError, PendingCheck};
use crate::transport::response_body::MonitoredBody;

/// Asks each new connection of a channel for its cluster's ID, except a first connection whose cluster decides.
pub(crate) struct ClusterCheck {
    pub(crate) identity: Arc<StoreIdentity>,
    pub(crate) login: Arc<Login>,
    /// How long to wait for the answer.
    pub(crate) limit: Duration,
}

impl PeerCheck for ClusterCheck {
    fn start(&self, channel: PeerChannel, endpoint: &str, first: bool) -> Option<PendingCheck> {
        if first && self.identity.cluster().is_none() {
            return None;
        }
        let (identity, login, limit) = (Arc::clone(&self.identity), Arc::clone(&self.login), self.limit);
        let endpoint = endpoint.to_owned();
        Some(Box::pin(async move {
            let no_answer = |error: &Error| {
                PeerCheckError::NoAnswer(match error {
                    // The endpoint is named by the caller.
                    Error::Broken { cause, .. } => cause.clone(),
                    error => error.to_string(),
                })
            };
            let classified = |error| classify("status", &endpoint, error);
            let ask = async {
                let cause = "the response broke off".to_owned();
                let cut = TransportFailure::Cut { endpoint: endpoint.clone(), cause };
                // A peer that sends without a pause must not keep the time limit from being seen.
                let monitored = move |response: http::Response<Body>| {
                    let cut = cut.clone();
                    response.map(|body| Body::new(MonitoredBody::new(body, move |_| cut.clone())))
                };
                let channel = ServiceExt::<http::Request<Body>>::map_err(channel, BoxError::from);
                let channel = ServiceExt::<http::Request<Body>>::map_response(channel, monitored);
                let channel = BoxCloneSyncService::new(TokenService::new(channel, login));
                Client::from_channel(Channel::Custom(channel), None).await?.maintenance_client().status().await
            };
            match timeout(limit, ask).await.map(|asked| asked.map_err(classified)) {
                Ok(Ok(status)) => identity
                    .check_cluster(status.header().map_or(0, ResponseHeader::cluster_id), &endpoint)
                    .map_err(|mismatch| PeerCheckError::Rejected(Arc::new(mismatch))),
                // The user may not ask for the status; the responses to its requests will tell the ID.
                Ok(Err((_, Delivery::Final))) => Ok(()),
                Ok(Err((error, _))) => Err(no_answer(&error)),
                Err(_) => Err(no_answer(&Error::Timeout { op: "status", endpoint: endpoint.clone(), after: limit })),
            }
        }))
    }
}
