//! `list --min-mod-rev`, `--max-mod-rev`, `--min-create-rev` and `--max-create-rev`, beside etcdctl and a simple filter.

use serde_json::Value;

use super::lock_faults::Dice;
use super::support::{Etcd, Kvadm, shared, unique_prefix};

fn list(etcd: &Etcd, args: &[&str]) -> Kvadm {
    Kvadm::new().endpoint(etcd).arg("list").args(args)
}

/// A key with its create and mod revisions.
type Record = (String, i64, i64);

fn records(run: &[Value]) -> Vec<Record> {
    let number = |record: &Value, field: &str| record[field].as_i64().unwrap();
    let text = |record: &Value| record["key"].as_str().unwrap().to_owned();
    run.iter().map(|record| (text(record), number(record, "create_revision"), number(record, "mod_revision"))).collect()
}

#[test]
fn what_is_listed_is_what_etcdctl_lists_and_what_a_simple_filter_selects() {
    let etcd = shared();
    let prefix = unique_prefix();
    let mut dice = Dice(7);
    let load = (0..120).map(|_| format!("put {prefix}{} v\n", dice.below(40))).collect::<Vec<_>>();
    // Each line has a revision of its own.
    for batch in load.chunks(40) {
        let lines = batch.iter().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{{\"key\":\"{}\",\"value\":\"{}\"}}\n", words[1], dice.below(1_000_000))
        });
        let text: String = lines.collect();
        Kvadm::new().endpoint(etcd).args(["put", "--from", "-"]).stdin(text).run().ok();
    }
    let all = records(&list(etcd, &[&prefix, "-o", "json"]).run().ok().json_lines());
    let (first, last) =
        (all.iter().map(|record| record.1).min().unwrap(), all.iter().map(|record| record.2).max().unwrap());
    let spread = u64::try_from(last - first + 4).unwrap();
    for case in 0..12_usize {
        let at = |dice: &mut Dice| first - 1 + i64::try_from(dice.below(spread)).unwrap();
        let (one, two) = (at(&mut dice), at(&mut dice));
        let (low, high) = (one.min(two).max(1), one.max(two).max(1));
        let bounds = match case % 4 {
            0 => vec![("--min-mod-rev", low)],
            1 => vec![("--max-mod-rev", high)],
            2 => vec![("--min-create-rev", low), ("--max-mod-rev", high)],
            _ => vec![("--max-create-rev", high), ("--min-mod-rev", low)],
        };
        let options: Vec<String> = bounds.iter().map(|(name, revision)| format!("{name}={revision}")).collect();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let selected = |record: &&Record| {
            bounds.iter().all(|(name, bound)| match *name {
                "--min-mod-rev" => record.2 >= *bound,
                "--max-mod-rev" => record.2 <= *bound,
                "--min-create-rev" => record.1 >= *bound,
                _ => record.1 <= *bound,
            })
        };
        let expected: Vec<Record> = all.iter().filter(selected).cloned().collect();
        let listed = |more: &[&str]| list(etcd, &[&[prefix.as_str()], more, &options].concat()).run();
        assert_eq!(records(&listed(&["-o", "json"]).ok().json_lines()), expected, "{options:?}");
        assert_eq!(records(&listed(&["-o", "json", "--keys-only"]).ok().json_lines()), expected);
        let limited = &expected[..expected.len().min(5)];
        assert_eq!(records(&listed(&["-o", "json", "--limit", "5"]).ok().json_lines()), limited);
        let count = listed(&["--count", "-o", "json"]).ok().json()["count"].as_u64();
        assert_eq!(count, Some(expected.len() as u64));
        if etcd.version() >= (3, 6) {
            let words = [&["get", "--prefix", &prefix, "-w", "json", "--limit", "5"][..], &options].concat();
            let told: Value = serde_json::from_str(&etcd.etcdctl_ok(&words)).unwrap();
            let told = told["kvs"].as_array().cloned().unwrap_or_default();
            assert_eq!(told.len(), limited.len(), "{options:?}");
            let revisions = told.iter().map(|kv| kv["mod_revision"].as_i64().unwrap());
            assert!(revisions.eq(limited.iter().map(|record| record.2)), "{told:?}");
        }
    }
}

#[test]
fn branches_sums_and_other_options() {
    let etcd = Etcd::start();
    for key in ["/a/1", "/a/2", "/b/1", "/a/3"] {
        etcd.etcdctl_ok(&["put", key, "xy"]);
    }
    etcd.etcdctl_ok(&["put", "/a/1", "xyz"]);
    let run = |args: &[&str]| list(&etcd, args).run();
    run(&["/", "--keys-only", "--min-mod-rev", "4"]).ok().out("/a/1\n/a/3\n/b/1\n");
    run(&["/", "--keys-only", "--max-create-rev", "3"]).ok().out("/a/1\n/a/2\n");
    run(&["/", "--keys-only", "--max-create-rev", "3", "--desc"]).ok().out("/a/2\n/a/1\n");
    run(&["/", "--keys-only", "--max-create-rev", "3", "--match", "*2"]).ok().out("/a/2\n");
    run(&["/", "--keys-only", "--min-mod-rev", "5", "--rev", "5"]).ok().out("/a/3\n");
    run(&["/", "--keys-only", "--min-mod-rev", "99"]).ok().out_empty().err_empty();
    run(&["/", "--keys-only", "--since-rev", "4", "--max-create-rev", "2"]).ok().out("/a/1\n");
    run(&["/", "--count", "--min-create-rev", "4"]).ok().out("2\n");
    run(&["/", "--depth", "1", "--min-create-rev", "5"]).ok().out("/a/\n");
    run(&["/", "--du", "--min-create-rev", "4"]).ok().out_has("/b/").out_has("/a/");
    let tree = run(&["/", "--tree", "--depth", "1", "--min-create-rev", "4", "-o", "json"]).ok().json_lines();
    let keys: Vec<_> = tree.iter().map(|row| (row["key"].as_str().unwrap(), row["keys"].as_u64().unwrap())).collect();
    assert_eq!(keys, [("/a/", 1), ("/b/", 1)]);
    for (args, why) in [
        (&["--min-mod-rev", "3", "--max-mod-rev", "2"][..], "no key: --min-mod-rev 3 is after --max-mod-rev 2"),
        (&["--min-create-rev", "3", "--max-create-rev", "2"], "no key: --min-create-rev 3 is after"),
        (&["--min-create-rev", "3", "--max-mod-rev", "2"], "a key is created before it is modified"),
        (&["--min-mod-rev", "0"], "0 is not in"),
        (&["--min-mod-rev", "2", "--trailer", "-o", "json"], "--trailer"),
        (&["--min-mod-rev", "2", "--du", "--history"], "--history"),
    ] {
        list(&etcd, args).run().code(2).out_empty().err_has(why);
    }
}

/// A filter must not make kvadm hold the listing, nor etcd read the range for every page.
#[test]
fn the_pages_of_a_filtered_listing_are_those_of_a_plain_one() {
    let etcd = Etcd::start();
    let lines: String = (0..20_000).map(|n| format!("{{\"key\":\"/k/{n:06}\",\"value\":\"v\"}}\n")).collect();
    Kvadm::new().endpoint(&etcd).args(["put", "--from", "-"]).stdin(lines).run().ok();
    let requests = |args: &[&str]| {
        let before = etcd.answered("Range");
        list(&etcd, &[&["/k/", "--keys-only"], args].concat()).run().ok();
        etcd.answered("Range") - before
    };
    let (plain, filtered) = (requests(&[]), requests(&["--min-mod-rev", "9999999"]));
    assert!(filtered <= plain + 5, "{filtered} requests instead of {plain}");
}
