//! The options of `kvadm list`.

use std::ffi::OsString;

use super::revisions::RevisionBounds;
use crate::activity::BranchLevels;
use crate::args::{parse_limit, parse_revision};
use crate::commands::clock::AtArgs;
use crate::commands::conditions::IfLockedArgs;
use crate::commands::proto::ProtoArgs;
use crate::commands::select::KeySelection;
use crate::commands::serializable::SerializableArgs;
use crate::commands::value_filter::ValueArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::kvstore::{KeyRange, Revision};

/// List keys and values, all at one revision
///
/// A prefix is a byte prefix: /a also matches /ab; --dir appends the missing slash.
/// Memory use does not depend on the number of keys. 'put --from' loads what
/// 'list -o json' prints.
///
/// --search, --regex, --since-rev and the options --min-mod-rev to --max-create-rev
/// read all keys of the range and print those that match; memory use stays the same.
///
/// --depth, --tree and --du treat keys as paths. A branch is the set of keys that
/// share a beginning up to a separator. --depth skips most of each subtree, but
/// etcd still counts its keys, so very large subtrees are slow.
///
/// --du adds up current keys and values. The database file is larger: it also holds
/// earlier revisions and free pages.
///
/// --at reads the history of a clock key by bisection: etcd stores no times. The
/// clock must not have gone backwards; a warning tells if the search sees that it
/// did. Earlier revisions of a key that was deleted and created again are not
/// searched.
///
/// --trailer ends the listing with a line that counts the records before it:
/// {"trailer":{"prefix":"/app/","count":3,"revision":57}}. 'put --from' loads
/// nothing from a file that was cut: one whose trailer counts other records.
///
/// --if-locked checks the lock with every page.
///
/// Exit codes:
///   0  listed, even if no key matches
///   1  --at: the clock key does not exist
///   2  the file of --db does not exist, or is not a database
///   4  the revision is in the future, or compacted (perhaps during the listing), or
///      --at is before the oldest known time; the file of --db is damaged
///   5  the lock of --if-locked is not held
///   70 --history: the folder of temporary files ($TMPDIR) cannot be written
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm list /app/
  kvadm list /app --dir --keys-only --match '*cert*'
  kvadm list /app --dir --regex '(?i)host *= *old-db' --keys-only
  kvadm list / --du --depth 2 --top 10
  kvadm list /app --dir -o json --with-leases --trailer > backup.jsonl",
    mut_arg("serializable", |arg| arg.conflicts_with("if_locked"))
)]
pub struct Args {
    /// List keys that begin with this [default: all keys]
    #[arg(value_name = "PREFIX")]
    pub(super) prefix: Option<OsString>,
    #[command(flatten)]
    pub(super) selection: KeySelection,
    #[command(flatten)]
    pub(super) values: ValueArgs,
    /// Select only keys written after revision N (deleted keys do not appear)
    ///
    /// The listing ends with a note of its revision, which the next run takes as N; with -o json, with an object on standard
    /// error. 'kvadm watch PREFIX --rev N+1' also prints deletions, unless N is compacted.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(Revision).range(0..), help_heading = "Which keys")]
    pub(super) since_rev: Option<Revision>,
    #[command(flatten)]
    pub(super) revisions: RevisionBounds,
    /// Print keys without their values
    #[arg(long, help_heading = "What to show")]
    pub(super) keys_only: bool,
    /// Print only the number of keys
    ///
    /// Cannot be used with --limit, --sort, --desc, --keys-only, --with-leases, --trailer, --depth, --tree or --du.
    #[arg(long, conflicts_with_all = ["limit", "sort", "desc", "keys_only", "with_leases"], help_heading = "What to show")]
    pub(super) count: bool,
    /// Maximum number of keys to print
    #[arg(long, value_name = "N", value_parser = parse_limit, allow_negative_numbers = true, conflicts_with = "since_rev",
          help_heading = "What to show")]
    pub(super) limit: Option<u64>,
    /// Read at store revision N
    #[arg(long, value_name = "N", value_parser = parse_revision, help_heading = "What to show")]
    pub(super) rev: Option<Revision>,
    #[command(flatten)]
    pub(super) at: AtArgs,
    /// Sort by BY instead of the key
    ///
    /// Keeps the whole listing in memory, or --limit keys.
    #[arg(long, value_name = "BY", help_heading = "What to show")]
    pub(super) sort: Option<SortOrder>,
    /// Sort in descending order (keeps the listing in memory, as --sort does)
    #[arg(long, help_heading = "What to show")]
    pub(super) desc: bool,
    /// Add the granted TTL of each key's lease, so that 'put --from' can restore it
    #[arg(long, conflicts_with_all = ["keys_only", "serializable"], help_heading = "What to show")]
    pub(super) with_leases: bool,
    /// With -o json: end with a line that proves that the listing of PREFIX is complete
    ///
    /// Cannot be used with an option that selects some of these keys (--from, --to, --match, --search, --regex, and those for
    /// revisions except --rev and --at), nor with --keys-only, --count, --limit, --sort, --desc, --depth, --tree or --du.
    #[arg(long, help_heading = "What to show",
          conflicts_with_all = ["from", "to", "glob", "search", "regex", "since_rev", "min_mod_rev", "max_mod_rev", "min_create_rev", "max_create_rev", "keys_only", "count", "limit", "sort", "desc", "depth", "tree", "du"])]
    pub(super) trailer: bool,
    /// Show N levels; deeper keys are collapsed into their parent (names only)
    ///
    /// Cannot be used with --count, --sort, --desc, --keys-only or --with-leases.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "As a tree",
          conflicts_with_all = ["count", "sort", "desc", "keys_only", "with_leases"])]
    pub(super) depth: Option<u64>,
    /// Print branches and keys as an indented tree; with --depth, count collapsed keys
    ///
    /// Cannot be used with --du, nor with --limit or an option that --depth excludes.
    #[arg(long, help_heading = "As a tree",
          conflicts_with_all = ["count", "limit", "sort", "desc", "keys_only", "with_leases", "du"])]
    pub(super) tree: bool,
    /// Print the keys and bytes of each branch, to one level or --depth
    ///
    /// etcd 3.6 and later report their quota; the PERCENT column is a branch's share of it. Cannot be used with --tree, nor with
    /// --limit or an option that --depth excludes.
    #[arg(long, help_heading = "As a tree",
          conflicts_with_all = ["count", "limit", "sort", "desc", "keys_only", "with_leases"])]
    pub(super) du: bool,
    /// With --du: print only the N largest branches, largest first
    #[arg(long, value_name = "N", requires = "du", value_parser = clap::value_parser!(u32).range(1..),
          conflicts_with_all = ["count", "limit", "sort", "desc", "keys_only", "with_leases", "tree", "trailer"],
          help_heading = "As a tree")]
    pub(super) top: Option<u32>,
    /// With --du: count all stored revisions, and print the most rewritten keys
    ///
    /// Prints, for each branch: the keys that exist, the bytes of their latest revisions, the bytes of all other revisions
    /// (superseded), the number of stored revisions, and the deletions (tombstones) among them. After the total follow the
    /// keys with the most revisions: 10, or --top. Memory grows with the keys, also deleted ones that are not compacted.
    /// Compaction removes superseded revisions. Without --db, kvadm takes a snapshot of one member into a temporary file
    /// ($TMPDIR names its folder), which needs the role root if authentication is on.
    #[arg(long, requires = "du", help_heading = "As a tree",
          conflicts_with_all = ["glob", "search", "regex", "since_rev", "min_mod_rev", "max_mod_rev", "min_create_rev", "max_create_rev", "rev", "at", "serializable", "if_locked",
                                "count", "limit", "sort", "desc", "keys_only", "with_leases", "tree", "trailer"])]
    pub(super) history: bool,
    /// Path separator, one byte
    #[arg(long, value_name = "C", default_value = "/", value_parser = parse_separator, help_heading = "As a tree")]
    pub(super) separator: u8,
    #[command(flatten)]
    pub(super) serializable: SerializableArgs,
    #[command(flatten)]
    pub(super) proto: ProtoArgs,
    #[command(flatten)]
    pub(super) if_locked: IfLockedArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum SortOrder {
    /// Key
    Key,
    /// Create revision
    Create,
    /// Mod revision
    Mod,
    /// Version
    Version,
    /// Value
    Value,
    /// Size of key and value
    Size,
}

fn parse_separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err("the separator must be one byte, such as /".to_owned()),
    }
}

impl Args {
    pub(super) fn as_tree(&self) -> bool {
        self.tree || self.du || self.depth.is_some()
    }

    /// Whether the listing needs no values.
    pub(super) fn names_only(&self) -> bool {
        let sized = matches!(self.sort, Some(SortOrder::Value | SortOrder::Size));
        (self.keys_only && !sized) || (self.as_tree() && !self.du)
    }

    /// Checks what clap cannot.
    ///
    /// # Errors
    /// A usage error for `--trailer` in another format than JSON, or if no key can be selected.
    pub(super) fn check(&self, ctx: &Context) -> Result<(), Failure> {
        if self.trailer && !ctx.out.is_json() {
            return Err(Failure::usage("--trailer requires -o json").hint("try 'kvadm list PREFIX -o json --trailer'"));
        }
        self.rev.map_or(Ok(()), |rev| self.check_since(rev))
    }

    /// Checks `--since-rev` for a listing of an earlier revision.
    ///
    /// # Errors
    /// A usage error if no key can be selected.
    pub(super) fn check_since(&self, rev: Revision) -> Result<(), Failure> {
        match self.since_rev {
            Some(since) if since > rev => {
                let failure = format!("no key: --since-rev {since} is after revision {rev}, which is listed");
                Err(Failure::usage(failure).hint("omit one of the two options"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn branch_levels(&self, range: &KeyRange, depth: usize) -> BranchLevels {
        let base = if self.selection.has_bounds() { 0 } else { range.start.len() };
        let depth = self.depth.map_or(depth, |depth| usize::try_from(depth).unwrap_or(usize::MAX));
        BranchLevels { base, separator: self.separator, depth }
    }
}
