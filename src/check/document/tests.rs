//! Check files that are read, and those that are refused with their line.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;
use crate::fuzzing::{check_message, damage, damaged};

const SAMPLE: &str = r#"# The example of the manual.
checks:
  - {name: members,    healthy: 3, same-version: true, no-alarms: true, quota-below: 80%, raft-lag-below: 1000}
  - {name: consistent, consistent: true}
  - {name: certs,      certificate-days: 14}
  - {name: versions,   no-known-bad-versions: true}
  - {name: flag,       key: /app/mode, value: blue}
  - name: replicas
    key: /app/spec
    json: {path: /spec/replicas, at-least: 2}
    value-matches: "replicas"
  - {name: workers,    prefix: /app/workers/, count: {at-least: 2}, all-leased: true}
  - {name: heartbeat,  key: cilium/.heartbeat, changed-within: 2m}
  - {name: ids,        allocator: {base: cilium/state/identities/v1, errors: 0}}
  - {name: metadata,   tree: {prefix: /containerd/, schema: containerd, problems: 0, garbage-below: 10%}}
  - {name: locks,      lock: /cron/backup, held: false}
  - {name: drift,      prefix: /config/, equals: "file:config.jsonl"}
  - {name: write,      write-latency-below: 50ms, probe-key: /probe}
"#;

fn parse(text: &str) -> Result<CheckFile, DocumentError> {
    CheckFile::parse(text.as_bytes(), "c.yaml")
}

fn refused(text: &str) -> String {
    parse(text).map_or_else(|error| error.to_string(), |file| format!("{file:?}"))
}

#[test]
fn the_example_is_read_with_its_lines() {
    let file = parse(SAMPLE).unwrap();
    let names: Vec<(&str, u64)> = file.checks.iter().map(|check| (check.name.as_str(), check.line)).collect();
    assert_eq!(names[0], ("members", 3));
    assert_eq!(names[5], ("replicas", 8));
    assert_eq!(names[12], ("write", 18));
    let rules: Vec<&str> = file.checks[0].rules.iter().map(|rule| rule.info.name).collect();
    assert_eq!(rules, ["healthy", "same-version", "no-alarms", "quota-below", "raft-lag-below"]);
    assert_eq!(file.checks[6].subject, CheckSubject::Prefix(b"/app/workers/".to_vec()));
    assert_eq!(file.checks[12].probe_key.as_deref(), Some(b"/probe".as_slice()));
    // JSON is YAML.
    assert!(parse(r#"{"checks": [{"name": "a", "key": "/é", "exists": true}]}"#).is_ok());
}

#[test]
fn mistakes_are_refused_with_line_and_suggestion() {
    for (text, said) in [
        ("checks:\n  - {name: a, helthy: 3}\n", "c.yaml:2: check 'a': unknown key 'helthy'; did you mean 'healthy'?"),
        ("check:\n  - {name: a, healthy: 3}\n", "c.yaml:1: unknown key 'check'; did you mean 'checks'?"),
        (
            "checks:\n  - name: a\n    healthy: yes please\n",
            "c.yaml:3: check 'a': healthy: must be true or a number, not a text",
        ),
        (
            "checks:\n  - name: a\n    healthy: false\n",
            "c.yaml:3: check 'a': healthy: must be true or a number; remove the rule to switch it off",
        ),
        (
            "checks:\n  - {name: a, healthy: 3}\n  - {name: b, leader: true}\n  - {name: a, leader: true}\n",
            "c.yaml:4: the name 'a' is used twice, here and in line 2",
        ),
        ("checks:\n  - healthy: 3\n", "c.yaml:2: the check has no name"),
        ("checks:\n  - {name: '', healthy: 3}\n", "c.yaml:2: name: must not be empty"),
        ("checks:\n  - name: a\n", "c.yaml:2: check 'a': has no rule"),
        ("checks:\n  - {name: a, key: /b}\n", "c.yaml:2: check 'a': has no rule about its key"),
        ("checks:\n  - {name: a, value: b}\n", "c.yaml:2: check 'a': the rule 'value' is about a key (key: KEY)"),
        (
            "checks:\n  - {name: a, key: /b, count: 1}\n",
            "c.yaml:2: check 'a': the rule 'count' is about a prefix (prefix: PREFIX)",
        ),
        (
            "checks:\n  - {name: a, key: /b, prefix: /c, exists: true}\n",
            "c.yaml:2: check 'a': has more than one of key, prefix and lock",
        ),
        ("checks:\n  - {name: a, key: /b, value: 1}\n", "c.yaml:2: check 'a': value: must be a text, not a number"),
        (
            "checks:\n  - {name: a, key: /b, absent: true, value: x}\n",
            "c.yaml:2: check 'a': 'absent' and 'value' cannot both hold",
        ),
        (
            "checks:\n  - name: a\n    prefix: /b\n    count:\n      at-leest: 1\n",
            "c.yaml:5: check 'a': count: unknown key 'at-leest'; did you mean 'at-least'?",
        ),
        (
            "checks:\n  - {name: a, key: /b, value-matches: '('}\n",
            "c.yaml:2: check 'a': value-matches: invalid regular expression '(': unclosed group, at character 1",
        ),
        (
            "checks:\n  - {name: a, key: /b, changed-within: 5}\n",
            "c.yaml:2: check 'a': changed-within: must be a duration such as 30s, 2m or 50ms, not a number",
        ),
        (
            "checks:\n  - {name: a, quota-below: 0.8}\n",
            "c.yaml:2: check 'a': quota-below: must be a share from above 0% to 100%, such as 80%",
        ),
        (
            "checks:\n  - {name: a, healthy: 3, probe-key: /p}\n",
            "c.yaml:2: check 'a': 'probe-key' needs the rule 'write-latency-below'",
        ),
        (
            "checks:\n  - {name: a, prefix: /b, equals: config.jsonl}\n",
            "c.yaml:2: check 'a': equals: 'config.jsonl' is not a source; a source is rev:N, context:NAME, \
             context:NAME@REV, db:FILE, db:FILE@REV, or file:PATH",
        ),
        ("checks:\n  - {name: a, quorum: true}\n", "c.yaml:2: check 'a': quorum: must be read or write, not true"),
        ("checks:\n  - {name: a, key: /b, exists: false}\n", "c.yaml:2: check 'a': exists: must be true"),
        (
            "checks:\n  - {name: a, prefix: /b, count: {below: 0}}\n",
            "c.yaml:2: check 'a': count: never true: no number of things is below 0",
        ),
        ("checks: {a: 1}\n", "c.yaml:1: checks: must be a list of checks, not a mapping"),
        ("checks: []\n", "c.yaml:1: the list 'checks' is empty"),
        ("- {name: a}\n", "c.yaml:1: must be a mapping with the list 'checks', not a list"),
        ("", "c.yaml: the file has no checks"),
        ("# nothing\n", "c.yaml: the file has no checks"),
        ("checks:\n  - {name: a, leader: true, leader: true}\n", "c.yaml:2: the key 'leader' is given twice"),
    ] {
        assert_eq!(refused(text), said, "{text}");
    }
    let not_text = CheckFile::parse(b"checks:\n  - \xff\n", "c.yaml").unwrap_err();
    assert_eq!(not_text.to_string(), "c.yaml:2: the file is not UTF-8");
    assert!(refused("checks:\n  - {name: a\n").starts_with("c.yaml:"));
    let many = format!("checks:\n{}", "  - {name: a, leader: true}\n".repeat(1_001));
    assert_eq!(refused(&many), "c.yaml:1: more than 1000 checks: split the file");
}

#[test]
fn hints_name_the_rule_that_is_meant() {
    let hint = |rule: &str| parse(&format!("checks:\n  - {{name: a, key: /b, {rule}}}\n")).unwrap_err().hint;
    assert_eq!(hint("exists: false").as_deref(), Some("use 'absent: true'"));
    assert_eq!(hint("absent: false").as_deref(), Some("use 'exists: true'"));
    assert!(hint("quorum: true").unwrap().contains("'quorum: read'"));
    assert!(hint("quorum: true").unwrap().contains("'quorum: write'"));
}

#[test]
fn values_are_shown_as_the_file_or_the_check_says() {
    let of = |text: &str| parse(text).unwrap().checks[0].values;
    let check = "checks: [{name: a, leader: true}]";
    assert_eq!(of(check), ValueDisplay::Compared);
    assert_eq!(of(&format!("show-values: true\n{check}")), ValueDisplay::All);
    assert_eq!(of(&format!("show-values: false\n{check}")), ValueDisplay::None);
    let own = "checks: [{name: a, leader: true, show-values: false}]";
    assert_eq!(of(&format!("show-values: true\n{own}")), ValueDisplay::None);
    assert_eq!(refused("show-values: some\nchecks: []\n"), "c.yaml:1: show-values: must be true or false, not a text");
}

#[test]
fn keys_for_anchors_may_stand_beside_the_checks() {
    let file = parse("x-key: &key /app/mode\nchecks:\n  - {name: a, key: *key, exists: true}\n").unwrap();
    assert_eq!(file.checks[0].subject, CheckSubject::Key(b"/app/mode".to_vec()));
}

#[test]
fn escapes_are_for_keys_and_values() {
    let file = parse("checks:\n  - {name: a, key: '/\\xff', value: '\\x00', escape: true}\n").unwrap();
    assert_eq!(file.checks[0].subject, CheckSubject::Key(b"/\xff".to_vec()));
    assert!(matches!(&file.checks[0].rules[0].rule, CheckRule::Value(value) if value == b"\0"));
    assert!(parse("checks:\n  - {name: a, key: '/\\q', exists: true, escape: true}\n").is_err());
}

#[test]
fn checks_are_selected_by_name() {
    let mut file = parse(SAMPLE).unwrap();
    let unknown = file.select(&["flagg".to_owned()]);
    assert_eq!(unknown, Err("unknown check 'flagg'; did you mean 'flag'?".to_owned()));
    file.select(&["write".to_owned(), "flag".to_owned()]).unwrap();
    assert_eq!(file.checks.iter().map(|check| check.name.as_str()).collect::<Vec<_>>(), ["flag", "write"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A damaged file is read or refused in words; it never panics.
    #[test]
    fn a_damaged_file_gets_an_answer(damage in damage()) {
        if let Err(error) = CheckFile::parse(&damaged(SAMPLE.as_bytes(), &damage), "c.yaml") {
            // What the YAML parser says is in its own words.
            let own = error.message.split("invalid YAML").next().unwrap_or_default().to_owned();
            check_message(if own.is_empty() { "invalid" } else { own.trim_end_matches([':', ' ']) })?;
        }
    }
}
