//! Accepts a server certificate that is itself in the CA file, although it is an authority's (CA:TRUE), as those that
//! `openssl req -x509` makes. webpki, and so rustls, refuses every authority's certificate for a server.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error as Rustls, SignatureScheme};

use crate::transport::tls::certificate::Certificate;
use crate::transport::tls::weak_key;

/// webpki's error for an authority's certificate.
pub(super) const CA_AS_SERVER: &str = "CaUsedAsEndEntity";

/// webpki's verification, except for the trusted certificates themselves.
#[derive(Debug)]
pub(super) struct TrustedLeaves {
    pub(super) inner: Arc<WebPkiServerVerifier>,
    pub(super) trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for TrustedLeaves {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Rustls> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let verified =
            verified.map_err(|error| weak_key::explain(error, end_entity, intermediates.iter().chain(&self.trusted)));
        let is_authority = matches!(
            &verified,
            Err(Rustls::InvalidCertificate(CertificateError::Other(other))) if other.to_string() == CA_AS_SERVER
        );
        if !is_authority || !self.trusted.iter().any(|trusted| trusted.as_ref() == end_entity.as_ref()) {
            return verified;
        }
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if !Certificate::parse(end_entity).is_some_and(|certificate| certificate.is_valid_at(seconds)) {
            return Err(CertificateError::Expired.into());
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Rustls> {
        let verified = self.inner.verify_tls12_signature(message, cert, signed);
        verified.map_err(|error| weak_key::explain(error, cert, []))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Rustls> {
        let verified = self.inner.verify_tls13_signature(message, cert, signed);
        verified.map_err(|error| weak_key::explain(error, cert, []))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
