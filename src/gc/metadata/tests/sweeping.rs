//! Which transactions remove what, what refuses them, and what a refusal means for the rest.

use std::sync::Arc;

use super::tree::*;
use crate::gc::metadata::model::{Model, ObjectId};
use crate::gc::metadata::schema::Schema;
use crate::gc::metadata::sweep::{Sweep, SweepBatch, SweepGuard, SweepOptions, SweepVerdict};
use crate::kvstore::{Compare, KeyRange};
use crate::transport::DEFAULT_TXN_OPS;

fn containerd() -> Arc<Schema> {
    schema("containerd")
}

fn all(model: &Model) -> Vec<ObjectId> {
    marked(model).garbage(model)
}

fn sweep(model: &Arc<Model>, options: &SweepOptions) -> Sweep {
    Sweep::new(model, &marked(model), &all(model), options.clone())
}

/// Sends every batch to the tree; between the first and the second, `meanwhile` happens.
fn run(tree: &mut Tree, sweep: &mut Sweep, most: usize, mut meanwhile: impl FnMut(&mut Tree, &SweepBatch)) -> usize {
    let mut batches = 0;
    while let Some(batch) = sweep.next_batch(most) {
        batches += 1;
        match tree.txn(&batch.txn, DEFAULT_TXN_OPS) {
            Ok(()) => sweep.removed(&batch),
            Err(left) => sweep.refused(&batch, batch.objects.len() == 1 && left == 0),
        }
        meanwhile(tree, &batch);
        assert!(batches < 10_000, "it never ends");
    }
    batches
}

fn verdicts(model: &Model, sweep: &Sweep) -> Vec<(String, SweepVerdict)> {
    sweep.verdicts().map(|(id, verdict)| (name(model, id), verdict)).collect()
}

fn verdict(model: &Model, sweep: &Sweep, of: &str) -> SweepVerdict {
    verdicts(model, sweep).into_iter().find(|(name, _)| name == of).unwrap().1
}

/// An expired lease with its content, an orphaned chain of snapshots, an image that is over, and what stays.
fn store() -> Tree {
    let mut tree = Tree::default();
    let over = hours(-1).to_string();
    tree.lease("ns1", "over", &["content/leased"], &[("expire", &over)])
        .content("ns1", "leased", &[("ref.content", "below")])
        .content("ns1", "below", &[])
        .content("ns1", "kept", &[("root", "1")])
        .snapshot("ns1", "overlay/1", "", &[("root", "1")])
        .snapshot("ns1", "overlay/2", "1", &[])
        .snapshot("ns1", "overlay/3", "2", &[])
        .image("ns1", "i", "leased", &[("expire", &over)])
        .image("ns1", "kept", "kept", &[]);
    for (parent, child) in [("1", "2"), ("2", "3")] {
        tree.put(&format!("{PREFIX}v1/ns1/snapshots/overlay/{parent}/children/{child}"), "1");
    }
    tree.put("/containerd", "neighbour").put("/containerd0", "neighbour");
    tree
}

#[test]
fn expired_roots_go_first_then_kind_by_kind_and_referrers_before_what_they_refer_to() {
    let mut tree = store();
    let model = tree.model(&containerd());
    let mut sweep = sweep(&model, &SweepOptions::default());
    let order: Vec<String> = verdicts(&model, &sweep).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        order,
        [
            "lease ns1/over",
            "image ns1/i",
            "snapshot ns1/overlay/3",
            "snapshot ns1/overlay/2",
            "content ns1/leased",
            "content ns1/below"
        ]
    );
    run(&mut tree, &mut sweep, usize::MAX, |_, _| {});
    assert!(verdicts(&model, &sweep).iter().all(|(_, verdict)| *verdict == SweepVerdict::Removed));
    // The kept parent's link to its child is gone with the child.
    assert!(!tree.has("/containerd/v1/ns1/snapshots/overlay/1/children/2"));
    assert!(tree.has("/containerd/v1/ns1/snapshots/overlay/1/parent") && tree.has("/containerd0"));
    let after = tree.model(&containerd());
    assert_eq!(garbage(&after), [] as [&str; 0]);
    assert_eq!(after.objects().count(), 3);
    let tallies = sweep.tallies();
    assert_eq!((tallies[0].removed, tallies[1].removed, tallies[3].removed), (1, 2, 2));
    assert_eq!(tallies.iter().map(|tally| tally.keys).sum::<u64>(), model.totals().keys - after.totals().keys - 1);
}

/// TestGCRemove: the objects to remove are removed, and everything else is kept.
#[test]
fn exactly_what_was_selected_goes() {
    let mut tree = Tree::default();
    let over = hours(-1).to_string();
    for (ns, digest) in [("ns1", "d1"), ("ns1", "d2"), ("ns1", "d3"), ("ns2", "d1"), ("ns2", "d2")] {
        tree.content(ns, digest, &[]);
    }
    for key in ["sn1", "sn2", "sn3", "sn4"] {
        tree.snapshot("ns1", &format!("overlay/{key}"), "", &[]);
    }
    tree.snapshot("ns2", "overlay/sn1", "", &[])
        .image("ns1", "image1", "", &[("expire", &over)])
        .image("ns1", "image2", "", &[("expire", &over)])
        .lease("ns1", "l1", &[], &[("expire", &over)])
        .lease("ns2", "l2", &[], &[("expire", &over)])
        .ingest("ns1", "ingest-1", None, "")
        .ingest("ns2", "ingest-2", None, "")
        .container("ns1", "container", None, &[]);
    let model = tree.model(&containerd());
    assert_eq!(all(&model).len(), 16);
    let chosen = [
        "content ns1/d1",
        "content ns1/d3",
        "content ns2/d2",
        "snapshot ns1/overlay/sn2",
        "snapshot ns1/overlay/sn4",
        "image ns1/image1",
        "lease ns1/l1",
        "ingest ns1/ingest-1",
    ];
    let ids: Vec<ObjectId> = chosen.iter().map(|name| find(&model, name)).collect();
    let mut sweep = Sweep::new(&model, &marked(&model), &ids, SweepOptions::default());
    run(&mut tree, &mut sweep, usize::MAX, |_, _| {});
    assert_eq!(
        garbage(&tree.model(&containerd())),
        [
            "content ns1/d2",
            "content ns2/d1",
            "image ns1/image2",
            "ingest ns2/ingest-2",
            "lease ns2/l2",
            "snapshot ns1/overlay/sn1",
            "snapshot ns1/overlay/sn3",
            "snapshot ns2/overlay/sn1"
        ]
    );
}

#[test]
fn what_stays_is_never_removed_by_being_asked_for() {
    let tree = store();
    let model = tree.model(&containerd());
    let ids: Vec<ObjectId> = model.all_ids().collect();
    let sweep = Sweep::new(&model, &marked(&model), &ids, SweepOptions::default());
    assert_eq!(sweep.len(), 6);
}

/// The ten rows of what a guard sees, and then some: each changes one object between scan and sweep.
#[test]
fn what_changed_is_left_and_the_rest_goes() {
    type Change = fn(&mut Tree);
    const BLOB: &str = "/containerd/v1/ns1/content/blob";
    let changes: [(&str, Change, SweepVerdict, SweepVerdict); 6] = [
        (
            "modified",
            |tree| _ = tree.put(&format!("{BLOB}/leased/size"), "2"),
            SweepVerdict::Changed,
            SweepVerdict::HeldBack,
        ),
        (
            "added",
            |tree| _ = tree.put(&format!("{BLOB}/leased/updatedat"), ""),
            SweepVerdict::Changed,
            SweepVerdict::HeldBack,
        ),
        (
            "recreated",
            |tree| {
                for field in ["createdat", "size", "labels/containerd.io/gc.ref.content"] {
                    tree.delete(&format!("{BLOB}/leased/{field}"));
                }
                tree.content("ns1", "leased", &[]);
            },
            SweepVerdict::Changed,
            SweepVerdict::HeldBack,
        ),
        (
            "gone",
            |tree| {
                for field in ["createdat", "size", "labels/containerd.io/gc.ref.content"] {
                    tree.delete(&format!("{BLOB}/leased/{field}"));
                }
            },
            SweepVerdict::Removed,
            SweepVerdict::Removed,
        ),
        (
            "a field less",
            |tree| _ = tree.delete(&format!("{BLOB}/leased/size")),
            SweepVerdict::Removed,
            SweepVerdict::Removed,
        ),
        ("a neighbour", |tree| _ = tree.content("ns1", "leased2", &[]), SweepVerdict::Removed, SweepVerdict::Removed),
    ];
    for (what, change, leased, below) in changes {
        let mut tree = store();
        let model = tree.model(&containerd());
        change(&mut tree);
        let mut sweep = sweep(&model, &SweepOptions::default());
        run(&mut tree, &mut sweep, usize::MAX, |_, _| {});
        assert_eq!(verdict(&model, &sweep, "content ns1/leased"), leased, "{what}");
        assert_eq!(verdict(&model, &sweep, "content ns1/below"), below, "{what}");
        assert_eq!(verdict(&model, &sweep, "lease ns1/over"), SweepVerdict::Removed, "{what}");
        assert_eq!(tree.has_below(&format!("{BLOB}/below/")), below != SweepVerdict::Removed, "{what}");
    }
}

#[test]
fn a_lease_that_was_renewed_keeps_what_it_holds() {
    let expire = "/containerd/v1/ns1/leases/over/labels/containerd.io/gc.expire";
    type Change = fn(&mut Tree, &str);
    let changes: [(&str, Change); 2] = [
        ("renewed", |tree, key| _ = tree.put(key, hours(1).to_string())),
        // Nothing newer is there to be seen: the exact compare of the label sees it.
        ("withdrawn", |tree, key| _ = tree.delete(key)),
    ];
    for (what, change) in changes {
        for guard in [SweepGuard::Object, SweepGuard::Scope] {
            let mut tree = store();
            let model = tree.model(&containerd());
            change(&mut tree, expire);
            let mut sweep = sweep(&model, &SweepOptions { guard, ..SweepOptions::default() });
            run(&mut tree, &mut sweep, usize::MAX, |_, _| {});
            assert_eq!(verdict(&model, &sweep, "lease ns1/over"), SweepVerdict::Changed, "{what}");
            for held in ["content ns1/leased", "content ns1/below"] {
                assert_eq!(verdict(&model, &sweep, held), SweepVerdict::HeldBack, "{what}: {held}");
            }
            let rest = verdict(&model, &sweep, "snapshot ns1/overlay/3");
            let seen = guard == SweepGuard::Scope && what == "renewed";
            assert_eq!(rest, if seen { SweepVerdict::Changed } else { SweepVerdict::Removed }, "{what}");
        }
    }
}

/// An earlier scan did not find it with the same facts: it may be in use again.
#[test]
fn what_an_expired_root_refers_to_that_is_not_to_go_is_held_back() {
    let mut tree = store();
    let model = tree.model(&containerd());
    let selected = [find(&model, "content ns1/leased"), find(&model, "content ns1/below")];
    let mut sweep = Sweep::new(&model, &marked(&model), &selected, SweepOptions::default());
    assert!(sweep.next_batch(usize::MAX).is_none());
    run(&mut tree, &mut sweep, usize::MAX, |_, _| {});
    assert!(verdicts(&model, &sweep).iter().all(|(_, verdict)| *verdict == SweepVerdict::HeldBack));
}

#[test]
fn a_flat_label_that_was_withdrawn_keeps_what_it_let_go() {
    let mut tree = Tree::default();
    tree.lease("ns1", "flat", &["snapshots/overlay/top"], &[("flat", "1")])
        .snapshot("ns1", "overlay/top", "", &[("ref.content", "d1")])
        .content("ns1", "d1", &[("ref.content", "d2")])
        .content("ns1", "d2", &[])
        .content("ns1", "d3", &[]);
    let model = tree.model(&containerd());
    assert_eq!(garbage(&model), ["content ns1/d1", "content ns1/d2", "content ns1/d3"]);
    tree.delete("/containerd/v1/ns1/leases/flat/labels/containerd.io/gc.flat");
    let mut sweep = sweep(&model, &SweepOptions::default());
    run(&mut tree, &mut sweep, usize::MAX, |_, _| {});
    assert_eq!(verdict(&model, &sweep, "content ns1/d1"), SweepVerdict::Changed);
    assert_eq!(verdict(&model, &sweep, "content ns1/d2"), SweepVerdict::HeldBack);
    assert_eq!(verdict(&model, &sweep, "content ns1/d3"), SweepVerdict::Removed);
}

#[test]
fn a_new_referrer_is_seen_by_the_scope_guard_only() {
    for (guard, expected) in [(SweepGuard::Object, SweepVerdict::Removed), (SweepGuard::Scope, SweepVerdict::Changed)] {
        let mut tree = store();
        tree.content("ns2", "orphan", &[]);
        let model = tree.model(&containerd());
        tree.image("ns1", "new", "below", &[]);
        let mut sweep = sweep(&model, &SweepOptions { guard, ..SweepOptions::default() });
        run(&mut tree, &mut sweep, usize::MAX, |_, _| {});
        assert_eq!(verdict(&model, &sweep, "snapshot ns1/overlay/3"), expected);
        // Another namespace has nothing to do with it.
        assert_eq!(verdict(&model, &sweep, "content ns2/orphan"), SweepVerdict::Removed);
    }
}

#[test]
fn the_scope_guard_passes_over_its_own_deletions() {
    let mut tree = store();
    let model = tree.model(&containerd());
    let options = SweepOptions { guard: SweepGuard::Scope, ..SweepOptions::default() };
    let mut sweep = sweep(&model, &options);
    let batches = run(&mut tree, &mut sweep, 1, |_, batch| {
        let whole = KeyRange::prefix(b"/containerd/v1/ns1/");
        assert_eq!(batch.txn.compares[0], Compare::none_newer(&whole, model.revision()));
    });
    assert_eq!(batches, 6);
    assert!(verdicts(&model, &sweep).iter().all(|(_, verdict)| *verdict == SweepVerdict::Removed));
}

#[test]
fn etcds_limits_bound_a_batch() {
    let mut tree = Tree::default();
    for number in 0..129 {
        tree.content("ns1", &format!("d{number:03}"), &[]);
    }
    let model = tree.model(&containerd());
    let sizes = |options: &SweepOptions, most: usize| {
        let mut sweep = sweep(&model, options);
        let mut sizes = Vec::new();
        while let Some(batch) = sweep.next_batch(most) {
            assert!(batch.txn.compares.len() <= options.max_ops - usize::from(options.locked));
            sizes.push(batch.objects.len());
            sweep.removed(&batch);
        }
        sizes
    };
    assert_eq!(sizes(&SweepOptions::default(), usize::MAX), [128, 1]);
    assert_eq!(sizes(&SweepOptions { locked: true, ..SweepOptions::default() }, usize::MAX), [127, 2]);
    assert_eq!(sizes(&SweepOptions { max_ops: 10, locked: true, ..SweepOptions::default() }, 20).len(), 15);
    assert_eq!(sizes(&SweepOptions { max_ops: 1000, ..SweepOptions::default() }, usize::MAX), [129]);
    assert_eq!(sizes(&SweepOptions::default(), 50), [50, 50, 29]);
    // Two keys each.
    assert_eq!(sizes(&SweepOptions { max_keys: 100, ..SweepOptions::default() }, usize::MAX), [50, 50, 29]);
    let one_at_a_time = sizes(&SweepOptions { max_keys: 1, ..SweepOptions::default() }, usize::MAX);
    assert_eq!(one_at_a_time.len(), 129);
}

#[test]
fn a_refused_batch_is_halved_down_to_what_changed() {
    let mut tree = Tree::default();
    for number in 0..128 {
        tree.content("ns1", &format!("d{number:03}"), &[]);
    }
    let model = tree.model(&containerd());
    tree.put("/containerd/v1/ns1/content/blob/d077/size", "9");
    let mut sweep = sweep(&model, &SweepOptions::default());
    let batches = run(&mut tree, &mut sweep, usize::MAX, |_, _| {});
    assert_eq!(batches, 15, "seven halvings, each with a refused and a done half");
    let left: Vec<_> =
        verdicts(&model, &sweep).into_iter().filter(|(_, verdict)| *verdict != SweepVerdict::Removed).collect();
    assert_eq!(left, [("content ns1/d077".to_owned(), SweepVerdict::Changed)]);
    assert_eq!((sweep.tallies()[3].removed, sweep.tallies()[3].skipped()), (127, 1));
}

#[test]
fn what_vanished_is_gone_and_what_failed_holds_back() {
    let mut tree = store();
    let model = tree.model(&containerd());
    for field in ["createdat", "content/leased", "labels/containerd.io/gc.expire"] {
        tree.delete(&format!("/containerd/v1/ns1/leases/over/{field}"));
    }
    let mut gone = sweep(&model, &SweepOptions::default());
    run(&mut tree, &mut gone, usize::MAX, |_, _| {});
    assert_eq!(verdict(&model, &gone, "lease ns1/over"), SweepVerdict::Gone);
    assert_eq!(verdict(&model, &gone, "content ns1/leased"), SweepVerdict::Removed);

    let mut failing = sweep(&model, &SweepOptions::default());
    let first = failing.next_batch(usize::MAX).unwrap();
    assert_eq!(first.objects, [find(&model, "lease ns1/over")]);
    failing.failed(&first);
    let rest: Vec<ObjectId> = std::iter::from_fn(|| {
        let batch = failing.next_batch(usize::MAX)?;
        failing.removed(&batch);
        Some(batch.objects)
    })
    .flatten()
    .collect();
    assert_eq!(rest.len(), 3, "the image and the snapshots");
    assert_eq!(failing.tallies()[3].held_back, 2);
}

#[test]
fn names_that_lie_inside_each_other_are_cut_out() {
    let over = hours(-1).to_string();
    let mut tree = Tree::default();
    tree.image("ns1", "a", "d", &[("expire", &over)])
        .image("ns1", "a/b", "d", &[])
        .image("ns1", "a/b/c", "d", &[("expire", &over)])
        .image("ns1", "ab", "d", &[])
        .image("ns1", "a-b", "d", &[]);
    let model = tree.model(&containerd());
    assert_eq!(garbage(&model), ["image ns1/a", "image ns1/a/b/c"]);
    let mut sweep = sweep(&model, &SweepOptions::default());
    run(&mut tree, &mut sweep, usize::MAX, |_, _| {});
    let after = tree.model(&containerd());
    assert_eq!(after.totals().unparsed, 0);
    let left: Vec<String> =
        after.objects().filter(|id| after.kind(*id).name == "image").map(|id| name(&after, id)).collect();
    assert_eq!(left, ["image ns1/a-b", "image ns1/a/b", "image ns1/ab"]);
    assert!(left.iter().all(|image| after.keys(find(&after, image)) == 2));
}

#[test]
fn too_much_to_compare_is_left() {
    let over = hours(-1).to_string();
    let mut tree = Tree::default();
    tree.image("ns1", "a", "d", &[("expire", &over)]);
    for number in 0..200 {
        tree.image("ns1", &format!("a/{number}"), "d", &[]);
    }
    let model = tree.model(&containerd());
    let mut sweep = sweep(&model, &SweepOptions::default());
    assert!(sweep.next_batch(usize::MAX).is_none());
    assert_eq!(verdict(&model, &sweep, "image ns1/a"), SweepVerdict::Entangled);
}

#[test]
fn an_expired_root_guards_what_it_reaches_through_other_kinds_also_if_it_is_removed_later() {
    let over = hours(-1).to_string();
    let mut tree = Tree::default();
    tree.image("ns1", "a", "gone", &[("expire", &over)])
        .image("ns1", "b", "middle", &[("expire", &over)])
        .content("ns1", "middle", &[("ref.image", "a")])
        .content("ns1", "other", &[("root", "1")]);
    let model = tree.model(&containerd());
    let mut sweep = sweep(&model, &SweepOptions::default());
    let order: Vec<String> = verdicts(&model, &sweep).into_iter().map(|(name, _)| name).collect();
    assert_eq!(order, ["image ns1/a", "image ns1/b", "content ns1/middle"]);
    // b is a root again before a is removed, and keeps it.
    tree.put(&format!("{PREFIX}v1/ns1/images/b/labels/containerd.io/gc.expire"), hours(1).to_string());
    run(&mut tree, &mut sweep, 1, |_, _| {});
    for kept in ["images/a/", "images/b/", "content/blob/middle/"] {
        assert!(tree.has_below(&format!("{PREFIX}v1/ns1/{kept}")), "{kept}: {:?}", verdicts(&model, &sweep));
    }
}

/// An owner reference that another client deletes after the scan makes the object a root, and it keeps what it refers to.
#[test]
fn a_withdrawn_owner_reference_refuses_the_removal() {
    let text = r#"
schema: 1
name: owners
kinds:
  - {kind: part, key: "parts/{id}", fields: [size], collect: true, root: never}
  - kind: task
    key: "tasks/{id}"
    fields: [owner, part]
    collect: true
    root: [{unless: owner}]
    edges:
      - {field: owner, from: task}
      - {field: part, to: part}
"#;
    let schema = Arc::new(Schema::parse(text, "owners").unwrap());
    let build = || {
        let mut tree = Tree::default();
        for (key, value) in [("tasks/t/owner", "gone"), ("tasks/t/part", "p"), ("tasks/free/part", "q")] {
            tree.put(&format!("{PREFIX}{key}"), value);
        }
        for part in ["p", "q"] {
            tree.put(&format!("{PREFIX}parts/{part}/size"), "1");
        }
        tree
    };
    let mut tree = build();
    let model = tree.model(&schema);
    let names: Vec<String> = all(&model).iter().map(|id| name(&model, *id)).collect();
    assert_eq!(names, ["part /p", "task /t"]);
    let mut peaceful = sweep(&model, &SweepOptions::default());
    run(&mut tree, &mut peaceful, 1, |_, _| {});
    assert!(peaceful.verdicts().all(|(_, verdict)| verdict == SweepVerdict::Removed));
    let mut tree = build();
    let model = tree.model(&schema);
    let mut refused = sweep(&model, &SweepOptions::default());
    tree.kvs.remove(format!("{PREFIX}tasks/t/owner").as_bytes());
    run(&mut tree, &mut refused, 1, |_, _| {});
    assert!(refused.verdicts().all(|(_, verdict)| verdict != SweepVerdict::Removed));
}
