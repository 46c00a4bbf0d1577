//! One run: compact, defragment, disarm, as far as asked for, and the members before and after.

use std::time::{Duration, Instant};

use super::defrag::{self, DefragOptions};
use super::disarm;
use super::ledger::{DefragOutcome, MemberLedger};
use super::plan::{CompactTarget, answering, problems};
use super::step::{current_revision, note_outcome, with_progress};
use crate::commands::status::scan::{ClusterScan, scan_cluster};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{CompactionOutcome, Revision};
use crate::output::CompactAnswer;

/// The pause between two looks at the bytes in use.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How long figures may take to settle where they are only shown.
const FIGURES_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the members may take to remove what was compacted before they are defragmented all the same.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(600);

/// What is asked for.
pub struct CompactJob {
    /// Compact there.
    pub target: Option<CompactTarget>,
    /// Wait for a member to remove what is old.
    pub physical: bool,
    /// Defragment.
    pub defrag: Option<DefragOptions>,
    /// Clear alarms.
    pub disarm: bool,
}

/// What has come of it so far.
#[derive(Default)]
pub(super) struct CompactResult {
    pub(super) current: Option<Revision>,
    compacted: Option<Revision>,
    compaction: Option<CompactionOutcome>,
    pub(super) disarmed: Vec<String>,
    pub(super) complaints: Vec<String>,
}

impl CompactJob {
    /// Does it.
    ///
    /// # Errors
    /// What kept it from beginning; or, behind the summary, what kept it from ending.
    pub async fn run(&self, ctx: &Context) -> Result<Exit, Failure> {
        let mut done = CompactResult::default();
        let target = self.resolve_target(ctx, &mut done).await?;
        let scan = match scan_cluster(ctx, false).await {
            // Who may compact may not be allowed to ask for the members.
            Err(failure) if failure.exit == Exit::Refused && self.only_compacts() => {
                ctx.out.detail(&format!("the members are not shown: {}", failure.view().error));
                None
            }
            other => Some(other?),
        };
        if let (Some(options), Some(scan)) = (self.defrag, &scan) {
            self.check_health(scan, options)?;
        }
        let defrag = self.defrag.is_some() && !ctx.safety.dry_run;
        let mut ledger = scan.as_ref().map_or_else(MemberLedger::default, |it| MemberLedger::new(it, defrag));
        if ctx.safety.dry_run {
            return self.dry_run(ctx, target, &mut done, &ledger, scan.as_ref()).await;
        }
        if !self.only_compacts() {
            ctx.consent(&self.question(target, ledger.ids().len()))?;
        }
        if let Some(revision) = target {
            let compaction = with_progress(ctx, "compacting", ctx.store().compact(revision, self.physical)).await?;
            note_outcome(ctx, revision, compaction, self.physical);
            done.compacted = Some(revision);
            done.compaction = Some(compaction);
        }
        let result = self.reclaim(ctx, scan.as_ref(), &mut ledger, &mut done).await;
        self.summary(ctx, result, ledger, done).await
    }

    fn only_compacts(&self) -> bool {
        self.defrag.is_none() && !self.disarm
    }

    /// The revision to compact at, if any.
    async fn resolve_target(&self, ctx: &Context, done: &mut CompactResult) -> Result<Option<Revision>, Failure> {
        let Some(target) = self.target else { return Ok(None) };
        let current = current_revision(ctx).await?;
        done.current = Some(current);
        match target.revision(current) {
            Some(revision) if revision > current => Err(Failure::new(
                Exit::Refused,
                format!("revision {revision} is in the future: the store is at {current}"),
            )
            .hint("nothing was compacted; without REV the current revision is taken")),
            None => {
                ctx.out
                    .note(&format!("nothing to compact: the store is at revision {current}, and that many are kept"));
                Ok(None)
            }
            found => Ok(found),
        }
    }

    fn check_health(&self, scan: &ClusterScan, options: DefragOptions) -> Result<(), Failure> {
        let problems = problems(scan);
        if problems.is_empty() || options.force {
            return Ok(());
        }
        let failure = Failure::conflict(problems.join("; ")).context("the cluster is not healthy: nothing was done");
        Err(failure.hint("a member that is defragmented is out of service meanwhile; --force does it all the same"))
    }

    fn question(&self, target: Option<Revision>, members: usize) -> String {
        let mut steps = Vec::new();
        steps.extend(target.map(|revision| format!("compact at revision {revision}")));
        if self.defrag.is_some() {
            let each = if members == 1 { "1 member".to_owned() } else { format!("{members} members, one at a time") };
            steps.push(format!("defragment {each}"));
        }
        if self.disarm {
            steps.push("clear NOSPACE alarms".to_owned());
        }
        steps.join(", ")
    }

    /// The steps behind the compaction.
    async fn reclaim(
        &self,
        ctx: &Context,
        scan: Option<&ClusterScan>,
        ledger: &mut MemberLedger,
        done: &mut CompactResult,
    ) -> Result<(), Failure> {
        let Some(scan) = scan else { return Ok(()) };
        if self.physical && matches!(done.compaction, Some(CompactionOutcome::Removed | CompactionOutcome::Removing)) {
            // A member answers for itself alone, and before its figures tell: the others remove in their own time.
            let (quiet_polls, limit) = if self.defrag.is_some() { (3, REMOVAL_TIMEOUT) } else { (1, FIGURES_TIMEOUT) };
            with_progress(ctx, "removing", wait_for_removal(ctx, scan, quiet_polls, limit)).await?;
        }
        if let Some(options) = self.defrag {
            defrag::defragment_members(ctx, ledger, options).await?;
        }
        if self.disarm {
            let now = scan_cluster(ctx, false).await?;
            let disarmed = with_progress(ctx, "disarming", disarm::run(ctx, &now)).await?;
            done.disarmed.extend(disarmed.cleared.iter().map(|id| format!("{id:x}")));
            if !done.disarmed.is_empty() && disarmed.remaining.is_empty() {
                ctx.out.note("NOSPACE is cleared: the store takes writes again");
                warn_nearly_full(ctx, &now);
            }
            done.complaints.extend(disarmed.remaining);
        }
        Ok(())
    }

    async fn summary(
        &self,
        ctx: &Context,
        result: Result<(), Failure>,
        mut ledger: MemberLedger,
        mut done: CompactResult,
    ) -> Result<Exit, Failure> {
        if !ledger.entries.is_empty() {
            match scan_cluster(ctx, false).await {
                Ok(now) => ledger.update(&now),
                Err(failure) => ctx.out.detail(&format!("the members now: {}", failure.view().error)),
            }
        }
        if self.only_compacts() {
            done.complaints.extend(
                ledger
                    .entries
                    .iter()
                    .filter_map(|entry| Some(format!("{} was not asked: {}", entry.endpoint, entry.error.as_ref()?))),
            );
        }
        let rows = ledger.rows();
        ctx.out.report(&CompactAnswer {
            compacted: done.compacted,
            already: done.compaction == Some(CompactionOutcome::Already),
            removed: done.compaction == Some(CompactionOutcome::Removed),
            current: done.current,
            disarmed: &done.disarmed,
            members: &rows,
            complaints: &done.complaints,
            ..CompactAnswer::default()
        })?;
        let changed = done.compacted.is_some() || ledger.count(DefragOutcome::Done) > 0 || !done.disarmed.is_empty();
        if let Err(mut failure) = result {
            if changed && !matches!(failure.exit, Exit::Interrupted | Exit::Unknown) {
                failure.exit = Exit::Partial;
            }
            return Err(failure);
        }
        if ledger.count(DefragOutcome::Unknown) > 0 {
            return Ok(Exit::Unknown);
        }
        if ledger.count(DefragOutcome::Failed) > 0 {
            return Ok(Exit::Partial);
        }
        Ok(match (self.disarm && !done.complaints.is_empty(), changed) {
            (false, _) => Exit::Done,
            (true, true) => Exit::Partial,
            (true, false) => Exit::Conflict,
        })
    }
}

/// What has room has not always room for long.
fn warn_nearly_full(ctx: &Context, scan: &ClusterScan) {
    for (member, status) in answering(scan) {
        if let Some(quota) = status.quota.filter(|quota| status.db_size > quota / 10 * 9) {
            let (endpoint, size) = (&member.endpoint, status.db_size);
            ctx.out.warn(&format!("{endpoint}: {size} of {quota} bytes are taken; it will be full again soon"));
        }
    }
}

/// Waits until so many looks after each other have found no member's bytes in use gone down, or the time is over.
async fn wait_for_removal(
    ctx: &Context,
    before: &ClusterScan,
    quiet_polls: u32,
    limit: Duration,
) -> Result<(), Failure> {
    let started = Instant::now();
    let figures = |scan: &ClusterScan| -> Vec<(u64, u64)> {
        answering(scan).map(|(_, status)| (status.id, status.db_in_use)).collect()
    };
    let mut last = figures(before);
    let mut unchanged = 0;
    loop {
        // Longer than the pause between two of etcd's own commits, behind which the figures are new.
        ctx.sleep(POLL_INTERVAL).await?;
        let now = figures(&scan_cluster(ctx, false).await?);
        let falls = |(id, in_use): &(u64, u64)| last.iter().any(|(other, before)| other == id && in_use < before);
        unchanged = if now.iter().any(falls) { 0 } else { unchanged + 1 };
        if unchanged >= quiet_polls || started.elapsed() > limit {
            return Ok(());
        }
        last = now;
    }
}
