//! Explains failures of TLS.

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, Error as Rustls};

use crate::time::Time;
use crate::transport::cause::Cause;
use crate::transport::options::TlsFiles;
use crate::transport::tls::self_signed::CA_AS_SERVER;

/// Explains a TLS error of the handshake, or an alert after it.
pub(crate) fn tls_cause(error: &Rustls, files: &TlsFiles) -> Cause {
    match error {
        Rustls::InvalidCertificate(error) => server_certificate(error, files),
        Rustls::AlertReceived(alert) => alert_cause(*alert, files),
        Rustls::InvalidMessage(_) | Rustls::InappropriateMessage { .. } => Cause::hint(
            "server does not use TLS",
            "if the server does not use TLS, use http:// or set insecure-transport",
        ),
        Rustls::PeerIncompatible(_) => {
            Cause::new("the server shares no TLS version or cipher suite with kvadm (TLS 1.2 and 1.3)")
        }
        Rustls::NoApplicationProtocol => Cause::new("server does not speak HTTP/2 over TLS (not etcd's client port)"),
        other => Cause::new(format!("TLS error: {other}")),
    }
}

fn server_certificate(error: &CertificateError, files: &TlsFiles) -> Cause {
    let renew = "check this machine's clock, or renew the server's certificate";
    match error {
        CertificateError::ExpiredContext { time, not_after } => Cause::hint(
            format!(
                "the server's certificate expired on {}, {} ago",
                format_date(*not_after),
                format_span(*not_after, *time)
            ),
            renew,
        ),
        CertificateError::NotValidYetContext { time, not_before } => Cause::hint(
            format!(
                "the server's certificate is not valid before {}, {} from now",
                format_date(*not_before),
                format_span(*time, *not_before)
            ),
            renew,
        ),
        CertificateError::UnknownIssuer => match &files.ca {
            Some(file) => Cause::hint(
                format!("the server's certificate is signed by an authority that is not in {}", file.display()),
                SET_CA_FILE,
            ),
            None => Cause::hint(
                "the server's certificate is signed by an authority that this system does not trust",
                SET_CA_FILE,
            ),
        },
        CertificateError::NotValidForNameContext { expected, presented } => wrong_name(expected, presented),
        CertificateError::NotValidForName => Cause::new("the server's certificate is for another host name"),
        CertificateError::BadSignature => match &files.ca {
            Some(file) => Cause::hint(
                format!("the server's certificate is not signed by the authority in {}", file.display()),
                SET_CA_FILE,
            ),
            None => Cause::new("the server's certificate has an invalid signature"),
        },
        CertificateError::Revoked => Cause::new("the server's certificate is revoked"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Cause::new("the server's certificate does not allow server authentication (extended key usage)")
        }
        CertificateError::Other(other) if other.to_string() == CA_AS_SERVER => Cause::hint(
            "the server's certificate is an authority's certificate (CA:TRUE), and is not in ca-file itself",
            "set ca-file to the server's certificate, or issue one with CA:FALSE",
        ),
        CertificateError::Other(other) => Cause::new(match other.to_string().as_str() {
            "UnsupportedCertVersion" => "the server's certificate does not have X.509 version 3".to_owned(),
            text => format!("the server's certificate is not valid: {text}"),
        }),
        other => Cause::new(format!("the server's certificate is not valid: {other}")),
    }
}

const SET_CA_FILE: &str = "set ca-file to the certificate of the authority that signed it";

fn wrong_name(expected: &ServerName<'_>, presented: &[String]) -> Cause {
    let host = expected.to_str();
    if presented.is_empty() {
        return Cause::hint(
            format!("the server's certificate is not for '{host}': it has no subject alternative names"),
            "issue a certificate with subject alternative names; the common name is not used",
        );
    }
    // Formatted by rustls as `DnsName("a.example")` or `IpAddress(10.0.0.1)`.
    let inner = |name: &String| match name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')) {
        Some(inner) => inner.trim_matches('"').to_owned(),
        None => name.clone(),
    };
    let names: Vec<String> = presented.iter().map(inner).collect();
    Cause::hint(
        format!("the server's certificate is not for '{host}'; it is for {}", names.join(", ")),
        "use one of these names in the endpoint",
    )
}

/// Explains the server's alert. Go <= 1.19 sends "bad certificate" for a missing one.
fn alert_cause(alert: AlertDescription, files: &TlsFiles) -> Cause {
    use AlertDescription as A;
    let Some(cert) = &files.cert else {
        return match alert {
            A::CertificateRequired | A::BadCertificate | A::NoCertificate => {
                Cause::hint("the server requires a client certificate", "set cert-file and key-file")
            }
            A::HandshakeFailure => Cause::hint(
                "the server aborted the TLS handshake (it may require a client certificate or another cipher suite)",
                "if the server requires a client certificate, set cert-file and key-file",
            ),
            other => general_alert(other),
        };
    };
    let because = match alert {
        A::UnknownCA => "the server does not trust its authority",
        A::CertificateExpired => "it has expired or is not valid yet",
        A::CertificateRevoked => "it is revoked",
        A::UnsupportedCertificate => "the server does not support its type",
        // Servers built with Go <= 1.19 send this alert for all of these causes.
        A::BadCertificate | A::CertificateUnknown | A::AccessDenied | A::CertificateRequired => {
            "it has expired, does not allow client authentication, or the server does not trust its authority"
        }
        A::DecryptError => "its signature is invalid",
        other => return general_alert(other),
    };
    let hint = match alert {
        A::CertificateExpired => "check the clocks of both machines, or renew the client certificate",
        _ => "check that the server's --trusted-ca-file contains the authority of cert-file",
    };
    Cause::hint(format!("the server refused the client certificate {}: {because}", cert.display()), hint)
}

fn general_alert(alert: AlertDescription) -> Cause {
    use AlertDescription as A;
    match alert {
        A::ProtocolVersion => Cause::new("the server shares no TLS version with kvadm (TLS 1.2 and 1.3)"),
        A::HandshakeFailure | A::InsufficientSecurity => Cause::new("the server shares no TLS cipher suite with kvadm"),
        A::NoApplicationProtocol => Cause::new("server does not speak HTTP/2 over TLS (not etcd's client port)"),
        A::UnrecognisedName => Cause::new("the server does not serve this host name"),
        other => Cause::new(format!("the server sent the TLS alert '{}'", format_alert(other))),
    }
}

/// Formats `InternalError` as `internal error`.
fn format_alert(alert: AlertDescription) -> String {
    let Some(name) = alert.as_str() else { return format!("number {}", u8::from(alert)) };
    let mut text = String::with_capacity(name.len().saturating_add(4));
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// Formats as `2021-01-31 23:59:59 UTC`.
fn format_date(time: UnixTime) -> String {
    Time::from_secs(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)).format_utc()
}

/// Formats the time between two points in time in its largest unit.
fn format_span(from: UnixTime, to: UnixTime) -> String {
    let seconds = to.as_secs().saturating_sub(from.as_secs());
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn spans() {
        assert_eq!(format_span(at(10), at(11)), "1 second");
        assert_eq!(format_span(at(0), at(7_199)), "119 minutes");
        assert_eq!(format_span(at(0), at(86_400)), "24 hours");
        assert_eq!(format_span(at(0), at(185_738_570)), "2149 days");
    }

    #[test]
    fn a_refused_client_certificate_is_told_from_a_missing_one() {
        let without = TlsFiles::default();
        let with = TlsFiles { cert: Some("/pki/client.crt".into()), ..TlsFiles::default() };
        for alert in [AlertDescription::CertificateRequired, AlertDescription::BadCertificate] {
            assert_eq!(alert_cause(alert, &without).text, "the server requires a client certificate");
            assert!(
                alert_cause(alert, &with).text.starts_with("the server refused the client certificate /pki/client.crt")
            );
        }
        assert!(
            alert_cause(AlertDescription::UnknownCA, &with).text.ends_with(": the server does not trust its authority")
        );
        let expired = alert_cause(AlertDescription::CertificateExpired, &with);
        assert!(expired.text.ends_with(": it has expired or is not valid yet"));
        assert_eq!(expired.hint.as_deref(), Some("check the clocks of both machines, or renew the client certificate"));
        assert_eq!(
            alert_cause(AlertDescription::InternalError, &with).text,
            "the server sent the TLS alert 'internal error'"
        );
    }
}
