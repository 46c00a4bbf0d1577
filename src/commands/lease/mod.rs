//! `kvadm lease`: show, grant, renew and revoke leases.

mod renew;

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{hidden_safety_options, parse_lease, parse_period, parse_ttl, safety_options};
use crate::commands::proto::warn_of_bypass;
use crate::consent::Consent;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, LeaseId, LeaseWithKeys};
use crate::output::{DryRunRow, KeyNameRow, LeaseKeys, LeaseRow, bytes};
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
        #[arg(long, value_name = "D", value_parser = parse_period)]
        every: Option<Duration>,
    },
    /// Revoke leases and delete their keys
    ///
    /// kvadm prints the number of keys and asks for confirmation; without a terminal, --yes is required. Exits 1 if a
    /// lease does not exist.
    ///
    /// With --namespace, keys outside the namespace are counted, and not named. --yes does not include them: revoking a
    /// lease that has such keys also needs --outside-namespace.
    #[command(
        after_help = "Examples:\n  kvadm lease revoke 694d7c5a1b2c3d4e --yes\n  kvadm lease revoke 694d7c5a1b2c3d4e --dry-run",
        args = safety_options()
    )]
    Revoke {
        /// The leases
        #[arg(value_name = "ID", required = true, value_parser = parse_lease)]
        ids: Vec<LeaseId>,
        /// With --yes: also revoke leases that have keys outside --namespace
        #[arg(long)]
        outside_namespace: bool,
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
        LeaseCommand::Revoke { ids, outside_namespace } => revoke(ctx, ids, *outside_namespace).await,
    }
}

async fn list(ctx: &Context) -> Result<Exit, Failure> {
    let ids = ctx.store().leases().await?;
    let progress = ctx.out.progress("reading leases", Some(ids.len() as u64));
    let mut sink = ctx.out.stream();
    for chunk in ids.chunks(CONCURRENT_QUERIES) {
        for lease in ctx.store().query_leases(chunk, true).await?.into_iter().flatten() {
            sink.push(&LeaseRow::counted(&lease))?;
        }
        progress.inc(chunk.len() as u64);
    }
    progress.finish();
    sink.finish()?;
    Ok(Exit::Done)
}

async fn show(ctx: &Context, id: LeaseId) -> Result<Exit, Failure> {
    let Some(LeaseWithKeys { grant, keys, foreign }) = ctx.store().lease_with_keys(id).await? else {
        ctx.out.note(&format!("lease not found: {id}"));
        return Ok(Exit::No);
    };
    let attached = attached(keys.len() as u64, foreign);
    ctx.out.note(&format!("lease {id}: {} s of {} s remaining, {attached}", grant.left, grant.ttl));
    let keys = keys.iter().map(|key| KeyNameRow(key)).collect();
    ctx.out.report(&LeaseKeys { grant, keys, outside: foreign })?;
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
    ctx.out.one(&LeaseRow::of(grant))?;
    Ok(Exit::Done)
}

/// `3 keys`; with those of other tenants, which are not named: `3 keys and 2 keys outside the namespace`.
fn attached(keys: u64, foreign: u64) -> String {
    match (keys, foreign) {
        (keys, 0) => counted(keys, "key"),
        (keys, foreign) => format!("{} and {} outside the namespace", counted(keys, "key"), counted(foreign, "key")),
    }
}

async fn revoke(ctx: &Context, ids: &[LeaseId], outside_namespace: bool) -> Result<Exit, Failure> {
    let (mut found, mut attached_ranges) = (Vec::new(), Vec::new());
    let (mut keys, mut foreign, mut attached_keys) = (0, 0, Vec::new());
    for (id, answer) in ids.iter().zip(ctx.store().query_leases(ids, true).await?) {
        match answer {
            Some(lease) => {
                keys += lease.keys.len() as u64;
                foreign += lease.foreign;
                if lease.foreign > 0 {
                    let outside = counted(lease.foreign, "key");
                    ctx.out.warn(&format!("lease {id}: {outside} outside the namespace would be deleted with it"));
                }
                attached_ranges.extend(lease.keys.iter().map(|key| KeyRange::key(key)));
                attached_keys.extend(lease.keys.iter().map(|key| format!("{} (lease {id})", bytes::name(key))));
                found.push(LeaseRow { dry_run: ctx.safety.dry_run, ..LeaseRow::counted(&lease) });
            }
            None => ctx.out.note(&format!("lease not found: {id}")),
        }
    }
    let missing = if found.len() < ids.len() { Exit::No } else { Exit::Done };
    if found.is_empty() {
        return Ok(missing);
    }
    warn_of_bypass(ctx, attached_ranges);
    let what = format!("{} with {}", counted(found.len(), "lease"), attached(keys, foreign));
    if ctx.safety.dry_run {
        ctx.out.note(&format!("dry run: {what} would be revoked"));
    } else {
        if !attached_keys.is_empty() && ctx.will_ask() {
            ctx.show_candidates(attached_keys, keys);
        }
        ctx.out.note(&format!("Found {what}"));
        let question = format!("Revoke {} and delete {}", counted(found.len(), "lease"), attached(keys, foreign));
        if foreign > 0 && ctx.safety.yes && !outside_namespace {
            return Err(Failure::conflict(format!(
                "{} outside the namespace would be deleted",
                counted(foreign, "key")
            ))
            .context("no lease was revoked")
            .hint("add --outside-namespace if keys of others may be deleted"));
        }
        let consent = ctx.consent_to_destroy(keys + foreign, &question)?;
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
