//! A kvadm that runs: its output as it comes, its input, signals.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tempfile::TempDir;

use super::contract::JsonRun;
use super::kvadm::Run;
use super::process::pid;

/// What a stream gave so far, filled by a thread of its own.
#[derive(Clone, Default)]
struct Capture(Arc<(Mutex<Captured>, Condvar)>);

#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    ended: bool,
}

impl Capture {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let capture = Self::default();
        let filled = capture.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            // A terminal whose other end is closed gives an error, not an end of file.
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                filled.change(|captured| captured.bytes.extend_from_slice(&buffer[..count]));
            }
            filled.change(|captured| captured.ended = true);
        });
        capture
    }

    fn ended() -> Self {
        let capture = Self::default();
        capture.change(|captured| captured.ended = true);
        capture
    }

    fn change(&self, change: impl FnOnce(&mut Captured)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().unwrap().bytes.clone()
    }

    /// Waits until `found` gives something, the stream ends, or the time is up.
    fn wait<T>(&self, within: Duration, mut found: impl FnMut(&Captured) -> Option<T>) -> Option<T> {
        let end = Instant::now() + within;
        let mut captured = self.0.0.lock().unwrap();
        loop {
            if let Some(it) = found(&captured) {
                return Some(it);
            }
            let left = end.saturating_duration_since(Instant::now());
            if captured.ended || left.is_zero() {
                return None;
            }
            captured = self.0.1.wait_timeout(captured, left).unwrap().0;
        }
    }
}

/// Both ends, of 24 lines and 80 columns. Closed on exec from the start: the tests of other threads start programs at any
/// moment, and one that inherits an end keeps the terminal open for as long as it lives.
pub fn pseudo_terminal(columns: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    Ok((master, slave))
}

/// A running kvadm. Dropped, it is killed.
pub struct Running {
    child: Child,
    input: Option<Box<dyn Write + Send>>,
    out: Capture,
    err: Capture,
    shown: String,
    started: Instant,
    timeout: Duration,
    read: usize,
    status: Option<ExitStatus>,
    home: Option<TempDir>,
    /// The pseudo-terminal, to change its size.
    terminal: Option<OwnedFd>,
    /// The contract of its JSON output.
    pub(super) contract: Option<JsonRun>,
}

impl Running {
    pub(super) fn pipes(mut command: Command, shown: String, timeout: Duration, home: Option<TempDir>) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|why| panic!("cannot start `{shown}`: {why}"));
        let input = child.stdin.take().map(|input| Box::new(input) as Box<dyn Write + Send>);
        let out = Capture::of(child.stdout.take().unwrap());
        let err = Capture::of(child.stderr.take().unwrap());
        Self {
            child,
            input,
            out,
            err,
            shown,
            started,
            timeout,
            read: 0,
            status: None,
            home,
            terminal: None,
            contract: None,
        }
    }

    /// On a terminal of 24 lines and 80 columns; `command` has to take its standard input as the controlling terminal.
    pub(super) fn terminal(
        columns: u16,
        mut command: Command,
        shown: String,
        timeout: Duration,
        home: Option<TempDir>,
    ) -> Self {
        let (master, slave) = pseudo_terminal(columns).expect("open a pseudo-terminal");
        let end = |of: &OwnedFd| of.try_clone().expect("share the pseudo-terminal");
        command.stdin(end(&slave)).stdout(end(&slave)).stderr(slave);
        let started = Instant::now();
        let child = command.spawn().unwrap_or_else(|why| panic!("cannot start `{shown}`: {why}"));
        // The command holds the terminal's other end open until it is dropped, and the output would never end.
        drop(command);
        let input: Box<dyn Write + Send> = Box::new(File::from(end(&master)));
        let terminal = Some(end(&master));
        let out = Capture::of(File::from(master));
        let (input, err) = (Some(input), Capture::ended());
        Self { child, input, out, err, shown, started, timeout, read: 0, status: None, home, terminal, contract: None }
    }

    /// Compares the output with this contract at the end.
    pub fn expect_contract(&mut self, contract: Option<JsonRun>) {
        self.contract = contract;
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        kill(pid(self.child.id()), signal).unwrap_or_else(|why| panic!("cannot signal `{}`: {why}", self.shown));
    }

    /// Gives the terminal another size.
    pub fn resize(&self, lines: u16, columns: u16) {
        let terminal = self.terminal.as_ref().expect("it runs on a terminal");
        tcsetwinsize(terminal, Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    }

    /// Writes to standard input (or the terminal). A process that does not read any more is fine.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        if let Some(input) = &mut self.input {
            input.write_all(bytes.as_ref()).and_then(|()| input.flush()).ok();
        }
    }

    /// Writes everything from a thread of its own and then closes standard input.
    pub(super) fn feed(&mut self, bytes: Vec<u8>) {
        if let Some(mut input) = self.input.take() {
            std::thread::spawn(move || input.write_all(&bytes).ok());
        }
    }

    /// Closes standard input.
    pub fn close_stdin(&mut self) {
        self.input = None;
    }

    /// Standard output so far; on a terminal everything that was shown.
    pub fn stdout(&self) -> Vec<u8> {
        self.out.bytes()
    }

    /// Standard error so far; nothing on a terminal.
    pub fn stderr(&self) -> Vec<u8> {
        self.err.bytes()
    }

    /// Waits until standard output (or the terminal) holds `text`.
    #[track_caller]
    pub fn wait_for_stdout(&self, text: &str, within: Duration) {
        self.wait_for(&self.out, text, within);
    }

    /// Waits until standard error holds `text`.
    #[track_caller]
    pub fn wait_for_stderr(&self, text: &str, within: Duration) {
        self.wait_for(&self.err, text, within);
    }

    #[track_caller]
    fn wait_for(&self, capture: &Capture, text: &str, within: Duration) {
        let holds = |captured: &Captured| String::from_utf8_lossy(&captured.bytes).contains(text).then_some(());
        if capture.wait(within, holds).is_none() {
            self.fail(&format!("did not say {text:?} within {within:?}"));
        }
    }

    /// The next line of standard output without its end, waiting for it up to the run's timeout. `None` at the end.
    #[track_caller]
    pub fn next_line(&mut self) -> Option<String> {
        let from = self.read;
        let line = self.out.wait(self.timeout, |captured| {
            let rest = &captured.bytes[from..];
            rest.iter().position(|byte| *byte == b'\n').map(|end| rest[..end].to_vec())
        });
        if line.is_none() && !self.out.0.0.lock().unwrap().ended {
            self.fail(&format!("gave no line within {:?}", self.timeout));
        }
        let line = line?;
        self.read += line.len() + 1;
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("wait for kvadm");
        }
        self.status
    }

    /// Waits for the end, at most the run's timeout from now. Standard input stays as it is: see [`Running::close_stdin`].
    ///
    /// # Panics
    /// When the time is up; the process is killed.
    #[track_caller]
    pub fn wait(mut self) -> Run {
        let end = Instant::now() + self.timeout;
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            if Instant::now() > end {
                self.fail(&format!("did not end within {:?}", self.timeout));
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let took = self.started.elapsed();
        // Processes it left behind may hold the pipes open: what they still say is not waited for long.
        for capture in [&self.out, &self.err] {
            capture.wait(Duration::from_secs(2), |_| None::<()>);
        }
        let run = Run {
            shown: self.shown.clone(),
            stdout: self.out.bytes(),
            stderr: self.err.bytes(),
            code: status.code(),
            signal: status.signal(),
            took,
        };
        run.follows(self.contract);
        run
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let (out, err) = (self.out.bytes(), self.err.bytes());
        let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
        panic!("`{}` {what}\n--- stdout\n{out}\n--- stderr\n{err}\n---", self.shown)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
