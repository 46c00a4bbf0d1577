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
const LONGEST_NAP: Duration = Duration::from_millis(500);
/// How long a key is held before it is watched, so that short work is not slowed down by it.
const BEFORE_MINDING: Duration = Duration::from_millis(50);
/// How long the revocation of a lease that nobody will use may take.
const CLEANUP: Duration = Duration::from_secs(1);

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
    pub trouble: Option<String>,
}

/// A lease of this process, kept alive in the background. Dropped, it is kept no longer and runs out by itself.
pub struct LeaseKeeper {
    grant: Grant,
    alive: Arc<watch::Sender<LeaseState>>,
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
        let mut asked = BootTime::now();
        let grant = self.grant_as(id, ttl).await?;
        let ttl = grant_ttl(grant);
        if asked.elapsed() > ttl / 4 {
            // Whoever waited long for the server would begin with a lease that is half over.
            asked = match self.renew_within(grant.id, self.options().op_timeout).await {
                Ok(sent) => sent,
                Err(error) => {
                    let _ = self.for_cleanup(CLEANUP).revoke(grant.id).await;
                    return Err(error);
                }
            };
        }
        let alive = Arc::new(watch::Sender::new(LeaseState { until: asked + ttl, lost: None, trouble: None }));
        let keeper = KeepaliveTask { store: self.unbound(), id: grant.id, ttl, alive: Arc::clone(&alive) };
        let task = tokio::spawn(keeper.run(asked)).abort_handle();
        Ok(LeaseKeeper { grant, alive, tasks: Mutex::new(vec![task]) })
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
    async fn create_again(&self, held: &KeyValue, lease: LeaseId) -> Result<(bool, Revision), Error> {
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
    pub(crate) async fn renew_within(&self, id: LeaseId, bound: Duration) -> Result<BootTime, Error> {
        let request = Request { bound: Timeout::Fixed(bound), ..Request::read("lease keep-alive", &[]) };
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
    pub fn alive(&self) -> LeaseState {
        self.alive.borrow().clone()
    }

    /// A view that can be waited on.
    pub fn watch(&self) -> watch::Receiver<LeaseState> {
        self.alive.subscribe()
    }

    /// Why the lease is lost, if it is, or if less than `margin` of its certain life is left.
    pub fn is_lost(&self, margin: Duration) -> Option<LeaseLoss> {
        let now = self.alive();
        now.lost.or_else(|| (now.until - margin).left().is_zero().then_some(LeaseLoss::Late(now.trouble)))
    }

    /// Waits until the lease is lost, or less than `margin` of its certain life is left.
    pub async fn lost(&self, margin: Duration) -> LeaseLoss {
        let mut view = self.watch();
        loop {
            let until = view.borrow_and_update().until;
            if let Some(loss) = self.is_lost(margin) {
                return loss;
            }
            let left = (until - margin).left();
            tokio::select! {
                _ = view.changed() => {}
                () = tokio::time::sleep(left.min(LONGEST_NAP)) => {}
            }
        }
    }

    /// Counts the lease as lost as soon as its key of this create revision is gone.
    pub fn watch_key(&self, store: &Store, key: &[u8], revision: Revision) {
        let (store, key, alive) = (store.unbound(), key.to_vec(), Arc::clone(&self.alive));
        self.spawn_scoped(async move {
            // Many a key is not held for longer, and what became of it until then is told all the same.
            tokio::time::sleep(BEFORE_MINDING).await;
            // Where the key may not be read, the lease alone tells of a loss.
            if store.key_gone(&key, revision, revision).await.is_ok() {
                lose(&alive, LeaseLoss::KeyGone);
            }
        });
    }

    /// Sees to it that a key (without the namespace) that was created on this lease is there as long as the lease lives:
    /// where somebody deletes it, it is created again with its value, unless somebody else was quicker.
    pub fn restore_key(&self, store: &Store, held: KeyValue, created: Revision, restored: impl Fn() + Send + 'static) {
        let (store, lease, alive) = (store.unbound(), self.id(), Arc::clone(&self.alive));
        self.spawn_scoped(async move {
            let mut created = created;
            let absolute = store.absolute(&held.key);
            while store.key_gone(&absolute, created, created).await.is_ok() {
                match store.create_again(&held, lease).await {
                    Ok((anew, revision)) => {
                        created = revision;
                        if anew {
                            restored();
                        }
                    }
                    Err(error) if error.is_refusal(Refusal::LeaseNotFound) => {
                        return lose(&alive, LeaseLoss::LeaseGone);
                    }
                    // The deletion is found again at once.
                    Err(_) => tokio::time::sleep(LONGEST_NAP).await,
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
        let alive = Arc::clone(&self.alive);
        self.spawn_scoped(async move { lose(&alive, what.await) });
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

fn lose(alive: &watch::Sender<LeaseState>, loss: LeaseLoss) {
    alive.send_modify(|alive| {
        alive.lost.get_or_insert(loss);
    });
}

struct KeepaliveTask {
    store: Store,
    id: LeaseId,
    ttl: Duration,
    alive: Arc<watch::Sender<LeaseState>>,
}

impl KeepaliveTask {
    async fn run(self, mut sent: BootTime) {
        // Short enough that another member can still be asked in time.
        let bound = (self.ttl / 6).max(Duration::from_millis(500)).min(self.store.options().op_timeout);
        let again = (self.ttl / 20).clamp(Duration::from_millis(50), Duration::from_secs(1));
        let mut next = sent + self.ttl / 3;
        loop {
            nap(next).await;
            match self.store.renew_within(self.id, bound).await {
                Ok(answered) => {
                    sent = answered;
                    next = sent + self.ttl / 3;
                    self.alive.send_modify(|alive| {
                        alive.until = sent + self.ttl;
                        alive.trouble = None;
                    });
                }
                Err(error) if error.is_refusal(Refusal::LeaseNotFound) => {
                    return lose(&self.alive, LeaseLoss::LeaseGone);
                }
                Err(error) => {
                    next = BootTime::now() + again;
                    self.alive.send_modify(|alive| alive.trouble = Some(error.to_string()));
                }
            }
            if sent.elapsed() >= self.ttl {
                let trouble = self.alive.borrow().trouble.clone();
                return lose(&self.alive, LeaseLoss::Late(trouble));
            }
        }
    }
}

async fn nap(until: BootTime) {
    loop {
        let left = until.left();
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LONGEST_NAP)).await;
    }
}
