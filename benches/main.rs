//! kvadm and etcdctl side by side on one store, interleaved, round by round, for each version of etcd; `make bench` runs it.
//!
//! Environment: `BENCH_KVADM` (the binary), `BENCH_ETCD` (folders of etcd and etcdctl, separated by colons),
//! `BENCH_MISSING` (lines about versions that cannot be had), `BENCH_KEYS`, `BENCH_ROUNDS`, `BENCH_CASES` (parts of names
//! of cases, separated by commas), `BENCH_REPORT` (a file that takes the table as well). `.ci/bench` makes the first three
//! of `BENCH_VERSIONS`. [`scale`] is `make scale`, and [`counts`] is `make counts`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod backups;
mod cases;
mod client;
mod counts;
mod database;
mod floors;
mod heading;
mod measure;
mod report;
mod scale;
mod server;
mod shapes;
mod special;
mod versions;

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use cases::{Case, How, LOADED, Place};
use heading::Run;
use measure::{Cmd, Cost};
use report::Rounds;
use versions::Version;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((first, rest)) if first == "client" => client::run(rest),
        Some((first, _)) if first == "scale" => scale::run(),
        Some((first, rest)) if first == "counts" => counts::run(rest),
        _ => bench(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).ok().filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
}

fn number(name: &str, default: &str) -> Result<u64, String> {
    setting(name, default).parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("{name}: not a positive number"))
}

fn told(error: std::io::Error) -> String {
    error.to_string()
}

/// What all versions share.
struct Settings {
    kvadm: String,
    keys: u64,
    rounds: u64,
    names: String,
}

fn bench() -> Result<(), String> {
    let settings = Settings {
        kvadm: setting("BENCH_KVADM", "target/release/kvadm"),
        keys: number("BENCH_KEYS", "20000")?.max(1000),
        rounds: number("BENCH_ROUNDS", "3")?,
        names: setting("BENCH_CASES", ""),
    };
    let versions = versions::in_folders(&setting("BENCH_ETCD", "/usr/bin"))?;
    measure::listen().map_err(told)?;
    let run = Run::begin(&settings.kvadm);
    let mut about: Vec<String> = versions.iter().map(Version::title).collect();
    about.extend(setting("BENCH_MISSING", "").lines().map(str::to_owned));
    about.push(format!("{} keys of 64 + 256 bytes; rounds: {}", settings.keys, settings.rounds));
    println!("{}\n\n{}", run.lines(&about, false).join("\n"), report::LEGEND);
    let (mut tables, mut missed) = (Vec::new(), Vec::new());
    for (index, version) in versions.iter().enumerate() {
        say(&mut tables, format!("\n## {}\n\n{}", version.title(), report::HEADING));
        if let Err(why) = one_version(&settings, version, index == 0, &mut tables, &mut missed) {
            measure::go_on()?;
            say(&mut tables, format!("| **failed:** {} |||||||", cell(&why)));
        }
    }
    if missed.is_empty() {
        say(&mut tables, "\nNo target is missed.".to_owned());
    } else {
        say(&mut tables, format!("\n## Missed targets\n\n{}", missed.join("\n")));
    }
    let heading = run.lines(&about, true);
    println!("\n{}", heading.last().map_or("", String::as_str));
    match setting("BENCH_REPORT", "") {
        file if file.is_empty() => Ok(()),
        file => {
            let heading = format!("# kvadm beside etcdctl\n\n{}\n\n{}", heading.join("\n"), report::LEGEND);
            std::fs::write(&file, format!("{heading}\n{}\n", tables.join("\n"))).map_err(|e| format!("{file}: {e}"))
        }
    }
}

/// Prints a line and keeps it for the report.
fn say(lines: &mut Vec<String>, line: String) {
    println!("{line}");
    lines.push(line);
}

/// A text that does not break a row of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// The cases of one version, with servers of their own.
fn one_version(
    settings: &Settings,
    version: &Version,
    first: bool,
    lines: &mut Vec<String>,
    missed: &mut Vec<String>,
) -> Result<(), String> {
    let (etcd, work) = (&version.folder, tempfile::tempdir().map_err(told)?);
    let files = server::Tls::new(work.path())?;
    let store = server::Server::start(etcd, work.path(), "first", None)?;
    let second = server::Server::start(etcd, work.path(), "second", None)?;
    let backup = server::Server::start(etcd, work.path(), "backup", None)?;
    let tls = server::Server::start(etcd, work.path(), "tls", Some(&files))?;
    let (far, tls_far) = (server::FarAway::start(&store.endpoint)?, server::FarAway::start(&tls.endpoint)?);
    let names = &settings.names;
    let spread = names.is_empty() || names.split(',').any(|part| cases::SPREAD.contains(part.trim()));
    let members = if spread { server::Server::start_three(etcd, work.path())? } else { Vec::new() };
    let place = Place {
        members: members.iter().map(|member| member.endpoint.clone()).collect(),
        etcdctl: etcd.join("etcdctl").to_string_lossy().into_owned(),
        own: std::env::current_exe().map_err(told)?.to_string_lossy().into_owned(),
        far: far.endpoint.clone(),
        tls_far: tls_far.endpoint.clone(),
        endpoint: store.endpoint.clone(),
        second: second.endpoint.clone(),
        backup: backup.endpoint.clone(),
        tls: tls.endpoint.clone(),
        work: work.path(),
        kvadm: settings.kvadm.clone(),
        keys: settings.keys,
        names: settings.names.clone(),
        minor: version.minor(),
        first,
    };
    for (prefix, shape) in LOADED {
        measure::run(&place.client("load", &[prefix, &settings.keys.to_string(), shape]), place.work)?;
    }
    for group in cases::GROUPS {
        let wanted = match cases::prepared(&place, group) {
            Ok(wanted) => wanted,
            // One that cannot run says so and does not take the rest with it.
            Err(why) => {
                measure::go_on()?;
                say(lines, format!("| {} | **not prepared:** {} ||||||", group.0.join(", "), cell(&why)));
                continue;
            }
        };
        for case in wanted {
            let line = match measured(&case, &place, settings.rounds) {
                Ok(figures) => {
                    let of = |text: String| format!("- etcd {}, {text}", version.etcd);
                    missed.extend(report::missed(&case, &figures).map(of));
                    report::row(&case, &figures)
                }
                Err(why) => format!("| {} | **failed:** {} ||||||", case.name, cell(&why)),
            };
            measure::go_on()?;
            say(lines, line);
        }
    }
    say(lines, contents(&place));
    Ok(())
}

/// Whether `list` prints each key set as one Range request returns it.
fn contents(place: &Place<'_>) -> String {
    let verdicts = LOADED.map(|(prefix, shape)| {
        let pipe = format!(
            "{} --endpoints {} list {prefix} -o json | {} client same {} {prefix}",
            place.kvadm, place.endpoint, place.own, place.endpoint
        );
        match measure::run(&cases::cmd(&["bash", "-o", "pipefail", "-c", &pipe]), place.work) {
            Ok(_) => format!("{shape} equal"),
            Err(why) => format!("{shape} **different:** {why}"),
        }
    });
    format!("\nKeys and values of `list`, compared with one Range request: {}.", verdicts.join(", "))
}

/// A first round of less than this is a warm-up: what only the first run costs is little in a longer one.
const WARM_UP: Duration = Duration::from_secs(5);

/// No further round of a case begins after this.
const ENOUGH: Duration = Duration::from_secs(45);

/// The rounds of a case, after a warm-up that is not measured.
fn measured(case: &Case, place: &Place<'_>, rounds: u64) -> Result<Rounds, String> {
    let mut figures = Rounds::default();
    let start = Instant::now();
    round(case, place, 0, &mut figures)?;
    if start.elapsed() < WARM_UP {
        figures = Rounds::default();
    }
    while (figures.kvadm.len() as u64) < rounds && (figures.kvadm.is_empty() || start.elapsed() < ENOUGH) {
        let next = figures.kvadm.len() as u64;
        round(case, place, next, &mut figures)?;
    }
    Ok(figures)
}

/// All of them in turn, the first two changing places from round to round.
fn round(case: &Case, place: &Place<'_>, round: u64, figures: &mut Rounds) -> Result<(), String> {
    for ours in [round.is_multiple_of(2), !round.is_multiple_of(2)] {
        let cmd = if ours { Some(&case.kvadm) } else { case.other.as_ref() };
        let Some(cmd) = cmd else { continue };
        let (cost, waits) = once(case, cmd, place)?;
        let (costs, all) = match ours {
            true => (&mut figures.kvadm, &mut figures.waits.0),
            false => (&mut figures.other, &mut figures.waits.1),
        };
        costs.push(cost);
        all.extend(waits);
    }
    if let Some(bounded) = &case.bounded {
        figures.bounded.push(measure::run(bounded, place.work)?);
    }
    match &case.floor {
        Some(floor) if matches!(case.how, How::Queue | How::BackToBack) => {
            figures.floor_waits.extend(special::printed_gaps(floor)?);
        }
        Some(floor) => figures.floor.push(once(case, floor, place)?.0),
        None => {}
    }
    Ok(())
}

fn once(case: &Case, cmd: &Cmd, place: &Place<'_>) -> Result<(Cost, Vec<f64>), String> {
    for before in &case.before {
        measure::run(before, place.work)?;
    }
    match case.how {
        How::Alone => Ok((measure::run(cmd, place.work)?, Vec::new())),
        How::Neighbour => beside_neighbour(cmd, place),
        How::Live(events) => special::live(cmd, place, events).map(|(cost, behind)| (cost, vec![behind])),
        How::Queue | How::BackToBack => {
            special::handoff(cmd, place, case.how == How::Queue).map(|gaps| (Cost::default(), gaps))
        }
    }
}

fn beside_neighbour(cmd: &Cmd, place: &Place<'_>) -> Result<(Cost, Vec<f64>), String> {
    let mut neighbour = Command::new(&place.own)
        .args(["client", "neighbour", &place.endpoint])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let cost = measure::run(cmd, place.work);
    drop(neighbour.stdin.take());
    let output = neighbour.wait_with_output().map_err(|e| e.to_string())?;
    let longest = String::from_utf8_lossy(&output.stdout).trim().parse();
    Ok((cost?, vec![longest.map_err(|_| "the neighbour could not write")?]))
}
