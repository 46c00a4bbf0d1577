//! One stream of etcd's Watch RPC: how it is opened, and what its responses mean.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use prost::bytes::Bytes;
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::kvstore::error::{Error, classify, from_transport};
use crate::kvstore::identity::StoreIdentity;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::kv::response_check::show;
use crate::kvstore::refusal::{Refusal, Verdict, strip_prefix, verdict};
use crate::kvstore::request::Covers;
use crate::kvstore::response_header::check_revision;
use crate::kvstore::store::Store;
use crate::kvstore::token::TokenService;
use crate::kvstore::types::Revision;
use crate::kvstore::watch::wire::{
    EventMessage, RawEvent, RecordMessage, WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::transport::Trace;

const OP: &str = "watch";
/// Time limit for creating a watch, including the dial.
const CREATE_TIMEOUT: Duration = Duration::from_secs(5);

/// A response of a backlog may have this many bytes; a larger one is refused, and requested in fragments. It is in memory as
/// a whole, with up to 8 MiB (the flow control window) of the next one: a watch needs at most 64 MiB for both and the rest.
///
/// etcd sends 1000 revisions of a backlog per response or, if asked, fragments of 1.5 MiB. For each event it adds to a
/// fragment it measures the whole fragment again (`sendFragments` in its `api/v3rpc/watch.go`), so fragmenting takes
/// time quadratic in the events per fragment: many small events arrive several times faster unfragmented.
const MAX_UNFRAGMENTED_BYTES: usize = 36 << 20;
/// A fragment may have this many bytes: one event with its previous record at the largest size of a request that etcd
/// recommends (10 MiB), several times over, and what grpc-proxy passes on as one response.
const MAX_FRAGMENT_BYTES: usize = 128 << 20;

/// How etcd is to send large responses, and the largest one that is accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseForm {
    pub(crate) fragment: bool,
    pub(crate) max_bytes: usize,
}

impl ResponseForm {
    /// Whole responses, or fragments.
    pub(crate) fn of(fragment: bool) -> Self {
        Self { fragment, max_bytes: if fragment { MAX_FRAGMENT_BYTES } else { MAX_UNFRAGMENTED_BYTES } }
    }
}

/// A created watch.
pub(crate) struct OpenedWatch {
    stream: Streaming<WatchResponse>,
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
    Events { events: Vec<RawEvent>, more: bool, told: Revision },
    /// Everything up to this revision has been sent.
    Progress(Revision),
    /// The watch's position is compacted: no events will follow.
    Compacted(Revision),
    /// The stream ended, or the watch was refused.
    Lost(Error),
}

impl Store {
    /// Opens a stream that starts at `next`, with responses of the given form, and waits until the member creates the
    /// watch.
    pub(crate) async fn open_watch_stream(
        &self,
        cover: &KeyRange,
        next: Revision,
        form: ResponseForm,
        prev: bool,
    ) -> Result<OpenedWatch, Error> {
        self.refuse_if_local(OP)?;
        self.wait_for_rate_limit(OP).await?;
        let range = cover.within(self.namespace());
        let (start, end) = range.to_wire();
        let create = WatchCreateRequest {
            key: start.clone(),
            range_end: end.clone(),
            start_revision: next,
            progress_notify: true,
            prev_kv: prev,
            fragment: form.fragment,
        };
        let channel = &self.inner.channel;
        let (generation, sent) = (channel.generation(), Instant::now());
        let granted = timeout(CREATE_TIMEOUT, self.grant_watch(create, form.max_bytes)).await;
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

    async fn grant_watch(&self, create: WatchCreateRequest, max_bytes: usize) -> Result<OpenedWatch, Error> {
        let classified = |status| classified(&self.inner.channel.current(), status);
        self.inner.channel.ready(false).await.map_err(|failure| from_transport(&failure).0)?;
        self.log_in(OP, 0).await.map_err(|(error, _)| error)?;
        let mut stream = self.send_watch(create, max_bytes).await.map_err(classified)?;
        let endpoint = self.inner.channel.current();
        // The first response creates or refuses the watch; both have the "created" flag.
        let Some(answer) = stream.message().await.map_err(classified)? else { return Err(stream_ended(&endpoint)) };
        if !answer.created && !answer.canceled {
            return Err(invalid("the first message does not create the watch"));
        }
        let cluster = answer.header.as_ref().map_or(0, |header| header.cluster_id);
        let checked = self.inner.identity.check_cluster(cluster, &endpoint);
        checked.map_err(|mismatch| Error::OtherStore { mismatch, executed: None })?;
        if answer.canceled && answer.compact_revision == 0 {
            return Err(cancel_error(&answer.cancel_reason, &endpoint));
        }
        let Some(header) = answer.header else { return Err(invalid("it has no header")) };
        let (revision, compacted) = (header.revision, answer.compact_revision);
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

    /// Sends the request on a stream that stays open: etcd ends a watch whose client has ended its own side.
    async fn send_watch(
        &self,
        create: WatchCreateRequest,
        max_bytes: usize,
    ) -> Result<Streaming<WatchResponse>, Status> {
        let channel = TokenService::new(self.inner.channel.clone(), Arc::clone(&self.inner.login));
        let create = WatchRequest { create_request: Some(create) };
        let mut request = Request::new(tokio_stream::once(create).chain(tokio_stream::pending()));
        if !self.is_serializable {
            request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        }
        let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
        let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
        let mut grpc = Grpc::new(channel).max_decoding_message_size(max_bytes);
        Ok(grpc.streaming(request, path, codec).await?.into_inner())
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
    fn check(&self, events: Vec<Bytes>) -> Result<Vec<RawEvent>, Error> {
        let mut last = 0;
        let mut checked = Vec::with_capacity(events.len());
        for encoded in events {
            let event = EventMessage::decode(encoded.clone());
            let event = event.map_err(|error| invalid(format!("an event cannot be decoded: {error}")))?;
            let Some(kv) = &event.kv else { return Err(invalid("an event has no key")) };
            if !matches!(event.kind, 0 | 1) {
                return Err(invalid(format!("an event has the unknown type {}", event.kind)));
            }
            if kv.key.is_empty() || !self.range.contains(&kv.key) {
                return Err(invalid(format!("key '{}' is not watched", show(&kv.key))));
            }
            event.prev_kv.iter().chain([kv]).try_for_each(RecordMessage::check).map_err(invalid)?;
            if kv.mod_revision < last {
                return Err(invalid(format!("an event of revision {} follows revision {last}", kv.mod_revision)));
            }
            last = kv.mod_revision;
            checked.push(RawEvent::new(last, encoded));
        }
        Ok(checked)
    }

    /// The next response that is not empty.
    pub(crate) async fn next_message(&mut self) -> WatchMessage {
        if self.compacted > 0 {
            return WatchMessage::Compacted(self.compacted);
        }
        loop {
            let answer = match self.stream.message().await {
                Ok(Some(answer)) => answer,
                Ok(None) => return WatchMessage::Lost(stream_ended(&self.endpoint)),
                Err(status) => return WatchMessage::Lost(classified(&self.endpoint, status)),
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
            return match self.check(answer.events) {
                Ok(events) => WatchMessage::Events { events, more: answer.fragment, told: header_revision },
                Err(error) => WatchMessage::Lost(error),
            };
        }
    }
}

fn invalid(what: impl Into<String>) -> Error {
    Error::Protocol { op: OP, what: what.into() }
}

fn classified(endpoint: &str, status: Status) -> Error {
    classify(OP, endpoint, etcd_client::Error::GRpcStatus(status)).0
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
