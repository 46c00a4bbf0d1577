//! Child processes that never outlive the test process, and the ports they listen on.

use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process that is being killed may still write into its folder for a moment, so the removal is tried again.
const WATCHDOG: &str = r#"
read -r _
kill -KILL "$1" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$2" 2>/dev/null && break
    sleep 0.1
done
"#;

/// A child with a watchdog: a small `sh` that reads a pipe of ours. However the test process ends, the pipe closes, and the
/// watchdog kills the child and removes its folder. (A parent-death signal would not do: it follows the thread that
/// started the child, and test threads end long before the process does.)
pub struct Guarded {
    child: Child,
    watchdog: Child,
}

impl Guarded {
    /// Starts `command` in a process group of its own, so that Ctrl-C reaches it only through the watchdog.
    pub fn spawn(command: &mut Command, remove: &Path) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(child.id().to_string())
            .arg(remove)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { child, watchdog })
    }

    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the child, by its id; a child that is gone already is fine.
    pub fn signal(&self, signal: Signal) {
        kill(pid(self.child.id()), signal).ok();
    }

    /// How the child ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for a child")
    }

    /// Sends `signal`, waits for the end (10 s, then SIGKILL) and reaps.
    pub fn end(&mut self, signal: Signal) {
        // The watchdog goes first: it must not kill a stranger that got the child's id afterwards.
        self.watchdog.kill().ok();
        self.watchdog.wait().ok();
        if self.ended().is_some() {
            return;
        }
        self.signal(signal);
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while self.ended().is_none() {
            if std::time::Instant::now() > end {
                self.signal(Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end(Signal::SIGKILL);
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
