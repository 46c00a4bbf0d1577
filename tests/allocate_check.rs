//! `allocate check` and `--repair`.

use std::time::Duration;

use serde_json::{Value, json};

use super::allocate_read::Base;
use super::support::{Kvadm, Run, eventually, shared};

const SOON: Duration = Duration::from_secs(10);

/// `problem id key` of each record.
fn problems(run: &Run) -> Vec<String> {
    let word = |line: &Value, name: &str| line.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let one = |line: &Value| [word(line, "problem"), word(line, "id"), word(line, "key")].join(" ");
    run.json_lines().iter().map(one).collect()
}

fn leases_on(base: &Base<'_>) -> usize {
    // A lock that was left would be below the base with its lease.
    base.dump().lines().filter(|line| line.starts_with("locks/")).count()
}

/// A base with one of everything.
fn everything() -> Base<'static> {
    let base = Base::fresh();
    base.write(&[
        ("id/300", "sound;"),
        ("value/sound;/n1", "300"),
        ("id/301", "sound;"),
        ("id/302", "unused;"),
        ("value/lost;/n1", "303"),
        ("value/lost;/n2", "303"),
        ("value/wrong;/n1", "300"),
        ("id/304", "one;"),
        ("id/0304", "two;"),
        ("id/3", "small;"),
        ("value/small;/n1", "3"),
        ("id/none", "x"),
        ("value/x", "5"),
        ("value/sound;/n2", "none"),
        ("id/305", "a//b"),
        ("value/a/b/n1", "305"),
        ("id/306", ""),
    ]);
    base
}

const EVERYTHING: [&str; 14] = [
    "unreadable-value - sound;",
    "shared-id 300 -",
    "wrong-master 300 wrong;",
    "missing-master 303 lost;",
    "shared-id 304 -",
    "wrong-master 305 a/b",
    "altered-key - a//b",
    "unreadable-path - -",
    "unreadable-path - -",
    "out-of-range 3 small;",
    "duplicate-master 301 sound;",
    "odd-path 304 two;",
    "empty-master 306 -",
    "",
];

#[test]
fn each_kind_of_trouble_is_named_with_its_keys() {
    let base = everything();
    let run = base.run("check", &["-o", "json"]);
    let mut wanted: Vec<&str> = EVERYTHING[..13].to_vec();
    wanted[12] = "empty-master 306 ";
    assert_eq!(problems(run.code(1)), wanted);
    run.err_has("6 errors, 7 warnings; 3 unused IDs, which 'kvadm gc ids' deletes")
        .err_has("'kvadm allocate check --repair' restores 1 master");
    let lines = run.json_lines();
    let path = |rest: &str| json!({"key": format!("{}/{rest}", base.path)});
    assert_eq!(lines[3]["paths"], json!([path("value/lost;/n1"), path("value/lost;/n2")]));
    assert_eq!((&lines[3]["severity"], &lines[3]["repair"]), (&json!("error"), &json!("restore")));
    assert_eq!(lines[4]["paths"], json!([path("id/304"), path("id/0304")]));
    assert_eq!(lines[9]["text"], "the ID is not between 256 and 65535");
    assert!(lines[0].get("repair").is_none());

    let all = base.run("check", &["--all", "-o", "json", "--min", "1"]);
    let told = problems(all.code(1));
    assert!(told.contains(&"unused-master 302 unused;".to_owned()) && !told.contains(&EVERYTHING[9].to_owned()));
    let text = base.run("check", &["--min", "1"]).stdout_text();
    let line = text.lines().find(|line| line.contains("missing-master")).unwrap();
    assert!(line.starts_with("error\tmissing-master\t303\tlost;\t2 nodes use this ID; without a master the ID may be allocated to another key"), "{line}");
}

#[test]
fn ids_of_another_cluster_are_out_of_range() {
    let base = Base::fresh();
    base.write(&[("id/65836", "a"), ("value/a/n", "65836"), ("id/300", "b"), ("value/b/n", "300")]);
    let mask = ["-o", "json", "--prefix-mask", "0x10000"];
    assert_eq!(problems(base.run("check", &mask).code(1)), ["out-of-range 300 b"]);
    assert_eq!(problems(base.run("check", &["-o", "json"]).code(1)), ["out-of-range 65836 a"]);
    base.run("check", &["--min", "5", "--max", "4"]).code(2);
}

#[test]
fn a_master_on_a_lease_is_a_mirror_and_no_problem() {
    let base = Base::fresh();
    let lease = base.refer("used", "n", "300", "60s");
    base.lease_master("300", "used", &lease);
    base.lease_master("301", "mirrored", &lease);
    // Two masters of one key, as the CRD mode of Cilium has them.
    base.lease_master("302", "mirrored", &lease);
    let run = base.run("check", &["-o", "json"]);
    assert_eq!(problems(run.code(1)), ["leased-master 300 used"]);
    run.out_has(&format!("the master expires with lease {lease}, but 1 node uses this ID"))
        .out_lacks("write the master again")
        .err_has("0 errors, 1 warning; 2 IDs on leases, which another process maintains\n");
    let all = base.run("check", &["-o", "json", "--all"]);
    let wanted = ["leased-master 300 used", "mirrored-master 301 mirrored", "mirrored-master 302 mirrored"];
    assert_eq!(problems(all.code(1)), wanted);
    assert_eq!(all.json_lines()[1]["severity"], "info");
    all.out_has(&format!(
        "the master expires with lease {lease}, which the process that writes this mirror keeps alive"
    ));
    base.delete("value/used/n");
    base.run("check", &[]).ok().out_empty().err_has("0 errors, 0 warnings; 3 IDs on leases");
}

#[test]
fn what_cilium_lists_as_masters_without_the_slash_is_an_error() {
    let base = Base::fresh();
    base.write(&[("id", "x"), ("idx/5", "a"), ("id7", "b"), ("id-", "c"), ("id/300", "d"), ("ie", "no"), ("ic", "no")]);
    base.write(&[("value/d/n", "300")]);
    let run = base.run("check", &["-o", "json"]);
    let lines = run.code(1).json_lines();
    assert_eq!(problems(&run), ["stray-path - -"; 3].iter().copied().chain(["stray-path 7 -"]).collect::<Vec<_>>());
    let text = |rest: &str| {
        let path = json!([{"key": format!("{}/{rest}", base.path)}]);
        let line = lines.iter().find(|line| line["paths"] == path).unwrap_or_else(|| panic!("{rest}: {lines:?}"));
        assert_eq!(line["severity"], "error");
        line["text"].as_str().unwrap().to_owned()
    };
    let remedy =
        |rest: &str| format!("delete it with 'kvadm --endpoints {} delete {}/{rest}'", base.etcd.endpoint(), base.path);
    assert_eq!(text("id"), format!("Cilium's agents crash when they read this key: {}", remedy("id")));
    let listed = "Cilium lists this key with the masters, and its operator may delete it as an unused ID";
    assert_eq!(text("idx/5"), format!("{listed}: {}", remedy("idx/5")));
    assert_eq!(text("id-"), format!("{listed}: {}", remedy("id-")));
    assert_eq!(text("id7"), format!("Cilium takes this key for the master of ID 7: {}", remedy("id7")));
    run.err_has("4 errors, 0 warnings");
}

#[test]
fn many_stray_keys_are_counted_and_not_all_named() {
    let base = Base::fresh();
    let many: Vec<(String, String)> = (0..1500).map(|n| (format!("idx/{n}"), String::new())).collect();
    base.write(&many.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect::<Vec<_>>());
    let run = base.run("check", &["-o", "json"]);
    let lines = run.code(1).json_lines();
    assert_eq!(lines.len(), 101);
    run.out_has("1,400 more keys begin with").err_has("101 errors, 0 warnings");
}

#[test]
fn missing_masters_are_restored_and_nothing_else_is_touched() {
    let base = Base::fresh();
    base.write(&[
        ("value/a/n1", "300"),
        ("value/a/n2", "300"),
        ("value/a/b/n1", "301"),
        ("value/c/n1", "302"),
        ("id/303", "left"),
    ]);
    let before = base.dump();
    base.run("check", &["--repair"]).code(2).out_empty().err_has("Restore 3 masters").err_has("--yes");
    let dry = base.run("check", &["--repair", "--dry-run", "-o", "json"]);
    dry.code(1).err_has("dry run: 3 masters would be restored");
    assert!(dry.json_lines().iter().all(|line| line["repair"] == "restore"));
    assert_eq!(base.dump(), before);

    let done = base.run("check", &["--repair", "--yes", "-o", "json"]);
    done.ok().err_has("0 errors, 0 warnings; 1 unused ID, which 'kvadm gc ids' deletes");
    assert!(done.json_lines().iter().all(|line| line["repair"] == "restored"));
    assert_eq!(problems(&done), ["missing-master 300 a", "missing-master 301 a/b", "missing-master 302 c"]);
    assert_eq!(base.dump(), format!("id/300=a\nid/301=a/b\nid/302=c\n{before}"));
    base.run("check", &["--repair", "--yes"]).ok().out_empty();
    let master = Kvadm::new().endpoint(shared()).args(["get", "-o", "json", &format!("{}/id/300", base.path)]).run();
    assert!(master.json().get("lease").is_none(), "a master has no lease");
}

#[test]
fn what_cannot_be_repaired_safely_is_left_and_said() {
    let base = everything();
    // The reference that is a second claim on the ID of the missing master.
    base.write(&[("value/claim;/n9", "303")]);
    let before = base.dump();
    let run = base.run("check", &["--repair", "--yes", "-o", "json"]);
    run.code(1).err_has("no problem can be repaired automatically");
    assert_eq!(base.dump(), before);
    let lost = run.json_lines().into_iter().find(|line| line["problem"] == "missing-master").unwrap();
    assert!(
        lost["text"]
            .as_str()
            .unwrap()
            .contains("references of another key name it too: release one of the keys and allocate it again"),
        "{lost}"
    );
    let out = Base::fresh();
    out.write(&[("value/a/n", "5")]);
    out.run("check", &["--repair", "--yes"]).code(1).out_has("it is out of range and may belong to another cluster");
    assert_eq!(out.dump(), "value/a/n=5\n");
}

#[test]
fn a_repair_leaves_the_rest_of_the_problems() {
    let base = everything();
    let run = base.run("check", &["--repair", "--yes", "-o", "json"]);
    let told = problems(run.code(1));
    assert_eq!(told[0], "missing-master 303 lost;");
    assert_eq!(run.json_lines()[0]["repair"], "restored");
    assert!(!told[1..].contains(&told[0]) && told.len() == 13, "{told:?}");
    base.run("lookup", &["303"]).ok().out("lost;\n");
}

#[test]
fn a_repair_waits_for_whoever_has_the_key_s_lock() {
    let base = Base::fresh();
    base.write(&[("value/k;/n1", "300"), ("value/l;/n1", "301")]);
    // An agent is allocating: Cilium's lock is etcd's mutex of this name.
    let name = format!("{}/locks/k;", base.path);
    let mut agent = Kvadm::new().endpoint(shared()).args(["lock", &name, "-o", "json"]).spawn();
    let held: Value = serde_json::from_str(&agent.next_line().unwrap()).unwrap();
    let busy = base.run("check", &["--repair", "--yes", "--wait", "100ms", "-o", "json"]);
    busy.code(6).err_has(&format!(
        "cannot restore the master of ID 300 for key k;: the key's lock is held through {}",
        held["key"].as_str().unwrap()
    ));
    assert_eq!(problems(&busy), ["missing-master 301 l;", "missing-master 300 k;"]);
    assert_eq!(base.dump().lines().filter(|line| line.starts_with("locks/")).count(), 1, "the agent's own");

    // The agent gives the ID to its key and lets go: nothing is left to be done.
    let waiting = base.kvadm("check", &["--repair", "--yes", "-o", "json"]).spawn();
    eventually("the repair to queue", SOON, || base.dump().matches("locks/k;/").count() == 2);
    base.write(&[("id/300", "k;")]);
    agent.signal(nix::sys::signal::Signal::SIGTERM);
    let run = waiting.wait();
    run.ok().out_empty().err_has("another client has restored the master of ID 300 for key k;");
    agent.wait().signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(leases_on(&base), 0);
}

#[test]
fn what_changed_while_the_lock_was_awaited_is_not_repaired() {
    for (change, told, code) in [
        ("taken", "the ID now belongs to key other", 6),
        ("released", "the master of ID 300 for key k; is no longer needed: no reference names it", 0),
    ] {
        let base = Base::fresh();
        base.write(&[("value/k;/n1", "300")]);
        let name = format!("{}/locks/k;", base.path);
        let mut agent = Kvadm::new().endpoint(shared()).args(["lock", &name, "-o", "json"]).spawn();
        agent.next_line().unwrap();
        let waiting = base.kvadm("check", &["--repair", "--yes", "-o", "json"]).spawn();
        eventually("the repair to queue", SOON, || base.dump().matches("locks/k;/").count() == 2);
        if change == "taken" {
            base.write(&[("id/300", "other")]);
        } else {
            base.delete("value/k;/n1");
        }
        agent.signal(nix::sys::signal::Signal::SIGTERM);
        let run = waiting.wait();
        run.code(code).err_has(told);
        agent.wait().signal(nix::sys::signal::Signal::SIGTERM);
        assert!(!base.dump().contains("id/300=k;"), "{}", base.dump());
        assert_eq!(leases_on(&base), 0);
    }
}

#[test]
fn a_signal_leaves_no_lock_behind() {
    let base = Base::fresh();
    base.write(&[("value/k;/n1", "300")]);
    let name = format!("{}/locks/k;", base.path);
    let mut agent = Kvadm::new().endpoint(shared()).args(["lock", &name, "-o", "json"]).spawn();
    agent.next_line().unwrap();
    let waiting = base.kvadm("check", &["--repair", "--yes"]).spawn();
    eventually("the repair to queue", SOON, || base.dump().matches("locks/k;/").count() == 2);
    waiting.signal(nix::sys::signal::Signal::SIGINT);
    waiting.wait().signal(nix::sys::signal::Signal::SIGINT).within(Duration::from_secs(8));
    assert_eq!(base.dump().matches("locks/k;/").count(), 1, "{}", base.dump());
    agent.signal(nix::sys::signal::Signal::SIGTERM);
    agent.wait().signal(nix::sys::signal::Signal::SIGTERM);
}

/// The whole life of an ID, by kvadm's own hand.
#[test]
fn an_id_that_lost_its_master_keeps_its_key() {
    let base = Base::fresh();
    let new = |node: &str, key: &str| base.run("new", &["--node", node, key]).ok().stdout_text();
    assert_eq!((new("n1", "a;"), new("n2", "a;"), new("n1", "a;/b")), ("256\n".into(), "256\n".into(), "257\n".into()));
    base.run("list", &[]).ok().out("256\ta;\t2\tin-use\n257\ta;/b\t1\tin-use\n");
    base.run("check", &["--all"]).ok().out_empty();
    base.delete("id/256");
    base.run("get", &["a;"]).code(1).err_has("references of a; name ID 256");
    assert_eq!(problems(base.run("check", &["-o", "json"]).code(1)), ["missing-master 256 a;"]);
    // Its references still keep the ID from being given to another key.
    assert_eq!(new("n3", "c;"), "258\n");
    base.run("check", &["--repair", "--yes"]).ok();
    assert_eq!(new("n3", "a;"), "256\n");
    base.run("release", &["--node", "n1", "a;/b"]).ok();
    base.run("list", &["--unused"]).ok().out("257\ta;/b\t0\tunused\n");
    assert_eq!(leases_on(&base), 0);
}

#[test]
fn a_repair_within_a_namespace_stays_in_it() {
    let base = Base::fresh();
    base.write(&[("value/k;/n1", "300")]);
    let (namespace, rest) = base.path.rsplit_once('/').unwrap();
    let name = format!("{}/locks/k;", base.path);
    let mut agent = Kvadm::new().endpoint(shared()).args(["lock", &name, "-o", "json"]).spawn();
    agent.next_line().unwrap();
    let within = Kvadm::new().endpoint(shared()).args(["--namespace", &format!("{namespace}/")]);
    let waiting = within.args(["allocate", "check", "--base", rest, "--repair", "--yes", "-o", "json"]).spawn();
    // Somebody who knows of no namespace excludes it all the same.
    eventually("the repair to queue", SOON, || base.dump().matches("locks/k;/").count() == 2);
    assert!(!base.dump().contains("id/300"));
    agent.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(problems(waiting.wait().ok()), ["missing-master 300 k;"]);
    agent.wait().signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(base.dump(), "id/300=k;\nvalue/k;/n1=300\n");
}
