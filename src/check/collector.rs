//! Rules about keys: each sees the keys of its range one by one, and holds only what it must say about them.

use std::sync::Arc;

use serde_json::Value;

use super::judgement::{RuleFault, RuleJudgement, shown, shown_time};
use super::outcome::MeasureUnit;
use super::rule::{AgeLimit, CheckRule, JsonTest, scalar_text};
use crate::kvstore::{KeyValue, LeaseId};
use crate::plural::counted;
use crate::proto::Codec;
use crate::time::Time;

/// What the rules share.
#[derive(Clone)]
pub struct JudgeContext {
    /// When the evaluation began.
    pub now: Time,
    /// Decodes protobuf values and those of a Kubernetes API server.
    pub codec: Arc<Codec>,
}

/// What a rule has found.
pub enum Finding {
    /// The rule is judged.
    Judged(RuleJudgement),
    /// The remaining time of this lease must be known.
    Lease(LeaseId),
}

/// A rule that is given the keys of its range, in order, at one revision.
pub trait KeyCollector: Send {
    /// Takes the next key.
    fn take(&mut self, kv: &KeyValue);
    /// Judges the rule after the last key.
    fn finish(self: Box<Self>) -> Finding;
}

/// The JSON of a value.
///
/// # Errors
/// The value is neither JSON nor a message that the configuration describes.
fn json_of(context: &JudgeContext, kv: &KeyValue) -> Result<Value, String> {
    match context.codec.decode(&kv.key, &kv.value) {
        Some(Ok(decoded)) => Ok(decoded.json),
        Some(Err(why)) => Err(why),
        None => serde_json::from_slice(&kv.value).map_err(|_| format!("the value is not JSON: {}", shown(&kv.value))),
    }
}

/// What a JSON value has at the path of a test, for a report.
fn found_in(test: &JsonTest, document: &Value) -> String {
    let path = if test.path.is_empty() { "the document" } else { &test.path };
    match document.pointer(&test.path) {
        None => format!("no {path}"),
        Some(value) => format!("{path} is {}", shown(value.to_string().as_bytes())),
    }
}

/// A rule about one key.
pub struct KeyTest {
    rule: CheckRule,
    context: JudgeContext,
    finding: Option<Finding>,
}

impl KeyTest {
    /// A rule about the only key that is taken.
    pub fn new(rule: &CheckRule, context: &JudgeContext) -> Self {
        Self { rule: rule.clone(), context: context.clone(), finding: None }
    }

    fn judge(&self, kv: Option<&KeyValue>) -> Finding {
        let Some(kv) = kv else {
            return Finding::Judged(match &self.rule {
                CheckRule::Absent => RuleJudgement::pass(),
                rule => RuleJudgement::fail(expected_of(rule), "no such key"),
            });
        };
        Finding::Judged(match &self.rule {
            CheckRule::Exists => RuleJudgement::pass(),
            CheckRule::Absent => RuleJudgement::fail("no such key", format!("the key exists: {}", shown(&kv.value))),
            CheckRule::Value(wanted) => RuleJudgement::of(kv.value == *wanted, shown(wanted), shown(&kv.value)),
            CheckRule::ValueMatches(expression) => {
                RuleJudgement::of(expression.is_match(&kv.value), expected_of(&self.rule), shown(&kv.value))
            }
            CheckRule::Json(test) => match json_of(&self.context, kv) {
                Ok(document) => RuleJudgement::of(test.holds(&document), test, found_in(test, &document)),
                Err(why) => RuleJudgement::fail(test, why),
            },
            CheckRule::ChangedWithin(limit) => self.age(kv, limit),
            CheckRule::Leased(wanted) => {
                let found = kv.lease.map_or_else(|| "no lease".to_owned(), |lease| format!("lease {lease}"));
                RuleJudgement::of(kv.lease.is_some() == *wanted, expected_of(&self.rule), found)
            }
            CheckRule::LeaseLeftAtLeast(_) => match kv.lease {
                Some(lease) => return Finding::Lease(lease),
                None => RuleJudgement::fail(expected_of(&self.rule), "no lease"),
            },
            CheckRule::ValueSizeBelow(limit) => {
                let size = kv.value.len() as u64;
                RuleJudgement::of(size < *limit, expected_of(&self.rule), counted(size, "byte")).measure(
                    size,
                    MeasureUnit::Bytes,
                    Some(limit_of(*limit)),
                )
            }
            _ => RuleJudgement::error(RuleFault::refused("the rule is not about one key")),
        })
    }

    fn age(&self, kv: &KeyValue, limit: &AgeLimit) -> RuleJudgement {
        let expected = expected_of(&self.rule);
        let text = match &limit.path {
            None => kv.value.trim_ascii().to_vec(),
            Some(path) => match json_of(&self.context, kv).map(|document| document.pointer(path).and_then(scalar_text))
            {
                Ok(Some(text)) => text.into_bytes(),
                Ok(None) => return RuleJudgement::fail(expected, format!("no text at {path}")),
                Err(why) => return RuleJudgement::fail(expected, why),
            },
        };
        let Some(time) = Time::parse_rfc3339(&text) else {
            return RuleJudgement::fail(expected, format!("'{}', which is no RFC 3339 time", shown(&text)));
        };
        let nanos = self.context.now.nanos_since(time);
        let distance = std::time::Duration::from_nanos(u64::try_from(nanos.unsigned_abs()).unwrap_or(u64::MAX));
        let direction = if nanos < 0 { "in the future" } else { "ago" };
        // A time in the future is that of a clock ahead; one far in the future says nothing.
        let found = format!("{} ({} {direction})", shown(&text), shown_time(distance));
        let age = if nanos < 0 { -distance.as_secs_f64() } else { distance.as_secs_f64() };
        let limit = limit.within;
        RuleJudgement::of(distance <= limit, expected, found).measure_f64(
            age,
            MeasureUnit::Seconds,
            Some(limit.as_secs_f64()),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "for graphs")]
fn limit_of(limit: u64) -> f64 {
    limit as f64
}

/// What a rule about a key asks for, in words.
pub fn expected_of(rule: &CheckRule) -> String {
    match rule {
        CheckRule::Exists => "the key exists".to_owned(),
        CheckRule::Absent => "no such key".to_owned(),
        CheckRule::Value(wanted) => shown(wanted),
        CheckRule::ValueMatches(expression) | CheckRule::EachValueMatches(expression) => {
            format!("a match of {}", expression.as_str())
        }
        CheckRule::Json(test) | CheckRule::EachJson(test) => test.to_string(),
        CheckRule::ChangedWithin(limit) => {
            let place = limit.path.as_ref().map_or_else(String::new, |path| format!(" at {path}"));
            format!("a time{place} at most {} ago", shown_time(limit.within))
        }
        CheckRule::Leased(true) => "a lease".to_owned(),
        CheckRule::Leased(false) => "no lease".to_owned(),
        CheckRule::LeaseLeftAtLeast(time) => format!("a lease with at least {} left", shown_time(*time)),
        CheckRule::ValueSizeBelow(limit) => format!("values below {}", counted(*limit, "byte")),
        CheckRule::SizeBelow(limit) => format!("below {}", counted(*limit, "byte")),
        CheckRule::AllLeased => "every key is on a lease".to_owned(),
        CheckRule::Count(limits) => limits.to_string(),
        _ => String::new(),
    }
}

impl KeyCollector for KeyTest {
    fn take(&mut self, kv: &KeyValue) {
        self.finding = Some(self.judge(Some(kv)));
    }

    fn finish(mut self: Box<Self>) -> Finding {
        match self.finding.take() {
            Some(finding) => finding,
            None => self.judge(None),
        }
    }
}

/// A rule about each key of a prefix, or about their sum.
pub struct PrefixTest {
    rule: CheckRule,
    context: JudgeContext,
    keys: u64,
    /// The keys that do not fit, or the bytes of all.
    sum: u64,
    /// The first key that does not fit, or the one with the largest value, and what it has.
    example: Option<String>,
    largest: u64,
}

impl PrefixTest {
    /// A rule about all keys that are taken.
    pub fn new(rule: &CheckRule, context: &JudgeContext) -> Self {
        Self { rule: rule.clone(), context: context.clone(), keys: 0, sum: 0, example: None, largest: 0 }
    }

    fn misfit(&mut self, kv: &KeyValue, found: impl FnOnce() -> String) {
        self.sum = self.sum.saturating_add(1);
        if self.example.is_none() {
            self.example = Some(format!("{}: {}", shown(&kv.key), found()));
        }
    }
}

impl KeyCollector for PrefixTest {
    fn take(&mut self, kv: &KeyValue) {
        self.keys = self.keys.saturating_add(1);
        match &self.rule {
            CheckRule::AllLeased if kv.lease.is_none() => self.misfit(kv, || "no lease".to_owned()),
            CheckRule::EachValueMatches(expression) if !expression.is_match(&kv.value) => {
                self.misfit(kv, || shown(&kv.value));
            }
            CheckRule::EachJson(test) => match json_of(&self.context, kv) {
                Ok(document) if test.holds(&document) => {}
                Ok(document) => {
                    let found = found_in(test, &document);
                    self.misfit(kv, || found);
                }
                Err(why) => self.misfit(kv, || why),
            },
            CheckRule::SizeBelow(_) => self.sum = self.sum.saturating_add(kv.size() as u64),
            CheckRule::ValueSizeBelow(limit) => {
                let size = kv.value.len() as u64;
                self.sum = self.sum.saturating_add(u64::from(size >= *limit));
                if self.example.is_none() || size > self.largest {
                    self.largest = size;
                    self.example = Some(format!("{} has {}", shown(&kv.key), counted(size, "byte")));
                }
            }
            _ => {}
        }
    }

    fn finish(self: Box<Self>) -> Finding {
        let expected = expected_of(&self.rule);
        let example = self.example.unwrap_or_default();
        Finding::Judged(match &self.rule {
            CheckRule::Count(limits) => RuleJudgement::count(self.keys, limits),
            CheckRule::SizeBelow(limit) => {
                let found = format!("{} in {}", counted(self.sum, "byte"), counted(self.keys, "key"));
                RuleJudgement::of(self.sum < *limit, expected, found).measure(
                    self.sum,
                    MeasureUnit::Bytes,
                    Some(limit_of(*limit)),
                )
            }
            CheckRule::ValueSizeBelow(limit) => {
                let found = match self.sum {
                    0 | 1 => example,
                    many => format!("{} too large, the largest: {example}", counted(many, "value")),
                };
                RuleJudgement::of(self.sum == 0, expected, found).measure(
                    self.largest,
                    MeasureUnit::Bytes,
                    Some(limit_of(*limit)),
                )
            }
            // A mistyped prefix has no keys: nothing would be checked.
            _ if self.keys == 0 => RuleJudgement::fail(expected, "no key with this prefix"),
            _ => {
                let found = match self.sum {
                    0 | 1 => example,
                    many => format!("{many} of {} do not fit, the first: {example}", counted(self.keys, "key")),
                };
                RuleJudgement::of(self.sum == 0, expected, found).measure(self.sum, MeasureUnit::Count, Some(0.0))
            }
        })
    }
}
