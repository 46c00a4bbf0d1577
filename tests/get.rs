//! `kvadm get`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::support::{Etcd, Kvadm, shared, unique_prefix};

/// `kvadm --endpoints … ARGS`.
pub(super) fn kvadm<S: AsRef<OsStr>>(etcd: &Etcd, args: impl IntoIterator<Item = S>) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(args)
}

/// Writes a key of any bytes and gives the revision.
#[track_caller]
pub(super) fn put(etcd: &Etcd, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> i64 {
    let key = OsStr::from_bytes(key.as_ref());
    let run = kvadm(etcd, ["-o", "json", "put"]).arg(key).arg("-").stdin(value).run();
    run.ok().json()["mod_revision"].as_i64().unwrap()
}

/// A lock key on a lease, as etcdctl and Go's mutex make it: its token, and the lease.
pub(super) fn lock(etcd: &Etcd, name: &str) -> (String, String) {
    let said = etcd.etcdctl_ok(&["lease", "grant", "300"]);
    let lease = said.split_whitespace().nth(1).unwrap().to_owned();
    let key = format!("{name}/{lease}");
    etcd.etcdctl_ok(&["put", "--lease", &lease, &key, ""]);
    let held = kvadm(etcd, ["-o", "json", "get", &key]).run().ok().json();
    (format!("{key}@{}", held["create_revision"]), lease)
}

#[test]
fn one_key_prints_the_exact_bytes_and_a_newline() {
    let (etcd, at) = (shared(), unique_prefix());
    let every: Vec<u8> = (0..=255).collect();
    let values: [&[u8]; 6] = [b"plain", b"", b"\0", b"two\nlines\n", b"\xff\xfe\x00\x80", &every];
    for (index, value) in values.iter().enumerate() {
        let key = format!("{at}{index}");
        put(etcd, &key, value);
        kvadm(etcd, ["get", &key]).run().ok().err_empty().out_bytes(&[value, &b"\n"[..]].concat());
        kvadm(etcd, ["get", &key, "-o", "raw"]).run().ok().err_empty().out_bytes(value);
    }
}

#[test]
fn the_json_record_is_the_contract() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    let (first, second) = (put(etcd, &key, "one"), put(etcd, &key, "two"));
    let line = format!(
        "{{\"key\":\"{key}\",\"value\":\"two\",\"create_revision\":{first},\"mod_revision\":{second},\"version\":2}}\n"
    );
    kvadm(etcd, ["get", &key, "-o", "json"]).run().ok().err_empty().out(&line);

    let key = [at.as_bytes(), b"\xff\x00"].concat();
    kvadm(etcd, ["put", "--escape", &format!("{at}\\xff\\0"), "-"]).stdin(b"\x80").run().ok();
    let record = kvadm(etcd, ["get", "--escape", &format!("{at}\\xff\\0"), "-o", "json"]).run().ok().json();
    let base64 = |bytes: &[u8]| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    assert_eq!(record["key_base64"], base64(&key));
    assert_eq!(record["value_base64"], "gA==");
    assert!(record.get("key").is_none() && record.get("value").is_none() && record.get("lease").is_none(), "{record}");
}

#[test]
fn the_lease_is_hex_as_etcdctl_prints_it() {
    let (etcd, at) = (shared(), unique_prefix());
    let (token, lease) = lock(etcd, &format!("{at}lock"));
    let key = token.rsplit_once('@').unwrap().0;
    let record = kvadm(etcd, ["get", key, "-o", "json"]).run().ok().json();
    // etcdctl pads with zeros.
    assert_eq!(record["lease"], lease.trim_start_matches('0'));
}

#[test]
fn many_keys_come_in_the_order_asked_and_at_one_revision() {
    let (etcd, at) = (shared(), unique_prefix());
    let keys: Vec<String> = (0..300).map(|n| format!("{at}{n}")).collect();
    let lines: String = keys.iter().map(|key| format!("{{\"key\":\"{key}\",\"value\":\"v{key}\"}}\n")).collect();
    kvadm(etcd, ["put", "--from", "-"]).stdin(lines).run().ok();
    // More than the 128 operations of one transaction, backwards, and one of them twice.
    let mut asked: Vec<&String> = keys.iter().rev().collect();
    asked.push(&keys[5]);
    let expected: String = asked.iter().map(|key| format!("{key}\tv{key}\n")).collect();
    kvadm(etcd, ["get"]).args(&asked).run().ok().err_empty().out(&expected);
    let records = kvadm(etcd, ["get", "-o", "json"]).args(&asked).run().ok().json_lines();
    assert_eq!(records.len(), 301);
}

/// A writer moves two far-apart keys together; a reader of many keys never sees one of them moved without the other.
#[test]
fn more_keys_than_fit_a_transaction_are_never_of_two_revisions() {
    let (etcd, at) = (shared(), unique_prefix());
    let keys: Vec<String> = (0..300).map(|n| format!("{at}{n:03}")).collect();
    let both = |n: u32| {
        let put = |key: &String| format!("{{put: {{key: {key}, value: '{n}'}}}}");
        let txn = format!("then: [{}, {}]", put(&keys[0]), put(&keys[299]));
        kvadm(etcd, ["txn", "-"]).stdin(txn).run().ok();
    };
    both(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..25).for_each(both));
        let mut looked = 0;
        while !writer.is_finished() || looked < 3 {
            let run = kvadm(etcd, ["get", "-o", "json", "-q"]).args(&keys).run();
            let records = run.code(1).json_lines();
            assert_eq!(records.len(), 2);
            assert_eq!(records[0]["mod_revision"], records[1]["mod_revision"], "{records:?}");
            looked += 1;
        }
    });
}

#[test]
fn values_of_many_mib_come_in_one_command() {
    let (etcd, at) = (shared(), unique_prefix());
    let keys: Vec<String> = (0..22).map(|n| format!("{at}{n:02}")).collect();
    for (key, letter) in keys.iter().zip('a'..) {
        put(etcd, key, letter.to_string().repeat(1 << 20));
    }
    let run = kvadm(etcd, ["get", "-o", "raw"]).args(&keys).run();
    run.ok().err_empty();
    let expected: String = ('a'..='v').map(|letter| letter.to_string().repeat(1 << 20)).collect();
    assert!(run.stdout == expected.as_bytes(), "{} bytes came", run.stdout.len());
}

/// A server may be told to take requests of any size; what it stores can be read.
#[test]
fn one_value_of_twenty_mib_is_read() {
    let etcd = Etcd::options().arg("--max-request-bytes=33554432").start();
    let value = vec![b'x'; 20 << 20];
    put(&etcd, "/b", &value);
    put(&etcd, "/a", "small");
    for args in [&["get", "/b", "-o", "raw"][..], &["list", "/b", "-o", "raw"]] {
        let run = kvadm(&etcd, args).run();
        assert!(run.ok().err_empty().stdout == value, "{args:?}: {} bytes", run.stdout.len());
    }
    let both = kvadm(&etcd, ["list", "/", "-o", "raw"]).run();
    assert_eq!(both.ok().stdout.len(), (20 << 20) + 5);
}

/// The transaction is done when its answer turns out to be too large: that is no refusal.
#[test]
fn a_write_whose_answer_is_too_large_is_not_called_refused() {
    let (etcd, at) = (shared(), unique_prefix());
    for n in 0..17 {
        put(etcd, format!("{at}big/{n}"), vec![b'x'; 1 << 20]);
    }
    let txn = format!("then: [{{get: {{prefix: {at}big/}}}}, {{put: {{key: {at}done, value: yes}}}}]");
    kvadm(etcd, ["txn", "-"]).stdin(txn).run().code(7).out_empty().err_has("too large");
    kvadm(etcd, ["get", &format!("{at}done")]).run().ok();
}

#[test]
fn a_missing_key_is_a_no_with_a_note() {
    let (etcd, at) = (shared(), unique_prefix());
    let (there, missing) = (format!("{at}a"), format!("{at}b\x1b"));
    let rev = put(etcd, &there, "one");
    kvadm(etcd, ["get", &missing])
        .run()
        .code(1)
        .out_empty()
        .err_has(&format!("note: key not found: {at}b\\x1b (revision "));
    kvadm(etcd, ["get", "-q", &missing]).run().code(1).out_empty().err_empty();
    kvadm(etcd, ["get", &missing, "-o", "json"]).run().code(1).out_empty();
    let line = format!("{there}\tone\n");
    kvadm(etcd, ["get", &there, &missing]).run().code(1).out(&line).err_has("key not found: ");
    kvadm(etcd, ["get", "--rev", &(rev - 1).to_string(), &there])
        .run()
        .code(1)
        .out_empty()
        .err_has(&format!("(revision {})", rev - 1));
}

#[test]
fn earlier_revisions_are_read() {
    let (etcd, at) = (shared(), unique_prefix());
    let (a, b) = (format!("{at}a"), format!("{at}b"));
    let first = put(etcd, &a, "one");
    put(etcd, &b, "other");
    kvadm(etcd, ["put", &a, "two"]).run().ok();
    kvadm(etcd, ["get", &a, "--rev", &first.to_string()]).run().ok().out("one\n");
    let rev = first.to_string();
    kvadm(etcd, ["get", &a, &b, "--rev", &rev])
        .run()
        .code(1)
        .out(&format!("{a}\tone\n"))
        .err_has(&format!("key not found: {b} (revision {rev})"));
}

#[test]
fn revisions_that_are_not_there_are_refused_with_what_to_do() {
    let etcd = Etcd::start();
    let first = put(&etcd, "/a", "one");
    let last = put(&etcd, "/a", "two");
    kvadm(&etcd, ["get", "/a", "--rev", "1000000"])
        .run()
        .code(4)
        .out_empty()
        .err_has("error: ")
        .err_has("hint: ")
        .err_has("status --revision");
    kvadm(&etcd, ["get", "/a", "/b", "--rev", "1000000"]).run().code(4).out_empty().err_has("status --revision");
    etcd.etcdctl_ok(&["compact", &last.to_string()]);
    let rev = first.to_string();
    kvadm(&etcd, ["get", "/a", "--rev", &rev]).run().code(4).out_empty().err_has("compacted").err_has("hint: ");
    let error = kvadm(&etcd, ["get", "/a", "--rev", &rev, "-o", "json"]).run().code(4).out_empty().err_json();
    assert_eq!(error["exit_code"], 4);
    assert!(error["hints"][0].as_str().unwrap().contains("--rev"), "{error}");
    kvadm(&etcd, ["get", "/a", "--rev", &last.to_string()]).run().ok().out("two\n");
}

#[test]
fn wrong_usage_is_said_before_anything_is_dialled() {
    let run = |args: &[&str]| Kvadm::new().args(["--endpoints", "127.0.0.1:1", "get"]).args(args).run();
    run(&[]).code(2).out_empty().err_has("KEY");
    run(&["/a", "--rev", "0"])
        .code(2)
        .out_empty()
        .err_has("revisions start at 1; omit the option for the current revision");
    run(&["/a", "--rev=-1"])
        .code(2)
        .out_empty()
        .err_has("revisions start at 1; omit the option for the current revision");
    run(&["/a", "--rev", "x"]).code(2).out_empty();
    run(&[""]).code(2).out_empty().err_has("the key is empty").err_has("hint: ");
    run(&["/a", ""]).code(2).out_empty().err_has("the key is empty");
    run(&["/a", "--history=0"]).code(2).out_empty();
    run(&["/a", "/b", "--history"]).code(2).out_empty().err_has("one key");
    run(&["--escape", "/a\\q"]).code(2).out_empty().err_has("--escape: invalid escape at byte 2");
    run(&["--escape", "/a\\x1"]).code(2).out_empty().err_has("two hex digits");
    for bad in ["", "@5", "/lock", "/lock@", "/lock@0", "/lock@-3", "/lock@x", "/lo\\qck@5"] {
        run(&["/a", &format!("--if-locked={bad}")]).code(2).out_empty().err_has("LOCKKEY@REVISION");
    }
    run(&["/a", "--if-locked"]).code(2).out_empty().err_has("KVADM_LOCK is not set").err_has("hint: ");
}

#[test]
fn keys_are_bytes_with_and_without_escapes() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = [at.as_bytes(), b"\xff\t\\x41"].concat();
    put(etcd, &key, "raw");
    kvadm(etcd, ["get"]).arg(OsStr::from_bytes(&key)).run().ok().out("raw\n");
    kvadm(etcd, ["get", "--escape", &format!("{at}\\xff\\t\\\\x41")]).run().ok().out("raw\n");
    kvadm(etcd, ["get", &format!("{at}\\xff\\t\\\\x41")]).run().code(1);
    put(etcd, format!("{at}-dash"), "x");
    kvadm(etcd, ["--namespace", &at, "get", "--", "-dash"]).run().ok().out("x\n");
}

#[test]
fn the_history_stops_where_it_was_compacted_and_says_so() {
    let etcd = Etcd::start();
    let revs: Vec<i64> = (0..5).map(|n| put(&etcd, "/a", format!("v{n}"))).collect();
    etcd.etcdctl_ok(&["compact", &revs[2].to_string()]);
    let run = kvadm(&etcd, ["get", "/a", "--history"]).run();
    run.ok().out("/a\tv4\n/a\tv3\n/a\tv2\n").err_has(&format!("revisions before {} have been compacted", revs[2]));
    kvadm(&etcd, ["get", "/a", "--history", "-q"]).run().ok().out("/a\tv4\n/a\tv3\n/a\tv2\n").err_empty();
    kvadm(&etcd, ["get", "/a", "--history=3"]).run().ok().err_empty();
    kvadm(&etcd, ["get", "/a", "--history", "--rev", &revs[1].to_string()])
        .run()
        .code(4)
        .out_empty()
        .err_has("compacted");
}

#[test]
fn under_a_lock_it_reads_only_while_the_lock_is_held() {
    let (etcd, at) = (shared(), unique_prefix());
    let (a, b) = (format!("{at}a"), format!("{at}b"));
    put(etcd, &a, "one");
    let (token, lease) = lock(etcd, &format!("{at}lock"));
    let guard = format!("--if-locked={token}");
    kvadm(etcd, ["get", &a, &guard]).run().ok().out("one\n").err_empty();
    kvadm(etcd, ["get", &a, &b, &guard])
        .run()
        .code(1)
        .out(&format!("{a}\tone\n"))
        .err_has(&format!("key not found: {b}"));
    kvadm(etcd, ["get", &a, "--if-locked"]).env("KVADM_LOCK", &token).run().ok().out("one\n");
    // The variable alone guards nothing.
    let lost = format!("{at}no-lock@5");
    kvadm(etcd, ["get", &a]).env("KVADM_LOCK", &lost).run().ok().out("one\n");
    // The token names an absolute key; only the keys are inside the namespace.
    kvadm(etcd, ["--namespace", &at, "get", "a", &guard]).run().ok().out("one\n");

    let (key, rev) = token.rsplit_once('@').unwrap();
    let next = rev.parse::<i64>().unwrap() + 1;
    kvadm(etcd, ["get", &a, &format!("--if-locked={key}@{next}")]).run().code(5).out_empty().err_has("lock");
    kvadm(etcd, ["get", &a, "--if-locked"]).env("KVADM_LOCK", &lost).run().code(5).out_empty();
    etcd.etcdctl_ok(&["lease", "revoke", &lease]);
    kvadm(etcd, ["get", &a, &guard]).run().code(5).out_empty().err_has(key).err_has("hint: ");
    let error = kvadm(etcd, ["get", &a, &b, &guard, "-o", "json"]).run().code(5).out_empty().err_json();
    assert_eq!(error["exit_code"], 5);
}

/// The lock is lost, and the bare option has to find that out, whatever the verb.
#[test]
fn a_bare_if_locked_guards_every_verb() {
    let (etcd, at) = (shared(), unique_prefix());
    let key = format!("{at}a");
    put(etcd, &key, "one");
    let record = format!("{{\"key\":\"{key}\",\"value\":\"two\"}}\n");
    let txn = format!("then: [{{put: {{key: {key}, value: two}}}}]");
    let verbs: [(&[&str], &str); 8] = [
        (&["get", &key], ""),
        (&["list", &at], ""),
        (&["list", &at, "--count"], ""),
        (&["put", &key, "two"], ""),
        (&["put", "--from", "-"], &record),
        (&["delete", &key], ""),
        (&["delete", "--prefix", &at, "--yes"], ""),
        (&["txn", "-"], &txn),
    ];
    for (args, stdin) in verbs {
        let guarded = || kvadm(etcd, args).arg("--if-locked").stdin(stdin);
        guarded().run().code(2).out_empty().err_has("KVADM_LOCK");
        guarded().env("KVADM_LOCK", format!("{at}lock@7")).run().code(5).out_lacks("two");
    }
    kvadm(etcd, ["get", &key]).run().ok().out("one\n");
}

#[test]
fn a_lock_token_is_escaped_and_split_at_its_last_at() {
    let (etcd, at) = (shared(), unique_prefix());
    let rev = put(etcd, [at.as_bytes(), b"me@home\\\xff"].concat(), "");
    put(etcd, format!("{at}a"), "one");
    let token = format!("{at}me@home\\\\\\xff@{rev}");
    kvadm(etcd, ["get", &format!("{at}a"), &format!("--if-locked={token}")]).run().ok().out("one\n");
}

#[test]
fn a_namespace_is_put_before_and_taken_off() {
    let (etcd, at) = (shared(), unique_prefix());
    put(etcd, format!("{at}app/mode"), "blue");
    let namespace = format!("{at}app");
    kvadm(etcd, ["--namespace", &namespace, "get", "/mode"]).run().ok().out("blue\n");
    let record = kvadm(etcd, ["--namespace", &namespace, "get", "/mode", "-o", "json"]).run().ok().json();
    assert_eq!(record["key"], "/mode");
    kvadm(etcd, ["--namespace", &namespace, "get", "/other"]).run().code(1).err_has("key not found: /other");
    kvadm(etcd, ["--namespace", &namespace, "get", ""]).run().code(1).err_has("key not found: '' (");
    kvadm(etcd, ["--namespace", &namespace, "get", "/mode", "/mode", "--history"]).run().code(2);
    kvadm(etcd, ["--namespace", &namespace, "get", "/mode", "--history"]).run().ok().out("/mode\tblue\n");
}
