//! `check`: where reports go, which values they show, and what happens when members, files or time are missing.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::check::{check, file, put, rule, states};
use super::failover::{cluster, heal};
use super::support::{Etcd, Kvadm, Mode, Proxy, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);
const NEVER: &str = "{name: never, key: /no/such/key, exists: true}";
const ALWAYS: &str = "{name: always, healthy: true}";

#[test]
fn a_report_goes_through_links_and_only_a_regular_file_is_replaced() {
    let (etcd, folder) = (shared(), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name);
    let report = |name: &str| format!("--report=json={}", at(name).display());
    std::fs::create_dir(at("real")).unwrap();
    symlink("real/report", at("link")).unwrap();
    check(etcd, &[ALWAYS]).arg(report("link")).run().ok();
    let read = |path: &Path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    assert!(std::fs::symlink_metadata(at("link")).unwrap().is_symlink());
    assert_eq!(read(&at("real/report"))["passed"], 1);
    assert_eq!(std::fs::read_dir(at("real")).unwrap().count(), 1, "the temporary file was beside the real one");

    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    symlink("fifo", at("to-fifo")).unwrap();
    let mut waiting = check(etcd, &[ALWAYS]).arg(report("to-fifo")).spawn();
    waiting.close_stdin();
    waiting.wait_for_stderr("note: waiting for a program that reads ", SOON);
    assert_eq!(read(&at("fifo"))["passed"], 1);
    waiting.wait().ok().out_has("always\tpass");
    assert!(std::fs::symlink_metadata(at("to-fifo")).unwrap().is_symlink());
    // A signal ends the wait for a reader.
    let mut waiting = check(etcd, &[ALWAYS]).arg(report("fifo")).spawn();
    waiting.close_stdin();
    waiting.wait_for_stderr("note: waiting for a program that reads ", SOON);
    waiting.signal(Signal::SIGINT);
    waiting.wait().signal(Signal::SIGINT).within(SOON).out_has("always\tpass");

    // The descriptor of stderr, by the link of a link.
    symlink("/proc/self/fd/2", at("stderr")).unwrap();
    check(etcd, &[ALWAYS]).arg(report("stderr")).run().ok().err_has("\"passed\":1");
    assert!(std::fs::symlink_metadata(at("stderr")).unwrap().is_symlink());
    check(etcd, &[ALWAYS]).args(["--report", "json=-"]).run().ok().json();
    check(etcd, &[ALWAYS]).arg(report("real")).run().code(6).err_has("not a regular file");
}

#[test]
fn a_new_report_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own() {
    let (etcd, folder) = (shared(), tempfile::tempdir().unwrap());
    let path = folder.path().join("kvadm.prom");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let run = |umask: &str| {
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        Kvadm::program("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_kvadm")])
            .endpoint(etcd)
            .args(["check", "-", "--report"])
            .arg(format!("prometheus={}", path.display()))
            .stdin(file(&[ALWAYS]))
            .run()
            .ok();
    };
    run("022");
    assert_eq!(mode(), 0o644);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o604)).unwrap();
    run("077");
    assert_eq!(mode(), 0o604);
    std::fs::remove_file(&path).unwrap();
    run("027");
    assert_eq!(mode(), 0o640);
}

#[test]
fn other_verbs_refuse_to_replace_what_is_no_regular_file() {
    let (etcd, folder) = (shared(), tempfile::tempdir().unwrap());
    let descriptor = folder.path().join("descriptor");
    symlink("/proc/self/fd/2", &descriptor).unwrap();
    let kvadm = |args: &[&str]| Kvadm::new().endpoint(etcd).args(args).arg(&descriptor);
    kvadm(&["watch", "/none", "--resume"]).run().code(2).err_has("not a regular file");
    kvadm(&["gc", "locks", "/none/", "--save"]).run().code(2).err_has("not a regular file");
    kvadm(&["snapshot", "save"]).run().code(2);
    assert!(std::fs::symlink_metadata(&descriptor).unwrap().is_symlink());
}

/// A stored secret is in no report unless the file asks for it.
#[test]
fn reports_show_a_stored_value_only_if_the_file_compares_or_asks() {
    let (etcd, p) = (shared(), unique_prefix());
    put(etcd, &format!("{p}plain"), "hunter2");
    put(etcd, &format!("{p}json"), r#"{"pass": "hunter2", "all": {"a": "hunter2"}}"#);
    let key = |name: &str, rule: &str| format!("{{name: x, key: {p}{name}, {rule}}}");
    let prefix = |rule: &str| format!("{{name: x, prefix: {p}, {rule}}}");
    let formats = ["junit", "tap", "nagios", "prometheus", "json"];
    let shows = |top: &str, text: &str| {
        let checks = format!("{top}{}", file(&[text]));
        let run = |more: &[&str]| {
            let run = Kvadm::new().endpoint(etcd).args(["check", "-"]).args(more).stdin(&checks).run();
            assert!(run.code == Some(1) || run.code == Some(2), "{text}: {}", run.stdout_text());
            run.stdout_text() + &run.stderr_text()
        };
        let all: Vec<String> = formats.iter().map(|format| run(&["--report", format])).chain([run(&[])]).collect();
        all.iter().any(|said| said.contains("hunter2"))
    };
    for text in [
        key("plain", "absent: true"),
        key("plain", "value-matches: '^k8s:enc:'"),
        key("plain", "json: {path: /a, equals: 1}"),
        key("plain", "changed-within: 2m"),
        key("json", "json: {path: /all, equals: 1}"),
        prefix("each-value-matches: '^k8s:enc:'"),
        prefix("each-json: {path: /none, equals: 1}"),
    ] {
        assert!(!shows("", &text), "{text}");
        assert!(!shows("show-values: false\n", &text), "{text}");
    }
    let compared = [key("plain", "value: blue"), key("json", "json: {path: /pass, equals: blue}")];
    for text in &compared {
        assert!(shows("", text), "{text}");
        assert!(!shows("show-values: false\n", text), "{text}");
        assert!(!shows("", &text.replace("name: x", "name: x, show-values: false")), "{text}");
    }
    // What the file expects may be a secret as well.
    let expected = key("json", "value: hunter2, show-values: false");
    assert!(!shows("", &expected) && shows("", &expected.replace("false", "true")));
    for text in [key("plain", "absent: true"), key("plain", "value-matches: x"), prefix("each-value-matches: x")] {
        assert!(shows("show-values: true\n", &text), "{text}");
        assert!(!shows("show-values: true\n", &text.replace("name: x", "name: x, show-values: false")), "{text}");
    }
}

#[test]
fn a_report_that_is_missing_changes_the_only_line_of_a_plugin() {
    let etcd = shared();
    let run = |checks: &[&str], format: &str| {
        check(etcd, checks).args(["--report", format, "--report", "json=/none/report.json"]).run()
    };
    let passing = run(&[ALWAYS], "nagios");
    passing.code(3).err_has("warning: cannot write the report /none/report.json: ");
    let lines: Vec<String> = passing.stdout_text().lines().map(str::to_owned).collect();
    assert!(lines.len() == 1 && lines[0].starts_with("KVADM UNKNOWN - cannot write the report /none"), "{lines:?}");
    assert!(lines[0].contains("; 1 check passed|passed=1"), "{lines:?}");
    let failing = run(&[ALWAYS, NEVER], "nagios");
    failing.code(2).err_has("warning: cannot write the report");
    assert_eq!(failing.stdout_text().matches("KVADM").count(), 1);
    assert!(failing.stdout_text().starts_with("KVADM CRITICAL - 1 of 2 checks failed: never|"));
    run(&[ALWAYS], "tap").code(6).out_has("ok 1 - always");
    run(&[NEVER], "tap").code(1);
}

#[test]
fn a_range_has_two_limits_in_every_report() {
    let (etcd, p) = (shared(), unique_prefix());
    (0..3).for_each(|at| put(etcd, &format!("{p}{at}"), "x"));
    let checks = [&*format!("{{name: n, prefix: {p}, count: {{at-least: 1, at-most: 2}}}}")];
    let found = rule(&check(etcd, &checks).args(["-o", "json"]).run());
    assert_eq!((&found["measured"], &found["lower_limit"]), (&json!(3.0), &json!(1.0)));
    assert_eq!(found["upper_limit"], 2.0);
    let of = |format: &str| check(etcd, &checks).args(["--report", format]).run().stdout_text();
    assert!(of("nagios").contains(" 'n count'=3;;1:2\n"), "{}", of("nagios"));
    let prometheus = of("prometheus");
    for (side, limit) in [("lower", 1), ("upper", 2)] {
        let line = format!("kvadm_check_{side}_limit_count{{check=\"n\",rule=\"count\",file=\"stdin\"}} {limit}\n");
        assert!(prometheus.contains(&line), "{prometheus}");
    }
    let tap = of("tap");
    assert!(tap.contains("lower_limit: 1\n") && tap.contains("upper_limit: 2\n"), "{tap}");
    let strict = [&*format!("{{name: n, prefix: {p}, count: {{below: 2}}, size-below: 1MiB}}")];
    let nagios = check(etcd, &strict).args(["--report", "nagios"]).run().stdout_text();
    assert!(nagios.contains("'n count'=3;;@2:"), "{nagios}");
}

#[test]
fn wait_tries_until_its_time_is_over() {
    let etcd = shared();
    let begun = Instant::now();
    check(etcd, &[NEVER]).args(["--wait", "1200ms"]).run().code(1);
    assert!(begun.elapsed() >= Duration::from_millis(1_150), "{:?}", begun.elapsed());
    // The last evaluation cannot be completed: the verdict of the one before counts.
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Delay { up: Duration::ZERO, down: Duration::from_millis(300) });
    let run = Kvadm::new()
        .endpoint(&proxy.endpoint())
        .args(["check", "-", "--wait", "2s"])
        .stdin(file(&[NEVER]))
        .timeout(SOON)
        .run();
    run.code(1).out("never\tfail\texists: the key exists\tno such key\n").within(Duration::from_secs(9));
}

#[test]
fn the_last_results_are_reported_after_a_deadline_or_a_signal() {
    let (etcd, folder) = (shared(), tempfile::tempdir().unwrap());
    let run = check(etcd, &[NEVER, ALWAYS]).args(["--wait", "60s", "--deadline", "2s"]).run();
    run.code(1).within(Duration::from_secs(8)).out_has("never\tfail").out_has("always\tpass");
    let path = folder.path().join("report.json");
    let report = format!("json={}", path.display());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        for nagios in [false, true] {
            let more = if nagios { &["--report", "nagios"][..] } else { &[] };
            let waiting = check(etcd, &[NEVER, ALWAYS]).args(["--wait", "60s", "--report", &report]).args(more);
            let mut waiting = waiting.spawn();
            waiting.close_stdin();
            waiting.wait_for_stderr("not passing yet: 'never'", SOON);
            waiting.signal(signal);
            let ended = waiting.wait();
            ended.signal(signal).within(SOON);
            match nagios {
                true => ended.out("KVADM UNKNOWN - interrupted; the last results: 1 of 2 checks failed\n"),
                false => ended.out_has("never\tfail").out_has("always\tpass").err_has("of the last evaluation"),
            };
            let saved: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!((&saved["passed"], &saved["failed"]), (&json!(1), &json!(1)));
            std::fs::remove_file(&path).unwrap();
        }
    }
    // Without any result, a plugin has its line all the same.
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::HangReplies);
    let args = ["check", "-", "--report", "nagios", "--dial-timeout", "30s"];
    let mut waiting = Kvadm::new().endpoint(&proxy.endpoint()).args(args).stdin(file(&[ALWAYS])).spawn();
    waiting.close_stdin();
    waiting.wait_for_stderr("note: still asking the members", SOON);
    waiting.signal(Signal::SIGTERM);
    waiting.wait().signal(Signal::SIGTERM).out_has("KVADM UNKNOWN - ");
    // The others say that nothing was judged; a file is not written.
    std::fs::write(&path, "earlier").unwrap();
    let args = ["check", "-", "--report", "tap", "--report", &report, "--dial-timeout", "30s"];
    let mut waiting = Kvadm::new().endpoint(&proxy.endpoint()).args(args).stdin(file(&[ALWAYS])).spawn();
    waiting.close_stdin();
    waiting.wait_for_stderr("note: still asking the members", SOON);
    waiting.signal(Signal::SIGINT);
    waiting.wait().signal(Signal::SIGINT).out_has("not ok 1").out_has("a signal ended the run").err_has("interrupted");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "earlier");
}

/// The exit code tells the result, although nobody reads the line.
#[test]
fn a_reader_that_has_gone_does_not_change_the_exit_code() {
    let etcd = shared();
    for (checks, code) in [(&[ALWAYS][..], 0), (&[NEVER], 2)] {
        let kvadm = env!("CARGO_BIN_EXE_kvadm");
        let script = format!(
            "{{ '{kvadm}' --endpoints {} check - --report nagios; echo $? >&2; }} < \"$0\" | {{ exec 0<&-; sleep 0.2; }}",
            etcd.endpoint()
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checks.yaml");
        std::fs::write(&path, file(checks)).unwrap();
        let run = Command::new("sh")
            .args(["-c", &script])
            .arg(&path)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(said.trim(), code.to_string(), "{said}");
    }
}

#[test]
fn without_a_quorum_only_one_request_times_out() {
    let mut cluster = cluster();
    heal(&mut cluster);
    cluster.members[1].stop();
    cluster.members[2].stop();
    let run = |checks: &[&str]| {
        Kvadm::new()
            .endpoint(&cluster.endpoints())
            .args(["check", "-", "-o", "json", "--op-timeout", "3s"])
            .stdin(file(checks))
            .timeout(SOON * 2)
            .run()
    };
    let checks = [
        "{name: key, key: /k, exists: true}",
        "{name: alarms, no-alarms: true}",
        "{name: history, history-below: 100}",
        "{name: write, write-latency-below: 1s}",
        "{name: change, key: /k, changes-within: 1m}",
    ];
    let found = run(&checks);
    // A request is sent again to another member after three seconds; four requests would take 24.
    found.code(3).within(Duration::from_secs(9));
    assert!(states(&found).iter().all(|(_, state)| state == "error"), "{}", found.stdout_text());
    let found = run(&[&["{name: members, healthy: 2}", "{name: same, consistent: true}"], &checks[..]].concat());
    // The scan asks for the list of members, and each member.
    found.code(1).within(Duration::from_secs(10));
    let states = states(&found);
    assert!(states[0].1 == "fail" && states[1..].iter().all(|(_, state)| state == "error"), "{states:?}");
    assert!(found.stdout_text().contains("the cluster has no quorum: "), "{}", found.stdout_text());
    heal(&mut cluster);
}

#[test]
fn learners_do_not_count_as_healthy_members() {
    let etcd = Etcd::start();
    let peer = format!("http://127.0.0.1:{}", super::support::process::free_port());
    etcd.etcdctl_ok(&["member", "add", "late", "--learner", &format!("--peer-urls={peer}")]);
    let listed = etcd.etcdctl_ok(&["member", "list"]);
    let first = listed.lines().find(|line| line.contains("default")).unwrap();
    let first = first.split(", ").find(|field| field.starts_with("http")).unwrap();
    let learner = Etcd::options()
        .arg(format!("--initial-cluster=default={first},late={peer}"))
        .arg("--initial-cluster-state=existing")
        .arg("--name=late")
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .start();
    eventually("the learner", SOON, || {
        let run = check(&etcd, &["{name: x, learners: 1, reachable: true}"]).run();
        run.code == Some(0)
    });
    let of =
        |wanted: u64| rule(&check(&etcd, &[&format!("{{name: x, healthy: {wanted}}}")]).args(["-o", "json"]).run());
    assert_eq!(of(1)["state"], "pass");
    let two = of(2);
    assert_eq!((&two["state"], &two["expected"]), (&json!("fail"), &json!("2 healthy voting members")), "{two}");
    assert!(two["found"].as_str().unwrap().starts_with("1, besides 1 healthy learner"), "{two}");
    drop(learner);
}

#[test]
fn a_dry_run_of_writes_alone_says_that_nothing_was_judged() {
    let checks = ["{name: write, write-latency-below: 1s}"];
    let run = |more: &[&str]| check(shared(), &checks).arg("--dry-run").args(more).run();
    run(&[]).ok().err_has("note: no check was judged, 1 skipped");
    run(&["--report", "nagios"]).ok().out_has("KVADM OK - no check was judged, 1 skipped|");
}
