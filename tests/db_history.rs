//! `list --du --history`: what the stored revisions take.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use super::db::{Dice, live_a_while, read, save};
use super::support::time_limit::{extend, seed};
use super::support::{Etcd, Kvadm};

/// What a key takes: whether it exists, live and superseded bytes, revisions, tombstones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Taken {
    keys: u64,
    live: u64,
    superseded: u64,
    revisions: u64,
    tombstones: u64,
}

impl Taken {
    fn of(row: &Value) -> Self {
        let number = |name: &str| row[name].as_u64().unwrap();
        Self {
            keys: number("keys"),
            live: number("live_bytes"),
            superseded: number("superseded_bytes"),
            revisions: number("revisions"),
            tombstones: number("tombstones"),
        }
    }

    fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.live += other.live;
        self.superseded += other.superseded;
        self.revisions += other.revisions;
        self.tombstones += other.tombstones;
    }
}

fn key_of(record: &Value) -> Vec<u8> {
    match record["key"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => BASE64_STANDARD.decode(record["key_base64"].as_str().unwrap()).unwrap(),
    }
}

fn value_bytes(record: &Value) -> u64 {
    let value = match (record["value"].as_str(), record["value_base64"].as_str()) {
        (Some(text), _) => text.len(),
        (None, Some(text)) => BASE64_STANDARD.decode(text).unwrap().len(),
        _ => 0,
    };
    value as u64
}

/// Adds up the changes that a watch prints from the first revision on, up to the last one.
fn model(etcd: &Etcd) -> BTreeMap<Vec<u8>, Taken> {
    Kvadm::new().endpoint(etcd).args(["put", "/end", ""]).run().ok();
    let args = ["watch", "", "--rev", "1", "-o", "json"];
    let mut watch = Kvadm::new().endpoint(etcd).args(args).timeout(Duration::from_secs(20)).spawn();
    let mut model: BTreeMap<Vec<u8>, Taken> = BTreeMap::new();
    while !model.contains_key(b"/end".as_slice()) {
        let event: Value = serde_json::from_str(&watch.next_line().expect("an event")).unwrap();
        if !event["mod_revision"].is_i64() {
            continue;
        }
        let event = &event;
        let key = key_of(event);
        let bytes = key.len() as u64 + value_bytes(event);
        let taken = model.entry(key).or_default();
        taken.superseded += taken.live;
        taken.revisions += 1;
        if event["event"] == "deleted" {
            (taken.keys, taken.live) = (0, 0);
            (taken.superseded, taken.tombstones) = (taken.superseded + bytes, taken.tombstones + 1);
        } else {
            (taken.keys, taken.live) = (1, bytes);
        }
    }
    model
}

#[test]
fn the_history_of_each_branch_is_added_up() {
    extend(Duration::from_secs(60));
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    live_a_while(&etcd, &mut Dice(seed("KVADM_DB_SEED")), 60);
    let model = model(&etcd);
    assert!(model.len() > 10, "{model:?}");
    let db = save(&etcd, folder.path());
    let args = ["list", "/", "--du", "--history", "--top", "3", "-o", "json"];
    let run = read(&db, &args);
    let rows = run.ok().json_lines();
    let of = |kind: &str| -> Vec<(Vec<u8>, Taken)> {
        rows.iter().filter(|row| row["kind"] == kind).map(|row| (key_of(row), Taken::of(row))).collect()
    };
    let sum = |prefix: &[u8]| {
        let mut sum = Taken::default();
        model.iter().filter(|(key, _)| key.starts_with(prefix)).for_each(|(_, taken)| sum.add(*taken));
        sum
    };
    let mut branches: Vec<(Vec<u8>, Taken)> =
        ["/0/", "/1/", "/2/", "/b/"].iter().map(|name| (name.as_bytes().to_vec(), sum(name.as_bytes()))).collect();
    branches.retain(|(_, taken)| taken.revisions > 0);
    branches.sort_by_key(|(_, taken)| std::cmp::Reverse(taken.live + taken.superseded));
    assert_eq!(of("branch"), branches[..3.min(branches.len())]);
    assert_eq!(of("total"), [(b"/".to_vec(), sum(b"/"))]);
    let mut keys: Vec<(Vec<u8>, Taken)> =
        model.iter().filter(|(key, _)| key.starts_with(b"/")).map(|(key, taken)| (key.clone(), *taken)).collect();
    keys.sort_by_key(|(_, taken)| std::cmp::Reverse(taken.revisions));
    keys.truncate(3);
    assert_eq!(of("key"), keys);
    // The same of a running member, from a snapshot that leaves no file.
    let live = Kvadm::new().endpoint(&etcd).args(args).env("TMPDIR", folder.path()).run();
    assert_eq!(live.ok().json_lines(), rows);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // Text, in branches of two levels and within a namespace.
    let text = read(&db, &["list", "--du", "--history", "--depth", "1", "--namespace", "/0/"]);
    let total = sum(b"/0/");
    text.ok().out_has(&format!("\ttotal\t{}\t", total.keys));
}

#[test]
fn only_what_is_counted_may_be_selected() {
    let (etcd, folder) = (Etcd::start(), TempDir::new().unwrap());
    Kvadm::new().endpoint(&etcd).args(["put", "/a", "1"]).run().ok();
    let db = save(&etcd, folder.path());
    read(&db, &["list", "/", "--history"]).code(2).err_has("--du");
    for more in [&["--rev", "2"][..], &["--match", "*"], &["--search", "x"], &["--since-rev", "1"]] {
        read(&db, &[&["list", "/", "--du", "--history"], more].concat()).code(2).err_has("cannot be used with");
    }
    read(&db, &["list", "/none", "--du", "--history"]).ok().out("/none\ttotal\t0\t0\t0\t0\t0\n");
}
