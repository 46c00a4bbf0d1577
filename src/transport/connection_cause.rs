//! Explains failed and lost connections.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::transport::cause::{Cause, format_io_error, tls_error};
use crate::transport::endpoint::Scheme;
use crate::transport::monitored_stream::{CloseReason, UnexpectedProtocol};
use crate::transport::options::TlsFiles;
use crate::transport::tls::cause::tls_cause;

/// A peer that accepts TCP connections but never answers, e.g. a frozen process.
pub(crate) fn silent() -> Cause {
    Cause::new("connection accepted, but no response (the process may be frozen, or not etcd)")
}

/// A name that does not resolve. `getaddrinfo`'s message follows a fixed prefix.
pub(crate) fn unresolved(error: &io::Error) -> Cause {
    let text = format_io_error(error);
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    Cause::new(format!("cannot resolve the host name: {text}"))
}

/// A Unix socket that cannot be reached.
pub(crate) fn unix(error: &io::Error) -> Cause {
    match error.kind() {
        ErrorKind::NotFound => Cause::new("the socket does not exist"),
        ErrorKind::ConnectionRefused => {
            Cause::new("connection refused (the socket exists, but no process listens on it)")
        }
        _ => Cause::new(format_io_error(error)),
    }
}

/// A failed TLS handshake.
pub(crate) fn handshake(error: &io::Error, files: &TlsFiles) -> Cause {
    if let Some(error) = tls_error(error) {
        return tls_cause(error, files);
    }
    match error.kind() {
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe
        | ErrorKind::ConnectionAborted => Cause::hint(
            "server closed the connection during the TLS handshake (it may not expect TLS)",
            "if the server does not use TLS, use http:// or set insecure-transport",
        ),
        _ => Cause::new(format!("TLS handshake failed: {}", format_io_error(error))),
    }
}

/// A connection that ended before the peer spoke HTTP/2.
pub(crate) fn handshake_failed(close_reason: Option<&CloseReason>, scheme: &Scheme, files: &TlsFiles) -> Cause {
    match close_reason {
        Some(CloseReason::Failed(error)) => match tls_error(error) {
            Some(error) => tls_cause(error, files),
            None => closed(format_close(error), scheme),
        },
        Some(CloseReason::UnexpectedProtocol(UnexpectedProtocol::Tls)) => {
            Cause::hint("server expects TLS, but the endpoint is http://", USE_TLS)
        }
        Some(CloseReason::UnexpectedProtocol(UnexpectedProtocol::Http1)) if *scheme != Scheme::Tls => {
            Cause::hint("server speaks HTTP/1 only (it may expect TLS, or not be etcd's client port)", USE_TLS)
        }
        Some(CloseReason::UnexpectedProtocol(UnexpectedProtocol::Http1)) => {
            Cause::new("server speaks HTTP/1 only (not etcd's client port)")
        }
        Some(CloseReason::UnexpectedProtocol(UnexpectedProtocol::Other)) => {
            Cause::new("server does not speak HTTP/2 (not etcd)")
        }
        Some(CloseReason::Closed) | None => closed(CLOSED_SILENTLY.to_owned(), scheme),
    }
}

const CLOSED_SILENTLY: &str = "server closed the connection";
const USE_TLS: &str = "if the server uses TLS, use https:// or set ca-file";

/// End of file, reset and broken pipe mean the same here: which one is seen is a matter of microseconds.
fn format_close(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => CLOSED_SILENTLY.to_owned(),
        _ => format_io_error(error),
    }
}

fn closed(text: String, scheme: &Scheme) -> Cause {
    match scheme {
        Scheme::Plain => Cause::hint(format!("{text} (it may expect TLS, or not be etcd)"), USE_TLS),
        _ => Cause::new(format!("{text} (it may not be etcd)")),
    }
}

/// A connection that ended during a request.
pub(crate) fn broken(error: &(dyn StdError + 'static), close_reason: Option<&CloseReason>, files: &TlsFiles) -> String {
    if chain(error).any(|e| e.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)) {
        return "no response to HTTP/2 pings within the keepalive timeout".to_owned();
    }
    if chain(error).filter_map(|e| e.downcast_ref::<h2::Error>()).any(is_flood) {
        return "kvadm has closed it, because the server sent too many HTTP/2 frames with little data".to_owned();
    }
    match close_reason {
        Some(CloseReason::Failed(io)) => {
            tls_error(io).map_or_else(|| format_io_error(io), |e| tls_cause(e, files).text)
        }
        Some(_) => "closed by the server".to_owned(),
        None => format_source(error),
    }
}

/// The innermost error of a chain, in the words of the system or of HTTP/2.
pub(crate) fn format_source(error: &(dyn StdError + 'static)) -> String {
    if let Some(io) = chain(error).find_map(|e| e.downcast_ref::<io::Error>()) {
        return format_io_error(io);
    }
    match chain(error).find_map(|e| e.downcast_ref()) {
        Some(http2) => format_http2_error(http2),
        None => chain(error).last().map_or_else(String::new, ToString::to_string),
    }
}

/// Whether the HTTP/2 library itself has ended the connection, because the peer costs too much for what it sends
/// (`too_many_data_frames` in h2's `proto/streams/streams.rs`).
fn is_flood(error: &h2::Error) -> bool {
    error.is_library() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
}

/// Formats an error of the HTTP/2 library, with the name of the code (RFC 9113, 7).
fn format_http2_error(error: &h2::Error) -> String {
    let reason = error.reason().unwrap_or(h2::Reason::NO_ERROR);
    match reason {
        h2::Reason::NO_ERROR => "closed by the server".to_owned(),
        h2::Reason::REFUSED_STREAM => "the server refused the request (REFUSED_STREAM)".to_owned(),
        _ if error.is_remote() && error.is_reset() => format!("the server aborted the request ({reason:?})"),
        _ if error.is_remote() => format!("closed by the server ({reason:?})"),
        _ => format!("the server broke the rules of HTTP/2 ({reason:?})"),
    }
}

/// Whether a request was certainly not sent, or not processed by the peer.
pub(crate) fn not_processed(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|e| {
        // hyper cancels exactly the requests that it has not begun to write.
        e.is::<tonic::ConnectError>()
            || e.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
            || e.downcast_ref::<h2::Error>().is_some_and(is_refused)
    })
}

/// A peer that refuses a stream has not processed it (RFC 9113, 8.7).
fn is_refused(error: &h2::Error) -> bool {
    error.is_remote() && error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

/// Formats a time limit: `800ms`, `2s`.
pub(crate) fn bound(limit: Duration) -> String {
    format!("{limit:?}")
}
