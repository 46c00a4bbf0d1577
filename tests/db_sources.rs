//! `--source db:FILE`: `diff` and `restore` with a database file.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::db::{damage, save};
use super::support::{Etcd, Kvadm, Run};

const SOON: Duration = Duration::from_secs(20);

fn ask(etcd: &Etcd, args: &[&str]) -> Run {
    Kvadm::new().endpoint(etcd).args(args).timeout(SOON).run()
}

fn source(db: &Path) -> String {
    format!("db:{}", db.display())
}

fn listing(etcd: &Etcd) -> String {
    ask(etcd, &["list", "/app/", "-o", "json"]).ok().stdout_text()
}

/// Three keys, saved; then one is changed, one deleted, one created.
fn saved_and_changed(folder: &Path) -> (Etcd, std::path::PathBuf, i64) {
    let etcd = Etcd::start();
    for key in ["/app/a", "/app/b", "/app/c"] {
        ask(&etcd, &["put", key, "old"]).ok();
    }
    let (db, then) = (save(&etcd, folder), etcd.revision());
    ask(&etcd, &["put", "/app/a", "new"]).ok();
    ask(&etcd, &["delete", "/app/b"]).ok();
    ask(&etcd, &["put", "/app/d", "new"]).ok();
    (etcd, db, then)
}

#[test]
fn a_file_is_compared_as_the_revision_that_it_holds() {
    let folder = TempDir::new().unwrap();
    let (etcd, db, then) = saved_and_changed(folder.path());
    let from_file = ask(&etcd, &["diff", "/app/", "--source", &source(&db)]);
    from_file.code(1).out("~ /app/a\n- /app/b\n+ /app/d\n");
    from_file.err_has(&format!("--- {} at revision {then}\n+++ this store at revision", db.display()));
    let earlier = format!("{}@{}", source(&db), then - 1);
    ask(&etcd, &["diff", "/app/", "--source", &earlier]).code(1).out("~ /app/a\n- /app/b\n+ /app/c\n+ /app/d\n");
    ask(&etcd, &["diff", "/app/", "--source", &source(&db), "--rev", &then.to_string()]).ok().out_empty();
    // Two files; and a file with itself.
    let later = save(&etcd, folder.path());
    let files = |args: &[&str]| Kvadm::new().arg("--db").arg(&later).arg("diff").args(args).run();
    files(&["/app/", "--source", &source(&db)]).code(1).out("~ /app/a\n- /app/b\n+ /app/d\n");
    files(&["/app/", "--source", &format!("rev:{then}")]).code(1).out("~ /app/a\n- /app/b\n+ /app/d\n");
    files(&["/app/", "--source", &source(&later)]).ok().out_empty();
    let lines =
        Kvadm::new().arg("--db").arg(&db).args(["list", "/app/", "-o", "json", "--trailer"]).run().stdout_text();
    fs::write(folder.path().join("app.jsonl"), lines).unwrap();
    files(&["/app/", "--source", &format!("file:{}", folder.path().join("app.jsonl").display())])
        .code(1)
        .out("~ /app/a\n- /app/b\n+ /app/d\n");
    // What the file does not have.
    let run = ask(&etcd, &["diff", "/app/", "--source", &format!("{}@{}", source(&db), then + 1)]);
    run.code(4).out_empty().err_has(&format!("revision {} is in the future", then + 1));
    run.err_has(&format!("hint: use --source db:{}@{then} or an earlier revision\n", db.display()));
    let none = folder.path().join("none.db");
    ask(&etcd, &["diff", "/app/", "--source", &source(&none)]).code(2).out_empty().err_has("none.db");
    let mirror = ask(&etcd, &["mirror", "/app/", "--source", &source(&db)]);
    mirror.code(2).err_has("a mirror cannot follow a database file").err_has("kvadm restore PREFIX --source db:FILE");
}

#[test]
fn a_prefix_comes_back_from_a_file() {
    let folder = TempDir::new().unwrap();
    let (etcd, db, then) = saved_and_changed(folder.path());
    let (other, before) = (ask(&etcd, &["put", "/other", "1"]).ok().stdout_text(), listing(&etcd));
    assert!(other.starts_with("written"));
    let dry = ask(&etcd, &["restore", "/app/", "--source", &source(&db), "--dry-run"]);
    dry.ok().out("~ /app/a\n+ /app/b\n- /app/d\n");
    assert_eq!(listing(&etcd), before);
    let (undo, plan) = (folder.path().join("undo"), folder.path().join("plan"));
    let planned = ask(&etcd, &["restore", "/app/", "--source", &source(&db), "--plan", plan.to_str().unwrap()]);
    planned.ok();
    assert!(fs::read_to_string(&plan).unwrap().contains(&format!("{} at revision {then}", db.display())));
    let done = ask(&etcd, &["restore", "/app/", "--source", &source(&db), "--yes", "--undo", undo.to_str().unwrap()]);
    done.ok().err_lacks("has no SHA-256");
    ask(&etcd, &["list", "/app/"]).ok().out("/app/a\told\n/app/b\told\n/app/c\told\n");
    ask(&etcd, &["get", "/other"]).ok().out("1\n");
    ask(&etcd, &["restore", "--apply-plan", undo.to_str().unwrap(), "--yes"]).ok();
    ask(&etcd, &["list", "/app/"]).ok().out("/app/a\tnew\n/app/c\told\n/app/d\tnew\n");
    // Elsewhere, and from a member's database, which has no SHA-256.
    let bytes = fs::read(&db).unwrap();
    let plain = folder.path().join("plain.db");
    fs::write(&plain, &bytes[..bytes.len() - 32]).unwrap();
    let copied = ask(&etcd, &["restore", "/copy/", "--source", &source(&plain), "--source-prefix", "/app/", "--yes"]);
    copied.ok().err_has(&format!("note: {} has no SHA-256", plain.display()));
    ask(&etcd, &["list", "/copy/"]).ok().out("/copy/a\told\n/copy/b\told\n/copy/c\told\n");
    // Such a file may hide keys, so nothing is deleted because of it.
    ask(&etcd, &["put", "/copy/later", "1"]).ok();
    let copy = ["restore", "/copy/", "--source", &source(&plain), "--source-prefix", "/app/", "--yes"];
    let refused = ask(&etcd, &copy);
    refused
        .code(5)
        .out_empty()
        .err_has("has no SHA-256, so keys may be missing from it unnoticed: 1 key would be deleted");
    refused.err_has("hint: --only created,modified restores without deleting\n");
    ask(&etcd, &[&copy[..], &["--only", "created,modified"]].concat()).ok();
    ask(&etcd, &["get", "/copy/later"]).ok().out("1\n");
    // A prefix that the file does not have would delete everything.
    let empty = ask(&etcd, &["restore", "/other", "--source", &source(&db), "--yes"]);
    empty.code(5).err_has("has no key with the prefix /other; nothing was changed");
    // In a namespace.
    let within = ask(&etcd, &["diff", "a", "--namespace", "/app/", "--source", &source(&db)]);
    within.code(1).out("~ a\n");
}

#[test]
fn leases_of_a_file_are_never_lost_silently() {
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    ask(&etcd, &["put", "/app/plain", "1"]).ok();
    ask(&etcd, &["put", "/app/leased", "1", "--ttl", "2000s"]).ok();
    let db = save(&etcd, folder.path());
    ask(&etcd, &["delete", "/app/leased"]).ok();
    let restore =
        |more: &[&str]| ask(&etcd, &[&["restore", "/app/", "--source", &source(&db), "--yes"], more].concat());
    restore(&["--skip-leased"]).ok().err_has("note: left by --skip-leased: 1 difference");
    assert!(etcd.held("/app/leased").is_none());
    restore(&["--dry-run"]).ok().err_has("note: written without a lease: 1 key; see --with-leases and --skip-leased");
    restore(&["--with-leases"]).ok();
    let held = etcd.held("/app/leased").unwrap();
    let lease = ask(&etcd, &["list", "/app/leased", "--with-leases", "-o", "json"]).json();
    assert_eq!((lease["ttl"].clone(), held.text()), (json!(2000), "1".to_owned()));
}

#[test]
fn nothing_is_changed_because_of_a_damaged_file() {
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    for n in 0..50 {
        ask(&etcd, &["put", &format!("/app/{n:02}"), "value"]).ok();
    }
    let db = save(&etcd, folder.path());
    ask(&etcd, &["put", "/app/00", "changed"]).ok();
    ask(&etcd, &["put", "/app/60", "new"]).ok();
    let before = listing(&etcd);
    let restore = |db: &Path| ask(&etcd, &["restore", "/app/", "--source", &source(db), "--yes"]);
    let whole = fs::read(&db).unwrap();
    // One byte of a value: the SHA-256 shows it.
    damage(&db, b"\x2a\x05value", b'x');
    let run = restore(&db);
    run.code(4).err_has("its SHA-256 is wrong: the database has ").err_has("hint: nothing was changed");
    assert_eq!(listing(&etcd), before);
    // Without the SHA-256, a record that cannot be read, and a page that is not there, end the comparison.
    let unread = folder.path().join("unread.db");
    fs::write(&unread, &whole[..whole.len() - 32]).unwrap();
    damage(&unread, b"/app/25\x10\x1b\x18\x1b\x20\x01\x2a", 0x07);
    let cut = folder.path().join("cut.db");
    fs::write(&cut, &whole[..whole.len() - 32 - 4096]).unwrap();
    for damaged in [&unread, &cut] {
        let run = restore(damaged);
        // The page that is missing may be one that was free: the size shows it.
        run.code(4).err_has("damaged: page ");
        assert_eq!(listing(&etcd), before);
    }
    fs::write(&db, &whole).unwrap();
    restore(&db).ok();
}
