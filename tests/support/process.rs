//! Child processes that never outlive the test process, and the ports they listen on.

use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Reads the id of the child to watch, line by line, an empty line for none. At the end of the pipe the child is killed and
/// the folder removed; a process that is being killed may still write for a moment, so the removal is tried again.
const WATCHDOG: &str = r#"
child=
while read -r line; do child=$line; done
[ -z "$child" ] || kill -KILL "$child" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$1" 2>/dev/null && break
    sleep 0.1
done
"#;

/// A child (or the place for one) with a watchdog: a small `sh` that reads a pipe of ours. However the test process ends,
/// the pipe closes, and the watchdog kills the child and removes its folder. (A parent-death signal would not do: it
/// follows the thread that started the child, and test threads end long before the process does.)
pub struct Guarded {
    child: Option<Child>,
    watchdog: Child,
}

impl Guarded {
    /// A watchdog for the folder, and for the child that [`Guarded::start`] will start.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { child: None, watchdog })
    }

    /// Starts `command` in a process group of its own, so that Ctrl-C reaches it only through the watchdog.
    pub fn start(&mut self, command: &mut Command) -> io::Result<()> {
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        let id = child.id().to_string();
        self.child = Some(child);
        self.watch(&id)
    }

    fn watch(&mut self, id: &str) -> io::Result<()> {
        self.watchdog.stdin.as_mut().map_or(Ok(()), |pipe| writeln!(pipe, "{id}"))
    }

    /// The child's process id, if one was started and not ended by [`Guarded::end`].
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends a signal to the child, by its id; a child that is gone already is fine.
    pub fn signal(&self, signal: Signal) {
        if let Some(id) = self.pid() {
            kill(pid(id), signal).ok();
        }
    }

    /// How the child ended, if it has by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("wait for a child")
    }

    /// Sends `signal`, waits for the end (10 s, then SIGKILL) and reaps.
    pub fn end(&mut self, signal: Signal) {
        // The watchdog forgets it first: it must not kill a stranger that got the child's id afterwards.
        self.watch("").ok();
        let end = Instant::now() + Duration::from_secs(10);
        let reaped = |child: &mut Child| child.try_wait().expect("wait for a child").is_some();
        if self.child.as_mut().is_none_or(reaped) {
            self.child = None;
            return;
        }
        self.signal(signal);
        // A stopped process takes no SIGTERM before it goes on.
        self.signal(Signal::SIGCONT);
        while !self.child.as_mut().is_none_or(reaped) {
            if Instant::now() > end {
                self.signal(Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child = None;
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end(Signal::SIGKILL);
        self.watchdog.kill().ok();
        self.watchdog.wait().ok();
    }
}

/// A process id as nix wants it.
pub fn pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().expect("a process id"))
}

/// A port nobody listens on, below the range that outgoing connections are given: a server that is stopped finds its
/// port free when it comes back. Another process may still be quicker, so a start has to be tried again.
pub fn free_port() -> u16 {
    const LOW: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() * 131 % u32::from(COUNT)).expect("below 20000");
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = LOW + (u32::from(first) + u32::from(step)).rem_euclid(u32::from(COUNT)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port on the loopback address");
}

/// The children of all threads of a process; none where it is gone.
pub fn children(id: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else { return Vec::new() };
    let of = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    let all: Vec<String> = threads.flatten().map(of).collect();
    all.iter().flat_map(|ids| ids.split_whitespace()).filter_map(|id| id.parse().ok()).collect()
}
