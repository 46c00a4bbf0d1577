//! One healthy connection to one of several endpoints: dialing, TLS, HTTP/2 health checks, failover, and causes of
//! failure.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub(crate) mod cause;
pub(crate) mod channel;
pub(crate) mod connection_cause;
pub(crate) mod dial;
pub mod discovery;
pub(crate) mod endpoint;
pub(crate) mod failure;
pub(crate) mod frame_walk;
pub(crate) mod monitored_stream;
pub(crate) mod observer;
pub(crate) mod options;
pub(crate) mod peer_check;
pub mod resolv_conf;
pub(crate) mod response_body;
pub(crate) mod secret;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tls;

pub use endpoint::{Endpoint, EndpointError, Scheme};
pub use failure::EndpointFailure;
pub use observer::{Notice, Observer, Trace};
pub use options::{
    ConnectOptions, ConnectWait, Credentials, DEFAULT_TXN_OPS, DiscoveryFailure, DiscoveryOutcome, Session,
    SrvDiscovery, TXN_OPS_LIMITS, TlsFiles,
};
pub use secret::Secret;
pub use tls::TlsError;
