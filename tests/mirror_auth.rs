//! `kvadm mirror` with users on both sides: which permissions each side needs, and no others.

use nix::sys::signal::Signal;

use super::mirror::SOON;
use super::support::{Etcd, Kvadm, Running, eventually};

const PASSWORD: &str = "Mirror-hunter4";
const ROOT: &str = "Root-hunter2";

/// A server with the user `mirror`, whose role has these permissions, each with its keys and `--prefix` if wanted.
fn protected(permissions: &[&[&str]], keys: &[&str]) -> Etcd {
    let etcd = Etcd::options().arg("--bcrypt-cost=4").start();
    for key in keys {
        etcd.etcdctl_ok(&["put", key, "1"]);
    }
    etcd.etcdctl_ok(&["user", "add", &format!("root:{ROOT}")]);
    etcd.etcdctl_ok(&["user", "add", &format!("mirror:{PASSWORD}")]);
    etcd.etcdctl_ok(&["role", "add", "mirror"]);
    for permission in permissions {
        let mut args = vec!["role", "grant-permission", "mirror"];
        args.extend(*permission);
        etcd.etcdctl_ok(&args);
    }
    etcd.etcdctl_ok(&["user", "grant-role", "mirror", "mirror"]);
    etcd.etcdctl_ok(&["user", "grant-role", "root", "root"]);
    etcd.etcdctl_ok(&["auth", "enable"]);
    etcd
}

/// Users on both sides with the permissions that a mirror needs, and no others.
pub(super) fn pair() -> (Etcd, Etcd) {
    let source = protected(&[&["read", "/app/", "--prefix=true"]], &["/app/a", "/app/b", "/other/a"]);
    let good: &[&[&str]] = &[&["readwrite", "/app/", "--prefix=true"], &["readwrite", "/app.kvadm-mirror"]];
    (source, protected(good, &["/other/b"]))
}

pub(super) fn kvadm(source: &Etcd, destination: &Etcd) -> Kvadm {
    let context = format!("endpoints: [\"{}\"]\nusername: mirror\npassword: {PASSWORD}\n", source.endpoint());
    Kvadm::new()
        .config_file("src.yaml", context)
        .endpoint(destination)
        .args(["--user", "mirror"])
        .env("KVADM_PASSWORD", PASSWORD)
        .args(["mirror", "/app/", "--source", "context:src"])
}

pub(super) fn root(etcd: &Etcd, args: &[&str]) -> Vec<u8> {
    let user = format!("--user=root:{ROOT}");
    let mut all = vec![user.as_str()];
    all.extend(args);
    etcd.etcdctl_ok(&all).into_bytes()
}

#[test]
fn reading_here_and_writing_there_is_enough() {
    let (source, destination) = pair();
    kvadm(&source, &destination)
        .args(["--once", "--verify"])
        .run()
        .ok()
        .err_has("verified: 2 keys equal")
        .err_lacks("hunter");
    let running: Running = kvadm(&source, &destination).args(["--report", "100ms"]).spawn();
    running.wait_for_stderr("continuing after", SOON);
    root(&source, &["put", "/app/c", "2"]);
    root(&source, &["del", "/app/a"]);
    let copy = || root(&destination, &["get", "--prefix", "/app/", "--keys-only"]);
    eventually("the changes", SOON, || copy() == b"/app/b\n\n/app/c\n\n");
    running.wait_for_stderr(" behind", SOON);
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT);
}

#[test]
fn what_a_role_lacks_is_named() {
    let source = protected(&[&["read", "/app/", "--prefix=true"]], &["/app/a"]);
    let blind = protected(&[&["read", "/apple"]], &["/app/a"]);
    let good: &[&[&str]] = &[&["readwrite", "/app/", "--prefix=true"], &["readwrite", "/app.kvadm-mirror"]];
    let destination = protected(good, &[]);
    let run = kvadm(&blind, &destination).arg("--once").run();
    run.code(4).err_has("cannot read the source").err_has("permission denied (user 'mirror', key");
    for permissions in [&[good[0]][..], &[good[1]], &[good[1], &["read", "/app/", "--prefix=true"]]] {
        let lacking = protected(permissions, &[]);
        let run = kvadm(&source, &lacking).arg("--once").run();
        run.code(4).err_has("permission denied (user 'mirror'");
        assert_eq!(root(&lacking, &["get", "--prefix", "/app/", "--keys-only"]), b"");
    }
    // Taken away while it runs.
    let running = kvadm(&source, &destination).spawn();
    running.wait_for_stderr("copied 1 key", SOON);
    root(&destination, &["role", "revoke-permission", "mirror", "/app.kvadm-mirror"]);
    root(&source, &["put", "/app/b", "2"]);
    running.wait().code(4).err_has("permission denied");
}
