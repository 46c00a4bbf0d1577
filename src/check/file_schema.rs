//! The JSON Schema of check files, made of the catalog of rules.

use serde_json::{Map, Value, json};

use super::catalog::{RULES, RuleInfo, RuleShape, RuleSubject};

/// The schema, in the draft of 2020-12.
pub fn file_schema() -> Value {
    let mut properties = Map::new();
    let text = |description: &str| json!({"type": "string", "minLength": 1, "description": description});
    properties.insert(
        "name".to_owned(),
        json!({
            "type": "string", "minLength": 1, "maxLength": 200,
            "description": "the name of the check, unique in the file",
        }),
    );
    properties.insert("key".to_owned(), text("the key that the rules are about"));
    properties.insert(
        "prefix".to_owned(),
        json!({
            "type": "string", "description": "the rules are about all keys with this prefix",
        }),
    );
    properties.insert("lock".to_owned(), text("the lock that the rules are about"));
    properties.insert(
        "escape".to_owned(),
        json!({
            "type": "boolean", "description": "decode \\xNN, \\n, \\t, \\r, \\0 and \\\\ in keys and in value",
        }),
    );
    properties.insert("probe-key".to_owned(), text("the key that write-latency-below writes"));
    properties.extend(RULES.iter().map(|rule| (rule.name.to_owned(), rule_schema(rule))));
    let mut needs = Map::new();
    for rule in RULES {
        let subject = match rule.subject {
            RuleSubject::Cluster | RuleSubject::Own => continue,
            RuleSubject::Key => json!({"required": ["key"]}),
            RuleSubject::Prefix => json!({"required": ["prefix"]}),
            RuleSubject::Lock => json!({"required": ["lock"]}),
            RuleSubject::KeyOrPrefix => json!({"anyOf": [{"required": ["key"]}, {"required": ["prefix"]}]}),
        };
        needs.insert(rule.name.to_owned(), subject);
    }
    needs.insert("probe-key".to_owned(), json!({"required": ["write-latency-below"]}));
    let of = |fits: fn(RuleSubject) -> bool| {
        let rules = RULES.iter().filter(|rule| fits(rule.subject));
        Value::Array(rules.map(|rule| json!({"required": [rule.name]})).collect())
    };
    needs.insert(
        "key".to_owned(),
        json!({"anyOf": of(|subject| matches!(subject, RuleSubject::Key | RuleSubject::KeyOrPrefix))}),
    );
    needs.insert(
        "prefix".to_owned(),
        json!({"anyOf": of(|subject| matches!(subject, RuleSubject::Prefix | RuleSubject::KeyOrPrefix))}),
    );
    needs.insert("lock".to_owned(), json!({"anyOf": of(|subject| subject == RuleSubject::Lock)}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kvadm check file",
        "type": "object",
        "required": ["checks"],
        "additionalProperties": false,
        "properties": {"checks": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1000,
            "items": {
                "type": "object",
                "required": ["name"],
                "minProperties": 2,
                "additionalProperties": false,
                "properties": properties,
                "dependentSchemas": needs,
                "not": {"anyOf": [
                    {"required": ["key", "prefix"]}, {"required": ["key", "lock"]}, {"required": ["prefix", "lock"]},
                ]},
            },
        }},
    })
}

fn rule_schema(rule: &RuleInfo) -> Value {
    let mut schema = shape_schema(rule.shape);
    if let Value::Object(fields) = &mut schema {
        fields.insert("description".to_owned(), rule.meaning.into());
    }
    schema
}

fn whole() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn duration() -> Value {
    json!({"type": "string", "pattern": "^\\s*\\+?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)"})
}

fn percent() -> Value {
    json!({"type": "string", "pattern": "^\\s*[0-9.]+\\s*%$"})
}

fn limits(with_equals: bool) -> Map<String, Value> {
    let names = ["equals", "at-least", "at-most", "above", "below"];
    let given = names.iter().filter(|name| with_equals || **name != "equals");
    given.map(|name| ((*name).to_owned(), json!({"type": "number"}))).collect()
}

fn object(properties: impl Into<Value>, required: &[&str]) -> Value {
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties.into()})
}

fn shape_schema(shape: RuleShape) -> Value {
    match shape {
        RuleShape::OnlyTrue => json!({"const": true}),
        RuleShape::Flag => json!({"type": "boolean"}),
        RuleShape::TrueOrCount => json!({"anyOf": [{"const": true}, {"type": "integer", "minimum": 1}]}),
        RuleShape::Count => whole(),
        RuleShape::Limits => {
            let mut given = object(limits(true), &[]);
            if let Value::Object(fields) = &mut given {
                fields.insert("minProperties".to_owned(), 1.into());
            }
            json!({"anyOf": [whole(), given]})
        }
        RuleShape::Size => json!({"anyOf": [
            {"type": "integer", "minimum": 1},
            {"type": "string", "pattern": "^\\s*[0-9.]+\\s*(B|kB|MB|GB|KiB|MiB|GiB)?$"},
        ]}),
        RuleShape::Percent => percent(),
        RuleShape::TimeSpan => duration(),
        RuleShape::Text => json!({"type": "string"}),
        RuleShape::Version => json!({"type": "string", "pattern": "^[0-9]+\\.[0-9]+(\\.[0-9]+.*)?$"}),
        RuleShape::Quorum => json!({"enum": ["read", "write"]}),
        RuleShape::Json => {
            let mut fields = limits(false);
            fields.insert("path".to_owned(), json!({"type": "string", "pattern": "^(/.*)?$"}));
            fields.insert("equals".to_owned(), json!({}));
            fields.insert("matches".to_owned(), json!({"type": "string", "minLength": 1}));
            fields.insert("exists".to_owned(), json!({"type": "boolean"}));
            let mut schema = object(fields, &["path"]);
            if let Value::Object(fields) = &mut schema {
                fields.insert("minProperties".to_owned(), 2.into());
            }
            schema
        }
        RuleShape::Age => {
            let fields = json!({"within": duration(), "path": {"type": "string", "pattern": "^(/.*)?$"}});
            json!({"anyOf": [duration(), object(fields, &["within"])]})
        }
        RuleShape::Source => {
            let source = json!({"type": "string", "pattern": "^(rev|context|file|db):.+$"});
            let fields = json!({"source": source, "source-prefix": {"type": "string"}, "ignore": {"enum": ["lease"]}});
            json!({"anyOf": [source, object(fields, &["source"])]})
        }
        RuleShape::Allocator => {
            let fields = json!({
                "base": {"type": "string", "minLength": 1},
                "min": whole(),
                "max": whole(),
                "cluster-id": {"type": "integer", "minimum": 0, "maximum": 255},
                "errors": whole(),
                "warnings": whole(),
                "used-below": percent(),
            });
            let mut schema = object(fields, &[]);
            if let Value::Object(fields) = &mut schema {
                let one = json!([{"required": ["errors"]}, {"required": ["warnings"]}, {"required": ["used-below"]}]);
                fields.insert("anyOf".to_owned(), one);
            }
            schema
        }
        RuleShape::Tree => {
            let fields = json!({
                "prefix": {"type": "string", "pattern": "^(.*/)?$"},
                "schema": {"type": "string", "minLength": 1},
                "problems": whole(),
                "garbage-below": {"anyOf": [{"type": "integer", "minimum": 1}, percent()]},
            });
            let mut schema = object(fields, &["prefix", "schema"]);
            if let Value::Object(fields) = &mut schema {
                let one = json!([{"required": ["problems"]}, {"required": ["garbage-below"]}]);
                fields.insert("anyOf".to_owned(), one);
            }
            schema
        }
    }
}
