//! A member's database as etcd streams it (Maintenance.Snapshot).
//!
//! etcd sends the database file in chunks of 32 KiB, each with the number of bytes that follow, and then the SHA-256 of the
//! file in a chunk of its own (`Snapshot` in its `server/etcdserver/api/v3rpc/maintenance.go`). The chunks have no header.
//! A snapshot comes from one member: a stream that breaks is not continued, because the files of two members differ.

use std::sync::atomic::AtomicBool;
use std::vec;

use etcd_client::{Client, SnapshotResponse, SnapshotStreaming};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::kvstore::error::{Error, classify};
use crate::kvstore::request::Request;
use crate::kvstore::response_header::ResponseHeader;
use crate::kvstore::store::Store;
use crate::kvstore::timeout::{Timeout, while_responsive};
use crate::kvstore::types::Revision;

const OP: &str = "snapshot";

/// The length of the SHA-256 that follows the database.
pub const DIGEST_BYTES: u64 = 32;
/// The largest database that is accepted, in bytes: more than a hundred times the 8 GiB that etcd recommends at most.
const MAX_DATABASE_BYTES: u64 = 1 << 40;
/// Chunks are passed to the reader in batches of at least this size: a wake-up of the reader costs more than a chunk.
const BATCH_BYTES: usize = 256 << 10;

impl ResponseHeader for SnapshotStreaming {
    fn revision(&self) -> Revision {
        0
    }
}

/// A snapshot that is being received: the database, and the 32 bytes of its SHA-256. The next chunks are received while
/// the caller uses the current one; memory does not depend on the database's size.
#[derive(Debug)]
pub struct SnapshotStream {
    endpoint: String,
    storage_version: String,
    total_bytes: u64,
    /// Bytes that the caller has not received.
    left_bytes: u64,
    batch: vec::IntoIter<Vec<u8>>,
    batches: mpsc::Receiver<Result<Vec<Vec<u8>>, Error>>,
    task: JoinHandle<()>,
}

impl SnapshotStream {
    /// The endpoint of the member that sends the snapshot.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The version of the database's schema, such as `3.6.0`; empty before etcd 3.6.
    pub fn storage_version(&self) -> &str {
        &self.storage_version
    }

    /// The length of the whole snapshot in bytes, [`DIGEST_BYTES`] included, as the member has announced it.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// The next bytes of the snapshot, at least one; `None` when exactly [`SnapshotStream::total_bytes`] have been returned.
    /// The last 32 bytes are the member's SHA-256 of all others, which the caller must check.
    ///
    /// # Errors
    /// [`Error::Broken`] if the stream ends early, [`Error::Timeout`] if the member sends nothing for the operation timeout
    /// and does not answer health checks either, [`Error::Protocol`] if the chunks contradict the announced length,
    /// [`Error::Interrupted`], [`Error::Deadline`], or etcd's refusal.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            if let Some(bytes) = self.batch.next() {
                self.left_bytes = self.left_bytes.saturating_sub(bytes.len() as u64);
                return Ok(Some(bytes));
            }
            if self.left_bytes == 0 {
                return Ok(None);
            }
            match self.batches.recv().await {
                Some(batch) => self.batch = batch?.into_iter(),
                // The runtime is shutting down.
                None => return Err(Error::Interrupted { op: OP, unknown: false }),
            }
        }
    }
}

impl Drop for SnapshotStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Store {
    /// Requests a snapshot of the database of the member in use; [`Store::member`] selects the member. Needs neither a
    /// leader nor a quorum. The whole store is in it, whatever the namespace. Waits until the first bytes have arrived.
    ///
    /// With authentication, etcd serves it to the role `root` only.
    ///
    /// # Errors
    /// As [`SnapshotStream::next`], or any other error of the request.
    pub async fn snapshot(&self) -> Result<SnapshotStream, Error> {
        let request = Request { needs_leader: false, timeout: Timeout::WhileResponsive, ..Request::read(OP, &[]) };
        let send = |client: Client| async move { client.maintenance_client().snapshot().await };
        let responses = self.call(request, send).await?.value;
        let endpoint = self.inner.channel.current();
        let client = self.client(OP, false).await.map_err(|(error, _)| error)?;
        let (check, store) = (ChunkCheck::default(), self.clone());
        let mut source = SnapshotSource { store, client, responses, endpoint: endpoint.clone(), check };
        let first = source.receive().await?;
        let database_bytes = source.check.received_bytes.saturating_add(source.check.left_bytes.unwrap_or(0));
        let (sender, batches) = mpsc::channel(1);
        Ok(SnapshotStream {
            endpoint,
            // Text of the server.
            storage_version: first.0.version.chars().take(32).collect(),
            total_bytes: database_bytes.saturating_add(DIGEST_BYTES),
            left_bytes: database_bytes.saturating_add(DIGEST_BYTES),
            batch: vec![first.0.blob].into_iter(),
            batches,
            task: tokio::spawn(source.forward(sender)),
        })
    }
}

/// The sending member.
struct SnapshotSource {
    store: Store,
    client: Client,
    responses: SnapshotStreaming,
    endpoint: String,
    check: ChunkCheck,
}

impl SnapshotSource {
    /// Passes all chunks on. Ends early if the reader was dropped.
    async fn forward(mut self, sender: mpsc::Sender<Result<Vec<Vec<u8>>, Error>>) {
        let (mut batch, mut batch_bytes) = (Vec::new(), 0_usize);
        while !self.check.is_complete {
            match self.receive().await {
                Ok(chunk) => {
                    batch_bytes = batch_bytes.saturating_add(chunk.0.blob.len());
                    batch.push(chunk.0.blob);
                }
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            }
            if batch_bytes >= BATCH_BYTES || self.check.is_complete {
                batch_bytes = 0;
                if sender.send(Ok(std::mem::take(&mut batch))).await.is_err() {
                    return;
                }
            }
        }
        // The stream is not read to its end: old versions of grpc-proxy end a complete stream with an error.
    }

    /// The next chunk, checked against those before it.
    async fn receive(&mut self) -> Result<SnapshotResponse, Error> {
        let (store, client, endpoint) = (&self.store, &self.client, &self.endpoint);
        let noted = AtomicBool::new(false);
        let probe = || store.is_responsive(client, OP, &noted);
        let received = tokio::select! {
            biased;
            error = store.ended(OP) => return Err(error),
            received = while_responsive(store.options().op_timeout, self.responses.message(), probe) => received,
        };
        match received {
            Ok(Ok(Some(chunk))) => {
                let checked = self.check.accept(chunk.0.blob.len() as u64, chunk.0.remaining_bytes);
                checked.map_err(|what| Error::Protocol { op: OP, what })?;
                store.check_header(chunk.header(), endpoint)?;
                Ok(chunk)
            }
            Ok(Ok(None)) => Err(Error::Broken { endpoint: endpoint.clone(), cause: self.check.describe_early_end() }),
            Ok(Err(error)) => Err(classify(OP, endpoint, error).0),
            Err(after) => Err(Error::Timeout { op: OP, endpoint: endpoint.clone(), after }),
        }
    }
}

/// Checks that the chunks add up to what the first one announces, so that a stream is bounded.
#[derive(Debug, Default)]
struct ChunkCheck {
    received_bytes: u64,
    /// Bytes of the database that must follow; `None` before the first chunk.
    left_bytes: Option<u64>,
    /// Whether the database and its SHA-256 have been received.
    is_complete: bool,
}

impl ChunkCheck {
    /// Takes the length of a chunk and the number of bytes that follow it by its own account.
    fn accept(&mut self, bytes: u64, remaining: u64) -> Result<(), String> {
        if bytes == 0 {
            // A member that cannot read its database any more sends these without end.
            return Err(format!("an empty chunk follows {} bytes", self.received_bytes));
        }
        let expected = match self.left_bytes {
            None => match bytes.checked_add(remaining) {
                Some(total) if total <= MAX_DATABASE_BYTES => remaining,
                _ => return Err(format!("it announces {remaining} bytes; kvadm accepts up to {MAX_DATABASE_BYTES}")),
            },
            Some(0) if bytes == DIGEST_BYTES && remaining == 0 => {
                self.is_complete = true;
                0
            }
            Some(0) => {
                return Err(format!("{bytes} bytes follow the database where a SHA-256 of {DIGEST_BYTES} belongs"));
            }
            Some(left) => match left.checked_sub(bytes) {
                Some(expected) => expected,
                None => return Err(format!("a chunk has {bytes} bytes where only {left} remain")),
            },
        };
        if remaining != expected {
            return Err(format!("a chunk says that {remaining} bytes remain where {expected} do"));
        }
        self.received_bytes = self.received_bytes.saturating_add(bytes);
        self.left_bytes = Some(expected);
        Ok(())
    }

    /// Why a stream that ends here is incomplete.
    fn describe_early_end(&self) -> String {
        match self.left_bytes {
            None => "the member sent no snapshot".to_owned(),
            Some(0) => "the snapshot ended before its SHA-256".to_owned(),
            Some(left) => {
                let total = self.received_bytes.saturating_add(left);
                format!("the snapshot ended after {} of {total} bytes", self.received_bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[(u64, u64)]) -> Result<ChunkCheck, String> {
        let mut check = ChunkCheck::default();
        chunks.iter().try_for_each(|(bytes, remaining)| check.accept(*bytes, *remaining))?;
        Ok(check)
    }

    #[test]
    fn a_snapshot_is_complete_with_its_digest() {
        let ended = |chunks: &[(u64, u64)]| {
            let check = check(chunks).expect("valid chunks");
            (check.is_complete, check.describe_early_end())
        };
        assert_eq!(ended(&[]), (false, "the member sent no snapshot".to_owned()));
        assert_eq!(ended(&[(10, 5)]), (false, "the snapshot ended after 10 of 15 bytes".to_owned()));
        assert_eq!(ended(&[(10, 5), (5, 0)]), (false, "the snapshot ended before its SHA-256".to_owned()));
        assert!(ended(&[(10, 5), (5, 0), (32, 0)]).0);
        // A database of 32 bytes is no digest.
        assert!(!ended(&[(32, 0)]).0);
    }

    #[test]
    fn chunks_that_contradict_the_announcement_are_named() {
        let error = |chunks: &[(u64, u64)]| check(chunks).expect_err("contradicting chunks");
        assert_eq!(error(&[(0, 10)]), "an empty chunk follows 0 bytes");
        assert_eq!(error(&[(4, 8), (0, 8)]), "an empty chunk follows 4 bytes");
        assert_eq!(error(&[(4, 8), (4, 8)]), "a chunk says that 8 bytes remain where 4 do");
        assert_eq!(error(&[(4, 8), (9, 0)]), "a chunk has 9 bytes where only 8 remain");
        assert_eq!(error(&[(4, 0), (31, 0)]), "31 bytes follow the database where a SHA-256 of 32 belongs");
        assert_eq!(error(&[(4, 0), (32, 1)]), "32 bytes follow the database where a SHA-256 of 32 belongs");
        for remaining in [MAX_DATABASE_BYTES, u64::MAX] {
            let text = format!("it announces {remaining} bytes; kvadm accepts up to 1099511627776");
            assert_eq!(error(&[(1, remaining)]), text);
        }
    }
}
