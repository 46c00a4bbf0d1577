//! Records, their fields, and reading a record back: the basis of the JSON format.

use serde::Deserialize;
use thiserror::Error;

use super::bytes::{Base64Error, decode_base64};
use crate::kvstore::{KeyValue, LeaseId};
use crate::proto::Codec;
use line::{Line, LineValue};

/// A result, or one line of many: named fields in a fixed order. Field names are stable; new fields may be added.
pub trait Record {
    /// Calls the visitor with each field in order.
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>));
}

/// One field of a record.
pub struct Field<'a> {
    /// The field's name in JSON and YAML; tables show it in upper case.
    pub name: &'static str,
    /// The field's value.
    pub value: Value<'a>,
    /// Where the field is shown.
    pub show: Visibility,
}

/// Where a field is shown. JSON and YAML show all fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// In all formats.
    Always,
    /// In all formats, but a narrow table may omit it.
    Spare,
    /// In tables, JSON and YAML; a narrow table may omit it.
    Table,
    /// In every table, JSON and YAML.
    EveryTable,
    /// Only in JSON and YAML.
    Data,
}

/// An applied index this far behind the leader's is worth a look.
const WIDE_LAG: u64 = 1000;

impl Field<'_> {
    /// What the value means, for tables with colours: that of a word, an alarm, or a wide lag.
    pub(super) fn tone(&self) -> Tone {
        match (self.name, &self.value) {
            (_, Value::Word(_, tone)) => *tone,
            ("alarms", Value::Strings([_, ..])) => Tone::Bad,
            ("lag", Value::Uint(lag)) if *lag >= WIDE_LAG => Tone::Warning,
            _ => Tone::Neutral,
        }
    }
}

/// A field's value.
pub enum Value<'a> {
    /// Bytes: a string if they are UTF-8, otherwise `<name>_base64`.
    Bytes(&'a [u8]),
    /// Decoded bytes. JSON shows the object if encoding it gives the same bytes; otherwise the bytes as above, and the
    /// object as `<name>_decoded`.
    Decoded {
        /// The decoded object.
        json: &'a serde_json::Value,
        /// The original bytes.
        bytes: &'a [u8],
        /// Whether encoding the object gives the same bytes.
        exact: bool,
    },
    /// Text.
    Str(&'a str),
    /// A word of a fixed set, such as a state or a kind of event, and what it means. It is the same as [`Value::Str`]
    /// except on a terminal with colours, where tables and live lines colour it.
    Word(&'a str, Tone),
    /// A decimal number that is a string in JSON, because JSON numbers lose digits.
    Decimal(&'a str),
    /// A count, revision or version.
    Int(i64),
    /// A count; for people, its digits are grouped by thousands.
    Uint(u64),
    /// A number that counts nothing, such as a position, a hash or a port: its digits are never grouped.
    Ordinal(u64),
    /// A size in bytes; tables show it in larger units.
    Size(u64),
    /// A 64-bit ID: a hex string, because JSON numbers lose digits.
    Hex(u64),
    /// Milliseconds, shown with up to three decimals.
    Millis(f64),
    /// Yes or no.
    Bool(bool),
    /// Several strings.
    Strings(&'a [String]),
    /// A nested record.
    Record(&'a dyn Record),
    /// Several nested records.
    Records(Vec<&'a dyn Record>),
    /// No value: omitted in JSON and YAML, empty in text and tables.
    Absent,
}

/// What a [`Value::Word`] means to the reader. A colour only repeats it: the word alone says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing needs to be done: green.
    Good,
    /// Worth a look: yellow.
    Warning,
    /// Something is wrong, or gone: red.
    Bad,
    /// No colour.
    Neutral,
}

impl Tone {
    /// Writes the text in the tone's colour, without padding: an underline or a background would show it.
    pub(super) fn paint(self, out: &mut String, text: &str) {
        let Some(color) = self.color().filter(|_| !text.is_empty()) else { return out.push_str(text) };
        out.push_str(color);
        out.push_str(text);
        out.push_str(RESET);
    }

    /// The escape sequence that begins the colour.
    fn color(self) -> Option<&'static str> {
        match self {
            Self::Good => Some("\x1b[32m"),
            Self::Warning => Some("\x1b[33m"),
            Self::Bad => Some("\x1b[31m"),
            Self::Neutral => None,
        }
    }
}

/// The escape sequence that ends a colour.
const RESET: &str = "\x1b[0m";

impl<'a> Value<'a> {
    /// A lease ID, or no value.
    pub fn lease(lease: Option<LeaseId>) -> Self {
        lease.map_or(Value::Absent, |lease| Value::Hex(lease.0.cast_unsigned()))
    }

    /// A number, or no value.
    pub fn int(number: Option<i64>) -> Self {
        number.map_or(Value::Absent, Value::Int)
    }

    /// A size, or no value.
    pub fn size(bytes: Option<u64>) -> Self {
        bytes.map_or(Value::Absent, Value::Size)
    }

    /// A string, or no value.
    pub fn str(text: Option<&'a str>) -> Self {
        text.map_or(Value::Absent, Value::Str)
    }

    /// A decimal number in a string, or no value.
    pub fn decimal(digits: Option<&'a str>) -> Self {
        digits.map_or(Value::Absent, Value::Decimal)
    }

    /// Bytes, or no value.
    pub fn bytes(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Value::Absent, Value::Bytes)
    }

    /// Nested records.
    pub fn records<R: Record + 'a>(records: impl Iterator<Item = &'a R>) -> Self {
        Value::Records(records.map(|record| record as &dyn Record).collect())
    }

    /// A number that counts nothing, or no value.
    pub fn ordinal(number: Option<u64>) -> Self {
        number.map_or(Value::Absent, Value::Ordinal)
    }

    /// A count, or no value.
    pub fn uint(number: Option<u64>) -> Self {
        number.map_or(Value::Absent, Value::Uint)
    }
}

/// A field for every format.
pub fn always<'a>(name: &'static str, value: Value<'a>) -> Field<'a> {
    Field { name, value, show: Visibility::Always }
}

/// A field for every format; a narrow table may omit it.
pub fn spare<'a>(name: &'static str, value: Value<'a>) -> Field<'a> {
    Field { name, value, show: Visibility::Spare }
}

/// A field for tables, JSON and YAML; a narrow table may omit it.
pub fn table<'a>(name: &'static str, value: Value<'a>) -> Field<'a> {
    Field { name, value, show: Visibility::Table }
}

/// A field for JSON and YAML only.
pub fn data<'a>(name: &'static str, value: Value<'a>) -> Field<'a> {
    Field { name, value, show: Visibility::Data }
}

impl Record for KeyValue {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(&self.key)));
        visit(always("value", Value::Bytes(&self.value)));
        visit_revisions(self, visit);
        visit(table("lease", Value::lease(self.lease)));
    }
}

fn visit_revisions<'a>(kv: &'a KeyValue, visit: &mut dyn FnMut(Field<'a>)) {
    visit(data("create_revision", Value::Int(kv.create_revision)));
    visit(table("mod_revision", Value::Int(kv.mod_revision)));
    visit(table("version", Value::Int(kv.version)));
}

/// A key without its value and lease. etcd 3.7 does not return the lease if only keys are requested.
pub struct KeyOnly<'a>(pub &'a KeyValue);

impl Record for KeyOnly<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("key", Value::Bytes(&self.0.key)));
        visit_revisions(self.0, visit);
    }
}

/// A key with the granted TTL of its lease in seconds, as `list --with-leases` exports it.
pub struct LeasedRecord<'a> {
    /// The key.
    pub kv: &'a KeyValue,
    /// The TTL; `None` without a lease, or if the lease is gone.
    pub ttl: Option<i64>,
}

impl Record for LeasedRecord<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        self.kv.fields(visit);
        visit(table("ttl", Value::int(self.ttl)));
    }
}

/// A record that `put --from` reads: a line of `list -o json`. Revisions and version are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRecord {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The original lease.
    pub lease: Option<LeaseId>,
    /// The lease's granted TTL in seconds.
    pub ttl: Option<i64>,
}

/// Why a line is not a record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// Not JSON, or not an object with these fields.
    #[error("not a record: {}", without_value(.0))]
    Json(#[from] serde_json::Error),
    /// Both or neither of `key` and `key_base64`, or of the value's fields.
    #[error("needs either {0} or {0}_base64")]
    Either(&'static str),
    /// Invalid base64.
    #[error("{0}_base64: {1}")]
    Base64(&'static str, Base64Error),
    /// A value that is neither a string nor an object.
    #[error("not a record: value is neither a string nor an object")]
    Kind,
    /// An object, but no message type is configured for the key.
    #[error(
        "value: is an object, but this key has no message type (set --proto and --message, or the config key proto)"
    )]
    NoMessage,
    /// An object that does not match the message type.
    #[error("value: {0}")]
    Encode(String),
    /// A lease ID that is not a hex number.
    #[error("'{0}' is not a lease ID in hex")]
    Lease(String),
}

impl InputRecord {
    /// Parses one line, whose key may be empty. A string value is taken as bytes; an object is encoded as a message.
    ///
    /// # Errors
    /// As [`RecordError`].
    pub fn parse(line: &[u8], codec: &Codec) -> Result<Self, RecordError> {
        let line: Line<'_> = serde_json::from_slice(line)?;
        let key = either("key", line.key, line.key_base64)?;
        let value = match (line.value, line.value_base64) {
            (Some(LineValue::Text(text)), None) => String::from(text).into_bytes(),
            (Some(LineValue::Other(object @ serde_json::Value::Object(_))), None) => {
                let encoded = codec.encode(&key, &object).ok_or(RecordError::NoMessage)?;
                encoded.map_err(RecordError::Encode)?
            }
            (Some(LineValue::Other(_)), None) => return Err(RecordError::Kind),
            (None, Some(encoded)) => either("value", None, Some(encoded))?,
            (None, None) | (Some(_), Some(_)) => return Err(RecordError::Either("value")),
        };
        let lease = match line.lease {
            None => None,
            Some(text) => match text.as_ref().parse::<LeaseId>() {
                Ok(lease) => LeaseId::from_wire(lease.0),
                Err(_) => return Err(RecordError::Lease(text.into())),
            },
        };
        Ok(Self { key, value, lease, ttl: line.ttl })
    }
}

/// The parser's text without the value that it quotes, which may be a secret.
fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let parts = ["invalid type", "invalid value"].into_iter().find_map(|what| {
        let (found, expected) = text.strip_prefix(what)?.strip_prefix(": ")?.rsplit_once(", expected ")?;
        let found = found.split(['"', '`']).next().unwrap_or_default().trim_end();
        Some(format!("{what}: {found}, expected {expected}"))
    });
    parts.unwrap_or(text)
}

/// The key of a JSON record; `None` if the line has none.
pub fn key_of_record(line: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Key {
        key: Option<String>,
        key_base64: Option<String>,
    }
    if !line.starts_with(b"{") {
        return None;
    }
    let line: Key = serde_json::from_slice(line).ok()?;
    either("key", line.key, line.key_base64).ok()
}

pub(super) fn either<T: Into<String> + AsRef<str>>(
    name: &'static str,
    text: Option<T>,
    encoded: Option<T>,
) -> Result<Vec<u8>, RecordError> {
    match (text, encoded) {
        (Some(text), None) => Ok(text.into().into_bytes()),
        (None, Some(encoded)) => decode_base64(encoded.as_ref()).map_err(|error| RecordError::Base64(name, error)),
        _ => Err(RecordError::Either(name)),
    }
}

mod line;
#[cfg(test)]
mod tests;
