//! The JSON of one line of records. Texts are borrowed from the line unless they contain escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The fields of a line that kvadm reads.
#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) key: Option<LineText<'a>>,
    #[serde(borrow)]
    pub(super) key_base64: Option<LineText<'a>>,
    #[serde(borrow)]
    pub(super) value: Option<LineValue<'a>>,
    #[serde(borrow)]
    pub(super) value_base64: Option<LineText<'a>>,
    #[serde(borrow)]
    pub(super) lease: Option<LineText<'a>>,
    pub(super) ttl: Option<i64>,
}

/// A JSON string.
pub(super) struct LineText<'a>(Cow<'a, str>);

impl AsRef<str> for LineText<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<LineText<'_>> for String {
    fn from(text: LineText<'_>) -> Self {
        text.0.into_owned()
    }
}

/// A value: a string, or anything else.
pub(super) enum LineValue<'a> {
    Text(LineText<'a>),
    Other(serde_json::Value),
}

impl<'de: 'a, 'a> Deserialize<'de> for LineText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = LineText<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(LineText(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(LineText(Cow::Owned(text.to_owned())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for LineValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LineValueVisitor)
    }
}

struct LineValueVisitor;

impl<'de> Visitor<'de> for LineValueVisitor {
    type Value = LineValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        TextVisitor.visit_borrowed_str(text).map(LineValue::Text)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        TextVisitor.visit_str(text).map(LineValue::Text)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(LineValue::Other(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(LineValue::Other(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(LineValue::Other(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(LineValue::Other(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        serde_json::Value::deserialize(SeqAccessDeserializer::new(items)).map(LineValue::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        serde_json::Value::deserialize(MapAccessDeserializer::new(fields)).map(LineValue::Other)
    }
}
