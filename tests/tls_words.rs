//! What is wrong with a server's certificate is said in words that lead to the remedy, and not blamed on something else.

use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};

use super::support::certs::Pair;
use super::support::{Certs, Etcd, Kvadm, Run};

/// Certificates that cannot be made in a test: `weak/ca.pem` has signed `rsa-1024.pem` (a short key) and, with SHA-1,
/// `sha1.pem`; `ca-1024.pem`, whose own key is short, has signed `by-1024.pem`. All are good until 2094.
fn weak(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/weak").join(name)
}

fn get(etcd: &Etcd, ca: &Path) -> Kvadm {
    Kvadm::new().endpoint(etcd).arg("--ca-file").arg(ca).args(["get", "/tls"])
}

/// Unreachable, with the cause and a remedy that is not about the endpoints.
#[track_caller]
fn says(run: &Run, cause: &str, hint: &str) {
    run.code(3).out_empty().err_has(&format!(": {cause}\nhint: {hint}\n"));
    run.err_lacks("where the endpoints are configured").err_lacks("set ca-file");
    assert!(run.stderr_text().lines().all(|line| line.len() < 200), "{}", run.stderr_text());
}

#[test]
fn short_keys_and_old_signatures_are_named() {
    let certs = Certs::new();
    let server = |name: &str| {
        let pair = Pair { cert: weak(&format!("{name}.pem")), key: weak(&format!("{name}.key")) };
        Etcd::options().tls_with(&certs, &pair).start()
    };
    let renew = "issue it with an RSA key of 2048 bits or more";
    let etcd = server("rsa-1024");
    let short = "the RSA key of the server's certificate has 1024 bits, fewer than 2048";
    says(&get(&etcd, &weak("ca.pem")).run(), short, renew);
    let skip = Kvadm::new().endpoint(&etcd).args(["--insecure-skip-tls-verify", "get", "/tls"]).run();
    says(&skip, short, renew);
    // The authority is another matter.
    get(&etcd, &certs.ca).run().code(3).err_has("signed by an authority that is not in");
    let short =
        "the RSA key of the authority 'CN=kvadm short CA' of the server's certificate has 1024 bits, fewer than 2048";
    says(&get(&server("by-1024"), &weak("ca-1024.pem")).run(), short, renew);
    let old = "the server's certificate is signed with SHA-1, which is not secure";
    let hint = "issue a certificate that is signed with SHA-256, SHA-384 or SHA-512";
    says(&get(&server("sha1"), &weak("ca.pem")).run(), old, hint);
}

/// A server certificate of its own authority, which goes into the CA file.
fn signed(certs: &Certs, name: &str, change: impl Fn(&mut CertificateParams)) -> (PathBuf, Pair) {
    let mut authority = CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = certs.dir().join(format!("{name}-ca.pem"));
    std::fs::write(&ca, authority.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let pair = Pair { cert: certs.dir().join(format!("{name}.pem")), key: certs.dir().join(format!("{name}.key")) };
    std::fs::write(&pair.cert, params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    (ca, pair)
}

#[test]
fn an_address_as_a_dns_name_and_another_usage() {
    let certs = Certs::new();
    let (ca, pair) = signed(&certs, "dns", |params| {
        params.subject_alt_names.push(SanType::DnsName("127.0.0.1".try_into().unwrap()));
    });
    let etcd = Etcd::options().tls_with(&certs, &pair).start();
    says(
        &get(&etcd, &ca).run(),
        "the server's certificate has '127.0.0.1' as a DNS name, which does not count for an IP address",
        "issue a certificate with the subject alternative name IP:127.0.0.1, not DNS:127.0.0.1",
    );
    let (ca, pair) = signed(&certs, "usage", |params| {
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let etcd = Etcd::options().tls_with(&certs, &pair).start();
    says(
        &get(&etcd, &ca).run(),
        "the server's certificate does not allow server authentication (extended key usage)",
        "issue a certificate with the extended key usage serverAuth",
    );
}

/// clientv3 and Ligato resolve relative files from the working directory.
#[test]
fn relative_files_are_looked_for_beside_the_configuration_and_then_in_the_working_directory() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).start();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("etcd.yaml");
    std::fs::write(&config, format!("endpoints: [{}]\nca-file: ca.pem\n", etcd.address())).unwrap();
    let kvadm = |at: &Path| Kvadm::new().arg("-c").arg(&config).folder(at);
    let here = certs.dir().canonicalize().unwrap().join("ca.pem");
    let run = kvadm(certs.dir()).args(["get", "/tls", "-v"]).run();
    run.code(1).err_has("key not found");
    let beside = folder.path().join("ca.pem");
    run.err_has(&format!("info: ca-file: {} (not {}, which does not exist)", here.display(), beside.display()));
    let run = kvadm(certs.dir()).arg("config").run();
    run.ok().out_has(&format!("ca-file\t{}\tfile {}:2", here.display(), config.display()));
    // Neither is there.
    let run = kvadm(Path::new("/")).args(["get", "/tls"]).run();
    run.code(2).out_empty().err_has(&format!(
        "error: cannot read the CA file {}: no such file or directory; /ca.pem does not exist either",
        beside.display()
    ));
    // The configuration's folder comes first.
    std::fs::copy(&certs.other_ca, &beside).unwrap();
    let run = kvadm(certs.dir()).args(["get", "/tls"]).run();
    run.code(3).err_has("signed by an authority that is not in").err_has(beside.to_str().unwrap());
}
