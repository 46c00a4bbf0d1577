//! `kvadm status`.

mod diagnose;
mod quorum;
pub(super) mod scan;

use std::time::{Duration, Instant};

use crate::args::parse_duration;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Refusal;
use crate::output::{MemberRow, RevisionOnly, StatusAnswer};

use scan::{ClusterHealth, ClusterScan, scan_cluster};

/// What a round costs when all is well, and when it is not; as Cilium's StatusCheckInterval.
const HEALTHY_INTERVAL: Duration = Duration::from_secs(30);
const UNHEALTHY_INTERVAL: Duration = Duration::from_secs(5);
/// The pause between two looks of --wait.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Show each member's health, and prove the quorum.
///
/// A member is healthy if it answers a read that needs the quorum, knows a leader, and has raised no alarm. All members
/// of the cluster are asked, also those that --endpoints does not name. Ends with 0 if all are healthy, with 6 if the
/// cluster serves but something is wrong, with 3 if there is no quorum.
///
/// --diagnose goes to each endpoint of --endpoints by itself and shows every step on the way: name resolution, TCP,
/// TLS with the certificates of both sides, HTTP/2, authentication, leader, quorum, alarms and quota; each with its
/// time and, where it fails, with the cause and a remedy. A server's certificate is shown also where it is refused.
/// The report is laid out for people in pipes too; -o json has an object an endpoint. Ends with 0 if all is well
/// everywhere, with 6 if something is wrong and an endpoint serves, with 3 if none does; with 2 or 4 where the TLS
/// files or a refused login are what keeps all of them from it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm status
  kvadm status --quorum -o json
  kvadm status --wait 60s -q && ./deploy
  kvadm status --diagnose --endpoints https://etcd-0:2379,https://etcd-1:2379")]
pub struct Args {
    /// Print the store's revision and nothing else
    #[arg(long, conflicts_with_all = ["quorum", "watch", "wait"])]
    revision: bool,
    /// Show every step to each endpoint, from the name to the quota, and what to do where one fails
    #[arg(long, conflicts_with_all = ["revision", "quorum", "watch", "wait"])]
    diagnose: bool,
    /// Prove the quorum by a write under a lock, on kvadm's own key, which is removed again
    #[arg(long)]
    quorum: bool,
    /// Look again and again, every D; without D every 30s when healthy and every 5s when not
    #[arg(long, value_name = "D", num_args = 0..=1, value_parser = parse_duration)]
    #[allow(clippy::option_option)]
    watch: Option<Option<Duration>>,
    /// With --watch: stretch the default interval by ln(1+N), for N nodes that do the same
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u32).range(1..))]
    nodes: Option<u32>,
    /// Wait until all is healthy, but no longer than D
    #[arg(long, value_name = "D", value_parser = parse_duration, conflicts_with = "watch")]
    wait: Option<Duration>,
}

/// Runs the verb.
///
/// # Errors
/// No endpoint reachable, no quorum, or a refused login.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    if args.revision {
        return revision(ctx).await;
    }
    if args.diagnose {
        return diagnose::run(ctx).await;
    }
    if let Some(every) = args.watch {
        return watch(ctx, args, every).await;
    }
    let started = Instant::now();
    let limit = args.wait.unwrap_or(Duration::ZERO);
    let progress = args.wait.map(|_| ctx.out.progress("waiting for a healthy cluster", None));
    loop {
        let scan = scan_cluster(ctx, args.quorum).await;
        let healthy = matches!(&scan, Ok(scan) if scan.verdict() == ClusterHealth::Healthy);
        let waitable = match &scan {
            Ok(_) => true,
            Err(failure) => failure.exit == Exit::Unreachable,
        };
        if healthy || !waitable || started.elapsed() + POLL_INTERVAL > limit {
            if let Some(progress) = progress {
                progress.finish();
            }
            let scan = scan?;
            show(ctx, &scan)?;
            return end(&scan);
        }
        if let Some(progress) = &progress {
            progress.wait();
        }
        ctx.sleep(POLL_INTERVAL).await?;
    }
}

async fn revision(ctx: &Context) -> Result<Exit, Failure> {
    let revision = match ctx.store().revision().await {
        // Who may not read may still know how far the members are.
        Err(error) if error.is_refusal(Refusal::Permission) => {
            let scan = scan_cluster(ctx, false).await?;
            scan.revision().ok_or_else(|| Failure::from(error))?
        }
        other => other?,
    };
    ctx.out.one(&RevisionOnly { revision })?;
    Ok(Exit::Done)
}

async fn watch(ctx: &Context, args: &Args, every: Option<Duration>) -> Result<Exit, Failure> {
    loop {
        let scan = scan_cluster(ctx, args.quorum).await;
        let healthy = match &scan {
            Ok(scan) => {
                show(ctx, scan)?;
                ctx.out.flush()?;
                scan.verdict() == ClusterHealth::Healthy
            }
            Err(failure) if failure.exit == Exit::Unreachable => {
                ctx.out.error(&failure.view());
                false
            }
            Err(_) => {
                scan?;
                false
            }
        };
        ctx.sleep(every.unwrap_or_else(|| interval(healthy, args.nodes))).await?;
    }
}

/// Cilium's interval: `base * ln(1 + nodes)`; the base alone where no number of nodes is given.
fn interval(healthy: bool, nodes: Option<u32>) -> Duration {
    let base = if healthy { HEALTHY_INTERVAL } else { UNHEALTHY_INTERVAL };
    nodes.map_or(base, |nodes| base.mul_f64(f64::from(nodes).ln_1p()))
}

fn show(ctx: &Context, scan: &ClusterScan) -> Result<(), Failure> {
    let rows: Vec<MemberRow<'_>> = scan.members.iter().map(scan::MemberObservation::row).collect();
    let complaints = scan.complaints();
    ctx.out.report(&StatusAnswer {
        verdict: scan.verdict().as_str(),
        quorum: scan.quorum_word(),
        quorum_ms: scan.quorum_ms(),
        cluster: scan.cluster,
        revision: scan.revision(),
        members: &rows,
        complaints: &complaints,
    })?;
    Ok(())
}

fn end(scan: &ClusterScan) -> Result<Exit, Failure> {
    match scan.verdict() {
        ClusterHealth::Healthy => Ok(Exit::Done),
        ClusterHealth::Degraded => Ok(Exit::Partial),
        ClusterHealth::NoQuorum => {
            Err(Failure::new(Exit::Unreachable, "the cluster has no quorum: it can neither write nor read reliably")
                .hint("a majority of the voting members must be up and reach each other"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_cilium_s() {
        assert_eq!(interval(true, None), Duration::from_secs(30));
        assert_eq!(interval(false, None), Duration::from_secs(5));
        // Cilium's own figures, rounded to the millisecond.
        for (nodes, well, unwell) in [(1, 20_794, 3_466), (8, 65_917, 10_986), (8192, 270_331, 45_055)] {
            let millis = |healthy| (interval(healthy, Some(nodes)).as_secs_f64() * 1e3).round();
            assert_eq!((millis(true), millis(false)), (f64::from(well), f64::from(unwell)));
        }
    }
}
