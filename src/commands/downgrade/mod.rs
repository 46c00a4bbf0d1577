//! `kvadm downgrade`: prepares the cluster for members with the previous minor version of etcd.

mod change;
mod facts;
mod judge;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{hidden_safety_options, safety_options};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{QuorumEvidence, scan_cluster};
use crate::kvstore::{DowngradeState, Refusal};
use crate::output::{DowngradeAnswer, DowngradeChangeRow, DowngradeMemberRow};

use facts::{checked, refused, require_quorum, running, state_of};
use judge::{Running, short};

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
  kvadm downgrade cancel --yes", args = hidden_safety_options(), disable_help_subcommand = true)]
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
