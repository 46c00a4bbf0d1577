//! Listings of so many keys that etcd 3.7 streams them and older servers are asked window by window.

use super::support::{Etcd, Kvadm};

const KEYS: usize = 12_000;

fn key(n: usize) -> String {
    format!("/much/{n:05}")
}

fn loaded() -> Etcd {
    let etcd = Etcd::start();
    let records: String = (0..KEYS).map(|n| format!("{{\"key\":\"{}\",\"value\":\"v{n}\"}}\n", key(n))).collect();
    Kvadm::new().endpoint(&etcd).args(["put", "--from", "-", "-q"]).stdin(records).run().ok();
    etcd
}

#[test]
fn every_key_once_at_one_revision_however_it_is_asked_for() {
    let etcd = loaded();
    let list = |args: &[&str]| Kvadm::new().endpoint(&etcd).args(args).run().ok().stdout_text();
    let revision = list(&["status", "--revision"]).trim().to_owned();
    Kvadm::new().endpoint(&etcd).args(["delete", "--prefix", "/much/119", "--yes"]).run().ok();
    let lines = |from: usize, to: usize| (from..to).map(|n| format!("{}\tv{n}\n", key(n))).collect::<String>();
    let keys = |from: usize, to: usize| (from..to).map(|n| format!("{}\n", key(n))).collect::<String>();
    assert_eq!(list(&["list", "/much/"]), lines(0, 11_900));
    assert_eq!(list(&["list", "/much/", "--rev", &revision]), lines(0, KEYS));
    assert_eq!(list(&["list", "/much/", "--keys-only"]), keys(0, 11_900));
    assert_eq!(list(&["list", "/much/", "--keys-only", "--limit", "11000"]), keys(0, 11_000));
    assert_eq!(list(&["list", "/much/", "--keys-only", "--limit", "150"]), keys(0, 150));
    assert_eq!(list(&["list", "--keys-only", "--from", "/much/01000", "--to", "/much/11800"]), keys(1000, 11_800));
    assert_eq!(list(&["list", "--namespace", "/much/", "119"]), "");
    let within = list(&["list", "--namespace", "/much/", "--keys-only"]);
    assert_eq!(within, keys(0, 11_900).replace("/much/", ""));
}

#[test]
fn few_requests() {
    let etcd = loaded();
    let run = Kvadm::new().endpoint(&etcd).args(["list", "/much/", "--keys-only", "-vv"]).run();
    run.ok();
    let requests = run.stderr_text().lines().filter(|line| line.starts_with("trace: list")).count();
    if etcd.version() >= (3, 7) {
        assert_eq!(requests, 2, "the first page and the stream of the rest: {}", run.stderr_text());
    } else {
        assert!((3..40).contains(&requests), "{requests} windows: {}", run.stderr_text());
    }
}
