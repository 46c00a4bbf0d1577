//! Tests of what the other tests stand on.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::support::running::pseudo_terminal;
use super::support::{Certs, Cluster, Etcd, Kvadm, Mode, Proxy, binary, eventually, shared, time_limit, unique_prefix};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_server_keeps_its_data_over_stop_kill_and_restart() {
    let mut etcd = Etcd::start();
    etcd.etcdctl_ok(&["put", "/a", "one"]);
    etcd.stop();
    assert!(TcpStream::connect(etcd.address()).is_err(), "a stopped server refuses");
    etcd.restart();
    assert_eq!(etcd.etcdctl_ok(&["get", "/a", "--print-value-only"]), "one\n");
    etcd.kill();
    etcd.restart();
    assert_eq!(etcd.etcdctl_ok(&["get", "/a", "--print-value-only"]), "one\n");
}

/// Not a test of its own: [`a_test_that_takes_too_long_ends_the_run`] runs it.
#[test]
#[ignore = "never ends"]
fn hanging() {
    time_limit::seed("KVADM_TEST_SEED");
    // A thread that the test waits for, as when a panic leaves others running.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                std::thread::park();
            }
        });
    });
}

#[test]
fn a_test_that_takes_too_long_ends_the_run() {
    let run = Kvadm::program(std::env::current_exe().unwrap())
        .args(["harness::hanging", "--exact", "--ignored", "--test-threads=2"])
        .env("KVADM_TEST_TIME_LIMIT", "1")
        .env("KVADM_TEST_SEED", "42")
        .run();
    run.code(101).err_has("test harness::hanging took too long").err_has("to run it again: KVADM_TEST_SEED=42");
    assert!(run.stderr_text().len() < 300, "{}", run.stderr_text());
}

#[test]
fn a_paused_server_accepts_and_is_silent() {
    let etcd = Etcd::start();
    etcd.pause();
    assert!(TcpStream::connect(etcd.address()).is_ok());
    let output = etcd.etcdctl(&["--dial-timeout=200ms", "--command-timeout=300ms", "get", "/a"]);
    assert!(!output.status.success());
    etcd.resume();
    etcd.etcdctl_ok(&["get", "/a"]);
}

#[test]
fn a_dropped_server_is_gone_with_its_folder() {
    let etcd = Etcd::options().unix_socket().start();
    let (address, socket) = (etcd.address(), etcd.unix_endpoint());
    drop(etcd);
    assert!(TcpStream::connect(address).is_err());
    assert!(!std::path::Path::new(socket.trim_start_matches("unix://")).exists());
}

/// The test runs itself in a second process, which starts a server and waits, and kills that process.
#[test]
fn a_server_dies_with_the_test_process() {
    const INNER: &str = "KVADM_TEST_INNER";
    if std::env::var_os(INNER).is_some() {
        let etcd = Etcd::start();
        std::fs::write(std::env::var_os(INNER).unwrap(), format!("{} {}", etcd.address(), etcd.dir().display()))
            .unwrap();
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let note = tempfile::NamedTempFile::new().unwrap();
    let this_test = ["--exact", "harness::a_server_dies_with_the_test_process"];
    let inner = Kvadm::program(std::env::current_exe().unwrap()).args(this_test);
    let inner = inner.env(INNER, note.path()).env("KVADM_TEST_ETCD", binary::server()).spawn();
    let mut told = String::new();
    eventually("the inner process's server", Duration::from_secs(40), || {
        told = std::fs::read_to_string(note.path()).unwrap();
        told.contains(' ')
    });
    let (address, folder) = told.split_once(' ').unwrap();
    assert!(TcpStream::connect(address).is_ok());
    inner.signal(Signal::SIGKILL);
    eventually("the server to end", SOON, || TcpStream::connect(address).is_err());
    eventually("its folder to go", SOON, || !std::path::Path::new(folder).exists());
}

#[test]
fn tests_share_a_server_and_not_their_keys() {
    let (mine, yours) = (unique_prefix(), unique_prefix());
    assert_ne!(mine, yours);
    shared().etcdctl_ok(&["put", &format!("{mine}a"), "mine"]);
    assert_eq!(shared().etcdctl_ok(&["get", "--prefix", &yours]), "");
}

#[test]
fn a_server_takes_arguments_a_unix_socket_and_ipv6() {
    let etcd = Etcd::options().arg("--max-request-bytes=20000").unix_socket().ipv6().start();
    let big = "x".repeat(30_000);
    let refused = etcd.etcdctl(&["put", "/big", &big]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("request is too large"));
    let path = etcd.unix_endpoint();
    assert!(std::os::unix::net::UnixStream::connect(path.trim_start_matches("unix://")).is_ok());
    assert!(TcpStream::connect(etcd.ipv6_endpoint().trim_start_matches("http://")).is_ok());
}

#[test]
fn a_cluster_elects_and_elects_again() {
    let mut cluster = Cluster::start(3);
    assert_eq!(cluster.endpoints().split(',').count(), 3);
    let first = cluster.leader();
    cluster.members[first].etcdctl_ok(&["put", "/a", "one"]);
    cluster.members[first].kill();
    let second = cluster.leader();
    assert_ne!(first, second);
    assert_eq!(cluster.members[second].etcdctl_ok(&["get", "/a", "--print-value-only"]), "one\n");
    cluster.members[first].restart();
}

#[test]
fn tls_servers_ask_for_what_they_are_told_to() {
    let certs = Certs::new();
    let plain = Etcd::options().tls(&certs).start();
    plain.etcdctl_ok(&["put", "/a", "one"]);
    let strict = Etcd::options().client_auth(&certs).start();
    strict.etcdctl_ok(&["put", "/a", "one"]);
    let expired = Etcd::options().tls_with(&certs, &certs.expired).start();
    let refused = expired.etcdctl(&["--dial-timeout=500ms", "--command-timeout=1s", "put", "/a", "one"]);
    assert!(!refused.status.success(), "an expired certificate is not trusted");
}

#[test]
fn client_keys_of_every_form_are_taken() {
    let certs = Certs::new();
    let strict = Etcd::options().client_auth(&certs).start();
    for pair in [&certs.client_sec1, &certs.client_pkcs1, &certs.client_rsa] {
        let flags = [format!("--cert={}", pair.cert.display()), format!("--key={}", pair.key.display())];
        strict.etcdctl_ok(&[&flags[0], &flags[1], "get", "/a"]);
    }
    for pair in [&certs.stranger, &certs.expired_client] {
        let flags = [format!("--cert={}", pair.cert.display()), format!("--key={}", pair.key.display())];
        let limits = ["--dial-timeout=500ms", "--command-timeout=1s"];
        let output = strict.etcdctl(&[&flags[0], &flags[1], limits[0], limits[1], "get", "/a"]);
        assert!(!output.status.success(), "{pair:?} is not trusted");
    }
    let head = |path: &std::path::Path| std::fs::read_to_string(path).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(head(&certs.client_sec1.key), "-----BEGIN EC PRIVATE KEY-----");
    assert_eq!(head(&certs.client_pkcs1.key), "-----BEGIN RSA PRIVATE KEY-----");
}

/// A server that sends back what it gets.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut copy = stream.try_clone().unwrap();
                std::io::copy(&mut copy, &mut stream).ok();
            });
        }
    });
    address
}

fn ping(stream: &mut TcpStream) -> std::io::Result<[u8; 4]> {
    let mut answer = [0; 4];
    stream.write_all(b"ping")?;
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn the_proxy_passes_delays_hangs_refuses_and_cuts() {
    let mut proxy = Proxy::start(&echo());
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert_eq!(&ping(&mut stream).unwrap(), b"ping");
    eventually("the bytes to be counted", SOON, || (proxy.bytes_up(), proxy.bytes_down()) == (4, 4));

    proxy.set(Mode::Delay { up: Duration::from_millis(30), down: Duration::from_millis(40) });
    let started = Instant::now();
    assert_eq!(&ping(&mut stream).unwrap(), b"ping");
    assert!(started.elapsed() >= Duration::from_millis(70));

    proxy.set(Mode::HangReplies);
    assert!(ping(&mut stream).is_err());
    eventually("the request to go through", SOON, || proxy.bytes_up() == 12);
    proxy.set(Mode::Hang);
    stream.write_all(b"more").unwrap();
    proxy.set(Mode::Pass);
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut held = [0; 8];
    stream.read_exact(&mut held).unwrap();
    assert_eq!(&held, b"pingmore");

    proxy.set(Mode::Refuse);
    assert_eq!(TcpStream::connect(proxy.address()).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(&ping(&mut stream).unwrap(), b"ping", "an open connection goes on");
    proxy.cut();
    assert!(ping(&mut stream).is_err());

    proxy.set(Mode::Pass);
    assert_eq!(&ping(&mut TcpStream::connect(proxy.address()).unwrap()).unwrap(), b"ping");
    assert_eq!(proxy.connections(), 2);
}

#[test]
fn the_proxy_carries_etcd() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.address());
    etcd.etcdctl_ok(&[&format!("--endpoints={}", proxy.endpoint()), "put", "/a", "one"]);
    assert_eq!(etcd.etcdctl_ok(&["get", "/a", "--print-value-only"]), "one\n");
    assert!(proxy.bytes_up() > 0);
}

fn sh(script: &str) -> Kvadm {
    Kvadm::program("sh").args(["-c", script])
}

#[test]
fn a_run_has_output_code_and_a_scrubbed_environment() {
    let run = sh("cat; echo oops >&2; exit 5").stdin("in\n").run();
    run.code(5).out("in\n").err_has("oops");
    sh("echo \"$SECRET-$HOME\"").run().ok().out_has("-/").err_empty();
    sh("env").env("KVADM_X", "1").run().ok().out_has("KVADM_X=1").out_lacks("CARGO");
    let run = sh(r#"echo '{"a":1}'; echo '{"a":2}'"#).run();
    assert_eq!(run.json_lines().iter().map(|line| line["a"].as_u64().unwrap()).sum::<u64>(), 3);
    sh("kill -TERM $$").run().signal(Signal::SIGTERM);
}

#[test]
#[should_panic(expected = "should end with 0\n--- code Some(3)")]
fn a_failed_check_shows_what_happened() {
    sh("exit 3").run().ok();
}

#[test]
#[should_panic(expected = "did not end within")]
fn a_run_that_hangs_fails() {
    sh("exec tail -f /dev/null").timeout(Duration::from_millis(50)).run().ok();
}

#[test]
fn a_running_child_is_read_signalled_and_waited_for() {
    let mut child =
        sh("trap 'echo bye; exit 9' TERM; echo one; echo ready >&2; while read -r line; do echo $line; done");
    child = child.timeout(SOON);
    let mut child = child.spawn();
    child.wait_for_stderr("ready", SOON);
    assert_eq!(child.next_line().as_deref(), Some("one"));
    child.write("two\n");
    assert_eq!(child.next_line().as_deref(), Some("two"));
    child.signal(Signal::SIGTERM);
    child.close_stdin();
    child.wait().code(9).out("one\ntwo\nbye\n");
}

#[test]
fn a_terminal_has_a_size_and_takes_answers() {
    let script =
        "test -t 0 && test -t 1 && test -t 2 && stty size && printf 'sure? ' >&2 && read -r a && echo \"<$a>\"";
    let mut child = sh(script).timeout(SOON).pty().spawn();
    child.wait_for_stdout("sure? ", SOON);
    child.write("yes\n");
    child.wait().ok().out("24 80\r\nsure? yes\r\n<yes>\r\n").err_empty();
    let child = sh("echo up; exec tail -f /dev/null").timeout(SOON).pty();
    let mut child = child.spawn();
    child.wait_for_stdout("up", SOON);
    child.write([3]);
    child.wait().signal(Signal::SIGINT);
}

#[test]
fn a_terminal_is_handed_on_to_nobody_else() {
    let (_master, slave) = pseudo_terminal(80).unwrap();
    let slave = std::fs::read_link(format!("/proc/self/fd/{}", slave.as_raw_fd())).unwrap();
    let slave = format!("-> {}", slave.display());
    let held = sh("ls -l /proc/$$/fd").run().ok().out_lacks("ptmx").stdout_text();
    assert!(held.contains("pipe:"), "{held}");
    assert!(!held.lines().any(|file| file.ends_with(&slave)), "{slave}: {held}");
}

#[test]
fn the_version_of_the_server_is_known() {
    assert_eq!(binary::version().0, 3);
}
