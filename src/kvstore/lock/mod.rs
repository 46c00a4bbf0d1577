//! etcd's mutex: joining a lock's queue, waiting to become its holder, proving that the lock is still held.
//!
//! Wire format: `client/v3/concurrency/mutex.go` of etcd, shared by `etcdctl lock`, the server's Lock service and
//! Cilium's `LockPath`. A contender's key is `<name>/<its lease's ID in lower-case hex>`, attached to the lease, with
//! a value that nobody reads; the contender with the oldest create revision below `<name>/` holds the lock. kvadm's
//! extension: the value says whether a contender is shared, and names its owner (see [`owner`]). A shared contender waits
//! only for older keys that are not shared. Other clients wait for it as for any older key.
//!
//! `client/v3/experimental/recipes/rwmutex.go` has another layout: `<name>/read/<nanoseconds>` and
//! `<name>/write/<nanoseconds>`. A writer waits for all older keys below `<name>/`, a reader only for those of writers. A
//! contender in this layout ([`LockMode::rw`]) has `<its lease's ID>` instead of the nanoseconds.

pub(crate) mod deletion;
pub(crate) mod leader;
pub(crate) mod lock_key;
pub(crate) mod owner;
pub(crate) mod queue;

use std::time::Duration;

use etcd_client::proto::{PbKeyValue, PbResponseOp, PbTxnOpResponse};
use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::kvstore::backoff::Backoff;
use crate::kvstore::error::Error;
use crate::kvstore::key_range::prefix_end;
use crate::kvstore::kv::response_check::check_records_read;
use crate::kvstore::kv::txn::LockGuard;
use crate::kvstore::lease::GrantAttempts;
use crate::kvstore::lease::keepalive::LeaseKeeper;
use crate::kvstore::lock::lock_key::{rw_mutex_key_of, shares};
use crate::kvstore::lock::owner::{LockLabel, LockMode, LockOwner, parse_owner};
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::{Idempotency, Request};
use crate::kvstore::store::Store;
use crate::kvstore::types::{LeaseId, Revision};

/// The lease is requested this long before the key attached to it. Measured: without the delay, etcd handles the second
/// of two concurrent requests first in half of all cases and refuses the key.
const GRANT_HEAD_START: Duration = Duration::from_micros(200);
/// A contender's entry in a lock's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// The key, absolute, and its create revision: the fencing token once the lock is held.
    pub guard: LockGuard,
    /// The prefix of all contenders' keys, absolute: the lock's name and a slash.
    prefix: Vec<u8>,
    /// How the contender takes the lock.
    mode: LockMode,
    /// Whether no other contender was ahead when the entry was created.
    pub first: bool,
}

/// The contender that another contender waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// The newest key to wait for, absolute.
    pub key: Vec<u8>,
    /// The key's create revision.
    pub revision: Revision,
    /// The key's lease; without a lease the key stays until a client deletes it.
    pub lease: Option<LeaseId>,
    /// The owner that the key names.
    pub owner: Option<LockOwner>,
    /// Whether it contends as a reader or writer of Go's `recipes.RWMutex`.
    pub rw: bool,
    /// The revision at which the key was seen.
    known: Revision,
}

/// The contender that a new contender for a lock would wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// The key, absolute.
    pub key: Vec<u8>,
    /// The key's lease.
    pub lease: Option<LeaseId>,
    /// The owner that the key names.
    pub owner: Option<LockOwner>,
    /// Whether it holds the lock; otherwise it waits too.
    pub holds: bool,
}

enum QueuePosition {
    Held,
    Deleted,
    Behind(Blocker),
}

impl Store {
    /// Grants a lease of at least `ttl` seconds, keeps it alive, and joins the queue of the lock `name` (without the
    /// namespace) with a key attached to it. Both requests are sent concurrently. If only the second one fails, the
    /// lease is returned with the error.
    ///
    /// # Errors
    /// As [`Store::keep`]; the inner result as [`Store::enqueue`].
    pub async fn contend(
        &self,
        name: &[u8],
        mode: LockMode,
        label: LockLabel<'_>,
        ttl: i64,
    ) -> Result<(LeaseKeeper, Result<QueueEntry, Error>), Error> {
        let mut attempts = GrantAttempts::new(self);
        loop {
            match self.contend_as(LeaseId::random(), name, mode, label, ttl).await {
                Err(error) => attempts.pause_after(error).await?,
                contending => return contending,
            }
        }
    }

    async fn contend_as(
        &self,
        id: LeaseId,
        name: &[u8],
        mode: LockMode,
        label: LockLabel<'_>,
        ttl: i64,
    ) -> Result<(LeaseKeeper, Result<QueueEntry, Error>), Error> {
        let queued = async {
            // etcd does not handle concurrent requests in the order of arrival. tokio's timer has a resolution of 1 ms.
            self.ensure_ready("lock").await.ok()?;
            spawn_blocking(|| std::thread::sleep(GRANT_HEAD_START)).await.ok()?;
            Some(self.enqueue(name, id, mode, label).await)
        };
        let (kept, entry) = tokio::join!(biased; self.keep_as(id, ttl), queued);
        let kept = kept?;
        let entry = match entry {
            Some(Err(error)) if is_missing_lease(&error) => self.enqueue(name, id, mode, label).await,
            Some(entry) => entry,
            None => self.enqueue(name, id, mode, label).await,
        };
        Ok((kept, entry))
    }

    /// Joins the queue of the lock `name` (without the namespace) with a key attached to `lease`.
    ///
    /// # Errors
    /// Any error of the request; the key may exist nevertheless, and is deleted with its lease.
    pub async fn enqueue(
        &self,
        name: &[u8],
        lease: LeaseId,
        mode: LockMode,
        label: LockLabel<'_>,
    ) -> Result<QueueEntry, Error> {
        let prefix = [&self.absolute(name), b"/".as_slice()].concat();
        let directory: &[u8] = match mode {
            LockMode { rw: false, .. } => b"",
            LockMode { shared: true, .. } => b"read/",
            LockMode { .. } => b"write/",
        };
        let key = [prefix.as_slice(), directory, lease.to_string().as_bytes()].concat();
        let value = label.value(mode);
        let oldest = GetOptions::new()
            .with_range(range_end(&prefix))
            .with_sort(SortTarget::Create, SortOrder::Ascend)
            .with_limit(1);
        let oldest = TxnOp::get(prefix.clone(), Some(oldest));
        let txn = Txn::new()
            .when([Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
            .and_then([TxnOp::put(key.clone(), value, Some(PutOptions::new().with_lease(lease.0))), oldest.clone()])
            .or_else([TxnOp::get(key.clone(), None), oldest]);
        // A second delivery finds the key that the first one created: no other client uses this lease.
        let (succeeded, revision, mut results) = self.join_queue(&key, txn).await?;
        let oldest = results.pop().and_then(|mut kvs| kvs.pop());
        let own = if succeeded { Some(revision) } else { results.pop().and_then(|kvs| kvs.first().map(created)) };
        let Some(own) = own else {
            return Err(Error::Protocol { op: "lock", what: "the key neither exists nor was created".to_owned() });
        };
        let first = oldest.is_none_or(|kv| created(&kv) == own);
        Ok(QueueEntry { guard: LockGuard { key, revision: own }, prefix, mode, first })
    }

    /// Waits until this contender holds the lock (`true`) or its key is deleted (`false`), and calls `behind` with each
    /// contender it waits for. Transient errors are retried without limit; drop the future to stop.
    ///
    /// # Errors
    /// A refusal by etcd, an interruption, or the command's deadline.
    pub async fn wait_turn(&self, entry: &QueueEntry, mut behind: impl FnMut(&Blocker)) -> Result<bool, Error> {
        let mut backoff = Backoff::default();
        let mut deleted_at = None;
        loop {
            let blocker = match self.position(entry, deleted_at).await {
                Ok(QueuePosition::Held) => return Ok(true),
                Ok(QueuePosition::Deleted) => return Ok(false),
                Ok(QueuePosition::Behind(blocker)) => blocker,
                Err(error) if error.is_transient() => {
                    sleep(backoff.next_delay()).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            backoff.reset();
            behind(&blocker);
            deleted_at = Some(self.wait_deleted(&blocker.key, blocker.revision, blocker.known).await?);
        }
    }

    /// The contender that this contender waits for, if any.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn blocker(&self, entry: &QueueEntry) -> Result<Option<Blocker>, Error> {
        match self.position(entry, None).await? {
            QueuePosition::Behind(blocker) => Ok(Some(blocker)),
            QueuePosition::Held | QueuePosition::Deleted => Ok(None),
        }
    }

    /// This contender's position. After a blocker was deleted at revision `deleted_at`, a serializable read suffices if
    /// the member has reached that revision.
    async fn position(&self, entry: &QueueEntry, deleted_at: Option<Revision>) -> Result<QueuePosition, Error> {
        if let Some(deleted_at) = deleted_at {
            let (place, known) = self.read_position(entry, true).await?;
            if known >= deleted_at {
                return Ok(place);
            }
            // Another member, which lags.
        }
        Ok(self.read_position(entry, false).await?.0)
    }

    async fn read_position(&self, entry: &QueueEntry, serializable: bool) -> Result<(QueuePosition, Revision), Error> {
        let guard = &entry.guard;
        // A shared contender must find the newest exclusive one among the older ones, so it reads all of them.
        let mut limit = if entry.mode.shared { 0 } else { 2 };
        let (known, found) = loop {
            let options = if serializable { GetOptions::new().with_serializable() } else { GetOptions::new() };
            let newest_first = options
                .with_range(range_end(&entry.prefix))
                .with_max_create_revision(guard.revision)
                .with_sort(SortTarget::Create, SortOrder::Descend)
                .with_limit(limit);
            let request = Request { serializable, ..Request::read("lock place", &entry.prefix) };
            let (known, found) = self.lock_range(request, newest_first).await?;
            // A key that was created in the same transaction is not ahead, but takes the place of one that is.
            let twin = |kv: &PbKeyValue| created(kv) == guard.revision && kv.key != guard.key;
            if limit == 0 || !found.iter().any(twin) {
                break (known, found);
            }
            limit = 0;
        };
        if !found.iter().any(|kv| kv.key == guard.key && created(kv) == guard.revision) {
            return Ok((QueuePosition::Deleted, known));
        }
        let blocks =
            |kv: &PbKeyValue| created(kv) < guard.revision && !(entry.mode.shared && shares(&kv.key, &kv.value));
        let place = found.into_iter().find(blocks).map_or(QueuePosition::Held, |kv| {
            let (revision, lease) = (kv.create_revision, LeaseId::from_wire(kv.lease));
            let owner = parse_owner(&kv.value);
            let rw = rw_mutex_key_of(&kv.key, &kv.value).is_some();
            QueuePosition::Behind(Blocker { key: kv.key, revision, lease, owner, rw, known })
        });
        Ok((place, known))
    }

    /// The oldest contender that a new contender for the lock `name` would wait for.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn lock_holder(&self, name: &[u8], shared: bool) -> Result<Option<LockHolder>, Error> {
        let prefix = [&self.absolute(name), b"/".as_slice()].concat();
        let all = GetOptions::new().with_range(range_end(&prefix)).with_sort(SortTarget::Create, SortOrder::Ascend);
        let all = if shared { all } else { all.with_limit(1) };
        let (_, found) = self.lock_range(Request::read("lock place", &prefix), all).await?;
        let at = found.iter().position(|kv| !(shared && shares(&kv.key, &kv.value)));
        Ok(at.and_then(|at| {
            let kv = found.into_iter().nth(at)?;
            let (lease, owner) = (LeaseId::from_wire(kv.lease), parse_owner(&kv.value));
            Some(LockHolder { key: kv.key, lease, owner, holds: at == 0 })
        }))
    }

    /// The place in the queue of the contender that joined at this revision, counted from 1 with the holder first. A queue may
    /// be long: at most `limit` keys are read, and the place is then no more than `limit`.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn place_in_queue(&self, name: &[u8], joined: Revision, limit: u16) -> Result<u64, Error> {
        let prefix = [&self.absolute(name), b"/".as_slice()].concat();
        let ahead = GetOptions::new()
            .with_range(range_end(&prefix))
            .with_max_create_revision(joined.saturating_sub(1))
            .with_keys_only()
            .with_limit(i64::from(limit.saturating_sub(1)));
        let (_, found) = self.lock_range(Request::read("lock place", &prefix), ahead).await?;
        Ok((found.len() as u64).saturating_add(1))
    }

    /// The guard with its absolute key, if the key may be relative to the namespace: a lock may lie outside the namespace,
    /// so the one that is held decides. A key that begins with the namespace is absolute.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn locate_guard(&self, guard: LockGuard) -> Result<LockGuard, Error> {
        if guard.key.starts_with(self.namespace()) {
            return Ok(guard);
        }
        let inside = LockGuard { key: self.absolute(&guard.key), revision: guard.revision };
        match self.still_held(&inside).await {
            Ok(held) => Ok(if held { inside } else { guard }),
            Err(error) if error.is_refusal(Refusal::Permission) => Ok(guard),
            Err(error) => Err(error),
        }
    }

    /// Whether the key still has this create revision, so that its lease was held without a gap until now. A read can
    /// be retried until it is answered. A conditional deletion could not: without a response it is unknown which client
    /// deleted the key.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn still_held(&self, guard: &LockGuard) -> Result<bool, Error> {
        // Not a transaction that only compares: etcd serves that from any member's state, which may be old.
        let (_, found) =
            self.lock_range(Request::read("unlock proof", &guard.key), GetOptions::new().with_keys_only()).await?;
        Ok(found.first().map(created) == Some(guard.revision))
    }

    /// Reads the request's key, or the range from it. Returns the revision and the records. Not as a transaction: etcd 3.5.1
    /// can crash if the client of a transaction that only reads goes away meanwhile.
    pub(super) async fn lock_range(
        &self,
        request: Request<'_>,
        options: GetOptions,
    ) -> Result<(Revision, Vec<PbKeyValue>), Error> {
        let answer = self
            .call(request, |client| {
                let (key, options) = (request.key.to_vec(), options.clone());
                async move { Self::kv(&client).get(key, Some(options)).await }
            })
            .await?;
        let revision = answer.value.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok((revision, answer.value.0.kvs))
    }

    /// Sends the transaction that joins a queue. Returns whether its conditions held, its revision, and the records of each
    /// operation (none for a write).
    async fn join_queue(&self, key: &[u8], txn: Txn) -> Result<(bool, Revision, Vec<Vec<PbKeyValue>>), Error> {
        let request =
            Request { guard: "create=0", idempotency: Idempotency::Conditional, ..Request::read("lock", key) };
        let answer = self
            .call(request, |client| {
                let txn = txn.clone();
                async move { Self::kv(&client).txn(txn).await }
            })
            .await?;
        let revision = answer.value.header().map_or(0, etcd_client::ResponseHeader::revision);
        let response = answer.value.0;
        check_records_read(&response.responses)
            .and_then(|()| check_join(response.succeeded, &response.responses))
            .map_err(|what| request.invalid(what))?;
        let records = response.responses.into_iter().map(|one| match one.response {
            Some(PbTxnOpResponse::ResponseRange(range)) => range.kvs,
            _ => Vec::new(),
        });
        Ok((response.succeeded, revision, records.collect()))
    }
}

/// Checks the results of the transaction that joins a queue: the key was written or read, and the oldest key was read.
fn check_join(succeeded: bool, results: &[PbResponseOp]) -> Result<(), String> {
    let kinds = results.iter().map(|result| &result.response);
    let right = match kinds.collect::<Vec<_>>().as_slice() {
        [Some(first), Some(PbTxnOpResponse::ResponseRange(_))] => match first {
            PbTxnOpResponse::ResponsePut(_) => succeeded,
            PbTxnOpResponse::ResponseRange(_) => !succeeded,
            _ => false,
        },
        _ => false,
    };
    if right { Ok(()) } else { Err("its results are not those of its operations".to_owned()) }
}

pub(super) fn created(kv: &PbKeyValue) -> Revision {
    kv.create_revision
}

/// The end of the prefix's range, which exists because the prefix ends in a slash.
pub(super) fn range_end(prefix: &[u8]) -> Vec<u8> {
    prefix_end(prefix).unwrap_or_else(|| vec![0])
}

/// Whether the key was refused because its lease did not exist yet.
fn is_missing_lease(error: &Error) -> bool {
    match error {
        Error::Unknown { cause, .. } => is_missing_lease(cause),
        error => error.is_refusal(Refusal::LeaseNotFound),
    }
}
