//! `get` and `list` with `--search` and `--regex`.

use super::get::{kvadm, put};
use super::list::load;
use super::support::{Etcd, Kvadm, shared, unique_prefix};

/// The last parts of the keys that are listed.
#[track_caller]
fn names(etcd: &Etcd, at: &str, args: &[&str]) -> Vec<String> {
    let run = kvadm(etcd, ["list", "--keys-only", at]).args(args).run();
    let text = run.ok().err_empty().stdout_text();
    text.lines().map(|line| line.strip_prefix(at).unwrap().to_owned()).collect()
}

fn seed(etcd: &Etcd) -> String {
    let at = unique_prefix();
    let values: [(&str, &[u8]); 6] = [
        ("a.conf", b"host = db1\nport = 5432\n"),
        ("b.conf", b"Host = DB2\n"),
        ("c.bin", b"\x00\xffdb1\xfe"),
        ("d.conf", b""),
        ("e.conf", b"port = 5432"),
        ("f/g.conf", b"host = db1, port = 99"),
    ];
    load(etcd, values.map(|(name, value)| (format!("{at}{name}"), value)));
    at
}

#[test]
fn values_are_selected_by_texts_and_an_expression() {
    let etcd = shared();
    let at = seed(etcd);
    let all = |args: &[&str]| names(etcd, &at, args);
    assert_eq!(all(&["--search", "db1"]), ["a.conf", "c.bin", "f/g.conf"]);
    assert_eq!(all(&["--search", "db1", "--search", "port"]), ["a.conf", "f/g.conf"]);
    assert_eq!(all(&["--search", "db1", "--match", "*.bin"]), ["c.bin"]);
    assert_eq!(all(&["--search", "db1", "--regex", "port = [0-9]{4}"]), ["a.conf"]);
    assert_eq!(all(&["--regex", "(?i)^host = db[12]\\b"]), ["a.conf", "b.conf", "f/g.conf"]);
    assert_eq!(all(&["--regex", "(?m)^port"]), ["a.conf", "e.conf"]);
    assert_eq!(all(&["--regex", "^$"]), ["d.conf"]);
    assert_eq!(all(&["--regex", "(?-u)\\xff"]), ["c.bin"]);
    assert_eq!(all(&["--escape", "--search", "\\xffdb1\\xfe"]), ["c.bin"]);
    assert_eq!(all(&["--escape", "--search", "\\0"]), ["c.bin"]);
    assert_eq!(all(&["--search", "\\0"]), [""; 0]);
    assert_eq!(all(&["--search", "-"]), [""; 0]);
    assert_eq!(all(&["--search", "db1", "--limit", "2"]), ["a.conf", "c.bin"]);
    assert_eq!(all(&["--search", "5432", "--sort", "size", "--desc"]), ["a.conf", "e.conf"]);
    assert_eq!(all(&["--search", "5432", "--sort", "key", "--desc", "--limit", "1"]), ["e.conf"]);
}

#[test]
fn counts_and_trees_have_the_matches_only() {
    let etcd = shared();
    let at = seed(etcd);
    kvadm(etcd, ["list", &at, "--count", "--search", "db1"]).run().ok().out("3\n");
    kvadm(etcd, ["list", &at, "--count", "--regex", "nothing"]).run().ok().out("0\n");
    kvadm(etcd, ["list", &at, "--depth", "1", "--search", "99"]).run().ok().out(&format!("{at}f/\n"));
    let tree = kvadm(etcd, ["list", &at, "--tree", "--depth", "1", "--search", "port", "-o", "json"]).run();
    let rows: Vec<_> = tree.ok().json_lines().iter().map(|row| (row["key"].clone(), row["keys"].clone())).collect();
    let row = |name: &str, keys: serde_json::Value| (format!("{at}{name}").into(), keys);
    use serde_json::{Value::Null, json};
    assert_eq!(rows, [row("a.conf", Null), row("e.conf", Null), row("f/", json!(1))]);
    let usage = kvadm(etcd, ["list", &at, "--du", "--search", "port", "-o", "json"]).run().ok().json_lines();
    assert_eq!((&usage[0]["keys"], &usage[1]["keys"]), (&json!(1), &json!(3)), "{usage:?}");
    // A branch that fills whole pages.
    let value = |n: u32| if n % 50 == 7 { "needle" } else { "hay" };
    load(etcd, (0..300).map(|n| (format!("{at}t/x/{n:03}"), value(n))));
    let below = format!("{at}t/");
    let tree = kvadm(etcd, ["list", &below, "--tree", "--depth", "1", "--search", "needle", "-o", "json"]).run();
    assert_eq!(tree.ok().json()["keys"], 6);
    // The records are whole.
    let record = kvadm(etcd, ["list", &at, "--search", "99", "-o", "json"]).run().ok().json();
    assert_eq!(record["value"], "host = db1, port = 99");
    let record = kvadm(etcd, ["list", &at, "--search", "99", "-o", "json", "--keys-only"]).run().ok().json();
    assert!(record.get("value").is_none(), "{record}");
}

#[test]
fn get_says_whether_the_value_matches() {
    let etcd = shared();
    let at = seed(etcd);
    let (a, b, none) = (format!("{at}a.conf"), format!("{at}b.conf"), format!("{at}none"));
    kvadm(etcd, ["get", &a, "--search", "db1"]).run().ok().err_empty().out("host = db1\nport = 5432\n\n");
    let run = kvadm(etcd, ["get", &b, "--search", "db1"]).run();
    run.code(1).out_empty().err_has(&format!("note: the value does not match: {b} (revision "));
    kvadm(etcd, ["get", &b, "--regex", "(?i)db[0-9]"]).run().ok().out("Host = DB2\n\n");
    let run = kvadm(etcd, ["get", &none, "--search", "db1"]).run();
    run.code(1).out_empty().err_has("note: key not found: ").err_lacks("does not match");
    let run = kvadm(etcd, ["get", &a, &b, "--search", "db1", "-o", "json"]).run();
    run.code(1).err_has(&format!("does not match: {b} ")).err_lacks(&a);
    assert_eq!(run.json()["key"], a);
    let rev = put(etcd, &b, "db1").to_string();
    kvadm(etcd, ["get", &b, &a, "--search", "db1"]).run().ok().err_empty();
    let before = (rev.parse::<i64>().unwrap() - 1).to_string();
    let run = kvadm(etcd, ["get", &b, "--search", "db1", "--rev", &before]).run();
    run.code(1).out_empty().err_has(&format!("does not match: {b} (revision {before})"));
    kvadm(etcd, ["get", &b, "--search", "db1", "--history"]).run().code(2).out_empty().err_has("--history");
}

#[test]
fn wrong_conditions_are_refused_before_anything_is_dialled() {
    for verb in ["list", "get"] {
        let run = |args: &[&str]| Kvadm::new().args(["--endpoints", "127.0.0.1:1", verb, "/a"]).args(args).run();
        let bad = run(&["--regex", "x(y"]);
        bad.code(2)
            .out_empty()
            .err_has("error: invalid regular expression in --regex 'x(y': unclosed group, at character 2");
        bad.err_has("hint: escape special characters with a backslash, or use --search for plain text\n");
        run(&["--regex", "(x{1000}){1000}"]).code(2).out_empty().err_has("it needs more than 4 MiB");
        run(&["--search", ""]).code(2).out_empty().err_has("--search: the text is empty");
        run(&["--escape", "--search", "\\q"]).code(2).out_empty().err_has("--escape: invalid escape at byte 0");
        run(&["--regex"]).code(2).out_empty();
    }
}

/// A value of 1 MiB is searched whole, and so is each page of a large listing.
#[test]
fn large_values_and_listings_are_searched_whole() {
    let etcd = Etcd::start();
    let mut large = vec![b'x'; 1 << 20];
    large.extend_from_slice(b"needle");
    put(&etcd, "/large", &large);
    load(&etcd, (0..12_000).map(|n| (format!("/many/{n:05}"), format!("value {n}"))));
    kvadm(&etcd, ["list", "/", "--search", "xneedle", "--keys-only"]).run().ok().out("/large\n");
    kvadm(&etcd, ["list", "/", "--regex", "^x+needle$", "--keys-only"]).run().ok().out("/large\n");
    kvadm(&etcd, ["list", "/", "--regex", "^value 1199[89]$"])
        .run()
        .ok()
        .out("/many/11998\tvalue 11998\n/many/11999\tvalue 11999\n");
    kvadm(&etcd, ["list", "/", "--count", "--search", "value 11"]).run().ok().out("1111\n");
}
