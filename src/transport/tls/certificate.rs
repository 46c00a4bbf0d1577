//! Reads a certificate's fields for display. rustls verifies it.

use std::net::IpAddr;

use x509_parser::certificate::X509CertificateParser;
use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::nom::Parser;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use crate::time::Time;

const DAY: i64 = 86_400;

/// The fields of a certificate (RFC 5280).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The subject, as `CN=etcd, O=…`.
    pub(crate) subject: String,
    /// The subject's common name: etcd uses a client certificate's as the user name.
    pub(crate) common_name: Option<String>,
    /// The subject alternative names: hosts and addresses.
    pub(crate) names: Vec<String>,
    /// The issuer.
    pub(crate) issuer: String,
    /// The size of an RSA key.
    pub(crate) rsa_bits: Option<usize>,
    /// Unix time in seconds.
    not_before: i64,
    /// Unix time in seconds.
    not_after: i64,
}

impl Certificate {
    /// Parses DER; `None` if it is not a valid certificate.
    pub(crate) fn parse(der: &[u8]) -> Option<Self> {
        // Only one extension is needed. Parsing all of them would double the code that the library adds.
        let (_, parsed) = X509CertificateParser::new().with_deep_parse_extensions(false).parse(der).ok()?;
        let alternative = parsed.extensions().iter().find(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
        let names = match alternative.map(|extension| SubjectAlternativeName::from_der(extension.value)) {
            Some(Ok((_, names))) => names.general_names.iter().filter_map(name).collect(),
            _ => Vec::new(),
        };
        let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        Some(Self {
            subject: parsed.subject().to_string(),
            common_name: common_name.map(str::to_owned),
            names,
            issuer: parsed.issuer().to_string(),
            rsa_bits: match parsed.public_key().parsed() {
                Ok(PublicKey::RSA(key)) => Some(key.key_size()),
                _ => None,
            },
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }

    /// The start of its validity.
    pub(crate) fn not_before(&self) -> String {
        Time::from_secs(self.not_before).format_utc()
    }

    /// The end of its validity.
    pub(crate) fn not_after(&self) -> String {
        Time::from_secs(self.not_after).format_utc()
    }

    /// The end of its validity, as a time.
    pub(crate) fn expiry(&self) -> Time {
        Time::from_secs(self.not_after)
    }

    /// Whole days until it expires; negative if it has expired.
    pub(crate) fn days_left(&self, now: i64) -> i64 {
        self.not_after.saturating_sub(now).div_euclid(DAY)
    }

    /// Whether it is valid at this time.
    pub(crate) fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => Some(match bytes.len() {
            4 => IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string(),
            _ => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_says_who_it_is_for_and_until_when() {
        let names = ["etcd.example", "10.0.0.1", "::1"].map(str::to_owned).to_vec();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, "etcd");
        params.not_before = date_time_ymd(2020, 2, 29);
        params.not_after = date_time_ymd(2021, 1, 1);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let parsed = Certificate::parse(der.der()).unwrap();
        assert_eq!((parsed.subject.as_str(), parsed.issuer.as_str()), ("O=Example, CN=etcd", "O=Example, CN=etcd"));
        assert_eq!((parsed.common_name.as_deref(), &parsed.names), (Some("etcd"), &names));
        assert_eq!(parsed.not_before(), "2020-02-29 00:00:00 UTC");
        assert_eq!(parsed.not_after(), "2021-01-01 00:00:00 UTC");
        let end = 1_609_459_200;
        assert_eq!([end - DAY, end - 1, end, end + 1].map(|now| parsed.days_left(now)), [1, 0, 0, -1]);
        assert_eq!([end, end + 1].map(|now| parsed.is_valid_at(now)), [true, false]);
        assert_eq!(Certificate::parse(b"no certificate"), None);
    }
}
