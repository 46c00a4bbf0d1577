//! Conditions of rules, and near misses.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;

fn holds(test: Value, document: &Value) -> bool {
    JsonTest::read(&test).unwrap().holds(document)
}

#[test]
fn conditions_on_json() {
    let document = json!({"spec": {"replicas": 3, "big": "18446744073709551615", "on": true}, "a/b": [1.0, "x"]});
    assert!(holds(json!({"path": "/spec/replicas", "at-least": 2, "below": 3.5}), &document));
    assert!(!holds(json!({"path": "/spec/replicas", "above": 3}), &document));
    assert!(holds(json!({"path": "/spec/big", "equals": u64::MAX}), &document));
    assert!(!holds(json!({"path": "/spec/big", "equals": u64::MAX - 1}), &document));
    assert!(holds(json!({"path": "/a~1b/0", "equals": 1}), &document));
    assert!(holds(json!({"path": "/a~1b", "equals": [1, "x"]}), &document));
    assert!(holds(json!({"path": "/spec/on", "equals": true, "exists": true}), &document));
    assert!(!holds(json!({"path": "/spec/on", "equals": "true"}), &document));
    assert!(holds(json!({"path": "/none", "exists": false}), &document));
    assert!(!holds(json!({"path": "/none", "equals": null}), &document));
    assert!(!holds(json!({"path": "/spec", "at-least": 0}), &document), "an object is no number");
    assert!(holds(json!({"path": "/spec/replicas", "matches": "^[0-9]$"}), &document));
    assert!(!holds(json!({"path": "/spec", "matches": "."}), &document));
}

#[test]
fn near_misses_are_refused() {
    for test in [
        json!({"path": "/a"}),
        json!({"equals": 1}),
        json!({"path": "a", "equals": 1}),
        json!({"path": "/a", "equal": 1}),
        json!({"path": "/a", "exists": false, "equals": 1}),
        json!({"path": "/a", "at-least": "1"}),
        json!({"path": "/a", "at-least": 2, "at-most": 1}),
        json!([]),
    ] {
        assert!(JsonTest::read(&test).is_err(), "{test}");
    }
    for source in [json!("-"), json!("config.jsonl"), json!({"ignore": "lease"}), json!({"source": "rev:0"}), json!(1)]
    {
        assert!(SourceTest::read(&source).is_err(), "{source}");
    }
    for test in
        [json!({}), json!({"errors": -1}), json!({"errors": 0, "cluster-id": 256}), json!({"errors": 0, "base": ""})]
    {
        assert!(AllocatorTest::read(&test).is_err(), "{test}");
    }
    for test in [
        json!({"prefix": "/a", "schema": "containerd", "problems": 0}),
        json!({"prefix": "/a/", "schema": "containerd"}),
        json!({"prefix": "/a/", "problems": 0}),
        json!({"prefix": "/a/", "schema": "containerd", "garbage-below": 0}),
    ] {
        assert!(TreeTest::read(&test).is_err(), "{test}");
    }
}
