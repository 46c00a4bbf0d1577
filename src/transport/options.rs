//! What a [`Store`](crate::kvstore::Store) is made from: where, how, as whom, and within which bounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::transport::endpoint::Endpoint;
use crate::transport::observer::Observer;
use crate::transport::secret::Secret;

/// Everything that decides how the store is reached.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Where to try, in order; at least one.
    pub endpoints: Vec<Endpoint>,
    /// The files for endpoints that speak TLS.
    pub tls: TlsFiles,
    /// Who to log in as.
    pub credentials: Option<Credentials>,
    /// The bound on reaching a healthy endpoint: name resolution, TCP and TLS of all of them together.
    pub dial_timeout: Duration,
    /// The bound on one sending of one request.
    pub op_timeout: Duration,
    /// HTTP/2 ping interval. etcd cuts connections that ping more often than every 5 s.
    pub keepalive_time: Duration,
    /// How long a ping may stay unanswered.
    pub keepalive_timeout: Duration,
    /// Keep trying while no endpoint answers.
    pub connect_wait: Option<ConnectWait>,
    /// Prepended to every key on the way in, trimmed on the way out.
    pub namespace: Vec<u8>,
    /// The most requests a second; unlimited where absent.
    pub qps: Option<f64>,
}

/// How long to go on trying when no endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectWait {
    /// Give up after this long; never where absent.
    pub limit: Option<Duration>,
    /// The pause between two rounds.
    pub interval: Duration,
}

/// The files and rules of TLS. Paths are absolute or relative to the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM certificates of the authorities to trust; the system's where absent.
    pub ca: Option<PathBuf>,
    /// PEM certificate (chain) to present. Goes with `key`.
    pub cert: Option<PathBuf>,
    /// PEM private key: PKCS#1, PKCS#8 or SEC1.
    pub key: Option<PathBuf>,
    /// Accept whatever certificate the server shows.
    pub skip_verify: bool,
}

/// A user of etcd's own authentication.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// What binds all requests of one command together.
#[derive(Clone)]
pub struct Session {
    /// Cancelled when the user wants the program to end: every wait answers to it at once.
    pub cancel: CancellationToken,
    /// When the whole command must have ended.
    pub deadline: Option<Instant>,
    /// Who is told of requests and notices.
    pub observer: Arc<dyn Observer>,
}
