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
use crate::transport::cause::{io_words, tls_error};
use crate::transport::connection_cause;
use crate::transport::dial::race::race;
use crate::transport::dial::trace::{Course, Leg};
use crate::transport::endpoint::{Endpoint, Scheme};
use crate::transport::failure::EndpointFailure;
use crate::transport::monitored_stream::{Ending, Health, Stream, Vital, Wire};
use crate::transport::options::{ConnectOptions, TlsFiles};
use crate::transport::tls::{Tls, TlsError, client_config};

/// The pause before the next endpoint, or the next address of one, is tried beside those that have not answered.
const STAGGER: Duration = Duration::from_millis(100);

/// HTTP/2 flow control windows: large enough for a fast line with a long way, as a listing fills it.
const WINDOW: u32 = 8 << 20;

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
    pub(crate) health: Arc<Health>,
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
    pub(crate) async fn dial(&self, order: &[usize], proof: bool) -> Result<Won, Lost> {
        let deadline = Instant::now() + self.timeout;
        let known: Vec<(usize, &Endpoint)> =
            order.iter().filter_map(|&index| Some((index, self.endpoints.get(index)?))).collect();
        if known.iter().any(|(_, endpoint)| endpoint.scheme == Scheme::Tls) {
            self.tls().map_err(Lost::Tls)?;
        }
        let attempts = known.iter().map(|&(index, endpoint)| {
            Box::pin(async move {
                let outcome = self.bounded(endpoint, deadline, proof, &Course::default()).await;
                outcome.map(|dialled| (index, dialled)).map_err(|cause| (index, failure(endpoint, cause)))
            })
        });
        let count = u32::try_from(known.len()).unwrap_or(u32::MAX).max(1);
        // However many there are, the last has half of the time left.
        let stagger = STAGGER.min(self.timeout / 2 / count);
        match race(attempts.collect(), stagger).await {
            (Some((index, dialled)), failures) => Ok(Won { index, dialled, failures: in_order(failures) }),
            (None, failures) => Err(Lost::All(in_order(failures))),
        }
    }

    /// Dials the first endpoint alone, up to a sign of life. What is seen on the way is left in the course.
    ///
    /// # Errors
    /// As [`Dialer::dial`]; that a TLS file is unusable shows no sooner than it is needed.
    pub(crate) async fn walk(&self, course: &Course) -> Result<Won, Lost> {
        let Some(endpoint) = self.endpoints.first() else { return Err(Lost::All(Vec::new())) };
        if endpoint.scheme == Scheme::Tls && self.tls.get().is_none() {
            // Other endpoints are looked at meanwhile, and their steps are timed: nobody waits for files on this thread.
            let files = self.files.clone();
            if let Ok(built) = tokio::task::spawn_blocking(move || client_config(&files)).await {
                // Whoever came first has read the same files.
                let _ = self.tls.set(built);
            }
        }
        let dialled = self.bounded(endpoint, Instant::now() + self.timeout, true, course).await;
        course.note(|log| log.ended = Some(Instant::now()));
        match (dialled, self.tls.get()) {
            (Ok(dialled), _) => Ok(Won { index: 0, dialled, failures: Vec::new() }),
            (Err(_), Some(Err(error))) if course.at() == Leg::Handshake => Err(Lost::Tls(error.clone())),
            (Err(cause), _) => Err(Lost::All(vec![failure(endpoint, cause)])),
        }
    }

    /// What is wrong with a connection that gave no sign of life, or `None` where it did.
    pub(crate) async fn lifeless(&self, index: usize, dialled: &Dialled) -> Option<EndpointFailure> {
        if dialled.health.proven() {
            return None;
        }
        let settled = timeout_at(dialled.deadline, dialled.health.settled()).await;
        if dialled.health.proven() {
            return None;
        }
        let endpoint = self.endpoints.get(index)?;
        let cause = match settled {
            Ok(_) => connection_cause::stillborn(dialled.health.ending().as_ref(), &endpoint.scheme, &self.files),
            Err(_) => self.timed_out(Leg::Silence),
        };
        Some(failure(endpoint, cause))
    }

    fn tls(&self) -> Result<Tls, TlsError> {
        self.tls.get_or_init(|| client_config(&self.files)).clone()
    }

    fn timed_out(&self, leg: Leg) -> Cause {
        let bound = connection_cause::bound(self.timeout);
        match leg {
            Leg::Waiting => Cause::new(format!("not tried: the dial timeout of {bound} was over")),
            Leg::Resolving => Cause::new(format!("the name did not resolve within {bound}")),
            Leg::Connecting => Cause::hint(
                format!("no answer to the TCP connect within {bound}"),
                "a firewall may drop the packets, or the host is down; --dial-timeout gives it longer",
            ),
            Leg::Handshake => Cause::new(format!(
                "accepted the connection and did not answer the TLS handshake within {bound} (frozen server, or not a TLS server)"
            )),
            Leg::Silence => connection_cause::silent(),
        }
    }

    async fn bounded(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
        proof: bool,
        course: &Course,
    ) -> Result<Dialled, Cause> {
        match timeout_at(deadline, self.attempt(endpoint, deadline, proof, course)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.timed_out(course.at())),
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
        proof: bool,
        course: &Course,
    ) -> Result<Dialled, Cause> {
        let stream: Box<dyn Stream> = match endpoint.scheme {
            Scheme::Unix => {
                course.enter(Leg::Connecting);
                Box::new(UnixStream::connect(&endpoint.path).await.map_err(|error| connection_cause::unix(&error))?)
            }
            Scheme::Plain | Scheme::Tls => {
                course.enter(Leg::Resolving);
                let addresses = resolve(endpoint).await?;
                course.note(|log| log.addresses.clone_from(&addresses));
                course.enter(Leg::Connecting);
                let tcp = connect(addresses, course).await?;
                if endpoint.scheme == Scheme::Tls {
                    course.enter(Leg::Handshake);
                    self.handshake(endpoint, tcp, course).await?
                } else {
                    Box::new(tcp)
                }
            }
        };
        course.enter(Leg::Silence);
        let (wire, health) = Wire::new(stream);
        let channel = self.channel(endpoint, wire).await.map_err(|error| {
            // The peer may be gone already; then the wire knows more.
            match health.ending() {
                Some(ending) => self.stillborn(endpoint, Some(&ending), course),
                None => Cause::new(connection_cause::broken(&error, None, &self.files)),
            }
        })?;
        if proof && health.settled().await != Vital::Alive {
            return Err(self.stillborn(endpoint, health.ending().as_ref(), course));
        }
        Ok(Dialled { channel, health, deadline })
    }

    fn stillborn(&self, endpoint: &Endpoint, ending: Option<&Ending>, course: &Course) -> Cause {
        if matches!(ending, Some(Ending::Failed(error)) if tls_error(error).is_some()) {
            // A TLS 1.3 server looks at the client's certificate when the handshake is over.
            course.note(|log| log.blamed = Some(Leg::Handshake));
        }
        connection_cause::stillborn(ending, &endpoint.scheme, &self.files)
    }

    async fn handshake(&self, endpoint: &Endpoint, tcp: TcpStream, course: &Course) -> Result<Box<dyn Stream>, Cause> {
        let tls = self.tls().map_err(|error| Cause::hint(error.to_string(), error.hint()))?;
        let config = course.witness().map_or(tls.config.clone(), |witness| witness.beside(&tls));
        let name = ServerName::try_from(endpoint.host.clone())
            .map_err(|_| Cause::new(format!("'{}' is no name that a certificate could be for", endpoint.host)))?;
        match TlsConnector::from(config).connect(name, tcp).await {
            Ok(stream) => {
                course.note(|log| log.agreed = agreed(stream.get_ref().1));
                Ok(Box::new(stream))
            }
            Err(error) => Err(connection_cause::handshake(&error, &self.files)),
        }
    }

    /// An HTTP/2 channel over this one stream. It cannot dial again by itself: when the stream is gone, its calls fail
    /// with [`tonic::ConnectError`].
    async fn channel(&self, endpoint: &Endpoint, wire: Wire) -> Result<Channel, tonic::transport::Error> {
        let authority = endpoint.authority();
        let (time, timeout) = self.keepalive;
        // tonic adds TLS of its own for https, so it never sees that; the requests do.
        let scheme = if endpoint.scheme == Scheme::Tls { "https" } else { "http" };
        let mut target = tonic::transport::Endpoint::from_shared(format!("http://{authority}"))?
            .http2_keep_alive_interval(time)
            .keep_alive_timeout(timeout)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .user_agent(concat!("kvadm/", env!("CARGO_PKG_VERSION")))?;
        if let Ok(origin) = format!("{scheme}://{authority}").parse() {
            target = target.origin(origin);
        }
        let mut wire = Some(TokioIo::new(wire));
        target
            .connect_with_connector(tower::service_fn(move |_| {
                std::future::ready(wire.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
            }))
            .await
    }
}

/// The endpoint that won a race.
pub(crate) struct Won {
    pub(crate) index: usize,
    pub(crate) dialled: Dialled,
    /// Those that failed before.
    pub(crate) failures: Vec<EndpointFailure>,
}

/// Why nobody won.
#[derive(Clone, Debug)]
pub(crate) enum Lost {
    /// The TLS files are unusable.
    Tls(TlsError),
    /// Every endpoint failed.
    All(Vec<EndpointFailure>),
}

fn failure(endpoint: &Endpoint, cause: Cause) -> EndpointFailure {
    EndpointFailure { endpoint: endpoint.to_string(), cause: cause.text, hint: cause.hint }
}

/// As the user gave the endpoints, not as they were tried.
fn in_order(mut failures: Vec<(usize, EndpointFailure)>) -> Vec<EndpointFailure> {
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
fn agreed(connection: &rustls::ClientConnection) -> Option<(String, String)> {
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_3 => "TLS 1.3".to_owned(),
        ProtocolVersion::TLSv1_2 => "TLS 1.2".to_owned(),
        other => other.as_str().unwrap_or("unknown").to_owned(),
    };
    let cipher = connection.negotiated_cipher_suite()?.suite();
    Some((version, cipher.as_str().unwrap_or("unknown").replace("TLS13_", "TLS_")))
}

async fn connect(addresses: Vec<SocketAddr>, course: &Course) -> Result<TcpStream, Cause> {
    let several = addresses.len() > 1;
    let attempts = addresses.into_iter().map(|address| {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await.map_err(|error| {
                let words = io_words(&error);
                course.note(|log| log.failed.push((address, words.clone())));
                (address, words)
            })?;
            course.note(|log| log.peer = Some(address));
            // Without it small requests may wait for the acknowledgement of the one before. It cannot fail on TCP.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        })
    });
    let (stream, failures) = race(attempts.collect(), STAGGER).await;
    stream.ok_or_else(|| {
        let mut words: Vec<String> = failures.iter().map(|(_, words)| words.clone()).collect();
        words.dedup();
        if several && words.len() > 1 {
            words = failures.iter().map(|(address, words)| format!("{words} ({})", address.ip())).collect();
        }
        Cause::new(words.join(", "))
    })
}

#[cfg(test)]
mod tests;
