//! Certificates for TLS tests, made afresh for each [`Certs`], as PEM files in a temporary folder.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tempfile::TempDir;

/// A certificate and its key (PKCS#8 unless said), two PEM files.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A CA and what it signed. Server certificates are good for `localhost`, `127.0.0.1` and `::1` unless said.
pub struct Certs {
    /// The CA's certificate.
    pub ca: PathBuf,
    /// A CA that signed nothing here but [`Certs::stranger`].
    pub other_ca: PathBuf,
    /// A good server certificate.
    pub server: Pair,
    /// A server certificate that expired in 2021.
    pub expired: Pair,
    /// A server certificate that is not valid before 2090.
    pub not_yet_valid: Pair,
    /// A server certificate for `other.example` only.
    pub wrong_host: Pair,
    /// A good client certificate, CN `root`: etcd takes the common name for the user where auth is on.
    pub client: Pair,
    /// A client certificate that expired in 2021.
    pub expired_client: Pair,
    /// A client certificate of the other CA.
    pub stranger: Pair,
    /// The client certificate with the key of [`Certs::client`] as SEC1 (`EC PRIVATE KEY`).
    pub client_sec1: Pair,
    /// A client certificate with an RSA key as PKCS#1 (`RSA PRIVATE KEY`).
    pub client_pkcs1: Pair,
    /// A client certificate with the same RSA key as PKCS#8.
    pub client_rsa: Pair,
    dir: TempDir,
}

impl Certs {
    /// Makes everything.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("kvadm-certs-").tempdir().unwrap();
        let at = dir.path();
        let ca = authority(at, "ca", "kvadm test CA");
        let other = authority(at, "other-ca", "another test CA");
        let years = |params: &mut CertificateParams, from: i32, to: i32| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
        };
        let (mut expired, mut future, mut old) = (leaf("localhost"), leaf("localhost"), leaf("root"));
        years(&mut expired, 2020, 2021);
        years(&mut future, 2090, 2100);
        years(&mut old, 2020, 2021);
        let mut elsewhere = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
        elsewhere.distinguished_name.push(DnType::CommonName, "other.example");
        usages(&mut elsewhere);

        let ec = || KeyPair::generate().unwrap();
        let rsa = KeyPair::from_pem(include_str!("rsa-for-tests.pem")).unwrap();
        let client_key = ec();
        let client = write(at, "client", &leaf("root"), &client_key, &ca);
        let client_rsa = write(at, "client-rsa", &leaf("root"), &rsa, &ca);
        let sec1 = pem_file(at, "client-sec1.key", "EC PRIVATE KEY", &sec1_of(client_key.serialized_der()));
        let pkcs1 = pem_file(at, "client-pkcs1.key", "RSA PRIVATE KEY", inner_key(rsa.serialized_der()));
        Self {
            ca: at.join("ca.pem"),
            other_ca: at.join("other-ca.pem"),
            server: write(at, "server", &leaf("localhost"), &ec(), &ca),
            expired: write(at, "expired", &expired, &ec(), &ca),
            not_yet_valid: write(at, "not-yet-valid", &future, &ec(), &ca),
            wrong_host: write(at, "wrong-host", &elsewhere, &ec(), &ca),
            expired_client: write(at, "expired-client", &old, &ec(), &ca),
            stranger: write(at, "stranger", &leaf("root"), &ec(), &other),
            client_sec1: Pair { cert: client.cert.clone(), key: sec1 },
            client_pkcs1: Pair { cert: client_rsa.cert.clone(), key: pkcs1 },
            client,
            client_rsa,
            dir,
        }
    }

    /// The folder with all the files, for more of a test's own.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

type Ca = Issuer<'static, KeyPair>;

fn authority(dir: &Path, name: &str, common_name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    std::fs::write(dir.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
    Issuer::new(params, key)
}

/// A certificate for this machine's own names.
fn leaf(common_name: &str) -> CertificateParams {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    usages(&mut params);
    params
}

/// Both usages, for etcd's gateway shows the server's certificate as a client's when it dials itself.
fn usages(params: &mut CertificateParams) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
}

fn write(dir: &Path, name: &str, params: &CertificateParams, key: &KeyPair, ca: &Ca) -> Pair {
    let pair = Pair { cert: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}.key")) };
    std::fs::write(&pair.cert, params.signed_by(key, ca).unwrap().pem()).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    pair
}

fn pem_file(dir: &Path, name: &str, label: &str, der: &[u8]) -> PathBuf {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let path = dir.join(name);
    std::fs::write(&path, format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))).unwrap();
    path
}

/// The tag, the content and what follows of a DER element.
fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (mut at, mut length) = (2, usize::from(der[1]));
    if length >= 0x80 {
        at = 2 + (length & 0x7f);
        length = der[2..at].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    }
    (der[0], &der[at..at + length], &der[at + length..])
}

/// The key inside PKCS#8 (RFC 5208): version, algorithm, then an octet string that is PKCS#1 for RSA and SEC1 for EC.
fn inner_key(pkcs8: &[u8]) -> &[u8] {
    let (_, info, _) = element(pkcs8);
    let (_, _, rest) = element(info);
    let (_, _, rest) = element(rest);
    let (tag, key, _) = element(rest);
    assert_eq!(tag, 0x04, "an octet string");
    key
}

/// A SEC1 key (RFC 5915) names its curve, which the one inside PKCS#8 leaves out: P-256 as parameter `[0]`.
fn sec1_of(pkcs8: &[u8]) -> Vec<u8> {
    const P256: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let (_, key, _) = element(inner_key(pkcs8));
    let (_, _, after_version) = element(key);
    let (_, _, public) = element(after_version);
    let private = &key[..key.len() - public.len()];
    let body = [private, &P256, public].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
}
