//! Plan files: one JSON object with one candidate per line, so that plans can be read, compared and edited. Pure.
//!
//! ```json
//! {
//! "kvadm_plan":1,
//! "kind":"ids","cluster":"cdf818194e3a8c32","revision":120,"time":"2026-11-21T06:04:45.123Z","tool":"0.1.0",
//! "scope":{"prefix":"cilium/state/identities/v1/id/","bounds":{"min":256,"max":65535}},
//! "looked_at":40,
//! "candidates":[
//! {"key":"cilium/state/identities/v1/id/379","why":"no reference","first_seen":"…","facts":{"mod_revision":97,"value":"web"}}
//! ]
//! }
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::{Candidate, Facts, Plan, Scope, Timestamp};
use crate::escaped::escape;
use crate::kvstore::{Revision, parse_hex};
use crate::unique_names::UniqueNames;

/// Version of the format.
const VERSION: u64 = 1;

/// Why a file is not a plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// It is not JSON, is incomplete, or is not an object with these fields.
    #[error("not a plan: {0}")]
    Json(#[from] serde_json::Error),
    /// It was written by a later kvadm.
    #[error("the plan has format {0}, but this kvadm reads format {VERSION}")]
    Version(u64),
    /// A field has a value that is not valid.
    #[error("{field} '{text}' is not valid")]
    Field {
        /// The field's name.
        field: &'static str,
        /// The field's value.
        text: String,
    },
    /// A text and its base64 form are both given, or both missing.
    #[error("a candidate or the scope needs either {0} or {0}_base64")]
    Either(&'static str),
    /// Two candidates have the same key.
    #[error("two candidates have the key '{0}'")]
    Twice(String),
}

#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct Head {
    kvadm_plan: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
struct PlanFile {
    kvadm_plan: u64,
    kind: String,
    cluster: String,
    revision: Revision,
    time: String,
    tool: String,
    scope: WireScope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    looked_at: u64,
    candidates: Vec<WireCandidate>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
struct WireScope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "unique_names")]
    bounds: Map<String, Value>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
struct WireCandidate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    why: String,
    first_seen: String,
    #[serde(deserialize_with = "unique_names")]
    facts: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "unique_names")]
    more: Map<String, Value>,
}

/// Rejects duplicate names: another reader of the file might use the other value.
fn unique_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    match UniqueNames::deserialize(deserializer)? {
        UniqueNames(Value::Object(facts)) => Ok(facts),
        UniqueNames(_) => Err(D::Error::custom("expected named facts")),
    }
}

impl Plan {
    /// Formats the plan as the text of a file.
    ///
    /// # Errors
    /// None in practice: JSON can represent every plan.
    pub fn to_text(&self) -> Result<Vec<u8>, PlanError> {
        let (prefix, prefix_base64) = split(&self.scope.prefix);
        let scope = WireScope { prefix, prefix_base64, bounds: self.scope.bounds.0.clone() };
        let mut text = format!(
            "{{\n\"kvadm_plan\":{VERSION},\n\"kind\":{},\"cluster\":\"{:x}\",\"revision\":{},\"time\":\"{}\",\"tool\":{},\n\"scope\":{},\n",
            serde_json::to_string(&self.kind)?,
            self.cluster,
            self.revision,
            self.time,
            serde_json::to_string(&self.tool)?,
            serde_json::to_string(&scope)?,
        );
        if let Some(schema) = &self.schema {
            text += &format!("\"schema\":{},\n", serde_json::to_string(schema)?);
        }
        text += &format!("\"looked_at\":{},\n\"candidates\":[\n", self.scanned);
        for (candidate, at) in self.candidates.iter().zip(1..) {
            text += &serde_json::to_string(&WireCandidate::from(candidate))?;
            text += if at == self.candidates.len() { "\n" } else { ",\n" };
        }
        text += "]\n}\n";
        Ok(text.into_bytes())
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// Why the text is not a plan.
    pub fn parse(text: &[u8]) -> Result<Self, PlanError> {
        let head: Head = serde_json::from_slice(text)?;
        if head.kvadm_plan != VERSION {
            return Err(PlanError::Version(head.kvadm_plan));
        }
        let file: PlanFile = serde_json::from_slice(text)?;
        let field = |field, text: &str| PlanError::Field { field, text: text.to_owned() };
        let cluster = parse_hex(&file.cluster).ok_or_else(|| field("cluster", &file.cluster))?;
        if file.revision < 1 {
            return Err(field("revision", &file.revision.to_string()));
        }
        let prefix = text_or_base64("prefix", file.scope.prefix, file.scope.prefix_base64)?;
        let candidates = file.candidates.into_iter().map(Candidate::try_from).collect::<Result<_, _>>()?;
        let mut plan = Self {
            kind: file.kind,
            cluster,
            revision: file.revision,
            time: parse_timestamp("time", &file.time)?,
            tool: file.tool,
            scope: Scope { prefix, bounds: Facts(file.scope.bounds) },
            schema: file.schema,
            scanned: file.looked_at,
            candidates,
        };
        plan.sort();
        match plan.candidates.windows(2).find(|two| two[0].key == two[1].key) {
            Some(two) => Err(PlanError::Twice(escape(&two[0].key))),
            None => Ok(plan),
        }
    }
}

impl From<&Candidate> for WireCandidate {
    fn from(candidate: &Candidate) -> Self {
        let (key, key_base64) = split(&candidate.key);
        Self {
            key,
            key_base64,
            why: candidate.why.clone(),
            first_seen: candidate.first_seen.to_string(),
            facts: candidate.facts.0.clone(),
            more: candidate.more.0.clone(),
        }
    }
}

impl TryFrom<WireCandidate> for Candidate {
    type Error = PlanError;

    fn try_from(wire: WireCandidate) -> Result<Self, PlanError> {
        let key = text_or_base64("key", wire.key, wire.key_base64)?;
        let first_seen = parse_timestamp("first_seen", &wire.first_seen)?;
        Ok(Self { key, why: wire.why, first_seen, facts: Facts(wire.facts), more: Facts(wire.more) })
    }
}

fn split(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn text_or_base64(field: &'static str, text: Option<String>, encoded: Option<String>) -> Result<Vec<u8>, PlanError> {
    match (text, encoded) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(encoded)) => STANDARD.decode(&encoded).map_err(|_| PlanError::Field { field, text: encoded }),
        _ => Err(PlanError::Either(field)),
    }
}

fn parse_timestamp(field: &'static str, text: &str) -> Result<Timestamp, PlanError> {
    Timestamp::parse(text).ok_or_else(|| PlanError::Field { field, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::plan::tests::plan;
    use super::*;
    use crate::fuzzing::{check_message, damage, damaged};
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        Plan::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_candidate_is_a_line_and_the_whole_is_one_object() {
        let text = String::from_utf8(plan(&[(b"a", 1), (b"\xff", 2)], 1000).to_text().unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(
            &r#"{"key":"a","why":"no reference","first_seen":"1970-01-01T00:00:01.000Z","facts":{"mod_revision":1,"value_base64":"/w=="}},"#
        ));
        assert!(lines.iter().any(|line| line.starts_with(r#"{"key_base64":"/w==","#)), "{text}");
        let file: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(file["cluster"], "ffffffffffffffff");
    }

    #[test]
    fn what_is_cut_off_altered_or_foreign_is_refused() {
        let text = String::from_utf8(plan(&[(b"a", 1), (b"b", 2)], 1000).to_text().unwrap()).unwrap();
        for cut in (0..text.len() - 2).filter(|cut| text.is_char_boundary(*cut)) {
            assert!(Plan::parse(&text.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
        let edited = |from: &str, to: &str| refused(&text.replacen(from, to, 1));
        assert!(
            edited("\"kvadm_plan\":1", "\"kvadm_plan\":2")
                .contains("the plan has format 2, but this kvadm reads format 1")
        );
        assert!(edited("\"tool\"", "\"toil\"").contains("toil"));
        assert!(edited("\"why\"", "\"because\"").contains("because"));
        assert!(edited("\"cluster\":\"ff", "\"cluster\":\"xy").starts_with("cluster 'xy"));
        assert!(edited("\"revision\":10", "\"revision\":0").starts_with("revision '0'"));
        assert!(edited("1970-01-01", "1970-02-30").starts_with("time '1970-02-30"));
        assert!(edited("\"key\":\"b\"", "\"key\":\"a\"").contains("two candidates have the key 'a'"));
        assert!(edited("\"key\":\"b\",", "").contains("either key or key_base64"));
        for cluster in ["+f", "-f", "0xf", "", "10000000000000000"] {
            assert!(edited("ffffffffffffffff", cluster).starts_with(&format!("cluster '{cluster}'")), "{cluster}");
        }
        for number in ["-1", "1.5", "\"1\"", "null", "18446744073709551616"] {
            assert!(
                edited("\"looked_at\":40", &format!("\"looked_at\":{number}")).starts_with("not a plan: "),
                "{number}"
            );
        }
        assert!(edited("\"min\":1", "\"min\":1,\"min\":2").contains("'min' is given twice"));
        assert!(
            edited("\"mod_revision\":1", "\"mod_revision\":1,\"mod_revision\":2")
                .contains("'mod_revision' is given twice")
        );
        for twice in ["\"kind\":\"ids\"", "\"looked_at\":40", "\"why\":\"no reference\"", "\"key\":\"b\""] {
            let message = edited(twice, &format!("{twice},{twice}"));
            assert!(message.contains("duplicate field"), "{twice}: {message}");
        }
        for place in ["\"kind\"", "\"prefix\"", "\"why\""] {
            assert!(edited(place, &format!("\"colour\":1,{place}")).contains("colour"), "{place}");
        }
        assert!(refused("[]").starts_with("not a plan: ") && refused("{}").contains("kvadm_plan"));
        assert!(refused(&format!("{text}{text}")).contains("trailing"));
    }

    proptest! {
        /// Damage is refused in words; what is still a plan is written and read as that plan.
        #[test]
        fn a_damaged_plan_is_refused_or_whole(damage in damage()) {
            let text = plan(&[(b"a", 1), (b"b", 2), (b"\xff", 3)], 1000).to_text().unwrap();
            match Plan::parse(&damaged(&text, &damage)) {
                Err(why) => check_message(&why.to_string())?,
                Ok(read) => prop_assert_eq!(Plan::parse(&read.to_text().unwrap()).unwrap(), read),
            }
        }

        #[test]
        fn a_plan_reads_back(
            keys in proptest::collection::btree_set(proptest::collection::vec(any::<u8>(), 0..6), 0..6),
            prefix in proptest::collection::vec(any::<u8>(), 0..6),
            why in "\\PC*",
            schema in proptest::option::of("[0-9a-f]{4}"),
            cluster in any::<u64>(),
        ) {
            let keys: Vec<(&[u8], i64)> = keys.iter().map(|key| (key.as_slice(), 7)).collect();
            let mut written = Plan { schema, cluster, ..plan(&keys, 1234) };
            written.scope.prefix = prefix;
            for candidate in &mut written.candidates {
                candidate.why.clone_from(&why);
                candidate.more = Facts::default().with("left", 5);
            }
            let text = written.to_text().map_err(|why| TestCaseError::fail(why.to_string()))?;
            let read = Plan::parse(&text).map_err(|why| TestCaseError::fail(why.to_string()))?;
            prop_assert_eq!(read, written);
        }
    }
}
