//! `kvadm status --advice`: what is wrong with the cluster or soon will be, and what to do.

use crate::context::Context;
use crate::error::{Exit, Failure};
use std::time::Duration;

use crate::health::ScanError;
use crate::health::advice::{
    ClusterFacts, DataComparison, LoginNeed, MemberFacts, NextCommand, Recommendation, Urgency, advise,
};
use crate::health::{
    ClusterHealth, ClusterScan, ConsistencyVerdict, QuorumEvidence, certificates, check_consistency, format_causes,
    scan_cluster,
};
use crate::kvstore::{Error, Refusal, Store};
use crate::output::{AdviceAnswer, AdviceRow};
use crate::time::Time;

/// Members that use more bytes are not compared: each would read all of them for its hash.
const MAX_COMPARED_BYTES: u64 = 2 << 30;
/// A comparison that takes longer is given up.
const MAX_COMPARISON: Duration = Duration::from_secs(20);
/// A longer wait is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(2);

pub async fn run(ctx: &Context, quota: Option<u64>) -> Result<Exit, Failure> {
    let facts = gather(ctx, quota).await?;
    let found = advise(&facts);
    let commands: Vec<Option<String>> = found.iter().map(|advice| command(ctx, advice)).collect();
    let rows: Vec<AdviceRow<'_>> =
        found.iter().zip(&commands).map(|(advice, command)| row(advice, command.as_deref())).collect();
    ctx.out.advice(&AdviceAnswer { health: facts.health.as_str(), advice: &rows })?;
    if rows.is_empty() {
        ctx.out.note("no advice");
    }
    Ok(match (facts.health, found.first().map(|advice| advice.urgency)) {
        (ClusterHealth::NoQuorum, _) => Exit::Unreachable,
        (_, Some(Urgency::Critical)) => Exit::Partial,
        _ => Exit::Done,
    })
}

fn row<'a>(advice: &'a Recommendation, command: Option<&'a str>) -> AdviceRow<'a> {
    AdviceRow {
        severity: advice.urgency.as_str(),
        certainty: advice.certainty.as_str(),
        rule: advice.rule,
        subject: &advice.subject,
        finding: &advice.finding,
        why: &advice.why,
        remedy: &advice.remedy,
        command,
        problems: &advice.problems,
    }
}

/// The command line that reaches the same store.
fn command(ctx: &Context, advice: &Recommendation) -> Option<String> {
    match advice.command.as_ref()? {
        NextCommand::Kvadm(words) => {
            let [verb, rest @ ..] = words.as_slice() else { return None };
            Some(ctx.command_line(&[verb]).words(rest.iter().copied()).to_string())
        }
        NextCommand::KvadmAt(endpoints, words) => {
            let [verb, rest @ ..] = words.as_slice() else { return None };
            Some(ctx.command_line_at(endpoints, &[verb]).words(rest.iter().copied()).to_string())
        }
        NextCommand::OfMember(action, id) => {
            Some(ctx.command_line(&["member", action]).words([format!("{id:x}")]).to_string())
        }
    }
}

async fn gather(ctx: &Context, quota: Option<u64>) -> Result<ClusterFacts, Failure> {
    let store = ctx.store();
    let scan = scan_cluster(store, QuorumEvidence::Reads).await?;
    let listed = store.members().await.map(|listed| listed.members).unwrap_or_default();
    let certificates = certificates(store).await;
    let login = login_need(store).await;
    store.uninterrupted("status")?;
    let (members, silent) = members_of(&scan);
    let comparison = compare(ctx, scan.verdict(), &members, listed.len()).await?;
    Ok(ClusterFacts {
        now: Time::now(),
        health: scan.verdict(),
        members,
        silent,
        listed,
        configured: store.options().endpoints.clone(),
        quota,
        comparison,
        certificates,
        login,
    })
}

/// The members that answer, each once, and the endpoints of those that do not.
fn members_of(scan: &ClusterScan) -> (Vec<MemberFacts>, Vec<(String, String)>) {
    let (mut members, mut silent): (Vec<MemberFacts>, Vec<(String, String)>) = Default::default();
    let mut names = Vec::new();
    for member in &scan.members {
        if let Ok(status) = &member.status {
            names.push(member.name.as_str());
            if members.iter().all(|other| other.status.id != status.id) {
                members.push(MemberFacts {
                    endpoint: member.endpoint.clone(),
                    status: status.clone(),
                    alarms: member.alarms.clone(),
                });
            }
        }
    }
    for member in &scan.members {
        if let Err(why) = &member.status
            && (member.name.is_empty() || !names.contains(&member.name.as_str()))
        {
            silent.push((member.endpoint.clone(), why.clone()));
        }
    }
    (members, silent)
}

/// Compares the hashes of the members, if that takes a bounded time.
async fn compare(
    ctx: &Context,
    health: ClusterHealth,
    members: &[MemberFacts],
    listed: usize,
) -> Result<DataComparison, Failure> {
    if members.len().max(listed) < 2 {
        return Ok(DataComparison::Equal);
    }
    if health == ClusterHealth::NoQuorum {
        return Ok(DataComparison::Unknown("the cluster has no quorum".to_owned()));
    }
    if let Some(large) = members.iter().find(|member| member.status.db_in_use > MAX_COMPARED_BYTES) {
        let endpoint = &large.endpoint;
        return Ok(DataComparison::Unknown(format!(
            "{endpoint} uses more than 2 GiB, and the comparison would read all of them"
        )));
    }
    let comparing = tokio::time::timeout(MAX_COMPARISON, check_consistency(ctx.store(), false));
    let mut comparing = std::pin::pin!(comparing);
    let found = match tokio::time::timeout(EXPLAIN_AFTER, &mut comparing).await {
        Ok(found) => found,
        Err(_) => {
            ctx.out.note("waiting for the members to compare: each reads its whole database for the hash");
            comparing.await
        }
    };
    Ok(match found {
        Err(_) => DataComparison::Unknown(format!("the comparison took more than {} s", MAX_COMPARISON.as_secs())),
        Ok(Err(ScanError::Store(error @ (Error::Interrupted { .. } | Error::Deadline { .. })))) => {
            return Err(error.into());
        }
        Ok(Err(ScanError::Store(error)))
            if error.is_refusal(Refusal::Permission) || error.is_refusal(Refusal::NoUser) =>
        {
            DataComparison::Unknown(
                "with authentication, etcd tells the hash of the data to the role root only".to_owned(),
            )
        }
        Ok(Err(ScanError::Store(error))) => DataComparison::Unknown(format_causes(&error)),
        Ok(Err(error)) => DataComparison::Unknown(error.to_string()),
        Ok(Ok(report)) => match report.verdict {
            ConsistencyVerdict::Consistent => DataComparison::Equal,
            ConsistencyVerdict::Different | ConsistencyVerdict::HistoryDiffers => {
                DataComparison::Different(report.deviating().iter().map(|member| member.endpoint.clone()).collect())
            }
            ConsistencyVerdict::HistoryUnknown | ConsistencyVerdict::Unknown => {
                DataComparison::Unknown(report.why.unwrap_or_default())
            }
        },
    })
}

/// Whether a read without a user is served. With a client certificate, its name may be the user.
async fn login_need(store: &Store) -> LoginNeed {
    if store.options().tls.cert.is_some() {
        return LoginNeed::NeededOrUnknown;
    }
    match store.anonymous().serializable().revision().await {
        Ok(_) => LoginNeed::None,
        Err(_) => LoginNeed::NeededOrUnknown,
    }
}
