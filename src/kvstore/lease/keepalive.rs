//! A lease that is kept alive, and the certain knowledge of how long it lives.
//!
//! The server counts a lease's TTL from when it gets a keep-alive, so the moment *before* the last answered one was sent,
//! plus the granted TTL, is never later than the lease's end. That is the only deadline here: a call that fails, a
//! leader that goes or a server that is started again is no loss as long as one keep-alive is answered in time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::boottime::BootTime;
use crate::kvstore::error::{Error, Refusal};
use crate::kvstore::kv::txn::{Compare, KeySelector, LeaseMode, Op, OpResult, Retry, Txn, Write};
use crate::kvstore::lease::Grant;
use crate::kvstore::request::{Request, ResponseHeader};
use crate::kvstore::store::Store;
use crate::kvstore::timeout::Timeout;
use crate::kvstore::types::{KeyValue, LeaseId, Revision};
use crate::transport::Session;

/// The longest sleep: after the machine itself slept, this much passes at most before the clock is looked at.
const MAX_SLEEP: Duration = Duration::from_millis(500);
/// How long a key is held before it is watched, so that short work is not slowed down by it.
const WATCH_KEY_AFTER: Duration = Duration::from_millis(50);
/// How long the revocation of a lease that nobody will use may take.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a lease, or the key on it, counts as lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseLoss {
    /// etcd says that there is no such lease (any more).
    LeaseGone,
    /// Somebody deleted the key.
    KeyGone,
    /// No keep-alive was answered in time; what the last one ended with.
    Late(Option<String>),
}

impl fmt::Display for LeaseLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaseGone => f.write_str("its lease was revoked or has run out"),
            Self::KeyGone => f.write_str("somebody deleted its key"),
            Self::Late(None) => f.write_str("its lease could not be renewed in time"),
            Self::Late(Some(why)) => write!(f, "its lease could not be renewed in time ({why})"),
        }
    }
}

/// What is known of a lease that is kept alive.
#[derive(Clone, Debug)]
pub struct LeaseState {
    /// Until then it lives for certain.
    pub until: BootTime,
    /// It is lost, whatever the clock says.
    pub lost: Option<LeaseLoss>,
    /// What the last keep-alive failed with, if it did.
    pub last_error: Option<String>,
}

/// A lease of this process, kept alive in the background. Dropped, it is kept no longer and runs out by itself.
pub struct LeaseKeeper {
    grant: Grant,
    state: Arc<watch::Sender<LeaseState>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Store {
    /// Grants a lease of at least `ttl` seconds and keeps it alive, also when the command is being ended, until
    /// [`LeaseKeeper::stop`].
    ///
    /// # Errors
    /// As [`Store::grant`].
    pub async fn keep(&self, ttl: i64) -> Result<LeaseKeeper, Error> {
        self.keep_as(LeaseId::random(), ttl).await
    }

    /// The same with an ID from [`LeaseId::random`].
    pub(crate) async fn keep_as(&self, id: LeaseId, ttl: i64) -> Result<LeaseKeeper, Error> {
        let mut sent = BootTime::now();
        let grant = self.grant_as(id, ttl).await?;
        let ttl = grant_ttl(grant);
        if sent.elapsed() > ttl / 4 {
            // Whoever waited long for the server would begin with a lease that is half over.
            sent = match self.renew_within(grant.id, self.options().op_timeout).await {
                Ok(sent) => sent,
                Err(error) => {
                    let _ = self.for_cleanup(REVOKE_TIMEOUT).revoke(grant.id).await;
                    return Err(error);
                }
            };
        }
        let state = Arc::new(watch::Sender::new(LeaseState { until: sent + ttl, lost: None, last_error: None }));
        let keeper = KeepaliveTask { store: self.unbound(), id: grant.id, ttl, state: Arc::clone(&state) };
        let task = tokio::spawn(keeper.run(sent)).abort_handle();
        Ok(LeaseKeeper { grant, state, tasks: Mutex::new(vec![task]) })
    }

    /// The same store for what goes on in the background: neither the user's signal nor the command's deadline ends it.
    pub fn unbound(&self) -> Self {
        let observer = Arc::clone(&self.session.observer);
        Self {
            inner: self.inner.clone(),
            session: Session { cancel: CancellationToken::new(), deadline: None, observer },
        }
    }

    /// Creates a key on the lease. Gives its create revision, and whether it was this that created it.
    async fn recreate_key(&self, held: &KeyValue, lease: LeaseId) -> Result<(bool, Revision), Error> {
        let write =
            Write { key: held.key.clone(), value: held.value.clone(), lease: LeaseMode::Attach(lease), prev: false };
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

    /// Renews a lease once and gives the moment before the answered request was sent.
    pub(crate) async fn renew_within(&self, id: LeaseId, timeout: Duration) -> Result<BootTime, Error> {
        let request = Request { timeout: Timeout::Fixed(timeout), ..Request::read("lease keep-alive", &[]) };
        let answer = self
            .call(request, |client| async move {
                let sent = BootTime::now();
                // The answer of TTL 0 that stands for a lease that is gone comes as an error.
                client.lease_client().keep_alive(id.0).await.map(|_| RenewedLease(sent))
            })
            .await?;
        Ok(answer.value.0)
    }
}

struct RenewedLease(BootTime);

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

    /// The TTL that was granted.
    pub fn ttl(&self) -> Duration {
        grant_ttl(self.grant)
    }

    /// What is known of it now.
    pub fn state(&self) -> LeaseState {
        self.state.borrow().clone()
    }

    /// A view that can be waited on.
    pub fn watch(&self) -> watch::Receiver<LeaseState> {
        self.state.subscribe()
    }

    /// Why the lease is lost, if it is, or if less than `margin` of its certain life is left.
    pub fn is_lost(&self, margin: Duration) -> Option<LeaseLoss> {
        let now = self.state();
        now.lost.or_else(|| (now.until - margin).remaining().is_zero().then_some(LeaseLoss::Late(now.last_error)))
    }

    /// Waits until the lease is lost, or less than `margin` of its certain life is left.
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

    /// Counts the lease as lost as soon as its key of this create revision is gone.
    pub fn watch_key(&self, store: &Store, key: &[u8], revision: Revision) {
        let (store, key, state) = (store.unbound(), key.to_vec(), Arc::clone(&self.state));
        self.spawn_scoped(async move {
            // Many a key is not held for longer, and what became of it until then is told all the same.
            tokio::time::sleep(WATCH_KEY_AFTER).await;
            // Where the key may not be read, the lease alone tells of a loss.
            if store.wait_deleted(&key, revision, revision).await.is_ok() {
                mark_lost(&state, LeaseLoss::KeyGone);
            }
        });
    }

    /// Sees to it that a key (without the namespace) that was created on this lease is there as long as the lease lives:
    /// where somebody deletes it, it is created retry_after with its value, unless somebody else was quicker.
    pub fn restore_key(&self, store: &Store, held: KeyValue, created: Revision, restored: impl Fn() + Send + 'static) {
        let (store, lease, state) = (store.unbound(), self.id(), Arc::clone(&self.state));
        self.spawn_scoped(async move {
            let mut created = created;
            let absolute = store.absolute(&held.key);
            while store.wait_deleted(&absolute, created, created).await.is_ok() {
                match store.recreate_key(&held, lease).await {
                    Ok((recreated, revision)) => {
                        created = revision;
                        if recreated {
                            restored();
                        }
                    }
                    Err(error) if error.is_refusal(Refusal::LeaseNotFound) => {
                        return mark_lost(&state, LeaseLoss::LeaseGone);
                    }
                    // The deletion is found retry_after at once.
                    Err(_) => tokio::time::sleep(MAX_SLEEP).await,
                }
            }
        });
    }

    /// Runs this beside the keep-alive, as long as that.
    pub fn spawn_scoped(&self, what: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(what).abort_handle();
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Runs this beside the keep-alive; where it ends, the lease counts as lost.
    pub fn watched_by(&self, what: impl Future<Output = LeaseLoss> + Send + 'static) {
        let state = Arc::clone(&self.state);
        self.spawn_scoped(async move { mark_lost(&state, what.await) });
    }

    /// Ends the keep-alive and all that runs beside it.
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
        // Short enough that another member can still be sent in time.
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
