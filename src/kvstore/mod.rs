//! The thin module over etcd-client: everything kvadm knows of etcd's wire is here, and `etcd_client` is named
//! nowhere else.
//!
//! Inside, keys are absolute. The store prepends the configured namespace to every key on the way in and
//! trims it on the way out; lock guards alone hold absolute keys, because they name somebody's lock and not a key
//! of the namespace.

mod body;
mod channel;
mod diagnose;
mod dial;
mod endpoint;
mod error;
mod io;
mod observe;
mod options;
mod race;
mod range;
mod secret;
#[cfg(test)]
mod testing;
mod tls;
mod tls_causes;
mod types;

pub use endpoint::{Endpoint, EndpointError, Scheme};
pub use error::{EndpointFailure, Error, Refusal};
pub use observe::{Notice, Observer, Trace};
pub use options::{ConnectOptions, ConnectWait, Credentials, Session, TlsFiles};
pub use range::KeyRange;
pub use secret::Secret;
pub use tls::TlsError;
pub use types::{KeyValue, LeaseId, Revision};
