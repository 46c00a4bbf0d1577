#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use super::*;
use crate::transport::options::TlsFiles;
use crate::transport::testing::{
    Manner, Notices, Peer, Pki, SETTINGS, closed_port, has_headers_frame, options, session,
};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(500);
const READ: &str = "/etcdserverpb.KV/Range";
const WRITE: &str = "/etcdserverpb.KV/Put";

fn channel(endpoints: &[String], tls: TlsFiles, timeout: Duration) -> (FailoverChannel, Arc<Notices>) {
    let notices = Arc::new(Notices::default());
    (FailoverChannel::new(&options(endpoints, tls, timeout), &session(&notices), None), notices)
}

async fn call(channel: &FailoverChannel, path: &str) -> TransportFailure {
    let request = http::Request::post(path).body(Body::empty()).unwrap();
    let failed = channel.clone().oneshot(request).await.map(|_| ()).unwrap_err();
    failed.downcast_ref::<TransportFailure>().unwrap().clone()
}

fn only(failure: TransportFailure) -> EndpointFailure {
    match failure {
        TransportFailure::Dial(mut failures) if failures.len() == 1 => failures.remove(0),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_write_to_a_silent_peer_is_never_sent() {
    let peer = Peer::start(Manner::Silent).await;
    let (channel, _) = channel(&[peer.url("http")], TlsFiles::default(), SHORT);
    assert!(only(call(&channel, WRITE).await).cause.starts_with("connection accepted, but no response"));
    let received = peer.bytes();
    assert!(received.starts_with(b"PRI "), "the preface is sent: {received:?}");
    assert!(!has_headers_frame(&received));
}

#[tokio::test]
async fn a_read_to_a_single_peer_is_sent_at_once_and_fails_as_silent() {
    let peer = Peer::start(Manner::Silent).await;
    let (channel, _) = channel(&[peer.url("http")], TlsFiles::default(), SHORT);
    assert!(only(call(&channel, READ).await).cause.starts_with("connection accepted, but no response"));
    assert!(has_headers_frame(&peer.bytes()));
}

#[tokio::test]
async fn a_read_with_several_peers_goes_only_to_one_that_lives() {
    let silent = Peer::start(Manner::Silent).await;
    let live = Peer::start(Manner::Says(SETTINGS.to_vec())).await;
    let (channel, _) = channel(&[silent.url("http"), live.url("http")], TlsFiles::default(), LONG);
    let waiting = tokio::spawn({
        let channel = channel.clone();
        async move { call(&channel, READ).await }
    });
    wait_for(|| has_headers_frame(&live.bytes())).await;
    assert!(!has_headers_frame(&silent.bytes()));
    assert_eq!(channel.current(), live.url("http"));
    waiting.abort();
}

async fn wait_for(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "it did not happen in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_refused_client_certificate_is_told_also_for_a_read_sent_at_once() {
    let pki = Pki::new();
    let peer = pki.peer(true).await;
    for path in [READ, WRITE] {
        let (channel, _) = channel(&[peer.url("https")], pki.files(), LONG);
        assert_eq!(only(call(&channel, path).await).cause, "the server requires a client certificate", "{path}");
    }
}

#[tokio::test]
async fn unusable_tls_files_are_an_error_of_their_own() {
    let files = TlsFiles { ca: Some("/nonexistent/ca.crt".into()), ..TlsFiles::default() };
    let (channel, _) = channel(&["https://127.0.0.1:1".to_owned()], files, LONG);
    match call(&channel, READ).await {
        TransportFailure::Tls(error) => {
            assert_eq!(error.to_string(), "cannot read the CA file /nonexistent/ca.crt: no such file or directory");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn concurrent_callers_share_one_dial_and_its_failure() {
    let peer = Peer::start(Manner::Silent).await;
    let other = Peer::start(Manner::Silent).await;
    let (channel, _) = channel(&[peer.url("http"), other.url("http")], TlsFiles::default(), SHORT);
    let (a, b, c) = tokio::join!(call(&channel, WRITE), call(&channel, READ), call(&channel, WRITE));
    for failure in [a, b, c] {
        assert!(matches!(failure, TransportFailure::Dial(failures) if failures.len() == 2));
    }
    assert_eq!(peer.received.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_dropped_call_leaves_the_way_free() {
    let peer = Peer::start(Manner::Silent).await;
    let closed = format!("http://127.0.0.1:{}", closed_port().await);
    let (channel, _) = channel(&[peer.url("http"), closed], TlsFiles::default(), SHORT);
    let dropped = tokio::time::timeout(Duration::from_millis(50), call(&channel, WRITE)).await;
    assert!(dropped.is_err());
    assert!(matches!(call(&channel, WRITE).await, TransportFailure::Dial(failures) if failures.len() == 2));
}

#[tokio::test]
async fn a_connection_that_breaks_moves_the_next_call_on() {
    let first = Peer::start(Manner::OnRequest(Vec::new())).await;
    let second = Peer::start(Manner::Says(SETTINGS.to_vec())).await;
    let (channel, notices) = channel(&[first.url("http"), second.url("http")], TlsFiles::default(), LONG);
    let before = channel.generation();
    let failure = call(&channel, WRITE).await;
    match &failure {
        TransportFailure::Cut { endpoint, cause } => {
            assert_eq!(*endpoint, first.url("http"));
            assert!(cause.ends_with(" by the server"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(channel.generation(), before + 1);
    let waiting = tokio::spawn({
        let channel = channel.clone();
        async move { call(&channel, WRITE).await }
    });
    wait_for(|| has_headers_frame(&second.bytes())).await;
    waiting.abort();
    let expected = format!("{}: switched to {}", first.url("http"), second.url("http"));
    assert!(notices.0.lock().unwrap().contains(&expected), "{:?}", notices.0.lock().unwrap());
}

#[tokio::test]
async fn a_connection_that_ended_while_idle_is_not_used() {
    let first = Peer::start(Manner::Says(SETTINGS.to_vec())).await;
    let second = Peer::start(Manner::Says(SETTINGS.to_vec())).await;
    let (channel, _) = channel(&[first.url("http"), second.url("http")], TlsFiles::default(), LONG);
    channel.ready(true).await.unwrap();
    assert_eq!(channel.current(), first.url("http"));
    let generation = channel.generation();
    drop(first);
    wait_for(|| channel.generation() == generation + 1).await;
    channel.ready(false).await.unwrap();
    assert_eq!((channel.generation(), channel.current()), (generation + 1, second.url("http")));
}

#[tokio::test]
async fn leaving_counts_only_for_the_connection_that_is_meant() {
    let peers =
        [Peer::start(Manner::Says(SETTINGS.to_vec())).await, Peer::start(Manner::Says(SETTINGS.to_vec())).await];
    let urls = [peers[0].url("http"), peers[1].url("http")];
    let (channel, _) = channel(&urls, TlsFiles::default(), LONG);
    let reach = async |peer: &Peer| {
        let waiting = tokio::spawn({
            let channel = channel.clone();
            async move { call(&channel, WRITE).await }
        });
        wait_for(|| has_headers_frame(&peer.bytes())).await;
        waiting.abort();
    };
    let generation = channel.generation();
    reach(&peers[0]).await;
    assert_eq!(channel.generation(), generation, "the mark before a first call is that of the connection it made");
    channel.invalidate(generation + 1);
    assert_eq!(channel.generation(), generation);
    channel.invalidate(generation);
    assert_eq!(channel.generation(), generation + 1);
    reach(&peers[1]).await;
    channel.invalidate(generation);
    assert_eq!((channel.generation(), channel.current()), (generation + 1, urls[1].clone()));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_as_cut() {
    // HEADERS on stream 1, END_HEADERS, `:status: 200` from HPACK's static table; then the peer closes.
    let head = vec![0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
    let peer = Peer::start(Manner::OnRequest(head)).await;
    let (channel, _) = channel(&[peer.url("http")], TlsFiles::default(), LONG);
    let generation = channel.generation();
    let request = http::Request::post(READ).body(Body::empty()).unwrap();
    let mut body = channel.clone().oneshot(request).await.unwrap().into_body();
    let status = loop {
        match std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx)).await {
            Some(Ok(_)) => {}
            Some(Err(status)) => break status,
            None => panic!("a clean end"),
        }
    };
    let source = std::error::Error::source(&status).and_then(|source| source.downcast_ref::<TransportFailure>());
    assert!(
        matches!(source, Some(TransportFailure::Cut { endpoint, .. }) if *endpoint == peer.url("http")),
        "{status:?}"
    );
    assert_eq!(channel.generation(), generation + 1);
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_left_by_keep_alive() {
    let peer = Peer::start(Manner::Says(SETTINGS.to_vec())).await;
    let mut options = options(&[peer.url("http")], TlsFiles::default(), LONG);
    options.keepalive_time = Duration::from_millis(100);
    options.keepalive_timeout = Duration::from_millis(100);
    let channel = FailoverChannel::new(&options, &session(&Arc::default()), None);
    match call(&channel, WRITE).await {
        TransportFailure::Cut { cause, .. } => {
            assert_eq!(cause, "no response to HTTP/2 pings within the keepalive timeout");
        }
        other => panic!("{other:?}"),
    }
}
