//! From an endpoint to a connection: one attempt with a cause of its own for every step, and the race of several.
//!
//! A frozen server's kernel accepts TCP connections for it. So a connection counts as good only when the peer's
//! HTTP/2 layer has spoken: etcd sends its SETTINGS without being asked.

pub(crate) mod race;
pub(crate) mod trace;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;

use crate::transport::cause::Cause;
use crate::transport::cause::{format_io_error, tls_error};
use crate::transport::connection_cause;
use crate::transport::dial::race::race;
use crate::transport::dial::trace::{DialPhase, DialTrace};
use crate::transport::endpoint::{Endpoint, Scheme};
use crate::transport::failure::EndpointFailure;
use crate::transport::monitored_stream::{CloseReason, ConnectionState, MonitoredStream, PeerState, Stream};
use crate::transport::options::{ConnectOptions, TlsFiles};
use crate::transport::tls::{Tls, TlsError, client_config};

/// The pause before the next endpoint, or the next address of one, is tried beside those that have not answered.
const STAGGER: Duration = Duration::from_millis(100);

/// HTTP/2 flow control windows: large enough for a fast line with a long way, as a listing fills it.
const FLOW_CONTROL_WINDOW_BYTES: u32 = 8 << 20;

/// Dials endpoints. Shared by all channels of one store.
pub(crate) struct Dialer {
    endpoints: Vec<Endpoint>,
    files: TlsFiles,
    timeout: Duration,
    keepalive: (Duration, Duration),
    /// Built when the first endpoint with TLS is dialled: without one, no file is opened.
    tls: OnceLock<Result<Tls, TlsError>>,
}

/// An endpoint that was dialled.
#[derive(Clone)]
pub(crate) struct Dialled {
    pub(crate) channel: Channel,
    pub(crate) health: Arc<ConnectionState>,
    /// Until when the peer must have given a sign of life.
    pub(crate) deadline: Instant,
}

impl Dialer {
    pub(crate) fn new(options: &ConnectOptions) -> Self {
        Self {
            endpoints: options.endpoints.clone(),
            files: options.tls.clone(),
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

    /// The endpoint as messages name it.
    pub(crate) fn name(&self, index: usize) -> String {
        self.endpoints.get(index).map_or_else(String::new, ToString::to_string)
    }

    /// Races these endpoints in this order. With `proof` the winner has given a sign of life. Returns who won, and who
    /// failed before that.
    ///
    /// # Errors
    /// An unusable TLS file where one of the endpoints speaks TLS, or every endpoint with its cause.
    pub(crate) async fn dial(&self, order: &[usize], await_settings: bool) -> Result<Established, DialError> {
        let deadline = Instant::now() + self.timeout;
        let known: Vec<(usize, &Endpoint)> =
            order.iter().filter_map(|&index| Some((index, self.endpoints.get(index)?))).collect();
        if known.iter().any(|(_, endpoint)| endpoint.scheme == Scheme::Tls) {
            self.tls().map_err(DialError::Tls)?;
        }
        let attempts = known.iter().map(|&(index, endpoint)| {
            Box::pin(async move {
                let outcome = self.attempt_within(endpoint, deadline, await_settings, &DialTrace::default()).await;
                outcome.map(|dialled| (index, dialled)).map_err(|cause| (index, failure(endpoint, cause)))
            })
        });
        let count = u32::try_from(known.len()).unwrap_or(u32::MAX).max(1);
        // However many there are, the last has half of the time left.
        let stagger = STAGGER.min(self.timeout / 2 / count);
        match race(attempts.collect(), stagger).await {
            (Some((index, dialled)), failures) => {
                Ok(Established { index, dialled, failures: in_given_order(failures) })
            }
            (None, failures) => Err(DialError::All(in_given_order(failures))),
        }
    }

    /// Dials the first endpoint alone, up to a sign of life. What is seen on the way is left in the course.
    ///
    /// # Errors
    /// As [`Dialer::dial`]; that a TLS file is unusable shows no sooner than it is needed.
    pub(crate) async fn dial_traced(&self, trace: &DialTrace) -> Result<Established, DialError> {
        let Some(endpoint) = self.endpoints.first() else { return Err(DialError::All(Vec::new())) };
        if endpoint.scheme == Scheme::Tls && self.tls.get().is_none() {
            // Other endpoints are looked at meanwhile, and their steps are timed: nobody waits for files on this thread.
            let files = self.files.clone();
            if let Ok(built) = tokio::task::spawn_blocking(move || client_config(&files)).await {
                // Whoever came first has read the same files.
                let _ = self.tls.set(built);
            }
        }
        let dialled = self.attempt_within(endpoint, Instant::now() + self.timeout, true, trace).await;
        trace.record(|log| log.ended = Some(Instant::now()));
        match (dialled, self.tls.get()) {
            (Ok(dialled), _) => Ok(Established { index: 0, dialled, failures: Vec::new() }),
            (Err(_), Some(Err(error))) if trace.phase() == DialPhase::Handshake => Err(DialError::Tls(error.clone())),
            (Err(cause), _) => Err(DialError::All(vec![failure(endpoint, cause)])),
        }
    }

    /// What is wrong with a connection that gave no sign of life, or `None` where it did.
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

    fn tls(&self) -> Result<Tls, TlsError> {
        self.tls.get_or_init(|| client_config(&self.files)).clone()
    }

    fn timed_out(&self, phase: DialPhase) -> Cause {
        let bound = connection_cause::bound(self.timeout);
        match phase {
            DialPhase::Waiting => Cause::new(format!("not tried: the dial timeout of {bound} was over")),
            DialPhase::Resolving => Cause::new(format!("the name did not resolve within {bound}")),
            DialPhase::Connecting => Cause::hint(
                format!("no answer to the TCP connect within {bound}"),
                "a firewall may drop the packets, or the host is down; --dial-timeout gives it longer",
            ),
            DialPhase::Handshake => Cause::new(format!(
                "accepted the connection and did not answer the TLS handshake within {bound} (frozen server, or not a TLS server)"
            )),
            DialPhase::Silence => connection_cause::silent(),
        }
    }

    async fn attempt_within(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
        await_settings: bool,
        trace: &DialTrace,
    ) -> Result<Dialled, Cause> {
        match timeout_at(deadline, self.attempt(endpoint, deadline, await_settings, trace)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.timed_out(trace.phase())),
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
        await_settings: bool,
        trace: &DialTrace,
    ) -> Result<Dialled, Cause> {
        let stream: Box<dyn Stream> = match endpoint.scheme {
            Scheme::Unix => {
                trace.enter(DialPhase::Connecting);
                Box::new(UnixStream::connect(&endpoint.path).await.map_err(|error| connection_cause::unix(&error))?)
            }
            Scheme::Plain | Scheme::Tls => {
                trace.enter(DialPhase::Resolving);
                let addresses = resolve(endpoint).await?;
                trace.record(|log| log.addresses.clone_from(&addresses));
                trace.enter(DialPhase::Connecting);
                let tcp = connect(addresses, trace).await?;
                if endpoint.scheme == Scheme::Tls {
                    trace.enter(DialPhase::Handshake);
                    self.handshake(endpoint, tcp, trace).await?
                } else {
                    Box::new(tcp)
                }
            }
        };
        trace.enter(DialPhase::Silence);
        let (stream, health) = MonitoredStream::new(stream);
        let channel = self.channel(endpoint, stream).await.map_err(|error| {
            // The peer may be gone already; then the stream knows more.
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

    fn handshake_failed(&self, endpoint: &Endpoint, close_reason: Option<&CloseReason>, trace: &DialTrace) -> Cause {
        if matches!(close_reason, Some(CloseReason::Failed(error)) if tls_error(error).is_some()) {
            // A TLS 1.3 server looks at the client's certificate when the handshake is over.
            trace.record(|log| log.failed_phase = Some(DialPhase::Handshake));
        }
        connection_cause::handshake_failed(close_reason, &endpoint.scheme, &self.files)
    }

    async fn handshake(
        &self,
        endpoint: &Endpoint,
        tcp: TcpStream,
        trace: &DialTrace,
    ) -> Result<Box<dyn Stream>, Cause> {
        let tls = self.tls().map_err(|error| Cause::hint(error.to_string(), error.hint()))?;
        let config = trace
            .handshake_observer()
            .map_or(tls.config.clone(), |handshake_observer| handshake_observer.observed_config(&tls));
        let name = ServerName::try_from(endpoint.host.clone())
            .map_err(|_| Cause::new(format!("'{}' is no name that a certificate could be for", endpoint.host)))?;
        match TlsConnector::from(config).connect(name, tcp).await {
            Ok(stream) => {
                trace.record(|log| log.negotiated = negotiated(stream.get_ref().1));
                Ok(Box::new(stream))
            }
            Err(error) => Err(connection_cause::handshake(&error, &self.files)),
        }
    }

    /// An HTTP/2 channel over this one stream. It cannot dial again by itself: when the stream is gone, its calls fail
    /// with [`tonic::ConnectError`].
    async fn channel(&self, endpoint: &Endpoint, stream: MonitoredStream) -> Result<Channel, tonic::transport::Error> {
        let authority = endpoint.authority();
        let (time, timeout) = self.keepalive;
        // tonic adds TLS of its own for https, so it never sees that; the requests do.
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
    /// Those that failed before.
    pub(crate) failures: Vec<EndpointFailure>,
}

/// Why nobody won.
#[derive(Clone, Debug)]
pub(crate) enum DialError {
    /// The TLS files are unusable.
    Tls(TlsError),
    /// Every endpoint failed.
    All(Vec<EndpointFailure>),
}

fn failure(endpoint: &Endpoint, cause: Cause) -> EndpointFailure {
    EndpointFailure { endpoint: endpoint.to_string(), cause: cause.text, hint: cause.hint }
}

/// As the user gave the endpoints, not as they were tried.
fn in_given_order(mut failures: Vec<(usize, EndpointFailure)>) -> Vec<EndpointFailure> {
    failures.sort_by_key(|(index, _)| *index);
    failures.into_iter().map(|(_, failure)| failure).collect()
}

async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Cause> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port))
        .await
        .map_err(|error| connection_cause::unresolved(&error))?
        .collect();
    if found.is_empty() {
        return Err(Cause::new("name does not resolve: it has no address"));
    }
    Ok(found)
}

/// The version of TLS as `TLS 1.3`, and the cipher by its registered name.
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
            // Without it small requests may wait for the acknowledgement of the one before. It cannot fail on TCP.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        })
    });
    let (stream, failures) = race(attempts.collect(), STAGGER).await;
    stream.ok_or_else(|| {
        let mut text: Vec<String> = failures.iter().map(|(_, text)| text.clone()).collect();
        text.dedup();
        if several && text.len() > 1 {
            text = failures.iter().map(|(address, text)| format!("{text} ({})", address.ip())).collect();
        }
        Cause::new(text.join(", "))
    })
}

#[cfg(test)]
mod tests;
