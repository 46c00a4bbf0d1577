//! Keeps a lease alive and knows a lower bound of its lifetime.
//!
//! The server counts a lease's TTL from when it receives a keep-alive. So the time at which the last answered keep-alive
//! was sent, plus the granted TTL, is never later than the lease's expiry. Only this deadline decides: failed calls,
//! elections and server restarts do not lose the lease as long as one keep-alive is answered in time.

#![expect(clippy::arithmetic_side_effects, reason = "BootTime saturates, and a duration is divided by a constant")]

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::boottime::BootTime;
use crate::escaped::escape;
use crate::kvstore::backoff::Backoff;
use crate::kvstore::error::Error;
use crate::kvstore::kv::txn::{Compare, KeySelector, LeaseMode, Op, OpResult, Retry, Txn, Write};
use crate::kvstore::lease::{Grant, GrantAttempts, check_id};
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::Request;
use crate::kvstore::response_header::ResponseHeader;
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;
use crate::kvstore::types::{KeyValue, LeaseId, Revision};
use crate::transport::{Notice, Session};

/// The longest sleep without checking the clock: the time to notice an expiry after the machine was suspended.
const MAX_SLEEP: Duration = Duration::from_millis(500);
/// Interval of the attempts to watch a key that the user may not read.
const REFUSED_RETRY: Duration = Duration::from_millis(500);
/// Delay before a key is watched, so that short commands do not pay for a watch.
const WATCH_KEY_AFTER: Duration = Duration::from_millis(50);
/// Time limit for revoking a lease that will not be used.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a lease, or the key attached to it, counts as lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseLoss {
    /// etcd reports that the lease does not exist.
    LeaseGone,
    /// Another client deleted the key.
    KeyGone,
    /// No keep-alive was answered in time; the error of the last one.
    Late(Option<String>),
    /// The endpoints serve another store; the difference.
    OtherStore(String),
}

impl fmt::Display for LeaseLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaseGone => f.write_str("its lease was revoked or has expired"),
            Self::KeyGone => f.write_str("its key was deleted"),
            Self::Late(None) => f.write_str("its lease could not be renewed in time"),
            Self::OtherStore(how) => f.write_str(how),
            Self::Late(Some(why)) => write!(f, "its lease could not be renewed in time ({why})"),
        }
    }
}

/// What is known about a lease that is kept alive.
#[derive(Clone, Debug)]
pub struct LeaseState {
    /// The lease does not expire before this time.
    pub until: BootTime,
    /// The reason if the lease is lost, whatever the clock says.
    pub lost: Option<LeaseLoss>,
    /// The error of the last keep-alive, if it failed.
    pub last_error: Option<String>,
}

/// A lease of this process, kept alive in the background. When dropped, the keep-alive stops and the lease expires.
pub struct LeaseKeeper {
    grant: Grant,
    state: Arc<watch::Sender<LeaseState>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Store {
    /// Grants a lease of at least `ttl` seconds and keeps it alive until [`LeaseKeeper::stop`], also after the command is
    /// cancelled.
    ///
    /// # Errors
    /// As [`Store::grant`].
    pub async fn keep(&self, ttl: i64) -> Result<LeaseKeeper, Error> {
        let mut attempts = GrantAttempts::new(self);
        loop {
            match self.keep_as(LeaseId::random(), ttl).await {
                Err(error) => attempts.pause_after(error).await?,
                kept => return kept,
            }
        }
    }

    /// [`Store::keep`] with an ID from [`LeaseId::random`].
    pub(crate) async fn keep_as(&self, id: LeaseId, ttl: i64) -> Result<LeaseKeeper, Error> {
        let mut sent = BootTime::now();
        let grant = self.grant_as(id, ttl).await?;
        let ttl = grant_ttl(grant);
        if sent.elapsed() > ttl / 4 {
            // After a slow grant much of the TTL may have passed.
            sent = match self.renew_within(grant.id, self.options().op_timeout).await {
                Ok(sent) => sent,
                Err(error) => {
                    let _ = self.for_cleanup(REVOKE_TIMEOUT).revoke_own(grant.id).await;
                    return Err(error);
                }
            };
        }
        let state = Arc::new(watch::Sender::new(LeaseState { until: sent + ttl, lost: None, last_error: None }));
        let keeper = KeepaliveTask { store: self.unbound(), id: grant.id, ttl, state: Arc::clone(&state) };
        let task = tokio::spawn(keeper.run(sent)).abort_handle();
        Ok(LeaseKeeper { grant, state, tasks: Mutex::new(vec![task]) })
    }

    /// A handle for background tasks: neither signals nor the command's deadline cancel it.
    pub fn unbound(&self) -> Self {
        let observer = Arc::clone(&self.session.observer);
        let session = Session { cancel: CancellationToken::new(), deadline: None, observer };
        Self { session, ..self.clone() }
    }

    /// Waits until the absolute key with this create revision is deleted, and watches it again after every failure. Returns
    /// the loss. As long as the user may not read the key, only the lease shows a loss.
    async fn deletion(&self, key: &[u8], created: Revision) -> LeaseLoss {
        let mut backoff = Backoff::default();
        loop {
            match self.wait_deleted(key, created, created).await {
                Ok(_) => return LeaseLoss::KeyGone,
                Err(error @ Error::OtherStore { .. }) => return LeaseLoss::OtherStore(error.to_string()),
                Err(error) if error.is_refusal(Refusal::Permission) => {
                    let text = format!(
                        "cannot watch {}: {error}; its deletion is not noticed until the user may read it again",
                        escape(key)
                    );
                    self.session.observer.notice(Notice::Warning, &text);
                    tokio::time::sleep(REFUSED_RETRY).await;
                }
                Err(_) => tokio::time::sleep(backoff.next_delay()).await,
            }
        }
    }

    /// Creates a key attached to the lease. Returns its create revision, and whether this call created it.
    async fn recreate_key(&self, held: &KeyValue, lease: LeaseId) -> Result<(bool, Revision), Error> {
        let write = Write {
            key: held.key.clone(),
            value: held.value.clone(),
            lease: LeaseMode::Attach(lease),
            prev: false,
            ..Write::default()
        };
        let txn = Txn {
            compares: vec![Compare::missing(&held.key)],
            then: vec![Op::Put(write)],
            otherwise: vec![Op::get_at(KeySelector::Key(held.key.clone()), 0)],
        };
        let answer = self.txn("put", &txn, None, Retry::Idempotent).await?;
        match answer.results.first() {
            Some(OpResult::Get { kvs, .. }) => {
                Ok((answer.maybe_applied, kvs.first().map_or(answer.revision, |kv| kv.create_revision)))
            }
            _ => Ok((true, answer.revision)),
        }
    }

    /// Renews a lease once. Returns the time before the answered request was sent.
    pub(crate) async fn renew_within(&self, id: LeaseId, timeout: Duration) -> Result<BootTime, Error> {
        let request = Request { timeout: Timeout::Fixed(timeout), ..Request::read("lease keep-alive", &[]) };
        let answer = self
            .call(request, |client| async move {
                let sent = BootTime::now();
                // The client library turns the response with TTL 0 (no such lease) into an error.
                client.lease_client().keep_alive(id.0).await.map(|(keeper, _)| RenewedLease(sent, keeper.id()))
            })
            .await?;
        let RenewedLease(sent, answered) = answer.value;
        check_id(id, answered).map_err(|what| request.invalid(what))?;
        Ok(sent)
    }
}

/// When the request was sent, and the lease that the response is about.
struct RenewedLease(BootTime, i64);

impl ResponseHeader for RenewedLease {
    fn revision(&self) -> Revision {
        0
    }
}

fn grant_ttl(grant: Grant) -> Duration {
    Duration::from_secs(u64::try_from(grant.ttl).unwrap_or(0))
}

impl LeaseKeeper {
    /// The lease's ID.
    pub fn id(&self) -> LeaseId {
        self.grant.id
    }

    /// The granted TTL.
    pub fn ttl(&self) -> Duration {
        grant_ttl(self.grant)
    }

    /// What is known about the lease now.
    pub fn state(&self) -> LeaseState {
        self.state.borrow().clone()
    }

    /// A receiver that is notified of state changes.
    pub fn watch(&self) -> watch::Receiver<LeaseState> {
        self.state.subscribe()
    }

    /// The reason if the lease is lost or may expire within `margin`.
    pub fn is_lost(&self, margin: Duration) -> Option<LeaseLoss> {
        let now = self.state();
        now.lost.or_else(|| (now.until - margin).remaining().is_zero().then_some(LeaseLoss::Late(now.last_error)))
    }

    /// Waits until the lease is lost or may expire within `margin`.
    pub async fn lost(&self, margin: Duration) -> LeaseLoss {
        let mut view = self.watch();
        loop {
            let until = view.borrow_and_update().until;
            if let Some(loss) = self.is_lost(margin) {
                return loss;
            }
            let left = (until - margin).remaining();
            tokio::select! {
                _ = view.changed() => {}
                () = tokio::time::sleep(left.min(MAX_SLEEP)) => {}
            }
        }
    }

    /// Marks the lease as lost as soon as its key with this create revision is deleted.
    pub fn watch_key(&self, store: &Store, key: &[u8], revision: Revision) {
        let (store, key) = (store.unbound(), key.to_vec());
        self.watched_by(async move {
            // A deletion during the delay is still found: the watch starts at the key's creation.
            tokio::time::sleep(WATCH_KEY_AFTER).await;
            store.deletion(&key, revision).await
        });
    }

    /// Recreates a key (without the namespace) that was created on this lease whenever another client deletes it, unless
    /// another client has created it first.
    pub fn restore_key(&self, store: &Store, held: KeyValue, created: Revision, restored: impl Fn() + Send + 'static) {
        let (store, lease) = (store.unbound(), self.id());
        self.watched_by(async move {
            let mut created = created;
            let absolute = store.absolute(&held.key);
            loop {
                match store.deletion(&absolute, created).await {
                    LeaseLoss::KeyGone => {}
                    loss => return loss,
                }
                match store.recreate_key(&held, lease).await {
                    Ok((recreated, revision)) => {
                        created = revision;
                        if recreated {
                            restored();
                        }
                    }
                    Err(error) if error.is_refusal(Refusal::LeaseNotFound) => return LeaseLoss::LeaseGone,
                    // The next round finds the deletion again at once.
                    Err(_) => tokio::time::sleep(MAX_SLEEP).await,
                }
            }
        });
    }

    /// Spawns a task that is aborted when the keep-alive stops. When it returns, the lease is marked as lost: a watcher has
    /// no other way to end.
    pub fn watched_by(&self, watcher: impl Future<Output = LeaseLoss> + Send + 'static) {
        let state = Arc::clone(&self.state);
        let task = tokio::spawn(async move { mark_lost(&state, watcher.await) }).abort_handle();
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Stops the keep-alive and aborts the spawned tasks.
    pub fn stop(&self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn mark_lost(state: &watch::Sender<LeaseState>, loss: LeaseLoss) {
    state.send_modify(|state| {
        state.lost.get_or_insert(loss);
    });
}

struct KeepaliveTask {
    store: Store,
    id: LeaseId,
    ttl: Duration,
    state: Arc<watch::Sender<LeaseState>>,
}

impl KeepaliveTask {
    async fn run(self, mut sent: BootTime) {
        // Short enough to retry on another member before the lease expires.
        let timeout = (self.ttl / 6).max(Duration::from_millis(500)).min(self.store.options().op_timeout);
        let retry_after = (self.ttl / 20).clamp(Duration::from_millis(50), Duration::from_secs(1));
        let mut next = sent + self.ttl / 3;
        loop {
            sleep_until(next).await;
            match self.store.renew_within(self.id, timeout).await {
                Ok(answered) => {
                    sent = answered;
                    next = sent + self.ttl / 3;
                    self.state.send_modify(|state| {
                        state.until = sent + self.ttl;
                        state.last_error = None;
                    });
                }
                Err(error) if error.is_refusal(Refusal::LeaseNotFound) => {
                    return mark_lost(&self.state, LeaseLoss::LeaseGone);
                }
                Err(error @ Error::OtherStore { .. }) => {
                    return mark_lost(&self.state, LeaseLoss::OtherStore(error.to_string()));
                }
                Err(error) => {
                    next = BootTime::now() + retry_after;
                    self.state.send_modify(|state| state.last_error = Some(error.to_string()));
                }
            }
            if sent.elapsed() >= self.ttl {
                let last_error = self.state.borrow().last_error.clone();
                return mark_lost(&self.state, LeaseLoss::Late(last_error));
            }
        }
    }
}

async fn sleep_until(until: BootTime) {
    loop {
        let left = until.remaining();
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(MAX_SLEEP)).await;
    }
}
