//! Rounds of garbage collection, the same for all kinds of garbage: scan, plan, and remove what two scans agree on.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::failures::{is_compacted, is_mismatch, may_pass, without_space};
use super::kind::{GarbageKind, SweepContext};
use super::options::{EarlierPlans, GcOptions};
use super::tally::{KeptCounts, RoundTally};
use crate::commands::proto::warn_of_bypass;
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::{Candidate, CandidateOutcome, Plan, ScanResult, Timestamp};
use crate::output::{GcRound, Sink, bytes};
use crate::plural::{counted, grouped};

/// Scan attempts while compaction removes the revision being read.
const MAX_SCANS: usize = 3;
/// Keys kept despite looking wrong that are reported individually.
const MAX_WARNINGS: usize = 20;
/// Refresh interval of the progress bar of a wait.
const TICK: Duration = Duration::from_millis(200);

/// Runs the collection of one kind of garbage.
///
/// # Errors
/// A limit is exceeded, a plan does not match this scan, or etcd is unreachable or rejects a request.
pub async fn run<K: GarbageKind>(ctx: &Context, options: &GcOptions, kind: K) -> Result<Exit, Failure> {
    options.check_save()?;
    let EarlierPlans { plans: earlier, first } = options.earlier(ctx).await?;
    let mut rounds = GcRounds { ctx, options, kind, reported: HashSet::new() };
    if options.apply {
        warn_of_bypass(ctx, [rounds.kind.range(ctx.store())]);
    }
    match options.every {
        Some(every) => rounds.run_periodically(every, earlier).await,
        None => match first {
            None => rounds.run_once(earlier).await,
            Some(file) => rounds.save_first(earlier, &file).await,
        },
    }
}

struct GcRounds<'a, K> {
    ctx: &'a Context,
    options: &'a GcOptions,
    kind: K,
    /// Keys already reported as kept despite looking wrong.
    reported: HashSet<Vec<u8>>,
}

/// A plan, and which of its candidates earlier plans agree on.
struct GarbageScan {
    plan: Plan,
    agreed: Vec<bool>,
}

impl<K: GarbageKind> GcRounds<'_, K> {
    fn is_applying(&self) -> bool {
        self.options.apply && !self.ctx.safety.dry_run
    }

    /// Scans and saves the first of the plans that later runs need.
    async fn save_first(&mut self, earlier: Vec<Plan>, file: &Path) -> Result<Exit, Failure> {
        let mut tally = RoundTally::new::<K>(None);
        let scan = self.scan(&earlier, &mut tally).await?;
        self.options.save_plan(&scan.plan)?;
        let exit = self.print_plan(&scan, false, tally)?;
        if !self.options.apply {
            return Ok(exit);
        }
        let file = bytes::escape(file.as_os_str().as_bytes());
        self.ctx
            .out
            .note(&format!("{file} did not exist and holds the first plan now; the next run can remove objects"));
        Ok(Exit::Done)
    }

    async fn run_once(&mut self, mut earlier: Vec<Plan>) -> Result<Exit, Failure> {
        let mut tally = RoundTally::new::<K>(None);
        let mut scan = self.scan(&earlier, &mut tally).await?;
        self.options.save_plan(&scan.plan)?;
        if !self.is_applying() {
            return self.print_plan(&scan, !earlier.is_empty(), tally);
        }
        let objects = |total: u64| counted(total, K::OBJECT);
        let mut consent = None;
        if earlier.is_empty() && !scan.plan.candidates.is_empty() {
            let (found, total) = (scan.plan.candidates.len(), scan.plan.scanned);
            let grace = self.options.grace(self.kind.min_age());
            self.show(&scan.plan.candidates.iter().collect::<Vec<_>>());
            self.options.warn_over_limits(self.ctx, found as u64, total);
            let those = if found == 1 { "the candidate if it is" } else { "the candidates that are" };
            if self.ctx.introduces_questions() {
                self.ctx.out.note(&format!("Found {} among {}", counted(found, "candidate"), objects(total)));
            }
            let question = format!("Scan again in {grace:?} and remove {those} still garbage");
            consent = Some(self.ctx.consent_to_destroy(found as u64, &question)?);
            self.wait(grace).await?;
            earlier.push(scan.plan);
            tally = RoundTally::new::<K>(None);
            scan = self.scan(&earlier, &mut tally).await?;
            self.options.save_plan(&scan.plan)?;
        } else if let Some(agreed) = tally.round.agreed.filter(|agreed| *agreed > 0) {
            let total = scan.plan.scanned;
            if self.options.limits().check(agreed, total).is_ok() {
                self.show(&self.chosen(&scan));
                let question = format!("Remove {} of {}", grouped(agreed), objects(total));
                consent = Some(self.ctx.consent_to_destroy(agreed, &question)?);
            }
        }
        let mut sink = self.ctx.out.stream();
        let result = self.sweep(consent.as_ref(), &scan, &mut tally, Some(&mut sink)).await;
        sink.finish()?;
        self.finish(tally, result)
    }

    /// The candidates that all plans agree on and that have been seen for long enough.
    fn chosen<'s>(&self, scan: &'s GarbageScan) -> Vec<&'s Candidate> {
        let agreed = scan.plan.candidates.iter().zip(&scan.agreed).filter(|(_, agreed)| **agreed);
        let old_enough = |candidate: &&Candidate| self.kind.is_old_enough(&scan.plan, candidate);
        agreed.map(|(candidate, _)| candidate).filter(old_enough).collect()
    }

    /// Shows the first candidates to the user who is about to be asked.
    fn show(&self, candidates: &[&Candidate]) {
        let lines = candidates.iter().map(|candidate| self.kind.describe(candidate));
        self.ctx.show_candidates(lines, candidates.len() as u64);
    }

    /// Prints the candidates; with earlier plans, only those that all of them contain.
    fn print_plan(&self, scan: &GarbageScan, earlier: bool, tally: RoundTally) -> Result<Exit, Failure> {
        let mut sink = self.ctx.out.stream();
        let (mut garbage, mut result) = (0, Ok(()));
        for (candidate, agreed) in scan.plan.candidates.iter().zip(&scan.agreed) {
            let old_enough = self.kind.is_old_enough(&scan.plan, candidate);
            if earlier && !agreed {
                continue;
            }
            garbage += u64::from(old_enough);
            let state = if old_enough { "garbage" } else { "young" };
            self.kind.write_row(&scan.plan, candidate, state, None, &mut |row| result = sink.push(row));
            std::mem::replace(&mut result, Ok(()))?;
        }
        sink.finish()?;
        self.summary(tally, None);
        self.options.warn_over_limits(self.ctx, garbage, scan.plan.scanned);
        Ok(if garbage > 0 { Exit::No } else { Exit::Done })
    }

    /// Runs rounds until a signal; the plan of each round is the earlier plan of the next one.
    async fn run_periodically(&mut self, every: Duration, mut earlier: Vec<Plan>) -> Result<Exit, Failure> {
        let object = K::OBJECT;
        let question = format!("Remove each {object} that two scans find to be garbage, every {every:?} until stopped");
        let consent = self.is_applying().then(|| self.ctx.consent(&question)).transpose()?;
        self.ctx.signals.hold();
        for number in 1.. {
            let begun = Instant::now();
            let mut tally = RoundTally::new::<K>(Some(number));
            let result = self.run_round(consent.as_ref(), &mut earlier, &mut tally).await;
            let ends = self.ctx.signals.cancel().is_cancelled();
            match result {
                Err(failure) if ends && failure.exit == Exit::Interrupted && tally.round.revision.is_none() => break,
                Err(failure) if !may_pass(&failure) || (number == 1 && is_mismatch(&failure, &tally)) => {
                    return Err(failure);
                }
                Err(failure) if failure.exit != Exit::Interrupted => {
                    self.ctx.out.one(&self.round(tally, Some(&failure)))?;
                }
                _ => self.ctx.out.one(&self.round(tally, None))?,
            }
            self.ctx.out.flush()?;
            match self.ctx.sleep(every.saturating_sub(begun.elapsed())).await {
                Err(failure) if failure.exit == Exit::Interrupted => break,
                other => other?,
            }
        }
        Ok(Exit::Interrupted)
    }

    async fn run_round(
        &mut self,
        consent: Option<&Consent>,
        earlier: &mut Vec<Plan>,
        tally: &mut RoundTally,
    ) -> Result<(), Failure> {
        let scan = self.scan(earlier, tally).await.inspect_err(|failure| {
            // A store that was replaced has no earlier scan.
            if failure.exit == Exit::Conflict {
                earlier.clear();
            }
        })?;
        let result = match self.options.save_plan(&scan.plan) {
            Ok(()) if self.is_applying() => self.sweep(consent, &scan, tally, None).await,
            kept => kept,
        };
        *earlier = vec![scan.plan];
        result
    }

    /// Scans, and compares the plan with earlier ones.
    async fn scan(&mut self, earlier: &[Plan], tally: &mut RoundTally) -> Result<GarbageScan, Failure> {
        let ctx = self.ctx;
        let scope = self.kind.scope(ctx.store());
        let relative = scope.prefix.strip_prefix(ctx.store().namespace()).unwrap_or(&scope.prefix);
        let cluster = ctx.store().cluster_of(if relative.is_empty() { b"\0" } else { relative }).await?;
        let time = Timestamp::now();
        let found = self.read().await?;
        let mut plan = Plan {
            kind: K::NAME.to_owned(),
            cluster,
            revision: found.revision,
            time,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            scope,
            schema: self.kind.schema(),
            scanned: found.scanned,
            candidates: found.candidates,
        };
        plan.sort();
        self.kind.sort_rows(&mut plan.candidates);
        for (index, before) in earlier.iter().enumerate() {
            plan.check_comparable(before).map_err(|why| {
                Failure::conflict(format!("{}: {why}", self.options.source(index)))
                    .hint("make a new plan with --save FILE")
            })?;
        }
        let agreed = plan.mark_agreed(earlier);
        let old_enough = |candidate: &&Candidate| self.kind.is_old_enough(&plan, candidate);
        let garbage = plan.candidates.iter().filter(old_enough).count();
        let both =
            plan.candidates.iter().zip(&agreed).filter(|(candidate, agreed)| **agreed && old_enough(candidate)).count();
        let kept = KeptCounts { skipped: found.skipped.len(), leased: found.leased };
        tally.scanned(&plan, garbage, kept, (!earlier.is_empty()).then_some(both));
        let mut new = found.skipped.into_iter().filter(|skipped| self.reported.insert(skipped.key.clone()));
        for skipped in new.by_ref().take(MAX_WARNINGS) {
            ctx.out.warn(&format!("{}: {}; kept", bytes::escape(&skipped.key), skipped.why));
        }
        let more = new.count();
        if more > 0 {
            let (keys, look) =
                (counted(more, "more key"), if more == 1 { "looks wrong and is" } else { "look wrong and are" });
            ctx.out.warn(&format!("{keys} {look} kept"));
        }
        Ok(GarbageScan { plan, agreed })
    }

    async fn read(&mut self) -> Result<ScanResult, Failure> {
        let mut scans = 1;
        loop {
            let progress = self.ctx.out.progress("scanning", None);
            let result = self.kind.scan(self.ctx, &progress).await;
            progress.finish();
            match result {
                Err(failure) if scans < MAX_SCANS && is_compacted(&failure) => {
                    self.ctx.out.detail("the scan's revision was compacted; scanning again");
                    scans += 1;
                }
                other => return other,
            }
        }
    }

    /// Waits between two scans.
    async fn wait(&self, grace: Duration) -> Result<(), Failure> {
        let progress = self.ctx.out.progress("waiting for the second scan (seconds)", Some(grace.as_secs()));
        let (begun, mut shown) = (Instant::now(), 0);
        while let Some(left) = grace.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            self.ctx.sleep(left.min(TICK)).await?;
            let seconds = begun.elapsed().as_secs();
            progress.inc(seconds - shown);
            shown = seconds;
        }
        progress.finish();
        Ok(())
    }

    /// Removes the candidates that all plans agree on. Without consent, which is not asked for if nothing qualifies,
    /// nothing is removed.
    async fn sweep(
        &mut self,
        consent: Option<&Consent>,
        scan: &GarbageScan,
        tally: &mut RoundTally,
        mut sink: Option<&mut Sink>,
    ) -> Result<(), Failure> {
        let (ctx, plan) = (self.ctx, &scan.plan);
        let mut chosen: Vec<&Candidate> = self.chosen(scan);
        self.options.limits().check(chosen.len() as u64, plan.scanned).map_err(|over| {
            Failure::conflict(format!("{over}; nothing was removed"))
                .hint("review the plan, then raise --max-percent or --max-delete")
        })?;
        tally.start_sweep();
        let Some(consent) = consent.filter(|_| !chosen.is_empty()) else { return Ok(()) };
        self.kind.order(&mut chosen);
        ctx.signals.hold();
        let store = ctx.store().with_cancel(CancellationToken::new());
        let sweep = SweepContext { ctx, consent, store };
        let result = match self.kind.begin(&sweep).await {
            Ok(()) => match self.kind.prepare(&sweep, &mut chosen).await {
                Ok(()) => self.remove_all(&sweep, plan, &chosen, tally, &mut sink).await,
                refused => refused,
            },
            failed => failed,
        };
        self.kind.end(&sweep).await;
        result.map_err(without_space)
    }

    async fn remove_all(
        &mut self,
        sweep: &SweepContext<'_>,
        plan: &Plan,
        chosen: &[&Candidate],
        tally: &mut RoundTally,
        sink: &mut Option<&mut Sink>,
    ) -> Result<(), Failure> {
        let (ctx, pace, begun) = (sweep.ctx, self.options.pace(), Instant::now());
        let progress = ctx.out.progress("removing", Some(chosen.len() as u64));
        let mut tried = 0;
        let mut left = chosen;
        while !left.is_empty() {
            let batch = &left[..left.len().min(pace.batch(self.kind.batch(ctx.store()), self.kind.pace_period()))];
            // Checks for a signal even if there is no time to wait.
            ctx.sleep(pace.due(tried).saturating_sub(begun.elapsed())).await?;
            let outcomes = self.kind.remove(sweep, batch).await?;
            for (candidate, outcome) in batch.iter().zip(&outcomes) {
                tally.count(outcome);
                let key = bytes::escape(&candidate.key);
                let error = outcome.problem();
                if let Some(why) = error {
                    ctx.out.warn(&format!("{key}: {why}"));
                }
                match sink {
                    Some(sink) => {
                        let mut pushed = Ok(());
                        self.kind.write_row(plan, candidate, outcome.name(), error, &mut |row| pushed = sink.push(row));
                        pushed?;
                    }
                    None if *outcome == CandidateOutcome::Restored => {
                        ctx.out.note(&format!("{key}: it was used while it was removed, and was restored"));
                    }
                    None => ctx.out.detail(&format!("{key}: {}: {}", outcome.name(), candidate.why)),
                }
            }
            // A reader of the output sees each batch when it is removed.
            ctx.out.flush()?;
            let done = outcomes.len().clamp(1, batch.len());
            left = &left[done..];
            tried += done as u64;
            progress.inc(done as u64);
        }
        progress.finish();
        Ok(())
    }

    /// The result of the round, for the output.
    fn round(&self, tally: RoundTally, failure: Option<&Failure>) -> GcRound {
        GcRound { parts: self.kind.parts(), phases: self.kind.phases(), ..tally.finish(failure) }
    }

    fn summary(&self, tally: RoundTally, failure: Option<&Failure>) {
        let round = self.round(tally, failure);
        self.ctx.out.summary(&round, &round.describe());
    }

    /// Prints the summary and determines the exit code.
    fn finish(&self, tally: RoundTally, result: Result<(), Failure>) -> Result<Exit, Failure> {
        let (left, unknown) = (tally.left(), tally.unknown());
        let removed = tally.removed();
        self.summary(tally, result.as_ref().err());
        let ends = self.ctx.signals.cancel().is_cancelled();
        match result {
            // Candidates reported as busy may not have been tried.
            Ok(()) if ends => Err(Failure::new(Exit::Interrupted, "interrupted")),
            Err(failure) if failure.exit == Exit::Interrupted => Err(failure),
            Ok(()) if unknown > 0 => Err(Failure::new(
                Exit::Unknown,
                format!("{} may or may not have been applied", counted(unknown, "removal")),
            )
            .hint("run the same command again: what is still garbage is removed then")),
            Ok(()) if left > 0 => Ok(Exit::Partial),
            Ok(()) => Ok(Exit::Done),
            Err(mut failure) => {
                if removed > 0 && !failure.is_other_store() && !matches!(failure.exit, Exit::Unknown | Exit::Conflict) {
                    failure.exit = Exit::Partial;
                }
                Err(failure)
            }
        }
    }
}
