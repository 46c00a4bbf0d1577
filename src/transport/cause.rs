//! Formats the causes of failed connections.

use std::io::{self, ErrorKind};

use rustls::{CertificateError, Error as Rustls};

/// The cause of a failure, and a hint if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
}

impl Cause {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None }
    }

    pub(crate) fn hint(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: text.into(), hint: Some(hint.into()) }
    }
}

/// Formats an I/O error without the system's error number.
pub(crate) fn format_io_error(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::HostUnreachable => "no route to host".to_owned(),
        ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        ErrorKind::ConnectionReset => "reset by the server".to_owned(),
        ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => "closed by the server".to_owned(),
        ErrorKind::TimedOut => "connection timed out".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error ").next().unwrap_or(&text).to_owned()
        }
    }
}

/// The TLS library's error inside an I/O error.
pub(crate) fn tls_error(error: &io::Error) -> Option<&Rustls> {
    error.get_ref()?.downcast_ref()
}

/// Formats an error of the TLS library.
pub(crate) fn format_rustls_error(error: &Rustls) -> String {
    match error {
        Rustls::InvalidCertificate(CertificateError::BadEncoding) => "bad encoding".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_named_without_its_number() {
        for (kind, text) in [
            (ErrorKind::ConnectionRefused, "connection refused"),
            (ErrorKind::HostUnreachable, "no route to host"),
            (ErrorKind::NetworkUnreachable, "network is unreachable"),
            (ErrorKind::ConnectionReset, "reset by the server"),
            (ErrorKind::BrokenPipe, "closed by the server"),
            (ErrorKind::UnexpectedEof, "closed by the server"),
            (ErrorKind::TimedOut, "connection timed out"),
            (ErrorKind::PermissionDenied, "permission denied"),
            (ErrorKind::NotFound, "no such file or directory"),
            (ErrorKind::IsADirectory, "is a directory"),
        ] {
            assert_eq!(format_io_error(&kind.into()), text, "{kind:?}");
        }
        // ENOTDIR on Linux.
        assert_eq!(format_io_error(&io::Error::from_raw_os_error(20)), "Not a directory");
        assert_eq!(format_io_error(&io::Error::other("odd")), "odd");
    }
}
