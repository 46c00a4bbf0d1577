//! Prints or handles each event, and decides when the watch ends.

use tokio::time::Instant;

use super::exec::EventCommand;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{self, KeyValue, Revision};
use crate::output::{ChangeKind, EventRow, StatusRow};
use crate::time::Time;

/// The record that follows a listing's last key.
pub const LIST_DONE: &str = "list-done";
/// The last status of a sync.
pub const IN_SYNC: &str = "in-sync";

pub enum StopReason {
    /// The requested events were written, or `--timeout` elapsed.
    At(Exit),
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for StopReason {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Prints a change, given the time to show and the previous state of the key; returns whether it counts.
pub type ShowChange<'a> =
    Box<dyn Fn(Option<String>, ChangeKind, &KeyValue, Option<&KeyValue>) -> Result<bool, Failure> + 'a>;

pub struct EventWriter<'a> {
    pub ctx: &'a Context,
    pub only: Vec<ChangeKind>,
    pub keys_only: bool,
    pub prev: bool,
    /// Whether each event begins with the time when it was received.
    pub timestamps: bool,
    /// The number of changes left to write, if limited.
    pub remaining: Option<u64>,
    pub until: Option<&'static str>,
    pub exec: Option<EventCommand>,
    pub show: Option<ShowChange<'a>>,
    pub limit: Option<Instant>,
}

impl EventWriter<'_> {
    /// Writes one change; returns whether it was the last requested one.
    ///
    /// # Errors
    /// The timeout, a signal, a failed command or a closed stdout; the change does not count as written.
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
                if !show(self.time(), kind, kv, prev)? {
                    return Ok(false);
                }
            }
            (None, None) => {
                let prev = self.prev.then_some(prev);
                self.ctx.out.live(&EventRow { time: self.time(), kind, kv, value: !self.keys_only, prev })?;
            }
        }
        self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(1));
        Ok(self.remaining == Some(0) || self.until == Some(kind.word()))
    }

    /// Reports that the listing is complete.
    ///
    /// # Errors
    /// The watch ends at this event, or stdout is closed.
    pub fn list_done(&self, revision: Revision) -> Result<(), StopReason> {
        let row = StatusRow { time: self.time(), event: LIST_DONE, status: None, revision: Some(revision) };
        self.write_status(&row, LIST_DONE)
    }

    /// Reports the status of a sync.
    pub fn status(&self, status: &'static str, revision: Option<Revision>) -> Result<(), StopReason> {
        let row = StatusRow { time: self.time(), event: "status", status: Some(status), revision };
        self.write_status(&row, status)
    }

    /// The time of an event that was just received.
    fn time(&self) -> Option<String> {
        self.timestamps.then(|| format!("{:.3}", Time::now()))
    }

    fn write_status(&self, row: &StatusRow, name: &str) -> Result<(), StopReason> {
        if self.exec.is_none() {
            self.ctx.out.live(row)?;
        }
        if self.until == Some(name) { Err(StopReason::At(Exit::Done)) } else { Ok(()) }
    }
}
