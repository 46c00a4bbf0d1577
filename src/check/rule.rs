//! The rules of a check file, as data.

use std::fmt;
use std::time::Duration;

use regex::bytes::Regex;
use serde_json::{Map, Value};

use super::fields::{check_limits, count, expression, limit, percent, pointer, time_span};
use super::figures::{Figure, FigureLimits};
use crate::allocator::{ClusterConfig, DEFAULT_BASE, IdRange, Layout};
use crate::config::document_fault::DocumentFault;
use crate::config::document_fields::{field, flag, mapping, must_be, name, text, word};
use crate::sync::SourceWord;

/// A rule with what it asks for.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "src/check/catalog.rs describes each rule")]
pub enum CheckRule {
    Healthy(Option<u64>),
    Reachable,
    Leader,
    Quorum(QuorumTest),
    Voters(FigureLimits),
    Learners(FigureLimits),
    SameVersion,
    VersionAtLeast([u64; 3]),
    NoKnownBadVersions,
    NoAlarms,
    QuotaBelow(f64),
    DbSizeBelow(u64),
    RaftLagBelow(u64),
    LatencyBelow(Duration),
    HistoryBelow(u64),
    Consistent,
    CertificateDays(u64),
    WriteLatencyBelow(Duration),
    Exists,
    Absent,
    Value(Vec<u8>),
    ValueMatches(Regex),
    Json(JsonTest),
    ChangedWithin(AgeLimit),
    Leased(bool),
    LeaseLeftAtLeast(Duration),
    ChangesWithin(Duration),
    ValueSizeBelow(u64),
    Count(FigureLimits),
    AllLeased,
    SizeBelow(u64),
    EachValueMatches(Regex),
    EachJson(JsonTest),
    Equals(SourceTest),
    Held(bool),
    HeldForLessThan(Duration),
    Waiters(FigureLimits),
    Allocator(AllocatorTest),
    Tree(TreeTest),
}

/// How the quorum is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumTest {
    /// By a linearizable read.
    Read,
    /// By a write.
    Write,
}

/// What a value inside a JSON value must be.
#[derive(Clone, Debug)]
pub struct JsonTest {
    /// The JSON pointer to the value.
    pub path: String,
    /// The value is equal to this one.
    pub equals: Option<Value>,
    /// The text, or the number as text, matches.
    pub matches: Option<Regex>,
    /// The value is there, or is not.
    pub exists: Option<bool>,
    /// The number is within these limits.
    pub limits: FigureLimits,
}

/// The names of the fields of [`JsonTest`].
pub const JSON_FIELDS: [&str; 8] = ["path", "equals", "matches", "exists", "at-least", "at-most", "above", "below"];

impl JsonTest {
    /// Reads `{path: /spec/replicas, at-least: 2}`.
    pub fn read(value: &Value) -> Result<Self, DocumentFault> {
        let fields = mapping(value, &JSON_FIELDS, "{path: /spec/replicas, at-least: 2}")?;
        let path =
            field(fields, "path", pointer)?.ok_or_else(|| DocumentFault::new("needs the JSON pointer 'path'"))?;
        let mut limits = FigureLimits::default();
        for name in ["at-least", "at-most", "above", "below"] {
            field(fields, name, |value| limit(&mut limits, name, value))?;
        }
        let test = Self {
            path,
            equals: fields.get("equals").cloned(),
            matches: field(fields, "matches", expression)?,
            exists: field(fields, "exists", flag)?,
            limits,
        };
        if !test.limits.is_empty() {
            check_limits(&test.limits)?;
        } else if test.equals.is_none() && test.matches.is_none() && test.exists.is_none() {
            return Err(DocumentFault::new(format!("needs one of {}", JSON_FIELDS[1..].join(", "))));
        }
        if test.exists == Some(false) && (test.equals.is_some() || test.matches.is_some() || !test.limits.is_empty()) {
            return Err(DocumentFault::new("'exists: false' cannot be used with another condition"));
        }
        Ok(test)
    }

    /// Whether the value at the path fits.
    pub fn holds(&self, document: &Value) -> bool {
        let Some(found) = document.pointer(&self.path) else { return self.exists == Some(false) };
        self.exists != Some(false)
            && self.equals.as_ref().is_none_or(|wanted| same_json(wanted, found))
            && self
                .matches
                .as_ref()
                .is_none_or(|expression| scalar_text(found).is_some_and(|text| expression.is_match(text.as_bytes())))
            && (self.limits.is_empty() || Figure::of_json(found).is_some_and(|figure| self.limits.holds(figure)))
    }
}

impl JsonTest {
    /// The conditions in words, without the value of `equals`.
    pub fn without_value(&self) -> String {
        self.describe("equals the value of the file")
    }

    fn describe(&self, equals: &str) -> String {
        let mut parts = Vec::new();
        match self.exists {
            Some(true) => parts.push("exists".to_owned()),
            Some(false) => parts.push("does not exist".to_owned()),
            None => {}
        }
        parts.extend(self.equals.as_ref().map(|_| equals.to_owned()));
        parts.extend(self.matches.as_ref().map(|expression| format!("matches {}", expression.as_str())));
        parts.extend((!self.limits.is_empty()).then(|| self.limits.to_string()));
        let path = if self.path.is_empty() { "the document" } else { &self.path };
        format!("{path} {}", parts.join(", "))
    }
}

/// `/spec/replicas at least 2`.
impl fmt::Display for JsonTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equals = self.equals.as_ref().map_or_else(String::new, |value| format!("equals {value}"));
        f.write_str(&self.describe(&equals))
    }
}

/// Whether two JSON values are equal. Numbers are compared as numbers, and an integer in a text with a number: protobuf writes
/// integers of 64 bits as texts.
fn same_json(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Number(_), Value::Number(_) | Value::String(_)) => {
            Figure::of_json(wanted).is_some() && Figure::of_json(wanted) == Figure::of_json(found)
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(wanted, found)| same_json(wanted, found))
        }
        (Value::Object(wanted), Value::Object(found)) => {
            let same =
                |(name, wanted): (&String, &Value)| found.get(name).is_some_and(|found| same_json(wanted, found));
            wanted.len() == found.len() && wanted.iter().all(same)
        }
        (wanted, found) => wanted == found,
    }
}

/// The text of a scalar.
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// How old a time may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeLimit {
    /// The time is at most this long ago.
    pub within: Duration,
    /// The JSON pointer to the time; `None` if the value is the time.
    pub path: Option<String>,
}

impl AgeLimit {
    /// Reads `2m` or `{within: 2m, path: /status/time}`.
    pub fn read(value: &Value) -> Result<Self, DocumentFault> {
        if !value.is_object() {
            return Ok(Self { within: time_span(value)?, path: None });
        }
        let fields = mapping(value, &["within", "path"], "{within: 2m, path: /status/time}")?;
        let within = field(fields, "within", time_span)?;
        let within = within.ok_or_else(|| DocumentFault::new("needs the duration 'within'"))?;
        Ok(Self { within, path: field(fields, "path", pointer)? })
    }
}

/// What a prefix is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTest {
    /// The source.
    pub source: SourceWord,
    /// The source as the file names it.
    pub shown: String,
    /// The prefix of the keys in the source; `None` for the same prefix.
    pub source_prefix: Option<String>,
    /// Whether leases make no difference.
    pub ignore_leases: bool,
}

impl SourceTest {
    /// Reads `"file:config.jsonl"` or `{source: "context:staging", source-prefix: /other/, ignore: lease}`.
    pub fn read(value: &Value) -> Result<Self, DocumentFault> {
        let example = "{source: \"file:config.jsonl\", ignore: lease}";
        let none = Map::new();
        let (source, fields) = match value {
            Value::Object(_) => {
                let fields = mapping(value, &["source", "source-prefix", "ignore"], example)?;
                let source = fields.get("source").ok_or_else(|| DocumentFault::new("needs the text 'source'"))?;
                (source, fields)
            }
            other => (other, &none),
        };
        let shown = text(source)?.to_owned();
        let source: SourceWord = shown.parse().map_err(|why| {
            // Stdin is read once, and a check may be judged again.
            DocumentFault::new(format!("{why}").replace(", file:PATH, or - for stdin", ", or file:PATH"))
        })?;
        if source == SourceWord::Stdin {
            return Err(DocumentFault::new("cannot compare with stdin, which is read once").hint("use \"file:PATH\""));
        }
        Ok(Self {
            source,
            shown,
            source_prefix: field(fields, "source-prefix", text)?.map(str::to_owned),
            ignore_leases: field(fields, "ignore", |value| word(value, &["lease"]))?.is_some(),
        })
    }
}

/// What the keys of an allocator must be.
#[derive(Clone, Debug)]
pub struct AllocatorTest {
    /// The keys.
    pub layout: Layout,
    /// The IDs that may be allocated.
    pub range: IdRange,
    /// At most this many errors of `kvadm allocate check`.
    pub errors: Option<u64>,
    /// At most this many warnings.
    pub warnings: Option<u64>,
    /// Less than this share of the IDs is used, in percent.
    pub used_below: Option<f64>,
}

/// The names of the fields of [`AllocatorTest`].
pub const ALLOCATOR_FIELDS: [&str; 7] = ["base", "min", "max", "cluster-id", "errors", "warnings", "used-below"];

impl AllocatorTest {
    /// Reads `{base: cilium/state/identities/v1, errors: 0}`.
    pub fn read(value: &Value) -> Result<Self, DocumentFault> {
        let fields = mapping(value, &ALLOCATOR_FIELDS, "{base: cilium/state/identities/v1, errors: 0}")?;
        let base = field(fields, "base", name)?.unwrap_or(DEFAULT_BASE);
        let layout = Layout::new(base.as_bytes());
        let layout = layout.map_err(|error| DocumentFault::new(error.to_string()).of("base").within_key("base"))?;
        let (min, max) = (field(fields, "min", count)?.unwrap_or(256), field(fields, "max", count)?.unwrap_or(65535));
        let cluster = field(fields, "cluster-id", count)?.unwrap_or(0);
        if cluster > 255 {
            return Err(DocumentFault::new("must be at most 255").of("cluster-id").within_key("cluster-id"));
        }
        let mask = ClusterConfig::with_id(cluster).prefix_mask();
        let range = IdRange::new(min, max, mask).map_err(|error| DocumentFault::new(error.to_string()))?;
        let test = Self {
            layout,
            range,
            errors: field(fields, "errors", count)?,
            warnings: field(fields, "warnings", count)?,
            used_below: field(fields, "used-below", percent)?,
        };
        if test.errors.is_none() && test.warnings.is_none() && test.used_below.is_none() {
            return Err(DocumentFault::new("needs one of errors, warnings, used-below"));
        }
        Ok(test)
    }
}

/// How much of something is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ShareLimit {
    /// Less than this share in percent.
    Percent(f64),
    /// Less than this number.
    Count(u64),
}

impl ShareLimit {
    fn read(value: &Value) -> Result<Self, DocumentFault> {
        match value {
            Value::Number(_) => match count(value)? {
                0 => Err(DocumentFault::new("nothing is below 0")),
                number => Ok(Self::Count(number)),
            },
            Value::String(_) => percent(value).map(Self::Percent),
            other => Err(must_be("a share such as 10%, or a number", other)),
        }
    }
}

/// What a metadata tree must be.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeTest {
    /// The prefix of the tree's keys, which is empty or ends with a slash.
    pub prefix: String,
    /// The name of a built-in schema, or a file.
    pub schema: String,
    /// At most this many problems of `kvadm gc metadata --check`.
    pub problems: Option<u64>,
    /// Less than this much of the objects is garbage.
    pub garbage_below: Option<ShareLimit>,
}

/// The names of the fields of [`TreeTest`].
pub const TREE_FIELDS: [&str; 4] = ["prefix", "schema", "problems", "garbage-below"];

impl TreeTest {
    /// Reads `{prefix: /containerd/, schema: containerd, problems: 0, garbage-below: 10%}`.
    pub fn read(value: &Value) -> Result<Self, DocumentFault> {
        let fields = mapping(value, &TREE_FIELDS, "{prefix: /containerd/, schema: containerd, problems: 0}")?;
        let needed = |name: &str| DocumentFault::new(format!("needs the text '{name}'"));
        let prefix = field(fields, "prefix", text)?.ok_or_else(|| needed("prefix"))?.to_owned();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            let fault = DocumentFault::new("must end with a slash, otherwise it includes siblings").of("prefix");
            return Err(fault.within_key("prefix").hint(format!("use {}/", prefix.escape_debug())));
        }
        let schema = field(fields, "schema", name)?.ok_or_else(|| needed("schema"))?.to_owned();
        let test = Self {
            prefix,
            schema,
            problems: field(fields, "problems", count)?,
            garbage_below: field(fields, "garbage-below", ShareLimit::read)?,
        };
        if test.problems.is_none() && test.garbage_below.is_none() {
            return Err(DocumentFault::new("needs one of problems, garbage-below"));
        }
        Ok(test)
    }
}

#[cfg(test)]
mod tests;
