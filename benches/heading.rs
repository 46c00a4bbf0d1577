//! What a report says first: the machine, the versions, the date and the load.

use std::process::Command;
use std::time::{Duration, Instant};

/// A run of the benchmark that has begun.
pub struct Run {
    start: Instant,
    date: String,
    load: String,
    machine: String,
    /// kvadm and the compiler.
    programs: String,
}

/// The first line of what a program prints.
pub fn says(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").to_owned()
}

/// The value behind this name in a file of the kernel.
fn told(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// Kilobytes, of /proc/meminfo.
pub fn memory(name: &str) -> Option<u64> {
    told("/proc/meminfo", name)?.trim_end_matches(" kB").parse().ok()
}

/// As `14 min 3 s`.
pub fn minutes(time: Duration) -> String {
    format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
}

impl Run {
    /// Notes when it begins, and where.
    pub fn begin(kvadm: &str) -> Self {
        let processor = told("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        #[allow(clippy::cast_precision_loss)]
        let memory = memory("MemTotal").unwrap_or(0) as f64 / f64::from(1 << 20);
        let rustc = std::env::var("BENCH_RUSTC").unwrap_or_else(|_| says("rustc", &["--version"]));
        Self {
            start: Instant::now(),
            date: says("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            load: load(),
            machine: format!("{processor}, {cores} cores, {memory:.1} GiB of memory; {}", says("uname", &["-srm"])),
            programs: format!("{}, built with {rustc}", says(kvadm, &["--version"])),
        }
    }

    /// How long it has taken.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The lines of the heading, Markdown. `more` are other lines; the load at the end is known at the end only.
    pub fn lines(&self, more: &[String], ended: bool) -> Vec<String> {
        let time = match ended {
            true => format!(
                "{}; load average {} at the start, {} at the end; took {}",
                self.date,
                self.load,
                load(),
                minutes(self.elapsed())
            ),
            false => format!("{}; load average {} at the start", self.date, self.load),
        };
        [&[self.machine.clone(), self.programs.clone()], more, &[time]]
            .concat()
            .iter()
            .map(|line| format!("- {line}"))
            .collect()
    }
}
