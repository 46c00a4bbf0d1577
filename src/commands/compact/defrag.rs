//! Defragments the members, one after the other.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::condition::DefragCondition;
use super::ledger::{DefragOutcome, LedgerEntry, MemberLedger};
use super::plan::{answering, leader, next_member, problems, problems_among, successor};
use crate::consent::Consent;
use crate::context::Context;
use crate::duration::format_duration;
use crate::error::{Exit, Failure};
use crate::health::{ClusterScan, QuorumEvidence, scan_cluster};
use crate::kvstore::{Error, MemberStatus, Refusal, Store};
use crate::output::Progress;
use crate::plural::counted;
use crate::transport::Endpoint;

const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long the cluster may take to recover before the next member is defragmented.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(120);
/// A longer wait is reported.
const NOTE_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub struct DefragOptions {
    pub force: bool,
    pub move_leader: bool,
    /// Which members are defragmented; `None` for all.
    pub condition: Option<DefragCondition>,
    /// The time between two members.
    pub pause: Option<Duration>,
    /// The members of the command line: IDs, names or URLs; empty for all.
    pub named: Vec<String>,
}

impl DefragOptions {
    /// Why the member is not worth a defragmentation; `None` if it is.
    ///
    /// Members that --member does not name are not asked about.
    pub fn reason_to_skip(&self, status: &MemberStatus) -> Option<String> {
        let condition = self.condition.as_ref()?;
        let judgement = condition.judge(status);
        (!judgement.holds).then_some(judgement.figures)
    }
}

/// Defragments every member of the ledger that answered: followers first, the leader last, each when all are healthy and
/// caught up. A signal ends the run between two members. The ledger records each outcome.
///
/// # Errors
/// The first failure; with `force`, only an interruption or a failed scan.
pub async fn defragment_members(
    ctx: &Context,
    consent: &Consent,
    ledger: &mut MemberLedger,
    options: &DefragOptions,
) -> Result<(), Failure> {
    ctx.signals.hold();
    let mut pending = ledger.left();
    let progress = ctx.out.progress("defragmenting", Some(pending.len() as u64));
    let mut run = DefragRun { ctx, consent, options, progress, healthy: None };
    if options.force {
        let scan = scan_cluster(ctx.store(), QuorumEvidence::Reads).await?;
        run.healthy = Some(pending.iter().copied().filter(|id| problems_among(&scan, &[*id]).is_empty()).collect());
    }
    let mut moved = !options.move_leader;
    // Whether the pause before the next member is due.
    let mut is_due = false;
    while !pending.is_empty() {
        let scan = run.wait_until_healthy().await.map_err(|failure| match failure.exit {
            Exit::Interrupted => interrupted(pending.len()),
            _ => failure,
        })?;
        let leader = leader(&scan);
        let Some(id) = next_member(&pending, leader) else { break };
        if let Some(reason) = run.reason_to_skip(&scan, id) {
            pending.retain(|other| *other != id);
            run.progress.inc(1);
            if let Some(entry) = ledger.entry(id) {
                ctx.out.note(&format!("{} is skipped: {reason}", entry.endpoint));
                entry.defrag = Some(DefragOutcome::Skipped);
                entry.reason = Some(reason);
            }
            continue;
        }
        if std::mem::take(&mut is_due) {
            run.pause(pending.len()).await?;
            // The members have changed meanwhile.
            continue;
        }
        if id == leader && !std::mem::replace(&mut moved, true) {
            run.move_leader(&scan, leader).await?;
            continue;
        }
        pending.retain(|other| *other != id);
        is_due = options.pause.is_some();
        let result = match answering(&scan).find(|(_, status)| status.id == id) {
            Some((member, status)) => run.defragment_member(&member.endpoint, status).await,
            None => Err(Failure::new(Exit::Unreachable, format!("member {id:x} does not respond"))),
        };
        run.progress.inc(1);
        let Some(entry) = ledger.entry(id) else { continue };
        if let Err(failure) = record_result(ctx, entry, result) {
            if !options.force || failure.exit == Exit::Interrupted {
                return Err(failure);
            }
            ctx.out.warn(&failure.one_line());
            run.healthy.iter_mut().for_each(|healthy| healthy.retain(|other| *other != id));
        }
    }
    if options.condition.is_some() && ledger.count(DefragOutcome::Skipped) == ledger.ids().len() {
        ctx.out.note("nothing to defragment: no member qualifies (--if)");
    }
    // The last member must recover as well.
    run.wait_until_healthy().await?;
    run.progress.finish();
    Ok(())
}

fn interrupted(left: usize) -> Failure {
    Failure::new(Exit::Interrupted, format!("interrupted with {} not defragmented", counted(left, "member")))
}

fn record_result(ctx: &Context, entry: &mut LedgerEntry, result: Result<MemberStatus, Failure>) -> Result<(), Failure> {
    let endpoint = &entry.endpoint;
    match result {
        Ok(now) => {
            entry.defrag = Some(DefragOutcome::Done);
            entry.after = Some(now);
            Ok(())
        }
        Err(failure) if failure.store_error().is_some_and(Error::is_learner_refusal) => {
            ctx.out.warn(&format!("{endpoint} is a learner; this version of etcd does not defragment learners"));
            entry.defrag = Some(DefragOutcome::Skipped);
            entry.reason = Some("the member is a learner".to_owned());
            Ok(())
        }
        Err(failure) => {
            entry.defrag = Some(if failure.maybe_applied() { DefragOutcome::Unknown } else { DefragOutcome::Failed });
            entry.error = Some(failure.one_line());
            Err(failure.context(format!("{endpoint} was not defragmented")))
        }
    }
}

struct DefragRun<'a> {
    ctx: &'a Context,
    consent: &'a Consent,
    options: &'a DefragOptions,
    progress: Progress,
    /// With `force`: the members without problems so far.
    healthy: Option<Vec<u64>>,
}

impl DefragRun<'_> {
    /// Why the condition does not hold for the member, as it is now.
    fn reason_to_skip(&self, scan: &ClusterScan, id: u64) -> Option<String> {
        let (_, status) = answering(scan).find(|(_, status)| status.id == id)?;
        self.options.reason_to_skip(status)
    }

    /// Waits between two members.
    async fn pause(&self, left: usize) -> Result<(), Failure> {
        let Some(pause) = self.options.pause else { return Ok(()) };
        let shown = format_duration(pause);
        self.ctx.out.note(&format!("waiting {shown} before the next member ({} left)", counted(left, "member")));
        let end = Instant::now() + pause;
        while let Some(left_time) = end.checked_duration_since(Instant::now()).filter(|time| !time.is_zero()) {
            self.progress.tick();
            let slept = self.ctx.sleep(left_time.min(POLL_INTERVAL)).await;
            slept.map_err(|failure| if failure.exit == Exit::Interrupted { interrupted(left) } else { failure })?;
        }
        Ok(())
    }

    /// Waits until all members are healthy and caught up. With `force`, waits for the members that were healthy at the
    /// start, and gives up waiting after [`RECOVERY_TIMEOUT`].
    async fn wait_until_healthy(&self) -> Result<ClusterScan, Failure> {
        let started = Instant::now();
        let mut noted = false;
        loop {
            let scan = scan_cluster(self.ctx.store(), QuorumEvidence::Reads).await?;
            let problems = match &self.healthy {
                Some(healthy) => problems_among(&scan, healthy),
                None => problems(&scan),
            };
            if problems.is_empty() {
                return Ok(scan);
            }
            if started.elapsed() >= RECOVERY_TIMEOUT {
                if self.options.force {
                    return Ok(scan);
                }
                let mut failure = Failure::conflict(format!("the cluster did not recover within {RECOVERY_TIMEOUT:?}"))
                    .hint("the remaining members were not defragmented; run 'kvadm status'");
                for problem in problems {
                    failure = failure.hint(problem);
                }
                return Err(failure);
            }
            if started.elapsed() >= NOTE_AFTER && !std::mem::replace(&mut noted, true) {
                self.ctx.out.note(&format!("waiting for all members to be healthy: {}", problems.join("; ")));
            }
            self.progress.tick();
            self.ctx.sleep(POLL_INTERVAL).await?;
        }
    }

    /// Defragments one member. The first signal does not cancel the request, because etcd would not stop.
    async fn defragment_member(&self, endpoint: &str, before: &MemberStatus) -> Result<MemberStatus, Failure> {
        let ctx = self.ctx;
        let store = self.at(endpoint)?.with_cancel(CancellationToken::new());
        ctx.out.detail(&format!("defragmenting {endpoint}: {} of {} bytes in use", before.db_in_use, before.db_size));
        let cancel = ctx.signals.cancel();
        let mut work = std::pin::pin!(store.defragment(self.consent));
        let mut noted = cancel.is_cancelled();
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                () = cancel.cancelled(), if !noted => {
                    noted = true;
                    ctx.out.note(&format!("etcd cannot stop the defragmentation of {endpoint}; kvadm exits after it, or at once on a second signal"));
                }
                () = tokio::time::sleep(POLL_INTERVAL) => self.progress.tick(),
            }
        };
        match result {
            Err(error @ Error::Unknown { .. }) => self.confirm_by_size(endpoint, &store, before, error).await,
            Err(error) if error.is_refusal(Refusal::Permission) => Err(Failure {
                hints: vec!["etcd allows only users with the role root to defragment".to_owned()],
                ..error.into()
            }),
            other => {
                other?;
                Ok(store.member_status().await.unwrap_or_else(|_| before.clone()))
            }
        }
    }

    /// Handles a lost reply: the defragmentation counts as done if the file is smaller once the member is healthy.
    async fn confirm_by_size(
        &self,
        endpoint: &str,
        store: &Store,
        before: &MemberStatus,
        error: Error,
    ) -> Result<MemberStatus, Failure> {
        if self.wait_until_healthy().await.is_err() {
            return Err(error.into());
        }
        match store.member_status().await {
            Ok(now) if now.db_size < before.db_size => {
                self.ctx.out.note(&format!("{endpoint}: the reply was lost, but the file is smaller now"));
                Ok(now)
            }
            _ => Err(error.into()),
        }
    }

    /// Moves leadership to another member, if possible.
    async fn move_leader(&self, scan: &ClusterScan, leader: u64) -> Result<(), Failure> {
        let ctx = self.ctx;
        let (Some(to), Some((from, _))) =
            (successor(scan, leader), answering(scan).find(|(_, status)| status.id == leader))
        else {
            ctx.out.note("no other member can lead; leadership stays");
            return Ok(());
        };
        let name = scan.members.iter().find(|member| member.status.as_ref().is_ok_and(|status| status.id == to));
        let name = name.map_or_else(|| format!("{to:x}"), |member| member.endpoint.clone());
        let moved = self.at(&from.endpoint)?.move_leader(to).await;
        match moved {
            Ok(()) => ctx.out.note(&format!("leadership moved from {} to {name}", from.endpoint)),
            Err(error) if self.options.force => ctx.out.warn(&format!("leadership stays: {error}")),
            Err(error) => {
                return Err(Failure::from(error)
                    .context(format!("cannot move leadership from {} to {name}", from.endpoint))
                    .hint("without --move-leader, the leader is defragmented while it leads"));
            }
        }
        Ok(())
    }

    fn at(&self, endpoint: &str) -> Result<Store, Failure> {
        // A scanned endpoint includes its scheme.
        let endpoint = Endpoint::parse(endpoint, false)
            .map_err(|error| Failure::new(Exit::Bug, format!("{endpoint} is not an endpoint: {error}")))?;
        Ok(self.ctx.store().member(&endpoint))
    }
}
