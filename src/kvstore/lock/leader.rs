//! Following the leader of an election: the contender whose key is the oldest one below the election's name.
//!
//! Wire format: `client/v3/concurrency/election.go` of etcd, shared by `etcdctl elect` and the server's Election service: a
//! candidate's key is a contender's (see [`lock`](crate::kvstore::lock)), and its value is the proposal. A leader that
//! proclaims another value writes its key again.
//!
//! One watch follows all keys below the name. If the leader's key is deleted, the oldest key is read at the revision of the
//! deletion, so that a leader that has ended meanwhile is returned too. Memory use does not grow with the candidates.

use etcd_client::{GetOptions, SortOrder, SortTarget};
use tokio::time::sleep;

use crate::kvstore::backoff::Backoff;
use crate::kvstore::error::Error;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::kv::response_check::RequestedRange;
use crate::kvstore::lock::range_end;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::{Covers, Request};
use crate::kvstore::store::Store;
use crate::kvstore::types::{KeyValue, Revision};
use crate::kvstore::watch::{WatchEvent, WatchOptions, WatchUpdate, Watcher};

/// An update of a [`LeaderWatch`].
#[derive(Debug)]
pub enum LeaderUpdate {
    /// A candidate leads, since this revision or, for the first update, at it.
    Elected(KeyValue, Revision),
    /// The leader has written its key again.
    Proclaimed(KeyValue),
    /// Nobody leads, since this revision or, for the first update, at it.
    Vacant(Revision),
    /// etcd has not answered for a second, for this reason; the watch keeps trying. The next update of another kind ends the
    /// interruption.
    Disconnected(Error),
    /// The connection works again.
    Reconnected,
    /// The events from the watch's position up to this revision are compacted: some updates may be missing. The present
    /// leader follows if it is another one.
    Compacted(Revision),
}

/// The key that leads, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LeadingKey {
    key: Vec<u8>,
    created: Revision,
    modified: Revision,
}

impl LeadingKey {
    fn of(kv: &KeyValue) -> Self {
        Self { key: kv.key.clone(), created: kv.create_revision, modified: kv.mod_revision }
    }
}

/// What an event below the name means for the leader.
#[derive(Debug, PartialEq, Eq)]
enum LeaderEffect {
    None,
    /// The key's only write in its revision, and nobody led before.
    Elected,
    Proclaimed,
    /// The leader at the event's revision must be read.
    Read,
}

/// The leader as far as it is known. Pure.
#[derive(Debug, Default)]
struct LeaderState {
    leading: Option<LeadingKey>,
    /// The state holds for this revision: earlier events do not change it.
    at: Revision,
}

impl LeaderState {
    /// `alone`: no other event has the event's revision.
    fn effect(&self, event: &WatchEvent, alone: bool) -> LeaderEffect {
        let kv = &event.kv;
        if kv.mod_revision <= self.at {
            return LeaderEffect::None;
        }
        match &self.leading {
            None if event.deleted => LeaderEffect::None,
            None if alone => LeaderEffect::Elected,
            None => LeaderEffect::Read,
            Some(leading) if leading.key != kv.key => LeaderEffect::None,
            // A key that was created again is the youngest one.
            Some(leading) if event.deleted || leading.created != kv.create_revision => LeaderEffect::Read,
            Some(leading) if kv.mod_revision > leading.modified => LeaderEffect::Proclaimed,
            Some(_) => LeaderEffect::None,
        }
    }
}

/// Follows the leader of an election. See [`Store::watch_leader`].
pub struct LeaderWatch {
    store: Store,
    /// All keys below the name, without the namespace.
    range: KeyRange,
    state: LeaderState,
    /// `None` until the leader was read once, and after a compaction.
    watcher: Option<Watcher>,
    /// Whether the first update was returned.
    begun: bool,
    /// Events that were not looked at yet.
    events: std::vec::IntoIter<WatchEvent>,
    /// The revision of the event before them.
    last: Revision,
    /// The revision at which the leader is to be read next.
    to_read: Option<Revision>,
    interrupted: bool,
    backoff: Backoff,
}

impl Store {
    /// Follows the leader of the election `name` (without the namespace). The first update says who leads now.
    pub fn watch_leader(&self, name: &[u8]) -> LeaderWatch {
        LeaderWatch {
            store: self.clone(),
            range: KeyRange::prefix(&[name, b"/"].concat()),
            state: LeaderState::default(),
            watcher: None,
            begun: false,
            events: Vec::new().into_iter(),
            last: 0,
            to_read: None,
            interrupted: false,
            backoff: Backoff::default(),
        }
    }

    /// The oldest key of the range at `revision` (0: the latest), and the revision of the read.
    async fn oldest_key(&self, range: &KeyRange, revision: Revision) -> Result<(Option<KeyValue>, Revision), Error> {
        let range = range.within(self.namespace());
        let options = GetOptions::new()
            .with_range(range_end(&range.start))
            .with_sort(SortTarget::Create, SortOrder::Ascend)
            .with_limit(1)
            .with_revision(revision);
        let (start, end) = range.to_wire();
        let covers = Covers::Range(&end);
        let request = Request { covers, pinned: revision > 0, ..Request::read("leader", &start) };
        let answer = self
            .call(request, |client| {
                let (key, options) = (start.clone(), options.clone());
                async move { Self::kv(&client).get(key, Some(options)).await }
            })
            .await?
            .value;
        let asked = RequestedRange { limit: 1, ..RequestedRange::whole(range, revision) };
        asked.check(&answer.0.kvs, answer.count(), answer.more()).map_err(|what| request.invalid(what))?;
        let now = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        let oldest = answer.0.kvs.into_iter().next().map(|kv| self.decode_kv(kv));
        Ok((oldest, if revision == 0 { now } else { revision }))
    }
}

impl LeaderWatch {
    /// The next update.
    ///
    /// # Errors
    /// The end of the session, or a refusal that a retry cannot change; before the first update, any error of the request. All
    /// other errors are retried.
    pub async fn next(&mut self) -> Result<LeaderUpdate, Error> {
        let store = self.store.clone();
        tokio::select! {
            biased;
            error = store.ended("leader") => Err(error),
            update = self.step() => update,
        }
    }

    /// Whether etcd does not answer at present.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted || self.watcher.as_ref().is_some_and(Watcher::is_interrupted)
    }

    async fn step(&mut self) -> Result<LeaderUpdate, Error> {
        loop {
            if let Some(revision) = self.to_read.or(self.watcher.is_none().then_some(0)) {
                if let Some(update) = self.read(revision).await? {
                    return Ok(update);
                }
                continue;
            }
            if let Some(event) = self.events.next() {
                if let Some(update) = self.apply(event) {
                    return Ok(update);
                }
                continue;
            }
            let Some(watcher) = &mut self.watcher else { continue };
            match watcher.next().await? {
                WatchUpdate::Events(events) => self.events = events.into_iter(),
                WatchUpdate::Progress => {}
                WatchUpdate::Disconnected(error) => return Ok(LeaderUpdate::Disconnected(error)),
                WatchUpdate::Reconnected => return Ok(LeaderUpdate::Reconnected),
                WatchUpdate::Compacted(revision) => return Ok(self.compacted(revision)),
            }
        }
    }

    fn apply(&mut self, event: WatchEvent) -> Option<LeaderUpdate> {
        let revision = event.kv.mod_revision;
        let next = self.events.as_slice().first().map(|next| next.kv.mod_revision);
        let alone = self.last != revision && next != Some(revision);
        self.last = revision;
        match self.state.effect(&event, alone) {
            LeaderEffect::None => None,
            LeaderEffect::Read => {
                self.to_read = Some(revision);
                None
            }
            LeaderEffect::Elected => {
                self.state.leading = Some(LeadingKey::of(&event.kv));
                Some(LeaderUpdate::Elected(event.kv, revision))
            }
            LeaderEffect::Proclaimed => {
                self.state.leading = Some(LeadingKey::of(&event.kv));
                Some(LeaderUpdate::Proclaimed(event.kv))
            }
        }
    }

    /// Reads the leader at this revision (0: now, and watches from there on). Returns the update if there is one.
    async fn read(&mut self, revision: Revision) -> Result<Option<LeaderUpdate>, Error> {
        let (oldest, at) = match self.store.oldest_key(&self.range, revision).await {
            Ok(read) => read,
            Err(error) if error.is_refusal(Refusal::Compacted) && revision > 0 => {
                return Ok(Some(self.compacted(revision)));
            }
            Err(error) if error.is_transient() && self.begun => {
                if !std::mem::replace(&mut self.interrupted, true) {
                    return Ok(Some(LeaderUpdate::Disconnected(error)));
                }
                sleep(self.backoff.next_delay()).await;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if std::mem::take(&mut self.interrupted) {
            self.backoff.reset();
            // The leader is read again, which costs one request after an interruption.
            return Ok(Some(LeaderUpdate::Reconnected));
        }
        self.to_read = None;
        if self.watcher.is_none() {
            self.events = Vec::new().into_iter();
            let start = at.saturating_add(1);
            let options = WatchOptions { ranges: vec![self.range.clone()], start, known: at, prev: false };
            self.watcher = Some(self.store.watch(options));
        }
        let leading = oldest.as_ref().map(LeadingKey::of);
        let before = std::mem::replace(&mut self.state, LeaderState { leading: leading.clone(), at });
        if std::mem::replace(&mut self.begun, true) && before.leading == leading {
            return Ok(None);
        }
        let same = |before: &LeadingKey, now: &LeadingKey| before.key == now.key && before.created == now.created;
        Ok(Some(match (oldest, before.leading, leading) {
            (None, ..) => LeaderUpdate::Vacant(at),
            (Some(kv), Some(before), Some(now)) if same(&before, &now) => LeaderUpdate::Proclaimed(kv),
            (Some(kv), ..) => LeaderUpdate::Elected(kv, at),
        }))
    }

    /// Begins again with the present leader.
    fn compacted(&mut self, revision: Revision) -> LeaderUpdate {
        self.watcher = None;
        self.to_read = None;
        self.events = Vec::new().into_iter();
        LeaderUpdate::Compacted(revision)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn event(key: &str, created: Revision, modified: Revision, deleted: bool) -> WatchEvent {
        let kv = KeyValue {
            key: key.into(),
            create_revision: created,
            mod_revision: modified,
            version: 1,
            ..KeyValue::default()
        };
        WatchEvent { kv, deleted, prev: None }
    }

    #[test]
    fn only_the_leader_s_key_matters_unless_nobody_leads() {
        let leading = Some(LeadingKey { key: b"n/1".to_vec(), created: 3, modified: 5 });
        let state = LeaderState { leading, at: 6 };
        for (event, effect) in [
            (event("n/2", 7, 7, false), LeaderEffect::None),
            (event("n/1", 0, 8, true), LeaderEffect::Read),
            (event("n/1", 3, 8, false), LeaderEffect::Proclaimed),
            (event("n/1", 8, 8, false), LeaderEffect::Read),
            (event("n/1", 3, 6, false), LeaderEffect::None),
            (event("n/1", 0, 6, true), LeaderEffect::None),
        ] {
            assert_eq!(state.effect(&event, true), effect, "{event:?}");
        }
        let vacant = LeaderState { leading: None, at: 6 };
        assert_eq!(vacant.effect(&event("n/2", 7, 7, false), true), LeaderEffect::Elected);
        assert_eq!(vacant.effect(&event("n/2", 7, 7, false), false), LeaderEffect::Read);
        assert_eq!(vacant.effect(&event("n/2", 0, 7, true), true), LeaderEffect::None);
    }

    /// The keys below a name with their create and mod revisions, after each revision.
    type History = Vec<BTreeMap<u8, (Revision, Revision)>>;

    fn oldest(keys: &BTreeMap<u8, (Revision, Revision)>) -> Option<(u8, Revision, Revision)> {
        let oldest = keys.iter().min_by_key(|(_, (created, _))| *created)?;
        Some((*oldest.0, oldest.1.0, oldest.1.1))
    }

    proptest! {
        /// Each change of the leader is found, whatever the other candidates do, although only events and reads at the
        /// revision of an event are used.
        #[test]
        fn every_leader_and_every_proclamation_is_found(steps in proptest::collection::vec(
            proptest::collection::btree_map(0u8..4, any::<bool>(), 1..3), 1..40)
        ) {
            let (mut history, mut events): (History, Vec<WatchEvent>) = (vec![BTreeMap::new(); 2], Vec::new());
            for (step, revision) in steps.iter().zip(2..) {
                let mut keys = history.last().cloned().unwrap_or_default();
                for (key, deleted) in step {
                    let name = key.to_string();
                    match (keys.get(key).copied(), deleted) {
                        (Some(_), true) => {
                            keys.remove(key);
                            events.push(event(&name, 0, revision, true));
                        }
                        (None, true) => {}
                        (now, false) => {
                            let created = now.map_or(revision, |(created, _)| created);
                            keys.insert(*key, (created, revision));
                            events.push(event(&name, created, revision, false));
                        }
                    }
                }
                history.push(keys);
            }
            let mut expected: Vec<Option<(u8, Revision, Revision)>> = history.iter().map(oldest).collect();
            expected.dedup();
            let mut state = LeaderState { leading: None, at: 1 };
            let mut found = vec![None];
            let id = |kv: &KeyValue| (kv.key[0] - b'0', kv.create_revision, kv.mod_revision);
            for (index, event) in events.iter().enumerate() {
                let revision = event.kv.mod_revision;
                let alone = events.iter().filter(|other| other.kv.mod_revision == revision).count() == 1;
                match state.effect(&events[index], alone) {
                    LeaderEffect::None => {}
                    LeaderEffect::Elected | LeaderEffect::Proclaimed => {
                        state.leading = Some(LeadingKey::of(&event.kv));
                        found.push(Some(id(&event.kv)));
                    }
                    LeaderEffect::Read => {
                        let read = oldest(&history[usize::try_from(revision).unwrap_or(0)]);
                        let key = |key: u8| key.to_string().into_bytes();
                        let leading = read.map(|(name, created, modified)| LeadingKey { key: key(name), created, modified });
                        if state.leading != leading {
                            found.push(read);
                        }
                        state = LeaderState { leading, at: revision };
                    }
                }
            }
            // Two candidates that are created in one revision have no order.
            let twins = |leader: &Option<(u8, Revision, Revision)>| leader.map(|(_, created, modified)| (created, modified));
            prop_assert_eq!(found.iter().map(twins).collect::<Vec<_>>(), expected.iter().map(twins).collect::<Vec<_>>());
        }
    }
}
