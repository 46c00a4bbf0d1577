//! Formats, streams, and what is said beside the data.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::get::{kvadm, lock, put};
use super::support::{Etcd, Kvadm, Run, shared, unique_prefix};

/// Texts that readers of JSON and YAML, or terminals, take for something else.
const TRICKY: [&str; 24] = [
    "",
    " ",
    "no",
    "null",
    "~",
    "1_000",
    "0x1f",
    "1e3",
    "12:30:45",
    "2026-01-01",
    "- a",
    "a: b",
    "#c",
    "'q'",
    "\"q\"",
    "tab\there",
    "two\nlines\n",
    "cr\rlf\r\n",
    "nul\0",
    "esc\u{1b}[2J",
    "del\u{7f}",
    "csi\u{9b}2J nel\u{85}",
    "ls\u{2028}ps\u{2029}bom\u{feff}non\u{fffe}\u{ffff}",
    "bidi\u{202e}zwj\u{200d}\u{1f980} \\ \\n",
];

fn seed(etcd: &Etcd) -> String {
    let at = unique_prefix();
    for (index, value) in TRICKY.iter().enumerate() {
        put(etcd, format!("{at}{index:02}"), value);
    }
    put(etcd, format!("{at}98"), b"\xff\xfe\x80 not text");
    let key = [at.as_bytes(), b"99\xc3\n\t"].concat();
    put(etcd, key, "binary key");
    at
}

/// The texts of `seed` read back from a list of objects.
#[track_caller]
fn check(at: &str, records: &[Value]) {
    assert_eq!(records.len(), TRICKY.len() + 2);
    for (index, (record, value)) in records.iter().zip(TRICKY).enumerate() {
        assert_eq!((&record["key"], &record["value"]), (&Value::from(format!("{at}{index:02}")), &Value::from(value)));
        assert!(record["mod_revision"].is_i64() && record["version"] == 1, "{record}");
    }
    assert_eq!(records[TRICKY.len()]["value_base64"], "//6AIG5vdCB0ZXh0");
    assert!(records[TRICKY.len() + 1]["key_base64"].is_string());
}

#[test]
fn json_is_one_object_a_line() {
    let at = seed(shared());
    let run = kvadm(shared(), ["list", &at, "-o", "json"]).run();
    check(&at, &run.ok().err_empty().json_lines());
    assert_eq!(run.stdout_text().split_terminator('\n').count(), TRICKY.len() + 2);
}

#[test]
fn json_and_yaml_hold_nothing_a_terminal_would_obey() {
    let at = seed(shared());
    for format in ["json", "yaml", "text", "table"] {
        let text = kvadm(shared(), ["list", &at, "-o", format]).run().ok().stdout_text();
        let bad = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        assert_eq!(bad, None, "{format}");
        assert!(format == "text" || !text.contains(['\t', '\u{2028}']), "{format}");
    }
}

#[test]
fn yaml_is_a_document_a_record_for_rust_and_python() {
    use serde::Deserialize;
    let at = seed(shared());
    let run = kvadm(shared(), ["list", &at, "-o", "yaml"]).run();
    run.ok().err_empty();
    let documents = serde_yaml::Deserializer::from_slice(&run.stdout);
    let records: Vec<Value> = documents.map(|document| Value::deserialize(document).unwrap()).collect();
    check(&at, &records);
    let has = Command::new("python3").args(["-c", "import yaml"]).stderr(Stdio::null()).status();
    if has.is_ok_and(|status| status.success()) {
        let convert = "import json, sys, yaml\nfor d in yaml.safe_load_all(sys.stdin.buffer): print(json.dumps(d))";
        let read = Kvadm::program("python3").args(["-c", convert]).stdin(&run.stdout).run();
        check(&at, &read.ok().json_lines());
    }
}

#[test]
fn a_text_line_is_always_one_record() {
    let at = seed(shared());
    let run = kvadm(shared(), ["list", &at]).run();
    let text = run.ok().err_empty().stdout_text();
    let lines: Vec<&str> = text.split_terminator('\n').collect();
    assert_eq!(lines.len(), TRICKY.len() + 2);
    assert!(lines.iter().all(|line| line.matches('\t').count() == 1), "{text}");
    // What stands in the first column is what --escape reads.
    let last = lines.last().unwrap().split('\t').next().unwrap();
    assert_eq!(last, format!("{at}99\\xc3\\n\\t"));
    kvadm(shared(), ["get", "--escape", last]).run().ok().out("binary key\n");
}

#[test]
fn raw_is_the_bytes_and_nothing_else() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), b"\x00\xff");
    put(etcd, format!("{at}b"), b"");
    put(etcd, format!("{at}c"), b"end");
    kvadm(etcd, ["list", &at, "-o", "raw"]).run().ok().err_empty().out_bytes(b"\x00\xffend");
    kvadm(etcd, ["get", &format!("{at}c"), &format!("{at}a"), "-o", "raw"]).run().ok().out_bytes(b"end\x00\xff");
}

#[test]
fn a_table_in_a_pipe_has_no_colour_unless_asked() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "one");
    let list = || kvadm(etcd, ["list", &at, "-o", "table"]);
    list().run().ok().err_empty().out_has("KEY").out_has("MOD REVISION").out_lacks("\x1b");
    list().args(["--color", "always"]).run().ok().out_has("\x1b[1m");
    list().args(["--color", "always"]).env("NO_COLOR", "1").run().ok().out_has("\x1b[1m");
    list().args(["--color", "never"]).run().ok().out_lacks("\x1b");
    kvadm(etcd, ["get", &format!("{at}b"), "--color", "always"]).run().code(1).err_has("\x1b[");
    kvadm(etcd, ["get", &format!("{at}b")]).run().code(1).err_lacks("\x1b");
}

#[test]
fn the_format_may_come_from_environment_or_file_and_must_be_known() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    put(etcd, &key, "one");
    kvadm(etcd, ["get", &key]).env("KVADM_OUTPUT", "json").run().ok().out_has("{\"key\"");
    kvadm(etcd, ["get", &key]).config_file("etcd.yaml", "output: yaml\n").run().ok().out_has("---\nkey: ");
    kvadm(etcd, ["get", &key, "-o", "raw"]).config_file("etcd.yaml", "output: yaml\n").run().ok().out("one");
    kvadm(etcd, ["get", &key, "-o", "xml"]).run().code(2).out_empty().err_has("xml").err_has("json");
    kvadm(etcd, ["get", &key]).env("KVADM_OUTPUT", "xml").run().code(2).out_empty().err_has("xml");
    let error = kvadm(etcd, ["get", &format!("{key}@"), "--rev", "99999999"]).env("KVADM_OUTPUT", "json").run();
    assert_eq!(error.code(4).out_empty().err_json()["exit_code"], 4);
}

#[test]
fn an_error_in_json_is_one_object() {
    let run = Kvadm::new().args(["--endpoints", "127.0.0.1:1,127.0.0.1:2", "-o", "json", "get", "/a"]).run();
    let error = run.code(3).out_empty().err_json();
    let names: Vec<&String> = error.as_object().unwrap().keys().collect();
    assert_eq!(names, ["error", "caused_by", "hints", "exit_code"]);
    let causes = error["caused_by"].to_string();
    assert!(causes.contains("127.0.0.1:1") && causes.contains("127.0.0.1:2"), "{causes}");
    assert_eq!(error["exit_code"], 3);
    let error = Kvadm::new().args(["-o", "json", "get", ""]).run().code(2).out_empty().err_json();
    assert_eq!(error["exit_code"], 2);
}

#[test]
fn quiet_takes_notes_away_and_errors_not() {
    let (etcd, at) = (shared(), unique_prefix());
    kvadm(etcd, ["get", &at]).run().code(1).err_has("note: ");
    kvadm(etcd, ["get", &at, "-q"]).run().code(1).err_empty();
    kvadm(etcd, ["get", &at, "-q", "--rev", "99999999"]).run().code(4).err_has("error: ");
    let unknown = || kvadm(etcd, ["list", &at]).config_file("etcd.yaml", "no-such-key: 1\n");
    unknown().run().ok().err_has("warning: ").err_has("no-such-key");
    unknown().arg("-q").run().ok().err_empty();
}

/// Runs a verb with everything said, and checks that what must stay secret does.
#[track_caller]
fn told(run: Kvadm, code: i32, said: &str) {
    let run = run.arg("-vv").run();
    run.code(code).err_has(&format!("trace: {said}"));
    for secret in ["hunter2", "s3cret"] {
        run.err_lacks(secret);
    }
    // Not as base64 either.
    run.err_lacks("aHVudGVyMg").err_lacks("czNjcmV0");
}

#[test]
fn every_request_is_told_and_never_a_value() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    let password = || kvadm(etcd, ["--user", "me"]).env("KVADM_PASSWORD", "hunter2");
    told(password().args(["put", &key, "s3cret"]), 0, &format!("put {key}"));
    told(password().args(["put", &key, "s3cret", "--if-value", "s3cret-2"]), 5, "");
    told(password().args(["put", &key, "s3cret-3", "--if-value", "s3cret", "--if-exists", &key, "--update"]), 0, "");
    told(password().args(["put", &key, "s3cret-3", "--if-different"]), 0, "");
    told(password().args(["put", "--from", "-"]).stdin(format!("{{\"key\":\"{key}\",\"value\":\"s3cret\"}}\n")), 0, "");
    told(password().args(["put", &key, "-", "--ttl", "60s"]).stdin("s3cret"), 0, "lease grant ");
    told(password().args(["get", &key]), 0, &format!("get {key} rev="));
    told(password().args(["get", &key, &at, "-q"]), 1, "");
    told(password().args(["list", &at]), 0, &format!("list {at}"));
    let txn = format!("{{if: [{{key: {key}, value: s3cret}}], then: [{{put: {{key: {key}, value: hunter2}}}}]}}");
    told(password().args(["txn", "-"]).stdin(txn), 0, "");
    told(password().args(["delete", &key, "--if-value", "s3cret"]), 5, "");
    told(password().args(["delete", "--prefix", &at, "--prev", "--yes"]), 0, "");
    let (token, _) = lock(etcd, &format!("{at}lock"));
    told(password().args(["get", &key, "--if-locked"]).env("KVADM_LOCK", &token), 1, &format!("get {key} if[lock@"));
}

#[test]
fn one_v_says_decisions_and_no_requests() {
    let (etcd, at) = (shared(), unique_prefix());
    let run = kvadm(etcd, ["list", &at, "-v"]).config_file("etcd.yaml", "endpoints: [127.0.0.1:1]\n").run();
    run.ok().out_empty().err_has("info: ").err_lacks("trace: ");
    kvadm(etcd, ["list", &at]).run().ok().err_empty();
}

/// The shell gives kvadm its standard output: a full disk, a closed reader, nothing at all.
fn shell(etcd: &Etcd, script: &str) -> Run {
    let sh = Kvadm::program("bash").args(["-c", script]).env("K", env!("CARGO_BIN_EXE_kvadm"));
    sh.env("KVADM_ENDPOINTS", etcd.endpoint()).timeout(Duration::from_secs(20)).run()
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "one");
    for verb in [
        format!("get {at}a"),
        format!("get {at}a -o json"),
        format!("list {at}"),
        format!("list {at} --count"),
        format!("list {at} -o table"),
        format!("put {at}b two"),
        "status".to_owned(),
        "config".to_owned(),
        "completions bash".to_owned(),
    ] {
        let run = shell(etcd, &format!("\"$K\" {verb} >/dev/full"));
        run.code(6).out_empty().err_has("error").err_has("cannot write the output").err_has("No space left");
    }
    for verb in ["--help", "list --help", "--version"] {
        let run = shell(etcd, &format!("\"$K\" {verb} >/dev/full"));
        run.code(6).out_empty().err_has("No space left");
    }
}

#[test]
fn a_closed_pipe_ends_quietly_whatever_the_verb() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "one");
    for verb in
        [&format!("get {at}a"), &format!("list {at}"), &format!("put {at}b two"), "status", "--help", "completions zsh"]
    {
        // The reader is gone before the first byte is written.
        let run = shell(etcd, &format!("{{ sleep 0.1; \"$K\" {verb}; echo $? >&2; }} | true"));
        run.ok().out_empty();
        assert_eq!(run.stderr_text(), "0\n", "{verb}");
    }
}

#[test]
fn closed_streams_are_no_trouble() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "one");
    shell(etcd, &format!("\"$K\" get {at}a >&-")).ok().out_empty();
    shell(etcd, &format!("\"$K\" get {at}a {at}b 2>&-")).code(1).out(&format!("{at}a\tone\n"));
    shell(etcd, &format!("\"$K\" get {at}a {at}b -vv 2>/dev/full")).code(1).out(&format!("{at}a\tone\n"));
    shell(etcd, &format!("\"$K\" get {at}a <&-")).ok().out("one\n");
    shell(etcd, &format!("\"$K\" get {at}none -o json --rev 99999999 2>&1 >/dev/null | head -c 9"))
        .ok()
        .out("{\"error\":");
}

#[test]
fn a_pipe_has_no_progress_bar() {
    let etcd = Etcd::start();
    let lines: String = (0..3000).map(|n| format!("{{\"key\":\"/p/{n}\",\"value\":\"v\"}}\n")).collect();
    // Slow enough for a bar to be due.
    let run = kvadm(&etcd, ["put", "--from", "-", "--qps", "20"]).stdin(lines).run();
    run.ok().err_lacks("\r").err_lacks("\x1b").err_lacks("eta");
    kvadm(&etcd, ["list", "/p/", "--qps", "5"]).run().ok().err_empty();
}
