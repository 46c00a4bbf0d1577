//! `delete`: of keys and of ranges, and what keeps it from deleting.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Endpoints, Etcd, Held, Kvadm, Mode, Proxy, Run, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

fn delete_from(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(of).arg("delete").args(args)
}

fn delete(args: &[&str]) -> Kvadm {
    delete_from(shared(), args)
}

/// Loads records of `keys` below the prefix, with their number as their value.
fn fill(etcd: &Etcd, prefix: &str, keys: usize) {
    let lines: String =
        (0..keys).map(|n| format!("{}\n", json!({"key": format!("{prefix}{n:05}"), "value": n.to_string()}))).collect();
    Kvadm::new().endpoint(etcd).args(["put", "--from", "-"]).stdin(lines).run().ok();
}

fn put(key: &str, value: &str) -> Held {
    Kvadm::new().endpoint(shared()).args(["put", "--", key, value]).run().ok();
    shared().held(key).unwrap()
}

fn names(prefix: &str) -> Vec<String> {
    let held = shared().held_under(prefix);
    held.iter().map(|held| String::from_utf8_lossy(&held.key[prefix.len()..]).into_owned()).collect()
}

#[test]
fn one_key() {
    let p = unique_prefix();
    let key = format!("{p}key");
    put(&key, "v");
    put(&format!("{key}2"), "v");
    delete(&[&key]).run().ok().err_empty().out("1\n");
    assert_eq!(names(&p), ["key2"]);
    delete(&[&key]).run().code(1).out("0\n").err_has(&format!("note: key not found: {key}"));
    let run = delete(&[&key, "-o", "json"]).run();
    let revision = run.code(1).json()["revision"].as_i64().unwrap();
    assert_eq!(run.json(), json!({"deleted": 0, "kept": 0, "revision": revision}));
    let run = delete(&[&format!("{key}2"), "-o", "json"]).run();
    assert_eq!(run.ok().json()["deleted"], 1);
    assert!(run.json()["revision"].as_i64().unwrap() > revision);
    delete(&[&format!("{p}\\xff"), "--escape"]).run().code(1);
}

#[test]
fn conditions_on_one_key() {
    let p = unique_prefix();
    let (key, other) = (format!("{p}key"), format!("{p}other"));
    let held = put(&key, "v");
    let (right, wrong) = (held.modified.to_string(), (held.modified + 1).to_string());
    let refused = |args: &[&str], words: &str| {
        for dry in [&[][..], &["--dry-run"]] {
            let run = delete(&[&[key.as_str()], args, dry].concat()).run();
            run.code(5).out_empty().err_has(words);
            assert_eq!(shared().held(&key).as_ref(), Some(&held));
        }
        let run = delete(&[&[key.as_str()], args].concat()).run();
        run.err_has(&format!("error: condition failed; {key} was not deleted"));
    };
    refused(&["--if-rev", &wrong], &format!("{key} was last modified in revision {right}, not {wrong}"));
    refused(&["--if-value", "w"], &format!("{key} has another value (since revision {right})"));
    refused(&["--if-value", ""], "has another value");
    refused(&["--if-exists", &other], &format!("{other} does not exist"));
    refused(&["--if-rev", &right, "--if-value", "w"], "has another value");
    refused(&["--if-rev", &right, "--if-value", "v", "--if-exists", &other], "other does not exist");
    delete(&[&other, "--if-rev", "3"]).run().code(1).err_has(&format!("key not found: {other}"));
    delete(&[&other, "--if-value", ""]).run().code(1);
    put(&other, "");
    let all = ["--if-rev", &right, "--if-value", "v", "--if-exists", &other];
    delete(&[&[key.as_str(), "--dry-run"], &all[..]].concat()).run().ok().out("1\n");
    delete(&[&[key.as_str()], &all[..]].concat()).run().ok().out("1\n");
    assert_eq!(names(&p), ["other"]);
    let held = put(&key, "-x");
    delete(&[&key, "--if-value=-x", "--if-rev", &held.modified.to_string()]).run().ok();
}

#[test]
fn several_keys_need_a_yes() {
    let p = unique_prefix();
    let (a, b, c) = (format!("{p}a"), format!("{p}b"), format!("{p}c"));
    for key in [&a, &b, &c] {
        put(key, "v");
    }
    let run = delete(&[&a, &b]).run();
    run.code(2)
        .out_empty()
        .err_has("note: Found 2 of 2 named keys")
        .err_has("cannot ask for confirmation without a terminal")
        .err_has("--yes");
    assert_eq!(names(&p), ["a", "b", "c"]);
    delete(&[&a, &b, &c, "--dry-run"]).run().ok().out("3\n");
    delete(&[&a, &b, "--yes"]).run().ok().out("2\n");
    delete(&[&a, &b, "--yes"])
        .run()
        .code(1)
        .out("0\n")
        .err_has(&format!("key not found: {a}"))
        .err_has(&format!("key not found: {b}"));
    let run = delete(&[&a, &c, &c, "--yes"]).run();
    run.code(1).out("1\n").err_has("note: Found 1 of 2 named keys");
    assert_eq!(names(&p), Vec::<String>::new());

    fill(shared(), &p, 300);
    let all: Vec<String> = (0..300).map(|n| format!("{p}{n:05}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    delete(&[&all[..], &["--yes"]].concat()).run().ok().out("300\n");
    assert_eq!(names(&p), Vec::<String>::new());
}

#[test]
fn a_terminal_is_asked() {
    let p = unique_prefix();
    fill(shared(), &p, 3);
    for (answer, code, left) in [("n\n", 5, 3), ("\n", 5, 3), ("yes\n", 0, 0)] {
        let mut child = delete(&["--prefix", &p]).pty().spawn();
        child.wait_for_stdout("? [y/N] ", SOON);
        child.write(answer);
        let run = child.wait();
        run.code(code)
            .out_has(&format!("Found 3 keys with prefix '{p}' at revision "))
            .out_has(&format!("Delete 3 keys with prefix '{p}' ({}; cluster ", shared().endpoint()))
            .out_has(")? [y/N] ");
        if code == 5 {
            run.out_has("not confirmed; nothing was changed");
        }
        assert_eq!(names(&p).len(), left);
    }
    // Ctrl-C at the question changes nothing.
    fill(shared(), &p, 3);
    let mut child = delete(&["--prefix", &p]).pty().spawn();
    child.wait_for_stdout("? [y/N] ", SOON);
    child.write([3]);
    child.wait().signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(names(&p).len(), 3);
}

#[test]
fn a_range_is_counted_first() {
    let p = unique_prefix();
    fill(shared(), &p, 12);
    let run = delete(&["--prefix", &p]).run();
    run.code(2).out_empty().err_has(&format!("note: Found 12 keys with prefix '{p}'")).err_has("--yes");
    let before = shared().revision();
    delete(&["--prefix", &p, "--dry-run"]).run().ok().out("12\n");
    let run = delete(&["--prefix", &p, "--dry-run", "-o", "json", "--yes"]).run();
    assert_eq!(run.ok().json()["would_delete"], 12);
    assert_eq!(run.json().get("deleted"), None);
    let run = delete(&["--prefix", &p, "--dry-run", "--prev", "--atomic"]).run();
    run.code(2).err_has("cannot be used with");
    assert_eq!(delete(&["--prefix", &p, "--dry-run", "--prev", "-o", "json"]).run().ok().json_lines().len(), 12);
    let saved = tempfile::tempdir().unwrap();
    let path = saved.path().join("save");
    delete(&["--prefix", &p, "--dry-run", "--save", path.to_str().unwrap()]).run().ok().out("12\n");
    assert!(!path.exists(), "a dry run saves nothing");
    assert_eq!(names(&p).len(), 12);
    assert!(shared().held_under(&p).iter().all(|held| held.modified <= before));

    let run = delete(&["--prefix", &p, "--yes"]).run();
    run.ok().out("12\n").err_has(&format!("note: Found 12 keys with prefix '{p}'"));
    delete(&["--prefix", &p, "--yes"]).run().code(1).out("0\n");
    delete(&["--prefix", &p]).run().code(1).out("0\n");
    delete(&["--prefix", &p, "--dry-run"]).run().code(1).out("0\n");
}

#[test]
fn the_whole_store_needs_all() {
    let etcd = Etcd::start();
    fill(&etcd, "/k", 3);
    for range in [&["--prefix", ""][..], &["--prefix", "", "--dir"], &["--from", ""], &["--from", "", "--atomic"]] {
        delete_from(&etcd, &[range, &["--yes"]].concat()).run().code(2).out_empty().err_has("add --all");
    }
    delete_from(&etcd, &["--all", "--yes"]).run().code(2);
    delete_from(&etcd, &["--prefix", "", "--all"]).run().code(2).err_has("--yes");
    assert_eq!(etcd.held_under("/").len(), 3);
    // A namespace bounds it.
    fill(&etcd, "/n/", 2);
    delete_from(&etcd, &["--prefix", "", "--yes", "--namespace", "/n/"]).run().code(2).err_has("add --all");
    delete_from(&etcd, &["--prefix", "", "--all", "--yes", "--namespace", "/n/"]).run().ok().out("2\n");
    assert_eq!(etcd.held_under("/").len(), 3);
    delete_from(&etcd, &["--prefix", "", "--all", "--yes"]).run().ok().out("3\n");
    assert_eq!(etcd.held_under("/"), []);
}

#[test]
fn prefixes_folders_ends_and_globs() {
    let p = unique_prefix();
    let all = ["a", "a/1", "a/2.cert", "ab", "b/2.cert", "c"];
    let left = |args: &[&str]| {
        for key in all {
            put(&format!("{p}{key}"), "v");
        }
        let before = names(&p).len();
        let run = delete(&[args, &["--yes"]].concat()).run();
        let left = names(&p);
        run.ok().out(&format!("{}\n", before - left.len()));
        left
    };
    let at = |key: &str| format!("{p}{key}");
    assert_eq!(left(&["--prefix", &at("a")]), ["b/2.cert", "c"]);
    assert_eq!(left(&["--prefix", &at("a"), "--dir"]), ["a", "ab", "b/2.cert", "c"]);
    assert_eq!(left(&["--from", &at("a/2"), "--to", &at("c")]), ["a", "a/1", "c"]);
    assert_eq!(left(&["--prefix", &p, "--match", "*.cert"]), ["a", "a/1", "ab", "c"]);
    assert_eq!(left(&["--prefix", &p, "--match", &format!("{p}?")]), ["a/1", "a/2.cert", "ab", "b/2.cert"]);
    assert_eq!(left(&["--from", &at("b"), "--to", &at("c"), "--match", "*2*"]), ["a", "a/1", "a/2.cert", "ab", "c"]);
    delete(&["--prefix", &p, "--match", "nothing", "--yes"]).run().code(1).out("0\n");
    delete(&["--prefix", &p, "--match", "*.cert", "--dry-run"]).run().ok().out("1\n");

    let wrong = |args: &[&str]| {
        delete(args).run().code(2).out_empty();
    };
    wrong(&[]);
    wrong(&[""]);
    wrong(&[&at("a"), "--prefix", &p]);
    wrong(&[&at("a"), "--match", "x"]);
    wrong(&[&at("a"), "--atomic"]);
    wrong(&["--prefix", &p, "--from", &p]);
    wrong(&["--from", &at("c"), "--to", &at("a"), "--yes"]);
    wrong(&["--from", &at("c"), "--to", &at("c"), "--yes"]);
    wrong(&["--prefix", &p, "--match", "[", "--yes"]);
    wrong(&["--prefix", &p, "--if-rev", "3", "--yes"]);
    wrong(&["--prefix", &p, "--atomic", "--match", "*", "--yes"]);
    wrong(&[&at("a"), &at("b"), "--if-rev", "3", "--yes"]);
    wrong(&[&at("a"), "--if-rev", "0"]);
    assert_eq!(names(&p), ["a", "a/1", "a/2.cert", "ab", "c"]);
}

#[test]
fn prev_prints_the_records_that_went() {
    let p = unique_prefix();
    fill(shared(), &p, 4);
    let before = shared().held_under(&p);
    let run = delete(&[&format!("{p}00000"), "--prev", "-o", "json"]).run();
    let wanted = json!({"key": format!("{p}00000"), "value": "0", "create_revision": before[0].created,
        "mod_revision": before[0].modified, "version": 1});
    assert_eq!(run.ok().json(), wanted);
    delete(&[&format!("{p}00000"), "--prev", "-o", "json"]).run().code(1).out_empty();
    delete(&[&format!("{p}00001"), "--prev"]).run().ok().out(&format!("{p}00001\t1\n"));
    let run = delete(&["--prefix", &p, "--prev", "--yes", "-o", "json"]).run();
    let keys: Vec<Value> = run.ok().json_lines().iter().map(|line| line["key"].clone()).collect();
    assert_eq!(keys, [json!(format!("{p}00002")), json!(format!("{p}00003"))]);
    assert_eq!(names(&p), Vec::<String>::new());
}

#[test]
fn save_keeps_records_that_put_restores() {
    let p = unique_prefix();
    fill(shared(), &p, 150);
    let lease = shared().grant(400);
    for key in ["l1", "l2"] {
        Kvadm::new()
            .endpoint(shared())
            .args(["put", &format!("{p}{key}"), "-", "--lease", &lease])
            .stdin([0xff, 0])
            .run()
            .ok();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.jsonl");
    let save = path.to_str().unwrap();
    let before = shared().held_under(&p);
    delete(&["--prefix", &p, "--save", save]).run().code(2);
    assert!(!path.exists());
    delete(&["--prefix", &p, "--save", save, "--yes"]).run().ok().out("152\n");
    assert_eq!(names(&p), Vec::<String>::new());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read(&path).unwrap();

    Kvadm::new().endpoint(shared()).args(["put", "--from", save]).run().ok();
    let after = shared().held_under(&p);
    let same = |held: &Held| (held.key.clone(), held.value.clone(), held.lease.is_some());
    assert_eq!(after.iter().map(same).collect::<Vec<_>>(), before.iter().map(same).collect::<Vec<_>>());
    let fresh = after[151].lease.clone().unwrap();
    assert_eq!(after[150].lease.as_ref(), Some(&fresh));
    assert!(shared().etcdctl_ok(&["lease", "timetolive", &fresh]).contains("granted with TTL(400s)"));

    // What is there may be the only copy.
    for args in [&["--prefix", &p][..], &["--prefix", &p, "--atomic"], &[&format!("{p}00000")]] {
        let run = delete(&[args, &["--save", save, "--yes"]].concat()).run();
        run.code(2).out_empty().err_has("File exists").err_has("name a file that does not exist");
    }
    delete(&["--prefix", &p, "--save", "/nowhere/at/all", "--yes"])
        .run()
        .code(2)
        .err_has("cannot create /nowhere/at/all: No such file");
    assert_eq!(std::fs::read(&path).unwrap(), text);
    assert_eq!(shared().held_under(&p), after);

    let other = folder.path().join("other.jsonl");
    let run = delete(&["--prefix", &p, "--atomic", "--save", other.to_str().unwrap(), "--yes"]).run();
    run.ok().out("152\n");
    assert_eq!(std::fs::read_to_string(&other).unwrap().lines().count(), 152);
    put(&format!("{p}a"), "v");
    let third = folder.path().join("third.jsonl");
    delete(&[&format!("{p}a"), &format!("{p}b"), "--save", third.to_str().unwrap(), "--yes"]).run().code(1).out("1\n");
    let third: Value = serde_json::from_slice(&std::fs::read(third).unwrap()).unwrap();
    assert_eq!((&third["key"], &third["value"]), (&json!(format!("{p}a")), &json!("v")));
}

#[test]
fn what_cannot_be_saved_is_not_deleted() {
    let p = unique_prefix();
    fill(shared(), &p, 2000);
    let folder = tempfile::tempdir().unwrap();
    let before = shared().held_under(&p);
    // As a full disk: files may not grow beyond a limit (512 bytes a block). The signal that says so must not end kvadm.
    let limited = |blocks: usize, more: &str, name: &str| {
        let script = format!(
            "ulimit -f {blocks}; exec {} --endpoints {} delete --prefix {p} --yes {more} --save {name}",
            env!("CARGO_BIN_EXE_kvadm"),
            shared().endpoint()
        );
        Kvadm::program("sh").args(["-c", &script]).folder(folder.path()).run()
    };
    let run = limited(8, "--atomic", "a");
    run.code(2)
        .out_empty()
        .err_has("cannot write a: File too large")
        .err_has("keys whose records were not saved have not been deleted");
    assert_eq!(shared().held_under(&p), before, "all or nothing");
    let run = limited(0, "", "b");
    run.code(2).out_empty().err_has("cannot write b: File too large");
    assert_eq!(shared().held_under(&p), before);
    let run = limited(300, "", "c");
    run.out_empty().err_has("cannot write c: File too large");
    let left = shared().held_under(&p);
    assert_eq!(run.code, Some(if left.len() == before.len() { 2 } else { 6 }));
    let saved = std::fs::read_to_string(folder.path().join("c")).unwrap();
    for gone in before.iter().filter(|held| !left.contains(held)) {
        let key = format!("\"{}\"", String::from_utf8_lossy(&gone.key));
        assert!(saved.lines().any(|line| line.ends_with('}') && line.contains(&key)), "{key} is lost");
    }
    // The incomplete last line was taken off.
    assert!(saved.ends_with("}\n"), "{:?}", saved.lines().last());
    let check = ["put", "--from", "c", "--dry-run"];
    Kvadm::new().endpoint(shared()).args(check).folder(folder.path()).run().ok();
}

/// `<NAMESPACE>` itself is a key of another client; inside the namespace it is the empty key.
#[test]
fn a_key_that_equals_the_namespace_is_saved_deleted_and_loaded() {
    let (p, folder) = (unique_prefix(), tempfile::tempdir().unwrap());
    shared().etcdctl_ok(&["put", "--", &p, "the namespace"]);
    let within =
        |args: &[&str]| Kvadm::new().endpoint(shared()).args(["--namespace", &p]).args(args).folder(folder.path());
    within(&["get", ""]).run().ok().out("the namespace\n");
    let listed = within(&["list", "-o", "json"]).run();
    assert_eq!(listed.json()["key"], "");
    within(&["delete", "--prefix", "", "--all", "--yes", "--save", "saved"]).run().ok().out("1\n");
    assert!(shared().held(&p).is_none());
    within(&["put", "--from", "saved"]).run().ok();
    within(&["put", "", "new", "--if-value", "the namespace"]).run().ok();
    assert_eq!(shared().held(&p).unwrap().text(), "new");
    within(&["put", "--from", "-"]).stdin(listed.stdout_text()).run().ok();
    within(&["txn", "-"])
        .stdin(r#"{"if": [{"key": "", "value": "the namespace"}], "then": [{"put": {"key": "", "value": "x"}}]}"#)
        .run()
        .ok();
    assert_eq!(shared().held(&p).unwrap().text(), "x");
    within(&["watch", "--exact", "", "--rev", "1", "--count", "1", "--timeout", "10s"])
        .run()
        .ok()
        .out_has("the namespace");
    within(&["delete", ""]).run().ok().out("1\n");
    assert!(shared().held(&p).is_none());
}

#[test]
fn atomic_goes_in_one_revision() {
    let etcd = Etcd::start();
    fill(&etcd, "/k", 3000);
    let before = etcd.revision();
    let run = delete_from(&etcd, &["--prefix", "/k", "--atomic", "--yes", "-o", "json"]).run();
    assert_eq!(run.ok().json(), json!({"deleted": 3000, "kept": 0, "revision": before + 1}));
    assert_eq!(etcd.revision(), before + 1);
    assert_eq!(etcd.held_under("/"), []);
}

#[test]
fn thousands_of_keys_go_window_by_window() {
    let etcd = Etcd::start();
    fill(&etcd, "/k", 5000);
    fill(&etcd, "/l", 3);
    let before = etcd.revision();
    delete_from(&etcd, &["--prefix", "/k", "--yes"]).run().ok().out("5000\n");
    assert!(etcd.revision() > before + 3, "in several transactions");
    assert_eq!(etcd.held_under("/").len(), 3);
}

#[test]
fn what_is_written_meanwhile_stays() {
    let etcd = Etcd::start();
    fill(&etcd, "/k", 5000);
    // Removals are slowed down, so that writes fall between them.
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Delay { up: Duration::ZERO, down: Duration::from_millis(15) });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = Vec::new();
            eventually("the count", SOON, || etcd.held("/k00000").is_none() || done.load(Ordering::SeqCst));
            while !done.load(Ordering::SeqCst) {
                // Old keys from the far end on, and new ones between them.
                let n = 4999 - written.len() * 37 % 5000;
                let key = if written.len() % 2 == 0 { format!("/k{n:05}") } else { format!("/k{n:05}/new") };
                let value = format!("meanwhile {}", written.len());
                etcd.etcdctl_ok(&["put", &key, &value]);
                written.push((key, value));
            }
            written
        });
        let run = delete_from(&proxy.endpoint(), &["--prefix", "/k", "--yes", "-o", "json"]).run();
        done.store(true, Ordering::SeqCst);
        let mut written = writer.join().unwrap();
        assert!(written.len() >= 3, "nothing was written meanwhile");
        // A key written twice has its last value.
        written.reverse();
        written.sort_by(|a, b| a.0.cmp(&b.0));
        written.dedup_by(|again, first| again.0 == first.0);
        let told = run.ok().json();
        let held: Vec<_> = etcd
            .held_under("/k")
            .into_iter()
            .map(|held| (String::from_utf8_lossy(&held.key).into_owned(), held.text()))
            .collect();
        assert_eq!(held, written);
        let sum = told["deleted"].as_u64().unwrap() + told["kept"].as_u64().unwrap();
        assert_eq!(sum, 5000, "{told}: each key went, or stayed");
        assert!(told["kept"].as_u64().unwrap() > 0, "{told}");
        run.err_has(&format!("kept {} keys written after the count", told["kept"]));
    });
}

#[test]
fn a_lost_lock_keeps_it_from_deleting() {
    let p = unique_prefix();
    let keys = format!("{p}k/");
    let token = shared().lock_token(&format!("{p}lock"));
    let held = format!("--if-locked={token}");
    fill(shared(), &keys, 4);
    delete(&[&format!("{keys}00000"), &held]).run().ok();
    delete(&[&format!("{keys}00001"), "--if-locked"]).env("KVADM_LOCK", &token).run().ok();
    shared().lock_token(&format!("{p}lock"));
    shared().etcdctl_ok(&["del", &format!("{p}lock")]);
    let (two, three) = (format!("{keys}00002"), format!("{keys}00003"));
    for args in [
        &[two.as_str()][..],
        &[&two, "--dry-run"],
        &[&two, &three, "--yes"],
        &[&two, "--if-rev", "1"],
        &["--prefix", &keys, "--yes"],
        &["--prefix", &keys, "--yes", "--atomic"],
        &["--prefix", &keys, "--yes", "--match", "*"],
        &["--prefix", &keys, "--dry-run"],
    ] {
        delete(&[args, &[&held]].concat()).run().code(5).out_empty().err_has("is no longer held");
        delete(&[args, &["--if-locked"]].concat()).env("KVADM_LOCK", &token).run().code(5);
    }
    assert_eq!(names(&keys), ["00002", "00003"]);
    delete(&[&two, "--if-locked"]).run().code(2).err_has("KVADM_LOCK is not set");
}

#[test]
fn a_namespace_goes_before_every_key() {
    let p = unique_prefix();
    fill(shared(), &format!("{p}in/"), 4);
    fill(shared(), &format!("{p}out/"), 2);
    let delete = |args: &[&str]| delete(args).arg("--namespace").arg(format!("{p}in/"));
    delete(&["00000"]).run().ok();
    assert_eq!(delete(&["00001", "--prev", "-o", "json"]).run().ok().json()["key"], "00001");
    delete(&["--from", "00003", "--yes"]).run().ok().out("1\n");
    assert_eq!(names(&p), ["in/00002", "out/00000", "out/00001"]);
}

/// Runs where every answer takes a while; once the server has done it, the connection is cut, and with it the answer.
fn answer_lost(etcd: &Etcd, args: &[&str], done: impl Fn() -> bool) -> Run {
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Delay { up: Duration::ZERO, down: Duration::from_millis(400) });
    let child = delete_from(&proxy.endpoint(), args).spawn();
    eventually("the deletion", SOON, done);
    proxy.cut();
    proxy.set(Mode::Pass);
    child.wait()
}

#[test]
fn a_lost_answer_is_unknown_or_made_good() {
    let etcd = Etcd::start();
    let gone = || etcd.held("/k00000").is_none();
    fill(&etcd, "/k", 1);
    let run = answer_lost(&etcd, &["/k00000"], gone);
    run.code(7)
        .out_empty()
        .err_has("was sent, but it is unknown whether etcd applied it")
        .err_has("hint: read the keys before you retry: etcd may have applied the request, or may still apply it");
    // Not sent again: another client may have written the value again.
    fill(&etcd, "/k", 1);
    let run = answer_lost(&etcd, &["/k00000", "--if-value", "0"], gone);
    run.code(7).out_empty().err_has("was sent, but it is unknown whether etcd applied it");

    // A range: a window is sent again, and the answer is exact.
    fill(&etcd, "/k", 2000);
    let run = answer_lost(&etcd, &["--prefix", "/k", "--yes"], || etcd.held_under("/k").len() < 2000);
    run.ok().out("2000\n");
    assert_eq!(etcd.held_under("/k"), []);
    fill(&etcd, "/k", 200);
    let run = answer_lost(&etcd, &["--prefix", "/k", "--yes", "--atomic"], || etcd.held_under("/k").is_empty());
    run.code(7).out_empty().err_has("unknown whether etcd applied it");
}

#[test]
fn deletions_that_run_together_count_each_key_once() {
    let etcd = Etcd::start();
    let records: String = (0..20_000).map(|n| format!("{{\"key\":\"/k/{n:05}\",\"value\":\"v\"}}\n")).collect();
    Kvadm::new().endpoint(&etcd).args(["put", "--from", "-"]).stdin(records).run().ok();
    let start = |_| Kvadm::new().endpoint(&etcd).args(["delete", "--prefix", "/k/", "--yes", "-o", "json"]).spawn();
    let running: Vec<_> = (0..3).map(start).collect();
    let deleted = |running: super::support::Running| running.wait().json()["deleted"].as_u64().unwrap();
    assert_eq!(running.into_iter().map(deleted).sum::<u64>(), 20_000);
    assert_eq!(etcd.held_under("/k/"), []);
}
