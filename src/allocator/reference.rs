//! Reads, renews and releases one node's references.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tokio::time::sleep;

use super::locks::BATCH;
use super::{Id, Layout};
use crate::escaped::escape;
use crate::kvstore::{
    Backoff, Compare, Error, Grant, KeySelector, KeyValue, LeaseId, LockGuard, Op, OpResult, ReadOptions, Retry,
    Revision, Store, Txn,
};

/// Attempts to release a reference that other clients keep changing.
const MAX_ATTEMPTS: u32 = 10;
/// References of the key that are read along with the release.
const REFERENCE_LIMIT: i64 = 16;

/// A released reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleasedReference {
    /// The ID it named; `None` if its value was not an ID.
    pub id: Option<Id>,
    /// Whether it was the key's last reference.
    pub last_use: bool,
}

/// A renewed reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewedReference {
    /// The ID it names; `None` if its value is not an ID.
    pub id: Option<Id>,
    /// Its lease, renewed; `None` for a permanent one.
    pub lease: Option<Grant>,
}

/// The references of one node.
pub struct NodeReferences<'a> {
    store: &'a Store,
    layout: &'a Layout,
    node: &'a [u8],
    guard: Option<&'a LockGuard>,
}

impl<'a> NodeReferences<'a> {
    /// References of `node`; releasing them requires that `guard` is held.
    pub fn new(store: &'a Store, layout: &'a Layout, node: &'a [u8], guard: Option<&'a LockGuard>) -> Self {
        Self { store, layout, node, guard }
    }

    /// Reads this node's references to these keys.
    ///
    /// # Errors
    /// etcd is unreachable or rejects a request.
    pub async fn read(&self, keys: &[&[u8]]) -> Result<Vec<Option<KeyValue>>, Error> {
        let paths: Vec<Vec<u8>> = keys.iter().map(|key| self.layout.reference(key, self.node)).collect();
        Ok(self.store.get_many(&paths, 0, None).await?.kvs)
    }

    /// Renews the leases of this node's references, each lease once; `None` for a missing reference.
    ///
    /// # Errors
    /// etcd is unreachable or rejects a request.
    pub async fn renew(&self, keys: &[&[u8]]) -> Result<Vec<Option<RenewedReference>>, Error> {
        let mut leases: HashMap<LeaseId, Option<Grant>> = HashMap::new();
        let mut renewed = Vec::with_capacity(keys.len());
        for found in self.read(keys).await? {
            let Some(reference) = found else {
                renewed.push(None);
                continue;
            };
            let id = Id::parse(&reference.value);
            let lease = match reference.lease {
                None => None,
                Some(lease) => {
                    if let Entry::Vacant(unasked) = leases.entry(lease) {
                        unasked.insert(self.store.renew(lease).await?);
                    }
                    match leases.get(&lease).copied().flatten() {
                        Some(grant) => Some(grant),
                        // The lease has expired, and its references with it.
                        None => {
                            renewed.push(None);
                            continue;
                        }
                    }
                }
            };
            renewed.push(Some(RenewedReference { id, lease }));
        }
        Ok(renewed)
    }

    /// Deletes this node's references to these distinct keys, unless they change; `None` for a missing reference.
    ///
    /// # Errors
    /// etcd is unreachable or rejects a request, or other clients keep changing a reference ([`Error::Contended`]).
    /// References may be released then; calling it again is safe.
    pub async fn release(&self, keys: &[&[u8]]) -> Result<Vec<Option<ReleasedReference>>, Error> {
        let mut released = vec![None; keys.len()];
        let mut open: Vec<usize> = (0..keys.len()).collect();
        let mut backoff = Backoff::default();
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                sleep(backoff.next_delay()).await;
            }
            let mut again = Vec::new();
            for some in open.chunks(self.store.nested_txns(BATCH)) {
                again.extend(self.try_release(keys, some, &mut released).await?);
            }
            open = again;
            if open.is_empty() {
                return Ok(released);
            }
        }
        let left: Vec<String> = open.iter().map(|at| escape(keys[*at])).collect();
        let what = format!(
            "other clients changed the reference to {} during each of {MAX_ATTEMPTS} attempts",
            left.join(", ")
        );
        Err(Error::Contended { op: "release", what })
    }

    /// Tries to release references; returns those that changed meanwhile.
    async fn try_release(
        &self,
        keys: &[&[u8]],
        some: &[usize],
        released: &mut [Option<ReleasedReference>],
    ) -> Result<Vec<usize>, Error> {
        let asked: Vec<&[u8]> = some.iter().map(|at| keys[*at]).collect();
        let found = self.read(&asked).await?;
        let present: Vec<(usize, KeyValue)> =
            some.iter().zip(found).filter_map(|(at, found)| found.map(|kv| (*at, kv))).collect();
        if present.is_empty() {
            return Ok(Vec::new());
        }
        let release = |(at, own): &(usize, KeyValue)| {
            let all = KeySelector::Range(self.layout.references_of(keys[*at]));
            let others = Op::Get { over: all, revision: 0, keys_only: true, count_only: false, limit: REFERENCE_LIMIT };
            let delete = Op::Delete { over: KeySelector::Key(own.key.clone()), prev: false };
            Op::Txn(Txn {
                compares: vec![Compare::unchanged(&own.key, own.mod_revision)],
                then: vec![delete, others.clone()],
                otherwise: vec![others, Op::get_at(KeySelector::Key(own.key.clone()), 0)],
            })
        };
        let txn = Txn { then: present.iter().map(release).collect(), ..Txn::default() };
        let answer = self.store.txn("release", &txn, self.guard, Retry::Idempotent).await?;
        let mut again = Vec::new();
        for ((at, own), result) in present.into_iter().zip(answer.results) {
            let unexpected = || Error::Protocol { op: "release", what: "a nested response is missing".to_owned() };
            let OpResult::Txn { succeeded, mut results } = result else { return Err(unexpected()) };
            let gone = match results.last() {
                _ if succeeded => true,
                Some(OpResult::Get { kvs, .. }) => answer.maybe_applied && kvs.is_empty(),
                _ => return Err(unexpected()),
            };
            if !gone && answer.maybe_applied {
                // The first sending may have deleted it, and another client may have written it since.
                let what = format!("the reference to {} changed after a lost reply", escape(keys[at]));
                let cause = Box::new(Error::Contended { op: "release", what });
                return Err(Error::Unknown { op: "release", cause });
            }
            if !gone {
                again.push(at);
                continue;
            }
            let others = results.swap_remove(usize::from(succeeded));
            let OpResult::Get { kvs, more, .. } = others else { return Err(unexpected()) };
            let used = self.is_used(keys[at], &kvs, more, answer.revision).await?;
            released[at] = Some(ReleasedReference { id: Id::parse(&own.value), last_use: !used });
        }
        Ok(again)
    }

    /// Whether any node refers to the key, among `found` or on further pages if there are `more`.
    async fn is_used(&self, key: &[u8], found: &[KeyValue], more: bool, at: Revision) -> Result<bool, Error> {
        let own = |kv: &KeyValue| self.layout.parse_reference(&kv.key).is_some_and(|(of, _)| of == key);
        if found.iter().any(own) || !more {
            return Ok(found.iter().any(own));
        }
        let options = ReadOptions { revision: at, keys_only: true, ..ReadOptions::default() };
        let mut reader = self.store.read(&self.layout.references_of(key), options);
        while let Some(page) = reader.next().await? {
            if page.iter().any(own) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
