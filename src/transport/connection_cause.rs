//! The causes of failed connections in text for the one who has to mend them.

use crate::transport::cause::{Cause, format_io_error, tls_error};
use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::transport::endpoint::Scheme;
use crate::transport::monitored_stream::{CloseReason, UnexpectedProtocol};
use crate::transport::options::TlsFiles;
use crate::transport::tls::cause::tls_cause;

/// The frozen server: TCP is answered by its kernel, and nothing by itself.
pub(crate) fn silent() -> Cause {
    Cause::new("accepted the connection and stayed silent (frozen server, or not etcd)")
}

/// A name that the resolver does not know. `getaddrinfo`'s text come behind a fixed prefix.
pub(crate) fn unresolved(error: &io::Error) -> Cause {
    let text = format_io_error(error);
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    Cause::new(format!("name does not resolve: {text}"))
}

/// A Unix socket that could not be reached.
pub(crate) fn unix(error: &io::Error) -> Cause {
    match error.kind() {
        ErrorKind::NotFound => Cause::new("there is no such socket"),
        ErrorKind::ConnectionRefused => {
            Cause::new("connection refused (the socket is there, and nobody listens on it)")
        }
        _ => Cause::new(format_io_error(error)),
    }
}

/// A TLS handshake that failed.
pub(crate) fn handshake(error: &io::Error, files: &TlsFiles) -> Cause {
    if let Some(error) = tls_error(error) {
        return tls_cause(error, files);
    }
    match error.kind() {
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe
        | ErrorKind::ConnectionAborted => Cause::hint(
            "closed the connection during the TLS handshake (not a TLS server?)",
            "if the server speaks plaintext, use http:// or insecure-transport",
        ),
        _ => Cause::new(format!("TLS handshake failed: {}", format_io_error(error))),
    }
}

/// How a connection ended before the peer spoke HTTP/2.
pub(crate) fn handshake_failed(close_reason: Option<&CloseReason>, scheme: &Scheme, files: &TlsFiles) -> Cause {
    const TO_TLS: &str = "if the server speaks TLS, use https:// or set ca-file";
    match close_reason {
        Some(CloseReason::Failed(error)) => match tls_error(error) {
            Some(error) => tls_cause(error, files),
            None => closed(format_close(error), scheme),
        },
        Some(CloseReason::UnexpectedProtocol(UnexpectedProtocol::Tls)) => {
            Cause::hint("is a TLS server, and was spoken to in plaintext", TO_TLS)
        }
        Some(CloseReason::UnexpectedProtocol(UnexpectedProtocol::Http1)) if *scheme != Scheme::Tls => {
            Cause::hint("answers HTTP/1 only: a TLS server spoken to in plaintext, or not etcd's client port", TO_TLS)
        }
        Some(CloseReason::UnexpectedProtocol(UnexpectedProtocol::Http1)) => {
            Cause::new("answers HTTP/1 only (not etcd's client port)")
        }
        Some(CloseReason::UnexpectedProtocol(UnexpectedProtocol::Other)) => {
            Cause::new("does not speak HTTP/2 (not etcd)")
        }
        Some(CloseReason::Closed) | None => closed(CLOSED_SILENTLY.to_owned(), scheme),
    }
}

const CLOSED_SILENTLY: &str = "closed the connection without a word";

/// Whether a close shows as an end, a reset or a broken pipe is a matter of microseconds, and means the same.
fn format_close(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => CLOSED_SILENTLY.to_owned(),
        _ => format_io_error(error),
    }
}

fn closed(text: String, scheme: &Scheme) -> Cause {
    match scheme {
        Scheme::Plain => Cause::hint(
            format!("{text} (a TLS server spoken to in plaintext, or not etcd)"),
            "if the server speaks TLS, use https:// or set ca-file",
        ),
        _ => Cause::new(format!("{text} (not etcd?)")),
    }
}

/// How a connection that had been good ended under a request.
pub(crate) fn broken(error: &(dyn StdError + 'static), close_reason: Option<&CloseReason>, files: &TlsFiles) -> String {
    if chain(error).any(|e| e.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)) {
        return "the peer was silent for longer than the keep-alive allows".to_owned();
    }
    match close_reason {
        Some(CloseReason::Failed(io)) => {
            tls_error(io).map_or_else(|| format_io_error(io), |e| tls_cause(e, files).text)
        }
        Some(_) => "the peer closed the connection".to_owned(),
        None => match chain(error).find_map(|e| e.downcast_ref::<io::Error>()) {
            Some(io) => format_io_error(io),
            None => chain(error).last().map_or_else(String::new, ToString::to_string),
        },
    }
}

/// Whether a request provably never reached the peer.
pub(crate) fn not_sent(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|e| {
        // hyper cancels exactly the requests that it has not begun to write.
        e.is::<tonic::ConnectError>() || e.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
    })
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

/// A bound in text: `800ms`, `2s`.
pub(crate) fn bound(limit: Duration) -> String {
    format!("{limit:?}")
}
