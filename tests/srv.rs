//! Endpoints by SRV records: where they come from, what counts, and what a DNS server can do wrong.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::support::{Certs, Cluster, Dns, DnsAnswer, Etcd, Kvadm, Run, Srv, shared, unique_prefix};

const TLS: &str = "_etcd-client-ssl._tcp.example.test";
const PLAIN: &str = "_etcd-client._tcp.example.test";

fn port_of(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

fn at(priority: u16, address: &str) -> Srv {
    (priority, 0, port_of(address), "localhost.".to_owned())
}

fn plain(records: Vec<Srv>) -> Dns {
    Dns::start([(PLAIN, DnsAnswer::Records(records))])
}

fn kvadm(dns: &Dns, folder: &Path) -> Kvadm {
    Kvadm::new().env("KVADM_RESOLV_CONF", dns.resolv_conf(folder)).args(["--discovery-srv", "example.test"])
}

fn insecure(dns: &Dns, folder: &Path) -> Kvadm {
    kvadm(dns, folder).arg("--insecure-discovery")
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn endpoints_without_tls_count_only_with_insecure_discovery() {
    let (folder, key) = (folder(), format!("{}a", unique_prefix()));
    let dns = plain(vec![at(0, &shared().address())]);
    let run = kvadm(&dns, folder.path()).args(["put", &key, "x"]).run();
    run.code(3)
        .out_empty()
        .err_has("warning: 1 endpoint of _etcd-client._tcp.example.test without TLS is ignored")
        .err_has("srv://example.test: DNS names only endpoints without TLS")
        .err_has("add --insecure-discovery if the network is trusted");
    insecure(&dns, folder.path()).args(["put", &key, "x"]).run().ok().err_empty();
    insecure(&dns, folder.path()).args(["get", &key]).run().ok().out("x\n").err_empty();
    // By variables of etcdctl, and by a file.
    let variables = Kvadm::new()
        .env("KVADM_RESOLV_CONF", dns.resolv_conf(folder.path()))
        .env("ETCDCTL_DISCOVERY_SRV", "example.test")
        .env("ETCDCTL_INSECURE_DISCOVERY", "true")
        .env("ETCDCTL_ENDPOINTS", "127.0.0.1:1");
    variables.args(["get", &key]).run().ok().out("x\n").err_empty();
    let text = format!(
        "discovery-srv: Example.TEST.\ninsecure-discovery: true\nresolv-conf: {}\n",
        dns.resolv_conf(folder.path()).display()
    );
    Kvadm::new().config_file("etcd.yaml", &text).args(["get", &key]).run().ok().out("x\n").err_empty();
    let asked = dns.asked();
    assert!(asked.iter().any(|asked| asked.ends_with(TLS)) && asked.iter().any(|asked| asked.ends_with(PLAIN)));
    // A lookup is two questions.
    assert_eq!(asked.len(), 10, "{asked:?}");
}

#[test]
fn the_name_of_a_service_is_a_suffix() {
    let folder = folder();
    let records = vec![at(0, &shared().address())];
    let dns = Dns::start([("_etcd-client-two._tcp.example.test", DnsAnswer::Records(records))]);
    let run = insecure(&dns, folder.path()).args(["--discovery-srv-name", "two", "status", "--revision"]).run();
    run.ok().err_empty();
    let run = insecure(&dns, folder.path()).args(["status", "--revision"]).run();
    run.code(3).err_has(&format!(
        "{TLS} and {PLAIN}: the DNS server {} answered that the name does not exist (NXDOMAIN)",
        dns.address()
    ));
}

#[test]
fn priorities_decide_which_endpoint_is_tried_first() {
    let (folder, cluster) = (folder(), Cluster::start(2));
    let mut addresses: Vec<String> = cluster.endpoints().split(',').map(str::to_owned).collect();
    for _ in 0..2 {
        let dns = plain(vec![at(20, &addresses[1]), at(10, &addresses[0])]);
        let run = insecure(&dns, folder.path()).args(["-vv", "status", "--revision"]).run();
        let wanted = format!("http://localhost:{}", port_of(&addresses[0]));
        run.ok().err_has(&wanted).err_lacks(&format!("localhost:{}", port_of(&addresses[1])));
        addresses.swap(0, 1);
    }
    // A dead endpoint costs nothing.
    let dns = plain(vec![at(1, "localhost:1"), at(2, &addresses[0])]);
    insecure(&dns, folder.path()).args(["status", "--revision"]).run().ok().err_empty();
}

#[test]
fn a_certificate_must_be_for_the_domain() {
    let (folder, certs) = (folder(), Certs::new());
    let server = |pair| Etcd::options().tls_with(&certs, pair).start();
    let (of_host, of_domain) = (server(&certs.server), server(&certs.wrong_host));
    let dns = |domain: &str, etcd: &Etcd| {
        let (name, records) = (format!("_etcd-client-ssl._tcp.{domain}"), vec![at(0, &etcd.address())]);
        Dns::with(move |asked| match asked == name {
            true => DnsAnswer::Records(records.clone()),
            false => DnsAnswer::Code(3),
        })
    };
    let run = |dns: &Dns, domain: &str, more: &[&str]| {
        Kvadm::new()
            .env("KVADM_RESOLV_CONF", dns.resolv_conf(folder.path()))
            .args(["--discovery-srv", domain, "--ca-file", certs.ca.to_str().unwrap()])
            .args(more)
            .args(["status", "--revision"])
            .run()
    };
    // The certificate is for localhost, which is where a forged answer leads to.
    let forged = dns("other.example", &of_host);
    run(&forged, "other.example", &[])
        .code(3)
        .out_empty()
        .err_has("the server's certificate is not for 'other.example'")
        .err_has("the SRV records of other.example name this host: issue its certificate for other.example too");
    run(&forged, "other.example", &["--insecure-discovery"]).ok().err_empty();
    // It is for the domain, and not for the host.
    let good = dns("other.example", &of_domain);
    run(&good, "other.example", &[]).ok().err_empty();
    run(&good, "other.example", &["--insecure-discovery"]).code(3).err_has("not for 'localhost'");
    let report = Kvadm::new()
        .env("KVADM_RESOLV_CONF", good.resolv_conf(folder.path()))
        .args(["--discovery-srv", "other.example", "--ca-file", certs.ca.to_str().unwrap()])
        .args(["status", "--diagnose", "-o", "json"])
        .run();
    let report = report.ok().json();
    assert_eq!(report["steps"][0]["step"], "srv", "{report}");
    assert_eq!(report["steps"][0]["facts"]["domain"], "other.example", "{report}");
}

fn failing(answer: DnsAnswer) -> (Dns, Run) {
    let folder = folder();
    let dns = Dns::with(move |_| answer.clone());
    let run = insecure(&dns, folder.path()).args(["--dial-timeout", "400ms", "get", "/a"]).run();
    (dns, run)
}

#[test]
fn each_failure_of_a_dns_server_is_named() {
    for (answer, text) in [
        (DnsAnswer::Code(3), "answered that the name does not exist (NXDOMAIN)"),
        (DnsAnswer::Code(0), "has no SRV record of this name"),
        (DnsAnswer::Code(2), "answered SERVFAIL"),
        (DnsAnswer::Code(5), "answered REFUSED"),
        (DnsAnswer::Silence, "did not answer within 400ms"),
        (DnsAnswer::WrongId(vec![at(0, &shared().address())]), "did not answer within 400ms"),
    ] {
        let (dns, run) = failing(answer.clone());
        run.code(3).out_empty().within(Duration::from_secs(2));
        run.err_has(&format!("{TLS} and {PLAIN}: the DNS server {} {text}", dns.address()));
        run.err_has(&format!("run 'dig {TLS} SRV' to see what the DNS server answers"));
    }
    for answer in [DnsAnswer::Garbage, DnsAnswer::CnameLoop] {
        let (dns, run) = failing(answer);
        run.code(3).out_empty().within(Duration::from_secs(2)).err_has(&format!("the DNS server {}", dns.address()));
    }
}

#[test]
fn hostile_names_are_left_out_and_escaped() {
    let (dns, run) = failing(DnsAnswer::RawTarget(b"\x1b[2J\xff evil".to_vec()));
    run.code(3).out_empty().err_lacks("\u{1b}").err_has("is not a valid host and port");
    assert!(!dns.asked().is_empty());
    // Port 0, and the target that says that there is no service.
    let folder = folder();
    let dns = plain(vec![(0, 0, 0, "localhost.".to_owned()), (0, 0, 2379, ".".to_owned())]);
    insecure(&dns, folder.path()).args(["get", "/a"]).run().code(3).out_empty();
}

#[test]
fn long_answers_come_by_tcp_and_are_bounded() {
    let folder = folder();
    let mut records: Vec<Srv> = (0..400).map(|n| (9, 0, 1, format!("nobody-{n}.invalid."))).collect();
    records.push(at(0, &shared().address()));
    let dns = plain(records);
    let run = insecure(&dns, folder.path()).args(["status", "--revision"]).run();
    run.ok().err_has("DNS has 401 endpoints for example.test; the first 64 are used");
    assert!(dns.asked().contains(&format!("tcp {PLAIN}")), "{:?}", dns.asked());
}

#[test]
fn the_next_dns_server_is_asked_after_one_that_fails() {
    let folder = folder();
    let broken = Dns::with(|_| DnsAnswer::Code(2));
    let good = plain(vec![at(0, &shared().address())]);
    let path = folder.path().join("resolv.conf");
    std::fs::write(&path, format!("{}{}", broken.line(), good.line())).unwrap();
    let asked = || Kvadm::new().env("KVADM_RESOLV_CONF", &path).args(["--discovery-srv", "example.test"]);
    asked().args(["--insecure-discovery", "status", "--revision"]).run().ok().err_empty();
    assert!(!broken.asked().is_empty());
    let run = Kvadm::new()
        .env("KVADM_RESOLV_CONF", folder.path().join("nowhere"))
        .args(["--discovery-srv", "example.test", "get", "/a"])
        .run();
    run.code(3).err_has("nowhere: no such file or directory").err_has("KVADM_RESOLV_CONF");
}

#[test]
fn endpoints_and_a_domain_are_one_setting() {
    let folder = folder();
    let dns = plain(vec![at(0, &shared().address())]);
    let resolv = dns.resolv_conf(folder.path());
    let kvadm = || Kvadm::new().env("KVADM_RESOLV_CONF", &resolv);
    // The stronger source wins.
    let typed = kvadm().env("KVADM_DISCOVERY_SRV", "nowhere.test").endpoint(shared()).args(["status", "--revision"]);
    typed.run().ok().err_empty();
    let typed = kvadm().env("KVADM_ENDPOINTS", "127.0.0.1:1").args(["--discovery-srv", "example.test"]);
    typed.args(["--insecure-discovery", "status", "--revision"]).run().ok().err_empty();
    // Both in one source contradict.
    let run = kvadm().endpoint(shared()).args(["--discovery-srv", "example.test", "config"]).run();
    run.code(2)
        .err_has("flag --discovery-srv")
        .err_has("cannot be used together with the endpoints from flag --endpoints");
    let both = "endpoints: [a]\ndiscovery-srv: b\n";
    kvadm().config_file("etcd.yaml", both).arg("config").run().code(2).err_has("etcd.yaml:2: discovery-srv");
    // A weaker source does not permit what DNS says of the domain of a stronger one.
    let run = kvadm()
        .env("ETCDCTL_INSECURE_DISCOVERY", "true")
        .args(["--discovery-srv", "example.test", "status", "--revision"])
        .run();
    run.code(3).err_has("insecure-discovery (env ETCDCTL_INSECURE_DISCOVERY) does not count");
    // 'config' makes no connection.
    let before = dns.asked().len();
    let run = kvadm().args(["--discovery-srv", "example.test", "config"]).run();
    run.ok().out_has("endpoints\tsrv://example.test\tflag --discovery-srv").err_empty();
    assert_eq!(dns.asked().len(), before);
    kvadm().args(["--discovery-srv", "a b", "config"]).run().code(2).err_has("'a b' is not a domain name");
}

#[test]
fn a_password_stays_with_the_domain_that_its_source_names() {
    let folder = folder();
    let dns = plain(vec![at(0, &shared().address())]);
    let file = format!(
        "discovery-srv: example.test\ninsecure-discovery: true\nresolv-conf: {}\nusername: u\npassword: pw\n",
        dns.resolv_conf(folder.path()).display()
    );
    let other = Kvadm::new().config_file("etcd.yaml", &file).args(["--discovery-srv", "other.test", "config"]).run();
    other.ok().err_has("are not used, because the endpoints are from flag --discovery-srv").err_lacks("pw");
    let same = Kvadm::new().config_file("etcd.yaml", &file).args(["--discovery-srv", "example.test", "config"]).run();
    same.ok().out_has("username\tu\t").err_lacks("are not used");
}

#[test]
fn connect_wait_waits_for_the_records_and_a_signal_ends_the_wait() {
    let folder = folder();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let address = shared().address();
    let dns = Dns::with(move |name| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0..4 => DnsAnswer::Code(3),
        _ if name == PLAIN => DnsAnswer::Records(vec![at(0, &address)]),
        _ => DnsAnswer::Code(3),
    });
    let wait = ["--connect-wait", "20s", "status", "--revision"];
    let run = insecure(&dns, folder.path()).env("KVADM_RECONNECT_INTERVAL", "50ms").args(wait).run();
    run.ok().err_empty();
    let started = std::time::Instant::now();
    let empty = plain(Vec::new());
    let run = insecure(&empty, folder.path()).env("KVADM_RECONNECT_INTERVAL", "50ms").args([
        "--connect-wait",
        "600ms",
        "get",
        "/a",
    ]);
    run.run().code(3).err_has("srv://example.test: ");
    assert!((500..5000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    let silent = Dns::with(|_| DnsAnswer::Silence);
    let running = insecure(&silent, folder.path()).args(["--dial-timeout", "20s", "get", "/a"]).spawn();
    super::support::eventually("a question", Duration::from_secs(10), || !silent.asked().is_empty());
    running.wait_for_stderr("note: waiting for the SRV records of example.test", Duration::from_secs(10));
    running.signal(nix::sys::signal::Signal::SIGINT);
    running.wait().signal(nix::sys::signal::Signal::SIGINT).within(Duration::from_secs(10));
}
