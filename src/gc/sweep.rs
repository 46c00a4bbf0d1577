//! Runs many removals in one request, each as a transaction of its own.

use std::collections::VecDeque;

use super::CandidateOutcome;
use crate::kvstore::{Error, Op, OpResult, Refusal, Retry, Revision, Store, Txn};

/// Result of one of several transactions.
#[derive(Debug)]
pub enum SweepAnswer {
    /// One of its branches ran.
    Done {
        /// Whether its compares held.
        succeeded: bool,
        /// The results of the branch that ran.
        results: Vec<OpResult>,
        /// The store's revision afterwards.
        revision: Revision,
        /// Whether it may have been applied before, by a request whose response was lost.
        maybe_applied: bool,
    },
    /// etcd rejected it, or its outcome is unknown.
    Failed {
        /// The error.
        why: String,
        /// Whether the lease of a put has expired.
        lease_expired: bool,
        /// Whether etcd may have applied it.
        maybe_applied: bool,
    },
}

impl SweepAnswer {
    /// The outcome of a removal whose else-branch begins with a read of the key to remove.
    pub fn outcome(self) -> CandidateOutcome {
        match self {
            Self::Done { succeeded: true, .. } => CandidateOutcome::Removed,
            Self::Done { results, maybe_applied: true, .. } if is_missing(&results) => CandidateOutcome::Removed,
            Self::Done { maybe_applied: true, .. } => {
                CandidateOutcome::Unknown("the first reply was lost, and the key has changed since".to_owned())
            }
            Self::Done { results, .. } if is_missing(&results) => CandidateOutcome::Gone,
            Self::Done { .. } => CandidateOutcome::Changed,
            Self::Failed { why, maybe_applied: true, .. } => CandidateOutcome::Unknown(why),
            Self::Failed { why, .. } => CandidateOutcome::Failed(why),
        }
    }

    fn failed(error: &Error) -> Self {
        let (cause, maybe_applied) = match error {
            Error::Unknown { cause, .. } => (&**cause, true),
            error => (error, false),
        };
        let lease_expired = cause.is_refusal(Refusal::LeaseNotFound);
        Self::Failed { why: error.one_line(), lease_expired, maybe_applied }
    }
}

fn is_missing(results: &[OpResult]) -> bool {
    matches!(results.first(), Some(OpResult::Get { kvs, .. }) if kvs.is_empty())
}

/// Whether an error concerns a single removal, so that the next one may succeed. All other errors concern the store.
pub fn is_per_candidate(error: &Error) -> bool {
    match error {
        Error::Unknown { .. } => !error.is_no_space(),
        Error::Refused { kind, .. } => !matches!(
            kind,
            Refusal::NoSpace
                | Refusal::NoUser
                | Refusal::BadPassword
                | Refusal::BadToken
                | Refusal::Corrupt
                | Refusal::Unsupported
        ),
        _ => false,
    }
}

/// Runs independent transactions, all in one request. If etcd rejects the request, its halves are tried, down to the
/// transaction that is rejected.
///
/// # Errors
/// A failure of the store rather than of one transaction. Transactions may have been applied then; running them again
/// is safe because of their compares.
pub async fn run_txns(store: &Store, op: &'static str, txns: Vec<Txn>) -> Result<Vec<SweepAnswer>, Error> {
    let mut answers = Vec::with_capacity(txns.len());
    let mut left = VecDeque::from([txns]);
    while let Some(mut some) = left.pop_front() {
        match run_request(store, op, &some).await {
            Ok(mut done) => answers.append(&mut done),
            Err(error @ Error::Refused { .. }) if some.len() > 1 && is_per_candidate(&error) => {
                let rest = some.split_off(some.len() / 2);
                left.push_front(rest);
                left.push_front(some);
            }
            // The transactions of one request share its outcome.
            Err(error) if is_per_candidate(&error) => {
                answers.extend(some.iter().map(|_| SweepAnswer::failed(&error)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

async fn run_request(store: &Store, op: &'static str, txns: &[Txn]) -> Result<Vec<SweepAnswer>, Error> {
    if let [txn] = txns {
        let answer = store.txn(op, txn, None, Retry::Idempotent).await?;
        let (succeeded, results) = (answer.succeeded, answer.results);
        return Ok(vec![SweepAnswer::Done {
            succeeded,
            results,
            revision: answer.revision,
            maybe_applied: answer.maybe_applied,
        }]);
    }
    if txns.is_empty() {
        return Ok(Vec::new());
    }
    let all = Txn { then: txns.iter().cloned().map(Op::Txn).collect(), ..Txn::default() };
    let answer = store.txn(op, &all, None, Retry::Idempotent).await?;
    if answer.results.len() != txns.len() {
        return Err(Error::Protocol { op, what: "a nested response is missing".to_owned() });
    }
    let (revision, maybe_applied) = (answer.revision, answer.maybe_applied);
    let one = |result| match result {
        OpResult::Txn { succeeded, results } => Ok(SweepAnswer::Done { succeeded, results, revision, maybe_applied }),
        _ => Err(Error::Protocol { op, what: "a nested response is missing".to_owned() }),
    };
    answer.results.into_iter().map(one).collect()
}
