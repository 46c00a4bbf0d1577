//! A database against a naive model of etcd's store.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::super::bolt::testing::{Content, Elements, Writer, file, values};
use super::super::history_usage;
use super::*;
use crate::output::Settings;

/// One change: a key, and its new value; `None` deletes it.
type Change = (u8, Option<u8>);

/// A store that keeps the state of each revision.
#[derive(Default)]
struct Model {
    states: BTreeMap<Revision, BTreeMap<Vec<u8>, KeyValue>>,
    /// The changes in order, with their revisions and numbers in them.
    changes: Vec<(Revision, i64, Vec<u8>, Option<KeyValue>)>,
    /// A revision without a record.
    placeholder: Option<Revision>,
}

impl Model {
    fn of(txns: &[Vec<Change>]) -> Self {
        let (mut model, mut state, mut revision) = (Self::default(), BTreeMap::<Vec<u8>, KeyValue>::new(), 1);
        model.states.insert(1, state.clone());
        for txn in txns {
            let (mut sub, main) = (0, revision + 1);
            let mut written = Vec::new();
            for (key, value) in txn {
                let key = [b"/k".as_slice(), &[*key]].concat();
                // etcd refuses a transaction that writes a key twice, and a deletion of nothing is no change.
                if written.contains(&key) || (value.is_none() && !state.contains_key(&key)) {
                    continue;
                }
                written.push(key.clone());
                let before = state.get(&key);
                let record = value.map(|value| KeyValue {
                    key: key.clone(),
                    value: vec![value; value.into()],
                    create_revision: before.map_or(main, |kv| kv.create_revision),
                    mod_revision: main,
                    version: before.map_or(0, |kv| kv.version) + 1,
                    lease: (value % 3 == 0).then_some(LeaseId(i64::from(value) + 1)),
                });
                match &record {
                    Some(kv) => drop(state.insert(key.clone(), kv.clone())),
                    None => drop(state.remove(&key)),
                }
                model.changes.push((main, sub, key, record));
                sub += 1;
            }
            if sub > 0 {
                revision = main;
                model.states.insert(main, state.clone());
            }
        }
        model
    }

    fn latest(&self) -> Revision {
        *self.states.keys().next_back().unwrap()
    }

    /// Whether a complete compaction keeps a change.
    fn keeps(&self, compacted: Revision, change: &(Revision, i64, Vec<u8>, Option<KeyValue>)) -> bool {
        let (revision, _, key, record) = change;
        *revision > compacted || record.as_ref() == self.states[&compacted].get(key) && record.is_some()
    }

    /// The database of etcd after a compaction; an unfinished one has removed the earliest changes only, because
    /// etcd removes them in their order.
    fn database(&self, compacted: Revision, unfinished: bool) -> Vec<u8> {
        let key_of = |main: Revision, sub: i64, tombstone: bool| {
            let mut key = [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes()].concat();
            key.extend(tombstone.then_some(b't'));
            key
        };
        let mut keys = Elements::new();
        for (index, change) in self.changes.iter().enumerate() {
            let is_still_there = unfinished && index >= self.changes.len() / 3;
            if !self.keeps(compacted, change) && !is_still_there {
                continue;
            }
            let (main, sub, key, record) = change;
            let bytes =
                record.as_ref().map_or_else(|| encode(&KeyValue { key: key.clone(), ..KeyValue::default() }), encode);
            keys.insert(key_of(*main, *sub, record.is_none()), Content::Value(bytes));
        }
        if let Some(main) = self.placeholder {
            keys.insert(key_of(main, 0, false), Content::Value(Vec::new()));
        }
        let mut meta = vec![("scheduledCompactRev", key_of(compacted, 0, false))];
        meta.extend((!unfinished).then(|| ("finishedCompactRev", key_of(compacted, 0, false))));
        let meta = if compacted > 1 { meta } else { Vec::new() };
        let root = Elements::from_iter([
            (b"key".to_vec(), Content::Bucket(keys)),
            (b"meta".to_vec(), Content::Bucket(values(meta))),
        ]);
        Writer::database(&root, 4096, 300)
    }
}

fn encode(kv: &KeyValue) -> Vec<u8> {
    fn number(out: &mut Vec<u8>, field: u8, mut number: u64) {
        if number == 0 {
            return;
        }
        out.push(field << 3);
        while number >= 0x80 {
            out.push((number as u8) | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }
    let mut out = vec![0x0a, kv.key.len() as u8];
    out.extend(&kv.key);
    for (field, value) in [(2, kv.create_revision), (3, kv.mod_revision), (4, kv.version)] {
        number(&mut out, field, value.cast_unsigned());
    }
    if !kv.value.is_empty() {
        out.extend([0x2a, kv.value.len() as u8]);
        out.extend(&kv.value);
    }
    number(&mut out, 6, kv.lease.map_or(0, |lease| lease.0.cast_unsigned()));
    out
}

fn open(path: &Path) -> Database {
    Database::open(path, Out::new(Settings::default()), CancellationToken::new()).unwrap()
}

fn query(range: KeyRange, revision: Revision) -> LocalQuery {
    LocalQuery { revision, ..LocalQuery::of(range) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]
    #[test]
    fn every_readable_revision_is_that_of_the_store(
        txns in proptest::collection::vec(
            proptest::collection::vec((0u8..6, proptest::option::weighted(0.7, 0u8..60)), 1..4), 1..25),
        compact in 0.0f64..1.0,
        unfinished in any::<bool>(),
    ) {
        let model = Model::of(&txns);
        let latest = model.latest();
        let compacted = 1 + ((latest - 1) as f64 * compact) as i64;
        let (_folder, path) = file(&model.database(compacted, unfinished));
        let database = open(&path);
        prop_assert_eq!((database.oldest(), database.latest()), (compacted.max(1), latest));
        for revision in compacted..=latest {
            let state: Vec<KeyValue> = model.states[&revision].values().cloned().collect();
            let found = database.range(&query(KeyRange::prefix(b""), revision)).unwrap();
            prop_assert_eq!((&found.kvs, found.count, found.more), (&state, state.len() as u64, false));
            let limited = database.range(&LocalQuery { limit: 2, ..query(KeyRange::prefix(b"/k"), revision) }).unwrap();
            prop_assert_eq!(&limited.kvs[..], &state[..state.len().min(2)]);
            prop_assert_eq!((limited.count, limited.more), (state.len() as u64, state.len() > 2));
            let names = database.range(&LocalQuery { keys_only: true, ..query(KeyRange::prefix(b"/"), revision) }).unwrap();
            let bare: Vec<KeyValue> = state.iter().cloned().map(|kv| KeyValue { value: Vec::new(), ..kv }).collect();
            prop_assert_eq!(names.kvs, bare);
            // Single keys, by a fresh handle that has no index.
            let fresh = open(&path);
            for key in (0..6u8).map(|key| vec![b'/', b'k', key]) {
                let one = fresh.range(&query(KeyRange::key(&key), revision)).unwrap();
                prop_assert_eq!(one.kvs.first(), model.states[&revision].get(&key));
                let history: Vec<(Revision, bool)> =
                    fresh.revisions_of(&key, revision).unwrap().iter().map(|one| (one.revision, one.is_tombstone)).collect();
                let visible = |change: &&(Revision, i64, Vec<u8>, Option<KeyValue>)| {
                    change.2 == key && change.0 <= revision && model.keeps(compacted, change)
                };
                let wanted: Vec<(Revision, bool)> =
                    model.changes.iter().filter(visible).map(|(main, _, _, record)| (*main, record.is_none())).collect();
                prop_assert_eq!(history, wanted);
            }
        }
        if compacted > 1 {
            let early = database.range(&query(KeyRange::prefix(b""), compacted - 1));
            prop_assert_eq!(early, Err(LocalError::Compacted { revision: compacted - 1, oldest: compacted }));
        }
        let late = database.range(&query(KeyRange::prefix(b""), latest + 1));
        prop_assert_eq!(late, Err(LocalError::FutureRevision { revision: latest + 1, latest }));
        let usage = history_usage(&database, &KeyRange::prefix(b"")).unwrap();
        let live: u64 = usage.iter().map(|(_, usage)| usage.live_bytes).sum();
        let wanted: usize = model.states[&latest].values().map(KeyValue::size).sum();
        prop_assert_eq!(live, wanted as u64);
    }
}

/// As `etcdutl snapshot restore --bump-revision` writes it.
#[test]
fn a_revision_without_a_record_belongs_to_no_key() {
    let model = Model { placeholder: Some(1000), ..Model::of(&[vec![(0, Some(5))], vec![(1, Some(5))]]) };
    let (_folder, path) = file(&model.database(1, false));
    let database = open(&path);
    assert_eq!(database.latest(), 1000);
    let found = database.range(&query(KeyRange::prefix(b""), 0)).unwrap();
    assert_eq!(found.kvs, model.states[&3].values().cloned().collect::<Vec<_>>());
    assert_eq!(open(&path).range(&query(KeyRange::key(b""), 0)).unwrap().kvs, []);
    let usage = history_usage(&database, &KeyRange::prefix(b"")).unwrap();
    assert_eq!(usage.iter().map(|(_, usage)| usage.revisions).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    let model = Model::of(&[vec![(0, Some(5))], vec![(1, Some(5))]]);
    let (_folder, path) = file(&model.database(1, false));
    let database = open(&path);
    let all = query(KeyRange::prefix(b""), 0);
    assert_eq!(database.range(&all).unwrap().kvs.len(), 2);
    // Another record of the same length in its place.
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(3).position(|window| window == b"/k\x01").unwrap();
    bytes[at + 2] = 9;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(database.range(&all), Err(LocalError::Changed));
    // Whatever is read: also what kvadm would take for a right answer.
    assert_eq!(database.range(&query(KeyRange::key(b"/k\0"), 0)), Err(LocalError::Changed));
    assert_eq!(database.prepare(&[b"/k".to_vec()]), Err(LocalError::Changed));
    assert_eq!(database.lease_ttl(LeaseId(4)), Err(LocalError::Changed));
    assert!(database.revisions_of(b"/k\0", 3).is_err() && database.check_whole().is_err());
    assert!(history_usage(&database, &KeyRange::prefix(b"")).is_err());
}

#[test]
fn an_interruption_ends_a_pass() {
    let txns: Vec<Vec<Change>> = (0..9000).map(|n| vec![((n % 200) as u8, Some(1))]).collect();
    let (_folder, path) = file(&Model::of(&txns).database(1, false));
    let cancel = CancellationToken::new();
    let database = Database::open(&path, Out::new(Settings::default()), cancel.clone()).unwrap();
    cancel.cancel();
    let failed = |why: &str| Err(LocalError::Broken(why.to_owned()));
    assert_eq!(database.range(&query(KeyRange::prefix(b""), 0)), failed("interrupted"));
    assert_eq!(database.range(&query(KeyRange::key(b"/k"), 0)), failed("interrupted"));
    assert_eq!(history_usage(&database, &KeyRange::prefix(b"")).map(|_| ()).unwrap_err().to_string(), "interrupted");
}

#[test]
fn a_flipped_byte_ends_in_an_error_or_in_an_answer() {
    let txns: Vec<Vec<Change>> = (0..40).map(|n| vec![(n % 7, (n % 5 > 0).then_some(n))]).collect();
    let bytes = Model::of(&txns).database(10, true);
    let (_folder, path) = file(&bytes);
    let writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let write = |at: usize, byte: u8| writer.write_all_at(&[byte], at as u64).unwrap();
    let (mut opened, mut answered) = (0, 0);
    let mut changed = 0;
    for at in (0..bytes.len()).step_by(5) {
        write(changed, bytes[changed]);
        write(at, !bytes[at]);
        changed = at;
        let Ok(database) = Database::open(&path, Out::new(Settings::default()), CancellationToken::new()) else {
            continue;
        };
        opened += 1;
        answered += usize::from(database.range(&query(KeyRange::prefix(b""), 0)).is_ok());
        let _ = database.range(&query(KeyRange::key(b"/k\x01"), database.oldest()));
        let _ = database.revisions_of(b"/k\x02", database.latest());
        let _ = database.lease_ttl(LeaseId(4));
        // What is whole is read.
        if database.check_whole().is_ok() {
            assert!(database.range(&query(KeyRange::prefix(b""), 0)).is_ok(), "byte {at}");
        }
        let _ = history_usage(&database, &KeyRange::prefix(b"/"));
    }
    assert!(answered > 0 && answered < opened, "{answered} of {opened}");
}
