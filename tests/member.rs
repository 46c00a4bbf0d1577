//! Members: listed, added, promoted, updated and removed, on real clusters.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::auth::{LIMITED, ROOT, cheap, login};
use super::support::{Cluster, Endpoints, Etcd, Kvadm, Newcomer, Run, eventually};

pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) fn member(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(of).arg("member").args(args).timeout(Duration::from_secs(90))
}

/// The value of ETCD_INITIAL_CLUSTER that kvadm prints for a new process.
pub(super) fn initial_cluster(stdout: &[u8]) -> String {
    let text = String::from_utf8_lossy(stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("ETCD_INITIAL_CLUSTER="));
    line.unwrap_or_else(|| panic!("no ETCD_INITIAL_CLUSTER in {text}")).trim_matches('"').to_owned()
}

/// The members by name, as JSON; those without a name are called by their peer URL.
pub(super) fn listed(of: &(impl Endpoints + ?Sized)) -> Vec<Value> {
    member(of, &["list", "-o", "json"]).run().ok().json_lines()
}

pub(super) fn named<'a>(members: &'a [Value], name: &str) -> &'a Value {
    let is_it = |member: &&Value| member["name"] == name || member["peer_urls"][0] == name;
    members.iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {members:?}"))
}

pub(super) fn id(members: &[Value], name: &str) -> String {
    named(members, name)["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_cluster_grows_from_one_to_five() {
    let mut cluster = Cluster::start(1);
    let first = cluster.members[0].endpoint();
    let new = Newcomer::new("m1");
    let url = new.peer_url();

    // As a voter it would stop the cluster until it runs.
    member(&first, &["add", "m1", "--peer-urls", &url])
        .run()
        .code(5)
        .out_empty()
        .err_has("refused: the cluster would lose its quorum")
        .err_has("1 of 1 voter started; adding m1 as a voter makes it 1 of 2: the cluster stops, because 2 are needed")
        .err_has("add --learner")
        .err_has("warning: m1 and m0 are on the same host");
    let dry = member(&first, &["add", "m1", "--peer-urls", &url, "--learner", "--dry-run"]).run();
    dry.ok().err_has("dry run: m1 would be added to cluster");
    assert_eq!(listed(&first).len(), 1);

    let added = member(&first, &["add", "m1", "--peer-urls", &url, "--learner"]).run();
    added.ok().err_has("as a learner to cluster").err_has("member promote");
    let peers = format!("m0={},m1={url}", cluster.members[0].peer_url());
    added
        .out_has(&format!("ETCD_NAME=\"m1\"\nETCD_INITIAL_CLUSTER=\"{peers}\"\n"))
        .out_has(&format!("ETCD_INITIAL_ADVERTISE_PEER_URLS=\"{url}\"\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n"))
        .out_has(&format!("# or: etcd --name m1 --initial-cluster {peers} --initial-advertise-peer-urls {url}"));
    let members = listed(&first);
    let learner = named(&members, &url);
    assert_eq!((&learner["state"], &learner["role"]), (&Value::from("unstarted"), &Value::from("learner")));
    assert!(learner.get("health").is_none() && learner["name"] == "");

    // It has not caught up, because it has not started.
    let id = id(&members, &url);
    member(&first, &["promote", &id]).run().code(5).err_has("has not started").err_has("--wait 10m");
    member(&first, &["promote", &id, "--wait", "2500ms"])
        .run()
        .code(1)
        .err_has("note: waiting, at most 1s longer: ")
        .err_has("has not started (waited 2.5s)")
        .err_has(&format!("hint: to go on: 'kvadm --endpoints {first} member promote {id} --wait 10m'"));
    member(&first, &["promote", &id, "--force"]).run().code(4).err_has("in sync with leader");
    member(&first, &["add", "m2", "--peer-urls", "http://127.0.0.1:9", "--learner"])
        .run()
        .code(4)
        .err_has("too many learner members in cluster")
        .err_has("promote or remove the present learner first");
    member(&first, &["move-leader", &id]).run().code(5).err_has("is a learner, which cannot lead");

    // With --wait, the learner may be called by the name that it will have.
    member(&first, &["promote", "m1"])
        .run()
        .code(1)
        .err_has("member not found: m1")
        .err_has(&format!("the learner with ID {id} (peer URL {url}) has not started"))
        .err_has(&format!("member promote {id} --wait 10m'"));
    let waiting = member(&first, &["promote", "m1", "--wait", "60s"]).spawn();
    waiting.wait_for_stderr("no member called m1 has started", SOON);
    cluster.members.push(new.join(&initial_cluster(&added.stdout)));
    let promoted = waiting.wait();
    promoted.ok().out(&format!("promoted\t{id}\tm1\n"));
    promoted.err_has("promoting m1 makes it 2 of 2: one more failure stops the cluster");
    promoted.err_has("warning: 2 voters tolerate no failure, like 1 voter\n");
    member(&first, &["promote", "m1"]).run().ok().out_has("unchanged").err_has("is a voter");

    // Three and more: voters, also before etcd has seen the others for five seconds.
    for name in ["m2", "m3", "m4"] {
        let new = Newcomer::new(name);
        let running = member(&first, &["add", name, "--peer-urls", &new.peer_url(), "--wait", "60s"]).spawn();
        running.wait_for_stdout("# or: etcd", SOON);
        cluster.members.push(new.join(&initial_cluster(&running.stdout())));
        let run = running.wait();
        run.ok().err_has(&format!("note: {name} has started")).out_has("started\t");
    }
    let members = listed(&cluster);
    assert_eq!(members.len(), 5);
    assert!(members.iter().all(|member| member["health"] == "healthy" && member["role"] != "learner"), "{members:?}");
    let table = member(&first, &["list"]).run();
    table.ok().err_has("note: 5 of 5 voters started: 2 more voters may fail");
    member(&first, &["list", "-o", "table"]).run().ok().out_has("PEER URLS").out_has("leader");
    member(&first, &["remove", "m4", "--yes", "-q"]).run().ok().err_empty();
    eventually("the removed member to be gone", SOON, || listed(&first).len() == 4);
}

#[test]
fn what_would_cost_the_quorum_is_refused() {
    let mut cluster = Cluster::start(3);
    let all = cluster.endpoints();
    cluster.members[2].kill();
    let free = Newcomer::new("m9").peer_url();
    let run = |args: &[&str]| member(&all, args).run();

    run(&["remove", "m0", "--yes"])
        .code(5)
        .err_has("2 of 3 voters answer; removing m0 leaves 1 of 2: the cluster stops, because 2 are needed")
        .err_has("add --force");
    run(&["remove", "m0", "--yes", "--force"]).code(4).err_has("member m0").err_has("was not removed");
    run(&["add", "m9", "--peer-urls", &free])
        .code(5)
        .err_has("adding m9 as a voter makes it 2 of 4: the cluster stops")
        .err_has("hint: '--learner' is refused as well")
        .err_has("'kvadm member replace MEMBER --name NEW --peer-urls URL'")
        .err_lacks("add --learner");
    run(&["add", "m9", "--peer-urls", &free, "--learner"])
        .code(5)
        .err_has("etcd adds a member only while all voters are connected")
        .err_has("kvadm member replace MEMBER");
    run(&["add", "m9", "--peer-urls", &free, "--learner", "--force"]).code(4).err_has("unhealthy cluster");
    run(&["update", "m0", "--peer-urls", &free]).code(5).err_has("if the others do not reach the member");
    run(&["move-leader", "m2"]).code(5).err_has("does not answer");
    let members = listed(&all);
    assert_eq!(named(&members, "m2")["health"], "unreachable");
    assert_eq!(members.len(), 3, "nothing was changed");
    run(&["remove", "m2", "--dry-run"])
        .ok()
        .out_has("would-remove")
        .err_has("2 of 3 voters answer; removing m2 leaves 2 of 2: one more failure stops the cluster");

    cluster.members[1].kill();
    let none = ["--op-timeout", "1s"];
    for args in [&["list"][..], &["remove", "m2", "--yes"], &["add", "m9", "--peer-urls", &free, "--force"]] {
        let run = member(&all, args).args(none).run();
        run.code(3).out_empty();
    }
    let run = member(&all, &["list", "--serializable", "-o", "json"]).args(none).run();
    let members = run.ok().json_lines();
    assert_eq!((members.len(), &named(&members, "m1")["health"]), (3, &Value::from("unreachable")));
}

#[test]
fn bad_input_is_refused_before_anything_is_sent() {
    let cluster = Cluster::start(3);
    let run = |args: &[&str]| member(&cluster, args).run();
    let (taken, free) = (cluster.members[1].peer_url(), Newcomer::new("m9").peer_url());
    run(&["remove", "m11", "--yes"]).code(1).err_has("member not found: m11").err_lacks("did you mean").err_has(&taken);
    run(&["promote", "ffff"]).code(1).err_has("member not found: ffff").err_has(&taken);
    run(&["update", "http://127.0.0.1:9", "--peer-urls", &free]).code(1).err_has("member not found");
    run(&["add", "m9", "--peer-urls", &taken]).code(5).err_has("member m1 (").err_has("has the peer URL");
    run(&["update", "m0", "--peer-urls", &taken]).code(5).err_has("has the peer URL");
    run(&["add", "m1", "--peer-urls", &free]).code(5).err_has("has this name");
    run(&["add", "m9", "--peer-urls", &format!("{free},{free}")]).code(2).err_has("twice");
    for url in ["http://0.0.0.0:2380", "127.0.0.1:2380", "http://h", "ftp://h:1", "http://h:2380/", "", "http://h:x"] {
        run(&["add", "m9", "--peer-urls", url]).code(2).out_empty();
    }
    for name in ["", "a b", "a=b", "a,b"] {
        run(&["add", name, "--peer-urls", &free]).code(2).err_has("must be a name without spaces");
    }
    run(&["add", "m9"]).code(2).err_has("--peer-urls");
    run(&["remove", "m1"]).code(2).err_has("Remove member m1").err_has("add --yes to confirm");
    run(&["replace", "m1", "--name", "m9", "--peer-urls", &cluster.members[2].peer_url(), "--yes"])
        .code(5)
        .err_has("has one of these peer URLs");
    run(&["replace", "m1", "--name", "m1", "--peer-urls", &taken, "--yes"]).code(5).err_has("stop its process first");
    run(&["replace", "m7", "--name", "m9", "--peer-urls", &free, "--yes"]).code(1).err_has("kvadm member add m9");
    Kvadm::new().args(["member", "list", "--db", "x.db"]).run().code(2).err_has("cannot be used with --db");
    assert_eq!(listed(&cluster).len(), 3);

    // Leadership moves, and stays where it is.
    let leader = cluster.leader();
    let to = if leader == 0 { "m1" } else { "m0" };
    run(&["move-leader", to, "--dry-run"]).ok().out_has("would-move-leader");
    assert_eq!(cluster.leader(), leader);
    run(&["move-leader", to]).ok().out_has("leader-moved").err_has("moved leadership from m");
    eventually("the new leader", SOON, || format!("m{}", cluster.leader()) == to);
    run(&["move-leader", to]).ok().out_has("unchanged").err_has("is the leader");
    run(&["move-leader"]).ok().out_has("leader-moved");
    eventually("another leader", SOON, || format!("m{}", cluster.leader()) != to);
}

#[test]
fn the_only_member() {
    let etcd = Etcd::start();
    let run = |args: &[&str]| member(&etcd, args).run();
    for force in [&[][..], &["--force"]] {
        run(&[&["remove", "default", "--yes"], force].concat()).code(5).err_has("the last voter cannot be removed");
    }
    run(&["move-leader"]).code(5).err_has("no other voter answers");
    run(&["update", "default", "--peer-urls", &etcd.peer_url()]).ok().out_has("unchanged");
    let urls = "http://127.0.0.1:1,http://127.0.0.1:2";
    run(&["update", "default", "--peer-urls", urls, "--dry-run"]).ok().out_has("would-update");
    run(&["update", "default", "--peer-urls", urls]).ok().out_has("updated").err_has("the member must listen there");
    let members = listed(&etcd);
    assert_eq!(members[0]["peer_urls"], Value::from(vec!["http://127.0.0.1:1", "http://127.0.0.1:2"]));

    // The wait for a member that never starts ends at once with Ctrl-C; the member stays added.
    let url = "http://127.0.0.1:3";
    let args = ["add", "m1", "--peer-urls", url, "--learner", "--wait", "60s", "-o", "json"];
    let waiting = member(&etcd, &args).spawn();
    waiting.wait_for_stderr("s longer: m1 has not started", SOON);
    waiting.signal(Signal::SIGINT);
    let run_ended = waiting.wait();
    run_ended.signal(Signal::SIGINT).err_has("stopped waiting: m1 has not started");
    run_ended.err_has("the member is added: start its process").err_has("kvadm --endpoints");
    let row = &run_ended.json_lines()[0];
    assert_eq!((&row["outcome"], &row["learner"], &row["voters"]), (&"added".into(), &true.into(), &1.into()));
    assert_eq!(row["environment"][0], "ETCD_NAME=m1");
    assert!(row["command"].as_str().unwrap().starts_with("etcd --name m1 --initial-cluster "), "{row}");
    let removed = run(&["remove", url, "--yes", "-o", "yaml"]);
    removed.ok().out_has("outcome: \"removed\"").err_has("does not change that");
}

#[test]
fn only_root_changes_members() {
    let etcd = cheap();
    let as_user = |user: &str, password: &str, args: &[&str]| -> Run {
        login(&etcd, user, password).arg("member").args(args).run()
    };
    let add = ["add", "m1", "--peer-urls", "http://127.0.0.1:3", "--learner"];
    as_user("app", LIMITED, &add).code(4).err_has("permission denied").err_has("only users with the role root");
    as_user("app", LIMITED, &["list"]).ok().out_has("default");
    as_user("root", ROOT, &add).ok().out_has("ETCD_NAME=\"m1\"");
    as_user("root", ROOT, &["remove", "http://127.0.0.1:3", "--yes"]).ok();
}

#[test]
fn what_a_server_calls_its_members_does_not_reach_the_terminal() {
    let name = "m\u{1b}]0;owned\u{7}\u{202e}'$(id)";
    let etcd = Newcomer::new(name).start_alone();
    let add = ["add", "m1", "--peer-urls", "http://127.0.0.1:3", "--learner", "--dry-run"];
    for args in [&["list"][..], &["remove", "m1"], &["remove", name, "--yes"], &add] {
        let shown = member(&etcd, args).pty().run();
        shown.out_lacks("\u{1b}]0").out_lacks("\u{7}").out_lacks("\u{202e}");
        let piped = member(&etcd, args).run();
        piped.out_lacks("\u{1b}").err_lacks("\u{1b}").err_lacks("\u{202e}");
    }
    let environment = member(&etcd, &add).run();
    environment.ok().out_has(r"ETCD_INITIAL_CLUSTER=$'m\x1b]0;owned\x07");
}
