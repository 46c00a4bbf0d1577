//! The command's process and its group.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::program::{STARTER, own_binary};
use crate::error::{Exit, Failure};
use crate::output::{ColorChoice, Format, Out, Settings};

/// The last word to what waits to become the command; no part of an environment can look like it.
const BEGIN: &[u8] = b"\0=begin\n";

/// A process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessGroup(pub(super) Pid);

impl ProcessGroup {
    /// Sends a signal to every process in it; a group that is gone is fine.
    pub(super) fn signal(self, signal: Signal) {
        let _ = killpg(self.0, signal);
    }

    /// Asks it to end; one that is stopped has to go on for that.
    pub(super) fn terminate(self) {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
    }

    /// Whether a process in it still runs. Where nobody can say, yes.
    pub(super) fn runs(self) -> bool {
        let Ok(processes) = std::fs::read_dir("/proc") else { return true };
        let wanted = self.0.to_string();
        processes.flatten().any(|entry| {
            let name = entry.file_name();
            if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                return false;
            }
            // The name in brackets may hold anything, brackets and spaces too.
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            let state = fields.next();
            fields.nth(1) == Some(wanted.as_str()) && !matches!(state, Some("Z" | "X"))
        })
    }
}

/// What became of the command since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcessEvent {
    None,
    Stopped(Signal),
    Ended,
}

/// The command, not yet reaped, so that its process and group IDs are nobody else's. Dropped before it began, it never does.
pub(super) struct ChildProcess {
    pid: Pid,
    /// Where it is told to begin; it waits for that as long as this is open.
    start: Option<PipeWriter>,
    reaped: bool,
}

impl ChildProcess {
    /// Starts what will become the command in a process group of its own. It waits for [`ChildProcess::begin`], whatever
    /// signals it gets, and ends where kvadm does.
    pub(super) fn start(command: &[OsString], json: bool) -> io::Result<Self> {
        let (theirs, start) = io::pipe()?;
        fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let format = if json { "json" } else { "text" };
        let child = Command::new(own_binary())
            .arg0(STARTER)
            .args([theirs.as_raw_fd().to_string().as_str(), format])
            .args(command)
            .stdin(Stdio::inherit())
            .process_group(0)
            .spawn()?;
        let pid = i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)?;
        Ok(Self { pid, start: Some(start), reaped: false })
    }

    /// Lets it become the command, with this beside kvadm's own environment.
    pub(super) fn begin(&mut self, envs: &[(&'static str, OsString)]) -> io::Result<()> {
        let Some(mut start) = self.start.take() else { return Ok(()) };
        let mut words = Vec::new();
        for (name, value) in envs {
            if value.as_bytes().contains(&0) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} would hold a NUL")));
            }
            words.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
        }
        words.extend(BEGIN);
        start.write_all(&words)
    }

    /// Its group.
    pub(super) fn group(&self) -> ProcessGroup {
        ProcessGroup(self.pid)
    }

    /// What became of it. One that has ended is not reaped by this.
    pub(super) fn look(&self) -> ProcessEvent {
        let ended = waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT);
        if !matches!(ended, Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)) {
            return ProcessEvent::Ended;
        }
        match waitid(Id::Pid(self.pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG) {
            Ok(WaitStatus::Stopped(_, signal)) => ProcessEvent::Stopped(signal),
            _ => ProcessEvent::None,
        }
    }

    /// Its status once it has ended, as a shell would give it: its code, or 128 and the signal. It is not reaped.
    pub(super) fn status(&self) -> u8 {
        loop {
            match waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Ok(WaitStatus::Exited(_, code)) => return u8::try_from(code & 0xff).unwrap_or(u8::MAX),
                Ok(WaitStatus::Signaled(_, signal, _)) => return u8::try_from(128 + signal as i32).unwrap_or(u8::MAX),
                Ok(_) | Err(Errno::EINTR) => {}
                // Somebody else reaped it: nothing is known of its end.
                Err(_) => return Exit::Bug.code(),
            }
        }
    }

    /// Reaps it once it has ended.
    pub(super) fn reap(mut self) {
        self.wait();
    }

    fn wait(&mut self) {
        while matches!(waitpid(self.pid, None), Err(Errno::EINTR)) {}
        self.reaped = true;
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if !self.reaped && self.start.is_some() {
            self.group().signal(Signal::SIGKILL);
            self.wait();
        }
    }
}

/// What [`ChildProcess::start`] starts: waits until everybody who has to end the command knows of it, and becomes the command
/// then. Where kvadm goes without a word, it ends.
pub(super) fn become_command(args: &[OsString]) -> ExitCode {
    let [_, start, format, program, rest @ ..] = args else {
        return ExitCode::from(Exit::Usage.code());
    };
    let Some(envs) = start.to_str().and_then(|fd| fd.parse().ok()).and_then(told_to_begin) else {
        return ExitCode::from(Exit::Bug.code());
    };
    let error = Command::new(program).args(rest).envs(envs).exec();
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    let settings = Settings {
        format: Some(if format == "json" { Format::Json } else { Format::Text }),
        color: ColorChoice::Auto,
        quiet: false,
        verbosity: 0,
        progress: false,
    };
    let failure = Failure::new(Exit::Command(code), error.to_string())
        .context(format!("cannot run {}", program.to_string_lossy()));
    Out::new(settings).error(&failure.view());
    ExitCode::from(code)
}

/// Waits for the word to begin, and gives the environment that comes before it. The command does not inherit the pipe.
fn told_to_begin(fd: RawFd) -> Option<Vec<(OsString, OsString)>> {
    // The descriptor itself is a number here, and what the number names cannot be owned safely; a path can be opened.
    let mut pipe = File::open(format!("/proc/self/fd/{fd}")).ok()?;
    nix::unistd::close(fd).ok()?;
    let mut words = Vec::new();
    pipe.read_to_end(&mut words).ok()?;
    let envs = words.strip_suffix(BEGIN)?;
    let pair = |word: &[u8]| {
        let at = word.iter().position(|byte| *byte == b'=')?;
        Some((OsStr::from_bytes(&word[..at]).to_owned(), OsStr::from_bytes(&word[at + 1..]).to_owned()))
    };
    envs.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(pair).collect()
}
