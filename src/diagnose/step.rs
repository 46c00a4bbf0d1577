//! What a probe of one endpoint found, step by step.

use std::time::Duration;

use crate::kvstore::{Alarm, Error};
use crate::output::Fact;

/// The result of probing one endpoint.
#[derive(Debug)]
pub struct Probe {
    /// The endpoint as formatted in messages.
    pub endpoint: String,
    /// The steps in order; those that need a failed one are skipped.
    pub steps: Vec<ProbeStep>,
}

/// A step of a probe.
#[derive(Debug)]
pub struct ProbeStep {
    /// `srv` (with `--discovery-srv`), `resolve`, `tcp` (both are replaced by `socket` for a Unix socket), `tls`, `http2`, `auth`, `leader`, `quorum`,
    /// `alarms`, `quota`.
    pub name: &'static str,
    /// The outcome.
    pub outcome: StepOutcome,
    /// The time it took; `None` if nothing was sent for it.
    pub took: Option<Duration>,
    /// A short description of the result, or why the step was skipped; empty if it failed.
    pub detail: String,
    /// The facts found, also by a step that failed.
    pub facts: Vec<Fact>,
}

/// The outcome of a step.
#[derive(Debug)]
pub enum StepOutcome {
    /// Successful.
    Done,
    /// Failed.
    Failed(StepFailure),
    /// Not tried.
    Skipped,
}

/// Why a step failed.
#[derive(Debug)]
pub enum StepFailure {
    /// The endpoint could not be reached, or a request failed.
    Error(Error),
    /// The member has no leader.
    NoLeader,
    /// The cluster has raised alarms.
    Alarms {
        /// All raised alarms.
        alarms: Vec<Alarm>,
        /// The ID of the probed member, if the user may read it.
        member: Option<u64>,
    },
}

impl ProbeStep {
    pub(super) fn done(
        name: &'static str,
        took: Option<Duration>,
        detail: impl Into<String>,
        facts: Vec<Fact>,
    ) -> Self {
        Self { name, outcome: StepOutcome::Done, took, detail: detail.into(), facts }
    }

    pub(super) fn failed(name: &'static str, took: Option<Duration>, failure: StepFailure, facts: Vec<Fact>) -> Self {
        Self { name, outcome: StepOutcome::Failed(failure), took, detail: String::new(), facts }
    }

    pub(super) fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, outcome: StepOutcome::Skipped, took: None, detail: why.into(), facts: Vec::new() }
    }

    /// The failure of the step, if it failed.
    pub fn failure(&self) -> Option<&StepFailure> {
        match &self.outcome {
            StepOutcome::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl Probe {
    /// The first step that failed.
    pub fn failure(&self) -> Option<(&ProbeStep, &StepFailure)> {
        self.steps.iter().find_map(|step| Some((step, step.failure()?)))
    }

    /// Whether the endpoint serves requests: only alarms and quota may have failed.
    pub fn serves(&self) -> bool {
        let minor = |step: &ProbeStep| matches!(step.name, "alarms" | "quota");
        self.steps.iter().all(|step| step.failure().is_none() || minor(step))
    }
}
