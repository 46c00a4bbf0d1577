//! The guardian: a second process of kvadm's own that ends the command where kvadm cannot.
//!
//! kvadm tells it the command's group and until when the lease lives for certain, each time that moves. When no such
//! word comes in time (kvadm is stopped) or the connection breaks without a good-bye (kvadm is gone), it ends the group.
//! Between the two goes a socket with one line a message: `group PGID`, `until STOP KILL` (nanoseconds of
//! `CLOCK_BOOTTIME`), `done` (the first may also be arguments); the guardian says `ready`, and `ending` before it ends the group.

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

/// How long the guardian may take to start.
const START: Duration = Duration::from_secs(10);
/// The longest sleep: after the machine itself slept, this much passes at most before the clock is looked at.
const LONGEST_NAP: Duration = Duration::from_millis(500);
/// What it says before it ends the group.
const ENDING: &[u8] = b"ending\n";
/// Between two looks at a group that has to end.
const LOOK: Duration = Duration::from_millis(20);

/// When to ask a group to end, and when to kill it, unless another word comes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KillSchedule {
    pub(super) stop: BootTime,
    pub(super) kill: BootTime,
}

/// kvadm's side of it.
pub(super) struct Guardian {
    process: Child,
    line: UnixStream,
}

impl Guardian {
    /// Starts it. Where the group runs already, it knows of it from its first moment on, whatever becomes of kvadm.
    pub(super) fn start(watch: Option<(ProcessGroup, KillSchedule)>) -> io::Result<Self> {
        let (line, theirs) = UnixStream::pair()?;
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
        Ok(Self { process, line })
    }

    /// Waits until it is out of the reach of what is sent to kvadm's own group.
    pub(super) fn ready(self) -> io::Result<Self> {
        self.line.set_read_timeout(Some(START))?;
        let mut word = String::new();
        BufReader::new(&self.line).read_line(&mut word)?;
        if word == "ready\n" { Ok(self) } else { Err(io::Error::other("the guardian ended at once")) }
    }

    /// Names the group to end, and by when.
    pub(super) fn watch(&mut self, group: ProcessGroup, deadline: KillSchedule) -> io::Result<()> {
        writeln!(self.line, "{}", group_line(group))?;
        self.until(deadline)
    }

    /// Moves the deadline.
    pub(super) fn until(&mut self, deadline: KillSchedule) -> io::Result<()> {
        writeln!(self.line, "{}", until_line(deadline))
    }

    /// Whether it has ended, so that another one is needed.
    pub(super) fn is_gone(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Tells it that its work is over.
    pub(super) fn dismiss(&mut self) {
        let _ = writeln!(self.line, "done");
        let _ = self.line.shutdown(std::net::Shutdown::Write);
    }

    /// Lets it go: the group's ID may be somebody else's from now on. `true` where it has begun to end the group.
    pub(super) fn done(mut self) -> bool {
        self.dismiss();
        // It closes its end when it goes; one that is stopped is not waited for.
        let _ = self.line.set_read_timeout(Some(GRACE));
        let mut words = Vec::new();
        if self.line.read_to_end(&mut words).is_ok() {
            let _ = self.process.wait();
        }
        words == ENDING
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

/// The guardian's own life. `first` are words that were known when it was started.
pub(super) fn guard(first: &[OsString]) -> ExitCode {
    let first = first.iter().filter_map(|word| parse(word.to_str()?));
    match words(first) {
        Ok((words, line)) => {
            watch_over(&words, line);
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// Gets out of everybody's way and listens.
fn words(first: impl Iterator<Item = GuardianMessage>) -> io::Result<(Receiver<GuardianMessage>, UnixStream)> {
    let heard = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2] {
        // A handler that does nothing: what kvadm's group or terminal is sent must not end the guardian.
        signal_hook::flag::register(signal, Arc::clone(&heard))?;
    }
    // In a session of its own it has no terminal, and no signal of kvadm's group or session reaches it.
    setsid()?;
    let _ = std::fs::write("/proc/self/comm", GUARDIAN);
    let mut line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Where kvadm is gone already, the listening below finds out and ends what there is to end.
    let _ = line.write_all(b"ready\n");
    let ours = line.try_clone()?;
    let (sender, receiver) = channel();
    for word in first {
        let _ = sender.send(word);
    }
    thread::Builder::new().spawn(move || {
        for text in BufReader::new(line).lines().map_while(Result::ok) {
            let sent = parse(&text).map(|word| sender.send(word));
            if matches!(sent, Some(Err(_))) {
                return;
            }
        }
    })?;
    Ok((receiver, ours))
}

fn watch_over(words: &Receiver<GuardianMessage>, line: UnixStream) {
    let mut group = None;
    let mut deadline: Option<KillSchedule> = None;
    loop {
        let heard = match deadline {
            Some(deadline) => words.recv_timeout(deadline.stop.remaining().min(LONGEST_NAP)),
            None => words.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match heard {
            Ok(GuardianMessage::ProcessGroup(named)) => group = Some(named),
            Ok(GuardianMessage::Until(moved)) => deadline = Some(moved),
            Ok(GuardianMessage::Done) => return,
            Err(RecvTimeoutError::Timeout) => match (group, deadline) {
                (Some(group), Some(KillSchedule { stop, kill })) if stop.remaining().is_zero() => {
                    return end(group, kill, words, line);
                }
                _ => {}
            },
            Err(RecvTimeoutError::Disconnected) => {
                let soon = BootTime::now() + GRACE;
                let kill = deadline.map_or(soon, |deadline| deadline.kill.min(soon));
                if let Some(group) = group {
                    end(group, kill, words, line);
                }
                return;
            }
        }
    }
}

fn end(group: ProcessGroup, kill: BootTime, words: &Receiver<GuardianMessage>, mut line: UnixStream) {
    let _ = line.write_all(ENDING);
    group.terminate();
    while group.runs() {
        if kill.remaining().is_zero() {
            return group.signal(Signal::SIGKILL);
        }
        match words.recv_timeout(LOOK.min(kill.remaining())) {
            Ok(GuardianMessage::Done) => return,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK.min(kill.remaining())),
        }
    }
}
