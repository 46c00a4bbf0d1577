//! `kvadm status`: the health of the cluster.

mod advice;
mod consistency;
mod diagnose;
mod forecast;

use std::time::{Duration, Instant};

use crate::args::{parse_duration, parse_period};
use crate::commands::serializable::one_member;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::forecast::SpaceTarget;
use crate::health::{ClusterHealth, ClusterScan, MemberObservation, QuorumEvidence, scan_cluster};
use crate::kvstore::Refusal;
use crate::output::{MemberRow, RevisionOnly, StatusAnswer};
use crate::size::parse_size;
use crate::time::Time;

/// Default intervals of --watch for a healthy and an unhealthy cluster, as in Cilium's StatusCheckInterval.
const HEALTHY_INTERVAL: Duration = Duration::from_secs(30);
const UNHEALTHY_INTERVAL: Duration = Duration::from_secs(5);
/// The pause between two scans of --wait.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Show the health of each member, and prove the quorum
///
/// A member is healthy if it answers a linearizable read, has a leader and has no
/// alarm. All members of the cluster are checked, not only those of --endpoints.
///
/// --diagnose checks each endpoint of --endpoints step by step: name resolution,
/// TCP, TLS with both certificates, HTTP/2, authentication, leader, quorum, alarms
/// and quota. Each step prints its time and, if it fails, the cause and a remedy.
/// -o json prints one object per endpoint.
///
/// --advice, --consistency and --forecast look at the cluster's versions, data and
/// growth.
///
/// Exit codes:
///   0  everything is healthy
///   2  bad TLS files, if that is why no endpoint works
///   3  no quorum, or no endpoint works
///   4  login refused, if that is why no endpoint works
///   6  the cluster (--diagnose: an endpoint) works, but there is a problem; or
///      only learners were asked, which do not know whether there is a quorum
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm status
  kvadm status --wait 60s -q && ./deploy
  kvadm status --advice
  kvadm status --forecast 10m --keep-below 6GiB
  kvadm status --diagnose --endpoints https://etcd-0:2379,https://etcd-1:2379"
)]
pub struct Args {
    /// Print only the store's revision
    #[arg(long, conflicts_with_all = ["quorum", "watch", "wait"])]
    revision: bool,
    /// Check each endpoint step by step, and suggest a remedy for each failure
    #[arg(long, conflicts_with_all = ["revision", "quorum", "watch", "wait"])]
    diagnose: bool,
    /// Compare the data of all members, and show the keys in which they differ
    ///
    /// etcd hashes all stored revisions up to the lowest revision of the members (HashKV). If the hashes differ, kvadm reads all keys
    /// of members with different hashes, prints the first 20 keys that differ and counts all. If no key differs, only older
    /// revisions do: history-differs. With authentication it needs the role root. The members read their whole database.
    /// Exit code 6 if members differ, or if not all could be compared.
    #[arg(long, conflicts_with_all = ["revision", "diagnose", "serializable", "quorum", "watch", "wait"])]
    consistency: bool,
    /// Say what is wrong or soon will be, how sure that is, and what to do
    ///
    /// Rules over versions with known problems, sizes and quota, alarms, certificates that expire, members that do not answer or
    /// lag, the number of voters, addresses and access. Sorted by severity: critical, warning, suggestion. Nothing is written.
    /// Exit code 6 if advice is critical, 3 without a quorum; 0 if there are only warnings, suggestions, or none.
    #[arg(long, conflicts_with_all = ["revision", "diagnose", "serializable", "quorum", "watch", "wait", "consistency"])]
    advice: bool,
    /// Estimate when the store is full, from two samples D apart [default: 10s]
    ///
    /// Prints, for each member, the size of the database, the bytes in use and their growth per second, the time until they reach
    /// the quota, and a compaction period ('compact --every') that keeps them below --keep-below. kvadm(1) has the formula.
    #[arg(long, value_name = "D", num_args = 0..=1, value_parser = parse_period, conflicts_with_all = ["revision", "diagnose", "serializable", "quorum", "watch", "wait", "consistency", "advice"])]
    #[allow(clippy::option_option)]
    forecast: Option<Option<Duration>>,
    /// With --forecast: the quota of members that do not tell theirs
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "forecast", conflicts_with_all = ["revision", "diagnose", "serializable", "quorum", "watch", "wait", "consistency", "advice"])]
    quota: Option<u64>,
    /// With --forecast: bytes in use to stay below [default: 80% of the quota]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "forecast", conflicts_with_all = ["revision", "diagnose", "serializable", "quorum", "watch", "wait", "consistency", "advice"])]
    keep_below: Option<u64>,
    /// Do not check the quorum: read each member's own data only
    ///
    /// A member is healthy if it answers a serializable read, has a leader and has no alarm. With a user and a password, the
    /// login needs a quorum. With --revision, the revision is that of the first endpoint that answers.
    #[arg(long, conflicts_with_all = ["quorum", "diagnose"])]
    serializable: bool,
    /// Prove the quorum by writing under a lock (on a temporary key of kvadm)
    #[arg(long)]
    quorum: bool,
    /// Repeat every D [default: 30s if healthy, else 5s]
    #[arg(long, value_name = "D", num_args = 0..=1, value_parser = parse_period)]
    #[allow(clippy::option_option)]
    watch: Option<Option<Duration>>,
    /// With --watch: multiply the default interval by ln(1+N), for N nodes that also watch
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u32).range(1..))]
    nodes: Option<u32>,
    /// Wait up to D for every member to be healthy
    #[arg(long, value_name = "D", value_parser = parse_duration, conflicts_with = "watch")]
    wait: Option<Duration>,
}

impl Args {
    fn evidence(&self) -> QuorumEvidence {
        match (self.serializable, self.quorum) {
            (true, _) => QuorumEvidence::None,
            (false, true) => QuorumEvidence::Write,
            (false, false) => QuorumEvidence::Reads,
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// No reachable endpoint, no quorum, or a refused login.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    // An endpoint that does not answer is what this verb reports.
    ctx.limit_endless_connect(args.wait.unwrap_or(Duration::ZERO));
    if args.revision {
        return if args.serializable { revision_of_member(ctx).await } else { revision(ctx).await };
    }
    if args.diagnose {
        return diagnose::run(ctx).await;
    }
    if args.consistency {
        return consistency::run(ctx).await;
    }
    if args.advice {
        return advice::run(ctx).await;
    }
    if let Some(window) = args.forecast {
        let target = SpaceTarget { quota: args.quota, keep_below: args.keep_below };
        return match forecast::run(ctx, window.unwrap_or(forecast::DEFAULT_WINDOW), target).await {
            Err(failure) if failure.is_end_by_signal() => Ok(Exit::Interrupted),
            ended => ended,
        };
    }
    if let Some(every) = args.watch {
        return match watch(ctx, args, every).await {
            Err(failure) if failure.is_end_by_signal() => Ok(Exit::Interrupted),
            ended => ended,
        };
    }
    let started = Instant::now();
    let limit = args.wait.unwrap_or(Duration::ZERO);
    let progress = args.wait.map(|_| ctx.out.progress("waiting for a healthy cluster", None));
    loop {
        let scan = scan_cluster(ctx.store(), args.evidence()).await.map_err(Failure::from);
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
            show(ctx, &scan, None)?;
            return end(&scan);
        }
        if let Some(progress) = &progress {
            progress.tick();
        }
        ctx.sleep(POLL_INTERVAL).await?;
    }
}

async fn revision(ctx: &Context) -> Result<Exit, Failure> {
    let revision = match ctx.store().revision().await {
        // A user without read permission may still query the members.
        Err(error) if error.is_refusal(Refusal::Permission) => {
            let scan = scan_cluster(ctx.store(), QuorumEvidence::Reads).await?;
            scan.revision().ok_or_else(|| Failure::from(error))?
        }
        other => other?,
    };
    ctx.out.one(&RevisionOnly { revision })?;
    Ok(Exit::Done)
}

async fn revision_of_member(ctx: &Context) -> Result<Exit, Failure> {
    let source = one_member(ctx.store()).await?;
    let revision = match source.store.revision().await {
        // A user without read permission may still query the member.
        Err(error) if error.is_refusal(Refusal::Permission) => {
            source.store.member_status().await.map(|status| status.revision)
        }
        other => other,
    };
    let revision = revision.map_err(|error| source.explain(error.into()))?;
    ctx.out.one(&RevisionOnly { revision })?;
    source.report(ctx, revision).await;
    Ok(Exit::Done)
}

async fn watch(ctx: &Context, args: &Args, every: Option<Duration>) -> Result<Exit, Failure> {
    loop {
        let scan = scan_cluster(ctx.store(), args.evidence()).await.map_err(Failure::from);
        let time = Time::from_secs(Time::now().secs).to_string();
        if !matches!(&scan, Err(failure) if failure.exit != Exit::Unreachable) {
            let health = scan.as_ref().map_or("unreachable", |scan| scan.verdict().as_str());
            ctx.out.begin_screen(&format!("{time}  {health}"))?;
        }
        let healthy = match &scan {
            Ok(scan) => {
                show(ctx, scan, Some(time))?;
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

/// Cilium's interval: `base * ln(1 + nodes)`; without `nodes`, the base.
fn interval(healthy: bool, nodes: Option<u32>) -> Duration {
    let base = if healthy { HEALTHY_INTERVAL } else { UNHEALTHY_INTERVAL };
    nodes.map_or(base, |nodes| base.mul_f64(f64::from(nodes).ln_1p()))
}

fn show(ctx: &Context, scan: &ClusterScan, time: Option<String>) -> Result<(), Failure> {
    let rows: Vec<MemberRow<'_>> = scan.members.iter().map(MemberObservation::row).collect();
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

fn end(scan: &ClusterScan) -> Result<Exit, Failure> {
    match scan.verdict() {
        ClusterHealth::Healthy => Ok(Exit::Done),
        ClusterHealth::Degraded | ClusterHealth::Unknown => Ok(Exit::Partial),
        ClusterHealth::NoQuorum => Err(Failure::new(
            Exit::Unreachable,
            "the cluster has no quorum: it cannot serve writes or linearizable reads",
        )
        .hint("start members until a majority of the voting members is up and connected")),
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
