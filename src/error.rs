//! What kvadm ends with: the failure classes, their exit codes, and what to do next.

use std::io;

use thiserror::Error as ThisError;

use crate::config::ConfigError;
use crate::kvstore::{self, Refusal};
use crate::output::ErrorView;

/// How the program ends. The one table of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or "yes".
    Done,
    /// "No": not found, nothing deleted, busy, or a wait that elapsed.
    No,
    /// Wrong usage or configuration.
    Usage,
    /// etcd could not be reached, or did not answer in time.
    Unreachable,
    /// etcd refused.
    Refused,
    /// A condition did not hold, or a safety rule refused.
    Conflict,
    /// Partly done, or degraded; the summary says what is left.
    Partial,
    /// Sent, and whether etcd did it is unknown.
    Unknown,
    /// A bug in kvadm, or an operating system that fails.
    Bug,
    /// Ended by a signal, which is raised again: 130 for SIGINT, 143 for SIGTERM.
    Interrupted,
    /// What the command that ran under kvadm ended with: its code, 128+n for a signal, 126 or 127 where it could not
    /// be started.
    Command(u8),
}

impl Exit {
    /// The code the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::Conflict => 5,
            Self::Partial => 6,
            Self::Unknown => 7,
            Self::Bug => 70,
            Self::Interrupted => 130,
            Self::Command(code) => code,
        }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// Its class.
    pub exit: Exit,
    /// What was tried, and the chain of causes.
    pub error: anyhow::Error,
    /// What to do next.
    pub hints: Vec<String>,
}

/// A usage error that clap cannot see.
#[derive(Debug, ThisError)]
#[error("{0}")]
struct Message(String);

impl Failure {
    /// A failure of the given class.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, error: Message(message.into()).into(), hints: Vec::new() }
    }

    /// Wrong usage that the parser cannot see.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A condition that did not hold, or a safety rule that refused.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Exit::Conflict, message)
    }

    /// Adds a line that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says in front of the causes what was being done.
    #[must_use]
    pub fn context(mut self, what: impl Into<String>) -> Self {
        self.error = self.error.context(what.into());
        self
    }

    /// Whether a write may have been done in spite of the failure.
    pub fn may_have_been_done(&self) -> bool {
        use kvstore::Error::{Interrupted, Unknown};
        let unknown = |cause: &(dyn std::error::Error + 'static)| {
            matches!(kvstore::error::of_store(cause), Some(Unknown { .. } | Interrupted { unknown: true, .. }))
        };
        self.exit == Exit::Unknown || self.error.chain().any(unknown)
    }

    /// The store's error that this failure is about, if it is about one.
    pub fn store_error(&self) -> Option<&kvstore::Error> {
        self.error.chain().find_map(kvstore::error::of_store)
    }

    /// The failure and its causes in one line.
    pub fn one_line(&self) -> String {
        let view = self.view();
        std::iter::once(view.error).chain(view.caused_by).collect::<Vec<_>>().join(": ")
    }

    /// Whether this is nothing but a reader that went away.
    pub fn is_broken_pipe(&self) -> bool {
        let pipe = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        };
        self.error.chain().any(pipe)
    }

    /// The failure as it is shown.
    pub fn view(&self) -> ErrorView {
        let mut chain = self.error.chain().map(ToString::to_string);
        let error = chain.next().unwrap_or_default();
        // A cause that only repeats what was said adds nothing.
        let mut caused_by: Vec<String> = Vec::new();
        for cause in chain {
            if cause != error && caused_by.last() != Some(&cause) {
                caused_by.push(cause);
            }
        }
        caused_by.extend(endpoint_causes(&self.error));
        ErrorView { error, caused_by, hints: self.hints.clone(), exit_code: self.exit.code() }
    }
}

/// One line an endpoint: each has its own cause.
fn endpoint_causes(error: &anyhow::Error) -> Vec<String> {
    let found = error.chain().find_map(|cause| match kvstore::error::of_store(cause) {
        Some(kvstore::Error::Unreachable { failures }) => Some(failures),
        _ => None,
    });
    found.map_or_else(Vec::new, |failures| failures.iter().map(ToString::to_string).collect())
}

impl From<kvstore::Error> for Failure {
    fn from(error: kvstore::Error) -> Self {
        let (exit, hints) = class(&error);
        Self { exit, error: error.into(), hints }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hints = error.hint.clone().into_iter().collect();
        Self { exit: Exit::Usage, error: error.into(), hints }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            exit: Exit::Partial,
            error: anyhow::Error::new(error).context("cannot write the output"),
            hints: Vec::new(),
        }
    }
}

/// What the store's error ends the program with, and what to do next.
pub fn class(error: &kvstore::Error) -> (Exit, Vec<String>) {
    use kvstore::Error;
    let one = |hint: &str| vec![hint.to_owned()];
    match error {
        Error::Unreachable { failures } => {
            let mut hints: Vec<String> = failures.iter().filter_map(|failure| failure.hint.clone()).collect();
            hints.dedup();
            if hints.is_empty() {
                hints.push(
                    "check --endpoints and whether etcd runs there; 'kvadm config' shows where each came from".into(),
                );
            }
            (Exit::Unreachable, hints)
        }
        Error::Tls(error) => {
            let where_from = "'kvadm config' shows where each TLS file was named";
            (Exit::Usage, vec![error.hint().to_owned(), where_from.to_owned()])
        }
        Error::Timeout { .. } => {
            (Exit::Unreachable, one("give it longer with --op-timeout, or ask 'kvadm status' which member is slow"))
        }
        Error::Deadline { .. } => (Exit::Unreachable, one("give the whole command longer with --deadline")),
        Error::Broken { .. } | Error::Unavailable { .. } => {
            (Exit::Unreachable, one("ask 'kvadm status' which members are up and who leads"))
        }
        Error::Unknown { .. } => {
            (Exit::Unknown, one("read it back before trying again: etcd may have done it, or may still do it"))
        }
        Error::Refused { kind, .. } => (Exit::Refused, refusal_hint(*kind).map(one).unwrap_or_default()),
        Error::LockLost { .. } => (Exit::Conflict, one("the request was not done; take the lock again and start over")),
        Error::Protocol { .. } => (Exit::Bug, one("is this an etcd server, version 3.4 or later?")),
        Error::Interrupted { unknown: true, .. } => {
            (Exit::Interrupted, one("a request was on its way: etcd may have done it, or may still do it"))
        }
        Error::Interrupted { .. } => (Exit::Interrupted, Vec::new()),
    }
}

fn refusal_hint(kind: Refusal) -> Option<&'static str> {
    Some(match kind {
        Refusal::NoUser => "authentication is on: give --user with --password-file or KVADM_PASSWORD",
        Refusal::BadPassword => "check --user and where the password comes from",
        Refusal::BadToken => "log in again; the server may have lost its tokens in a restart",
        Refusal::AuthNotEnabled => "leave --user out: authentication is not enabled in etcd",
        Refusal::Permission => "the user lacks a role for this key: see 'etcdctl user get' and 'etcdctl role get'",
        Refusal::Compacted => "older revisions are gone; read at a later revision, or leave --rev out",
        Refusal::FutureRevision => "the store has not come that far; 'kvadm status --revision' shows how far it is",
        Refusal::NoSpace => {
            "the store is over its quota: 'kvadm compact --reclaim' is the way out; where keys are too many, delete some before it"
        }
        Refusal::TooLarge => "etcd takes 1.5 MiB a request by default (--max-request-bytes on the server)",
        Refusal::OversizedAnswer => "kvadm takes answers of up to 16 MiB in one piece; ask for fewer keys at once",
        Refusal::TooManyOps => "etcd takes 128 operations a transaction by default (--max-txn-ops on the server)",
        Refusal::DuplicateKey => "a transaction may write each key once only",
        Refusal::LeaseNotFound => "the lease has expired or was revoked",
        Refusal::LeaseExists => "another lease has this ID",
        Refusal::LeaseTtl => "etcd takes TTLs of up to 9000000000 seconds",
        Refusal::Corrupt => "a member's data differs from the others': see the CORRUPT alarm in 'kvadm status'",
        Refusal::Unsupported => "the server's version does not know this request",
        Refusal::EmptyKey | Refusal::Other => return None,
    })
}
