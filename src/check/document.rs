//! The check file: a list of named checks. Unknown keys, wrong types and duplicate names are errors with their line.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::catalog::{RULES, RuleInfo, RuleSubject, rule_named};
use super::judgement::ValueDisplay;
use super::rule::CheckRule;
use crate::config::document_fault::{DocumentError, DocumentFault, nearest, read_document, unknown_word};
use crate::config::document_fields::{field, flag, must_be, name, text};
use crate::config::{Step, line_of};
use crate::output::bytes;

/// The largest check file.
pub const MAX_FILE_BYTES: u64 = 256 << 10;
/// The most checks of a file: the line of each is found by reading up to it.
const MAX_CHECKS: usize = 1_000;
/// The longest name of a check.
const MAX_NAME_CHARS: usize = 200;

/// The keys of a check that are no rules.
pub const OTHER_KEYS: [&str; 7] = ["name", "key", "prefix", "lock", "escape", "probe-key", "show-values"];
/// The keys of the file. Those that begin with `x-` are for anchors.
const FILE_KEYS: [&str; 2] = ["checks", "show-values"];

/// A check file.
#[derive(Clone, Debug)]
pub struct CheckFile {
    /// The name of the file.
    pub name: String,
    /// The checks, in the file's order; at least one.
    pub checks: Vec<CheckItem>,
}

/// What the rules of a check are about, besides the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckSubject {
    /// Nothing.
    None,
    /// A key.
    Key(Vec<u8>),
    /// All keys with this prefix.
    Prefix(Vec<u8>),
    /// A lock with this name.
    Lock(Vec<u8>),
}

/// A named check.
#[derive(Clone, Debug)]
pub struct CheckItem {
    /// The name, which is unique in the file.
    pub name: String,
    /// The line at which the check begins, from 1.
    pub line: u64,
    /// What the rules are about.
    pub subject: CheckSubject,
    /// Which stored values reports may show.
    pub values: ValueDisplay,
    /// Below this key `write-latency-below` writes a key with a random name; `None` for the usual place.
    pub probe_key: Option<Vec<u8>>,
    /// The rules, in the file's order; at least one.
    pub rules: Vec<NamedRule>,
}

/// A rule and what is known of it.
#[derive(Clone)]
pub struct NamedRule {
    /// What is known of the rule.
    pub info: &'static RuleInfo,
    /// What it asks for.
    pub rule: CheckRule,
}

impl std::fmt::Debug for NamedRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.rule, f)
    }
}

impl CheckFile {
    /// Reads a check file.
    ///
    /// # Errors
    /// Invalid YAML, unknown keys, wrong types, names that are given twice, or no check.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, DocumentError> {
        let checks = read_document(bytes, file, read_checks)?.ok_or_else(|| DocumentError {
            file: file.to_owned(),
            line: None,
            message: "the file has no checks".to_owned(),
            hint: Some("'kvadm check --help' shows the rules; a file begins with 'checks:'".to_owned()),
        })?;
        Ok(Self { name: file.to_owned(), checks })
    }

    /// Keeps the checks with these names.
    ///
    /// # Errors
    /// A name that no check has, with the one that may be meant.
    pub fn select(&mut self, names: &[String]) -> Result<(), String> {
        let known: Vec<&str> = self.checks.iter().map(|check| check.name.as_str()).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(unknown_word("check", unknown, &known));
        }
        if !names.is_empty() {
            self.checks.retain(|check| names.contains(&check.name));
        }
        Ok(())
    }

    /// All rules with their checks.
    pub fn rules(&self) -> impl Iterator<Item = (&CheckItem, &NamedRule)> {
        self.checks.iter().flat_map(|check| check.rules.iter().map(move |rule| (check, rule)))
    }
}

fn read_checks(document: &Value, source: &str) -> Result<Vec<CheckItem>, DocumentFault> {
    let Value::Object(top) = document else {
        return Err(must_be("a mapping with the list 'checks'", document));
    };
    let is_known = |name: &&String| FILE_KEYS.contains(&name.as_str()) || name.starts_with("x-");
    if let Some(unknown) = top.keys().find(|name| !is_known(name)) {
        return Err(DocumentFault::new(unknown_word("key", unknown, &FILE_KEYS)).within_key(unknown));
    }
    let values = field(top, "show-values", flag)?.map_or_else(ValueDisplay::default, ValueDisplay::of);
    let checks = match top.get("checks") {
        Some(Value::Array(checks)) => checks,
        Some(other) => return Err(must_be("a list of checks", other).of("checks").within_key("checks")),
        None => return Err(DocumentFault::new("the file has no list 'checks'")),
    };
    if checks.is_empty() {
        return Err(DocumentFault::new("the list 'checks' is empty").within_key("checks"));
    }
    if checks.len() > MAX_CHECKS {
        return Err(DocumentFault::new(format!("more than {MAX_CHECKS} checks: split the file")).within_key("checks"));
    }
    let mut known: HashMap<String, u64> = HashMap::new();
    let mut found = Vec::with_capacity(checks.len());
    for (index, check) in checks.iter().enumerate() {
        let path = [Step::Key("checks".to_owned()), Step::Item(index)];
        let line = line_of(source, &path).unwrap_or(1) as u64;
        let check = read_check(check, line, values).and_then(|check| match known.insert(check.name.clone(), line) {
            None => Ok(check),
            Some(first) => {
                let name = check.name.escape_debug();
                Err(DocumentFault::new(format!("the name '{name}' is used twice, here and in line {first}"))
                    .within_key("name"))
            }
        });
        found.push(check.map_err(|fault| fault.within_item(index).within_key("checks"))?);
    }
    Ok(found)
}

fn read_check(check: &Value, line: u64, values: ValueDisplay) -> Result<CheckItem, DocumentFault> {
    let Value::Object(fields) = check else {
        return Err(must_be("a mapping such as {name: members, healthy: 3}", check));
    };
    let Some(named) = field(fields, "name", name)? else {
        return Err(DocumentFault::new("the check has no name").hint("add 'name: NAME', which reports show"));
    };
    if named.chars().count() > MAX_NAME_CHARS {
        let message = format!("the name has more than {MAX_NAME_CHARS} characters");
        return Err(DocumentFault::new(message).within_key("name"));
    }
    read_fields(fields, named, line, values).map_err(|fault| fault.of(&format!("check '{}'", named.escape_debug())))
}

fn read_fields(
    fields: &Map<String, Value>,
    named: &str,
    line: u64,
    values: ValueDisplay,
) -> Result<CheckItem, DocumentFault> {
    let mut rules = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| !OTHER_KEYS.contains(&name.as_str())) {
        let Some(info) = rule_named(name) else { return Err(unknown_key(name)) };
        let rule = (info.read)(value).map_err(|fault| fault.of(name).within_key(name))?;
        rules.push(NamedRule { info, rule });
    }
    let escape = field(fields, "escape", flag)?.unwrap_or(false);
    let key_bytes = |text: &str| match escape {
        true => bytes::unescape(text.as_bytes()).map_err(|error| DocumentFault::new(error.to_string())),
        false => Ok(text.as_bytes().to_vec()),
    };
    let key = field(fields, "key", |value| name(value).and_then(key_bytes))?;
    let prefix = field(fields, "prefix", |value| text(value).and_then(key_bytes))?;
    let lock = field(fields, "lock", |value| name(value).and_then(key_bytes))?;
    let subject = match (key, prefix, lock) {
        (None, None, None) => CheckSubject::None,
        (Some(key), None, None) => CheckSubject::Key(key),
        (None, Some(prefix), None) => CheckSubject::Prefix(prefix),
        (None, None, Some(lock)) => CheckSubject::Lock(lock),
        _ => return Err(DocumentFault::new("has more than one of key, prefix and lock").hint("make several checks")),
    };
    for rule in &mut rules {
        check_subject(rule.info, &subject)?;
        if let (true, CheckRule::Value(value)) = (escape, &mut rule.rule) {
            let unescaped = bytes::unescape(value).map_err(|error| DocumentFault::new(error.to_string()));
            *value = unescaped.map_err(|fault| fault.of("value").within_key("value"))?;
        }
    }
    let item = CheckItem {
        name: named.to_owned(),
        line,
        subject,
        values: field(fields, "show-values", flag)?.map_or(values, ValueDisplay::of),
        probe_key: field(fields, "probe-key", |value| name(value).and_then(key_bytes))?,
        rules,
    };
    check_combination(&item)?;
    Ok(item)
}

fn unknown_key(name: &str) -> DocumentFault {
    let known: Vec<&str> = OTHER_KEYS.iter().copied().chain(RULES.iter().map(|rule| rule.name)).collect();
    let fault = DocumentFault::new(unknown_word("key", name, &known)).within_key(name);
    match nearest(name, &known) {
        Some(_) => fault,
        None => fault.hint("'kvadm check --help' lists all rules"),
    }
}

/// The rule is about what the check names.
fn check_subject(info: &RuleInfo, subject: &CheckSubject) -> Result<(), DocumentFault> {
    use CheckSubject as Given;
    let (fits, needs) = match info.subject {
        RuleSubject::Cluster | RuleSubject::Own => (true, ""),
        RuleSubject::Key => (matches!(subject, Given::Key(_)), "'key: KEY'"),
        RuleSubject::Prefix => (matches!(subject, Given::Prefix(_)), "'prefix: PREFIX'"),
        RuleSubject::KeyOrPrefix => {
            (matches!(subject, Given::Key(_) | Given::Prefix(_)), "'key: KEY' or 'prefix: PREFIX'")
        }
        RuleSubject::Lock => (matches!(subject, Given::Lock(_)), "'lock: NAME'"),
    };
    if fits {
        return Ok(());
    }
    let message = format!("the rule '{}' is about {}", info.name, info.subject.heading());
    Err(DocumentFault::new(message).within_key(info.name).hint(format!("add {needs} to this check")))
}

/// There is a rule, the subject has one, and no two contradict each other.
fn check_combination(item: &CheckItem) -> Result<(), DocumentFault> {
    let has = |wanted: fn(RuleSubject) -> bool| item.rules.iter().any(|rule| wanted(rule.info.subject));
    let (what, example) = match &item.subject {
        CheckSubject::None if item.rules.is_empty() => {
            return Err(DocumentFault::new("has no rule").hint("'kvadm check --help' lists all rules"));
        }
        CheckSubject::None => return check_probe(item),
        CheckSubject::Key(_) => ("key", "exists: true"),
        CheckSubject::Prefix(_) => ("prefix", "count: {at-least: 1}"),
        CheckSubject::Lock(_) => ("lock", "held: false"),
    };
    let used = has(|subject| !matches!(subject, RuleSubject::Cluster | RuleSubject::Own));
    if !used {
        let message = format!("has no rule about its {what}");
        return Err(DocumentFault::new(message).within_key(what).hint(format!("add a rule such as '{example}'")));
    }
    let is_absent = |rule: &NamedRule| matches!(rule.rule, CheckRule::Absent);
    let waits = |rule: &NamedRule| matches!(rule.rule, CheckRule::ChangesWithin(_));
    let needs_key = |rule: &NamedRule| {
        matches!(rule.info.subject, RuleSubject::Key | RuleSubject::KeyOrPrefix) && !is_absent(rule) && !waits(rule)
    };
    if let (true, Some(other)) = (item.rules.iter().any(is_absent), item.rules.iter().find(|rule| needs_key(rule))) {
        let message = format!("'absent' and '{}' cannot both hold", other.info.name);
        return Err(DocumentFault::new(message).within_key(other.info.name));
    }
    check_probe(item)
}

fn check_probe(item: &CheckItem) -> Result<(), DocumentFault> {
    let probes = item.rules.iter().any(|rule| matches!(rule.rule, CheckRule::WriteLatencyBelow(_)));
    if item.probe_key.is_some() && !probes {
        return Err(DocumentFault::new("'probe-key' needs the rule 'write-latency-below'").within_key("probe-key"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
