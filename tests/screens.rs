//! What a person sees on a terminal, and what programs get in its place.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::get::{kvadm, put};
use super::support::{Etcd, Kvadm, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

fn records(at: &str, count: usize) -> String {
    (0..count).map(|n| format!("{{\"key\":\"{at}{n:05}\",\"value\":\"v\"}}\n")).collect()
}

fn is_time(text: &str) -> bool {
    // 2026-01-31T23:59:59.123Z
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.len() == 24 && digits == 17 && text.as_bytes()[10] == b'T' && text.ends_with('Z')
}

#[test]
fn colors_repeat_what_words_say() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "1");
    let watch = || kvadm(etcd, ["watch", &at, "--list", "--until", "list-done"]);
    watch().pty().run().ok().out_has("\u{1b}[32mcreated\u{1b}[0m    ");
    for plain in [
        watch().pty().env("NO_COLOR", "1"),
        watch().pty().env("TERM", "dumb"),
        watch().pty().args(["--color", "never"]),
    ] {
        plain.run().ok().out(&format!("created    {:<20}  1\r\nlist-done\r\n", format!("{at}a")));
    }
    watch().run().ok().out(&format!("created\t{at}a\t1\nlist-done\n"));
    watch().args(["--color", "always"]).run().ok().out(&format!("created\t{at}a\t1\nlist-done\n"));
    // Text on a terminal is for programs that are tried.
    watch().pty().args(["-o", "text"]).run().ok().out(&format!("created\t{at}a\t1\r\nlist-done\r\n"));
    kvadm(etcd, ["status", "--no-progress"]).pty().run().ok().out_has("\u{1b}[32mhealthy\u{1b}[0m");
    kvadm(etcd, ["status", "-o", "table", "--color", "always"]).run().ok().out_has("\u{1b}[32mhealthy\u{1b}[0m");
    kvadm(etcd, ["status", "-o", "table"]).run().ok().out_has("healthy").out_lacks("\u{1b}");
    kvadm(etcd, ["status", "-o", "json", "--color", "always"]).run().ok().out_has("\"healthy\"").out_lacks("\u{1b}");
}

#[test]
fn timestamps_are_the_first_column_and_a_field() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a"), "1");
    let watch = || kvadm(etcd, ["watch", &at, "--list", "--until", "list-done", "--timestamps"]);
    let text = watch().run().ok().stdout_text();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| is_time(line[0])), "{text}");
    assert_eq!(lines[0][1..], ["created", &format!("{at}a"), "1"]);
    assert_eq!(lines[1][1..], ["list-done"]);
    let shown = watch().pty().env("NO_COLOR", "1").run().ok().stdout_text();
    for line in shown.lines() {
        assert!(is_time(&line[..24]) && line[24..].starts_with("  "), "{shown}");
    }
    let rows = watch().args(["-o", "json"]).run().ok().json_lines();
    assert!(rows.iter().all(|row| is_time(row["time"].as_str().unwrap())), "{rows:?}");
    assert_eq!((rows[0]["event"].as_str(), rows[1]["event"].as_str()), (Some("created"), Some("list-done")));
    kvadm(etcd, ["watch", &at, "--timestamps", "--exec", "--", "true"]).run().code(2).err_has("--timestamps");
    let ids = format!("{at}ids");
    kvadm(etcd, ["allocate", "new", "k", "--base", &ids, "--permanent"]).run().ok();
    let watch = ["allocate", "watch", "--base", &ids, "--list", "--timestamps", "--count", "1", "-o", "json"];
    let rows = kvadm(etcd, watch).run().ok().json_lines();
    assert!(is_time(rows[0]["time"].as_str().unwrap()), "{rows:?}");
}

#[test]
fn many_keys_are_deleted_only_if_their_number_is_typed() {
    let (etcd, at) = (Etcd::start(), "/many/");
    kvadm(&etcd, ["put", "--from", "-"]).stdin(records(at, 10_000)).run().ok();
    let count = || kvadm(&etcd, ["list", at, "--count"]).run().ok().stdout_text();
    let answered = |answer: &str| {
        let mut run = kvadm(&etcd, ["delete", "--prefix", at]).pty().timeout(SOON).spawn();
        run.wait_for_stdout("Type 10000 to delete 10,000 keys with prefix '/many/' (http://", SOON);
        run.wait_for_stdout("): ", SOON);
        run.write(answer);
        run.wait()
    };
    for answer in ["y\n", "yes\n", "\n", "1000\n", "10 000\n", "100000\n"] {
        answered(answer).code(5).out_has("not confirmed; nothing was changed");
    }
    assert_eq!(count(), "10000\n");
    kvadm(&etcd, ["list", at, "--count", "--no-progress"]).pty().run().ok().out("10,000\r\n");
    let run = answered("10,000\n");
    run.ok()
        .out_has("  /many/00000\r\n")
        .out_has("  /many/00019\r\n  … and 9,980 more\r\n")
        .out_has("Deleted 10,000 keys\r\n");
    run.out_lacks("/many/00020");
    assert_eq!(count(), "0\n");
    // One key fewer is a plain question, and --yes asks nothing.
    kvadm(&etcd, ["put", "--from", "-"]).stdin(records(at, 9_999)).run().ok();
    let mut run = kvadm(&etcd, ["delete", "--prefix", at]).pty().timeout(SOON).spawn();
    run.wait_for_stdout("Delete 9,999 keys with prefix '/many/' (http://", SOON);
    run.wait_for_stdout(")? [y/N] ", SOON);
    run.write("n\n");
    run.wait().code(5);
    kvadm(&etcd, ["delete", "--prefix", at, "--yes"]).run().ok().out("9999\n").err_lacks("/many/0");
}

#[test]
fn a_filter_shows_only_keys_that_would_go() {
    let (etcd, at) = (shared(), unique_prefix());
    kvadm(etcd, ["put", "--from", "-"]).stdin(records(&at, 50)).run().ok();
    let run = kvadm(etcd, ["delete", "--prefix", &at, "--match", "*7", "--dry-run"]).run();
    let expected: String = [7, 17, 27, 37, 47].iter().map(|n| format!("would delete {at}{n:05}\n")).collect();
    run.ok().out("5\n").err_has(&expected).err_lacks("more");
    let run = kvadm(etcd, ["delete", "--prefix", &at, "--dry-run"]).run();
    run.ok().out("50\n").err_has("… and 30 more\n").err_has("dry run: would delete 50 keys").err_lacks("00020");
    let run = kvadm(etcd, ["delete", "--prefix", &at, "--dry-run", "-o", "json"]).run();
    run.ok().err_empty();
    assert_eq!(run.json()["would_delete"], 50);
}

/// Ctrl-C on what goes on until it is stopped, and on a wait, is no error.
#[test]
fn ctrl_c_is_quiet() {
    let (etcd, at) = (shared(), unique_prefix());
    let name = format!("{at}lock");
    let holder = kvadm(etcd, ["lock", &name, "--", "cat"]).spawn();
    let listed = || kvadm(etcd, ["lock", "--list", &name, "-o", "json"]).run().ok().json_lines().len();
    eventually("the holder", SOON, || listed() == 1);
    for (args, begun) in [
        (&["watch", &at, "--list"][..], "list-done"),
        (&["allocate", "watch", "--base", &at, "--list"], "list-done"),
        (&["status", "--watch=100ms"], "ENDPOINT"),
        (&["lock", &name, "--", "true"], "held by"),
    ] {
        let mut run = kvadm(etcd, args).pty().timeout(SOON).spawn();
        run.wait_for_stdout(begun, SOON);
        run.write([3]);
        let text = run.wait().signal(Signal::SIGINT).within(SOON).stdout_text();
        assert!(!text.contains("error") && !text.contains("interrupted"), "{args:?}: {text}");
    }
    eventually("the waiter to be gone", SOON, || listed() == 1);
    let waiter = kvadm(etcd, ["lock", &name, "--", "true"]).timeout(SOON).spawn();
    waiter.wait_for_stderr("note: waiting for", SOON);
    waiter.signal(Signal::SIGINT);
    let run = waiter.wait();
    run.signal(Signal::SIGINT).out_empty().err_lacks("error").err_lacks("interrupted");
    holder.signal(Signal::SIGTERM);
    holder.wait().code(143);
}

#[test]
fn a_wait_for_a_lock_is_one_line_with_the_holder_and_the_place() {
    let (etcd, at) = (shared(), unique_prefix());
    let name = format!("{at}l");
    let holder = kvadm(etcd, ["lock", &name, "--", "cat"]).spawn();
    let listed = || kvadm(etcd, ["lock", "--list", &name, "-o", "json"]).run().ok().json_lines();
    eventually("the holder", SOON, || listed().len() == 1);
    let second = kvadm(etcd, ["lock", &name, "--", "true"]).spawn();
    eventually("the waiter", SOON, || listed().len() == 2);
    let pid = listed()[0]["pid"].as_u64().unwrap();
    let mut run = kvadm(etcd, ["lock", &name, "--", "true"]).pty_of(120).timeout(SOON).spawn();
    run.wait_for_stdout(&format!(" for {name}, place 3: held by "), SOON);
    run.wait_for_stdout("waiting 2s for", SOON);
    run.write([3]);
    let run = run.wait();
    let text = run.signal(Signal::SIGINT).stdout_text();
    assert!(text.contains(&format!(":{pid} ")), "{text:?}");
    assert!(!text.contains("note:") && text.matches('\n').count() <= 1, "one line that is redrawn: {text:?}");
    assert!(text.split('\r').all(|frame| frame.chars().count() < 200), "{text:?}");
    // A narrow terminal cuts the line, and no frame wraps.
    let mut run = kvadm(etcd, ["lock", &name, "--", "true"]).pty_of(30).timeout(SOON).spawn();
    run.wait_for_stdout("…", SOON);
    run.write([3]);
    run.wait().signal(Signal::SIGINT).out_lacks("held by");
    // Without progress bars, and without a terminal, it is a note after two seconds.
    let mut run = kvadm(etcd, ["lock", &name, "--no-progress", "--", "true"]).pty().timeout(SOON).spawn();
    run.wait_for_stdout("note:", SOON);
    run.write([3]);
    run.wait().signal(Signal::SIGINT).out_has("place 3 in the queue");
    second.signal(Signal::SIGTERM);
    second.wait().signal(Signal::SIGTERM);
    holder.signal(Signal::SIGTERM);
    holder.wait().code(143);
}

#[test]
fn counts_are_grouped_for_people_and_never_for_programs() {
    let etcd = Etcd::start();
    kvadm(&etcd, ["put", "--from", "-"]).stdin(records("/g/", 1_234)).run().ok();
    let du = |args: &[&str]| kvadm(&etcd, ["list", "/", "--du", "--no-progress"]).args(args);
    du(&[]).pty().run().ok().out_has("1,234");
    du(&["-o", "table"]).run().ok().out_has("1,234");
    for format in ["text", "json", "yaml"] {
        du(&["-o", format]).run().ok().out_has("1234").out_lacks("1,234");
        du(&["-o", format]).pty().run().ok().out_has("1234").out_lacks("1,234 ");
    }
    kvadm(&etcd, ["put", "--from", "-", "--dry-run"]).stdin(records("/h/", 1_000)).run().ok().out_has("1000");
    kvadm(&etcd, ["delete", "--prefix", "/g/", "--dry-run"])
        .run()
        .ok()
        .out("1234\n")
        .err_has("would delete 1,234 keys");
}

#[test]
fn hints_are_for_people_only() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}a/b"), "1");
    let near = kvadm(etcd, ["list", &format!("{at}a/b/"), "--no-progress"]).pty().run();
    near.ok().out_has("no key begins with").out_has(&format!("{at}a/b is a key: 'kvadm"));
    kvadm(etcd, ["get", &format!("{at}a")]).pty().run().code(1).out_has(&format!("{at}a/ is a prefix of other keys"));
    for quiet in
        [kvadm(etcd, ["list", &format!("{at}a/b/")]), kvadm(etcd, ["list", &format!("{at}a/b/"), "-o", "json"]).pty()]
    {
        quiet.run().ok().out_empty().err_empty();
    }
    kvadm(etcd, ["list", &format!("{at}a/b/"), "-q"]).pty().run().ok().out_empty();
    // A prefix with keys, and one above which there is nothing, get none.
    kvadm(etcd, ["list", &at, "--no-progress"]).pty().run().ok().out_lacks("note:");
}

#[test]
fn hints_name_the_context() {
    let prod = || Kvadm::new().config_file("prod.yaml", "endpoints: ['127.0.0.1:1']\n");
    let run = prod().args(["--context", "prod", "get", "/a"]).run();
    run.code(3).err_has("'kvadm --context prod config'").err_has("'kvadm --context prod status --diagnose'");
    let etcd = shared();
    let run = prod().endpoint(etcd).args(["diff", "/app/", "--source", "context:prod"]).run();
    run.code(3).err_has("context 'prod'").err_has("'kvadm --context prod status --diagnose'");
}

#[test]
fn the_file_of_verify_is_no_option() {
    let run = Kvadm::new().args(["snapshot", "verify", "--db", "my backup.db"]).run();
    run.code(2)
        .err_has("omit --db; the file is the argument: 'kvadm snapshot verify 'my backup.db''")
        .err_lacks("Usage:");
}
