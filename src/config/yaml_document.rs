//! Parses a YAML document of bounded size into JSON data whose mappings have each key once.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::yaml::in_time;
use super::yaml_position::line_of_duplicate;

/// Maximum number of values of a document. Aliases count as often as they are used, so that a small document cannot expand
/// into one that fills the memory.
const MAX_VALUES: usize = 100_000;

/// Why a document is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlFault {
    /// The line, from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Parses the only document of a text; `None` for an empty one.
///
/// # Errors
/// Invalid syntax, a key that its mapping already has, more than one document, or more values than
/// a document may have.
pub fn parse_bounded(text: &str) -> Result<Option<Value>, YamlFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
    let parsed = in_time(text.len(), move || parse(&text));
    parsed.unwrap_or_else(|error| Err(YamlFault { line: None, message: error.to_string() }))
}

fn parse(text: &str) -> Result<Option<Value>, YamlFault> {
    let left = Cell::new(MAX_VALUES);
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let Some(first) = documents.next() else { return Ok(None) };
    let value = BoundedSeed(&left).deserialize(first).map_err(|error| fault(text, &error))?;
    if let Some(next) = documents.next() {
        let more = BoundedSeed(&left).deserialize(next).map_err(|error| fault(text, &error))?;
        if !more.is_null() {
            return Err(YamlFault { line: None, message: "the file has more than one YAML document".to_owned() });
        }
    }
    Ok(Some(value).filter(|value| !value.is_null()))
}

fn fault(text: &str, error: &serde_yaml::Error) -> YamlFault {
    let message = error.to_string();
    let last = text.lines().count().max(1);
    let line = error.location().map(|at| at.line().min(last)).filter(|line| *line > 0);
    // The message ends with the position, which is said in front of it.
    let short = message.find(" at line ").and_then(|end| message.get(..end)).unwrap_or(&message);
    if short.ends_with(TWICE) {
        // The parser puts the path of the mapping in front.
        let own = short.find("the key '").and_then(|start| short.get(start..)).unwrap_or(short);
        return YamlFault { line: line_of_duplicate(text).or(line), message: own.to_owned() };
    }
    if short.contains(TOO_MANY) || short.contains("repetition limit exceeded") {
        return YamlFault { line: None, message: TOO_MANY.to_owned() };
    }
    YamlFault { line, message: format!("invalid YAML: {short}") }
}

const TWICE: &str = "is given twice";
const TOO_MANY: &str = "the file has more than 100000 values";

/// Reads a value, and counts it.
#[derive(Clone, Copy)]
struct BoundedSeed<'a>(&'a Cell<usize>);

impl BoundedSeed<'_> {
    fn count<E: Error>(self) -> Result<(), E> {
        match self.0.get().checked_sub(1) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => Err(E::custom(TOO_MANY)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for BoundedSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BoundedSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping, a list or a scalar without a tag")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    /// An empty document.
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<Value, E> {
        Ok(yes.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("the key '{}' {TWICE}", name.escape_debug())));
            }
            let value = entries.next_value_seed(self)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    fn refused(text: &str) -> (Option<usize>, String) {
        let fault = parse_bounded(text).expect_err(text);
        (fault.line, fault.message)
    }

    #[test]
    fn faults_have_their_line() {
        assert_eq!(refused("a: 1\nb: 2\na: 3\n"), (Some(3), "the key 'a' is given twice".to_owned()));
        let (line, message) = refused("a:\n  - b\n c: [\n");
        assert!(line.is_some_and(|line| line >= 3) && message.starts_with("invalid YAML: "), "{line:?} {message}");
        assert_eq!(refused("a: 1\n---\nb: 2\n").1, "the file has more than one YAML document");
        assert_eq!(parse_bounded("# nothing\n"), Ok(None));
        assert_eq!(parse_bounded(""), Ok(None));
        assert_eq!(parse_bounded("a: [1, x]\n---\n"), Ok(Some(serde_json::json!({"a": [1, "x"]}))));
    }

    #[test]
    fn aliases_do_not_expand_without_end() {
        let lists: Vec<String> = (1..30).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]", n - 1)).collect();
        let (_, message) = refused(&format!("a0: &a0 [x, x]\n{}\n", lists.join("\n")));
        assert_eq!(message, TOO_MANY);
        assert!(refused(&"[".repeat(5_000)).1.contains("invalid YAML"));
        let wide = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(2_000), "*a,".repeat(2_000));
        assert_eq!(refused(&wide).1, TOO_MANY);
    }
}
