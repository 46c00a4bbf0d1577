//! The handle for one etcd cluster.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use etcd_client::{Client, GetOptions};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::duration::from_now;
use crate::kvstore::cluster_check::ClusterCheck;
use crate::kvstore::error::{Error, from_transport};
use crate::kvstore::identity::StoreIdentity;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::limiter::Limiter;
use crate::kvstore::local::LocalStore;
use crate::kvstore::token::Login;
use crate::transport::channel::FailoverChannel;
use crate::transport::dial::trace::DialTrace;
use crate::transport::{ConnectOptions, Credentials, Endpoint, Session};

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
    /// Whether reads are answered by the member alone; see [`Store::serializable`].
    pub(crate) is_serializable: bool,
    /// The endpoints of other members, from which a large serializable listing may read as well.
    pub(crate) other_members: Arc<[Endpoint]>,
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
    /// Shared with the handles for single members.
    pub(crate) login: Arc<Login>,
    /// Held while logging in.
    pub(crate) logging_in: tokio::sync::Mutex<()>,
    /// Shared with the handles for members of the same cluster.
    pub(crate) identity: Arc<StoreIdentity>,
    /// The file that answers the reads; `None` for a cluster.
    pub(crate) local: Option<Arc<dyn LocalStore>>,
    pub(crate) with_leader: OnceCell<Client>,
    pub(crate) any_member: OnceCell<Client>,
}

impl Inner {
    fn new(
        channel: FailoverChannel,
        options: ConnectOptions,
        limiter: Option<Arc<Limiter>>,
        retry_for: Duration,
    ) -> Self {
        Self {
            options,
            channel,
            limiter,
            retry_for,
            served: AtomicBool::new(false),
            lacks_range_stream: AtomicBool::new(false),
            login: Arc::default(),
            logging_in: tokio::sync::Mutex::default(),
            identity: Arc::default(),
            local: None,
            with_leader: OnceCell::new(),
            any_member: OnceCell::new(),
        }
    }
}

impl Store {
    /// Creates the handle without I/O.
    pub fn new(options: ConnectOptions, session: Session) -> Self {
        // Longer than an election takes.
        let retry_for = options.op_timeout.saturating_mul(2);
        let limiter = options.qps.map(|qps| Arc::new(Limiter::new(qps)));
        Self::with_options(options, session, limiter, retry_for, Arc::default(), Arc::default())
    }

    /// Creates a handle whose reads are answered by a file instead of a cluster. Every other request fails with
    /// [`Error::Local`]. Of the options, the namespace and the transaction limit apply.
    pub fn local(store: Arc<dyn LocalStore>, options: ConnectOptions, session: Session) -> Self {
        let channel = FailoverChannel::new(&options, &session, None);
        let inner = Inner { local: Some(store), ..Inner::new(channel, options, None, Duration::ZERO) };
        Self { inner: Arc::new(inner), session, is_serializable: false, other_members: Arc::default() }
    }

    fn with_options(
        options: ConnectOptions,
        session: Session,
        limiter: Option<Arc<Limiter>>,
        retry_for: Duration,
        login: Arc<Login>,
        identity: Arc<StoreIdentity>,
    ) -> Self {
        let check =
            ClusterCheck { identity: Arc::clone(&identity), login: Arc::clone(&login), limit: options.op_timeout };
        let channel = FailoverChannel::new(&options, &session, Some(Arc::new(check)));
        let inner = Inner { login, identity, ..Inner::new(channel, options, limiter, retry_for) };
        Self { inner: Arc::new(inner), session, is_serializable: false, other_members: Arc::default() }
    }

    /// A handle for one endpoint, which need not be configured and may belong to any cluster: without failover,
    /// `--connect-wait` or retries. It shares the login.
    pub fn pinned(&self, endpoint: &Endpoint) -> Self {
        self.for_endpoint(endpoint, Arc::clone(&self.inner.login), Arc::default())
    }

    /// As [`Store::pinned`], for a member of the cluster that this command talks to.
    pub fn member(&self, endpoint: &Endpoint) -> Self {
        self.for_endpoint(endpoint, Arc::clone(&self.inner.login), Arc::clone(&self.inner.identity))
    }

    /// As [`Store::member`], for all keys of the store: without the namespace.
    pub fn whole_member(&self, endpoint: &Endpoint) -> Self {
        let store = self.member(endpoint);
        if store.inner.local.is_some() {
            return store;
        }
        let options = ConnectOptions { namespace: Vec::new(), ..store.inner.options.clone() };
        let limiter = store.inner.limiter.clone();
        let (login, identity) = (Arc::clone(&store.inner.login), Arc::clone(&store.inner.identity));
        Self::with_options(options, store.session.clone(), limiter, Duration::ZERO, login, identity)
    }

    /// As [`Store::pinned`], with a login of its own.
    pub(crate) fn probe(&self, endpoint: &Endpoint) -> Self {
        self.for_endpoint(endpoint, Arc::default(), Arc::default())
    }

    fn for_endpoint(&self, endpoint: &Endpoint, login: Arc<Login>, identity: Arc<StoreIdentity>) -> Self {
        if self.inner.local.is_some() {
            // A file has no endpoints.
            return self.clone();
        }
        let mut options = self.inner.options.clone();
        options.endpoints = vec![endpoint.clone()];
        options.connect_wait = None;
        let (session, limiter) = (self.session.clone(), self.inner.limiter.clone());
        Self::with_options(options, session, limiter, Duration::ZERO, login, identity)
    }

    /// A handle whose reads need neither a leader nor a quorum: the member answers from its own data, which may be old.
    /// Watches do not require a leader. Writes are not affected.
    #[must_use]
    pub fn serializable(&self) -> Self {
        Self { is_serializable: true, ..self.clone() }
    }

    /// A handle whose large serializable listings may read from these endpoints as well.
    #[must_use]
    pub(crate) fn with_other_members(self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self { other_members: endpoints.into_iter().collect(), ..self }
    }

    /// The options of a read.
    pub(crate) fn get_options(&self) -> GetOptions {
        if self.is_serializable { GetOptions::new().with_serializable() } else { GetOptions::new() }
    }

    /// A handle for the same connection without credentials.
    pub fn anonymous(&self) -> Self {
        self.with_login_of(None)
    }

    /// A handle for the same connection that logs in as another user.
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        self.with_login_of(Some(credentials))
    }

    fn with_login_of(&self, credentials: Option<Credentials>) -> Self {
        let Inner { channel, options, limiter, retry_for, identity, .. } = self.inner.as_ref();
        let options = ConnectOptions { credentials, token: None, ..options.clone() };
        let inner = Inner {
            identity: Arc::clone(identity),
            local: self.inner.local.clone(),
            ..Inner::new(channel.clone(), options, limiter.clone(), *retry_for)
        };
        Self { inner: Arc::new(inner), ..self.clone() }
    }

    /// A handle for the same connection whose requests do not wait for `--qps`: what is measured must not contain that wait.
    pub(crate) fn without_rate_limit(&self) -> Self {
        let Inner { channel, options, retry_for, login, identity, local, .. } = self.inner.as_ref();
        let inner = Inner {
            login: Arc::clone(login),
            identity: Arc::clone(identity),
            local: local.clone(),
            ..Inner::new(channel.clone(), options.clone(), None, *retry_for)
        };
        Self { inner: Arc::new(inner), ..self.clone() }
    }

    /// A handle for cleanup after a signal: signals do not cancel it, and it has its own deadline.
    pub fn for_cleanup(&self, limit: Duration) -> Self {
        let session = Session {
            cancel: CancellationToken::new(),
            deadline: Some(from_now(limit)),
            observer: self.session.observer.clone(),
        };
        Self { session, ..self.clone() }
    }

    /// A handle whose requests end at this time, or at the command's deadline if that is earlier.
    pub fn until(&self, limit: Instant) -> Self {
        let deadline = Some(self.session.deadline.map_or(limit, |deadline| deadline.min(limit)));
        Self { session: Session { deadline, ..self.session.clone() }, ..self.clone() }
    }

    /// Whether the deadline of this handle has passed.
    pub fn is_past_deadline(&self) -> bool {
        self.session.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// A handle whose requests are cancelled by another token.
    pub fn with_cancel(&self, cancel: CancellationToken) -> Self {
        Self { session: Session { cancel, ..self.session.clone() }, ..self.clone() }
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

    /// Fails after a signal: what was collected before it is incomplete.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn uninterrupted(&self, op: &'static str) -> Result<(), Error> {
        if self.session.cancel.is_cancelled() { Err(Error::Interrupted { op, unknown: false }) } else { Ok(()) }
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
        self.inner.login.is_disabled()
    }

    /// The ID of the cluster, if a response has told it.
    pub fn known_cluster(&self) -> Option<u64> {
        self.inner.identity.cluster()
    }

    /// The options this store was created with.
    pub fn options(&self) -> &ConnectOptions {
        &self.inner.options
    }

    /// The maximum number of compares, and of operations in each branch, of a transaction (`--max-ops`).
    pub fn max_txn_ops(&self) -> usize {
        self.inner.options.max_txn_ops
    }

    /// How many transactions of up to eight operations fit into one transaction, at most `wanted`. The operations of a nested
    /// transaction count on top of those of the outer one.
    pub fn nested_txns(&self, wanted: usize) -> usize {
        wanted.min(self.max_txn_ops().saturating_sub(8)).max(1)
    }

    /// The namespace, prepended to every key that is sent.
    pub fn namespace(&self) -> &[u8] {
        &self.inner.options.namespace
    }

    /// The key with the namespace prepended.
    pub fn absolute(&self, key: &[u8]) -> Vec<u8> {
        [self.namespace(), key].concat()
    }

    /// The range with the namespace prepended.
    pub fn absolute_range(&self, range: &KeyRange) -> KeyRange {
        range.within(self.namespace())
    }

    /// The absolute key without the namespace.
    pub(crate) fn relative(&self, mut key: Vec<u8>) -> Vec<u8> {
        let namespace = self.namespace();
        if !namespace.is_empty() && key.starts_with(namespace) {
            key.drain(..namespace.len());
        }
        key
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
