//! What `make dist` packages, tried with a small program in the place of the release build: the files of the tarball and of the
//! Debian package, the same bytes every time, and an SBOM that agrees with Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::support::time_limit;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> Output {
    time_limit::start();
    let output = command.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

/// A line of shell that uses the functions of `.ci/dist`, with these folders first on PATH.
fn shell(line: &str, path: &[&Path]) -> String {
    let before: Vec<String> = path.iter().map(|folder| folder.display().to_string()).collect();
    let path = [before, vec![std::env::var("PATH").unwrap()]].concat().join(":");
    let line = format!(". .ci/dist\n{line}");
    text(Command::new("bash").args(["-c", &line]).env("PATH", path)).trim_end().to_owned()
}

fn target() -> String {
    shell("native_target", &[])
}

/// The packages of a program that is not kvadm, made at this time.
fn package(time: &str, zone: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a folder");
    let mut command = Command::new("bash");
    command.args([".ci/dist", "package", "/bin/true"]).arg(&out).env("SOURCE_DATE_EPOCH", time);
    // What the time zone, the language and the default mode of files are does not count.
    command.env("TZ", zone).env("LANG", "de_DE.UTF-8");
    run(&mut command);
    folder
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())).collect()
}

/// The files below a folder, relative to it.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    fn add(folder: &Path, below: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, below, found);
            } else {
                found.insert(path.strip_prefix(below).unwrap().to_owned());
            }
        }
    }
    let mut found = BTreeSet::new();
    add(folder, folder, &mut found);
    found
}

/// Which files of the repository are where, by folder of the repository.
fn expected(man: &str, zsh: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in files(&root().join("man")) {
        let name = entry.to_str().unwrap();
        found.insert(format!("man/man{}/{name}{man}", name.rsplit('.').next().unwrap()));
    }
    for entry in files(&root().join("docs")) {
        found.insert(format!("doc/kvadm/docs/{}", entry.display()));
    }
    for entry in files(&root().join("benches")).iter().filter(|file| file.extension().is_some_and(|of| of == "md")) {
        found.insert(format!("doc/kvadm/benches/{}", entry.display()));
    }
    let documents = ["README.md", "SECURITY.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "sbom.cdx.json"];
    found.extend(documents.map(|name| format!("doc/kvadm/{name}")));
    found.extend(["bash-completion/completions/kvadm", "fish/vendor_completions.d/kvadm.fish"].map(str::to_owned));
    found.insert(format!("zsh/{zsh}/_kvadm"));
    found.into_iter().map(|name| Path::new("share").join(name)).collect()
}

/// Each relative link of the documents in a folder leads to a file in it; returns how many links there are.
fn followed_links(folder: &Path) -> usize {
    let mut count = 0;
    for file in files(folder).iter().filter(|file| file.extension().is_some_and(|of| of == "md")) {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in links.filter(|link| !link.starts_with('#') && !link.contains(':')) {
            let path = folder.join(file).parent().unwrap().join(link.split('#').next().unwrap());
            assert!(path.exists(), "{} links to {link}, which is not packaged", file.display());
            count += 1;
        }
    }
    count
}

#[test]
fn the_packages_are_complete_and_the_same_bytes_every_time() {
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| package("1790000000", "Asia/Tokyo"));
        (package("1790000000", "America/Lima"), other.join().unwrap())
    });
    let folder = first.path().join("a folder");
    let made = contents(&folder);
    assert!(made == contents(&second.path().join("a folder")), "two runs give different bytes");
    let name = format!("kvadm-{VERSION}-{}", target());
    let sums = String::from_utf8(made["SHA256SUMS"].clone()).unwrap();
    for file in made.keys().filter(|file| *file != "SHA256SUMS") {
        assert!(sums.contains(&format!("  {file}\n")), "{file} has no checksum:\n{sums}");
    }
    let check = format!("cd '{}' && sha256sum --quiet --check SHA256SUMS", folder.display());
    run(Command::new("sh").args(["-c", &check]));

    let archive = folder.join(format!("{name}.tar.gz"));
    let listing = text(
        Command::new("tar")
            .args(["--list", "--verbose", "--numeric-owner", "--full-time", "--file"])
            .arg(&archive)
            .env("TZ", "UTC"),
    );
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // No folders: root's tar would change the mode and the owner of those that exist.
        assert!(["-rw-r--r--", "-rwxr-xr-x"].contains(&words[0]), "{line}");
        assert_eq!(words[0] == "-rwxr-xr-x", line.ends_with("/bin/kvadm"), "{line}");
        assert_eq!((words[1], words[3], words[4]), ("0/0", "2026-09-21", "14:13:20"), "{line}");
    }
    let unpacked = tempfile::tempdir().unwrap();
    run(Command::new("tar").args(["--extract", "--file"]).arg(&archive).arg("--directory").arg(unpacked.path()));
    let mut wanted = expected("", "site-functions");
    wanted.extend(["LICENSE", "THIRD-PARTY-LICENSES"].map(|file| Path::new("share/doc/kvadm").join(file)));
    wanted.insert("bin/kvadm".into());
    let tree = unpacked.path().join(&name);
    assert_eq!(files(&tree), wanted);
    assert!(followed_links(&tree.join("share/doc/kvadm")) > 15);
    assert_eq!(fs::read(tree.join("bin/kvadm")).unwrap(), fs::read("/bin/true").unwrap());
    let licences = fs::read_to_string(tree.join("share/doc/kvadm/THIRD-PARTY-LICENSES")).unwrap();
    assert!(licences.contains("  tokio ") && licences.contains("Permission is hereby granted"), "{licences}");
    assert!(!licences.contains("  insta "), "a crate of the tests");
}

/// README's command keeps the mode of the folders in which it unpacks the tarball, also if root runs it.
#[test]
fn the_tarball_changes_no_folder_that_exists() {
    let made = package("1790000000", "UTC");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let command = readme.lines().find_map(|line| line.trim().strip_prefix("tar xf kvadm-")).expect("the command");
    let (archive, options) = command.split_once(' ').unwrap();
    assert_eq!(archive, format!("{VERSION}-x86_64-unknown-linux-gnu.tar.gz"));
    let options = options.split('#').next().unwrap();
    let place = tempfile::tempdir().unwrap();
    let folders = ["", "bin", "share", "share/man", "share/doc"].map(|name| place.path().join(name));
    for folder in &folders {
        fs::create_dir_all(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o2775)).unwrap();
    }
    let options = options.replace("/usr/local", &format!("'{}'", place.path().display()));
    let line = format!("umask 022 && tar xf 'a folder/kvadm-{VERSION}-{}.tar.gz' {options}", target());
    let output = Command::new("sh").args(["-c", &line]).current_dir(made.path()).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    for folder in &folders {
        let mode = fs::metadata(folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o2775, "{}", folder.display());
    }
    let mode = |name: &str| fs::metadata(place.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("bin/kvadm"), mode("share/man/man1"), mode("share/man/man1/kvadm.1")), (0o755, 0o755, 0o644));
}

#[test]
fn the_debian_package_is_as_the_policy_wants_it() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        eprintln!("dpkg-deb is not installed: there is no Debian package here");
        return;
    }
    let made = package("1790000000", "UTC");
    let architecture = shell("debian_architecture \"$(native_target)\"", &[]);
    let package = made.path().join(format!("a folder/kvadm_{VERSION}-1_{architecture}.deb"));
    let field = |name: &str| text(Command::new("dpkg-deb").arg("--field").arg(&package).arg(name)).trim().to_owned();
    assert_eq!((field("Package"), field("Version")), ("kvadm".to_owned(), format!("{VERSION}-1")));
    assert!(field("Depends").starts_with("libc6 (>= 2."), "{}", field("Depends"));
    let listing = text(Command::new("dpkg-deb").arg("--contents").arg(&package));
    assert!(listing.lines().all(|line| line.contains(" root/root ")), "{listing}");
    let tree = tempfile::tempdir().unwrap();
    run(Command::new("dpkg-deb").arg("--raw-extract").arg(&package).arg(tree.path()));
    let mut wanted: BTreeSet<PathBuf> = expected(".gz", "vendor-completions");
    let documents = ["changelog.gz", "changelog.Debian.gz", "copyright", "THIRD-PARTY-LICENSES.gz"];
    wanted.extend(documents.map(|file| Path::new("share/doc/kvadm").join(file)));
    wanted.insert("bin/kvadm".into());
    assert_eq!(files(&tree.path().join("usr")), wanted);
    assert!(followed_links(&tree.path().join("usr/share/doc/kvadm")) > 15);
    let sums = fs::read_to_string(tree.path().join("DEBIAN/md5sums")).unwrap();
    assert_eq!(sums.lines().count(), wanted.len());
    let check = format!("cd '{}' && md5sum --quiet --check DEBIAN/md5sums", tree.path().display());
    run(Command::new("sh").args(["-c", &check]));
    let kib: u64 = field("Installed-Size").parse().unwrap();
    let files: u64 = files(&tree.path().join("usr"))
        .iter()
        .map(|file| fs::metadata(tree.path().join("usr").join(file)).unwrap().len())
        .sum();
    assert!((files / 1024..files / 1024 + 400).contains(&kib), "{kib} KiB for {files} bytes");
    let date = format!("zcat '{}/usr/share/doc/kvadm/changelog.Debian.gz'", tree.path().display());
    assert!(text(Command::new("sh").args(["-c", &date])).contains("  Mon, 21 Sep 2026 14:13:20 +0000\n"));
}

/// A program in a folder of its own.
fn program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_libraries_that_the_binary_needs_become_debian_s_packages() {
    let folder = tempfile::tempdir().unwrap();
    let table = |needed: &str, versions: &str| {
        format!("cat <<'END'\nDynamic Section:\n{needed}Version References:\n{versions}END")
    };
    let needed =
        "  NEEDED               libgcc_s.so.1\n  NEEDED               libm.so.6\n  NEEDED               libc.so.6\n";
    let versions = "  required from libgcc_s.so.1:\n    0x0b792650 0x00 02 GCC_3.0\n    0x09265f61 0x00 04 GCC_4.2.0\n  required from libc.so.6:\n    0x0d696910 0x00 03 GLIBC_2.9\n    0x06969194 0x00 05 GLIBC_2.34\n    0x0 0x00 06 GLIBC_2.4\n  required from libm.so.6:\n    0x06969189 0x00 07 GLIBC_2.29\n";
    program(folder.path(), "objdump", &table(needed, versions));
    assert_eq!(shell("needs /bin/true", &[folder.path()]), "libc6 (>= 2.34), libgcc-s1 (>= 4.2)");
    program(folder.path(), "objdump", &table("  NEEDED               libssl.so.3\n", ""));
    assert_eq!(
        shell("needs /bin/true 2>&1 || echo failed", &[folder.path()]),
        "dist: no Debian package is known for libssl.so.3\nfailed"
    );
}

#[test]
fn a_static_build_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let libraries = folder.path().join("lib");
    fs::create_dir(&libraries).unwrap();
    let rustc = |host: &str| {
        program(
            folder.path(),
            "rustc",
            &format!("case $1 in -vV) echo 'host: {host}' ;; *) echo '{}' ;; esac", libraries.display()),
        );
    };
    let lacks = || shell("musl_lacks", &[folder.path()]);
    rustc("aarch64-unknown-linux-gnu");
    assert_eq!(lacks(), "it is built on x86_64 only");
    rustc("x86_64-unknown-linux-gnu");
    assert_eq!(lacks(), "Rust's target x86_64-unknown-linux-musl ('rustup target add x86_64-unknown-linux-musl')");
    fs::write(libraries.join("libstd-0.rlib"), "").unwrap();
    if Command::new("musl-gcc").arg("--version").output().is_err() {
        assert_eq!(lacks(), "a C compiler for musl (Debian's musl-tools)");
    }
    program(folder.path(), "musl-gcc", "true");
    assert_eq!(lacks(), "");
}

/// Names and checksums of the crates of Cargo.lock.
fn locked() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
        line.map(|rest| rest.trim_end_matches('"').to_owned())
    };
    let blocks = text.split("[[package]]\n").skip(1);
    let entry = |block: &str| {
        let purl = format!("pkg:cargo/{}@{}", value(block, "name")?, value(block, "version")?.replace('+', "%2B"));
        Some((purl, value(block, "checksum")?))
    };
    blocks.filter_map(entry).collect()
}

#[test]
fn the_sbom_lists_every_crate_of_the_binary() {
    let mut command = Command::new("python3");
    command.args([".ci/sbom.py", "sbom", &target()]).env("SOURCE_DATE_EPOCH", "1790000000");
    let sbom: Value = serde_json::from_slice(&run(&mut command).stdout).unwrap();
    assert_eq!((&sbom["bomFormat"], &sbom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    assert_eq!(sbom["metadata"]["timestamp"], "2026-09-21T14:13:20Z");
    assert_eq!(sbom["metadata"]["component"]["version"], VERSION);
    let number = sbom["serialNumber"].as_str().unwrap();
    assert!(number.starts_with("urn:uuid:") && number.len() == 45, "{number}");
    let locked = locked();
    let mut scopes = BTreeMap::new();
    for component in sbom["components"].as_array().unwrap() {
        let purl = component["purl"].as_str().unwrap();
        assert_eq!(component["bom-ref"], purl);
        assert_eq!(component["hashes"][0]["content"].as_str(), locked.get(purl).map(String::as_str), "{purl}");
        let licence = component["licenses"][0]["expression"].as_str().unwrap();
        assert!(!licence.contains('/') && !licence.is_empty(), "{purl}: {licence}");
        assert!(
            scopes.insert(purl.to_owned(), component["scope"].as_str().unwrap().to_owned()).is_none(),
            "{purl} twice"
        );
    }
    let scope = |name: &str| {
        let found = scopes.iter().find(|(purl, _)| purl.starts_with(&format!("pkg:cargo/{name}@")));
        found.map(|(_, scope)| scope.as_str())
    };
    for direct in ["anyhow", "aws-lc-rs", "aws-lc-sys", "etcd-client", "rustls", "tokio", "tonic"] {
        assert_eq!(scope(direct), Some("required"), "{direct}");
    }
    for builder in ["cc", "prost-build", "serde_derive", "syn"] {
        assert_eq!(scope(builder), Some("excluded"), "{builder}");
    }
    for test in ["insta", "proptest", "rcgen"] {
        assert_eq!(scope(test), None, "{test} is only for tests");
    }
    let main = sbom["metadata"]["component"]["bom-ref"].as_str().unwrap();
    let mut reached = BTreeSet::from([main.to_owned()]);
    let mut edges = BTreeMap::new();
    for entry in sbom["dependencies"].as_array().unwrap() {
        let targets = entry["dependsOn"].as_array().unwrap().iter().map(|of| of.as_str().unwrap().to_owned());
        edges.insert(entry["ref"].as_str().unwrap().to_owned(), targets.collect::<Vec<_>>());
    }
    let mut left = vec![main.to_owned()];
    while let Some(next) = left.pop() {
        left.extend(edges[&next].iter().filter(|of| reached.insert((*of).clone())).cloned());
    }
    let listed: BTreeSet<String> = scopes.into_keys().chain([main.to_owned()]).collect();
    assert_eq!(reached, listed, "each component is a dependency of kvadm or of one");
}

#[test]
fn the_release_builds_with_fixed_paths_and_locked_versions() {
    let build = fs::read_to_string(root().join(".ci/dist-build")).unwrap();
    for part in
        ["--remap-path-prefix=$cargo_home=", "--remap-path-prefix=$root=", "-ffile-prefix-map=$cargo_home=", "--locked"]
    {
        assert!(build.contains(part), "{part}");
    }
    assert_eq!(shell("SOURCE_DATE_EPOCH=5 epoch", &[]), "5");
    assert_eq!(shell("version", &[]), VERSION);
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    assert!(read("README.md").contains(&format!("kvadm_{VERSION}-1_amd64.deb")), "README names another version");
    assert!(
        read("CHANGELOG.md").contains(&format!("\n## [{VERSION}] - 20")),
        "the changelog does not have the version"
    );
}
