//! The answers of `compact`.

use super::status::role;
use super::{Borrowed, Field, Record, Report, Value, always, data, table};
use crate::kvstore::{MemberStatus, Revision};

/// One member's database before and after.
pub struct SpaceRow<'a> {
    /// Where it was asked.
    pub endpoint: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it said before.
    pub before: Option<&'a MemberStatus>,
    /// What it said in the end; nothing in a dry run.
    pub after: Option<&'a MemberStatus>,
    /// What became of its defragmentation: `done`, `failed`, `unknown`, `left` or `skipped`; nothing where none was asked for.
    pub defrag: Option<&'static str>,
    /// The alarms it has raised in the end.
    pub alarms: &'a [String],
    /// Why it could not be asked, or what failed.
    pub error: Option<&'a str>,
}

impl Record for SpaceRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let latest = self.after.or(self.before);
        visit(always("endpoint", Value::Str(self.endpoint)));
        visit(data("name", Value::Str(self.name)));
        visit(data("id", latest.map_or(Value::Absent, |s| Value::Hex(s.id))));
        visit(always("role", latest.map_or(Value::Absent, |s| Value::Str(role(s)))));
        visit(always("db_size_before", Value::size(self.before.map(|s| s.db_size))));
        visit(always("db_size_after", Value::size(self.after.map(|s| s.db_size))));
        visit(always("in_use_before", Value::size(self.before.map(|s| s.db_in_use))));
        visit(always("in_use_after", Value::size(self.after.map(|s| s.db_in_use))));
        visit(data("revision_before", Value::int(self.before.map(|s| s.revision))));
        visit(data("revision_after", Value::int(self.after.map(|s| s.revision))));
        visit(data("quota", Value::size(latest.and_then(|s| s.quota))));
        visit(always("defrag", self.defrag.map_or(Value::Absent, Value::Str)));
        visit(table("alarms", Value::Strings(self.alarms)));
        visit(data("error", self.error.map_or(Value::Absent, Value::Str)));
    }
}

/// What one run of `compact` did, or would do.
#[derive(Default)]
pub struct CompactAnswer<'a> {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The revision that the store is compacted at by this run, or would be; nothing where none was asked for.
    pub compacted: Option<Revision>,
    /// Whether it was so before.
    pub already: bool,
    /// Whether a member is known to have removed the old revisions from its database.
    pub removed: bool,
    /// The store's revision when it was looked at.
    pub current: Option<Revision>,
    /// The endpoints that would be defragmented, in this order; in a dry run.
    pub order: &'a [String],
    /// The members whose alarm was cleared, or would be, in hex.
    pub disarmed: &'a [String],
    /// All members.
    pub members: &'a [SpaceRow<'a>],
    /// What is left or wrong.
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
            visit(data("removed", Value::Bool(self.removed)));
            visit(data("disarmed", Value::Strings(self.disarmed)));
        }
        visit(data("already", Value::Bool(self.already)));
        visit(data("current", Value::int(self.current)));
        visit(data("members", Value::Records(self.members.iter().map(|row| row as &dyn Record).collect())));
        visit(data("complaints", Value::Strings(self.complaints)));
    }
}

impl Report for CompactAnswer<'_> {
    fn rows(&self) -> Vec<Box<dyn Record + '_>> {
        self.members.iter().map(|row| Box::new(Borrowed(row)) as Box<dyn Record>).collect()
    }

    fn tabular(&self) -> bool {
        true
    }

    fn remarks(&self) -> &[String] {
        self.complaints
    }
}

/// One round of `compact --every`.
pub struct RoundRow<'a> {
    /// Counted from 1.
    pub round: u64,
    /// `compacted`, `already`, `nothing` or `failed`.
    pub outcome: &'static str,
    /// The revision that was compacted at, or should have been.
    pub compacted: Option<Revision>,
    /// The store's revision at the time.
    pub current: Option<Revision>,
    /// How long the round took, in milliseconds.
    pub took_ms: f64,
    /// Why it failed.
    pub error: Option<&'a str>,
}

impl Record for RoundRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("round", Value::Uint(self.round)));
        visit(always("outcome", Value::Str(self.outcome)));
        visit(always("compacted", Value::int(self.compacted)));
        visit(always("current", Value::int(self.current)));
        visit(always("took_ms", Value::Millis(self.took_ms)));
        if let Some(error) = self.error {
            visit(always("error", Value::Str(error)));
        }
    }
}
