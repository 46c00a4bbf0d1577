//! The failover channel: one connection for all requests, replaced by one to the next endpoint if it fails.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::time::Instant;
use tonic::body::Body;
use tower::{BoxError, Service, ServiceExt};

use crate::transport::connection_cause;
use crate::transport::dial::http_get::HttpAnswer;
use crate::transport::dial::trace::DialTrace;
use crate::transport::dial::{DialError, Dialer, Dialled, Established};
use crate::transport::failure::{EndpointFailure, TransportFailure};
use crate::transport::monitored_stream::PeerState;
use crate::transport::observer::{Notice, Observer};
use crate::transport::options::{ConnectOptions, Session};
use crate::transport::peer_check::{PeerCheck, PeerCheckError};
use crate::transport::response_body::MonitoredBody;

type Request = http::Request<Body>;
type Response = http::Response<Body>;

/// A connection to one of the endpoints, dialed on first use and kept. Clones share it.
///
/// Wrap it as `etcd_client::Channel::Custom(BoxCloneSyncService::new(channel))`. It spawns no tasks: dropping a call's
/// future cancels the call, including a dial.
#[derive(Clone)]
pub(crate) struct FailoverChannel {
    shared: Arc<ChannelShared>,
}

struct ChannelShared {
    dialer: Dialer,
    observer: Arc<dyn Observer>,
    /// Checks each new connection before it is used.
    check: Option<Arc<dyn PeerCheck>>,
    state: Mutex<State>,
    /// Held by the caller that dials; other callers wait for its outcome.
    dialing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    active: Option<Arc<ActiveConnection>>,
    /// The generation of the last connection, counted from 1.
    generation: u64,
    /// The endpoint that the next dial starts with.
    start: usize,
    /// The endpoint in use or tried last.
    current: usize,
    /// The endpoint used last.
    used: Option<usize>,
    /// The number of failed dials, so that callers that waited for one take its outcome.
    failed_dials: u64,
    outcome: Option<DialError>,
}

impl State {
    /// Makes the next dial start after this endpoint.
    fn skip(&mut self, index: usize, count: usize) {
        self.current = index;
        let next = index.saturating_add(1);
        self.start = if next < count { next } else { 0 };
    }

    /// Records the outcome of a failed dial for the callers that waited for it.
    fn dial_failed(&mut self, outcome: DialError) -> TransportFailure {
        self.failed_dials = self.failed_dials.saturating_add(1);
        self.outcome = Some(outcome.clone());
        outcome.into()
    }
}

struct ActiveConnection {
    generation: u64,
    /// The endpoint's index in the dialer.
    index: usize,
    dialled: Dialled,
}

impl ActiveConnection {
    /// Whether requests may be sent: the peer has answered, or still has time to.
    fn usable(&self) -> bool {
        match self.dialled.health.peer_state() {
            PeerState::Alive => true,
            PeerState::Waiting => Instant::now() < self.dialled.deadline,
            PeerState::Ended => false,
        }
    }
}

impl FailoverChannel {
    /// Creates a channel without I/O. `check` examines each new connection.
    pub(crate) fn new(options: &ConnectOptions, session: &Session, check: Option<Arc<dyn PeerCheck>>) -> Self {
        let shared = ChannelShared {
            dialer: Dialer::new(options),
            observer: Arc::clone(&session.observer),
            check,
            state: Mutex::default(),
            dialing: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Waits for a connection; with `await_settings`, until its peer has sent its HTTP/2 SETTINGS. Sends no request.
    pub(crate) async fn ready(&self, await_settings: bool) -> Result<(), TransportFailure> {
        let connection = self.connection().await?;
        if await_settings
            && let Some(failure) = self.shared.dialer.await_settings(connection.index, &connection.dialled).await
        {
            return Err(self.handshake_failed(&connection, failure));
        }
        Ok(())
    }

    /// Sends one HTTP request to the first endpoint, on a connection of its own.
    ///
    /// # Errors
    /// Why there is no answer, or an answer that is not HTTP or exceeds `limit_bytes`.
    pub(crate) async fn http_get(&self, path: &str, limit_bytes: usize) -> Result<HttpAnswer, TransportFailure> {
        self.shared.dialer.http_get(path, limit_bytes).await
    }

    /// Dials the first endpoint and records the phases in the trace.
    pub(crate) async fn dial_traced(&self, trace: &DialTrace) -> Result<(), TransportFailure> {
        let _dialing = self.shared.dialing.lock().await;
        let established = self.shared.dialer.dial_traced(trace).await?;
        self.established(established);
        Ok(())
    }

    /// The endpoint in use or tried last, for messages.
    pub(crate) fn current(&self) -> String {
        let current = self.state().current;
        self.shared.dialer.name(current)
    }

    /// The index of the endpoint in use or tried last.
    pub(crate) fn current_index(&self) -> usize {
        self.state().current
    }

    /// The generation that the next call uses: the active connection's, or else the next one's.
    pub(crate) fn generation(&self) -> u64 {
        let state = self.state();
        match &state.active {
            Some(active) if active.usable() => active.generation,
            _ => state.generation.saturating_add(1),
        }
    }

    /// Drops the connection of this generation if it is active; the next dial starts with the following endpoint.
    /// Requests in flight continue.
    pub(crate) fn invalidate(&self, generation: u64) {
        let mut state = self.state();
        if state.active.as_ref().is_some_and(|active| active.generation == generation) {
            self.drop_active(&mut state);
        }
    }

    /// Drops the connection, unless it is to this endpoint, with which the next dial starts. Requests in flight continue.
    pub(crate) fn start_at(&self, index: usize) {
        let mut state = self.state();
        if state.active.take_if(|active| active.index != index).is_some() || state.active.is_none() {
            (state.start, state.current) = (index, index);
        }
    }

    fn drop_active(&self, state: &mut State) {
        let Some(dropped) = state.active.take() else { return };
        state.skip(dropped.index, self.shared.dialer.len());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The active connection if it is usable.
    fn active(&self) -> Option<Arc<ActiveConnection>> {
        let mut state = self.state();
        match &state.active {
            Some(active) if active.usable() => Some(Arc::clone(active)),
            Some(_) => {
                self.drop_active(&mut state);
                None
            }
            None => None,
        }
    }

    async fn connection(&self) -> Result<Arc<ActiveConnection>, TransportFailure> {
        if let Some(active) = self.active() {
            return Ok(active);
        }
        let failed_dials = self.state().failed_dials;
        let _dialing = self.shared.dialing.lock().await;
        if let Some(active) = self.active() {
            return Ok(active);
        }
        let start = {
            let state = self.state();
            if let (true, Some(outcome)) = (state.failed_dials > failed_dials, &state.outcome) {
                return Err(outcome.clone().into());
            }
            state.start
        };
        let count = self.shared.dialer.len();
        let order: Vec<usize> = (start..count).chain(0..start).collect();
        self.state().current = start;
        match self.shared.dialer.dial(&order, count > 1).await {
            Ok(established) => {
                self.check_peer(&established).await?;
                Ok(self.established(established))
            }
            Err(outcome) => {
                let mut state = self.state();
                state.current = order.last().copied().unwrap_or(state.current);
                Err(state.dial_failed(outcome))
            }
        }
    }

    /// Checks the peer of a new connection that is not in use yet. If the peer must not be used, the next dial starts
    /// with the following endpoint.
    async fn check_peer(&self, established: &Established) -> Result<(), TransportFailure> {
        let Established { index, dialled, .. } = established;
        let dialer = &self.shared.dialer;
        let (name, first) = (dialer.name(*index), self.state().used.is_none());
        let start = |check: &Arc<dyn PeerCheck>| check.start(dialled.channel.clone(), &name, first);
        let Some(check) = self.shared.check.as_ref().and_then(start) else { return Ok(()) };
        let failure = match dialer.await_settings(*index, dialled).await {
            Some(failure) => failure,
            None => match check.await {
                Ok(()) => return Ok(()),
                Err(PeerCheckError::NoAnswer(cause)) => EndpointFailure { endpoint: name, cause, hint: None },
                Err(PeerCheckError::Rejected(reason)) => {
                    self.state().skip(*index, dialer.len());
                    return Err(TransportFailure::Rejected(reason));
                }
            },
        };
        let mut state = self.state();
        state.skip(*index, dialer.len());
        Err(state.dial_failed(DialError::All(vec![failure])))
    }

    fn established(&self, established: Established) -> Arc<ActiveConnection> {
        let (connection, previous) = {
            let mut state = self.state();
            state.generation = state.generation.saturating_add(1);
            state.current = established.index;
            let connection = Arc::new(ActiveConnection {
                generation: state.generation,
                index: established.index,
                dialled: established.dialled,
            });
            state.active = Some(Arc::clone(&connection));
            (connection, state.used.replace(established.index))
        };
        let observer = &self.shared.observer;
        for failure in established.failures {
            observer.notice(Notice::Detail, &failure.to_string());
        }
        if let Some(previous) = previous.filter(|previous| *previous != established.index) {
            let dialer = &self.shared.dialer;
            observer.notice(
                Notice::Detail,
                &format!("{}: switched to {}", dialer.name(previous), dialer.name(established.index)),
            );
        }
        connection
    }

    async fn send(self, request: Request) -> Result<Response, TransportFailure> {
        let connection = self.connection().await?;
        let channel = connection.dialled.channel.clone();
        let await_settings = self.shared.dialer.await_settings(connection.index, &connection.dialled);
        if !is_read_only(request.uri().path()) {
            // A peer that wakes up later must not find a write in its receive buffer.
            if let Some(failure) = await_settings.await {
                return Err(self.handshake_failed(&connection, failure));
            }
            return self.answer(&connection, channel.oneshot(request).await).await;
        }
        let mut answer = pin!(channel.oneshot(request));
        let result = tokio::select! {
            biased;
            result = &mut answer => result,
            await_settings = await_settings => match await_settings {
                Some(failure) => return Err(self.handshake_failed(&connection, failure)),
                None => answer.await,
            },
        };
        self.answer(&connection, result).await
    }

    fn handshake_failed(&self, connection: &ActiveConnection, failure: EndpointFailure) -> TransportFailure {
        self.invalidate(connection.generation);
        TransportFailure::Dial(vec![failure])
    }

    async fn answer(
        &self,
        connection: &Arc<ActiveConnection>,
        result: Result<Response, tonic::transport::Error>,
    ) -> Result<Response, TransportFailure> {
        match result {
            Ok(response) => {
                let (channel, connection) = (self.clone(), Arc::clone(connection));
                let cut = move |status: &tonic::Status| {
                    channel.invalidate(connection.generation);
                    // The response had started, so the request was sent, whatever the error is.
                    match channel.broken(&connection, status) {
                        TransportFailure::NotSent { endpoint, cause } => TransportFailure::Cut { endpoint, cause },
                        other => other,
                    }
                };
                Ok(response.map(|body| Body::new(MonitoredBody::new(body, cut))))
            }
            Err(error) => {
                if let Some(failure) = self.shared.dialer.await_settings(connection.index, &connection.dialled).await {
                    return Err(self.handshake_failed(connection, failure));
                }
                self.invalidate(connection.generation);
                Err(self.broken(connection, &error))
            }
        }
    }

    fn broken(&self, connection: &ActiveConnection, error: &(dyn std::error::Error + 'static)) -> TransportFailure {
        let dialer = &self.shared.dialer;
        let endpoint = dialer.name(connection.index);
        let cause = connection_cause::broken(error, connection.dialled.health.close_reason().as_ref(), dialer.files());
        if connection_cause::not_processed(error) || connection.dialled.health.processed_nothing() {
            TransportFailure::NotSent { endpoint, cause }
        } else {
            TransportFailure::Cut { endpoint, cause }
        }
    }
}

impl From<DialError> for TransportFailure {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Tls(error) => Self::Tls(error),
            DialError::All(failures) => Self::Dial(failures),
        }
    }
}

/// Whether the request changes nothing in the store, so that it may be sent before the peer's SETTINGS have arrived.
/// That saves a round trip of a single `get`.
fn is_read_only(path: &str) -> bool {
    matches!(
        path,
        "/etcdserverpb.KV/Range"
            | "/etcdserverpb.KV/RangeStream"
            | "/etcdserverpb.Maintenance/Status"
            | "/etcdserverpb.Cluster/MemberList"
            | "/etcdserverpb.Lease/LeaseTimeToLive"
            | "/etcdserverpb.Lease/LeaseLeases"
            | "/etcdserverpb.Auth/Authenticate"
    )
}

impl Service<Request> for FailoverChannel {
    type Response = Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let send = self.clone().send(request);
        Box::pin(async move { send.await.map_err(Into::into) })
    }
}

#[cfg(test)]
mod tests;
