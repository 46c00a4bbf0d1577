//! Records of `member`.

use super::{Field, Record, Tone, Value, always, data, spare};

/// A member of the cluster, as `member list` prints it.
pub struct ClusterMemberRow<'a> {
    /// The member's ID.
    pub id: u64,
    /// The member's name; empty until it has started.
    pub name: &'a str,
    /// `started` or `unstarted`.
    pub state: &'static str,
    /// `voter`, `learner` or `leader`.
    pub role: &'static str,
    /// `healthy`, `unhealthy` or `unreachable`; `None` if it has not started.
    pub health: Option<&'static str>,
    /// The URLs for the other members.
    pub peer_urls: &'a [String],
    /// The URLs for clients.
    pub client_urls: &'a [String],
}

impl Record for ClusterMemberRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("id", Value::Hex(self.id)));
        visit(always("name", Value::Str(self.name)));
        visit(always(
            "state",
            Value::Word(self.state, if self.state == "started" { Tone::Neutral } else { Tone::Warning }),
        ));
        visit(always("role", Value::Str(self.role)));
        let tone = match self.health {
            Some("healthy") => Tone::Good,
            Some(_) => Tone::Bad,
            None => Tone::Neutral,
        };
        visit(always("health", self.health.map_or(Value::Absent, |health| Value::Word(health, tone))));
        visit(always("peer_urls", Value::Strings(self.peer_urls)));
        visit(spare("client_urls", Value::Strings(self.client_urls)));
    }
}

/// One step of a change of the membership.
#[derive(Clone, Copy, Default)]
pub struct MembershipRow<'a> {
    /// What was done, or would be done.
    pub outcome: &'static str,
    /// The member's ID; `None` if it is not added yet.
    pub member: Option<u64>,
    /// The member's name; empty if it has none.
    pub name: &'a str,
    /// The URLs for the other members.
    pub peer_urls: &'a [String],
    /// Whether a member is added as a learner.
    pub learner: Option<bool>,
    /// The voters after the step, and those of them that answer.
    pub voters: Option<(usize, usize)>,
    /// The environment of the new process.
    pub environment: &'a [String],
    /// The command line of the new process.
    pub command: Option<&'a str>,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

impl Record for MembershipRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let count = |number: Option<usize>| Value::uint(number.map(|number| number as u64));
        visit(always("outcome", Value::Str(self.outcome)));
        visit(always("member", self.member.map_or(Value::Absent, Value::Hex)));
        visit(always("name", Value::Str(self.name)));
        visit(data("peer_urls", Value::Strings(self.peer_urls)));
        visit(data("learner", self.learner.map_or(Value::Absent, Value::Bool)));
        visit(data("voters", count(self.voters.map(|(voters, _)| voters))));
        visit(data("voters_answering", count(self.voters.map(|(_, answering)| answering))));
        if !self.environment.is_empty() {
            visit(data("environment", Value::Strings(self.environment)));
        }
        visit(data("command", Value::str(self.command)));
        visit(data("dry_run", if self.dry_run { Value::Bool(true) } else { Value::Absent }));
    }
}
