//! Explains failures of TLS.

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, Error as Rustls};

use crate::time::Time;
use crate::transport::cause::Cause;
use crate::transport::options::TlsFiles;
use crate::transport::tls::self_signed::CA_AS_SERVER;
use crate::transport::tls::weak_key::WeakKey;

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
        Rustls::PeerMisbehaved(what) => Cause::new(format!("the server breaks the rules of TLS ({what:?})")),
        other => Cause::new(format!("the TLS handshake failed: {other}")),
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
        CertificateError::NotValidForNameContext { expected, presented } => {
            let cause = wrong_name(expected, presented);
            match &files.discovered {
                Some((domain, _)) => Cause::hint(
                    cause.text,
                    format!(
                        "the SRV records of {domain} name this host: issue its certificate for {domain} too; or add \
                         --insecure-discovery to trust the records"
                    ),
                ),
                None => cause,
            }
        }
        CertificateError::NotValidForName => Cause::hint("the server's certificate is for another host name", REISSUE),
        CertificateError::BadSignature => match &files.ca {
            Some(file) => Cause::hint(
                format!("the server's certificate is not signed by the authority in {}", file.display()),
                SET_CA_FILE,
            ),
            None => Cause::hint("the server's certificate has an invalid signature", REISSUE),
        },
        CertificateError::Revoked => Cause::hint("the server's certificate is revoked", REISSUE),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Cause::hint(
            "the server's certificate does not allow server authentication (extended key usage)",
            "issue a certificate with the extended key usage serverAuth",
        ),
        CertificateError::UnsupportedSignatureAlgorithmContext { signature_algorithm_id: id, .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { signature_algorithm_id: id, .. } => {
            unsupported_signature(id)
        }
        CertificateError::Other(other) if other.to_string() == CA_AS_SERVER => Cause::hint(
            "the server's certificate is an authority's certificate (CA:TRUE), and is not in ca-file itself",
            "set ca-file to the server's certificate, or issue one with CA:FALSE",
        ),
        CertificateError::Other(other) => match other.0.downcast_ref::<WeakKey>() {
            Some(weak) => Cause::hint(weak.to_string(), "issue it with an RSA key of 2048 bits or more"),
            None => Cause::hint(format!("the server's certificate {}", format_defect(&other.to_string())), REISSUE),
        },
        CertificateError::BadEncoding => {
            Cause::hint("the server's certificate is damaged: it does not have the form of X.509", REISSUE)
        }
        CertificateError::Expired => Cause::hint("the server's certificate has expired", renew),
        other => Cause::hint(format!("the server's certificate is not valid ({other:?})"), REISSUE),
    }
}

/// What is wrong with a certificate, by the name of webpki's error.
fn format_defect(name: &str) -> String {
    let known = match name {
        "UnsupportedCertVersion" => "does not have X.509 version 3",
        "UnsupportedCriticalExtension" => "has a critical extension that kvadm does not know",
        "EndEntityUsedAsCa" => "is signed by a certificate that is not an authority's (CA:FALSE)",
        "NameConstraintViolation" => "has a name that its authority may not certify (name constraints)",
        "PathLenConstraintViolated" | "MaximumPathDepthExceeded" => "has more authorities above it than is allowed",
        "SignatureAlgorithmMismatch" => "names two different signature algorithms",
        "EmptyEkuExtension" => "has an empty list of extended key usages",
        "ExtensionValueInvalid" | "MalformedExtensions" | "MalformedDnsIdentifier" | "InvalidSerialNumber" => {
            return format!("is damaged ({name})");
        }
        _ => return format!("is not valid ({name})"),
    };
    known.to_owned()
}

/// Explains a signature algorithm, by the DER of its object identifier.
fn unsupported_signature(id: &[u8]) -> Cause {
    const SHA1: [&[u8]; 2] = [
        // sha1WithRSAEncryption, 1.2.840.113549.1.1.5
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
        // ecdsa-with-SHA1, 1.2.840.10045.4.1
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
    ];
    let contains = |oid: &&[u8]| id.windows(oid.len()).any(|part| part == *oid);
    let what = if SHA1.iter().any(contains) {
        "the server's certificate is signed with SHA-1, which is not secure"
    } else {
        "the server's certificate is signed with an algorithm that kvadm does not support"
    };
    Cause::hint(what, "issue a certificate that is signed with SHA-256, SHA-384 or SHA-512")
}

const REISSUE: &str = "issue a new certificate for the server";
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
    if matches!(expected, ServerName::IpAddress(_)) && names.iter().any(|name| *name == host) {
        return Cause::hint(
            format!("the server's certificate has '{host}' as a DNS name, which does not count for an IP address"),
            format!("issue a certificate with the subject alternative name IP:{host}, not DNS:{host}"),
        );
    }
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
    #![allow(clippy::unwrap_used)]

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
    fn the_library_s_names_of_defects_are_put_into_words() {
        let files = TlsFiles::default();
        let said = |error: webpki_name::Named| server_certificate(&error.into(), &files);
        let cause = said(webpki_name::Named("EndEntityUsedAsCa"));
        assert_eq!(
            cause.text,
            "the server's certificate is signed by a certificate that is not an authority's (CA:FALSE)"
        );
        assert_eq!(cause.hint.as_deref(), Some(REISSUE));
        assert_eq!(said(webpki_name::Named("New")).text, "the server's certificate is not valid (New)");
    }

    /// An error whose text is the name of one of webpki's.
    mod webpki_name {
        use std::sync::Arc;

        use rustls::{CertificateError, OtherError};

        #[derive(Debug)]
        pub struct Named(pub &'static str);

        impl std::fmt::Display for Named {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }

        impl std::error::Error for Named {}

        impl From<Named> for CertificateError {
            fn from(named: Named) -> Self {
                Self::Other(OtherError(Arc::new(named)))
            }
        }
    }

    #[test]
    fn the_algorithm_of_a_signature_is_named_without_its_identifier() {
        for id in [
            &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00][..],
            &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
        ] {
            assert!(unsupported_signature(id).text.ends_with("signed with SHA-1, which is not secure"));
        }
        assert!(unsupported_signature(&[1, 2]).text.ends_with("an algorithm that kvadm does not support"));
    }

    #[test]
    fn an_address_as_a_dns_name_is_told_from_another_name() {
        let expected = ServerName::try_from("127.0.0.1").unwrap();
        let cause = wrong_name(&expected, &["DnsName(\"127.0.0.1\")".to_owned()]);
        assert_eq!(
            cause.text,
            "the server's certificate has '127.0.0.1' as a DNS name, which does not count for an IP address"
        );
        let cause = wrong_name(&expected, &["IpAddress(10.0.0.1)".to_owned()]);
        assert_eq!(cause.text, "the server's certificate is not for '127.0.0.1'; it is for 10.0.0.1");
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
