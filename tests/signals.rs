//! SIGINT, SIGTERM and SIGHUP at every stage: the end comes soon, by the signal, and what was said is true.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::failover::{count, sized};
use super::support::{Etcd, Kvadm, Mode, Proxy, Run, Running, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);
/// How long the end may take.
const QUICK: Duration = Duration::from_secs(2);

/// Waits until the process listens to signals: before that, one ends it anyway.
fn listening(running: &Running) {
    eventually("kvadm to listen to signals", SOON, || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).is_ok_and(|caught| caught & (1 << (Signal::SIGTERM as u64 - 1)) != 0)
    });
}

/// Sends the signal; the end has to come by it, and soon.
#[track_caller]
fn ends_by(running: Running, signal: Signal) -> Run {
    ends_by_within(running, signal, QUICK)
}

#[track_caller]
fn ends_by_within(running: Running, signal: Signal, limit: Duration) -> Run {
    let sent = Instant::now();
    running.signal(signal);
    let run = running.wait();
    let took = sent.elapsed();
    run.signal(signal);
    assert!(took < limit, "{took:?} from the signal to the end: {run:?}");
    run
}

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

#[test]
fn while_dialling_a_silent_peer() {
    for signal in SIGNALS {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = silent.local_addr().unwrap().to_string();
        let dialling = Kvadm::new().endpoint(&endpoint).args(["--dial-timeout", "30s", "get", "/a"]).spawn();
        let peer = silent.accept().unwrap();
        ends_by(dialling, signal).out_empty().err_has("interrupted");
        drop(peer);
    }
}

#[test]
fn while_waiting_for_the_store_to_answer() {
    let args = ["-v", "--connect-wait", "60s", "put", "/a", "v"];
    for signal in SIGNALS {
        let waiting = Kvadm::new().endpoint("127.0.0.1:1").args(args).spawn();
        waiting.wait_for_stderr("retrying every ", SOON);
        ends_by(waiting, signal).out_empty().err_has("interrupted").err_lacks("may have applied it");
    }
}

#[test]
fn while_waiting_for_an_answer() {
    let mut proxy = Proxy::start(&shared().address());
    proxy.set(Mode::HangReplies);
    let endpoint = proxy.endpoint();
    let waiting = Kvadm::new().endpoint(&endpoint).args(["--dial-timeout", "30s", "get", "/a"]).spawn();
    eventually("the request to be on its way", SOON, || proxy.bytes_up() > 0);
    ends_by(waiting, Signal::SIGTERM).out_empty();
}

#[test]
fn while_reading_a_value_from_stdin() {
    let key = format!("{}a", unique_prefix());
    for signal in SIGNALS {
        let mut reading = Kvadm::new().endpoint(shared()).args(["put", &key, "-"]).spawn();
        reading.write("half a va");
        listening(&reading);
        ends_by(reading, signal).out_empty().err_has("interrupted");
    }
    assert_eq!(count(shared(), &key), 0, "half a value is not written");
}

#[test]
fn while_a_load_waits_for_input() {
    for signal in SIGNALS {
        let prefix = unique_prefix();
        let mut load = Kvadm::new().endpoint(shared()).args(["put", "--from", "-"]).spawn();
        load.write(sized(&prefix, 0..150, 10));
        eventually("the first batch to be in", SOON, || count(shared(), &prefix) == 100);
        let run = ends_by(load, signal);
        run.out_empty().err_has("run the same command again to resume; loaded records are skipped");
        // The answer to the batch may not have been heard when the signal came, but it was waited for.
        run.err_has("100 records loaded (100 written, 0 unchanged)");
        assert_eq!(count(shared(), &prefix), 100);
    }
}

/// What is on its way is waited for, but not for long; what nobody knows is said.
#[test]
fn while_a_loads_batches_are_on_their_way() {
    let prefix = unique_prefix();
    let mut proxy = Proxy::start(&shared().address());
    let endpoint = proxy.endpoint();
    let mut load = Kvadm::new().endpoint(&endpoint).args(["--op-timeout", "30s", "put", "--from", "-"]).spawn();
    load.write(sized(&prefix, 0..101, 1));
    eventually("the first batch to be in and answered", SOON, || count(shared(), &prefix) == 100);
    let answered = proxy.bytes_down();
    eventually("no more answers to come", SOON, || proxy.bytes_down() >= answered);
    proxy.set(Mode::HangReplies);
    load.write(sized(&prefix, 101..301, 1));
    eventually("the next batches to be in", SOON, || count(shared(), &prefix) == 300);
    let run = ends_by(load, Signal::SIGINT);
    let text = run.err_has("records in flight may or may not have been written").stderr_text();
    let number = |before: &str| -> u64 {
        let line = text.lines().find(|line| line.contains(before)).unwrap_or_default();
        line.split(' ').find_map(|word| word.parse().ok()).unwrap_or_default()
    };
    let (settled, unknown) = (number("records loaded"), number("in flight"));
    assert!(settled <= 300 && settled + unknown == 300, "{text}");
}

#[test]
fn a_second_signal_ends_a_load_at_once() {
    let prefix = unique_prefix();
    let mut proxy = Proxy::start(&shared().address());
    let endpoint = proxy.endpoint();
    let mut load = Kvadm::new().endpoint(&endpoint).args(["--op-timeout", "30s", "put", "--from", "-"]).spawn();
    load.write(sized(&prefix, 0..101, 1));
    eventually("the first batch to be in", SOON, || count(shared(), &prefix) == 100);
    proxy.set(Mode::HangReplies);
    load.write(sized(&prefix, 101..201, 1));
    eventually("the next batch to be in", SOON, || count(shared(), &prefix) == 200);
    load.signal(Signal::SIGINT);
    // Two of the same kind that wait are one: the second has to come after the first was taken.
    eventually("the first to be taken", SOON, || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", load.pid())).unwrap_or_default();
        status
            .lines()
            .filter(|line| line.starts_with("ShdPnd:") || line.starts_with("SigPnd:"))
            .all(|line| line.split_once(':').is_some_and(|(_, bits)| u64::from_str_radix(bits.trim(), 16) == Ok(0)))
    });
    std::thread::yield_now();
    ends_by_within(load, Signal::SIGTERM, Duration::from_millis(700)).out_empty();
}

/// `timeout` signals its child and then its own process group, which the child is in.
#[test]
fn the_same_signal_twice_at_once_gives_the_lock_back() {
    let prefix = unique_prefix();
    let holders: Vec<Running> = (0..12)
        .map(|n| Kvadm::new().endpoint(shared()).args(["lock", &format!("{prefix}{n}"), "--ttl", "60s"]).spawn())
        .collect();
    eventually("all locks to be held", SOON, || count(shared(), &prefix) == holders.len());
    for (n, holder) in holders.iter().enumerate() {
        holder.signal(Signal::SIGTERM);
        // Two signals that wait at the same time are one: the second one comes a little later.
        let second = Instant::now() + Duration::from_micros(150 * n as u64);
        while Instant::now() < second {
            std::hint::spin_loop();
        }
        holder.signal(Signal::SIGTERM);
    }
    for holder in holders {
        holder.wait().signal(Signal::SIGTERM);
    }
    assert_eq!(count(shared(), &prefix), 0, "every lock was given back");
}

/// Leases are granted before their records go; neither the granting nor the rest may outlast the signal.
#[test]
fn while_a_load_waits_for_a_lease() {
    let etcd = Etcd::start();
    let mut proxy = Proxy::start(&etcd.address());
    let endpoint = proxy.endpoint();
    let mut load = Kvadm::new().endpoint(&endpoint).args(["--op-timeout", "30s", "put", "--from", "-"]).spawn();
    load.write(sized("/plain/", 0..101, 1));
    eventually("the first batch to be in", SOON, || count(&etcd, "/plain/") == 100);
    proxy.set(Mode::HangReplies);
    let leased = |number| format!("{{\"key\":\"/leased/{number}\",\"value\":\"v\",\"lease\":\"7b\",\"ttl\":600}}\n");
    load.write((0..100).map(leased).collect::<String>());
    eventually("the lease to be granted", SOON, || leases(&etcd) == 1);
    ends_by(load, Signal::SIGINT).err_has("records loaded");
    eventually("the lease to be revoked", QUICK, || leases(&etcd) == 0);
    assert_eq!(count(&etcd, "/leased/"), 0);
}

/// A key's records go one behind the other.
#[test]
fn while_a_record_waits_for_the_one_before_it() {
    let prefix = unique_prefix();
    let mut proxy = Proxy::start(&shared().address());
    let endpoint = proxy.endpoint();
    let mut load = Kvadm::new().endpoint(&endpoint).args(["--op-timeout", "30s", "put", "--from", "-"]).spawn();
    load.write(sized(&prefix, 0..101, 1));
    eventually("the first batch to be in", SOON, || count(shared(), &prefix) == 100);
    proxy.set(Mode::HangReplies);
    load.write([sized(&prefix, 101..150, 1), sized(&prefix, 101..150, 2), sized(&prefix, 101..150, 3)].concat());
    eventually("the next batch to be in", SOON, || count(shared(), &prefix) == 150);
    ends_by(load, Signal::SIGINT).err_has("records in flight may or may not have been written");
}

#[test]
fn while_watching_the_status() {
    for signal in SIGNALS {
        let mut watching = Kvadm::new().endpoint(shared()).args(["-o", "json", "status", "--watch"]).spawn();
        assert!(watching.next_line().unwrap().contains("healthy"));
        let run = ends_by(watching, signal);
        assert_eq!(run.json_lines().len(), 1, "no round that the signal spoilt");
    }
}

/// A look that is cut short says nothing about the cluster.
#[test]
fn while_a_member_is_asked_for_its_status() {
    let frozen = TcpListener::bind("127.0.0.1:0").unwrap();
    let both = format!("{},{}", shared().endpoint(), frozen.local_addr().unwrap());
    let asking = Kvadm::new().endpoint(&both).args(["--dial-timeout", "30s", "status"]).spawn();
    let peer = frozen.accept().unwrap();
    // It is in the member list's answer that the live one is known; the silent one is asked after that.
    ends_by(asking, Signal::SIGINT).out_empty().err_has("interrupted");
    drop(peer);
}

#[test]
fn while_waiting_for_a_healthy_cluster() {
    let waiting = Kvadm::new().endpoint("127.0.0.1:1").args(["status", "--wait", "60s"]).spawn();
    listening(&waiting);
    ends_by(waiting, Signal::SIGINT).out_empty().err_has("interrupted");
}

#[test]
fn at_the_question_before_a_delete() {
    let prefix = unique_prefix();
    let seed = sized(&prefix, 0..3, 1);
    Kvadm::new().endpoint(shared()).args(["put", "--from", "-"]).stdin(seed).run().ok();
    let ask = || {
        let asking = Kvadm::new().endpoint(shared()).args(["delete", "--prefix", &prefix]).pty().spawn();
        asking.wait_for_stdout("[y/N] ", SOON);
        asking
    };
    for signal in SIGNALS {
        ends_by(ask(), signal).out_has("3 keys");
    }
    let mut typed = ask();
    typed.write([3]);
    typed.wait().signal(Signal::SIGINT);
    assert_eq!(count(shared(), &prefix), 3);
}

#[test]
fn in_a_range_delete() {
    let (prefix, total) = (unique_prefix(), 6000);
    let seed = sized(&prefix, 0..total, 10);
    Kvadm::new().endpoint(shared()).args(["put", "--from", "-"]).stdin(seed).run().ok();
    let mut proxy = Proxy::start(&shared().address());
    let way = Duration::from_millis(50);
    proxy.set(Mode::Delay { up: way, down: way });
    let endpoint = proxy.endpoint();
    let deleting = Kvadm::new().endpoint(&endpoint).args(["delete", "--prefix", &prefix, "--yes"]).spawn();
    eventually("the first window to be gone", SOON, || count(shared(), &prefix) < total - 150);
    let run = ends_by(deleting, Signal::SIGINT);
    let gone = total - count(shared(), &prefix);
    let text = run.out_empty().err_has("deletion stopped after").stderr_text();
    let line = text.lines().find(|line| line.contains("deletion stopped after")).unwrap();
    let said: usize = line.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!(gone < total, "there was something left to interrupt");
    assert!(said > 0 && said <= gone, "said {said}, gone {gone}");
    if said < gone {
        run.err_has("a request was in flight: etcd may have applied it, or may still apply it");
    }
    run.err_has("run the same command again to delete the rest");
}

fn leases(etcd: &Etcd) -> usize {
    etcd.etcdctl_ok(&["lease", "list"]).lines().filter(|line| !line.starts_with("found")).count()
}

/// The server grants a lease that the client never hears of.
#[test]
fn a_lease_is_not_left_behind_by_a_put() {
    for args in [&["put", "/a", "v", "--ttl", "10m"][..], &["status", "--quorum"]] {
        let etcd = Etcd::start();
        let mut proxy = Proxy::start(&etcd.address());
        proxy.set(Mode::Delay { up: Duration::from_millis(300), down: Duration::ZERO });
        let endpoint = proxy.endpoint();
        let running = Kvadm::new().endpoint(&endpoint).args(["--op-timeout", "30s"]).args(args).spawn();
        // `status` asks for several things before it writes.
        let granted = |proxy: &Proxy| proxy.bytes_down() > 0 && (args[0] == "put" || leases(&etcd) > 0);
        eventually("the moment before the grant", SOON, || granted(&proxy));
        proxy.set(Mode::HangReplies);
        eventually("the lease to be granted", SOON, || leases(&etcd) == 1);
        ends_by(running, Signal::SIGINT).out_empty();
        eventually("the lease to be revoked", QUICK, || leases(&etcd) == 0);
        assert_eq!(count(&etcd, ""), 0);
    }
}

/// A pipe that nobody reads holds up the writing, not the end.
#[test]
fn while_nobody_reads_the_output() {
    let prefix = unique_prefix();
    let seed = sized(&prefix, 0..3000, 200);
    Kvadm::new().endpoint(shared()).args(["put", "--from", "-"]).stdin(seed).run().ok();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kvadm"))
        .env_clear()
        .args(["--endpoints", &shared().endpoint(), "list", &prefix])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut lines = BufReader::with_capacity(16, child.stdout.take().unwrap());
    lines.read_line(&mut first).unwrap();
    assert!(first.starts_with(&prefix));
    let pid = super::support::process::pid(child.id());
    let sent = Instant::now();
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::SIGTERM as i32));
    assert!(sent.elapsed() < QUICK);
}

/// What runs until a signal comes ends by it without an error; a mirror notes where it stopped.
#[test]
fn what_runs_until_stopped_ends_without_an_error() {
    let at = unique_prefix();
    let (etcd, other) = (Etcd::start(), Etcd::start());
    let plain = |args: &[&str]| Kvadm::new().endpoint(&etcd).args(args).run().ok().stdout_text();
    plain(&["put", &format!("{at}a"), "x"]);
    plain(&["lease", "grant", "--ttl", "1000s", "--id", "5e"]);
    let lock = format!("{at}lock");
    let source = etcd.endpoint();
    let context = Kvadm::new().config_file("src.yaml", format!("endpoints: [\"{source}\"]\n"));
    let mirror = ["mirror", &at, "--source", "context:src", "-o", "json"];
    let mirror = context.endpoint(&other).args(mirror).spawn();
    let long: [&[&str]; 8] = [
        &["watch", &at, "--list"],
        &["allocate", "watch", "--list"],
        &["status", "--watch"],
        &["lock", &lock],
        &["allocate", "hold", "held;", "--node", "n"],
        &["compact", "--every", "50ms"],
        &["lease", "renew", "5e", "--every", "20s"],
        &["gc", "ids", "--every", "20s", "--yes"],
    ];
    let spawn = |args: &&[&str]| Kvadm::new().endpoint(&etcd).args(*args).args(["-o", "json"]).spawn();
    for mut running in long.iter().map(spawn).chain([mirror]) {
        assert!(running.next_line().is_some());
        ends_by(running, Signal::SIGINT).err_lacks("error");
    }
}
