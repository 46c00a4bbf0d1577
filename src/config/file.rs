//! Parses the configuration file from YAML into [`RawValue`]s.
//!
//! A visitor walks the top level, so that every error names its key, strings are taken literally (`password: 1e5` is not
//! a number), and serde_yaml's own messages, some of which quote the file, are never printed.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_yaml::Value;

use super::error::ValueError;
use super::keys::{self, ValueKind};

/// Maximum size of a configuration file.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// A value of the file. It does not implement `Debug`, because it may be a password.
#[derive(Clone, PartialEq)]
pub(super) enum RawValue {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<RawValue>),
    Map(Vec<(String, RawValue)>),
}

/// A top-level key as written, and its value.
pub(super) struct FileEntry {
    pub name: String,
    pub value: RawValue,
    /// The key's position in the file, for [`ConfigDocument::line`].
    index: usize,
}

/// The first document of a file.
pub(super) struct ConfigDocument<'a> {
    text: &'a str,
    pub entries: Vec<FileEntry>,
    /// Whether more documents follow, which are not read.
    pub more: bool,
}

/// An error in the file, with its line and key.
pub(super) struct FileError {
    pub problem: ValueError,
    pub line: Option<usize>,
    pub key: Option<String>,
    /// Unknown keys before the error.
    pub unknown: Vec<String>,
}

impl ConfigDocument<'_> {
    /// The line of the entry's key, counted from 1.
    pub fn line(&self, entry: &FileEntry) -> Option<usize> {
        let mut walk = TopLevelVisitor { stop_at: Some(entry.index), ..TopLevelVisitor::default() };
        let first = serde_yaml::Deserializer::from_str(self.text).next()?;
        first.deserialize_any(&mut walk).err()?.location().map(|at| at.line())
    }
}

/// Reads the first document of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<ConfigDocument<'_>, FileError> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let valid = bytes.iter().take(e.valid_up_to());
        let line = valid.filter(|b| **b == b'\n').count().saturating_add(1);
        FileError {
            problem: ValueError::new("the file is not UTF-8"),
            line: Some(line),
            key: None,
            unknown: Vec::new(),
        }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let mut walk = TopLevelVisitor::default();
    let Some(first) = documents.next() else {
        return Ok(ConfigDocument { text, entries: Vec::new(), more: false });
    };
    if let Err(error) = first.deserialize_any(&mut walk) {
        return Err(refused(text, &error, walk));
    }
    let more = documents.next().is_some_and(|next| {
        let value = <Value as serde::Deserialize>::deserialize(next);
        !matches!(value, Ok(Value::Null))
    });
    Ok(ConfigDocument { text, entries: walk.entries, more })
}

/// Rewrites serde_yaml's error without quoting the file.
fn refused(file: &str, error: &serde_yaml::Error, walk: TopLevelVisitor) -> FileError {
    let text = error.to_string();
    // An unexpected end of the file is reported on the line after the last one.
    let last = file.lines().count().max(1);
    let line = error.location().map(|at| at.line().min(last)).filter(|line| *line > 0);
    let message = match walk.fault {
        Some(fault) => fault.to_owned(),
        None if text.contains("duplicate entry") => "a key occurs twice".to_owned(),
        None if text.contains("invalid type") || text.contains("invalid value") => match walk.key {
            Some(_) if text.contains("invalid type: sequence") => "must be a string, not a list".to_owned(),
            Some(_) if text.contains("invalid type: map") => "must be a string, not a mapping".to_owned(),
            Some(_) => "the value does not match its YAML tag".to_owned(),
            None => "the top level must be a mapping of keys to values".to_owned(),
        },
        // The remaining messages are the scanner's fixed texts. Their position is already in `line`.
        None => {
            let end = text.find(" at line").or_else(|| text.find(" at position")).unwrap_or(text.len());
            format!("invalid YAML: {}", text[..end].to_lowercase())
        }
    };
    let unknown = walk.entries.into_iter().map(|entry| entry.name).filter(|name| keys::known(name).is_none()).collect();
    FileError { problem: ValueError::new(message), line, key: walk.key, unknown }
}

/// Collects the top-level entries. With `stop_at` it fails at that key, so that serde_yaml reports the key's line.
#[derive(Default)]
struct TopLevelVisitor {
    entries: Vec<FileEntry>,
    seen: HashSet<String>,
    /// The key whose value is being parsed.
    key: Option<String>,
    fault: Option<&'static str>,
    stop_at: Option<usize>,
    count: usize,
}

impl<'de> Visitor<'de> for &mut TopLevelVisitor {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut merged = Vec::new();
        while let Some(name) = map.next_key_seed(UniqueKeySeed(self))? {
            let index = self.count;
            self.count = self.count.saturating_add(1);
            if self.stop_at.is_some() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            self.key = Some(name.clone());
            let value = match keys::known(&name) {
                // serde_yaml reads any scalar into a string as it is written.
                Some((_, ValueKind::Text | ValueKind::Secret)) => {
                    map.next_value::<Option<String>>()?.map_or(RawValue::Null, RawValue::Text)
                }
                _ => raw(map.next_value::<Value>()?).map_err(|fault| {
                    self.fault = Some(fault);
                    A::Error::custom(fault)
                })?,
            };
            if name == "<<" {
                merged.push((index, value));
            } else {
                self.entries.push(FileEntry { name, value, index });
            }
        }
        self.key = None;
        for (index, value) in merged {
            self.merge(index, value);
        }
        Ok(())
    }
}

impl TopLevelVisitor {
    /// YAML's `<<` key: adds the keys of a mapping, or of several, that are not present yet.
    fn merge(&mut self, index: usize, value: RawValue) {
        match value {
            RawValue::List(items) => items.into_iter().for_each(|item| self.merge(index, item)),
            RawValue::Map(pairs) => {
                for (name, value) in pairs {
                    if self.seen.insert(name.clone()) {
                        let is_text = matches!(keys::known(&name), Some((_, ValueKind::Text | ValueKind::Secret)));
                        let value = match value {
                            RawValue::Int(n) if is_text => RawValue::Text(n.to_string()),
                            RawValue::Float(n) if is_text => RawValue::Text(n.to_string()),
                            RawValue::Bool(b) if is_text => RawValue::Text(b.to_string()),
                            value => value,
                        };
                        self.entries.push(FileEntry { name, value, index });
                    }
                }
            }
            _ => {}
        }
    }
}

/// Reads a key and rejects a repeated one.
struct UniqueKeySeed<'a>(&'a mut TopLevelVisitor);

impl<'de> DeserializeSeed<'de> for UniqueKeySeed<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for UniqueKeySeed<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        if self.0.stop_at == Some(self.0.count) {
            return Err(E::custom("here"));
        }
        if !self.0.seen.insert(text.to_owned()) {
            self.0.key = Some(text.to_owned());
            self.0.fault = Some("the key occurs twice");
            return Err(E::custom("repeated key"));
        }
        Ok(text.to_owned())
    }
}

/// Converts a `Value` and rejects tags.
fn raw(value: Value) -> Result<RawValue, &'static str> {
    Ok(match value {
        Value::Null => RawValue::Null,
        Value::Bool(b) => RawValue::Bool(b),
        Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(n), _, _) => RawValue::Int(n.into()),
            (_, Some(n), _) => RawValue::Int(n.into()),
            (_, _, n) => RawValue::Float(n.unwrap_or(f64::NAN)),
        },
        Value::String(text) => RawValue::Text(text),
        Value::Sequence(items) => RawValue::List(items.into_iter().map(raw).collect::<Result<_, _>>()?),
        Value::Mapping(pairs) => RawValue::Map(
            pairs
                .into_iter()
                .filter_map(|(key, value)| match key {
                    Value::String(key) => Some(raw(value).map(|value| (key, value))),
                    _ => None,
                })
                .collect::<Result<_, _>>()?,
        ),
        Value::Tagged(_) => return Err("YAML tags are not supported"),
    })
}
