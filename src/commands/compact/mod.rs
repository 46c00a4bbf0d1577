//! `kvadm compact`.

mod defrag;
mod disarm;
mod every;
mod job;
mod ledger;
mod plan;
mod rehearse;
mod step;

use std::time::Duration;

use crate::args::{parse_duration, parse_revision, safety_options};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::Revision;

use job::CompactJob;
use plan::CompactTarget;

/// Compact the history, and give the space back.
///
/// What was superseded before REV cannot be read or watched any more; the newest value of every key stays. The whole
/// store is compacted, whatever --namespace says. That makes room inside the database files, which do not shrink by it:
/// --defrag does that. Prints each member's file size and bytes in use, before and after.
///
/// Without REV and --keep the current revision is taken; but --defrag and --disarm do not compact unless one of them is
/// given. A store that is compacted at REV already is no failure, a REV that does not exist yet is (4), and nothing is
/// rounded. Compaction and defragmentation go on inside etcd whatever becomes of kvadm: they are waited for without
/// regard to --op-timeout (--deadline bounds them), and where the answer is lost it is looked whether they have
/// happened; if that cannot be told either it ends with 7.
///
/// --defrag takes a member out of service while it lasts. The next one's turn comes when all are healthy and caught up;
/// the leader is the last. An unhealthy cluster is refused (5) unless --force is given; that the database is full does
/// not count. If some members are done when one fails, it ends with 6. A signal ends it between two members.
///
/// --every compacts, each period, what was current a period before, so that history of one to two periods stays; with
/// --keep N so many revisions stay instead (--keep 0: none, as Ligato does). The first time is after a period. A line
/// each round: its number, compacted, already, nothing (no revision since) or failed, the revision compacted, the
/// current one, milliseconds. It goes on while etcd is away. A signal ends it, but not in the middle of a compaction.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kvadm compact --keep 10000
  kvadm compact --every 5m -o json
  kvadm compact --defrag --move-leader --yes
  kvadm compact --reclaim --dry-run
  kvadm compact --reclaim --yes", args = safety_options())]
pub struct Args {
    /// Compact at this revision: it can still be read, earlier ones cannot
    #[arg(value_name = "REV", value_parser = parse_revision, conflicts_with = "keep")]
    revision: Option<Revision>,
    /// Compact so many revisions before the current one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    keep: Option<Revision>,
    /// Wait until a member has removed the old revisions; false: etcd does it by and by
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = clap::ArgAction::Set)]
    physical: bool,
    /// Again and again, every D; without D as often as the config's auto-compact says
    #[arg(long, value_name = "D", num_args = 0..=1, value_parser = parse_duration, conflicts_with_all = ["revision", "defrag", "disarm", "reclaim"])]
    #[allow(clippy::option_option)]
    every: Option<Option<Duration>>,
    /// Defragment all members, one at a time
    #[arg(long)]
    defrag: bool,
    /// Clear NOSPACE alarms where there is room again
    #[arg(long)]
    disarm: bool,
    /// The way out of "database space exceeded": compact, defragment, disarm
    #[arg(long)]
    reclaim: bool,
    /// With --defrag or --reclaim: have another member lead before the leader's turn
    #[arg(long)]
    move_leader: bool,
    /// With --defrag or --reclaim: although the cluster is not healthy, and on where a member fails
    #[arg(long)]
    force: bool,
}

/// Runs the verb.
///
/// # Errors
/// A future revision, a safety rule, an unhealthy cluster, or whatever etcd refused.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    let asked = match (args.revision, args.keep) {
        (Some(revision), _) => Some(CompactTarget::At(revision)),
        (None, Some(keep)) => Some(CompactTarget::Keep(keep)),
        (None, None) => None,
    };
    let defrag = args.defrag || args.reclaim;
    for (given, name) in [(args.move_leader, "--move-leader"), (args.force, "--force")] {
        if given && !defrag {
            return Err(Failure::usage(format!("{name} without --defrag or --reclaim")));
        }
    }
    if args.reclaim && !args.physical {
        return Err(Failure::usage("--reclaim waits for the compaction: it goes not with --physical=false"));
    }
    if let Some(period) = args.every {
        let Some(period) = period.or(ctx.config.auto_compact) else {
            return Err(Failure::usage("--every without a period: auto-compact is not in the config, or zero")
                .hint("say how often, such as --every 5m"));
        };
        return every::run(ctx, period, args.keep, args.physical).await;
    }
    let alone = !defrag && !args.disarm;
    let job = CompactJob {
        aim: asked.or((alone || args.reclaim).then_some(CompactTarget::Keep(0))),
        physical: args.physical,
        defrag: defrag.then_some(defrag::DefragOptions { force: args.force, move_leader: args.move_leader }),
        disarm: args.disarm || args.reclaim,
    };
    job.run(ctx).await
}
