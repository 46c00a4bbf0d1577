//! `diff`: what leads from a source to the store.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::support::{Etcd, Kvadm, Run, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

fn kvadm(etcd: &Etcd, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(args).timeout(SOON)
}

fn put(etcd: &Etcd, key: &str, value: &str) {
    kvadm(etcd, &["put", "--", key, value]).run().ok();
}

fn delete(etcd: &Etcd, key: &str) {
    kvadm(etcd, &["delete", key]).run().ok();
}

/// The context `other`, which is another store.
fn with_other(other: &Etcd, args: &[&str]) -> Kvadm {
    kvadm(shared(), args).config_file("other.yaml", format!("endpoints: [\"{}\"]\n", other.endpoint()))
}

fn revision(etcd: &Etcd) -> String {
    etcd.revision().to_string()
}

/// Writes records of any bytes.
fn load(etcd: &Etcd, prefix: &str, records: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let line = |(key, value): (&Vec<u8>, &Vec<u8>)| {
        let key = [prefix.as_bytes(), key].concat();
        json!({"key_base64": STANDARD.encode(key), "value_base64": STANDARD.encode(value)}).to_string() + "\n"
    };
    let lines: String = records.iter().map(line).collect();
    kvadm(etcd, &["put", "--from", "-"]).stdin(lines).run().ok();
}

fn bytes_of(record: &Value, name: &str) -> Option<Vec<u8>> {
    match (record.get(name), record.get(format!("{name}_base64"))) {
        (Some(text), _) => Some(text.as_str().unwrap().as_bytes().to_vec()),
        (None, Some(encoded)) => Some(STANDARD.decode(encoded.as_str().unwrap()).unwrap()),
        (None, None) => None,
    }
}

#[test]
fn two_revisions_of_the_store() {
    let p = unique_prefix();
    let key = |name: &str| format!("{p}{name}");
    for name in ["a", "b", "c", "same", "twice"] {
        put(shared(), &key(name), name);
    }
    let then = revision(shared());
    put(shared(), &key("b"), "B");
    delete(shared(), &key("c"));
    put(shared(), &key("d"), "d");
    put(shared(), &key("twice"), "other");
    put(shared(), &key("twice"), "twice");
    let source = format!("rev:{then}");
    let run = kvadm(shared(), &["diff", &p, "--source", &source]).run();
    run.code(1).out(&format!("~ {p}b\n- {p}c\n+ {p}d\n"));
    let lines: Vec<String> = run.stderr_text().lines().map(str::to_owned).collect();
    assert_eq!(lines[0], format!("--- this store at revision {then}"));
    assert!(lines[1].starts_with("+++ this store at revision "), "{lines:?}");
    assert_eq!(lines[2], "note: 1 created, 1 modified, 1 deleted, 3 unchanged");

    let run = kvadm(shared(), &["diff", &p, "--source", &source, "-o", "json"]).run();
    let held = |name: &str| shared().held(key(name)).unwrap().modified;
    let records = run.code(1).json_lines();
    let before = records[0]["prev_mod_revision"].as_i64().unwrap();
    assert_eq!(
        records[0],
        json!({"event": "modified", "key": key("b"), "value": "B", "prev_value": "b", "mod_revision": held("b"),
               "prev_mod_revision": before})
    );
    assert!(before < held("b"));
    assert_eq!(records[1]["event"], "deleted");
    assert_eq!((&records[1]["prev_value"], records[1].get("value")), (&json!("c"), None));
    assert_eq!(records[2], json!({"event": "created", "key": key("d"), "value": "d", "mod_revision": held("d")}));
    assert_eq!(
        run.err_json(),
        json!({"source": format!("rev:{then}"), "source_revision": then.parse::<i64>().unwrap(),
               "revision": run.err_json()["revision"], "created": 1, "modified": 1, "deleted": 1, "unchanged": 3,
               "limited": false})
    );

    let run = kvadm(shared(), &["diff", &p, "--source", &source, "--rev", &then]).run();
    run.ok().out_empty().err_has("note: no difference in 5 keys");
    let reversed = revision(shared());
    kvadm(shared(), &["diff", &p, "--source", &format!("rev:{reversed}"), "--rev", &then, "--keys-only", "-o", "json"])
        .run()
        .code(1)
        .out_lacks("value\"")
        .out_has(&format!("\"deleted\",\"key\":\"{p}d\""));
}

#[test]
fn leases_make_a_difference_unless_they_are_ignored() {
    let p = unique_prefix();
    let (one, two) = (shared().grant(1000), shared().grant(1000));
    let key = |name: &str| format!("{p}{name}");
    let attach = |etcd: &Etcd, name: &str, lease: &str| {
        kvadm(etcd, &["put", &key(name), "v", "--lease", lease]).run().ok();
    };
    put(shared(), &key("attached"), "v");
    attach(shared(), "moved", &one);
    let then = format!("rev:{}", revision(shared()));
    attach(shared(), "attached", &one);
    attach(shared(), "moved", &two);
    let run = kvadm(shared(), &["diff", &p, "--source", &then]).run();
    run.code(1).out(&format!("~ {p}attached\n~ {p}moved\n"));
    let run = kvadm(shared(), &["diff", &p, "--source", &then, "-o", "json"]).run();
    assert_eq!(run.code(1).json_lines()[1]["prev_lease"], one.as_str());
    assert_eq!(run.json_lines()[1]["lease"], two.as_str());
    kvadm(shared(), &["diff", &p, "--source", &then, "--ignore", "lease"]).run().ok().out_empty();

    // Elsewhere only the presence of a lease counts.
    let other = Etcd::start();
    let foreign = other.grant(1000);
    attach(&other, "attached", &foreign);
    put(&other, &key("moved"), "v");
    let args = ["diff", &p, "--source", "context:other"];
    with_other(&other, &args).run().code(1).out(&format!("~ {p}moved\n"));
    with_other(&other, &[&args[..], &["--ignore", "lease"]].concat()).run().ok().out_empty();
}

#[test]
fn another_store_and_another_prefix() {
    let p = unique_prefix();
    let other = Etcd::start();
    let big = "x".repeat(1 << 20);
    for (etcd, base) in [(shared(), p.as_str()), (&other, "/copy/")] {
        let records = BTreeMap::from([
            (b"empty".to_vec(), Vec::new()),
            (b"\xff\x00bin".to_vec(), b"\xff\xfe\x00".to_vec()),
            (b"big".to_vec(), big.clone().into_bytes()),
            (b"k".to_vec(), b"v".to_vec()),
        ]);
        load(etcd, base, &records);
    }
    let args = ["diff", &p, "--source", "context:other", "--source-prefix", "/copy/"];
    with_other(&other, &args).run().ok().out_empty().err_has("no difference in 4 keys");
    load(&other, "/copy/", &BTreeMap::from([(b"\xff\x00bin".to_vec(), b"\xff\xfe\x01".to_vec())]));
    with_other(&other, &args).run().code(1).out(&format!("~ {p}\\xff\\0bin\n"));
    let run = with_other(&other, &[&args[..], &["-o", "json"]].concat()).run();
    let record = &run.code(1).json_lines()[0];
    assert_eq!(bytes_of(record, "prev_value").unwrap(), b"\xff\xfe\x01");
    assert_eq!(bytes_of(record, "value").unwrap(), b"\xff\xfe\x00");

    // A namespace applies to this store; the context's own file describes the other one.
    let inside = with_other(&other, &["diff", "--source", "context:other", "--source-prefix", "/copy/"]);
    inside.args(["--namespace", &p]).run().code(1).out("~ \\xff\\0bin\n");
    let far = format!("endpoints: [\"{}\"]\nnamespace: /copy/\n", other.endpoint());
    let inside = kvadm(shared(), &["diff", "--namespace", &p, "--source", "context:far"]).config_file("far.yaml", far);
    inside.run().code(1).out("~ \\xff\\0bin\n");

    // An earlier revision of the other store.
    let before = other.revision() - 1;
    let source = format!("context:other@{before}");
    let run = with_other(&other, &["diff", &p, "--source", &source, "--source-prefix", "/copy/"]).run();
    run.ok().out_empty().err_has(&format!("--- context 'other' at revision {before}"));
}

#[test]
fn a_file_in_any_order() {
    let p = unique_prefix();
    for (name, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
        put(shared(), &format!("{p}{name}"), value);
    }
    let listed = kvadm(shared(), &["list", &p, "-o", "json"]).run().ok().stdout_text();
    let reversed: String = listed.lines().rev().map(|line| format!("{line}\n\n")).collect();
    let diff =
        |text: &str, args: &[&str]| kvadm(shared(), &[&["diff", &p, "--source", "-"], args].concat()).stdin(text).run();
    diff(&reversed, &[]).ok().out_empty().err_has("--- stdin").err_has("no difference in 3 keys");
    put(shared(), &format!("{p}b"), "new");
    diff(&reversed, &[]).code(1).out(&format!("~ {p}b\n"));
    // Records elsewhere are left out, and named.
    let more = format!("{listed}{}\n", json!({"key": "/elsewhere", "value": ""}));
    diff(&more, &[]).code(1).err_has(&format!("note: stdin: 1 record without the prefix {p} left out"));
    let moved = listed.replace(&p, "/old/");
    diff(&moved, &["--source-prefix", "/old/"]).code(1).out(&format!("~ {p}b\n"));
    let trailed = kvadm(shared(), &["list", &p, "-o", "json", "--trailer"]).run().ok().stdout_text();
    diff(&trailed, &[]).ok().err_has("--- stdin at revision ");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.jsonl");
    std::fs::write(&path, &trailed).unwrap();
    let source = format!("file:{}", path.display());
    kvadm(shared(), &["diff", &p, "--source", &source]).run().ok().out_empty();
}

/// A file that does not fit into the memory for sorting.
#[test]
fn a_large_unsorted_file() {
    const KEYS: usize = 700;
    let p = unique_prefix();
    let value = |n: usize| format!("{n}-").repeat(20_000);
    let line = |n: usize| json!({"key": format!("{p}{n:04}"), "value": value(n)}).to_string() + "\n";
    // 389 and 700 have no common divisor: every number occurs once.
    let shuffled: String = (0..KEYS).map(|n| line(n * 389 % KEYS)).collect();
    assert!(shuffled.len() > 50 << 20);
    let etcd = Etcd::start();
    kvadm(&etcd, &["put", "--from", "-"]).stdin(&shuffled).run().ok();
    let diff = |text: &str| kvadm(&etcd, &["diff", &p, "--source", "-"]).stdin(text).run();
    diff(&shuffled).ok().out_empty().err_has(&format!("no difference in {KEYS} keys"));
    let twice = shuffled.clone() + &line(389 % KEYS);
    diff(&twice).code(2).err_has(&format!("error: stdin:{}: key {p}0389 is given twice, here and in line 2", KEYS + 1));
}

#[test]
fn sources_that_cannot_be_used() {
    let p = unique_prefix();
    put(shared(), &format!("{p}a"), "1");
    let diff = |source: &str| kvadm(shared(), &["diff", &p, "--source", source]);
    let line = |key: &str| json!({"key": key, "value": ""}).to_string() + "\n";
    for (source, words) in [
        ("nonsense", "'nonsense' is not a source; a source is rev:N"),
        ("git:main", "'git:' is not a kind of source"),
        ("rev:0", "'0' is not a revision"),
        ("context:", "the context has no name"),
        ("context:nowhere", "context 'nowhere' not found"),
        ("file:/nonexistent/x", "cannot read /nonexistent/x"),
        ("file:/", "cannot read /"),
    ] {
        diff(source).run().code(2).out_empty().err_has(words);
    }
    let far = shared().revision() + 1000;
    diff(&format!("rev:{far}")).run().code(4).out_empty().err_has("required revision is a future revision");
    diff("-").stdin("{\"key\":\"/a\",\"val").run().code(2).out_empty().err_has("error: stdin:1: not a record");
    diff("-").stdin(format!("{}{}", line("/a"), "{}\n")).run().code(2).err_has("error: stdin:2: needs either key");
    let twice = line(&format!("{p}a")) + &line(&format!("{p}b")) + &line(&format!("{p}a"));
    diff("-").stdin(twice).run().code(2).err_has(&format!("stdin:3: key {p}a is given twice, here and in line 1"));
    let cut = line(&format!("{p}a")) + "{\"trailer\":{\"prefix\":\"/\",\"count\":2,\"revision\":5}}\n";
    diff("-").stdin(cut).run().code(2).err_has("stdin:2: the file is cut: its trailer counts 2 records, 1 were read");
    let missing = kvadm(shared(), &["diff", &p]).run();
    missing.code(2).out_empty().err_has("--source <SOURCE>");
}

#[test]
fn a_compacted_revision_names_the_oldest_one() {
    let etcd = Etcd::start();
    for n in 0..5 {
        put(&etcd, "/a", &n.to_string());
    }
    let oldest = etcd.revision() - 1;
    etcd.etcdctl_ok(&["compaction", &oldest.to_string()]);
    kvadm(&etcd, &["diff", "/", "--source", "rev:2"])
        .run()
        .code(4)
        .out_empty()
        .err_has("error: cannot read the source, revision 2")
        .err_has(&format!("hint: the oldest revision that can be read is {oldest}"));
    kvadm(&etcd, &["diff", "/", "--source", &format!("rev:{oldest}")]).run().code(1).out("~ /a\n");
    let run = kvadm(&etcd, &["diff", "/", "--source", &format!("rev:{oldest}"), "--rev", "2"]).run();
    run.code(4).err_has("required revision has been compacted").err_has("hint: the oldest revision");
}

#[test]
fn a_store_is_not_compared_with_itself() {
    let p = unique_prefix();
    put(shared(), &format!("{p}sub/a"), "1");
    let itself = |args: &[&str]| with_other(shared(), &[&["diff"], args].concat()).run();
    let run = itself(&[&p, "--source", "context:other"]);
    run.code(2).out_empty().err_has(&format!("context 'other' is this store itself, and both prefixes are {p}"));
    let inner = format!("{p}sub/");
    let run = itself(&[&p, "--source", "context:other", "--source-prefix", &inner]);
    run.code(2).out_empty().err_has(&format!("{inner} overlaps with {p}"));
    itself(&[&inner, "--source", "context:other", "--source-prefix", &p]).code(2).err_has("overlaps with");
    // Another prefix, or an earlier revision, is something else.
    let elsewhere = unique_prefix();
    itself(&[&p, "--source", "context:other", "--source-prefix", &elsewhere]).code(1).out(&format!("+ {p}sub/a\n"));
    let now = shared().revision();
    itself(&[&p, "--source", &format!("context:other@{now}")]).ok().out_empty();
}

/// A mistyped prefix must not pass for no difference.
#[test]
fn nothing_compared_is_no_equality() {
    let p = unique_prefix();
    let args = ["diff", &p, "--source", "rev:1"];
    let run = kvadm(shared(), &args).run();
    run.code(5)
        .out_empty()
        .err_has(&format!("error: nothing was compared: neither side has a key with the prefix {p}"));
    kvadm(shared(), &args).arg("--allow-empty").run().ok().out_empty();
}

/// A reader that does not read to the end does not turn a difference into none.
#[test]
fn a_closed_pipe_is_no_equality() {
    let p = unique_prefix();
    let then = format!("rev:{}", revision(shared()));
    let records: BTreeMap<_, _> = (0..2_000).map(|n| (format!("{n:05}").into_bytes(), vec![b'v'; 100])).collect();
    load(shared(), &p, &records);
    for format in ["text", "json"] {
        let script = format!(
            "'{}' --endpoints {} diff {p} --source {then} -o {format} | true; exit ${{PIPESTATUS[0]}}",
            env!("CARGO_BIN_EXE_kvadm"),
            shared().endpoint()
        );
        Kvadm::program("bash").args(["-c", &script]).timeout(SOON).run().code(1);
    }
}

#[test]
fn counts_of_branches_and_a_limit() {
    let p = unique_prefix();
    let then = format!("rev:{}", revision(shared()));
    for name in ["a/1", "a/2", "a/x/3", "b/1", "c"] {
        put(shared(), &format!("{p}{name}"), "v");
    }
    let diff = |args: &[&str]| kvadm(shared(), &[&["diff", &p, "--source", &then], args].concat()).run();
    let rows = |rows: &[(&str, u64)]| {
        rows.iter().map(|(name, created)| format!("{p}{name}\t{created}\t0\t0\n")).collect::<String>()
    };
    diff(&["--stat"]).code(1).out(&rows(&[("a/", 3), ("b/", 1), ("c", 1)]));
    diff(&["--stat=2"]).code(1).out(&rows(&[("a/", 2), ("a/x/", 1), ("b/", 1), ("c", 1)]));
    let run = diff(&["--stat", "-o", "json"]);
    assert_eq!(
        run.code(1).json_lines()[0],
        json!({"key": format!("{p}a/"), "created": 3, "modified": 0, "deleted": 0})
    );
    let run = diff(&["--limit", "2"]);
    run.code(1).out(&format!("+ {p}a/1\n+ {p}a/2\n")).err_has("note: stopped after 2 differences");
    diff(&["--limit", "5"]).code(1).err_has("5 created, 0 modified");
    diff(&["--limit", "0"]).code(2);
    diff(&["--stat", "--limit", "2"]).code(2);
}

/// On a terminal the values of a key are shown line by line, and nothing in them controls it.
#[test]
fn values_on_a_terminal() {
    let p = unique_prefix();
    put(shared(), &format!("{p}json"), r#"{"a":1,"b":[2,3]}"#);
    put(shared(), &format!("{p}evil"), "one\ntwo\n");
    let then = format!("rev:{}", revision(shared()));
    put(shared(), &format!("{p}json"), r#"{"b":[2,4],"a":1}"#);
    put(shared(), &format!("{p}evil"), "one\n\x1b]0;title\x07\n");
    let run = kvadm(shared(), &["diff", &p, "--source", &then, "--color", "never"]).pty().run();
    let run = run.code(1).out_has(&format!("~ {p}json"));
    let text = run.stdout_text();
    assert!(text.contains("-    3") && text.contains("+    4") && text.contains("-two"), "{text}");
    assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text:?}");
}

/// The differences, applied to the source, give the store.
#[test]
fn the_differences_lead_from_the_source_to_the_store() {
    let other = Etcd::start();
    let key = || proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'a'), Just(0xff), any::<u8>()], 1..5);
    let value = || proptest::collection::vec(any::<u8>(), 0..4);
    let records = || proptest::collection::btree_map(key(), value(), 0..30);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() });
    type Records = BTreeMap<Vec<u8>, Vec<u8>>;
    type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
    let round = |(source, changes): (Records, Changes)| {
        let p = unique_prefix();
        let mut store = source.clone();
        for (key, change) in changes {
            match change {
                Some(value) => drop(store.insert(key, value)),
                None => drop(store.remove(&key)),
            }
        }
        load(&other, &p, &source);
        load(shared(), &p, &store);
        let run: Run = with_other(&other, &["diff", &p, "--source", "context:other", "-o", "json"]).run();
        // Two empty sides are no comparison.
        let expected = if source.is_empty() && store.is_empty() { 5 } else { i32::from(source != store) };
        prop_assert_eq!(run.code, Some(expected));
        let mut model = source;
        for record in run.json_lines() {
            let key = bytes_of(&record, "key").unwrap()[p.len()..].to_vec();
            let before = model.get(&key).cloned();
            prop_assert_eq!(&before, &bytes_of(&record, "prev_value"));
            let event = record["event"].as_str().unwrap().to_owned();
            match bytes_of(&record, "value") {
                Some(value) => {
                    prop_assert_eq!(event, if before.is_some() { "modified" } else { "created" });
                    prop_assert_ne!(before.as_ref(), Some(&value));
                    model.insert(key, value);
                }
                None => {
                    prop_assert_eq!(event, "deleted");
                    model.remove(&key);
                }
            }
        }
        prop_assert_eq!(model, store);
        Ok(())
    };
    let changes = proptest::collection::btree_map(key(), proptest::option::of(value()), 0..30);
    runner.run(&(records(), changes), round).unwrap();
}
