//! What a key was before: `get --history`.

use std::collections::VecDeque;

use tokio::time::timeout;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, KeyValue, Refusal, Revision, WatchEvent, WatchOptions, WatchUpdate};
use crate::output::{DeletedRow, Sink, bytes};

/// Shows at most `most` values and deletions of the key, from `rev` (0 for now) back.
///
/// # Errors
/// As the verb.
pub async fn run(ctx: &Context, key: &[u8], rev: Revision, most: u64) -> Result<Exit, Failure> {
    let mut history = KeyHistory { ctx, key, sink: ctx.out.stream(), shown: 0, most };
    let (now, revision) = ctx.store().get(key, rev, None).await?;
    let before = match now {
        Some(kv) => history.present_life(kv).await?,
        None => Some(SearchEnd { below: revision + 1, created: false }),
    };
    if let Some(before) = before.filter(|_| history.shown < most) {
        history.earlier_lives(before).await?;
    }
    history.sink.finish()?;
    if history.shown == 0 {
        ctx.out.note(&format!("no key {}", bytes::escape(key)));
        return Ok(Exit::No);
    }
    Ok(Exit::Done)
}

struct KeyHistory<'a> {
    ctx: &'a Context,
    key: &'a [u8],
    sink: Sink,
    shown: u64,
    most: u64,
}

/// Where the search for earlier lives ends.
struct SearchEnd {
    /// Below this revision.
    below: Revision,
    /// Whether the key was created in that revision, so that etcd will tell of it.
    created: bool,
}

impl KeyHistory<'_> {
    /// Steps back from change to change: what a key was before its last change is what it is at the revision before.
    async fn present_life(&mut self, newest: KeyValue) -> Result<Option<SearchEnd>, Failure> {
        let mut kv = newest;
        loop {
            self.sink.push(&kv)?;
            self.shown += 1;
            if kv.version <= 1 {
                return Ok(Some(SearchEnd { below: kv.mod_revision, created: true }));
            }
            if self.shown == self.most {
                return Ok(None);
            }
            kv = match self.ctx.store().get(self.key, kv.mod_revision - 1, None).await {
                Ok((Some(earlier), _)) => earlier,
                Ok((None, _)) => return Ok(None),
                Err(error) if error.is_refusal(Refusal::Compacted) => {
                    self.compacted(kv.mod_revision);
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
        }
    }

    fn compacted(&self, revision: Revision) {
        self.ctx.out.note(&format!("what was before revision {revision} has been compacted"));
    }

    /// Only a watch tells of deletions; it tells them from the oldest on.
    async fn earlier_lives(&mut self, end: SearchEnd) -> Result<(), Failure> {
        let most = usize::try_from(self.most - self.shown).unwrap_or(usize::MAX);
        let (mut events, compacted) = self.events(&end, most).await?;
        if let Some(compacted) = compacted.filter(|_| events.len() < most)
            && let Ok((Some(kv), _)) = self.ctx.store().get(self.key, compacted, None).await
            && kv.mod_revision < end.below
        {
            events.push_front(WatchEvent { kv, deleted: false, prev: None });
        }
        let all = events.len() < most;
        for event in events.into_iter().rev() {
            self.shown += 1;
            if event.deleted {
                self.sink.push(&DeletedRow { key: self.key, revision: event.kv.mod_revision })?;
            } else {
                self.sink.push(&event.kv)?;
            }
        }
        if let Some(compacted) = compacted.filter(|_| all) {
            self.compacted(compacted);
        }
        Ok(())
    }

    /// The newest `most` events below the end, the oldest first; and the revision that the store is compacted at.
    async fn events(&self, end: &SearchEnd, most: usize) -> Result<(VecDeque<WatchEvent>, Option<Revision>), Failure> {
        let (mut events, mut compacted, mut away) = (VecDeque::new(), None, None);
        let ranges = vec![KeyRange::key(self.key)];
        let options = WatchOptions { ranges, start: 1, known: end.below - 1, prev: false };
        let store = self.ctx.store();
        let mut watcher = store.watch(options);
        let progress = self.ctx.out.progress("looking for earlier lives", None);
        while watcher.next_revision() < end.below {
            progress.wait();
            let told = timeout(store.options().op_timeout, watcher.next()).await;
            if let (Err(_), Some(why)) = (&told, away.take()) {
                return Err(Failure::from(why));
            }
            let told = match told {
                Ok(told) => told?,
                // What was created is told of; so is the end of a life that was told of.
                Err(_) if end.created || events.back().is_some_and(|event: &WatchEvent| !event.deleted) => continue,
                Err(_) => break,
            };
            match told {
                WatchUpdate::Events(told) => {
                    for event in told.into_iter().filter(|event| event.kv.mod_revision < end.below) {
                        events.push_back(event);
                        if events.len() > most {
                            events.pop_front();
                        }
                    }
                }
                WatchUpdate::Compacted(revision) => {
                    compacted = Some(revision);
                    watcher.move_to(revision + 1);
                }
                WatchUpdate::Disconnected(why) => away = Some(why),
                WatchUpdate::Reconnected => away = None,
                WatchUpdate::Progress => {}
            }
        }
        progress.finish();
        Ok((events, compacted))
    }
}
