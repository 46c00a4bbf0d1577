//! Builds the queues of locks from the keys of their contenders. Pure.
//!
//! Wire format: see [`lock`](crate::kvstore::lock). Contenders' keys lie below the lock's name. The key with the oldest
//! create revision below the name holds the lock; keys of nested locks count too.

use crate::kvstore::lock::lock_key::{lock_key_of, rw_mutex_key_of, shares, split_last_segment};
use crate::kvstore::lock::owner::{LockOwner, is_contender_value, parse_owner};
use crate::kvstore::types::{KeyValue, LeaseId, Revision};

/// The number of hex digits for which the last segment of a key without a lease counts as a lease ID. etcd's IDs
/// (member ID and milliseconds) and kvadm's (63 random bits) are hardly ever shorter, while `users/beef` may be
/// ordinary data.
const DIGITS: std::ops::RangeInclusive<usize> = 12..=16;

/// How much of a proposal a listing keeps. A queue is held in memory, and a value may have more than a mebibyte.
const MAX_PROPOSAL_BYTES: usize = 1024;

/// The value of a contender's key that names neither a mode nor an owner: the proposal of a candidate in an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The value, or its beginning.
    pub value: Vec<u8>,
    /// Whether `value` is only the beginning.
    pub cut: bool,
}

impl Proposal {
    fn of(value: &[u8]) -> Option<Self> {
        let kept = value.get(..MAX_PROPOSAL_BYTES).unwrap_or(value);
        (!is_contender_value(value)).then(|| Self { value: kept.to_vec(), cut: kept.len() < value.len() })
    }
}

/// A contender for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// The contender's key.
    pub key: Vec<u8>,
    /// The lease that the key is attached to; `None` for an orphaned key.
    pub lease: Option<LeaseId>,
    /// The lease that the key is named after.
    pub named: LeaseId,
    /// The revision in which the contender joined the queue.
    pub created: Revision,
    /// The revision of the key's last change.
    pub modified: Revision,
    /// Whether the contender takes a shared lock.
    pub shared: bool,
    /// Whether it is a reader of Go's `recipes.RWMutex`, which waits only for writers of that mutex.
    pub go_reader: bool,
    /// The owner that the key names.
    pub owner: Option<LockOwner>,
    /// The proposal of a candidate.
    pub proposal: Option<Proposal>,
}

/// A lock and its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockQueue {
    /// The lock's name and a slash.
    prefix: Vec<u8>,
    /// The contenders, oldest first.
    pub contenders: Vec<Contender>,
    /// The create revision of the oldest key below the prefix, including keys of nested locks (etcd's rule).
    oldest: Revision,
    /// The create revision of the oldest exclusive key below the prefix.
    oldest_exclusive: Revision,
    /// The create revision of the oldest key that a reader of Go's `recipes.RWMutex` waits for.
    oldest_writer: Revision,
}

impl LockQueue {
    /// The lock's name.
    pub fn name(&self) -> &[u8] {
        self.prefix.strip_suffix(b"/").unwrap_or(&self.prefix)
    }

    /// Whether this contender holds the lock.
    pub fn holds(&self, contender: &Contender) -> bool {
        match contender {
            Contender { go_reader: true, .. } => self.oldest_writer > contender.created,
            Contender { shared: true, .. } => self.oldest_exclusive > contender.created,
            _ => self.oldest == contender.created,
        }
    }

    /// The number of other contenders that wait.
    pub fn waiting(&self, beside: &Contender) -> u64 {
        self.contenders.iter().filter(|other| other.key != beside.key && !self.holds(other)).count() as u64
    }
}

/// The lock's name and the lease of an orphaned contender: a key that is attached to no lease (after a restored backup
/// or a plain put), although its last segment is a lease ID in 12 to 16 lower-case hex digits and its value is a
/// contender's. No lease expiry ever deletes such a key.
pub fn orphaned_contender(kv: &KeyValue) -> Option<(&[u8], LeaseId)> {
    let (name, own) = split_last_segment(&kv.key)?;
    let id = std::str::from_utf8(own).ok()?;
    let lease = LeaseId::from_wire(id.parse::<LeaseId>().ok()?.0)?;
    let fits = DIGITS.contains(&id.len()) && lease.to_string() == id && is_contender_value(&kv.value);
    (fits && !name.is_empty() && kv.lease.is_none()).then_some((name, lease))
}

/// Groups keys, given in key order, into lock queues. Holds only the queues whose prefix the last key has.
#[derive(Debug, Default)]
pub struct LockTree {
    open: Vec<LockQueue>,
}

impl LockTree {
    /// Adds the next key and returns the locks that are complete.
    pub fn push(&mut self, kv: KeyValue) -> Vec<LockQueue> {
        let mut complete = Vec::new();
        while self.open.last().is_some_and(|lock| !kv.key.starts_with(&lock.prefix)) {
            complete.extend(self.open.pop().map(in_order));
        }
        let known = self.open.last().map_or(0, |lock| lock.prefix.len());
        let slashes = kv.key.iter().enumerate().skip(known).filter(|(_, byte)| **byte == b'/');
        for (at, _) in slashes {
            let prefix = kv.key.iter().take(at).chain(b"/").copied().collect();
            self.open.push(LockQueue {
                prefix,
                contenders: Vec::new(),
                oldest: i64::MAX,
                oldest_exclusive: i64::MAX,
                oldest_writer: i64::MAX,
            });
        }
        let shared = shares(&kv.key, &kv.value);
        for lock in &mut self.open {
            lock.oldest = lock.oldest.min(kv.create_revision);
            if !shared {
                lock.oldest_exclusive = lock.oldest_exclusive.min(kv.create_revision);
            }
            // The mutex reads the prefix `<name>/write`, without a slash.
            if kv.key.strip_prefix(lock.prefix.as_slice()).is_some_and(|rest| rest.starts_with(b"write")) {
                lock.oldest_writer = lock.oldest_writer.min(kv.create_revision);
            }
        }
        // The key of a reader or writer lies one segment deeper.
        let rw = kv.lease.is_some() && rw_mutex_key_of(&kv.key, &kv.value).is_some();
        let named = match lock_key_of(&kv) {
            Some(_) => kv.lease,
            None if rw => kv.lease,
            None => orphaned_contender(&kv).map(|(_, lease)| lease),
        };
        let lock = self.open.iter_mut().rev().nth(usize::from(rw));
        if let (Some(named), Some(lock)) = (named, lock) {
            let (created, modified, lease) = (kv.create_revision, kv.mod_revision, kv.lease);
            let (owner, proposal) = (parse_owner(&kv.value), Proposal::of(&kv.value));
            let go_reader = rw && shared && kv.value.is_empty();
            let key = kv.key;
            lock.contenders.push(Contender {
                key,
                lease,
                named,
                created,
                modified,
                shared,
                go_reader,
                owner,
                proposal,
            });
        }
        complete
    }

    /// The remaining locks, after the last key.
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
    use crate::kvstore::lock::owner::SHARED;

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
        let mixed = [
            kv("a/1", 4, SHARED),
            kv("a/2", 5, SHARED),
            kv("a/3", 6, b""),
            kv("a/4", 7, b"kvadm/1 shared host=h"),
            kv("a/note", 8, b""),
        ];
        assert_eq!(states(&mixed), [("a/".to_owned(), vec![(4, true), (5, true), (6, false), (7, false)])]);
    }

    #[test]
    fn readers_and_writers_of_go_s_rw_mutex() {
        let go = |key: &str, created| KeyValue { lease: Some(LeaseId(7)), ..kv(key, created, b"") };
        let keys = [
            kv("a/1f", 9, b""),
            go("a/read/1764400000000000001", 4),
            go("a/read/1764400000000000002", 5),
            kv("a/read/2c", 6, b"kvadm/1 shared layout=rw host=h"),
            go("a/write/1764400000000000003", 7),
            kv("a/write/3", 8, b"kvadm/1 layout=rw"),
        ];
        let expected = vec![(4, true), (5, true), (6, true), (7, false), (8, false), (9, false)];
        assert_eq!(states(&keys), [("a/".to_owned(), expected)]);
        // A reader ignores an older lock that is not of the mutex, and waits for a writer.
        let ignored = [kv("a/1f", 3, b""), go("a/read/1764400000000000001", 4)];
        assert_eq!(states(&ignored), [("a/".to_owned(), vec![(3, true), (4, true)])]);
        let waits = [go("a/read/1764400000000000001", 4), go("a/write/1764400000000000001", 3)];
        assert_eq!(states(&waits), [("a/".to_owned(), vec![(3, true), (4, false)])]);
        // A lock that is named like a reader or a writer, an orphan, and other data.
        let others = [kv("a/read/1f", 1, b""), kv("a/write/2f", 1, b"kvadm/1 host=h")];
        assert_eq!(
            states(&others),
            [("a/read/".to_owned(), vec![(1, true)]), ("a/write/".to_owned(), vec![(1, true)])]
        );
        for key in
            ["a/read/17644", "read/1764400000000000001", "a/reads/1764400000000000001", "a/read/176440000000000000x"]
        {
            assert_eq!(rw_mutex_key_of(key.as_bytes(), b""), None, "{key}");
        }
        assert_eq!(rw_mutex_key_of(b"a/read/1764400000000000001", b"data"), None);
    }

    #[test]
    fn a_proposal_is_the_value_of_an_exclusive_contender() {
        let mut tree = LockTree::default();
        tree.push(kv("a/1f", 5, b"node-1"));
        tree.push(kv("a/2c", 6, &[b'x'; MAX_PROPOSAL_BYTES + 1]));
        tree.push(kv("a/3d", 7, b"kvadm/1 host=h"));
        let contenders = tree.rest().remove(0).contenders;
        let sizes = contenders.iter().map(|one| one.proposal.as_ref().map(|it| (it.value.len(), it.cut)));
        assert_eq!(sizes.collect::<Vec<_>>(), [Some((6, false)), Some((MAX_PROPOSAL_BYTES, true)), None]);
        assert!(contenders[0].owner.is_none() && !contenders[0].shared && contenders[2].owner.is_some());
    }

    #[test]
    fn a_contender_without_its_lease_is_told_by_its_shape() {
        let bare = |key: &str, value: &[u8]| KeyValue { lease: None, ..kv(key, 1, value) };
        let name = |kv: &KeyValue| orphaned_contender(kv).map(|(name, lease)| (name.to_vec(), lease));
        let lease = LeaseId(0x324a_a1fa_14de_e5a6);
        assert_eq!(name(&bare("a/b/324aa1fa14dee5a6", b"")), Some((b"a/b".to_vec(), lease)));
        assert_eq!(name(&bare("a/324aa1fa14dee5a6", SHARED)), Some((b"a".to_vec(), lease)));
        assert_eq!(name(&bare("a/324aa1fa14dee5a6", b"kvadm/1 shared host=h")), Some((b"a".to_vec(), lease)));
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
