//! `kvadm mirror`: the copy, the following, the place, and what it refuses.

use std::time::Duration;

use kvadm::kvstore::{
    Error, KeyRange, KeySelector, LeaseMode, Op, Retry, Store, Txn, WatchOptions, WatchUpdate, Write,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::lock_faults::Dice;
use super::support::library::store_within;
use super::support::time_limit::seed;
use super::support::{Etcd, Kvadm, Mode, Proxy, Run, Running, eventually};

pub(super) const SOON: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(120);

/// A mirror of `source`, which the context `src` describes, to `destination`.
pub(super) fn mirror(source: &str, destination: &str, args: &[&str]) -> Kvadm {
    let context = format!("endpoints: [\"{source}\"]\n");
    Kvadm::new()
        .config_file("src.yaml", context)
        .endpoint(destination)
        .args(["mirror"])
        .args(args)
        .args(["--source", "context:src"])
        .timeout(LONG)
}

#[track_caller]
pub(super) fn once(source: &Etcd, destination: &Etcd, args: &[&str]) -> Run {
    mirror(&source.endpoint(), &destination.endpoint(), args).arg("--once").run()
}

pub(super) fn follow(source: &Etcd, destination: &Etcd, args: &[&str]) -> Running {
    let running = mirror(&source.endpoint(), &destination.endpoint(), args).spawn();
    running.wait_for_stderr("of the source", SOON);
    running
}

#[track_caller]
pub(super) fn put(etcd: &Etcd, key: &str, value: &str) {
    etcd.etcdctl_ok(&["put", "--", key, value]);
}

#[track_caller]
pub(super) fn delete(etcd: &Etcd, key: &str) {
    etcd.etcdctl_ok(&["del", key]);
}

pub(super) fn compact(etcd: &Etcd) {
    etcd.etcdctl_ok(&["compact", "--physical", &etcd.revision().to_string()]);
}

/// The keys and values with a prefix, without it; `except` is left out.
pub(super) fn state(etcd: &Etcd, prefix: &str, except: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = etcd.held_under(prefix).into_iter().filter(|held| held.key != except.as_bytes());
    all.map(|held| (held.key[prefix.len()..].to_vec(), held.value)).collect()
}

#[track_caller]
pub(super) fn same(source: &Etcd, destination: &Etcd, prefix: &str) {
    let (left, right) = (state(source, prefix, ""), state(destination, prefix, ""));
    let keys =
        |state: &[(Vec<u8>, Vec<u8>)]| state.iter().map(|(key, _)| key.escape_ascii().to_string()).collect::<Vec<_>>();
    assert!(left == right, "they differ: {:?}\n{:?}", keys(&left), keys(&right));
}

#[track_caller]
fn place(etcd: &Etcd, key: &str) -> Value {
    serde_json::from_slice(&etcd.held(key).expect("a place").value).expect("JSON")
}

pub(super) fn library(etcd: &Etcd) -> Store {
    store_within(&etcd.endpoint(), b"", LONG)
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// One change of a history: the revision, the key without the prefix, and the value.
pub(super) type Change = (i64, Vec<u8>, Option<Vec<u8>>);

/// All changes of the keys with a prefix, in etcd's order.
pub(super) fn history(etcd: &Etcd, prefix: &str) -> Vec<Change> {
    put(etcd, "/~end", "x");
    let end = etcd.revision();
    let store = library(etcd);
    let ranges = vec![KeyRange::prefix(prefix.as_bytes()), KeyRange::key(b"/~end")];
    let mut watcher = store.watch(WatchOptions { ranges, start: 1, known: end, prev: false });
    let mut all = Vec::new();
    block_on(async {
        while watcher.next_revision() <= end {
            match watcher.next().await.expect("a history") {
                WatchUpdate::Events(events) => all.extend(events),
                WatchUpdate::Compacted(revision) => panic!("compacted up to {revision}"),
                _ => {}
            }
        }
    });
    let changes = all.into_iter().filter(|event| event.kv.key.starts_with(prefix.as_bytes()));
    let change = |event: kvadm::kvstore::WatchEvent| {
        let key = event.kv.key[prefix.len()..].to_vec();
        (event.kv.mod_revision, key, (!event.deleted).then_some(event.kv.value))
    };
    changes.map(change).collect()
}

/// The destination's history is the source's: every change once, in order, and no revision of the source that fits into one
/// transaction is divided.
#[track_caller]
pub(super) fn check_history(source: &[Change], destination: &[Change], max_changes: usize) {
    let shown = |change: Option<&Change>| {
        change.map(|(at, key, value)| {
            let value = value.as_ref().map(|value| value[..value.len().min(20)].escape_ascii().to_string());
            format!("{at} {} {value:?}", key.escape_ascii())
        })
    };
    for (index, change) in source.iter().enumerate() {
        let copy = destination.get(index);
        let equal = copy.is_some_and(|copy| copy.1 == change.1 && copy.2 == change.2);
        assert!(equal, "change {index} is {:?}, but the copy is {:?}", shown(Some(change)), shown(copy));
    }
    assert_eq!(destination.len(), source.len(), "more than the source: {:?}", shown(destination.get(source.len())));
    let mut index = 0;
    while index < source.len() {
        let count = source[index..].iter().take_while(|change| change.0 == source[index].0).count();
        let bytes: usize = source[index..index + count]
            .iter()
            .map(|change| 2 * change.1.len() + change.2.as_ref().map_or(0, Vec::len) + 128)
            .sum();
        if count <= max_changes && bytes < 1 << 20 {
            let revisions = &destination[index..index + count];
            assert!(revisions.iter().all(|copy| copy.0 == revisions[0].0), "revision {} is divided", source[index].0);
        }
        index += count;
    }
}

fn put_op(key: Vec<u8>, value: Vec<u8>, lease: LeaseMode) -> Op {
    Op::Put(Write { key, value, lease, prev: false, ..Write::default() })
}

/// Writes a random transaction: some keys, many keys, a range that is deleted, a lease with its keys. `n` is in each value,
/// so that each change is another one.
pub(super) async fn random_change(
    store: &Store,
    prefix: &str,
    dice: &mut Dice,
    n: u64,
    large: bool,
) -> Result<(), Error> {
    let key = |dice: &mut Dice, within: u64| {
        let number = dice.below(within);
        let mut key = format!("{prefix}{}/{number}", number % 7).into_bytes();
        key.extend(number.is_multiple_of(5).then_some(0xff));
        key
    };
    let value = |dice: &mut Dice| {
        let mut value = n.to_be_bytes().to_vec();
        value.resize(8 + dice.below(60) as usize, (n % 256) as u8);
        value
    };
    let txn = |ops: Vec<Op>| Txn { then: ops, ..Txn::default() };
    let send = async |ops: Vec<Op>| store.txn("test", &txn(ops), None, Retry::Never).await.map(drop);
    match dice.below(40) {
        0..=19 => {
            let value = value(dice);
            send(vec![put_op(key(dice, 40), value, LeaseMode::Detach)]).await?;
        }
        20..=31 => {
            let mut keys: Vec<Vec<u8>> = (0..2 + dice.below(9)).map(|_| key(dice, 40)).collect();
            keys.sort();
            keys.dedup();
            let ops = keys.into_iter().map(|key| match dice.below(4) {
                0 => Op::Delete { over: KeySelector::Key(key), prev: false },
                _ => put_op(key, value(dice), LeaseMode::Detach),
            });
            send(ops.collect()).await?;
        }
        32..=34 => send(vec![Op::Delete { over: KeySelector::Key(key(dice, 40)), prev: false }]).await?,
        35 => send(vec![put_op(key(dice, 40), Vec::new(), LeaseMode::Detach)]).await?,
        36 if large => {
            let size = (1 << 20) - dice.below(100) as usize;
            let mut value = vec![(n % 256) as u8; size];
            value[..8].copy_from_slice(&n.to_be_bytes());
            send(vec![put_op(key(dice, 3), value, LeaseMode::Detach)]).await?;
        }
        37 => {
            // 300 keys in three transactions, which are deleted in one.
            for part in 0..3 {
                let many = (0..100).map(|at| format!("{prefix}many/{}", part * 100 + at).into_bytes());
                send(many.map(|key| put_op(key, n.to_be_bytes().to_vec(), LeaseMode::Detach)).collect()).await?;
            }
            let over = KeySelector::Range(KeyRange::prefix(format!("{prefix}many/").as_bytes()));
            send(vec![Op::Delete { over, prev: false }]).await?;
        }
        38 => {
            let lease = store.grant(60).await?.id;
            let leased = (0..3).map(|at| format!("{prefix}lease/{at}").into_bytes());
            send(leased.map(|key| put_op(key, n.to_be_bytes().to_vec(), LeaseMode::Attach(lease))).collect()).await?;
            store.revoke(lease).await?;
        }
        _ => send(vec![put_op(b"/elsewhere".to_vec(), value(dice), LeaseMode::Detach)]).await?,
    }
    Ok(())
}

#[test]
fn a_copy_and_then_the_changes_in_order() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    put(&source, "/app/b", "2");
    put(&source, "/apple", "no");
    let run = once(&source, &destination, &["/app/"]);
    run.ok().out_empty().err_has("note: copied 2 keys at revision 4 of the source\n");
    run.err_has("note: caught up at revision 4 of the source\n");
    same(&source, &destination, "/app/");
    assert_eq!(destination.held("/apple"), None);
    let told = place(&destination, "/app.kvadm-mirror");
    assert_eq!((&told["revision"], &told["state"]), (&4.into(), &"following".into()));
    delete(&source, "/app/a");
    put(&source, "/app/b", "3");
    put(&source, "/app/b", "4");
    let run = once(&source, &destination, &["/app/", "--verify", "-o", "json"]);
    let lines = run.ok().json_lines();
    assert_eq!((&lines[0]["event"], &lines[0]["changes"]), (&"caught-up".into(), &3.into()));
    assert_eq!((&lines[1]["event"], &lines[1]["unchanged"]), (&"verified".into(), &1.into()));
    same(&source, &destination, "/app/");
    let copied = history(&destination, "/app/");
    check_history(&history(&source, "/app/"), &copied, 127);
    // Nothing is left to do.
    once(&source, &destination, &["/app/"]).ok().err_has("caught up at revision");
    assert_eq!(history(&destination, "/app/"), copied);
}

#[test]
fn a_signal_ends_it_and_it_says_where_it_stands() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    let running = follow(&source, &destination, &["/app/", "--report", "200ms"]);
    put(&source, "/app/b", "2");
    eventually("the change", SOON, || destination.held("/app/b").is_some());
    running.wait_for_stderr("at revision 3 of 3, 0 behind", SOON);
    running.signal(Signal::SIGINT);
    let run = running.wait();
    run.signal(Signal::SIGINT).out_empty();
    run.err_has("note: stopped at revision 3 of the source; the same command continues there\n");
    // Nothing has changed since: one report is enough.
    assert_eq!(run.stderr_text().matches("0 behind").count(), run.stderr_text().matches(" behind").count());
    assert!(run.stderr_text().matches(" behind").count() <= 3, "{}", run.stderr_text());
    let running = follow(&source, &destination, &["/app/", "--report", "100ms", "-o", "json"]);
    put(&source, "/app/c", "3");
    running.wait_for_stdout("\"behind\":0,\"changes\":1", SOON);
    running.signal(Signal::SIGTERM);
    let run = running.wait();
    let lines = run.signal(Signal::SIGTERM).json_lines();
    let last = lines.last().unwrap();
    assert_eq!((&last["event"], &last["revision"], &last["changes"]), (&"stopped".into(), &4.into(), &1.into()));
    same(&source, &destination, "/app/");
}

#[test]
fn prefixes_and_namespaces_may_differ() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/ns/app/a", "1");
    put(&source, "/ns/app/", "the prefix itself");
    let context = format!("endpoints: [\"{}\"]\nnamespace: /ns\n", source.endpoint());
    let run = |args: &[&str]| {
        let kvadm = Kvadm::new().config_file("src.yaml", &context).endpoint(&destination);
        kvadm
            .args(["--namespace", "/copy", "mirror", "/x/y/", "--source-prefix", "/app/", "--source", "context:src"])
            .args(args)
            .run()
    };
    run(&["--once"]).ok();
    put(&source, "/ns/app/b", "2");
    delete(&source, "/ns/app/a");
    run(&["--once", "--verify"]).ok();
    assert_eq!(state(&destination, "/copy/x/y/", ""), state(&source, "/ns/app/", ""));
    let told = place(&destination, "/copy/x/y.kvadm-mirror");
    assert_eq!((&told["source_prefix"], &told["prefix"]), (&"/ns/app/".into(), &"/copy/x/y/".into()));
}

#[test]
fn a_whole_store_with_the_place_inside() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "a", "1");
    put(&source, "place", "a key of the source that is left out");
    mirror(&source.endpoint(), &destination.endpoint(), &["", "--once"]).run().code(2).err_has("add --place KEY");
    once(&source, &destination, &["", "--place", "place"]).ok().err_has("copied 1 key at");
    put(&source, "place", "still left out");
    put(&source, "b", "2");
    once(&source, &destination, &["", "--place", "place", "--verify"]).ok().err_has("verified: 2 keys equal");
    assert_eq!(state(&destination, "", "place"), state(&source, "", "place"));
    assert_eq!(place(&destination, "place")["revision"], 5);
}

#[test]
fn random_histories_arrive_whole_and_in_order() {
    let seed = seed("KVADM_TEST_SEED");
    let mut dice = Dice(seed);
    for round in 0..3 {
        let (source, destination) = (Etcd::start(), Etcd::start());
        put(&source, "/p/first", "1");
        // The history from here on.
        once(&source, &destination, &["/p/"]).ok();
        let store = library(&source);
        let ops = if round == 2 { "11" } else { "128" };
        block_on(async {
            for n in 0..200 {
                random_change(&store, "/p/", &mut dice, n, round == 1).await.expect("a write");
            }
        });
        let run = once(&source, &destination, &["/p/", "--verify", "--max-ops", ops]);
        assert!(run.code == Some(0), "seed {seed}: {}", run.stderr_text());
        same(&source, &destination, "/p/");
        check_history(&history(&source, "/p/"), &history(&destination, "/p/"), if round == 2 { 10 } else { 127 });
        assert!(destination.held_under("/p/").iter().all(|held| held.lease.is_none()));
    }
}

#[test]
fn a_lease_that_expires_arrives_as_a_deletion() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    let kvadm = |args: &[&str]| Kvadm::new().endpoint(&source).args(args).run();
    let _running = follow(&source, &destination, &["/app/"]);
    kvadm(&["put", "/app/leased", "x", "--ttl", "1s"]).ok();
    eventually("the key", SOON, || destination.held("/app/leased").is_some_and(|held| held.lease.is_none()));
    eventually("its deletion", SOON, || destination.held("/app/leased").is_none());
    same(&source, &destination, "/app/");
}

#[test]
fn what_was_there_is_changed_and_deleted_with_consent_only() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    put(&source, "/app/b", "2");
    put(&destination, "/app/b", "other");
    put(&destination, "/app/c", "lost");
    Kvadm::new().endpoint(&destination).args(["put", "/app/a", "1", "--ttl", "60s"]).run().ok();
    let before = state(&destination, "/", "");
    let run = once(&source, &destination, &["/app/"]);
    run.code(2).err_has("  ~ /app/a\n  ~ /app/b\n  - /app/c\n");
    run.err_has("Change 2 and delete 1 of 3 keys with prefix /app/, and create 0: cannot ask for confirmation");
    let run = once(&source, &destination, &["/app/", "--dry-run", "-o", "json"]);
    let row = run.ok().json();
    assert_eq!(
        (&row["event"], &row["created"], &row["modified"], &row["deleted"]),
        (&"would-copy".into(), &0.into(), &2.into(), &1.into())
    );
    once(&source, &destination, &["/app/", "--yes", "--max-delete", "0"])
        .code(5)
        .err_has("1 would be removed, more than --max-delete 0");
    assert_eq!(state(&destination, "/", ""), before);
    once(&source, &destination, &["/app/", "--yes", "--verify"]).ok().err_has("copied 3 keys");
    same(&source, &destination, "/app/");
    // A key of the copy has no lease that could end.
    assert_eq!(destination.held("/app/a").unwrap().lease, None);
}

#[test]
fn an_empty_source_and_too_many_deletions_are_refused() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    for n in 0..30 {
        put(&destination, &format!("/app/{n:02}"), "x");
    }
    let before = state(&destination, "/", "");
    let run = once(&source, &destination, &["/app/", "--yes"]);
    run.code(5).err_has("the source, context 'src', has no keys with prefix /app/").err_has("--allow-empty");
    once(&source, &destination, &["/app/", "--yes", "--allow-empty"])
        .code(5)
        .err_has("30 of 30 would be removed, more than --max-percent 50");
    assert_eq!(state(&destination, "/", ""), before);
    once(&source, &destination, &["/app/", "--yes", "--allow-empty", "--max-percent", "100"]).ok();
    assert_eq!(state(&destination, "/app/", ""), []);
    // A mistyped prefix is one too.
    put(&source, "/app/a", "1");
    once(&source, &destination, &["/ap/", "--source-prefix", "/ap/"]).code(5).err_has("has no keys with prefix /ap/");
    assert_eq!(destination.held("/ap.kvadm-mirror"), None);
}

#[test]
fn changes_of_others_end_it_and_are_written_over_on_request() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    for key in ["/app/a", "/app/b", "/app/c"] {
        put(&source, key, "1");
    }
    once(&source, &destination, &["/app/"]).ok();
    // Between two runs.
    put(&destination, "/app/a", "foreign");
    delete(&destination, "/app/b");
    put(&destination, "/app/x", "foreign");
    let before = state(&destination, "/", "");
    let run = once(&source, &destination, &["/app/"]);
    run.code(5).err_has("error: another client wrote '/app/a' in revision 5, and 2 more keys");
    run.err_has("--overwrite");
    let line = format!("kvadm --endpoints {} diff /app/ --source context:src", destination.endpoint());
    run.err_has(&format!("'{line}' shows how both sides differ"));
    assert_eq!(state(&destination, "/", ""), before);
    once(&source, &destination, &["/app/", "--overwrite", "--verify"])
        .ok()
        .err_has("wrote over the changes of other clients to 3 keys");
    same(&source, &destination, "/app/");
    // While it runs.
    let running = follow(&source, &destination, &["/app/"]);
    put(&destination, "/app/a", "foreign");
    put(&source, "/app/a", "2");
    let run = running.wait();
    run.code(5).err_has("another client wrote '/app/a' in revision");
    once(&source, &destination, &["/app/", "--overwrite", "--verify"]).ok();
    let running = follow(&source, &destination, &["/app/"]);
    delete(&destination, "/app/a");
    put(&source, "/app/a", "3");
    running.wait().code(5).err_has("another client deleted '/app/a'");
    let running = follow(&source, &destination, &["/app/", "--overwrite"]);
    put(&destination, "/app/c", "foreign");
    put(&source, "/app/c", "4");
    eventually("the source's value", SOON, || destination.held("/app/c").is_some_and(|held| held.value == b"4"));
    running.signal(Signal::SIGINT);
    let _ = running.wait();
    // Only a comparison finds a deletion that the source does not touch.
    let running = follow(&source, &destination, &["/app/"]);
    delete(&destination, "/app/c");
    put(&source, "/app/a", "5");
    eventually("the change", SOON, || destination.held("/app/a").is_some_and(|held| held.value == b"5"));
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
    once(&source, &destination, &["/app/"]).code(5).err_has("another client deleted '/app/c'");
}

#[test]
fn what_the_end_finds_different_is_said() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    put(&source, "/app/b", "1");
    once(&source, &destination, &["/app/"]).ok();
    mirror(&source.endpoint(), &destination.endpoint(), &["/app/", "--verify"]).run().code(2).err_has("--once");
    // Each answer of the source takes so long that the changes here come before the last comparison.
    put(&source, "/app/c", "1");
    let mut proxy = Proxy::start(&source.address());
    proxy.set(Mode::Delay { up: Duration::ZERO, down: Duration::from_millis(500) });
    let running =
        mirror(&proxy.endpoint(), &destination.endpoint(), &["/app/", "--once", "--verify", "-o", "json"]).spawn();
    running.wait_for_stderr("continuing after", SOON);
    delete(&destination, "/app/a");
    put(&destination, "/app/x", "foreign");
    let run = running.wait();
    let lines = run.code(1).err_has("warning: 2 keys differ at revision 4 of the source").json_lines();
    assert_eq!((&lines[1]["created"], &lines[1]["deleted"], &lines[1]["unchanged"]), (&1.into(), &1.into(), &2.into()));
}

/// While the source says nothing, a deletion may still be on its way.
#[test]
fn a_slow_source_is_not_taken_for_a_silent_one() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    put(&source, "/app/b", "1");
    once(&source, &destination, &["/app/"]).ok();
    let mut proxy = Proxy::start(&source.address());
    for change in [&["del", "/app/a"][..], &["put", "/app/b", "2"], &["put", "/elsewhere", "1"]] {
        source.etcdctl_ok(change);
        proxy.set(Mode::Delay { up: Duration::ZERO, down: Duration::from_millis(300) });
        mirror(&proxy.endpoint(), &destination.endpoint(), &["/app/", "--once"]).run().ok();
        same(&source, &destination, "/app/");
    }
}

/// As a run leaves it that is killed between two transactions of one revision.
#[test]
fn a_revision_that_was_applied_in_part_is_continued() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/p/a", "1");
    put(&source, "/p/e", "1");
    once(&source, &destination, &["/p/"]).ok();
    let store = library(&source);
    let key = |name: &str| format!("/p/{name}").into_bytes();
    let mut ops: Vec<Op> = ["b", "a", "c", "d"].map(|name| put_op(key(name), b"2".to_vec(), LeaseMode::Detach)).into();
    ops.insert(2, Op::Delete { over: KeySelector::Key(key("e")), prev: false });
    block_on(store.txn("test", &Txn { then: ops, ..Txn::default() }, None, Retry::Never)).unwrap();
    put(&source, "/p/a", "3");
    // The first three of the changes of revision 4.
    put(&destination, "/p/b", "2");
    put(&destination, "/p/a", "2");
    delete(&destination, "/p/e");
    let whole = destination.held("/p.kvadm-mirror").unwrap().text();
    let part = whole.replace("\"state\"", "\"within\":{\"revision\":4,\"ops\":3},\"state\"");
    for (args, what) in [
        (&["put", "/p/b", "x"][..], "wrote '/p/b'"),
        (&["del", "/p/b"], "deleted '/p/b'"),
        (&["put", "/p/e", "1"], "wrote '/p/e'"),
    ] {
        destination.etcdctl_ok(args);
        put(&destination, "/p.kvadm-mirror", &part);
        once(&source, &destination, &["/p/"]).code(5).err_has(&format!("another client {what}"));
        put(&destination, "/p/b", "2");
        delete(&destination, "/p/e");
    }
    put(&destination, "/p.kvadm-mirror", &part);
    let before = history(&destination, "/p/").len();
    once(&source, &destination, &["/p/", "--verify"]).ok();
    let added: Vec<(Vec<u8>, Option<Vec<u8>>)> =
        history(&destination, "/p/").into_iter().skip(before).map(|(_, key, value)| (key, value)).collect();
    let wanted = [("c", "2"), ("d", "2"), ("a", "3")].map(|(key, value)| (key.into(), Some(value.into())));
    assert_eq!(added, wanted);
    assert_eq!(place(&destination, "/p.kvadm-mirror").get("within"), None);
    // The same when revision 4 is compacted.
    put(&destination, "/p.kvadm-mirror", &part);
    compact(&source);
    once(&source, &destination, &["/p/", "--verify"]).ok().err_has("are compacted");
}

#[test]
fn of_two_mirrors_with_one_place_one_ends() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    let mut both = [follow(&source, &destination, &["/app/"]), follow(&source, &destination, &["/app/"])];
    let mut n = 0;
    eventually("one to end", SOON, || {
        n += 1;
        put(&source, "/app/a", &n.to_string());
        both.iter_mut().any(|running| running.ended().is_some())
    });
    let [first, second] = both;
    let (mut ended, running) = (first, second);
    let (ended, running) = if ended.ended().is_some() { (ended, running) } else { (running, ended) };
    ended
        .wait()
        .code(5)
        .err_has("the place key '/app.kvadm-mirror' was written by another client")
        .err_has("run one mirror for a prefix");
    put(&source, "/app/b", "2");
    eventually("the change", SOON, || destination.held("/app/b").is_some());
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
    check_history(&history(&source, "/app/"), &history(&destination, "/app/"), 127);
}

#[test]
fn a_place_that_does_not_fit_is_refused() {
    let (source, other, destination) = (Etcd::start(), Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    put(&source, "/app/b", "1");
    put(&other, "/app/a", "other");
    once(&source, &destination, &["/app/"]).ok();
    let before = state(&destination, "/", "");
    let run = once(&other, &destination, &["/app/"]);
    run.code(4).err_has("the place key /app.kvadm-mirror cannot be used: it belongs to a mirror of cluster ");
    // Printed commands name the store.
    let kvadm = format!("kvadm --endpoints {}", destination.endpoint());
    run.err_has(&format!("'{kvadm} delete /app.kvadm-mirror' makes the next run begin with a copy"));
    put(&source, "/b/a", "1");
    once(&source, &destination, &["/app/", "--source-prefix", "/b/"])
        .code(4)
        .err_has("it belongs to a mirror of '/app/' to '/app/', not of '/b/' to '/app/'");
    once(&source, &destination, &["/app/", "--place", "/app/a"])
        .code(4)
        .err_has("its value is not the place of a mirror")
        .err_has("hint: choose another key with --place KEY\n");
    put(&destination, "/x.kvadm-mirror", "data");
    once(&source, &destination, &["/x/", "--source-prefix", "/app/"])
        .code(4)
        .err_has(&format!("if this one is a damaged place: '{kvadm} delete /x.kvadm-mirror'"));
    delete(&destination, "/x.kvadm-mirror");
    assert_eq!(state(&destination, "/", ""), before);
    let good = destination.held("/app.kvadm-mirror").unwrap().text();
    for (spoiled, why) in [
        (good.replace("\"format\":1", "\"format\":2"), "has format 2"),
        (
            good.replace("\"revision\":3", "\"revision\":300"),
            "revision 300 of the source was mirrored, but the source is at revision 4",
        ),
        ("blue".to_owned(), "not the place of a mirror"),
    ] {
        put(&destination, "/app.kvadm-mirror", &spoiled);
        once(&source, &destination, &["/app/"]).code(4).err_has(why);
        assert_eq!(destination.held("/app.kvadm-mirror").unwrap().text(), spoiled);
    }
    // Deleted or written under a running mirror.
    delete(&destination, "/app.kvadm-mirror");
    once(&source, &destination, &["/app/"]).ok();
    let running = follow(&source, &destination, &["/app/"]);
    delete(&destination, "/app.kvadm-mirror");
    put(&source, "/app/a", "2");
    running.wait().code(5).err_has("the place key '/app.kvadm-mirror' was deleted by another client");
    assert_eq!(destination.held("/app/a").unwrap().value, b"1");
}

#[test]
fn one_cluster_only_with_disjoint_prefixes() {
    let etcd = Etcd::start();
    put(&etcd, "/app/a", "1");
    let before = state(&etcd, "/", "");
    for args in [
        &["/app/"][..],
        &["/app/copy/", "--source-prefix", "/app/"],
        &["/", "--source-prefix", "/app/", "--place", "/p"],
    ] {
        once(&etcd, &etcd, args).code(2).err_has("is this store itself");
    }
    once(&etcd, &etcd, &["/copy/", "--source-prefix", "/app/", "--place", "/app/place"])
        .code(2)
        .err_has("the place key /app/place is below the prefix of the source");
    assert_eq!(state(&etcd, "/", ""), before);
    once(&etcd, &etcd, &["/copy/", "--source-prefix", "/app/", "--verify"]).ok();
    put(&etcd, "/app/b", "2");
    once(&etcd, &etcd, &["/copy/", "--source-prefix", "/app/", "--verify"]).ok();
    assert_eq!(state(&etcd, "/copy/", ""), state(&etcd, "/app/", ""));
}

#[test]
fn only_another_context_can_be_followed() {
    let etcd = Etcd::start();
    let run = |source: &str| Kvadm::new().endpoint(&etcd).args(["mirror", "/app/", "--source", source]).run();
    run("rev:5").code(2).err_has("a mirror can only follow another context");
    run("file:x").code(2).err_has("a mirror can only follow another context");
    run("context:src@5").code(2).err_has("a mirror cannot follow a single revision");
    run("context:none").code(2).err_has("context 'none'");
    run("blue").code(2).err_has("a source is rev:N, context:NAME");
}

#[test]
fn a_source_that_is_compacted_while_the_mirror_is_down() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    for key in ["/app/a", "/app/b", "/app/c"] {
        put(&source, key, "1");
    }
    once(&source, &destination, &["/app/"]).ok();
    put(&source, "/app/a", "2");
    delete(&source, "/app/b");
    put(&source, "/app/d", "1");
    put(&source, "/elsewhere", "1");
    compact(&source);
    let run = once(&source, &destination, &["/app/", "--verify"]);
    run.ok().err_has(
        "warning: the source's revisions after 4 are compacted: the changes up to revision 8 are copied as one",
    );
    same(&source, &destination, "/app/");
    // Changes of others are found all the same: one that the source has not touched, one that is newer, one that is gone.
    for foreign in [&["put", "/app/c", "foreign"][..], &["put", "/app/new", "foreign"], &["del", "/app/c"]] {
        destination.etcdctl_ok(foreign);
        put(&source, "/app/a", "3");
        put(&source, "/app/a", "4");
        compact(&source);
        let run = once(&source, &destination, &["/app/"]);
        run.code(5).err_has(if foreign[0] == "del" {
            "another client deleted '/app/c'"
        } else {
            "another client wrote"
        });
        once(&source, &destination, &["/app/", "--overwrite", "--verify"])
            .ok()
            .err_has("wrote over the changes of other clients to 1 key");
        same(&source, &destination, "/app/");
    }
    // Too many deletions are refused here too.
    delete(&source, "/app/a");
    compact(&source);
    once(&source, &destination, &["/app/", "--max-delete", "0"]).code(5).err_has("--max-delete 0");
}

#[test]
fn a_value_that_the_destination_refuses_is_named() {
    let source = Etcd::start();
    let destination = Etcd::options().arg("--max-request-bytes=100000").start();
    put(&source, "/app/a", "1");
    once(&source, &destination, &["/app/"]).ok();
    let value = "x".repeat(60_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &value).unwrap();
    let load = |key: &str| {
        let put = Kvadm::new().endpoint(&source).args(["put", key, "--file"]).arg(file.path()).run();
        put.ok();
    };
    // Together too large for one request, each alone is not.
    load("/app/b");
    load("/app/c");
    load("/app/d");
    once(&source, &destination, &["/app/", "--verify"]).ok();
    std::fs::write(file.path(), "x".repeat(120_000)).unwrap();
    load("/app/e");
    once(&source, &destination, &["/app/"])
        .code(4)
        .err_has("the destination refuses '/app/e' as too large (120006 bytes)")
        .err_has("--max-request-bytes");
    // The copy says so too.
    let empty = Etcd::options().arg("--max-request-bytes=100000").start();
    once(&source, &empty, &["/app/"]).code(4).err_has("the destination refuses '/app/e' as too large");
}

#[test]
fn a_copy_that_was_interrupted_is_made_again_without_a_question() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    put(&source, "/app/b", "1");
    once(&source, &destination, &["/app/"]).ok();
    // As a copy leaves it that was killed: the place says so, some keys are newer, some older.
    let copying = destination.held("/app.kvadm-mirror").unwrap().text().replace("following", "copying");
    put(&destination, "/app.kvadm-mirror", &copying);
    put(&source, "/app/a", "2");
    delete(&destination, "/app/b");
    put(&destination, "/app/c", "1");
    let run = once(&source, &destination, &["/app/", "--verify"]);
    run.ok().err_has("an earlier run has not finished its copy; copying again").err_has("copied 3 keys");
    same(&source, &destination, "/app/");
}

/// The recipe for a move waits for `0 behind`: changes elsewhere in the source must not keep it from being reached.
#[test]
fn changes_outside_the_prefix_are_not_left_to_apply() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    let running = follow(&source, &destination, &["/app/", "--report", "100ms"]);
    for n in 0..20 {
        put(&source, "/other", &n.to_string());
    }
    let now = source.revision();
    running.wait_for_stderr(&format!("at revision {now} of {now}, 0 behind"), SOON);
    // A change of the prefix is still applied.
    put(&source, "/app/a", "2");
    eventually("the change", SOON, || destination.held("/app/a").is_some_and(|held| held.text() == "2"));
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
}
