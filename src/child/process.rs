//! The command's process and its group.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg, raise};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getppid};

use super::{STARTER, own_binary};
use crate::error::{Exit, Failure};
use crate::output::{ColorChoice, Format, Out, Settings};

/// A process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group(pub(super) Pid);

impl Group {
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
pub(super) enum Change {
    None,
    Stopped(Signal),
    Ended,
}

/// The command, not yet reaped, so that its process and group IDs are nobody else's.
pub(super) struct Process {
    pid: Pid,
}

impl Process {
    /// Starts what will become the command, stopped, in a process group of its own.
    pub(super) fn start(command: &[OsString], envs: &[(&'static str, OsString)], out: &Out) -> Result<Self, Failure> {
        let failed = |error: String| Failure::new(Exit::Bug, format!("cannot start a process: {error}"));
        let format = if out.is_json() { "json" } else { "text" };
        let child = Command::new(own_binary())
            .arg0(STARTER)
            .args([std::process::id().to_string().as_str(), format])
            .args(command)
            .envs(envs.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::inherit())
            .process_group(0)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let pid = i32::try_from(child.id()).map(Pid::from_raw).map_err(|error| failed(error.to_string()))?;
        loop {
            match waitpid(pid, Some(WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::Stopped(..)) => return Ok(Self { pid }),
                Err(Errno::EINTR) => {}
                Ok(status) => return Err(failed(format!("it ended at once ({status:?})"))),
                Err(error) => return Err(failed(error.to_string())),
            }
        }
    }

    /// Its group.
    pub(super) fn group(&self) -> Group {
        Group(self.pid)
    }

    /// What became of it. One that has ended is not reaped by this.
    pub(super) fn look(&self) -> Change {
        let ended = waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT);
        if !matches!(ended, Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)) {
            return Change::Ended;
        }
        match waitid(Id::Pid(self.pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG) {
            Ok(WaitStatus::Stopped(_, signal)) => Change::Stopped(signal),
            _ => Change::None,
        }
    }

    /// Reaps it once it has ended, and gives its status as a shell would: its code, or 128 and the signal.
    pub(super) fn reap(self) -> u8 {
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Exited(_, code)) => return u8::try_from(code & 0xff).unwrap_or(u8::MAX),
                Ok(WaitStatus::Signaled(_, signal, _)) => return u8::try_from(128 + signal as i32).unwrap_or(u8::MAX),
                Ok(_) | Err(Errno::EINTR) => {}
                // Somebody else reaped it: nothing is known of its end.
                Err(_) => return Exit::Bug.code(),
            }
        }
    }
}

/// What [`Process::start`] starts: stops itself until everybody who has to end the command knows of it, and becomes the
/// command then.
pub(super) fn become_command(args: &[OsString]) -> ExitCode {
    let [_, parent, format, program, rest @ ..] = args else {
        return ExitCode::from(Exit::Usage.code());
    };
    let _ = raise(Signal::SIGSTOP);
    // An orphaned group that is stopped is sent SIGHUP and SIGCONT; who ignores the former goes on all the same.
    if parent.to_str() != Some(getppid().to_string().as_str()) {
        return ExitCode::from(Exit::Bug.code());
    }
    let error = Command::new(program).args(rest).exec();
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
