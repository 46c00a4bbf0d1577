//! `--verify` and `--dry-run`: comparisons that change nothing.

use super::copying::{MAX_SHOWN, show};
use super::session::{MirrorSession, MirrorStop};
use crate::error::{Exit, Failure};
use crate::kvstore::Revision;
use crate::output::MirrorComparison;
use crate::plural::{counted, grouped};
use crate::sync::mirror::{
    MirrorPlace, MirrorPosition, Overlay, PassCounts, PassRevisions, PlaceState, PrefixDifference,
};

impl MirrorSession<'_> {
    /// Compares both sides at one revision each, and prints the numbers.
    pub(super) async fn verify(&mut self, position: MirrorPosition) -> Result<Exit, MirrorStop> {
        let at = PassRevisions { source: position.revision, destination: 0 };
        let mut pass = self.pass(at, Overlay::new());
        let progress = self.ctx.out.progress("comparing", None);
        while let Some(difference) = pass.next(&mut self.known).await? {
            if self.has_expired(&difference).await? {
                pass.excuse(&difference);
                continue;
            }
            let counts = pass.counts();
            if counts.differing() <= MAX_SHOWN as u64 {
                show(self.ctx, &difference);
            }
        }
        progress.finish();
        let counts = pass.counts();
        self.print_comparison("verified", counts, pass.revisions())?;
        let different = counts.differing();
        let text = match different {
            0 => format!(
                "verified: {} equal at revision {} of the source",
                counted(counts.source, "key"),
                position.revision
            ),
            _ => format!("{} at revision {} of the source", differing(different), position.revision),
        };
        if different == 0 {
            self.ctx.out.note(&text);
            return Ok(Exit::Done);
        }
        self.ctx.out.warn(&text);
        Ok(Exit::No)
    }

    /// Whether a key lacks only a lease, or has expired, because its lease has ended in the source: its deletion follows.
    async fn has_expired(&self, difference: &PrefixDifference) -> Result<bool, MirrorStop> {
        let alike = difference.is_of_lease(Revision::MAX) && difference.found_lease.is_none();
        match difference.change.lease {
            Some(id) if alike && self.leases.mapping().is_on() => Ok(!self.leases.lives(id).await?),
            _ => Ok(false),
        }
    }

    pub(super) async fn dry_run(&mut self, place: Option<&MirrorPlace>) -> Result<Exit, MirrorStop> {
        let position = place.filter(|place| place.state() == PlaceState::Following).map(MirrorPlace::position);
        if let Some(position) = position {
            self.ctx.out.note(&format!(
                "dry run: would continue after revision {}, if the source has not compacted it and no other client has written to \
                 the prefix; neither was checked",
                position.revision
            ));
            return Ok(Exit::Done);
        }
        let survey = self.survey(None).await?;
        survey.show(self.ctx);
        self.print_comparison("would-copy", survey.counts, survey.at)?;
        let PassCounts { created, changed, deleted, .. } = survey.counts;
        let words =
            format!("create {}, change {} and delete {}", grouped(created), grouped(changed), counted(deleted, "key"));
        self.ctx
            .out
            .note(&format!("dry run: would {words}, and follow the source after revision {}", survey.at.source));
        if let Err(failure) = self.check_limits(&survey) {
            self.ctx.out.warn(&format!("a run without --dry-run would refuse: {}", failure.one_line()));
        }
        Ok(Exit::Done)
    }

    fn print_comparison(&self, event: &'static str, counts: PassCounts, at: PassRevisions) -> Result<(), Failure> {
        if !self.ctx.out.is_data() {
            return Ok(());
        }
        let PassCounts { source, created, changed, deleted, .. } = counts;
        let row = MirrorComparison {
            event,
            revision: at.source,
            destination_revision: at.destination,
            unchanged: source.saturating_sub(created).saturating_sub(changed),
            created,
            modified: changed,
            deleted,
        };
        Ok(self.ctx.out.live(&row)?)
    }
}

fn differing(count: u64) -> String {
    if count == 1 { "1 key differs".to_owned() } else { format!("{} differ", counted(count, "key")) }
}
