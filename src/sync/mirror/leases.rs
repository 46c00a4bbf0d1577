//! The leases of the destination: grants them before keys need them, and renews them as long as the source's leases live.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::batch::SourceChange;
use super::error::MirrorError;
use super::lease_mapping::LeaseMapping;
use super::outage::{Outage, persist};
use crate::kvstore::{Error, Grant, LeaseId, Refusal, Store};

/// The shortest time between two requests for the TTL of one lease.
const MIN_POLL: Duration = Duration::from_secs(1);
/// Leases that are granted, or asked for and renewed, at the same time.
const CONCURRENT_LEASES: usize = 64;
/// The pause between two rounds of renewals, each of which looks at all leases.
const ROUND_PAUSE: Duration = Duration::from_millis(100);

/// The leases of a mirror, shared by its tasks.
#[derive(Clone)]
pub struct MirrorLeases {
    source: Store,
    destination: Store,
    outage: Outage,
    /// Of the requests that a transaction waits for.
    source_outage: Outage,
    mapping: LeaseMapping,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<LeaseTable>,
    /// A lease was added.
    added: Notify,
    /// There is something in [`LeaseNews`].
    news: Notify,
}

#[derive(Debug, Default)]
struct LeaseTable {
    /// The source's leases whose leases in the destination exist.
    leases: HashMap<LeaseId, MirroredLease>,
    news: LeaseNews,
}

/// What the renewals have found.
#[derive(Debug, Default)]
pub struct LeaseNews {
    /// Leases that have expired in the destination although they live in the source: their keys are gone.
    pub expired: u64,
    /// Why leases cannot be renewed any more.
    pub error: Option<MirrorError>,
}

#[derive(Clone, Copy, Debug)]
struct MirroredLease {
    /// When the source is asked for its TTL.
    next_poll: Instant,
    /// The shorter TTL of both sides; 0 before the first renewal.
    ttl: Duration,
    /// When the lease was found to be gone in the source. A member without a leader may say so of a lease that lives on.
    gone: Option<Instant>,
}

impl MirroredLease {
    fn renewed(now: Instant, of_source: Grant, of_destination: Grant) -> Self {
        let ttl = Duration::from_secs(of_source.ttl.min(of_destination.ttl).unsigned_abs());
        Self { next_poll: now + poll_period(ttl), ttl, gone: None }
    }
}

fn poll_period(ttl: Duration) -> Duration {
    (ttl / 3).max(MIN_POLL)
}

impl MirrorLeases {
    /// The leases of a mirror; with the default mapping, of one whose keys have no leases.
    pub fn new(source: &Store, destination: &Store, outage: &Outage, mapping: LeaseMapping) -> Self {
        let (source, destination, outage) = (source.clone(), destination.clone(), outage.clone());
        Self { source, destination, outage, source_outage: Outage::default(), mapping, shared: Arc::default() }
    }

    /// Which lease stands for which.
    pub fn mapping(&self) -> LeaseMapping {
        self.mapping
    }

    /// Why the source does not answer a request that a transaction waits for; `None` while it does.
    pub fn source_outage(&self) -> Option<String> {
        self.source_outage.reason()
    }

    fn table(&self) -> MutexGuard<'_, LeaseTable> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the lease of a key that was found in the destination with the right lease.
    pub fn adopt(&self, source: Option<LeaseId>) {
        let Some(id) = source.filter(|_| self.mapping.is_on()) else { return };
        let lease = MirroredLease { next_poll: Instant::now(), ttl: Duration::ZERO, gone: None };
        let mut table = self.table();
        if table.leases.contains_key(&id) {
            return;
        }
        table.leases.insert(id, lease);
        drop(table);
        self.shared.added.notify_one();
    }

    /// Forgets the leases of these changes: the destination says that one of them does not exist.
    pub fn forget<'a>(&self, changes: impl IntoIterator<Item = &'a SourceChange>) {
        let mut table = self.table();
        for id in changes.into_iter().filter_map(|change| change.lease) {
            table.leases.remove(&id);
        }
    }

    /// Grants what stands for these leases and is not known to exist. Returns those that the source does not have any more:
    /// the deletion of their keys follows.
    ///
    /// # Errors
    /// Either side refuses.
    pub async fn prepare(&self, ids: impl IntoIterator<Item = LeaseId>) -> Result<HashSet<LeaseId>, MirrorError> {
        let mut gone = HashSet::new();
        if !self.mapping.is_on() {
            return Ok(gone);
        }
        let mut missing: Vec<LeaseId> = {
            let table = self.table();
            let known = |id: &LeaseId| table.leases.get(id).is_some_and(|lease| lease.gone.is_none());
            ids.into_iter().filter(|id| !known(id)).collect()
        };
        missing.sort_unstable();
        missing.dedup();
        for chunk in missing.chunks(CONCURRENT_LEASES) {
            let mut tasks = JoinSet::new();
            for id in chunk.iter().copied() {
                let leases = self.clone();
                tasks.spawn(async move { (id, leases.grant(id).await) });
            }
            while let Some(Ok((id, granted))) = tasks.join_next().await {
                match granted? {
                    Some(lease) => {
                        self.table().leases.insert(id, lease);
                    }
                    None => {
                        gone.insert(id);
                    }
                }
            }
        }
        if !missing.is_empty() {
            self.shared.added.notify_one();
        }
        Ok(gone)
    }

    /// Whether a lease exists in the source.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn lives(&self, source: LeaseId) -> Result<bool, MirrorError> {
        Ok(self.source.time_to_live(source).await.map_err(MirrorError::Source)?.is_some())
    }

    /// Makes sure that the lease for a lease of the source exists, with its whole TTL; `None` if the source has no such
    /// lease. The ID is used by this mirror only: a grant may be sent again.
    async fn grant(&self, source: LeaseId) -> Result<Option<MirroredLease>, MirrorError> {
        let Some(id) = self.mapping.of(Some(source)) else { return Ok(None) };
        loop {
            let of_source = persist(&self.source_outage, || self.source.time_to_live(source)).await;
            let Some(of_source) = of_source.map_err(MirrorError::Source)? else { return Ok(None) };
            let now = Instant::now();
            let granted = match persist(&self.outage, || self.destination.grant_with_id(id, of_source.ttl)).await {
                Ok(granted) => Some(granted),
                Err(error) if error.is_refusal(Refusal::LeaseExists) => {
                    // An earlier run or an earlier sending has granted it.
                    persist(&self.outage, || self.destination.renew(id)).await.map_err(MirrorError::Destination)?
                }
                Err(Error::Unknown { cause, .. }) => return Err(MirrorError::Destination(*cause)),
                Err(error) => return Err(MirrorError::Destination(error)),
            };
            if let Some(granted) = granted {
                return Ok(Some(MirroredLease::renewed(now, of_source, granted)));
            }
        }
    }

    /// Renews leases until the task is aborted, or cannot go on.
    pub async fn keep(self) {
        loop {
            sleep(ROUND_PAUSE).await;
            let next = self.table().leases.values().map(|lease| lease.next_poll).min();
            let due = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.shared.added.notified() => continue,
            }
            match self.renew_due().await {
                Ok(0) => continue,
                Ok(expired) => self.table().news.expired += expired,
                // A signal ends the mirror.
                Err(MirrorError::Source(Error::Interrupted { .. })) => return,
                Err(error) => {
                    self.table().news.error = Some(error);
                    self.shared.news.notify_one();
                    return;
                }
            }
            self.shared.news.notify_one();
        }
    }

    /// Waits until there is something to take.
    pub async fn has_news(&self) {
        self.shared.news.notified().await;
    }

    /// Takes what the renewals have found.
    pub fn take_news(&self) -> LeaseNews {
        std::mem::take(&mut self.table().news)
    }

    /// Renews the leases whose time has come. Returns the number of those that have expired in the destination only.
    async fn renew_due(&self) -> Result<u64, MirrorError> {
        let now = Instant::now();
        let due: Vec<LeaseId> =
            self.table().leases.iter().filter(|(_, lease)| lease.next_poll <= now).map(|(id, _)| *id).collect();
        let mut expired = 0;
        for chunk in due.chunks(CONCURRENT_LEASES) {
            let mut tasks = JoinSet::new();
            for id in chunk.iter().copied() {
                let leases = self.clone();
                tasks.spawn(async move { (id, leases.renew(id).await) });
            }
            while let Some(Ok((id, renewed))) = tasks.join_next().await {
                expired += u64::from(self.record(id, renewed?));
            }
        }
        Ok(expired)
    }

    async fn renew(&self, source: LeaseId) -> Result<Renewal, MirrorError> {
        let now = Instant::now();
        let of_source = match self.source.time_to_live(source).await {
            Ok(Some(of_source)) => of_source,
            Ok(None) => return Ok(Renewal::Gone),
            Err(error) => return MirrorError::Source(error).unless_transient(),
        };
        let Some(id) = self.mapping.of(Some(source)) else { return Ok(Renewal::Gone) };
        match self.destination.renew(id).await {
            Ok(Some(renewed)) => Ok(Renewal::Renewed(MirroredLease::renewed(now, of_source, renewed))),
            Ok(None) => Ok(Renewal::Expired),
            Err(error) => MirrorError::Destination(error).unless_transient(),
        }
    }

    /// Records a renewal. Returns whether the lease has expired in the destination only.
    fn record(&self, id: LeaseId, renewal: Renewal) -> bool {
        let mut table = self.table();
        let Some(lease) = table.leases.get_mut(&id) else { return false };
        let now = Instant::now();
        match renewal {
            Renewal::Renewed(renewed) => *lease = renewed,
            Renewal::NoAnswer => lease.next_poll = now + MIN_POLL,
            Renewal::Gone => {
                lease.next_poll = now + MIN_POLL;
                let since = *lease.gone.get_or_insert(now);
                if now.saturating_duration_since(since) > lease.ttl {
                    table.leases.remove(&id);
                }
            }
            Renewal::Expired => {
                table.leases.remove(&id);
                return true;
            }
        }
        false
    }
}

enum Renewal {
    Renewed(MirroredLease),
    /// The source has no such lease.
    Gone,
    /// The destination has no such lease, although the source has.
    Expired,
    /// One side does not answer.
    NoAnswer,
}

impl MirrorError {
    fn unless_transient(self) -> Result<Renewal, Self> {
        if self.is_transient() { Ok(Renewal::NoAnswer) } else { Err(self) }
    }
}
