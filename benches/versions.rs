//! The versions of etcd and etcdctl that one run compares, and which cases each of them runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases::{Case, Place, Target, case, until};
use crate::measure::Until;

/// Parts of the names of cases whose figures do not depend on the version: the first version runs them.
const ONCE: [&str; 8] = ["allocate", "gc ", "list --db", "get --db", "copy", "top,", "restore", "snapshot verify"];

/// An etcd and its etcdctl.
pub struct Version {
    /// The folder of both.
    pub folder: PathBuf,
    /// As `3.5.1`.
    pub etcd: String,
    pub etcdctl: String,
}

/// Whether only the first version runs the cases of this name.
pub fn is_once(name: &str) -> bool {
    ONCE.iter().any(|part| name.contains(part))
}

/// The versions in these folders, which `:` separates.
///
/// # Errors
/// A folder lacks a program, or a program does not tell its version.
pub fn in_folders(folders: &str) -> Result<Vec<Version>, String> {
    let version = |folder: &str| {
        let folder = Path::new(folder);
        let says = |program: &str, argument: &str, label: &str| {
            let program = folder.join(program);
            let output = Command::new(&program).arg(argument).output();
            let text = output.map_err(|e| format!("{}: {e}", program.display()))?.stdout;
            let text = String::from_utf8_lossy(&text);
            let version =
                text.lines().find_map(|line| line.trim().strip_prefix(label)).map(|rest| rest.trim().to_owned());
            version.ok_or_else(|| format!("{} {argument} does not tell a version", program.display()))
        };
        Ok(Version {
            folder: folder.to_owned(),
            etcd: says("etcd", "--version", "etcd Version:")?,
            etcdctl: says("etcdctl", "version", "etcdctl version:")?,
        })
    };
    folders.split(':').filter(|folder| !folder.is_empty()).map(version).collect()
}

impl Version {
    /// The minor version.
    pub fn minor(&self) -> u32 {
        self.etcd.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
    }

    /// For headings.
    pub fn title(&self) -> String {
        format!("etcd {} with etcdctl {}", self.etcd, self.etcdctl)
    }
}

/// The targets that depend on the version: etcdctl starts faster from 3.6 on.
pub fn adjusted(p: &Place<'_>, mut cases: Vec<Case>) -> Vec<Case> {
    for case in cases.iter_mut().filter(|_| p.minor >= 6) {
        for target in &mut case.targets {
            match (case.name.as_str(), &target) {
                ("get", Target::Wall(_)) => *target = Target::Wall(0.3),
                ("get over TLS", Target::Wall(_)) => *target = Target::Wall(0.4),
                _ => {}
            }
        }
    }
    cases
}

/// Listings beside etcdctl's own stream of a range, which etcd has from 3.7 on.
pub fn streams(p: &Place<'_>) -> Vec<Case> {
    if p.minor < 7 {
        return Vec::new();
    }
    let row = |what: &str, ours: &[&str], theirs: &[&str]| {
        let name = format!("{what}, compared with etcdctl get --stream");
        let ours = p.kvadm_at(&p.endpoint, &[&["list", "/k/"], ours].concat());
        let theirs = p.etcdctl_at(&p.endpoint, &[&["get", "/k/", "--prefix", "--stream"], theirs].concat());
        (name, ours, theirs)
    };
    let (name, ours, theirs) = row("list", &[], &[]);
    let list = Case { keys: p.keys, ..case(&name, ours, Some(theirs), &[Target::Wall(0.8)]) };
    let (name, ours, theirs) = row("list --keys-only", &["--keys-only"], &["--keys-only"]);
    let keys_only = Case { keys: p.keys, ..case(&name, ours, Some(theirs), &[Target::Wall(0.8)]) };
    let (name, ours, theirs) = row("first line of list", &[], &[]);
    let line = || Until::Lines(1);
    let first = case(&name, until(ours, line()), Some(until(theirs, line())), &[]);
    vec![list, keys_only, first]
}
