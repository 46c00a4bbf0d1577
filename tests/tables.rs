//! Tables on a terminal.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::get::kvadm;
use super::support::{Etcd, eventually};

fn without_colours(row: &str) -> String {
    let mut plain = row.to_owned();
    while let Some(start) = plain.find('\u{1b}') {
        let end = start + plain[start..].find('m').unwrap();
        plain.replace_range(start..=end, "");
    }
    plain
}

#[test]
fn those_of_every_verb_fit_eighty_columns_on_a_terminal() {
    let etcd = Etcd::start();
    let name = "long-name-of-a-lock/".repeat(5);
    let lock = || kvadm(&etcd, ["lock", &name, "--ttl", "10000000s", "--", "cat"]).spawn();
    let held = lock();
    let contenders = |count: usize| {
        let listed = || kvadm(&etcd, ["lock", "--list", "-o", "json"]).run().ok().json_lines().len();
        eventually("the contenders", Duration::from_secs(20), || listed() == count);
    };
    contenders(1);
    let waiting = lock();
    contenders(2);
    kvadm(&etcd, ["put", &"/long/key".repeat(12), &"value ".repeat(90), "--ttl", "10000000s"]).run().ok();
    kvadm(&etcd, ["allocate", "new", &"k8s:label=value;".repeat(12)]).run().ok();
    for (args, shown) in [
        (&["status"][..], "healthy"),
        (&["config"], "endpoints"),
        (&["lease", "list"], "9999"),
        (&["lock", "--list"], "waiting"),
        (&["allocate", "list"], "k8s:label"),
        (&["list", "/long", "--with-leases"], "/long"),
        (&["compact"], "leader"),
    ] {
        let text = kvadm(&etcd, args).arg("--no-progress").pty().run().ok().stdout_text();
        assert!(text.contains(shown), "{args:?}: {text}");
        for row in text.split("\r\n") {
            let plain = without_colours(row);
            assert!(plain.chars().count() <= 80, "{args:?}: {plain:?}");
        }
    }
    // Half an ID is of no use.
    let leases = kvadm(&etcd, ["lock", "--list", "-o", "json"]).run().ok().json_lines();
    let table = kvadm(&etcd, ["lock", "--list", "--no-progress"]).pty().run().ok().stdout_text();
    for lease in leases.iter().map(|row| row["lease"].as_str().unwrap()) {
        assert!(table.contains(lease), "{lease}: {table}");
    }
    waiting.signal(Signal::SIGTERM);
    waiting.wait().signal(Signal::SIGTERM);
    held.signal(Signal::SIGTERM);
    held.wait().code(143);
}
