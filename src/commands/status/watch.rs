//! `kvadm status --watch`: scans again and again.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::report::show;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{ClusterHealth, ClusterScan, QuorumEvidence, scan_cluster_again};
use crate::output::Screen;
use crate::signal::Resizes;
use crate::time::Time;
use crate::transport::Endpoint;

/// Default intervals for a healthy and an unhealthy cluster, as in Cilium's StatusCheckInterval.
const HEALTHY_INTERVAL: Duration = Duration::from_secs(30);
const UNHEALTHY_INTERVAL: Duration = Duration::from_secs(5);

/// The result of a scan, and when it ended.
struct WatchRound {
    time: String,
    scan: Result<ClusterScan, Failure>,
}

/// Scans until a signal.
///
/// # Errors
/// Any error but that no endpoint is reached.
pub async fn run(
    ctx: &Context,
    evidence: QuorumEvidence,
    every: Option<Duration>,
    nodes: Option<u32>,
) -> Result<Exit, Failure> {
    let mut screen = ctx.out.screen();
    let mut resizes = Resizes::listen();
    let mut previous: Option<WatchRound> = None;
    let mut seen: Vec<Endpoint> = Vec::new();
    loop {
        let scan = scan_while_resized(ctx, evidence, &seen, &mut screen, &mut resizes, previous.as_ref()).await?;
        let time = Time::from_secs(Time::now().secs).to_string();
        match scan {
            Err(failure) if failure.exit != Exit::Unreachable => return Err(failure),
            scan => {
                if let Ok(scan) = &scan {
                    remember(&mut seen, scan);
                }
                let round = WatchRound { time, scan };
                show_round(ctx, &mut screen, &round)?;
                let healthy = matches!(&round.scan, Ok(scan) if scan.verdict() == ClusterHealth::Healthy);
                let due = Instant::now() + every.unwrap_or_else(|| interval(healthy, nodes));
                loop {
                    tokio::select! {
                        biased;
                        paused = ctx.sleep(due.saturating_duration_since(Instant::now())) => {
                            paused?;
                            break;
                        }
                        () = resizes.next() => show_round(ctx, &mut screen, &round)?,
                    }
                }
                previous = Some(round);
            }
        }
    }
}

/// Keeps the addresses of the listed members for the next round. Without a list, those of before stay.
fn remember(seen: &mut Vec<Endpoint>, scan: &ClusterScan) {
    let listed = scan.members.iter().filter(|member| !member.name.is_empty());
    let addresses: Vec<Endpoint> = listed.filter_map(|member| member.address.clone()).collect();
    if !addresses.is_empty() {
        *seen = addresses;
    }
}

/// Scans once. The round before is drawn again if the terminal changes its size meanwhile, or if the scan takes long.
async fn scan_while_resized(
    ctx: &Context,
    evidence: QuorumEvidence,
    seen: &[Endpoint],
    screen: &mut Screen,
    resizes: &mut Resizes,
    previous: Option<&WatchRound>,
) -> Result<Result<ClusterScan, Failure>, Failure> {
    /// A wait that is longer is announced.
    const ANNOUNCE_AFTER: Duration = Duration::from_secs(2);
    let mut scanning = std::pin::pin!(scan_cluster_again(ctx.store(), evidence, seen));
    let announce_at = Instant::now() + ANNOUNCE_AFTER;
    let mut announced = !screen.redraws();
    loop {
        tokio::select! {
            biased;
            scan = &mut scanning => return Ok(scan.map_err(Failure::from)),
            () = sleep_until(announce_at), if !announced => {
                announced = true;
                show_wait(ctx, screen, previous)?;
            }
            () = resizes.next() => show_wait(ctx, screen, previous)?,
        }
    }
}

/// Shows the round before, and says that the next one takes long.
fn show_wait(ctx: &Context, screen: &mut Screen, previous: Option<&WatchRound>) -> Result<(), Failure> {
    const WAITING: &str = "waiting for the members to answer";
    match previous {
        Some(round) => draw(ctx, screen, round, Some(WAITING)),
        None if screen.redraws() => screen.round(WAITING, || Ok(())),
        None => Ok(()),
    }
}

fn show_round(ctx: &Context, screen: &mut Screen, round: &WatchRound) -> Result<(), Failure> {
    draw(ctx, screen, round, None)
}

fn draw(ctx: &Context, screen: &mut Screen, round: &WatchRound, note: Option<&str>) -> Result<(), Failure> {
    let health = round.scan.as_ref().map_or("unreachable", |scan| scan.verdict().as_str());
    screen.round(&format!("{}  {health}", round.time), || {
        match &round.scan {
            Ok(scan) => show(ctx, scan, Some(round.time.clone()))?,
            Err(failure) => ctx.out.error(&failure.view()),
        }
        note.iter().for_each(|note| ctx.out.note(note));
        Ok(())
    })
}

/// Cilium's interval: `base * ln(1 + nodes)`; without `nodes`, the base.
fn interval(healthy: bool, nodes: Option<u32>) -> Duration {
    let base = if healthy { HEALTHY_INTERVAL } else { UNHEALTHY_INTERVAL };
    nodes.map_or(base, |nodes| base.mul_f64(f64::from(nodes).ln_1p()))
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
