//! The errors of requests to etcd, classified by what they mean for the caller.
//!
//! The client library's error texts are never shown: they are Debug output without an endpoint. `classify` is the one place
//! that decides what an answer, a missing answer and a spoiled answer mean.

use std::time::Duration;

use thiserror::Error;
use tonic::{Code, Status};

use crate::kvstore::identity::StoreMismatch;
use crate::kvstore::local::LocalError;
use crate::kvstore::refusal::{LEARNER, Refusal, Verdict, strip_prefix, verdict};
use crate::kvstore::types::Revision;
use crate::transport::TlsError;
use crate::transport::connection_cause::format_source;
use crate::transport::failure::{EndpointFailure, TransportFailure};

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
    #[error("the deadline passed during '{op}'")]
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
    /// The endpoint answered with an error that is not etcd's: a load balancer's page, or an unknown gRPC status.
    #[error("{endpoint} answered '{op}' with {what}")]
    UnknownStatus {
        /// The operation.
        op: &'static str,
        /// The endpoint.
        endpoint: String,
        /// The answer.
        what: String,
    },
    /// The response violates etcd's protocol.
    #[error("etcd's response to '{op}' is invalid: {what}")]
    Protocol {
        /// The operation.
        op: &'static str,
        /// What is missing or wrong.
        what: String,
    },
    /// A file that is read instead of a cluster cannot answer.
    #[error("cannot read {store}: {cause}")]
    Local {
        /// The file.
        store: String,
        /// Why not.
        cause: LocalError,
    },
    /// Other clients changed the same keys during each attempt; nothing was applied by the last one.
    #[error("'{op}' failed: {what}")]
    Contended {
        /// The operation.
        op: &'static str,
        /// What keeps changing.
        what: String,
    },
    /// A bug in kvadm.
    #[error("'{op}' failed inside kvadm: {what}")]
    Internal {
        /// The operation.
        op: &'static str,
        /// What should not have happened.
        what: String,
    },
    /// A signal ended the command.
    #[error("interrupted{}", if *unknown { format!(" during '{op}'") } else { String::new() })]
    Interrupted {
        /// The operation.
        op: &'static str,
        /// Whether a write was in flight, so that it may have been applied.
        unknown: bool,
    },
}

impl Error {
    /// Whether this is etcd's refusal of the given kind, or that of a file that is read instead.
    pub fn is_refusal(&self, expected: Refusal) -> bool {
        match self {
            Self::Refused { kind, .. } => *kind == expected,
            Self::Local { cause, .. } => cause.refusal() == Some(expected),
            _ => false,
        }
    }

    /// Whether etcd refused the user, the password, the token or the permission, which tells nothing about the cluster.
    pub fn is_auth_refusal(&self) -> bool {
        use Refusal::{AuthNotEnabled, BadPassword, BadToken, GivenToken, NoUser, Permission, StaleAuth};
        let kinds = [NoUser, BadPassword, BadToken, GivenToken, StaleAuth, Permission, AuthNotEnabled];
        kinds.into_iter().any(|kind| self.is_refusal(kind))
    }

    /// Whether the store is over its quota, whether or not the request was applied all the same.
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Unknown { cause, .. } => cause.is_refusal(Refusal::NoSpace),
            error => error.is_refusal(Refusal::NoSpace),
        }
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
    /// The answer does not tell whether etcd applied the request, and a retry cannot succeed.
    Ambiguous,
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
        // The text names only the library's own channel.
        Lib::WatchError(_) => (
            Error::Broken { endpoint: endpoint.to_owned(), cause: "the watch stream ended".to_owned() },
            Delivery::Unknown,
        ),
        other => (Error::Protocol { op, what: other.to_string() }, Delivery::Ambiguous),
    }
}

fn classify_status(op: &'static str, endpoint: &str, status: &Status) -> (Error, Delivery) {
    if let Some(failure) = transport_failure(status) {
        return failure;
    }
    if let Some(source) = std::error::Error::source(status) {
        // Only the transport sets a source on a status: the stream was cut after it had started.
        let error = Error::Broken { endpoint: endpoint.to_owned(), cause: format_source(source) };
        return (error, Delivery::Unknown);
    }
    let message = || match http_status(status.message()) {
        Some(http) => format!("HTTP status {http} instead of a gRPC response"),
        None if status.message().is_empty() => format!("gRPC code {:?} without a message", status.code()),
        None => strip_prefix(status.message()).to_owned(),
    };
    let unavailable = || Error::Unavailable { op, endpoint: endpoint.to_owned(), message: message() };
    match verdict(status.code(), status.message()) {
        Verdict::NotProcessed => (unavailable(), Delivery::NotDone),
        Verdict::Refused(kind) => {
            // etcd applies a write that exceeds the quota and then returns this error (`quotaApplierV3` in its
            // `server/etcdserver/apply.go`).
            let applied = matches!(kind, Refusal::NoSpace | Refusal::OversizedAnswer);
            let delivery = if applied { Delivery::Ambiguous } else { Delivery::Final };
            (Error::Refused { op, kind, message: message() }, delivery)
        }
        Verdict::Open => match (http_status(status.message()), status.code()) {
            // A load balancer without a server behind it, or a server that lost its own proposal.
            (Some(429 | 502 | 503 | 504), _)
            | (None, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted) => {
                (unavailable(), Delivery::Unknown)
            }
            (Some(http), _) => {
                let what = format!("HTTP status {http} instead of a gRPC response");
                (Error::UnknownStatus { op, endpoint: endpoint.to_owned(), what }, Delivery::Ambiguous)
            }
            (None, code) => {
                let what = format!("the unknown error \"{}\" (gRPC code {code:?})", message());
                (Error::UnknownStatus { op, endpoint: endpoint.to_owned(), what }, Delivery::Ambiguous)
            }
        },
    }
}

/// The HTTP status that the client library names in the text of an error, if the response is not gRPC.
fn http_status(message: &str) -> Option<u16> {
    let (_, rest) = message.split_once("with status: ").or_else(|| message.split_once("HTTP status code "))?;
    rest.get(..3)?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_ended_is_a_broken_connection() {
        let closed = etcd_client::Error::WatchError("channel closed".to_owned());
        let (error, delivery) = classify("lock watch", "127.0.0.1:2379", closed);
        assert_eq!(error.to_string(), "connection to 127.0.0.1:2379 lost: the watch stream ended");
        assert!(error.is_transient());
        assert_eq!(delivery, Delivery::Unknown);
    }
}
