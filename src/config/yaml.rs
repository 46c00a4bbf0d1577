//! Parses YAML or JSON documents other than the configuration as JSON data.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parses one document as JSON, otherwise as YAML. (JSON is a subset of YAML except for its \u escapes.)
///
/// # Errors
/// Invalid syntax, with its position, or a repeated key: silently using the last one could drop a condition.
pub fn parse_document(text: &str) -> Result<Value, String> {
    let json = match serde_json::from_str::<Unique>(text) {
        Ok(document) => return Ok(document.0),
        Err(error) => error,
    };
    // Well-formed JSON with a repeated key is not valid YAML either.
    if json.is_data() {
        return Err(format!("invalid JSON: {json}"));
    }
    match serde_yaml::from_str::<Option<Unique>>(text) {
        Ok(document) => Ok(document.map_or(Value::Null, |document| document.0)),
        Err(error) => Err(format!("invalid YAML: {error}")),
    }
}

/// JSON data whose objects have no repeated keys.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder).map(Unique)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping, a list or a scalar")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
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
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Unique(value))) = entries.next_entry::<String, Unique>()? {
            if map.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format!("key '{name}' occurs twice")));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_and_yaml_are_the_same_data() {
        let data = json!({"a": [1, -2, 1.5, null, true, "\u{1f980}"], "b": {"c": "x"}});
        assert_eq!(parse_document(&data.to_string()), Ok(data.clone()));
        let yaml = "a: [1, -2, 1.5, ~, true, \"\u{1f980}\"]\nb:\n  c: x\n";
        assert_eq!(parse_document(yaml), Ok(data));
        assert_eq!(parse_document("# nothing\n"), Ok(Value::Null));
        assert_eq!(parse_document(r#""\ud83e\udd80""#), Ok(json!("\u{1f980}")));
    }

    #[test]
    fn a_key_stands_in_a_mapping_once() {
        for twice in [r#"{"if": [1], "then": [], "if": []}"#, "if: [1]\nthen: []\nif: []\n", "a: {b: 1, b: 2}\n"] {
            assert!(parse_document(twice).is_err_and(|error| error.contains("twice")), "{twice}");
        }
    }
}
