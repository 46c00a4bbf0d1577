//! etcd 3.7's RangeStream: a range as one chunked response, without counting the keys after each chunk.
//!
//! It replaces pages for large ranges. If the stream fails, paging continues after the last key received, with its
//! retries and error messages.

use etcd_client::{GetOptions, GetStreamResponse};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::kvstore::error::Error;
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::kv::response_check::check_records;
use crate::kvstore::refusal::Refusal;
use crate::kvstore::request::{Covers, Request};
use crate::kvstore::response_header::ResponseHeader;
use crate::kvstore::store::Store;
use crate::kvstore::types::{KeyValue, Revision};

impl ResponseHeader for GetStreamResponse {
    /// Only the last chunk has a header.
    fn revision(&self) -> Revision {
        0
    }
}

/// The range to read.
pub(crate) struct StreamRequest {
    pub(crate) range: KeyRange,
    /// A revision known to exist.
    pub(crate) revision: Revision,
    pub(crate) keys_only: bool,
    /// The maximum number of keys; 0 for all.
    pub(crate) limit: u64,
}

/// A part of the response.
pub(crate) enum StreamChunk {
    /// The next keys, at least one.
    Keys(Vec<KeyValue>),
    /// The end of the range.
    End,
    /// The server does not support RangeStream, or the stream failed.
    Broken,
    /// An interruption, the command's deadline, or records that were not requested.
    Failed(Error),
}

/// A range that is being received. Receives the next chunk while the caller uses the current one.
pub(crate) struct RangeStream {
    chunks: mpsc::Receiver<StreamChunk>,
    task: JoinHandle<()>,
}

impl RangeStream {
    /// Requests the range.
    pub(crate) fn start(store: &Store, request: StreamRequest) -> Self {
        let (sender, chunks) = mpsc::channel(1);
        let store = store.clone();
        let task = tokio::spawn(async move {
            let last = store.receive(request, &sender).await.unwrap_or_else(|error| match error {
                Error::Interrupted { .. }
                | Error::Deadline { .. }
                | Error::OtherStore { .. }
                | Error::Protocol { .. } => StreamChunk::Failed(error),
                _ => StreamChunk::Broken,
            });
            // The send fails if the reader was dropped.
            let _ = sender.send(last).await;
        });
        Self { chunks, task }
    }

    /// The next chunk.
    pub(crate) async fn next(&mut self) -> StreamChunk {
        self.chunks.recv().await.unwrap_or(StreamChunk::Broken)
    }
}

impl Drop for RangeStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Store {
    /// Forwards the chunks to the reader. Returns how the stream ended.
    async fn receive(&self, request: StreamRequest, sender: &mpsc::Sender<StreamChunk>) -> Result<StreamChunk, Error> {
        let range = request.range.within(self.namespace());
        let (start, end) = range.to_wire();
        let limit = i64::try_from(request.limit).unwrap_or(i64::MAX);
        let mut options = GetOptions::new().with_range(end.clone()).with_revision(request.revision).with_limit(limit);
        // A revision never changes, so any member may answer.
        options = options.with_serializable();
        if request.keys_only {
            options = options.with_keys_only();
        }
        let opened = self
            .call(Request { covers: Covers::Range(&end), pinned: true, ..Request::read("list", &start) }, |client| {
                let (start, options) = (start.clone(), options.clone());
                async move { Self::kv(&client).get_stream(start, Some(options)).await }
            })
            .await;
        let mut stream = match opened {
            Ok(answer) => answer.value,
            Err(error) => {
                if error.is_refusal(Refusal::Unsupported) {
                    self.inner.lacks_range_stream.store(true, std::sync::atomic::Ordering::Relaxed);
                }
                return Err(error);
            }
        };
        let mut last_key: Option<Vec<u8>> = None;
        let mut left = if request.limit == 0 { u64::MAX } else { request.limit };
        loop {
            let next = timeout(self.options().op_timeout, stream.message());
            let mut answer = tokio::select! {
                biased;
                error = self.ended("list") => return Err(error),
                answer = next => match answer {
                    Ok(Ok(Some(answer))) => answer,
                    // Only the last chunk has a header; without it the response is incomplete.
                    _ => return Ok(StreamChunk::Broken),
                },
            };
            let last = answer.header().is_some();
            self.check_header(answer.header(), &self.inner.channel.current())?;
            let invalid = |what: String| Error::Protocol { op: "list", what };
            check_records(&range, request.revision, last_key.as_deref(), &answer.0.kvs).map_err(invalid)?;
            left = left
                .checked_sub(answer.0.kvs.len() as u64)
                .ok_or_else(|| invalid(format!("it has more than the {} keys requested", request.limit)))?;
            if let Some(kv) = answer.0.kvs.last() {
                last_key = Some(kv.key.clone());
            } else if !last {
                // A server that sends empty chunks makes no progress.
                return Ok(StreamChunk::Broken);
            }
            let kvs: Vec<KeyValue> = answer.take_kvs().into_iter().map(|kv| self.take(kv)).collect();
            if !kvs.is_empty() && sender.send(StreamChunk::Keys(kvs)).await.is_err() {
                return Ok(StreamChunk::Broken);
            }
            if last {
                return Ok(StreamChunk::End);
            }
        }
    }
}
