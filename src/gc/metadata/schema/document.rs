//! The schema file as parsed from YAML: unknown keys are errors; the meaning is checked later.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::config::line_of_duplicate;

/// A schema file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a mapping")]
pub struct SchemaDocument {
    pub schema: u32,
    pub name: String,
    #[serde(default)]
    pub encoding: Encoding,
    #[serde(default)]
    pub scope: Vec<String>,
    #[serde(default)]
    pub outside_roots: bool,
    #[serde(default)]
    pub opaque: Vec<String>,
    #[serde(default)]
    pub reserved: Vec<String>,
    #[serde(default)]
    pub groups: Entries<Vec<EdgeDoc>>,
    pub kinds: Vec<KindDoc>,
}

/// Encoding of the segments of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Unencoded: a name with slashes takes several segments.
    #[default]
    Raw,
    /// Percent-encoded: a name with slashes is one segment.
    Percent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a mapping")]
pub struct KindDoc {
    pub kind: String,
    pub key: String,
    pub encoding: Option<Encoding>,
    pub anchor: Option<String>,
    pub fields: Vec<String>,
    #[serde(default)]
    pub collect: bool,
    #[serde(default)]
    pub may_empty: bool,
    pub root: RootDoc,
    pub flat: Option<String>,
    #[serde(default)]
    pub edges: Vec<EdgeDoc>,
    #[serde(default)]
    pub backlinks: Vec<LinkDoc>,
}

/// `always`, `never`, or rules, one of which must apply.
pub enum RootDoc {
    Always,
    Never,
    Rules(Vec<RootRuleDoc>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a mapping")]
pub struct RootRuleDoc {
    pub field: Option<String>,
    pub suffix: Option<String>,
    #[serde(default)]
    pub empty: bool,
    pub unexpired: Option<String>,
    pub unless: Option<String>,
    pub format: Option<FormatDoc>,
    pub missing: Option<MissingDoc>,
    pub invalid: Option<InvalidDoc>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormatDoc {
    Rfc3339,
    Unix,
    GoBinary,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingDoc {
    Root,
    Suspect,
    NoRoot,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvalidDoc {
    Root,
    Error,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a mapping")]
pub struct EdgeDoc {
    pub group: Option<String>,
    pub field: Option<String>,
    pub suffix: Option<String>,
    pub skip: Option<String>,
    pub fields: Option<Entries<String>>,
    pub value: Option<ValueDoc>,
    pub to: Option<String>,
    pub from: Option<String>,
    pub id: Option<String>,
    pub flat: Option<FlatDoc>,
    pub when: Option<WhenDoc>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlatDoc {
    Through,
    Members,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a mapping")]
pub struct WhenDoc {
    pub conditions: String,
    pub name: String,
    pub field: String,
    pub suffix: Option<String>,
    pub format: FormatDoc,
}

/// What the value of a field must look like: a pattern, or a place in a JSON document.
#[derive(Clone)]
pub enum ValueDoc {
    Pattern(String),
    Json(JsonDoc),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a mapping")]
pub struct JsonDoc {
    pub json: String,
    #[serde(default)]
    pub take: Entries<String>,
    #[serde(default)]
    pub when: Entries<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a mapping")]
pub struct LinkDoc {
    pub field: String,
    pub of: String,
    pub id: String,
}

/// A mapping in the order of the file, without duplicate keys.
#[derive(Clone)]
pub struct Entries<T>(pub Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries: Vec<(String, T)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if entries.iter().any(|(earlier, _)| *earlier == name) {
                        return Err(A::Error::custom(format!("'{name}' is given twice")));
                    }
                    entries.push((name, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for ValueDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = ValueDoc;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pattern, or a mapping with 'json'")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ValueDoc, E> {
                Ok(ValueDoc::Pattern(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ValueDoc, A::Error> {
                JsonDoc::deserialize(MapAccessDeserializer::new(map)).map(ValueDoc::Json)
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for RootDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RootVisitor;
        impl<'de> Visitor<'de> for RootVisitor {
            type Value = RootDoc;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("'always', 'never', or a list of rules")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RootDoc, E> {
                match text {
                    "always" => Ok(RootDoc::Always),
                    "never" => Ok(RootDoc::Never),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RootDoc, A::Error> {
                let mut rules = Vec::new();
                while let Some(rule) = items.next_element()? {
                    rules.push(rule);
                }
                Ok(RootDoc::Rules(rules))
            }
        }
        deserializer.deserialize_any(RootVisitor)
    }
}

/// Parses a schema file.
///
/// # Errors
/// The line, if known, and what is wrong there.
pub fn read(text: &str) -> Result<SchemaDocument, (Option<usize>, String)> {
    serde_yaml::from_str(text).map_err(|error| {
        // A key missing at the end of the file is reported on a line behind the last one.
        let line = error.location().map(|place| place.line().min(text.lines().count().max(1)));
        let message = error.to_string();
        // The line is reported separately.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head);
        // A duplicate key is reported on the first line of its mapping.
        let duplicate = message.contains("duplicate field") || message.contains("is given twice");
        (line_of_duplicate(text).filter(|_| duplicate).or(line), message.to_owned())
    })
}
