//! JSON data in which each mapping has each name once: programs differ in which of two values they read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A value whose mappings have each name once. Deserializing another value fails.
pub struct UniqueNames(pub Value);

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder).map(Self)
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
        while let Some(UniqueNames(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, UniqueNames(value))) = entries.next_entry::<String, UniqueNames>()? {
            if map.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format!("'{name}' is given twice")));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_gives_each_name_once() {
        let read =
            |text: &str| serde_json::from_str(text).map(|UniqueNames(value)| value).map_err(|why| why.to_string());
        let text = r#"{"a": [1, -2, 0.5, true, null, "x", {"b": {}, "c": []}], "b": 18446744073709551615}"#;
        assert_eq!(read(text), Ok(serde_json::from_str(text).unwrap_or_default()));
        for text in [r#"{"r": "a", "r": "x"}"#, r#"[{"a": {"r": 1, "r": 1}}]"#] {
            assert!(read(text).is_err_and(|why| why.starts_with("'r' is given twice")), "{text}");
        }
    }
}
