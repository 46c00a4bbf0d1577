//! `kvadm status --consistency`: compares the data of the members.

use std::time::Duration;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{
    ClusterHealth, ConsistencyReport, ConsistencyVerdict, KeyCopy, KeyDifference, MemberHash, QuorumEvidence,
    ScanError, check_consistency, scan_cluster,
};
use crate::kvstore::{Error, Refusal};
use crate::output::{ConsistencyAnswer, CopyRow, HashRow, KeyDifferenceRow};
use crate::plural::counted;

/// The interval between redraws of the progress bar.
const TICK: Duration = Duration::from_millis(100);
/// A longer wait is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(2);

pub async fn run(ctx: &Context) -> Result<Exit, Failure> {
    let report = compare(ctx).await?;
    show(ctx, &report)?;
    match report.verdict {
        ConsistencyVerdict::Consistent | ConsistencyVerdict::HistoryUnknown => Ok(Exit::Done),
        ConsistencyVerdict::Different | ConsistencyVerdict::HistoryDiffers => Ok(Exit::Partial),
        // The comparison needs no quorum, but its absence may be why members do not answer.
        ConsistencyVerdict::Unknown => match scan_cluster(ctx.store(), QuorumEvidence::Reads).await?.verdict() {
            ClusterHealth::NoQuorum => Err(super::report::no_quorum()),
            _ => Ok(Exit::Partial),
        },
    }
}

/// Compares with a progress bar, and says after a while what takes so long.
async fn compare(ctx: &Context) -> Result<ConsistencyReport, Failure> {
    let progress = ctx.out.progress("comparing the members", None);
    let mut work = std::pin::pin!(check_consistency(ctx.store(), true));
    let explain = tokio::time::sleep(EXPLAIN_AFTER);
    let mut explain = std::pin::pin!(explain);
    let mut explained = false;
    let found = loop {
        tokio::select! {
            biased;
            found = &mut work => break found,
            () = &mut explain, if !explained => {
                explained = true;
                ctx.out.note("waiting for the members to compare: each reads its whole database for the hash, and where hashes \
                              differ kvadm reads all keys");
            }
            () = tokio::time::sleep(TICK) => progress.tick(),
        }
    };
    progress.finish();
    found.map_err(|error| match error {
        ScanError::Store(error) if is_denied(&error) => {
            let failure = Failure::from(error);
            let hints = vec![
                "with authentication, etcd tells the hash of the data to the role root only: add --user root --password-file FILE"
                    .to_owned(),
            ];
            Failure { hints, ..failure }.context("the members cannot be compared")
        }
        other => other.into(),
    })
}

fn is_denied(error: &Error) -> bool {
    error.is_refusal(Refusal::Permission) || error.is_refusal(Refusal::NoUser)
}

fn show(ctx: &Context, report: &ConsistencyReport) -> Result<(), Failure> {
    let deviating: Vec<&str> = report.deviating().iter().map(|member| member.endpoint.as_str()).collect();
    let mut answers = report.members.iter().filter_map(|member| member.result.as_ref().ok());
    let first = answers.next();
    // One answer agrees with no other.
    let second = answers.next();
    let is_one = second.is_some() && second == first && answers.all(|answer| Some(answer) == first);
    let rows: Vec<HashRow<'_>> = report
        .members
        .iter()
        .map(|member| HashRow {
            endpoint: &member.endpoint,
            id: member.id,
            name: &member.name,
            state: match (&member.result, report.verdict) {
                (Err(_), _) => "unknown",
                (Ok(_), _) if report.members.len() == 1 => "single",
                (Ok(_), _) if deviating.contains(&member.endpoint.as_str()) => "deviates",
                // Without a majority nobody can say which member is right.
                (Ok(_), ConsistencyVerdict::Different | ConsistencyVerdict::HistoryDiffers) if deviating.is_empty() => {
                    "differs"
                }
                (Ok(_), ConsistencyVerdict::Unknown) if !is_one => "unknown",
                (Ok(_), _) => "agrees",
            },
            hash: member.result.as_ref().ok().map(|(hash, _)| *hash),
            compact_revision: member.result.as_ref().ok().map(|(_, compact)| *compact),
            error: member.result.as_ref().err().map(String::as_str),
        })
        .collect();
    let copies: Vec<Vec<CopyRow<'_>>> = report.differences.iter().map(copies).collect();
    let differs: Vec<Vec<String>> = report
        .differences
        .iter()
        .map(|difference| difference.fields.iter().map(|field| (*field).to_owned()).collect())
        .collect();
    let shown: Vec<Vec<String>> =
        report.differences.iter().map(|difference| in_words(difference, &report.members)).collect();
    let differences: Vec<KeyDifferenceRow<'_>> = report
        .differences
        .iter()
        .zip(&copies)
        .zip(differs.iter().zip(&shown))
        .map(|((difference, copies), (differs, shown))| KeyDifferenceRow {
            key: &difference.key,
            differs,
            copies,
            shown,
        })
        .collect();
    ctx.out.report(&ConsistencyAnswer {
        verdict: report.verdict.as_str(),
        revision: Some(report.revision).filter(|revision| *revision > 0),
        members: &rows,
        difference_count: report.difference_count,
        differences: &differences,
        why: report.why.as_deref(),
    })?;
    remark(ctx, report, &deviating);
    Ok(())
}

/// The result in words, on stderr.
fn remark(ctx: &Context, report: &ConsistencyReport, deviating: &[&str]) {
    let revision = report.revision;
    let why = report.why.as_deref().unwrap_or_default();
    match report.verdict {
        ConsistencyVerdict::Consistent => {
            ctx.out.note(&match report.members.len() {
                1 => format!("one member, at revision {revision}: there is no other copy to compare"),
                members => {
                    format!("consistent: {} with the same data at revision {revision}", counted(members, "member"))
                }
            });
            return;
        }
        ConsistencyVerdict::HistoryUnknown => {
            ctx.out.note(&format!("no difference found at revision {revision}: {why}"));
            return;
        }
        ConsistencyVerdict::Unknown => {
            ctx.out.warn(&format!("unknown whether the members hold the same data at revision {revision}: {why}"));
            return;
        }
        ConsistencyVerdict::Different => {
            ctx.out.warn(&format!("the members hold different data at revision {revision}: {why}"));
        }
        ConsistencyVerdict::HistoryDiffers => {
            ctx.out.warn(&format!("the history of the members differs at revision {revision}: {why}"));
        }
    }
    let left = report.difference_count.saturating_sub(report.differences.len() as u64);
    if left > 0 {
        ctx.out.warn(&format!("{} more not shown", counted(left, "differing key")));
    }
    match deviating {
        [] => {
            ctx.out.note("no hash is in the majority: compare the keys with a backup or with what their writers expect")
        }
        some => {
            let verb = if some.len() == 1 { "deviates" } else { "deviate" };
            ctx.out.note(&format!("{} {verb} from the majority", some.join(", ")));
        }
    }
    show_copies(ctx, report);
    match report.outvoted() {
        Some((wrong, agrees)) => repair(ctx, report, wrong, agrees),
        None if report.verdict == ConsistencyVerdict::HistoryDiffers => ctx.out.note(
            "do not remove a member for this: the current keys are equal, and the next compaction removes the older revisions; \
             run the command again after it",
        ),
        None => ctx.out.note("it is not proved which member is wrong: do not remove one before you know the right values"),
    }
}

/// The commands that read the copies of the first key that differs.
fn show_copies(ctx: &Context, report: &ConsistencyReport) {
    let Some(difference) = report.differences.first() else { return };
    for copy in &difference.copies {
        let line = ctx.command_line_at(&copy.endpoint, &["get"]).key(&difference.key).words(["--serializable"]);
        ctx.out.note(&format!("to read the copy of {}: {line}", copy.endpoint));
    }
}

/// How to give the member the data of the majority.
fn repair(ctx: &Context, report: &ConsistencyReport, wrong: &MemberHash, agrees: &MemberHash) {
    let (from, to) = (&agrees.endpoint, &wrong.endpoint);
    if wrong.id.is_some() && wrong.id == report.leader {
        ctx.out.warn(&format!("{to} is the leader: 'kvadm member remove' moves leadership to another member first"));
    }
    let save = ctx.command_line_at(from, &["snapshot", "save"]).words(["majority.db"]);
    ctx.out.note(&format!("first save a snapshot of {from}, which agrees with the majority: {save}"));
    let keep = ctx.command_line_at(to, &["snapshot", "save"]).words(["deviating.db"]);
    ctx.out.note(&format!("keep the deviating data, too: {keep}"));
    let id = wrong.id.map_or_else(|| "ID".to_owned(), |id| format!("{id:x}"));
    let remove = ctx.command_line_at(from, &["member", "remove"]).words([id]);
    ctx.out.note(&format!(
        "if the majority is right, remove the member, and add it again with an empty data directory: \
         {remove}"
    ));
}

fn copies(difference: &KeyDifference) -> Vec<CopyRow<'_>> {
    let rows = difference.copies.iter().map(|copy| CopyRow {
        endpoint: &copy.endpoint,
        mod_revision: copy.mod_revision,
        version: copy.version,
        lease: copy.lease,
        value_bytes: copy.value_bytes,
    });
    rows.collect()
}

/// The copies of a key, each in one line. Each stands for the members with the same hash.
fn in_words(difference: &KeyDifference, members: &[MemberHash]) -> Vec<String> {
    let copy = |copy: &KeyCopy| {
        let member = members.iter().find(|member| member.endpoint == copy.endpoint);
        let name = member.map(|member| member.name.as_str()).filter(|name| !name.is_empty());
        let name = name.unwrap_or(&copy.endpoint);
        match copy.mod_revision {
            Some(revision) => {
                let size = counted(copy.value_bytes, "byte");
                format!("{name}: {size}, mod revision {revision}, version {}", copy.version)
            }
            None => format!("{name}: no such key"),
        }
    };
    difference.copies.iter().map(copy).collect()
}
