//! containerd's own table of references (TestGCRefs), and what collectors are.

use super::tree::*;
use crate::gc::metadata::model::Model;

/// All that this object keeps, kept fully or flat.
fn references(model: &Model, of: &str, flat: bool) -> Vec<String> {
    let marking = marked(model);
    let id = find(model, of);
    let tied = marking.conditional().iter().filter(|edge| edge.from == id);
    let edges = model.edges(id).iter().chain(tied).filter(|edge| !flat || model.rule(**edge).through);
    let mut names: Vec<String> = edges.map(|edge| name(model, edge.to)).collect();
    names.sort();
    names.dedup();
    names
}

fn store() -> Tree {
    let mut tree = Tree::default();
    let expired = hours(-1).to_string();
    for digest in ["d1", "d2", "d3", "d30"] {
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
        .content("ns1", "d8", &[])
        .content("ns1", "d9", &[])
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
        .snapshot("ns1", "btrfs/sn1", "", &[])
        .snapshot("ns1", "overlay/sn10", "", &[("cond.value-usedat", "2026-08-01T11:30:00Z")])
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
        .image("ns1", "image4", "d1", &[("bref.image", "image2"), ("expire", &expired)])
        .image("ns1", "image5", "d30", &[("cond.snapshot.overlay", "usedat<2h|sn10")])
        .ingest("ns1", "ingest-1", None, "")
        .ingest("ns2", "ingest-2", None, "d8");
    tree.content("ns2", "d1", &[])
        .snapshot("ns2", "overlay/sn1", "", &[])
        .snapshot("ns2", "overlay/sn2", "sn1", &[])
        .snapshot("ns2", "overlay/sn3", "", &[("ref.content", "d1"), ("ref.content.keep-me", "d6")])
        .content("ns3", "d10", &[("bref.container", "container1")])
        .content("ns3", "d20", &[("cond.snapshot.overlay", "usedat<2h|sn6")])
        .content("ns3", "d21", &[("cond.snapshot.overlay", "usedat<2h|sn7")])
        .snapshot("ns3", "overlay/sn1", "", &[])
        .snapshot("ns3", "overlay/sn2", "sn1", &[])
        .snapshot("ns3", "overlay/sn3", "", &[("ref.snapshot.btrfs", "sn1"), ("ref.snapshot.overlay", "sn1")])
        .snapshot("ns3", "overlay/sn6", "", &[("cond.value-usedat", "2026-08-01T11:00:00Z")])
        .snapshot("ns3", "overlay/sn7", "", &[("cond.value-usedat", "2026-08-01T09:00:00Z")])
        .image("ns3", "image1", "d3", &[])
        .image("ns3", "image2", "d4", &[("ref.image", "image1")]);
    tree
}

#[test]
fn the_table_of_references() {
    let model = store().model(&schema("containerd"));
    assert_eq!(model.totals().unparsed + model.totals().ambiguous, 0);
    let table: &[(&str, &[&str])] = &[
        ("content ns1/d1", &[]),
        ("content ns1/d2", &[]),
        ("content ns1/d3", &[]),
        ("content ns2/d1", &[]),
        ("content ns1/d4", &["content ns1/d1"]),
        ("content ns1/d5", &["content ns1/d10", "content ns1/d2", "content ns1/d3"]),
        ("content ns1/d6", &[]),
        ("content ns1/d7", &["content ns1/d2", "content ns1/d3"]),
        ("snapshot ns1/overlay/sn1", &[]),
        ("snapshot ns1/overlay/sn2", &["snapshot ns1/overlay/sn1"]),
        ("snapshot ns1/overlay/sn3", &["snapshot ns1/overlay/sn2"]),
        ("snapshot ns1/overlay/sn4", &["snapshot ns1/btrfs/sn1", "snapshot ns1/overlay/sn1"]),
        ("snapshot ns1/overlay/sn5", &["snapshot ns1/overlay/sn1", "snapshot ns1/overlay/sn2"]),
        ("snapshot ns1/btrfs/sn1", &["content ns1/d10"]),
        ("snapshot ns2/overlay/sn1", &[]),
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
        ("image ns1/image5", &["content ns1/d30", "snapshot ns1/overlay/sn10"]),
        ("ingest ns1/ingest-1", &[]),
        ("ingest ns2/ingest-2", &["content ns2/d8"]),
        ("container ns3/container1", &["content ns3/d10"]),
        ("content ns3/d20", &["snapshot ns3/overlay/sn6"]),
        ("content ns3/d21", &[]),
        ("snapshot ns3/overlay/sn2", &["snapshot ns3/overlay/sn1"]),
        ("snapshot ns3/overlay/sn3", &["snapshot ns3/btrfs/sn1", "snapshot ns3/overlay/sn1"]),
    ];
    for (object, expected) in table {
        assert_eq!(references(&model, object, false), *expected, "{object}");
    }
    let flat: &[(&str, &[&str])] = &[
        ("snapshot ns3/overlay/sn2", &["snapshot ns3/overlay/sn1"]),
        ("snapshot ns3/overlay/sn1", &[]),
        ("snapshot ns3/overlay/sn3", &[]),
        ("image ns3/image1", &["content ns3/d3"]),
        ("image ns3/image2", &["content ns3/d4"]),
        ("content ns1/d4", &[]),
    ];
    for (object, expected) in flat {
        assert_eq!(references(&model, object, true), *expected, "flat {object}");
    }
}

/// What a collector of "test" resources would say, as kinds of a schema: TestCollectibleResources.
const COLLECTOR: &str = "
  - kind: test
    key: \"v1/{ns}/tests/{id}\"
    fields: [active, image, container]
    collect: true
    root: [{field: active}]
    edges:
      - {field: image, from: image}
      - {field: container, from: container}
";

#[test]
fn collectible_resources_are_kinds_like_others() {
    let text = crate::gc::metadata::schema::Schema::built_in("containerd").unwrap();
    let text = text
        .replace(
            "groups:\n  label-refs:\n",
            "groups:\n  label-refs:\n    - {field: labels/containerd.io/gc.ref.test, suffix: \"./\", to: test}\n",
        )
        .replace("      - images/{name+}\n", "      - images/{name+}\n      - tests/{id}\n")
        .replace(
            "      - {field: \"ingests/{ref+}\"",
            "      - {field: \"tests/{test}\", to: test, id: \"{test}\"}\n      - {field: \"ingests/{ref+}\"",
        );
    let schema = custom(&format!("{text}{COLLECTOR}"));
    let mut tree = Tree::default();
    let (later, earlier) = (hours(1).to_string(), hours(-1).to_string());
    tree.content("ns1", "d1", &[])
        .content("ns1", "d2", &[("ref.test", "test2")])
        .image("ns1", "image1", "d1", &[])
        .image("ns1", "image2", "d2", &[("expire", &later)])
        .lease("ns1", "lease1", &["tests/test3"], &[("expire", &later)])
        .lease("ns1", "lease2", &["tests/test4"], &[("expire", &earlier)])
        .container("ns1", "container1", Some(("testsn", "sn1")), &[]);
    for (test, field, value) in [
        ("test1", "active", "1"),
        ("test2", "active", ""),
        ("test3", "active", ""),
        ("test4", "active", ""),
        ("test5", "image", "image2"),
    ] {
        tree.put(&format!("{PREFIX}v1/ns1/tests/{test}/{field}"), value);
    }
    tree.put(&format!("{PREFIX}v1/ns1/tests/test5/container"), "container1");
    let model = tree.model(&schema);
    assert_eq!(references(&model, "content ns1/d1", false), [] as [&str; 0]);
    assert_eq!(references(&model, "content ns1/d2", false), ["test ns1/test2"]);
    assert_eq!(references(&model, "image ns1/image1", false), ["content ns1/d1"]);
    assert_eq!(references(&model, "image ns1/image2", false), ["content ns1/d2", "test ns1/test5"]);
    assert_eq!(references(&model, "container ns1/container1", false), ["snapshot ns1/testsn/sn1", "test ns1/test5"]);
    let marking = marked(&model);
    let roots: Vec<String> = model.objects().filter(|id| marking.is_root(*id)).map(|id| name(&model, id)).collect();
    assert_eq!(
        roots,
        ["container ns1/container1", "image ns1/image1", "image ns1/image2", "lease ns1/lease1", "test ns1/test1"]
    );
    assert_eq!(garbage(&model), ["lease ns1/lease2", "test ns1/test4"]);
}
