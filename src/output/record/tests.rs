//! Tests of records that are written and read back.

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
        assert!(read(field, &format!("{field},{field}")).is_err_and(|why| why.contains("duplicate field")), "{field}");
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
        said(r#"{"key":"a","value":{}}"#).is_err_and(|e| e.contains("is an object, but this key has no message type"))
    );
    assert!(said(r#"{"key_base64":"*","value":""}"#).is_err_and(|e| e.starts_with("key_base64: ")));
    assert!(said("[]").is_err() && said("{").is_err() && said("null").is_err());
}

/// A word is text in every format.
#[test]
fn a_word_is_the_same_as_text() {
    struct Row(bool);
    impl Record for Row {
        fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
            let word = "a\u{1b}b";
            visit(always("state", if self.0 { Value::Word(word, Tone::Bad) } else { Value::Str(word) }));
        }
    }
    let shown = |row: Row| {
        let (mut text, mut object, mut document, mut raw) = (String::new(), Vec::new(), Vec::new(), Vec::new());
        crate::output::text::line(&mut text, &row);
        crate::output::text::line_for_terminal(&mut text, &row, false);
        json::line(&mut object, &row);
        crate::output::yaml::document(&mut document, &row);
        let is_raw = crate::output::raw::value(&mut raw, &row);
        (text, object, document, raw, is_raw)
    };
    assert_eq!(shown(Row(true)), shown(Row(false)));
}
