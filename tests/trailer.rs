//! `list --trailer`, and `put --from` of files that end with a trailer.

use serde_json::{Value, json};

use super::get::{kvadm, put};
use super::support::{Etcd, Kvadm, Run, shared, unique_prefix};

fn listing(etcd: &Etcd, args: &[&str]) -> Run {
    kvadm(etcd, ["list", "-o", "json", "--trailer"]).args(args).run()
}

/// The records without and the trailer.
#[track_caller]
fn split(run: &Run) -> (Vec<Value>, Value) {
    let mut lines = run.ok().err_empty().json_lines();
    let trailer = lines.pop().unwrap();
    assert!(lines.iter().all(|line| line.get("trailer").is_none()), "{run:?}");
    (lines, trailer)
}

fn load(lines: &str, args: &[&str]) -> Run {
    kvadm(shared(), ["put", "--from", "-", "-o", "json"]).args(args).stdin(lines).run()
}

#[test]
fn a_trailer_names_the_prefix_the_number_of_records_and_the_revision() {
    let etcd = Etcd::start();
    for key in ["/app/1", "/app/2", "/application", "/b"] {
        put(&etcd, key, "x");
    }
    let trailer = |prefix: &str, count: u64| json!({"trailer": {"prefix": prefix, "count": count, "revision": 5}});
    for (args, prefix, count) in [
        (&["/app"][..], "/app", 3),
        (&["/app", "--dir"], "/app/", 2),
        (&["/app/", "--with-leases"], "/app/", 2),
        (&["--escape", "/\\x61pp/"], "/app/", 2),
        (&[], "", 4),
        (&["/none"], "/none", 0),
        (&["--namespace", "/app", "/"], "/", 2),
    ] {
        let (records, found) = split(&listing(&etcd, args));
        let mut wanted = trailer(prefix, count);
        if args.contains(&"--namespace") {
            wanted["trailer"]["namespace"] = json!("/app");
        }
        assert_eq!((records.len() as u64, found), (count, wanted), "{args:?}");
    }
    // The revision is that of the listing, not the current one.
    let (records, found) = split(&listing(&etcd, &["/app", "--rev", "3"]));
    assert_eq!(records.len(), 2);
    assert_eq!(found, json!({"trailer": {"prefix": "/app", "count": 2, "revision": 3}}));
    put(&etcd, b"\xff1", "x");
    let (records, found) = split(&listing(&etcd, &["--escape", "\\xff"]));
    assert_eq!(records.len(), 1);
    assert_eq!(found, json!({"trailer": {"prefix_base64": "/w==", "count": 1, "revision": 6}}));
}

#[test]
fn a_trailer_ends_a_complete_json_listing_only() {
    let run = |args: &[&str]| Kvadm::new().args(["--endpoints", "127.0.0.1:1", "list", "--trailer"]).args(args).run();
    for format in [&[][..], &["-o", "text"], &["-o", "yaml"], &["-o", "table"], &["-o", "raw"]] {
        run(format).code(2).out_empty().err_has("--trailer requires -o json").err_has("hint: try 'kvadm list");
    }
    for args in [
        &["--from", "a"][..],
        &["--to", "b"],
        &["--match", "*"],
        &["--search", "x"],
        &["--regex", "x"],
        &["--since-rev", "1"],
        &["--limit", "3"],
        &["--keys-only"],
        &["--count"],
        &["--sort", "mod"],
        &["--desc"],
        &["--tree"],
        &["--du"],
        &["--depth", "1"],
    ] {
        let run = run(&[&["-o", "json"], args].concat());
        run.code(2).out_empty().err_has("--trailer").err_has("cannot be used with");
        run.err_has("a trailer proves that the listing has all keys of PREFIX, with their values");
    }
}

#[test]
fn a_large_listing_counts_all_its_records() {
    let etcd = Etcd::start();
    let lines: String = (0..12_345).map(|n| format!("{}\n", json!({"key": format!("k/{n}"), "value": "x"}))).collect();
    kvadm(&etcd, ["put", "--from", "-", "-q"]).stdin(&lines).run().ok();
    let (records, trailer) = split(&listing(&etcd, &["k", "--dir"]));
    assert_eq!((records.len(), &trailer["trailer"]["count"]), (12_345, &json!(12_345)));
}

#[test]
fn a_whole_file_is_loaded_and_its_trailer_is_no_record() {
    let (etcd, at) = (shared(), unique_prefix());
    for key in ["1", "2", "3"] {
        put(etcd, format!("{at}{key}"), key);
    }
    let file = listing(etcd, &[&at]).ok().stdout_text();
    assert_eq!(file.lines().count(), 4);
    let run = load(&file, &[]);
    assert_eq!((run.ok().json()["unchanged"].clone(), run.json()["written"].clone()), (json!(3), json!(0)));
    // A blank line behind it, and no newline at all.
    load(&format!("{file}\n \n"), &[]).ok();
    load(file.trim_end(), &[]).ok();
    // An empty listing is one that is whole.
    let none = listing(etcd, &[&format!("{at}none")]).ok().stdout_text();
    assert_eq!(load(&none, &[]).ok().json()["written"], 0);
}

#[test]
fn a_cut_file_is_refused_before_anything_is_written() {
    let at = unique_prefix();
    let folder = tempfile::tempdir().unwrap();
    let line = |key: &str| format!("{}\n", json!({"key": format!("{at}{key}"), "value": "x"}));
    let (one, two, three) = (line("1"), line("2"), line("3"));
    let trailer = |count: i64| format!("{}\n", json!({"trailer": {"prefix": at, "count": count, "revision": 57}}));
    let remedy = "hint: write the file again with 'kvadm list PREFIX -o json --trailer'";
    for (text, said) in [
        (format!("{one}{two}{three}{}", trailer(5)), "4: the file is cut: its trailer counts 5 records, 3 were read"),
        (format!("\n{one}\n{}", trailer(2)), "4: the file is cut: its trailer counts 2 records, 1 were read"),
        (trailer(1), "1: the file is cut: its trailer counts 1 record, 0 were read"),
        (
            format!("{one}{two}{}", trailer(1)),
            "3: the file has additional records: its trailer counts 1 record, 2 were",
        ),
        (format!("{one}{}{two}", trailer(1)), "3: a line follows the trailer"),
        (format!("{one}{}{}", trailer(1), trailer(1)), "3: a line follows the trailer"),
    ] {
        std::fs::write(folder.path().join("f.jsonl"), &text).unwrap();
        let from = ["put", "--from", "f.jsonl"];
        let run = Kvadm::new().endpoint(shared()).args(from).folder(folder.path()).run();
        run.code(2).out_empty().err_has(&format!("error: f.jsonl:{said}")).err_has(remedy);
        assert_eq!(shared().held_under(&at), [], "{text}");
    }
    let bad = format!("{one}{}", r#"{"trailer":{"prefix":"/a","count":1}}"#);
    std::fs::write(folder.path().join("f.jsonl"), bad).unwrap();
    let run = Kvadm::new().endpoint(shared()).args(["put", "--from", "f.jsonl"]).folder(folder.path()).run();
    run.code(2).out_empty().err_has("error: f.jsonl:2: not a record: missing field `revision`");
    assert_eq!(shared().held_under(&at), []);
}

/// A pipe cannot be read twice: what came before the trailer is loaded when it is found to be cut.
#[test]
fn a_cut_pipe_is_an_error_that_says_what_was_loaded() {
    let at = unique_prefix();
    let line = |key: &str| format!("{}\n", json!({"key": format!("{at}{key}"), "value": "x"}));
    let lines = line("1") + &line("2") + r#"{"trailer":{"prefix":"","count":7,"revision":5}}"#;
    let run = load(&lines, &[]);
    run.code(6).out_empty();
    let error = run.err_json().to_string();
    assert!(error.contains("stdin:3: the file is cut: its trailer counts 7 records, 2 were read"), "{error}");
    assert!(error.contains("2 records loaded"), "{error}");
}

#[test]
fn a_trailer_is_not_a_key_of_other_files_of_records() {
    let etcd = Etcd::start();
    let lines = "{\"key\":\"app=web;\",\"value\":\"\"}\n{\"trailer\":{\"prefix\":\"\",\"count\":1,\"revision\":5}}\n";
    let run = kvadm(&etcd, ["allocate", "new", "--permanent", "--from", "-", "-o", "json"]).stdin(lines).run();
    assert_eq!(run.ok().json()["key"], "app=web;");
    let roots = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(roots.path(), lines).unwrap();
    let gc = ["gc", "metadata", "/m/", "--schema", "containerd", "--roots"];
    let run = kvadm(&etcd, gc).arg(roots.path()).run();
    run.err_lacks("not a record");
    std::fs::write(roots.path(), "{\"kay\":1}\n").unwrap();
    kvadm(&etcd, gc).arg(roots.path()).run().code(2).err_has("line 1: not a record with a key");
}
