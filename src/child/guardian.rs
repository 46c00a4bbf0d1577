//! The guardian: a helper process of kvadm that terminates the command if kvadm cannot.
//!
//! kvadm sends it the command's process group and the lease's deadline, again each time the deadline moves. If the
//! deadline passes (kvadm is stopped), or the connection breaks without `done` (kvadm was killed), the guardian terminates
//! the group. [`guardian_link`](super::guardian_link) is kvadm's side.
//!
//! Protocol: one message per line over a socket. kvadm sends `group PGID`, `until STOP KILL` (nanoseconds of
//! `CLOCK_BOOTTIME`) and `done`; the first two may also be arguments. The guardian sends `ready`, `ok` for each deadline
//! that it acts by from now on, and `ending` before it terminates the group.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, setsid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};

use super::process::ProcessGroup;
use super::program::{GRACE, GUARDIAN};
use crate::boottime::BootTime;

/// Maximum sleep: after a suspend of the machine, the clock is read again within this time.
const MAX_SLEEP: Duration = Duration::from_millis(500);
/// Interval of polling a group that is being terminated.
const POLL: Duration = Duration::from_millis(20);
/// How long an answer may wait for room in the socket, which a kvadm that is stopped does not empty.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(10);

/// The answer when signals to kvadm's process group no longer reach the guardian.
pub(super) const READY: &str = "ready";
/// The answer to a deadline that the guardian has taken.
pub(super) const OK: &str = "ok";
/// The message before it terminates the group.
pub(super) const ENDING: &str = "ending";
/// kvadm's message for the guardian to exit.
pub(super) const DONE: &str = "done";

/// When to send SIGTERM and SIGKILL to a group, unless the deadline moves before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KillSchedule {
    pub(super) stop: BootTime,
    pub(super) kill: BootTime,
}

impl KillSchedule {
    /// The guardian's schedule for a lease that does not expire before `until`: after kvadm's own SIGTERM, and early
    /// enough for the group to be dead when the lease ends.
    pub(super) fn before(until: BootTime, margin: Duration) -> Self {
        Self { stop: until - margin / 4 * 3, kill: until - margin / 2 }
    }
}

/// The messages that put a group under the guardian's watch.
pub(super) fn watch_lines(group: ProcessGroup, deadline: KillSchedule) -> [String; 2] {
    [format!("group {}", group.0), until_line(deadline)]
}

/// The message that moves the deadline.
pub(super) fn until_line(deadline: KillSchedule) -> String {
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
        DONE => Some(GuardianMessage::Done),
        _ => None,
    }
}

/// Runs the guardian process. `args` are messages that were known at its start.
pub(super) fn guard(args: &[OsString]) -> ExitCode {
    let first = args.iter().filter_map(|arg| parse(arg.to_str()?));
    match listen(first) {
        Ok((messages, socket)) => {
            watch_over(&messages, &socket);
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
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    let ours = socket.try_clone()?;
    answer(&ours, READY);
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

/// Answers kvadm. If kvadm is dead, the end of the stream shows it; if it is stopped, the deadline does.
fn answer(mut socket: &UnixStream, text: &str) {
    let _ = socket.write_all(format!("{text}\n").as_bytes());
}

fn watch_over(messages: &Receiver<GuardianMessage>, socket: &UnixStream) {
    let mut group = None;
    let mut deadline: Option<KillSchedule> = None;
    loop {
        let message = match deadline {
            Some(deadline) => messages.recv_timeout(deadline.stop.remaining().min(MAX_SLEEP)),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(GuardianMessage::ProcessGroup(named)) => {
                group = Some(WatchedGroup { group: named, start: named.leader_start() })
            }
            Ok(GuardianMessage::Until(moved)) => {
                deadline = Some(moved);
                answer(socket, OK);
            }
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

/// The command's group, as it was when kvadm named it.
#[derive(Clone, Copy)]
struct WatchedGroup {
    group: ProcessGroup,
    start: Option<u64>,
}

impl WatchedGroup {
    /// Whether the group ID was given to another group: if kvadm was killed while the guardian was stopped, the guardian may
    /// continue long after the command has ended.
    fn is_reused(self) -> bool {
        self.group.leader_start().is_some_and(|now| self.start != Some(now))
    }
}

fn terminate(watched: WatchedGroup, kill: BootTime, messages: &Receiver<GuardianMessage>, socket: &UnixStream) {
    let group = watched.group;
    if watched.is_reused() {
        return;
    }
    answer(socket, ENDING);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_whose_id_was_given_to_another_one_is_left_alone() {
        let (own, none) = (ProcessGroup(nix::unistd::getpid()), ProcessGroup(Pid::from_raw(i32::MAX)));
        let watched = |group: ProcessGroup, start| WatchedGroup { group, start };
        assert!(own.leader_start().is_some());
        assert!(!watched(own, own.leader_start()).is_reused());
        assert!(watched(own, own.leader_start().map(|start| start - 1)).is_reused());
        assert!(watched(own, None).is_reused());
        assert!(!watched(none, Some(1)).is_reused(), "the leader is gone, its group may be there");
    }

    #[test]
    fn the_guardian_acts_after_kvadm_and_before_the_lease_ends() {
        for seconds in [1, 2, 3, 25, 600] {
            let ttl = Duration::from_secs(seconds);
            let (until, margin) = (BootTime::now() + ttl, super::super::margin(ttl));
            let schedule = KillSchedule::before(until, margin);
            assert!(until - margin < schedule.stop && schedule.stop < schedule.kill, "{ttl:?}");
            assert_eq!(
                schedule.kill + margin / 2,
                until,
                "{ttl:?}: half of the margin is left for the processes to die"
            );
        }
    }
}
