//! One HTTP/1.0 request: etcd serves its health checks and metrics beside gRPC.
//!
//! Over plain TCP, etcd's listener takes HTTP/2 for gRPC, so that only HTTP/1 reaches these paths. The answer to an HTTP/1.0 request
//! ends with the connection and is never chunked.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout_at;

use super::{ApplicationProtocol, DialError, Dialer, failure};
use crate::duration::from_now;
use crate::transport::cause::{Cause, format_io_error};
use crate::transport::dial::trace::DialTrace;
use crate::transport::endpoint::{Endpoint, Scheme};
use crate::transport::failure::TransportFailure;

/// Upper bound of the status line and the headers: etcd's have less than 1 KiB.
const HEAD_BYTES: usize = 16 << 10;

/// The answer to an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpAnswer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Dialer {
    /// Sends `GET path` to the first endpoint. The dial timeout bounds the connection; the caller bounds the answer.
    ///
    /// # Errors
    /// The endpoint with the cause, or an unusable TLS file.
    pub(crate) async fn http_get(&self, path: &str, limit_bytes: usize) -> Result<HttpAnswer, TransportFailure> {
        let Some(endpoint) = self.endpoints.first() else { return Err(TransportFailure::Dial(Vec::new())) };
        if endpoint.scheme == Scheme::Tls {
            self.tls().map_err(TransportFailure::Tls)?;
        }
        let trace = DialTrace::default();
        let stream = self.stream(endpoint, &trace, ApplicationProtocol::Http1);
        let connected = match timeout_at(from_now(self.timeout), stream).await {
            Ok(connected) => connected,
            Err(_) => Err(self.timed_out(trace.phase())),
        };
        let answer = match connected {
            Ok(stream) => exchange(stream, endpoint, path, limit_bytes).await.map_err(Cause::new),
            Err(cause) => Err(cause),
        };
        answer.map_err(|cause| DialError::All(vec![failure(endpoint, cause)]).into())
    }
}

async fn exchange(
    mut stream: Box<dyn super::Stream>,
    endpoint: &Endpoint,
    path: &str,
    limit_bytes: usize,
) -> Result<HttpAnswer, String> {
    let agent = concat!("kvadm/", env!("CARGO_PKG_VERSION"));
    let authority = endpoint.authority();
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n");
    let broken = |error: &io::Error| format!("connection lost: {}", format_io_error(error));
    stream.write_all(request.as_bytes()).await.map_err(|error| broken(&error))?;
    stream.flush().await.map_err(|error| broken(&error))?;
    let limit = limit_bytes.saturating_add(HEAD_BYTES);
    let mut bytes = Vec::new();
    let read = stream.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes).await;
    if bytes.len() >= limit {
        return Err(format!("the answer to {path} has more than {limit_bytes} bytes"));
    }
    match (parse_answer(&bytes, limit_bytes), read) {
        (Ok((answer, true)), _) | (Ok((answer, false)), Ok(_)) => Ok(answer),
        (Ok((_, false)), Err(error)) => Err(broken(&error)),
        (Err(_), Err(error)) if bytes.is_empty() => Err(broken(&error)),
        (Err(why), _) => Err(format!("the answer to {path} is not HTTP: {why}")),
    }
}

/// The answer, and whether its headers prove that it is complete.
fn parse_answer(bytes: &[u8], limit_bytes: usize) -> Result<(HttpAnswer, bool), String> {
    let end =
        bytes.windows(4).take(HEAD_BYTES).position(|part| part == b"\r\n\r\n").ok_or("it has no end of headers")?;
    let (head, rest) = bytes.split_at_checked(end).ok_or("it has no end of headers")?;
    let body = rest.get(4..).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let code = status.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)).filter(|code| code.len() == 3);
    let status = code.and_then(|code| code.parse().ok()).ok_or("it has no status line")?;
    let mut length = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("it has a transfer encoding, which HTTP/1.0 does not have".to_owned());
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>().map_err(|_| "its length is not a number")?);
        }
    }
    match length {
        Some(length) if length > limit_bytes => Err(format!("it has {length} bytes")),
        Some(length) => match body.get(..length) {
            Some(body) => Ok((HttpAnswer { status, body: body.to_vec() }, true)),
            None => Err(format!("it ends after {} of {length} bytes", body.len())),
        },
        None => Ok((HttpAnswer { status, body: body.to_vec() }, false)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;
    use crate::transport::options::TlsFiles;
    use crate::transport::testing::options;

    fn parsed(text: &str) -> Result<(HttpAnswer, bool), String> {
        parse_answer(text.as_bytes(), 100)
    }

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let (answer, complete) =
            parsed("HTTP/1.0 503 Service Unavailable\r\ncontent-LENGTH: 2\r\n\r\nok and more").unwrap();
        assert_eq!((answer.status, answer.body.as_slice(), complete), (503, b"ok".as_slice(), true));
        let (answer, complete) = parsed("HTTP/1.1 200 OK\r\n\r\nall").unwrap();
        assert_eq!((answer.status, answer.body.as_slice(), complete), (200, b"all".as_slice(), false));
    }

    #[test]
    fn what_is_not_a_whole_answer_is_an_error() {
        for text in [
            "",
            "HTTP/1.0 200 OK\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.0 2000 OK\r\n\r\n",
            "HTTP/1.0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok",
            "HTTP/1.0 200 OK\r\nContent-Length: 300\r\n\r\nok",
            "HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "\x16\x03\x01",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    /// A peer that answers every request with these bytes, again and again.
    async fn endless(bytes: &'static [u8]) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                while socket.write_all(bytes).await.is_ok() {}
            }
        });
        url
    }

    #[tokio::test]
    async fn an_endless_answer_ends_at_its_bound() {
        for bytes in [b"HTTP/1.0 200 OK\r\n\r\n".as_slice(), b"x"] {
            let url = endless(bytes).await;
            let options = options(&[url], TlsFiles::default(), std::time::Duration::from_secs(5));
            let failure = Dialer::new(&options).http_get("/metrics", 1 << 20).await.unwrap_err();
            assert!(format!("{failure:?}").contains("has more than 1048576 bytes"), "{failure:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), limit in 0usize..400) {
            let _ = parse_answer(&bytes, limit);
            let text = [b"HTTP/1.0 200 OK\r\n".as_slice(), &bytes, b"\r\n\r\n", &bytes].concat();
            let _ = parse_answer(&text, limit);
        }
    }
}
