//! etcd 3.7's RangeStream: a last range as one answer in chunks, without counting what lies behind each.
//!
//! It takes the place of the windows where there is much to read. Whatever goes wrong with it, the windows go on behind
//! the last key that came; their retries and messages are those of every reading.

use etcd_client::{GetOptions, GetStreamResponse};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::kvstore::error::{Error, Refusal};
use crate::kvstore::key_range::KeyRange;
use crate::kvstore::request::{Request, ResponseHeader};
use crate::kvstore::store::Store;
use crate::kvstore::types::{KeyValue, Revision};

impl ResponseHeader for GetStreamResponse {
    /// Told with the last chunk only.
    fn revision(&self) -> Revision {
        0
    }
}

/// What is read.
pub(crate) struct StreamRequest {
    pub(crate) range: KeyRange,
    /// A revision that is known to exist.
    pub(crate) revision: Revision,
    pub(crate) keys_only: bool,
    /// At most so many keys; 0 for all.
    pub(crate) limit: u64,
}

/// What comes.
pub(crate) enum StreamChunk {
    /// The next keys, at least one.
    Keys(Vec<KeyValue>),
    /// There are no more.
    End,
    /// The server has no such call, or the stream broke.
    Broken,
    /// The command's end.
    Failed(Error),
}

/// A range on its way. While one chunk is used, the next one is received.
pub(crate) struct RangeStream {
    chunks: mpsc::Receiver<StreamChunk>,
    task: JoinHandle<()>,
}

impl RangeStream {
    /// Asks for the range.
    pub(crate) fn start(store: &Store, request: StreamRequest) -> Self {
        let (sender, chunks) = mpsc::channel(1);
        let store = store.clone();
        let task = tokio::spawn(async move {
            let last = store.receive(request, &sender).await.unwrap_or_else(|error| match error {
                Error::Interrupted { .. } | Error::Deadline { .. } => StreamChunk::Failed(error),
                _ => StreamChunk::Broken,
            });
            // Nobody listens any more where the reader was dropped.
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
    /// Receives the chunks up to the end; how it ended.
    async fn receive(&self, request: StreamRequest, sender: &mpsc::Sender<StreamChunk>) -> Result<StreamChunk, Error> {
        let (start, end) = request.range.within(self.namespace()).to_wire();
        let limit = i64::try_from(request.limit).unwrap_or(i64::MAX);
        let mut options = GetOptions::new().with_range(end).with_revision(request.revision).with_limit(limit);
        // What a revision holds never changes, so any member may answer.
        options = options.with_serializable();
        if request.keys_only {
            options = options.with_keys_only();
        }
        let opened = self
            .call(Request { pinned: true, ..Request::read("list", &start) }, |client| {
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
        loop {
            let next = timeout(self.options().op_timeout, stream.message());
            let mut answer = tokio::select! {
                biased;
                error = self.ended("list") => return Err(error),
                answer = next => match answer {
                    Ok(Ok(Some(answer))) => answer,
                    // The last chunk has a header: without one the rest is missing.
                    _ => return Ok(StreamChunk::Broken),
                },
            };
            let last = answer.header().is_some();
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
