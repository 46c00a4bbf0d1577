//! `kvadm allocate check`.

use std::time::Duration;

use tokio::time::Instant;

use super::scope::{BaseArgs, IdRangeArgs};
use crate::allocator::{
    Id, IdRange, Layout, Problem, ProblemKind, RepairOutcome, Severity, problems, restore_master, scan, stray_keys,
};
use crate::args::{parse_duration, safety_options};
use crate::commands::proto::warn_of_bypass;
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::LeaseId;
use crate::output::{KeyNameRow, ProblemRow, Sink, bytes};
use crate::plural::counted;

/// TTL of the lease of the locks for repairs, in seconds (Cilium's value).
const LOCK_TTL: i64 = 25;
/// Maximum time to revoke that lease.
const CLEANUP: Duration = Duration::from_secs(5);

/// Values of the output field `repair`.
const REPAIRABLE: &str = "restore";
const REPAIRED: &str = "restored";

/// Check masters and references, and repair what can be repaired safely.
///
/// Errors: shared-id, missing-master, wrong-master, unreadable-value, stray-path. Warnings: empty-master,
/// duplicate-master, leased-master, odd-path, out-of-range, altered-key, unreadable-path. Information (with --all):
/// unused-master, mirrored-master. Exits with 1 if there is an error or a warning. All keys below the base are read at
/// one revision and kept in memory.
///
/// A master on a lease without references is the copy of another cluster's ID (mirrored-master): clustermesh-apiserver
/// and kvstoremesh write such masters. It is a warning only if nodes use the ID (leased-master). A stray-path is a key
/// BASE/id, or a key such as BASE/idx/5: Cilium's agents crash on the former, and list the latter with the masters.
///
/// --repair restores a missing master if references name its ID and no other key claims the ID. It works under the
/// key's lock, which excludes agents that allocate. It asks for confirmation, checks again afterwards, and never
/// deletes anything: 'gc ids' deletes unused IDs, and each other problem describes its remedy. Exits with 6 if a repair
/// failed, and with 7 if it is unknown whether one was done.
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
    /// Also show unused IDs and mirrored masters, which are not a problem
    #[arg(long)]
    all: bool,
    /// Restore missing masters
    #[arg(long)]
    repair: bool,
    /// Maximum time to wait for each key's lock
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "10s", requires = "repair")]
    wait: Duration,
}

/// Runs the verb.
///
/// # Errors
/// The user declined, or etcd is unreachable or rejects a request.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let check = CheckRun { ctx, args, layout: args.base.layout()?, range: args.ids.range(ctx).await? };
    if args.repair {
        warn_of_bypass(ctx, [check.layout.range()]);
    }
    let mut found = check.scan_problems().await?;
    let repairable = found.iter().filter(|problem| problem.repairable).count();
    let mut sink = ctx.out.stream();
    let mut counts = RepairCounts::default();
    if args.repair && ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: {} would be restored", counted(repairable, "master")));
    } else if args.repair && repairable > 0 {
        let masters = found.iter().filter(|problem| problem.repairable).map(|problem| {
            let id = problem.id.map_or_else(String::new, |id| id.to_string());
            format!("ID {id}: {}", bytes::name(problem.key.as_deref().unwrap_or_default()))
        });
        if ctx.will_ask() {
            ctx.show_candidates(masters, repairable as u64);
        }
        let consent = ctx.consent(&format!("Restore {}", counted(repairable, "master")))?;
        counts = check.repair(&consent, &found, &mut sink).await?;
        // What was restored stays restored if it cannot be checked.
        let restored = counts.unknown > 0 || counts.restored > 0;
        found = check.scan_problems().await.map_err(|failure| {
            unknown_if(restored, failure.context("the masters were restored, but kvadm could not check the result"))
        })?;
    } else if args.repair && found.iter().any(is_problem) {
        ctx.out.note("no problem can be repaired automatically: see the text of each problem");
    }
    for problem in found.iter().filter(|problem| args.all || is_problem(problem)) {
        print_problem(&mut sink, problem, problem.repairable.then_some(REPAIRABLE))?;
    }
    sink.finish()?;
    check.print_summary(&found);
    if counts.unknown > 0 {
        let text = format!("{} may or may not have been applied", counted(counts.unknown, "restore"));
        return Err(
            Failure::new(Exit::Unknown, text).hint("run the same command again to restore what is still missing")
        );
    }
    Ok(match counts.refused {
        0 if !found.iter().any(is_problem) => Exit::Done,
        0 => Exit::No,
        _ => Exit::Partial,
    })
}

/// The outcomes of the restores.
#[derive(Default)]
struct RepairCounts {
    restored: u64,
    refused: u64,
    unknown: u64,
}

/// The failure, with the exit code for an unknown outcome if an earlier request has one.
fn unknown_if(unknown: bool, failure: Failure) -> Failure {
    let exit = if unknown { Exit::Unknown } else { failure.exit };
    Failure { exit, ..failure }
}

fn is_problem(problem: &Problem) -> bool {
    problem.kind.severity() != Severity::Info
}

fn print_problem(sink: &mut Sink, problem: &Problem, repair: Option<&str>) -> Result<(), Failure> {
    let id = problem.id.map(|id| id.to_string());
    let paths: Vec<KeyNameRow<'_>> = problem.paths.iter().map(|path| KeyNameRow(path)).collect();
    sink.push(&ProblemRow {
        severity: problem.kind.severity().name(),
        problem: problem.kind.name(),
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
    async fn scan_problems(&self) -> Result<Vec<Problem>, Failure> {
        let progress = self.ctx.out.progress("reading", None);
        let scan = scan(self.ctx.store(), &self.layout, |count| progress.inc(count)).await?;
        let stray = stray_keys(self.ctx.store(), &self.layout, scan.revision).await?;
        progress.finish();
        let (masters, references) = (scan.masters.len(), scan.references.len());
        let (masters, references) = (counted(masters, "master"), counted(references, "reference"));
        self.ctx.out.detail(&format!("revision {}: {masters}, {references}", scan.revision));
        Ok(problems(&scan, &stray, &self.layout, &self.range, &self.ctx.command_line(&["delete"])))
    }

    fn print_summary(&self, found: &[Problem]) {
        let number = |severity| found.iter().filter(|problem| problem.kind.severity() == severity).count();
        let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
        let of = |kinds: &[ProblemKind]| found.iter().filter(|problem| kinds.contains(&problem.kind)).count();
        let unused = match of(&[ProblemKind::UnusedMaster]) {
            0 => String::new(),
            unused => format!("; {}, which 'kvadm gc ids' deletes", counted(unused, "unused ID")),
        };
        let leased = match of(&[ProblemKind::MirroredMaster]) {
            0 => String::new(),
            1 => "; 1 ID on a lease, which another process maintains".to_owned(),
            leased => format!("; {leased} IDs on leases, which another process maintains"),
        };
        let counts = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
        self.ctx.out.note(&format!("{counts}{unused}{leased}"));
        let repairable = found.iter().filter(|problem| problem.repairable).count();
        if repairable > 0 && !self.args.repair {
            self.ctx.out.note(&format!("'kvadm allocate check --repair' restores {}", counted(repairable, "master")));
        }
    }

    /// Restores what can be restored and prints it. Returns the number of each outcome.
    async fn repair(&self, consent: &Consent, found: &[Problem], sink: &mut Sink) -> Result<RepairCounts, Failure> {
        self.ctx.signals.hold();
        let kept = self.ctx.store().keep(LOCK_TTL).await?;
        let result = self.restore_all(consent, found, kept.id(), sink).await;
        kept.stop();
        // Revoking the lease also deletes locks that are still held.
        if let Err(error) = self.ctx.store().for_cleanup(CLEANUP).revoke_own(kept.id()).await {
            let text = format!("cannot revoke lease {}, which expires within {LOCK_TTL}s: {error}", kept.id());
            self.ctx.out.warn(&text);
        }
        result
    }

    async fn restore_all(
        &self,
        consent: &Consent,
        found: &[Problem],
        lease: LeaseId,
        sink: &mut Sink,
    ) -> Result<RepairCounts, Failure> {
        let repairs = found.iter().filter(|problem| problem.repairable);
        let progress = self.ctx.out.progress("restoring", Some(repairs.clone().count() as u64));
        let mut counts = RepairCounts::default();
        for problem in repairs {
            let (Some(id), Some(key)) = (problem.id, &problem.key) else { continue };
            let left = self.ctx.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let wait = left.map_or(self.args.wait, |left| left.min(self.args.wait));
            let done = restore_master(self.ctx.store(), consent, &self.layout, lease, (id, key), wait).await;
            progress.inc(1);
            match done {
                Ok(RepairOutcome::Restored) => {
                    counts.restored += 1;
                    print_problem(sink, problem, Some(REPAIRED))?;
                }
                Ok(RepairOutcome::AlreadyRestored) => {
                    self.ctx.out.note(&format!("another client has restored {}", describe_master(id, key)));
                }
                Ok(RepairOutcome::Unused) => {
                    self.ctx
                        .out
                        .note(&format!("{} is no longer needed: no reference names it", describe_master(id, key)));
                }
                Ok(outcome) => {
                    counts.refused += 1;
                    let why = describe_outcome(&outcome);
                    self.ctx.out.warn(&format!("cannot restore {}: {why}", describe_master(id, key)));
                }
                Err(error) => {
                    let failure = Failure::from(error).context(format!("cannot restore {}", describe_master(id, key)));
                    if matches!(failure.exit, Exit::Interrupted | Exit::Refused | Exit::Unreachable) {
                        let failure = unknown_if(counts.unknown > 0, failure);
                        return Err(
                            failure.hint(format!("{} restored before this error", counted(counts.restored, "master")))
                        );
                    }
                    if failure.exit == Exit::Unknown {
                        counts.unknown += 1;
                    } else {
                        counts.refused += 1;
                    }
                    self.ctx.out.warn(&failure.one_line());
                }
            }
        }
        progress.finish();
        Ok(counts)
    }
}

fn describe_master(id: Id, key: &[u8]) -> String {
    format!("the master of ID {id} for key {}", bytes::escape(key))
}

fn describe_outcome(outcome: &RepairOutcome) -> String {
    match outcome {
        RepairOutcome::IdTaken(key) => format!("the ID now belongs to key {}", bytes::escape(key)),
        RepairOutcome::LockBusy(lock) => format!("the key's lock is held through {}; see --wait", bytes::escape(lock)),
        RepairOutcome::LockLost => "the key's lock was lost; run the command again".to_owned(),
        _ => "the key's references kept changing; run the command again".to_owned(),
    }
}
