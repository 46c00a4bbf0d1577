#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use tokio::net::UnixListener;

use super::*;
use crate::transport::testing::{Manner, Peer, Pki, SETTINGS, closed_port, options};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(500);

/// Dials these endpoints and waits for their SETTINGS. Returns the index of the first success, or every failure.
async fn dial(endpoints: &[String], tls: TlsFiles, timeout: Duration) -> Result<usize, Vec<EndpointFailure>> {
    let dialer = Dialer::new(&options(endpoints, tls, timeout));
    let order: Vec<usize> = (0..endpoints.len()).collect();
    match dialer.dial(&order, true).await {
        Ok(established) => Ok(established.index),
        Err(DialError::All(failures)) => Err(failures),
        Err(DialError::Tls(error)) => panic!("TLS files: {error}"),
    }
}

async fn cause(endpoint: String, tls: TlsFiles, timeout: Duration) -> EndpointFailure {
    let mut failures = dial(&[endpoint], tls, timeout).await.unwrap_err();
    assert_eq!(failures.len(), 1);
    failures.remove(0)
}

fn plain() -> TlsFiles {
    TlsFiles::default()
}

#[tokio::test]
async fn refused_ports_end_at_once_each_with_its_cause() {
    let ports = [closed_port().await, closed_port().await, closed_port().await];
    let urls: Vec<String> = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
    let begin = Instant::now();
    let failures = dial(&urls, plain(), LONG).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(1));
    let shown: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(shown, urls.iter().map(|url| format!("{url}: connection refused")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_silent_peer_ends_with_the_dial_timeout() {
    let peer = Peer::start(Manner::Silent).await;
    let failure = cause(peer.url("http"), plain(), SHORT).await;
    assert_eq!(failure.cause, "connection accepted, but no response (the process may be frozen, or not etcd)");
}

#[tokio::test]
async fn a_silent_peer_and_a_refusing_one_keep_their_own_causes() {
    let peer = Peer::start(Manner::Silent).await;
    let refusing = format!("http://127.0.0.1:{}", closed_port().await);
    let failures = dial(&[peer.url("http"), refusing], plain(), SHORT).await.unwrap_err();
    assert!(failures[0].cause.starts_with("connection accepted, but no response"), "{}", failures[0]);
    assert_eq!(failures[1].cause, "connection refused");
}

#[tokio::test]
async fn a_silent_peer_costs_a_stagger_and_not_the_dial_timeout() {
    let silent = Peer::start(Manner::Silent).await;
    let live = Peer::start(Manner::Says(SETTINGS.to_vec())).await;
    let begin = Instant::now();
    assert_eq!(dial(&[silent.url("http"), live.url("http")], plain(), LONG).await, Ok(1));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn the_last_of_many_silent_ones_has_its_turn_before_time_is_up() {
    let silent = Peer::start(Manner::Silent).await;
    let live = Peer::start(Manner::Says(SETTINGS.to_vec())).await;
    let mut urls = vec![silent.url("http"); 20];
    urls.push(live.url("http"));
    assert_eq!(dial(&urls, plain(), Duration::from_secs(1)).await, Ok(20));
}

#[tokio::test]
async fn peers_that_speak_something_else() {
    let http1 = Peer::start(Manner::Answers(b"HTTP/1.0 400 Bad Request\r\n\r\n".to_vec())).await;
    let failure = cause(http1.url("http"), plain(), LONG).await;
    assert!(failure.cause.starts_with("server speaks HTTP/1 only (it may expect TLS"), "{failure}");
    assert!(failure.hint.unwrap().contains("https://"));

    let smtp = Peer::start(Manner::Says(b"220 mail.example ESMTP\r\n".to_vec())).await;
    assert_eq!(cause(smtp.url("http"), plain(), LONG).await.cause, "server does not speak HTTP/2 (not etcd)");

    let closing = Peer::start(Manner::Answers(Vec::new())).await;
    let failure = cause(closing.url("http"), plain(), LONG).await;
    assert_eq!(failure.cause, "server closed the connection (it may expect TLS, or not be etcd)");
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    let failure = cause("http://no-such-host.invalid:2379".to_owned(), plain(), LONG).await;
    assert!(failure.cause.starts_with("cannot resolve the host name: "), "{failure}");
    assert!(!failure.cause.contains("os error"), "{failure}");
}

#[tokio::test]
async fn unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etcd.sock");
    let url = format!("unix://{}", path.display());
    assert_eq!(cause(url.clone(), plain(), LONG).await.cause, "the socket does not exist");

    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &SETTINGS).await.unwrap();
        stream
    });
    assert_eq!(dial(std::slice::from_ref(&url), plain(), LONG).await, Ok(0));
    drop(server.await.unwrap());
    assert!(cause(url, plain(), LONG).await.cause.starts_with("connection refused"), "the socket is left behind");
}

#[tokio::test]
async fn ipv6_plain_and_tls() {
    let pki = Pki::new();
    let pair = pki.sign(&["::1"], |_| {});
    let plaintext = Peer::start_at("::1", Manner::Says(SETTINGS.to_vec())).await;
    let tls = Peer::start_at("::1", Manner::Tls(pki.server(&pair, false))).await;
    assert_eq!(dial(&[format!("http://[::1]:{}", plaintext.port)], plain(), LONG).await, Ok(0));
    assert_eq!(dial(&[format!("https://[::1]:{}", tls.port)], pki.files(), LONG).await, Ok(0));
}

#[tokio::test]
async fn one_of_two_addresses_of_a_name_is_enough() {
    let live = Peer::start(Manner::Says(SETTINGS.to_vec())).await;
    assert_eq!(dial(&[format!("http://localhost:{}", live.port)], plain(), LONG).await, Ok(0));
}

#[tokio::test]
async fn plaintext_and_tls_mixed_up() {
    let pki = Pki::new();
    let tls = pki.peer(false).await;
    let failure = cause(tls.url("http"), plain(), LONG).await;
    assert!(
        ["server expects TLS, but", "it may expect TLS"].iter().any(|text| failure.cause.contains(text)),
        "{failure}"
    );
    assert!(failure.hint.unwrap().contains("https://"));

    let http1 = Peer::start(Manner::Answers(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    let closing = Peer::start(Manner::Answers(Vec::new())).await;
    let closed = "server closed the connection during the TLS handshake (it may not expect TLS)";
    for (peer, expected) in [(http1, "server does not use TLS"), (closing, closed)] {
        let failure = cause(peer.url("https"), pki.files(), LONG).await;
        assert_eq!(failure.cause, expected);
        assert_eq!(failure.hint.unwrap(), "if the server does not use TLS, use http:// or set insecure-transport");
    }

    let silent = Peer::start(Manner::Silent).await;
    let failure = cause(silent.url("https"), pki.files(), SHORT).await;
    let silence = "no response to the TLS handshake within 500ms (the process may be frozen, or not expect TLS)";
    assert_eq!(failure.cause, silence);
}

async fn certificate_cause(pki: &Pki, names: &[&str], change: impl FnOnce(&mut rcgen::CertificateParams)) -> String {
    let pair = pki.sign(names, change);
    let peer = Peer::start(Manner::Tls(pki.server(&pair, false))).await;
    cause(peer.url("https"), pki.files(), LONG).await.cause
}

#[tokio::test]
async fn server_certificates_that_do_not_hold() {
    let pki = Pki::new();
    let expired = certificate_cause(&pki, &["127.0.0.1"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    })
    .await;
    assert!(expired.starts_with("the server's certificate expired on 2021-01-01 00:00:00 UTC, "), "{expired}");
    assert!(expired.ends_with(" days ago"), "{expired}");

    let early = certificate_cause(&pki, &["127.0.0.1"], |params| {
        params.not_before = rcgen::date_time_ymd(2100, 3, 1);
        params.not_after = rcgen::date_time_ymd(2101, 1, 1);
    })
    .await;
    assert!(early.starts_with("the server's certificate is not valid before 2100-03-01 00:00:00 UTC, "), "{early}");

    let other = certificate_cause(&pki, &["etcd.example", "10.0.0.9"], |_| {}).await;
    assert_eq!(other, "the server's certificate is not for '127.0.0.1'; it is for etcd.example, 10.0.0.9");

    let nameless = certificate_cause(&pki, &[], |_| {}).await;
    let expected = "the server's certificate is not for '127.0.0.1': it has no subject alternative names";
    assert_eq!(nameless, expected);
}

#[tokio::test]
async fn an_unknown_authority_is_named_by_the_file_it_is_not_in() {
    let (ours, theirs) = (Pki::new(), Pki::new());
    let peer = theirs.peer(false).await;
    let failure = cause(peer.url("https"), ours.files(), LONG).await;
    let file = ours.path("ca.crt");
    assert!(failure.cause.contains("authority"), "{failure}");
    assert!(failure.cause.contains(&file.display().to_string()), "{failure}");
}

#[tokio::test]
async fn skip_verify_accepts_any_certificate() {
    let (ours, theirs) = (Pki::new(), Pki::new());
    let pair = theirs.sign(&["etcd.example"], |params| params.not_after = rcgen::date_time_ymd(2021, 1, 1));
    let peer = Peer::start(Manner::Tls(theirs.server(&pair, false))).await;
    let files = TlsFiles { skip_verify: true, ..TlsFiles::default() };
    assert_eq!(dial(&[peer.url("https")], files.clone(), LONG).await, Ok(0));
    let files = TlsFiles { skip_verify: true, ..ours.files() };
    assert_eq!(dial(&[peer.url("https")], files, LONG).await, Ok(0));
}

#[tokio::test]
async fn client_certificates() {
    let (pki, strangers) = (Pki::new(), Pki::new());
    let peer = pki.peer(true).await;
    let failure = cause(peer.url("https"), pki.files(), LONG).await;
    assert_eq!(failure.cause, "the server requires a client certificate");
    assert_eq!(failure.hint.as_deref(), Some("set cert-file and key-file"));

    let with = |name: &str, pair: &crate::transport::testing::Pair| {
        let cert = pki.write(&format!("{name}.crt"), &crate::transport::testing::pem("CERTIFICATE", &pair.der));
        let key = pki.write(&format!("{name}.key"), &pair.key.serialize_pem());
        pki.files_with(&cert, &key)
    };
    let good = with("good", &pki.sign(&[], |_| {}));
    assert_eq!(dial(&[peer.url("https")], good, LONG).await, Ok(0));

    let stranger = with("stranger", &strangers.sign(&[], |_| {}));
    let failure = cause(peer.url("https"), stranger, LONG).await;
    assert!(failure.cause.starts_with("the server refused the client certificate "), "{failure}");

    let expired = with("expired", &pki.sign(&[], |params| params.not_after = rcgen::date_time_ymd(2021, 1, 1)));
    let failure = cause(peer.url("https"), expired, LONG).await;
    assert!(failure.cause.ends_with("it has expired or is not valid yet"), "{failure}");
}

#[tokio::test]
async fn tls_files_are_not_opened_for_plaintext() {
    let live = Peer::start(Manner::Says(SETTINGS.to_vec())).await;
    let missing = TlsFiles { ca: Some("/nonexistent/ca.crt".into()), ..TlsFiles::default() };
    assert_eq!(dial(&[live.url("http")], missing.clone(), LONG).await, Ok(0));

    let dialer = Dialer::new(&options(&[live.url("http"), live.url("https")], missing, LONG));
    assert!(matches!(dialer.dial(&[0, 1], true).await, Err(DialError::Tls(TlsError::Unreadable { .. }))));
    assert!(dialer.dial(&[0], true).await.is_ok(), "the other endpoint needs no files");
}
