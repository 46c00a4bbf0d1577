//! Makes the prefix equal to one revision of the source: survey, limits, consent, writes.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::session::{MirrorSession, MirrorStop};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Revision;
use crate::output::bytes;
use crate::plural::{counted, grouped};
use crate::sync::mirror::{
    CopyBatch, CopyGuard, CopyOutcome, MirrorError, MirrorPlace, MirrorPosition, Overlay, PassCounts, PassRevisions,
    PlaceState, PlaceWriter, PrefixDifference,
};

/// Differences that are shown before the user is asked.
pub(super) const MAX_SHOWN: usize = 20;
/// Concurrent transactions of a copy: enough to keep one server busy.
const MAX_IN_FLIGHT: usize = 4;
/// How long transactions in flight may take after a signal or an error.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The differences of both sides, each at one revision.
pub(super) struct Survey {
    pub(super) counts: PassCounts,
    pub(super) at: PassRevisions,
    /// The first keys that exist in the destination and would be changed or deleted.
    shown: Vec<PrefixDifference>,
    /// The first change of another client, and the number of them.
    pub(super) foreign: Option<MirrorError>,
}

/// What tells the changes of other clients from those that the mirror has missed.
#[derive(Clone, Copy, Debug)]
pub(super) struct MissedSince {
    /// The source's revision up to which all changes were applied.
    pub(super) source: Revision,
    /// The destination's revision of the last write of the mirror.
    pub(super) place: Revision,
    /// Whether keys may have expired since.
    pub(super) leases: bool,
}

/// Shows a difference as `diff` does.
pub(super) fn show(ctx: &Context, difference: &PrefixDifference) {
    ctx.out.plain_note(&line(difference));
}

fn line(difference: &PrefixDifference) -> String {
    let mark = match (&difference.change.value, difference.found) {
        (None, _) => '-',
        (_, None) => '+',
        _ => '~',
    };
    format!("{mark} {}", bytes::escape(&difference.change.key))
}

impl Survey {
    /// Shows what a dry run would overwrite or delete.
    pub(super) fn show(&self, ctx: &Context) {
        self.shown.iter().for_each(|difference| show(ctx, difference));
        let rest = (self.counts.changed + self.counts.deleted).saturating_sub(self.shown.len() as u64);
        if rest > 0 {
            ctx.out.plain_note(&format!("… and {} more", grouped(rest)));
        }
    }

    fn show_candidates(&self, ctx: &Context) {
        ctx.show_candidates(self.shown.iter().map(line), self.counts.changed + self.counts.deleted);
    }
}

/// The error for a key that another client has changed; `count` of them were found.
pub(super) fn foreign_change(difference: &PrefixDifference, count: u64) -> MirrorError {
    let what = if difference.found.is_some() { "wrote" } else { "deleted" };
    MirrorError::ForeignChange {
        key: difference.change.key.clone(),
        what,
        revision: difference.found_revision(),
        count,
    }
}

pub(super) fn count_foreign(foreign: &mut Option<MirrorError>, difference: &PrefixDifference) {
    match foreign {
        Some(MirrorError::ForeignChange { count, .. }) => *count += 1,
        _ => *foreign = Some(foreign_change(difference, 1)),
    }
}

impl MirrorSession<'_> {
    /// Compares both sides as they are now. With `since`, finds the changes of other clients among the differences: what
    /// is newer than the last write of the mirror, and what differs although the source has not changed it.
    pub(super) async fn survey(&mut self, since: Option<MissedSince>) -> Result<Survey, MirrorError> {
        let mut pass = self.pass(PassRevisions::default(), Overlay::new());
        let progress = self.ctx.out.progress("comparing", None);
        let (mut shown, mut foreign) = (Vec::new(), None);
        while let Some(mut difference) = pass.next(&mut self.known).await? {
            let is_foreign = since.is_some_and(|since| {
                let written = difference.change.revision;
                (difference.found_revision() > since.place || (written > 0 && written <= since.source))
                    && !(since.leases && difference.is_of_lease(since.place))
            });
            if is_foreign {
                count_foreign(&mut foreign, &difference);
            }
            if shown.len() < MAX_SHOWN && difference.found.is_some() {
                // Values may be large, and are not shown.
                difference.change.value = difference.change.value.map(|_| Vec::new());
                shown.push(difference);
            }
        }
        progress.finish();
        Ok(Survey { counts: pass.counts(), at: pass.revisions(), shown, foreign })
    }

    /// The survey of a destination without keys, without reading those of the source.
    async fn survey_empty(&self) -> Result<Option<Survey>, MirrorError> {
        let here = self.ctx.store().count(&self.mapping.store_range(), 0, None).await;
        let here = here.map_err(MirrorError::Destination)?;
        if here.count > 0 {
            return Ok(None);
        }
        let there = self.source.count(&self.mapping.source_range(), 0, None).await.map_err(MirrorError::Source)?;
        let counts = PassCounts { source: there.count, created: there.count, ..PassCounts::default() };
        let at = PassRevisions { source: there.revision, destination: here.revision };
        Ok(Some(Survey { counts, at, shown: Vec::new(), foreign: None }))
    }

    /// Refuses a source without keys, and more deletions than the limits allow.
    pub(super) fn check_limits(&self, survey: &Survey) -> Result<(), Failure> {
        if survey.counts.source == 0 && !self.args.allow_empty {
            let prefix = bytes::name(self.mapping.source_prefix());
            return Err(Failure::conflict(format!(
                "the source, {}, has no keys with prefix {prefix}",
                self.source_name
            ))
            .hint("check --source-prefix and the namespace of the context, or add --allow-empty"));
        }
        let PassCounts { deleted, destination, .. } = survey.counts;
        self.args.limits().check(deleted, destination).map_err(|over| {
            Failure::conflict(format!("nothing was copied: {over}"))
                .hint("run it with --dry-run to see the keys, or raise --max-delete or --max-percent")
        })
    }

    /// The first copy, for a destination without a place.
    pub(super) async fn first_copy(&mut self, writer: &mut PlaceWriter) -> Result<MirrorPosition, MirrorStop> {
        let survey = match self.survey_empty().await? {
            Some(survey) => survey,
            None => self.survey(None).await?,
        };
        self.check_limits(&survey)?;
        let PassCounts { created, changed, deleted, destination, .. } = survey.counts;
        if changed + deleted > 0 && !self.consented {
            survey.show_candidates(self.ctx);
            let prefix = bytes::name(self.mapping.store_prefix());
            let [change, delete, create] = [changed, deleted, created].map(grouped);
            let keys = counted(destination, "key");
            let question =
                format!("Change {change} and delete {delete} of {keys} with prefix {prefix}, and create {create}");
            self.ctx.consent_to_destroy(changed + deleted, &question)?;
        }
        self.consented = true;
        self.copy(writer, MirrorPosition::default(), survey.at).await
    }

    /// A copy that an earlier run has begun: the user has agreed to it then.
    pub(super) async fn copy_again(
        &mut self,
        writer: &mut PlaceWriter,
        place: &MirrorPlace,
    ) -> Result<MirrorPosition, MirrorStop> {
        let survey = self.survey(None).await?;
        self.check_limits(&survey)?;
        self.ctx.out.note("an earlier run has not finished its copy; copying again");
        self.copy(writer, place.position(), survey.at).await
    }

    /// Writes the differences of these revisions. The place says meanwhile that a copy is under way.
    pub(super) async fn copy(
        &mut self,
        writer: &mut PlaceWriter,
        before: MirrorPosition,
        at: PassRevisions,
    ) -> Result<MirrorPosition, MirrorStop> {
        self.ctx.signals.hold();
        let destination = self.destination.clone();
        writer.write(&destination, before, PlaceState::Copying, &self.outage).await?;
        self.known.clear();
        let copied = self.totals.copied;
        self.write_differences(writer, at, Overlay::new(), self.args.overwrite).await?;
        let position = MirrorPosition { revision: at.source, within: None };
        writer.write(&destination, position, PlaceState::Following, &self.outage).await?;
        let copied = self.totals.copied - copied;
        self.ctx.out.note(&format!("copied {} at revision {} of the source", counted(copied, "key"), at.source));
        self.print_row(self.row("copied", position))?;
        Ok(position)
    }

    /// Compares both sides at these revisions, and writes each difference on the condition that its key is still the same.
    pub(super) async fn write_differences(
        &mut self,
        writer: &PlaceWriter,
        at: PassRevisions,
        overlay: Overlay,
        overwrite: bool,
    ) -> Result<PassCounts, MirrorStop> {
        let guard = CopyGuard {
            place: self.place.clone(),
            place_revision: writer.mod_revision(),
            overwrite,
            leases: self.leases.clone(),
        };
        let mut pass = self.pass(at, overlay);
        let mut writes = JoinSet::new();
        let progress = self.ctx.out.progress("copying", None);
        let written = self.write_pass(&mut pass, &guard, &mut writes, &progress).await;
        let drained = timeout(DRAIN_TIMEOUT, async {
            while let Some(outcome) = writes.join_next().await {
                if let Ok(Ok(outcome)) = outcome {
                    self.record(&outcome);
                }
            }
        });
        if written.is_err() {
            // The place says that the copy has not ended: what is in flight may or may not be written.
            let _ = drained.await;
        }
        progress.finish();
        written.map(|()| pass.counts())
    }

    async fn write_pass(
        &mut self,
        pass: &mut crate::sync::mirror::ComparePass,
        guard: &CopyGuard,
        writes: &mut JoinSet<Result<CopyOutcome, MirrorError>>,
        progress: &crate::output::Progress,
    ) -> Result<(), MirrorStop> {
        let mut batch = CopyBatch::default();
        loop {
            let difference = pass.next(&mut self.known).await?;
            let ended = difference.is_none();
            let full = match difference {
                Some(difference) => batch.push(difference, self.limits),
                None => batch.take_rest(),
            };
            if let Some(full) = full {
                if writes.len() >= MAX_IN_FLIGHT {
                    self.finish_write(writes, progress).await?;
                }
                let (store, guard, outage) = (self.destination.clone(), guard.clone(), self.outage.clone());
                writes.spawn(async move { full.write(&store, &guard, &outage).await });
            }
            if ended {
                break;
            }
        }
        while !writes.is_empty() {
            self.finish_write(writes, progress).await?;
        }
        Ok(())
    }

    async fn finish_write(
        &mut self,
        writes: &mut JoinSet<Result<CopyOutcome, MirrorError>>,
        progress: &crate::output::Progress,
    ) -> Result<(), MirrorStop> {
        let finished = tokio::select! {
            biased;
            () = self.ctx.signals.cancel().cancelled() => {
                return Err(Failure::new(Exit::Interrupted, "interrupted").into());
            }
            finished = writes.join_next() => finished,
        };
        let Some(finished) = finished else { return Ok(()) };
        let outcome = finished.map_err(|error| task_failure(&error))??;
        progress.inc(outcome.revisions.len() as u64);
        self.record(&outcome);
        Ok(())
    }

    fn record(&mut self, outcome: &CopyOutcome) {
        for (key, revision) in &outcome.revisions {
            self.known.set(key, *revision);
        }
        self.totals.copied += outcome.revisions.len() as u64;
        self.totals.overwritten += outcome.overwritten;
    }
}

/// The failure for a task that has not returned.
pub(super) fn task_failure(error: &JoinError) -> Failure {
    Failure::new(Exit::Bug, format!("a task failed: {error}"))
}
