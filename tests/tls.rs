//! Every row of the TLS rules, against real servers with real certificates. A failure always has its cause and the
//! file to look at, and is never a bare timeout.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::support::certs::Pair;
use super::support::{Certs, Etcd, Kvadm, Mode, Proxy, Run};

/// No TLS failure may take longer, whatever its cause.
const AT_MOST: Duration = Duration::from_secs(2);

fn get(endpoint: &str) -> Kvadm {
    Kvadm::new().endpoint(endpoint).args(["get", "/tls"])
}

fn with_ca(endpoint: &str, ca: &Path) -> Kvadm {
    get(endpoint).arg("--ca-file").arg(ca)
}

fn with_pair(endpoint: &str, ca: &Path, pair: &Pair) -> Kvadm {
    with_ca(endpoint, ca).arg("--cert-file").arg(&pair.cert).arg("--key-file").arg(&pair.key)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Unreachable, soon, and with words that say more than that time passed.
#[track_caller]
fn fails_with(run: &Run, words: &[&str]) {
    run.code(3).out_empty().within(AT_MOST).err_lacks("timeout").err_lacks("timed out").err_lacks("deadline");
    run.err_has("error: no etcd endpoint could be reached").err_has("hint: ");
    for words in words {
        run.err_has(words);
    }
}

/// Wrong configuration, before anything is dialled.
#[track_caller]
fn refused_with(run: &Run, words: &[&str]) {
    run.code(2).out_empty().within(AT_MOST).err_has("hint: ");
    for words in words {
        run.err_has(words);
    }
}

fn write(certs: &Certs, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = certs.dir().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_ca_file_is_all_it_takes() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).ipv6().start();
    etcd.etcdctl_ok(&["put", "/tls", "yes"]);
    for endpoint in [etcd.endpoint(), etcd.address(), etcd.localhost_endpoint(), etcd.ipv6_endpoint()] {
        with_ca(&endpoint, &certs.ca).run().ok().out("yes\n").err_empty();
    }
    get(&etcd.endpoint()).env("KVADM_CA_FILE", &certs.ca).run().ok().out("yes\n");
    get(&etcd.address()).env("ETCDCTL_CACERT", &certs.ca).run().ok().out("yes\n");
    // Several authorities in one file: each is good.
    let both = [std::fs::read(&certs.other_ca).unwrap(), std::fs::read(&certs.ca).unwrap()].concat();
    with_ca(&etcd.endpoint(), &write(&certs, "both.pem", both)).run().ok().out("yes\n");
    // The other way of naming it, beside the configuration file.
    let config = write(&certs, "etcd.yaml", format!("endpoints: [{}]\ntrusted-ca-file: ca.pem\n", etcd.address()));
    Kvadm::new().arg("-c").arg(config).args(["get", "/tls"]).run().ok().out("yes\n").err_empty();
}

#[test]
fn thousands_of_keys_go_both_ways() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    let records: String =
        (0..3000).map(|n| format!("{{\"key\":\"/many/{n:05}\",\"value\":\"{}\"}}\n", "v".repeat(100))).collect();
    let kvadm = || Kvadm::new().endpoint(&etcd).arg("--ca-file").arg(&certs.ca);
    kvadm().args(["put", "--from", "-"]).stdin(&records).run().ok();
    let listed = kvadm().args(["list", "/many/", "-o", "json"]).run();
    assert_eq!(listed.ok().json_lines().len(), 3000);
}

#[test]
fn what_the_server_shows_is_checked() {
    let certs = Certs::new();
    let cases = [
        (&certs.expired, vec!["the server's certificate expired on 2021-01-01", "clock"]),
        (&certs.not_yet_valid, vec!["the server's certificate is not valid before 2090-01-01", "clock"]),
        (&certs.wrong_host, vec!["the server's certificate is not for '127.0.0.1'; it is for other.example"]),
    ];
    for (pair, words) in cases {
        let etcd = Etcd::options().tls_with(&certs, pair).start();
        let run = with_ca(&etcd.endpoint(), &certs.ca).run();
        fails_with(&run, &words);
        run.err_has(&format!("caused by: {}: ", etcd.endpoint()));
        let skip = with_ca(&etcd.endpoint(), &certs.ca).arg("--insecure-skip-tls-verify").run();
        skip.code(1).err_has("warning: insecure-skip-tls-verify (flag --insecure-skip-tls-verify)");
    }
}

#[test]
fn an_unknown_authority_is_named_by_its_file() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    let run = with_ca(&etcd.endpoint(), &certs.other_ca).run();
    fails_with(&run, &["signed by an authority that is not in", text(&certs.other_ca), "set ca-file"]);
    let run = with_ca(&etcd.endpoint(), &certs.other_ca).args(["-o", "json"]).run();
    let error = run.code(3).err_json();
    assert_eq!(error["exit_code"], 3);
    assert!(error["caused_by"][0].as_str().unwrap().contains(text(&certs.other_ca)), "{error}");
    // A write is not sent to a server that was not proved.
    let put = Kvadm::new().endpoint(&etcd).arg("--ca-file").arg(&certs.other_ca).args(["put", "/tls", "no"]).run();
    fails_with(&put, &[text(&certs.other_ca)]);
    assert_eq!(etcd.etcdctl_ok(&["get", "/tls"]), "");
}

#[test]
fn without_a_ca_file_the_systems_list_counts() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    let run = get(&etcd.endpoint()).run();
    // A machine without any list says so before it dials.
    if run.code == Some(2) {
        run.err_has("ca-file is not set and this system has no trusted certificates");
    } else {
        fails_with(
            &run,
            &[
                "by an authority that this system does not trust",
                "hint: set ca-file to the certificate of the authority",
            ],
        );
    }
}

#[test]
fn a_ca_file_that_is_none_is_refused_before_anything_is_dialled() {
    let certs = Certs::new();
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let cases = [
        (certs.dir().join("nowhere.pem"), "no such file or directory"),
        (certs.dir().to_owned(), "directory"),
        (write(&certs, "empty.pem", ""), "contains no certificate"),
        (write(&certs, "text.pem", "not a certificate\n"), "contains no certificate"),
        (certs.server.key.clone(), "contains no certificate"),
        (write(&certs, "broken.pem", broken), "is not valid PEM: "),
        (write(&certs, "cut.pem", &broken[..40]), "is not valid PEM: "),
    ];
    for (path, words) in cases {
        let run = with_ca("https://127.0.0.1:1", &path).run();
        refused_with(&run, &[words, text(&path)]);
        // It must not stay hidden where it would not be needed either.
        let run = with_ca("https://127.0.0.1:1", &path).arg("--insecure-skip-tls-verify").run();
        refused_with(&run, &[words, text(&path)]);
    }
}

#[test]
fn client_keys_of_every_form_are_presented() {
    let certs = Certs::new();
    let etcd = Etcd::options().client_auth(&certs).start();
    etcd.etcdctl_ok(&["put", "/tls", "yes"]);
    for pair in [&certs.client, &certs.client_sec1, &certs.client_pkcs1, &certs.client_rsa] {
        with_pair(&etcd.endpoint(), &certs.ca, pair).run().ok().out("yes\n").err_empty();
    }
    // Without verification the client still shows who it is.
    let pair = &certs.client;
    let skip = get(&etcd.endpoint()).arg("--insecure-skip-tls-verify");
    let skip = skip.arg("--cert-file").arg(&pair.cert).arg("--key-file").arg(&pair.key).run();
    skip.ok().out("yes\n").err_has("warning: insecure-skip-tls-verify");
    let config =
        format!("ca-file: ca.pem\ncert-file: client.pem\nkey-file: client.key\nendpoints: {}\n", etcd.address());
    let config = write(&certs, "etcd.yaml", config);
    Kvadm::new().arg("-c").arg(config).args(["get", "/tls"]).run().ok().out("yes\n").err_empty();
}

/// Several times: with TLS 1.3 the refusal comes after the handshake, and how it shows is a matter of microseconds.
#[test]
fn clients_without_a_good_certificate_are_told_so() {
    let certs = Certs::new();
    let etcd = Etcd::options().client_auth(&certs).start();
    for _ in 0..4 {
        let none = with_ca(&etcd.endpoint(), &certs.ca).run();
        fails_with(&none, &["the server requires a client certificate", "hint: set cert-file and key-file"]);
        let put = Kvadm::new().endpoint(&etcd).arg("--ca-file").arg(&certs.ca).args(["put", "/tls", "no"]).run();
        fails_with(&put, &["the server requires a client certificate"]);
        for pair in [&certs.stranger, &certs.expired_client] {
            let run = with_pair(&etcd.endpoint(), &certs.ca, pair).run();
            fails_with(&run, &["the server refused the client certificate", text(&pair.cert)]);
        }
    }
    assert_eq!(etcd.etcdctl_ok(&["get", "/tls"]), "");
}

#[test]
fn half_a_pair_and_the_wrong_half_are_refused() {
    let certs = Certs::new();
    let endpoint = "https://127.0.0.1:1";
    let run = with_ca(endpoint, &certs.ca).arg("--cert-file").arg(&certs.client.cert).run();
    refused_with(&run, &["flag --cert-file: cert-file is set without key-file"]);
    let run = with_ca(endpoint, &certs.ca).env("KVADM_KEY_FILE", &certs.client.key).run();
    refused_with(&run, &["env KVADM_KEY_FILE: key-file is set without cert-file"]);
    let config = write(&certs, "etcd.yaml", "ca-file: ca.pem\ncert-file: client.pem\n");
    let run = get(endpoint).arg("-c").arg(&config).run();
    refused_with(&run, &[&format!("{}:2: cert-file", text(&config)), "without key-file"]);

    let pair = |cert: &Path, key: &Path| Pair { cert: cert.to_owned(), key: key.to_owned() };
    let mismatch = pair(&certs.client.cert, &certs.stranger.key);
    let run = with_pair(endpoint, &certs.ca, &mismatch).run();
    refused_with(&run, &["does not match", text(&mismatch.cert), text(&mismatch.key)]);
    let missing = pair(&certs.client.cert, &certs.dir().join("nowhere.key"));
    refused_with(&with_pair(endpoint, &certs.ca, &missing).run(), &["no such file or directory", text(&missing.key)]);
    let missing = pair(&certs.dir().join("nowhere.pem"), &certs.client.key);
    refused_with(&with_pair(endpoint, &certs.ca, &missing).run(), &["no such file or directory", text(&missing.cert)]);
    let swapped = pair(&certs.client.key, &certs.client.cert);
    refused_with(
        &with_pair(endpoint, &certs.ca, &swapped).run(),
        &["the client certificate", "contains no certificate", text(&swapped.cert)],
    );
    let no_key = pair(&certs.client.cert, &certs.client.cert);
    refused_with(&with_pair(endpoint, &certs.ca, &no_key).run(), &["contains no private key", text(&no_key.key)]);
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let locked = pair(&certs.client.cert, &write(&certs, "locked.key", locked));
    refused_with(&with_pair(endpoint, &certs.ca, &locked).run(), &["is encrypted", text(&locked.key), "openssl"]);
}

#[test]
fn skipping_the_check_works_and_is_warned_of() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    etcd.etcdctl_ok(&["put", "/tls", "yes"]);
    let warning = "the server certificate is not verified";
    get(&etcd.endpoint()).arg("--insecure-skip-tls-verify").run().ok().out("yes\n").err_has(warning);
    get(&etcd.endpoint()).env("KVADM_INSECURE_SKIP_TLS_VERIFY", "1").run().ok().out("yes\n").err_has(warning);
    // What is not secure is said even where nothing else is.
    get(&etcd.endpoint()).args(["--insecure-skip-tls-verify", "-q"]).run().ok().out("yes\n").err_has(warning);
    let config = format!("endpoints: [{}]\ninsecure-skip-tls-verify: true\n", etcd.endpoint());
    let config = write(&certs, "skip.yaml", config);
    let file = || Kvadm::new().arg("-c").arg(&config).args(["get", "/tls"]);
    file().run().ok().out("yes\n").err_has(&format!("{}:2", text(&config))).err_has(warning);
    // A flag takes back what the file allows.
    assert_ne!(file().arg("--insecure-skip-tls-verify=false").run().err_lacks(warning).code, Some(0));
}

#[test]
fn skipping_the_check_means_tls() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    etcd.etcdctl_ok(&["put", "/tls", "yes"]);
    let warning = "the server certificate is not verified";
    get(&etcd.address()).arg("--insecure-skip-tls-verify").run().ok().out("yes\n").err_has(warning);
    // clientv3's file without a scheme.
    let config = format!("endpoints: [{}]\ninsecure-skip-tls-verify: true\n", etcd.address());
    let config = write(&certs, "clientv3.yaml", config);
    Kvadm::new().arg("-c").arg(config).args(["get", "/tls"]).run().ok().out("yes\n").err_has(warning);
    let plain = get("http://127.0.0.1:1").arg("--insecure-skip-tls-verify").run();
    plain.code(3).err_has("has no effect, because no endpoint uses TLS");
}

#[test]
fn plaintext_and_tls_mixed_up_say_so() {
    let certs = Certs::new();
    let (plain, tls) = (Etcd::start(), Etcd::options().tls(&certs).start());
    let to_plain = "hint: if the server does not use TLS, use http:// or set insecure-transport";
    let to_tls = "hint: if the server uses TLS, use https:// or set ca-file";
    let https = format!("https://{}", plain.address());
    for verb in [["get", "/tls"].as_slice(), &["put", "/tls", "x"], &["list", "/"]] {
        let run = Kvadm::new().endpoint(&https).arg("--ca-file").arg(&certs.ca).args(verb).run();
        fails_with(&run, &[to_plain, &https]);
        let run = Kvadm::new().endpoint(&plain.address()).arg("--ca-file").arg(&certs.ca).args(verb).run();
        fails_with(&run, &[to_plain]);
        for endpoint in [tls.address(), format!("http://{}", tls.address())] {
            let run = Kvadm::new().endpoint(&endpoint).args(verb).run();
            fails_with(&run, &[to_tls, &tls.address()]);
        }
    }
    // `insecure-transport` wins over the files, and a TLS server notices.
    let run = with_ca(&tls.address(), &certs.ca).arg("--insecure-transport").run();
    fails_with(&run, &[to_tls]);
}

#[test]
fn in_a_list_the_scheme_decides_for_each() {
    let certs = Certs::new();
    let (plain, tls) = (Etcd::start(), Etcd::options().tls(&certs).start());
    plain.etcdctl_ok(&["put", "/tls", "plain"]);
    tls.etcdctl_ok(&["put", "/tls", "tls"]);
    let (dead, expired) = ("127.0.0.1:1", Etcd::options().tls_with(&certs, &certs.expired).start());
    let cases = [
        (format!("{dead},http://{}", plain.address()), "plain\n"),
        (format!("{dead},{}", tls.address()), "tls\n"),
        (format!("http://{dead},https://{}", tls.address()), "tls\n"),
        // One member's bad certificate does not stop the others.
        (format!("{},{}", expired.endpoint(), tls.endpoint()), "tls\n"),
        (format!("{},http://{}", expired.endpoint(), plain.address()), "plain\n"),
    ];
    for (list, value) in cases {
        with_ca(&list, &certs.ca).run().ok().out(value).within(AT_MOST).err_empty();
    }
    // Every endpoint with its own cause.
    let list = format!("{},http://{},https://{dead}", expired.endpoint(), tls.address());
    let run = with_ca(&list, &certs.ca).run();
    fails_with(
        &run,
        &["expired on", "it may expect TLS, or not be etcd", &format!("https://{dead}: connection refused")],
    );
}

#[test]
fn insecure_transport_opens_no_tls_file() {
    let etcd = Etcd::start();
    etcd.etcdctl_ok(&["put", "/tls", "plain"]);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("etcd.conf");
    let files = "cert-file: <file-path>\nkey-file: /nowhere/key\nca-file: /nowhere/ca\n";
    let text = format!("insecure-transport: true\n{files}endpoints:\n  - \"{}\"\n", etcd.address());
    std::fs::write(&config, text).unwrap();
    let file = || Kvadm::new().arg("-c").arg(&config).args(["get", "/tls"]);
    file().run().ok().out("plain\n").err_empty();
    file().arg("--insecure-transport=false").run().code(2).out_empty().err_has("/nowhere/ca");
    // A scheme decides for its endpoint, whatever else is said.
    file().arg("--endpoints=https://127.0.0.1:1").run().code(2).out_empty().err_has("/nowhere/ca");
    let half = "insecure-transport: true\ncert-file: /nowhere/cert\n";
    std::fs::write(&config, half).unwrap();
    file().endpoint(&etcd.address()).run().ok().out("plain\n");
}

#[test]
fn unix_sockets_ipv6_and_names() {
    let etcd = Etcd::options().unix_socket().ipv6().start();
    etcd.etcdctl_ok(&["put", "/tls", "plain"]);
    let socket = etcd.unix_endpoint();
    // As Go takes them: with the zone of an address, with a path, and with the port alone.
    let zone = etcd.ipv6_endpoint().replace("[::1]", "[::1%1]");
    let path = format!("{}/v3/?x=y", etcd.endpoint());
    let port = format!(":{}", etcd.address().rsplit(':').next().unwrap());
    for endpoint in [&socket, &etcd.ipv6_endpoint(), &etcd.localhost_endpoint(), &zone, &path, &port] {
        get(endpoint).run().ok().out("plain\n").err_empty();
        Kvadm::new().endpoint(endpoint).args(["put", "/tls", "plain"]).run().ok();
    }
    // A socket is never TLS, even where the files are set; a CA that nobody needs is not opened.
    get(&socket).args(["--ca-file", "/nowhere"]).run().ok().out("plain\n").err_has("has no effect");
    let missing = format!("{socket}-gone");
    let run = get(&missing).run();
    run.code(3).within(AT_MOST).err_has(&missing).err_has("the socket does not exist");
}

#[test]
fn a_silent_tls_server_is_called_silent() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    let mut proxy = Proxy::start(&etcd.address());
    proxy.set(Mode::Hang);
    let endpoint = format!("https://{}", proxy.address());
    let run = with_ca(&endpoint, &certs.ca).args(["--dial-timeout", "300ms"]).run();
    run.code(3)
        .out_empty()
        .within(AT_MOST)
        .err_has("no response to the TLS handshake within 300ms (the process may be frozen, or not expect TLS)")
        .err_has(&endpoint);
    proxy.set(Mode::Pass);
    with_ca(&endpoint, &certs.ca).run().code(1);
}

#[test]
fn no_byte_of_a_damaged_key_is_shown() {
    let certs = Certs::new();
    let key = std::fs::read_to_string(&certs.client.key).unwrap();
    let body = key.lines().nth(1).unwrap().to_owned();
    let damaged = [
        ("one line", key.replace('\n', "")),
        ("written newlines", key.replace('\n', "\\n")),
        ("blanks", key.replace('\n', " ")),
        ("no end", key.lines().take(2).collect::<Vec<_>>().join("\n")),
        ("no base64", key.replacen(&body[..8], "!!!!!!!!", 1)),
    ];
    for (name, text) in damaged {
        let file = certs.dir().join("damaged.key");
        std::fs::write(&file, &text).unwrap();
        for format in ["text", "json"] {
            let run = Kvadm::new()
                .endpoint("https://127.0.0.1:1")
                .args(["-o", format, "get", "/a", "--ca-file"])
                .arg(&certs.ca)
                .arg("--cert-file")
                .arg(&certs.client.cert)
                .arg("--key-file")
                .arg(&file)
                .run();
            let said = run.code(2).out_empty().stderr_text();
            let decimal = body.as_bytes()[..6].iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            assert!(!said.contains(&body[..12]) && !said.contains(&decimal), "{name}: {said}");
            assert!(said.len() < 600, "{name}: {said}");
            run.err_has("damaged.key");
        }
    }
}

#[test]
fn files_without_an_end_are_not_read_to_it() {
    let run = Kvadm::new().endpoint("https://127.0.0.1:1").args(["get", "/a", "--ca-file", "/dev/zero"]).run();
    run.code(2).out_empty().err_has("/dev/zero").err_has("larger than 1 MiB").within(std::time::Duration::from_secs(5));
}

/// As `openssl req -x509` makes it: its own authority.
fn self_signed(certs: &Certs, name: &str, host: &str, until: i32) -> Pair {
    let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "etcd");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    let cert = write(certs, &format!("{name}.pem"), cert.pem());
    Pair { cert, key: write(certs, &format!("{name}.key"), key.serialize_pem()) }
}

#[test]
fn a_self_signed_certificate_is_accepted_if_the_ca_file_has_it() {
    let certs = Certs::new();
    let own = self_signed(&certs, "own", "127.0.0.1", 2090);
    let etcd = Etcd::options().tls_with(&certs, &own).start();
    with_ca(&etcd.endpoint(), &own.cert).run().code(1).err_has("key not found");
    let both = [std::fs::read(&certs.ca).unwrap(), std::fs::read(&own.cert).unwrap()].concat();
    with_ca(&etcd.endpoint(), &write(&certs, "both.pem", both)).run().code(1).err_has("key not found");
    // The name counts all the same, and so does the certificate: another one with the same subject is not it.
    fails_with(&with_ca(&etcd.localhost_endpoint(), &own.cert).run(), &["certificate is not for 'localhost'"]);
    let twin = self_signed(&certs, "twin", "127.0.0.1", 2090);
    let run = with_ca(&etcd.endpoint(), &twin.cert).run();
    fails_with(&run, &["is an authority's certificate (CA:TRUE), and is not in ca-file itself"]);
    let old = self_signed(&certs, "old", "127.0.0.1", 2021);
    let etcd = Etcd::options().tls_with(&certs, &old).start();
    fails_with(&with_ca(&etcd.endpoint(), &old.cert).run(), &["expired"]);
}

/// The server makes itself a certificate with a P-521 key.
#[test]
fn etcd_s_automatic_certificate_works() {
    let etcd = Etcd::options().auto_tls().start();
    let own = etcd.dir().join("data/fixtures/client/cert.pem");
    // Signing with this curve is slow in old servers.
    let patient = |kvadm: Kvadm| kvadm.args(["--dial-timeout", "10s"]).run();
    patient(with_ca(&etcd.endpoint(), &own)).code(1).err_has("key not found");
    patient(get(&etcd.endpoint()).arg("--insecure-skip-tls-verify")).code(1);
}
