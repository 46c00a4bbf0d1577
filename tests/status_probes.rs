//! `kvadm status --probes`: the health checks and feature gates that members serve over HTTP, and what etcd 3.6 adds to the status.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::answers::valid;
use super::support::{Certs, Endpoints, Etcd, FakeServer, Kvadm, Run, eventually, shared};

fn probes(of: &(impl Endpoints + ?Sized), args: &[&str]) -> Run {
    Kvadm::new().endpoint(of).args(["status", "--probes"]).args(args).run()
}

/// What a version from 3.6 on serves; 3.4 and 3.5 serve the checks from a later patch version on than the tests have.
fn serves(etcd: &Etcd) -> bool {
    etcd.version() >= (3, 6)
}

fn check_member(member: &Value, etcd: &Etcd) {
    let word = if serves(etcd) { "ok" } else { "not-served" };
    assert_eq!((&member["livez"], &member["readyz"]), (&json!(word), &json!(word)), "{member}");
    let features = member["features"].as_array().unwrap();
    assert_eq!(features.is_empty(), !serves(etcd), "{member}");
    if serves(etcd) {
        let one = features.iter().find(|feature| feature["feature"] == "TxnModeWriteWithSharedBuffer").unwrap();
        assert_eq!((&one["stage"], &one["enabled"]), (&json!("BETA"), &json!(true)), "{one}");
    }
}

#[test]
fn health_checks_and_feature_gates_are_shown() {
    let etcd = shared();
    let run = probes(etcd, &["-o", "json"]);
    check_member(&run.ok().json()["members"][0], etcd);
    let run = probes(etcd, &[]);
    if serves(etcd) {
        run.ok()
            .err_has("livez and readyz are ok")
            .err_has("enabled features: ")
            .err_has("TxnModeWriteWithSharedBuffer")
            .err_lacks("not serve");
    } else {
        run.ok().err_has("this version of etcd does not serve livez").err_has("does not tell its feature gates");
    }
    if serves(etcd) {
        // A new member raises its storage version to that of the cluster within some seconds.
        let (major, minor) = etcd.version();
        let stored = format!("\"storageVersion\":\"{major}.{minor}.0\"");
        eventually("the storage version", Duration::from_secs(20), || {
            etcd.etcdctl_ok(&["endpoint", "status", "-w", "json"]).contains(&stored)
        });
    }
    // Nobody is asked without the option.
    let plain = Kvadm::new().endpoint(etcd).args(["status", "-o", "json"]).run();
    let member = &plain.ok().err_empty().json()["members"][0];
    assert!(member.get("livez").is_none() && member.get("features").is_none(), "{member}");
    assert_eq!(member.get("downgrade").is_some(), serves(etcd), "{member}");
    let (major, minor) = etcd.version();
    let storage = serves(etcd).then(|| json!(format!("{major}.{minor}.0")));
    assert_eq!(member.get("storage_version"), storage.as_ref(), "{member}");
    for other in ["--watch", "--revision", "--diagnose", "--wait=1s"] {
        probes(etcd, &[other]).code(2).out_empty();
    }
}

#[test]
fn the_requests_use_tls_and_the_client_certificate() {
    let certs = Certs::new();
    let etcd = Etcd::options().client_auth(&certs).start();
    let with = |args: &[&str]| {
        let run = Kvadm::new().endpoint(&etcd).arg("--ca-file").arg(&certs.ca).args(args);
        let pair = &certs.client;
        run.arg("--cert-file")
            .arg(&pair.cert)
            .arg("--key-file")
            .arg(&pair.key)
            .args(["status", "--probes", "-o", "json"])
            .run()
    };
    check_member(&with(&[]).ok().json()["members"][0], &etcd);
    let socket = Etcd::options().unix_socket().start();
    let run = Kvadm::new().args(["--endpoints", &socket.unix_endpoint(), "status", "--probes", "-o", "json"]).run();
    check_member(&run.json()["members"][0], &socket);
}

#[test]
fn a_member_that_is_not_ready_is_unhealthy() {
    let etcd = Etcd::start();
    let id = probes(&etcd, &["-o", "json"]).json()["members"][0]["id"].as_str().unwrap().to_owned();
    super::compact_corrupt::raise(&etcd, &id);
    let run = probes(&etcd, &["-o", "json"]);
    let said = run.code(6).json();
    if serves(&etcd) {
        assert_eq!(
            (&said["members"][0]["livez"], &said["members"][0]["readyz"]),
            (&json!("ok"), &json!("failed")),
            "{said}"
        );
        let complaints = said["complaints"].to_string();
        assert!(complaints.contains("readyz failed: data_corruption"), "{said}");
    }
}

/// A server that speaks gRPC only does not answer HTTP/1.
#[test]
fn a_server_without_http_is_no_fault_of_the_member() {
    let server = FakeServer::start(valid);
    let run = Kvadm::new()
        .args(["--endpoints", &server.endpoint(), "--op-timeout", "1s", "status", "--probes", "-o", "json"])
        .timeout(Duration::from_secs(20))
        .run();
    let member = &run.json()["members"][0];
    assert_eq!((&member["livez"], &member["readyz"]), (&json!("unknown"), &json!("unknown")), "{member}");
    assert_eq!(member["features"], json!([]), "{member}");
    run.err_has("livez is not known: ").err_has("the feature gates are not known: ");
}
