//! Commands of `kvadm member` that are mistakes: none of them may cost the cluster a voter.

use super::member::{listed, member, named};
use super::support::{Cluster, Newcomer};

#[test]
fn a_replacement_that_is_a_mistake_changes_nothing() {
    let cluster = Cluster::start(3);
    let url_of = |at: usize| cluster.members[at].peer_url();
    let free = Newcomer::new("m9").peer_url();
    let run = |args: &[&str]| member(&cluster, args).run();
    let replace = |old: &str, new: &str, url: &str| {
        let args = ["replace", old, "--name", new, "--peer-urls", url, "--wait", "500ms"];
        let dry = run(&[&args[..], &["--dry-run"]].concat());
        let real = run(&[&args[..], &["--yes"]].concat());
        assert_eq!(dry.code, real.code, "{}{}", dry.stderr_text(), real.stderr_text());
        real
    };
    // An older voter is no new member: the cluster would shrink.
    replace("m0", "m2", &url_of(2))
        .code(5)
        .out_empty()
        .err_has("is a voter already")
        .err_has("only the removal is left: 'kvadm member remove ");
    // A member that runs is not removed first.
    replace("m2", "m5", &url_of(2)).code(5).out_empty().err_has("stop its process first");
    // A mistyped name.
    replace("tpyo", "m2", &url_of(2)).code(1).out_empty().err_has("member not found: tpyo").err_lacks("has replaced");
    // etcd refuses two members of one name.
    replace("m1", "m1", &free).code(5).out_empty().err_has("still answers").err_has("choose another --name");
    assert_eq!(listed(&cluster).len(), 3);

    let leader = format!("m{}", cluster.leader());
    run(&["remove", &leader, "--dry-run"]).ok().err_has("it leads: leadership moves to m");

    // What the new process needs is printed again.
    let add = ["add", "m9", "--peer-urls", &free, "--learner"];
    let first = run(&add);
    first.ok().out_has("# start it with an empty data folder");
    let again = run(&add);
    again.ok().err_has("is already added");
    assert_eq!(first.stdout_text(), again.stdout_text());
    let args = ["replace", "m0", "--name", "m9", "--peer-urls", &free, "--wait", "500ms", "--yes"];
    run(&args).code(1).out(&first.stdout_text()).err_has("to go on: 'kvadm ").err_has("member replace m0");
    let id = super::member::id(&listed(&cluster), &free);
    let promote = format!("'kvadm member promote {id} --wait 10m'");
    let args = ["replace", "tpyo", "--name", "m9", "--peer-urls", &free, "--yes"];
    run(&args).code(1).out_empty().err_has("member not found: tpyo").err_has(&promote);
    let other = Newcomer::new("m8").peer_url();
    run(&["add", "m8", "--peer-urls", &other, "--learner", "--dry-run"]).ok().err_has("--max-learners=2");
    assert_eq!(listed(&cluster).len(), 4);
}

#[test]
fn peer_urls_where_nothing_listens_add_up() {
    let cluster = Cluster::start(3);
    let run = |args: &[&str]| member(&cluster, args).run();
    let (first, second) = (Newcomer::new("a").peer_url(), Newcomer::new("b").peer_url());
    run(&["update", "m0", "--peer-urls", &first]).ok().err_has(&format!("nothing listens at {first} yet"));
    run(&["update", "m1", "--peer-urls", &second])
        .code(5)
        .out_empty()
        .err_has(&format!("nothing listens at {first}, the peer URL of m0"))
        .err_has("1 of 3 are left")
        .err_has("the safe way: m1 listens at the old and the new URLs");
    let old = cluster.members[1].peer_url();
    assert_eq!(named(&listed(&cluster), "m1")["peer_urls"][0], old.as_str());
}
