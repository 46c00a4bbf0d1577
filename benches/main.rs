//! kvadm and etcdctl side by side on one store, interleaved, round by round; `make bench` runs it.
//!
//! Environment: `BENCH_KVADM` and `BENCH_ETCD` (the binary, and the folder of etcd and etcdctl), `BENCH_KEYS`,
//! `BENCH_ROUNDS`, `BENCH_CASES` (parts of names of cases, separated by commas), `BENCH_REPORT` (a file that takes the
//! table as well).
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod backups;
mod cases;
mod client;
mod database;
mod measure;
mod report;
mod server;
mod special;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use cases::{Case, How, LOADED, Place};
use measure::{Cmd, Cost};
use report::Rounds;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((first, rest)) if first == "client" => client::run(rest),
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

fn bench() -> Result<(), String> {
    let told = |e: std::io::Error| e.to_string();
    let (keys, rounds) = (number("BENCH_KEYS", "20000")?.max(1000), number("BENCH_ROUNDS", "3")?);
    let (etcd, kvadm) =
        (PathBuf::from(setting("BENCH_ETCD", "/usr/bin")), setting("BENCH_KVADM", "target/release/kvadm"));
    measure::listen().map_err(told)?;
    let work = tempfile::tempdir().map_err(told)?;
    let files = server::Tls::new(work.path())?;
    let store = server::Server::start(&etcd, work.path(), "first", None)?;
    let second = server::Server::start(&etcd, work.path(), "second", None)?;
    let backup = server::Server::start(&etcd, work.path(), "backup", None)?;
    let tls = server::Server::start(&etcd, work.path(), "tls", Some(&files))?;
    let (far, tls_far) = (server::FarAway::start(&store.endpoint)?, server::FarAway::start(&tls.endpoint)?);
    let place = Place {
        etcdctl: etcd.join("etcdctl").to_string_lossy().into_owned(),
        own: std::env::current_exe().map_err(told)?.to_string_lossy().into_owned(),
        far: far.endpoint.clone(),
        tls_far: tls_far.endpoint.clone(),
        endpoint: store.endpoint.clone(),
        second: second.endpoint.clone(),
        backup: backup.endpoint.clone(),
        tls: tls.endpoint.clone(),
        work: work.path(),
        kvadm,
        keys,
        names: setting("BENCH_CASES", ""),
    };
    let mut lines = vec![about(&place, rounds), report::HEADING.to_owned()];
    println!("{}\n{}", lines[0], lines[1]);
    for (prefix, shape) in LOADED {
        measure::run(&place.client("load", &[prefix, &keys.to_string(), shape]), place.work)?;
    }
    for case in cases::all(&place)?.into_iter().filter(|case| place.wants(&case.name)) {
        let line = match measured(&case, &place, rounds) {
            Ok(figures) => report::row(&case, &figures),
            // One that cannot run says so and does not take the rest with it.
            Err(why) => {
                format!("| {} | **failed:** {} |||||", case.name, why.replace('\n', " ").replace('|', "\\|"))
            }
        };
        measure::go_on()?;
        println!("{line}");
        lines.push(line);
    }
    let verdict = contents(&place);
    println!("{verdict}");
    lines.push(verdict);
    match setting("BENCH_REPORT", "") {
        file if file.is_empty() => Ok(()),
        file => std::fs::write(&file, lines.join("\n") + "\n").map_err(|e| format!("{file}: {e}")),
    }
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

/// The three in turn, the first two changing places from round to round.
fn measured(case: &Case, place: &Place<'_>, rounds: u64) -> Result<Rounds, String> {
    let mut figures = Rounds::default();
    for round in 0..rounds {
        for ours in [round % 2 == 0, round % 2 != 0] {
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
        if let Some(floor) = case.floor.as_ref().filter(|_| matches!(case.how, How::Queue | How::BackToBack)) {
            figures.floor_waits.extend(special::bare_handoffs(floor)?);
        } else if let Some(floor) = &case.floor {
            figures.floor.push(once(case, floor, place)?.0);
        }
    }
    Ok(figures)
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

fn about(place: &Place<'_>, rounds: u64) -> String {
    let says = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").to_owned()
    };
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let etcd = Path::new(&place.etcdctl).with_file_name("etcd");
    format!(
        "{} keys of 64 + 256 bytes, {rounds} rounds; {}; {}; {}; {} on {cores} cores ({}), {}\n",
        place.keys,
        says(&place.kvadm, &["--version"]),
        says(&place.etcdctl, &["version"]),
        says(&etcd.to_string_lossy(), &["--version"]),
        says("uname", &["-srm"]),
        processor.trim_start_matches([' ', '\t', ':']),
        says("date", &["-u", "+%Y-%m-%d"]),
    )
}
