//! Measures the latency of writes on a key of its own.

use std::time::{Duration, Instant};

use super::judgement::{RuleFault, RuleJudgement, shown, shown_time};
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Error, KeySelector, LeaseId, LeaseMode, Op, OpResult, Retry, Store, Txn, Write,
};

/// Prefix of a key without a configured name; the lease's random ID follows.
pub const PROBE_PREFIX: &str = "/kvadm-check/";
/// TTL of the lease in seconds: the key expires soon if kvadm is killed before it removes the key.
const LEASE_TTL_SECONDS: i64 = 10;
/// Writes that are measured; the median of their times counts.
const WRITES: usize = 3;
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(3);

/// Writes a new key a few times, and compares the median of the times with the limit. The key is on a lease and never
/// replaces a key of somebody else. The lease is revoked also after a signal.
///
/// # Errors
/// An error that ends the command.
pub async fn judge_write_latency(store: &Store, key: Option<&[u8]>, limit: Duration) -> Result<RuleJudgement, Error> {
    let expected = format!("writes take less than {}", shown_time(limit));
    let lease = match store.grant(LEASE_TTL_SECONDS).await {
        Ok(grant) => grant.id,
        Err(error) => return failed(error, &expected),
    };
    let key = key.map_or_else(|| format!("{PROBE_PREFIX}{lease}").into_bytes(), <[u8]>::to_vec);
    let measured = measure(store, &key, lease).await;
    // Revoking the lease removes the key, if it was created.
    let _ = store.for_cleanup(CLEANUP_TIMEOUT).revoke_own(lease).await;
    match measured {
        Ok(Some(took)) => {
            Ok(RuleJudgement::of(took < limit, expected, format!("{} (median of {WRITES})", shown_time(took)))
                .measure_time(took, limit))
        }
        Ok(None) => {
            let why = format!("the probe key {} exists already and is not overwritten", shown(&key));
            Ok(RuleJudgement::error(RuleFault::refused(why)))
        }
        Err(error) => failed(error, &expected),
    }
}

/// A full store refuses writes: the rule does not hold. Other errors do not tell how long a write takes.
fn failed(error: Error, expected: &str) -> Result<RuleJudgement, Error> {
    if error.is_no_space() {
        return Ok(RuleJudgement::fail(expected, "the store is out of space and refuses writes"));
    }
    RuleFault::of(error).map(RuleJudgement::error)
}

/// The median time of the writes; `None` if the key belongs to somebody else.
async fn measure(store: &Store, key: &[u8], lease: LeaseId) -> Result<Option<Duration>, Error> {
    let write = || Op::Put(Write { key: key.to_vec(), lease: LeaseMode::Attach(lease), ..Write::default() });
    let own = Compare::key(key, CompareOp::Equal, CompareTarget::Lease(Some(lease)));
    let read = Op::get_at(KeySelector::Key(key.to_vec()), 0);
    let mut times = Vec::with_capacity(WRITES);
    for attempt in 0..WRITES {
        let guard = if attempt == 0 { Compare::missing(key) } else { own.clone() };
        let txn = Txn { compares: vec![guard], then: vec![write()], otherwise: vec![read.clone()] };
        let sent = Instant::now();
        let answer = store.txn("write probe", &txn, None, Retry::Idempotent).await?;
        times.push(sent.elapsed());
        // After a lost answer, the key of an earlier sending is found: nobody else uses this lease.
        let is_own = |result: &OpResult| matches!(result, OpResult::Get { kvs, .. } if kvs.first().is_some_and(|kv| kv.lease == Some(lease)));
        if !answer.succeeded && !answer.results.first().is_some_and(is_own) {
            return Ok(None);
        }
    }
    times.sort();
    Ok(times.get(WRITES / 2).copied())
}
