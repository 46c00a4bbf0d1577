//! `put` of one key: its conditions, its leases, its values.

use serde_json::json;

use super::support::{Etcd, Kvadm, Run, shared, unique_prefix};

fn put(args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(shared()).arg("put").args(args)
}

fn value(key: &str) -> Option<String> {
    shared().held(key).map(|held| held.text())
}

/// Refused with 5 and these words, and nothing was written.
#[track_caller]
fn refused(key: &str, args: &[&str], words: &[&str]) {
    let before = shared().held(key);
    let run = put(&[&[key, "new"], args].concat()).run();
    run.code(5).out_empty().err_has(&format!("error: condition failed; {key} was not written"));
    for word in words {
        run.err_has(word);
    }
    assert_eq!(shared().held(key), before, "{args:?} changed something");
}

/// Written, once.
#[track_caller]
fn written(key: &str, args: &[&str]) -> i64 {
    let version = shared().held(key).map_or(0, |held| held.version);
    let run = put(&[&[key, "new"], args].concat()).run();
    let now = shared().held(key).unwrap();
    run.ok().err_empty().out(&format!("written\t{key}\t{}\n", now.modified));
    assert_eq!((now.text().as_str(), now.version), ("new", version + 1));
    now.modified
}

#[test]
fn create_and_update() {
    let p = unique_prefix();
    let (missing, there) = (format!("{p}missing"), format!("{p}there"));
    refused(&missing, &["--update"], &[&format!("caused by: {missing} does not exist")]);
    let first = written(&there, &["--create"]);
    let words = format!("caused by: {there} already exists (created in revision {first}, last modified in {first})");
    refused(&there, &["--create"], &[&words]);
    let second = written(&there, &["--update"]);
    let words = format!("{there} already exists (created in revision {first}, last modified in {second})");
    refused(&there, &["--create"], &[&words]);
}

#[test]
fn if_rev_and_if_value() {
    let p = unique_prefix();
    let (missing, key) = (format!("{p}missing"), format!("{p}key"));
    let rev = written(&key, &[]);
    let (right, wrong) = (rev.to_string(), (rev + 1).to_string());
    refused(&key, &["--if-rev", &wrong], &[&format!("{key} was last modified in revision {rev}, not {wrong}")]);
    refused(&missing, &["--if-rev", &right], &[&format!("{missing} does not exist")]);
    refused(&key, &["--if-value", "other"], &[&format!("{key} has another value (since revision {rev})")]);
    refused(&key, &["--if-value", ""], &["has another value"]);
    refused(&missing, &["--if-value", ""], &["does not exist"]);
    written(&key, &["--if-rev", &right]);
    refused(&key, &["--if-rev", &right], &["was last modified in revision"]);
    written(&key, &["--if-value", "new"]);
    put(&[&key, "--", "-x"]).run().ok();
    written(&key, &["--if-value=-x"]);
}

#[test]
fn if_exists_another_key() {
    let p = unique_prefix();
    let (key, other) = (format!("{p}key"), format!("{p}other"));
    refused(&key, &["--if-exists", &other], &[&format!("caused by: {other} does not exist")]);
    written(&other, &[]);
    written(&key, &["--if-exists", &other]);
    Kvadm::new().endpoint(shared()).args(["delete", &other]).run().ok();
    refused(&key, &["--if-exists", &other], &[&format!("caused by: {other} does not exist")]);
}

#[test]
fn conditions_combine_and_each_failed_one_is_named() {
    let p = unique_prefix();
    let (key, other) = (format!("{p}key"), format!("{p}other"));
    let rev = written(&key, &[]);
    let (right, wrong) = (rev.to_string(), (rev + 7).to_string());
    refused(
        &key,
        &["--update", "--if-rev", &wrong, "--if-value", "x", "--if-exists", &other, "--if-different"],
        &[&format!("not {wrong}"), "has another value", &format!("{other} does not exist")],
    );
    refused(&key, &["--if-rev", &right, "--if-value", "x"], &["has another value"]);
    refused(&key, &["--if-rev", &right, "--if-value", "new", "--if-exists", &other], &["other does not exist"]);
    written(&other, &[]);
    written(&key, &["--update", "--if-rev", &right, "--if-value", "new", "--if-exists", &other]);
    refused(&format!("{p}fresh"), &["--create", "--if-exists", &format!("{p}no")], &["no does not exist"]);
    written(&format!("{p}fresh"), &["--create", "--if-exists", &other]);
}

#[test]
fn if_different_says_whether_it_wrote() {
    let key = format!("{}key", unique_prefix());
    let first = written(&key, &["--if-different"]);
    put(&[&key, "new", "--if-different"]).run().ok().err_empty().out(&format!("unchanged\t{key}\t{first}\n"));
    let run = put(&[&key, "new", "--if-different", "-o", "json"]).run();
    run.ok().err_empty();
    let wanted = json!({"outcome": "unchanged", "key": key, "mod_revision": first});
    assert_eq!(run.json(), wanted);
    assert_eq!(shared().held(&key).unwrap().modified, first);
    let run = put(&[&key, "other", "--if-different", "-o", "json"]).run();
    let second = shared().held(&key).unwrap();
    assert_eq!(run.json(), json!({"outcome": "written", "key": key, "mod_revision": second.modified}));
    assert_eq!((second.text().as_str(), second.version), ("other", 2));

    // With a lease, the lease counts too.
    let lease = shared().grant(300);
    put(&[&key, "other", "--if-different", "--lease", &lease]).run().ok().out_has("written\t");
    let third = shared().held(&key).unwrap();
    assert_eq!(third.lease.as_ref(), Some(&lease));
    let run = put(&[&key, "other", "--if-different", "--lease", &lease, "-o", "json"]).run();
    assert_eq!((run.json()["outcome"].clone(), run.json()["lease"].clone()), (json!("unchanged"), json!(lease)));
    // Without one it does not: what has the value is left alone, lease and all.
    put(&[&key, "other", "--if-different"]).run().ok().out_has("unchanged\t");
    assert_eq!(shared().held(&key).unwrap(), third);
}

#[test]
fn values_come_from_the_command_line_stdin_or_a_file() {
    let p = unique_prefix();
    let key = format!("{p}key");
    put(&[&key, "-"]).stdin(b"\x00\xff\nfrom stdin\n").run().ok();
    assert_eq!(shared().held(&key).unwrap().value, b"\x00\xff\nfrom stdin\n");
    put(&[&key, "-"]).run().ok();
    assert_eq!(value(&key).unwrap(), "");
    for text in ["-5", "", " ", "a\\tb"] {
        put(&[&key, text]).run().ok();
        assert_eq!(value(&key).unwrap(), text);
    }
    put(&["--", &key, "--create"]).run().ok();
    assert_eq!(value(&key).unwrap(), "--create");

    let folder = tempfile::tempdir().unwrap();
    let binary: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    std::fs::write(folder.path().join("value"), &binary).unwrap();
    std::fs::write(folder.path().join("dash"), "-").unwrap();
    put(&[&key, "--file", "value"]).folder(folder.path()).run().ok();
    assert_eq!(shared().held(&key).unwrap().value, binary);
    put(&[&key, "--file", "dash"]).folder(folder.path()).run().ok();
    assert_eq!(value(&key).unwrap(), "-");
    put(&[&key, "--file", "none"]).folder(folder.path()).run().code(2).err_has("cannot read none: No such file");
    put(&[&key, "--file", "."]).folder(folder.path()).run().code(2).err_has("cannot read .: ");
    assert_eq!(value(&key).unwrap(), "-");

    let odd = format!("{p}a\tb\u{1}");
    put(&["--escape", &format!("{p}a\\tb\\x01"), "x\\t"]).run().ok().out_has(&format!("written\t{p}a\\tb\\x01\t"));
    assert_eq!(value(&odd).unwrap(), "x\\t", "--escape is about keys");
}

#[test]
fn a_ttl_gets_a_lease_of_its_own() {
    let key = format!("{}key", unique_prefix());
    let run = put(&[&key, "v", "--ttl", "1m", "-o", "json"]).run();
    run.ok().err_empty();
    let held = shared().held(&key).unwrap();
    let lease = held.lease.unwrap();
    assert_eq!(
        run.json(),
        json!({"outcome": "written", "key": key, "mod_revision": held.modified, "lease": lease, "ttl": 60})
    );
    assert!(shared().etcdctl_ok(&["lease", "timetolive", &lease]).contains("granted with TTL(60s)"));

    for bad in ["0s", "500ms", "-1s", "1", "x"] {
        put(&[&key, "no", &format!("--ttl={bad}")]).run().code(2).out_empty().err_has("--ttl");
    }
    assert_eq!(value(&key).unwrap(), "v");
    put(&[&key, "v"]).run().ok();
    assert_eq!(shared().held(&key).unwrap().lease, None, "a plain put takes the lease off");
}

#[test]
fn the_ttl_that_was_granted_is_told() {
    // Its elections take longer, and so do its shortest leases.
    let slow = Etcd::options().arg("--election-timeout=1000").arg("--heartbeat-interval=100").start();
    let run = Kvadm::new().endpoint(&slow).args(["put", "/k", "v", "--ttl", "1s", "-o", "json"]).run();
    run.ok().err_has("note: requested a TTL of 1 s, etcd granted 2 s");
    assert_eq!(run.json()["ttl"], 2);
}

#[test]
fn an_unused_lease_is_revoked() {
    // A server of its own: others grant leases on the shared one.
    let etcd = Etcd::start();
    let put = |args: &[&str]| Kvadm::new().endpoint(&etcd).arg("put").args(args).run();
    put(&["/k", "v"]).ok();
    let lock = etcd.lock_token("/lock/1");
    put(&["/k", "w", "--ttl", "1m", "--create"]).code(5).err_has("already exists");
    put(&["/k", "w", "--ttl", "1m", "--if-rev", "1"]).code(5);
    put(&["/k", "w", "--ttl", "1m", &format!("--if-locked={lock}1")]).code(5).err_has("is no longer held");
    put(&["/k", &"x".repeat(100_000), "--ttl", "1m", "--if-value", "no"]).code(5);
    let big = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(big.path(), vec![b'x'; 2 << 20]).unwrap();
    put(&["/k", "--file", big.path().to_str().unwrap(), "--ttl", "1m"]).code(4);
    assert_eq!(etcd.leases(), Vec::<String>::new());
    assert_eq!(etcd.held("/k").unwrap().version, 1);
    put(&["/k", "w", "--ttl", "1m", &format!("--if-locked={lock}")]).ok();
    assert_eq!(etcd.leases(), [etcd.held("/k").unwrap().lease.unwrap()]);
}

#[test]
fn leases_are_attached_kept_and_taken_off() {
    let p = unique_prefix();
    let key = format!("{p}key");
    let lease = shared().grant(300);
    put(&[&key, "a", "--lease", &lease]).run().ok();
    assert_eq!(shared().held(&key).unwrap().lease.as_ref(), Some(&lease));
    let run = put(&[&key, "b", "--keep-lease", "-o", "json"]).run();
    let held = shared().held(&key).unwrap();
    assert_eq!((held.text().as_str(), held.lease.as_ref()), ("b", Some(&lease)));
    assert_eq!(run.ok().json()["lease"], json!(lease), "the answer says which lease was kept");
    let run = put(&[&key, "b2", "--keep-lease", "--if-different", "-o", "json"]).run();
    assert_eq!((run.json()["lease"].clone(), run.json()["outcome"].clone()), (json!(lease), json!("written")));
    put(&[&key, "c"]).run().ok();
    assert_eq!(shared().held(&key).unwrap().lease, None);
    let run = put(&[&key, "d", "--keep-lease", "-o", "json"]).run();
    assert_eq!(run.ok().json().get("lease"), None);
    assert_eq!((value(&key).unwrap().as_str(), shared().held(&key).unwrap().lease), ("d", None));
    let fresh = format!("{p}fresh");
    put(&[&fresh, "e", "--keep-lease"]).run().ok();
    assert_eq!(value(&fresh).unwrap(), "e");
    refused(&format!("{p}no"), &["--keep-lease", "--update"], &["does not exist"]);

    put(&[&key, "f", "--lease", &format!("0x{lease}")]).run().ok();
    assert_eq!(shared().held(&key).unwrap().lease.as_ref(), Some(&lease));
    put(&[&key, "g", "--lease", "123abc"]).run().code(4).out_empty().err_has("requested lease not found");
    put(&[&key, "g", "--lease", "xyz"]).run().code(2).err_has("a lease ID is a hex number, such as 694d7c5a1b2c3d4e");
    put(&[&key, "g", "--lease", "0"]).run().code(2).err_has("0 is not a valid lease ID");
    assert_eq!(value(&key).unwrap(), "f");
}

fn file_of(size: usize, byte: u8) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![byte; size]).unwrap();
    file
}

#[test]
fn values_that_are_too_large_are_refused() {
    let key = format!("{}key", unique_prefix());
    for size in [2 << 20, 3 << 20] {
        let file = file_of(size, b'x');
        let path = file.path().to_str().unwrap();
        for more in [&[][..], &["--if-different"], &["--create"]] {
            let run = put(&[&[&key, "--file", path], more].concat()).run();
            run.code(4).out_empty().err_has("--max-request-bytes");
        }
        let run = put(&[&key, "-"]).stdin(vec![b'x'; size]).run();
        run.code(4).out_empty().err_has("error: etcd refused 'put'");
    }
    assert_eq!(value(&key), None);
}

#[test]
fn large_values_are_compared_by_revision() {
    let p = unique_prefix();
    let (key, other) = (format!("{p}key"), format!("{p}other"));
    let (one, two) = (file_of(1 << 20, b'1'), file_of(1 << 20, b'2'));
    let (one, two) = (one.path().to_str().unwrap(), two.path().to_str().unwrap());
    put(&[&key, "--file", one, "--if-different"]).run().ok().out_has("written\t");
    let first = shared().held(&key).unwrap();
    put(&[&key, "--file", one, "--if-different"]).run().ok().out(&format!("unchanged\t{key}\t{}\n", first.modified));
    // Being so already does not excuse the other conditions.
    let wrong = (first.modified + 1).to_string();
    let run = put(&[&key, "--file", one, "--if-different", "--if-rev", &wrong]).run();
    run.code(5).out_empty().err_has(&format!("not {wrong}"));
    put(&[&key, "--file", one, "--if-different", "--create"]).run().code(5).err_has("already exists");
    put(&[&key, "--file", one, "--if-different", "--if-exists", &other]).run().code(5).err_has("other does not exist");
    assert_eq!(shared().held(&key).unwrap(), first);
    let right = first.modified.to_string();
    put(&[&key, "--file", one, "--if-different", "--if-rev", &right]).run().ok().out_has("unchanged\t");
    put(&[&key, "--file", two, "--if-different", "--if-rev", &right]).run().ok().out_has("written\t");
    let second = shared().held(&key).unwrap();
    assert_eq!((second.value[0], second.version), (b'2', 2));

    // --if-value of what one argument can hold, beside a value that fills the request.
    let part = "3".repeat(100_000);
    let full = file_of((3 << 19) - 50_000, b'4');
    let full = full.path().to_str().unwrap();
    put(&[&key, &part]).run().ok();
    put(&[&key, "--file", full, "--if-value", "3"]).run().code(5).err_has("has another value");
    put(&[&other, "--file", full, "--if-value", &part]).run().code(5).err_has("does not exist");
    put(&[&key, "--file", full, "--if-value", &part]).run().ok().out_has("written\t");
    assert_eq!(shared().held(&key).unwrap().value.len(), (3 << 19) - 50_000);
}

#[test]
fn wrong_usage_writes_nothing() {
    let key = format!("{}key", unique_prefix());
    let usage = |args: &[&str], words: &str| {
        let run = put(args).run();
        run.code(2).out_empty().err_has(words);
    };
    usage(&[], "KEY");
    usage(&[&key], "VALUE");
    usage(&["", "v"], "the key is empty");
    usage(&[&key, "v", "more"], "more");
    usage(&[&key, "v", "--file", "f"], "cannot be used with");
    usage(&[&key, "v", "--create", "--update"], "cannot be used with");
    usage(&[&key, "v", "--create", "--if-rev", "3"], "cannot be used with");
    usage(&[&key, "v", "--create", "--if-value", "3"], "cannot be used with");
    usage(&[&key, "v", "--create", "--keep-lease"], "cannot be used with");
    usage(&[&key, "v", "--ttl", "5s", "--lease", "1f"], "cannot be used with");
    usage(&[&key, "v", "--ttl", "5s", "--keep-lease"], "cannot be used with");
    usage(&[&key, "v", "--ttl", "5s", "--if-different"], "cannot be used with");
    usage(&[&key, "v", "--lease", "1f", "--keep-lease"], "cannot be used with");
    usage(&[&key, "v", "--from", "f"], "cannot be used with");
    usage(&["--from", "f", "--update"], "cannot be used with");
    usage(&["--from", "f", "--if-rev", "3"], "cannot be used with");
    usage(&[&key, "v", "--if-rev", "0"], "revisions start at 1; omit the option for the current revision");
    usage(&[&key, "v", "--if-rev=-3"], "--if-rev");
    usage(&[&key, "v", "--if-exists", ""], "the key is empty");
    usage(&[&key, "v", "--if-locked"], "KVADM_LOCK is not set");
    usage(&[&key, "v", "--if-locked=nonsense"], "is not LOCKKEY@REVISION");
    usage(&[&key, "v", "--if-locked=/l@0"], "is not LOCKKEY@REVISION");
    usage(&["--escape", "\\q", "v"], "invalid escape at byte 0: use \\xNN, \\t, \\n, \\r, \\0 or \\\\");
    assert_eq!(value(&key), None);
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let p = unique_prefix();
    let (key, missing) = (format!("{p}key"), format!("{p}missing"));
    let rev = written(&key, &[]);
    let said = |run: Run, words: &str| {
        run.ok().out_empty().err_has(words);
    };
    said(put(&[&missing, "v", "--dry-run"]).run(), &format!("dry run: {missing} would be written"));
    said(put(&[&key, "new", "--dry-run", "--if-different"]).run(), "already has this value and would not be written");
    said(put(&[&key, "other", "--dry-run", "--if-different"]).run(), &format!("{key} would be written"));
    said(put(&[&key, "other", "--dry-run", "--ttl", "1m", "--update"]).run(), "would be written");
    put(&[&key, "other", "--dry-run", "--create"]).run().code(5).err_has("already exists");
    put(&[&key, "other", "--dry-run", "--if-rev", "1"]).run().code(5).err_has("not 1");
    assert_eq!(shared().held(&key).unwrap().modified, rev);
    assert_eq!(value(&missing), None);
}

#[test]
fn a_lost_lock_keeps_it_from_writing() {
    let p = unique_prefix();
    let key = format!("{p}key");
    let token = shared().lock_token(&format!("{p}lock"));
    let held = format!("--if-locked={token}");
    put(&[&key, "a", &held]).run().ok();
    put(&[&key, "b", "--if-locked"]).env("KVADM_LOCK", &token).run().ok();
    put(&[&key, "c", "--if-locked", "--if-value", "b"]).env("KVADM_LOCK", &token).run().ok();
    put(&[&key, "no", "--if-locked", "--if-value", "b"])
        .env("KVADM_LOCK", &token)
        .run()
        .code(5)
        .err_has("another value");
    put(&[&key, "no", "--dry-run", &held]).run().ok();
    shared().etcdctl_ok(&["del", &format!("{p}lock")]);
    // Taken again: another create revision, another holder.
    shared().lock_token(&format!("{p}lock"));
    for more in [&[][..], &["--dry-run"], &["--if-different"], &["--create"]] {
        let run = put(&[&[&key, "no", &held], more].concat()).run();
        run.code(5).out_empty().err_has(&format!("the lock {p}lock at revision"));
        put(&[&[&key, "no", "--if-locked"], more].concat()).env("KVADM_LOCK", &token).run().code(5);
    }
    // Without being asked for, a lock in the environment guards nothing.
    put(&[&key, "d"]).env("KVADM_LOCK", &token).run().ok();
    assert_eq!((value(&key).unwrap().as_str(), shared().held(&key).unwrap().version), ("d", 4));
}

#[test]
fn a_namespace_goes_before_every_key_and_not_before_the_lock() {
    let p = unique_prefix();
    let token = shared().lock_token(&format!("{p}lock"));
    let inside = |args: &[&str]| put(args).arg("--namespace").arg(&p);
    let run = inside(&["key", "v", "-o", "json", "--create", &format!("--if-locked={token}")]).run();
    assert_eq!(run.ok().json()["key"], "key");
    assert_eq!(value(&format!("{p}key")).unwrap(), "v");
    inside(&["key", "w", "--create"]).run().code(5).err_has("condition failed; key was not written");
    inside(&["more", "w", "--if-exists", "key"]).run().ok();
    inside(&["more", "w", "--if-exists", &format!("{p}key")]).run().code(5);
    assert_eq!(value("key"), None);
}

#[test]
fn json_holds_any_bytes() {
    let p = unique_prefix();
    let key = format!("{p}\\xff");
    let run = put(&["--escape", &key, "v", "-o", "json"]).run();
    let answer = run.ok().json();
    assert_eq!(answer.get("key"), None);
    let wanted = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, [p.as_bytes(), &[0xff]].concat());
    assert_eq!(answer["key_base64"], json!(wanted));
    let run = put(&["--escape", &key, "v", "-o", "json", "--create"]).run();
    run.code(5).out_empty();
    let error = run.err_json();
    assert_eq!(error["exit_code"], 5);
    assert!(error["error"].as_str().unwrap().ends_with("\\xff was not written"), "{error}");
}

/// A script that closes stdin has no value to give; `< /dev/null` is an empty one.
#[test]
fn a_closed_stdin_is_not_an_empty_value() {
    let key = format!("{}key", unique_prefix());
    let put = |redirected: &str| {
        let kvadm = format!("{} --endpoints {}", env!("CARGO_BIN_EXE_kvadm"), shared().endpoint());
        Kvadm::program("sh").args(["-c", &format!("{kvadm} put {key} - {redirected}")]).run()
    };
    put("<&-").code(2).out_empty().err_has("cannot read stdin: it is closed").err_has("hint: ");
    assert!(shared().held(&key).is_none());
    put("< /dev/null").ok();
    assert_eq!(shared().held(&key).unwrap().value, b"");
}
