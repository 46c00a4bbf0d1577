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
use crate::plural::{counted, grouped};

const OP: &str = "snapshot";

/// The length of the SHA-256 that follows the database.
pub const DIGEST_BYTES: u64 = 32;
/// The largest database that is accepted, in bytes: more than a hundred times the 8 GiB that etcd recommends at most.
const MAX_DATABASE_BYTES: u64 = 1 << 40;
/// The smallest unit of a database's length, in bytes: etcd recognises a snapshot by it too (`etcdutl/snapshot`).
const SECTOR_BYTES: u64 = 512;
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
        let total_bytes = source.check.total_bytes();
        let (sender, batches) = mpsc::channel(1);
        Ok(SnapshotStream {
            endpoint,
            // Text of the server.
            storage_version: first.0.version.chars().take(32).collect(),
            total_bytes,
            left_bytes: total_bytes,
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

/// Checks that the chunks add up to what the first one announces, so that a stream is bounded. etcd sends the SHA-256 in a
/// chunk of its own, and does not count it among the bytes that follow; it may also come with the last bytes of the database,
/// in pieces, or counted.
#[derive(Debug, Default)]
struct ChunkCheck {
    received_bytes: u64,
    /// What the first chunk announces; `None` before it.
    announced: Option<Announced>,
    /// Whether the database and its SHA-256 have been received.
    is_complete: bool,
}

/// The lengths that the first chunk announces, in bytes.
#[derive(Clone, Copy, Debug)]
struct Announced {
    /// The bytes that the chunks count.
    counted_bytes: u64,
    /// The database and its SHA-256.
    total_bytes: u64,
}

impl Announced {
    /// A database is whole disk sectors: a length with 32 bytes more has the SHA-256 in it.
    fn of(counted_bytes: u64) -> Self {
        let has_digest = counted_bytes.checked_rem(SECTOR_BYTES) == Some(DIGEST_BYTES) && counted_bytes > DIGEST_BYTES;
        let digest_bytes = if has_digest { 0 } else { DIGEST_BYTES };
        Self { counted_bytes, total_bytes: counted_bytes.saturating_add(digest_bytes) }
    }
}

impl ChunkCheck {
    /// The length of the database and its SHA-256, once the first chunk has been received.
    fn total_bytes(&self) -> u64 {
        self.announced.map_or(0, |announced| announced.total_bytes)
    }

    /// Takes the length of a chunk and the number of bytes that follow it by its own account.
    fn accept(&mut self, bytes: u64, remaining: u64) -> Result<(), String> {
        if bytes == 0 {
            // A member that cannot read its database any more sends these without end.
            return Err(format!("an empty chunk follows {}", counted(self.received_bytes, "byte")));
        }
        let announced = match self.announced {
            Some(announced) => announced,
            None => match bytes.checked_add(remaining) {
                Some(total) if total <= MAX_DATABASE_BYTES => Announced::of(total),
                _ => {
                    return Err(format!(
                        "the member announces a database of {} bytes; kvadm accepts up to {MAX_DATABASE_BYTES}",
                        u128::from(bytes).saturating_add(remaining.into())
                    ));
                }
            },
        };
        let left = announced.total_bytes.saturating_sub(self.received_bytes);
        if bytes > left {
            return Err(format!("a chunk has {} of data, but only {} are left", counted(bytes, "byte"), grouped(left)));
        }
        let received = self.received_bytes.saturating_add(bytes);
        let expected = announced.counted_bytes.saturating_sub(received);
        if remaining != expected {
            let text = "a chunk announces that";
            return Err(format!(
                "{text} {} will follow, but {} are expected",
                counted(remaining, "byte"),
                grouped(expected)
            ));
        }
        (self.received_bytes, self.announced) = (received, Some(announced));
        self.is_complete = received == announced.total_bytes;
        Ok(())
    }

    /// Why a stream that ends here is incomplete.
    fn describe_early_end(&self) -> String {
        let Some(announced) = self.announced else { return "the member sent no snapshot".to_owned() };
        let database = announced.total_bytes.saturating_sub(DIGEST_BYTES);
        match self.received_bytes.checked_sub(database) {
            Some(0) => "the snapshot ended before its SHA-256".to_owned(),
            Some(digest) => format!("the snapshot ended after {digest} of the {DIGEST_BYTES} bytes of its SHA-256"),
            None => format!("the snapshot ended after {} of {database} bytes", self.received_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

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
        let text = "the snapshot ended after 31 of the 32 bytes of its SHA-256";
        assert_eq!(ended(&[(10, 5), (5, 0), (31, 0)]), (false, text.to_owned()));
        assert!(ended(&[(10, 5), (5, 0), (32, 0)]).0);
        // A database of 32 bytes is no digest.
        assert!(!ended(&[(32, 0)]).0);
    }

    #[test]
    fn the_digest_may_come_with_the_database_or_in_pieces() {
        for chunks in [
            &[(500, 524), (524, 0), (16, 0), (16, 0)][..],
            &[(500, 524), (524 + 32, 0)],
            &[(500, 524), (524 + 31, 0), (1, 0)],
            // Counted.
            &[(1024 + 32, 0)],
            &[(500, 524 + 32), (524, 32), (32, 0)],
        ] {
            let check = check(chunks).expect("valid chunks");
            assert!(check.is_complete && check.total_bytes() == 1056, "{chunks:?}: {check:?}");
        }
    }

    #[test]
    fn chunks_that_contradict_the_announcement_are_named() {
        let error = |chunks: &[(u64, u64)]| check(chunks).expect_err("contradicting chunks");
        assert_eq!(error(&[(0, 10)]), "an empty chunk follows 0 bytes");
        assert_eq!(error(&[(4, 8), (0, 8)]), "an empty chunk follows 4 bytes");
        let text = "a chunk announces that 8 bytes will follow, but 4 are expected";
        assert_eq!(error(&[(4, 8), (4, 8)]), text);
        assert_eq!(error(&[(4, 8), (41, 0)]), "a chunk has 41 bytes of data, but only 40 are left");
        assert_eq!(error(&[(4, 0), (33, 0)]), "a chunk has 33 bytes of data, but only 32 are left");
        let text = "a chunk announces that 1 byte will follow, but 0 are expected";
        assert_eq!(error(&[(4, 0), (32, 1)]), text);
        for remaining in [MAX_DATABASE_BYTES, u64::MAX] {
            let total = u128::from(remaining) + 1;
            let text = format!("the member announces a database of {total} bytes; kvadm accepts up to 1099511627776");
            assert_eq!(error(&[(1, remaining)]), text);
        }
    }
}
