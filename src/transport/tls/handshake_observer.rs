//! Records the certificates of a TLS handshake, including a refused server certificate. It decides nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error as Rustls, SignatureScheme};

use crate::transport::tls::Tls;

/// What was seen of a handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct HandshakeRecord {
    /// The server's certificate, DER.
    pub(crate) server_certificate: Option<CertificateDer<'static>>,
    /// Whether the server requested a client certificate.
    pub(crate) client_certificate_requested: bool,
    /// The client certificate that was presented, DER.
    pub(crate) client_certificate: Option<CertificateDer<'static>>,
}

/// Observes one handshake.
#[derive(Debug, Default)]
pub(crate) struct HandshakeObserver(Mutex<HandshakeRecord>);

impl HandshakeObserver {
    /// What was seen so far.
    pub(crate) fn record(&self) -> HandshakeRecord {
        self.lock().clone()
    }

    /// The configuration with this observer. It resumes no session, because a resumed handshake has no certificates.
    pub(crate) fn observed_config(self: &Arc<Self>, tls: &Tls) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&tls.config);
        let verifier = ObservedVerifier { handshake_observer: Arc::clone(self), inner: Arc::clone(&tls.verifier) };
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        let identity = Arc::clone(&config.client_auth_cert_resolver);
        config.client_auth_cert_resolver =
            Arc::new(ObservedVerifier { handshake_observer: Arc::clone(self), inner: identity });
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    fn lock(&self) -> MutexGuard<'_, HandshakeRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records what it sees and delegates every decision to `inner`.
#[derive(Debug)]
struct ObservedVerifier<T: ?Sized> {
    handshake_observer: Arc<HandshakeObserver>,
    inner: Arc<T>,
}

impl ServerCertVerifier for ObservedVerifier<dyn ServerCertVerifier> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Rustls> {
        self.handshake_observer.lock().server_certificate = Some(end_entity.clone().into_owned());
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
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

    fn requires_raw_public_keys(&self) -> bool {
        self.inner.requires_raw_public_keys()
    }
}

impl ResolvesClientCert for ObservedVerifier<dyn ResolvesClientCert> {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let identity = self.inner.resolve(hints, schemes);
        let mut record = self.handshake_observer.lock();
        record.client_certificate_requested = true;
        record.client_certificate = identity.as_ref().and_then(|identity| identity.cert.first().cloned());
        identity
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}
