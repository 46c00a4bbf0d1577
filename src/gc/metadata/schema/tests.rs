#![allow(clippy::unwrap_used)]
use super::*;

/// A small schema that is sound; tests change a piece of it.
const SHOP: &str = r#"
schema: 1
name: shop
scope: [tenant]
groups:
  refs:
    - {field: labels/ref, suffix: "/", to: parcel, id: "{value}"}
kinds:
  - kind: parcel
    key: "{tenant}/parcels/{name+}"
    anchor: at
    fields: [at, parent, "labels/{label+}"]
    collect: true
    root: [{field: labels/root}]
    edges:
      - {field: parent, to: parcel}
      - group: refs
  - kind: order
    key: "{tenant}/orders/{id}"
    fields: [item, until]
    root: [{unexpired: until, format: unix, missing: root}]
    edges:
      - {field: item, to: parcel}
"#;

fn refused(from: &str, to: &str) -> String {
    assert!(SHOP.contains(from), "{from}");
    Schema::parse(&SHOP.replacen(from, to, 1), "shop.yaml").map(|_| ()).unwrap_err().to_string()
}

#[test]
fn what_is_built_in_is_sound() {
    for (name, text) in BUILT_IN {
        let schema = Schema::parse(text, name).unwrap();
        assert_eq!(schema.name, *name);
        assert!(schema.outside_roots);
        // The encoding is one line's change.
        Schema::parse(&text.replace("encoding: raw", "encoding: percent"), name).unwrap();
    }
    let kinds = |name: &str| {
        let schema = Schema::parse(Schema::built_in(name).unwrap(), name).unwrap();
        schema.kinds.into_iter().filter(|kind| kind.collect).map(|kind| kind.name).collect::<Vec<_>>()
    };
    assert_eq!(kinds("containerd"), ["lease", "snapshot", "ingest", "content", "image"]);
    assert_eq!(kinds("containerd-1.7"), ["lease", "snapshot", "ingest", "content"]);
}

#[test]
fn a_schema_is_read() {
    let schema = Schema::parse(SHOP, "shop.yaml").unwrap();
    assert_eq!(schema.kinds[0].edges, 0..2);
    assert_eq!(schema.kinds[1].edges, 2..3);
    assert_eq!(schema.kinds[0].scoped, [true, false]);
    assert_eq!(schema.edges[1].text, "labels/ref");
    let edited = Schema::parse(&SHOP.replace("name: shop", "name: shop "), "shop.yaml").unwrap();
    assert_ne!(edited.hash, schema.hash);
}

#[test]
fn what_is_unsound_is_refused_with_its_place() {
    let cases = [
        ("schema: 1", "schema: 2", "shop.yaml:2: schema: version 2 of the language is not known; 1 is"),
        ("collect: true", "colect: true", "shop.yaml:13: kinds[0]: unknown field `colect`"),
        ("name: shop", "name: shop\nname: shop", "duplicate field `name`"),
        (
            "{field: item, to: parcel}",
            "{field: item, to: box}",
            "shop.yaml:23: kind 'order': edge 1: there is no kind 'box'",
        ),
        ("- {field: item", "- {field: items", "edge 1: 'items' is none of the kind's fields"),
        ("- group: refs", "- group: refs\n      - group: ref", "kind 'parcel': edge 3: there is no group 'ref'"),
        ("      - group: refs\n", "", "group 'refs': no kind uses it"),
        ("    anchor: at\n", "", "where a name ends in '{tenant}/parcels/{name+}' cannot be told"),
        ("anchor: at", "anchor: on", "kind 'parcel': anchor: 'on' is none of the fields"),
        (
            "{tenant}/orders/{id}\"\n    fields: [",
            "{tenant}/parcels/{id}\"\n    fields: [at, ",
            "a key could be this kind's or kind 'order''s",
        ),
        (
            "{tenant}/orders/{id}",
            "{tenant}/parcels/{id}/x/y",
            "it cannot be collected: keys of kind 'order' lie inside",
        ),
        ("{tenant}/orders/{id}", "{tenant}/{tenant}/{id}", "'{tenant}' stands there twice"),
        ("{tenant}/orders/{id}", "orders/{tenant}/{id}/{x", "lacks a '}'"),
        ("{tenant}/orders/{id}", "{a+}/orders/{id+}", "two names of any length in a row"),
        ("scope: [tenant]", "scope: [tenant, tenth]", "it has some variables of the scope but not all"),
        ("scope: [tenant]", "scope: [ns]", "scope: no key has these variables"),
        ("missing: root", "missing: root, suffix: x", "'suffix' and 'empty' go with 'field'"),
        (", missing: root", "", "'unexpired' needs 'format' and 'missing'"),
        ("format: unix", "format: utc", "unknown variant `utc`"),
        ("unexpired: until", "unexpired: til", "kind 'order': root: 'til' is none of the kind's fields"),
        ("{field: parent, to: parcel}", "{field: parent, to: parcel, from: parcel}", "either 'to' or 'from'"),
        ("{field: parent, to: parcel}", "{field: parent, to: parcel, id: \"{x}\"}", "nothing is called 'x' here"),
        ("{field: parent, to: parcel}", "{field: parent, to: parcel, flat: members}", "needs the kind's 'flat' field"),
        ("collect: true", "collect: true\n    flat: at", "no edge has 'flat: members'"),
        ("scope: [tenant]", "scope: [tenant]\nopaque: [\"{t}/parcels/x/y\"]", "an opaque key could be"),
        ("kind: order", "kind: parcel", "there are two of them"),
        ("root: [{field: labels/root}]", "root: sometimes", "'always', 'never', or a list of rules"),
    ];
    for (from, to, expected) in cases {
        let message = refused(from, to);
        assert!(message.starts_with("shop.yaml:"), "{message}");
        assert!(message.contains(expected), "{from} -> {to}: {message}");
    }
}

#[test]
fn without_a_root_everything_would_be_garbage() {
    let none = SHOP.replace("[{field: labels/root}]", "never");
    let none = none.replace("[{unexpired: until, format: unix, missing: root}]", "never");
    let error = Schema::parse(&none, "shop.yaml").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("no kind has a root"), "{error}");
}

#[test]
fn an_object_outside_the_scopes_cannot_refer_into_one() {
    let message = refused("{tenant}/orders/{id}", "x/orders/{id}");
    assert!(message.contains("kind 'parcel' is scoped and this one is not"), "{message}");
}
