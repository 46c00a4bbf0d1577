//! `kvadm top`: rates per branch, and what is said when they are not complete.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::auth::{LIMITED, cheap, login};
use super::support::screen::shown;
use super::support::{Etcd, Kvadm, Mode, Proxy, Running, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

fn top(endpoint: &str, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(endpoint).arg("top").args(args).timeout(Duration::from_secs(60))
}

/// Starts with short periods and JSON, and waits for the first period: from then on every change is counted.
fn watching(endpoint: &str, args: &[&str]) -> Running {
    let every = if args.contains(&"--every") { &[][..] } else { &["--every", "200ms"] };
    let mut running = top(endpoint, args).args(every).args(["-o", "json"]).spawn();
    period(&mut running);
    running
}

#[track_caller]
fn period(running: &mut Running) -> Value {
    serde_json::from_str(&running.next_line().expect("it goes on")).expect("a JSON object a line")
}

/// The next periods until this holds for one.
#[track_caller]
fn until(running: &mut Running, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
    for _ in 0..300 {
        let period = period(running);
        if holds(&period) {
            return period;
        }
    }
    panic!("no period in which {what}")
}

/// The periods until so many events were counted; together they must be exactly so many.
#[track_caller]
fn until_counted(running: &mut Running, events: u64) -> Vec<Value> {
    let (mut seen, mut periods) = (0, Vec::new());
    while seen < events {
        let period = until(running, "there are events", |period| period["events"] != 0);
        seen += period["events"].as_u64().unwrap();
        periods.push(period);
    }
    assert_eq!(seen, events, "{periods:?}");
    periods
}

/// The sums of a field of a branch over periods.
fn sum(periods: &[Value], key: &str, field: &str) -> u64 {
    let branches = periods.iter().flat_map(|period| period["branches"].as_array().unwrap());
    branches.filter(|branch| branch["key"] == key).map(|branch| branch[field].as_u64().unwrap()).sum()
}

/// So few that a load writes them in one transaction, and they are counted in one period.
fn put_at_once(etcd: &Etcd, keys: &[String]) {
    load(etcd, keys.iter().cloned());
}

/// Writes records with the value "value".
fn load(etcd: &Etcd, keys: impl Iterator<Item = String>) {
    let records: String = keys.map(|key| json!({"key": key, "value": "value"}).to_string() + "\n").collect();
    Kvadm::new().endpoint(etcd).args(["put", "--from", "-", "-q"]).stdin(records).run().ok();
}

#[test]
fn the_hottest_branch_comes_first_and_every_change_is_counted() {
    let (etcd, at) = (shared(), unique_prefix());
    let mut running = watching(&etcd.endpoint(), &[&at]);
    let hot = (0..60).map(|n| format!("{at}hot/{}", n % 10));
    let cold = (0..20).map(|n| format!("{at}cold/{n}"));
    load(etcd, hot.chain(cold).chain([format!("{at}single")]));
    Kvadm::new().endpoint(etcd).args(["delete", &format!("{at}cold/1")]).run().ok();
    let lease = Kvadm::new().endpoint(etcd).args(["put", &format!("{at}cold/2"), "x", "--ttl", "1h"]).run();
    lease.ok();
    // A load writes the last value of a key that it has several times, or each: the revisions tell.
    let kept = etcd.etcdctl_ok(&["get", &format!("{at}hot/0"), "-w", "json"]);
    let versions = serde_json::from_str::<Value>(&kept).unwrap()["kvs"][0]["version"].as_u64().unwrap();
    let hot = versions * 10;
    let periods = until_counted(&mut running, hot + 20 + 1 + 2);
    let branch = |name: &str| format!("{at}{name}");
    for (field, hot_count, cold_count) in [("events", hot, 22), ("writes", hot, 21), ("deletes", 0, 1)] {
        assert_eq!(sum(&periods, &branch("hot/"), field), hot_count, "{field}: {periods:?}");
        assert_eq!(sum(&periods, &branch("cold/"), field), cold_count, "{field}: {periods:?}");
    }
    assert_eq!(sum(&periods, &branch("cold/"), "leases"), 1);
    assert_eq!(sum(&periods, &branch("single"), "events"), 1);
    let key_bytes = at.len() as u64 + "hot/0".len() as u64 + "value".len() as u64;
    assert_eq!(sum(&periods, &branch("hot/"), "bytes"), hot * key_bytes);
    if hot > 22 {
        let most = periods.iter().max_by_key(|period| period["events"].as_u64()).unwrap();
        assert_eq!(most["branches"][0]["key"], branch("hot/"), "{most}");
    }
    for period in &periods {
        assert_eq!(
            (&period["state"], &period["error_bound"], &period["by"]),
            (&json!("live"), &json!(0), &json!("events"))
        );
        let took = period["took_ms"].as_f64().unwrap();
        assert!((150.0..5000.0).contains(&took), "{period}");
        let share: f64 =
            period["branches"].as_array().unwrap().iter().map(|branch| branch["percent"].as_f64().unwrap()).sum();
        assert!((share - 100.0).abs() < 0.1, "{period}");
        assert!(period["time"].as_str().unwrap().ends_with('Z') && period["revision"].as_i64().unwrap() > 0);
    }
    // Nothing more happens, which is said in each period.
    let quiet = period(&mut running);
    assert_eq!((&quiet["events"], &quiet["branches"], &quiet["keys"]), (&json!(0), &json!([]), &json!(0)), "{quiet}");
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT).err_empty();
}

#[test]
fn the_order_is_the_one_that_is_asked_for() {
    let etcd = shared();
    let first = |by: &str| {
        let at = unique_prefix();
        let mut running = watching(&etcd.endpoint(), &[&at, "--by", by]);
        let big = format!("{at}big/1");
        put_at_once(etcd, &(0..9).map(|n| format!("{at}many/{n}")).collect::<Vec<_>>());
        Kvadm::new().endpoint(etcd).args(["put", &big, &"x".repeat(5000)]).run().ok();
        Kvadm::new().endpoint(etcd).args(["delete", &big]).run().ok();
        let periods = until_counted(&mut running, 11);
        let ranked = |period: &Value| {
            let counts: Vec<u64> =
                period["branches"].as_array().unwrap().iter().map(|branch| branch[by].as_u64().unwrap()).collect();
            assert!(counts.is_sorted_by(|a, b| a >= b), "{by}: {period}");
            (counts.first().copied().unwrap_or(0), period["branches"][0]["key"].as_str().unwrap().to_owned())
        };
        periods.iter().map(ranked).max().unwrap().1.strip_prefix(&at).unwrap().to_owned()
    };
    assert_eq!(first("events"), "many/");
    assert_eq!(first("bytes"), "big/");
    assert_eq!(first("writes"), "many/");
    assert_eq!(first("deletes"), "big/");
}

#[test]
fn the_depth_the_separator_and_the_hottest_keys() {
    let (etcd, at) = (shared(), unique_prefix());
    let mut running = watching(&etcd.endpoint(), &[&at, "--depth", "2", "--keys", "--limit", "2"]);
    put_at_once(etcd, &[format!("{at}a/b/c"), format!("{at}a/b/d"), format!("{at}a/x"), format!("{at}z/y/x")]);
    Kvadm::new().endpoint(etcd).args(["put", &format!("{at}a/b/c"), "again"]).run().ok();
    let periods = until_counted(&mut running, 5);
    assert_eq!(sum(&periods, &format!("{at}a/b/"), "events"), 3);
    let one = periods.iter().find(|period| period["events"].as_u64() >= Some(4)).unwrap();
    assert_eq!(one["branches"].as_array().unwrap().len(), 2, "--limit: {one}");
    let hot = one["hot_keys"].as_array().unwrap();
    assert_eq!((hot.len(), &hot[0]["kind"]), (2, &json!("key")), "{one}");
    assert_eq!(hot[0]["key"], format!("{at}a/b/c"), "{one}");

    let mut running = watching(&etcd.endpoint(), &[&at, "--separator", "."]);
    put_at_once(etcd, &[format!("{at}a.b/c"), format!("{at}a.d/e")]);
    let periods = until_counted(&mut running, 2);
    assert_eq!(sum(&periods, &format!("{at}a."), "events"), 2);
}

#[test]
fn without_a_prefix_two_levels_are_shown_and_keys_of_any_bytes_count() {
    let etcd = Etcd::start();
    let mut running = watching(&etcd.endpoint(), &[]);
    put_at_once(&etcd, &["/registry/pods/a/b".to_owned(), "/registry/leases/a".to_owned()]);
    Kvadm::new().endpoint(&etcd).args(["put", "--escape", "\\xff\\x00/\\x1b[2J/x", "v"]).run().ok();
    let periods = until_counted(&mut running, 3);
    assert_eq!(sum(&periods, "/registry/pods/", "events") + sum(&periods, "/registry/leases/", "events"), 2);
    let binary = periods.iter().flat_map(|period| period["branches"].as_array().unwrap());
    let binary: Vec<&Value> = binary.filter(|branch| !branch["key_base64"].is_null()).collect();
    assert_eq!(binary.len(), 1, "{periods:?}");
}

#[test]
fn with_a_namespace_keys_are_relative_and_others_do_not_count() {
    let (etcd, at) = (shared(), unique_prefix());
    let mut running = watching(&etcd.endpoint(), &["--namespace", &at]);
    put_at_once(etcd, &[format!("{at}/a/b/1"), format!("{}other/1", unique_prefix()), format!("{at}/a/b/2")]);
    let periods = until_counted(&mut running, 2);
    assert_eq!(sum(&periods, "/a/b/", "events"), 2, "{periods:?}");
}

#[test]
fn the_number_of_periods_ends_it_in_every_format() {
    let (etcd, at) = (shared(), unique_prefix());
    let run = |args: &[&str]| top(&etcd.endpoint(), &[&at, "--every", "100ms", "--count", "2"]).args(args).run();
    let text = run(&[]).ok().err_empty().stdout_text();
    let fields: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(fields.len(), 2, "a total for each period: {text}");
    assert!(
        fields.iter().all(|line| line.len() == 12 && line[1] == "total" && line[3] == "0.0" && line[11] == "live"),
        "{text}"
    );
    let table = run(&["-o", "table"]);
    table.ok().err_empty().out_has("EVENTS/S").out_has("total").out_lacks("\x1b");
    assert_eq!(table.stdout_text().matches("revision").count(), 2, "{}", table.stdout_text());
    assert_eq!(run(&["-o", "json"]).ok().stdout_text().lines().count(), 2);
    run(&["-o", "yaml"]).ok().out_has("events: 0\n");
    // Those that do not wait for a change wait for the time.
    assert!(run(&[]).ok().took >= Duration::from_millis(200));
}

#[test]
fn wrong_options_are_refused_before_a_connection() {
    for args in
        [&["--every", "50ms"][..], &["--separator", "::"], &["--depth", "0"], &["--by", "age"], &["--count", "0"]]
    {
        top("127.0.0.1:1", args).run().code(2).out_empty();
    }
    top("127.0.0.1:1", &["--every", "50ms"]).run().code(2).err_has("the shortest period is 100ms");
    top("127.0.0.1:1", &[]).run().code(3).out_empty().err_has("connection refused");
}

#[test]
fn a_flood_of_branches_has_an_error_bound_and_the_hot_one_is_found() {
    let etcd = Etcd::start();
    let mut running = watching(&etcd.endpoint(), &["/flood/", "--every", "5s", "--limit", "3"]);
    // A period has more branches than counters only if the load does not fall across two periods: then it is repeated.
    let found = (0..6).any(|attempt| flood_has_a_bound(&etcd, &mut running, attempt));
    assert!(found, "each load fell across two periods");
}

/// Writes 6000 new keys of many branches. False if no period had most of them.
fn flood_has_a_bound(etcd: &Etcd, running: &mut Running, attempt: usize) -> bool {
    let key = |n: usize| if n.is_multiple_of(4) { format!("/flood/hot/{n}") } else { format!("/flood/{n}/x") };
    load(etcd, (0..6000).map(|n| format!("{}-{attempt}", key(n))));
    let mut seen = 0;
    let mut found = false;
    while seen < 6000 {
        let period = until(running, "there are events", |period| period["events"] != 0);
        let events = period["events"].as_u64().unwrap();
        seen += events;
        if events >= 4500 {
            found = true;
            let (hot, bound) = (&period["branches"][0], period["error_bound"].as_u64().unwrap());
            assert_eq!(hot["key"], "/flood/hot/", "{period}");
            assert!((1..=10).contains(&bound), "{period}");
            let (counted, error) = (hot["events"].as_u64().unwrap(), hot["error_bound"].as_u64().unwrap());
            assert!(counted <= 1500 && error <= bound, "{period}");
            let (keys, keys_error) = (period["keys"].as_u64().unwrap(), period["keys_error"].as_u64().unwrap());
            assert!(keys_error > 0 && keys.abs_diff(events) <= 3 * keys_error, "{period}");
        }
    }
    found
}

#[test]
fn an_interruption_is_told_and_its_changes_are_counted_afterwards() {
    let (etcd, at) = (shared(), unique_prefix());
    let mut proxy = Proxy::start(&etcd.address());
    let mut running = watching(&proxy.endpoint(), &[&at]);
    put_at_once(etcd, &[format!("{at}a/1")]);
    until_counted(&mut running, 1);
    proxy.set(Mode::Refuse);
    proxy.cut();
    let period = until(&mut running, "the watch is interrupted", |period| period["state"] == "interrupted");
    assert!(period["reason"].as_str().unwrap().contains("connection refused"), "{period}");
    put_at_once(etcd, &[format!("{at}a/2"), format!("{at}a/3")]);
    proxy.set(Mode::Pass);
    let mut resumed = false;
    let period = until(&mut running, "there are events", |period| {
        resumed |= period["state"] == "resumed";
        period["events"] != 0
    });
    assert_eq!(period["events"], 2, "{period}");
    assert!(resumed, "the period of the resumption says so: {period}");
    until(&mut running, "all is well again", |period| period["state"] == "live" && period["reason"].is_null());
    running.signal(Signal::SIGTERM);
    running.wait().signal(Signal::SIGTERM).err_empty();
}

#[test]
fn text_says_on_stderr_that_the_watch_is_interrupted() {
    let (etcd, at) = (shared(), unique_prefix());
    let mut proxy = Proxy::start(&etcd.address());
    let mut running = top(&proxy.endpoint(), &[&at, "--every", "200ms"]).spawn();
    running.next_line();
    proxy.set(Mode::Refuse);
    proxy.cut();
    running.wait_for_stderr("warning: the watch is interrupted for ", SOON);
}

#[test]
fn changes_that_were_compacted_are_a_gap() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    let mut running = watching(&proxy.endpoint(), &["/a/"]);
    proxy.set(Mode::Refuse);
    proxy.cut();
    until(&mut running, "the watch is interrupted", |period| period["state"] == "interrupted");
    for n in 0..5 {
        etcd.etcdctl_ok(&["put", &format!("/a/{n}"), "x"]);
    }
    let revision = Kvadm::new().endpoint(&etcd).args(["status", "--revision"]).run().ok().stdout_text();
    etcd.etcdctl_ok(&["compaction", revision.trim()]);
    etcd.etcdctl_ok(&["put", "/a/last", "x"]);
    proxy.set(Mode::Pass);
    let period = until(&mut running, "there is a gap", |period| period["state"] == "gap");
    let reason = period["reason"].as_str().unwrap();
    assert!(reason.starts_with("the changes of revisions 2 to ") && reason.contains("compacted"), "{period}");
    until(&mut running, "all is well again", |period| period["state"] == "live");
    etcd.etcdctl_ok(&["put", "/a/new", "x"]);
    until_counted(&mut running, 1);
}

/// A frozen server is found after some seconds; until then 0 would be a claim.
#[test]
fn a_frozen_server_is_not_taken_for_a_quiet_one() {
    let etcd = Etcd::start();
    let mut running = watching(&etcd.endpoint(), &["/a/"]);
    etcd.pause();
    let period = until(&mut running, "nothing is confirmed", |period| period["state"] != "live");
    assert!(period["state"] == "unconfirmed" || period["state"] == "interrupted", "{period}");
    assert!(
        period["reason"].as_str().unwrap().contains("etcd has not answered for ") || period["state"] == "interrupted"
    );
    etcd.resume();
    until(&mut running, "all is well again", |period| period["state"] == "live");
    etcd.etcdctl_ok(&["put", "/a/1", "x"]);
    until_counted(&mut running, 1);
}

#[test]
fn a_run_without_any_answer_fails() {
    let etcd = Etcd::start();
    let mut running =
        top(&etcd.endpoint(), &["/a/", "--every", "1s", "--count", "6", "--op-timeout", "500ms", "-o", "json"]).spawn();
    // The first period begins when the watch is open.
    eventually("the watch", Duration::from_secs(10), || etcd.received("Watch") > 0);
    etcd.pause();
    let last = until(&mut running, "nothing is confirmed", |period| period["state"] != "live");
    assert!(last["reason"].is_string(), "{last}");
    running.wait().code(3).err_has("nothing is known of the changes").err_has("kvadm status");
    etcd.resume();
}

#[test]
fn a_user_sees_what_it_may_read() {
    let etcd = cheap();
    let app = |prefix: &str| {
        login(&etcd, "app", LIMITED).args(["top", prefix, "--every", "100ms", "--count", "1", "-o", "json"]).run()
    };
    app("/app/").ok().err_empty().out_has("\"events\":0");
    app("/secret/").code(4).out_empty().err_has("permission denied").err_has("name a PREFIX below this one");
    app("").code(4).out_empty().err_has("kvadm top PREFIX");
}

#[test]
fn a_database_file_does_not_change() {
    let run = Kvadm::new().args(["top", "--db", "/tmp/none.db"]).run();
    run.code(2).err_has("'kvadm top' cannot be used with --db").err_has("hint:");
}

/// The screen is drawn over the one before, longer lines leave nothing behind, and the cursor ends below it.
#[test]
fn on_a_terminal_the_rounds_replace_each_other() {
    let (etcd, at) = (shared(), unique_prefix());
    let running = top(&etcd.endpoint(), &[&at, "--every", "300ms"]).pty().spawn();
    running.wait_for_stdout("total", SOON);
    let hostile = "\u{1b}[2J\u{1b}]0;title\u{7}";
    let key = format!("{at}branch/{hostile}");
    put_at_once(etcd, &[format!("{at}a-very-long-name-of-a-branch/1")]);
    Kvadm::new().endpoint(etcd).args(["put", &key, "x"]).run().ok();
    Kvadm::new().endpoint(etcd).args(["put", &format!("{at}{hostile}/x"), "x"]).run().ok();
    running.wait_for_stdout("\\x1b[2J", SOON);
    // 80 columns have no room for the whole name.
    running.wait_for_stdout("-of-a-branch", SOON);
    running.signal(Signal::SIGINT);
    let run = running.wait();
    run.signal(Signal::SIGINT);
    let text = run.stdout_text();
    assert!(!text.contains("\x1b[?1049h") && !text.contains("\x1b[?25l"), "nothing to restore: {text:?}");
    assert!(!text.contains("\x1b]0;") && !text.contains('\u{7}'), "{text:?}");
    let lines = shown(&run.stdout, 24, 80);
    assert!(lines[0].contains(&at) && lines[0].ends_with("live"), "{lines:#?}");
    assert!(lines[1].starts_with("KEY") && lines[1].contains("EVENTS/S") && lines[1].ends_with("TREND"), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("total")).count(), 1, "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("KEY")).count(), 1, "{lines:#?}");
}

#[test]
fn another_size_of_the_terminal_is_used_at_once() {
    let (etcd, at) = (shared(), unique_prefix());
    let running = top(&etcd.endpoint(), &[&at, "--every", "1h"]).pty().spawn();
    running.wait_for_stdout("counting for 1h", SOON);
    let drawn = running.stdout().len();
    running.resize(50, 160);
    super::support::eventually("another round", SOON, || running.stdout().len() > drawn);
    // A period is drawn again, too.
    let mut running = top(&etcd.endpoint(), &[&at, "--every", "1s"]).pty().spawn();
    running.wait_for_stdout("total", SOON);
    put_at_once(etcd, &(0..40).map(|n| format!("{at}{n:02}/x")).collect::<Vec<_>>());
    running.wait_for_stdout(&format!("{at}15/"), SOON);
    assert!(!String::from_utf8_lossy(&running.stdout()).contains(&format!("{at}39/")), "24 lines have no room for it");
    running.resize(60, 160);
    running.wait_for_stdout(&format!("{at}39/"), SOON);
    assert!(running.ended().is_none());
}

#[test]
fn an_interruption_stays_on_the_screen() {
    let (etcd, at) = (shared(), unique_prefix());
    let mut proxy = Proxy::start(&etcd.address());
    let running = top(&proxy.endpoint(), &[&at, "--every", "200ms"]).pty().spawn();
    running.wait_for_stdout("total", SOON);
    proxy.set(Mode::Refuse);
    proxy.cut();
    running.wait_for_stdout("the watch is interrupted for 2s", SOON);
    let lines = shown(&running.stdout(), 24, 80);
    assert!(lines.iter().any(|line| line.contains("the watch is interrupted for ")), "{lines:#?}");
    proxy.set(Mode::Pass);
    let before = running.stdout().len();
    super::support::eventually("a live round", SOON, || {
        String::from_utf8_lossy(&running.stdout()[before..]).contains("  live")
    });
}
