//! `lock --list`: who holds, who waits.

use std::collections::HashMap;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{Grant, KeyRange, KeyValue, LeaseId, ReadOptions, Revision, SHARED, lock_key_of};
use crate::output::{LockRow, Sink};

/// Lists the contenders of all locks whose names begin with `prefix`.
///
/// # Errors
/// Whatever kept an answer away.
pub async fn run(ctx: &Context, prefix: &[u8]) -> Result<Exit, Failure> {
    let mut listing = Listing { ctx, sink: ctx.out.stream(), leases: HashMap::new() };
    let mut reader = ctx.store().read(&KeyRange::prefix(prefix), ReadOptions::default());
    let mut tree = Tree::default();
    while let Some(page) = reader.next().await? {
        for kv in page {
            for lock in tree.push(kv) {
                listing.show(lock).await?;
            }
        }
    }
    for lock in tree.rest() {
        listing.show(lock).await?;
    }
    listing.sink.finish()?;
    Ok(Exit::Done)
}

/// One contender.
struct Contender {
    key: Vec<u8>,
    lease: LeaseId,
    created: Revision,
    shared: bool,
}

/// A lock and all that is known below it.
struct Lock {
    /// Its name and a slash.
    prefix: Vec<u8>,
    contenders: Vec<Contender>,
    /// The oldest key below the prefix. The keys of locks that are nested in it count too: that is etcd's rule.
    oldest: Revision,
    /// The oldest one that does not share.
    oldest_exclusive: Revision,
}

impl Lock {
    fn holds(&self, contender: &Contender) -> bool {
        if contender.shared { self.oldest_exclusive > contender.created } else { self.oldest == contender.created }
    }
}

/// Turns keys in their order into locks. Only the names that the last key lies below are open.
#[derive(Default)]
struct Tree {
    open: Vec<Lock>,
}

impl Tree {
    /// Takes the next key and gives back the locks that are complete.
    fn push(&mut self, kv: KeyValue) -> Vec<Lock> {
        let mut complete = Vec::new();
        while self.open.last().is_some_and(|lock| !kv.key.starts_with(&lock.prefix)) {
            complete.extend(self.open.pop());
        }
        let known = self.open.last().map_or(0, |lock| lock.prefix.len());
        for at in (known..kv.key.len()).filter(|at| kv.key[*at] == b'/') {
            let prefix = kv.key[..=at].to_vec();
            self.open.push(Lock { prefix, contenders: Vec::new(), oldest: i64::MAX, oldest_exclusive: i64::MAX });
        }
        let shared = kv.value == SHARED;
        for lock in &mut self.open {
            lock.oldest = lock.oldest.min(kv.create_revision);
            if !shared {
                lock.oldest_exclusive = lock.oldest_exclusive.min(kv.create_revision);
            }
        }
        if let (Some(_), Some(lease), Some(lock)) = (lock_key_of(&kv), kv.lease, self.open.last_mut()) {
            lock.contenders.push(Contender { lease, created: kv.create_revision, shared, key: kv.key });
        }
        complete
    }

    fn rest(mut self) -> Vec<Lock> {
        std::mem::take(&mut self.open).into_iter().rev().collect()
    }
}

struct Listing<'a> {
    ctx: &'a Context,
    sink: Sink,
    leases: HashMap<LeaseId, Option<Grant>>,
}

impl Listing<'_> {
    async fn show(&mut self, mut lock: Lock) -> Result<(), Failure> {
        let mut contenders = std::mem::take(&mut lock.contenders);
        contenders.sort_by_key(|contender| contender.created);
        for (contender, order) in contenders.iter().zip(1..) {
            let grant = match self.leases.get(&contender.lease) {
                Some(grant) => *grant,
                None => {
                    let grant = self.ctx.store().time_to_live(contender.lease).await?;
                    self.leases.insert(contender.lease, grant);
                    grant
                }
            };
            self.sink.push(&LockRow {
                name: &lock.prefix[..lock.prefix.len() - 1],
                held: lock.holds(contender),
                order,
                shared: contender.shared,
                lease: contender.lease,
                left: grant.map(|grant| grant.left),
                ttl: grant.map(|grant| grant.ttl),
                create_revision: contender.created,
                key: &contender.key,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(key: &str, created: Revision, value: &[u8]) -> KeyValue {
        let lease = key.rsplit('/').next().and_then(|hex| hex.parse().ok());
        KeyValue { key: key.into(), value: value.to_vec(), create_revision: created, lease, ..KeyValue::default() }
    }

    fn states(keys: &[KeyValue]) -> Vec<(String, Vec<(Revision, bool)>)> {
        let mut tree = Tree::default();
        let mut locks: Vec<Lock> = keys.iter().flat_map(|kv| tree.push(kv.clone())).collect();
        locks.extend(tree.rest());
        let state = |lock: &Lock| {
            let each = lock.contenders.iter().map(|contender| (contender.created, lock.holds(contender)));
            (String::from_utf8_lossy(&lock.prefix).into_owned(), each.collect())
        };
        locks.iter().filter(|lock| !lock.contenders.is_empty()).map(state).collect()
    }

    #[test]
    fn locks_that_are_nested_or_shared() {
        let nested = [kv("a/1f", 5, b""), kv("a/b/2c", 3, b""), kv("a/ff", 9, b""), kv("ab/1", 1, b"")];
        assert_eq!(
            states(&nested),
            [
                ("a/b/".to_owned(), vec![(3, true)]),
                ("a/".to_owned(), vec![(5, false), (9, false)]),
                ("ab/".to_owned(), vec![(1, true)])
            ]
        );
        let mixed =
            [kv("a/1", 4, SHARED), kv("a/2", 5, SHARED), kv("a/3", 6, b""), kv("a/4", 7, SHARED), kv("a/note", 8, b"")];
        assert_eq!(states(&mixed), [("a/".to_owned(), vec![(4, true), (5, true), (6, false), (7, false)])]);
    }
}
