//! Runs one process and says what it cost, by the kernel's own account of it.
//!
//! A process begins with its parent's peak memory in that account. So this program keeps itself small, and leaves what
//! needs a client to processes of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::libc;

/// The processes to end when the benchmark is told to stop, each the leader of its own process group.
static RUNNING: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
static STOPPED: AtomicBool = AtomicBool::new(false);
/// How long one process may take, seconds.
static LIMIT: AtomicU64 = AtomicU64::new(300);

struct Entry {
    pid: i32,
    deadline: Instant,
    /// It was ended at its deadline.
    expired: bool,
}

/// What tells that a command has done its work.
#[derive(Clone)]
pub enum Until {
    /// It ends by itself.
    End,
    /// It has printed so many lines; it is then ended.
    Lines(u64),
    /// This other command has ended well; it is then ended.
    Ended(Vec<String>),
}

/// A command line, without a shell.
#[derive(Clone)]
pub struct Cmd {
    pub argv: Vec<String>,
    pub until: Until,
    /// The exit codes of a run that did what is measured; any other one fails the case.
    pub codes: Vec<i32>,
}

/// What one run cost.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    /// Wall time, seconds: from the start until the work was done.
    pub wall: f64,
    /// User and system time, seconds.
    pub cpu: f64,
    /// Peak resident memory, MiB.
    pub memory: f64,
}

/// Ends what is running, by process id, on SIGINT and SIGTERM; the run under way then fails and so the benchmark ends.
pub fn listen() -> std::io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([libc::SIGINT, libc::SIGTERM])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            STOPPED.store(true, Ordering::SeqCst);
            for entry in RUNNING.lock().unwrap().iter() {
                kill_group(entry.pid);
            }
        }
    });
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            for entry in RUNNING.lock().unwrap().iter_mut().filter(|entry| entry.deadline < Instant::now()) {
                entry.expired = true;
                kill_group(entry.pid);
            }
        }
    });
    Ok(())
}

/// Bounds each process that is started from now on.
pub fn set_limit(limit: Duration) {
    LIMIT.store(limit.as_secs().max(1), Ordering::SeqCst);
}

fn limit() -> Duration {
    Duration::from_secs(LIMIT.load(Ordering::SeqCst))
}

/// An error once the benchmark was told to stop.
pub fn go_on() -> Result<(), String> {
    if STOPPED.load(Ordering::SeqCst) { Err("stopped".to_owned()) } else { Ok(()) }
}

/// A started process. It is waited for with [`Running::end`], so that its cost is known.
pub struct Running {
    pub child: Child,
    start: Instant,
    name: String,
    log: std::path::PathBuf,
}

impl Running {
    /// Starts it, with its stderr kept in the folder for the case that it fails.
    pub fn start(argv: &[String], stdout: Stdio, work: &Path) -> Result<Self, String> {
        go_on()?;
        // Reports are kept: they name programs, not folders of this machine.
        let program = argv.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let name =
            std::iter::once(program).chain(argv.iter().skip(1).map(String::as_str)).collect::<Vec<_>>().join(" ");
        let told = |e: std::io::Error| format!("{name}: {e}");
        let log = tempfile::Builder::new().prefix("stderr").tempfile_in(work).map_err(told)?;
        let (file, log) = log.keep().map_err(|e| told(e.error))?;
        let mut command = Command::new(&argv[0]);
        // A shell is ended together with what it runs.
        command.args(&argv[1..]).stdin(Stdio::null()).stdout(stdout).stderr(file).process_group(0);
        let start = Instant::now();
        let child = command.spawn().map_err(told)?;
        RUNNING.lock().unwrap().push(Entry { pid: child.id() as i32, deadline: start + limit(), expired: false });
        Ok(Self { child, start, name, log })
    }

    /// Ends it, as the user would not: its work is done.
    pub fn stop(&self) {
        kill_group(self.child.id() as i32);
    }

    /// Waits for its end, which must be a success. `done` is when its work was done, if it was stopped then.
    pub fn end(self, done: Option<Instant>) -> Result<Cost, String> {
        self.end_with(done, &[0])
    }

    /// Waits for its end, which must be one of these exit codes, or the stop after its work was done.
    pub fn end_with(self, done: Option<Instant>, codes: &[i32]) -> Result<Cost, String> {
        let pid = self.child.id() as i32;
        let (status, usage) = wait(pid);
        let wall = done.unwrap_or_else(Instant::now) - self.start;
        let expired = RUNNING.lock().unwrap().iter().any(|entry| entry.pid == pid && entry.expired);
        RUNNING.lock().unwrap().retain(|entry| entry.pid != pid);
        go_on()?;
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let _ = std::fs::remove_file(&self.log);
        let fault = if expired { Some(format!("took longer than {:?}", limit())) } else { fault(status, codes, done) };
        if let Some(fault) = fault {
            return Err(format!("{}: {fault}: {}", shortened(&self.name), shortened(said.trim())));
        }
        Ok(Cost {
            wall: wall.as_secs_f64(),
            cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            memory: usage.ru_maxrss as f64 / 1024.0,
        })
    }
}

/// Why a process with this status did not do its work; `None` if it did.
fn fault(status: i32, codes: &[i32], done: Option<Instant>) -> Option<String> {
    let stopped = done.is_some() && libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
    if stopped || libc::WIFEXITED(status) && codes.contains(&libc::WEXITSTATUS(status)) {
        return None;
    }
    let expected = match codes {
        [] => "did not run until it was stopped".to_owned(),
        codes => format!("expected {}", codes.iter().map(i32::to_string).collect::<Vec<_>>().join(" or ")),
    };
    Some(match libc::WIFEXITED(status) {
        true => format!("exit code {}, {expected}", libc::WEXITSTATUS(status)),
        false => format!("ended by signal {}, {expected}", libc::WTERMSIG(status)),
    })
}

/// The first 300 characters, for a line of the report.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Runs it once.
pub fn run(cmd: &Cmd, work: &Path) -> Result<Cost, String> {
    let stdout = if matches!(cmd.until, Until::Lines(_)) { Stdio::piped() } else { Stdio::null() };
    let mut running = Running::start(&cmd.argv, stdout, work)?;
    let done = match &cmd.until {
        Until::End => return running.end_with(None, &cmd.codes),
        Until::Lines(lines) => read_lines(&mut running.child, *lines),
        Until::Ended(other) => match Running::start(other, Stdio::null(), work).and_then(|other| other.end(None)) {
            Ok(_) => true,
            Err(why) => {
                running.stop();
                let _ = running.end_with(Some(Instant::now()), &[]);
                return Err(why);
            }
        },
    };
    let now = Instant::now();
    running.stop();
    // Without the work done, its own end tells why.
    running.end_with(done.then_some(now), &cmd.codes)
}

fn read_lines(child: &mut Child, lines: u64) -> bool {
    let Some(output) = child.stdout.take() else { return false };
    let mut output = BufReader::with_capacity(1 << 16, output);
    let mut seen = 0;
    while seen < lines {
        let Some(buffer) = output.fill_buf().ok().filter(|buffer| !buffer.is_empty()) else { return false };
        seen += buffer.iter().filter(|byte| **byte == b'\n').count() as u64;
        let length = buffer.len();
        output.consume(length);
    }
    true
}

fn kill_group(pid: i32) {
    let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}

/// The standard library waits for a child but keeps the child's resource usage to itself.
#[allow(unsafe_code)]
fn wait(pid: i32) -> (i32, libc::rusage) {
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid rusage, and both pointers are to live locals of the types that wait4 writes.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: as above.
        let got = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if got == pid || std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return (status, usage);
        }
    }
}

fn seconds(time: libc::timeval) -> f64 {
    (Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)).as_secs_f64()
}

/// An empty file of this name.
pub fn touch(path: &Path) -> Result<(), String> {
    File::create(path).map(drop).map_err(|e| format!("{}: {e}", path.display()))
}
