//! The instruction counts of `make counts`: their table, what moved, and that every case runs.

#[path = "../benches/counts/mod.rs"]
#[allow(dead_code, clippy::print_stdout)]
mod counting;
#[path = "../benches/server.rs"]
#[allow(dead_code, clippy::print_stdout)]
mod server;
#[path = "../benches/shapes.rs"]
#[allow(dead_code)]
mod shapes;

use std::process::{Command, Stdio};

use counting::cases::{CASES, Passed};
use counting::table::{Comparison, Origin, Section, compare, grouped, instructions};

const RECORDS: usize = 1500;

fn section(rustc: &str, counts: &[(&str, u64)]) -> Section {
    let text = |text: &str| text.to_owned();
    Section {
        origin: Origin {
            date: text("2026-12-01"),
            rustc: text(rustc),
            valgrind: text("3.19.0"),
            architecture: text("x86_64"),
            kvadm: text("0.1.0"),
            records: text("100000"),
        },
        counts: counts.iter().map(|(name, count)| (text(name), *count)).collect(),
    }
}

#[test]
fn the_total_of_a_profile_is_found() {
    let profile = "version: 1\nevents: Ir\nfn=(1) totals\n16 7\nsummary: 12 3\n\ntotals: 622401\n";
    assert_eq!(instructions(profile), Some(622_401));
    assert_eq!(instructions("events: Ir\nsummary: 48042852\n"), Some(48_042_852));
    // A run that was killed leaves a file without an end.
    assert_eq!(instructions("events: Ir\nfn=(1) main\n16 7\n"), None);
    assert_eq!(instructions(""), None);
}

#[test]
fn a_table_is_read_as_it_was_written() {
    assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    let release = section("1.95.0 (59807616e 2026-04-14)", &[("decode and print json", 12_345_678), ("kvadm get", 9)]);
    let dev = section("1.88.0", &[("kvadm get", 1000)]);
    let file = dev.replace_in(&release.replace_in("# Counts\n\nWhat they are.\n", "release"), "dev");
    assert_eq!(Section::find(&file, "release"), Some(release.clone()));
    assert_eq!(Section::find(&file, "dev"), Some(dev.clone()));
    assert_eq!(Section::find(&file, "other"), None);
    // A section takes the place of the one before, and nothing else changes.
    let faster = section("1.95.0", &[("kvadm get", 900)]);
    let again = faster.replace_in(&file, "release");
    assert_eq!(Section::find(&again, "release"), Some(faster));
    assert_eq!(Section::find(&again, "dev"), Some(dev.clone()));
    assert!(again.starts_with("# Counts\n\nWhat they are.\n\n## release\n"), "{again}");
    assert_eq!(release.replace_in(&again, "release"), file);
    assert_eq!(dev.replace_in(&file, "dev"), file);
}

#[test]
fn what_moved_is_named() {
    let table = section("1.95.0", &[("up", 1000), ("down", 1000), ("still", 1000), ("edge", 1000), ("gone", 1)]);
    let run = section("1.95.0", &[("up", 1031), ("down", 960), ("still", 1000), ("edge", 970), ("new", 5)]);
    let Comparison::Compared { moved, cases } = compare(Some(&table), &run) else { panic!("not compared") };
    assert_eq!(
        (moved, cases),
        (
            ["up: +3.1 % (1 000 to 1 031)", "down: -4.0 % (1 000 to 960)", "new: new, 5", "gone: gone"]
                .map(str::to_owned)
                .to_vec(),
            4
        )
    );
    assert_eq!(compare(Some(&table), &table).summary(), "no count moved by more than 3 % (5 cases)");
    assert!(compare(Some(&table), &run).summary().starts_with("moved by more than 3 %: up: +3.1 %"));
}

#[test]
fn counts_of_other_conditions_are_not_compared() {
    let table = section("1.95.0", &[("kvadm get", 1000)]);
    let other = compare(Some(&table), &section("1.96.0", &[("kvadm get", 2000)]));
    assert_eq!(other.summary(), "NOT compared: the table's rustc is 1.95.0, this one is 1.96.0");
    for change in [
        |origin: &mut Origin| origin.architecture = "aarch64".to_owned(),
        |origin: &mut Origin| origin.records.push('0'),
    ] {
        let mut run = table.clone();
        change(&mut run.origin);
        assert!(matches!(compare(Some(&table), &run), Comparison::Incomparable(_)), "{run:?}");
    }
    let mut run = table.clone();
    run.origin.date = "2027-01-01".to_owned();
    run.origin.kvadm = "0.2.0".to_owned();
    assert!(matches!(compare(Some(&table), &run), Comparison::Compared { .. }));
    assert!(matches!(compare(None, &run), Comparison::Incomparable(_)));
}

/// Each section of the kept table has every case.
#[test]
fn the_kept_table_is_complete() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/COUNTS.md")).unwrap();
    assert!(Section::find(&file, "dev").is_some(), "`.ci/run` compares with this section");
    for heading in file.lines().filter_map(|line| line.strip_prefix("## ")) {
        let section = Section::find(&file, heading).expect(heading);
        let wholes = ["kvadm --version", "kvadm --help", "kvadm get", "kvadm get over TLS"];
        for name in wholes.into_iter().chain(CASES.iter().map(|case| case.name)) {
            let count = section.counts.iter().find(|(known, _)| known == name).expect(name).1;
            assert!(count > 1000, "{heading}: {name}: {count}");
        }
    }
}

/// Not a test of its own: [`every_case_runs`] runs it with its output thrown away.
#[test]
#[ignore = "prints records"]
fn all_cases() {
    for case in CASES {
        let passed = (case.prepare)(RECORDS).and_then(|pass| pass()).expect(case.name);
        let Passed { records, requests } = passed;
        assert_eq!(records, if case.name.starts_with("parse the arguments") { 1 } else { RECORDS }, "{}", case.name);
        // Pages of about 100 to a few thousand keys.
        assert_eq!(requests.is_some(), case.name.ends_with(" keys"), "{}", case.name);
        assert!(requests.is_none_or(|requests| (2..=60).contains(&requests)), "{}: {requests:?}", case.name);
    }
}

#[test]
fn every_case_runs() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["counts::all_cases", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
