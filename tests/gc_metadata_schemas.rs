//! `gc metadata` with the example schemas in docs/schemas, and what a schema can say, on trees in etcd.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::containerd::{EARLIER, LATER, Tree, named};
use super::support::{Kvadm, Run, shared, unique_prefix};

fn example(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "docs", "schemas", name].iter().collect();
    path.to_str().unwrap().to_owned()
}

fn tree(keys: &[(&str, &str)]) -> Tree<'static> {
    let mut tree = Tree::new(shared(), &unique_prefix());
    for (key, value) in keys {
        tree.put(key, value);
    }
    tree.load();
    tree
}

fn gc(tree: &Tree<'_>, schema: &str) -> Kvadm {
    tree.gc_by(schema).args(["-o", "json"])
}

/// Plans and removes; exactly the objects with these names go. The tree has no problems before and afterwards.
#[track_caller]
fn sweeps(tree: &Tree<'_>, schema: &str, garbage: &[&str]) {
    let check = || gc(tree, schema).arg("--check").run().ok().out_empty().code;
    check();
    assert_eq!(named(gc(tree, schema).run().code(i32::from(!garbage.is_empty())), "garbage"), garbage);
    let run = apply(tree, schema);
    assert_eq!(named(run.ok(), "removed"), garbage);
    gc(tree, schema).run().ok().out_empty();
    check();
}

fn apply(tree: &Tree<'_>, schema: &str) -> Run {
    gc(tree, schema).args(["--apply", "--yes", "--grace", "1ms", "--max-percent", "100"]).run()
}

#[track_caller]
fn left(tree: &Tree<'_>, keys: &[&str]) {
    let mut wanted: Vec<String> = keys.iter().map(|key| format!("{}{key}", tree.prefix)).collect();
    wanted.sort();
    assert_eq!(tree.keys(), wanted);
}

/// Every example has a test here.
#[test]
fn every_example_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["build-cache.yaml", "job-queue.yaml", "owner-references.yaml"]);
}

#[test]
fn a_build_cache_with_sharded_digests() {
    let schema = example("build-cache.yaml");
    let tree = tree(&[
        ("actions/a1/a100/expires", "1722517200"),
        ("actions/a1/a100/outputs/bin", "b1c1d1"),
        ("actions/a2/a200/expires", "1722510000"),
        ("actions/a2/a200/outputs/bin", "b2c2d2"),
        ("cas/b1/c1/b1c1d1", "used by an action"),
        ("cas/b2/c2/b2c2d2", "used by an action that is over"),
        ("cas/b3/c3/b3c3d3", "used by a tree"),
        ("cas/b4/c4/b4c4d4", "used by nothing"),
        ("trees/ee/0001/pinned", ""),
        ("trees/ee/0001/subtrees/src", "ee0002"),
        ("trees/ee/0002/entries/main", "b3c3d3"),
        ("trees/ee/0003/entries/main", "b4c4d4"),
    ]);
    sweeps(&tree, &schema, &["action /a200", "blob /b2c2d2", "blob /b4c4d4", "tree /ee/0003"]);
    left(
        &tree,
        &[
            "actions/a1/a100/expires",
            "actions/a1/a100/outputs/bin",
            "cas/b1/c1/b1c1d1",
            "cas/b3/c3/b3c3d3",
            "trees/ee/0001/pinned",
            "trees/ee/0001/subtrees/src",
            "trees/ee/0002/entries/main",
        ],
    );
    // A blob in the directory of another one is no blob, and a digest that is too short names none.
    let wrong = self::tree(&[("cas/b1/c2/b1c1d1", "x"), ("trees/ee/0001/subtrees/x", "ee")]);
    let run = gc(&wrong, &schema).arg("--check").run();
    let found: Vec<String> =
        run.code(1).json_lines().iter().map(|row| row["finding"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found, ["unparsed", "bad-reference"]);
    let explain = gc(&tree, &schema).args(["--explain", &format!("{}cas/b3/c3/b3c3d3", tree.prefix)]).run();
    assert_eq!(explain.ok().json()["verdict"], "kept");
}

#[test]
fn owner_references() {
    let schema = example("owner-references.yaml");
    let owned = |owners: &[(&str, &str)]| {
        let owners: Vec<String> =
            owners.iter().map(|(kind, name)| format!("{{\"kind\":\"{kind}\",\"name\":\"{name}\"}}")).collect();
        format!("{{\"metadata\":{{\"ownerReferences\":[{}]}}}}", owners.join(","))
    };
    let (by_p, by_gone) = (owned(&[("Project", "p")]), owned(&[("Project", "gone")]));
    let tree = tree(&[
        ("projects/web/p", "{}"),
        ("tasks/web/owned", &by_p),
        ("tasks/web/orphan", &by_gone),
        ("tasks/web/either", &owned(&[("Project", "gone"), ("Project", "p")])),
        ("tasks/web/free", "{\"metadata\":{}}"),
        ("tasks/web/other", &owned(&[("Node", "n")])),
        // Owners stay within the namespace.
        ("tasks/app/elsewhere", &by_p),
        ("logs/web/1", &owned(&[("Task", "owned")])),
        ("logs/web/2", &owned(&[("Task", "orphan")])),
        ("logs/web/3", &by_p),
    ]);
    let plan = gc(&tree, &schema).run();
    let garbage = ["log web/2", "task app/elsewhere", "task web/orphan"];
    assert_eq!(named(plan.code(1), "garbage"), garbage);
    let explain = |key: &str| gc(&tree, &schema).args(["--explain", &format!("{}{key}", tree.prefix)]).run();
    let root = explain("tasks/web/free").ok().json();
    assert_eq!((root["verdict"].as_str(), root["why"].as_str()), (Some("root"), Some("no owner: . names none")));
    let run = apply(&tree, &schema);
    assert_eq!(named(run.ok(), "removed"), garbage);
    assert_eq!(tree.keys().len(), 7);
    // A task whose value is not JSON, or whose owner has no name, stops the sweep: it may have owners.
    for value in ["not json", "{\"metadata\":{\"ownerReferences\":[{\"kind\":\"Project\"}]}}"] {
        let wrong = self::tree(&[("projects/web/p", "{}"), ("tasks/web/t", value), ("tasks/web/o", &by_gone)]);
        apply(&wrong, &schema).code(5).err_has("1 reference cannot be resolved").err_has("tasks/web/t");
        assert_eq!(wrong.keys().len(), 3);
    }
}

#[test]
fn an_object_whose_owner_reference_is_withdrawn_is_a_root_again() {
    let schema = example("owner-references.yaml");
    let text = fs::read_to_string(&schema).unwrap().replace("fields: [.]", "fields: [., owner]");
    let text = text.replace("unless: .", "unless: owner").replace("- field: .", "- field: owner");
    let folder = tempfile::tempdir().unwrap();
    let (file, plan) = (folder.path().join("owner.yaml"), folder.path().join("plan"));
    fs::write(&file, text).unwrap();
    let (file, plan) = (file.to_str().unwrap(), plan.to_str().unwrap());
    let owner = "{\"metadata\":{\"ownerReferences\":[{\"kind\":\"Project\",\"name\":\"gone\"}]}}";
    let tree = tree(&[("tasks/web/t", "x"), ("tasks/web/t/owner", owner), ("tasks/web/u/owner", owner)]);
    gc(&tree, file).args(["--save", plan]).run().code(1);
    tree.etcd.etcdctl_ok(&["del", &format!("{}tasks/web/t/owner", tree.prefix)]);
    let options = ["--apply", "--yes", "--max-percent", "100", "--since", plan];
    let run = gc(&tree, file).args(options).run();
    assert_eq!(named(run.ok(), "removed"), ["task web/u"]);
    left(&tree, &["tasks/web/t"]);
}

#[test]
fn a_job_queue() {
    let schema = example("job-queue.yaml");
    let spec = |inputs: &str, after: &str| format!("{{\"inputs\":[{inputs}],\"after\":{after}}}");
    let after = "{\"queue\":\"q\",\"job\":\"done\"}";
    let tree = tree(&[
        ("leader/694d", "x"),
        ("workers/w1/host", "h"),
        ("workers/w1/claims/q/claimed", ""),
        ("jobs/q/claimed/spec", &spec("\"p1\"", "null")),
        ("jobs/q/waiting/spec", &spec("\"p2\", \"p3\"", after)),
        ("jobs/q/waiting/waiting", ""),
        ("jobs/q/done/spec", &spec("", "null")),
        ("jobs/q/done/keep-until", EARLIER),
        ("jobs/q/late/spec", &spec("\"p4\"", "null")),
        ("jobs/q/late/keep-until", LATER),
        ("jobs/q/over/spec", &spec("\"p5\"", "null")),
        ("jobs/q/over/keep-until", EARLIER),
        ("jobs/q/over/log/1", "ended"),
        ("payloads/p1/body", "x"),
        ("payloads/p2/body", "x"),
        ("payloads/p3/a/b", "x"),
        ("payloads/p4/body", "x"),
        ("payloads/p5/body", "x"),
    ]);
    // A null is no reference, and what a waiting job comes after stays.
    let plan = gc(&tree, &schema).run();
    assert_eq!(named(plan.code(1), "garbage"), ["job /q/over", "payload /p5"]);
    let run = apply(&tree, &schema);
    assert_eq!(named(run.ok(), "removed"), ["job /q/over", "payload /p5"]);
    assert_eq!(tree.keys().len(), 14);
}

/// With percent, a slash in the only variable of a name is %2F, in the key and in the field that names the object.
#[test]
fn an_encoded_slash_belongs_to_the_name() {
    let schema = "schema: 1
name: encoded
encoding: percent
kinds:
  - kind: build
    key: builds/{id}
    fields: [\"uses/{artifact}\", from]
    root: always
    edges:
      - {field: \"uses/{artifact}\", to: artifact, id: \"{artifact}\"}
      - {field: from, to: artifact}
  - kind: artifact
    key: artifacts/{id}
    fields: [size]
    collect: true
    root: never
";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("encoded.yaml");
    fs::write(&file, schema).unwrap();
    let tree = tree(&[
        ("builds/b/uses/w%2F1", ""),
        ("builds/b/from", "w/2"),
        ("builds/c%2Fd/uses/plain", ""),
        ("artifacts/w%2F1/size", "1"),
        ("artifacts/w%2f2/size", "1"),
        ("artifacts/w%2F3/size", "1"),
        ("artifacts/plain/size", "1"),
    ]);
    sweeps(&tree, file.to_str().unwrap(), &["artifact /w/3"]);
}

/// What containerd 2.3 keeps, kvadm keeps.
#[test]
fn exotic_labels_of_containerd() {
    let mut tree = Tree::new(shared(), &unique_prefix());
    let recent = "2024-08-01T11:30:00Z";
    type Labels<'a> = &'a [(&'a str, &'a str)];
    let conditions: [(&str, &str, Labels<'_>); 8] = [
        ("cond.snapshotoverlay", "usedat<2h", &[("cond.value-usedat", recent)]),
        ("cond.snapshot..overlay", "usedat<2h", &[("cond.value-usedat", recent)]),
        ("cond.snapshot./overlay/x", "usedat<2h", &[("cond.value-usedat", recent)]),
        ("cond.snapshot/overlay", "usedat<2h", &[("cond.value-usedat", recent)]),
        ("cond.snapshot.overlay/x", "usedat<2h", &[("cond.value-usedat.too", recent)]),
        (
            "cond.snapshot.overlay",
            "usedat<2h",
            &[("cond.value-usedat", "2024-07-01T00:00:00Z"), ("cond.value-usedat/2", recent)],
        ),
        ("cond.snapshot.overlay.", "usedat>-1h", &[]),
        ("cond.snapshot.overlay", "usedat>-1h", &[("cond.value-usedat", recent)]),
    ];
    for (number, (label, condition, values)) in conditions.iter().enumerate() {
        let value = format!("{condition}|s{number}");
        tree.image("ns1", &format!("i{number}"), "d", &[(label, &value)]);
        tree.snapshot("ns1", &format!("overlay/s{number}"), "", values);
    }
    // A reference and a back reference meet in content that does not exist, and whose name has a slash.
    tree.image("ns1", "middle", "d", &[("ref.content", "no/such")]).content(
        "ns1",
        "child",
        &[("bref.content", "no/such")],
    );
    tree.content("ns1", "empty", &[("root", "")]).content("ns1", "d", &[]).content("ns1", "garbage", &[]).load();
    let plan = tree.gc().run();
    plan.code(1).err_has("2 references cannot be resolved");
    assert_eq!(named(&plan, "garbage"), ["content ns1/garbage", "snapshot ns1/overlay/s6"]);
    let run = tree.apply().arg("--ignore-unresolved").run();
    assert_eq!(named(run.ok(), "removed"), ["content ns1/garbage", "snapshot ns1/overlay/s6"]);
}
