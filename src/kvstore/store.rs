//! The handle for one etcd cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use etcd_client::{Channel, Client};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use crate::kvstore::error::{Error, Refusal, from_transport, refusal, strip_prefix};
use crate::kvstore::limiter::Limiter;
use crate::transport::channel::FailoverChannel;
use crate::transport::dial::trace::DialTrace;
use crate::transport::{ConnectOptions, Endpoint, Notice, Session};

/// The largest response kvadm decodes. It bounds memory; a page that would be larger is requested in halves.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// The largest response with a single key, which cannot be split: several times the 10 MiB that etcd recommends as the
/// largest `--max-request-bytes`.
const MAX_ONE_KEY_BYTES: usize = 64 << 20;

/// One command's handle for an etcd cluster. Cheap to clone; the first request dials.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    pub(crate) session: Session,
}

pub(crate) struct Inner {
    pub(crate) options: ConnectOptions,
    pub(crate) channel: FailoverChannel,
    /// Shared with the handles for single endpoints, because the limit applies to the command.
    pub(crate) limiter: Option<Arc<Limiter>>,
    /// How long a request is retried while the cluster cannot serve it.
    pub(crate) retry_for: Duration,
    /// Whether an endpoint has answered this command before.
    pub(crate) served: AtomicBool,
    /// Whether the server is known not to support RangeStream.
    pub(crate) lacks_range_stream: AtomicBool,
    /// Whether a login was refused because authentication is not enabled.
    pub(crate) auth_disabled: AtomicBool,
    with_leader: OnceCell<Client>,
    any_member: OnceCell<Client>,
}

impl Store {
    /// Creates the handle without I/O.
    pub fn new(options: ConnectOptions, session: Session) -> Self {
        // Longer than an election takes.
        let retry_for = options.op_timeout * 2;
        let limiter = options.qps.map(|qps| Arc::new(Limiter::new(qps)));
        Self::with_options(options, session, limiter, retry_for)
    }

    fn with_options(
        options: ConnectOptions,
        session: Session,
        limiter: Option<Arc<Limiter>>,
        retry_for: Duration,
    ) -> Self {
        let channel = FailoverChannel::new(&options, &session);
        Self::with_channel(channel, options, session, limiter, retry_for)
    }

    fn with_channel(
        channel: FailoverChannel,
        options: ConnectOptions,
        session: Session,
        limiter: Option<Arc<Limiter>>,
        retry_for: Duration,
    ) -> Self {
        let inner = Inner {
            options,
            channel,
            limiter,
            retry_for,
            served: AtomicBool::new(false),
            lacks_range_stream: AtomicBool::new(false),
            auth_disabled: AtomicBool::new(false),
            with_leader: OnceCell::new(),
            any_member: OnceCell::new(),
        };
        Self { inner: Arc::new(inner), session }
    }

    /// A handle for one endpoint, which need not be configured: without failover, `--connect-wait` or retries.
    pub fn pinned(&self, endpoint: &Endpoint) -> Self {
        let mut options = self.inner.options.clone();
        options.endpoints = vec![endpoint.clone()];
        options.connect_wait = None;
        Self::with_options(options, self.session.clone(), self.inner.limiter.clone(), Duration::ZERO)
    }

    /// A handle for the same connection without credentials.
    pub(crate) fn anonymous(&self) -> Self {
        let Inner { channel, options, limiter, retry_for, .. } = self.inner.as_ref();
        let options = ConnectOptions { credentials: None, ..options.clone() };
        Self::with_channel(channel.clone(), options, self.session.clone(), limiter.clone(), *retry_for)
    }

    /// A handle for cleanup after a signal: signals do not cancel it, and it has its own deadline.
    pub fn for_cleanup(&self, limit: Duration) -> Self {
        let session = Session {
            cancel: CancellationToken::new(),
            deadline: Some(Instant::now() + limit),
            observer: self.session.observer.clone(),
        };
        Self { inner: self.inner.clone(), session }
    }

    /// A handle whose requests are cancelled by another token.
    pub fn with_cancel(&self, cancel: CancellationToken) -> Self {
        Self { inner: self.inner.clone(), session: Session { cancel, ..self.session.clone() } }
    }

    /// Waits until a signal or the deadline ends the command, and returns the error for the operation.
    pub async fn ended(&self, op: &'static str) -> Error {
        let deadline_passed = async {
            match self.session.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.session.cancel.cancelled() => Error::Interrupted { op, unknown: false },
            () = deadline_passed => Error::Deadline { op, last: None },
        }
    }

    /// Connects to the first endpoint and records each phase in the trace.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Tls`].
    pub(crate) async fn dial_traced(&self, trace: &DialTrace) -> Result<(), Error> {
        self.inner.channel.dial_traced(trace).await.map_err(|failure| from_transport(&failure).0)
    }

    /// Whether a login was refused because authentication is not enabled.
    pub(crate) fn auth_is_disabled(&self) -> bool {
        self.inner.auth_disabled.load(Ordering::Relaxed)
    }

    /// The options this store was created with.
    pub fn options(&self) -> &ConnectOptions {
        &self.inner.options
    }

    /// The namespace, prepended to every key that is sent.
    pub fn namespace(&self) -> &[u8] {
        &self.inner.options.namespace
    }

    /// The key with the namespace prepended.
    pub fn absolute(&self, key: &[u8]) -> Vec<u8> {
        [self.namespace(), key].concat()
    }

    /// The absolute key without the namespace.
    pub(crate) fn relative(&self, mut key: Vec<u8>) -> Vec<u8> {
        let namespace = self.namespace();
        if !namespace.is_empty() && key.starts_with(namespace) {
            key.drain(..namespace.len());
        }
        key
    }

    /// The library's client. With `leader`, a member without a leader refuses its calls at once.
    pub(crate) async fn client(&self, leader: bool) -> Result<Client, etcd_client::Error> {
        let client = if leader { &self.inner.with_leader } else { &self.inner.any_member };
        client.get_or_try_init(|| self.log_in(leader)).await.cloned()
    }

    async fn log_in(&self, leader: bool) -> Result<Client, etcd_client::Error> {
        let channel = || Channel::Custom(BoxCloneSyncService::new(self.inner.channel.clone()));
        let options = etcd_client::ConnectOptions::new().with_require_leader(leader);
        let Some(who) = &self.inner.options.credentials else {
            return Client::from_channel(channel(), Some(options)).await;
        };
        let with_user = options.clone().with_user(&who.user, who.password.expose()).with_auto_token_refresh(true);
        match Client::from_channel(channel(), Some(with_user)).await {
            Err(etcd_client::Error::GRpcStatus(status))
                if refusal(status.code(), strip_prefix(status.message())) == Refusal::AuthNotEnabled =>
            {
                let text = "authentication is not enabled in etcd; continuing without the configured user";
                self.session.observer.notice(Notice::Warning, text);
                self.inner.auth_disabled.store(true, Ordering::Relaxed);
                Client::from_channel(channel(), Some(options)).await
            }
            other => other,
        }
    }

    /// The KV client for ranges, with [`MAX_ANSWER_BYTES`].
    pub(crate) fn kv(client: &Client) -> etcd_client::KvClient {
        client.kv_client().max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The KV client for a single key, with [`MAX_ONE_KEY_BYTES`].
    pub(crate) fn kv_for_one(client: &Client) -> etcd_client::KvClient {
        client.kv_client().max_decoding_message_size(MAX_ONE_KEY_BYTES)
    }
}
