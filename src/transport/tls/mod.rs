//! The TLS client configuration: trusted authorities and the client certificate.
//!
//! TLS 1.2 and 1.3 with aws-lc-rs. It accepts the PEM files that etcdctl accepts: keys as PKCS#1, PKCS#8 or SEC1, and
//! certificates of X.509 version 1 too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error as Rustls, InconsistentKeys, RootCertStore,
    SignatureScheme,
};
use thiserror::Error;

use crate::bounded_file;
use crate::transport::options::TlsFiles;
use crate::transport::tls::certificate::Certificate;
use crate::transport::tls::discovered::DomainVerifier;
use crate::transport::tls::self_signed::TrustedLeaves;

pub(crate) mod cause;
pub(crate) mod certificate;
mod discovered;
pub(crate) mod handshake_observer;
mod self_signed;
mod weak_key;

/// Upper bound on a TLS file: far above a bundle of every public authority (0.3 MiB).
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why the TLS files cannot be used. No endpoint was dialed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TlsError {
    /// The file does not exist or cannot be read.
    #[error("cannot read the {role} {}: {cause}", file.display())]
    Unreadable {
        /// The file's role: `CA file`, `client certificate`, `private key`.
        role: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's message.
        cause: String,
    },
    /// The file is not valid PEM.
    #[error("the {role} {} is not valid PEM: {cause}", file.display())]
    Damaged {
        /// The file's role.
        role: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The file contains no certificate.
    #[error("the {role} {} contains no certificate", file.display())]
    NoCertificate {
        /// The file's role.
        role: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// The file contains no private key.
    #[error("{} contains no private key", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// The private key is protected by a passphrase.
    #[error("the private key {} is encrypted", file.display())]
    EncryptedKey {
        /// The file.
        file: PathBuf,
    },
    /// The private key has a type or size that the TLS library does not support.
    #[error("the private key {} has an unsupported type or size", file.display())]
    KeyType {
        /// The file.
        file: PathBuf,
    },
    /// The private key does not belong to the certificate.
    #[error("the private key {} does not match the certificate {}", key.display(), cert.display())]
    KeyMismatch {
        /// The key file.
        key: PathBuf,
        /// The certificate file.
        cert: PathBuf,
    },
    /// Only one of certificate and key is set.
    #[error("a client certificate needs cert-file and key-file, but only the {present} {} is set", file.display())]
    Half {
        /// The role of the file that is set.
        present: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// No CA file is set, and the system has no trusted certificates.
    #[error("ca-file is not set and this system has no trusted certificates")]
    NoSystemRoots,
    /// The TLS library rejects the configuration.
    #[error("cannot configure TLS: {0}")]
    Setup(String),
}

impl TlsError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path in the configuration and the file's permissions",
            Self::Damaged { .. } => "replace it with a PEM file (-----BEGIN …)",
            Self::NoCertificate { .. } => "the file must have a '-----BEGIN CERTIFICATE-----' block",
            Self::NoKey { .. } => "the file must have a '-----BEGIN … PRIVATE KEY-----' block (PKCS#1, PKCS#8 or SEC1)",
            Self::EncryptedKey { .. } => "decrypt it with 'openssl pkey -in FILE -out NEWFILE'",
            Self::KeyType { .. } => {
                "issue a certificate with an RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) or Ed25519 key"
            }
            Self::KeyMismatch { .. } => "set cert-file and key-file to files of the same pair",
            Self::Half { .. } => "set cert-file and key-file, or neither",
            Self::NoSystemRoots => "set ca-file",
            Self::Setup(_) => "check ca-file, cert-file and key-file",
        }
    }
}

const CA: &str = "CA file";
const CERT: &str = "client certificate";
const KEY: &str = "private key";

/// The configuration that all TLS connections share.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    /// The verifier of the server's certificate, which `ClientConfig` does not expose; for the handshake observer.
    verifier: Arc<dyn ServerCertVerifier>,
}

impl Tls {
    /// The configuration for HTTP/1. It names no protocol: etcd offers HTTP/2 only, and serves HTTP/1 to clients that do not choose.
    pub(crate) fn config_for_http1(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols.clear();
        Arc::new(config)
    }
}

/// Reads the files and builds the configuration.
///
/// # Errors
/// The first file that cannot be used.
pub(crate) fn client_config(files: &TlsFiles) -> Result<Tls, TlsError> {
    build_config(files).map_err(|error| match error {
        TlsError::Unreadable { role, file, cause } => {
            let other = files.elsewhere.iter().find(|(missing, _)| *missing == file);
            let cause = match other {
                Some((_, other)) => format!("{cause}; {} does not exist either", other.display()),
                None => cause,
            };
            TlsError::Unreadable { role, file, cause }
        }
        other => other,
    })
}

fn build_config(files: &TlsFiles) -> Result<Tls, TlsError> {
    let provider = Arc::new(provider());
    let setup = |error: Rustls| TlsError::Setup(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    // The CA file is read even if it is not needed, so that a wrong path is noticed.
    let named = files.ca.as_deref().map(read_roots).transpose()?;
    let verifier: Arc<dyn ServerCertVerifier> = if files.skip_verify {
        Arc::new(AcceptAny(Arc::clone(&provider)))
    } else {
        let (roots, trusted) = match named {
            Some(named) => named,
            None => (system_roots()?, Vec::new()),
        };
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        for_domain(files, Arc::new(TrustedLeaves { inner, trusted }))?
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::clone(&verifier));
    let mut config = with_identity(builder, files, &provider)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Tls { config: Arc::new(config), verifier })
}

/// The cryptography, with the hybrid post-quantum key exchange first, as in Go's clients. A server of Go 1.24 or later chooses
/// that group whenever the client names it. rustls sends a key share for its first group, and for X25519 together with the
/// hybrid group: for any other choice the server sends the client back to start, which costs a round trip.
fn provider() -> CryptoProvider {
    use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
    let provider = default_provider();
    let hybrid = kx_group::X25519MLKEM768;
    let others = provider.kx_groups.iter().copied().filter(|group| group.name() != hybrid.name());
    CryptoProvider { kx_groups: std::iter::once(hybrid).chain(others).collect(), ..provider }
}

/// The verifier that also knows the domain whose SRV records name the endpoints, if they do.
fn for_domain(files: &TlsFiles, inner: Arc<dyn ServerCertVerifier>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let Some((domain, hosts)) = files.discovered.clone() else { return Ok(inner) };
    let domain_name = ServerName::try_from(domain.clone())
        .map_err(|_| TlsError::Setup(format!("'{domain}' is not a name that a certificate can have")))?;
    Ok(Arc::new(DomainVerifier { inner, domain, domain_name, hosts }))
}

fn with_identity(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    files: &TlsFiles,
    provider: &CryptoProvider,
) -> Result<ClientConfig, TlsError> {
    match (&files.cert, &files.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(file), None) => Err(TlsError::Half { present: CERT, file: file.clone() }),
        (None, Some(file)) => Err(TlsError::Half { present: KEY, file: file.clone() }),
        (Some(cert), Some(key)) => {
            let identity = read_identity(cert, key, provider)?;
            Ok(builder.with_client_cert_resolver(Arc::new(ClientIdentity(Arc::new(identity)))))
        }
    }
}

fn read(role: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error: io::Error| TlsError::Unreadable {
        role,
        file: file.to_owned(),
        cause: crate::transport::cause::format_io_error(&error),
    };
    match bounded_file::read(file, MAX_FILE_BYTES) {
        Ok(read) => Ok(read.bytes),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let cause = "it is larger than 1 MiB".to_owned();
            Err(TlsError::Damaged { role, file: file.to_owned(), cause })
        }
        Err(error) => Err(failed(error)),
    }
}

/// What is wrong with a PEM file, without a byte of its contents: a private key may be among them.
fn describe_pem_error(error: &rustls::pki_types::pem::Error) -> &'static str {
    use rustls::pki_types::pem::Error as Pem;
    match error {
        Pem::MissingSectionEnd { .. } => "a section has no -----END line of its own",
        Pem::IllegalSectionStart { .. } => {
            "a -----BEGIN line is malformed; each -----BEGIN and -----END needs its own line"
        }
        Pem::Base64Decode(_) => "a section is not valid base64",
        Pem::NoItemsFound => "it holds no PEM section of this kind",
        Pem::SectionTooLarge => "a section is too large",
        _ => "it cannot be read as PEM",
    }
}

fn read_certificates(role: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(role, file)?;
    let damaged = |error: rustls::pki_types::pem::Error| TlsError::Damaged {
        role,
        file: file.to_owned(),
        cause: describe_pem_error(&error).to_owned(),
    };
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(damaged)?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { role, file: file.to_owned() });
    }
    Ok(found)
}

/// The fields of the client certificate, without those of its chain.
pub(crate) fn client_certificate(file: &Path) -> Result<Certificate, TlsError> {
    let chain = read_certificates(CERT, file)?;
    let leaf = chain.first().and_then(|der| Certificate::parse(der));
    leaf.ok_or_else(|| TlsError::NoCertificate { role: CERT, file: file.to_owned() })
}

/// The fields of all certificates of the CA file that can be read.
pub(crate) fn ca_certificates(file: &Path) -> Result<Vec<Certificate>, TlsError> {
    Ok(read_certificates(CA, file)?.iter().filter_map(|der| Certificate::parse(der)).collect())
}

/// The certificates of the CA file, as authorities and as they are.
fn read_roots(file: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let mut roots = RootCertStore::empty();
    let certificates = read_certificates(CA, file)?;
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| TlsError::Damaged {
            role: CA,
            file: file.to_owned(),
            cause: format!("a certificate cannot be parsed ({})", crate::transport::cause::format_rustls_error(&error)),
        })?;
    }
    Ok((roots, certificates))
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(TlsError::NoSystemRoots) } else { Ok(roots) }
}

fn read_identity(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = read_certificates(CERT, cert)?;
    let der = read_key(key)?;
    let signer = provider.key_provider.load_private_key(der).map_err(|_| TlsError::KeyType { file: key.to_owned() })?;
    let identity = CertifiedKey::new(chain, signer);
    let matches = match identity.keys_match() {
        Ok(()) | Err(Rustls::InconsistentKeys(InconsistentKeys::Unknown)) => true,
        Err(Rustls::InconsistentKeys(_)) => false,
        // rustls cannot parse certificates of X.509 version 1. They contain the public key verbatim.
        Err(_) => identity.key.public_key().is_none_or(|public| {
            identity.cert.first().is_some_and(|leaf| leaf.windows(public.len()).any(|part| part == public.as_ref()))
        }),
    };
    if matches { Ok(identity) } else { Err(TlsError::KeyMismatch { key: key.to_owned(), cert: cert.to_owned() }) }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls::pki_types::pem::Error as Pem;
    let pem = read(KEY, file)?;
    let has = |words: &[u8]| pem.windows(words.len()).any(|part| part == words);
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::EncryptedKey { file: file.to_owned() });
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        Pem::NoItemsFound => TlsError::NoKey { file: file.to_owned() },
        other => TlsError::Damaged { role: KEY, file: file.to_owned(), cause: describe_pem_error(&other).to_owned() },
    })
}

/// Presents the one certificate, whatever authorities the server names.
#[derive(Debug)]
struct ClientIdentity(Arc<CertifiedKey>);

impl ResolvesClientCert for ClientIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Accepts any certificate, but verifies that the peer has its private key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Rustls> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Rustls> {
        let verified = verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms);
        verified.map_err(|error| weak_key::explain(error, cert, []))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Rustls> {
        let verified = verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms);
        verified.map_err(|error| weak_key::explain(error, cert, []))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
