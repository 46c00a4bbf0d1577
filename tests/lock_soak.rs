//! `make soak`: many commands guarded by one lock, while connections are cut and processes are killed and stopped.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::lock_faults::{Dice, SECTION, SetOnDrop, alive, kvadm};
use super::support::process::{children, pid};
use super::support::{Etcd, Proxy, Running, time_limit};

/// A contender is left alone for this long after a fault: both of kvadm and its guardian are never at fault at once.
/// A guardian is replaced within half of the TTL of 2 s.
const RECOVERY: Duration = Duration::from_secs(2);

fn parameter(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[derive(Default)]
struct Counts {
    acknowledged: AtomicU64,
    denied: AtomicU64,
    faults: Mutex<std::collections::BTreeMap<&'static str, u64>>,
}

impl Counts {
    fn fault(&self, what: &'static str) {
        *self.faults.lock().unwrap().entry(what).or_default() += 1;
    }
}

/// Runs a command under the lock again and again. `place` holds the kvadm that runs now.
fn contend(endpoint: &str, folder: &Path, place: &Mutex<Option<Running>>, over: &AtomicBool, counts: &Counts) {
    while !over.load(Ordering::SeqCst) {
        let lock =
            ["--op-timeout", "500ms", "lock", "/l", "--ttl", "2s", "--wait", "20s", "-q", "--", "sh", "-c", SECTION];
        let running = kvadm(endpoint).args(lock).folder(folder).spawn();
        *place.lock().unwrap() = Some(running);
        let ended = loop {
            if let Some(ended) = place.lock().unwrap().as_mut().unwrap().ended() {
                break ended;
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        let count = if ended.success() { &counts.acknowledged } else { &counts.denied };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

fn guardian_of(id: u32) -> Option<u32> {
    let is_guardian = |child: &u32| {
        std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.trim() == "lease-guardian")
    };
    children(id).into_iter().find(is_guardian)
}

/// A process that is stopped until then.
struct Stopped {
    contender: usize,
    keeper: u32,
    process: u32,
    until: Instant,
}

struct Torment<'a> {
    dice: Dice,
    etcd: &'a Etcd,
    proxy: &'a Proxy,
    contenders: &'a [Mutex<Option<Running>>],
    counts: &'a Counts,
    stopped: Vec<Stopped>,
    /// Until when each contender is left alone.
    quiet: Vec<Instant>,
    /// Guardians that were killed or stopped.
    guardians: Vec<u32>,
}

impl Torment<'_> {
    /// Calls `act` with kvadm's process ID while it is sure to be that of the contender.
    fn with_contender(&self, which: usize, act: impl FnOnce(u32)) {
        let mut place = self.contenders[which].lock().unwrap();
        if let Some(running) = place.as_mut()
            && running.ended().is_none()
        {
            act(running.pid());
        }
    }

    fn resume(&mut self, all: bool) {
        let (due, rest) =
            std::mem::take(&mut self.stopped).into_iter().partition(|one| all || one.until <= Instant::now());
        self.stopped = rest;
        let due: Vec<Stopped> = due;
        for one in due {
            self.with_contender(one.contender, |id| {
                // A stopped guardian may have been replaced, and its process ID reused outside of this kvadm.
                if id == one.keeper && (one.process == id || children(id).contains(&one.process)) {
                    kill(pid(one.process), Signal::SIGCONT).ok();
                }
            });
            self.quiet[one.contender] = Instant::now() + RECOVERY;
        }
    }

    fn fault(&mut self) {
        self.resume(false);
        let count = self.contenders.len() as u64;
        let which = usize::try_from(self.dice.below(count)).unwrap();
        let time = Duration::from_millis(200 + self.dice.below(3000));
        let fault = self.dice.below(7);
        match fault {
            0 | 1 => {
                self.counts.fault("connections cut");
                return self.proxy.cut();
            }
            2 => {
                self.counts.fault("etcd frozen");
                self.etcd.pause();
                std::thread::sleep(time / 2);
                return self.etcd.resume();
            }
            _ => {}
        }
        if Instant::now() < self.quiet[which] || self.stopped.iter().any(|one| one.contender == which) {
            return;
        }
        let signal = if fault.is_multiple_of(2) { Signal::SIGKILL } else { Signal::SIGSTOP };
        let mut hit = None;
        self.with_contender(which, |keeper| {
            let process = if fault < 5 { Some(keeper) } else { guardian_of(keeper) };
            hit = process.filter(|process| kill(pid(*process), signal).is_ok()).map(|process| (keeper, process));
        });
        let Some((keeper, process)) = hit else { return };
        self.counts.fault(match (fault < 5, signal) {
            (true, Signal::SIGKILL) => "kvadm killed",
            (true, _) => "kvadm stopped",
            (false, Signal::SIGKILL) => "guardian killed",
            (false, _) => "guardian stopped",
        });
        if fault >= 5 {
            self.guardians.push(process);
        }
        self.quiet[which] = Instant::now() + RECOVERY;
        if signal == Signal::SIGSTOP {
            self.stopped.push(Stopped { contender: which, keeper, process, until: Instant::now() + time });
        }
    }
}

/// The log, which every command appends to locally and unguarded, shows that no two commands ran at once: the fencing
/// tokens in it never decrease. The counter, written with the guard, shows that no acknowledged write was lost.
#[test]
#[ignore = "takes long: make soak"]
fn commands_under_one_lock_never_overlap() {
    let wanted = parameter("SOAK_ACQUISITIONS", 10_000);
    let minutes = parameter("SOAK_MINUTES", 60);
    let contenders = parameter("SOAK_CONTENDERS", 4);
    let pause = parameter("SOAK_PAUSE_MS", 1000).max(2);
    let seed = time_limit::seed("SOAK_SEED");
    time_limit::extend(Duration::from_secs(60 * minutes + 300));
    eprintln!(
        "SOAK_SEED={seed} SOAK_ACQUISITIONS={wanted} SOAK_CONTENDERS={contenders} SOAK_PAUSE_MS={pause} SOAK_MINUTES={minutes}"
    );
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let proxy = Proxy::start(&etcd.address());
    let (over, counts) = (AtomicBool::new(false), Counts::default());
    let places: Vec<Mutex<Option<Running>>> = (0..contenders).map(|_| Mutex::new(None)).collect();
    let started = Instant::now();
    let end = started + Duration::from_secs(60 * minutes);
    let mut torment = Torment {
        dice: Dice(seed | 1),
        etcd: &etcd,
        proxy: &proxy,
        contenders: &places,
        counts: &counts,
        stopped: Vec::new(),
        quiet: vec![started; places.len()],
        guardians: Vec::new(),
    };
    std::thread::scope(|scope| {
        for place in &places {
            let (endpoint, over, folder, counts) = (proxy.endpoint(), &over, folder.path(), &counts);
            scope.spawn(move || contend(&endpoint, folder, place, over, counts));
        }
        // A panic ends the contenders too: the scope waits for them.
        let _ends_contenders = SetOnDrop(&over);
        let mut shown = started;
        while counts.acknowledged.load(Ordering::SeqCst) < wanted && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(pause / 2 + torment.dice.below(pause)));
            torment.fault();
            if shown.elapsed() > Duration::from_secs(10) {
                shown = Instant::now();
                eprintln!(
                    "{:4} s: {} acknowledged",
                    started.elapsed().as_secs(),
                    counts.acknowledged.load(Ordering::SeqCst)
                );
            }
        }
        torment.resume(true);
    });
    let guardians = std::mem::take(&mut torment.guardians);
    let (acknowledged, denied) = (counts.acknowledged.into_inner(), counts.denied.into_inner());
    let counter = kvadm(&etcd.endpoint()).args(["get", "/counter", "-o", "json"]).run().json();
    let value: u64 = counter["value"].as_str().unwrap().parse().unwrap();
    let version = counter["version"].as_u64().unwrap();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let tokens: Vec<i64> = log.lines().map(|line| line.parse().unwrap()).collect();
    let mut begun = tokens.clone();
    begun.dedup();
    let figures = format!(
        "seed {seed}: {} commands began in {} s; {acknowledged} acknowledged, {denied} not, counter {value}, {version} writes; \
         faults: {:?}",
        begun.len(),
        started.elapsed().as_secs(),
        counts.faults.into_inner().unwrap(),
    );
    eprintln!("{figures}");
    assert!(tokens.is_sorted(), "two commands ran at once; {figures}");
    assert_eq!(value, version, "a write was lost; {figures}");
    assert!(acknowledged <= value && value <= acknowledged + denied, "{figures}");
    assert!(acknowledged >= wanted, "the time was up; {figures}");
    let left = |id: &u32| {
        alive(*id)
            && std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "lease-guardian")
    };
    assert!(!guardians.iter().any(left), "a guardian is left behind; {figures}");
}
