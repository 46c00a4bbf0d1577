//! Prints a scan.

use crate::context::Context;
use crate::error::Failure;
use crate::health::ClusterScan;
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
    Ok(())
}
