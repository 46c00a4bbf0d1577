//! `kvadm watch` from the shell's point of view, where nothing breaks; see `watch_faults.rs` for where it does.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::{Etcd, Kvadm, Run, Running, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

/// A run against the shared server.
fn kvadm() -> Kvadm {
    Kvadm::new().endpoint(shared())
}

/// A watch of these arguments in JSON.
fn watch(args: &[&str]) -> Kvadm {
    kvadm().args(["watch", "-o", "json"]).args(args)
}

fn put(key: &str, value: &str) -> i64 {
    let run = kvadm().args(["put", "-o", "json", key, "--", value]).run();
    run.ok().json()["mod_revision"].as_i64().unwrap()
}

fn delete(key: &str) {
    kvadm().args(["delete", key]).run().ok();
}

/// One transaction of puts.
fn put_all(keys: &[&str]) -> i64 {
    let ops: Vec<String> = keys.iter().map(|key| format!("  - put: {{key: {key}, value: t}}\n")).collect();
    let run = kvadm().args(["txn", "-", "-o", "json"]).stdin(format!("then:\n{}", ops.concat())).run();
    run.ok().json()["revision"].as_i64().unwrap()
}

/// `event key` of each record.
pub fn told(lines: &[Value]) -> Vec<String> {
    let word = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let one = |line: &Value| format!("{} {}", word(line, "event"), word(line, "key") + &word(line, "status"));
    lines.iter().map(|line| one(line).trim_end().to_owned()).collect()
}

fn lines(run: &Run) -> Vec<String> {
    told(&run.json_lines())
}

/// Waits for the process to tell so many lines.
#[track_caller]
pub fn wait_lines(running: &Running, count: usize) {
    eventually(&format!("{count} lines"), SOON, || running.stdout().iter().filter(|b| **b == b'\n').count() >= count);
}

#[test]
fn kinds_are_told_apart_and_a_replay_is_the_history() {
    let p = unique_prefix();
    let (a, b) = (format!("{p}a"), format!("{p}b"));
    let first = put(&a, "1");
    put(&b, "");
    put(&a, "");
    delete(&a);
    let last = put(&a, "3");
    let run = watch(&[&p, "--rev", &first.to_string(), "--count", "5", "--prev"]).run();
    run.ok().err_empty();
    let lines = run.json_lines();
    let kinds = ["created", "created", "modified", "deleted", "created"];
    assert_eq!(lines.iter().map(|line| line["event"].as_str().unwrap()).collect::<Vec<_>>(), kinds);
    assert_eq!(lines[0]["value"], "1");
    assert_eq!(lines[1]["value"], "", "a put of an empty value is an event");
    assert_eq!((&lines[2]["value"], &lines[2]["prev_value"]), (&Value::from(""), &Value::from("1")));
    assert_eq!(lines[2]["version"], 2);
    assert_eq!(lines[3]["prev_value"], "");
    assert!(lines[3].get("value").is_none() && lines[3].get("version").is_none(), "{}", lines[3]);
    assert_eq!(lines[4]["create_revision"], last);
    let revisions: Vec<i64> = lines.iter().map(|line| line["mod_revision"].as_i64().unwrap()).collect();
    assert!(revisions.windows(2).all(|pair| pair[0] < pair[1]) && revisions[0] == first, "{revisions:?}");
    let from_last = watch(&[&p, "--rev", &last.to_string(), "--count", "1"]).run();
    assert_eq!(lines_of_keys(&from_last), [a]);
}

fn lines_of_keys(run: &Run) -> Vec<String> {
    run.json_lines().iter().map(|line| line["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn text_has_three_columns_and_raw_the_values() {
    let p = unique_prefix();
    let rev = put(&format!("{p}a"), "x\ty").to_string();
    delete(&format!("{p}a"));
    put(&format!("{p}b"), "z");
    let args = ["watch", p.as_str(), "--rev", &rev, "--count", "3"];
    kvadm().args(args).run().ok().out(&format!("created\t{p}a\tx\\ty\ndeleted\t{p}a\t\ncreated\t{p}b\tz\n"));
    kvadm().args(args).arg("--keys-only").run().ok().out(&format!("created\t{p}a\ndeleted\t{p}a\ncreated\t{p}b\n"));
    kvadm().args(args).args(["-o", "raw"]).run().ok().out("x\tyz");
    kvadm().args(args).args(["-o", "yaml"]).run().ok().out_has("event: \"deleted\"");
    kvadm().args(args).arg("--prev").run().ok().out_has(&format!("deleted\t{p}a\t\tx\\ty\n"));
    let keys = watch(&[&p, "--rev", &rev, "--count", "3", "--keys-only"]).run();
    assert!(keys.json_lines().iter().all(|line| line.get("value").is_none()));
}

#[test]
fn several_prefixes_give_one_ordered_stream_and_an_event_once() {
    let p = unique_prefix();
    let key = |name: &str| format!("{p}{name}");
    let first = put(&key("b/1"), "").to_string();
    put(&key("a/1"), "");
    put(&key("aa"), "");
    put(&key("m"), "between the prefixes");
    put_all(&[&key("b/3"), &key("m2"), &key("a/2"), &key("aa")]);
    put(&key("a/3"), "");
    let prefixes = [key("b/"), key("a"), key("a/"), key("aa")];
    let mut args: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    let exact = key("aa");
    args.extend(["--exact", &exact, "--rev", &first, "--count", "7"]);
    let run = watch(&args).run();
    let wanted = ["b/1", "a/1", "aa", "b/3", "a/2", "aa", "a/3"].map(key);
    assert_eq!(lines_of_keys(run.ok()), wanted);
}

#[test]
fn exact_dir_match_and_escape_choose() {
    let p = unique_prefix();
    let rev = put(&format!("{p}a"), "").to_string();
    put(&format!("{p}ab"), "");
    put(&format!("{p}a/x.pem"), "");
    put(&format!("{p}a/y"), "");
    put(&format!("{p}end"), "");
    let (a, end) = (format!("{p}a"), format!("{p}end"));
    let keys = |args: &[&str], count: &str| {
        let args = [args, &["--exact", end.as_str(), "--rev", &rev, "--count", count]].concat();
        lines_of_keys(watch(&args).run().ok())
    };
    assert_eq!(keys(&["--exact", &a], "2"), [a.clone(), end.clone()]);
    assert_eq!(keys(&[&a, "--dir"], "3"), [format!("{p}a/x.pem"), format!("{p}a/y"), end.clone()]);
    assert_eq!(keys(&[&a, "--match", "*[md]"], "2"), [format!("{p}a/x.pem"), end.clone()]);
    let escaped = p.replace('/', "\\x2f") + "a/y";
    let run = watch(&[&escaped, "--escape", "--rev", &rev, "--count", "1"]).run();
    assert_eq!(lines_of_keys(run.ok()), [format!("{p}a/y")]);
}

#[test]
fn only_count_until_and_timeout_end_it() {
    let p = unique_prefix();
    let a = format!("{p}a");
    let rev = put(&a, "1").to_string();
    put(&a, "2");
    put(&a, "3");
    delete(&a);
    let from = [p.as_str(), "--rev", rev.as_str()];
    let run = |more: &[&str]| watch(&[&from[..], more].concat()).run();
    assert_eq!(lines(run(&["--only", "modified", "--count", "2"]).ok()), vec![format!("modified {a}"); 2]);
    assert_eq!(run(&["--only", "created,deleted", "--count", "2"]).ok().json_lines()[1]["event"], "deleted");
    assert_eq!(run(&["--until", "modified"]).ok().json_lines().len(), 2);
    assert_eq!(run(&["--until", "deleted"]).ok().json_lines().len(), 4);
    let elapsed = run(&["--count", "5", "--timeout", "400ms"]);
    elapsed.code(1).err_empty().within(Duration::from_secs(5));
    assert_eq!(elapsed.json_lines().len(), 4);
    watch(&[&p, "--list", "--until", "list-done"]).run().ok().out_has("list-done");
    watch(&[&p, "--sync", "--until", "in-sync"]).run().ok().out_has("in-sync");
    watch(&[&p, "--until", "list-done"]).run().code(2).err_has("--list");
    watch(&[&p, "--until", "in-sync"]).run().code(2).err_has("--sync");
    watch(&[]).run().code(2);
    watch(&[&p, "--exec"]).run().code(2);
    watch(&[&p, "--", "true"]).run().code(2);
    watch(&[&p, "--timestamps", "--", "true"]).run().code(2);
    watch(&[&p, "--timestamps", "--on-error", "continue"]).run().code(2);
    watch(&[&p, "--match", "["]).run().code(2);
}

#[test]
fn without_a_start_only_what_comes_is_told() {
    let p = unique_prefix();
    put(&format!("{p}old"), "");
    let running = watch(&[&p, "-vv", "--count", "1"]).spawn();
    running.wait_for_stderr("watch ", SOON);
    put(&format!("{p}new"), "");
    assert_eq!(lines_of_keys(running.wait().ok()), [format!("{p}new")]);
}

/// A writer that goes through ten keys, and how often it has written.
fn writer(prefix: &str, rounds: usize) -> std::thread::JoinHandle<()> {
    let prefix = prefix.to_owned();
    std::thread::spawn(move || {
        for n in 0..rounds {
            put(&format!("{prefix}k{}", n % 10), &n.to_string());
        }
    })
}

/// Each key's versions go up one by one: nothing missing, nothing twice.
#[track_caller]
pub fn check_versions(lines: &[Value]) {
    let mut last = std::collections::HashMap::new();
    let mut revision = 0;
    let mut live = false;
    for line in lines {
        live |= line["event"] == "list-done";
        let Some(version) = line["version"].as_i64() else { continue };
        let key = line["key"].as_str().unwrap();
        let before = last.insert(key.to_owned(), version);
        assert!(before.is_none_or(|before| version == before + 1), "{before:?} then {line}");
        if live {
            let now = line["mod_revision"].as_i64().unwrap();
            assert!(now >= revision, "back from {revision}: {line}");
            revision = now;
        }
    }
}

#[test]
fn a_list_goes_over_into_the_stream_without_a_gap_or_a_double() {
    let p = unique_prefix();
    put(&format!("{p}k0"), "first");
    let writing = writer(&p, 150);
    let watches: Vec<Running> =
        (0..4).map(|_| watch(&[&p, "--list", "--timeout", "25s"]).timeout(SOON * 3).spawn()).collect();
    for running in &watches {
        running.wait_for_stdout("list-done", SOON);
    }
    writing.join().unwrap();
    let end = put(&format!("{p}end"), "");
    let now = kvadm().args(["list", &p, "-o", "json"]).run().ok().json_lines();
    for running in watches {
        running.wait_for_stdout(&format!("\"mod_revision\":{end}"), SOON);
        running.signal(Signal::SIGTERM);
        let run = running.wait();
        let lines = run.signal(Signal::SIGTERM).json_lines();
        assert_eq!(lines.iter().filter(|line| line["event"] == "list-done").count(), 1);
        check_versions(&lines);
        for kv in &now {
            let last = lines.iter().rfind(|line| line["key"] == kv["key"]).unwrap();
            assert_eq!((&last["mod_revision"], &last["value"]), (&kv["mod_revision"], &kv["value"]));
        }
    }
}

#[test]
fn exec_runs_one_command_a_change_in_order() {
    let p = unique_prefix();
    let (a, b) = (format!("{p}a"), format!("{p}b"));
    let revision = |run: Run| run.ok().json()["mod_revision"].as_i64().unwrap();
    let first = put(&a, "one");
    let second = put(&a, "two\nlines");
    let third = revision(kvadm().args(["put", &b, "leased", "--ttl", "1h", "-o", "json"]).run());
    let fourth = kvadm().args(["delete", &a, "-o", "json"]).run().ok().json()["revision"].as_i64().unwrap();
    let script = r#"echo "$KVADM_EVENT|$KVADM_EVENT_KEY|$KVADM_EVENT_KEY_RAW|$KVADM_EVENT_REV|$KVADM_EVENT_CREATE_REV|$KVADM_EVENT_VERSION|${KVADM_EVENT_LEASE:+l}|$(cat)""#;
    let rev = first.to_string();
    let args = ["watch", &p, "--rev", &rev, "--count", "4", "--exec", "--", "sh", "-c", script];
    let run = kvadm().args(args).env("KVADM_EVENT_LEASE", "an outer watch's").run();
    let wanted = [
        format!("created|{a}|{a}|{first}|{first}|1||one\n"),
        format!("modified|{a}|{a}|{second}|{first}|2||two\nlines\n"),
        format!("created|{b}|{b}|{third}|{third}|1|l|leased\n"),
        format!("deleted|{a}|{a}|{fourth}||||\n"),
    ];
    run.ok().err_empty().out(&wanted.concat());
}

#[test]
fn exec_with_keys_that_are_not_text() {
    let p = unique_prefix();
    let binary = format!("{p}\\xff\\n");
    let rev =
        kvadm().args(["put", "-o", "json", "--escape", &binary, "v"]).run().ok().json()["mod_revision"].to_string();
    kvadm().args(["put", "--escape", &format!("{p}\\0"), "v"]).run().ok();
    let args = ["watch", &p, "--rev", &rev, "--count", "2", "--exec", "--", "sh", "-c"];
    let script = r#"printf '%s:' "$KVADM_EVENT_KEY"; printf '%s' "$KVADM_EVENT_KEY_RAW" | od -An -tx1 | tail -c 7"#;
    let run = kvadm().args(args).arg(script).run();
    run.ok().out(&format!("{p}\\xff\\n: ff 0a\n{p}\\0:"));
}

#[test]
fn a_failing_command_stops_or_not() {
    let p = unique_prefix();
    let rev = put(&format!("{p}1"), "").to_string();
    put(&format!("{p}2"), "");
    put(&format!("{p}3"), "");
    let base = ["watch", &p, "--rev", &rev, "--count", "3", "--exec"];
    let script = r#"echo "$KVADM_EVENT_KEY"; case $KVADM_EVENT_KEY in *2) exit 9;; esac"#;
    let stop = kvadm().args(base).args(["--", "sh", "-c", script]).run();
    stop.code(6).out(&format!("{p}1\n{p}2\n")).err_has("exited with status 9").err_has(&format!("{p}2"));
    let on = kvadm().args(base).args(["--on-error", "continue", "--", "sh", "-c", script]).run();
    on.ok().out(&format!("{p}1\n{p}2\n{p}3\n")).err_has("warning: sh exited with status 9");
    kvadm()
        .args(base)
        .args(["--", "/nonexistent/command"])
        .run()
        .code(2)
        .err_has("cannot run /nonexistent/command: command not found");
    let killed = kvadm().args(base).args(["--", "sh", "-c", "kill -9 $$"]).run();
    killed.code(6).err_has("was killed by signal 9");
    // A command that does not read a value larger than a pipe does not hold the watch up.
    let big = format!("{p}big");
    let rev =
        kvadm().args(["put", "-o", "json", &big, "-"]).stdin(vec![b'x'; 300_000]).run().ok().json()["mod_revision"]
            .to_string();
    kvadm().args(["watch", &big, "--rev", &rev, "--count", "1", "--exec", "--", "true"]).run().ok();
    let counted = kvadm().args(["watch", &big, "--rev", &rev, "--count", "1", "--exec", "--", "wc", "-c"]).run();
    counted.ok().out("300000\n");
}

#[test]
fn a_slow_command_slows_the_reading_and_drops_nothing() {
    let p = unique_prefix();
    let rev = put(&format!("{p}0"), "").to_string();
    for n in 1..40 {
        put(&format!("{p}{n}"), "");
    }
    let args = ["watch", &p, "--rev", &rev, "--count", "40", "--exec", "--"];
    let run = kvadm().args(args).args(["sh", "-c", r#"sleep 0.02; echo "$KVADM_EVENT_KEY""#]).run();
    let wanted: String = (0..40).map(|n| format!("{p}{n}\n")).collect();
    run.ok().out(&wanted);
    assert!(run.took > Duration::from_millis(800));
}

#[test]
fn a_signal_lets_the_running_command_end_and_the_timeout_too() {
    let p = unique_prefix();
    let rev = put(&format!("{p}1"), "").to_string();
    put(&format!("{p}2"), "");
    let script = r#"echo "begin $KVADM_EVENT_KEY"; sleep 1; echo end"#;
    let args = ["watch", &p, "--rev", &rev, "--exec", "--", "sh", "-c", script];
    let running = kvadm().args(args).spawn();
    running.wait_for_stdout("begin", SOON);
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT).out(&format!("begin {p}1\nend\n"));
    let run = kvadm().args(["watch", "--timeout", "500ms"]).args(&args[1..]).run();
    run.code(1).out(&format!("begin {p}1\nend\n"));
}

#[test]
fn the_place_is_kept_between_runs() {
    let p = unique_prefix();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("place");
    let file = file.to_str().unwrap();
    let key = |name: &str| format!("{p}{name}");
    let resume = |more: &[&str]| watch(&[&[p.as_str(), "--resume", file], more].concat());
    resume(&["--timeout", "200ms"]).run().code(1).out_empty();
    put_all(&[&key("a"), &key("b"), &key("c")]);
    put(&key("d"), "");
    // Ended in the middle of a revision.
    assert_eq!(lines_of_keys(resume(&["--count", "2"]).run().ok()), [key("a"), key("b")]);
    assert_eq!(lines_of_keys(resume(&["--count", "2"]).run().ok()), [key("c"), key("d")]);
    let running = resume(&[]).spawn();
    put(&key("e"), "");
    running.wait_for_stdout(&key("e"), SOON);
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
    put(&key("f"), "");
    delete(&key("e"));
    assert_eq!(
        lines(resume(&["--count", "2"]).run().ok()),
        [format!("created {}", key("f")), format!("deleted {}", key("e"))]
    );
    // What a failing command had is told again.
    put(&key("g"), "");
    let exec = |script: &str| {
        let args = ["watch", p.as_str(), "--resume", file, "--count", "1", "--exec", "--", "sh", "-c", script];
        kvadm().args(args).run()
    };
    exec("exit 3").code(6);
    exec(r#"echo "$KVADM_EVENT_KEY""#).ok().out(&format!("{}\n", key("g")));
    // A sync recalls what it had told.
    put(&key("f"), "2");
    let run = resume(&["--sync", "--timeout", "700ms"]).run();
    let wanted = ["status wait-for-datastore", "status resync-in-progress", "status in-sync"].map(str::to_owned);
    assert_eq!(lines(run.code(1)), [&wanted[..], &[format!("modified {}", key("f"))]].concat());
    std::fs::write(file, r#"{"next_revision":900000000}"#).unwrap();
    resume(&[]).run().code(4).err_has("900000000");
    std::fs::write(file, "garbage").unwrap();
    resume(&[]).run().code(2).err_has("not a position: ");
    resume(&["--rev", "1"]).run().code(2);
}

#[test]
fn a_run_that_is_killed_repeats_one_command_at_most_and_leaves_none_out() {
    let p = unique_prefix();
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<String> = (10..40).map(|n| format!("{p}{n}")).collect();
    let script = r#"echo "$KVADM_EVENT_KEY" >> log"#;
    let args = ["watch", &p, "--resume", "place", "--until", "deleted", "--exec", "--", "sh", "-c", script];
    let start = || kvadm().args(args).folder(folder.path()).spawn();
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    kvadm().args(["watch", &p, "--resume", "place", "--timeout", "1s"]).folder(folder.path()).run().code(1);
    for key in &keys {
        put(key, "");
    }
    let running = start();
    eventually("some commands", SOON, || log().lines().count() > 3);
    running.signal(Signal::SIGKILL);
    running.wait().signal(Signal::SIGKILL);
    delete(&keys[0]);
    start().wait().ok();
    let mut done: Vec<String> = log().lines().map(str::to_owned).collect();
    let all = done.len();
    done.dedup();
    assert!(all - done.len() <= 1, "{done:?}");
    assert_eq!(done, [keys.as_slice(), &keys[..1]].concat());
}

#[test]
fn on_a_terminal_events_show_at_once() {
    let p = unique_prefix();
    put(&format!("{p}a"), "\u{1b}[31mred");
    let running = kvadm().args(["watch", &p, "--list"]).pty().spawn();
    running.wait_for_stdout("list-done", SOON);
    let shown = String::from_utf8(running.stdout()).unwrap();
    let key = format!("{p}a");
    assert_eq!(shown, format!("\u{1b}[32mcreated\u{1b}[0m    {key:<20}  \\x1b[31mred\r\nlist-done\r\n"));
    running.signal(Signal::SIGTERM);
    running.wait().signal(Signal::SIGTERM);
}

#[test]
fn binary_keys_and_values_and_a_namespace() {
    let p = unique_prefix();
    let key = format!("{p}\\xfe");
    let args = ["put", "-o", "json", "--escape", &key, "-"];
    let rev = kvadm().args(args).stdin([0u8, 255]).run().ok().json()["mod_revision"].to_string();
    let run = watch(&[&p, "--rev", &rev, "--count", "1"]).run();
    let line = run.ok().json();
    assert_eq!(line["value_base64"], "AP8=");
    assert!(line.get("key").is_none() && line["key_base64"].is_string(), "{line}");

    let ns = ["--namespace", p.as_str()];
    let rev = put(&format!("{p}x/1"), "v").to_string();
    put("/elsewhere", "");
    put(&format!("{p}y"), "w");
    let inside = |prefixes: &[&str], count: &str| {
        lines_of_keys(watch(prefixes).args(ns).args(["--rev", &rev, "--count", count]).run().ok())
    };
    assert_eq!(inside(&["x/", "y"], "2"), ["x/1", "y"]);
    assert_eq!(inside(&[""], "2"), ["x/1", "y"]);
    let listed = watch(&["", "--list", "--until", "list-done"]).args(ns).run();
    assert!(lines(listed.ok()).contains(&"created x/1".to_owned()));
}

#[test]
fn a_closed_pipe_ends_it_quietly_and_a_signal_at_once() {
    let p = unique_prefix();
    let script = r#""$0" "$@" | head -n 1; echo "${PIPESTATUS[0]}""#;
    let args = ["-c", script, env!("CARGO_BIN_EXE_kvadm"), "watch", &p, "--list"];
    put(&format!("{p}0"), "");
    let mut running = Kvadm::program("bash").args(args).endpoint(shared()).spawn();
    running.wait_for_stdout("created", SOON);
    let mut n = 0;
    eventually("the end of the pipe", SOON, || {
        n += 1;
        put(&format!("{p}{n}"), "");
        running.ended().is_some()
    });
    running.wait().ok().err_empty().out(&format!("created\t{p}0\t\n0\n"));

    let running = watch(&[&p, "-vv"]).spawn();
    running.wait_for_stderr("watch ", SOON);
    running.signal(Signal::SIGINT);
    let run = running.wait();
    run.signal(Signal::SIGINT).out_empty();
    let run = watch(&[&p, "--deadline", "300ms"]).run();
    run.code(3).err_has("deadline").within(Duration::from_secs(3));
}

#[test]
fn a_large_backlog_comes_whole() {
    let etcd = Etcd::start();
    let value = "x".repeat(10_000);
    // More than one answer may hold: the first is refused, and the backlog then comes in pieces.
    let records: String = (0..7000).map(|n| format!("{{\"key\":\"/b/{n:04}\",\"value\":\"{value}\"}}\n")).collect();
    Kvadm::new().endpoint(&etcd).args(["put", "--from", "-", "-q"]).stdin(records).run().ok();
    let args = ["watch", "/b/", "--rev", "2", "--count", "7000", "-o", "json", "-v"];
    let run = Kvadm::new().endpoint(&etcd).args(args).timeout(Duration::from_secs(60)).run();
    let lines = run.ok().err_has("too large").json_lines();
    assert_eq!(lines.len(), 7000);
    let keys: std::collections::BTreeSet<&str> = lines.iter().map(|line| line["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 7000);
    assert!(lines.iter().all(|line| line["value"] == value.as_str()));
    let revisions: Vec<i64> = lines.iter().map(|line| line["mod_revision"].as_i64().unwrap()).collect();
    assert!(revisions.is_sorted());
}

#[test]
fn the_config_can_make_sync_the_default() {
    let p = unique_prefix();
    put(&format!("{p}a"), "");
    let with = || kvadm().config_file("etcd.yaml", "resync-after-reconnect: true\n").args(["watch", "-o", "json", &p]);
    let run = with().args(["--until", "in-sync"]).run();
    let wanted = ["status wait-for-datastore", "status resync-in-progress", &format!("created {p}a"), "status in-sync"];
    assert_eq!(lines(run.ok()), wanted);
    let run = with().args(["--list", "--until", "list-done"]).run();
    assert_eq!(lines(run.ok()), [format!("created {p}a"), "list-done".to_owned()]);
}

/// The README's example, as it stands there.
#[test]
fn a_prefix_is_mirrored_to_files() {
    let p = unique_prefix();
    let readme = include_str!("../README.md");
    let script = readme.split("$ cat mirror.sh\n").nth(1).unwrap().split("$ kvadm").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("app");
    let script = script.replace("/etc/app", target.to_str().unwrap()).replace("/config/", &p);
    std::fs::write(folder.path().join("mirror.sh"), script).unwrap();
    let read = |name: &str| std::fs::read_to_string(target.join(name)).ok();
    put(&format!("{p}a"), "1");
    put(&format!("{p}sub/b"), "2\n");
    let args = ["watch", &p, "--sync", "--exec", "--", "sh", "-e", "mirror.sh"];
    let mut running = kvadm().args(args).folder(folder.path()).spawn();
    eventually("the first files", SOON, || {
        read("a").as_deref() == Some("1") && read("sub/b").as_deref() == Some("2\n")
    });
    put(&format!("{p}a"), "new");
    delete(&format!("{p}sub/b"));
    eventually("the changes", SOON, || read("a").as_deref() == Some("new") && read("sub/b").is_none());
    assert!(running.ended().is_none());
    running.signal(Signal::SIGTERM);
    running.wait().signal(Signal::SIGTERM).out_empty();
}

#[test]
fn a_long_backlog_of_single_changes_comes_whole_and_in_order() {
    let etcd = Etcd::start();
    // A record of the same key is a transaction, and so a revision, of its own. In the middle others write.
    let record = |key: &str, n: usize| format!("{{\"key\":\"{key}\",\"value\":\"{n}\"}}\n");
    let records: String =
        (0..9000).map(|n| record(if (4000..6500).contains(&n) { "/elsewhere" } else { "/long/k" }, n)).collect();
    let load = Kvadm::new().endpoint(&etcd).args(["put", "--from", "-", "-q"]).stdin(records);
    load.timeout(Duration::from_secs(90)).run().ok();
    let args = ["watch", "/long/", "--rev", "1", "--count", "6500", "-o", "json", "-vv"];
    let run = Kvadm::new().endpoint(&etcd).args(args).timeout(Duration::from_secs(60)).run();
    let lines = run.ok().json_lines();
    let told: Vec<usize> = lines.iter().map(|line| line["value"].as_str().unwrap().parse().unwrap()).collect();
    let wanted: Vec<usize> = (0..4000).chain(6500..9000).collect();
    assert_eq!(told, wanted, "each once and in order, also across what is not watched");
    let streams = run.stderr_text().lines().filter(|line| line.starts_with("trace: watch")).count();
    assert!(streams > 4, "the backlog was fetched by several streams: {}", run.stderr_text());
}

#[test]
fn a_range_of_keys_is_watched() {
    // A watch to the end of the keyspace receives the keys of every other user of the server.
    let etcd = &Etcd::start();
    let p = unique_prefix();
    let key = |name: &str| format!("{p}{name}");
    let first = etcd.revision() + 1;
    for name in ["a", "b", "bb", "c", "d"] {
        etcd.etcdctl_ok(&["put", &key(name), "v"]);
    }
    let watch = |args: &[&str], count: &str| {
        let rev = first.to_string();
        let run = Kvadm::new()
            .endpoint(etcd)
            .args(["watch", "--rev", &rev, "--keys-only", "--count", count])
            .args(args)
            .run();
        run.ok().stdout_text()
    };
    let lines = |names: &[&str]| names.iter().map(|name| format!("created\t{}\n", key(name))).collect::<String>();
    assert_eq!(watch(&["--from", &key("b"), "--to", &key("d")], "3"), lines(&["b", "bb", "c"]));
    assert_eq!(watch(&["--from", &key("c"), "--to", &key("e"), "--exact", &key("a")], "3"), lines(&["a", "c", "d"]));
    assert_eq!(watch(&["--from", &key("d")], "1"), lines(&["d"]));
    let run = Kvadm::new().endpoint(etcd).args(["watch", "--from", "b", "--to", "a"]).run();
    run.code(2).out_empty().err_has("empty range: --from b is not less than --to a");
    Kvadm::new().endpoint(etcd).arg("watch").run().code(2);
}
