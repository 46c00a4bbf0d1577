//! Measures how fast each member answers reads and writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::histogram::LatencyHistogram;
use super::scan::{ClusterScan, MemberObservation, format_causes};
use super::write_probe::{KEY_PREFIX, ProbeKey, ProbeLease, WriteProbeError};
use crate::duration::{format_duration, from_now};
use crate::kvstore::{Error, Refusal, Store};
use crate::transport::{Endpoint, Scheme};

/// The pause between two probes of the same kind at the same member: ten per second.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// How long after the end of the measurement an answer is waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How much longer than the measurement the lease of the written keys lives.
const LEASE_RESERVE: Duration = Duration::from_secs(30);
/// How often the caller is told that the measurement goes on.
const TICK: Duration = Duration::from_millis(100);

/// What a probe does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// A read that the member answers from its own data.
    SerializableRead,
    /// A read that the member confirms with the leader and a majority.
    LinearizableRead,
    /// A write of a key on a lease.
    Write,
}

impl ProbeKind {
    /// The value in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SerializableRead => "serializable-read",
            Self::LinearizableRead => "linearizable-read",
            Self::Write => "write",
        }
    }
}

/// What is measured, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct LatencyPlan {
    /// How long the probes are repeated.
    pub duration: Duration,
    /// Whether there are linearizable reads.
    pub linearizable: bool,
    /// Whether there are writes.
    pub writes: bool,
}

/// The probes of one kind at one member.
pub struct ProbeSeries {
    /// The member's endpoint.
    pub endpoint: String,
    /// The member's name; empty if the member is not identified.
    pub name: String,
    /// What the probes do.
    pub kind: ProbeKind,
    /// The times of those that were answered.
    pub latencies: LatencyHistogram,
    /// The number of probes that failed.
    pub failures: u64,
    /// Why the last one of them failed.
    pub error: Option<String>,
    /// Whether the user may not send such probes; [`Self::error`] has etcd's refusal.
    pub denied: bool,
}

/// The result of a measurement.
pub struct LatencyReport {
    /// The probes, by member and kind.
    pub series: Vec<ProbeSeries>,
    /// How long the measurement took.
    pub took: Duration,
    /// Why the writes were not measured, if they should have been.
    pub writes_denied: Option<String>,
    /// The end of the command, if it came before that of the measurement.
    pub ended: Option<Error>,
    /// The keys that could not be deleted, when they expire, and why they could not be deleted.
    pub left_behind: Option<String>,
}

/// Probes all members of a scan at the same time, ten times a second for each kind.
///
/// `tick` is called while the measurement goes on. After a signal or the deadline the report has what was measured until
/// then. A caller must call `Signals::hold` before, so that the keys are deleted.
pub async fn measure_latency(
    store: &Store,
    scan: &ClusterScan,
    plan: LatencyPlan,
    mut tick: impl FnMut(),
) -> LatencyReport {
    let started = Instant::now();
    let (lease, refused) = if plan.writes { lease_for(store, plan.duration).await } else { (None, None) };
    let denied = refused.as_ref().and_then(denial);
    let lease_error = refused.map(|error| error.one_line());
    let end = from_now(plan.duration);
    let stop_writing: Arc<AtomicBool> = Arc::default();
    let mut probing: JoinSet<(usize, SeriesResult)> = JoinSet::new();
    let mut number = 0;
    let mut finished = Vec::new();
    for member in &scan.members {
        for kind in kinds(member, plan.linearizable, plan.writes) {
            let series = ProbeSeries {
                endpoint: member.endpoint.clone(),
                name: member.name.clone(),
                kind,
                latencies: LatencyHistogram::default(),
                failures: 0,
                error: None,
                denied: false,
            };
            let handle = member_handle(store, &member.endpoint);
            match (handle, kind, &lease) {
                (None, ..) => {
                    let error = member.status.as_ref().err().cloned();
                    finished.push((number, SeriesResult::of(ProbeSeries { failures: 1, error, ..series })));
                }
                (Some(_), ProbeKind::Write, None) => {
                    let error = lease_error.clone();
                    finished.push((number, SeriesResult::of(ProbeSeries { failures: 1, error, ..series })));
                }
                (Some(handle), ..) => {
                    let key = lease.as_ref().map(|lease| lease.key(handle.clone(), number));
                    let probe = match (kind, key) {
                        (ProbeKind::Write, Some(key)) => LatencyProbe::Write(key),
                        (ProbeKind::SerializableRead, _) => LatencyProbe::Read(handle.serializable()),
                        _ => LatencyProbe::Read(handle),
                    };
                    let loop_of = ProbeLoop { store: store.clone(), probe, end, stop: Arc::clone(&stop_writing) };
                    probing.spawn(async move { (number, loop_of.run(series).await) });
                }
            }
            number += 1;
        }
    }
    let mut ticks = interval(TICK);
    loop {
        tokio::select! {
            ended = probing.join_next() => match ended {
                Some(Ok(one)) => finished.push(one),
                Some(Err(_)) => {}
                None => break,
            },
            _ = ticks.tick() => tick(),
        }
    }
    let took = started.elapsed();
    let mut left_behind = None;
    if let Some(lease) = lease {
        let id = lease.id();
        if let Err(error) = lease.revoke().await {
            let ttl = format_duration(Duration::from_secs(lease_ttl(plan.duration).unsigned_abs()));
            let why = error.one_line();
            left_behind =
                Some(format!("cannot delete the keys below {KEY_PREFIX}{id}/; they expire within {ttl}: {why}"));
        }
    }
    finished.sort_by_key(|(number, _)| *number);
    let mut report = LatencyReport { series: Vec::new(), took, writes_denied: denied, ended: None, left_behind };
    for (_, result) in finished {
        report.ended = report.ended.or(result.ended);
        report.writes_denied = report.writes_denied.or(result.denied);
        report.series.push(result.series);
    }
    if let Some(denied) = &report.writes_denied {
        for series in report.series.iter_mut().filter(|series| series.kind == ProbeKind::Write) {
            *series = ProbeSeries {
                endpoint: std::mem::take(&mut series.endpoint),
                name: std::mem::take(&mut series.name),
                kind: series.kind,
                latencies: LatencyHistogram::default(),
                failures: 0,
                error: Some(denied.clone()),
                denied: true,
            };
        }
    }
    report
}

/// The lease of the written keys, or why there is none.
async fn lease_for(store: &Store, duration: Duration) -> (Option<ProbeLease>, Option<Error>) {
    match ProbeLease::grant(store, lease_ttl(duration)).await {
        Ok(lease) => (Some(lease), None),
        Err(error) => (None, Some(error)),
    }
}

/// The TTL of the lease, in seconds.
fn lease_ttl(duration: Duration) -> i64 {
    i64::try_from(duration.saturating_add(LEASE_RESERVE).as_secs()).unwrap_or(i64::MAX)
}

/// etcd's refusal, if the user may not write.
fn denial(error: &Error) -> Option<String> {
    let denied = error.is_refusal(Refusal::Permission) || error.is_refusal(Refusal::NoUser);
    denied.then(|| error.one_line())
}

/// What a member is asked for: a learner serves only its own data.
fn kinds(member: &MemberObservation, linearizable: bool, writes: bool) -> Vec<ProbeKind> {
    let learner = member.status.as_ref().is_ok_and(|status| status.learner);
    let mut kinds = vec![ProbeKind::SerializableRead];
    if linearizable && !learner {
        kinds.push(ProbeKind::LinearizableRead);
    }
    if writes && !learner {
        kinds.push(ProbeKind::Write);
    }
    kinds
}

/// A handle for one member, whose requests do not wait for the rate limit; `None` if its address is less safe than the
/// configured ones.
fn member_handle(store: &Store, endpoint: &str) -> Option<Store> {
    let configured = &store.options().endpoints;
    let tls = configured.first().is_some_and(|endpoint| endpoint.scheme == Scheme::Tls);
    let endpoint = Endpoint::parse(endpoint, tls).ok()?;
    let safe = configured.contains(&endpoint) || endpoint.is_as_safe_as(configured);
    safe.then(|| store.member(&endpoint).without_rate_limit())
}

enum LatencyProbe {
    Read(Store),
    Write(ProbeKey),
}

struct ProbeLoop {
    /// The handle that has the rate limit.
    store: Store,
    probe: LatencyProbe,
    end: Instant,
    /// Set when the user may not write.
    stop: Arc<AtomicBool>,
}

struct SeriesResult {
    series: ProbeSeries,
    denied: Option<String>,
    ended: Option<Error>,
}

impl SeriesResult {
    fn of(series: ProbeSeries) -> Self {
        Self { series, denied: None, ended: None }
    }
}

impl ProbeLoop {
    async fn run(mut self, series: ProbeSeries) -> SeriesResult {
        let mut result = SeriesResult::of(series);
        let mut ticks = interval(PROBE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let last = self.end.checked_add(LAST_ANSWERS).unwrap_or(self.end);
        // The first probe would measure the connection and the login too.
        let mut connected = false;
        loop {
            let paced = async {
                ticks.tick().await;
                self.store.wait_for_rate_limit("latency").await
            };
            let paced = tokio::select! {
                biased;
                error = self.store.ended("latency") => Err(error),
                () = tokio::time::sleep_until(self.end) => return result,
                paced = paced => paced,
            };
            if let Err(error) = paced {
                result.ended = Some(error);
                return result;
            }
            let writes = matches!(self.probe, LatencyProbe::Write(_));
            if writes && self.stop.load(Ordering::Relaxed) {
                return result;
            }
            let started = Instant::now();
            let probed = match timeout_at(last, self.probe.run(&mut connected)).await {
                Ok(probed) => probed,
                Err(_) => {
                    let waited = format_duration(Duration::from_secs(started.elapsed().as_secs()));
                    result.fail(format!("no answer {waited} after the request, when the measurement ended"));
                    return result;
                }
            };
            match probed {
                Ok(took) => result.series.latencies.add(took),
                Err(WriteProbeError::Store(error @ (Error::Interrupted { .. } | Error::Deadline { .. }))) => {
                    result.ended = Some(error);
                    return result;
                }
                Err(WriteProbeError::Store(error)) if writes && denial(&error).is_some() => {
                    self.stop.store(true, Ordering::Relaxed);
                    result.denied = denial(&error);
                    return result;
                }
                Err(WriteProbeError::Store(error)) => {
                    connected &= !error.is_transient();
                    result.fail(match error {
                        Error::Unreachable { .. } => format_causes(&error),
                        other => other.one_line(),
                    });
                }
                Err(error) => result.fail(error.to_string()),
            }
        }
    }
}

impl SeriesResult {
    fn fail(&mut self, why: String) {
        self.series.failures += 1;
        self.series.error = Some(why);
    }
}

impl LatencyProbe {
    /// Sends the request once; returns the time from the request to the response.
    async fn run(&mut self, connected: &mut bool) -> Result<Duration, WriteProbeError> {
        let store = match self {
            Self::Read(store) => store,
            Self::Write(key) => key.store(),
        };
        if !*connected {
            store.ensure_ready("latency").await?;
            *connected = true;
        }
        match self {
            Self::Write(key) => key.write().await,
            Self::Read(store) => {
                let started = Instant::now();
                match store.revision().await {
                    Ok(_) => Ok(started.elapsed()),
                    // A member refuses a read of a user without permission after it has confirmed it like any other.
                    Err(error) if denial(&error).is_some() => Ok(started.elapsed()),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}
