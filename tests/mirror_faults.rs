//! `kvadm mirror` while connections, servers, histories and the mirror itself go away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::lock_faults::{Dice, SetOnDrop};
use super::mirror::{
    SOON, block_on, check_history, compact, delete, follow, history, mirror, once, put, random_change, same,
};
use super::support::time_limit::seed;
use super::support::{Etcd, Kvadm, Mode, Plan, Proxy, Running, Spoil, Spoiler, eventually};

/// Writes random changes at `source` while `fault` is called again and again with a running mirror; then the copy's history is
/// the source's.
struct Soak {
    source: Etcd,
    destination: Etcd,
    proxies: [Proxy; 2],
    running: Option<Running>,
    dice: Dice,
    cuts: u64,
    kills: u64,
    restarts: u64,
}

impl Soak {
    fn start(dice: Dice) -> Self {
        let (source, destination) = (Etcd::start(), Etcd::start());
        put(&source, "/p/first", "1");
        once(&source, &destination, &["/p/"]).ok();
        let proxies = [Proxy::start(&source.address()), Proxy::start(&destination.address())];
        Self { source, destination, proxies, running: None, dice, cuts: 0, kills: 0, restarts: 0 }
    }

    fn launch(&mut self) {
        let args = ["/p/", "--op-timeout", "1s", "--dial-timeout", "500ms", "-v"];
        self.running = Some(mirror(&self.proxies[0].endpoint(), &self.proxies[1].endpoint(), &args).spawn());
    }

    /// A mirror that has ended has met a connection that was cut before it had reached both sides.
    fn keep_running(&mut self) {
        if let Some(running) = &mut self.running
            && running.ended().is_none()
        {
            return;
        }
        if let Some(running) = self.running.take() {
            let run = running.wait();
            assert!(run.code == Some(3) || run.signal.is_some(), "code {:?}\n{}", run.code, run.stderr_text());
        }
        self.launch();
    }

    fn fault(&mut self) {
        self.keep_running();
        match self.dice.below(100) {
            0..=84 => {
                self.proxies[self.dice.below(2) as usize].cut();
                self.cuts += 1;
            }
            85..=89 => {
                let which = self.dice.below(2) as usize;
                let mode = if self.dice.below(2) == 0 { Mode::HangReplies } else { Mode::Refuse };
                self.proxies[which].set(mode);
                std::thread::sleep(Duration::from_millis(self.dice.below(120)));
                // What was held back is lost.
                self.proxies[which].cut();
                self.proxies[which].set(Mode::Pass);
                self.cuts += 1;
            }
            90..=97 => {
                if let Some(running) = &self.running {
                    running.signal(if self.dice.below(4) == 0 { Signal::SIGTERM } else { Signal::SIGKILL });
                }
                self.kills += 1;
            }
            _ => {
                let etcd = if self.dice.below(2) == 0 { &mut self.source } else { &mut self.destination };
                etcd.kill();
                etcd.restart();
                self.restarts += 1;
            }
        }
    }
}

/// `cuts` faults of all kinds, at most for `limit`; returns what was done.
fn soak(cuts: u64, limit: Duration) -> (u64, u64, u64, usize) {
    let seed = seed("KVADM_TEST_SEED");
    let mut soak = Soak::start(Dice(seed));
    let over = AtomicBool::new(false);
    let endpoint = soak.source.endpoint();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let end = SetOnDrop(&over);
        let over = &over;
        let writer = scope.spawn(move || {
            let mut dice = Dice(seed ^ 0x5eed);
            let mut n = 0;
            while !over.load(Ordering::SeqCst) {
                n += 1;
                // The server may be restarting: what it has written counts, not what it has acknowledged.
                let store = super::support::library::store_within(&endpoint, b"", Duration::from_secs(20));
                let _ = block_on(random_change(&store, "/p/", &mut dice, n, n % 50 == 0));
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        while soak.cuts < cuts && started.elapsed() < limit {
            soak.fault();
            let pause = soak.dice.below(60);
            std::thread::sleep(Duration::from_millis(pause));
        }
        drop(end);
        writer.join().expect("the writer");
    });
    // A mirror that still runs is ended before the last one begins.
    if let Some(running) = soak.running.take() {
        if running_is_up(&running) {
            running.signal(Signal::SIGTERM);
        }
        let _ = running.wait();
    }
    let run = once(&soak.source, &soak.destination, &["/p/", "--verify"]);
    assert!(run.code == Some(0), "seed {seed}: {}", run.stderr_text());
    same(&soak.source, &soak.destination, "/p/");
    let changes = history(&soak.source, "/p/");
    check_history(&changes, &history(&soak.destination, "/p/"), 127);
    (soak.cuts, soak.kills, soak.restarts, changes.len())
}

fn running_is_up(running: &Running) -> bool {
    std::path::Path::new(&format!("/proc/{}", running.pid())).exists()
}

#[test]
fn nothing_is_lost_doubled_or_reordered_under_faults() {
    let (cuts, ..) = soak(u64::MAX, Duration::from_secs(20));
    assert!(cuts > 50, "only {cuts} cuts");
}

/// `make soak` runs it.
#[test]
#[ignore = "takes minutes"]
fn many_cuts() {
    let cuts = std::env::var("SOAK_CUTS").map_or(500, |text| text.parse().expect("SOAK_CUTS is a number"));
    let (cuts, kills, restarts, changes) = soak(cuts, Duration::from_secs(270));
    eprintln!(
        "{cuts} cuts, {kills} kills, {restarts} restarts of servers, {changes} changes: none lost, doubled or reordered"
    );
}

#[test]
fn a_destination_that_is_away_is_said_once_and_waited_for() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    once(&source, &destination, &["/app/"]).ok();
    let mut proxies = [Proxy::start(&source.address()), Proxy::start(&destination.address())];
    let running = mirror(&proxies[0].endpoint(), &proxies[1].endpoint(), &["/app/", "--op-timeout", "500ms"]).spawn();
    running.wait_for_stderr("continuing after", SOON);
    put(&source, "/app/a", "2");
    eventually("the change", SOON, || destination.held("/app/a").is_some_and(|held| held.value == b"2"));
    proxies[1].set(Mode::Refuse);
    proxies[1].cut();
    put(&source, "/app/a", "3");
    let begun = Instant::now();
    running.wait_for_stderr("warning: the destination does not answer; the mirror will resume", SOON);
    assert!(begun.elapsed() < Duration::from_secs(4), "said after {:?}", begun.elapsed());
    put(&source, "/app/b", "4");
    // Longer than one request is repeated.
    std::thread::sleep(Duration::from_secs(3));
    proxies[1].set(Mode::Pass);
    running.wait_for_stderr("note: the destination answers again", SOON);
    eventually("both changes", SOON, || destination.held("/app/b").is_some());
    // The other side.
    proxies[0].set(Mode::Refuse);
    proxies[0].cut();
    running.wait_for_stderr("warning: the source does not answer; the mirror will resume", SOON);
    put(&source, "/app/c", "5");
    proxies[0].set(Mode::Pass);
    running.wait_for_stderr("note: the source answers again", SOON);
    eventually("the change", SOON, || destination.held("/app/c").is_some());
    running.signal(Signal::SIGINT);
    let run = running.wait();
    assert_eq!(run.signal(Signal::SIGINT).stderr_text().matches("does not answer").count(), 2, "{}", run.stderr_text());
    check_history(&history(&source, "/app/"), &history(&destination, "/app/"), 127);
}

#[test]
fn a_lost_answer_is_found_in_the_place() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    once(&source, &destination, &["/app/"]).ok();
    let mut proxy = Proxy::start(&destination.address());
    let args = ["/app/", "--op-timeout", "1s", "--report", "20ms", "-o", "json"];
    let running = mirror(&source.endpoint(), &proxy.endpoint(), &args).spawn();
    running.wait_for_stderr("continuing after", SOON);
    for n in 2..6 {
        proxy.set(Mode::HangReplies);
        put(&source, "/app/a", &n.to_string());
        let value = n.to_string().into_bytes();
        eventually("the write", SOON, || destination.held("/app/a").is_some_and(|held| held.value == value));
        proxy.cut();
        proxy.set(Mode::Pass);
        // A connection whose first answer does not come carries no write.
        put(&source, "/app/b", &n.to_string());
        // Its answer has arrived as well.
        running.wait_for_stdout(&format!("\"changes\":{},", 2 * (n - 1)), SOON);
    }
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT).err_lacks("another client");
    check_history(&history(&source, "/app/"), &history(&destination, "/app/"), 127);
}

/// Each transaction of the claim, the copy and the following, each in turn without its answer.
#[test]
fn nothing_is_written_twice_whichever_answer_is_lost() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    let records: String = (0..200).map(|n| format!("{{\"key\":\"/p/{n:03}\",\"value\":\"{n}\"}}\n")).collect();
    Kvadm::new().endpoint(&source).args(["put", "--from", "-"]).stdin(records).run().ok();
    let lost = [Spoil::CutBefore, Spoil::CutAfter, Spoil::Etcd(14, "etcdserver: request timed out")];
    for (case, (skip, spoil)) in (0..4).flat_map(|skip| lost.map(|spoil| (skip, spoil))).enumerate() {
        let prefix = format!("/copy{case}/");
        let plan = |skip| Plan { spoil, methods: &["Txn"], skip, times: 1, then_gone: false };
        let spoiler = Spoiler::start(&destination.address(), plan(skip));
        let args = [&prefix, "--source-prefix", "/p/", "--once"];
        mirror(&source.endpoint(), &spoiler.endpoint(), &args).run().ok().err_lacks("another client");
        assert!(spoiler.seen() > skip, "{case}: nothing was lost");
        let held = destination.held_under(&prefix);
        assert!(held.len() == 200 && held.iter().all(|held| held.version == 1), "{case}: a key was written twice");
        if skip == 0 {
            put(&source, "/p/000", &format!("changed {case}"));
            let spoiler = Spoiler::start(&destination.address(), plan(0));
            mirror(&source.endpoint(), &spoiler.endpoint(), &args).run().ok().err_lacks("another client");
            assert_eq!(destination.held(format!("{prefix}000")).unwrap().version, 2);
        }
    }
}

#[test]
fn a_signal_does_not_wait_for_a_silent_destination() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    once(&source, &destination, &["/app/"]).ok();
    let mut proxy = Proxy::start(&destination.address());
    let running = mirror(&source.endpoint(), &proxy.endpoint(), &["/app/"]).spawn();
    running.wait_for_stderr("continuing after", SOON);
    proxy.set(Mode::Hang);
    put(&source, "/app/a", "2");
    running.wait_for_stderr("the destination does not answer", SOON);
    running.signal(Signal::SIGTERM);
    let signalled = Instant::now();
    let run = running.wait();
    run.signal(Signal::SIGTERM).err_has("with a transaction in flight");
    assert!(signalled.elapsed() < Duration::from_secs(4), "after {:?}", signalled.elapsed());
    proxy.set(Mode::Pass);
    drop(proxy);
    once(&source, &destination, &["/app/", "--verify"]).ok();
    check_history(&history(&source, "/app/"), &history(&destination, "/app/"), 127);
}

/// The watch that comes back finds its position compacted, or right at the compacted revision, whose deletion older servers do
/// not send.
#[test]
fn a_source_that_is_compacted_while_the_mirror_runs() {
    let (source, destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/keep", "1");
    once(&source, &destination, &["/app/"]).ok();
    let mut proxy = Proxy::start(&source.address());
    let running = mirror(&proxy.endpoint(), &destination.endpoint(), &["/app/", "--op-timeout", "1s"]).spawn();
    running.wait_for_stderr("continuing after", SOON);
    for changes in [1, 3] {
        put(&source, "/app/a", "1");
        eventually("the key", SOON, || destination.held("/app/a").is_some());
        proxy.set(Mode::Refuse);
        proxy.cut();
        for n in 1..changes {
            put(&source, "/app/b", &n.to_string());
        }
        delete(&source, "/app/a");
        compact(&source);
        proxy.set(Mode::Pass);
        put(&source, "/app/last", &changes.to_string());
        eventually("the last change", SOON, || {
            destination.held("/app/last").is_some_and(|held| held.value == changes.to_string().into_bytes())
        });
        eventually("the deletion", SOON, || destination.held("/app/a").is_none());
        same(&source, &destination, "/app/");
    }
    running.wait_for_stderr("are compacted: the changes up to revision", SOON);
    put(&source, "/app/after", "1");
    eventually("a change after that", SOON, || destination.held("/app/after").is_some());
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
    once(&source, &destination, &["/app/", "--verify"]).ok();
}

#[test]
fn a_full_destination_ends_it_and_the_place_says_where() {
    let source = Etcd::start();
    let destination = Etcd::options().arg("--quota-backend-bytes=4194304").start();
    put(&source, "/app/a", "1");
    once(&source, &destination, &["/app/"]).ok();
    let fill = "x".repeat(100_000);
    let mut n = 0;
    eventually("the quota to be reached", SOON, || {
        n += 1;
        !destination.etcdctl(&["put", &format!("/fill/{n}"), &fill]).status.success()
    });
    // The alarm follows the first refusal.
    eventually("the alarm", SOON, || destination.etcdctl_ok(&["alarm", "list"]).contains("NOSPACE"));
    put(&source, "/app/b", "2");
    let run = once(&source, &destination, &["/app/"]);
    run.code(4).err_has("database space exceeded").err_has("kvadm compact --reclaim");
    assert_eq!(destination.held("/app/b"), None);
    // etcd applies the first write above the quota and answers that there is no space: the place has both, or neither.
    let fill = "x".repeat(200_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &fill).unwrap();
    for key in ["/app/c", "/app/d"] {
        let load = Kvadm::new().endpoint(&source).args(["put", key, "--file"]).arg(file.path()).run();
        load.ok();
        destination.etcdctl_ok(&["alarm", "disarm"]);
        let run = once(&source, &destination, &["/app/"]);
        run.code(4).err_has("database space exceeded").err_lacks("another client");
    }
    destination.etcdctl_ok(&["del", "/fill/", "--prefix"]);
    compact(&destination);
    destination.etcdctl_ok(&["defrag"]);
    destination.etcdctl_ok(&["alarm", "disarm"]);
    once(&source, &destination, &["/app/", "--verify"]).ok();
    check_history(&history(&source, "/app/"), &history_from_now(&destination), 127);
}

/// The keys of a store whose history is compacted.
fn history_from_now(etcd: &Etcd) -> Vec<super::mirror::Change> {
    let held = etcd.held_under("/app/");
    held.into_iter().map(|held| (held.modified, held.key["/app/".len()..].to_vec(), Some(held.value))).collect()
}

#[test]
fn a_restarted_destination_changes_nothing() {
    let (source, mut destination) = (Etcd::start(), Etcd::start());
    put(&source, "/app/a", "1");
    let running = follow(&source, &destination, &["/app/", "--op-timeout", "1s"]);
    for n in 0..3 {
        put(&source, "/app/a", &format!("{n}"));
        destination.kill();
        put(&source, "/app/b", &format!("{n}"));
        destination.restart();
        put(&source, "/app/c", &format!("{n}"));
    }
    eventually("the last change", SOON, || destination.held("/app/c").is_some_and(|held| held.value == b"2"));
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
    once(&source, &destination, &["/app/", "--verify"]).ok();
    same(&source, &destination, "/app/");
}
