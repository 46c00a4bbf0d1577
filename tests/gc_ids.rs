//! `gc ids`: what no node refers to goes, and nothing else, whoever allocates meanwhile.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::{Etcd, Kvadm, Mode, Proxy, Running, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(15);

/// An allocator of its own in some server.
struct Ids<'a> {
    etcd: &'a Etcd,
    base: String,
}

impl<'a> Ids<'a> {
    fn new(etcd: &'a Etcd) -> Self {
        Self { etcd, base: format!("{}ids", unique_prefix()) }
    }

    fn kvadm(&self) -> Kvadm {
        Kvadm::new().env("KVADM_ENDPOINTS", self.etcd.endpoint())
    }

    fn path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.base)
    }

    fn put(&self, pairs: &[(&str, &str)]) {
        let line = |(key, value): &(&str, &str)| serde_json::json!({"key": self.path(key), "value": value}).to_string();
        let lines: Vec<String> = pairs.iter().map(line).collect();
        self.kvadm().args(["put", "--from", "-"]).stdin(lines.join("\n")).run().ok();
    }

    fn gc(&self) -> Kvadm {
        self.kvadm().args(["gc", "ids", "--base", &self.base])
    }

    fn apply(&self) -> Kvadm {
        self.gc().args(["--apply", "--yes", "--grace", "20ms", "-o", "json"])
    }

    fn allocate(&self, key: &str, node: &str) -> Kvadm {
        self.kvadm().args(["allocate", "new", key, "--base", &self.base, "--node", node])
    }

    /// What is left below the base, without it.
    fn left(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let below = self.path("");
        self.etcd
            .held_under(&below)
            .iter()
            .map(|held| (text(&held.key)[below.len()..].to_owned(), held.text()))
            .collect()
    }

    fn has(&self, key: &str) -> bool {
        self.etcd.held(self.path(key)).is_some()
    }

    /// The locks that are there.
    fn locks(&self) -> Vec<String> {
        self.left().into_iter().map(|(key, _)| key).filter(|key| key.starts_with("locks/")).collect()
    }

    /// Every reference names an ID whose master says its key, and no lock stays behind.
    fn is_sound(&self) {
        let left = self.left();
        for (path, id) in &left {
            assert!(!path.starts_with("locks/"), "{path} stays");
            let Some((key, _)) = path.strip_prefix("value/").and_then(|rest| rest.rsplit_once('/')) else { continue };
            let master = left.iter().find(|(path, _)| *path == format!("id/{id}")).map(|(_, key)| key.as_str());
            assert_eq!(master, Some(key), "{path} names {id}: {left:?}");
        }
    }
}

fn ids(rows: &[Value], state: &str) -> Vec<i64> {
    rows.iter().filter(|row| row["state"] == state).map(|row| row["id"].as_str().unwrap().parse().unwrap()).collect()
}

/// `TestRunGC` of Cilium, with its keys and IDs.
#[test]
fn rows_are_in_the_order_of_the_ids() {
    let ids_ = Ids::new(shared());
    let masters = ["id/1000", "id/300", "id/65535", "id/256", "id/4000"];
    ids_.put(&masters.map(|master| (master, "unused;")));
    let shown = |format: &str| ids_.gc().args(["-o", format]).run().code(1).stdout_text();
    let ids: Vec<String> = shown("text").lines().map(|line| line.split('\t').nth(1).unwrap().to_owned()).collect();
    assert_eq!(ids, ["256", "300", "1000", "4000", "65535"]);
    let rows = ids_.gc().args(["-o", "json"]).run().code(1).json_lines();
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["256", "300", "1000", "4000", "65535"]);
    let table = shown("table");
    let ends: Vec<usize> = table.lines().skip(1).map(|line| line.find("  no reference").unwrap()).collect();
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
    // The removal has the same order.
    let removed = ids_.apply().arg("--max-percent=100").run().json_lines();
    assert!(removed.iter().all(|row| row["state"] == "removed"), "{removed:?}");
    let ids: Vec<&str> = removed.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["256", "300", "1000", "4000", "65535"]);
}

#[test]
fn unused_masters_and_duplicates_go_in_two_looks() {
    let ids_ = Ids::new(shared());
    let (short, long, other) = ("k8s:foo=bar;", "k8s:foo=bar;k8s:bar=foo;", "k8s:foo=bar;/k8s:bar;");
    ids_.put(&[("id/1000", short), ("id/1001", long), ("id/1002", other)]);
    for (key, id) in [(short, "1000"), (long, "1001"), (other, "1002")] {
        for node in ["10.0.0.1", "10.0.0.2"] {
            ids_.put(&[(&format!("value/{key}/{node}"), id)]);
        }
    }
    ids_.apply().run().ok().out_empty().err_has("\"looked_at\":3,\"garbage\":0");
    for node in ["10.0.0.1", "10.0.0.2"] {
        ids_.etcd.etcdctl_ok(&["del", &ids_.path(&format!("value/{short}/{node}"))]);
    }
    ids_.put(&[("id/1003", long)]);
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan");
    let first = ids_.gc().args(["-o", "json", "--save"]).arg(&plan).run();
    first.code(1);
    let rows = first.json_lines();
    assert_eq!(ids(&rows, "garbage"), [1000, 1003]);
    assert_eq!((rows[0]["value"].as_str(), rows[0]["why"].as_str()), (Some(short), Some("no reference")));
    assert_eq!(rows[1]["why"], "duplicate: its key's references name 1001");
    assert_eq!(rows[0]["key"], ids_.path("id/1000"));
    ids_.gc()
        .args(["--min", "2", "--apply", "--yes", "--since"])
        .arg(&plan)
        .run()
        .code(5)
        .err_has("first 256")
        .out_empty();
    let run = ids_.gc().args(["--apply", "--yes", "-o", "json", "--since"]).arg(&plan).run();
    run.ok();
    assert_eq!(ids(&run.json_lines(), "removed"), [1000, 1003]);
    let masters: Vec<String> =
        ids_.left().into_iter().map(|(key, _)| key).filter(|key| key.starts_with("id/")).collect();
    assert_eq!(masters, ["id/1001", "id/1002"]);
    ids_.is_sound();
    ids_.apply().run().ok().out_empty();
}

/// `TestGC` and the end of `TestAllocateCached`: what is released is collected, what is used is not.
#[test]
fn what_is_released_is_collected() {
    let etcd = Etcd::start();
    let ids_ = Ids::new(&etcd);
    for (key, node) in [("1;", "a"), ("1;2;", "a"), ("1;2;", "b")] {
        ids_.allocate(key, node).run().ok();
    }
    ids_.apply().run().ok().out_empty();
    let release = |key: &str, node: &str| {
        ids_.kvadm().args(["allocate", "release", key, "--base", &ids_.base, "--node", node]).run().ok();
    };
    release("1;", "a");
    release("1;2;", "a");
    let run = ids_.apply().run();
    assert_eq!(ids(&run.json_lines(), "removed").len(), 1);
    ids_.is_sound();
    release("1;2;", "b");
    let leases = etcd.leases();
    assert_eq!(ids(&ids_.apply().run().json_lines(), "removed").len(), 1);
    assert_eq!(ids_.left(), []);
    assert_eq!(etcd.leases(), leases, "the locks' lease is revoked");
}

#[test]
fn what_cannot_be_judged_stays_and_is_said() {
    let ids_ = Ids::new(shared());
    ids_.put(&[
        ("id/007", "odd"),
        ("id/300", ""),
        ("id/301", "a//b"),
        ("id/302", "someone else's"),
        ("id/70000", "far"),
        ("id/x", "y"),
        ("id/", "z"),
        ("value/x", "1"),
        ("value/another/n", "302"),
        ("value/303's/n", "no number"),
        ("id/303", "303's"),
        ("idx/304", "a sibling"),
    ]);
    let before = ids_.left();
    let run = ids_.apply().run();
    run.ok().out_empty();
    for said in [
        "id/007: its path is not the canonical path of its ID; kept",
        "id/300: it holds no key",
        "id/301: its key contains '//'",
        "id/302: only references of another key name its ID",
        "id/70000: no reference names it, but its ID is not between 256 and 65535",
        "id/x: its last part is not an ID",
        "value/x: it has no key or no node",
    ] {
        run.err_has(said);
    }
    run.err_lacks("id/303").err_lacks("idx/").err_has("\"skipped\":8");
    assert_eq!(ids_.left(), before);
    let other = ids_.gc().args(["--min", "1", "--max", "65535", "--prefix-mask", "65536", "-o", "json"]).run();
    assert_eq!(
        ids(&other.json_lines(), "garbage"),
        [70000],
        "in the range of the cluster with this mask it is garbage"
    );
}

/// Somebody's place in a lock's queue, as an agent would have it.
fn take(ids_: &Ids<'_>, name: &str) -> String {
    let lease = ids_.etcd.grant(60);
    let key = ids_.path(&format!("locks/{name}/{lease}"));
    ids_.etcd.etcdctl_ok(&["put", &key, "", &format!("--lease={lease}")]);
    key
}

/// gc waits for a lock that an agent holds; meanwhile the agent allocates; then gc sees it.
#[test]
fn an_allocation_between_look_and_lock_is_seen() {
    // A reference that cannot be read may name the ID.
    for (name, reference) in [("web;", "300"), ("id/300", "300"), ("web;", "no number")] {
        let ids_ = Ids::new(shared());
        ids_.put(&[("id/300", "web;"), ("id/301", "free;")]);
        let held = take(&ids_, name);
        let running = ids_.apply().arg("-v").spawn();
        eventually("gc to queue up", SOON, || {
            ids_.locks().iter().filter(|lock| lock.starts_with(&format!("locks/{name}/"))).count() == 2
        });
        ids_.put(&[("value/web;/n1", reference)]);
        ids_.etcd.etcdctl_ok(&["del", &held]);
        let run = running.wait();
        run.ok();
        let rows = run.json_lines();
        assert_eq!((ids(&rows, "removed"), ids(&rows, "changed")), (vec![301], vec![300]), "{name} {reference}");
        assert!(ids_.has("id/300"));
        assert_eq!(ids_.locks(), [""; 0]);
        if reference == "300" {
            ids_.is_sound();
        }
    }
}

/// Stops gc between the look that it makes under its locks and the removal, by holding back etcd's answers: `meanwhile`
/// happens then. Gives what became of ID 301 (300 is there to see gc at work).
fn between_look_and_removal(ids_: &Ids<'_>, meanwhile: impl FnOnce()) -> String {
    ids_.put(&[("id/300", "bait;"), ("id/301", "web;")]);
    let mut proxy = Proxy::start(&ids_.etcd.address());
    let apply = ids_.apply().args(["--rate", "0.4", "--op-timeout", "20s", "--endpoints", &proxy.endpoint()]);
    let running = apply.spawn();
    running.wait_for_stdout("\"id\":\"300\"", SOON);
    proxy.set(Mode::HangReplies);
    eventually("gc to lock and look", SOON, || ids_.locks().iter().any(|lock| lock.starts_with("locks/web;/")));
    meanwhile();
    proxy.set(Mode::Pass);
    let run = running.wait();
    run.ok();
    let rows = run.json_lines();
    assert_eq!(ids(&rows, "removed").first(), Some(&300));
    rows.iter().find(|row| row["id"] == "301").unwrap()["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_reference_between_look_and_removal_keeps_the_master() {
    let ids_ = Ids::new(shared());
    let state = between_look_and_removal(&ids_, || ids_.put(&[("value/web;/n1", "301")]));
    assert_eq!((state.as_str(), ids_.has("id/301")), ("changed", true));
    ids_.is_sound();
}

#[test]
fn a_longer_key_s_reference_is_none_but_one_more_look_is_needed() {
    let ids_ = Ids::new(shared());
    let state = between_look_and_removal(&ids_, || ids_.put(&[("value/web;/more/n1", "302"), ("id/302", "web;/more")]));
    assert_eq!((state.as_str(), ids_.has("id/301")), ("changed", true));
    ids_.is_sound();
    let run = ids_.apply().run();
    assert_eq!((ids(&run.json_lines(), "removed"), ids_.has("id/302")), (vec![301], true));
}

/// Somebody breaks gc's locks (as Cilium's operator may), and a node allocates at once.
#[test]
fn an_allocation_after_gc_s_locks_were_broken_keeps_the_master() {
    let ids_ = Ids::new(shared());
    let state = between_look_and_removal(&ids_, || {
        ids_.etcd.etcdctl_ok(&["del", "--prefix", &ids_.path("locks/")]);
        ids_.allocate("web;", "n1").run().ok().out_has("301");
    });
    assert_eq!((state.as_str(), ids_.has("id/301")), ("changed", true));
    ids_.is_sound();
}

#[test]
fn a_master_that_is_another_one_by_then_stays() {
    let ids_ = Ids::new(shared());
    let state = between_look_and_removal(&ids_, || {
        let path = ids_.path("id/301");
        ids_.etcd.etcdctl_ok(&["del", &path]);
        ids_.etcd.etcdctl_ok(&["put", &path, "web;"]);
    });
    assert_eq!((state.as_str(), ids_.has("id/301")), ("changed", true));
    ids_.is_sound();
}

/// A node that keeps the rules waits for gc and gets an ID that is good.
#[test]
fn an_allocation_that_waits_for_gc_gets_an_id_of_its_own() {
    let ids_ = Ids::new(shared());
    let mut waiting: Option<Running> = None;
    let state = between_look_and_removal(&ids_, || {
        let allocating = ids_.allocate("web;", "n1").args(["-o", "json"]).spawn();
        eventually("the node to queue up", SOON, || {
            ids_.locks().iter().filter(|lock| lock.starts_with("locks/web;/")).count() == 2
        });
        waiting = Some(allocating);
    });
    assert_eq!(state, "removed");
    waiting.unwrap().wait().ok();
    ids_.is_sound();
}

#[test]
fn a_lock_that_somebody_keeps_costs_one_master_only() {
    let ids_ = Ids::new(shared());
    ids_.put(&[("id/300", "kept;"), ("id/301", "free;"), ("id/302", "id/302")]);
    let held = take(&ids_, "kept;");
    let run = ids_.apply().run();
    run.code(6);
    let rows = run.json_lines();
    assert_eq!((ids(&rows, "busy"), ids(&rows, "removed")), (vec![300], vec![301, 302]));
    assert_eq!(ids_.locks().len(), 1, "nothing of gc's stays");
    // A signal ends the waiting, not the process in the middle of something.
    let waiting = ids_.apply().spawn();
    eventually("gc to queue up", SOON, || ids_.locks().len() == 2);
    let asked = Instant::now();
    waiting.signal(Signal::SIGTERM);
    waiting.wait().signal(Signal::SIGTERM);
    assert!(asked.elapsed() < Duration::from_secs(3));
    assert_eq!(ids_.locks(), [held.strip_prefix(&ids_.path("")).unwrap()]);
}

/// Keys whose locks are one another's, or lie in one another.
#[test]
fn locks_that_are_the_same_or_nested_are_no_trap() {
    let ids_ = Ids::new(shared());
    ids_.put(&[
        ("id/300", "id/301"),
        ("id/301", "id/300"),
        ("id/302", "id/302"),
        ("id/303", "id"),
        ("id/304", "twice;"),
        ("id/305", "twice;"),
        ("id/306", "a"),
        ("id/307", "a/b"),
    ]);
    let run = ids_.apply().run();
    run.ok();
    assert_eq!(ids(&run.json_lines(), "removed"), [300, 301, 302, 303, 304, 305, 306, 307]);
    assert_eq!(ids_.left(), []);
    assert!(run.took < Duration::from_secs(4), "{:?}", run.took);
}

#[test]
fn in_a_namespace_plans_hold_absolute_keys() {
    let ids_ = Ids::new(shared());
    ids_.put(&[("id/300", "a"), ("id/301", "b"), ("value/b/n", "301")]);
    let namespace = ids_.base.strip_suffix("ids").unwrap().to_owned();
    let inside = || ids_.kvadm().args(["--namespace", &namespace, "gc", "ids", "--base", "ids", "-o", "json"]);
    let run = inside().args(["--apply", "--yes", "--grace", "20ms"]).run();
    run.ok();
    assert_eq!(run.json()["key"], ids_.path("id/300"));
    assert_eq!(ids_.left().len(), 2);
}

#[test]
fn two_collectors_and_many_masters() {
    let etcd = Etcd::start();
    let ids_ = Ids::new(&etcd);
    let mut load = String::new();
    for id in 1000..2000 {
        load += &format!("{{\"key\":\"{}\",\"value\":\"k8s:app={id};\"}}\n", ids_.path(&format!("id/{id}")));
        if id >= 1600 {
            load += &format!("{{\"key\":\"{}\",\"value\":\"{id}\"}}\n", ids_.path(&format!("value/k8s:app={id};/n")));
        }
    }
    ids_.kvadm().args(["put", "--from", "-"]).stdin(&load).run().ok();
    ids_.apply().run().code(5).err_has("600 of 1000 would be removed, more than --max-percent 50");
    let start = || ids_.apply().args(["--max-percent", "60"]).spawn();
    let both = [start(), start()].map(Running::wait);
    let mut removed: Vec<i64> = both.iter().flat_map(|run| ids(&run.ok().json_lines(), "removed")).collect();
    for run in &both {
        let rows = run.json_lines();
        let done = ids(&rows, "removed").len() + ids(&rows, "gone").len();
        assert_eq!(done, rows.len(), "what the other one removed is gone: {rows:?}");
    }
    removed.sort_unstable();
    assert!(removed.iter().copied().eq(1000..1600), "each exactly once: {removed:?}");
    assert_eq!(ids_.left().len(), 800);
    ids_.is_sound();
}

/// What hundreds a second needs: few requests for many masters, and one wait for all of them.
#[test]
fn many_masters_go_in_few_requests() {
    let etcd = Etcd::start();
    let ids_ = Ids::new(&etcd);
    let line = |id: i32| format!("{{\"key\":\"{}\",\"value\":\"k{id}\"}}\n", ids_.path(&format!("id/{id}")));
    ids_.kvadm().args(["put", "--from", "-"]).stdin((1000..1200).map(line).collect::<String>()).run().ok();
    let run = ids_.apply().args(["--max-percent", "100", "-vv"]).run();
    run.ok().err_has("\"removed\":200");
    let count = |what: &str| run.stderr_text().matches(what).count();
    let requests = ["lock", "gc id", "references", "unlock"].map(|op| count(&format!("trace: {op} ")));
    assert_eq!(requests, [5, 5, 5, 4]);
}

/// clustermesh-apiserver and kvstoremesh mirror identities as masters on a lease, without references.
#[test]
fn masters_on_a_lease_are_left_alone_and_counted() {
    let ids_ = Ids::new(shared());
    let lease = ids_.etcd.grant(600);
    for id in 300..310 {
        ids_.etcd.etcdctl_ok(&["put", &ids_.path(&format!("id/{id}")), "mirrored;", &format!("--lease={lease}")]);
    }
    ids_.put(&[("id/400", "own;")]);
    let run = ids_.apply().run();
    run.ok().err_has("\"looked_at\":11,\"garbage\":1,\"young\":0,\"skipped\":0,\"leased\":10,");
    assert_eq!(ids(&run.json_lines(), "removed"), [400]);
    assert_eq!(ids_.left().len(), 10);
    ids_.gc().run().ok().out_empty().err_has("0 of 10 masters are garbage, 10 on a lease and kept");
}

/// Starts gc with a long settle time and waits until ID 300 of `web;` is deleted.
fn settling(ids_: &Ids<'_>, endpoint: &str, settle: &str) -> Running {
    ids_.put(&[("id/300", "web;"), ("id/301", "free;")]);
    let running = ids_.apply().args(["--settle", settle, "--endpoints", endpoint]).spawn();
    eventually("the removals", SOON, || !ids_.has("id/300") && !ids_.has("id/301"));
    running
}

#[test]
fn a_master_that_is_used_while_its_removal_settles_is_written_again() {
    let ids_ = Ids::new(shared());
    let running = settling(&ids_, &ids_.etcd.endpoint(), "3s");
    assert_eq!(ids_.locks().len(), 4, "the locks are held");
    // What an agent writes that restores its own key without a lock; a longer key's reference does not count.
    ids_.put(&[("value/web;/n1", "300"), ("value/free;/longer/n1", "301"), ("id/302", "free;/longer")]);
    ids_.put(&[("value/free;/longer/n1", "302")]);
    let run = running.wait();
    run.ok().err_has("\"removed\":1,").err_has("\"restored\":1,");
    let rows = run.json_lines();
    assert_eq!((ids(&rows, "restored"), ids(&rows, "removed")), (vec![300], vec![301]));
    ids_.is_sound();
    assert_eq!(ids_.etcd.held(ids_.path("id/300")).unwrap().text(), "web;");
}

#[test]
fn an_id_that_got_another_key_while_its_removal_settles_is_a_conflict() {
    let ids_ = Ids::new(shared());
    let running = settling(&ids_, &ids_.etcd.endpoint(), "3s");
    ids_.put(&[("id/300", "other;"), ("value/web;/n1", "300"), ("id/301", "free;"), ("value/free;/n1", "301")]);
    let run = running.wait();
    run.code(6).err_has("\"conflicts\":1,").err_has("ID 300 was removed from web;").err_has("gave it to other;");
    let rows = run.json_lines();
    assert_eq!((ids(&rows, "conflict"), ids(&rows, "restored")), (vec![300], vec![301]));
    assert!(rows[0]["error"].as_str().unwrap().contains("value/web;/n1 still names it for web;"), "{rows:?}");
    assert_eq!(ids_.locks(), [""; 0]);
    assert_eq!(ids_.etcd.held(ids_.path("id/300")).unwrap().text(), "other;", "what another client wrote stays");
}

#[test]
fn a_removal_that_cannot_be_verified_is_not_called_done() {
    let ids_ = Ids::new(shared());
    let proxy = Proxy::start(&ids_.etcd.address());
    let running = settling(&ids_, &proxy.endpoint(), "2s");
    drop(proxy);
    let run = running.wait();
    run.code(6).err_has("\"unverified\":2,").err_has("its references could not be read again");
    assert_eq!(ids(&run.json_lines(), "unverified"), [300, 301]);
}

#[test]
fn a_signal_shortens_the_settling_and_the_removals_are_still_verified() {
    let ids_ = Ids::new(shared());
    let running = settling(&ids_, &ids_.etcd.endpoint(), "15s");
    ids_.put(&[("value/web;/n1", "300")]);
    let asked = Instant::now();
    running.signal(Signal::SIGTERM);
    let run = running.wait();
    run.signal(Signal::SIGTERM);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(ids(&run.json_lines(), "restored"), [300]);
    ids_.is_sound();
    ids_.gc().args(["--apply", "--yes", "--settle", "16s"]).run().code(2).err_has("at most 15s");
}

#[test]
fn a_full_store_is_said_and_what_helps() {
    let etcd = Etcd::options().arg("--quota-backend-bytes=16777216").start();
    let ids_ = Ids::new(&etcd);
    ids_.put(&[("id/300", "a")]);
    let value = "x".repeat(1 << 20);
    let full = (0..40).any(|n| {
        let run = ids_.kvadm().args(["put", &format!("/fill/{n}"), "-"]).stdin(&value).run();
        run.stderr_text().contains("database space exceeded")
    });
    assert!(full, "the store takes no more");
    ids_.gc().run().code(1).out_has("300");
    let run = ids_.gc().args(["--apply", "--yes", "--grace", "20ms"]).run();
    run.code(4).out_empty().err_has("out of space").err_has("kvadm compact --reclaim");
    assert!(ids_.has("id/300"));
}

/// Nodes come and go all the time and two collectors run: no ID is ever collected under its user.
#[test]
fn nodes_that_come_and_go_keep_what_they_have() {
    let etcd = Etcd::start();
    let ids_ = Ids::new(&etcd);
    let service = || {
        let service = ids_.gc().args(["--apply", "--yes", "--every", "20ms", "--max-percent", "100", "-o", "json"]);
        service.args(["--min", "1", "--max", "5"]).spawn()
    };
    let services = [service(), service()];
    let until = Instant::now() + Duration::from_secs(4);
    std::thread::scope(|scope| {
        for node in ["a", "b", "c"] {
            let ids_ = &ids_;
            scope.spawn(move || {
                for turn in (0..).take_while(|_| Instant::now() < until) {
                    let key = format!("k{}", turn % 3);
                    let range = ["--min", "1", "--max", "5"];
                    let run = ids_.allocate(&key, node).args(range).args(["-o", "json"]).run();
                    let got = run.ok().json()["id"].clone();
                    let id = got.as_str().map_or_else(|| got.to_string(), str::to_owned);
                    assert_eq!(
                        ids_.etcd.held(ids_.path(&format!("id/{id}"))).map(|held| held.text()),
                        Some(key.clone())
                    );
                    let release = ids_.kvadm().args(["allocate", "release", &key, "--node", node]);
                    release.args(["--base", &ids_.base]).run().ok();
                }
            });
        }
    });
    let mut removed = 0;
    for service in services {
        service.signal(Signal::SIGTERM);
        let run = service.wait();
        run.signal(Signal::SIGTERM);
        removed += run.json_lines().iter().filter_map(|round| round["removed"].as_i64()).sum::<i64>();
    }
    let told = ids_.left();
    assert!(told.iter().all(|(key, _)| key.starts_with("id/")), "all was released: {told:?}");
    assert!(removed > 0, "the collectors were at work");
}

/// Each request is split until the server accepts it, and what follows the removal is done as well.
#[test]
fn a_server_with_a_low_limit_of_operations_is_swept_safely() {
    let etcd = Etcd::options().arg("--max-txn-ops=10").start();
    let ids_ = Ids::new(&etcd);
    let masters: Vec<(String, String)> = (0..15).map(|n| (format!("id/{}", 300 + n), format!("k{n};"))).collect();
    for options in [&[][..], &["--max-ops", "10"]] {
        for (master, key) in &masters {
            ids_.put(&[(master, key)]);
        }
        let run = ids_.apply().args(["--settle", "300ms"]).args(options).run();
        run.ok().err_lacks("too many operations").err_lacks("could not be read again");
        assert_eq!(ids(&run.json_lines(), "removed").len(), 15);
        assert_eq!(ids_.locks(), [""; 0], "no lock is left");
    }
}
