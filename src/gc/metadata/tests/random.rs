//! Random trees against rules written down a second time, plainly and slowly.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tree::*;
use crate::gc::metadata::sweep::{Sweep, SweepGuard, SweepOptions};
use crate::transport::DEFAULT_TXN_OPS;

/// An object as the test knows it: kind, namespace, name, fields, labels.
#[derive(Clone, Debug)]
struct Thing {
    kind: &'static str,
    ns: &'static str,
    name: String,
    fields: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct World(Vec<Thing>);

impl Thing {
    fn title(&self) -> String {
        format!("{} {}/{}", self.kind, self.ns, self.name)
    }

    fn folder(&self) -> String {
        let place = match self.kind {
            "lease" => "leases",
            "snapshot" => "snapshots",
            "ingest" => "content/ingests",
            "content" => "content/blob",
            "image" => "images",
            _ => "containers",
        };
        format!("{PREFIX}v1/{}/{place}/{}", self.ns, self.name)
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn expired(&self) -> bool {
        // Times here are all of one form, so that they sort as texts.
        self.label("expire").is_some_and(|time| *time < *NOW.to_string())
    }

    fn is_root(&self) -> bool {
        match self.kind {
            "lease" | "image" => !self.expired(),
            "content" | "snapshot" => self.labels.contains_key("root"),
            "container" => true,
            _ => false,
        }
    }

    fn write(&self, tree: &mut Tree) {
        for (field, value) in &self.fields {
            tree.put(&format!("{}/{field}", self.folder()), value);
        }
        for (label, value) in &self.labels {
            tree.put(&format!("{}/labels/containerd.io/gc.{label}", self.folder()), value);
        }
    }
}

impl World {
    fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        self.0.iter().for_each(|thing| thing.write(&mut tree));
        tree
    }

    /// Every title that this one keeps, and whether flat.
    fn kept_by(&self, title: &str, flat: bool) -> Vec<(String, bool)> {
        let ns = title.split_once(' ').unwrap().1.split_once('/').unwrap().0;
        let mut kept = Vec::new();
        for thing in self.0.iter().filter(|thing| thing.ns == ns) {
            let there = |kind: &str, name: &str| format!("{kind} {ns}/{name}");
            if thing.title() == title {
                if let Some(parent) = thing.fields.get("parent").filter(|parent| !parent.is_empty()) {
                    kept.push((there("snapshot", &format!("overlay/{parent}")), flat));
                }
                if let Some(digest) = thing.fields.get("target/digest") {
                    kept.push((there("content", digest), flat));
                }
                if flat {
                    continue;
                }
                if let Some(key) = thing.fields.get("snapshotKey") {
                    kept.push((there("snapshot", &format!("overlay/{key}")), false));
                }
                if let Some(digest) = thing.fields.get("expected").filter(|digest| !digest.is_empty()) {
                    kept.push((there("content", digest), false));
                }
                let flat_members = thing.label("flat").is_some();
                for field in thing.fields.keys().filter(|_| thing.kind == "lease") {
                    if let Some((place, name)) = field.split_once('/') {
                        let kind = place.trim_end_matches('s');
                        kept.push((there(kind, name), flat_members && kind != "ingest"));
                    }
                }
                if thing.kind != "lease" {
                    for (label, value) in thing.labels.iter().filter(|(_, value)| !value.is_empty()) {
                        match label.split('.').collect::<Vec<_>>().as_slice() {
                            ["ref", "snapshot", "overlay"] => {
                                kept.push((there("snapshot", &format!("overlay/{value}")), false));
                            }
                            ["ref", kind] | ["ref", kind, _] => kept.push((there(kind, value), false)),
                            _ => {}
                        }
                    }
                }
            }
            if !flat && thing.kind != "lease" && thing.kind != "ingest" {
                let mut parents = thing.labels.iter().filter_map(|(label, value)| {
                    label.strip_prefix("bref.").filter(|_| !value.is_empty()).map(|kind| there(kind, value))
                });
                if parents.any(|parent| parent == title) {
                    kept.push((thing.title(), false));
                }
            }
        }
        kept
    }

    fn reachable(&self) -> BTreeSet<String> {
        let mut seen: BTreeSet<(String, bool)> = BTreeSet::new();
        let mut open: Vec<(String, bool)> =
            self.0.iter().filter(|thing| thing.is_root()).map(|thing| (thing.title(), false)).collect();
        while let Some((title, flat)) = open.pop() {
            if seen.insert((title.clone(), flat)) {
                open.extend(self.kept_by(&title, flat));
            }
        }
        seen.into_iter().map(|(title, _)| title).collect()
    }

    fn garbage(&self) -> Vec<String> {
        let reachable = self.reachable();
        let mut names: Vec<String> = self.0.iter().map(Thing::title).filter(|name| !reachable.contains(name)).collect();
        names.sort();
        names
    }
}

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(from).prop_map(str::to_owned)
}

const DIGESTS: &[&str] = &["d0", "d1", "d2", "d3", "d4", "d5"];
const SNAPSHOTS: &[&str] = &["s0", "s1", "s2", "s/3", "s4"];
const IMAGES: &[&str] = &["a", "a/b", "a/b/c", "ab"];
const TIMES: &[&str] =
    &["2026-07-01T00:00:00Z", "2026-08-01T11:59:59Z", "2026-08-01T12:00:00Z", "2026-09-01T00:00:00Z", ""];

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let label = prop_oneof![
        4 => pick(DIGESTS).prop_map(|to| ("ref.content".to_owned(), to)),
        4 => pick(DIGESTS).prop_map(|to| ("ref.content.1".to_owned(), to)),
        2 => pick(SNAPSHOTS).prop_map(|to| ("ref.snapshot.overlay".to_owned(), to)),
        2 => pick(IMAGES).prop_map(|to| ("ref.image".to_owned(), to)),
        1 => pick(DIGESTS).prop_map(|to| ("bref.content".to_owned(), to)),
        1 => pick(IMAGES).prop_map(|to| ("bref.image".to_owned(), to)),
        1 => prop_oneof![Just("1"), Just("")].prop_map(|value| ("root".to_owned(), value.to_owned())),
    ];
    prop::collection::vec(label, 0..3).prop_map(|labels| labels.into_iter().collect())
}

fn thing() -> impl Strategy<Value = Thing> {
    let ns = prop_oneof![3 => Just("ns1"), 1 => Just("ns2")];
    let expire = prop::option::of(pick(TIMES));
    let member = prop_oneof![
        pick(DIGESTS).prop_map(|to| format!("content/{to}")),
        pick(SNAPSHOTS).prop_map(|to| format!("snapshots/overlay/{to}")),
        pick(IMAGES).prop_map(|to| format!("images/{to}")),
        Just("ingests/in".to_owned()),
    ];
    let members = prop::collection::vec(member, 0..4);
    let shape = prop_oneof![
        3 => (members, prop::bool::weighted(0.4), 0..3_u8).prop_map(|(members, flat, number)| {
            let fields = members.into_iter().map(|member| (member, "1".to_owned())).collect();
            let labels = if flat { BTreeMap::from([("flat".to_owned(), "1".to_owned())]) } else { BTreeMap::new() };
            ("lease", format!("l{number}"), fields, labels)
        }),
        4 => (pick(SNAPSHOTS), prop::option::of(pick(SNAPSHOTS)), labels()).prop_map(|(name, parent, labels)| {
            let fields = BTreeMap::from([("parent".to_owned(), parent.unwrap_or_default())]);
            ("snapshot", format!("overlay/{name}"), fields, labels)
        }),
        5 => (pick(DIGESTS), labels()).prop_map(|(name, labels)| ("content", name, BTreeMap::new(), labels)),
        3 => (pick(IMAGES), pick(DIGESTS), labels()).prop_map(|(name, digest, labels)| {
            ("image", name, BTreeMap::from([("target/digest".to_owned(), digest)]), labels)
        }),
        1 => (0..2_u8, pick(SNAPSHOTS), labels()).prop_map(|(number, key, labels)| {
            let fields = [("snapshotter", "overlay".to_owned()), ("snapshotKey", key)];
            let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            ("container", format!("c{number}"), fields, labels)
        }),
        1 => pick(DIGESTS).prop_map(|expected| {
            let fields = [("ref", "in".to_owned()), ("expected", expected)];
            let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            ("ingest", "in".to_owned(), fields, BTreeMap::new())
        }),
    ];
    (ns, shape, expire).prop_map(|(ns, (kind, name, mut fields, mut labels), expire)| {
        if kind == "ingest" {
            return Thing { kind, ns, name, fields, labels };
        }
        fields.insert("createdat".to_owned(), "t".to_owned());
        if let Some(expire) = expire.filter(|_| kind == "lease" || kind == "image") {
            labels.insert("expire".to_owned(), expire);
        }
        Thing { kind, ns, name, fields, labels }
    })
}

fn world() -> impl Strategy<Value = World> {
    prop::collection::vec(thing(), 0..40).prop_map(|things| {
        let mut known = BTreeMap::new();
        for thing in things {
            known.insert(thing.title(), thing);
        }
        World(known.into_values().collect())
    })
}

/// A change that can only keep more, made between scan and sweep: none of them adds a reference or a root by a label.
#[derive(Clone, Debug)]
enum Change {
    Renew,
    Withdraw,
    Unflat,
    Touch,
    Remove,
    Recreate,
}

impl Change {
    fn fits(&self, thing: &Thing) -> bool {
        match self {
            Self::Renew | Self::Withdraw => thing.labels.contains_key("expire"),
            Self::Unflat => thing.labels.contains_key("flat"),
            Self::Touch | Self::Remove | Self::Recreate => true,
        }
    }
}

fn apply(world: &mut World, tree: &mut Tree, at: usize, change: &Change) {
    let thing = &mut world.0[at];
    let label = |name: &str| format!("{}/labels/containerd.io/gc.{name}", thing.folder());
    match change {
        Change::Renew => {
            tree.put(&label("expire"), "2027-01-01T00:00:00Z");
            thing.labels.insert("expire".to_owned(), "2027-01-01T00:00:00Z".to_owned());
        }
        Change::Withdraw | Change::Unflat => {
            let name = if matches!(change, Change::Withdraw) { "expire" } else { "flat" };
            tree.delete(&label(name));
            thing.labels.remove(name);
        }
        Change::Touch => {
            if let Some((field, value)) = thing.fields.iter().next() {
                tree.put(&format!("{}/{field}", thing.folder()), value);
            }
        }
        Change::Remove | Change::Recreate => {
            for field in thing.fields.keys() {
                tree.delete(&format!("{}/{field}", thing.folder()));
            }
            for name in thing.labels.keys() {
                tree.delete(&label(name));
            }
            if matches!(change, Change::Recreate) {
                thing.write(tree);
            } else {
                world.0.remove(at);
            }
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, Change)>> {
    let change = prop_oneof![
        2 => Just(Change::Renew),
        2 => Just(Change::Withdraw),
        2 => Just(Change::Unflat),
        1 => Just(Change::Touch),
        1 => Just(Change::Remove),
        1 => Just(Change::Recreate),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), change), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn marking_agrees_with_the_plain_rules(world in world()) {
        let model = world.tree().model(&schema("containerd"));
        prop_assert_eq!(model.totals().unparsed + model.totals().ambiguous, 0);
        prop_assert_eq!(garbage(&model), world.garbage());
        let marking = marked(&model);
        let reachable = world.reachable();
        for id in model.all_ids() {
            let path = marking.path(&model, id);
            prop_assert_eq!(!path.is_empty(), reachable.contains(&name(&model, id)));
            for pair in path.windows(2) {
                let kept = world.kept_by(&name(&model, pair[0].object), pair[0].flat);
                prop_assert!(kept.contains(&(name(&model, pair[1].object), pair[1].flat)));
            }
        }
    }

    #[test]
    fn a_sweep_in_peace_leaves_exactly_what_is_kept(world in world(), most in 1..9_usize, scope: bool) {
        let mut tree = world.tree();
        let model = tree.model(&schema("containerd"));
        let guard = if scope { SweepGuard::Scope } else { SweepGuard::Object };
        let all = marked(&model).garbage(&model);
        let mut sweep = Sweep::new(&model, &marked(&model), &all, SweepOptions { guard, ..SweepOptions::default() });
        while let Some(batch) = sweep.next_batch(most) {
            prop_assert!(tree.txn(&batch.txn, DEFAULT_TXN_OPS).is_ok());
            sweep.removed(&batch);
        }
        let reachable = world.reachable();
        let mut left = Tree::default();
        world.0.iter().filter(|thing| reachable.contains(&thing.title())).for_each(|thing| thing.write(&mut left));
        prop_assert!(tree.kvs.keys().eq(left.kvs.keys()));
    }

    #[test]
    fn nothing_that_is_kept_after_a_change_is_removed(
        before in world(),
        changes in changes(),
        most in 1..9_usize,
        when in 0..4_usize,
        chosen in any::<u64>(),
    ) {
        let mut world = before.clone();
        let mut tree = world.tree();
        let model = tree.model(&schema("containerd"));
        // Not all of it, perhaps: an earlier scan did not agree on the rest.
        let all = marked(&model).garbage(&model);
        let selected: Vec<_> =
            all.iter().enumerate().filter(|(at, _)| chosen >> (at % 64) & 1 == 1).map(|(_, id)| *id).collect();
        let mut sweep = Sweep::new(&model, &marked(&model), &selected, SweepOptions::default());
        let mut removed: BTreeSet<String> = BTreeSet::new();
        let mut batches = 0;
        let mut all_kept = BTreeSet::new();
        loop {
            if batches == when {
                // What is gone already cannot be changed.
                world.0.retain(|thing| !removed.contains(&thing.title()));
                for (at, change) in &changes {
                    let fit: Vec<usize> = (0..world.0.len()).filter(|at| change.fits(&world.0[*at])).collect();
                    if !fit.is_empty() {
                        apply(&mut world, &mut tree, fit[at.index(fit.len())], change);
                    }
                }
                all_kept = world.reachable();
            }
            let Some(batch) = sweep.next_batch(most) else { break };
            batches += 1;
            match tree.txn(&batch.txn, DEFAULT_TXN_OPS) {
                Ok(()) => {
                    sweep.removed(&batch);
                    let names = batch.objects.iter().map(|id| name(&model, *id));
                    for name in names {
                        prop_assert!(batches <= when || !all_kept.contains(&name), "{name} went");
                        removed.insert(name);
                    }
                }
                Err(left) => sweep.refused(&batch, batch.objects.len() == 1 && left == 0),
            }
        }
    }
}
