//! The certificates that a connection to the cluster depends on, and when they expire.

use std::fmt;
use std::sync::Arc;

use thiserror::Error as ThisError;
use tokio::task::JoinSet;

use crate::kvstore::Store;
use crate::time::Time;
use crate::transport::dial::trace::DialTrace;
use crate::transport::tls::certificate::Certificate;
use crate::transport::tls::handshake_observer::HandshakeObserver;
use crate::transport::tls::{ca_certificates, client_certificate};
use crate::transport::{Endpoint, Scheme};

use super::scan::format_causes;

/// Whose certificate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateRole {
    /// A member's.
    Server,
    /// The one that kvadm presents.
    Client,
    /// An authority's in the CA file.
    Ca,
}

impl fmt::Display for CertificateRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server certificate",
            Self::Client => "client certificate",
            Self::Ca => "certificate authority",
        })
    }
}

/// A certificate and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFact {
    /// The endpoint that has presented it; `None` for one from a file.
    pub endpoint: Option<String>,
    /// The file that it comes from; `None` for a server's.
    pub file: Option<String>,
    /// Whose certificate it is.
    pub role: CertificateRole,
    /// The subject, as `CN=etcd, O=…`.
    pub subject: String,
    /// The end of its validity.
    pub not_after: Time,
}

/// A certificate that cannot be read.
#[derive(Clone, Debug, ThisError, PartialEq, Eq)]
#[error("{origin}: {why}")]
pub struct CertificateError {
    /// The endpoint or the file.
    pub origin: String,
    /// Why not.
    pub why: String,
}

/// The server certificate of each member that has TLS (those of the endpoints, and those that the cluster lists and that may be
/// dialed), the client certificate, and of the CA file the authorities that have issued these server certificates, the one that
/// ends last if several have one name. A certificate that is refused, for example because it has expired, is in the list too.
/// Empty without TLS.
pub async fn certificates(store: &Store) -> Vec<Result<CertificateFact, CertificateError>> {
    let options = store.options();
    if !options.endpoints.iter().any(|endpoint| endpoint.scheme == Scheme::Tls) {
        return Vec::new();
    }
    let endpoints = tls_endpoints(store).await;
    let mut asked: JoinSet<(usize, Result<Certificate, CertificateError>)> = JoinSet::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let (store, endpoint) = (store.clone(), endpoint.clone());
        asked.spawn(async move { (index, server_certificate(&store, &endpoint).await) });
    }
    let mut servers = asked.join_all().await;
    servers.sort_by_key(|(index, _)| *index);
    let mut issuers = Vec::new();
    let mut found = Vec::new();
    for ((_, certificate), endpoint) in servers.into_iter().zip(&endpoints) {
        found.push(certificate.map(|certificate| {
            issuers.push(certificate.issuer.clone());
            let fact = CertificateFact { endpoint: Some(endpoint.to_string()), ..fact_of(&certificate) };
            CertificateFact { role: CertificateRole::Server, ..fact }
        }));
    }
    if let Some(file) = &options.tls.cert {
        let origin = file.display().to_string();
        let read = client_certificate(file).map(|certificate| fact_of(&certificate));
        found.push(of_file(&origin, read, CertificateRole::Client));
    }
    if let Some(file) = &options.tls.ca {
        let origin = file.display().to_string();
        match ca_certificates(file) {
            Ok(all) => {
                let used = authorities_in_use(&all, &issuers).into_iter();
                found.extend(used.map(|one| of_file(&origin, Ok(fact_of(one)), CertificateRole::Ca)));
            }
            Err(error) => found.push(of_file(&origin, Err(error), CertificateRole::Ca)),
        }
    }
    found
}

fn fact_of(certificate: &Certificate) -> CertificateFact {
    CertificateFact {
        endpoint: None,
        file: None,
        role: CertificateRole::Server,
        subject: certificate.subject.clone(),
        not_after: certificate.expiry(),
    }
}

fn of_file(
    origin: &str,
    read: Result<CertificateFact, crate::transport::TlsError>,
    role: CertificateRole,
) -> Result<CertificateFact, CertificateError> {
    match read {
        Ok(fact) => Ok(CertificateFact { file: Some(origin.to_owned()), role, ..fact }),
        Err(error) => Err(CertificateError { origin: origin.to_owned(), why: error.to_string() }),
    }
}

/// Of each authority that has issued a server certificate, the certificate that ends last: a file may hold a former one and its
/// successor. If no authority of the file has (the servers send an intermediate certificate, or do not answer), of all.
fn authorities_in_use<'a>(all: &'a [Certificate], issuers: &[String]) -> Vec<&'a Certificate> {
    let mut latest: Vec<&Certificate> = Vec::new();
    for one in all {
        match latest.iter_mut().find(|other| other.subject == one.subject) {
            Some(other) if one.expiry() > other.expiry() => *other = one,
            Some(_) => {}
            None => latest.push(one),
        }
    }
    let used: Vec<&Certificate> = latest.iter().copied().filter(|one| issuers.contains(&one.subject)).collect();
    if used.is_empty() { latest } else { used }
}

/// The configured endpoints with TLS, and for each other member its first address that may be dialed.
async fn tls_endpoints(store: &Store) -> Vec<Endpoint> {
    let configured = &store.options().endpoints;
    let tls = configured.first().is_some_and(|endpoint| endpoint.scheme == Scheme::Tls);
    let mut endpoints: Vec<Endpoint> =
        configured.iter().filter(|endpoint| endpoint.scheme == Scheme::Tls).cloned().collect();
    // A cluster that does not answer cannot list its members; the certificates of the endpoints may tell why.
    let listed = store.members().await.map(|listed| listed.members).unwrap_or_default();
    for member in listed {
        let urls: Vec<Endpoint> = member.client_urls.iter().filter_map(|url| Endpoint::parse(url, tls).ok()).collect();
        if urls.iter().any(|url| configured.contains(url)) {
            continue;
        }
        let found = urls.into_iter().find(|url| url.scheme == Scheme::Tls && url.is_as_safe_as(configured));
        endpoints.extend(found.filter(|url| !endpoints.contains(url)));
    }
    endpoints
}

/// Connects, and takes the certificate of the handshake, even if it is refused.
async fn server_certificate(store: &Store, endpoint: &Endpoint) -> Result<Certificate, CertificateError> {
    let pinned = store.probe(endpoint);
    let observer = Arc::new(HandshakeObserver::default());
    let trace = DialTrace::watched(Arc::clone(&observer));
    let reached = tokio::select! {
        biased;
        error = pinned.ended("dial") => Err(error),
        reached = pinned.dial_traced(&trace) => reached,
    };
    let failed = |why: String| CertificateError { origin: endpoint.to_string(), why };
    match (observer.record().server_certificate, reached) {
        (Some(der), _) => Certificate::parse(&der).ok_or_else(|| failed("its certificate cannot be read".to_owned())),
        (None, Err(error)) => Err(failed(format_causes(&error))),
        (None, Ok(())) => Err(failed("it has presented no certificate".to_owned())),
    }
}
