//! The parts of kvadm whose instructions are counted, each in a process of its own without a server.
//!
//! A case first prepares its input, which is the same in every run, and then goes through it once on one thread.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::proto::{PbEvent, PbKeyValue, PbRangeResponse};
use kvadm::backup::bolt::BoltFile;
use kvadm::kvstore::{
    Assembly, KeyRange, KeyValue, LeaseId, LocalAnswer, LocalError, LocalQuery, LocalStore, RawEvent, ReadOptions,
    Revision, Store,
};
use kvadm::output::{Format, Out, Settings};
use kvadm::proto::Codec;
use kvadm::sync::{InputLine, Merge, MergeStep, RecordLines, SyncRecord};
use kvadm::transport::{ConnectOptions, DEFAULT_TXN_OPS, Notice, Observer, Session, TlsFiles, Trace};
use prost::Message;

use super::super::shapes::Shape;
use super::database;

/// What a case has gone through.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    pub records: usize,
    /// The number of requests to the store; `None` for a case without a store.
    pub requests: Option<u64>,
}

/// Goes through the prepared input once.
pub type Pass = Box<dyn FnOnce() -> Result<Passed, String>>;

/// A case, which prepares a number of records.
pub struct Case {
    pub name: &'static str,
    pub prepare: fn(usize) -> Result<Pass, String>,
}

/// Every case, in the order of the table.
pub const CASES: &[Case] = &[
    Case { name: "parse the arguments of list", prepare: |_| arguments() },
    Case { name: "decode and print text", prepare: |records| print(records, Format::Text) },
    Case { name: "decode and print json", prepare: |records| print(records, Format::Json) },
    Case { name: "decode and print yaml", prepare: |records| print(records, Format::Yaml) },
    Case { name: "decode and print table", prepare: |records| print(records, Format::Table) },
    Case { name: "decode and print raw", prepare: |records| print(records, Format::Raw) },
    Case { name: "merge of two streams", prepare: merge },
    Case { name: "pages of decimal keys", prepare: |records| pages(records, Shape::Decimal) },
    Case { name: "pages of uuid keys", prepare: |records| pages(records, Shape::Uuid) },
    Case { name: "pages of skewed keys", prepare: |records| pages(records, Shape::Skewed) },
    Case { name: "pages of deep keys", prepare: |records| pages(records, Shape::Deep) },
    Case { name: "pages of binary keys", prepare: |records| pages(records, Shape::Binary) },
    Case { name: "parse records of put --from", prepare: lines },
    Case { name: "assembly of watch events", prepare: assembly },
    Case { name: "pages of a database file", prepare: bolt },
];

fn passed(records: usize) -> Result<Passed, String> {
    Ok(Passed { records, requests: None })
}

fn arguments() -> Result<Pass, String> {
    let line = ["kvadm", "--endpoints", "127.0.0.1:2379", "list", "/app/", "-o", "json", "--limit", "10"];
    let args: Vec<std::ffi::OsString> = line.map(Into::into).to_vec();
    Ok(Box::new(move || {
        let cli = kvadm::cli::parse(&args).map_err(|e| e.to_string())?;
        if cli.verb == "list" { passed(1) } else { Err(format!("parsed as {}", cli.verb)) }
    }))
}

/// Keys in order, each once.
fn keys(records: usize, prefix: &str, shape: Shape) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = (0..records as u64).map(|n| shape.key(prefix, n)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Records as a store has them: one value in ten is binary, one key in seven has a lease.
fn records(count: usize) -> Vec<KeyValue> {
    let record = |(n, key): (usize, Vec<u8>)| KeyValue {
        key,
        value: match n % 10 {
            9 => (0..=255).collect(),
            _ => Shape::Decimal.value(n as u64).into_bytes(),
        },
        create_revision: n as Revision + 2,
        mod_revision: n as Revision + 3,
        version: 1 + n as i64 % 5,
        lease: LeaseId::from_wire(if n.is_multiple_of(7) { 0x7587_0b2c } else { 0 }),
    };
    keys(count, "/k/", Shape::Decimal).into_iter().enumerate().map(record).collect()
}

/// Answers of etcd with a thousand records each.
fn print(count: usize, format: Format) -> Result<Pass, String> {
    let to_wire = |kv: &KeyValue| PbKeyValue {
        key: kv.key.clone(),
        value: kv.value.clone(),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        lease: kv.lease.map_or(0, |lease| lease.0),
    };
    let answers: Vec<Vec<u8>> = records(count)
        .chunks(1000)
        .map(|chunk| PbRangeResponse { kvs: chunk.iter().map(to_wire).collect(), ..Default::default() }.encode_to_vec())
        .collect();
    let out = Out::new(Settings { format: Some(format), ..Settings::default() });
    Ok(Box::new(move || {
        let (mut sink, mut records) = (out.stream(), 0);
        for bytes in answers {
            for kv in PbRangeResponse::decode(bytes.as_slice()).map_err(|e| e.to_string())?.kvs {
                let kv = KeyValue {
                    key: kv.key,
                    value: kv.value,
                    create_revision: kv.create_revision,
                    mod_revision: kv.mod_revision,
                    version: kv.version,
                    lease: LeaseId::from_wire(kv.lease),
                };
                sink.push(&kv).map_err(|e| e.to_string())?;
                records += 1;
            }
        }
        sink.finish().map_err(|e| e.to_string())?;
        passed(records)
    }))
}

/// Two sides with the same keys; the value of every hundredth differs.
fn merge(count: usize) -> Result<Pass, String> {
    let pages = |change: bool| {
        let changed = |(n, mut kv): (usize, KeyValue)| {
            if change && n.is_multiple_of(100) {
                kv.value.push(b'x');
            }
            SyncRecord { kv, ttl: None }
        };
        let records: Vec<SyncRecord> = records(count).into_iter().enumerate().map(changed).collect();
        records.chunks(1000).map(<[SyncRecord]>::to_vec).collect::<Vec<_>>().into_iter()
    };
    let (mut source, mut store) = (pages(false), pages(true));
    Ok(Box::new(move || {
        let (mut merge, mut equal, mut different) = (Merge::default(), 0, 0);
        loop {
            let step = merge.step(|a, b| {
                let same = a.kv.value == b.kv.value;
                equal += usize::from(same);
                same
            });
            match step {
                MergeStep::NeedSource => merge.source_page(source.next()),
                MergeStep::NeedStore => merge.store_page(store.next()),
                MergeStep::Pair(_) => different += 1,
                MergeStep::End => return passed(equal + different),
            }
        }
    }))
}

struct Silent;

impl Observer for Silent {
    fn request(&self, _: &Trace<'_>) {}

    fn notice(&self, _: Notice, _: &str) {}

    fn traces(&self) -> bool {
        false
    }
}

/// Answers reads as etcd does, from memory.
struct MemoryStore {
    keys: Vec<Vec<u8>>,
    requests: Arc<AtomicU64>,
}

impl LocalStore for MemoryStore {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn range(&self, query: &LocalQuery) -> Result<LocalAnswer, LocalError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let first = self.keys.partition_point(|key| *key < query.range.start);
        let end = query.range.end.as_ref().map_or(self.keys.len(), |end| self.keys.partition_point(|key| key < end));
        let found = self.keys.get(first..end).unwrap_or_default();
        let limit = if query.limit == 0 { found.len() } else { found.len().min(query.limit as usize) };
        let record = |key: &Vec<u8>| KeyValue {
            key: key.clone(),
            create_revision: 2,
            mod_revision: 2,
            version: 1,
            ..KeyValue::default()
        };
        let kvs = found.iter().take(limit).map(record).collect();
        Ok(LocalAnswer { kvs, count: found.len() as u64, more: limit < found.len(), revision: 7 })
    }

    fn prepare(&self, _: &[Vec<u8>]) -> Result<(), LocalError> {
        Ok(())
    }

    fn lease_ttl(&self, _: LeaseId) -> Result<Option<i64>, LocalError> {
        Ok(None)
    }
}

/// A listing of keys without values, page by page. The clock stands still, so that the sizes of pages do not depend on the
/// machine.
fn pages(count: usize, shape: Shape) -> Result<Pass, String> {
    let requests = Arc::new(AtomicU64::new(0));
    let keys = keys(count, "/k/", shape);
    let store = MemoryStore { keys, requests: Arc::clone(&requests) };
    let options = ConnectOptions {
        endpoints: Vec::new(),
        tls: TlsFiles::default(),
        discovery: None,
        credentials: None,
        token: None,
        dial_timeout: Duration::from_secs(1),
        op_timeout: Duration::from_secs(1),
        keepalive_time: Duration::from_secs(10),
        keepalive_timeout: Duration::from_secs(5),
        connect_wait: None,
        namespace: Vec::new(),
        qps: None,
        max_txn_ops: DEFAULT_TXN_OPS,
    };
    let session = Session { cancel: Default::default(), deadline: None, observer: Arc::new(Silent) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let (runtime, store) = (runtime.map_err(|e| e.to_string())?, Store::local(Arc::new(store), options, session));
    Ok(Box::new(move || {
        let mut reader = store.read(&KeyRange::prefix(b"/k/"), ReadOptions::default()).without_prefetch();
        let mut records = 0;
        runtime.block_on(async {
            while let Some(page) = reader.next().await.map_err(|e| e.to_string())? {
                records += page.len();
            }
            Ok::<(), String>(())
        })?;
        Ok(Passed { records, requests: Some(requests.load(Ordering::Relaxed)) })
    }))
}

/// Records as `list -o json` prints them.
fn lines(count: usize) -> Result<Pass, String> {
    use base64::Engine;
    let mut text = String::new();
    for kv in records(count) {
        let key = String::from_utf8(kv.key).map_err(|e| e.to_string())?;
        let value = match String::from_utf8(kv.value) {
            Ok(value) => format!(r#""value":"{value}""#),
            Err(error) => {
                let value = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
                format!(r#""value_base64":"{value}""#)
            }
        };
        let (create, modified, version) = (kv.create_revision, kv.mod_revision, kv.version);
        text += &format!(
            r#"{{"key":"{key}",{value},"create_revision":{create},"mod_revision":{modified},"version":{version}}}"#
        );
        text.push('\n');
    }
    let mut lines = RecordLines::new(Box::new(Cursor::new(text.into_bytes())), "records".to_owned(), false);
    Ok(Box::new(move || {
        let (codec, mut records) = (Codec::default(), 0);
        while let Some(line) = lines.next(&codec).map_err(|e| e.to_string())? {
            records += usize::from(matches!(line, InputLine::Record(_)));
        }
        passed(records)
    }))
}

/// Responses of a thousand events in revisions of three; every fourth response ends with a whole revision.
fn assembly(count: usize) -> Result<Pass, String> {
    let event = |(n, kv): (usize, KeyValue)| {
        let revision = n as Revision / 3 + 1;
        let kv = PbKeyValue { key: kv.key, value: kv.value, mod_revision: revision, ..PbKeyValue::default() };
        let event = PbEvent { kv: Some(kv), ..PbEvent::default() };
        RawEvent::new(revision, event.encode_to_vec().into())
    };
    let events: Vec<RawEvent> = records(count).into_iter().enumerate().map(event).collect();
    let responses: Vec<Vec<RawEvent>> = events.chunks(999).map(<[RawEvent]>::to_vec).collect();
    Ok(Box::new(move || {
        let (mut assembly, mut records, last) = (Assembly::new(1), 0, responses.len());
        for (at, response) in responses.into_iter().enumerate() {
            let more = at + 1 < last && at % 4 != 3;
            records += assembly.push(response, more).map_err(|e| format!("{e:?}"))?.len();
        }
        passed(records)
    }))
}

/// Every element of the bucket with etcd's keys.
fn bolt(count: usize) -> Result<Pass, String> {
    let told = |e: std::io::Error| e.to_string();
    let folder = tempfile::tempdir().map_err(told)?;
    let path = folder.path().join("db");
    std::fs::write(&path, database::bytes(count)).map_err(told)?;
    Ok(Box::new(move || {
        let file = BoltFile::open(&path).map_err(|e| e.to_string())?;
        let bucket = file.bucket(b"key").map_err(|e| e.to_string())?.ok_or("the file has no bucket 'key'")?;
        let (mut cursor, mut records) = (bucket.cursor(), 0);
        while cursor.next().map_err(|e| e.to_string())?.is_some() {
            records += 1;
        }
        drop(folder);
        passed(records)
    }))
}
