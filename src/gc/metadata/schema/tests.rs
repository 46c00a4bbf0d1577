#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::fuzzing::{check_message, damage, damaged};

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
    assert_eq!(kinds("containerd-etcd"), ["lease", "snapshot", "ingest", "content"]);
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
        ("schema: 1", "schema: 2", "shop.yaml:2: schema: unknown schema version 2: this kvadm reads version 1"),
        ("collect: true", "colect: true", "shop.yaml:13: kinds[0]: unknown field `colect`"),
        ("name: shop", "name: shop\nname: shop", "duplicate field `name`"),
        (
            "{field: item, to: parcel}",
            "{field: item, to: box}",
            "shop.yaml:23: kind 'order': edge 1: there is no kind 'box'",
        ),
        ("- {field: item", "- {field: items", "edge 1: 'items' is not one of the kind's fields"),
        ("- group: refs", "- group: refs\n      - group: ref", "kind 'parcel': edge 3: there is no group 'ref'"),
        ("      - group: refs\n", "", "group 'refs': no kind uses the group"),
        (
            "    anchor: at\n",
            "",
            "the end of a name in '{tenant}/parcels/{name+}' is ambiguous: give the kind an anchor (a field that every object has) or encoding: percent",
        ),
        ("anchor: at", "anchor: on", "kind 'parcel': anchor: 'on' is not one of the fields"),
        (
            "{tenant}/orders/{id}\"\n    fields: [",
            "{tenant}/parcels/{id}\"\n    fields: [at, ",
            "a key could belong to this kind or to kind 'order'",
        ),
        (
            "{tenant}/orders/{id}",
            "{tenant}/parcels/{id}/x/y",
            "the kind cannot be collected: keys of kind 'order' lie inside its objects",
        ),
        ("{tenant}/orders/{id}", "{tenant}/{tenant}/{id}", "the variable '{tenant}' is used twice"),
        ("{tenant}/orders/{id}", "orders/{tenant}/{id}/{x", "has a '{' without '}'"),
        ("{tenant}/orders/{id}", "{a+}/orders/{id+}", "a template may have only one variable of any length"),
        ("scope: [tenant]", "scope: [tenant, tenth]", "the key has some but not all variables of the scope"),
        ("scope: [tenant]", "scope: [ns]", "scope: no key uses these variables"),
        ("missing: root", "missing: root, suffix: x", "'suffix' and 'empty' require 'field'"),
        (", missing: root", "", "'unexpired' requires 'format' and 'missing'"),
        ("format: unix", "format: utc", "unknown variant `utc`"),
        ("unexpired: until", "unexpired: til", "kind 'order': root: rule 1: 'til' is not one of the kind's fields"),
        (
            "{field: parent, to: parcel}",
            "{field: parent, to: parcel, from: parcel}",
            "an edge needs either 'to' or 'from'",
        ),
        (
            "{field: parent, to: parcel}",
            "{field: parent, to: parcel, id: \"{x}\"}",
            "'{x}' uses 'x', which is not defined here",
        ),
        (
            "{field: parent, to: parcel}",
            "{field: parent, to: parcel, flat: members}",
            "'flat: members' requires the kind's 'flat' field",
        ),
        ("collect: true", "collect: true\n    flat: at", "no edge has 'flat: members'"),
        (
            "scope: [tenant]",
            "scope: [tenant]\nopaque: [\"{t}/parcels/x/y\"]",
            "an opaque key could belong to this kind or lie inside one of its objects",
        ),
        (
            "scope: [tenant]",
            "scope: [tenant]\nopaque: [\"x/**/y/**\"]",
            "opaque: a template may have only one variable of any length",
        ),
        ("kind: order", "kind: parcel", "two kinds have this name"),
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
    assert!(error.to_string().contains("no kind has a root, so everything would be garbage"), "{error}");
}

#[test]
fn an_object_outside_the_scopes_cannot_refer_into_one() {
    let message = refused("{tenant}/orders/{id}", "x/orders/{id}");
    assert!(
        message.contains("kind 'parcel' is in a scope and this kind is not, so the reference's scope is unknown"),
        "{message}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The refusal begins with the file, and its line is one of the file's.
    #[test]
    fn a_damaged_schema_gets_an_answer(damage in damage(), which in 0..BUILT_IN.len() + 2) {
        let others = [SHOP, wrong::SOUND];
        let text = BUILT_IN.get(which).map_or_else(|| others[which - BUILT_IN.len()], |(_, text)| text);
        let text = String::from_utf8_lossy(&damaged(text.as_bytes(), &damage)).into_owned();
        match Schema::parse(&text, "shop.yaml") {
            Err(error) => {
                check_message(&error.message)?;
                prop_assert!(error.to_string().starts_with("shop.yaml:"), "{error}");
                let lines = text.lines().count().max(1);
                prop_assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)), "{error}");
            }
            Ok(schema) => {
                prop_assert!(schema.kinds.iter().any(|kind| kind.always_root || !kind.roots.is_empty()));
                let known = |kind: KindId| usize::from(kind) < schema.kinds.len();
                prop_assert!(schema.edges.iter().all(|edge| known(edge.other) && known(edge.declared_by)));
                prop_assert!(schema.kinds.iter().all(|kind| kind.edges.end <= schema.edges.len()));
            }
        }
    }

    /// No key is there twice and none is unknown, wherever it stands.
    #[test]
    fn a_key_that_is_there_twice_or_unknown_is_refused(line in 0..SHOP.lines().count(), unknown in any::<bool>()) {
        let mut lines: Vec<String> = SHOP.lines().map(str::to_owned).collect();
        let text = lines[line].clone();
        let indent = text.len() - text.trim_start().len();
        let bare = text.trim_start().trim_start_matches("- ");
        let Some((name, _)) = bare.split_once(": ").filter(|_| !bare.starts_with('{')) else { return Ok(()) };
        let within = " ".repeat(indent + if text.trim_start().starts_with("- ") { 2 } else { 0 });
        lines.insert(line + 1, if unknown { format!("{within}colour: red") } else { format!("{within}{bare}") });
        let error = Schema::parse(&lines.join("\n"), "shop.yaml").map(|_| ()).unwrap_err().to_string();
        let wanted = if unknown { "unknown field `colour`".to_owned() } else { format!("duplicate field `{name}`") };
        prop_assert!(error.starts_with("shop.yaml:") && error.contains(&wanted), "{error}");
    }

    /// A pattern's words and captures are the text again, as far as it takes; and its templates describe the text.
    #[test]
    fn what_a_pattern_finds_is_what_stands_there(
        pieces in proptest::collection::vec(("[ab/.]{1,2}", "[xy]", any::<bool>(), any::<bool>()), 1..4),
        suffix in prop::sample::select(vec![None, Some("*"), Some("./")]),
        text in "[ab/.]{0,10}",
    ) {
        let mut written = String::new();
        for (word, name, slashes, last) in &pieces {
            written += word;
            written += &if *last { format!("{{{name}{}}}", if *slashes { "+" } else { "" }) } else { String::new() };
        }
        let pattern = Pattern::parse(&written, suffix).unwrap();
        let texts = [text.clone(), pieces.iter().map(|(word, name, ..)| format!("{word}{name}")).collect(), written.replace(['{', '}', '+'], "")];
        for text in texts {
            let Some(captures) = pattern.find(text.as_bytes()) else { continue };
            let mut again = String::new();
            let mut captured = captures.iter();
            for (word, _, slashes, last) in &pieces {
                again += word;
                if *last {
                    let capture = &text[captured.next().unwrap().clone()];
                    prop_assert!(!capture.is_empty() && (*slashes || !capture.contains('/')), "{written} {text}");
                    again += capture;
                }
            }
            prop_assert!(text.strip_prefix(&again).is_some_and(|rest| match suffix {
                None => rest.is_empty(),
                Some("*") => true,
                Some(_) => rest.is_empty() || rest.starts_with(['.', '/']),
            }), "{written} {text}");
            let parts: Vec<&[u8]> = text.split('/').map(str::as_bytes).collect();
            let exact = Template(parts.iter().map(|part| Segment::Literal(part.to_vec())).collect());
            prop_assert!(pattern.as_templates().iter().any(|template| template.meets(&exact)), "{written} {text}");
        }
    }
}
