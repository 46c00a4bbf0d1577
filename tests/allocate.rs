//! `allocate new`, `renew`, `release` and `hold`: who gets which ID, what that leaves in etcd, and who is excluded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::{Etcd, Kvadm, Mode, Options, Proxy, Run, binary, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

/// `allocate …` below a base of this test's own.
struct Ids<'a> {
    etcd: &'a Etcd,
    base: String,
}

impl<'a> Ids<'a> {
    fn new(etcd: &'a Etcd) -> Self {
        Self { etcd, base: format!("{}ids", unique_prefix()) }
    }

    fn on(&self, action: &str, args: &[&str]) -> Kvadm {
        let command = Kvadm::new().env("KVADM_ENDPOINTS", self.etcd.endpoint()).args(["allocate", action]);
        command.args(["--base", &self.base]).args(args)
    }

    fn run(&self, action: &str, args: &[&str]) -> Run {
        self.on(action, args).run()
    }

    /// The ID of a key on a node.
    #[track_caller]
    fn id(&self, key: &str, node: &str) -> u64 {
        let run = self.run("new", &[key, "--node", node]);
        run.ok().err_empty();
        run.stdout_text().trim_end().parse().unwrap()
    }

    /// Everything below the base: path from there, value, and whether it is on a lease.
    fn dump(&self) -> Vec<(String, String, bool)> {
        let all = self.etcd.held_under(format!("{}/", self.base));
        let path = |key: &[u8]| String::from_utf8_lossy(&key[self.base.len() + 1..]).into_owned();
        all.iter().map(|held| (path(&held.key), held.text(), held.lease.is_some())).collect()
    }

    fn put(&self, path: &str, value: &str) {
        self.etcd.etcdctl_ok(&["put", &format!("{}/{path}", self.base), "--", value]);
    }

    fn delete(&self, path: &str) {
        self.etcd.etcdctl_ok(&["del", &format!("{}/{path}", self.base)]);
    }

    fn has(&self, path: &str) -> bool {
        self.etcd.held(format!("{}/{path}", self.base)).is_some()
    }
}

fn entry(path: &str, value: &str, leased: bool) -> (String, String, bool) {
    (path.to_owned(), value.to_owned(), leased)
}

#[test]
fn two_nodes_leave_what_cilium_leaves() {
    let ids = Ids::new(shared());
    let (long, short) = ("k8s:app=web;k8s:io.kubernetes.pod.namespace=default;", "k8s:app=web;");
    assert_eq!(ids.id(long, "10.0.0.1"), 256);
    assert_eq!(ids.id(long, "10.0.0.2"), 256);
    assert_eq!(ids.id(short, "10.0.0.2"), 257);
    let reference = |key: &str, node: &str| format!("value/{key}/{node}");
    assert_eq!(
        ids.dump(),
        [
            entry("id/256", long, false),
            entry("id/257", short, false),
            entry(&reference(short, "10.0.0.2"), "257", true),
            entry(&reference(long, "10.0.0.1"), "256", true),
            entry(&reference(long, "10.0.0.2"), "256", true),
        ]
    );
    let labels = ["--label", "k8s:io.kubernetes.pod.namespace=default", "--label", "k8s:app=web", "--node", "n3"];
    ids.run("new", &labels).ok().out("256\n");
}

#[test]
fn answers_in_json_say_whether_the_id_is_new() {
    let ids = Ids::new(shared());
    let first = ids.run("new", &["a", "b", "--node", "n", "-o", "json"]);
    let lines = first.ok().err_empty().json_lines();
    let told: Vec<(&str, &str, bool)> = lines
        .iter()
        .map(|line| (line["id"].as_str().unwrap(), line["key"].as_str().unwrap(), line["new"].as_bool().unwrap()))
        .collect();
    assert_eq!(told, [("256", "a", true), ("257", "b", true)]);
    let lease = lines[0]["lease"].as_str().unwrap();
    assert_eq!(ids.etcd.held(format!("{}/value/a/n", ids.base)).unwrap().lease.as_deref(), Some(lease));
    ids.run("new", &["b", "a", "--node", "n"]).ok().out("257\tb\texisting\n256\ta\texisting\n");
    let again = ids.run("new", &["a", "--node", "m", "--permanent", "-o", "json"]).json();
    assert_eq!((again["new"].as_bool(), again.get("lease")), (Some(false), None));
    ids.run("release", &["a", "--node", "n", "-o", "json"])
        .ok()
        .out("{\"id\":\"256\",\"key\":\"a\",\"outcome\":\"still used\",\"last_use\":false}\n");
    ids.run("release", &["a", "--node", "m"]).ok().out("256\ta\tlast use\n");
    ids.run("release", &["a", "--node", "m"]).code(1).out_empty().err_has("node m has no reference to 'a'");
    assert!(ids.has("id/256"), "the master stays for the collector");
}

#[test]
fn the_smallest_free_id_is_taken_and_a_full_range_ends_at_once() {
    let ids = Ids::new(shared());
    ids.put("id/2", "other");
    ids.put("id/007", "odd");
    let few = ["--min", "1", "--max", "8", "--node", "n"];
    let new = |keys: &[&str]| ids.run("new", &[&few, keys].concat());
    new(&["a", "b", "c", "d", "e"]).ok().out("1\ta\tnew\n3\tb\tnew\n4\tc\tnew\n5\td\tnew\n6\te\tnew\n");
    new(&["f"]).ok().out("8\n");
    let full = new(&["g"]);
    full.code(5)
        .out_empty()
        .err_has("no ID for 'g': all IDs from 1 to 8 are taken (8 in total)")
        .err_has("kvadm gc ids");
    full.within(Duration::from_secs(2));
    new(&["a", "g", "h"]).code(6).out("1\ta\texisting\n").err_has("1 key got an ID, 2 did not");
    new(&["g", "h"]).code(5).out_empty();
    assert!(!ids.dump().iter().any(|(path, ..)| path.starts_with("locks/") || path.contains("/g/")));
    // The other key's master is found although no reference names it.
    new(&["other"]).ok().out("2\n");
    ids.run("new", &["x", "--min", "1", "--max", "9", "--prefix-mask", "0x10000"]).ok().out("65537\n");
}

#[test]
fn a_key_and_its_longer_neighbour_are_strangers() {
    let ids = Ids::new(shared());
    assert_eq!(ids.id("foo/bar", "n"), 256);
    assert_eq!(ids.id("foo", "n"), 257);
    assert_eq!(ids.id("foo", "bar"), 257);
    ids.run("release", &["foo", "--node", "n"]).ok().out("257\tfoo\tstill used\n");
    ids.run("release", &["foo", "--node", "bar"]).ok().out("257\tfoo\tlast use\n");
    ids.run("release", &["foo/bar", "--node", "n"]).ok().out("256\tfoo/bar\tlast use\n");
    // Many references of a longer key before the key's own.
    for node in 0..20 {
        ids.put(&format!("value/k/a{node:02}/x"), "900");
    }
    ids.put("value/k/z", "901");
    ids.put("id/901", "k");
    assert_eq!(ids.id("k", "n"), 901);
}

#[test]
fn an_id_that_only_a_reference_names_is_not_given_away() {
    let ids = Ids::new(shared());
    ids.put("value/ghost/n1", "256");
    assert_eq!(ids.id("a", "n"), 257);
    ids.run("renew", &["ghost", "--recreate", "--node", "n2"]).ok().out("256\n");
    assert_eq!(ids.etcd.held(format!("{}/id/256", ids.base)).unwrap().text(), "ghost");
    // Where two keys' references name one ID, nobody can tell whose it is.
    ids.put("value/one/n1", "300");
    ids.put("value/two/n1", "300");
    let denied = ids.run("new", &["one", "--node", "n2"]);
    denied.code(5).out_empty().err_has("no ID for 'one': its references name ID 300").err_has("kvadm allocate check");
    ids.run("renew", &["one", "--recreate", "--node", "n2"]).code(5).out_empty();
    assert!(!ids.has("id/300") && !ids.has("value/one/n2"));
    // Nor where the key's own references name two.
    ids.put("value/three/n1", "301");
    ids.put("value/three/n2", "302");
    ids.run("new", &["three", "--node", "n3"]).code(5).out_empty().err_has("its references name IDs 301, 302");
    // An ID out of the range may belong to another cluster.
    ids.put("value/far/n1", "70000");
    ids.run("new", &["far", "--node", "n2"]).code(5).out_empty().err_has("its references name ID 70000");
    ids.put("value/bad/n1", "-5");
    ids.run("new", &["bad", "--node", "n2"])
        .code(5)
        .err_has("no ID for 'bad': the value of one of its references is not an ID");
}

/// The agents' master key protection writes the master again; so does whoever allocates the key.
#[test]
fn a_master_that_is_missing_is_restored_where_the_references_agree() {
    let ids = Ids::new(shared());
    for (path, value) in [("value/a/n1", "300"), ("value/a/n2", "300"), ("value/b/n1", "301"), ("value/c/n1", "302")] {
        ids.put(path, value);
    }
    let before = ids.dump();
    let dry = ids.run("new", &["a", "d", "--node", "n3", "--dry-run"]);
    dry.ok().out_empty().err_has("dry run: 'a' would get a reference to its ID 300, and its missing master");
    dry.err_has("'d' would get the free ID 256");
    assert_eq!(ids.dump(), before);
    let lock = format!("{}/locks/a", ids.base);
    let mut holder = Kvadm::new().endpoint(ids.etcd).args(["lock", &lock]).spawn();
    assert!(holder.next_line().is_some());
    ids.run("new", &["a", "--wait", "200ms", "--node", "n3"])
        .code(1)
        .out_empty()
        .err_has("another client holds its lock");
    assert_eq!(ids.dump().iter().filter(|(path, ..)| path.starts_with("id/")).count(), 0, "the lock is respected");
    holder.signal(Signal::SIGTERM);
    drop(holder.wait());
    let one = ids.run("new", &["a", "--node", "n3"]);
    one.ok().out("300\n").err_has("warning: the master of ID 300 was missing and has been restored\n");
    let more = ids.run("new", &["b", "a", "d", "--node", "n3", "-o", "json"]);
    let told: Vec<(Value, Value)> =
        more.ok().json_lines().iter().map(|line| (line["outcome"].clone(), line["new"].clone())).collect();
    let pair = |word: &str, new: bool| (Value::from(word), Value::from(new));
    assert_eq!(told, [pair("restored", false), pair("existing", false), pair("new", true)]);
    let hold = ids.run("hold", &["c", "--node", "n3", "--", "true"]);
    hold.ok().err_has("the master of ID 302 was missing and has been restored");
    for (id, key) in [("300", "a"), ("301", "b"), ("302", "c")] {
        let master = ids.etcd.held(format!("{}/id/{id}", ids.base)).unwrap();
        assert_eq!((master.text(), master.lease), (key.to_owned(), None));
    }
    let check = Kvadm::new().endpoint(ids.etcd).args(["allocate", "check", "--base", &ids.base]).run();
    check.ok().err_has("0 errors, 0 warnings");
}

/// Agents write a missing master again without a lock, at any time between kvadm's requests.
#[test]
fn a_master_that_comes_and_goes_is_still_the_key_s() {
    let etcd = shared();
    let ids = Ids::new(etcd);
    ids.put("value/web/agent", "300");
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Delay { up: Duration::from_millis(20), down: Duration::from_millis(20) });
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let started = Instant::now();
            while !over.load(Ordering::SeqCst) && started.elapsed() < Duration::from_secs(120) {
                ids.put("id/300", "web");
                ids.delete("id/300");
            }
        });
        let runs: Vec<Run> = (0..12)
            .map(|n| ids.on("new", &["web", "--node", &format!("n{n}")]).env("KVADM_ENDPOINTS", proxy.endpoint()).run())
            .collect();
        over.store(true, Ordering::SeqCst);
        for run in &runs {
            run.ok().out("300\n");
        }
    });
}

#[test]
fn ids_of_a_cluster_are_in_its_range() {
    let ids = Ids::new(shared());
    ids.run("new", &["a", "--node", "n", "--cluster-id", "3"]).ok().out("196864\n");
    ids.run("new", &["b", "--node", "n", "--cluster-id", "0"]).ok().out("256\n");
    ids.run("new", &["c", "--cluster-id", "3", "--prefix-mask", "0x10000"]).code(2).err_has("--prefix-mask");
    ids.run("new", &["c", "--cluster-id", "256"]).code(2).err_has("256 is not in 0..=255");
    let check = |args: &[&str]| {
        let base = ["allocate", "check", "--base", &ids.base, "-o", "json"];
        Kvadm::new().endpoint(ids.etcd).args(base).args(args).run()
    };
    check(&["--cluster-id", "3"]).code(1).out_has("the ID is not between 196864 and 262143").out_has("\"id\":\"256\"");
    check(&["--cluster-id", "0"]).code(1).out_has("\"id\":\"196864\"");
}

#[test]
fn the_id_of_a_cluster_is_read_from_its_configuration() {
    let etcd = shared();
    let ids = Ids::new(etcd);
    let namespace = format!("{}ns/", ids.base);
    let run = |action: &str, args: &[&str]| {
        let global = ["--namespace", &namespace, "allocate", action];
        Kvadm::new().endpoint(etcd).args(global).args(args).run()
    };
    let config = |name: &str, text: &str| {
        etcd.etcdctl_ok(&["put", &format!("{namespace}cilium/cluster-config/{name}"), "--", text]);
    };
    config("west", r#"{"id":2,"capabilities":{"syncedCanaries":true,"cached":true,"maxConnectedClusters":255}}"#);
    config("large", r#"{"id":500,"capabilities":{"maxConnectedClusters":511}}"#);
    config("unset", r#"{"capabilities":{}}"#);
    run("new", &["a", "--node", "n", "--cluster", "west"]).ok().out("131328\n").err_empty();
    run("check", &["--cluster", "west"]).ok().err_has("0 errors, 0 warnings");
    run("new", &["b", "--node", "n", "--cluster", "large"]).ok().out(&format!("{}\n", (500 << 15) + 256));
    run("new", &["c", "--node", "n", "--cluster", "unset"]).ok().out("256\n");
    run("check", &["--cluster", "large"]).code(1).out_has("the ID is not between 16384256 and 16416767");
    run("hold", &["a", "--node", "n", "--cluster", "west", "--", "true"]).ok();
    run("renew", &["a", "--node", "n", "--recreate", "--cluster", "west"]).ok().out("131328\n");
    run("new", &["d", "--cluster", "nowhere"])
        .code(2)
        .out_empty()
        .err_has("--cluster: key not found: cilium/cluster-config/nowhere")
        .err_has("kvadm list cilium/cluster-config/");
    for (name, text) in [("text", "x"), ("list", "[]"), ("high", r#"{"id":512}"#), ("high2", r#"{"id":256}"#)] {
        config(name, text);
        run("new", &["d", "--cluster", name])
            .code(4)
            .out_empty()
            .err_has(&format!("cilium/cluster-config/{name} does not hold a cluster's configuration"));
    }
    for name in ["", "a/b"] {
        run("new", &["d", "--cluster", name]).code(2).out_empty().err_has("is not the name of a cluster");
    }
    run("new", &["d", "--cluster", "west", "--cluster-id", "2"]).code(2).out_empty();
    run("new", &["d", "--cluster", "west", "--prefix-mask", "0x10000"]).code(2).out_empty();
}

#[test]
fn reserved_labels_get_no_id() {
    let ids = Ids::new(shared());
    let text = "Cilium gives 'reserved:host' the fixed ID 1, which is not in etcd";
    ids.run("new", &["--label", "reserved:host"]).code(2).out_empty().err_has(text);
    ids.run("new", &["a", "reserved:host=;"]).code(2).out_empty().err_has(text);
    ids.run("hold", &["reserved:host", "--", "true"]).code(2).out_empty().err_has(text);
    ids.run("renew", &["reserved:host=;", "--recreate"]).code(2).out_empty().err_has(text);
    assert_eq!(ids.dump(), []);
    ids.run("get", &["reserved:host=;"]).code(1).out_empty().err_has(text);
    ids.run("lookup", &["1"])
        .code(1)
        .out_empty()
        .err_has("ID 1 has no key in etcd: it is Cilium's fixed ID of 'reserved:host'");
    ids.run("lookup", &["200"]).code(1).err_has("ID 200 has no key: IDs below 256 are reserved in Cilium");
    ids.run("lookup", &["300"]).code(1).err_has("ID 300 has no key\n");
    // Labels of other sources make it an ordinary key.
    ids.run("new", &["reserved:host=;k8s:a=b;", "--node", "n"]).ok().out("256\n");
}

#[test]
fn a_key_of_labels_is_held() {
    let ids = Ids::new(shared());
    let labels = ["--label", "k8s:b=2", "--label", "k8s:a=1", "--node", "n"];
    let run = ids.run("hold", &[&labels[..], &["--", "sh", "-c", "echo $KVADM_ID $KVADM_ID_KEY"]].concat());
    run.ok().out("256 k8s:a=1;k8s:b=2;\n").err_empty();
    ids.run("hold", &["key", "--label", "a=b", "--", "true"]).code(2).out_empty();
    ids.run("hold", &["--", "true"]).code(2).out_empty();
    ids.run("hold", &["--label", "=b", "--", "true"]).code(2).out_empty().err_has("--label: label '=b' has no key");
}

#[test]
fn names_that_cilium_would_alter_are_refused() {
    let ids = Ids::new(shared());
    for key in ["", "/lead", "trail/", "a//b", "./x", "a/../b", ".."] {
        ids.run("new", &[key]).code(2).out_empty().err_has("path cleaning can turn two keys into one");
    }
    ids.run("new", &["a", "--node", "n/1"]).code(2).err_has("--node: 'n/1' contains '/'");
    ids.run("new", &["a", "--min", "0"]).code(2).err_has("at least 1");
    ids.run("new", &["a", "--min", "9", "--max", "8"]).code(2).err_has("below the smallest");
    ids.run("new", &["a", "--prefix-mask", "256"]).code(2).err_has("prefix mask 0x100");
    ids.run("new", &[]).code(2);
    ids.run("new", &["a", "--label", "x=y"]).code(2);
    ids.run("new", &["--label", "x=a;b"]).code(2).err_has("separates labels");
    ids.run("new", &["a", "--ttl", "5s", "--permanent"]).code(2);
    Kvadm::new().endpoint(ids.etcd).args(["allocate", "new", "a", "--base", "a//b"]).run().code(2).err_has("--base");
    assert_eq!(ids.dump(), []);
}

#[test]
fn many_keys_come_from_a_file_and_a_bad_one_keeps_all_out() {
    let ids = Ids::new(shared());
    let lines: String = (0..300).map(|n| format!("key-{n}\n")).collect();
    let run = ids.on("new", &["--from", "-", "--node", "n"]).stdin(&lines).run();
    run.ok().err_empty();
    let wanted: String = (0..300).map(|n| format!("{}\tkey-{n}\tnew\n", 256 + n)).collect();
    assert_eq!(run.stdout_text(), wanted);
    let json = ids.on("new", &["--from", "-", "--node", "n", "-o", "json"]).stdin(&lines).run();
    let again = ids.on("release", &["--from", "-", "--node", "n"]).stdin(json.stdout_text()).run();
    assert_eq!(again.ok().stdout_text().lines().count(), 300);
    assert_eq!(ids.dump().len(), 300, "masters alone are left");
    let bad = ids.on("new", &["--from", "-", "--node", "n"]).stdin("fine\n\nbad//one\n").run();
    bad.code(2).out_empty().err_has("stdin, line 3").err_has("'bad//one'");
    assert_eq!(ids.dump().len(), 300);
    ids.run("new", &["--from", "/nowhere/keys"]).code(2).err_has("cannot read /nowhere/keys");
    let binary = ids.on("new", &["--from", "-", "--escape", "-o", "json"]).stdin("\\xff\\x00k\n").run();
    assert_eq!(binary.ok().json()["key_base64"], "/wBr");
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let ids = Ids::new(shared());
    ids.id("a", "n");
    let before = ids.dump();
    let run = ids.run("new", &["a", "b", "c", "--dry-run"]);
    run.ok().out_empty().err_has("'a' would get a reference to its ID 256").err_has("'b' would get the free ID 257");
    run.err_has("'c' would get the free ID 258");
    ids.run("release", &["a", "--node", "n", "--dry-run"])
        .ok()
        .out_empty()
        .err_has("node n would release 'a' (ID 256)");
    ids.run("hold", &["b", "--dry-run"]).ok().err_has("'b' would get the free ID 257");
    assert_eq!(ids.dump(), before);
}

#[test]
fn whoever_holds_the_key_s_lock_is_waited_for() {
    let etcd = shared();
    let ids = Ids::new(etcd);
    let name = format!("{}/locks/web", ids.base);
    let lock = Kvadm::program(binary::etcdctl()).env("ETCDCTL_API", "3");
    let mut agent = lock.args(["--endpoints", &etcd.endpoint(), "lock", "--ttl", "60", &name]).spawn();
    assert!(agent.next_line().is_some());
    let busy = ids.run("new", &["web", "--wait", "300ms", "--node", "n"]);
    busy.code(1).out_empty().err_has("no ID for 'web': another client holds its lock");
    assert_eq!(etcd.held_under(&name).len(), 1, "the waiter's place is given up");
    // The others of a batch do not wait for it, and it comes last.
    let batch = ids.on("new", &["a", "web", "b", "--node", "n", "-v"]).spawn();
    batch.wait_for_stderr("web: waiting for", SOON);
    assert!(ids.has("value/a/n") && ids.has("value/b/n"));
    assert_eq!(
        ids.dump().iter().filter(|(path, ..)| path.starts_with("locks/a") || path.starts_with("locks/b")).count(),
        0
    );
    // The agent gives the key an ID meanwhile.
    ids.put("id/700", "web");
    ids.put("value/web/agent", "700");
    agent.signal(Signal::SIGINT);
    drop(agent.wait());
    batch.wait().ok().out("256\ta\tnew\n700\tweb\texisting\n257\tb\tnew\n");
}

/// The agent leaves a master without a reference: only what was done under the lock before tells of it.
#[test]
fn a_master_made_while_the_lock_was_waited_for_is_found() {
    let etcd = shared();
    let ids = Ids::new(etcd);
    let name = format!("{}/locks/web", ids.base);
    let mut agent = Kvadm::new().endpoint(etcd).args(["lock", &name]).spawn();
    assert!(agent.next_line().is_some());
    let batch = ids.on("new", &["a", "web", "--node", "n", "-v"]).spawn();
    batch.wait_for_stderr("web: waiting for", SOON);
    ids.put("id/700", "web");
    agent.signal(Signal::SIGTERM);
    drop(agent.wait());
    batch.wait().ok().out("256\ta\tnew\n700\tweb\texisting\n");
}

#[test]
fn a_waiter_that_is_interrupted_leaves_nothing() {
    let etcd = Etcd::start();
    let ids = Ids::new(&etcd);
    etcd.etcdctl_ok(&["put", &format!("{}/locks/web/1f", ids.base), ""]);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let waiter = ids.on("new", &["web", "-v"]).spawn();
        waiter.wait_for_stderr("web: waiting for", SOON);
        waiter.signal(signal);
        waiter.wait().signal(signal).out_empty();
        assert_eq!(ids.dump(), [entry("locks/web/1f", "", false)]);
        assert_eq!(etcd.leases(), [""; 0]);
    }
    let waiter = ids.on("new", &["web", "-v"]).spawn();
    waiter.wait_for_stderr("web: waiting for", SOON);
    ids.delete("locks/web/1f");
    waiter.wait().ok().out("256\n");
    assert_eq!(etcd.leases().len(), 1, "the reference's");
}

#[test]
fn what_is_allocated_under_a_lost_lock_of_the_user_is_not() {
    let ids = Ids::new(shared());
    let token = ids.etcd.lock_token(&format!("{}-guard/1f", ids.base));
    ids.run("new", &["a", "--node", "n", &format!("--if-locked={token}")]).ok().out("256\n");
    ids.run("release", &["a", "--node", "n", &format!("--if-locked={token}")]).ok();
    ids.etcd.etcdctl_ok(&["del", &format!("{}-guard/1f", ids.base)]);
    ids.run("new", &["b", "--node", "n", &format!("--if-locked={token}")]).code(5).out_empty().err_has("lock");
    ids.id("a", "n");
    ids.run("release", &["a", "--node", "n", &format!("--if-locked={token}")]).code(5).out_empty();
    assert_eq!(ids.dump(), [entry("id/256", "a", false), entry("value/a/n", "256", true)]);
    ids.run("new", &["b", "--if-locked"]).code(2).err_has("KVADM_LOCK is not set");
}

#[test]
fn the_longer_life_of_a_reference_wins() {
    let ids = Ids::new(shared());
    let lease = |ids: &Ids<'_>| ids.etcd.held(format!("{}/value/a/n", ids.base)).unwrap().lease;
    ids.run("new", &["a", "--node", "n", "--ttl", "100s"]).ok();
    let first = lease(&ids);
    ids.run("new", &["a", "--node", "n", "--ttl", "50s"]).ok();
    assert_eq!(lease(&ids), first, "a shorter one changes nothing");
    ids.run("new", &["a", "--node", "n", "--ttl", "200s"]).ok();
    assert!(lease(&ids).is_some() && lease(&ids) != first);
    ids.run("renew", &["a", "--node", "n"]).ok().out("256\ta\t200\n");
    ids.run("new", &["a", "--node", "n", "--permanent"]).ok();
    assert_eq!(lease(&ids), None);
    ids.run("new", &["a", "--node", "n"]).ok();
    assert_eq!(lease(&ids), None, "permanent stays permanent");
    ids.run("renew", &["a", "--node", "n", "-o", "json"]).ok().out("{\"id\":\"256\",\"key\":\"a\"}\n");
    ids.run("renew", &["a", "b", "--node", "m"]).code(1).out_empty().err_has("node m has no reference to 'b'");
}

#[test]
fn renew_recreates_what_is_missing_and_gives_no_new_id() {
    let ids = Ids::new(shared());
    assert_eq!(ids.id("a", "n"), 256);
    ids.delete("value/a/n");
    ids.run("renew", &["a", "--node", "n"]).code(1);
    ids.run("renew", &["a", "--node", "n", "--recreate"]).ok().out("256\n");
    ids.delete("id/256");
    ids.run("renew", &["a", "--node", "n", "--recreate"]).ok().out("256\n");
    assert_eq!(ids.dump(), [entry("id/256", "a", false), entry("value/a/n", "256", true)]);
    ids.run("renew", &["never", "--recreate"]).code(1).out_empty().err_has("no reference or master records its ID");
    ids.run("renew", &["a", "--ttl", "5s"]).code(2);
}

#[test]
fn a_namespace_is_put_before_everything() {
    let ids = Ids::new(shared());
    let namespace = format!("{}ns/", ids.base);
    ids.on("new", &["a", "b", "--node", "n", "--namespace", &namespace]).run().ok();
    let paths: Vec<String> =
        ids.etcd.held_under(&namespace).iter().map(|held| String::from_utf8_lossy(&held.key).into_owned()).collect();
    let path = |rest: &str| format!("{namespace}{}/{rest}", ids.base);
    assert_eq!(paths, [path("id/256"), path("id/257"), path("value/a/n"), path("value/b/n")]);
    assert_eq!(ids.dump(), []);
}

#[test]
fn a_load_goes_on_through_a_restart_and_can_be_run_again() {
    let mut etcd = Etcd::start();
    let keys: String = (0..3000).map(|n| format!("k{n}\n")).collect();
    let new = |endpoint: &str| {
        let args = ["allocate", "new", "--from", "-", "--node", "n", "--permanent", "--connect-wait", "20s"];
        Kvadm::new().env("KVADM_ENDPOINTS", endpoint).args(args)
    };
    let mut running = new(&etcd.endpoint()).spawn();
    running.write(&keys);
    running.close_stdin();
    running.wait_for_stdout("k100\t", SOON);
    etcd.restart();
    let first = running.wait();
    let again = new(&etcd.endpoint()).stdin(&keys).run();
    again.ok();
    let ids = |run: &Run| -> Vec<(String, String)> {
        let text = run.stdout_text();
        let pair = |line: &str| {
            let mut parts = line.split('\t').map(str::to_owned);
            (parts.next().unwrap(), parts.next().unwrap())
        };
        text.lines().map(pair).collect()
    };
    let all = ids(&again);
    assert_eq!(all.len(), 3000);
    let told = ids(&first);
    assert!(told.iter().all(|pair| all.contains(pair)), "an ID that was told stays");
    let distinct: std::collections::HashSet<&String> = all.iter().map(|(id, _)| id).collect();
    assert_eq!(distinct.len(), 3000);
    first.ok();
    assert_eq!(etcd.leases(), [""; 0], "no lock's lease is left");
}

#[test]
fn an_answer_that_is_lost_gives_no_second_id() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    for cut in 1..6 {
        let key = format!("key{cut}");
        let args = ["allocate", "new", &key, "--node", "n", "--op-timeout", "1s", "-vv"];
        let running = Kvadm::new().env("KVADM_ENDPOINTS", proxy.endpoint()).args(args).spawn();
        // Cut at another place each time.
        let seen = ["lease grant", "trace: lock", "trace: list", "trace: allocate", "trace: unlock"][cut - 1];
        running.wait_for_stderr(seen, SOON);
        proxy.cut();
        running.wait().ok().out(&format!("{}\n", 255 + cut));
        proxy.set(super::support::Mode::Pass);
    }
    assert_eq!(etcd.held_under("cilium/state/identities/v1/id/").len(), 5);
    assert_eq!(etcd.held_under("cilium/state/identities/v1/locks/").len(), 0);
}

#[test]
fn a_full_store_and_a_dead_one_are_named() {
    let etcd = Options::default().arg("--quota-backend-bytes=2097152").start();
    let ids = Ids::new(&etcd);
    let big = "x".repeat(500_000);
    eventually("the store to be full", SOON, || {
        let put = Kvadm::new().endpoint(&etcd).args(["put", &unique_prefix(), "-"]).stdin(&big).run();
        put.stderr_text().contains("database space exceeded")
    });
    ids.run("new", &["a"]).code(4).out_empty().err_has("database space exceeded").err_has("compact");
    let dead = Kvadm::new().env("KVADM_ENDPOINTS", "127.0.0.1:1").args(["allocate", "new", "a"]).run();
    dead.code(3).out_empty().err_has("connection refused");
}

#[test]
fn a_hold_keeps_the_reference_and_gives_it_back() {
    let etcd = shared();
    let ids = Ids::new(etcd);
    let run = ids
        .run("hold", &["web", "--node", "n", "--", "sh", "-c", "echo $KVADM_ID $KVADM_ID_KEY $KVADM_ID_NODE; exit 3"]);
    run.code(3).out("256 web n\n").err_empty();
    assert_eq!(ids.dump(), [entry("id/256", "web", false)]);

    let mut hold = ids.on("hold", &["web", "--node", "n", "-o", "json", "--no-protect"]).spawn();
    let told: Value = serde_json::from_str(&hold.next_line().unwrap()).unwrap();
    assert_eq!((told["id"].as_str(), told["new"].as_bool()), (Some("256"), Some(false)));
    ids.delete("value/web/n");
    hold.wait_for_stderr("the reference to ID 256 was deleted and has been recreated", SOON);
    assert!(ids.has("value/web/n"));
    ids.delete("id/256");
    hold.wait_for_stderr("the master of ID 256 was deleted; without --no-protect it is recreated", SOON);
    hold.signal(Signal::SIGINT);
    hold.wait().signal(Signal::SIGINT);
    assert_eq!(ids.dump(), []);
}

#[test]
fn a_protected_master_comes_back_and_a_stolen_id_ends_the_hold() {
    let ids = Ids::new(shared());
    let mut hold = ids.on("hold", &["web", "--node", "n", "--", "sh", "-c", "echo up; sleep 60"]).spawn();
    assert_eq!(hold.next_line().as_deref(), Some("up"));
    ids.delete("id/256");
    hold.wait_for_stderr("the master of ID 256 was deleted and has been recreated", SOON);
    assert_eq!(ids.etcd.held(format!("{}/id/256", ids.base)).unwrap().text(), "web");
    ids.put("id/256", "thief");
    let run = hold.wait();
    run.code(5).err_has("the ID of key 'web' was lost");
    assert_eq!(ids.dump(), [entry("id/256", "thief", false)]);

    // The option of earlier versions is the default now.
    let hold = ids.on("hold", &["db", "--node", "n", "--protect"]).spawn();
    hold.wait_for_stdout("257", SOON);
    ids.put("value/db/n", "999");
    hold.wait().code(5).err_has("the ID of key 'db' was lost");
    assert!(ids.has("value/db/n"), "what another wrote is another's");
}

/// References are per node: two holds on one node share it, and the one that stays makes it again.
#[test]
fn two_holds_of_one_node_share_the_reference() {
    let ids = Ids::new(shared());
    let mut first = ids.on("hold", &["web", "--node", "n"]).spawn();
    assert_eq!(first.next_line().as_deref(), Some("256"));
    let mut second = ids.on("hold", &["web", "--node", "n"]).spawn();
    assert_eq!(second.next_line().as_deref(), Some("256"));
    second.signal(Signal::SIGTERM);
    second.wait().signal(Signal::SIGTERM);
    first.wait_for_stderr("has been recreated", SOON);
    assert!(ids.has("value/web/n"));
    first.signal(Signal::SIGTERM);
    drop(first.wait());
    assert!(!ids.has("value/web/n"));
}

/// Another client writes the reference between kvadm's read and its transaction, each time.
#[test]
fn a_reference_that_keeps_changing_is_a_conflict() {
    let etcd = shared();
    let ids = Ids::new(etcd);
    let id = ids.id("web", "n").to_string();
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Delay { up: Duration::from_millis(100), down: Duration::from_millis(100) });
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                etcd.etcdctl_ok(&["put", &format!("{}/value/web/n", ids.base), &id]);
            }
        });
        let run = ids.on("release", &["web", "--node", "n"]).env("KVADM_ENDPOINTS", proxy.endpoint()).run();
        over.store(true, Ordering::SeqCst);
        run.code(5).out_empty().err_has("other clients changed the reference to web during each of 10 attempts");
    });
    ids.run("release", &["web", "--node", "n"]).ok();
}

/// `etcd --max-txn-ops=10`.
#[test]
fn a_server_with_a_low_limit_of_operations_gets_small_requests() {
    let etcd = Etcd::options().arg("--max-txn-ops=10").start();
    let keys: Vec<String> = (0..30).map(|n| format!("k{n};")).collect();
    let run = |verb: &str, options: &[&str]| {
        let command = Kvadm::new().endpoint(&etcd).args(["allocate", verb]).args(&keys).args(["--base", "/b"]);
        command.args(if verb == "get" { &[][..] } else { &["--node", "n1"] }).args(options).run()
    };
    run("new", &[]).code(4).err_has("too many operations").err_has("hint: set --max-ops");
    run("new", &["--max-ops", "10"]).ok();
    run("get", &["--max-ops", "10"]).ok();
    run("renew", &["--max-ops", "10"]).ok();
    run("release", &["--max-ops", "10"]).ok();
    assert_eq!(etcd.held_under("/b/value/").len(), 0);
    assert_eq!(etcd.held_under("/b/id/").len(), 30);
    assert_eq!(etcd.held_under("/b/locks/").len(), 0);
}
