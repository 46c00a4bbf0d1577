//! `allocate get`, `lookup`, `list` and `--remote` on what Cilium's allocator leaves in etcd.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Certs, Etcd, Kvadm, Run, shared, unique_prefix};

pub const WEB: &str = "k8s:app=web;";
pub const WEB_DEFAULT: &str = "k8s:app=web;k8s:io.kubernetes.pod.namespace=default;";

/// A base of a test's own on a server, below which it writes what an allocator would have written.
pub struct Base<'a> {
    pub etcd: &'a Etcd,
    pub path: String,
}

impl Base<'static> {
    /// On the shared server.
    pub fn fresh() -> Self {
        Self { etcd: shared(), path: format!("{}ids", unique_prefix()) }
    }
}

impl Base<'_> {
    /// `kvadm allocate ACTION --base … ARGS`.
    pub fn kvadm(&self, action: &str, args: &[&str]) -> Kvadm {
        Kvadm::new().endpoint(self.etcd).args(["allocate", action, "--base", &self.path]).args(args)
    }

    pub fn run(&self, action: &str, args: &[&str]) -> Run {
        self.kvadm(action, args).run()
    }

    /// Writes paths below the base, and their values.
    pub fn write(&self, pairs: &[(&str, &str)]) {
        let records: Vec<(String, &str)> = pairs.iter().map(|(path, value)| ((*path).to_owned(), *value)).collect();
        let line = |(path, value): &(String, &str)| json!({"key": format!("{}/{path}", self.path), "value": value});
        let lines: Vec<String> = records.iter().map(|record| line(record).to_string()).collect();
        Kvadm::new().endpoint(self.etcd).args(["put", "--from", "-"]).stdin(lines.join("\n")).run().ok();
    }

    /// Writes a reference on a lease of so many seconds; the lease.
    pub fn refer(&self, key: &str, node: &str, id: &str, ttl: &str) -> String {
        let kvadm = || Kvadm::new().endpoint(self.etcd);
        let granted = kvadm().args(["lease", "grant", "-o", "json", "--ttl", ttl]).run().ok().json();
        let lease = granted["lease"].as_str().unwrap().to_owned();
        let path = format!("{}/value/{key}/{node}", self.path);
        kvadm().args(["put", &path, id, "--lease", &lease]).run().ok();
        lease
    }

    /// Writes a master on this lease.
    pub fn lease_master(&self, id: &str, key: &str, lease: &str) {
        let path = format!("{}/id/{id}", self.path);
        Kvadm::new().endpoint(self.etcd).args(["put", &path, key, "--lease", lease]).run().ok();
    }

    pub fn delete(&self, path: &str) {
        Kvadm::new().endpoint(self.etcd).args(["delete", &format!("{}/{path}", self.path)]).run().ok();
    }

    /// Every key below the base with its value.
    pub fn dump(&self) -> String {
        let run = Kvadm::new().endpoint(self.etcd).args(["list", &format!("{}/", self.path), "-o", "json"]).run();
        let line = |line: &Value| {
            let path = line["key"].as_str().unwrap().strip_prefix(&format!("{}/", self.path)).unwrap().to_owned();
            format!("{path}={}\n", line["value"].as_str().unwrap())
        };
        run.ok().json_lines().iter().map(line).collect()
    }
}

/// What two nodes of two Cilium versions left (`client-v18`, `client-v16`), and a lock that is held.
fn two_nodes() -> Base<'static> {
    let base = Base::fresh();
    base.write(&[
        ("id/379", WEB_DEFAULT),
        ("id/64554", WEB),
        ("locks/k8s:app=web;/324aa1fa14dee5a6", ""),
        ("value/k8s:app=web;/10.0.0.2", "64554"),
        ("value/k8s:app=web;k8s:io.kubernetes.pod.namespace=default;/10.0.0.1", "379"),
        ("value/k8s:app=web;k8s:io.kubernetes.pod.namespace=default;/10.0.0.2", "379"),
    ]);
    base
}

#[test]
fn what_two_cilium_nodes_left_is_read() {
    let base = two_nodes();
    base.run("get", &[WEB_DEFAULT]).ok().out("379\n").err_empty();
    base.run("get", &[WEB, WEB_DEFAULT])
        .ok()
        .out(&format!("64554\t{WEB}\t1\tin-use\n379\t{WEB_DEFAULT}\t2\tin-use\n"))
        .err_empty();
    let one = base.run("get", &[WEB_DEFAULT, "-o", "json"]).json();
    assert_eq!(one, json!({"id": "379", "key": WEB_DEFAULT, "nodes": 2, "state": "in-use"}));

    base.run("lookup", &["64554"]).ok().out(&format!("{WEB}\n")).err_empty();
    base.run("lookup", &["64554", "379"]).ok().out(&format!("64554\t{WEB}\n379\t{WEB_DEFAULT}\n"));
    assert_eq!(base.run("lookup", &["379", "-o", "json"]).json(), json!({"id": "379", "key": WEB_DEFAULT}));

    base.run("list", &[]).ok().out(&format!("379\t{WEB_DEFAULT}\t2\tin-use\n64554\t{WEB}\t1\tin-use\n")).err_empty();
    let nodes = json!([{"node": "10.0.0.1"}, {"node": "10.0.0.2"}]);
    let listed = base.run("list", &["-o", "json", "--node", "10.0.0.1"]).json_lines();
    assert_eq!(listed, [json!({"id": "379", "key": WEB_DEFAULT, "nodes": 2, "state": "in-use", "references": nodes})]);
    base.run("check", &[]).ok().out_empty().err_has("0 errors, 0 warnings");
}

#[test]
fn what_has_no_id_ends_with_1() {
    let base = two_nodes();
    base.run("get", &["k8s:app=we"]).code(1).out_empty().err_has("key k8s:app=we has no ID");
    base.run("get", &["nobody", WEB])
        .code(1)
        .out(&format!("64554\t{WEB}\t1\tin-use\n"))
        .err_has("key nobody has no ID");
    base.run("lookup", &["380"]).code(1).out_empty().err_has("ID 380 has no key");
    base.run("lookup", &["380", "379"]).code(1).out(&format!("379\t{WEB_DEFAULT}\n"));
    for bad in ["0", "-1", "0x10", "", "18446744073709551616", "abc"] {
        base.run("lookup", &["--", bad]).code(2).out_empty();
    }
    let gone = Base::fresh();
    gone.run("list", &[]).ok().out_empty().err_empty();
    gone.run("get", &["x"]).code(1).out_empty();
    gone.run("check", &[]).ok().out_empty();
}

/// Cilium's TestprefixMatchesKey: a reference is its key's by the last slash alone.
#[test]
fn the_last_slash_tells_whose_reference_it_is() {
    let base = Base::fresh();
    base.write(&[
        ("id/1", "foo/;bar;baz;"),
        ("id/2", "foo/;bar;baz;/;a;"),
        ("id/3", "foo/;bar;baz;/;a;/baz"),
        ("value/foo/;bar;baz;/;a;/alice", "2"),
        ("value/foo/bar", "4"),
        ("id/4", "foo"),
    ]);
    base.run("get", &["foo/;bar;baz;", "foo/;bar;baz;/;a;", "foo/;bar;baz;/;a;/baz", "foo"]).ok().out(
        "1\tfoo/;bar;baz;\t0\tunused\n2\tfoo/;bar;baz;/;a;\t1\tin-use\n3\tfoo/;bar;baz;/;a;/baz\t0\tunused\n4\tfoo\t1\tin-use\n",
    );
}

/// Cilium's TestGetNoCache: a key that is the beginning of another one's path is not found by that one's references.
#[test]
fn a_shorter_key_is_not_found_by_a_longer_one_s_references() {
    let base = Base::fresh();
    base.write(&[("id/5", "foo/;bar;0000000000"), ("value/foo/;bar;0000000000/n", "5")]);
    base.run("get", &["foo/;bar;0000000000"]).ok().out("5\n");
    base.run("get", &["foo/;bar;"]).code(1).out_empty();
    base.run("get", &["foo"]).code(1).out_empty();
    base.write(&[("id/6", "foo"), ("value/foo/n", "6")]);
    base.run("get", &["foo"]).ok().out("6\n");
}

#[test]
fn of_several_masters_the_one_in_use_is_the_key_s_then_the_smallest() {
    let base = Base::fresh();
    base.write(&[("id/10", "a"), ("id/9", "a"), ("id/100", "a"), ("id/20", "b"), ("id/8", "b")]);
    base.write(&[("value/a/n1", "100")]);
    base.run("get", &["a", "b"]).ok().out("100\ta\t1\tin-use\n8\tb\t0\tunused\n");
    base.run("list", &[])
        .ok()
        .out("8\tb\t0\tunused\n9\ta\t0\tduplicate\n10\ta\t0\tduplicate\n20\tb\t0\tduplicate\n100\ta\t1\tin-use\n");
    base.run("list", &["--unused", "--key-prefix", "a"]).ok().out("9\ta\t0\tduplicate\n10\ta\t0\tduplicate\n");
    base.run("list", &["--state", "unused,in-use"]).ok().out("8\tb\t0\tunused\n100\ta\t1\tin-use\n");
}

#[test]
fn references_that_lead_nowhere_are_no_id_and_are_told() {
    let base = Base::fresh();
    base.write(&[("value/lost/n1", "7"), ("value/lost/n2", "7"), ("id/9", "other"), ("value/wrong/n1", "9")]);
    base.run("get", &["lost"])
        .code(1)
        .out_empty()
        .err_has("references of lost name ID 7, whose master is missing or holds another key")
        .err_has(&format!("'kvadm --endpoints {} allocate check --base {}'", base.etcd.endpoint(), base.path));
    base.run("list", &[]).ok().out("7\tlost\t2\torphan\n9\tother\t0\tunused\n9\twrong\t1\torphan\n").err_empty();
    base.run("list", &["--state", "orphan", "--node", "n2"]).ok().out("7\tlost\t2\torphan\n");
    base.run("lookup", &["7"]).code(1).out_empty();
}

/// Cilium's TestKeyToID, and what crashed it.
#[test]
fn hostile_content_is_warned_of_and_never_a_crash() {
    let base = Base::fresh();
    base.write(&[
        ("id", "the folder itself"),
        ("id/invalid", "x"),
        ("id/", "x"),
        ("id/1/2", "x"),
        ("idx/10", "a sibling"),
        ("id/10", "ten"),
        ("id/11", ""),
        ("value", "5"),
        ("value/x", "5"),
        ("value//n", "5"),
        ("value/k/n", "ten"),
        ("valuex/k/n", "10"),
    ]);
    let run = base.run("list", &[]);
    run.ok().out("10\tten\t0\tunused\n11\t\t0\tunused\n");
    for path in ["id/", "id/invalid", "id/1/2"] {
        run.err_has(&format!("warning: {}/{path} is not a master", base.path));
    }
    for path in ["value/x", "value//n"] {
        run.err_has(&format!("warning: {}/{path} is not a reference", base.path));
    }
    run.err_has("the value of node n's reference to k is not an ID").err_lacks("idx").err_lacks("valuex");
    base.run("lookup", &["11"]).code(1).out_empty().err_has("ID 11 is taken, but its master holds no key");
    base.run("list", &["-q"]).ok().err_empty();
    let many: Vec<(String, String)> = (0..30).map(|n| (format!("id/bad{n}"), String::new())).collect();
    base.write(&many.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect::<Vec<_>>());
    let run = base.run("list", &[]);
    assert_eq!(run.stderr_text().lines().count(), 21);
    run.ok().err_has("16 more unreadable keys: see 'kvadm --endpoints ").err_has(" allocate check --base ");
}

#[test]
fn keys_that_path_cleaning_alters_are_refused() {
    let base = Base::fresh();
    for (key, why) in [
        ("", "is empty"),
        ("/a", "begins with '/'"),
        ("a/", "ends with '/'"),
        ("a//b", "contains '//'"),
        ("a/../b", "contains the segment '.' or '..'"),
        ("./x;", "contains the segment '.' or '..'"),
    ] {
        base.run("get", &["--", key]).code(2).out_empty().err_has(why);
    }
    let bad = Kvadm::new().endpoint(shared()).args(["allocate", "list", "--base", "a//b"]).run();
    bad.code(2).err_has("--base: contains '//'");
}

#[test]
fn keys_and_nodes_of_any_bytes() {
    let base = Base::fresh();
    let line = |path: &[u8], value: &[u8]| {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let path = [base.path.as_bytes(), b"/", path].concat();
        json!({"key_base64": STANDARD.encode(path), "value_base64": STANDARD.encode(value)}).to_string()
    };
    let lines = [line(b"id/3", b"k\xff\n"), line(b"value/k\xff\n/n\xfe", b"3")];
    Kvadm::new().endpoint(shared()).args(["put", "--from", "-"]).stdin(lines.join("\n")).run().ok();
    base.run("get", &["--escape", r"k\xff\n"]).ok().out("3\n");
    base.run("lookup", &["3"]).ok().out("k\\xff\\n\n");
    let listed = base.run("list", &["-o", "json"]).json();
    assert_eq!(
        listed,
        json!({"id": "3", "key_base64": "a/8K", "nodes": 1, "state": "in-use", "references": [{"node_base64": "bv4="}]})
    );
}

#[test]
fn ids_are_numbers_in_their_order_and_texts_in_json() {
    let base = Base::fresh();
    base.write(&[("id/18446744073709551615", "last"), ("id/2", "two"), ("id/10", "ten")]);
    base.run("list", &[]).ok().out("2\ttwo\t0\tunused\n10\tten\t0\tunused\n18446744073709551615\tlast\t0\tunused\n");
    assert_eq!(base.run("get", &["last", "-o", "json"]).json()["id"], "18446744073709551615");
    base.run("lookup", &["18446744073709551615", "00002"]).ok().out("18446744073709551615\tlast\n2\ttwo\n");
}

#[test]
fn leases_are_told_and_their_ttls_where_asked() {
    let base = Base::fresh();
    base.write(&[("id/1", "a"), ("id/2", "b"), ("value/b/forever", "2")]);
    let short = base.refer("a", "n1", "1", "100s");
    let long = base.refer("a", "n2", "1", "900s");
    base.refer("b", "n1", "2", "100s");
    let nodes = base.run("list", &["-o", "json", "--key-prefix", "a"]).json()["references"].clone();
    assert_eq!(nodes, json!([{"node": "n1", "lease": short}, {"node": "n2", "lease": long}]));
    let rows = base.run("list", &["-o", "json", "--ttl"]).json_lines();
    let left = rows[0]["left"].as_i64().unwrap();
    assert!((880..=900).contains(&left), "{}", rows[0]);
    assert_eq!((&rows[0]["references"][0]["ttl"], &rows[0]["references"][1]["ttl"]), (&json!(100), &json!(900)));
    assert!(rows[1].get("left").is_none(), "a permanent reference never runs out: {}", rows[1]);
}

/// The masters of clustermesh-apiserver in CRD mode and of kvstoremesh: on a lease, without references.
#[test]
fn masters_on_a_lease_are_mirrors() {
    let base = Base::fresh();
    let lease = base.refer("used", "n", "300", "60s");
    base.lease_master("300", "used", &lease);
    base.lease_master("301", "mirrored", &lease);
    base.lease_master("302", "mirrored", &lease);
    base.write(&[("id/303", "mirrored"), ("id/304", "unused")]);
    base.run("list", &[]).ok().out(
        "300\tused\t1\tin-use\n301\tmirrored\t0\tleased\n302\tmirrored\t0\tleased\n303\tmirrored\t0\tunused\n304\tunused\t0\tunused\n",
    );
    base.run("list", &["--state", "leased"]).ok().out("301\tmirrored\t0\tleased\n302\tmirrored\t0\tleased\n");
    base.run("list", &["--unused"]).ok().out("303\tmirrored\t0\tunused\n304\tunused\t0\tunused\n");
    let row = base.run("list", &["-o", "json", "--state", "leased", "--key-prefix", "mirr"]).json_lines().remove(0);
    let state =
        json!({"id": "301", "key": "mirrored", "nodes": 0, "state": "leased", "lease": lease, "references": []});
    assert_eq!(row, state);
    base.delete("id/303");
    base.run("get", &["mirrored", "unused"]).ok().out("301\tmirrored\t0\tleased\n304\tunused\t0\tunused\n");
}

#[test]
fn an_id_is_read_under_a_lock() {
    let base = two_nodes();
    let name = format!("{}-guard/1f", base.path);
    let token = base.etcd.lock_token(&name);
    let guarded = format!("--if-locked={token}");
    base.run("get", &[WEB, &guarded]).ok().out("64554\n").err_empty();
    base.write(&[("id/7", "left")]);
    base.run("get", &[WEB, "left", &guarded]).ok().out(&format!("64554\t{WEB}\t1\tin-use\n7\tleft\t0\tunused\n"));
    base.etcd.etcdctl_ok(&["del", &name]);
    base.run("get", &[WEB, &guarded]).code(5).out_empty().err_has("lock");
    base.run("get", &[WEB, "--if-locked"]).code(2).err_has("KVADM_LOCK is not set");
}

#[test]
fn labels_name_a_key_or_select_keys() {
    let base = two_nodes();
    base.write(&[("id/400", "k8s:app=webserver;"), ("id/401", "unspec:app=web;"), ("id/402", "web"), ("id/403", "")]);
    let namespace = "k8s:io.kubernetes.pod.namespace=default";
    base.run("get", &["--label", namespace, "--label", "k8s:app=web"]).ok().out("379\n").err_empty();
    base.run("get", &["--label", "k8s:app=web"]).ok().out("64554\n");
    base.run("get", &["--label", "app=web"]).ok().out("401\n");
    base.run("get", &["--label", "k8s:app=none"]).code(1).out_empty().err_has("key k8s:app=none; has no ID");
    base.run("get", &[WEB, "--label", "k8s:app=web"]).code(2).out_empty();
    base.run("get", &[]).code(2).out_empty();
    base.run("get", &["--label", "=web"]).code(2).out_empty().err_has("--label: label '=web' has no key");

    let listed = |labels: &[&str]| -> Vec<String> {
        let options: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
        let lines = base.run("list", &[&["-o", "json"], options.as_slice()].concat()).ok().json_lines();
        lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&["k8s:app=web"]), ["379", "64554"]);
    assert_eq!(listed(&["k8s:app=web", namespace]), ["379"]);
    assert_eq!(listed(&["app=web"]), ["379", "401", "64554"]);
    assert_eq!(listed(&["any:app=web"]), ["379", "401", "64554"]);
    assert_eq!(listed(&["k8s:app"]), ["379", "400", "64554"]);
    assert_eq!(listed(&["k8s:app="]), [""; 0]);
    assert_eq!(listed(&["web"]), [""; 0]);
    base.run("list", &["--label", "=x"]).code(2).out_empty().err_has("--label: label '=x' has no key");
    base.run("list", &["--label", "a;b"]).code(2).out_empty().err_has("contains ';'");
}

/// A second store with a context of its own.
fn west(etcd: &Etcd) -> String {
    format!("endpoints: [\"{}\"]\n", etcd.endpoint())
}

/// Cilium's TestRemoteCache: the same prefix behind the main one gives each ID twice.
#[test]
fn remote_stores_follow_the_local_one() {
    let base = two_nodes();
    let itself = base.kvadm("list", &["--remote", "itself"]).config_file("itself.yaml", west(shared())).run();
    let once = [format!("379\t{WEB_DEFAULT}\t2\tin-use\t"), format!("64554\t{WEB}\t1\tin-use\t")];
    let twice = [once.clone(), once.map(|line| line + "itself")].concat();
    itself.ok().out(&(twice.join("\n") + "\n")).err_empty();

    let other = Etcd::start();
    let remote = Base { etcd: &other, path: base.path.clone() };
    remote.write(&[("id/7", "there"), ("value/there/n", "7"), ("id/8", WEB), ("id/9", "both")]);
    let with = |action: &str, args: &[&str]| {
        let kvadm = base.kvadm(action, args).args(["--remote", "west"]).config_file("west.yaml", west(&other));
        // The environment is about the command's own store.
        kvadm.env("KVADM_ENDPOINTS", shared().endpoint()).env("KVADM_NAMESPACE", "").run()
    };
    with("get", &["there"]).ok().out("7\n");
    assert_eq!(with("get", &["there", "-o", "json"]).json()["store"], "west");
    // Local answers first.
    with("get", &[WEB, "there", "both"])
        .ok()
        .out(&format!("64554\t{WEB}\t1\tin-use\t\n7\tthere\t1\tin-use\twest\n9\tboth\t0\tunused\twest\n"));
    assert!(with("get", &[WEB, "-o", "json"]).json().get("store").is_none());
    with("lookup", &["7", "379"]).ok().out(&format!("7\tthere\twest\n379\t{WEB_DEFAULT}\t\n"));
    with("get", &["nobody"]).code(1).err_has("key nobody has no ID");
}

#[test]
fn a_remote_store_that_is_away() {
    let base = two_nodes();
    let mut gone = Etcd::start();
    gone.stop();
    let with = |action: &str, args: &[&str]| {
        let kvadm = base.kvadm(action, args).args(["--remote", "west"]);
        kvadm.config_file("west.yaml", west(&gone) + "allow-delayed-start: true\n").run()
    };
    with("get", &[WEB]).ok().out("64554\n").err_empty();
    with("get", &[WEB, "there"])
        .code(3)
        .out(&format!("64554\t{WEB}\t1\tin-use\t\n"))
        .err_has("error: remote 'west'")
        .err_has("connection refused")
        .within(Duration::from_secs(10));
    with("lookup", &["1"]).code(3).out_empty().err_has("remote 'west'");
    with("list", &["--key-prefix", "k8s:app=web;k"])
        .code(6)
        .out(&format!("379\t{WEB_DEFAULT}\t2\tin-use\t\n"))
        .err_has("warning: remote 'west'")
        .err_has("its IDs are not listed");
}

#[test]
fn a_remote_store_that_is_no_context() {
    let base = two_nodes();
    base.kvadm("list", &["--remote", "nowhere"]).run().code(2).out_empty().err_has("context 'nowhere' not found");
    let silent = base.kvadm("get", &[WEB, "--remote", "west"]).config_file("west.yaml", "qps: 5\n").run();
    silent.code(2).out_empty().err_has("context 'west' has no endpoints");
    let twice = base.kvadm("get", &[WEB, "--remote", "west", "--remote", "west"]);
    twice.config_file("west.yaml", west(shared())).run().code(2).err_has("--remote west is given twice");
}

/// What `/var/lib/cilium/clustermesh/NAME` holds: the configuration of an etcd client.
#[test]
fn a_file_of_cilium_s_cluster_mesh_is_a_remote_store() {
    let base = two_nodes();
    let other = Etcd::start();
    Base { etcd: &other, path: base.path.clone() }.write(&[("id/7", "there"), ("value/there/n", "7")]);
    Base { etcd: &other, path: "cilium/cache/identities/v1/east".to_owned() }.write(&[("id/8", "copied")]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("west").display().to_string();
    let text = format!("endpoints:\n- {}\n", other.endpoint());
    std::fs::write(&path, text).unwrap();
    let west = format!("west={path}");
    base.run("get", &["there", "--remote", &west]).ok().out("7\n").err_empty();
    let copy = format!("east={path}:cilium/cache/identities/v1/east");
    base.run("get", &["there", "copied", "--remote", &west, "--remote", &copy])
        .ok()
        .out("7\tthere\t1\tin-use\twest\n8\tcopied\t0\tunused\teast\n");
    base.run("lookup", &["8", "--remote", &copy, "-o", "json"]).ok().out_has("\"store\":\"east\"");
    base.run("list", &["--remote", &copy, "--unused"]).ok().out("8\tcopied\t0\tunused\teast\n");

    base.run("list", &["--remote", &format!("gone={path}.none")])
        .code(2)
        .out_empty()
        .err_has("error: remote 'gone'\n")
        .err_has(&format!("cannot read {path}.none"))
        .err_lacks("--config");
    base.run("list", &["--remote", "=x"]).code(2).out_empty().err_has("NAME=FILE");
    base.run("list", &["--remote", "x="]).code(2).out_empty().err_has("NAME=FILE");
    base.run("list", &["--remote", &format!("x={path}:a//b")])
        .code(2)
        .out_empty()
        .err_has("--remote x: the base contains '//'");
    base.run("list", &["--remote", &west, "--remote", &west]).code(2).err_has("--remote west is given twice");
}

/// The files name certificates as well, with absolute paths.
#[test]
fn the_certificates_of_a_cluster_mesh_file_are_used() {
    let base = two_nodes();
    let certs = Certs::new();
    let other = Etcd::options().tls(&certs).client_auth(&certs).start();
    other.etcdctl_ok(&["put", &format!("{}/id/7", base.path), "there"]);
    let file = |name: &str, text: String| {
        let path = certs.dir().join(name);
        std::fs::write(&path, text).unwrap();
        format!("west={}", path.display())
    };
    let head = format!("endpoints:\n- {}\ntrusted-ca-file: {}\n", other.endpoint(), certs.ca.display());
    let pair = format!("key-file: {}\ncert-file: {}\n", certs.client.key.display(), certs.client.cert.display());
    let whole = file("whole", format!("{head}{pair}"));
    base.run("get", &["there", "--remote", &whole]).ok().out("7\n").err_empty();
    let bare = file("bare", head);
    base.run("get", &["there", "--remote", &bare]).code(3).out_empty().err_has("error: remote 'west'");
    base.run("list", &["--remote", &bare, "--unused"]).code(6).out_empty().err_has("its IDs are not listed");
}

/// What kvstoremesh copies from other clusters lies in the same store.
#[test]
fn the_copies_of_other_clusters_are_listed_beside_the_own_ids() {
    let etcd = Etcd::start();
    let own = Base { etcd: &etcd, path: "cilium/state/identities/v1".to_owned() };
    own.write(&[("id/300", "own;"), ("value/own;/n", "300")]);
    for (cluster, id) in [("east", "131372"), ("west", "196908")] {
        let copy = Base { etcd: &etcd, path: format!("cilium/cache/identities/v1/{cluster}") };
        let granted =
            Kvadm::new().endpoint(&etcd).args(["lease", "grant", "-o", "json", "--ttl", "60s"]).run().ok().json();
        copy.lease_master(id, "copied;", granted["lease"].as_str().unwrap());
    }
    own.run("list", &["--cached"]).ok().err_empty().out(
        "300\town;\t1\tin-use\t\n131372\tcopied;\t0\tleased\tcache/east\n196908\tcopied;\t0\tleased\tcache/west\n",
    );
    own.run("list", &[]).ok().out("300\town;\t1\tin-use\n");
    own.run("get", &["copied;", "--cached", "-o", "json"]).ok().out_has("\"store\":\"cache/east\"");
    own.run("lookup", &["196908", "--cached"]).ok().out("copied;\n");
    own.run("lookup", &["196908"]).code(1).out_empty();
    // A hundred keys of one cluster do not hide the next one, and keys without a cluster are none.
    let many: Vec<(String, String)> =
        (1..=250).map(|n| (format!("east/id/{}", 131_072 + n), format!("k{n};"))).collect();
    let copies = Base { etcd: &etcd, path: "cilium/cache/identities/v1".to_owned() };
    copies.write(&many.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect::<Vec<_>>());
    copies.write(&[("stray", "x"), ("../id/7", "x"), ("north/id/65800", "n;")]);
    let run = own.run("list", &["--cached"]);
    run.ok().err_has("warning: cilium/cache/identities/v1/.. is not read: it contains the segment '.' or '..'");
    let stores: Vec<String> =
        run.stdout_text().lines().map(|line| line.rsplit('\t').next().unwrap_or_default().to_owned()).collect();
    let count = |name: &str| stores.iter().filter(|store| *store == name).count();
    assert_eq!((stores.len(), count(""), count("cache/west"), count("cache/north")), (253 + 1, 1, 1, 1));
    let elsewhere = Base { etcd: &etcd, path: "team/ids".to_owned() };
    elsewhere.run("list", &["--cached"]).code(2).out_empty().err_has("--cached: the base has no segment 'state'");
}

#[test]
fn the_ages_of_cilium_s_time_stamps_are_details() {
    let etcd = Etcd::start();
    let base = Base { etcd: &etcd, path: "cilium/state/identities/v1".to_owned() };
    base.write(&[("id/300", "a"), ("value/a/n", "300")]);
    let none = base.run("list", &["-v"]);
    none.ok().out("300\ta\t1\tin-use\n").err_has("info: cilium/.heartbeat: missing\n").err_lacks("synced");
    let stamps = Base { etcd: &etcd, path: "cilium".to_owned() };
    stamps.write(&[
        (".heartbeat", "2020-07-13T10:00:00Z"),
        ("synced/west/cilium/state/identities/v1", "2020-07-13T12:00:00+02:00"),
        ("synced/west/cilium/state/ip/v1", "soon"),
        ("synced/east/cilium/state/ip/v1", "2999-01-01T00:00:00Z"),
    ]);
    let run = base.run("list", &["-v"]);
    let text = run.ok().stderr_text();
    let line =
        |key: &str| text.lines().find(|line| line.contains(&format!("{key}: "))).unwrap_or_else(|| panic!("{text}"));
    assert!(line("cilium/.heartbeat").ends_with("ago (2020-07-13 10:00:00 UTC)"), "{text}");
    assert!(line("cilium/synced/west/cilium/state/identities/v1").ends_with("ago (2020-07-13 10:00:00 UTC)"), "{text}");
    assert!(line("cilium/synced/west/cilium/state/ip/v1").ends_with(": 'soon' is not a time"), "{text}");
    assert!(
        line("cilium/synced/east/cilium/state/ip/v1").ends_with("in the future (2999-01-01 00:00:00 UTC)"),
        "{text}"
    );
    base.run("list", &[]).ok().err_empty();
}

/// The IDs are strings in JSON, and numbers for the eye.
#[test]
fn ids_are_aligned_as_numbers_in_tables() {
    let base = Base::fresh();
    base.write(&[("id/2", "b"), ("id/10", "a"), ("id/100000", "c"), ("value/c/n", "100000"), ("value/a/n", "10")]);
    let table = |action: &str, args: &[&str]| {
        base.run(action, &[&["-o", "table"], args].concat())
            .stdout_text()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let lines = table("list", &[]);
    let starts = [
        "    ID  KEY  NODES  STATE",
        "     2  b        0  unused",
        "    10  a        1  in-use",
        "100000  c        1  in-use",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
    assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{lines:?}");
    let lines = table("check", &["--min", "11"]);
    let ids: Vec<&str> = lines.iter().map(|line| &line[24..30]).collect();
    assert_eq!(ids, ["    ID", "     2", "    10", "100000"], "{lines:?}");
    let lines = table("get", &["a", "b", "c"]);
    assert!(lines[1].starts_with("    10  a") && lines[2].starts_with("     2  b"), "{lines:?}");
}

#[test]
fn a_namespace_holds_for_all_of_it() {
    let base = two_nodes();
    let (namespace, rest) = base.path.rsplit_once('/').unwrap();
    let within = |action: &str, args: &[&str]| {
        let kvadm = Kvadm::new().endpoint(shared()).args(["--namespace", &format!("{namespace}/")]);
        kvadm.args(["allocate", action, "--base", rest]).args(args).run()
    };
    within("get", &[WEB]).ok().out("64554\n");
    within("lookup", &["379"]).ok().out(&format!("{WEB_DEFAULT}\n"));
    within("list", &["--state", "in-use"]).ok().out_has("64554");
}

#[test]
fn many_keys_and_many_nodes() {
    let base = Base::fresh();
    let mut pairs: Vec<(String, String)> = (1..=300).map(|n| (format!("id/{n}"), format!("key{n}"))).collect();
    pairs.extend((1..=150).map(|n| (format!("value/key{n}/n"), n.to_string())));
    pairs.extend((0..1500).map(|n| (format!("value/key1/m{n}"), "1".to_owned())));
    base.write(&pairs.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect::<Vec<_>>());
    let keys: Vec<String> = (1..=300).map(|n| format!("key{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let rows = base.run("get", &[&["-o", "json"], keys.as_slice()].concat()).json_lines();
    assert_eq!(rows.len(), 300);
    assert_eq!(rows[0], json!({"id": "1", "key": "key1", "nodes": 1501, "state": "in-use"}));
    assert_eq!(rows[299], json!({"id": "300", "key": "key300", "nodes": 0, "state": "unused"}));
    let ids: Vec<String> = (1..=300).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let run = base.run("lookup", &[&["-vv"], ids.as_slice()].concat());
    assert_eq!(run.ok().stdout_text().lines().count(), 300);
    assert_eq!(run.stderr_text().lines().filter(|line| line.starts_with("trace: ")).count(), 3);
}
