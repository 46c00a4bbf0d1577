//! Failure classes, their exit codes, and hints on what to do next.

use std::io;

use thiserror::Error as ThisError;

use crate::backup::BackupError;
use crate::config::ConfigError;
use crate::kvstore::{self, LocalError, Refusal, StoreMismatch};
use crate::output::{ErrorView, FailedCondition};
use crate::shell;

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
    /// Part of the work is done, or the cluster is degraded; the summary lists what remains.
    Partial,
    /// The request was sent, and it is unknown whether etcd applied it.
    Unknown,
    /// A bug in kvadm, or a failure of the operating system.
    Bug,
    /// Ended by a signal, which kvadm raises again: 130 for SIGINT, 143 for SIGTERM.
    Interrupted,
    /// The exit code of the command that ran under kvadm: 128+n after signal n, 126 or 127 if it could not be started.
    Command(u8),
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
            Self::Command(code) => code,
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
                condition: "lock",
                key: key.as_bytes().to_vec(),
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

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hints = error.hint.clone().into_iter().collect();
        Self { exit: Exit::Usage, error: error.into(), hints, condition: None }
    }
}

impl Failure {
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

/// The exit code and the hints for an error of the store.
pub fn classify(error: &kvstore::Error) -> (Exit, Vec<String>) {
    use kvstore::Error;
    let one = |hint: &str| vec![hint.to_owned()];
    match error {
        Error::Unreachable { failures } => {
            let mut hints: Vec<String> = failures.iter().filter_map(|failure| failure.hint.clone()).collect();
            hints.dedup();
            if hints.is_empty() {
                hints.push("run 'kvadm config' to see where the endpoints are configured".to_owned());
                hints.push("run 'kvadm status --diagnose' to see which step fails at each endpoint".to_owned());
            }
            (Exit::Unreachable, hints)
        }
        Error::Tls(error) => {
            let sources = "run 'kvadm config' to see where each TLS file is configured";
            (Exit::Usage, vec![error.hint().to_owned(), sources.to_owned()])
        }
        Error::Timeout { .. } => {
            (Exit::Unreachable, one("raise --op-timeout, or run 'kvadm status' to see which member is slow"))
        }
        Error::Deadline { .. } => (Exit::Unreachable, one("raise --deadline, which limits the whole command")),
        Error::Broken { .. } | Error::Unavailable { .. } => {
            (Exit::Unreachable, one("run 'kvadm status' to see which members are up"))
        }
        Error::Unknown { cause, .. } => {
            let mut hints =
                one("read the keys before you retry: etcd may have applied the request, or may still apply it");
            if let Error::Refused { kind, .. } = &**cause {
                hints.extend(refusal_hint(*kind).map(str::to_owned));
            }
            (Exit::Unknown, hints)
        }
        Error::Refused { kind, .. } => (Exit::Refused, refusal_hint(*kind).map(one).unwrap_or_default()),
        Error::Local { store, cause } => (Exit::Refused, local_hint(store, cause)),
        Error::LockLost { .. } => {
            (Exit::Conflict, one("the request was not applied; run it again under 'kvadm lock NAME -- COMMAND'"))
        }
        Error::OtherStore { executed: Some(_), .. } => {
            (Exit::Unknown, one("undo the request there if it does harm, and list endpoints of one cluster only"))
        }
        Error::OtherStore { mismatch: StoreMismatch::Cluster { .. }, .. } => (
            Exit::Refused,
            one("list endpoints of one cluster only; 'kvadm status --endpoints ENDPOINT' prints an endpoint's cluster"),
        ),
        Error::OtherStore { .. } => (Exit::Refused, one("run the command again to start from the store as it is now")),
        Error::Protocol { .. } | Error::UnknownStatus { .. } => {
            (Exit::Refused, one("run 'kvadm status --diagnose' to check that the endpoint is etcd 3.4 or later"))
        }
        Error::Contended { .. } => (Exit::Conflict, one("run the command again when fewer clients change these keys")),
        Error::Internal { .. } => (Exit::Bug, one("report this bug, with the output of the same command with -vv")),
        Error::Interrupted { unknown: true, .. } => {
            (Exit::Interrupted, one("a request was in flight: etcd may have applied it, or may still apply it"))
        }
        Error::Interrupted { .. } => (Exit::Interrupted, Vec::new()),
    }
}

/// What to do about a file that cannot answer a read.
fn local_hint(store: &str, cause: &LocalError) -> Vec<String> {
    let verify = || shell::line([b"kvadm".as_slice(), b"snapshot", b"verify", store.as_bytes()]);
    vec![match cause {
        LocalError::Compacted { oldest, .. } => format!("use --rev {oldest} or a later revision"),
        LocalError::FutureRevision { latest, .. } => {
            format!("use --rev {latest} or an earlier revision, or omit --rev")
        }
        LocalError::Broken(_) => {
            format!("run '{}' to see what is damaged", verify())
        }
        LocalError::Changed => {
            "run the command again when no program writes to the file; copy a member's file only while the member is \
             stopped, or use 'kvadm snapshot save'"
                .to_owned()
        }
        LocalError::WrongDigest { .. } => {
            let read = format!("head -c -32 {} > COPY", shell::quote(store.as_bytes()));
            return vec![
                format!("run '{}' to see what is damaged", verify()),
                format!("to read the file all the same, with values that may be wrong: {read}"),
            ];
        }
        LocalError::NeedsCluster(_) => "omit --db to ask the cluster".to_owned(),
    }]
}

fn refusal_hint(kind: Refusal) -> Option<&'static str> {
    Some(match kind {
        Refusal::NoUser => {
            "etcd requires a login: add --user NAME --password-file FILE, or set KVADM_USER and KVADM_PASSWORD"
        }
        Refusal::BadPassword => "run 'kvadm config' to see where the user and the password are configured",
        Refusal::StaleAuth => "run the command again: the users or roles are being changed",
        Refusal::BadToken => "run the command again to log in again; a restarted server has lost its tokens",
        Refusal::AuthNotEnabled => "omit --user: authentication is not enabled in etcd",
        Refusal::Permission => {
            "no role of the user allows this: see 'etcdctl user get NAME' and 'etcdctl role get ROLE'"
        }
        Refusal::Compacted => "older revisions were compacted; read at a later revision, or omit --rev",
        Refusal::FutureRevision => {
            "the store has not reached this revision; 'kvadm status --revision' prints the current one"
        }
        Refusal::NoSpace => {
            "the database is over its quota: run 'kvadm compact --reclaim', after deleting keys if too many are stored"
        }
        Refusal::TooLarge => "etcd accepts up to 1.5 MiB per request by default (server option --max-request-bytes)",
        Refusal::OversizedAnswer => {
            "kvadm limits the size of one response; request fewer keys at once, if there are several"
        }
        Refusal::TooManyOps => "set --max-ops (or max-txn-ops in the configuration file) to the servers' --max-txn-ops",
        Refusal::DuplicateKey => "a transaction may write each key only once",
        Refusal::LeaseNotFound => "the lease expired or was revoked; 'kvadm lease list' shows the existing ones",
        Refusal::LeaseExists => "another lease has this ID; omit --id to get a free one",
        Refusal::LeaseTtl => "etcd accepts TTLs of up to 9000000000 seconds",
        Refusal::Corrupt => "a member's data differs from that of the others; 'kvadm status' shows the CORRUPT alarm",
        Refusal::Unsupported => {
            "this version of etcd does not support the request; 'kvadm status' shows each member's version"
        }
        Refusal::EmptyKey | Refusal::Other => return None,
    })
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
