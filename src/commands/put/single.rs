//! Writes one key.

use std::io;
use std::time::Duration;

use super::plan::{LeaseRequest, PutOutcome, PutRequest};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{
    Compare, Grant, KeyValue, LockGuard, MAX_REQUEST_BYTES, Op, OpResult, Retry, Revision, Txn, TxnResult,
};
use crate::output::{PutAnswer, bytes};

const CLEANUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Writes the key, on a new lease if `ttl` (seconds) is given.
pub async fn run(
    ctx: &Context,
    mut request: PutRequest,
    ttl: Option<i64>,
    guard: Option<LockGuard>,
) -> Result<Exit, Failure> {
    let store = ctx.store();
    let mut granted = None;
    if let Some(ttl) = ttl {
        ctx.signals.hold();
        let grant = store.grant(ttl).await?;
        if grant.ttl != ttl {
            ctx.out.note(&format!("requested a TTL of {ttl} s, etcd granted {} s", grant.ttl));
        }
        request.lease = LeaseRequest::Attach(grant.id);
        granted = Some(grant);
    }
    let result = write(ctx, &request, guard.as_ref()).await;
    if let (Some(grant), false) = (granted, matches!(result, Ok((PutOutcome::Written { .. }, _)))) {
        revoke_unused_lease(ctx, grant, &result).await;
    }
    let (outcome, revision) = result?;
    report(ctx, &request, granted, outcome, revision)
}

type PutResult = (PutOutcome, Revision);

/// Writes the key once, under the conditions of the request.
pub(in crate::commands) async fn write(
    ctx: &Context,
    request: &PutRequest,
    guard: Option<&LockGuard>,
) -> Result<PutResult, Failure> {
    let txn = request.txn();
    // --if-different and --if-value send the value twice; above the request limit, the revision is compared instead.
    let compares_values = request.only_if_different || request.conditions.value.is_some();
    if compares_values && txn.size() > MAX_REQUEST_BYTES {
        return write_large(ctx, request, guard).await;
    }
    let retry = if request.conditions.never_hold_again() { Retry::Idempotent } else { Retry::Never };
    interpret(ctx, request, ctx.store().txn("put", &txn, guard, retry).await?)
}

/// Interprets the reply. After a lost reply, a failed condition may be the effect of the first attempt.
fn interpret(ctx: &Context, request: &PutRequest, result: TxnResult) -> Result<PutResult, Failure> {
    let TxnResult { succeeded, revision, results, maybe_applied } = result;
    let outcome = PutRequest::outcome(succeeded, results);
    match (&outcome, maybe_applied) {
        (PutOutcome::Refused(answers), true) => {
            let why = request.conditions.explain(&request.key, answers);
            Err(Failure::new(Exit::Unknown, "the put was sent twice, and it is unknown whether the first was applied")
                .context(format!("the first reply was lost, and now {why}"))
                .hint(format!(
                    "'{}' shows the value; this command may have written it",
                    ctx.command_line(&["get"]).key(&request.key)
                )))
        }
        _ => Ok((outcome, revision)),
    }
}

/// Reads the key, compares on the client, and writes if the key has not changed since.
async fn write_large(ctx: &Context, request: &PutRequest, guard: Option<&LockGuard>) -> Result<PutResult, Failure> {
    let store = ctx.store();
    loop {
        let (now, revision) = store.get(&request.key, 0, guard).await?;
        if let Some(expected) = &request.conditions.value
            && now.as_ref().map(|kv| &kv.value) != Some(expected)
        {
            return Ok((PutOutcome::Refused(vec![get_result(now)]), revision));
        }
        let same = now.clone().filter(|kv| request.only_if_different && request.is_satisfied_by(kv));
        let mut narrowed = request.clone();
        narrowed.only_if_different = false;
        narrowed.conditions.value = None;
        let mut txn = narrowed.txn();
        let known = now.as_ref().map_or(0, |kv| kv.mod_revision);
        txn.compares.push(Compare::unchanged(&request.key, known));
        if same.is_some() {
            // Nothing needs to be written, but the other conditions must still hold.
            txn.then.clear();
        }
        // A key that is missing now may be missing again; a revision never comes back.
        let retry = if known > 0 || txn.then.is_empty() { Retry::Idempotent } else { Retry::Never };
        let mut result = store.txn("put", &txn, guard, retry).await?;
        let changed = !result.succeeded && !result.maybe_applied && mod_revision(&result) != Some(known);
        if changed {
            continue;
        }
        if let (false, Some(first)) = (result.succeeded, result.results.first_mut()) {
            // The explanation needs the value, which the else branch did not read.
            *first = get_result(now);
        }
        let (outcome, revision) = interpret(ctx, &narrowed, result)?;
        return Ok(match (outcome, same) {
            (PutOutcome::Written { .. }, Some(same)) => (PutOutcome::Unchanged(same), revision),
            (outcome, _) => (outcome, revision),
        });
    }
}

/// The result of a read of the key.
pub(in crate::commands) fn get_result(now: Option<KeyValue>) -> OpResult {
    let kvs: Vec<KeyValue> = now.into_iter().collect();
    OpResult::Get { count: kvs.len() as u64, kvs, more: false }
}

/// The key's mod revision as the else branch read it, 0 for a missing key; `None` without such a read.
fn mod_revision(result: &TxnResult) -> Option<Revision> {
    match result.results.first() {
        Some(OpResult::Get { kvs, .. }) => Some(kvs.first().map_or(0, |kv| kv.mod_revision)),
        _ => None,
    }
}

/// Revokes the lease of a write that was not applied; if it may have been, the lease is left to expire.
async fn revoke_unused_lease(ctx: &Context, grant: Grant, result: &Result<PutResult, Failure>) {
    let id = grant.id;
    if result.as_ref().is_err_and(Failure::maybe_applied) {
        ctx.out.warn(&format!(
            "lease {id} expires in {} s; it was not revoked, because the key may be attached to it",
            grant.ttl
        ));
        return;
    }
    if let Err(error) = ctx.store().for_cleanup(CLEANUP_TIMEOUT).revoke_own(id).await {
        ctx.out.warn(&format!("cannot revoke lease {id}, which expires in {} s: {error}", grant.ttl));
    }
}

/// Prints the outcome.
pub(in crate::commands) fn report(
    ctx: &Context,
    request: &PutRequest,
    granted: Option<Grant>,
    outcome: PutOutcome,
    revision: Revision,
) -> Result<Exit, Failure> {
    let lease = match (&outcome, request.lease) {
        (PutOutcome::Unchanged(now), _) => now.lease,
        (PutOutcome::Written { kept, .. }, LeaseRequest::Keep) => *kept,
        (_, LeaseRequest::Attach(lease)) => Some(lease),
        _ => None,
    };
    let (written, mod_revision) = match &outcome {
        PutOutcome::Written { .. } => (true, revision),
        PutOutcome::Unchanged(now) => (false, now.mod_revision),
        PutOutcome::Refused(answers) => return Err(refused(request, answers)),
    };
    let ttl = granted.map(|grant| grant.ttl);
    let mod_revision = Some(mod_revision);
    let prev = match &outcome {
        PutOutcome::Written { prev, .. } => prev.as_ref(),
        // The key has the record that it had before.
        PutOutcome::Unchanged(now) => Some(now),
        PutOutcome::Refused(_) => None,
    };
    let prev = request.prev.then_some(prev);
    let answer = PutAnswer { key: &request.key, mod_revision, lease, ttl, written, dry_run: false, prev };
    let printed = print(ctx, &answer);
    // The key is written, whatever becomes of the output.
    printed.and_then(|()| ctx.out.flush()).map_err(|error| match written {
        true => {
            let name = bytes::name(&request.key);
            Failure::from(error).context(format!("{name} was written in revision {revision}; only the output failed"))
        }
        false => Failure::from(error),
    })?;
    Ok(Exit::Done)
}

/// Prints the answer; in raw with `--prev`, the bytes of the previous value. A note tells a missing record from an empty value.
fn print(ctx: &Context, answer: &PutAnswer<'_>) -> io::Result<()> {
    let Some(prev) = answer.prev else { return ctx.out.one(answer) };
    match prev {
        Some(kv) if ctx.out.is_raw() => ctx.out.bytes(&kv.value).and_then(|()| ctx.out.flush())?,
        None if ctx.out.is_raw() => {}
        _ => ctx.out.one(answer)?,
    }
    if prev.is_none() && !ctx.out.is_data() {
        ctx.out.note(&format!("{} did not exist before", bytes::name(answer.key)));
    }
    Ok(())
}

/// The failure of a write that was not made. A missing key is no failed condition if the user has set none.
fn refused(request: &PutRequest, answers: &[OpResult]) -> Failure {
    let conditions = &request.conditions;
    let unconditional = conditions.revision.is_none() && conditions.value.is_none() && conditions.other.is_none();
    let missing = matches!(answers.first(), Some(OpResult::Get { kvs, .. }) if kvs.is_empty());
    if request.keep_value && unconditional && missing {
        let name = bytes::name(&request.key);
        return Failure::new(Exit::No, format!("key not found: {name}"))
            .hint("--ignore-value keeps the value of an existing key; to create the key, give a value");
    }
    condition_failed(request, answers)
}

/// The failure of a write whose conditions did not hold; `answers` are the results of the else branch.
pub(in crate::commands) fn condition_failed(request: &PutRequest, answers: &[OpResult]) -> Failure {
    Failure::conflict(request.conditions.explain(&request.key, answers))
        .condition(request.conditions.failed(&request.key, answers))
        .context(format!("condition failed; {} was not written", bytes::name(&request.key)))
}

/// Prints a key that was just written, without buffering.
pub(super) fn print_written(
    ctx: &Context,
    request: &PutRequest,
    ttl: Option<i64>,
    mod_revision: Revision,
) -> Result<(), Failure> {
    let lease = if let LeaseRequest::Attach(lease) = request.lease { Some(lease) } else { None };
    let mod_revision = Some(mod_revision);
    let key = &request.key;
    ctx.out.one(&PutAnswer { key, mod_revision, lease, ttl, written: true, dry_run: false, prev: None })?;
    Ok(ctx.out.flush()?)
}

/// Prints what would be written.
///
/// # Errors
/// A failed condition, or an error of etcd or the connection.
pub(in crate::commands) async fn dry_run(
    ctx: &Context,
    request: &PutRequest,
    guard: Option<&LockGuard>,
) -> Result<Exit, Failure> {
    let txn: Txn = request.dry_run_txn();
    debug_assert!(txn.then.iter().all(|op| !matches!(op, Op::Put(_) | Op::Delete { .. })));
    let mut result = ctx.store().txn("put (dry run)", &txn, guard, Retry::Read).await?;
    let present = request.take_present(result.succeeded, &mut result.results);
    let key = bytes::name(&request.key);
    let unchanged = match PutRequest::outcome(result.succeeded, result.results) {
        PutOutcome::Refused(answers) => return Err(refused(request, &answers)),
        PutOutcome::Unchanged(now) => Some(now),
        PutOutcome::Written { .. } => None,
    };
    let outcome = match unchanged {
        Some(_) => "already has this value and would not be written",
        None => "would be written",
    };
    if ctx.out.is_data() || request.prev {
        let mod_revision = unchanged.as_ref().map(|now| now.mod_revision);
        let lease = match (&unchanged, request.lease) {
            (Some(now), _) => now.lease,
            (None, LeaseRequest::Attach(lease)) => Some(lease),
            (None, _) => None,
        };
        let written = unchanged.is_none();
        let prev = request.prev.then_some(present.as_ref());
        print(ctx, &PutAnswer { key: &request.key, mod_revision, lease, ttl: None, written, dry_run: true, prev })?;
    }
    if !ctx.out.is_data() {
        ctx.out.note(&format!("dry run: {key} {outcome}"));
    }
    Ok(Exit::Done)
}
