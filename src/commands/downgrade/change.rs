//! `downgrade enable` and `downgrade cancel`.

use super::facts::{checked, cluster, lock_out, refused, require_quorum, running, state_of};
use super::judge::{self, DowngradeObjection, Running, short};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{ClusterHealth, QuorumEvidence, scan_cluster};
use crate::kvstore::{DowngradeState, Refusal, minor_version};
use crate::output::DowngradeChangeRow;

/// `downgrade enable`.
///
/// # Errors
/// An unhealthy cluster, a version that etcd or kvadm refuses, a declined confirmation, or a lost answer.
pub async fn enable(ctx: &Context, target: &str, force: bool) -> Result<Exit, Failure> {
    let scan = scan_cluster(ctx.store(), QuorumEvidence::Reads).await?;
    require_quorum(ctx, &scan)?;
    if scan.verdict() != ClusterHealth::Healthy {
        let complaints = scan.complaints().join("; ");
        if !force {
            return Err(Failure::conflict(complaints)
                .context("the cluster is not healthy; the downgrade was not enabled")
                .hint(format!("run '{}', and repair the members first", ctx.command_line(&["status"])))
                .hint("add --force to enable the downgrade nevertheless"));
        }
        ctx.out.warn(&format!("the cluster is not healthy: {complaints}"));
    }
    if let DowngradeState::Enabled { target: Some(now) } = state_of(ctx, &scan).await?
        && minor_version(&now) == minor_version(target)
    {
        ctx.out.note(&format!("nothing to do: the downgrade to {target} is enabled"));
        return changed(ctx, "enable", "nothing", Some(target), None);
    }
    let version = checked(ctx, target).await?;
    let version = short(&version);
    match judge::objection(target, &running(&scan)) {
        Some(DowngradeObjection::LockOut) if force => {
            lock_out(target).iter().take(2).for_each(|fact| ctx.out.warn(fact));
        }
        Some(DowngradeObjection::LockOut) => {
            let failure = refused(ctx, target, DowngradeObjection::LockOut).await;
            return Err(failure.hint("add --force to enable it nevertheless"));
        }
        Some(objection) => return Err(refused(ctx, target, objection).await),
        None => {}
    }
    if ctx.safety.dry_run {
        ctx.out.note(&format!(
            "dry run: the downgrade of {} from {version} to {target} would be enabled",
            cluster(ctx, &scan)
        ));
        return changed(ctx, "enable", "would-enable", Some(target), Some(&version));
    }
    let save = ctx.command_line(&["snapshot", "save"]).words(["FILE"]);
    ctx.out.note(&format!("if there is no recent snapshot, save one first: {save}"));
    let consent = ctx.consent(&format!("Enable the downgrade of the cluster from {version} to {target}"))?;
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
        "{wait} restart the members with etcd {target}, one after the other, each when '{}' says that all are \
         healthy",
        ctx.command_line(&["status"])
    ));
    ctx.out.note(&format!("etcd ends the downgrade when all members run {target}; to end it before: {cancel}"));
    Ok(Exit::Done)
}

/// `downgrade cancel`.
///
/// # Errors
/// No quorum, a declined confirmation, or a lost answer.
pub async fn cancel(ctx: &Context) -> Result<Exit, Failure> {
    let scan = scan_cluster(ctx.store(), QuorumEvidence::Reads).await?;
    require_quorum(ctx, &scan)?;
    let DowngradeState::Enabled { target } = state_of(ctx, &scan).await? else {
        ctx.out.note("nothing to do: no downgrade is enabled");
        return changed(ctx, "cancel", "nothing", None, None);
    };
    let target = target.as_deref().map(short);
    let to = target.as_ref().map_or_else(String::new, |target| format!(" to {target}"));
    let running = running(&scan);
    let runs_target = |(_, version): &&Running<'_>| target.as_deref().is_some_and(|target| short(version) == target);
    let older: Vec<&str> = running.iter().filter(runs_target).map(|(endpoint, _)| *endpoint).collect();
    if !older.is_empty() {
        let older = older.join(", ");
        ctx.out.warn(&format!("these members run the older version already, and keep running it: {older}"));
    }
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: the downgrade of {}{to} would be cancelled", cluster(ctx, &scan)));
        return changed(ctx, "cancel", "would-cancel", target.as_deref(), None);
    }
    let consent = ctx.consent(&format!("Cancel the downgrade of the cluster{to}"))?;
    match ctx.store().cancel_downgrade(&consent).await {
        Ok(done) => {
            if done.cluster_version.is_none() {
                ctx.out.note("the answer was lost, but no downgrade is enabled any more");
            }
            changed(ctx, "cancel", "cancelled", target.as_deref(), done.cluster_version.as_deref())?;
            ctx.out.note(&after_cancel(ctx, &running, &older));
            Ok(Exit::Done)
        }
        Err(error) if error.is_refusal(Refusal::NoDowngrade) => {
            ctx.out.note("nothing to do: the downgrade has ended meanwhile");
            changed(ctx, "cancel", "nothing", target.as_deref(), None)
        }
        Err(error) => Err(error.into()),
    }
}

/// What comes after the end of a downgrade. `older` are the members that run its target.
fn after_cancel(ctx: &Context, running: &[Running<'_>], older: &[&str]) -> String {
    let status = ctx.command_line(&["downgrade", "status"]);
    let newest = judge::newest(running).unwrap_or_default();
    if older.is_empty() {
        return format!(
            "the version of the cluster rises again within seconds; '{status}' shows when a downgrade is possible"
        );
    }
    if older.len() == running.len() {
        return format!("all members that answer run etcd {newest}, and the cluster stays at this version");
    }
    format!(
        "next, restart these members with etcd {newest} again, one after the other: {}; until then the cluster stays at the older version",
        older.join(", ")
    )
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
