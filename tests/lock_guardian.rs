//! The guardian of a lock's command: whichever one of kvadm and the guardian fails, the command is dead before the lease
//! can end, or goes on under it.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::lock_faults::{alive, kvadm, next, noting, one_behind_the_other, wait_for_queue};
use super::support::process::{children, pid};
use super::support::{Etcd, Kvadm, Running, eventually};

const SOON: Duration = Duration::from_secs(20);

/// The guardian of a kvadm whose command has this process id.
fn guardian(running: &Running, command: u32) -> Option<u32> {
    children(running.pid()).into_iter().find(|child| *child != command && alive(*child))
}

fn first_guardian(running: &Running, command: u32) -> u32 {
    guardian(running, command).expect("a guardian beside the command")
}

/// Whether there is no such process, not even one that is not reaped yet.
fn is_gone(id: u32) -> bool {
    !Path::new(&format!("/proc/{id}")).exists()
}

/// The process id is checked to be the child's at each signal: it may be reaped at any time.
fn signal_child(running: &Running, id: u32, signal: Signal) {
    if children(running.pid()).contains(&id) {
        kill(pid(id), signal).ok();
    }
}

#[test]
fn a_guardian_that_is_stopped_is_killed_and_reaped_and_replaced() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let (running, id) = noting(&etcd.endpoint(), folder.path(), 3);
    let stopped = first_guardian(&running, id);
    kill(pid(stopped), Signal::SIGSTOP).unwrap();
    // It has a quarter of the margin after the next renewal, which comes within a third of the TTL.
    eventually("the stopped guardian to be gone", SOON, || is_gone(stopped));
    eventually("another guardian", SOON, || guardian(&running, id).is_some());
    assert!(alive(id), "the command goes on");
    let waiter = next(&etcd.endpoint(), folder.path());
    wait_for_queue(&etcd.endpoint());
    running.signal(Signal::SIGKILL);
    waiter.wait().ok();
    one_behind_the_other(folder.path());
}

#[test]
fn a_guardian_that_is_stopped_does_not_outlive_the_command() {
    let etcd = Etcd::start();
    let mut running =
        kvadm(&etcd.endpoint()).args(["lock", "/l", "--ttl", "60s", "--", "sh", "-c", "echo $$; read -r a"]).spawn();
    let id = running.next_line().unwrap().parse().unwrap();
    let stopped = first_guardian(&running, id);
    kill(pid(stopped), Signal::SIGSTOP).unwrap();
    let started = Instant::now();
    running.write("end\n");
    running.wait().ok();
    assert!(started.elapsed() < Duration::from_secs(5), "the end took {:?}", started.elapsed());
    assert!(is_gone(stopped), "it would kill by an old deadline when it continues");
}

#[test]
fn a_guardian_that_is_stopped_during_the_wait_is_replaced_before_the_command_begins() {
    let etcd = Etcd::start();
    let mut holder = kvadm(&etcd.endpoint()).args(["lock", "/l", "--", "sh", "-c", "echo up; read -r a"]).spawn();
    assert!(holder.next_line().is_some());
    let mut waiter =
        kvadm(&etcd.endpoint()).args(["lock", "/l", "--ttl", "3s", "--", "sh", "-c", "echo $$; read -r a"]).spawn();
    wait_for_queue(&etcd.endpoint());
    // The helper that leads no process group is the guardian, which has a session of its own.
    let session = |id: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().nth(3) == Some(id.to_string().as_str())
    };
    eventually("the guardian", SOON, || children(waiter.pid()).into_iter().any(session));
    let stopped = children(waiter.pid()).into_iter().find(|id| session(*id)).unwrap();
    kill(pid(stopped), Signal::SIGSTOP).unwrap();
    holder.write("end\n");
    holder.wait().ok();
    let id = waiter.next_line().unwrap().parse().unwrap();
    assert!(is_gone(stopped) && guardian(&waiter, id).is_some());
    waiter.write("end\n");
    waiter.wait().ok();
}

/// The guardian acknowledges each deadline late: it is replaced, or in time, but the command goes on under the lock.
#[test]
fn a_guardian_that_is_slow_costs_nothing() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let (running, id) = noting(&etcd.endpoint(), folder.path(), 6);
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end {
        let Some(slow) = guardian(&running, id) else { continue };
        signal_child(&running, slow, Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(400));
        signal_child(&running, slow, Signal::SIGCONT);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(alive(id));
    let waiter = next(&etcd.endpoint(), folder.path());
    wait_for_queue(&etcd.endpoint());
    eventually("a guardian", SOON, || guardian(&running, id).is_some());
    running.signal(Signal::SIGKILL);
    waiter.wait().ok();
    one_behind_the_other(folder.path());
}

/// kvadm runs one millisecond in a few hundred: the lease may be kept or lost, but the command is never beside the next.
#[test]
fn a_kvadm_that_is_slow_does_not_keep_its_command_beside_the_next() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let (mut running, _) = noting(&etcd.endpoint(), folder.path(), 2);
    let waiter = next(&etcd.endpoint(), folder.path());
    wait_for_queue(&etcd.endpoint());
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end && running.ended().is_none() {
        running.signal(Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(700));
        running.signal(Signal::SIGCONT);
        std::thread::sleep(Duration::from_millis(2));
    }
    if running.ended().is_none() {
        running.signal(Signal::SIGKILL);
    }
    waiter.wait().ok();
    one_behind_the_other(folder.path());
}

/// What `pkill NAME` and `pkill -f NAME` look at.
fn matches_name(id: u32, name: &str) -> bool {
    let read = |file: &str| std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
    [read("comm"), read("cmdline")].iter().any(|text| String::from_utf8_lossy(text).contains(name))
}

fn signal_all_named_kvadm(running: &Running, signal: Signal) -> usize {
    let all = std::iter::once(running.pid()).chain(children(running.pid()));
    let named: Vec<u32> = all.filter(|id| matches_name(*id, "kvadm")).collect();
    named.iter().for_each(|id| kill(pid(*id), signal).unwrap());
    named.len()
}

#[test]
fn all_processes_named_kvadm_are_killed_or_stopped_and_the_command_does_not_outlive_the_lease() {
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
        let (running, id) = noting(&etcd.endpoint(), folder.path(), 3);
        let waiter = next(&etcd.endpoint(), folder.path());
        wait_for_queue(&etcd.endpoint());
        assert_eq!(signal_all_named_kvadm(&running, signal), 1, "only kvadm itself has its name");
        eventually("the command to die", Duration::from_secs(3), || !alive(id));
        waiter.wait().ok();
        one_behind_the_other(folder.path());
    }
}

#[test]
fn the_helper_that_waits_for_the_lock_is_not_named_kvadm() {
    let etcd = Etcd::start();
    let mut holder = kvadm(&etcd.endpoint()).args(["lock", "/l", "--", "sh", "-c", "echo up; read -r a"]).spawn();
    assert!(holder.next_line().is_some());
    let waiter = kvadm(&etcd.endpoint()).args(["lock", "/l", "--", "true"]).spawn();
    wait_for_queue(&etcd.endpoint());
    let helpers = || children(waiter.pid());
    eventually("the helpers", SOON, || helpers().len() == 2);
    eventually("the helpers' names", SOON, || !helpers().iter().any(|id| matches_name(*id, "kvadm")));
}

/// Under the name of a helper, but not started by kvadm, the program is the usual one.
#[test]
fn a_program_of_a_helpers_name_is_an_ordinary_kvadm() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["lease-guardian", "lease-starter"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kvadm"), folder.path().join(name)).unwrap();
        let run = Kvadm::program(name).env("PATH", folder.path()).arg("--version").run();
        run.ok().out_has(env!("CARGO_PKG_VERSION")).err_empty();
    }
}
