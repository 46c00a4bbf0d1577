//! Records of `compact`.

use super::status::role;
use super::{Borrowed, Field, Record, Report, Tone, Value, always, data, spare, table};
use crate::kvstore::{MemberStatus, Revision};

/// A member's database before and after.
pub struct SpaceRow<'a> {
    /// The member's endpoint.
    pub endpoint: &'a str,
    /// The member's name.
    pub name: &'a str,
    /// The status before.
    pub before: Option<&'a MemberStatus>,
    /// The status at the end; `None` in a dry run.
    pub after: Option<&'a MemberStatus>,
    /// The outcome of defragmentation: `done`, `failed`, `unknown`, `left` or `skipped`; `None` if not requested.
    pub defrag: Option<&'static str>,
    /// The raised alarms at the end.
    pub alarms: &'a [String],
    /// Why the member did not answer, or what failed.
    pub error: Option<&'a str>,
}

impl Record for SpaceRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let latest = self.after.or(self.before);
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(data("name", Value::Str(self.name)));
        visit(data("id", latest.map_or(Value::Absent, |s| Value::Hex(s.id))));
        visit(always("role", latest.map_or(Value::Absent, |s| Value::Str(role(s)))));
        visit(spare("db_size_before", Value::size(self.before.map(|s| s.db_size))));
        visit(spare("db_size_after", Value::size(self.after.map(|s| s.db_size))));
        visit(spare("in_use_before", Value::size(self.before.map(|s| s.db_in_use))));
        visit(spare("in_use_after", Value::size(self.after.map(|s| s.db_in_use))));
        visit(data("revision_before", Value::int(self.before.map(|s| s.revision))));
        visit(data("revision_after", Value::int(self.after.map(|s| s.revision))));
        visit(data("quota", Value::size(latest.and_then(|s| s.quota))));
        visit(always("defrag", Value::str(self.defrag)));
        visit(table("alarms", Value::Strings(self.alarms)));
        visit(data("error", Value::str(self.error)));
    }
}

/// The result of `compact`, or what a dry run would do.
#[derive(Default)]
pub struct CompactAnswer<'a> {
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// The revision that this run compacts at; `None` if it does not compact.
    pub compacted: Option<Revision>,
    /// Whether the store was already compacted at it.
    pub already: bool,
    /// Whether a member has confirmed the removal of old revisions.
    pub removed: bool,
    /// The current revision of the store.
    pub current: Option<Revision>,
    /// In a dry run, the endpoints to defragment, in order.
    pub order: &'a [String],
    /// The members (hex IDs) whose alarm was cleared, or would be.
    pub disarmed: &'a [String],
    /// All members.
    pub members: &'a [SpaceRow<'a>],
    /// Remaining problems.
    pub complaints: &'a [String],
}

impl Record for CompactAnswer<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        if self.dry_run {
            visit(data("dry_run", Value::Bool(true)));
            visit(data("would_compact", Value::int(self.compacted)));
            visit(data("would_defrag", Value::Strings(self.order)));
            visit(data("would_disarm", Value::Strings(self.disarmed)));
        } else {
            visit(data("compacted", Value::int(self.compacted)));
            visit(data("physical", Value::Bool(self.removed)));
            visit(data("disarmed", Value::Strings(self.disarmed)));
        }
        visit(data("already", Value::Bool(self.already)));
        visit(data("current", Value::int(self.current)));
        visit(data("members", Value::records(self.members.iter())));
        visit(data("complaints", Value::Strings(self.complaints)));
    }
}

impl Report for CompactAnswer<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        Borrowed::all(self.members).collect()
    }

    fn remarks(&self) -> &[String] {
        self.complaints
    }
}

/// One round of `compact --every`.
pub struct RoundRow<'a> {
    /// The number of the round, counted from 1.
    pub round: u64,
    /// `compacted`, `already`, `nothing` or `failed`.
    pub outcome: &'static str,
    /// The revision compacted at, or attempted.
    pub compacted: Option<Revision>,
    /// The current revision of the store.
    pub current: Option<Revision>,
    /// Duration of the round in milliseconds.
    pub took_ms: f64,
    /// Why it failed.
    pub error: Option<&'a str>,
}

impl Record for RoundRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("round", Value::Uint(self.round)));
        visit(always(
            "outcome",
            Value::Word(self.outcome, if self.outcome == "failed" { Tone::Bad } else { Tone::Neutral }),
        ));
        visit(always("compacted", Value::int(self.compacted)));
        visit(always("current", Value::int(self.current)));
        visit(always("took_ms", Value::Millis(self.took_ms)));
        if let Some(error) = self.error {
            visit(always("error", Value::Str(error)));
        }
    }
}
