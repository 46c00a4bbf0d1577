//! Defragmenting the members, one after the other.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::ledger::{DefragOutcome, LedgerEntry, MemberLedger};
use super::plan::{answering, leader, next, successor, troubles, troubles_among};
use crate::commands::status::scan::{self, ClusterScan};
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, MemberStatus, Refusal, Store};
use crate::output::Progress;
use crate::transport::Endpoint;

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How long the cluster may take to be healthy again before the next member's turn.
const RECOVERY: Duration = Duration::from_secs(120);
/// What takes longer is worth a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// How to go about it.
#[derive(Clone, Copy, Debug)]
pub struct DefragOptions {
    /// Go on with the others where a member is in trouble.
    pub force: bool,
    /// Have another member lead before the leader's turn.
    pub move_leader: bool,
}

/// Defragments every member in the ledger that answered: followers first, the leader last, each when all of them are
/// healthy and caught up. Signals end it between two members.
///
/// # Errors
/// The first failure; with `force`, that some members are left. The ledger says which.
pub async fn roll(
    ctx: &Context,
    consent: &Consent,
    ledger: &mut MemberLedger,
    manner: DefragOptions,
) -> Result<(), Failure> {
    ctx.signals.hold();
    let mut left = ledger.ids();
    let progress = ctx.out.progress("defragmenting", Some(left.len() as u64));
    let mut roll = DefragRun { ctx, consent, manner, progress, sound: None };
    if manner.force {
        let survey = scan::look(ctx, false).await?;
        roll.sound = Some(left.iter().copied().filter(|id| troubles_among(&survey, &[*id]).is_empty()).collect());
    }
    let mut moved = !manner.move_leader;
    while !left.is_empty() {
        let survey = roll.steady().await.map_err(|failure| match failure.exit {
            Exit::Interrupted => {
                Failure::new(Exit::Interrupted, format!("interrupted with {} members left", left.len()))
            }
            _ => failure,
        })?;
        let leader = leader(&survey);
        let Some(id) = next(&left, leader) else { break };
        if id == leader && !std::mem::replace(&mut moved, true) {
            roll.hand_over(&survey, leader).await?;
            continue;
        }
        left.retain(|other| *other != id);
        let result = match answering(&survey).find(|(_, status)| status.id == id) {
            Some((member, status)) => roll.one(&member.endpoint, status).await,
            None => Err(Failure::new(Exit::Unreachable, format!("member {id:x} does not answer"))),
        };
        roll.progress.inc(1);
        let Some(entry) = ledger.entry(id) else { continue };
        if let Err(failure) = enter(ctx, entry, result) {
            if !manner.force || failure.exit == Exit::Interrupted {
                return Err(failure);
            }
            ctx.out.warn(&failure.one_line());
            roll.sound.iter_mut().for_each(|sound| sound.retain(|other| *other != id));
        }
    }
    // The last one has to be back too before anybody takes the cluster for healthy.
    roll.steady().await?;
    roll.progress.finish();
    Ok(())
}

/// Enters what has come of one member.
fn enter(ctx: &Context, entry: &mut LedgerEntry, result: Result<MemberStatus, Failure>) -> Result<(), Failure> {
    let endpoint = &entry.endpoint;
    match result {
        Ok(now) => {
            entry.defrag = Some(DefragOutcome::Done);
            entry.after = Some(now);
            Ok(())
        }
        Err(failure) if failure.store_error().is_some_and(Error::is_learner_refusal) => {
            ctx.out.warn(&format!("{endpoint} is a learner, which this version of etcd does not defragment"));
            entry.defrag = Some(DefragOutcome::Skipped);
            Ok(())
        }
        Err(failure) => {
            entry.defrag = Some(if failure.maybe_applied() { DefragOutcome::Unknown } else { DefragOutcome::Failed });
            entry.error = Some(failure.one_line());
            Err(failure.context(format!("{endpoint} was not defragmented")))
        }
    }
}

struct DefragRun<'a> {
    ctx: &'a Context,
    consent: &'a Consent,
    manner: DefragOptions,
    progress: Progress,
    /// With `force`: the members that have been without trouble so far.
    sound: Option<Vec<u64>>,
}

impl DefragRun<'_> {
    /// Waits until all members are healthy and caught up; with `force`, those that answered in the beginning, and not
    /// for ever.
    async fn steady(&self) -> Result<ClusterScan, Failure> {
        let started = Instant::now();
        let mut told = false;
        loop {
            let survey = scan::look(self.ctx, false).await?;
            let troubles = match &self.sound {
                Some(sound) => troubles_among(&survey, sound),
                None => troubles(&survey),
            };
            if troubles.is_empty() {
                return Ok(survey);
            }
            if started.elapsed() >= RECOVERY {
                if self.manner.force {
                    return Ok(survey);
                }
                let mut failure = Failure::conflict(format!("the cluster was not healthy again within {RECOVERY:?}"))
                    .hint("no further member was taken out of service; see 'kvadm status'");
                for trouble in troubles {
                    failure = failure.hint(trouble);
                }
                return Err(failure);
            }
            if started.elapsed() >= PATIENCE && !std::mem::replace(&mut told, true) {
                self.ctx.out.note(&format!("waiting until all members are healthy: {}", troubles.join("; ")));
            }
            self.progress.tick();
            self.ctx.sleep(LOOK).await?;
        }
    }

    /// One member. The request outlives the first signal: etcd would not stop either.
    async fn one(&self, endpoint: &str, before: &MemberStatus) -> Result<MemberStatus, Failure> {
        let ctx = self.ctx;
        let store = self.at(endpoint)?.with_cancel(CancellationToken::new());
        ctx.out.detail(&format!("defragmenting {endpoint}, {} of {} bytes in use", before.db_in_use, before.db_size));
        let cancel = ctx.signals.cancel();
        let mut work = std::pin::pin!(store.defragment(self.consent));
        let mut told = cancel.is_cancelled();
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                () = cancel.cancelled(), if !told => {
                    told = true;
                    ctx.out.note(&format!("{endpoint} is being defragmented, and etcd does not stop; kvadm ends behind it, or at once by a second signal"));
                }
                () = tokio::time::sleep(LOOK) => self.progress.tick(),
            }
        };
        match result {
            Err(error @ Error::Unknown { .. }) => self.look_for(endpoint, &store, before, error).await,
            Err(error) if error.is_refusal(Refusal::Permission) => Err(Failure {
                hints: vec!["etcd lets nobody defragment but users with the role root".to_owned()],
                ..error.into()
            }),
            other => {
                other?;
                Ok(store.member_status().await.unwrap_or_else(|_| before.clone()))
            }
        }
    }

    /// The answer was lost. What counts is whether the file has shrunk once the member serves again.
    async fn look_for(
        &self,
        endpoint: &str,
        store: &Store,
        before: &MemberStatus,
        error: Error,
    ) -> Result<MemberStatus, Failure> {
        if self.steady().await.is_err() {
            return Err(error.into());
        }
        match store.member_status().await {
            Ok(now) if now.db_size < before.db_size => {
                self.ctx.out.note(&format!("{endpoint}: etcd's answer was lost; the file has shrunk since"));
                Ok(now)
            }
            _ => Err(error.into()),
        }
    }

    /// Gives the lead to another member, if there is one.
    async fn hand_over(&self, survey: &ClusterScan, leader: u64) -> Result<(), Failure> {
        let ctx = self.ctx;
        let (Some(to), Some((from, _))) =
            (successor(survey, leader), answering(survey).find(|(_, status)| status.id == leader))
        else {
            ctx.out.note("no other member can lead; the leader stays");
            return Ok(());
        };
        let name = survey.members.iter().find(|member| member.status.as_ref().is_ok_and(|status| status.id == to));
        let name = name.map_or_else(|| format!("{to:x}"), |member| member.endpoint.clone());
        let moved = self.at(&from.endpoint)?.move_leader(to).await;
        match moved {
            Ok(()) => ctx.out.note(&format!("{name} leads now, in place of {}", from.endpoint)),
            Err(error) if self.manner.force => ctx.out.warn(&format!("the leader stays: {error}")),
            Err(error) => {
                return Err(Failure::from(error)
                    .context(format!("{} did not give the lead to {name}", from.endpoint))
                    .hint("without --move-leader the leader is defragmented while it leads"));
            }
        }
        Ok(())
    }

    fn at(&self, endpoint: &str) -> Result<Store, Failure> {
        // As the survey shows it, an endpoint has its scheme.
        let endpoint = Endpoint::parse(endpoint, false)
            .map_err(|error| Failure::new(Exit::Bug, format!("{endpoint} is no endpoint: {error}")))?;
        Ok(self.ctx.store().pinned(&endpoint))
    }
}
