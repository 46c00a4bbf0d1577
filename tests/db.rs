//! `--db`: reading a database file instead of a cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::time_limit::{extend, seed};
use super::support::{Etcd, Kvadm, Run, containerd};

const SOON: Duration = Duration::from_secs(20);

/// A snapshot of the server as its own tool saves it.
pub(super) fn save(etcd: &Etcd, folder: &Path) -> PathBuf {
    let path = folder.join(format!("at-{}.db", etcd.revision()));
    etcd.etcdctl_ok(&["snapshot", "save", path.to_str().unwrap()]);
    path
}

pub(super) fn read(db: &Path, args: &[&str]) -> Run {
    Kvadm::new().arg("--db").arg(db).args(args).timeout(SOON).run()
}

fn ask(etcd: &Etcd, args: &[&str]) -> Run {
    Kvadm::new().endpoint(etcd).args(args).timeout(SOON).run()
}

/// The server and its snapshot give the same answer, byte by byte.
#[track_caller]
fn same(etcd: &Etcd, db: &Path, args: &[&str]) {
    let (live, file) = (ask(etcd, args), read(db, args));
    assert_eq!(live.stdout_text(), file.stdout_text(), "{args:?}\n{}", file.stderr_text());
    assert_eq!(live.code, file.code, "{args:?}\n{}", file.stderr_text());
}

/// Numbers that look random.
pub(super) struct Dice(pub u64);

impl Dice {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn key(&mut self) -> Value {
        let bytes = match self.below(8) {
            0 => vec![0xff, 0, u8::try_from(self.below(3)).unwrap()],
            1 => format!("/b/{}\n", self.below(3)).into_bytes(),
            _ => format!("/{}/{}", self.below(3), self.below(6)).into_bytes(),
        };
        Value::from(BASE64_STANDARD.encode(bytes))
    }

    fn value(&mut self) -> Value {
        let bytes = match self.below(6) {
            0 => Vec::new(),
            1 => vec![0xfe; 3],
            n => vec![b'v'; usize::try_from(n * self.below(40)).unwrap()],
        };
        Value::from(BASE64_STANDARD.encode(bytes))
    }

    /// A transaction of one or several changes; no key is written twice in it, which etcd refuses.
    fn txn(&mut self, leases: &[String]) -> Value {
        let count = if self.below(3) == 0 { self.below(5) + 2 } else { 1 };
        let (mut ops, mut used) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let key = self.key();
            if used.contains(&key) {
                continue;
            }
            used.push(key.clone());
            ops.push(match self.below(5) {
                0 => json!({"delete": {"key_base64": key}}),
                1 => json!({"put": {"key_base64": key, "value_base64": self.value(), "lease": leases[0]}}),
                _ => json!({"put": {"key_base64": key, "value_base64": self.value()}}),
            });
        }
        if count == 1 && self.below(6) == 0 {
            ops = vec![json!({"delete": {"prefix": format!("/{}/", self.below(3))}})];
        }
        json!({"then": ops})
    }
}

/// Runs random transactions.
pub(super) fn live_a_while(etcd: &Etcd, dice: &mut Dice, steps: usize) {
    let leases = [etcd.grant(3000)];
    for _ in 0..steps {
        let text = dice.txn(&leases).to_string();
        Kvadm::new().endpoint(etcd).args(["txn", "-", "--yes"]).stdin(text).run().ok();
    }
}

#[test]
fn each_revision_of_a_random_history_reads_as_etcd_reads_it() {
    extend(Duration::from_secs(120));
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    let mut dice = Dice(seed("KVADM_DB_SEED"));
    live_a_while(&etcd, &mut dice, 60);
    let oldest = etcd.revision() - 25;
    etcd.etcdctl_ok(&["compact", &oldest.to_string(), "--physical"]);
    live_a_while(&etcd, &mut dice, 15);
    let (db, latest) = (save(&etcd, folder.path()), etcd.revision());
    let list = |rev: i64| vec!["list".to_owned(), String::new(), "--rev".to_owned(), rev.to_string()];
    for rev in oldest..=latest {
        let list = list(rev);
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        same(&etcd, &db, &[&list[..], &["-o", "json"]].concat());
        if rev % 5 == 0 {
            same(&etcd, &db, &[&list[..], &["--count"]].concat());
            same(&etcd, &db, &[&list[..], &["--limit", "3", "-o", "json"]].concat());
            let rev = rev.to_string();
            same(&etcd, &db, &["get", "/0/1", "/1/2", "/nope", "/2/3", "--rev", &rev, "-o", "json"]);
            same(&etcd, &db, &["get", "/0/1", "--rev", &rev]);
            same(&etcd, &db, &["diff", "", "--source", &format!("rev:{rev}"), "-o", "json"]);
        }
    }
    for key in ["/0/1", "/1/2", "/2/3", "\\xff\\0\\1"] {
        let history = ["get", key, "--escape", "--history", "-o", "json", "--op-timeout", "500ms"];
        same(&etcd, &db, &history);
        same(&etcd, &db, &[&history[..], &["--rev", &(latest - 7).to_string()]].concat());
        same(&etcd, &db, &["get", key, "--escape", "--history=2", "-o", "json", "--op-timeout", "500ms"]);
    }
    let compacted = read(&db, &["list", "--rev", &(oldest - 1).to_string()]);
    compacted.code(4).out_empty().err_has(&format!(
        "error: cannot read {}: revision {} has been compacted; the oldest revision that can be read is {oldest}\n\
         hint: use --rev {oldest} or a later revision\n",
        db.display(),
        oldest - 1
    ));
    let future = read(&db, &["get", "/0/1", "--rev", &(latest + 1).to_string()]);
    future.code(4).out_empty().within(Duration::from_secs(1)).err_has(&format!(
        "revision {} is in the future; the latest revision in the file is {latest}\nhint: use --rev {latest}",
        latest + 1
    ));
}

#[test]
fn listings_take_all_their_options() {
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    let put = |key: &str, value: &str| ask(&etcd, &["put", "--", key, value]).ok().code;
    for (number, time) in ["10:00:00", "11:00:00", "12:00:00"].iter().enumerate() {
        put("cilium/.heartbeat", &format!("2026-01-01T{time}Z"));
        put("/app/config/a", &format!("host = db{number}"));
        put(&format!("/app/config/b{number}"), "x");
        put(&format!("/other/{number}"), "y");
    }
    ask(&etcd, &["put", "/app/leased", "z", "--ttl", "1h"]).ok();
    let db = save(&etcd, folder.path());
    for args in [
        &["list", "/app/"][..],
        &["list", "/app/", "--depth", "1"],
        &["list", "/", "--tree", "--depth", "2"],
        &["list", "/app/", "--search", "db2", "-o", "json"],
        &["list", "/app/", "--regex", "^host", "--keys-only"],
        &["list", "--since-rev", "8", "-o", "json"],
        &["list", "/", "--match", "*b1"],
        &["list", "--from", "/app/config/a", "--to", "/app/config/b1"],
        &["list", "--sort", "mod", "--desc", "--limit", "2"],
        &["list", "/app/", "-o", "json", "--trailer"],
        &["list", "/app/", "-o", "json", "--with-leases"],
        &["list", "/app/", "-o", "yaml"],
        &["list", "/app/", "--at", "2026-01-01T11:30:00Z", "-o", "json"],
        &["list", "config/", "--namespace", "/app/", "-o", "json", "--trailer"],
        &["get", "config/a", "nope", "--namespace", "/app/", "-o", "json"],
        &["list", "/none"],
    ] {
        same(&etcd, &db, args);
    }
    let usage = |run: Run| -> Vec<Value> {
        let fields = ["key", "kind", "keys", "bytes", "key_bytes", "value_bytes"];
        run.json_lines().iter().map(|row| fields.iter().map(|name| row[name].clone()).collect()).collect()
    };
    let (live, file) =
        (ask(&etcd, &["list", "/", "--du", "-o", "json"]), read(&db, &["list", "/", "--du", "-o", "json"]));
    assert_eq!(usage(live), usage(read(&db, &["list", "/", "--du", "-o", "json"])));
    file.ok().err_empty();
    // 'put --from' loads what the file has.
    let lines = read(&db, &["list", "/app/config/", "-o", "json", "--trailer"]).stdout_text();
    Kvadm::new().endpoint(&etcd).args(["put", "--from", "-"]).stdin(lines).run().ok();
}

#[test]
fn large_values_need_no_memory() {
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    let value = "v".repeat(1 << 20);
    let lines: String =
        (0..40).map(|n| json!({"key": format!("/{n:02}"), "value": value}).to_string() + "\n").collect();
    Kvadm::new().endpoint(&etcd).args(["put", "--from", "-"]).stdin(lines).timeout(SOON).run().ok();
    let db = save(&etcd, folder.path());
    let list = Kvadm::new().arg("--db").arg(&db).args(["list", "--keys-only", "--search", "vv"]).timeout(SOON);
    let run = list.memory(256 << 20).run();
    assert_eq!(run.ok().stdout_text().lines().count(), 40);
    let one = read(&db, &["get", "/07", "-o", "raw"]);
    assert_eq!(one.ok().stdout.len(), 1 << 20);
    // A reader that has gone ends the listing.
    let piped = format!("{} --db {} list | head -c 10", env!("CARGO_BIN_EXE_kvadm"), db.display());
    Kvadm::program("sh").args(["-c", &piped]).timeout(SOON).run().ok().out("/00\tvvvvvv");
}

#[test]
fn plans_and_allocations_read_a_file() {
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    let base = "cilium/state/identities/v1";
    for (key, value) in [
        (format!("{base}/id/257"), "k8s:app=web;"),
        (format!("{base}/id/258"), "k8s:app=db;"),
        (format!("{base}/value/k8s:app=web;/10.0.0.1"), "257"),
        ("/locks/left/694d7f".to_owned(), ""),
    ] {
        ask(&etcd, &["put", "--", &key, value]).ok();
    }
    let mut tree = containerd::Tree::new(&etcd, "/containerd/");
    tree.content("ns", "sha256:used", &[])
        .content("ns", "sha256:left", &[])
        .image("ns", "i", "sha256:used", &[])
        .load();
    let db = save(&etcd, folder.path());
    for args in [
        &["allocate", "list", "-o", "json"][..],
        &["allocate", "list", "--unused"],
        &["allocate", "lookup", "257", "258"],
        &["allocate", "get", "k8s:app=web;", "k8s:app=none;"],
        &["allocate", "check"],
        &["gc", "ids"],
        &["gc", "locks"],
        &["gc", "metadata", "/containerd/", "--schema", "containerd"],
    ] {
        same(&etcd, &db, args);
    }
    let refused = read(&db, &["gc", "ids", "--apply", "--yes"]);
    refused
        .code(2)
        .out_empty()
        .err_has("error: --apply cannot be used with --db: garbage is not removed from a file\n");
    refused.err_has("hint: omit --apply, or add --dry-run, to see the plan");
    same(&etcd, &db, &["gc", "ids", "--apply", "--dry-run", "--yes"]);
}

#[test]
fn what_writes_or_waits_is_refused() {
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    ask(&etcd, &["put", "/a", "1"]).ok();
    let db = save(&etcd, folder.path());
    let before = fs::read(&db).unwrap();
    for (args, hint) in [
        (&["put", "/a", "2"][..], "a file is never changed"),
        (&["delete", "/a"], "a file is never changed"),
        (&["edit", "/a"], "a file is never changed"),
        (&["compact", "--yes"], "a file is never changed"),
        (&["watch", "/a"], "'kvadm get KEY --db {} --history'"),
        (&["lock", "/l", "--", "true"], "a file does not tell who is alive"),
        (&["lease", "list"], "a file does not tell who is alive"),
        (&["status"], "run 'kvadm snapshot verify {}'"),
        (&["allocate", "new", "web"], "'kvadm allocate get', 'list', 'lookup' and 'check' read a file"),
        (&["restore", "/a", "--source", "rev:2"], "etcdutl snapshot restore {} --data-dir DIR"),
        (&["mirror", "/a/", "--source", "context:x"], "kvadm restore PREFIX --source db:{}"),
    ] {
        let run = read(&db, args);
        run.code(2)
            .out_empty()
            .err_has("cannot be used with --db, which only reads a database file\nhint: ")
            .err_has(&hint.replace("{}", db.to_str().unwrap()));
    }
    read(Path::new("-"), &["list"]).code(2).out_empty().err_has("error: --db cannot read stdin");
    for (option, value) in
        [("--endpoints", "x:1"), ("--user", "root"), ("--ca-file", "ca.pem"), ("--connect-wait", "1s")]
    {
        let run = read(&db, &["get", "/a", option, value]);
        run.code(2).out_empty().err_has(&format!("error: {option} cannot be used with --db"));
    }
    read(&db, &["get", "/a", "--serializable"]).code(2).err_has("--serializable chooses a member of a cluster");
    read(&db, &["get", "/a", "--if-locked=/l@5"]).code(2).err_has("--if-locked asks a cluster for the lock");
    // The environment is about a cluster, and no matter here.
    let run = Kvadm::new()
        .env("KVADM_ENDPOINTS", "no:such:endpoint")
        .env("KVADM_USER", "root")
        .env("ETCDCTL_CACERT", "/none")
        .args(["--db", db.to_str().unwrap(), "get", "/a"])
        .run();
    run.ok().out("1\n").err_empty();
    let config = Kvadm::new().args(["config", "-o", "json", "--db", db.to_str().unwrap()]).run();
    assert_eq!(config.ok().json_lines()[0]["value"], db.to_str().unwrap());
    // A context still gives the namespace.
    let context = Kvadm::new().config_file("prod.yaml", "endpoints: [10.0.0.1:2379]\nnamespace: /\n");
    context.args(["--context", "prod", "--db", db.to_str().unwrap(), "get", "a"]).run().ok().out("1\n");
    assert_eq!(fs::read(&db).unwrap(), before);
}

#[test]
fn bad_files_are_named() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("text"), "hello").unwrap();
    read(&path("none"), &["list"]).code(2).out_empty().err_has("none");
    read(&path("text"), &["list"]).code(2).out_empty().err_has("is not an etcd database");
    read(folder.path(), &["list"]).code(2).out_empty().err_has("a folder");
}

#[test]
fn a_copy_of_a_running_member_and_an_older_snapshot() {
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    for n in 0..20 {
        ask(&etcd, &["put", &format!("/a/{n:02}"), "old"]).ok();
    }
    let (old, before) = (save(&etcd, folder.path()), ask(&etcd, &["list", "-o", "json"]).stdout_text());
    for n in 0..20 {
        ask(&etcd, &["put", &format!("/a/{n:02}"), "new"]).ok();
    }
    read(&old, &["list", "-o", "json"]).ok().out(&before);
    let live = folder.path().join("live.db");
    fs::copy(find_database(&etcd), &live).unwrap();
    // etcd writes every 100 ms: the copy has an earlier state, or is damaged. It is never a wrong one.
    let run = read(&live, &["list", "--keys-only"]);
    assert!(matches!(run.code, Some(0 | 4)), "{}", run.stderr_text());
}

/// The database of a member.
pub(super) fn find_database(etcd: &Etcd) -> PathBuf {
    fn below(folder: &Path) -> Option<PathBuf> {
        let found = folder.join("member/snap/db");
        if found.exists() {
            return Some(found);
        }
        fs::read_dir(folder).ok()?.filter_map(Result::ok).find_map(|entry| below(&entry.path()))
    }
    below(etcd.dir()).expect("the database of a member")
}

/// Removes the SHA-256.
pub(super) fn without_digest(db: &Path) {
    let bytes = fs::read(db).unwrap();
    fs::write(db, &bytes[..bytes.len() - 32]).unwrap();
}

/// Changes a byte of the record of a key's first revision: of the key if `in_key`, else of the value.
pub(super) fn damage(db: &Path, needle: &[u8], to: u8) {
    let mut bytes = fs::read(db).unwrap();
    let positions: Vec<usize> =
        bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle).map(|(at, _)| at).collect();
    assert!(!positions.is_empty());
    for at in positions {
        bytes[at + needle.len() - 1] = to;
    }
    fs::write(db, bytes).unwrap();
}

#[test]
fn damage_is_an_error_and_no_shorter_listing() {
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    for n in 0..50 {
        ask(&etcd, &["put", &format!("/a/{n:02}"), "value"]).ok();
    }
    let db = save(&etcd, folder.path());
    // The tag of the value of one record becomes that of no field.
    without_digest(&db);
    damage(&db, b"/a/25\x10\x1b\x18\x1b\x20\x01\x2a", 0x07);
    let run = read(&db, &["list"]);
    run.code(4).err_has("it is damaged: page ").err_has(&format!("hint: run 'kvadm snapshot verify {}'", db.display()));
    assert!(!run.stdout_text().contains("/a/26"), "{}", run.stdout_text());
}
