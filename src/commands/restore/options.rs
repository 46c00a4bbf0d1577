//! The options of `kvadm restore`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::args::{KeyText, safety_options};
use crate::commands::conditions::IfLockedArgs;
use crate::commands::proto::ProtoArgs;
use crate::commands::source::SourceArgs;
use crate::error::Failure;
use crate::gc::{Limits, OverLimit};
use crate::output::ChangeKind;

/// Make a prefix equal to a source: create, modify and delete keys
///
/// The plan is shown first: how many keys would be deleted, created and modified,
/// and the first 20 of them. Each change compares the mod revision that the plan
/// saw: a key that another client has changed meanwhile is left and counted. (A key
/// that was missing, and is missing again, counts as unchanged.) To finish an
/// interrupted restore, run the same command again.
///
/// Values and the presence of keys decide. A key that had a lease is created without
/// one; a key that has a lease keeps it if the source's key has one too. With
/// --with-leases, leases are compared and restored as well, and a key whose lease has
/// ended is left out. Locks and registrations are keys with a lease: --skip-leased
/// leaves all of them alone.
///
/// --source rev:N reverts everybody's changes since revision N. --source db:FILE
/// brings one prefix back out of a backup; the SHA-256 of a snapshot is checked
/// before anything is changed.
///
/// Memory use does not depend on the number of keys, except for db:FILE, whose
/// keys are in memory, but not their values. The plan is kept in a temporary
/// file of the size of the changes ($TMPDIR names its folder).
///
/// Exit codes:
///   0  done, or nothing to do
///   2  a file does not exist, or has another format
///   4  the revision is in the future, or compacted; the file is damaged
///   5  a safety rule refused: an empty source, too many deletions, no trailer
///   6  some keys were changed meanwhile and left, or an error ended the restore
///   7  it is unknown whether some changes were made
///   70 the folder of temporary files ($TMPDIR) cannot be written
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm restore /app/ --source rev:812 --undo undo.plan
  kvadm restore --apply-plan undo.plan
  kvadm restore /app/ --source context:prod --dry-run
  kvadm restore /app/ --source db:backup.db --dry-run
  kvadm restore /app/ --source file:app.jsonl --plan app.plan",
    args = safety_options(),
    mut_arg("source", |arg| arg.required(false).required_unless_present("apply_plan").conflicts_with("apply_plan")),
    mut_arg("if_locked", |arg| arg.help_heading("Conditions"))
)]
pub struct Args {
    /// Prefix to restore; '' for all keys
    #[arg(value_name = "PREFIX", required_unless_present = "apply_plan", conflicts_with = "apply_plan")]
    pub(super) prefix: Option<OsString>,
    /// Append a missing / to the prefix: /a becomes /a/ and does not match /ab
    #[arg(long)]
    pub(super) dir: bool,
    #[command(flatten)]
    pub(super) text: KeyText,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Do only these: created, modified, deleted
    #[arg(
        long,
        value_name = "KINDS",
        value_delimiter = ',',
        help_heading = "What to do",
        conflicts_with = "apply_plan"
    )]
    pub(super) only: Vec<OnlyKind>,
    /// Compare leases as well, and restore them with their granted TTL
    ///
    /// A lease that still exists is attached again. For the keys of another store or a file, one lease is granted for each
    /// lease of the source; a file needs 'list --with-leases'.
    #[arg(long, help_heading = "What to do", conflicts_with = "apply_plan")]
    pub(super) with_leases: bool,
    /// Leave keys alone that have a lease in the source or here
    #[arg(long, help_heading = "What to do", conflicts_with_all = ["apply_plan", "with_leases"])]
    pub(super) skip_leased: bool,
    /// Write the plan to FILE and change nothing
    #[arg(long, value_name = "FILE", help_heading = "Plans", conflicts_with_all = ["apply_plan", "undo"], value_hint = clap::ValueHint::FilePath)]
    pub(super) plan: Option<PathBuf>,
    /// Execute the plan of --plan or --undo
    #[arg(long, value_name = "FILE", help_heading = "Plans", value_hint = clap::ValueHint::FilePath)]
    pub(super) apply_plan: Option<PathBuf>,
    /// Write a plan to FILE that takes this restore back
    ///
    /// Each step is on disk before it is executed.
    #[arg(long, value_name = "FILE", help_heading = "Plans", value_hint = clap::ValueHint::FilePath)]
    pub(super) undo: Option<PathBuf>,
    /// Accept a source without keys, which deletes everything
    #[arg(long, help_heading = "Safety", conflicts_with = "apply_plan")]
    pub(super) allow_empty: bool,
    /// Change nothing if more than N keys would be deleted
    #[arg(long, value_name = "N", help_heading = "Safety")]
    pub(super) max_delete: Option<u64>,
    /// Delete at most P percent of the keys [default: 50, above 20 keys]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Safety", conflicts_with = "apply_plan")]
    pub(super) max_percent: Option<u8>,
    #[command(flatten)]
    pub(super) if_locked: IfLockedArgs,
    #[command(flatten)]
    pub(super) proto: ProtoArgs,
}

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnlyKind {
    /// Keys that only the source has
    Created,
    /// Keys with another value
    Modified,
    /// Keys that the source does not have
    Deleted,
}

impl Args {
    pub(super) fn does(&self, kind: ChangeKind) -> bool {
        let wanted = match kind {
            ChangeKind::Created => OnlyKind::Created,
            ChangeKind::Modified => OnlyKind::Modified,
            ChangeKind::Deleted => OnlyKind::Deleted,
        };
        self.only.is_empty() || self.only.contains(&wanted)
    }

    fn limits(&self) -> Limits {
        Limits { count: self.max_delete, percent: self.max_percent }
    }

    pub(super) fn check_limits(&self, deleted: u64, total: u64) -> Result<(), Failure> {
        let limits =
            if self.apply_plan.is_some() { Limits { percent: Some(100), ..self.limits() } } else { self.limits() };
        limits.check(deleted, total).map_err(|over| {
            let raise = match over {
                OverLimit::Count { .. } => "--max-delete",
                OverLimit::Percent { .. } => "--max-percent",
            };
            let over = over.to_string().replace("would be removed", "keys would be deleted");
            Failure::conflict(format!("{over}; nothing was changed"))
                .hint(format!("review the plan with --dry-run, then raise {raise}"))
        })
    }
}
