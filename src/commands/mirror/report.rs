//! Reports of a mirror's position and rate, and the failures of a mirror.

use std::time::Duration;

use tokio::time::Instant;

use super::session::{MirrorSession, MirrorStop};
use crate::command_line::CommandLine;
use crate::error::{Exit, Failure};
use crate::kvstore::{self, Revision};
use crate::output::MirrorRow;
use crate::plural::counted;
use crate::sync::mirror::{MirrorError, MirrorPosition};

/// The default of --report.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What the last report said.
#[derive(Debug)]
pub(super) struct ReportClock {
    every: Duration,
    last: Instant,
    changes: u64,
    said: Option<(Revision, Revision)>,
}

impl ReportClock {
    pub(super) fn new(every: Option<Duration>, changes: u64) -> Self {
        Self { every: every.unwrap_or(REPORT_EVERY), last: Instant::now(), changes, said: None }
    }

    /// When the next report is due.
    pub(super) fn due(&self) -> Instant {
        self.last + self.every
    }

    /// The time between two reports.
    pub(super) fn period(&self) -> Duration {
        self.every
    }

    /// Begins the next period.
    pub(super) fn postpone(&mut self) {
        self.last = Instant::now();
    }
}

impl MirrorSession<'_> {
    /// Reports the position, unless nothing has changed since the last report. `since` is the begin of the period.
    pub(super) fn report(
        &self,
        clock: &mut ReportClock,
        since: Instant,
        position: MirrorPosition,
        now: Revision,
    ) -> Result<(), Failure> {
        let seconds = since.elapsed().as_secs_f64().max(0.001);
        let changes = self.totals.changes - clock.changes;
        clock.changes = self.totals.changes;
        let said = (position.revision, now);
        if clock.said.replace(said) == Some(said) && changes == 0 {
            return Ok(());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let rate = (changes as f64 / seconds).round() as u64;
        let row =
            MirrorRow { source_revision: Some(now), changes_per_second: Some(rate), ..self.row("progress", position) };
        let behind = row.behind().unwrap_or(0);
        let (at, rate) = (position.revision, counted(rate, "change"));
        self.ctx.out.note(&format!("at revision {at} of {now}, {behind} behind, {rate}/s"));
        self.print_row(row)
    }

    /// The failure for the end of a run.
    pub(super) fn failure(&self, stop: MirrorStop) -> Failure {
        let error = match stop {
            MirrorStop::Failed(failure) => return failure,
            MirrorStop::Mirror(error) => error,
        };
        let message = error.to_string();
        match error {
            MirrorError::Source(error) => self.of_store(error, &format!("the source, {}", self.source_name)),
            MirrorError::Destination(error) => self.of_store(error, "the destination"),
            MirrorError::PlaceChanged { .. } => Failure::conflict(message)
                .hint("run one mirror for a prefix; mirrors of other prefixes need other keys (--place KEY)"),
            MirrorError::ForeignChange { count, .. } => {
                let message = match count {
                    1 => message,
                    _ => format!("{message}, and {}", counted(count - 1, "more key")),
                };
                Failure::conflict(message)
                    .hint("let only the mirror write to this prefix, or add --overwrite to write over such changes")
                    .hint(format!("'{}' shows how both sides differ", self.diff_line()))
            }
            MirrorError::TooLarge { .. } => Failure::new(Exit::Refused, message)
                .hint("raise --max-request-bytes of the destination's servers, which counts the key twice"),
        }
    }

    /// The command that compares both sides.
    fn diff_line(&self) -> CommandLine {
        let (prefix, source_prefix) = (self.mapping.store_prefix(), self.mapping.source_prefix());
        let source = format!("context:{}", self.args.context().unwrap_or_default());
        let line = self.ctx.command_line(&["diff"]).key(prefix).words(["--source", &source]);
        if self.mapping.is_identity() { line } else { line.key_option("--source-prefix", source_prefix) }
    }

    fn of_store(&self, error: kvstore::Error, side: &str) -> Failure {
        let interrupted = matches!(error, kvstore::Error::Interrupted { .. });
        let failure = Failure::from(error);
        if interrupted { failure } else { failure.context(format!("the mirror has ended: {side} failed")) }
    }
}
