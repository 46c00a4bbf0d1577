//! The user as whom etcd treats the requests of this command.

use std::path::Path;

use crate::kvstore::store::Store;
use crate::transport::endpoint::Scheme;
use crate::transport::tls::client_certificate;

/// How etcd recognizes the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// By a login with a password.
    Password(String),
    /// By the common name of the client certificate, if the server runs with `--client-cert-auth`.
    Certificate(String),
}

impl Caller {
    /// The name of the user.
    pub fn user(&self) -> &str {
        match self {
            Self::Password(user) | Self::Certificate(user) => user,
        }
    }
}

impl Store {
    /// The configured user or, without one, the common name of the client certificate. etcd prefers a login as well.
    pub fn caller(&self) -> Option<Caller> {
        let options = self.options();
        if let Some(credentials) = &options.credentials {
            return Some(Caller::Password(credentials.user.clone()));
        }
        self.certificate_user().map(Caller::Certificate)
    }

    /// The common name of the client certificate, if connections present one.
    pub fn certificate_user(&self) -> Option<String> {
        let options = self.options();
        let has_tls = options.endpoints.iter().any(|endpoint| endpoint.scheme == Scheme::Tls);
        let file: &Path = options.tls.cert.as_deref().filter(|_| has_tls)?;
        // A file that cannot be read fails the first request.
        let name = client_certificate(file).ok()?.common_name?;
        (!name.is_empty()).then_some(name)
    }
}
