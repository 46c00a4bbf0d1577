//! The conditions of `put` and `delete`; a command sends all of its conditions in one transaction.

use std::ffi::OsString;

use clap::Args;

use crate::args::parse_lock_token;
use crate::context::Context;
use crate::error::Failure;
use crate::kvstore::{Compare, CompareOp, CompareTarget, KeySelector, KeyValue, LockGuard, Op, OpResult, Revision};
use crate::output::{FailedCondition, bytes};

/// The option `--if-locked`.
#[derive(Args, Clone, Debug)]
pub struct IfLockedArgs {
    /// Proceed only while this lock is held [default: the lock in $KVADM_LOCK]
    // clap recognizes the type by its name: behind an alias, a bare --if-locked would count as absent.
    #[arg(long, value_name = "LOCKKEY@REV", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option)]
    if_locked: Option<Option<OsString>>,
}

impl IfLockedArgs {
    /// The option as it was given, for a command line that continues this one.
    pub fn words(&self) -> Option<OsString> {
        let mut words = OsString::from("--if-locked");
        if let Some(token) = self.if_locked.as_ref()? {
            words.push("=");
            words.push(token);
        }
        Some(words)
    }

    /// The lock that guards the requests, if the option was given.
    ///
    /// # Errors
    /// A usage error for a malformed token, or for a missing one when `KVADM_LOCK` is not set; or an error of the store.
    pub async fn guard(&self, ctx: &Context) -> Result<Option<LockGuard>, Failure> {
        if self.if_locked.is_some() && ctx.database().is_some() {
            return Err(Failure::usage("--if-locked asks a cluster for the lock: it cannot be used with --db")
                .hint("omit --if-locked: a file does not change while it is read"));
        }
        match parse_lock_token(self.if_locked.as_ref())? {
            // The key in KVADM_LOCK is absolute.
            Some(guard) if self.if_locked.as_ref().is_some_and(Option::is_some) => {
                Ok(Some(ctx.store().locate_guard(guard).await?))
            }
            guard => Ok(guard),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    pub create: bool,
    pub update: bool,
    /// The key was last modified in this revision.
    pub revision: Option<Revision>,
    pub value: Option<Vec<u8>>,
    pub other: Option<Vec<u8>>,
}

impl Conditions {
    pub fn compares(&self, key: &[u8]) -> Vec<Compare> {
        let mut compares = Vec::new();
        if self.create {
            compares.push(Compare::missing(key));
        }
        if self.update {
            compares.push(Compare::exists(key));
        }
        if let Some(revision) = self.revision {
            compares.push(Compare::unchanged(key, revision));
        }
        if let Some(value) = &self.value {
            compares.push(Compare::key(key, CompareOp::Equal, CompareTarget::Value(value.clone())));
        }
        if let Some(other) = &self.other {
            compares.push(Compare::exists(other));
        }
        compares
    }

    /// Whether the conditions hold only if the key exists.
    pub fn need_key(&self) -> bool {
        self.update || self.value.is_some() || self.revision.is_some_and(|revision| revision > 0)
    }

    /// The reads of the else branch, from which [`Conditions::explain`] finds the failed condition.
    pub fn reads(&self, key: &[u8]) -> Vec<Op> {
        let read = |key: &[u8], keys_only| Op::Get {
            over: KeySelector::Key(key.to_vec()),
            revision: 0,
            keys_only,
            count_only: false,
            limit: 0,
        };
        let other = self.other.iter().map(|other| read(other, true));
        // The report of a failed condition includes the value.
        std::iter::once(read(key, false)).chain(other).collect()
    }

    /// The first failed condition and the present state of its key, given the results of the else branch.
    pub fn failed(&self, key: &[u8], answers: &[OpResult]) -> Option<FailedCondition> {
        let found = |index: usize| match answers.get(index) {
            Some(OpResult::Get { kvs, .. }) => kvs.first(),
            _ => None,
        };
        let now = found(0);
        let differs = |now: &KeyValue| self.value.as_ref().is_some_and(|value| *value != now.value);
        let needs_key = self.update || self.revision.is_some() || self.value.is_some();
        let (kind, key, now) = match (now, &self.other) {
            (Some(_), _) if self.create => ("exists", key, now),
            (None, _) if needs_key => ("missing", key, None),
            (Some(kv), _) if self.revision.is_some_and(|expected| expected != kv.mod_revision) => {
                ("revision", key, now)
            }
            (Some(kv), _) if differs(kv) => ("value", key, now),
            (_, Some(other)) if found(1).is_none() => ("missing", other.as_slice(), None),
            _ => return None,
        };
        let (mod_revision, value) = (now.map(|kv| kv.mod_revision), now.map(|kv| kv.value.clone()));
        Some(FailedCondition { kind, key: key.to_vec(), mod_revision, value })
    }

    /// Describes the failed conditions and the present state, given the results of the else branch.
    pub fn explain(&self, key: &[u8], answers: &[OpResult]) -> String {
        let found = |index: usize| match answers.get(index) {
            Some(OpResult::Get { kvs, .. }) => kvs.first(),
            _ => None,
        };
        let now = found(0);
        let mut failures = Vec::new();
        let name = bytes::name(key);
        match now {
            Some(kv) if self.create => failures.push(format!(
                "{name} already exists (created in revision {}, last modified in {})",
                kv.create_revision, kv.mod_revision
            )),
            None if self.update || self.revision.is_some() || self.value.is_some() => {
                failures.push(format!("{name} does not exist"));
            }
            Some(kv) => failures.extend(self.differences(&name, kv)),
            None => {}
        }
        if let Some(other) = &self.other
            && found(1).is_none()
        {
            failures.push(format!("{} does not exist", bytes::name(other)));
        }
        if failures.is_empty() {
            failures.push(format!("a condition on {name} failed"));
        }
        failures.join("; ")
    }

    fn differences(&self, name: &str, now: &KeyValue) -> Vec<String> {
        let mut failures = Vec::new();
        if let Some(expected) = self.revision.filter(|expected| *expected != now.mod_revision) {
            failures.push(format!("{name} was last modified in revision {}, not {expected}", now.mod_revision));
        }
        if self.value.as_ref().is_some_and(|expected| *expected != now.value) {
            failures.push(format!("{name} has another value (since revision {})", now.mod_revision));
        }
        failures
    }

    /// Whether the conditions can never hold again once the transaction was applied, so that it may be sent again
    /// after a lost reply. Another client can restore a value or a missing key, but not a revision.
    pub fn never_hold_again(&self) -> bool {
        self.revision.is_some_and(|revision| revision > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(mod_revision: Revision, value: &[u8]) -> Vec<OpResult> {
        let kv = KeyValue {
            key: b"k".to_vec(),
            value: value.to_vec(),
            create_revision: 3,
            mod_revision,
            version: 2,
            lease: None,
        };
        vec![OpResult::Get { kvs: vec![kv], count: 1, more: false }]
    }

    #[test]
    fn each_failed_condition_is_named() {
        let create = Conditions { create: true, ..Conditions::default() };
        assert_eq!(create.explain(b"k", &now(9, b"v")), "k already exists (created in revision 3, last modified in 9)");
        let both = Conditions { revision: Some(7), value: Some(b"w".to_vec()), ..Conditions::default() };
        assert_eq!(
            both.explain(b"k", &now(9, b"v")),
            "k was last modified in revision 9, not 7; k has another value (since revision 9)"
        );
        let none = [OpResult::Get { kvs: vec![], count: 0, more: false }];
        assert_eq!(both.explain(b"k\n", &none), "k\\n does not exist");
        let other = Conditions { other: Some(b"o".to_vec()), ..Conditions::default() };
        assert_eq!(other.explain(b"k", &now(9, b"v")), "o does not exist");
    }

    #[test]
    fn the_first_failed_condition_has_the_present_state() {
        let failed = |conditions: &Conditions, answers: &[OpResult]| {
            conditions.failed(b"k", answers).map(|failed| {
                let key = String::from_utf8_lossy(&failed.key).into_owned();
                (failed.kind, key, failed.mod_revision, failed.value)
            })
        };
        let create = Conditions { create: true, ..Conditions::default() };
        let state = (Some(9), Some(b"v".to_vec()));
        assert_eq!(failed(&create, &now(9, b"v")), Some(("exists", "k".to_owned(), state.0, state.1.clone())));
        let both = Conditions { revision: Some(7), value: Some(b"w".to_vec()), ..Conditions::default() };
        assert_eq!(failed(&both, &now(9, b"v")), Some(("revision", "k".to_owned(), state.0, state.1.clone())));
        let none = [OpResult::Get { kvs: vec![], count: 0, more: false }];
        assert_eq!(failed(&both, &none), Some(("missing", "k".to_owned(), None, None)));
        let value = Conditions { value: Some(b"w".to_vec()), ..Conditions::default() };
        assert_eq!(failed(&value, &now(9, b"v")), Some(("value", "k".to_owned(), state.0, state.1)));
        let other = Conditions { other: Some(b"o".to_vec()), ..Conditions::default() };
        assert_eq!(failed(&other, &now(9, b"v")), Some(("missing", "o".to_owned(), None, None)));
    }

    #[test]
    fn only_a_revision_cannot_come_back() {
        let create = Conditions { create: true, ..Conditions::default() };
        let value = Conditions { value: Some(b"v".to_vec()), ..Conditions::default() };
        let missing = Conditions { revision: Some(0), ..Conditions::default() };
        assert!(!create.never_hold_again() && !value.never_hold_again() && !missing.never_hold_again());
        assert!(Conditions { revision: Some(7), ..Conditions::default() }.never_hold_again());
    }
}
