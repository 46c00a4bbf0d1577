//! Proving the quorum by a write under a lock, as Cilium's init lock does.

use std::time::{Duration, Instant};

use crate::error::{Exit, Failure};
use crate::kvstore::{Compare, Error, KeySelector, LeaseMode, Op, Refusal, Retry, Store, Txn, Write};

/// kvadm's own keys; the lease's ID behind it makes each proof's key its own.
const KEY_PREFIX: &str = "kvadm/.quorum/";
/// The lease's TTL in seconds: what is left behind if kvadm is killed in the middle is gone after it.
const LEASE_TTL_SECONDS: i64 = 10;
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(3);

/// What became of the write that proves the quorum.
pub enum QuorumProof {
    /// It was done.
    Done(Duration),
    /// The quorum stands, but the store takes no writes.
    NoSpace,
    /// It was not done.
    Failed(String),
}

/// Grants a lease, takes a lock nobody else can want, and gives both back.
///
/// # Errors
/// Only an interruption, or a user that may not write there; a proof that fails is an answer.
pub async fn prove(store: &Store) -> Result<QuorumProof, Failure> {
    let started = Instant::now();
    let lease = match store.grant(LEASE_TTL_SECONDS).await {
        Ok(grant) => grant.id,
        Err(error) if error.is_refusal(Refusal::NoSpace) => return without_space(store).await,
        Err(error) => return failed(error),
    };
    let key = format!("{KEY_PREFIX}{lease}").into_bytes();
    let lock = Write { key: key.clone(), lease: LeaseMode::Attach(lease), ..Write::default() };
    let lock_txn = Txn { compares: vec![Compare::missing(&key)], then: vec![Op::Put(lock)], otherwise: vec![] };
    let locked = store.txn("quorum lock", &lock_txn, None, Retry::Idempotent).await;
    let locked = match locked {
        // The key is this command's alone: if it is there, an earlier sending made it.
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
    let _ = store.for_cleanup(CLEANUP_TIMEOUT).revoke(lease).await;
    match locked {
        Ok(()) => Ok(QuorumProof::Done(took)),
        Err(error) if error.is_refusal(Refusal::NoSpace) => without_space(store).await,
        Err(error) => failed(error),
    }
}

/// A full store still takes plain deletions, and those go through the quorum as any write.
async fn without_space(store: &Store) -> Result<QuorumProof, Failure> {
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

fn failed(error: Error) -> Result<QuorumProof, Failure> {
    match error {
        Error::Interrupted { .. } | Error::Refused { .. } => {
            let failure = Failure::from(error);
            let exit = failure.exit;
            let failure = failure.context(format!("the quorum could not be proved by writing {KEY_PREFIX}…"));
            Err(if exit == Exit::Refused {
                failure.hint("the user needs a role that may write there; without --quorum, reads alone are judged")
            } else {
                failure
            })
        }
        other => Ok(QuorumProof::Failed(other.to_string())),
    }
}
