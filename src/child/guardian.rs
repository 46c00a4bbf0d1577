//! The guardian: a helper process of kvadm that terminates the command if kvadm cannot.
//!
//! kvadm sends it the command's process group and the lease's deadline, again each time the deadline moves. If the
//! deadline passes (kvadm is stopped), or the connection breaks without `done` (kvadm was killed), the guardian terminates
//! the group.
//!
//! Protocol: one message per line over a socket. kvadm sends `group PGID`, `until STOP KILL` (nanoseconds of
//! `CLOCK_BOOTTIME`) and `done`; the first two may also be arguments. The guardian sends `ready`, and `ending` before it
//! terminates the group.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, setsid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};

use super::process::ProcessGroup;
use super::program::{GRACE, GUARDIAN, own_binary};
use crate::boottime::BootTime;

/// Time limit for the start of the guardian.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum sleep: after a suspend of the machine, the clock is read again within this time.
const MAX_SLEEP: Duration = Duration::from_millis(500);
/// The message before it terminates the group.
const ENDING: &[u8] = b"ending\n";
/// Interval of polling a group that is being terminated.
const POLL: Duration = Duration::from_millis(20);

/// When to send SIGTERM and SIGKILL to a group, unless the deadline moves before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KillSchedule {
    pub(super) stop: BootTime,
    pub(super) kill: BootTime,
}

/// kvadm's side of the guardian.
pub(super) struct Guardian {
    process: Child,
    socket: UnixStream,
}

impl Guardian {
    /// Starts the guardian. For a running group, `watch` takes effect from its start, even if kvadm is killed meanwhile.
    pub(super) fn start(watch: Option<(ProcessGroup, KillSchedule)>) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let first = watch.map(|(group, deadline)| [group_line(group), until_line(deadline)]);
        let process = Command::new(own_binary())
            .arg0(GUARDIAN)
            .args(first.into_iter().flatten())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process, socket })
    }

    /// Waits until signals to kvadm's process group no longer reach the guardian.
    pub(super) fn ready(self) -> io::Result<Self> {
        self.socket.set_read_timeout(Some(START_TIMEOUT))?;
        let mut message = String::new();
        BufReader::new(&self.socket).read_line(&mut message)?;
        if message == "ready\n" { Ok(self) } else { Err(io::Error::other("the guardian process exited at its start")) }
    }

    /// Sends the group to terminate, and the deadline.
    pub(super) fn watch(&mut self, group: ProcessGroup, deadline: KillSchedule) -> io::Result<()> {
        writeln!(self.socket, "{}", group_line(group))?;
        self.until(deadline)
    }

    /// Moves the deadline.
    pub(super) fn until(&mut self, deadline: KillSchedule) -> io::Result<()> {
        writeln!(self.socket, "{}", until_line(deadline))
    }

    /// Whether the guardian has exited, so that another one is needed.
    pub(super) fn has_exited(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Tells the guardian to exit.
    pub(super) fn dismiss(&mut self) {
        let _ = writeln!(self.socket, "done");
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }

    /// Stops the guardian, after which the group ID may be reused. `true` if it has begun to terminate the group.
    pub(super) fn done(mut self) -> bool {
        self.dismiss();
        // It closes its socket when it exits. The timeout skips a stopped guardian.
        let _ = self.socket.set_read_timeout(Some(GRACE));
        let mut received = Vec::new();
        if self.socket.read_to_end(&mut received).is_ok() {
            let _ = self.process.wait();
        }
        received == ENDING
    }
}

fn group_line(group: ProcessGroup) -> String {
    format!("group {}", group.0)
}

fn until_line(deadline: KillSchedule) -> String {
    format!("until {} {}", deadline.stop.as_nanos(), deadline.kill.as_nanos())
}

enum GuardianMessage {
    ProcessGroup(ProcessGroup),
    Until(KillSchedule),
    Done,
}

fn parse(line: &str) -> Option<GuardianMessage> {
    let mut words = line.split_whitespace();
    match words.next()? {
        "group" => words.next()?.parse().ok().map(|id| GuardianMessage::ProcessGroup(ProcessGroup(Pid::from_raw(id)))),
        "until" => {
            let mut moment = || words.next()?.parse().ok().map(BootTime::from_nanos);
            Some(GuardianMessage::Until(KillSchedule { stop: moment()?, kill: moment()? }))
        }
        "done" => Some(GuardianMessage::Done),
        _ => None,
    }
}

/// Runs the guardian process. `args` are messages that were known at its start.
pub(super) fn guard(args: &[OsString]) -> ExitCode {
    let first = args.iter().filter_map(|arg| parse(arg.to_str()?));
    match listen(first) {
        Ok((messages, socket)) => {
            watch_over(&messages, socket);
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// Detaches the process from signals and the terminal, and starts to receive messages.
fn listen(first: impl Iterator<Item = GuardianMessage>) -> io::Result<(Receiver<GuardianMessage>, UnixStream)> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2] {
        // The handler has no effect: signals to kvadm's group or terminal must not end the guardian.
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    // In its own session the guardian has no terminal, and receives no signals to kvadm's group or session.
    setsid()?;
    let _ = std::fs::write("/proc/self/comm", GUARDIAN);
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // If kvadm is already dead, the reader below sees the end of the stream.
    let _ = socket.write_all(b"ready\n");
    let ours = socket.try_clone()?;
    let (sender, receiver) = channel();
    for message in first {
        let _ = sender.send(message);
    }
    thread::Builder::new().spawn(move || {
        for line in BufReader::new(socket).lines().map_while(Result::ok) {
            let sent = parse(&line).map(|message| sender.send(message));
            if matches!(sent, Some(Err(_))) {
                return;
            }
        }
    })?;
    Ok((receiver, ours))
}

fn watch_over(messages: &Receiver<GuardianMessage>, socket: UnixStream) {
    let mut group = None;
    let mut deadline: Option<KillSchedule> = None;
    loop {
        let message = match deadline {
            Some(deadline) => messages.recv_timeout(deadline.stop.remaining().min(MAX_SLEEP)),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(GuardianMessage::ProcessGroup(named)) => group = Some(named),
            Ok(GuardianMessage::Until(moved)) => deadline = Some(moved),
            Ok(GuardianMessage::Done) => return,
            Err(RecvTimeoutError::Timeout) => match (group, deadline) {
                (Some(group), Some(KillSchedule { stop, kill })) if stop.remaining().is_zero() => {
                    return terminate(group, kill, messages, socket);
                }
                _ => {}
            },
            Err(RecvTimeoutError::Disconnected) => {
                let soon = BootTime::now() + GRACE;
                let kill = deadline.map_or(soon, |deadline| deadline.kill.min(soon));
                if let Some(group) = group {
                    terminate(group, kill, messages, socket);
                }
                return;
            }
        }
    }
}

fn terminate(group: ProcessGroup, kill: BootTime, messages: &Receiver<GuardianMessage>, mut socket: UnixStream) {
    let _ = socket.write_all(ENDING);
    group.terminate();
    while group.runs() {
        if kill.remaining().is_zero() {
            return group.signal(Signal::SIGKILL);
        }
        match messages.recv_timeout(POLL.min(kill.remaining())) {
            Ok(GuardianMessage::Done) => return,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL.min(kill.remaining())),
        }
    }
}
