//! `kvadm status --advice`: what is wrong with the cluster or soon will be, and what to do.

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::advice::{ClusterFacts, LoginNeed, MemberFacts, NextCommand, Recommendation, Urgency, advise};
use crate::health::{ClusterHealth, ClusterScan, QuorumEvidence, certificates, scan_cluster};
use crate::kvstore::Store;
use crate::output::{AdviceAnswer, AdviceRow};
use crate::time::Time;

pub async fn run(ctx: &Context) -> Result<Exit, Failure> {
    let facts = gather(ctx.store()).await?;
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
        NextCommand::Other(line) => Some(line.clone()),
    }
}

async fn gather(store: &Store) -> Result<ClusterFacts, Failure> {
    let scan = scan_cluster(store, QuorumEvidence::Reads).await?;
    let listed = store.members().await.map(|listed| listed.members).unwrap_or_default();
    let certificates = certificates(store).await;
    let login = login_need(store).await;
    store.uninterrupted("status")?;
    let (members, silent) = members_of(&scan);
    Ok(ClusterFacts {
        now: Time::now(),
        health: scan.verdict(),
        members,
        silent,
        listed,
        configured: store.options().endpoints.clone(),
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
