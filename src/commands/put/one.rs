//! Writing one key.

use std::time::Duration;

use super::plan::{LeaseRequest, PutOutcome, PutRequest};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{
    Compare, Error, Grant, KeyValue, LockGuard, MAX_REQUEST_BYTES, Op, OpResult, Retry, Revision, Store, Txn, TxnResult,
};
use crate::output::{PutAnswer, bytes};

/// How long the clean-up of an unused lease may take.
const CLEANUP: Duration = Duration::from_secs(5);

/// Writes the key, on a lease of its own if `ttl` seconds are given.
///
/// # Errors
/// As the verb.
pub async fn run(
    ctx: &Context,
    mut wish: PutRequest,
    ttl: Option<i64>,
    guard: Option<LockGuard>,
) -> Result<Exit, Failure> {
    let store = ctx.store();
    let mut granted = None;
    if let Some(ttl) = ttl {
        ctx.signals.hold();
        let grant = store.grant(ttl).await?;
        if grant.ttl != ttl {
            ctx.out.note(&format!("asked for a TTL of {ttl} s, etcd granted {} s", grant.ttl));
        }
        wish.lease = LeaseRequest::Attach(grant.id);
        granted = Some(grant);
    }
    let result = write(store, &wish, guard.as_ref()).await;
    if let (Some(grant), false) = (granted, matches!(result, Ok((PutOutcome::Written { .. }, _)))) {
        give_back(ctx, grant, &result).await;
    }
    let (outcome, revision) = result?;
    answer(ctx, &wish, granted, outcome, revision)
}

/// What became of a write, and in which revision.
type PutResult = (PutOutcome, Revision);

pub(super) async fn write(store: &Store, wish: &PutRequest, guard: Option<&LockGuard>) -> Result<PutResult, Failure> {
    let txn = wish.txn();
    // --if-different and --if-value send values twice; beyond the server's limit the compare is on the revision.
    let compares_values = wish.only_if_different || wish.conditions.value.is_some();
    if compares_values && txn.size() > MAX_REQUEST_BYTES {
        return write_large(store, wish, guard).await;
    }
    let again = if wish.conditions.once_only(Some(&wish.value)) { Retry::Idempotent } else { Retry::Never };
    match store.txn("put", &txn, guard, again).await {
        Ok(result) => settle(wish, result),
        Err(error @ Error::Unknown { .. }) if wish.only_if_different => {
            let (now, revision) = store.get(&wish.key, 0, guard).await?;
            match now {
                Some(now) if wish.is_met_by(&now) => Ok((PutOutcome::Unchanged(now), revision)),
                _ => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// A refusal behind a lost answer may be due to the first sending having been done.
fn settle(wish: &PutRequest, result: TxnResult) -> Result<PutResult, Failure> {
    let TxnResult { succeeded, revision, results, maybe_applied } = result;
    let outcome = PutRequest::outcome(succeeded, results);
    match (&outcome, maybe_applied) {
        (PutOutcome::Refused(answers), true) => {
            let why = wish.conditions.explain(&wish.key, answers);
            Err(Failure::new(Exit::Unknown, "the put was sent twice, and whether the first was done is unknown")
                .context(format!("the first answer was lost, and now {why}"))
                .hint("read it back: the key may have been changed by this very command"))
        }
        _ => Ok((outcome, revision)),
    }
}

/// Reads the key, decides here, and writes on the condition that it has not changed since.
async fn write_large(store: &Store, wish: &PutRequest, guard: Option<&LockGuard>) -> Result<PutResult, Failure> {
    loop {
        let (now, revision) = store.get(&wish.key, 0, guard).await?;
        if let Some(wanted) = &wish.conditions.value
            && now.as_ref().map(|kv| &kv.value) != Some(wanted)
        {
            return Ok((PutOutcome::Refused(vec![as_read(now)]), revision));
        }
        let same = now.clone().filter(|kv| wish.only_if_different && wish.is_met_by(kv));
        let mut narrowed = wish.clone();
        narrowed.only_if_different = false;
        narrowed.conditions.value = None;
        let mut txn = narrowed.txn();
        let seen = now.as_ref().map_or(0, |kv| kv.mod_revision);
        txn.compares.push(Compare::unchanged(&wish.key, seen));
        if same.is_some() {
            // Nothing is to be written, but the other conditions still have to hold.
            txn.then.clear();
        }
        let mut result = store.txn("put", &txn, guard, Retry::Idempotent).await?;
        let changed = !result.succeeded && !result.maybe_applied && mod_revision(&result) != Some(seen);
        if changed {
            continue;
        }
        if let (false, Some(first)) = (result.succeeded, result.results.first_mut()) {
            // The else branch read no value; the explanation needs it.
            *first = as_read(now);
        }
        let (outcome, revision) = settle(&narrowed, result)?;
        return Ok(match (outcome, same) {
            (PutOutcome::Written { .. }, Some(same)) => (PutOutcome::Unchanged(same), revision),
            (outcome, _) => (outcome, revision),
        });
    }
}

fn as_read(now: Option<KeyValue>) -> OpResult {
    let kvs: Vec<KeyValue> = now.into_iter().collect();
    OpResult::Get { count: kvs.len() as u64, kvs, more: false }
}

/// The key's revision as the else branch read it; `None` for a missing key.
fn mod_revision(result: &TxnResult) -> Option<Revision> {
    match result.results.first() {
        Some(OpResult::Get { kvs, .. }) => Some(kvs.first().map_or(0, |kv| kv.mod_revision)),
        _ => None,
    }
}

/// Revokes the lease of a write that did not happen; one whose write may have happened is left to run out.
async fn give_back(ctx: &Context, grant: Grant, result: &Result<PutResult, Failure>) {
    let id = grant.id;
    if result.as_ref().is_err_and(Failure::maybe_applied) {
        ctx.out.warn(&format!("lease {id} is left to run out in {} s, for the key may be on it", grant.ttl));
        return;
    }
    if let Err(error) = ctx.store().for_cleanup(CLEANUP).revoke(id).await {
        ctx.out.warn(&format!("lease {id} could not be revoked and runs out in {} s: {error}", grant.ttl));
    }
}

/// Says what became of it.
///
/// # Errors
/// A condition that did not hold.
pub(super) fn answer(
    ctx: &Context,
    wish: &PutRequest,
    granted: Option<Grant>,
    outcome: PutOutcome,
    revision: Revision,
) -> Result<Exit, Failure> {
    let lease = match (&outcome, wish.lease) {
        (PutOutcome::Unchanged(now), _) => now.lease,
        (PutOutcome::Written { kept }, LeaseRequest::Keep) => *kept,
        (_, LeaseRequest::Attach(lease)) => Some(lease),
        _ => None,
    };
    let (written, mod_revision) = match &outcome {
        PutOutcome::Written { .. } => (true, revision),
        PutOutcome::Unchanged(now) => (false, now.mod_revision),
        PutOutcome::Refused(answers) => return Err(refused(wish, answers)),
    };
    let ttl = granted.map(|grant| grant.ttl);
    ctx.out.one(&PutAnswer { key: &wish.key, mod_revision, lease, ttl, written })?;
    Ok(Exit::Done)
}

fn refused(wish: &PutRequest, answers: &[OpResult]) -> Failure {
    Failure::conflict(wish.conditions.explain(&wish.key, answers))
        .context(format!("nothing was written to {}: a condition did not hold", bytes::escape(&wish.key)))
}

/// Shows a key that was written just now, at once.
pub(super) fn show(ctx: &Context, wish: &PutRequest, ttl: Option<i64>, mod_revision: Revision) -> Result<(), Failure> {
    let lease = if let LeaseRequest::Attach(lease) = wish.lease { Some(lease) } else { None };
    ctx.out.one(&PutAnswer { key: &wish.key, mod_revision, lease, ttl, written: true })?;
    Ok(ctx.out.flush()?)
}

/// Says what would be done.
///
/// # Errors
/// A condition that does not hold, or whatever kept the answer away.
pub(super) async fn rehearse(ctx: &Context, wish: &PutRequest, guard: Option<&LockGuard>) -> Result<Exit, Failure> {
    let txn: Txn = wish.rehearsal();
    debug_assert!(txn.then.iter().all(|op| !matches!(op, Op::Put(_) | Op::Delete { .. })));
    let result = ctx.store().txn("put (dry run)", &txn, guard, Retry::Idempotent).await?;
    let key = bytes::escape(&wish.key);
    match PutRequest::outcome(result.succeeded, result.results) {
        PutOutcome::Refused(answers) => Err(refused(wish, &answers)),
        PutOutcome::Unchanged(_) => {
            ctx.out.note(&format!("dry run: {key} has this value already and would not be written"));
            Ok(Exit::Done)
        }
        PutOutcome::Written { .. } => {
            ctx.out.note(&format!("dry run: {key} would be written"));
            Ok(Exit::Done)
        }
    }
}
