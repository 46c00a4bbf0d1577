//! Measures the time of a write, on a key of its own that a lease removes.

use std::time::Duration;

use thiserror::Error as ThisError;
use tokio::time::Instant;

use crate::escaped::escape;
use crate::kvstore::{Compare, Error, LeaseId, LeaseMode, Op, Retry, Revision, Store, Txn, Write};

/// Prefix of the keys; the lease ID that follows makes each key unique.
pub(super) const KEY_PREFIX: &str = "kvadm/.latency/";
/// TTL of the lease of [`write_probe`], in seconds; the key expires soon if kvadm is killed before the clean-up.
const LEASE_TTL_SECONDS: i64 = 10;
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a write was not measured.
#[derive(Debug, ThisError)]
pub enum WriteProbeError {
    /// The lease or the write.
    #[error(transparent)]
    Store(#[from] Error),
    /// The key of the caller exists; it was not changed.
    #[error("the key {0} exists, and is not overwritten")]
    KeyExists(String),
}

/// Measures the time of one write: creates a key on a lease, and revokes the lease. Without `key` the key is one that
/// nobody else uses. A caller whose signals may come must call `Signals::hold` before, so that the lease is revoked.
///
/// # Errors
/// The lease is not granted, the write fails, or the key exists.
pub async fn write_probe(store: &Store, key: Option<&[u8]>) -> Result<Duration, WriteProbeError> {
    let lease = ProbeLease::grant(store, LEASE_TTL_SECONDS).await?;
    let measured = match key {
        Some(key) => {
            ProbeKey { store: store.clone(), lease: lease.id, place: ProbeKeyName::Fixed(key.to_vec()), written: 0 }
        }
        None => lease.key(store.clone(), 0),
    }
    .write()
    .await;
    // The lease ends by itself if etcd cannot be reached.
    let _ = lease.revoke().await;
    measured
}

/// The lease of the keys that a measurement writes.
pub(super) struct ProbeLease {
    store: Store,
    id: LeaseId,
}

/// A key that is written again and again. It is never another client's: it is created, and then replaced only if its last
/// change is this probe's own.
pub(super) struct ProbeKey {
    store: Store,
    lease: LeaseId,
    place: ProbeKeyName,
    /// The revision of the last write; 0 if the key is to be created.
    written: Revision,
}

enum ProbeKeyName {
    /// The caller's key.
    Fixed(Vec<u8>),
    /// A key below [`KEY_PREFIX`], of the probe with this number. A failed write is followed by one to another key.
    Own { probe: usize, attempt: u64 },
}

impl ProbeLease {
    pub(super) async fn grant(store: &Store, ttl_seconds: i64) -> Result<Self, Error> {
        let grant = store.grant(ttl_seconds).await?;
        Ok(Self { store: store.clone(), id: grant.id })
    }

    /// A key that is written through this handle; each has its own number.
    pub(super) fn key(&self, store: Store, probe: usize) -> ProbeKey {
        ProbeKey { store, lease: self.id, place: ProbeKeyName::Own { probe, attempt: 0 }, written: 0 }
    }

    /// Revokes the lease, which deletes the keys; also after a signal.
    ///
    /// # Errors
    /// The lease may still exist; it expires by itself.
    pub(super) async fn revoke(self) -> Result<(), Error> {
        self.store.for_cleanup(CLEANUP_TIMEOUT).revoke_own(self.id).await.map(|_| ())
    }

    /// The lease.
    pub(super) fn id(&self) -> LeaseId {
        self.id
    }
}

impl ProbeKey {
    /// The handle that the key is written through.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    fn name(&self) -> Vec<u8> {
        match &self.place {
            ProbeKeyName::Fixed(key) => key.clone(),
            ProbeKeyName::Own { probe, attempt } => {
                format!("{KEY_PREFIX}{}/{probe}.{attempt}", self.lease).into_bytes()
            }
        }
    }

    /// Writes the key once, and returns the time that took.
    pub(super) async fn write(&mut self) -> Result<Duration, WriteProbeError> {
        let key = self.name();
        let condition = if self.written == 0 { Compare::missing(&key) } else { Compare::unchanged(&key, self.written) };
        let put = Write { key: key.clone(), lease: LeaseMode::Attach(self.lease), ..Write::default() };
        let txn = Txn { compares: vec![condition], then: vec![Op::Put(put)], otherwise: vec![] };
        let started = Instant::now();
        let result = self.store.txn("write probe", &txn, None, Retry::Never).await;
        let took = started.elapsed();
        match result {
            Ok(answer) if answer.succeeded => {
                self.written = answer.revision;
                Ok(took)
            }
            failed => {
                // The write may still be applied: the next one is to another key.
                self.written = 0;
                if let ProbeKeyName::Own { attempt, .. } = &mut self.place {
                    *attempt = attempt.saturating_add(1);
                }
                match failed {
                    Ok(_) => Err(WriteProbeError::KeyExists(escape(&key))),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}
