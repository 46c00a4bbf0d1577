//! `kvadm status --diagnose`: each step to each endpoint, what is shown of it, and the remedy where one fails.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::auth::{LIMITED, anonymous, cheap, login};
use super::failover::cluster;
use super::status::{full, learner};
use super::support::certs::Pair;
use super::support::process::free_port;
use super::support::{Certs, Cluster, Etcd, Kvadm, Mode, Proxy, Run, eventually, shared};

const SOON: Duration = Duration::from_secs(3);

fn diagnose(endpoints: &str) -> Kvadm {
    Kvadm::new().endpoint(endpoints).args(["status", "--diagnose"])
}

fn with_ca(endpoint: &str, ca: &Path) -> Kvadm {
    diagnose(endpoint).arg("--ca-file").arg(ca)
}

fn showing(kvadm: Kvadm, pair: &Pair) -> Kvadm {
    kvadm.arg("--cert-file").arg(&pair.cert).arg("--key-file").arg(&pair.key)
}

/// Runs it for the JSON alone: the object of the one endpoint.
#[track_caller]
fn found(kvadm: Kvadm, code: i32) -> Value {
    let run = kvadm.args(["-o", "json"]).run();
    run.code(code).json()
}

#[track_caller]
fn step<'a>(found: &'a Value, name: &str) -> &'a Value {
    let steps = found["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name}: {found}"))
}

/// The step's error and remedy, all before it well, and all behind it skipped because of it.
#[track_caller]
fn fails_at<'a>(found: &'a Value, name: &str) -> (&'a str, &'a str) {
    assert_eq!((&found["ok"], &found["serves"]), (&json!(false), &json!(false)), "{found}");
    let steps = found["steps"].as_array().unwrap();
    let at = steps.iter().position(|step| step["step"] == name).unwrap();
    assert!(steps[..at].iter().all(|step| step["state"] == "ok" || step["step"] == "tls"), "{found}");
    assert_eq!(steps[at]["state"], "failed", "{found}");
    for behind in &steps[at + 1..] {
        assert_eq!(behind["state"], "skipped", "{found}");
        let why = behind["detail"].as_str().unwrap();
        assert!(why == format!("{name} failed") || why == "the endpoint uses http://", "{found}");
        assert!(behind["ms"].is_null() && behind["error"].is_null(), "{found}");
    }
    (steps[at]["error"].as_str().unwrap(), steps[at]["remedy"].as_str().unwrap())
}

/// An address where nobody listens: the port was free just now.
fn refusing() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// No line of the report is wider than 80 columns, and no space ends one.
#[track_caller]
fn is_narrow(run: &Run) {
    let text = run.stdout_text();
    for line in text.lines() {
        assert!(line.len() <= 80 && !line.ends_with(' '), "{line:?} in\n{text}");
    }
}

/// The lines with every number of milliseconds as `N ms` behind one blank.
fn timeless(run: &Run) -> Vec<String> {
    let line = |line: &str| match line.split_once(" ms ") {
        Some((before, after)) => {
            let before = before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            format!("{} N ms {after}", before.trim_end())
        }
        None => line.to_owned(),
    };
    run.stdout_text().lines().map(line).collect()
}

#[test]
fn a_healthy_endpoint_is_shown_step_by_step() {
    let etcd = shared();
    let run = diagnose(&etcd.endpoint()).run();
    run.ok().err_empty();
    is_narrow(&run);
    let lines = timeless(&run);
    let expected = [
        format!("{}: ok", etcd.endpoint()),
        "  ok    resolve N ms 127.0.0.1".to_owned(),
        format!("  ok    tcp N ms {}", etcd.address()),
        "  skip  tls                the endpoint uses http://".to_owned(),
        "  ok    http2 N ms SETTINGS received".to_owned(),
        "  ok    auth N ms authentication is not enabled".to_owned(),
        "  ok    leader N ms this member is the leader".to_owned(),
    ];
    assert_eq!(lines[..expected.len()], expected);
    for line in ["  ok    quorum N ms linearizable read succeeded", "  ok    alarms N ms none"] {
        assert!(lines.iter().any(|found| found == line), "{lines:#?}");
    }
    run.out_has("\n  ok    quota ").out_has("      db size  ").out_has("      version  3.");
    // A terminal gets the same, and the heading stands out.
    let run = diagnose(&etcd.endpoint()).pty().run();
    run.ok().out_has(&format!("\x1b[1m{}: ok\x1b[0m", etcd.endpoint())).out_has("SETTINGS received");
    for format in ["text", "table", "raw"] {
        let run = diagnose(&etcd.endpoint()).args(["-o", format]).run();
        assert_eq!(timeless(run.ok())[..expected.len()], expected);
    }
    diagnose(&etcd.endpoint())
        .args(["-o", "yaml"])
        .run()
        .ok()
        .out_has("---\nendpoint: \"http")
        .out_has("- step: \"tls\"");
}

#[test]
fn the_shape_of_the_json() {
    let etcd = shared();
    let run = diagnose(&etcd.endpoint()).args(["-o", "json"]).run();
    let said = run.ok().err_empty().json();
    assert_eq!(run.stdout_text().lines().count(), 1, "one object on one line");
    assert_eq!(
        (&said["endpoint"], &said["ok"], &said["serves"]),
        (&json!(etcd.endpoint()), &json!(true), &json!(true))
    );
    let names: Vec<&Value> = said["steps"].as_array().unwrap().iter().map(|step| &step["step"]).collect();
    assert_eq!(names, ["resolve", "tcp", "tls", "http2", "auth", "leader", "quorum", "alarms", "quota"]);
    for step in said["steps"].as_array().unwrap() {
        assert!(step["error"].is_null() && step["remedy"].is_null() && step["facts"].is_object(), "{step}");
        let timed = !["tls", "quota"].contains(&step["step"].as_str().unwrap());
        assert_eq!(step["ms"].as_f64().is_some_and(|ms| (0.0..5000.0).contains(&ms)), timed, "{step}");
    }
    assert_eq!(step(&said, "resolve")["facts"], json!({"addresses": ["127.0.0.1"]}));
    assert_eq!(step(&said, "tcp")["facts"], json!({"address": etcd.address()}));
    assert_eq!(step(&said, "tls")["state"], "skipped");
    assert_eq!(step(&said, "auth")["facts"], json!({"authentication": "off"}));
    let leader = &step(&said, "leader")["facts"];
    let (id, (major, minor)) = (leader["member"].as_str().unwrap(), etcd.version());
    assert!(u64::from_str_radix(id, 16).is_ok() && leader["leader"] == id && leader["role"] == "leader", "{leader}");
    assert!(leader["version"].as_str().unwrap().starts_with(&format!("{major}.{minor}.")), "{leader}");
    for number in ["term", "index", "applied"] {
        assert!(leader[number].as_u64().is_some_and(|number| number > 0), "{leader}");
    }
    assert!(step(&said, "quorum")["facts"]["revision"].as_i64().is_some_and(|revision| revision > 0), "{said}");
    assert_eq!(step(&said, "alarms")["facts"], json!({"raised": []}));
    let quota = &step(&said, "quota")["facts"];
    assert!(quota["db_size"].is_u64() && quota["in_use"].is_u64(), "{quota}");
    let tells = etcd.version() >= (3, 6);
    assert_eq!((quota["quota"].is_u64(), quota["share"].is_f64()), (tells, tells), "{quota}");
}

#[test]
fn an_endpoint_that_refuses_a_name_that_is_unknown_and_a_socket_that_is_not_there() {
    let dead = refusing();
    let run = diagnose(&dead).run();
    run.code(3).within(SOON).err_has("error: the endpoint does not work").err_has("hint: ");
    is_narrow(&run);
    let lines = timeless(&run);
    assert_eq!(lines[0], format!("http://{dead}: does not serve requests"));
    assert_eq!(lines[2], "  FAIL  tcp N ms connection refused");
    assert!(lines[3].starts_with("      try: check that etcd runs there, that its --listen-client-urls"), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "  skip  http2, auth, leader, quorum, alarms, quota: tcp failed");
    let said = found(diagnose(&dead), 3);
    assert_eq!(fails_at(&said, "tcp").0, "connection refused");
    assert_eq!(step(&said, "tcp")["facts"]["failed"], json!([format!("{dead}: connection refused")]));

    let said = found(diagnose("no-such-host.invalid"), 3);
    let (error, remedy) = fails_at(&said, "resolve");
    assert!(error.starts_with("cannot resolve the host name: ") && remedy.contains("/etc/hosts"), "{said}");

    let said = found(diagnose("unix:///nowhere/etcd.sock"), 3);
    let (error, remedy) = fails_at(&said, "socket");
    assert!(error == "the socket does not exist" && remedy.contains("--listen-client-urls"), "{said}");
    let etcd = Etcd::options().unix_socket().start();
    let said = found(diagnose(&etcd.unix_endpoint()), 0);
    assert_eq!(said["steps"][0]["step"], "socket");
    assert_eq!((&said["steps"][1]["step"], &said["ok"]), (&json!("http2"), &json!(true)));
}

#[test]
fn what_listens_there_and_is_no_etcd() {
    // It accepts and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let said = found(diagnose(&address).args(["--dial-timeout", "300ms"]), 3);
    let (error, remedy) = fails_at(&said, "http2");
    let expected = "connection accepted, but no response (the process may be frozen, or not etcd)";
    assert!(error == expected && remedy.contains("client port"), "{said}");
    // A port that is taken for another protocol refuses TCP all the same.
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    fails_at(&found(diagnose(&datagrams), 3), "tcp");
}

#[test]
fn a_frozen_server_is_told_from_a_dead_one_and_costs_the_dial_timeout() {
    let etcd = Etcd::start();
    etcd.pause();
    let live = shared();
    let list = format!("{},{}", etcd.endpoint(), live.endpoint());
    let run = diagnose(&list).args(["--dial-timeout", "400ms", "-o", "json"]).run();
    run.code(6).within(SOON).err_has("problems at 1 of 2 endpoints; see the report");
    let lines = run.json_lines();
    assert_eq!(lines[1]["ok"], true, "{}", lines[1]);
    let (error, remedy) = fails_at(&lines[0], "http2");
    assert_eq!(error, "connection accepted, but no response (the process may be frozen, or not etcd)");
    assert!(remedy.contains("may be stopped"), "{remedy}");
    let took = step(&lines[0], "http2")["ms"].as_f64().unwrap();
    assert!((300.0..1500.0).contains(&took), "{took}");
    assert_eq!(step(&lines[0], "tcp")["state"], "ok");
}

#[test]
fn one_of_two_endpoints_dead_is_a_part_and_both_are_all() {
    let (dead, live) = (refusing(), shared().endpoint());
    let run = diagnose(&format!("{live},{dead}")).run();
    run.code(6).err_has("warning: problems at 1 of 2 endpoints; see the report");
    let text = run.stdout_text();
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("http")).collect();
    assert_eq!(
        headings,
        [format!("{live}: ok"), format!("http://{dead}: does not serve requests")],
        "as they were given"
    );
    let run = diagnose(&format!("{},{dead}", refusing())).arg("-q").run();
    run.code(3).err_has("none of the endpoints works").out_has("connection refused");
    let run = diagnose(&dead).args(["-o", "json"]).run();
    assert_eq!(run.code(3).err_json()["exit_code"], 3);
    run.json();
}

#[test]
fn tls_is_shown_with_both_certificates() {
    let certs = Certs::new();
    let etcd = Etcd::options().client_auth(&certs).start();
    let said = found(showing(with_ca(&etcd.endpoint(), &certs.ca), &certs.client), 0);
    let tls = step(&said, "tls");
    assert_eq!(tls["state"], "ok");
    let facts = &tls["facts"];
    assert!(["TLS 1.2", "TLS 1.3"].iter().any(|version| facts["protocol"] == *version), "{facts}");
    assert!(facts["cipher"].as_str().unwrap().starts_with("TLS_"), "{facts}");
    assert!(facts["subject"].as_str().unwrap().contains("CN=localhost"), "{facts}");
    assert!(facts["issuer"].as_str().unwrap().contains("CN=kvadm test CA"), "{facts}");
    assert_eq!(facts["alternative_names"], json!(["localhost", "127.0.0.1", "::1"]));
    assert_eq!((&facts["name_wanted"], &facts["checked_against"]), (&json!("127.0.0.1"), &json!(certs.ca)));
    assert!(facts["not_before"].as_str().unwrap().ends_with(" UTC") && facts["days_left"].as_i64().unwrap() > 0);
    assert!(facts["clock_here"].is_null(), "{facts}");
    assert_eq!((&facts["client_certificate"], &facts["client_file"]), (&json!("asked for"), &json!(certs.client.cert)));
    assert!(facts["client_subject"].as_str().unwrap().contains("CN=root"), "{facts}");
    assert!(facts["client_days_left"].as_i64().unwrap() > 0 && facts["client_not_after"].is_string(), "{facts}");
    // Whether etcd goes by it cannot be told apart from authentication that is off.
    assert_eq!(step(&said, "auth")["facts"], json!({"authentication": "off or certificate", "user": "root"}));

    let run = showing(with_ca(&etcd.endpoint(), &certs.ca), &certs.client).run();
    run.ok()
        .out_has("  ok    tls ")
        .out_has("alternative names ")
        .out_has("localhost, 127.0.0.1, ::1")
        .out_has("days left ");
}

#[test]
fn a_server_that_asks_for_no_client_certificate() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    let said = found(showing(with_ca(&etcd.endpoint(), &certs.ca), &certs.client), 0);
    let facts = &step(&said, "tls")["facts"];
    assert_eq!(facts["client_certificate"], "not asked for", "{facts}");
    assert!(facts["client_subject"].is_null(), "it was not shown: {facts}");
    assert_eq!(step(&said, "auth")["facts"], json!({"authentication": "off"}));
    let said = found(diagnose(&etcd.endpoint()).arg("--insecure-skip-tls-verify"), 0);
    let against = step(&said, "tls")["facts"]["checked_against"].as_str().unwrap();
    assert!(against.starts_with("nothing: insecure-skip-tls-verify"), "{against}");
}

/// The certificate that is refused is what the operator must see.
#[test]
fn a_certificate_that_is_refused_is_shown_all_the_same() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    let said = found(with_ca(&etcd.endpoint(), &certs.other_ca), 3);
    let (error, remedy) = fails_at(&said, "tls");
    assert!(error.contains("signed by an authority that is not in") && remedy.contains("set ca-file"), "{said}");
    let facts = &step(&said, "tls")["facts"];
    assert!(facts["issuer"].as_str().unwrap().contains("kvadm test CA"), "{facts}");
    assert_eq!(facts["checked_against"], json!(certs.other_ca));
    assert_eq!(facts["alternative_names"], json!(["localhost", "127.0.0.1", "::1"]));
    let run = with_ca(&etcd.endpoint(), &certs.other_ca).run();
    run.code(3).out_has("  FAIL  tls ").out_has("CN=kvadm test CA").out_has("try: set ca-file to the certificate");

    let cases = [
        (&certs.expired, "the server's certificate expired on 2021-01-01", "2021-01-01 00:00:00 UTC"),
        (&certs.not_yet_valid, "is not valid before 2090-01-01", "2100-01-01 00:00:00 UTC"),
    ];
    for (pair, words, not_after) in cases {
        let etcd = Etcd::options().tls_with(&certs, pair).start();
        let said = found(with_ca(&etcd.endpoint(), &certs.ca), 3);
        let (error, remedy) = fails_at(&said, "tls");
        assert!(
            error.contains(words) && remedy == "check this machine's clock, or renew the server's certificate",
            "{said}"
        );
        let facts = &step(&said, "tls")["facts"];
        assert_eq!(facts["not_after"], not_after);
        assert_eq!(facts["days_left"].as_i64().unwrap() < 0, not_after.starts_with("2021"), "{facts}");
        assert!(facts["clock_here"].as_str().unwrap().ends_with(" UTC"), "to compare: {facts}");
    }
    let etcd = Etcd::options().tls_with(&certs, &certs.wrong_host).start();
    let said = found(with_ca(&etcd.endpoint(), &certs.ca), 3);
    assert!(fails_at(&said, "tls").0.contains("is not for '127.0.0.1'"), "{said}");
    let facts = &step(&said, "tls")["facts"];
    assert_eq!((&facts["alternative_names"], &facts["name_wanted"]), (&json!(["other.example"]), &json!("127.0.0.1")));
}

#[test]
fn a_client_certificate_that_is_missing_or_refused_is_a_matter_of_tls() {
    let certs = Certs::new();
    let etcd = Etcd::options().client_auth(&certs).start();
    let said = found(with_ca(&etcd.endpoint(), &certs.ca), 3);
    let (error, remedy) = fails_at(&said, "tls");
    assert_eq!((error, remedy), ("the server requires a client certificate", "set cert-file and key-file"));
    let facts = &step(&said, "tls")["facts"];
    assert_eq!(facts["client_certificate"], "asked for, and none is set", "{facts}");
    assert!(facts["client_subject"].is_null() && facts["issuer"].is_string(), "{facts}");

    let said = found(showing(with_ca(&etcd.endpoint(), &certs.ca), &certs.expired_client), 3);
    let (error, remedy) = fails_at(&said, "tls");
    assert!(error.contains("the server refused the client certificate"), "{said}");
    // etcd 3.4 and 3.5 do not say what is wrong with it.
    let ways = ["trusted-ca-file", "renew the client certificate"];
    assert!(error.contains("expired-client.pem") && ways.iter().any(|way| remedy.contains(way)), "{said}");
    let facts = &step(&said, "tls")["facts"];
    assert_eq!(facts["client_not_after"], "2021-01-01 00:00:00 UTC");
    assert!(facts["client_days_left"].as_i64().unwrap() < -1000, "{facts}");
}

#[test]
fn plaintext_and_tls_mixed_up() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    let said = found(diagnose(&format!("http://{}", etcd.address())), 3);
    let (error, remedy) = fails_at(&said, "http2");
    assert!(
        (error.contains("server expects TLS, but") || error.contains("it may expect TLS"))
            && remedy.contains("https://"),
        "{said}"
    );
    let said = found(with_ca(&format!("https://{}", shared().address()), &certs.ca), 3);
    let (error, remedy) = fails_at(&said, "tls");
    let closed = "server closed the connection during the TLS handshake (it may not expect TLS)";
    assert!(error == closed || error == "server does not use TLS", "{said}");
    assert_eq!(remedy, "if the server does not use TLS, use http:// or set insecure-transport");
}

#[test]
fn an_unusable_tls_file_is_wrong_configuration_and_the_network_is_looked_at_all_the_same() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    let run = with_ca(&etcd.endpoint(), Path::new("/nowhere/ca.pem")).args(["-o", "json"]).run();
    let said = run.code(2).json();
    let (error, remedy) = fails_at(&said, "tls");
    assert_eq!(error, "cannot read the CA file /nowhere/ca.pem: no such file or directory");
    assert!(remedy.contains("check the path"), "{remedy}");
    // It is nothing to an endpoint without TLS, and then not all is lost.
    let both = format!("{},{}", etcd.endpoint(), shared().endpoint());
    with_ca(&both, Path::new("/nowhere/ca.pem")).run().code(6);
}

#[test]
fn logins() {
    let etcd = cheap();
    let run = |kvadm: Kvadm, code| found(kvadm.args(["status", "--diagnose"]), code);
    let said = run(login(&etcd, "app", LIMITED), 0);
    assert_eq!(step(&said, "auth")["facts"], json!({"authentication": "password", "user": "app"}));
    assert_eq!(step(&said, "auth")["detail"], "logged in as 'app'");
    assert_eq!(step(&said, "quorum")["state"], "ok", "a read that is refused was answered by the quorum: {said}");

    let said = run(login(&etcd, "app", "wrong-hunter"), 4);
    let auth = step(&said, "auth");
    assert!(auth["error"].as_str().unwrap().contains("authentication failed, invalid user ID or password"), "{said}");
    assert!(
        auth["remedy"]
            .as_str()
            .unwrap()
            .contains("run 'kvadm config' to see where the user and the password are configured"),
        "{said}"
    );
    assert_eq!(step(&said, "quorum")["detail"], "auth failed");
    assert!(!said.to_string().contains("hunter"), "{said}");

    let refused = anonymous(&etcd).args(["status", "--diagnose"]).run();
    refused.code(4).out_has("  FAIL  auth ").out_has("user name is empty").err_has("the endpoint does not work");
    let both = format!("{},{}", etcd.endpoint(), shared().endpoint());
    diagnose(&both).run().code(4).err_has("list endpoints of one cluster only");
    diagnose(&format!("{},{}", etcd.endpoint(), refusing())).run().code(3);

    let said = found(diagnose(&shared().endpoint()).args(["--user", "app"]).env("KVADM_PASSWORD", LIMITED), 0);
    assert_eq!(step(&said, "auth")["facts"], json!({"authentication": "off", "user": "app"}));
}

#[test]
fn a_raised_alarm_is_a_part_and_says_the_way_out() {
    let etcd = full();
    let said = found(diagnose(&etcd.endpoint()), 6);
    assert_eq!((&said["ok"], &said["serves"]), (&json!(false), &json!(true)));
    let alarms = step(&said, "alarms");
    assert_eq!((&alarms["state"], &alarms["error"]), (&json!("failed"), &json!("NOSPACE is raised by this member")));
    assert!(alarms["remedy"].as_str().unwrap().contains("kvadm compact --reclaim"), "{alarms}");
    let id = step(&said, "leader")["facts"]["member"].as_str().unwrap();
    assert_eq!(alarms["facts"]["raised"], json!([format!("NOSPACE by {id}")]));
    assert_eq!(step(&said, "quota")["state"], "ok");
    let run = diagnose(&etcd.endpoint()).run();
    run.code(6).out_has(": serves requests, but there are problems\n").out_has("  FAIL  alarms ").err_has("warning: ");
}

#[test]
fn one_of_three_members_knows_no_leader() {
    let mut cluster = Cluster::start(3);
    let left = cluster.members[0].endpoint();
    cluster.members[1].kill();
    cluster.members[2].kill();
    let state = |name: &'static str| {
        let left = left.clone();
        move || {
            let run = diagnose(&left).args(["-o", "json", "--op-timeout", "500ms"]).run();
            run.code(3);
            step(&run.json(), name)["state"].clone()
        }
    };
    let leader = state("leader");
    eventually("the last member to miss the leader", Duration::from_secs(10), || leader() == "failed");
    let said = found(diagnose(&left), 3);
    let leader = step(&said, "leader");
    assert_eq!(leader["error"], "this member has no leader");
    assert!(leader["remedy"].as_str().unwrap().contains("majority"), "{leader}");
    assert_eq!((&leader["facts"]["role"], &leader["facts"]["leader"]), (&json!("no leader"), &json!("0")));
    for name in ["quorum", "alarms"] {
        assert_eq!(step(&said, name)["detail"], "leader failed");
    }
    assert_eq!(step(&said, "quota")["state"], "ok", "it still tells what it holds");
    // A login would only wait for the quorum.
    let run = diagnose(&left).args(["--user", "app", "-o", "json"]).env("KVADM_PASSWORD", LIMITED).run();
    assert_eq!(step(&run.code(3).within(SOON).json(), "auth")["state"], "skipped");
}

#[test]
fn a_quorum_that_does_not_answer() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    for at in (0..3).filter(|at| *at != leader) {
        cluster.members[at].pause();
    }
    // Whether the leader knows already that nobody follows is a matter of milliseconds: it fails in one of two steps.
    let said = found(diagnose(&cluster.members[leader].endpoint()).args(["--op-timeout", "200ms"]), 3);
    let failed = step(&said, if step(&said, "leader")["state"] == "ok" { "quorum" } else { "leader" });
    assert_eq!(failed["state"], "failed", "{said}");
    assert!(failed["remedy"].as_str().unwrap().contains("a majority of the voting members"), "{failed}");
    assert_eq!(step(&said, "alarms")["state"], "skipped", "{said}");
    assert_eq!(step(&said, "quota")["state"], "ok", "{said}");
}

#[test]
fn followers_and_learners_say_what_they_are() {
    let cluster = cluster();
    let leader = cluster.leader();
    let run = Kvadm::new().endpoint(&*cluster).args(["status", "--diagnose", "-o", "json"]).run();
    let lines = run.ok().json_lines();
    let told: Vec<&Value> = lines.iter().map(|line| &step(line, "leader")["facts"]).collect();
    for (at, facts) in told.iter().enumerate() {
        let role = if at == leader { "leader" } else { "follower" };
        assert_eq!((&facts["role"], &facts["leader"]), (&json!(role), &told[leader]["member"]));
    }

    let etcd = Etcd::start();
    let peer = format!("http://127.0.0.1:{}", free_port());
    etcd.etcdctl_ok(&["member", "add", "late", "--learner", &format!("--peer-urls={peer}")]);
    let learner = learner(&etcd, &peer);
    let said = found(diagnose(&learner.endpoint()), 0);
    assert_eq!((&said["ok"], &step(&said, "leader")["facts"]["role"]), (&json!(true), &json!("learner")));
    assert_eq!(step(&said, "auth")["state"], "ok");
    for name in ["quorum", "alarms"] {
        let skipped = step(&said, name);
        assert_eq!(
            (&skipped["state"], &skipped["detail"]),
            (&json!("skipped"), &json!("learners do not serve this request"))
        );
    }
}

#[test]
fn ctrl_c_ends_a_look_at_a_frozen_server_at_once() {
    let mut proxy = Proxy::start(&shared().address());
    proxy.set(Mode::Hang);
    let running = diagnose(&proxy.endpoint()).args(["--dial-timeout", "60s"]).spawn();
    eventually("the connection to be there", Duration::from_secs(5), || proxy.connections() > 0);
    running.signal(Signal::SIGINT);
    let run = running.wait();
    run.signal(Signal::SIGINT).out_empty().within(SOON).err_has("interrupted");
    // The deadline of the whole command ends it too, and what was found until then is shown.
    let run = diagnose(&proxy.endpoint()).args(["--dial-timeout", "60s", "--deadline", "500ms"]).run();
    run.code(3).within(SOON).out_has("FAIL  http2").out_has("deadline");
}

#[test]
fn what_makes_no_sense_with_it_is_refused() {
    for other in [&["--revision"][..], &["--quorum"], &["--watch"], &["--wait", "1s"]] {
        diagnose("127.0.0.1:1").args(other).run().code(2).out_empty().err_has("cannot be used with");
    }
}
