//! Files that are read, those that are refused with their line, and those that are written.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::access::file_text::{access_file_data, render_access_file};
use crate::fuzzing::{check_message, damage, damaged};

const SAMPLE: &str = r#"# Reviewed by the storage team.
roles:
  app-reader:
    permissions:
      - {access: read, prefix: /app/}
      - {access: read, key: /shared/mode}
  app-writer:
    permissions:
      - {access: readwrite, prefix: /app/}
      - {access: write, from: "/jobs/a", to: "/jobs/m"}
      - {access: read, from: /metrics/}
      - {access: write, key: "\\xff\\x00", escape: true}
  auditor: {permissions: [{access: read, all: true}]}
  nothing: {}
users:
  root: {roles: [root]}
  alice: {roles: [app-reader, app-writer]}
  bob: {}
x-note: anything
"#;

fn parse(text: &str) -> Result<AccessState, (Option<usize>, String, Option<String>)> {
    parse_access_file(text.as_bytes(), "f").map_err(|error| (error.line, error.message, error.hint))
}

#[test]
fn a_file_says_who_may_do_what() {
    let state = parse(SAMPLE).unwrap();
    let roles: Vec<&str> = state.roles.keys().map(String::as_str).collect();
    assert_eq!(roles, ["app-reader", "app-writer", "auditor", "nothing"]);
    let writer = &state.roles["app-writer"];
    assert_eq!(writer[&KeyRange::prefix(b"/app/")], Access::ReadWrite);
    assert_eq!(writer[&KeyRange::between(b"/jobs/a", Some(b"/jobs/m"))], Access::Write);
    assert_eq!(writer[&KeyRange::between(b"/metrics/", None)], Access::Read);
    assert_eq!(writer[&KeyRange::key(b"\xff\0")], Access::Write);
    assert_eq!(state.roles["auditor"][&KeyRange::prefix(b"")], Access::Read);
    assert_eq!(state.users["alice"], BTreeSet::from(["app-reader".to_owned(), "app-writer".to_owned()]));
    assert!(state.users["bob"].is_empty() && state.roles["nothing"].is_empty());
    let json = serde_json::to_string(&access_file_data(&state)).unwrap();
    assert_eq!(parse(&json).unwrap(), state);
}

#[test]
fn what_is_wrong_has_its_line_and_a_suggestion() {
    let with = |from: &str, to: &str| SAMPLE.replacen(from, to, 1);
    let too_long = format!(
        "role '{}…': the name has 1025 bytes, and kvadm sends 1024 at most: etcd does not survive a very long one",
        "n".repeat(64)
    );
    let cases = [
        (
            with("permissions:\n      - {access: read, prefix", "permisions:\n      - {access: read, prefix"),
            4,
            "role 'app-reader': unknown key 'permisions'; did you mean 'permissions'?",
        ),
        (
            with("access: read, prefix: /app/", "acces: read, prefix: /app/"),
            5,
            "role 'app-reader': unknown key 'acces'; did you mean 'access'?",
        ),
        (
            with("{access: read, prefix", "{access: reed, prefix"),
            5,
            "role 'app-reader': access: unknown value 'reed'; did you mean 'read'?",
        ),
        (
            with("{access: read, prefix: /app/}", "{prefix: /app/}"),
            5,
            "role 'app-reader': the permission has no 'access'",
        ),
        (with("{access: read, prefix: /app/}", "{access: read}"), 5, "role 'app-reader': the permission names no keys"),
        (with("prefix: /app/}", "prefix: \"\"}"), 5, "role 'app-reader': prefix: must not be empty"),
        (with("prefix: /app/}", "prefix: 7}"), 5, "role 'app-reader': prefix: must be a text, not a number"),
        (
            with("prefix: /app/}", "prefix: /app/, key: /app/}"),
            5,
            "role 'app-reader': has more than one of key, prefix, from and all",
        ),
        (with("prefix: /app/}", "to: /app/}"), 5, "role 'app-reader': 'to' needs 'from'"),
        (
            with("key: /shared/mode", "prefix: /app/"),
            6,
            "role 'app-reader': a second permission on the same range would replace the first",
        ),
        (
            with("from: \"/jobs/a\"", "from: \"/jobs/z\""),
            10,
            "role 'app-writer': the range is empty: 'from' is not less than 'to'",
        ),
        (
            with("\"\\\\xff\\\\x00\"", "\"\\\\q\""),
            12,
            "role 'app-writer': key: invalid escape at byte 0: use \\xNN, \\t, \\n, \\r, \\0 or \\\\",
        ),
        (with("all: true", "all: false"), 13, "role 'auditor': all: must be true, not false"),
        (
            with("  nothing: {}", "  nothing:"),
            14,
            "role 'nothing': must be a mapping such as {permissions: [{access: read, prefix: /app/}]}, not nothing",
        ),
        (with("  nothing: {}", "  \"\": {}"), 14, "a role has an empty name"),
        (with("  nothing: {}", &format!("  ? {}\n  : {{}}", "n".repeat(1025))), 14, too_long.as_str()),
        (
            with("  nothing: {}", "  root: {}"),
            14,
            "role 'root' cannot be defined: it may read and write everything, always",
        ),
        (with("  nothing: {}", "  auditor: {}"), 14, "the key 'auditor' is given twice"),
        (
            with("root: {roles: [root]}", "root: {}"),
            16,
            "user 'root' has no role 'root', which kvadm never takes from it",
        ),
        (
            with("[app-reader, app-writer]", "[app-raeder]"),
            17,
            "user 'alice': unknown role 'app-raeder'; did you mean 'app-reader'?",
        ),
        (
            with("[app-reader, app-writer]", "[app-reader, app-reader]"),
            17,
            "user 'alice': the role 'app-reader' is named twice",
        ),
        (
            with("[app-reader, app-writer]", "app-reader"),
            17,
            "user 'alice': roles: must be a list of names of roles, not a text",
        ),
        (with("alice: {roles: [", "alice: {roles: [true, "), 17, "user 'alice': must be a text, not a boolean"),
        (
            with("bob: {}", "bob: {password: hunter2}"),
            18,
            "user 'bob': 'password': passwords do not belong in this file, which is to be reviewed and shared",
        ),
        (with("x-note", "user"), 19, "unknown key 'user'; did you mean 'users'?"),
    ];
    for (text, line, message) in cases {
        let (found_line, found, _) = parse(&text).expect_err(message);
        assert_eq!((found_line, found.as_str()), (Some(line), message), "{text}");
        assert!(!found.contains("hunter2"));
    }
}

#[test]
fn a_file_that_would_remove_everything_says_so_itself() {
    for (text, message) in [
        ("", "the file has no users and no roles"),
        ("# nothing\n", "the file has no users and no roles"),
        ("users: {}\n", "the file has no key 'roles'"),
        ("roles: {}\n", "the file has no key 'users'"),
        (
            "roles:\nusers: {}\n",
            "roles: must be a mapping of names such as NAME: {permissions: [{access: read, prefix: /app/}]}, not nothing",
        ),
        ("[]\n", "must be a mapping with 'roles' and 'users', not a list"),
    ] {
        let (_, found, hint) = parse(text).expect_err(text);
        assert_eq!(found, message);
        assert!(hint.is_some() || found.contains("must be"), "{text}");
    }
    assert_eq!(parse("{roles: {}, users: {}}"), Ok(AccessState::default()));
}

#[test]
fn no_file_fills_the_memory() {
    let bomb: Vec<String> = (1..30).map(|n| format!("x-{n}: &a{n} [*a{0}, *a{0}]", n - 1)).collect();
    let (_, message, _) =
        parse(&format!("x-0: &a0 [x, x]\n{}\nroles: {{}}\nusers: {{}}\n", bomb.join("\n"))).unwrap_err();
    assert_eq!(message, "the file has more than 100000 values");
    let (line, message, _) = parse_access_file(b"roles: {}\nusers: {a\xff: {}}\n", "f")
        .map_err(|error| (error.line, error.message, error.hint))
        .unwrap_err();
    assert_eq!((line, message.as_str()), (Some(2), "the file is not UTF-8"));
}

#[test]
fn the_text_is_short_and_quotes_what_yaml_would_not_read_as_text() {
    let state = parse(SAMPLE).unwrap();
    let text = render_access_file(&state);
    assert!(text.contains("  app-reader:\n    permissions:\n      - {access: read, prefix: /app/}\n"), "{text}");
    assert!(text.contains("{access: write, key: \"\\\\xff\\\\0\", escape: true}"), "{text}");
    assert!(text.contains("  auditor:\n    permissions:\n      - {access: read, all: true}\n"), "{text}");
    assert!(text.contains("  nothing:\n    permissions: []\n"), "{text}");
    assert!(text.contains("users:\n  alice:\n    roles: [app-reader, app-writer]\n  bob:\n    roles: []\n"), "{text}");
    assert_eq!(render_access_file(&AccessState::default()), "roles: {}\nusers: {}\n");
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,2}",
        2 => "\\PC{1,6}",
        1 => prop::sample::select(vec![
            "no", "~", "1", "1e3", "<<", "- a", "a: b", "#", "\u{1b}[2J", "\u{202e}x", "*a", "&a", "!a", "'", "\"", "\\", " a ",
            "\n", "a\tb", "\u{feff}", "x-y", "?", "0x1", "2026-11-30", ".inf", "null", "password", "\u{1f980}",
        ])
        .prop_map(str::to_owned),
        1 => "[a-z]{1000,1024}",
    ]
    .prop_filter("role root has no permissions", |name| name != ROOT)
}

pub(in crate::access) fn any_range() -> impl Strategy<Value = KeyRange> {
    let key = || {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..5),
            "[a-c/]{1,3}".prop_map(String::into_bytes),
            "\\PC{1,3}".prop_map(String::into_bytes),
            Just(vec![0xff]),
            Just(vec![0]),
        ]
    };
    prop_oneof![
        key().prop_map(|key| KeyRange::key(&key)),
        key().prop_map(|prefix| KeyRange::prefix(&prefix)),
        Just(KeyRange::prefix(b"")),
        (key(), proptest::option::of(key())).prop_map(|(from, to)| KeyRange::between(&from, to.as_deref())),
    ]
    .prop_map(canonical)
    .prop_filter("a range without keys", |range| !has_no_keys(range))
}

pub(in crate::access) fn any_access() -> impl Strategy<Value = Access> {
    prop::sample::select(vec![Access::Read, Access::Write, Access::ReadWrite])
}

/// Users whose roles exist, and user root with role root.
pub(in crate::access) fn any_state() -> impl Strategy<Value = AccessState> {
    let permissions = proptest::collection::btree_map(any_range(), any_access(), 0..4);
    let roles = proptest::collection::btree_map(any_name(), permissions, 0..4);
    let users = proptest::collection::btree_map(
        any_name(),
        proptest::collection::vec(any::<prop::sample::Index>(), 0..3),
        0..4,
    );
    (roles, users, any::<bool>()).prop_map(|(roles, users, with_root)| {
        let names: Vec<&String> = roles.keys().collect();
        let of = |chosen: Vec<prop::sample::Index>| match names.is_empty() {
            true => BTreeSet::new(),
            false => chosen.iter().map(|index| (*index.get(&names)).clone()).collect(),
        };
        let mut users: std::collections::BTreeMap<String, BTreeSet<String>> =
            users.into_iter().map(|(user, chosen)| (user, of(chosen))).collect();
        if with_root {
            users.insert(ROOT.to_owned(), [ROOT.to_owned()].into());
        }
        AccessState { users, roles }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_written_reads_back(state in any_state()) {
        let text = render_access_file(&state);
        prop_assert!(text.chars().all(|c| c == '\n' || crate::output::is_safe(c, false)), "{text}");
        prop_assert_eq!(parse(&text), Ok(state.clone()), "{}", text);
        let json = serde_json::to_string(&access_file_data(&state)).unwrap();
        prop_assert_eq!(parse(&json), Ok(state));
    }

    #[test]
    fn a_damaged_file_is_read_or_refused_in_words(damage in damage()) {
        let bytes = damaged(SAMPLE.as_bytes(), &damage);
        match parse_access_file(&bytes, "f") {
            Ok(state) => {
                let text = render_access_file(&state);
                prop_assert_eq!(parse(&text), Ok(state), "{}", text);
            }
            // What the YAML parser says is in its own words.
            Err(error) if error.message.starts_with("invalid YAML") => {}
            Err(error) => check_message(&error.message)?,
        }
    }
}
