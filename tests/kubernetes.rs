//! Values of a Kubernetes API server: `envelope: kubernetes` in the configuration's `proto`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::list::load;
use super::support::{Kvadm, Message, Run, shared, unique_prefix};
use super::watch::{told, wait_lines};

/// Objects in the envelope: name of the file, apiVersion, kind, and the name of the object.
const OBJECTS: [(&str, &str, &str, &str); 14] = [
    ("apiservice", "apiregistration.k8s.io/v1", "APIService", "v1.example.com"),
    ("clusterrole", "rbac.authorization.k8s.io/v1", "ClusterRole", "view-pods"),
    ("configmap", "v1", "ConfigMap", "settings"),
    ("crd", "apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.com"),
    ("deployment", "apps/v1", "Deployment", "web"),
    ("endpoints", "v1", "Endpoints", ""),
    ("event", "v1", "Event", "web-0.17a"),
    ("flowschema", "flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "exempt"),
    ("lease", "coordination.k8s.io/v1", "Lease", "node-1"),
    ("node", "v1", "Node", "node-1"),
    ("pod", "v1", "Pod", "web-0"),
    ("rangeallocation", "v1", "RangeAllocation", ""),
    ("secret", "v1", "Secret", "login"),
    ("storageversion", "internal.apiserver.k8s.io/v1alpha1", "StorageVersion", "apps.deployments"),
];
/// Objects that the API server stores as JSON.
const JSON_OBJECTS: [&str; 3] = ["apiservice", "crd", "widget"];
const BYPASSED: &str = "belongs to a Kubernetes API server, which this command bypasses";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/kubernetes").join(name)
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(file(name)).unwrap()
}

/// A namespace of the shared server for one test, with a rule for `/registry/`.
struct Registry {
    at: String,
    /// Whether the rule has a descriptor set.
    typed: bool,
}

impl Registry {
    fn both() -> [Self; 2] {
        [true, false].map(|typed| Self { at: unique_prefix(), typed })
    }

    fn typed() -> Self {
        Self { at: unique_prefix(), typed: true }
    }

    fn load(&self, key: &str, value: impl AsRef<[u8]>) {
        load(shared(), [(format!("{}{key}", self.at), value)]);
    }

    fn held(&self, key: &str) -> Vec<u8> {
        shared().held(format!("{}{key}", self.at)).unwrap().value
    }

    fn kvadm(&self, args: &[&str]) -> Kvadm {
        let set = format!(", file: '{}'", file("kubernetes.desc").display());
        configured(&self.at, &format!("envelope: kubernetes{}", if self.typed { &set } else { "" }), args)
    }

    fn run(&self, args: &[&str]) -> Run {
        self.kvadm(args).run()
    }
}

/// With this rule for `/registry/`.
fn configured(at: &str, rule: &str, args: &[&str]) -> Kvadm {
    let config = format!(
        "endpoints: ['{}']\nnamespace: '{at}'\nproto:\n- {{prefix: /registry/, {rule}}}\n",
        shared().endpoint()
    );
    Kvadm::new().config_file("etcd.yaml", config).args(args)
}

#[test]
fn every_object_is_shown_as_json_and_comes_back_byte_for_byte() {
    for registry in Registry::both() {
        for (name, ..) in OBJECTS {
            registry.load(&format!("/registry/a/{name}"), fixture(&format!("{name}.pb")));
        }
        let listed = registry.run(&["list", "/registry/a/", "-o", "json"]);
        let records = listed.ok().err_empty().json_lines();
        assert_eq!(records.len(), OBJECTS.len());
        for ((file, api_version, kind, name), record) in OBJECTS.iter().zip(records) {
            let value = &record["value"];
            assert_eq!((&value["apiVersion"], &value["kind"]), (&json!(api_version), &json!(kind)), "{file}");
            let named = value["metadata"]["name"].as_str().unwrap_or_default();
            assert_eq!(named, *name, "{file}");
            assert_eq!(value.get("raw").is_some(), !registry.typed, "{file}");
            assert!(record.get("value_base64").is_none() && record.get("value_decoded").is_none(), "{file}");
            let one = registry.run(&["get", &format!("/registry/a/{file}")]);
            assert_eq!(&serde_json::from_str::<Value>(&one.ok().err_empty().stdout_text()).unwrap(), value);
        }
        let moved = listed.stdout_text().replace("/registry/a/", "/registry/b/");
        let run = registry.kvadm(&["put", "--from", "-"]).stdin(moved).run();
        assert_eq!(run.ok().err_has(BYPASSED).stderr_text().matches(BYPASSED).count(), 1);
        for (name, ..) in OBJECTS {
            assert_eq!(registry.held(&format!("/registry/b/{name}")), fixture(&format!("{name}.pb")), "{name}");
        }
    }
}

#[test]
fn the_formats_show_an_object_and_raw_shows_its_bytes() {
    let registry = Registry::typed();
    let key = "/registry/secrets/shop/login";
    registry.load(key, fixture("secret.pb"));
    let secret = registry.run(&["get", key, "-o", "json"]).json()["value"].clone();
    assert_eq!(secret["data"], json!({"password": "bm90IGEgcmVhbCBvbmUA/w==", "user": "YWRtaW4="}));
    assert_eq!((&secret["type"], &secret["metadata"]["namespace"]), (&json!("Opaque"), &json!("shop")));
    let text = registry.run(&["list", "/registry/", "-o", "text"]);
    text.ok().out_has("/registry/secrets/shop/login\t{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{");
    registry.run(&["list", "/registry/", "-o", "table"]).ok().out_has("{\"apiVersion\":\"v1\",\"kind\":\"Secret\"");
    registry.run(&["get", key, "-o", "yaml"]).ok().out_has("value: {\"apiVersion\": \"v1\", \"kind\": \"Secret\"");
    registry.run(&["get", key, "-o", "raw"]).ok().err_empty().out_bytes(&fixture("secret.pb"));
    registry.run(&["list", "/registry/", "--no-proto"]).ok().err_empty().out_has("\tk8s\\0\\n\\x0c\\n\\x02v1");
    // Keys outside of the rule are not affected.
    registry.load("/other", fixture("secret.pb"));
    registry.run(&["get", "/other", "-o", "raw"]).ok().err_empty();
    registry.run(&["list", "/other"]).ok().err_empty().out_has("/other\tk8s\\0");
}

#[test]
fn json_objects_pass_and_can_be_edited() {
    for registry in Registry::both() {
        for name in JSON_OBJECTS {
            registry.load(&format!("/registry/{name}"), fixture(&format!("{name}.json")));
        }
        let records = registry.run(&["list", "/registry/", "-o", "json"]);
        for (name, record) in JSON_OBJECTS.iter().zip(records.ok().err_empty().json_lines()) {
            assert_eq!(record["value"].as_str().unwrap().as_bytes(), fixture(&format!("{name}.json")));
        }
        let edit = registry.kvadm(&["edit", "/registry/widget"]).env("EDITOR", "sed -i s/blue/green/");
        edit.run().ok().err_has(BYPASSED);
        let wanted = String::from_utf8(fixture("widget.json")).unwrap().replace("blue", "green");
        assert_eq!(String::from_utf8(registry.held("/registry/widget")).unwrap(), wanted);
    }
}

/// Values that are not decoded: the name of the key, the value, and the warning.
fn others() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let pod = fixture("pod.pb");
    let type_meta = Message::new().bytes(1, "v1").bytes(2, "Pod");
    let stored = |message: Message| [b"k8s\0", message.0.as_slice()].concat();
    let invalid = "not a valid Kubernetes envelope (a field ends after the value)";
    vec![
        (
            "aescbc",
            b"k8s:enc:aescbc:v1:key1:S3CRET\xff".to_vec(),
            "it is encrypted by the API server (provider aescbc, v1, key key1)",
        ),
        ("cbor", b"\xd9\xd9\xf7\xa1\x61a\x01".to_vec(), "it is CBOR, which kvadm does not decode"),
        ("cut", pod[..pod.len() - 9].to_vec(), invalid),
        (
            "encoding",
            stored(Message::new().message(1, &type_meta).bytes(2, "").bytes(3, "gzip")),
            "its envelope has the contentEncoding 'gzip'",
        ),
        ("head", pod[..4].to_vec(), "not a valid Kubernetes envelope (it lacks apiVersion, kind or the object)"),
        (
            "kms",
            b"k8s:enc:kms:v2:vault:S3CRET".to_vec(),
            "it is encrypted by the API server (provider kms, v2, key vault)",
        ),
        ("length", b"k8s\0\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(), "not a valid Kubernetes envelope ("),
        (
            "plain",
            b"112".to_vec(),
            "it is not a Kubernetes object: it begins neither like a protobuf envelope nor like JSON",
        ),
        ("type", stored(Message::new().message(1, &type_meta).bytes(2, b"\x0a\x7f")), "not a valid "),
        (
            "utf8",
            stored(
                Message::new()
                    .message(1, &type_meta)
                    .message(2, &Message::new().message(1, &Message::new().bytes(1, b"\xff"))),
            ),
            "not a valid ",
        ),
    ]
}

#[test]
fn what_is_not_decoded_is_named_and_shown_as_bytes() {
    for registry in Registry::both() {
        for (name, value, _) in others() {
            registry.load(&format!("/registry/{name}"), value);
        }
        let run = registry.run(&["list", "/registry/", "-o", "json"]);
        let records = run.ok().json_lines();
        for ((name, value, warning), record) in others().iter().zip(&records) {
            assert_eq!(record["key"], format!("/registry/{name}"));
            run.err_has(&format!("warning: value of /registry/{name}: {warning}"));
            let held = record.get("value_base64").map(|text| STANDARD.decode(text.as_str().unwrap()).unwrap());
            let held = held.unwrap_or_else(|| record["value"].as_str().unwrap().as_bytes().to_vec());
            assert_eq!(&held, value, "{name}");
        }
        run.err_has(": the value is shown as bytes").err_lacks("S3CRET");
        for (name, value, _) in others() {
            let edit = registry.kvadm(&["edit", &format!("/registry/{name}")]).env("EDITOR", "false").run();
            edit.code(2).out_empty().err_has("cannot edit /registry/").err_lacks("S3CRET");
            // With --no-proto, it would be refused as binary.
            let is_text = std::str::from_utf8(&value).is_ok_and(|text| !text.contains('\0'));
            edit.err_has(if is_text {
                "to edit the bytes as text, add --no-proto"
            } else {
                "-o raw > FILE' saves the bytes"
            });
        }
    }
}

#[test]
fn an_object_cannot_control_the_terminal() {
    let type_meta = Message::new().bytes(1, "v1\x1b[31m\u{202e}").bytes(2, "Pod\n\x07");
    let meta =
        Message::new().bytes(1, "name\x1b]0;x\x07").message(11, &Message::new().bytes(1, "\x1b[2J").bytes(2, "\r"));
    let envelope =
        Message::new().message(1, &type_meta).message(2, &Message::new().message(1, &meta)).bytes(3, "").bytes(4, "");
    for registry in Registry::both() {
        registry.load("/registry/x", [b"k8s\0", envelope.0.as_slice()].concat());
        let run = registry.run(&["get", "/registry/x", "-o", "json"]);
        assert_eq!(run.ok().json()["value"]["metadata"]["labels"], json!({"\x1b[2J": "\r"}));
        if registry.typed {
            run.err_has("the descriptor set has no message for v1\\x1b[31m\\xe2\\x80\\xae Pod\\n\\x07: only its metadata is decoded");
        }
        for args in [&["get", "/registry/x"][..], &["list", "/registry/"], &["list", "/registry/", "-o", "table"]] {
            let shown = registry.kvadm(args).pty().run();
            let text = [shown.ok().stdout_text(), shown.stderr_text()].concat();
            for control in ["\x1b[31m\u{202e}", "\x1b]0", "\x1b[2J", "\x07", "\u{202e}"] {
                assert!(!text.contains(control), "{args:?}: {text:?}");
            }
        }
    }
}

#[test]
fn a_watch_prints_objects_and_goes_on_after_others() {
    let registry = Registry::typed();
    let watch = registry.kvadm(&["watch", "/registry/", "-o", "json", "--list", "--prev", "--count", "3"]).spawn();
    wait_lines(&watch, 1);
    let settings = fixture("configmap.pb");
    registry.load("/registry/settings", &settings);
    registry.load("/registry/settings", b"k8s:enc:secretbox:v1:key1:S3CRET");
    registry.load("/registry/settings", &settings);
    let run = watch.wait();
    let lines = run.ok().err_empty().json_lines();
    let wanted = ["created", "modified", "error", "modified", "error"].map(|word| format!("{word} /registry/settings"));
    assert_eq!(told(&lines)[1..], wanted);
    assert_eq!((&lines[1]["value"]["kind"], &lines[1]["value"]["data"]["mode"]), (&json!("ConfigMap"), &json!("blue")));
    let error = "it is encrypted by the API server (provider secretbox, v1, key key1)";
    assert_eq!((&lines[3]["error"], &lines[3]["field"]), (&json!(error), &json!("value")));
    assert_eq!((&lines[4]["value"], &lines[5]["field"]), (&lines[1]["value"], &json!("prev_value")));
}

#[test]
fn search_looks_into_the_encoded_object() {
    let registry = Registry::typed();
    for (name, ..) in OBJECTS {
        registry.load(&format!("/registry/{name}"), fixture(&format!("{name}.pb")));
    }
    let keys = |args: &[&str]| {
        let run = registry.run(&[&["list", "/registry/", "-o", "json"][..], args].concat());
        run.ok().err_empty().json_lines().iter().map(|record| record["value"]["kind"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&["--search", "registry.example/web"]), ["Deployment", "Node", "Pod"]);
    assert_eq!(keys(&["--regex", "10\\.96\\.[0-9.]+/12"]), ["RangeAllocation"]);
}

#[test]
fn a_diff_shows_the_fields_that_differ() {
    for registry in Registry::both() {
        let key = "/registry/configmaps/shop/settings";
        registry.load(key, fixture("configmap.pb"));
        let before = registry.run(&["get", key, "-o", "json"]).json()["mod_revision"].clone();
        let green = replaced("configmap.pb", b"blue", b"pink");
        registry.load(key, &green);
        let source = format!("rev:{before}");
        let run = registry.run(&["diff", "/registry/", "--source", &source, "-o", "json"]);
        let record = run.code(1).json_lines().remove(0);
        if registry.typed {
            assert_eq!(
                (&record["value"]["data"]["mode"], &record["prev_value"]["data"]["mode"]),
                (&json!("pink"), &json!("blue"))
            );
            let shown = registry.kvadm(&["diff", "/registry/", "--source", &source]).pty().run();
            shown.code(1).out_has("\"mode\": \"blue\"").out_has("\"mode\": \"pink\"").out_lacks("\"user\"");
        } else {
            assert_ne!(record["value"]["raw"], record["prev_value"]["raw"]);
            assert_eq!(record["value"]["metadata"], record["prev_value"]["metadata"]);
        }
    }
}

/// The bytes of a fixture with another text of the same length.
fn replaced(name: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = fixture(name);
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + from.len()].copy_from_slice(to);
    bytes
}

#[test]
fn an_edit_writes_the_envelope_back_or_refuses() {
    let [typed, untyped] = Registry::both();
    let key = "/registry/configmaps/shop/settings";
    let edit = |registry: &Registry| registry.kvadm(&["edit", key]).env("EDITOR", "sed -i s/blue/pink/").run();
    typed.load(key, fixture("configmap.pb"));
    edit(&typed).ok().err_has(&format!("warning: {key} {BYPASSED}"));
    assert_eq!(typed.held(key), replaced("configmap.pb", b"blue", b"pink"));
    // All that the object held before is still in it, times and quantities included.
    let pod = "/registry/pods/shop/web-0";
    typed.load(pod, fixture("pod.pb"));
    let run = typed.kvadm(&["edit", pod]).env("EDITOR", "sed -i s/web:1.2/web:1.3/").run();
    run.ok();
    assert_eq!(typed.held(pod), replaced("pod.pb", b"web:1.2", b"web:1.3"));
    // Only the metadata is known.
    untyped.load(key, fixture("configmap.pb"));
    let why = "the config's proto rule has no descriptor set (file), so that only its metadata is known";
    edit(&untyped).code(2).out_empty().err_has(why).err_has("-o raw > FILE' saves the bytes").err_lacks("--no-proto");
    assert_eq!(untyped.held(key), fixture("configmap.pb"));
    // Fields that the type does not have, and an envelope in another form.
    let type_meta = Message::new().bytes(1, "v1").bytes(2, "ConfigMap");
    let envelope =
        |raw: Message| [b"k8s\0", Message::new().message(1, &type_meta).message(2, &raw).0.as_slice()].concat();
    let unknown = envelope(Message::new().bytes(77, "blue"));
    let short = envelope(Message::new().message(2, &Message::new().bytes(1, "mode").bytes(2, "blue")));
    for (value, why) in [
        (unknown, "it has fields that are unknown to k8s.io.api.core.v1.ConfigMap and would be lost"),
        (short, "its encoding is not the one that the API server writes, and would change"),
    ] {
        typed.load(key, &value);
        edit(&typed).code(2).err_has(&format!("cannot edit {key} as a message: {why}"));
        assert_eq!(typed.held(key), value);
        // In JSON, the bytes are beside the object.
        let record = typed.run(&["get", key, "-o", "json"]).json();
        assert_eq!(record["value_decoded"]["kind"], "ConfigMap");
        assert!(record.get("value").or(record.get("value_base64")).is_some_and(Value::is_string));
    }
}

#[test]
fn writes_encode_an_object_and_warn() {
    let registry = Registry::typed();
    let key = "/registry/configmaps/shop/new";
    let object = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"new"},"data":{"a":"b"}}"#;
    let warning = format!("warning: {key} {BYPASSED}");
    registry.run(&["put", key, object]).ok().err_has(&warning);
    let held = registry.held(key);
    assert!(held.starts_with(b"k8s\0") && held.ends_with(b"\x1a\0\"\0"), "{held:?}");
    assert_eq!(
        registry.run(&["get", key, "-o", "json"]).json()["value"],
        serde_json::from_str::<Value>(object).unwrap()
    );
    registry.run(&["put", key, object, "--if-value", object]).ok();
    registry.run(&["put", key, object, "--if-different"]).ok().out_has("unchanged");
    let file = tempfile::NamedTempFile::new().unwrap();
    let txn = json!({"if": [{"key": key, "value": serde_json::from_str::<Value>(object).unwrap()}],
        "then": [{"put": {"key": key, "value": {"apiVersion": "v1", "kind": "ConfigMap"}}}]});
    fs::write(file.path(), txn.to_string()).unwrap();
    registry.run(&["txn", file.path().to_str().unwrap()]).ok().err_has(&warning);
    assert_ne!(registry.held(key), held);
    registry.run(&["delete", key, "--prev"]).ok().err_has(&warning).out_has("\"kind\":\"ConfigMap\"");
    registry.run(&["delete", "--prefix", "/registry/configmaps/", "--yes"]).err_has("/registry/configmaps/ belongs to");
    // Only objects that can be encoded are written.
    for (value, why) in [
        (
            r#"{"apiVersion":"example.com/v1","kind":"Widget"}"#,
            "the descriptor set has no message for example.com/v1 Widget",
        ),
        (r#"{"kind":"ConfigMap"}"#, "not a Kubernetes object: it needs the text field apiVersion"),
        (r#"{"apiVersion":"v1","kind":"ConfigMap","dota":{}}"#, "field dota: "),
        ("plain", "not valid JSON"),
    ] {
        let run = registry.run(&["put", key, value]);
        run.code(2).out_empty().err_has(why).err_has("write the object as JSON").err_lacks("to write the bytes");
        assert!(shared().held(format!("{}{key}", registry.at)).is_none());
    }
    registry.run(&["put", key, "plain", "--no-proto"]).ok().err_has(&warning);
    registry.run(&["put", "/elsewhere", "plain"]).ok().err_empty();
}

#[test]
fn a_restore_writes_objects_back() {
    let registry = Registry::typed();
    let key = "/registry/configmaps/shop/settings";
    registry.load(key, fixture("configmap.pb"));
    let export = registry.run(&["list", "/registry/", "-o", "json", "--trailer"]);
    registry.load(key, replaced("configmap.pb", b"blue", b"pink"));
    let restore =
        registry.kvadm(&["restore", "/registry/", "--source", "-", "--yes"]).stdin(export.ok().stdout_text()).run();
    restore.ok().err_has("/registry/ belongs to a Kubernetes API server");
    assert_eq!(registry.held(key), fixture("configmap.pb"));
}

#[test]
fn a_type_that_the_set_lacks_is_named_and_its_metadata_shown() {
    let registry = Registry::typed();
    let type_meta = Message::new().bytes(1, "batch/v1").bytes(2, "Job");
    let raw = Message::new().message(1, &Message::new().bytes(1, "nightly").bytes(3, "shop"));
    let envelope = Message::new().message(1, &type_meta).message(2, &raw).bytes(3, "").bytes(4, "");
    let value = [b"k8s\0", envelope.0.as_slice()].concat();
    registry.load("/registry/jobs/shop/nightly", &value);
    let run = registry.run(&["get", "/registry/jobs/shop/nightly", "-o", "json"]);
    run.ok().err_has(
        "warning: value of /registry/jobs/shop/nightly: the descriptor set has no message for batch/v1 Job: only its metadata is decoded",
    );
    let metadata = json!({"name": "nightly", "namespace": "shop"});
    let wanted = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "raw": STANDARD.encode(&value)});
    assert_eq!(run.json()["value"], wanted);
}

#[test]
fn a_large_object_takes_little_time() {
    let registry = Registry::typed();
    let text = "x".repeat(1 << 20);
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"text": text}});
    registry.kvadm(&["put", "/registry/x", "-"]).stdin(object.to_string()).run().ok();
    let run = registry.run(&["get", "/registry/x", "-o", "json"]);
    assert_eq!(run.ok().within(Duration::from_secs(20)).json()["value"], object);
}

#[test]
fn a_rule_that_is_wrong_is_named() {
    let at = unique_prefix();
    let run = |rule: &str| configured(&at, rule, &["get", "/registry/x"]).run();
    run("envelope: k8s").code(2).out_empty().err_has("proto: 'k8s' is not an envelope; the only one is 'kubernetes'");
    run("envelope: kubernetes, file: a, message: v1.Pod")
        .code(2)
        .err_has("proto: 'message' cannot be combined with 'envelope', which names the type of each value");
    run("envelope: kubernetes, kind: Pod").code(2).err_has("proto: must be a list of mappings with 'prefix', ");
    run("file: a").code(2).err_has("proto: must be a list of mappings with 'prefix', ");
    // A missing descriptor set: reads show bytes, writes are refused.
    load(shared(), [(format!("{at}/registry/x"), fixture("pod.pb"))]);
    let why = "the config's proto rule for prefix '/registry/': cannot read ";
    let gone = "envelope: kubernetes, file: gone.desc";
    configured(&at, gone, &["list", "/registry/"]).run().ok().out_has("\tk8s\\0").err_has(why).err_has("gone.desc");
    configured(&at, gone, &["put", "/registry/x", "{}"]).run().code(2).err_has("needs the text field apiVersion");
    let object = r#"{"apiVersion":"v1","kind":"Pod"}"#;
    configured(&at, gone, &["put", "/registry/x", object]).run().code(2).out_empty().err_has(why);
    configured(&at, gone, &["list", "/registry/", "--keys-only"]).run().ok().err_empty();
    configured(&at, gone, &["delete", "/registry/x"]).run().ok().err_has(BYPASSED);
    let shown = configured(&at, "envelope: kubernetes", &["config", "-o", "json"]).run();
    shown.ok().out_has("/registry/=kubernetes");
}

#[test]
fn nothing_can_be_changed_beside_the_stored_value() {
    for registry in Registry::both() {
        // A type that the set lacks, so that both registries show the stored value.
        let type_meta = Message::new().bytes(1, "batch/v1").bytes(2, "Job");
        let raw = Message::new().message(1, &Message::new().bytes(1, "nightly"));
        let value = [b"k8s\0", Message::new().message(1, &type_meta).message(2, &raw).0.as_slice()].concat();
        registry.load("/registry/jobs/a", &value);
        let record = registry.run(&["get", "/registry/jobs/a", "-o", "json"]).ok().json();
        let put = |record: &Value| {
            let record = record.to_string().replace("/registry/jobs/a", "/registry/jobs/b");
            registry.kvadm(&["put", "--from", "-"]).stdin(record).run()
        };
        for (path, other) in [("/kind", "Secret"), ("/apiVersion", "v1"), ("/metadata/name", "x")] {
            let mut changed = record.clone();
            *changed["value"].pointer_mut(path).unwrap() = json!(other);
            put(&changed).code(2).err_has("the stored value is in field raw, and the other fields do not match it");
            assert!(shared().held(format!("{}/registry/jobs/b", registry.at)).is_none(), "{path}");
        }
        put(&record).ok();
        assert_eq!(registry.held("/registry/jobs/b"), value);
    }
}

#[test]
fn a_range_that_overlaps_a_rule_warns_once() {
    let registry = Registry::typed();
    let warns = |args: &[&str], what: &str| {
        let run = registry.run(args);
        run.err_has(&format!("warning: {what} {BYPASSED}"));
        assert_eq!(run.stderr_text().matches(BYPASSED).count(), 1, "{args:?}");
    };
    registry.load("/registry/x", "{}");
    for (args, what) in [
        (&["delete", "--prefix", "/registry"][..], "/registry/"),
        (&["delete", "--prefix", "/reg", "--no-proto"], "/registry/"),
        (&["delete", "--from", "/"], "/registry/"),
        (&["delete", "--prefix", "/registry/x"], "/registry/x"),
        (&["restore", "/", "--source", "rev:1"], "/registry/"),
        (&["put", "/registry/y", "{}", "--no-proto"], "/registry/y"),
        (&["delete", "/registry/y", "/z"], "/registry/y"),
        (&["lock", "/registry/lock"], "/registry/lock/"),
        (&["allocate", "new", "k", "--base", "/registry/ids", "--node", "n"], "/registry/ids/"),
        (&["allocate", "release", "k", "--base", "/registry/ids", "--node", "n"], "/registry/ids/"),
        (&["gc", "locks", "/registry/lock", "--apply"], "/registry/lock"),
    ] {
        warns(&[args, &["--dry-run"]].concat(), what);
    }
    let lease = registry.run(&["lease", "grant", "--ttl", "60s", "-o", "json"]).ok().json()["lease"].clone();
    let lease = lease.as_str().unwrap();
    registry.run(&["put", "/registry/leased", "{}", "--no-proto", "--lease", lease]).ok();
    warns(&["lease", "revoke", lease, "--dry-run"], "/registry/leased");
    registry.run(&["lease", "revoke", lease, "--yes"]).ok().err_has(BYPASSED);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), json!({"then": [{"delete": {"prefix": "/reg"}}]}).to_string()).unwrap();
    warns(&["txn", file.path().to_str().unwrap(), "--dry-run"], "/registry/");
    for args in [&["delete", "--prefix", "/other"][..], &["delete", "--from", "/a", "--to", "/registry/"]] {
        registry.run(&[args, &["--dry-run"]].concat()).err_lacks(BYPASSED);
    }
    // A key that has the prefix with its namespace.
    let inside = Registry { at: "/registry".to_owned(), typed: false };
    inside.run(&["delete", "/configmaps/x", "--dry-run"]).err_has(&format!("/registry/configmaps/x {BYPASSED}"));
}

#[test]
fn an_error_says_which_form_is_expected_and_repeats_no_value() {
    let registry = Registry::typed();
    let run = registry.kvadm(&["put", "--from", "-"]).stdin("\"HUNTER, expected \"\n").run();
    run.code(2).err_has("not a record: invalid type: string, expected a JSON object").err_lacks("HUNTER");
    let key = "/registry/x";
    let pod = |fields: &str| format!(r#"{{"apiVersion":"v1","kind":"Pod",{fields}}}"#);
    for (value, why) in [
        (
            pod(r#""spec":{"containers":[{"resources":{"limits":{"memory":5}}}]}"#),
            r#"field spec.containers[0].resources.limits["memory"]: expected a quantity such as "128Mi""#,
        ),
        (
            pod(r#""metadata":{"creationTimestamp":"HUNTER"}"#),
            r#"field metadata.creationTimestamp: expected a time such as "2026-01-31T12:00:00Z""#,
        ),
        (pod(r#""spec":{"restartPolicy":["HUNTER"]}"#), "field spec.restartPolicy: expected a string, found a list"),
        (pod(r#""spec":"HUNTER""#), "field spec: expected an object with the fields of k8s.io.api.core.v1.PodSpec"),
        (
            r#"{"apiVersion":"v1","kind":"Secret","data":"HUNTER"}"#.to_owned(),
            "field data: expected an object, found a string",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Secret","data":{"a":"HUNTER !"}}"#.to_owned(),
            r#"field data["a"]: not a string of base64"#,
        ),
        ("kind: Secret\ndata: HUNTER\n".to_owned(), "not valid JSON: expected value at line 1 column 1"),
    ] {
        for args in [&["put", key, &value][..], &["put", key, "x", "--no-proto", "--if-value", &value]] {
            let run = registry.run(args);
            if !args.contains(&"--no-proto") {
                run.code(2).err_has(why);
            }
            run.err_lacks("HUNTER");
        }
    }
}

/// A rule of a check looks into the object, wherever its message is known.
#[test]
fn a_check_looks_into_objects() {
    let registry = Registry::typed();
    registry.load("/registry/pods/shop/web-0", fixture("pod.pb"));
    registry.load("/registry/leases/node-1", fixture("lease.pb"));
    let checks = "checks:
  - {name: pod, key: /registry/pods/shop/web-0, json: {path: /kind, equals: Pod}}
  - {name: name, prefix: /registry/pods/, each-json: {path: /metadata/name, matches: '^web-'}}
  - {name: lease, key: /registry/leases/node-1, changed-within: {within: 1s, path: /spec/renewTime}}
";
    let run = registry.kvadm(&["check", "-"]).stdin(checks).run();
    run.code(1).out_has("pod\tpass").out_has("name\tpass").out_has("lease\tfail").out_has(" ago)");
    let bytes = registry.kvadm(&["check", "-", "--no-proto", "--only", "pod"]).stdin(checks).run();
    bytes.code(1).out_has("a value of 645 bytes, which is not JSON");
}
