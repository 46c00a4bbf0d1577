//! `gc locks`: lock keys that nobody will take away, or that nobody has taken away for long.
//!
//! A lock key on a lease goes with it, so that a holder that is gone needs no help. What does is a key without a lease,
//! whose lease is gone: it blocks its lock for ever. And a holder that lives, but hangs, where somebody says after how
//! long: Cilium's operator does that after 25 s (`RunLocksGC`).

use std::time::Duration;

use super::sweep::each;
use super::{Candidate, CandidateOutcome, Facts, Plan, ScanResult, Skipped, Timestamp};
use crate::kvstore::{
    Compare, CompareOp, CompareTarget, Contender, Error, Grant, KeyRange, KeySelector, KeyValue, LeaseId, LockQueue,
    LockTree, Op, ReadOptions, Store, Txn, lock_key_of, orphaned_contender,
};

/// Removals in one request.
pub const BATCH: usize = 40;

/// Which locks are looked at, and what counts as garbage.
#[derive(Clone, Debug)]
pub struct LockRule {
    /// The locks' keys.
    pub range: KeyRange,
    /// Whether nothing but locks is expected there, so that anything else is said.
    pub dedicated: bool,
    /// Holders that were seen unchanged for so long are garbage too.
    pub stale_after: Option<Duration>,
}

impl LockRule {
    /// Whether a candidate of a plan was seen long enough: a holder for as long as the rule says, what was left behind at
    /// once.
    pub fn ripe(&self, plan: &Plan, candidate: &Candidate) -> bool {
        match self.stale_after {
            Some(limit) if candidate.facts.text("lease").is_some() => plan.time.since(candidate.first_seen) >= limit,
            _ => true,
        }
    }
}

/// What one look at the keys says, before leases are asked about.
#[derive(Default)]
struct SortedLocks {
    looked_at: u64,
    /// Keys that were left behind, and holders; with the number of those that wait.
    picked: Vec<(Contender, Vec<u8>, u64)>,
    strange: Vec<Skipped>,
}

impl SortedLocks {
    fn judge(&mut self, lock: &LockQueue, rule: &LockRule) {
        for contender in &lock.contenders {
            let holder = contender.lease.is_some() && rule.stale_after.is_some() && lock.holds(contender);
            if contender.lease.is_none() || holder {
                self.picked.push((contender.clone(), lock.name().to_vec(), lock.waiting(contender)));
            }
        }
    }

    fn take(&mut self, tree: &mut LockTree, kv: KeyValue, rule: &LockRule) {
        let is_lock = lock_key_of(&kv).is_some() || orphaned_contender(&kv).is_some();
        self.looked_at += u64::from(is_lock);
        if !is_lock && rule.dedicated {
            let why = match kv.lease {
                None => "it is on no lease, but its name or its value is no lock's",
                Some(_) => "it is on a lease, but not named after it",
            };
            self.strange.push(Skipped { key: kv.key.clone(), why: why.to_owned() });
        }
        for lock in tree.push(kv) {
            self.judge(&lock, rule);
        }
    }
}

/// Looks at all locks of the rule, at one revision. `read` is told the number of keys of each page.
///
/// # Errors
/// Whatever kept an answer away.
pub async fn look(store: &Store, rule: &LockRule, mut read: impl FnMut(u64)) -> Result<ScanResult, Error> {
    let mut reader = store.read(&rule.range, ReadOptions::default());
    let (mut tree, mut sorted) = (LockTree::default(), SortedLocks::default());
    while let Some(page) = reader.next().await? {
        read(page.len() as u64);
        page.into_iter().for_each(|kv| sorted.take(&mut tree, kv, rule));
    }
    tree.rest().iter().for_each(|lock| sorted.judge(lock, rule));
    // Not before what it saw was read, so that nothing looks older than it is.
    let first_seen = Timestamp::now();
    let named: Vec<LeaseId> = sorted.picked.iter().map(|(contender, ..)| contender.named).collect();
    let leases = store.time_to_live_many(&named).await?;
    let mut found = ScanResult {
        revision: reader.revision(),
        looked_at: sorted.looked_at,
        skipped: sorted.strange,
        ..ScanResult::default()
    };
    for (contender, name, waiting) in sorted.picked {
        let grant = leases.get(&contender.named).copied().flatten();
        if contender.lease.is_none()
            && let Some(grant) = grant
        {
            let why = format!("it is on no lease, but lease {} that it is named after lives", grant.id);
            found.skipped.push(Skipped { key: contender.key, why });
            continue;
        }
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
        None => "on no lease: nobody takes it away".to_owned(),
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

/// Removes lock keys, each on the condition that it is the very key that was seen. One outcome a candidate.
///
/// # Errors
/// What is wrong with the store, rather than with one of the keys.
pub async fn remove(store: &Store, candidates: &[&Candidate]) -> Result<Vec<CandidateOutcome>, Error> {
    let namespace = store.namespace();
    let txn = |candidate: &&Candidate| {
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
    };
    let answers = each(store, "gc lock", candidates.iter().map(txn).collect()).await?;
    Ok(answers.into_iter().map(super::SweepAnswer::outcome).collect())
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

    fn picked(keys: &[KeyValue], rule: &LockRule) -> (Vec<(String, u64)>, Vec<String>) {
        let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        let (mut tree, mut sorted) = (LockTree::default(), SortedLocks::default());
        keys.iter().for_each(|kv| sorted.take(&mut tree, kv.clone(), rule));
        tree.rest().iter().for_each(|lock| sorted.judge(lock, rule));
        let picked = sorted.picked.iter().map(|(one, _, waiting)| (text(&one.key), *waiting)).collect();
        (picked, sorted.strange.iter().map(|skipped| text(&skipped.key)).collect())
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
        let (holders, strange) = picked(&keys, &rule(Some(Duration::from_secs(25))));
        let wanted = [("l/bar/1", 4), ("l/baz/6", 0), ("l/bbz/7", 0)];
        assert_eq!(holders, wanted.map(|(key, waiting)| (key.to_owned(), waiting)));
        assert_eq!(strange, ["l/note"]);
        assert_eq!(picked(&keys, &rule(None)).0, []);
        assert_eq!(picked(&[], &rule(None)).0, []);
    }

    #[test]
    fn a_key_left_behind_goes_whatever_its_place() {
        let keys = [kv("l/a/1f", 0x1f, 1), kv("l/a/324aa1fa14dee5a6", 0, 2), kv("l/a/4f", 0x4f, 3)];
        assert_eq!(picked(&keys, &rule(None)).0, [("l/a/324aa1fa14dee5a6".to_owned(), 1)]);
    }

    #[test]
    fn only_a_holder_has_to_be_seen_for_long() {
        let mut plan = super::super::plan::tests::plan(&[(b"a", 1)], 30_000);
        plan.candidates[0].first_seen = Timestamp::from_millis(10_000);
        let mut candidate = plan.candidates[0].clone();
        let (short, long) = (rule(Some(Duration::from_secs(20))), rule(Some(Duration::from_secs(21))));
        assert!(short.ripe(&plan, &candidate) && long.ripe(&plan, &candidate));
        candidate.facts = Facts::default().with("lease", "1f");
        assert!(short.ripe(&plan, &candidate) && !long.ripe(&plan, &candidate));
        candidate.first_seen = Timestamp::from_millis(99_000);
        assert!(!short.ripe(&plan, &candidate), "a clock that was set back makes nothing old");
    }
}
