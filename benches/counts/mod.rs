//! Counts the instructions of parts of kvadm with valgrind; `make counts` runs it.
//!
//! A count does not depend on the machine's load, so that a change of a few percent shows. A case runs twice under
//! callgrind, once without and once with its measured part: the difference is the count, without the start of the process
//! and the preparation of the input. Whole runs of kvadm are counted as they are; those with a server have several threads,
//! whose order varies, so the lowest of several counts is taken.
//!
//! Environment: `COUNTS_KVADM` (the binary), `COUNTS_ETCD` (the folder of etcd), `COUNTS_RECORDS`, `COUNTS_CASES` (parts of
//! names of cases, separated by commas), `COUNTS_TABLE` (the file with the table), `COUNTS_BLESS` (writes the table),
//! `COUNTS_PROFILES` (a folder that takes the profiles, for callgrind_annotate).

pub mod cases;
mod database;
pub mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::server::{Server, Tls};
use cases::CASES;
use table::{Origin, Section, compare, instructions};

/// Runs of a case that has several threads.
const THREADED_RUNS: usize = 3;

/// What this program does for `make counts`: `case NAME RECORDS prepare|run`, or with the name of a section of the table
/// the whole.
pub fn run(args: &[String]) -> Result<(), String> {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["case", name, records, step] => run_case(name, records, step == "run"),
        [section] => count(section),
        _ => Err("counts needs the name of a section, such as release".to_owned()),
    }
}

/// Prepares a case, and then goes through it if `measured`. The number of requests goes to stderr.
pub fn run_case(name: &str, records: &str, measured: bool) -> Result<(), String> {
    let case = CASES.iter().find(|case| case.name == name).ok_or_else(|| format!("{name}: no such case"))?;
    let pass = (case.prepare)(records.parse().map_err(|_| format!("{records}: not a number"))?)?;
    if !measured {
        // What the measured part drops is not dropped here either.
        std::mem::forget(pass);
        return Ok(());
    }
    if let Some(requests) = pass()?.requests {
        eprintln!("{REQUESTS}{requests}");
    }
    Ok(())
}

const REQUESTS: &str = "requests: ";

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Counts all cases, prints their table, and compares it with the section of the file.
fn count(section: &str) -> Result<(), String> {
    let default_records = if section == "release" { "100000" } else { "1000" };
    let counter = Counter {
        kvadm: setting("COUNTS_KVADM").unwrap_or_else(|| "target/release/kvadm".to_owned()),
        own: std::env::current_exe().map_err(|e| e.to_string())?.to_string_lossy().into_owned(),
        records: setting("COUNTS_RECORDS").unwrap_or_else(|| default_records.to_owned()),
        names: setting("COUNTS_CASES"),
        profiles: setting("COUNTS_PROFILES").map(PathBuf::from),
        work: tempfile::tempdir().map_err(|e| e.to_string())?,
    };
    let Some(valgrind) = counter.valgrind() else {
        println!("counts: NOT compared: valgrind is not installed");
        return Ok(());
    };
    let origin = Origin {
        date: first_line("date", &["-u", "+%Y-%m-%d"]),
        rustc: first_line("rustc", &["--version"]).trim_start_matches("rustc ").to_owned(),
        valgrind,
        architecture: std::env::consts::ARCH.to_owned(),
        kvadm: first_line(&counter.kvadm, &["--version"]).trim_start_matches("kvadm ").to_owned(),
        records: counter.records.clone(),
    };
    let run = Section { origin, counts: counter.all()? };
    println!("## {section}\n\n{}", run.markdown());
    let file = setting("COUNTS_TABLE").unwrap_or_else(|| "benches/COUNTS.md".to_owned());
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let mut known = Section::find(&text, section);
    if let (Some(known), Some(_)) = (&mut known, &counter.names) {
        known.counts.retain(|(name, _)| run.counts.iter().any(|(counted, _)| counted == name));
    }
    println!("counts ({section}): {}", compare(known.as_ref(), &run).summary());
    if setting("COUNTS_BLESS").is_some() && counter.names.is_none() {
        std::fs::write(&file, run.replace_in(&text, section)).map_err(|e| format!("{file}: {e}"))?;
        println!("counts ({section}): {file} is written");
    }
    Ok(())
}

fn first_line(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").to_owned()
}

struct Counter {
    kvadm: String,
    /// This program, which runs the cases.
    own: String,
    records: String,
    names: Option<String>,
    profiles: Option<PathBuf>,
    work: tempfile::TempDir,
}

impl Counter {
    /// valgrind's version; `None` if it is not installed.
    fn valgrind(&self) -> Option<String> {
        let output = Command::new("valgrind").arg("--version").output().ok()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches("valgrind-").to_owned();
        output.status.success().then_some(version)
    }

    fn wants(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.split(',').any(|part| name.contains(part.trim())))
    }

    fn all(&self) -> Result<Vec<(String, u64)>, String> {
        let mut counts = Vec::new();
        for (name, args) in [("kvadm --version", ["--version"]), ("kvadm --help", ["--help"])] {
            if self.wants(name) {
                counts.push((name.to_owned(), self.kvadm(name, &args)?));
            }
        }
        self.servers(&mut counts)?;
        for case in CASES.iter().filter(|case| self.wants(case.name)) {
            let args = |step| [self.own.as_str(), "counts", "case", case.name, &self.records, step];
            let (without, _) = self.instructions(&format!("{} without", case.name), &args("prepare"))?;
            let (with, told) = self.instructions(case.name, &args("run"))?;
            counts.push((case.name.to_owned(), with.saturating_sub(without)));
            if let Some(requests) = told.lines().find_map(|line| line.strip_prefix(REQUESTS)) {
                let requests = requests.parse().map_err(|_| format!("{}: {told}", case.name))?;
                counts.push((format!("{}: requests", case.name), requests));
            }
        }
        Ok(counts)
    }

    /// Whole runs of kvadm that read one key.
    fn servers(&self, counts: &mut Vec<(String, u64)>) -> Result<(), String> {
        const PLAIN: &str = "kvadm get";
        const TLS: &str = "kvadm get over TLS";
        let etcd = PathBuf::from(setting("COUNTS_ETCD").unwrap_or_else(|| "/usr/bin".to_owned()));
        let work = self.work.path();
        for name in [PLAIN, TLS].into_iter().filter(|name| self.wants(name)) {
            let files = if name == TLS { Some(Tls::new(work)?) } else { None };
            let server = Server::start(&etcd, work, &name.replace(' ', "-"), files.as_ref())?;
            let endpoint = format!("{}{}", if files.is_some() { "https://" } else { "" }, server.endpoint);
            let ca = files.as_ref().map(|files| files.cert.to_string_lossy().into_owned());
            let mut options = vec!["--endpoints", &endpoint, "--dial-timeout", "30s", "--op-timeout", "60s"];
            options.extend(ca.iter().flat_map(|ca| ["--ca-file", ca]));
            let args = |verb: &[&'static str]| [options.as_slice(), verb].concat();
            let put = Command::new(&self.kvadm).args(args(&["put", "/counts/key", "value"])).output();
            let put = put.map_err(|e| format!("{}: {e}", self.kvadm))?;
            if !put.status.success() {
                return Err(format!("{name}: {}", String::from_utf8_lossy(&put.stderr).trim()));
            }
            let get = args(&["get", "/counts/key"]);
            let runs: Result<Vec<u64>, String> = (0..THREADED_RUNS).map(|_| self.kvadm(name, &get)).collect();
            counts.push((name.to_owned(), runs?.into_iter().min().unwrap_or_default()));
        }
        Ok(())
    }

    fn kvadm(&self, name: &str, args: &[&str]) -> Result<u64, String> {
        self.instructions(name, &[&[self.kvadm.as_str()], args].concat()).map(|(count, _)| count)
    }

    /// Runs a program under callgrind; returns its instructions and its stderr.
    fn instructions(&self, name: &str, argv: &[&str]) -> Result<(u64, String), String> {
        let folder = self.profiles.as_deref().unwrap_or_else(|| self.work.path());
        let profile = folder.join(format!("callgrind.{}", name.replace([' ', '/'], "_")));
        let log = self.work.path().join("valgrind.log");
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--fair-sched=try"])
            .args([option("callgrind-out-file", &profile), option("log-file", &log)])
            .args(argv)
            .env_clear()
            .envs(["PATH", "TMPDIR"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("HOME", self.work.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()
            .map_err(|e| format!("valgrind: {e}"))?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = std::fs::read_to_string(&profile).unwrap_or_default();
        match instructions(&text) {
            Some(count) if output.status.success() => Ok((count, told)),
            _ => {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                Err(format!("{name}: cannot be counted ({}): {} {}", output.status, told.trim(), log.trim()))
            }
        }
    }
}
