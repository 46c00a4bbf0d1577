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
use crate::output::{Format, Out, Settings};

/// The message that starts the command. No environment variable can look like it.
const BEGIN: &[u8] = b"\0=begin\n";

/// A process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessGroup(pub(super) Pid);

impl ProcessGroup {
    /// Sends a signal to every process of the group. A missing group is not an error.
    pub(super) fn signal(self, signal: Signal) {
        let _ = killpg(self.0, signal);
    }

    /// Sends SIGTERM, and SIGCONT so that stopped processes handle it.
    pub(super) fn terminate(self) {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
    }

    /// When the group's leader started, in ticks since boot; `None` if there is no such process. A group ID is reused only
    /// after its leader and its members are gone, and then the process of this ID has another start.
    pub(super) fn leader_start(self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        // The name in parentheses may contain parentheses and spaces. The 22nd field is the start, the third follows the name.
        stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()
    }

    /// Whether a process of the group still runs. `true` if that is unknown.
    pub(super) fn runs(self) -> bool {
        let Ok(processes) = std::fs::read_dir("/proc") else { return true };
        let group = self.0.to_string();
        processes.flatten().any(|entry| {
            let name = entry.file_name();
            if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                return false;
            }
            // The name in parentheses may contain parentheses and spaces.
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            let state = fields.next();
            fields.nth(1) == Some(group.as_str()) && !matches!(state, Some("Z" | "X"))
        })
    }
}

/// What happened to the command since the last poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcessEvent {
    None,
    Stopped(Signal),
    Ended,
}

/// The command's process, not yet reaped, so that its process and group IDs are not reused. If it is dropped before the
/// command begins, the command never runs.
pub(super) struct ChildProcess {
    pid: Pid,
    /// The pipe that starts the command; the process waits while it is open.
    start: Option<PipeWriter>,
    reaped: bool,
}

impl ChildProcess {
    /// Starts the process that becomes the command, in its own process group. It waits for [`ChildProcess::begin`] and
    /// exits with kvadm.
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

    /// Starts the command, with `envs` added to kvadm's environment.
    pub(super) fn begin(&mut self, envs: &[(&'static str, OsString)]) -> io::Result<()> {
        let Some(mut start) = self.start.take() else { return Ok(()) };
        let mut message = Vec::new();
        for (name, value) in envs {
            if value.as_bytes().contains(&0) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("the value of {name} contains a NUL byte"),
                ));
            }
            message.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
        }
        message.extend(BEGIN);
        start.write_all(&message)
    }

    /// The command's process group.
    pub(super) fn group(&self) -> ProcessGroup {
        ProcessGroup(self.pid)
    }

    /// Checks for a change of state. This does not reap an ended process.
    pub(super) fn poll(&self) -> ProcessEvent {
        let ended = waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT);
        if !matches!(ended, Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)) {
            return ProcessEvent::Ended;
        }
        match waitid(Id::Pid(self.pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG) {
            Ok(WaitStatus::Stopped(_, signal)) => ProcessEvent::Stopped(signal),
            _ => ProcessEvent::None,
        }
    }

    /// Waits for the end, without reaping, and returns the exit code like a shell: 128+n after signal n.
    pub(super) fn status(&self) -> u8 {
        loop {
            match waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Ok(WaitStatus::Exited(_, code)) => return u8::try_from(code & 0xff).unwrap_or(u8::MAX),
                Ok(WaitStatus::Signaled(_, signal, _)) => return u8::try_from(128 + signal as i32).unwrap_or(u8::MAX),
                Ok(_) | Err(Errno::EINTR) => {}
                // Another part of the process reaped it, so that its status is lost.
                Err(_) => return Exit::Bug.code(),
            }
        }
    }

    /// Waits for the end and reaps the process.
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

/// Runs the process that [`ChildProcess::start`] starts: waits until kvadm and the guardian are ready to terminate the
/// command, then becomes the command. It exits if kvadm dies before that.
pub(super) fn become_command(args: &[OsString]) -> ExitCode {
    let [_, start, format, program, rest @ ..] = args else {
        return ExitCode::from(Exit::Usage.code());
    };
    let Some(envs) = start.to_str().and_then(|fd| fd.parse().ok()).and_then(receive_environment) else {
        return ExitCode::from(Exit::Bug.code());
    };
    let error = Command::new(program).args(rest).envs(envs).exec();
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    let format = if format == "json" { Format::Json } else { Format::Text };
    let settings = Settings { format: Some(format), ..Settings::default() };
    let failure = Failure::new(Exit::Command(code), error.to_string())
        .context(format!("cannot run {}", program.to_string_lossy()));
    Out::new(settings).error(&failure.view());
    ExitCode::from(code)
}

/// Waits for the start message and returns the environment variables before it. The command does not inherit the pipe.
fn receive_environment(fd: RawFd) -> Option<Vec<(OsString, OsString)>> {
    // Owning a descriptor by its number would be unsafe code; opening it by its path is not.
    let mut pipe = File::open(format!("/proc/self/fd/{fd}")).ok()?;
    nix::unistd::close(fd).ok()?;
    let mut message = Vec::new();
    pipe.read_to_end(&mut message).ok()?;
    let envs = message.strip_suffix(BEGIN)?;
    let pair = |env: &[u8]| {
        let at = env.iter().position(|byte| *byte == b'=')?;
        Some((OsStr::from_bytes(&env[..at]).to_owned(), OsStr::from_bytes(&env[at + 1..]).to_owned()))
    };
    envs.split(|byte| *byte == 0).filter(|env| !env.is_empty()).map(pair).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use super::*;

    /// A process in a group of its own, as one that waits for its start.
    #[expect(clippy::zombie_processes, reason = "the tests reap it by its number")]
    fn waiting() -> ChildProcess {
        let (theirs, start) = io::pipe().unwrap();
        let sleeping = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        drop(theirs);
        ChildProcess { pid: Pid::from_raw(i32::try_from(sleeping.id()).unwrap()), start: Some(start), reaped: false }
    }

    #[test]
    fn a_group_runs_until_its_processes_have_ended() {
        let process = waiting();
        let group = process.group();
        assert!(group.runs());
        group.signal(Signal::SIGKILL);
        assert_eq!(process.status(), 128 + 9);
        assert!(!group.runs(), "what has ended and is not reaped does not run");
        process.reap();
        assert!(!group.runs());
    }

    #[test]
    fn a_process_that_never_begins_is_killed_and_reaped() {
        let process = waiting();
        let path = format!("/proc/{}", process.pid);
        assert!(std::path::Path::new(&path).exists());
        drop(process);
        assert!(!std::path::Path::new(&path).exists());
    }
}
