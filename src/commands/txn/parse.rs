//! Parses a transaction from YAML or JSON. Every error names its position in the file. No I/O.

use serde_json::{Map, Value};

use crate::config::parse_document;
use crate::kvstore::{Compare, CompareOp, CompareTarget, KeyRange, KeySelector, LeaseId, LeaseMode, Op, Txn, Write};
use crate::output::bytes::decode_base64;
use crate::proto::Codec;

pub fn parse(text: &[u8], codec: &Codec) -> Result<Txn, String> {
    let text = std::str::from_utf8(text)
        .map_err(|_| "the file is not UTF-8: write such keys and values as key_base64 and value_base64".to_owned())?;
    txn(&parse_document(text)?, "", codec)
}

fn txn(value: &Value, path: &str, codec: &Codec) -> Result<Txn, String> {
    let fields = TxnFields::new(value, path)?;
    fields.reject_unknown(&["if", "then", "else"])?;
    Ok(Txn {
        compares: fields.list("if", |value, path| compare(value, path, codec))?,
        then: fields.list("then", |value, path| operation(value, path, codec))?,
        otherwise: fields.list("else", |value, path| operation(value, path, codec))?,
    })
}

fn compare(value: &Value, path: &str, codec: &Codec) -> Result<Compare, String> {
    let fields = TxnFields::new(value, path)?;
    let targets = ["value", "value_base64", "version", "create", "mod", "lease"];
    fields.reject_unknown(&[KEYS.as_slice(), &targets, &["op"]].concat())?;
    let op = match fields.text("op")?.unwrap_or("=") {
        "=" | "==" => CompareOp::Equal,
        "!=" => CompareOp::NotEqual,
        "<" => CompareOp::Less,
        ">" => CompareOp::Greater,
        other => return Err(format!("{path}.op: '{other}' is not one of =, !=, <, >")),
    };
    let given: Vec<&str> = targets.into_iter().filter(|name| fields.map.contains_key(*name)).collect();
    let target = match given.as_slice() {
        ["value" | "value_base64"] => {
            CompareTarget::Value(fields.value(fields.key()?.as_deref(), codec)?.unwrap_or_default())
        }
        ["version"] => CompareTarget::Version(fields.number("version")?.unwrap_or(0)),
        ["create"] => CompareTarget::Create(fields.number("create")?.unwrap_or(0)),
        ["mod"] => CompareTarget::Mod(fields.number("mod")?.unwrap_or(0)),
        ["lease"] => CompareTarget::Lease(fields.lease("lease")?),
        [] => return Err(format!("{path}: nothing to compare: add value, version, create, mod or lease")),
        _ => return Err(format!("{path}: {} cannot be combined", given.join(" and "))),
    };
    Ok(Compare { over: fields.selector()?, op, target })
}

fn operation(value: &Value, path: &str, codec: &Codec) -> Result<Op, String> {
    let fields = TxnFields::new(value, path)?;
    let (name, inner) = match fields.map.iter().collect::<Vec<_>>().as_slice() {
        [(name, inner)] => (name.as_str(), *inner),
        _ => return Err(format!("{path}: expected one of put, delete, get or txn")),
    };
    let path = format!("{path}.{name}");
    match name {
        "put" => put(&TxnFields::new(inner, &path)?, codec),
        "delete" => {
            let fields = TxnFields::new(inner, &path)?;
            fields.reject_unknown(&[KEYS.as_slice(), &["prev", "all"]].concat())?;
            let over = fields.selector()?;
            let everything = matches!(&over, KeySelector::Range(range) if *range == KeyRange::prefix(b""));
            if everything && !fields.flag("all")? {
                return Err(format!("{path}: this deletes every key; add 'all: true' if that is meant"));
            }
            Ok(Op::Delete { over, prev: fields.flag("prev")? })
        }
        "get" => get(&TxnFields::new(inner, &path)?),
        "txn" => Ok(Op::Txn(txn(inner, &path, codec)?)),
        other => Err(format!("{path}: '{other}' is not one of put, delete, get, txn")),
    }
}

fn put(fields: &TxnFields<'_>, codec: &Codec) -> Result<Op, String> {
    let known = ["key", "key_base64", "value", "value_base64", "keep_value", "lease", "keep_lease", "prev"];
    fields.reject_unknown(&known)?;
    let key = fields.key()?.ok_or_else(|| format!("{}: the key is missing", fields.path))?;
    let (value, keep_value) = match (fields.value(Some(&key), codec)?, fields.flag("keep_value")?) {
        (Some(_), true) => return Err(format!("{}: value and keep_value cannot be combined", fields.path)),
        (Some(value), false) => (value, false),
        (None, true) => (Vec::new(), true),
        (None, false) => return Err(format!("{}: the value is missing", fields.path)),
    };
    let lease = match (fields.lease("lease")?, fields.flag("keep_lease")?) {
        (Some(_), true) => return Err(format!("{}: lease and keep_lease cannot be combined", fields.path)),
        (Some(lease), false) => LeaseMode::Attach(lease),
        (None, true) => LeaseMode::Keep,
        (None, false) => LeaseMode::Detach,
    };
    Ok(Op::Put(Write { key, value, keep_value, lease, prev: fields.flag("prev")? }))
}

fn get(fields: &TxnFields<'_>) -> Result<Op, String> {
    fields.reject_unknown(&[KEYS.as_slice(), &["rev", "keys_only", "count", "limit"]].concat())?;
    let positive = |name: &str| match fields.number(name)? {
        Some(number) if number < 1 => Err(format!("{}.{name}: must be greater than 0", fields.path)),
        number => Ok(number.unwrap_or(0)),
    };
    Ok(Op::Get {
        over: fields.selector()?,
        revision: positive("rev")?,
        keys_only: fields.flag("keys_only")?,
        count_only: fields.flag("count")?,
        limit: positive("limit")?,
    })
}

/// The fields that select a key or a range.
const KEYS: [&str; 8] = ["key", "key_base64", "prefix", "prefix_base64", "from", "from_base64", "to", "to_base64"];

struct TxnFields<'a> {
    map: &'a Map<String, Value>,
    path: &'a str,
}

impl<'a> TxnFields<'a> {
    fn new(value: &'a Value, path: &'a str) -> Result<Self, String> {
        match value {
            Value::Object(map) => Ok(Self { map, path }),
            _ if path.is_empty() => Err("the file must be a mapping with if, then and else".to_owned()),
            _ => Err(format!("{path}: must be a mapping")),
        }
    }

    fn reject_unknown(&self, known: &[&str]) -> Result<(), String> {
        match self.map.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
                Err(format!("{path}unknown field '{name}' (expected one of {})", known.join(", ")))
            }
        }
    }

    fn list<T>(&self, name: &str, read: impl Fn(&Value, &str) -> Result<T, String>) -> Result<Vec<T>, String> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().enumerate().map(|(index, item)| read(item, &format!("{path}[{index}]"))).collect()
            }
            Some(_) => Err(format!("{path}: must be a list")),
        }
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            // YAML reads an unquoted 010 or 1e3 as a number, and loses its text.
            Some(_) => Err(format!("{}.{name}: must be a string; put it in quotes", self.path)),
        }
    }

    /// The bytes of `name`, or of `name_base64`.
    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let encoded = format!("{name}_base64");
        match (self.text(name)?, self.text(&encoded)?) {
            (Some(_), Some(_)) => Err(format!("{}: {name} and {encoded} cannot be combined", self.path)),
            (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
            (None, Some(text)) => match decode_base64(text) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) => Err(format!("{}.{encoded}: {error}", self.path)),
            },
            (None, None) => Ok(None),
        }
    }

    /// The bytes of `value`: those of a string, or those of a mapping encoded as the key's message type.
    fn value(&self, key: Option<&[u8]>, codec: &Codec) -> Result<Option<Vec<u8>>, String> {
        let Some(object @ Value::Object(_)) = self.map.get("value") else { return self.bytes("value") };
        match key.and_then(|key| codec.encode(key, object)) {
            None => {
                Err(format!("{}.value: a mapping needs a message type for the key (--proto and --message)", self.path))
            }
            Some(Err(why)) => Err(format!("{}.value: {why}", self.path)),
            Some(Ok(_)) if self.map.contains_key("value_base64") => self.bytes("value"),
            Some(Ok(bytes)) => Ok(Some(bytes)),
        }
    }

    fn key(&self) -> Result<Option<Vec<u8>>, String> {
        self.bytes("key")
    }

    fn selector(&self) -> Result<KeySelector, String> {
        let (key, prefix) = (self.key()?, self.bytes("prefix")?);
        let (from, to) = (self.bytes("from")?, self.bytes("to")?);
        match (key, prefix, from, to) {
            (Some(key), None, None, None) => Ok(KeySelector::Key(key)),
            (None, Some(prefix), None, None) => Ok(KeySelector::Range(KeyRange::prefix(&prefix))),
            (None, None, Some(from), to) => {
                let range = KeyRange::between(&from, to.as_deref());
                if range.is_empty() {
                    Err(format!("{}: empty range: from is not less than to", self.path))
                } else {
                    Ok(KeySelector::Range(range))
                }
            }
            (None, None, None, None) => Err(format!("{}: the key, prefix or from is missing", self.path)),
            _ => Err(format!("{}: key, prefix and from cannot be combined", self.path)),
        }
    }

    fn number(&self, name: &str) -> Result<Option<i64>, String> {
        match self.map.get(name) {
            None => Ok(None),
            Some(value) => match value.as_i64().filter(|number| *number >= 0) {
                Some(number) => Ok(Some(number)),
                None => Err(format!("{}.{name}: must be a whole number", self.path)),
            },
        }
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        match self.map.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(format!("{}.{name}: must be true or false", self.path)),
        }
    }

    /// A lease ID in hex; 0 and `none` mean no lease. Other numbers are refused as ambiguous: a decimal ID of etcdctl's
    /// JSON, YAML's `0x1f`, or hex without letters.
    fn lease(&self, name: &str) -> Result<Option<LeaseId>, String> {
        let text = match self.map.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.as_i64() == Some(0) => return Ok(None),
            Some(Value::Number(_)) => {
                return Err(format!("{}.{name}: must be a string; put the hex ID in quotes", self.path));
            }
            Some(_) => return Err(format!("{}.{name}: must be a lease ID in hex", self.path)),
        };
        if text == "none" {
            return Ok(None);
        }
        match text.parse::<LeaseId>() {
            Ok(lease) => Ok(LeaseId::from_wire(lease.0)),
            Err(_) => Err(format!("{}.{name}: '{text}' is not a lease ID in hex", self.path)),
        }
    }
}

#[cfg(test)]
mod fuzz_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_equivalent() {
        let yaml = "if:\n- {key: /a, value: x}\n- {prefix: /p/, op: <, mod: 7}\nthen:\n- put: {key: /a, value: y, lease: 1f}\n- delete: {from: b, to: c, prev: true}\nelse:\n- get: {key: /a, rev: 3}\n";
        let json = r#"{"if":[{"key":"/a","value":"x"},{"prefix":"/p/","op":"<","mod":7}],
            "then":[{"put":{"key_base64":"L2E=","value":"y","lease":"1f"}},{"delete":{"from":"b","to":"c","prev":true}}],
            "else":[{"get":{"key":"/a","rev":3}}]}"#;
        let txn = parse(yaml.as_bytes(), &Codec::default()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(Ok(&txn), parse(json.as_bytes(), &Codec::default()).as_ref());
        assert_eq!(txn.compares.len(), 2);
        assert_eq!(
            txn.then[0],
            Op::Put(Write {
                key: b"/a".to_vec(),
                value: b"y".to_vec(),
                lease: LeaseMode::Attach(LeaseId(0x1f)),
                ..Write::default()
            })
        );
    }

    #[test]
    fn errors_name_the_position() {
        let error_of = |text: &str| parse(text.as_bytes(), &Codec::default()).err().unwrap_or_default();
        assert_eq!(error_of("[]"), "the file must be a mapping with if, then and else");
        assert_eq!(error_of("when: []"), "unknown field 'when' (expected one of if, then, else)");
        assert_eq!(
            error_of("then: [{put: {key: a, value: 5}}]"),
            "then[0].put.value: must be a string; put it in quotes"
        );
        assert_eq!(error_of("then: [{put: {key: a}}]"), "then[0].put: the value is missing");
        assert_eq!(
            error_of("then: [{put: {key: a, value: b, keep_value: true}}]"),
            "then[0].put: value and keep_value cannot be combined"
        );
        assert_eq!(error_of("then: [{put: {value: a}}]"), "then[0].put: the key is missing");
        assert_eq!(error_of("if: [{key: a}]"), "if[0]: nothing to compare: add value, version, create, mod or lease");
        assert_eq!(error_of("if: [{key: a, mod: 1, version: 1}]"), "if[0]: version and mod cannot be combined");
        assert_eq!(error_of("if: [{key: a, mod: 1, op: '>='}]"), "if[0].op: '>=' is not one of =, !=, <, >");
        assert_eq!(
            error_of("else: [{txn: {then: [{get: {from: b, to: a}}]}}]"),
            "else[0].txn.then[0].get: empty range: from is not less than to"
        );
        assert_eq!(error_of("then: [{get: {key_base64: '*'}}]").split(':').next(), Some("then[0].get.key_base64"));
        assert!(!error_of("then: [\n").is_empty());
        for number in ["31", "0x1f", "1e5"] {
            let put = format!("then: [{{put: {{key: a, value: b, lease: {number}}}}}]");
            assert_eq!(error_of(&put), "then[0].put.lease: must be a string; put the hex ID in quotes");
        }
    }
}
