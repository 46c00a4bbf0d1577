//! What can go wrong between kvadm and etcd, told apart by what it means for the one who asked.
//!
//! The client library's own error texts are never shown: they are Debug dumps and name no endpoint. etcd's gRPC codes
//! collide (`OutOfRange` alone has four meanings), so its messages decide. The messages are the same from
//! etcd 3.4 to 3.7.

use std::time::Duration;

use thiserror::Error;
use tonic::{Code, Status};

use crate::kvstore::types::Revision;
use crate::transport::TlsError;
use crate::transport::failure::{EndpointFailure, TransportFailure};

/// etcd's message for a request that a learner does not serve (`ErrGRPCNotSupportedForLearner`).
const LEARNER: &str = "rpc not supported for learner";

/// Why etcd would not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Authentication is on and no user was given.
    NoUser,
    /// User name or password is wrong.
    BadPassword,
    /// The token has expired or is none.
    BadToken,
    /// The user may not do this.
    Permission,
    /// A user logs in, but authentication is not enabled.
    AuthNotEnabled,
    /// The revision asked for has been compacted.
    Compacted,
    /// The revision asked for does not exist yet.
    FutureRevision,
    /// The store is over its quota (the NOSPACE alarm).
    NoSpace,
    /// The request is larger than the server takes.
    TooLarge,
    /// The answer is larger than this program takes in one piece; the request itself was done.
    OversizedAnswer,
    /// More operations or compares in one transaction than the server takes.
    TooManyOps,
    /// One transaction writes a key twice.
    DuplicateKey,
    /// No such lease.
    LeaseNotFound,
    /// The lease ID is taken.
    LeaseExists,
    /// The lease's TTL is out of range.
    LeaseTtl,
    /// The key is empty.
    EmptyKey,
    /// The store is corrupt (the CORRUPT alarm).
    Corrupt,
    /// This version of etcd does not know the request.
    Unsupported,
    /// Anything else; the message says what.
    Other,
}

/// A request that did not end well.
#[derive(Debug, Error)]
pub enum Error {
    /// No endpoint could be reached. Nothing was sent.
    #[error("no etcd endpoint could be reached")]
    Unreachable {
        /// Each endpoint with its own cause, in the order they were given.
        failures: Vec<EndpointFailure>,
    },
    /// A TLS file is missing or unusable. Nothing was dialled.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A read had no answer in time.
    #[error("no answer from {endpoint} to '{op}' within {after:?}")]
    Timeout {
        /// The operation.
        op: &'static str,
        /// Who did not answer.
        endpoint: String,
        /// How long was waited.
        after: Duration,
    },
    /// The time given to the whole command is over; nothing was done.
    #[error("the deadline for the whole command is over (during '{op}')")]
    Deadline {
        /// The operation.
        op: &'static str,
        /// What went wrong before.
        #[source]
        last: Option<Box<Error>>,
    },
    /// The connection broke under a request.
    #[error("the connection to {endpoint} broke: {cause}")]
    Broken {
        /// Whose connection.
        endpoint: String,
        /// How it broke.
        cause: String,
    },
    /// A member answered that the cluster cannot serve this now.
    #[error("{endpoint} cannot serve '{op}' now: {message}")]
    Unavailable {
        /// The operation.
        op: &'static str,
        /// The member.
        endpoint: String,
        /// etcd's words.
        message: String,
    },
    /// The request was sent, and nobody can say whether etcd did it.
    #[error("'{op}' was sent, and whether etcd did it is unknown")]
    Unknown {
        /// The operation.
        op: &'static str,
        /// What kept the answer away.
        #[source]
        cause: Box<Error>,
    },
    /// etcd said no.
    #[error("etcd refused '{op}': {message}")]
    Refused {
        /// The operation.
        op: &'static str,
        /// Which kind of no.
        kind: Refusal,
        /// etcd's words, without the `etcdserver:` in front.
        message: String,
    },
    /// A request guarded by a lock found the lock gone.
    #[error("the lock {key} at revision {revision} is not held any more")]
    LockLost {
        /// The lock key, escaped for display.
        key: String,
        /// The create revision that was asked for.
        revision: Revision,
    },
    /// The answer is not what the protocol says it must be.
    #[error("etcd's answer to '{op}' makes no sense: {what}")]
    Protocol {
        /// The operation.
        op: &'static str,
        /// What is missing or wrong.
        what: String,
    },
    /// The user ended the program. `unknown` where a write was in flight.
    #[error("interrupted during '{op}'")]
    Interrupted {
        /// The operation.
        op: &'static str,
        /// Whether a write may have been done.
        unknown: bool,
    },
}

impl Error {
    /// Whether this is etcd's refusal of the given kind.
    pub fn is_refusal(&self, wanted: Refusal) -> bool {
        matches!(self, Self::Refused { kind, .. } if *kind == wanted)
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

/// What is known of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It never left, or etcd said it did nothing and another try may do better.
    NotDone,
    /// It may have been done, or may still be.
    Unknown,
    /// etcd's answer is final: it was not done and will not be.
    Final,
}

/// The store's error that a cause in an error chain is; an error of the store keeps another one in a box.
pub(crate) fn of_store<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    cause.downcast_ref().or_else(|| cause.downcast_ref::<Box<Error>>().map(Box::as_ref))
}

/// Tells a failed request's error and fate from what the client library gave.
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
    let message = strip(status.message());
    if let Some(source) = std::error::Error::source(status) {
        // Only the transport leaves a source on a status: the stream was cut after it had begun.
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
        // A member that lags behind does not know a revision the others have.
        (_, "mvcc: required revision is a future revision") => {
            (Error::Refused { op, kind: Refusal::FutureRevision, message: owned() }, Delivery::Final)
        }
        (code, m) => (Error::Refused { op, kind: refusal(code, m), message: owned() }, Delivery::Final),
    }
}

/// The words of a server that gave up waiting for its own proposal.
fn is_unknown_outcome(message: &str) -> bool {
    ["request timed out", "leader changed", "server stopped", "context deadline exceeded", "context canceled"]
        .iter()
        .any(|words| message.contains(words))
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

/// What a failure of the transport means for the request.
pub(crate) fn from_transport(failure: &TransportFailure) -> (Error, Delivery) {
    match failure.clone() {
        TransportFailure::Dial(failures) => (Error::Unreachable { failures }, Delivery::NotDone),
        TransportFailure::Tls(error) => (Error::Tls(error), Delivery::Final),
        TransportFailure::NotSent { endpoint, cause } => (Error::Broken { endpoint, cause }, Delivery::NotDone),
        TransportFailure::Cut { endpoint, cause } => (Error::Broken { endpoint, cause }, Delivery::Unknown),
    }
}

/// The innermost error's text.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// etcd's message without the prefix that every one of them has; of the maintenance calls it is another one.
pub(crate) fn strip(message: &str) -> &str {
    message.strip_prefix("etcdserver: ").or_else(|| message.strip_prefix("auth: ")).unwrap_or(message)
}

/// Which kind of no a message of etcd's is.
pub(crate) fn refusal(code: Code, message: &str) -> Refusal {
    match message {
        "user name is empty" => Refusal::NoUser,
        "authentication failed, invalid user ID or password" => Refusal::BadPassword,
        "invalid auth token" => Refusal::BadToken,
        "permission denied" => Refusal::Permission,
        "authentication is not enabled" => Refusal::AuthNotEnabled,
        "mvcc: required revision has been compacted" => Refusal::Compacted,
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
        // Said by the client library, behind the server's answer.
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
