//! Compares the certificates of members that SRV records name with the domain of the records.
//!
//! A forged DNS answer can name any host, and that host has a certificate for its own name. etcdctl therefore compares the
//! certificate with the domain only (`tls.Config.ServerName`). kvadm also accepts the name of a host within the domain.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error as Rustls, SignatureScheme};

/// A verifier that knows which hosts DNS has named.
#[derive(Debug)]
pub(super) struct DomainVerifier {
    pub(super) inner: Arc<dyn ServerCertVerifier>,
    pub(super) domain: String,
    pub(super) domain_name: ServerName<'static>,
    /// The hosts of the SRV records.
    pub(super) hosts: Vec<String>,
}

impl DomainVerifier {
    /// Whether the certificate may be for the host itself instead of the domain.
    fn trusts_host_name(&self, host: &str) -> bool {
        let named_by_dns = self.hosts.iter().any(|named| named.eq_ignore_ascii_case(host));
        !named_by_dns || is_within(host, &self.domain)
    }
}

/// Whether the host is the domain or in it.
fn is_within(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
}

impl ServerCertVerifier for DomainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Rustls> {
        let verify =
            |name: &ServerName<'_>| self.inner.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        let domain = verify(&self.domain_name);
        match domain {
            Err(_) if self.trusts_host_name(&server_name.to_str()) => verify(server_name),
            domain => domain,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Rustls> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Rustls> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_within_its_domain_only() {
        for (host, domain, within) in [
            ("etcd-0.example.com", "example.com", true),
            ("EXAMPLE.com", "example.COM", true),
            ("a.b.example.com", "example.com", true),
            ("evilexample.com", "example.com", false),
            ("example.com.evil.org", "example.com", false),
            ("com", "example.com", false),
        ] {
            assert_eq!(is_within(host, domain), within, "{host} {domain}");
        }
    }
}
