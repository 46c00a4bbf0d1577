//! `gc locks`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::kind::{GarbageKind, SweepContext};
use super::options::GcOptions;
use super::round;
use crate::args::{KeyText, parse_duration, safety_options};
use crate::commands::allocate::scope::BaseArgs;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::locks::{self, LockRule};
use crate::gc::{Candidate, CandidateOutcome, Facts, Plan, ScanResult, Scope};
use crate::kvstore::{KeyRange, Store};
use crate::output::{LockGarbageRow, Progress, Record};

/// Remove lock keys that nobody will take away
///
/// A lock key goes with its lease. One that is on no lease (a restored backup, a put over it) blocks its lock for ever:
/// it is garbage once the lease that it is named after is gone. It is told from data by its shape: NAME/ID, the ID being
/// 12 to 16 lower-case hex digits, and a value that is empty or 'shared'.
///
/// A holder that lives is left alone. With --stale-after holders are garbage that were seen unchanged for so long, by
/// this look, by an earlier one and with nothing else between them (etcd keeps no times: --since and --every carry the
/// time of the first look over). Of a shared lock these are all who hold it. Waiters are never removed; they proceed by
/// themselves. A holder that loses its lock so may go on for a moment: only --if-locked protects what it writes.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm gc locks
  kvadm gc locks /cron/ --apply --yes
  kvadm gc locks --stale-after 10m --apply --every 1m --yes -o json", args = safety_options())]
pub struct Args {
    /// What the locks' names begin with [default: BASE/locks/]
    #[arg(value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// Holders too that were seen unchanged for so long
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    stale_after: Option<Duration>,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    text: KeyText,
    #[command(flatten)]
    options: GcOptions,
}

/// Runs it.
///
/// # Errors
/// As the verb.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let range = match &args.prefix {
        Some(prefix) => KeyRange::prefix(&args.text.bytes(prefix)?),
        None => args.base.layout()?.locks(),
    };
    let rule = LockRule { range, dedicated: args.prefix.is_none(), stale_after: args.stale_after };
    round::run(ctx, &args.options, LockGarbage { rule }).await
}

struct LockGarbage {
    rule: LockRule,
}

impl GarbageKind for LockGarbage {
    const NAME: &'static str = "locks";
    const OBJECTS: &'static str = "lock keys";
    const BATCH: usize = locks::BATCH;

    fn scope(&self, store: &Store) -> Scope {
        Scope { prefix: store.absolute(&self.rule.range.start), bounds: Facts::default() }
    }

    fn ripens(&self) -> Duration {
        self.rule.stale_after.unwrap_or_default()
    }

    fn ripe(&self, plan: &Plan, candidate: &Candidate) -> bool {
        self.rule.ripe(plan, candidate)
    }

    async fn look(&mut self, ctx: &Context, progress: &Progress) -> Result<ScanResult, Failure> {
        Ok(locks::look(ctx.store(), &self.rule, |keys| progress.inc(keys)).await?)
    }

    async fn remove(
        &mut self,
        sweep: &SweepContext<'_>,
        batch: &[&Candidate],
    ) -> Result<Vec<CandidateOutcome>, Failure> {
        Ok(locks::remove(&sweep.store, batch).await?)
    }

    fn show(
        &self,
        plan: &Plan,
        candidate: &Candidate,
        state: &str,
        error: Option<&str>,
        to: &mut dyn FnMut(&dyn Record),
    ) {
        to(&LockGarbageRow {
            state,
            key: &candidate.key,
            why: &candidate.why,
            lease: candidate.facts.text("lease"),
            left: candidate.more.int("left"),
            ttl: candidate.more.int("ttl"),
            waiting: candidate.more.int("waiting"),
            seen: plan.time.since(candidate.first_seen).as_secs(),
            create_revision: candidate.facts.int("create_revision"),
            error,
        });
    }
}
