//! `kvadm lease`: show, grant, renew and revoke leases.

mod renew;

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{hidden_safety_options, parse_duration, parse_lease, parse_ttl, safety_options};
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::LeaseId;
use crate::output::{DryRunRow, KeyNameRow, LeaseKeys, LeaseRow};
use crate::plural::counted;

/// Concurrent queries about leases.
const CONCURRENT_QUERIES: usize = 16;

/// Show, grant, renew and revoke leases.
///
/// When a lease expires or is revoked, etcd deletes its keys. Lease IDs are hex, as in etcdctl. TTLs are whole seconds.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  kvadm lease list
  kvadm lease grant --ttl 60s
  kvadm lease revoke 694d7c5a1b2c3d4e --yes", args = hidden_safety_options(), disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    action: LeaseCommand,
}

#[derive(Debug, Subcommand)]
enum LeaseCommand {
    /// List all leases: ID, granted and remaining TTL in seconds, number of keys
    ///
    /// Sends one request for each lease, 16 at a time.
    #[command(after_help = "Examples:\n  kvadm lease list\n  kvadm lease list -o json")]
    List,
    /// Show one lease and its keys
    ///
    /// Exits 1 if the lease does not exist.
    #[command(
        after_help = "Examples:\n  kvadm lease show 694d7c5a1b2c3d4e\n  kvadm lease show 694d7c5a1b2c3d4e -o json"
    )]
    Show {
        /// Lease to show
        #[arg(value_name = "ID", value_parser = parse_lease)]
        id: LeaseId,
    },
    /// Grant a lease with a TTL
    ///
    /// Prints the ID and the granted TTL. etcd may grant more than requested.
    #[command(
        after_help = "Examples:\n  kvadm lease grant --ttl 60s\n  kvadm lease grant --ttl 10m --id 1f",
        args = safety_options()
    )]
    Grant {
        /// TTL of the lease without renewal
        #[arg(long, value_name = "D", value_parser = parse_ttl)]
        ttl: i64,
        /// Lease ID to use
        #[arg(long, value_name = "HEX", value_parser = parse_lease)]
        id: Option<LeaseId>,
    },
    /// Renew leases to their full TTL
    ///
    /// Without --every, kvadm renews once and exits 1 if a lease does not exist.
    ///
    /// With --every, kvadm renews until a signal, which does not revoke the leases. It exits 5 if a lease has expired.
    #[command(
        after_help = "Examples:\n  kvadm lease renew 694d7c5a1b2c3d4e\n  kvadm lease renew 694d7c5a1b2c3d4e --every 20s",
        args = safety_options()
    )]
    Renew {
        /// The leases
        #[arg(value_name = "ID", required = true, value_parser = parse_lease)]
        ids: Vec<LeaseId>,
        /// Renew every D
        #[arg(long, value_name = "D", value_parser = parse_duration)]
        every: Option<Duration>,
    },
    /// Revoke leases and delete their keys
    ///
    /// kvadm prints the number of keys and asks for confirmation; without a terminal, --yes is required. Exits 1 if a
    /// lease does not exist.
    #[command(
        after_help = "Examples:\n  kvadm lease revoke 694d7c5a1b2c3d4e --yes\n  kvadm lease revoke 694d7c5a1b2c3d4e --dry-run",
        args = safety_options()
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
/// A declined confirmation, an expired lease, or a refusal of etcd.
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
    let progress = ctx.out.progress("reading leases", Some(ids.len() as u64));
    let mut sink = ctx.out.stream();
    for chunk in ids.chunks(CONCURRENT_QUERIES) {
        for (grant, keys) in ctx.store().query_leases(chunk, true).await?.into_iter().flatten() {
            sink.push(&LeaseRow { grant, keys: Some(keys.len() as u64) })?;
        }
        progress.inc(chunk.len() as u64);
    }
    progress.finish();
    sink.finish()?;
    Ok(Exit::Done)
}

async fn show(ctx: &Context, id: LeaseId) -> Result<Exit, Failure> {
    let Some((grant, keys)) = ctx.store().lease_with_keys(id).await? else {
        ctx.out.note(&format!("lease not found: {id}"));
        return Ok(Exit::No);
    };
    ctx.out.note(&format!("lease {id}: {} s of {} s remaining, {}", grant.left, grant.ttl, counted(keys.len(), "key")));
    let keys = keys.iter().map(|key| KeyNameRow(key)).collect();
    ctx.out.report(&LeaseKeys { grant, keys })?;
    Ok(Exit::Done)
}

async fn grant(ctx: &Context, ttl: i64, id: Option<LeaseId>) -> Result<Exit, Failure> {
    if ctx.safety.dry_run {
        let row = DryRunRow { outcome: "would-grant", lease: id, ttl: Some(ttl), ..DryRunRow::default() };
        ctx.out.dry_run(&row, &format!("a lease with a TTL of {ttl} s would be granted"))?;
        return Ok(Exit::Done);
    }
    let grant = match id {
        Some(id) => ctx.store().grant_with_id(id, ttl).await?,
        None => ctx.store().grant(ttl).await?,
    };
    if grant.ttl != ttl {
        ctx.out.note(&format!("requested a TTL of {ttl} s, etcd granted {} s", grant.ttl));
    }
    ctx.out.one(&LeaseRow { grant, keys: None })?;
    Ok(Exit::Done)
}

async fn revoke(ctx: &Context, ids: &[LeaseId]) -> Result<Exit, Failure> {
    let mut found = Vec::new();
    let mut keys = 0;
    for (id, answer) in ids.iter().zip(ctx.store().query_leases(ids, true).await?) {
        match answer {
            Some((grant, attached)) => {
                keys += attached.len();
                found.push(LeaseRow { grant, keys: Some(attached.len() as u64) });
            }
            None => ctx.out.note(&format!("lease not found: {id}")),
        }
    }
    let missing = if found.len() < ids.len() { Exit::No } else { Exit::Done };
    if found.is_empty() {
        return Ok(missing);
    }
    let what = format!("{} with {}", counted(found.len(), "lease"), counted(keys, "key"));
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: {what} would be revoked"));
    } else {
        ctx.out.note(&format!("Found {what}"));
        let question = format!("Revoke {} and delete {}", counted(found.len(), "lease"), counted(keys, "key"));
        let consent = ctx.consent(&question)?;
        revoke_all(ctx, &consent, &found).await?;
    }
    let mut sink = ctx.out.stream();
    for row in &found {
        sink.push(row)?;
    }
    sink.finish()?;
    Ok(missing)
}

async fn revoke_all(ctx: &Context, _: &Consent, leases: &[LeaseRow]) -> Result<(), Failure> {
    for row in leases {
        ctx.store().revoke(row.grant.id).await?;
    }
    Ok(())
}
