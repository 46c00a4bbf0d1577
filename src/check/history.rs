//! How many revisions the store keeps.

use std::time::Duration;

use tokio::time::timeout;

use super::judgement::RuleFault;
use crate::kvstore::{Error, KeyRange, Refusal, Revision, Store, WatchOptions, WatchUpdate};

/// A key that does not exist in practice; reading it costs etcd nothing.
const NO_KEY: &[u8] = b"\0";
/// How long etcd may take to answer a watch.
const WATCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The age of the oldest revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryAge {
    /// The revision of the last compaction; 1 without one.
    pub since: Revision,
    /// The revisions since then.
    pub revisions: u64,
}

/// Asks for the revision of the last compaction. etcd tells it only to a watch that begins before it.
///
/// # Errors
/// An error that ends the command.
pub async fn history_age(store: &Store) -> Result<Result<HistoryAge, RuleFault>, Error> {
    let current = match store.revision().await {
        Ok(revision) => revision,
        Err(error) => return RuleFault::of(error).map(Err),
    };
    let since = match store.get(NO_KEY, 1, None).await {
        Ok(_) => 1,
        Err(error) if error.is_refusal(Refusal::Compacted) => {
            let options = WatchOptions { ranges: vec![KeyRange::key(NO_KEY)], start: 1, known: 1, prev: false };
            let mut watcher = store.watch(options);
            match timeout(WATCH_TIMEOUT, watcher.next()).await {
                Ok(Ok(WatchUpdate::Compacted(revision))) => revision,
                Ok(Ok(WatchUpdate::Disconnected(error)) | Err(error)) => return RuleFault::of(error).map(Err),
                Ok(Ok(_)) | Err(_) => {
                    return Ok(Err(RuleFault::unreachable("etcd does not tell the revision of its last compaction")));
                }
            }
        }
        Err(error) => return RuleFault::of(error).map(Err),
    };
    Ok(Ok(HistoryAge { since, revisions: u64::try_from(current.saturating_sub(since)).unwrap_or(0) }))
}
