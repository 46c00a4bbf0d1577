//! One stream of etcd's Watch RPC: how it is opened, and what its responses mean.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::PbEvent;
use tokio::time::{Instant, timeout};

use crate::kvstore::error::{Error, classify, from_transport};
use crate::kvstore::identity::StoreIdentity;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::kv::response_check::{check_revisions, show};
use crate::kvstore::refusal::{Refusal, Verdict, strip_prefix, verdict};
use crate::kvstore::request::Covers;
use crate::kvstore::response_header::check_revision;
use crate::kvstore::store::Store;
use crate::kvstore::types::Revision;
use crate::transport::Trace;

const OP: &str = "watch";
/// Time limit for creating a watch, including the dial.
const CREATE_TIMEOUT: Duration = Duration::from_secs(5);

/// A response of a backlog may have this many bytes; a larger one is refused, and requested in fragments.
///
/// etcd sends 1000 revisions of a backlog per response or, if asked, fragments of 1.5 MiB. For each event it adds to a
/// fragment it measures the whole fragment again (`sendFragments` in its `api/v3rpc/watch.go`), so fragmenting takes
/// time quadratic in the events per fragment: many small events arrive several times faster unfragmented.
const MAX_UNFRAGMENTED_BYTES: usize = 64 << 20;
/// A fragment may have this many bytes: one event with its previous record at the largest size of a request that etcd
/// recommends (10 MiB), several times over, and what grpc-proxy passes on as one response.
const MAX_FRAGMENT_BYTES: usize = 128 << 20;

/// A created watch.
pub(crate) struct OpenedWatch {
    stream: etcd_client::WatchStream,
    identity: Arc<StoreIdentity>,
    /// The watched range, absolute.
    range: KeyRange,
    endpoint: String,
    generation: u64,
    since: Instant,
    /// The member's revision when it created the watch.
    pub(crate) revision: Revision,
    /// The same revision until the first response is read: events up to it are a backlog.
    pub(crate) unread_up_to: Revision,
    /// The compaction revision if the start was already compacted; 0 otherwise.
    compacted: Revision,
}

/// The meaning of a response.
pub(crate) enum WatchMessage {
    /// Changes; continued in another response if `more`. `told` is the member's revision when it sent them.
    Events { events: Vec<PbEvent>, more: bool, told: Revision },
    /// Everything up to this revision has been sent.
    Progress(Revision),
    /// The watch's position is compacted: no events will follow.
    Compacted(Revision),
    /// The stream ended, or the watch was refused.
    Lost(Error),
}

impl Store {
    /// Opens a stream that starts at `next`, optionally with fragmented responses, and waits until the member creates
    /// the watch.
    pub(crate) async fn open_watch_stream(
        &self,
        cover: &KeyRange,
        next: Revision,
        fragment: bool,
        prev: bool,
    ) -> Result<OpenedWatch, Error> {
        self.refuse_if_local(OP)?;
        self.wait_for_rate_limit(OP).await?;
        let range = cover.within(self.namespace());
        let (start, end) = range.to_wire();
        let mut options =
            etcd_client::WatchOptions::new().with_range(end.clone()).with_start_revision(next).with_progress_notify();
        if prev {
            options = options.with_prev_key();
        }
        if fragment {
            options = options.with_fragment();
        }
        let channel = &self.inner.channel;
        let (generation, sent) = (channel.generation(), Instant::now());
        let max_bytes = if fragment { MAX_FRAGMENT_BYTES } else { MAX_UNFRAGMENTED_BYTES };
        let granted = timeout(CREATE_TIMEOUT, self.grant_watch(&start, options, max_bytes)).await;
        let result = granted.unwrap_or_else(|_| {
            let after = CREATE_TIMEOUT;
            Err(Error::Timeout { op: OP, endpoint: channel.current(), after })
        });
        let covers = if end.is_empty() { Covers::FirstKey } else { Covers::Range(&end) };
        let result = result.map_err(|error| self.name_denied(error, &start, covers));
        if self.session.observer.traces() {
            let error = result.as_ref().err().map(ToString::to_string);
            self.session.observer.request(&Trace {
                op: OP,
                key: &start,
                guard: "",
                revision: next,
                took: sent.elapsed(),
                endpoint: &channel.current(),
                error: error.as_deref(),
            });
        }
        if result.is_err() {
            channel.invalidate(generation);
        }
        result.map(|open| OpenedWatch { range, generation, ..open })
    }

    async fn grant_watch(
        &self,
        start: &[u8],
        options: etcd_client::WatchOptions,
        max_bytes: usize,
    ) -> Result<OpenedWatch, Error> {
        let classified = |error| classify(OP, &self.inner.channel.current(), error).0;
        self.inner.channel.ready(false).await.map_err(|failure| from_transport(&failure).0)?;
        let client = self.client(OP, !self.is_serializable).await.map_err(|(error, _)| error)?;
        let mut watching = client.watch_client().max_decoding_message_size(max_bytes);
        let mut stream = watching.watch(start, Some(options)).await.map_err(classified)?;
        let endpoint = self.inner.channel.current();
        // The first response creates or refuses the watch; both have the "created" flag.
        let Some(answer) = stream.message().await.map_err(classified)? else { return Err(stream_ended(&endpoint)) };
        if !answer.created() && !answer.canceled() {
            return Err(invalid("the first message does not create the watch"));
        }
        self.check_header(answer.header(), &endpoint)?;
        if answer.canceled() && answer.compact_revision() == 0 {
            return Err(cancel_error(answer.cancel_reason(), &endpoint));
        }
        let Some(header) = answer.header() else { return Err(invalid("it has no header")) };
        let (revision, compacted) = (header.revision(), answer.compact_revision());
        check_revision(revision).and_then(|()| check_revision(compacted)).map_err(invalid)?;
        Ok(OpenedWatch {
            stream,
            identity: Arc::clone(&self.inner.identity),
            range: KeyRange::prefix(&[]),
            endpoint,
            generation: 0,
            since: Instant::now(),
            revision,
            unread_up_to: revision,
            compacted,
        })
    }

    /// Requests a new auth token; `false` if that is not possible now.
    pub(crate) async fn refresh_token(&self) -> Result<bool, Error> {
        match timeout(CREATE_TIMEOUT, self.log_in(OP, self.inner.login.generation())).await {
            Ok(Err((error, _))) if is_final(&error) => Err(error),
            Ok(Err(_)) | Err(_) => Ok(false),
            Ok(Ok(())) => Ok(true),
        }
    }
}

impl OpenedWatch {
    /// The time since the stream was opened.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Makes the next stream use another endpoint, if there is one.
    pub(crate) fn invalidate(&self, store: &Store) {
        store.inner.channel.invalidate(self.generation);
    }

    /// Checks that each event is a put or a deletion of a watched key, in the order of revisions.
    fn check(&self, events: &[PbEvent]) -> Result<(), Error> {
        let mut last = 0;
        for event in events {
            let Some(kv) = &event.kv else { return Err(invalid("an event has no key")) };
            // In mvccpb.Event.EventType, PUT is 0 and DELETE is 1.
            if !matches!(event.r#type, 0 | 1) {
                return Err(invalid(format!("an event has the unknown type {}", event.r#type)));
            }
            if kv.key.is_empty() || !self.range.contains(&kv.key) {
                return Err(invalid(format!("key '{}' is not watched", show(&kv.key))));
            }
            event.prev_kv.iter().chain([kv]).try_for_each(check_revisions).map_err(invalid)?;
            if kv.mod_revision < last {
                return Err(invalid(format!("an event of revision {} follows revision {last}", kv.mod_revision)));
            }
            last = kv.mod_revision;
        }
        Ok(())
    }

    /// The next response that is not empty.
    pub(crate) async fn next_message(&mut self) -> WatchMessage {
        if self.compacted > 0 {
            return WatchMessage::Compacted(self.compacted);
        }
        loop {
            let mut answer = match self.stream.message().await {
                Ok(Some(answer)) => answer.0,
                Ok(None) => return WatchMessage::Lost(stream_ended(&self.endpoint)),
                Err(error) => return WatchMessage::Lost(classify(OP, &self.endpoint, error).0),
            };
            let header_revision = answer.header.as_ref().map_or(0, |header| header.revision);
            if let Err(what) = check_revision(header_revision).and_then(|()| check_revision(answer.compact_revision)) {
                return WatchMessage::Lost(invalid(what));
            }
            let cluster = answer.header.as_ref().map_or(0, |header| header.cluster_id);
            if let Err(mismatch) = self.identity.check_cluster(cluster, &self.endpoint) {
                return WatchMessage::Lost(Error::OtherStore { mismatch, executed: None });
            }
            // A refused or compacted watch may have the "created" flag too.
            if answer.compact_revision > 0 {
                return WatchMessage::Compacted(answer.compact_revision);
            }
            if answer.canceled {
                return WatchMessage::Lost(cancel_error(&answer.cancel_reason, &self.endpoint));
            }
            // A response to another client's progress request; old servers send it too early.
            if answer.created || answer.watch_id < 0 {
                continue;
            }
            if answer.events.is_empty() {
                return WatchMessage::Progress(header_revision);
            }
            if let Err(error) = self.check(&answer.events) {
                return WatchMessage::Lost(error);
            }
            return WatchMessage::Events {
                events: std::mem::take(&mut answer.events),
                more: answer.fragment,
                told: header_revision,
            };
        }
    }
}

fn invalid(what: impl Into<String>) -> Error {
    Error::Protocol { op: OP, what: what.into() }
}

fn stream_ended(endpoint: &str) -> Error {
    Error::Broken { endpoint: endpoint.to_owned(), cause: "the member closed the watch stream".to_owned() }
}

/// Parses a watch's cancel reason: `rpc error: code = X desc = Y`.
fn cancel_error(reason: &str, endpoint: &str) -> Error {
    let text = reason.split_once("desc = ").map_or(reason, |(_, text)| text);
    let message = strip_prefix(text).to_owned();
    match verdict(tonic::Code::Unknown, text) {
        Verdict::NotProcessed | Verdict::Refused(Refusal::Other) | Verdict::Open => {
            Error::Unavailable { op: OP, endpoint: endpoint.to_owned(), message }
        }
        Verdict::Refused(kind) => Error::Refused { op: OP, kind, message },
    }
}

/// Whether a retry with a new auth token may succeed.
pub(crate) fn is_auth_error(error: &Error) -> bool {
    [Refusal::Permission, Refusal::BadToken, Refusal::StaleAuth, Refusal::NoUser]
        .iter()
        .any(|kind| error.is_refusal(*kind))
}

/// Whether a retry cannot succeed.
pub(crate) fn is_final(error: &Error) -> bool {
    match error {
        Error::Tls(_)
        | Error::Local { .. }
        | Error::OtherStore { .. }
        | Error::Interrupted { .. }
        | Error::Deadline { .. }
        | Error::Protocol { .. } => true,
        Error::Refused { kind, .. } => {
            matches!(kind, Refusal::BadPassword | Refusal::Unsupported | Refusal::FutureRevision)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read() {
        let denied = cancel_error("rpc error: code = PermissionDenied desc = etcdserver: permission denied", "e");
        assert!(denied.is_refusal(Refusal::Permission) && is_auth_error(&denied), "{denied}");
        let token = cancel_error("rpc error: code = Unauthenticated desc = etcdserver: invalid auth token", "e");
        assert!(token.is_refusal(Refusal::BadToken) && !is_final(&token), "{token}");
        let nobody = cancel_error("rpc error: code = InvalidArgument desc = etcdserver: user name is empty", "e");
        assert!(nobody.is_refusal(Refusal::NoUser) && is_auth_error(&nobody), "{nobody}");
        let other = cancel_error("", "e");
        assert!(matches!(other, Error::Unavailable { .. }), "{other}");
    }
}
