//! The options of `kvadm list`.

use std::ffi::OsString;

use super::levels::BranchLevels;
use crate::args::parse_revision;
use crate::commands::conditions::IfLockedArgs;
use crate::commands::proto::ProtoArgs;
use crate::commands::select::KeySelection;
use crate::kvstore::{KeyRange, Revision};

/// List keys and values at one revision, in constant memory, whatever the size.
///
/// A prefix is a raw byte prefix: /a matches /ab as well, unless --dir is given. What '-o json' prints,
/// 'put --from' takes. If the revision is compacted under a long listing, it ends with 4 and says so.
///
/// '--depth', '--tree' and '--du' see keys as paths: a branch is all the keys with the same beginning up to a /. They hold
/// the branches of one key in memory (with '--top' N more), never the keys. '--depth' and '--tree --depth' read a page of
/// each branch and leave the rest of it unread; etcd counts it all the same. '--du' counts keys and values as they are
/// now: earlier revisions and etcd's own pages fill the database too.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm list /app/
  kvadm list /app --dir --keys-only --match '*cert*'
  kvadm list /app --dir --depth 1
  kvadm list / --du --depth 2 --top 10
  kvadm list --from /a --to /m -o json --with-leases > backup.jsonl")]
pub struct Args {
    /// Keys that begin with this; all keys without it
    #[arg(value_name = "PREFIX")]
    pub(super) prefix: Option<OsString>,
    #[command(flatten)]
    pub(super) selection: KeySelection,
    /// Keys without their values
    #[arg(long, help_heading = "What to show")]
    pub(super) keys_only: bool,
    /// Only how many there are
    #[arg(long, conflicts_with_all = ["limit", "sort", "desc", "keys_only", "with_leases"], help_heading = "What to show")]
    pub(super) count: bool,
    /// At most so many
    #[arg(long, value_name = "N", help_heading = "What to show")]
    pub(super) limit: Option<u64>,
    /// As it was at this revision
    #[arg(long, value_name = "N", value_parser = parse_revision, help_heading = "What to show")]
    pub(super) rev: Option<Revision>,
    /// Order by this instead of the key; holds the whole listing in memory, or --limit of it
    #[arg(long, value_name = "BY", help_heading = "What to show")]
    pub(super) sort: Option<SortOrder>,
    /// Largest first; holds the whole listing in memory, or --limit of it
    #[arg(long, help_heading = "What to show")]
    pub(super) desc: bool,
    /// With each lease's granted TTL in seconds, so that 'put --from' grants it again
    #[arg(long, conflicts_with = "keys_only", help_heading = "What to show")]
    pub(super) with_leases: bool,
    /// Branches and keys down to this level: instead of what lies deeper, the branch; names only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "As a tree",
          conflicts_with_all = ["count", "sort", "desc", "keys_only", "with_leases"])]
    pub(super) depth: Option<u64>,
    /// Branches and keys, indented; with --depth the number of keys in what lies deeper
    #[arg(long, help_heading = "As a tree",
          conflicts_with_all = ["count", "limit", "sort", "desc", "keys_only", "with_leases", "du"])]
    pub(super) tree: bool,
    /// How many keys and bytes each branch holds, and their percentage of the quota (etcd 3.6 and later tell it); one
    /// level, or --depth
    #[arg(long, help_heading = "As a tree",
          conflicts_with_all = ["count", "limit", "sort", "desc", "keys_only", "with_leases"])]
    pub(super) du: bool,
    /// With --du, only the N largest branches, the largest first
    #[arg(long, value_name = "N", requires = "du", value_parser = clap::value_parser!(u32).range(1..),
          help_heading = "As a tree")]
    pub(super) top: Option<u32>,
    /// What separates the levels, one byte
    #[arg(long, value_name = "C", default_value = "/", value_parser = parse_separator, help_heading = "As a tree")]
    pub(super) separator: u8,
    #[command(flatten)]
    pub(super) proto: ProtoArgs,
    #[command(flatten)]
    pub(super) if_locked: IfLockedArgs,
}

/// What a listing is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum SortOrder {
    /// The key's bytes
    Key,
    /// The revision of the creation
    Create,
    /// The revision of the last change
    Mod,
    /// The number of changes
    Version,
    /// The value's bytes
    Value,
    /// The length of key and value together
    Size,
}

fn parse_separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err("a separator is one byte".to_owned()),
    }
}

impl Args {
    pub(super) fn as_tree(&self) -> bool {
        self.tree || self.du || self.depth.is_some()
    }

    /// Whether no value is looked at.
    pub(super) fn names_only(&self) -> bool {
        let sized = matches!(self.sort, Some(SortOrder::Value | SortOrder::Size));
        (self.keys_only && !sized) || (self.as_tree() && !self.du)
    }

    pub(super) fn branch_levels(&self, range: &KeyRange, depth: usize) -> BranchLevels {
        let base = if self.selection.has_bounds() { 0 } else { range.start.len() };
        let depth = self.depth.map_or(depth, |depth| usize::try_from(depth).unwrap_or(usize::MAX));
        BranchLevels { base, separator: self.separator, depth }
    }
}
