//! `kvadm downgrade`: the state, a downgrade on and off, and lost answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::outcomes::SPOILS;
use super::support::answers::valid;
use super::support::{Cluster, Endpoints, Etcd, FakeServer, Kvadm, Plan, Reply, Run, Spoil, Spoiler, eventually};

fn downgrade(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Run {
    Kvadm::new().endpoint(of).arg("downgrade").args(args).run()
}

/// The minor version before that of the server, and the one before it.
fn targets(etcd: &Etcd) -> [String; 2] {
    let (major, minor) = etcd.version();
    [1, 2].map(|back| format!("{major}.{}", minor - back))
}

/// etcd's status of the member.
fn told(etcd: &Etcd) -> Value {
    let status: Value = serde_json::from_str(&etcd.etcdctl_ok(&["endpoint", "status", "-w", "json"])).unwrap();
    status[0]["Status"].clone()
}

/// Waits until etcd accepts the version: enabled, a downgrade lowers the cluster's version, which rises some seconds after the end.
fn accepted(etcd: &Etcd, target: &str) {
    eventually("the version of the cluster", Duration::from_secs(30), || {
        etcd.etcdctl(&["downgrade", "validate", target]).status.success()
    });
}

#[test]
fn version_3_4_does_not_support_it() {
    let etcd = Etcd::start();
    if etcd.version() >= (3, 5) {
        return;
    }
    for args in [&["status"][..], &["validate", "3.3"], &["enable", "3.3", "--yes"], &["cancel", "--yes"]] {
        let run = downgrade(&etcd, args);
        run.code(4).out_empty().err_has("this version of etcd does not support downgrades").err_has("runs etcd 3.4");
    }
}

#[test]
fn it_is_validated_enabled_shown_and_cancelled() {
    let etcd = Etcd::start();
    if etcd.version() < (3, 5) {
        return;
    }
    let tells = etcd.version() >= (3, 6);
    let [target, too_far] = targets(&etcd);
    if tells {
        // A new member learns its storage version with the first entries of the log.
        eventually("the storage version", Duration::from_secs(10), || told(&etcd)["storageVersion"].is_string());
    }
    let run = downgrade(&etcd, &["status", "-o", "json"]);
    let said = run.ok().json();
    // etcd 3.5 accepts 3.4, which does not start then.
    let possible = tells.then(|| json!(target));
    assert_eq!((&said["state"], said.get("possible_target")), (&json!("disabled"), possible.as_ref()), "{said}");
    assert_eq!(said["members"][0]["state"], if tells { "disabled" } else { "unknown" }, "{said}");
    let (major, minor) = etcd.version();
    assert_eq!(said["members"][0].get("storage_version").is_some(), tells, "{said}");
    assert!(said["cluster_version"].as_str().unwrap().starts_with(&format!("{major}.{minor}")), "{said}");

    let enable = |more: &[&str]| {
        let force: &[&str] = if tells { &[] } else { &["--force"] };
        downgrade(&etcd, &[&["enable", &target], force, more].concat())
    };
    if tells {
        downgrade(&etcd, &["validate", &target]).ok().out_has("validate").out_has("valid");
        let patch = format!("v{target}.9");
        downgrade(&etcd, &["validate", &patch, "-o", "json"]).ok();
    } else {
        for args in [&["validate", &target][..], &["enable", &target, "--yes"], &["enable", &target, "--dry-run"]] {
            let run = downgrade(&etcd, args);
            run.code(5).out_empty().err_has("can lock members out").err_has("cluster cannot be downgraded");
            run.err_has("server version is not allowed to join").err_has("--next-cluster-version-compatible");
        }
        downgrade(&etcd, &["enable", &target, "--yes"]).err_has("--force");
        downgrade(&etcd, &["status"]).ok().err_has("etcd 3.4 does not start in this cluster");
    }
    let run = downgrade(&etcd, &["validate", &too_far]);
    run.code(4)
        .out_empty()
        .err_has("cannot be downgraded")
        .err_has("invalid downgrade target version")
        .err_has("one minor version");
    downgrade(&etcd, &["validate", "three"]).code(2).err_has("write the version as MAJOR.MINOR");
    downgrade(&etcd, &["enable", &too_far, "--yes"]).code(4).err_has("invalid downgrade target version");
    let run = enable(&[]);
    run.code(2).err_has("Enable the downgrade of the cluster from").err_has(&format!("to {target}")).err_has("--yes");
    let run = enable(&["--dry-run", "-o", "json"]);
    assert_eq!(run.ok().json()["outcome"], "would-enable");
    let run = downgrade(&etcd, &["cancel", "--yes", "-o", "json"]);
    assert_eq!(run.ok().err_has("no downgrade is enabled").json()["outcome"], "nothing");

    let run = enable(&["--yes", "-o", "json"]);
    let said = run.ok().err_has("restart the members").err_has("downgrade cancel").json();
    assert_eq!((&said["outcome"], &said["target_version"]), (&json!("enabled"), &json!(target)), "{said}");
    if tells {
        assert_eq!(told(&etcd)["downgradeInfo"]["enabled"], true);
        let run = Kvadm::new().endpoint(&etcd).args(["status", "-o", "json"]).run();
        let member = &run.ok().json()["members"][0];
        assert_eq!(member["downgrade"], json!({"enabled": true, "target_version": format!("{target}.0")}));
        Kvadm::new().endpoint(&etcd).arg("status").run().ok().err_has(&format!("a downgrade to {target}.0 is enabled"));
    }
    let run = downgrade(&etcd, &["status", "-o", "json"]);
    let said = run.ok().json();
    assert_eq!(said["state"], "enabled");
    if tells {
        run.err_has(&format!("0 of 1 members run {target}"));
        assert!(said["target_version"].as_str().unwrap().starts_with(&target), "{said}");
        let again = enable(&["--yes", "-o", "json"]);
        assert_eq!(again.ok().err_has("nothing to do").json()["outcome"], "nothing");
    } else {
        // The target could be the version that the members run.
        run.err_has("etcd does not tell to which version");
        assert!(said.get("target_version").is_none(), "{said}");
    }
    // Another downgrade; or one version back is too far, once the cluster's version is that of the target.
    let run = downgrade(&etcd, &["validate", &target]);
    let said = run.code(4).stderr_text();
    assert!(said.contains("downgrade job in progress") || said.contains("invalid downgrade target version"), "{said}");

    let run = downgrade(&etcd, &["cancel", "--dry-run", "-o", "json"]);
    assert_eq!(run.ok().json()["outcome"], "would-cancel");
    downgrade(&etcd, &["cancel"]).code(2).err_has("Cancel the downgrade of the cluster");
    let run = downgrade(&etcd, &["cancel", "--yes", "-o", "json"]);
    assert_eq!(run.ok().err_has("the version of the cluster rises again").json()["outcome"], "cancelled");
    let run = downgrade(&etcd, &["status"]);
    run.ok().err_has("no downgrade is enabled; ");
    if tells {
        assert_eq!(told(&etcd)["downgradeInfo"], json!({}));
        // etcdctl agrees in the other direction too.
        accepted(&etcd, &target);
        etcd.etcdctl_ok(&["downgrade", "enable", &target]);
        downgrade(&etcd, &["status"]).ok().out_has("enabled");
        etcd.etcdctl_ok(&["downgrade", "cancel"]);
        downgrade(&etcd, &["status"]).ok().out_has("disabled").out_lacks("enabled");
    }
}

#[test]
fn an_unhealthy_cluster_is_not_downgraded() {
    let mut cluster = Cluster::start(3);
    if cluster.members[0].version() < (3, 5) {
        return;
    }
    let [target, _] = targets(&cluster.members[0]);
    let follower = (cluster.leader() + 1) % 3;
    let left = cluster.members.remove(follower);
    left.pause();
    let args = ["enable", &target, "--yes", "--dial-timeout", "500ms"];
    let run = Kvadm::new().endpoint(&cluster).arg("downgrade").args(args).run();
    run.code(5).out_empty().err_has("the cluster is not healthy").err_has("--force");
    let run = Kvadm::new().endpoint(&cluster).arg("downgrade").args(args).args(["--force", "-o", "json"]).run();
    assert_eq!(run.ok().err_has("warning: the cluster is not healthy").json()["outcome"], "enabled");
    // Without a quorum, what one member knows is not what the cluster has.
    let second = cluster.members.remove(cluster.members.len() - 1);
    second.pause();
    for args in
        [&["status"][..], &["cancel", "--yes"], &["cancel", "--dry-run"], &["enable", &target, "--force", "--yes"]]
    {
        let run = Kvadm::new().endpoint(&cluster).arg("downgrade").args(args);
        let run = run.args(["--dial-timeout", "500ms", "--op-timeout", "1s"]).timeout(Duration::from_secs(30)).run();
        run.code(3).out_empty().err_has("no quorum").err_lacks("nothing to do");
    }
    second.resume();
    left.resume();
}

/// After a downgrade, etcd 3.5 still has it enabled for some seconds; its target is the version that the member runs.
#[test]
fn a_target_that_etcd_does_not_tell_is_not_guessed() {
    let server = FakeServer::start(|asked| match asked.method.as_str() {
        "Maintenance/Downgrade" => Reply::Refusal(9, "etcdserver: cluster has a downgrade job in progress".to_owned()),
        _ => valid(asked),
    });
    let run = |args: &[&str]| Kvadm::new().arg("--endpoints").arg(server.endpoint()).arg("downgrade").args(args).run();
    let status = run(&["status", "-o", "json"]);
    let said = status.ok().err_has("etcd does not tell to which version").json();
    assert_eq!((&said["state"], said.get("target_version")), (&json!("enabled"), None), "{said}");
    let cancel = run(&["cancel", "--dry-run", "-o", "json"]);
    let said = cancel.ok().err_lacks(" to 3.").json();
    assert_eq!((&said["outcome"], said.get("target_version")), (&json!("would-cancel"), None), "{said}");
}

/// The request is executed, and its answer is lost: the state tells it. It is sent once. (etcd 3.5 never answers these requests.)
#[test]
fn a_lost_answer_is_read_back() {
    let etcd = Etcd::start();
    if etcd.version() < (3, 6) {
        return;
    }
    let [target, _] = targets(&etcd);
    for spoil in SPOILS.iter().step_by(3) {
        // The check before the request is one of the same method.
        for (verb, outcome, asked) in
            [(&["enable", &target, "--yes"][..], "enabled", 1), (&["cancel", "--yes"], "cancelled", 0)]
        {
            if outcome == "enabled" {
                accepted(&etcd, &target);
            }
            let plan = Plan { spoil: *spoil, methods: &["Downgrade"], skip: asked, times: 1, then_gone: false };
            let spoiler = Spoiler::start(&etcd.address(), plan);
            let run = Kvadm::new().arg("--endpoints").arg(spoiler.endpoint());
            let run = run.arg("downgrade").args(verb).args(["-o", "json"]).run();
            assert_eq!(run.ok().err_has("the answer was lost").json()["outcome"], outcome, "{spoil:?}");
            assert_eq!(spoiler.seen(), asked + 1, "sent once: {spoil:?}");
        }
    }
    // An answer that is lost with the endpoint proves nothing.
    accepted(&etcd, &target);
    let plan = Plan { spoil: Spoil::CutBefore, methods: &["Downgrade"], skip: 1, times: 1, then_gone: true };
    let spoiler = Spoiler::start(&etcd.address(), plan);
    let args = ["downgrade", "enable", &target, "--yes"];
    let run = Kvadm::new().arg("--endpoints").arg(spoiler.endpoint()).args(args).run();
    run.code(7).out_empty().err_has("it is unknown whether etcd applied it");
}
