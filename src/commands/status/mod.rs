//! `kvadm status`: the health of the cluster.

mod advice;
mod consistency;
pub(in crate::commands) mod diagnose;
mod forecast;
mod latency;
mod probes;
mod report;
mod watch;

use std::time::{Duration, Instant};

use crate::args::{parse_duration, parse_period, safety_options};
use crate::commands::serializable::one_member;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::forecast::SpaceTarget;
use crate::health::{ClusterHealth, ClusterScan, QuorumEvidence, scan_cluster};
use crate::kvstore::Refusal;
use crate::output::RevisionOnly;
use crate::size::parse_size;

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
/// --latency measures each member: p50, p90, p99 and the longest time of reads and
/// writes. A member that does not answer is a row with failures.
/// --advice, --consistency and --forecast look at the cluster's versions, data and
/// growth.
///
/// Exit codes:
///   0  everything is healthy
///   2  bad TLS files, if that is why no endpoint works
///   3  no quorum, or no endpoint works
///   4  login refused, if that is why no endpoint works
///   6  the cluster (--diagnose: an endpoint) works, but there is a problem; or
///      only learners were asked, which do not know whether there is a quorum;
///      --latency: a probe failed; --consistency: members differ, or not all answer
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    group = clap::ArgGroup::new("quota_users").args(["forecast", "advice"]).multiple(true),
    // --latency writes.
    args = safety_options().into_iter().filter(|option| option.get_id() == "dry-run"),
    after_help = "\
Examples:
  kvadm status
  kvadm status --latency 10s
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
    /// revisions do: history-differs. Hashes are comparable only with one compact revision. If the compact revisions differ, as they
    /// may between a compaction and the next write, and all keys and values are equal, the verdict is history-unknown. With
    /// authentication it needs the role root. The members read their whole database. Exit code 6 if members differ, or if not all
    /// could be compared; 0 for consistent and history-unknown.
    #[arg(long, conflicts_with_all = ["revision", "diagnose", "serializable", "quorum", "watch", "wait"])]
    consistency: bool,
    /// Say what is wrong or soon will be, how sure that is, and what to do
    ///
    /// Rules over versions with known problems, sizes and quota, alarms, certificates that expire, members that do not answer or
    /// lag, the number of voters, addresses and access. Sorted by severity: critical, warning, suggestion. Nothing is written.
    /// The data of the members is compared by its hash, unless a member uses more than 2 GiB or authentication forbids it; the
    /// advice then says so.
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
    /// With --forecast, --advice: the quota of members that do not tell theirs (etcd before 3.6)
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "quota_users", conflicts_with_all = ["revision", "diagnose", "serializable", "quorum", "watch", "wait", "latency", "consistency"])]
    quota: Option<u64>,
    /// With --forecast: bytes in use to stay below [default: 80% of the quota]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "forecast", conflicts_with_all = ["revision", "diagnose", "serializable", "quorum", "watch", "wait", "latency", "consistency", "advice"])]
    keep_below: Option<u64>,
    /// Do not check the quorum: read each member's own data only
    ///
    /// A member is healthy if it answers a serializable read, has a leader and has no alarm. With a user and a password, the
    /// login needs a quorum. With --revision, the revision is that of the first endpoint that answers.
    #[arg(long, conflicts_with_all = ["quorum", "diagnose"])]
    serializable: bool,
    /// Prove the quorum by writing under a lock (on a temporary key of kvadm)
    ///
    /// Each check adds two revisions to the store: kvadm creates the key and deletes it. --wait and --watch repeat the check.
    #[arg(long)]
    quorum: bool,
    /// Also ask each member's /livez, /readyz and feature gates over HTTP
    ///
    /// etcd serves them on its client URLs: /livez and /readyz since 3.4.29, 3.5.11 and 3.6, the feature gates among the /metrics
    /// since 3.6. A health check that fails makes the member unhealthy; a learner is never ready. What a version does not serve is
    /// said on stderr. The requests use the TLS files, and send no password. Each takes at most --op-timeout.
    #[arg(long, conflicts_with_all = ["revision", "diagnose", "consistency", "advice", "forecast", "latency", "watch", "wait"])]
    probes: bool,
    /// Repeat every D [default: 30s if healthy, else 5s]
    #[arg(long, value_name = "D", num_args = 0..=1, value_parser = parse_period)]
    #[allow(clippy::option_option)]
    watch: Option<Option<Duration>>,
    /// Measure reads and writes of each member for D [default: 5s]
    ///
    /// Ten times a second, kvadm sends each member a serializable read, a linearizable read, and a write of a key below
    /// kvadm/.latency/. The key is on a lease, and is deleted at the end. Each write is a revision of the store. --dry-run
    /// leaves the writes out; --serializable leaves out the writes and the linearizable reads. The times do not include the
    /// connection and the login. Ctrl-C prints what was measured until then.
    #[arg(long, value_name = "D", num_args = 0..=1, value_parser = parse_period,
          conflicts_with_all = ["revision", "quorum", "watch", "wait", "diagnose", "consistency", "advice", "forecast"])]
    #[allow(clippy::option_option)]
    latency: Option<Option<Duration>>,
    /// With --watch: multiply the default interval by ln(1+N), for N nodes that also watch
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u32).range(1..),
          conflicts_with_all = ["revision", "diagnose", "consistency", "advice", "forecast", "latency", "probes", "wait"])]
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
        return advice::run(ctx, args.quota).await;
    }
    if let Some(window) = args.forecast {
        let target = SpaceTarget { quota: args.quota, keep_below: args.keep_below };
        return forecast::run(ctx, window.unwrap_or(forecast::DEFAULT_WINDOW), target).await;
    }
    if let Some(every) = args.watch {
        return match watch::run(ctx, args.evidence(), every, args.nodes).await {
            Err(failure) if failure.is_end_by_signal() => Ok(Exit::Interrupted),
            ended => ended,
        };
    }
    if let Some(duration) = args.latency {
        return latency::run(ctx, args.serializable, duration.unwrap_or(latency::DEFAULT_DURATION)).await;
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
            let mut scan = scan?;
            if args.probes {
                probes::run(ctx, &mut scan).await?;
            }
            report::show(ctx, &scan, None)?;
            if args.probes {
                probes::remark(ctx, &scan);
            }
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

fn end(scan: &ClusterScan) -> Result<Exit, Failure> {
    match scan.verdict() {
        ClusterHealth::Healthy => Ok(Exit::Done),
        ClusterHealth::Degraded | ClusterHealth::Unknown => Ok(Exit::Partial),
        ClusterHealth::NoQuorum => Err(report::no_quorum()),
    }
}
