//! `restore`: a prefix as in a source, what keeps it from destroying anything, and how it is taken back.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use kvadm::kvstore::{KeySelector, Op, OpResult, Retry, Txn, Write};

use super::support::library::store_within;
use super::support::time_limit::seed;
use super::support::{Etcd, Held, Kvadm, Plan, Run, Spoil, Spoiler, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

fn kvadm(etcd: &Etcd, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(args).timeout(SOON)
}

fn restore(args: &[&str]) -> Run {
    kvadm(shared(), &[&["restore"], args].concat()).run()
}

fn put(key: &str, value: &str) -> Held {
    kvadm(shared(), &["put", "--", key, value]).run().ok();
    shared().held(key).unwrap()
}

fn delete(key: &str) {
    kvadm(shared(), &["delete", key]).run().ok();
}

fn now() -> String {
    format!("rev:{}", shared().revision())
}

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The keys below a prefix with their values.
fn state(etcd: &Etcd, prefix: &str) -> State {
    etcd.held_under(prefix).into_iter().map(|held| (held.key, held.value)).collect()
}

/// Loads `keys` records below the prefix, with a word and their number as their value.
fn fill(etcd: &Etcd, prefix: &str, keys: usize, word: &str) {
    let line = |n| json!({"key": format!("{prefix}{n:05}"), "value": format!("{word}{n}")}).to_string() + "\n";
    let lines: String = (0..keys).map(line).collect();
    kvadm(etcd, &["put", "--from", "-"]).stdin(lines).run().ok();
}

#[test]
fn a_prefix_as_it_was() {
    let p = unique_prefix();
    let key = |name: &str| format!("{p}{name}");
    for name in ["a", "b", "c", "d", "same"] {
        put(&key(name), name);
    }
    let (then, before) = (now(), state(shared(), &p));
    put(&key("b"), "B");
    delete(&key("c"));
    put(&key("new"), "new");
    let changed = state(shared(), &p);

    let dry = restore(&[&p, "--source", &then, "--dry-run"]);
    dry.ok().out(&format!("~ {p}b\n+ {p}c\n- {p}new\n"));
    dry.err_has("note: dry run: would create 1 key, modify 1 key, delete 1 key");
    let dry = restore(&[&p, "--source", &then, "--dry-run", "-o", "json"]).json_lines();
    let modified = shared().held(key("b")).unwrap().modified;
    assert_eq!(
        dry[0],
        json!({"event": "modified", "key": key("b"), "value": "b", "prev_mod_revision": modified, "dry_run": true})
    );
    assert_eq!(dry[1], json!({"event": "created", "key": key("c"), "value": "c", "dry_run": true}));
    assert_eq!(dry[2]["event"], "deleted");
    // It asks, naming what it does.
    let asked = restore(&[&p, "--source", &then]);
    asked.code(2).out_empty().err_has(&format!("  modify {p}b\n  create {p}c\n  delete {p}new\n"));
    let revision = then.strip_prefix("rev:").unwrap();
    asked.err_has(&format!(
        "error: Restore {p} to this store at revision {revision}, which reverts everybody's changes since: create 1 key, \
         modify 1 key, delete 1 key: cannot ask for confirmation without a terminal"
    ));
    assert_eq!(state(shared(), &p), changed);

    let unchanged = shared().held(key("same")).unwrap();
    restore(&[&p, "--source", &then, "--yes"])
        .ok()
        .err_empty()
        .out("created\t1\nmodified\t1\ndeleted\t1\nunchanged\t3\n");
    assert_eq!(state(shared(), &p), before);
    assert_eq!(shared().held(key("same")).unwrap(), unchanged, "an equal key is not written");
    let again = restore(&[&p, "--source", &then, "--yes"]);
    again.ok().out("created\t0\nmodified\t0\ndeleted\t0\nunchanged\t5\n").err_has("note: nothing to do: ");
    // Only a part of it.
    put(&key("b"), "B");
    put(&key("new"), "new");
    delete(&key("c"));
    let written = shared().held(key("new")).unwrap().modified;
    let run = restore(&[&p, "--source", &then, "--yes", "--only", "created,modified", "-o", "json"]);
    let mut answer = run.ok().json();
    let revision = answer.as_object_mut().unwrap().remove("revision").and_then(|revision| revision.as_i64());
    assert!(revision.is_some_and(|revision| revision >= written), "the revision of the comparison: {revision:?}");
    assert_eq!(
        answer,
        json!({"created": 1, "modified": 1, "deleted": 0, "unchanged": 3, "conflicts": 0, "unknown": 0})
    );
    assert_eq!(run.stderr_text(), "note: left by --only: 1 difference\n");
    assert!(shared().held(key("new")).is_some());
}

/// The printed command that applies a plan to the same store.
fn apply_plan(file: &str) -> String {
    format!("kvadm --endpoints {} restore --apply-plan {file}", shared().endpoint())
}

#[test]
fn a_restore_is_taken_back() {
    let p = unique_prefix();
    let key = |name: &str| format!("{p}{name}");
    for name in ["a", "b", "c"] {
        put(&key(name), name);
    }
    let (then, old) = (now(), state(shared(), &p));
    put(&key("b"), "B");
    delete(&key("c"));
    put(&key("new"), "new");
    let changed = state(shared(), &p);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let run = restore(&[&p, "--source", &then, "--yes", "--undo", &file("one")]);
    run.ok().err_has(&format!("note: to take this restore back: {}\n", apply_plan(&file("one"))));
    assert_eq!(std::fs::metadata(file("one")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(state(shared(), &p), old);
    // The same file is not used twice: it is needed to take the first restore back.
    restore(&[&p, "--source", &then, "--yes", "--undo", &file("one")])
        .code(2)
        .err_has("name a file that does not exist");

    let dry = restore(&["--apply-plan", &file("one"), "--dry-run"]);
    dry.ok().err_has("would create 1 key, modify 1 key, delete 1 key");
    restore(&["--apply-plan", &file("one")])
        .code(2)
        .err_has("error: Take the restore of 2")
        .err_has(" back: create 1 key, modify 1 key, delete 1 key");
    restore(&["--apply-plan", &file("one"), "--yes", "--undo", &file("two")]).ok();
    assert_eq!(state(shared(), &p), changed);
    restore(&["--apply-plan", &file("two"), "--yes"]).ok();
    assert_eq!(state(shared(), &p), old);
    // What somebody else has written since is left.
    put(&key("b"), "somebody's");
    delete(&key("a"));
    put(&key("a"), "somebody's");
    let run = restore(&["--apply-plan", &file("one"), "--yes", "-o", "json"]);
    let answer = run.code(6).json();
    assert_eq!((&answer["conflicts"], &answer["created"]), (&json!(2), &json!(1)));
    assert_eq!(state(shared(), &p)[key("b").as_bytes()], b"somebody's");
}

/// A change that a step did not make, because its key was changed meanwhile, is not taken back.
#[test]
fn what_a_step_left_is_not_taken_back() {
    let p = unique_prefix();
    let key = |name: &str| format!("{p}{name}");
    let _: [Held; 2] = ["a", "b"].map(|name| put(&key(name), "old"));
    let then = now();
    let _: [Held; 2] = ["a", "b"].map(|name| put(&key(name), "new"));
    let folder = tempfile::tempdir().unwrap();
    let undo = folder.path().join("undo").display().to_string();
    restore(&[&p, "--source", &then, "--yes", "--undo", &undo]).ok();
    let text = std::fs::read_to_string(&undo).unwrap();
    let end = text.lines().find(|line| line.starts_with("{\"step_done\":1,")).unwrap();
    let left = text.replace(end, &end.replace('}', ",\"left\":[0]}"));
    std::fs::write(&undo, left).unwrap();
    restore(&["--apply-plan", &undo, "--yes"]).ok().out_has("modified\t1\n");
    let held = |name: &str| shared().held(key(name)).unwrap().text();
    assert_eq!((held("a"), held("b")), ("old".to_owned(), "new".to_owned()));
}

/// Each rule stops a run that would delete what nobody meant to delete.
#[test]
fn what_keeps_a_restore_from_deleting() {
    let p = unique_prefix();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        format!("file:{}", folder.path().join(name).display())
    };
    let empty = now();
    fill(shared(), &p, 30, "v");
    let all = state(shared(), &p);
    let listed = |args: &[&str]| kvadm(shared(), &[&["list", "-o", "json"], args].concat()).run().ok().stdout_text();
    let refused = |source: &str, args: &[&str], words: &str| {
        let run = restore(&[&[p.as_str(), "--yes", "--source", source], args].concat());
        run.code(5).out_empty().err_has(words).err_has("nothing was changed");
        assert_eq!(state(shared(), &p), all);
    };
    // A mistyped prefix, or a file that a failed command left empty.
    refused(&empty, &[], &format!("revision {} has no key with the prefix {p}", empty.strip_prefix("rev:").unwrap()));
    refused(&now(), &["--source-prefix", "/mistyped/"], "has no key with the prefix /mistyped/");
    refused(&file("empty", ""), &[], "has no key with the prefix");
    // A file that was cut at the end of a line.
    let text = listed(&[&p]);
    let cut: String = text.lines().take(20).map(|line| format!("{line}\n")).collect();
    refused(&file("cut", &cut), &[], "does not end with a trailer, so it may be cut: 10 keys would be deleted");
    // A part of the keys.
    let part = listed(&[&format!("{p}0000"), "--trailer"]);
    refused(
        &file("part", &part),
        &[],
        &format!("lists only keys with the prefix {p}0000, but the prefix of the source is {p}"),
    );
    let trailed = listed(&[&p, "--trailer"]);
    let half = trailed.lines().skip(15).collect::<Vec<_>>().join("\n");
    let run = restore(&[&p, "--yes", "--source", &file("half", &half)]);
    run.code(2).out_empty().err_has("the file is cut: its trailer counts 30 records, 15 were read");
    // Too much at once.
    let few = listed(&[&p]).lines().take(9).map(|line| format!("{line}\n")).collect::<String>();
    let few = format!("{few}{}\n", json!({"trailer": {"prefix": p, "count": 9, "revision": 5}}));
    refused(&file("few", &few), &[], "21 of 30 keys would be deleted, more than --max-percent 50");
    refused(&file("few", &few), &["--max-percent", "69"], "more than --max-percent 69");
    refused(
        &file("few", &few),
        &["--max-percent", "100", "--max-delete", "20"],
        "21 keys would be deleted, more than --max-delete 20",
    );
    assert_eq!(state(shared(), &p), all);
    // With words, all of it is possible.
    restore(&[&p, "--yes", "--source", &file("cut", &cut), "--only", "created,modified"]).ok();
    restore(&[&p, "--yes", "--source", &file("few", &few), "--max-percent", "70"]).ok().out_has("deleted\t21\n");
    restore(&[&p, "--yes", "--source", &empty, "--allow-empty"]).ok().out_has("deleted\t9\n");
    assert!(state(shared(), &p).is_empty());
    restore(&[&p, "--yes", "--source", &file("all", &trailed)]).ok().out_has("created\t30\n");
    assert_eq!(state(shared(), &p), all);
}

#[test]
fn plans_are_bound_to_what_they_saw() {
    let p = unique_prefix();
    let key = |name: &str| format!("{p}{name}");
    for name in ["a", "b", "c", "d"] {
        put(&key(name), name);
    }
    let then = now();
    for name in ["a", "b", "c", "d"] {
        put(&key(name), "changed");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan").display().to_string();
    let made = restore(&[&p, "--source", &then, "--plan", &file]);
    made.ok().out("would create\t0\nwould modify\t4\nwould delete\t0\n");
    made.err_has(&format!("would modify 4 keys; to do it: {}\n", apply_plan(&file)));
    assert_eq!(state(shared(), &p)[key("a").as_bytes()], b"changed");
    put(&key("a"), "later");
    delete(&key("b"));
    let run = restore(&["--apply-plan", &file, "--yes"]);
    run.code(6).out("created\t0\nmodified\t2\ndeleted\t0\nconflicts\t2\n");
    run.err_has(&format!("note: {p}a was changed meanwhile and is left as it is"));
    run.err_has("error: 2 keys changed meanwhile and left").err_has("hint: make a new plan");
    let held = state(shared(), &p);
    assert_eq!(held[key("a").as_bytes()], b"later");
    assert_eq!(held.get(key("b").as_bytes()), None);
    assert_eq!(held[key("c").as_bytes()], b"c");
    // A plan limits what it deletes as well.
    put(&key("new"), "");
    // An existing file may be needed.
    restore(&[&p, "--source", &then, "--plan", &file])
        .code(2)
        .err_has(&format!("cannot create {file}: the file exists"));
    std::fs::remove_file(&file).unwrap();
    restore(&[&p, "--source", &then, "--plan", &file]).ok();
    restore(&["--apply-plan", &file, "--yes", "--max-delete", "0"]).code(5).err_has("more than --max-delete 0");

    let text = std::fs::read_to_string(&file).unwrap();
    let apply = |text: &str, args: &[&str]| {
        std::fs::write(&file, text).unwrap();
        restore(&[&["--apply-plan", file.as_str(), "--yes"], args].concat())
    };
    let lines: Vec<&str> = text.lines().collect();
    let without_end = lines[..lines.len() - 1].join("\n") + "\n";
    apply(&without_end, &[]).code(2).out_empty().err_has("the file is cut: it has no last line");
    apply(&text[..text.len() - 3], &[]).code(2).err_has(&format!("error: {file}: the file is cut"));
    apply("{\"key\":\"/a\"}\n", &[]).code(2).err_has("line 1: not a plan of 'kvadm restore'");
    apply(&text, &["--namespace", "/ns/"])
        .code(5)
        .err_has("belongs to the namespace '', but the namespace here is '/ns/'");
    let head: Value = serde_json::from_str(lines[0]).unwrap();
    let foreign = text.replace(head["cluster"].as_str().unwrap(), "1a");
    apply(&foreign, &[]).code(5).out_empty().err_has("belongs to cluster 1a, but the endpoints belong to cluster");
    let ahead = text.replacen(&format!("\"revision\":{}", head["revision"]), "\"revision\":999999999", 1);
    apply(&ahead, &[]).code(5).err_has("belongs to revision 999999999 of a store, but this store is at revision");
    restore(&["--apply-plan", "/dev/null", "--yes"]).code(2).err_has("cannot read /dev/null: not a regular file");
    restore(&["--apply-plan", "/nonexistent", "--yes"]).code(2).err_has("cannot read /nonexistent");
    restore(&[&p, "--source", &then, "--plan", "/dev/null"])
        .code(2)
        .err_has("cannot create /dev/null: the file exists");
    for option in ["--plan", "--undo"] {
        restore(&[&p, "--source", &then, option, "-"]).code(2).err_has(&format!("{option} needs the name of a file"));
    }
    restore(&["--apply-plan", "-"]).code(2).err_has("--apply-plan needs the name of a file");
    restore(&[&p, "--apply-plan", &file]).code(2);
    restore(&[&p]).code(2).err_has("--source <SOURCE>");
    restore(&["--source", "rev:3"]).code(2);
}

/// A plan that was executed, or was not needed, is no conflict; what is missing in an undo file is said.
#[test]
fn a_plan_may_be_executed_again() {
    let p = unique_prefix();
    let key = |name: &str| format!("{p}{name}");
    let _: [Held; 2] = ["a", "b"].map(|name| put(&key(name), "old"));
    let then = now();
    put(&key("a"), "new");
    delete(&key("b"));
    put(&key("c"), "new");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    restore(&[&p, "--source", &then, "--plan", &file("plan")]).ok();
    let apply = |name: &str, args: &[&str]| {
        let path = file(name);
        restore(&[&["--apply-plan", path.as_str(), "--yes"], args].concat())
    };
    apply("plan", &["--undo", &file("undo")]).ok().out("created\t1\nmodified\t1\ndeleted\t1\n");
    apply("plan", &[]).ok().out("created\t0\nmodified\t0\ndeleted\t0\nunchanged\t3\n");
    // There is nothing to take back.
    apply("plan", &["--undo", &file("none")]).ok().err_lacks("to take this restore back");
    assert!(!exists(file("none").as_ref()));
    apply("undo", &[]).ok().err_lacks("interrupted");
    apply("undo", &[]).ok().out_has("unchanged\t3\n");
    let text = std::fs::read_to_string(file("undo")).unwrap();
    let cut: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    std::fs::write(file("cut"), cut).unwrap();
    apply("cut", &[]).err_has("the restore was interrupted, or the file is cut");
}

/// Keys that were on a lease do not come back for ever.
#[test]
fn keys_of_ended_leases() {
    let p = unique_prefix();
    let key = |name: &str| format!("{p}{name}");
    let (ended, alive) = (shared().grant(1000), shared().grant(1000));
    let attach = |name: &str, lease: &str| {
        kvadm(shared(), &["put", &key(name), "v", "--lease", lease]).run().ok();
    };
    attach("lock", &ended);
    attach("registered", &alive);
    put(&key("plain"), "old");
    let then = now();
    kvadm(shared(), &["lease", "revoke", &ended, "--yes"]).run().ok();
    delete(&key("registered"));
    put(&key("plain"), "new");
    let folder = tempfile::tempdir().unwrap();
    let undo = folder.path().join("undo").display().to_string();
    let run = restore(&[&p, "--source", &then, "--yes", "--skip-leased"]);
    run.ok().out_has("created\t0\nmodified\t1\n").err_has("note: left by --skip-leased: 2 differences");
    let leased = [&p, "--source", &then, "--yes", "--with-leases"];
    let run = restore(&leased);
    run.ok().out_has("created\t1\n").err_has("note: left out: 1 key, because the lease has ended");
    restore(&leased).ok().out_has("created\t0\nmodified\t0\n");
    // A key whose lease ends after a restore has deleted it is not created again by the undo.
    let empty = unique_prefix();
    let args = [&p, "--source", "rev:1", "--source-prefix", &empty, "--yes", "--allow-empty", "--undo", &undo];
    restore(&args).ok().out_has("deleted\t2\n");
    kvadm(shared(), &["lease", "revoke", &alive, "--yes"]).run().ok();
    let run = restore(&["--apply-plan", &undo, "--yes"]);
    run.ok().out_has("created\t1\n").err_has("note: not created: 1 key, because the lease has ended");
    assert!(shared().held(key("registered")).is_none() && shared().held(key("plain")).is_some());
}

#[test]
fn a_refused_plan_can_be_looked_at() {
    let p = unique_prefix();
    let empty = now();
    fill(shared(), &p, 25, "v");
    let run = restore(&[&p, "--source", &empty, "--allow-empty", "--dry-run"]);
    run.code(5).out_has(&format!("- {p}00000\n")).err_has("dry run: would delete 25 keys");
    run.err_has("error: 25 of 25 keys would be deleted, more than --max-percent 50")
        .err_has("then raise --max-percent");
    // The trailer of a listing inside a namespace does not stand for the whole store.
    let inside = kvadm(shared(), &["list", "/", "--namespace", p.trim_end_matches('/'), "-o", "json", "--trailer"]);
    let text = inside.run().ok().stdout_text();
    let args = ["restore", "/", "--source", "-", "--yes", "--max-percent", "100", "--dry-run"];
    let run = kvadm(shared(), &args).stdin(text).run();
    run.code(5).err_has(&format!(
        "stdin lists keys of the namespace {}, but the namespace here is ''",
        p.trim_end_matches('/')
    ));
}

#[test]
fn a_store_does_not_restore_itself() {
    let p = unique_prefix();
    put(&format!("{p}sub/a"), "1");
    let itself = |args: &[&str]| {
        let text = format!("endpoints: [\"{}\"]\n", shared().endpoint());
        kvadm(shared(), &[&["restore", "--yes"], args].concat()).config_file("other.yaml", text).run()
    };
    let before = state(shared(), &p);
    itself(&[&p, "--source", "context:other"]).code(2).out_empty().err_has("is this store itself");
    let inner = format!("{p}sub/");
    itself(&[&p, "--source", "context:other", "--source-prefix", &inner]).code(2).err_has("overlaps with");
    itself(&[&p, "--source", "nonsense"]).code(2);
    itself(&[&p, "--source", "context:nowhere"]).code(2).err_has("context 'nowhere' not found");
    itself(&[&p, "--source", "rev:999999999"]).code(4);
    assert_eq!(state(shared(), &p), before);
}

#[test]
fn leases_are_left_or_restored() {
    let p = unique_prefix();
    let key = |name: &str| format!("{p}{name}");
    let lease = shared().grant(1000);
    let attach = |name: &str, value: &str, lease: &str| {
        kvadm(shared(), &["put", &key(name), value, "--lease", lease]).run().ok();
    };
    for name in ["deleted", "changed", "detached", "moved"] {
        attach(name, "v", &lease);
    }
    put(&key("plain"), "v");
    let then = now();
    let second = shared().grant(1000);
    delete(&key("deleted"));
    attach("changed", "new", &lease);
    put(&key("detached"), "v");
    attach("moved", "new", &second);
    attach("plain", "v", &second);
    let run = restore(&[&p, "--source", &then, "--yes"]);
    run.ok().out("created\t1\nmodified\t2\ndeleted\t0\nunchanged\t2\n");
    run.err_has("note: written without a lease: 1 key; see --with-leases and --skip-leased");
    let lease_of = |name: &str| shared().held(key(name)).unwrap().lease;
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(lease_of("deleted"), None);
    assert_eq!((lease_of("changed"), lease_of("moved")), (some(&lease), some(&second)));
    assert_eq!((lease_of("detached"), lease_of("plain")), (None, some(&second)));

    restore(&[&p, "--source", &then, "--yes", "--with-leases"])
        .ok()
        .out("created\t0\nmodified\t4\ndeleted\t0\nunchanged\t1\n");
    for name in ["deleted", "changed", "detached", "moved"] {
        assert_eq!(lease_of(name), some(&lease), "{name}");
    }
    assert_eq!(lease_of("plain"), None);
    kvadm(shared(), &["diff", &p, "--source", &then]).run().ok();

    // A new store gets leases of its own, with the same granted TTL, one for each of the source.
    let other = Etcd::start();
    let text = format!("endpoints: [\"{}\"]\n", shared().endpoint());
    let args = ["restore", "/new/", "--source", "context:old", "--source-prefix", &p, "--yes", "--with-leases"];
    kvadm(&other, &args).config_file("old.yaml", text).run().ok().out_has("created\t5\n");
    let leases: Vec<Option<String>> = other.held_under("/new/").into_iter().map(|held| held.lease).collect();
    assert!(leases[0].is_some() && leases[..4].iter().all(|lease| *lease == leases[0]) && leases[4].is_none());
    let shown = kvadm(&other, &["lease", "list", "-o", "json"]).run().ok().json_lines();
    assert_eq!((shown.len(), &shown[0]["ttl"]), (1, &json!(1000)));
    let exported =
        kvadm(&other, &["list", "/new/", "-o", "json", "--with-leases", "--trailer"]).run().ok().stdout_text();
    other.etcdctl_ok(&["del", "--prefix", "/new/"]);
    let run = kvadm(&other, &["restore", "/new/", "--source", "-", "--yes", "--with-leases"]).stdin(exported).run();
    run.ok().out_has("created\t5\n");
    assert_eq!(other.held_under("/new/").iter().filter(|held| held.lease.is_some()).count(), 4);
}

#[test]
fn only_while_a_lock_is_held() {
    let p = unique_prefix();
    fill(shared(), &p, 300, "v");
    let then = now();
    fill(shared(), &p, 300, "w");
    let inside = restore(&[&p, "--source", &then, "--yes", &format!("--if-locked={p}lock/0@7")]);
    inside.code(5).err_has("the restore would delete it; nothing was changed");
    let lost = format!("--if-locked={}lock/0@7", unique_prefix());
    let run = restore(&[&p, "--source", &then, "--yes", &lost]);
    run.code(5).err_has("error: the restore is incomplete: 0 created, 0 modified, 0 deleted");
    assert!(state(shared(), &p).values().all(|value| value.starts_with(b"w")));
    let token = shared().lock_token(&format!("{}lock", unique_prefix()));
    restore(&[&p, "--source", &then, "--yes", &format!("--if-locked={token}")]).ok().out_has("modified\t300\n");
}

/// Keys of any bytes, in a namespace, with few operations in a transaction.
#[test]
fn any_keys_and_small_transactions() {
    let p = unique_prefix();
    let inside = |args: &[&str]| kvadm(shared(), args).args(["--namespace", &p, "--max-ops", "3"]);
    let put = |key: &str, value: &str| {
        inside(&["put", "--escape", key, value]).run().ok();
    };
    for key in ["\\xff\\x00", "a", "a/b", "\u{e9}", "z\\n"] {
        put(key, key);
    }
    inside(&["put", "big", "-"]).stdin("x".repeat(1 << 20)).run().ok();
    inside(&["put", "big2", "-"]).stdin("y".repeat(1 << 20)).run().ok();
    let (then, before) = (now(), state(shared(), &p));
    for key in ["\\xff\\x00", "a/b", "big", "big2"] {
        put(key, "");
    }
    inside(&["delete", "a"]).run().ok();
    put("new\\xfe", "");
    let changed = state(shared(), &p);
    let folder = tempfile::tempdir().unwrap();
    let undo = folder.path().join("undo").display().to_string();
    inside(&["restore", "", "--source", &then, "--yes", "--undo", &undo]).run().ok();
    assert_eq!(state(shared(), &p), before);
    inside(&["restore", "--apply-plan", &undo, "--yes"]).run().ok();
    assert_eq!(state(shared(), &p), changed);
}

#[test]
fn a_value_that_does_not_fit_is_named() {
    let p = unique_prefix();
    let line = json!({"key": format!("{p}large"), "value": "x".repeat(1_600_000)}).to_string() + "\n";
    let args = ["restore", &p, "--source", "-", "--yes"];
    let run = kvadm(shared(), &args).stdin(line).run();
    run.code(4).err_has("request is too large").err_has(&format!("{p}large"));
}

/// A restore whose answers get lost says so; the same command again makes the prefix equal, and nothing is written twice.
#[test]
fn lost_answers_are_unknown_and_do_no_harm() {
    for (creates, spoil) in
        [(true, Spoil::CutBefore), (false, Spoil::CutBefore), (true, Spoil::CutAfter), (false, Spoil::Grpc(14))]
    {
        let etcd = Etcd::start();
        fill(&etcd, "/r/", 50, "v");
        let source = format!("rev:{}", etcd.revision());
        match creates {
            true => drop(etcd.etcdctl_ok(&["del", "--prefix", "/r/"])),
            false => fill(&etcd, "/r/", 50, "w"),
        }
        let plan = Plan { spoil, methods: &["Txn"], skip: 10, times: 3, then_gone: false };
        let spoiler = Spoiler::start(&etcd.address(), plan);
        let args =
            ["restore", "/r/", "--source", &source, "--yes", "--max-ops", "3", "-o", "json", "--op-timeout", "2s"];
        let run = Kvadm::new().endpoint(&spoiler.endpoint()).args(args).timeout(SOON).run();
        let answer = run.code(7).json();
        let unknown = answer["unknown"].as_u64().unwrap();
        assert!(unknown >= 1, "{answer}");
        run.err_has("may or may not have been made").err_has("run the same command again");
        kvadm(&etcd, &["restore", "/r/", "--source", &source, "--yes"]).run().ok();
        kvadm(&etcd, &["diff", "/r/", "--source", &source]).run().ok();
        let versions: Vec<i64> = etcd.held_under("/r/").iter().map(|held| held.version).collect();
        assert!(
            versions.len() == 50 && versions.iter().all(|version| *version == if creates { 1 } else { 3 }),
            "{versions:?}"
        );
    }
}

/// A key that a restore creates and somebody deletes at once is not created again when the answer is lost.
#[test]
fn a_creation_without_an_answer_is_not_repeated() {
    let etcd = Etcd::start();
    fill(&etcd, "/r/", 1, "v");
    let source = format!("rev:{}", etcd.revision());
    etcd.etcdctl_ok(&["del", "--prefix", "/r/"]);
    let plan = Plan { spoil: Spoil::CutBefore, methods: &["Txn"], skip: 0, times: 1, then_gone: false };
    let server = Kvadm::new().endpoint(&etcd).args(["delete", "/r/00000"]);
    let server = std::sync::Mutex::new(Some(server));
    let spoiler = Spoiler::with(&etcd.address(), plan, move || {
        if let Some(delete) = server.lock().unwrap().take() {
            delete.run().ok();
        }
    });
    let args = ["restore", "/r/", "--source", &source, "--yes"];
    let run = Kvadm::new().endpoint(&spoiler.endpoint()).args(args).timeout(SOON).run();
    run.code(7).out_has("unknown\t1\n").err_has("error: 1 change may or may not have been made");
    assert!(etcd.held_under("/r/").is_empty(), "the deletion was undone");
}

/// Killed at any point: the undo file takes back what was done, and the same command again completes it.
#[test]
fn a_killed_restore_can_be_completed_or_taken_back() {
    let etcd = Etcd::start();
    let folder = tempfile::tempdir().unwrap();
    for round in 0..8_u64 {
        let p = format!("/k{round}/");
        fill(&etcd, &p, 400, "v");
        let (source, old) = (format!("rev:{}", etcd.revision()), state(&etcd, &p));
        fill(&etcd, &p, 300, "w");
        for n in 300..360 {
            etcd.etcdctl_ok(&["del", &format!("{p}{n:05}")]);
        }
        fill(&etcd, &format!("{p}new"), 50, "new");
        let (changed, before) = (state(&etcd, &p), etcd.revision());
        let undo = folder.path().join(format!("undo{round}")).display().to_string();
        let args =
            ["restore", &p, "--source", &source, "--yes", "--undo", &undo, "--max-ops", "8", "--max-percent", "100"];
        let mut running = kvadm(&etcd, &args).spawn();
        let goal = before + 1 + i64::try_from(round * 9).unwrap();
        eventually("some steps", SOON, || etcd.revision() >= goal || running.ended().is_some());
        running.signal(Signal::SIGKILL);
        let _ = running.wait();
        // What was in flight when it was killed has arrived by now.
        kvadm(&etcd, &["list", &p, "--count"]).run().ok();
        if round % 2 == 0 {
            let taken_back = kvadm(&etcd, &["restore", "--apply-plan", &undo, "--yes"]).run();
            taken_back.ok();
            assert_eq!(state(&etcd, &p), changed, "round {round}");
        } else {
            kvadm(&etcd, &["restore", &p, "--source", &source, "--yes", "--max-percent", "100"]).run().ok();
            assert_eq!(state(&etcd, &p), old, "round {round}");
        }
    }
}

/// Ctrl-C ends a restore between two steps, and says where it stands.
#[test]
fn a_signal_ends_a_restore() {
    let etcd = Etcd::start();
    fill(&etcd, "/r/", 2_000, "v");
    let source = format!("rev:{}", etcd.revision());
    let records = kvadm(&etcd, &["list", "/r/", "-o", "json"]).run().ok().stdout_text();
    fill(&etcd, "/r/", 2_000, "w");
    let before = etcd.revision();
    // One change in a transaction, two hundred in a second.
    let args = ["restore", "/r/", "--source", "-", "--yes", "--max-ops", "3", "--qps", "200"];
    let mut running = kvadm(&etcd, &args).stdin(records).spawn();
    running.close_stdin();
    eventually("a step", SOON, || etcd.revision() > before);
    running.signal(Signal::SIGINT);
    let run = running.wait();
    run.signal(Signal::SIGINT).err_has("error: the restore is incomplete: 0 created, ").err_has("interrupted");
    let restored = state(&etcd, "/r/").values().filter(|value| value.starts_with(b"v")).count();
    run.err_has(&format!("0 created, {restored} modified, 0 deleted"));
    kvadm(&etcd, &["restore", "/r/", "--source", &source, "--yes"]).run().ok();
    kvadm(&etcd, &["diff", "/r/", "--source", &source]).run().ok();
}

fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// A disk that is full for the undo file stops the restore before the step that could not be taken back.
#[test]
fn no_step_without_its_undo() {
    let p = unique_prefix();
    fill(shared(), &p, 200, "v");
    let then = now();
    fill(shared(), &p, 200, &"w".repeat(1_000));
    let changed = state(shared(), &p);
    let folder = tempfile::tempdir().unwrap();
    let undo = folder.path().join("undo");
    // The plan is in the temporary folder; the limit is for each file.
    let args = ["restore", &p, "--source", &then, "--yes", "--max-ops", "40", "--undo"];
    let run = kvadm(shared(), &args).arg(&undo).ulimit("-f 100").run();
    run.code(6).err_has("cannot write the undo file");
    assert!(exists(&undo));
    let kept = state(shared(), &p);
    let untouched = changed.iter().filter(|(key, value)| kept.get(*key) == Some(value)).count();
    assert!((1..200).contains(&untouched), "{untouched}");
    let taken_back = restore(&["--apply-plan", &undo.display().to_string(), "--yes"]);
    taken_back.ok();
    assert_eq!(state(shared(), &p), changed);
}

/// What a writer did last to a key: the revision, and the value or that it deleted the key.
type LastWrite = (i64, Option<Vec<u8>>);

/// Writes and deletes keys of its own until it is stopped.
async fn write_at_random(
    store: kvadm::kvstore::Store,
    keys: Vec<Vec<u8>>,
    mut seed: u64,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> BTreeMap<Vec<u8>, LastWrite> {
    let mut last = BTreeMap::new();
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        let key = &keys[usize::try_from(random(&mut seed)).unwrap() % keys.len()];
        let number = random(&mut seed);
        let value = (!number.is_multiple_of(3)).then(|| format!("writer {number}").into_bytes());
        let op = match &value {
            Some(value) => Op::Put(Write { key: key.clone(), value: value.clone(), ..Write::default() }),
            None => Op::Delete { over: KeySelector::Key(key.clone()), prev: false },
        };
        let txn = Txn { then: vec![op], ..Txn::default() };
        let result = store.txn("write", &txn, None, Retry::Never).await.expect("a write");
        // The deletion of a key that does not exist changes nothing.
        if !matches!(result.results.as_slice(), [OpResult::Delete { deleted: 0, .. }]) {
            last.insert(key.clone(), (result.revision, value));
        }
    }
    last
}

/// xorshift64
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed >> 16
}

/// After any history, and whatever others do meanwhile: what they wrote after the plan is theirs, the rest is as it was.
#[test]
fn writers_lose_nothing_and_the_rest_is_as_it_was() {
    const KEYS: usize = 120;
    let etcd = Etcd::start();
    let mut seed = seed("KVADM_TEST_SEED") | 1;
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut conflicts, mut reverted) = (0, 0);
    for round in 0..6 {
        let p = format!("/w{round}/");
        let file = folder.path().join(format!("plan{round}")).display().to_string();
        let keys: Vec<Vec<u8>> = (0..KEYS).map(|n| format!("{p}{n:03}").into_bytes()).collect();
        let start_writers = |seed: &mut u64| {
            let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let writers: Vec<_> = keys
                .chunks(KEYS / 3)
                .map(|own| {
                    let store = store_within(&etcd.endpoint(), b"", Duration::from_secs(20));
                    runtime.spawn(write_at_random(store, own.to_vec(), random(seed) | 1, stop.clone()))
                })
                .collect();
            (stop, writers)
        };
        let join = |writers: Vec<tokio::task::JoinHandle<BTreeMap<Vec<u8>, LastWrite>>>| {
            let joined = writers.into_iter().map(|writer| runtime.block_on(writer).unwrap());
            joined.flatten().collect::<BTreeMap<_, _>>()
        };
        // A history, the revision to go back to within it, and more history.
        let (stop, writers) = start_writers(&mut seed);
        let begun = etcd.revision();
        eventually("some history", SOON, || etcd.revision() > begun + 300);
        let then = etcd.revision();
        let at = |revision: i64| {
            let listed =
                kvadm(&etcd, &["list", &p, "--rev", &revision.to_string(), "-o", "json"]).run().ok().json_lines();
            let text = |record: &Value, name: &str| record[name].as_str().unwrap().as_bytes().to_vec();
            listed.iter().map(|record| (text(record, "key"), text(record, "value"))).collect::<State>()
        };
        let old = at(then);
        eventually("more history", SOON, || etcd.revision() > then + 100);

        let source = format!("rev:{then}");
        let plan = ["restore", &p, "--source", &source, "--plan", &file, "--max-percent", "100"];
        kvadm(&etcd, &plan).run().ok();
        let head = std::fs::read_to_string(&file).unwrap();
        let head: Value = serde_json::from_str(head.lines().next().unwrap()).unwrap();
        let planned = head["revision"].as_i64().unwrap();
        let run = kvadm(&etcd, &["restore", "--apply-plan", &file, "--yes", "--max-ops", "8", "-o", "json"]).run();
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        let last = join(writers);
        let answer = run.json();
        assert_eq!(run.code, Some(if answer["conflicts"] == 0 { 0 } else { 6 }), "{run:?}");
        conflicts += answer["conflicts"].as_u64().unwrap();
        let held = state(&etcd, &p);
        let seen = at(planned);
        for key in &keys {
            let wanted = match last.get(key) {
                // A key that was missing and is missing again is as the plan saw it.
                Some((revision, None)) if *revision > planned && !seen.contains_key(key) && held.contains_key(key) => {
                    old.get(key)
                }
                Some((revision, value)) if *revision > planned => value.as_ref(),
                _ => old.get(key),
            };
            reverted += usize::from(last.get(key).is_some_and(|(revision, _)| *revision <= planned));
            let shown = String::from_utf8_lossy(key);
            assert_eq!(held.get(key), wanted, "{shown}: planned at {planned}, {:?}", last.get(key));
        }
        kvadm(&etcd, &["restore", &p, "--source", &source, "--yes", "--max-percent", "100"]).run().ok();
        assert_eq!(state(&etcd, &p), old);
    }
    assert!(conflicts > 0 && reverted > 0, "nothing was contended: {conflicts}, {reverted}");
}
