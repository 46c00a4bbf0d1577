//! Dials endpoints: one attempt with a precise cause of failure, and the race of several attempts.
//!
//! The kernel accepts TCP connections for a frozen process. So a connection counts as established only after the peer's
//! HTTP/2 layer has sent its SETTINGS, which etcd does unasked.

pub(crate) mod http_get;
pub(crate) mod race;
pub(crate) mod trace;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;

use crate::duration::from_now;
use crate::transport::cause::{Cause, format_io_error, tls_error};
use crate::transport::connection_cause;
use crate::transport::dial::race::race;
use crate::transport::dial::trace::{DialPhase, DialTrace};
use crate::transport::endpoint::{Endpoint, Scheme};
use crate::transport::failure::EndpointFailure;
use crate::transport::monitored_stream::{CloseReason, ConnectionState, MonitoredStream, PeerState, Stream};
use crate::transport::options::{ConnectOptions, SrvDiscovery, TlsFiles};
use crate::transport::tls::{Tls, TlsError, client_config};

/// Delay before the next endpoint, or the next address of one, is tried concurrently (as in Happy Eyeballs, RFC 8305).
const STAGGER: Duration = Duration::from_millis(100);

/// HTTP/2 flow control window: enough for a list over a link with a high bandwidth-delay product.
const FLOW_CONTROL_WINDOW_BYTES: u32 = 8 << 20;

/// Dials endpoints. Shared by all channels of a store.
pub(crate) struct Dialer {
    endpoints: Vec<Endpoint>,
    files: TlsFiles,
    discovery: Option<SrvDiscovery>,
    timeout: Duration,
    keepalive: (Duration, Duration),
    /// Built when the first TLS endpoint is dialed; without one, no file is opened.
    tls: OnceLock<Result<Tls, TlsError>>,
}

/// What is spoken over a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ApplicationProtocol {
    /// Health checks and metrics.
    Http1,
    /// gRPC.
    Http2,
}

/// A dialed endpoint.
#[derive(Clone)]
pub(crate) struct Dialled {
    pub(crate) channel: Channel,
    pub(crate) health: Arc<ConnectionState>,
    /// The deadline for the peer's SETTINGS.
    pub(crate) deadline: Instant,
}

impl Dialer {
    pub(crate) fn new(options: &ConnectOptions) -> Self {
        Self {
            endpoints: options.endpoints.clone(),
            files: options.tls.clone(),
            discovery: options.discovery.clone(),
            timeout: options.dial_timeout,
            keepalive: (options.keepalive_time, options.keepalive_timeout),
            tls: OnceLock::new(),
        }
    }

    pub(crate) fn files(&self) -> &TlsFiles {
        &self.files
    }

    pub(crate) fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// The endpoint as formatted in messages.
    pub(crate) fn name(&self, index: usize) -> String {
        self.endpoints.get(index).map_or_else(String::new, ToString::to_string)
    }

    /// Races these endpoints in this order. With `await_settings`, an attempt succeeds when the peer's SETTINGS arrive.
    /// Returns the first success and the failures before it.
    ///
    /// # Errors
    /// [`DialError::Tls`] if a TLS endpoint needs an unusable file; otherwise every endpoint with its cause.
    pub(crate) async fn dial(&self, order: &[usize], await_settings: bool) -> Result<Established, DialError> {
        let deadline = from_now(self.timeout);
        let known: Vec<(usize, &Endpoint)> =
            order.iter().filter_map(|&index| Some((index, self.endpoints.get(index)?))).collect();
        if known.iter().any(|(_, endpoint)| endpoint.scheme == Scheme::Tls) {
            self.tls().map_err(DialError::Tls)?;
        }
        let attempts = known.iter().map(|&(index, endpoint)| {
            Box::pin(async move {
                let trace = DialTrace::default();
                let attempt = timeout_at(deadline, self.attempt(endpoint, deadline, await_settings, &trace)).await;
                let outcome = attempt.unwrap_or_else(|_| Err(self.timed_out(trace.phase())));
                outcome.map(|dialled| (index, dialled)).map_err(|cause| (index, failure(endpoint, cause)))
            })
        });
        let count = u32::try_from(known.len()).unwrap_or(u32::MAX).max(1);
        // The last endpoint must start with half of the time left, however many there are.
        let half = self.timeout.checked_div(2).unwrap_or_default();
        let stagger = STAGGER.min(half.checked_div(count).unwrap_or_default());
        match race(attempts.collect(), stagger).await {
            (Some((index, dialled)), failures) => {
                Ok(Established { index, dialled, failures: in_given_order(failures) })
            }
            (None, failures) => Err(DialError::All(in_given_order(failures))),
        }
    }

    /// Dials the first endpoint only, waits for its SETTINGS, and records the phases in the trace.
    ///
    /// # Errors
    /// As [`Dialer::dial`], but an unusable TLS file is reported only when the handshake needs it.
    pub(crate) async fn dial_traced(&self, trace: &DialTrace) -> Result<Established, DialError> {
        let Some(endpoint) = self.endpoints.first() else { return Err(DialError::All(Vec::new())) };
        if endpoint.scheme == Scheme::Tls && self.tls.get().is_none() {
            // Other endpoints are probed and timed concurrently, so this thread must not block on files.
            let files = self.files.clone();
            if let Ok(built) = tokio::task::spawn_blocking(move || client_config(&files)).await {
                // A concurrent probe may have set it, from the same files.
                let _ = self.tls.set(built);
            }
        }
        let deadline = from_now(self.timeout);
        let attempt = timeout_at(deadline, self.attempt(endpoint, deadline, true, trace)).await;
        let dialled = attempt.unwrap_or_else(|_| Err(self.timed_out(trace.phase())));
        trace.record(|log| log.ended = Some(Instant::now()));
        match (dialled, self.tls.get()) {
            (Ok(dialled), _) => Ok(Established { index: 0, dialled, failures: Vec::new() }),
            (Err(_), Some(Err(error))) if trace.phase() == DialPhase::Handshake => Err(DialError::Tls(error.clone())),
            (Err(cause), _) => Err(DialError::All(vec![failure(endpoint, cause)])),
        }
    }

    /// The failure if the peer's SETTINGS do not arrive in time; `None` if they do.
    pub(crate) async fn await_settings(&self, index: usize, dialled: &Dialled) -> Option<EndpointFailure> {
        if dialled.health.spoke_http2() {
            return None;
        }
        let settled = timeout_at(dialled.deadline, dialled.health.settled()).await;
        if dialled.health.spoke_http2() {
            return None;
        }
        let endpoint = self.endpoints.get(index)?;
        let cause = match settled {
            Ok(_) => connection_cause::handshake_failed(
                dialled.health.close_reason().as_ref(),
                &endpoint.scheme,
                &self.files,
            ),
            Err(_) => self.timed_out(DialPhase::Silence),
        };
        Some(failure(endpoint, cause))
    }

    /// Why the endpoints of a domain are not known.
    fn undiscovered(&self) -> Cause {
        let outcome = self.discovery.as_ref().and_then(|discovery| discovery.outcome.as_ref());
        match outcome.and_then(|outcome| outcome.failure.as_ref()) {
            Some(failure) => Cause::hint(&failure.cause, &failure.hint),
            None => Cause::hint("SRV records are not looked up here", "list the endpoints with --endpoints"),
        }
    }

    fn tls(&self) -> Result<Tls, TlsError> {
        self.tls.get_or_init(|| client_config(&self.files)).clone()
    }

    fn timed_out(&self, phase: DialPhase) -> Cause {
        let bound = connection_cause::bound(self.timeout);
        match phase {
            DialPhase::Waiting => Cause::new(format!("not tried within the dial timeout of {bound}")),
            DialPhase::Discovering => self.undiscovered(),
            DialPhase::Resolving => Cause::new(format!("no response from the name resolver within {bound}")),
            DialPhase::Connecting => Cause::hint(
                format!("no response to the TCP connect within {bound}"),
                "check that the host is up and no firewall drops the packets, or raise --dial-timeout",
            ),
            DialPhase::Handshake => Cause::new(format!(
                "no response to the TLS handshake within {bound} (the process may be frozen, or not expect TLS)"
            )),
            DialPhase::Silence => connection_cause::silent(),
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
        await_settings: bool,
        trace: &DialTrace,
    ) -> Result<Dialled, Cause> {
        let stream = self.stream(endpoint, trace, ApplicationProtocol::Http2).await?;
        trace.enter(DialPhase::Silence);
        let (stream, health) = MonitoredStream::new(stream);
        let channel = self.channel(endpoint, stream).await.map_err(|error| {
            // If the peer has closed the stream, the stream knows the reason.
            match health.close_reason() {
                Some(close_reason) => self.handshake_failed(endpoint, Some(&close_reason), trace),
                None => Cause::new(connection_cause::broken(&error, None, &self.files)),
            }
        })?;
        if await_settings && health.settled().await != PeerState::Alive {
            return Err(self.handshake_failed(endpoint, health.close_reason().as_ref(), trace));
        }
        Ok(Dialled { channel, health, deadline })
    }

    /// Connects the socket, and completes the TLS handshake if the endpoint has one.
    async fn stream(
        &self,
        endpoint: &Endpoint,
        trace: &DialTrace,
        protocol: ApplicationProtocol,
    ) -> Result<Box<dyn Stream>, Cause> {
        match endpoint.scheme {
            Scheme::Srv => {
                trace.enter(DialPhase::Discovering);
                Err(self.undiscovered())
            }
            Scheme::Unix => {
                trace.enter(DialPhase::Connecting);
                connect_unix(&endpoint.path).await.map_err(|error| connection_cause::unix(&error))
            }
            Scheme::Plain | Scheme::Tls => {
                trace.enter(DialPhase::Resolving);
                let addresses = resolve(endpoint).await?;
                trace.record(|log| log.addresses.clone_from(&addresses));
                trace.enter(DialPhase::Connecting);
                let tcp = connect(addresses, trace).await?;
                if endpoint.scheme == Scheme::Tls {
                    trace.enter(DialPhase::Handshake);
                    self.handshake(endpoint, tcp, trace, protocol).await
                } else {
                    Ok(Box::new(tcp))
                }
            }
        }
    }

    fn handshake_failed(&self, endpoint: &Endpoint, close_reason: Option<&CloseReason>, trace: &DialTrace) -> Cause {
        if matches!(close_reason, Some(CloseReason::Failed(error)) if tls_error(error).is_some()) {
            // A TLS 1.3 server verifies the client certificate after the handshake.
            trace.record(|log| log.failed_phase = Some(DialPhase::Handshake));
        }
        connection_cause::handshake_failed(close_reason, &endpoint.scheme, &self.files)
    }

    async fn handshake(
        &self,
        endpoint: &Endpoint,
        tcp: TcpStream,
        trace: &DialTrace,
        protocol: ApplicationProtocol,
    ) -> Result<Box<dyn Stream>, Cause> {
        let tls = self.tls().map_err(|error| Cause::hint(error.to_string(), error.hint()))?;
        let config = match (protocol, trace.handshake_observer()) {
            (ApplicationProtocol::Http1, _) => tls.config_for_http1(),
            (ApplicationProtocol::Http2, Some(handshake_observer)) => handshake_observer.observed_config(&tls),
            (ApplicationProtocol::Http2, None) => tls.config.clone(),
        };
        let name = ServerName::try_from(endpoint.host_without_zone().to_owned())
            .map_err(|_| Cause::new(format!("'{}' is not a host name that a certificate can have", endpoint.host)))?;
        match TlsConnector::from(config).connect(name, tcp).await {
            Ok(stream) => {
                trace.record(|log| log.negotiated = negotiated(stream.get_ref().1));
                Ok(Box::new(stream))
            }
            Err(error) => Err(connection_cause::handshake(&error, &self.files)),
        }
    }

    /// An HTTP/2 channel over this stream. It cannot reconnect: after the stream has ended, its calls fail with
    /// [`tonic::ConnectError`].
    async fn channel(&self, endpoint: &Endpoint, stream: MonitoredStream) -> Result<Channel, tonic::transport::Error> {
        let authority = endpoint.authority();
        let (time, timeout) = self.keepalive;
        // tonic would add its own TLS for https, so only the requests' origin has that scheme.
        let scheme = if endpoint.scheme == Scheme::Tls { "https" } else { "http" };
        let mut target = tonic::transport::Endpoint::from_shared(format!("http://{authority}"))?
            .http2_keep_alive_interval(time)
            .keep_alive_timeout(timeout)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(FLOW_CONTROL_WINDOW_BYTES)
            .initial_connection_window_size(FLOW_CONTROL_WINDOW_BYTES)
            .user_agent(concat!("kvadm/", env!("CARGO_PKG_VERSION")))?;
        if let Ok(origin) = format!("{scheme}://{authority}").parse() {
            target = target.origin(origin);
        }
        let mut stream = Some(TokioIo::new(stream));
        target
            .connect_with_connector(tower::service_fn(move |_| {
                std::future::ready(stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
            }))
            .await
    }
}

/// The endpoint that won a race.
pub(crate) struct Established {
    pub(crate) index: usize,
    pub(crate) dialled: Dialled,
    /// The endpoints that failed before.
    pub(crate) failures: Vec<EndpointFailure>,
}

/// Why no endpoint could be dialed.
#[derive(Clone, Debug)]
pub(crate) enum DialError {
    /// A TLS file is unusable.
    Tls(TlsError),
    /// Every endpoint failed.
    All(Vec<EndpointFailure>),
}

fn failure(endpoint: &Endpoint, cause: Cause) -> EndpointFailure {
    EndpointFailure { endpoint: endpoint.to_string(), cause: cause.text, hint: cause.hint }
}

/// Sorts failures in the order in which the user gave the endpoints.
fn in_given_order(mut failures: Vec<(usize, EndpointFailure)>) -> Vec<EndpointFailure> {
    failures.sort_by_key(|(index, _)| *index);
    failures.into_iter().map(|(_, failure)| failure).collect()
}

async fn connect_unix(path: &Path) -> io::Result<Box<dyn Stream>> {
    #[cfg(test)]
    if let Some(dialled) = crate::transport::testing::dial_simulated(path) {
        return Ok(Box::new(dialled.await?));
    }
    Ok(Box::new(UnixStream::connect(path).await?))
}

async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Cause> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port))
        .await
        .map_err(|error| connection_cause::unresolved(&error))?
        .collect();
    if found.is_empty() {
        return Err(Cause::new("cannot resolve the host name: it has no address"));
    }
    Ok(found)
}

/// The TLS version, formatted as `TLS 1.3`, and the registered name of the cipher suite.
fn negotiated(connection: &rustls::ClientConnection) -> Option<(String, String)> {
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_3 => "TLS 1.3".to_owned(),
        ProtocolVersion::TLSv1_2 => "TLS 1.2".to_owned(),
        other => other.as_str().unwrap_or("unknown").to_owned(),
    };
    let cipher = connection.negotiated_cipher_suite()?.suite();
    Some((version, cipher.as_str().unwrap_or("unknown").replace("TLS13_", "TLS_")))
}

async fn connect(addresses: Vec<SocketAddr>, trace: &DialTrace) -> Result<TcpStream, Cause> {
    let several = addresses.len() > 1;
    let attempts = addresses.into_iter().map(|address| {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await.map_err(|error| {
                let text = format_io_error(&error);
                trace.record(|log| log.failed.push((address, text.clone())));
                (address, text)
            })?;
            trace.record(|log| log.peer = Some(address));
            // Without it, small requests may wait for the acknowledgement of the previous one. It cannot fail on TCP.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        })
    });
    let (stream, failures) = race(attempts.collect(), STAGGER).await;
    stream.ok_or_else(|| {
        let mut causes: Vec<String> = failures.iter().map(|(_, text)| text.clone()).collect();
        causes.dedup();
        if several && causes.len() > 1 {
            causes = failures.iter().map(|(address, text)| format!("{text} ({})", address.ip())).collect();
        }
        Cause::new(causes.join(", "))
    })
}

#[cfg(test)]
mod tests;
