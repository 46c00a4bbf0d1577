//! Continues from a place: checks that the prefix is as this mirror left it.

use super::copying::{MissedSince, count_foreign};
use super::session::{MirrorSession, MirrorStop};
use crate::kvstore::{Revision, WatchEvent, WatchOptions, WatchUpdate};
use crate::sync::mirror::{
    ChangeQueue, MirrorError, MirrorPosition, Overlay, PassRevisions, PlaceState, PlaceWriter, SourceChange,
    WithinRevision,
};

impl MirrorSession<'_> {
    /// Checks the prefix against the source at the place's revision. If that revision is compacted, against the source
    /// as it is now.
    pub(super) async fn resume(
        &mut self,
        writer: &mut PlaceWriter,
        position: MirrorPosition,
    ) -> Result<MirrorPosition, MirrorStop> {
        let checked = match self.overlay(position).await {
            Ok(Some(overlay)) => self.check_prefix(writer, position, overlay).await,
            Ok(None) => return self.catch_up(writer, position).await,
            Err(error) => Err(error.into()),
        };
        match checked {
            Ok(()) => {
                self.ctx.out.note(&format!("continuing after revision {} of the source", position.revision));
                Ok(position)
            }
            Err(MirrorStop::Mirror(error @ MirrorError::Source(_))) if Self::is_compacted(&error) => {
                self.catch_up(writer, position).await
            }
            Err(stop) => Err(stop),
        }
    }

    async fn check_prefix(
        &mut self,
        writer: &mut PlaceWriter,
        position: MirrorPosition,
        overlay: Overlay,
    ) -> Result<(), MirrorStop> {
        let at = PassRevisions { source: position.revision, destination: 0 };
        self.known.clear();
        if writer.may_have_leases() {
            return self.repair_leases(writer, position, at, overlay).await;
        }
        if self.args.overwrite {
            self.ctx.signals.hold();
            let counts = self.write_differences(writer, at, overlay, true).await?;
            self.totals.overwritten += counts.differing();
            self.note_overwritten(counts.differing());
            if counts.differing() > 0 {
                // What is newer than the place counts as written by others.
                writer.write(&self.destination, position, PlaceState::Following, &self.outage).await?;
            }
            return Ok(());
        }
        let mut pass = self.pass(at, overlay);
        let progress = self.ctx.out.progress("comparing", None);
        let mut foreign = None;
        while let Some(difference) = pass.next(&mut self.known).await? {
            count_foreign(&mut foreign, &difference);
        }
        progress.finish();
        foreign.map_or(Ok(()), |error| Err(error.into()))
    }

    pub(super) fn note_overwritten(&self, count: u64) {
        if count > 0 {
            let keys = crate::plural::counted(count, "key");
            self.ctx.out.warn(&format!("wrote over the changes of other clients to {keys}"));
        }
    }

    /// The state of the keys that the applied part of a revision has written; `None` if that revision is compacted.
    async fn overlay(&self, position: MirrorPosition) -> Result<Option<Overlay>, MirrorError> {
        let Some(WithinRevision { revision, ops }) = position.within else { return Ok(Some(Overlay::new())) };
        let ranges = vec![self.mapping.source_range()];
        let mut watcher = self.source.watch(WatchOptions { ranges, start: revision, known: revision, prev: false });
        loop {
            match watcher.next().await.map_err(MirrorError::Source)? {
                WatchUpdate::Events(events) => {
                    let changes = events.into_iter().filter(|event| event.kv.mod_revision == revision);
                    let changes = changes.filter_map(|event| self.change(event));
                    let applied = usize::try_from(ops).unwrap_or(usize::MAX);
                    return Ok(Some(changes.take(applied).map(|change| (change.key.clone(), change)).collect()));
                }
                WatchUpdate::Compacted(_) => return Ok(None),
                WatchUpdate::Progress | WatchUpdate::Disconnected(_) | WatchUpdate::Reconnected => {}
            }
        }
    }

    /// The change of the destination that an event of the source asks for; `None` for the place key.
    pub(super) fn change(&self, event: WatchEvent) -> Option<SourceChange> {
        let revision = event.kv.mod_revision;
        let key = self.mapping.to_store(event.kv.key).filter(|key| *key != self.place)?;
        let lease = event.kv.lease.filter(|_| !event.deleted);
        Some(SourceChange { key, value: (!event.deleted).then_some(event.kv.value), revision, lease })
    }

    /// Adds events to a queue. `skip` changes were applied by an earlier run.
    pub(super) fn enqueue(&self, queue: &mut ChangeQueue, events: Vec<WatchEvent>, skip: &mut Option<WithinRevision>) {
        for event in events {
            let Some(change) = self.change(event) else { continue };
            match skip {
                Some(within) if within.revision == change.revision && within.ops > 0 => within.ops -= 1,
                _ => queue.push(change),
            }
        }
    }

    /// Brings the prefix to the source's present state, because changes that were not seen are compacted.
    pub(super) async fn catch_up(
        &mut self,
        writer: &mut PlaceWriter,
        position: MirrorPosition,
    ) -> Result<MirrorPosition, MirrorStop> {
        let since =
            MissedSince { source: position.revision, place: writer.mod_revision(), leases: writer.may_have_leases() };
        self.known.clear();
        let survey = self.survey(Some(since)).await?;
        match survey.foreign {
            Some(foreign) if !self.args.overwrite => return Err(foreign.into()),
            Some(MirrorError::ForeignChange { count, .. }) => {
                self.totals.overwritten += count;
                self.note_overwritten(count);
            }
            _ => {}
        }
        self.check_limits(&survey)?;
        let (after, until) = (position.revision, survey.at.source);
        if survey.counts.differing() == 0 {
            self.ctx.out.note(&format!(
                "the source's revisions after {after} are compacted; up to revision {until}, nothing is different"
            ));
        } else {
            self.ctx.out.warn(&format!(
                "the source's revisions after {after} are compacted: the changes up to revision {until} are copied as one; \
                 changes of a key that were followed by others are left out"
            ));
        }
        self.copy(writer, position, survey.at).await
    }
}

/// The revision after which the source is followed.
pub(super) fn followed_from(position: MirrorPosition) -> Revision {
    position.revision.saturating_add(1)
}
