//! What happens between the removal of masters and the release of their locks.
//!
//! Cilium's agents take the ID of a key from their watch cache once they hold the key's lock, and write a reference
//! without comparing the master (`lockedAllocate` in `pkg/allocator`). They also write references without any lock when
//! they restore their own keys. An agent that has not seen the removal would therefore refer to an ID that another key
//! can get. So the locks are held for a while, which lets the agents' caches catch up; then the references of the
//! removed keys are read again, and a master that one of them needs is written again.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::masters::{CandidateMaster, ReferenceReader};
use crate::gc::CandidateOutcome;
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeySelector, KeyValue, Op, OpResult, Refusal, Retry, Txn, Write,
};
use crate::output::bytes;

/// Masters whose references are read in one request, below etcd's limit of 128 operations.
const BATCH: usize = 40;
/// Maximum time for which the locks are still held after the user's signal.
const AFTER_SIGNAL: Duration = Duration::from_secs(1);
/// Attempts to read the references again, and to write one master again while its key's references change.
const MAX_ATTEMPTS: usize = 5;
/// The pause after a failed read of the references.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// A master that was deleted, or may have been.
pub(super) struct Removal {
    pub master: CandidateMaster,
    /// Removed or unknown.
    pub outcome: CandidateOutcome,
}

/// Waits until this time; after the user's signal, for at most [`AFTER_SIGNAL`].
pub(super) async fn wait_until(time: Instant, cancel: &CancellationToken) {
    let shortened = async {
        cancel.cancelled().await;
        tokio::time::sleep(AFTER_SIGNAL).await;
    };
    tokio::select! {
        () = tokio::time::sleep_until(time) => {}
        () = shortened => {}
    }
}

/// Reads the references of removed masters again, and writes the masters again that are needed. Returns the outcomes by
/// the candidates' indexes.
pub(super) async fn verify(references: &ReferenceReader, removals: &[Removal]) -> Vec<(usize, CandidateOutcome)> {
    let verifier = Verifier { references };
    let mut outcomes = Vec::with_capacity(removals.len());
    let mut rest = removals;
    let mut most = BATCH.min(references.store.max_txn_ops());
    while !rest.is_empty() {
        let (some, behind) = rest.split_at(rest.len().min(most));
        let read = verifier.users_or_retry(some).await;
        // The masters are deleted already: the references must be read whatever the servers' limit is.
        if read.as_ref().is_err_and(|error| error.is_refusal(Refusal::TooManyOps)) && some.len() > 1 {
            most = some.len() / 2;
            continue;
        }
        rest = behind;
        match read {
            Err(error) => {
                outcomes.extend(some.iter().map(|removal| (removal.master.index, unverified(removal, &error))));
            }
            Ok(users) => {
                for (removal, user) in some.iter().zip(users) {
                    let outcome = match user {
                        None => removal.outcome.clone(),
                        Some(user) => {
                            verifier.restore(removal, user).await.unwrap_or_else(|error| unverified(removal, &error))
                        }
                    };
                    outcomes.push((removal.master.index, outcome));
                }
            }
        }
    }
    outcomes
}

struct Verifier<'a> {
    references: &'a ReferenceReader,
}

impl Verifier<'_> {
    /// [`Verifier::users`], again after an answer that is not etcd's: the locks are still held, and what the agents did
    /// would stay unknown. Other errors were retried already.
    async fn users_or_retry(&self, removals: &[Removal]) -> Result<Vec<Option<KeyValue>>, Error> {
        for _ in 1..MAX_ATTEMPTS {
            match self.users(removals).await {
                Err(Error::Unknown { cause, .. }) if matches!(*cause, Error::UnknownStatus { .. }) => {
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                read => return read,
            }
        }
        self.users(removals).await
    }

    /// For each removed master, a reference that needs it.
    async fn users(&self, removals: &[Removal]) -> Result<Vec<Option<KeyValue>>, Error> {
        let then = removals.iter().map(|removal| self.references.first_references(&removal.master)).collect();
        let answer =
            self.references.store.txn("references", &Txn { then, ..Txn::default() }, None, Retry::Idempotent).await?;
        let mut users = Vec::with_capacity(removals.len());
        for (removal, result) in removals.iter().zip(answer.results) {
            let OpResult::Get { kvs, more, .. } = result else {
                return Err(Error::Protocol { op: "references", what: "a response is not of a read".to_owned() });
            };
            users.push(match self.references.user_among(&removal.master, &kvs) {
                None if more => self.references.find_user(&removal.master).await?.0,
                user => user.cloned(),
            });
        }
        Ok(users)
    }

    /// Writes a master again, while this reference needs it and the ID has no other master.
    async fn restore(&self, removal: &Removal, mut user: KeyValue) -> Result<CandidateOutcome, Error> {
        let (key, id) = (&removal.master.key, removal.master.id);
        let master = self.references.layout.master(id);
        for _ in 0..MAX_ATTEMPTS {
            let compares = vec![
                Compare::missing(&master),
                Compare::unchanged(&user.key, user.mod_revision),
                Compare::key(&user.key, CompareOp::Equal, CompareTarget::Value(user.value.clone())),
            ];
            let put = Op::Put(Write { key: master.clone(), value: key.clone(), ..Write::default() });
            let get = Op::get_at(KeySelector::Key(master.clone()), 0);
            let txn = Txn { compares, then: vec![put], otherwise: vec![get] };
            // Idempotent: while the reference is unchanged, a missing master is to be written in any case.
            let answer = self.references.store.txn("restore", &txn, None, Retry::Idempotent).await?;
            if answer.succeeded {
                return Ok(CandidateOutcome::Restored);
            }
            let Some(OpResult::Get { kvs, .. }) = answer.results.first() else {
                return Err(Error::Protocol { op: "restore", what: "a response is missing".to_owned() });
            };
            if let Some(present) = kvs.first() {
                // A master whose deletion has an unknown outcome may never have been deleted.
                return Ok(match (present.value == *key, &removal.outcome) {
                    (true, CandidateOutcome::Unknown(_)) => CandidateOutcome::Changed,
                    (true, _) => CandidateOutcome::Restored,
                    (false, _) => CandidateOutcome::Conflict(self.conflict(removal, &user, &present.value)),
                });
            }
            match self.references.find_user(&removal.master).await?.0 {
                Some(other) => user = other,
                None => return Ok(removal.outcome.clone()),
            }
        }
        Ok(CandidateOutcome::Unverified(format!("its references changed {MAX_ATTEMPTS} times while they were read")))
    }

    fn conflict(&self, removal: &Removal, user: &KeyValue, other: &[u8]) -> String {
        let (id, key) = (removal.master.id, bytes::escape(&removal.master.key));
        let reference = self.references.store.absolute(&user.key);
        format!(
            "ID {id} was removed from {key}, and another client gave it to {}, but {} still names it \
             for {key}; 'kvadm allocate check' shows both",
            bytes::escape(other),
            bytes::escape(&reference)
        )
    }
}

fn unverified(removal: &Removal, error: &Error) -> CandidateOutcome {
    match &removal.outcome {
        CandidateOutcome::Unknown(why) => CandidateOutcome::Unknown(why.clone()),
        _ => CandidateOutcome::Unverified(format!(
            "the master was removed, but its references could not be read again; 'kvadm allocate check --repair' restores a master \
             that is needed: {}",
            error.one_line()
        )),
    }
}
