//! etcd's own authentication: who may log in, who may do what, and that no secret is ever shown.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::support::{Cluster, Etcd, Kvadm, Proxy, Run, eventually};

pub(super) const ROOT: &str = "Root-hunter2";
pub(super) const LIMITED: &str = "Limited-hunter3";

/// `root`, and `app`, who may read and write below `/app/` and read below `/shared/`.
fn protected(args: &[&str]) -> Etcd {
    let options = args.iter().fold(Etcd::options(), |options, arg| options.arg(*arg));
    let etcd = options.start();
    etcd.etcdctl_ok(&["put", "/shared/a", "shared"]);
    etcd.etcdctl_ok(&["put", "/secret/a", "secret"]);
    etcd.etcdctl_ok(&["user", "add", &format!("root:{ROOT}")]);
    etcd.etcdctl_ok(&["user", "add", &format!("app:{LIMITED}")]);
    etcd.etcdctl_ok(&["role", "add", "app"]);
    etcd.etcdctl_ok(&["role", "grant-permission", "app", "readwrite", "/app/", "--prefix=true"]);
    etcd.etcdctl_ok(&["role", "grant-permission", "app", "read", "/shared/", "--prefix=true"]);
    etcd.etcdctl_ok(&["user", "grant-role", "app", "app"]);
    etcd.etcdctl_ok(&["user", "grant-role", "root", "root"]);
    etcd.etcdctl_ok(&["auth", "enable"]);
    etcd
}

/// With logins that cost little; each test that does not measure them wants that.
pub(super) fn cheap() -> Etcd {
    protected(&["--bcrypt-cost=4"])
}

pub(super) fn anonymous(etcd: &Etcd) -> Kvadm {
    Kvadm::new().endpoint(etcd)
}

pub(super) fn login(etcd: &Etcd, user: &str, password: &str) -> Kvadm {
    anonymous(etcd).args(["--user", user]).env("KVADM_PASSWORD", password)
}

fn app(etcd: &Etcd) -> Kvadm {
    login(etcd, "app", LIMITED)
}

fn private_file(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[track_caller]
fn no_secret_in(run: &Run) {
    run.out_lacks("hunter").err_lacks("hunter");
}

#[test]
fn a_password_may_come_from_the_environment_a_file_and_the_configuration() {
    let etcd = cheap();
    app(&etcd).args(["put", "/app/a", "one"]).run().ok().err_empty();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    private_file(&file, &format!("{LIMITED}\n"));
    let get = |kvadm: Kvadm| kvadm.args(["get", "/app/a"]).run();
    get(anonymous(&etcd).args(["--user", "app"]).arg("--password-file").arg(&file)).ok().out("one\n").err_empty();
    let by_variables = || Kvadm::new().env("KVADM_ENDPOINTS", etcd.address());
    get(by_variables().env("KVADM_USER", "app").env("KVADM_PASSWORD_FILE", &file)).ok().out("one\n").err_empty();
    let etcdctl = Kvadm::new().env("ETCDCTL_ENDPOINTS", etcd.address());
    get(etcdctl.env("ETCDCTL_USER", format!("app:{LIMITED}"))).ok().out("one\n").err_empty();
    let config = dir.path().join("etcd.yaml");
    private_file(&config, &format!("endpoints: [{}]\nusername: app\npassword: {LIMITED}\n", etcd.address()));
    get(Kvadm::new().arg("-c").arg(&config)).ok().out("one\n").err_empty();
    // What is on the command line can be seen by everybody on the machine.
    let run = get(anonymous(&etcd).arg(format!("--user=app:{LIMITED}")));
    run.code(2).out_empty().err_has("'NAME:PASSWORD' is not accepted here; give only the name").err_lacks(LIMITED);
}

#[test]
fn whoever_is_not_let_in_is_told_why() {
    let etcd = cheap();
    for verb in [["get", "/app/a"].as_slice(), &["put", "/app/a", "x"], &["list", "/app/"], &["status"]] {
        let wrong = login(&etcd, "app", "wrong-hunter").args(verb).run();
        wrong
            .code(4)
            .out_empty()
            .err_has("authentication failed, invalid user ID or password")
            .err_has("run 'kvadm config' to see where the user and the password are configured");
        no_secret_in(&wrong);
    }
    let nobody = login(&etcd, "nobody", LIMITED).args(["get", "/app/a"]).run();
    nobody.code(4).out_empty().err_has("authentication failed");
    for verb in [["get", "/app/a"].as_slice(), &["put", "/app/a", "x"], &["list", "/app/"], &["delete", "/app/a"]] {
        let run = anonymous(&etcd).args(verb).run();
        run.code(4).out_empty().err_has("user name is empty").err_has(
            "hint: etcd requires a login: add --user NAME --password-file FILE, or set KVADM_USER and KVADM_PASSWORD",
        );
    }
    let run = anonymous(&etcd).args(["--user", "app", "get", "/app/a"]).run();
    run.code(2).out_empty().err_has("user 'app' has no password").err_has("KVADM_PASSWORD");
}

#[test]
fn a_limited_user_may_do_what_its_role_says() {
    let etcd = cheap();
    let run = |args: &[&str]| app(&etcd).args(args).run();
    run(&["put", "/app/a", "one", "--create"]).ok();
    run(&["put", "/app/a", "two", "--if-value", "one"]).ok();
    run(&["get", "/app/a"]).ok().out("two\n").err_empty();
    run(&["get", "/shared/a"]).ok().out("shared\n");
    run(&["list", "/app/"]).ok().out_has("/app/a");
    run(&["list", "/app/", "--count"]).ok().out_has("1");
    app(&etcd).args(["--namespace", "/app/", "get", "a"]).run().ok().out("two\n");
    let records = "{\"key\":\"/app/b\",\"value\":\"b\"}\n{\"key\":\"/app/c\",\"value\":\"c\"}\n";
    app(&etcd).args(["put", "--from", "-"]).stdin(records).run().ok();
    let swap = r#"{"if": [{"key": "/app/a", "value": "two"}], "then": [{"put": {"key": "/app/a", "value": "3"}}]}"#;
    app(&etcd).args(["txn", "-"]).stdin(swap).run().ok();
    run(&["delete", "--prefix", "/app/", "--yes"]).ok().out_has("3");
    run(&["get", "/app/a"]).code(1);
}

#[test]
fn what_a_role_does_not_allow_is_refused_and_not_done() {
    let etcd = cheap();
    let put = r#"{"then": [{"put": {"key": "/secret/a", "value": "x"}}]}"#;
    let get = r#"{"then": [{"get": {"key": "/secret/a"}}]}"#;
    let record = "{\"key\":\"/secret/a\",\"value\":\"x\"}\n";
    let nested: [(&[&str], &str); 2] =
        [(&["put", "--from", "-"], record), (&["put", "/secret/a", "x", "--if-different"], "")];
    let cases: [(&[&str], &str); 11] = [
        (&["get", "/secret/a"], ""),
        (&["put", "/secret/a", "x"], ""),
        (&["put", "/shared/a", "x"], ""),
        (&["put", "/secret/a", "x", "--create"], ""),
        (&["list", "/secret/"], ""),
        (&["list", "/secret/", "--count"], ""),
        (&["list"], ""),
        (&["delete", "/secret/a"], ""),
        (&["delete", "--prefix", "/secret/", "--yes"], ""),
        (&["txn", "-"], put),
        (&["txn", "-"], get),
    ];
    // Servers before 3.6 do not look at the permissions of operations inside a nested transaction.
    let nested = nested.into_iter().filter(|_| etcd.version() >= (3, 6));
    for (args, stdin) in cases.into_iter().chain(nested) {
        let run = app(&etcd).args(args).stdin(stdin).run();
        run.code(4).out_empty().err_has("permission denied (user 'app', ").err_has(
            "hint: no role of the user allows this: 'kvadm user show NAME --detail' prints what its roles allow",
        );
        let json = app(&etcd).args(args).args(["-o", "json"]).stdin(stdin).run();
        assert_eq!(json.code(4).err_json()["exit_code"], 4);
    }
    // The refusal names what was asked for.
    for (args, keys) in [
        (&["get", "/secret/a"][..], "key '/secret/a'"),
        (&["put", "/secret/a", "x", "--create"], "key '/secret/a'"),
        (&["list", "/secret/"], "keys from '/secret/' to '/secret0'"),
        (&["list", "/secret/", "--count"], "keys from '/secret/' to '/secret0'"),
        (&["list"], "all keys from '\\0'"),
        (&["get", "/secret/a", "/secret/b"], "key '/secret/a' and others"),
        (&["watch", "/secret/"], "key '/secret/'"),
        (&["delete", "/secret/a"], "key '/secret/a'"),
    ] {
        app(&etcd).args(args).run().code(4).err_has(&format!("permission denied (user 'app', {keys})"));
    }
    let root = |args: &[&str]| login(&etcd, "root", ROOT).args(args).run();
    root(&["get", "/secret/a"]).ok().out("secret\n");
    root(&["get", "/shared/a"]).ok().out("shared\n");
}

#[test]
fn a_user_where_authentication_is_off_is_no_obstacle() {
    let etcd = Etcd::start();
    let run = app(&etcd).args(["put", "/a", "one"]).run();
    run.ok().err_has("warning: authentication is not enabled in etcd; continuing without the configured user");
    no_secret_in(&run);
    app(&etcd).args(["get", "/a", "-q"]).run().ok().out("one\n").err_empty();
    let status = app(&etcd).arg("status").run();
    let told = status.ok().stderr_text().matches("authentication is not enabled").count();
    assert_eq!(told, 1, "once is enough:\n{}", status.stderr_text());
}

#[test]
fn an_expired_token_is_renewed_in_the_middle_of_a_load() {
    let etcd = protected(&["--bcrypt-cost=4", "--auth-token-ttl=1"]);
    let mut load = app(&etcd).args(["put", "--from", "-", "--qps", "1000"]).spawn();
    let started = Instant::now();
    let record = |n: usize| format!("{{\"key\":\"/app/{n:03}\",\"value\":\"{}\"}}\n", "v".repeat(3000));
    let mut sent = 0;
    // Bursts, then a silence that is longer than the token's life, then bursts again.
    for pause in [0, 2500, 0] {
        std::thread::sleep(Duration::from_millis(pause));
        for _ in 0..200 {
            load.write(record(sent));
            sent += 1;
        }
    }
    load.close_stdin();
    load.wait().ok();
    assert!(started.elapsed() > Duration::from_millis(2500));
    app(&etcd).args(["list", "/app/", "--count"]).run().ok().out_has(&sent.to_string());
}

#[test]
fn status_is_for_limited_users_too() {
    let etcd = cheap();
    let status = app(&etcd).args(["status", "-o", "json"]).run();
    let answer = status.json();
    assert_eq!(answer["members"][0]["health"], "healthy", "{answer}");
    assert_eq!(status.code, Some(0), "{}", status.stderr_text());
    app(&etcd).args(["status", "--revision"]).run().ok();
    // The proof writes a key of kvadm's own, which this user may not.
    let quorum = app(&etcd).args(["status", "--quorum"]).run();
    quorum.code(4).err_has("permission denied");
    login(&etcd, "root", ROOT).args(["status", "--quorum"]).run().ok();
    let left = login(&etcd, "root", ROOT).args(["list", "kvadm/"]).run();
    left.out_empty();
}

/// bcrypt is dear on purpose; a login that takes too long is a request like any other.
#[test]
fn a_login_has_a_bound() {
    let etcd = protected(&["--bcrypt-cost=13"]);
    let run = app(&etcd).args(["get", "/app/a", "--op-timeout", "100ms"]).run();
    run.code(3).out_empty().within(Duration::from_secs(2)).err_has("log in").err_has("100ms");
    let run = app(&etcd).args(["put", "/app/a", "x", "--op-timeout", "100ms"]).run();
    run.code(3).out_empty().within(Duration::from_secs(2)).err_has("log in");
    app(&etcd).args(["get", "/app/a", "--op-timeout", "20s"]).run().code(1);
}

#[test]
fn no_secret_is_ever_shown() {
    let etcd = cheap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("etcd.yaml");
    private_file(&config, &format!("endpoints: [{}]\nusername: app\npassword: {LIMITED}\n", etcd.address()));
    let file = |args: &[&str]| Kvadm::new().arg("-c").arg(&config).args(args).run();
    let all_verbs: [&[&str]; 9] = [
        &["put", "/app/a", "one"],
        &["get", "/app/a"],
        &["list", "/app/"],
        &["get", "/secret/a"],
        &["status"],
        &["config"],
        &["delete", "/app/a"],
        &["completions", "bash"],
        &["get", "--help"],
    ];
    for args in all_verbs {
        for more in [&["-vv"][..], &["-vv", "-o", "json"], &["-vv", "-o", "yaml"]] {
            no_secret_in(&file(&[args, more].concat()));
            let env = app(&etcd).env("ETCDCTL_PASSWORD", ROOT).env("ETCDCTL_USER", format!("root:{ROOT}"));
            no_secret_in(&env.args(args).args(more).run());
        }
    }
    file(&["config"]).ok().out_has("(redacted)");
    no_secret_in(&Kvadm::new().env("KVADM_PASSWORD", ROOT).env("KVADM_USER", "app").arg("--help").run());
    let bad = [
        format!("password: {LIMITED}: x\n"),
        format!("password: '{LIMITED}\n"),
        format!("password: [{LIMITED}]\n"),
        format!("username: app\npassword: {LIMITED}\n\tqps: 1\n"),
        format!("endpoints: ['http://app:{LIMITED}@127.0.0.1:2379']\n"),
        format!("password {LIMITED}\n"),
    ];
    for text in bad {
        private_file(&config, &text);
        let run = file(&["get", "/a", "-vv"]);
        run.code(2).out_empty().err_has(config.to_str().unwrap());
        no_secret_in(&run);
        no_secret_in(&file(&["get", "/a", "-vv", "-o", "json"]));
    }
}

#[test]
fn a_password_that_others_may_read_is_warned_of() {
    let etcd = cheap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("etcd.yaml");
    private_file(&config, &format!("endpoints: [{}]\nusername: app\npassword: {LIMITED}\n", etcd.address()));
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    let run = Kvadm::new().arg("-c").arg(&config).args(["list", "/app/"]).run();
    run.ok().err_has("contains a password and is readable by others (mode 644)").err_has("chmod 600");
    let file = dir.path().join("password");
    std::fs::write(&file, LIMITED).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let run = anonymous(&etcd).args(["--user", "app"]).arg("--password-file").arg(&file).args(["list", "/app/"]).run();
    run.ok().err_has("password and is readable by others (mode 640)");
}

/// bcrypt makes each login dear, for the server too.
#[test]
fn a_command_logs_in_once_and_status_does_not_measure_the_login() {
    let cluster = Cluster::start_with(3, &Etcd::options().arg("--bcrypt-cost=11"));
    let first = &cluster.members[0];
    first.etcdctl_ok(&["user", "add", &format!("root:{ROOT}")]);
    first.etcdctl_ok(&["user", "grant-role", "root", "root"]);
    first.etcdctl_ok(&["auth", "enable"]);
    let logins = || cluster.members.iter().map(|member| member.answered("Authenticate")).sum::<u64>();
    let root = |args: &[&str]| {
        let kvadm = Kvadm::new().args(["--endpoints", &cluster.endpoints(), "--user", "root"]);
        kvadm.env("KVADM_PASSWORD", ROOT).args(args)
    };
    let once = |args: &[&str]| {
        let before = logins();
        let run = root(args).run();
        assert_eq!(logins() - before, 1, "{args:?}");
        run
    };
    once(&["put", "/a", "1"]).ok();
    once(&["list", "/"]).ok();
    once(&["status", "--quorum"]).ok();
    once(&["compact", "--dry-run", "--defrag"]).ok();
    // bcrypt of this cost takes 150 ms and more each time; a busy machine makes one answer slow, not each.
    eventually("latencies without a login", Duration::from_secs(20), || {
        let status = once(&["status", "-o", "json"]).json();
        let fast = |member: &serde_json::Value| {
            assert_eq!(member["health"], "healthy", "{status}");
            member["latency_ms"].as_f64().unwrap() < 100.0
        };
        status["members"].as_array().unwrap().iter().all(fast)
    });
    let before = logins();
    let watching = root(&["status", "--watch", "50ms", "-o", "json"]).spawn();
    eventually("some rounds", Duration::from_secs(20), || watching.stdout().split(|byte| *byte == b'\n').count() > 4);
    watching.signal(nix::sys::signal::Signal::SIGINT);
    watching.wait().signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(logins() - before, 1);
}

/// The user loses the right to read its lock's key, and the connection breaks: the lease alone keeps the lock.
#[test]
fn a_lock_key_that_may_not_be_watched_any_more_is_kept_by_its_lease() {
    let etcd = cheap();
    let proxy = Proxy::start(&etcd.address());
    let lock = ["-v", "lock", "/app/l", "--ttl", "30s", "--", "sh", "-c", "echo up; read -r a"];
    let holder = Kvadm::new().endpoint(&proxy.endpoint()).args(["--user", "app"]).env("KVADM_PASSWORD", LIMITED);
    let mut holder = holder.args(lock).spawn();
    assert!(holder.next_line().is_some());
    let root = format!("root:{ROOT}");
    etcd.etcdctl_ok(&["--user", &root, "user", "revoke-role", "app", "app"]);
    proxy.cut();
    holder.wait_for_stderr("cannot watch /app/l/", Duration::from_secs(10));
    holder.wait_for_stderr("its deletion is not noticed until the user may read it again", Duration::from_secs(10));
    etcd.etcdctl_ok(&["--user", &root, "user", "grant-role", "app", "app"]);
    holder.write("end\n");
    let run = holder.wait();
    assert_eq!(run.ok().stderr_text().matches("cannot watch").count(), 1);
}

/// etcd 3.4 and 3.5 do not check the permissions for the operations of a nested transaction.
#[test]
fn a_user_who_may_only_read_changes_nothing() {
    let etcd = cheap();
    let root = |args: &[&str]| login(&etcd, "root", ROOT).args(args).run();
    root(&["put", "/shared/a", "old"]).ok();
    let revision = root(&["status", "--revision"]).ok().stdout_text();
    root(&["put", "/shared/a", "new"]).ok();
    root(&["put", "/app/lock/1", "x"]).ok();
    let token = format!("--if-locked=/app/lock/1@{}", etcd_revision_of(&root(&["get", "/app/lock/1", "-o", "json"])));
    let source = format!("rev:{}", revision.trim());
    let record = "{\"key\":\"/shared/a\",\"value\":\"written\"}\n";
    for args in [
        &["restore", "/shared/", "--source", &source, "--yes"][..],
        &["restore", "/shared/", "--source", &source, "--yes", &token],
        &["put", "--from", "-"],
        &["put", "--from", "-", &token],
        &["put", "/shared/a", "written", "--if-different"],
        &["put", "/shared/a", "written", &token],
    ] {
        let run = app(&etcd).args(args).stdin(record).run();
        run.code(4).err_has("permission denied");
        root(&["get", "/shared/a"]).ok().out("new\n");
    }
    // What the user may write is written.
    let own = "{\"key\":\"/app/b\",\"value\":\"written\"}\n";
    app(&etcd).args(["put", "--from", "-"]).stdin(own).run().ok();
    app(&etcd).args(["put", "--from", "-", &token]).stdin(own.replace("/app/b", "/app/c")).run().ok();
    root(&["get", "/app/c"]).ok().out("written\n");
}

fn etcd_revision_of(run: &Run) -> i64 {
    run.ok().json()["create_revision"].as_i64().unwrap()
}

#[test]
fn a_role_that_may_only_write_can_put() {
    let etcd = cheap();
    let root = ["--user", &format!("root:{ROOT}")].map(str::to_owned);
    for args in [
        &["role", "add", "writer"][..],
        &["role", "grant-permission", "writer", "write", "/inbox/", "--prefix=true"],
        &["user", "add", "writer:Writer-hunter4"],
        &["user", "grant-role", "writer", "writer"],
    ] {
        etcd.etcdctl_ok(&[&root.each_ref().map(String::as_str)[..], args].concat());
    }
    let writer = |args: &[&str]| login(&etcd, "writer", "Writer-hunter4").args(args).run();
    writer(&["put", "/inbox/a", "1"]).ok().err_empty();
    writer(&["put", "/inbox/b", "1", "--ttl", "60s"]).ok().err_empty();
    writer(&["put", "/inbox/a", "2", "--create"]).code(4).err_has("permission denied");
    writer(&["get", "/inbox/a"]).code(4);
    login(&etcd, "root", ROOT).args(["get", "/inbox/a"]).run().ok().out("1\n");
}
