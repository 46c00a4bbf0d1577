//! What each rule reads and asks for, without connecting.

use super::catalog::RuleSubject;
use super::collector::expected_of;
use super::document::{CheckFile, CheckItem, CheckSubject};
use super::judgement::{shown, shown_time};
use super::members::expected_of_cluster;
use super::probe::PROBE_PREFIX;
use super::rule::{CheckRule, QuorumTest};
use super::systems::{expected_ids, expected_tree};

/// One rule in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleExplanation {
    /// The name of the check.
    pub check: String,
    /// The line of the check.
    pub line: u64,
    /// The rule.
    pub rule: &'static str,
    /// What it reads, or writes.
    pub reads: String,
    /// What it asks for.
    pub expected: String,
}

/// Explains all rules of a file.
pub fn explain_rules(file: &CheckFile) -> Vec<RuleExplanation> {
    let explain = |(check, rule): (&CheckItem, &super::document::NamedRule)| RuleExplanation {
        check: check.name.clone(),
        line: check.line,
        rule: rule.info.name,
        reads: reads(check, rule.info.subject, &rule.rule),
        expected: expected(&rule.rule),
    };
    file.rules().map(explain).collect()
}

fn reads(check: &CheckItem, subject: RuleSubject, rule: &CheckRule) -> String {
    match rule {
        CheckRule::Quorum(QuorumTest::Write) => "writes a temporary key under a lock".to_owned(),
        CheckRule::WriteLatencyBelow(_) => match &check.probe_key {
            Some(key) => format!("writes {} on a lease, and removes it", shown(key)),
            None => format!("writes {PROBE_PREFIX}<random> on a lease, and removes it"),
        },
        CheckRule::Voters(_) | CheckRule::Learners(_) => "the member list".to_owned(),
        CheckRule::NoAlarms => "the alarms".to_owned(),
        CheckRule::HistoryBelow(_) => "the revision, and that of the last compaction".to_owned(),
        CheckRule::Consistent => "the HashKV of every member".to_owned(),
        CheckRule::CertificateDays(_) => "the certificates of every member, the client and the CA file".to_owned(),
        CheckRule::ChangesWithin(_) => format!("watches {}", place(check)),
        CheckRule::LeaseLeftAtLeast(_) => format!("{} and its lease", place(check)),
        CheckRule::Count(_) => format!("the number of keys of {}", place(check)),
        CheckRule::Equals(test) => format!("all keys of {}, and {}", place(check), test.shown),
        CheckRule::Allocator(test) => format!("all keys of the prefix {}/", shown(test.layout.base())),
        CheckRule::Tree(test) => format!("all keys of the prefix {}", shown(test.prefix.as_bytes())),
        _ => match subject {
            RuleSubject::Cluster => "the status of every member".to_owned(),
            RuleSubject::Prefix => format!("all keys of {}", place(check)),
            _ => place(check),
        },
    }
}

fn place(check: &CheckItem) -> String {
    match &check.subject {
        CheckSubject::None => String::new(),
        CheckSubject::Key(key) => format!("the key {}", shown(key)),
        CheckSubject::Prefix(prefix) if prefix.is_empty() => "the whole store".to_owned(),
        CheckSubject::Prefix(prefix) => format!("the prefix {}", shown(prefix)),
        CheckSubject::Lock(name) => format!("the queue of the lock {}", shown(name)),
    }
}

fn expected(rule: &CheckRule) -> String {
    match rule {
        CheckRule::ChangesWithin(within) => format!("a change within {}", shown_time(*within)),
        CheckRule::Equals(test) => format!("the same keys as {}", test.shown),
        CheckRule::Held(true) => "held".to_owned(),
        CheckRule::Held(false) => "not held".to_owned(),
        CheckRule::HeldForLessThan(time) => format!("held for less than {}", shown_time(*time)),
        CheckRule::Waiters(limits) => format!("waiting clients: {limits}"),
        CheckRule::Allocator(test) => expected_ids(test),
        CheckRule::Tree(test) => expected_tree(test),
        rule => expected_of_cluster(rule).unwrap_or_else(|| expected_of(rule)),
    }
}
