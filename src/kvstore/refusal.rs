//! etcd's own error texts, and what each one says about the request.
//!
//! The texts are those of `api/v3rpc/rpctypes/error.go` in etcd 3.4 to 3.7. Only the whole text identifies an error: the
//! gRPC codes are ambiguous (`OutOfRange` has four meanings), etcd's grpc-proxy replaces them by `Unknown`, and a load
//! balancer that spoils an answer invents its own.

use tonic::Code;

/// Why etcd refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Authentication is enabled and the request has no user.
    NoUser,
    /// The user name or password is wrong.
    BadPassword,
    /// The auth token is invalid or has expired.
    BadToken,
    /// The token that the user gave is invalid, has expired, or is older than a change of users or roles.
    GivenToken,
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
    /// The store is over its quota (the NOSPACE alarm). etcd may have applied the write all the same.
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
    /// A learner is to become a voter, and has not caught up with the leader.
    LearnerLags,
    /// The cluster has as many learners as it may have, one unless configured otherwise.
    TooManyLearners,
    /// A member has this peer URL.
    PeerUrlExists,
    /// No member has this ID.
    MemberNotFound,
    /// The change of the membership could cost the quorum: too few members have started.
    TooFewStarted,
    /// The change of the membership could cost the quorum: a voter was not connected for the last seconds.
    UnhealthyCluster,
    /// The user does not exist.
    UserNotFound,
    /// A user with this name exists.
    UserExists,
    /// The role does not exist.
    RoleNotFound,
    /// A role with this name exists.
    RoleExists,
    /// The user does not have the role.
    RoleNotGranted,
    /// The role does not have the permission.
    PermissionNotGranted,
    /// The user `root` does not exist, or lacks the role `root`; authentication cannot be enabled without it.
    NoRoot,
    /// etcd does not take `root` away while authentication is enabled.
    RootProtected,
    /// The cluster cannot be downgraded to this version.
    DowngradeTarget,
    /// A downgrade is enabled already.
    DowngradeEnabled,
    /// There is no downgrade to cancel.
    NoDowngrade,
    /// This version of etcd does not support the request.
    Unsupported,
    /// Any other reason; see the message.
    Other,
}

/// The texts that follow `etcdserver: ` if etcd refuses a request without applying it, except for [`Refusal::NoSpace`].
const REFUSALS: &[(&str, Refusal)] = &[
    ("user name is empty", Refusal::NoUser),
    ("authentication failed, invalid user ID or password", Refusal::BadPassword),
    ("invalid auth token", Refusal::BadToken),
    ("revision of auth store is old", Refusal::StaleAuth),
    ("permission denied", Refusal::Permission),
    ("authentication is not enabled", Refusal::AuthNotEnabled),
    ("mvcc: required revision has been compacted", Refusal::Compacted),
    ("mvcc: required revision is a future revision", Refusal::FutureRevision),
    ("mvcc: database space exceeded", Refusal::NoSpace),
    ("request is too large", Refusal::TooLarge),
    ("too many operations in txn request", Refusal::TooManyOps),
    ("duplicate key given in txn request", Refusal::DuplicateKey),
    ("requested lease not found", Refusal::LeaseNotFound),
    ("lease already exists", Refusal::LeaseExists),
    ("too large lease TTL", Refusal::LeaseTtl),
    ("key is not provided", Refusal::EmptyKey),
    ("corrupt cluster", Refusal::Corrupt),
    ("key not found", Refusal::Other),
    ("value is provided", Refusal::Other),
    ("lease is provided", Refusal::Other),
    ("invalid client api version", Refusal::Unsupported),
    ("invalid sort option", Refusal::Other),
    ("member ID already exist", Refusal::Other),
    ("Peer URLs already exists", Refusal::PeerUrlExists),
    ("re-configuration failed due to not enough started members", Refusal::TooFewStarted),
    ("given member URLs are invalid", Refusal::Other),
    ("member not found", Refusal::MemberNotFound),
    ("can only promote a learner member", Refusal::Other),
    ("can only promote a learner member which is in sync with leader", Refusal::LearnerLags),
    ("too many learner members in cluster", Refusal::TooManyLearners),
    ("cluster ID mismatch", Refusal::Other),
    ("unhealthy cluster", Refusal::UnhealthyCluster),
    ("not leader", Refusal::Other),
    ("bad leader transferee", Refusal::Other),
    ("root user does not exist", Refusal::NoRoot),
    ("root user does not have root role", Refusal::NoRoot),
    ("user name already exists", Refusal::UserExists),
    ("user name not found", Refusal::UserNotFound),
    ("role name already exists", Refusal::RoleExists),
    ("role name not found", Refusal::RoleNotFound),
    ("role name is empty", Refusal::Other),
    ("permission not given", Refusal::Other),
    ("role is not granted to the user", Refusal::RoleNotGranted),
    ("permission is not granted to the role", Refusal::PermissionNotGranted),
    ("invalid auth management", Refusal::RootProtected),
    ("wrong downgrade target version format", Refusal::DowngradeTarget),
    ("invalid downgrade target version", Refusal::DowngradeTarget),
    ("cluster has a downgrade job in progress", Refusal::DowngradeEnabled),
    ("no inflight downgrade job", Refusal::NoDowngrade),
];

/// The errors of etcd's `server/auth/store.go`, which the Maintenance service and some versions pass on as they are.
const AUTH: &[(&str, Refusal)] = &[
    ("auth: user name is empty", Refusal::NoUser),
    ("auth: authentication failed, invalid user ID or password", Refusal::BadPassword),
    ("auth: authentication failed, password was given for no password user", Refusal::BadPassword),
    ("auth: revision in header is old", Refusal::StaleAuth),
    ("auth: invalid auth token", Refusal::BadToken),
    ("auth: permission denied", Refusal::Permission),
    ("auth: authentication is not enabled", Refusal::AuthNotEnabled),
    ("auth: user not found", Refusal::UserNotFound),
    ("auth: role not found", Refusal::RoleNotFound),
    ("auth: invalid auth management", Refusal::RootProtected),
];

/// The texts that follow `etcdserver: ` if a member did not begin to process the request, so that another member may.
const NOT_PROCESSED: &[&str] = &["no leader", "too many requests", "not capable", LEARNER];

/// etcd's message for a request that a learner does not serve (`ErrGRPCNotSupportedForLearner`).
pub(crate) const LEARNER: &str = "rpc not supported for learner";

/// What etcd's answer says about the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// etcd did not process the request, and another attempt may succeed.
    NotProcessed,
    /// etcd refused the request without applying it.
    Refused(Refusal),
    /// The text is none of the known ones, or says that etcd stopped waiting for its own proposal.
    Open,
}

/// Reads the message of a gRPC status.
pub(crate) fn verdict(code: Code, message: &str) -> Verdict {
    let known = |texts: &[(&str, Refusal)], message: &str| {
        texts.iter().find(|(text, _)| *text == message).map(|(_, kind)| Verdict::Refused(*kind))
    };
    if let Some(text) = message.strip_prefix("etcdserver: ") {
        if NOT_PROCESSED.contains(&text) {
            return Verdict::NotProcessed;
        }
        return known(REFUSALS, text).unwrap_or(Verdict::Open);
    }
    if let Some(verdict) = known(AUTH, message) {
        return verdict;
    }
    // grpc-go's texts, before a request reaches etcd.
    let unknown_method = message.starts_with("unknown service ")
        || message.starts_with("unknown method ")
        || (message.starts_with("method ") && message.ends_with(" not implemented"));
    match code {
        Code::Unimplemented if unknown_method => Verdict::Refused(Refusal::Unsupported),
        Code::ResourceExhausted if message.starts_with("grpc: received message larger than max") => {
            Verdict::Refused(Refusal::TooLarge)
        }
        // After etcd has applied the request: grpc-go's limit for a response, and the client library's.
        _ if message.contains("trying to send message larger than max")
            || message.contains("decoded message length too large") =>
        {
            Verdict::Refused(Refusal::OversizedAnswer)
        }
        _ => Verdict::Open,
    }
}

/// The message without `etcdserver: ` or `auth: `.
pub(crate) fn strip_prefix(message: &str) -> &str {
    message.strip_prefix("etcdserver: ").or_else(|| message.strip_prefix("auth: ")).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_texts_of_etcd_are_refusals() {
        let refused = |kind| Verdict::Refused(kind);
        assert_eq!(verdict(Code::Unknown, "etcdserver: permission denied"), refused(Refusal::Permission));
        assert_eq!(verdict(Code::PermissionDenied, "permission denied"), Verdict::Open);
        assert_eq!(verdict(Code::PermissionDenied, "etcdserver: permission denied by the proxy"), Verdict::Open);
        assert_eq!(verdict(Code::Unavailable, "etcdserver: request timed out"), Verdict::Open);
        assert_eq!(verdict(Code::Unavailable, "etcdserver: leader changed"), Verdict::Open);
        assert_eq!(verdict(Code::Unavailable, "etcdserver: no leader"), Verdict::NotProcessed);
        assert_eq!(
            verdict(Code::Unimplemented, "unknown method RangeStream for service etcdserverpb.KV"),
            refused(Refusal::Unsupported)
        );
        let page = "grpc-status header missing, mapped from HTTP status code 404";
        assert_eq!(verdict(Code::Unimplemented, page), Verdict::Open);
        assert_eq!(
            verdict(Code::ResourceExhausted, "grpc: received message larger than max (3 vs. 2)"),
            refused(Refusal::TooLarge)
        );
    }

    #[test]
    fn messages_lose_the_name_of_the_server_s_part() {
        for (message, text) in [
            ("etcdserver: permission denied", "permission denied"),
            ("auth: invalid token", "invalid token"),
            ("lease not found", "lease not found"),
            ("etcdserver: auth: both", "auth: both"),
        ] {
            assert_eq!(strip_prefix(message), text);
        }
    }
}
