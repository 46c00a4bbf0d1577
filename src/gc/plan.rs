//! Plans: the garbage that a scan found, and what several scans agree on. Pure.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use thiserror::Error;

use super::Timestamp;
use crate::escaped::escape;
use crate::kvstore::Revision;

/// Named facts in a fixed order. A name that ends in `_base64` holds bytes that are not UTF-8.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts(pub Map<String, Value>);

impl Facts {
    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds bytes: as text if they are UTF-8, else as `NAME_base64`.
    #[must_use]
    pub fn with_bytes(mut self, name: &str, bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.insert(name.to_owned(), text.into()),
            Err(_) => self.0.insert(format!("{name}_base64"), STANDARD.encode(bytes).into()),
        };
        self
    }

    /// A number.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Bytes.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        match self.0.get(name) {
            Some(text) => Some(text.as_str()?.as_bytes().to_vec()),
            None => STANDARD.decode(self.0.get(&format!("{name}_base64"))?.as_str()?).ok(),
        }
    }
}

/// An object that may be removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its key, absolute; for an object of several keys, their prefix. Unique within a plan.
    pub key: Vec<u8>,
    /// Why it is garbage.
    pub why: String,
    /// When a scan first saw it with these facts.
    pub first_seen: Timestamp,
    /// What its removal compares. Scans agree on a candidate if all facts are equal.
    pub facts: Facts,
    /// Further information, which may differ between scans.
    pub more: Facts,
}

/// What a scan covers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Prefix of the keys, absolute.
    pub prefix: Vec<u8>,
    /// Further bounds, such as a range of IDs.
    pub bounds: Facts,
}

/// The result of a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The kind of garbage: `ids`, `locks`, `metadata`.
    pub kind: String,
    /// The cluster's ID.
    pub cluster: u64,
    /// The revision at which all keys were read.
    pub revision: Revision,
    /// Time of the scan.
    pub time: Timestamp,
    /// Version of kvadm that made the plan.
    pub tool: String,
    /// What was scanned.
    pub scope: Scope,
    /// Hash of the schema, if there is one.
    pub schema: Option<String>,
    /// Number of objects scanned.
    pub scanned: u64,
    /// Candidates in key order.
    pub candidates: Vec<Candidate>,
}

/// A key that looks wrong but is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its key, absolute.
    pub key: Vec<u8>,
    /// Why it is kept.
    pub why: String,
}

/// What a scan found in the store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScanResult {
    /// The revision at which all keys were read.
    pub revision: Revision,
    /// Number of objects scanned.
    pub scanned: u64,
    /// Candidates for removal.
    pub candidates: Vec<Candidate>,
    /// Keys that look wrong but are kept.
    pub skipped: Vec<Skipped>,
    /// Number of objects kept because they expire with their lease.
    pub leased: u64,
}

/// Outcome of a candidate's removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateOutcome {
    /// It was removed.
    Removed,
    /// Another client removed it since the scan.
    Gone,
    /// It changed since the scan and was kept.
    Changed,
    /// It is still garbage, but what it depends on could not be removed or compared; it was kept.
    HeldBack,
    /// Another client holds a lock that its removal needs; it was kept.
    Busy,
    /// It was removed, another client used it at the same time, and it was written again.
    Restored,
    /// It was removed, and another client used it at the same time for something else; what disagrees.
    Conflict(String),
    /// It was removed, but whether another client used it at the same time is unknown; the reason.
    Unverified(String),
    /// The removal failed, and etcd did not remove it; the reason.
    Failed(String),
    /// It is unknown whether etcd removed it; the reason.
    Unknown(String),
}

impl CandidateOutcome {
    /// Name in the output.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::HeldBack => "held-back",
            Self::Busy => "busy",
            Self::Restored => "restored",
            Self::Conflict(_) => "conflict",
            Self::Unverified(_) => "unverified",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }

    /// What went wrong, or what could not be found out.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Conflict(why) | Self::Unverified(why) | Self::Failed(why) | Self::Unknown(why) => Some(why),
            Self::Removed | Self::Gone | Self::Changed | Self::HeldBack | Self::Busy | Self::Restored => None,
        }
    }

    /// Whether something is left to do: the object is still garbage, or it was removed and needs a repair or a check.
    pub fn is_left(&self) -> bool {
        match self {
            Self::HeldBack | Self::Busy | Self::Conflict(_) | Self::Unverified(_) | Self::Failed(_) => true,
            Self::Removed | Self::Gone | Self::Changed | Self::Restored | Self::Unknown(_) => false,
        }
    }
}

/// Why an earlier plan cannot be compared with this scan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// It is of another kind of garbage.
    #[error("the plan is of 'gc {0}'")]
    Kind(String),
    /// It is of another cluster.
    #[error("the plan is of cluster {earlier:x}, but this is cluster {now:x}")]
    Cluster {
        /// The plan's cluster.
        earlier: u64,
        /// The scan's cluster.
        now: u64,
    },
    /// It covers other keys.
    #[error("the plan covers other keys: {0}")]
    Scope(String),
    /// It was made with another schema.
    #[error("the plan was made with another schema")]
    Schema,
    /// Its revision does not exist in this store.
    #[error("the plan is of revision {earlier}, but the store is at revision {now}: it was restored or replaced")]
    Future {
        /// The plan's revision.
        earlier: Revision,
        /// The scan's revision.
        now: Revision,
    },
}

impl Plan {
    /// Sorts the candidates by key.
    pub fn sort(&mut self) {
        self.candidates.sort_by(|one, other| one.key.cmp(&other.key));
    }

    /// Checks that an earlier plan can be compared with this one.
    ///
    /// # Errors
    /// What differs.
    pub fn check_comparable(&self, earlier: &Self) -> Result<(), Mismatch> {
        if earlier.kind != self.kind {
            return Err(Mismatch::Kind(earlier.kind.clone()));
        }
        if earlier.cluster != self.cluster {
            return Err(Mismatch::Cluster { earlier: earlier.cluster, now: self.cluster });
        }
        if earlier.scope != self.scope {
            return Err(Mismatch::Scope(earlier.scope.format()));
        }
        if earlier.schema != self.schema {
            return Err(Mismatch::Schema);
        }
        if earlier.revision > self.revision {
            return Err(Mismatch::Future { earlier: earlier.revision, now: self.revision });
        }
        Ok(())
    }

    /// Marks the candidates that all earlier plans contain with the same facts (none without an earlier plan), and
    /// carries over when each was first seen.
    pub fn mark_agreed(&mut self, earlier: &[Self]) -> Vec<bool> {
        let mut agreed = vec![!earlier.is_empty(); self.candidates.len()];
        for plan in earlier {
            let known: HashMap<&[u8], &Candidate> =
                plan.candidates.iter().map(|one| (one.key.as_slice(), one)).collect();
            for (candidate, agreed) in self.candidates.iter_mut().zip(&mut agreed) {
                match known.get(candidate.key.as_slice()).filter(|one| one.facts == candidate.facts) {
                    Some(one) => candidate.first_seen = candidate.first_seen.min(one.first_seen),
                    None => *agreed = false,
                }
            }
        }
        agreed
    }
}

impl Scope {
    fn format(&self) -> String {
        let prefix = escape(&self.prefix);
        let bound = |(name, value): (&String, &Value)| format!(", {name} {value}");
        prefix + &self.bounds.0.iter().map(bound).collect::<String>()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn plan(candidates: &[(&[u8], i64)], millis: u64) -> Plan {
        let time = Timestamp::from_millis(millis);
        let candidate = |(key, revision): &(&[u8], i64)| Candidate {
            key: key.to_vec(),
            why: "no reference".to_owned(),
            first_seen: time,
            facts: Facts::default().with("mod_revision", *revision).with_bytes("value", b"\xff"),
            more: Facts::default(),
        };
        Plan {
            kind: "ids".to_owned(),
            cluster: u64::MAX,
            revision: 10,
            time,
            tool: "0.1.0".to_owned(),
            scope: Scope { prefix: b"b/id/".to_vec(), bounds: Facts::default().with("min", 1).with("max", 9) },
            schema: None,
            scanned: 40,
            candidates: candidates.iter().map(candidate).collect(),
        }
    }

    fn agreed(now: &mut Plan, earlier: &[Plan]) -> Vec<Vec<u8>> {
        let marks = now.mark_agreed(earlier);
        now.candidates.iter().zip(marks).filter(|(_, mark)| *mark).map(|(one, _)| one.key.clone()).collect()
    }

    #[test]
    fn only_candidates_in_every_scan_with_the_same_facts_are_agreed_on() {
        let one = plan(&[(b"a", 1), (b"b", 2), (b"c", 3)], 1000);
        let two = plan(&[(b"a", 1), (b"b", 9), (b"d", 4)], 2000);
        let mut now = plan(&[(b"a", 1), (b"b", 2), (b"c", 3), (b"d", 4)], 3000);
        assert_eq!(agreed(&mut now, &[]), [b""; 0]);
        assert_eq!(agreed(&mut now.clone(), std::slice::from_ref(&one)), [b"a", b"b", b"c"]);
        assert_eq!(agreed(&mut now, &[one, two]), [b"a"]);
        let first: Vec<_> = now.candidates.iter().map(|one| now.time.since(one.first_seen).as_secs()).collect();
        assert_eq!(first, [2, 2, 2, 1]);
    }

    #[test]
    fn a_plan_about_something_else_is_told_apart() {
        let (now, earlier) = (plan(&[], 2), plan(&[], 1));
        assert_eq!(now.check_comparable(&earlier), Ok(()));
        let with = |change: fn(&mut Plan)| {
            let mut other = earlier.clone();
            change(&mut other);
            now.check_comparable(&other).map_err(|why| why.to_string())
        };
        assert!(with(|plan| plan.kind = "locks".into()).is_err_and(|why| why.contains("gc locks")));
        assert!(with(|plan| plan.cluster = 1).is_err_and(|why| why.contains("cluster 1,")));
        assert!(with(|plan| plan.scope.prefix = b"c".into()).is_err_and(|why| why.contains("other keys: c, min 1")));
        assert!(with(|plan| plan.scope.bounds = Facts::default().with("min", 2)).is_err());
        assert!(with(|plan| plan.schema = Some("x".into())).is_err());
        assert!(with(|plan| plan.revision = 11).is_err_and(|why| why.contains("revision 11")));
        assert!(with(|plan| plan.tool = "0.0.9".into()).is_ok());
    }

    proptest! {
        #[test]
        fn agreement_is_the_intersection_whatever_the_order(
            looks in proptest::collection::vec(proptest::collection::btree_map(0u8..12, 1i64..3, 0..12), 1..5),
        ) {
            let make = |look: &std::collections::BTreeMap<u8, i64>, at| {
                let mut made = plan(&[], at);
                made.candidates = look.iter().map(|(key, revision)| Candidate {
                    key: vec![*key],
                    why: String::new(),
                    first_seen: made.time,
                    facts: Facts::default().with("mod_revision", *revision),
                    more: Facts::default().with("noise", at),
                }).collect();
                made
            };
            let plans: Vec<Plan> = looks.iter().zip(1..).map(|(look, at)| make(look, at * 1000)).collect();
            let (now, earlier) = (plans.last().cloned(), &plans[..plans.len() - 1]);
            let Some(mut now) = now else { return Ok(()) };
            let in_all = |key: &u8, revision: &i64| looks.iter().all(|look| look.get(key) == Some(revision));
            let wanted: Vec<Vec<u8>> = looks[looks.len() - 1].iter()
                .filter(|(key, revision)| looks.len() > 1 && in_all(key, revision))
                .map(|(key, _)| vec![*key])
                .collect();
            let reversed: Vec<Plan> = earlier.iter().rev().cloned().collect();
            prop_assert_eq!(agreed(&mut now.clone(), &reversed), wanted.clone());
            prop_assert_eq!(agreed(&mut now, earlier), wanted);
        }
    }
}
