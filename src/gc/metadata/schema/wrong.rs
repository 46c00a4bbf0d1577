//! Wrong schemas: each gets a message with the right line.

use super::*;

/// A schema that is sound. Each case replaces a part of it.
pub(super) const SOUND: &str = r#"schema: 1
name: shop
scope: [tenant]
opaque: ["{tenant}/version"]
groups:
  refs:
    - {field: labels/ref, suffix: "/", to: parcel}
    - {field: labels/owner, from: order}
kinds:
  - kind: parcel
    key: "{tenant}/parcels/{name+}"
    anchor: at
    fields:
      - at
      - parent
      - "labels/{label+}"
    collect: true
    root:
      - {field: labels/root}
      - {unless: labels/owner}
    edges:
      - {field: parent, to: parcel}
      - group: refs
    backlinks:
      - {field: labels/back, of: order, id: "{value}"}
  - kind: order
    key: "{tenant}/orders/{id[0:2]}/{id}"
    fields: [item, until, used, json]
    root:
      - {unexpired: until, format: unix, missing: root}
    edges:
      - {fields: {a: item, b: used}, to: parcel, id: "{a}/{b}"}
      - field: item
        value: "{when}|{name+}"
        to: parcel
        id: "{name}"
        when: {conditions: when, name: age, field: at, format: rfc3339}
      - field: json
        value: {json: /items/*, when: {/kind: parcel}, take: {name: /name}}
        to: parcel
        id: "{name}"
"#;

/// What is replaced, by what, the line and a part of the message.
const CASES: &[(&str, &str, usize, &str)] = &[
    ("schema: 1", "schema: 2", 1, "schema: unknown schema version 2: this kvadm reads version 1"),
    ("schema: 1", "schema: one", 1, "invalid type: string \"one\""),
    ("name: shop\n", "", 1, "missing field `name`"),
    ("name: shop", "name: shop\nname: shop", 3, "duplicate field `name`"),
    ("labels/ref, suffix", "labels/ref, field: x, suffix", 7, "duplicate field `field`"),
    ("  refs:\n", "  refs: []\n  refs:\n", 7, "'refs' is given twice"),
    ("name: shop", "name: shop\ncolour: red", 3, "unknown field `colour`"),
    ("name: shop", "name: shop\nencoding: base64", 3, "unknown variant `base64`"),
    ("scope: [tenant]", "scope: [ns]", 3, "scope: no key uses these variables"),
    ("scope: [tenant]", "scope: [tenant, ns]", 11, "the key has some but not all variables of the scope"),
    ("scope: [tenant]", "scope: [name]", 11, "the scope variable '{name+}' must be one segment: '{name}'"),
    ("{tenant}/version", "{tenant}//version", 4, "opaque: '{tenant}//version' has an empty segment"),
    ("{tenant}/version", "{tenant}/**/x/**", 4, "opaque: a template may have only one variable of any length"),
    ("{tenant}/version", "{tenant}/parcels/x/y", 11, "an opaque key could belong to this kind or lie inside"),
    ("{tenant}/version", "{tenant[0:1]}/version", 4, "a part of a variable can only be used in a key and in an id"),
    ("suffix: \"/\"", "suffix: \"\"", 7, "group 'refs', edge 1: the suffix is empty"),
    (
        "suffix: \"/\", to: parcel",
        "suffix: \"/\", to: box",
        7,
        "kind 'parcel': edge 2: group 'refs', edge 1: there is no kind 'box'",
    ),
    ("{field: labels/owner, from: order}", "{group: refs}", 8, "group 'refs': a group may not contain groups"),
    ("      - group: refs\n", "", 6, "group 'refs': no kind uses the group"),
    ("- kind: parcel", "- kynd: parcel", 10, "unknown field `kynd`"),
    ("- kind: order", "- kind: parcel", 26, "two kinds have this name"),
    ("{tenant}/parcels/{name+}", "{tenant}/parcels/{name+", 11, "has a '{' without '}'"),
    ("{tenant}/parcels/{name+}", "{tenant}/parcels/x{name}", 11, "a variable must stand alone between slashes"),
    ("{tenant}/parcels/{name+}", "{tenant}/{tenant}/{name+}", 11, "the variable '{tenant}' is used twice"),
    ("{tenant}/parcels/{name+}", "{tenant}/parcels/**", 11, "'**' is only allowed in fields"),
    ("{tenant}/parcels/{name+}", "{tenant}/{a+}/{b+}", 11, "a template may have only one variable of any length"),
    ("    anchor: at\n", "", 11, "the end of a name in '{tenant}/parcels/{name+}' is ambiguous"),
    ("anchor: at", "anchor: on", 12, "anchor: 'on' is not one of the fields"),
    ("- \"labels/{label+}\"", "- \"labels/{label+\"", 16, "has a '{' without '}'"),
    ("- {field: labels/root}", "- {field: root}", 19, "root: rule 1: 'root' is not one of the kind's fields"),
    ("- {field: labels/root}", "- {field: labels/root, missing: root}", 19, "require 'unexpired'"),
    (
        "- {field: labels/root}",
        "- {field: labels/root, unexpired: at}",
        19,
        "a rule needs one of 'field', 'unexpired' and 'unless'",
    ),
    ("- {field: labels/root}", "- {}", 19, "a rule needs one of 'field', 'unexpired' and 'unless'"),
    ("- {unless: labels/owner}", "- {unless: parent}", 20, "no edge with 'from' reads the field 'parent'"),
    ("- {unless: labels/owner}", "- {unless: labels/owner, empty: true}", 20, "'unless' cannot be combined"),
    ("- {unless: labels/owner}", "- {unless: labels/owner, suffix: \"/\"}", 20, "'unless' cannot be combined"),
    ("- {unless: labels/owner}", "- {unless: labels/owner, format: unix}", 20, "'unless' cannot be combined"),
    ("- {unless: labels/owner}", "- {unless: labels/owner, missing: root}", 20, "'unless' cannot be combined"),
    ("- {unless: labels/owner}", "- {unless: labels/owner, invalid: root}", 20, "'unless' cannot be combined"),
    (
        "- {field: parent, to: parcel}",
        "- {field: parent, to: parcel, from: order}",
        22,
        "edge 1: an edge needs either 'to' or 'from'",
    ),
    ("- {field: parent, to: parcel}", "- {field: parent}", 22, "edge 1: an edge needs either 'to' or 'from'"),
    ("- {field: parent, to: parcel}", "- {to: parcel}", 22, "edge 1: an edge needs either 'field' or 'fields'"),
    ("- {field: parent, to: parcel}", "- {field: father, to: parcel}", 22, "'father' is not one of the kind's fields"),
    (
        "- {field: parent, to: parcel}",
        "- {field: parent, to: order, id: \"a/{value}\"}",
        22,
        "'a/{value}' can never match: it has 2 segments or more",
    ),
    (
        "- {field: parent, to: parcel}",
        "- {field: parent, to: parcel, id: \"{x}\"}",
        22,
        "'{x}' uses 'x', which is not defined here",
    ),
    (
        "- {field: parent, to: parcel}",
        "- {field: parent, to: parcel, flat: members}",
        21,
        "requires the kind's 'flat' field",
    ),
    ("- {field: parent, to: parcel}", "- {field: parent, to: parcel, skip: x}", 22, "'skip' requires a variable"),
    ("- group: refs", "- {group: refs, to: parcel}", 23, "'group' cannot be combined with other keys"),
    ("- group: refs", "- group: refs\n      - group: ref", 24, "there is no group 'ref'"),
    ("of: order", "of: ordr", 25, "back link 1: there is no kind 'ordr'"),
    ("id: \"{value}\"}", "id: \"x/{value}\"}", 25, "back link 1: id: 'x/{value}' can never match"),
    ("{id[0:2]}/{id}", "{id[2:0]}/{id}", 27, "is not a part of a variable"),
    ("{id[0:2]}/{id}", "{no[0:2]}/{id}", 27, "the key has a part of '{no}', but not the variable itself"),
    ("unexpired: until", "unexpired: til", 30, "root: rule 1: 'til' is not one of the kind's fields"),
    ("unexpired: until", "unexpired: \"{x}\"", 30, "'{x}' must be one field, without variables"),
    (", missing: root", "", 30, "'unexpired' requires 'format' and 'missing'"),
    ("format: unix", "format: utc", 30, "unknown variant `utc`"),
    ("{a: item, b: used}", "{a: item}", 32, "'fields' needs 2 to 4 fields"),
    ("{a: item, b: used}", "{a: item, b: item}", 32, "'fields' names 'item' twice, so the edge can never exist"),
    ("id: \"{a}/{b}\"", "id: \"{a}\"", 32, "the id does not use the joined field 'b'"),
    ("\"{when}|{name+}\"", "\"{when}{name+}\"", 34, "value: '{when}{name+}' has two adjacent variables"),
    ("conditions: when", "conditions: wen", 37, "when: nothing captures 'wen'"),
    ("name: age", "name: \"a,b\"", 37, "no condition can have the name 'a,b'"),
    ("field: at, format: rfc3339", "field: when, format: rfc3339", 37, "'when' is not one of the kind's fields"),
    ("json: /items/*", "jsn: /items/*", 39, "unknown field `jsn`"),
    ("{json: /items/*, when", "{when", 39, "missing field `json`"),
    ("json: /items/*", "json: items", 39, "value: 'items' is not a JSON pointer"),
    ("take: {name: /name}", "take: {name: /*}", 39, "value: '/*' may not contain '*'"),
    ("take: {name: /name}", "take: {nam: /name}", 41, "uses 'name', which is not defined here"),
];

#[test]
fn the_schema_that_the_cases_change_is_sound() {
    assert_eq!(Schema::parse(SOUND, "shop.yaml").map(|schema| schema.name), Ok("shop".to_owned()));
}

#[test]
fn a_wrong_schema_gets_a_message_with_the_right_line() {
    let mut wrong = Vec::new();
    for (from, to, line, message) in CASES {
        assert!(SOUND.contains(from), "{from}");
        match Schema::parse(&SOUND.replacen(from, to, 1), "shop.yaml") {
            Ok(_) => wrong.push(format!("{from} -> {to}: accepted")),
            Err(error) => {
                let text = error.to_string();
                if error.line != Some(*line) || !text.contains(message) {
                    wrong.push(format!("{from} -> {to}: line {line}: {message}\n    {text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
