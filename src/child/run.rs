//! Running the command: starting it, forwarding signals, and terminating it in time.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::getpgrp;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::guardian::KillSchedule;
use super::guardian_link::{GuardianEvent, GuardianLink};
use super::prepared_child::{Helpers, PreparedChild};
use super::process::{ChildProcess, ProcessEvent};
use super::program::{GRACE, margin};
use super::terminal::{Terminal, TerminalOwner};
use crate::boottime::BootTime;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{LeaseKeeper, LeaseLoss};

/// Time between SIGTERM and SIGKILL after the deadline of the whole command (`--deadline`).
const DEADLINE_GRACE: Duration = Duration::from_secs(2);
/// Interval of polling a group that is being terminated.
const POLL: Duration = Duration::from_millis(20);

/// How the command ended.
#[derive(Clone, Debug)]
pub struct ChildExit {
    /// The exit code like a shell: 128+n after signal n, 126 or 127 if it could not be started.
    pub code: u8,
    /// The loss of the lease for which it was terminated.
    pub loss: Option<LeaseLoss>,
    /// Whether it was terminated at the deadline of the whole command.
    pub overdue: bool,
}

/// A command that has ended, while its guardian may still run.
pub struct ExitedChild {
    ended: ChildExit,
    process: Option<ChildProcess>,
    guardian: Option<GuardianLink>,
}

impl ExitedChild {
    fn never_began(loss: LeaseLoss) -> Self {
        let ended = ChildExit { code: Exit::Conflict.code(), loss: Some(loss), overdue: false };
        Self { ended, process: None, guardian: None }
    }

    /// Tells the guardian to exit. Until then it would terminate processes that the command left behind, once the lease is
    /// not renewed in time.
    pub fn dismiss(&mut self) {
        if let Some(guardian) = &mut self.guardian {
            guardian.dismiss();
        }
    }

    /// Ends the guardian, and returns how the command ended.
    pub async fn complete(mut self) -> ChildExit {
        // The group ID is not reused before the command is reaped.
        if let Some(guardian) = self.guardian
            && guardian.done().await
        {
            self.ended.loss.get_or_insert(LeaseLoss::Late(None));
        }
        if let Some(process) = self.process {
            process.reap();
        }
        self.ended
    }
}

/// Runs the prepared command until it ends or the lease is lost, with `envs` added to kvadm's environment.
///
/// # Errors
/// A process that could not be started, or a signal before the start of the command.
pub async fn run(
    ctx: &Context,
    prepared: PreparedChild,
    envs: &[(&'static str, OsString)],
    lease: &LeaseKeeper,
) -> Result<ExitedChild, Failure> {
    let mut forwarded = ForwardedSignals::listen().map_err(cannot)?;
    let mut diversion = ctx.signals.divert();
    if ctx.signals.cancel().is_cancelled() {
        prepared.close().await;
        return Err(Failure::new(Exit::Interrupted, "interrupted before the command was started"));
    }
    let Helpers { guardian, process } = prepared.ready().await.map_err(cannot)?;
    let mut run = ChildRun { ctx, process, terminal: Terminal::open(), margin: margin(lease.ttl()) };
    let guardian = GuardianLink::watch(guardian, run.process.group(), lease.watch(), run.margin).await;
    let mut guardian = guardian.map_err(cannot)?;
    // kvadm may have been stopped meanwhile, and the command must not begin under an expired lease.
    if let Some(loss) = lease.is_lost(run.margin) {
        guardian.done().await;
        return Ok(ExitedChild::never_began(loss));
    }
    if let Err(error) = run.begin(envs) {
        guardian.done().await;
        return Err(cannot(error));
    }
    let (mut loss, mut overdue) = (None, false);
    let mut kill = None;
    loop {
        tokio::select! {
            biased;
            found = lease.lost(run.margin) => {
                kill = Some(kill_time(&found, lease.state().until, run.margin));
                loss = Some(found);
                break;
            }
            signal = forwarded.next() => match signal {
                Signal::SIGCHLD => {}
                Signal::SIGCONT => run.resume(),
                signal => run.process.group().signal(signal),
            },
            Some(signal) = diversion.incoming.recv() => run.forward(signal),
            event = guardian.next_event() => match event {
                GuardianEvent::Failed(error) => ctx.out.detail(&format!("{error}; starting another one")),
                GuardianEvent::Ending => {
                    kill = Some(latest_kill(lease.state().until, run.margin));
                    loss = Some(LeaseLoss::Late(lease.state().last_error));
                    break;
                }
            },
            () = ctx.deadline_passed() => {
                kill = Some(latest_kill(lease.state().until, run.margin).min(BootTime::now() + DEADLINE_GRACE));
                overdue = true;
                break;
            }
        }
        match run.process.poll() {
            ProcessEvent::Ended => break,
            ProcessEvent::Stopped(signal) => run.stopped(signal),
            ProcessEvent::None => {}
        }
    }
    if let Some(kill) = kill {
        run.terminate(kill).await;
    }
    let code = run.finish();
    Ok(ExitedChild { ended: ChildExit { code, loss, overdue }, process: Some(run.process), guardian: Some(guardian) })
}

/// The latest time to kill the command: the guardian's.
fn latest_kill(until: BootTime, margin: Duration) -> BootTime {
    KillSchedule::before(until, margin).kill
}

/// When the command must be killed after a loss of a lease that does not expire before `until`.
fn kill_time(loss: &LeaseLoss, until: BootTime, margin: Duration) -> BootTime {
    let kill = latest_kill(until, margin);
    match loss {
        LeaseLoss::Late(_) => kill,
        LeaseLoss::LeaseGone | LeaseLoss::KeyGone | LeaseLoss::OtherStore(_) => kill.min(BootTime::now() + GRACE),
    }
}

fn cannot(error: io::Error) -> Failure {
    Failure::new(Exit::Bug, format!("cannot run the command: {error}"))
}

/// The signals that are forwarded to the command, and SIGCHLD.
struct ForwardedSignals {
    child: Stream,
    cont: Stream,
    quit: Stream,
    user1: Stream,
    user2: Stream,
}

impl ForwardedSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            cont: signal(SignalKind::from_raw(Signal::SIGCONT as i32))?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.child.recv() => Signal::SIGCHLD,
            _ = self.cont.recv() => Signal::SIGCONT,
            _ = self.quit.recv() => Signal::SIGQUIT,
            _ = self.user1.recv() => Signal::SIGUSR1,
            _ = self.user2.recv() => Signal::SIGUSR2,
        }
    }
}

struct ChildRun<'a> {
    ctx: &'a Context,
    process: ChildProcess,
    terminal: Option<Terminal>,
    margin: Duration,
}

impl ChildRun<'_> {
    fn begin(&mut self, envs: &[(&'static str, OsString)]) -> io::Result<()> {
        if let Some(terminal) = self.terminal.as_ref().filter(|t| t.give_at_start(self.ctx.out.is_terminal())) {
            terminal.give(self.process.group());
        }
        self.process.begin(envs)
    }

    fn forward(&self, number: i32) {
        if let Ok(signal) = Signal::try_from(number) {
            self.process.group().signal(signal);
        }
    }

    /// Handles a stopped command. If it owns the terminal, the user pressed Ctrl-Z, and kvadm stops too, because the shell
    /// waits for kvadm. If it wants the terminal that kvadm owns, it gets the terminal.
    fn stopped(&self, signal: Signal) {
        let group = self.process.group();
        let Some(terminal) = &self.terminal else { return };
        let wants_terminal = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
        match terminal.owner(group) {
            TerminalOwner::Us if wants_terminal => self.resume(),
            TerminalOwner::Us => {}
            TerminalOwner::Command => {
                terminal.take(group);
                self.ctx.out.note("stopped; the lease is not kept alive until kvadm continues");
                let _ = killpg(getpgrp(), Signal::SIGTSTP);
                // Reached when the shell continues kvadm, or at once without a job-control shell.
                self.resume();
            }
            TerminalOwner::Other if wants_terminal => {
                let _ = killpg(getpgrp(), Signal::SIGTSTP);
            }
            TerminalOwner::Other => {}
        }
    }

    fn resume(&self) {
        let group = self.process.group();
        if let Some(terminal) = &self.terminal {
            terminal.give(group);
        }
        group.signal(Signal::SIGCONT);
    }

    /// Sends SIGTERM to the group, and SIGKILL at the given time.
    async fn terminate(&self, kill: BootTime) {
        let group = self.process.group();
        group.terminate();
        while self.process.poll() != ProcessEvent::Ended || group.runs() {
            let left = kill.remaining();
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(left.min(POLL)).await;
        }
        group.signal(Signal::SIGKILL);
    }

    /// Takes the terminal back and returns the command's exit code.
    fn finish(&self) -> u8 {
        let code = self.process.status();
        if let Some(terminal) = &self.terminal {
            terminal.take(self.process.group());
            if code > 128 {
                terminal.restore();
            }
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_killed_before_its_lease_can_end_and_soon_after_the_lease_is_gone() {
        let (until, margin) = (BootTime::now() + Duration::from_secs(60), Duration::from_secs(15));
        assert_eq!(kill_time(&LeaseLoss::Late(None), until, margin), until - margin / 2);
        for loss in [LeaseLoss::LeaseGone, LeaseLoss::KeyGone, LeaseLoss::OtherStore(String::new())] {
            let kill = kill_time(&loss, until, margin);
            assert!(kill > BootTime::now() && kill <= BootTime::now() + GRACE, "{loss:?}");
            let soon = BootTime::now() + margin / 2;
            assert_eq!(kill_time(&loss, soon, margin), soon - margin / 2, "{loss:?}: never later than in time");
        }
    }
}
