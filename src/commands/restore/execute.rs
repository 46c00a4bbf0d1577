//! Executes the plan of a restore, or takes a restore back.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::Timestamp;
use crate::kvstore::{KeyRange, LockGuard, Revision};
use crate::output::{ChangeCounts, ChangeKind, RestoreAnswer, RestoreRow, bytes};
use crate::plural::{counted, grouped};
use crate::shell;
use crate::sync::{
    Applier, ApplyError, PlanEntry, PlanFileError, PlanHead, PlanLine, StoredPlan, UndoEntry, UndoFile, count_changes,
};

/// Changes shown before the user is asked.
pub(super) const MAX_SHOWN: usize = 20;

/// A complete plan.
pub(super) struct RestorePlan {
    pub head: PlanHead,
    pub counts: ChangeCounts,
    /// The first changes.
    pub first: Vec<(ChangeKind, Vec<u8>)>,
    pub stored: StoredPlan,
    /// Keys that are the same in the source and the store.
    pub unchanged: u64,
    /// Whether the source is an earlier revision of the store.
    pub reverts: bool,
    /// Whether the plan was made by an earlier command.
    pub from_file: bool,
    /// Why the plan must not be executed.
    pub refusal: Option<Failure>,
}

/// The counts of a plan in words: "delete 3 keys, create 1 key".
pub(super) fn summary_words(counts: ChangeCounts) -> String {
    let parts = [("delete", counts.deleted), ("create", counts.created), ("change", counts.modified)];
    let words: Vec<String> =
        parts.into_iter().filter(|(_, n)| *n > 0).map(|(verb, n)| format!("{verb} {}", counted(n, "key"))).collect();
    if words.is_empty() { "change nothing".to_owned() } else { words.join(", ") }
}

/// Refuses the name of a new file that cannot be one, before anything is read.
pub(super) fn check_new_file(option: &str, path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    refuse_stdin(option, path)?;
    match fs::symlink_metadata(path) {
        Ok(_) => Err(exists(path)),
        Err(_) => Ok(()),
    }
}

/// Refuses `-`, which other options take for stdin.
fn refuse_stdin(option: &str, path: &Path) -> Result<(), Failure> {
    match path.as_os_str() == "-" {
        true => {
            Err(Failure::usage(format!("{option} needs the name of a file")).hint("for a file of this name, write ./-"))
        }
        false => Ok(()),
    }
}

fn exists(path: &Path) -> Failure {
    Failure::usage(format!("cannot create {}: the file exists", path.display()))
        .hint("name a file that does not exist: the existing one may be needed to take an earlier restore back")
}

fn undo_failure(path: Option<&Path>, error: &io::Error) -> Failure {
    let path = path.unwrap_or(Path::new("the undo file"));
    match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let line = shell::line([b"mkdir".as_slice(), b"-p", folder.as_os_str().as_bytes()]);
            Failure::usage(format!("cannot create {}: {error}", path.display()))
                .hint(format!("the folder must exist: '{line}'; nothing was changed"))
        }
        _ => Failure::usage(format!("cannot create {}: {error}", path.display())),
    }
}

/// Refuses a restore under a lock that it would delete.
pub(super) fn check_guard(ctx: &Context, prefix: &[u8], guard: Option<&LockGuard>) -> Result<(), Failure> {
    match guard.filter(|guard| guard.key.starts_with(&ctx.store().absolute(prefix))) {
        Some(guard) => Err(Failure::conflict(format!(
            "the lock of --if-locked, {}, lies in {}: the restore would delete it; nothing was changed",
            bytes::name(&guard.key),
            bytes::name(prefix)
        ))
        .hint("use a lock outside of the prefix")),
        None => Ok(()),
    }
}

fn bad_plan(path: &Path, error: &PlanFileError) -> Failure {
    Failure::usage(format!("{}: {error}", path.display())).hint("make a plan with 'kvadm restore PREFIX --plan FILE'")
}

/// Opens a plan file, and checks that it belongs to this store.
pub(super) async fn open_plan(ctx: &Context, path: &Path) -> Result<RestorePlan, Failure> {
    let bad = |error| bad_plan(path, &error);
    refuse_stdin("--apply-plan", path)?;
    let stored =
        StoredPlan::open(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    let mut reader = stored.read().map_err(bad)?;
    let head = reader.head().clone();
    let mut first = Vec::new();
    let counts = count_changes(&mut reader, |entry| {
        if first.len() < MAX_SHOWN {
            first.push((entry.kind, entry.key.clone()));
        }
    })
    .map_err(bad)?;
    let store = ctx.store();
    let revision = store.revision_for(&KeyRange::prefix(&head.prefix)).await?;
    let foreign = |what: String| Failure::conflict(format!("{} belongs to {what}", path.display()));
    if let (Some(of_plan), Some(here)) = (head.cluster, store.cluster())
        && of_plan != here
    {
        return Err(foreign(format!("cluster {of_plan:x}, but the endpoints belong to cluster {here:x}"))
            .hint("run 'kvadm config' to see where the endpoints are configured"));
    }
    if head.namespace != store.namespace() {
        let (of_plan, here) = (bytes::escape(&head.namespace), bytes::escape(store.namespace()));
        return Err(foreign(format!("the namespace '{of_plan}', but the namespace here is '{here}'"))
            .hint("set --namespace as it was when the plan was made"));
    }
    if revision < head.revision {
        return Err(foreign(format!(
            "revision {} of a store, but this store is at revision {revision}",
            head.revision
        ))
        .hint("the store was restored from a backup, or is another one: make a new plan"));
    }
    if head.undo && !reader.is_complete() {
        ctx.out.warn(&format!(
            "{}: the restore was interrupted, or the file is cut: changes that are not in the file are not taken back",
            path.display()
        ));
    }
    Ok(RestorePlan { head, counts, first, stored, unchanged: 0, reverts: false, from_file: true, refusal: None })
}

/// Asks, executes the plan, and reports.
pub(super) async fn run(
    ctx: &Context,
    plan: RestorePlan,
    guard: Option<LockGuard>,
    undo: Option<&Path>,
) -> Result<Exit, Failure> {
    check_guard(ctx, &plan.head.prefix, guard.as_ref())?;
    if ctx.safety.dry_run {
        return dry_run(ctx, plan);
    }
    if plan.counts.total() == 0 {
        ctx.out.report(&RestoreAnswer {
            unchanged: plan.unchanged,
            revision: plan.head.revision,
            ..RestoreAnswer::default()
        })?;
        ctx.out.note(&format!("nothing to do: {} is as in {}", bytes::name(&plan.head.prefix), plan.head.source));
        return Ok(Exit::Done);
    }
    let candidates = plan.first.iter().map(|(kind, key)| format!("{} {}", verb(*kind), bytes::escape(key)));
    ctx.show_candidates(candidates, plan.counts.total());
    let consent = ctx.consent_to_destroy(plan.counts.modified + plan.counts.deleted, &question(&plan))?;
    let undo_head = PlanHead {
        undo: true,
        time: Timestamp::now().to_string(),
        source: "the state before a restore".to_owned(),
        ..plan.head.clone()
    };
    let undo_file = undo.map(|path| UndoFile::create(path, &undo_head)).transpose();
    let undo_file = undo_file.map_err(|error| undo_failure(undo, &error))?;
    ctx.signals.hold();
    let cancel = ctx.signals.cancel().clone();
    let progress = ctx.out.progress("restoring", Some(plan.counts.total()));
    let mut applier = Applier::new(&consent, ctx.store(), guard, cancel, undo_file, progress);
    let result = match plan.head.undo {
        false => apply(&plan, &mut applier).await,
        true => take_back(ctx, &plan, &mut applier).await,
    };
    let result = applier.finish(result).await;
    report(ctx, &plan, &applier, result, undo)
}

fn verb(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Created => "create",
        ChangeKind::Modified => "change",
        ChangeKind::Deleted => "delete",
    }
}

fn question(plan: &RestorePlan) -> String {
    let (prefix, changes) = (bytes::name(&plan.head.prefix), summary_words(plan.counts));
    match (plan.head.undo, plan.reverts) {
        (true, _) => format!("Take the restore of {} back: {changes}", plan.head.time),
        (false, true) => {
            format!("Restore {prefix} to {}, which reverts everybody's changes since: {changes}", plan.head.source)
        }
        (false, false) => format!("Make {prefix} equal to {}: {changes}", plan.head.source),
    }
}

/// Prints what would be done.
fn dry_run(ctx: &Context, plan: RestorePlan) -> Result<Exit, Failure> {
    let bad = |error: PlanFileError| Failure::new(Exit::Bug, format!("cannot read the plan: {error}"));
    let mut reader = plan.stored.read().map_err(bad)?;
    let mut sink = ctx.out.stream();
    while let Some(line) = reader.next_line().map_err(bad)? {
        let (PlanLine::Entry(entry) | PlanLine::Undo(UndoEntry { entry, .. })) = line else { continue };
        match ctx.out.is_data() {
            true => {
                let PlanEntry { kind, key, value, expected, .. } = &entry;
                sink.push(&RestoreRow { kind: *kind, key, value, expected: *expected })?;
            }
            false => ctx.out.difference_line(entry.kind, &entry.key)?,
        }
    }
    sink.finish()?;
    ctx.out.note(&format!("dry run: would {}", summary_words(plan.counts)));
    plan.refusal.map_or(Ok(Exit::Done), Err)
}

async fn apply(plan: &RestorePlan, applier: &mut Applier) -> Result<(), ApplyError> {
    let mut reader = plan.stored.read()?;
    while let Some(line) = reader.next_line()? {
        if let PlanLine::Entry(entry) = line {
            applier.push(entry).await?;
        }
    }
    Ok(())
}

/// The revision of each executed step, and the positions of its entries that were not executed.
type Steps = HashMap<u64, (Revision, Vec<u64>)>;

/// Takes a restore back: executed steps by their revision, and steps without a known outcome by what their keys have now.
async fn take_back(ctx: &Context, plan: &RestorePlan, applier: &mut Applier) -> Result<(), ApplyError> {
    let mut steps = Steps::new();
    let mut reader = plan.stored.read()?;
    while let Some(line) = reader.next_line()? {
        if let PlanLine::StepDone { step, revision, left } = line {
            steps.insert(step, (revision, left));
        }
    }
    let mut reader = plan.stored.read()?;
    let (mut unsettled, mut open, mut position) = (Vec::new(), 0, 0);
    loop {
        let line = reader.next_line()?;
        let undo = match line {
            Some(PlanLine::Undo(undo)) => Some(undo),
            Some(_) => continue,
            None => None,
        };
        if undo.as_ref().is_none_or(|undo| undo.step != open) {
            judge(ctx, std::mem::take(&mut unsettled), applier).await?;
            position = 0;
        }
        let Some(undo) = undo else { return Ok(()) };
        open = undo.step;
        match steps.get(&undo.step) {
            Some((_, left)) if left.contains(&position) => {}
            Some((revision, _)) => applier.push(undo.after(*revision)).await?,
            None => unsettled.push(undo),
        }
        position += 1;
    }
}

/// Decides about the entries of a step without a known outcome.
async fn judge(ctx: &Context, unsettled: Vec<UndoEntry>, applier: &mut Applier) -> Result<(), ApplyError> {
    if unsettled.is_empty() {
        return Ok(());
    }
    let keys: Vec<Vec<u8>> = unsettled.iter().map(|undo| undo.entry.key.clone()).collect();
    let now = ctx.store().get_each(&keys, 0).await?;
    for (undo, now) in unsettled.into_iter().zip(now) {
        match undo.judged_by(now.as_ref()) {
            Ok(None) => {}
            Ok(Some(entry)) => applier.push(entry).await?,
            Err(entry) if entry.is_satisfied_by(now.as_ref()) => applier.tally.unchanged += 1,
            Err(PlanEntry { key, .. }) => applier.tally.conflict(&key),
        }
    }
    Ok(())
}

fn report(
    ctx: &Context,
    plan: &RestorePlan,
    applier: &Applier,
    result: Result<(), ApplyError>,
    undo: Option<&Path>,
) -> Result<Exit, Failure> {
    let tally = &applier.tally;
    for key in &tally.conflict_keys {
        ctx.out.note(&format!("{} was changed meanwhile and is left as it is", bytes::escape(key)));
    }
    let more = tally.conflicts - tally.conflict_keys.len() as u64;
    if more > 0 {
        ctx.out.note(&format!("{} more were changed meanwhile and are left", counted(more, "key")));
    }
    if tally.leases_ended > 0 {
        let keys = counted(tally.leases_ended, "key");
        ctx.out.note(&format!("not created: {keys}, because the lease has ended"));
    }
    let done = tally.done;
    let answer = RestoreAnswer {
        done,
        unchanged: plan.unchanged + tally.unchanged,
        conflicts: tally.conflicts,
        unknown: tally.unknown,
        revision: plan.head.revision,
        dry_run: false,
    };
    ctx.out.report(&answer)?;
    let undo = undo.filter(|_| applier.has_undo);
    if let Some(path) = undo {
        let command = ctx.command_line(&["restore", "--apply-plan"]).path(path);
        ctx.out.note(&format!("to take this restore back: {command}"));
    }
    let again = match undo {
        None => "run the same command again: what is restored already is not touched",
        Some(_) => {
            "run the command again with another file for --undo: what is restored already is not touched; to take all of \
             it back, apply the undo files, the newest first"
        }
    };
    let unknown = counted(tally.unknown, "change");
    match result {
        Err(error) => {
            let interrupted = matches!(error, ApplyError::Interrupted);
            let mut failure = failure_of(error).context(format!("the restore is incomplete: {}", done_words(done)));
            if !failure.is_other_store() {
                failure = failure.hint(again);
            }
            if tally.unknown > 0 {
                failure = failure.hint(format!("{unknown} in flight may or may not have been made"));
                if !interrupted {
                    failure.exit = Exit::Unknown;
                }
            } else if done.total() > 0 && !interrupted && !failure.is_other_store() {
                failure.exit = Exit::Partial;
            }
            Err(failure)
        }
        Ok(()) if tally.unknown > 0 => {
            Err(Failure::new(Exit::Unknown, format!("{unknown} may or may not have been made")).hint(again))
        }
        Ok(()) if tally.conflicts > 0 => {
            Err(Failure::new(Exit::Partial, format!("{} changed meanwhile and left", counted(tally.conflicts, "key")))
                .hint(match plan.from_file {
                    true => "make a new plan to change these keys as well",
                    false => "run the command again to make these keys equal as well",
                }))
        }
        Ok(()) => Ok(Exit::Done),
    }
}

fn done_words(done: ChangeCounts) -> String {
    let [created, modified, deleted] = [done.created, done.modified, done.deleted].map(grouped);
    format!("{created} created, {modified} modified, {deleted} deleted")
}

fn failure_of(error: ApplyError) -> Failure {
    match error {
        ApplyError::Store(error) => error.into(),
        ApplyError::Key { key, error } => Failure::from(error).context(format!("cannot change {}", bytes::name(&key))),
        ApplyError::Interrupted => Failure::new(Exit::Interrupted, "interrupted"),
        ApplyError::Undo(error) => Failure::new(Exit::Partial, format!("cannot write the undo file: {error}")),
        ApplyError::Plan(error) => Failure::new(Exit::Bug, format!("cannot read the plan: {error}")),
        ApplyError::Task(error) => Failure::new(Exit::Bug, format!("a batch failed: {error}")),
    }
}
