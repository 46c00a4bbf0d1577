//! `kvadm status --probes`: what the members say over HTTP.

use std::time::Duration;

use crate::context::Context;
use crate::error::Failure;
use crate::health::{ClusterScan, FeatureGate, HealthCheck, probe_members};

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

/// Says what the checks tell, which feature gates are enabled, and what is not known. What all members say alike is said once.
pub fn remark(ctx: &Context, scan: &ClusterScan) {
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    let mut asked = 0_usize;
    for member in &scan.members {
        let Some(probes) = &member.probes else { continue };
        asked += 1;
        let mut remarks = probes.gaps();
        if !ctx.out.is_data() {
            if probes.livez == HealthCheck::Ok && probes.readyz == HealthCheck::Ok {
                remarks.push("livez and readyz are ok".to_owned());
            }
            remarks.extend(enabled_features(probes.features.as_deref().unwrap_or_default()));
        }
        for remark in remarks {
            match said.iter_mut().find(|(other, _)| *other == remark) {
                Some((_, endpoints)) => endpoints.push(&member.endpoint),
                None => said.push((remark, vec![&member.endpoint])),
            }
        }
    }
    for (remark, endpoints) in said {
        let whose = match endpoints.len() {
            all if all == asked && all > 1 => "all members".to_owned(),
            _ => endpoints.join(", "),
        };
        ctx.out.note(&format!("{whose}: {remark}"));
    }
}

fn enabled_features(features: &[FeatureGate]) -> Option<String> {
    if features.is_empty() {
        return None;
    }
    let enabled: Vec<&str> =
        features.iter().filter(|feature| feature.enabled).map(|feature| feature.name.as_str()).collect();
    let enabled = if enabled.is_empty() { "none".to_owned() } else { enabled.join(", ") };
    Some(format!("enabled features: {enabled}"))
}
