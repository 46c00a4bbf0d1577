#![allow(clippy::unwrap_used, clippy::expect_used)]

use num_bigint::BigUint;
use rcgen::KeyPair;

use super::*;
use crate::transport::testing::{Pki, pem};

fn load(pki: &Pki, cert: &[u8], key: &str) -> Result<(), TlsError> {
    let cert = pki.write("client.crt", &pem("CERTIFICATE", cert));
    let key = pki.write("client.key", key);
    client_config(&pki.files_with(&cert, &key)).map(|_| ())
}

/// The body of a DER element and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, header) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        0x81 => (usize::from(der[2]), 3),
        _ => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
    };
    (&der[header..header + length], &der[header + length..])
}

/// A DER element, its length in the shortest form.
fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
    let header = match (high, low) {
        (0, 0..=0x7f) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [header.as_slice(), body].concat()
}

fn sequence(body: &[u8]) -> Vec<u8> {
    tagged(0x30, body)
}

/// The same certificate as version 1: without a version and without extensions. Its signature is wrong then.
fn version_1(der: &[u8]) -> Vec<u8> {
    let (whole, _) = element(der);
    let (tbs, signature) = element(whole);
    let mut rest = element(tbs).1;
    let mut kept = Vec::new();
    while !rest.is_empty() && rest[0] != 0xa3 {
        let next = element(rest).1;
        kept.extend_from_slice(&rest[..rest.len() - next.len()]);
        rest = next;
    }
    sequence(&[&sequence(&kept), signature].concat())
}

/// An odd number of 1024 bits, the two highest set, that passes Miller and Rabin's test.
fn prime(random: &mut impl FnMut() -> BigUint) -> BigUint {
    let one = BigUint::from(1_u8);
    loop {
        let mut candidate = random();
        for bit in [0, 1022, 1023] {
            candidate.set_bit(bit, true);
        }
        if (3_u32..2000).step_by(2).any(|small| (&candidate % small) == BigUint::ZERO) {
            continue;
        }
        let minus_one = &candidate - &one;
        let twos = minus_one.trailing_zeros().unwrap();
        let odd = &minus_one >> twos;
        let probably_prime = (0..8).all(|_| {
            let mut power = random().modpow(&odd, &candidate);
            power == one
                || (0..twos).any(|_| {
                    let reached = power == minus_one;
                    power = &power * &power % &candidate;
                    reached
                })
        });
        if probably_prime {
            return candidate;
        }
    }
}

/// A new RSA key of 2048 bits as PKCS#1 (RFC 8017, A.1.2); ring makes none.
fn rsa_key() -> Vec<u8> {
    let source = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    let mut random = || {
        let mut bytes = [0; 128];
        source.fill(&mut bytes).unwrap();
        BigUint::from_bytes_be(&bytes)
    };
    let (a, b) = (prime(&mut random), prime(&mut random));
    let (p, q) = if a > b { (a, b) } else { (b, a) };
    let one = BigUint::from(1_u8);
    let e = BigUint::from(65_537_u32);
    let (less_p, less_q) = (&p - &one, &q - &one);
    let d = e.modinv(&(&less_p * &less_q)).unwrap();
    let numbers =
        [BigUint::ZERO, &p * &q, e, d.clone(), p.clone(), q.clone(), &d % &less_p, &d % &less_q, q.modinv(&p).unwrap()];
    let integer = |number: &BigUint| {
        let bytes = [&[0], number.to_bytes_be().as_slice()].concat();
        tagged(2, &bytes[usize::from(bytes[1] < 0x80)..])
    };
    sequence(&numbers.iter().flat_map(integer).collect::<Vec<u8>>())
}

#[test]
fn rsa_keys_as_pkcs1_and_pkcs8() {
    let pki = Pki::new();
    let pkcs1 = rsa_key();
    let algorithm = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
    let pkcs8 = sequence(&[&[2, 1, 0], algorithm.as_slice(), &tagged(4, &pkcs1)].concat());
    let pair = pki.sign_key(&[], KeyPair::try_from(pkcs8.as_slice()).unwrap(), |_| {});
    assert_eq!(load(&pki, &pair.der, &pem("RSA PRIVATE KEY", &pkcs1)), Ok(()));
    assert_eq!(load(&pki, &pair.der, &pem("PRIVATE KEY", &pkcs8)), Ok(()));
}

#[test]
fn ecdsa_and_ed25519_keys_as_pkcs8() {
    let pki = Pki::new();
    for kind in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
    ] {
        let pair = pki.sign_key(&[], KeyPair::generate_for(kind).unwrap(), |_| {});
        assert_eq!(load(&pki, &pair.der, &pair.key.serialize_pem()), Ok(()));
    }
}

#[test]
fn sec1_keys_with_and_without_their_parameters() {
    let pki = Pki::new();
    let pair = pki.sign(&[], |_| {});
    // PKCS#8 of version 1: version, algorithm, and the SEC1 key in an octet string.
    let der = pair.key.serialize_der();
    let after_version = element(element(&der).0).1;
    let sec1 = element(element(after_version).1).0;
    let key = pem("EC PRIVATE KEY", sec1);
    assert_eq!(load(&pki, &pair.der, &key), Ok(()));
    let p256 = pem("EC PARAMETERS", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    assert_eq!(load(&pki, &pair.der, &(p256 + &key)), Ok(()));
}

#[test]
fn certificates_of_version_1_are_taken_with_their_own_key_only() {
    let pki = Pki::new();
    let pair = pki.sign(&[], |_| {});
    let old = version_1(&pair.der);
    assert_eq!(load(&pki, &old, &pair.key.serialize_pem()), Ok(()));
    let other = KeyPair::generate().unwrap();
    assert!(matches!(load(&pki, &old, &other.serialize_pem()), Err(TlsError::KeyMismatch { .. })));
}

#[test]
fn keys_that_cannot_be_used_name_their_file() {
    let pki = Pki::new();
    let pair = pki.sign(&[], |_| {});
    let file = pki.path("client.key");
    let other = KeyPair::generate().unwrap();
    let refused = |key: &str| load(&pki, &pair.der, key).unwrap_err();
    let mismatch = TlsError::KeyMismatch { key: file.clone(), cert: pki.path("client.crt") };
    assert_eq!(refused(&other.serialize_pem()), mismatch);

    let encrypted = TlsError::EncryptedKey { file: file.clone() };
    assert_eq!(refused(&pem("ENCRYPTED PRIVATE KEY", &[0; 64])), encrypted);
    let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
                       -----END RSA PRIVATE KEY-----\n";
    assert_eq!(refused(traditional), encrypted);
    assert_eq!(encrypted.to_string(), format!("the private key {} is encrypted", file.display()));

    assert_eq!(refused(""), TlsError::NoKey { file: file.clone() });
    assert_eq!(refused(&pem("CERTIFICATE", &pair.der)), TlsError::NoKey { file: file.clone() });
    // PKCS#8 that claims to be a P-521 key (OID 1.3.132.0.35), but is empty.
    let algorithm = [0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23];
    let p521 = sequence(&[&[2, 1, 0], algorithm.as_slice(), &[4, 2, 0x30, 0]].concat());
    assert_eq!(refused(&pem("PRIVATE KEY", &p521)), TlsError::KeyType { file: file.clone() });
    let cut = "-----BEGIN PRIVATE KEY-----\nAAAA\n";
    assert!(matches!(refused(cut), TlsError::Damaged { .. }));
}

#[test]
fn files_that_are_missing_or_hold_no_certificate() {
    let pki = Pki::new();
    let pair = pki.sign(&[], |_| {});
    let key = pki.write("client.key", &pair.key.serialize_pem());
    let missing = pki.path("missing.crt");
    match client_config(&pki.files_with(&missing, &key)).map(|_| ()) {
        Err(TlsError::Unreadable { role, file, cause }) => {
            assert_eq!((role, file, cause.as_str()), (CERT, missing, "no such file or directory"));
        }
        other => panic!("{other:?}"),
    }
    let refused = |files: TlsFiles| client_config(&files).map(|_| ()).unwrap_err();
    assert_eq!(refused(pki.files_with(&key, &key)), TlsError::NoCertificate { role: CERT, file: key.clone() });
    for skip_verify in [false, true] {
        let files = TlsFiles { ca: Some(key.clone()), skip_verify, ..TlsFiles::default() };
        assert_eq!(refused(files), TlsError::NoCertificate { role: CA, file: key.clone() });
    }
    let half = TlsFiles { key: Some(key.clone()), ..pki.files() };
    assert_eq!(refused(half), TlsError::Half { present: KEY, file: key });
}

#[test]
fn what_is_wrong_with_a_pem_file_is_told_without_its_contents() {
    use rustls::pki_types::pem::Error as Pem;
    for (error, text) in [
        (Pem::MissingSectionEnd { end_marker: b"END".to_vec() }, "a section has no -----END line of its own"),
        (
            Pem::IllegalSectionStart { line: b"secret".to_vec() },
            "a -----BEGIN line is malformed; each -----BEGIN and -----END needs its own line",
        ),
        (Pem::Base64Decode("secret".to_owned()), "a section is not valid base64"),
        (Pem::NoItemsFound, "it holds no PEM section of this kind"),
        (Pem::SectionTooLarge, "a section is too large"),
    ] {
        assert_eq!(describe_pem_error(&error), text);
    }
}

/// How the handshake with a server of these key exchange groups ends, the group it likes best first.
fn handshake_with(
    pki: &Pki,
    groups: &[&'static dyn rustls::crypto::SupportedKxGroup],
) -> Option<rustls::HandshakeKind> {
    let pair = pki.sign(&["localhost"], |_| {});
    let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
    let provider = CryptoProvider { kx_groups: groups.to_vec(), ..rustls::crypto::aws_lc_rs::default_provider() };
    let server = rustls::ServerConfig::builder_with_provider(Arc::new(provider));
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut server = server.with_single_cert(vec![pair.der.clone()], key).unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
    let config = client_config(&pki.files()).unwrap().config;
    let mut client = rustls::ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut to_server).unwrap();
        }
        let mut rest = to_server.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
        }
        while server.wants_write() {
            server.write_tls(&mut to_client).unwrap();
        }
        let mut rest = to_client.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    client.handshake_kind()
}

/// A server that wants the hybrid group, as Go does since 1.24, and one that does not know it, need no second attempt.
#[test]
fn old_and_new_servers_accept_the_first_key_share() {
    use rustls::HandshakeKind::{Full, FullWithHelloRetryRequest};
    use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
    let pki = Pki::new();
    assert_eq!(handshake_with(&pki, &[X25519MLKEM768]), Some(Full));
    assert_eq!(handshake_with(&pki, &[X25519, SECP256R1]), Some(Full));
    assert_eq!(handshake_with(&pki, &[SECP256R1]), Some(FullWithHelloRetryRequest));
}
