//! Prints a scan.

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::ClusterScan;
use crate::kvstore::DowngradeState;
use crate::output::{MemberRow, StatusAnswer};

/// Prints a scan; with `time`, as a round of --watch.
///
/// # Errors
/// The output is closed or full.
pub fn show(ctx: &Context, scan: &ClusterScan, time: Option<String>) -> Result<(), Failure> {
    let rows: Vec<MemberRow<'_>> = scan.members.iter().map(|member| member.row(scan.lag(member))).collect();
    let complaints = scan.complaints();
    ctx.out.report(&StatusAnswer {
        verdict: scan.verdict().as_str(),
        quorum: scan.quorum_word(),
        quorum_ms: scan.quorum_ms(),
        cluster: scan.cluster,
        revision: scan.revision(),
        members: &rows,
        complaints: &complaints,
        time,
    })?;
    if !ctx.out.is_data() {
        say_downgrade(ctx, scan);
    }
    Ok(())
}

/// Says that a downgrade is enabled, which the table does not show.
fn say_downgrade(ctx: &Context, scan: &ClusterScan) {
    let states = scan.members.iter().filter_map(|member| member.status.as_ref().ok()?.downgrade.as_ref());
    let target = states.into_iter().find_map(|state| match state {
        DowngradeState::Enabled { target } => {
            Some(target.as_ref().map_or_else(String::new, |target| format!(" to {target}")))
        }
        DowngradeState::Disabled => None,
    });
    if let Some(target) = target {
        let line = ctx.command_line(&["downgrade", "status"]);
        ctx.out.note(&format!("a downgrade{target} is enabled: see '{line}'"));
    }
}

/// The failure of a cluster without a quorum.
pub fn no_quorum() -> Failure {
    Failure::new(Exit::Unreachable, "the cluster has no quorum: it cannot serve writes or linearizable reads")
        .hint("start members until a majority of the voting members is up and connected")
}
