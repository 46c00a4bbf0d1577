//! Reads the values of a document's keys. Pure.

use serde_json::{Map, Value};

use super::document_fault::{DocumentFault, unknown_word};

/// The name of the kind of a value, for messages.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// The fault for a value of the wrong kind.
pub fn must_be(what: &str, value: &Value) -> DocumentFault {
    DocumentFault::new(format!("must be {what}, not {}", kind_of(value)))
}

/// `true` or `false`.
pub fn flag(value: &Value) -> Result<bool, DocumentFault> {
    value.as_bool().ok_or_else(|| must_be("true or false", value))
}

/// A text. Numbers and booleans must be quoted: their text in the file is not known any more.
pub fn text(value: &Value) -> Result<&str, DocumentFault> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Err(must_be("a text", value).hint("put the value in double quotes")),
        other => Err(must_be("a text", other)),
    }
}

/// A text that is not empty.
pub fn name(value: &Value) -> Result<&str, DocumentFault> {
    match text(value)? {
        "" => Err(DocumentFault::new("must not be empty")),
        text => Ok(text),
    }
}

/// One of these words.
pub fn word(value: &Value, known: &[&'static str]) -> Result<&'static str, DocumentFault> {
    let given = text(value)?;
    known.iter().find(|word| **word == given).copied().ok_or_else(|| {
        DocumentFault::new(unknown_word("value", given, known)).hint(format!("use {}", known.join(" or ")))
    })
}

/// The name is one of these.
pub fn check_name(name: &str, known: &[&str]) -> Result<(), DocumentFault> {
    if known.contains(&name) {
        return Ok(());
    }
    let fault = DocumentFault::new(unknown_word("key", name, known)).within_key(name);
    Err(fault.hint(format!("known here: {}", known.join(", "))))
}

/// A mapping whose keys are all among these.
pub fn mapping<'a>(value: &'a Value, known: &[&str], example: &str) -> Result<&'a Map<String, Value>, DocumentFault> {
    let Value::Object(fields) = value else {
        return Err(must_be(&format!("a mapping such as {example}"), value));
    };
    fields.keys().try_for_each(|name| check_name(name, known))?;
    Ok(fields)
}

/// Reads a field of a mapping, if it is there.
pub fn field<'a, T>(
    fields: &'a Map<String, Value>,
    name: &str,
    read: impl FnOnce(&'a Value) -> Result<T, DocumentFault>,
) -> Result<Option<T>, DocumentFault> {
    fields.get(name).map(|value| read(value).map_err(|fault| fault.of(name).within_key(name))).transpose()
}
