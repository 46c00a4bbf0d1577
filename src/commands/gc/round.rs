//! The one grammar of all kinds of garbage: look, plan, and remove what two looks agree on.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::kind::{GarbageKind, SweepContext};
use super::options::GcOptions;
use super::tally::RoundTally;
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::{Candidate, CandidateOutcome, Plan, ScanResult, Timestamp};
use crate::kvstore::{Error, Refusal};
use crate::output::{GcRound, Sink, bytes};

/// Looks that are tried while compaction takes away the revision under them.
const LOOKS: usize = 3;
/// Things left alone that are named one by one.
const NAMED: usize = 20;
/// The step of the bar that shows a wait.
const TICK: Duration = Duration::from_millis(200);

/// Runs one kind of collection.
///
/// # Errors
/// A limit that forbids it, a plan of something else, or whatever kept an answer away.
pub async fn run<K: GarbageKind>(ctx: &Context, options: &GcOptions, kind: K) -> Result<Exit, Failure> {
    options.check_save()?;
    let earlier = options.earlier(ctx).await?;
    let mut rounds = GcRounds { ctx, options, kind, said: HashSet::new() };
    match options.every {
        Some(every) => rounds.service(every, earlier).await,
        None => rounds.once(earlier).await,
    }
}

struct GcRounds<'a, K> {
    ctx: &'a Context,
    options: &'a GcOptions,
    kind: K,
    /// What was said to be left alone: once is enough.
    said: HashSet<Vec<u8>>,
}

/// A look, and which of its candidates earlier looks agree on.
struct GarbageScan {
    plan: Plan,
    agreed: Vec<bool>,
}

impl<K: GarbageKind> GcRounds<'_, K> {
    fn removes(&self) -> bool {
        self.options.apply && !self.ctx.safety.dry_run
    }

    async fn once(&mut self, mut earlier: Vec<Plan>) -> Result<Exit, Failure> {
        let mut tally = RoundTally::new::<K>(None);
        let mut looked = self.look(&earlier, &mut tally).await?;
        self.options.keep(&looked.plan)?;
        if !self.removes() {
            return self.show(&looked, !earlier.is_empty(), tally);
        }
        let objects = K::OBJECTS;
        let mut consent = None;
        if earlier.is_empty() && !looked.plan.candidates.is_empty() {
            let (count, of) = (looked.plan.candidates.len(), looked.plan.looked_at);
            let grace = self.options.grace(self.kind.ripens());
            consent = Some(self.ctx.consent(&format!(
                "remove those of {count} candidates among {of} {objects} that are still the same in {grace:?}"
            ))?);
            self.wait(grace).await?;
            earlier.push(looked.plan);
            tally = RoundTally::new::<K>(None);
            looked = self.look(&earlier, &mut tally).await?;
            self.options.keep(&looked.plan)?;
        } else if let Some(agreed) = tally.round.agreed.filter(|agreed| *agreed > 0) {
            let of = looked.plan.looked_at;
            if self.options.limits().check(agreed, of).is_ok() {
                consent = Some(self.ctx.consent(&format!("remove {agreed} of {of} {objects}"))?);
            }
        }
        let mut sink = self.ctx.out.stream();
        let result = self.sweep(consent.as_ref(), &looked, &mut tally, Some(&mut sink)).await;
        sink.finish()?;
        self.finish(tally, result)
    }

    /// Shows what would go. Where there are earlier looks, only what they agree on would.
    fn show(&self, looked: &GarbageScan, earlier: bool, tally: RoundTally) -> Result<Exit, Failure> {
        let mut sink = self.ctx.out.stream();
        let (mut garbage, mut result) = (0, Ok(()));
        for (candidate, agreed) in looked.plan.candidates.iter().zip(&looked.agreed) {
            let ripe = self.kind.ripe(&looked.plan, candidate);
            if earlier && !agreed {
                continue;
            }
            garbage += u64::from(ripe);
            let state = if ripe { "garbage" } else { "young" };
            self.kind.show(&looked.plan, candidate, state, None, &mut |row| result = sink.push(row));
            std::mem::replace(&mut result, Ok(()))?;
        }
        sink.finish()?;
        self.summary(tally, None);
        if let Err(over) = self.options.limits().check(garbage, looked.plan.looked_at) {
            self.ctx.out.warn(&format!("--apply would refuse: {over}"));
        }
        Ok(if garbage > 0 { Exit::No } else { Exit::Done })
    }

    /// Round after round, each the next one's earlier look, until a signal.
    async fn service(&mut self, every: Duration, mut earlier: Vec<Plan>) -> Result<Exit, Failure> {
        let what = K::OBJECTS;
        let question = format!("remove {what} that two looks agree on, every {every:?}, until it is ended");
        let consent = self.removes().then(|| self.ctx.consent(&question)).transpose()?;
        self.ctx.signals.hold();
        for number in 1.. {
            let begun = Instant::now();
            let mut tally = RoundTally::new::<K>(Some(number));
            let result = self.one_round(consent.as_ref(), &mut earlier, &mut tally).await;
            let ends = self.ctx.signals.cancel().is_cancelled();
            match result {
                Err(failure) if ends && failure.exit == Exit::Interrupted && tally.round.revision.is_none() => break,
                Err(failure) if !passes(&failure) || (number == 1 && is_mismatch(&failure, &tally)) => {
                    return Err(failure);
                }
                Err(failure) if failure.exit != Exit::Interrupted => {
                    self.ctx.out.one(&self.done(tally, Some(&failure)))?;
                }
                _ => self.ctx.out.one(&self.done(tally, None))?,
            }
            self.ctx.out.flush()?;
            match self.ctx.sleep(every.saturating_sub(begun.elapsed())).await {
                Err(failure) if failure.exit == Exit::Interrupted => break,
                other => other?,
            }
        }
        Ok(Exit::Interrupted)
    }

    async fn one_round(
        &mut self,
        consent: Option<&Consent>,
        earlier: &mut Vec<Plan>,
        tally: &mut RoundTally,
    ) -> Result<(), Failure> {
        let looked = self.look(earlier, tally).await.inspect_err(|failure| {
            // Of a store that was replaced under a service there is no earlier look.
            if failure.exit == Exit::Conflict {
                earlier.clear();
            }
        })?;
        let result = match self.options.keep(&looked.plan) {
            Ok(()) if self.removes() => self.sweep(consent, &looked, tally, None).await,
            kept => kept,
        };
        *earlier = vec![looked.plan];
        result
    }

    /// Looks, and finds out what earlier looks agree on.
    async fn look(&mut self, earlier: &[Plan], tally: &mut RoundTally) -> Result<GarbageScan, Failure> {
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
            looked_at: found.looked_at,
            candidates: found.candidates,
        };
        plan.sort();
        for (index, before) in earlier.iter().enumerate() {
            plan.follows(before).map_err(|why| {
                Failure::conflict(format!("{}: {why}", self.options.source(index))).hint("make a new plan with --save")
            })?;
        }
        let agreed = plan.agree(earlier);
        let ripe = |candidate: &&Candidate| self.kind.ripe(&plan, candidate);
        let garbage = plan.candidates.iter().filter(ripe).count();
        let both =
            plan.candidates.iter().zip(&agreed).filter(|(candidate, agreed)| **agreed && ripe(candidate)).count();
        tally.looked(&plan, garbage, found.skipped.len(), (!earlier.is_empty()).then_some(both));
        let mut new = found.skipped.into_iter().filter(|skipped| self.said.insert(skipped.key.clone()));
        for skipped in new.by_ref().take(NAMED) {
            ctx.out.warn(&format!("{}: {}; left alone", bytes::escape(&skipped.key), skipped.why));
        }
        let more = new.count();
        if more > 0 {
            ctx.out.warn(&format!("{more} more look wrong and are left alone"));
        }
        Ok(GarbageScan { plan, agreed })
    }

    async fn read(&mut self) -> Result<ScanResult, Failure> {
        let mut looks = 1;
        loop {
            let progress = self.ctx.out.progress("looking", None);
            let result = self.kind.look(self.ctx, &progress).await;
            progress.finish();
            match result {
                Err(failure) if looks < LOOKS && is_compacted(&failure) => {
                    self.ctx.out.detail("the revision was compacted while it was looked at; looking again");
                    looks += 1;
                }
                other => return other,
            }
        }
    }

    /// Waits between two looks.
    async fn wait(&self, grace: Duration) -> Result<(), Failure> {
        let progress = self.ctx.out.progress("waiting for the second look (seconds)", Some(grace.as_secs()));
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

    /// Removes what is agreed on, batch by batch. Without consent, which is not asked for where nothing qualifies,
    /// nothing is removed.
    async fn sweep(
        &mut self,
        consent: Option<&Consent>,
        looked: &GarbageScan,
        tally: &mut RoundTally,
        mut sink: Option<&mut Sink>,
    ) -> Result<(), Failure> {
        let (ctx, plan) = (self.ctx, &looked.plan);
        let marked = plan.candidates.iter().zip(&looked.agreed).filter(|(_, agreed)| **agreed);
        let mut chosen: Vec<&Candidate> =
            marked.map(|(candidate, _)| candidate).filter(|candidate| self.kind.ripe(plan, candidate)).collect();
        self.options.limits().check(chosen.len() as u64, plan.looked_at).map_err(|over| {
            Failure::conflict(format!("{over}; nothing was removed"))
                .hint("look at the plan; then allow more with --max-percent or --max-delete")
        })?;
        tally.sweeps();
        let Some(consent) = consent.filter(|_| !chosen.is_empty()) else { return Ok(()) };
        self.kind.order(&mut chosen);
        ctx.signals.hold();
        let store = ctx.store().with_cancel(CancellationToken::new());
        let sweep = SweepContext { ctx, consent, store };
        let result = match self.kind.begin(&sweep).await {
            Ok(()) => match self.kind.arrange(&sweep, &mut chosen).await {
                Ok(()) => self.batches(&sweep, plan, &chosen, tally, &mut sink).await,
                refused => refused,
            },
            failed => failed,
        };
        self.kind.end(&sweep).await;
        result.map_err(without_space)
    }

    async fn batches(
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
            let batch = &left[..left.len().min(pace.batch(K::BATCH))];
            // With nothing to wait for, it still ends here where the user wants it to.
            ctx.sleep(pace.due(tried).saturating_sub(begun.elapsed())).await?;
            let outcomes = self.kind.remove(sweep, batch).await?;
            for (candidate, outcome) in batch.iter().zip(&outcomes) {
                tally.count(outcome);
                let key = bytes::escape(&candidate.key);
                let error = match outcome {
                    CandidateOutcome::Failed(why) => {
                        ctx.out.warn(&format!("{key}: {why}"));
                        Some(why.as_str())
                    }
                    _ => None,
                };
                match sink {
                    Some(sink) => {
                        let mut pushed = Ok(());
                        self.kind.show(plan, candidate, outcome.word(), error, &mut |row| pushed = sink.push(row));
                        pushed?;
                    }
                    None => ctx.out.detail(&format!("{key}: {}: {}", outcome.word(), candidate.why)),
                }
            }
            // Whoever follows it sees what is gone as it goes.
            ctx.out.flush()?;
            let done = outcomes.len().clamp(1, batch.len());
            left = &left[done..];
            tried += done as u64;
            progress.inc(done as u64);
        }
        progress.finish();
        Ok(())
    }

    /// The round as it is told.
    fn done(&self, tally: RoundTally, failure: Option<&Failure>) -> GcRound {
        GcRound { parts: self.kind.parts(), phases: self.kind.phases(), ..tally.done(failure) }
    }

    fn summary(&self, tally: RoundTally, failure: Option<&Failure>) {
        let round = self.done(tally, failure);
        self.ctx.out.summary(&round, &round.describe());
    }

    /// Says how it went and what it ends with.
    fn finish(&self, tally: RoundTally, result: Result<(), Failure>) -> Result<Exit, Failure> {
        let failed = tally.failed();
        let removed = tally.removed();
        self.summary(tally, result.as_ref().err());
        let ends = self.ctx.signals.cancel().is_cancelled();
        match result {
            // What was called busy may only not have been waited for.
            Ok(()) if ends => Ok(Exit::Interrupted),
            Err(failure) if ends && failure.exit == Exit::Interrupted => Ok(Exit::Interrupted),
            Ok(()) if failed => Ok(Exit::Partial),
            Ok(()) => Ok(Exit::Done),
            Err(mut failure) => {
                if removed > 0 && !matches!(failure.exit, Exit::Unknown | Exit::Conflict) {
                    failure.exit = Exit::Partial;
                }
                Err(failure)
            }
        }
    }
}

fn is_compacted(failure: &Failure) -> bool {
    failure.error.downcast_ref::<Error>().is_some_and(|error| error.is_refusal(Refusal::Compacted))
}

/// A full store grants no leases, and some versions take no transaction either.
fn without_space(failure: Failure) -> Failure {
    if !failure.error.downcast_ref::<Error>().is_some_and(|error| error.is_refusal(Refusal::NoSpace)) {
        return failure;
    }
    let failure =
        failure.context("etcd is out of space: it grants no leases and takes no locks, so that nothing can go");
    Failure { hints: vec!["make room with 'kvadm compact --reclaim', then run it again".to_owned()], ..failure }
}

/// Whether an earlier plan was one of something else: then nothing was counted.
fn is_mismatch(failure: &Failure, tally: &RoundTally) -> bool {
    failure.exit == Exit::Conflict && tally.round.revision.is_none()
}

/// Whether the next round may do better.
fn passes(failure: &Failure) -> bool {
    !failure.is_broken_pipe() && !matches!(failure.exit, Exit::Usage | Exit::Bug)
}
