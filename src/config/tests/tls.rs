//! When TLS is spoken, and with which files.

use super::*;
use crate::transport::TlsFiles;

#[test]
fn the_scheme_decides_and_else_the_files() {
    let cases: [(&str, &[&str]); 9] = [
        ("endpoints: [h]", &["http://h:2379"]),
        ("endpoints: [h]\nca-file: /c", &["https://h:2379"]),
        ("endpoints: [h]\ntrusted-ca-file: /c", &["https://h:2379"]),
        ("endpoints: [h]\ncert-file: /c\nkey-file: /k", &["https://h:2379"]),
        ("endpoints: [h]\ninsecure-skip-tls-verify: true", &["http://h:2379"]),
        ("endpoints: [h]\nca-file: /c\ninsecure-transport: true", &["http://h:2379"]),
        ("endpoints: ['https://h', i]", &["https://h:2379", "http://i:2379"]),
        ("endpoints: ['http://h', i, 'unix:///s']\nca-file: /c", &["http://h:2379", "https://i:2379", "unix:///s"]),
        ("endpoints: ['https://h', i]\ninsecure-transport: true", &["https://h:2379", "http://i:2379"]),
    ];
    for (text, expected) in cases {
        assert_eq!(endpoints(&Setup::with(text).ok()), expected, "{text}");
    }
}

#[test]
fn files_are_found_beside_the_configuration() {
    let text = "ca-file: ca.pem\ncert-file: ~/tls/cert.pem\nkey-file: /abs/key.pem\ninsecure-skip-tls-verify: true\n";
    let setup = Setup::with(text);
    let expected = TlsFiles {
        ca: Some(setup.path("ca.pem")),
        cert: Some(setup.path("home/tls/cert.pem")),
        key: Some("/abs/key.pem".into()),
        skip_verify: true,
    };
    assert_eq!(setup.ok().connect.tls, expected);
    let setup = setup.env("KVADM_CA_FILE", "env/ca.pem").set(|o| o.key_file = Some("flag/key.pem".into()));
    let tls = setup.ok().connect.tls;
    assert_eq!((tls.ca, tls.key), (Some("env/ca.pem".into()), Some("flag/key.pem".into())), "as the shell gave them");
    let setup = Setup::with("ca-file: ~/ca.pem\n").env("HOME", "");
    assert_eq!(setup.error(), "D/etcd.yaml:1: ca-file: cannot expand '~': HOME is not set");
}

#[test]
fn the_same_ca_twice_is_one() {
    let setup = Setup::with("ca-file: ca.pem\ntrusted-ca-file: ca.pem\n");
    assert_eq!(setup.ok().connect.tls.ca, Some(setup.path("ca.pem")));
}

#[test]
fn half_a_pair_is_refused() {
    let hint = "(hint: a client certificate needs both cert-file and key-file)";
    let setup = Setup::with("qps: 1\ncert-file: /c\n");
    assert_eq!(setup.error(), format!("D/etcd.yaml:2: cert-file: cert-file is set without key-file {hint}"));
    let setup = Setup::new().set(|o| o.key_file = Some("/k".into()));
    assert_eq!(setup.error(), format!("flag --key-file: key-file is set without cert-file {hint}"));
    let setup = Setup::new().env("ETCDCTL_CERT", "/c");
    assert_eq!(setup.error(), format!("env ETCDCTL_CERT: cert-file is set without key-file {hint}"));
    // The halves may come from two places; without TLS nobody looks at them.
    assert!(Setup::with("cert-file: /c\n").env("ETCDCTL_KEY", "/k").load().is_ok());
    assert!(Setup::with("cert-file: /c\ninsecure-transport: true\n").load().is_ok());
    assert!(Setup::with("cert-file: /c\ninsecure-transport: true\nendpoints: 'https://h'\n").load().is_err());
}

#[test]
fn what_has_no_effect_is_said() {
    let setup = Setup::with("ca-file: /c\ninsecure-skip-tls-verify: true\n");
    let unchecked = "insecure-skip-tls-verify (file D/etcd.yaml:2): the server certificate is not verified";
    assert_eq!(setup.warnings(), [unchecked]);
    let setup = Setup::new().set(|o| o.insecure_skip_tls_verify = Some(true));
    let without = "insecure-skip-tls-verify (flag --insecure-skip-tls-verify) has no effect, \
                   because no endpoint uses TLS; write https://, or set ca-file";
    assert_eq!(setup.warnings(), [without]);
    let setup = Setup::with("ca-file: /c\nendpoints: 'http://h'\n");
    let plain = "ca-file (file D/etcd.yaml:1) has no effect, because no endpoint uses TLS";
    assert_eq!(setup.warnings(), [plain]);
    let setup = Setup::with("ca-file: /c\ninsecure-transport: true\n");
    assert_eq!(setup.warnings(), [""; 0]);
    let setup = setup.env("KVADM_CA_FILE", "/d");
    let beaten = "ca-file (env KVADM_CA_FILE) has no effect, because insecure-transport is true (file D/etcd.yaml:2)";
    assert_eq!(setup.warnings(), [beaten]);
}
