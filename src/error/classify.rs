//! The exit code and the hints for an error of the store.

use super::Exit;
use crate::kvstore::{self, LocalError, Refusal, StoreMismatch};
use crate::shell;

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
        Refusal::GivenToken => {
            "get a new token: this one has expired, or users or roles have changed since it was made; run 'kvadm config' to \
             see where it is configured"
        }
        Refusal::AuthNotEnabled => "omit --user: authentication is not enabled in etcd",
        Refusal::Permission => {
            "no role of the user allows this: 'kvadm user show NAME --detail' prints what its roles allow"
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
        Refusal::DowngradeTarget => {
            "etcd goes back by one minor version at a time; 'kvadm downgrade status' prints the version that is possible"
        }
        Refusal::DowngradeEnabled => {
            "'kvadm downgrade status' shows the enabled downgrade, and 'kvadm downgrade cancel' ends it"
        }
        Refusal::NoDowngrade => "'kvadm downgrade status' shows whether a downgrade is enabled",
        Refusal::Unsupported => {
            "this version of etcd does not support the request; 'kvadm status' shows each member's version"
        }
        Refusal::LearnerLags => {
            "run 'kvadm member promote MEMBER --wait 10m', which waits until the learner has caught up"
        }
        Refusal::TooManyLearners => {
            "promote or remove the present learner first; etcd allows one unless --max-learners (etcd 3.6 and later) is larger"
        }
        Refusal::PeerUrlExists | Refusal::MemberNotFound => "run 'kvadm member list' to see the members and their URLs",
        Refusal::TooFewStarted => "start the members that have not started, or remove them, first: 'kvadm member list'",
        Refusal::UnhealthyCluster => {
            "etcd changes its members only while all voters are connected for five seconds: run 'kvadm status'"
        }
        Refusal::UserNotFound => "run 'kvadm user list' to see the users",
        Refusal::UserExists => "run 'kvadm user password NAME' to give the user another password",
        Refusal::RoleNotFound => "run 'kvadm role list' to see the roles",
        Refusal::RoleExists => "run 'kvadm role show NAME' to see the permissions of the role",
        Refusal::RoleNotGranted => "run 'kvadm user show NAME' to see the roles of the user",
        Refusal::PermissionNotGranted => "run 'kvadm role show NAME' to see the permissions of the role",
        Refusal::NoRoot => "authentication needs the user 'root' with the role 'root': run 'kvadm auth enable'",
        Refusal::RootProtected => {
            "etcd keeps the user and the role 'root' while authentication is enabled; see 'kvadm auth disable'"
        }
        Refusal::EmptyKey | Refusal::Other => return None,
    })
}
