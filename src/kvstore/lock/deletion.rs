//! Waiting for the deletion of a lock key.

use std::time::Duration;

use etcd_client::{GetOptions, WatchFilterType, WatchOptions};
use tokio::time::{interval, sleep, timeout};

use super::created;
use crate::kvstore::backoff::Backoff;
use crate::kvstore::error::{Error, classify};
use crate::kvstore::request::Request;
use crate::kvstore::store::Store;
use crate::kvstore::types::Revision;

/// How often a deletion watch that was created too late for prompt events is replaced by a new one. If other clients
/// write all the time, every watch is too late; etcd then sends its events within 100 ms.
const MAX_REWATCHES: u32 = 3;
/// How often a deletion watch checks whether its connection is still the one that calls use.
const CONNECTION_CHECK: Duration = Duration::from_millis(250);

impl Store {
    /// Waits until the absolute key with this create revision, which existed at revision `known`, is deleted. Retries
    /// transient errors. Returns a revision at which the key did not exist.
    ///
    /// # Errors
    /// A refusal by etcd, an interruption, or the command's deadline.
    pub async fn wait_deleted(&self, key: &[u8], created: Revision, mut known: Revision) -> Result<Revision, Error> {
        let mut backoff = Backoff::default();
        let mut broken = false;
        loop {
            match self.watch_deletion(key, created, &mut known).await {
                Ok(Some(gone)) => return Ok(gone),
                // The user may not watch the key, or the stream ended: poll instead.
                Ok(None) => {}
                // After a broken connection the key is watched again as soon as etcd answers.
                Err(error) if error.is_transient() => broken = true,
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = self.session.cancel.cancelled() => {
                    return Err(Error::Interrupted { op: "lock watch", unknown: false });
                }
                () = sleep(backoff.next_delay()) => {}
            }
            match self.key_exists(key, created).await {
                Ok((false, revision)) => return Ok(revision),
                Ok((true, revision)) => {
                    known = revision;
                    if std::mem::take(&mut broken) {
                        backoff.reset();
                    }
                }
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn key_exists(&self, key: &[u8], created_in: Revision) -> Result<(bool, Revision), Error> {
        let (revision, found) =
            self.lock_range(Request::read("lock look", key), GetOptions::new().with_keys_only()).await?;
        Ok((found.first().map(created) == Some(created_in), revision))
    }

    /// Watches the key for its deletion after `known`. Returns a revision at which it did not exist, or `None` if the
    /// stream ended.
    async fn watch_deletion(
        &self,
        key: &[u8],
        created: Revision,
        known: &mut Revision,
    ) -> Result<Option<Revision>, Error> {
        let op = "lock watch";
        let generation = self.inner.channel.generation();
        let classified = |error| classify(op, &self.inner.channel.current(), error).0;
        // From a future revision: for such a watch etcd sends events at once, without scanning its history.
        let from = |known: Revision| {
            WatchOptions::new().with_start_revision(known.saturating_add(1)).with_filters(vec![WatchFilterType::NoPut])
        };
        let mut rewatches = MAX_REWATCHES;
        let limit = self.inner.options.op_timeout;
        let open = async {
            let client = self.client(op, true).await.map_err(|(error, _)| error)?;
            client.watch_client().watch(key.to_vec(), Some(from(*known))).await.map_err(classified)
        };
        let opened = timeout(limit, open).await;
        let endpoint = self.inner.channel.current();
        let mut stream = match opened {
            Ok(opened) => opened?,
            Err(_) => {
                self.inner.channel.invalidate(generation);
                return Err(Error::Timeout { op, endpoint, after: limit });
            }
        };
        loop {
            let message = tokio::select! {
                message = stream.message() => message.map_err(classified)?,
                // Another call got no answer on this connection. The watch might not hear of the deletion either.
                () = self.connection_left(generation) => {
                    let cause = "another request was not answered in time".to_owned();
                    return Err(Error::Broken { endpoint, cause });
                }
            };
            let Some(message) = message else { return Ok(None) };
            if message.canceled() {
                return Ok(None);
            }
            let deleted = |event: &etcd_client::Event| {
                let at = event.kv().map(etcd_client::KeyValue::mod_revision);
                // The library's event_type() panics on an unknown type. DELETE is 1 in mvccpb.Event.EventType.
                at.filter(|at| event.0.r#type == 1 && at > known)
            };
            if let Some(gone) = message.events().iter().find_map(deleted) {
                return Ok(Some(gone));
            }
            let changed = message.header().is_some_and(|header| header.revision() != *known);
            if message.created() && changed {
                // The store changed before the watch was created; etcd would send the event with a delay. A lower revision is
                // that of another store, which the read finds out.
                let (there, revision) = self.key_exists(key, created).await?;
                if !there {
                    return Ok(Some(revision));
                }
                *known = revision;
                if rewatches > 0 {
                    rewatches = rewatches.saturating_sub(1);
                    stream.watch(key.to_vec(), Some(from(revision))).await.map_err(classified)?;
                }
            }
        }
    }

    /// Waits until calls use another connection than that of this generation.
    async fn connection_left(&self, generation: u64) {
        let mut check = interval(CONNECTION_CHECK);
        while self.inner.channel.generation() == generation {
            check.tick().await;
        }
    }
}
