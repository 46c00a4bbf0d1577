//! Writes keys again that have expired in the destination, and keys whose leases are not those of this mirror.

use std::collections::HashMap;

use super::copying::count_foreign;
use super::following::Following;
use super::session::{MirrorSession, MirrorStop};
use crate::kvstore::{Refusal, Revision};
use crate::plural::counted;
use crate::sync::mirror::{
    ChangeQueue, MirrorBatch, MirrorError, MirrorPosition, Overlay, PassRevisions, PlaceOutcome, PlaceWriter,
    PrefixDifference,
};

impl MirrorSession<'_> {
    /// Compares both sides at these revisions. Writes what differs because of a lease; other differences are changes of
    /// other clients.
    pub(super) async fn repair_leases(
        &mut self,
        writer: &mut PlaceWriter,
        position: MirrorPosition,
        at: PassRevisions,
        overlay: Overlay,
    ) -> Result<(), MirrorStop> {
        self.ctx.signals.hold();
        // The repairs write the place too.
        let written = writer.mod_revision();
        let mut pass = self.pass(at, overlay);
        let progress = self.ctx.out.progress("comparing", None);
        let mut repairs = Repairs::after(position);
        let (mut foreign, mut repaired) = (None, 0);
        while let Some(difference) = pass.next(&mut self.known).await? {
            if !difference.is_of_lease(written) {
                count_foreign(&mut foreign, &difference);
                if !self.args.overwrite {
                    continue;
                }
            }
            repairs.push(difference);
            if repairs.queue.len() >= self.limits.changes || repairs.queue.bytes() >= self.limits.bytes {
                repaired += self.write_repairs(writer, &mut repairs).await?;
            }
        }
        repaired += self.write_repairs(writer, &mut repairs).await?;
        progress.finish();
        match foreign {
            Some(MirrorError::ForeignChange { count, .. }) if self.args.overwrite => {
                repaired = u64::saturating_sub(repaired, count);
                self.totals.overwritten += count;
                self.note_overwritten(count);
            }
            Some(foreign) => return Err(foreign.into()),
            None => {}
        }
        if repaired > 0 {
            let keys = counted(repaired, "key");
            self.ctx.out.note(&format!("wrote {keys} again whose leases had expired, or were others"));
        }
        Ok(())
    }

    /// Writes the collected repairs. Returns the number of written keys.
    async fn write_repairs(&mut self, writer: &mut PlaceWriter, repairs: &mut Repairs) -> Result<u64, MirrorStop> {
        let mut count = 0;
        while let Some(mut batch) = repairs.queue.take_batch(repairs.position, self.limits) {
            let gone = self.leases.prepare(batch.changes.iter().filter_map(|change| change.lease)).await?;
            let mapping = self.leases.mapping();
            batch.changes.retain_mut(|change| {
                let ended = change.lease.is_some_and(|id| gone.contains(&id));
                change.lease = change.lease.filter(|_| !ended);
                match repairs.found.get(&change.key) {
                    // The source has deleted it meanwhile, and the deletion follows.
                    None => !ended,
                    Some(found) => !found.same_value || found.found_lease != mapping.of(change.lease),
                }
            });
            if batch.changes.is_empty() {
                continue;
            }
            batch.end = repairs.position;
            let txn = writer.apply(&batch, &self.known, mapping);
            match txn.deliver(&self.destination, &self.outage).await {
                Ok(PlaceOutcome::Applied(revision)) => {
                    self.record_applied(&batch, revision);
                    writer.applied(revision);
                    count += batch.changes.len() as u64;
                    self.totals.copied += batch.changes.len() as u64;
                }
                Ok(PlaceOutcome::PlaceChanged { deleted }) => return Err(writer.changed(deleted).into()),
                Ok(PlaceOutcome::KeyChanged) => {
                    self.find_conflicts(&batch, true).await?;
                    repairs.queue.put_back(batch);
                }
                Err(error) if error.is_refusal(Refusal::LeaseNotFound) => {
                    self.leases.forget(&batch.changes);
                    repairs.queue.put_back(batch);
                }
                Err(error) if error.is_refusal(Refusal::TooLarge) => {
                    self.limit_bytes(&batch)?;
                    repairs.queue.put_back(batch);
                }
                Err(error) => return Err(MirrorError::Destination(error).into()),
            }
        }
        repairs.found.clear();
        Ok(count)
    }

    /// Finds the keys that another client has changed; with --overwrite, or if keys may expire, the batch can be sent again.
    /// Returns whether a key that is to be written is gone, as a key is that has expired.
    pub(super) async fn find_conflicts(&mut self, batch: &MirrorBatch, expiring: bool) -> Result<bool, MirrorStop> {
        let keys: Vec<Vec<u8>> = batch.changes.iter().map(|change| change.key.clone()).collect();
        let read = self.ctx.store().get_each(&keys, 0).await.map_err(MirrorError::Destination)?;
        let mut first = None;
        let (mut count, mut expired) = (0, false);
        for (change, kv) in batch.changes.iter().zip(read) {
            let (key, revision) = (&change.key, kv.map_or(0, |kv| kv.mod_revision));
            if revision == self.known.get(key) {
                continue;
            }
            if revision == 0 && expiring {
                self.known.set(key, 0);
                expired |= change.value.is_some();
                continue;
            }
            count += 1;
            if self.args.overwrite {
                self.known.set(key, revision);
            } else if first.is_none() {
                first = Some((key.clone(), revision));
            }
        }
        if let Some((key, revision)) = first {
            let what = if revision == 0 { "deleted" } else { "wrote" };
            return Err(MirrorError::ForeignChange { key, what, revision, count }.into());
        }
        self.totals.overwritten += count;
        Ok(expired)
    }

    /// Takes what the renewals of the leases have found.
    pub(super) fn take_lease_news(&self, at_work: &mut Following) -> Result<(), MirrorStop> {
        let news = self.leases.take_news();
        if news.expired > 0 {
            self.expect_repair(at_work);
        }
        news.error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Lets both sides be compared before the next transaction.
    pub(super) fn expect_repair(&self, at_work: &mut Following) {
        if !std::mem::replace(&mut at_work.expired, true) {
            self.ctx.out.note("leases have expired in the destination; comparing both sides to write their keys again");
        }
    }

    pub(super) fn record_applied(&mut self, batch: &MirrorBatch, revision: Revision) {
        for change in &batch.changes {
            self.known.set(&change.key, if change.value.is_some() { revision } else { 0 });
        }
    }

    /// Halves the size of transactions after one that was too large.
    pub(super) fn limit_bytes(&mut self, batch: &MirrorBatch) -> Result<(), MirrorError> {
        match batch.changes.as_slice() {
            [change] => Err(MirrorError::TooLarge { key: change.key.clone(), bytes: change.size() }),
            changes => {
                self.limits.bytes = changes.iter().map(|change| change.cost()).sum::<usize>() / 2;
                Ok(())
            }
        }
    }
}

/// Keys to write without a change of the position.
struct Repairs {
    queue: ChangeQueue,
    position: MirrorPosition,
    /// What the destination had, for keys that exist there.
    found: HashMap<Vec<u8>, PrefixDifference>,
}

impl Repairs {
    fn after(position: MirrorPosition) -> Self {
        Self { queue: ChangeQueue::after(position.revision), position, found: HashMap::new() }
    }

    fn push(&mut self, mut difference: PrefixDifference) {
        let key = difference.change.key.clone();
        self.queue.push(difference.change.clone());
        if difference.found.is_some() {
            difference.change.value = None;
            self.found.insert(key, difference);
        }
    }
}
