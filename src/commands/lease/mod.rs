//! `kvadm lease`.

mod renew;

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{parse_duration, parse_lease, parse_ttl};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::LeaseId;
use crate::output::{KeyNameRow, LeaseKeys, LeaseRow};

/// Leases that are asked about at once.
const AT_ONCE: usize = 16;

/// Show, grant, renew and revoke leases.
///
/// A lease's keys go when it expires or is revoked. IDs are hex, as in etcdctl; TTLs are whole seconds.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm lease list
  kvadm lease grant --ttl 60s
  kvadm lease revoke 694d7c5a1b2c3d4e --yes")]
pub struct Args {
    #[command(subcommand)]
    action: LeaseCommand,
}

#[derive(Debug, Subcommand)]
enum LeaseCommand {
    /// List all leases: ID, TTL granted and left in seconds, number of keys
    ///
    /// Asks about each lease, some at once.
    #[command(after_help = "Examples:\n  kvadm lease list\n  kvadm lease list -o json")]
    List,
    /// Show one lease and its keys
    ///
    /// Ends with 1 if there is no such lease.
    #[command(
        after_help = "Examples:\n  kvadm lease show 694d7c5a1b2c3d4e\n  kvadm lease show 694d7c5a1b2c3d4e -o json"
    )]
    Show {
        /// The lease
        #[arg(value_name = "ID", value_parser = parse_lease)]
        id: LeaseId,
    },
    /// Grant a lease that lives for a while
    ///
    /// Prints its ID and the TTL that etcd granted, which may be more than was asked for.
    #[command(after_help = "Examples:\n  kvadm lease grant --ttl 60s\n  kvadm lease grant --ttl 10m --id 1f")]
    Grant {
        /// How long it lives without being renewed
        #[arg(long, value_name = "D", value_parser = parse_ttl)]
        ttl: i64,
        /// With this ID
        #[arg(long, value_name = "HEX", value_parser = parse_lease)]
        id: Option<LeaseId>,
    },
    /// Renew leases to their full TTL
    ///
    /// Once; or with --every again and again, until a signal ends it (its leases live on) or one is gone, which ends
    /// with 5. Without --every a missing lease ends with 1.
    #[command(
        after_help = "Examples:\n  kvadm lease renew 694d7c5a1b2c3d4e\n  kvadm lease renew 694d7c5a1b2c3d4e --every 20s"
    )]
    Renew {
        /// The leases
        #[arg(value_name = "ID", required = true, value_parser = parse_lease)]
        ids: Vec<LeaseId>,
        /// Again every so often
        #[arg(long, value_name = "D", value_parser = parse_duration)]
        every: Option<Duration>,
    },
    /// Revoke leases; their keys are deleted
    ///
    /// Says how many keys go and asks; where there is no terminal it needs --yes. Ends with 1 if a lease was missing.
    #[command(
        after_help = "Examples:\n  kvadm lease revoke 694d7c5a1b2c3d4e --yes\n  kvadm lease revoke 694d7c5a1b2c3d4e --dry-run"
    )]
    Revoke {
        /// The leases
        #[arg(value_name = "ID", required = true, value_parser = parse_lease)]
        ids: Vec<LeaseId>,
    },
}

/// Runs the verb.
///
/// # Errors
/// A refused confirmation, a lease that was lost, or whatever etcd refused.
pub async fn run(ctx: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.action {
        LeaseCommand::List => list(ctx).await,
        LeaseCommand::Show { id } => show(ctx, *id).await,
        LeaseCommand::Grant { ttl, id } => grant(ctx, *ttl, *id).await,
        LeaseCommand::Renew { ids, every } => renew::run(ctx, ids, *every).await,
        LeaseCommand::Revoke { ids } => revoke(ctx, ids).await,
    }
}

async fn list(ctx: &Context) -> Result<Exit, Failure> {
    let ids = ctx.store().leases().await?;
    let progress = ctx.out.progress("asking", Some(ids.len() as u64));
    let mut sink = ctx.out.stream();
    for some in ids.chunks(AT_ONCE) {
        for (grant, keys) in ctx.store().query_leases(some, true).await?.into_iter().flatten() {
            sink.push(&LeaseRow { grant, keys: Some(keys.len() as u64) })?;
        }
        progress.inc(some.len() as u64);
    }
    progress.finish();
    sink.finish()?;
    Ok(Exit::Done)
}

async fn show(ctx: &Context, id: LeaseId) -> Result<Exit, Failure> {
    let Some((grant, keys)) = ctx.store().lease_with_keys(id).await? else {
        ctx.out.note(&format!("no lease {id}"));
        return Ok(Exit::No);
    };
    ctx.out.note(&format!("lease {id}: {} s of {} s left, {} keys", grant.left, grant.ttl, keys.len()));
    let keys = keys.iter().map(|key| KeyNameRow(key)).collect();
    ctx.out.report(&LeaseKeys { grant, keys })?;
    Ok(Exit::Done)
}

async fn grant(ctx: &Context, ttl: i64, id: Option<LeaseId>) -> Result<Exit, Failure> {
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: a lease of {ttl} s would be granted"));
        return Ok(Exit::Done);
    }
    let grant = match id {
        Some(id) => ctx.store().grant_with_id(id, ttl).await?,
        None => ctx.store().grant(ttl).await?,
    };
    if grant.ttl != ttl {
        ctx.out.note(&format!("asked for a TTL of {ttl} s, etcd granted {} s", grant.ttl));
    }
    ctx.out.one(&LeaseRow { grant, keys: None })?;
    Ok(Exit::Done)
}

async fn revoke(ctx: &Context, ids: &[LeaseId]) -> Result<Exit, Failure> {
    let mut there = Vec::new();
    let mut keys = 0;
    for (id, answer) in ids.iter().zip(ctx.store().query_leases(ids, true).await?) {
        match answer {
            Some((grant, on_it)) => {
                keys += on_it.len();
                there.push(LeaseRow { grant, keys: Some(on_it.len() as u64) });
            }
            None => ctx.out.note(&format!("no lease {id}")),
        }
    }
    let missing = if there.len() < ids.len() { Exit::No } else { Exit::Done };
    if there.is_empty() {
        return Ok(missing);
    }
    let what = format!("{} leases with {keys} keys", there.len());
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: {what} would be revoked"));
    } else {
        ctx.out.note(&what);
        ctx.consent(&format!("revoke {what}"))?;
        for row in &there {
            ctx.store().revoke(row.grant.id).await?;
        }
    }
    let mut sink = ctx.out.stream();
    for row in &there {
        sink.push(row)?;
    }
    sink.finish()?;
    Ok(missing)
}
