//! `snapshot verify`: what it says of good files, compared with etcd itself, and of damaged ones.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::snapshot_save::{etcd_status, run_etcdutl};
use super::support::binary::bbolt;
use super::support::databases::{snapshot, sparse, write};
use super::support::{Etcd, Kvadm, Run};

fn verify(path: &Path, args: &[&str]) -> Run {
    Kvadm::new().args(["snapshot", "verify"]).arg(path).args(args).run()
}

fn report(path: &Path) -> Value {
    verify(path, &["-o", "json"]).ok().json()
}

fn hash_at(path: &Path, revision: i64) -> u64 {
    verify(path, &["-o", "json", "--rev", &revision.to_string()]).ok().json()["hash"].as_u64().unwrap()
}

/// The answer of a member: hash, compact revision, revision of the store.
fn live_hash(etcd: &Etcd, revision: i64) -> (u64, i64, i64) {
    let text = etcd.etcdctl_ok(&["endpoint", "hashkv", "--rev", &revision.to_string(), "-w", "json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    let hash = &answer[0]["HashKV"];
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    (hash["hash"].as_u64().unwrap(), number(&hash["compact_revision"]), number(&hash["header"]["revision"]))
}

fn save(etcd: &Etcd, path: &Path) {
    Kvadm::new().endpoint(etcd).args(["snapshot", "save"]).arg(path).run().ok();
}

/// Compacts, and waits until the old revisions are removed.
fn compact(etcd: &Etcd, revision: i64) {
    Kvadm::new().endpoint(etcd).args(["compact", &revision.to_string(), "--yes"]).run().ok();
}

/// The hashes that each version computed before the snapshot was made, for revisions 9 to 13. Revision 8 was compacted.
const HASHES: [(&str, [u64; 5]); 4] = [
    ("3.4", [4048352188, 1767568153, 939427814, 2752216440, 483801601]),
    ("3.5", [2020994421, 1767568153, 1942521658, 3084427884, 2153832528]),
    ("3.6", [3818998202, 1767568153, 3917864437, 470707711, 2651902702]),
    ("3.7", [2695499812, 1767568153, 803836122, 2770336724, 269683803]),
];

#[test]
fn snapshots_of_every_version_are_proved() {
    for (version, hashes) in HASHES {
        let path = snapshot(version);
        let run = verify(&path, &["-o", "json"]);
        let found = run.ok().err_empty().json();
        let bytes = fs::read(&path).unwrap();
        let sha256: String =
            digest(&SHA256, &bytes[..bytes.len() - 32]).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        for (field, value) in [
            ("file", json!(path.to_str().unwrap())),
            ("result", json!("intact")),
            ("damages", json!(0)),
            ("damage", json!([])),
            ("sha256_state", json!("verified")),
            ("sha256", json!(sha256)),
            ("hash", json!(hashes[4])),
            ("hash_revision", json!(13)),
            ("compact_revision", json!(8)),
            ("compacted", Value::Null),
            ("revision", json!(13)),
            ("revisions", json!(9)),
            ("keys", json!(4)),
            ("tombstones", json!(2)),
            ("leases", json!(2)),
            ("size", json!(bytes.len())),
            ("page_size", json!(4096)),
            ("cluster_version", json!(format!("{version}.0"))),
            ("auth", json!(true)),
            ("users", json!(2)),
            ("roles", json!(2)),
            ("alarms", json!([])),
        ] {
            assert_eq!(found[field], value, "{version}: {field}");
        }
        let is_new = ["3.6", "3.7"].contains(&version);
        assert_eq!(found["storage_version"], if is_new { json!(format!("{version}.0")) } else { Value::Null });
        assert_eq!(found["term"], if version == "3.4" { Value::Null } else { json!(2) });
        assert!(found["index"].as_u64().unwrap() > 20, "{found}");
        assert_eq!(found["members"][0]["name"], "fixture", "{found}");
        assert!(found["members"][0]["peer_urls"][0].as_str().unwrap().starts_with("http://127.0.0.1:"));
        for (revision, hash) in (9..).zip(hashes) {
            assert_eq!(hash_at(&path, revision), hash, "{version}: revision {revision}");
        }
    }
}

#[test]
fn pages_of_16_kib_nested_buckets_and_a_stored_list_of_free_pages() {
    let folder = tempfile::tempdir().unwrap();
    for (name, page_bytes) in [("page-16k", 16384), ("nested", 4096)] {
        let path = write(folder.path(), name, &sparse(name));
        let found = verify(&path, &["-o", "json"]);
        found.ok().err_has("values cannot be proved: the file has no SHA-256");
        let found = found.json();
        let wanted = json!(["unproved", "absent", HASHES[1].1[4], page_bytes, 4, 9, null]);
        let fields = ["result", "sha256_state", "hash", "page_size", "keys", "revisions", "sha256"];
        assert_eq!(json!(fields.map(|field| found[field].clone())), wanted, "{name}");
        for (revision, hash) in (9..).zip(HASHES[1].1) {
            assert_eq!(hash_at(&path, revision), hash, "{name}: revision {revision}");
        }
    }
}

#[test]
fn a_compaction_that_had_only_begun_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "db", &sparse("unfinished-compaction"));
    let run = verify(&path, &["-o", "json"]);
    run.ok().err_has("note: a compaction at revision 12 had begun; etcd completes it when it starts");
    let found = run.json();
    assert_eq!(json!([found["compact_revision"], found["compacted"], found["hash"]]), json!([12, 8, 1356135937]));
    assert_eq!(found["keys"], 4);
    assert_eq!(hash_at(&path, 12), 152912076);
    let run = verify(&path, &["--rev", "11"]);
    run.code(4).out_empty().err_has("error: revision 11 was compacted; the compact revision of the file is 12");
    let run = verify(&path, &["--rev", "14"]);
    run.code(4).out_empty().err_has("error: revision 14 is in the future; the latest revision of the file is 13");
}

#[test]
fn the_hash_is_that_of_the_member_at_every_revision() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let put = |key: &str, value: &str| drop(etcd.etcdctl_ok(&["put", key, value]));
    for round in 0..3 {
        for key in ["/a", "/b", "/c/d"] {
            put(key, &format!("{key}{round}"));
        }
        etcd.etcdctl_ok(&["del", "/b"]);
    }
    let compare = |name: &str, from: i64| {
        let path = folder.path().join(name);
        save(&etcd, &path);
        let found = report(&path);
        let latest = found["revision"].as_i64().unwrap();
        for revision in from..=latest {
            let (hash, compacted, now) = live_hash(&etcd, revision);
            assert_eq!(hash_at(&path, revision), hash, "{name}: revision {revision} of {latest}");
            assert_eq!((found["compact_revision"].as_i64().unwrap(), latest), (compacted.max(0), now), "{name}");
        }
        assert_eq!(found["hash"].as_u64().unwrap(), live_hash(&etcd, 0).0, "{name}");
        if let Some(status) = etcd_status(&etcd, &path) {
            assert_eq!(status["revision"], latest, "{name}");
        }
        found
    };
    let first = compare("never-compacted", 2);
    assert_eq!(json!([first["keys"], first["revisions"], first["tombstones"]]), json!([2, 12, 3]));
    // Revision 9 is a tombstone. At the compact revision itself, members answer differently.
    compact(&etcd, 9);
    compare("compacted", 10);
    put("/a", "newer");
    put("/b", "again");
    etcd.etcdctl_ok(&["del", "/c/d"]);
    compare("changed", 10);
    compact(&etcd, 14);
    etcd.etcdctl_ok(&["defrag"]);
    let last = compare("defragmented", 15);
    assert_eq!(json!([last["keys"], last["compact_revision"]]), json!([2, 14]));
    etcd.etcdctl_ok(&["del", "/", "--prefix"]);
    let empty = compare("empty", 15);
    assert_eq!(json!([empty["keys"], empty["result"]]), json!([0, "intact"]));
}

#[test]
fn etcdutl_and_bbolt_agree() {
    let (etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let Some(bbolt) = bbolt() else { return };
    for n in 0..400 {
        etcd.etcdctl_ok(&["put", &format!("/k/{}", n % 90), &"v".repeat(n % 300)]);
    }
    etcd.etcdctl_ok(&["del", "/k/1", "--prefix"]);
    compact(&etcd, 200);
    let path = folder.path().join("db");
    save(&etcd, &path);
    let found = report(&path);
    // etcdutl writes to the file that it reads.
    let copy = folder.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    let copy = copy.to_str().unwrap();
    let json = |args: &[&str]| serde_json::from_str::<Value>(&run_etcdutl(&etcd, args).expect("etcdutl")).unwrap();
    let status = json(&["snapshot", "status", copy, "-w", "json"]);
    assert_eq!((&status["revision"], &status["totalKey"]), (&found["revision"], &found["keys"]), "{status} {found}");
    for revision in ["0", "201", "300", "402"] {
        let hash = json(&["hashkv", copy, "--rev", revision, "-w", "json"]);
        let wanted =
            if revision == "0" { found["hash"].as_u64().unwrap() } else { hash_at(&path, revision.parse().unwrap()) };
        assert_eq!(hash["hash"], wanted, "revision {revision}: {hash}");
        assert_eq!(hash["compactRevision"], 200, "{hash}");
    }
    let run_bbolt = |command: &str, path: &Path| {
        let output = Command::new(&bbolt).arg(command).arg(path).output().unwrap();
        assert!(output.status.success(), "bbolt {command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let files = ["page-16k", "nested", "unfinished-compaction"].map(|name| write(folder.path(), name, &sparse(name)));
    for path in files.iter().chain([&path]) {
        let found = report(path);
        assert_eq!(run_bbolt("check", path), "OK\n");
        let free =
            run_bbolt("pages", path).lines().filter(|line| line.split_whitespace().nth(1) == Some("free")).count()
                as u64;
        assert_eq!(found["free"].as_u64().unwrap(), free * found["page_size"].as_u64().unwrap(), "{found}");
    }
}

#[test]
fn one_key_and_large_values() {
    let (mut etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    etcd.etcdctl_ok(&["put", "k", "v"]);
    let path = folder.path().join("one");
    save(&etcd, &path);
    let found = report(&path);
    assert_eq!(json!([found["keys"], found["revision"], found["compact_revision"]]), json!([1, 2, 0]));
    let large = write(folder.path(), "large", &vec![b'x'; 1 << 20]);
    for n in 0..3 {
        Kvadm::new().endpoint(&etcd).args(["put", &format!("large/{n}"), "--file"]).arg(&large).run().ok();
    }
    let hash = live_hash(&etcd, 0).0;
    etcd.stop();
    let path = folder.path().join("copy");
    fs::copy(member_database(&etcd), &path).unwrap();
    let run = verify(&path, &["-o", "json"]);
    let found = run.ok().err_has("warning: values cannot be proved").json();
    assert_eq!(json!([found["hash"], found["keys"], found["sha256_state"]]), json!([hash, 4, "absent"]));
    assert!(found["size"].as_u64().unwrap() > 3 << 20, "{found}");
}

/// The database in the data directory of a member.
fn member_database(etcd: &Etcd) -> std::path::PathBuf {
    let mut folders = vec![etcd.dir().to_owned()];
    while let Some(folder) = folders.pop() {
        let candidate = folder.join("member/snap/db");
        if candidate.is_file() {
            return candidate;
        }
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        folders.extend(entries.filter(|path| path.is_dir()));
    }
    panic!("no member/snap/db in {}", etcd.dir().display());
}

#[test]
fn a_member_killed_in_a_compaction_has_the_hash_of_its_file() {
    let (mut etcd, folder) = (Etcd::start(), tempfile::tempdir().unwrap());
    let records = (0..30_000).map(|n| format!("{{\"key\":\"/k/{}\",\"value\":\"{n}\"}}\n", n % 997));
    let rounds: Vec<String> = records.collect();
    for round in rounds.chunks(997) {
        Kvadm::new().endpoint(&etcd).args(["put", "--from", "-"]).stdin(round.concat()).run().ok();
    }
    let latest = live_hash(&etcd, 0).2;
    let before = latest - 20;
    etcd.etcdctl_ok(&["compaction", &before.to_string()]);
    etcd.kill();
    let path = folder.path().join("db");
    fs::copy(member_database(&etcd), &path).unwrap();
    let found = report(&path);
    assert_eq!(found["compact_revision"], before, "{found}");
    assert!(
        found["compacted"].as_i64().is_some_and(|finished| finished < before),
        "the compaction was too fast: {found}"
    );
    assert_eq!(found["keys"], 997);
    etcd.restart();
    assert_eq!(found["hash"].as_u64().unwrap(), live_hash(&etcd, 0).0);
    assert_eq!(hash_at(&path, latest - 10), live_hash(&etcd, latest - 10).0);
}

#[test]
fn text_shows_a_row_for_each_fact() {
    let run = verify(&snapshot("3.6"), &[]);
    let text = run.ok().err_empty().stdout_text();
    let rows: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    for wanted in [("result", "intact"), ("sha256_state", "verified"), ("hash", "2651902702"), ("auth", "yes")] {
        assert!(rows.contains(&wanted), "{wanted:?}: {text}");
    }
    verify(&snapshot("3.6"), &["-q"]).ok().err_empty();
}

#[test]
fn damage_is_named_by_page_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(snapshot("3.5")).unwrap();
    // A value: only the SHA-256 tells.
    let at = bytes.windows(4).position(|window| window == b"blue").unwrap();
    bytes[at] ^= 1;
    let path = write(folder.path(), "value", &bytes);
    let run = verify(&path, &[]);
    run.code(4).out_has("result\tdamaged\n").out_has("sha256_state\tmismatch\n").out_has("damages\t1\n");
    run.err_has("warning: the SHA-256 of the database is ").err_has("value is damaged: its SHA-256 does not match\n");
    run.err_has("hint: use another backup, or save a new one: kvadm snapshot save FILE\n");
    run.err_has("the structure of the database is intact").err_has("head -c -32 ").err_has("/value > COPY\n");
    let path = write(folder.path(), "value-without-sha256", &bytes[..bytes.len() - 32]);
    verify(&path, &[]).ok().err_has("warning: values cannot be proved");
    // The type of a page.
    let mut bytes = sparse("page-16k");
    let page = (2..8).find(|page| bytes[page * 16384 + 8] == 2 && bytes[page * 16384 + 10] > 5).unwrap();
    bytes[page * 16384 + 8] = 3;
    let path = write(folder.path(), "type", &bytes);
    let run = verify(&path, &["-o", "json"]);
    let found = run.code(4).json();
    let wanted =
        json!([{ "page": page, "offset": page * 16384, "error": "the page has an unknown type (flags 0x0003)" }]);
    assert_eq!(json!([found["damages"], found["damage"], found["result"]]), json!([1, wanted, "damaged"]));
    assert_eq!(json!([found["hash"], found["keys"]]), json!([null, null]));
    run.err_has(&format!("page {page} (offset {}): the page has an unknown type", page * 16384));
    run.err_has("if the file was copied from a running member, copy it again while the member is stopped");
}

#[test]
fn records_that_contradict_their_revision_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let good = sparse("page-16k");
    // The record of revision 9: key, creation 2, change 9, version 4, value.
    let record = b"\x0a\x09/app/mode\x10\x02\x18\x09\x20\x04\x2a\x04blue";
    let at = good.windows(record.len()).position(|window| window == record).unwrap();
    let offset = |byte: u8| at + record.iter().position(|found| *found == byte).unwrap() + 1;
    for (byte, value, wanted) in [
        (0x18, 8, "bucket key: the record of revision 9.0 says that it is of revision 8"),
        (0x10, 10, "bucket key: the record of revision 9.0 has version 4 and creation revision 10"),
        (0x20, 1, "bucket key: the record of revision 9.0 has version 1 and creation revision 2"),
        (0x20, 0, "bucket key: the record of revision 9.0 has version 0 and creation revision 2"),
        (0x0a, 100, "bucket key: the record of revision 9.0 is not readable"),
    ] {
        let mut bytes = good.clone();
        bytes[offset(byte)] = value;
        let path = write(folder.path(), "db", &bytes);
        let run = verify(&path, &[]);
        run.code(4).out_has("damages\t1\n").err_has(&format!("(offset {at}): {wanted}\n")).err_lacks("value cannot");
        run.err_has("db is damaged: 1 problem in its pages\n");
    }
}

#[test]
fn one_meta_page_is_enough_and_the_other_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (page, name, other) in [(0, "first", "second"), (4096, "second", "first")] {
        let mut bytes = fs::read(snapshot("3.5")).unwrap();
        bytes.truncate(bytes.len() - 32);
        bytes[page + 40] ^= 1;
        let path = write(folder.path(), "db", &bytes);
        let text =
            format!("the {name} meta page is not valid (its checksum does not match); etcd uses the {other} one");
        verify(&path, &[]).ok().err_has(&text);
    }
}

#[test]
fn neither_a_store_nor_a_configuration_is_needed() {
    let run = |kvadm: Kvadm| kvadm.args(["snapshot", "verify"]).arg(snapshot("3.5")).run();
    run(Kvadm::new().env("KVADM_ENDPOINTS", "http://127.0.0.1:1")).ok().err_empty();
    run(Kvadm::new().env("KVADM_ENDPOINTS", "http://"))
        .ok()
        .out_has("intact")
        .err_has("warning: the configuration is not used: ");
    run(Kvadm::new().env("KVADM_USER", "root"))
        .ok()
        .out_has("intact")
        .err_has("warning: the configuration is not used: ");
    run(Kvadm::new().config_file("etcd.yaml", "endpoints: [")).ok().out_has("intact").err_has("invalid YAML");
}

/// A file that takes long to read: a database with a hole behind it.
fn long_file(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("long");
    let bytes = fs::read(snapshot("3.5")).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 32]).unwrap();
    fs::File::options().write(true).open(&path).unwrap().write_all_at(&[7; 32], 1 << 40).unwrap();
    path
}

#[test]
fn a_signal_and_the_deadline_end_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = long_file(folder.path());
    let run = verify(&path, &["--deadline", "300ms"]);
    run.code(3).out_empty().err_has("the deadline of the whole command passed").within(Duration::from_secs(5));
    let running = Kvadm::new().args(["snapshot", "verify", "-v"]).arg(&path).spawn();
    running.wait_for_stderr("verifying", Duration::from_secs(10));
    running.signal(Signal::SIGINT);
    running.wait().signal(Signal::SIGINT).out_empty().within(Duration::from_secs(5));
}

#[test]
fn a_terminal_shows_progress() {
    let folder = tempfile::tempdir().unwrap();
    let path = long_file(folder.path());
    let run = Kvadm::new().args(["snapshot", "verify", "--deadline", "2s"]).arg(&path).pty().run();
    run.code(3).out_has("verifying").out_has("TiB");
}

#[test]
fn commands_of_etcdctl_and_etcdutl_have_an_answer() {
    let run = |args: &[&str]| Kvadm::new().arg("snapshot").args(args).run();
    run(&["restore", "my backup.db"]).code(2).out_empty().err_has(
        "\n\n  tip: 'etcdutl snapshot restore 'my backup.db' --data-dir DIR' creates a data directory from a snapshot; \
         'kvadm snapshot verify 'my backup.db'' verifies the snapshot\n",
    );
    run(&["restore"]).code(2).err_has("tip: 'etcdutl snapshot restore FILE --data-dir DIR' creates");
    run(&["restore", "f", "--data-dir", "d"]).code(2).err_has("tip: 'etcdutl snapshot restore f --data-dir d' creates");
    run(&["status", "f", "--write-out=table"]).code(2).err_has("\n\n  tip: kvadm snapshot verify f -o table\n");
}
