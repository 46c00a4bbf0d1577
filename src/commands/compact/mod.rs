//! `kvadm compact`: compact, defragment, and clear alarms.

mod condition;
mod defrag;
mod disarm;
mod dry_run;
mod every;
mod job;
mod ledger;
mod plan;
mod step;

use std::time::Duration;

use crate::args::{SHORTEST_PERIOD, parse_duration, parse_period, parse_revision, safety_options};
use crate::context::Context;
use crate::duration::format_duration;
use crate::error::{Exit, Failure};
use crate::kvstore::Revision;

use condition::DefragCondition;
use job::CompactJob;
use plan::CompactTarget;

/// Compact old revisions and reclaim disk space
///
/// Revisions that were superseded before REV can no longer be read or watched; the
/// newest value of every key stays. The whole store is compacted, regardless of
/// --namespace. Prints each member's file size and bytes in use, before and after.
///
/// A compaction frees space inside the database files; --defrag shrinks the files.
/// A member is out of service while it is defragmented. Members are defragmented
/// one at a time, the leader last, each only when all members are healthy.
///
/// Without REV and --keep, the current revision is compacted, but not by --defrag
/// or --disarm. A plain compaction asks for no confirmation; --defrag, --disarm and
/// --reclaim do. Steps are not limited by --op-timeout; --deadline limits them. If the
/// reply is lost kvadm checks the result; if it cannot, it exits 7.
///
/// --every D keeps between D and 2×D of history; with --keep N, it keeps N revisions
/// (--keep 0: none). The first round starts after D. Each round prints its number,
/// outcome, compacted and current revision, and milliseconds. It continues while
/// etcd is unreachable. A signal ends it after a running compaction.
///
/// Exit codes:
///   0  done, or already compacted at REV
///   4  REV is in the future
///   5  the cluster is not healthy or its version has a defect (see --force), the
///      cause of an alarm is not gone, or the prompt was declined
///   6  only some of the steps or members are done
///   7  a reply was lost, and the result is unknown
#[derive(clap::Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  kvadm compact --keep 10000
  kvadm compact --every 5m -o json
  kvadm compact --defrag --if 'in-use-below=50% or free-above=200MiB' \\
      --pause 30s --yes
  kvadm compact --defrag --member etcd-1
  kvadm compact --reclaim --dry-run
  kvadm compact --reclaim --yes",
    args = safety_options()
)]
pub struct Args {
    /// Compact at this revision; it stays readable, earlier ones do not
    #[arg(value_name = "REV", value_parser = parse_revision, conflicts_with = "keep")]
    revision: Option<Revision>,
    /// Keep the last N revisions before the current one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    keep: Option<Revision>,
    /// Wait until a member has removed old revisions
    ///
    /// false: return at once; etcd removes old revisions in the background.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = clap::ArgAction::Set)]
    physical: bool,
    /// Compact every D [default: the config's auto-compact]
    #[arg(long, value_name = "D", num_args = 0..=1, value_parser = parse_period, conflicts_with_all = ["revision", "defrag", "disarm", "reclaim"])]
    #[allow(clippy::option_option)]
    every: Option<Option<Duration>>,
    /// Defragment all members, one at a time
    #[arg(long)]
    defrag: bool,
    /// With --defrag: only members where COND holds, such as in-use-below=50%
    ///
    /// COND is one or more terms with 'and' or 'or' between them; 'and' binds tighter. in-use-below=P% compares the share of the
    /// file that is in use, free-above=SIZE its free bytes, size-above=SIZE its size, quota-above=P% its share of the quota
    /// (etcd 3.6 and later; before, the term does not hold). Each member is judged just before its turn. Other members are
    /// reported as skipped, with their figures. Exit code 0 if no member qualifies.
    #[arg(long = "if", value_name = "COND", requires = "defrag", conflicts_with = "every")]
    condition: Option<DefragCondition>,
    /// With --defrag: only this member (hex ID, name or URL); repeatable
    ///
    /// All members must be healthy all the same, and the leader comes last. The other members are reported as skipped.
    #[arg(long = "member", value_name = "MEMBER", conflicts_with = "every")]
    members: Vec<String>,
    /// With --defrag: wait D between two members
    ///
    /// Ctrl-C ends the waiting at once; a running defragmentation ends first.
    #[arg(long, value_name = "D", value_parser = parse_duration, requires = "defrag", conflicts_with = "every")]
    pause: Option<Duration>,
    /// Clear alarms whose cause is gone: NOSPACE, CORRUPT
    ///
    /// NOSPACE of members that have space again. CORRUPT only if the data of all members, compared right before, has the same hash
    /// at one revision; if it has not, 'kvadm status --consistency' shows the keys that differ. --reclaim clears NOSPACE only.
    #[arg(long)]
    disarm: bool,
    /// Fix "database space exceeded": compact, defragment and disarm
    #[arg(long)]
    reclaim: bool,
    /// With --defrag or --reclaim: move leadership before the leader is defragmented
    #[arg(long)]
    move_leader: bool,
    /// Run although the cluster or its version is not sound; continue after a failure
    ///
    /// Requires --defrag or --reclaim. Without it, kvadm does not defragment etcd 3.5.0 to 3.5.5: a member of these versions that
    /// crashes meanwhile can come back with other data than the rest (etcd's #14733). On versions before 3.5.23 and 3.6.5, kvadm
    /// warns (#20650).
    #[arg(long)]
    force: bool,
}

/// Runs the verb.
///
/// # Errors
/// A future revision, a declined confirmation, an unhealthy cluster, or a refusal of etcd.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let target = match (args.revision, args.keep) {
        (Some(revision), _) => Some(CompactTarget::At(revision)),
        (None, Some(keep)) => Some(CompactTarget::Keep(keep)),
        (None, None) => None,
    };
    let defrag = args.defrag || args.reclaim;
    let named = !args.members.is_empty();
    for (given, name) in [(args.move_leader, "--move-leader"), (args.force, "--force"), (named, "--member")] {
        if given && !defrag {
            return Err(Failure::usage(format!("{name} requires --defrag or --reclaim")).hint(match named {
                true => "try 'kvadm compact --defrag --member MEMBER'".to_owned(),
                false => format!("try 'kvadm compact --reclaim {name}'"),
            }));
        }
    }
    if args.reclaim && !args.physical {
        return Err(
            Failure::usage("--reclaim cannot be used with --physical=false").hint("try 'kvadm compact --reclaim'")
        );
    }
    if let Some(period) = args.every {
        let Some(period) = period.or(ctx.config.auto_compact) else {
            return Err(Failure::usage("--every needs a period: the config has no auto-compact, or it is zero")
                .hint("try 'kvadm compact --every 5m'"));
        };
        if period < SHORTEST_PERIOD {
            return Err(Failure::usage(format!(
                "the config's auto-compact is {}; the shortest period is 10ms",
                format_duration(period)
            ))
            .hint("a number without a unit is nanoseconds: write 5m, or run 'kvadm compact --every 5m'"));
        }
        return every::run(ctx, period, args.keep, args.physical).await;
    }
    let alone = !defrag && !args.disarm;
    let job = CompactJob {
        target: target.or((alone || args.reclaim).then_some(CompactTarget::Keep(0))),
        physical: args.physical,
        defrag: defrag.then(|| defrag::DefragOptions {
            force: args.force,
            move_leader: args.move_leader,
            condition: args.condition.clone(),
            pause: args.pause,
            named: args.members.clone(),
        }),
        disarm: args.disarm || args.reclaim,
        clears_corrupt: args.disarm,
    };
    job.run(ctx).await
}
