//! `kvadm restore`: make a prefix equal to a source.

mod execute;
mod options;
mod planning;

use crate::commands::proto::warn_of_bypass;
use crate::commands::select::prefix_range;
use crate::commands::serializable::{ReadStore, SerializableArgs};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::KeyRange;

pub use options::Args;

/// Runs the verb.
///
/// # Errors
/// A source or plan that cannot be used, a safety rule, a lost lock, an unknown outcome, or a refusal of etcd.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    execute::check_new_file("--undo", args.undo.as_deref())?;
    execute::check_new_file("--plan", args.plan.as_deref())?;
    let guard = args.if_locked.guard(ctx).await?;
    if let Some(path) = &args.apply_plan {
        let plan = execute::open_plan(ctx, path).await?;
        args.check_limits(plan.counts.deleted, u64::MAX)?;
        warn_of_bypass(ctx, [KeyRange::prefix(&plan.head.prefix)]);
        return execute::run(ctx, plan, guard, args.undo.as_deref()).await;
    }
    let prefix = prefix_range(args.text, args.prefix.as_deref().unwrap_or_default(), args.dir)?.start;
    execute::check_guard(ctx, &prefix, guard.as_ref())?;
    let codec = args.proto.decode_output(ctx)?;
    let here = ReadStore::of_cluster(ctx.store());
    let mut source = args.source.open(ctx, &here, SerializableArgs::default(), &prefix, args.text, &codec).await?;
    warn_of_bypass(ctx, [KeyRange::prefix(&prefix)]);
    source.check_whole(ctx).await?;
    let database = source.database();
    let plan = planning::make(ctx, args, source, &here).await?;
    if let Some(database) = database {
        // The plan is about the file as it was proved.
        let checked = database.check_unchanged().map_err(|error| Failure::from(database.error(error)));
        checked.map_err(|failure| failure.hint("nothing was changed"))?;
    }
    if let Some(path) = &args.plan {
        return planning::report_saved(ctx, &plan, path);
    }
    execute::run(ctx, plan, guard, args.undo.as_deref()).await
}
