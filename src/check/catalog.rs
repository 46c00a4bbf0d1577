//! All rules: their names, what they are about, an example and a sentence for the help, and how they are read.

use serde_json::Value;

use super::fields::{count, expression, limits, only_true, percent, size, time_span, true_or_count, version};
use super::rule::{AgeLimit, AllocatorTest, CheckRule, JsonTest, QuorumTest, SourceTest, TreeTest};
use crate::config::document_fault::DocumentFault;
use crate::config::document_fields::{flag, text, word};

/// What a rule is about; the check names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleSubject {
    /// The members of the cluster.
    Cluster,
    /// The key of the check.
    Key,
    /// The key or the prefix of the check.
    KeyOrPrefix,
    /// The prefix of the check.
    Prefix,
    /// The lock of the check.
    Lock,
    /// Keys that the rule names itself.
    Own,
}

impl RuleSubject {
    /// The heading in the help, and the keys of the check that such a rule needs.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Cluster => "the cluster",
            Self::Key => "a key (key: KEY)",
            Self::KeyOrPrefix => "a key or a prefix (key: KEY or prefix: PREFIX)",
            Self::Prefix => "a prefix (prefix: PREFIX)",
            Self::Lock => "a lock (lock: NAME)",
            Self::Own => "other systems' keys",
        }
    }
}

/// The values that a rule takes, for the JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its reader in src/check/fields.rs or src/check/rule.rs")]
pub enum RuleShape {
    OnlyTrue,
    Flag,
    TrueOrCount,
    Count,
    Limits,
    Size,
    Percent,
    TimeSpan,
    Text,
    Version,
    Quorum,
    Json,
    Age,
    Source,
    Allocator,
    Tree,
}

/// What is known of a rule.
pub struct RuleInfo {
    /// Its key in the file.
    pub name: &'static str,
    /// What it is about.
    pub subject: RuleSubject,
    /// The values that it takes.
    pub shape: RuleShape,
    /// An example: the rule with a value.
    pub example: &'static str,
    /// What holds then, in at most 44 characters.
    pub meaning: &'static str,
    /// Reads its value.
    pub read: fn(&Value) -> Result<CheckRule, DocumentFault>,
}

const QUORUM_WORDS: [&str; 2] = ["read", "write"];

fn quorum(value: &Value) -> Result<CheckRule, DocumentFault> {
    if value == &Value::Bool(true) {
        let fault = DocumentFault::new("must be read or write, not true");
        return Err(fault.hint("use 'quorum: read' for a linearizable read, or 'quorum: write' for a write"));
    }
    let by = word(value, &QUORUM_WORDS)?;
    Ok(CheckRule::Quorum(if by == "write" { QuorumTest::Write } else { QuorumTest::Read }))
}

/// The rule is only switched on; `opposite` is what `false` may mean.
fn true_or_opposite(value: &Value, rule: CheckRule, opposite: &str) -> Result<CheckRule, DocumentFault> {
    match value {
        Value::Bool(false) => Err(DocumentFault::new("must be true").hint(format!("use '{opposite}: true'"))),
        value => only_true(value).map(|()| rule),
    }
}

macro_rules! rules {
    ($($subject:ident $shape:ident $name:literal $example:literal $meaning:literal $read:expr;)*) => {
        &[$(RuleInfo {
            name: $name,
            subject: RuleSubject::$subject,
            shape: RuleShape::$shape,
            example: concat!($name, ": ", $example),
            meaning: $meaning,
            read: $read,
        }),*]
    };
}

/// All rules, in the order of the help.
pub static RULES: &[RuleInfo] = rules! {
    Cluster TrueOrCount "healthy" "3" "at least 3 voters are healthy; true: all"
        |value| true_or_count(value).map(CheckRule::Healthy);
    Cluster OnlyTrue "reachable" "true" "every endpoint and every member answers"
        |value| only_true(value).map(|()| CheckRule::Reachable);
    Cluster OnlyTrue "leader" "true" "all members follow the same leader"
        |value| only_true(value).map(|()| CheckRule::Leader);
    Cluster Quorum "quorum" "write" "a write succeeds; read: a linearizable read"
        quorum;
    Cluster Limits "voters" "3" "3 voting members; or {at-least: 3}"
        |value| limits(value).map(CheckRule::Voters);
    Cluster Limits "learners" "0" "no member is a learner"
        |value| limits(value).map(CheckRule::Learners);
    Cluster OnlyTrue "same-version" "true" "all members run the same version of etcd"
        |value| only_true(value).map(|()| CheckRule::SameVersion);
    Cluster Version "version-at-least" "\"3.5.23\"" "every member runs this version or later"
        |value| version(value).map(CheckRule::VersionAtLeast);
    Cluster OnlyTrue "no-known-bad-versions" "true" "no version loses data or is insecure"
        |value| only_true(value).map(|()| CheckRule::NoKnownBadVersions);
    Cluster OnlyTrue "no-alarms" "true" "no alarm is raised (NOSPACE, CORRUPT)"
        |value| only_true(value).map(|()| CheckRule::NoAlarms);
    Cluster Percent "quota-below" "80%" "databases use less of their quota (3.6+)"
        |value| percent(value).map(CheckRule::QuotaBelow);
    Cluster Size "db-size-below" "4GiB" "every database file is smaller"
        |value| size(value).map(CheckRule::DbSizeBelow);
    Cluster Count "raft-lag-below" "1000" "no member is so many log entries behind"
        |value| count(value).map(CheckRule::RaftLagBelow);
    Cluster TimeSpan "latency-below" "100ms" "every member tells its status in this time"
        |value| time_span(value).map(CheckRule::LatencyBelow);
    Cluster Count "history-below" "1000000" "fewer revisions since the last compaction"
        |value| count(value).map(CheckRule::HistoryBelow);
    Cluster OnlyTrue "consistent" "true" "all members have the same data"
        |value| only_true(value).map(|()| CheckRule::Consistent);
    Cluster Count "certificate-days" "14" "certificates are valid for 14 more days"
        |value| count(value).map(CheckRule::CertificateDays);
    Cluster TimeSpan "write-latency-below" "50ms" "writing a probe key takes less time"
        |value| time_span(value).map(CheckRule::WriteLatencyBelow);
    Key OnlyTrue "exists" "true" "the key exists"
        |value| true_or_opposite(value, CheckRule::Exists, "absent");
    Key OnlyTrue "absent" "true" "the key does not exist"
        |value| true_or_opposite(value, CheckRule::Absent, "exists");
    Key Text "value" "blue" "the value is exactly this text"
        |value| text(value).map(|text| CheckRule::Value(text.as_bytes().to_vec()));
    Key Text "value-matches" "'^v[0-9]+$'" "a regular expression matches the value"
        |value| expression(value).map(CheckRule::ValueMatches);
    Key Json "json" "{path: /spec/replicas, at-least: 2}" "a condition inside a JSON value"
        |value| JsonTest::read(value).map(CheckRule::Json);
    Key Age "changed-within" "2m" "the value is a time at most 2m ago"
        |value| AgeLimit::read(value).map(CheckRule::ChangedWithin);
    Key Flag "leased" "true" "the key is on a lease; false: it is not"
        |value| flag(value).map(CheckRule::Leased);
    Key TimeSpan "lease-left-at-least" "10s" "its lease does not expire sooner"
        |value| time_span(value).map(CheckRule::LeaseLeftAtLeast);
    KeyOrPrefix TimeSpan "changes-within" "2m" "waits: something changes in this time"
        |value| time_span(value).map(CheckRule::ChangesWithin);
    KeyOrPrefix Size "value-size-below" "1MiB" "every value is smaller"
        |value| size(value).map(CheckRule::ValueSizeBelow);
    Prefix Limits "count" "{at-least: 2}" "the number of keys; a number: exactly"
        |value| limits(value).map(CheckRule::Count);
    Prefix OnlyTrue "all-leased" "true" "every key is on a lease"
        |value| only_true(value).map(|()| CheckRule::AllLeased);
    Prefix Size "size-below" "64MiB" "keys and values together are smaller"
        |value| size(value).map(CheckRule::SizeBelow);
    Prefix Text "each-value-matches" "'^ok'" "a regular expression matches each value"
        |value| expression(value).map(CheckRule::EachValueMatches);
    Prefix Json "each-json" "{path: /ready, equals: true}" "a condition inside each JSON value"
        |value| JsonTest::read(value).map(CheckRule::EachJson);
    Prefix Source "equals" "\"file:config.jsonl\"" "the keys are those of a source of 'diff'"
        |value| SourceTest::read(value).map(CheckRule::Equals);
    Lock Flag "held" "false" "nobody holds the lock; true: somebody does"
        |value| flag(value).map(CheckRule::Held);
    Lock TimeSpan "held-for-less-than" "1h" "its holder has not waited and held longer"
        |value| time_span(value).map(CheckRule::HeldForLessThan);
    Lock Limits "waiters" "{at-most: 5}" "the number of clients that wait for it"
        |value| limits(value).map(CheckRule::Waiters);
    Own Allocator "allocator" "{errors: 0, warnings: 0}" "as 'allocate check' of Cilium's identities"
        |value| AllocatorTest::read(value).map(CheckRule::Allocator);
    Own Tree "tree" "{prefix: /c/, schema: containerd, problems: 0}" "as 'gc metadata --check'"
        |value| TreeTest::read(value).map(CheckRule::Tree);
};

/// The rule with this name.
pub fn rule_named(name: &str) -> Option<&'static RuleInfo> {
    RULES.iter().find(|rule| rule.name == name)
}

/// The rules as a list for the help, by what they are about; a line has at most 80 columns.
pub fn rule_list() -> String {
    let mut list = String::new();
    let mut subject = None;
    for rule in RULES {
        if subject != Some(rule.subject) {
            subject = Some(rule.subject);
            list.push_str(&format!("\n\nRules about {}:", rule.subject.heading()));
        }
        let narrow = rule.example.chars().count() <= 33;
        let line = match narrow {
            true => format!("\n  {:<33} {}", rule.example, rule.meaning),
            false => format!("\n  {}\n  {:<33} {}", rule.example, "", rule.meaning),
        };
        list.push_str(&line);
    }
    list + VALUES
}

/// What the values of rules are made of, for the help.
const VALUES: &str = "

Values of rules:
  a count is a number, or limits: {equals, at-least, at-most, above, below}
  durations: 50ms, 30s, 2m, 1h; sizes: 4096, 200MiB, 2GiB; shares: 80%
  json: path is a JSON pointer; with limits, equals, matches or exists
  changed-within: {within: 2m, path: /time} for a time inside JSON
  equals: {source: \"file:PATH\", source-prefix: /p/, ignore: lease}
  allocator: also base, min, max, cluster-id, used-below: 80%
  tree: also garbage-below: 10%; schema is a file or a built-in one
  keys of a check besides: escape: true (\\xNN in keys), probe-key: KEY,
  show-values: false (also of the file): reports show no stored value;
  true: all. Otherwise they show what value and json compare

Notes:
  with --db FILE, rules about the cluster, changes-within and
  lease-left-at-least cannot be used
  healthy: N counts voting members; learners do not count
  held-for-less-than: only kvadm writes since when it holds a lock; the
  rule cannot be judged for a lock of another client";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::config::parse_bounded;

    #[test]
    fn every_example_is_read_and_every_name_is_unique() {
        for rule in RULES {
            let example = parse_bounded(rule.example).expect(rule.example).expect(rule.example);
            let value = &example[rule.name];
            assert!((rule.read)(value).is_ok(), "{}: {:?}", rule.example, (rule.read)(value).map(|_| ()));
            assert!((rule.read)(&Value::Null).is_err(), "{}", rule.name);
            assert!(std::ptr::eq(rule_named(rule.name).unwrap(), rule), "{}", rule.name);
            assert!(rule.meaning.chars().count() <= 44, "{}", rule.meaning);
        }
        assert!(rule_list().lines().all(|line| line.chars().count() <= 80));
    }
}
