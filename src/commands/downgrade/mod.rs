//! `kvadm downgrade`: prepares the cluster for members with the previous minor version of etcd.

mod change;
mod judge;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{hidden_safety_options, safety_options};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{ClusterHealth, ClusterScan, QuorumEvidence, scan_cluster};
use crate::kvstore::{DowngradeState, Error, Refusal, previous_version};
use crate::output::{DowngradeAnswer, DowngradeChangeRow, DowngradeMemberRow};

use judge::{DowngradeObjection, Running, short};

/// Prepare the cluster for members with the previous minor version of etcd
///
/// etcd can be downgraded by one minor version at a time. 'enable' allows it: etcd then writes only what the older version can read,
/// and members may be restarted with the older version, one after the other. etcd ends the downgrade when all members run the
/// older version.
///
/// Downgrades are usable from etcd 3.6 to 3.5 on. etcd 3.5 accepts one to 3.4, which does not start then: while it is enabled, a
/// member of 3.5 that restarts does not start either. kvadm refuses it. etcd 3.6 and later tell the state with the status of each
/// member.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm downgrade status
  kvadm downgrade validate 3.5
  kvadm downgrade enable 3.5 --yes
  kvadm downgrade cancel", args = hidden_safety_options(), disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    action: DowngradeCommand,
}

#[derive(Debug, Subcommand)]
enum DowngradeCommand {
    /// Show whether a downgrade is enabled, and the versions of each member
    ///
    /// The storage version is that of the format of the member's database (etcd 3.6 and later). etcd 3.5 does not always tell the
    /// version of an enabled downgrade. Exit code 3 without a quorum.
    #[command(after_help = "Examples:\n  kvadm downgrade status\n  kvadm downgrade status -o json")]
    Status,
    /// Check whether the cluster can be downgraded to VERSION now
    ///
    /// Exit code 4 if etcd refuses VERSION, 5 if etcd accepts it and the members cannot run it (see 'downgrade enable').
    #[command(after_help = "Examples:\n  kvadm downgrade validate 3.5\n  kvadm downgrade validate 3.5 -o json")]
    Validate {
        /// The version to go back to, such as 3.5
        #[arg(value_name = "VERSION", value_parser = parse_target)]
        target: String,
    },
    /// Allow the members to be restarted with VERSION
    ///
    /// kvadm checks that the cluster is healthy and that etcd accepts VERSION, and asks for confirmation. Save a snapshot first.
    ///
    /// kvadm refuses a VERSION more than one minor version below that of a member, and 3.4: etcd 3.4 does not start in a cluster of
    /// version 3.5, unless it is a late release with --next-cluster-version-compatible, and a member of 3.5 that restarts while the
    /// downgrade is enabled does not start either.
    ///
    /// etcd 3.5 executes 'enable' and 'cancel' and does not answer them: kvadm waits for --op-timeout and reads the state.
    ///
    /// Exit codes: 3 without a quorum, 4 if etcd refuses VERSION, 5 if kvadm refuses it, the cluster is not healthy (see --force) or
    /// the prompt was declined, 7 if the answer was lost and the state does not prove the result.
    #[command(
        after_help = "Examples:\n  kvadm downgrade enable 3.5\n  kvadm downgrade enable 3.5 --dry-run",
        args = safety_options()
    )]
    Enable {
        /// The version to go back to, such as 3.5
        #[arg(value_name = "VERSION", value_parser = parse_target)]
        target: String,
        /// Enable the downgrade although the cluster is not healthy, or VERSION is 3.4
        #[arg(long)]
        force: bool,
    },
    /// End a downgrade that is enabled
    ///
    /// Exits 0 if none is, 3 without a quorum. Members that run the older version keep running; restart them with the newer version
    /// afterwards.
    #[command(after_help = "Examples:\n  kvadm downgrade cancel --dry-run\n  kvadm downgrade cancel --yes", args = safety_options())]
    Cancel,
}

/// `3.5` or `3.5.9`, as the first two numbers, which are all that etcd compares.
fn parse_target(text: &str) -> Result<String, String> {
    let is_number = |part: &str| !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.strip_prefix('v').unwrap_or(text).split('.').collect();
    match parts.as_slice() {
        [major, minor] | [major, minor, _] if parts.iter().all(|part| is_number(part)) => {
            Ok(format!("{major}.{minor}"))
        }
        _ => Err("write the version as MAJOR.MINOR, such as 3.5".to_owned()),
    }
}

/// Runs the verb.
///
/// # Errors
/// A version that etcd refuses, an unhealthy cluster, a declined confirmation, or a lost answer.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        DowngradeCommand::Status => status(ctx).await,
        DowngradeCommand::Validate { target } => validate(ctx, target).await,
        DowngradeCommand::Enable { target, force } => change::enable(ctx, target, *force).await,
        DowngradeCommand::Cancel => change::cancel(ctx).await,
    }
}

async fn status(ctx: &Context) -> Result<Exit, Failure> {
    let scan = scan_cluster(ctx.store(), QuorumEvidence::Reads).await?;
    require_quorum(ctx, &scan)?;
    let state = state_of(ctx, &scan).await?;
    let running = running(&scan);
    let mut facts = PossibleTarget::default();
    if state == DowngradeState::Disabled {
        facts = possible_target(ctx, &running).await;
    }
    let rows: Vec<DowngradeMemberRow<'_>> = scan
        .members
        .iter()
        .map(|member| {
            let status = member.status.as_ref().ok();
            DowngradeMemberRow {
                endpoint: &member.endpoint,
                name: &member.name,
                version: status.map(|status| status.version.as_str()),
                storage_version: status.and_then(|status| status.storage_version.as_deref()),
                state: status.and_then(|status| status.downgrade.as_ref()),
                error: member.status.as_ref().err().map(String::as_str),
            }
        })
        .collect();
    ctx.out.report(&DowngradeAnswer {
        state: &state,
        cluster_version: facts.cluster_version.as_deref(),
        possible_target: facts.target.as_deref(),
        members: &rows,
    })?;
    match &state {
        DowngradeState::Enabled { target: Some(target) } => {
            let target = short(target);
            let left = judge::others(&running, &target).len();
            ctx.out.note(&format!(
                "a downgrade to {target} is enabled; {} of {} members run {target}",
                running.len().saturating_sub(left),
                running.len()
            ));
        }
        DowngradeState::Enabled { target: None } => ctx.out.note(
            "a downgrade is enabled, and etcd does not tell to which version; if all members were restarted with the older version, \
             etcd ends it within seconds",
        ),
        DowngradeState::Disabled => ctx.out.note(&format!("no downgrade is enabled{}", facts.remark)),
    }
    Ok(Exit::Done)
}

/// The version that the cluster can be downgraded to now.
#[derive(Default)]
struct PossibleTarget {
    target: Option<String>,
    cluster_version: Option<String>,
    /// What follows 'no downgrade is enabled'.
    remark: String,
}

async fn possible_target(ctx: &Context, running: &[Running<'_>]) -> PossibleTarget {
    let Some(target) = judge::possible(running) else { return PossibleTarget::default() };
    let newest = judge::newest(running).unwrap_or_default();
    let older = judge::others(running, &newest);
    let answer = ctx.store().validate_downgrade(&target).await;
    let remark = match &answer {
        Ok(_) if judge::objection(&target, running).is_some() => {
            format!("; etcd accepts {target}, but kvadm refuses it: etcd {target} does not start in this cluster")
        }
        Ok(_) => format!("; the cluster can be downgraded to {target}"),
        Err(error) if !error.is_refusal(Refusal::DowngradeTarget) => {
            format!("; whether the cluster can be downgraded to {target} is not known: {}", error.one_line())
        }
        Err(_) if older.is_empty() => format!(
            "; a downgrade to {target} is not possible yet: the version of the cluster rises some seconds after a downgrade was cancelled \
             or the last member was upgraded"
        ),
        Err(_) => format!(
            "; the members run different versions: restart {} with etcd {newest} first; then a downgrade to {target} is possible",
            older.join(", ")
        ),
    };
    let cluster_version = answer.ok();
    let is_possible = cluster_version.is_some() && judge::objection(&target, running).is_none();
    PossibleTarget { target: is_possible.then_some(target), cluster_version, remark }
}

async fn validate(ctx: &Context, target: &str) -> Result<Exit, Failure> {
    let version = checked(ctx, target).await?;
    let scan = scan_cluster(ctx.store(), QuorumEvidence::None).await?;
    if let Some(objection) = judge::objection(target, &running(&scan)) {
        return Err(refused(ctx, target, objection).await);
    }
    ctx.out.one(&DowngradeChangeRow {
        action: "validate",
        outcome: "valid",
        target_version: Some(target),
        cluster_version: Some(&version),
        dry_run: false,
    })?;
    Ok(Exit::Done)
}

/// Without a quorum, a member tells only what it knew last.
fn require_quorum(ctx: &Context, scan: &ClusterScan) -> Result<(), Failure> {
    if matches!(scan.verdict(), ClusterHealth::Healthy | ClusterHealth::Degraded) {
        return Ok(());
    }
    let what = "the cluster has no quorum: whether a downgrade is enabled is not known";
    let mut failure = Failure::new(Exit::Unreachable, what);
    for complaint in scan.complaints() {
        failure = failure.hint(complaint);
    }
    Err(failure.hint(format!("run '{}' to see which members are up", ctx.command_line(&["status"]))))
}

/// The failure of a target that etcd accepts.
async fn refused(ctx: &Context, target: &str, objection: DowngradeObjection) -> Failure {
    match objection {
        DowngradeObjection::LockOut => lock_out(target)
            .into_iter()
            .fold(Failure::conflict(format!("refused: a downgrade to {target} can lock members out")), Failure::hint),
        DowngradeObjection::TooFar { newest, older } => {
            let failure = Failure::conflict(format!(
                "refused: members run etcd {newest}, and {target} is more than one minor version below"
            ));
            let Some(nearer) = previous_version(&newest) else { return failure };
            let enable = ctx.command_line(&["downgrade", "enable"]).words([nearer.as_str()]);
            failure.hint(match ctx.store().validate_downgrade(&nearer).await {
                Ok(_) => format!("run '{enable}' first"),
                Err(_) if older.is_empty() => format!("run '{enable}' in some seconds, when etcd accepts it"),
                Err(_) => format!("restart {} with etcd {newest} first; then run '{enable}'", older.join(", ")),
            })
        }
    }
}

/// What an operator must know of a downgrade to etcd 3.4.
fn lock_out(target: &str) -> [String; 3] {
    [
        format!(
            "etcd {target} does not start in a cluster of version 3.5 (\"cluster cannot be downgraded\"), unless it is a late release \
             with --next-cluster-version-compatible"
        ),
        "while the downgrade is enabled, a member that restarts with etcd 3.5 does not start either (\"server version is not allowed to \
         join when downgrade is enabled\")"
            .to_owned(),
        "etcd's guide goes from 3.5 to 3.4 without 'downgrade enable', and not with authentication: \
         https://etcd.io/docs/v3.5/downgrades/downgrade_3_5"
            .to_owned(),
    ]
}

/// Whether a downgrade is enabled. Version 3.4 is refused in words.
async fn state_of(ctx: &Context, scan: &ClusterScan) -> Result<DowngradeState, Failure> {
    // One member is enough to know that a downgrade is enabled: it has applied the request.
    let enabled = |state: &&DowngradeState| matches!(state, DowngradeState::Enabled { .. });
    if let Some(state) = answering(scan).filter_map(|(_, status)| status.downgrade.as_ref()).find(enabled) {
        return Ok(state.clone());
    }
    ctx.store().downgrade_state().await.map_err(|error| unsupported(scan, error))
}

/// Asks etcd whether it accepts the version.
async fn checked(ctx: &Context, target: &str) -> Result<String, Failure> {
    match ctx.store().validate_downgrade(target).await {
        Ok(version) => Ok(version),
        Err(error) if error.is_refusal(Refusal::Unsupported) => {
            let scan = scan_cluster(ctx.store(), QuorumEvidence::None).await?;
            Err(unsupported(&scan, error))
        }
        Err(error) => Err(Failure::from(error).context(format!("the cluster cannot be downgraded to {target} now"))),
    }
}

fn unsupported(scan: &ClusterScan, error: Error) -> Failure {
    if !error.is_refusal(Refusal::Unsupported) {
        return error.into();
    }
    let versions: Vec<String> =
        answering(scan).map(|(endpoint, status)| format!("{endpoint} runs etcd {}", status.version)).collect();
    let failure = Failure::new(Exit::Refused, "this version of etcd does not support downgrades");
    failure
        .hint(versions.join(", "))
        .hint("downgrades exist since etcd 3.5; an older cluster is restored from a snapshot instead")
}

/// The members that answer, with their endpoints.
fn answering(scan: &ClusterScan) -> impl Iterator<Item = (&str, &crate::kvstore::MemberStatus)> {
    scan.members.iter().filter_map(|member| Some((member.endpoint.as_str(), member.status.as_ref().ok()?)))
}

/// The endpoints and versions of the members that answer.
fn running(scan: &ClusterScan) -> Vec<Running<'_>> {
    answering(scan).map(|(endpoint, status)| (endpoint, status.version.as_str())).collect()
}

/// The cluster in a sentence: its ID, and the endpoints of the command line.
fn cluster(ctx: &Context, scan: &ClusterScan) -> String {
    let endpoints: Vec<String> = ctx.store().options().endpoints.iter().map(ToString::to_string).collect();
    let id = scan.cluster.map_or_else(|| "the cluster".to_owned(), |id| format!("cluster {id:x}"));
    format!("{id} ({})", endpoints.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_minor_version() {
        for (text, target) in [("3.5", "3.5"), ("3.5.9", "3.5"), ("v3.6.0", "3.6")] {
            assert_eq!(parse_target(text).as_deref(), Ok(target));
        }
        for text in ["", "3", "3.", "3.x", "3.5.0.1", "3.5-rc", "-3.5", "3.99999"] {
            assert!(parse_target(text).is_err(), "{text}");
        }
    }
}
