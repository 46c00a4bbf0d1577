//! Recognises RSA keys that are too short. The TLS library only says that a signature is invalid.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error as Rustls, OtherError};

use crate::transport::tls::certificate::Certificate;

/// The shortest RSA key that the TLS library accepts, in bits.
const LEAST_BITS: usize = 2048;

/// A certificate whose RSA key is too short.
#[derive(Debug)]
pub(super) struct WeakKey {
    /// What the certificate is.
    owner: String,
    bits: usize,
}

impl fmt::Display for WeakKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the RSA key of {} has {} bits, fewer than {LEAST_BITS}", self.owner, self.bits)
    }
}

impl std::error::Error for WeakKey {}

/// Replaces an invalid signature of the server's certificate, or one made with its key, by the short key behind it. The
/// key is the server's own, or that of its issuer among `issuers`.
pub(super) fn explain<'a>(
    error: Rustls,
    server: &CertificateDer<'_>,
    issuers: impl IntoIterator<Item = &'a CertificateDer<'a>>,
) -> Rustls {
    if error != Rustls::InvalidCertificate(CertificateError::BadSignature) {
        return error;
    }
    let Some(parsed) = Certificate::parse(server) else { return error };
    let short = |bits: &usize| *bits < LEAST_BITS;
    let weak = match parsed.rsa_bits.filter(short) {
        Some(bits) => Some(WeakKey { owner: "the server's certificate".to_owned(), bits }),
        None => issuers.into_iter().find_map(|issuer| {
            let issuer = Certificate::parse(issuer).filter(|issuer| issuer.subject == parsed.issuer)?;
            let bits = issuer.rsa_bits.filter(short)?;
            Some(WeakKey { owner: format!("the authority '{}' of the server's certificate", issuer.subject), bits })
        }),
    };
    weak.map_or(error, |weak| CertificateError::Other(OtherError(Arc::new(weak))).into())
}
