//! The JSON Schema of check files agrees with kvadm about which files are valid.

use std::path::Path;

use regex::Regex;
use serde_json::Value;

use super::check::file;
use super::support::Kvadm;

fn schema() -> Value {
    Kvadm::new().args(["check", "--schema"]).run().ok().json()
}

/// Whether a value fits a schema. Panics on a keyword that it does not know.
fn fits(schema: &Value, value: &Value) -> bool {
    let Value::Object(keywords) = schema else { panic!("not a schema: {schema}") };
    let all = |list: &Value, test: &dyn Fn(&Value) -> bool| list.as_array().unwrap().iter().all(test);
    keywords.iter().all(|(keyword, wanted)| match (keyword.as_str(), value) {
        ("$schema" | "title" | "description", _) => true,
        ("type", _) => match wanted.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("unknown type {other}"),
        },
        ("const", _) => value == wanted,
        ("enum", _) => wanted.as_array().unwrap().contains(value),
        ("anyOf", _) => wanted.as_array().unwrap().iter().any(|schema| fits(schema, value)),
        ("not", _) => !fits(wanted, value),
        ("required", Value::Object(fields)) => all(wanted, &|name| fields.contains_key(name.as_str().unwrap())),
        ("properties", Value::Object(fields)) => {
            let known = wanted.as_object().unwrap();
            fields.iter().all(|(name, value)| known.get(name).is_none_or(|schema| fits(schema, value)))
        }
        ("additionalProperties", Value::Object(fields)) => {
            assert_eq!(wanted, &Value::Bool(false));
            let known = keywords["properties"].as_object().unwrap();
            fields.keys().all(|name| known.contains_key(name))
        }
        ("dependentSchemas", Value::Object(fields)) => {
            let needs = wanted.as_object().unwrap();
            needs.iter().all(|(name, schema)| !fields.contains_key(name) || fits(schema, value))
        }
        ("minProperties", Value::Object(fields)) => fields.len() as u64 >= wanted.as_u64().unwrap(),
        ("items", Value::Array(items)) => items.iter().all(|item| fits(wanted, item)),
        ("minItems", Value::Array(items)) => items.len() as u64 >= wanted.as_u64().unwrap(),
        ("maxItems", Value::Array(items)) => items.len() as u64 <= wanted.as_u64().unwrap(),
        ("minLength", Value::String(text)) => text.chars().count() as u64 >= wanted.as_u64().unwrap(),
        ("maxLength", Value::String(text)) => text.chars().count() as u64 <= wanted.as_u64().unwrap(),
        ("pattern", Value::String(text)) => Regex::new(wanted.as_str().unwrap()).unwrap().is_match(text),
        ("minimum", Value::Number(number)) => number.as_f64().unwrap() >= wanted.as_f64().unwrap(),
        ("maximum", Value::Number(number)) => number.as_f64().unwrap() <= wanted.as_f64().unwrap(),
        (
            "required"
            | "properties"
            | "additionalProperties"
            | "dependentSchemas"
            | "minProperties"
            | "items"
            | "minItems"
            | "maxItems"
            | "minLength"
            | "maxLength"
            | "pattern"
            | "minimum"
            | "maximum",
            _,
        ) => true,
        (other, _) => panic!("unknown keyword {other}"),
    })
}

fn parsed(text: &str) -> Value {
    kvadm::config::parse_document(text).unwrap()
}

#[test]
fn the_schema_accepts_the_documented_files() {
    let schema = schema();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(root.join("docs/checks")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
    let manual = std::fs::read_to_string(root.join("src/cli/manual/kvadm-check.5.txt")).unwrap();
    texts.push(manual.split("=== EXAMPLE\n").nth(1).unwrap().split("\n=== ").next().unwrap().to_owned());
    for rule in kvadm::check::RULES {
        use kvadm::check::RuleSubject::{Cluster, Key, KeyOrPrefix, Lock, Own, Prefix};
        let subject = match rule.subject {
            Cluster | Own => "",
            Key | KeyOrPrefix => "key: /k, ",
            Prefix => "prefix: /p, ",
            Lock => "lock: /l, ",
        };
        texts.push(file(&[&format!("{{name: x, {subject}{}}}", rule.example)]));
    }
    assert!(texts.len() > 40);
    for text in texts {
        assert!(fits(&schema, &parsed(&text)), "{text}");
        Kvadm::new().args(["check", "-", "--explain"]).stdin(&text).run().ok();
    }
}

#[test]
fn the_schema_refuses_what_kvadm_refuses() {
    let schema = schema();
    for check in [
        "{name: a}",
        "{healthy: 3}",
        "{name: '', healthy: 3}",
        "{name: a, helthy: 3}",
        "{name: a, healthy: false}",
        "{name: a, healthy: 0}",
        "{name: a, healthy: x}",
        "{name: a, key: /b}",
        "{name: a, key: /b, leader: true}",
        "{name: a, value: b}",
        "{name: a, key: /b, count: 1}",
        "{name: a, key: /b, prefix: /c, exists: true}",
        "{name: a, key: /b, value: 1}",
        "{name: a, key: '', exists: true}",
        "{name: a, key: /b, exists: false}",
        "{name: a, key: /b, json: {path: /x}}",
        "{name: a, key: /b, json: {path: x, equals: 1}}",
        "{name: a, key: /b, json: {path: /x, equal: 1}}",
        "{name: a, key: /b, changed-within: 5}",
        "{name: a, key: /b, changed-within: {path: /x}}",
        "{name: a, prefix: /b, count: -1}",
        "{name: a, prefix: /b, count: {}}",
        "{name: a, prefix: /b, count: {at-leest: 1}}",
        "{name: a, prefix: /b, equals: config.jsonl}",
        "{name: a, prefix: /b, equals: '-'}",
        "{name: a, prefix: /b, size-below: 1TiB}",
        "{name: a, quota-below: 80}",
        "{name: a, quorum: maybe}",
        "{name: a, version-at-least: 3.5}",
        "{name: a, allocator: {}}",
        "{name: a, allocator: {errors: 0, cluster-id: 256}}",
        "{name: a, tree: {prefix: /a, schema: containerd, problems: 0}}",
        "{name: a, tree: {prefix: /a/, schema: containerd}}",
        "{name: a, lock: /l, held: yes please}",
        "{name: a, healthy: 3, probe-key: /p}",
    ] {
        let text = file(&[check]);
        assert!(!fits(&schema, &parsed(&text)), "the schema accepts {check}");
        Kvadm::new().args(["check", "-", "--explain"]).stdin(&text).run().code(2);
    }
    for text in ["checks: []", "check: [{name: a, healthy: 3}]", "[]", "checks: {name: a}"] {
        assert!(!fits(&schema, &parsed(text)), "{text}");
        Kvadm::new().args(["check", "-", "--explain"]).stdin(text).run().code(2);
    }
}
