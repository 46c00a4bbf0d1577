//! `kvadm gc ids`.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::kind::{GarbageKind, SweepContext};
use super::options::GcOptions;
use super::round;
use crate::args::{parse_duration, safety_options};
use crate::commands::allocate::scope::{BaseArgs, IdRangeArgs};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::ids::{self, IdCollector, IdRule};
use crate::gc::{Candidate, CandidateOutcome, Facts, Plan, ScanResult, Scope};
use crate::kvstore::Store;
use crate::output::{IdGarbageRow, Progress, Record, bytes};

/// Remove IDs that no node refers to
///
/// A node's reference expires with its lease; the master, which assigns the ID to a key, stays until it is collected. A
/// master is garbage if its key has no reference, or if all references of its key name other IDs (a duplicate).
///
/// Entries that kvadm cannot classify are reported and kept: IDs out of range, paths such as id/007, masters without a
/// key or with a key that Cilium's path cleaning alters, and IDs that only another key's references name. 'kvadm
/// allocate check' explains them.
///
/// Each master is deleted under both of Cilium's locks (locks/KEY and locks/id/ID) and only if no reference was written
/// since they were taken, so that the ID cannot be allocated at the same time. A master is skipped as busy if another
/// client holds one of its locks for several seconds. Masters on a lease are mirrors of another cluster's and are kept.
///
/// Cilium's agents take IDs from caches that lag and do not compare the master. So the locks are held for --settle after
/// the removals; then the references are read again, and a master that an agent used meanwhile is written again. An
/// agent that lags by more than --settle, or a kill of kvadm before the second read, can leave a reference without a
/// master: 'kvadm allocate check --repair' restores the master.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm gc ids
  kvadm gc ids --apply --yes
  kvadm gc ids --base /team/ids --min 1 --max 99999 --apply --every 15m \\
      --yes -o json", args = safety_options())]
pub struct Args {
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    ids: IdRangeArgs,
    #[command(flatten)]
    options: GcOptions,
    /// Hold the locks of removed IDs for D, then check that no agent used one meanwhile (up to 15s)
    #[arg(long, help_heading = "Collecting", value_name = "D", value_parser = parse_settle, default_value = "1s")]
    settle: Duration,
}

/// Maximum of --settle. Cilium's operator breaks locks that are 25 s old.
const MAX_SETTLE: Duration = Duration::from_secs(15);

fn parse_settle(text: &str) -> Result<Duration, String> {
    let settle = parse_duration(text)?;
    if settle > MAX_SETTLE {
        return Err(format!("at most {MAX_SETTLE:?}: Cilium's operator breaks locks that are 25s old"));
    }
    Ok(settle)
}

/// Runs the verb.
///
/// # Errors
/// As `kvadm gc`.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    args.options.check_store(ctx)?;
    let rule = IdRule { layout: args.base.layout()?, range: args.ids.range(ctx).await? };
    round::run(ctx, &args.options, IdGarbage { rule, settle: args.settle, collector: None }).await
}

struct IdGarbage {
    rule: IdRule,
    settle: Duration,
    collector: Option<IdCollector>,
}

impl GarbageKind for IdGarbage {
    const NAME: &'static str = "ids";
    const OBJECT: &'static str = "master";

    fn batch(&self, _: &Store) -> usize {
        ids::WAVE
    }

    fn scope(&self, store: &Store) -> Scope {
        let bounds = Facts::default().with("first", self.rule.range.first()).with("last", self.rule.range.last());
        Scope { prefix: store.absolute(&self.rule.layout.masters().start), bounds }
    }

    async fn scan(&mut self, ctx: &Context, progress: &Progress) -> Result<ScanResult, Failure> {
        Ok(ids::scan(ctx.store(), &self.rule, |keys| progress.inc(keys)).await?)
    }

    fn sort_rows(&self, candidates: &mut [Candidate]) {
        candidates.sort_by_key(|candidate| candidate.more.text("id").and_then(|id| id.parse::<u64>().ok()));
    }

    /// The removals of one wave: each wave waits until it has settled.
    fn pace_period(&self) -> Duration {
        self.settle.max(Duration::from_secs(1))
    }

    async fn begin(&mut self, sweep: &SweepContext<'_>) -> Result<(), Failure> {
        self.collector = Some(IdCollector::open(&sweep.store, &self.rule.layout, self.settle).await?);
        Ok(())
    }

    async fn remove(
        &mut self,
        sweep: &SweepContext<'_>,
        batch: &[&Candidate],
    ) -> Result<Vec<CandidateOutcome>, Failure> {
        let Some(collector) = &mut self.collector else {
            return Err(Failure::new(Exit::Bug, "removal of masters without a lease for their locks"));
        };
        Ok(collector.remove(sweep.consent, batch, sweep.ctx.signals.cancel()).await?)
    }

    async fn end(&mut self, sweep: &SweepContext<'_>) {
        if let Some(collector) = self.collector.take()
            && let Err(error) = collector.close().await
        {
            sweep.ctx.out.warn(&format!("cannot revoke the lease of the locks, which will expire: {error}"));
        }
    }

    fn describe(&self, candidate: &Candidate) -> String {
        let (key, value) = (bytes::escape(&candidate.key), candidate.facts.bytes("value").unwrap_or_default());
        format!("{key} ({}): {}", bytes::escape(&value), candidate.why)
    }

    fn write_row(
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
