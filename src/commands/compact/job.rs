//! One run of compact: the requested steps, and the members before and after.

use std::time::{Duration, Instant};

use super::defrag::{self, DefragOptions};
use super::disarm::{self, DisarmOutcome};
use super::ledger::{DefragOutcome, MemberLedger};
use super::plan::{CORRUPT, CompactTarget, NOSPACE, answering, named_members, problems, raised};
use super::step::{current_revision, note_outcome, with_progress};
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::health::{ClusterScan, DEFRAG_CRASH, QuorumEvidence, defrag_problems, fixed_release, scan_cluster};
use crate::kvstore::{CompactionOutcome, Revision};
use crate::output::CompactAnswer;
use crate::plural::{counted, grouped};

/// The pause between two reads of the bytes in use.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How long to wait for stable figures that are only printed.
const FIGURES_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for the removal of compacted revisions before the defragmentation starts anyway.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(600);

pub struct CompactJob {
    pub target: Option<CompactTarget>,
    /// Wait until a member has removed the old revisions.
    pub physical: bool,
    pub defrag: Option<DefragOptions>,
    pub disarm: bool,
    /// Whether disarming includes CORRUPT alarms.
    pub clears_corrupt: bool,
}

#[derive(Default)]
pub(super) struct CompactResult {
    pub(super) current: Option<Revision>,
    compacted: Option<Revision>,
    compaction: Option<CompactionOutcome>,
    pub(super) disarmed: Vec<String>,
    pub(super) complaints: Vec<String>,
}

impl CompactJob {
    /// Runs the steps.
    ///
    /// # Errors
    /// A failed precondition, or, after the summary, the failure that ended the run.
    pub async fn run(&self, ctx: &Context) -> Result<Exit, Failure> {
        let mut done = CompactResult::default();
        let target = self.resolve_target(ctx, &mut done).await?;
        let scan = match scan_cluster(ctx.store(), QuorumEvidence::Reads).await.map_err(Failure::from) {
            // A user that may compact may lack the permission to list members.
            Err(failure) if failure.exit == Exit::Refused && self.only_compacts() => {
                ctx.out.detail(&format!("the members are not listed: {}", failure.view().error));
                None
            }
            other => Some(other?),
        };
        if let (Some(options), Some(scan)) = (&self.defrag, &scan) {
            check_health(scan, options)?;
            check_versions(ctx, scan, options)?;
        }
        let defrag = self.defrag.is_some() && !ctx.safety.dry_run;
        let mut ledger = scan.as_ref().map_or_else(MemberLedger::default, |it| MemberLedger::new(it, defrag));
        let selected = self.selected(scan.as_ref())?;
        if self.defrag.as_ref().is_some_and(|options| !options.named.is_empty()) {
            ledger.select(&selected);
        }
        if ctx.safety.dry_run {
            return self.dry_run(ctx, target, &mut done, &ledger, scan.as_ref(), &selected).await;
        }
        if let (Some(options), Some(scan), None, false) = (&self.defrag, &scan, target, self.disarm)
            && answering(scan)
                .filter(|(_, status)| selected.contains(&status.id))
                .all(|(_, status)| options.reason_to_skip(status).is_some())
        {
            return skip_all(ctx, scan, options, &mut ledger, &done);
        }
        let mut consent = None;
        if !self.only_compacts() {
            let members = ledger.endpoints();
            ctx.out.note(&format!("Found {}: {}", counted(members.len(), "member"), members.join(", ")));
            let count = if self.defrag.is_some() { selected.len() } else { members.len() };
            consent = Some(ctx.consent(&self.question(target, count, scan.as_ref()))?);
        }
        if let Some(revision) = target {
            let compaction = with_progress(ctx, "compacting", ctx.store().compact(revision, self.physical)).await?;
            note_outcome(ctx, revision, compaction, self.physical);
            done.compacted = Some(revision);
            done.compaction = Some(compaction);
        }
        let result = self.reclaim(ctx, consent.as_ref(), scan.as_ref(), &mut ledger, &mut done).await;
        self.summary(ctx, result, ledger, done).await
    }

    fn only_compacts(&self) -> bool {
        self.defrag.is_none() && !self.disarm
    }

    async fn resolve_target(&self, ctx: &Context, done: &mut CompactResult) -> Result<Option<Revision>, Failure> {
        let Some(target) = self.target else { return Ok(None) };
        let current = current_revision(ctx).await?;
        done.current = Some(current);
        match target.revision(current) {
            Some(revision) if revision > current => Err(Failure::new(
                Exit::Refused,
                format!("revision {revision} is in the future: the store is at revision {current}"),
            )
            .hint("nothing was compacted; 'kvadm compact' without REV uses the current revision")),
            None => {
                let keep = if let CompactTarget::Keep(keep) = target { keep } else { 0 };
                ctx.out.note(&format!(
                    "nothing to compact: only {} exist, --keep is {keep}",
                    counted(current, "revision")
                ));
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// The members that are to be defragmented.
    fn selected(&self, scan: Option<&ClusterScan>) -> Result<Vec<u64>, Failure> {
        let Some(scan) = scan else { return Ok(Vec::new()) };
        let named = self.defrag.as_ref().map_or(&[][..], |options| options.named.as_slice());
        named_members(named, scan)
    }

    fn question(&self, target: Option<Revision>, members: usize, scan: Option<&ClusterScan>) -> String {
        let mut steps = Vec::new();
        steps.extend(target.map(|revision| format!("compact at revision {revision}")));
        if self.defrag.is_some() {
            let order = if members == 1 { "" } else { ", one at a time" };
            let which = match self.defrag.as_ref().and_then(|options| options.condition.as_ref()) {
                Some(condition) => format!(" where {condition}"),
                None => String::new(),
            };
            steps.push(format!("defragment {}{order}{which}", counted(members, "member")));
        }
        if self.disarm {
            let corrupt = self.clears_corrupt && scan.is_some_and(|scan| raised(scan, CORRUPT));
            if corrupt {
                steps.push("compare the data of all members, clear CORRUPT alarms if it is equal".to_owned());
            }
            if !corrupt || scan.is_some_and(|scan| raised(scan, NOSPACE)) {
                steps.push("clear NOSPACE alarms".to_owned());
            }
        }
        let mut question = steps.join(", ");
        question[..1].make_ascii_uppercase();
        question
    }

    async fn reclaim(
        &self,
        ctx: &Context,
        consent: Option<&Consent>,
        scan: Option<&ClusterScan>,
        ledger: &mut MemberLedger,
        done: &mut CompactResult,
    ) -> Result<(), Failure> {
        let Some(scan) = scan else { return Ok(()) };
        if self.physical && matches!(done.compaction, Some(CompactionOutcome::Removed | CompactionOutcome::Removing)) {
            // The reply covers one member only, and comes before the figures change.
            let (quiet_polls, limit) = if self.defrag.is_some() { (3, REMOVAL_TIMEOUT) } else { (1, FIGURES_TIMEOUT) };
            with_progress(ctx, "removing", wait_for_removal(ctx, scan, quiet_polls, limit)).await?;
        }
        let Some(consent) = consent else { return Ok(()) };
        if let Some(options) = &self.defrag {
            defrag::defragment_members(ctx, consent, ledger, options).await?;
        }
        if self.disarm {
            let now = scan_cluster(ctx.store(), QuorumEvidence::Reads).await?;
            let mut disarmed = DisarmOutcome::default();
            let run = disarm::run(ctx, consent, &now, self.clears_corrupt, &mut disarmed);
            let ended = with_progress(ctx, "disarming", run).await;
            done.disarmed.extend(disarmed.cleared.iter().map(|id| format!("{id:x}")));
            ended?;
            if !disarmed.cleared.is_empty() && disarmed.remaining.is_empty() {
                ctx.out.note(&format!("{} is cleared; the store accepts writes again", disarmed.kinds.join(" and ")));
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
            match scan_cluster(ctx.store(), QuorumEvidence::Reads).await.map_err(Failure::from) {
                Ok(now) => ledger.update(&now),
                Err(failure) => {
                    ctx.out.detail(&format!("cannot scan the members after the run: {}", failure.view().error))
                }
            }
        }
        if self.only_compacts() {
            done.complaints.extend(
                ledger
                    .entries
                    .iter()
                    .filter_map(|entry| Some(format!("{} did not respond: {}", entry.endpoint, entry.error.as_ref()?))),
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
            if !matches!(failure.exit, Exit::Interrupted | Exit::Unknown) {
                if ledger.count(DefragOutcome::Unknown) > 0 {
                    failure.exit = Exit::Unknown;
                } else if changed {
                    failure.exit = Exit::Partial;
                }
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

fn check_health(scan: &ClusterScan, options: &DefragOptions) -> Result<(), Failure> {
    let problems = problems(scan);
    if problems.is_empty() || options.force {
        return Ok(());
    }
    let failure = Failure::conflict(problems.join("; ")).context("the cluster is not healthy; nothing was done");
    Err(failure.hint("a member is out of service while it is defragmented; add --force to run anyway"))
}

/// Refuses to defragment versions that lose data if they crash meanwhile, and warns of others with known defects.
fn check_versions(ctx: &Context, scan: &ClusterScan, options: &DefragOptions) -> Result<(), Failure> {
    for (member, status) in answering(scan) {
        let Some(problem) = defrag_problems(&status.version).into_iter().next() else { continue };
        let (endpoint, version) = (&member.endpoint, &status.version);
        let fixed = fixed_release(version).unwrap_or_default();
        let text = format!("{endpoint} runs etcd {version}: {} ({})", problem.summary, problem.id);
        if problem.id == DEFRAG_CRASH && !options.force && !ctx.safety.dry_run {
            return Err(Failure::conflict(text)
                .context("this version of etcd has a defect in its defragmentation; nothing was done")
                .hint(format!("upgrade to etcd {fixed} first, or add --force to defragment nevertheless"))
                .hint(format!("see {}", problem.source)));
        }
        ctx.out.warn(&format!("{text}; etcd {fixed} has the fix"));
    }
    Ok(())
}

/// Reports that no member qualifies, without asking for a confirmation.
fn skip_all(
    ctx: &Context,
    scan: &ClusterScan,
    options: &DefragOptions,
    ledger: &mut MemberLedger,
    done: &CompactResult,
) -> Result<Exit, Failure> {
    for (_, status) in answering(scan) {
        if let Some(entry) = ledger.entry(status.id).filter(|entry| entry.reason.is_none()) {
            entry.defrag = Some(DefragOutcome::Skipped);
            entry.reason = options.reason_to_skip(status);
            let reason = entry.reason.as_deref().unwrap_or_default();
            ctx.out.note(&format!("{} is skipped: {reason}", entry.endpoint));
        }
    }
    ctx.out.note("nothing to do: no member qualifies for a defragmentation (--if)");
    let rows = ledger.rows();
    ctx.out.report(&CompactAnswer { current: done.current, members: &rows, ..CompactAnswer::default() })?;
    Ok(Exit::Done)
}

/// Warns of databases that use more than 90 % of the quota.
fn warn_nearly_full(ctx: &Context, scan: &ClusterScan) {
    for (member, status) in answering(scan) {
        if let Some(quota) = status.quota.filter(|quota| status.db_size > quota / 10 * 9) {
            let (endpoint, size) = (&member.endpoint, status.db_size);
            ctx.out.warn(&format!(
                "{endpoint}: the database has {} of {} bytes; it will soon be full again",
                grouped(size),
                grouped(quota)
            ));
        }
    }
}

/// Waits until `quiet_polls` consecutive scans found no decrease of bytes in use, or until `limit`.
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
        // Longer than etcd's commit interval (100 ms), after which the figures are new.
        ctx.sleep(POLL_INTERVAL).await?;
        let now = figures(&scan_cluster(ctx.store(), QuorumEvidence::Reads).await?);
        let falls = |(id, in_use): &(u64, u64)| last.iter().any(|(other, before)| other == id && in_use < before);
        unchanged = if now.iter().any(falls) { 0 } else { unchanged + 1 };
        if unchanged >= quiet_polls || started.elapsed() > limit {
            return Ok(());
        }
        last = now;
    }
}
