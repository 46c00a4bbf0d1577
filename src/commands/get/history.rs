//! `get --history`: the earlier values and deletions of a key.

use std::collections::VecDeque;

use tokio::time::timeout;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Error, KeyRange, KeyValue, Refusal, Revision, WatchEvent, WatchOptions, WatchUpdate};
use crate::output::{ChangeKind, HistoryRow, Sink, bytes};

/// An event that is known to exist may take etcd several operation timeouts if the history is long.
const MAX_SILENT_TIMEOUTS: u32 = 10;

/// Prints at most `limit` values and deletions of the key, from `rev` (0: the current revision) backwards.
pub async fn run(ctx: &Context, key: &[u8], rev: Revision, limit: u64) -> Result<Exit, Failure> {
    let mut history = KeyHistory { ctx, key, sink: ctx.out.stream(), printed: 0, limit };
    let (now, revision) = ctx.store().get(key, rev, None).await?;
    let before = match now {
        _ if history.of_database(revision)? => None,
        Some(kv) => history.current_incarnation(kv).await?,
        None => Some(SearchEnd { below: revision + 1, created: false }),
    };
    if let Some(before) = before.filter(|_| history.printed < limit) {
        history.earlier_incarnations(before).await?;
    }
    history.sink.finish()?;
    if history.printed == 0 {
        ctx.out.note(&format!("key not found: {}", bytes::name(key)));
        return Ok(Exit::No);
    }
    Ok(Exit::Done)
}

struct KeyHistory<'a> {
    ctx: &'a Context,
    key: &'a [u8],
    sink: Sink,
    printed: u64,
    limit: u64,
}

/// The end of the search for earlier incarnations of the key.
struct SearchEnd {
    /// Only changes before this revision count.
    below: Revision,
    /// Whether the key was created in that revision, so that the watch delivers that event.
    created: bool,
}

impl KeyHistory<'_> {
    /// Steps back from change to change: the previous value is the one at the revision before the change.
    async fn current_incarnation(&mut self, newest: KeyValue) -> Result<Option<SearchEnd>, Failure> {
        let mut kv = newest;
        loop {
            self.push(&kv, false)?;
            // Before revision 1 there is nothing, whatever the version says.
            if kv.version <= 1 || kv.mod_revision <= 1 {
                return Ok(Some(SearchEnd { below: kv.mod_revision, created: true }));
            }
            if self.printed == self.limit {
                return Ok(None);
            }
            kv = match self.ctx.store().get(self.key, kv.mod_revision - 1, None).await {
                Ok((Some(earlier), _)) => earlier,
                Ok((None, _)) => return Ok(None),
                Err(error) if error.is_refusal(Refusal::Compacted) => {
                    self.note_compacted(kv.mod_revision);
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
        }
    }

    /// Prints the revisions that the database file holds, if a file is read: reading the key has found them.
    fn of_database(&mut self, revision: Revision) -> Result<bool, Failure> {
        let Some(database) = self.ctx.database() else { return Ok(false) };
        let absolute = self.ctx.store().absolute(self.key);
        let failure = |error| database.error(error);
        let found = database.revisions_of(&absolute, revision).map_err(failure)?;
        for at in found.iter().rev() {
            if self.printed == self.limit {
                return Ok(true);
            }
            if self.ctx.signals.cancel().is_cancelled() {
                return Err(Failure::new(Exit::Interrupted, "interrupted"));
            }
            let record = database.record_of(&absolute, *at).map_err(failure)?;
            self.push(&KeyValue { key: self.key.to_vec(), ..record }, at.is_tombstone)?;
        }
        if database.oldest() > 1 {
            self.note_compacted(database.oldest());
        }
        Ok(true)
    }

    fn push(&mut self, kv: &KeyValue, deleted: bool) -> Result<(), Failure> {
        let event = match kv.version {
            _ if deleted => ChangeKind::Deleted,
            1 => ChangeKind::Created,
            _ => ChangeKind::Modified,
        };
        self.printed += 1;
        Ok(self.sink.push(&HistoryRow { event, kv })?)
    }

    fn note_compacted(&self, revision: Revision) {
        self.ctx.out.note(&format!("revisions before {revision} have been compacted"));
    }

    /// Only a watch delivers deletions, and it delivers the oldest first.
    async fn earlier_incarnations(&mut self, end: SearchEnd) -> Result<(), Failure> {
        let limit = usize::try_from(self.limit - self.printed).unwrap_or(usize::MAX);
        let (mut events, compacted) = self.events(&end, limit).await?;
        if let Some(compacted) = compacted.filter(|_| events.len() < limit)
            && let Ok((Some(kv), _)) = self.ctx.store().get(self.key, compacted, None).await
            && kv.mod_revision < end.below
        {
            events.push_front(WatchEvent { kv, deleted: false, prev: None });
        }
        let complete = events.len() < limit;
        for event in events.into_iter().rev() {
            self.push(&event.kv, event.deleted)?;
        }
        if let Some(compacted) = compacted.filter(|_| complete) {
            self.note_compacted(compacted);
        }
        Ok(())
    }

    /// The newest `limit` events before the end, oldest first, and the revision the store is compacted to.
    async fn events(&self, end: &SearchEnd, limit: usize) -> Result<(VecDeque<WatchEvent>, Option<Revision>), Failure> {
        let (mut events, mut compacted, mut interruption) = (VecDeque::new(), None, None);
        let ranges = vec![KeyRange::key(self.key)];
        let options = WatchOptions { ranges, start: 1, known: end.below - 1, prev: false };
        let store = self.ctx.store();
        let mut watcher = store.watch(options);
        let progress = self.ctx.out.progress("reading the history", None);
        let mut silent = 0;
        while watcher.next_revision() < end.below {
            progress.tick();
            let update = timeout(store.options().op_timeout, watcher.next()).await;
            if let (Err(_), Some(why)) = (&update, interruption.take()) {
                return Err(Failure::from(why));
            }
            silent = if update.is_ok() { 0 } else { silent + 1 };
            if silent >= MAX_SILENT_TIMEOUTS {
                let (endpoint, after) = ("etcd".to_owned(), store.options().op_timeout * silent);
                return Err(Error::Timeout { op: "get", endpoint, after }.into());
            }
            let update = match update {
                Ok(update) => update?,
                // The event of a known creation, or of the end of a known incarnation, still arrives.
                Err(_) if end.created || events.back().is_some_and(|event: &WatchEvent| !event.deleted) => continue,
                Err(_) => break,
            };
            match update {
                WatchUpdate::Events(changes) => {
                    for event in changes.into_iter().filter(|event| event.kv.mod_revision < end.below) {
                        events.push_back(event);
                        if events.len() > limit {
                            events.pop_front();
                        }
                    }
                }
                WatchUpdate::Compacted(revision) => {
                    compacted = Some(revision);
                    watcher.move_to(revision + 1);
                }
                WatchUpdate::Disconnected(why) => interruption = Some(why),
                WatchUpdate::Reconnected => interruption = None,
                WatchUpdate::Progress => {}
            }
        }
        progress.finish();
        Ok((events, compacted))
    }
}
