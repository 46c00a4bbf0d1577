//! What every kind of `gc` is told, and the files of plans.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::args::{parse_duration, parse_qps};
use crate::commands::input::{InputSource, read_all};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::{Limits, Plan, PlanError, SweepPacer};

/// The wait between the two looks of one run.
const GRACE: Duration = Duration::from_secs(30);
/// What the wait is longer than something has to be seen, for clocks that are not quite even.
const MORE: Duration = Duration::from_millis(100);

/// The grammar that all kinds share.
#[derive(Args, Clone, Debug)]
pub struct GcOptions {
    /// Remove what this look and an earlier one agree on
    #[arg(long, help_heading = "Collecting")]
    pub apply: bool,
    /// The earlier look: a plan that --save kept; several: what all of them agree on
    #[arg(long, help_heading = "Collecting", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub since: Vec<PathBuf>,
    /// The earlier look is made by this run, so long before [default: 30s]
    #[arg(long, help_heading = "Collecting", value_name = "D", value_parser = parse_duration, requires = "apply", conflicts_with_all = ["since", "every"])]
    grace: Option<Duration>,
    /// Again every so often, until a signal: each round is the next one's earlier look
    #[arg(long, help_heading = "Collecting", value_name = "D", value_parser = parse_duration)]
    pub every: Option<Duration>,
    /// Keep this look's plan in a file; an older plan there is replaced
    #[arg(long, help_heading = "Collecting", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub save: Option<PathBuf>,
    /// Refuse to remove anything where more than this would go
    #[arg(long, help_heading = "Collecting", value_name = "N")]
    max_delete: Option<u64>,
    /// Refuse to remove anything where more than this share would go [default: 50, above 20 objects]
    #[arg(long, help_heading = "Collecting", value_name = "P", value_parser = clap::value_parser!(u8).range(0..=100))]
    max_percent: Option<u8>,
    /// Remove at most so many a second
    #[arg(long, help_heading = "Collecting", value_name = "N", value_parser = parse_qps)]
    rate: Option<f64>,
}

impl GcOptions {
    /// How much may go.
    pub fn limits(&self) -> Limits {
        Limits { count: self.max_delete, percent: self.max_percent }
    }

    /// How fast.
    pub fn pace(&self) -> SweepPacer {
        SweepPacer { rate: self.rate }
    }

    /// How long to wait between two looks: at least as long as something has to be seen.
    pub fn grace(&self, at_least: Duration) -> Duration {
        self.grace.unwrap_or(GRACE.max(at_least + MORE))
    }

    /// The earlier plans.
    ///
    /// # Errors
    /// A usage error that names the file that is no plan.
    pub async fn earlier(&self, ctx: &Context) -> Result<Vec<Plan>, Failure> {
        let mut plans = Vec::new();
        for path in &self.since {
            let source = InputSource::of(path);
            let text = read_all(ctx, source).await?;
            let plan =
                Plan::parse(&text).map_err(|error| Failure::usage(format!("--since {}: {error}", source.name())));
            plans.push(plan?);
        }
        Ok(plans)
    }

    /// Which file an earlier plan came from, for messages.
    pub fn source(&self, index: usize) -> String {
        self.since.get(index).map_or_else(|| "the look before".to_owned(), |path| InputSource::of(path).name())
    }

    /// Refuses a file that may be replaced by a plan only if it is one.
    ///
    /// # Errors
    /// A usage error that names the file.
    pub fn check_save(&self) -> Result<(), Failure> {
        let Some(path) = &self.save else { return Ok(()) };
        let told = |error: std::io::Error| Failure::usage(format!("--save {}: {error}", path.display()));
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(told(error)),
        };
        match Plan::parse(&text) {
            Err(PlanError::Json(_)) if !text.is_empty() => {
                Err(Failure::usage(format!("--save {}: it holds something that is no plan", path.display()))
                    .hint("name a file that does not exist, or an older plan"))
            }
            _ => Ok(()),
        }
    }

    /// Keeps the plan, if that was asked for: the whole file or none of it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn keep(&self, plan: &Plan) -> Result<(), Failure> {
        let Some(path) = &self.save else { return Ok(()) };
        let text = plan.to_text().map_err(|error| Failure::new(Exit::Bug, format!("the plan has no text: {error}")))?;
        replace(path, &text)
            .map_err(|error| Failure::new(Exit::Usage, format!("cannot write {}: {error}", path.display())))
    }
}

/// Writes a file beside the old one and puts it in its place.
fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file: File| file.write_all(text).and_then(|()| file.sync_data()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
