//! etcd's mutex: joining a lock's queue, waiting to become its holder, proving that the lock is still held.
//!
//! Wire format: `client/v3/concurrency/mutex.go` of etcd, shared by `etcdctl lock`, the server's Lock service and
//! Cilium's `LockPath`. A contender's key is `<name>/<its lease's ID in lower-case hex>`, attached to the lease, with
//! an empty value; the contender with the oldest create revision below `<name>/` holds the lock. kvadm's extension: a
//! shared contender has the value `shared` and waits only for older keys without this value. Other clients wait for it
//! as for any older key.

pub(crate) mod queue;

use std::time::Duration;

use etcd_client::proto::{PbKeyValue, PbTxnOpResponse};
use etcd_client::{
    Compare, CompareOp, EventType, GetOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp, WatchFilterType,
    WatchOptions,
};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::kvstore::backoff::Backoff;
use crate::kvstore::error::{Error, Refusal, classify};
use crate::kvstore::key_range::prefix_end;
use crate::kvstore::kv::txn::LockGuard;
use crate::kvstore::lease::keepalive::LeaseKeeper;
use crate::kvstore::request::{Idempotency, Request};
use crate::kvstore::store::Store;
use crate::kvstore::types::{KeyValue, LeaseId, Revision};

/// The value of a shared contender's key.
pub const SHARED: &[u8] = b"shared";

/// The lease is requested this long before the key attached to it. Measured: without the delay, etcd handles the second
/// of two concurrent requests first in half of all cases and refuses the key.
const GRANT_HEAD_START: Duration = Duration::from_micros(200);
/// How often a deletion watch that was created too late for prompt events is replaced by a new one. If other clients
/// write all the time, every watch is too late; etcd then sends its events within 100 ms.
const MAX_REWATCHES: u32 = 3;

/// A contender's entry in a lock's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// The key, absolute, and its create revision: the fencing token once the lock is held.
    pub guard: LockGuard,
    /// The prefix of all contenders' keys, absolute: the lock's name and a slash.
    prefix: Vec<u8>,
    /// Whether the contender waits only for exclusive contenders.
    shared: bool,
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
    /// The revision at which the key was seen.
    known: Revision,
}

enum QueuePosition {
    Held,
    Deleted,
    Behind(Blocker),
}

/// The name of the lock that this contender's key belongs to; `None` unless the key's last path segment is its own
/// lease's ID.
pub fn lock_key_of(kv: &KeyValue) -> Option<&[u8]> {
    let at = kv.key.iter().rposition(|byte| *byte == b'/')?;
    (kv.key[at + 1..] == *kv.lease?.to_string().as_bytes()).then_some(&kv.key[..at])
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
        shared: bool,
        ttl: i64,
    ) -> Result<(LeaseKeeper, Result<QueueEntry, Error>), Error> {
        let id = LeaseId::random();
        let queued = async {
            // etcd does not handle concurrent requests in the order of arrival. tokio's timer has a resolution of 1 ms.
            self.ensure_ready("lock").await.ok()?;
            spawn_blocking(|| std::thread::sleep(GRANT_HEAD_START)).await.ok()?;
            Some(self.enqueue(name, id, shared).await)
        };
        let (kept, entry) = tokio::join!(biased; self.keep_as(id, ttl), queued);
        let kept = kept?;
        let entry = match entry {
            Some(Err(error)) if is_missing_lease(&error) => self.enqueue(name, id, shared).await,
            Some(entry) => entry,
            None => self.enqueue(name, id, shared).await,
        };
        Ok((kept, entry))
    }

    /// Joins the queue of the lock `name` (without the namespace) with a key attached to `lease`.
    ///
    /// # Errors
    /// Any error of the request; the key may exist nevertheless, and is deleted with its lease.
    pub async fn enqueue(&self, name: &[u8], lease: LeaseId, shared: bool) -> Result<QueueEntry, Error> {
        let prefix = [&self.absolute(name), b"/".as_slice()].concat();
        let key = [prefix.as_slice(), lease.to_string().as_bytes()].concat();
        let value = if shared { SHARED.to_vec() } else { Vec::new() };
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
        let (succeeded, revision, mut results) = self
            .lock_txn(
                Request { guard: "create=0", idempotency: Idempotency::Conditional, ..Request::read("lock", &key) },
                txn,
            )
            .await?;
        let oldest = results.pop().and_then(|mut kvs| kvs.pop());
        let own = if succeeded { Some(revision) } else { results.pop().and_then(|kvs| kvs.first().map(created)) };
        let Some(own) = own else {
            return Err(Error::Protocol { op: "lock", what: "the key neither exists nor was created".to_owned() });
        };
        let first = oldest.is_none_or(|kv| created(&kv) == own);
        Ok(QueueEntry { guard: LockGuard { key, revision: own }, prefix, shared, first })
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
        let options = || if serializable { GetOptions::new().with_serializable() } else { GetOptions::new() };
        let older = options()
            .with_range(range_end(&entry.prefix))
            .with_max_create_revision(guard.revision - 1)
            .with_sort(SortTarget::Create, SortOrder::Descend);
        // A shared contender must find the newest exclusive one among the older ones, so it reads all of them.
        let older = if entry.shared { older } else { older.with_limit(1) };
        let own = TxnOp::get(guard.key.clone(), Some(options().with_keys_only()));
        let txn = Txn::new().and_then([own, TxnOp::get(entry.prefix.clone(), Some(older))]);
        let request = Request { serializable, ..Request::read("lock place", &guard.key) };
        let (_, known, mut results) = self.lock_txn(request, txn).await?;
        let older = results.pop().unwrap_or_default();
        let own = results.pop().unwrap_or_default();
        if own.first().map(created) != Some(guard.revision) {
            return Ok((QueuePosition::Deleted, known));
        }
        let blocks = |kv: &PbKeyValue| !(entry.shared && kv.value == SHARED);
        let place = older.into_iter().find(blocks).map_or(QueuePosition::Held, |kv| {
            let (revision, lease) = (kv.create_revision, LeaseId::from_wire(kv.lease));
            QueuePosition::Behind(Blocker { key: kv.key, revision, lease, known })
        });
        Ok((place, known))
    }

    /// The absolute key that a new contender for the lock `name` would wait for.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn lock_holder(&self, name: &[u8], shared: bool) -> Result<Option<Vec<u8>>, Error> {
        let prefix = [&self.absolute(name), b"/".as_slice()].concat();
        let all = GetOptions::new().with_range(range_end(&prefix)).with_sort(SortTarget::Create, SortOrder::Ascend);
        let all = if shared { all } else { all.with_limit(1) };
        let txn = Txn::new().and_then([TxnOp::get(prefix.clone(), Some(all))]);
        let (_, _, mut results) = self.lock_txn(Request::read("lock place", &prefix), txn).await?;
        let found = results.pop().unwrap_or_default().into_iter().find(|kv| !(shared && kv.value == SHARED));
        Ok(found.map(|kv| kv.key))
    }

    /// Whether the key still has this create revision, so that its lease was held without a gap until now. A read can
    /// be retried until it is answered. A conditional deletion could not: without a response it is unknown which client
    /// deleted the key.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn still_held(&self, guard: &LockGuard) -> Result<bool, Error> {
        let held = Compare::create_revision(guard.key.clone(), CompareOp::Equal, guard.revision);
        let words = format!("create={}", guard.revision);
        let txn = Txn::new().when([held]);
        let request = Request { guard: &words, ..Request::read("unlock proof", &guard.key) };
        Ok(self.lock_txn(request, txn).await?.0)
    }

    /// Waits until the absolute key with this create revision, which existed at revision `known`, is deleted. Retries
    /// transient errors. Returns a revision at which the key did not exist.
    ///
    /// # Errors
    /// A refusal by etcd, an interruption, or the command's deadline.
    pub async fn wait_deleted(&self, key: &[u8], created: Revision, mut known: Revision) -> Result<Revision, Error> {
        let mut backoff = Backoff::default();
        loop {
            match self.watch_deletion(key, created, &mut known).await {
                Ok(Some(gone)) => return Ok(gone),
                // The user may not watch the key, or the stream ended: poll instead.
                Ok(None) => {}
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = self.session.cancel.cancelled() => {
                    return Err(Error::Interrupted { op: "lock watch", unknown: false });
                }
                () = sleep(backoff.next_delay()) => {}
            }
            match self.key_exists(key, created).await {
                Ok((false, revision)) => return Ok(revision),
                Ok((true, revision)) => known = revision,
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn key_exists(&self, key: &[u8], created_in: Revision) -> Result<(bool, Revision), Error> {
        let txn = Txn::new().and_then([TxnOp::get(key.to_vec(), Some(GetOptions::new().with_keys_only()))]);
        let (_, revision, results) = self.lock_txn(Request::read("lock look", key), txn).await?;
        let found = results.first().and_then(|kvs| kvs.first()).map(created);
        Ok((found == Some(created_in), revision))
    }

    /// Watches the key for its deletion after `known`. Returns a revision at which it did not exist, or `None` if the
    /// stream ended.
    async fn watch_deletion(
        &self,
        key: &[u8],
        created: Revision,
        known: &mut Revision,
    ) -> Result<Option<Revision>, Error> {
        let op = "lock watch";
        let generation = self.inner.channel.generation();
        let classified = |error| classify(op, &self.inner.channel.current(), error).0;
        // From a future revision: for such a watch etcd sends events at once, without scanning its history.
        let from = |known: Revision| {
            WatchOptions::new().with_start_revision(known + 1).with_filters(vec![WatchFilterType::NoPut])
        };
        let mut rewatches = MAX_REWATCHES;
        let limit = self.inner.options.op_timeout;
        let open = async {
            let client = self.client(op, true).await.map_err(|(error, _)| error)?;
            client.watch_client().watch(key.to_vec(), Some(from(*known))).await.map_err(classified)
        };
        let mut stream = match timeout(limit, open).await {
            Ok(opened) => opened?,
            Err(_) => {
                let endpoint = self.inner.channel.current();
                self.inner.channel.invalidate(generation);
                return Err(Error::Timeout { op, endpoint, after: limit });
            }
        };
        while let Some(message) = stream.message().await.map_err(classified)? {
            if message.canceled() {
                return Ok(None);
            }
            let deleted = |event: &etcd_client::Event| {
                let at = event.kv().map(etcd_client::KeyValue::mod_revision);
                at.filter(|at| event.event_type() == EventType::Delete && at > known)
            };
            if let Some(gone) = message.events().iter().find_map(deleted) {
                return Ok(Some(gone));
            }
            let newer = message.header().is_some_and(|header| header.revision() > *known);
            if message.created() && newer {
                // The store changed before the watch was created; etcd would send the event with a delay.
                let (there, revision) = self.key_exists(key, created).await?;
                if !there {
                    return Ok(Some(revision));
                }
                *known = revision;
                if rewatches > 0 {
                    rewatches -= 1;
                    stream.watch(key.to_vec(), Some(from(revision))).await.map_err(classified)?;
                }
            }
        }
        Ok(None)
    }

    /// Sends a transaction over absolute keys. Returns whether its conditions held, its revision, and the records of
    /// each operation (none for a write).
    async fn lock_txn(&self, request: Request<'_>, txn: Txn) -> Result<(bool, Revision, Vec<Vec<PbKeyValue>>), Error> {
        let answer = self
            .call(request, |client| {
                let txn = txn.clone();
                async move { Self::kv(&client).txn(txn).await }
            })
            .await?;
        let revision = answer.value.header().map_or(0, etcd_client::ResponseHeader::revision);
        let response = answer.value.0;
        let records = response.responses.into_iter().map(|one| match one.response {
            Some(PbTxnOpResponse::ResponseRange(range)) => range.kvs,
            _ => Vec::new(),
        });
        Ok((response.succeeded, revision, records.collect()))
    }
}

fn created(kv: &PbKeyValue) -> Revision {
    kv.create_revision
}

/// The end of the prefix's range, which exists because the prefix ends in a slash.
fn range_end(prefix: &[u8]) -> Vec<u8> {
    prefix_end(prefix).unwrap_or_else(|| vec![0])
}

/// Whether the key was refused because its lease did not exist yet.
fn is_missing_lease(error: &Error) -> bool {
    match error {
        Error::Unknown { cause, .. } => is_missing_lease(cause),
        error => error.is_refusal(Refusal::LeaseNotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contender_s_key_ends_in_its_own_lease() {
        let kv = |key: &str, lease: i64| KeyValue {
            key: key.into(),
            lease: LeaseId::from_wire(lease),
            ..KeyValue::default()
        };
        assert_eq!(lock_key_of(&kv("/a/b/1f", 0x1f)), Some(b"/a/b".as_slice()));
        assert_eq!(lock_key_of(&kv("/a/1f", 0x2f)), None);
        assert_eq!(lock_key_of(&kv("/a/1F", 0x1f)), None);
        assert_eq!(lock_key_of(&kv("/a/01f", 0x1f)), None);
        assert_eq!(lock_key_of(&kv("/a/0", 0)), None);
        assert_eq!(lock_key_of(&kv("1f", 0x1f)), None);
    }
}
