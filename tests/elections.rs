//! `lock --value` and `lock --observe`: elections beside `etcdctl elect` and etcd's Election service.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use etcd_client::{Client, PutOptions, ResignOptions};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::support::process::pid;
use super::support::{Etcd, Kvadm, Mode, Proxy, Running, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

fn lock(etcd: &Etcd, name: &str, options: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(["lock", name]).args(options)
}

/// Leads, or waits to lead, until a line comes.
fn candidate(etcd: &Etcd, name: &str, value: &str) -> Running {
    lock(etcd, name, &["--value", value, "--", "sh", "-c", "echo $KVADM_LOCK_KEY; read -r a"]).spawn()
}

fn end(mut running: Running) {
    running.write("end\n");
    running.wait().ok();
}

/// `lock --list` as values with their states, in the order of the queue.
fn queue(etcd: &Etcd, name: &str) -> Vec<(String, String)> {
    let run = Kvadm::new().endpoint(etcd).args(["lock", "--list", name, "-o", "json"]).run();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    run.ok().json_lines().iter().map(|row| (text(row, "value"), text(row, "state"))).collect()
}

fn wait_for_queue(etcd: &Etcd, name: &str, values: &[&str]) {
    let expected: Vec<(String, String)> = values
        .iter()
        .enumerate()
        .map(|(place, value)| ((*value).to_owned(), if place == 0 { "held" } else { "waiting" }.to_owned()))
        .collect();
    eventually(&format!("the queue {values:?}"), SOON, || queue(etcd, name) == expected);
}

/// A running `etcdctl elect`. Dropped, it is killed.
struct Elect {
    child: Child,
    lines: Receiver<String>,
}

impl Elect {
    fn start(etcd: &Etcd, args: &[&str]) -> Self {
        let mut command = etcd.etcdctl_command(&[&["elect"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// Waits for this line, and returns the lines before it.
    fn wait_for(&self, wanted: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(SOON) {
                Ok(line) if line == wanted => return before,
                Ok(line) => before.push(line),
                Err(why) => panic!("etcdctl did not print {wanted:?} ({why}) after {before:?}"),
            }
        }
    }

    /// SIGINT: it resigns.
    fn end(&mut self) {
        nix::sys::signal::kill(pid(self.child.id()), Signal::SIGINT).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Elect {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn observe(etcd: &Etcd, name: &str, options: &[&str]) -> Running {
    lock(etcd, name, &["--observe", "-o", "json"]).args(options).spawn()
}

/// The next record of an observer: its event and its value.
#[track_caller]
fn next(observer: &mut Running) -> (String, Option<String>) {
    let record: Value = serde_json::from_str(&observer.next_line().expect("a record")).unwrap();
    (record["event"].as_str().unwrap().to_owned(), record["value"].as_str().map(str::to_owned))
}

#[track_caller]
fn saw(observer: &mut Running, event: &str, value: &str) {
    let value = Some(value.to_owned()).filter(|value| !value.is_empty());
    assert_eq!(next(observer), (event.to_owned(), value));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn connect(etcd: &Etcd) -> Client {
    Client::connect([etcd.endpoint()], None).await.unwrap()
}

#[test]
fn candidates_of_kvadm_etcdctl_and_the_election_service_wait_in_one_queue() {
    let etcd = shared();
    let name = format!("{}leader", unique_prefix());
    let mut observer = observe(etcd, &name, &[]);
    saw(&mut observer, "no-leader", "");
    let mut first = candidate(etcd, &name, "one");
    let key = first.next_line().unwrap();
    saw(&mut observer, "leader", "one");
    assert_eq!(etcd.held(key.trim_end()).unwrap().text(), "one");
    let listener = Elect::start(etcd, &["--listen", &name]);
    listener.wait_for("one");
    let mut second = Elect::start(etcd, &[&name, "two"]);
    wait_for_queue(etcd, &name, &["one", "two"]);
    runtime().block_on(async {
        let mut client = connect(etcd).await;
        let lease = client.lease_grant(600, None).await.unwrap().id();
        let mut election = client.election_client();
        let campaign = tokio::spawn({
            let (mut election, name) = (client.election_client(), name.clone());
            async move { election.campaign(name, "three", lease).await.unwrap() }
        });
        // The request is sent while this thread waits.
        while queue(etcd, &name).len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut last = candidate(etcd, &name, "five");
        wait_for_queue(etcd, &name, &["one", "two", "three", "five"]);
        end(first);
        saw(&mut observer, "leader", "two");
        second.wait_for("two");
        second.end();
        saw(&mut observer, "leader", "three");
        let leader = campaign.await.unwrap().leader().unwrap().clone();
        // The service sees kvadm's candidates and kvadm sees the service's.
        let told = election.leader(name.as_bytes()).await.unwrap();
        assert_eq!(told.kv().unwrap().value(), b"three");
        let proclaim = etcd_client::ProclaimOptions::new().with_leader(leader.clone());
        election.proclaim("four", Some(proclaim)).await.unwrap();
        saw(&mut observer, "proclaimed", "four");
        listener.wait_for("four");
        election.resign(Some(ResignOptions::new().with_leader(leader))).await.unwrap();
        saw(&mut observer, "leader", "five");
        let key = last.next_line().unwrap();
        let told = election.leader(name.as_bytes()).await.unwrap();
        let told = told.kv().unwrap();
        assert_eq!((told.key_str().unwrap(), told.value()), (key.trim_end(), &b"five"[..]));
        listener.wait_for("five");
        end(last);
        saw(&mut observer, "no-leader", "");
    });
    observer.signal(Signal::SIGINT);
    observer.wait().signal(Signal::SIGINT).err_empty();
}

#[test]
fn the_records_of_leaders() {
    let etcd = shared();
    let name = format!("{}leader", unique_prefix());
    // Without a leader, --count waits for one.
    lock(etcd, &name, &["--observe", "--count", "1", "--timeout", "300ms"])
        .run()
        .code(1)
        .out("no-leader\n")
        .err_empty();
    let mut running = lock(etcd, &name, &["--value", "node-1", "-o", "json"]).spawn();
    let held: Value = serde_json::from_str(&running.next_line().unwrap()).unwrap();
    assert_eq!(held["value"], json!("node-1"));
    let (key, revision) = (held["key"].as_str().unwrap(), held["revision"].clone());
    let seen = lock(etcd, &name, &["--observe", "--count", "1", "-o", "json"]).run();
    let record = seen.ok().err_empty().json();
    for (field, value) in [
        ("event", json!("leader")),
        ("key", json!(key)),
        ("value", json!("node-1")),
        ("create_revision", revision.clone()),
        ("mod_revision", revision.clone()),
        ("lease", held["lease"].clone()),
    ] {
        assert_eq!(record[field], value, "{field}");
    }
    assert!(record["revision"].as_i64() >= revision.as_i64());
    lock(etcd, &name, &["--observe", "--count", "1"]).run().ok().out(&format!("leader\t{key}\tnode-1\n"));
    lock(etcd, &name, &["--observe", "--count", "1", "-o", "raw"]).run().ok().out("node-1");
    let table = Kvadm::new().endpoint(etcd).args(["lock", "--list", &name, "-o", "table"]).run();
    table.ok().out_has("VALUE").out_has("node-1");
    assert!(!table.stdout_text().contains("OWNER"), "{table:?}");
    running.signal(Signal::SIGTERM);
    running.wait().signal(Signal::SIGTERM);
    // A lock without a value has none, and an observer shows what its key holds.
    let mut running = lock(etcd, &name, &["--", "sh", "-c", "echo up; read -r a"]).spawn();
    running.next_line().unwrap();
    let table = Kvadm::new().endpoint(etcd).args(["lock", "--list", &name, "-o", "table"]).run();
    table.ok().out_has("OWNER").out_lacks("VALUE");
    lock(etcd, &name, &["--observe", "--count", "1"]).run().ok().out_has("\tkvadm/1 host=");
    end(running);
}

#[test]
fn a_value_may_have_any_bytes_and_cannot_control_a_terminal() {
    let etcd = shared();
    let name = format!("{}leader", unique_prefix());
    let value = [&b"\xff\x00\x1b[2J\n"[..], &[b'x'; 3000]].concat();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("value");
    std::fs::write(&file, &value).unwrap();
    let file = file.to_str().unwrap();
    let shell = ["--", "sh", "-c", "echo $KVADM_LOCK_KEY; exec sleep 60"];
    let mut running = lock(etcd, &name, &["--value-file", file]).args(shell).spawn();
    let key = running.next_line().unwrap();
    assert_eq!(etcd.held(key.trim_end()).unwrap().value, value);
    lock(etcd, &name, &["--observe", "--count", "1", "-o", "raw"]).run().ok().out_bytes(&value);
    let text = lock(etcd, &name, &["--observe", "--count", "1"]).run();
    text.ok().out_has("\\xff\\0\\x1b[2J\\n").out_lacks("\x1b");
    let list = Kvadm::new().endpoint(etcd).args(["lock", "--list", &name, "-o"]);
    let row = list.arg("json").run().ok().json();
    let base64 = row["value_base64"].as_str().unwrap();
    assert_eq!((base64.len(), &row["value_cut"]), (1024_usize.div_ceil(3) * 4, &json!(true)));
    let table = Kvadm::new().endpoint(etcd).args(["lock", "--list", &name, "-o", "table"]).run();
    table.ok().out_lacks("\x1b").out_has("\\x1b[2J");
    running.signal(Signal::SIGTERM);
    running.wait().code(143);
    let run = lock(etcd, &name, &["--value", "-", "-o", "json", "--", "cat"]).stdin("from stdin").run();
    run.ok().out_empty();
}

#[test]
fn values_that_read_as_a_holder_are_refused() {
    let etcd = shared();
    let name = format!("{}leader", unique_prefix());
    for value in ["shared", "kvadm/1 shared", "kvadm/1 host=a pid=1", "kvadm/1 "] {
        let run = lock(etcd, &name, &["--value", value, "--", "true"]).run();
        run.code(2).out_empty().err_has("is not a value for an election: kvadm would read it as the holder of a lock");
    }
    lock(etcd, &name, &["--value", "-", "--", "true"]).stdin("shared").run().code(2);
    for value in ["", "-1", "sharedness", "kvadm/2 x"] {
        lock(etcd, &name, &["--value", value, "--", "true"]).run().ok();
    }
    for options in [
        &["--value", "v", "--shared"][..],
        &["--value", "v", "--rw"],
        &["--value", "v", "--anonymous"],
        &["--value", "v", "--list"],
        &["--value", "v", "--observe"],
        &["--observe", "--wait", "1s"],
        &["--observe", "--dry-run"],
        &["--count", "1"],
        &["--timeout", "1s"],
    ] {
        lock(etcd, &name, options).run().code(2).out_empty();
    }
    let run = lock(etcd, &name, &["--value", "v", "--dry-run"]).run();
    run.ok().err_has("is free and would be taken");
    assert!(etcd.held_under(&name).is_empty());
}

#[test]
fn lost_leadership_ends_the_command_and_deposed_candidates_are_taken() {
    let etcd = shared();
    let name = format!("{}leader", unique_prefix());
    let mut running =
        lock(etcd, &name, &["--value", "one", "--", "sh", "-c", "echo $KVADM_LOCK_KEY; exec sleep 60"]).spawn();
    let key = running.next_line().unwrap();
    let taken = lock(etcd, &name, &["--value", "two", "--try", "--", "true"]).run();
    taken.code(1).err_has("is taken");
    etcd.etcdctl_ok(&["del", key.trim_end()]);
    running.wait().code(5).err_has("lock");
    // A plain lock and a candidate exclude each other.
    let held = candidate(etcd, &name, "three");
    wait_for_queue(etcd, &name, &["three"]);
    lock(etcd, &name, &["--try", "--", "true"]).run().code(1);
    end(held);
}

#[test]
fn an_election_lies_in_the_namespace() {
    let etcd = shared();
    let prefix = unique_prefix();
    let inside = |args: &[&str]| Kvadm::new().endpoint(etcd).args(["--namespace", &prefix]).args(args);
    let mut running = inside(&["lock", "l", "--value", "v", "--", "sh", "-c", "echo up; read -r a"]).spawn();
    running.next_line().unwrap();
    let key = String::from_utf8(etcd.held_under(&prefix)[0].key.clone()).unwrap();
    assert!(key.starts_with(&format!("{prefix}l/")), "{key}");
    inside(&["lock", "l", "--observe", "--count", "1"]).run().ok().out(&format!("leader\t{key}\tv\n"));
    end(running);
}

/// Leaders that change all the time, and connections that are cut all the time.
#[test]
fn an_observer_misses_no_leader_and_no_value_while_its_connection_is_cut() {
    let etcd = shared();
    let name = format!("{}leader", unique_prefix());
    let proxy = Proxy::start(&etcd.address());
    let observer = Kvadm::new().endpoint(&proxy.endpoint()).args(["lock", &name, "--observe"]).spawn();
    observer.wait_for_stdout("no-leader\n", SOON);
    let mut expected = vec!["no-leader".to_owned()];
    runtime().block_on(async {
        let mut client = connect(etcd).await;
        let lease = client.lease_grant(600, None).await.unwrap().id();
        let on_lease = || Some(PutOptions::new().with_lease(lease));
        for round in 0..60 {
            // A candidate, a younger one, another value, and the end of one or both.
            let (old, young) = (format!("{name}/{round}a"), format!("{name}/{round}b"));
            client.put(old.clone(), "1", on_lease()).await.unwrap();
            client.put(young.clone(), "2", on_lease()).await.unwrap();
            client.put(old.clone(), "3", on_lease()).await.unwrap();
            expected.extend([format!("leader\t{old}\t1"), format!("proclaimed\t{old}\t3")]);
            if round % 5 == 0 {
                proxy.cut();
            }
            if round % 2 == 0 {
                client.delete(old, None).await.unwrap();
                expected.push(format!("leader\t{young}\t2"));
                client.put(young.clone(), "4", on_lease()).await.unwrap();
                expected.push(format!("proclaimed\t{young}\t4"));
                client.delete(young, None).await.unwrap();
            } else {
                client.delete(young, None).await.unwrap();
                client.delete(old, None).await.unwrap();
            }
            expected.push("no-leader".to_owned());
        }
        client.put(format!("{name}/end"), "end", on_lease()).await.unwrap();
        client.lease_keep_alive(lease).await.ok();
        expected.push(format!("leader\t{name}/end\tend"));
    });
    observer.wait_for_stdout(&format!("leader\t{name}/end\tend\n"), SOON);
    observer.signal(Signal::SIGINT);
    let run = observer.wait();
    run.signal(Signal::SIGINT);
    assert_eq!(run.stdout_text().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn leaders_that_were_compacted_meanwhile_are_said_to_be_missing() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    let observer = Kvadm::new().endpoint(&proxy.endpoint()).args(["lock", "l", "--observe"]).spawn();
    observer.wait_for_stdout("no-leader\n", SOON);
    // etcd forgets the connection, so that a new one has to begin at a compacted revision.
    proxy.set(Mode::Refuse);
    proxy.cut();
    for round in 0..3 {
        etcd.etcdctl_ok(&["put", &format!("l/{round}"), "v"]);
        etcd.etcdctl_ok(&["del", &format!("l/{round}")]);
    }
    etcd.etcdctl_ok(&["put", "l/last", "v"]);
    etcd.etcdctl_ok(&["compact", &etcd.revision().to_string()]);
    observer.wait_for_stderr("warning: the watch is interrupted and will resume", SOON);
    proxy.set(Mode::Pass);
    observer.wait_for_stdout("leader\tl/last\tv\n", SOON);
    etcd.etcdctl_ok(&["del", "l/last"]);
    observer.wait_for_stdout("leader\tl/last\tv\nno-leader\n", SOON);
    observer.signal(Signal::SIGINT);
    let run = observer.wait();
    run.signal(Signal::SIGINT)
        .err_has("warning: leaders of l may be missing here")
        .err_has("note: the watch has resumed");
    assert_eq!(run.stdout_text(), "no-leader\nleader\tl/last\tv\nno-leader\n");
}

#[test]
fn an_observer_without_etcd_ends_with_3() {
    let run = Kvadm::new().args(["--endpoints", "127.0.0.1:1", "lock", "l", "--observe"]).run();
    run.code(3).out_empty();
    let etcd = shared();
    let name = format!("{}leader", unique_prefix());
    let mut proxy = Proxy::start(&etcd.address());
    let observer =
        Kvadm::new().endpoint(&proxy.endpoint()).args(["lock", &name, "--observe", "--timeout", "2s"]).spawn();
    observer.wait_for_stdout("no-leader\n", SOON);
    proxy.set(Mode::Refuse);
    proxy.cut();
    observer
        .wait()
        .code(3)
        .err_has("the watch was interrupted when --timeout elapsed; later leaders, if any, were not shown");
}
