//! The grammar that all kinds of `gc` share: plans, limits, rounds, and how they end.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::{Etcd, Kvadm, Mode, Proxy, Running, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

fn kvadm(etcd: &Etcd) -> Kvadm {
    Kvadm::new().env("KVADM_ENDPOINTS", etcd.endpoint())
}

/// A lock key that nobody takes away.
fn stale(prefix: &str, number: usize) -> String {
    format!("{prefix}{number}/324aa1fa14dee{number:03x}")
}

fn litter(etcd: &Etcd, prefix: &str, count: usize) -> Vec<String> {
    let keys: Vec<String> = (0..count).map(|number| stale(prefix, number)).collect();
    let line = |key: &String| format!("{{\"key\":\"{key}\",\"value\":\"\"}}\n");
    kvadm(etcd).args(["put", "--from", "-"]).stdin(keys.iter().map(line).collect::<String>()).run().ok();
    keys
}

fn gc(etcd: &Etcd, prefix: &str) -> Kvadm {
    kvadm(etcd).args(["gc", "locks", prefix])
}

fn left(etcd: &Etcd, prefix: &str) -> Vec<String> {
    etcd.held_under(prefix).iter().map(|held| String::from_utf8_lossy(&held.key).into_owned()).collect()
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))
}

#[test]
fn a_plan_is_a_file_to_read_and_only_what_all_agree_on_goes() {
    let etcd = shared();
    let prefix = unique_prefix();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let keys = litter(etcd, &prefix, 3);
    gc(etcd, &prefix).arg("--save").arg(file("one")).run().code(1).out_has(&keys[0]).err_has("3 of 3 lock keys");
    let text = std::fs::read_to_string(file("one")).unwrap();
    let plan = json(&text);
    assert_eq!((plan["kvadm_plan"].as_i64(), plan["kind"].as_str()), (Some(1), Some("locks")));
    assert_eq!((plan["scope"]["prefix"].as_str(), plan["looked_at"].as_i64()), (Some(prefix.as_str()), Some(3)));
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("{\"key\":")).collect();
    assert_eq!(lines.len(), 3, "a candidate a line:\n{text}");
    // What was seen once only, what changed, and what an operator took out of the plan, stays.
    std::fs::write(file("two"), text.replace(&format!("{},\n", lines[0].trim_end_matches(',')), "")).unwrap();
    etcd.etcdctl_ok(&["put", &keys[1], ""]);
    let late = stale(&prefix, 3);
    etcd.etcdctl_ok(&["put", &late, ""]);
    let since = || gc(etcd, &prefix).arg("--since").arg(file("one")).arg("--since").arg(file("two"));
    since().run().code(1).out_has(&keys[2]).out_lacks(&keys[0]).out_lacks(&keys[1]).out_lacks(&late);
    since().args(["--apply", "--dry-run"]).run().code(1).out_has("garbage").out_has(&keys[2]);
    assert_eq!(left(etcd, &prefix).len(), 4);
    since().arg("--apply").run().code(2).err_has("Remove 1 of 4 lock keys").err_has("--yes");
    since()
        .args(["--apply", "--yes"])
        .run()
        .ok()
        .out_has("removed")
        .err_has("4 of 4")
        .err_has("1 confirmed by earlier scans, 1 removed");
    assert_eq!(left(etcd, &prefix), [keys[0].clone(), keys[1].clone(), late]);
    since().args(["--apply", "--yes"]).run().ok().out_empty().err_has("0 confirmed by earlier scans, 0 removed");
}

#[test]
fn a_plan_of_something_else_or_a_broken_one_is_refused() {
    let etcd = shared();
    let prefix = unique_prefix();
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan");
    let keys = litter(etcd, &prefix, 2);
    gc(etcd, &prefix).arg("--save").arg(&plan).run().code(1);
    let text = std::fs::read_to_string(&plan).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(&plan, text.replacen(from, to, 1)).unwrap();
        gc(etcd, &prefix).arg("--since").arg(&plan).args(["--apply", "--yes"]).run()
    };
    with("\"kind\":\"locks\"", "\"kind\":\"ids\"").code(5).out_empty().err_has("the plan is of 'gc ids'");
    let cluster = format!("\"cluster\":\"{}\"", json(&text)["cluster"].as_str().unwrap());
    with(&cluster, "\"cluster\":\"1f\"")
        .code(5)
        .err_has("the plan is of cluster 1f, but this is cluster")
        .err_has("this is cluster");
    with(&format!("\"prefix\":\"{prefix}\""), "\"prefix\":\"/\"").code(5).err_has("other keys: /");
    with("\"revision\":", "\"revision\":999").code(5).err_has("it was restored or replaced");
    with("\"looked_at\"", "\"schema\":\"beef\",\"looked_at\"").code(5).err_has("another schema");
    with("\"kvadm_plan\":1", "\"kvadm_plan\":9").code(2).err_has("format 9");
    with("\"why\"", "\"who\"").code(2).err_has("who");
    with("]\n}", "").code(2).err_has("--since").err_has("not a plan: ");
    gc(etcd, &prefix).args(["--since", "/no/such/plan"]).run().code(2).err_has("/no/such/plan");
    assert_eq!(left(etcd, &prefix), keys);

    // What is no plan is not written over.
    std::fs::write(&plan, "precious").unwrap();
    gc(etcd, &prefix).arg("--save").arg(&plan).run().code(2).out_empty().err_has("the file exists and is not a plan");
    assert_eq!(std::fs::read_to_string(&plan).unwrap(), "precious");
    std::fs::write(&plan, &text).unwrap();
    gc(etcd, &prefix).arg("--save").arg(&plan).run().code(1);
    assert_eq!(json(&std::fs::read_to_string(&plan).unwrap())["looked_at"], 2);
    gc(etcd, &prefix).args(["--save", "/no/such/folder/plan"]).run().code(2).err_has("/no/such/folder/plan");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half written stays");
}

#[test]
fn wrong_usage() {
    let etcd = shared();
    let prefix = unique_prefix();
    let said = |args: &[&str]| gc(etcd, &prefix).args(args).run();
    said(&["--grace", "5s"]).code(2).err_has("--apply");
    said(&["--apply", "--grace", "5s", "--every", "5s"]).code(2);
    said(&["--apply", "--grace", "5s", "--since", "x"]).code(2);
    said(&["--max-percent", "101"]).code(2);
    said(&["--rate", "0"]).code(2);
    said(&["--every", "0s"]).code(2);
    kvadm(etcd).args(["gc", "locks", "--base", "a//b"]).run().code(2).err_has("--base");
    said(&["--apply", "--every", "1s"]).code(2).err_has("cannot ask for confirmation without a terminal").out_empty();
}

#[test]
fn limits_refuse_the_whole_and_say_the_numbers() {
    let etcd = shared();
    let prefix = unique_prefix();
    let keys = litter(etcd, &prefix, 6);
    let apply = |args: &[&str]| gc(etcd, &prefix).args(["--apply", "--yes", "--grace", "20ms"]).args(args).run();
    apply(&["--max-delete", "5"]).code(5).out_empty().err_has("6 would be removed, more than --max-delete 5");
    apply(&["--max-percent", "99"])
        .code(5)
        .err_has("6 of 6 would be removed, more than --max-percent 99")
        .err_has("hint:");
    gc(etcd, &prefix)
        .args(["--max-delete", "5"])
        .run()
        .code(1)
        .err_has("--apply would refuse: 6 would be removed, more than --max-delete 5");
    assert_eq!(left(etcd, &prefix), keys);
    // Twenty and fewer may all be garbage, unless a share was asked for.
    apply(&["--max-delete", "6", "--rate", "20"]).ok().err_has("6 removed");
    assert_eq!(left(etcd, &prefix), [""; 0]);
}

#[test]
fn the_rate_holds() {
    let etcd = shared();
    let prefix = unique_prefix();
    litter(etcd, &prefix, 9);
    let run = gc(etcd, &prefix).args(["--apply", "--yes", "--grace", "20ms", "--rate", "8"]).run();
    run.ok().err_has("9 removed");
    assert!(run.took >= Duration::from_millis(1000), "8 a second: {:?}", run.took);
}

#[test]
fn the_wait_between_two_looks_ends_with_a_signal_and_nothing_goes() {
    let etcd = shared();
    let prefix = unique_prefix();
    let keys = litter(etcd, &prefix, 2);
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        std::fs::remove_file(&plan).ok();
        let waiting = gc(etcd, &prefix).args(["--apply", "--yes"]).arg("--save").arg(&plan).spawn();
        eventually("the first look", SOON, || plan.exists());
        waiting.signal(signal);
        waiting.wait().signal(signal).within(SOON);
    }
    gc(etcd, &prefix).args(["--apply", "--yes", "--deadline", "2s"]).run().code(3).err_has("deadline");
    assert_eq!(left(etcd, &prefix), keys);
}

/// What compaction takes away between look and removal is not needed any more.
#[test]
fn compaction_between_look_and_removal_does_not_matter() {
    let etcd = Etcd::start();
    litter(&etcd, "/l/", 3);
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan");
    gc(&etcd, "/l/").arg("--save").arg(&plan).run().code(1);
    etcd.etcdctl_ok(&["put", "/x", "1"]);
    etcd.etcdctl_ok(&["compact", &etcd.revision().to_string()]);
    gc(&etcd, "/l/").arg("--since").arg(&plan).args(["--apply", "--yes"]).run().ok().err_has("3 removed");
    assert_eq!(left(&etcd, "/l/"), [""; 0]);
}

fn service(endpoint: &str, prefix: &str, plan: &Path) -> Running {
    let command = Kvadm::new().env("KVADM_ENDPOINTS", endpoint).args(["gc", "locks", prefix, "--apply", "--yes"]);
    command.args(["--every", "100ms", "-o", "json", "--op-timeout", "500ms", "--save"]).arg(plan).spawn()
}

fn next_round(running: &mut Running, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..200 {
        let round = json(&running.next_line().unwrap());
        if wanted(&round) {
            return round;
        }
    }
    panic!("200 rounds in vain");
}

#[test]
fn a_service_removes_in_the_second_round_and_outlives_its_store() {
    let mut etcd = Etcd::start();
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan");
    let endpoint = etcd.endpoint();
    etcd.stop();
    let mut running = service(&endpoint, "/l/", &plan);
    let failed = next_round(&mut running, |_| true);
    assert_eq!((failed["round"].as_i64(), failed["looked_at"].as_i64()), (Some(1), Some(0)));
    assert!(failed["error"].as_str().unwrap().contains("no etcd endpoint could be reached"), "{failed}");
    etcd.restart();
    let well = |round: &Value| round.get("error").is_none();
    let first = next_round(&mut running, well);
    assert!(first["round"].as_i64().unwrap() > 1 && first.get("agreed").is_none(), "{first}");
    let keys = litter(&etcd, "/l/", 2);
    let seen = next_round(&mut running, |round| round["garbage"] == 2);
    assert_eq!((seen["agreed"].as_i64(), seen["removed"].as_i64()), (Some(0), Some(0)), "{seen}");
    let removed = next_round(&mut running, |_| true);
    assert_eq!((removed["agreed"].as_i64(), removed["removed"].as_i64()), (Some(2), Some(2)), "{removed}");
    assert_eq!(left(&etcd, "/l/"), [""; 0], "{keys:?}");

    // What was seen before the store went away still counts as seen.
    etcd.kill();
    next_round(&mut running, |round| !well(round));
    etcd.restart();
    next_round(&mut running, well);
    running.signal(Signal::SIGTERM);
    running.wait().signal(Signal::SIGTERM).err_empty();
    assert!(json(&std::fs::read_to_string(&plan).unwrap())["revision"].as_i64().unwrap() > 1);
}

#[test]
fn a_service_without_apply_only_looks() {
    let etcd = shared();
    let prefix = unique_prefix();
    let keys = litter(etcd, &prefix, 1);
    let mut running = gc(etcd, &prefix).args(["--every", "50ms", "-o", "json"]).spawn();
    let round = next_round(&mut running, |round| round["round"] == 3);
    assert_eq!((round["agreed"].as_i64(), round.get("removed")), (Some(1), None));
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
    assert_eq!(left(etcd, &prefix), keys);
}

/// The removal that is on its way when the signal comes is waited for; the next one is not begun.
#[test]
fn a_signal_ends_between_two_removals() {
    let etcd = Etcd::start();
    litter(&etcd, "/l/", 100);
    let run = gc(&etcd, "/l/").args([
        "--apply",
        "--yes",
        "--grace",
        "20ms",
        "--max-percent",
        "100",
        "--rate",
        "20",
        "-o",
        "json",
    ]);
    let mut running = run.spawn();
    assert_eq!(json(&running.next_line().unwrap())["state"], "removed");
    running.signal(Signal::SIGTERM);
    let run = running.wait();
    run.signal(Signal::SIGTERM);
    let lines: Vec<Value> = run.stderr_text().lines().map(json).collect();
    let [said, error] = lines.as_slice() else { panic!("a summary and the error of a one-shot command: {run:?}") };
    assert_eq!((&error["error"], &error["exit_code"]), (&"interrupted".into(), &143.into()));
    let removed = said["removed"].as_u64().unwrap();
    assert!((1..100).contains(&removed), "{said}");
    assert_eq!(left(&etcd, "/l/").len() as u64, 100 - removed, "what it says is what it did");
    assert_eq!(run.json_lines().len() as u64, removed);
}

/// The store goes away in the middle: the rest is not tried, and what was done is said.
#[test]
fn a_store_that_goes_away_ends_the_run() {
    let etcd = Etcd::start();
    litter(&etcd, "/l/", 60);
    let mut proxy = Proxy::start(&etcd.address());
    let command = Kvadm::new().env("KVADM_ENDPOINTS", proxy.endpoint());
    let command = command.args(["gc", "locks", "/l/", "--apply", "--yes", "--grace", "20ms", "--max-percent", "100"]);
    let mut running = command.args(["--rate", "10", "--op-timeout", "300ms", "-o", "json"]).spawn();
    assert_eq!(json(&running.next_line().unwrap())["state"], "removed");
    proxy.set(Mode::Refuse);
    proxy.cut();
    let run = running.wait();
    run.code(6);
    let lines: Vec<Value> = run.stderr_text().lines().filter(|line| line.starts_with('{')).map(json).collect();
    assert!(lines[0]["removed"].as_u64().unwrap() >= 1 && lines[0]["error"].is_string(), "{lines:?}");
    assert_eq!(lines[1]["exit_code"], 6, "{lines:?}");
    assert!(left(&etcd, "/l/").len() < 60);
}

/// One that may not be removed does not keep the rest from going.
#[test]
fn what_fails_is_said_and_the_rest_goes() {
    let etcd = Etcd::options().arg("--bcrypt-cost=4").start();
    let keys = litter(&etcd, "/l/", 3);
    let grant = |what: &str, key: &str, end: &str| {
        etcd.etcdctl_ok(&["role", "grant-permission", "app", what, key, end]);
    };
    for args in [["user", "add", "root:Root-hunter2"], ["user", "add", "app:App-hunter3"], ["role", "add", "app"]] {
        etcd.etcdctl_ok(&args);
    }
    grant("read", "/l/", "--prefix=true");
    for key in [&keys[0], &keys[2]] {
        grant("readwrite", key, &format!("{key}0"));
    }
    etcd.etcdctl_ok(&["user", "grant-role", "app", "app"]);
    etcd.etcdctl_ok(&["user", "grant-role", "root", "root"]);
    etcd.etcdctl_ok(&["auth", "enable"]);
    let run = gc(&etcd, "/l/").args(["--user", "app"]).env("KVADM_PASSWORD", "App-hunter3");
    // One at a time: before etcd 3.6 nobody asks who may do what inside a nested transaction.
    let run = run.args(["--apply", "--yes", "--grace", "20ms", "--rate", "7", "-o", "json"]).run();
    run.code(6);
    let states: Vec<Value> = run.json_lines().iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states, ["removed", "failed", "removed"], "{}", run.stderr_text());
    assert!(run.json_lines()[1]["error"].as_str().unwrap().contains("permission denied"));
    run.err_has("\"removed\":2").err_has("\"failed\":1").err_lacks("hunter");
}

#[test]
fn on_a_terminal_it_asks() {
    let etcd = shared();
    let prefix = unique_prefix();
    let keys = litter(etcd, &prefix, 1);
    let answered = |answer: &str| {
        let mut asked = gc(etcd, &prefix).args(["--apply", "--grace", "20ms"]).pty().spawn();
        asked.wait_for_stdout("[y/N]", SOON);
        asked.write(answer);
        asked.wait()
    };
    answered("n\n")
        .code(5)
        .out_has("Found 1 candidate among 1 lock key\r\n")
        .out_has("Scan again in 20ms and remove the candidate if it is still garbage (http://")
        .out_has(")? [y/N] ")
        .out_has("not confirmed");
    assert_eq!(left(etcd, &prefix), keys);
    answered("y\n").ok().out_has("removed");
    assert_eq!(left(etcd, &prefix), [""; 0]);
}

#[test]
fn the_candidates_are_shown_before_the_question() {
    let (etcd, prefix) = (shared(), unique_prefix());
    let mut keys = litter(etcd, &prefix, 25);
    keys.sort_unstable();
    let mut asked = gc(etcd, &prefix).args(["--apply", "--grace", "20ms", "--max-percent", "100"]).pty().spawn();
    asked.wait_for_stdout("[y/N]", SOON);
    let shown = String::from_utf8_lossy(&asked.stdout()).into_owned();
    let question = shown.find("Found 25 candidates among 25 lock keys").unwrap();
    for key in &keys[..20] {
        assert!(
            shown.find(&format!("  {key}: no lease will remove it")).is_some_and(|at| at < question),
            "{key} in {shown}"
        );
    }
    assert!(!shown.contains(&keys[20]) && shown.contains("  … and 5 more\r\n"), "{shown}");
    asked.write("n\n");
    asked.wait().code(5).out_has("not confirmed");
    assert_eq!(left(etcd, &prefix).len(), 25);
    // The same for a plan that was saved before.
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan");
    gc(etcd, &prefix).arg("--save").arg(&plan).run().code(1);
    let mut asked =
        gc(etcd, &prefix).args(["--apply", "--max-percent", "100", "--since"]).arg(&plan).pty().timeout(SOON).spawn();
    asked.wait_for_stdout("[y/N]", SOON);
    assert!(String::from_utf8_lossy(&asked.stdout()).contains(&format!("  {}: no lease will remove it", keys[0])));
    asked.write("y\n");
    asked.wait().ok().out_has("25 removed");
}

/// The same command line from cron, from the first day on.
#[test]
fn the_first_plan_is_made_where_since_and_save_name_one_file() {
    let (etcd, prefix) = (shared(), unique_prefix());
    litter(etcd, &prefix, 3);
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan");
    let daily = |file: &Path| {
        let run = gc(etcd, &prefix).arg("--since").arg(file).arg("--save").arg(&plan).args(["--apply", "--yes"]);
        run.args(["-o", "json"]).run()
    };
    daily(&folder.path().join("another")).code(2).err_has("another");
    let special = folder.path().join("fifo");
    nix::unistd::mkfifo(&special, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for special in [&special, folder.path()] {
        let run = gc(etcd, &prefix).arg("--save").arg(special).run();
        run.code(2).out_empty().err_has("--save").err_has("not a regular file");
    }
    assert!(!plan.exists());
    // The same file by another name.
    let first = daily(&folder.path().join(".").join("plan"));
    first.ok().err_has("did not exist and holds the first plan now");
    assert!(first.json_lines().iter().all(|row| row["state"] == "garbage"), "{first:?}");
    assert_eq!((left(etcd, &prefix).len(), first.json_lines().len()), (3, 3));
    let second = daily(&plan);
    second.ok().err_has("\"removed\":3");
    assert_eq!(left(etcd, &prefix), [""; 0]);
    daily(&plan).ok().out_empty();
    // Without --apply, the first plan is reported like any other.
    litter(etcd, &prefix, 1);
    std::fs::remove_file(&plan).unwrap();
    gc(etcd, &prefix).arg("--since").arg(&plan).arg("--save").arg(&plan).run().code(1).err_lacks("first plan");
    assert!(plan.exists());
}
