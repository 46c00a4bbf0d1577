//! The processes that a waiter for a lock starts ahead: they do nothing without the lock, and go with the waiter.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::support::process::{children, pid};
use super::support::{Etcd, Kvadm, Running, eventually};

const SOON: Duration = Duration::from_secs(20);

fn kvadm(etcd: &Etcd) -> Kvadm {
    Kvadm::new().endpoint(etcd)
}

fn alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// A lock that is held until a line comes, and a waiter whose command would write a file; the waiter's two helpers.
fn held_and_awaited(etcd: &Etcd, folder: &Path) -> (Running, Running, Vec<u32>) {
    let mut holder = kvadm(etcd).args(["lock", "/l", "--", "sh", "-c", "echo up; read -r a"]).spawn();
    assert!(holder.next_line().is_some());
    let touch = format!("touch {}/begun; echo \"$KVADM_LOCK_REV\"", folder.display());
    let waiter = kvadm(etcd).args(["lock", "/l", "--", "sh", "-c", &touch]).spawn();
    eventually("a waiter", SOON, || kvadm(etcd).args(["lock", "--list", "/l"]).run().stdout_text().contains("waiting"));
    eventually("the helpers", SOON, || children(waiter.pid()).len() == 2);
    let helpers = children(waiter.pid());
    (holder, waiter, helpers)
}

#[test]
fn helpers_go_with_a_waiter_that_is_killed() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let (_holder, waiter, helpers) = held_and_awaited(&etcd, folder.path());
    waiter.signal(Signal::SIGKILL);
    eventually("the helpers to go", SOON, || !helpers.iter().any(|id| alive(*id)));
    assert!(!folder.path().join("begun").exists(), "the command began without the lock");
}

#[test]
fn helpers_go_with_a_waiter_that_gives_up() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let (_holder, waiter, helpers) = held_and_awaited(&etcd, folder.path());
    waiter.signal(Signal::SIGTERM);
    waiter.wait().signal(Signal::SIGTERM).err_empty();
    assert!(!helpers.iter().any(|id| alive(*id)));
    assert!(!folder.path().join("begun").exists(), "the command began without the lock");
}

/// Whatever the helpers are sent during the wait: the command begins under the lock, not before, and does begin.
#[test]
fn helpers_that_are_prodded_or_ended_during_the_wait_change_nothing() {
    let (prodded, ended) = ([Signal::SIGSTOP, Signal::SIGCONT], [Signal::SIGKILL]);
    for (signals, which) in [(&prodded[..], 0..2), (&ended, 0..2), (&ended, 0..1), (&ended, 1..2)] {
        let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
        let (mut holder, waiter, mut helpers) = held_and_awaited(&etcd, folder.path());
        helpers = helpers[which].to_vec();
        for (id, signal) in helpers.iter().flat_map(|id| signals.iter().map(move |signal| (*id, *signal))) {
            kill(pid(id), signal).unwrap();
        }
        if signals == [Signal::SIGKILL] {
            eventually("the helpers to be gone", SOON, || !helpers.iter().any(|id| alive(*id)));
        }
        assert!(!folder.path().join("begun").exists(), "the command began without the lock");
        holder.write("end\n");
        holder.wait().ok();
        let run = waiter.wait();
        assert!(run.ok().stdout_text().trim().parse::<i64>().is_ok_and(|revision| revision > 0));
        assert!(folder.path().join("begun").exists());
    }
}
