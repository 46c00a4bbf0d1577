//! JSON as input: what is refused.

use super::*;

#[test]
fn json_that_is_not_an_object_of_its_type_is_refused() {
    let generic = decoded(&Kubernetes::default(), fixture("pod")).json;
    let mut renamed = generic.clone();
    renamed["metadata"]["name"] = json!("other");
    let mut extended = generic.clone();
    extended["spec"] = json!({});
    let both = "the stored value is in field raw, and the other fields do not match it";
    let mut retyped = generic.clone();
    retyped["kind"] = json!("Secret");
    let cases = [
        (json!([]), "not a Kubernetes object: not a JSON object"),
        (json!({"kind": "Pod"}), "not a Kubernetes object: it needs the text field apiVersion"),
        (json!({"apiVersion": "v1", "kind": 5}), "not a Kubernetes object: it needs the text field kind"),
        (json!({"apiVersion": "v1", "kind": ""}), "not a Kubernetes object: it needs the text field kind"),
        (json!({"apiVersion": "v1", "kind": "Pod", "raw": "?"}), "field raw: not valid base64"),
        (
            json!({"apiVersion": "v1", "kind": "Pod", "raw": "CgA="}),
            "field raw: not the stored value of a Kubernetes object",
        ),
        (renamed, both),
        (retyped, both),
        (extended, both),
    ];
    for (json, wanted) in &cases {
        for objects in [typed(), Kubernetes::default()] {
            assert_eq!(objects.encode(json).unwrap_err(), *wanted);
        }
    }
    let refused = |objects: &Kubernetes, json: &Value| objects.encode(json).unwrap_err();
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget"});
    let custom = "; custom resources are stored as JSON, which --no-proto writes as it is";
    let lacks = format!("the descriptor set has no message for example.com/v1 Widget{custom}");
    assert_eq!(refused(&typed(), &widget), lacks);
    assert_eq!(
        refused(&Kubernetes::default(), &widget),
        format!("the config's proto rule has no descriptor set (file){custom}")
    );
    let wrong = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"nam": "a"}]}});
    let why = refused(&typed(), &wrong);
    assert!(why.contains("field spec.containers[0].nam: "), "{why}");
    let wrong = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"creationTimestamp": "yesterday"}});
    let time = "field metadata.creationTimestamp: expected a time such as \"2026-01-31T12:00:00Z\"";
    assert_eq!(refused(&typed(), &wrong), format!("not a valid k8s.io.api.core.v1.Pod: {time}"));
}
