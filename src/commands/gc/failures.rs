//! What failures of a round mean.

use super::tally::RoundTally;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, Refusal};

/// Whether the scan's revision was compacted meanwhile.
pub fn is_compacted(failure: &Failure) -> bool {
    failure.error.downcast_ref::<Error>().is_some_and(|error| error.is_refusal(Refusal::Compacted))
}

/// A full store grants no leases, and some versions of etcd accept no transaction either.
pub fn without_space(failure: Failure) -> Failure {
    if !failure.error.downcast_ref::<Error>().is_some_and(|error| error.is_no_space()) {
        return failure;
    }
    let failure = failure.context("etcd is out of space and grants no leases for locks, so nothing can be removed");
    Failure {
        hints: vec!["free space with 'kvadm compact --reclaim', then run the command again".to_owned()],
        ..failure
    }
}

/// Whether the failure is a plan that does not match this scan: nothing is counted then.
pub fn is_mismatch(failure: &Failure, tally: &RoundTally) -> bool {
    failure.exit == Exit::Conflict && tally.round.revision.is_none()
}

/// Whether the next round may succeed.
pub fn may_pass(failure: &Failure) -> bool {
    !failure.is_broken_pipe() && !failure.is_other_store() && !matches!(failure.exit, Exit::Usage | Exit::Bug)
}
