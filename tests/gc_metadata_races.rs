//! `gc metadata` against others who write meanwhile.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::containerd::{EARLIER, LATER, Tree, named, permit};
use super::support::{Etcd, Kvadm, Run, eventually, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

/// A tree that was looked at once, with the plan of that.
struct Looked {
    tree: Tree<'static>,
    folder: tempfile::TempDir,
}

impl Looked {
    fn new(build: impl FnOnce(&mut Tree<'_>)) -> Self {
        let mut tree = Tree::new(shared(), &unique_prefix());
        build(&mut tree);
        tree.load();
        let looked = Self { tree, folder: tempfile::tempdir().unwrap() };
        looked.tree.gc().args(["--save", &looked.plan()]).run().code(1);
        looked
    }

    fn plan(&self) -> String {
        self.folder.path().join("plan").to_str().unwrap().to_owned()
    }

    /// What this look and the earlier one agree on.
    fn apply(&self) -> Kvadm {
        permit(self.tree.gc()).args(["--since", &self.plan()])
    }

    /// Something is changed behind the last look: between it and the first removal the command waits for a lock that
    /// somebody else has, and looks again once it has it.
    fn under_the_lock(&mut self, options: &[&str], change: impl FnOnce(&mut Tree<'static>)) -> Run {
        let etcd = self.tree.etcd;
        let name = format!("/locks{}", self.tree.prefix);
        let blocker = format!("{name}/1");
        etcd.etcdctl_ok(&["put", &blocker, ""]);
        let waiting = self.apply().args(["--lock", &name]).args(options).spawn();
        eventually("it waits for the lock", SOON, || etcd.held_under(&name).len() == 2);
        change(&mut self.tree);
        etcd.etcdctl_ok(&["del", &blocker]);
        let run = waiting.wait();
        assert!(etcd.held_under(&name).is_empty(), "the lock is given back");
        run
    }
}

fn states(run: &Run) -> Vec<(String, String)> {
    let rows = run.json_lines();
    let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap().to_owned();
    let mut states: Vec<_> = rows.iter().map(|row| (text(row, "identity"), text(row, "state"))).collect();
    states.sort();
    states
}

fn leased(tree: &mut Tree<'_>) {
    tree.lease("ns1", "l", &["content/d1"], &[("expire", EARLIER)])
        .content("ns1", "d1", &[("ref.content", "d2")])
        .content("ns1", "d2", &[])
        .content("ns1", "d3", &[])
        .content("ns1", "kept", &[("root", "1")]);
}

#[test]
fn what_changed_between_two_looks_is_not_agreed_on() {
    let mut looked = Looked::new(leased);
    let expire = format!("{}v1/ns1/leases/l/labels/containerd.io/gc.expire", looked.tree.prefix);
    looked.tree.etcd.etcdctl_ok(&["put", &expire, LATER]);
    let run = looked.apply().run();
    assert_eq!(named(run.ok(), "removed"), ["content ns1/d3"]);
    assert_eq!(looked.tree.plan(), [""; 0]);
    // Removed and made again: the same keys, another revision.
    looked.tree.content("ns1", "d4", &[]).content("ns1", "d5", &[]).load();
    looked.tree.gc().args(["--save", &looked.plan()]).run().code(1);
    let d4 = format!("{}v1/ns1/content/blob/d4/", looked.tree.prefix);
    looked.tree.etcd.etcdctl_ok(&["del", "--prefix", &d4]);
    looked.tree.content("ns1", "d4", &[]).load();
    let run = looked.apply().run();
    assert_eq!(named(run.ok(), "removed"), ["content ns1/d5"]);
    assert_eq!(looked.tree.plan(), ["content ns1/d4"]);
}

#[test]
fn a_referrer_added_between_look_and_lock_keeps() {
    let mut looked = Looked::new(leased);
    let run = looked.under_the_lock(&[], |tree| {
        tree.image("ns1", "new", "d2", &[]).load();
    });
    run.ok();
    assert_eq!(
        states(&run),
        [
            ("d1".into(), "removed".into()),
            ("d2".into(), "changed".into()),
            ("d3".into(), "removed".into()),
            ("l".into(), "removed".into())
        ]
    );
    assert_eq!(looked.tree.plan(), [""; 0]);
    assert!(looked.tree.keys().iter().any(|key| key.contains("/d2/")));
}

#[test]
fn a_lease_renewed_between_look_and_lock_keeps_all_it_holds() {
    let mut looked = Looked::new(leased);
    let run = looked.under_the_lock(&["--guard", "scope"], |tree| {
        let expire = format!("{}v1/ns1/leases/l/labels/containerd.io/gc.expire", tree.prefix);
        tree.etcd.etcdctl_ok(&["put", &expire, LATER]);
    });
    run.ok();
    assert_eq!(named(&run, "removed"), ["content ns1/d3"]);
    assert_eq!(states(&run).iter().filter(|(_, state)| state == "changed").count(), 3);
}

#[test]
fn a_label_withdrawn_between_look_and_lock_keeps() {
    let mut looked = Looked::new(leased);
    let run = looked.under_the_lock(&[], |tree| {
        let expire = format!("{}v1/ns1/leases/l/labels/containerd.io/gc.expire", tree.prefix);
        tree.etcd.etcdctl_ok(&["del", &expire]);
    });
    assert_eq!(named(run.ok(), "removed"), ["content ns1/d3"]);
}

#[test]
fn an_object_made_again_between_look_and_lock_stays() {
    let mut looked = Looked::new(leased);
    let run = looked.under_the_lock(&[], |tree| {
        let d3 = format!("{}v1/ns1/content/blob/d3/", tree.prefix);
        tree.etcd.etcdctl_ok(&["del", "--prefix", &d3]);
        tree.content("ns1", "d3", &[]).load();
    });
    assert_eq!(named(run.ok(), "changed"), ["content ns1/d3"]);
    assert_eq!(looked.tree.plan(), ["content ns1/d3"]);
}

/// Many objects, removed one by one and slowly: there is time to do something in the midst of the sweep.
fn many(etcd: &'static Etcd) -> Tree<'static> {
    let mut tree = Tree::new(etcd, &unique_prefix());
    tree.lease("ns1", "l", &["content/d39"], &[("expire", EARLIER)]);
    for number in 10..40 {
        tree.content("ns1", &format!("d{number}"), &[]);
    }
    tree.content("ns1", "kept", &[("root", "1")]).load();
    tree
}

fn left(tree: &Tree<'_>) -> usize {
    tree.keys().iter().filter(|key| key.ends_with("/createdat") && key.contains("/d")).count()
}

/// The sweep compares what each object is; the rest goes on.
#[test]
fn an_object_that_changes_in_mid_sweep_is_skipped() {
    let tree = many(shared());
    let sweeping = tree.apply().args(["--rate", "10"]).spawn();
    eventually("the first ones are gone", SOON, || left(&tree) < 30);
    tree.etcd.etcdctl_ok(&["put", &format!("{}v1/ns1/content/blob/d39/size", tree.prefix), "2"]);
    tree.etcd.etcdctl_ok(&["del", "--prefix", &format!("{}v1/ns1/content/blob/d38/", tree.prefix)]);
    let run = sweeping.wait();
    run.ok();
    assert_eq!(named(&run, "changed"), ["content ns1/d39"]);
    assert_eq!(named(&run, "gone"), ["content ns1/d38"]);
    assert_eq!(named(&run, "removed").len(), 29);
    assert_eq!(run.err_json()["removed"].as_u64(), Some(29));
    assert_eq!(left(&tree), 1);
}

/// A new referrer elsewhere: unseen by the objects' own guard, as the help says, and seen by the scope's.
#[test]
fn a_referrer_added_in_mid_sweep_is_seen_by_the_scope_guard() {
    for (guard, kept) in [("scope", true), ("object", false)] {
        // The scope guard removes full batches, between which the rate leaves time.
        let mut tree = Tree::new(shared(), &unique_prefix());
        for number in 100..300 {
            tree.content("ns1", &format!("d{number}"), &[]);
        }
        tree.content("ns1", "kept", &[("root", "1")]).load();
        let sweeping = tree.apply().args(["--rate", "100", "--guard", guard]).spawn();
        eventually("the first ones are gone", SOON, || left(&tree) < 200);
        tree.image("ns1", "new", "d299", &[]).load();
        let run = sweeping.wait();
        run.ok();
        let stays = tree.keys().iter().any(|key| key.contains("/d299/"));
        assert_eq!(stays, kept, "{guard}: {}", run.stderr_text());
        assert_eq!(named(&run, "changed").is_empty(), !kept, "{guard}");
    }
}

#[test]
fn a_lock_that_is_lost_in_mid_sweep_stops_it() {
    let tree = many(shared());
    let name = format!("/locks{}", tree.prefix);
    let sweeping = tree.apply().args(["--rate", "10", "--lock", &name]).spawn();
    eventually("the first ones are gone", SOON, || left(&tree) < 30);
    tree.etcd.etcdctl_ok(&["del", "--prefix", &name]);
    let at_most = left(&tree);
    let run = sweeping.wait();
    run.code(5).err_has("lock");
    assert!((1..=at_most).contains(&left(&tree)), "nothing goes once the lock is lost");
    assert_eq!(named(&run, "removed").len(), 31 - left(&tree), "what went is told");
    assert!(run.err_has("\"removed\":").stderr_text().contains("\"refused\":"));
}

/// A signal ends it between two removals; the lock is given back at once.
#[test]
fn a_signal_in_mid_sweep_ends_it_with_a_summary() {
    let tree = many(shared());
    let name = format!("/locks{}", tree.prefix);
    let sweeping = tree.apply().args(["--rate", "10", "--lock", &name]).spawn();
    eventually("the first ones are gone", SOON, || left(&tree) < 30);
    sweeping.signal(Signal::SIGINT);
    let run = sweeping.wait();
    run.signal(Signal::SIGINT).err_has("\"removed\":");
    assert!(left(&tree) > 0);
    assert_eq!(named(&run, "removed").len(), 31 - left(&tree));
    assert!(tree.etcd.held_under(&name).is_empty());
}

/// The history goes while it is read, less often than a reading is begun anew: it gets through, and never mixes
/// revisions.
#[test]
fn compaction_between_pages() {
    let etcd = Etcd::start();
    let mut tree = Tree::new(&etcd, "/c/");
    for number in 0..3000 {
        tree.content("ns1", &format!("d{number}"), &[]);
    }
    tree.content("ns1", "kept", &[("root", "1")]).load();
    let sweeping = tree.apply().spawn();
    for _ in 0..4 {
        etcd.etcdctl_ok(&["put", "/elsewhere", "x"]);
        etcd.etcdctl(&["compact", &etcd.revision().to_string()]);
    }
    let run = sweeping.wait();
    run.ok();
    assert_eq!(named(&run, "removed").len(), 3000);
    assert_eq!(tree.keys().len(), 3);
}

/// Round after round; each is the next one's earlier look.
#[test]
fn a_service_removes_what_two_rounds_agree_on() {
    let mut tree = Tree::new(shared(), &unique_prefix());
    tree.content("ns1", "d1", &[]).content("ns1", "kept", &[("root", "1")]).load();
    let gc =
        Kvadm::new().endpoint(tree.etcd).args(["gc", "metadata", &tree.prefix, "--schema", "containerd", "-o", "json"]);
    let mut service = permit(gc).args(["--every", "200ms"]).spawn();
    let mut round = || -> serde_json::Value { serde_json::from_str(&service.next_line().unwrap()).unwrap() };
    let first = round();
    assert_eq!((first["garbage"].as_u64(), first.get("agreed")), (Some(1), None), "{first}");
    let second = round();
    assert_eq!((second["agreed"].as_u64(), second["removed"].as_u64()), (Some(1), Some(1)), "{second}");
    let part = &second["parts"][0];
    assert_eq!((part["kind"].as_str(), part["removed"].as_u64()), (Some("content"), Some(1)));
    assert_eq!(tree.keys().len(), 3);
    service.signal(Signal::SIGTERM);
    service.wait().signal(Signal::SIGTERM);
}

/// What one may not remove fails by itself; the rest goes, and what it referred to stays.
#[test]
fn what_a_user_may_not_remove_fails_alone() {
    let etcd = Etcd::options().arg("--bcrypt-cost=4").start();
    let mut tree = Tree::new(&etcd, "/c/");
    tree.content("ns1", "d1", &[]).content("ns1", "d2", &[]).content("ns1", "kept", &[("root", "1")]);
    tree.content("ns2", "d3", &[("ref.content", "d4")]).content("ns2", "d4", &[]).load();
    for command in [
        "user add root:secret",
        "user add app:secret",
        "role add app",
        "role grant-permission app read /c/ --prefix=true",
        "role grant-permission app readwrite /c/v1/ns1/ --prefix=true",
        "user grant-role app app",
        "user grant-role root root",
        "auth enable",
    ] {
        etcd.etcdctl_ok(&command.split(' ').collect::<Vec<_>>());
    }
    let app = |gc: Kvadm| gc.args(["--user", "app"]).env("KVADM_PASSWORD", "secret");
    let run = app(tree.apply()).run();
    run.code(6).err_has("permission denied");
    assert_eq!(named(&run, "removed"), ["content ns1/d1", "content ns1/d2"]);
    assert_eq!(
        (named(&run, "failed"), named(&run, "held-back")),
        (vec!["content ns2/d3".into()], vec!["content ns2/d4".into()])
    );
    assert!(run.json_lines().iter().any(|row| row["error"].as_str().is_some_and(|error| error.contains("permission"))));
    let left = app(tree.gc()).run();
    assert_eq!(named(left.code(1), "garbage"), ["content ns2/d3", "content ns2/d4"]);
}
