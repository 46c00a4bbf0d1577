//! What kvadm says where etcd, or the way to it, is why it does not do what was asked: the command, the exit code, every
//! word.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use super::snapshots::{Call, Files, Page, call};
use super::support::containerd::{EARLIER, LATER, NOW, Tree};
use super::support::{Certs, Etcd, Kvadm};

/// The snapshots of this file.
pub(super) const NAMES: &[&str] = &[
    "errors-allocate",
    "errors-conditions",
    "errors-consent",
    "errors-gc",
    "errors-input",
    "errors-leases-and-locks",
    "errors-reaching",
    "errors-revisions",
    "errors-tls",
    "errors-watch",
];

/// Nobody listens there.
const DEAD: &str = "127.0.0.1:1";

/// A lease's ID that a test chooses, so that it is the same each time.
const LEASE: &str = "7a00000000000001";

/// Runs something that has to succeed and is not shown.
#[track_caller]
fn done(etcd: &Etcd, args: &[&str]) {
    Kvadm::new().endpoint(etcd).args(args).run().ok();
}

/// Answers every connection with HTTP/1.
fn not_etcd() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").ok();
            // Closed before everything was read, the system would discard the answer.
            stream.read_to_end(&mut Vec::new()).ok();
        }
    });
    address
}

#[test]
fn reaching() {
    let mut page = Page::of(DEAD);
    page.heading("nobody listens");
    page.show_each([
        &["get", "/a"][..],
        &["list"],
        &["put", "/a", "x"],
        &["delete", "/a"],
        &["txn", "-"],
        &["watch", "/a", "--timeout", "1s"],
        &["lock", "/l", "--", "true"],
        &["lease", "list"],
        &["allocate", "new", "a", "--node", "n"],
        &["gc", "ids"],
        &["compact"],
        &["status"],
        &["status", "--quorum"],
        &["status", "--revision"],
        &["get", "/a", "-o", "json"],
        &["status", "-o", "json"],
    ]);
    page.show(call(["txn", "-"]).stdin("{\"then\": [{\"get\": {\"key\": \"/a\"}}]}\n"));
    page.show(call(["put", "--from", "-"]).stdin("{\"key\":\"/a\",\"value\":\"x\"}\n"));
    page.heading("several endpoints");
    page.show(call(["get", "/a", "--endpoints", "127.0.0.1:1,127.0.0.1:2,unix:///nowhere/etcd.sock"]));
    page.show(call(["status", "--endpoints", "127.0.0.1:1,127.0.0.1:2"]));

    page.heading("who stays silent, and who is not etcd");
    // The system accepts for it; nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    page.hide(&address, "[SILENT]");
    let other = not_etcd();
    page.hide(&other, "[OTHER]");
    let silent = |args: &[&str]| call(args).env("KVADM_ENDPOINTS", &address);
    page.show(silent(&["get", "/a", "--dial-timeout", "200ms"]));
    page.show(silent(&["get", "/a", "--dial-timeout", "20s", "--deadline", "200ms"]));
    page.show(silent(&["put", "/a", "x", "--dial-timeout", "200ms", "-o", "json"]));
    page.show(silent(&["get", "/a", "--dial-timeout", "200ms", "--endpoints", &format!("https://{address}")]));
    page.show(call(["get", "/a"]).env("KVADM_ENDPOINTS", &other));
    page.show(call(["get", "/a"]).env("KVADM_ENDPOINTS", &format!("https://{other}")));
    page.show(call(["get", "/a", "--connect-wait", "1s"]).env("KVADM_RECONNECT_INTERVAL", "100ms"));
    page.show(call(["get", "/a", "--connect-wait", "20s", "--deadline", "200ms"]));
    page.hold("errors-reaching");
}

#[test]
fn tls() {
    let certs = Certs::new();
    let etcd = Etcd::options().client_auth(&certs).start();
    let mut page = Page::of(&etcd);
    page.hide(&etcd.address(), "[EP]");
    page.hide(certs.dir().to_str().unwrap(), "[DIR]");
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    std::fs::write(certs.dir().join("junk.pem"), "junk\n").unwrap();
    let (ca, other) = (name(&certs.ca), name(&certs.other_ca));
    let (missing, junk) = (name(&certs.dir().join("missing.pem")), name(&certs.dir().join("junk.pem")));
    let (cert, key) = (name(&certs.client.cert), name(&certs.client.key));
    let get = |options: &[&str]| call([&["get", "/a"], options].concat());
    page.heading("files");
    page.show(get(&["--ca-file", &missing]));
    page.show(get(&["--ca-file", &junk]));
    page.show(get(&["--ca-file", &key]));
    page.show(get(&["--ca-file", &ca, "--cert-file", &cert]));
    page.show(get(&["--ca-file", &ca, "--key-file", &key]));
    page.show(get(&["--ca-file", &ca, "--cert-file", &missing, "--key-file", &key]));
    page.show(get(&["--ca-file", &ca, "--cert-file", &cert, "--key-file", &junk]));
    page.show(get(&["--ca-file", &ca, "--cert-file", &cert, "--key-file", &name(&certs.stranger.key)]));
    page.show(get(&["--ca-file", &junk, "-o", "json"]));
    page.heading("what each side shows");
    page.show(get(&["--ca-file", &other]));
    page.show(get(&["--ca-file", &other, "-o", "json"]));
    page.show(get(&["--ca-file", &ca]));
    page.show(get(&["--ca-file", &ca, "-o", "json"]));
    page.show(get(&["--ca-file", &ca, "--cert-file", &cert, "--key-file", &key]));
    page.show(get(&["--insecure-skip-tls-verify", "--cert-file", &cert, "--key-file", &key]));
    let elsewhere = Etcd::options().tls_with(&certs, &certs.wrong_host).start();
    page.hide(&elsewhere.address(), "[OTHER]");
    page.show(get(&["--ca-file", &ca, "--endpoints", &elsewhere.endpoint()]));
    page.show(get(&["--insecure-skip-tls-verify", "--endpoints", DEAD]));
    page.hold("errors-tls");
}

#[test]
fn revisions() {
    let etcd = Etcd::start();
    for value in ["one", "two", "three", "four"] {
        done(&etcd, &["put", "/a", value]);
    }
    done(&etcd, &["delete", "/a"]);
    done(&etcd, &["put", "/b", "x"]);
    done(&etcd, &["put", "/a", "five"]);
    let mut page = Page::of_server(&etcd);
    page.heading("not found");
    page.show_each([
        &["get", "/none"][..],
        &["get", "/none", "-q"],
        &["get", "/none", "-o", "json"],
        &["get", "/b", "/none", "-o", "json"],
        &["get", "/b", "/none"],
        // Shortened: it is only after this time that there is no history.
        &["get", "/none", "--history", "--op-timeout", "1s"],
        &["get", "/b", "--rev", "2"],
        &["list", "/none/"],
        &["list", "/none/", "--count"],
        &["delete", "/none"],
        &["delete", "/none", "-o", "json"],
        &["delete", "--prefix", "/none/", "--yes"],
        &["put", "/b", "--revert-to", "2"],
    ]);
    page.heading("not there yet");
    page.show_each([
        &["get", "/b", "--rev", "99"][..],
        &["get", "/b", "--rev", "99", "-o", "json"],
        // Shortened: for so long it asks again.
        &["list", "/", "--rev", "99", "--op-timeout", "500ms"],
        &["list", "/", "--since-rev", "99"],
        &["list", "/", "--since-rev", "99", "-o", "json"],
        &["list", "/", "--at", "1s"],
        &["list", "/", "--at", "1s", "--clock", "/b"],
        &["put", "/b", "--revert-to", "99"],
        &["compact", "99"],
        &["compact", "99", "-o", "json"],
    ]);
    done(&etcd, &["compact", "6"]);
    page.heading("compacted at 6");
    page.show_each([
        &["get", "/a", "--rev", "3"][..],
        &["get", "/a", "--rev", "3", "-o", "json"],
        &["get", "/a", "--history"],
        &["list", "/", "--rev", "3"],
        &["put", "/b", "--revert-to", "3"],
        &["watch", "/", "--rev", "3"],
        &["watch", "/", "--rev", "3", "-o", "json"],
    ]);
    page.hold("errors-revisions");
}

#[test]
fn conditions() {
    let etcd = Etcd::start();
    done(&etcd, &["put", "/a", "one"]);
    done(&etcd, &["put", "/a", "two"]);
    let mut page = Page::of_server(&etcd);
    page.heading("put");
    page.show_each([
        &["put", "/a", "x", "--create"][..],
        &["put", "/a", "x", "--create", "-o", "json"],
        &["put", "/none", "x", "--update"],
        &["put", "/a", "x", "--if-rev", "2"],
        &["put", "/a", "x", "--if-rev", "2", "-o", "json"],
        &["put", "/none", "x", "--if-rev", "2"],
        &["put", "/a", "x", "--if-value", "one"],
        &["put", "/none", "x", "--if-value", "one"],
        &["put", "/a", "x", "--if-exists", "/none"],
        &["put", "/a", "x", "--update", "--if-rev", "2", "--if-value", "one", "--if-exists", "/none"],
        &["put", "/a", "x", "--if-locked=/l/1@2"],
        &["put", "/a", "x", "--if-locked=/l/1@2", "-o", "json"],
        &["put", "/none", "x", "--hold", "--update", "--", "true"],
        &["put", "/a", "x", "--create", "--dry-run"],
    ]);
    page.show(call(["put", "/a", "x", "--if-locked"]).env("KVADM_LOCK", "/l/1@2"));
    page.heading("delete");
    page.show_each([
        &["delete", "/a", "--if-rev", "2"][..],
        &["delete", "/a", "--if-rev", "2", "-o", "json"],
        &["delete", "/a", "--if-value", "one"],
        &["delete", "/a", "--if-exists", "/none"],
        &["delete", "/a", "--if-locked=/l/1@2"],
        &["delete", "/a", "--if-rev", "2", "--dry-run"],
    ]);
    page.heading("reads under a lock, and transactions");
    page.show(call(["list", "/", "--if-locked=/l/1@2"]));
    page.show(call(["txn", "-", "--if-locked=/l/1@2"]).stdin("{\"then\": [{\"get\": {\"key\": \"/a\"}}]}\n"));
    let text = "if: [{key: /a, value: one}]\nthen: [{put: {key: /a, value: x}}]\nelse: [{get: {key: /a}}]\n";
    page.show(call(["txn", "-"]).stdin(text));
    page.show(call(["txn", "-", "-o", "json"]).stdin(text));
    page.show(call(["txn", "-", "--dry-run"]).stdin(text));
    page.hold("errors-conditions");
}

#[test]
fn consent() {
    let etcd = Etcd::start();
    for key in ["/a/1", "/a/2", "/a/3"] {
        done(&etcd, &["put", key, "x"]);
    }
    done(&etcd, &["lease", "grant", "--ttl", "1h", "--id", LEASE]);
    done(&etcd, &["put", "/leased", "x", "--lease", LEASE]);
    let mut page = Page::of_server(&etcd);
    let files = Files::new(&mut page);
    page.heading("nobody can be asked");
    page.show_each([
        &["delete", "/a/1", "/a/2"][..],
        &["delete", "--prefix", "/a/"],
        &["delete", "--prefix", "/a/", "-o", "json"],
        &["delete", "--prefix", "/a/", "--atomic"],
        &["delete", "--prefix", "", "--all"],
        &["lease", "revoke", LEASE],
        &["compact", "--defrag"],
        &["compact", "--reclaim"],
    ]);
    page.heading("asked, and the answer is no");
    page.show(call(["delete", "--prefix", "/a/", "--no-progress"]).terminal().stdin("n\n"));
    page.show(call(["delete", "/a/1", "/a/2", "--no-progress"]).terminal().stdin("n\n"));
    page.show(call(["lease", "revoke", LEASE, "--no-progress"]).terminal().stdin("n\n"));
    page.heading("rehearsed");
    page.show_each([
        &["put", "/a/1", "y", "--dry-run"][..],
        &["delete", "/a/1", "/none", "--dry-run"],
        &["delete", "--prefix", "/a/", "--dry-run"],
        &["delete", "--prefix", "/a/", "--dry-run", "-o", "json"],
        &["lease", "revoke", LEASE, "--dry-run"],
        &["lease", "grant", "--ttl", "5s", "--dry-run"],
        &["lock", "/l", "--dry-run"],
        &["allocate", "new", "a", "--node", "n", "--dry-run"],
        &["compact", "--every", "5m", "--dry-run"],
    ]);
    page.heading("what is deleted cannot be kept");
    let there = files.write("there", "precious");
    page.show(call(["delete", "--prefix", "/a/", "--yes", "--save", &there]));
    page.show(call(["delete", "--prefix", "/a/", "--yes", "--save", "/nowhere/saved"]));
    page.hold("errors-consent");
}

#[test]
fn input() {
    let etcd = Etcd::start();
    done(&etcd, &["put", "/there", "x"]);
    let mut page = Page::of_server(&etcd);
    page.heading("put --from");
    let from = |text: &str| call(["put", "--from", "-"]).stdin(text);
    for text in [
        "junk\n",
        "[1]\n",
        "{\"value\":\"x\"}\n",
        "{\"key\":\"/a\"}\n",
        "{\"key\":\"\",\"value\":\"x\"}\n",
        "{\"key\":\"/a\",\"value\":1}\n",
        "{\"key\":\"/a\",\"key_base64\":\"L2E=\",\"value\":\"x\"}\n",
        "{\"key_base64\":\"!\",\"value\":\"x\"}\n",
        "{\"key\":\"/a\",\"value\":\"x\"}\n{\"key\":\"/b\",\"value\":\n",
        "{\"key\":\"/a\",\"value\":\"x\",\"lease\":\"zz\"}\n",
        "{\"trailer\":{\"prefix\":\"/\",\"count\":2,\"revision\":5}}\n",
        "{\"trailer\":{\"prefix\":\"/\",\"count\":0,\"revision\":5}}\n{\"key\":\"/a\",\"value\":\"x\"}\n",
        "{\"trailer\":{\"prefix\":\"/\",\"count\":0}}\n",
    ] {
        page.show(from(text));
    }
    page.show(call(["put", "--from", "-", "-o", "json"]).stdin("junk\n"));
    page.show(call(["put", "--from", "/nowhere/records"]));
    page.show(call(["put", "--from", "-", "--create"]).stdin("{\"key\":\"/there\",\"value\":\"y\"}\n"));
    page.show(call(["put", "--from", "-", "--create", "-o", "json"]).stdin("{\"key\":\"/there\",\"value\":\"y\"}\n"));
    page.heading("txn");
    for text in [
        "",
        "junk",
        "{",
        "then: [{put: {key: /a, value: x}}\n",
        "them: [{put: {key: /a, value: x}}]\n",
        "then: [{push: {key: /a, value: x}}]\n",
        "then: [{put: {key: /a}}]\n",
        "then: [{put: {key: '', value: x}}]\n",
        "then: [{put: {key: /a, value: x, ttl: 5s}}]\n",
        "then: [{put: {key: /a, value: x}}, {put: {key: /a, value: y}}]\n",
        "if: [{key: /a}]\nthen: []\n",
        "if: [{key: /a, version: one}]\nthen: []\n",
        "if: [{key: /a, version: 1, op: '~'}]\nthen: []\n",
        "if: [{key: /a, version: 1, mod: 2}]\nthen: []\n",
        "then: [{get: {key: /a, prefix: /b}}]\n",
        "then: [{put: {key: /a, value: x, lease: zz}}]\n",
        "then: [{put: {key: /a, value: x, lease: 7a00000000000009}}]\n",
    ] {
        page.show(call(["txn", "-"]).stdin(text));
    }
    page.show(call(["txn", "-", "-o", "json"]).stdin("them: []\n"));
    let many: Vec<String> = (0..129).map(|n| format!("{{get: {{key: /{n}}}}}")).collect();
    let files = Files::new(&mut page);
    let many = files.write("many.yaml", format!("then: [{}]\n", many.join(", ")));
    page.show(call(["txn", &many]));
    page.hold("errors-input");
}

#[test]
fn leases_and_locks() {
    let etcd = Etcd::start();
    done(&etcd, &["lease", "grant", "--ttl", "1h", "--id", LEASE]);
    // As etcd's own mutex does it.
    for (key, value) in [(format!("/l/{LEASE}"), ""), (format!("/shared/{LEASE}"), "shared")] {
        done(&etcd, &["put", &key, value, "--lease", LEASE]);
    }
    let mut page = Page::of_server(&etcd);
    const GONE: &str = "7a00000000000009";
    page.heading("a lease that is not there");
    page.show_each([
        &["lease", "show", GONE][..],
        &["lease", "show", GONE, "-o", "json"],
        &["lease", "renew", GONE],
        &["lease", "renew", GONE, "-o", "json"],
        &["lease", "renew", LEASE, GONE],
        &["lease", "revoke", GONE, "--yes"],
        &["put", "/a", "x", "--lease", GONE],
        &["put", "/a", "x", "--lease", GONE, "-o", "json"],
    ]);
    page.heading("a lease that cannot be granted or renewed so");
    page.show_each([
        &["lease", "grant", "--ttl", "1h", "--id", LEASE][..],
        &["lease", "grant", "--ttl", "9000000001s"],
        &["lease", "renew", LEASE, "--every", "2h"],
    ]);
    page.heading("a lock that is busy");
    page.show_each([
        &["lock", "/l", "--try", "--", "true"][..],
        &["lock", "/l", "--try", "-o", "json", "--", "true"],
        &["lock", "/l", "--dry-run"],
        &["lock", "/shared", "--try", "--", "true"],
        &["lock", "/l", "--shared", "--try", "--", "true"],
    ]);
    page.heading("a command that cannot be run, or fails");
    page.show_each([
        &["lock", "/free", "--", "/nowhere/command"][..],
        &["lock", "/free", "--", "/"],
        &["lock", "/free", "--", "sh", "-c", "exit 9"],
        &["put", "/held", "x", "--hold", "--", "/nowhere/command"],
    ]);
    page.hold("errors-leases-and-locks");
}

#[test]
fn watch() {
    let etcd = Etcd::start();
    for key in ["/a/1", "/a/2", "/a/3"] {
        done(&etcd, &["put", key, "x"]);
    }
    let mut page = Page::of_server(&etcd);
    let files = Files::new(&mut page);
    page.heading("the time is over");
    page.show(call(["watch", "/none/", "--timeout", "1s"]));
    page.heading("where to go on");
    let place = files.write("place", "junk\n");
    page.show(call(["watch", "/a/", "--resume", &place]));
    page.show(call(["watch", "/a/", "--resume", &place, "-o", "json"]));
    page.heading("what is run");
    let exec = |more: &[&str]| call([&["watch", "/a/", "--rev", "2", "--count", "2", "--exec"], more].concat());
    page.show(exec(&["--", "/nowhere/command"]));
    page.show(exec(&["--", "sh", "-c", "exit 9"]));
    page.show(exec(&["--on-error", "continue", "--", "sh", "-c", "exit 9"]));
    page.show(exec(&["--", "sh", "-c", "kill -9 $$"]));
    page.hold("errors-watch");
}

#[test]
fn allocate() {
    let etcd = Etcd::start();
    let on = |verb: &str, args: &[&str]| -> Call { call([&["allocate", verb, "--base", "/ids"], args].concat()) };
    for (path, value) in [
        ("id/256", "a;"),
        ("value/a;/n1", "256"),
        ("id/257", "unused;"),
        ("id/258", "a;"),
        ("value/lost;/n1", "300"),
        ("value/wrong;/n1", "256"),
        ("value/bad;/n1", "-5"),
        ("id/none", "x"),
        ("id/3", "small;"),
        ("value/small;/n1", "3"),
    ] {
        done(&etcd, &["put", &format!("/ids/{path}"), value]);
    }
    let mut page = Page::of_server(&etcd);
    page.heading("what has no ID, or no key");
    page.show(on("get", &["nobody;"]));
    page.show(on("get", &["nobody;", "-o", "json"]));
    page.show(on("get", &["a;", "nobody;"]));
    page.show(on("get", &["lost;"]));
    page.show(on("lookup", &["999"]));
    page.show(on("lookup", &["999", "-o", "json"]));
    page.show(on("release", &["a;", "--node", "n9"]));
    page.show(on("renew", &["a;", "--node", "n9"]));
    page.show(on("renew", &["never;", "--recreate", "--node", "n9"]));
    page.heading("what cannot be given an ID");
    page.show(on("new", &["wrong;", "--node", "n2"]));
    page.show(on("new", &["bad;", "--node", "n2"]));
    page.show(on("new", &["more;", "--node", "n2", "--min", "256", "--max", "258"]));
    page.show(on("new", &["more;", "--node", "n2", "--min", "256", "--max", "258", "-o", "json"]));
    page.show(on("new", &["a;", "more;", "--node", "n2", "--min", "256", "--max", "258", "--permanent"]));
    page.show(on("new", &["more;", "--node", "n2", "--if-locked=/l/1@2"]));
    page.heading("what is wrong with the IDs");
    page.show(on("list", &[]));
    page.show(on("check", &[]));
    page.show(on("check", &["-o", "json"]));
    page.show(on("check", &["--all"]));
    page.show(on("check", &["--repair"]));
    page.show(on("check", &["--repair", "--dry-run"]));
    page.show(on("check", &["--repair", "--yes"]));
    page.heading("other stores");
    page.show(on("get", &["nobody;", "--remote", "west"]).file("west.yaml", "endpoints: ['127.0.0.1:1']\n"));
    page.show(on("list", &["--remote", "west"]).file("west.yaml", "endpoints: ['127.0.0.1:1']\n"));
    page.show(on("get", &["a;", "--remote", "west"]).file("west.yaml", "qps: 5\n"));
    page.hold("errors-allocate");
}

#[test]
fn gc() {
    let etcd = Etcd::start();
    for (key, value) in [("/ids/id/256", "a;"), ("/ids/value/a;/n1", "256"), ("/ids/id/257", "unused;")] {
        done(&etcd, &["put", key, value]);
    }
    done(&etcd, &["put", "/l/7a00000000000009", ""]);
    let mut tree = Tree::new(&etcd, "/m/");
    tree.content("ns1", "d1", &[]).content("ns1", "d2", &[("root", EARLIER)]).load();
    let mut page = Page::of_server(&etcd);
    let files = Files::new(&mut page);

    page.heading("ids and locks");
    page.show_each([
        &["gc", "ids", "--base", "/ids"][..],
        &["gc", "ids", "--base", "/ids", "--apply", "--grace", "1ms"],
        &["gc", "ids", "--base", "/ids", "--apply", "--grace", "1ms", "-o", "json"],
        &["gc", "ids", "--base", "/ids", "--max-delete", "0"],
        &["gc", "ids", "--base", "/ids", "--apply", "--grace", "1ms", "--yes", "--max-delete", "0"],
        &["gc", "locks", "/l/", "--apply", "--grace", "1ms"],
        &["gc", "locks", "/l/", "--apply", "--grace", "1ms", "--yes", "--max-percent", "10"],
        &["gc", "locks", "/l/", "--apply", "--every", "1s"],
    ]);
    page.heading("plans");
    let (junk, plan) = (files.write("junk", "precious\n"), files.name("plan.json"));
    page.show(call(["gc", "ids", "--base", "/ids", "--save", &junk]));
    page.show(call(["gc", "ids", "--base", "/ids", "--since", &junk]));
    page.show(call(["gc", "ids", "--base", "/ids", "--save", "/nowhere/plan.json"]));
    done_with(&etcd, 1, &["gc", "locks", "/l/", "--save", &plan]);
    page.show(call(["gc", "ids", "--base", "/ids", "--since", &plan, "--apply", "--yes"]));
    page.show(call(["gc", "locks", "/other/", "--since", &plan, "--apply", "--yes"]));

    page.heading("metadata");
    let on = |args: &[&str]| -> Call {
        call([&["gc", "metadata", "/m/", "--schema", "containerd", "--now", NOW, "--skew", "0s"], args].concat())
    };
    let apply = |args: &[&str]| on(&[&["--apply", "--yes", "--roots-complete", "--grace", "1ms"], args].concat());
    page.show(on(&[]));
    page.show(on(&["--apply", "--yes", "--grace", "1ms"]));
    page.show(on(&["--apply", "--roots-complete", "--grace", "1ms"]));
    page.show(apply(&["--max-delete", "0"]));
    page.show(apply(&["--allow-empty", "blob"]));
    page.show(on(&["--check", "--apply"]));
    page.show(on(&["--explain", "/m/v1/ns1/content/blob/nobody"]));
    page.show(on(&["--explain", "/m/nothing/at/all"]));
    page.show(on(&["--roots", &files.write("roots", "\n/elsewhere/d1\n")]));
    page.show(on(&["--roots", "/nowhere/roots"]));
    page.show(call(["gc", "metadata", "/m", "--schema", "containerd"]));
    page.show(call(["gc", "metadata", "/m/"]));
    page.show(call(["gc", "metadata", "/m/", "--schema", "containerd", "--now", "noon"]));
    page.show(call(["gc", "metadata", "/m/", "--schema", "containerd", "--now", "2999-01-01T00:00:00Z", "--apply"]));
    tree.content("ns1", "d3", &[("expire", LATER)]).put("v1/stray", "x").load();
    page.show(on(&[]));
    page.show(on(&["--check"]));
    page.show(apply(&[]));

    page.heading("schemas");
    page.show(call(["gc", "metadata", "/m/", "--schema", "containerd2"]));
    page.show(call(["gc", "metadata", "/m/", "--schema", "/nowhere/schema.yaml"]));
    for text in [
        "schema: 1\nname: x\nkindz: []\n",
        "schema: 9\nname: x\nkinds: []\n",
        "schema: 1\nname: x\nkinds: [\n",
        "schema: 1\nname: x\nkinds:\n  - {kind: a, key: \"a/{id}\", fields: [.], root: never, collect: true}\n",
        "schema: 1\nname: x\nkinds:\n  - {kind: a, key: \"a/{id}\", fields: [.]}\n",
        "schema: 1\nname: x\nkinds:\n  - {kind: a, key: \"a/{id\", fields: [.], root: always}\n",
        "schema: 1\nname: x\nkinds:\n  - {kind: a, key: \"a/{id}\", fields: [f], root: always, edges: [{field: f, to: b}]}\n",
    ] {
        page.show(call(["gc", "metadata", "/m/", "--schema", "/dev/stdin", "--now", NOW]).stdin(text));
    }
    let text = "schema: 9\nname: x\nkinds: []\n";
    page.show(call(["gc", "metadata", "/m/", "--schema", "/dev/stdin", "-o", "json"]).stdin(text));
    page.hold("errors-gc");
}

/// As [`done`], with another exit code.
#[track_caller]
fn done_with(etcd: &Etcd, code: i32, args: &[&str]) {
    Kvadm::new().endpoint(etcd).args(args).run().code(code);
}
