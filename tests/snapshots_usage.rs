//! What kvadm says of command lines and configuration files that are wrong, before it looks for etcd.

use super::snapshots::{Files, Page, call};

/// The snapshots of this file.
pub(super) const NAMES: &[&str] = &["errors-config", "errors-usage", "errors-usage-verbs"];

/// Nobody listens there.
const DEAD: &str = "127.0.0.1:1";

#[test]
fn usage() {
    let mut page = Page::of(DEAD);
    page.heading("verbs and options");
    page.show_each([
        &["gett", "/a"][..],
        &["del", "/a"],
        &["lease"],
        &["lease", "lsit"],
        &["get", "/a", "--no-such-flag"],
        &["put", "/a", "x", "--craete"],
        &["-o", "json", "gett", "/a"],
        &["put", "/a", "x", "--no-such-flag", "--output=json"],
    ]);
    page.heading("options of every verb");
    page.show_each([
        &["get", "/a", "--endpoints", ""][..],
        &["get", "/a", "--endpoints", "ftp://h"],
        &["get", "/a", "--endpoints", "h:0"],
        &["get", "/a", "--endpoints", "127.0.0.1:"],
        &["get", "/a", "--endpoints", "h/path"],
        &["get", "/a", "--endpoints", "a b:1"],
        &["get", "/a", "--endpoints", "unix://"],
        &["get", "/a", "--endpoints", "ftp://h", "-o", "json"],
        &["get", "/a", "--op-timeout", "5"],
        &["get", "/a", "--dial-timeout", "soon"],
        &["get", "/a", "--deadline", "0s"],
        &["get", "/a", "--qps", "0"],
        &["get", "/a", "--output", "xml"],
        &["get", "/a", "--color", "blue"],
        &["get", "/a", "--user", "a:b"],
        &["get", "/a", "-c", "etcd.yaml", "--context", "prod"],
    ]);
    page.hold("errors-usage");
}

#[test]
fn usage_of_each_verb() {
    let mut page = Page::of(DEAD);
    page.heading("get and list");
    page.show_each([
        &["get"][..],
        &["-o", "json", "get"],
        &["get", ""],
        &["get", "/a", "--rev", "0"],
        &["get", "/a", "/b", "--history"],
        &["get", "--escape", "/a\\q"],
        &["list", "/a", "--from", "/b"],
        &["list", "--from", "/b", "--to", "/a"],
        &["list", "--from", "/b", "--dir"],
        &["list", "--match", "["],
        &["list", "--top", "3"],
        &["list", "--trailer"],
        &["list", "--regex", "a(b"],
        &["list", "--search", ""],
        &["list", "--at", "2026-11-30"],
        &["list", "--since-rev", "9", "--rev", "8"],
        &["list", "--tree", "--du"],
        &["list", "--separator", "ab", "--tree"],
    ]);
    page.heading("put and delete");
    page.show_each([
        &["put"][..],
        &["put", "/a"],
        &["put", "/a", "x", "y"],
        &["put", "/a", "x", "--create", "--update"],
        &["put", "/a", "x", "--create", "--if-rev", "3"],
        &["put", "/a", "x", "--if-rev", "0"],
        &["put", "/a", "x", "--ttl", "500ms"],
        &["put", "/a", "x", "--ttl", "5"],
        &["put", "/a", "x", "--ttl", "5s", "--lease", "1"],
        &["put", "/a", "x", "--lease", "zz"],
        &["put", "/a", "x", "--from", "-"],
        &["put", "/a", "x", "--revert-to", "3"],
        &["put", "/a", "--hold", "--", "true"],
        &["put", "/a", "x", "--", "true"],
        &["put", "/a", "x", "--if-locked"],
        &["put", "/a", "x", "--if-locked=/l"],
        &["put", "/a", "--file", "/nowhere/value"],
        &["put", "/a", "x", "--proto", "/nowhere/set", "--message", "a.B"],
        &["delete"],
        &["delete", "/a", "--prefix", "/b"],
        &["delete", "--prefix", ""],
        &["delete", "--prefix", "/a", "--if-rev", "3"],
        &["delete", "/a", "/b", "--if-rev", "3"],
    ]);
    page.heading("watch");
    page.show_each([
        &["watch"][..],
        &["watch", "/a", "--until", "list-done"],
        &["watch", "/a", "--until", "in-sync"],
        &["watch", "/a", "--until", "noon"],
        &["watch", "/a", "--only", "moved"],
        &["watch", "/a", "--rev", "3", "--list"],
        &["watch", "/a", "--count", "0"],
        &["watch", "/a", "--exec"],
        &["watch", "/a", "--", "true"],
        &["watch", "/a", "--resume", "/nowhere/place"],
    ]);
    page.heading("lock and lease");
    page.show_each([
        &["lock"][..],
        &["lock", "/l", "--try", "--wait", "3s"],
        &["lock", "/l", "--ttl", "1ms"],
        &["lock", "--list", "--", "true"],
        &["lock", ""],
        &["lease", "grant"],
        &["lease", "grant", "--ttl", "5"],
        &["lease", "show", "zz"],
        &["lease", "renew"],
        &["lease", "revoke"],
    ]);
    page.heading("allocate");
    page.show_each([
        &["allocate"][..],
        &["allocate", "new"],
        &["allocate", "new", "a//b"],
        &["allocate", "new", "/lead"],
        &["allocate", "new", "a", "--node", "n/1"],
        &["allocate", "new", "a", "--min", "0"],
        &["allocate", "new", "a", "--min", "9", "--max", "8"],
        &["allocate", "new", "a", "--prefix-mask", "256"],
        &["allocate", "new", "a", "--label", "x=y"],
        &["allocate", "new", "--label", "x=a;b"],
        &["allocate", "new", "a", "--ttl", "5s", "--permanent"],
        &["allocate", "new", "a", "--base", "a//b"],
        &["allocate", "new", "--from", "/nowhere/keys"],
        &["allocate", "lookup", "abc"],
        &["allocate", "lookup", "0"],
        &["allocate", "list", "--state", "lost"],
        &["allocate", "list", "--remote", "nowhere"],
        &["allocate", "renew", "a", "--ttl", "5s"],
    ]);
    page.show(call(["allocate", "new", "--from", "-"]).stdin("fine\n\nbad//one\n"));
    page.heading("gc and compact");
    page.show_each([
        &["gc"][..],
        &["gc", "ids", "--grace", "5s"],
        &["gc", "ids", "--apply", "--grace", "5s", "--since", "plan"],
        &["gc", "ids", "--max-percent", "101"],
        &["gc", "ids", "--every", "0s"],
        &["gc", "ids", "--rate", "0"],
        &["gc", "locks", "--base", "a//b"],
        &["gc", "locks", "--since", "/nowhere/plan"],
        &["gc", "metadata", "/m/", "--print-schema", "x"],
        &["compact", "0"],
        &["compact", "five"],
        &["compact", "5", "--keep", "3"],
        &["compact", "--move-leader"],
        &["compact", "--force", "--disarm"],
        &["compact", "--reclaim", "--physical=false"],
        &["compact", "--every"],
        &["compact", "--every", "0s"],
        &["compact", "--every", "1m", "--defrag"],
    ]);
    page.heading("txn, status, completions");
    page.show_each([
        &["txn"][..],
        &["txn", "/nowhere/txn.yaml"],
        &["status", "--wait", "5s", "--watch"],
        &["status", "--revision", "--quorum"],
        &["status", "/a"],
        &["completions"],
        &["completions", "tcsh"],
        &["completions", "tcsh", "-o", "json"],
    ]);
    page.hold("errors-usage-verbs");
}

#[test]
fn config() {
    let mut page = Page::new();
    let files = Files::new(&mut page);
    page.heading("which file");
    page.show(call(["config", "-c", &files.name("none.yaml")]));
    page.show(call(["get", "/a"]).env("ETCD_CONFIG", &files.name("none.yaml")));
    page.show(call(["config", "-c", &files.name("")]));
    page.show(call(["config", "--context", "nowhere"]).file("here.yaml", ""));
    page.show(call(["config"]).env("KVADM_CONTEXT", "../etcd"));
    page.show(call(["get", "/a", "-o", "json"]).env("ETCD_CONFIG", &files.name("none.yaml")));
    page.heading("what is in it");
    for text in [
        "endpoints: [a\n",
        "a: 1\n\tb: 2\n",
        "- a\n- b\n",
        "endpoints: [a:1]\ndial-timeout: soon\n",
        "# one\n# two\nqps: many\n",
        "endpoints: ['ftp://h']\n",
        "operation-timeout: '5'\n",
        "output: xml\n",
        "insecure-transport: perhaps\n",
        "lock-ttl: 1ms\n",
        "proto: {}\n",
    ] {
        page.show(call(["get", "/a"]).file("etcd.yaml", text));
    }
    page.show(call(["get", "/a", "-o", "json"]).file("etcd.yaml", "endpoints: [a\n"));
    page.heading("unknown keys, and numbers without a unit");
    let unknown =
        |args: &[&str]| call(args).file("etcd.yaml", "endpoints: ['127.0.0.1:1']\ndial_timeout: 5s\nshoe: 44\n");
    page.show(unknown(&["get", "/a"]));
    page.show(unknown(&["get", "/a", "--strict-config"]));
    page.show(call(["get", "/a"]).file("etcd.yaml", "endpoints: ['127.0.0.1:1']\ndial-timeout: 5\n"));
    page.heading("the environment");
    page.show(call(["get", "/a"]).env("KVADM_DIAL_TIMEOUT", "5"));
    page.show(call(["get", "/a"]).env("KVADM_OUTPUT", "xml"));
    page.show(call(["get", "/a"]).env("KVADM_QPS", "many"));
    page.show(call(["get", "/a"]).env("ETCDCTL_ENDPOINTS", "ftp://h"));
    page.show(call(["get", "/a"]).env("KVADM_PASSWORD_FILE", "/nowhere/password").env("KVADM_USER", "root"));
    page.show(call(["get", "/a"]).env("KVADM_PASSWORD", "secret").env("KVADM_ENDPOINTS", DEAD));
    page.hold("errors-config");
}
