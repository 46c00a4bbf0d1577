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
        ("endpoints: [h]\ninsecure-skip-tls-verify: true", &["https://h:2379"]),
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
        // Nothing is in the folder, so that the working directory was looked at as well.
        elsewhere: vec![(setup.path("ca.pem"), std::path::absolute("ca.pem").unwrap())],
        discovered: None,
    };
    assert_eq!(setup.ok().connect.tls, expected);
    let setup = Setup::new().env("KVADM_CA_FILE", "env/ca.pem").set(|o| {
        o.cert_file = Some("/cert.pem".into());
        o.key_file = Some("flag/key.pem".into());
    });
    let tls = setup.ok().connect.tls;
    assert_eq!((tls.ca, tls.key), (Some("env/ca.pem".into()), Some("flag/key.pem".into())), "as the shell gave them");
    let setup = Setup::with("ca-file: ~/ca.pem\n").env("HOME", "");
    assert_eq!(setup.error(), "D/etcd.yaml:1: ca-file: cannot expand '~': HOME is not set");
}

/// Cargo runs tests in the package's folder.
#[test]
fn a_relative_file_may_be_in_the_working_directory() {
    let setup = Setup::with("ca-file: Cargo.toml\n");
    let here = std::path::absolute("Cargo.toml").unwrap();
    assert_eq!(setup.ok().connect.tls.ca, Some(here.clone()));
    let told = format!("ca-file: {} (not D/Cargo.toml, which does not exist)", here.display());
    assert_eq!(setup.details(), ["configuration: D/etcd.yaml", &told]);
    let neither = Setup::with("ca-file: nowhere.pem\n");
    assert_eq!(neither.details(), ["configuration: D/etcd.yaml"]);
    // The folder of the configuration comes first.
    setup.write("Cargo.toml", "");
    assert_eq!(setup.ok().connect.tls.ca, Some(setup.path("Cargo.toml")));
    assert_eq!(setup.ok().connect.tls.elsewhere, []);
}

#[test]
fn the_same_ca_twice_is_one() {
    let setup = Setup::with("ca-file: ca.pem\ntrusted-ca-file: ca.pem\n");
    assert_eq!(setup.ok().connect.tls.ca, Some(setup.path("ca.pem")));
}

#[test]
fn half_a_pair_is_refused() {
    let hint = "(hint: a client certificate needs both cert-file and key-file, from the same source)";
    let setup = Setup::with("qps: 1\ncert-file: /c\n");
    assert_eq!(setup.error(), format!("D/etcd.yaml:2: cert-file: cert-file is set without key-file {hint}"));
    let setup = Setup::new().set(|o| o.key_file = Some("/k".into()));
    assert_eq!(setup.error(), format!("flag --key-file: key-file is set without cert-file {hint}"));
    let setup = Setup::new().env("ETCDCTL_CERT", "/c");
    assert_eq!(setup.error(), format!("env ETCDCTL_CERT: cert-file is set without key-file {hint}"));
    // Both halves come from one place; the stronger one counts.
    let setup = Setup::with("cert-file: /c\n").env("ETCDCTL_KEY", "/k");
    assert_eq!(setup.error(), format!("D/etcd.yaml:1: cert-file: cert-file is set without key-file {hint}"));
    let setup = Setup::with("cert-file: /c\nkey-file: /k\n").set(|o| o.key_file = Some("/l".into()));
    assert_eq!(setup.error(), format!("flag --key-file: key-file is set without cert-file {hint}"));
    let pair = |o: &mut Overrides| (o.cert_file, o.key_file) = (Some("/d".into()), Some("/l".into()));
    let setup = Setup::with("cert-file: /c\nkey-file: /k\n").set(pair);
    assert_eq!(setup.setting("cert-file"), "/d (flag --cert-file)");
    assert_eq!(setup.setting("key-file"), "/l (flag --key-file)");
    // Without TLS nobody looks at them.
    assert!(Setup::with("cert-file: /c\ninsecure-transport: true\n").load().is_ok());
    assert!(Setup::with("cert-file: /c\ninsecure-transport: true\nendpoints: 'https://h'\n").load().is_err());
}

#[test]
fn what_has_no_effect_is_said() {
    let setup = Setup::with("ca-file: /c\ninsecure-skip-tls-verify: true\n");
    let unchecked = "insecure-skip-tls-verify (file D/etcd.yaml:2): the server certificate is not verified";
    assert_eq!((setup.warnings().as_slice(), setup.insecure().as_slice()), (&[][..], &[unchecked.to_owned()][..]));
    let setup = Setup::new().set(|o| {
        o.insecure_skip_tls_verify = Some(true);
        o.endpoints = Some(vec!["http://h".into()]);
    });
    let without = "insecure-skip-tls-verify (flag --insecure-skip-tls-verify) has no effect, \
                   because no endpoint uses TLS; write https://";
    assert_eq!(setup.warnings(), [without]);
    let setup = Setup::with("ca-file: /c\nendpoints: 'http://h'\n");
    let plain = "ca-file (file D/etcd.yaml:1) has no effect, because no endpoint uses TLS";
    assert_eq!(setup.warnings(), [plain]);
    let setup = Setup::with("ca-file: /c\ninsecure-transport: true\n");
    assert_eq!(setup.warnings(), [""; 0]);
    let setup = setup.set(|o| o.ca_file = Some("/d".into()));
    let beaten = "ca-file (flag --ca-file) has no effect, because insecure-transport is true (file D/etcd.yaml:2)";
    assert_eq!(setup.warnings(), [beaten]);
}

#[test]
fn a_password_without_encryption_is_warned_of() {
    let warned = |endpoint: &str| {
        let text = format!("username: u\npassword: p\nendpoints: ['http://127.0.0.1:1', '{endpoint}']\n");
        Setup::with(&text).insecure()
    };
    let expected = "the password of user 'u' is sent to http://h:2379 without encryption; use https://, or set ca-file";
    assert_eq!(warned("h"), [expected]);
    for safe in ["https://h", "localhost:1", "http://[::1]", "unix:///s"] {
        assert_eq!(warned(safe), [""; 0], "{safe}");
    }
    assert_eq!(Setup::with("endpoints: [h]\n").insecure(), [""; 0]);
}

#[test]
fn etcdctls_transport_variables_count() {
    let setup = || Setup::new().env("ETCDCTL_ENDPOINTS", "h");
    assert_eq!(endpoints(&setup().ok()), ["http://h:2379"]);
    for (name, value) in [("ETCDCTL_INSECURE_TRANSPORT", "false"), ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true")] {
        let setup = setup().env(name, value);
        assert_eq!(endpoints(&setup.ok()), ["https://h:2379"], "{name}");
        assert_eq!(setup.warnings(), [""; 0]);
    }
    // True is etcdctl's default, which does not switch off TLS.
    let by_variable = Setup::new().env("ETCDCTL_INSECURE_TRANSPORT", "false");
    assert_eq!(by_variable.setting("insecure-transport"), "false (env ETCDCTL_INSECURE_TRANSPORT)");
    let setup = setup().env("ETCDCTL_INSECURE_TRANSPORT", "true").env("ETCDCTL_CACERT", "/ca");
    assert_eq!(endpoints(&setup.ok()), ["https://h:2379"]);
    assert_eq!(setup.warnings(), [""; 0]);
    let setup = Setup::new().env("ETCDCTL_INSECURE_TRANSPORT", "maybe");
    assert_eq!(setup.warnings(), ["env ETCDCTL_INSECURE_TRANSPORT has no effect: 'maybe' must be true or false"]);
}

/// The variables of the global options of etcdctl 3.7.
#[test]
fn every_variable_of_etcdctl_is_read_or_warned_of() {
    let named = |name: &str, value: &str| Setup::new().env(name, value);
    for (name, value, key) in [
        ("ETCDCTL_ENDPOINTS", "h:1", "endpoints"),
        ("ETCDCTL_CACERT", "/ca", "ca-file"),
        ("ETCDCTL_DIAL_TIMEOUT", "7s", "dial-timeout"),
        ("ETCDCTL_COMMAND_TIMEOUT", "7s", "operation-timeout"),
        ("ETCDCTL_KEEPALIVE_TIME", "7s", "dial-keep-alive-time"),
        ("ETCDCTL_KEEPALIVE_TIMEOUT", "7s", "dial-keep-alive-timeout"),
        ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true", "insecure-skip-tls-verify"),
        ("ETCDCTL_DISCOVERY_SRV", "example.org", "discovery-srv"),
        ("ETCDCTL_DISCOVERY_SRV_NAME", "x", "discovery-srv-name"),
        ("ETCDCTL_INSECURE_DISCOVERY", "true", "insecure-discovery"),
    ] {
        assert_eq!(named(name, value).setting(key), format!("{value} (env {name})"));
    }
    for (name, value) in [
        ("ETCDCTL_MAX_REQUEST_BYTES", "1"),
        ("ETCDCTL_MAX_RECV_BYTES", "1"),
        ("ETCDCTL_WRITE_OUT", "table"),
        ("ETCDCTL_HEX", "true"),
        ("ETCDCTL_DEBUG", "1"),
        ("ETCDCTL_API", "2"),
    ] {
        let warnings = named(name, value).warnings();
        assert_eq!(warnings.len(), 1, "{name}");
        assert!(warnings[0].starts_with(&format!("env {name} has no effect: ")) && !warnings[0].contains("secret"));
    }
    for (name, value) in
        [("ETCDCTL_API", "3"), ("ETCDCTL_HEX", "false"), ("ETCDCTL_DEBUG", "0"), ("ETCDCTL_WRITE_OUT", "simple")]
    {
        assert_eq!(named(name, value).warnings(), [""; 0], "{name}");
    }
}
