//! Locks while things break: nobody acts under a lock that somebody else may have.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};

use super::support::process::{children, pid};
use super::support::{Cluster, Etcd, Kvadm, Mode, Proxy, Running, eventually, time_limit};

const SOON: Duration = Duration::from_secs(20);

pub(super) fn kvadm(endpoints: &str) -> Kvadm {
    Kvadm::new().env("KVADM_ENDPOINTS", endpoints).env("K", env!("CARGO_BIN_EXE_kvadm"))
}

/// Holds the lock for `ttl` seconds at a time with a command that notes the time again and again, for ever.
pub(super) fn noting(endpoints: &str, folder: &Path, ttl: u32) -> (Running, u32) {
    let script = "echo $$; while :; do date +%s%N >> alive; sleep 0.02; done";
    let command = kvadm(endpoints).args(["--op-timeout", "1s", "lock", "/l", "--ttl", &format!("{ttl}s")]);
    let mut running = command.args(["--", "sh", "-c", script]).folder(folder).spawn();
    let id = running.next_line().unwrap().parse().unwrap();
    (running, id)
}

/// Waits for the lock and notes when it had it.
pub(super) fn next(endpoints: &str, folder: &Path) -> Running {
    let waiter = kvadm(endpoints).args(["lock", "/l", "--ttl", "60s", "--", "sh", "-c", "date +%s%N > next"]);
    waiter.folder(folder).spawn()
}

pub(super) fn wait_for_queue(endpoints: &str) {
    eventually("a waiter", SOON, || {
        kvadm(endpoints).args(["lock", "--list", "/l"]).run().stdout_text().contains("waiting")
    });
}

pub(super) fn alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// The last sign of life of the first command was before the first one of the second.
pub(super) fn one_behind_the_other(folder: &Path) {
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let last: u128 = read("alive").lines().last().unwrap().parse().unwrap();
    let next: u128 = read("next").trim().parse().unwrap();
    assert!(last < next, "the first command lived {} ms into the second's time", (last - next) / 1_000_000);
}

/// The watch of the key is on a connection that does not answer any more, while keep-alives find another endpoint.
#[test]
fn a_deletion_is_noticed_although_the_connection_of_the_watch_is_frozen() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let mut proxy = Proxy::start(&etcd.address());
    let (running, id) = noting(&format!("{},{}", proxy.endpoint(), etcd.endpoint()), folder.path(), 4);
    // The watch begins a moment after the lock is held.
    eventually("the watch", SOON, || etcd.received("Watch") > 0);
    proxy.set(Mode::Hang);
    etcd.etcdctl_ok(&["del", "--prefix", "/l/"]);
    let deleted = Instant::now();
    eventually("the command to end", SOON, || !alive(id));
    // Half of the TTL until a keep-alive fails, and what a busy machine needs.
    assert!(deleted.elapsed() < Duration::from_secs(5), "{:?}", deleted.elapsed());
    running.wait().code(5).err_has("was lost");
}

#[test]
fn a_silent_etcd_ends_the_command_before_the_lease_can() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let (running, id) = noting(&etcd.endpoint(), folder.path(), 3);
    let waiter = next(&etcd.endpoint(), folder.path());
    wait_for_queue(&etcd.endpoint());
    etcd.pause();
    let paused = Instant::now();
    eventually("the command to die", Duration::from_secs(3), || !alive(id));
    assert!(paused.elapsed() < Duration::from_secs(3), "the lease had up to 3 s from the pause");
    let run = running.wait();
    run.code(5).err_has("could not be renewed in time").err_has("expires by itself");
    etcd.resume();
    waiter.wait().ok();
    one_behind_the_other(folder.path());
}

#[test]
fn a_server_started_again_in_time_is_no_loss() {
    let mut etcd = Etcd::start();
    let mut running =
        kvadm(&etcd.endpoint()).args(["lock", "/l", "--ttl", "10s", "--", "sh", "-c", "echo up; read -r a"]).spawn();
    assert!(running.next_line().is_some());
    let mut waiter = kvadm(&etcd.endpoint()).args(["lock", "/l", "--ttl", "10s"]).spawn();
    wait_for_queue(&etcd.endpoint());
    etcd.kill();
    etcd.restart();
    running.write("go on\n");
    running.wait().ok();
    assert!(waiter.next_line().unwrap().starts_with("/l/"));
    waiter.signal(Signal::SIGINT);
    waiter.wait().signal(Signal::SIGINT);
}

#[test]
fn a_server_that_is_gone_ends_the_command_in_time_too() {
    let (mut etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let (running, id) = noting(&etcd.endpoint(), folder.path(), 3);
    etcd.kill();
    let killed = Instant::now();
    running.wait().code(5).err_has("was lost");
    assert!(killed.elapsed() < Duration::from_secs(5) && !alive(id));
}

#[test]
fn a_killed_kvadm_takes_its_command_with_it() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let (running, id) = noting(&etcd.endpoint(), folder.path(), 3);
    let waiter = next(&etcd.endpoint(), folder.path());
    wait_for_queue(&etcd.endpoint());
    running.signal(Signal::SIGKILL);
    eventually("the command to die", Duration::from_secs(1), || !alive(id));
    waiter.wait().ok();
    one_behind_the_other(folder.path());
}

#[test]
fn a_stopped_kvadm_does_not_keep_its_command() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let (running, id) = noting(&etcd.endpoint(), folder.path(), 3);
    let waiter = next(&etcd.endpoint(), folder.path());
    wait_for_queue(&etcd.endpoint());
    running.signal(Signal::SIGSTOP);
    eventually("the command to die", Duration::from_secs(3), || !alive(id));
    waiter.wait().ok();
    one_behind_the_other(folder.path());
    running.signal(Signal::SIGCONT);
    running.wait().code(5).err_has("was lost");
}

/// The guardian is a helper that anybody may end; another one comes.
#[test]
fn a_guardian_that_is_ended_is_replaced() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let (running, id) = noting(&etcd.endpoint(), folder.path(), 30);
    let guardians =
        || -> Vec<u32> { children(running.pid()).into_iter().filter(|child| *child != id && alive(*child)).collect() };
    let first = guardians();
    assert_eq!(first.len(), 1, "one helper beside the command");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(pid(first[0]), signal).unwrap();
    }
    kill(pid(first[0]), Signal::SIGKILL).unwrap();
    eventually("another guardian", SOON, || matches!(guardians()[..], [another] if another != first[0]));
    assert!(alive(id));
    running.signal(Signal::SIGKILL);
    eventually("the command to die", Duration::from_secs(1), || !alive(id));
}

#[test]
fn a_leader_s_end_within_the_ttl_is_no_loss() {
    let mut cluster = Cluster::start(3);
    let command = kvadm(&cluster.endpoints()).args(["lock", "/l", "--ttl", "6s", "--", "sh", "-c"]);
    let mut running = command.arg("echo up; sleep 7; \"$K\" put /k v --if-locked -q").spawn();
    assert!(running.next_line().is_some());
    let waiter = kvadm(&cluster.endpoints()).args(["lock", "/l", "--ttl", "6s", "--", "echo", "mine"]).spawn();
    let leader = cluster.leader();
    cluster.members[leader].kill();
    running.wait().ok();
    waiter.wait().ok().out("mine\n");
}

/// A frozen leader accepts everything and answers nothing: another member is asked in time.
#[test]
fn a_frozen_leader_is_no_loss() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    let endpoints: Vec<String> = (0..3).map(|n| cluster.members[(leader + n) % 3].endpoint()).collect();
    let command = kvadm(&endpoints.join(",")).args(["lock", "/l", "--ttl", "6s", "--", "sh", "-c"]);
    let mut running = command.arg("echo up; sleep 7; \"$K\" put /k v --if-locked -q").spawn();
    assert!(running.next_line().is_some());
    cluster.members[leader].pause();
    let run = running.wait();
    cluster.members[leader].resume();
    run.ok();
}

#[test]
fn giving_up_waits_for_an_etcd_that_is_away() {
    let etcd = Etcd::start();
    let mut running = kvadm(&etcd.endpoint())
        .args(["--op-timeout", "500ms", "lock", "/l", "--ttl", "12s", "--", "sh", "-c", "echo up; read -r a"])
        .spawn();
    assert!(running.next_line().is_some());
    etcd.pause();
    running.write("end\n");
    running.wait_for_stderr("cannot release the lock /l yet", SOON);
    etcd.resume();
    running.wait().ok().err_has("the lock /l is released");
    assert!(etcd.etcdctl_ok(&["lease", "list"]).starts_with("found 0 leases"));
}

#[test]
fn success_that_cannot_be_proved_is_none() {
    let mut etcd = Etcd::start();
    let mut running =
        kvadm(&etcd.endpoint()).args(["lock", "/l", "--ttl", "4s", "--", "sh", "-c", "echo up; read -r a"]).spawn();
    assert!(running.next_line().is_some());
    etcd.kill();
    running.write("end\n");
    running
        .wait()
        .code(5)
        .err_has("cannot release the lock /l")
        .err_has("cannot confirm that the lock /l was held to the end");
}

/// A member that is cut off from the others still has the key in its own state.
#[test]
fn a_member_without_a_quorum_proves_nothing() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    let [follower, third] = [1, 2].map(|n| &cluster.members[(leader + n) % 3]);
    let lock = ["--op-timeout", "1s", "lock", "/l", "--ttl", "4s", "--", "sh", "-c", "echo up; read -r a"];
    let mut running = kvadm(&follower.endpoint()).args(lock).spawn();
    assert!(running.next_line().is_some());
    cluster.members[leader].pause();
    third.pause();
    running.write("end\n");
    let run = running.wait();
    cluster.members[leader].resume();
    third.resume();
    run.code(5).err_has("cannot confirm that the lock /l was held to the end");
}

/// Numbers that a seed makes (xorshift).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

pub(super) const SECTION: &str = r#"
echo "$KVADM_LOCK_REV" >> log
value=$("$K" get /counter -q)
case $? in 0) ;; 1) value=0 ;; *) exit 9 ;; esac
sleep 0.0$(( $$ % 10 ))
echo "$KVADM_LOCK_REV" >> log
"$K" put /counter $((value + 1)) --if-locked -q >/dev/null || exit 9
echo "$KVADM_LOCK_REV" >> log
"#;

/// Contenders count under a lock while things break. The log, which every command appends to locally and unguarded, shows
/// that no two commands ran at once: the fencing tokens in it never go back. The counter, written with the guard, shows
/// that no write was lost: it equals the number of its writes. `KVADM_TEST_SEED` replays a run's faults.
#[test]
fn nothing_acknowledged_is_lost_under_faults() {
    let mut etcd = Etcd::start();
    count_under_faults(std::slice::from_mut(&mut etcd));
}

/// The same on three members, of which one at a time is stopped and started again, frozen, or cut off.
#[test]
fn nothing_acknowledged_is_lost_while_members_come_and_go() {
    count_under_faults(&mut Cluster::start(3).members);
}

/// Sets the flag when it goes out of scope, also by a panic.
pub(super) struct SetOnDrop<'a>(pub(super) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn count_under_faults(members: &mut [Etcd]) {
    let seed = time_limit::seed("KVADM_TEST_SEED");
    let folder = tempfile::tempdir().unwrap();
    let proxies: Vec<Proxy> = members.iter().map(|member| Proxy::start(&member.address())).collect();
    let endpoints = proxies.iter().map(Proxy::endpoint).collect::<Vec<_>>().join(",");
    let contenders: Vec<Mutex<Option<Running>>> = (0..4).map(|_| Mutex::new(None)).collect();
    let over = AtomicBool::new(false);
    let (acknowledged, denied) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for place in &contenders {
            let (endpoints, over, folder) = (&endpoints, &over, folder.path());
            let (acknowledged, denied) = (&acknowledged, &denied);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let lock = [
                        "--op-timeout",
                        "500ms",
                        "lock",
                        "/l",
                        "--ttl",
                        "2s",
                        "--wait",
                        "8s",
                        "--",
                        "sh",
                        "-c",
                        SECTION,
                    ];
                    let running = kvadm(endpoints).args(lock).folder(folder).spawn();
                    *place.lock().unwrap() = Some(running);
                    let started = Instant::now();
                    let ended = loop {
                        assert!(started.elapsed() < Duration::from_secs(60), "a contender did not end");
                        if let Some(ended) = place.lock().unwrap().as_mut().unwrap().ended() {
                            break ended;
                        }
                        std::thread::sleep(Duration::from_millis(5));
                    };
                    let count = if ended.success() { acknowledged } else { denied };
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // A panic ends the contenders too: the scope waits for them.
        let _ends_contenders = SetOnDrop(&over);
        torment(&mut Dice(seed | 1), members, &proxies, &contenders);
    });
    let (acknowledged, denied) = (acknowledged.into_inner(), denied.into_inner());
    let counter = kvadm(&endpoints).args(["get", "/counter", "-o", "json"]).run().json();
    let value: u64 = counter["value"].as_str().unwrap().parse().unwrap();
    let version = counter["version"].as_u64().unwrap();
    let said = format!("seed {seed}: {acknowledged} acknowledged, {denied} not, counter {value}, {version} writes");
    eprintln!("{said}");
    assert_eq!(value, version, "a write was lost; {said}");
    assert!(acknowledged <= value && value <= acknowledged + denied, "{said}");
    assert!(acknowledged >= 2, "the faults left no room for work; {said}");
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let tokens: Vec<i64> = log.lines().map(|line| line.parse().unwrap()).collect();
    assert!(tokens.is_sorted(), "two commands ran at once; {said}: {tokens:?}");
}

/// A contender that does not run, and its command's group where that does not either.
struct Frozen {
    which: usize,
    id: u32,
    group: Option<u32>,
    until: Instant,
}

/// The process group of a kvadm's command.
fn command_of(id: u32) -> Option<u32> {
    let is_sh =
        |child: &u32| std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.trim() == "sh");
    children(id).into_iter().find(is_sh)
}

/// Sends a signal to a contender that still runs (and is this process, where one is named), and gives its id.
fn send(contender: &Mutex<Option<Running>>, id: Option<u32>, signal: Signal) -> Option<u32> {
    let mut place = contender.lock().unwrap();
    let running = place.as_mut()?;
    if running.ended().is_some() || id.is_some_and(|id| id != running.pid()) {
        return None;
    }
    running.signal(signal);
    Some(running.pid())
}

/// Stops, kills, cuts and freezes for a while, and leaves everything running.
fn torment(dice: &mut Dice, members: &mut [Etcd], proxies: &[Proxy], contenders: &[Mutex<Option<Running>>]) {
    let end = Instant::now() + Duration::from_secs(12);
    let mut frozen: Vec<Frozen> = Vec::new();
    while Instant::now() < end || !frozen.is_empty() {
        std::thread::sleep(Duration::from_millis(100 + dice.below(300)));
        frozen.retain(|one| {
            let due = Instant::now() >= one.until;
            if due && send(&contenders[one.which], Some(one.id), Signal::SIGCONT).is_some() {
                one.group.map(|group| killpg(pid(group), Signal::SIGCONT));
            }
            !due
        });
        if Instant::now() >= end {
            continue;
        }
        let which = usize::try_from(dice.below(4)).unwrap();
        let at = usize::try_from(dice.below(members.len() as u64)).unwrap();
        let etcd = &mut members[at];
        match dice.below(7) {
            0 => proxies[at].cut(),
            1 => {
                send(&contenders[which], None, Signal::SIGKILL);
            }
            2 => {
                etcd.pause();
                std::thread::sleep(Duration::from_millis(200 + dice.below(1500)));
                etcd.resume();
            }
            3 => etcd.restart(),
            fault => {
                let until = Instant::now() + Duration::from_millis(300 + dice.below(3000));
                let Some(id) = send(&contenders[which], None, Signal::SIGSTOP) else { continue };
                let group = command_of(id).filter(|_| fault == 4);
                group.map(|group| killpg(pid(group), Signal::SIGSTOP));
                frozen.push(Frozen { which, id, group, until });
            }
        }
    }
}

/// Cuts all connections `cuts` times, while the store is written all the time.
fn cut_on_a_busy_store(etcd: &Etcd, proxy: &Proxy, cuts: u32) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for key in ["/busy/1", "/busy/2"] {
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    // On a busy machine one may fail; the next one changes the store as well.
                    drop(kvadm(&etcd.endpoint()).args(["put", key, "x", "-q"]).run());
                }
            });
        }
        let _ends_writers = SetOnDrop(&over);
        let mut dice = Dice(0x9e37_79b9);
        for _ in 0..cuts {
            std::thread::sleep(Duration::from_millis(3 + dice.below(60)));
            proxy.cut();
        }
    });
}

/// Each cut ends the watch of the lock's key, and each new watch is created while the store changes. The lease needs no
/// renewal during the cuts, which a busy machine could miss.
#[test]
fn a_deleted_key_ends_the_command_after_any_number_of_cuts() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.address());
    let hold = |n: u32| {
        let lock = ["--op-timeout", "1s", "lock", &format!("/l{n}"), "--ttl", "60s", "--", "sh", "-c"];
        let mut running = kvadm(&proxy.endpoint()).args(lock).arg("echo $$; exec sleep 600").spawn();
        let id: u32 = running.next_line().unwrap().parse().unwrap();
        (running, id)
    };
    let holders: Vec<(Running, u32)> = (0..6).map(hold).collect();
    cut_on_a_busy_store(&etcd, &proxy, 120);
    assert!(holders.iter().all(|(_, id)| alive(*id)), "cuts alone lose no lock");
    etcd.etcdctl_ok(&["del", "--prefix", "/l"]);
    let deleted = Instant::now();
    eventually("the commands to die", Duration::from_secs(3), || !holders.iter().any(|(_, id)| alive(*id)));
    assert!(deleted.elapsed() < Duration::from_secs(3));
    for (running, _) in holders {
        running.wait().code(5).err_has("its key was deleted");
    }
}

#[test]
fn waiting_for_a_lock_survives_any_number_of_cuts() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.address());
    let mut holder = kvadm(&etcd.endpoint()).args(["lock", "/l", "--", "sh", "-c", "echo up; read -r a"]).spawn();
    assert!(holder.next_line().is_some());
    let wait = |_| {
        let lock = ["--op-timeout", "1s", "lock", "/l", "--ttl", "60s", "--", "echo", "mine"];
        kvadm(&proxy.endpoint()).args(lock).spawn()
    };
    let waiters: Vec<Running> = (0..6).map(wait).collect();
    eventually("all waiters", SOON, || {
        kvadm(&etcd.endpoint()).args(["lock", "--list", "/l"]).run().stdout_text().lines().count() == 7
    });
    cut_on_a_busy_store(&etcd, &proxy, 120);
    holder.write("end\n");
    holder.wait().ok();
    for waiter in waiters {
        waiter.wait().ok().out("mine\n");
    }
}
