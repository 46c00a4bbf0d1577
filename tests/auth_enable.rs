//! `kvadm auth`: switching authentication on and off, with every kind of token and login, and never locked out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use rcgen::KeyPair;
use serde_json::json;

use super::support::{Certs, Etcd, Kvadm, Options, Plan, Run, Spoil, Spoiler};

fn options() -> Options {
    Etcd::options().arg("--bcrypt-cost=4")
}

/// Tokens that are bound to the state of users and roles at the login.
fn with_jwt(folder: &Path) -> Options {
    let pem = include_str!("support/rsa-for-tests.pem");
    let (private, public) = (folder.join("jwt.key"), folder.join("jwt.pub"));
    std::fs::write(&private, pem).unwrap();
    std::fs::write(&public, KeyPair::from_pem(pem).unwrap().public_key_pem()).unwrap();
    options().arg(format!(
        "--auth-token=jwt,pub-key={},priv-key={},sign-method=RS256,ttl=10m",
        public.display(),
        private.display()
    ))
}

fn kvadm(etcd: &Etcd, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(args)
}

fn run(etcd: &Etcd, args: &[&str]) -> Run {
    kvadm(etcd, args).run()
}

fn with_user(etcd: &Etcd, user: &str, password: &str, args: &[&str]) -> Run {
    kvadm(etcd, args).args(["--user", user]).env("KVADM_PASSWORD", password).run()
}

fn status(run: &Run) -> serde_json::Value {
    let mut status = run.json();
    // etcd 3.4 does not tell it, and 3.7 tells it to everyone.
    status.as_object_mut().unwrap().remove("auth_revision");
    status
}

fn is_enabled(etcd: &Etcd) -> bool {
    !etcd.etcdctl(&["user", "list"]).status.success()
}

#[test]
fn authentication_is_enabled_for_a_root_that_can_log_in_and_disabled_again() {
    let folder = tempfile::tempdir().unwrap();
    for options in [options(), with_jwt(folder.path())] {
        let etcd = options.start();
        let json = ["auth", "status", "-o", "json"];
        let off = run(&etcd, &json);
        assert_eq!(status(off.ok()), json!({"authentication": "disabled", "root_ready": false}));
        off.err_has("authentication is disabled: everyone can read and write everything; this command has no user");
        let enable = |args: &[&str]| with_user(&etcd, "root", "root-pw", &[&["auth", "enable"], args].concat());
        let steps = "dry run: would add role root\nnote: dry run: would add user root\nnote: dry run: would grant role root \
                     to user root\nnote: dry run: would enable authentication";
        enable(&["--dry-run"])
            .ok()
            .err_has(steps)
            .err_has("would first add a temporary user kvadm-enable-… with the role root")
            .err_has("would log in as user root afterwards, disable authentication again if that fails, and delete")
            .err_lacks("root-pw");
        assert_eq!(etcd.etcdctl_ok(&["user", "list"]), "");
        enable(&[])
            .code(2)
            .err_has("Add role root, add user root, grant role root to user root, enable authentication on cluster ")
            .err_has("disable it again if that fails (as a temporary user kvadm-enable-… with the role root");
        assert_eq!(etcd.etcdctl_ok(&["role", "list"]), "");
        enable(&["--yes", "-vv"])
            .ok()
            .out_has("enable\tapplied")
            .err_has("authentication is enabled; commands need a user from now on: 'username: root'")
            .err_lacks("root-pw")
            .out_lacks("root-pw");
        assert!(is_enabled(&etcd));
        etcd.etcdctl_ok(&["--user", "root:root-pw", "user", "list"]);
        // It is enabled already: success still means that the user has logged in.
        enable(&["--yes"])
            .ok()
            .out_has("enable\tunchanged")
            .err_has("authentication is already enabled; user root can");
        run(&etcd, &["auth", "enable", "--yes"]).code(5).out_empty().err_has("authentication is already enabled");
        with_user(&etcd, "root", "wrong", &["auth", "enable", "--yes"])
            .code(5)
            .out_empty()
            .err_has("user root cannot log in with the configured password");
        assert!(is_enabled(&etcd));
        with_user(&etcd, "root", "root-pw", &["user", "list"]).ok().out("root\n");

        run(&etcd, &["get", "/x"]).code(4).err_has("user name is empty");
        let anonymous = run(&etcd, &json);
        assert_eq!(status(anonymous.ok()), json!({"authentication": "enabled"}));
        let root = with_user(&etcd, "root", "root-pw", &json);
        let all = json!({"authentication": "enabled", "user": "root", "login": "password", "administrator": true,
            "root_ready": true});
        assert_eq!(status(root.ok()), all);
        root.err_has("authentication is enabled; this command is user root, who has the role root");
        with_user(&etcd, "root", "wrong", &["auth", "status"])
            .code(4)
            .out_has("authentication\tenabled\n")
            .out_has("user\troot\nlogin\tpassword\n")
            .err_has("the login of this command's user is refused");
        with_user(&etcd, "root", "root-pw", &["user", "add", "alice", "--no-password"]).ok();
        let add = kvadm(&etcd, &["user", "add", "bob", "--new-password-file", "-", "--user", "root"]);
        add.env("KVADM_PASSWORD", "root-pw").stdin("bob-pw").run().ok();
        let bob = with_user(&etcd, "bob", "bob-pw", &json);
        let few = json!({"authentication": "enabled", "user": "bob", "login": "password", "administrator": false});
        assert_eq!(status(bob.ok()), few);
        with_user(&etcd, "bob", "bob-pw", &["auth", "disable", "--yes"]).code(4).err_has("permission denied");

        let disable = |args: &[&str]| with_user(&etcd, "root", "root-pw", &[&["auth", "disable"], args].concat());
        let effect = "everyone who can reach etcd can then read and write everything";
        disable(&["--dry-run"]).ok().err_has(effect).out_has("disable\twould-apply");
        disable(&[]).code(2).err_has(effect).err_has("on cluster ");
        assert!(is_enabled(&etcd));
        disable(&["--yes"]).ok().out_has("disable\tapplied");
        assert!(!is_enabled(&etcd));
        run(&etcd, &["auth", "disable", "--yes"]).ok().out_has("unchanged").err_has("already disabled");
        // The password of a user that exists is set, so that it is known to be right.
        enable(&[])
            .code(2)
            .err_has("Set the password of user root to the configured one, enable authentication on cluster");
        with_user(&etcd, "root", "another", &["auth", "enable", "--yes"]).ok();
        with_user(&etcd, "root", "another", &["user", "list"]).ok().out("alice\nbob\nroot\n");
    }
}

#[test]
fn nobody_who_could_not_undo_it_enables_authentication() {
    let etcd = options().start();
    let refused = |run: Run, why: &str| {
        run.code(5).out_empty().err_has("cannot enable authentication").err_has(why);
        assert!(!is_enabled(&etcd));
    };
    refused(run(&etcd, &["auth", "enable", "--yes"]), "etcd needs the user root with the role root");
    etcd.etcdctl_ok(&["user", "add", "root:root-pw"]);
    etcd.etcdctl_ok(&["user", "add", "alice:alice-pw"]);
    refused(run(&etcd, &["auth", "enable", "--yes"]), "etcd needs the user root with the role root");
    refused(with_user(&etcd, "alice", "alice-pw", &["auth", "enable", "--yes"]), "the user root with the role root");
    etcd.etcdctl_ok(&["role", "add", "root"]);
    etcd.etcdctl_ok(&["user", "grant-role", "root", "root"]);
    refused(run(&etcd, &["auth", "enable", "--yes"]), "this command has no user");
    refused(
        with_user(&etcd, "alice", "alice-pw", &["auth", "enable", "--yes"]),
        "user alice of this command does not have",
    );
    refused(with_user(&etcd, "nobody", "x", &["auth", "enable", "--yes"]), "user nobody of this command does not have");
    etcd.etcdctl_ok(&["user", "grant-role", "alice", "root"]);
    with_user(&etcd, "alice", "new-pw", &["auth", "enable", "--yes"]).ok();
    with_user(&etcd, "alice", "new-pw", &["auth", "status", "-o", "json"]).ok().out_has("\"administrator\":true");
    etcd.etcdctl_ok(&["--user", "root:root-pw", "user", "list"]);
}

#[test]
fn a_password_that_is_kept_and_wrong_disables_authentication_again() {
    let etcd = options().start();
    etcd.etcdctl_ok(&["user", "add", "root:root-pw"]);
    etcd.etcdctl_ok(&["role", "add", "root"]);
    etcd.etcdctl_ok(&["user", "grant-role", "root", "root"]);
    let enable = ["auth", "enable", "--keep-password", "--yes"];
    with_user(&etcd, "root", "wrong", &enable)
        .code(5)
        .err_has("authentication was enabled and disabled again")
        .err_has("user root cannot log in with the configured password")
        .err_has("hint: omit --keep-password");
    assert_eq!(etcd.etcdctl_ok(&["user", "list"]), "root\n");
    with_user(&etcd, "root", "root-pw", &enable[..3]).code(2).err_has("and disable it again if that fails");
    with_user(&etcd, "root", "root-pw", &enable).ok();
    assert_eq!(etcd.etcdctl_ok(&["--user", "root:root-pw", "user", "list"]), "root\n");
}

/// User root with the role root, added with or without a password.
fn add_root(etcd: &Etcd, user: &[&str]) {
    etcd.etcdctl_ok(&[&["user", "add"], user].concat());
    etcd.etcdctl_ok(&["role", "add", "root"]);
    etcd.etcdctl_ok(&["user", "grant-role", "root", "root"]);
}

#[test]
fn a_user_without_a_password_locks_nobody_out() {
    let etcd = options().start();
    add_root(&etcd, &["root", "--no-password"]);
    etcd.etcdctl_ok(&["user", "add", "alice", "--no-password"]);
    etcd.etcdctl_ok(&["user", "grant-role", "alice", "root"]);
    let enable = |user: &str| with_user(&etcd, user, "new-pw", &["auth", "enable", "--yes"]);
    enable("root")
        .code(5)
        .out("set-password\tapplied\troot\nenable\tapplied\ndisable\tapplied\n")
        .err_has("authentication was enabled and disabled again")
        .err_has("user root was probably added without a password")
        .err_has("user delete root --yes' and then this command again")
        .err_lacks("--keep-password");
    enable("alice").code(5).err_has("user delete alice --yes', 'kvadm ").err_has("user grant alice root'");
    assert_eq!(etcd.etcdctl_ok(&["user", "list"]), "alice\nroot\n");
    run(&etcd, &["user", "delete", "root", "--yes"]).ok();
    enable("root").ok();
    with_user(&etcd, "root", "new-pw", &["user", "list"]).ok().out("alice\nroot\n");
}

#[test]
fn a_signal_disables_authentication_again() {
    let etcd = options().start();
    add_root(&etcd, &["root:root-pw"]);
    // etcd 3.4 tells by a login whether authentication is enabled.
    let skip = u64::from(etcd.version() < (3, 5));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let plan = Plan { spoil: Spoil::CutBefore, methods: &["Authenticate"], skip, times: 2, then_gone: false };
        let (pid, logins) = (Arc::new(AtomicU32::new(0)), AtomicU32::new(0));
        let target = Arc::clone(&pid);
        let spoiler = Spoiler::with(&etcd.address(), plan, move || match logins.fetch_add(1, Ordering::SeqCst) {
            0 => {
                while target.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
                kill(Pid::from_raw(target.load(Ordering::SeqCst).cast_signed()), signal).unwrap();
            }
            // Longer than a program lives after a signal if it has nothing to undo.
            _ => std::thread::sleep(Duration::from_millis(700)),
        });
        let args = ["auth", "enable", "--keep-password", "--yes", "--user", "root"];
        let running = Kvadm::new().endpoint(&spoiler.endpoint()).args(args).env("KVADM_PASSWORD", "wrong").spawn();
        pid.store(running.pid(), Ordering::SeqCst);
        running.wait().signal(signal).err_has("authentication was enabled and disabled again");
        assert_eq!(etcd.etcdctl_ok(&["user", "list"]), "root\n");
    }
}

#[test]
fn a_server_that_hangs_after_the_switch_leaves_a_user_that_is_named() {
    let etcd = options().start();
    let plan = Plan { spoil: Spoil::CutBefore, methods: &["AuthEnable"], skip: 0, times: 1, then_gone: true };
    let spoiler = Spoiler::start(&etcd.address(), plan);
    let args = ["auth", "enable", "--yes", "--user", "root", "--op-timeout", "500ms", "--deadline", "3s"];
    let run = Kvadm::new().endpoint(&spoiler.endpoint()).args(args).env("KVADM_PASSWORD", "root-pw").run();
    run.code(7)
        .err_has("the temporary user kvadm-enable-")
        .err_has("user delete kvadm-enable-")
        .err_has("auth status'");
    let left = etcd.etcdctl_ok(&["--user", "root:root-pw", "user", "list"]);
    assert!(left.starts_with("kvadm-enable-"), "{left}");
}

#[test]
fn a_certificate_that_names_no_user_is_told_so() {
    let certs = Certs::new();
    let etcd = options().client_auth(&certs).start();
    let file = |path: &Path| path.to_str().unwrap().to_owned();
    let with = |(cert, key): (&Path, &Path), args: &[&str]| {
        let (ca, cert, key) = (file(&certs.ca), file(cert), file(key));
        kvadm(&etcd, args).args(["--ca-file", &ca, "--cert-file", &cert, "--key-file", &key]).run()
    };
    let root: (&Path, &Path) = (&certs.client.cert, &certs.client.key);
    let other: (&Path, &Path) = (&certs.wrong_host.cert, &certs.wrong_host.key);
    with(root, &["auth", "enable", "--yes"]).ok();
    let why = "the certificate's common name 'other.example' is no user of etcd";
    with(other, &["auth", "status"]).ok().err_has(why).out_has("administrator\tno").out_lacks("root_ready");
    for args in [&["get", "/x"][..], &["user", "list"], &["put", "/x", "y"]] {
        with(other, args).code(4).err_has(why).err_lacks("user show NAME --detail");
    }
    with(other, &["auth", "enable", "--yes"]).code(5).err_has(why);
}

#[test]
fn a_client_certificate_is_proved_too() {
    let certs = Certs::new();
    for checks_clients in [true, false] {
        let options = if checks_clients { options().client_auth(&certs) } else { options().tls(&certs) };
        let etcd = options.start();
        let file = |path: &Path| path.to_str().unwrap().to_owned();
        let (ca, cert, key) = (file(&certs.ca), file(&certs.client.cert), file(&certs.client.key));
        let with_certificate = |args: &[&str]| {
            let tls = ["--ca-file", &ca, "--cert-file", &cert, "--key-file", &key];
            kvadm(&etcd, args).args(tls).run()
        };
        let off = json!({"authentication": "disabled", "user": "root", "login": "certificate", "administrator": false,
            "root_ready": false});
        assert_eq!(status(with_certificate(&["auth", "status", "-o", "json"]).ok()), off);
        let enabled = with_certificate(&["auth", "enable", "--yes"]);
        if checks_clients {
            enabled.ok().err_has("user root is recognized by the client certificate");
            let status = with_certificate(&["auth", "status", "-o", "json"]);
            status.ok().out_has("\"login\":\"certificate\",\"administrator\":true,\"root_ready\":true");
            with_certificate(&["user", "list"]).ok().out("root\n");
            with_certificate(&["user", "delete", "root", "--yes"]).code(5);
            with_certificate(&["auth", "disable", "--yes"]).ok();
        } else {
            enabled
                .code(5)
                .err_has("authentication was enabled and disabled again")
                .err_has("does not accept user root");
            with_certificate(&["user", "list"]).ok().out("root\n");
        }
    }
}

#[test]
fn a_lost_answer_of_a_switch_is_read_back() {
    let etcd = options().start();
    let lost = |methods: &'static [&'static str], verb: &str| {
        let plan = Plan { spoil: Spoil::CutBefore, methods, skip: 0, times: 1, then_gone: false };
        let spoiler = Spoiler::start(&etcd.address(), plan);
        let args = ["auth", verb, "--yes", "--user", "root"];
        let run = Kvadm::new().endpoint(&spoiler.endpoint()).args(args).env("KVADM_PASSWORD", "root-pw").run();
        assert_eq!(spoiler.seen(), 1, "{run:?}");
        run
    };
    lost(&["AuthEnable"], "enable").ok().out_has("enable\tfound-applied").err_has("'enable authentication' was lost");
    assert!(is_enabled(&etcd));
    lost(&["AuthDisable"], "disable").ok().out_has("disable\tfound-applied");
    assert!(!is_enabled(&etcd));
}

#[test]
fn etcdctl_agrees_on_the_status() {
    let etcd = options().start();
    for enabled in [false, true] {
        if enabled {
            with_user(&etcd, "root", "root-pw", &["auth", "enable", "--yes"]).ok();
        }
        let word = if enabled { "enabled" } else { "disabled" };
        let run = with_user(&etcd, "root", "root-pw", &["auth", "status", "-o", "json"]);
        assert_eq!(run.ok().json()["authentication"], word);
        if etcd.version() >= (3, 5) {
            let login: &[&str] = if enabled { &["--user", "root:root-pw"] } else { &[] };
            let text = etcd.etcdctl_ok(&[login, &["auth", "status"]].concat());
            let revision = run.json()["auth_revision"].as_u64().unwrap();
            assert_eq!(text, format!("Authentication Status: {enabled}\nAuthRevision: {revision}\n"));
        }
    }
}
