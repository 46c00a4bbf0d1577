//! The memory of a watch with a large backlog.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::support::{Etcd, Kvadm};

const MIB: u64 = 1 << 20;

/// A watch from the first revision on, and its most memory.
struct Watching(Child);

impl Watching {
    fn start(etcd: &Etcd, prefix: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvadm"));
        command.env_clear().env("KVADM_ENDPOINTS", etcd.address()).env("HOME", "/nonexistent");
        command.args(["watch", prefix, "--rev", "1", "-o", "json"]);
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// The most memory that it ever had, in bytes, without the pages of the binary, of which a debug build has many.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        (kib("VmHWM:") - kib("RssFile:")) << 10
    }

    /// Reads the lines of so many events; each key comes once.
    fn read(&mut self, prefix: &str, events: usize) {
        let output = BufReader::with_capacity(1 << 16, self.0.stdout.take().unwrap());
        let number = |line: String| line.split_once(prefix).unwrap().1[..6].parse::<usize>().unwrap();
        let mut seen: Vec<usize> = output.lines().take(events).map(|line| number(line.unwrap())).collect();
        // The batches of a load overtake each other.
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..events), "{} events", seen.len());
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn load(etcd: &Etcd, records: &str) {
    Kvadm::new().endpoint(etcd).args(["put", "--from", "-"]).stdin(records).run().ok();
}

/// A thousand revisions are one response of etcd. Decoded at once, these would need more than 35 MiB.
#[test]
fn a_backlog_of_transactions() {
    let etcd = Etcd::start();
    let value = "v".repeat(300);
    let records = (0..30_000).fold(String::new(), |mut all, n| {
        let _ = writeln!(all, "{}", json!({"key": format!("/t/{n:06}"), "value": value}));
        all
    });
    load(&etcd, &records);
    let mut watching = Watching::start(&etcd, "/t/");
    watching.read("/t/", 30_000);
    assert!(watching.peak() < 28 * MIB, "{} MiB", watching.peak() / MIB);
}
