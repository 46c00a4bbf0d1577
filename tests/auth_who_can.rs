//! Who may read or write keys, as kvadm tells it and as etcd decides.

use std::collections::BTreeMap;
use std::fmt::Write;

use kvadm::kvstore::{Error, KeyRange, KeySelector, Op, Retry, Txn};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::auth::{LIMITED, ROOT, anonymous, cheap, login};
use super::support::{Etcd, Kvadm, library, shared};

fn who_can(etcd: &Etcd, args: &[&str]) -> Kvadm {
    login(etcd, "root", ROOT).args(["auth", "who-can"]).args(args)
}

/// What a user with role root may do.
const ADMIN: &str = "root\treadwrite\troot\treadwrite on all keys\n";

#[test]
fn users_are_listed_with_their_roles_and_permissions() {
    let etcd = cheap();
    who_can(&etcd, &["/app/mode"])
        .run()
        .ok()
        .out(&format!("app\treadwrite\tapp\treadwrite on keys with the prefix /app/\n{ADMIN}"))
        .err_has("note: 2 users may read or write key /app/mode");
    who_can(&etcd, &["/shared/x", "--access", "write"])
        .run()
        .ok()
        .out(ADMIN)
        .err_has("note: 1 user may write key /shared/x");
    who_can(&etcd, &["--prefix", "/shared/"])
        .run()
        .ok()
        .out_has("app\tread\tapp\tread on keys with the prefix /shared/\n");
    let records = who_can(&etcd, &["/shared/x", "-o", "json"]).run().ok().json_lines();
    assert_eq!(
        records,
        [
            serde_json::json!({"user": "app", "access": "read", "permissions":
                [{"role": "app", "access": "read", "range": "prefix", "key": "/shared/"}]}),
            serde_json::json!({"user": "root", "access": "readwrite", "permissions":
                [{"role": "root", "access": "readwrite", "range": "all"}]}),
        ]
    );
    let run = login(&etcd, "root", ROOT).args(["--namespace", "/app/", "auth", "who-can", "a"]).run();
    run.code(2).out_empty().err_has("permissions name keys of the whole store");
    for (args, words) in [
        (&["--from", "b", "--to", "a"][..], "empty range"),
        (&[][..], "no keys are named"),
        (&["k", "--prefix", "p"], "cannot be used with"),
        (&["k", "--access", "delete"], "invalid value 'delete'"),
        (&[""], "the key is empty"),
    ] {
        who_can(&etcd, args).run().code(2).out_empty().err_has(words);
    }
    login(&etcd, "app", LIMITED).args(["auth", "who-can", "/app/mode"]).run().code(4).out_empty();
}

#[test]
fn without_authentication_everyone_may() {
    let run = anonymous(shared()).args(["auth", "who-can", "/app/mode"]).run();
    run.ok().out_empty().err_has("authentication is off: everyone may read and write everything, without a login");
    let records = anonymous(shared()).args(["auth", "who-can", "--all", "-o", "json"]).run().ok().json_lines();
    assert_eq!(records, [serde_json::json!({"access": "readwrite"})]);
}

/// A small alphabet, so that ranges overlap and are adjacent.
fn key() -> impl Strategy<Value = String> {
    "[a-c]{1,2}"
}

/// A range as a file names it, and as a range.
fn range() -> impl Strategy<Value = (String, KeyRange)> {
    prop_oneof![
        2 => key().prop_map(|key| (format!("key: {key}"), KeyRange::key(key.as_bytes()))),
        2 => key().prop_map(|prefix| (format!("prefix: {prefix}"), KeyRange::prefix(prefix.as_bytes()))),
        4 => (key(), key()).prop_filter("a range without keys", |(from, to)| from < to).prop_map(|(from, to)| {
            (format!("from: {from}, to: {to}"), KeyRange::between(from.as_bytes(), Some(to.as_bytes())))
        }),
        1 => key().prop_map(|from| (format!("from: {from}"), KeyRange::between(from.as_bytes(), None))),
        1 => Just(("all: true".to_owned(), KeyRange::prefix(b""))),
    ]
}

fn options((text, _): &(String, KeyRange)) -> Vec<String> {
    if let Some(key) = text.strip_prefix("key: ") {
        return vec![key.to_owned()];
    }
    let parts = text.split(", ").filter_map(|part| part.split_once(": "));
    parts
        .flat_map(|(name, value)| {
            std::iter::once(format!("--{name}")).chain((value != "true").then(|| value.to_owned()))
        })
        .collect()
}

/// Whether etcd lets the user do it.
fn allowed<T>(result: Result<T, Error>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => {
            assert!(error.to_string().contains("permission denied"), "{error}");
            false
        }
    }
}

/// For random permissions and ranges, the answer is what etcd decides for each user.
#[test]
fn the_answer_is_what_etcd_decides() {
    let seed = std::env::var("KVADM_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |now| now.as_micros() as u64)
    });
    eprintln!("KVADM_FUZZ_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let mut one = |count: usize| -> Vec<(String, KeyRange)> {
        (0..count).map(|_| range().new_tree(&mut runner).unwrap().current()).collect()
    };
    let etcd = cheap();
    let dir = tempfile::tempdir().unwrap();
    let (file, passwords) = (dir.path().join("roles.yaml"), dir.path().join("passwords.yaml"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let users = ["u0", "u1", "u2", "u3"];
    std::fs::write(&passwords, users.map(|user| format!("{user}: secret\n")).concat()).unwrap();
    std::fs::set_permissions(&passwords, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for round in 0..3 {
        let mut text = String::from("roles:\n");
        for role in 0..4 {
            writeln!(text, "  r{role}:\n    permissions:").unwrap();
            let mut known = BTreeMap::new();
            for (index, (words, range)) in one(3).into_iter().enumerate() {
                let access = ["read", "write", "readwrite"][(index + role + round) % 3];
                known.entry((range.start, range.end)).or_insert(format!("      - {{access: {access}, {words}}}\n"));
            }
            text.extend(known.into_values());
        }
        text += "users:\n  root: {roles: [root]}\n";
        for (index, user) in users.iter().enumerate() {
            let roles = [vec!["r0"], vec!["r0", "r1"], vec!["r1", "r2", "r3"], vec!["r3", "r0"]][index].join(", ");
            writeln!(text, "  {user}: {{roles: [{roles}]}}").unwrap();
        }
        std::fs::write(&file, &text).unwrap();
        let apply = login(&etcd, "root", ROOT).args(["auth", "apply", "--yes"]).arg(&file);
        apply.arg("--passwords-file").arg(&passwords).run().ok();
        let stores = users.map(|user| library::store_of_user(&etcd.endpoint(), user, "secret"));
        for asked in one(12) {
            let records = who_can(&etcd, &[]).args(options(&asked)).args(["-o", "json"]).run().ok().json_lines();
            for (user, store) in users.iter().zip(&stores) {
                let may = records
                    .iter()
                    .find(|record| record["user"] == *user)
                    .map_or("", |record| record["access"].as_str().unwrap());
                let over = match asked.0.strip_prefix("key: ") {
                    Some(key) => KeySelector::Key(key.as_bytes().to_vec()),
                    None => KeySelector::Range(asked.1.clone()),
                };
                let (reads, writes) = runtime.block_on(async {
                    let read = Txn { then: vec![Op::get_at(over.clone(), 0)], ..Txn::default() };
                    let write = Txn { then: vec![Op::Delete { over, prev: false }], ..Txn::default() };
                    let read = store.txn("read", &read, None, Retry::Never).await;
                    let write = store.txn("write", &write, None, Retry::Never).await;
                    (allowed(read.map(drop)), allowed(write.map(drop)))
                });
                let expected = match (reads, writes) {
                    (true, true) => "readwrite",
                    (true, false) => "read",
                    (false, true) => "write",
                    (false, false) => "",
                };
                assert_eq!(may, expected, "user {user}, {}, seed {seed}:\n{text}", asked.0);
            }
        }
    }
}
