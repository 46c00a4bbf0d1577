//! Protobuf values: `--proto` with `--message`, and the configuration's `proto`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kvadm::proto::{Codec, Descriptors};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::list::load;
use super::support::{Kvadm, Run, shared, unique_prefix};
use super::watch::{told, wait_lines};

pub const SHOP: &str = "shop.v1.Order";

fn protoc() -> Command {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/protoc/bin/protoc");
    let program = std::env::var_os("PROTOC").map(PathBuf::from);
    let mut command = Command::new(program.unwrap_or_else(|| if fetched.exists() { fetched } else { "protoc".into() }));
    command.arg("-I").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/proto"));
    command
}

/// The descriptor set of `shop.proto`, made by the protoc that the build needs anyhow.
fn descriptors() -> &'static Path {
    static SET: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = SET.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for (name, flags) in [("shop.desc", &["--include_imports"][..]), ("bare.desc", &[])] {
            let mut command = protoc();
            command.args(flags).arg("-o").arg(folder.path().join(name)).args(["shop.proto", "old.proto"]);
            let output = command.output().expect("run protoc (PROTOC)");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        folder
    });
    folder.path()
}

pub fn shop() -> String {
    descriptors().join("shop.desc").display().to_string()
}

/// What protoc itself makes of a message in its text format.
pub fn made(message: &str, text: &str) -> Vec<u8> {
    let mut command = protoc();
    command.args(["--deterministic_output", &format!("--encode={message}"), "shop.proto", "old.proto"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

pub fn codec(message: &str) -> Codec {
    let set = Descriptors::parse(&std::fs::read(shop()).unwrap()).unwrap();
    let mut codec = Codec::default();
    codec.add(b"", set.message(message));
    codec
}

fn kvadm<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Kvadm {
    Kvadm::new().endpoint(shared()).args(args)
}

/// With the flags for an order.
fn order(args: &[&str]) -> Kvadm {
    kvadm(args).args(["--proto", &shop(), "--message", SHOP])
}

/// Everything a message may hold.
const FULL: &str = r#"
    id: 9007199254740993 note_text: "caf\303\251 \t" blob: "\377\000x" colour: RED
    part { name: "p" weight: -1 parts { key: "z" value { name: "zz" } } parts { key: "" value {} } }
    more { name: "a" } more {} counts { key: "b" value: 0 } counts { key: "a" value: 7 } counts { key: "" value: 1 }
    names { key: 10 value: "ten" } names { key: -1 value: "" } cash: false sizes: [1, 0, 300]
    price: 0.1 rate: 0.1 at { seconds: 1700000000 nanos: 5000000 }
    any { [type.googleapis.com/shop.v1.Part] { name: "in" parts { key: "x" value {} } parts { key: "y" value {} } } }
    extra { fields { key: "k2" value { number_value: 2 } } fields { key: "k1" value { string_value: "v" } } }
    huge: 18446744073709551615"#;

#[test]
fn all_that_a_message_may_hold_is_json_and_comes_back_as_the_same_bytes() {
    let at = unique_prefix();
    let (key, bytes) = (format!("{at}k"), made(SHOP, FULL));
    load(shared(), [(&key, &bytes)]);
    let wanted = json!({
        "id": "9007199254740993", "note_text": "caf\u{e9} \t", "blob": "/wB4", "colour": "RED",
        "part": {"name": "p", "weight": "-1", "parts": {"": {}, "z": {"name": "zz"}}},
        "more": [{"name": "a"}, {}], "counts": {"": 1, "a": 7, "b": 0}, "names": {"-1": "", "10": "ten"},
        "cash": false, "sizes": [1, 0, 300], "price": 0.1, "rate": 0.1,
        "any": {"@type": "type.googleapis.com/shop.v1.Part", "name": "in", "parts": {"x": {}, "y": {}}},
        "at": "2023-11-14T22:13:20.005Z", "extra": {"k1": "v", "k2": 2.0}, "huge": "18446744073709551615",
    });
    let record = order(&["get", &key, "-o", "json"]).run();
    assert_eq!(record.ok().err_empty().json()["value"], wanted);
    assert!(record.json().get("value_base64").is_none());
    // Once more, the order of the fields and of the maps included.
    let again = order(&["get", &key, "-o", "json"]).run();
    assert_eq!(again.stdout, record.stdout);
    // What list prints put takes, byte for byte.
    let listed = order(&["list", &at, "-o", "json"]).run();
    let other = unique_prefix();
    let moved = listed.stdout_text().replace(&at, &other);
    order(&["put", "--from", "-"]).stdin(moved).run().ok().err_empty();
    assert_eq!(shared().held(format!("{other}k")).unwrap().value, bytes);
    // As plain JSON on the command line and in a file too.
    let text = order(&["get", &key]).run().ok().stdout_text();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), wanted);
    order(&["put", &key, "-", "--if-different"]).stdin(&text).run().ok().out_has("unchanged");
    order(&["put", &key, text.trim(), "--if-value", text.trim()]).run().ok();
    assert_eq!(shared().held(&key).unwrap().value, bytes);
    // The field's JSON name is understood as well.
    order(&["put", &key, r#"{"noteText":"n","colour":1,"id":7}"#]).run().ok();
    assert_eq!(shared().held(&key).unwrap().value, made(SHOP, r#"id: 7 note_text: "n" colour: RED"#));
}

#[test]
fn what_would_not_come_back_the_same_keeps_its_bytes_beside_the_json() {
    let at = unique_prefix();
    let part = made("shop.v1.Part", r#"name: "a" weight: 3"#);
    // Fields in another order; a field that Tiny does not know; a map whose entries are not in order.
    let swapped = [&made("shop.v1.Part", "weight: 3")[..], &made("shop.v1.Part", r#"name: "a""#)].concat();
    let entry = |key: &str| made(SHOP, &format!("counts {{ key: \"{key}\" value: 1 }}"));
    let map = [entry("b"), entry("a")].concat();
    let cases = [
        ("part", "shop.v1.Part", &swapped, json!({"name": "a", "weight": "3"}), false),
        ("tiny", "shop.v1.Tiny", &part, json!({"only": "a"}), true),
        ("map", SHOP, &map, json!({"counts": {"a": 1, "b": 1}}), false),
    ];
    for (name, message, bytes, wanted, unknown) in cases {
        let key = format!("{at}{name}");
        load(shared(), [(&key, bytes)]);
        let run = kvadm(["list", &key, "-o", "json", "--proto", &shop(), "--message", message]).run();
        let record = run.ok().json();
        assert_eq!(record["value_decoded"], wanted, "{name}");
        let held = record.get("value_base64").map(|text| STANDARD.decode(text.as_str().unwrap()).unwrap());
        let held = held.unwrap_or_else(|| record["value"].as_str().unwrap().as_bytes().to_vec());
        assert_eq!(&held, bytes, "{name}");
        match unknown {
            true => {
                run.err_has(&format!("{key}: it has fields that are unknown to {message}: these fields are not shown"))
            }
            false => run.err_empty(),
        };
        let other = format!("{key}-copy");
        let copied = run.stdout_text().replace(&key, &other);
        kvadm(["put", "--from", "-", "--proto", &shop(), "--message", message]).stdin(copied).run().ok();
        assert_eq!(&shared().held(&other).unwrap().value, bytes, "{name}");
        // For people the message is what counts.
        let shown = kvadm(["get", &key, "-q", "--proto", &shop(), "--message", message]).run();
        assert_eq!(serde_json::from_str::<Value>(&shown.ok().stdout_text()).unwrap(), wanted, "{name}");
    }
}

#[test]
fn a_value_that_is_no_such_message_is_shown_as_bytes_with_a_warning() {
    let at = unique_prefix();
    let (bad, good) = (format!("{at}bad"), format!("{at}good"));
    load(shared(), [(&bad, &b"\xff\xff"[..]), (&good, &made(SHOP, "id: 1")[..])]);
    let listed = order(&["list", &at, "-o", "json"]).run();
    let records = listed
        .ok()
        .err_has(&format!(
            "warning: value of {bad}: not a valid {SHOP} (the bytes do not have the form of this type): "
        ))
        .json_lines();
    assert_eq!((&records[0]["value_base64"], &records[1]["value"]), (&json!("//8="), &json!({"id": "1"})));
    order(&["get", &bad]).run().ok().out_bytes(b"\xff\xff\n").err_has("shown as bytes");
    order(&["list", &at, "-q"]).run().ok().out(&format!("{bad}\t\\xff\\xff\n{good}\t{{\"id\":\"1\"}}\n")).err_empty();
    let yaml = order(&["get", &good, "-o", "yaml"]).run();
    yaml.ok().out_has("value: {\"id\": \"1\"}\n");
    // Raw is raw.
    order(&["get", &bad, "-o", "raw"]).run().ok().out_bytes(b"\xff\xff").err_empty();
    order(&["get", &good, "-o", "raw"]).run().ok().out_bytes(&made(SHOP, "id: 1"));
    // A great many of them are not named one by one.
    let many = unique_prefix();
    load(shared(), (0..30).map(|n| (format!("{many}{n}"), b"\xff")));
    let run = order(&["list", &many]).run();
    assert_eq!(run.ok().stdout_text().lines().count(), 30);
    assert_eq!(run.err_has("more values cannot be decoded").stderr_text().lines().count(), 11);
}

#[test]
fn a_json_that_does_not_fit_is_wrong_usage_and_names_the_field() {
    let key = format!("{}k", unique_prefix());
    let cases = [
        (r#"{"id":"x"}"#, "field id: "),
        (r#"{"nope":1}"#, "field nope: shop.v1.Order has no such field"),
        (r#"{"id":1,"part":{"parts":{"z":{"weight":[]}}}}"#, "field part.parts[\"z\"].weight: "),
        (r#"{"more":[{},{"name":5}]}"#, "field more[1].name: "),
        (r#"{"colour":"BLUE"}"#, "field colour: "),
        (r#"{"blob":"***"}"#, "field blob: "),
        (r#"{"id":1.5}"#, "field id: "),
        (r#"{"at":"yesterday"}"#, "field at: "),
        (r#"{"any":{"@type":"x/shop.v1.Nope"}}"#, "field any: "),
        (r#"{"cash":true,"card":"c"}"#, "not a valid shop.v1.Order: "),
        ("[]", "not a valid shop.v1.Order: "),
        ("plain", "not valid JSON: "),
    ];
    for (json, wanted) in cases {
        order(&["put", &key, json]).run().code(2).out_empty().err_has(&format!("the value of {key}: ")).err_has(wanted);
        let Ok(value) = serde_json::from_str::<Value>(json) else { continue };
        if value.is_object() {
            let line = json!({"key": key, "value": value}).to_string();
            order(&["put", "--from", "-"]).stdin(&line).run().code(2).err_has("stdin:1: value: ").err_has(wanted);
            let txn = json!({"then": [{"put": {"key": key, "value": value}}]}).to_string();
            order(&["txn", "-"]).stdin(txn).run().code(2).err_has("then[0].put.value: ").err_has(wanted);
        }
    }
    order(&["put", &key, "{}", "--if-value", "x"]).run().code(2).err_has("--if-value of ");
    order(&["put", "--from", "-"])
        .stdin(r#"{"key":"k","value":[]}"#)
        .run()
        .code(2)
        .err_has("value is neither a string nor an object");
    kvadm(["put", "--from", "-"])
        .stdin(r#"{"key":"k","value":{}}"#)
        .run()
        .code(2)
        .err_has("value: is an object, but this key has no message type");
    assert!(shared().held(&key).is_none());
}

#[test]
fn a_descriptor_set_that_is_missing_or_wrong_is_named() {
    let ask = |file: &str, message: &str| kvadm(["get", "k", "--proto", file, "--message", message]).run();
    ask("/nowhere/x.desc", SHOP).code(2).out_empty().err_has("--proto cannot read /nowhere/x.desc: ");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/proto/shop.proto");
    ask(source.to_str().unwrap(), SHOP).code(2).err_has("shop.proto: not a complete descriptor set").err_has("protoc");
    ask("/dev/null", SHOP).code(2).err_has("/dev/null: not a descriptor set: it defines no message");
    ask(&shop(), "Order").code(2).err_has("it has no message Order; did you mean shop.v1.Order?");
    // Google's own types need not be in it.
    let bare = descriptors().join("bare.desc").display().to_string();
    ask(&bare, SHOP).code(1).err_has("key not found: k");
    ask(&shop(), "google.protobuf.Timestamp").code(1);
    kvadm(["get", "k", "--proto", &shop()]).run().code(2).err_has("--message");
    kvadm(["get", "k", "--no-proto", "--proto", &shop(), "--message", SHOP]).run().code(2).err_has("--no-proto");
}

/// Against the shared server, with this `proto` section; prefixes are behind the namespace.
fn configured(at: &str, args: &[&str]) -> Run {
    let config = format!(
        "endpoints: ['{}']\nnamespace: '{at}'\nproto:\n- {{prefix: o/, file: '{set}', message: {SHOP}}}\n\
         - {{prefix: o/part/, file: '{set}', message: shop.v1.Part}}\n- {{prefix: o/plain/, file: gone.desc, message: X}}\n",
        shared().endpoint(),
        set = shop(),
    );
    Kvadm::new().config_file("etcd.yaml", config).args(args).run()
}

#[test]
fn the_config_s_longest_prefix_wins_and_a_broken_rule_breaks_nothing_else() {
    let at = unique_prefix();
    configured(&at, &["put", "o/1", r#"{"id":5}"#]).ok().err_empty();
    configured(&at, &["put", "o/part/1", r#"{"weight":5}"#]).ok();
    configured(&at, &["put", "other", "plain text"]).ok();
    let why = "the config's proto rule for prefix 'o/plain/': ";
    configured(&at, &["put", "o/plain/1", "{}"]).code(2).err_has(why).err_has("gone.desc").err_has("--no-proto");
    configured(&at, &["put", "o/plain/1", "x", "--no-proto"]).ok();
    let held = |name: &str| shared().held(format!("{at}{name}")).unwrap().value;
    assert_eq!((held("o/1"), held("o/part/1")), (made(SHOP, "id: 5"), made("shop.v1.Part", "weight: 5")));
    let run = configured(&at, &["list"]);
    run.ok().out("o/1\t{\"id\":\"5\"}\no/part/1\t{\"weight\":\"5\"}\no/plain/1\tx\nother\tplain text\n");
    run.err_has(&format!("warning: value of o/plain/1: {why}"));
    configured(&at, &["list", "--no-proto"]).ok().err_empty().out_has("o/1\t\\x08\\x05\n");
    // The command line's own stands in for all of the section.
    let flags = ["get", "o/part/1", "--proto", &shop(), "--message", "shop.v1.Tiny"];
    configured(&at, &flags).ok().out("{}\n").err_has("it has fields that are unknown to");
    configured(&at, &["delete", "o/1", "--prev", "--if-value", r#"{"id":"5"}"#]).ok().out_has("o/1\t{\"id\":\"5\"}");
    let txn = r#"{"if":[{"key":"o/part/1","value":{"weight":"5"}}],"then":[{"get":{"prefix":"o/"}}]}"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), txn).unwrap();
    let run = configured(&at, &["txn", file.path().to_str().unwrap(), "-o", "json"]);
    assert_eq!(run.ok().err_has(why).json()["results"][0]["kvs"][0]["value"], json!({"weight": "5"}));
}

#[test]
fn a_watch_tells_an_undecodable_value_as_bytes_and_an_error_record_and_goes_on() {
    let at = unique_prefix();
    let key = format!("{at}k");
    let watch = order(&["watch", &at, "-o", "json", "--list", "--prev", "--count", "4"]).spawn();
    wait_lines(&watch, 1);
    order(&["put", &key, r#"{"id":1}"#]).run().ok();
    kvadm(["put", &key, "not at all"]).run().ok();
    order(&["put", &key, r#"{"id":2}"#]).run().ok();
    kvadm(["delete", &key]).run().ok();
    let run = watch.wait();
    let lines = run.ok().err_empty().json_lines();
    let wanted = ["created", "modified", "error", "modified", "error", "deleted"].map(|word| format!("{word} {key}"));
    assert_eq!(told(&lines)[1..], wanted);
    assert_eq!((&lines[1]["value"], &lines[2]["value"]), (&json!({"id": "1"}), &json!("not at all")));
    assert_eq!((&lines[3]["field"], &lines[3]["mod_revision"]), (&json!("value"), &lines[2]["mod_revision"]));
    assert!(lines[3]["error"].as_str().unwrap().starts_with("not a valid shop.v1.Order ("));
    assert_eq!((&lines[4]["prev_value"], &lines[5]["field"]), (&json!("not at all"), &json!("prev_value")));
    assert_eq!(lines[6]["prev_value"], json!({"id": "2"}));
    assert!(run.took < Duration::from_secs(20));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the bytes are: an exact value comes back exactly, and no bytes end the program.
    #[test]
    fn exact_is_exact(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            // Tags and lengths that are likelier to mean something.
            proptest::collection::vec(0u8..20, 0..40),
            proptest::collection::vec(prop_oneof![Just(0x3au8), Just(0x0a), Just(2), Just(0x2a), Just(4), Just(b'a')], 0..24),
        ],
    ) {
        let codec = codec(SHOP);
        if let Some(Ok(decoded)) = codec.decode(b"k", &bytes) {
            let text = decoded.json.to_string();
            let read: Value = serde_json::from_str(&text).unwrap();
            if decoded.exact {
                prop_assert_eq!(codec.encode(b"k", &read), Some(Ok(bytes)));
            } else if decoded.missing.is_none() {
                // What it says is the same, though the bytes are not.
                let again = codec.encode(b"k", &read).unwrap().unwrap();
                prop_assert_eq!(codec.decode(b"k", &again).unwrap().unwrap().json, decoded.json);
            }
        }
    }
}

const BILL: &str = "shop.v0.Bill";

/// `old.proto`, with its flags.
fn bill(args: &[&str]) -> Kvadm {
    kvadm(args).args(["--proto", &shop(), "--message", BILL])
}

/// ProtoJSON's rules for wrappers of floating-point numbers and for an empty `Any`.
#[test]
fn numbers_that_are_not_finite_and_empty_anys_are_json_and_come_back() {
    let at = unique_prefix();
    let key = format!("{at}k");
    let text = r#"id: 1 lines { name: "a" price: inf } by_name { key: "x" value { name: "n" price: nan } }
        total { value: inf } rates { value: -inf } rates { value: 1.5 } rates { value: nan }
        by_day { key: 2 value { value: nan } } extra {} more {}
        more { [type.googleapis.com/shop.v0.Bill] { id: 2 total { value: -inf } extra {} } }
        more { [type.googleapis.com/google.protobuf.DoubleValue] { value: inf } }"#;
    let bytes = made(BILL, text);
    load(shared(), [(&key, &bytes)]);
    let wanted = json!({
        "id": "1", "lines": [{"name": "a", "price": "Infinity"}], "by_name": {"x": {"name": "n", "price": "NaN"}},
        "total": "Infinity", "rates": ["-Infinity", 1.5, "NaN"], "by_day": {"2": "NaN"}, "extra": {},
        "more": [
            {},
            {"@type": "type.googleapis.com/shop.v0.Bill", "id": "2", "total": "-Infinity", "extra": {}},
            {"@type": "type.googleapis.com/google.protobuf.DoubleValue", "value": "Infinity"},
        ],
    });
    let record = bill(&["get", &key, "-o", "json"]).run();
    assert_eq!(record.ok().err_empty().json()["value"], wanted);
    let other = format!("{at}copy");
    bill(&["put", &other, &wanted.to_string()]).run().ok();
    assert_eq!(shared().held(&other).unwrap().value, bytes);
}

#[test]
fn a_required_field_that_is_missing_is_refused() {
    let at = unique_prefix();
    let key = format!("{at}k");
    for (json, missing) in [
        (r#"{"lines":[]}"#, "the required field id of shop.v0.Bill is missing"),
        (r#"{"id":1,"lines":[{"name":"a"},{"price":1}]}"#, "the required field name of shop.v0.Line is missing"),
        (r#"{"id":1,"by_name":{"x":{}}}"#, "the required field name of shop.v0.Line is missing"),
        (r#"{"id":1,"extra":{"@type":"x/shop.v0.Line"}}"#, "the required field name of shop.v0.Line is missing"),
    ] {
        bill(&["put", &key, json]).run().code(2).out_empty().err_has(missing);
    }
    assert!(shared().held(&key).is_none());
    // A value that lacks the field, as another program may have written it: its bytes are shown.
    load(shared(), [(&key, &made("shop.v1.Tiny", "")[..])]);
    bill(&["get", &key, "-o", "json"]).run().ok().err_has("the required field id of shop.v0.Bill is missing");
}

#[test]
fn anys_in_anys_do_not_overflow_the_stack() {
    let key = format!("{}k", unique_prefix());
    let length = |bytes: &[u8]| {
        let mut out = Vec::new();
        prost_reflect::prost::encoding::encode_varint(bytes.len() as u64, &mut out);
        out
    };
    let url = b"x/google.protobuf.Any";
    let mut any = Vec::new();
    for _ in 0..20_000 {
        any = [&b"\x0a"[..], &length(url), url, b"\x12", &length(&any), &any].concat();
    }
    let value = [&b"\x08\x01\x3a"[..], &length(&any), &any].concat();
    load(shared(), [(&key, &value)]);
    bill(&["get", &key, "-o", "json"]).run().ok().err_has("messages are nested more than 100 deep");
}
