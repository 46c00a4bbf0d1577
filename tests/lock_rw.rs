//! `lock --rw` and the keys of Go's `recipes.RWMutex`: `NAME/read/NANOSECONDS` and `NAME/write/NANOSECONDS`, each on a
//! lease. A reader waits only for older keys below `NAME/write`, a writer for all older keys below `NAME/`.

use std::time::Duration;

use super::support::{Etcd, Kvadm, Running, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

fn lock(etcd: &Etcd, name: &str, options: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(etcd).args(["lock", name]).args(options)
}

/// Holds the lock until a line comes.
fn held(etcd: &Etcd, name: &str, options: &[&str]) -> (Running, String) {
    let mut running = lock(etcd, name, options).args(["--", "sh", "-c", "echo $KVADM_LOCK_KEY; read -r a"]).spawn();
    let key = running.next_line().unwrap().trim_end().to_owned();
    (running, key)
}

fn end(mut running: Running) {
    running.write("end\n");
    running.wait().ok();
}

/// What a program in Go writes that takes the mutex.
fn go(etcd: &Etcd, name: &str, role: &str) -> String {
    let lease = etcd.grant(600);
    let key = format!("{name}/{role}/1764400000000000001");
    etcd.etcdctl_ok(&["put", &key, "", &format!("--lease={lease}")]);
    key
}

fn is_free(etcd: &Etcd, name: &str, options: &[&str]) -> bool {
    let run = lock(etcd, name, options).args(["--try", "--", "true"]).run();
    assert!(matches!(run.code, Some(0 | 1)), "{run:?}");
    run.code == Some(0)
}

#[test]
fn a_reader_and_a_writer_of_go_are_respected() {
    let etcd = shared();
    let modes = [&[][..], &["--shared"], &["--rw"], &["--rw", "--shared"]];
    let name = format!("{}l", unique_prefix());
    let reader = go(etcd, &name, "read");
    assert_eq!(modes.map(|options| is_free(etcd, &name, options)), [false, true, false, true]);
    etcd.etcdctl_ok(&["del", &reader]);
    let writer = go(etcd, &name, "write");
    assert_eq!(modes.map(|options| is_free(etcd, &name, options)), [false; 4]);
    etcd.etcdctl_ok(&["del", &writer]);
    assert_eq!(modes.map(|options| is_free(etcd, &name, options)), [true; 4]);
}

#[test]
fn kvadm_writes_the_keys_that_go_waits_for() {
    let etcd = shared();
    for (options, directory, value) in [
        (&["--rw"][..], "write", "kvadm/1 layout=rw host="),
        (&["--rw", "--shared"], "read", "kvadm/1 shared layout=rw host="),
        (&["--rw", "--anonymous"], "write", "kvadm/1 layout=rw"),
        (&["--rw", "--shared", "--anonymous"], "read", "kvadm/1 shared layout=rw"),
    ] {
        let name = format!("{}l", unique_prefix());
        let (running, key) = held(etcd, &name, options);
        assert!(key.starts_with(&format!("{name}/{directory}/")), "{key}");
        assert!(etcd.held(&key).unwrap().text().starts_with(value), "{key}");
        let is_shared = options.contains(&"--shared");
        // Locks with and without --rw exclude each other.
        let free = [&[][..], &["--shared"], &["--rw"], &["--rw", "--shared"]].map(|mode| is_free(etcd, &name, mode));
        assert_eq!(free, [false, is_shared, false, is_shared], "{options:?}");
        let put = Kvadm::new().endpoint(etcd).args(["put", &format!("{name}-value"), "v"]);
        let token = format!("{key}@{}", etcd.held(&key).unwrap().created);
        put.arg(format!("--if-locked={token}")).run().ok();
        end(running);
        assert_eq!(etcd.held(&key), None);
    }
}

#[test]
fn the_list_shows_readers_and_writers() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let reader = go(etcd, &name, "read");
    let (running, own) = held(etcd, &name, &["--rw", "--shared"]);
    let writer = go(etcd, &name, "write");
    let list = Kvadm::new().endpoint(etcd).args(["lock", "--list", &name, "-o", "json"]).run();
    let rows = list.ok().json_lines();
    let row = |row: &serde_json::Value| {
        let text = |field: &str| row[field].as_str().unwrap().to_owned();
        (text("name"), text("key"), text("mode"), text("state"))
    };
    let expected = [(&reader, "shared", "held"), (&own, "shared", "held"), (&writer, "exclusive", "waiting")];
    let expected = expected.map(|(key, mode, state)| (name.clone(), key.clone(), mode.to_owned(), state.to_owned()));
    assert_eq!(rows.iter().map(row).collect::<Vec<_>>(), expected);
    end(running);
    // They are lock keys for gc too: none of them is garbage, and none is reported as something else.
    let gc = Kvadm::new().endpoint(etcd).args(["gc", "locks", &format!("{name}/")]).run();
    gc.ok().out_empty().err_has("0 of 2 lock keys are garbage");
}

#[test]
fn a_lock_without_rw_warns_about_readers_that_ignore_it() {
    let etcd = shared();
    let name = format!("{}l", unique_prefix());
    let reader = go(etcd, &name, "read");
    let waiting = lock(etcd, &name, &["--wait", "30s", "--", "true"]).spawn();
    waiting.wait_for_stderr("belongs to Go's recipes.RWMutex, whose readers ignore this lock; add --rw", SOON);
    etcd.etcdctl_ok(&["del", &reader]);
    waiting.wait().ok();
    let reader = go(etcd, &name, "read");
    let waiting = lock(etcd, &name, &["--rw", "--wait", "30s", "-v", "--", "true"]).spawn();
    waiting.wait_for_stderr("waiting for", SOON);
    etcd.etcdctl_ok(&["del", &reader]);
    waiting.wait().ok().err_lacks("RWMutex");
    lock(etcd, &name, &["--list", "--rw"]).run().code(2).err_has("--rw");
}
