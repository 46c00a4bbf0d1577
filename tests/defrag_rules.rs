//! `kvadm compact --defrag` with `--if` and `--pause`, on versions with defects, and the examples that run it regularly.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::documents::parses;
use super::support::binary::{defrag_needs_force, full_version};
use super::support::{Cluster, Endpoints, Etcd, Kvadm, Run, eventually};

const SOON: Duration = Duration::from_secs(20);

fn compact(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Run {
    Kvadm::new().endpoint(of).arg("compact").args(args).run()
}

fn states(said: &Value) -> Vec<&str> {
    said["members"].as_array().unwrap().iter().map(|member| member["defrag"].as_str().unwrap()).collect()
}

/// A member whose file is mostly free: 3 MB were written and deleted.
fn with_free_space() -> Etcd {
    let etcd = Etcd::start();
    for _ in 0..3 {
        Kvadm::new().endpoint(&etcd).args(["put", "/key", "-"]).stdin("x".repeat(1_000_000)).run().ok();
    }
    Kvadm::new().endpoint(&etcd).args(["put", "/key", "small"]).run().ok();
    compact(&etcd, &["--keep", "0"]).ok();
    has_free_space(&etcd);
    etcd
}

/// Waits until the members tell that most of their files is free: the figures change with the next commit.
fn has_free_space(of: &(impl Endpoints + ?Sized)) {
    eventually("free space", SOON, || {
        // Pages that a commit has freed can be used after the next one.
        Kvadm::new().endpoint(of).args(["put", "/other", "small"]).run().ok();
        let said = Kvadm::new().endpoint(of).args(["status", "-o", "json"]).run().json();
        let half = |member: &Value| member["in_use"].as_u64().unwrap() * 2 < member["db_size"].as_u64().unwrap();
        said["members"].as_array().unwrap().iter().all(half)
    });
}

#[test]
fn a_member_that_qualifies_is_defragmented_and_then_it_does_not_any_more() {
    let etcd = with_free_space();
    let rule = ["--defrag", "--yes", "-o", "json", "--if", "in-use-below=60% and free-above=1MiB"];
    let planned = compact(&etcd, &[&rule[..], &["--dry-run"]].concat()).ok().json();
    assert_eq!(planned["would_defrag"], json!([etcd.endpoint()]));
    let said = compact(&etcd, &rule).ok().json();
    assert_eq!(states(&said), ["done"], "{said}");
    assert!(said["members"][0]["db_size_after"].as_u64() < Some(1 << 20), "{said}");
    let run = compact(&etcd, &rule);
    let said = run.ok().err_has("no member qualifies").err_has("is skipped: ").json();
    assert_eq!(states(&said), ["skipped"], "{said}");
    assert!(said["members"][0]["reason"].as_str().unwrap().contains("% in use, "), "{said}");
    let run = compact(&etcd, &[&rule[..], &["--dry-run"]].concat());
    assert_eq!(run.ok().err_has("would be skipped: ").json()["would_defrag"], json!([]));
}

#[test]
fn nobody_is_asked_if_no_member_qualifies() {
    let cluster = Cluster::start(3);
    let run = compact(&cluster, &["--defrag", "--if", "free-above=1GiB", "-o", "json"]);
    let said = run.ok().err_has("no member qualifies").json();
    assert_eq!(states(&said), ["skipped"; 3], "{said}");
    let run = compact(&cluster, &["--defrag", "--if", "size-above=1"]);
    run.code(2).out_empty().err_has("Defragment 3 members, one at a time where size-above=1").err_has("--yes");
}

#[test]
fn a_compaction_comes_first_and_the_rule_is_judged_after_it() {
    let etcd = Etcd::start();
    for _ in 0..3 {
        Kvadm::new().endpoint(&etcd).args(["put", "/key", "-"]).stdin("x".repeat(1_000_000)).run().ok();
    }
    Kvadm::new().endpoint(&etcd).args(["put", "/key", "small"]).run().ok();
    let args = ["--keep", "0", "--defrag", "--yes", "-o", "json", "--if", "free-above=1MiB"];
    let said = compact(&etcd, &args).ok().json();
    assert_eq!((states(&said), &said["compacted"]), (vec!["done"], &json!(5)), "{said}");
    let run = compact(&etcd, &args);
    let said = run.ok().err_has("nothing to defragment: no member qualifies").json();
    assert_eq!(states(&said), ["skipped"], "{said}");
}

#[test]
fn members_are_judged_one_by_one() {
    let cluster = Cluster::start(3);
    for _ in 0..3 {
        Kvadm::new().endpoint(&cluster).args(["put", "/key", "-"]).stdin("x".repeat(1_000_000)).run().ok();
    }
    Kvadm::new().endpoint(&cluster).args(["put", "/key", "small"]).run().ok();
    compact(&cluster, &["--keep", "0"]).ok();
    has_free_space(&cluster);
    // One is defragmented beforehand.
    let first = &cluster.members[0];
    first.etcdctl_ok(&["defrag"]);
    let rule = ["--defrag", "--yes", "-o", "json", "--if", "free-above=1MiB"];
    let said = compact(&cluster, &rule).ok().json();
    for member in said["members"].as_array().unwrap() {
        let wanted = if member["endpoint"] == first.endpoint() { "skipped" } else { "done" };
        assert_eq!(member["defrag"], wanted, "{said}");
        assert_eq!(member.get("reason").is_some(), wanted == "skipped", "{said}");
    }
}

#[test]
fn there_is_a_pause_between_two_members_and_none_after_the_last() {
    let cluster = Cluster::start(3);
    let started = Instant::now();
    let run = compact(&cluster, &["--defrag", "--yes", "--pause", "1s", "-o", "json"]);
    assert_eq!(states(&run.ok().json()), ["done"; 3]);
    run.err_has("waiting 1s before the next member (2 members left)").err_has("(1 member left)");
    assert!(started.elapsed() >= Duration::from_secs(2));
    run.err_lacks("(0 members left)");
}

#[test]
fn the_pause_answers_ctrl_c_at_once() {
    let cluster = Cluster::start(3);
    let args = ["compact", "--defrag", "--yes", "--pause", "1h", "-o", "json"];
    let running = Kvadm::new().endpoint(&cluster).args(args).spawn();
    running.wait_for_stderr("waiting 1h0m0s before the next member", SOON);
    running.signal(Signal::SIGINT);
    let run = running.wait();
    run.signal(Signal::SIGINT).within(SOON).err_has("interrupted with 2 members not defragmented");
    let said = run.json();
    let mut states = states(&said);
    states.sort_unstable();
    assert_eq!(states, ["done", "left", "left"], "{said}");
}

#[test]
fn a_wrong_rule_says_where_and_suggests() {
    for (rule, says) in [
        ("in-use-bellow=50%", "did you mean 'in-use-below'?"),
        ("in-use-below=50% xor free-above=1MiB", "at character 18"),
        ("in-use-below=50", "did you mean 50%?"),
        ("", "a term is missing"),
    ] {
        Kvadm::new().args(["compact", "--defrag", "--if", rule]).run().code(2).out_empty().err_has(says);
    }
    for args in [&["--if", "size-above=1"][..], &["--pause", "1s"], &["--reclaim", "--if", "size-above=1"]] {
        Kvadm::new().arg("compact").args(args).run().code(2).out_empty().err_has("--defrag");
    }
}

#[test]
fn a_version_with_a_defect_is_defragmented_with_force_only() {
    let etcd = Etcd::start();
    etcd.etcdctl_ok(&["put", "/key", "a"]);
    let run = Kvadm::new().endpoint(&etcd).args(["compact", "--defrag", "--yes", "-o", "json"]).unforced().run();
    match full_version() {
        (3, 5, 0..=5) => {
            assert!(defrag_needs_force());
            run.code(5).out_empty().err_has("#14733").err_has("upgrade to etcd 3.5.33").err_has("--force");
            let reclaim = Kvadm::new().endpoint(&etcd).args(["compact", "--reclaim", "--yes"]).unforced().run();
            reclaim.code(5).out_empty().err_has("#14733");
            assert_eq!(etcd.etcdctl_ok(&["get", "/key", "--print-value-only"]), "a\n");
            compact(&etcd, &["--defrag", "--dry-run"]).ok().err_has("#14733");
            compact(&etcd, &["--defrag", "--force", "--yes"]).ok().err_has("warning: ").err_has("#14733");
        }
        (3, 5, ..=22) | (3, 6, ..=4) => {
            run.ok().err_has("warning: ").err_has("#20650");
        }
        _ => {
            run.ok().err_lacks("warning: ");
        }
    }
}

fn document(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(path)).unwrap()
}

/// A word of a unit file without its quotes: none of the examples has a quote inside a word.
fn words_of_unit(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a closing quote"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        // systemd writes a percent sign twice.
        words.push(word.replace("%%", "%"));
        rest = tail.trim_start();
    }
    words
}

#[test]
fn the_unit_of_systemd_runs_a_valid_command() {
    let unit = document("systemd/kvadm-compact.service");
    let lines: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("ExecStart=")).collect();
    assert_eq!(lines.len(), 1, "{unit}");
    for line in lines {
        let words = words_of_unit(line);
        assert!(words[0].ends_with("/kvadm"), "{words:?}");
        let command = kvadm::command().try_get_matches_from(&words);
        assert!(command.is_ok(), "{words:?}: {command:?}");
        assert!(words.contains(&"--if".to_owned()) && words.contains(&"--yes".to_owned()), "{words:?}");
    }
    for option in ["NoNewPrivileges=yes", "ProtectSystem=strict", "DynamicUser=yes", "Type=oneshot"] {
        assert!(unit.contains(option), "{option}");
    }
    let timer = document("systemd/kvadm-compact.timer");
    assert!(timer.contains("OnCalendar=") && timer.contains("RandomizedDelaySec="), "{timer}");
}

#[test]
fn the_cron_job_of_kubernetes_runs_a_valid_command() {
    let text = document("kubernetes/cronjob.yaml");
    let job: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!((&job["kind"], &job["spec"]["concurrencyPolicy"]), (&json!("CronJob"), &json!("Forbid")));
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let words = ["command", "args"].iter().flat_map(|field| container[field].as_array().unwrap());
    let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
    let command = kvadm::command().try_get_matches_from(&words);
    assert!(command.is_ok(), "{words:?}: {command:?}");
    assert!(words.contains(&"--if") && words.contains(&"--yes"), "{words:?}");
    let security = &container["securityContext"];
    assert_eq!(
        (&security["allowPrivilegeEscalation"], &security["readOnlyRootFilesystem"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
    assert!(parses("kvadm status").is_ok());
}
