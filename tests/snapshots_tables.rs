//! Tables, on a terminal of 80 columns and without one, at 160.

use super::snapshots::{Page, call};
use super::support::containerd::{EARLIER, NOW, Tree};
use super::support::{Etcd, Kvadm};

/// The snapshots of this file.
pub(super) const NAMES: &[&str] = &["tables-gc", "tables-listings", "tables-members", "tables-leases-and-locks"];

#[track_caller]
fn done(etcd: &Etcd, args: &[&str]) {
    Kvadm::new().endpoint(etcd).args(args).run().ok();
}

/// Shows the table on a terminal of 80 columns, and at 160 columns.
fn show(page: &mut Page, args: &[&str]) {
    show_masked(page, args, |text| text);
}

fn show_masked(page: &mut Page, args: &[&str], mask: fn(String) -> String) {
    page.show_masked(call([args, &["--no-progress"]].concat()).terminal(), mask);
    page.show_masked(call([args, &["-o", "table"]].concat()), mask);
}

/// With other cells, each as wide as it was and the blanks before it: what moves is on the right of its column.
fn cells(text: &str, other: fn(&str) -> Option<&'static str>) -> String {
    text.split_inclusive('\n').map(|line| cells_of(line, other)).collect()
}

fn cells_of(line: &str, other: fn(&str) -> Option<&'static str>) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let blanks = rest.len() - rest.trim_start_matches(' ').len();
        let end = rest[blanks..].find("  ").map_or(rest.trim_end().len(), |end| blanks + end);
        let end = end.max(blanks);
        match other(&rest[blanks..end]) {
            Some(by) => shown += &format!("{by:>0$}", rest[..end].chars().count()),
            None => shown += &rest[..end],
        }
        rest = &rest[end..];
        if rest.trim().is_empty() {
            return shown + rest;
        }
    }
    shown
}

/// Sizes and times differ between servers and runs.
fn figures(text: String) -> String {
    cells(&text, |cell| {
        let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
        match (number.parse::<f64>(), unit) {
            (Ok(_), "B" | "KiB" | "MiB" | "GiB") => Some("[SIZE]"),
            (Ok(_), "") => Some("[MS]"),
            _ => None,
        }
    })
}

/// Without the column of this title and what moves on its right: only newer servers tell their quota.
fn without_column(text: &str, title: &str) -> String {
    let found = text.lines().find_map(|line| Some((line, line.find(title)?)));
    let Some((line, at)) = found else { return text.to_owned() };
    let cut = line[..at].trim_end().len()..at + title.len();
    let line = |line: &str| match (line.get(..cut.start), line.get(cut.end..)) {
        (Some(before), Some(behind)) => format!("{before}{behind}").trim_end().to_owned() + "\n",
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn figures_without_quota(text: String) -> String {
    figures(without_column(&text, "QUOTA"))
}

fn without_share(text: String) -> String {
    let text: String = text.split_inclusive('\n').filter(|line| !line.contains("does not report its quota")).collect();
    without_column(&text, "PERCENT")
}

/// What is left of a lease of a million seconds.
fn left(text: String) -> String {
    cells(&text, |cell| cell.parse().is_ok_and(|left: u64| (996_400..1_000_000).contains(&left)).then_some("[LEFT]"))
}

#[test]
fn members() {
    let etcd = Etcd::start();
    done(&etcd, &["put", "/a", "x"]);
    let mut page = Page::of_server(&etcd);
    let status = Kvadm::new().endpoint(&etcd).args(["status", "-o", "json"]).run().ok().json();
    page.hide(status["members"][0]["version"].as_str().unwrap(), "[VER]");
    page.hide(&format!("{}…", &etcd.endpoint()[..19]), "[EP]…");
    show_masked(&mut page, &["status"], figures_without_quota);
    show_masked(&mut page, &["status", "--quorum"], figures_without_quota);
    show_masked(&mut page, &["compact", "--dry-run"], figures);
    show_masked(&mut page, &["compact", "--reclaim", "--dry-run"], figures);
    show_masked(&mut page, &["compact", "--reclaim", "--yes"], figures);
    show(&mut page, &["config"]);
    page.hold("tables-members");
}

#[test]
fn leases_and_locks() {
    let etcd = Etcd::start();
    let leases = ["7a00000000000001", "7a00000000000002", "7a00000000000003"];
    for lease in leases {
        done(&etcd, &["lease", "grant", "--ttl", "1000000s", "--id", lease]);
        done(&etcd, &["put", &format!("/cron/backup/{lease}"), "", "--lease", lease]);
    }
    let long = format!("/{}/{}", "a-lock-with-a-long-name".repeat(6), leases[0]);
    done(&etcd, &["put", &long, "shared", "--lease", leases[0]]);
    for (path, value) in [
        ("id/256", "k8s:app=web;"),
        ("value/k8s:app=web;/node-1", "256"),
        ("value/k8s:app=web;/node-2", "256"),
        ("id/257", "k8s:label=value;k8s:another=one;k8s:io.kubernetes.pod.namespace=default;k8s:name=a-long-one;"),
        ("id/258", "k8s:app=web;"),
        ("value/lost;/node-1", "300"),
    ] {
        done(&etcd, &["put", &format!("cilium/state/identities/v1/{path}"), value]);
    }
    done(&etcd, &["put", "cilium/state/identities/v1/id/259", "leased;"]);
    done(&etcd, &["put", "cilium/state/identities/v1/value/leased;/node-3", "259", "--lease", leases[0]]);
    let mut page = Page::of_server(&etcd);
    show_masked(&mut page, &["lease", "list"], left);
    show_masked(&mut page, &["lock", "--list"], left);
    show(&mut page, &["allocate", "list"]);
    show_masked(&mut page, &["allocate", "list", "--ttl"], left);
    show(&mut page, &["allocate", "check", "--all"]);
    page.hold("tables-leases-and-locks");
}

#[test]
fn listings() {
    let etcd = Etcd::start();
    for (key, value) in [
        ("/app/mode", "blue"),
        ("/app/config/a", "1"),
        ("/app/config/b", "two lines\nof text\n"),
        ("/app/mode", "green"),
        ("/long/key/long/key/long/key/long/key/long/key/long/key", &"value ".repeat(40)),
        ("/app/again", "x"),
    ] {
        done(&etcd, &["put", key, value]);
    }
    done(&etcd, &["delete", "/app/again"]);
    done(&etcd, &["put", "/app/again", "y"]);
    done(&etcd, &["lease", "grant", "--ttl", "1000000s", "--id", "7a00000000000001"]);
    done(&etcd, &["put", "/leased", "x", "--lease", "7a00000000000001"]);
    let mut page = Page::of_server(&etcd);
    show(&mut page, &["list", "/"]);
    show(&mut page, &["list", "/", "--with-leases"]);
    show(&mut page, &["list", "/", "--keys-only"]);
    show(&mut page, &["list", "/", "--count"]);
    show(&mut page, &["list", "/", "--depth", "1"]);
    show(&mut page, &["list", "/", "--tree"]);
    show(&mut page, &["list", "/", "--tree", "--depth", "1"]);
    show_masked(&mut page, &["list", "/", "--du"], without_share);
    show_masked(&mut page, &["list", "/", "--du", "--depth", "2", "--top", "2"], without_share);
    show(&mut page, &["get", "/app/mode", "--history"]);
    show(&mut page, &["get", "/app/again", "--history"]);
    show(&mut page, &["get", "/app/mode", "/leased"]);
    show(&mut page, &["put", "/app/mode", "red"]);
    show(&mut page, &["delete", "/app/mode", "/none", "--dry-run"]);
    page.hold("tables-listings");
}

#[test]
fn gc() {
    let etcd = Etcd::start();
    for (path, value) in [("id/256", "a;"), ("value/a;/n1", "256"), ("id/257", "unused;"), ("id/258", "a;")] {
        done(&etcd, &["put", &format!("cilium/state/identities/v1/{path}"), value]);
    }
    done(&etcd, &["put", "/cron/backup/7a00000000000009", ""]);
    let mut tree = Tree::new(&etcd, "/m/");
    tree.content("ns1", "used", &[])
        .content("ns1", "lost", &[("ref.content.0", "deeper")])
        .content("ns1", "deeper", &[])
        .image("ns1", "image", "used", &[])
        .image("ns1", "old", "lost", &[("expire", EARLIER)])
        .load();
    let mut page = Page::of_server(&etcd);
    show(&mut page, &["gc", "ids"]);
    show(&mut page, &["gc", "locks", "/cron/"]);
    let metadata = ["gc", "metadata", "/m/", "--schema", "containerd", "--now", NOW];
    show(&mut page, &metadata);
    let explain = |key: &'static str| [&metadata[..], &["--explain", key]].concat();
    show(&mut page, &explain("/m/v1/ns1/content/blob/used"));
    show(&mut page, &explain("/m/v1/ns1/content/blob/deeper"));
    show(&mut page, &[&metadata[..], &["--check"]].concat());
    // Names that only differ in a digest.
    let digests: Vec<String> =
        (1..4_u32).map(|n| format!("sha256:{:08x}", n.wrapping_mul(0x9e37_79b1)).repeat(3)).collect();
    let mut tree = Tree::new(&etcd, "/digests/");
    tree.content("ns1", &digests[0], &[("ref.content.0", &digests[1])]).content("ns1", &digests[1], &[]);
    tree.content("ns1", &digests[2], &[]).load();
    let metadata = ["gc", "metadata", "/digests/", "--schema", "containerd", "--now", NOW];
    show(&mut page, &metadata);
    let key = format!("/digests/v1/ns1/content/blob/{}", digests[1]);
    show(&mut page, &[&metadata[..], &["--explain", &key]].concat());
    page.hold("tables-gc");
}
