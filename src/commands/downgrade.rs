//! `kvadm downgrade`: prepares the cluster for members with the previous minor version of etcd.

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{hidden_safety_options, safety_options};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{ClusterHealth, ClusterScan, QuorumEvidence, scan_cluster};
use crate::kvstore::{DowngradeState, Error, Refusal, minor_version, previous_version};
use crate::output::{DowngradeAnswer, DowngradeChangeRow, DowngradeMemberRow};

/// Prepare the cluster for members with the previous minor version of etcd
///
/// etcd can be downgraded by one minor version at a time. 'enable' allows it: etcd then writes only what the older version can read,
/// and members may be restarted with the older version, one after the other. etcd ends the downgrade when all members run the
/// older version.
///
/// etcd 3.5 and later support downgrades; 3.6 and later tell their state with the status of each member.
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
    /// The storage version is that of the format of the member's database (etcd 3.6 and later).
    #[command(after_help = "Examples:\n  kvadm downgrade status\n  kvadm downgrade status -o json")]
    Status,
    /// Check whether the cluster can be downgraded to VERSION now
    ///
    /// Exit code 4 if it cannot.
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
    /// etcd 3.5 executes 'enable' and 'cancel' and does not answer them: kvadm waits for --op-timeout and reads the state.
    ///
    /// Exit codes: 4 if etcd refuses VERSION, 5 if the cluster is not healthy (see --force) or the prompt was declined, 7 if the
    /// answer was lost and the state does not prove the result.
    #[command(
        after_help = "Examples:\n  kvadm downgrade enable 3.5\n  kvadm downgrade enable 3.5 --dry-run",
        args = safety_options()
    )]
    Enable {
        /// The version to go back to, such as 3.5
        #[arg(value_name = "VERSION", value_parser = parse_target)]
        target: String,
        /// Enable the downgrade although the cluster is not healthy
        #[arg(long)]
        force: bool,
    },
    /// End a downgrade that is enabled
    ///
    /// Exits 0 if none is. Members that run the older version keep running; restart them with the newer version afterwards.
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
        DowngradeCommand::Enable { target, force } => enable(ctx, target, *force).await,
        DowngradeCommand::Cancel => cancel(ctx).await,
    }
}

async fn status(ctx: &Context) -> Result<Exit, Failure> {
    let scan = scan_cluster(ctx.store(), QuorumEvidence::None).await?;
    let state = state_of(ctx, &scan).await?;
    let lowest = answering(&scan).map(|(_, status)| status.version.as_str()).min_by_key(|text| minor_version(text));
    let possible = lowest.and_then(previous_version);
    let (mut cluster_version, mut possible_target) = (None, None);
    if let (DowngradeState::Disabled, Some(possible)) = (&state, possible) {
        match ctx.store().validate_downgrade(&possible).await {
            Ok(version) => (cluster_version, possible_target) = (Some(version), Some(possible)),
            Err(error) => {
                ctx.out.detail(&format!("a downgrade to {possible} is not possible now: {}", error.one_line()))
            }
        }
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
        cluster_version: cluster_version.as_deref(),
        possible_target: possible_target.as_deref(),
        members: &rows,
    })?;
    match (&state, &possible_target) {
        (DowngradeState::Enabled { target }, _) => {
            let target = short(target);
            let members = || answering(&scan);
            let is_older = |version: &str| minor_version(version) == minor_version(&target);
            let done = members().filter(|(_, status)| is_older(&status.version)).count();
            ctx.out.note(&format!(
                "a downgrade to {target} is enabled; {done} of {} members run {target}",
                members().count()
            ));
        }
        (DowngradeState::Disabled, Some(target)) => {
            ctx.out.note(&format!("no downgrade is enabled; the cluster can be downgraded to {target}"));
        }
        (DowngradeState::Disabled, None) => ctx.out.note("no downgrade is enabled"),
    }
    Ok(Exit::Done)
}

async fn validate(ctx: &Context, target: &str) -> Result<Exit, Failure> {
    let version = checked(ctx, target).await?;
    ctx.out.one(&DowngradeChangeRow {
        action: "validate",
        outcome: "valid",
        target_version: Some(target),
        cluster_version: Some(&version),
        dry_run: false,
    })?;
    Ok(Exit::Done)
}

async fn enable(ctx: &Context, target: &str, force: bool) -> Result<Exit, Failure> {
    let scan = scan_cluster(ctx.store(), QuorumEvidence::Reads).await?;
    if scan.verdict() != ClusterHealth::Healthy {
        let complaints = scan.complaints().join("; ");
        if !force {
            return Err(Failure::conflict(complaints)
                .context("the cluster is not healthy; the downgrade was not enabled")
                .hint("run 'kvadm status', and repair the members first")
                .hint("add --force to enable the downgrade nevertheless"));
        }
        ctx.out.warn(&format!("the cluster is not healthy: {complaints}"));
    }
    if let DowngradeState::Enabled { target: now } = state_of(ctx, &scan).await?
        && minor_version(&now) == minor_version(target)
    {
        ctx.out.note(&format!("Nothing to do: the downgrade to {target} is enabled"));
        return changed(ctx, "enable", "nothing", Some(target), None);
    }
    let version = checked(ctx, target).await?;
    let version = short(&version);
    if ctx.safety.dry_run {
        ctx.out.note(&format!(
            "dry run: the downgrade of {} from {version} to {target} would be enabled",
            cluster(ctx, &scan)
        ));
        return changed(ctx, "enable", "would-enable", Some(target), Some(&version));
    }
    let save = ctx.command_line(&["snapshot", "save"]).words(["FILE"]);
    ctx.out.note(&format!("if there is no recent snapshot, save one first: {save}"));
    let consent =
        ctx.consent(&format!("Enable the downgrade of {} from {version} to {target}", cluster(ctx, &scan)))?;
    let done = ctx.store().enable_downgrade(&consent, target).await?;
    if done.cluster_version.is_none() {
        ctx.out.note("the answer was lost, but the downgrade is enabled");
    }
    changed(ctx, "enable", "enabled", Some(target), Some(&version))?;
    let (status, cancel) = (ctx.command_line(&["downgrade", "status"]), ctx.command_line(&["downgrade", "cancel"]));
    // Earlier versions do not tell the version of their storage.
    let wait = match minor_version(&version) >= Some((3, 6)) {
        true => format!("next, wait until '{status}' shows storage version {target} for every member; then"),
        false => "next,".to_owned(),
    };
    ctx.out.note(&format!(
        "{wait} restart the members with etcd {target}, one after the other, each when 'kvadm status' says that all are healthy"
    ));
    ctx.out.note(&format!("etcd ends the downgrade when all members run {target}; to end it before: {cancel}"));
    Ok(Exit::Done)
}

async fn cancel(ctx: &Context) -> Result<Exit, Failure> {
    let scan = scan_cluster(ctx.store(), QuorumEvidence::Reads).await?;
    let state = state_of(ctx, &scan).await?;
    let DowngradeState::Enabled { target } = state else {
        ctx.out.note("Nothing to do: no downgrade is enabled");
        return changed(ctx, "cancel", "nothing", None, None);
    };
    let target = short(&target);
    let older: Vec<&str> = answering(&scan)
        .filter(|(_, status)| minor_version(&status.version) == minor_version(&target))
        .map(|(endpoint, _)| endpoint)
        .collect();
    if !older.is_empty() {
        ctx.out.warn(&format!("these members run {target} already, and keep running it: {}", older.join(", ")));
    }
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: the downgrade of {} to {target} would be cancelled", cluster(ctx, &scan)));
        return changed(ctx, "cancel", "would-cancel", Some(&target), None);
    }
    let consent = ctx.consent(&format!("Cancel the downgrade of {} to {target}", cluster(ctx, &scan)))?;
    match ctx.store().cancel_downgrade(&consent).await {
        Ok(done) => {
            if done.cluster_version.is_none() {
                ctx.out.note("the answer was lost, but no downgrade is enabled any more");
            }
            changed(ctx, "cancel", "cancelled", Some(&target), done.cluster_version.as_deref())
        }
        Err(error) if error.is_refusal(Refusal::NoDowngrade) => {
            ctx.out.note("Nothing to do: the downgrade has ended meanwhile");
            changed(ctx, "cancel", "nothing", Some(&target), None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Prints the outcome of a change.
fn changed(
    ctx: &Context,
    action: &'static str,
    outcome: &'static str,
    target_version: Option<&str>,
    cluster_version: Option<&str>,
) -> Result<Exit, Failure> {
    let dry_run = ctx.safety.dry_run;
    ctx.out.one(&DowngradeChangeRow { action, outcome, target_version, cluster_version, dry_run })?;
    Ok(Exit::Done)
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

/// The cluster in a question: its ID, and the endpoints of the command line.
fn cluster(ctx: &Context, scan: &ClusterScan) -> String {
    let endpoints: Vec<String> = ctx.store().options().endpoints.iter().map(ToString::to_string).collect();
    let id = scan.cluster.map_or_else(|| "the cluster".to_owned(), |id| format!("cluster {id:x}"));
    format!("{id} ({})", endpoints.join(", "))
}

/// The first two numbers of a version.
fn short(version: &str) -> String {
    minor_version(version).map_or_else(|| version.to_owned(), |(major, minor)| format!("{major}.{minor}"))
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
