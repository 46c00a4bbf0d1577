//! What the rules judge, and what they say.

use crate::kvstore::{Member, MemberStatus};
use crate::time::Time;
use crate::transport::Endpoint;

use crate::health::certificates::{CertificateError, CertificateFact};
use crate::health::scan::ClusterHealth;

/// How soon to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// The cluster loses data or stops working, or is about to.
    Critical,
    /// Act soon.
    Warning,
    /// Worth knowing.
    Suggestion,
}

impl Urgency {
    /// The value in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Suggestion => "suggestion",
        }
    }
}

/// How sure it is that the advice applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The members say so themselves.
    Certain,
    /// What the members say has hardly another cause.
    Likely,
    /// There are other, harmless causes.
    Possible,
}

impl Certainty {
    /// The value in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Possible => "possible",
        }
    }
}

/// A command to run next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextCommand {
    /// The words after `kvadm` and its options for the store.
    Kvadm(Vec<&'static str>),
    /// The same, asked of these endpoints.
    KvadmAt(String, Vec<&'static str>),
    /// `kvadm member` with this word, for the member with this ID.
    OfMember(&'static str, u64),
}

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recommendation {
    /// The name of the rule.
    pub rule: &'static str,
    /// How soon to act.
    pub urgency: Urgency,
    /// How sure it is.
    pub certainty: Certainty,
    /// The endpoints or the member that it is about; `cluster` for all.
    pub subject: String,
    /// What is wrong.
    pub finding: String,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// The command to run next, if one helps.
    pub command: Option<NextCommand>,
    /// The known problems of the version, for advice about one.
    pub problems: Vec<String>,
}

impl Recommendation {
    pub(super) fn new(rule: &'static str, urgency: Urgency, certainty: Certainty, subject: impl Into<String>) -> Self {
        let (finding, why, remedy) = (String::new(), String::new(), String::new());
        Self {
            rule,
            urgency,
            certainty,
            subject: subject.into(),
            finding,
            why,
            remedy,
            command: None,
            problems: Vec::new(),
        }
    }

    pub(super) fn finding(self, finding: impl Into<String>) -> Self {
        Self { finding: finding.into(), ..self }
    }

    pub(super) fn why(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    pub(super) fn kvadm<const N: usize>(self, words: [&'static str; N]) -> Self {
        Self { command: Some(NextCommand::Kvadm(words.to_vec())), ..self }
    }

    /// A command for members that are not the ones that a command would ask by itself.
    pub(super) fn kvadm_at<const N: usize>(self, endpoints: impl Into<String>, words: [&'static str; N]) -> Self {
        Self { command: Some(NextCommand::KvadmAt(endpoints.into(), words.to_vec())), ..self }
    }

    pub(super) fn member(self, action: &'static str, id: u64) -> Self {
        Self { command: Some(NextCommand::OfMember(action, id)), ..self }
    }
}

/// A member that has answered.
#[derive(Clone, Debug)]
pub struct MemberFacts {
    /// Its endpoint.
    pub endpoint: String,
    /// Its status.
    pub status: MemberStatus,
    /// Its alarms.
    pub alarms: Vec<String>,
}

/// Whether requests without a login are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginNeed {
    /// A request without a user and without a client certificate was served.
    None,
    /// Such a request is refused, or was not tried because kvadm has a client certificate.
    NeededOrUnknown,
}

/// What the comparison of the members' data has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataComparison {
    /// The members have equal hashes, or there is one member only.
    Equal,
    /// Members have different hashes at the same compact revision; with the endpoints that a majority does not agree with.
    Different(Vec<String>),
    /// The data was not compared, or not that of all members: why.
    Unknown(String),
}

/// What the rules judge.
#[derive(Clone, Debug)]
pub struct ClusterFacts {
    /// The time.
    pub now: Time,
    /// The health of the cluster.
    pub health: ClusterHealth,
    /// The members that have answered, each once.
    pub members: Vec<MemberFacts>,
    /// The endpoints of members that have not answered, with the reason.
    pub silent: Vec<(String, String)>,
    /// The member list; empty if the cluster does not tell it.
    pub listed: Vec<Member>,
    /// The endpoints of the command.
    pub configured: Vec<Endpoint>,
    /// The quota that the user gives for members that do not tell theirs.
    pub quota: Option<u64>,
    /// The comparison of the members' data.
    pub comparison: DataComparison,
    /// The certificates; empty without TLS.
    pub certificates: Vec<Result<CertificateFact, CertificateError>>,
    /// Whether a login is needed.
    pub login: LoginNeed,
}

impl ClusterFacts {
    /// The addresses that a listed member gives to clients.
    pub(super) fn addresses(&self, member: &Member) -> Vec<Endpoint> {
        let tls = self.configured.first().is_some_and(|endpoint| endpoint.scheme == crate::transport::Scheme::Tls);
        member.client_urls.iter().filter_map(|url| Endpoint::parse(url, tls).ok()).collect()
    }

    /// The endpoints of the members that have not answered, for a command.
    pub(super) fn silent_endpoints(&self) -> String {
        self.silent.iter().map(|(endpoint, _)| endpoint.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The endpoints of these members, joined.
    pub(super) fn endpoints<'a>(members: impl Iterator<Item = &'a MemberFacts>) -> String {
        members.map(|member| member.endpoint.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// The name of a listed member, with its ID.
pub(super) fn member_name(member: &Member) -> String {
    if member.name.is_empty() { format!("{:x}", member.id) } else { format!("{} ({:x})", member.name, member.id) }
}

/// A share in percent, rounded down; 0 without a whole.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

/// A size in whole MiB, or in KiB if it is smaller.
pub(super) fn size(bytes: u64) -> String {
    if bytes >= 10 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}
