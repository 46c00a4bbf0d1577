//! Text output: one record per line, tab-separated and escaped.

use super::bytes::escape_into;
use super::json;
use super::record::{Record, Value, Visibility};
use super::sanitize::is_safe;
use crate::plural::grouped;

/// Appends the record's text fields as one line.
pub fn line(out: &mut String, record: &dyn Record) {
    fields(out, record, value);
}

/// As [`line()`], with counts as people read them.
pub fn line_for_people(out: &mut String, record: &dyn Record) {
    fields(out, record, |out, field| match field {
        Value::Uint(count) => out.push_str(&grouped(*count)),
        other => value(out, other),
    });
}

fn fields(out: &mut String, record: &dyn Record, value: impl Fn(&mut String, &Value<'_>)) {
    let mut first = true;
    record.fields(&mut |field| {
        if matches!(field.show, Visibility::Always | Visibility::Spare) {
            if !first {
                out.push('\t');
            }
            first = false;
            value(out, &field.value);
        }
    });
    out.push('\n');
}

/// As [`line()`], with characters escaped that are invisible or turn the text around. They are escaped byte by byte, so that
/// the text still decodes back.
pub fn line_for_terminal(out: &mut String, record: &dyn Record, for_people: bool) {
    let mut plain = String::new();
    match for_people {
        true => line_for_people(&mut plain, record),
        false => line(&mut plain, record),
    }
    for c in plain.chars() {
        if is_safe(c, true) {
            out.push(c);
        } else {
            let mut utf8 = [0; 4];
            out.extend(c.encode_utf8(&mut utf8).bytes().map(|byte| format!("\\x{byte:02x}")));
        }
    }
}

/// Appends a value on one line.
pub fn value(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Bytes(bytes) => escape_into(out, bytes),
        Value::Decoded { json, .. } => escape_into(out, json::text(json).as_bytes()),
        Value::Str(text) | Value::Word(text, _) | Value::Decimal(text) => escape_into(out, text.as_bytes()),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Uint(number) | Value::Ordinal(number) | Value::Size(number) => out.push_str(&number.to_string()),
        Value::Hex(id) => out.push_str(&format!("{id:x}")),
        Value::Millis(millis) => out.push_str(&format!("{millis:.1}")),
        Value::Bool(yes) => out.push_str(if *yes { "yes" } else { "no" }),
        Value::Strings(texts) => {
            for (index, text) in texts.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                escape_into(out, text.as_bytes());
            }
        }
        Value::Record(record) => {
            let mut fields = 0;
            record.fields(&mut |_| fields += 1);
            out.push_str(&fields.to_string());
        }
        Value::Records(records) => out.push_str(&records.len().to_string()),
        Value::Absent => {}
    }
}
