//! The check files of `docs/checks`, against servers that are loaded like the systems they are for.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::check::{put, states};
use super::support::{Certs, Etcd, Kvadm, Run};

const SOON: Duration = Duration::from_secs(60);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checks")
}

/// The names of the checks that do not pass.
fn not_passing(run: &Run) -> Vec<String> {
    states(run)
        .into_iter()
        .filter(|(_, state)| state != "pass")
        .map(|(name, state)| format!("{name} {state}"))
        .collect()
}

fn now() -> String {
    kvadm::time::Time::now().to_string()
}

/// Writes records, all of them on a lease or none.
fn load(kvadm: impl Fn() -> Kvadm, records: &[(&str, Value)], leased: bool) {
    let line = |(key, value): &(&str, Value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match leased {
            true => json!({"key": key, "value": text, "lease": "1f", "ttl": 1_000}).to_string(),
            false => json!({"key": key, "value": text}).to_string(),
        }
    };
    let lines: Vec<String> = records.iter().map(line).collect();
    kvadm().args(["put", "--from", "-"]).stdin(lines.join("\n")).run().ok();
}

#[test]
fn the_files_are_read() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            Kvadm::new().args(["check", "--explain"]).arg(&path).run().ok();
            let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
            assert!(readme.contains(&format!("[{name}]({name})")), "{name} is not in the README");
        }
    }
}

#[test]
fn a_kubernetes_cluster() {
    let certs = Certs::new();
    let etcd = Etcd::options().tls(&certs).client_auth(&certs).start();
    let kvadm = || {
        let (ca, cert, key) = (&certs.ca, &certs.client.cert, &certs.client.key);
        Kvadm::new().endpoint(&etcd).arg("--ca-file").arg(ca).arg("--cert-file").arg(cert).arg("--key-file").arg(key)
    };
    load(kvadm, &[("/registry/masterleases/10.0.0.1", json!({"subsets": []}))], true);
    load(
        kvadm,
        &[
            ("/registry/namespaces/kube-system", json!({"kind": "Namespace"})),
            ("/registry/secrets/default/token", json!("k8s:enc:aescbc:v1:key1:xxxx")),
            ("/registry/events/default/a.1", json!({"kind": "Event"})),
            ("/registry/configmaps/default/a", json!({"kind": "ConfigMap", "data": {"a": "b"}})),
        ],
        false,
    );
    let run = |more: &[&str]| {
        kvadm().arg("check").arg(folder().join("kubernetes.yaml")).args(["-o", "json"]).args(more).timeout(SOON).run()
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // The controller manager renews its lease.
        scope.spawn(|| {
            let begun = std::time::Instant::now();
            while !stop.load(Ordering::Relaxed) && begun.elapsed() < SOON {
                load(
                    kvadm,
                    &[("/registry/leases/kube-system/kube-controller-manager", json!({"renewTime": now()}))],
                    false,
                );
            }
        });
        let renewed =
            || kvadm().args(["get", "/registry/leases/kube-system/kube-controller-manager"]).run().code == Some(0);
        super::support::eventually("the lease of the controller manager", SOON, renewed);
        let healthy = run(&[]);
        stop.store(true, Ordering::Relaxed);
        let known_bad: Vec<String> = not_passing(&healthy).into_iter().filter(|name| name != "versions fail").collect();
        assert!(known_bad.is_empty(), "{known_bad:?}: {}", healthy.stdout_text());
    });
    load(kvadm, &[("/registry/secrets/default/plain", json!("secret"))], false);
    kvadm().args(["delete", "/registry/masterleases/10.0.0.1"]).run().ok();
    kvadm().args(["delete", "/registry/namespaces/kube-system"]).run().ok();
    let only = ["--only", "kube-system", "--only", "api-servers", "--only", "encryption", "--only", "objects"];
    let broken = run(&only);
    broken.code(1);
    assert_eq!(not_passing(&broken), ["kube-system fail", "api-servers fail", "encryption fail"]);
}

#[test]
fn a_kvstore_of_cilium() {
    let etcd = Etcd::start();
    let kvadm = || Kvadm::new().endpoint(&etcd);
    load(
        kvadm,
        &[
            ("cilium/state/nodes/v1/default/n1", json!({"Name": "n1", "Cluster": "default"})),
            ("cilium/state/ip/v1/default/10.0.0.1", json!({"IP": "10.0.0.1"})),
        ],
        true,
    );
    load(
        kvadm,
        &[("cilium/.heartbeat", json!(now())), ("cilium/cluster-config/default", json!({"id": 3, "capabilities": {}}))],
        false,
    );
    kvadm().args(["allocate", "new", "k8s:app=web;", "--node", "n1"]).run().ok();
    let run = || kvadm().arg("check").arg(folder().join("cilium.yaml")).args(["-o", "json"]).timeout(SOON).run();
    let healthy = run();
    assert!(not_passing(&healthy).is_empty(), "{}", healthy.stdout_text());
    healthy.code(0);
    put(&etcd, "cilium/.heartbeat", "2026-01-01T00:00:00Z");
    put(&etcd, "cilium/state/nodes/v1/default/n2", "{}");
    put(&etcd, "cilium/state/identities/v1/value/k8s:app=lost;/n2", "301");
    put(&etcd, "cilium/cluster-config/default", r#"{"id": 300}"#);
    let broken = run();
    broken.code(1);
    let expected = ["heartbeat fail", "nodes fail", "node-names fail", "identities fail", "cluster-config fail"];
    assert_eq!(not_passing(&broken), expected, "{}", broken.stdout_text());
}

#[test]
fn the_keys_of_an_application() {
    let etcd = Etcd::start();
    let kvadm = || Kvadm::new().endpoint(&etcd);
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder().join("application.yaml"), copy.path().join("application.yaml")).unwrap();
    let worker = json!({"ready": true});
    load(kvadm, &[("/app/workers/1", worker.clone()), ("/app/workers/2", worker)], true);
    load(
        kvadm,
        &[
            ("/app/mode", json!("blue")),
            ("/app/version", json!("v1.20.3")),
            ("/app/spec", json!({"spec": {"replicas": 3}})),
            ("/app/backup", json!({"ended": now()})),
            ("/app/config/a", json!("1")),
            ("/app/config/b", json!("2")),
        ],
        false,
    );
    let listed = kvadm().args(["list", "/app/config/", "-o", "json"]).run().ok().stdout_text();
    std::fs::write(copy.path().join("config.jsonl"), listed).unwrap();
    let run =
        || kvadm().arg("check").arg(copy.path().join("application.yaml")).args(["-o", "json"]).timeout(SOON).run();
    let healthy = run();
    assert!(not_passing(&healthy).is_empty(), "{}", healthy.stdout_text());
    put(&etcd, "/app/mode", "green");
    put(&etcd, "/app/version", "latest");
    put(&etcd, "/app/maintenance", "yes");
    put(&etcd, "/app/spec", r#"{"spec": {"replicas": 1}}"#);
    put(&etcd, "/app/workers/3", r#"{"ready": false}"#);
    put(&etcd, "/app/backup", r#"{"ended": "2026-01-01T00:00:00Z"}"#);
    put(&etcd, "/app/config/a", "changed");
    let mut holder = kvadm().args(["lock", "/app/locks/backup"]).spawn();
    holder.next_line().unwrap();
    let broken = run();
    broken.code(1);
    let expected = [
        "mode fail",
        "version fail",
        "maintenance fail",
        "replicas fail",
        "workers fail",
        "ready fail",
        "backup-age fail",
        "drift fail",
    ];
    assert_eq!(not_passing(&broken), expected, "{}", broken.stdout_text());
}
