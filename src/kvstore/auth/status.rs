//! Whether authentication is enabled. The client library lacks this request.

use std::sync::Arc;

use etcd_client::proto::PbResponseHeader;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic_prost::ProstCodec;

use crate::kvstore::auth::password::PasswordCheck;
use crate::kvstore::error::Error;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::Request;
use crate::kvstore::response_header::ResponseHeader;
use crate::kvstore::store::Store;
use crate::kvstore::token::TokenService;
use crate::kvstore::types::Revision;
use crate::transport::secret::Secret;

/// What etcd says about its authentication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthStatus {
    /// Whether authentication is enabled; `None` if the server cannot tell.
    pub enabled: Option<bool>,
    /// Number of changes of users and roles so far; `None` if etcd does not tell it (3.4, or the caller lacks the role `root`).
    pub revision: Option<u64>,
}

/// `AuthStatusRequest` of etcd's `rpc.proto`.
#[derive(Clone, PartialEq, prost::Message)]
struct AuthStatusRequest {}

/// `AuthStatusResponse` of etcd's `rpc.proto`.
#[derive(Clone, PartialEq, prost::Message)]
struct AuthStatusMessage {
    #[prost(message, optional, tag = "1")]
    header: Option<PbResponseHeader>,
    #[prost(bool, tag = "2")]
    enabled: bool,
    #[prost(uint64, tag = "3")]
    auth_revision: u64,
}

impl ResponseHeader for AuthStatusMessage {
    fn revision(&self) -> Revision {
        self.header.as_ref().map_or(0, |header| header.revision)
    }

    fn cluster(&self) -> u64 {
        self.header.as_ref().map_or(0, |header| header.cluster_id)
    }

    fn lacks_header(&self) -> bool {
        self.header.is_none()
    }
}

impl Store {
    /// Whether authentication is enabled, and how often users and roles were changed.
    ///
    /// # Errors
    /// Any error of the request, except that the caller lacks the rights: then authentication is enabled.
    pub async fn auth_status(&self) -> Result<AuthStatus, Error> {
        match self.request_auth_status().await {
            Ok(answer) => Ok(AuthStatus { enabled: Some(answer.enabled), revision: Some(answer.auth_revision) }),
            Err(error) if [Refusal::Permission, Refusal::NoUser].iter().any(|kind| error.is_refusal(*kind)) => {
                Ok(AuthStatus { enabled: Some(true), revision: None })
            }
            // etcd 3.4: a login without a name is refused in both cases, for different reasons.
            Err(error) if error.is_refusal(Refusal::Unsupported) => {
                let enabled = match self.check_password("", &Secret::new("")).await {
                    Ok(PasswordCheck::NotEnabled) => Some(false),
                    Ok(PasswordCheck::Rejected) => Some(true),
                    Ok(PasswordCheck::Accepted) => None,
                    Err(error) if error.is_refusal(Refusal::Other) => None,
                    Err(error) => return Err(error),
                };
                Ok(AuthStatus { enabled, revision: None })
            }
            Err(error) => Err(error),
        }
    }

    async fn request_auth_status(&self) -> Result<AuthStatusMessage, Error> {
        let send = |_: etcd_client::Client| {
            let channel = TokenService::new(self.inner.channel.clone(), Arc::clone(&self.inner.login));
            async move {
                let mut request = tonic::Request::new(AuthStatusRequest {});
                request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
                let path = PathAndQuery::from_static("/etcdserverpb.Auth/AuthStatus");
                let codec = ProstCodec::<AuthStatusRequest, AuthStatusMessage>::default();
                let answer = Grpc::new(channel).unary(request, path, codec).await;
                answer.map(tonic::Response::into_inner).map_err(etcd_client::Error::GRpcStatus)
            }
        };
        Ok(self.call(Request::read("auth status", &[]), send).await?.value)
    }
}
