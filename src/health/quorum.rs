//! Proves the quorum by a write under a lock, like Cilium's init lock.

use std::time::{Duration, Instant};

use super::error::ScanError;
use crate::kvstore::{Compare, Error, KeySelector, LeaseMode, Op, Retry, Store, Txn, Write};

/// Prefix of the proof keys; the lease ID that follows makes each key unique.
const KEY_PREFIX: &str = "kvadm/.quorum/";
/// TTL of the lease, in seconds; the key expires soon if kvadm is killed before the clean-up.
const LEASE_TTL_SECONDS: i64 = 10;
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(3);

/// The outcome of the write that proves the quorum.
pub enum QuorumProof {
    /// The write was applied, in this time.
    Done(Duration),
    /// The quorum exists, but the store is out of space.
    NoSpace,
    /// The write failed, for this reason.
    Failed(String),
}

/// Grants a lease, takes a lock that nobody else uses, and releases both.
///
/// # Errors
/// An interruption, or a missing permission. Other failures are [`QuorumProof::Failed`].
pub async fn prove(store: &Store) -> Result<QuorumProof, ScanError> {
    let started = Instant::now();
    let lease = match store.grant(LEASE_TTL_SECONDS).await {
        Ok(grant) => grant.id,
        Err(error) if error.is_no_space() => return without_space(store).await,
        Err(error) => return failed(error),
    };
    let key = format!("{KEY_PREFIX}{lease}").into_bytes();
    let lock = Write { key: key.clone(), lease: LeaseMode::Attach(lease), ..Write::default() };
    let lock_txn = Txn { compares: vec![Compare::missing(&key)], then: vec![Op::Put(lock)], otherwise: vec![] };
    let locked = store.txn("quorum lock", &lock_txn, None, Retry::Idempotent).await;
    let locked = match locked {
        // The key is unique to this command: if it exists, an earlier attempt created it.
        Ok(answer) if answer.succeeded || answer.maybe_applied => {
            let unlock_txn = Txn {
                compares: vec![Compare::exists(&key)],
                then: vec![Op::Delete { over: KeySelector::Key(key), prev: false }],
                otherwise: vec![],
            };
            store.txn("quorum unlock", &unlock_txn, None, Retry::Idempotent).await.map(|_| ())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    let took = started.elapsed();
    let _ = store.for_cleanup(CLEANUP_TIMEOUT).revoke_own(lease).await;
    match locked {
        Ok(()) => Ok(QuorumProof::Done(took)),
        Err(error) if error.is_no_space() => without_space(store).await,
        Err(error) => failed(error),
    }
}

/// A full store still accepts plain deletions, which need the quorum like any write.
async fn without_space(store: &Store) -> Result<QuorumProof, ScanError> {
    let key = format!("{KEY_PREFIX}none").into_bytes();
    let nothing = Txn {
        compares: vec![],
        then: vec![Op::Delete { over: KeySelector::Key(key), prev: false }],
        otherwise: vec![],
    };
    match store.txn("quorum proof", &nothing, None, Retry::Idempotent).await {
        Ok(_) => Ok(QuorumProof::NoSpace),
        Err(error) => failed(error),
    }
}

fn failed(error: Error) -> Result<QuorumProof, ScanError> {
    match error {
        Error::Interrupted { .. } | Error::Refused { .. } => Err(ScanError::Proof { prefix: KEY_PREFIX, error }),
        other => Ok(QuorumProof::Failed(other.to_string())),
    }
}
