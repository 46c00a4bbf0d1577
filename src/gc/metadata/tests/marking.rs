//! What is kept and what would go: containerd's rules, one by one.

use super::tree::*;
use crate::gc::metadata::check::{TreeFinding, check};
use crate::gc::metadata::explain::explain;
use crate::gc::metadata::mark::{ObjectVerdict, RootReason, mark};
use crate::gc::metadata::model::Model;

fn swept(build: impl FnOnce(&mut Tree)) -> Vec<String> {
    let mut tree = Tree::default();
    build(&mut tree);
    garbage(&tree.model(&schema("containerd")))
}

const NONE: [&str; 0] = [];

#[test]
fn leases_hold_their_members_until_they_are_over() {
    let build = |expire: Option<String>| {
        swept(|tree| {
            let members = ["content/d1", "snapshots/overlay/a/b", "ingests/in/1", "images/docker.io/x:1"];
            let label = expire.as_deref().map(|expire| ("expire", expire));
            tree.content("ns1", "d1", &[])
                .snapshot("ns1", "overlay/a/b", "", &[])
                .ingest("ns1", "in/1", None, "d2")
                .content("ns1", "d2", &[])
                .image("ns1", "docker.io/x:1", "d3", &[("expire", &hours(-2).to_string())])
                .content("ns1", "d3", &[])
                .lease("ns1", "l1", &members, label.as_slice());
        })
    };
    assert_eq!(build(None), NONE);
    assert_eq!(build(Some(hours(1).to_string())), NONE);
    // A time equal to now has not passed; an unreadable time counts as not passed; an empty field counts as missing.
    assert_eq!(build(Some(NOW.to_string())), NONE);
    assert_eq!(build(Some("tomorrow".to_owned())), NONE);
    assert_eq!(build(Some(String::new())), NONE);
    let over = build(Some("2026-08-01T11:59:59.999999999Z".to_owned()));
    assert_eq!(
        over,
        [
            "content ns1/d1",
            "content ns1/d2",
            "content ns1/d3",
            "image ns1/docker.io/x:1",
            "ingest ns1/in/1",
            "lease ns1/l1",
            "snapshot ns1/overlay/a/b"
        ]
    );
}

#[test]
fn a_flat_lease_holds_members_without_what_they_refer_to() {
    let members = ["content/d1", "snapshots/overlay/top", "images/i1", "ingests/in"];
    let build = |flat: &str, tree: &mut Tree| {
        tree.content("ns1", "d1", &[("ref.content", "d2")])
            .content("ns1", "d2", &[])
            .snapshot("ns1", "overlay/top", "base", &[("ref.content", "d2")])
            .snapshot("ns1", "overlay/base", "", &[("ref.content", "d2")])
            .image("ns1", "i1", "d3", &[("expire", &hours(-1).to_string()), ("ref.content", "d2")])
            .content("ns1", "d3", &[("ref.content", "d2")])
            .ingest("ns1", "in", None, "d4")
            .content("ns1", "d4", &[])
            // A child of a flat object is not kept by it.
            .content("ns1", "d5", &[("bref.snapshot.overlay", "top")])
            .lease("ns1", "l1", &members, &[("flat", flat)]);
    };
    assert_eq!(swept(|tree| build("1", tree)), ["content ns1/d2", "content ns1/d5"]);
    assert_eq!(swept(|tree| build("", tree)), NONE);
    // What is kept in both matches keeps what it refers to.
    let both = swept(|tree| {
        build("1", tree);
        tree.container("ns1", "c", Some(("overlay", "top")), &[]);
    });
    assert_eq!(both, NONE);
}

#[test]
fn ingests_are_kept_by_their_moment_or_a_lease() {
    let swept = swept(|tree| {
        tree.ingest("ns1", "later", Some(hours(1)), "d1")
            .ingest("ns1", "now", Some(NOW), "d2")
            .ingest("ns1", "over", Some(hours(-1)), "d3")
            .ingest("ns1", "none", None, "d4");
        for digest in ["d1", "d2", "d3", "d4"] {
            tree.content("ns1", digest, &[]);
        }
    });
    assert_eq!(swept, ["content ns1/d3", "content ns1/d4", "ingest ns1/none", "ingest ns1/over"]);
}

#[test]
fn a_bad_moment_of_an_ingest_stops_the_collection_and_that_of_a_lease_does_not() {
    let mut tree = Tree::default();
    tree.ingest("ns1", "bad", None, "d1").content("ns1", "d1", &[]);
    tree.put(&format!("{PREFIX}v1/ns1/content/ingests/bad/expireat"), "soon");
    tree.lease("ns1", "l1", &[], &[("expire", "soon")]);
    let model = tree.model(&schema("containerd"));
    let marking = marked(&model);
    assert_eq!(marking.blocking(&model), [format!("{PREFIX}v1/ns1/content/ingests/bad/expireat").into_bytes()]);
    assert_eq!(garbage(&model), NONE);
    let bad: Vec<TreeFinding> =
        check(&model, &marking).into_iter().filter(|f| matches!(f, TreeFinding::BadTime(..))).collect();
    assert_eq!(bad.len(), 2, "{bad:?}");
}

#[test]
fn what_makes_a_root_and_what_does_not() {
    let swept = swept(|tree| {
        tree.content("ns1", "root", &[("root", "1"), ("ref.content", "held")])
            .content("ns1", "rooted", &[("root.any", "1")])
            .content("ns1", "empty-root", &[("root", "")])
            .content("ns1", "empty", &[])
            // containerd reads gc.expire of leases and images only.
            .content("ns1", "unexpired", &[("expire", &hours(9).to_string())])
            .content("ns1", "held", &[])
            .content("ns1", "self", &[("ref.content", "self")])
            .content("ns1", "circle1", &[("ref.content", "circle2")])
            .content("ns1", "circle2", &[("ref.content", "circle1")])
            // The same name in another namespace is another object.
            .content("ns2", "held", &[])
            .snapshot("ns1", "overlay/root", "base", &[("root", "1")])
            .snapshot("ns1", "overlay/base", "", &[])
            .snapshot("ns1", "btrfs/base", "", &[]);
        tree.put(&format!("{PREFIX}v1/ns1/sandboxes/s/labels/containerd.io/gc.ref.content"), "sandboxed");
        tree.put(&format!("{PREFIX}v1/ns1/labels/containerd.io/gc.ref.content"), "named")
            .put(&format!("{PREFIX}v1/version"), "\x08");
        tree.content("ns1", "sandboxed", &[]).content("ns1", "named", &[]);
    });
    assert_eq!(
        swept,
        [
            "content ns1/circle1",
            "content ns1/circle2",
            "content ns1/empty",
            "content ns1/named",
            "content ns1/self",
            "content ns1/unexpired",
            "content ns2/held",
            "snapshot ns1/btrfs/base"
        ]
    );
}

#[test]
fn the_older_rules() {
    let mut tree = Tree::default();
    tree.image("ns1", "i", "d1", &[("expire", &hours(-1).to_string())])
        .content("ns1", "d1", &[])
        .content("ns1", "d2", &[("bref.image", "i")])
        .content("ns1", "d3", &[("root.any", "1")]);
    assert_eq!(garbage(&tree.model(&schema("containerd-1.7"))), ["content ns1/d2", "content ns1/d3"]);
    assert_eq!(garbage(&tree.model(&schema("containerd"))), ["content ns1/d1", "content ns1/d2", "image ns1/i"]);
}

#[test]
fn a_back_reference_works_by_its_parents_life() {
    let expired = hours(-1).to_string();
    let swept = swept(|tree| {
        tree.container("ns1", "c", None, &[])
            .content("ns1", "child", &[("bref.container", "c"), ("ref.content", "grandchild")])
            .content("ns1", "grandchild", &[])
            .content("ns1", "orphan", &[("bref.container", "d")])
            .image("ns1", "i", "gone", &[])
            // The parent need not exist; it only has to be referred to.
            .content("ns1", "of-gone", &[("bref.content", "gone")])
            .image("ns1", "held", "x", &[("bref.image", "i"), ("expire", &expired)]);
    });
    assert_eq!(swept, ["content ns1/orphan"]);
}

/// TestTricolorBasic and TestConcurrentBasic.
#[test]
fn the_tricolor_tests() {
    let swept = swept(|tree| {
        let links: [(&str, &[&str]); 8] = [
            ("A", &["B"]),
            ("B", &["A"]),
            ("C", &["D", "F", "B"]),
            ("D", &[]),
            ("E", &["F", "G"]),
            ("F", &["H"]),
            ("G", &["I"]),
            ("H", &[]),
        ];
        for (from, to) in links {
            let keys: Vec<String> = to.iter().map(|to| format!("ref.content.{to}")).collect();
            let mut labels: Vec<(&str, &str)> = keys.iter().map(String::as_str).zip(to.iter().copied()).collect();
            if ["A", "C"].contains(&from) {
                labels.push(("root", "1"));
            }
            tree.content("ns1", from, &labels);
        }
        tree.content("ns1", "I", &[]);
    });
    assert_eq!(swept, ["content ns1/E", "content ns1/G", "content ns1/I"]);
}

#[test]
fn clocks_may_differ_and_roots_may_be_elsewhere() {
    let mut tree = Tree::default();
    tree.lease("ns1", "l1", &["content/d1"], &[("expire", "2026-08-01T11:59:40Z")])
        .content("ns1", "d1", &[])
        .content("ns1", "d2", &[("ref.content", "d3")])
        .content("ns1", "d3", &[]);
    let model = tree.model(&schema("containerd"));
    let skewed = mark(&model, NOW, NOW - std::time::Duration::from_secs(30), &[]);
    assert_eq!(skewed.garbage(&model).len(), 2);
    let outside = model.find(format!("{PREFIX}v1/ns1/content/blob/d2").as_bytes()).unwrap();
    let marking = mark(&model, NOW, NOW, &[outside]);
    let left: Vec<String> = marking.garbage(&model).into_iter().map(|id| name(&model, id)).collect();
    assert_eq!(left, ["lease ns1/l1", "content ns1/d1"]);
    assert_eq!(marking.verdict(&model, outside), ObjectVerdict::Root(RootReason::Outside));
}

fn path(model: &Model, of: &str) -> Vec<String> {
    let explanation = explain(model, &marked(model), find(model, of));
    explanation.path.iter().map(|step| name(model, step.object)).collect()
}

#[test]
fn explanations() {
    let mut tree = Tree::default();
    let expired = hours(-1);
    tree.image("ns1", "i", "d1", &[])
        .content("ns1", "d1", &[("ref.content.0", "d2")])
        .content("ns1", "d2", &[("ref.content.0", "d3")])
        .content("ns1", "d3", &[])
        .container("ns1", "c", None, &[("ref.content", "d2")])
        .lease("ns1", "old", &["content/d4"], &[("expire", &expired.to_string())])
        .content("ns1", "d4", &[])
        .lease("ns1", "flat", &["snapshots/overlay/top"], &[("flat", "1")])
        .snapshot("ns1", "overlay/top", "base", &[])
        .snapshot("ns1", "overlay/base", "", &[("ref.content", "d4")]);
    let model = tree.model(&schema("containerd"));
    // The shorter of two matches.
    assert_eq!(path(&model, "content ns1/d3"), ["container ns1/c", "content ns1/d2", "content ns1/d3"]);
    assert_eq!(
        path(&model, "snapshot ns1/overlay/base"),
        ["lease ns1/flat", "snapshot ns1/overlay/top", "snapshot ns1/overlay/base"]
    );
    assert_eq!(path(&model, "lease ns1/flat"), ["lease ns1/flat"]);
    assert_eq!(path(&model, "content ns1/d4"), NONE);
    let marking = marked(&model);
    let explanation = explain(&model, &marking, find(&model, "content ns1/d4"));
    assert_eq!(explanation.verdict, ObjectVerdict::Unreachable);
    let referrers: Vec<(String, bool, bool)> =
        explanation.referrers.iter().map(|r| (name(&model, r.edge.from), r.kept, r.idle)).collect();
    let flat_one = ("snapshot ns1/overlay/base".to_owned(), true, true);
    assert_eq!(referrers, [flat_one, ("lease ns1/old".to_owned(), false, false)]);
    assert_eq!(marking.verdict(&model, find(&model, "lease ns1/old")), ObjectVerdict::Expired(expired));
    // A field leads to its object, and so does a key that no field has.
    for key in ["v1/ns1/content/blob/d4/labels/x/y", "v1/ns1/content/blob/d4", "v1/ns1/content/blob/d4/unknown"] {
        let found = model.find(format!("{PREFIX}{key}").as_bytes());
        assert_eq!(found, Some(find(&model, "content ns1/d4")), "{key}");
    }
    assert_eq!(model.find(b"/containerd/v1/ns1/content/blob/d99"), None);
    assert_eq!(model.find(b"/elsewhere"), None);
}

#[test]
fn a_check_finds_what_is_wrong() {
    let mut tree = Tree::default();
    tree.content("ns1", "d1", &[("ref.content.0", "d2"), ("ref.content.1", "d3"), ("ref.contentbad", "d1")])
        .content("ns2", "d3", &[])
        .lease("ns1", "forever", &["content/d1"], &[])
        .snapshot("ns1", "overlay/p", "", &[("expire", "2026-01-01T00:00:00Z")])
        .snapshot("ns1", "overlay/kept", "p", &[])
        .image("ns1", "i", "d1", &[]);
    for child in ["kept", "gone", "stranger"] {
        tree.put(&format!("{PREFIX}v1/ns1/snapshots/overlay/p/children/{child}"), "1");
    }
    tree.snapshot("ns1", "overlay/stranger", "", &[]);
    tree.put(&format!("{PREFIX}v1/ns1/what/is/this"), "");
    tree.put(&format!("{PREFIX}v1/ns1/images/half/updatedat"), "");
    let model = tree.model(&schema("containerd"));
    let text = |finding: &TreeFinding| match finding {
        TreeFinding::Unparsed(key) => String::from_utf8_lossy(key).into_owned(),
        TreeFinding::Unanchored(id) | TreeFinding::NoExpiry(id) => name(&model, *id),
        TreeFinding::Dangling(edge) => name(&model, edge.to),
        TreeFinding::CrossScope(edge, other) => format!("{} is {}", name(&model, edge.to), name(&model, *other)),
        TreeFinding::StaleLink { target, .. } => name(&model, *target),
        TreeFinding::Unread(id, field) => format!("{} {}", name(&model, *id), String::from_utf8_lossy(field)),
        other => format!("{other:?}"),
    };
    let mut found: Vec<String> =
        check(&model, &marked(&model)).iter().map(|f| format!("{}: {}", f.name(), text(f))).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "cross-scope: content ns1/d3 is content ns2/d3",
            "dangling: content ns1/d2",
            "no-expiry: lease ns1/forever",
            "stale-link: snapshot ns1/overlay/gone",
            "stale-link: snapshot ns1/overlay/stranger",
            "unanchored: image ns1/half",
            "unparsed: /containerd/v1/ns1/what/is/this",
            "unread: content ns1/d1 labels/containerd.io/gc.ref.contentbad",
            "unread: snapshot ns1/overlay/p labels/containerd.io/gc.expire",
        ]
    );
}

#[test]
fn names_with_slashes_belong_where_their_anchor_is() {
    let mut tree = Tree::default();
    tree.image("ns1", "a", "d1", &[("!b/labels/c", "1"), ("expire", &hours(-1).to_string())]).image(
        "ns1",
        "a/b",
        "d2",
        &[],
    );
    let model = tree.model(&schema("containerd"));
    assert_eq!(model.totals().ambiguous + model.totals().unparsed, 0);
    assert_eq!(model.keys(find(&model, "image ns1/a")), 4);
    assert_eq!(garbage(&model), ["image ns1/a"]);
    // A second image whose anchor makes the label one of its keys, perhaps: nobody can tell, so nothing is touched.
    tree.image("ns1", "a/labels/b", "d2", &[]);
    let model = tree.model(&schema("containerd"));
    assert!(model.totals().ambiguous > 0);
    assert_eq!(garbage(&model), NONE);
}

#[test]
fn keys_that_are_nobodys_keep_what_they_lie_in() {
    let mut tree = Tree::default();
    tree.content("ns1", "d1", &[]).content("ns1", "d10", &[]);
    tree.put(&format!("{PREFIX}v1/ns1/content/blob/d1/unknown/field"), "");
    let model = tree.model(&schema("containerd"));
    assert_eq!(model.totals().unparsed, 1);
    assert_eq!(garbage(&model), ["content ns1/d10"]);
    let verdict = marked(&model).verdict(&model, find(&model, "content ns1/d1"));
    assert_eq!(verdict, ObjectVerdict::Root(RootReason::ForeignKeys));
}

#[test]
fn a_kind_of_which_nothing_would_be_left() {
    let mut tree = Tree::default();
    tree.lease("ns1", "l", &[], &[("expire", "2026-01-01T00:00:00Z")]).content("ns1", "d", &[]);
    let model = tree.model(&schema("containerd"));
    // Leases may all end; that no content is left is odd.
    assert_eq!(marked(&model).emptied(&model), ["content"]);
    let summary = marked(&model).summary(&model);
    assert_eq!((summary[0].objects, summary[0].garbage, summary[0].garbage_keys), (1, 1, 2));
    assert_eq!(Tree::default().model(&schema("containerd")).totals().keys, 0);
}

/// Cilium's identities: a master is used while any key lies below `value/<its key>/`.
#[test]
fn masters_and_references_of_an_allocator() {
    let schema = custom(
        "
schema: 1
name: identities
kinds:
  - kind: user
    key: value/{key+}
    fields: [\"{node}\"]
    root: always
  - {kind: master, key: \"id/{id}\", fields: [.], collect: true, root: never, edges: [{field: ., from: user}]}
",
    );
    let mut tree = Tree::default();
    tree.put("/i/id/1", "a;b").put("/i/id/2", "unused").put("/i/id/3", "foo");
    // A key may hold slashes, and foo/bar does not use foo.
    tree.put("/i/value/a;b/node1", "1").put("/i/value/foo/bar/node1", "3");
    let model = tree.model_below(&schema, "/i/");
    assert_eq!(garbage(&model), ["master /2", "master /3"]);
    // An object that is one key alone: its neighbours stay.
    tree.put("/i/id/22", "a;b");
    let model = tree.model_below(&schema, "/i/");
    assert_eq!(model.ranges(find(&model, "master /2")), [crate::kvstore::KeyRange::key(b"/i/id/2")]);
}
