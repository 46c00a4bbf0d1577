//! The messages of etcd's Watch RPC. Events stay as they came, as parts of their response's buffer: decoded at once, those of
//! a backlog would need several times the memory.
//!
//! Wire format: `WatchRequest` and `WatchResponse` of etcd's `api/etcdserverpb/rpc.proto`, `Event` of its `api/mvccpb/kv.proto`.

use etcd_client::proto::PbResponseHeader;
use prost::Message;
use prost::bytes::Bytes;

use crate::kvstore::kv::response_check::check_revisions;
use crate::kvstore::types::{KeyValue, LeaseId, Revision};

/// The memory of an event besides its bytes.
const EVENT_OVERHEAD_BYTES: usize = size_of::<RawEvent>();

/// `WatchRequest`, as far as it creates a watch.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) create_request: Option<WatchCreateRequest>,
}

/// `WatchCreateRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchCreateRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(crate) start_revision: i64,
    #[prost(bool, tag = "4")]
    pub(crate) progress_notify: bool,
    #[prost(bool, tag = "6")]
    pub(crate) prev_kv: bool,
    #[prost(bool, tag = "8")]
    pub(crate) fragment: bool,
}

/// `WatchResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<PbResponseHeader>,
    #[prost(int64, tag = "2")]
    pub(crate) watch_id: i64,
    #[prost(bool, tag = "3")]
    pub(crate) created: bool,
    #[prost(bool, tag = "4")]
    pub(crate) canceled: bool,
    #[prost(int64, tag = "5")]
    pub(crate) compact_revision: i64,
    #[prost(string, tag = "6")]
    pub(crate) cancel_reason: String,
    #[prost(bool, tag = "7")]
    pub(crate) fragment: bool,
    /// Messages of the type [`EventMessage`].
    #[prost(bytes = "bytes", repeated, tag = "11")]
    pub(crate) events: Vec<Bytes>,
}

/// `Event`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EventMessage {
    /// `EventType`: PUT is 0 and DELETE is 1.
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) kv: Option<RecordMessage>,
    #[prost(message, optional, tag = "3")]
    pub(crate) prev_kv: Option<RecordMessage>,
}

/// `KeyValue`, with key and value as parts of the response's buffer.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RecordMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(int64, tag = "2")]
    pub(crate) create_revision: i64,
    #[prost(int64, tag = "3")]
    pub(crate) mod_revision: i64,
    #[prost(int64, tag = "4")]
    pub(crate) version: i64,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) value: Bytes,
    #[prost(int64, tag = "6")]
    pub(crate) lease: i64,
}

impl RecordMessage {
    /// As [`check_revisions`] for this record.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_revisions(&self.key, self.create_revision, self.mod_revision, self.version)
    }

    /// A copy of the record, whose key is absolute.
    pub(crate) fn to_key_value(&self) -> KeyValue {
        KeyValue {
            key: self.key.to_vec(),
            value: self.value.to_vec(),
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            lease: LeaseId::from_wire(self.lease),
        }
    }
}

/// An event as etcd sent it, and its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEvent {
    /// The revision of the change.
    pub(crate) revision: Revision,
    encoded: Bytes,
}

impl RawEvent {
    /// An event that the caller has decoded to check it.
    pub fn new(revision: Revision, encoded: Bytes) -> Self {
        Self { revision, encoded }
    }

    /// Decodes the event; key and value stay parts of the response's buffer. `None` if it is not valid.
    pub(crate) fn decode(&self) -> Option<EventMessage> {
        EventMessage::decode(self.encoded.clone()).ok()
    }

    /// The memory of the event.
    pub(crate) fn bytes(&self) -> usize {
        EVENT_OVERHEAD_BYTES.saturating_add(self.encoded.len())
    }
}

#[cfg(test)]
impl RawEvent {
    /// The put of a record.
    pub(crate) fn put(key: &[u8], value: &[u8], revision: Revision) -> Self {
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        let kv = RecordMessage { key, value, mod_revision: revision, ..RecordMessage::default() };
        let event = EventMessage { kv: Some(kv), ..EventMessage::default() };
        Self::new(revision, event.encode_to_vec().into())
    }
}
