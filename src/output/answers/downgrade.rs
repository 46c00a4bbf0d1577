//! Records of `downgrade`.

use super::{Borrowed, Field, Record, Report, Tone, Value, always, data};
use crate::kvstore::DowngradeState;

/// A member, as `downgrade status` shows it.
pub struct DowngradeMemberRow<'a> {
    /// The member's endpoint.
    pub endpoint: &'a str,
    /// The member's name.
    pub name: &'a str,
    /// The version of etcd.
    pub version: Option<&'a str>,
    /// The version of the database's format.
    pub storage_version: Option<&'a str>,
    /// Whether a downgrade is enabled, as the member knows it.
    pub state: Option<&'a DowngradeState>,
    /// Why the member does not answer.
    pub error: Option<&'a str>,
}

fn word(state: &DowngradeState) -> (&'static str, Tone, Option<&str>) {
    match state {
        DowngradeState::Disabled => ("disabled", Tone::Neutral, None),
        DowngradeState::Enabled { target } => ("enabled", Tone::Warning, target.as_deref()),
    }
}

impl Record for DowngradeMemberRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let (word, tone, target) = match self.state.map(word) {
            Some(known) => known,
            None if self.error.is_some() => ("unreachable", Tone::Bad, None),
            None => ("unknown", Tone::Neutral, None),
        };
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(always("name", Value::Str(self.name)));
        visit(always("version", Value::str(self.version)));
        visit(always("storage_version", Value::str(self.storage_version)));
        visit(always("state", Value::Word(word, tone)));
        visit(always("target_version", Value::str(target)));
        visit(data("error", Value::str(self.error)));
    }
}

/// `downgrade status`.
pub struct DowngradeAnswer<'a> {
    /// Whether a downgrade is enabled.
    pub state: &'a DowngradeState,
    /// The version of the cluster, if etcd has told it.
    pub cluster_version: Option<&'a str>,
    /// The version that the cluster can be downgraded to now.
    pub possible_target: Option<&'a str>,
    /// The members.
    pub members: &'a [DowngradeMemberRow<'a>],
}

impl Record for DowngradeAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let (word, tone, target) = word(self.state);
        visit(always("state", Value::Word(word, tone)));
        visit(always("target_version", Value::str(target)));
        visit(data("cluster_version", Value::str(self.cluster_version)));
        visit(data("possible_target", Value::str(self.possible_target)));
        visit(data("members", Value::records(self.members.iter())));
    }
}

impl Report for DowngradeAnswer<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        Borrowed::all(self.members).collect()
    }
}

/// `downgrade validate`, `enable` or `cancel`.
pub struct DowngradeChangeRow<'a> {
    /// `validate`, `enable` or `cancel`.
    pub action: &'static str,
    /// `valid`, `enabled`, `cancelled`, `nothing`, `would-enable` or `would-cancel`.
    pub outcome: &'static str,
    /// The version to go back to.
    pub target_version: Option<&'a str>,
    /// The version of the cluster.
    pub cluster_version: Option<&'a str>,
    /// Whether it was a dry run.
    pub dry_run: bool,
}

impl Record for DowngradeChangeRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("action", Value::Str(self.action)));
        visit(always("outcome", Value::Str(self.outcome)));
        visit(always("target_version", Value::str(self.target_version)));
        visit(always("cluster_version", Value::str(self.cluster_version)));
        if self.dry_run {
            visit(data("dry_run", Value::Bool(true)));
        }
    }
}
