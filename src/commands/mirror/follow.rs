//! Follows the source: collects its changes, and applies them one transaction after the other.

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{Instant, timeout};

use super::copying::{DRAIN_TIMEOUT, task_failure};
use super::following::{Event, Following, InFlight, SourceNow, at, if_wanted, result_of};
use super::report::ReportClock;
use super::resume::followed_from;
use super::session::{MirrorSession, MirrorStop};
use crate::error::Exit;
use crate::kvstore::{Error, KeyRange, Refusal, WatchOptions, WatchUpdate};
use crate::sync::mirror::{
    ChangeQueue, MirrorBatch, MirrorError, MirrorPosition, PlaceOutcome, PlaceState, PlaceWriter,
};

/// Changes that are collected while a transaction is in flight.
const MAX_QUEUED: usize = 16 << 10;
/// The memory of these changes.
const MAX_QUEUED_BYTES: usize = 16 << 20;
/// Time after which a missing answer of a side is reported; most elections are faster.
const REPORT_AFTER: Duration = Duration::from_millis(1500);
/// How often the place is written although no change was: a restart then needs only the revisions since.
const PLACE_EVERY: Duration = Duration::from_secs(60);
/// The silence after which a run with --once checks whether there is anything left, doubled with each check.
const FIRST_SILENCE: Duration = Duration::from_millis(100);

impl MirrorSession<'_> {
    /// Follows the source after a position.
    pub(super) async fn follow(&mut self, writer: PlaceWriter, position: MirrorPosition) -> Result<Exit, MirrorStop> {
        self.ctx.signals.hold();
        let now = self.source_revision().await?;
        let start = followed_from(position);
        let ranges = vec![self.mapping.source_range()];
        let watcher = self.source.watch(WatchOptions { ranges, start, known: now, prev: false });
        let mut following = Following {
            writer,
            position,
            watcher,
            queue: ChangeQueue::after(position.revision),
            skip: position.within,
            in_flight: None,
            unsaved: false,
            place_written: Instant::now(),
            compacted: false,
            expired: false,
            checked_streams: 0,
            source_lost: false,
            target: self.args.once.then_some(now),
            silence: FIRST_SILENCE,
            last_update: Instant::now(),
            clock: ReportClock::new(self.args.report, self.totals.changes),
            asking: None,
            compare_after: Instant::now(),
        };
        let ended = match self.follow_on(&mut following).await {
            // The signal has ended a read.
            Err(MirrorStop::Mirror(
                MirrorError::Source(Error::Interrupted { .. }) | MirrorError::Destination(Error::Interrupted { .. }),
            )) => self.stop(&mut following).await,
            ended => ended,
        };
        if let (Err(_), Some(in_flight)) = (&ended, &mut following.in_flight) {
            let _ = timeout(DRAIN_TIMEOUT, &mut in_flight.task).await;
        }
        ended
    }

    async fn follow_on(&mut self, at_work: &mut Following) -> Result<Exit, MirrorStop> {
        loop {
            if at_work.in_flight.is_none() && self.start_next(at_work).await? {
                return self.finish_once(at_work).await;
            }
            let idle = at_work.in_flight.is_none();
            let no_answer =
                at_work.in_flight.as_ref().filter(|sent| sent.reported.is_none()).map(|sent| sent.since + REPORT_AFTER);
            let silence = (idle && at_work.target.is_some()).then(|| at_work.last_update + at_work.silence);
            let report_due = at_work.asking.is_none().then(|| at_work.clock.due());
            let room = at_work.queue.len() < MAX_QUEUED && at_work.queue.bytes() < MAX_QUEUED_BYTES;
            let event = tokio::select! {
                biased;
                () = self.ctx.signals.cancel().cancelled() => Event::Cancelled,
                outcome = result_of(at_work.in_flight.as_mut().map(|sent| &mut sent.task)) => Event::Outcome(outcome),
                () = self.leases.has_news() => Event::LeaseNews,
                () = at(no_answer) => Event::NoAnswer,
                () = at(report_due) => Event::ReportDue,
                now = result_of(at_work.asking.as_mut().map(|(task, _)| task)) => Event::SourceRevision(now),
                update = if_wanted(room && !at_work.compacted, at_work.watcher.next()) => Event::Update(update),
                () = at(silence) => Event::Silence,
            };
            match event {
                Event::Cancelled => return self.stop(at_work).await,
                Event::Outcome(outcome) => self.complete(at_work, outcome).await?,
                Event::LeaseNews => self.take_lease_news(at_work)?,
                Event::NoAnswer => self.report_outage(at_work),
                Event::ReportDue => {
                    let state = self.applied_state(at_work.queue.reached());
                    let asking = tokio::spawn(state.ask(at_work.may_compare()));
                    at_work.asking = Some((asking, Instant::now()));
                }
                Event::SourceRevision(now) => self.report_position(at_work, now)?,
                Event::Update(update) => self.take(at_work, update.map_err(MirrorError::Source)?).await?,
                Event::Silence => self.check_silence(at_work).await?,
            }
        }
    }

    /// Starts the next transaction, if there is something to write. Returns whether the run has reached its target.
    async fn start_next(&mut self, at_work: &mut Following) -> Result<bool, MirrorStop> {
        if std::mem::take(&mut at_work.expired) {
            let position = self.resume(&mut at_work.writer, at_work.position).await?;
            if position != at_work.position {
                Self::continue_at(at_work, position);
            }
        }
        if let Some(batch) = at_work.queue.take_batch(at_work.position, self.limits) {
            self.send(at_work, batch);
            return Ok(false);
        }
        let reached = at_work.queue.reached();
        if at_work.position.within.is_none() && reached > at_work.position.revision {
            at_work.position.revision = reached;
            at_work.unsaved = true;
        }
        if at_work.compacted {
            let position = self.catch_up(&mut at_work.writer, at_work.position).await?;
            Self::continue_at(at_work, position);
        }
        if at_work.target.is_some_and(|target| at_work.position.revision >= target) {
            return Ok(true);
        }
        if at_work.unsaved && at_work.place_written.elapsed() >= PLACE_EVERY {
            let end = at_work.position;
            self.send(at_work, MirrorBatch { changes: Vec::new(), end });
        }
        Ok(false)
    }

    /// Continues after a copy.
    fn continue_at(at_work: &mut Following, position: MirrorPosition) {
        at_work.position = position;
        at_work.queue = ChangeQueue::after(position.revision);
        at_work.skip = None;
        at_work.watcher.move_to(followed_from(position));
        (at_work.compacted, at_work.unsaved) = (false, false);
        at_work.place_written = Instant::now();
    }

    fn send(&self, at_work: &mut Following, batch: MirrorBatch) {
        let txn = at_work.writer.apply(&batch, &self.known, self.leases.mapping());
        let (store, outage, leases) = (self.destination.clone(), self.outage.clone(), self.leases.clone());
        let changes = batch.changes.iter().map(|change| change.lease).collect();
        let task = tokio::spawn(async move { txn.deliver_with_leases(changes, &leases, &store, &outage).await });
        at_work.in_flight = Some(InFlight { batch, task, since: Instant::now(), reported: None });
    }

    /// Handles the end of the transaction in flight.
    async fn complete(
        &mut self,
        at_work: &mut Following,
        outcome: Result<Result<PlaceOutcome, MirrorError>, JoinError>,
    ) -> Result<(), MirrorStop> {
        let Some(InFlight { batch, reported, .. }) = at_work.in_flight.take() else { return Ok(()) };
        if let Some(side) = reported {
            self.ctx.out.note(&format!("{side} answers again"));
        }
        match outcome.map_err(|error| task_failure(&error))? {
            Ok(PlaceOutcome::Applied(revision)) => {
                self.record_applied(&batch, revision);
                self.totals.changes += batch.changes.len() as u64;
                at_work.writer.applied(revision);
                at_work.position = batch.end;
                at_work.unsaved = false;
                at_work.place_written = Instant::now();
                Ok(())
            }
            Ok(PlaceOutcome::KeyChanged) => {
                if self.find_conflicts(&batch, at_work.writer.may_have_leases()).await? {
                    self.expect_repair(at_work);
                }
                at_work.queue.put_back(batch);
                Ok(())
            }
            Ok(PlaceOutcome::PlaceChanged { deleted }) => Err(at_work.writer.changed(deleted).into()),
            Err(MirrorError::Destination(error)) if error.is_refusal(Refusal::TooLarge) => {
                self.limit_bytes(&batch)?;
                at_work.queue.put_back(batch);
                Ok(())
            }
            Err(MirrorError::Destination(error)) if error.is_refusal(Refusal::LeaseNotFound) => {
                self.leases.forget(&batch.changes);
                self.expect_repair(at_work);
                at_work.queue.put_back(batch);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes an update of the source.
    async fn take(&mut self, at_work: &mut Following, update: WatchUpdate) -> Result<(), MirrorStop> {
        at_work.last_update = Instant::now();
        self.check_stream(at_work).await?;
        match update {
            WatchUpdate::Events(events) => self.enqueue(&mut at_work.queue, events, &mut at_work.skip),
            WatchUpdate::Progress => {}
            WatchUpdate::Disconnected(why) => {
                at_work.source_lost = true;
                self.ctx.out.warn(&format!("the source does not answer; the mirror will resume: {}", why.one_line()));
            }
            WatchUpdate::Reconnected => {
                at_work.source_lost = false;
                self.ctx.out.note("the source answers again");
            }
            WatchUpdate::Compacted(_) => at_work.compacted = true,
        }
        if !at_work.compacted {
            at_work.queue.reach(at_work.watcher.next_revision().saturating_sub(1));
        }
        Ok(())
    }

    /// Checks that a new stream does not begin at the compacted revision, whose deletions it may lack.
    async fn check_stream(&self, at_work: &mut Following) -> Result<(), MirrorError> {
        let opened = at_work.watcher.opened_streams();
        if opened == std::mem::replace(&mut at_work.checked_streams, opened) {
            return Ok(());
        }
        let range = self.mapping.source_range();
        let first = if range.start.is_empty() { b"\0".to_vec() } else { range.start };
        match self.source.count(&KeyRange::key(&first), at_work.queue.reached(), None).await {
            Err(error) if error.is_refusal(Refusal::Compacted) => at_work.compacted = true,
            Err(error) if error.is_transient() => at_work.checked_streams = 0,
            Err(error) => return Err(MirrorError::Source(error)),
            Ok(_) => {}
        }
        Ok(())
    }

    fn report_outage(&self, at_work: &mut Following) {
        let Some(sent) = &mut at_work.in_flight else { return };
        let (side, why) = match self.leases.source_outage() {
            Some(why) => ("the source", Some(why)),
            None => ("the destination", self.outage.reason()),
        };
        sent.reported = Some(side);
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        self.ctx.out.warn(&format!("{side} does not answer; the mirror will resume{why}"));
    }

    fn report_position(
        &self,
        at_work: &mut Following,
        now: Result<Result<SourceNow, Error>, JoinError>,
    ) -> Result<(), MirrorStop> {
        at_work.asking = None;
        let due = at_work.clock.due();
        let since = due.checked_sub(at_work.clock.period()).unwrap_or(due);
        at_work.clock.postpone();
        if let Ok(Ok(now)) = now {
            at_work.compared(now.took);
            // Changes outside the prefix move the source's revision, too.
            let shown = match now.is_applied {
                true => MirrorPosition { revision: at_work.position.revision.max(now.revision), within: None },
                false => at_work.position,
            };
            self.report(&mut at_work.clock, since, shown, now.revision)?;
        }
        Ok(())
    }

    /// Whether the silence of the source means that there is nothing left.
    async fn check_silence(&self, at_work: &mut Following) -> Result<(), MirrorStop> {
        at_work.last_update = Instant::now();
        at_work.silence = at_work.silence.saturating_mul(2);
        let Some(target) = at_work.target.filter(|_| at_work.queue.is_empty() && !at_work.source_lost) else {
            return Ok(());
        };
        match self.is_caught_up(at_work.queue.reached(), target).await {
            Ok(true) => at_work.target = Some(at_work.position.revision),
            Ok(false) => {}
            // The watch says so too, and the prefix is copied again.
            Err(error) if Self::is_compacted(&error) || error.is_transient() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The end of a run with --once.
    async fn finish_once(&mut self, at_work: &mut Following) -> Result<Exit, MirrorStop> {
        self.save_place(at_work).await?;
        let position = at_work.position;
        self.ctx.out.note(&format!("caught up at revision {} of the source", position.revision));
        self.print_row(self.row("caught-up", position))?;
        if self.args.verify { self.verify(position).await } else { Ok(Exit::Done) }
    }

    async fn save_place(&self, at_work: &mut Following) -> Result<(), MirrorError> {
        if at_work.unsaved {
            let (position, outage) = (at_work.position, &self.outage);
            at_work.writer.write(&self.destination, position, PlaceState::Following, outage).await?;
            at_work.unsaved = false;
        }
        Ok(())
    }

    /// Ends with a signal: finishes the transaction in flight, and says where the mirror stands.
    async fn stop(&mut self, at_work: &mut Following) -> Result<Exit, MirrorStop> {
        let end = timeout(DRAIN_TIMEOUT, async {
            if let Some(sent) = &mut at_work.in_flight {
                let outcome = (&mut sent.task).await;
                self.complete(at_work, outcome).await?;
            }
            self.save_place(at_work).await?;
            Ok::<(), MirrorStop>(())
        });
        let finished = end.await;
        let position = at_work.position;
        let again = "the same command continues there";
        match finished {
            Ok(Ok(())) => {
                self.ctx.out.note(&format!("stopped at revision {} of the source; {again}", position.revision));
            }
            Ok(Err(stop)) if !was_cut_off(&stop) => return Err(stop),
            _ => self.ctx.out.note(&format!(
                "stopped at revision {} of the source, with a transaction in flight; {again}, or after the transaction",
                position.revision
            )),
        }
        self.print_row(self.row("stopped", position))?;
        Ok(Exit::Interrupted)
    }
}

/// Whether the end of the command, or of a connection, has cut off a request.
fn was_cut_off(stop: &MirrorStop) -> bool {
    match stop {
        MirrorStop::Mirror(
            MirrorError::Source(Error::Interrupted { .. }) | MirrorError::Destination(Error::Interrupted { .. }),
        ) => true,
        MirrorStop::Mirror(error) => error.is_transient(),
        MirrorStop::Failed(_) => false,
    }
}
