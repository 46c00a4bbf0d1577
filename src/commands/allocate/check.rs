//! `allocate check`.

use std::time::Duration;

use tokio::time::Instant;

use super::scope::{BaseArgs, IdRangeArgs};
use crate::allocator::{Id, IdRange, Layout, Problem, RepairOutcome, Severity, problems, restore_master, scan};
use crate::args::{parse_duration, safety_options};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::LeaseId;
use crate::output::{KeyNameRow, ProblemRow, Sink, bytes};

/// The TTL of the locks under which repairs are done, in seconds, as Cilium's.
const LOCK_TTL: i64 = 25;
/// How long taking the locks' lease away may take.
const CLEANUP: Duration = Duration::from_secs(5);

/// What --repair does, or did, about a problem.
const REPAIRABLE: &str = "restore";
const REPAIRED: &str = "restored";

/// Check masters and references, and repair what can be repaired safely.
///
/// Errors: shared-id, missing-master, wrong-master, unreadable-value. Warnings: empty-master, duplicate-master,
/// leased-master, odd-path, out-of-range, altered-key, unreadable-path. Information, with --all: unused-master. Ends
/// with 1 if there is an error or a warning. Everything below the base is read at one revision and kept in memory.
///
/// --repair writes missing masters again: while references name the ID, nobody else claims it, and under the key's lock,
/// so that allocating agents are excluded. It asks first, checks again behind, and never deletes anything: 'gc ids'
/// collects what is unused, and each other problem says what to do. A repair that failed ends with 6.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm allocate check
  kvadm allocate check --prefix-mask 0x10000 -o json
  kvadm allocate check --repair --yes", args = safety_options())]
pub struct Args {
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    ids: IdRangeArgs,
    /// Show what is no problem too: unused IDs
    #[arg(long)]
    all: bool,
    /// Write missing masters again
    #[arg(long)]
    repair: bool,
    /// How long to wait for each key's lock
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "10s", requires = "repair")]
    wait: Duration,
}

/// Runs the verb.
///
/// # Errors
/// A refused confirmation, or whatever kept an answer away.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let check = CheckRun { ctx, args, layout: args.base.layout()?, range: args.ids.range()? };
    let mut found = check.look().await?;
    let repairable = found.iter().filter(|problem| problem.repairable).count();
    let mut sink = ctx.out.stream();
    let mut failed = 0;
    if args.repair && ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: {} would be restored", masters(repairable)));
    } else if args.repair && repairable > 0 {
        ctx.consent(&format!("restore {}", masters(repairable)))?;
        failed = check.repair(&found, &mut sink).await?;
        found = check.look().await?;
    } else if args.repair && found.iter().any(is_problem) {
        ctx.out.note("nothing of this can be repaired safely: each problem says what to do");
    }
    for problem in found.iter().filter(|problem| args.all || is_problem(problem)) {
        push(&mut sink, problem, problem.repairable.then_some(REPAIRABLE))?;
    }
    sink.finish()?;
    check.sum_up(&found);
    Ok(match failed {
        0 if !found.iter().any(is_problem) => Exit::Done,
        0 => Exit::No,
        _ => Exit::Partial,
    })
}

fn is_problem(problem: &Problem) -> bool {
    problem.trouble.severity() != Severity::Info
}

fn masters(count: usize) -> String {
    if count == 1 { "1 master".to_owned() } else { format!("{count} masters") }
}

fn push(sink: &mut Sink, problem: &Problem, repair: Option<&str>) -> Result<(), Failure> {
    let id = problem.id.map(|id| id.to_string());
    let paths: Vec<KeyNameRow<'_>> = problem.paths.iter().map(|path| KeyNameRow(path)).collect();
    sink.push(&ProblemRow {
        severity: problem.trouble.severity().word(),
        problem: problem.trouble.word(),
        id: id.as_deref(),
        key: problem.key.as_deref(),
        text: &problem.text,
        repair,
        paths: &paths,
    })?;
    Ok(())
}

struct CheckRun<'a> {
    ctx: &'a Context,
    args: &'a Args,
    layout: Layout,
    range: IdRange,
}

impl CheckRun<'_> {
    async fn look(&self) -> Result<Vec<Problem>, Failure> {
        let progress = self.ctx.out.progress("reading", None);
        let scan = scan(self.ctx.store(), &self.layout, |count| progress.inc(count)).await?;
        progress.finish();
        let (masters, references) = (scan.masters.len(), scan.references.len());
        self.ctx.out.detail(&format!("revision {}: {masters} masters, {references} references", scan.revision));
        Ok(problems(&scan, &self.layout, &self.range))
    }

    fn sum_up(&self, found: &[Problem]) {
        let count = |severity| found.iter().filter(|problem| problem.trouble.severity() == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let unused = match count(Severity::Info) {
            0 => String::new(),
            unused => format!("; {unused} unused IDs, which 'gc ids' collects"),
        };
        self.ctx.out.note(&format!("{errors} errors, {warnings} warnings{unused}"));
        let repairable = found.iter().filter(|problem| problem.repairable).count();
        if repairable > 0 && !self.args.repair {
            self.ctx.out.note(&format!("'check --repair' restores {}", masters(repairable)));
        }
    }

    /// Restores what can be restored and shows it; how many could not be.
    async fn repair(&self, found: &[Problem], sink: &mut Sink) -> Result<u64, Failure> {
        self.ctx.signals.hold();
        let kept = self.ctx.store().keep(LOCK_TTL).await?;
        let result = self.restore_all(found, kept.id(), sink).await;
        kept.stop();
        // The locks go with it, whatever happened.
        if let Err(error) = self.ctx.store().for_cleanup(CLEANUP).revoke(kept.id()).await {
            let text = format!("lease {} could not be revoked and runs out within {LOCK_TTL} s: {error}", kept.id());
            self.ctx.out.warn(&text);
        }
        result
    }

    async fn restore_all(&self, found: &[Problem], lease: LeaseId, sink: &mut Sink) -> Result<u64, Failure> {
        let repairs = found.iter().filter(|problem| problem.repairable);
        let progress = self.ctx.out.progress("restoring", Some(repairs.clone().count() as u64));
        let (mut restored, mut failed) = (0, 0);
        for problem in repairs {
            let (Some(id), Some(key)) = (problem.id, &problem.key) else { continue };
            let left = self.ctx.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let wait = left.map_or(self.args.wait, |left| left.min(self.args.wait));
            let done = restore_master(self.ctx.store(), &self.layout, lease, (id, key), wait).await;
            progress.inc(1);
            match done {
                Ok(RepairOutcome::Done) => {
                    restored += 1;
                    push(sink, problem, Some(REPAIRED))?;
                }
                Ok(RepairOutcome::ByOthers) => self.ctx.out.note(&format!("{} is there again already", what(id, key))),
                Ok(RepairOutcome::Unused) => self.ctx.out.note(&format!("{} is not used any more", what(id, key))),
                Ok(not) => {
                    failed += 1;
                    self.ctx.out.warn(&format!("{} was not restored: {}", what(id, key), why(&not)));
                }
                Err(error) => {
                    let failure = Failure::from(error).context(format!("cannot restore {}", what(id, key)));
                    if matches!(failure.exit, Exit::Interrupted | Exit::Refused | Exit::Unreachable) {
                        return Err(failure.hint(format!("{} restored before", masters(restored))));
                    }
                    failed += 1;
                    let view = failure.view();
                    let all: Vec<String> = std::iter::once(view.error).chain(view.caused_by).collect();
                    self.ctx.out.warn(&all.join(": "));
                }
            }
        }
        progress.finish();
        Ok(failed)
    }
}

fn what(id: Id, key: &[u8]) -> String {
    format!("the master of {id} for {}", bytes::escape(key))
}

fn why(not: &RepairOutcome) -> String {
    match not {
        RepairOutcome::Taken(key) => format!("the ID is the key {}'s now", bytes::escape(key)),
        RepairOutcome::Busy(lock) => format!("its lock is busy: waiting for {}", bytes::escape(lock)),
        RepairOutcome::Lost => "its lock was lost".to_owned(),
        _ => "its references changed all the time".to_owned(),
    }
}
