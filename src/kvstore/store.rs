//! The handle on one etcd cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use etcd_client::{Channel, Client};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use crate::kvstore::error::{Error, Refusal, from_transport, refusal, strip};
use crate::kvstore::limiter::Limiter;
use crate::transport::channel::FailoverChannel;
use crate::transport::dial::trace::DialTrace;
use crate::transport::{ConnectOptions, Endpoint, Notice, Session};

/// The largest answer that is taken in one piece, in bytes. A page that would be larger is asked for in halves.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// One etcd cluster, as one command sees it. Cheap to clone; nothing is dialled before the first request.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    pub(crate) session: Session,
}

pub(crate) struct Inner {
    pub(crate) options: ConnectOptions,
    pub(crate) channel: FailoverChannel,
    /// Shared with the handles on single endpoints: the limit is the command's.
    pub(crate) limiter: Option<Arc<Limiter>>,
    /// How long a request is tried again while the cluster cannot serve it.
    pub(crate) retry_for: Duration,
    /// Whether an endpoint has answered this command, or has shown life to it.
    pub(crate) served: AtomicBool,
    /// Whether the server is known to have no RangeStream.
    pub(crate) lacks_range_stream: AtomicBool,
    /// Whether a login was refused because there is nothing to log in to.
    pub(crate) auth_disabled: AtomicBool,
    with_leader: OnceCell<Client>,
    any_member: OnceCell<Client>,
}

impl Store {
    /// Makes the handle; no I/O.
    pub fn new(options: ConnectOptions, session: Session) -> Self {
        // Long enough for an election.
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

    /// A handle on one endpoint alone, which need not be a configured one: no fail-over, no waiting, no second try.
    pub fn pinned(&self, endpoint: &Endpoint) -> Self {
        let mut options = self.inner.options.clone();
        options.endpoints = vec![endpoint.clone()];
        options.connect_wait = None;
        Self::with_options(options, self.session.clone(), self.inner.limiter.clone(), Duration::ZERO)
    }

    /// The same connection without a login.
    pub(crate) fn anonymous(&self) -> Self {
        let Inner { channel, options, limiter, retry_for, .. } = self.inner.as_ref();
        let options = ConnectOptions { credentials: None, ..options.clone() };
        Self::with_channel(channel.clone(), options, self.session.clone(), limiter.clone(), *retry_for)
    }

    /// The same store for what must be done although the command was told to end: the signal does not reach it, and
    /// it has a deadline of its own.
    pub fn for_cleanup(&self, limit: Duration) -> Self {
        let session = Session {
            cancel: CancellationToken::new(),
            deadline: Some(Instant::now() + limit),
            observer: self.session.observer.clone(),
        };
        Self { inner: self.inner.clone(), session }
    }

    /// The same store under another token: what is in flight ends when that one is cancelled.
    pub fn with_cancel(&self, cancel: CancellationToken) -> Self {
        Self { inner: self.inner.clone(), session: Session { cancel, ..self.session.clone() } }
    }

    /// Waits until the user or the deadline ends the command; what to say of the operation then.
    pub async fn ended(&self, op: &'static str) -> Error {
        let over = async {
            match self.session.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.session.cancel.cancelled() => Error::Interrupted { op, unknown: false },
            () = over => Error::Deadline { op, last: None },
        }
    }

    /// Connects to the first endpoint and records each step in the trace.
    ///
    /// # Errors
    /// The endpoint cannot be reached.
    pub(crate) async fn dial_traced(&self, trace: &DialTrace) -> Result<(), Error> {
        self.inner.channel.dial_traced(trace).await.map_err(|failure| from_transport(&failure).0)
    }

    /// Whether a login was refused because authentication is not enabled.
    pub(crate) fn auth_is_disabled(&self) -> bool {
        self.inner.auth_disabled.load(Ordering::Relaxed)
    }

    /// The options this store was made with.
    pub fn options(&self) -> &ConnectOptions {
        &self.inner.options
    }

    /// The namespace, prepended to every key on the way in.
    pub fn namespace(&self) -> &[u8] {
        &self.inner.options.namespace
    }

    /// The key as etcd has it.
    pub fn absolute(&self, key: &[u8]) -> Vec<u8> {
        [self.namespace(), key].concat()
    }

    /// A key of etcd's without the namespace.
    pub(crate) fn relative(&self, mut key: Vec<u8>) -> Vec<u8> {
        let namespace = self.namespace();
        if !namespace.is_empty() && key.starts_with(namespace) {
            key.drain(..namespace.len());
        }
        key
    }

    /// The library's client: one whose calls fail at once on a member without a leader, and one for calls that must
    /// work without.
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
                if refusal(status.code(), strip(status.message())) == Refusal::AuthNotEnabled =>
            {
                let text = "a user was given, but authentication is not enabled in etcd; going on without";
                self.session.observer.notice(Notice::Warning, text);
                self.inner.auth_disabled.store(true, Ordering::Relaxed);
                Client::from_channel(channel(), Some(options)).await
            }
            other => other,
        }
    }

    /// The key-value client with room for large answers.
    pub(crate) fn kv(client: &Client) -> etcd_client::KvClient {
        client.kv_client().max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The key-value client for one single key, which cannot be asked for in halves: whatever the server stores.
    pub(crate) fn kv_for_one(client: &Client) -> etcd_client::KvClient {
        client.kv_client().max_decoding_message_size(usize::MAX)
    }
}
