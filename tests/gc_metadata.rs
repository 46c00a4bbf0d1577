//! `gc metadata`: containerd's own tables, and what an operator sees.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use super::support::containerd::{EARLIER, LATER, NOW, Tree, named, permit};
use super::support::{Etcd, Kvadm, shared, unique_prefix};

const NONE: [&str; 0] = [];

fn tree() -> Tree<'static> {
    Tree::new(shared(), &unique_prefix())
}

fn swept(build: impl FnOnce(&mut Tree<'_>)) -> Vec<String> {
    let mut tree = tree();
    build(&mut tree);
    tree.swept()
}

/// Who keeps whom, read from the graph that `--graph` prints: `kind ns/name` to the same.
fn references(dot: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut names = BTreeMap::new();
    let mut edges = BTreeMap::<String, BTreeSet<String>>::new();
    for line in dot.lines().map(str::trim) {
        let Some((head, attributes)) = line.split_once(" [label=\"") else { continue };
        let label = attributes.split('"').next().unwrap();
        match head.split_once(" -> ") {
            None => {
                names.insert(head.to_owned(), label.replace("\\n", " "));
            }
            Some((from, to)) if !attributes.contains("dotted") => {
                edges.entry(names[from].clone()).or_default().insert(names[to].clone());
            }
            Some(_) => {}
        }
    }
    edges
}

/// TestGCRefs.
#[test]
fn the_table_of_references() {
    let mut tree = tree();
    for digest in ["d1", "d2", "d3", "d30", "d8", "d9"] {
        tree.content("ns1", digest, &[]);
    }
    tree.content("ns1", "d4", &[("ref.content", "d1")])
        .content("ns1", "d5", &[("ref.content.anything-1", "d2"), ("ref.content.anything-2", "d3")])
        .content("ns1", "d6", &[("ref.contentbad", "d1")])
        .content(
            "ns1",
            "d7",
            &[("ref.content/anything-1", "d2"), ("ref.content/anything-2", "d3"), ("bref.container", "container3")],
        )
        .content(
            "ns1",
            "d10",
            &[
                ("bref.content", "d5"),
                ("bref.snapshot.btrfs", "sn1"),
                ("bref.container", "container1"),
                ("bref.image", "image2"),
            ],
        )
        .snapshot("ns1", "overlay/sn1", "", &[])
        .snapshot("ns1", "overlay/sn2", "sn1", &[])
        .snapshot("ns1", "overlay/sn3", "sn2", &[])
        .snapshot("ns1", "overlay/sn4", "", &[("ref.snapshot.btrfs", "sn1"), ("ref.snapshot.overlay", "sn1")])
        .snapshot(
            "ns1",
            "overlay/sn5",
            "",
            &[("ref.snapshot.overlay/anything-1", "sn1"), ("ref.snapshot.overlay/anything-2", "sn2")],
        )
        .snapshot("ns1", "overlay/sn10", "", &[("cond.value-usedat", "2024-08-01T11:30:00Z")])
        .snapshot("ns1", "btrfs/sn1", "", &[])
        .container("ns1", "container1", Some(("overlay", "sn4")), &[])
        .container("ns1", "container2", Some(("overlay", "sn5")), &[("ref.snapshot.overlay", "sn6")])
        .container(
            "ns1",
            "container3",
            Some(("overlay", "sn7")),
            &[
                ("ref.snapshot.overlay/anything-1", "sn8"),
                ("ref.snapshot.overlay/anything-2", "sn9"),
                ("ref.content", "d7"),
            ],
        )
        .container("ns1", "container4", None, &[("ref.content.0", "d8"), ("ref.content.1", "d9")])
        .image("ns1", "image1", "d3", &[])
        .image("ns1", "image2", "d4", &[("ref.image.anything", "image1"), ("ref.content.anotherimage", "d5")])
        .image("ns1", "image4", "d1", &[("bref.image", "image2"), ("expire", EARLIER)])
        .image("ns1", "image5", "d30", &[("cond.snapshot.overlay", "usedat<2h|sn10")])
        .ingest("ns1", "ingest-1", None, "")
        .ingest("ns2", "ingest-2", None, "d8")
        .content("ns2", "d1", &[])
        .snapshot("ns2", "overlay/sn1", "", &[])
        .snapshot("ns2", "overlay/sn2", "sn1", &[])
        .snapshot("ns2", "overlay/sn3", "", &[("ref.content", "d1"), ("ref.content.keep-me", "d6")])
        .content("ns3", "d10", &[("bref.container", "container1")])
        .content("ns3", "d20", &[("cond.snapshot.overlay", "usedat<2h|sn6")])
        .content("ns3", "d21", &[("cond.snapshot.overlay", "usedat<2h|sn7")])
        .snapshot("ns3", "overlay/sn6", "", &[("cond.value-usedat", EARLIER)])
        .snapshot("ns3", "overlay/sn7", "", &[("cond.value-usedat", "2024-08-01T09:00:00Z")])
        .load();
    let run = tree.gc().arg("--graph").run();
    let found = references(&run.ok().stdout_text());
    let table: &[(&str, &[&str])] = &[
        ("content ns1/d4", &["content ns1/d1"]),
        ("content ns1/d5", &["content ns1/d10", "content ns1/d2", "content ns1/d3"]),
        ("content ns1/d7", &["content ns1/d2", "content ns1/d3"]),
        ("snapshot ns1/overlay/sn2", &["snapshot ns1/overlay/sn1"]),
        ("snapshot ns1/overlay/sn3", &["snapshot ns1/overlay/sn2"]),
        ("snapshot ns1/overlay/sn4", &["snapshot ns1/btrfs/sn1", "snapshot ns1/overlay/sn1"]),
        ("snapshot ns1/overlay/sn5", &["snapshot ns1/overlay/sn1", "snapshot ns1/overlay/sn2"]),
        ("snapshot ns1/btrfs/sn1", &["content ns1/d10"]),
        ("snapshot ns2/overlay/sn2", &["snapshot ns2/overlay/sn1"]),
        ("snapshot ns2/overlay/sn3", &["content ns2/d1", "content ns2/d6"]),
        ("container ns1/container1", &["content ns1/d10", "snapshot ns1/overlay/sn4"]),
        ("container ns1/container2", &["snapshot ns1/overlay/sn5", "snapshot ns1/overlay/sn6"]),
        (
            "container ns1/container3",
            &["content ns1/d7", "snapshot ns1/overlay/sn7", "snapshot ns1/overlay/sn8", "snapshot ns1/overlay/sn9"],
        ),
        ("container ns1/container4", &["content ns1/d8", "content ns1/d9"]),
        ("image ns1/image1", &["content ns1/d3"]),
        (
            "image ns1/image2",
            &["content ns1/d10", "content ns1/d4", "content ns1/d5", "image ns1/image1", "image ns1/image4"],
        ),
        ("image ns1/image4", &["content ns1/d1"]),
        ("image ns1/image5", &["content ns1/d30", "snapshot ns1/overlay/sn10"]),
        ("ingest ns2/ingest-2", &["content ns2/d8"]),
        ("container ns3/container1", &["content ns3/d10"]),
        ("content ns3/d20", &["snapshot ns3/overlay/sn6"]),
    ];
    let wanted: BTreeMap<String, BTreeSet<String>> =
        table.iter().map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect())).collect();
    assert_eq!(found, wanted);
}

/// TestGCRemove: of sixteen eight go, and a container is no node of it.
#[test]
fn exactly_the_eight_go() {
    let swept = swept(|tree| {
        tree.content("ns1", "d1", &[]).content("ns1", "d2", &[("root", "1")]).content("ns1", "d3", &[]);
        tree.content("ns2", "d1", &[("root", "1")]).content("ns2", "d2", &[]);
        tree.snapshot("ns1", "overlay/sn1", "", &[("root", "1")])
            .snapshot("ns1", "overlay/sn2", "sn1", &[])
            .snapshot("ns1", "overlay/sn3", "", &[("root", "1")])
            .snapshot("ns1", "overlay/sn4", "", &[])
            .snapshot("ns2", "overlay/sn1", "", &[("root", "1")])
            .image("ns1", "image1", "d1", &[("expire", EARLIER)])
            .image("ns1", "image2", "d2", &[])
            .lease("ns1", "l1", &["content/d1"], &[("expire", EARLIER)])
            .lease("ns2", "l2", &[], &[])
            .ingest("ns1", "ingest-1", Some(-1), "")
            .ingest("ns2", "ingest-2", Some(1), "")
            .container("ns1", "c1", None, &[]);
    });
    assert_eq!(
        swept,
        [
            "content ns1/d1",
            "content ns1/d3",
            "content ns2/d2",
            "image ns1/image1",
            "ingest ns1/ingest-1",
            "lease ns1/l1",
            "snapshot ns1/overlay/sn2",
            "snapshot ns1/overlay/sn4",
        ]
    );
}

/// TestCollectibleResources: collectors are kinds of a schema of one's own.
#[test]
fn collectible_resources_are_kinds_like_others() {
    let built_in = Kvadm::new().args(["gc", "metadata", "--print-schema"]).run();
    let text = built_in.ok().stdout_text();
    let refs = "groups:\n  label-refs:\n    - {field: labels/containerd.io/gc.ref.test, suffix: \"./\", to: test}\n";
    let text = text
        .replace("groups:\n  label-refs:\n", refs)
        .replace("      - images/{name+}\n", "      - images/{name+}\n      - tests/{id}\n")
        .replace(
            "      - {field: \"ingests/{ref+}\"",
            "      - {field: \"tests/{test}\", to: test, id: \"{test}\"}\n      - {field: \"ingests/{ref+}\"",
        );
    let collector = "
  - kind: test
    key: \"v1/{ns}/tests/{id}\"
    fields: [active, image, container]
    collect: true
    root: [{field: active}]
    edges:
      - {field: image, from: image}
      - {field: container, from: container}
";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tests.yaml");
    fs::write(&file, text + collector).unwrap();
    let mut tree = tree();
    tree.content("ns1", "d1", &[])
        .content("ns1", "d2", &[("ref.test", "test2")])
        .image("ns1", "image1", "d1", &[])
        .image("ns1", "image2", "d2", &[("expire", LATER)])
        .lease("ns1", "lease1", &["tests/test3"], &[("expire", LATER)])
        .lease("ns1", "lease2", &["tests/test4"], &[("expire", EARLIER)])
        .container("ns1", "container1", Some(("testsn", "sn1")), &[]);
    for (test, value) in [("test1", "1"), ("test2", ""), ("test3", ""), ("test4", "")] {
        tree.put(&format!("v1/ns1/tests/{test}/active"), value);
    }
    tree.put("v1/ns1/tests/test5/image", "image2").put("v1/ns1/tests/test5/container", "container1").load();
    let gc = || tree.gc_by(file.to_str().unwrap()).args(["-o", "json"]);
    let plan = gc().run();
    assert_eq!(named(plan.code(1), "garbage"), ["lease ns1/lease2", "test ns1/test4"]);
    let run = permit(gc()).args(["--grace", "1ms"]).run();
    assert_eq!(named(run.ok(), "removed"), ["lease ns1/lease2", "test ns1/test4"]);
    assert!(!tree.keys().iter().any(|key| key.contains("test4") || key.contains("lease2")));
    assert!(tree.keys().iter().any(|key| key.contains("/tests/test3/")));
}

/// TestTricolorBasic and TestConcurrentBasic.
#[test]
fn the_tricolor_tests() {
    let swept = swept(|tree| {
        let links: [(&str, &[&str]); 9] = [
            ("A", &["B"]),
            ("B", &["A"]),
            ("C", &["D", "F", "B"]),
            ("D", &[]),
            ("E", &["F", "G"]),
            ("F", &["H"]),
            ("G", &["I"]),
            ("H", &[]),
            ("I", &[]),
        ];
        for (from, to) in links {
            let keys: Vec<String> = to.iter().map(|to| format!("ref.content.{to}")).collect();
            let mut labels: Vec<(&str, &str)> = keys.iter().map(String::as_str).zip(to.iter().copied()).collect();
            labels.extend(["A", "C"].contains(&from).then_some(("root", "1")));
            tree.content("ns1", from, &labels);
        }
    });
    assert_eq!(swept, ["content ns1/E", "content ns1/G", "content ns1/I"]);
}

#[test]
fn an_expiry_that_is_now_or_unreadable_or_empty_keeps() {
    let swept = swept(|tree| {
        for (lease, expire) in
            [("now", NOW), ("bad", "tomorrow"), ("empty", ""), ("over", "2024-08-01T11:59:59.999999999Z")]
        {
            tree.lease("ns1", lease, &[&format!("content/{lease}")], &[("expire", expire)]).content("ns1", lease, &[]);
        }
        // Only leases and images read it.
        tree.content("ns1", "expires", &[("expire", LATER)]).content(
            "ns1",
            "root",
            &[("root", "1"), ("expire", EARLIER)],
        );
        tree.content("ns1", "empty-root", &[("root", "")]).content("ns1", "suffix", &[("root.too", "1")]);
    });
    // containerd looks for the label gc.root, not for its value.
    assert_eq!(swept, ["content ns1/expires", "content ns1/over", "lease ns1/over"]);
}

#[test]
fn flat_members_keep_nothing_of_their_own_unless_they_are_also_kept_fully() {
    let build = |tree: &mut Tree<'_>| {
        tree.lease("ns1", "l", &["content/d1", "snapshots/overlay/top", "images/i1", "ingests/in"], &[("flat", "1")])
            .content("ns1", "d1", &[("ref.content", "d2")])
            .content("ns1", "d2", &[])
            .snapshot("ns1", "overlay/top", "base", &[("ref.content", "d5")])
            .snapshot("ns1", "overlay/base", "", &[])
            .image("ns1", "i1", "d3", &[("expire", EARLIER), ("ref.content", "d6")])
            .content("ns1", "d3", &[])
            .ingest("ns1", "in", None, "d4")
            .content("ns1", "d4", &[])
            .content("ns1", "d5", &[])
            .content("ns1", "d6", &[])
            .content("ns1", "child", &[("bref.snapshot.overlay", "top")]);
    };
    assert_eq!(swept(build), ["content ns1/child", "content ns1/d2", "content ns1/d5", "content ns1/d6"]);
    let both = swept(|tree| {
        build(tree);
        tree.container("ns1", "c", Some(("overlay", "top")), &[]);
    });
    assert_eq!(both, ["content ns1/d2", "content ns1/d6"]);
}

#[test]
fn circles_go_a_self_reference_is_no_root_and_namespaces_are_apart() {
    let swept = swept(|tree| {
        tree.content("ns1", "a", &[("ref.content", "b")]).content("ns1", "b", &[("ref.content", "a")]);
        tree.content("ns1", "self", &[("ref.content", "self")]);
        tree.content("ns1", "both", &[]).content("ns2", "both", &[]).image("ns1", "i", "both", &[]);
        tree.lease("ns1", "l", &["content/far"], &[]).content("ns2", "far", &[]);
    });
    assert_eq!(swept, ["content ns1/a", "content ns1/b", "content ns1/self", "content ns2/both", "content ns2/far"]);
}

#[test]
fn sibling_names_and_names_with_slashes_stay_whole() {
    let swept = swept(|tree| {
        tree.snapshot("ns1", "overlay/ab", "", &[]).snapshot("ns1", "overlay/abc", "", &[("root", "1")]);
        tree.snapshot("ns1", "overlay/a", "", &[("root", "1")]);
        tree.image("ns1", "docker.io/library/redis:7", "d", &[("expire", EARLIER), ("!a/b", "1")]);
        tree.image("ns1", "docker.io/library/redis", "d", &[]).content("ns1", "d", &[]);
    });
    assert_eq!(swept, ["image ns1/docker.io/library/redis:7", "snapshot ns1/overlay/ab"]);
}

/// The keys of one object lie among those of another: only the outer one's go.
#[test]
fn a_name_inside_another_s_stays() {
    let mut tree = tree();
    tree.image("ns1", "a", "d", &[("expire", EARLIER), ("!b/c", "1")]).image("ns1", "a/inner", "d", &[]);
    tree.image("ns1", "a/inner/most", "d", &[("expire", EARLIER)]).load();
    tree.apply().run().ok();
    let left = ["createdat", "target/digest"].map(|field| format!("{}v1/ns1/images/a/inner/{field}", tree.prefix));
    assert_eq!(tree.keys(), left);
}

/// A tree beside it with the same beginning is never looked at.
#[test]
fn a_sibling_tree_is_left_alone_and_half_a_name_is_refused() {
    let mut tree = tree();
    let beside = format!("{}-beside/v1/ns1/content/blob/d1/createdat", tree.prefix.trim_end_matches('/'));
    tree.etcd.etcdctl_ok(&["put", &beside, "t"]);
    tree.content("ns1", "d1", &[]);
    assert_eq!(tree.swept(), ["content ns1/d1"]);
    assert!(tree.etcd.held(&beside).is_some());
    let half = tree.prefix.trim_end_matches('/').to_owned();
    let run = Kvadm::new().endpoint(tree.etcd).args(["gc", "metadata", &half, "--schema", "containerd"]).run();
    run.code(2).err_has("does not end with a slash").err_has(&format!("use {half}/"));
}

/// A snapshot's entry in its parent goes with it, and a stale one hurts nobody.
#[test]
fn links_in_a_kept_parent_are_cleaned() {
    let mut tree = tree();
    tree.snapshot("ns1", "overlay/p", "", &[("root", "1")]).snapshot("ns1", "overlay/c1", "p", &[]);
    tree.snapshot("ns1", "overlay/c2", "p", &[("root", "1")]);
    for child in ["c1", "c2", "stale"] {
        tree.put(&format!("v1/ns1/snapshots/overlay/p/children/{child}"), "");
    }
    assert_eq!(tree.swept(), ["snapshot ns1/overlay/c1"]);
    let children: Vec<String> = tree.keys().into_iter().filter(|key| key.contains("/children/")).collect();
    assert_eq!(
        children,
        ["c2", "stale"].map(|child| format!("{}v1/ns1/snapshots/overlay/p/children/{child}", tree.prefix))
    );
}

#[test]
fn more_than_a_hundred_and_twenty_eight_objects_take_several_transactions() {
    let mut tree = tree();
    for number in 0..129 {
        tree.content("ns1", &format!("d{number}"), &[]);
    }
    tree.content("ns1", "kept", &[("root", "1")]).load();
    let run = tree.apply().run();
    run.ok();
    assert_eq!(named(&run, "removed").len(), 129);
    let told = run.err_json();
    let sweep = told["phases"].as_array().unwrap().iter().find(|phase| phase["phase"] == "sweep").unwrap().clone();
    assert_eq!((sweep["transactions"].as_u64(), sweep["refused"].as_u64()), (Some(2), Some(0)), "{told}");
    let part = told["parts"].as_array().unwrap().iter().find(|part| part["kind"] == "content").unwrap().clone();
    let counts = ["objects", "keys", "roots", "garbage", "removed", "removed_keys", "skipped", "failed"];
    let told: Vec<u64> = counts.iter().map(|name| part[*name].as_u64().unwrap()).collect();
    assert_eq!(told, [130, 261, 1, 129, 129, 258, 0, 0]);
    assert_eq!(tree.keys().len(), 3);
}

#[test]
fn the_older_rules_keep_images_and_know_no_back_references() {
    let mut tree = tree();
    tree.image("ns1", "old", "d1", &[("expire", EARLIER)])
        .content("ns1", "d1", &[])
        .content("ns1", "child", &[("bref.image", "old")])
        .content("ns1", "suffixed", &[("root.too", "1")])
        .load();
    let run = tree.gc_by("containerd-1.7").args(["-o", "json"]).run();
    assert_eq!(named(run.code(1), "garbage"), ["content ns1/child", "content ns1/suffixed"]);
}

#[test]
fn a_tree_without_keys() {
    let tree = tree();
    tree.gc().run().ok().out_empty().err_has("no key below the prefix");
    tree.apply().run().ok().out_empty();
}

#[test]
fn clocks_may_differ_by_the_skew() {
    let mut tree = tree();
    tree.lease("ns1", "l", &[], &[("expire", "2024-08-01T11:59:40Z")]).load();
    let at = |skew: &str| {
        let gc = Kvadm::new().endpoint(tree.etcd).args(["gc", "metadata", &tree.prefix, "--schema", "containerd"]);
        gc.args(["--now", NOW, "--skew", skew]).run()
    };
    at("30s").ok().out_empty();
    at("20s").ok().out_empty();
    at("19s").code(1).out_has("expired at 2024-08-01T11:59:40Z and not reachable from a root");
    let now = ["--apply", "--yes", "--roots-complete", "--now", "2999-01-01T00:00:00Z"];
    let gc = Kvadm::new().endpoint(tree.etcd).args(["gc", "metadata", &tree.prefix, "--schema", "containerd"]);
    gc.args(now).run().code(2).err_has("--now is in the future: --apply would remove objects that are still needed");
    assert_eq!(tree.keys().len(), 2);
}

#[test]
fn outside_roots_are_asked_for_and_keep_what_they_refer_to() {
    let mut tree = tree();
    tree.content("ns1", "d1", &[("ref.content", "d2")]).content("ns1", "d2", &[]).content("ns1", "d3", &[]).load();
    let gc = || tree.gc().args(["--apply", "--yes", "--grace", "1ms"]);
    gc().run().code(2).out_empty().err_has("the schema 'containerd' says that roots may exist outside etcd");
    let roots = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots");
        fs::write(&file, text).unwrap();
        (folder, file.to_str().unwrap().to_owned())
    };
    let object = |digest: &str| format!("{}v1/ns1/content/blob/{digest}", tree.prefix);
    let (_folder, file) = roots(&format!("# running\n\n{}\n{{\"key\":\"{}\"}}\n", object("d1"), object("absent")));
    gc().args(["--roots", &file]).run().ok().err_has("1 of 2 outside roots not found in the tree");
    assert_eq!(tree.plan(), ["content ns1/d1", "content ns1/d2"]);
    let (_folder, file) = roots("/elsewhere/v1/ns1/content/blob/d1\n");
    gc().args(["--roots", &file]).run().code(2).err_has("cannot be an object of this tree");
    let (_folder, file) = roots("{\"kay\":\"x\"}\n");
    gc().args(["--roots", &file]).run().code(2).err_has("line 1: not a record with a key");
    // A key that lies in an object and is none of its fields names nothing: it would protect nothing.
    tree.etcd.etcdctl_ok(&["put", &format!("{}v1/ns1/labels/x", tree.prefix), ""]);
    let (_folder, file) = roots(&format!("{}v1/ns1/content/d1\n", tree.prefix));
    gc().args(["--roots", &file]).run().code(2).err_has("cannot be an object of this tree");
    assert_eq!(tree.keys().len(), 6);
}

#[test]
fn keys_that_nobody_knows_stop_it_and_are_never_touched() {
    let mut tree = tree();
    tree.content("ns1", "d1", &[]).content("ns1", "d2", &[]).put("v1/ns1/content/blob/d1/unknown/field", "x");
    tree.put("v1/ns1/what/is/this", "x").load();
    let plan = tree.gc().run();
    plan.code(1).err_has("2 keys not matching the schema").err_has("--apply would refuse");
    assert_eq!(named(&plan, "garbage"), ["content ns1/d2"]);
    tree.apply().run().code(5).out_empty().err_has("nothing was removed").err_has("--ignore-unparsed");
    assert_eq!(tree.keys().len(), 6);
    let run = tree.apply().arg("--ignore-unparsed").run();
    assert_eq!(named(run.ok(), "removed"), ["content ns1/d2"]);
    assert_eq!(tree.keys().len(), 4);
}

#[test]
fn a_moment_that_cannot_be_read_stops_it_where_the_schema_says_so() {
    let mut tree = tree();
    tree.ingest("ns1", "bad", None, "")
        .put("v1/ns1/content/ingests/bad/expireat", "soon")
        .content("ns1", "d", &[])
        .load();
    tree.gc()
        .run()
        .code(1)
        .err_has("1 object has a time that is not valid, at which the schema stops a sweep; the first is ");
    let refused = tree.apply().run();
    refused.code(5).out_empty().err_has("content/ingests/bad/expireat").err_has("--ignore-bad-times");
    assert_eq!(tree.keys().len(), 5);
    // The hint works: the object is kept, and the rest is removed.
    let run = tree.apply().arg("--ignore-bad-times").run();
    assert_eq!(named(run.ok(), "removed"), ["content ns1/d"]);
    assert_eq!(tree.keys().len(), 3);
}

#[test]
fn a_kind_is_not_emptied_unless_that_is_said() {
    let mut tree = tree();
    tree.content("ns1", "d1", &[]).lease("ns1", "over", &[], &[("expire", EARLIER)]).load();
    let apply = || tree.gc().args(["--apply", "--yes", "--roots-complete", "--grace", "1ms"]);
    tree.gc().run().code(1).err_has("every object of kind content would be removed (1 in total)");
    apply()
        .run()
        .code(5)
        .out_empty()
        .err_has("every object of kind content would be removed (1 in total); nothing was removed");
    apply().args(["--allow-empty", "blob"]).run().code(2).err_has("the schema has no such kind").err_has("content");
    assert_eq!(tree.keys().len(), 4);
    apply().args(["--allow-empty", "content"]).run().ok();
    assert_eq!(tree.keys(), NONE);
}

#[test]
fn too_much_is_refused() {
    let mut tree = tree();
    for number in 0..20 {
        tree.content("ns1", &format!("d{number}"), &[]);
    }
    tree.content("ns1", "kept", &[("root", "1")]).load();
    let apply = || tree.gc().args(["--apply", "--yes", "--roots-complete", "--grace", "1ms"]);
    apply().run().code(5).err_has("20 of 21 would be removed, more than --max-percent 50");
    apply()
        .args(["--max-percent", "100", "--max-delete", "19"])
        .run()
        .code(5)
        .err_has("20 would be removed, more than --max-delete 19");
    assert_eq!(tree.keys().len(), 43);
    tree.gc().args(["--apply", "--dry-run"]).run().code(1);
    tree.gc().args(["--apply", "--roots-complete"]).run().code(2).err_has("--yes");
    assert_eq!(tree.keys().len(), 43);
}

#[test]
fn plans_of_another_schema_tree_or_cluster_are_refused() {
    let mut tree = tree();
    tree.content("ns1", "d1", &[]).content("ns1", "d2", &[("root", "1")]).load();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (mine, edited, other) = (file("mine"), file("edited"), file("other"));
    tree.gc().args(["--save", &mine]).run().code(1);
    let text = Kvadm::new().args(["gc", "metadata", "--print-schema", "containerd"]).run().stdout_text();
    fs::write(&edited, text + "\n# edited\n").unwrap();
    let apply = |schema: &str, plan: &str| permit(tree.gc_by(schema)).args(["--since", plan]).run();
    apply(&edited, &mine).code(5).err_has("the plan was made with another schema");
    let mut second = Tree::new(tree.etcd, &unique_prefix());
    second.content("ns1", "d1", &[]).load();
    second.gc().args(["--save", &other]).run().code(1);
    apply("containerd", &other).code(5).err_has("the plan covers other keys");
    let elsewhere = Etcd::start();
    let mut third = Tree::new(&elsewhere, &tree.prefix);
    third.content("ns1", "d1", &[]).load();
    permit(third.gc()).args(["--since", &mine]).run().code(5).err_has("the plan is of cluster ");
    assert_eq!((tree.keys().len(), third.keys().len()), (5, 2));
    apply("containerd", &mine).ok();
    assert_eq!(tree.keys().len(), 3);
}

#[test]
fn bad_schemas_are_refused_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    let gc = |text: &str| {
        fs::write(&file, text).unwrap();
        Kvadm::new().endpoint(shared()).args(["gc", "metadata", "/none/", "--schema", file.to_str().unwrap()]).run()
    };
    let rootless =
        "schema: 1\nname: x\nkinds:\n  - {kind: a, key: \"a/{id}\", fields: [.], root: never, collect: true}\n";
    gc(rootless)
        .code(2)
        .out_empty()
        .err_has("no kind has a root, so everything would be garbage")
        .err_has("bad.yaml:3");
    gc("schema: 1\nname: x\nkindz: []\n").code(2).err_has("bad.yaml:").err_has("kindz");
    gc("\u{1}").code(2).err_has("bad.yaml");
    Kvadm::new()
        .args(["gc", "metadata", "--schema", "containerd2"])
        .run()
        .code(2)
        .err_has("built-in schemas: containerd, containerd-1.7");
    Kvadm::new().args(["gc", "metadata", "--print-schema", "x"]).run().code(2).err_has("no built-in schema 'x'");
}

#[test]
fn explanations_name_the_way_from_a_root_and_who_refers() {
    let mut tree = tree();
    tree.container("ns1", "c", Some(("overlay", "top")), &[])
        .snapshot("ns1", "overlay/top", "base", &[])
        .snapshot("ns1", "overlay/base", "", &[("ref.content", "d1")])
        .content("ns1", "d1", &[])
        .lease("ns1", "over", &["content/d1", "content/d2"], &[("expire", EARLIER)])
        .content("ns1", "d2", &[])
        .image("ns1", "dangling", "absent", &[])
        .load();
    let explain = |object: &str| tree.gc().args(["--explain", &format!("{}v1/ns1/{object}", tree.prefix)]).run();
    let steps = |run: &super::support::Run, of: &str| -> Vec<String> {
        let told = run.json();
        let hops = told[of].as_array().unwrap().clone();
        let text = |hop: &serde_json::Value, field: &str| hop[field].as_str().unwrap().to_owned();
        hops.iter()
            .map(|hop| {
                let key = text(hop, "key");
                format!("{} {} by {}", text(hop, "step"), key.rsplit('/').next().unwrap(), text(hop, "by"))
            })
            .collect()
    };
    let held = explain("content/blob/d1");
    assert_eq!(held.ok().json()["verdict"], "kept");
    let way = [
        "root c by every container is a root",
        "keeps top by snapshotter+snapshotKey",
        "keeps base by parent",
        "keeps d1 by labels/containerd.io/gc.ref.content",
    ];
    assert_eq!(steps(&held, "path"), way);
    assert_eq!(
        steps(&held, "referrers"),
        ["keeps base by labels/containerd.io/gc.ref.content", "refers over by content/{digest}"]
    );
    // A key inside it will do.
    assert_eq!(explain("content/blob/d1/size").json(), held.json());
    let lost = explain("content/blob/d2");
    assert_eq!((lost.ok().json()["verdict"].clone(), steps(&lost, "path").len()), ("garbage".into(), 0));
    assert_eq!(explain("leases/over").json()["why"], format!("expired at {EARLIER} and not reachable from a root"));
    assert_eq!(explain("containers/c").json()["verdict"], "root");
    assert_eq!(explain("content/blob/absent").ok().json()["verdict"], "absent");
    explain("content/blob/nobody").code(1).err_has("no such object");
    explain("nothing/at/all").code(1).err_has("not a key of an object in this tree");
    tree.gc()
        .args(["--check", "--apply"])
        .run()
        .code(2)
        .err_has("--explain, --check and --graph change nothing and cannot be used with --apply");
}

#[test]
fn a_check_finds_what_is_wrong() {
    let mut tree = tree();
    tree.content("ns1", "d1", &[("ref.content.0", "d2"), ("ref.content.1", "d3"), ("ref.contentbad", "d1")])
        .content("ns2", "d3", &[])
        .lease("ns1", "forever", &["content/d1"], &[])
        .lease("ns1", "bad", &[], &[("expire", "soon")])
        .snapshot("ns1", "overlay/p", "", &[])
        .put("v1/ns1/snapshots/overlay/p/children/gone", "")
        .put("v1/ns1/what/is/this", "")
        .put("v1/ns1/images/half/updatedat", "")
        .load();
    let run = tree.gc().arg("--check").run();
    let short = |key: &str| key.strip_prefix(&format!("{}v1/", tree.prefix)).unwrap().to_owned();
    let mut found: Vec<String> = run
        .code(1)
        .json_lines()
        .iter()
        .map(|row| {
            format!(
                "{} {} {}",
                row["severity"].as_str().unwrap(),
                row["finding"].as_str().unwrap(),
                short(row["key"].as_str().unwrap())
            )
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "note no-expiry ns1/leases/forever",
            "problem bad-time ns1/leases/bad/labels/containerd.io/gc.expire",
            "problem cross-scope ns1/content/blob/d1",
            "problem dangling ns1/content/blob/d1",
            "problem stale-link ns1/snapshots/overlay/p/children/gone",
            "problem unanchored ns1/images/half",
            "problem unparsed ns1/what/is/this",
            "problem unread ns1/content/blob/d1/labels/containerd.io/gc.ref.contentbad",
        ]
    );
    run.err_has("7 problems and 1 note in ");
    let mut sound = Tree::new(tree.etcd, &unique_prefix());
    sound.lease("ns1", "l", &["content/d"], &[("expire", LATER)]).content("ns1", "d", &[]).load();
    sound.gc().arg("--check").run().ok().out_empty();
}

/// Keys and values are bytes; a namespace is put before everything but what a plan says.
#[test]
fn any_bytes_and_a_namespace() {
    let etcd = shared();
    let (base, folder) = (unique_prefix(), tempfile::tempdir().unwrap());
    let plan = folder.path().join("plan").to_str().unwrap().to_owned();
    let put = |key: &str| Kvadm::new().endpoint(etcd).args(["put", "--escape", key, "t"]).run().ok().code;
    put(&format!("{base}t/v1/ns1/content/blob/\\xff\\x01/createdat"));
    put(&format!("{base}t/v1/ns1/content/blob/kept/labels/containerd.io/gc.root"));
    let gc = || {
        Kvadm::new().endpoint(etcd).args([
            "--namespace",
            &base,
            "gc",
            "metadata",
            "t/",
            "--schema",
            "containerd",
            "-o",
            "json",
        ])
    };
    let run = gc().args(["--save", &plan]).run();
    let row = &run.code(1).json_lines()[0];
    assert!(row.get("key_base64").is_some() && row.get("identity_base64").is_some(), "{row}");
    assert!(fs::read_to_string(&plan).unwrap().contains(&format!("\"prefix\":\"{base}t/\"")));
    permit(gc()).args(["--since", &plan]).run().ok();
    assert_eq!(etcd.held_under(&base).len(), 1);
}

#[test]
fn what_is_printed_without_json() {
    let mut tree = tree();
    tree.content("ns1", "d1", &[]).content("ns1", "d2", &[("root", "1")]).load();
    let gc = || tree.gc_by("containerd");
    let key = format!("{}v1/ns1/content/blob/d1", tree.prefix);
    let run = gc().run();
    run.code(1)
        .out(&format!("garbage\tcontent\t{key}\tnot reachable from a root\n"))
        .err_has("1 of 2 objects is garbage");
    run.err_has("content: 2 objects, 5 keys").err_has("1 root, 0 references, 1 kept, 1 garbage");
    permit(gc())
        .args(["--grace", "1ms"])
        .run()
        .ok()
        .out(&format!("removed\tcontent\t{key}\tnot reachable from a root\n"));
    gc().run().ok().out_empty().within(Duration::from_secs(5));
}

/// The manual's example does what one would think.
#[test]
fn the_manual_s_schema_works() {
    let mut sections = kvadm::cli::manual::sections(kvadm::cli::manual::SCHEMA);
    let (_, text) = sections.find(|(heading, _)| *heading == "EXAMPLE").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("builds.yaml");
    fs::write(&file, text).unwrap();
    let mut tree = tree();
    for (key, value) in [
        ("web/runs/1/expires", "1722510000"),
        ("web/runs/1/uses/a", ""),
        ("web/runs/2/expires", "1722517200"),
        ("web/runs/2/uses/b", ""),
        ("web/artifacts/a/size", "1"),
        ("web/artifacts/b/base", "c"),
        ("web/artifacts/c/size", "1"),
        ("web/artifacts/d/labels/keep", "yes"),
        ("web/artifacts/e/base", "b"),
        ("app/artifacts/c/size", "1"),
    ] {
        tree.put(key, value);
    }
    tree.load();
    let gc = || tree.gc_by(file.to_str().unwrap()).args(["-o", "json"]);
    let names = ["artifact app/c", "artifact web/a", "artifact web/e", "run web/1"];
    assert_eq!(named(gc().run().code(1), "garbage"), names);
    // No roots lie outside etcd here: nothing has to be promised.
    let run = gc().args(["--apply", "--yes", "--grace", "1ms"]).run();
    assert_eq!(named(run.ok(), "removed"), names);
    assert_eq!(tree.keys().len(), 5);
}
