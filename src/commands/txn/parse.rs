//! Reading a transaction from YAML or JSON. Pure; every error says where in the file it is.

use serde_json::{Map, Value};

use crate::config::parse_document;
use crate::kvstore::{Compare, CompareOp, CompareTarget, KeyRange, KeySelector, LeaseId, LeaseMode, Op, Txn, Write};
use crate::output::bytes::decode_base64;
use crate::proto::Codec;

/// Reads the transaction.
pub fn parse(text: &[u8], codec: &Codec) -> Result<Txn, String> {
    let text =
        std::str::from_utf8(text).map_err(|_| "the file is not UTF-8 (use key_base64 and value_base64)".to_owned())?;
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
        other => return Err(format!("{path}.op: '{other}' is none of =, !=, <, >")),
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
        [] => return Err(format!("{path}: compares nothing: give value, version, create, mod or lease")),
        _ => return Err(format!("{path}: {} exclude each other", given.join(" and "))),
    };
    Ok(Compare { over: fields.selector()?, op, target })
}

fn operation(value: &Value, path: &str, codec: &Codec) -> Result<Op, String> {
    let fields = TxnFields::new(value, path)?;
    let (name, inner) = match fields.map.iter().collect::<Vec<_>>().as_slice() {
        [(name, inner)] => (name.as_str(), *inner),
        _ => return Err(format!("{path}: one of put, delete, get or txn")),
    };
    let path = format!("{path}.{name}");
    match name {
        "put" => put(&TxnFields::new(inner, &path)?, codec),
        "delete" => {
            let fields = TxnFields::new(inner, &path)?;
            fields.reject_unknown(&[KEYS.as_slice(), &["prev"]].concat())?;
            Ok(Op::Delete { over: fields.selector()?, prev: fields.flag("prev")? })
        }
        "get" => get(&TxnFields::new(inner, &path)?),
        "txn" => Ok(Op::Txn(txn(inner, &path, codec)?)),
        other => Err(format!("{path}: '{other}' is none of put, delete, get, txn")),
    }
}

fn put(fields: &TxnFields<'_>, codec: &Codec) -> Result<Op, String> {
    fields.reject_unknown(&["key", "key_base64", "value", "value_base64", "lease", "keep_lease", "prev"])?;
    let key = fields.key()?.ok_or_else(|| format!("{}: no key", fields.path))?;
    let value = fields.value(Some(&key), codec)?.ok_or_else(|| format!("{}: no value", fields.path))?;
    let lease = match (fields.lease("lease")?, fields.flag("keep_lease")?) {
        (Some(_), true) => return Err(format!("{}: lease and keep_lease exclude each other", fields.path)),
        (Some(lease), false) => LeaseMode::Attach(lease),
        (None, true) => LeaseMode::Keep,
        (None, false) => LeaseMode::Detach,
    };
    Ok(Op::Put(Write { key, value, lease, prev: fields.flag("prev")? }))
}

fn get(fields: &TxnFields<'_>) -> Result<Op, String> {
    fields.reject_unknown(&[KEYS.as_slice(), &["rev", "keys_only", "count", "limit"]].concat())?;
    let positive = |name: &str| match fields.number(name)? {
        Some(number) if number < 1 => Err(format!("{}.{name}: must be above 0", fields.path)),
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

/// How a key or range is named.
const KEYS: [&str; 8] = ["key", "key_base64", "prefix", "prefix_base64", "from", "from_base64", "to", "to_base64"];

struct TxnFields<'a> {
    map: &'a Map<String, Value>,
    path: &'a str,
}

impl<'a> TxnFields<'a> {
    fn new(value: &'a Value, path: &'a str) -> Result<Self, String> {
        match value {
            Value::Object(map) => Ok(Self { map, path }),
            _ if path.is_empty() => Err("the file is not a mapping with if, then and else".to_owned()),
            _ => Err(format!("{path}: not a mapping")),
        }
    }

    fn reject_unknown(&self, known: &[&str]) -> Result<(), String> {
        match self.map.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
                Err(format!("{path}'{name}' is not known here ({})", known.join(", ")))
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
            Some(_) => Err(format!("{path}: not a list")),
        }
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            // 010 or 1e3 would not be the text that was meant.
            Some(_) => Err(format!("{}.{name}: not a text; put it in quotes", self.path)),
        }
    }

    /// The bytes of `name`, or of `name_base64`.
    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let encoded = format!("{name}_base64");
        match (self.text(name)?, self.text(&encoded)?) {
            (Some(_), Some(_)) => Err(format!("{}: {name} and {encoded} exclude each other", self.path)),
            (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
            (None, Some(text)) => match decode_base64(text) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) => Err(format!("{}.{encoded}: {error}", self.path)),
            },
            (None, None) => Ok(None),
        }
    }

    /// The bytes of `value`: a text's own, or the message that a mapping says where the key's type is known.
    fn value(&self, key: Option<&[u8]>, codec: &Codec) -> Result<Option<Vec<u8>>, String> {
        let Some(object @ Value::Object(_)) = self.map.get("value") else { return self.bytes("value") };
        match key.and_then(|key| codec.encode(key, object)) {
            None => Err(format!("{}.value: a mapping, and no message type is given for the key (--proto)", self.path)),
            Some(Err(why)) => Err(format!("{}.value: {why}", self.path)),
            Some(Ok(_)) if self.map.contains_key("value_base64") => self.bytes("value"),
            Some(Ok(bytes)) => Ok(Some(bytes)),
        }
    }

    fn key(&self) -> Result<Option<Vec<u8>>, String> {
        match self.bytes("key")? {
            Some(key) if key.is_empty() => Err(format!("{}: the key is empty", self.path)),
            key => Ok(key),
        }
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
                    Err(format!("{}: from is not below to", self.path))
                } else {
                    Ok(KeySelector::Range(range))
                }
            }
            (None, None, None, None) => Err(format!("{}: no key, prefix or from", self.path)),
            _ => Err(format!("{}: key, prefix, and from with to exclude each other", self.path)),
        }
    }

    fn number(&self, name: &str) -> Result<Option<i64>, String> {
        match self.map.get(name) {
            None => Ok(None),
            Some(value) => match value.as_i64().filter(|number| *number >= 0) {
                Some(number) => Ok(Some(number)),
                None => Err(format!("{}.{name}: not a whole number", self.path)),
            },
        }
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        match self.map.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(format!("{}.{name}: true or false", self.path)),
        }
    }

    /// A lease ID in hex; 0 and `none` are no lease. Any other number is refused: it may be an ID in decimal, as
    /// etcdctl's JSON has it, or YAML's `0x1f`, or hex that happens to have digits alone.
    fn lease(&self, name: &str) -> Result<Option<LeaseId>, String> {
        let text = match self.map.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.as_i64() == Some(0) => return Ok(None),
            Some(Value::Number(_)) => {
                return Err(format!("{}.{name}: not a text; put the hex ID in quotes", self.path));
            }
            Some(_) => return Err(format!("{}.{name}: a lease ID in hex", self.path)),
        };
        if text == "none" {
            return Ok(None);
        }
        match text.parse::<LeaseId>() {
            Ok(lease) => Ok(LeaseId::from_wire(lease.0)),
            Err(_) => Err(format!("{}.{name}: '{text}' is no lease ID in hex", self.path)),
        }
    }
}

#[cfg(test)]
mod fuzz_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_say_the_same() {
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
                prev: false
            })
        );
    }

    #[test]
    fn errors_say_where() {
        let error_of = |text: &str| parse(text.as_bytes(), &Codec::default()).err().unwrap_or_default();
        assert_eq!(error_of("[]"), "the file is not a mapping with if, then and else");
        assert_eq!(error_of("when: []"), "'when' is not known here (if, then, else)");
        assert_eq!(error_of("then: [{put: {key: a, value: 5}}]"), "then[0].put.value: not a text; put it in quotes");
        assert_eq!(error_of("then: [{put: {key: a}}]"), "then[0].put: no value");
        assert_eq!(error_of("then: [{put: {value: a}}]"), "then[0].put: no key");
        assert_eq!(error_of("then: [{get: {key: ''}}]"), "then[0].get: the key is empty");
        assert_eq!(error_of("if: [{key: a}]"), "if[0]: compares nothing: give value, version, create, mod or lease");
        assert_eq!(error_of("if: [{key: a, mod: 1, version: 1}]"), "if[0]: version and mod exclude each other");
        assert_eq!(error_of("if: [{key: a, mod: 1, op: '>='}]"), "if[0].op: '>=' is none of =, !=, <, >");
        assert_eq!(
            error_of("else: [{txn: {then: [{get: {from: b, to: a}}]}}]"),
            "else[0].txn.then[0].get: from is not below to"
        );
        assert_eq!(error_of("then: [{get: {key_base64: '*'}}]").split(':').next(), Some("then[0].get.key_base64"));
        assert!(!error_of("then: [\n").is_empty());
        for number in ["31", "0x1f", "1e5"] {
            let put = format!("then: [{{put: {{key: a, value: b, lease: {number}}}}}]");
            assert_eq!(error_of(&put), "then[0].put.lease: not a text; put the hex ID in quotes");
        }
    }
}
