//! Valid answers of a small store that never changes: what a test spoils, or leaves as it is.
//!
//! Field numbers: `etcdserverpb` and `mvccpb` in etcd's `api/etcdserverpb/rpc.proto` and `api/mvccpb/kv.proto`.

use super::fake_server::{Asked, Reply};
use super::protobuf::Message;

/// The store's revision.
pub const REVISION: i64 = 40;
/// A lease of the store, in hex as in its lock key.
pub const LEASE: i64 = 0x324a_a1fa_14de_e5a6;

/// A snapshot of a real store (its contents are not those of the answers), as `databases/README.md` says.
pub const SNAPSHOT: &[u8] = include_bytes!("databases/etcd-3.5.db");

/// The messages of Maintenance.Snapshot: the database in pieces, each with the number of bytes that follow, and its SHA-256.
pub fn snapshot_chunks(snapshot: &[u8]) -> Vec<Message> {
    let (database, digest) = snapshot.split_at(snapshot.len() - 32);
    let mut left = database.len();
    let mut chunk = |blob: &[u8]| {
        left = left.saturating_sub(blob.len());
        snapshot_chunk(blob, i64::try_from(left).unwrap())
    };
    database.chunks(8192).chain([digest]).map(&mut chunk).collect()
}

/// One message of Maintenance.Snapshot.
pub fn snapshot_chunk(blob: &[u8], remaining: i64) -> Message {
    Message::new().int(2, remaining).bytes(3, blob)
}

/// A record of the store.
#[derive(Clone, Debug)]
pub struct Record {
    key: Vec<u8>,
    value: Vec<u8>,
    created: i64,
    modified: i64,
    lease: i64,
}

/// The store's records in key order: plain keys, a lock with two contenders, Cilium's identities.
fn records() -> Vec<Record> {
    let lock = format!("/lock/{LEASE:x}");
    let plain = [
        ("/a/1", "one", 11, 11, 0),
        ("/a/2", "two", 12, 14, 0),
        ("/a/3", "{\"three\": 3}", 13, 13, LEASE),
        ("/b/x", "", 15, 15, 0),
        ("cilium/state/identities/v1/id/1001", "k8s:app=web;", 20, 20, 0),
        ("cilium/state/identities/v1/id/1002", "k8s:app=db;", 21, 21, 0),
        ("cilium/state/identities/v1/value/k8s:app=web;/10.0.0.1", "1001", 22, 22, LEASE),
        (lock.as_str(), "", 30, 30, LEASE),
        ("/lock/324aa1fa14dee5a7", "shared", 31, 31, LEASE + 1),
    ];
    let record = |(key, value, created, modified, lease): (&str, &str, i64, i64, i64)| Record {
        key: key.into(),
        value: value.into(),
        created,
        modified,
        lease,
    };
    let mut records: Vec<Record> = plain.map(record).into();
    records.sort_by(|one, other| one.key.cmp(&other.key));
    records
}

/// A response header with a cluster, a member and this revision.
pub fn header(revision: i64) -> Message {
    Message::new().int(1, 0xc1).int(2, 0xa1).int(3, revision).int(4, 2)
}

/// A record on the wire.
pub fn kv(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, modified: i64) -> Message {
    record(key.as_ref(), value.as_ref(), modified, modified, 0)
}

fn record(key: &[u8], value: &[u8], created: i64, modified: i64, lease: i64) -> Message {
    let version = modified - created + 1;
    Message::new().bytes(1, key).int(2, created).int(3, modified).int(4, version).bytes(5, value).int(6, lease)
}

/// A range response of these records, which are all that the range has.
pub fn range(revision: i64, kvs: Vec<Message>) -> Message {
    let count = i64::try_from(kvs.len()).unwrap();
    Message::new().message(1, &header(revision)).messages(2, kvs).int(4, count)
}

/// A valid answer to the request.
pub fn valid(asked: &Asked) -> Reply {
    let (message, head) = (&asked.message, Message::new().message(1, &header(REVISION)));
    match asked.method.as_str() {
        "KV/Range" => range_of(message).into(),
        "KV/RangeStream" => Reply::Refusal(12, "unknown method RangeStream for service etcdserverpb.KV".to_owned()),
        "KV/Txn" => txn_of(message).into(),
        "KV/DeleteRange" => deletion_of(message).into(),
        "Lease/LeaseGrant" => head.int(2, message.number(2)).int(3, message.number(1).max(2)).into(),
        "Lease/LeaseKeepAlive" => Reply::Open(vec![head.int(2, message.number(1)).int(3, 60)]),
        "Lease/LeaseTimeToLive" => head.int(2, message.number(1)).int(3, 50).int(4, 60).bytes(5, "/a/3").into(),
        "Lease/LeaseLeases" => head.messages(2, [LEASE, LEASE + 1].map(|id| Message::new().int(1, id))).into(),
        "Cluster/MemberList" => {
            head.message(2, &Message::new().int(1, 0xa1).bytes(2, "m1").bytes(4, "http://127.0.0.1:1")).into()
        }
        "Cluster/MemberAdd" => head.message(2, &Message::new().int(1, 0xb2).bytes(3, "http://127.0.0.1:2")).into(),
        "Maintenance/Status" => {
            let status = head.bytes(2, "3.5.30").int(3, 1 << 20).int(4, 0xa1).int(5, 90).int(6, 2).int(7, 90);
            status.int(9, 1 << 19).into()
        }
        "Maintenance/Snapshot" => Reply::Messages(snapshot_chunks(SNAPSHOT)),
        "Watch/Watch" => Reply::Open(watch_of(&message.all(1).pop().unwrap_or_default())),
        "Auth/UserList" => head.bytes(2, "root").bytes(2, "alice").into(),
        "Auth/UserGet" => head.bytes(2, "root").bytes(2, "reader").into(),
        "Auth/RoleList" => head.bytes(2, "root").bytes(2, "reader").into(),
        "Auth/RoleGet" => head
            .message(2, &Message::new().int(1, 2).bytes(2, "/a/").bytes(3, "/a0"))
            .message(2, &Message::new().bytes(2, "/k"))
            .into(),
        "Auth/AuthStatus" => head.int(2, 1).int(3, 7).into(),
        "Auth/Authenticate" => head.bytes(2, "token").into(),
        // An alarm list without alarms, and answers without content.
        _ => head.into(),
    }
}

/// The created message, and a change and a deletion of the first key that is watched.
fn watch_of(create: &Message) -> Vec<Message> {
    let (key, start) = (create.text(1), create.number(3).max(REVISION + 1));
    let event = |kind, modified| Message::new().int(1, kind).message(2, &kv(&key, "changed", modified));
    let created = Message::new().message(1, &header(REVISION)).int(3, 1);
    let events = Message::new().message(1, &header(start + 1)).messages(11, [event(0, start), event(1, start + 1)]);
    vec![created, events]
}

fn range_of(asked: &Message) -> Message {
    let (key, end) = (asked.text(1), asked.text(2));
    let inside = |record: &Record| match end.as_slice() {
        [] => record.key == key,
        [0] => record.key >= key,
        end => record.key >= key && record.key.as_slice() < end,
    };
    let revision = asked.number(4);
    let inside = |record: &Record| inside(record) && (revision == 0 || record.modified <= revision);
    let found: Vec<Record> = records().into_iter().filter(inside).collect();
    let (limit, count) = (usize::try_from(asked.number(3)).unwrap_or(0), found.len());
    let shown = if asked.number(9) != 0 { 0 } else { count.min(if limit == 0 { count } else { limit }) };
    let more = shown < count && asked.number(9) == 0;
    let kvs = found.into_iter().take(shown).map(|one| {
        let value = if asked.number(8) != 0 { Vec::new() } else { one.value };
        record(&one.key, &value, one.created, one.modified, one.lease)
    });
    let head = Message::new().message(1, &header(REVISION)).messages(2, kvs);
    head.int(3, i64::from(more)).int(4, i64::try_from(count).unwrap())
}

fn deletion_of(asked: &Message) -> Message {
    let kvs = range_of(&Message::new().bytes(1, asked.text(1)).bytes(2, asked.text(2))).all(2);
    let deleted = i64::try_from(kvs.len()).unwrap();
    let answer = Message::new().message(1, &header(REVISION + 1)).int(2, deleted);
    if asked.number(3) == 0 { answer } else { answer.messages(3, kvs) }
}

/// As if all conditions held.
fn txn_of(asked: &Message) -> Message {
    let result = |op: Message| {
        let put = Message::new().message(1, &header(REVISION + 1));
        match op.fields().first() {
            Some((1, _)) => Message::new().message(1, &range_of(&op.all(1)[0])),
            Some((2, _)) => Message::new().message(2, &put),
            Some((3, _)) => Message::new().message(3, &deletion_of(&op.all(3)[0])),
            _ => Message::new().message(4, &txn_of(&op.all(4).pop().unwrap_or_default())),
        }
    };
    let results = asked.all(2).into_iter().map(result);
    Message::new().message(1, &header(REVISION + 1)).int(2, 1).messages(3, results)
}
