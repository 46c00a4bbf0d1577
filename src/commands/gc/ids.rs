//! `gc ids`.

use clap::Args as ClapArgs;

use super::kind::{GarbageKind, SweepContext};
use super::options::GcOptions;
use super::round;
use crate::args::safety_options;
use crate::commands::allocate::scope::{BaseArgs, IdRangeArgs};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::ids::{self, IdCollector, IdRule};
use crate::gc::{Candidate, CandidateOutcome, Facts, Plan, ScanResult, Scope};
use crate::kvstore::Store;
use crate::output::{IdGarbageRow, Progress, Record};

/// Remove the masters of IDs that no node refers to
///
/// A node's reference goes with its lease; the master, which says whose the ID is, stays until it is collected. Garbage is
/// a master whose key has no reference, and a duplicate: one whose key's references all name other IDs. Left alone, and
/// said, is what cannot be judged: IDs out of range, paths such as id/007, masters without a key or with one that Cilium's
/// path cleaning alters, and IDs that only another key's references name ('allocate check' tells more).
///
/// Each master is deleted under both of Cilium's locks (locks/KEY, locks/id/ID) on the condition that no reference is
/// newer than a look that was made once they were held: an ID cannot be given to somebody while it is collected. A master
/// whose lock somebody keeps for seconds is skipped as busy.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm gc ids
  kvadm gc ids --apply --yes
  kvadm gc ids --base /team/ids --min 1 --max 99999 --apply --every 15m --yes -o json", args = safety_options())]
pub struct Args {
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    ids: IdRangeArgs,
    #[command(flatten)]
    options: GcOptions,
}

/// Runs it.
///
/// # Errors
/// As the verb.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let rule = IdRule { layout: args.base.layout()?, range: args.ids.range()? };
    round::run(ctx, &args.options, IdGarbage { rule, collector: None }).await
}

struct IdGarbage {
    rule: IdRule,
    collector: Option<IdCollector>,
}

impl GarbageKind for IdGarbage {
    const NAME: &'static str = "ids";
    const OBJECTS: &'static str = "masters";
    const BATCH: usize = ids::BATCH;

    fn scope(&self, store: &Store) -> Scope {
        let bounds = Facts::default().with("first", self.rule.range.first()).with("last", self.rule.range.last());
        Scope { prefix: store.absolute(&self.rule.layout.masters().start), bounds }
    }

    async fn look(&mut self, ctx: &Context, progress: &Progress) -> Result<ScanResult, Failure> {
        Ok(ids::look(ctx.store(), &self.rule, |keys| progress.inc(keys)).await?)
    }

    async fn begin(&mut self, sweep: &SweepContext<'_>) -> Result<(), Failure> {
        self.collector = Some(IdCollector::open(&sweep.store, &self.rule.layout).await?);
        Ok(())
    }

    async fn remove(
        &mut self,
        sweep: &SweepContext<'_>,
        batch: &[&Candidate],
    ) -> Result<Vec<CandidateOutcome>, Failure> {
        let Some(collector) = &mut self.collector else {
            return Err(Failure::new(Exit::Bug, "masters are removed without a lease for their locks"));
        };
        Ok(collector.remove(batch, sweep.ctx.signals.cancel()).await?)
    }

    async fn end(&mut self, sweep: &SweepContext<'_>) {
        if let Some(collector) = self.collector.take()
            && let Err(error) = collector.close().await
        {
            sweep.ctx.out.warn(&format!("the locks' lease could not be revoked and runs out by itself: {error}"));
        }
    }

    fn show(
        &self,
        plan: &Plan,
        candidate: &Candidate,
        state: &str,
        error: Option<&str>,
        to: &mut dyn FnMut(&dyn Record),
    ) {
        to(&IdGarbageRow {
            state,
            id: candidate.more.text("id").unwrap_or_default(),
            why: &candidate.why,
            value: &candidate.facts.bytes("value").unwrap_or_default(),
            key: &candidate.key,
            mod_revision: candidate.facts.int("mod_revision"),
            seen: plan.time.since(candidate.first_seen).as_secs(),
            error,
        });
    }
}
