//! `gc metadata`: references that cannot be resolved, removals that rest on many facts, several collectors at once.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::support::containerd::{Tree, named, permit};
use super::support::{Kvadm, Run, Running, eventually, shared, unique_prefix};

const NONE: [&str; 0] = [];

fn tree() -> Tree<'static> {
    Tree::new(shared(), &unique_prefix())
}

/// A schema in a file.
struct SchemaFile {
    _folder: tempfile::TempDir,
    path: String,
}

impl SchemaFile {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.yaml").to_str().unwrap().to_owned();
        fs::write(&path, text).unwrap();
        Self { _folder: folder, path }
    }
}

/// Builds that use artifacts. Artifacts that no build uses are garbage.
const BUILDS: &str = r#"schema: 1
name: builds
kinds:
  - kind: build
    key: "builds/{id}"
    fields: [uses]
    root: always
    edges:
      - field: uses
        value: "artifact:{name+}"
        to: artifact
        id: "{name}"
  - kind: artifact
    key: "artifacts/{name}"
    fields: [size]
    collect: true
    root: never
"#;

/// Ten builds, each of which uses an artifact, and an artifact that nothing uses.
fn builds(uses: impl Fn(u32) -> String) -> Tree<'static> {
    let mut tree = tree();
    for number in 0..10 {
        tree.put(&format!("builds/{number}/uses"), uses(number)).put(&format!("artifacts/{number}/size"), "1");
    }
    tree.put("artifacts/unused/size", "1").load();
    tree
}

fn apply(tree: &Tree<'_>, schema: &SchemaFile, options: &[&str]) -> Run {
    let gc = tree.gc_by(&schema.path).args(["-o", "json", "--apply", "--yes", "--grace", "1ms"]);
    gc.args(["--max-percent", "100", "--allow-empty", "artifact"]).args(options).run()
}

#[test]
fn an_edge_that_can_never_match_is_an_error_of_the_schema() {
    let tree = builds(|number| format!("artifact:{number}"));
    let edited = |from: &str, to: &str| {
        assert!(BUILDS.contains(from), "{from}");
        SchemaFile::new(&BUILDS.replace(from, to))
    };
    for (from, to, line, message) in [
        (
            "id: \"{name}\"",
            "id: \"artifacts/{name}\"",
            12,
            "'artifacts/{name}' can never match: it has 2 segments or more, and the identity of kind 'artifact' has 1",
        ),
        ("id: \"{name}\"", "id: \"{name}/\"", 12, "'{name}/' can never match"),
        ("id: \"{name}\"", "id: \"\"", 12, "the id is empty, so the edge can never match"),
        ("key: \"artifacts/{name}\"", "key: \"artifacts/{kind}/{name}\"", 0, ""),
    ] {
        let schema = edited(from, to);
        let run = apply(&tree, &schema, &[]);
        if message.is_empty() {
            // A value may contain the slash.
            run.code(5);
        } else {
            run.code(2).out_empty().err_has(&format!("schema.yaml:{line}: kind 'build': edge 1: id: {message}"));
        }
    }
    let twice = BUILDS.replace("field: uses\n        value: \"artifact:{name+}\"", "fields: {name: uses, too: uses}");
    let run = apply(&tree, &SchemaFile::new(&twice), &[]);
    run.code(2)
        .err_has("schema.yaml:9: kind 'build': edge 1: 'fields' names 'uses' twice, so the edge can never exist");
    assert_eq!(tree.keys().len(), 21);
}

#[test]
fn references_that_cannot_be_resolved_refuse_the_sweep() {
    let schema = SchemaFile::new(BUILDS);
    // The values do not have the form that the schema expects, or name something that cannot be an artifact.
    for uses in [|number| format!("artifacts:{number}"), |number| format!("artifact:store/{number}")] {
        let tree = builds(uses);
        let plan = tree.gc_by(&schema.path).args(["-o", "json"]).run();
        let first = format!("10 references cannot be resolved (the first is {}builds/0/uses)", tree.prefix);
        plan.code(1).err_has("--apply would refuse: ").err_has(&first);
        assert_eq!(part(&plan, "build")["unresolved"], 10);
        apply(&tree, &schema, &[])
            .code(5)
            .out_empty()
            .err_has(&format!("{first}, so what they refer to may be removed; nothing was removed"))
            .err_has("--ignore-unresolved");
        assert_eq!(tree.keys().len(), 21);
        let check = tree.gc_by(&schema.path).args(["-o", "json", "--check"]).run();
        let found = check.code(1).json_lines();
        assert_eq!(found.len(), 10, "{found:?}");
        assert!(found.iter().all(|row| row["finding"] == "bad-reference"), "{found:?}");
        assert_eq!(found[0]["key"], format!("{}builds/0/uses", tree.prefix));
        let run = apply(&tree, &schema, &["--ignore-unresolved"]);
        run.code(0).err_has(&format!("{first} and are ignored"));
        assert_eq!(named(&run, "removed").len(), 11);
        assert_eq!(tree.keys().len(), 10);
    }
    let tree = builds(|number| format!("artifact:{number}"));
    assert_eq!(named(apply(&tree, &schema, &[]).ok(), "removed"), ["artifact /unused"]);
}

/// A field that matches an edge up to a slash is a reference to something that the schema does not expect.
#[test]
fn a_field_whose_name_goes_on_after_a_slash_is_an_unresolved_reference() {
    let schema = BUILDS
        .replace("fields: [uses]", "fields: [\"uses/**\", other]")
        .replace("field: uses\n        value: \"artifact:{name+}\"", "field: \"uses/{name}\"");
    let schema = SchemaFile::new(&schema);
    let mut tree = tree();
    tree.put("builds/1/uses/a", "").put("builds/1/uses/b/c", "").put("builds/1/other", "");
    tree.put("artifacts/a/size", "1").put("artifacts/b/size", "1").load();
    let first = format!("1 reference cannot be resolved (the first is {}builds/1/uses/b/c)", tree.prefix);
    apply(&tree, &schema, &[]).code(5).out_empty().err_has(&first);
    assert_eq!(tree.keys().len(), 5);
    let run = apply(&tree, &schema, &["--ignore-unresolved"]);
    assert_eq!(named(run.ok(), "removed"), ["artifact /b"]);
}

#[test]
fn unresolved_references_are_shown_in_the_text_of_the_summary() {
    let tree = builds(|number| format!("artifacts:{number}"));
    let run = tree.gc_by(&SchemaFile::new(BUILDS).path).run();
    run.code(1).err_has("10 unresolved references");
}

/// The summary: the last line of stderr.
fn summary(run: &Run) -> Value {
    serde_json::from_str(run.stderr_text().lines().last().unwrap()).unwrap()
}

/// The summary's totals of this kind.
fn part(run: &Run, kind: &str) -> Value {
    summary(run)["parts"].as_array().unwrap().iter().find(|part| part["kind"] == kind).unwrap().clone()
}

/// What one object refers to rests on the flat labels of all leases that hold the object.
fn flat_leases(count: usize) -> Tree<'static> {
    let mut tree = tree();
    for number in 0..count {
        tree.lease("ns1", &format!("l{number}"), &["content/held"], &[("flat", "1")]);
    }
    tree.content("ns1", "held", &[("ref.content", "below")]).content("ns1", "below", &[]).load();
    tree
}

#[test]
fn an_object_that_rests_on_more_facts_than_a_transaction_compares_is_held_back() {
    let tree = flat_leases(128);
    let before = tree.keys();
    let run = tree.apply().run();
    run.code(6).err_has("its removal depends on 128 facts").err_has("held back");
    assert_eq!(named(&run, "held-back"), ["content ns1/below"]);
    let row = &run.json_lines()[0];
    assert!(row["error"].as_str().unwrap().contains("128 facts"), "{row}");
    assert_eq!(tree.keys(), before);
    let tree = flat_leases(126);
    let run = tree.apply().run();
    assert_eq!(named(run.ok(), "removed"), ["content ns1/below"]);
}

#[test]
fn many_objects_that_rest_on_too_many_facts_are_few_warnings() {
    let mut tree = flat_leases(128);
    for number in 0..25 {
        let label = format!("ref.content.{number}");
        tree.content("ns1", &format!("below{number}"), &[]);
        tree.put(&format!("v1/ns1/content/blob/held/labels/containerd.io/gc.{label}"), format!("below{number}"));
    }
    tree.load();
    let run = tree.apply().run();
    assert_eq!(named(run.code(6), "held-back").len(), 26);
    run.err_has("6 more objects held back because one transaction cannot compare enough");
    assert_eq!(run.stderr_text().matches("its removal depends on 128 facts").count(), 20);
}

#[test]
fn a_service_warns_of_an_object_that_is_held_back_once() {
    let tree = flat_leases(128);
    let gc = Kvadm::new().endpoint(tree.etcd).args(["gc", "metadata", &tree.prefix, "--schema", "containerd"]);
    let service = permit(gc).args(["--every", "50ms", "-o", "json"]);
    let mut service = service.timeout(Duration::from_secs(60)).spawn();
    let mut swept = 0;
    while swept < 3 {
        let Some(line) = service.next_line() else { panic!("{:?}", service.wait()) };
        let round: Value = serde_json::from_str(&line).unwrap();
        swept += usize::from(round["held_back"] == 1);
    }
    service.signal(nix::sys::signal::Signal::SIGTERM);
    let run = service.wait();
    assert_eq!(run.stderr_text().matches("its removal depends on 128 facts").count(), 1, "{}", run.stderr_text());
}

#[test]
fn a_collector_goes_on_after_an_object_that_rests_on_too_many_facts() {
    let mut tree = flat_leases(128);
    tree.content("ns1", "zzz", &[]).content("ns1", "aaa", &[]).load();
    let run = tree.apply().run();
    assert_eq!(named(run.code(6), "removed"), ["content ns1/aaa", "content ns1/zzz"]);
    assert_eq!(named(&run, "held-back"), ["content ns1/below"]);
}

#[test]
fn three_collectors_count_each_object_once() {
    const OBJECTS: usize = 600;
    let mut tree = tree();
    for number in 0..OBJECTS {
        tree.content("ns1", &format!("d{number}"), &[]);
    }
    tree.content("ns1", "kept", &[("root", "1")]).load();
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan").to_str().unwrap().to_owned();
    tree.gc().args(["--save", &plan]).run().code(1);
    let collectors: Vec<_> = (0..3).map(|_| permit(tree.gc()).args(["--since", &plan]).spawn()).collect();
    let runs: Vec<Run> = collectors.into_iter().map(Running::wait).collect();
    let removed: usize = runs.iter().map(|run| named(run.ok(), "removed").len()).sum();
    assert_eq!(removed, OBJECTS);
    for run in &runs {
        let part = part(run, "content");
        let removed = named(run, "removed").len();
        let count = |field: &str| usize::try_from(part[field].as_u64().unwrap_or_default()).unwrap();
        assert_eq!((count("removed"), count("removed_keys")), (removed, removed * 2), "{part}");
        assert_eq!(count("gone"), named(run, "gone").len(), "{part}");
    }
    assert_eq!(tree.keys().len(), 3);
}

#[test]
fn what_another_client_removed_is_gone() {
    let mut tree = tree();
    tree.content("ns1", "d1", &[]).content("ns1", "d2", &[]).load();
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan").to_str().unwrap().to_owned();
    tree.gc().args(["--save", &plan]).run().code(1);
    // Between the scan and the removal, the command waits for a lock that another client holds.
    let name = format!("/locks{}", tree.prefix);
    let blocker = format!("{name}/1");
    tree.etcd.etcdctl_ok(&["put", &blocker, ""]);
    let waiting = permit(tree.gc()).args(["--since", &plan, "--lock", &name]).spawn();
    eventually("it waits for the lock", Duration::from_secs(20), || tree.etcd.held_under(&name).len() == 2);
    tree.etcd.etcdctl_ok(&["del", "--prefix", &format!("{}v1/ns1/content/blob/d2/", tree.prefix)]);
    tree.etcd.etcdctl_ok(&["del", &blocker]);
    let run = waiting.wait();
    assert_eq!(named(run.ok(), "removed"), ["content ns1/d1"]);
    assert_eq!(named(&run, "gone"), ["content ns1/d2"]);
    assert_eq!(tree.keys(), NONE);
}

/// With --guard scope etcd reads the whole scope for each transaction.
#[test]
fn a_limited_rate_does_not_split_the_batches_of_the_scope_guard() {
    let mut tree = tree();
    for number in 0..200 {
        tree.content("ns1", &format!("d{number}"), &[]);
    }
    tree.content("ns1", "kept", &[("root", "1")]).load();
    let run = tree.apply().args(["--guard", "scope", "--rate", "250"]).run();
    assert_eq!(named(run.ok(), "removed").len(), 200);
    let summary = summary(&run);
    let sweep = summary["phases"].as_array().unwrap().iter().find(|phase| phase["phase"] == "sweep").unwrap();
    assert_eq!(sweep["transactions"], 2, "{summary}");
    // The second batch is due when the rate allows its first object.
    assert!(sweep["took_ms"].as_u64().unwrap() >= 127 * 1000 / 250, "{summary}");
}

/// The keys that only containerd's etcd back end writes.
#[test]
fn the_schema_of_the_etcd_back_end_knows_its_keys() {
    let mut tree = tree();
    tree.snapshot("ns1", "overlay/used", "", &[])
        .snapshot("ns1", "overlay/unused", "used", &[])
        .container("ns1", "c", Some(("overlay", "used")), &[])
        .content("ns1", "d1", &[("root", "1")])
        .content("ns1", "d2", &[])
        .image("ns1", "docker.io/library/redis:7", "d3", &[])
        .content("ns1", "d3", &[]);
    for snapshot in ["used", "unused"] {
        for field in ["upperdir", "lowerdir"] {
            tree.put(&format!("v1/ns1/snapshots/overlay/{snapshot}/{field}"), "/var/lib/x");
        }
        tree.put(&format!("v1/ns1/snapshots/overlay/{snapshot}/annotations/example.org/a"), "1");
    }
    tree.put("v1/ns1/snapshots/overlay/used/children/unused", "1");
    tree.put("v1/ns1/images/docker.io/library/redis:7/target/mediatype", "x");
    tree.put("v1/ns1/images/docker.io/library/redis:7/annotations/a", "x");
    tree.put("v1/ns1/containers/c/runtime/name", "runc").put("v1/ns1/containers/c/runtime/extensions/x", "1");
    let others = [
        "v1/version",
        "v1/namespaces/ns1",
        "namespaces/ns1",
        "lock/v1/ns1/694d8f6f",
        "v1/lock/694d8f6f",
        "v1/ns1/lock/content/694d8f6f",
        "scheduler.v1/dirty",
        "scheduler.v1/dirtyCS",
        "scheduler.v1/dirtySS/overlay",
        "v1/dirty",
        "v1/dirtyCS",
        "v1/dirtySS/overlay",
        "v1/ns1/dirty",
        "v1/ns1/dirtyCS",
        "v1/ns1/dirtySS/overlay",
        "dirty",
        "dirtyCS",
        "dirtySS/overlay",
    ];
    for key in others {
        tree.put(key, "1");
    }
    tree.load();
    let gc = || tree.gc_by("containerd-etcd").args(["-o", "json"]);
    gc().arg("--check").run().ok().out_empty();
    let garbage = ["content ns1/d2", "snapshot ns1/overlay/unused"];
    assert_eq!(named(gc().run().code(1), "garbage"), garbage);
    let run = permit(gc()).args(["--grace", "1ms"]).run();
    assert_eq!(named(run.ok(), "removed"), garbage);
    let keys = tree.keys();
    assert!(others.iter().all(|key| keys.contains(&format!("{}{key}", tree.prefix))), "{keys:?}");
    assert!(!keys.iter().any(|key| key.contains("unused")), "{keys:?}");
    // The schema without these keys refuses.
    let run = permit(tree.gc_by("containerd-1.7")).args(["--grace", "1ms"]).run();
    run.code(5).err_has("not matching the schema 'containerd-1.7'");
    Kvadm::new().args(["gc", "metadata", "--print-schema", "containerd-etcd"]).run().ok().out_has("upperdir");
}

#[test]
fn a_check_names_the_field_of_a_back_reference_and_what_it_misses() {
    let mut tree = tree();
    tree.content("ns1", "child", &[("bref.content", "nobody")])
        .content("ns1", "far", &[("bref.image", "elsewhere")])
        .content("ns2", "d", &[("root", "1")])
        .image("ns2", "elsewhere", "d", &[])
        .load();
    let rows = tree.gc().arg("--check").run().code(1).json_lines();
    let row = |finding: &str| rows.iter().find(|row| row["finding"] == finding).unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(row("dangling")["key"], format!("{}v1/ns1/content/blob/child", tree.prefix));
    let text = "labels/containerd.io/gc.bref.content refers to content ns1/nobody, which does not exist";
    assert_eq!(row("dangling")["text"], text);
    assert_eq!(row("cross-scope")["key"], format!("{}v1/ns1/content/blob/far", tree.prefix));
    let text = row("cross-scope")["text"].as_str().unwrap();
    assert!(text.contains("gc.bref.image refers to image ns1/elsewhere, which does not exist; image "), "{text}");
}

#[test]
fn an_explanation_has_two_sections() {
    let mut tree = tree();
    tree.image("ns1", "i", "d", &[]).content("ns1", "d", &[]).lease("ns1", "l", &["content/d"], &[]).load();
    let prefix = tree.prefix.clone();
    let key = |object: &str| format!("{prefix}v1/ns1/{object}");
    let run = tree.gc_by("containerd").args(["--explain", &key("content/blob/d")]).run();
    let text = run.ok().stdout_text();
    let lines: Vec<&str> = text.lines().collect();
    let at = |line: &str| lines.iter().position(|found| *found == line).unwrap_or_else(|| panic!("{line}: {text}"));
    let (path, references) = (at("Path from a root:"), at("References to the object:"));
    assert!(lines[0].starts_with("kept\tcontent\t") && path < references, "{text}");
    assert_eq!(references - path, 4, "{text}");
    assert!(lines[path + 1].starts_with("root\t") && lines[path + 2].starts_with("keeps\tcontent\t"), "{text}");
    assert_eq!(lines.len() - references, 3, "{text}");
    assert!(lines[references + 1..].iter().all(|line| line.starts_with("keeps\t")), "{text}");
    // A back reference is a field of the object that is kept.
    tree.content("ns1", "child", &[("bref.image", "i")]).load();
    let run = tree.gc_by("containerd").args(["--explain", &key("content/blob/child")]).run();
    let by = format!("labels/containerd.io/gc.bref.image of {}", key("content/blob/child"));
    assert_eq!(run.ok().stdout_text().matches(&by).count(), 2);
    // Garbage that nothing refers to has neither.
    tree.content("ns1", "lost", &[]).load();
    let run = tree.gc_by("containerd").args(["--explain", &key("content/blob/lost")]).run();
    assert_eq!(run.ok().stdout_text().lines().count(), 1);
}

/// Artifacts that are made of other artifacts.
const PARTS: &str = r#"schema: 1
name: parts
kinds:
  - kind: artifact
    key: "artifacts/{name}"
    fields: [size, base]
    collect: true
    root: never
    edges:
      - field: base
        to: artifact
        id: "{value}"
  - kind: pin
    key: "pins/{name}"
    fields: [at]
    root: always
"#;

/// What an object refers to is kept with it if the object is new, or changed, since the first scan.
#[test]
fn what_a_kept_object_refers_to_is_held_back() {
    let schema = SchemaFile::new(PARTS);
    let folder = tempfile::tempdir().unwrap();
    for old in [false, true] {
        let mut tree = tree();
        tree.put("artifacts/B/size", "4096").put("artifacts/C/base", "B").put("artifacts/unused/size", "1");
        if old {
            tree.put("artifacts/A/size", "1");
        }
        tree.load();
        let plan = folder.path().join(format!("plan-{old}"));
        tree.gc_by(&schema.path).arg("--save").arg(&plan).run().code(1);
        for (name, value) in [("size", "1"), ("base", "B")] {
            tree.etcd.etcdctl_ok(&["put", &format!("{}artifacts/A/{name}", tree.prefix), value]);
        }
        let gc = tree.gc_by(&schema.path).args(["-o", "json", "--apply", "--yes", "--max-percent", "100"]);
        let run = gc.args(["--allow-empty", "artifact", "--since"]).arg(&plan).run();
        run.code(6);
        assert_eq!(named(&run, "held-back"), ["artifact /B"]);
        assert_eq!(named(&run, "removed"), ["artifact /C", "artifact /unused"]);
        assert_eq!(tree.keys().len(), 3, "A with two keys, and B");
    }
}

/// The same under a lock: the object changes while the lock is waited for.
#[test]
fn what_an_object_refers_to_that_changed_before_the_lock_is_held_back() {
    let schema = SchemaFile::new(PARTS);
    let mut tree = tree();
    tree.put("artifacts/A/size", "1").put("artifacts/B/size", "1").put("artifacts/unused/size", "1").load();
    let name = format!("/locks{}", tree.prefix);
    tree.etcd.etcdctl_ok(&["put", &format!("{name}/1"), ""]);
    let gc = tree.gc_by(&schema.path).args(["-o", "json", "--apply", "--yes", "--grace", "1ms", "--lock", &name]);
    let running = gc.args(["--max-percent", "100", "--allow-empty", "artifact"]).spawn();
    eventually("the request for the lock", Duration::from_secs(20), || tree.etcd.held_under(&name).len() == 2);
    tree.etcd.etcdctl_ok(&["put", &format!("{}artifacts/A/base", tree.prefix), "B"]);
    tree.etcd.etcdctl_ok(&["del", &format!("{name}/1")]);
    let run = running.wait();
    run.code(6);
    assert_eq!(named(&run, "held-back"), ["artifact /B"]);
    assert_eq!(named(&run, "changed"), ["artifact /A"]);
    assert_eq!(named(&run, "removed"), ["artifact /unused"]);
}

#[test]
fn the_wait_for_a_lock_can_be_limited() {
    let mut tree = tree();
    tree.content("ns1", "d1", &[]).content("ns1", "kept", &[("root", "1")]).load();
    let name = format!("/locks{}", tree.prefix);
    tree.etcd.etcdctl_ok(&["put", &format!("{name}/1"), ""]);
    for options in [&["--try"][..], &["--wait", "300ms"]] {
        let run = tree.apply().args(["--lock", &name]).args(options).run();
        run.code(1).out_empty().err_has(&name);
        assert_eq!(tree.etcd.held_under(&name).len(), 1, "the request for the lock is withdrawn");
    }
    assert_eq!(tree.keys().len(), 5);
    tree.etcd.etcdctl_ok(&["del", &format!("{name}/1")]);
    let run = tree.apply().args(["--lock", &name, "--try"]).run();
    assert_eq!(named(run.ok(), "removed"), ["content ns1/d1"]);
    tree.gc().arg("--try").run().code(2);
    tree.gc().args(["--lock", &name, "--try", "--wait", "1s"]).run().code(2);
}

#[test]
fn a_lock_inside_the_tree_is_refused_unless_the_schema_expects_its_keys() {
    let mut tree = tree();
    tree.snapshot("ns1", "overlay/s", "", &[]).load();
    let inside = format!("{}v1/ns1/lock/gc", tree.prefix);
    let run = tree.apply().args(["--lock", &inside]).run();
    run.code(2).out_empty().err_has(&format!("--lock {inside} is inside the tree: kvadm's own lock key"));
    run.err_has("add 'v1/ns1/lock/gc/**' to the schema's list of opaque keys");
    assert_eq!(tree.keys().len(), 2);
    let gc = permit(tree.gc_by("containerd-etcd")).args(["-o", "json", "--grace", "1ms", "--lock", &inside]);
    assert_eq!(named(gc.run().ok(), "removed"), ["snapshot ns1/overlay/s"]);
}

#[test]
fn a_graph_shows_which_edges_count_and_a_neighbourhood() {
    let mut tree = tree();
    tree.image("ns1", "i", "a", &[("cond.snapshot.overlay", "usedat<1h|old")])
        .content("ns1", "a", &[("ref.content", "b")])
        .content("ns1", "b", &[("ref.content", "c")])
        .content("ns1", "c", &[])
        .content("ns1", "lost", &[("ref.content", "c")])
        .snapshot("ns1", "overlay/old", "", &[("cond.value-usedat", "2024-07-01T00:00:00Z")])
        .load();
    let graph = |options: &[&str]| tree.gc_by("containerd").args(options).run().ok().stdout_text();
    let all = graph(&["--graph"]);
    let count = |text: &str, part: &str| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!((count(&all, " -> "), count(&all, "style=dashed"), count(&all, "style=dotted")), (5, 1, 1), "{all}");
    let key = format!("{}v1/ns1/content/blob/b", tree.prefix);
    let near = graph(&[&format!("--graph={key}")]);
    assert_eq!((count(&near, "[label=\"content"), count(&near, " -> ")), (3, 2), "{near}");
    let further = graph(&[&format!("--graph={key}"), "--depth", "2"]);
    assert_eq!((count(&further, "ns1/"), count(&further, " -> ")), (5, 4), "{further}");
    assert_eq!(count(&graph(&[&format!("--graph={key}"), "--depth", "0"]), "ns1/"), 1);
    let run = tree.gc_by("containerd").args(["--graph", "--depth", "2"]).run();
    run.code(2).out_empty().err_has("--depth requires --graph=KEY");
    let run = tree.gc_by("containerd").arg(format!("--graph={key}x")).run();
    run.code(1).out_empty().err_has("no such object");
}
