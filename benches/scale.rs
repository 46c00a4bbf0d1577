//! kvadm on one store of very many keys, once; `make scale` runs it.
//!
//! Environment: `SCALE_KEYS`, `SCALE_MINUTES` (no step begins or goes on after that), `SCALE_FOLDER` (for the store and for
//! files), `SCALE_REPORT` (a file that takes the table as well), and `BENCH_KVADM` and `BENCH_ETCD` as for `make bench`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use etcd_client::{Txn, TxnOp};

use crate::cases::{cmd, expect, until, write};
use crate::client::{block_on, connect, flight};
use crate::heading::{self, Run};
use crate::measure::{self, Cmd, Cost, Until};
use crate::server::Server;
use crate::shapes::{SCHEMA, Shape};
use crate::versions;

/// The prefix that has the keys.
const PREFIX: &str = "/s/";

/// One key in so many is changed after the load.
const CHANGED: u64 = 100;

/// Disk space that one key takes: twice in etcd's file (before and after the change of some), in its log, and in the file
/// of records.
const DISK_BYTES: u64 = 900;

/// Memory that one key takes in etcd, which had 1209 MiB with 1 000 000 keys (3.5.1), and in kvadm.
const MEMORY_BYTES: u64 = 1500;

const HEADING: &str = "\
| step | wall | CPU | peak memory | keys/s | another client's requests meanwhile, longest |
|---|---|---|---|---|---|";

struct Scale {
    keys: u64,
    kvadm: String,
    own: String,
    endpoint: String,
    folder: PathBuf,
    deadline: Instant,
}

/// What is run once, and its row.
struct Step {
    name: &'static str,
    cmd: Cmd,
    /// The records that it reads; 0 if its rate says nothing.
    keys: u64,
}

/// Loads a store and runs each step.
///
/// # Errors
/// There is not enough disk space or memory, or the store cannot be loaded. A step that fails is a row.
pub fn run() -> Result<(), String> {
    let told = |e: std::io::Error| e.to_string();
    let keys = crate::number("SCALE_KEYS", "1000000")?.max(1000);
    let time = Duration::from_secs(crate::number("SCALE_MINUTES", "25")? * 60);
    let folder = PathBuf::from(crate::setting("SCALE_FOLDER", "target"));
    room(&folder, keys)?;
    let version = versions::in_folders(&crate::setting("BENCH_ETCD", "/usr/bin"))?.into_iter().next();
    let version = version.ok_or("BENCH_ETCD names no folder")?;
    let kvadm = crate::setting("BENCH_KVADM", "target/release/kvadm");
    measure::listen().map_err(told)?;
    let work = tempfile::tempdir_in(&folder).map_err(told)?;
    let run = Run::begin(&kvadm);
    // A store without fsync: the time of the disk is not what is measured, and the load is.
    let options = [format!("--quota-backend-bytes={}", (keys * 2000).max(8 << 30)), "--unsafe-no-fsync".to_owned()];
    let server = Server::start_with(&version.folder, work.path(), "store", None, &options)?;
    let scale = Scale {
        keys,
        kvadm,
        own: std::env::current_exe().map_err(told)?.to_string_lossy().into_owned(),
        endpoint: server.endpoint.clone(),
        folder: work.path().to_owned(),
        deadline: Instant::now() + time,
    };
    let mut about = vec![format!("etcd {}, one member without fsync", version.etcd)];
    about.push(format!("{keys} keys of about 64 + 64 bytes, each step once"));
    println!("{}\n\n{HEADING}", run.lines(&about, false).join("\n"));
    let mut rows = Vec::new();
    scale.load(&mut rows)?;
    for step in scale.steps()? {
        measure::go_on()?;
        let row = match scale.measured(&step) {
            Ok(row) => row,
            Err(why) => format!("| {} | **failed:** {} |||||", step.name, crate::cell(&why)),
        };
        crate::say(&mut rows, row);
    }
    let peak = server.peak_memory().map_or_else(|| "unknown".to_owned(), |mib| format!("{mib} MiB"));
    let file = work.path().join("store/member/snap/db").metadata().map_or(0, |file| file.len() >> 20);
    about.push(format!("etcd's peak memory, with the mapped part of its file: {peak}; its file: {file} MiB"));
    let heading = run.lines(&about, true);
    println!("\n{}", heading[heading.len() - 2..].join("\n"));
    match crate::setting("SCALE_REPORT", "") {
        report if report.is_empty() => Ok(()),
        report => {
            let text = format!("# kvadm on many keys\n\n{}\n\n{HEADING}\n{}\n", heading.join("\n"), rows.join("\n"));
            std::fs::write(&report, text).map_err(|e| format!("{report}: {e}"))
        }
    }
}

/// Whether the disk and the memory are large enough.
fn room(folder: &Path, keys: u64) -> Result<(), String> {
    let gib = |bytes: u64| bytes.div_ceil(1 << 30);
    let disk = nix::sys::statvfs::statvfs(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    #[allow(clippy::useless_conversion)]
    let free = u64::from(disk.blocks_available()) * u64::from(disk.fragment_size());
    let memory = heading::memory("MemAvailable").unwrap_or(0) * 1024;
    for (what, has, needs) in [("disk space", free, DISK_BYTES), ("memory", memory, MEMORY_BYTES)] {
        let needs = keys * needs + (1 << 30);
        if has < needs {
            let (needs, has) = (gib(needs), gib(has));
            return Err(format!(
                "{keys} keys need about {needs} GiB of {what}, and there are {has}: set SCALE_KEYS or SCALE_FOLDER"
            ));
        }
    }
    Ok(())
}

impl Scale {
    fn client(&self, args: &[&str]) -> Cmd {
        cmd(&[&[self.own.as_str(), "client", args[0], self.endpoint.as_str()], &args[1..]].concat())
    }

    fn kvadm(&self, args: &[&str]) -> Cmd {
        cmd(&[&[self.kvadm.as_str(), "--endpoints", &self.endpoint, "--op-timeout", "600s"], args].concat())
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// How long a step may take: 60 s and 30 s more for each million keys, and not beyond the end of the run.
    fn limit(&self) -> Result<Duration, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left < Duration::from_secs(2) {
            return Err("the time of SCALE_MINUTES is up".to_owned());
        }
        Ok(left.min(Duration::from_secs(60 + self.keys * 30 / 1_000_000)))
    }

    fn load(&self, rows: &mut Vec<String>) -> Result<(), String> {
        measure::set_limit(self.deadline.saturating_duration_since(Instant::now()));
        let cost = measure::run(&self.client(&["load", PREFIX, &self.keys.to_string(), "scale"]), &self.folder)?;
        let rate = self.keys as f64 / cost.wall.max(1e-9);
        crate::say(
            rows,
            format!("| load, by a bare client | {:.1} s | {:.1} s | - | {rate:.0} | - |", cost.wall, cost.cpu),
        );
        Ok(())
    }

    fn steps(&self) -> Result<Vec<Step>, String> {
        let revision = self.revision()?;
        let changed = (self.keys / CHANGED).max(1);
        measure::run(&self.client(&["touch", PREFIX, &self.keys.to_string()]), &self.folder)?;
        let (schema, records) = (self.file("schema.yaml"), self.file("records.jsonl"));
        write(&schema, |out| out.write_all(SCHEMA.as_bytes()))?;
        let one = String::from_utf8_lossy(&Shape::Scale.key(PREFIX, self.keys / 2)).into_owned();
        let list = |args: &[&str]| self.kvadm(&[&["list", PREFIX], args].concat());
        let json = list(&["-o", "json"]).argv;
        let to_file = cmd(&[&["sh", "-c", r#"exec "$@" >"$0""#, &records], &words(&json)[..]].concat());
        let step = |name, cmd, keys| Step { name, cmd, keys };
        let (past, file) = (format!("rev:{revision}"), format!("file:{records}"));
        let next = (revision + 1).to_string();
        Ok(vec![
            step("get of one key", self.kvadm(&["get", &one]), 0),
            step("put of one key", self.kvadm(&["put", "/scale/one", "x"]), 0),
            step("list", list(&[]), self.keys),
            step("list -o json, to a file", to_file, self.keys),
            step("list --keys-only", list(&["--keys-only"]), self.keys),
            step("list --count", list(&["--count"]), self.keys),
            step("list --du", list(&["--du"]), self.keys),
            step(
                "diff of two revisions, 1 % different",
                expect(self.kvadm(&["diff", PREFIX, "--source", &past]), &[1]),
                self.keys,
            ),
            step("diff with a file of the same records", self.kvadm(&["diff", PREFIX, "--source", &file]), self.keys),
            step(
                "watch --rev, backlog of 1 %",
                until(self.kvadm(&["watch", PREFIX, "--rev", &next]), Until::Lines(changed)),
                changed,
            ),
            step(
                "watch --sync, until all keys are printed",
                until(self.kvadm(&["watch", PREFIX, "--sync"]), Until::Lines(self.keys)),
                self.keys,
            ),
            step(
                "gc metadata, the plan",
                expect(self.kvadm(&["gc", "metadata", PREFIX, "--schema", &schema]), &[1]),
                self.keys,
            ),
        ])
    }

    fn revision(&self) -> Result<i64, String> {
        let cmd = self.client(&["revision"]);
        let output = Command::new(&cmd.argv[0]).args(&cmd.argv[1..]).output().map_err(|e| e.to_string())?;
        String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| "the store tells no revision".to_owned())
    }

    /// One step beside a client that puts and gets a key every 5 ms.
    fn measured(&self, step: &Step) -> Result<String, String> {
        measure::set_limit(self.limit()?);
        let mut other = Command::new(&self.own)
            .args(["client", "puts-and-gets", &self.endpoint])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let cost = measure::run(&step.cmd, &self.folder);
        drop(other.stdin.take());
        let output = other.wait_with_output().map_err(|e| e.to_string())?;
        let Cost { wall, cpu, memory } = cost?;
        let longest = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let longest = if longest.is_empty() { "**failed**".to_owned() } else { longest };
        let rate = if step.keys == 0 { "-".to_owned() } else { format!("{:.0}", step.keys as f64 / wall.max(1e-9)) };
        let time =
            |seconds: f64| if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.1} s") };
        Ok(format!("| {} | {} | {} | {memory:.1} MiB | {rate} | {longest} |", step.name, time(wall), time(cpu)))
    }
}

fn words(argv: &[String]) -> Vec<&str> {
    argv.iter().map(String::as_str).collect()
}

/// The parts of this file, in processes of their own.
///
/// # Errors
/// The part fails, or is not known.
pub fn part(args: &[&str]) -> Result<(), String> {
    match *args {
        ["touch", endpoint, prefix, keys] => {
            block_on(touch(endpoint, prefix, keys.parse().map_err(|_| format!("{keys}: not a number"))?))
        }
        ["puts-and-gets", endpoint] => block_on(puts_and_gets(endpoint)),
        _ => Err("no such part".to_owned()),
    }
}

/// Gives one key in [`CHANGED`] another value.
async fn touch(endpoint: &str, prefix: &str, keys: u64) -> Result<(), String> {
    let client = connect(endpoint).await?;
    let changed: Vec<u64> = (0..keys).step_by(CHANGED as usize).collect();
    let jobs = changed.chunks(128).map(|chunk| {
        let put =
            |n: &u64| TxnOp::put(Shape::Scale.key(prefix, *n), format!("changed {}", Shape::Scale.value(*n)), None);
        let (ops, mut client) = (chunk.iter().map(put).collect::<Vec<_>>(), client.clone());
        async move { client.txn(Txn::new().and_then(ops)).await.map(drop).map_err(|e| e.to_string()) }
    });
    flight(jobs, 4).await
}

/// A put and a get every 5 ms until standard input ends; prints the longest ones. A request that fails is sent again, and
/// its time goes on.
async fn puts_and_gets(endpoint: &str) -> Result<(), String> {
    let mut client = connect(endpoint).await?;
    let done = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let (mut put, mut get) = (Duration::ZERO, Duration::ZERO);
    while !done.is_finished() {
        let start = Instant::now();
        while client.put("/neighbour", "x", None).await.is_err() {
            again(start).await?;
        }
        put = put.max(start.elapsed());
        let start = Instant::now();
        while client.get("/neighbour", None).await.is_err() {
            again(start).await?;
        }
        get = get.max(start.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("put {:.0} ms, get {:.0} ms", put.as_secs_f64() * 1e3, get.as_secs_f64() * 1e3);
    Ok(())
}

async fn again(start: Instant) -> Result<(), String> {
    if start.elapsed() > Duration::from_secs(600) {
        return Err("the server refused for ten minutes".to_owned());
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(())
}
