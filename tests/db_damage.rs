//! Damaged database files: what a file cannot prove is an error, and never a shorter or another answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::db::{damage, read, save, without_digest};
use super::snapshot_save::run_etcdutl;
use super::support::{Etcd, Kvadm, Run};

const SOON: Duration = Duration::from_secs(20);

fn ask(etcd: &Etcd, args: &[&str]) -> Run {
    Kvadm::new().endpoint(etcd).args(args).timeout(SOON).run()
}

/// 50 keys, each at a revision of its own, compacted before the last 20, with a deletion at the end.
fn store() -> Etcd {
    let etcd = Etcd::start();
    for n in 0..50 {
        ask(&etcd, &["put", &format!("/a/{n:02}"), "value"]).ok();
    }
    ask(&etcd, &["delete", "/a/03"]).ok();
    let compacted = etcd.revision() - 20;
    etcd.etcdctl_ok(&["compact", &compacted.to_string(), "--physical"]);
    etcd
}

/// The key of a revision in the database.
fn revision_key(main: i64) -> Vec<u8> {
    [&main.to_be_bytes()[..], b"_", &[0; 8]].concat()
}

/// Replaces bytes wherever they are: a page that is free now may have them as well.
fn replace(db: &Path, from: &[u8], to: &[u8]) {
    let mut bytes = fs::read(db).unwrap();
    let found: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    fs::write(db, bytes).unwrap();
}

fn source(db: &Path) -> String {
    format!("db:{}", db.display())
}

#[test]
fn a_revision_that_is_missing_is_found_by_every_read() {
    let (etcd, folder) = (store(), TempDir::new().unwrap());
    let (db, latest) = (save(&etcd, folder.path()), etcd.revision());
    without_digest(&db);
    read(&db, &["list", "/a/", "--count"]).ok().out("49\n");
    ask(&etcd, &["put", "/a/60", "later"]).ok();
    let whole = fs::read(&db).unwrap();
    // A bit of the key of the last revision: the file then seems to have a much later one.
    let high = |main: i64| main | (1 << 40);
    let last = [revision_key(latest), b"t".to_vec()].concat();
    replace(&db, &last, &revision_key(high(latest)));
    let gap = format!("revisions are missing between {}.0 and {}.0", latest - 1, high(latest));
    let before = (latest - 3).to_string();
    let reads = [
        &["list", "/a/"][..],
        &["list", "/a/", "--rev", &before],
        &["get", "/a/10"],
        &["get", "/a/10", "--history"],
        &["list", "--du", "--history"],
        &["diff", "/a/", "--source", &format!("rev:{before}")],
        &["allocate", "list"],
        &["gc", "ids"],
    ];
    for args in reads {
        read(&db, args).code(4).out_empty().err_has(&gap).err_has("hint: run 'kvadm snapshot verify");
    }
    Kvadm::new().args(["snapshot", "verify"]).arg(&db).run().code(4).err_has(&gap);
    let listing = ask(&etcd, &["list", "/a/", "-o", "json"]).stdout_text();
    let restore = ask(&etcd, &["restore", "/a/", "--source", &source(&db), "--yes", "--only", "created,modified"]);
    restore.code(4).out_empty().err_has(&gap).err_has("hint: nothing was changed\n");
    assert_eq!(ask(&etcd, &["list", "/a/", "-o", "json"]).stdout_text(), listing);
    // A record that belongs to another revision.
    fs::write(&db, &whole).unwrap();
    replace(&db, b"/a/45\x10\x2f\x18\x2f", b"/a/45\x10\x2f\x18\x2e");
    read(&db, &["get", "/a/10"]).code(4).err_has("the record of revision 47.0 says that it is of revision 46");
}

#[test]
fn a_file_without_a_digest_is_walked_before_a_restore() {
    let (etcd, folder) = (store(), TempDir::new().unwrap());
    let db = save(&etcd, folder.path());
    without_digest(&db);
    let restore =
        |db: &Path| ask(&etcd, &["restore", "/a/", "--source", &source(db), "--yes", "--only", "created,modified"]);
    ask(&etcd, &["put", "/a/10", "changed"]).ok();
    // Damage outside of what a restore reads.
    let bytes = fs::read(&db).unwrap();
    let members = b"\"peerURLs\"";
    replace(&db, members, b"\"peerURLs\x01");
    let run = restore(&db);
    run.code(4).out_empty().err_has("bucket members: the member ").err_has("hint: nothing was changed\n");
    ask(&etcd, &["get", "/a/10"]).ok().out("changed\n");
    fs::write(&db, &bytes).unwrap();
    restore(&db).ok();
    ask(&etcd, &["get", "/a/10"]).ok().out("value\n");
}

#[test]
fn a_wrong_digest_is_an_error_of_every_read() {
    let (etcd, folder) = (store(), TempDir::new().unwrap());
    let db = save(&etcd, folder.path());
    read(&db, &["list", "/a/", "--count", "-v"]).ok().out("49\n").err_has("the SHA-256 is right");
    damage(&db, b"/a/30\x10\x20\x18\x20\x20\x01\x2a\x05value", b'x');
    let history = ["get", "/a/10", "--history"];
    for args in [
        &["list"][..],
        &["get", "/a/10"],
        &history,
        &["diff", "/a/", "--source", "rev:45"],
        &["list", "--du"],
        &["list", "--du", "--history"],
        &["allocate", "list"],
        &["gc", "locks"],
    ] {
        let run = read(&db, args);
        run.code(4).out_empty().err_has(&format!("cannot read {}: its SHA-256 is wrong: ", db.display()));
        run.err_has(&format!("head -c -32 {} > COPY\n", db.display()));
    }
    let diff = ask(&etcd, &["diff", "/a/", "--source", &source(&db)]);
    diff.code(4).out_empty().err_has("its SHA-256 is wrong");
    // What the hint says works.
    let copy = folder.path().join("copy.db");
    let line = format!("head -c -32 {} > {}", db.display(), copy.display());
    Kvadm::program("sh").args(["-c", &line]).run().ok();
    read(&copy, &["get", "/a/30"]).ok().out("valux\n").err_has(&format!(
        "note: {} has no SHA-256: it is not a snapshot, so damage may go unnoticed\n",
        copy.display()
    ));
    read(&copy, &["get", "/a/30", "-q"]).ok().out("valux\n").err_empty();
}

#[test]
fn bytes_after_the_last_page_are_damage() {
    let (etcd, folder) = (store(), TempDir::new().unwrap());
    let db = save(&etcd, folder.path());
    let whole = fs::read(&db).unwrap();
    let longer = [&whole[..], b"\n"].concat();
    for (bytes, tail) in
        [(&longer[..], "33 bytes"), (&whole[..whole.len() - 20], "12 bytes"), (&whole[..whole.len() - 31], "1 byte")]
    {
        fs::write(&db, bytes).unwrap();
        let what = format!("the file has {tail} after its last page; it was cut or extended");
        for args in [&["list"][..], &["get", "/a/10"], &["list", "--du", "--history"], &["gc", "ids"]] {
            read(&db, args).code(4).out_empty().err_has(&what);
        }
        for verb in [&["diff"][..], &["restore", "--yes"]] {
            let run = ask(&etcd, &[verb, &["/a/", "--source", &source(&db)]].concat());
            run.code(4).out_empty().err_has(&what);
        }
        Kvadm::new().args(["snapshot", "verify"]).arg(&db).run().code(4).err_has(&what);
    }
}

#[test]
fn elements_that_overlap_are_damage_and_take_no_memory() {
    let (etcd, folder) = (store(), TempDir::new().unwrap());
    let db = save(&etcd, folder.path());
    without_digest(&db);
    // The length of the value of an element of the leaf that holds the revisions: one byte more overlaps with the next one.
    let bytes = fs::read(&db).unwrap();
    let key = revision_key(etcd.revision() - 2);
    // Pages that are not in use any more may hold the same revision: the one in use is that whose damage is found.
    let pages = bytes.chunks(4096).enumerate().filter(|(_, page)| page.windows(17).any(|window| window == key));
    let used = pages.map(|(number, _)| number * 4096).find(|page| {
        let changed = with_byte(&bytes, page + 10, 255);
        fs::write(&db, &changed).unwrap();
        read(&db, &["list", "/a/"]).stderr_text().contains("does not begin where")
    });
    let page = used.expect("the page of the revision");
    let key_at = page + bytes[page..page + 4096].windows(17).position(|window| window == key).unwrap();
    let element = (0..255)
        .map(|index| page + 16 + index * 16)
        .find(|at| at + u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize == key_at)
        .expect("the element of the revision");
    for (at, to, what) in [
        (element + 12, bytes[element + 12] + 1, "does not begin where the one before it ends"),
        (page + 10, bytes[page + 10] - 1, "element 0 does not begin where the one before it ends"),
    ] {
        fs::write(&db, with_byte(&bytes, at, to)).unwrap();
        read(&db, &["list", "/a/"]).code(4).out_empty().err_has(what);
        Kvadm::new().args(["snapshot", "verify"]).arg(&db).run().code(4).err_has(what);
    }
}

fn with_byte(bytes: &[u8], at: usize, to: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] = to;
    changed
}

#[test]
fn what_a_real_store_leaves_is_whole() {
    let (etcd, folder) = (store(), TempDir::new().unwrap());
    let defragmented = |etcd: &Etcd| etcd.etcdctl_ok(&["defrag"]);
    defragmented(&etcd);
    let db = save(&etcd, folder.path());
    without_digest(&db);
    read(&db, &["list", "--count"]).ok().out("49\n");
    Kvadm::new().args(["snapshot", "verify"]).arg(&db).run().ok();
    // Everything deleted and compacted: no revision is left.
    ask(&etcd, &["delete", "--prefix", "/a/", "--yes"]).ok();
    etcd.etcdctl_ok(&["compact", &etcd.revision().to_string(), "--physical"]);
    let empty = save(&etcd, folder.path());
    read(&empty, &["list", "--count"]).ok().out("0\n");
    ask(&etcd, &["put", "/b", "1"]).ok();
    read(&save(&etcd, folder.path()), &["list"]).ok().out("/b\t1\n");
    // A restored store that continues at a later revision. etcd 3.6 has the option.
    let source = save(&etcd, folder.path());
    let data = folder.path().join("data");
    let args = ["snapshot", "restore", source.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    if run_etcdutl(&etcd, &[&args[..], &["--bump-revision", "1000", "--mark-compacted"]].concat()).is_none() {
        return;
    }
    let db: PathBuf = data.join("member/snap/db");
    read(&db, &["list"]).ok().out("/b\t1\n");
    Kvadm::new().args(["snapshot", "verify"]).arg(&db).run().ok();
}

#[test]
fn a_file_is_named_as_it_is() {
    let (etcd, folder) = (store(), TempDir::new().unwrap());
    let (db, latest) = (save(&etcd, folder.path()), etcd.revision());
    let named = folder.path().join("s@5");
    fs::copy(&db, &named).unwrap();
    ask(&etcd, &["diff", "/a/", "--source", &source(&named)]).ok();
    let word = format!("{}@{latest}", source(&named));
    ask(&etcd, &["diff", "/a/", "--source", &word]).ok();
    for wrong in ["abc", "0", "-1", ""] {
        let word = format!("{}@{wrong}", source(&db));
        let run = ask(&etcd, &["diff", "/a/", "--source", &word]);
        run.code(2).out_empty().err_has(&format!("'{wrong}' is not a revision of {}", db.display()));
    }
    ask(&etcd, &["diff", "/a/", "--source", "db:-"]).code(2).err_has("stdin cannot be a database file");
    let future = read(&db, &["diff", "/a/", "--source", "rev:400"]);
    future.code(4).err_has(&format!("hint: use --source rev:{latest} or an earlier revision\n"));
    let empty = ask(&etcd, &["restore", "", "--source", &source(&db), "--source-prefix", "/none", "--yes"]);
    empty.code(5).err_has("add --allow-empty and --max-percent 100");
}

#[test]
fn garbage_and_leases_are_read_from_a_file() {
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    let base = "cilium/state/identities/v1";
    for (key, value) in [
        (format!("{base}/id/257"), "k8s:app=web;"),
        (format!("{base}/id/258"), "k8s:app=db;"),
        (format!("{base}/value/k8s:app=web;/10.0.0.1"), "257"),
    ] {
        ask(&etcd, &["put", "--", &key, value]).ok();
    }
    ask(&etcd, &["put", "/leased", "1", "--lease", &etcd.grant(3000)]).ok();
    let db = save(&etcd, folder.path());
    let garbage = read(&db, &["gc", "ids"]);
    garbage.code(1).out_has("258");
    assert_eq!(garbage.stdout_text(), ask(&etcd, &["gc", "ids"]).stdout_text());
    let listed = read(&db, &["list", "/leased", "--with-leases", "-o", "json"]).ok().json();
    assert_eq!(listed["ttl"], json!(3000));
    read(&db, &["lease", "grant", "--ttl", "60s"]).code(2).out_empty().err_has("cannot be used with --db");
}
