//! `check`: the file, the table, the reports, the exit codes, and how the store is asked.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::support::process::free_port;
use super::support::{Etcd, Kvadm, Mode, Plan, Proxy, Run, Spoil, Spoiler, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

/// A kvadm that checks a file with these checks, which stdin gives.
pub fn check(etcd: &Etcd, checks: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(["check", "-"]).stdin(file(checks)).timeout(SOON)
}

/// A check file.
pub fn file(checks: &[&str]) -> String {
    checks.iter().fold("checks:\n".to_owned(), |text, check| format!("{text}  - {check}\n"))
}

pub fn put(etcd: &Etcd, key: &str, value: &str) {
    Kvadm::new().endpoint(etcd).args(["put", "--", key, value]).run().ok();
}

/// The states of all checks by name, from JSON.
pub fn states(run: &Run) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let report = run.json();
    report["checks"].as_array().unwrap().iter().map(|check| (text(&check["name"]), text(&check["state"]))).collect()
}

/// The only rule of the only check, from JSON.
pub fn rule(run: &Run) -> Value {
    run.json()["checks"][0]["rules"][0].clone()
}

#[test]
fn a_table_has_a_row_for_each_check_that_passes_and_each_rule_that_does_not_hold() {
    let (etcd, p) = (shared(), unique_prefix());
    put(etcd, &format!("{p}mode"), "green");
    let checks = [
        "{name: members, healthy: true, leader: true}",
        &format!("{{name: mode, key: {p}mode, value: blue, value-matches: '^g', exists: true, leased: true}}"),
        &format!("{{name: none, key: {p}none, absent: true}}"),
    ];
    let run = check(etcd, &checks).run();
    let at = etcd.revision();
    run.code(1).out(
        "members\tpass\thealthy, leader\t\n\
         mode\tfail\tvalue: blue\tgreen\n\
         mode\tfail\tleased: a lease\tno lease\n\
         none\tpass\tabsent\t\n",
    );
    let said = run.stderr_text();
    assert!(said.starts_with("note: 1 of 3 checks failed (revision "), "{said}");
    let table = check(etcd, &checks).args(["-o", "table"]).run();
    table.code(1).out_has("CHECK").out_has("STATE").out_has("EXPECTED").out_has("FOUND");
    check(etcd, &checks)
        .args(["-q", "--only", "members"])
        .run()
        .ok()
        .out("members\tpass\thealthy, leader\t\n")
        .err_empty();

    let run = check(etcd, &checks).args(["-o", "json"]).run();
    let report = run.code(1).err_empty().json();
    assert_eq!((&report["file"], &report["passed"], &report["failed"]), (&json!("stdin"), &json!(2), &json!(1)));
    assert_eq!((&report["errors"], &report["skipped"]), (&json!(0), &json!(0)));
    assert!(report["revision"].as_i64().unwrap() >= at && report["took_ms"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["cluster"].as_str().is_some_and(|id| u64::from_str_radix(id, 16).is_ok()), "{report}");
    let mode = &report["checks"][1];
    assert_eq!((&mode["name"], &mode["line"], &mode["state"]), (&json!("mode"), &json!(3), &json!("fail")));
    assert_eq!(mode["rules"][0], json!({"rule": "value", "state": "fail", "expected": "blue", "found": "green"}));
    assert_eq!(mode["rules"][1], json!({"rule": "value-matches", "state": "pass"}));
    assert_eq!(report["checks"][0]["rules"][0]["measured"], json!(1.0));
}

#[test]
fn what_a_server_holds_cannot_control_the_terminal() {
    let (etcd, p) = (shared(), unique_prefix());
    put(etcd, &format!("{p}k"), "\u{1b}[2Jx\u{202e}y");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checks.yaml");
    std::fs::write(&path, file(&[&format!("{{name: \"a\\e[31mb\", key: {p}k, value: blue}}")])).unwrap();
    let of = |more: &[&str]| Kvadm::new().endpoint(etcd).arg("check").arg(&path).args(more).timeout(SOON);
    let runs = [
        of(&[]).run(),
        of(&["--report", "junit"]).run(),
        of(&["--report", "tap"]).run(),
        of(&["--report", "nagios"]).run(),
        of(&["--color", "never"]).pty().run(),
    ];
    for run in &runs {
        let said = run.stdout_text() + &run.stderr_text();
        assert!(!said.contains("\u{1b}[2J") && !said.contains("\u{1b}[31m"), "{said:?}");
    }
    runs[0].code(1).out_has("\\x1b[2Jx");
    assert!(!runs[4].stdout_text().contains('\u{202e}'), "{:?}", runs[4].stdout_text());
}

#[test]
fn a_bad_file_is_refused_before_kvadm_connects() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let run = |text: &str| Kvadm::new().endpoint(&nobody).args(["check", "-"]).stdin(text).run();
    run("checks:\n  - {name: a, helthy: 3}\n")
        .code(2)
        .out_empty()
        .err_has("error: stdin:2: check 'a': unknown key 'helthy'; did you mean 'healthy'?");
    let twice = "checks:\n  - {name: a, leader: true, leader: true}\n";
    run(twice).code(2).err_has("error: stdin:2: the key 'leader' is given twice");
    run("").code(2).err_has("error: stdin: the file has no checks").err_has("hint: 'kvadm check --help'");
    run("checks:\n  - {name: a, value: b}\n").code(2).err_has("hint: add 'key: KEY' to this check");
    let lists: String =
        (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| format!("{text}a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1));
    run(&lists).code(2).within(SOON).err_has("error: stdin: the file has more than 100000 values");
    run(&"#".repeat(300 << 10)).code(2).err_has("stdin is larger than 256 KiB");
    let schema = "checks:\n  - {name: a, tree: {prefix: /a/, schema: none, problems: 0}}\n";
    run(schema).code(2).err_has("stdin:2: tree: schema").err_has("built-in schemas: containerd, ");
    Kvadm::new()
        .endpoint(&nobody)
        .args(["check", "/none/checks.yaml"])
        .run()
        .code(2)
        .err_has("cannot read /none/checks.yaml");
    Kvadm::new().endpoint(&nobody).arg("check").run().code(2).err_has("FILE");
    let etcdctl = Kvadm::new().endpoint(&nobody).args(["check", "perf"]).run();
    etcdctl.code(2).err_has("hint: there is no load test 'check perf': 'kvadm status --latency' measures");
    // A monitor would take 2 for a critical state.
    let nagios = Kvadm::new().endpoint(&nobody).args(["check", "-", "--report", "nagios"]).stdin("checks: []\n").run();
    nagios.code(3).out("KVADM UNKNOWN - stdin:1: the list 'checks' is empty\n");
}

#[test]
fn checks_are_chosen_by_name() {
    let etcd = shared();
    let checks = ["{name: members, healthy: true}", "{name: leader, leader: true}", "{name: no, voters: 99}"];
    let run = |only: &[&str]| check(etcd, &checks).args(["-o", "json"]).args(only).run();
    assert_eq!(states(run(&["--only", "leader", "--only", "members"]).ok()).len(), 2);
    run(&["--only", "no"]).code(1);
    run(&["--only", "leadr"]).code(2).out_empty().err_has("--only: unknown check 'leadr'; did you mean 'leader'?");
}

#[test]
fn reports_go_to_stdout_or_to_files() {
    let (etcd, folder) = (shared(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let checks = ["{name: members, healthy: true}", "{name: no, voters: 99}"];
    let report = |name: &str| format!("{name}={}", path(name));
    std::fs::write(path("junit"), "old").unwrap();
    let run = check(etcd, &checks)
        .args([
            "--report",
            "tap",
            "--report",
            &report("junit"),
            "--report",
            &report("json"),
            "--report",
            &report("prometheus"),
        ])
        .run();
    run.code(1).out_has("TAP version 14").out_lacks("members\tpass");
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    assert!(read("junit").starts_with("<?xml") && read("junit").contains("failures=\"1\""), "{}", read("junit"));
    assert!(read("prometheus").contains("kvadm_check_success"), "{}", read("prometheus"));
    let saved: Value = serde_json::from_str(&read("json")).unwrap();
    assert_eq!((&saved["passed"], &saved["failed"]), (&json!(1), &json!(1)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "no temporary file is left");
    let printed = check(etcd, &checks).args(["--report", "json"]).run();
    assert_eq!(printed.code(1).json()["checks"][1]["state"], "fail");

    let nagios = |only: &str| check(etcd, &checks).args(["--report", "nagios", "--only", only]).run();
    nagios("members").code(0).out_has("OK");
    nagios("no").code(2).out_has("CRITICAL");
    let two = check(etcd, &checks).args(["--report", "tap", "--report", "junit"]).run();
    two.code(2).out_empty().err_has("two reports cannot share stdout");
    check(etcd, &checks).args(["--report", "xml"]).run().code(2).err_has("junit, tap, nagios, prometheus, json");
    let twice = check(etcd, &checks).args(["--report", &report("tap"), "--report", &report("tap")]).run();
    twice.code(2).err_has("two reports would write");
    let full = ["--only", "members", "--report", "tap=/dev/full"];
    check(etcd, &checks).args(full).run().code(6).err_has("warning: cannot write the report /dev/full");
}

#[test]
fn an_unreachable_cluster_fails_only_the_rules_that_ask_for_its_members() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let checks = file(&[
        "{name: members, healthy: true}",
        "{name: mode, key: /mode, value: blue}",
        "{name: any, key: /mode, changes-within: 1m}",
        "{name: voters, voters: 3}",
    ]);
    let run = |more: &[&str]| Kvadm::new().endpoint(&nobody).args(["check", "-"]).args(more).stdin(&checks).run();
    let found = run(&["-o", "json"]);
    found.code(1).err_empty();
    let all: Vec<String> = states(&found).into_iter().map(|(_, state)| state).collect();
    assert_eq!(all, ["fail", "error", "error", "error"]);
    assert!(rule(&found)["found"].as_str().unwrap().contains("refused"), "{}", rule(&found));
    run(&["--report", "nagios"]).code(2).out_has("CRITICAL");
    run(&[]).code(1).err_has("1 of 4 checks failed, 3 cannot be judged");
    let others = ["--only", "mode", "--only", "any", "--only", "voters"];
    run(&others).code(3).err_has("3 of 3 checks cannot be judged");
    run(&[&others[..], &["--report", "nagios"]].concat()).code(3).out_has("UNKNOWN");
    for text in ["reachable: true", "quorum: read", "quorum: write", "healthy: 2"] {
        let check = file(&[&format!("{{name: x, {text}}}")]);
        let run = |more: &[&str]| Kvadm::new().endpoint(&nobody).args(["check", "-"]).args(more).stdin(&check).run();
        run(&[]).code(1).out_has("no member answers: ");
    }
}

#[test]
fn a_failure_counts_more_than_an_error() {
    let (etcd, p) = (shared(), unique_prefix());
    put(etcd, &format!("{p}lock/694d7c5a1b2c3d4e"), "");
    let unjudged = format!("{{name: lock, lock: {p}lock, held-for-less-than: 1h}}");
    let run = check(etcd, &[&unjudged]).args(["-o", "json"]).run();
    run.code(4);
    assert_eq!(states(&run), [("lock".to_owned(), "error".to_owned())]);
    check(etcd, &[&unjudged, "{name: no, voters: 99}"])
        .run()
        .code(1)
        .err_has("1 of 2 checks failed, 1 cannot be judged");
    check(etcd, &[&unjudged, "{name: no, voters: 99}"]).args(["--report", "nagios"]).run().code(2);
}

#[test]
fn wait_repeats_until_all_checks_pass_and_says_what_is_missing() {
    let (etcd, p) = (shared(), unique_prefix());
    let wanted = format!("{{name: ready, key: {p}ready, exists: true}}");
    let mut waiting =
        check(etcd, &["{name: members, healthy: true}", &wanted]).args(["--wait", "60s"]).timeout(SOON * 2).spawn();
    waiting.close_stdin();
    waiting.wait_for_stderr("waiting: 1 not passing yet: 'ready'", SOON);
    put(etcd, &format!("{p}ready"), "");
    waiting.wait().ok().out("members\tpass\thealthy\t\nready\tpass\texists\t\n");
    let run = check(etcd, &[&format!("{{name: never, key: {p}never, exists: true}}")]).args(["--wait", "600ms"]).run();
    run.code(1).within(SOON).out("never\tfail\texists: the key exists\tno such key\n");
    // It waits for the cluster too, and a signal ends it at once.
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let mut waiting = Kvadm::new()
        .endpoint(&nobody)
        .args(["check", "-", "--wait", "60s"])
        .stdin(file(&["{name: members, healthy: true}"]))
        .spawn();
    waiting.close_stdin();
    waiting.wait_for_stderr("not passing yet: 'members'", SOON);
    waiting.signal(Signal::SIGINT);
    waiting.wait().signal(Signal::SIGINT);
}

#[test]
fn explain_and_schema_do_not_connect() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let checks = file(&[
        "{name: members, healthy: 3}",
        "{name: workers, prefix: /w/, count: {at-least: 2}, all-leased: true}",
        "{name: write, write-latency-below: 50ms, probe-key: /p}",
        "{name: ids, allocator: {errors: 0}}",
    ]);
    let run = Kvadm::new().endpoint(&nobody).args(["check", "-", "--explain"]).stdin(&checks).run();
    run.ok().out(
        "members\thealthy\tthe status of every member\tat least 3 healthy voting members\n\
         workers\tcount\tthe number of keys of the prefix /w/\tat least 2\n\
         workers\tall-leased\tall keys of the prefix /w/\tevery key is on a lease\n\
         write\twrite-latency-below\twrites /p/<random> on a lease, and removes it\twrites take less than 50ms\n\
         ids\tallocator\tall keys of the prefix cilium/state/identities/v1/\tat most 0 errors\n",
    );
    let json = Kvadm::new().args(["check", "-", "--explain", "-o", "json"]).stdin(&checks).run();
    assert_eq!(json.ok().json_lines()[1]["line"], json!(3));
    let schema = Kvadm::new().args(["check", "--schema"]).run();
    assert_eq!(schema.ok().json()["title"], "kvadm check file");
    Kvadm::new().args(["check", "x.yaml", "--schema"]).run().code(2);
    Kvadm::new().args(["check", "-", "--explain", "--wait", "1s"]).run().code(2);
}

/// The requests that reach the server, by method.
fn requests(etcd: &Etcd) -> [u64; 3] {
    ["Range", "RangeStream", "Txn"].map(|method| etcd.received(method))
}

#[test]
fn all_rules_about_keys_are_judged_at_one_revision_with_one_pass_for_each_prefix() {
    let etcd = Etcd::start();
    for key in ["/a/1", "/a/2", "/a/b/1", "/a/b/2", "/c/1", "/d", "/e", "/f"] {
        put(&etcd, key, "{\"n\": 1}");
    }
    let mut checks: Vec<String> = Vec::new();
    for (at, prefix) in ["/a/", "/a/b/", "/c/", "/a/"].iter().enumerate() {
        checks.push(format!("{{name: size{at}, prefix: {prefix}, size-below: 1MiB, value-size-below: 1kB}}"));
        checks.push(format!(
            "{{name: json{at}, prefix: {prefix}, each-json: {{path: /n, equals: 1}}, each-value-matches: n}}"
        ));
        checks.push(format!("{{name: count{at}, prefix: {prefix}, count: {{at-least: 1}}}}"));
    }
    for (at, key) in ["/d", "/e", "/f", "/a/1", "/none", "/d"].iter().enumerate() {
        checks.push(format!("{{name: key{at}, key: {key}, value-size-below: 1MiB}}"));
    }
    checks.push("{name: all, prefix: '', count: 8}".to_owned());
    let checks: Vec<&str> = checks.iter().map(String::as_str).collect();
    let before = requests(&etcd);
    let run = check(&etcd, &checks).args(["-o", "json"]).run();
    let after = requests(&etcd);
    let found = states(run.code(1));
    let failed: Vec<&str> = found.iter().filter(|(_, state)| state != "pass").map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, ["key4"], "only the key that does not exist fails");
    assert_eq!(run.json()["revision"], json!(9));
    // One for the revision, one for each of /a/ and /c/, one count of all; one transaction for the keys outside.
    let sent: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(sent, [4, 0, 1]);
}

#[test]
fn the_revision_of_a_check_does_not_move_while_others_write() {
    let etcd = Etcd::start();
    // Both keys always have the same value, and change in one transaction.
    let txn = "then:\n  - put: {key: /x/a, value: VALUE}\n  - put: {key: /y/b, value: VALUE}\n";
    let write = |value: &str| {
        Kvadm::new().endpoint(&etcd).args(["txn", "-"]).stdin(txn.replace("VALUE", value)).run().ok();
    };
    write("v0");
    let checks = [
        "{name: a, key: /x/a, value-matches: '^v'}",
        "{name: b, prefix: /y/, each-value-matches: '^v'}",
        "{name: both, prefix: '', count: 2}",
    ];
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..20).for_each(|at| write(&format!("v{at}"))));
        while !writer.is_finished() {
            check(&etcd, &checks).run().ok();
        }
    });
}

#[test]
fn a_compaction_meanwhile_begins_again_at_a_later_revision() {
    let etcd = Etcd::start();
    put(&etcd, "/a/1", "x");
    put(&etcd, "/k", "x");
    let compacted = Spoil::Etcd(11, "etcdserver: mvcc: required revision has been compacted");
    for (skip, times, code) in [(1, 1, 0), (2, 1, 0), (1, 1_000, 4)] {
        // The first request asks for the revision.
        let plan = Plan { spoil: compacted, methods: &["Range"], skip, times, then_gone: false };
        let spoiler = Spoiler::start(&etcd.address(), plan);
        let checks = file(&["{name: a, prefix: /a/, value-size-below: 1kB}", "{name: k, key: /k, value: x}"]);
        let run = Kvadm::new().endpoint(&spoiler.endpoint()).args(["check", "-", "-o", "json"]).stdin(checks).run();
        run.code(code);
        let expected = if code == 0 { "pass" } else { "error" };
        assert!(states(&run).iter().all(|(_, state)| state == expected), "{skip} {times}: {}", run.stdout_text());
    }
}

#[test]
fn a_silent_cluster_is_waited_for_no_longer_than_the_deadline() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::HangReplies);
    let checks = file(&["{name: key, key: /k, exists: true}", "{name: members, healthy: true}"]);
    let options = ["check", "-", "--deadline", "4s", "--dial-timeout", "30s", "-o", "json"];
    let run = Kvadm::new().endpoint(&proxy.endpoint()).args(options).stdin(checks).timeout(SOON).run();
    run.code(3).within(Duration::from_secs(10)).err_has("note: still asking the members");
    assert!(states(&run).iter().all(|(_, state)| state == "error"), "{}", run.stdout_text());
}

#[test]
fn a_write_probe_leaves_nothing_and_overwrites_nothing() {
    let etcd = Etcd::start();
    let all = || etcd.held_under("").len();
    let run = check(&etcd, &["{name: write, write-latency-below: 10s}"]).args(["-o", "json"]).run();
    run.ok();
    assert_eq!((all(), etcd.leases().len()), (0, 0));
    assert_eq!(rule(&run)["unit"], "seconds");
    assert!(rule(&run)["measured"].as_f64().unwrap() < 10.0);
    let run = check(&etcd, &["{name: write, write-latency-below: 1ns, probe-key: /probe}"]).run();
    run.code(1).out_has("write-latency-below: writes take less than 1ns\t");
    assert_eq!(all(), 0);
    etcd.etcdctl_ok(&["put", "/probe", "theirs"]);
    check(&etcd, &["{name: write, write-latency-below: 10s, probe-key: /probe}"]).run().ok();
    assert_eq!(etcd.held("/probe").unwrap().text(), "theirs");
    assert_eq!((all(), etcd.leases().len()), (1, 0));
    let before = etcd.revision();
    let checks = ["{name: write, write-latency-below: 10s}", "{name: quorum, quorum: write}"];
    let run = check(&etcd, &checks).args(["--dry-run", "-o", "json"]).run();
    assert!(states(run.ok()).iter().all(|(_, state)| state == "skipped"));
    assert_eq!(etcd.revision(), before, "a dry run writes nothing");
    check(&etcd, &checks).run().ok();
}

#[test]
fn a_probe_that_is_interrupted_removes_its_key() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    let slow = Duration::from_millis(400);
    proxy.set(Mode::Delay { up: Duration::ZERO, down: slow });
    let checks = file(&["{name: write, write-latency-below: 60s, probe-key: /probe}"]);
    let mut running = Kvadm::new().endpoint(&proxy.endpoint()).args(["check", "-"]).stdin(checks).timeout(SOON).spawn();
    running.close_stdin();
    eventually("the probe key", SOON, || !etcd.held_under("/probe/").is_empty());
    running.signal(Signal::SIGINT);
    // The lease would end after ten seconds.
    running.wait().signal(Signal::SIGINT).within(Duration::from_secs(8));
    assert!(etcd.held_under("/probe").is_empty() && etcd.leases().is_empty());
}

#[test]
fn a_probe_whose_answer_is_lost_finds_its_own_key() {
    let etcd = Etcd::start();
    for (skip, spoil) in [(0, Spoil::CutBefore), (1, Spoil::CutBefore), (0, Spoil::CutAfter)] {
        let plan = Plan { spoil, methods: &["Txn"], skip, times: 1, then_gone: false };
        let spoiler = Spoiler::start(&etcd.address(), plan);
        let checks = file(&["{name: write, write-latency-below: 60s, probe-key: /probe}"]);
        let run = Kvadm::new().endpoint(&spoiler.endpoint()).args(["check", "-"]).stdin(checks).timeout(SOON).run();
        run.ok();
        assert!(etcd.held_under("/probe").is_empty() && etcd.leases().is_empty());
    }
}

#[test]
fn a_user_who_may_not_read_all_gets_errors_for_the_rest() {
    let etcd = Etcd::start();
    put(&etcd, "/app/a", "1");
    put(&etcd, "/secret/a", "1");
    for line in [
        "user add root:root",
        "role add root",
        "user grant-role root root",
        "user add app:app",
        "role add app",
        "role grant-permission app --prefix=true readwrite /app/",
        "user grant-role app app",
        "auth enable",
    ] {
        etcd.etcdctl_ok(&line.split(' ').collect::<Vec<_>>());
    }
    let checks = [
        "{name: own, key: /app/a, value: '1'}",
        "{name: all, prefix: /app/, count: 1, value-size-below: 1kB}",
        "{name: secret, key: /secret/a, value: '1'}",
        "{name: secrets, prefix: /secret/, count: 1}",
        "{name: members, healthy: 1, reachable: true, leader: true}",
        "{name: write, quorum: write}",
    ];
    let run = check(&etcd, &checks).args(["--user", "app", "-o", "json"]).env("KVADM_PASSWORD", "app").run();
    let found = states(run.code(4));
    let states: Vec<&str> = found.iter().map(|(_, state)| state.as_str()).collect();
    assert_eq!(states, ["pass", "pass", "error", "error", "pass", "error"]);
    assert!(run.stdout_text().contains("permission denied"), "{}", run.stdout_text());
}

#[test]
fn a_database_file_answers_rules_about_keys() {
    let db = super::support::databases::snapshot("3.5");
    let run = |checks: &[&str]| Kvadm::new().args(["check", "-", "--db"]).arg(&db).stdin(file(checks)).run();
    run(&["{name: any, prefix: '', count: {at-least: 1}}", "{name: none, key: /no/such/key, absent: true}"]).ok();
    let refused = run(&["{name: members, healthy: true}", "{name: any, prefix: '', count: {at-least: 1}}"]);
    refused.code(2).out_empty().err_has("stdin:2: check 'members': the rule 'healthy' needs a cluster");
    refused.err_has("--only: any");
}

/// All rules are in the manual, and in the help with an example.
#[test]
fn every_rule_is_described() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = std::fs::read_to_string(root.join("src/cli/manual/kvadm-check.5.txt")).unwrap();
    let help = Kvadm::new().args(["check", "--help"]).run().ok().stdout_text();
    for rule in kvadm::check::RULES {
        assert!(manual.lines().any(|line| line.starts_with(&format!("  {}  ", rule.name))), "{}", rule.name);
        assert!(help.contains(rule.example) && help.contains(rule.meaning), "{}", rule.name);
    }
    for line in manual.lines().filter_map(|line| line.strip_prefix("  ")) {
        let Some((term, _)) =
            line.split_once("  ").filter(|(term, _)| term.contains('-') && !term.contains([' ', ',']))
        else {
            continue;
        };
        let known = kvadm::check::RULES.iter().any(|rule| rule.name == term);
        assert!(
            known || ["probe-key", "at-least", "show-values"].contains(&term),
            "kvadm-check(5) describes '{term}', which is no rule"
        );
    }
}
