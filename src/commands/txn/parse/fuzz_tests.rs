//! Transactions that are written down in every way there is, and files that are nearly one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::parse;
use crate::fuzzing::{check_message, damage, damaged};
use crate::kvstore::{Compare, CompareOp, CompareTarget, KeyRange, KeySelector, LeaseId, LeaseMode, Op, Txn, Write};
use crate::proto::Codec;

/// A piece of a transaction, and how it is written.
type Written<T> = (T, Map<String, Value>);

const SAMPLE: &str = "\
if:
- {key: /a, value: x}
- {prefix: /p/, op: <, mod: 7}
- {key_base64: L2E=, op: '!=', lease: '1f'}
then:
- put: {key: /a, value: y, lease: '1f', prev: true}
- put:
    key: /b
    value_base64: AP8=
    keep_lease: true
- delete: {from: b, to: c, prev: true}
else:
- get: {key: /a, rev: 3, limit: 2, keys_only: true}
- txn:
    if: [{key: c, version: 0}]
    then: [{get: {prefix: '', count: true}}]
";

fn read(text: &[u8]) -> Result<Txn, String> {
    parse(text, &Codec::default())
}

fn some_bytes(least: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), least..6), "[a-z/\u{e9}\u{1f980}\"\\\\\n:#]{1,6}".prop_map(String::into_bytes)]
}

fn named(name: &str, bytes: &[u8], encoded: bool) -> (String, Value) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !encoded => (name.to_owned(), text.into()),
        _ => (format!("{name}_base64"), STANDARD.encode(bytes).into()),
    }
}

fn over() -> impl Strategy<Value = Written<KeySelector>> {
    let key = (some_bytes(1), any::<bool>()).prop_map(|(key, encoded)| {
        (KeySelector::Key(key.clone()), [named("key", &key, encoded)].into_iter().collect())
    });
    let prefix = (some_bytes(0), any::<bool>()).prop_map(|(prefix, encoded)| {
        (KeySelector::Range(KeyRange::prefix(&prefix)), [named("prefix", &prefix, encoded)].into_iter().collect())
    });
    let ends = (some_bytes(0), proptest::option::of(some_bytes(1)), any::<bool>());
    let ends = ends.prop_filter_map("nothing is between", |(from, to, encoded)| {
        let range = KeyRange::between(&from, to.as_deref());
        let to = to.map(|to| named("to", &to, !encoded));
        let written = [named("from", &from, encoded)].into_iter().chain(to).collect();
        (!range.is_empty()).then_some((KeySelector::Range(range), written))
    });
    prop_oneof![key, prefix, ends]
}

fn lease() -> impl Strategy<Value = (Option<LeaseId>, Value)> {
    prop_oneof![
        any::<i64>().prop_map(|id| (LeaseId::from_wire(id), format!("{id:x}").into())),
        Just((None, "none".into())),
        Just((None, 0.into())),
    ]
}

fn compare() -> impl Strategy<Value = Written<Compare>> {
    let number = 0..=i64::MAX;
    let target = prop_oneof![
        (some_bytes(0), any::<bool>())
            .prop_map(|(value, encoded)| (CompareTarget::Value(value.clone()), named("value", &value, encoded))),
        number.clone().prop_map(|n| (CompareTarget::Version(n), ("version".to_owned(), n.into()))),
        number.clone().prop_map(|n| (CompareTarget::Create(n), ("create".to_owned(), n.into()))),
        number.prop_map(|n| (CompareTarget::Mod(n), ("mod".to_owned(), n.into()))),
        lease().prop_map(|(id, written)| (CompareTarget::Lease(id), ("lease".to_owned(), written))),
    ];
    let op = prop::sample::select(vec![
        (CompareOp::Equal, ""),
        (CompareOp::Equal, "="),
        (CompareOp::Equal, "=="),
        (CompareOp::NotEqual, "!="),
        (CompareOp::Less, "<"),
        (CompareOp::Greater, ">"),
    ]);
    (over(), target, op).prop_map(|((over, mut written), (target, (name, value)), (op, sign))| {
        written.insert(name, value);
        if !sign.is_empty() {
            written.insert("op".to_owned(), sign.into());
        }
        (Compare { over, op, target }, written)
    })
}

fn put() -> impl Strategy<Value = Written<Op>> {
    let mode = prop_oneof![
        Just((LeaseMode::Detach, None)),
        Just((LeaseMode::Keep, Some(("keep_lease", json!(true))))),
        lease().prop_map(|(id, text)| (id.map_or(LeaseMode::Detach, LeaseMode::Attach), Some(("lease", text)))),
    ];
    // An explicit lease 0 and an absent lease differ in kvadm but not on the wire.
    let mode = mode.prop_filter("a lease of none", |(_, written)| match written {
        Some(("lease", text)) => !matches!(text.as_str(), None | Some("none" | "0")),
        _ => true,
    });
    (some_bytes(1), some_bytes(0), any::<[bool; 4]>(), mode).prop_map(
        |(key, value, [one, two, prev, keep_value], (lease, said))| {
            let value = if keep_value { Vec::new() } else { value };
            let said_value =
                if keep_value { ("keep_value".to_owned(), true.into()) } else { named("value", &value, two) };
            let mut written: Map<_, _> = [named("key", &key, one), said_value].into_iter().collect();
            written.extend(said.map(|(name, value)| (name.to_owned(), value)));
            written.insert("prev".to_owned(), prev.into());
            (
                Op::Put(Write { key, value, keep_value, lease, prev }),
                json!({ "put": written }).as_object().cloned().unwrap_or_default(),
            )
        },
    )
}

fn operation() -> impl Strategy<Value = Written<Op>> {
    let delete = (over(), any::<bool>()).prop_map(|((over, mut written), prev)| {
        written.insert("prev".to_owned(), prev.into());
        written.insert("all".to_owned(), true.into());
        (Op::Delete { over, prev }, [("delete".to_owned(), written.into())].into_iter().collect())
    });
    let get = (over(), any::<[bool; 2]>(), 1..=i64::MAX, 1..=i64::MAX);
    let get = get.prop_map(|((over, mut written), [keys_only, count_only], revision, limit)| {
        written.insert("keys_only".to_owned(), keys_only.into());
        written.insert("count".to_owned(), count_only.into());
        written.insert("rev".to_owned(), revision.into());
        written.insert("limit".to_owned(), limit.into());
        let op = Op::Get { over, revision, keys_only, count_only, limit };
        (op, [("get".to_owned(), written.into())].into_iter().collect())
    });
    prop_oneof![put(), delete, get]
}

fn transaction() -> impl Strategy<Value = Written<Txn>> {
    let leaf = Just((Txn { compares: vec![], then: vec![], otherwise: vec![] }, Map::new()));
    leaf.prop_recursive(2, 12, 3, |inner| {
        let nested = inner.prop_map(|(txn, written)| {
            (Op::Txn(txn), [("txn".to_owned(), Value::Object(written))].into_iter().collect::<Map<_, _>>())
        });
        let branch = || vec(prop_oneof![3 => operation(), 1 => nested.clone()], 0..3);
        (vec(compare(), 0..3), branch(), branch()).prop_map(|(compares, then, otherwise)| {
            let (compares, ifs): (Vec<_>, Vec<_>) = compares.into_iter().unzip();
            let (then, thens): (Vec<_>, Vec<_>) = then.into_iter().unzip();
            let (otherwise, elses): (Vec<_>, Vec<_>) = otherwise.into_iter().unzip();
            let written = json!({ "if": ifs, "then": thens, "else": elses });
            (Txn { compares, then, otherwise }, written.as_object().cloned().unwrap_or_default())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_written_down_is_what_is_read((txn, written) in transaction()) {
        let json = Value::Object(written);
        prop_assert_eq!(read(json.to_string().as_bytes()), Ok(txn.clone()));
        let yaml = serde_yaml::to_string(&json).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(read(yaml.as_bytes()), Ok(txn), "{}", yaml);
    }

    /// Half a transaction, or one and a bit, would be another one.
    #[test]
    fn what_is_cut_off_or_goes_on_is_refused((_, written) in transaction(), at in any::<prop::sample::Index>(), byte in "[]}a0,\"]") {
        let text = Value::Object(written).to_string();
        let cut = &text.as_bytes()[..at.index(text.len())];
        prop_assert!(read(cut).is_err(), "{}", String::from_utf8_lossy(cut));
        prop_assert!(read(format!("{text}\n{byte}").as_bytes()).is_err(), "{text}{byte}");
        prop_assert!(read(format!("{text}\n---\n{text}").as_bytes()).is_err(), "{text} twice");
    }

    /// Whatever is damaged: an answer, in words. What is still read has the sample's fields only.
    #[test]
    fn a_damaged_file_gets_an_answer(damage in damage()) {
        if let Err(message) = read(&damaged(SAMPLE.as_bytes(), &damage)) {
            check_message(&message)?;
        }
    }
}

/// The message leads to the field.
#[test]
fn a_field_that_is_wrong_is_named() {
    let wrong = [
        ("key", json!(5)),
        ("key", json!(null)),
        ("key_base64", json!("L2E")),
        ("key_base64", json!("*")),
        ("value", json!([])),
        ("value_base64", json!("AP8=\n")),
        ("lease", json!(31)),
        ("lease", json!("-1f")),
        ("lease", json!("+1f")),
        ("lease", json!("0x")),
        ("lease", json!("10000000000000000")),
        ("keep_lease", json!("true")),
        ("prev", json!(1)),
        ("rev", json!(0)),
        ("rev", json!(-1)),
        ("rev", json!(1.5)),
        ("rev", json!(u64::MAX)),
        ("limit", json!("1")),
        ("count", json!(null)),
        ("colour", json!("red")),
        ("op", json!("<>")),
    ];
    let places = [
        ("if[0]", "/if/0"),
        ("then[0].put", "/then/0/put"),
        ("then[1].delete", "/then/1/delete"),
        ("then[2].get", "/then/2/get"),
        ("else[0].txn.then[0].get", "/else/0/txn/then/0/get"),
    ];
    let sound = json!({
        "if": [{"key": "a", "mod": 1}],
        "then": [{"put": {"key": "a", "value": "b"}}, {"delete": {"key": "a"}}, {"get": {"key": "a"}}],
        "else": [{"txn": {"then": [{"get": {"key": "a"}}]}}],
    });
    assert!(read(sound.to_string().as_bytes()).is_ok());
    for ((name, wrong), (at, pointer)) in wrong.iter().flat_map(|wrong| places.map(|place| (wrong, place))) {
        let mut document = sound.clone();
        if let Some(Value::Object(fields)) = document.pointer_mut(pointer) {
            if !matches!(*name, "keep_lease" | "prev" | "rev" | "limit" | "count" | "colour" | "op") {
                fields.retain(|other, _| {
                    other != name.trim_end_matches("_base64") && (other != "mod" || name.starts_with("key"))
                });
            }
            fields.insert((*name).to_owned(), wrong.clone());
        }
        let message = read(document.to_string().as_bytes()).err().unwrap_or_default();
        assert!(message.starts_with(at) && message.contains(name) && !message.ends_with('.'), "{document}: {message}");
    }
}

#[test]
fn depth_has_an_end() {
    for (open, close) in [("[", "]"), ("{\"else\":[{\"txn\":", "}]}")] {
        for depth in [40, 200, 3_000] {
            let text = format!("{}{{}}{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(read(text.as_bytes()).is_ok(), open != "[" && depth == 40, "{open} {depth}");
        }
    }
    let laughs: String = (1..30).map(|n| format!("k{n}: &a{n} [*a{m}, *a{m}, *a{m}]\n", m = n - 1)).collect();
    assert!(read(format!("k0: &a0 [x]\n{laughs}").as_bytes()).is_err());
}
