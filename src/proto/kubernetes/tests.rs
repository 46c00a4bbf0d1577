#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod input;

use std::sync::OnceLock;

use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use serde_json::json;

use super::super::traits::Traits;
use super::*;
use crate::fuzzing::{damage, damaged};

macro_rules! fixtures {
    ($($name:literal),*) => { &[$(($name, include_bytes!(concat!("../../../tests/support/kubernetes/", $name)))),*] };
}

/// The values that k8s.io/apimachinery encoded.
const FIXTURES: &[(&str, &[u8])] = fixtures![
    "apiservice.pb",
    "clusterrole.pb",
    "configmap.pb",
    "crd.pb",
    "deployment.pb",
    "endpoints.pb",
    "event.pb",
    "flowschema.pb",
    "lease.pb",
    "node.pb",
    "pod.pb",
    "rangeallocation.pb",
    "secret.pb",
    "storageversion.pb"
];

fn fixture(name: &str) -> &'static [u8] {
    FIXTURES.iter().find(|(known, _)| known.strip_suffix(".pb") == Some(name)).unwrap().1
}

fn set() -> Descriptors {
    Descriptors::parse(include_bytes!("../../../tests/support/kubernetes/kubernetes.desc")).unwrap()
}

fn typed() -> Kubernetes {
    static TYPED: OnceLock<Kubernetes> = OnceLock::new();
    TYPED.get_or_init(|| Kubernetes::with_set(|| Ok(set()))).clone()
}

fn decoded(objects: &Kubernetes, value: &[u8]) -> Decoded {
    objects.decode(value).unwrap().unwrap()
}

fn refused(objects: &Kubernetes, value: &[u8]) -> String {
    objects.decode(value).unwrap().unwrap_err()
}

/// An envelope as the API server writes it.
fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    wrap(&StoredObject { api_version: api_version.to_owned(), kind: kind.to_owned(), raw: raw.to_vec() })
}

#[test]
fn every_object_is_decoded_and_encoded_to_the_same_bytes() {
    for objects in [typed(), Kubernetes::default()] {
        for (name, value) in FIXTURES {
            let object = decoded(&objects, value);
            assert!(object.exact && object.missing.is_none(), "{name}: {object:?}");
            assert_eq!(object.fixed.is_some(), objects.types.is_none(), "{name}");
            assert_eq!(&objects.encode(&object.json).unwrap(), value, "{name}");
            let names: Vec<&String> = object.json.as_object().unwrap().keys().take(2).collect();
            assert_eq!(names, ["apiVersion", "kind"], "{name}");
            assert_eq!(object.json.get("raw").is_some(), objects.types.is_none(), "{name}");
        }
    }
}

#[test]
fn times_quantities_and_ports_have_kubernetes_forms() {
    let pod = decoded(&typed(), fixture("pod")).json;
    assert_eq!((&pod["apiVersion"], &pod["kind"]), (&json!("v1"), &json!("Pod")));
    assert_eq!(pod["metadata"]["creationTimestamp"], "2023-11-14T22:13:20Z");
    let managed = &pod["metadata"]["managedFields"][0];
    assert_eq!(managed["fieldsV1"], json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}}}));
    let web = &pod["spec"]["containers"][0];
    assert_eq!(web["resources"]["requests"], json!({"cpu": "100m", "memory": "64Mi"}));
    assert_eq!(web["readinessProbe"]["handler"]["httpGet"]["port"], "http");
    assert_eq!(web["livenessProbe"]["handler"]["tcpSocket"]["port"], 8080);
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], "30");
    let lease = decoded(&typed(), fixture("lease")).json;
    assert_eq!(lease["spec"]["renewTime"], "2023-11-14T22:13:21.123456Z");
    let secret = decoded(&typed(), fixture("secret")).json;
    assert_eq!(secret["data"]["user"], "YWRtaW4=");
    let strategy = &decoded(&typed(), fixture("deployment")).json["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(strategy, &json!({"maxUnavailable": "25%", "maxSurge": 1}));
    let node = decoded(&typed(), fixture("node")).json;
    assert_eq!(node["status"]["images"][0]["sizeBytes"], "9007199254740993");
}

/// A form that would lose something is not used.
#[test]
fn a_message_that_its_form_does_not_hold_stays_as_it_is() {
    let messages = set();
    let cases = [
        // Without nanos; with an impossible value; a zero time, which is an empty message.
        ("k8s.io.apimachinery.pkg.apis.meta.v1.Time", json!({"seconds": "5"})),
        ("k8s.io.apimachinery.pkg.apis.meta.v1.Time", json!({"seconds": "5", "nanos": -1})),
        ("k8s.io.apimachinery.pkg.apis.meta.v1.Time", json!({"seconds": "9223372036854775807", "nanos": 0})),
        ("k8s.io.apimachinery.pkg.apis.meta.v1.Time", json!({})),
        ("k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime", json!({"seconds": "5", "nanos": 1})),
        ("k8s.io.apimachinery.pkg.util.intstr.IntOrString", json!({"type": "0", "intVal": 5, "strVal": "x"})),
        ("k8s.io.apimachinery.pkg.util.intstr.IntOrString", json!({"type": "1", "intVal": 5, "strVal": "x"})),
        ("k8s.io.apimachinery.pkg.util.intstr.IntOrString", json!({"type": "2", "intVal": 0, "strVal": "x"})),
        ("k8s.io.apimachinery.pkg.api.resource.Quantity", json!({})),
        ("k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1", json!({"Raw": STANDARD.encode(r#"{"a": 1}"#)})),
        ("k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1", json!({"Raw": STANDARD.encode("[]")})),
        ("k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1", json!({"Raw": STANDARD.encode(r#"{"Raw":"eA=="}"#)})),
    ];
    for (name, json) in cases {
        let message = messages.message(name).unwrap();
        let mut short = json.clone();
        forms::shorten(message.kind(), &mut short);
        assert_eq!(short, json, "{name}");
        forms::expand(message.kind(), &mut short);
        assert_eq!(short, json, "{name}");
    }
    // Without Raw, which the other direction would add.
    let fields = messages.message("k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1").unwrap();
    assert!(!forms::shorten(fields.kind(), &mut json!({})));
    assert!(forms::shorten(fields.kind(), &mut json!({"Raw": STANDARD.encode("{}")})));
}

/// Their JSON need not be parsed to know that it is exact.
#[test]
fn most_objects_are_plain_messages() {
    let plain = |name: &str| Traits::of(set().message(name).unwrap().kind()).is_plain;
    assert!(plain("k8s.io.api.core.v1.Pod") && plain("k8s.io.api.apps.v1.Deployment"));
    // A schema contains schemas, and numbers with a point.
    assert!(!plain("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"));
}

#[test]
fn json_passes_and_other_formats_are_named_without_their_data() {
    for objects in [typed(), Kubernetes::default()] {
        for json in ["{}", " \n{\"apiVersion\":\"example.com/v1\"", "{\"k8s:enc:\": 1}"] {
            assert_eq!(objects.decode(json.as_bytes()), None, "{json}");
        }
        let cases: [(&[u8], &str); 10] = [
            (b"k8s:enc:aescbc:v1:key1:S3CRET", "it is encrypted by the API server (provider aescbc, v1, key key1)"),
            (b"k8s:enc:kms:v2:vault:S3:CRET", "it is encrypted by the API server (provider kms, v2, key vault)"),
            (b"k8s:enc:aesgcm:v1:S3CRET", "it is encrypted by the API server, by an unknown provider"),
            (b"k8s:enc:a\x1b[2J:v1:k:S3CRET", "it is encrypted by the API server, by an unknown provider"),
            (b"k8s:enc:", "it is encrypted by the API server, by an unknown provider"),
            (b"k8s:enc:\xff:v1:k:S3CRET", "it is encrypted by the API server, by an unknown provider"),
            (b"\xd9\xd9\xf7\xa1", "it is CBOR, which kvadm does not decode"),
            (b"", "it is empty, and not a Kubernetes object"),
            (b"k8s", "it is not a Kubernetes object: it begins neither like a protobuf envelope nor like JSON"),
            (b"112", "it is not a Kubernetes object: it begins neither like a protobuf envelope nor like JSON"),
        ];
        for (value, wanted) in cases {
            assert_eq!(refused(&objects, value), wanted);
        }
    }
}

/// The set is not needed for values of other formats.
#[test]
fn a_set_that_cannot_be_read_is_reported_for_objects_only() {
    let objects = Kubernetes::with_set(|| Err("gone".to_owned()));
    assert_eq!(objects.decode(b"{}"), None);
    assert!(refused(&objects, b"k8s:enc:aescbc:v1:key1:").starts_with("it is encrypted"));
    for _ in 0..2 {
        assert_eq!(refused(&objects, fixture("pod")), "gone");
        assert_eq!(objects.encode(&json!({"apiVersion": "v1", "kind": "Pod"})), Err("gone".to_owned()));
    }
}

#[test]
fn envelopes_that_are_not_valid_are_refused() {
    let part = |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let pod = part(1, &[part(1, b"v1"), part(2, b"Pod")].concat());
    let stored = |parts: &[&[u8]]| [b"k8s\0", parts.concat().as_slice()].concat();
    let lacks = "not a valid Kubernetes envelope (it lacks apiVersion, kind or the object)";
    let cases = [
        (stored(&[]), lacks),
        (stored(&[&pod]), lacks),
        (stored(&[&part(2, b"")]), lacks),
        (stored(&[&part(1, &part(1, b"v1")), &part(2, b"")]), lacks),
        (stored(&[&part(1, &[part(1, b""), part(2, b"Pod")].concat()), &part(2, b"")]), lacks),
        (stored(&[b"\x12\x7f"]), "not a valid Kubernetes envelope (a field ends after the value)"),
        (stored(&[b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]), "not a valid Kubernetes envelope ("),
        (stored(&[b"\x0f"]), "not a valid Kubernetes envelope ("),
        (
            stored(&[&part(1, &part(1, b"\xff")), &part(2, b"")]),
            "not a valid Kubernetes envelope (a text is not UTF-8)",
        ),
        (
            stored(&[&pod, &part(2, b""), &part(3, b"gzip\x1b")]),
            "its envelope has the contentEncoding 'gzip\\x1b', which kvadm does not decode",
        ),
        (
            stored(&[&pod, &part(2, b""), &part(4, b"application/cbor")]),
            "its envelope has the contentType 'application/cbor', which kvadm does not decode",
        ),
    ];
    for (value, wanted) in cases {
        for objects in [typed(), Kubernetes::default()] {
            let why = refused(&objects, &value);
            assert!(why.starts_with(wanted), "{why}");
            assert!(!why.contains('\u{1b}'), "{why:?}");
        }
    }
    // Shorter than the API server writes it: readable, and not to be encoded again.
    let short = stored(&[&pod, &part(2, b"")]);
    for objects in [typed(), Kubernetes::default()] {
        let object = decoded(&objects, &short);
        assert!(object.fixed.is_some() && object.exact == objects.types.is_none(), "{object:?}");
    }
}

#[test]
fn an_object_that_is_not_of_its_type_is_refused() {
    for (raw, wanted) in [
        (&b"\x0a\x7f"[..], "not a valid k8s.io.api.core.v1.Pod ("),
        (b"\x0a\x03\x0a\x01\xff", "not a valid k8s.io.api.core.v1.Pod ("),
        (b"\x08\x01", "not a valid k8s.io.api.core.v1.Pod ("),
    ] {
        let why = refused(&typed(), &envelope("v1", "Pod", raw));
        assert!(why.starts_with(wanted), "{why}");
        let why = refused(&Kubernetes::default(), &envelope("v1", "Pod", raw));
        assert!(why.starts_with("not a valid Kubernetes object ("), "{why}");
    }
    // The bytes of another type can be valid: the fields that the type does not have are reported.
    let object = decoded(&typed(), &envelope("v1", "ConfigMap", b"\xfa\x01\x01x"));
    assert_eq!(
        object.missing.unwrap(),
        "it has fields that are unknown to k8s.io.api.core.v1.ConfigMap: these fields are not shown"
    );
    assert!(!object.exact && object.fixed.is_some());
    // A schema contains schemas: field 3 of 'not' (field 29), 5 000 deep.
    let mut schema = Vec::new();
    for _ in 0..5_000 {
        let mut outer = Vec::new();
        prost_reflect::prost::encoding::bytes::encode(29, &schema, &mut outer);
        schema = outer;
    }
    for number in [1, 3, 7, 2] {
        let mut outer = Vec::new();
        prost_reflect::prost::encoding::bytes::encode(number, &schema, &mut outer);
        schema = outer;
    }
    let value = envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &schema);
    assert!(refused(&typed(), &value).starts_with("not a valid k8s.io.apiextensions_apiserver."));
}

#[test]
fn large_objects_are_decoded() {
    let text = "x".repeat(1 << 20);
    let json = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"text": text}});
    let value = typed().encode(&json).unwrap();
    assert_eq!(decoded(&typed(), &value).json, json);
    // The smallest messages that there are: half a million containers.
    let containers = b"\x0a\x00".repeat(1 << 19);
    let mut spec = Vec::new();
    prost_reflect::prost::encoding::bytes::encode(2, &containers, &mut spec);
    assert!(typed().decode(&envelope("v1", "Pod", &spec)).is_some());
}

#[test]
fn the_message_is_found_by_group_version_and_kind() {
    let types = ObjectTypes::of(&set().0);
    let found = |api_version: &str, kind: &str| types.find(api_version, kind).map(ToString::to_string);
    for (api_version, kind, message) in [
        ("v1", "Pod", "k8s.io.api.core.v1.Pod"),
        ("apps/v1", "Deployment", "k8s.io.api.apps.v1.Deployment"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "k8s.io.api.rbac.v1.ClusterRole"),
        (
            "internal.apiserver.k8s.io/v1alpha1",
            "StorageVersion",
            "k8s.io.api.apiserverinternal.v1alpha1.StorageVersion",
        ),
        ("apiregistration.k8s.io/v1", "APIService", "k8s.io.kube_aggregator.pkg.apis.apiregistration.v1.APIService"),
    ] {
        assert_eq!(found(api_version, kind).as_deref(), Ok(message));
    }
    for (api_version, kind) in [
        ("v1", "Deployment"),
        ("apps/v2", "Deployment"),
        ("apps/v1", "deployment"),
        ("apps/v1/x", "Deployment"),
        ("", "Pod"),
        // Groups of others can have any packages.
        ("apps.example.com/v1", "Deployment"),
        ("core.example.com/v1", "Pod"),
    ] {
        let wanted = format!("the descriptor set has no message for {api_version} {kind}");
        assert_eq!(found(api_version, kind), Err(wanted));
    }
    let odd = found("v1\u{1b}[31m\u{202e}\n", &"K".repeat(500)).unwrap_err();
    assert!(!odd.contains(['\u{1b}', '\u{202e}', '\n']) && odd.len() < 300, "{odd}");
    // A type of an object has neither apiVersion nor kind, which are the envelope's.
    assert!(found("v1", "ObjectReference").unwrap_err().ends_with("is not a Kubernetes object"));
    let file = |package: &str| FileDescriptorProto {
        name: Some(package.to_owned()),
        package: Some(package.to_owned()),
        message_type: vec![DescriptorProto { name: Some("Job".to_owned()), ..DescriptorProto::default() }],
        ..FileDescriptorProto::default()
    };
    let both = FileDescriptorSet { file: vec![file("a.batch.v1"), file("b.batch.v1")] };
    let both = ObjectTypes::of(&Descriptors::parse(&both.encode_to_vec()).unwrap().0);
    assert_eq!(
        both.find("batch/v1", "Job").unwrap_err(),
        "the descriptor set has several messages for batch/v1 Job: a.batch.v1.Job and b.batch.v1.Job"
    );
}

#[test]
fn an_object_without_its_message_has_its_metadata_and_its_bytes() {
    let object = decoded(&Kubernetes::default(), fixture("secret"));
    let mut json = object.json.clone();
    let raw = json.as_object_mut().unwrap().shift_remove("raw").unwrap();
    let wanted = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": "login", "namespace": "shop", "uid": "11111111-2222-4333-8444-000000000005",
            "creationTimestamp": "2023-11-14T22:13:20Z", "labels": {"app": "login", "tier": "test"},
        },
    });
    assert_eq!(json, wanted);
    let raw = STANDARD.decode(raw.as_str().unwrap()).unwrap();
    assert_eq!(raw, fixture("secret"));
    let StoredValue::Object(StoredObject { raw, .. }) = classify(&raw) else { panic!("not an object") };
    // With a set that lacks the message, a note says so.
    let value = envelope("batch/v1", "Job", &raw);
    let object = decoded(&typed(), &value);
    let why = "the descriptor set has no message for batch/v1 Job";
    assert_eq!(object.missing, Some(format!("{why}: only its metadata is decoded")));
    assert_eq!(object.fixed, Some(format!("{why}, so that only its metadata is known")));
    assert!(object.exact);
    assert_eq!(typed().encode(&object.json).unwrap(), value);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A damaged value has an answer, and what counts as exact is exact.
    #[test]
    fn a_damaged_value_gets_an_answer(
        which in any::<prop::sample::Index>(),
        damage in damage(),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let value = which.get(FIXTURES).1;
        let object = typed().decode(&value[..cut.index(value.len())]);
        prop_assert!(object.is_some());
        let raw = [b"k8s\0", bytes.as_slice()].concat();
        for value in [damaged(value, &damage), value[..cut.index(value.len())].to_vec(), raw, envelope("v1", "Pod", &bytes)] {
            for objects in [typed(), Kubernetes::default()] {
                match objects.decode(&value) {
                    None => prop_assert_eq!(value.trim_ascii_start().first(), Some(&b'{')),
                    Some(Err(why)) => prop_assert!(!why.contains(char::is_control), "{why:?}"),
                    Some(Ok(object)) => {
                        let again = objects.encode(&object.json);
                        prop_assert_eq!(object.exact, again.as_ref() == Ok(&value));
                        prop_assert!(object.exact || object.fixed.is_some());
                    }
                }
            }
        }
    }

    /// Any text in an object comes back.
    #[test]
    fn objects_of_any_text_come_back(name in any::<String>(), data in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..5)) {
        let mut json = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        if !data.is_empty() {
            json["data"] = json!(data);
        }
        let value = typed().encode(&json).unwrap();
        let object = decoded(&typed(), &value);
        prop_assert!(object.exact);
        prop_assert_eq!(object.json, json);
    }
}
