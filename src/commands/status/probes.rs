//! `kvadm status --probes`: what the members say over HTTP.

use std::time::Duration;

use crate::context::Context;
use crate::error::Failure;
use crate::health::{ClusterScan, probe_members};

/// A longer wait is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(2);

/// Asks the members that answered the scan.
///
/// # Errors
/// A signal, or the deadline.
pub async fn run(ctx: &Context, scan: &mut ClusterScan) -> Result<(), Failure> {
    let mut asking = std::pin::pin!(probe_members(ctx.store(), scan));
    tokio::select! {
        biased;
        asked = &mut asking => return Ok(asked?),
        () = tokio::time::sleep(EXPLAIN_AFTER) => {}
    }
    ctx.out.note("waiting for the members to answer /livez, /readyz and /metrics");
    Ok(asking.await?)
}

/// Says which feature gates are enabled, and what is not known.
pub fn remark(ctx: &Context, scan: &ClusterScan) {
    for member in &scan.members {
        let Some(probes) = &member.probes else { continue };
        for gap in probes.gaps() {
            ctx.out.note(&format!("{}: {gap}", member.endpoint));
        }
        let features = probes.features.as_deref().unwrap_or_default();
        if features.is_empty() || ctx.out.is_data() {
            continue;
        }
        let enabled: Vec<&str> =
            features.iter().filter(|feature| feature.enabled).map(|feature| feature.name.as_str()).collect();
        let enabled = if enabled.is_empty() { "none".to_owned() } else { enabled.join(", ") };
        ctx.out.note(&format!("{}: enabled features: {enabled}", member.endpoint));
    }
}
