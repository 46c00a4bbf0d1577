//! One request to etcd: its timeout, its cancellation, and its retries, which happen only if they cannot do harm.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use etcd_client::Client;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::duration::{format_duration, from_now};
use crate::escaped::escape;
use crate::kvstore::backoff::Backoff;
use crate::kvstore::error::{Delivery, Error, classify, from_transport};
use crate::kvstore::key_range::successor;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::response_header::{ResponseHeader, check_revision};
use crate::kvstore::store::Store;
use crate::kvstore::timeout::{Timeout, while_responsive};
use crate::kvstore::token::TokenRenewals;
use crate::transport::{Notice, Trace};

/// How often a wait for the first connection is announced.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(5);

/// What a second delivery of the same request could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idempotency {
    /// Nothing: the request only reads.
    Read,
    /// Nothing: its condition fails after the first delivery, or applying it twice has the effect of applying it once.
    Conditional,
    /// A second effect: the request is never sent twice.
    None,
}

/// The keys of a request, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Covers<'a> {
    /// Only the first key.
    FirstKey,
    /// From the first key to this one, which is not included; one zero byte means "no upper bound".
    Range(&'a [u8]),
    /// The first key and others.
    Several,
}

/// The properties of a request that decide its retries, its messages and its trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) op: &'static str,
    /// The first key of the request, absolute.
    pub(crate) key: &'a [u8],
    pub(crate) covers: Covers<'a>,
    /// The conditions of the request, formatted for the trace.
    pub(crate) guard: &'a str,
    pub(crate) idempotency: Idempotency,
    /// Whether a member without a leader must refuse the request.
    pub(crate) needs_leader: bool,
    pub(crate) timeout: Timeout,
    /// Whether the request reads at a revision known to exist, so that "future revision" means that the member lags.
    pub(crate) pinned: bool,
    /// Whether the member may answer without the others, so that its revision may be an older one.
    pub(crate) serializable: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn read(op: &'static str, key: &'a [u8]) -> Self {
        Self {
            op,
            key,
            covers: Covers::FirstKey,
            guard: "",
            idempotency: Idempotency::Read,
            needs_leader: true,
            timeout: Timeout::Operation,
            pinned: false,
            serializable: false,
        }
    }

    /// The request as a handle for serializable reads sends it.
    fn for_store(self, store: &Store) -> Self {
        match (store.is_serializable, self.idempotency) {
            (true, Idempotency::Read) => Self { needs_leader: false, serializable: true, ..self },
            _ => self,
        }
    }

    /// The error for a response that does not fit the request. etcd may have applied a write nevertheless.
    pub(crate) fn invalid(&self, what: impl Into<String>) -> Error {
        let error = Error::Protocol { op: self.op, what: what.into() };
        if self.idempotency == Idempotency::Read { error } else { unknown_outcome(self.op, error) }
    }
}

/// A response, and whether an earlier attempt of the same request may have been applied as well.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) value: T,
    pub(crate) maybe_applied: bool,
}

impl Store {
    /// Sends a request until it is answered or refused, or must not be sent again.
    pub(crate) async fn call<T, F>(
        &self,
        request: Request<'_>,
        mut send: impl FnMut(Client) -> F,
    ) -> Result<Answer<T>, Error>
    where
        T: ResponseHeader,
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        self.refuse_if_local(request.op)?;
        let request = request.for_store(self);
        let started = Instant::now();
        let mut announce_at = started;
        let mut backoff = Backoff::default();
        let mut maybe_applied = false;
        let mut renewals = TokenRenewals::default();
        loop {
            self.wait_for_rate_limit(request.op)
                .await
                .map_err(|error| self.finalize_error(request, error, maybe_applied))?;
            let generation = self.inner.channel.generation();
            let (token, seen) = (self.inner.login.generation(), self.inner.identity.revision());
            let sent = Instant::now();
            let result = self.attempt(request, &mut send).await;
            self.trace(request, sent, &result);
            let (error, delivery) = match result {
                Ok(value) => {
                    self.inner.served.store(true, Ordering::Relaxed);
                    if value.lacks_header() {
                        return Err(request.invalid("it has no header"));
                    }
                    check_revision(value.revision()).map_err(|what| request.invalid(what))?;
                    let checked = self.check_response(request, &value, seen);
                    checked.map_err(|error| self.finalize_error(request, error, maybe_applied))?;
                    return Ok(Answer { value, maybe_applied });
                }
                Err((error, delivery)) => (self.name_denied(error, request.key, request.covers), delivery),
            };
            match self.renew_token(request, &error, token, &mut renewals).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => return Err(self.finalize_error(request, error, maybe_applied)),
            }
            let lags = request.pinned && error.is_refusal(Refusal::FutureRevision);
            match delivery {
                Delivery::Final if lags => {}
                Delivery::Ambiguous if request.idempotency != Idempotency::Read => {
                    return Err(unknown_outcome(request.op, error));
                }
                Delivery::Final | Delivery::Ambiguous => {
                    return Err(self.finalize_error(request, error, maybe_applied));
                }
                Delivery::Unknown if request.idempotency == Idempotency::None => {
                    return Err(unknown_outcome(request.op, error));
                }
                Delivery::Unknown => maybe_applied |= request.idempotency == Idempotency::Conditional,
                Delivery::NotDone => {}
            }
            let wait = match &error {
                Error::Unreachable { .. } => match self.connect_pause(started) {
                    Some(wait) => {
                        if announce_at <= Instant::now() {
                            announce_at = from_now(ANNOUNCE_EVERY);
                            self.announce_wait(started, &error);
                        }
                        wait
                    }
                    // Endpoints that served this command before may be restarting. Status requests, which need no
                    // leader, report that at once.
                    None if request.needs_leader
                        && self.inner.served.load(Ordering::Relaxed)
                        && started.elapsed() < self.inner.retry_for =>
                    {
                        backoff.next_delay()
                    }
                    None => return Err(self.finalize_error(request, error, maybe_applied)),
                },
                _ if started.elapsed() >= self.inner.retry_for => {
                    return Err(self.finalize_error(request, error, maybe_applied));
                }
                _ => backoff.next_delay(),
            };
            self.inner.channel.invalidate(generation);
            self.session.observer.notice(Notice::Detail, &format!("{}: {error}; retrying", request.op));
            let paused = self.pause(request.op, wait, error).await;
            paused.map_err(|error| self.finalize_error(request, error, maybe_applied))?;
        }
    }

    async fn attempt<T, F>(
        &self,
        request: Request<'_>,
        send: &mut impl FnMut(Client) -> F,
    ) -> Result<T, (Error, Delivery)>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let op = request.op;
        let writes = request.idempotency != Idempotency::Read;
        // Dialing has its own timeout, so that a slow dial is never taken for a write without a response.
        let ready = async {
            self.inner.channel.ready(writes).await.map_err(|failure| from_transport(&failure))?;
            if writes {
                self.inner.served.store(true, Ordering::Relaxed);
            }
            self.client(op, request.needs_leader).await
        };
        let client = tokio::select! {
            biased;
            error = self.ended(op) => return Err((error, Delivery::Final)),
            ready = ready => ready?,
        };
        tokio::select! {
            biased;
            error = self.ended(op) => Err((self.finalize_error(request, error, writes), Delivery::Final)),
            answer = self.answer(request, client, send) => match answer {
                Ok(answer) => answer.map_err(|error| classify(op, &self.inner.channel.current(), error)),
                Err(after) => {
                    let endpoint = self.inner.channel.current();
                    Err((Error::Timeout { op, endpoint, after }, Delivery::Unknown))
                }
            },
        }
    }

    /// Sends the request once. Returns the response, or the time waited if there is none.
    async fn answer<T, F: Future<Output = T>>(
        &self,
        request: Request<'_>,
        client: Client,
        send: &mut impl FnMut(Client) -> F,
    ) -> Result<T, Duration> {
        let limit = match request.timeout {
            Timeout::Operation | Timeout::WhileResponsive => self.inner.options.op_timeout,
            Timeout::Fixed(limit) => limit,
        };
        if request.timeout != Timeout::WhileResponsive {
            return timeout(limit, send(client)).await.map_err(|_| limit);
        }
        let noted = AtomicBool::new(false);
        let probe = || self.is_responsive(&client, request.op, &noted);
        while_responsive(limit, send(client.clone()), probe).await
    }

    /// Connects, unless connected, waits until the peer has answered on HTTP/2, and logs in, unless logged in.
    ///
    /// # Errors
    /// Any error of the connection or of the login.
    pub(crate) async fn ensure_ready(&self, op: &'static str) -> Result<(), Error> {
        self.refuse_if_local(op)?;
        let ready = async {
            self.inner.channel.ready(true).await.map_err(|failure| from_transport(&failure).0)?;
            self.log_in(op, 0).await.map_err(|(error, _)| error)
        };
        tokio::select! {
            biased;
            error = self.ended(op) => Err(error),
            ready = ready => ready,
        }
    }

    /// Adds the user and the keys to a denied permission.
    pub(crate) fn name_denied(&self, error: Error, key: &[u8], covers: Covers<'_>) -> Error {
        let Error::Refused { op, kind: Refusal::Permission, message } = error else { return error };
        let options = &self.inner.options;
        let user = match &options.credentials {
            Some(credentials) => Some(format!("user '{}'", credentials.user.escape_debug())),
            None if options.token.is_some() => Some("the user of the token".to_owned()),
            None if options.tls.cert.is_some() => Some("the user of the client certificate".to_owned()),
            None => None,
        };
        let shown = escape;
        let keys = match covers {
            _ if key.is_empty() => None,
            Covers::FirstKey => Some(format!("key '{}'", shown(key))),
            Covers::Several => Some(format!("key '{}' and others", shown(key))),
            Covers::Range(end) if end == successor(key) => Some(format!("key '{}'", shown(key))),
            Covers::Range([0]) => Some(format!("all keys from '{}'", shown(key))),
            Covers::Range(end) => Some(format!("keys from '{}' to '{}'", shown(key), shown(end))),
        };
        let about: Vec<String> = user.into_iter().chain(keys).collect();
        let message = if about.is_empty() { message } else { format!("{message} ({})", about.join(", ")) };
        Error::Refused { op, kind: Refusal::Permission, message }
    }

    /// The error to return, given whether an earlier attempt may have been applied.
    fn finalize_error(&self, request: Request<'_>, error: Error, maybe_applied: bool) -> Error {
        match error {
            Error::Unknown { .. } | Error::Interrupted { unknown: true, .. } => error,
            Error::Interrupted { op, .. } if maybe_applied => Error::Interrupted { op, unknown: true },
            error if maybe_applied => unknown_outcome(request.op, error),
            error => error,
        }
    }

    /// The delay before the next round of dialing (`--connect-wait`); `None` for no further round. The last round starts
    /// when the time ends, whatever the interval is.
    fn connect_pause(&self, started: Instant) -> Option<Duration> {
        let wait = self.inner.options.connect_wait?;
        let Some(limit) = wait.limit else { return Some(wait.interval) };
        let left = limit.saturating_sub(started.elapsed());
        (!left.is_zero()).then(|| wait.interval.min(left))
    }

    /// Says that no endpoint answers and, after a while, why.
    fn announce_wait(&self, started: Instant, error: &Error) {
        let Some(wait) = self.inner.options.connect_wait else { return };
        let every = format_duration(wait.interval);
        let text = match started.elapsed() {
            waited if waited >= ANNOUNCE_EVERY => {
                let waited = format_duration(Duration::from_secs(waited.as_secs()));
                format!("no etcd endpoint has answered for {waited} ({}); retrying every {every}", error.one_line())
            }
            _ => format!("no etcd endpoint answers yet; retrying every {every}"),
        };
        self.session.observer.notice(Notice::Warning, &text);
    }

    pub(crate) async fn wait_for_rate_limit(&self, op: &'static str) -> Result<(), Error> {
        let Some(limiter) = &self.inner.limiter else { return Ok(()) };
        tokio::select! {
            biased;
            error = self.ended(op) => Err(error),
            () = limiter.acquire() => Ok(()),
        }
    }

    pub(crate) async fn pause(&self, op: &'static str, wait: Duration, last: Error) -> Result<(), Error> {
        let until = from_now(wait);
        let session = &self.session;
        if session.deadline.is_some_and(|deadline| deadline <= until) {
            return Err(Error::Deadline { op, last: Some(Box::new(last)) });
        }
        tokio::select! {
            biased;
            () = session.cancel.cancelled() => Err(Error::Interrupted { op, unknown: false }),
            () = sleep_until(until) => Ok(()),
        }
    }

    fn trace<T: ResponseHeader>(&self, request: Request<'_>, sent: Instant, result: &Result<T, (Error, Delivery)>) {
        let observer = &self.session.observer;
        if !observer.traces() {
            return;
        }
        let error = result.as_ref().err().map(|(error, _)| error.to_string());
        observer.request(&Trace {
            op: request.op,
            key: request.key,
            guard: request.guard,
            revision: result.as_ref().map_or(0, ResponseHeader::revision),
            took: sent.elapsed(),
            endpoint: &self.inner.channel.current(),
            error: error.as_deref(),
        });
    }
}

/// Runs a future on the I/O worker thread, so that request sequences do not pay a cross-thread wake-up per step.
/// Dropping the returned future aborts it.
///
/// # Errors
/// The errors of the future.
pub async fn run_on_io_thread<T: Send + 'static>(
    future: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let mut tasks = JoinSet::new();
    tasks.spawn(future);
    match tasks.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        _ => Err(Error::Interrupted { op: "task", unknown: true }),
    }
}

/// The error for a write that may or may not have been applied.
pub(crate) fn unknown_outcome(op: &'static str, cause: Error) -> Error {
    Error::Unknown { op, cause: Box::new(cause) }
}
