//! Trees with any values and names, read by a schema that uses everything that reads them.

use proptest::prelude::*;

use super::tree::*;

const SCHEMA: &str = r#"
schema: 1
name: anything
encoding: percent
scope: [ns]
opaque: ["{ns}/opaque/**"]
kinds:
  - kind: owner
    key: "{ns}/owners/{name}"
    fields: [., "keeps/{blob}"]
    collect: true
    root: [{field: ., empty: true}]
    edges:
      - {field: "keeps/{blob}", to: blob, id: "{blob}"}
  - kind: task
    key: "{ns}/tasks/{id[0:1]}/{id}"
    fields: [json, text]
    collect: true
    root: [{unless: json}]
    edges:
      - {field: json, value: {json: /owners/*, when: {/kind: owner}, take: {name: /name}}, from: owner, id: "{name}"}
      - {field: json, value: {json: /blobs/*}, to: blob}
      - {field: text, value: "{first}:{rest+}", to: blob, id: "{rest[1:]}{first[0:1]}"}
  - kind: blob
    key: "{ns}/blobs/{id}"
    fields: [.]
    collect: true
    root: never
"#;

fn part() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "a%2Fb", "%", "%2", "%00", "", "é"]).prop_map(str::to_owned)
}

fn key() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec!["owners", "tasks", "blobs", "opaque", "x"]);
    let rest = proptest::collection::vec(
        prop_oneof![part(), prop::sample::select(vec!["json", "text", "keeps"]).prop_map(str::to_owned)],
        1..4,
    );
    (prop::sample::select(vec!["n", "m"]), kind, rest)
        .prop_map(|(ns, kind, rest)| format!("{PREFIX}{ns}/{kind}/{}", rest.join("/")))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec!["\"a\"", "\"b\"", "\"a/b\"", "\"\"", "null", "7", "[]", "{}", "true"]);
    let kind = prop::sample::select(vec!["\"owner\"", "\"other\"", "null", "1"]);
    let owners = proptest::collection::vec((kind, name.clone()), 0..3).prop_map(|owners| {
        let owners: Vec<String> =
            owners.into_iter().map(|(kind, name)| format!("{{\"kind\":{kind},\"name\":{name}}}")).collect();
        owners.join(",")
    });
    let blobs = proptest::collection::vec(name, 0..3).prop_map(|blobs| blobs.join(","));
    let json = (owners, blobs).prop_map(|(owners, blobs)| format!("{{\"owners\":[{owners}],\"blobs\":[{blobs}]}}"));
    prop_oneof![
        4 => json.prop_map(String::into_bytes),
        2 => "[ab:/]{0,5}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ]
}

proptest! {
    /// The tree can always be read, and garbage is what no edge from a reachable object leads to.
    #[test]
    fn any_values_can_be_read(keys in proptest::collection::btree_map(key(), value(), 0..12)) {
        let schema = custom(SCHEMA);
        let mut tree = Tree::default();
        for (key, value) in &keys {
            tree.put(key, value);
        }
        let model = tree.model(&schema);
        let marking = marked(&model);
        prop_assert_eq!(model.totals().keys, keys.len() as u64);
        for edge in model.all_edges() {
            prop_assert!(!marking.is_reached(edge.from) || marking.is_reached(edge.to));
        }
        for id in model.objects() {
            let reached = model.all_edges().iter().any(|edge| edge.to == id && marking.is_reached(edge.from));
            prop_assert_eq!(marking.is_reached(id), marking.is_root(id) || reached);
            // A task is a root if and only if it has no owner that it could have, or keys that may not be its own.
            if model.kind(id).name == "task" && !model.has_foreign_keys(id) {
                let possible = |edge: &&crate::gc::metadata::model::Edge| model.rule(**edge).back && edge.to == id;
                let owned = model.all_edges().iter().filter(possible).any(|edge| !model.is_impossible(edge.from));
                prop_assert_eq!(marking.is_root(id), !owned);
            }
        }
    }
}
