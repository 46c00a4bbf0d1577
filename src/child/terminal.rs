//! The terminal, which belongs to one process group at a time.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, stdin};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

use super::process::ProcessGroup;

/// The controlling terminal.
pub(super) struct Terminal {
    file: File,
    /// How it was before the command got it.
    mode: Option<Termios>,
}

/// Whose the terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TerminalOwner {
    /// This program's group.
    Us,
    /// The command's group.
    Command,
    /// Another one's, or it is gone.
    Other,
}

impl Terminal {
    /// The controlling terminal, if there is one.
    pub(super) fn open() -> Option<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        let mode = tcgetattr(&file).ok();
        Some(Self { file, mode })
    }

    /// Whether the command should have it from the start. In a pipe into a pager it would be taken away from the
    /// pager; there the command gets it when it asks.
    pub(super) fn wanted_at_once(&self, stdout_is_terminal: bool) -> bool {
        stdin().is_terminal() && stdout_is_terminal
    }

    pub(super) fn owner(&self, command: ProcessGroup) -> TerminalOwner {
        match tcgetpgrp(&self.file) {
            Ok(group) if group == getpgrp() => TerminalOwner::Us,
            Ok(group) if group == command.0 => TerminalOwner::Command,
            _ => TerminalOwner::Other,
        }
    }

    /// Gives it to the command, if it is ours to give.
    pub(super) fn give(&self, command: ProcessGroup) {
        if self.owner(command) == TerminalOwner::Us {
            self.set(command.0);
        }
    }

    /// Takes it back from the command.
    pub(super) fn take(&self, command: ProcessGroup) {
        if self.owner(command) == TerminalOwner::Command {
            self.set(getpgrp());
        }
    }

    /// Sets it as it was before: a command that was killed could not do so.
    pub(super) fn restore(&self) {
        if let Some(mode) = self.mode.as_ref().filter(|_| tcgetpgrp(&self.file) == Ok(getpgrp())) {
            let _ = tcsetattr(&self.file, SetArg::TCSADRAIN, mode);
        }
    }

    fn set(&self, group: Pid) {
        // Who is not in the foreground is stopped for this, unless SIGTTOU is blocked.
        let quiet = SigSet::from(Signal::SIGTTOU);
        let before = quiet.thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let _ = tcsetpgrp(&self.file, group);
        if let Ok(before) = before {
            let _ = before.thread_set_mask();
        }
    }
}
