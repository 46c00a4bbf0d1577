//! The errors of requests to etcd, classified by what they mean for the caller.
//!
//! The client library's error texts are never shown: they are Debug output without an endpoint. etcd's gRPC codes are
//! ambiguous (`OutOfRange` has four meanings), so its messages decide the class. They are the same in etcd 3.4 to 3.7.

use std::time::Duration;

use thiserror::Error;
use tonic::{Code, Status};

use crate::kvstore::identity::StoreMismatch;
use crate::kvstore::types::Revision;
use crate::transport::TlsError;
use crate::transport::failure::{EndpointFailure, TransportFailure};

/// etcd's message for a request that a learner does not serve (`ErrGRPCNotSupportedForLearner`).
const LEARNER: &str = "rpc not supported for learner";

/// Why etcd refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Authentication is enabled and the request has no user.
    NoUser,
    /// The user name or password is wrong.
    BadPassword,
    /// The auth token is invalid or has expired.
    BadToken,
    /// The users or roles have changed since the login, or since the request was received.
    StaleAuth,
    /// The user lacks the permission.
    Permission,
    /// A user logs in, but authentication is not enabled.
    AuthNotEnabled,
    /// The requested revision has been compacted.
    Compacted,
    /// The requested revision does not exist yet.
    FutureRevision,
    /// The store is over its quota (the NOSPACE alarm).
    NoSpace,
    /// The request is larger than the server's --max-request-bytes.
    TooLarge,
    /// The response is larger than kvadm accepts; the request itself was applied.
    OversizedAnswer,
    /// More operations or compares in one transaction than the server's --max-txn-ops.
    TooManyOps,
    /// One transaction writes a key twice.
    DuplicateKey,
    /// The lease does not exist.
    LeaseNotFound,
    /// The lease ID is taken.
    LeaseExists,
    /// The lease's TTL is out of range.
    LeaseTtl,
    /// The key is empty.
    EmptyKey,
    /// A member's data is corrupt (the CORRUPT alarm).
    Corrupt,
    /// This version of etcd does not support the request.
    Unsupported,
    /// Any other reason; see the message.
    Other,
}

/// Why a request failed.
#[derive(Debug, Error)]
pub enum Error {
    /// No endpoint could be reached. Nothing was sent.
    #[error("no etcd endpoint could be reached")]
    Unreachable {
        /// Each endpoint with its own cause, in the order they were given.
        failures: Vec<EndpointFailure>,
    },
    /// A TLS file is missing or unusable. No endpoint was dialed.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A read was not answered in time.
    #[error("no response from {endpoint} to '{op}' within {after:?}")]
    Timeout {
        /// The operation.
        op: &'static str,
        /// The endpoint that did not answer.
        endpoint: String,
        /// The timeout.
        after: Duration,
    },
    /// The command's deadline passed; nothing was applied.
    #[error("the command's --deadline passed during '{op}'")]
    Deadline {
        /// The operation.
        op: &'static str,
        /// The error of the last attempt.
        #[source]
        last: Option<Box<Error>>,
    },
    /// The connection was lost during a request.
    #[error("connection to {endpoint} lost: {cause}")]
    Broken {
        /// The endpoint.
        endpoint: String,
        /// How the connection ended.
        cause: String,
    },
    /// A member answered that it cannot serve the request now.
    #[error("{endpoint} cannot serve '{op}' now: {message}")]
    Unavailable {
        /// The operation.
        op: &'static str,
        /// The member's endpoint.
        endpoint: String,
        /// etcd's message.
        message: String,
    },
    /// A write was sent, and it is unknown whether etcd applied it.
    #[error("'{op}' was sent, but it is unknown whether etcd applied it")]
    Unknown {
        /// The operation.
        op: &'static str,
        /// Why there is no response.
        #[source]
        cause: Box<Error>,
    },
    /// etcd refused the request; it was not applied.
    #[error("etcd refused '{op}': {message}")]
    Refused {
        /// The operation.
        op: &'static str,
        /// The reason.
        kind: Refusal,
        /// etcd's message, without the prefix `etcdserver:`.
        message: String,
    },
    /// The lock that guards the request is no longer held.
    #[error("the lock {key} at revision {revision} is no longer held")]
    LockLost {
        /// The lock key, escaped for display.
        key: String,
        /// The create revision of the guard.
        revision: Revision,
    },
    /// The endpoint serves another store than the one that the command began with.
    #[error("{mismatch}{}", executed.map(|op| format!("; '{op}' was executed there")).unwrap_or_default())]
    OtherStore {
        /// How the store differs.
        mismatch: StoreMismatch,
        /// The operation, if it is a write that the other store has executed.
        executed: Option<&'static str>,
    },
    /// The response violates etcd's protocol.
    #[error("etcd's response to '{op}' is invalid: {what}")]
    Protocol {
        /// The operation.
        op: &'static str,
        /// What is missing or wrong.
        what: String,
    },
    /// A signal ended the command.
    #[error("interrupted during '{op}'")]
    Interrupted {
        /// The operation.
        op: &'static str,
        /// Whether a write was in flight, so that it may have been applied.
        unknown: bool,
    },
}

impl Error {
    /// Whether this is etcd's refusal of the given kind.
    pub fn is_refusal(&self, expected: Refusal) -> bool {
        matches!(self, Self::Refused { kind, .. } if *kind == expected)
    }

    /// Whether the same request may succeed later: etcd was not reached, did not answer, or could not serve it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Broken { .. } | Self::Unavailable { .. })
    }

    /// Whether a learner answered that it does not serve this request.
    pub fn is_learner_refusal(&self) -> bool {
        matches!(self, Self::Unavailable { message, .. } if message == LEARNER)
    }

    /// The error and its causes in one line, with each endpoint's own cause.
    pub fn one_line(&self) -> String {
        match self {
            Self::Unreachable { failures } => failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            error => match std::error::Error::source(error).and_then(of_store) {
                Some(cause) => format!("{error}: {}", cause.one_line()),
                None => error.to_string(),
            },
        }
    }
}

/// What is known about the effect of a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The request was not sent, or etcd did not apply it and a retry may succeed.
    NotDone,
    /// etcd may have applied the request, or may still apply it.
    Unknown,
    /// etcd did not apply the request and a retry cannot succeed.
    Final,
}

/// The store's error that a cause in an error chain is; an error of the store keeps another one in a box.
pub(crate) fn of_store<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    cause.downcast_ref().or_else(|| cause.downcast_ref::<Box<Error>>().map(Box::as_ref))
}

/// Classifies an error of the client library.
pub(crate) fn classify(op: &'static str, endpoint: &str, error: etcd_client::Error) -> (Error, Delivery) {
    use etcd_client::Error as Lib;
    match error {
        Lib::GRpcStatus(status) => classify_status(op, endpoint, &status),
        Lib::LeaseKeepAliveError(message) => {
            (Error::Refused { op, kind: Refusal::LeaseNotFound, message }, Delivery::Final)
        }
        other => (Error::Protocol { op, what: other.to_string() }, Delivery::Final),
    }
}

fn classify_status(op: &'static str, endpoint: &str, status: &Status) -> (Error, Delivery) {
    if let Some(failure) = transport_failure(status) {
        return failure;
    }
    let message = strip_prefix(status.message());
    if let Some(source) = std::error::Error::source(status) {
        // Only the transport sets a source on a status: the stream was cut after it had started.
        let error = Error::Broken { endpoint: endpoint.to_owned(), cause: root_cause(source) };
        return (error, Delivery::Unknown);
    }
    let owned = || message.to_owned();
    let unavailable = || Error::Unavailable { op, endpoint: endpoint.to_owned(), message: owned() };
    match (status.code(), message) {
        (_, "no leader" | "too many requests" | "not capable" | LEARNER) => (unavailable(), Delivery::NotDone),
        (Code::ResourceExhausted, m) if m.contains("too many requests") => (unavailable(), Delivery::NotDone),
        (Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted, _) => {
            (unavailable(), Delivery::Unknown)
        }
        (_, m) if is_unknown_outcome(m) => (unavailable(), Delivery::Unknown),
        (code, m) => (Error::Refused { op, kind: refusal(code, m), message: owned() }, Delivery::Final),
    }
}

/// Whether a server gave up waiting for its own raft proposal, which may still be committed.
fn is_unknown_outcome(message: &str) -> bool {
    ["request timed out", "leader changed", "server stopped", "context deadline exceeded", "context canceled"]
        .iter()
        .any(|text| message.contains(text))
}

fn transport_failure(status: &Status) -> Option<(Error, Delivery)> {
    let mut next = std::error::Error::source(status);
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref::<TransportFailure>() {
            return Some(from_transport(failure));
        }
        next = error.source();
    }
    None
}

/// Classifies a failure of the transport.
pub(crate) fn from_transport(failure: &TransportFailure) -> (Error, Delivery) {
    match failure.clone() {
        TransportFailure::Dial(failures) => (Error::Unreachable { failures }, Delivery::NotDone),
        TransportFailure::Tls(error) => (Error::Tls(error), Delivery::Final),
        TransportFailure::Rejected(reason) => match reason.downcast_ref::<StoreMismatch>() {
            Some(mismatch) => (Error::OtherStore { mismatch: mismatch.clone(), executed: None }, Delivery::Final),
            None => (Error::Protocol { op: "connect", what: reason.to_string() }, Delivery::Final),
        },
        TransportFailure::NotSent { endpoint, cause } => (Error::Broken { endpoint, cause }, Delivery::NotDone),
        TransportFailure::Cut { endpoint, cause } => (Error::Broken { endpoint, cause }, Delivery::Unknown),
    }
}

/// The text of the innermost error in the source chain.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// etcd's message without its prefix.
pub(crate) fn strip_prefix(message: &str) -> &str {
    message.strip_prefix("etcdserver: ").or_else(|| message.strip_prefix("auth: ")).unwrap_or(message)
}

/// The kind of refusal that etcd's message stands for.
pub(crate) fn refusal(code: Code, message: &str) -> Refusal {
    match message {
        "user name is empty" => Refusal::NoUser,
        "authentication failed, invalid user ID or password" => Refusal::BadPassword,
        "invalid auth token" => Refusal::BadToken,
        "revision in header is old" | "revision of auth store is old" => Refusal::StaleAuth,
        "permission denied" => Refusal::Permission,
        "authentication is not enabled" => Refusal::AuthNotEnabled,
        "mvcc: required revision has been compacted" => Refusal::Compacted,
        "mvcc: required revision is a future revision" => Refusal::FutureRevision,
        "mvcc: database space exceeded" => Refusal::NoSpace,
        "request is too large" => Refusal::TooLarge,
        "too many operations in txn request" => Refusal::TooManyOps,
        "duplicate key given in txn request" => Refusal::DuplicateKey,
        "requested lease not found" => Refusal::LeaseNotFound,
        "lease already exists" => Refusal::LeaseExists,
        "too large lease TTL" => Refusal::LeaseTtl,
        "key is not provided" => Refusal::EmptyKey,
        "corrupt cluster" => Refusal::Corrupt,
        m if m.contains("received message larger than max") => Refusal::TooLarge,
        // These two come from the client library, after the server has answered.
        m if m.contains("decoded message length too large") => Refusal::OversizedAnswer,
        m if m.contains("trying to send message larger than max") => Refusal::OversizedAnswer,
        _ => match code {
            Code::PermissionDenied => Refusal::Permission,
            Code::Unimplemented => Refusal::Unsupported,
            Code::DataLoss => Refusal::Corrupt,
            Code::Unauthenticated => Refusal::BadToken,
            _ => Refusal::Other,
        },
    }
}
