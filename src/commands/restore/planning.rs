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
use crate::kvstore::LeaseId;
use crate::output::{ChangeCounts, ChangeKind, RestoreAnswer, bytes};
use crate::plural::counted;
use crate::shell;
use crate::sync::{Difference, NewPlan, PlanEntry, PlanHead, PlannedLease};

/// Compares the source with the store and keeps the plan in a file.
pub(super) async fn make(
    ctx: &Context,
    args: &Args,
    source: OpenSource,
    here: &ReadStore,
) -> Result<RestorePlan, Failure> {
    let Compared { mut comparison, source } = source.compare(here, 0, !args.with_leases).await?;
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
    let mut leases = PlannedLeases { args, source: &source, known: LeaseCache::default(), without_lease: 0 };
    let (mut counts, mut first, mut omitted) = (ChangeCounts::default(), Vec::new(), 0_u64);
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
        let lease = leases.plan(ctx, &difference).await?;
        let entry = PlanEntry::of(difference, lease);
        counts.add(kind);
        if first.len() < super::execute::MAX_SHOWN {
            first.push((kind, entry.key.clone()));
        }
        plan.entry(&entry).map_err(|error| cannot_plan(args, &error))?;
    }
    comparison.finish_progress();
    let (read, total) = (comparison.source_records(), comparison.store_records());
    check_source(ctx, args, &source, read, total, counts)?;
    args.check_limits(counts.deleted, total)?;
    let without_lease = leases.without_lease;
    if without_lease > 0 {
        let keys = counted(without_lease, "key");
        ctx.out.note(&match args.with_leases {
            true => format!("written without a lease: {keys}, because the TTL is not known or the lease has ended"),
            false => format!("written without a lease: {keys}; --with-leases restores leases"),
        });
    }
    if omitted > 0 {
        ctx.out.note(&format!("left by --only: {}", counted(omitted, "difference")));
    }
    let stored = plan.finish().map_err(|error| cannot_plan(args, &error))?;
    let reverts = source.history.is_some();
    Ok(RestorePlan { head, counts, first, stored, unchanged: comparison.same(), reverts })
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
        .hint(format!("check --source and --source-prefix; --allow-empty deletes all {}", counted(total, "key"))));
    }
    if !source.is_file || counts.deleted == 0 {
        return Ok(());
    }
    let deletions = counted(counts.deleted, "key");
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
            "{} lists only keys with the prefix {}, but {prefix} is to be restored: {deletions} would be deleted; \
             nothing was changed",
            source.name,
            bytes::name(&trailer.prefix)
        ))
        .hint("--only created,modified restores without deleting"));
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
}

impl PlannedLeases<'_> {
    async fn plan(&mut self, ctx: &Context, difference: &Difference) -> Result<PlannedLease, Failure> {
        let Some((record, lease)) = difference.source.as_ref().and_then(|record| Some((record, record.kv.lease?)))
        else {
            return Ok(PlannedLease::None);
        };
        let present = difference.store.as_ref().and_then(|kv| kv.lease);
        let keep = match present {
            Some(_) => PlannedLease::Keep,
            None => PlannedLease::None,
        };
        let planned = match self.args.with_leases {
            false => keep,
            true if self.source.history.is_some() => self.same_store(ctx, lease, present).await?.unwrap_or(keep),
            true => self.other_store(record.ttl, lease).await?.unwrap_or(keep),
        };
        self.without_lease += u64::from(planned == PlannedLease::None && difference.to_source() != ChangeKind::Deleted);
        Ok(planned)
    }

    /// The lease itself, if it still exists.
    async fn same_store(
        &mut self,
        ctx: &Context,
        lease: LeaseId,
        present: Option<LeaseId>,
    ) -> Result<Option<PlannedLease>, Failure> {
        if present == Some(lease) {
            return Ok(Some(PlannedLease::Keep));
        }
        let exists = self.known.grant(ctx.store(), lease).await?.is_some();
        Ok(exists.then_some(PlannedLease::Attach(lease)))
    }

    /// A new lease with the TTL of the record, or of the lease in the source.
    async fn other_store(&mut self, ttl: Option<i64>, lease: LeaseId) -> Result<Option<PlannedLease>, Failure> {
        let ttl = match (ttl, &self.source.other) {
            (Some(ttl), _) => Some(ttl),
            (None, Some(other)) => {
                let grant = self.known.grant(&other.store, lease).await;
                grant
                    .map_err(|error| Failure::from(error).context("cannot read a lease of the source"))?
                    .map(|grant| grant.ttl)
            }
            (None, None) => None,
        };
        Ok(ttl.filter(|ttl| *ttl > 0).map(|ttl| PlannedLease::Grant { source: lease, ttl }))
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
    let answer =
        RestoreAnswer { done: plan.counts, unchanged: plan.unchanged, dry_run: true, ..RestoreAnswer::default() };
    ctx.out.report(&answer)?;
    let command = shell::line(
        ["kvadm", "restore", "--apply-plan"]
            .map(str::as_bytes)
            .into_iter()
            .chain([path.as_os_str().as_encoded_bytes()]),
    );
    ctx.out.note(&format!("would {}; to do it: {command}", summary_words(plan.counts)));
    Ok(Exit::Done)
}
