#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::allocator::testing::{layout, scanned};
use crate::kvstore::{KeyValue, LeaseId};

fn range() -> IdRange {
    IdRange::new(1, 100, 0).unwrap()
}

fn found(pairs: &[(&str, &str)]) -> Vec<Problem> {
    problems(&scanned(pairs), &StrayKeys::default(), &layout(), &range(), &delete())
}

fn delete() -> CommandLine {
    CommandLine::new(&[], &["delete"])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `word id key` and a `!` where it can be repaired.
fn shown(pairs: &[(&str, &str)]) -> Vec<String> {
    let show = |problem: &Problem| {
        let id = problem.id.map_or("-".to_owned(), |id| id.to_string());
        let key = problem.key.as_deref().map_or("-".to_owned(), text);
        format!("{} {id} {key}{}", problem.kind.name(), if problem.repairable { " !" } else { "" })
    };
    found(pairs).iter().map(show).collect()
}

#[test]
fn a_store_in_order_has_unused_ids_at_most() {
    let shown = shown(&[
        ("b/id/5", "foo"),
        ("b/id/6", "foo/bar"),
        ("b/id/7", "left"),
        ("b/value/foo/n1", "5"),
        ("b/value/foo/bar", "5"),
        ("b/value/foo/bar/n1", "6"),
    ]);
    assert_eq!(shown, ["unused-master 7 left"]);
    assert_eq!(ProblemKind::UnusedMaster.severity(), Severity::Info);
}

#[test]
fn a_missing_master_can_be_written_again_where_nobody_else_claims_the_id() {
    assert_eq!(shown(&[("b/value/a/n1", "5"), ("b/value/a/n2", "5")]), ["missing-master 5 a !"]);
    assert_eq!(found(&[("b/value/a/n1", "5"), ("b/value/a/n2", "5")])[0].paths, [b"b/value/a/n1", b"b/value/a/n2"]);
    let two = shown(&[("b/value/a/n1", "5"), ("b/value/c/n1", "5")]);
    assert_eq!(two, ["shared-id 5 -", "missing-master 5 a", "missing-master 5 c"]);
    assert_eq!(shown(&[("b/value/a/n1", "101")]), ["missing-master 101 a", "out-of-range 101 a"]);
    assert_eq!(shown(&[("b/value/a//c/n1", "5")]), ["missing-master 5 a//c", "altered-key - a//c"]);
}

#[test]
fn one_id_for_two_keys() {
    let wrong = shown(&[("b/id/5", "a"), ("b/value/c/n1", "5"), ("b/value/a/n1", "5")]);
    assert_eq!(wrong, ["shared-id 5 -", "wrong-master 5 c"]);
    let unused = shown(&[("b/id/5", "a"), ("b/value/c/n1", "5")]);
    assert_eq!(unused, ["wrong-master 5 c", "unused-master 5 a"]);
    let odd = shown(&[("b/id/7", "a"), ("b/id/007", "c"), ("b/value/a/n", "7")]);
    assert_eq!(odd, ["shared-id 7 -", "odd-path 7 c"]);
    let problem = found(&[("b/id/7", "a"), ("b/id/007", "c")]).remove(0);
    assert_eq!(problem.paths, [b"b/id/7".to_vec(), b"b/id/007".to_vec()]);
    assert!(problem.text.starts_with("2 keys have this ID: 'a', 'c'; "), "{}", problem.text);
}

#[test]
fn several_masters_of_one_key() {
    let shown = shown(&[("b/id/5", "a"), ("b/id/6", "a"), ("b/id/7", "a"), ("b/value/a/n", "6"), ("b/value/a/m", "7")]);
    assert_eq!(shown, ["duplicate-master 5 a", "duplicate-master 7 a"]);
}

#[test]
fn what_nobody_can_read_is_reported_and_nothing_else() {
    let shown = shown(&[
        ("b/id/", "x"),
        ("b/id/none", "x"),
        ("b/id/0", "x"),
        ("b/value/x", "1"),
        ("b/id/8", ""),
        ("b/id/9", "a"),
        ("b/value/a/n", "nine"),
        ("b/value/a/..", "9"),
    ]);
    assert_eq!(
        shown,
        [
            "unreadable-value - a",
            "altered-key - -",
            "unreadable-path - -",
            "unreadable-path - -",
            "unreadable-path - -",
            "unreadable-path - -",
            "empty-master 8 ",
        ]
    );
}

#[test]
fn a_master_on_a_lease_is_a_mirror_unless_a_node_uses_its_id() {
    let mut scan = AllocatorScan::default();
    let lease = Some(LeaseId(0x1f));
    let kv = KeyValue { key: b"b/id/5".to_vec(), value: b"a".to_vec(), lease, ..KeyValue::default() };
    scan.add_master(&layout(), &kv);
    scan.sort();
    let kinds = |scan: &AllocatorScan| -> Vec<ProblemKind> {
        let found = problems(scan, &StrayKeys::default(), &layout(), &range(), &delete());
        assert!(found[0].text.contains("lease 1f"), "{}", found[0].text);
        found.iter().map(|problem| problem.kind).collect()
    };
    assert_eq!(kinds(&scan), [ProblemKind::MirroredMaster]);
    scan.add_reference(
        &layout(),
        &KeyValue { key: b"b/value/a/n".to_vec(), value: b"5".to_vec(), ..KeyValue::default() },
    );
    scan.sort();
    assert_eq!(kinds(&scan), [ProblemKind::LeasedMaster]);
}

/// Hostile and sound paths, and values, mixed.
fn pair() -> impl Strategy<Value = (String, String)> {
    let id =
        prop_oneof!["[1-9]", Just("007".to_owned()), Just("0".to_owned()), Just("x".to_owned()), Just(String::new())];
    let key = prop_oneof!["[ab]", Just("a/b".to_owned()), Just("a//b".to_owned()), Just(String::new())];
    let node = prop_oneof!["[nm]", Just("..".to_owned()), Just(String::new())];
    prop_oneof![
        (id.clone(), key.clone()).prop_map(|(id, key)| (format!("b/id/{id}"), key)),
        (key, node, id).prop_map(|(key, node, id)| (format!("b/value/{key}/{node}"), id)),
    ]
}

#[test]
fn the_command_to_delete_a_key_is_quoted_for_a_shell() {
    for (key, argument) in [
        (b"a/b:1,k=v".as_slice(), "a/b:1,k=v"),
        (b"a b", "'a b'"),
        (b"a;b", "'a;b'"),
        (b"a'b", "'a'\\''b'"),
        (b"$x", "'$x'"),
        (b"-a", "-- -a"),
        (b"a\xff", "$'a\\xff'"),
        (b"a\0b", "--escape 'a\\0b'"),
    ] {
        assert_eq!(format_deletion(&delete(), key), format!("delete it with 'kvadm delete {argument}'"));
    }
}

proptest! {
    /// After all repairs, no problem remains and every repairable ID has one key.
    #[test]
    fn repairs_never_make_anything_worse(pairs in proptest::collection::btree_map(0u8..40, pair(), 0..14)) {
        let mut store: BTreeMap<String, String> = pairs.into_values().collect();
        let pairs = |store: &BTreeMap<String, String>| {
            let pairs: Vec<(String, String)> = store.clone().into_iter().collect();
            found(&pairs.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect::<Vec<_>>())
        };
        let before = pairs(&store);
        let repairs: Vec<&Problem> = before.iter().filter(|problem| problem.repairable).collect();
        for repair in &repairs {
            let (id, key) = (repair.id.unwrap(), repair.key.clone().unwrap());
            let old = store.insert(format!("b/id/{id}"), String::from_utf8(key).unwrap());
            prop_assert_eq!(old, None);
        }
        let after = pairs(&store);
        prop_assert!(after.iter().all(|problem| !problem.repairable));
        let errors = |all: &[Problem]| all.iter().filter(|one| one.kind.severity() == Severity::Error).count();
        prop_assert_eq!(errors(&after) + repairs.len(), errors(&before));
    }

    #[test]
    fn each_unreadable_path_is_reported_once(pairs in proptest::collection::vec(pair(), 0..14)) {
        let pairs: BTreeMap<String, String> = pairs.into_iter().collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
        let unreadable = |problem: &Problem| {
            (problem.kind == ProblemKind::UnreadablePath).then(|| problem.paths.clone())
        };
        let told: BTreeSet<_> = found(&pairs).iter().filter_map(unreadable).flatten().collect();
        let scan = scanned(&pairs);
        let strange: BTreeSet<_> = scan.unknown_keys.into_iter().map(|(path, _)| path).collect();
        prop_assert_eq!(told, strange);
    }

    #[test]
    fn what_allocators_do_is_never_a_problem(
        keys in proptest::collection::btree_map("[a-c]{1,2}(/[a-c])?", proptest::collection::btree_set("[m-p]", 0..3), 0..8),
    ) {
        let mut pairs = Vec::new();
        for (number, (key, nodes)) in keys.iter().enumerate() {
            let id = (number + 1).to_string();
            pairs.push((format!("b/id/{id}"), key.clone()));
            pairs.extend(nodes.iter().map(|node| (format!("b/value/{key}/{node}"), id.clone())));
        }
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
        let found = found(&pairs);
        let unused = keys.values().filter(|nodes| nodes.is_empty()).count();
        prop_assert_eq!(found.len(), unused);
        prop_assert!(found.iter().all(|problem| problem.kind == ProblemKind::UnusedMaster));
    }
}
