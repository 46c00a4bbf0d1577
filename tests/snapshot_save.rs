//! `snapshot save`: what is saved, from whom, and that etcd's own tools restore it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use kvadm::plural::counted;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::auth::{LIMITED, ROOT, anonymous, cheap, login};
use super::status::learner;
use super::support::binary::etcdutl;
use super::support::process::free_port;
use super::support::{Certs, Cluster, Etcd, Kvadm, Run, eventually, shared};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The names of the files in the folder.
pub(super) fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// `kvadm snapshot save ARGS` in the folder.
fn save(of: &Etcd, folder: &TempDir, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(of).folder(folder.path()).args(["snapshot", "save"]).args(args)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of the snapshot's database, which is also the one that it ends with.
#[track_caller]
fn proved(snapshot: &[u8]) -> String {
    let (database, stored) = snapshot.split_at(snapshot.len() - 32);
    let computed = digest(&SHA256, database);
    assert_eq!(hex(computed.as_ref()), hex(stored));
    hex(stored)
}

/// What etcd's own tool says of the file; `None` if that tool is etcdutl and cannot be had.
pub(super) fn etcd_status(etcd: &Etcd, file: &Path) -> Option<Value> {
    let args = ["snapshot", "status", file.to_str().unwrap(), "--write-out=json"];
    let text = if etcd.version() < (3, 6) { etcd.etcdctl_ok(&args) } else { run_etcdutl(etcd, &args)? };
    Some(serde_json::from_str(&text).unwrap())
}

/// Runs etcdutl of the server's version, or 3.6 for an older server; `None` if it cannot be had.
pub(super) fn run_etcdutl(etcd: &Etcd, args: &[&str]) -> Option<String> {
    let version = if etcd.version() >= (3, 7) { "3.7" } else { "3.6" };
    let output = Command::new(etcdutl(version)?).args(args).output().unwrap();
    assert!(output.status.success(), "etcdutl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn revision(etcd: &Etcd) -> i64 {
    Kvadm::new().endpoint(etcd).args(["status", "--revision"]).run().ok().stdout_text().trim().parse().unwrap()
}

#[test]
fn a_saved_file_is_proved_private_and_reported() {
    let (etcd, folder) = (Etcd::start(), folder());
    for n in 0..50 {
        etcd.etcdctl_ok(&["put", &format!("/k/{}", n % 20), &"v".repeat(2000)]);
    }
    let run = save(&etcd, &folder, &["a.db", "-o", "json"]).run();
    let said = run.ok().err_empty().json();
    assert_eq!(names(&folder), ["a.db"]);
    let path = folder.path().join("a.db");
    let bytes = fs::read(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!((&said["file"], &said["endpoint"]), (&json!("a.db"), &json!(etcd.endpoint())));
    assert_eq!((&said["size"], &said["sha256"]), (&json!(bytes.len()), &json!(proved(&bytes))));
    assert_eq!(said["revision"], json!(revision(&etcd)));
    assert_eq!(said["revisions"], 50);
    // Nothing was written in between: etcdctl saves the same data.
    let other = folder.path().join("theirs.db");
    etcd.etcdctl_ok(&["snapshot", "save", other.to_str().unwrap()]);
    if let (Some(ours), Some(theirs)) = (etcd_status(&etcd, &path), etcd_status(&etcd, &other)) {
        assert_eq!((&ours["revision"], &ours["totalKey"]), (&said["revision"], &theirs["totalKey"]), "{ours} {theirs}");
        // etcd 3.6 writes the version of the schema some seconds after its start.
        assert!(ours["hash"] == theirs["hash"] || etcd.version() >= (3, 6), "{ours} {theirs}");
    }
    let verified = Kvadm::new().args(["snapshot", "verify", path.to_str().unwrap(), "-o", "json"]).run().ok().json();
    assert_eq!(verified["sha256"], said["sha256"], "{verified}");
    let (major, minor) = etcd.version();
    assert!(said["server_version"].as_str().unwrap().starts_with(&format!("{major}.{minor}.")), "{said}");
    assert!(said["member"].is_string() && said["took_ms"].is_number() && said.get("behind").is_none(), "{said}");
}

/// etcd 3.6 writes the version of the schema some seconds after its start.
#[test]
fn the_version_of_the_schema_is_reported_if_the_database_has_one() {
    let version = || save(shared(), &folder(), &["-", "-o", "json"]).run().ok().err_json()["storage_version"].clone();
    if shared().version() < (3, 6) {
        assert_eq!(version(), Value::Null);
        return;
    }
    eventually("the version of the schema", Duration::from_secs(25), || version().is_string());
    let (major, minor) = shared().version();
    assert_eq!(version(), json!(format!("{major}.{minor}.0")));
}

#[test]
fn the_report_has_a_line_for_each_fact() {
    let folder = folder();
    let run = save(shared(), &folder, &["a.db"]).run();
    let bytes = fs::read(folder.path().join("a.db")).unwrap();
    run.ok().err_empty().out_has(&format!("size\t{}\n", bytes.len())).out_has("file\ta.db\n");
    run.out_has(&format!("endpoint\t{}\nrevision\t", shared().endpoint()));
    run.out_has("\nrevisions\t");
    run.out_has(&format!("sha256\t{}\nserver_version\t3.", proved(&bytes)));
    let run = save(shared(), &folder, &["b.db", "-o", "table"]).run();
    run.ok().out_has("FIELD           VALUE\n").out_has("file            b.db\n").out_has("iB\n");
    assert!(run.stdout_text().lines().all(|line| line.len() <= 80), "{}", run.stdout_text());
    let run = save(shared(), &folder, &["c.db", "-o", "yaml"]).run();
    run.ok().out_has("file: \"c.db\"\n").out_has("sha256: \"");
}

#[test]
fn names_that_cannot_be_new_files_are_refused_before_etcd_is_asked() {
    let folder = folder();
    fs::write(folder.path().join("old.db"), "old").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("link.db")).unwrap();
    let save = |file: &str| {
        let kvadm = Kvadm::new().endpoint("http://127.0.0.1:1").folder(folder.path());
        kvadm.args(["snapshot", "save", file]).run()
    };
    for file in ["old.db", "link.db", "/dev/null"] {
        save(file).code(2).out_empty().err_has(&format!("cannot create {file}: the file exists")).err_has("hint: name");
    }
    save(".").code(2).err_has("cannot create .: it is a folder");
    let run = save("no/such.db");
    run.code(2)
        .err_has("cannot write no/such.db: No such file")
        .err_has("hint: create the folder first: mkdir -p no\n");
    save("new.db").code(3).err_has("no etcd endpoint could be reached");
    assert_eq!(fs::read(folder.path().join("old.db")).unwrap(), b"old");
    assert_eq!(names(&folder).len(), 2, "{:?}", names(&folder));
}

#[test]
fn a_folder_that_refuses_files_is_named() {
    let folder = folder();
    let run = save(shared(), &folder, &["/proc/new.db"]).run();
    run.code(2).out_empty().err_has("error: cannot write /proc/new.db: No such file").err_lacks(".part");
}

#[test]
fn stdout_gets_the_snapshot_and_stderr_the_summary() {
    let folder = folder();
    let run = save(shared(), &folder, &["-"]).run();
    let sha256 = proved(&run.ok().stdout);
    let size = run.stdout.len();
    run.err_has(&format!("note: saved {} of {} at revision ", counted(size, "byte"), shared().endpoint()))
        .err_has(&sha256);
    let run = save(shared(), &folder, &["-", "-o", "json"]).run();
    let said = run.ok().err_json();
    assert_eq!(said["sha256"], json!(proved(&run.stdout)));
    assert_eq!((&said["file"], &said["size"]), (&json!("-"), &json!(run.stdout.len())));
    let quiet = save(shared(), &folder, &["-", "-q"]).run();
    proved(&quiet.ok().err_empty().stdout);
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn a_terminal_gets_no_binary_data() {
    let run = save(shared(), &folder(), &["-"]).pty().run();
    run.code(2).out_has("stdout is a terminal; a snapshot is binary data").out_has("kvadm snapshot save - > FILE");
}

#[test]
fn a_full_stdout_and_a_reader_that_has_gone_are_no_success() {
    let endpoint = shared().endpoint();
    let program = env!("CARGO_BIN_EXE_kvadm");
    // More than the pipe holds.
    let etcd = Etcd::start();
    etcd.etcdctl_ok(&["put", "/large", &"v".repeat(1 << 20).as_str()[..100_000]]);
    for n in 0..10 {
        etcd.etcdctl_ok(&["put", &format!("/large/{n}"), &"v".repeat(100_000)]);
    }
    let script = format!(
        "{program} --endpoints {} snapshot save - | head -c 10 | wc -c; echo ${{PIPESTATUS[0]}}",
        etcd.endpoint()
    );
    let run = Kvadm::program("bash").args(["-c", &script]).run();
    run.ok().out("10\n6\n").err_has("error: the reader of stdout has gone").err_has("hint: discard what was written");
    let run =
        Kvadm::program("bash").args(["-c", &format!("{program} --endpoints {endpoint} snapshot save - >&-")]).run();
    run.code(2).err_has("error: stdout is closed");
    let script = format!("{program} --endpoints {endpoint} snapshot save - > /dev/full");
    let run = Kvadm::program("bash").args(["-c", &script]).run();
    run.code(6).err_has("No space left on device").err_has("hint: discard what was written");
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = folder();
    let run = save(shared(), &folder, &["a.db", "--dry-run"]).run();
    run.ok()
        .out_empty()
        .err_has(&format!("note: dry run: would save the store of {} to a.db, ", shared().endpoint()))
        .err_has(" bytes");
    let said = save(shared(), &folder, &["a.db", "--dry-run", "-o", "json"]).run().ok().json();
    assert_eq!((&said["dry_run"], &said["file"]), (&json!(true), &json!("a.db")));
    save(shared(), &folder, &["-", "--dry-run"]).run().ok().out_empty();
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn a_full_disk_leaves_no_file() {
    let folder = folder();
    let run = save(shared(), &folder, &["a.db"]).ulimit("-f 16").run();
    run.code(2).out_empty().err_has("error: cannot write a.db: File too large").err_has("hint: no file was saved");
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn the_namespace_does_not_apply() {
    let (etcd, folder) = (Etcd::start(), folder());
    etcd.etcdctl_ok(&["put", "/tenant/a", "of the tenant"]);
    etcd.etcdctl_ok(&["put", "/other/b", "of another one"]);
    save(&etcd, &folder, &["a.db", "--namespace", "/tenant/"]).run().ok();
    let bytes = fs::read(folder.path().join("a.db")).unwrap();
    assert!(bytes.windows(14).any(|part| part == b"of another one"));
}

/// Every key with its revisions, and its lease's presence.
fn keys(etcd: &Etcd) -> Run {
    Kvadm::new().endpoint(etcd).args(["list", "", "-o", "json"]).run()
}

#[test]
fn etcd_restores_what_was_saved() {
    let (etcd, folder) = (Etcd::start(), folder());
    for n in 0..200 {
        etcd.etcdctl_ok(&["put", &format!("/k/{}", n % 90), &format!("value {n}")]);
    }
    let lease = Kvadm::new().endpoint(&etcd).args(["lease", "grant", "--ttl", "1h"]).run().ok().stdout_text();
    let lease = lease.split('\t').next().unwrap().to_owned();
    Kvadm::new().endpoint(&etcd).args(["put", "/leased", "v", "--lease", &lease]).run().ok();
    etcd.etcdctl_ok(&["del", "/k/7"]);
    etcd.etcdctl_ok(&["compact", "50"]);
    let said = save(&etcd, &folder, &["a.db", "-o", "json"]).run().ok().json();
    let file = folder.path().join("a.db");
    let mut other = Etcd::start();
    other.stop();
    let data = other.dir().join("data");
    fs::remove_dir_all(&data).unwrap();
    let (file, data) = (file.to_str().unwrap(), data.to_str().unwrap());
    let args = ["snapshot", "restore", file, "--data-dir", data];
    if etcd.version() < (3, 6) {
        etcd.etcdctl_ok(&args);
    } else if run_etcdutl(&etcd, &args).is_none() {
        return;
    }
    other.restart();
    keys(&other).ok().out(&keys(&etcd).ok().stdout_text());
    assert_eq!((json!(revision(&other)), &said["revision"]), (json!(revision(&etcd)), &json!(revision(&etcd))));
    let old = |etcd: &Etcd| Kvadm::new().endpoint(etcd).args(["list", "/k/", "--rev", "100", "-o", "json"]).run();
    old(&other).ok().out(&old(&etcd).ok().stdout_text());
    Kvadm::new().endpoint(&other).args(["lease", "list"]).run().ok().out_has(&lease);
}

#[test]
fn only_root_may_save() {
    let (etcd, folder) = (cheap(), folder());
    let save = |kvadm: Kvadm, file: &str| kvadm.folder(folder.path()).args(["snapshot", "save", file]).run();
    save(anonymous(&etcd), "a.db").code(4).out_empty().err_has("hint: ");
    let run = save(login(&etcd, "app", LIMITED), "a.db");
    run.code(4).out_empty().err_has("permission denied").err_has("hint: a snapshot needs a user with the role root");
    // A dry run promises only what can be done.
    let dry_run = |kvadm: Kvadm| save(kvadm.arg("--dry-run"), "a.db");
    let run = dry_run(login(&etcd, "app", LIMITED));
    run.code(4).err_has("permission denied").err_has("hint: a snapshot needs a user with the role root");
    dry_run(anonymous(&etcd)).code(4).out_empty();
    dry_run(login(&etcd, "root", ROOT)).ok().err_has("dry run: would save").err_has(" bytes");
    assert_eq!(names(&folder), [""; 0]);
    save(login(&etcd, "root", ROOT), "a.db").ok().out_lacks("hunter");
    proved(&fs::read(folder.path().join("a.db")).unwrap());
}

#[test]
fn a_snapshot_comes_over_tls() {
    let certs = Certs::new();
    let etcd = Etcd::options().client_auth(&certs).start();
    let folder = folder();
    let args = ["--ca-file", certs.ca.to_str().unwrap(), "--cert-file", certs.client.cert.to_str().unwrap()];
    let run = save(&etcd, &folder, &["a.db"]).args(args).arg("--key-file").arg(&certs.client.key).run();
    run.ok();
    proved(&fs::read(folder.path().join("a.db")).unwrap());
}

#[test]
fn one_of_three_members_is_enough() {
    let mut cluster = Cluster::start(3);
    let all = cluster.endpoints();
    let folder = folder();
    Kvadm::new().endpoint(&all).args(["put", "/a", "v"]).run().ok();
    let save = |file: &str| {
        let kvadm =
            Kvadm::new().endpoint(&all).folder(folder.path()).args(["--op-timeout", "2s", "--dial-timeout", "1s"]);
        kvadm.args(["snapshot", "save", file, "-o", "json"]).run()
    };
    let run = save("healthy.db");
    let said = run.ok().err_empty().json();
    assert_eq!((&said["endpoint"], &said["behind"]), (&json!(cluster.members[0].endpoint()), &json!(0)));
    cluster.members[0].kill();
    cluster.members[1].kill();
    let alone = cluster.members[2].endpoint();
    eventually("the last member to lose its leader", Duration::from_secs(20), || {
        let run = Kvadm::new().endpoint(&alone).args(["status", "--serializable", "-o", "json"]).run();
        run.stdout_text().contains("has no leader")
    });
    let run = save("alone.db");
    let said = run.ok().json();
    assert_eq!((&said["endpoint"], said.get("behind")), (&json!(alone), None));
    run.err_has(&format!("warning: {alone} has no leader: the newest writes may be missing from the snapshot"));
    proved(&fs::read(folder.path().join("alone.db")).unwrap());
}

#[test]
fn a_member_that_does_not_answer_is_passed_over() {
    let cluster = Cluster::start(3);
    let folder = folder();
    let silent = (cluster.leader() + 1) % 3;
    let others: Vec<String> = (0..3).filter(|at| *at != silent).map(|at| cluster.members[at].endpoint()).collect();
    let spoken = cluster.members[silent].endpoint();
    cluster.members[silent].pause();
    let order = format!("{spoken},{}", others.join(","));
    let run =
        Kvadm::new().endpoint(&order).folder(folder.path()).args(["snapshot", "save", "a.db", "-o", "json"]).run();
    assert_eq!(run.ok().json()["endpoint"], json!(others[0]));
    cluster.members[silent].resume();
}

#[test]
fn a_learner_gives_a_snapshot_if_its_version_can() {
    let (etcd, folder) = (Etcd::start(), folder());
    let peer = format!("http://127.0.0.1:{}", free_port());
    etcd.etcdctl_ok(&["member", "add", "late", "--learner", &format!("--peer-urls={peer}")]);
    let learner = learner(&etcd, &peer);
    let run = save(&learner, &folder, &["a.db"]).run();
    if run.code == Some(0) {
        proved(&fs::read(folder.path().join("a.db")).unwrap());
    } else {
        run.code(3).err_has("learner");
        assert_eq!(names(&folder), [""; 0]);
    }
}

#[test]
fn a_proxy_passes_a_snapshot_on() {
    let folder = folder();
    let port = free_port();
    let mut proxy = Command::new(super::support::binary::server())
        .args(["grpc-proxy", "start", "--endpoints", &shared().address()])
        .arg(format!("--listen-addr=127.0.0.1:{port}"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let endpoint = format!("http://127.0.0.1:{port}");
    let kvadm = Kvadm::new().endpoint(&endpoint).args(["--connect-wait", "20s"]).folder(folder.path());
    let run = kvadm.args(["snapshot", "save", "a.db"]).run();
    proxy.kill().unwrap();
    proxy.wait().unwrap();
    run.ok();
    proved(&fs::read(folder.path().join("a.db")).unwrap());
}
