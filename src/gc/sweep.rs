//! Removals, many in one request and yet each for itself.

use std::collections::VecDeque;

use super::CandidateOutcome;
use crate::kvstore::{Error, Op, OpResult, Refusal, Retry, Revision, Store, Txn};

/// What became of one of several transactions.
#[derive(Debug)]
pub enum SweepAnswer {
    /// Its conditions held or did not.
    Done {
        /// Whether they held.
        succeeded: bool,
        /// What the branch that ran gave.
        results: Vec<OpResult>,
        /// The store's revision after it.
        revision: Revision,
        /// Whether it may have been done once before it was answered: its first answer was lost.
        maybe_applied: bool,
    },
    /// Why etcd refused it, or why nobody can tell whether it was done.
    Failed(String),
}

impl SweepAnswer {
    /// The outcome of a removal, where its else-branch begins with a read of what was to go.
    pub fn outcome(self) -> CandidateOutcome {
        match self {
            Self::Done { succeeded: true, .. } => CandidateOutcome::Removed,
            Self::Done { results, maybe_applied: true, .. } if is_missing(&results) => CandidateOutcome::Removed,
            Self::Done { .. } => CandidateOutcome::Changed,
            Self::Failed(why) => CandidateOutcome::Failed(why),
        }
    }
}

fn is_missing(results: &[OpResult]) -> bool {
    matches!(results.first(), Some(OpResult::Get { kvs, .. }) if kvs.is_empty())
}

/// An error and its causes in one line.
fn format_error(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Whether an error is about what was to be done, so that the next removal may do better. All others are about the store.
pub fn is_per_candidate(error: &Error) -> bool {
    match error {
        Error::Unknown { .. } => true,
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

/// Does each transaction for itself, all in one request. Where etcd refuses that, they are tried in halves, down to
/// the one that is refused.
///
/// # Errors
/// What is wrong with the store, rather than with one of the transactions: what was done before is lost sight of, and
/// the compares of the next try tell.
pub async fn run_txns(store: &Store, op: &'static str, txns: Vec<Txn>) -> Result<Vec<SweepAnswer>, Error> {
    let mut answers = Vec::with_capacity(txns.len());
    let mut left = VecDeque::from([txns]);
    while let Some(mut some) = left.pop_front() {
        match run_request(store, op, &some).await {
            Ok(mut done) => answers.append(&mut done),
            Err(error @ Error::Refused { .. }) if some.len() > 1 && is_per_candidate(&error) => {
                let behind = some.split_off(some.len() / 2);
                left.push_front(behind);
                left.push_front(some);
            }
            Err(error @ Error::Refused { .. }) if is_per_candidate(&error) => {
                answers.push(SweepAnswer::Failed(format_error(&error)))
            }
            // All of one request share its verdict.
            Err(Error::Unknown { op, cause }) => {
                let why = format_error(&Error::Unknown { op, cause });
                answers.extend(some.iter().map(|_| SweepAnswer::Failed(why.clone())));
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
        return Err(Error::Protocol { op, what: "a transaction without its answer".to_owned() });
    }
    let (revision, maybe_applied) = (answer.revision, answer.maybe_applied);
    let one = |result| match result {
        OpResult::Txn { succeeded, results } => Ok(SweepAnswer::Done { succeeded, results, revision, maybe_applied }),
        _ => Err(Error::Protocol { op, what: "a transaction without its answer".to_owned() }),
    };
    answer.results.into_iter().map(one).collect()
}
