//! The queues of locks, put together from the keys of their contenders. Pure.
//!
//! Wire format: as in [`lock`](crate::kvstore::lock): contenders lie below the lock's name, and the oldest create revision below it
//! holds, keys of locks that are nested in it included.

use crate::kvstore::lock::{SHARED, lock_key_of};
use crate::kvstore::types::{KeyValue, LeaseId, Revision};

/// The fewest hex digits of a lease's ID by which a key without a lease counts as a contender's: etcd makes IDs from a
/// member's ID and the time in milliseconds, and kvadm from 63 random bits, so that shorter ones hardly occur, while
/// `users/beef` may well be somebody's data.
const DIGITS: std::ops::RangeInclusive<usize> = 12..=16;

/// One contender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// Its key.
    pub key: Vec<u8>,
    /// The lease that its key is on; `None` for one that was left behind without.
    pub lease: Option<LeaseId>,
    /// The lease that its key is named after.
    pub named: LeaseId,
    /// The revision in which it queued up.
    pub created: Revision,
    /// The revision of its key's last change.
    pub modified: Revision,
    /// Whether it shares.
    pub shared: bool,
}

/// A lock and all that is known below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockQueue {
    /// Its name and a slash.
    prefix: Vec<u8>,
    /// Who contends, the oldest first.
    pub contenders: Vec<Contender>,
    /// The oldest key below the prefix. The keys of locks that are nested in it count too: that is etcd's rule.
    oldest: Revision,
    /// The oldest one that does not share.
    oldest_exclusive: Revision,
}

impl LockQueue {
    /// The lock's name.
    pub fn name(&self) -> &[u8] {
        self.prefix.strip_suffix(b"/").unwrap_or(&self.prefix)
    }

    /// Whether this contender holds the lock.
    pub fn holds(&self, contender: &Contender) -> bool {
        if contender.shared { self.oldest_exclusive > contender.created } else { self.oldest == contender.created }
    }

    /// How many others wait.
    pub fn waiting(&self, beside: &Contender) -> u64 {
        self.contenders.iter().filter(|other| other.key != beside.key && !self.holds(other)).count() as u64
    }
}

/// The lock's name and the lease of a contender's key that lost its lease, or never had it (a restored backup, a plain
/// put over it): its last part is a lease's ID in 12 to 16 lower-case hex digits, its value is a contender's, and it is on
/// no lease. Nobody takes such a key away by itself.
pub fn orphaned_contender(kv: &KeyValue) -> Option<(&[u8], LeaseId)> {
    let at = kv.key.iter().rposition(|byte| *byte == b'/')?;
    let id = std::str::from_utf8(&kv.key[at + 1..]).ok()?;
    let lease = LeaseId::from_wire(id.parse::<LeaseId>().ok()?.0)?;
    let fits = DIGITS.contains(&id.len()) && lease.to_string() == id && (kv.value.is_empty() || kv.value == SHARED);
    (fits && at > 0 && kv.lease.is_none()).then_some((&kv.key[..at], lease))
}

/// Turns keys in their order into queues. Only the names that the last key lies below are open.
#[derive(Debug, Default)]
pub struct LockTree {
    open: Vec<LockQueue>,
}

impl LockTree {
    /// Takes the next key and gives back the locks that are complete.
    pub fn push(&mut self, kv: KeyValue) -> Vec<LockQueue> {
        let mut complete = Vec::new();
        while self.open.last().is_some_and(|lock| !kv.key.starts_with(&lock.prefix)) {
            complete.extend(self.open.pop().map(in_order));
        }
        let known = self.open.last().map_or(0, |lock| lock.prefix.len());
        for at in (known..kv.key.len()).filter(|at| kv.key[*at] == b'/') {
            let prefix = kv.key[..=at].to_vec();
            self.open.push(LockQueue { prefix, contenders: Vec::new(), oldest: i64::MAX, oldest_exclusive: i64::MAX });
        }
        let shared = kv.value == SHARED;
        for lock in &mut self.open {
            lock.oldest = lock.oldest.min(kv.create_revision);
            if !shared {
                lock.oldest_exclusive = lock.oldest_exclusive.min(kv.create_revision);
            }
        }
        let named = match lock_key_of(&kv) {
            Some(_) => kv.lease,
            None => orphaned_contender(&kv).map(|(_, lease)| lease),
        };
        if let (Some(named), Some(lock)) = (named, self.open.last_mut()) {
            let (created, modified, lease) = (kv.create_revision, kv.mod_revision, kv.lease);
            lock.contenders.push(Contender { key: kv.key, lease, named, created, modified, shared });
        }
        complete
    }

    /// The locks that are still open, once there are no more keys.
    pub fn rest(mut self) -> Vec<LockQueue> {
        std::mem::take(&mut self.open).into_iter().rev().map(in_order).collect()
    }
}

fn in_order(mut lock: LockQueue) -> LockQueue {
    lock.contenders.sort_by_key(|contender| contender.created);
    lock
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(key: &str, created: Revision, value: &[u8]) -> KeyValue {
        let lease = key.rsplit('/').next().and_then(|hex| hex.parse().ok());
        KeyValue { key: key.into(), value: value.to_vec(), create_revision: created, lease, ..KeyValue::default() }
    }

    fn states(keys: &[KeyValue]) -> Vec<(String, Vec<(Revision, bool)>)> {
        let mut tree = LockTree::default();
        let mut locks: Vec<LockQueue> = keys.iter().flat_map(|kv| tree.push(kv.clone())).collect();
        locks.extend(tree.rest());
        let state = |lock: &LockQueue| {
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

    #[test]
    fn a_contender_without_its_lease_is_told_by_its_shape() {
        let bare = |key: &str, value: &[u8]| KeyValue { lease: None, ..kv(key, 1, value) };
        let name = |kv: &KeyValue| orphaned_contender(kv).map(|(name, lease)| (name.to_vec(), lease));
        let lease = LeaseId(0x324a_a1fa_14de_e5a6);
        assert_eq!(name(&bare("a/b/324aa1fa14dee5a6", b"")), Some((b"a/b".to_vec(), lease)));
        assert_eq!(name(&bare("a/324aa1fa14dee5a6", SHARED)), Some((b"a".to_vec(), lease)));
        assert_eq!(name(&kv("a/324aa1fa14dee5a6", 1, b"")), None, "on its lease");
        for (key, value) in [
            ("a/324aa1fa14dee5a6", b"data".as_slice()),
            ("users/beef", b""),
            ("a/324AA1FA14DEE5A6", b""),
            ("a/0324aa1fa14dee5", b""),
            ("a/324aa1fa14dee5a6f", b""),
            ("a/+24aa1fa14dee5a6", b""),
            ("a/0x24aa1fa14dee5a", b""),
            ("324aa1fa14dee5a6", b""),
            ("/324aa1fa14dee5a6", b""),
            ("a/", b""),
        ] {
            assert_eq!(name(&bare(key, value)), None, "{key}");
        }
        let mut tree = LockTree::default();
        tree.push(bare("a/324aa1fa14dee5a6", b""));
        tree.push(kv("a/324aa1fa14dee5a7", 2, b""));
        let lock = &tree.rest()[0];
        assert_eq!(lock.contenders.iter().map(|one| one.lease.is_some()).collect::<Vec<_>>(), [false, true]);
        assert_eq!((lock.waiting(&lock.contenders[0]), lock.name()), (1, b"a".as_slice()));
    }
}
