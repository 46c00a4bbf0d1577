//! Requests over a simulated network with virtual time: whatever is delayed, cut or lost, an outcome is never wrong.
//!
//! Two members share one store. Connections delay, cut off and swallow bytes; members answer late, refuse, time out, and
//! apply after the answer, as etcd does. A seed decides everything; `KVADM_SIM_SEED=SEED` runs one seed.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use etcd_client::proto::{
    PbKeyValue, PbPutResponse, PbRangeResponse, PbResponseHeader, PbResponseOp, PbTargetUnion, PbTxnOpRequest,
    PbTxnOpResponse, PbTxnRequest, PbTxnResponse,
};
use h2::server::SendResponse;
use prost_reflect::prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::{Instant, sleep};

use crate::kvstore::backoff::seeded;
use crate::kvstore::error::Error;
use crate::kvstore::kv::txn::{Compare, Op, Retry, Txn, Write};
use crate::kvstore::store::Store;
use crate::transport::options::{ConnectOptions, TlsFiles};
use crate::transport::testing::{Notices, options, session, simulate};

const OP_TIMEOUT: Duration = Duration::from_secs(1);
const DIAL_TIMEOUT: Duration = Duration::from_millis(500);
/// An operation retries for two operation timeouts; the last attempt dials and has an operation timeout of its own. The
/// rest is for backoff.
const LONGEST: Duration = Duration::from_secs(6);
/// After this time nothing that was sent has an effect any more.
const SETTLED: Duration = Duration::from_secs(60);

/// Below `end`.
fn below(end: u64) -> u64 {
    seeded::bits().unwrap() % end
}

fn millis(end: u64) -> Duration {
    Duration::from_millis(below(end))
}

/// The store of the cluster.
#[derive(Default)]
struct Cluster {
    revision: i64,
    records: HashMap<Vec<u8>, PbKeyValue>,
    /// How often each value was written.
    written: HashMap<Vec<u8>, u32>,
}

impl Cluster {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        let record = self.records.entry(key.to_vec()).or_default();
        *self.written.entry(value.to_vec()).or_default() += 1;
        record.key = key.to_vec();
        record.value = value.to_vec();
        record.mod_revision = self.revision;
        record.version += 1;
        if record.version == 1 {
            record.create_revision = self.revision;
        }
    }

    fn apply(&mut self, txn: &PbTxnRequest) -> PbTxnResponse {
        let holds = txn.compare.iter().all(|compare| {
            let current = self.records.get(&compare.key).map_or(0, |record| record.mod_revision);
            matches!(compare.target_union, Some(PbTargetUnion::ModRevision(revision)) if revision == current)
        });
        let ops = if holds { &txn.success } else { &txn.failure };
        let writes = ops.iter().any(|op| matches!(op.request, Some(PbTxnOpRequest::RequestPut(_))));
        self.revision += i64::from(writes);
        let responses = ops.iter().map(|op| {
            let response = match op.request.as_ref().unwrap() {
                PbTxnOpRequest::RequestPut(put) => {
                    self.put(&put.key, &put.value);
                    PbTxnOpResponse::ResponsePut(PbPutResponse::default())
                }
                PbTxnOpRequest::RequestRange(range) => {
                    let kvs: Vec<PbKeyValue> = self.records.get(&range.key).cloned().into_iter().collect();
                    let count = kvs.len() as i64;
                    PbTxnOpResponse::ResponseRange(PbRangeResponse { kvs, count, ..PbRangeResponse::default() })
                }
                other => panic!("{other:?}"),
            };
            PbResponseOp { response: Some(response) }
        });
        let responses = responses.collect();
        let header = Some(PbResponseHeader { revision: self.revision, ..PbResponseHeader::default() });
        PbTxnResponse { header, succeeded: holds, responses }
    }
}

type Shared = Arc<Mutex<Cluster>>;

/// Dials a member: refused so many times of ten, without an answer, or a connection that may break later.
async fn dial(cluster: Shared, refused: u64) -> io::Result<DuplexStream> {
    sleep(millis(100)).await;
    if below(10) < refused {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    if below(20) == 0 {
        pending::<()>().await;
    }
    let ((client, near), (far, server)) = (duplex(64 << 10), duplex(64 << 10));
    let (near_read, near_write) = split(near);
    let (far_read, far_write) = split(far);
    let (up, down) = (Link::random(), Link::random());
    tokio::spawn(async move {
        // The end of one direction closes both.
        tokio::select! {
            biased;
            _ = up.carry(near_read, far_write) => {}
            _ = down.carry(far_read, near_write) => {}
        }
    });
    tokio::spawn(serve(cluster, server));
    Ok(client)
}

/// One direction of a connection.
struct Link {
    /// The bytes that it carries before it breaks.
    bytes: usize,
    /// Whether it then swallows everything instead of closing.
    swallows: bool,
    slowness: u64,
}

impl Link {
    fn random() -> Self {
        let bytes = if below(3) == 0 { usize::try_from(below(1500)).unwrap() } else { usize::MAX };
        let slowness = if below(8) == 0 { 2000 } else { 30 };
        Self { bytes, swallows: below(2) == 0, slowness }
    }

    async fn carry(mut self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut room = [0; 4096];
        loop {
            let count = from.read(&mut room).await?;
            if count == 0 {
                return Ok(());
            }
            sleep(millis(self.slowness)).await;
            let carried = count.min(self.bytes);
            to.write_all(&room[..carried]).await?;
            self.bytes -= carried;
            if self.bytes == 0 && self.swallows {
                pending::<()>().await;
            }
            if self.bytes == 0 {
                return Ok(());
            }
        }
    }
}

/// A member's end of a connection.
async fn serve(cluster: Shared, stream: DuplexStream) -> Option<()> {
    let mut connection = h2::server::handshake(stream).await.ok()?;
    while let Some(Ok((request, respond))) = connection.accept().await {
        // A request that was received has its effect even if the connection is gone.
        tokio::spawn(answer(Arc::clone(&cluster), request.into_body(), respond));
    }
    None
}

async fn answer(cluster: Shared, mut body: h2::RecvStream, respond: SendResponse<Bytes>) -> Option<()> {
    let mut bytes = BytesMut::new();
    while let Some(more) = body.data().await {
        bytes.extend_from_slice(&more.ok()?);
    }
    let txn = PbTxnRequest::decode(bytes.get(5..)?).ok()?;
    sleep(if below(8) == 0 { millis(3000) } else { millis(100) }).await;
    let apply = || cluster.lock().unwrap().apply(&txn);
    match below(16) {
        0 => refuse(respond, "etcdserver: no leader"),
        1 => refuse(respond, "etcdserver: too many requests"),
        2 => {
            refuse(respond, "etcdserver: request timed out")?;
            if below(2) == 0 {
                sleep(millis(10_000)).await;
                drop(apply());
            }
            Some(())
        }
        3 => {
            if below(2) == 0 {
                drop(apply());
            }
            refuse(respond, "etcdserver: leader changed")
        }
        4 => {
            drop(apply());
            pending().await
        }
        _ => accept(respond, &apply()),
    }
}

fn response() -> http::Response<()> {
    http::Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

fn trailers(status: &str, message: &str) -> http::HeaderMap {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    trailers.insert("grpc-message", message.parse().unwrap());
    trailers
}

fn refuse(mut respond: SendResponse<Bytes>, message: &str) -> Option<()> {
    respond.send_response(response(), false).ok()?.send_trailers(trailers("14", message)).ok()
}

fn accept(mut respond: SendResponse<Bytes>, response_message: &PbTxnResponse) -> Option<()> {
    let message = response_message.encode_to_vec();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.extend_from_slice(&message);
    let mut stream = respond.send_response(response(), false).ok()?;
    stream.send_data(frame.freeze(), false).ok()?;
    stream.send_trailers(trailers("0", "")).ok()
}

/// What the caller learns of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    Done,
    /// Not done, and it never will be.
    NotDone,
    Unknown,
}

fn reported(error: &Error) -> Reported {
    match error {
        Error::Unknown { .. } => Reported::Unknown,
        _ => Reported::NotDone,
    }
}

/// One run of several operations. Returns the reports of the writes, and the virtual time at the end.
async fn run(seed: u64) -> (Vec<Reported>, Duration) {
    seeded::seed(seed);
    let begin = Instant::now();
    let cluster = Shared::default();
    // In some runs the members are down most of the time.
    let refused = if below(6) == 0 { 8 } else { 1 };
    let endpoints: Vec<String> = (0..2).map(|member| format!("unix:///simulated/{seed}/{member}")).collect();
    for member in 0..2 {
        let cluster = Arc::clone(&cluster);
        let path = PathBuf::from(format!("/simulated/{seed}/{member}"));
        simulate(
            path,
            Box::new(move || -> Pin<Box<dyn Future<Output = _> + Send>> {
                Box::pin(dial(Arc::clone(&cluster), refused))
            }),
        );
    }
    let options = ConnectOptions { op_timeout: OP_TIMEOUT, ..options(&endpoints, TlsFiles::default(), DIAL_TIMEOUT) };
    let store = Store::new(options, session(&Arc::new(Notices::default())));
    let mut writes = Vec::new();
    for number in 0..6 {
        let (key, value) = (format!("key {}", below(2)).into_bytes(), format!("value {number}").into_bytes());
        let (revision, newest) = {
            let cluster = cluster.lock().unwrap();
            (cluster.records.get(&key).map_or(0, |record| record.mod_revision), cluster.revision)
        };
        let put = Op::Put(Write { key: key.clone(), value: value.clone(), ..Write::default() });
        let started = Instant::now();
        match below(3) {
            0 => {
                let txn = Txn { then: vec![put], ..Txn::default() };
                let result = store.txn("put", &txn, None, Retry::Never).await;
                writes.push((value, result.map_or_else(|error| reported(&error), |_| Reported::Done)));
            }
            1 => {
                let compares = vec![Compare::unchanged(&key, revision)];
                let txn = Txn { compares, then: vec![put], otherwise: vec![] };
                let reported = match store.txn("put", &txn, None, Retry::Idempotent).await {
                    Ok(result) if result.succeeded => Reported::Done,
                    Ok(result) if result.maybe_applied => Reported::Unknown,
                    Ok(_) => Reported::NotDone,
                    Err(error) => reported(&error),
                };
                writes.push((value, reported));
            }
            _ => {
                let keys = [b"key 0".to_vec(), b"key 1".to_vec()];
                if let Ok(read) = store.get_many(&keys, 0, None).await {
                    assert!(read.revision >= newest, "a read at {} after {newest} was written", read.revision);
                }
            }
        }
        let took = started.elapsed();
        assert!(took <= LONGEST, "operation {number} took {took:?}");
    }
    sleep(SETTLED).await;
    let cluster = cluster.lock().unwrap();
    for (value, reported) in &writes {
        let written = cluster.written.get(value).copied().unwrap_or(0);
        let right = match reported {
            Reported::Done => written == 1,
            Reported::NotDone => written == 0,
            Reported::Unknown => written <= 1,
        };
        assert!(right, "{} was written {written} times, and the report was {reported:?}", value.escape_ascii());
    }
    (writes.into_iter().map(|(_, reported)| reported).collect(), begin.elapsed())
}

fn run_with_seed(seed: u64) -> (Vec<Reported>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(run(seed))
}

#[test]
fn an_outcome_is_never_wrong_whatever_the_network_does() {
    let given = std::env::var("KVADM_SIM_SEED").ok().map(|text| text.parse::<u64>().unwrap());
    let first = given.unwrap_or_else(seed_of_the_clock);
    let count = if given.is_some() { 1 } else { 400 };
    let mut all = Vec::new();
    for seed in first..first + count {
        let ran = std::panic::catch_unwind(|| run_with_seed(seed).0);
        all.extend(ran.unwrap_or_else(|_| panic!("to run this case again: KVADM_SIM_SEED={seed}")));
    }
    if given.is_none() {
        for reported in [Reported::Done, Reported::NotDone, Reported::Unknown] {
            let number = all.iter().filter(|one| **one == reported).count();
            assert!(
                number > 20,
                "{reported:?} was the report {number} times in {}: the simulation is too tame",
                all.len()
            );
        }
    }
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..40 {
        assert_eq!(run_with_seed(seed), run_with_seed(seed), "seed {seed}");
    }
}

fn seed_of_the_clock() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() * 1000
}
