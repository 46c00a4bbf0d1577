//! The options of a [`Store`](crate::kvstore::Store): endpoints, TLS, credentials and timeouts.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::transport::endpoint::Endpoint;
use crate::transport::observer::Observer;
use crate::transport::secret::Secret;

/// etcd's default limit for compares, and for operations in each branch (`--max-txn-ops`). The operations of a nested
/// transaction count on top of those of the outer one.
pub const DEFAULT_TXN_OPS: usize = 128;

/// What [`ConnectOptions::max_txn_ops`] may be: a lock guard takes one operation, and a nested
/// transaction two.
pub const TXN_OPS_LIMITS: RangeInclusive<usize> = 3..=65536;

/// All options of a store.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The endpoints in the order to try; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Where the endpoints are looked up; `None` if they are configured.
    pub discovery: Option<SrvDiscovery>,
    /// The TLS files for `https` endpoints.
    pub tls: TlsFiles,
    /// The user to log in as.
    pub credentials: Option<Credentials>,
    /// A token of etcd's authentication, which takes the place of a login.
    pub token: Option<Secret>,
    /// The timeout for reaching a healthy endpoint: name resolution, TCP and TLS of all endpoints together.
    pub dial_timeout: Duration,
    /// The timeout for one attempt of a request.
    pub op_timeout: Duration,
    /// The HTTP/2 ping interval. etcd closes connections that ping more often than every 5 s.
    pub keepalive_time: Duration,
    /// The timeout for the response to a ping.
    pub keepalive_timeout: Duration,
    /// Retries while no endpoint answers.
    pub connect_wait: Option<ConnectWait>,
    /// The prefix added to every key sent and removed from every key returned.
    pub namespace: Vec<u8>,
    /// The maximum number of requests per second; `None` for no limit.
    pub qps: Option<f64>,
    /// The maximum number of compares, and of operations in each branch, of a transaction; etcd's `--max-txn-ops`.
    pub max_txn_ops: usize,
}

/// Retries while no endpoint answers (`--connect-wait`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectWait {
    /// The time limit; `None` for no limit.
    pub limit: Option<Duration>,
    /// The delay between two rounds of dialing.
    pub interval: Duration,
}

/// The TLS files. Paths are absolute or relative to the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM certificates of the trusted authorities; `None` for the system's.
    pub ca: Option<PathBuf>,
    /// PEM client certificate (chain); needs `key`.
    pub cert: Option<PathBuf>,
    /// PEM private key: PKCS#1, PKCS#8 or SEC1.
    pub key: Option<PathBuf>,
    /// Do not verify the server's certificate.
    pub skip_verify: bool,
    /// Files above that do not exist, each with the other place where it was looked for.
    pub elsewhere: Vec<(PathBuf, PathBuf)>,
    /// The domain whose SRV records name the endpoints, and their hosts, if certificates are compared with the domain.
    pub discovered: Option<(String, Vec<String>)>,
}

/// A user of etcd's authentication.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// The context shared by all requests of a command.
#[derive(Clone)]
pub struct Session {
    /// Cancelled by a signal; ends every wait at once.
    pub cancel: CancellationToken,
    /// The command's deadline.
    pub deadline: Option<Instant>,
    /// Receives requests and notices.
    pub observer: Arc<dyn Observer>,
}

/// Where the endpoints are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvDiscovery {
    /// The domain.
    pub domain: String,
    /// The suffix of the service's name, which tells clusters of one domain apart.
    pub name: Option<String>,
    /// Whether endpoints without TLS count, and certificates are compared with the members' names only.
    pub insecure: bool,
    /// The file that names the DNS servers.
    pub resolv_conf: PathBuf,
    /// What the lookup found; `None` before it.
    pub outcome: Option<Arc<DiscoveryOutcome>>,
}

/// What a lookup of SRV records found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryOutcome {
    /// The endpoints in the order to try.
    pub endpoints: Vec<Endpoint>,
    /// The hosts of the records, as endpoints have them.
    pub hosts: Vec<String>,
    /// What was asked and answered, one line for each name.
    pub answers: Vec<String>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
    /// Why there are no endpoints, and what to do.
    pub failure: Option<DiscoveryFailure>,
    /// How long the lookup took.
    pub took: Duration,
}

/// Why discovery found no endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryFailure {
    /// What was asked, and what was answered.
    pub cause: String,
    /// What to do next.
    pub hint: String,
}

impl ConnectOptions {
    /// The options with the endpoints that discovery found. Without any, the endpoint stays [`Scheme::Srv`], whose dial
    /// fails with the cause.
    ///
    /// [`Scheme::Srv`]: crate::transport::Scheme::Srv
    #[must_use]
    pub fn with_discovered(mut self, outcome: DiscoveryOutcome) -> Self {
        let Some(discovery) = &mut self.discovery else { return self };
        if !outcome.endpoints.is_empty() {
            self.endpoints.clone_from(&outcome.endpoints);
            if !discovery.insecure {
                self.tls.discovered = Some((discovery.domain.clone(), outcome.hosts.clone()));
            }
        }
        discovery.outcome = Some(Arc::new(outcome));
        self
    }
}
