//! Users and roles that change while a command runs: etcd then refuses the token of the login, and kvadm logs in again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use rcgen::KeyPair;

use super::support::{Certs, Etcd, Kvadm, Options, Proxy, Running, eventually};

const SOON: Duration = Duration::from_secs(20);
const AS_ROOT: [&str; 2] = ["--user", "root:root-pw"];

/// The server's kinds of tokens.
#[derive(Clone, Copy, Debug)]
enum Tokens {
    /// Bound to the state of users and roles at the login.
    Jwt,
    Simple,
}

impl Tokens {
    const ALL: [Self; 2] = [Self::Jwt, Self::Simple];

    fn options(self, folder: &std::path::Path) -> Options {
        let options = Etcd::options().arg("--bcrypt-cost=4");
        match self {
            Self::Simple => options,
            Self::Jwt => {
                let pem = include_str!("support/rsa-for-tests.pem");
                let (private, public) = (folder.join("jwt.key"), folder.join("jwt.pub"));
                std::fs::write(&private, pem).unwrap();
                std::fs::write(&public, KeyPair::from_pem(pem).unwrap().public_key_pem()).unwrap();
                options.arg(format!(
                    "--auth-token=jwt,pub-key={},priv-key={},sign-method=RS256,ttl=10m",
                    public.display(),
                    private.display()
                ))
            }
        }
    }
}

/// `root`, and `app` with everything below `/app/`. Authentication is off until [`enable`].
fn with_users(options: &Options) -> Etcd {
    let etcd = options.start();
    etcd.etcdctl_ok(&["user", "add", "root:root-pw"]);
    etcd.etcdctl_ok(&["user", "add", "app:app-pw"]);
    etcd.etcdctl_ok(&["role", "add", "app"]);
    etcd.etcdctl_ok(&["role", "grant-permission", "app", "readwrite", "/app/", "--prefix=true"]);
    etcd.etcdctl_ok(&["user", "grant-role", "app", "app"]);
    etcd.etcdctl_ok(&["user", "grant-role", "root", "root"]);
    etcd
}

fn protected(tokens: Tokens, folder: &std::path::Path) -> Etcd {
    let etcd = with_users(&tokens.options(folder));
    etcd.etcdctl_ok(&["auth", "enable"]);
    etcd
}

fn kvadm(endpoint: &str, user: &str) -> Kvadm {
    let password = format!("{user}-pw");
    Kvadm::new().args(["--endpoints", endpoint, "--user", user]).env("KVADM_PASSWORD", password)
}

fn app(etcd: &Etcd, args: &[&str]) -> Running {
    kvadm(&etcd.endpoint(), "app").args(args).timeout(Duration::from_secs(60)).spawn()
}

/// Changes the state of users and roles, so that every token of before is old.
fn change(etcd: &Etcd, flags: &[&str]) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let role = format!("r{}", NEXT.fetch_add(1, Ordering::Relaxed));
    etcd.etcdctl_ok(&[flags, &["role", "add", &role]].concat());
}

/// Runs `work` while the roles change all the time.
fn while_roles_change<T>(etcd: &Etcd, flags: &[&str], work: impl FnOnce() -> T) -> T {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                change(etcd, flags);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _end = End(&ended);
        work()
    })
}

fn records(count: usize) -> String {
    (0..count).map(|n| format!("{{\"key\":\"/app/{n:05}\",\"value\":\"v\"}}\n")).collect()
}

#[test]
fn a_lock_is_held_across_changes() {
    for tokens in Tokens::ALL {
        let folder = tempfile::tempdir().unwrap();
        let etcd = protected(tokens, folder.path());
        let running =
            app(&etcd, &["lock", "/app/l", "--ttl", "3s", "--", "sh", "-c", "echo runs; read line; echo done"]);
        running.wait_for_stdout("runs", SOON);
        let waiter = app(&etcd, &["lock", "/app/l", "--ttl", "3s", "--", "echo", "turn"]);
        eventually("the waiter", SOON, || etcd_keys(&etcd, "/app/l/") == 2);
        let until = std::time::Instant::now() + Duration::from_secs(5);
        while std::time::Instant::now() < until {
            change(&etcd, &AS_ROOT);
        }
        let mut running = running;
        running.write("\n");
        running.wait().ok().out("runs\ndone\n").err_empty();
        waiter.wait().ok().out("turn\n").err_has("waiting for /app/l: held by");
    }
}

/// A role that is edited: for a moment the user may not read the lock's key.
#[test]
fn a_deletion_is_noticed_again_after_the_permission_was_gone() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = protected(Tokens::Simple, folder.path());
    let proxy = Proxy::start(&etcd.address());
    let script = "echo runs; exec sleep 60";
    let lock = kvadm(&proxy.endpoint(), "app").args(["lock", "/app/l", "--ttl", "30s", "--", "sh", "-c", script]);
    let running = lock.timeout(Duration::from_secs(60)).spawn();
    running.wait_for_stdout("runs", SOON);
    let root = |args: &[&str]| etcd.etcdctl_ok(&[&AS_ROOT[..], args].concat());
    root(&["user", "revoke-role", "app", "app"]);
    proxy.cut();
    running.wait_for_stderr("cannot watch /app/l/", SOON);
    running.wait_for_stderr("its deletion is not noticed until the user may read it again", SOON);
    root(&["user", "grant-role", "app", "app"]);
    root(&["del", "--prefix", "/app/l/"]);
    let deleted = std::time::Instant::now();
    running.wait().code(5).err_has("lock /app/l was lost");
    assert!(deleted.elapsed() < Duration::from_secs(5), "{:?}", deleted.elapsed());
}

fn etcd_keys(etcd: &Etcd, prefix: &str) -> usize {
    let args = [&AS_ROOT[..], &["get", "--prefix", "--keys-only", prefix]].concat();
    etcd.etcdctl_ok(&args).lines().filter(|line| !line.is_empty()).count()
}

#[test]
fn a_load_and_a_listing_go_on_across_changes() {
    for tokens in Tokens::ALL {
        let folder = tempfile::tempdir().unwrap();
        let etcd = protected(tokens, folder.path());
        while_roles_change(&etcd, &AS_ROOT, || {
            let load = kvadm(&etcd.endpoint(), "app").args(["put", "--from", "-", "--qps", "40"]);
            load.stdin(records(8000)).timeout(Duration::from_secs(60)).run().ok();
            let listed = app(&etcd, &["list", "/app/", "--qps", "4"]).wait();
            assert_eq!(listed.ok().stdout_text().lines().count(), 8000, "{tokens:?}");
            for n in 0..10 {
                let run = kvadm(&etcd.endpoint(), "app").args(["put", "/app/00000", &n.to_string()]).run();
                run.ok();
            }
        });
    }
}

#[test]
fn a_watch_resumes_with_a_new_login() {
    for tokens in Tokens::ALL {
        let folder = tempfile::tempdir().unwrap();
        let etcd = protected(tokens, folder.path());
        let proxy = Proxy::start(&etcd.address());
        let running = kvadm(&proxy.endpoint(), "app").args(["watch", "/app/", "--list"]).timeout(SOON).spawn();
        running.wait_for_stdout("list-done", SOON);
        for n in 0..3 {
            change(&etcd, &AS_ROOT);
            proxy.cut();
            kvadm(&etcd.endpoint(), "app").args(["put", &format!("/app/{n}"), "v"]).run().ok();
            running.wait_for_stdout(&format!("/app/{n}"), SOON);
        }
        running.signal(Signal::SIGINT);
        running.wait().signal(Signal::SIGINT);
    }
}

#[test]
fn periodic_rounds_go_on_across_changes() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = protected(Tokens::Jwt, folder.path());
    for verb in [&["compact", "--every", "100ms"][..], &["gc", "locks", "/app/", "--every", "100ms"]] {
        let running = kvadm(&etcd.endpoint(), "root").args(verb).args(["-o", "json", "--yes"]).timeout(SOON).spawn();
        let rounds =
            || String::from_utf8_lossy(&running.stdout()).lines().filter(|line| line.contains("\"round\"")).count();
        for _ in 0..5 {
            change(&etcd, &AS_ROOT);
            let before = rounds();
            eventually("another round", SOON, || rounds() > before);
        }
        running.signal(Signal::SIGINT);
        let run = running.wait();
        run.signal(Signal::SIGINT).out_lacks("\"error\":\"").err_lacks("old");
    }
}

#[test]
fn authentication_may_be_switched_on_and_off_under_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = with_users(&Tokens::Jwt.options(folder.path()));
    let mut running = app(&etcd, &["lock", "/app/l", "--ttl", "2s", "--", "sh", "-c", "echo runs; read line"]);
    running.wait_for_stdout("runs", SOON);
    etcd.etcdctl_ok(&["auth", "enable"]);
    std::thread::sleep(Duration::from_secs(3));
    etcd.etcdctl_ok(&[&AS_ROOT[..], &["auth", "disable"]].concat());
    std::thread::sleep(Duration::from_secs(3));
    running.write("\n");
    running.wait().ok().out("runs\n");
}

#[test]
fn a_user_that_may_not_is_still_refused() {
    for tokens in Tokens::ALL {
        let folder = tempfile::tempdir().unwrap();
        let etcd = protected(tokens, folder.path());
        let load = kvadm(&etcd.endpoint(), "app").args(["put", "--from", "-"]).stdin(records(3000));
        load.run().ok();
        let listing = app(&etcd, &["list", "/app/", "--qps", "0.4", "-o", "json"]);
        listing.wait_for_stdout("/app/00000", SOON);
        etcd.etcdctl_ok(&[&AS_ROOT[..], &["user", "revoke-role", "app", "app"]].concat());
        listing.wait().code(4).err_has("permission denied");
        etcd.etcdctl_ok(&[&AS_ROOT[..], &["user", "grant-role", "app", "app"]].concat());
        let listing = app(&etcd, &["list", "/app/", "--qps", "0.4", "-o", "json"]);
        listing.wait_for_stdout("/app/00000", SOON);
        etcd.etcdctl_ok(&[&AS_ROOT[..], &["user", "delete", "app"]].concat());
        let run = listing.wait();
        let why =
            if run.stderr_text().contains("permission denied") { "permission denied" } else { "authentication failed" };
        run.code(4).err_has(why);
    }
}

#[test]
fn a_client_certificate_needs_no_login_and_goes_on_too() {
    let certs = Certs::new();
    let etcd = with_users(&Etcd::options().arg("--bcrypt-cost=4").client_auth(&certs));
    etcd.etcdctl_ok(&["auth", "enable"]);
    let kvadm = Kvadm::new().args(["--endpoints", &etcd.endpoint()]).arg("--ca-file").arg(&certs.ca);
    let kvadm = kvadm.arg("--cert-file").arg(&certs.client.cert).arg("--key-file").arg(&certs.client.key);
    while_roles_change(&etcd, &[], || {
        kvadm
            .args(["put", "--from", "-", "--qps", "100"])
            .stdin(records(20_000))
            .timeout(Duration::from_secs(60))
            .run()
            .ok();
    });
}
