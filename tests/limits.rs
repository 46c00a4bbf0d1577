//! Nothing that kvadm is given makes it run for ever, eat the memory or panic: files, limits of the process.

use std::time::Duration;

use super::support::{Etcd, Kvadm, shared, unique_prefix};

const MIB: u64 = 1 << 20;

/// Every option that names a file to be read.
#[test]
fn files_without_an_end_are_refused() {
    let etcd = shared();
    let https = ["--endpoints", "https://127.0.0.1:1"];
    let cases: [&[&str]; 14] = [
        &["-c", "/dev/zero", "config"],
        &["--user", "u", "--password-file", "/dev/zero", "config"],
        &["--ca-file", "/dev/zero", "get", "/a", https[0], https[1]],
        &["--cert-file", "/dev/zero", "--key-file", "/dev/zero", "get", "/a", https[0], https[1]],
        &["put", "--from", "/dev/zero"],
        &["put", "/zero", "--file", "/dev/zero"],
        &["txn", "/dev/zero"],
        &["watch", "/a", "--resume", "/dev/zero", "--timeout", "1s"],
        &["get", "/a", "--proto", "/dev/zero", "--message", "p.M"],
        &["gc", "ids", "--since", "/dev/zero"],
        &["gc", "ids", "--save", "/dev/zero"],
        &["gc", "metadata", "--schema", "/dev/zero", "/a/"],
        &["gc", "metadata", "--schema", "containerd", "--roots", "/dev/zero", "/a/"],
        &["allocate", "list", "--remote", "west=/dev/zero"],
    ];
    for args in cases {
        let run = Kvadm::new().env("KVADM_ENDPOINTS", etcd.address()).memory(512 * MIB).args(args).run();
        run.code(2).out_empty().err_has("/dev/zero").err_lacks("out of memory").within(Duration::from_secs(15));
    }
}

#[test]
fn deeply_nested_yaml_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nested.yaml");
    std::fs::write(&path, format!("a: {}", "[".repeat(400_000))).unwrap();
    let name = path.to_str().unwrap();
    let cases: [&[&str]; 3] = [&["-c", name, "config"], &["txn", name], &["gc", "metadata", "--schema", name, "/a/"]];
    for args in cases {
        let run =
            Kvadm::new().env("KVADM_ENDPOINTS", shared().address()).args(args).timeout(Duration::from_secs(25)).run();
        run.code(2).out_empty().err_has(name).err_has("cannot be parsed within 5s (is it nested too deeply?)");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let prefix = unique_prefix();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("\u{feff}{text}")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let config = write("etcd.yaml", &format!("endpoints: [{}]\nnamespace: {prefix}\n", shared().address()));
    let kvadm = || Kvadm::new().args(["-c", &config]);
    for (name, text) in [
        ("txn.json", r#"{"then": [{"put": {"key": "json", "value": "x"}}]}"#),
        ("txn.yaml", "then:\n- put: {key: yaml, value: x}\n"),
    ] {
        kvadm().args(["txn", &write(name, text)]).run().ok();
    }
    kvadm().args(["list", "--keys-only"]).run().ok().out("json\nyaml\n");
    let schema =
        "schema: 1\nname: x\nkinds:\n  - {kind: a, key: \"a/{id}\", fields: [.], root: always, collect: true}\n";
    let schema = write("schema.yaml", schema);
    kvadm().args(["gc", "metadata", "--schema", &schema, "none/"]).run().ok();
    // In JSON, the mark is not shown as an unknown key either.
    kvadm().args(["config", "--strict-config"]).run().ok().err_empty();
}

#[test]
fn too_few_file_descriptors_are_named_and_are_no_panic() {
    let etcd = Etcd::start();
    etcd.etcdctl_ok(&["put", "/a", "x"]);
    let endpoint = etcd.endpoint();
    let verbs: [&[&str]; 3] = [&["get", "/a"], &["put", "/b", "x"], &["lock", "/l", "--ttl", "2s", "--", "true"]];
    for verb in verbs {
        let args = [&["--endpoints", &endpoint], verb].concat();
        let (mut refused, mut done) = (0, 0);
        for limit in 4..=40 {
            // Below 4 the program cannot even be loaded.
            let run = Kvadm::new().ulimit(format!("-n {limit}")).args(&args).run();
            run.err_lacks("panicked").err_lacks("cannot write the output");
            match run.code {
                Some(0) => done += 1,
                _ => {
                    run.code(70).out_empty().err_has("oo many open files").err_has("ulimit -n");
                    refused += 1;
                }
            }
        }
        assert!(refused >= 10 && done >= 1, "{verb:?}: {refused} refused, {done} done");
    }
    for limit in 4..=6 {
        Kvadm::new().ulimit(format!("-n {limit}")).arg("version").run().ok().out_has("kvadm ");
    }
}

/// Each step is a limit at which one thing more fits: the program, a thread, the runtime's worker.
#[test]
fn too_little_memory_for_a_thread_is_named_and_is_no_panic() {
    let mut seen = [0, 0];
    for mib in 24..=64 {
        let run = Kvadm::new().ulimit(format!("-v {}", mib << 10)).endpoint("127.0.0.1:1").args(["get", "/a"]).run();
        // Rust's runtime prepares the main thread before it calls kvadm, and panics if there is no memory for that.
        if run.stderr_text().contains("failed to allocate an alternative stack") {
            continue;
        }
        run.err_lacks("panicked");
        match run.code {
            Some(3) => seen[1] += 1,
            // The system could not load the program, or the program not get memory for itself.
            Some(127) | None => {}
            _ => {
                run.code(70).out_empty().err_has("caused by: ").err_has("ulimit -v");
                seen[0] += 1;
            }
        }
    }
    assert!(seen[1] >= 1, "{seen:?}");
}
