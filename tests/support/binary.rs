//! Which etcd and etcdctl the tests run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The server binary: `KVADM_TEST_ETCD`, else what `.ci/fetch` provides.
pub fn server() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var_os("KVADM_TEST_ETCD").filter(|path| !path.is_empty()) {
        // Servers run in folders of their own, where a relative path would lead elsewhere.
        Some(path) if path.as_encoded_bytes().contains(&b'/') => std::path::absolute(path).expect("a path"),
        Some(name) => PathBuf::from(name),
        None => fetched().join("etcd"),
    })
}

/// The etcdctl beside the server, else the one that `.ci/fetch` provides.
pub fn etcdctl() -> PathBuf {
    let beside = server().with_file_name("etcdctl");
    if beside.exists() { beside } else { fetched().join("etcdctl") }
}

/// etcdutl of this version, `3.6` or `3.7`: what reads and restores database files since 3.6. `None` without it and without Go,
/// which builds it; stderr says so.
pub fn etcdutl(version: &str) -> Option<PathBuf> {
    built_with_go("etcdutl", &["etcdutl", version])
}

/// bbolt's own program, which checks the pages of a file. `None` as for [`etcdutl`].
pub fn bbolt() -> Option<PathBuf> {
    built_with_go("bbolt", &["bbolt"])
}

/// The folder of the Python packages that read reports and JSON schemas.
pub fn readers() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let otherwise = "reports and schemas are read by the parsers of their formats: put python3 with pip on PATH, or run \
                     `.ci/fetch readers` where a package index can be reached";
    FOLDER.get_or_init(|| fetch(&["readers"], otherwise))
}

/// What a Python program of this folder prints, which imports [`readers`].
///
/// # Panics
/// The program fails, or there is no Python.
#[track_caller]
pub fn python(program: &str, args: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>, input: &[u8]) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(program);
    let mut command = Command::new("python3");
    command.arg("-B").arg(&program).args(args).env("PYTHONPATH", readers()).env("PYTHONIOENCODING", "utf-8");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("run python3, which these tests need on PATH");
    let (mut stdin, input) = (child.stdin.take().expect("a pipe"), input.to_vec());
    // A program that reads nothing has closed the pipe.
    let feeding = std::thread::spawn(move || stdin.write_all(&input).ok());
    let output = child.wait_with_output().expect("wait for python3");
    let _fed = feeding.join();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} ended with {}\n{why}", program.display(), output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn built_with_go(name: &str, what: &[&str]) -> Option<PathBuf> {
    let has_go = Command::new("go").arg("version").output().is_ok_and(|output| output.status.success());
    if !has_go && Command::new(name).arg("version").output().is_err() {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        // Not by a macro, whose output the test runner hides.
        let note = format!("note: {test} does not compare with {name}: it is not on PATH, and Go is not installed\n");
        std::io::stderr().write_all(note.as_bytes()).expect("stderr");
        return None;
    }
    Some(fetch(what, &format!("{name} could not be built with Go")))
}

fn fetched() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let otherwise = "these tests need an etcd server: put etcd and etcdctl on PATH, or set KVADM_TEST_ETCD to a server \
                     binary, or run `make test` where pip or Debian's packages can be reached";
    FOLDER.get_or_init(|| fetch(&["etcd", "any"], otherwise))
}

fn fetch(what: &[&str], otherwise: &str) -> PathBuf {
    let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/fetch");
    let output = Command::new(fetch).args(what).output().expect("run .ci/fetch");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{otherwise}\n{why}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// Major and minor version of the server binary.
pub fn version() -> (u32, u32) {
    let (major, minor, _) = full_version();
    (major, minor)
}

/// Whether kvadm defragments this version with --force only: 3.5.0 to 3.5.5 have a defect.
pub fn defrag_needs_force() -> bool {
    matches!(full_version(), (3, 5, 0..=5))
}

/// Major, minor and patch version of the server binary.
pub fn full_version() -> (u32, u32, u32) {
    static VERSION: OnceLock<(u32, u32, u32)> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let output = Command::new(server()).arg("--version").output().unwrap_or_else(|why| {
            panic!("cannot run the etcd server {} (KVADM_TEST_ETCD?): {why}", server().display());
        });
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().find_map(|line| line.strip_prefix("etcd Version:")).unwrap_or_default();
        let mut parts = version.trim().split(['.', '-', '+']).map(|part| part.parse().ok());
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor), patch) => (major, minor, patch.unwrap_or(0)),
            _ => panic!("{} --version does not say an etcd version: {text}", server().display()),
        }
    })
}
