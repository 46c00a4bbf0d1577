//! The contract of JSON: every verb has an entry, every field is in kvadm-json(7), and a name has one type. That each run of
//! each test keeps the contract is checked by `support::contract`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use kvadm::output::contract::{JsonType, VERBS, VerbSpec, json_schema, name, verb};

use super::support::binary::python;
use super::support::contract::JsonRun;
use super::support::{Cluster, Etcd, Kvadm, Run, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

fn kvadm(etcd: &Etcd, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(args).timeout(SOON)
}

fn json_of(etcd: &Etcd, args: &[&str]) -> Run {
    kvadm(etcd, args).args(["-o", "json"]).run()
}

/// Names with their types, the place of each first.
#[derive(Default)]
struct Fields(BTreeMap<String, BTreeMap<&'static str, String>>);

impl Fields {
    fn add(&mut self, value: &Value, place: &str) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = name.trim_end_matches("_base64").trim_end_matches("_decoded");
                    let types = self.0.entry(name.to_owned()).or_default();
                    let kind = match value {
                        Value::Null => "null",
                        Value::Bool(_) => "bool",
                        Value::Number(_) => "number",
                        Value::String(_) => "string",
                        Value::Array(_) => "array",
                        Value::Object(_) => "object",
                    };
                    types.entry(kind).or_insert_with(|| place.to_owned());
                    // What a step of a diagnosis found is free.
                    if name != "facts" {
                        self.add(value, place);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.add(item, place)),
            _ => {}
        }
    }
}

/// Output and errors of a run that are JSON, each with its stream.
fn lines(run: &Run) -> Vec<(&'static str, Value)> {
    let of = |stream, text: String| {
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect();
        lines.into_iter().map(move |line| (stream, serde_json::from_str(&line).unwrap()))
    };
    of("stdout", run.stdout_text()).chain(of("stderr", run.stderr_text())).collect()
}

fn objects(run: &Run) -> Vec<Value> {
    lines(run).into_iter().map(|(_, value)| value).collect()
}

/// The run with these words.
fn json_run(words: &[&str]) -> Option<JsonRun> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    JsonRun::of(&words, None)
}

#[test]
fn every_verb_has_an_entry_in_the_contract() {
    fn all(command: &clap::Command, path: &[String]) -> BTreeSet<String> {
        let verbs: Vec<_> = command.get_subcommands().filter(|verb| verb.get_name() != "help").collect();
        // A verb whose own verbs may be omitted prints something itself.
        let itself = verbs.is_empty() || !path.is_empty() && !command.is_subcommand_required_set();
        let below = verbs.iter().flat_map(|verb| all(verb, &[path, &[verb.get_name().to_owned()]].concat()));
        itself.then(|| path.join("-")).into_iter().chain(below).collect()
    }
    let mut command = kvadm::command();
    command.build();
    let entries: BTreeSet<String> = VERBS.iter().map(VerbSpec::name).collect();
    assert_eq!(entries.len(), VERBS.len(), "a verb has two entries");
    assert_eq!(all(&command, &[]), entries, "src/output/contract/verbs.rs says what each verb prints");
}

#[test]
fn the_verb_and_the_format_of_a_command_line_are_found() {
    let found = |words: &[&str]| json_run(words).map(|run| run.verb.map_or("none".to_owned(), VerbSpec::name));
    for (words, expected) in [
        (&["list", "/", "-o", "json"][..], Some("list")),
        (&["-ojson", "--endpoints", "get", "--op-timeout=1s", "lease", "list"], Some("lease-list")),
        (&["--output=json", "gc", "ids", "--save", "locks"], Some("gc-ids")),
        (&["put", "list", "watch", "-o", "json"], Some("put")),
        (&["lock", "/l", "-o", "json", "--", "kvadm", "list"], Some("lock")),
        (&["put", "/a", "x", "--if-locked", "-o", "json"], Some("put")),
        (&["gett", "-o", "json"], Some("none")),
        (&["list", "/", "-o", "yaml"], None),
        (&["lock", "/l", "--", "x", "-o", "json"], None),
        (&["list", "/"], None),
    ] {
        assert_eq!(found(words).as_deref(), expected, "{words:?}");
    }
}

/// What kvadm does not print: each is found, and the field is named.
#[test]
fn a_violation_is_found() {
    let list = json_run(&["list", "/", "-o", "json"]).unwrap();
    let good = r#"{"key":"a","value":"v","create_revision":1,"mod_revision":1,"version":1}"#;
    assert_eq!(list.violation(format!("{good}\n").as_bytes(), b"note: text\n"), None);
    assert_eq!(list.violation(good.as_bytes(), b""), None, "a line that was cut off");
    let decoded = good.replace(r#""value":"v""#, r#""value_base64":"/w==","value_decoded":{"a":1}"#);
    assert_eq!(list.violation(format!("{decoded}\n").as_bytes(), b""), None);
    for (from, to, said) in [
        (r#""version":1"#, r#""version":"1""#, "version is no number"),
        (r#""key":"a","#, "", "key is missing"),
        (r#""key":"a""#, r#""key":"a","key_base64":"YQ==""#, "key is there twice"),
        (r#""key":"a""#, r#""key":"a","colour":1"#, "colour is unknown"),
        (r#""key":"a""#, r#""key":"a","version_base64":"YQ==""#, "version_base64 is unknown"),
        (r#""key":"a""#, r#""key":"a","lease":12"#, "lease is no ID"),
        (r#""key":"a""#, r#""key":"a","lease":"0xff""#, "lease is no ID"),
        (r#""value":"v""#, r#""value":null"#, "value is no bytes or object"),
        (good, "key", "is not a JSON object"),
    ] {
        assert!(good.contains(from), "{from}");
        let line = format!("{good}\n{}\n", good.replace(from, to));
        let why = list.violation(line.as_bytes(), b"").unwrap_or_default();
        assert!(why.contains(said) && why.contains("line 2"), "{to}: {why}");
    }
    let get = json_run(&["allocate", "list", "-o", "json"]).unwrap();
    let id = r#"{"id":"1","key":"k","nodes":1,"state":"used","references":[{"node":"n"},{"lease":"1f"}]}"#;
    let why = get.violation(format!("{id}\n").as_bytes(), b"").unwrap_or_default();
    for said in ["state is 'used', not one of in-use", "references[1].node is missing"] {
        assert!(why.contains(said), "{why}");
    }
    let error = r#"{"error":"e","caused_by":[],"hints":[],"exit_code":5,"condition":{"kind":"odd","key":"k"}}"#;
    let why = list.violation(b"", format!("{error}\n").as_bytes()).unwrap_or_default();
    assert!(why.contains("condition.kind is 'odd'") && why.contains("Stderr"), "{why}");
}

/// A run of the harness fails if kvadm breaks the contract: here a program that prints what no verb prints.
#[test]
fn the_harness_compares_each_run() {
    let result = std::panic::catch_unwind(|| {
        let mut running = Kvadm::program("sh").args(["-c", "echo '{\"colour\":1}'"]).spawn();
        running.expect_contract(json_run(&["list", "/", "-o", "json"]));
        let _run = running.wait();
    });
    let panic = result.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("breaks the contract") && text.contains("colour is unknown"), "{text}");
}

/// The schemas are schemas, and say the same of a line as the contract: what kvadm printed is valid, and what lacks a field
/// or has another type is not.
fn check_schemas(lines: &[(&'static VerbSpec, &'static str, Value)], at_least: usize) {
    let folder = tempfile::tempdir().unwrap();
    for verb in VERBS {
        std::fs::write(folder.path().join(verb.name() + ".json"), json_schema(verb).to_string()).unwrap();
    }
    let mut input = Vec::new();
    let mut invalid = 0;
    let mut add = |verb: &VerbSpec, stream: &str, value: &Value, valid: bool| {
        let line = json!({"schema": verb.name(), "stream": stream, "value": value, "valid": valid});
        input.extend_from_slice(line.to_string().as_bytes());
        input.push(b'\n');
    };
    for (verb, stream, value) in lines {
        add(verb, stream, value, true);
        let records = if *stream == "stdout" { verb.stdout } else { verb.stderr };
        // With several records, what is wrong as the one may be right as the other.
        let [record] = records else { continue };
        if *stream == "stderr" {
            continue;
        }
        for field in record.fields.iter().filter(|field| value.get(field.name).is_some()) {
            let mut other = value.clone();
            let kind = field.kind.unwrap_or_else(|| name(field.name).unwrap().kind);
            other[field.name] = if kind == JsonType::Bool { json!("text") } else { json!(true) };
            add(verb, stream, &other, false);
            invalid += 1;
        }
    }
    assert!(invalid >= at_least, "{invalid}");
    let printed = python("check_schemas.py", [folder.path()], &input);
    assert_eq!(printed, format!("{} {}\n", VERBS.len(), lines.len() + invalid));
}

#[test]
fn every_field_is_in_the_manual_and_has_one_type() {
    let etcd = Etcd::start();
    let plain = |args: &[&str]| kvadm(&etcd, args).run().ok().stdout_text();
    for (key, value) in [("/a/1", "x"), ("/a/1", "y"), ("/a/2", "z"), ("/b", "1")] {
        plain(&["put", key, value]);
    }
    plain(&["put", "/clock", "2026-01-01T00:00:00Z"]);
    plain(&["delete", "/b"]);
    plain(&["put", "/b", "2"]);
    plain(&["lease", "grant", "--ttl", "1000s", "--id", "7a00000000000001"]);
    plain(&["put", "/leased", "x", "--lease", "7a00000000000001"]);
    plain(&["allocate", "new", "k8s:app=web;", "--node", "n1"]);
    plain(&["put", "cilium/state/identities/v1/id/300", "unused;"]);
    plain(&["put", "cilium/state/identities/v1/value/lost;/n2", "301"]);
    plain(&["put", "/cron/x/7a00000000000009", ""]);
    plain(&["put", "/m/v1/ns1/content/blob/lost/size", "3"]);
    plain(&["put", "/m/v1/ns1/nonsense", "3"]);
    let mut lock = kvadm(&etcd, &["lock", "/l", "--ttl", "1000s", "-o", "json"]).spawn();
    let mut fields = Fields::default();
    fields.add(&serde_json::from_str(&lock.next_line().unwrap()).unwrap(), "lock");
    let mut printed = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().join("save").to_str().unwrap().to_owned();
    let txn = folder.path().join("txn.yaml").to_str().unwrap().to_owned();
    let steps = "then:\n  - put: {key: /a/1, value: t, prev: true}\n  - get: {key: /a/1}\n  - delete: {key: /a/2, prev: true}\n";
    std::fs::write(&txn, steps).unwrap();
    let checks = folder.path().join("checks.yaml").to_str().unwrap().to_owned();
    let check_file = "checks:\n  - {name: a, voters: 1, learners: 1}\n  - {name: b, key: /a/1, value: x}\n  - {name: c, certificate-days: 1}\n";
    std::fs::write(&checks, check_file).unwrap();
    let metadata = &["gc", "metadata", "/m/", "--schema", "containerd"][..];
    for args in [
        &["get", "/a/1", "/leased"][..],
        &["get", "/b", "--history", "--op-timeout", "1s"],
        &["list", "/", "--with-leases"],
        &["list", "/", "--count"],
        &["list", "/", "--trailer"],
        &["list", "/", "--since-rev", "3"],
        &["list", "/", "--serializable"],
        &["list", "/", "--at", "1s", "--clock", "/clock"],
        &["list", "/", "--depth", "1"],
        &["list", "/", "--tree", "--depth", "1"],
        &["list", "/", "--du"],
        &["diff", "/", "--source", "rev:2"],
        &["diff", "/", "--source", "rev:2", "--stat"],
        &["restore", "/a/", "--source", "rev:2", "--dry-run"],
        &["restore", "/a/", "--source", "rev:2", "--yes"],
        &["put", "/a/3", "x"],
        &["put", "/a/3", "x", "--if-different"],
        &["put", "/a/3", "y", "--dry-run"],
        &["put", "/a/3", "x", "--create"],
        &["put", "/a/4", "x", "--ttl", "60s"],
        &["delete", "/a/4", "--prev"],
        &["delete", "/a/3", "--dry-run"],
        &["delete", "/a/3"],
        &["delete", "--prefix", "/none/"],
        &["lease", "list"],
        &["lease", "show", "7a00000000000001"],
        &["lease", "renew", "7a00000000000001"],
        &["lock", "--list"],
        &["watch", "/a/", "--prev", "--rev", "2", "--count", "3"],
        &["watch", "/a/", "--list", "--until", "list-done"],
        &["status"],
        &["status", "--quorum"],
        &["status", "--revision"],
        &["status", "--diagnose"],
        &["check", &checks],
        &["check", &checks, "--explain"],
        &["config"],
        &["version"],
        &["allocate", "get", "k8s:app=web;"],
        &["allocate", "lookup", "300"],
        &["allocate", "list", "--ttl"],
        &["allocate", "check", "--all"],
        &["allocate", "new", "other;", "--node", "n1"],
        &["allocate", "renew", "other;", "--node", "n1"],
        &["allocate", "release", "other;", "--node", "n1"],
        &["gc", "ids", "--save", &save],
        &["gc", "locks", "/cron/"],
        metadata,
        &[metadata, &["--explain", "/m/v1/ns1/content/blob/lost"]].concat(),
        &[metadata, &["--check"]].concat(),
        &["gc", "ids", "--apply", "--grace", "10ms", "--settle", "10ms", "--yes"],
        &["compact", "--dry-run"],
        &["compact", "--defrag", "--yes"],
        &["get", "/a/1", "--rev", "999999"],
        &["gett"],
        &["txn", &txn],
        &[metadata, &["--apply", "--yes", "--grace", "1ms", "--roots-complete", "--ignore-unparsed"]].concat(),
    ] {
        let run = json_of(&etcd, args);
        let found = lines(&run);
        assert!(!found.is_empty(), "{args:?}: {run:?}");
        found.iter().for_each(|(_, object)| fields.add(object, &args.join(" ")));
        if let Some(spec) = verb(&args[..1]).or_else(|| verb(&args[..2.min(args.len())])) {
            printed.extend(found.into_iter().map(|(stream, value)| (spec, stream, value)));
        }
    }
    check_schemas(&printed, 50);
    lock.signal(Signal::SIGTERM);
    let _ended = lock.wait();
    let manual = kvadm::cli::manual::json();
    let words: BTreeSet<&str> = manual.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let unknown: Vec<_> = fields.0.iter().filter(|(name, _)| !words.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "not in kvadm-json(7): {unknown:?}");
    // The version of a key is a number, that of a program a text.
    let several = fields.0.iter().filter(|(name, types)| types.len() > 1 && *name != "version");
    let several: Vec<_> = several.collect();
    assert!(several.is_empty(), "of several types: {several:?}");
    assert!(fields.0.len() > 90, "{}", fields.0.len());
}

/// The files that verbs print in JSON are valid against their schemas too. Only a shell script has none.
#[test]
fn the_file_of_users_and_roles_is_valid_against_its_schema() {
    let etcd = Etcd::options().arg("--bcrypt-cost=4").start();
    let plain = |args: &[&str]| kvadm(&etcd, args).run().ok().stdout_text();
    let export = verb(&["auth", "export"]).unwrap();
    let exported = || (export, "stdout", json_of(&etcd, &["auth", "export"]).ok().err_empty().json());
    let empty = exported();
    plain(&["role", "add", "app"]);
    plain(&["role", "add", "root"]);
    plain(&["role", "grant", "app", "read", "--prefix", "/app/"]);
    plain(&["user", "add", "alice", "--no-password"]);
    plain(&["user", "grant", "alice", "app"]);
    let full = exported();
    assert_eq!(full.2["roles"]["app"]["permissions"][0]["prefix"], "/app/");
    check_schemas(&[empty, full], 4);
    let silent: Vec<String> = VERBS.iter().filter(|verb| verb.stdout.is_empty()).map(VerbSpec::name).collect();
    assert_eq!(silent, ["completions"]);
}

#[test]
fn a_failed_condition_is_a_field_with_the_present_state() {
    let (etcd, at) = (shared(), unique_prefix());
    let (key, other) = (format!("{at}a"), format!("{at}b"));
    kvadm(etcd, &["put", &key, "old"]).run().ok();
    kvadm(etcd, &["put", &key, "now"]).run().ok();
    let record = json_of(etcd, &["get", &key]).ok().json();
    let revision = record["mod_revision"].clone();
    let present = json!([key, revision, "now"]);
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records").to_str().unwrap().to_owned();
    std::fs::write(&records, json!({"key": key, "value": "another"}).to_string() + "\n").unwrap();
    for (args, condition, state) in [
        (&["put", &key, "x", "--create"][..], "exists", &present),
        (&["put", &key, "x", "--if-rev", "1"], "revision", &present),
        (&["put", &key, "x", "--if-value", "old"], "value", &present),
        (&["put", &key, "x", "--if-value", "old", "--dry-run"], "value", &present),
        (&["put", &other, "x", "--update"], "missing", &json!([other, null, null])),
        (&["put", &key, "x", "--if-exists", &other], "missing", &json!([other, null, null])),
        (&["delete", &key, "--if-rev", "1"], "revision", &present),
        (&["delete", &key, "--if-value", "old"], "value", &present),
        (&["delete", &key, "--if-value", "old", "--dry-run"], "value", &present),
        (&["put", &key, "x", "--if-locked=/none@7"], "lock", &json!(["/none", null, null])),
        (&["get", &key, "--if-locked=/none@7"], "lock", &json!(["/none", null, null])),
        (&["put", "--from", &records, "--create"], "exists", &json!([key, null, null])),
    ] {
        let run = json_of(etcd, args);
        let error = run.code(5).err_json();
        // A load prints its numbers as well.
        assert_eq!(run.stdout.is_empty(), !args.contains(&"--from"), "{args:?}");
        let failed = &error["condition"];
        assert_eq!(failed["kind"], condition, "{args:?}: {error}");
        assert_eq!(json!([failed["key"], failed["mod_revision"], failed["value"]]), *state, "{args:?}: {error}");
        assert!(error.get("key").is_none(), "{error}");
        assert_eq!(error["exit_code"], 5, "{error}");
    }
    // Other failures have no condition.
    let error = json_of(etcd, &["get", &key, "--rev", "999999999"]).code(4).err_json();
    assert!(error.get("condition").is_none() && error.get("key").is_none(), "{error}");
    kvadm(etcd, &["get", &key]).run().ok().out("now\n");
}

#[test]
fn a_dry_run_of_a_put_is_machine_readable() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    let dry = |args: &[&str]| json_of(etcd, &[&["put", &key, "x", "--dry-run"], args].concat());
    assert_eq!(dry(&[]).ok().json(), json!({"outcome": "would-write", "key": key, "dry_run": true}));
    dry(&[]).err_empty();
    kvadm(etcd, &["get", &key]).run().code(1);
    kvadm(etcd, &["put", &key, "x"]).run().ok();
    let same = dry(&["--if-different"]).ok().json();
    assert_eq!((&same["outcome"], &same["dry_run"]), (&json!("unchanged"), &json!(true)));
    kvadm(etcd, &["put", &key, "x", "--dry-run"]).run().ok().out_empty().err_has("would be written");
    let load = kvadm(etcd, &["put", "--from", "-", "--dry-run", "-o", "json"]);
    let load = load.stdin(json!({"key": key, "value": "y"}).to_string() + "\n").run().ok().json();
    let expected = json!({"would_write": 1, "unchanged": 0, "exists": 0, "unknown": 0, "leases": 0, "dry_run": true});
    assert_eq!(load, expected);
    kvadm(etcd, &["get", &key]).run().ok().out("x\n");
}

/// No dry run of a verb is silent in JSON, and none changes anything.
#[test]
fn dry_runs_are_machine_readable() {
    let etcd = Etcd::start();
    kvadm(&etcd, &["allocate", "new", "used;", "--node", "n"]).run().ok();
    kvadm(&etcd, &["lease", "grant", "--ttl", "100s", "--id", "1f"]).run().ok();
    let mut lock = kvadm(&etcd, &["lock", "/busy", "-o", "json"]).spawn();
    let held: Value = serde_json::from_str(&lock.next_line().unwrap()).unwrap();
    let revision = || kvadm(&etcd, &["status", "--revision"]).run().ok().stdout_text();
    let before = revision();
    for (args, expected) in [
        (&["lease", "grant", "--ttl", "60s"][..], json!([{"outcome": "would-grant", "ttl": 60}])),
        (
            &["lease", "renew", "1f", "2f"],
            json!([{"outcome": "would-renew", "lease": "1f"}, {"outcome": "would-renew", "lease": "2f"}]),
        ),
        (&["lock", "/free"], json!([{"outcome": "would-lock", "name": "/free"}])),
        (&["lock", "/busy"], json!([{"outcome": "would-wait", "name": "/busy", "key": held["key"]}])),
        (
            &["allocate", "new", "used;", "fresh;", "--node", "n"],
            json!([
                {"outcome": "existing", "key": "used;", "id": "256", "node": "n"},
                {"outcome": "new", "key": "fresh;", "id": "257", "node": "n"},
            ]),
        ),
        (
            &["allocate", "hold", "fresh;", "--node", "n"],
            json!([{"outcome": "new", "key": "fresh;", "id": "257", "node": "n"}]),
        ),
        (
            &["allocate", "release", "used;", "fresh;", "--node", "n"],
            json!([
                {"outcome": "would-release", "key": "used;", "id": "256", "node": "n"},
                {"outcome": "absent", "key": "fresh;", "node": "n"},
            ]),
        ),
        (
            &["allocate", "renew", "used;", "--node", "n"],
            json!([{"outcome": "would-renew", "key": "used;", "node": "n"}]),
        ),
    ] {
        let run = json_of(&etcd, &[args, &["--dry-run"]].concat());
        let mut rows = run.ok().err_empty().json_lines();
        for row in &mut rows {
            assert_eq!(row.as_object_mut().unwrap().remove("dry_run"), Some(json!(true)), "{args:?}: {row}");
        }
        assert_eq!(json!(rows), expected, "{args:?}");
        // In text, a note says the same.
        kvadm(&etcd, &[args, &["--dry-run"]].concat()).run().ok().out_empty().err_has("note: dry run: ");
    }
    assert_eq!(revision(), before);
    lock.signal(Signal::SIGTERM);
    let _ended = lock.wait();
}

#[test]
fn a_dry_run_of_a_deletion_says_what_it_would_delete() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    kvadm(etcd, &["put", &key, "x"]).run().ok();
    for (args, said) in [
        (&["delete", &key][..], "note: dry run: would delete 1 key\n".to_owned()),
        (&["delete", "--prefix", &at], format!("note: dry run: would delete 1 key with prefix '{at}'\n")),
    ] {
        let args = [args, &["--dry-run"]].concat();
        kvadm(etcd, &args).run().ok().out("1\n").err_has(&said);
        let run = json_of(etcd, &args);
        let answer = run.ok().err_empty().json();
        assert_eq!((&answer["would_delete"], &answer["dry_run"]), (&json!(1), &json!(true)));
    }
    kvadm(etcd, &["get", &key]).run().ok();
}

#[test]
fn a_watch_tells_the_revision_of_the_previous_value() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    let put = |value: &str| json_of(etcd, &["put", &key, value]).ok().json()["mod_revision"].as_i64().unwrap();
    let (first, second) = (put("one"), put("two"));
    kvadm(etcd, &["delete", &key]).run().ok();
    let from = first.to_string();
    let events = json_of(etcd, &["watch", &key, "--prev", "--rev", &from, "--count", "3"]).ok().json_lines();
    let prev: Vec<_> = events.iter().map(|event| (&event["prev_value"], &event["prev_mod_revision"])).collect();
    let expected = [(Value::Null, Value::Null), ("one".into(), first.into()), ("two".into(), second.into())];
    assert_eq!(prev, expected.iter().map(|(value, revision)| (value, revision)).collect::<Vec<_>>());
}

#[test]
fn a_verbose_listing_tells_its_revision() {
    let (etcd, at) = (shared(), unique_prefix());
    kvadm(etcd, &["put", &format!("{at}a"), "x"]).run().ok();
    let put = json_of(etcd, &["put", &format!("{at}b"), "x"]).ok().json()["mod_revision"].to_string();
    for more in [&[][..], &["--sort", "mod"], &["--depth", "1"], &["--tree"], &["--du"]] {
        let args = [&["list", &at, "-v", "--rev", &put], more].concat();
        kvadm(etcd, &args).run().ok().err_has(&format!("info: listed 2 keys at revision {put}\n"));
        let run = json_of(etcd, &args);
        run.ok().err_has(&format!("{{\"count\":2,\"revision\":{put}}}\n")).err_lacks("info: listed");
        assert!(!kvadm(etcd, &["list", &at]).run().ok().stderr_text().contains("revision"));
    }
}

#[test]
fn a_signal_is_told_by_its_own_code() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = silent.local_addr().unwrap().to_string();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let args = ["--dial-timeout", "15s", "get", "/a", "-o", "json"];
        let running = Kvadm::new().endpoint(&endpoint).args(args).timeout(SOON).spawn();
        let peer = silent.accept().unwrap();
        running.signal(signal);
        let run = running.wait();
        assert_eq!(run.signal(signal).err_json()["exit_code"], code);
        drop(peer);
    }
}

#[test]
fn a_member_without_a_leader_names_none() {
    let cluster = Cluster::start(3);
    let (alone, others) = cluster.members.split_first().unwrap();
    others.iter().for_each(|member| member.pause());
    let leaderless = || {
        let run = json_of(alone, &["status", "--op-timeout", "1s"]);
        let found = objects(&run).into_iter().find_map(|object| object["members"].as_array().cloned());
        let member = found?.into_iter().find(|member| member["role"] == "no leader")?;
        Some(member.get("leader").is_none())
    };
    super::support::eventually("a member that knows no leader", Duration::from_secs(30), || leaderless() == Some(true));
    others.iter().for_each(|member| member.resume());
}
