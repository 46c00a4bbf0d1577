//! Plans: what is done to each key of a store, and on which facts it rests. Pure.

use crate::kvstore::{Compare, KeySelector, KeyValue, LeaseId, LeaseMode, Op, Revision, Txn, Write};
use crate::output::ChangeKind;

use super::compare::Difference;

/// What is done to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanEntry {
    /// Whether the key is created, modified or deleted.
    pub kind: ChangeKind,
    /// The key.
    pub key: Vec<u8>,
    /// The new value; empty for a deletion.
    pub value: Vec<u8>,
    /// The key's mod revision when the plan was made; 0 if it did not exist. Nothing is done if it has changed.
    pub expected: Revision,
    /// The lease.
    pub lease: PlannedLease,
}

/// The lease of a key that a plan writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlannedLease {
    /// No lease.
    #[default]
    None,
    /// The lease that the key has.
    Keep,
    /// This lease, if it still exists; otherwise none.
    Attach(LeaseId),
    /// A lease that is granted for all keys with this lease in the source.
    Grant {
        /// The lease in the source.
        source: LeaseId,
        /// The TTL in seconds.
        ttl: i64,
    },
}

impl PlanEntry {
    /// The entry that makes the store's key equal to the source's.
    pub fn of(difference: Difference, lease: PlannedLease) -> Self {
        let kind = difference.to_source();
        let expected = difference.store.as_ref().map_or(0, |kv| kv.mod_revision);
        let key = difference.key().to_vec();
        let value = difference.source.map(|record| record.kv.value).unwrap_or_default();
        Self { kind, key, value, expected, lease }
    }

    /// The approximate size of its request in bytes.
    pub fn size(&self) -> usize {
        self.txn(None).size()
    }

    /// Whether the key already is as the entry makes it, apart from its lease.
    pub fn is_satisfied_by(&self, now: Option<&KeyValue>) -> bool {
        match (self.kind, now) {
            (ChangeKind::Deleted, now) => now.is_none(),
            (_, Some(now)) => now.value == self.value,
            (_, None) => false,
        }
    }

    /// Whether the condition of the entry can hold again after it was executed: a key that does not exist can be created and
    /// deleted by others. A revision does not come back.
    pub fn may_hold_again(&self) -> bool {
        self.expected == 0
    }

    /// The change on the condition that the key is as the plan saw it. `lease` is the one that was found or granted.
    pub fn txn(&self, lease: Option<LeaseId>) -> Txn {
        let op = match self.kind {
            ChangeKind::Deleted => Op::Delete { over: KeySelector::Key(self.key.clone()), prev: false },
            ChangeKind::Created | ChangeKind::Modified => Op::Put(Write {
                key: self.key.clone(),
                value: self.value.clone(),
                lease: match (self.lease, lease) {
                    // etcd refuses to keep the lease of a missing key.
                    (PlannedLease::Keep, _) if self.expected > 0 => LeaseMode::Keep,
                    (_, Some(lease)) => LeaseMode::Attach(lease),
                    _ => LeaseMode::Detach,
                },
                ..Write::default()
            }),
        };
        Txn { compares: vec![Compare::unchanged(&self.key, self.expected)], then: vec![op], otherwise: vec![] }
    }
}

/// An entry of an undo file: how a step of a restore is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoEntry {
    /// The step, counted from 1: one transaction.
    pub step: u64,
    /// The change that takes the step back; its `expected` revision is the one before the step.
    pub entry: PlanEntry,
    /// The value that the step writes; `None` if the step deletes the key.
    pub written: Option<Vec<u8>>,
}

impl UndoEntry {
    /// How a change of a key is taken back. `before` is the key's record before the change.
    pub fn of(step: u64, change: &PlanEntry, before: Option<KeyValue>) -> Self {
        let kind = match change.kind {
            ChangeKind::Created => ChangeKind::Deleted,
            ChangeKind::Modified => ChangeKind::Modified,
            ChangeKind::Deleted => ChangeKind::Created,
        };
        let written = (change.kind != ChangeKind::Deleted).then(|| change.value.clone());
        let lease = match before.as_ref().and_then(|kv| kv.lease) {
            Some(_) if change.lease == PlannedLease::Keep => PlannedLease::Keep,
            Some(lease) => PlannedLease::Attach(lease),
            None => PlannedLease::None,
        };
        let entry = PlanEntry {
            kind,
            key: change.key.clone(),
            value: before.map(|kv| kv.value).unwrap_or_default(),
            expected: change.expected,
            lease,
        };
        Self { step, entry, written }
    }

    /// The change that takes back a step that was executed in this revision.
    pub fn after(self, revision: Revision) -> PlanEntry {
        let expected = if self.written.is_some() { revision } else { 0 };
        PlanEntry { expected, ..self.entry }
    }

    /// The change that takes back a step of which is not known whether it was executed, judged by the key's present record:
    /// `Ok(None)` if it was not executed, `Err` if another client has changed the key.
    pub fn judged_by(self, now: Option<&KeyValue>) -> Result<Option<PlanEntry>, PlanEntry> {
        let present = now.map_or(0, |kv| kv.mod_revision);
        if present == self.entry.expected {
            return Ok(None);
        }
        // The step writes a key once: one that did not exist has version 1 then.
        let ours = match (&self.written, now) {
            (Some(written), Some(kv)) => {
                kv.value == *written && present > self.entry.expected && (self.entry.expected > 0 || kv.version == 1)
            }
            (None, None) => true,
            _ => false,
        };
        let entry = PlanEntry { expected: present, ..self.entry };
        if ours { Ok(Some(entry)) } else { Err(entry) }
    }
}

/// What a plan belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanHead {
    /// The ID of the cluster, if the server tells it.
    pub cluster: Option<u64>,
    /// The namespace.
    pub namespace: Vec<u8>,
    /// The prefix of all keys, relative to the namespace.
    pub prefix: Vec<u8>,
    /// The revision of the store on which the plan is based.
    pub revision: Revision,
    /// The source, in words.
    pub source: String,
    /// The time at which it was made, as RFC 3339.
    pub time: String,
    /// Whether it takes back a restore.
    pub undo: bool,
}

/// A line of a plan after its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanLine {
    /// A change.
    Entry(PlanEntry),
    /// A change of an undo file.
    Undo(UndoEntry),
    /// The outcome of a step of an undo file.
    StepDone {
        /// The step.
        step: u64,
        /// The revision in which it was executed.
        revision: Revision,
        /// The positions of the step's entries that were not executed, counted from 0.
        left: Vec<u64>,
    },
    /// The end of a plan.
    End {
        /// The number of its entries.
        entries: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: ChangeKind, expected: Revision) -> PlanEntry {
        PlanEntry { kind, key: b"k".to_vec(), value: b"new".to_vec(), expected, lease: PlannedLease::None }
    }

    fn kv(value: &str, mod_revision: Revision, version: i64) -> KeyValue {
        KeyValue { key: b"k".to_vec(), value: value.into(), mod_revision, version, ..KeyValue::default() }
    }

    #[test]
    fn a_step_is_taken_back_by_its_revision() {
        let created = UndoEntry::of(1, &entry(ChangeKind::Created, 0), None).after(20);
        assert_eq!((created.kind, created.expected), (ChangeKind::Deleted, 20));
        let modified = UndoEntry::of(1, &entry(ChangeKind::Modified, 9), Some(kv("old", 9, 3))).after(20);
        assert_eq!((modified.kind, modified.expected, modified.value), (ChangeKind::Modified, 20, b"old".to_vec()));
        let deleted = PlanEntry { value: Vec::new(), ..entry(ChangeKind::Deleted, 9) };
        let deleted = UndoEntry::of(1, &deleted, Some(kv("old", 9, 3))).after(20);
        assert_eq!((deleted.kind, deleted.expected, deleted.value), (ChangeKind::Created, 0, b"old".to_vec()));
    }

    #[test]
    fn a_step_without_an_answer_is_judged_by_what_the_key_has_now() {
        let modified = || UndoEntry::of(1, &entry(ChangeKind::Modified, 9), Some(kv("old", 9, 3)));
        assert_eq!(modified().judged_by(Some(&kv("old", 9, 3))), Ok(None));
        assert!(
            modified()
                .judged_by(Some(&kv("new", 20, 4)))
                .is_ok_and(|undo| undo.is_some_and(|undo| undo.expected == 20))
        );
        assert!(modified().judged_by(Some(&kv("other", 20, 4))).is_err());
        assert!(modified().judged_by(None).is_err());
        let created = || UndoEntry::of(1, &entry(ChangeKind::Created, 0), None);
        assert_eq!(created().judged_by(None), Ok(None));
        assert!(created().judged_by(Some(&kv("new", 20, 1))).is_ok_and(|undo| undo.is_some()));
        assert!(created().judged_by(Some(&kv("new", 20, 2))).is_err());
        let deleted = || UndoEntry::of(1, &entry(ChangeKind::Deleted, 9), Some(kv("old", 9, 3)));
        assert_eq!(deleted().judged_by(Some(&kv("old", 9, 3))), Ok(None));
        assert!(deleted().judged_by(None).is_ok_and(|undo| undo.is_some_and(|undo| undo.expected == 0)));
        assert!(deleted().judged_by(Some(&kv("old", 21, 1))).is_err());
    }

    #[test]
    fn only_a_creation_may_find_its_condition_again() {
        assert!(entry(ChangeKind::Created, 0).may_hold_again());
        assert!(!entry(ChangeKind::Modified, 4).may_hold_again() && !entry(ChangeKind::Deleted, 4).may_hold_again());
    }
}
