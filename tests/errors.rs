//! Endpoints that are dead, silent, slow or late: the right exit code, the right words, and in time.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::support::process::free_port;
use super::support::{Etcd, Kvadm, Mode, Proxy, eventually, shared, unique_prefix};

fn to(endpoints: &str) -> Kvadm {
    Kvadm::new().endpoint(endpoints)
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// An address where nobody listens: the port was free just now.
fn refusing() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A proxy in front of the shared server that accepts connections and is silent.
fn silent() -> Proxy {
    let mut proxy = Proxy::start(&shared().address());
    proxy.set(Mode::Hang);
    proxy
}

#[test]
fn refusing_endpoints_are_named_at_once_each_with_its_cause() {
    let dead: Vec<String> = (0..3).map(|_| refusing()).collect();
    for verb in [&["get", "/a"][..], &["put", "/a", "x"], &["list"], &["delete", "/a"], &["status"]] {
        let run = to(&dead.join(",")).args(verb).run();
        run.code(3).out_empty().within(ms(500)).err_has("error: no etcd endpoint could be reached").err_has("hint: ");
        for address in &dead {
            run.err_has(&format!("caused by: http://{address}: connection refused"));
        }
    }
    let run = to(&dead.join(",")).args(["get", "/a", "-o", "json"]).run();
    let error = run.code(3).out_empty().err_json();
    assert_eq!(error["exit_code"], 3);
    assert_eq!(error["error"], "no etcd endpoint could be reached");
    let causes: Vec<&str> = error["caused_by"].as_array().unwrap().iter().filter_map(|cause| cause.as_str()).collect();
    assert_eq!(causes, dead.iter().map(|a| format!("http://{a}: connection refused")).collect::<Vec<_>>());
    assert!(!error["hints"].as_array().unwrap().is_empty());
}

#[test]
fn each_endpoint_has_a_cause_of_its_own() {
    let (dead, silent) = (refusing(), silent());
    let list = format!("{dead},{},no-such-host.invalid,unix:///nowhere/etcd.sock", silent.endpoint());
    let run = to(&list).args(["get", "/a", "--dial-timeout", "400ms"]).run();
    run.code(3).out_empty().within(ms(1500));
    run.err_has(&format!("http://{dead}: connection refused"));
    run.err_has(&format!(
        "{}: connection accepted, but no response (the process may be frozen, or not etcd)",
        silent.endpoint()
    ));
    run.err_has("http://no-such-host.invalid:2379: ").err_has("unix:///nowhere/etcd.sock: the socket does not exist");
    // In the order in which they were given.
    let text = run.stderr_text();
    let places: Vec<_> =
        [&dead[..], "but no response", "no-such-host", "the socket does not exist"].map(|it| text.find(it)).to_vec();
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn a_silent_endpoint_costs_the_dial_timeout_and_no_more() {
    let silent = silent();
    for verb in [&["get", "/a"][..], &["list", "/a"], &["put", "/a", "x"], &["delete", "/a"], &["status"]] {
        let run = to(&silent.endpoint()).args(verb).args(["--dial-timeout", "300ms"]).run();
        run.code(3)
            .out_empty()
            .within(ms(1500))
            .err_has("connection accepted, but no response (the process may be frozen, or not etcd)");
    }
    let started = Instant::now();
    to(&silent.endpoint()).args(["get", "/a"]).run().code(3).within(ms(2500));
    assert!(started.elapsed() >= ms(900), "the default is a second");
}

/// What a silent peer finds in its buffers when it wakes up must not be a write that was reported as failed.
#[test]
fn a_write_that_failed_is_not_done_later() {
    let prefix = unique_prefix();
    let mut silent = silent();
    let key = |name: &str| format!("{prefix}{name}");
    let record = format!("{{\"key\":\"{}\",\"value\":\"x\"}}\n", key("from"));
    let txn = format!("{{\"then\": [{{\"put\": {{\"key\": \"{}\", \"value\": \"x\"}}}}]}}", key("txn"));
    let cases: [(&[&str], &str); 4] = [
        (&["put", &key("put"), "x"], ""),
        (&["put", &key("create"), "x", "--create"], ""),
        (&["put", "--from", "-"], &record),
        (&["txn", "-"], &txn),
    ];
    for (args, stdin) in cases {
        let run = to(&silent.endpoint()).args(args).args(["--dial-timeout", "200ms"]).stdin(stdin).run();
        run.code(3).err_lacks("unknown");
    }
    silent.set(Mode::Pass);
    // Behind everything that was held back.
    eventually("what was held back to go through", Duration::from_secs(5), || silent.bytes_up() > 0);
    to(&silent.endpoint()).args(["put", &key("last"), "x"]).run().ok();
    to(&shared().endpoint()).args(["list", &prefix, "--keys-only"]).run().ok().out(&format!("{}\n", key("last")));
}

#[test]
fn a_frozen_server_is_called_silent_and_does_not_write_when_it_wakes() {
    let etcd = Etcd::start();
    etcd.pause();
    let run = to(&etcd.endpoint()).args(["put", "/a", "x", "--dial-timeout", "300ms"]).run();
    run.code(3)
        .out_empty()
        .within(ms(1500))
        .err_has("connection accepted, but no response (the process may be frozen, or not etcd)");
    etcd.resume();
    to(&etcd.endpoint()).args(["get", "/a"]).run().code(1);
}

#[test]
fn one_dead_endpoint_among_live_ones_costs_little() {
    let key = format!("{}a", unique_prefix());
    let list = format!("{},{},{}", refusing(), shared().address(), refusing());
    for _ in 0..5 {
        to(&list).args(["put", &key, "x"]).run().ok().err_empty().within(ms(400));
        to(&list).args(["get", &key]).run().ok().out("x\n").err_empty().within(ms(400));
    }
    to(&list).args(["get", &key, "-v"]).run().ok().err_has("connection refused");
}

#[test]
fn one_silent_endpoint_among_live_ones_costs_a_stagger() {
    let (key, silent) = (format!("{}a", unique_prefix()), silent());
    let list = format!("{},{}", silent.endpoint(), shared().address());
    to(&list).args(["put", &key, "x"]).run().ok().err_empty().within(ms(700));
    to(&list).args(["get", &key]).run().ok().out("x\n").err_empty().within(ms(700));
    to(&list).args(["list", &key]).run().ok().within(ms(700));
}

#[test]
fn names_and_ports_that_cannot_be() {
    let run = to("no-such-host.invalid:2379").args(["get", "/a"]).run();
    run.code(3).out_empty().within(ms(5000)).err_has("http://no-such-host.invalid:2379: ");
    for (endpoint, words) in [
        ("127.0.0.1:99999", "'99999' is not a valid port (use 1 to 65535)"),
        ("127.0.0.1:", "'' is not a valid port (use 1 to 65535)"),
        ("h:port", "'port' is not a valid port (use 1 to 65535)"),
        ("h/path", "'h/path' has more than a host and a port (use e.g. https://HOST:2379)"),
        ("ftp://h:1", "unknown scheme"),
        ("a b:1", "is not a valid host name"),
        ("unix://", "unix:// needs a path (use e.g. unix:///run/etcd.sock)"),
        ("[::1:2379", "is not a valid host name"),
    ] {
        let run = to(endpoint).args(["get", "/a"]).run();
        run.code(2).out_empty().within(ms(500)).err_has(words).err_has("--endpoints");
    }
}

#[test]
fn what_is_not_etcd_is_said_to_be_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").ok();
            // Closed before everything was read, the system would discard the answer.
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
        }
    });
    let run = to(&address).args(["get", "/a"]).run();
    run.code(3).out_empty().within(ms(2000)).err_has("HTTP/1").err_has(&address);
}

#[test]
fn the_deadline_bounds_the_whole_command() {
    let silent = silent();
    let run = to(&silent.endpoint()).args(["get", "/a", "--dial-timeout", "20s", "--deadline", "300ms"]).run();
    run.code(3)
        .out_empty()
        .within(ms(1500))
        .err_has("deadline")
        .err_has("hint: raise --deadline, which limits the whole command");
    // Also where it waits for the store, and where it waits for its turn.
    let run = to(&refusing()).args(["get", "/a", "--connect-wait", "20s", "--deadline", "300ms"]).run();
    run.code(3).within(ms(1500)).err_has("deadline").err_has("connection refused");
    let key = format!("{}a", unique_prefix());
    to(&shared().endpoint()).args(["put", &key, "x"]).run().ok();
    let slow = ["--qps", "0.2", "--deadline", "300ms"];
    let delete = to(&shared().endpoint()).args(["delete", "--prefix", &key, "--yes"]).args(slow).run();
    delete.code(3).within(ms(1500)).err_has("deadline");
    to(&shared().endpoint()).args(["get", &key]).run().ok().out("x\n");
    let status = to(&shared().endpoint()).arg("status").args(slow).run();
    status.code(3).within(ms(1500)).err_has("deadline");
}

/// The server does it, and the answer does not come: nobody can say that it failed.
#[test]
fn a_write_without_an_answer_is_unknown() {
    let key = format!("{}a", unique_prefix());
    let etcd = shared();
    let mut proxy = Proxy::start(&etcd.address());
    // The answers come late enough to hold back all but the first sign of life.
    proxy.set(Mode::Delay { up: ms(0), down: ms(200) });
    let put = to(&proxy.endpoint()).args(["put", &key, "x", "--op-timeout", "600ms"]).spawn();
    eventually("the sign of life", Duration::from_secs(5), || proxy.bytes_down() > 0);
    proxy.set(Mode::HangReplies);
    let run = put.wait();
    run.code(7)
        .out_empty()
        .within(ms(4000))
        .err_has("was sent, but it is unknown whether etcd applied it")
        .err_has("hint: read the keys before you retry: etcd may have applied the request, or may still apply it");
    eventually("the write", Duration::from_secs(5), || to(&etcd.endpoint()).args(["get", &key]).run().stdout == b"x\n");
}

/// A write that may be sent again is no less unknown when the deadline ends the trying.
#[test]
fn a_deadline_between_two_sendings_leaves_it_unknown() {
    let key = format!("{}a", unique_prefix());
    let first = to(&shared().endpoint()).args(["put", &key, "w", "-o", "json"]).run();
    let revision = first.ok().json()["mod_revision"].to_string();
    let mut proxy = Proxy::start(&shared().address());
    proxy.set(Mode::Delay { up: ms(0), down: ms(200) });
    // The second sending has to wait for its turn, and that lies behind the deadline.
    let bounds = ["--op-timeout", "400ms", "--qps", "1", "--deadline", "900ms"];
    let put = to(&proxy.endpoint()).args(["put", &key, "x", "--if-rev", &revision]).args(bounds).spawn();
    eventually("the sign of life", Duration::from_secs(5), || proxy.bytes_down() > 0);
    proxy.set(Mode::HangReplies);
    put.wait()
        .code(7)
        .out_empty()
        .within(ms(2000))
        .err_has("was sent, but it is unknown whether etcd applied it")
        .err_has("deadline");
}

#[test]
fn the_operation_timeout_bounds_a_request() {
    let (etcd, prefix) = (shared(), unique_prefix());
    let value = "v".repeat(100);
    let records: String =
        (0..3000).map(|n| format!("{{\"key\":\"{prefix}{n:05}\",\"value\":\"{value}\"}}\n")).collect();
    to(&etcd.endpoint()).args(["put", "--from", "-"]).stdin(records).run().ok();
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Delay { up: ms(0), down: ms(100) });
    let list = to(&proxy.endpoint()).args(["list", &prefix, "--op-timeout", "400ms", "-o", "json", "-v"]).spawn();
    eventually("the first window", Duration::from_secs(5), || proxy.bytes_down() > 0);
    proxy.set(Mode::HangReplies);
    let run = list.wait();
    run.code(3).within(ms(5000)).err_has("no response from").err_has("within 400ms").err_has(&proxy.address());
    assert!(run.stdout_text().lines().count() < 3000);
}

/// `allow-delayed-start` waits for ever; what has a limit of its own keeps it.
#[test]
fn limits_of_a_verb_hold_before_the_first_connection() {
    let nobody = format!("127.0.0.1:{}", super::support::process::free_port());
    let sweep = "gc metadata --schema containerd --apply --yes --roots-complete /x/ --lock /l";
    let cases = [
        &format!("{sweep} --try"),
        &format!("{sweep} --wait 700ms"),
        "status",
        "status --wait 700ms",
        "lock /l --try -- true",
        "lock /l --wait 700ms -- true",
        "--deadline 700ms get /a",
    ];
    for line in cases {
        let config = format!("endpoints: [\"{nobody}\"]\nallow-delayed-start: true\nreconnect-interval: 100ms\n");
        let run = Kvadm::new().config_file("etcd.yaml", config).args(line.split(' ')).run();
        run.code(3).out_empty().err_has(&nobody).within(Duration::from_secs(4));
    }
}

#[test]
fn connect_wait_waits_for_a_server_that_starts_later() {
    let key = "/late";
    let mut etcd = Etcd::start();
    etcd.stop();
    let quick = |kvadm: Kvadm| kvadm.env("KVADM_RECONNECT_INTERVAL", "100ms");
    let mut waiting = quick(to(&etcd.endpoint())).args(["put", key, "x", "--connect-wait", "20s", "-v"]).spawn();
    waiting.wait_for_stderr("retrying every ", Duration::from_secs(5));
    assert!(waiting.ended().is_none());
    etcd.restart();
    waiting.wait().ok();
    etcd.stop();
    let config = "allow-delayed-start: true\nreconnect-interval: 100ms\n";
    let waiting = to(&etcd.endpoint()).config_file("etcd.yaml", config).args(["get", key, "-v"]).spawn();
    waiting.wait_for_stderr("retrying every ", Duration::from_secs(5));
    etcd.restart();
    waiting.wait().ok().out("x\n");
}

#[test]
fn connect_wait_gives_up_in_time() {
    let dead = refusing();
    // Shorter than the pause between two tries (2 s), which is no reason to give up at once.
    let run = to(&dead).args(["get", "/a", "--connect-wait", "700ms"]).run();
    run.code(3).out_empty().within(ms(1500)).err_has("connection refused");
    assert!(run.took >= ms(650), "gave up after {:?}", run.took);
    let run = to(&dead).env("KVADM_RECONNECT_INTERVAL", "200ms").args(["get", "/a", "--connect-wait", "500ms"]).run();
    run.code(3).within(ms(1500));
    assert!(run.took >= ms(450), "gave up after {:?}", run.took);
}

/// `status` sends several requests, to the cluster and to each member: together they keep to the rate.
#[test]
fn qps_spaces_the_requests() {
    let run = to(&shared().endpoint()).args(["status", "-vv", "--qps", "10"]).run();
    let requests = run.ok().stderr_text().matches("trace: ").count();
    assert!(requests >= 3, "{requests}\n{}", run.stderr_text());
    let least = ms(100) * u32::try_from(requests - 1).unwrap();
    assert!(run.took >= least, "{requests} requests at 10 a second took {:?}", run.took);
}

#[test]
fn vv_shows_one_line_a_request_and_no_value() {
    let key = format!("{}a", unique_prefix());
    let to = || to(&shared().endpoint());
    let traces = |run: &super::support::Run| {
        let text = run.stderr_text();
        text.lines().filter(|line| line.starts_with("trace: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let put = to().args(["put", &key, "The-Value", "--create", "-vv"]).run();
    let lines = traces(&put);
    put.ok().err_lacks("The-Value");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["put", &key, "if[", "rev=", &shared().endpoint()] {
        assert!(lines[0].contains(part), "no {part:?} in {lines:?}");
    }
    let get = to().args(["get", &key, "-vv"]).run();
    get.ok().out("The-Value\n").err_lacks("The-Value");
    assert_eq!(traces(&get).len(), 1);
    assert!(traces(&get)[0].starts_with(&format!("trace: get {key} ")), "{:?}", traces(&get));
    let compare = to().args(["put", &key, "Other-Value", "--if-value", "Wrong-Value", "-vv"]).run();
    compare.code(5);
    assert!(!traces(&compare).join("\n").contains("Value"), "{:?}", traces(&compare));
    to().args(["get", &key, "-v"]).run().ok().err_lacks("trace: ");
    to().args(["get", &key]).run().ok().err_empty();
    let refused = to().args(["get", &key, "--rev", "999999999", "-vv"]).run();
    refused.code(4);
    assert!(traces(&refused)[0].contains("failed: "), "{:?}", traces(&refused));
}

#[test]
fn refusals_say_what_etcd_said_and_what_to_do() {
    let etcd = shared();
    let future = to(&etcd.endpoint()).args(["list", "/", "--rev", "999999999", "-o", "json"]).run();
    let error = future.code(4).out_empty().err_json();
    assert!(error["error"].as_str().unwrap().contains("future revision"), "{error}");
    assert!(error["hints"][0].as_str().unwrap().contains("status --revision"), "{error}");
    let lease = to(&etcd.endpoint()).args(["put", "/a", "x", "--lease", "7fffffff"]).run();
    lease.code(4).out_empty().err_has("lease not found").err_has("hint: ");
}

#[test]
fn a_wait_for_an_endpoint_says_now_and_then_what_it_waits_for() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let args = ["--endpoints", &endpoint, "--connect-wait", "7500ms", "get", "/a"];
    let run = Kvadm::new().args(args).env("KVADM_RECONNECT_INTERVAL", "300ms").run();
    run.code(3).err_has("warning: no etcd endpoint answers yet; retrying every ");
    let again = format!("s ({endpoint}: connection refused); retrying every ");
    run.err_has("warning: no etcd endpoint has answered for ").err_has(&again).err_lacks("µs");
    assert_eq!(run.stderr_text().matches("has answered for").count(), 1, "{}", run.stderr_text());
}
