//! The JSON Schema of the file of users and roles.

use serde_json::{Value, json};

use super::document::ACCESS_WORDS;
use super::words::ROOT;

/// The JSON Schema of the file, in the draft of 2020-12.
pub fn access_file_schema() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let name = json!({"minLength": 1});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kvadm file of users and roles",
        "type": "object",
        "required": ["roles", "users"],
        "additionalProperties": false,
        "patternProperties": {"^x-": {}},
        "properties": {
            "roles": {
                "type": "object",
                "propertyNames": {"minLength": 1, "not": {"const": ROOT}},
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {"permissions": {"type": "array", "items": {
                        "type": "object",
                        "required": ["access"],
                        "additionalProperties": false,
                        "properties": {
                            "access": {"enum": ACCESS_WORDS},
                            "key": {"type": "string", "minLength": 1, "description": "one key"},
                            "prefix": {"type": "string", "minLength": 1, "description": "all keys with this prefix"},
                            "from": text("the first key of a range"),
                            "to": {"type": "string", "minLength": 1, "description": "the end of the range, not included"},
                            "all": {"const": true, "description": "all keys"},
                            "escape": {"type": "boolean", "description": "decode \\xNN, \\n, \\t, \\r, \\0 and \\\\"},
                        },
                        "dependentRequired": {"to": ["from"]},
                        "oneOf": [
                            {"required": ["key"]}, {"required": ["prefix"]}, {"required": ["from"]},
                            {"required": ["all"]},
                        ],
                    }}},
                },
            },
            "users": {
                "type": "object",
                "propertyNames": name,
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {"roles": {
                        "type": "array", "uniqueItems": true, "items": {"type": "string", "minLength": 1},
                    }},
                },
            },
        },
    })
}
