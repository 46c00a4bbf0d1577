//! Records of `status`.

use super::{Borrowed, Field, Record, Report, Tone, Value, always, data, spare, table};
use crate::kvstore::{DowngradeState, MemberStatus, Revision};

/// A member.
pub struct MemberRow<'a> {
    /// The member's endpoint.
    pub endpoint: &'a str,
    /// The member's name.
    pub name: &'a str,
    /// `healthy`, `unhealthy` or `unreachable`.
    pub health: &'static str,
    /// The member's own status; `None` if it does not answer.
    pub status: Option<&'a MemberStatus>,
    /// How many entries the member has applied less than the leader; `None` for the leader, or if it is not known.
    pub lag: Option<u64>,
    /// The raised alarms.
    pub alarms: &'a [String],
    /// What the member says over HTTP; `None` if that was not requested, or if it does not answer.
    pub probes: Option<ProbesRow<'a>>,
}

/// What a member says over HTTP.
pub struct ProbesRow<'a> {
    /// `ok`, `failed`, `not-served` or `unknown`.
    pub livez: &'static str,
    /// The same of readiness.
    pub readyz: &'static str,
    /// The feature gates.
    pub features: Vec<FeatureRow<'a>>,
}

/// A feature gate.
pub struct FeatureRow<'a> {
    /// The name.
    pub name: &'a str,
    /// How far its development is.
    pub stage: &'a str,
    /// Whether the member has it enabled.
    pub enabled: bool,
}

impl Record for FeatureRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("feature", Value::Str(self.name)));
        visit(always("stage", Value::Str(self.stage)));
        visit(always("enabled", Value::Bool(self.enabled)));
    }
}

impl Record for DowngradeState {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        match self {
            Self::Disabled => visit(always("enabled", Value::Bool(false))),
            Self::Enabled { target } => {
                visit(always("enabled", Value::Bool(true)));
                visit(data("target_version", Value::str(target.as_deref())));
            }
        }
    }
}

fn check_tone(word: &str) -> Tone {
    match word {
        "ok" => Tone::Good,
        "failed" => Tone::Bad,
        "unknown" => Tone::Warning,
        _ => Tone::Neutral,
    }
}

impl Record for MemberRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let status = self.status;
        let uint = |get: fn(&MemberStatus) -> u64| Value::uint(status.map(get));
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(data("name", Value::Str(self.name)));
        visit(always("health", Value::Word(self.health, tone(self.health))));
        visit(table("lag", Value::uint(self.lag)));
        visit(spare("latency_ms", status.map_or(Value::Absent, |s| Value::Millis(s.latency.as_secs_f64() * 1e3))));
        visit(spare("version", status.map_or(Value::Absent, |s| Value::Str(&s.version))));
        visit(spare("db_size", Value::size(status.map(|s| s.db_size))));
        visit(spare("in_use", Value::size(status.map(|s| s.db_in_use))));
        visit(table("quota", Value::size(status.and_then(|s| s.quota))));
        visit(always("role", Value::Str(status.map_or("", role))));
        visit(data("term", uint(|s| s.raft_term)));
        visit(data("index", uint(|s| s.raft_index)));
        visit(data("applied", uint(|s| s.raft_applied)));
        visit(data("revision", Value::int(status.map(|s| s.revision))));
        visit(data("id", status.map_or(Value::Absent, |s| Value::Hex(s.id))));
        visit(data("leader", status.filter(|s| s.leader != 0).map_or(Value::Absent, |s| Value::Hex(s.leader))));
        visit(data("learner", status.map_or(Value::Absent, |s| Value::Bool(s.learner))));
        visit(data("storage_version", Value::str(status.and_then(|s| s.storage_version.as_deref()))));
        let downgrade = status.and_then(|s| s.downgrade.as_ref());
        visit(data("downgrade", downgrade.map_or(Value::Absent, |state| Value::Record(state))));
        if let Some(probes) = &self.probes {
            visit(table("livez", Value::Word(probes.livez, check_tone(probes.livez))));
            visit(table("readyz", Value::Word(probes.readyz, check_tone(probes.readyz))));
            visit(data("features", Value::records(probes.features.iter())));
        }
        visit(always("alarms", Value::Strings(self.alarms)));
    }
}

/// The tone of a member's health, or of the verdict on the cluster.
fn tone(health: &str) -> Tone {
    match health {
        "healthy" => Tone::Good,
        "degraded" | "unknown" => Tone::Warning,
        _ => Tone::Bad,
    }
}

pub(super) fn role(status: &MemberStatus) -> &'static str {
    match status {
        status if status.learner => "learner",
        status if status.leader == 0 => "no leader",
        status if status.leader == status.id => "leader",
        _ => "follower",
    }
}

/// `status`.
pub struct StatusAnswer<'a> {
    /// `healthy`, `degraded` or `no-quorum`.
    pub verdict: &'static str,
    /// How the quorum is known: `proved`, `read` or `none`.
    pub quorum: &'static str,
    /// Duration of the write that proves it, in milliseconds.
    pub quorum_ms: Option<f64>,
    /// The cluster's ID.
    pub cluster: Option<u64>,
    /// The newest revision of all members.
    pub revision: Option<Revision>,
    /// All members.
    pub members: &'a [MemberRow<'a>],
    /// All problems found.
    pub complaints: &'a [String],
    /// When the members were asked, with `--watch`.
    pub time: Option<String>,
}

impl Record for StatusAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(data("time", Value::str(self.time.as_deref())));
        visit(always("health", Value::Word(self.verdict, tone(self.verdict))));
        visit(always("quorum", Value::Str(self.quorum)));
        visit(data("quorum_ms", self.quorum_ms.map_or(Value::Absent, Value::Millis)));
        visit(always("cluster", self.cluster.map_or(Value::Absent, Value::Hex)));
        visit(always("revision", Value::int(self.revision)));
        visit(always("members", Value::records(self.members.iter())));
        visit(always("complaints", Value::Strings(self.complaints)));
    }
}

impl Report for StatusAnswer<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        Borrowed::all(self.members).collect()
    }

    fn remarks(&self) -> &[String] {
        self.complaints
    }
}
