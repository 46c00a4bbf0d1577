//! kvadm's part: starting the command, passing signals on, ending it in time.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::getpgrp;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::guardian::{Guardian, KillSchedule};
use super::prepared_child::{Helpers, PreparedChild};
use super::process::{ChildProcess, ProcessEvent};
use super::program::{GRACE, margin};
use super::terminal::{Terminal, TerminalOwner};
use crate::boottime::BootTime;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kvstore::{LeaseKeeper, LeaseLoss, LeaseState};

/// How long a command may take to end when the deadline of the whole command is over.
const OVERDUE: Duration = Duration::from_secs(2);
/// Between two looks at a group that has to end.
const LOOK: Duration = Duration::from_millis(20);

/// How it ended.
#[derive(Clone, Debug)]
pub struct ChildExit {
    /// As a shell would have it: its code, 128 and the signal, 126 or 127 where it could not be started.
    pub code: u8,
    /// Why it was ended, where that was because of the lease.
    pub loss: Option<LeaseLoss>,
    /// Whether it was ended because the deadline of the whole command was over.
    pub overdue: bool,
}

/// A command that has ended; only its helper is still there.
pub struct ExitedChild {
    ended: ChildExit,
    process: Option<ChildProcess>,
    guardian: Option<Guardian>,
}

impl ExitedChild {
    fn never_began(loss: LeaseLoss) -> Self {
        let ended = ChildExit { code: Exit::Conflict.code(), loss: Some(loss), overdue: false };
        Self { ended, process: None, guardian: None }
    }

    /// Tells the helper that its work is over. Until then it would end what the command left behind, as soon as the lease
    /// is not renewed in time.
    pub fn dismiss(&mut self) {
        if let Some(guardian) = &mut self.guardian {
            guardian.dismiss();
        }
    }

    /// Waits until the helper is gone, and tells how the command ended.
    pub fn complete(mut self) -> ChildExit {
        // The group's ID is nobody else's until the command is reaped.
        if self.guardian.is_some_and(Guardian::done) {
            self.ended.loss.get_or_insert(LeaseLoss::Late(None));
        }
        if let Some(process) = self.process {
            process.reap();
        }
        self.ended
    }
}

/// Runs the command of the stage to its end, or to the lease's, with `envs` beside kvadm's own environment.
///
/// # Errors
/// No process could be started, or the program was told to end before the command was started.
pub async fn run(
    ctx: &Context,
    stage: PreparedChild,
    envs: &[(&'static str, OsString)],
    kept: &LeaseKeeper,
) -> Result<ExitedChild, Failure> {
    let mut asides = ForwardedSignals::listen().map_err(cannot)?;
    let mut diversion = ctx.signals.divert();
    if ctx.signals.cancel().is_cancelled() {
        stage.close().await;
        return Err(Failure::new(Exit::Interrupted, "interrupted before the command was started"));
    }
    let Helpers { mut guardian, process } = stage.ready().await.map_err(cannot)?;
    let mut run = ChildRun { ctx, process, terminal: Terminal::open(), margin: margin(kept.ttl()) };
    guardian.watch(run.process.group(), run.guardian_deadline(&kept.state())).map_err(cannot)?;
    // kvadm may have been stopped meanwhile: nothing begins under a lease that is over.
    if let Some(loss) = kept.is_lost(run.margin) {
        guardian.done();
        return Ok(ExitedChild::never_began(loss));
    }
    run.begin(envs).map_err(cannot)?;
    let mut view = kept.watch();
    let mut guardian = Some(guardian);
    let (mut loss, mut overdue) = (None, false);
    let mut kill = None;
    loop {
        tokio::select! {
            biased;
            found = kept.lost(run.margin) => {
                kill = Some(run.last_moment(&found, &kept.state()));
                loss = Some(found);
                break;
            }
            aside = asides.next() => match aside {
                Signal::SIGCHLD => {}
                Signal::SIGCONT => run.go_on(),
                signal => run.process.group().signal(signal),
            },
            Some(signal) = diversion.incoming.recv() => run.pass(signal),
            Ok(()) = view.changed() => {}
            () = ctx.overdue() => {
                kill = Some((kept.state().until - run.margin / 2).min(BootTime::now() + OVERDUE));
                overdue = true;
                break;
            }
        }
        match run.process.look() {
            ProcessEvent::Ended => break,
            ProcessEvent::Stopped(signal) => run.stopped(signal),
            ProcessEvent::None => {}
        }
        guardian = run.keep_guarded(guardian, &view.borrow_and_update(), &mut loss);
    }
    if let Some(kill) = kill {
        run.end(kill).await;
    }
    let code = run.finish();
    Ok(ExitedChild { ended: ChildExit { code, loss, overdue }, process: Some(run.process), guardian })
}

fn cannot(error: io::Error) -> Failure {
    Failure::new(Exit::Bug, format!("cannot run a command under a lease: {error}"))
}

/// The signals that nobody else listens for.
struct ForwardedSignals {
    child: Stream,
    go_on: Stream,
    quit: Stream,
    user1: Stream,
    user2: Stream,
}

impl ForwardedSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            go_on: signal(SignalKind::from_raw(Signal::SIGCONT as i32))?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.child.recv() => Signal::SIGCHLD,
            _ = self.go_on.recv() => Signal::SIGCONT,
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
    /// The guardian's turn comes when kvadm's own has passed.
    fn guardian_deadline(&self, alive: &LeaseState) -> KillSchedule {
        KillSchedule { stop: alive.until - self.margin / 4 * 3, kill: alive.until - self.margin / 2 }
    }

    fn keep_guarded(
        &self,
        guardian: Option<Guardian>,
        alive: &LeaseState,
        loss: &mut Option<LeaseLoss>,
    ) -> Option<Guardian> {
        let deadline = self.guardian_deadline(alive);
        if let Some(mut guardian) = guardian {
            if !guardian.is_gone() && guardian.until(deadline).is_ok() {
                return Some(guardian);
            }
            if guardian.done() {
                loss.get_or_insert(LeaseLoss::Late(None));
            }
        }
        // Somebody ended it. The command goes on under a new one.
        self.ctx.out.detail("the guardian process is gone; starting another");
        let another = Guardian::start(Some((self.process.group(), deadline))).and_then(Guardian::ready);
        another.map_err(|error| self.ctx.out.detail(&format!("cannot start a guardian process: {error}"))).ok()
    }

    fn begin(&mut self, envs: &[(&'static str, OsString)]) -> io::Result<()> {
        if let Some(terminal) = self.terminal.as_ref().filter(|t| t.wanted_at_once(self.ctx.out.is_terminal())) {
            terminal.give(self.process.group());
        }
        self.process.begin(envs)
    }

    fn pass(&self, number: i32) {
        if let Ok(signal) = Signal::try_from(number) {
            self.process.group().signal(signal);
        }
    }

    /// The command was stopped. Where it has the terminal, that was the user's Ctrl-Z, which means kvadm too: the shell
    /// that waits for kvadm must see it stop. Where it asks for the terminal and we have it, it gets it.
    fn stopped(&self, signal: Signal) {
        let group = self.process.group();
        let Some(terminal) = &self.terminal else { return };
        let asks = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
        match terminal.owner(group) {
            TerminalOwner::Us if asks => self.go_on(),
            TerminalOwner::Us => {}
            TerminalOwner::Command => {
                terminal.take(group);
                self.ctx.out.note("stopped; the lease is not kept alive until this goes on");
                let _ = killpg(getpgrp(), Signal::SIGTSTP);
                // Here again once the shell lets it go on; at once where there is no shell that could.
                self.go_on();
            }
            TerminalOwner::Other if asks => {
                let _ = killpg(getpgrp(), Signal::SIGTSTP);
            }
            TerminalOwner::Other => {}
        }
    }

    fn go_on(&self) {
        let group = self.process.group();
        if let Some(terminal) = &self.terminal {
            terminal.give(group);
        }
        group.signal(Signal::SIGCONT);
    }

    /// By when the command has to be killed.
    fn last_moment(&self, loss: &LeaseLoss, alive: &LeaseState) -> BootTime {
        let kill = alive.until - self.margin / 2;
        match loss {
            LeaseLoss::Late(_) => kill,
            LeaseLoss::LeaseGone | LeaseLoss::KeyGone => kill.min(BootTime::now() + GRACE),
        }
    }

    /// Asks the group to end and kills it at the given moment.
    async fn end(&self, kill: BootTime) {
        let group = self.process.group();
        group.terminate();
        while self.process.look() != ProcessEvent::Ended || group.runs() {
            let left = kill.remaining();
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
        group.signal(Signal::SIGKILL);
    }

    /// Takes the terminal back and gives the command's status.
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
