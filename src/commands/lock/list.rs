//! `lock --list`: holders and waiters.

use crate::commands::lease_cache::LeaseCache;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{KeyRange, LockQueue, LockTree, ReadOptions};
use crate::output::{LockRow, Sink};

/// Lists the holders and waiters of all locks whose names begin with `prefix`.
pub async fn run(ctx: &Context, prefix: &[u8]) -> Result<Exit, Failure> {
    let mut listing = LockListing { ctx, sink: ctx.out.stream(), leases: LeaseCache::default() };
    let mut reader = ctx.store().read(&KeyRange::prefix(prefix), ReadOptions::default());
    let mut tree = LockTree::default();
    while let Some(page) = reader.next().await? {
        for kv in page {
            for lock in tree.push(kv) {
                listing.print(lock).await?;
            }
        }
    }
    for lock in tree.rest() {
        listing.print(lock).await?;
    }
    listing.sink.finish()?;
    Ok(Exit::Done)
}

struct LockListing<'a> {
    ctx: &'a Context,
    sink: Sink,
    leases: LeaseCache,
}

impl LockListing<'_> {
    async fn print(&mut self, lock: LockQueue) -> Result<(), Failure> {
        // A key without a lease belongs to no contender; 'gc locks' finds it.
        let leased = lock.contenders.iter().filter_map(|contender| Some((contender, contender.lease?)));
        for ((contender, lease), order) in leased.zip(1..) {
            let grant = self.leases.grant(self.ctx.store(), lease).await?;
            self.sink.push(&LockRow {
                name: lock.name(),
                held: lock.holds(contender),
                order,
                shared: contender.shared,
                lease,
                left: grant.map(|grant| grant.left),
                ttl: grant.map(|grant| grant.ttl),
                create_revision: contender.created,
                key: &self.ctx.store().absolute(&contender.key),
                owner: contender.owner.as_ref(),
                since: contender.owner.as_ref().and_then(|owner| owner.since).map(|since| since.to_string()),
                shown_owner: contender.owner.as_ref().map(ToString::to_string),
                proposal: contender.proposal.as_ref(),
            })?;
        }
        Ok(())
    }
}
