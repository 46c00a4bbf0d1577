//! Options of all kinds of `gc`, and plan files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::args::{parse_duration, parse_period, parse_qps};
use crate::atomic_file;
use crate::commands::input::{InputSource, read_all};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::gc::{Limits, Plan, PlanError, SweepPacer};

/// Default wait between the two scans of one run.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// Added to the wait when candidates need a minimum age, for clocks that run at slightly different speeds.
const CLOCK_MARGIN: Duration = Duration::from_millis(100);

/// Options of all kinds of garbage.
#[derive(Args, Clone, Debug)]
pub struct GcOptions {
    /// Remove what this scan and an earlier one agree on
    #[arg(long, help_heading = "Collecting")]
    pub apply: bool,
    /// Plan file of an earlier scan (from --save); repeatable: only entries in all plans are deleted
    ///
    /// If FILE does not exist and --save names it too, this run removes nothing and saves the first plan: the same
    /// command can run from cron from the first day on.
    #[arg(long, help_heading = "Collecting", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub since: Vec<PathBuf>,
    /// Scan twice, D apart, in this run [default: 30s]
    #[arg(long, help_heading = "Collecting", value_name = "D", value_parser = parse_duration, requires = "apply", conflicts_with_all = ["since", "every"])]
    grace: Option<Duration>,
    /// Repeat every D until a signal; each round serves as the earlier scan of the next
    #[arg(long, help_heading = "Collecting", value_name = "D", value_parser = parse_period)]
    pub every: Option<Duration>,
    /// Save this scan's plan to a file; an older plan is replaced
    #[arg(long, help_heading = "Collecting", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub save: Option<PathBuf>,
    /// Delete nothing if more than N entries qualify
    #[arg(long, help_heading = "Collecting", value_name = "N")]
    max_delete: Option<u64>,
    /// Delete nothing if more than P percent qualify [default: 50, above 20 objects]
    #[arg(long, help_heading = "Collecting", value_name = "P", value_parser = clap::value_parser!(u8).range(0..=100))]
    max_percent: Option<u8>,
    /// Remove at most N entries per second
    #[arg(long, help_heading = "Collecting", value_name = "N", value_parser = parse_qps)]
    rate: Option<f64>,
}

/// The plans of --since.
pub struct EarlierPlans {
    /// Those whose file exists.
    pub plans: Vec<Plan>,
    /// The file that does not exist yet and that this run writes; nothing may be removed then.
    pub first: Option<PathBuf>,
}

/// Whether both paths name one file, which need not exist.
fn is_same(one: &Path, other: &Path) -> bool {
    let folder = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::canonicalize(folder).ok()
    };
    one == other || (one.file_name() == other.file_name() && folder(one).is_some() && folder(one) == folder(other))
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

impl GcOptions {
    /// Refuses to remove anything from a database file.
    ///
    /// # Errors
    /// A usage error for --apply with --db.
    pub fn check_store(&self, ctx: &Context) -> Result<(), Failure> {
        if !self.apply || ctx.safety.dry_run || ctx.database().is_none() {
            return Ok(());
        }
        Err(Failure::usage("--apply cannot be used with --db: garbage is not removed from a file")
            .hint("omit --apply, or add --dry-run, to see the plan; omit --db to work on the cluster"))
    }

    /// Maximum number of removals per round.
    pub fn limits(&self) -> Limits {
        Limits { count: self.max_delete, percent: self.max_percent }
    }

    /// Warns if so many removals are more than the limits allow.
    pub fn warn_over_limits(&self, ctx: &Context, garbage: u64, scanned: u64) {
        if let Err(over) = self.limits().check(garbage, scanned) {
            ctx.out.warn(&format!("--apply would refuse: {over}"));
        }
    }

    /// Maximum rate of removals.
    pub fn pace(&self) -> SweepPacer {
        SweepPacer { rate: self.rate }
    }

    /// Wait between two scans: at least `at_least`, the minimum age of candidates.
    pub fn grace(&self, at_least: Duration) -> Duration {
        self.grace.unwrap_or(DEFAULT_GRACE.max(at_least + CLOCK_MARGIN))
    }

    /// Reads the earlier plans.
    ///
    /// # Errors
    /// A usage error that names the file that is not a plan.
    pub async fn earlier(&self, ctx: &Context) -> Result<EarlierPlans, Failure> {
        let mut plans = Vec::new();
        let mut first = None;
        for path in &self.since {
            if self.save.as_ref().is_some_and(|save| is_same(save, path)) && is_missing(path) {
                first = Some(path.clone());
                continue;
            }
            let source = InputSource::of(path);
            let text = read_all(ctx, source).await?;
            let plan =
                Plan::parse(&text).map_err(|error| Failure::usage(format!("--since {}: {error}", source.name())));
            plans.push(plan?);
        }
        Ok(EarlierPlans { plans, first })
    }

    /// The source of an earlier plan, for messages.
    pub fn source(&self, index: usize) -> String {
        self.since.get(index).map_or_else(|| "the previous scan".to_owned(), |path| InputSource::of(path).name())
    }

    /// Checks that the file for the plan does not exist or is a plan.
    ///
    /// # Errors
    /// A usage error that names the file.
    pub fn check_save(&self) -> Result<(), Failure> {
        let Some(path) = &self.save else { return Ok(()) };
        let failure = |error: std::io::Error| Failure::usage(format!("--save {}: {error}", path.display()));
        atomic_file::check_replaceable(path).map_err(failure)?;
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failure(error)),
        };
        match Plan::parse(&text) {
            Err(PlanError::Json(_)) if !text.is_empty() => {
                Err(Failure::usage(format!("--save {}: the file exists and is not a plan", path.display()))
                    .hint("name a new file or an older plan"))
            }
            _ => Ok(()),
        }
    }

    /// Writes the plan if --save is given: the whole file or nothing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_plan(&self, plan: &Plan) -> Result<(), Failure> {
        let Some(path) = &self.save else { return Ok(()) };
        let text =
            plan.to_text().map_err(|error| Failure::new(Exit::Bug, format!("cannot format the plan: {error}")))?;
        atomic_file::replace(path, &text)
            .map_err(|error| Failure::new(Exit::Usage, format!("cannot write {}: {error}", path.display())))
    }
}
