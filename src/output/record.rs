//! Records, their fields, and reading a record back: the basis of the JSON format.

use serde::Deserialize;
use thiserror::Error;

use super::bytes::{Base64Error, decode_base64};
use crate::kvstore::{KeyValue, LeaseId};
use crate::proto::Codec;

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
    /// A decimal number that is a string in JSON, because JSON numbers lose digits.
    Decimal(&'a str),
    /// A count, revision or version.
    Int(i64),
    /// A count or size.
    Uint(u64),
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

#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct Line {
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<serde_json::Value>,
    value_base64: Option<String>,
    lease: Option<String>,
    ttl: Option<i64>,
}

impl InputRecord {
    /// Parses one line, whose key may be empty. A string value is taken as bytes; an object is encoded as a message.
    ///
    /// # Errors
    /// As [`RecordError`].
    pub fn parse(line: &[u8], codec: &Codec) -> Result<Self, RecordError> {
        let line: Line = serde_json::from_slice(line)?;
        let key = either("key", line.key, line.key_base64)?;
        let value = match (line.value, line.value_base64) {
            (Some(serde_json::Value::String(text)), None) => text.into_bytes(),
            (Some(object @ serde_json::Value::Object(_)), None) => {
                let encoded = codec.encode(&key, &object).ok_or(RecordError::NoMessage)?;
                encoded.map_err(RecordError::Encode)?
            }
            (Some(_), None) => return Err(RecordError::Kind),
            (other, encoded) => either("value", other.map(|_| String::new()), encoded)?,
        };
        let lease = match line.lease {
            None => None,
            Some(text) => match text.parse::<LeaseId>() {
                Ok(lease) => LeaseId::from_wire(lease.0),
                Err(_) => return Err(RecordError::Lease(text)),
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

pub(super) fn either(
    name: &'static str,
    text: Option<String>,
    encoded: Option<String>,
) -> Result<Vec<u8>, RecordError> {
    match (text, encoded) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(encoded)) => decode_base64(&encoded).map_err(|error| RecordError::Base64(name, error)),
        _ => Err(RecordError::Either(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::{check_message, damage, damaged};
    use crate::output::json;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_json_prints_is_read_back(
            key in proptest::collection::vec(any::<u8>(), 1..40),
            value in prop_oneof![proptest::collection::vec(any::<u8>(), 0..40), "\\PC*".prop_map(String::into_bytes)],
            lease in proptest::option::of(any::<i64>()),
            ttl in proptest::option::of(1i64..1000),
        ) {
            let lease = lease.and_then(LeaseId::from_wire);
            let kv = KeyValue { key: key.clone(), value: value.clone(), lease, ..KeyValue::default() };
            let mut line = Vec::new();
            json::line(&mut line, &LeasedRecord { kv: &kv, ttl });
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let read = InputRecord::parse(&line, &Codec::default()).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(read, InputRecord { key, value, lease, ttl });
        }
    }

    const SAMPLE: &str = r#"{"key":"/a/\u00e9","value_base64":"AP8=","create_revision":2,"mod_revision":9,"version":3,"lease":"694d7c5a1b2c3d4e","ttl":60}"#;

    proptest! {
        /// What is still a record after damage is written and read as that record.
        #[test]
        fn a_damaged_record_is_refused_or_whole(damage in damage()) {
            let line = damaged(SAMPLE.as_bytes(), &damage);
            match InputRecord::parse(&line, &Codec::default()) {
                Err(error) => check_message(&error.to_string())?,
                Ok(record) => {
                    let InputRecord { key, value, lease, ttl } = record.clone();
                    let kv = KeyValue { key, value, lease, ..KeyValue::default() };
                    let mut again = Vec::new();
                    json::line(&mut again, &LeasedRecord { kv: &kv, ttl });
                    prop_assert_eq!(InputRecord::parse(&again, &Codec::default()).map_err(|e| e.to_string()), Ok(record));
                    prop_assert!(key_of_record(&line).is_none_or(|key| key == kv.key));
                }
            }
        }

        #[test]
        fn a_record_cut_off_or_going_on_is_refused(at in 0..SAMPLE.len(), more in "[]}{a0,\"]") {
            let read = |text: &str| InputRecord::parse(text.as_bytes(), &Codec::default());
            prop_assert!(read(&SAMPLE[..at]).is_err());
            let (longer, twice) = (format!("{SAMPLE}{more}"), SAMPLE.repeat(2));
            prop_assert!(read(&longer).is_err() && read(&twice).is_err());
        }
    }

    #[test]
    fn near_misses_are_refused() {
        let read = |from: &str, to: &str| {
            assert!(SAMPLE.contains(from), "{from}");
            InputRecord::parse(SAMPLE.replacen(from, to, 1).as_bytes(), &Codec::default())
                .map_err(|error| error.to_string())
        };
        assert!(read("\"", "\"").is_ok());
        for field in ["\"key\":\"/a/\\u00e9\"", "\"value_base64\":\"AP8=\"", "\"ttl\":60"] {
            assert!(
                read(field, &format!("{field},{field}")).is_err_and(|why| why.contains("duplicate field")),
                "{field}"
            );
        }
        for lease in ["+1f", "-1f", "1g", "", "0x", "10000000000000000"] {
            let said = format!("'{lease}' is not a lease ID in hex");
            assert_eq!(read("694d7c5a1b2c3d4e", lease), Err(said));
        }
        for ttl in ["1.5", "\"60\"", "9223372036854775808", "1e3", "true", "[60]"] {
            assert!(
                read("\"ttl\":60", &format!("\"ttl\":{ttl}")).is_err_and(|why| why.starts_with("not a record")),
                "{ttl}"
            );
        }
        for value in ["AP8", "AP8=\\n", "AP9=", "A P8=", "*"] {
            assert!(read("AP8=", value).is_err_and(|why| why.starts_with("value_base64: invalid base64")), "{value}");
        }
    }

    #[test]
    fn what_is_no_record_says_why() {
        let said = |line: &str| InputRecord::parse(line.as_bytes(), &Codec::default()).map_err(|e| e.to_string());
        assert_eq!(said(r#"{"key":"a"}"#), Err("needs either value or value_base64".to_owned()));
        assert_eq!(said(r#"{"key":"a","key_base64":"YQ==","value":""}"#), Err("needs either key or key_base64".into()));
        assert_eq!(said(r#"{"key":"a","value":"b","lease":"xyz"}"#), Err("'xyz' is not a lease ID in hex".to_owned()));
        assert_eq!(
            said(r#"{"key":"a","value":5}"#),
            Err("not a record: value is neither a string nor an object".to_owned())
        );
        assert!(
            said(r#"{"key":"a","value":{}}"#)
                .is_err_and(|e| e.contains("is an object, but this key has no message type"))
        );
        assert!(said(r#"{"key_base64":"*","value":""}"#).is_err_and(|e| e.starts_with("key_base64: ")));
        assert!(said("[]").is_err() && said("{").is_err() && said("null").is_err());
    }
}
