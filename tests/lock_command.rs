//! Commands under a lock, and keys held by a command: what they get, what they end with, what ends them.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::support::process::pid;
use super::support::{Etcd, Kvadm, Proxy, Running, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

fn kvadm(etcd: &Etcd) -> Kvadm {
    Kvadm::new().env("KVADM_ENDPOINTS", etcd.endpoint()).env("K", env!("CARGO_BIN_EXE_kvadm"))
}

fn under(etcd: &Etcd, name: &str, script: &str) -> Kvadm {
    kvadm(etcd).args(["lock", name, "--", "sh", "-c", script])
}

/// A command that says its process id and key and then does not end by itself.
fn sleeper(etcd: &Etcd, name: &str) -> (Running, u32, String) {
    let mut running = under(etcd, name, "echo $$; echo \"$KVADM_LOCK_KEY\"; exec sleep 600").spawn();
    let id = running.next_line().unwrap().parse().unwrap();
    let key = running.next_line().unwrap();
    (running, id, key)
}

fn alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn a_command_gets_stdin_its_environment_and_gives_its_status() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let script = "cat; env | grep -E '^(KVADM_LOCK|ETCD_LOCK)' | sort; echo oops >&2; exit 3";
    let run = under(etcd, &name, script).stdin("in\n").run();
    run.code(3).err_has("oops");
    let text = run.stdout_text();
    let lines: Vec<&str> = text.lines().collect();
    let key = lines[1].strip_prefix("ETCD_LOCK_KEY=").unwrap();
    let revision = lines[2].strip_prefix("ETCD_LOCK_REV=").unwrap();
    assert!(key.starts_with(&format!("{name}/")), "{key}");
    let wanted = [
        "in".to_owned(),
        format!("ETCD_LOCK_KEY={key}"),
        format!("ETCD_LOCK_REV={revision}"),
        format!("KVADM_LOCK={key}@{revision}"),
        format!("KVADM_LOCK_KEY={key}"),
        format!("KVADM_LOCK_REV={revision}"),
    ];
    assert_eq!(lines, wanted);
    under(etcd, &name, "kill -9 $$").run().code(137);
    under(etcd, &name, "exit 255").run().code(255);
    kvadm(etcd)
        .args(["lock", &name, "--", "no-such-program"])
        .run()
        .code(127)
        .out_empty()
        .err_has("cannot run no-such-program");
    kvadm(etcd).args(["-o", "json", "lock", &name, "--", "/"]).run().code(126).err_has("\"exit_code\":126");
}

#[test]
fn the_token_guards_writes_and_ends_with_the_lock() {
    let etcd = shared();
    let prefix = unique_prefix();
    let (name, key) = (format!("{prefix}l"), format!("{prefix}k"));
    let script = format!("\"$K\" put {key} one --if-locked && echo \"$KVADM_LOCK\"");
    let run = under(etcd, &name, &script).run();
    run.ok();
    let token = run.stdout_text().lines().last().unwrap().to_owned();
    kvadm(etcd).args(["put", &key, "two", &format!("--if-locked={token}")]).run().code(5);
    // The create revision is the token's also for who had to wait.
    let waiting = under(etcd, &name, &format!("\"$K\" put {key} three --if-locked -q"));
    let (holder, _, _) = sleeper(etcd, &name);
    let waiting = waiting.spawn();
    eventually("a waiter", SOON, || {
        kvadm(etcd).args(["lock", "--list", &name]).run().stdout_text().contains("waiting")
    });
    holder.signal(Signal::SIGTERM);
    holder.wait().code(143);
    waiting.wait().ok();
    assert_eq!(etcd.etcdctl_ok(&["get", &key, "--print-value-only"]), "three\n");
}

#[test]
fn an_inner_lock_s_environment_is_its_own() {
    let etcd = shared();
    let prefix = unique_prefix();
    let script = format!(
        "echo $KVADM_LOCK_KEY; exec \"$K\" lock {prefix}inner -- sh -c 'echo $KVADM_LOCK_KEY $ETCD_LOCK_KEY; exit 9'"
    );
    let run = under(etcd, &format!("{prefix}outer"), &script).run();
    run.code(9).err_empty();
    let text = run.stdout_text();
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with(&format!("{prefix}outer/")));
    let inner: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert!(inner[0].starts_with(&format!("{prefix}inner/")) && inner[0] == inner[1], "{inner:?}");
}

#[test]
fn signals_are_passed_on_and_none_of_them_ends_kvadm() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let script = "for s in HUP INT QUIT USR1 USR2 TERM; do trap \"echo $s\" $s; done; trap 'echo USR2; exit 7' USR2
        echo ready; while :; do sleep 0.02; done";
    let mut running = under(etcd, &name, script).spawn();
    assert_eq!(running.next_line().as_deref(), Some("ready"));
    let all = [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
    ];
    for (signal, word) in all {
        running.signal(signal);
        assert_eq!(running.next_line().as_deref(), Some(word));
    }
    running.wait().code(7);
}

/// What `nohup` told the program to ignore stays ignored, by kvadm and by the command.
#[test]
fn an_ignored_signal_stays_ignored() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let script = format!("trap '' HUP; exec \"$K\" lock {name} -- sh -c 'echo up; read -r a; echo \"<$a>\"'");
    let shell = Kvadm::program("sh").args(["-c", &script]).env("K", env!("CARGO_BIN_EXE_kvadm"));
    let mut running = shell.env("KVADM_ENDPOINTS", etcd.endpoint()).spawn();
    assert_eq!(running.next_line().as_deref(), Some("up"));
    running.signal(Signal::SIGHUP);
    running.write("on\n");
    running.wait().ok().out("up\n<on>\n");
}

#[test]
fn a_deleted_key_or_a_revoked_lease_ends_the_command_within_a_second() {
    let etcd = shared();
    for revoke in [false, true] {
        let name = format!("{}l", unique_prefix());
        let (running, id, key) = sleeper(etcd, &name);
        let lease = key.rsplit('/').next().unwrap().to_owned();
        let gone = Instant::now();
        if revoke {
            etcd.etcdctl_ok(&["lease", "revoke", &lease]);
        } else {
            etcd.etcdctl_ok(&["del", &key]);
        }
        eventually("the command to die", Duration::from_secs(1), || !alive(id));
        let run = running.wait();
        run.code(5).err_has("the command was stopped").err_has(&format!("the lock {name} was lost"));
        assert!(gone.elapsed() < Duration::from_secs(3));
        assert!(!etcd.etcdctl_ok(&["lease", "list"]).contains(&lease), "the lease is not left behind");
    }
}

#[test]
fn a_command_that_will_not_end_is_killed_with_its_whole_group() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let script = "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $!; echo $$; echo $KVADM_LOCK_KEY; while :; do sleep 1; done";
    let mut running = under(etcd, &name, script).spawn();
    let ids: Vec<u32> = (0..2).map(|_| running.next_line().unwrap().parse().unwrap()).collect();
    let key = running.next_line().unwrap();
    etcd.etcdctl_ok(&["del", &key]);
    eventually("all of them to die", Duration::from_secs(2), || !ids.iter().any(|id| alive(*id)));
    running.wait().code(5);
}

#[test]
fn the_deadline_for_the_whole_command_ends_it() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let run = kvadm(etcd).args(["--deadline", "700ms", "lock", &name, "--", "sleep", "600"]).run();
    run.code(3).err_has("deadline").within(Duration::from_secs(4));
    kvadm(etcd).args(["lock", "--list", &name]).run().ok().out_empty();
}

/// A command that ignores SIGTERM, under a lock whose lease has minutes to live.
fn stubborn(etcd: &Etcd, name: &str, deadline: &str) -> Kvadm {
    let script = "trap '' TERM; echo $$; while :; do sleep 0.1; done";
    kvadm(etcd).args(["--deadline", deadline, "lock", name, "--ttl", "300s", "--", "sh", "-c", script])
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_soon_after_the_deadline() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let run = stubborn(etcd, &name, "3s").run();
    run.code(3).err_has("deadline").within(Duration::from_secs(15));
    assert!(!alive(run.stdout_text().trim().parse().unwrap()));
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_soon_after_kvadm_is() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let mut running = stubborn(etcd, &name, "60s").spawn();
    let id = running.next_line().unwrap().parse().unwrap();
    running.signal(Signal::SIGKILL);
    eventually("the command to be killed", SOON, || !alive(id));
    running.wait().signal(Signal::SIGKILL);
}

/// A pipe behind kvadm ends when the command does: no helper of kvadm's holds it open.
#[test]
fn no_helper_holds_a_pipe_open() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let script = format!("\"$K\" lock {name} -- echo done 2>&1 | cat; echo over");
    let run = Kvadm::program("sh").args(["-c", &script]).env("K", env!("CARGO_BIN_EXE_kvadm"));
    let run = run.env("KVADM_ENDPOINTS", etcd.endpoint()).timeout(SOON).run();
    run.ok().out("done\nover\n");
}

#[test]
fn on_a_terminal_the_command_is_in_the_foreground() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let script = "test -t 0 && printf 'name? ' && read -r a && echo \"<$a>\"; exit 4";
    let mut asking = under(etcd, &name, script).pty().timeout(SOON).spawn();
    asking.wait_for_stdout("name? ", SOON);
    asking.write("joe\n");
    asking.wait().code(4).out_has("<joe>");
    let mut running = under(etcd, &name, "echo up; exec sleep 600").pty().timeout(SOON).spawn();
    running.wait_for_stdout("up", SOON);
    running.write([3]);
    running.wait().code(130);
    // Ctrl-Z where no shell could let it go on: it goes on at once.
    let script = "echo up; read -r a; echo \"<$a>\"";
    let mut running = under(etcd, &name, script).pty().timeout(SOON).spawn();
    running.wait_for_stdout("up", SOON);
    running.write([26]);
    running.wait_for_stdout("stopped", SOON);
    running.write("on\n");
    running.wait().ok().out_has("<on>");
    // A shell without job control does not take the terminal back itself.
    let script = format!("\"$K\" lock {name} -- sh -c 'echo up'; read -r a; echo \"<$a>\"");
    let shell = Kvadm::program("sh").args(["-c", &script]).env("K", env!("CARGO_BIN_EXE_kvadm"));
    let mut running = shell.env("KVADM_ENDPOINTS", etcd.endpoint()).pty().timeout(SOON).spawn();
    running.wait_for_stdout("up", SOON);
    running.write("back\n");
    running.wait().ok().out_has("<back>");
}

/// Somebody else's signal stops the command: it is not kvadm's to let it go on, nor does kvadm stop too and lose the lease.
#[test]
fn a_command_that_somebody_stopped_stays_stopped_and_keeps_its_lock() {
    let etcd = shared();
    let shells = |name: &str| {
        let lock = format!("\"$K\" lock {name} -- sh -c 'echo up $$ .; while :; do sleep 0.1; done'");
        let in_a_pipe = Kvadm::program("sh").args(["-c", &format!("{lock} | cat")]);
        let in_the_background = Kvadm::program("bash").args(["--norc", "--noprofile", "-i", "-c"]);
        // kvadm owns the terminal of the first, the shell that of the second.
        [in_a_pipe, in_the_background.arg(format!("set -m; {lock} & read -r a; kill -KILL %1"))]
    };
    for shell in 0..2 {
        let name = format!("{}l", unique_prefix());
        let shell = shells(&name).into_iter().nth(shell).unwrap().env("K", env!("CARGO_BIN_EXE_kvadm"));
        let mut running = shell.env("KVADM_ENDPOINTS", etcd.endpoint()).pty().timeout(SOON).spawn();
        running.wait_for_stdout(" .", SOON);
        let shown = String::from_utf8_lossy(&running.stdout()).into_owned();
        let id: u32 = shown.split_once("up ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
        let stat = |id: u32| std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let parent: u32 = stat(id).rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
        let stopped = |id: u32| stat(id).contains(") T ");
        kill(pid(id), Signal::SIGSTOP).unwrap();
        eventually("the command to stop", SOON, || stopped(id));
        // Time for kvadm to hear of it.
        for _ in 0..3 {
            kvadm(etcd).args(["lock", "--list", &name]).run().ok().out_has("held");
        }
        assert!(stopped(id) && !stopped(parent), "{shown}");
        kill(pid(id), Signal::SIGKILL).unwrap();
        running.write("over\n");
        drop(running.wait());
    }
}

#[test]
fn a_shell_stops_it_and_lets_it_go_on() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let shell = Kvadm::program("bash").args(["--norc", "--noprofile", "-i"]).env("K", env!("CARGO_BIN_EXE_kvadm"));
    let mut shell = shell.env("KVADM_ENDPOINTS", etcd.endpoint()).env("PS1", "> ").pty().timeout(SOON).spawn();
    shell.write(format!("\"$K\" lock {name} -- sh -c 'echo up$((6*7)); exec sleep 600'\n"));
    shell.wait_for_stdout("up42", SOON);
    shell.write([26]);
    shell.wait_for_stdout("Stopped", SOON);
    shell.write("echo back$((6*7)); fg\n");
    shell.wait_for_stdout("back42", SOON);
    let list = || kvadm(etcd).args(["lock", "--list", &name]).run().stdout_text();
    assert!(list().contains("held"));
    eventually("the command to be in the foreground again", SOON, || {
        shell.write([3]);
        list().is_empty()
    });
    shell.write("echo rc=$?; exit\n");
    shell.wait_for_stdout("rc=130", SOON);
}

#[test]
fn a_held_key_lives_as_long_as_the_command() {
    let etcd = shared();
    let key = format!("{}k", unique_prefix());
    let get = || etcd.etcdctl_ok(&["get", &key, "--print-value-only"]);
    let hold = |args: &[&str]| kvadm(etcd).args(["put", &key, "here", "--hold"]).args(args);
    hold(&["--", "sh", "-c", &format!("\"$K\" get {key}; exit 6")]).run().code(6).out("here\n");
    assert_eq!(get(), "");
    let mut holding = hold(&["--create", "-o", "json"]).spawn();
    let told: serde_json::Value = serde_json::from_str(&holding.next_line().unwrap()).unwrap();
    assert_eq!((told["key"].as_str(), told["ttl"].as_i64()), (Some(key.as_str()), Some(5)));
    hold(&["--create", "--", "true"]).run().code(5).out_empty().err_has("already exists");
    for _ in 0..2 {
        etcd.etcdctl_ok(&["del", &key]);
        eventually("the key to be restored", SOON, || get() == "here\n");
    }
    holding.wait_for_stderr("was deleted by someone else and has been restored", SOON);
    holding.signal(Signal::SIGTERM);
    holding.wait().signal(Signal::SIGTERM);
    assert_eq!(get(), "");

    let mut running = hold(&["--", "sh", "-c", "echo $$; exec sleep 600"]).spawn();
    let id: u32 = running.next_line().unwrap().parse().unwrap();
    let record = kvadm(etcd).args(["get", &key, "-o", "json"]).run().json();
    etcd.etcdctl_ok(&["lease", "revoke", record["lease"].as_str().unwrap()]);
    eventually("the command to die", Duration::from_secs(1), || !alive(id));
    running.wait().code(5).err_has(&format!("the key {key} was lost"));
    kvadm(etcd).args(["put", &key, "v", "--", "true"]).run().code(2);
    assert!(kill(pid(id), None).is_err());
}

/// A key that was restored is watched from its new creation on, not from the first one.
#[test]
fn a_held_key_is_restored_each_time_and_is_then_only_watched() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.address());
    let mut holding =
        Kvadm::new().endpoint(&proxy.endpoint()).args(["put", "/k", "here", "--hold", "-o", "json"]).spawn();
    assert!(holding.next_line().is_some());
    for _ in 0..3 {
        etcd.etcdctl_ok(&["del", "/k"]);
        eventually("the key to be restored", SOON, || etcd.etcdctl_ok(&["get", "/k"]) == "/k\nhere\n");
    }
    let before = proxy.bytes_up();
    std::thread::sleep(Duration::from_secs(1));
    let sent = proxy.bytes_up() - before;
    assert!(sent < 4096, "{sent} bytes were sent in a second without a change");
    holding.signal(Signal::SIGTERM);
    holding.wait().signal(Signal::SIGTERM);
}
