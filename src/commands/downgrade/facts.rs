//! What the verbs ask before they judge, and the refusals in words.

use super::judge::{DowngradeObjection, Running};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{ClusterHealth, ClusterScan, QuorumEvidence, scan_cluster};
use crate::kvstore::{DowngradeState, Error, Refusal, previous_version};

/// Without a quorum, a member tells only what it knew last.
///
/// # Errors
/// [`Exit::Unreachable`].
pub fn require_quorum(ctx: &Context, scan: &ClusterScan) -> Result<(), Failure> {
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
pub async fn refused(ctx: &Context, target: &str, objection: DowngradeObjection) -> Failure {
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
pub fn lock_out(target: &str) -> [String; 3] {
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
///
/// # Errors
/// Any error of the requests.
pub async fn state_of(ctx: &Context, scan: &ClusterScan) -> Result<DowngradeState, Failure> {
    // One member is enough to know that a downgrade is enabled: it has applied the request.
    let enabled = |state: &&DowngradeState| matches!(state, DowngradeState::Enabled { .. });
    if let Some(state) = answering(scan).filter_map(|(_, status)| status.downgrade.as_ref()).find(enabled) {
        return Ok(state.clone());
    }
    ctx.store().downgrade_state().await.map_err(|error| unsupported(scan, error))
}

/// Asks etcd whether it accepts the version.
///
/// # Errors
/// A version that etcd refuses, or any other error of the requests.
pub async fn checked(ctx: &Context, target: &str) -> Result<String, Failure> {
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
pub fn running(scan: &ClusterScan) -> Vec<Running<'_>> {
    answering(scan).map(|(endpoint, status)| (endpoint, status.version.as_str())).collect()
}

/// The cluster in a sentence: its ID, and the endpoints of the command line.
pub fn cluster(ctx: &Context, scan: &ClusterScan) -> String {
    let endpoints: Vec<String> = ctx.store().options().endpoints.iter().map(ToString::to_string).collect();
    let id = scan.cluster.map_or_else(|| "the cluster".to_owned(), |id| format!("cluster {id:x}"));
    format!("{id} ({})", endpoints.join(", "))
}
