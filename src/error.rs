//! Failure classes, their exit codes, and hints on what to do next.

mod classify;

use std::io;

use thiserror::Error as ThisError;

use crate::access::Lockout;
use crate::backup::BackupError;
use crate::config::{ConfigError, DocumentError};
use crate::escaped::unescape;
use crate::health::ScanError;
use crate::kvstore;
use crate::output::{ErrorView, FailedCondition};
use crate::shell;

pub use classify::classify;

/// How the program exits. This is the only table of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success, or the answer is yes.
    Done,
    /// The answer is no: not found, nothing deleted, the lock is taken, or a wait timed out.
    No,
    /// Invalid options, arguments or configuration.
    Usage,
    /// etcd could not be reached, or did not answer in time.
    Unreachable,
    /// etcd refused the request.
    Refused,
    /// A condition did not hold, a safety rule refused, or a lock was lost.
    Conflict,
    /// Part of the work is done, or the cluster is degraded; the summary lists what remains. Also: the output could not be
    /// written.
    Partial,
    /// The request was sent, and it is unknown whether etcd applied it.
    Unknown,
    /// A bug in kvadm, or a failure of the operating system.
    Bug,
    /// Ended by a signal, which kvadm raises again: 130 for SIGINT, 143 for SIGTERM.
    Interrupted,
    /// The exit code of the command that ran under kvadm: 128+n after signal n, 126 or 127 if it could not be started.
    Command(u8),
    /// The exit code of a Nagios plugin: 2 is critical, 3 is unknown.
    Plugin(u8),
}

impl Exit {
    /// The exit code that the shell sees.
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
            Self::Command(code) | Self::Plugin(code) => code,
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    /// The failure class.
    pub exit: Exit,
    /// The operation that failed, and its chain of causes.
    pub error: anyhow::Error,
    /// What to do next, one line each.
    pub hints: Vec<String>,
    /// The condition that did not hold, if the failure is about one.
    pub condition: Option<Box<FailedCondition>>,
}

/// A failure whose only cause is its message.
#[derive(Debug, ThisError)]
#[error("{0}")]
struct UsageMessage(String);

impl Failure {
    /// A failure of the given class.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, error: UsageMessage(message.into()).into(), hints: Vec::new(), condition: None }
    }

    /// A usage error that the argument parser cannot detect.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A condition that did not hold, or a safety rule that refused.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Exit::Conflict, message)
    }

    /// Adds a line on what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Repeats the context's name in the command lines of the hints, which would reach another store without it.
    #[must_use]
    pub fn in_context(mut self, name: &str) -> Self {
        let option = format!("'kvadm --context {} ", shell::quote(name.as_bytes()));
        for hint in self.hints.iter_mut().filter(|hint| !hint.contains("--context")) {
            *hint = hint.replace("'kvadm ", &option);
        }
        self
    }

    /// Adds the condition that did not hold.
    #[must_use]
    pub fn condition(mut self, failed: Option<FailedCondition>) -> Self {
        self.condition = failed.map(Box::new);
        self
    }

    /// Puts the operation that failed in front of the causes.
    #[must_use]
    pub fn context(mut self, what: impl Into<String>) -> Self {
        self.error = self.error.context(what.into());
        self
    }

    /// Whether etcd may have applied the write despite the failure.
    pub fn maybe_applied(&self) -> bool {
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

    /// Whether an endpoint serves another store than the one that the command began with.
    pub fn is_other_store(&self) -> bool {
        matches!(self.store_error(), Some(kvstore::Error::OtherStore { .. }))
    }

    /// Whether a signal ended a command that goes on until one comes, with nothing in flight: no error.
    pub fn is_end_by_signal(&self) -> bool {
        self.exit == Exit::Interrupted && !self.maybe_applied()
    }

    /// The failure and its causes in one line.
    pub fn one_line(&self) -> String {
        let view = self.view();
        std::iter::once(view.error).chain(view.caused_by).collect::<Vec<_>>().join(": ")
    }

    /// Whether the failure is only that the reader of stdout has closed the pipe.
    pub fn is_broken_pipe(&self) -> bool {
        let pipe = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        };
        self.error.chain().any(pipe)
    }

    /// The failure as it is printed.
    pub fn view(&self) -> ErrorView {
        let mut chain = self.error.chain().map(ToString::to_string);
        let error = chain.next().unwrap_or_default();
        // A cause with the same text as the error above it adds nothing.
        let mut caused_by: Vec<String> = Vec::new();
        for cause in chain {
            if cause != error && caused_by.last() != Some(&cause) {
                caused_by.push(cause);
            }
        }
        caused_by.extend(endpoint_causes(&self.error));
        let condition = self.condition.as_deref().filter(|_| self.exit == Exit::Conflict).cloned();
        ErrorView { error, caused_by, hints: self.hints.clone(), exit_code: self.exit.code(), condition }
    }
}

/// One line for each endpoint, with its own cause.
fn endpoint_causes(error: &anyhow::Error) -> Vec<String> {
    let found = error.chain().find_map(|cause| match kvstore::error::of_store(cause) {
        Some(kvstore::Error::Unreachable { failures }) => Some(failures),
        _ => None,
    });
    found.map_or_else(Vec::new, |failures| failures.iter().map(ToString::to_string).collect())
}

impl From<kvstore::Error> for Failure {
    fn from(error: kvstore::Error) -> Self {
        let (exit, hints) = classify(&error);
        let condition = match &error {
            kvstore::Error::LockLost { key, .. } => Some(Box::new(FailedCondition {
                kind: "lock",
                key: unescape(key.as_bytes()).unwrap_or_else(|_| key.as_bytes().to_vec()),
                mod_revision: None,
                value: None,
            })),
            _ => None,
        };
        Self { exit, error: error.into(), hints, condition }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let exit = match error {
            BackupError::Io { .. } | BackupError::OtherKind { .. } => Exit::Usage,
            BackupError::Damaged { .. } | BackupError::Changed { .. } => Exit::Refused,
        };
        let hints = error.hint().into_iter().collect();
        Self { exit, error: error.into(), hints, condition: None }
    }
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Store(error) => Self::from(error),
            ScanError::Login { error, with_password } => Self::of_login(error, with_password),
            ScanError::NoResponse { complaints } => {
                Self::new(Exit::Unreachable, "no member responds").context(complaints)
            }
            ScanError::Proof { prefix, error } => {
                let failure = Self::from(error);
                let exit = failure.exit;
                let failure = failure.context(format!("cannot prove the quorum by writing {prefix}…"));
                if exit != Exit::Refused {
                    return failure;
                }
                failure
                    .hint("grant the user a role that may write there, or leave --quorum out to check with reads only")
            }
        }
    }
}

impl From<Lockout> for Failure {
    fn from(error: Lockout) -> Self {
        let hints = vec![error.hint.clone()];
        Self { exit: Exit::Conflict, error: error.into(), hints, condition: None }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hints = error.hint.clone().into_iter().collect();
        Self { exit: Exit::Usage, error: error.into(), hints, condition: None }
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        let hints = error.hint.clone().into_iter().collect();
        Self { exit: Exit::Usage, error: error.into(), hints, condition: None }
    }
}

impl Failure {
    /// The failure of a read from one member, whose login with a password needs a quorum.
    pub fn of_login(error: kvstore::Error, with_password: bool) -> Self {
        use kvstore::Error::{Timeout, Unavailable};
        let needs_quorum = with_password && matches!(&error, Unavailable { .. } | Timeout { op: "log in", .. });
        let failure = Self::from(error);
        if !needs_quorum {
            return failure;
        }
        let hints = vec![
            "a login with a password needs a quorum, also with --serializable; a client certificate (--cert-file, \
             --key-file) instead of --user needs none"
                .to_owned(),
            "if other members have a leader, add their addresses to --endpoints".to_owned(),
            "run 'kvadm status' to see which members are up".to_owned(),
        ];
        Self { hints, ..failure }
    }

    /// The operating system does not give kvadm what it needs to run: descriptors, threads, memory.
    pub fn no_resources(what: &str, error: io::Error) -> Self {
        let hints = vec!["raise the limits of this process (ulimit -n, ulimit -u, ulimit -v)".to_owned()];
        Self { exit: Exit::Bug, error: anyhow::Error::new(error).context(what.to_owned()), hints, condition: None }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            exit: Exit::Partial,
            error: anyhow::Error::new(error).context("cannot write the output"),
            hints: Vec::new(),
            condition: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_contention_and_bugs_have_their_own_exit_codes() {
        use kvstore::Error;
        let (op, what) = ("lock", || "something".to_owned());
        let code = |error| Failure::from(error).exit.code();
        assert_eq!(code(Error::Protocol { op, what: what() }), 4);
        assert_eq!(code(Error::Contended { op, what: what() }), 5);
        assert_eq!(code(Error::Internal { op, what: what() }), 70);
    }
}
