//! Telling: what is shown or run for each event, and when it is enough.

use tokio::time::Instant;

use super::exec::EventCommand;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{self, KeyValue, Revision};
use crate::output::{ChangeKind, EventRow, StatusRow};

/// The record behind a listing's last key.
pub const LIST_DONE: &str = "list-done";
/// The last of a sync's statuses.
pub const IN_SYNC: &str = "in-sync";

/// Why a watch ends.
pub enum StopReason {
    /// All is told that was asked for, or the time is up.
    At(Exit),
    /// It cannot go on.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for StopReason {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Shows a change, with what was there before, in place of its record; whether it was one to count.
pub type ShowChange<'a> = Box<dyn Fn(ChangeKind, &KeyValue, Option<&KeyValue>) -> Result<bool, Failure> + 'a>;

/// Tells events.
pub struct EventWriter<'a> {
    /// The surroundings.
    pub ctx: &'a Context,
    /// The kinds to tell; all where empty.
    pub only: Vec<ChangeKind>,
    /// Leave the values out.
    pub keys_only: bool,
    /// Show the values before.
    pub prev: bool,
    /// How many more changes are to be told.
    pub remaining: Option<u64>,
    /// The event to end at.
    pub until: Option<&'static str>,
    /// Runs for each change, in place of its record.
    pub exec: Option<EventCommand>,
    /// Shows each change its own way.
    pub show: Option<ShowChange<'a>>,
    /// When the time is up.
    pub limit: Option<Instant>,
}

impl EventWriter<'_> {
    /// Tells one change. Whether it was the last one that was asked for.
    ///
    /// # Errors
    /// The time is up, the user or a command ends the watch, or stdout is closed: the change is not told.
    pub async fn write_change(
        &mut self,
        kind: ChangeKind,
        kv: &KeyValue,
        prev: Option<&KeyValue>,
    ) -> Result<bool, StopReason> {
        if self.ctx.signals.cancel().is_cancelled() {
            return Err(kvstore::Error::Interrupted { op: "watch", unknown: false }.into());
        }
        if self.ctx.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(kvstore::Error::Deadline { op: "watch", last: None }.into());
        }
        if self.limit.is_some_and(|limit| limit <= Instant::now()) {
            return Err(StopReason::At(Exit::No));
        }
        if !self.only.is_empty() && !self.only.contains(&kind) {
            return Ok(false);
        }
        match (&self.exec, &self.show) {
            (Some(exec), _) => exec.run(self.ctx, kind, kv).await?,
            (None, Some(show)) => {
                if !show(kind, kv, prev)? {
                    return Ok(false);
                }
            }
            (None, None) => {
                let prev = self.prev.then_some(prev.map(|kv| kv.value.as_slice()));
                self.ctx.out.live(&EventRow { kind, kv, value: !self.keys_only, prev })?;
            }
        }
        self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(1));
        Ok(self.remaining == Some(0) || self.until == Some(kind.word()))
    }

    /// Says that the listing is complete.
    ///
    /// # Errors
    /// It was waited for, or stdout is closed.
    pub fn list_done(&self, revision: Revision) -> Result<(), StopReason> {
        self.write_status(&StatusRow { event: LIST_DONE, status: None, revision: Some(revision) }, LIST_DONE)
    }

    /// Says where a sync stands.
    ///
    /// # Errors
    /// As [`EventWriter::list_done`].
    pub fn status(&self, status: &'static str, revision: Option<Revision>) -> Result<(), StopReason> {
        self.write_status(&StatusRow { event: "status", status: Some(status), revision }, status)
    }

    fn write_status(&self, row: &StatusRow, name: &str) -> Result<(), StopReason> {
        if self.exec.is_none() {
            self.ctx.out.live(row)?;
        }
        if self.until == Some(name) { Err(StopReason::At(Exit::Done)) } else { Ok(()) }
    }
}
