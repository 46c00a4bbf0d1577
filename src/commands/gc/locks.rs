//! `kvadm gc locks`.

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

/// Remove lock keys that no lease will remove
///
/// A lock key is deleted with its lease. A key without a lease (from a restored backup, or overwritten by a put) blocks
/// its lock forever: it is garbage once the lease in its name has expired. Lock keys are recognized by their form:
/// NAME/ID, where ID is 12 to 16 lower-case hex digits, and a value that is empty or 'shared'.
///
/// Live holders are kept. With --stale-after D, a holder that was unchanged for D between an earlier scan and this one
/// is garbage too (etcd stores no times: --since and --every carry over when a key was first seen). For a shared lock
/// this applies to all holders. Waiters are never removed. A holder that loses its lock may continue for a moment: only
/// --if-locked protects what it writes.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm gc locks
  kvadm gc locks /cron/ --apply --yes
  kvadm gc locks --stale-after 10m --apply --every 1m --yes -o json", args = safety_options())]
pub struct Args {
    /// Prefix of the locks' names [default: BASE/locks/]
    #[arg(value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// Also remove holders that have not changed for D
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    stale_after: Option<Duration>,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    text: KeyText,
    #[command(flatten)]
    options: GcOptions,
}

/// Runs the verb.
///
/// # Errors
/// As `kvadm gc`.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    args.options.check_store(ctx)?;
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
    const OBJECT: &'static str = "lock key";

    fn batch(&self, _: &Store) -> usize {
        locks::BATCH
    }

    fn scope(&self, store: &Store) -> Scope {
        Scope { prefix: store.absolute(&self.rule.range.start), bounds: Facts::default() }
    }

    fn min_age(&self) -> Duration {
        self.rule.stale_after.unwrap_or_default()
    }

    fn is_old_enough(&self, plan: &Plan, candidate: &Candidate) -> bool {
        self.rule.is_old_enough(plan, candidate)
    }

    async fn scan(&mut self, ctx: &Context, progress: &Progress) -> Result<ScanResult, Failure> {
        Ok(locks::scan(ctx.store(), &self.rule, |keys| progress.inc(keys)).await?)
    }

    async fn remove(
        &mut self,
        sweep: &SweepContext<'_>,
        batch: &[&Candidate],
    ) -> Result<Vec<CandidateOutcome>, Failure> {
        Ok(locks::remove(&sweep.store, sweep.consent, batch).await?)
    }

    fn write_row(
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
