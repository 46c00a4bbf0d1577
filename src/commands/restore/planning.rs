//! Makes the plan of a restore.

use std::io;
use std::path::Path;

use super::execute::{RestorePlan, summary_words};
use super::options::Args;
use crate::commands::lease_cache::LeaseCache;
use crate::commands::serializable::ReadStore;
use crate::commands::source::{Compared, ComparedSource, OpenSource};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::Timestamp;
use crate::kvstore::{KeyValue, LeaseId};
use crate::output::{ChangeCounts, RestoreAnswer, bytes};
use crate::plural::counted;
use crate::sync::{Difference, NewPlan, PlanEntry, PlanHead, PlannedLease};

/// Compares the source with the store and keeps the plan in a file.
pub(super) async fn make(
    ctx: &Context,
    args: &Args,
    source: OpenSource,
    here: &ReadStore,
) -> Result<RestorePlan, Failure> {
    let begun = source.compare(here, 0, !args.with_leases).await;
    let Compared { mut comparison, source } = begun.map_err(|failure| failure.hint("nothing was changed"))?;
    let head = PlanHead {
        cluster: ctx.store().cluster(),
        namespace: ctx.store().namespace().to_vec(),
        prefix: source.mapping.store_prefix().to_vec(),
        revision: comparison.store_revision(),
        source: source.describe(comparison.source_revision()),
        time: Timestamp::now().to_string(),
        undo: false,
    };
    let mut plan = NewPlan::begin(args.plan.as_deref(), &head).map_err(|error| cannot_plan(args, &error))?;
    let mut leases = PlannedLeases { args, source: &source, known: LeaseCache::default(), without_lease: 0, ended: 0 };
    let (mut counts, mut first, mut omitted, mut skipped) = (ChangeCounts::default(), Vec::new(), 0_u64, 0_u64);
    comparison.show_progress(ctx.out.progress("comparing", None));
    loop {
        let difference = match comparison.next().await {
            Ok(Some(difference)) => difference,
            Ok(None) => break,
            Err(error) => return Err(source.failure(here, error).await.hint("nothing was changed")),
        };
        let kind = difference.to_source();
        if !args.does(kind) {
            omitted += 1;
            continue;
        }
        let has_lease = |kv: Option<&KeyValue>| kv.is_some_and(|kv| kv.lease.is_some());
        if args.skip_leased
            && (has_lease(difference.store.as_ref()) || has_lease(difference.source.as_ref().map(|record| &record.kv)))
        {
            skipped += 1;
            continue;
        }
        let LeaseDecision::Planned(lease) = leases.plan(ctx, &difference).await? else { continue };
        let entry = PlanEntry::of(difference, lease);
        counts.add(kind);
        if first.len() < super::execute::MAX_SHOWN {
            first.push((kind, entry.key.clone()));
        }
        plan.entry(&entry).map_err(|error| cannot_plan(args, &error))?;
    }
    comparison.finish_progress();
    let (read, total) = (comparison.source_records(), comparison.store_records());
    let allowed = check_source(ctx, args, &source, read, total, counts);
    let allowed = allowed.and_then(|()| args.check_limits(counts.deleted, total));
    let refusal = match allowed {
        Err(failure) if ctx.safety.dry_run => Some(failure),
        Err(failure) => return Err(failure),
        Ok(()) => None,
    };
    let (without_lease, ended) = (leases.without_lease, leases.ended);
    if without_lease > 0 {
        let keys = counted(without_lease, "key");
        ctx.out.note(&match args.with_leases {
            true => format!("written without a lease: {keys}, because the TTL is not known"),
            false => format!("written without a lease: {keys}; see --with-leases and --skip-leased"),
        });
    }
    if ended > 0 {
        ctx.out.note(&format!("left out: {}, because the lease has ended", counted(ended, "key")));
    }
    if skipped > 0 {
        ctx.out.note(&format!("left by --skip-leased: {}", counted(skipped, "difference")));
    }
    if omitted > 0 {
        ctx.out.note(&format!("left by --only: {}", counted(omitted, "difference")));
    }
    let stored = plan.finish().map_err(|error| cannot_plan(args, &error))?;
    let reverts = source.history.is_some();
    let unchanged = comparison.same();
    Ok(RestorePlan { head, counts, first, stored, unchanged, reverts, from_file: false, refusal })
}

/// The safety rules about sources that may not be whole.
fn check_source(
    ctx: &Context,
    args: &Args,
    source: &ComparedSource,
    read: u64,
    total: u64,
    counts: ChangeCounts,
) -> Result<(), Failure> {
    let prefix = bytes::name(source.mapping.source_prefix());
    if read == 0 && total > 0 && !args.allow_empty {
        return Err(Failure::conflict(format!(
            "{} has no key with the prefix {prefix}; nothing was changed",
            source.describe(None)
        ))
        .hint(format!(
            "check --source and --source-prefix; to delete all {}, add --allow-empty and --max-percent 100",
            counted(total, "key")
        )));
    }
    let deletions = counted(counts.deleted, "key");
    if source.is_unproved && counts.deleted > 0 {
        return Err(Failure::conflict(format!(
            "{} has no SHA-256, so keys may be missing from it unnoticed: {deletions} would be deleted; nothing was changed",
            source.name
        ))
        .hint("use a file of 'kvadm snapshot save' or 'etcdctl snapshot save', which has a SHA-256")
        .hint("--only created,modified restores without deleting"));
    }
    if !source.is_file || counts.deleted == 0 {
        return Ok(());
    }
    let Some(trailer) = &source.trailer else {
        return Err(Failure::conflict(format!(
            "{} does not end with a trailer, so it may be cut: {deletions} would be deleted; nothing was changed",
            source.name
        ))
        .hint("write the file with 'kvadm list PREFIX -o json --trailer'")
        .hint("--only created,modified restores without deleting"));
    };
    if !source.mapping.source_prefix().starts_with(&trailer.prefix) {
        return Err(Failure::conflict(format!(
            "{} lists only keys with the prefix {}, but the prefix of the source is {prefix}: {deletions} would be \
             deleted; nothing was changed",
            source.name,
            bytes::name(&trailer.prefix)
        ))
        .hint("--only created,modified restores without deleting"));
    }
    if trailer.namespace != ctx.store().namespace() && !args.source.has_prefix() {
        let (of_file, here) = (bytes::name(&trailer.namespace), bytes::name(ctx.store().namespace()));
        return Err(Failure::conflict(format!(
            "{} lists keys of the namespace {of_file}, but the namespace here is {here}: {deletions} would be deleted; \
             nothing was changed",
            source.name,
        ))
        .hint("set --namespace as it was for the listing, or name the prefix in the file with --source-prefix"));
    }
    ctx.out.detail(&format!("{} is complete: {}", source.name, counted(trailer.count, "record")));
    Ok(())
}

/// Decides about the leases of the keys that are written.
struct PlannedLeases<'a> {
    args: &'a Args,
    source: &'a ComparedSource,
    known: LeaseCache,
    /// Keys that had a lease and are written without one.
    without_lease: u64,
    /// Keys that are not created, because their lease has ended.
    ended: u64,
}

/// What becomes of a key with regard to its lease.
enum LeaseDecision {
    Planned(PlannedLease),
    /// Nothing: the lease has ended, or is the only difference and cannot be had.
    Nothing,
}

/// What is known of a lease of the source.
enum SourceLease {
    Planned(PlannedLease),
    Ended,
    Unknown,
}

impl PlannedLeases<'_> {
    async fn plan(&mut self, ctx: &Context, difference: &Difference) -> Result<LeaseDecision, Failure> {
        let Some((record, lease)) = difference.source.as_ref().and_then(|record| Some((record, record.kv.lease?)))
        else {
            return Ok(LeaseDecision::Planned(PlannedLease::None));
        };
        let present = difference.store.as_ref().and_then(|kv| kv.lease);
        let keep = if present.is_some() { PlannedLease::Keep } else { PlannedLease::None };
        let planned = match self.args.with_leases {
            false => keep,
            true => match self.of_source(ctx, record.ttl, lease, present).await? {
                SourceLease::Planned(planned) => planned,
                // The values are equal, and this lease cannot be had.
                _ if difference.store.as_ref().is_some_and(|kv| kv.value == record.kv.value) => {
                    return Ok(LeaseDecision::Nothing);
                }
                SourceLease::Ended if difference.store.is_none() => {
                    self.ended += 1;
                    return Ok(LeaseDecision::Nothing);
                }
                SourceLease::Ended | SourceLease::Unknown => keep,
            },
        };
        self.without_lease += u64::from(planned == PlannedLease::None);
        Ok(LeaseDecision::Planned(planned))
    }

    /// The lease itself in the same store; elsewhere a new one with the TTL of the record, or of the lease in the source.
    async fn of_source(
        &mut self,
        ctx: &Context,
        ttl: Option<i64>,
        lease: LeaseId,
        present: Option<LeaseId>,
    ) -> Result<SourceLease, Failure> {
        if self.source.history.is_some() {
            if present == Some(lease) {
                return Ok(SourceLease::Planned(PlannedLease::Keep));
            }
            let exists = self.known.grant(ctx.store(), lease).await?.is_some();
            return Ok(if exists { SourceLease::Planned(PlannedLease::Attach(lease)) } else { SourceLease::Ended });
        }
        let grant = |ttl| SourceLease::Planned(PlannedLease::Grant { source: lease, ttl });
        match (ttl.filter(|ttl| *ttl > 0), &self.source.other) {
            (Some(ttl), _) => Ok(grant(ttl)),
            (None, Some(other)) => {
                let found = self.known.grant(&other.store, lease).await;
                let found = found.map_err(|error| Failure::from(error).context("cannot read a lease of the source"))?;
                Ok(found.map_or(SourceLease::Ended, |found| grant(found.ttl)))
            }
            (None, None) => Ok(SourceLease::Unknown),
        }
    }
}

fn cannot_plan(args: &Args, error: &io::Error) -> Failure {
    match &args.plan {
        Some(path) => Failure::usage(format!("cannot write the plan {}: {error}", path.display())),
        None => Failure::new(Exit::Bug, format!("cannot write the plan to a temporary file: {error}"))
            .hint("TMPDIR names the folder of temporary files"),
    }
}

/// Reports a plan that was written and is not executed.
pub(super) fn report_saved(ctx: &Context, plan: &RestorePlan, path: &Path) -> Result<Exit, Failure> {
    let revision = plan.head.revision;
    let unchanged = plan.unchanged;
    let answer = RestoreAnswer { done: plan.counts, unchanged, revision, dry_run: true, ..RestoreAnswer::default() };
    ctx.out.report(&answer)?;
    let command = ctx.command_line(&["restore", "--apply-plan"]).path(path);
    ctx.out.note(&format!("would {}; to do it: {command}", summary_words(plan.counts)));
    Ok(Exit::Done)
}
