//! `list --at`: the revision of a point in time.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::get::{kvadm, put};
use super::support::{Etcd, Kvadm, Run};

const CLOCK: &str = "cilium/.heartbeat";

/// A store whose key `/n` counts up while the clock is written each minute from 10:00 on, with other writes in between.
/// Gives the revision of each minute.
fn ticking(minutes: usize) -> (Etcd, Vec<i64>) {
    let etcd = Etcd::start();
    let tick = |minute: usize| {
        put(&etcd, "/n", format!("before {minute}"));
        let revision = put(&etcd, CLOCK, format!("2024-05-01T10:{minute:02}:00Z"));
        put(&etcd, "/n", format!("after {minute}"));
        revision
    };
    let revisions = (0..minutes).map(tick).collect();
    (etcd, revisions)
}

fn at(etcd: &Etcd, args: &[&str]) -> Run {
    kvadm(etcd, ["list", "/n", "--at"]).args(args).run()
}

#[test]
fn the_newest_revision_not_after_a_time_is_read() {
    let (etcd, revisions) = ticking(12);
    for (time, minute, before) in [
        ("2024-05-01T10:00:00Z", 0, "0s"),
        ("2024-05-01T10:00:59Z", 0, "59s"),
        ("2024-05-01T10:01:00Z", 1, "0s"),
        ("2024-05-01T12:07:30.5+02:00", 7, "30s"),
        ("2024-05-01T10:11:00Z", 11, "0s"),
        ("2024-05-01T13:11:01Z", 11, "3h0m1s"),
    ] {
        let revision = revisions[minute];
        let run = at(&etcd, &[time]);
        run.ok().out(&format!("/n\tbefore {minute}\n"));
        let of = format!("2024-05-01T10:{minute:02}:00Z");
        assert_eq!(run.stderr_text(), format!("note: reading at revision {revision}, of {of}, {before} before --at\n"));
    }
    // Long ago is before now.
    at(&etcd, &["1s ago"]).ok().out("/n\tbefore 11\n");
    at(&etcd, &["1ms"]).ok().out("/n\tbefore 11\n");
    let run = at(&etcd, &["2024-05-01T10:03:00Z", "-o", "json", "--trailer"]);
    assert_eq!(run.ok().json_lines()[1]["trailer"]["revision"], revisions[3]);
    let chosen = json!({"clock": CLOCK, "revision": revisions[3], "time": "2024-05-01T10:03:00Z"});
    assert_eq!(run.err_json(), chosen);
    at(&etcd, &["2024-05-01T10:03:00Z", "--count"]).ok().out("1\n");
    let run = at(&etcd, &["2024-05-01T10:03:00Z", "--serializable", "-q"]);
    run.ok().out("/n\tbefore 3\n").err_empty();
    let since = revisions[9].to_string();
    let run = at(&etcd, &["2024-05-01T10:03:00Z", "--since-rev", &since]);
    run.code(2).out_empty().err_has(&format!("no key: --since-rev {since} is after revision {}, which", revisions[3]));
}

#[test]
fn the_search_takes_few_requests() {
    let (etcd, revisions) = ticking(40);
    let before = etcd.answered("Range");
    at(&etcd, &["2024-05-01T10:17:20Z"]).ok().err_has(&format!("revision {}, ", revisions[17]));
    let asked = etcd.answered("Range") - before;
    assert!(asked <= 12, "{asked} requests for 120 revisions");
}

#[test]
fn another_clock_and_a_recent_time() {
    let etcd = Etcd::start();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let stamp = |ago: u64| {
        let secs = (now - Duration::from_secs(ago)).as_secs();
        let date = std::process::Command::new("date").args(["-u", "-d", &format!("@{secs}"), "+%FT%TZ"]).output();
        String::from_utf8(date.unwrap().stdout).unwrap()
    };
    // With the newline that `date` prints.
    for (value, ago) in [("old", 7_200), ("middle", 3_600), ("new", 60)] {
        put(&etcd, "/n", value);
        put(&etcd, "clock \u{e9}", stamp(ago));
    }
    let run = |time: &str| at(&etcd, &[time, "--clock", "clock \u{e9}"]).ok().stdout_text();
    assert_eq!(
        (run("90m"), run("1h ago"), run("10s")),
        ("/n\told\n".into(), "/n\tmiddle\n".into(), "/n\tnew\n".into())
    );
    let escaped = at(&etcd, &["10s", "--escape", "--clock", "clock \\xc3\\xa9"]);
    escaped.ok().out("/n\tnew\n");
    // Inside a namespace, the clock is too.
    put(&etcd, "space/c", stamp(60));
    put(&etcd, "space/x", "later");
    let run = kvadm(&etcd, ["--namespace", "space/", "list", "--at", "0s", "--clock", "c", "--keys-only"]).run();
    run.ok().out("c\n");
}

#[test]
fn times_that_are_not_known_are_named() {
    let (etcd, revisions) = ticking(12);
    let run = at(&etcd, &["2024-05-01T09:59:59Z"]);
    run.code(4).out_empty().err_has(&format!(
        "error: --at: 2024-05-01T09:59:59Z is before the oldest known time, 2024-05-01T10:00:00Z (revision {})\n",
        revisions[0]
    ));
    run.err_has("try --at 2024-05-01T10:00:00Z\n");
    // After the write of 10:04 and before that of 10:05: the revision of 10:04 can no longer be read.
    let compacted = (revisions[4] + 1).to_string();
    kvadm(&etcd, ["compact", &compacted, "--yes"]).run().ok();
    for time in ["2024-05-01T10:03:00Z", "2024-05-01T10:04:30Z", "2024-05-01T10:04:59Z"] {
        let run = at(&etcd, &[time]);
        let oldest = format!("oldest known time, 2024-05-01T10:05:00Z (revision {})", revisions[5]);
        run.code(4).out_empty().err_has(&oldest).err_has("earlier revisions are compacted");
    }
    at(&etcd, &["2024-05-01T10:05:00Z"]).ok().out("/n\tbefore 5\n");
    at(&etcd, &["2024-05-01T10:09:00Z"]).ok().out("/n\tbefore 9\n");
    // The revision of a write itself can be read once it is compacted.
    kvadm(&etcd, ["compact", &revisions[8].to_string(), "--yes"]).run().ok();
    at(&etcd, &["2024-05-01T10:08:10Z"]).ok().out("/n\tbefore 8\n");
    let all = (revisions[11] + 1).to_string();
    kvadm(&etcd, ["compact", &all, "--yes"]).run().ok();
    let run = at(&etcd, &["2024-05-01T10:11:00Z"]);
    run.code(4).out_empty().err_has(&format!("was last written at revision {}", revisions[11])).err_has("is compacted");
}

/// The search takes for granted that the times ascend.
#[test]
fn a_clock_that_went_backwards_causes_a_warning_if_the_search_sees_it() {
    let etcd = Etcd::start();
    for minute in [0, 1, 30, 2, 3, 4] {
        put(&etcd, CLOCK, format!("2024-05-01T10:{minute:02}:00Z"));
    }
    let warning = "warning: the times of cilium/.heartbeat are not in order, so --at may have chosen too early a \
                   revision: 2024-05-01T10:30:00Z at revision 4, 2024-05-01T10:04:00Z at revision 7\n";
    let run = at(&etcd, &["2024-05-01T10:02:30Z"]);
    run.ok().err_has(warning).err_has("note: reading at revision 3, of 2024-05-01T10:01:00Z");
    at(&etcd, &["2024-05-01T09:00:00Z"]).code(4).err_has(warning).err_has("is before the oldest known time");
    // All that is read is in order.
    at(&etcd, &["2024-05-01T10:05:00Z"]).ok().err_lacks("warning: ");
    let (etcd, _) = ticking(12);
    at(&etcd, &["2024-05-01T10:02:30Z"]).ok().err_lacks("warning: ");
}

/// What a clock was before it was deleted is not known.
#[test]
fn a_clock_that_was_created_again_knows_its_last_life() {
    let (etcd, _) = ticking(3);
    kvadm(&etcd, ["delete", CLOCK]).run().ok();
    at(&etcd, &["2024-05-01T10:01:00Z"])
        .code(1)
        .out_empty()
        .err_has("--at: the clock key cilium/.heartbeat does not exist");
    let again = put(&etcd, CLOCK, "2024-05-01T11:00:00Z");
    put(&etcd, CLOCK, "2024-05-01T11:01:00Z");
    let run = at(&etcd, &["2024-05-01T10:01:00Z"]);
    run.code(4).out_empty().err_has(&format!("2024-05-01T11:00:00Z (revision {again})")).err_has("was created later");
    at(&etcd, &["2024-05-01T11:00:30Z"]).ok().err_has(&format!("at revision {again}, "));
}

#[test]
fn values_and_times_that_are_none() {
    let etcd = Etcd::start();
    at(&etcd, &["10m"]).code(1).out_empty().err_has("hint: name a key whose value is the time").err_has("--clock KEY");
    put(&etcd, CLOCK, format!("soon\u{1b}{}", "x".repeat(100)));
    let run = at(&etcd, &["10m"]);
    run.code(4).out_empty().err_has("the value of cilium/.heartbeat at revision 2 is not a time: 'soon\\x1bxxx");
    run.err_has("hint: --clock needs a key with RFC 3339 values");
    put(&etcd, CLOCK, "2024-05-01T10:00:00Z");
    put(&etcd, CLOCK, "2024-05-01T10:01:00Z");
    at(&etcd, &["2024-05-01T10:01:00Z"]).ok();
    // An earlier value is one that the search comes to.
    at(&etcd, &["2024-05-01T09:00:00Z"]).code(4).out_empty().err_has("at revision 2 is not a time");
    let run = |args: &[&str]| Kvadm::new().args(["--endpoints", "127.0.0.1:1", "list"]).args(args).run();
    for (time, why) in [
        ("2999-01-01T00:00:00Z", "it is in the future; the time is 20"),
        ("2024-05-01", "not a time: write it as 2026-11-30T05:00:00Z"),
        ("10", "'10' has no unit; did you mean 10s?"),
        ("tomorrow", "neither a time such as"),
    ] {
        run(&["--at", time]).code(2).out_empty().err_has(why);
    }
    run(&["--at", "10m", "--rev", "5"]).code(2).out_empty().err_has("cannot be used with");
    run(&["--clock", "c"]).code(2).out_empty().err_has("--at");
    run(&["--at", "10m", "--clock", ""]).code(2).out_empty().err_has("the key is empty");
}
