//! One record as a table of its own: a row for each field.

use std::io;

use super::out::Out;
use super::progress::human_bytes;
use super::record::{Field, Record, Value, Visibility, always};
use super::settings::Format;
use super::sink::Sink;
use super::text;
use crate::plural::grouped;

impl Out {
    /// Writes one record as a row for each of its fields: the name and the whole value. In JSON and YAML, the record itself.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn properties(&self, record: &dyn Record) -> io::Result<()> {
        if self.is_data() {
            return self.one(record);
        }
        let mut sink = Sink::uncut(self);
        let mut written = Ok(());
        record.fields(&mut |field| {
            let is_shown = field.show != Visibility::Data && !matches!(field.value, Value::Absent);
            if is_shown && written.is_ok() {
                written = sink.push(&PropertyRow::new(field, self.shared.format));
            }
        });
        written?;
        sink.finish()
    }
}

/// One field of a record as a row. Numbers are text, so that a table does not align them to the right; so is the number
/// that stands for nested records.
struct PropertyRow<'f> {
    name: &'static str,
    value: PropertyValue<'f>,
}

enum PropertyValue<'f> {
    Number(String),
    Other(Value<'f>),
}

impl<'f> PropertyRow<'f> {
    fn new(field: Field<'f>, format: Format) -> Self {
        let value = match field.value {
            Value::Uint(count) if format == Format::Table => PropertyValue::Number(grouped(count)),
            Value::Size(bytes) if format == Format::Table => PropertyValue::Number(human_bytes(bytes)),
            Value::Int(_)
            | Value::Uint(_)
            | Value::Ordinal(_)
            | Value::Decimal(_)
            | Value::Size(_)
            | Value::Hex(_)
            | Value::Millis(_)
            | Value::Records(_) => {
                let mut number = String::new();
                text::value(&mut number, &field.value);
                PropertyValue::Number(number)
            }
            other => PropertyValue::Other(other),
        };
        Self { name: field.name, value }
    }
}

impl Record for PropertyRow<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(always("field", Value::Str(self.name)));
        let value = match &self.value {
            PropertyValue::Number(number) => Value::Str(number),
            PropertyValue::Other(value) => borrowed(value),
        };
        visit(always("value", value));
    }
}

/// The same value.
fn borrowed<'a>(value: &'a Value<'_>) -> Value<'a> {
    match value {
        Value::Bytes(bytes) => Value::Bytes(bytes),
        Value::Decoded { json, bytes, exact } => Value::Decoded { json, bytes, exact: *exact },
        Value::Str(text) => Value::Str(text),
        Value::Word(text, tone) => Value::Word(text, *tone),
        Value::Decimal(digits) => Value::Decimal(digits),
        Value::Int(number) => Value::Int(*number),
        Value::Uint(number) => Value::Uint(*number),
        Value::Ordinal(number) => Value::Ordinal(*number),
        Value::Size(bytes) => Value::Size(*bytes),
        Value::Hex(id) => Value::Hex(*id),
        Value::Millis(millis) => Value::Millis(*millis),
        Value::Bool(yes) => Value::Bool(*yes),
        Value::Strings(texts) => Value::Strings(texts),
        Value::Record(record) => Value::Record(*record),
        Value::Records(records) => Value::Records(records.iter().map(|record| *record as &dyn Record).collect()),
        Value::Absent => Value::Absent,
    }
}
