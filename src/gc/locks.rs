//! `gc locks`: lock keys without a lease, and holders that have not changed for long.
//!
//! A lock key is deleted with its lease, so the locks of crashed holders need no collection. Two kinds of keys do: a
//! key without a lease, whose former lease has expired, blocks its lock forever; and the key of a live but hung holder
//! blocks it until a limit that the user sets (Cilium's operator uses 25 s, see `RunLocksGC`).

use std::time::Duration;

use super::sweep::run_txns;
use super::{Candidate, CandidateOutcome, Facts, Plan, ScanResult, Skipped, Timestamp};
use crate::consent::Consent;
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Contender, Error, Grant, KeyRange, KeySelector, KeyValue, LeaseId, LockQueue,
    LockTree, Op, ReadOptions, Store, Txn, lock_key_of, orphaned_contender, rw_mutex_key_of,
};

/// Removals per request.
pub const BATCH: usize = 40;

/// Which locks are scanned, and what counts as garbage.
#[derive(Clone, Debug)]
pub struct LockRule {
    /// Range of the lock keys.
    pub range: KeyRange,
    /// Whether the range should contain only lock keys, so that others are reported.
    pub dedicated: bool,
    /// Age at which unchanged holders are garbage.
    pub stale_after: Option<Duration>,
}

impl LockRule {
    /// Whether a candidate is old enough: a holder at the limit, a key without a lease always.
    pub fn is_old_enough(&self, plan: &Plan, candidate: &Candidate) -> bool {
        match self.stale_after {
            Some(limit) if candidate.facts.text("lease").is_some() => plan.time.since(candidate.first_seen) >= limit,
            _ => true,
        }
    }
}

/// Result of reading the keys, before the leases are queried.
#[derive(Default)]
struct LockScan {
    scanned: u64,
    /// Garbage if their lease has expired: keys without a lease, and holders; with the lock's name and number of
    /// waiters.
    suspects: Vec<(Contender, Vec<u8>, u64)>,
    skipped: Vec<Skipped>,
}

impl LockScan {
    fn classify(&mut self, lock: &LockQueue, rule: &LockRule) {
        for contender in &lock.contenders {
            let holder = contender.lease.is_some() && rule.stale_after.is_some() && lock.holds(contender);
            if contender.lease.is_none() || holder {
                self.suspects.push((contender.clone(), lock.name().to_vec(), lock.waiting(contender)));
            }
        }
    }

    fn take(&mut self, tree: &mut LockTree, kv: KeyValue, rule: &LockRule) {
        let is_rw = kv.lease.is_some() && rw_mutex_key_of(&kv.key, &kv.value).is_some();
        let is_lock = is_rw || lock_key_of(&kv).is_some() || orphaned_contender(&kv).is_some();
        self.scanned += u64::from(is_lock);
        if !is_lock && rule.dedicated {
            let why = match kv.lease {
                None => "it has no lease, but its name or value is not a lock key's",
                Some(_) => "it is attached to a lease, but not named after it",
            };
            self.skipped.push(Skipped { key: kv.key.clone(), why: why.to_owned() });
        }
        for lock in tree.push(kv) {
            self.classify(&lock, rule);
        }
    }
}

/// Scans all locks of the rule, at one revision. `read` receives the number of keys of each page.
///
/// # Errors
/// etcd is unreachable or rejects a request.
pub async fn scan(store: &Store, rule: &LockRule, mut read: impl FnMut(u64)) -> Result<ScanResult, Error> {
    let mut reader = store.read(&rule.range, ReadOptions::default());
    let (mut tree, mut scan) = (LockTree::default(), LockScan::default());
    while let Some(page) = reader.next().await? {
        read(page.len() as u64);
        page.into_iter().for_each(|kv| scan.take(&mut tree, kv, rule));
    }
    tree.rest().iter().for_each(|lock| scan.classify(lock, rule));
    // After the read, so that no key looks older than it is.
    let first_seen = Timestamp::now();
    let named: Vec<LeaseId> = scan.suspects.iter().map(|(contender, ..)| contender.named).collect();
    let leases = store.time_to_live_many(&named).await?;
    let mut found = ScanResult {
        revision: reader.revision(),
        scanned: scan.scanned,
        skipped: scan.skipped,
        ..ScanResult::default()
    };
    for (contender, name, waiting) in scan.suspects {
        let grant = leases.get(&contender.named).copied().flatten();
        if contender.lease.is_none()
            && let Some(grant) = grant
        {
            let why = format!("it has no lease, but the lease {} in its name is alive", grant.id);
            found.skipped.push(Skipped { key: contender.key, why });
            continue;
        }
        // A file does not tell how long a lease will last.
        let grant = grant.filter(|_| !store.is_local());
        found.candidates.push(candidate(contender, &name, waiting, grant, first_seen));
    }
    for skipped in &mut found.skipped {
        skipped.key = store.absolute(&skipped.key);
    }
    for candidate in &mut found.candidates {
        candidate.key = store.absolute(&candidate.key);
    }
    Ok(found)
}

fn candidate(
    contender: Contender,
    name: &[u8],
    waiting: u64,
    grant: Option<Grant>,
    first_seen: Timestamp,
) -> Candidate {
    let why = match contender.lease {
        None => "no lease will remove it".to_owned(),
        Some(lease) => format!("held on lease {lease}"),
    };
    let facts = Facts::default().with("create_revision", contender.created).with("mod_revision", contender.modified);
    let facts = match contender.lease {
        None => facts,
        Some(lease) => facts.with("lease", lease.to_string()),
    };
    let more = Facts::default().with_bytes("name", name).with("waiting", waiting);
    let more = match grant {
        None => more,
        Some(grant) => more.with("left", grant.left).with("ttl", grant.ttl),
    };
    Candidate { key: contender.key, why, first_seen, facts, more }
}

/// Removes lock keys that have not changed since the scan. Returns one outcome per candidate.
///
/// # Errors
/// A failure of the store rather than of one key.
pub async fn remove(store: &Store, _: &Consent, candidates: &[&Candidate]) -> Result<Vec<CandidateOutcome>, Error> {
    let txns = candidates.iter().map(|candidate| removal(store.namespace(), candidate)).collect();
    let answers = run_txns(store, "gc lock", txns).await?;
    Ok(answers.into_iter().map(super::SweepAnswer::outcome).collect())
}

/// Deletes a lock key if it is the one of the scan: not created again, not written since, and on the same lease or none.
fn removal(namespace: &[u8], candidate: &Candidate) -> Txn {
    let key = candidate.key.strip_prefix(namespace).unwrap_or(&candidate.key);
    let fact = |name| candidate.facts.int(name).unwrap_or(-1);
    let lease = candidate.facts.text("lease").and_then(|lease| lease.parse().ok());
    let equal = |target| Compare::key(key, CompareOp::Equal, target);
    Txn {
        compares: vec![
            equal(CompareTarget::Create(fact("create_revision"))),
            equal(CompareTarget::Mod(fact("mod_revision"))),
            equal(CompareTarget::Lease(lease)),
        ],
        then: vec![Op::Delete { over: KeySelector::Key(key.to_vec()), prev: false }],
        otherwise: vec![Op::get_at(KeySelector::Key(key.to_vec()), 0)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(key: &str, lease: i64, created: i64) -> KeyValue {
        let lease = LeaseId::from_wire(lease);
        KeyValue { key: key.into(), lease, create_revision: created, mod_revision: created, ..KeyValue::default() }
    }

    fn rule(stale_after: Option<Duration>) -> LockRule {
        LockRule { range: KeyRange::prefix(b"l/"), dedicated: true, stale_after }
    }

    fn suspects(keys: &[KeyValue], rule: &LockRule) -> (Vec<(String, u64)>, Vec<String>) {
        let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        let (mut tree, mut scan) = (LockTree::default(), LockScan::default());
        keys.iter().for_each(|kv| scan.take(&mut tree, kv.clone(), rule));
        tree.rest().iter().for_each(|lock| scan.classify(lock, rule));
        let suspects = scan.suspects.iter().map(|(one, _, waiting)| (text(&one.key), *waiting)).collect();
        (suspects, scan.skipped.iter().map(|skipped| text(&skipped.key)).collect())
    }

    /// `getOldestLeases` of Cilium's operator: of each lock the oldest alone.
    #[test]
    fn of_each_lock_the_holder_alone_and_never_a_waiter() {
        let keys = [
            kv("l/bar/1", 1, 1),
            kv("l/bar/2", 2, 2),
            kv("l/bar/3", 3, 3),
            kv("l/bar/4", 4, 4),
            kv("l/bar/5", 5, 5),
            kv("l/baz/6", 6, 6),
            kv("l/bbz/7", 7, 7),
            kv("l/note", 0, 8),
        ];
        let (holders, skipped) = suspects(&keys, &rule(Some(Duration::from_secs(25))));
        let wanted = [("l/bar/1", 4), ("l/baz/6", 0), ("l/bbz/7", 0)];
        assert_eq!(holders, wanted.map(|(key, waiting)| (key.to_owned(), waiting)));
        assert_eq!(skipped, ["l/note"]);
        assert_eq!(suspects(&keys, &rule(None)).0, []);
        assert_eq!(suspects(&[], &rule(None)).0, []);
    }

    #[test]
    fn a_key_left_behind_goes_whatever_its_place() {
        let keys = [kv("l/a/1f", 0x1f, 1), kv("l/a/324aa1fa14dee5a6", 0, 2), kv("l/a/4f", 0x4f, 3)];
        assert_eq!(suspects(&keys, &rule(None)).0, [("l/a/324aa1fa14dee5a6".to_owned(), 1)]);
    }

    #[test]
    fn only_a_holder_has_to_be_seen_for_long() {
        let mut plan = super::super::plan::tests::plan(&[(b"a", 1)], 30_000);
        plan.candidates[0].first_seen = Timestamp::from_millis(10_000);
        let mut candidate = plan.candidates[0].clone();
        let (short, long) = (rule(Some(Duration::from_secs(20))), rule(Some(Duration::from_secs(21))));
        assert!(short.is_old_enough(&plan, &candidate) && long.is_old_enough(&plan, &candidate));
        candidate.facts = Facts::default().with("lease", "1f");
        assert!(short.is_old_enough(&plan, &candidate) && !long.is_old_enough(&plan, &candidate));
        candidate.first_seen = Timestamp::from_millis(99_000);
        assert!(!short.is_old_enough(&plan, &candidate), "a clock that was set back makes nothing old");
    }

    #[test]
    fn a_removal_compares_everything_that_the_scan_saw_of_the_key() {
        let of = |lease: Option<LeaseId>| {
            let contender = Contender {
                key: b"ns/l/a/1f".to_vec(),
                lease,
                named: LeaseId(0x1f),
                created: 5,
                modified: 7,
                shared: false,
                go_reader: false,
                owner: None,
                proposal: None,
            };
            removal(b"ns/", &candidate(contender, b"a", 0, None, Timestamp::from_millis(0)))
        };
        let key = b"l/a/1f".as_slice();
        let equal = |target| Compare::key(key, CompareOp::Equal, target);
        for lease in [None, Some(LeaseId(0x1f))] {
            let wanted =
                [equal(CompareTarget::Create(5)), equal(CompareTarget::Mod(7)), equal(CompareTarget::Lease(lease))];
            let txn = of(lease);
            assert_eq!(txn.compares, wanted);
            assert_eq!(txn.then, [Op::Delete { over: KeySelector::Key(key.to_vec()), prev: false }]);
            assert_eq!(txn.otherwise, [Op::get_at(KeySelector::Key(key.to_vec()), 0)]);
        }
        let mut without = super::super::plan::tests::plan(&[(b"a", 1)], 0).candidates.remove(0);
        without.facts = Facts::default();
        let unknown = |target| Compare::key(b"a", CompareOp::Equal, target);
        let wanted = [CompareTarget::Create(-1), CompareTarget::Mod(-1), CompareTarget::Lease(None)].map(unknown);
        assert_eq!(removal(b"", &without).compares, wanted, "a fact that a plan lacks holds for no key");
    }
}
